"""The lorebooks of a turn, and the conversation in which their keys are searched."""

from collections.abc import Mapping, Sequence

from roleplay_chat.lorebook.chance import Moment
from roleplay_chat.lorebook.entries import Book
from roleplay_chat.lorebook.keys import Describe
from roleplay_chat.lorebook.matching import Conversation
from roleplay_chat.rows import BegunTurn, LorebookRow, MessageRow, PrecedingRow
from roleplay_chat.screening.decision import Part

_PARTS: Mapping[str, Part] = {
    "conversation": "scene",
    "persona": "persona",
    "person": "persona",
    "everyone": "scene",
}
"""The part of the turn as which a book's entries are screened, by what the book belongs to."""


_ALSO_CALLED = {"swipe": ("regenerate",)}
"""Other names of a kind of turn: here every reply that is written again is a version."""


def books_of(begun: BegunTurn) -> list[Book]:
    """The books that apply, the most important first: the installation's come last, after the
    character's."""
    own = begun.character.character_book if begun.character else None
    before = [_book(row) for row in begun.lorebooks if row.scope != "everyone"]
    after = [_book(row) for row in begun.lorebooks if row.scope == "everyone"]
    return [*before, *([Book(own)] if own else []), *after]


def _book(row: LorebookRow) -> Book:
    return Book(row.content, _PARTS[row.scope], str(row.id))


def conversation_of(
    begun: BegunTurn, names: Mapping[str, str], generation: str, describe: Describe
) -> Conversation:
    """The messages before the reply, each after the name of its speaker, because keys may be names.

    `names` are those of "user" and "char". All versions of a reply, and its continuation, are at
    the same moment. `generation` is SillyTavern's name of this kind of turn.
    """
    character = begun.character

    def named(row: MessageRow) -> str:
        name = row.speaker or names["user" if row.sender == "user" else "char"]
        return f"{name}: {row.content}"

    texts = [named(row) for row in begun.history]
    positions = [row.position for row in begun.history]
    if begun.turn.message:
        texts.append(f"{begun.turn.speaker or names['user']}: {begun.turn.message}")
        positions.append(_own_position(begun))
    replies = [place for place, row in enumerate(_earlier(begun)) if row.sender == "character"]
    return Conversation(
        texts,
        _moment(begun),
        replies,
        positions,
        continues=begun.turn.continues is not None,
        generations=frozenset((generation, *_ALSO_CALLED.get(generation, ()))),
        character=[*filter(None, (character.name, character.nickname))] if character else (),
        describe=describe,
    )


def _earlier(begun: BegunTurn) -> Sequence[MessageRow]:
    """The messages of the history before the reply, also before one that is continued."""
    return begun.history if begun.turn.continues is None else begun.history[:-1]


def _own_position(begun: BegunTurn) -> int:
    """The position of the turn's message; if it is not stored, the one that it would have."""
    last = begun.history[-1].position if begun.history else 0
    return last + 1 if begun.turn.position is None else begun.turn.position


def _moment(begun: BegunTurn) -> Moment:
    history, before = _earlier(begun), begun.preceding or PrecedingRow()
    last = history[-1].position if history else 0
    return Moment(
        str(begun.conversation.id) if begun.conversation else "",
        messages=before.messages + len(history) + bool(begun.turn.message),
        replies=before.replies + sum(row.sender == "character" for row in history),
        place=_own_position(begun) if begun.turn.message else last,
    )
