"""Detects the version of a card and converts between versions."""

import copy
from typing import Any, Literal

from roleplay_chat.lorebook.entries import without_decorators

Object = dict[str, Any]
Version = Literal[1, 2, 3]

NEWEST_SPEC_VERSION = 3.0
NEWER = "The card has a newer version than we support; some of it may not be used."
_V2: Object = {"spec": "chara_card_v2", "spec_version": "2.0"}
_V3: Object = {"spec": "chara_card_v3", "spec_version": "3.0"}
_ENVELOPE = ("spec", "spec_version", "data")
MAX_CARDS_AROUND = 2
"""How often a card may be in another."""
DESCRIBING = ("description", "personality", "first_mes", "mes_example")
"""The texts of which a character has at least one. V1 has no other mark."""
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


def describes_character(fields: Object) -> bool:
    """Whether the fields are a character's: they have a name, and a text that describes it."""
    texts = (fields.get(name) for name in DESCRIBING)
    return "name" in fields and any(isinstance(text, str) and text.strip() for text in texts)


def has_data(original: Object) -> bool:
    """Whether a card's fields are in `data`, as in V2 and V3. Some tools write V1's fields beside
    it, which are the card's if `data` has no name."""
    data = original.get("data")
    return isinstance(data, dict) and ("name" in data or not describes_character(original))


def find_fields(original: Object) -> Object:
    """The object with a card's fields: `data`, or in V1 the card itself."""
    fields: Object = original["data"] if has_data(original) else original
    return fields


def declares_card(original: Object) -> bool:
    """Whether `spec` says that this is a character card."""
    spec = original.get("spec")
    return isinstance(spec, str) and spec.startswith("chara_card_v")


def card_inside(value: Object) -> Object:
    """The card that some tools put into the `data` of another; otherwise the value."""
    for _ in range(MAX_CARDS_AROUND):
        inner = value.get("data")
        if not isinstance(inner, dict) or not declares_card(inner):
            break
        if not isinstance(inner.get("data"), dict):
            break
        value = inner
    return value


def parse_version(original: Object) -> Version:
    """The card's version; newer versions count as the newest known one."""
    if not has_data(original):
        return 1
    return 3 if declares_card(original) and original["spec"] != _V2["spec"] else 2


def is_newer(original: Object) -> bool:
    """Whether the card declares a version newer than the known ones."""
    known = (None, _V2["spec"], _V3["spec"])
    try:
        number = float(original.get("spec_version") or 0)
    except (TypeError, ValueError, OverflowError):
        number = 0
    is_unknown = declares_card(original) and original["spec"] not in known
    return is_unknown or number > NEWEST_SPEC_VERSION


def as_v2(original: Object) -> Object:
    """The card as V2. Keeps fields that V2 does not define, removes lorebook decorators."""
    version = parse_version(original)
    if version == 2 and declares_card(original):
        return original
    fields = copy.deepcopy(_REQUIRED_BY_V2 | _without_envelope(original))
    for entry in _entries(fields) if version == 3 else ():
        entry["content"] = without_decorators(entry["content"])
    return _V2 | {"data": fields}


def as_v3(original: Object) -> Object:
    """The card as V3."""
    if parse_version(original) == 3:
        return original
    return _V3 | {"data": copy.deepcopy(_REQUIRED_BY_V3 | _without_envelope(original))}


def _without_envelope(original: Object) -> Object:
    fields = find_fields(original)
    if fields is not original:
        return fields
    return {name: value for name, value in fields.items() if name not in _ENVELOPE}


def _entries(fields: Object) -> list[Object]:
    book = fields.get("character_book")
    entries = book.get("entries") if isinstance(book, dict) else None
    candidates = entries if isinstance(entries, list) else []
    return [
        entry
        for entry in candidates
        if isinstance(entry, dict) and isinstance(entry.get("content"), str)
    ]
