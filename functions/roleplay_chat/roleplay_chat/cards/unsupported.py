"""Names the parts of a card that will not work as its author intended.

The code that does the work decides: `prompt.macros` for macros, `lorebook.entries` for entries.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from roleplay_chat.cards.assets import count_assets
from roleplay_chat.cards.model import Card
from roleplay_chat.cards.versions import Object, find_fields
from roleplay_chat.lorebook.entries import parse_entries, without_effect
from roleplay_chat.lorebook.matching import broken_patterns
from roleplay_chat.prompt.macros import unexpanded
from roleplay_chat.rows import CharacterRow

BROKEN_PATTERNS = "Lorebook keys that are invalid patterns and never match: {count}."
MACROS = "Macros that are not supported: {names}."
ENTRIES = "In lorebook entries this has no effect: {names}."
WORLD = "The card's lorebook “{name}” (`extensions.world`) is not in the file."
ASSETS = "Pictures and sounds of the card (`assets`) are not stored: {count}."
LINKED = "Pictures in its texts are not shown; they are in {count} of them."
SCRIPTS = "Scripts of the card do not run: {names}."
MAX_NAMES = 12
"""Names in one sentence."""
MAX_NAME = 60
_SCRIPTS: dict[tuple[str, ...], str] = {
    ("regex_scripts",): "regex_scripts",
    ("tavern_helper",): "tavern_helper",
    ("TavernHelper_scripts",): "TavernHelper_scripts",
    ("risuai", "customScripts"): "risuai.customScripts",
    ("risuai", "triggerscript"): "risuai.triggerscript",
    ("risuai", "virtualscript"): "risuai.virtualscript",
    ("risuai", "backgroundHTML"): "risuai.backgroundHTML",
    ("risuai", "defaultVariables"): "risuai.defaultVariables",
}
"""Where extensions have what a program runs, and its name."""
_PICTURE = re.compile(r"!\[[^\[\]\n]{0,500}\]\(|<img\b", re.IGNORECASE)


def row_of(card: Card) -> CharacterRow:
    """The character as a turn has it."""
    columns = card.columns()
    greetings = [columns["first_message"], *columns["alternate_greetings"]]
    return CharacterRow.model_validate(columns | {"id": UUID(int=0), "greetings": greetings})


def unsupported(card: Card) -> list[str]:
    """Sentences for the card's owner."""
    row, fields, book = row_of(card), find_fields(card.original), card.book or {}
    broken = broken_patterns(book)
    texts = row.texts(book=False)
    pictures = sum(_PICTURE.search(text) is not None for text in texts)
    sentences = (
        BROKEN_PATTERNS.format(count=broken) if broken else "",
        _listed(MACROS, [f"{{{{{name}}}}}" for name in _macros(row)]),
        _listed(ENTRIES, _counted(_without_effect(book))),
        _world(fields, book),
        ASSETS.format(count=count) if (count := count_assets(fields)) else "",
        LINKED.format(count=pictures) if pictures else "",
        _listed(SCRIPTS, _scripts(fields)),
    )
    return [sentence for sentence in sentences if sentence]


def _listed(sentence: str, names: Sequence[str]) -> str:
    shown = [_printable(name) for name in names[:MAX_NAMES]]
    if len(names) > MAX_NAMES:
        shown.append(f"and {len(names) - MAX_NAMES} more")
    return sentence.format(names=", ".join(shown)) if names else ""


def _printable(name: str) -> str:
    return "".join(sign for sign in name[:MAX_NAME] if sign.isprintable())


def _counted(names: Iterable[str]) -> list[str]:
    return [
        name if count == 1 else f"{name} ({count} entries)"
        for name, count in Counter(names).items()
    ]


def _macros(row: CharacterRow) -> list[str]:
    """The macros in all texts that will be left out."""
    texts = row.texts(book=False)
    for entry in parse_entries(row.character_book or {}):
        texts += (entry.content, *entry.keys, *entry.secondary)
    instructions = (row.system_prompt, row.post_history_instructions)
    found = [
        name for text in texts for name in unexpanded(text, knows_original=text in instructions)
    ]
    return list(dict.fromkeys(found))


def _without_effect(book: Object) -> Iterable[str]:
    for entry in book.get("entries", ()):
        yield from dict.fromkeys(without_effect(entry))


def _world(fields: Object, book: Object) -> str:
    world: Any = _extensions(fields).get("world")
    if not isinstance(world, str) or not world.strip():
        return ""
    is_inside = bool(book.get("entries")) and book.get("name") in (None, "", world)
    return "" if is_inside else WORLD.format(name=_printable(world))


def _scripts(fields: Object) -> list[str]:
    found = []
    for path, name in _SCRIPTS.items():
        value: Any = _extensions(fields)
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        found += [name] if value else []
    return found


def _extensions(fields: Object) -> Object:
    extensions = fields.get("extensions")
    return extensions if isinstance(extensions, dict) else {}
