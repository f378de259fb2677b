"""The actions that import and export chats. Neither is a turn or calls a model.

Texts are stored as they are: like everything in a history, they are screened by the turns that use
them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from logging import getLogger
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from edge.clients import Clients
from edge.errors import ApiError
from edge.json_values import id_text
from roleplay_chat.api import (
    Caller,
    ClientMessageId,
    Handler,
    Name,
    Object,
    from_base64,
    validated,
)
from roleplay_chat.chats import sillytavern
from roleplay_chat.chats.sillytavern import ChatFile, invalid, too_large
from roleplay_chat.turn_store import blocked, count_action

_log = getLogger("roleplay_chat")

MOST_NAMED = 10
NOT_KNOWN = "You have no characters of these names, so their messages begin with the name: {names}."


class ImportRequest(BaseModel):
    """The character and persona of the new conversation, its title, and the client's id."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    character_id: UUID
    user_character_id: UUID | None = None
    """The persona."""
    title: Name | None = None
    client_message_id: ClientMessageId | None = None
    """Requests with the same id make one conversation."""


class ExportRequest(BaseModel):
    """The conversation."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    conversation_id: UUID


async def import_chat(clients: Clients, caller: Caller, body: Object) -> Object:
    """Create a conversation from `chat` (a file's text) or `chat_base64` (the file).

    Raises `ApiError` 400 or 413 if it is no chat, 404 for a character that the user may not meet,
    and 429 before the file is read.
    """
    await count_action(clients, caller.user_id, "import_chat")
    chat, encoded = body.pop("chat", None), body.pop("chat_base64", None)
    request = validated(ImportRequest, body)
    file, rows = await clients.in_thread(_read, chat, encoded)
    done = await clients.large_rpc(
        "import_chat",
        {
            "p_user_id": str(caller.user_id),
            "p_character_id": str(request.character_id),
            "p_user_character_id": id_text(request.user_character_id),
            "p_title": request.title,
            "p_client_message_id": request.client_message_id,
            "p_messages": rows,
            "p_settings": file.settings,
        },
        person=caller.user_id,
    )
    _check(done)
    ids = {"user_id": str(caller.user_id), "conversation_id": done["conversation_id"]}
    _log.info("chat imported", extra={"fields": ids | {"messages": len(file.messages)}})
    return {
        "success": True,
        "conversation_id": done["conversation_id"],
        "messages": len(file.messages),
        "versions": sum(len(said.versions) - 1 for said in file.messages),
        "hidden": sum(said.is_hidden for said in file.messages),
        "joined": done["joined"],
        "warnings": [*file.warnings, *_unknown(done["unknown"])],
    }


async def export_chat(clients: Clients, caller: Caller, body: Object) -> Object:
    """Export a conversation of the user with hidden messages and versions: `chat` is the text of a
    SillyTavern file.

    Raises `ApiError` 400, 404, 413 or 429.
    """
    request = validated(ExportRequest, body)
    await count_action(clients, caller.user_id, "export_chat")
    parameters = {
        "p_user_id": str(caller.user_id),
        "p_conversation_id": str(request.conversation_id),
    }
    found = await clients.large_rpc("export_chat", parameters)
    _check(found)
    chat = await clients.in_thread(sillytavern.write, found)
    return {"success": True, "conversation_id": str(request.conversation_id), "chat": chat}


HANDLERS: Mapping[str, Handler] = {"import_chat": import_chat, "export_chat": export_chat}


def _read(chat: object, encoded: object) -> tuple[ChatFile, list[Object]]:
    """The chat in a request, and its messages for the database."""
    if (chat is None) == (encoded is None):
        raise invalid("Send either `chat` or `chat_base64`.")
    file = sillytavern.read(_bytes(chat, encoded), datetime.now(UTC))
    return file, [said.row() for said in file.messages]


def _bytes(chat: object, encoded: object) -> bytes:
    text = encoded if chat is None else chat
    if not isinstance(text, str):
        raise invalid("`chat` and `chat_base64` must be text.")
    if chat is not None:
        return text.encode(errors="replace")
    return from_base64(text, "chat_base64", invalid)


def _unknown(names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return [NOT_KNOWN.format(names=", ".join(names[:MOST_NAMED]) + more)]


def _check(done: Object) -> None:
    if done["outcome"] == "too_large":
        raise too_large("This conversation is too large for one file.")
    if done["outcome"] == "too_many_messages":
        sentence = (
            f"This chat has too many messages: at most {done['limit']:,} can be imported here."
        )
        raise too_large(sentence)
    if done["outcome"] == "character_not_found":
        raise ApiError(404, "character_not_found", "This character does not exist.")
    if done["outcome"] not in ("done", "found"):
        raise blocked(done)
