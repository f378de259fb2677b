"""Writes the closing messages of a prompt: the author's post-history instructions, and the person's
message or an instruction that replaces it."""

from collections.abc import Sequence

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.budget import CLOSING_SHARE, INSTRUCTIONS_SHARE
from roleplay_chat.prompt.macros import Macros, own_text, written
from roleplay_chat.prompt.passages import Piece, joined
from roleplay_chat.prompt.roles import PromptMessage
from roleplay_chat.rows import BegunTurn
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, Tokens


def closing_messages(
    begun: BegunTurn,
    request: ChatRequest,
    macros: Macros,
) -> list[PromptMessage]:
    """The closing messages, uncut. The last one has the role "user"."""
    closing: list[PromptMessage] = []
    text = begun.character.post_history_instructions if begun.character else ""
    # {{original}} stands for our own instructions, and we have none here.
    instructions = written(text, macros, "character").stripped()
    # They instruct the character, who does not speak in an impersonation.
    if instructions.runs and request.action != "impersonate":
        closing.append(PromptMessage("system", instructions))
    said = begun.turn.message
    if said is not None:
        return [*closing, PromptMessage("user", Piece.from_text("message", said))]
    opening = own_text(_opening(begun, request), request, macros)
    opening = joined(" Something like: ", [opening, *_example(begun, request, macros)])
    return [*closing, PromptMessage("user", opening)]


def _opening(begun: BegunTurn, request: ChatRequest) -> str:
    """The instruction that replaces a missing message; it is never stored."""
    if request.action == "impersonate":
        return (
            "[Write what {{user}} says and does next, as {{user}} would, in the style of {{user}}'s"
            " messages so far. Write nothing for {{char}}.]"
        )
    if begun.turn.continues is not None:
        return "[Go on with your last message exactly where it stops. Do not repeat any of it.]"
    if begun.has_past:
        return (
            "[Continue the scene as {{char}} from where it stands, without introducing yourself.]"
        )
    return "[Open the scene as {{char}}: set the moment and speak first.]"


def _example(begun: BegunTurn, request: ChatRequest, macros: Macros) -> list[Piece]:
    """A scene starter as an example, if nobody has spoken yet."""
    if request.action == "impersonate" or begun.turn.continues is not None or begun.has_past:
        return []
    starters = [starter for starter in request.scene_starters or [] if starter]
    return [written(starter, macros, "scene") for starter in starters[:1]]


def fit_closing(
    closing: Sequence[PromptMessage], budget: int, spent: int, tokens: Tokens
) -> list[PromptMessage]:
    """The closing messages, cut to their shares, of which `spent` tokens are already used."""
    left, fitted = int(budget * CLOSING_SHARE) - spent, []
    for message in closing:
        limit = int(budget * INSTRUCTIONS_SHARE) if message.role == "system" else left
        limit -= TOKENS_PER_MESSAGE
        fitted.append(PromptMessage(message.role, _without_middle(message.content, limit, tokens)))
        left -= tokens.message_cost(fitted[-1].content.text)
    return fitted


def _without_middle(piece: Piece, limit: int, tokens: Tokens) -> Piece:
    """The text, with its middle cut out if it has more than `limit` tokens."""
    if (ends := tokens.both_ends(piece.text, limit)) is None:
        return piece
    beginning, gap, end = ends
    length = len(piece.text)
    return Piece.from_runs(
        [
            *piece.between(0, len(beginning)).runs,
            (None, gap),
            *piece.between(length - len(end), length).runs,
        ]
    )
