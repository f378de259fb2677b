"""The actions that change what was said in a conversation. None is a turn; no model is asked."""

from collections.abc import Mapping
from functools import partial
from logging import getLogger
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from edge.clients import Clients
from edge.errors import ApiError
from roleplay_chat.api import (
    ClientMessageId,
    Handler,
    Object,
    Text,
    message_too_long,
    validated,
)
from roleplay_chat.screening.decision import Passage, content_refused, screen
from roleplay_chat.turn_store import blocked, count_action

_log = getLogger("roleplay_chat")

COUNTED_FIRST_CHARS = 4_000
"""A longer text is counted before it is looked at, in a thread: shorter ones are looked at in less
time than the database is asked."""
MAX_CONTENT_CHARS = 65_536
"""Of any message; a person's own may be as long as `max_message_chars`."""


class MessageRequest(BaseModel):
    """Which message; to choose, which version of a reply."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    message_id: UUID


class EditRequest(MessageRequest):
    """Which message, and its new text."""

    message: Annotated[Text, Field(max_length=MAX_CONTENT_CHARS)]


class DeleteRequest(MessageRequest):
    """Which message, and whether everything after it goes too."""

    onwards: bool = False


class BranchRequest(MessageRequest):
    """The last message of the new conversation; sent twice with the same id, it is one branch."""

    client_message_id: ClientMessageId | None = None


async def choose(clients: Clients, user_id: UUID, body: Object) -> Object:
    """Make a version of a reply the active one. Raises `ApiError` 404, 409 or 429."""
    asked = validated(MessageRequest, body)
    done = await _change(clients, user_id, asked, "choose_variant")
    ids = {"conversation_id": done["conversation_id"], "message_id": str(asked.message_id)}
    return {"success": True} | ids


async def edit(clients: Clients, user_id: UUID, body: Object, *, max_message_chars: int) -> Object:
    """Give a message another text. Raises `ApiError` 400, 403, 404, 409 or 429.

    It counts as one action in the database, a long text as two.
    """
    asked = validated(EditRequest, body)
    if not asked.message.strip():
        raise ApiError(400, "message_required", "Please write some text, or delete the message.")
    if len(asked.message) > COUNTED_FIRST_CHARS:
        await count_action(clients, user_id, "edit")
        await clients.in_thread(check_text, asked.message)
    else:
        try:
            check_text(asked.message)
        except ApiError:
            await count_action(clients, user_id, "edit")
            raise
    changes = {"p_content": asked.message, "p_max_chars": max_message_chars}
    done = await _change(clients, user_id, asked, "edit_message", **changes)
    if done["outcome"] == "message_too_long":
        raise message_too_long(len(asked.message), max_message_chars)
    ids = {"conversation_id": done["conversation_id"], "message_id": str(asked.message_id)}
    return {"success": True} | ids | {"edited_at": done["edited_at"]}


async def delete(clients: Clients, user_id: UUID, body: Object) -> Object:
    """Delete a message, or everything from it on. Raises `ApiError` 404, 409 or 429."""
    asked = validated(DeleteRequest, body)
    done = await _change(clients, user_id, asked, "delete_messages", p_onwards=asked.onwards)
    return {"success": True, "deleted": done["deleted"]}


async def branch(clients: Clients, user_id: UUID, body: Object) -> Object:
    """Begin a conversation with the same messages up to this one.

    Raises `ApiError` 404, 409 or 429.
    """
    asked = validated(BranchRequest, body)
    once = {"p_client_message_id": asked.client_message_id}
    done = await _change(clients, user_id, asked, "branch_conversation", **once)
    return {"success": True, "conversation_id": done["conversation_id"]}


def actions(max_message_chars: int) -> Mapping[str, Handler]:
    """By the request's `action`."""
    return {
        "choose": choose,
        "edit": partial(edit, max_message_chars=max_message_chars),
        "delete": delete,
        "branch": branch,
    }


def check_text(text: str) -> None:
    """Refuse, with `ApiError` 403, what no content tier allows.

    The next turn screens it again, in its own tier and together with everything else.
    """
    if finding := screen([Passage("message", text)], tier="sfw"):
        raise content_refused(finding)


async def _change(
    clients: Clients, user_id: UUID, asked: MessageRequest, function: str, **parameters: Any
) -> Object:
    """What the database function returns. Raises `ApiError` when it refuses."""
    parameters |= {"p_user_id": str(user_id), "p_message_id": str(asked.message_id)}
    done: Object = await clients.rpc(function, parameters)
    ids = {"user_id": str(user_id), "message_id": str(asked.message_id)}
    _log.info(function, extra={"fields": ids | {"outcome": done["outcome"]}})
    if done["outcome"] not in ("done", "message_too_long"):
        raise blocked(done)
    return done
