"""Requests and answers of the actions of roleplay_chat that are not turns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from dev.docs.openapi.parts import ID
from roleplay_chat.account import CONFIRMATION, DeleteAccountRequest
from roleplay_chat.admin.handlers import ModelTestRequest, PreviewRequest, ProviderModelsRequest
from roleplay_chat.cards.handlers import ExportRequest
from roleplay_chat.chats import handlers as chats
from roleplay_chat.message_actions import (
    BranchRequest,
    DeleteRequest,
    EditRequest,
    HideRequest,
    MessageRequest,
)
from roleplay_chat.portraits.handlers import PortraitRequest
from roleplay_chat.stops import StopRequest

_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAGUlEQVR42mPUsIligIEFFXJwNhMDDjA4JQB7lwIEqLPg9gAA"
    "AABJRU5ErkJggg=="
)
"""A PNG of eight by eight pixels."""


class ImportRequest(BaseModel):
    """A character: JSON in `card`, or a file (.json, .png, .charx, .byaf, .yaml) in `card_base64`.

    Cards of V1 to V3, and characters of Agnai, Backyard AI, RisuAI, text-generation-webui, Chub and
    JanitorAI.
    """

    card: dict[str, Any] | SkipJsonSchema[None] = None
    card_base64: str | SkipJsonSchema[None] = Field(
        default=None, json_schema_extra={"contentEncoding": "base64"}
    )
    conversation_id: UUID | SkipJsonSchema[None] = Field(
        default=None,
        description="Where a lorebook applies; everywhere without it and `persona_id`.",
    )
    persona_id: UUID | SkipJsonSchema[None] = None
    model_config = {
        "json_schema_extra": {"oneOf": [{"required": ["card"]}, {"required": ["card_base64"]}]}
    }


class ImportAnswer(BaseModel):
    """The imported character, or the lorebook if the file was one. `warnings` are sentences: fields
    that were converted or left out, and what will not work as the author meant."""

    character_id: UUID | SkipJsonSchema[None] = None
    lorebook_id: UUID | SkipJsonSchema[None] = None
    name: str
    greetings: int | SkipJsonSchema[None] = None
    book_entries: int
    warnings: list[str]


class DeleteAccountAnswer(BaseModel):
    """The account was deleted: the numbers of its rows, such as `conversations`."""

    deleted: dict[str, int]


class ExportAnswer(BaseModel):
    """The card of a character: `card` for JSON, `card_base64` for files."""

    character_id: UUID
    format: Literal["json", "png", "charx"]
    warnings: list[str]
    card: dict[str, Any] | SkipJsonSchema[None] = None
    card_base64: str | SkipJsonSchema[None] = Field(
        default=None, json_schema_extra={"contentEncoding": "base64"}
    )
    model_config = {
        "json_schema_extra": {"oneOf": [{"required": ["card"]}, {"required": ["card_base64"]}]}
    }


class ImportChatRequest(chats.ImportRequest):
    """A chat of SillyTavern: its text in `chat`, or the file (.jsonl) in `chat_base64`; who the
    conversation is with, and its persona."""

    chat: str | SkipJsonSchema[None] = None
    chat_base64: str | SkipJsonSchema[None] = Field(
        default=None, json_schema_extra={"contentEncoding": "base64"}
    )
    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["chat"]}, {"required": ["chat_base64"]}]}
    )


class ImportChatAnswer(BaseModel):
    """The new conversation: the numbers of messages, of further versions and of hidden messages;
    the names of characters that joined. `warnings` are sentences."""

    conversation_id: UUID
    messages: int
    versions: int
    hidden: int
    joined: list[str]
    warnings: list[str]


class ExportChatRequest(chats.ExportRequest):
    """The conversation."""


class ExportChatAnswer(BaseModel):
    """The text of a SillyTavern chat, with hidden messages and versions."""

    conversation_id: UUID
    chat: str


class ChooseAnswer(BaseModel):
    """The version that is now active."""

    conversation_id: UUID
    message_id: UUID


class EditAnswer(ChooseAnswer):
    """The message, and when it was edited."""

    edited_at: datetime


class SetPortraitRequest(PortraitRequest):
    """A PNG, JPEG, WebP or GIF file in base64."""

    picture_base64: str


class SetPortraitAnswer(BaseModel):
    """The path of the picture in the bucket `character-portraits`."""

    character_id: UUID
    path: str


class HideAnswer(ChooseAnswer):
    """The message, and whether it is hidden from models."""

    hidden: bool


class DeleteAnswer(BaseModel):
    """The number of deleted messages, including versions."""

    deleted: int


class StopAnswer(BaseModel):
    """The turn, and whether it was still running. Its own request gets the text so far."""

    turn_id: UUID
    running: bool


class BranchAnswer(BaseModel):
    """The new conversation."""

    conversation_id: UUID


class ModelTestAnswer(BaseModel):
    """Whether the model generates. `code` is "ok" or an error policy of docs/failures.md, and
    `explanation` says what happened. For admins."""

    is_ok: bool
    code: str
    explanation: str
    status: int | None = Field(description="The HTTP status of an error, if there is one.")
    first_token_ms: int | None
    duration_ms: int
    calls: int = Field(description="How many calls there were, with repairs and retries.")


class ProviderModelsAnswer(BaseModel):
    """The ids of the models that the provider lists, or why there are none. For admins."""

    is_ok: bool
    code: str
    explanation: str
    duration_ms: int
    models: list[str]


class PreviewPart(BaseModel):
    """A part of the prompt; `of` has its tokens before it was cut."""

    part: str
    tokens: int
    of: int | SkipJsonSchema[None] = None


class PreviewMessage(BaseModel):
    """A message as sent to a model."""

    role: Literal["system", "user", "assistant"]
    content: str


class PreviewAnswer(BaseModel):
    """The prompt that the template produces for an invented conversation. For admins."""

    tokens: int
    parts: list[PreviewPart]
    messages: list[PreviewMessage]


@dataclass(frozen=True)
class Action:
    """Request and response of an action, without `action`, `success` and `request_id`."""

    request: type[BaseModel]
    answer: type[BaseModel]
    example: Mapping[str, Any]


ACTIONS: Mapping[str, Action] = {
    "import_card": Action(
        ImportRequest,
        ImportAnswer,
        {
            "card": {
                "spec": "chara_card_v2",
                "spec_version": "2.0",
                "data": {
                    "name": "Mara Voss",
                    "description": "{{char}} keeps the lighthouse on Grey Skerry.",
                    "personality": "Dry, patient, kind.",
                    "scenario": "",
                    "first_mes": "The door is open. Mind the step.",
                    "mes_example": "",
                },
            }
        },
    ),
    "export_card": Action(ExportRequest, ExportAnswer, {"character_id": ID, "format": "json"}),
    "import_chat": Action(
        ImportChatRequest,
        ImportChatAnswer,
        {
            "character_id": ID,
            "chat": '{"user_name": "Ada", "character_name": "Mara"}\n'
            '{"name": "Ada", "is_user": true, "mes": "Hello"}\n',
            "client_message_id": "a-new-uuid",
        },
    ),
    "export_chat": Action(ExportChatRequest, ExportChatAnswer, {"conversation_id": ID}),
    "set_portrait": Action(
        SetPortraitRequest,
        SetPortraitAnswer,
        {"character_id": ID, "picture_base64": _PICTURE},
    ),
    "delete_account": Action(
        DeleteAccountRequest, DeleteAccountAnswer, {"confirmation": CONFIRMATION}
    ),
    "choose": Action(MessageRequest, ChooseAnswer, {"message_id": ID}),
    "edit": Action(EditRequest, EditAnswer, {"message_id": ID, "message": "What I meant."}),
    "delete": Action(DeleteRequest, DeleteAnswer, {"message_id": ID, "onwards": True}),
    "hide": Action(HideRequest, HideAnswer, {"message_id": ID, "hidden": True}),
    "stop": Action(StopRequest, StopAnswer, {"turn_id": ID}),
    "branch": Action(
        BranchRequest, BranchAnswer, {"message_id": ID, "client_message_id": "a-new-uuid"}
    ),
    "test_model": Action(ModelTestRequest, ModelTestAnswer, {"model_id": ID}),
    "list_provider_models": Action(
        ProviderModelsRequest, ProviderModelsAnswer, {"provider_id": ID}
    ),
    "preview_prompt": Action(
        PreviewRequest, PreviewAnswer, {"system_prompt": "You are {{char}}.", "content_tier": "sfw"}
    ),
}
"""By the request's `action`."""
