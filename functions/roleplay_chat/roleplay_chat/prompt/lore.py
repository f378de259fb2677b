"""The lorebook's entries in a prompt: those that are activated, those that fit, and where they
stand in the system message and after the history."""

from collections.abc import Mapping, Sequence

from roleplay_chat.api import ChatRequest
from roleplay_chat.lorebook.entries import Entry, Position
from roleplay_chat.lorebook.keys import escaped
from roleplay_chat.lorebook.matching import match_entries, select_entries
from roleplay_chat.lorebook.sources import books_of, conversation_of
from roleplay_chat.prompt.composition import Section
from roleplay_chat.prompt.macro_variables import Variables
from roleplay_chat.prompt.macros import Macros, build_macros, expand, names_in
from roleplay_chat.prompt.passages import NO_WORDS, Piece, joined
from roleplay_chat.prompt.roles import PromptMessage
from roleplay_chat.rows import BegunTurn
from roleplay_chat.tokens import Tokens

_SEARCHED = {"depth_prompt": "chardepthprompt"}
"""The macros for what `lorebook.entries.Searched` calls otherwise."""
_BEFORE, _AFTER = "The world", "More of the world"
_AFTER_HISTORY = "[More of the world, as far as it bears on the next message:]"


def activated_entries(begun: BegunTurn, request: ChatRequest, variables: Variables) -> list[Entry]:
    """The entries of the turn's books that the newest messages activate, before any limit. Their
    macros change `variables`.
    """
    if not (books := books_of(begun)):
        return []
    macros = (
        build_macros(begun, request).keeping(variables).standing_still(begun.summarised_position)
    )
    names = names_in(macros)
    in_patterns = names.having(**{name: escaped(value) for name, value in names.values.items()})
    return match_entries(
        books,
        conversation_of(
            begun,
            macros.values,
            generation=macros["lastgenerationtype"],
            describe=lambda name: _searched_text(name, macros),
        ),
        expand=lambda text: expand(text, macros),
        expand_pattern=lambda text: expand(text, in_patterns),
    )


def _searched_text(name: str, macros: Macros) -> str:
    """A text of the character or the persona for the lorebook. Only the prompt sets variables."""
    text = macros.texts.get(_SEARCHED.get(name, name)) or macros.values.get(name, "")
    return expand(text, names_in(macros).keeping(Variables()))


def fitting_entries(
    begun: BegunTurn, found: Sequence[Entry], budget: int, tokens: Tokens
) -> list[Entry]:
    """The found entries that fit in `budget` tokens, without those in outlets."""
    return select_entries(
        [entry for entry in found if entry.position != "outlet"],
        books_of(begun),
        budget_tokens=budget,
        count=lambda text: tokens.message_cost(f"{text}\n\n"),
    )


def entries_around(
    begun: BegunTurn, lore: Sequence[Entry], parts: Mapping[Section, Piece]
) -> dict[Section, tuple[Piece, Piece]]:
    """The entries before and after the sections of the system message."""
    entries: dict[Position, list[Entry]] = {}
    for entry in lore:
        position = entry.position
        if position in ("personality", "scenario") and not parts.get(position, NO_WORDS).runs:
            position = "after_char"
        entries.setdefault(position, []).append(entry)
    title = _examples_title(begun)
    has_title = bool(entries.get("examples_top") or parts["examples"].runs)
    return {
        "description": (_entries(_BEFORE, entries.get("before_char", ())), NO_WORDS),
        "personality": (NO_WORDS, _entries("", entries.get("personality", ()))),
        "scenario": (NO_WORDS, _entries("", entries.get("scenario", ()))),
        "examples": (
            joined(
                "\n\n",
                [
                    _entries(_AFTER, entries.get("after_char", ())),
                    _entries(title, entries.get("examples_top", ())),
                ],
            ),
            _entries("" if has_title else title, entries.get("examples_bottom", ())),
        ),
    }


def _entries(title: str, entries: Sequence[Entry]) -> Piece:
    """The entries of one position, under a title."""
    texts = [(entry.part, entry.content.strip()) for entry in entries]
    texts = [(part, text) for part, text in texts if text]
    if texts and title:
        texts[0] = texts[0][0], f"## {title}\n{texts[0][1]}"
    return joined("\n\n", [Piece.from_text(part, text) for part, text in texts])


def titles(begun: BegunTurn) -> str:
    """All titles that entries may stand under."""
    return f"## {_BEFORE}\n## {_AFTER}\n## {_examples_title(begun)}\n{_AFTER_HISTORY}\n"


def _examples_title(begun: BegunTurn) -> str:
    return f"How {begun.character.name} speaks" if begun.character else "Examples"


def after_history(lore: Sequence[Entry]) -> list[PromptMessage]:
    """The message with the entries that come and go and have no place of their own, so that the
    prompt before it stays the same; a list of one or none."""
    entries = [entry for entry in lore if entry.position == "after_history"]
    if not (said := _entries("", entries)).runs:
        return []
    title = (None, f"{_AFTER_HISTORY}\n")
    return [PromptMessage("system", Piece.from_runs([title, *said.runs]))]
