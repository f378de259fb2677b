"""The shapes of requests, answers and events. What the web client sends and reads is fixed."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edge.clients import Clients
from edge.errors import ApiError
from edge.json_text import dumps, loads

Action = Literal["send", "kickoff", "regenerate", "continue", "impersonate"]
Task = Literal["roleplay", "storytelling", "prompt_enhancement"]
Tier = Literal["sfw", "nsfw"]
MemoryTier = Literal["conversation", "character", "profile"]
DEFAULT_MEMORY_TIER: MemoryTier = "conversation"
"""Where the client names none; of the database's functions, too."""


NO_TEXT = re.compile("[\x00\ud800-\udfff]")
"""NUL and halves of surrogate pairs: neither JSON nor Postgres can hold them."""


def storable(text: str) -> str:
    """The text if Postgres can hold it: no NUL, no half of a surrogate pair."""
    if NO_TEXT.search(text):
        raise ValueError("contains characters that are not text")
    return text


Text = Annotated[str, AfterValidator(storable)]
LongText = Annotated[Text, Field(max_length=8_000)]
Name = Annotated[Text, Field(max_length=200)]
ClientMessageId = Annotated[Text, Field(max_length=128)]
Model = TypeVar("Model", bound=BaseModel)
Object = dict[str, Any]
"""A JSON object."""
Handler = Callable[[Clients, UUID, Object], Awaitable[Object]]
"""Answers a person's request that is no turn, from its body."""


class ChatRequest(BaseModel):
    """A turn as the client asks for it.

    Fields that are not named here, such as those for images, are ignored: older and newer
    clients must both work. `user_id` is ignored too; the user is who the token says.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    message: Text | None = None
    kickoff: bool | None = None
    conversation_id: UUID | None = None
    character_id: UUID | None = None
    model_provider: Name | None = None
    memory_tier: MemoryTier | None = None
    content_tier: Tier | None = None
    scene_context: LongText | None = None
    scene_system_prompt: LongText | None = None
    scene_name: Name | None = None
    scene_description: LongText | None = None
    scene_starters: list[LongText | None] | None = Field(default=None, max_length=50)
    user_role: LongText | None = None
    user_character_id: UUID | None = None
    greeting: Annotated[int, Field(ge=0, le=1_000)] | None = None
    """Which of the character's greetings opens the conversation; 0 is the first message."""

    task: Task = "roleplay"
    requested_action: Literal["send", "regenerate", "continue", "impersonate"] | None = Field(
        default=None, alias="action"
    )
    message_id: UUID | None = None
    """Which reply to regenerate or to continue; the newest where none is named."""
    on_disconnect: Literal["finish", "stop"] | None = None
    stream: bool | None = None
    client_message_id: ClientMessageId | None = None

    @property
    def action(self) -> Action:
        """What the turn is to do."""
        return "kickoff" if self.kickoff else self.requested_action or "send"

    @property
    def chosen_memory_tier(self) -> MemoryTier:
        """How far what is remembered reaches."""
        return self.memory_tier or DEFAULT_MEMORY_TIER


def parse_body(body: bytes | bytearray) -> dict[str, Any]:
    """The JSON object in a body, or `ApiError` 400."""
    try:
        data: Any = loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "malformed_json", "The request's body is not valid JSON.") from error
    if not isinstance(data, dict):
        raise ApiError(400, "invalid_request", "The request's body must be a JSON object.")
    return data


def parse_request(data: dict[str, Any], *, max_message_chars: int) -> ChatRequest:
    """The turn that a body asks for, or `ApiError` 400 with a sentence."""
    request = validated(ChatRequest, data)
    _check(request, max_message_chars)
    return request


def validated(model: type[Model], data: dict[str, Any]) -> Model:
    """The request in a body, or `ApiError` 400 with a sentence that names the field."""
    # Clients send "" where they have no value.
    data = {name: value for name, value in data.items() if value != ""}
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ApiError(400, "invalid_request", f"`{where}`: {first['msg']}.") from error


def _check(request: ChatRequest, max_message_chars: int) -> None:
    if request.task == "roleplay" and request.conversation_id is None:
        raise ApiError(400, "invalid_request", "`conversation_id` is required for roleplay.")
    of_a_conversation = ("regenerate", "continue", "impersonate")
    if request.action in of_a_conversation and request.conversation_id is None:
        raise ApiError(400, "invalid_request", "`conversation_id` is required for this action.")
    if request.action == "send" and not (request.message or "").strip():
        raise ApiError(400, "message_required", "Please write a message first.")
    if request.action == "kickoff" and (request.message or "").strip():
        # The model would answer it, and it would stand nowhere.
        raise ApiError(
            400,
            "invalid_request",
            "`kickoff` lets the character begin. Please send it without a `message`.",
        )
    if len(request.message or "") > max_message_chars:
        raise message_too_long(len(request.message or ""), max_message_chars)


def message_too_long(chars: int, max_chars: int) -> ApiError:
    """What somebody is told who wrote more than a message may hold."""
    return ApiError(
        400,
        "message_too_long",
        f"The message is too long: {chars:,} characters, at most {max_chars:,} are allowed.",
    )


@dataclass(frozen=True)
class Usage:
    """Tokens and cost of a reply; None where not known."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As clients know it, and as `turns` has columns for it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost_usd": self.cost_usd,
        }


@dataclass(frozen=True)
class AttemptSummary:
    """One call to a target on the way to the answer."""

    target: str
    outcome: str
    """"ok", or the kind of failure."""
    ms: int

    def to_json(self) -> dict[str, Any]:
        """In the names that clients know."""
        return {"target": self.target, "outcome": self.outcome, "ms": self.ms}


@dataclass(frozen=True)
class ModelChoice:
    """Which model answers, and whether it is the one that was asked for."""

    model_used: str
    """ "chat_worker", "<provider>:<model_key>", or "card:greeting" for an author's words."""
    used_fallback: bool = False
    fallback_model: str | None = None
    """What the client's picker is to switch to."""
    notice: str | None = None
    """A sentence for the person when another model answers than the one asked for."""

    def to_json(self) -> dict[str, Any]:
        """In the names that clients know."""
        return {
            "model_used": self.model_used,
            "usedFallback": self.used_fallback,
            "fallbackModel": self.fallback_model,
            "notice": self.notice,
        }


@dataclass(frozen=True)
class Answer:
    """Everything the client learns of a finished turn. `processing_time` in milliseconds."""

    response: str
    chosen: ModelChoice
    turn_id: str
    request_id: str
    processing_time: int
    content_tier: Tier
    character_id: str | None = None
    """Who of the conversation's characters speaks."""
    finish_reason: str | None = None
    incomplete: bool = False
    message_id: str | None = None
    user_message_id: str | None = None
    memory_updated: bool = False
    saved: bool = True
    usage: Usage = field(default_factory=Usage)
    route: Sequence[AttemptSummary] = ()

    def metadata(self) -> dict[str, Any]:
        """Everything but the reply's text, in the names that clients know."""
        body = {
            "success": True,
            **self.chosen.to_json(),
            "message_id": self.message_id,
            "processing_time": self.processing_time,
            "memory_updated": self.memory_updated,
            "scene_generated": False,
            "consistency_score": 0,
            "turn_id": self.turn_id,
            "user_message_id": self.user_message_id,
            "character_id": self.character_id,
            "content_tier": self.content_tier,
            "finish_reason": self.finish_reason,
            "incomplete": self.incomplete,
            "saved": self.saved,
            "usage": self.usage.to_json(),
            "route": [tried.to_json() for tried in self.route],
            "request_id": self.request_id,
        }
        return body if self.saved else body | {"code": "not_saved"}

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"response": self.response, **self.metadata()}


@dataclass(frozen=True)
class Start:
    """The first words are there, and whose they are."""

    turn_id: str
    chosen: ModelChoice
    character_id: str | None


@dataclass(frozen=True)
class Delta:
    """More of the reply."""

    text: str


@dataclass(frozen=True)
class Done:
    """The turn is over and saved; the reply is whole unless the answer says `incomplete`."""

    answer: Answer


@dataclass(frozen=True)
class Failed:
    """There is no reply."""

    error: ApiError


TurnEvent = Start | Delta | Done | Failed
"""What a turn emits: the last is `Done` or `Failed`."""
Emit = Callable[[TurnEvent], None]


HEARTBEAT = ": heartbeat\n\n"


def sse(event: str, data: dict[str, Any]) -> str:
    """One server-sent event with JSON data."""
    return f"event: {event}\ndata: {dumps(data).decode()}\n\n"
