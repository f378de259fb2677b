"""The picture of a character in Supabase Storage.

A path is reserved, the picture is uploaded, and the path is assigned to the character. If anything
interrupts this, health_check removes the uploaded file when the reservation has expired.
"""

from logging import getLogger
from uuid import UUID

from edge import storage
from edge.clients import Clients
from edge.errors import ApiError
from edge.storage import StorageError
from roleplay_chat.api import Caller
from roleplay_chat.portraits.redraw import BadPicture, redraw
from roleplay_chat.turn_store import blocked

_log = getLogger("roleplay_chat")


async def keep(clients: Clients, caller: Caller, character_id: UUID, picture: bytes) -> str:
    """Make a file the picture of the caller's character, and return its path.

    Raises `ApiError`: 400 `invalid_picture`, 404, 409 `no_storage` where Supabase Storage has no
    bucket for pictures, and 503 if the picture cannot be stored now.
    """
    ids = {"p_user_id": str(caller.user_id), "p_character_id": str(character_id)}
    reserved = await clients.rpc("reserve_portrait", ids)
    if reserved["outcome"] == "no_storage":
        raise ApiError(409, "no_storage", "Pictures cannot be stored here.")
    if reserved["outcome"] != "reserved":
        raise blocked(reserved)
    path = str(reserved["path"])
    try:
        redrawn = await redraw(picture)
        await storage.upload(clients, caller.token, path, redrawn)
    except BadPicture as error:
        raise ApiError(400, "invalid_picture", str(error)) from error
    except StorageError as error:
        _log.warning("picture not stored", extra={"fields": ids | {"reason": str(error)}})
        raise _unavailable() from error
    kept = await clients.rpc("keep_portrait", ids | {"p_path": path})
    if kept["outcome"] == "reservation_gone":
        raise _unavailable()
    if kept["outcome"] != "saved":
        raise blocked(kept)
    _log.info("picture stored", extra={"fields": ids | {"bytes": len(redrawn)}})
    return path


async def load_png(clients: Clients, caller: Caller, path: str) -> bytes | None:
    """A stored picture as PNG; None if it cannot be read now."""
    try:
        return await redraw(await storage.download(clients, caller.token, path), "png")
    except (ApiError, BadPicture, StorageError) as error:
        fields = {"user_id": str(caller.user_id), "reason": str(error)}
        _log.warning("picture not read", extra={"fields": fields})
        return None


def _unavailable() -> ApiError:
    return ApiError(
        503,
        "picture_not_stored",
        "The picture could not be stored right now. Please try again in a moment.",
        retry_after=5,
    )
