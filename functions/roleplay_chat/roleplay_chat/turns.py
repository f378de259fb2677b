"""The two database calls of a turn, and what each of their outcomes means to the caller."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from edge.clients import Clients
from edge.errors import ApiError
from edge.identity import unauthorized
from roleplay_chat.api import ChatRequest, MemoryTier
from roleplay_chat.rows import BegunTurn

SAVE_TRIES = 4
FIRST_RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class Replay:
    """The same request was answered before, and this was the answer."""

    reply: str
    result: dict[str, Any]


@dataclass(frozen=True)
class TurnEnd:
    """How a turn ended, as finish_turn takes it."""

    turn_id: UUID
    status: str
    reply: str | None
    columns: dict[str, Any]
    """Columns of `turns`."""
    result: dict[str, Any]
    """What a repeated request is answered with, beside the reply."""
    memory_tier: MemoryTier
    usage: Sequence[dict[str, Any]]
    """Rows of `usage_events`, one for each call to a model."""
    cooldowns: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class Saved:
    """What finish_turn did."""

    message_id: str | None
    memory_updated: bool


_REFUSALS = {
    "conversation_not_found": (404, "This conversation does not exist."),
    "character_not_found": (404, "This character does not exist or is not in this conversation."),
    "persona_not_found": (404, "The character you play does not exist."),
    "nothing_to_regenerate": (409, "There is no reply to write again yet."),
    "nothing_to_continue": (409, "There is no reply to continue yet."),
}


async def begin(
    clients: Clients,
    user_id: UUID,
    request: ChatRequest,
    *,
    lease_seconds: int,
    history_messages: int,
) -> BegunTurn | Replay:
    """Open the turn. Raises `ApiError` when it is refused or the database is away."""
    parameters = {
        "p_turn_id": str(uuid4()),
        "p_user_id": str(user_id),
        "p_task": request.task,
        "p_action": request.action,
        "p_conversation_id": _text(request.conversation_id),
        "p_character_id": _text(request.character_id),
        "p_user_character_id": _text(request.user_character_id),
        "p_message": request.message,
        "p_client_message_id": request.client_message_id,
        "p_memory_tier": request.memory_tier or "conversation",
        "p_lease_seconds": lease_seconds,
        "p_history_limit": history_messages,
    }
    begun = await clients.execute(lambda db: db.rpc("begin_turn", parameters))
    outcome = begun["outcome"]
    if outcome == "started":
        return BegunTurn.model_validate(begun)
    if outcome == "replayed":
        return Replay(reply=begun["reply"] or "", result=begun["result"] or {})
    if outcome == "in_progress":
        raise ApiError(
            409,
            "turn_in_progress",
            "A reply is still being written in this conversation. Please wait for it.",
            retry_after=begun["retry_after_seconds"],
        )
    if outcome == "unknown_user":
        raise unauthorized()
    status, sentence = _REFUSALS[outcome]
    raise ApiError(status, outcome, sentence)


async def finish(clients: Clients, end: TurnEnd) -> Saved | None:
    """Close the turn; None when it could not be saved.

    Tries again while the database is away: finish_turn changes nothing when it already ran.
    """
    parameters = {
        "p_turn_id": str(end.turn_id),
        "p_status": end.status,
        "p_reply": end.reply,
        "p_turn": end.columns,
        "p_result": end.result,
        "p_memory_tier": end.memory_tier,
        "p_usage": list(end.usage),
        "p_cooldowns": list(end.cooldowns),
    }
    for attempt in range(SAVE_TRIES):
        try:
            saved = await clients.execute(lambda db: db.rpc("finish_turn", parameters))
        except ApiError:
            if attempt + 1 == SAVE_TRIES:
                return None
            await asyncio.sleep(FIRST_RETRY_SECONDS * 2**attempt)
        else:
            if saved["outcome"] != "saved":
                return None
            return Saved(saved["message_id"], saved["memory_updated"])
    return None


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
