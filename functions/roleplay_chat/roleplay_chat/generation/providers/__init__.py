"""The protocols of targets. Each module's `generate` sends a `Call` and yields events.

It yields `Text` as it arrives and `End` once the reply is complete, with another `End` if more is
known later. It raises `UpstreamError` or one of `edge.clients.NETWORK_ERRORS`. Closing the
generator closes the connection.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
from msgspec import Struct, field

from edge.bodies import IDENTITY
from edge.clients import address
from edge.json_text import dumps
from edge.json_values import number_or_text
from roleplay_chat.api import Tier, Usage
from roleplay_chat.generation.targets import Target
from roleplay_chat.messages import Message

MAX_REPLY_CHARS = 60_000
"""A longer reply is cut off here."""
MAX_BODY_BYTES = 500_000
"""The limit for a body or a single event. No valid reply is larger, however it is escaped."""
PIECE_CHARS = 1_000
"""The longest piece passed on at once, because screening one takes milliseconds: ten if all its
words are new and in disguise."""
STEPS_OF_OTHERS = 4
"""The least number of event loop steps in which another person's request is answered: reading it,
starting its task, writing the response."""
MAX_COUNT = 2**31 - 1
MAX_USD = 999_999.99
"""The largest values that the database columns hold; larger ones are clamped."""


class Call(Struct, frozen=True):
    """One request to a target."""

    target: Target
    messages: Sequence[Message]
    parameters: dict[str, Any]
    headers: dict[str, str]
    tier: Tier
    timeout: httpx.Timeout
    on_usage: Callable[[Usage], None] = lambda _: None
    """Called when the upstream reports its usage, however the call ends."""
    on_sent: Callable[[], None] = lambda: None
    """Called when the connection is open and the prompt is sent."""
    on_answered: Callable[[], None] = lambda: None
    """Called when the upstream begins to answer with a status of 2xx."""


class Text(NamedTuple):
    """A piece of the reply. An empty one shows that the model is working, for example reasoning."""

    text: str
    reasoning: str = ""
    """The model's reasoning since the last piece. It costs the same as the reply."""


class End(Struct, frozen=True):
    """The reply is complete; `usage` is what the upstream reported."""

    finish_reason: str
    usage: Usage = field(default_factory=Usage)


Event = Text | End


@asynccontextmanager
async def post(
    http: httpx.AsyncClient, call: Call, body: Mapping[str, Any]
) -> AsyncIterator[httpx.Response]:
    """Send a call and return the unread response; closes it at the end.

    Builds the request itself, because the client would merge in unwanted defaults: headers,
    cookies, a base URL.
    """
    content = dumps(body)
    length = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    request = httpx.Request(
        "POST",
        address(call.target.url),
        stream=_Sent(content, call.on_sent),
        headers={**call.headers, **length, **IDENTITY},
        extensions={"timeout": call.timeout.as_dict()},
    )
    response = await http.send(request, stream=True)
    if response.is_success:
        call.on_answered()
    try:
        yield response
    finally:
        await response.aclose()


class _Sent(httpx.AsyncByteStream):
    """A request body that reports when it is read, which happens once the connection is open."""

    def __init__(self, content: bytes, on_sent: Callable[[], None]) -> None:
        self._content = content
        self._on_sent = on_sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._on_sent()
        yield self._content


def count(value: object) -> int | None:
    """A token count from an upstream, as a number or text; None for anything else."""
    number = number_or_text(value)
    return None if number is None or number < 0 else int(min(number, MAX_COUNT))


def cached_tokens(answer: Mapping[str, Any]) -> int | None:
    """The prompt tokens that a server took from its cache; None if it does not report them.

    OpenAI, OpenRouter, vLLM and llama.cpp have them in `prompt_tokens_details`, other providers
    elsewhere in `usage`, llama.cpp also in `timings`. The largest of these counts, because gateways
    fill in the fields that they do not know with 0. Older llama.cpp servers have only
    `tokens_cached`, which may include tokens that were new.
    """
    usage = reported_usage(answer)
    reported = (
        _object(usage, "prompt_tokens_details").get("cached_tokens"),
        _object(usage, "input_tokens_details").get("cached_tokens"),
        usage.get("cached_tokens"),
        usage.get("num_cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),
        usage.get("cache_read_input_tokens"),
        _object(answer, "timings").get("cache_n"),
    )
    known = [tokens for value in reported if (tokens := count(value)) is not None]
    return max(known) if known else count(answer.get("tokens_cached"))


def reported_usage(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The usage in an answer or a chunk; empty if there is none. Groq streams it in `x_groq`."""
    return _object(answer, "usage") or _object(_object(answer, "x_groq"), "usage")


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object of this name; an empty one if there is none."""
    value = parent.get(name)
    return value if isinstance(value, Mapping) else {}


def amount(value: object) -> float | None:
    """An amount in US dollars from an upstream, as a number or text; None for anything else."""
    number = number_or_text(value)
    return None if number is None or number < 0 else min(number, MAX_USD)


def in_pieces(text: str, reasoning: str = "") -> list[Text]:
    """The text in pieces of at most `PIECE_CHARS`: at least one, the first with the reasoning."""
    if len(text) <= PIECE_CHARS:
        return [Text(text, reasoning)]
    others = range(PIECE_CHARS, len(text), PIECE_CHARS)
    pieces = [Text(text[start : start + PIECE_CHARS]) for start in others]
    return [Text(text[:PIECE_CHARS], reasoning), *pieces]


def is_full(event: Event) -> bool:
    """Whether this piece has the full length; call `give_way` after it."""
    return isinstance(event, Text) and len(event.text) == PIECE_CHARS


async def give_way() -> None:
    """Let others go on before the next piece, which would otherwise delay each of their steps."""
    for _ in range(STEPS_OF_OTHERS):
        await asyncio.sleep(0)
