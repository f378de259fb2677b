"""A character book's entries, whoever wrote them: what is missing or odd gets its default.

Besides Character Card V2 and V3 this knows what SillyTavern keeps in `extensions`, because most
books come from there, and of V3's decorators (lines such as "@@depth 4" before an entry's text)
those in `_DECORATORS`. The others are left out of the text and do nothing.
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
"""Of a book. Of more the first are used; the others call for nothing."""
MAX_PATTERNS = 500
"""Of a book, the same: they are compiled, and a plain key is not."""
MAX_PATTERN_CHARS = 20_000
"""Of a book, all patterns together."""
KEPT_BYTES = 4 * 2**20
"""Of the books whose entries are kept, as JSON; the entries take some three times that."""

_SILLYTAVERN_POSITIONS: dict[object, Position] = {0: "before_char", 1: "after_char", 4: "in_chat"}
_SILLYTAVERN_ROLES: dict[object, Role] = {0: "system", 1: "user", 2: "assistant"}
_SILLYTAVERN_LOGIC: dict[object, Logic] = {0: "and_any", 1: "not_all", 2: "not_any", 3: "and_all"}
_V3_POSITIONS: dict[object, Position] = {"before_desc": "before_char", "after_desc": "after_char"}
_V3_ROLES: dict[object, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class Entry:
    """One entry, ready to be matched."""

    content: str
    """Without decorators; macros not expanded yet."""
    keys: tuple[str, ...] = ()
    secondary: tuple[str, ...] = ()
    """Further keys, used as `logic` says."""
    logic: Logic = "and_any"
    additional: tuple[str, ...] = ()
    """One of these has to be there too."""
    excluded: tuple[str, ...] = ()
    """None of these may be there."""
    case_sensitive: bool = False
    whole_words: bool = True
    use_regex: bool = False
    always: bool = False
    """Constant, or activated by a decorator."""
    scan_depth: int | None = None
    """How many of the newest messages are searched, where the book does not say it for all."""
    waits_for_chat: bool = False
    """Not activated by other entries."""
    quiet: bool = False
    """Activates no other entries."""
    order: float = 0
    """The lower, the earlier in the prompt."""
    rank: float = 0
    """The lower, the sooner left out when there is no room."""
    position: Position = "after_char"
    depth: int = 0
    """For `in_chat`: how many messages come after it."""
    role: Role = "system"


def parse_entries(book: Mapping[str, Any]) -> Sequence[Entry]:
    """The entries of a character book that can be used at all. The same book is read once."""
    return _books.entries(book)


class _Books:
    """The entries of the books used last, by what is written in them."""

    def __init__(self) -> None:
        self._known: LRUCache[bytes, tuple[int, Sequence[Entry]]] = LRUCache(
            KEPT_BYTES, getsizeof=itemgetter(0)
        )
        self._lock = Lock()
        """Several turns are read in threads at the same time."""

    def entries(self, book: Mapping[str, Any]) -> Sequence[Entry]:
        try:
            source = dumps(book.get("entries"))
        except (ValueError, RecursionError):  # Cannot be written, can be read: nothing is lost.
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
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    room = _Room()
    entries = [_entry(row) for row in rows[:MAX_ENTRIES]]
    return tuple(room.fitted(entry) for entry in entries if entry is not None and entry.content)


class _Room:
    """What is left of the number of keys and patterns that a book may have."""

    def __init__(self) -> None:
        self._keys = MAX_KEYS
        self._patterns = MAX_PATTERNS
        self._pattern_chars = MAX_PATTERN_CHARS

    def fitted(self, entry: Entry) -> Entry:
        """The entry with the keys that there is room for."""
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
    """An entry's text alone."""
    return _decorated(content)[1]


def parse_depth(value: object) -> int | None:
    """A number of messages in a card; None where there is none."""
    depth = clamped(number_or_text(value), 0, MAX_DEPTH)
    return None if depth is None else round(depth)


def _entry(row: Mapping[str, Any]) -> Entry | None:
    decorators, content = _decorated(text(row.get("content")) or "")
    if row.get("enabled") is False or decorators.keys() & _ACTIVATION == {"dont_activate"}:
        return None
    more = fields(row.get("extensions"))
    order = number_or_text(row.get("insertion_order")) or 0.0
    rank = number_or_text(row.get("priority"))
    selective = row.get("selective") is True
    position, depth, role = _place(row, more, decorators)
    return Entry(
        content=content,
        keys=_texts(row.get("keys")),
        secondary=_texts(row.get("secondary_keys")) if selective else (),
        logic=_named(_SILLYTAVERN_LOGIC, more.get("selectiveLogic")) or "and_any",
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
    )


def _place(
    row: Mapping[str, Any], more: Mapping[str, Any], decorators: Mapping[str, str]
) -> tuple[Position, int, Role]:
    """Position, depth and role: a decorator's, else SillyTavern's, else the card's."""
    role = _V3_ROLES.get(decorators.get("role")) or _named(_SILLYTAVERN_ROLES, more.get("role"))
    position = _V3_POSITIONS.get(decorators.get("position"))
    depth = parse_depth(decorators.get("depth"))
    if position is None and depth is not None:
        return "in_chat", depth, role or "system"
    position = position or _named(_SILLYTAVERN_POSITIONS, more.get("position"))
    if position == "in_chat":
        return "in_chat", parse_depth(more.get("depth")) or 0, role or "system"
    plain: Position = "before_char" if row.get("position") == "before_char" else "after_char"
    return position or plain, 0, role or "system"


def _decorated(content: str) -> tuple[dict[str, str], str]:
    """The decorators that are understood, by name, and the text after them all.

    A decorator with three signs stands in for the one before it, where that is not understood.
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
        name, _, value = line.lstrip("@").strip().partition(" ")
        understood = name in _DECORATORS and _DECORATORS[name](value.strip())
        if understood:
            decorators.setdefault(name, value.strip())
    return decorators, content[end:].strip()


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
    """Keys: a list, or as V3 has it in places, one text with commas."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list):
        return ()
    return tuple(text.strip() for text in texts if isinstance(text, str) and text.strip())


T = TypeVar("T")


def _named(table: Mapping[object, T], value: object) -> T | None:
    return table.get(value) if isinstance(value, int) else None
