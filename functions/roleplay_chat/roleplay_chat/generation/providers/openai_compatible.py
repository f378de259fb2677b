"""OpenRouter, and any other server with a /chat/completions endpoint.

Always streams, so that deadlines can watch for tokens. A 200 does not mean success: an error can
be the first event of the stream, the last, or the whole body.
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
from edge.json_text import loads_bounded
from roleplay_chat.api import NO_TEXT, Usage
from roleplay_chat.generation.error_classifier import (
    UpstreamError,
    failed,
    from_error,
    from_response,
)
from roleplay_chat.generation.error_shapes import is_error
from roleplay_chat.generation.error_wordings import refuses
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
"""The limit for a whole stream. The longest reply, in events of one character, is smaller."""
MANY_EVENTS = 100
"""After so many events at once, other tasks run; one network read may bring thousands."""
GATHER_SECONDS = 1 / 30
"""Events within this time are passed on together: nobody reads faster, and screening and sending
cost the same for one token as for ten."""
GATHER_AFTER_SECONDS = 0.2
"""Gathering starts only after this time, so that the first words are not delayed."""
LINGER_SECONDS = 0.1
"""How long to read on after the last event."""
MAX_REASON_CHARS = 64
"""The limit for a finish reason. Known ones have fewer than 20 characters."""
REASONING = ("reasoning", "reasoning_content", "reasoning_details")
"""The fields with a model's reasoning, which is not part of the reply."""


async def generate(http: httpx.AsyncClient, call: Call) -> AsyncGenerator[Event, None]:
    """Send the prompt and yield the reply. Raises `UpstreamError` and network errors."""
    body = {
        **call.parameters,
        "model": call.target.model_key,
        "messages": call.messages,
        "stream": True,
    }
    async with post(http, call, body) as response:
        reader = ReplyReader(call.on_usage)
        if not response.is_success:
            error = await first_bytes(response, MAX_BODY_BYTES)
            reader.read_usage(error)
            raise UpstreamError(from_response(response.status_code, response.headers, error))
        if "text/event-stream" in response.headers.get("content-type", ""):
            async with aclosing(_event_batches(response, reader)) as batches:
                async for batch in batches:
                    try:
                        for event in _events(reader, batch):
                            yield event
                            if is_full(event):
                                await asyncio.sleep(0)
                    except UpstreamError:
                        await _drain(batches, reader)
                        raise
                    if reader.done:
                        await _drain(batches, reader)
        else:
            whole = (await first_bytes(response, MAX_BODY_BYTES)).decode(errors="replace")
            for event in _events(reader, [whole]):
                yield event
                if is_full(event):
                    await asyncio.sleep(0)
        yield reader.end()


async def _event_batches(
    response: httpx.Response, reader: "ReplyReader"
) -> AsyncGenerator[list[str], None]:
    """Yield the data of the stream's events, in lists of those that arrived together.

    The library's own iterator yields one event at a time and does not tell whether another one has
    arrived already.
    """
    lines, decoder = SSELineDecoder(), SSEDecoder()
    # Event streams are UTF-8, with or without a byte order mark, whatever the header claims.
    decode = getincrementaldecoder("utf-8-sig")(errors="replace").decode
    began = time.monotonic()
    read = since_event = 0
    async with aclosing(pieces(response)) as parts:  # type: ignore[type-var]
        async for part in parts:
            read += len(part)
            since_event += len(part)
            if read > MAX_STREAM_BYTES or since_event > MAX_BODY_BYTES:
                break
            events = map(decoder.decode, lines.decode(decode(part)))
            if found := [event.data for event in events if event is not None]:
                since_event = 0
                yield found
                if len(found) > MANY_EVENTS:
                    await asyncio.sleep(0)
            if not reader.done and time.monotonic() - began > GATHER_AFTER_SECONDS:
                await asyncio.sleep(GATHER_SECONDS)
    events = map(decoder.decode, lines.flush())
    if found := [event.data for event in events if event is not None]:
        yield found


async def _drain(batches: AsyncIterator[Sequence[str]], reader: "ReplyReader") -> None:
    """Read on briefly after the last event: for the usage of a failed call, and for the end of the
    body, after which the connection can be reused."""
    with suppress(TimeoutError, *NETWORK_ERRORS):
        async with asyncio.timeout(LINGER_SECONDS):
            async for batch in batches:
                for data in batch:
                    reader.read_usage(data)


def _events(reader: "ReplyReader", batch: Sequence[str]) -> Iterator[Event]:
    """The events of data that arrived together: text, then the end; raises the error in it last."""
    failure: UpstreamError | None = None
    finished = reader.finished
    for data in batch:
        if failure:
            reader.read_usage(data)
            continue
        try:
            reader.feed(data)
        except UpstreamError as error:
            failure = error
    if (text := reader.take()) is not None:
        yield from in_pieces(text, reader.take_reasoning())
    if reader.finished and not finished:
        yield reader.end()
    if failure:
        raise failure


class ReplyReader:
    """Parses one reply: `feed` each chunk, `take` the text so far, ask for the `end`."""

    def __init__(self, on_usage: Callable[[Usage], None] = lambda _: None) -> None:
        self._on_usage = on_usage
        self._pieces: list[str] = []
        self._thoughts: list[str] = []
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._chars = 0
        self._has_text = False
        self._reasoned = False
        self.done = False
        """Whether "[DONE]" was read."""

    @property
    def finished(self) -> bool:
        """Whether the finish reason was read; the usage may come later."""
        return self._finish_reason is not None

    def feed(self, data: str) -> None:
        """Read a chunk; ignore what follows "[DONE]". Raises `UpstreamError` for an error in it."""
        if self.done or not data.strip():
            return
        if data == "[DONE]":
            self.done = True
            return
        chunk = _parse(data)
        if "usage" in chunk:
            self._add_usage(chunk)
        choices = chunk.get("choices")
        if chunk.get("error") or (not choices and is_error(chunk)):
            raise UpstreamError(from_error(chunk, 200))
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                self._read_choice(choice, chunk)

    def read_usage(self, data: str | bytes) -> None:
        """Read only the usage in a chunk, and ignore anything else."""
        if not self.done:
            with suppress(UpstreamError):
                self._add_usage(_parse(data))

    def _add_usage(self, chunk: Mapping[str, Any]) -> None:
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return
        reported = {
            "prompt_tokens": count(usage.get("prompt_tokens")),
            "completion_tokens": count(usage.get("completion_tokens")),
            "cost_usd": amount(usage.get("cost")),
        }
        # A later chunk may omit what an earlier one reported.
        known: dict[str, Any] = {
            name: number for name, number in reported.items() if number is not None
        }
        self._usage = replace(self._usage, **known)
        self._on_usage(self._usage)

    def take(self) -> str | None:
        """The text since the last call; empty if only reasoning came, None if nothing did."""
        if not self._pieces:
            return None
        pieces, self._pieces = self._pieces, []
        return "".join(pieces)

    def take_reasoning(self) -> str:
        """The reasoning since the last call."""
        if not self._thoughts:
            return ""
        thoughts, self._thoughts = self._thoughts, []
        return "".join(thoughts)

    def _read_choice(self, choice: Mapping[str, Any], chunk: Mapping[str, Any]) -> None:
        if error := choice.get("error"):
            raise UpstreamError(from_error(error, 200, provider=chunk.get("provider")))
        message = choice.get("delta") or choice.get("message")
        if isinstance(message, dict):
            text = _content(message.get("content"), "text")[: MAX_REPLY_CHARS + 1 - self._chars]
            has_text = text != "" and not text.isspace()
            thought = None
            if not message.keys().isdisjoint(REASONING):
                thought = next(filter(None, map(message.get, REASONING)), None)
            if thought:
                self._thoughts.append(_content(thought, "text", "summary"))
            reasoned = not has_text and thought is not None
            self._chars += len(text)
            self._has_text = self._has_text or has_text
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
        """The end of the reply. Raises `UpstreamError` if it did not end properly."""
        if self._finish_reason is None:
            if self._has_text or self._reasoned:
                raise failed("cut_off")
            raise failed("unreadable", why="no choices")
        if refuses(self._finish_reason):
            raise failed("moderated")
        if not self._has_text and self._finish_reason == "length":
            raise failed("all_reasoning")
        return End(self._finish_reason, self._usage)


def _parse(data: str | bytes) -> Mapping[str, Any]:
    try:
        chunk = loads_bounded(data)
    except (ValueError, RecursionError) as error:
        raise failed("unreadable", why=_kind_of(data)) from error
    if isinstance(chunk, list) and chunk:
        chunk = chunk[0]  # An error in a list, as Gemini's gateway sends it.
    if not isinstance(chunk, dict):
        raise failed("unreadable", why="not a JSON object")
    return chunk


def _kind_of(data: str | bytes) -> str:
    """What came instead of JSON, for the log."""
    if not data.strip():
        return "nothing"
    return "a web page" if data.lstrip()[:1] in ("<", b"<") else "not JSON"


def _content(content: Any, *names: str) -> str:
    """Content given as a string or as a list of parts with text under one of `names`."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get(name) for part in content if isinstance(part, Mapping) for name in names]
        return "".join(part for part in parts if isinstance(part, str))
    return ""
