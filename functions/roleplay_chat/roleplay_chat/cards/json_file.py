"""A card as JSON, which the other formats carry inside."""

import json
import math
from typing import Any

from edge.errors import ApiError
from edge.json_text import most_values
from roleplay_chat.api import storable
from roleplay_chat.cards.errors import invalid, too_large

MAX_JSON_BYTES = 2 * 2**20
"""Of a card's JSON. Cards with the largest books have a few hundred kilobytes; what is larger
carries pictures in it."""
MAX_DEPTH = 64
"""Levels of lists and objects. The format has five; extensions add a few."""
MAX_VALUES = 120_000
"""Everything in a card counted; the largest books of authors have half of it. Each becomes an
object of a hundred bytes."""


def read(raw: bytes) -> dict[str, Any]:
    """The card in a JSON file; raises `ApiError` 400 or 413."""
    _check_size(len(raw))
    if most_values(raw) > MAX_VALUES:
        raise _too_many()
    try:
        card: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid("The card is not valid JSON.") from error
    return checked(card)


def checked(card: Any) -> dict[str, Any]:
    """The card, if it is an object that the database can hold; else `ApiError` 400 or 413."""
    if not isinstance(card, dict):
        raise invalid("The card must be a JSON object.")
    _check_values(card)
    _check_size(len(write(card)))
    return card


def write(card: dict[str, Any]) -> bytes:
    """The card as a JSON file."""
    return json.dumps(card, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _check_size(size: int) -> None:
    if size > MAX_JSON_BYTES:
        raise too_large(
            f"The card's text is too large: {size:,} bytes, at most {MAX_JSON_BYTES:,} are allowed."
        )


def _too_many() -> ApiError:
    return too_large(f"The card has more than {MAX_VALUES:,} values.")


def _check_values(card: dict[str, Any]) -> None:
    """Without recursion: what is nested too deep must not end the process."""
    waiting: list[tuple[Any, int]] = [(card, 1)]
    seen = 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if seen > MAX_VALUES:
            raise _too_many()
        if isinstance(value, dict | list) and depth > MAX_DEPTH:
            raise invalid(f"The card is nested more than {MAX_DEPTH} levels deep.")
        if isinstance(value, dict):
            waiting += ((name, depth) for name in value)
            waiting += ((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            waiting += ((inner, depth + 1) for inner in value)
        else:
            _check_value(value)


def _check_value(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid("The card contains a number that is not valid JSON.")
    if isinstance(value, str):
        try:
            storable(value)
        except ValueError as error:
            raise invalid("The card contains characters that are not text.") from error
