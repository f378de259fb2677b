"""Notes among the messages: the character's, the person's, and the lorebook entries that are placed
there. Each has a depth, the number of messages after it."""

from collections.abc import Sequence

from msgspec.structs import replace

from roleplay_chat.lorebook.entries import Entry, Position
from roleplay_chat.messages import Role
from roleplay_chat.prompt.budget import NOTE_SHARE
from roleplay_chat.prompt.macros import Macros, expand
from roleplay_chat.prompt.passages import Piece
from roleplay_chat.prompt.roles import PromptMessage
from roleplay_chat.rows import BegunTurn
from roleplay_chat.screening.decision import Part
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, Tokens

FittedNote = tuple[PromptMessage, PromptMessage]
"""A message, uncut and as sent."""


def character_note(begun: BegunTurn, macros: Macros) -> list[PromptMessage]:
    """The author's note among the messages, uncut; a list of one or none."""
    if begun.character is None or not begun.character.depth_prompt:
        return []
    text = expand(begun.character.depth_prompt, macros).strip()
    role, depth = begun.character.depth_prompt_role, begun.character.depth_prompt_depth
    return [_note("character", text, role, depth)] if text else []


def person_note(begun: BegunTurn, macros: Macros) -> list[PromptMessage]:
    """The person's note in the conversation, which is text about the story like a scene; as
    `character_note`."""
    settings = begun.settings
    text = expand(settings.note, macros).strip() if settings else ""
    if not settings or not text:
        return []
    return [_note("scene", text, settings.note_role, settings.note_depth)]


def fit_notes(notes: Sequence[PromptMessage], budget: int, tokens: Tokens) -> list[FittedNote]:
    """Each note that fits, as a pair: uncut, and cut to its share."""
    limit = int(budget * NOTE_SHARE)
    fitted = []
    for message in notes:
        text = message.content.text
        kept = tokens.beginning(text, limit - TOKENS_PER_MESSAGE).rstrip()
        content = (
            message.content if len(kept) == len(text) else message.content.beginning(len(kept))
        )
        fitted += [(message, replace(message, content=content))] if kept else []
    return fitted


def among_messages(
    character_note: Sequence[PromptMessage],
    person_note: Sequence[PromptMessage],
    lore: Sequence[Entry],
) -> list[PromptMessage]:
    """The notes (lists of one or none) and the entries that are placed among the messages."""
    return [*_entries_at("in_chat", lore), *character_note, *_around(person_note, lore)]


def with_notes(
    messages: Sequence[PromptMessage], notes: Sequence[PromptMessage]
) -> list[PromptMessage]:
    """The messages with the notes among them, each with `depth` messages after it."""
    if not notes:
        return list(messages)
    spoken = [place for place, message in enumerate(messages) if message.role != "system"]
    places = [*spoken, len(messages)]
    noted: list[PromptMessage] = []
    for place in range(len(messages) + 1):
        noted += [
            note for note in notes if places[max(-1 - (note.depth or 0), -len(places))] == place
        ]
        noted += messages[place : place + 1]
    return noted


def _around(notes: Sequence[PromptMessage], lore: Sequence[Entry]) -> list[PromptMessage]:
    """The person's note (a list of one or none) between the entries for its top and bottom, which
    get its depth and role."""
    top, bottom = _entries_at("note_top", lore), _entries_at("note_bottom", lore)
    for note in notes:
        for entry in (*top, *bottom):
            entry.role, entry.depth = note.role, note.depth
    return [*top, *notes, *bottom]


def _entries_at(position: Position, lore: Sequence[Entry]) -> list[PromptMessage]:
    """The entries of a position among the messages."""
    return [
        _note(entry.part, entry.content, entry.role, entry.depth)
        for entry in lore
        if entry.position == position
    ]


def _note(part: Part, text: str, role: Role, depth: int) -> PromptMessage:
    # As the last message, a model would take it for the beginning of its own reply.
    role = "system" if role == "assistant" and depth == 0 else role
    return PromptMessage(role, Piece.from_text(part, text), depth)
