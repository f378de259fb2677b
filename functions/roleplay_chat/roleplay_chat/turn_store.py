"""The two database calls of a turn, and what each of their outcomes means to the caller."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError

from edge.clients import Clients
from edge.errors import ApiError
from edge.identity import account_blocked
from roleplay_chat.api import DEFAULT_MEMORY_TIER, ChatRequest, MemoryTier
from roleplay_chat.generation.routing import odd_values
from roleplay_chat.rows import BegunTurn

_log = getLogger("roleplay_chat")

FIRST_RETRY_SECONDS = 0.25
"""Before a call is sent to the database again; doubled for each further time."""
LONGEST_RETRY_SECONDS = 4.0


OUT_OF_ORDER = {
    "model_key": "out of order",
    "display_name": "",
    "is_active": False,
    "provider": {"name": "out of order", "base_url": ""},
}
"""Stands for a classifier whose row cannot be read."""


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
    memory: dict[str, Any] | None = None
    """What is to be remembered, as private.remember takes it."""


@dataclass(frozen=True)
class Saved:
    """What finish_turn did."""

    message_id: str | None
    memory_updated: bool


_BLOCKED = {
    "conversation_not_found": (404, "This conversation does not exist."),
    "character_not_found": (404, "This character does not exist or is not in this conversation."),
    "persona_not_found": (404, "The character you play does not exist."),
    "message_not_found": (404, "This message does not exist."),
    "reply_deleted": (410, "The reply to this message was deleted."),
    "nothing_to_regenerate": (409, "There is no reply to regenerate yet."),
    "no_variant": (409, "Only a character's reply has versions to choose from."),
    "nothing_to_continue": (409, "There is no reply to continue yet."),
}
_LIMITS = {
    "turns_per_minute": "You are sending messages very fast. Please wait a moment.",
    "turns_per_day": "You have reached today's limit. Please come back tomorrow.",
    "running": "Too many of your replies are still being written. Please wait for one of them.",
    "actions_per_minute": "You are changing messages very fast. Please wait a moment.",
    "imports_per_minute": "You have imported many cards just now. Please wait a moment.",
    "exports_per_minute": "You have exported many cards just now. Please wait a moment.",
}
_OF_THE_DAY = "You have reached today's limit for this. Please come back tomorrow."
"""For the other limits that count by the day."""


async def begin(
    clients: Clients,
    user_id: UUID,
    request: ChatRequest,
    *,
    lease_seconds: int,
    history_messages: int,
) -> BegunTurn | Replay:
    """Open the turn. Raises `ApiError` when something blocks it or the database is away.

    A call that got no answer is sent once more: it may have opened the turn, and with the same
    id it goes on where it was.
    """
    turn_id = uuid4()
    parameters = {
        "p_turn_id": str(turn_id),
        "p_user_id": str(user_id),
        "p_task": request.task,
        "p_action": request.action,
        "p_conversation_id": _text(request.conversation_id),
        "p_character_id": _text(request.character_id),
        "p_user_character_id": _text(request.user_character_id),
        # What no `send` says is not kept, so nobody is to answer it.
        "p_message": request.message if request.action == "send" else None,
        "p_client_message_id": request.client_message_id,
        "p_message_id": _text(request.message_id),
        "p_memory_tier": request.chosen_memory_tier,
        "p_lease_seconds": lease_seconds,
        "p_history_limit": history_messages,
    }
    try:
        begun = await clients.rpc("begin_turn", parameters)
    except ApiError:
        await asyncio.sleep(FIRST_RETRY_SECONDS)
        begun = await clients.rpc("begin_turn", parameters)
    except (ValueError, RecursionError):
        # The turn is open, and its rows cannot be read: they are nested too deep, say.
        await abandon(clients, turn_id)
        raise
    outcome = begun["outcome"]
    if outcome == "started":
        return await _typed(clients, begun)
    if outcome == "replayed":
        return Replay(reply=begun["reply"], result=begun["result"])
    raise blocked(begun)


def blocked(answer: dict[str, Any]) -> ApiError:
    """The error for the outcome that keeps a turn or a change of messages from being made."""
    outcome = answer["outcome"]
    if outcome == "in_progress":
        return ApiError(
            409,
            "turn_in_progress",
            "A reply is still being written in this conversation. Please wait for it.",
            retry_after=answer["retry_after_seconds"],
        )
    if outcome == "rate_limited":
        sentence = _LIMITS.get(answer["limit"], _OF_THE_DAY)
        return ApiError(429, outcome, sentence, retry_after=answer["retry_after_seconds"])
    if outcome in ("unknown_user", "banned_user"):
        return account_blocked(outcome)
    status, sentence = _BLOCKED[outcome]
    return ApiError(status, outcome, sentence)


async def count_action(clients: Clients, user_id: UUID, action: str) -> None:
    """Count an action that is no turn, before its work is done.

    Raises `ApiError` 429 when there were too many, 401 or 403 when the person may do nothing.
    """
    parameters = {"p_user_id": str(user_id), "p_action": action}
    if outcome := await clients.rpc("count_action", parameters):
        raise blocked(outcome)


async def _typed(clients: Clients, begun: dict[str, Any]) -> BegunTurn:
    """The rows of a turn, without operators' rows that are not as they should be: each costs itself
    only. Are the others none that we know, the turn is closed before this raises.
    """
    try:
        typed = BegunTurn.model_validate(begun)
    except ValidationError as error:
        _log_odd(error)
        try:
            typed = BegunTurn.model_validate(without(begun, error))
        except ValidationError:
            await abandon(clients, UUID(begun["turn"]["id"]))
            raise
    if odd := odd_values(typed.models):
        fields = {"where": odd[:5]}
        _log.error("a row's number is not as it should be", extra={"fields": fields})
    return typed


def without(begun: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The rows but for those of operators that an error is about. A classifier is not left out, as
    whether a turn is looked at does not depend on a slip: it counts as out of order."""
    wrong = {tuple(one["loc"][:2]) for one in error.errors(include_input=False)}
    sound = dict(begun)
    for name in ("models", "templates", "cooldowns", "moderators"):
        rows = enumerate(begun.get(name) or [])
        sound[name] = [row for place, row in rows if (name, place) not in wrong]
        if name == "moderators" and len(sound[name]) < len(begun.get(name) or []):
            sound[name].append(OUT_OF_ORDER)
    if any(place[0] == "worker" for place in wrong):
        sound["worker"] = {}
    return sound


def _log_odd(error: ValidationError) -> None:
    where = [".".join(map(str, one["loc"])) for one in error.errors(include_input=False)]
    fields = {"where": where[:5]}
    _log.critical("a row is not as it should be", extra={"fields": fields}, exc_info=error)


async def abandon(clients: Clients, turn_id: UUID) -> None:
    """Close a turn that cannot be run: else its conversation would wait for the lease to end.

    Raises nothing; one that is closed stays as it is.
    """
    columns = {"error_code": "internal_error"}
    end = TurnEnd(turn_id, "failed", None, columns, {}, DEFAULT_MEMORY_TIER, ())
    try:
        await finish(clients, end, seconds=FIRST_RETRY_SECONDS)
    except Exception:
        _log.exception("turn cannot be closed", extra={"fields": {"turn_id": str(turn_id)}})


async def finish(clients: Clients, end: TurnEnd, *, seconds: float) -> Saved | None:
    """Close the turn; None when another one took its place, or the time was not enough.

    Tries again for so long while the database is away: finish_turn changes nothing when it
    already ran.
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
        "p_memory": end.memory,
    }
    deadline = time.monotonic() + seconds
    pause = FIRST_RETRY_SECONDS
    while True:
        try:
            saved = await clients.rpc("finish_turn", parameters)
        except ApiError:
            if time.monotonic() + pause > deadline:
                return None
            # Spread out, so that turns that wait for the same database do not come back at once.
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311
            pause = min(pause * 2, LONGEST_RETRY_SECONDS)
        else:
            if saved["outcome"] != "saved":
                return None
            return Saved(saved["message_id"], saved["memory_updated"])


async def save(
    clients: Clients, end: TurnEnd, *, seconds: float, ids: Mapping[str, Any]
) -> Saved | None:
    """Close the turn, trying for so long; None when that failed. `ids` name it in the log.

    What the database refused it will refuse again. The conversation at least is set free, whatever
    it was that could not be saved.
    """
    try:
        return await finish(clients, end, seconds=seconds)
    except Exception:
        _log.exception("turn cannot be saved", extra={"fields": ids})
    for usage in (end.usage, ()):
        columns = {"error_code": "not_saved"}
        end = TurnEnd(end.turn_id, "failed", None, columns, {}, end.memory_tier, usage)
        try:
            await finish(clients, end, seconds=seconds)
        except Exception:
            _log.exception("turn cannot be closed", extra={"fields": ids})
        else:
            break
    return None


async def remember(
    clients: Clients, turn_id: UUID, memory: dict[str, Any], usage: Sequence[dict[str, Any]]
) -> bool:
    """Save what was written down after the turn was closed; whether anything changed.

    A call that got no answer is sent once more. Raises `ApiError` when the database is away.
    """
    parameters = {"p_turn_id": str(turn_id), "p_memory": memory, "p_usage": list(usage)}
    try:
        return bool(await clients.rpc("remember", parameters))
    except ApiError:
        await asyncio.sleep(LONGEST_RETRY_SECONDS)
        return bool(await clients.rpc("remember", parameters))


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
