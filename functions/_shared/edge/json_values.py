"""Validates single values of untrusted JSON: rows, cards and upstream responses.

Nothing here raises. A value of the wrong type or out of bounds becomes None. Booleans are not
numbers. `id_text` writes an id for JSON.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

_DIGITS = re.compile(r"\d{1,16}")
_FLAGS = dict.fromkeys(("true", "yes", "on", "1"), True)
_FLAGS |= dict.fromkeys(("false", "no", "off", "0"), False)
MAX_WHOLE = 2**53
"""JSON does not keep larger whole numbers exactly."""


def number(value: object, *, minimum: float = -math.inf, maximum: float = math.inf) -> float | None:
    """A finite number within the bounds."""
    if type(value) is int or type(value) is float:
        return _finite(value) if minimum <= value <= maximum else None
    return None


def number_or_text(value: object) -> float | None:
    """A finite number, given as a number or as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return _finite(value)


def whole_or_text(value: object) -> int | None:
    """A whole number, given as a number (also 4.0) or as text."""
    found = number_or_text(value)
    if found is None or not found.is_integer() or abs(found) > MAX_WHOLE:
        return None
    return int(found)


def flag_or_text(value: object) -> bool | None:
    """Yes or no, given as a boolean, as 0 or 1, or as a word."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return value == 1
    return _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None


def clamped(value: object, minimum: float, maximum: float) -> float | None:
    """A number, clamped to the bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(min(max(value, minimum), maximum))


def whole(value: object, *, minimum: float, maximum: float) -> int | None:
    """A number within the bounds, truncated to an integer."""
    found = number(value, minimum=minimum, maximum=maximum)
    return None if found is None else int(found)


def integer(value: object, *, minimum: int, maximum: int) -> int | None:
    """An integer within the bounds; None for any float, even `1.0`."""
    return value if type(value) is int and minimum <= value <= maximum else None


def digits(value: object) -> int | None:
    """A non-negative integer of at most 16 digits, given as a number or as text."""
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else None
    return integer(value, minimum=0, maximum=10**16 - 1)


def text(value: object) -> str | None:
    """A string, which may be empty."""
    return value if isinstance(value, str) else None


def fields(value: object) -> Mapping[str, Any]:
    """An object's fields; empty if it is not an object."""
    return value if isinstance(value, Mapping) else {}


def timestamp(value: object) -> datetime | None:
    """A time in ISO 8601; None if it has no time zone."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None


def id_text(value: UUID | None) -> str | None:
    """An id, as JSON has it."""
    return None if value is None else str(value)


def _finite(value: float | str) -> float | None:
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
