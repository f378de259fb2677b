"""Parses the entries of a character book. Missing or invalid fields get their defaults.

Supports Character Card V2 and V3, SillyTavern's `extensions` (where most books come from), and of
V3's decorators (lines such as "@@depth 4" before an entry's text) those in `_DECORATORS`. Other
decorators are removed from the text and ignored. `without_effect` names all that has no effect.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from operator import itemgetter
from threading import Lock
from typing import Any, Literal, TypeVar

from cachetools import LRUCache

from edge.json_text import dumps
from edge.json_values import clamped, fields, number_or_text, text
from roleplay_chat.lorebook.keys import MAX_KEY_CHARS, is_pattern
from roleplay_chat.messages import Role

Position = Literal["before_char", "after_char", "in_chat"]
Logic = Literal["and_any", "not_all", "not_any", "and_all"]

MAX_ENTRIES = 2_000
MAX_DEPTH = 1_000
MAX_KEYS = 10_000
"""Keys in a book; further ones are ignored."""
MAX_PATTERNS = 500
"""Patterns in a book, which are compiled, unlike plain keys; further ones are ignored."""
MAX_PATTERN_CHARS = 20_000
"""Characters of all patterns in a book."""
KEPT_BYTES = 4 * 2**20
"""The size of the cached books as JSON; the parsed entries take about three times as much."""

_SILLYTAVERN_POSITIONS: dict[object, Position] = {0: "before_char", 1: "after_char", 4: "in_chat"}
_SILLYTAVERN_ROLES: dict[object, Role] = {0: "system", 1: "user", 2: "assistant"}
_SILLYTAVERN_LOGIC: dict[object, Logic] = {0: "and_any", 1: "not_all", 2: "not_any", 3: "and_all"}
_V3_POSITIONS: dict[object, Position] = {"before_desc": "before_char", "after_desc": "after_char"}
_V3_ROLES: dict[object, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


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
besides empty ones. Whether one has an effect here is decided by `_entry`: by whether it is read."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why an entry was activated. Keys are as the author wrote them."""

    key: str | None = None
    """The key that was found; None if the entry is constant."""
    secondary: str | None = None
    """The secondary key that was found, if there is one."""
    is_indirect: bool = False
    """Whether the texts of other entries were searched as well."""


@dataclass(frozen=True)
class Entry:
    """A parsed entry."""

    content: str
    """The text without decorators; macros are not expanded yet."""
    keys: tuple[str, ...] = ()
    secondary: tuple[str, ...] = ()
    """More keys, combined with `keys` according to `logic`."""
    logic: Logic = "and_any"
    additional: tuple[str, ...] = ()
    """If given, at least one of these must also be found."""
    excluded: tuple[str, ...] = ()
    """None of these may be found."""
    case_sensitive: bool = False
    whole_words: bool = True
    use_regex: bool = False
    always: bool = False
    """Whether it is constant or activated by a decorator."""
    scan_depth: int | None = None
    """How many of the newest messages are searched; None for the book's default."""
    waits_for_chat: bool = False
    """Whether only messages, not other entries, can activate it."""
    quiet: bool = False
    """Whether it cannot activate other entries."""
    order: float = 0
    """Entries with lower values come earlier in the prompt."""
    rank: float = 0
    """Entries with lower values are dropped first when there is no room."""
    position: Position = "after_char"
    depth: int = 0
    """For `in_chat`: the number of messages after it."""
    role: Role = "system"
    place: int = 0
    """Its place in the book's list."""
    trigger: Trigger = Trigger()
    """Set when it is activated."""


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
        if len(source) <= KEPT_BYTES:
            with self._lock:
                self._known[digest] = len(source), entries
        return entries


_books = _Books()


def _read(book: Mapping[str, Any]) -> Sequence[Entry]:
    listed = book.get("entries")
    places = enumerate(listed) if isinstance(listed, list) else ()
    rows = [(place, row) for place, row in places if isinstance(row, dict)]
    limits = _KeyLimits()
    entries = [_entry(place, row) for place, row in rows[:MAX_ENTRIES]]
    return tuple(limits.limited(entry) for entry in entries if entry is not None and entry.content)


class _KeyLimits:
    """The keys and patterns that a book may still have."""

    def __init__(self) -> None:
        self._keys = MAX_KEYS
        self._patterns = MAX_PATTERNS
        self._pattern_chars = MAX_PATTERN_CHARS

    def limited(self, entry: Entry) -> Entry:
        """The entry with the keys that are within the limits."""
        groups = (entry.keys, entry.secondary, entry.additional, entry.excluded)
        kept = [tuple(key for key in keys if self._takes(key, entry)) for keys in groups]
        if kept == list(groups):
            return entry
        keys, secondary, additional, excluded = kept
        return replace(
            entry, keys=keys, secondary=secondary, additional=additional, excluded=excluded
        )

    def _takes(self, key: str, entry: Entry) -> bool:
        if self._keys <= 0 or len(key) > MAX_KEY_CHARS:
            return False
        if entry.use_regex and is_pattern(key):
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
    """What an entry asks for that has no effect here: fields of its `extensions`, numbers of
    positions, and decorators."""
    more = fields(row.get("extensions"))
    watched = _Watched(more)
    if _entry(0, {**row, "extensions": watched}) is None:
        return []
    unread = [name for name in _FEATURES if name not in watched.read]
    found = [name for name in unread if _changes_something(name, more)]
    place = more.get("position")
    if isinstance(place, int) and place not in _SILLYTAVERN_POSITIONS:
        found.append(f"position {place}")
    return found + [f"@@{name}" for name in _ignored_decorators(text(row.get("content")) or "")]


class _Watched(dict[str, Any]):
    """Fields that know which of them were read."""

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
    position, depth, role = _placement(row, more, decorators)
    return Entry(
        content=content,
        keys=_texts(row.get("keys")),
        secondary=_texts(row.get("secondary_keys")) if selective else (),
        logic=_lookup(_SILLYTAVERN_LOGIC, more.get("selectiveLogic")) or "and_any",
        additional=_texts(decorators.get("additional_keys")),
        excluded=_texts(decorators.get("exclude_keys")),
        case_sensitive=row.get("case_sensitive", more.get("case_sensitive")) is True,
        whole_words=more.get("match_whole_words") is not False,
        use_regex=row.get("use_regex") is True,
        always=row.get("constant") is True or "activate" in decorators,
        scan_depth=parse_depth(decorators.get("scan_depth", more.get("scan_depth"))),
        waits_for_chat=more.get("exclude_recursion") is True,
        quiet=more.get("prevent_recursion") is True,
        order=order,
        rank=order if rank is None else rank,
        position=position,
        depth=depth,
        role=role,
        place=place,
    )


def _placement(
    row: Mapping[str, Any], more: Mapping[str, Any], decorators: Mapping[str, str]
) -> tuple[Position, int, Role]:
    """Position, depth and role: from decorators, else from SillyTavern, else from the card."""
    role = _V3_ROLES.get(decorators.get("role")) or _lookup(_SILLYTAVERN_ROLES, more.get("role"))
    position = _V3_POSITIONS.get(decorators.get("position"))
    depth = parse_depth(decorators.get("depth"))
    if position is None and depth is not None:
        return "in_chat", depth, role or "system"
    position = position or _lookup(_SILLYTAVERN_POSITIONS, more.get("position"))
    if position == "in_chat":
        return "in_chat", parse_depth(more.get("depth")) or 0, role or "system"
    plain: Position = "before_char" if row.get("position") == "before_char" else "after_char"
    return position or plain, 0, role or "system"


def _decorated(content: str) -> tuple[dict[str, str], str]:
    """The supported decorators by name, and the text after all decorators.

    A decorator that starts with "@@@" is a fallback, used if the one before it is not supported.
    """
    decorators: dict[str, str] = {}
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
            decorators.setdefault(name, value)
    return decorators, content[end:].strip()


def _decorator(line: str) -> tuple[str, str]:
    name, _, value = line.lstrip("@").strip().partition(" ")
    return name, value.strip()


def _is_understood(name: str, value: str) -> bool:
    return name in _DECORATORS and _DECORATORS[name](value)


def _ignored_decorators(content: str) -> list[str]:
    """The names of decorators that are not supported, and no fallback of theirs either."""
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
    return table.get(value) if isinstance(value, int) else None
