"""Arranges messages for chat templates that accept only certain orders of roles.

Applied last, to the messages that were built. In the strict forms, system text stands before the
first message of the person. Later system text (post-history instructions, book entries at a depth)
goes to the end of the last message, in brackets, so that all messages before it are the same in the
next turn.
"""

from collections.abc import Sequence

from msgspec import Struct

from roleplay_chat.messages import Role, Roles
from roleplay_chat.prompt.passages import Piece, joined
from roleplay_chat.tokens import Tokens

BEGIN = "[The scene begins.]"
"""The person's line before a conversation that begins with the character's words."""
GO_ON = "[Go on.]"
"""The person's line after a conversation that ends with the character's words."""
_BETWEEN = "\n\n"


class PromptMessage(Struct):
    """A message whose text knows which part of the turn each run comes from."""

    role: Role
    content: Piece
    depth: int | None = None
    """The number of messages after a note; None for any other message."""

    @property
    def is_note(self) -> bool:
        """Whether it is placed among the messages, where its position changes from turn to turn."""
        return self.depth is not None


def arranged(messages: Sequence[PromptMessage], roles: Roles) -> list[PromptMessage]:
    """The messages in this form, with adjacent ones of the same role merged. The first is the
    system message, if there is one."""
    if roles == "as_is":
        return [*messages[:1], *_merged(messages[1:])]
    has_system = bool(messages) and messages[0].role == "system"
    rest = messages[1:] if has_system else messages
    asides = [message.content for message in rest if message.is_note or message.role == "system"]
    said = _merged([one for one in rest if not one.is_note and one.role != "system"])
    if not said or said[0].role != "user":
        said.insert(0, PromptMessage("user", Piece.from_text(None, BEGIN)))
    if said[-1].role != "user":
        said.append(PromptMessage("user", Piece.from_text(None, GO_ON)))
    ended = joined(_BETWEEN, [said[-1].content, *map(_in_brackets, asides)])
    said[-1] = PromptMessage("user", ended)
    if not has_system or not messages[0].content.runs:
        return said
    if roles == "alternate":
        return [messages[0], *said]
    begun = joined(_BETWEEN, [messages[0].content, said[0].content])
    return [PromptMessage("user", begun), *said[1:]]


def extra_tokens(roles: Roles, tokens: Tokens) -> int:
    """An upper bound for the tokens that this form adds to the messages."""
    if roles == "as_is":
        return 0
    return sum(tokens.message_cost(f"{line}{_BETWEEN}") for line in (BEGIN, GO_ON))


def _merged(messages: Sequence[PromptMessage]) -> list[PromptMessage]:
    """Merge adjacent messages of the same role."""
    rows: list[list[PromptMessage]] = []
    role = None
    for message in messages:
        if message.role == role:
            rows[-1].append(message)
        else:
            role = message.role
            rows.append([message])
    return [row[0] if len(row) == 1 else _as_one(row) for row in rows]


def _as_one(row: Sequence[PromptMessage]) -> PromptMessage:
    return PromptMessage(row[0].role, joined(_BETWEEN, [message.content for message in row]))


def _in_brackets(piece: Piece) -> Piece:
    if not piece.runs:
        return piece
    return Piece.from_runs([(None, "["), *piece.runs, (None, "]")])
