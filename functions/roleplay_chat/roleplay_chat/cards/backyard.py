"""Characters of Backyard AI: an archive with a manifest, characters, and their scenarios.

A scenario has a greeting, examples and instructions. The first one is the character's; of the
others only the greetings are read.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from roleplay_chat.cards.errors import invalid
from roleplay_chat.cards.versions import Object, as_v2

MANIFEST = "manifest.json"
PROGRAM = "Backyard AI"
OTHERS_LEFT_OUT = "The archive has {count} characters; the first one was imported."
CHATS_LEFT_OUT = "Chats in the archive are not imported."
MAX_SCENARIOS = 64
"""The most scenarios that are read. Each has a greeting, and a card has at most as many."""
_NAMES: Mapping[str, str] = {"character": "{{char}}", "user": "{{user}}"}
_PLACEHOLDER = re.compile(r"#?(?<!\{)\{(character|user)\}(?!\})", re.IGNORECASE)
"""`{user}`, and `#{user}:` before what somebody says."""

Load = Callable[[str], Object]
"""Reads a JSON file of the archive by its path; an empty object if there is none."""


def read(manifest: Object, load: Load) -> tuple[Object, str, list[str]]:
    """The card, the path of its picture ("" for none), and warnings. Raises `ApiError` 400."""
    places = _paths(manifest, "characters")
    if not places:
        raise invalid("The archive has neither a card.json nor a character of Backyard AI.")
    character = load(places[0])
    scenarios = [load(path) for path in _paths(manifest, "scenarios")[:MAX_SCENARIOS]]
    warnings = [OTHERS_LEFT_OUT.format(count=len(places))] if len(places) > 1 else []
    warnings += [CHATS_LEFT_OUT] if any(scene.get("messages") for scene in scenarios) else []
    author = manifest.get("author")
    card = as_v2(_fields(character, scenarios, author if isinstance(author, dict) else {}))
    return card, _picture(character, places[0]), warnings


def _fields(character: Object, scenarios: list[Object], author: Object) -> Object:
    scene = scenarios[0] if scenarios else {}
    greetings = [_texts(one.get("firstMessages"))[:1] for one in scenarios]
    examples = [f"<START>\n{text}" for text in _texts(scene.get("exampleMessages"))]
    fields = {
        "name": character.get("name") or character.get("displayName"),
        "description": _with_macros(character.get("persona")),
        "scenario": _with_macros(scene.get("narrative")),
        "first_mes": "".join(greetings[0]) if greetings else "",
        "alternate_greetings": [text for one in greetings[1:] for text in one],
        "mes_example": "\n".join(examples),
        "system_prompt": _with_macros(scene.get("formattingInstructions")),
        "creator": author.get("name"),
    }
    if entries := [_entry(number, item) for number, item in enumerate(_items(character))]:
        fields["character_book"] = {"entries": entries}
    return {name: value for name, value in fields.items() if value is not None}


def _items(character: Object) -> list[Object]:
    items = character.get("loreItems")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _entry(number: int, item: Object) -> Object:
    keys = _with_macros(item.get("key"))
    listed = [key.strip() for key in keys.split(",")] if isinstance(keys, str) else []
    return {
        "keys": [key for key in listed if key],
        "content": _with_macros(item.get("value")),
        "extensions": {},
        "enabled": True,
        "insertion_order": number,
    }


def _texts(messages: Any) -> list[str]:
    """The texts of messages, without empty ones."""
    rows = messages if isinstance(messages, list) else []
    texts = [row.get("text") for row in rows if isinstance(row, dict)]
    return [_with_macros(text) for text in texts if isinstance(text, str) and text.strip()]


def _with_macros(text: Any) -> Any:
    """A text with our macros for its placeholders; anything else unchanged."""
    if not isinstance(text, str):
        return text
    return _PLACEHOLDER.sub(lambda found: _NAMES[found[1].lower()], text)


def _paths(manifest: Object, name: str) -> list[str]:
    listed = manifest.get(name)
    return [path for path in listed if isinstance(path, str)] if isinstance(listed, list) else []


def _picture(character: Object, place: str) -> str:
    """The path of the first picture, which is relative to the character's."""
    images = character.get("images")
    first = images[0] if isinstance(images, list) and images else None
    path = first.get("path") if isinstance(first, dict) else None
    return posixpath.join(posixpath.dirname(place), path) if isinstance(path, str) else ""
