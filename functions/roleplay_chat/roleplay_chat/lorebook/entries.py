"""Parses the entries of a character book. Missing or invalid fields get their defaults.

Supports Character Card V2 and V3, SillyTavern's `extensions` (where most books come from), and of
V3's decorators (lines such as "@@depth 4" before an entry's text) those in `_DECORATORS`. Other
decorators are removed from the text and ignored. `without_effect` names everything that has no
effect.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from operator import itemgetter
from threading import Lock
from typing import Any, Literal, NamedTuple, TypeVar

from cachetools import LRUCache
from msgspec import Struct
from msgspec.structs import replace

from edge.json_text import dumps
from edge.json_values import clamped, fields, number_or_text, text
from roleplay_chat.lorebook.keys import MAX_KEY_CHARS, is_pattern
from roleplay_chat.messages import Role
from roleplay_chat.screening.decision import Part
from roleplay_chat.turn_cache import text_memory

Position = Literal[
    "before_char", "after_char", "in_chat", "note_top", "note_bottom", "examples_top",
    "examples_bottom", "personality", "scenario", "outlet", "after_history",
]  # fmt: skip
"""The places of entries in the prompt. Author's notes are among the messages."""
Logic = Literal["and_any", "not_all", "not_any", "and_all"]
Searched = Literal["persona", "description", "personality", "depth_prompt", "scenario"]
"""Texts that entries may search besides the messages."""

MAX_ENTRIES = 2_000
MAX_DEPTH = 1_000
DEFAULT_DEPTH = 4
"""The depth of an entry or an author's note that does not say."""
MAX_MESSAGES = 1_000_000
"""The most messages that an entry can wait for or stay; as a decorator it means for ever."""
MAX_DELAY_LEVEL = 8
MAX_GROUPS = 16
"""Inclusion groups of an entry."""
MAX_NAME_CHARS = 120
MAX_KEYS = 10_000
"""Keys in a book; further ones are ignored."""
MAX_PATTERNS = 500
"""Patterns in a book, which are compiled, unlike plain keys; further ones are ignored."""
MAX_PATTERN_CHARS = 20_000
"""The limit for the characters of all patterns in a book."""
KEPT_BYTES = 12 * 2**20
"""The memory of the cached books. The length of the JSON says little about it: an entry of a few
characters takes as much as one of a few hundred."""
_ENTRY_BYTES = 600
"""The memory of an entry without its texts: the object, and what its fields refer to."""
_NONE = frozenset[str]()
"""Shared by all entries: an empty set takes as much memory as half an entry."""

_OUTLET = 7
_SILLYTAVERN_POSITIONS: dict[object, Position] = {
    0: "before_char",
    1: "after_char",
    2: "note_top",
    3: "note_bottom",
    4: "in_chat",
    5: "examples_top",
    6: "examples_bottom",
    _OUTLET: "outlet",
}
_SILLYTAVERN_ROLES: dict[object, Role] = {0: "system", 1: "user", 2: "assistant"}
_SILLYTAVERN_LOGIC: dict[object, Logic] = {0: "and_any", 1: "not_all", 2: "not_any", 3: "and_all"}
_V3_POSITIONS: dict[object, Position] = {
    "before_desc": "before_char",
    "after_desc": "after_char",
    "personality": "personality",
    "scenario": "scenario",
}
_V3_ROLES: dict[object, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


SEARCHED: Mapping[str, Searched] = {
    "match_persona_description": "persona",
    "match_character_description": "description",
    "match_character_personality": "personality",
    "match_character_depth_prompt": "depth_prompt",
    "match_scenario": "scenario",
}
"""Fields of `extensions` for texts that are searched as well."""
GENERATIONS = frozenset({"normal", "continue", "impersonate", "swipe", "regenerate"})
"""The kinds of turns. SillyTavern's "quiet" is for what its extensions ask in the background."""
_NOT_IN_FILE_NAMES = str.maketrans(dict.fromkeys('/?<>\\:*|"'))

_FEATURES: Mapping[str, tuple[object, ...]] = {
    "probability": (100,),
    "sticky": (),
    "cooldown": (),
    "delay": (),
    "delay_until_recursion": (),
    "group": (),
    "group_override": (),
    "use_group_scoring": (),
    "vectorized": (),
    "automation_id": (),
    "triggers": (),
    "outlet_name": (),
    "ignore_budget": (),
    "character_filter": (),
    "match_persona_description": (),
    "match_character_description": (),
    "match_character_personality": (),
    "match_character_depth_prompt": (),
    "match_scenario": (),
    "match_creator_notes": (),
    "risu_activationPercent": (100,),
}
"""Fields in an entry's `extensions` that change what it does, and the values that change nothing,
besides empty ones. A field has an effect here if `_entry` reads it."""


class Trigger(Struct, frozen=True):
    """Why an entry was activated. Keys are as the author wrote them."""

    key: str | None = None
    """The key that was found; None if the entry is constant."""
    secondary: str | None = None
    """The secondary key that was found, if there is one."""
    is_indirect: bool = False
    """Whether the texts of other entries were searched as well."""
    stays: bool = False
    """Whether an earlier reply activated it."""
    score: int = 0
    """The keys that were found, by which groups may choose."""


class Entry(Struct, frozen=True):
    """A parsed entry."""

    content: str
    """The text without decorators; macros are not expanded yet."""
    keys: tuple[str, ...] = ()
    secondary: tuple[str, ...] = ()
    """More keys, combined with `keys` according to `logic`."""
    logic: Logic = "and_any"
    additional: tuple[tuple[str, ...], ...] = ()
    """At least one key of each of these must also be found."""
    excluded: tuple[str, ...] = ()
    """None of these may be found."""
    case_sensitive: bool = False
    whole_words: bool = True
    always: bool = False
    """Whether it is constant or activated by a decorator."""
    scan_depth: int | None = None
    """How many of the newest messages are searched; None for the book's default."""
    searched: tuple[Searched, ...] = ()
    """The texts of the character and the persona that are searched as well."""
    generations: frozenset[str] = frozenset()
    """The only kinds of turns, as SillyTavern names them, in which it can be activated."""
    characters: frozenset[str] = frozenset()
    """The names, by `as_file_name`, of the only characters that it is for."""
    is_for_others: bool = False
    """Whether it is for all characters but these."""
    waits_for_chat: bool = False
    """Whether only messages, not other entries, can activate it."""
    quiet: bool = False
    """Whether it cannot activate other entries."""
    delay_level: int = 0
    """If not 0, only texts of entries can activate it, those with lower levels first."""
    probability: float = 100
    """How often it is activated when it could be, in percent."""
    sticky: int = 0
    """For how many messages it stays after it was activated."""
    cooldown: int = 0
    """For how many messages it cannot be activated after that."""
    min_messages: int = 0
    """How many messages a conversation must have."""
    min_replies: int = 0
    """How many of them must be replies."""
    every_replies: int = 0
    """If not 0, the number of replies must be a multiple of it."""
    groups: tuple[str, ...] = ()
    """Of the entries of a group, only one is activated."""
    group_override: bool = False
    """Whether it wins by its order instead of by chance."""
    group_weight: float = 100
    """Its share of the chance."""
    group_scoring: bool = False
    """Whether it yields to entries of its group for which more keys were found."""
    order: float = 0
    """Entries with lower values come earlier in the prompt."""
    rank: float = 0
    """Entries with lower values are dropped first when there is no room."""
    gives_way: bool = False
    """Whether it is dropped before all others."""
    ignores_budget: bool = False
    """Whether it is dropped last, and the budget of its book does not count."""
    position: Position = "after_char"
    outlet: str = ""
    """The name of the outlet, for `outlet`."""
    depth: int = 0
    """For entries among the messages: the number of messages after it."""
    role: Role = "system"
    place: int = 0
    """Its place in the book's list."""
    id: str = ""
    """What identifies it in its book for the rolls: its id, else its place."""
    source: int = 0
    """The place of its book among those of the turn. Set when it is activated, as are these:"""
    part: Part = "character"
    """The part of the turn as which it is screened."""
    trigger: Trigger = Trigger()

    @property
    def all_keys(self) -> tuple[str, ...]:
        """All keys that decide whether it is activated."""
        return (*self.keys, *self.secondary, *self.excluded, *sum(self.additional, ()))


class Book(Struct, frozen=True):
    """A lorebook, as the author's program wrote it."""

    content: Mapping[str, Any]
    part: Part = "character"
    """The part of the turn as which its entries are screened."""
    id: str | None = None
    """Its row in `books`; None for the character's own."""


def parse_entries(book: Mapping[str, Any]) -> Sequence[Entry]:
    """The usable entries of a character book, cached by content."""
    return _books.entries(book)


class _Books:
    """A cache of parsed entries, by the hash of the book's JSON."""

    def __init__(self) -> None:
        self._known: LRUCache[bytes, tuple[int, Sequence[Entry]]] = LRUCache(
            KEPT_BYTES, getsizeof=itemgetter(0)
        )
        self._lock = Lock()
        """Books are parsed in several threads at the same time."""

    def entries(self, book: Mapping[str, Any]) -> Sequence[Entry]:
        try:
            source = dumps(book.get("entries"))
        except (ValueError, RecursionError):  # It cannot be hashed, so it is not cached.
            return _read(book)
        digest = sha256(source).digest()
        with self._lock:
            known = self._known.get(digest)
        if known:
            return known[1]
        entries = _read(book)
        size = memory_of(entries)
        if size <= KEPT_BYTES:
            with self._lock:
                self._known[digest] = size, entries
        return entries


_books = _Books()


def memory_of(entries: Sequence[Entry]) -> int:
    """The approximate memory of entries, in bytes."""
    return sum(
        _ENTRY_BYTES + sum(map(text_memory, (entry.content, *_names(entry)))) for entry in entries
    )


def _names(entry: Entry) -> Iterable[str]:
    """The texts of an entry but its content."""
    return (*entry.all_keys, *entry.groups, *entry.characters, *entry.generations, entry.outlet)


def _read(book: Mapping[str, Any]) -> Sequence[Entry]:
    listed = book.get("entries")
    places = enumerate(listed) if isinstance(listed, list) else ()
    rows = [(place, row) for place, row in places if isinstance(row, dict)]
    limits = _KeyLimits()
    entries = [_entry(place, row) for place, row in rows[:MAX_ENTRIES]]
    return tuple(limits.limited(entry) for entry in entries if entry is not None and entry.content)


class _KeyLimits:
    """How many keys and patterns a book may still have."""

    def __init__(self) -> None:
        self._keys = MAX_KEYS
        self._patterns = MAX_PATTERNS
        self._pattern_chars = MAX_PATTERN_CHARS

    def limited(self, entry: Entry) -> Entry:
        """The entry with only the keys within the limits."""
        groups = (entry.keys, entry.secondary, entry.excluded, *entry.additional)
        kept = [tuple(key for key in keys if self._takes(key)) for keys in groups]
        if kept == list(groups):
            return entry
        keys, secondary, excluded, *additional = kept
        return replace(
            entry,
            keys=keys,
            secondary=secondary,
            excluded=excluded,
            additional=tuple(additional),
        )

    def _takes(self, key: str) -> bool:
        if self._keys <= 0 or len(key) > MAX_KEY_CHARS:
            return False
        if is_pattern(key):
            if self._patterns <= 0 or len(key) > self._pattern_chars:
                return False
            self._patterns -= 1
            self._pattern_chars -= len(key)
        self._keys -= 1
        return True


def without_decorators(content: str) -> str:
    """An entry's text without its decorators."""
    return _decorated(content)[1]


def parse_depth(value: object) -> int | None:
    """A number of messages, clamped to 0 .. `MAX_DEPTH`; None if it is not a number."""
    depth = clamped(number_or_text(value), 0, MAX_DEPTH)
    return None if depth is None else round(depth)


def without_effect(row: Mapping[str, Any]) -> list[str]:
    """The parts of an entry that have no effect here: fields of its `extensions`, position numbers,
    and decorators."""
    more = fields(row.get("extensions"))
    watched = _Watched(more)
    if _entry(0, {**row, "extensions": watched}) is None:
        return []
    unread = [name for name in _FEATURES if name not in watched.read]
    found = [name for name in unread if _changes_something(name, more)]
    place = more.get("position")
    found += _filters_without_effect(more)
    is_nowhere = place == _OUTLET and not _outlet_name(more)
    if is_nowhere or (_is_numeric(place) and place not in _SILLYTAVERN_POSITIONS):
        found.append(f"position {place}")
    return found + [f"@@{name}" for name in _ignored_decorators(text(row.get("content")) or "")]


def _filters_without_effect(more: Mapping[str, Any]) -> list[str]:
    tags = _texts(fields(more.get("character_filter")).get("tags"))
    asked = _generations(more)
    return [
        *(["character_filter.tags"] if tags else []),
        *(["triggers"] if asked and not asked & GENERATIONS else []),
    ]


class _Watched(dict[str, Any]):
    """Fields that record which ones were read."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        super().__init__(known)
        self.read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)


def _changes_something(name: str, more: Mapping[str, Any]) -> bool:
    value = more.get(name)
    if name == "probability" and more.get("useProbability") is False:
        return False
    return bool(value) and value not in _FEATURES[name]


def _entry(place: int, row: Mapping[str, Any]) -> Entry | None:
    decorators, content = _decorated(text(row.get("content")) or "")
    if row.get("enabled") is False or decorators.keys() & _ACTIVATION == {"dont_activate"}:
        return None
    more = fields(row.get("extensions"))
    order = number_or_text(row.get("insertion_order")) or 0.0
    rank = number_or_text(row.get("priority"))
    selective = row.get("selective") is True
    placement = _placement(row, more, decorators)
    entry = Entry(
        content=content,
        keys=_texts(row.get("keys")),
        secondary=_texts(row.get("secondary_keys")) if selective else (),
        logic=_lookup(_SILLYTAVERN_LOGIC, more.get("selectiveLogic")) or "and_any",
        additional=tuple(map(_texts, decorators.get("additional_keys", ()))),
        excluded=tuple(key for keys in decorators.get("exclude_keys", ()) for key in _texts(keys)),
        case_sensitive=_own_or(row.get("case_sensitive"), more.get("case_sensitive")) is True,
        whole_words=more.get("match_whole_words") is not False,
        always=row.get("constant") is True or "activate" in decorators,
        scan_depth=parse_depth(_own_or(_first(decorators, "scan_depth"), more.get("scan_depth"))),
        searched=tuple(text for name, text in SEARCHED.items() if more.get(name) is True),
        generations=_generations(more),
        **_characters(more),
        waits_for_chat=more.get("exclude_recursion") is True,
        quiet=more.get("prevent_recursion") is True,
        delay_level=_delay_level(more.get("delay_until_recursion")),
        probability=_probability(more, decorators),
        **_timing(more, decorators),
        **_grouping(more),
        order=order,
        rank=order if rank is None else rank,
        gives_way="ignore_on_max_context" in decorators,
        ignores_budget=more.get("ignore_budget") is True,
        position=placement.position,
        outlet=placement.outlet,
        depth=placement.depth,
        role=placement.role,
        place=place,
        id=_identity(row.get("id"), place),
    )
    if placement.is_chosen or not _comes_and_goes(entry):
        return entry
    return replace(entry, position="after_history")


def _comes_and_goes(entry: Entry) -> bool:
    """Whether an entry is in some prompts and not in others."""
    return not entry.always or bool(
        entry.cooldown
        or entry.every_replies
        or entry.delay_level
        or entry.probability < 100
        or entry.groups
        or entry.generations
    )


def _own_or(own: object, other: object) -> object:
    """The entry's own value, or the other one if that is null: SillyTavern writes null if a wider
    setting applies."""
    return other if own is None else own


def _identity(value: object, place: int) -> str:
    is_id = type(value) is int or (isinstance(value, str) and value != "")
    return f"id {value}"[:MAX_NAME_CHARS] if is_id else f"place {place}"


def _delay_level(value: object) -> int:
    """SillyTavern writes true for the first level."""
    return 1 if value is True else _count(value, MAX_DELAY_LEVEL)


def _probability(more: Mapping[str, Any], decorators: "Decorators") -> float:
    own = _own_or(more.get("probability"), more.get("risu_activationPercent"))
    if more.get("useProbability") is False:
        own = None
    value = clamped(number_or_text(_own_or(_first(decorators, "probability"), own)), 0, 100)
    return 100 if value is None else value


def _count(value: object, most: int = MAX_MESSAGES) -> int:
    """A number of messages; 0 for an invalid value."""
    return int(clamped(number_or_text(value), 0, most) or 0)


def _timing(more: Mapping[str, Any], decorators: "Decorators") -> dict[str, Any]:
    keeps = "keep_activate_after_match" in decorators
    stops = "dont_activate_after_match" in decorators
    return {
        "sticky": MAX_MESSAGES if keeps else _count(more.get("sticky")),
        "cooldown": MAX_MESSAGES if stops else _count(more.get("cooldown")),
        "min_messages": _count(more.get("delay")),
        "min_replies": _count(_first(decorators, "activate_only_after")),
        "every_replies": _count(_first(decorators, "activate_only_every")),
    }


def _generations(more: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name.lower() for name in _texts(more.get("triggers"))) or _NONE


def _characters(more: Mapping[str, Any]) -> dict[str, Any]:
    chosen = fields(more.get("character_filter"))
    names = map(as_file_name, _texts(chosen.get("names")))
    return {
        "characters": frozenset(filter(None, names)) or _NONE,
        "is_for_others": _own_or(chosen.get("isExclude"), chosen.get("is_exclude")) is True,
    }


def as_file_name(name: str) -> str:
    """A name for comparing. SillyTavern filters by file names, which lack some characters."""
    plain = name.translate(_NOT_IN_FILE_NAMES).casefold().strip()
    return plain.removesuffix(".png").removeprefix("default_")


def _grouping(more: Mapping[str, Any]) -> dict[str, Any]:
    weight = clamped(number_or_text(more.get("group_weight")), 0, MAX_MESSAGES)
    group = more.get("group")
    names = dict.fromkeys(
        _texts(group[: MAX_GROUPS * MAX_NAME_CHARS] if isinstance(group, str) else ())
    )
    return {
        "groups": tuple(names)[:MAX_GROUPS],
        "group_override": more.get("group_override") is True,
        "group_weight": 100.0 if weight is None else weight,
        "group_scoring": more.get("use_group_scoring") is True,
    }


class _Placement(NamedTuple):
    position: Position
    depth: int = 0
    role: Role = "system"
    outlet: str = ""
    is_chosen: bool = True
    """Whether the author chose it."""


def _placement(
    row: Mapping[str, Any], more: Mapping[str, Any], decorators: "Decorators"
) -> _Placement:
    """Where to put the entry: from decorators, else from SillyTavern, else from the card."""
    role = _V3_ROLES.get(_first(decorators, "role")) or _lookup(
        _SILLYTAVERN_ROLES, more.get("role")
    )
    role = role or "system"
    position = _V3_POSITIONS.get(_first(decorators, "position"))
    depth = parse_depth(_first(decorators, "depth"))
    if position is None and depth is not None:
        return _Placement("in_chat", depth, role)
    position = position or _lookup(_SILLYTAVERN_POSITIONS, more.get("position"))
    if position == "in_chat":
        depth = parse_depth(more.get("depth"))
        return _Placement("in_chat", DEFAULT_DEPTH if depth is None else depth, role)
    if position in ("note_top", "note_bottom"):
        return _Placement(position, DEFAULT_DEPTH)
    plain: Position = "before_char" if row.get("position") == "before_char" else "after_char"
    return _Placement(
        position or plain,
        role=role,
        outlet=_outlet_name(more) if position == "outlet" else "",
        is_chosen=position is not None or row.get("position") == plain,
    )


def _outlet_name(more: Mapping[str, Any]) -> str:
    return (text(more.get("outlet_name")) or "").strip()[:MAX_NAME_CHARS]


Decorators = dict[str, list[str]]
"""The values of decorators, by name."""


def _first(decorators: Decorators, name: str) -> str | None:
    return decorators[name][0] if name in decorators else None


def _decorated(content: str) -> tuple[Decorators, str]:
    """The supported decorators, and the text after all decorators.

    A decorator that starts with "@@@" is a fallback, used if the one before it is not supported.
    """
    decorators: Decorators = {}
    understood = False
    end = 0
    for line in content.split("\n"):
        if not line.startswith("@@") and line.strip():
            break
        end += len(line) + 1
        if line.startswith("@@@") and understood:
            continue
        name, value = _decorator(line)
        understood = _is_understood(name, value)
        if understood:
            decorators.setdefault(name, []).append(value)
    return decorators, content[end:].strip()


def _decorator(line: str) -> tuple[str, str]:
    name, _, value = line.lstrip("@").strip().partition(" ")
    return name, value.strip()


def _is_understood(name: str, value: str) -> bool:
    return name in _DECORATORS and _DECORATORS[name](value)


def _ignored_decorators(content: str) -> list[str]:
    """The names of decorators that are not supported and have no supported fallback."""
    ignored: list[str] = []
    pending = ""
    for line in content.split("\n"):
        if not line.startswith("@@") and line.strip():
            break
        name, value = _decorator(line)
        is_fallback = line.startswith("@@@") and pending
        if not is_fallback and pending:
            ignored.append(pending)
        pending = (
            "" if not name or _is_understood(name, value) else pending if is_fallback else name
        )
    return [*ignored, pending] if pending else ignored


def _is_number(value: str) -> bool:
    return number_or_text(value) is not None


_DECORATORS: dict[str, Callable[[str], bool]] = {
    "depth": _is_number,
    "scan_depth": _is_number,
    "role": lambda value: value in _V3_ROLES,
    "position": lambda value: value in _V3_POSITIONS,
    "activate": lambda value: not value,
    "dont_activate": lambda value: not value,
    "activate_only_after": _is_number,
    "activate_only_every": _is_number,
    "keep_activate_after_match": lambda value: not value,
    "dont_activate_after_match": lambda value: not value,
    "ignore_on_max_context": lambda value: not value,
    "probability": _is_number,
    "additional_keys": bool,
    "exclude_keys": bool,
}
_ACTIVATION = {"activate", "dont_activate"}


def _texts(value: object) -> tuple[str, ...]:
    """Keys, given as a list or (in some places of V3) as text separated by commas."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list):
        return ()
    return tuple(text.strip() for text in texts if isinstance(text, str) and text.strip())


T = TypeVar("T")


def _lookup(table: Mapping[object, T], value: object) -> T | None:
    """The meaning of a number, which some programs write as 4.0."""
    return table.get(value) if _is_numeric(value) else None


def _is_numeric(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
