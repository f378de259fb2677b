"""RisuAI's own format for characters. RisuAI mostly writes cards, which need no conversion."""

from collections.abc import Mapping
from typing import Any

from roleplay_chat.cards.lorebooks import read_lorebook
from roleplay_chat.cards.versions import Object

TYPES: Mapping[str, str] = {
    "risuChat": "a chat of RisuAI",
    "risuAllChats": "a list of chats of RisuAI",
    "group": "a group of RisuAI",
    "risuModule": "a module of RisuAI",
    "regex": "a list of RisuAI's scripts",
    "trigger": "a list of RisuAI's scripts",
    "preset": "a preset of RisuAI",
}
"""What RisuAI's other files are, by their `type`."""
_FIELDS = {
    "name": "name",
    "desc": "description",
    "firstMessage": "first_mes",
    "exampleMessage": "mes_example",
    "personality": "personality",
    "scenario": "scenario",
    "systemPrompt": "system_prompt",
    "replaceGlobalNote": "post_history_instructions",
    "alternateGreetings": "alternate_greetings",
    "creatorNotes": "creator_notes",
    "creator": "creator",
    "characterVersion": "character_version",
    "tags": "tags",
    "nickname": "nickname",
    "groupOnlyGreetings": "group_only_greetings",
}
_NESTED = ("additionalData",)
"""Where it keeps some of them."""
_KEPT = (
    *("customscript", "triggerscript", "virtualscript", "backgroundHTML", "additionalText"),
    *("defaultVariables", "bias", "license"),
)
"""The fields of its cards in the extension `risuai`."""
_RENAMED = {"customscript": "customScripts"}


def is_character(value: Object) -> bool:
    """Whether this is one of RisuAI's characters."""
    return "name" in value and "firstMessage" in value and ("desc" in value or "chats" in value)


def as_fields(value: Object) -> Object:
    """The character as a card's fields. Its chats and pictures are left out."""
    fields: Object = {}
    for source in (value, *(value.get(name) for name in _NESTED)):
        known = source if isinstance(source, dict) else {}
        fields = {ours: known[name] for name, ours in _FIELDS.items() if known.get(name)} | fields
    own = {_RENAMED.get(name, name): value[name] for name in _KEPT if value.get(name)}
    extensions: Object = {"risuai": own}
    if isinstance(note := value.get("depth_prompt"), dict) and note.get("prompt"):
        extensions["depth_prompt"] = note
    fields["extensions"] = extensions
    if lore := _lore(value.get("globalLore")):
        fields["character_book"] = lore
    return fields


def _lore(listed: Any) -> Any:
    if not listed or not isinstance(listed, list):
        return listed
    found = read_lorebook({"type": "risu", "data": listed})
    return found.book if found else None
