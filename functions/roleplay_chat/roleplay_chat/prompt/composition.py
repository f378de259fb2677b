"""Describes what the prompt of a reply was made of, for the person who asks why it was said. Pure.

No text is copied: a composition has names, numbers, ids of facts, positions of messages, and places
of entries and keys in the character's book.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.prompt.passages import Piece
from roleplay_chat.prompt.roles import PromptMessage
from roleplay_chat.rows import BegunTurn, FactRow, MessageRow, RecalledRow
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, Tokens

MAX_ENTRIES, MAX_LISTED = 40, 120
"""The most entries, and facts or messages, in one list; further ones are only counted."""
MAX_ID_CHARS = 40
MAX_ID = 2**53
"""Larger numbers are not exact in every program."""

Section = Literal[
    "template", "others", "description", "vitals", "personality", "scenario", "lore", "examples",
    "persona", "role", "scene", "directions", "memory",
]  # fmt: skip
"""The parts of the system message, with the lorebook."""


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What the builder knows of a prompt. Holds its values as they are, because most prompts are
    never described."""

    begun: BegunTurn
    tokens: Tokens
    sections: Mapping[Section, int]
    """The tokens of the sections of the system message, uncut, and of the entries ("lore")."""
    cut: Mapping[Section, Piece]
    """The sections that were shortened; empty ones were dropped."""
    rule: str
    """The rule at the end of the system message."""
    asked: Sequence[PromptMessage]
    """The character's note and the closing messages, uncut."""
    closing: Sequence[PromptMessage]
    """The same, as they were sent."""
    found: Sequence[Entry]
    """The activated entries."""
    lore: Sequence[Entry]
    """Those that fit."""
    facts_left_out: Sequence[FactRow]
    is_summary_cut: bool
    history: Sequence[MessageRow]
    """The messages that were read."""
    kept: Sequence[MessageRow]
    """The newest of them, which fit."""
    recalled: Sequence[RecalledRow]
    recalled_messages: Sequence[PromptMessage]
    """What was written of them."""
    others: int
    """The tokens of everything but the history and what was recalled."""


def compose(made_of: Ingredients, total: int) -> dict[str, Any]:
    """The composition of a prompt with `total` tokens, in the format of `turn_prompts`:

    tokens      `total`
    parts       [{"part", "tokens"}] in order, with "of", its tokens, if it was cut
    history     {"messages", "left_out"} and "from", the position of the first one
    entries     see `_entry`
    summary     the position of the last message that it tells of; without it there was none
    facts       ids
    recalled    positions of messages
    left_out    {"entries", "facts"} that there was no room for, and "summary": true if its end was
                cut
    more        how many are missing in lists that are too long
    """
    shown, book = {id(entry) for entry in made_of.lore}, _entries(made_of.begun)
    missing = {id(fact) for fact in made_of.facts_left_out}
    lists: dict[str, list[Any]] = {
        "entries": list(made_of.lore),
        "facts": [fact for fact in made_of.begun.facts if id(fact) not in missing],
        "recalled": list(made_of.recalled),
        "left_out_entries": [entry for entry in made_of.found if id(entry) not in shown],
        "left_out_facts": list(made_of.facts_left_out),
    }
    most = {name: MAX_ENTRIES if name.endswith("entries") else MAX_LISTED for name in lists}
    listed = {name: rows[: most[name]] for name, rows in lists.items()}
    more = {name: len(rows) - most[name] for name, rows in lists.items() if len(rows) > most[name]}
    memory = made_of.begun.memory
    summary = {"summary": memory.covers_position} if memory and memory.text else {}
    cut = {"summary": True} if made_of.is_summary_cut else {}
    return {
        "tokens": total,
        "parts": list(_parts(made_of, total)),
        "history": _history(made_of),
        "entries": [_entry(entry, book) for entry in listed["entries"]],
        **summary,
        "facts": _ids(listed["facts"]),
        "recalled": [row.position for row in listed["recalled"]],
        "left_out": {
            "entries": [_entry(entry, book) for entry in listed["left_out_entries"]],
            "facts": _ids(listed["left_out_facts"]),
            **cut,
        },
        "more": more,
    }


def _parts(made_of: Ingredients, total: int) -> Iterator[dict[str, Any]]:
    count = made_of.tokens.count
    for name, tokens in made_of.sections.items():
        if name in made_of.cut:
            yield _part(name, count(made_of.cut[name].text), tokens)
        elif tokens:
            yield _part(name, tokens)
    if made_of.rule:
        yield _part("rule", count(made_of.rule))
    recalled = sum(_cost(message, made_of.tokens) for message in made_of.recalled_messages)
    rest = total - made_of.others - recalled
    if made_of.kept:
        yield _part("history", max(rest, 0))
    if recalled:
        yield _part("recalled", recalled)
    yield from _closing(made_of)


def _closing(made_of: Ingredients) -> Iterator[dict[str, Any]]:
    *_, last = made_of.asked
    said = "message" if made_of.begun.turn.message is not None else "request"
    for asked, sent in zip(made_of.asked, made_of.closing, strict=True):
        is_cut = sent.content is not asked.content
        yield _part(
            said if asked is last else "note" if asked.is_note else "instructions",
            _cost(sent, made_of.tokens),
            _cost(asked, made_of.tokens) if is_cut else None,
        )


def _part(name: str, tokens: int, of: int | None = None) -> dict[str, Any]:
    part: dict[str, Any] = {"part": name, "tokens": tokens}
    return part if of is None else part | {"of": of}


def _cost(message: PromptMessage, tokens: Tokens) -> int:
    return tokens.count(message.content.text) + TOKENS_PER_MESSAGE


def _history(made_of: Ingredients) -> dict[str, int]:
    kept = len(made_of.kept)
    history = {"messages": kept, "left_out": len(made_of.history) - kept}
    return history | {"from": made_of.kept[0].position} if kept else history


def _ids(facts: Iterable[FactRow]) -> list[str]:
    return [str(fact.id) for fact in facts if fact.id is not None]


# --- lorebook entries -----------------------------------------------------------------------


def _entries(begun: BegunTurn) -> Sequence[Any]:
    """The entries of the character's book, as the author's program wrote them."""
    book = begun.character.character_book if begun.character else None
    entries = book.get("entries") if book else None
    return entries if isinstance(entries, list) else []


def _entry(entry: Entry, book: Sequence[Any]) -> dict[str, Any]:
    """The entry's "place" in the book, its "id" if it has a short one, and why it was activated:
    "key" and "secondary", the places of the keys that were found. Without "key" it is constant.
    "indirect" is true if other entries' texts were searched as well."""
    row = book[entry.place]
    described = {
        "place": entry.place,
        "id": _short_id(row.get("id")),
        "key": _place(entry.trigger.key, row.get("keys")),
        "secondary": _place(entry.trigger.secondary, row.get("secondary_keys")),
        "indirect": entry.trigger.is_indirect or None,
    }
    return {name: value for name, value in described.items() if value is not None}


def _short_id(value: object) -> int | str | None:
    """The id, unless it is no number or name as programs write them."""
    if isinstance(value, str):
        is_name = len(value) <= MAX_ID_CHARS and value.isascii() and value.isprintable()
        return value if is_name else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < MAX_ID else None


def _place(key: str | None, keys: object) -> int | None:
    """Where the key is in the list, or in the text separated by commas."""
    if key is None:
        return None
    texts = keys.split(",") if isinstance(keys, str) else keys
    places = enumerate(texts) if isinstance(texts, list) else ()
    return next(
        (place for place, text in places if isinstance(text, str) and text.strip() == key), None
    )
