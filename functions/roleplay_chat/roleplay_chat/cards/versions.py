"""The versions of the format: which one a card has, and the same card in another."""

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
    """Where a card's fields are: in `data`, or in V1 at the top."""
    return original["data"] if isinstance(original.get("data"), dict) else original


def parse_version(original: Object) -> Version:
    """The version that a card says it has; a newer one counts as the newest that is known.

    Raises `ApiError` 400 when it is something else.
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
    """Whether the card is of a version that was not known when this was written."""
    known = (None, _V2["spec"], _V3["spec"])
    try:
        number = float(original.get("spec_version") or 0)
    except (TypeError, ValueError):
        number = 0
    return original.get("spec") not in known or number > NEWEST_SPEC_VERSION


def as_v2(original: Object) -> Object:
    """The card as V2: what V2 does not know stays, decorators in lorebook entries go."""
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
