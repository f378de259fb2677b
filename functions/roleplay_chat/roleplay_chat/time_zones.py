"""Time zones by name, as browsers and authors write them."""

import re
from datetime import UTC, timedelta, timezone, tzinfo

_OFFSET = re.compile(r"(?:UTC|GMT)?\s*(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d\d))?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,3}")


def parse_time_zone(name: str) -> tzinfo:
    """The time zone of a name of the IANA database ("Europe/Berlin") or of an offset ("+02:00",
    "UTC-3").

    Raises ValueError for a text of any other form. A name that this machine does not know means
    UTC: browsers also send old names, which not every database has.
    """
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if offset := _OFFSET.fullmatch(name):
        return _offset(offset)
    if not _NAME.fullmatch(name):
        raise ValueError("is not a time zone, such as Europe/Berlin or +02:00")
    return _named(name)


def _offset(match: re.Match[str]) -> tzinfo:
    offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
    if offset > timedelta(hours=14):
        raise ValueError("is an offset of more than 14 hours")
    return timezone(-offset if match["sign"] == "-" else offset)


def _named(name: str) -> tzinfo:
    import zoneinfo  # Most turns need none.

    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC
