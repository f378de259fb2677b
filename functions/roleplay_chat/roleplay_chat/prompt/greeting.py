"""The author's greeting, which opens a conversation without a model."""

from edge.errors import ApiError
from roleplay_chat.api import ChatRequest
from roleplay_chat.content_tier import greeting_denied, may_read
from roleplay_chat.prompt.group_chat import is_group_chat
from roleplay_chat.prompt.macro_variables import Variables
from roleplay_chat.prompt.macros import Macros, build_macros, expand
from roleplay_chat.rows import BegunTurn

MODEL_USED = "card:greeting"
"""Reported to the client instead of a model's name."""


def greeting_for(begun: BegunTurn, request: ChatRequest, variables: Variables) -> str | None:
    """The greeting that answers this turn; None if a model should.

    None if somebody has spoken, if there is no greeting, if the person may not read it, or if the
    request has a scene, which the author could not know. A greeting chosen by number opens any
    scene and may replace another opening. Raises `ApiError` 400 if there is none of that number,
    403 if the person may not read it. The greeting's macros change `variables`.
    """
    if begun.character is None or begun.has_past or begun.turn.message is not None:
        return None
    if request.action not in ("kickoff", "regenerate"):
        return None
    if request.greeting is None and (request.action != "kickoff" or _has_scene(request)):
        return None
    if not may_read(begun.user, begun.character):
        if request.greeting is not None:
            raise greeting_denied()
        return None
    return _chosen(begun, request, build_macros(begun, request).keeping(variables))


def _chosen(begun: BegunTurn, request: ChatRequest, macros: Macros) -> str | None:
    known = _known(begun)
    number = _first(begun) if request.greeting is None else request.greeting
    text = expand(known.get(number, ""), macros).strip()
    if not text and request.greeting is not None:
        numbers = [str(number) for number, text in known.items() if text.strip()]
        has = f"has these: {', '.join(numbers)}" if numbers else "has none"
        sentence = f"There is no greeting {request.greeting}; the character {has}."
        raise ApiError(400, "greeting_not_found", sentence)
    return text or None


def _known(begun: BegunTurn) -> dict[int, str]:
    """The greetings by number. Those for groups come last, and exist only in groups."""
    if begun.character is None:
        return {}
    others = begun.character.group_only_greetings if is_group_chat(begun) else []
    return dict(enumerate([*begun.character.greetings, *others]))


def _first(begun: BegunTurn) -> int:
    """The number of the default greeting: in a group the first one for groups, if any."""
    own = len(begun.character.greetings) if begun.character else 0
    for_groups = (
        number for number, text in _known(begun).items() if number >= own and text.strip()
    )
    return next(for_groups, 0)


def _has_scene(request: ChatRequest) -> bool:
    starters = any(request.scene_starters or [])
    return bool(
        request.scene_name or request.scene_description or request.scene_context or starters
    )
