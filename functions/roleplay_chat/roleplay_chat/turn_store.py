"""The database calls of a turn, and the errors for their outcomes."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from logging import getLogger
from typing import Any
from uuid import UUID

from msgspec import Struct
from pydantic import ValidationError

from edge.clients import Clients, DatabaseError, is_lost
from edge.errors import ApiError
from edge.identity import account_blocked, unauthorized
from edge.json_values import id_text
from roleplay_chat.api import DEFAULT_MEMORY_TIER, ChatRequest, MemoryTier
from roleplay_chat.generation.targets import invalid_numbers
from roleplay_chat.generation.workers import requested_worker
from roleplay_chat.rows import BegunTurn
from roleplay_chat.turn_cache import CachedTurn, TurnCache, complete
from roleplay_chat.uuid7 import uuid7

_log = getLogger("roleplay_chat")

FIRST_RETRY_SECONDS = 0.25
"""The wait before the first retry of a database call; doubled for each further one."""
MAX_RETRY_SECONDS = 4.0


UNREADABLE_CLASSIFIER = {
    "model_key": "out of order",
    "display_name": "",
    "is_active": False,
    "provider": {"name": "out of order", "base_url": ""},
}
"""Replaces a classifier whose row is invalid."""


class Replay(Struct, frozen=True):
    """The answer to an identical earlier request."""

    reply: str
    result: dict[str, Any]

    def to_json(self, request_id: str) -> dict[str, Any]:
        """The answer to this request."""
        return self.result | {"response": self.reply, "request_id": request_id}


class TurnEnd(Struct, frozen=True):
    """The end of a turn in the format of finish_turn."""

    turn_id: UUID
    status: str
    reply: str | None
    columns: dict[str, Any]
    """Columns of `turns`."""
    result: dict[str, Any]
    """The answer to a repeated request, without the reply's text."""
    memory_tier: MemoryTier
    usage: Sequence[dict[str, Any]]
    """Rows of `usage_events`, one for each call to a model."""
    cooldowns: Sequence[dict[str, Any]] = ()
    memory: dict[str, Any] | None = None
    """The memory to save, in the format of private.remember."""
    prompt: dict[str, Any] | None = None
    """The composition of the reply's prompt: `composition.compose`."""
    user_id: UUID | None = None
    """Whose turn it is, if that is known: the call then takes one of the person's places
    (`Clients.rpc`)."""


class Saved(Struct, frozen=True):
    """The result of finish_turn."""

    message_id: str | None
    memory_updated: bool


_BLOCKED = {
    "conversation_not_found": (404, "This conversation does not exist."),
    "character_not_found": (404, "This character does not exist or is not in this conversation."),
    "persona_not_found": (404, "The character you play does not exist."),
    "message_not_found": (404, "This message does not exist."),
    "not_admin": (403, "Only admins can do this."),
    "turn_not_found": (404, "This reply does not exist, or it was never begun."),
    "client_message_id_used": (
        409,
        "This id was used for another request. Please send it with a new one.",
    ),
    "reply_deleted": (410, "The reply to this message was deleted."),
    "nothing_to_regenerate": (409, "There is no reply to regenerate yet."),
    "no_variant": (409, "Only a character's reply has versions to choose from."),
    "nothing_to_continue": (409, "There is no reply to continue yet."),
    "reply_too_long": (
        409,
        "This reply is as long as it may be. Send a message to go on.",
    ),
    "no_profile": (409, "Your account has no profile yet. Please set up your profile first."),
    "too_many_characters": (
        409,
        "You have reached the maximum number of characters. Please delete one first.",
    ),
    "too_many_lorebooks": (
        409,
        "You have reached the maximum number of lorebooks. Please delete one first.",
    ),
}
_LIMITS = {
    "turns_per_minute": "You are sending messages very fast. Please wait a moment.",
    "turns_per_day": "You have reached today's limit. Please come back tomorrow.",
    "running": "Too many of your replies are still being written. Please wait for one of them.",
    "actions_per_minute": "You are changing messages very fast. Please wait a moment.",
    "imports_per_minute": "You have imported many files just now. Please wait a moment.",
    "exports_per_minute": "You have exported many files just now. Please wait a moment.",
    "admin_actions_per_minute": "You have tried many things just now. Please wait a moment.",
    "api_turns_per_minute": "Your API keys are sending messages very fast. Please wait a moment.",
    "api_lists_per_minute": "You have listed models very often just now. Please wait a moment.",
    "api_key_turns_per_day": "This API key has reached its limit for today.",
}
_DAILY_LIMIT = "You have reached today's limit for this. Please come back tomorrow."
"""The sentence for all other daily limits."""
_RAISED = "P0001"
"""The SQLSTATE of `raise exception`: a trigger of an installation refuses a row."""
_MODELS = ("models", "moderation_models", "embedding_models")
_OPERATORS_ROWS = (*_MODELS, "workers", "templates", "cooldowns")


async def begin(
    clients: Clients,
    user_id: UUID,
    request: ChatRequest,
    *,
    lease_seconds: int,
    cache: TurnCache,
    embedding: Mapping[str, Any] | None = None,
) -> BegunTurn | Replay:
    """Open the turn. Raises `ApiError` if something blocks it or the database is unavailable.

    A call without an answer is retried once. It may have opened the turn, so the retry uses the
    same id, which makes it idempotent. `embedding` is that of the message, in the format of
    private.nearest. Rows in `cache` are not read again.
    """
    turn_id = uuid7()
    copy = cache.find(user_id, request.conversation_id, request.task)
    turn = _begin_parameters(turn_id, request, lease_seconds, embedding)
    known = {"p_user_id": str(user_id), "p_known": copy.known}
    place = user_id, request.conversation_id, request.task
    try:
        begun = await _open(clients, user_id, turn_id, "begin_turn", known | turn)
        if begun["outcome"] == "started":
            cache.keep(*place, await _completed(clients, begun, copy))
    except ApiError:
        raise
    except Exception:
        # It may be the copy that does not fit, so the next turn must not use it either.
        cache.keep(*place, CachedTurn())
        raise
    return await _opened(clients, begun)


async def begin_with_key(
    clients: Clients,
    key_hash: str,
    caller: UUID,
    request: ChatRequest,
    *,
    lease_seconds: int,
    embedding: Mapping[str, Any] | None = None,
) -> tuple[UUID, BegunTurn | Replay]:
    """Open the turn for the owner of an API key, as `begin`; returns the owner's id as well.
    `key_hash` is the key's SHA-256 in hexadecimal, `caller` tells keys apart."""
    turn_id = uuid7()
    turn = _begin_parameters(turn_id, request, lease_seconds, embedding)
    parameters = {"p_key_hash": key_hash, "p_turn": turn}
    admitted = await _open(clients, caller, turn_id, "begin_turn_with_key", parameters)
    if "outcome" in admitted:
        raise blocked(admitted)
    begun = admitted["begun"]
    if begun["outcome"] == "started":
        await _completed(clients, begun, CachedTurn())
    return UUID(admitted["user_id"]), await _opened(clients, begun)


def _begin_parameters(
    turn_id: UUID, request: ChatRequest, lease_seconds: int, embedding: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The arguments of begin_turn, without the user."""
    return {
        "p_turn_id": str(turn_id),
        "p_task": request.task,
        "p_action": request.action,
        "p_conversation_id": id_text(request.conversation_id),
        "p_character_id": id_text(request.character_id),
        "p_user_character_id": id_text(request.user_character_id),
        # Other actions do not store a message, so the model must not see one.
        "p_message": request.message if request.action == "send" else None,
        "p_client_message_id": request.client_message_id,
        "p_message_id": id_text(request.message_id),
        "p_memory_tier": request.chosen_memory_tier,
        "p_lease_seconds": lease_seconds,
        "p_worker": requested_worker(request.model_provider),
        **({"p_embedding": embedding} if embedding else {}),
    }


async def _open(
    clients: Clients, caller: UUID, turn_id: UUID, function: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Call a function that begins a turn, and return its result."""
    try:
        begun: dict[str, Any] = await _call_twice(clients, function, parameters, person=caller)
    except ApiError as error:
        if is_lost(error):
            clients.beside(abandon(clients, turn_id, error.code))
        raise
    except DatabaseError as error:
        if error.sqlstate != _RAISED:
            raise
        # The database's reason may quote the message.
        fields = {"turn_id": str(turn_id), "sqlstate": error.sqlstate, "see": "Postgres's own log"}
        _log.exception("a trigger refuses the turn", extra={"fields": fields})
        raise ApiError(
            409,
            "not_stored",
            "Your message was not accepted, and nothing was saved. Please change it and try again,"
            " or contact support.",
        ) from error
    except (ValueError, RecursionError):
        # The turn is open, but its rows cannot be parsed: for example, they are nested too deep.
        await abandon(clients, turn_id)
        raise
    return begun


async def _completed(clients: Clients, begun: dict[str, Any], copy: CachedTurn) -> CachedTurn:
    """The result of `complete`. Closes the turn if it fails."""
    try:
        return complete(begun, copy)
    except Exception:
        await abandon(clients, UUID(begun["turn"]["id"]))
        raise


async def _opened(clients: Clients, begun: dict[str, Any]) -> BegunTurn | Replay:
    """The result of begin_turn. Raises `ApiError` if something blocks the turn."""
    outcome = begun["outcome"]
    if outcome == "started":
        return await _parse_rows(clients, begun)
    if outcome == "replayed":
        return Replay(reply=begun["reply"], result=begun["result"])
    raise blocked(begun)


async def _call_twice(
    clients: Clients, function: str, parameters: Mapping[str, Any], *, person: UUID | None = None
) -> Any:
    """Raises the first error if that call may have taken effect, otherwise the second one."""
    try:
        return await clients.rpc(function, parameters, person=person)
    except ApiError as error:
        if error.code == "busy":  # It has waited long enough.
            raise
        first = error
    await asyncio.sleep(FIRST_RETRY_SECONDS)
    try:
        return await clients.rpc(function, parameters, person=person)
    except ApiError:
        if is_lost(first):
            raise first from first.__cause__
        raise


def blocked(answer: dict[str, Any]) -> ApiError:
    """The error for an outcome that blocks a turn or another action."""
    outcome = answer["outcome"]
    if outcome == "in_progress":
        return ApiError(
            409,
            "turn_in_progress",
            "A reply is still being written in this conversation. Please wait for it.",
            retry_after=answer["retry_after_seconds"],
        )
    if outcome == "rate_limited":
        sentence = _LIMITS.get(answer["limit"], _DAILY_LIMIT)
        return ApiError(429, outcome, sentence, retry_after=answer["retry_after_seconds"])
    if outcome in ("unknown_user", "banned_user"):
        return account_blocked(outcome)
    if outcome == "unknown_api_key":
        return unauthorized("This API key is not valid. Please make another one in your account.")
    status, sentence = _BLOCKED[outcome]
    return ApiError(status, outcome, sentence)


async def count_action(clients: Clients, user_id: UUID, action: str) -> None:
    """Count an action that is not a turn, before its work.

    Raises `ApiError` 429 over the limit, and 401 or 403 if the account is gone or suspended.
    """
    parameters = {"p_user_id": str(user_id), "p_action": action}
    if outcome := await clients.rpc("count_action", parameters, person=user_id):
        raise blocked(outcome)


async def _parse_rows(clients: Clients, begun: dict[str, Any]) -> BegunTurn:
    """Validate the rows of a turn, without the operators' invalid rows, so that each such row
    affects only itself. If the others are invalid too, close the turn and raise.
    """
    try:
        typed = BegunTurn.model_validate(begun)
    except ValidationError as error:
        _log_invalid_rows(error)
        try:
            typed = BegunTurn.model_validate(without_invalid_rows(begun, error))
        except ValidationError:
            await abandon(clients, UUID(begun["turn"]["id"]))
            raise
    if invalid := invalid_numbers(typed.models, typed.workers):
        fields = {"where": invalid[:5]}
        _log.error("invalid number in a row", extra={"fields": fields})
    return typed


def without_invalid_rows(begun: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The rows without the operators' rows that the error names. An invalid classifier is replaced
    by an unavailable one, because a typing error must not switch the check off."""
    invalid = {tuple(one["loc"][:2]) for one in error.errors(include_input=False)}
    valid = dict(begun)
    for name in _OPERATORS_ROWS:
        rows = enumerate(begun.get(name) or [])
        valid[name] = [row for place, row in rows if (name, place) not in invalid]
        if name == "moderation_models" and len(valid[name]) < len(begun.get(name) or []):
            valid[name].append(UNREADABLE_CLASSIFIER)
    return valid


def _log_invalid_rows(error: ValidationError) -> None:
    where = [".".join(map(str, one["loc"])) for one in error.errors(include_input=False)]
    fields = {"where": where[:5]}
    _log.critical("invalid row", extra={"fields": fields}, exc_info=error)


async def abandon(clients: Clients, turn_id: UUID, why: str = "internal_error") -> None:
    """Close a turn that cannot run, if it was opened. Otherwise its conversation stays locked until
    the lease ends.

    Raises nothing. A closed turn is not changed.
    """
    columns = {"error_code": why}
    end = TurnEnd(turn_id, "failed", None, columns, {}, DEFAULT_MEMORY_TIER, ())
    try:
        await finish(clients, end, seconds=FIRST_RETRY_SECONDS)
    except Exception:
        _log.exception("turn cannot be closed", extra={"fields": {"turn_id": str(turn_id)}})


async def read(clients: Clients, user_id: UUID, turn_id: UUID) -> Replay | None:
    """The saved reply of a user's turn; None while it is running. Raises `ApiError` if there is
    none, or the database is unavailable."""
    parameters = {"p_user_id": str(user_id), "p_turn_id": str(turn_id)}
    found = await _call_twice(clients, "read_turn", parameters)
    outcome = found["outcome"]
    if outcome == "replayed":
        return Replay(reply=found["reply"], result=found["result"])
    if outcome == "in_progress":
        return None
    if outcome != "failed":
        raise blocked(found)
    raise _why_failed(found["error_code"], found["refused"])


def _why_failed(error_code: str | None, refused: dict[str, Any] | None) -> ApiError:
    """The error for a turn that has no reply: what its first reader was told, if a repetition would
    fail in the same way. `refused` is the finding of the content policy."""
    # Only turns need these modules otherwise, and an instance answers before it imports them.
    from roleplay_chat.generation.error_policies import ERROR_POLICIES
    from roleplay_chat.screening.decision import Finding, content_refused

    if refused:
        return content_refused(Finding(**refused))
    policy = ERROR_POLICIES.get(error_code or "")
    if policy and policy.action in ("stop", "one_more", "firmer"):
        return ApiError(403, "content_refused", policy.user)
    if error_code == "stopped":
        return stopped_early()
    if error_code == "spend_limit_reached":
        return spend_limit_reached(datetime.now(UTC))
    sentence = "This reply could not be written. Please send your message again."
    return ApiError(409, "turn_failed", sentence)


def stopped_early() -> ApiError:
    """The error for a turn that the person stopped before it had any text."""
    return ApiError(409, "stopped", "You stopped this reply before its first word.")


def spend_limit_reached(now: datetime) -> ApiError:
    """The error when today's budget is spent and there is no free model."""
    tomorrow = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow += timedelta(days=1)
    return ApiError(
        429,
        "spend_limit_reached",
        "Today's budget for replies is used up. Please come back after 00:00 UTC.",
        retry_after=(tomorrow - now).total_seconds(),
    )


async def finish(clients: Clients, end: TurnEnd, *, seconds: float) -> Saved | None:
    """Close the turn; None if another turn replaced it or the time ran out.

    Retries for `seconds` while the database is unavailable or other calls of the person's are in
    the way; finish_turn is idempotent.
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
        "p_prompt": end.prompt,
    }
    deadline = time.monotonic() + seconds
    pause = FIRST_RETRY_SECONDS
    while True:
        try:
            saved = await clients.rpc("finish_turn", parameters, person=end.user_id)
        except ApiError:
            if time.monotonic() + pause > deadline:
                return None
            # Jitter, so that turns waiting for the database do not all retry at once.
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311
            pause = min(pause * 2, MAX_RETRY_SECONDS)
        else:
            if saved["outcome"] != "saved":
                return None
            return Saved(saved["message_id"], saved["memory_updated"])


async def save(
    clients: Clients, end: TurnEnd, *, seconds: float, ids: Mapping[str, Any]
) -> Saved | None:
    """Close the turn, retrying for `seconds`; None if that failed. `ids` identify it in the log.

    If the database rejects the turn, it is closed as failed without its content, so that at least
    the conversation is unlocked.
    """
    try:
        return await finish(clients, end, seconds=seconds)
    except Exception:
        _log.exception("turn cannot be saved", extra={"fields": ids})
    for usage in (end.usage, ()):
        columns = {"error_code": "not_saved"}
        end = TurnEnd(
            end.turn_id, "failed", None, columns, {}, end.memory_tier, usage, user_id=end.user_id
        )
        try:
            await finish(clients, end, seconds=seconds)
        except Exception:
            _log.exception("turn cannot be closed", extra={"fields": ids})
        else:
            break
    return None


async def remember(
    clients: Clients,
    user_id: UUID,
    turn_id: UUID,
    memory: dict[str, Any],
    usage: Sequence[dict[str, Any]],
) -> bool:
    """Save memory after the turn was closed. Returns whether anything changed.

    A call without an answer is retried once. Raises `ApiError` if the database is unavailable.
    """
    parameters = {"p_turn_id": str(turn_id), "p_memory": memory, "p_usage": list(usage)}
    try:
        return bool(await clients.rpc("remember", parameters, person=user_id))
    except ApiError:
        await asyncio.sleep(MAX_RETRY_SECONDS)
        return bool(await clients.rpc("remember", parameters, person=user_id))


async def embed_messages(
    clients: Clients,
    turn_id: UUID,
    model: str,
    embedded: Sequence[dict[str, Any]],
    usage: Sequence[dict[str, Any]],
    *,
    limit: int,
) -> list[dict[str, Any]]:
    """Save embeddings of messages, and return at most `limit` messages without one.

    Raises `ApiError` if the database is unavailable.
    """
    parameters = {
        "p_turn_id": str(turn_id),
        "p_model": model,
        "p_embeddings": list(embedded),
        "p_usage": list(usage),
        "p_limit": limit,
    }
    return list(await clients.rpc("embed_messages", parameters))


async def record_query(
    clients: Clients, id_: UUID, user_id: UUID, usage: Sequence[dict[str, Any]]
) -> None:
    """Record calls for the embedding of a message that began no turn. A repetition with the same id
    changes nothing. Raises `ApiError` if the database is unavailable."""
    parameters = {"p_id": str(id_), "p_user_id": str(user_id), "p_usage": list(usage)}
    await clients.rpc("record_query", parameters)
