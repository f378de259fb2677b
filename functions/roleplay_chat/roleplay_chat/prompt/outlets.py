"""Chooses the lorebook entries for the outlets that a character's texts name: {{outlet::name}}."""

import re
from collections.abc import Container, Iterable, Sequence

from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.lorebook.matching import select_entries
from roleplay_chat.lorebook.sources import books_of
from roleplay_chat.rows import TEXTS, BegunTurn
from roleplay_chat.tokens import Tokens

_OUTLET = re.compile(r"\{\{\s*outlet\s*::([^{}]*)\}\}", re.IGNORECASE)


def entries_in_outlets(
    begun: BegunTurn, found: Sequence[Entry], budget: int, tokens: Tokens
) -> list[Entry]:
    """The entries for the speaker's outlets, the most important within `budget` tokens."""
    placed = [entry for entry in found if entry.position == "outlet" and entry.outlet]
    if not placed or begun.character is None:
        return []
    texts = [getattr(begun.character, name) or "" for name in TEXTS]
    outlets = {match[1].strip() for text in texts for match in _OUTLET.finditer(text)}
    named = [entry for entry in placed if entry.outlet in outlets]
    return select_entries(named, books_of(begun), budget_tokens=budget, count=tokens.count)


def sent_entries(
    in_outlets: Sequence[Entry], unused: Container[str], sent: str | None
) -> list[Entry]:
    """Those that a model reads. `unused` are the outlets that no text has asked for. `sent` is the
    prompt's text; None if nothing was cut, because then every text that was asked for is there. Of
    a text with macros it is not known."""
    return [
        entry
        for entry in in_outlets
        if entry.outlet not in unused
        and (sent is None or "{{" in entry.content or entry.content.strip() in sent)
    ]


def texts_by_outlet(entries: Iterable[Entry]) -> dict[str, str]:
    """The text of each outlet."""
    texts: dict[str, list[str]] = {}
    for entry in entries:
        texts.setdefault(entry.outlet, []).append(entry.content)
    return {name: "\n".join(contents) for name, contents in texts.items()}
