"""Reads the body of POST /v1/chat/completions as a turn. Pure.

All messages are a person's words, whatever their roles: leading system messages are directions for
the scene, below the server's own prompt; later ones count as said by the person. Without a
conversation the messages are the history. With one, the server has the history, and only what the
person wrote since the last reply counts.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Struct, field
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from edge.errors import ApiError
from roleplay_chat.api import (
    FIRST_FAULT,
    STORABLE,
    ChatRequest,
    ClientMessageId,
    MemoryTier,
    Name,
    Text,
    Tier,
    TimeZone,
    message_too_long,
    validated,
)
from roleplay_chat.generation.providers import MAX_REPLY_CHARS
from roleplay_chat.openai_api.model_ids import character_of
from roleplay_chat.rows import BegunTurn, MessageRow, SettingsRow

MAX_SYSTEM_CHARS = 8_000
"""The same as for a scene's directions."""
MAX_STOP_STRINGS = 16
MANY_PARTS = 1_000
"""Requests with more messages, or parts of them, are read in a thread: each takes some
microseconds."""
MAX_PARTS = 10_000
"""The limit for messages and their parts together. A body of text has less room."""
SEEDS = 1_000_001
"""Other seeds are taken modulo this number."""

StopString = Annotated[str, Field(min_length=1, max_length=200), STORABLE]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


StopStrings = Annotated[
    list[StopString],
    FIRST_FAULT,
    BeforeValidator(_as_list, json_schema_input_type=StopString | list[StopString]),
]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class ContentPart(_Shape):
    """A part of a message's content. Only text is read."""

    type: str = "text"
    text: Text = ""


def _parts(value: object) -> object:
    return [{"text": value}] if isinstance(value, str) else value


Content = Annotated[
    list[ContentPart],
    FIRST_FAULT,
    BeforeValidator(_parts, json_schema_input_type=str | list[ContentPart]),
]
"""Text, or parts. As parts in both cases, so that errors name the part."""


class ChatMessage(_Shape):
    """A message. `developer` is the same as `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content | None = None

    @property
    def is_system(self) -> bool:
        """Whether it is an instruction, not something said in the conversation."""
        return self.role in ("system", "developer")

    @property
    def text(self) -> str:
        """All of its text."""
        return "\n".join(part.text for part in self.content or ())


class StreamOptions(_Shape):
    """Whether the stream ends with the usage."""

    include_usage: bool = False


class ResponseFormat(_Shape):
    """The form of the reply, which is text."""

    type: str = "text"


class CompletionMetadata(_Shape):
    """The conversation in which the turn is stored, and the request's id in it."""

    conversation_id: UUID | None = None
    client_message_id: ClientMessageId | None = None


class CompletionBody(_Shape):
    """The fields of a chat completion's body that we read. Unknown fields are ignored."""

    model: Name
    """A character, as `GET /v1/models` lists it."""
    messages: Annotated[list[ChatMessage], FIRST_FAULT] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: float | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: StopStrings | None = None
    seed: int | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    modalities: Annotated[list[str], FIRST_FAULT] | None = None
    metadata: CompletionMetadata | None = None
    """Names the conversation and the message, like the headers X-Conversation-Id and
    X-Client-Message-Id."""
    model_provider: Name | None = None
    content_tier: Tier | None = None
    memory_tier: MemoryTier | None = None
    user_character_id: UUID | None = None
    time_zone: TimeZone | None = None


_SAMPLERS = (
    *("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty"),
    "repetition_penalty",
)


class Completion(Struct, frozen=True):
    """A chat completion as a turn."""

    chat: ChatRequest
    model: str
    stream: bool
    include_usage: bool
    sampling: Mapping[str, float] = field(default_factory=dict)
    stop: Sequence[str] = ()
    history: Sequence[MessageRow] | None = None
    """The history in the request; None: the conversation has it."""

    def applied_to(self, begun: BegunTurn) -> BegunTurn:
        """The turn with the request's history, and its settings in place of the conversation's."""
        settings = begun.settings or SettingsRow()
        sampling = {**settings.sampling, **self.sampling}
        changed: dict[str, Any] = {
            "settings": settings.model_copy(update={"sampling": sampling, "stop": self.stop})
        }
        if self.history is not None:
            turn = begun.turn.model_copy(update={"position": None})
            changed |= {"history": list(self.history), "preceding": None, "turn": turn}
        return begun.model_copy(update=changed)


def is_long(data: Mapping[str, Any]) -> bool:
    """Whether a request has many messages or parts."""
    return _parts_in(data) > MANY_PARTS


def _parts_in(data: Mapping[str, Any]) -> int:
    messages = data.get("messages")
    if not isinstance(messages, list):
        return 0
    contents = [one.get("content") for one in messages if isinstance(one, dict)]
    return len(messages) + sum(len(content) for content in contents if isinstance(content, list))


def parse_completion(
    data: dict[str, Any], headers: Mapping[str, str], *, max_message_chars: int
) -> Completion:
    """Validate a request. Raises `ApiError` 400, or 404 if the model's id is not a character's."""
    if _parts_in(data) > MAX_PARTS:
        sentence = f"`messages`: at most {MAX_PARTS:,} are read, counting the parts of each."
        raise ApiError(400, "invalid_request", f"{sentence} Please leave out the oldest.")
    body = validated(CompletionBody, data)
    _check_supported(body)
    named = _named(body, headers)
    directions = list(takewhile(lambda message: message.is_system, body.messages))
    said = [one for one in body.messages[len(directions) :] if one.text.strip()]
    if not said and len(directions) < len(body.messages):
        raise ApiError(400, "message_required", "Please write a message first.")
    before, newest = _divide(said, has_conversation=named.conversation_id is not None)
    message = "\n\n".join(one.text for one in newest)
    _check_lengths(directions, before, message, max_message_chars)
    chat = {
        "message": message or None,
        "kickoff": not message,
        "conversation_id": named.conversation_id,
        "character_id": _character(body.model),
        "scene_system_prompt": _joined(directions),
        "client_message_id": named.client_message_id if named.conversation_id else None,
        # A reply that is not stored is useless once its reader has gone.
        "on_disconnect": "finish" if named.conversation_id else "stop",
        "model_provider": body.model_provider,
        "content_tier": body.content_tier,
        "memory_tier": body.memory_tier if named.conversation_id else None,
        "user_character_id": body.user_character_id,
        "time_zone": body.time_zone,
    }
    return Completion(
        validated(ChatRequest, chat),
        body.model,
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        sampling=_sampling(body),
        stop=body.stop or (),
        history=None if named.conversation_id else _history(before),
    )


def _named(body: CompletionBody, headers: Mapping[str, str]) -> CompletionMetadata:
    """The conversation and the message that the headers name, or else the metadata."""
    inside = body.metadata or CompletionMetadata()
    message_id = headers.get("x-client-message-id") or headers.get("idempotency-key")
    outside = {"conversation_id": headers.get("x-conversation-id"), "client_message_id": message_id}
    try:
        given = validated(
            CompletionMetadata, {name: text for name, text in outside.items() if text}
        )
    except ApiError as error:
        sentence = f"{error.message} It is the header X-Conversation-Id or X-Client-Message-Id."
        raise ApiError(400, "invalid_request", sentence) from error
    return CompletionMetadata(
        conversation_id=given.conversation_id or inside.conversation_id,
        client_message_id=given.client_message_id or inside.client_message_id,
    )


def _check_supported(body: CompletionBody) -> None:
    parts = (part for one in body.messages for part in one.content or ())
    asked = {
        "n": body.n not in (None, 1),
        "tools": bool(body.tools),
        "functions": bool(body.functions),
        "response_format": body.response_format is not None and body.response_format.type != "text",
        "logprobs": bool(body.logprobs),
        "modalities": any(kind != "text" for kind in body.modalities or []),
        "messages": any(part.type != "text" for part in parts),
        "stop": len(body.stop or ()) > MAX_STOP_STRINGS,
    }
    if name := next((name for name, is_asked in asked.items() if is_asked), None):
        can = _SUPPORTED[name]
        raise ApiError(400, "unsupported_parameter", f"`{name}`: {can}. Please change or omit it.")


_SUPPORTED = {
    "n": "a character gives one reply",
    "tools": "characters use no tools",
    "functions": "characters use no functions",
    "response_format": "characters answer in plain text",
    "logprobs": "there are no log probabilities",
    "modalities": "characters answer in plain text",
    "messages": "characters read text alone, no pictures, sounds or files",
    "stop": f"at most {MAX_STOP_STRINGS} stop strings are taken",
}


def _divide(
    said: Sequence[ChatMessage], *, has_conversation: bool
) -> tuple[Sequence[ChatMessage], Sequence[ChatMessage]]:
    """What was said before, and the person's newest words: without a conversation the last message,
    with one all since the last reply. The words are None if the last message is the character's."""
    replies = [place for place, one in enumerate(said) if one.role == "assistant"]
    since = replies[-1] + 1 if replies else 0
    if since < len(said) and not has_conversation:
        since = len(said) - 1
    return said[:since], said[since:]


def _check_lengths(
    directions: Sequence[ChatMessage], before: Sequence[ChatMessage], message: str, most: int
) -> None:
    chars = len(_joined(directions))
    if chars > MAX_SYSTEM_CHARS:
        raise message_too_long(chars, MAX_SYSTEM_CHARS)
    own = max((len(one.text) for one in before if one.role != "assistant"), default=0)
    if (longest := max(own, len(message))) > most:
        raise message_too_long(longest, most)
    replies = max((len(one.text) for one in before if one.role == "assistant"), default=0)
    if replies > MAX_REPLY_CHARS:
        raise message_too_long(replies, MAX_REPLY_CHARS)


def _joined(directions: Sequence[ChatMessage]) -> str:
    """All system messages as one."""
    return "\n\n".join(one.text for one in directions)


def _history(before: Sequence[ChatMessage]) -> list[MessageRow]:
    return [
        MessageRow(
            sender="character" if one.role == "assistant" else "user",
            content=one.text,
            position=place,
        )
        for place, one in enumerate(before, 1)
    ]


def _character(model: str) -> UUID:
    if (character_id := character_of(model)) is None:
        raise model_not_found()
    return character_id


def model_not_found() -> ApiError:
    """The error for a model that is not a character with whom the person may talk."""
    sentence = "There is no such model. GET /v1/models lists the characters that you can talk with."
    return ApiError(404, "model_not_found", sentence)


def _sampling(body: CompletionBody) -> dict[str, float]:
    sampling = {name: getattr(body, name) for name in _SAMPLERS}
    sampling["max_tokens"] = body.max_completion_tokens or body.max_tokens
    sampling["seed"] = None if body.seed is None else body.seed % SEEDS
    return {name: value for name, value in sampling.items() if value is not None}
