"""Speak to one target. `generate` of each module sends a `Call` and yields what comes back.

It yields `Text` as it comes and an `End` once the reply is whole, and again when more is known
about it, or raises `UpstreamError` or one of `edge.clients.NETWORK_ERRORS`. Closing it closes
the connection.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from edge.bodies import IDENTITY
from edge.clients import address
from edge.json_text import dumps
from edge.json_values import number_or_text
from roleplay_chat.api import Tier, Usage
from roleplay_chat.generation.routing import Target
from roleplay_chat.messages import Message

MAX_REPLY_CHARS = 60_000
"""A reply that does not end is ended here."""
MAX_BODY_BYTES = 500_000
"""Of a body or an event that is read as a whole. No reply has more, however it is escaped."""
PIECE_CHARS = 4_000
"""The most that is passed on at once: reading it for what may not be shown takes milliseconds."""
MOST_TOKENS = 2**31 - 1
MOST_USD = 999_999.99
"""What the columns of the database hold. What an upstream says beyond it is cut to it."""


@dataclass(frozen=True)
class Call:
    """One request to a target."""

    target: Target
    messages: Sequence[Message]
    parameters: dict[str, Any]
    headers: dict[str, str]
    tier: Tier
    timeout: httpx.Timeout
    on_usage: Callable[[Usage], None] = lambda _: None
    """Called when the upstream says what the call has used, however it ends."""
    on_sent: Callable[[], None] = lambda: None
    """Called when there is a connection, and the prompt goes out."""
    on_answered: Callable[[], None] = lambda: None
    """Called when the upstream begins to answer with what may be a reply."""


@dataclass(frozen=True)
class Text:
    """A piece of the reply; empty for a sign of life, such as reasoning that is not shown."""

    text: str
    reasoning: str = ""
    """What the model thought meanwhile. It is paid for like the reply."""


@dataclass(frozen=True)
class End:
    """The reply is whole; `usage` is what the upstream said of it."""

    finish_reason: str
    usage: Usage = field(default_factory=Usage)


Event = Text | End


@asynccontextmanager
async def post(
    http: httpx.AsyncClient, call: Call, body: Mapping[str, Any]
) -> AsyncIterator[httpx.Response]:
    """The answer to a call, not yet read; closed at the end.

    The request is made here and not by the client, which would merge in defaults (headers,
    cookies, a base address) of which none is wanted.
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
    if response.status_code == 200:
        call.on_answered()
    try:
        yield response
    finally:
        await response.aclose()


class _Sent(httpx.AsyncByteStream):
    """A body that tells when it is read, which is when a connection is there to take it."""

    def __init__(self, content: bytes, on_sent: Callable[[], None]) -> None:
        self._content = content
        self._on_sent = on_sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._on_sent()
        yield self._content


def count(value: object) -> int | None:
    """Tokens as an upstream says them, a number or text; None for anything else."""
    number = number_or_text(value)
    return None if number is None or number < 0 else int(min(number, MOST_TOKENS))


def amount(value: object) -> float | None:
    """The same of US dollars."""
    number = number_or_text(value)
    return None if number is None or number < 0 else min(number, MOST_USD)


def in_pieces(text: str, reasoning: str = "") -> list[Text]:
    """The text in pieces of at most `PIECE_CHARS`, at least one; the first has the reasoning."""
    if len(text) <= PIECE_CHARS:
        return [Text(text, reasoning)]
    others = range(PIECE_CHARS, len(text), PIECE_CHARS)
    pieces = [Text(text[start : start + PIECE_CHARS]) for start in others]
    return [Text(text[:PIECE_CHARS], reasoning), *pieces]


def is_full(event: Event) -> bool:
    """Whether this is a piece as long as they get: others have their turn before the next one."""
    return isinstance(event, Text) and len(event.text) == PIECE_CHARS
