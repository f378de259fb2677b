"""Agnai's own format for characters.

A persona is a text, or attributes in one of the notations that models were trained with. It becomes
the description in the notation that its author chose.
"""

from collections.abc import Mapping
from typing import Any

from roleplay_chat.cards.lorebooks import read_lorebook
from roleplay_chat.cards.versions import Object

KINDS: Mapping[str, str] = {
    "memory": "a memory book of Agnai",
    "user": "a user's account of Agnai",
    "profile": "a user's profile of Agnai",
    "chat": "a chat of Agnai",
    "chat-message": "a message of Agnai",
    "scenario": "a scenario of Agnai",
    "gen-setting": "a preset of Agnai",
    "subscription": "a preset of Agnai",
    "library-item": "a library item of Agnai",
    "saga-template": "a saga of Agnai",
    "saga-session": "a saga of Agnai",
    "apikey": "a key of Agnai",
}
"""The names of Agnai's other files, by their `kind`."""
_CHARACTERS = ("character", "library-character")
_TEXTS = {
    "name": "name",
    "scenario": "scenario",
    "greeting": "first_mes",
    "sampleChat": "mes_example",
    "description": "creator_notes",
    "systemPrompt": "system_prompt",
    "postHistoryInstructions": "post_history_instructions",
    "alternateGreetings": "alternate_greetings",
    "tags": "tags",
    "creator": "creator",
    "characterVersion": "character_version",
}


def is_character(value: Object) -> bool:
    """Whether this is one of Agnai's characters."""
    if isinstance(value.get("kind"), str):
        return value["kind"] in _CHARACTERS
    has_persona = isinstance(value.get("persona"), dict) and "attributes" in value["persona"]
    return "name" in value and (has_persona or ("greeting" in value and "sampleChat" in value))


def as_fields(value: Object) -> Object:
    """The character as a card's fields. Values without a field there are kept as an extension."""
    fields = {ours: value[name] for name, ours in _TEXTS.items() if name in value}
    fields["description"] = _description(fields.get("name"), value.get("persona"))
    more = value.get("extensions")
    extensions = dict(more) if isinstance(more, dict) else {}
    if isinstance(insert := value.get("insert"), dict) and insert.get("prompt"):
        extensions["depth_prompt"] = {"role": "system"} | insert
    moved = (*_TEXTS, "characterBook", "extensions", "insert", "avatar", "userId", "_id")
    extensions["agnai"] = {name: kept for name, kept in value.items() if name not in moved}
    fields["extensions"] = extensions
    book = value.get("characterBook")
    if isinstance(book, dict) and (found := read_lorebook({"kind": "memory", **book})):
        fields["character_book"] = found.book
    elif book is not None:
        fields["character_book"] = book
    return fields


def _description(name: Any, persona: Any) -> Any:
    if not isinstance(persona, dict):
        return persona
    attributes = persona.get("attributes")
    if not isinstance(attributes, dict):
        return attributes
    listed = {key: _words(value) for key, value in attributes.items()}
    traits = {key: words for key, words in listed.items() if words}
    kind = persona.get("kind")
    written = _NOTATIONS.get(kind) if isinstance(kind, str) else None
    return (written or _plain)(str(name), traits) if traits else ""


def _words(value: Any) -> list[str]:
    words = value if isinstance(value, list) else [value]
    return [word for word in words if isinstance(word, str) and word.strip()]


Traits = Mapping[str, list[str]]


def _text(_: str, traits: Traits) -> str:
    """A persona that is a single text, in the attribute of that name."""
    others = {key: words for key, words in traits.items() if key != "text"}
    texts = ["\n".join(traits.get("text", [])), _plain("", others)]
    return "\n".join(filter(None, texts))


def _plain(_: str, traits: Traits) -> str:
    return "\n".join(f"{key}: {', '.join(words)}" for key, words in traits.items())


def _quoted(words: list[str], between: str) -> str:
    return between.join(f'"{word}"' for word in words)


def _wpp(name: str, traits: Traits) -> str:
    lines = (f"{key}({_quoted(words, ' + ')})" for key, words in traits.items())
    return "\n".join([f'[character("{name}") {{', *lines, "}]"])


def _sbf(name: str, traits: Traits) -> str:
    lines = (f"{key}: {_quoted(words, ', ')}" for key, words in traits.items())
    return f'[ character: "{name}"; {"; ".join(lines)} ]'


def _boostyle(name: str, traits: Traits) -> str:
    return " + ".join([name, *(word for words in traits.values() for word in words)])


_NOTATIONS = {
    "text": _text,
    "attributes": _plain,
    "wpp": _wpp,
    "sbf": _sbf,
    "boostyle": _boostyle,
}
