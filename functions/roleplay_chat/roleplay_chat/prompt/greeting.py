"""The words that open a conversation as the character's author wrote them."""

from edge.errors import ApiError
from roleplay_chat.api import ChatRequest
from roleplay_chat.content_tier import greeting_denied, may_read
from roleplay_chat.prompt.macros import build_macros, expand
from roleplay_chat.rows import BegunTurn

MODEL_USED = "card:greeting"
"""What the client is told instead of a model."""


def greeting_for(begun: BegunTurn, request: ChatRequest) -> str | None:
    """The greeting that answers this turn; None when a model is to speak.

    That is when somebody has spoken before, when there is no greeting or not one that the person
    may read, and when a scene was given that the author knew nothing of. A greeting that was asked
    for by number opens any scene, and may take the place of another opening; `ApiError` 400 when
    there is none of that number, 403 when the person may not read it.
    """
    if begun.character is None or begun.history or begun.turn.message is not None:
        return None
    if request.action not in ("kickoff", "regenerate"):
        return None
    if request.greeting is None and (request.action != "kickoff" or _has_scene(request)):
        return None
    if not may_read(begun.user, begun.character):
        if request.greeting is not None:
            raise greeting_denied()
        return None
    return _chosen(begun, request)


def _chosen(begun: BegunTurn, request: ChatRequest) -> str | None:
    greetings = begun.character.greetings if begun.character else []
    known = dict(enumerate(greetings))
    text = expand(known.get(request.greeting or 0, ""), build_macros(begun, request)).strip()
    if not text and request.greeting is not None:
        numbers = [str(number) for number, text in known.items() if text.strip()]
        has = f"has these: {', '.join(numbers)}" if numbers else "has none"
        sentence = f"There is no greeting {request.greeting}; the character {has}."
        raise ApiError(400, "greeting_not_found", sentence)
    return text or None


def _has_scene(request: ChatRequest) -> bool:
    starters = any(request.scene_starters or [])
    return bool(
        request.scene_name or request.scene_description or request.scene_context or starters
    )
