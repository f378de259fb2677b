"""Selects the entries of the lorebooks of a turn that a conversation activates."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge.json_values import fields, number_or_text
from roleplay_chat.lorebook.chance import Moment
from roleplay_chat.lorebook.entries import Book, Entry, Trigger, parse_depth, parse_entries
from roleplay_chat.lorebook.groups import losers
from roleplay_chat.lorebook.keys import Scope, compiled, is_pattern
from roleplay_chat.lorebook.timing import Finds, Replay, is_met

DEFAULT_SCAN_DEPTH = 4
"""Messages searched if the book does not say: two exchanges."""
MAX_ROUNDS = 3
"""How many times activated entries may activate others."""
CHECK_SECONDS = 0.5
"""The time limit for checking all patterns of a book."""
SMALL_ENTRIES = SMALL_KEYS = 50
SMALL_CHARS = 50_000
"""The limits for books that are matched on the event loop."""
MAX_GROWTH = 200_000
"""Characters that macros may add to all entries of a turn together."""
_OF_SILLYTAVERN = frozenset(
    (
        *("selectiveLogic", "useProbability", "display_index", "exclude_recursion"),
        *("prevent_recursion", "delay_until_recursion", "match_whole_words", "automation_id"),
    )
)
"""Fields in the `extensions` of SillyTavern's entries."""

Expand = Callable[[str], str]


@dataclass(frozen=True)
class Conversation:
    """The messages that entries are searched for in."""

    texts: Sequence[str]
    """The newest messages, the oldest first, with the names of their speakers."""
    now: Moment
    replies: Sequence[int] = ()
    """For each earlier reply, the number of texts before it."""

    @classmethod
    def from_texts(cls, texts: Sequence[str]) -> "Conversation":
        """A conversation of which nothing else is known: every second text is a reply."""
        replies = range(1, len(texts), 2)
        return cls(texts, Moment("", len(texts), len(replies)), replies)


def match_entries(
    books: Mapping[str, Any] | Sequence[Book],
    said: Sequence[str] | Conversation,
    *,
    expand: Expand = str,
    expand_pattern: Expand | None = None,
) -> list[Entry]:
    """The entries that a conversation activates, in the order of the books.

    `books` is a character's book, or several, the most important first. `expand` resolves macros in
    keys and contents, `expand_pattern` in patterns; contents beyond `MAX_GROWTH` stay unexpanded.
    Match once per turn and reuse the result: slow patterns count as not found, so a second call
    may differ.
    """
    conversation = said if isinstance(said, Conversation) else Conversation.from_texts(said)
    books = [Book(books)] if isinstance(books, Mapping) else books
    active = _Search(books, conversation, expand, expand_pattern or expand).active()
    growth = 0
    entries = []
    for _, (entry, trigger) in sorted(active.items()):
        content = expand(entry.content)
        added = max(len(content) - len(entry.content), 0)
        known = growth + added <= MAX_GROWTH
        growth += added if known else 0
        entries.append(replace(entry, content=content if known else entry.content, trigger=trigger))
    return entries


def select_entries(
    entries: Sequence[Entry],
    books: Mapping[str, Any] | Sequence[Book],
    *,
    budget_tokens: int,
    count: Callable[[str], int],
) -> list[Entry]:
    """The most important of the matched entries within `budget_tokens`, in the prompt's order.

    `count` counts tokens. A book may set a smaller budget for its own. The entries of the last book
    are dropped first, of each book those of the lowest rank, and constant ones last of all.
    """
    books = [Book(books)] if isinstance(books, Mapping) else books
    left = budget_tokens
    own_left = {place: _own_budget(book) for place, book in enumerate(books)}
    kept: list[tuple[int, Entry]] = []
    for place, entry in sorted(enumerate(entries), key=_importance) if left > 0 else ():
        cost = count(entry.content)
        if cost <= min(left, own_left[entry.source]):
            left -= cost
            own_left[entry.source] -= cost
            kept.append((place, entry))
    return [entry for _, entry in sorted(kept, key=lambda item: (item[1].order, item[0]))]


def _own_budget(book: Book) -> float:
    own = number_or_text(book.content.get("token_budget")) or 0
    return own if own > 0 else float("inf")


def are_small(books: Iterable[Mapping[str, Any]]) -> bool:
    """Whether matching the books takes hardly longer than handing them to a thread."""
    listed = [book.get("entries") for book in books]
    entries = [entry for some in listed if isinstance(some, list) for entry in some]
    if len(entries) > SMALL_ENTRIES:
        return False
    keys = sum(map(_keys, entries))
    return keys <= SMALL_KEYS and sum(map(_chars, entries)) <= SMALL_CHARS


def is_small(book: Mapping[str, Any]) -> bool:
    """As `are_small`, for one book."""
    return are_small([book])


def _keys(entry: object) -> int:
    """The number of keys; an entry with patterns, which may be slow, or with effects of earlier
    replies exceeds the limit alone."""
    if not isinstance(entry, dict):
        return 0
    keys = [key for some in _lists_of_keys(entry) if isinstance(some, list) for key in some]
    is_slow = any(isinstance(key, str) and key.lstrip()[:1] == "/" for key in keys)
    return SMALL_KEYS + 1 if is_slow or _is_timed(entry) else len(keys)


def _is_timed(entry: Mapping[str, Any]) -> bool:
    more, content = fields(entry.get("extensions")), entry.get("content")
    return bool(more.get("sticky") or more.get("cooldown")) or (
        isinstance(content, str) and "activate_after_match" in content
    )


def _chars(entry: object) -> int:
    """The length of the content, which may hold keys in decorators, and of keys given as text."""
    if not isinstance(entry, dict):
        return 0
    texts = entry.get("content"), *_lists_of_keys(entry)
    return sum(len(text) for text in texts if isinstance(text, str))


def _lists_of_keys(entry: Mapping[str, Any]) -> tuple[object, object]:
    return entry.get("keys"), entry.get("secondary_keys")


def broken_patterns(book: Mapping[str, Any]) -> int:
    """The number of invalid patterns in a book, as far as `CHECK_SECONDS` allow."""
    deadline = time.monotonic() + CHECK_SECONDS
    broken = 0
    for entry in parse_entries(book):
        for key in (*entry.keys, *entry.secondary):
            if time.monotonic() > deadline:
                return broken
            if is_pattern(key) and compiled(key) is None:
                broken += 1
    return broken


def _importance(item: tuple[int, Entry]) -> tuple[bool, bool, int, float, int]:
    place, entry = item
    return entry.gives_way, not entry.always, entry.source, -entry.rank, place


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An entry, and what its book says of it."""

    entry: Entry
    depth: int
    """The messages that it searches."""
    recurses: bool
    """Whether other entries can activate it, and it others."""


class _Search:
    """The entries that one reply activates. Places count through all books."""

    def __init__(
        self,
        books: Sequence[Book],
        conversation: Conversation,
        expand: Expand,
        expand_pattern: Expand,
    ) -> None:
        self._expand = expand
        self._expand_pattern = expand_pattern
        self._now = conversation.now
        self._scope = Scope(reversed(conversation.texts))
        self._active: dict[int, tuple[Entry, Trigger]] = {}
        replay = Replay(conversation.texts, conversation.now, conversation.replies)
        listed = [one for source, book in enumerate(books) for one in _candidates(source, book)]
        states = {
            place: replay.state(one.entry, one.depth, self._activates(one.entry))
            for place, one in enumerate(listed)
        }
        self._staying = {place for place, state in states.items() if state == "stays"}
        self._open = {
            place: one
            for place, one in enumerate(listed)
            if place in self._staying or (states[place] == "free" and is_met(one.entry, self._now))
        }

    def active(self) -> dict[int, tuple[Entry, Trigger]]:
        """The activated entries, and why, by place.

        First by the messages, then again and again by the texts of those that are new. Delayed
        levels are opened one after the other, whenever nothing new is found.
        """
        levels = sorted({one.entry.delay_level for one in self._open.values()} - {0})
        level = levels.pop(0) if levels else 0
        telling = self._round(0, is_indirect=False)
        rounds = 0
        while (telling and rounds < MAX_ROUNDS) or levels:
            if telling and rounds < MAX_ROUNDS:
                rounds += 1
            else:
                level = levels.pop(0)
            self._scope.reveal(telling)
            telling = self._round(level, is_indirect=True)
        return self._active

    def _round(self, level: int, *, is_indirect: bool) -> list[str]:
        """Activates what is found now. Returns the texts that may activate others."""
        new = {
            place: (one.entry, trigger)
            for place, one in self._open.items()
            if self._may(place, one, level, is_indirect=is_indirect)
            and (trigger := self._trigger(place, one, is_indirect=is_indirect))
        }
        active = [entry for entry, _ in self._active.values()]
        for place in losers(new, active, self._staying, self._now):
            del new[place]
        self._active |= new
        return [
            entry.content
            for place, (entry, _) in new.items()
            if self._open[place].recurses and not entry.quiet
        ]

    def _may(self, place: int, one: _Candidate, level: int, *, is_indirect: bool) -> bool:
        if place in self._active:
            return False
        if place in self._staying:
            return True
        if is_indirect and (not one.recurses or one.entry.waits_for_chat):
            return False
        return one.entry.delay_level <= level if is_indirect else not one.entry.delay_level

    def _trigger(self, place: int, one: _Candidate, *, is_indirect: bool) -> Trigger | None:
        if place in self._staying:
            return Trigger(stays=True)
        entry = one.entry

        def finds(key: str, as_pattern: bool) -> bool:
            return self._scope.has(
                key,
                depth=one.depth,
                case_sensitive=entry.case_sensitive,
                whole_words=entry.whole_words,
                as_pattern=as_pattern,
            )

        return _trigger(entry, self._expanding(finds), is_indirect=is_indirect)

    def _activates(self, entry: Entry) -> Callable[[Finds], bool]:
        return lambda finds: (
            not entry.delay_level and _trigger(entry, self._expanding(finds)) is not None
        )

    def _expanding(self, finds: Finds) -> Callable[[str], bool]:
        def finds_expanded(key: str) -> bool:
            as_pattern = is_pattern(key)
            return finds((self._expand_pattern if as_pattern else self._expand)(key), as_pattern)

        return finds_expanded


def _candidates(source: int, book: Book) -> Iterable[_Candidate]:
    depth = parse_depth(book.content.get("scan_depth"))
    depth = DEFAULT_SCAN_DEPTH if depth is None else depth
    recurses = _recurses(book.content)
    for entry in parse_entries(book.content):
        yield _Candidate(
            replace(entry, source=source, part=book.part) if source or book.id else entry,
            depth if entry.scan_depth is None else entry.scan_depth,
            recurses,
        )


def _recurses(book: Mapping[str, Any]) -> bool:
    """What the book says. SillyTavern's do not say it, and mean that they do."""
    own = book.get("recursive_scanning")
    if own is not None:
        return own is True
    listed = book.get("entries")
    rows = listed if isinstance(listed, list) else []
    return any(
        not _OF_SILLYTAVERN.isdisjoint(fields(row.get("extensions")))
        for row in rows
        if isinstance(row, dict)
    )


def _trigger(
    entry: Entry, finds: Callable[[str], bool], *, is_indirect: bool = False
) -> Trigger | None:
    """Why the entry is activated; None if it is not."""

    def found(keys: tuple[str, ...]) -> list[str]:
        return [key for key in keys if finds(key)]

    if entry.excluded and found(entry.excluded):
        return None
    if not all(found(keys) for keys in entry.additional):
        return None
    if entry.always:
        return Trigger(is_indirect=is_indirect)
    if not (keys := found(entry.keys)):
        return None
    secondary = found(entry.secondary)
    is_met = (
        not entry.secondary
        or {
            "and_any": bool(secondary),
            "and_all": len(secondary) == len(entry.secondary),
            "not_any": not secondary,
            "not_all": len(secondary) < len(entry.secondary),
        }[entry.logic]
    )
    counted = secondary if entry.logic in ("and_any", "and_all") else []
    first = next(iter(secondary), None)
    return Trigger(keys[0], first, is_indirect, score=len(keys) + len(counted)) if is_met else None
