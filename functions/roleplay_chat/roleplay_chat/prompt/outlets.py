"""Chooses the lorebook entries for the outlets that a character's texts name: {{outlet::name}}."""

import re
from collections.abc import Container, Iterable, Sequence

from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.lorebook.matching import select_entries
from roleplay_chat.lorebook.sources import books_of
from roleplay_chat.prompt.roles import PromptMessage
from roleplay_chat.rows import TEXTS, BegunTurn
from roleplay_chat.tokens import Tokens

_OUTLET = re.compile(r"\{\{\s*outlet\s*::([^{}]*)\}\}", re.IGNORECASE)


def named_entries(begun: BegunTurn, found: Sequence[Entry]) -> list[Entry]:
    """The entries for the outlets that the speaker's texts name."""
    placed = [entry for entry in found if entry.position == "outlet" and entry.outlet]
    if not placed or begun.character is None:
        return []
    texts = [getattr(begun.character, name) or "" for name in TEXTS]
    outlets = {match[1].strip() for text in texts for match in _OUTLET.finditer(text)}
    return [entry for entry in placed if entry.outlet in outlets]


def entries_in_outlets(
    begun: BegunTurn, named: Sequence[Entry], budget: int, tokens: Tokens
) -> list[Entry]:
    """The most important of the named entries within `budget` tokens."""
    if not named:
        return []
    return select_entries(named, books_of(begun), budget_tokens=budget, count=tokens.count)


def wanted_entries(
    found: Sequence[Entry], named: Sequence[Entry], unused: Container[str]
) -> list[Entry]:
    """The entries that have a place in the prompt if there is room. `unused` as in
    `sent_entries`."""
    wanted = {id(entry) for entry in named if entry.outlet not in unused}
    return [entry for entry in found if entry.position != "outlet" or id(entry) in wanted]


def sent_entries(
    in_outlets: Sequence[Entry], unused: Container[str], sent: Sequence[PromptMessage] | None
) -> list[Entry]:
    """The entries that the model reads. `unused` are the outlets that no text asked for; `sent` are
    the messages, or None if nothing was cut. An entry with macros counts as sent, because its text
    is not known."""
    used = [entry for entry in in_outlets if entry.outlet not in unused]
    if not used or sent is None:
        return used
    text = "\n".join(message.content.text for message in sent)
    return [entry for entry in used if "{{" in entry.content or entry.content.strip() in text]


def texts_by_outlet(entries: Iterable[Entry]) -> dict[str, str]:
    """The text of each outlet."""
    texts: dict[str, list[str]] = {}
    for entry in entries:
        texts.setdefault(entry.outlet, []).append(entry.content)
    return {name: "\n".join(contents) for name, contents in texts.items()}
