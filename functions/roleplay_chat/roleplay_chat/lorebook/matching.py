"""Selects the entries of a character's book that a conversation activates."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from edge.json_values import number_or_text
from roleplay_chat.lorebook.entries import Entry, Trigger, parse_depth, parse_entries
from roleplay_chat.lorebook.keys import Scope, compiled, is_pattern

DEFAULT_SCAN_DEPTH = 4
"""Messages searched if the book does not say: two exchanges."""
MAX_ROUNDS = 3
"""How many times activated entries may activate others."""
CHECK_SECONDS = 0.5
"""The time limit for checking all patterns of a book."""
SMALL_ENTRIES = SMALL_KEYS = 50
SMALL_CHARS = 50_000
"""The limits for a book that is matched on the event loop."""
MAX_GROWTH = 200_000
"""Characters that macros may add to all entries of a book together."""


def match_entries(
    book: Mapping[str, Any], texts: Sequence[str], *, expand: Callable[[str], str] = str
) -> list[Entry]:
    """The entries that `texts` (oldest first) activate, in the book's order.

    `expand` resolves macros in keys and contents; entries beyond `MAX_GROWTH` stay unexpanded.
    Match once per turn and reuse the result: slow patterns count as not found, so a second call
    may differ.
    """
    active = _active(book, texts, expand)
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
    book: Mapping[str, Any],
    *,
    budget_tokens: int,
    count: Callable[[str], int],
) -> list[Entry]:
    """The most important of the matched entries within `budget_tokens`, in the prompt's order.

    `count` counts tokens. The book may set a smaller budget. The lowest rank is dropped first.
    """
    own_budget = number_or_text(book.get("token_budget")) or 0
    left = min(budget_tokens, own_budget) if own_budget > 0 else budget_tokens
    kept: list[tuple[int, Entry]] = []
    for place, entry in sorted(enumerate(entries), key=_importance) if left > 0 else ():
        cost = count(entry.content)
        if cost <= left:
            left -= cost
            kept.append((place, entry))
    return [entry for _, entry in sorted(kept, key=lambda item: (item[1].order, item[0]))]


def is_small(book: Mapping[str, Any]) -> bool:
    """Whether matching the book takes hardly longer than handing it to a thread."""
    entries = book.get("entries")
    if not isinstance(entries, list) or len(entries) > SMALL_ENTRIES:
        return not isinstance(entries, list)
    keys = sum(map(_keys, entries))
    return keys <= SMALL_KEYS and sum(map(_chars, entries)) <= SMALL_CHARS


def _keys(entry: object) -> int:
    """The number of keys; an entry with patterns, which may be slow, exceeds the limit alone."""
    if not isinstance(entry, dict):
        return 0
    if entry.get("use_regex") is True:
        return SMALL_KEYS + 1
    return sum(len(some) for some in _lists_of_keys(entry) if isinstance(some, list))


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
        for key in (*entry.keys, *entry.secondary) if entry.use_regex else ():
            if time.monotonic() > deadline:
                return broken
            if is_pattern(key) and compiled(key, case_sensitive=entry.case_sensitive) is None:
                broken += 1
    return broken


def _importance(item: tuple[int, Entry]) -> tuple[bool, float, int]:
    place, entry = item
    return not entry.always, -entry.rank, place


def _active(
    book: Mapping[str, Any], texts: Sequence[str], expand: Callable[[str], str]
) -> dict[int, tuple[Entry, Trigger]]:
    """The activated entries, and why, by their order in the book."""
    entries = dict(enumerate(parse_entries(book)))
    scope = Scope(reversed(texts))
    depth = parse_depth(book.get("scan_depth"))
    depth = DEFAULT_SCAN_DEPTH if depth is None else depth
    active: dict[int, tuple[Entry, Trigger]] = {}
    for number in range(1 + MAX_ROUNDS * (book.get("recursive_scanning") is True)):
        new = {
            place: (entry, trigger)
            for place, entry in entries.items()
            if place not in active
            and not (number and entry.waits_for_chat)
            and (trigger := _trigger(entry, scope, depth, expand, is_indirect=number > 0))
        }
        active |= new
        telling = [entry.content for entry, _ in new.values() if not entry.quiet]
        if not telling:
            break
        scope.reveal(telling)
    return active


def _trigger(
    entry: Entry,
    scope: Scope,
    book_depth: int,
    expand: Callable[[str], str],
    *,
    is_indirect: bool,
) -> Trigger | None:
    """Why the entry is activated; None if it is not."""
    has = partial(
        scope.has,
        depth=book_depth if entry.scan_depth is None else entry.scan_depth,
        case_sensitive=entry.case_sensitive,
        whole_words=entry.whole_words,
        use_regex=entry.use_regex,
    )

    def found(keys: tuple[str, ...]) -> list[str]:
        return [key for key in keys if has(expand(key))]

    if entry.excluded and found(entry.excluded):
        return None
    if entry.additional and not found(entry.additional):
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
    return Trigger(keys[0], next(iter(secondary), None), is_indirect) if is_met else None
