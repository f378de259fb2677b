"""Cards as JSON, which the other formats contain."""

import json
import math
from typing import Any

from edge.errors import ApiError
from edge.json_text import value_count_bound
from roleplay_chat.api import storable
from roleplay_chat.cards.errors import invalid, too_large

MAX_JSON_BYTES = 2 * 2**20
"""The limit for a card's JSON. Cards with the largest books have a few hundred kilobytes; larger
ones embed pictures."""
MAX_DEPTH = 64
"""Nested lists and objects. The format has five levels; extensions add a few."""
MAX_VALUES = 120_000
"""Values in a card, each an object of about a hundred bytes. The largest known books have half as
many."""


def read(raw: bytes) -> dict[str, Any]:
    """The card in a JSON file. Raises `ApiError` 400 or 413."""
    _check_size(len(raw))
    return checked(parse(raw))


def parse(raw: bytes) -> Any:
    """The content of a JSON file, not checked and of any size. Raises `ApiError` 400 or 413."""
    if value_count_bound(raw) > MAX_VALUES:
        raise _too_many()
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid("The card is not valid JSON.") from error


def an_object(card: Any) -> dict[str, Any]:
    """Return the card. Raises `ApiError` 400 unless it is an object."""
    if isinstance(card, dict):
        return card
    raise invalid("The card must be a JSON object.")


def checked(card: Any) -> dict[str, Any]:
    """Return the card. Raises `ApiError` 400 or 413 unless the database can store it."""
    found = an_object(card)
    _check_values(found)
    _check_size(len(write(found)))
    return found


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
    """Check depth and values. Iterative, so that deep nesting cannot exhaust the stack."""
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
