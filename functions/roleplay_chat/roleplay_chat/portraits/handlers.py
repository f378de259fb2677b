"""The action that sets the picture of a character. It is not a turn and calls no model."""

from collections.abc import Mapping
from functools import partial
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from edge.clients import Clients
from edge.errors import ApiError
from roleplay_chat.api import Caller, Handler, Object, from_base64, validated
from roleplay_chat.portraits.store import keep
from roleplay_chat.turn_store import count_action


async def set_portrait(clients: Clients, caller: Caller, body: Object) -> Object:
    """Make `picture_base64` (a file) the picture of the caller's character.

    Raises `ApiError` as `store.keep` does, and 429.
    """
    # Removed from the request, so that its memory is freed once it is decoded.
    encoded = body.pop("picture_base64", None)
    request = validated(PortraitRequest, body)
    await count_action(clients, caller.user_id, "set_portrait")
    picture = await clients.in_thread(_decoded, encoded)
    del encoded
    path = await keep(clients, caller, request.character_id, picture)
    return {"success": True, "character_id": str(request.character_id), "path": path}


HANDLERS: Mapping[str, Handler] = {"set_portrait": set_portrait}


class PortraitRequest(BaseModel):
    """A character's id."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    character_id: UUID


def _decoded(encoded: object) -> bytes:
    if not isinstance(encoded, str) or not encoded:
        raise ApiError(400, "invalid_picture", "Send the picture's file as `picture_base64`.")
    return from_base64(encoded, "picture_base64", partial(ApiError, 400, "invalid_picture"))
