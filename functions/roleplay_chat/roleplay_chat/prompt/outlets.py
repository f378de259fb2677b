"""Puts lorebook entries where a character's texts name their outlets: {{outlet::name}}."""

import re
from collections.abc import Sequence

from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.lorebook.matching import select_entries
from roleplay_chat.lorebook.sources import books_of
from roleplay_chat.rows import TEXTS, BegunTurn, CharacterRow
from roleplay_chat.tokens import Tokens

_OUTLET = re.compile(r"\{\{\s*outlet\s*::([^{}]*)\}\}", re.IGNORECASE)


def with_outlets(
    begun: BegunTurn, found: Sequence[Entry], budget: int, tokens: Tokens
) -> tuple[BegunTurn, list[Entry]]:
    """The turn with the entries in the speaker's texts, the most important within `budget` tokens,
    and these entries.

    An outlet that is named again stays empty, so that no text grows by more than the entries.
    """
    character = begun.character
    if character is None or not any(map(_OUTLET.search, _texts(character).values())):
        return begun, []
    outlets = {
        match[1].strip() for text in _texts(character).values() for match in _OUTLET.finditer(text)
    }
    named = [
        entry for entry in found if entry.position == "outlet" and entry.outlet in outlets - {""}
    ]
    fitting = select_entries(named, books_of(begun), budget_tokens=budget, count=tokens.count)
    left: dict[str, list[str]] = {}
    for entry in fitting:
        left.setdefault(entry.outlet, []).append(entry.content)

    def filled(match: re.Match[str]) -> str:
        return "\n".join(left.pop(match[1].strip(), ()))

    texts = {name: _OUTLET.sub(filled, text) for name, text in _texts(character).items()}
    return begun.model_copy(update={"character": character.model_copy(update=texts)}), fitting


def _texts(character: CharacterRow) -> dict[str, str]:
    texts = {name: getattr(character, name) for name in TEXTS if name not in ("name", "nickname")}
    return {name: text for name, text in texts.items() if text}
