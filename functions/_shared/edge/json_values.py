"""Leaves of foreign JSON: of rows, cards and answers, in which anything may stand anywhere.

Nothing here raises for any value. None is what is not of the kind; true and false are no numbers.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_DIGITS = re.compile(r"\d{1,16}")


def number(value: object, *, least: float = -math.inf, most: float = math.inf) -> float | None:
    """A finite number within the bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _finite(value) if least <= value <= most else None


def number_or_text(value: object) -> float | None:
    """A finite number, which some write as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return _finite(value)


def clamped(value: object, least: float, most: float) -> float | None:
    """A number, brought within the bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(min(max(value, least), most))


def whole(value: object, *, least: float, most: float) -> int | None:
    """A number within the bounds, without its fraction."""
    found = number(value, least=least, most=most)
    return None if found is None else int(found)


def integer(value: object, *, least: int, most: int) -> int | None:
    """A whole number within the bounds; what has a fraction, if only `.0`, is none."""
    return value if type(value) is int and least <= value <= most else None


def digits(value: object) -> int | None:
    """A whole number of at most 16 digits, or the same as text."""
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else None
    return integer(value, least=0, most=10**16 - 1)


def text(value: object) -> str | None:
    """A text, be it empty."""
    return value if isinstance(value, str) else None


def fields(value: object) -> Mapping[str, Any]:
    """What an object holds; nothing for what is none."""
    return value if isinstance(value, Mapping) else {}


def timestamp(value: object) -> datetime | None:
    """A moment in ISO 8601; one without a time zone is none."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None


def _finite(value: float | str) -> float | None:
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
