"""The actions that change the messages of a conversation. None is a turn or calls a model."""

from collections.abc import Mapping
from functools import partial
from logging import getLogger
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from edge.clients import Clients
from edge.errors import ApiError
from roleplay_chat.api import (
    MAX_CONTENT_CHARS,
    STORABLE,
    Caller,
    ClientMessageId,
    Handler,
    Object,
    message_too_long,
    validated,
)
from roleplay_chat.screening.decision import Passage, content_refused, screen
from roleplay_chat.turn_store import blocked, count_action

_log = getLogger("roleplay_chat")

COUNTED_FIRST_CHARS = 4_000
"""Longer texts are counted first and then screened in a thread. Screening a shorter one takes less
time than a database call."""


class MessageRequest(BaseModel):
    """The id of a message; for `choose`, of a version of a reply."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    message_id: UUID


class EditRequest(MessageRequest):
    """The id of a message, and its new text."""

    message: Annotated[str, Field(max_length=MAX_CONTENT_CHARS), STORABLE]


class DeleteRequest(MessageRequest):
    """The id of a message, and whether to delete everything after it too."""

    onwards: bool = False


class HideRequest(MessageRequest):
    """The id of a message, and whether to hide it from models; false shows it to them again."""

    hidden: bool = True


class BranchRequest(MessageRequest):
    """The id of the last message to copy. Requests with the same client id make one branch."""

    client_message_id: ClientMessageId | None = None


async def choose(clients: Clients, caller: Caller, body: Object) -> Object:
    """Make a version of a reply the active one. Raises `ApiError` 404, 409 or 429."""
    request = validated(MessageRequest, body)
    done = await _change(clients, caller, request, "choose_variant")
    ids = {"conversation_id": done["conversation_id"], "message_id": str(request.message_id)}
    return {"success": True} | ids


async def edit(clients: Clients, caller: Caller, body: Object, *, max_message_chars: int) -> Object:
    """Replace a message's text. Raises `ApiError` 400, 403, 404, 409 or 429. Counts as one action;
    a long text counts as two.
    """
    request = validated(EditRequest, body)
    if not request.message.strip():
        raise ApiError(400, "message_required", "Please write some text, or delete the message.")
    if len(request.message) > COUNTED_FIRST_CHARS:
        await count_action(clients, caller.user_id, "edit")
        await clients.in_thread(check_text, request.message)
    else:
        try:
            check_text(request.message)
        except ApiError:
            await count_action(clients, caller.user_id, "edit")
            raise
    changes = {"p_content": request.message, "p_max_chars": max_message_chars}
    done = await _change(clients, caller, request, "edit_message", **changes)
    if done["outcome"] == "message_too_long":
        raise message_too_long(len(request.message), max_message_chars)
    ids = {"conversation_id": done["conversation_id"], "message_id": str(request.message_id)}
    return {"success": True} | ids | {"edited_at": done["edited_at"]}


async def delete(clients: Clients, caller: Caller, body: Object) -> Object:
    """Delete a message, or everything from it on. Raises `ApiError` 404, 409 or 429."""
    request = validated(DeleteRequest, body)
    done = await _change(clients, caller, request, "delete_messages", p_onwards=request.onwards)
    return {"success": True, "deleted": done["deleted"]}


async def hide(clients: Clients, caller: Caller, body: Object) -> Object:
    """Hide a message from models, or show it again. Raises `ApiError` 404, 409 or 429."""
    request = validated(HideRequest, body)
    done = await _change(clients, caller, request, "hide_message", p_hidden=request.hidden)
    ids = {"conversation_id": done["conversation_id"], "message_id": str(request.message_id)}
    return {"success": True} | ids | {"hidden": request.hidden}


async def branch(clients: Clients, caller: Caller, body: Object) -> Object:
    """Start a conversation with copies of the messages up to this one.

    Raises `ApiError` 404, 409 or 429.
    """
    request = validated(BranchRequest, body)
    once = {"p_client_message_id": request.client_message_id}
    done = await _change(clients, caller, request, "branch_conversation", **once)
    return {"success": True, "conversation_id": done["conversation_id"]}


def actions(max_message_chars: int) -> Mapping[str, Handler]:
    """The handlers by the request's `action`."""
    return {
        "choose": choose,
        "edit": partial(edit, max_message_chars=max_message_chars),
        "delete": delete,
        "hide": hide,
        "branch": branch,
    }


def check_text(text: str) -> None:
    """Raise `ApiError` 403 for a text that no content tier allows.

    The next turn screens it again in its own tier, together with the rest of the prompt.
    """
    if finding := screen([Passage("message", text)], tier="sfw"):
        raise content_refused(finding)


async def _change(
    clients: Clients, caller: Caller, request: MessageRequest, function: str, **parameters: Any
) -> Object:
    """Call a database function and return its result. Raises `ApiError` if it refuses."""
    parameters |= {"p_user_id": str(caller.user_id), "p_message_id": str(request.message_id)}
    done: Object = await clients.rpc(function, parameters, person=caller.user_id)
    ids = {"user_id": str(caller.user_id), "message_id": str(request.message_id)}
    _log.info(function, extra={"fields": ids | {"outcome": done["outcome"]}})
    if done["outcome"] not in ("done", "message_too_long"):
        raise blocked(done)
    return done
