"""The shapes of requests, answers and events. The shipped web client depends on them."""

import base64
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from uuid import UUID

from msgspec import Struct, field
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edge.clients import Clients
from edge.errors import ApiError
from edge.json_text import dumps, loads
from edge.loading import Later
from roleplay_chat.time_zones import parse_time_zone

Action = Literal["send", "kickoff", "regenerate", "continue", "impersonate"]
Task = Literal["roleplay", "storytelling", "prompt_enhancement"]
Tier = Literal["sfw", "nsfw"]
MemoryTier = Literal["conversation", "character", "profile"]
MEMORY_TIERS: tuple[MemoryTier, ...] = ("conversation", "character", "profile")
"""From the narrowest to the widest."""
DEFAULT_MEMORY_TIER: MemoryTier = "conversation"
"""When the client names none. The database functions have the same default."""


MAX_CONTENT_CHARS = 65_536
"""The limit for any message, as in its database column. The person's own are limited by
`max_message_chars`."""
NO_TEXT = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates, which neither JSON nor Postgres can store."""


def storable(text: str) -> str:
    """Return the text. Raises ValueError for what Postgres cannot store: NUL, lone surrogates."""
    if NO_TEXT.search(text):
        raise ValueError("contains characters that are not text")
    return text


STORABLE = AfterValidator(storable)
"""After the lengths in an annotation, so that errors count characters."""
Text = Annotated[str, STORABLE]
LongText = Annotated[str, Field(max_length=8_000), STORABLE]
Name = Annotated[str, Field(max_length=200), STORABLE]


def known_time_zone(name: str) -> str:
    """Return the name of a time zone. Raises ValueError for a text of another form."""
    parse_time_zone(name)
    return name


TimeZone = Annotated[str, Field(max_length=64), AfterValidator(known_time_zone)]
ClientMessageId = Annotated[str, Field(max_length=128), STORABLE]
FIRST_FAULT = Field(fail_fast=True)
"""For lists in requests: only the first fault is reported, because a list may have a hundred
thousand."""
Model = TypeVar("Model", bound=BaseModel)
Object = dict[str, Any]
"""A JSON object."""


class Caller(Struct, frozen=True):
    """The person who sent a request, and their token, on which row level security relies."""

    user_id: UUID
    token: str

    def __repr__(self) -> str:
        """Without the token, so that no log gets it."""
        return f"Caller({self.user_id!r})"


Handler = Callable[[Clients, Caller, Object], Awaitable[Object]]
"""Handles a request that is not a turn: (clients, caller, body) to response body."""


def on_first_use(actions: Iterable[str], module: str) -> dict[str, Handler]:
    """Handlers of actions from a module's `HANDLERS`. The module is imported on first use, because
    turns need none of them."""

    def imported() -> Mapping[str, Handler]:
        handlers: Mapping[str, Handler] = import_module(module).HANDLERS
        return handlers

    handlers = Later(imported)

    def handler(action: str) -> Handler:
        async def answer(clients: Clients, caller: Caller, body: Object) -> Object:
            return await (await handlers.get())[action](clients, caller, body)

        return answer

    return {action: handler(action) for action in actions}


class ChatRequest(BaseModel):
    """A turn as requested by the client.

    Unknown fields, such as those for images, are ignored, so that older and newer clients both
    work. `user_id` is ignored as well: the token identifies the user.
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
    scene_starters: Annotated[list[LongText | None], FIRST_FAULT] | None = Field(
        default=None, max_length=50
    )
    user_role: LongText | None = None
    user_character_id: UUID | None = None
    greeting: Annotated[int, Field(ge=0, le=1_000)] | None = None
    """The index of the greeting that opens the conversation; 0 is the first message."""
    time_zone: TimeZone | None = None
    """The person's time zone, for macros that show the time: "Europe/Berlin" or "+02:00". UTC if
    not given."""

    task: Task = "roleplay"
    requested_action: Literal["send", "regenerate", "continue", "impersonate"] | None = Field(
        default=None, alias="action"
    )
    message_id: UUID | None = None
    """The reply to regenerate or continue; the newest if not given."""
    on_disconnect: Literal["finish", "stop"] | None = None
    stream: bool | None = None
    client_message_id: ClientMessageId | None = None

    @property
    def action(self) -> Action:
        """What the turn does."""
        return "kickoff" if self.kickoff else self.requested_action or "send"

    @property
    def chosen_memory_tier(self) -> MemoryTier:
        """The widest scope of what the turn may remember."""
        return self.memory_tier or DEFAULT_MEMORY_TIER


def parse_body(body: bytes | bytearray) -> dict[str, Any]:
    """Parse a body as a JSON object. Raises `ApiError` 400."""
    try:
        data: Any = loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "malformed_json", "The request's body is not valid JSON.") from error
    if not isinstance(data, dict):
        raise ApiError(400, "invalid_request", "The request's body must be a JSON object.")
    return data


def parse_request(data: dict[str, Any], *, max_message_chars: int) -> ChatRequest:
    """Validate a turn's request. Raises `ApiError` 400."""
    request = validated(ChatRequest, data)
    _check(request, max_message_chars)
    return request


def validated(model: type[Model], data: dict[str, Any]) -> Model:
    """Validate a body. Raises `ApiError` 400, which names the first invalid field."""
    # Clients send "" for a missing value.
    data = {name: value for name, value in data.items() if value != ""}
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ApiError(400, "invalid_request", _what_is_invalid(error)) from error


def _what_is_invalid(error: ValidationError) -> str:
    """A sentence about the first invalid field, in the terms of JSON."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    is_object = first["type"] in ("model_type", "model_attributes_type", "dict_type")
    said = "Input should be an object" if is_object else first["msg"]
    said = said.removeprefix("Value error, ").removesuffix(".")
    return f"`{where}`: {said}." if where else f"{said}."


def from_base64(text: str, field: str, invalid: Callable[[str], ApiError]) -> bytes:
    """The bytes in a base64 field of a body. Raises the exception that `invalid` returns for a
    sentence."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise invalid(f"`{field}` is not valid base64.") from error


def _check(request: ChatRequest, max_message_chars: int) -> None:
    if request.task == "roleplay" and request.conversation_id is None:
        raise ApiError(400, "invalid_request", "`conversation_id` is required for roleplay.")
    needs_conversation = ("regenerate", "continue", "impersonate")
    if request.action in needs_conversation and request.conversation_id is None:
        raise ApiError(400, "invalid_request", "`conversation_id` is required for this action.")
    if request.action == "send" and not (request.message or "").strip():
        raise ApiError(400, "message_required", "Please write a message first.")
    if request.action == "kickoff" and (request.message or "").strip():
        # The model would answer the message, but it would not be stored.
        raise ApiError(
            400,
            "invalid_request",
            "`kickoff` lets the character begin. Please send it without a `message`.",
        )
    if len(request.message or "") > max_message_chars:
        raise message_too_long(len(request.message or ""), max_message_chars)


def message_too_long(chars: int, max_chars: int) -> ApiError:
    """The error for a message that is too long."""
    return ApiError(
        400,
        "message_too_long",
        f"The message is too long: {chars:,} characters, at most {max_chars:,} are allowed.",
    )


class Usage(Struct, frozen=True):
    """Tokens and cost of a reply; None means unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    cached_tokens: int | None = None
    """The part of the prompt that the provider had in its cache."""

    def to_json(self) -> dict[str, Any]:
        """The usage under the names that clients and the columns of `turns` use. Cached tokens are
        included only if the provider reports them."""
        usage = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost_usd": self.cost_usd,
        }
        return (
            usage if self.cached_tokens is None else usage | {"cached_tokens": self.cached_tokens}
        )


class AttemptSummary(Struct, frozen=True):
    """One call to a target, as the client sees it."""

    target: str
    outcome: str
    """"ok", or the kind of failure."""
    ms: int

    def to_json(self) -> dict[str, Any]:
        """The summary under the names that clients know."""
        return {"target": self.target, "outcome": self.outcome, "ms": self.ms}


class ModelChoice(Struct, frozen=True):
    """Which model answers, and whether it is the requested one."""

    model_used: str
    """ "chat_worker", "<provider>:<model_key>", or "card:greeting" for an author's greeting."""
    used_fallback: bool = False
    fallback_model: str | None = None
    """The model that the client's picker should switch to."""
    notice: str | None = None
    """A sentence for the person if another model answers than the requested one."""

    def to_json(self) -> dict[str, Any]:
        """The choice under the names that clients know."""
        return {
            "model_used": self.model_used,
            "usedFallback": self.used_fallback,
            "fallbackModel": self.fallback_model,
            "notice": self.notice,
        }


class Answer(Struct, frozen=True):
    """Everything that the client learns about a finished turn. `processing_time` is in
    milliseconds."""

    response: str
    chosen: ModelChoice
    turn_id: str
    request_id: str
    processing_time: int
    content_tier: Tier
    character_id: str | None = None
    """The character that speaks."""
    finish_reason: str | None = None
    incomplete: bool = False
    stopped: bool = False
    """The person stopped the reply, so that it is incomplete."""
    message_id: str | None = None
    user_message_id: str | None = None
    memory_updated: bool = False
    saved: bool = True
    continued_chars: int = 0
    """How many characters of `response` were there before; `continue` streams only the rest."""
    usage: Usage = field(default_factory=Usage)
    spent: Usage | None = None
    """The same, with our estimates if the model reported nothing. Clients do not get it."""
    route: Sequence[AttemptSummary] = ()

    @property
    def is_cut_off(self) -> bool:
        """Whether the end of the reply is missing although nobody asked for that."""
        return self.incomplete and not self.stopped

    def metadata(self) -> dict[str, Any]:
        """Everything except the reply's text, under the names that clients know."""
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
            "route": [attempt.to_json() for attempt in self.route],
            "request_id": self.request_id,
        }
        if self.stopped:
            body["stopped"] = True
        if self.continued_chars:
            body["continued_chars"] = self.continued_chars
        return body if self.saved else body | {"code": "not_saved"}

    def to_json(self) -> dict[str, Any]:
        """The response body."""
        return {"response": self.response, **self.metadata()}


class Start(Struct, frozen=True):
    """The reply begins: which model and which character it comes from."""

    turn_id: str
    chosen: ModelChoice
    character_id: str | None


class Delta(NamedTuple):
    """The next piece of the reply."""

    text: str


class Done(Struct, frozen=True):
    """The turn has ended with a reply; `answer` says whether it is saved and complete."""

    answer: Answer


class Failed(Struct, frozen=True):
    """The turn has ended without a reply."""

    error: ApiError


TurnEvent = Start | Delta | Done | Failed
"""The events of a turn. The last is `Done` or `Failed`."""
Emit = Callable[[TurnEvent], None]


HEARTBEAT = ": heartbeat\n\n"


def sse(event: str, data: dict[str, Any], event_id: str = "") -> str:
    """One server-sent event with JSON data. The id comes last, because some readers expect the name
    first."""
    identified = f"id: {event_id}\n" if event_id else ""
    return f"event: {event}\ndata: {dumps(data).decode()}\n{identified}\n"
