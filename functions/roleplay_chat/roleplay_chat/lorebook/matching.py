"""Selects the entries of the lorebooks of a turn that a conversation activates."""

import re
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from edge.json_values import clamped, fields, number_or_text
from roleplay_chat.lorebook.chance import Moment
from roleplay_chat.lorebook.entries import (
    MAX_DEPTH,
    SEARCHED,
    Book,
    Entry,
    Trigger,
    as_file_name,
    parse_depth,
    parse_entries,
)
from roleplay_chat.lorebook.groups import losers
from roleplay_chat.lorebook.keys import Describe, Scope, compiled, is_pattern
from roleplay_chat.lorebook.timing import Finds, Replay, is_met

DEFAULT_SCAN_DEPTH = 4
"""Messages searched if the book does not say: two exchanges."""
MAX_ROUNDS = 3
"""How many times activated entries may activate others."""
MAX_LEAST = 100
"""The most entries that a book may search older messages for."""
CHECK_SECONDS = 0.5
"""The time limit for checking all patterns of a book."""
SMALL_ENTRIES = SMALL_KEYS = 50
SMALL_CHARS = 50_000
"""The limits for books that are matched on the event loop."""
SMALL_SEARCHED = 8_000
"""The same of the messages that they search, in characters. With letters, case and ends of words as
some entries want them, 1,000 of them take up to three milliseconds."""
SMALL_MACRO_SIGNS = 1_000
"""The same for brackets that may begin or end a macro: each takes some ten microseconds."""
DICE_SIGNS = 250
"""How many brackets a text that may roll dice counts as: one roll may throw a thousand."""
MAX_GROWTH = 200_000
"""Characters that macros may add to all entries of a turn together."""
_OF_SILLYTAVERN = frozenset(
    (
        *("selectiveLogic", "useProbability", "display_index", "exclude_recursion"),
        *("prevent_recursion", "delay_until_recursion", "match_whole_words", "automation_id"),
    )
)
"""Fields in the `extensions` of SillyTavern's entries."""

_NAME = re.compile(r"\{\{\s*(?:char|user|character_name|user_name)\s*\}\}", re.IGNORECASE)
"""What stands for a name in a key."""

Expand = Callable[[str], str]


class Conversation(Struct, frozen=True):
    """The messages that are searched for keys."""

    texts: Sequence[str]
    """The newest messages, the oldest first, with the names of their speakers."""
    now: Moment
    replies: Sequence[int] = ()
    """For each earlier reply, the number of texts before it."""
    positions: Sequence[int] = ()
    """The positions of the texts; without them, the texts count from 1."""
    continues: bool = False
    """Whether the last text is the beginning of the reply."""
    generations: frozenset[str] = frozenset({"normal"})
    """What SillyTavern calls this kind of turn."""
    character: Collection[str] = ()
    """The names of the character who replies."""
    describe: Describe = lambda _: ""
    """Gives the texts of `Entry.searched`."""

    @classmethod
    def from_texts(cls, texts: Sequence[str]) -> "Conversation":
        """A conversation of which only the texts are known: every second one is a reply."""
        replies = range(1, len(texts), 2)
        return cls(texts, Moment("", len(texts), len(replies), len(texts)), replies)


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
    are dropped first; within a book, those of the lowest rank first, then constant ones, and last
    those that ignore their book's budget.
    """
    books = [Book(books)] if isinstance(books, Mapping) else books
    left = budget_tokens
    own_left = {place: _own_budget(book) for place, book in enumerate(books)}
    kept: list[tuple[int, Entry]] = []
    for place, entry in sorted(enumerate(entries), key=_importance) if left > 0 else ():
        cost = count(entry.content)
        own = float("inf") if entry.ignores_budget else own_left[entry.source]
        if cost <= min(left, own):
            left -= cost
            own_left[entry.source] -= 0 if entry.ignores_budget else cost
            kept.append((place, entry))
    return [entry for _, entry in sorted(kept, key=lambda item: (item[1].order, item[0]))]


def _own_budget(book: Book) -> float:
    own = number_or_text(book.content.get("token_budget")) or 0
    return own if own > 0 else float("inf")


def are_small(books: Iterable[Mapping[str, Any]], said: Sequence[str] = ()) -> bool:
    """Whether matching the books takes little longer than handing them to a thread. `said` are the
    messages, the oldest first."""
    books = list(books)
    if any(_least_entries(book) for book in books):
        return False
    listed = [book.get("entries") for book in books]
    entries = [entry for some in listed if isinstance(some, list) for entry in some]
    if len(entries) > SMALL_ENTRIES:
        return False
    keys = sum(map(_keys, entries))
    if keys > SMALL_KEYS or sum(map(_chars, entries)) > SMALL_CHARS:
        return False
    if sum(map(_macro_signs, entries)) > SMALL_MACRO_SIGNS:
        return False
    return sum(map(len, said)) <= SMALL_SEARCHED or _searched(books, said) <= SMALL_SEARCHED


def _searched(books: Iterable[Mapping[str, Any]], said: Sequence[str]) -> int:
    """How many characters of the messages are searched."""
    depths = (one.depth for book in books for one in _candidates(0, Book(book)))
    depth = min(max(depths, default=0), len(said))
    return sum(map(len, said[len(said) - depth :]))


def is_small(book: Mapping[str, Any]) -> bool:
    """As `are_small`, for one book."""
    return are_small([book])


def _keys(entry: object) -> int:
    """The number of keys. An entry with patterns (which may be slow), with effects of earlier
    replies, or that searches more than messages, exceeds the limit by itself."""
    if not isinstance(entry, dict):
        return 0
    keys = [key for some in _lists_of_keys(entry) if isinstance(some, list) for key in some]
    is_slow = any(isinstance(key, str) and key.lstrip()[:1] == "/" for key in keys)
    is_slow = is_slow or _is_timed(entry) or _searches_more(entry)
    return SMALL_KEYS + 1 if is_slow else len(keys)


def _searches_more(entry: Mapping[str, Any]) -> bool:
    more = fields(entry.get("extensions"))
    return any(more.get(name) is True for name in SEARCHED)


def _is_timed(entry: Mapping[str, Any]) -> bool:
    more, content = fields(entry.get("extensions")), entry.get("content")
    return bool(more.get("sticky") or more.get("cooldown")) or (
        isinstance(content, str) and "activate_after_match" in content
    )


def _chars(entry: object) -> int:
    """The length of the content, whose decorators may contain keys, and of keys given as text."""
    if not isinstance(entry, dict):
        return 0
    texts = entry.get("content"), *_lists_of_keys(entry)
    return sum(len(text) for text in texts if isinstance(text, str))


def _macro_signs(entry: object) -> int:
    """The brackets that may begin or end a macro. Those of keys count several times, because each
    round expands them anew."""
    if not isinstance(entry, dict):
        return 0
    said = entry.get("content")
    texts = [said] if isinstance(said, str) else []
    for keys in _lists_of_keys(entry):
        listed = keys if isinstance(keys, list) else [keys]
        texts += [key for key in listed if isinstance(key, str)] * (1 + MAX_ROUNDS)
    return sum(
        text.count("{") + text.count("<") + (DICE_SIGNS if "roll" in text.casefold() else 0)
        for text in texts
        if "{" in text or "<" in text
    )


def _lists_of_keys(entry: Mapping[str, Any]) -> tuple[object, object]:
    return entry.get("keys"), entry.get("secondary_keys")


def broken_patterns(book: Mapping[str, Any]) -> int:
    """The number of invalid patterns found in a book within `CHECK_SECONDS`."""
    deadline = time.monotonic() + CHECK_SECONDS
    broken = 0
    for entry in parse_entries(book):
        for key in (*entry.keys, *entry.secondary):
            if time.monotonic() > deadline:
                return broken
            if is_pattern(key) and compiled(_NAME.sub("x", key)) is None:
                broken += 1
    return broken


def _importance(item: tuple[int, Entry]) -> tuple[bool, bool, bool, int, float, int]:
    place, entry = item
    return (
        entry.gives_way,
        not entry.ignores_budget,
        not entry.always,
        entry.source,
        -entry.rank,
        place,
    )


class _Candidate(Struct, frozen=True):
    """An entry, with the settings of its book."""

    entry: Entry
    depth: int
    """The messages that it searches."""
    recurses: bool
    """Whether it can be activated by other entries, and can activate them."""


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
        self._texts = conversation.texts
        self._describe = conversation.describe
        self._scope = Scope(reversed(self._texts), describe=self._describe)
        self._active: dict[int, tuple[Entry, Trigger]] = {}
        self._least = {
            source: least
            for source, book in enumerate(books)
            if (least := _least_and_depth(book.content))
        }
        """The entries that a book should have at least, and how far it looks back for them."""
        self._level = 0
        self._rounds = 0
        self._telling: list[str] = []
        """The texts of new entries, which may activate others."""
        replay = Replay(
            conversation.texts,
            conversation.now,
            conversation.replies,
            conversation.positions,
            continues=conversation.continues,
        )
        listed = [one for source, book in enumerate(books) for one in _candidates(source, book)]
        states = {
            place: replay.state(one.entry, one.depth, self._activates(one.entry))
            for place, one in enumerate(listed)
        }
        self._staying = {place for place, state in states.items() if state == "stays"}
        self._open = {
            place: one
            for place, one in enumerate(listed)
            if _is_for(one.entry, conversation)
            and (
                place in self._staying or (states[place] == "free" and is_met(one.entry, self._now))
            )
        }

    def active(self) -> dict[int, tuple[Entry, Trigger]]:
        """The activated entries, and why, by place.

        First by the messages, then repeatedly by the texts of new entries, then by older messages
        if a book wants more entries. Delayed levels open one after the other, whenever nothing new
        is found.
        """
        levels = sorted({one.entry.delay_level for one in self._open.values()} - {0})
        self._level = levels.pop(0) if levels else 0
        self._activate(self._open, self._scope, is_indirect=False)
        self._spread()
        for source, (least, depth) in self._least.items():
            self._look_back(source, least, depth)
        self._spread()
        for level in levels:
            self._level = level
            self._search_again()
            self._spread()
        return self._active

    def _spread(self) -> None:
        while self._telling and self._rounds < MAX_ROUNDS:
            self._rounds += 1
            self._search_again()

    def _search_again(self) -> None:
        telling, self._telling = self._telling, []
        self._scope.reveal(telling)
        self._activate(self._open, self._scope, is_indirect=True)

    def _look_back(self, source: int, least: int, most: int) -> None:
        """Search older messages for a book's entries, one by one and at most `most`, until `least`
        of the entries are active."""
        missing = least - sum(entry.source == source for entry, _ in self._active.values())
        if missing <= 0:
            return
        scope = Scope(reversed(self._texts), describe=self._describe, seconds=self._scope.seconds)
        most = min(most, len(self._texts))
        for depth, places in sorted(self._depths(source, scope, most).items()):
            for place in places:
                self._open[place] = replace(self._open[place], depth=depth)
            missing -= self._activate(places, scope, is_indirect=False)
            if missing <= 0:
                break
        self._scope.seconds = scope.seconds

    def _depths(self, source: int, scope: Scope, most: int) -> Mapping[int, Collection[int]]:
        """The depths at which more keys of inactive entries may be found, with the places of these
        entries."""
        places: dict[int, set[int]] = defaultdict(set)
        for place, one in self._open.items():
            entry = one.entry
            if entry.source != source or place in self._active or entry.scan_depth is not None:
                continue
            for key in entry.all_keys:
                depths = range(one.depth + 1, most + 1)
                finds = partial(self._finds_at, one, scope, key)
                if (at := bisect_left(depths, True, key=finds)) < len(depths):
                    places[depths[at]].add(place)
        return places

    def _finds_at(self, one: "_Candidate", scope: Scope, key: str, depth: int) -> bool:
        return self._finds(replace(one, depth=depth), scope)(key)

    def _activate(self, places: Collection[int], scope: Scope, *, is_indirect: bool) -> int:
        """Activate the entries that are found now. Returns their number."""
        new = {
            place: (one.entry, trigger)
            for place in places
            if self._may(place, one := self._open[place], is_indirect=is_indirect)
            and (trigger := self._trigger(place, one, scope, is_indirect=is_indirect))
        }
        active = [entry for entry, _ in self._active.values()]
        for place in losers(new, active, self._staying, self._now):
            del new[place]
        self._active |= new
        self._telling += [
            entry.content
            for place, (entry, _) in new.items()
            if self._open[place].recurses and not entry.quiet
        ]
        return len(new)

    def _may(self, place: int, one: _Candidate, *, is_indirect: bool) -> bool:
        if place in self._active:
            return False
        if place in self._staying:
            return True
        if is_indirect and (not one.recurses or one.entry.waits_for_chat):
            return False
        return one.entry.delay_level <= self._level if is_indirect else not one.entry.delay_level

    def _trigger(
        self, place: int, one: _Candidate, scope: Scope, *, is_indirect: bool
    ) -> Trigger | None:
        if place in self._staying:
            return Trigger(stays=True)
        return _trigger(one.entry, self._finds(one, scope), is_indirect=is_indirect)

    def _finds(self, one: _Candidate, scope: Scope) -> Callable[[str], bool]:
        entry = one.entry

        def finds(key: str, as_pattern: bool) -> bool:
            return scope.has(
                key,
                depth=one.depth,
                case_sensitive=entry.case_sensitive,
                whole_words=entry.whole_words,
                as_pattern=as_pattern,
                also=entry.searched,
            )

        return self._expanding(finds)

    def _activates(self, entry: Entry) -> Callable[[Finds], bool]:
        return lambda finds: (
            not entry.delay_level
            and (not entry.generations or "normal" in entry.generations)
            and _trigger(entry, self._expanding(finds)) is not None
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


def _least_and_depth(book: Mapping[str, Any]) -> tuple[int, int] | None:
    """The minimum number of active entries that a book wants, and how many messages to search for
    them; None if it does not say. SillyTavern has settings of the same names."""
    if not (least := _least_entries(book)):
        return None
    most = parse_depth(_setting(book, "min_activations_depth_max"))
    return least, most or MAX_DEPTH


def _least_entries(book: Mapping[str, Any]) -> int:
    return int(clamped(number_or_text(_setting(book, "min_activations")), 0, MAX_LEAST) or 0)


def _setting(book: Mapping[str, Any], name: str) -> object:
    own = book.get(name)
    return fields(book.get("extensions")).get(name) if own is None else own


def _is_for(entry: Entry, conversation: Conversation) -> bool:
    """Whether the entry is for this kind of turn and this character."""
    if entry.generations and entry.generations.isdisjoint(conversation.generations):
        return False
    if not entry.characters:
        return True
    names = {as_file_name(name) for name in conversation.character}
    return entry.characters.isdisjoint(names) == entry.is_for_others


def _recurses(book: Mapping[str, Any]) -> bool:
    """Whether the book's entries can trigger others. SillyTavern's books do not say so, but mean
    yes."""
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
