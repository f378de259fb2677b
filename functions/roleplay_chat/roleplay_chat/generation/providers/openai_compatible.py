"""OpenRouter, and any other server that speaks /chat/completions.

Always streams: tokens are the sign of life that deadlines are set by. A 200 is not yet
success; an error may be the first thing in the stream, the last, or the whole body.
"""

import asyncio
import time
from codecs import getincrementaldecoder
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

import httpx
from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from edge.bodies import first_bytes, pieces
from edge.clients import NETWORK_ERRORS
from edge.json_text import loads_few
from roleplay_chat.api import NO_TEXT, Usage
from roleplay_chat.generation.error_classifier import (
    UpstreamError,
    failed,
    from_error,
    from_response,
)
from roleplay_chat.generation.providers import (
    MAX_BODY_BYTES,
    MAX_REPLY_CHARS,
    Call,
    End,
    Event,
    amount,
    count,
    in_pieces,
    is_full,
    post,
)

MAX_STREAM_BYTES = 32 * 2**20
"""Of all events together. The longest reply in events of one character has less."""
MANY_EVENTS = 100
"""After so many others have their turn: the network may have brought thousands already."""
GATHER_SECONDS = 1 / 30
"""What comes within it is passed on in one piece: nobody reads faster, and screening, saying and
sending cost the same for one token as for ten."""
GATHER_AFTER_SECONDS = 0.2
"""The first words are not kept waiting, nor a reply that is all there at once."""
LINGER_SECONDS = 0.1
"""For the end of a body whose provider said that nothing more comes."""
MAX_REASON_CHARS = 64
"""Of a finish reason. Those that are known have less than 20."""
REASONING = ("reasoning", "reasoning_content", "reasoning_details")
"""Where the thoughts of a model come, which are not its reply."""


async def generate(http: httpx.AsyncClient, call: Call) -> AsyncGenerator[Event, None]:
    """Send the prompt and yield what comes back. Raises `UpstreamError` and network errors."""
    body = {
        **call.parameters,
        "model": call.target.model_key,
        "messages": call.messages,
        "stream": True,
    }
    async with post(http, call, body) as response:
        reading = Reading(call.on_usage)
        if response.status_code != 200:
            said = await first_bytes(response, MAX_BODY_BYTES)
            reading.bill(said)
            raise UpstreamError(from_response(response.status_code, response.headers, said))
        if "text/event-stream" in response.headers.get("content-type", ""):
            async with aclosing(_arrivals(response, reading)) as arrivals:
                async for arrived in arrivals:
                    try:
                        for event in _together(reading, arrived):
                            yield event
                            if is_full(event):
                                await asyncio.sleep(0)
                    except UpstreamError:
                        await _to_the_end(arrivals, reading)
                        raise
                    if reading.done:
                        await _to_the_end(arrivals, reading)
        else:
            whole = (await first_bytes(response, MAX_BODY_BYTES)).decode(errors="replace")
            for event in _together(reading, [whole]):
                yield event
                if is_full(event):
                    await asyncio.sleep(0)
        yield reading.end()


async def _arrivals(
    response: httpx.Response, reading: "Reading"
) -> AsyncGenerator[list[str], None]:
    """The data of the events of a stream, those that arrived together in one list.

    The library's own iterator hands out one event at a time and does not tell whether another
    one is there already.
    """
    lines, decoder = SSELineDecoder(), SSEDecoder()
    # Whatever charset the header claims: event streams are UTF-8, a mark in front or not.
    text_of = getincrementaldecoder("utf-8-sig")(errors="replace").decode
    began = time.monotonic()
    read = since_event = 0
    async with aclosing(pieces(response)) as parts:  # type: ignore[type-var]
        async for part in parts:
            read += len(part)
            since_event += len(part)
            if read > MAX_STREAM_BYTES or since_event > MAX_BODY_BYTES:
                break
            events = map(decoder.decode, lines.decode(text_of(part)))
            if found := [event.data for event in events if event is not None]:
                since_event = 0
                yield found
                if len(found) > MANY_EVENTS:
                    await asyncio.sleep(0)
            if not reading.done and time.monotonic() - began > GATHER_AFTER_SECONDS:
                await asyncio.sleep(GATHER_SECONDS)
    events = map(decoder.decode, lines.flush())
    if found := [event.data for event in events if event is not None]:
        yield found


async def _to_the_end(arrivals: AsyncIterator[Sequence[str]], reading: "Reading") -> None:
    """Read what comes after the last event: what a call used that failed, or that the body is over
    and the connection can be used again. Nobody is kept waiting for it."""
    with suppress(TimeoutError, *NETWORK_ERRORS):
        async with asyncio.timeout(LINGER_SECONDS):
            async for arrived in arrivals:
                for data in arrived:
                    reading.bill(data)


def _together(reading: "Reading", arrived: Sequence[str]) -> Iterator[Event]:
    """What arrived at the same time: its text, the end, the error among it."""
    failure: UpstreamError | None = None
    finished = reading.finished
    for data in arrived:
        if failure:
            reading.bill(data)
            continue
        try:
            reading.feed(data)
        except UpstreamError as error:
            failure = error
    if (text := reading.take()) is not None:
        yield from in_pieces(text, reading.take_reasoning())
    if reading.finished and not finished:
        yield reading.end()
    if failure:
        raise failure


class Reading:
    """What was read of one reply so far. Feed it each chunk, take the text, ask for the end."""

    def __init__(self, on_usage: Callable[[Usage], None] = lambda _: None) -> None:
        self._on_usage = on_usage
        self._pieces: list[str] = []
        self._thoughts: list[str] = []
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._chars = 0
        self._spoke = False
        self._reasoned = False
        self.done = False
        """The provider said that nothing more comes."""

    @property
    def finished(self) -> bool:
        """Whether the finish reason was seen; what it cost may come later."""
        return self._finish_reason is not None

    def feed(self, data: str) -> None:
        """Read a chunk; raises `UpstreamError` for an error in it.

        After "[DONE]" nothing counts.
        """
        if self.done or not data.strip():
            return
        if data == "[DONE]":
            self.done = True
            return
        chunk = _parse(data)
        if "usage" in chunk:
            self._account(chunk)
        if error := chunk.get("error"):
            raise UpstreamError(from_error(error, 200, provider=chunk.get("provider")))
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                self._choose(choice, chunk.get("provider"))

    def bill(self, data: str | bytes) -> None:
        """Read of a chunk only what the call used, whatever else it is."""
        if not self.done:
            with suppress(UpstreamError):
                self._account(_parse(data))

    def _account(self, chunk: Mapping[str, Any]) -> None:
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return
        said = {
            "prompt_tokens": count(usage.get("prompt_tokens")),
            "completion_tokens": count(usage.get("completion_tokens")),
            "cost_usd": amount(usage.get("cost")),
        }
        # What was said before stands where a later chunk says nothing of it.
        known: dict[str, Any] = {
            name: number for name, number in said.items() if number is not None
        }
        self._usage = replace(self._usage, **known)
        self._on_usage(self._usage)

    def take(self) -> str | None:
        """The text that came since the last time; empty for a sign of life, such as reasoning."""
        if not self._pieces:
            return None
        pieces, self._pieces = self._pieces, []
        return "".join(pieces)

    def take_reasoning(self) -> str:
        """What the model thought since the last time."""
        if not self._thoughts:
            return ""
        thoughts, self._thoughts = self._thoughts, []
        return "".join(thoughts)

    def _choose(self, choice: Mapping[str, Any], provider: object) -> None:
        if error := choice.get("error"):
            raise UpstreamError(from_error(error, 200, provider=provider))
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, dict):
            text = _content(said.get("content"), "text")[: MAX_REPLY_CHARS + 1 - self._chars]
            spoke = bool(text) and not text.isspace()
            thought = next(filter(None, map(said.get, REASONING)), None)
            if thought:
                self._thoughts.append(_content(thought, "text", "summary"))
            reasoned = not spoke and bool(thought)
            self._chars += len(text)
            self._spoke = self._spoke or spoke
            self._reasoned = self._reasoned or reasoned
            if text or reasoned:
                self._pieces.append(text)
        reason = choice.get("finish_reason")
        if reason == "error":
            raise failed("overloaded", why="finish_reason error")
        if isinstance(reason, str) and reason:
            self._finish_reason = NO_TEXT.sub("\ufffd", reason[:MAX_REASON_CHARS])
        if self._chars > MAX_REPLY_CHARS:
            raise failed("cut_off", why="the reply is too long")

    def end(self) -> End:
        """The end of the reply; raises `UpstreamError` when it is not one."""
        if self._finish_reason is None:
            raise failed("cut_off" if self._spoke or self._reasoned else "unreadable")
        if not self._spoke and self._finish_reason == "length":
            raise failed("all_reasoning")
        if not self._spoke and self._finish_reason == "content_filter":
            raise failed("moderated")
        return End(self._finish_reason, self._usage)


def _parse(data: str | bytes) -> Mapping[str, Any]:
    try:
        chunk = loads_few(data)
    except (ValueError, RecursionError) as error:
        raise failed("unreadable", why="not JSON") from error
    if not isinstance(chunk, dict):
        raise failed("unreadable", why="not a JSON object")
    return chunk


def _content(content: Any, *names: str) -> str:
    """Text that comes whole or in parts, which have it under one of `names`."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get(name) for part in content if isinstance(part, Mapping) for name in names]
        return "".join(part for part in parts if isinstance(part, str))
    return ""
