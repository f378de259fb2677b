"""The handlers of the actions of admins. Each call is counted, and only admins may make it."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.clients import Clients
from edge.errors import ApiError
from edge.json_values import id_text
from roleplay_chat.admin.model_test import try_model
from roleplay_chat.admin.prompt_preview import preview
from roleplay_chat.admin.provider_models import list_models
from roleplay_chat.api import STORABLE, Caller, Object, Tier, validated
from roleplay_chat.rows import ModelRow, ProviderRow
from roleplay_chat.settings import Settings
from roleplay_chat.turn_store import blocked


class ModelTestRequest(BaseModel):
    """The id of a model, or of a provider whose first model is tested. It may be switched off."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    model_id: UUID | None = None
    provider_id: UUID | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.model_id is None) == (self.provider_id is None):
            raise ValueError("Send either `model_id` or `provider_id`.")
        return self


class ProviderModelsRequest(BaseModel):
    """The id of a provider."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    provider_id: UUID


class PreviewRequest(BaseModel):
    """The text of a prompt template, and the content tier that it is for."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    system_prompt: Annotated[str, Field(min_length=1, max_length=20_000), STORABLE]
    content_tier: Tier = "sfw"


async def test_model(clients: Clients, settings: Settings, caller: Caller, body: Object) -> Object:
    """Ask a model for one token. Raises `ApiError` 400, 403, 404, 409 or 429.

    An error of the model is part of the answer.
    """
    request = validated(ModelTestRequest, body)
    await _begin(clients, caller)
    ids = {"p_model_id": id_text(request.model_id), "p_provider_id": id_text(request.provider_id)}
    found = await clients.rpc("model_to_test", ids)
    if found is None:
        raise ApiError(404, "model_not_found", "There is no model to test. Add one first.")
    _check_approved(found["is_approved"])
    try:
        model = ModelRow.model_validate(found["model"])
    except ValidationError as error:
        raise _unreadable("model") from error
    return {"success": True} | await try_model(clients.http(), settings, model, found["task"])


async def list_provider_models(
    clients: Clients, settings: Settings, caller: Caller, body: Object
) -> Object:
    """The ids of the models that a provider lists. Raises `ApiError` 400, 403, 404, 409 or 429.

    An error of the provider is part of the answer.
    """
    request = validated(ProviderModelsRequest, body)
    await _begin(clients, caller)
    rows = await clients.rpc("read_providers")
    row = next((row for row in rows if row["id"] == str(request.provider_id)), None)
    if row is None:
        raise ApiError(404, "provider_not_found", "This provider does not exist.")
    _check_approved(row["is_approved"])
    try:
        provider = ProviderRow.model_validate(row)
    except ValidationError as error:
        raise _unreadable("provider") from error
    return {"success": True} | await list_models(clients, settings, provider)


async def preview_prompt(clients: Clients, _: Settings, caller: Caller, body: Object) -> Object:
    """The prompt that a template makes. Raises `ApiError` 400, 403 or 429."""
    request = validated(PreviewRequest, body)
    await _begin(clients, caller)
    now = datetime.now(UTC)
    made = await clients.in_thread(preview, request.system_prompt, request.content_tier, now)
    return {"success": True} | made


async def _begin(clients: Clients, caller: Caller) -> None:
    """Count the action. Raises `ApiError` 401, 403 or 429."""
    parameters = {"p_user_id": str(caller.user_id)}
    if outcome := await clients.rpc("begin_admin_action", parameters, person=caller.user_id):
        raise blocked(outcome)


def _check_approved(is_approved: bool) -> None:
    """Raise `ApiError` 409 unless the provider is approved: others get no requests and no key."""
    if not is_approved:
        sentence = "This provider waits for approval with the secret key, so nothing is sent to it."
        raise ApiError(409, "provider_not_approved", sentence)


def _unreadable(kind: str) -> ApiError:
    sentence = f"A value of this {kind}'s row has a shape that turns cannot read. Correct it first."
    return ApiError(409, "row_not_readable", sentence)


HANDLERS: Mapping[str, Callable[[Clients, Settings, Caller, Object], Awaitable[dict[str, Any]]]] = {
    "test_model": test_model,
    "list_provider_models": list_provider_models,
    "preview_prompt": preview_prompt,
}
