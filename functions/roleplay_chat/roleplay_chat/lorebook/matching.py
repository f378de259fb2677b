"""What a character's book has to say about what is being talked of."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from edge.json_values import number_or_text
from roleplay_chat.lorebook.entries import Entry, parse_depth, parse_entries
from roleplay_chat.lorebook.keys import Scope, compiled, is_pattern

DEFAULT_SCAN_DEPTH = 4
"""Messages searched where a book does not say how many: two exchanges."""
MAX_ROUNDS = 3
"""How far entries may lead to further entries."""
CHECK_SECONDS = 0.5
"""For looking through all patterns of a book."""
SMALL_ENTRIES = SMALL_KEYS = 50
SMALL_CHARS = 50_000
"""Of a book that is matched at once."""
MAX_GROWTH = 200_000
"""Characters that macros add to all entries of a book together: some lists of names."""


def matched(
    book: Mapping[str, Any], texts: Sequence[str], *, expand: Callable[[str], str] = str
) -> list[Entry]:
    """The entries that what was said (`texts`, oldest first) calls for, in the book's order.

    `expand` resolves macros in keys and contents; an entry to which they would add too much stays
    as it is. Pure, but that patterns which take too long are
    not found: so what one look found serves all prompts of a turn.
    """
    active = _active(book, texts, expand)
    growth = 0
    entries = []
    for _, entry in sorted(active.items()):
        content = expand(entry.content)
        added = max(len(content) - len(entry.content), 0)
        known = growth + added <= MAX_GROWTH
        growth += added if known else 0
        entries.append(replace(entry, content=content) if known else entry)
    return entries


def fitting(
    entries: Sequence[Entry],
    book: Mapping[str, Any],
    *,
    budget_tokens: int,
    count: Callable[[str], int],
) -> list[Entry]:
    """Of what was `matched`, at most `budget_tokens` by `count`, in the prompt's order.

    Fewer where the book says so; what ranks lowest is left out first.
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
    """Whether the book is matched in hardly more time than it takes to go to a thread."""
    entries = book.get("entries")
    if not isinstance(entries, list) or len(entries) > SMALL_ENTRIES:
        return not isinstance(entries, list)
    keys = sum(map(_keys, entries))
    return keys <= SMALL_KEYS and sum(map(_chars, entries)) <= SMALL_CHARS


def _keys(entry: object) -> int:
    """How many keys an entry has; patterns, which may take as long as all may, count as many."""
    if not isinstance(entry, dict):
        return 0
    if entry.get("use_regex") is True:
        return SMALL_KEYS + 1
    return sum(len(some) for some in _lists_of_keys(entry) if isinstance(some, list))


def _chars(entry: object) -> int:
    """The length of what an entry says, in which there may be keys too; of keys in one text."""
    if not isinstance(entry, dict):
        return 0
    texts = entry.get("content"), *_lists_of_keys(entry)
    return sum(len(text) for text in texts if isinstance(text, str))


def _lists_of_keys(entry: Mapping[str, Any]) -> tuple[object, object]:
    return entry.get("keys"), entry.get("secondary_keys")


def broken_patterns(book: Mapping[str, Any]) -> int:
    """How many keys of a book should be patterns and are not, as far as can be told in time."""
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
) -> dict[int, Entry]:
    """The entries called for, by their place in the book."""
    entries = dict(enumerate(parse_entries(book)))
    scope = Scope(reversed(texts))
    depth = parse_depth(book.get("scan_depth"))
    depth = DEFAULT_SCAN_DEPTH if depth is None else depth
    active: dict[int, Entry] = {}
    for number in range(1 + MAX_ROUNDS * (book.get("recursive_scanning") is True)):
        new = {
            place: entry
            for place, entry in entries.items()
            if place not in active
            and not (number and entry.waits_for_chat)
            and _is_called_for(entry, scope, depth, expand)
        }
        active |= new
        telling = [entry.content for entry in new.values() if not entry.quiet]
        if not telling:
            break
        scope.reveal(telling)
    return active


def _is_called_for(
    entry: Entry, scope: Scope, book_depth: int, expand: Callable[[str], str]
) -> bool:
    has = partial(
        scope.has,
        depth=book_depth if entry.scan_depth is None else entry.scan_depth,
        case_sensitive=entry.case_sensitive,
        whole_words=entry.whole_words,
        use_regex=entry.use_regex,
    )

    def found(keys: tuple[str, ...]) -> list[bool]:
        return [has(expand(key)) for key in keys]

    if entry.excluded and any(found(entry.excluded)):
        return False
    if entry.additional and not any(found(entry.additional)):
        return False
    if entry.always:
        return True
    if not any(found(entry.keys)):
        return False
    if not entry.secondary:
        return True
    secondary = found(entry.secondary)
    return {
        "and_any": any(secondary),
        "and_all": all(secondary),
        "not_any": not any(secondary),
        "not_all": not all(secondary),
    }[entry.logic]
