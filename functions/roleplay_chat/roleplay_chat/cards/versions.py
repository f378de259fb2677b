"""Detects the version of a card and converts between versions."""

import copy
from typing import Any, Literal

from roleplay_chat.cards.errors import invalid
from roleplay_chat.lorebook.entries import without_decorators

Object = dict[str, Any]
Version = Literal[1, 2, 3]

NEWEST_SPEC_VERSION = 3.0
NEWER = "The card has a newer version than we support; some of it may not be used."
_V2: Object = {"spec": "chara_card_v2", "spec_version": "2.0"}
_V3: Object = {"spec": "chara_card_v3", "spec_version": "3.0"}
_REQUIRED_BY_V2: Object = {
    "name": "",
    "description": "",
    "personality": "",
    "scenario": "",
    "first_mes": "",
    "mes_example": "",
    "creator_notes": "",
    "system_prompt": "",
    "post_history_instructions": "",
    "alternate_greetings": [],
    "tags": [],
    "creator": "",
    "character_version": "",
    "extensions": {},
}
_REQUIRED_BY_V3: Object = _REQUIRED_BY_V2 | {"group_only_greetings": []}


def find_fields(original: Object) -> Object:
    """The object with a card's fields: `data`, or in V1 the card itself."""
    return original["data"] if isinstance(original.get("data"), dict) else original


def parse_version(original: Object) -> Version:
    """The card's declared version; newer versions count as the newest known one.

    Raises `ApiError` 400 if it is not a character card.
    """
    spec = original.get("spec")
    if spec is None and "data" not in original:
        return 1
    if spec is not None and not (isinstance(spec, str) and spec.startswith("chara_card_v")):
        raise invalid("This is not a character card: `spec` names another format.")
    if not isinstance(original.get("data"), dict):
        raise invalid("`data` must be a JSON object.")
    return 2 if spec in (None, _V2["spec"]) else 3


def is_newer(original: Object) -> bool:
    """Whether the card declares a version newer than the known ones."""
    known = (None, _V2["spec"], _V3["spec"])
    try:
        number = float(original.get("spec_version") or 0)
    except (TypeError, ValueError):
        number = 0
    return original.get("spec") not in known or number > NEWEST_SPEC_VERSION


def as_v2(original: Object) -> Object:
    """The card as V2. Keeps fields that V2 does not define, removes lorebook decorators."""
    version = parse_version(original)
    if version == 2:
        return original
    fields = copy.deepcopy(_REQUIRED_BY_V2 | find_fields(original))
    for entry in _entries(fields) if version == 3 else ():
        entry["content"] = without_decorators(entry["content"])
    return _V2 | {"data": fields}


def as_v3(original: Object) -> Object:
    """The card as V3."""
    if parse_version(original) == 3:
        return original
    return _V3 | {"data": copy.deepcopy(_REQUIRED_BY_V3 | find_fields(original))}


def _entries(fields: Object) -> list[Object]:
    book = fields.get("character_book")
    entries = book.get("entries") if isinstance(book, dict) else None
    candidates = entries if isinstance(entries, list) else []
    return [
        entry
        for entry in candidates
        if isinstance(entry, dict) and isinstance(entry.get("content"), str)
    ]
