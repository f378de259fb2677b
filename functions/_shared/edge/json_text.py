"""JSON with pydantic's parser, which is two to ten times as fast as Python's.

A turn parses about fifty documents and writes as many.
"""

import json
import math
from typing import Any

from pydantic_core import from_json, to_json

MAX_DIGITS = 100
"""The longest integer that is parsed. Nobody means a longer one, and parsing takes time quadratic
in the digits."""
SHORT_TEXT = 1_000
"""A text of this length is parsed quickly, whatever its numbers. Events of a stream are shorter."""
_LONG = b"0" * (MAX_DIGITS + 1)
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"0" * 9)

MAX_PARSED_VALUES = 20_000
"""A few milliseconds of work. A model's answer has tens of values."""

_QUICK = json.JSONDecoder()


def loads(text: str | bytes | bytearray) -> Any:
    """Parse JSON. Raises ValueError (which includes UnicodeDecodeError) or RecursionError.

    Falls back to Python's parser, which accepts lone surrogates (some providers send them) and
    deeper nesting. In a text longer than `SHORT_TEXT`, integers longer than `MAX_DIGITS` become
    infinity.
    """
    if _has_many_digits(text):
        return standard_loads(text)
    try:
        return from_json(text)
    except (ValueError, TypeError):
        return standard_loads(text)


def standard_loads(text: str | bytes | bytearray) -> Any:
    """Parse JSON with Python's parser, otherwise as `loads`."""
    if not isinstance(text, str):
        text = text.decode(json.detect_encoding(text))
    return decoder_for(text).decode(text)


def decoder_for(text: str) -> json.JSONDecoder:
    """Python's parser for a text, which is slower for texts with long integers."""
    return json.JSONDecoder(parse_int=_whole) if _has_many_digits(text) else _QUICK


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else math.copysign(math.inf, float(digits[:2]))


def _has_many_digits(text: str | bytes | bytearray) -> bool:
    """Whether more than `MAX_DIGITS` digits follow each other, in a number or in a string. Takes a
    tenth of the time that parsing takes."""
    if len(text) <= SHORT_TEXT:
        return False
    data = text.encode(errors="replace") if isinstance(text, str) else text
    return _LONG in data.translate(_DIGITS_AS_ZERO)


def loads_bounded(text: str | bytes, max_values: int = MAX_PARSED_VALUES) -> Any:
    """Parse JSON from another server on the event loop: as `loads`, but also raises ValueError for
    more than `max_values` values, which would keep other requests waiting."""
    if len(text) > max_values and value_count_bound(text) > max_values:
        raise ValueError("too many values")
    return loads(text)


def dumps(value: Any) -> bytes:
    """Write a value as UTF-8 JSON. Raises ValueError for what JSON or UTF-8 cannot represent.

    Falls back to Python's encoder, which accepts deeper nesting.
    """
    try:
        return to_json(value)
    except ValueError:
        return json.dumps(value, ensure_ascii=False).encode()


def value_count_bound(text: str | bytes | bytearray) -> int:
    """An upper bound for the number of values in a JSON text, without parsing it: each value but
    the first in a list or object follows a comma."""
    if isinstance(text, str):
        return 1 + text.count(",") + text.count("[") + text.count("{")
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")
