"""Lorebooks of other programs, converted to a card's `character_book`.

Values are moved as they are; `repair` looks at their types.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from edge.json_values import flag_or_text, whole_or_text
from roleplay_chat.cards.versions import Object

SILLYTAVERN, AGNAI, RISUAI, NOVELAI = "SillyTavern", "Agnai", "RisuAI", "NovelAI"
AI_DUNGEON = "AI Dungeon"
V3_SPEC = "lorebook_v3"
_WRAPPERS = ("character_book", "data", "lorebook", "world_info")

_NAMED: Mapping[str, Mapping[str, str]] = {
    SILLYTAVERN: {
        "key": "keys",
        "keysecondary": "secondary_keys",
        "content": "content",
        "comment": "comment",
        "order": "insertion_order",
        "constant": "constant",
        "selective": "selective",
        "uid": "id",
    },
    AGNAI: {
        "keywords": "keys",
        "entry": "content",
        "name": "name",
        "weight": "insertion_order",
        "priority": "priority",
        "enabled": "enabled",
        "comment": "comment",
        "constant": "constant",
        "selective": "selective",
        "secondaryKeys": "secondary_keys",
        "position": "position",
        "id": "id",
    },
    RISUAI: {
        "key": "keys",
        "secondkey": "secondary_keys",
        "content": "content",
        "comment": "comment",
        "insertorder": "insertion_order",
        "alwaysActive": "constant",
        "selective": "selective",
        "useRegex": "use_regex",
        "id": "id",
    },
    NOVELAI: {
        "keys": "keys",
        "text": "content",
        "displayName": "name",
        "enabled": "enabled",
        "forceActivation": "constant",
        "searchRange": "",  # characters, where ours is messages
        "id": "id",
    },
    AI_DUNGEON: {
        "keys": "keys",
        "entry": "content",
        "value": "content",
        "name": "name",
        "title": "name",
        "id": "id",
    },
}
"""The fields of an entry in each program, and their names in a card."""
_BOOK_FIELDS = {
    "name": "name",
    "description": "description",
    "scanDepth": "scan_depth",
    "scan_depth": "scan_depth",
    "tokenBudget": "token_budget",
    "token_budget": "token_budget",
    "recursiveScanning": "recursive_scanning",
    "recursive_scanning": "recursive_scanning",
    "extensions": "extensions",
}
_OWN_CASE = ("selectiveLogic", "useProbability")
"""Fields of SillyTavern that have the same names in a card and in its own files."""
EXTENSIONS = frozenset(
    (
        *("position", "depth", "role", "scan_depth", "case_sensitive", "match_whole_words"),
        *("probability", "sticky", "cooldown", "delay", "exclude_recursion", "prevent_recursion"),
        *("delay_until_recursion", "group", "group_override", "group_weight", "use_group_scoring"),
        *("triggers", "character_filter", "outlet_name", "ignore_budget", "vectorized"),
        *("match_persona_description", "match_character_description", "match_scenario"),
        *("match_character_personality", "match_character_depth_prompt", "match_creator_notes"),
        *("automation_id", "display_index", *_OWN_CASE),
    )
)
"""Fields of SillyTavern that a card has in an entry's `extensions`."""
_IN_BOTH = {
    **{ours: theirs for theirs, ours in _NAMED[SILLYTAVERN].items()},
    **{"case_sensitive": "caseSensitive", "priority": "", "name": "", "enabled": "disable"},
}
"""The fields of a card that Chub writes beside SillyTavern's, which are named as well: they count
where SillyTavern's are missing."""
_NOTHING: tuple[Any, ...] = (None, "", [])
"""What counts as missing where an entry has a field under two names."""


class Lorebook(Struct, frozen=True):
    """A lorebook, in the form of a card's."""

    book: Object
    program: str | None = None
    """The program that it comes from; None for a card's own form."""

    @property
    def entries(self) -> int:
        """The number of its entries."""
        return len(self.book["entries"])


def read_lorebook(value: Object) -> Lorebook | None:
    """The lorebook in a JSON file; None if the file is something else."""
    data = value.get("data")
    if value.get("spec") == V3_SPEC:
        book = with_entries(data)
        return _lorebook(book) if isinstance(book, dict) else Lorebook({"entries": []})
    if value.get("type") == "risu" and isinstance(data, list):
        return _lorebook({"entries": data}, RISUAI)
    if value.get("type") == "risuModule":
        return _of_module(value)
    return _lorebook(value if "name" in value or "entries" in value else _unwrapped(value))


def _unwrapped(value: Object) -> Object:
    """The lorebook that a file has under another name; otherwise the file."""
    inner = (with_entries(value.get(name)) for name in _WRAPPERS)
    return next((book for book in inner if isinstance(book, dict) and "entries" in book), value)


def with_entries(value: Any) -> Any:
    """A bare list of entries as a lorebook; anything else unchanged."""
    is_book = isinstance(value, list) and any(map(_is_entry, value))
    return {"entries": value} if is_book else value


def _is_entry(row: object) -> bool:
    """Whether a value is an entry of any program: it has keys and a text."""
    if not isinstance(row, dict):
        return False
    names = (("keys", "key", "keywords"), ("content", "entry", "text"))
    return all(any(name in row for name in group) for group in names) or _is_story_card(row)


def _is_story_card(row: Object) -> bool:
    """Whether an entry has the names that AI Dungeon gives its keys and text."""
    return "keys" in row and "content" not in row and ("entry" in row or "value" in row)


def _of_module(value: Object) -> Lorebook | None:
    """The lorebook in a RisuAI module; its scripts do not run here."""
    module = value.get("module", value)
    listed = module.get("lorebook") if isinstance(module, dict) else None
    if not listed or not isinstance(listed, list):
        return None
    return _lorebook({"name": module.get("name"), "entries": listed}, RISUAI)


def _lorebook(value: Object, program: str | None = None) -> Lorebook | None:
    listed = value.get("entries")
    if not isinstance(listed, dict | list):
        return None
    rows = list(listed.values()) if isinstance(listed, dict) else listed
    program = program or next(filter(None, map(program_of, rows)), None)
    if program is None and value.get("kind") == "memory":
        program = AGNAI
    has_keys = any(isinstance(row, dict) and "keys" in row for row in rows)
    if program is None and rows and not has_keys:
        return None
    book = {ours: value[name] for name, ours in _BOOK_FIELDS.items() if name in value}
    if program == SILLYTAVERN:
        book.setdefault("recursive_scanning", True)
    return Lorebook(book | {"entries": [as_entry(row) for row in rows]}, program)


def program_of(row: object) -> str | None:
    """The program that wrote an entry; None for a card's own form. An entry that has SillyTavern's
    names as well, as Chub writes it, counts as SillyTavern's, whose fields say more."""
    if not isinstance(row, dict):
        return None
    has_key = isinstance(row.get("key"), list | str)
    if "keys" in row and "text" not in row and not has_key:
        return AI_DUNGEON if _is_story_card(row) else None
    if "keywords" in row:
        return AGNAI
    if "key" in row:
        return RISUAI if "insertorder" in row or "secondkey" in row else SILLYTAVERN
    return NOVELAI if "text" in row and "content" not in row else None


def as_entry(row: Any) -> Any:
    """An entry in a card's form, with the fields of its program renamed. Anything that is not an
    entry stays unchanged."""
    if program := program_of(row):
        return _CONVERTERS[program](row)
    return _with_extensions(row) if isinstance(row, dict) else row


def _with_extensions(row: Object) -> Object:
    """An entry in a card's form, with the extensions that some tools write beside `extensions`."""
    own = row.get("extensions", {})
    if not isinstance(own, dict | None):
        return row
    own = own or {}
    beside = {
        name: known
        for name in row
        if name not in _OF_CARDS
        and (known := _as_written_in_cards(name)) in EXTENSIONS
        and own.get(known) is None
    }
    moved = {known: row[name] for name, known in beside.items() if row[name] is not None}
    place = whole_or_text(row.get("position"))
    if place and place > 1 and own.get("position") is None:
        moved["position"] = place
    if not moved:
        return row
    return {name: row[name] for name in row if name not in beside} | {"extensions": own | moved}


_OF_CARDS = ("position", "case_sensitive")
"""Fields of an entry in a card that have the names of extensions."""


def _renamed(row: Object, program: str) -> Object:
    names = _NAMED[program]
    return {names[name]: value for name, value in row.items() if names.get(name)}


def _rest(row: Object, program: str) -> Object:
    return {name: value for name, value in row.items() if name not in _NAMED[program]}


def _from_sillytavern(row: Object) -> Object:
    entry = _renamed(row, SILLYTAVERN)
    for ours, theirs in _IN_BOTH.items():
        if ours in row and row.get(theirs) in _NOTHING:
            entry[ours] = row[ours]
    extensions, position = _extensions_of(row), row.get("position")
    if position not in _POSITIONS:
        position = _position_of(whole_or_text(extensions.get("position")))
    entry |= {"enabled": _enabled(row), "use_regex": True}
    entry |= {"position": position} if position else {}
    if not isinstance(disabled := row.get("disable"), bool | None):
        entry["disable"] = disabled  # `repair` names it.
    return entry | {"extensions": extensions}


_POSITIONS = ("before_char", "after_char")
"""The places of an entry in a card."""


def _position_of(number: int | None) -> str | None:
    """A card's name for SillyTavern's position number; None stays None, because nobody chose a
    place."""
    if number is None:
        return None
    return "before_char" if number == 0 else "after_char"


def _enabled(row: Object) -> Any:
    if flag_or_text(row.get("disable")) or flag_or_text(row.get("widisabled")):  # KoboldAI Lite
        return False
    return True if row.get("enabled") is None else row["enabled"]


def _extensions_of(row: Object) -> Object:
    """The fields of SillyTavern's that a card has in `extensions`. An entry made from a card's has
    such an object too, with the names of either; what the entry itself says wins."""
    beside = (*_IN_BOTH, "disable", "use_regex", "extensions")
    rest = {name: row[name] for name in _rest(row, SILLYTAVERN) if name not in beside}
    if rest.get("position") in _POSITIONS:
        del rest["position"]
    own = row.get("extensions")
    extensions: Object = {}
    for name, value in own.items() if isinstance(own, dict) else ():
        known = _as_written_in_cards(name)
        extensions[known if known in EXTENSIONS else name] = value
    for name, value in rest.items():
        known = _as_written_in_cards(name)
        if value is not None or known not in extensions:
            extensions[known] = value
    return extensions


def _as_written_in_cards(name: str) -> str:
    return name if name in _OWN_CASE else re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _from_agnai(row: Object) -> Object:
    entry = {"enabled": True, "insertion_order": 0} | _renamed(row, AGNAI)
    return entry | {"extensions": {}}


def _from_ai_dungeon(row: Object) -> Object:
    stated = {name: value for name, value in row.items() if value not in _NOTHING}
    entry = {"keys": "", "content": "", "enabled": True, "insertion_order": 0}
    entry |= _renamed(stated, AI_DUNGEON)
    return entry | {"extensions": {}}


def _from_risuai(row: Object) -> Object:
    rest = _rest(row, RISUAI)
    rest.pop("mode", None)
    more = rest.pop("extentions", None)  # Its own spelling.
    extensions = dict(more) if isinstance(more, dict) else {}
    chance = rest.pop("activationPercent", None)
    extensions |= {} if chance is None else {"risu_activationPercent": chance}
    return {"enabled": True} | _renamed(row, RISUAI) | {"extensions": extensions}


def _from_novelai(row: Object) -> Object:
    config = row.get("contextConfig")
    order = config.get("budgetPriority") if isinstance(config, dict) else None
    entry = {"enabled": True, "insertion_order": 0 if order is None else order}
    return entry | _renamed(row, NOVELAI) | {"extensions": {}}


_CONVERTERS: Mapping[str, Callable[[Object], Object]] = {
    SILLYTAVERN: _from_sillytavern,
    AGNAI: _from_agnai,
    RISUAI: _from_risuai,
    NOVELAI: _from_novelai,
    AI_DUNGEON: _from_ai_dungeon,
}
