"""Parses the time of a message in the formats of SillyTavern's versions. Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

MAX_CHARS = 64
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SPOKEN = re.compile(
    r"([a-z]{3})[a-z]*\.? (\d{1,2}), (\d{4}),? (\d{1,2}):(\d{2})(?::(\d{2}))? ?([ap]m)?",
    re.ASCII | re.IGNORECASE,
)
"""May 1, 2024 10:20pm"""
_NAMED_UNITS = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2}) ?@(\d{1,2})h ?(\d{1,2})m ?(\d{1,2})s(?: ?(\d{1,3})ms)?", re.ASCII
)
"""2024-5-1 @10h 20m 30s 123ms"""
_NUMBER = re.compile(r"\d{1,16}(?:\.\d{1,9})?", re.ASCII)
_MILLISECONDS_FROM = 100_000_000_000
"""Larger numbers are milliseconds: as seconds they would be after the year 5000."""
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_STEP = timedelta(milliseconds=1)
_TOLERANCE = timedelta(days=1)
"""How far a clock may be ahead, or in another time zone."""


def parse_time(value: object) -> datetime | None:
    """The time, in UTC if the format has no zone; None for other values."""
    try:
        time = _parse(value)
    except (ValueError, OverflowError, OSError):
        return None
    return time if time is not None and time >= _EARLIEST else None


def _parse(value: object) -> datetime | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _from_number(value)
    if not isinstance(value, str) or len(value) > MAX_CHARS:
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return _from_number(float(text))
    if found := _NAMED_UNITS.fullmatch(text):
        year, month, day, hour, minute, second, ms = (int(part or 0) for part in found.groups())
        return datetime(year, month, day, hour, minute, second, ms * 1000, tzinfo=UTC)
    if found := _SPOKEN.fullmatch(text):
        return _from_spoken(*found.groups())
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _from_number(number: float) -> datetime:
    seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
    return datetime.fromtimestamp(seconds, UTC)


def _from_spoken(
    month: str, day: str, year: str, hour: str, minute: str, second: str | None, half: str | None
) -> datetime:
    hours = int(hour)
    if half:
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    number = _MONTHS.index(month.lower()) + 1
    return datetime(int(year), number, int(day), hours, int(minute), int(second or 0), tzinfo=UTC)


def in_order(times: Sequence[datetime | None], now: datetime) -> list[datetime]:
    """A time for each message, each later than the one before, and none after `now`. Unknown times,
    and those in the future, follow the previous message.
    """
    known = [time if time and time <= now + _TOLERANCE else None for time in times]
    last = next((time for time in known if time), now) - _STEP
    ordered: list[datetime] = []
    for time in known:
        last = max(time or last, last + _STEP)
        ordered.append(last)
    limit = now
    for place in reversed(range(len(ordered))):
        ordered[place] = min(ordered[place], limit)
        limit = ordered[place] - _STEP
    return ordered
