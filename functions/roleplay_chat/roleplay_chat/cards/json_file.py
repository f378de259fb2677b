"""Cards as JSON, which the other formats contain."""

import json
import math
from collections import deque
from typing import Any

from edge.errors import ApiError
from edge.json_text import MAX_DIGITS, standard_loads, value_count_bound
from roleplay_chat.api import NO_TEXT
from roleplay_chat.cards.errors import invalid, too_large
from roleplay_chat.cards.repair import MAX_SHOWN, Path, Warnings

MAX_JSON_BYTES = 2 * 2**20
"""The limit for a card's JSON. Cards with the largest books have a few hundred kilobytes; larger
ones embed pictures."""
MAX_DEPTH = 64
"""Nested lists and objects. The format has five levels; extensions add a few."""
MAX_VALUES = 120_000
"""Values in a card, each an object of about a hundred bytes. The largest known books have half as
many."""
MAX_WARNINGS = 20
"""Sentences about characters that are not text."""
MAX_NOTED = 1_000
"""The most places with such characters that a warning names."""
REMOVED = "had characters that are not text (NUL, or half an emoji); they were removed"
NAME_REMOVED = "had such characters in its name; they were removed"
CLASHES = "is also the name of another field without such characters; it was left out"
MORE_REMOVED = "Characters that are not text were also removed elsewhere."


def read(raw: bytes, noted: list[str]) -> dict[str, Any]:
    """The card in a JSON file. Adds warnings to `noted`. Raises `ApiError` 400 or 413."""
    return checked(parse_object(raw), noted)


def parse_object(raw: bytes) -> dict[str, Any]:
    """The object in a JSON file, not checked. Raises `ApiError` 400 or 413."""
    _check_size(len(raw))
    return an_object(parse(raw))


def parse(raw: bytes) -> Any:
    """The content of a JSON file, not checked and of any size. Raises `ApiError` 400 or 413."""
    if value_count_bound(raw) > MAX_VALUES:
        raise _too_many()
    try:
        return standard_loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid("The card is not valid JSON.") from error


def an_object(card: Any) -> dict[str, Any]:
    """Return the card. Raises `ApiError` 400 unless it is an object."""
    if isinstance(card, dict):
        return card
    raise invalid("The card must be a JSON object.")


def checked(card: Any, noted: list[str]) -> dict[str, Any]:
    """Return the card, without characters that are not text; adds warnings about these to `noted`.
    Raises `ApiError` 400 or 413 unless the database can store it."""
    found = an_object(card)
    noted += _cleaned(found).sentences()
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


_Place = Any
"""Where a value is: the place of what contains it, and its name or number there; None for the card.
A path is only written out for a warning."""


class _Removed:
    """Where characters were removed."""

    def __init__(self) -> None:
        self._warnings = Warnings()
        self._count = 0

    def add(self, place: _Place, fault: str) -> None:
        self._count += 1
        if self._count <= MAX_NOTED:
            self._warnings.add(_path(place), fault)

    def sentences(self) -> list[str]:
        found = self._warnings.sentences()
        is_all = self._count <= MAX_NOTED and len(found) <= MAX_WARNINGS
        return found if is_all else [*found[:MAX_WARNINGS], MORE_REMOVED]


def _path(place: _Place) -> Path:
    steps = []
    while place:
        place, step = place
        steps.append(_printable(step) if isinstance(step, str) else step)
    return tuple(reversed(steps))


def _printable(name: str) -> str:
    return "".join(filter(str.isprintable, name[:MAX_SHOWN]))


def _cleaned(card: dict[str, Any]) -> _Removed:
    """Check depth and values, and remove characters that are not text, in the card itself.
    Iterative, so that deep nesting cannot exhaust the stack."""
    removed = _Removed()
    waiting: deque[tuple[Any, _Place, int]] = deque([(card, None, 1)])
    seen = 1
    while waiting:
        found, place, depth = waiting.popleft()
        is_object = isinstance(found, dict)
        seen += len(found) * (2 if is_object else 1)
        if seen > MAX_VALUES:
            raise _too_many()
        if depth > MAX_DEPTH:
            raise invalid(f"The card is nested more than {MAX_DEPTH} levels deep.")
        if is_object:
            _clean_names(found, place, removed)
        for step, value in list(found.items() if is_object else enumerate(found)):
            if isinstance(value, dict | list):
                waiting.append((value, (place, step), depth + 1))
            elif isinstance(value, str) and NO_TEXT.search(value):
                found[step] = NO_TEXT.sub("", value)
                removed.add((place, step), REMOVED)
            elif isinstance(value, float) and not math.isfinite(value):
                raise invalid(
                    f"The card contains a number that is not valid JSON, or has more than"
                    f" {MAX_DIGITS} digits."
                )
    return removed


def _clean_names(found: dict[str, Any], place: _Place, removed: _Removed) -> None:
    """Remove characters that are not text from an object's names. A field whose name then equals
    another's is left out."""
    if not any(map(NO_TEXT.search, found)):
        return
    cleaned: dict[str, Any] = {}
    for name, value in found.items():
        known = NO_TEXT.sub("", name)
        clashes = known != name and (known in found or known in cleaned)
        if known != name:
            removed.add((place, known), CLASHES if clashes else NAME_REMOVED)
        if not clashes:
            cleaned[known] = value
    found.clear()
    found.update(cleaned)
