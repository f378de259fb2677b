"""The action that deletes a person's account, with everything that belongs to it."""

from collections.abc import Mapping
from logging import getLogger
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge.clients import Clients
from edge.errors import ApiError
from roleplay_chat.api import STORABLE, Caller, Handler, Object, validated
from roleplay_chat.turn_store import blocked

_log = getLogger("roleplay_chat")

CONFIRMATION = "delete my account"
"""The phrase that the person types. Case and spaces around words do not matter."""


class DeleteAccountRequest(BaseModel):
    """The confirmation that the person typed."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    confirmation: Annotated[str, Field(max_length=100), STORABLE] = ""


async def delete_account(clients: Clients, caller: Caller, body: Object) -> Object:
    """Delete the account. Raises `ApiError` 400, 401, 403, 409 or 429, and then nothing is deleted.
    After a 503 the account may have been deleted; then the same request gets 401. In one
    transaction, the Auth server deletes the account and the database everything that refers to it.
    The token is useless afterwards. Returns the numbers of deleted rows.
    """
    request = validated(DeleteAccountRequest, body)
    if " ".join(request.confirmation.lower().split()) != CONFIRMATION:
        sentence = f"To delete your account and everything in it, please type: {CONFIRMATION}"
        raise ApiError(400, "confirmation_required", sentence)
    parameters = {"p_user_id": str(caller.user_id)}
    begun: Object = await clients.rpc("begin_account_deletion", parameters, person=caller.user_id)
    if begun["outcome"] != "ready":
        raise blocked(begun)
    fields = {"user_id": str(caller.user_id)}
    if not await clients.delete_user(caller.user_id):
        _log.error("the Auth server did not delete an account", extra={"fields": fields})
        sentence = "Your account could not be deleted. Nothing was changed. Please contact support."
        raise ApiError(409, "account_not_deleted", sentence)
    _log.info("account deleted", extra={"fields": fields})
    return {"success": True, "deleted": begun["contents"]}


HANDLERS: Mapping[str, Handler] = {"delete_account": delete_account}
