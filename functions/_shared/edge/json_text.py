"""JSON by the parser that pydantic brings: two to ten times as fast as Python's.

A turn reads some fifty pieces of it and writes as many.
"""

import json
from typing import Any

from pydantic_core import from_json, to_json

MOST_DIGITS = 4_000
"""Of a whole number; Python itself takes few more, and reads them in quadratic time."""

FEW_VALUES = 50_000
"""Some ten milliseconds of work. An answer of a model has tens."""


def loads(text: str | bytes | bytearray) -> Any:
    """The value. Raises ValueError (UnicodeDecodeError is one) or RecursionError.

    What the fast parser refuses the other one may take: halves of surrogate pairs, which some
    providers send, and deep nesting. A whole number of thousands of digits is infinite.
    """
    try:
        return from_json(text)
    except (ValueError, TypeError):
        return json.loads(text, parse_int=_whole)


def loads_few(text: str | bytes) -> Any:
    """The same of somebody else's server, on the event loop: more than `FEW_VALUES` values are a
    ValueError too, for each becomes an object, and nobody else has a turn meanwhile."""
    if len(text) > FEW_VALUES and most_values(text) > FEW_VALUES:
        raise ValueError("too many values")
    return loads(text)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def dumps(value: Any) -> bytes:
    """The value in UTF-8. Raises ValueError for what JSON or UTF-8 cannot hold.

    What is nested deeper than the fast writer goes, the other one may write.
    """
    try:
        return to_json(value)
    except ValueError:
        return json.dumps(value, ensure_ascii=False).encode()


def most_values(text: str | bytes | bytearray) -> int:
    """No less than the number of values in a JSON text: each but the first in a list or an object
    has a comma before it. Costs nothing beside reading the text, which makes an object of each."""
    if isinstance(text, str):
        return 1 + text.count(",") + text.count("[") + text.count("{")
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")
