"""Describes the composition of a reply's prompt, for the person who asks why it was said. Pure.

No text is copied: a composition has names, numbers, ids of facts, positions of messages, and places
of entries and keys in the character's book.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from msgspec import Struct

from edge.patterns import compiled_later
from roleplay_chat.lorebook.entries import Book, Entry
from roleplay_chat.lorebook.sources import books_of
from roleplay_chat.prompt.passages import Piece
from roleplay_chat.prompt.roles import PromptMessage
from roleplay_chat.rows import BegunTurn, FactRow, MessageRow, RecalledRow
from roleplay_chat.tokens import Tokens

T = TypeVar("T")

MAX_ENTRIES, MAX_LISTED = 40, 120
"""The most entries, and facts or messages, in one list; further ones are only counted."""
MAX_ID_CHARS = 40
_NAME = compiled_later(rf"[A-Za-z0-9_-]{{1,{MAX_ID_CHARS}}}")
"""An id as programs write them, such as a UUID. Other texts may say anything."""
MAX_ID = 2**53
"""Larger numbers are not exact in every program."""

Section = Literal[
    "template", "others", "description", "vitals", "personality", "scenario", "lore", "examples",
    "persona", "role", "scene", "directions", "memory",
]  # fmt: skip
"""The parts of the system message, with the lorebook."""


class Ingredients(Struct, frozen=True):
    """What the builder knows about a prompt. Keeps the builder's own values, because most prompts
    are never described."""

    begun: BegunTurn
    tokens: Tokens
    sections: Mapping[Section, int]
    """The tokens of the sections of the system message, uncut, and of the entries ("lore")."""
    cut: Mapping[Section, Piece]
    """The sections that were shortened; empty ones were dropped."""
    rule: str
    """The rule at the end of the system message."""
    asked: Sequence[PromptMessage]
    """The notes and the closing messages, uncut."""
    closing: Sequence[PromptMessage]
    """The same, as they were sent."""
    found: Sequence[Entry]
    """The activated entries, without those for outlets that no text asks for."""
    lore: Sequence[Entry]
    """Those that fit."""
    facts_left_out: Sequence[FactRow]
    """The facts that are not in the system message: they do not fit, or they are new."""
    summary: str
    """The beginning of the summary that was sent."""
    history: Sequence[MessageRow]
    """The messages that were read, as the speaker heard them."""
    history_cost: int
    """The tokens that they have at most."""
    kept: Sequence[MessageRow]
    """The newest of them, as they were sent: long ones without their middle."""
    recalled_facts: Sequence[FactRow]
    """Those of `facts_left_out` that stand after the history."""
    recalled: Sequence[RecalledRow]
    """The recalled messages."""
    recalled_messages: Sequence[PromptMessage]
    """The formatted text of both."""
    others: int
    """The tokens of everything except the history and what is recalled."""
    room: int
    """The tokens that the history may have."""


def compose(made_of: Ingredients, total: int) -> dict[str, Any]:
    """The composition of a prompt with `total` tokens, in the format of `turn_prompts`:

    tokens      `total`
    parts       [{"part", "tokens"}] in order, with "of", its tokens, if it was cut
    history     {"messages", "left_out"} and "from", the position of the first one
    entries     see `_entry`
    summary     the position of the last message that it tells of; without it none was sent
    facts       ids of those in the system message
    recalled    {"facts", "messages"}: ids, and positions
    left_out    {"entries", "facts"} that there was no room for, and "summary": true if its end was
                cut
    more        how many are missing in lists that are too long
    """
    lists = _lists(made_of)
    memory = made_of.begun.memory
    summary = {"summary": memory.covers_position} if memory and made_of.summary else {}
    is_cut = memory and len(made_of.summary) < len(memory.text)
    cut = {"summary": True} if is_cut else {}
    return {
        "tokens": total,
        "parts": list(_parts(made_of, total)),
        "history": _history(made_of),
        "entries": lists["entries"].listed,
        **summary,
        "facts": lists["facts"].listed,
        "recalled": {
            "facts": lists["recalled_facts"].listed,
            "messages": lists["recalled_messages"].listed,
        },
        "left_out": {
            "entries": lists["left_out_entries"].listed,
            "facts": lists["left_out_facts"].listed,
            **cut,
        },
        "more": {name: one.more for name, one in lists.items() if one.more},
    }


class _List(NamedTuple):
    """The described beginning of a list, and how many items are left out."""

    listed: list[Any]
    more: int

    @classmethod
    def from_rows(cls, rows: Sequence[T], most: int, describe: Callable[[T], Any]) -> "_List":
        return cls([describe(row) for row in rows[:most]], max(len(rows) - most, 0))


def _lists(made_of: Ingredients) -> dict[str, _List]:
    books = books_of(made_of.begun)

    def entries(rows: Sequence[Entry]) -> _List:
        return _List.from_rows(rows, MAX_ENTRIES, lambda entry: _entry(entry, books))

    def facts(rows: Sequence[FactRow]) -> _List:
        return _List.from_rows(rows, MAX_LISTED, lambda fact: str(fact.id))

    return {
        "entries": entries(made_of.lore),
        "left_out_entries": entries(others_than(made_of.found, made_of.lore)),
        "facts": facts(others_than(made_of.begun.shown_facts, made_of.facts_left_out)),
        "recalled_facts": facts(made_of.recalled_facts),
        "left_out_facts": facts(others_than(made_of.facts_left_out, made_of.recalled_facts)),
        "recalled_messages": _List.from_rows(
            made_of.recalled, MAX_LISTED, lambda row: row.position
        ),
    }


def others_than(rows: Iterable[T], without: Iterable[T]) -> list[T]:
    """The rows that are not in `without`. Rows are compared by identity: an equal one stays."""
    known = {id(row) for row in without}
    return [row for row in rows if id(row) not in known]


def _parts(made_of: Ingredients, total: int) -> Iterator[dict[str, Any]]:
    count, message_cost = made_of.tokens.count, made_of.tokens.message_cost
    for name, tokens in made_of.sections.items():
        if name in made_of.cut:
            yield _part(name, count(made_of.cut[name].text), tokens)
        elif tokens:
            yield _part(name, tokens)
    rule = count(f"\n\n{made_of.rule}") if made_of.rule else 0
    if rule:
        yield _part("rule", rule)
    recalled = sum(message_cost(message.content.text) for message in made_of.recalled_messages)
    rest = total - made_of.others - rule - recalled
    if made_of.kept:
        yield _part("history", max(rest, 0), _whole_history(made_of, rest))
    if recalled:
        yield _part("recalled", recalled)
    yield from _closing(made_of)


def _whole_history(made_of: Ingredients, sent: int) -> int | None:
    """The tokens of the messages, of which `sent` were sent, if one of them was shortened."""
    count = made_of.tokens.count
    rows = zip(made_of.history[-len(made_of.kept) :], made_of.kept, strict=True)
    cut = [count(row.content) - count(kept.content) for row, kept in rows if kept is not row]
    return sent + sum(cut) if cut else None


def _closing(made_of: Ingredients) -> Iterator[dict[str, Any]]:
    *_, last = made_of.asked
    message_cost = made_of.tokens.message_cost
    said = "message" if made_of.begun.turn.message is not None else "request"
    for asked, sent in zip(made_of.asked, made_of.closing, strict=True):
        is_cut = sent.content is not asked.content
        yield _part(
            said if asked is last else _aside(asked),
            message_cost(sent.content.text),
            message_cost(asked.content.text) if is_cut else None,
        )


def _aside(message: PromptMessage) -> str:
    if not message.is_note:
        return "instructions"
    return "author_note" if message.content.runs[0][0] == "scene" else "note"


def _part(name: str, tokens: int, of: int | None = None) -> dict[str, Any]:
    part: dict[str, Any] = {"part": name, "tokens": tokens}
    return part if of is None else part | {"of": of}


def _history(made_of: Ingredients) -> dict[str, int]:
    kept = len(made_of.kept)
    history = {"messages": kept, "left_out": len(made_of.history) - kept}
    return history | {"from": made_of.kept[0].position} if kept else history


# --- lorebook entries -----------------------------------------------------------------------


def _entry(entry: Entry, books: Sequence[Book]) -> dict[str, Any]:
    """The entry's "book", its row's id unless it is the character's, the "place" in it, the entry's
    "id" if it has a short one, and why it was activated:
    "key" and "secondary", the places of the keys that were found. Without "key" it is constant.
    "indirect" is true if other entries' texts were searched as well, "stays" if it was an earlier
    reply that activated it."""
    book = books[entry.source]
    row = book.content["entries"][entry.place]
    described = {
        "book": book.id,
        "place": entry.place,
        "id": _short_id(row.get("id")),
        "key": _place(entry.trigger.key, row.get("keys")),
        "secondary": _place(entry.trigger.secondary, row.get("secondary_keys")),
        "indirect": entry.trigger.is_indirect or None,
        "stays": entry.trigger.stays or None,
    }
    return {name: value for name, value in described.items() if value is not None}


def _short_id(value: object) -> int | str | None:
    """The id, if it is a number or a short name."""
    if isinstance(value, str):
        return value if _NAME.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < MAX_ID else None


def _place(key: str | None, keys: object) -> int | None:
    """The place of the key in the list, or in the comma-separated text."""
    if key is None:
        return None
    texts = keys.split(",") if isinstance(keys, str) else keys
    places = enumerate(texts) if isinstance(texts, list) else ()
    return next(
        (place for place, text in places if isinstance(text, str) and text.strip() == key), None
    )
