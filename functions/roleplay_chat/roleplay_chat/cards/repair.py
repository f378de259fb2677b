"""Reads cards that do not quite follow the specification.

Many tools write a number for a text, a text for a list, or null for anything. Such a value is
converted where its meaning is clear, and left out where it is not; each time a warning names the
field. The fields that make the character (its name, its texts, its declared age) and all sizes are
left to the strict model.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edge.json_values import flag_or_text, number_or_text, whole_or_text
from roleplay_chat.cards.lorebooks import as_entry, program_of
from roleplay_chat.cards.versions import Object
from roleplay_chat.lorebook.entries import SEARCHED

MAX_SHOWN = 200
"""Characters of a field's name in a warning."""

MISSING: Any = object()
"""The result for a value that cannot be read."""

Path = tuple[str | int, ...]


class Warnings:
    """Sentences about fields. Values in a list that have the same fault share a sentence."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], tuple[Path, int]] = {}

    def add(self, path: Path, fault: str) -> None:
        """Note a fault of the value at this path."""
        kind = *("" if isinstance(step, int) else step for step in path), fault
        first, count = self._found.get(kind, (path, 0))
        self._found[kind] = first, count + 1

    def sentences(self) -> list[str]:
        """A sentence for each kind of fault."""
        return [
            f"`{_written(path)}` {kind[-1]}{_and_more(count - 1)}."
            for kind, (path, count) in self._found.items()
        ]


def _written(path: Path) -> str:
    return ".".join(map(str, path))[:MAX_SHOWN]


def _and_more(count: int) -> str:
    return f" (and {count:,} more like it)" if count else ""


def kind_of(value: object) -> str:
    """The name of a JSON value's type, for a sentence."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "`true`", False: "`false`"}[value]
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text" if value.strip() else "empty text"
    name = "list" if isinstance(value, list) else "object"
    return f"{'an empty' if not value else 'an' if name == 'object' else 'a'} {name}"


Reader = Callable[[Any, Path, Warnings], Any]
"""Reads a value: itself if its type is right, another one, or `MISSING`."""


def _text(value: Any, *_: Any) -> Any:
    """A text that makes the character. An empty value is left out; the model checks the rest."""
    return MISSING if value is False or value in ([], {}) else value


def _remark(value: Any, *_: Any) -> Any:
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return json.dumps(value) if is_number else MISSING


def _texts(value: Any, path: Path, warnings: Warnings) -> Any:
    """A list of texts; a single text becomes a list."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, dict):
        value = list(value.values())
    elif not isinstance(value, list):
        return MISSING
    return _each(value, _remark, path, warnings)


def _words(value: Any, path: Path, warnings: Warnings) -> Any:
    """A list of keys or tags; in a text, commas separate them."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return _texts(value, path, warnings)


def _flag(value: Any, *_: Any) -> Any:
    read = flag_or_text(value)
    return MISSING if read is None else read


def _number(value: Any, *_: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    read = number_or_text(value) if isinstance(value, str) else None
    return MISSING if read is None else read


def _object(value: Any, *_: Any) -> Any:
    return value if isinstance(value, dict) else MISSING


def _list(value: Any, *_: Any) -> Any:
    return value if isinstance(value, list) else MISSING


def _label(value: Any, *_: Any) -> Any:
    """An entry's id, a number or a text."""
    is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if is_plain else MISSING


def _position(value: Any, *_: Any) -> Any:
    """Where an entry is placed. SillyTavern has numbers for it, most of them for places that a card
    has in `extensions`."""
    place = whole_or_text(value)
    if place is None:
        return value if isinstance(value, str) else MISSING
    return "before_char" if place == 0 else "after_char" if place in PLACES else MISSING


PLACES = range(8)
"""The numbers of SillyTavern's positions."""


def _whole(value: Any, *_: Any) -> Any:
    read = whole_or_text(value)
    return MISSING if read is None else read


def _logic(value: Any, *_: Any) -> Any:
    """How secondary keys are combined."""
    read = whole_or_text(value)
    return read if read in range(4) else MISSING


def _role_number(value: Any, *_: Any) -> Any:
    """The role of an entry among the messages: a number in SillyTavern, a name in V3."""
    if isinstance(value, str) and (name := value.strip().lower()) in ROLES:
        return ROLES.index(name)
    read = whole_or_text(value)
    return read if read in range(len(ROLES)) else MISSING


def _level(value: Any, *_: Any) -> Any:
    """A level of recursion; yes is the first."""
    read = number_or_text(value)
    return value if isinstance(value, bool) else _flag(value) if read is None else read


def _entry_extensions(value: Any, path: Path, warnings: Warnings) -> Any:
    if not isinstance(value, dict):
        return MISSING
    return _fields(value, _ENTRY_EXTENSIONS, path, warnings)


def _extensions(value: Any, path: Path, warnings: Warnings) -> Any:
    if not isinstance(value, dict):
        return MISSING
    return _fields(value, _EXTENSIONS, path, warnings)


def _depth_prompt(value: Any, path: Path, warnings: Warnings) -> Any:
    if isinstance(value, str):
        return {"prompt": value}
    return _fields(value, _DEPTH_PROMPT, path, warnings) if isinstance(value, dict) else MISSING


def _role(value: Any, *_: Any) -> Any:
    """The role of a note's message. SillyTavern has numbers for it as well."""
    if isinstance(value, str):
        return name if (name := value.strip().lower()) in ROLES else MISSING
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return ROLES[value] if is_number and 0 <= value < len(ROLES) else MISSING


ROLES = ("system", "user", "assistant")
"""The roles of a note, in SillyTavern's order."""


def _share(value: Any, *_: Any) -> Any:
    """A number from 0 to 1. SillyTavern writes it as text."""
    read = number_or_text(value)
    return value if read is not None and 0 <= read <= 1 else MISSING


def _own(value: Any, path: Path, warnings: Warnings) -> Any:
    if not isinstance(value, dict):
        return MISSING
    return _fields(value, {"pronouns": _remark}, path, warnings)


def _book(value: Any, path: Path, warnings: Warnings) -> Any:
    if isinstance(value, list) and value:
        value = {"entries": value}
    if not isinstance(value, dict):
        return MISSING
    if value.get("entries") is None:
        warnings.add(path, "has no entries; it was left out")
        return None
    book = _fields(value, _BOOK, path, warnings)
    return book if "entries" in book else None


def _entries(value: Any, path: Path, warnings: Warnings) -> Any:
    if isinstance(value, dict):
        value = list(value.values())
    return _each(value, _entry, path, warnings) if isinstance(value, list) else MISSING


def _entry(value: Any, path: Path, warnings: Warnings) -> Any:
    """An entry. Only its text is required."""
    if not isinstance(value, dict):
        return MISSING
    if program := program_of(value):
        warnings.add(path, f"is in the form of {program}; it was converted")
    value = as_entry(value)
    content = value.get("content")
    if content is not None and _remark(content) is MISSING:
        warnings.add((*path, "content"), f"is {kind_of(content)}; the entry was left out")
        return None
    nulls = [name for name in _REQUIRED_OF_ENTRIES if name in value and value[name] is None]
    for name in nulls:
        warnings.add((*path, name), "is null; it was left out")
    found = {name: known for name, known in value.items() if name not in nulls}
    entry = _fields(found, _ENTRY, path, warnings)
    return entry | {"enabled": False} if entry.pop("disable", False) else entry


_REQUIRED_OF_ENTRIES = ("keys", "content", "enabled", "insertion_order")

_DEPTH_PROMPT: Mapping[str, Reader] = {"prompt": _remark, "depth": _number, "role": _role}
_EXTENSIONS: Mapping[str, Reader] = {
    "roleplay_backend": _own,
    "depth_prompt": _depth_prompt,
    "talkativeness": _share,
    "world": _remark,
    "regex_scripts": _list,
    "fav": _flag,
}
_ENTRY_EXTENSIONS: Mapping[str, Reader] = {
    "position": _whole,
    "selectiveLogic": _logic,
    "role": _role_number,
    "delay_until_recursion": _level,
    **dict.fromkeys(("depth", "scan_depth", "probability", "group_weight"), _number),
    **dict.fromkeys(("sticky", "cooldown", "delay"), _number),
    **dict.fromkeys(("useProbability", "case_sensitive", "match_whole_words"), _flag),
    **dict.fromkeys(("exclude_recursion", "prevent_recursion", "ignore_budget"), _flag),
    **dict.fromkeys(("group_override", "use_group_scoring", "vectorized"), _flag),
    **dict.fromkeys((*SEARCHED, "match_creator_notes"), _flag),
    **dict.fromkeys(("group", "outlet_name"), _remark),
    "triggers": _words,
    "character_filter": _object,
}
"""The extensions of SillyTavern in an entry."""
_ENTRY: Mapping[str, Reader] = {
    "keys": _words,
    "secondary_keys": _words,
    "content": _remark,
    "enabled": _flag,
    "disable": _flag,
    "constant": _flag,
    "selective": _flag,
    "case_sensitive": _flag,
    "use_regex": _flag,
    "insertion_order": _number,
    "priority": _number,
    "id": _label,
    "name": _remark,
    "comment": _remark,
    "position": _position,
    "extensions": _entry_extensions,
}
_BOOK: Mapping[str, Reader] = {
    "name": _remark,
    "description": _remark,
    "scan_depth": _number,
    "token_budget": _number,
    "recursive_scanning": _flag,
    "extensions": _object,
    "entries": _entries,
}
CARD: Mapping[str, Reader] = {
    "description": _text,
    "personality": _text,
    "scenario": _text,
    "first_mes": _text,
    "mes_example": _text,
    "system_prompt": _text,
    "post_history_instructions": _text,
    "nickname": _remark,
    "alternate_greetings": _texts,
    "group_only_greetings": _texts,
    "character_book": _book,
    "extensions": _extensions,
    "creator_notes": _remark,
    "creator": _remark,
    "character_version": _remark,
    "tags": _words,
    "creator_notes_multilingual": _object,
    "source": _texts,
    "assets": _list,
    "creation_date": _number,
    "modification_date": _number,
}
"""How each field of a card is read; the name is the strict model's."""


def repaired(fields: Object, warnings: Warnings) -> Object:
    """A card's fields, with values of the wrong type read or left out. Unknown fields stay."""
    return _fields(fields, CARD, (), warnings)


def _fields(
    fields: Object, readers: Mapping[str, Reader], path: Path, warnings: Warnings
) -> Object:
    """The fields as their readers read them. Null counts as a missing field."""
    found = dict(fields)
    for name, reader in readers.items():
        if (value := fields.get(name)) is None:
            continue
        read = _read(value, reader, (*path, name), warnings)
        if read is None:
            del found[name]
        else:
            found[name] = read
    return found


def _each(values: Iterable[Any], reader: Reader, path: Path, warnings: Warnings) -> list[Any]:
    """The values of a list that can be read."""
    read = (
        _read(value, reader if value is not None else _missing, (*path, place), warnings)
        for place, value in enumerate(values)
    )
    return [value for value in read if value is not None]


def _missing(*_: Any) -> Any:
    return MISSING


def _read(value: Any, reader: Reader, path: Path, warnings: Warnings) -> Any:
    """The repaired value; None if it is left out."""
    read = reader(value, path, warnings)
    if read is MISSING:
        warnings.add(path, f"is {kind_of(value)}; it was left out")
        return None
    if (
        read is not None
        and type(read) is not type(value)
        and not {type(read), type(value)} <= {int, float}
    ):
        warnings.add(path, f"is {kind_of(value)}; it was read as {kind_of(read)}")
    return read
