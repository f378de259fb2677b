"""JSON with pydantic's parser, which is two to ten times as fast as Python's.

A turn parses about fifty documents and writes as many.
"""

import json
from typing import Any

from pydantic_core import from_json, to_json

MAX_DIGITS = 4_000
"""Of an integer. Python's own limit is slightly higher, and it parses them in quadratic time."""

MAX_PARSED_VALUES = 50_000
"""About ten milliseconds of work. A model's answer has tens of values."""


def loads(text: str | bytes | bytearray) -> Any:
    """Parse JSON. Raises ValueError (which includes UnicodeDecodeError) or RecursionError.

    Falls back to Python's parser, which accepts lone surrogates (some providers send them) and
    deeper nesting. An integer longer than `MAX_DIGITS` becomes infinity.
    """
    try:
        return from_json(text)
    except (ValueError, TypeError):
        return json.loads(text, parse_int=_whole)


def loads_bounded(text: str | bytes) -> Any:
    """Parse JSON from another server on the event loop: as `loads`, but also raises ValueError for
    more than `MAX_PARSED_VALUES` values, which would keep other requests waiting."""
    if len(text) > MAX_PARSED_VALUES and value_count_bound(text) > MAX_PARSED_VALUES:
        raise ValueError("too many values")
    return loads(text)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


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
