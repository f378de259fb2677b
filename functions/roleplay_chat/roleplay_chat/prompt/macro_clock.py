"""The time for macros: the moment of the request, in the person's time zone."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo

from msgspec import Struct
from msgspec.structs import replace

from edge.patterns import compiled_later
from roleplay_chat.prompt.macro_chance import draw

JUST_NOW = "just now"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_FORMAT = 200
"""Characters of a format."""
_WAKING = range(8 * 60, 22 * 60)
"""The minutes of a day that a standing clock may show."""

_OFFSET = compiled_later(
    r"(?:utc)?\s*(?P<hours>[+-]?\s*\d{1,2})(?::?(?P<minutes>\d\d))?", re.IGNORECASE
)


class Clock(Struct, frozen=True):
    """The time of a turn.

    If `stands_for` is set, the clock shows one time for each day and each value of it. Otherwise a
    text at the beginning of a prompt would change every turn, and the prompt would never be cached.
    """

    now: datetime = _EPOCH
    zone: tzinfo = UTC
    last_said: datetime | None = None
    """When the person wrote the message before."""
    stands_for: str | None = None

    def standing(self, key: str) -> "Clock":
        """A clock that shows one time for each day."""
        return replace(self, stands_for=key)

    @property
    def local(self) -> datetime:
        """The person's local time."""
        local = self.now.astimezone(self.zone)
        if self.stands_for is None:
            return local
        minute = _WAKING[draw(len(_WAKING), self.stands_for, local.date().isoformat())]
        return datetime.combine(local.date(), time(*divmod(minute, 60)), local.tzinfo)

    @property
    def idle(self) -> str:
        """The time since the previous message: "2 hours"."""
        if self.last_said is None or self.stands_for is not None:
            return JUST_NOW
        return humanized(self.now - self.last_said)

    def at_offset(self, offset: str) -> str | None:
        """The time at an offset from UTC, such as "+2"; None if the offset is invalid."""
        match = _OFFSET.fullmatch(offset.strip())
        if match is None:
            return None
        hours = int(match["hours"].replace(" ", ""))
        minutes = int(match["minutes"] or 0)
        shift = timedelta(hours=hours, minutes=-minutes if hours < 0 else minutes)
        return formatted(self.local.astimezone(timezone(shift)), "LT") if abs(hours) < 15 else None


def difference(first: str, second: str) -> str:
    """How long the first time is after the second: "in 2 hours"; "" if either is not an ISO
    time."""
    try:
        times = [datetime.fromisoformat(text.strip()) for text in (first, second)]
    except ValueError:
        return ""
    earlier, later = (moment.replace(tzinfo=moment.tzinfo or UTC) for moment in reversed(times))
    passed = later - earlier
    words = humanized(abs(passed))
    return f"in {words}" if passed >= timedelta() else f"{words} ago"


def humanized(passed: timedelta) -> str:
    """A length of time in words, as Moment.js rounds it."""
    seconds = max(passed.total_seconds(), 0)
    if seconds < 45:
        return "a few seconds"
    for limit, seconds_each, one, many in _UNITS:
        if seconds < limit * seconds_each:
            number = round(seconds / seconds_each)
            return one if number <= 1 else f"{number} {many}"
    number = round(seconds / _YEAR)
    return "a year" if number <= 1 else f"{number} years"


_DAY = 86_400
_YEAR = 365 * _DAY
_UNITS = (
    (45, 60, "a minute", "minutes"),
    (22, 3600, "an hour", "hours"),
    (26, _DAY, "a day", "days"),
    (11, 30.4 * _DAY, "a month", "months"),
)


def formatted(moment: datetime, form: str) -> str:
    """The time in a format of Moment.js, such as "DD.MM.YYYY HH:mm"; text in [] stays unchanged."""
    return _TOKEN.sub(lambda match: _part(moment, match), form[:MAX_FORMAT])


def _part(moment: datetime, match: re.Match[str]) -> str:
    token = match[0]
    if match["words"] is not None:
        return match["words"]
    if token in _LONG:
        return formatted(moment, _LONG[token])
    if token[0] == "S":
        return f"{moment.microsecond:06}000"[: len(token)]
    return _PARTS[token](moment)


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}th" if number % 100 in (11, 12, 13) else f"{number}{ending}"


def _zone(moment: datetime, colon: str) -> str:
    offset = moment.strftime("%z")
    return f"{offset[:3]}{colon}{offset[3:5]}"


def _day_of_week(moment: datetime) -> int:
    """Sunday is 0."""
    return moment.isoweekday() % 7


_LONG = {
    "LTS": "h:mm:ss A",
    "LT": "h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
    "LLL": "MMMM D, YYYY h:mm A",
    "LL": "MMMM D, YYYY",
    "L": "MM/DD/YYYY",
}
_PARTS: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda moment: f"{moment.year:04}",
    "YY": lambda moment: f"{moment.year % 100:02}",
    "Y": lambda moment: f"{moment.year}",
    "Q": lambda moment: f"{(moment.month + 2) // 3}",
    "MMMM": lambda moment: f"{moment:%B}",
    "MMM": lambda moment: f"{moment:%b}",
    "MM": lambda moment: f"{moment.month:02}",
    "Mo": lambda moment: _ordinal(moment.month),
    "M": lambda moment: f"{moment.month}",
    "DDDD": lambda moment: f"{moment:%j}",
    "DDD": lambda moment: f"{moment.timetuple().tm_yday}",
    "DD": lambda moment: f"{moment.day:02}",
    "Do": lambda moment: _ordinal(moment.day),
    "D": lambda moment: f"{moment.day}",
    "dddd": lambda moment: f"{moment:%A}",
    "ddd": lambda moment: f"{moment:%a}",
    "dd": lambda moment: f"{moment:%a}"[:2],
    "do": lambda moment: _ordinal(_day_of_week(moment)),
    "d": lambda moment: f"{_day_of_week(moment)}",
    "e": lambda moment: f"{_day_of_week(moment)}",
    "E": lambda moment: f"{moment.isoweekday()}",
    "GGGG": lambda moment: f"{moment.isocalendar().year:04}",
    "WW": lambda moment: f"{moment.isocalendar().week:02}",
    "W": lambda moment: f"{moment.isocalendar().week}",
    "HH": lambda moment: f"{moment.hour:02}",
    "H": lambda moment: f"{moment.hour}",
    "hh": lambda moment: f"{(moment.hour + 11) % 12 + 1:02}",
    "h": lambda moment: f"{(moment.hour + 11) % 12 + 1}",
    "kk": lambda moment: f"{moment.hour or 24:02}",
    "k": lambda moment: f"{moment.hour or 24}",
    "mm": lambda moment: f"{moment.minute:02}",
    "m": lambda moment: f"{moment.minute}",
    "ss": lambda moment: f"{moment.second:02}",
    "s": lambda moment: f"{moment.second}",
    "A": lambda moment: "AM" if moment.hour < 12 else "PM",
    "a": lambda moment: "am" if moment.hour < 12 else "pm",
    "ZZ": lambda moment: _zone(moment, ""),
    "Z": lambda moment: _zone(moment, ":"),
    "X": lambda moment: f"{int(moment.timestamp())}",
    "x": lambda moment: f"{int(moment.timestamp() * 1000)}",
}
_TOKENS = "|".join(sorted([*_LONG, *_PARTS], key=len, reverse=True))
_TOKEN = compiled_later(rf"\[(?P<words>[^\[\]]*)\]|{_TOKENS}|S{{1,9}}")
