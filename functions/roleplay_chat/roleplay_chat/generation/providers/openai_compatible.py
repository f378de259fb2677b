"""OpenRouter, and any other server with a /chat/completions endpoint.

Always streams, so that deadlines can watch for tokens. A 200 does not mean success: an error can
be the first event of the stream, the last, or the whole body.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from inspect import isasyncgen
from typing import Any

import httpx
from msgspec.structs import replace

from edge.bodies import first_bytes, pieces
from edge.clients import NETWORK_ERRORS
from edge.connections import READ_BYTES
from edge.json_text import loads_bounded
from roleplay_chat.api import NO_TEXT, Usage
from roleplay_chat.generation.error_classifier import (
    ResponseBody,
    UpstreamError,
    failed,
    from_error,
    from_response,
)
from roleplay_chat.generation.error_shapes import is_error
from roleplay_chat.generation.finish_reasons import Meaning, meaning_of
from roleplay_chat.generation.providers import (
    MAX_BODY_BYTES,
    MAX_REPLY_CHARS,
    Call,
    End,
    Event,
    amount,
    cached_tokens,
    count,
    give_way,
    in_pieces,
    is_full,
    post,
    reported_usage,
)
from roleplay_chat.generation.providers.event_stream import DONE, BodyDecoder, documents

MAX_STREAM_BYTES = 32 * 2**20
"""The limit for a whole stream. The longest reply, in events of one character, is smaller."""
MANY_EVENTS = 100
"""After this many events at once, other tasks run; one network read may bring thousands."""
FAST_SECONDS = 0.025
"""Events that come faster than this on average are passed on two or more at a time: nobody reads
faster, and screening and sending two tokens costs the same as one."""
HELD_ENOUGH_SECONDS = FAST_SECONDS / 2
"""An event that comes this long after the oldest held one releases them all."""
HOLD_SECONDS = 1 / 30
"""No event waits longer for the next one."""
GAPS = 4
"""Roughly how many of the last gaps between events the average covers."""
HOLD_AFTER_SECONDS = 0.2
"""Nothing is held before this time, so that the first words are not delayed."""
LINGER_SECONDS = 0.1
"""How long to read on after the last event."""
MAX_REASON_CHARS = 64
"""The limit for a finish reason. Known ones have fewer than 20 characters."""
REASONING = frozenset(
    (
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "reasoning_text",
        "thinking",
        "thinking_blocks",
        "thinking_content",
        "thought",
        "thoughts",
    )
)
"""The fields with a model's reasoning, which is not part of the reply."""
_REASONING_TYPE = re.compile("think|thought|reason", re.IGNORECASE)
"""The types of content parts that are reasoning."""
_TEXTS = ("text", "thinking", "reasoning", "summary")
"""The fields of a part of reasoning that hold text."""

OWN_WORDS = ("stop", "tool_calls", "function_call")
"""OpenAI's words for the end of a turn. Others are passed on as "stop"."""
_FINISHED = frozenset(("whole", "length", "refused"))
_IDENTIFIER = re.compile(r"[\w.-]{1,40}", re.ASCII)
"""A finish reason that may be logged."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""A character in two halves, as JSON escapes it."""
_ESCAPED_BYTES = re.compile("[\udc80-\udcff]+")
"""Bytes that were not valid text, as `BodyDecoder` passes them on."""
_HALF = re.compile(
    "(?:[\ud800-\udbff]|[\udcc2-\udcdf]|[\udce0-\udcef][\udc80-\udcbf]?"
    r"|[\udcf0-\udcf4][\udc80-\udcbf]{0,2})\Z"
)
"""The beginning of a character at the end of a text."""


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
            error = ResponseBody.parse(await first_bytes(response, MAX_BODY_BYTES))
            reader.note_usage(error.value)
            raise UpstreamError(from_response(response.status_code, response.headers, error))
        async with aclosing(_event_batches(response, reader)) as batches:
            async for batch in batches:
                try:
                    for event in _events(reader, batch):
                        yield event
                        if is_full(event):
                            await give_way()
                except UpstreamError:
                    await _drain(batches, reader)
                    raise
                if reader.done:
                    await _drain(batches, reader)
        yield reader.end()


async def _event_batches(
    response: httpx.Response, reader: "ReplyReader"
) -> AsyncGenerator[list[str], None]:
    """Yield the data of the body's events, in lists of events to pass on together."""
    decoder = BodyDecoder()
    read = since_event = 0
    async with aclosing(pieces(response)) as parts:  # type: ignore[type-var]
        held = _Held(parts)
        while True:
            try:
                part = await held.next_part()
            except NETWORK_ERRORS:
                if events := held.release():
                    yield events
                raise
            if part is None:
                break
            read += len(part)
            since_event += len(part)
            if read > MAX_STREAM_BYTES or since_event > MAX_BODY_BYTES:
                break
            found = decoder.decode(part)
            if found:
                since_event = 0
            if (not part or found) and held.add(found):
                events = held.release()
                yield events
                if len(events) > MANY_EVENTS:
                    await give_way()
            if len(part) >= READ_BYTES:
                # The next part has most likely arrived, so waiting for it lets nobody else go on.
                await give_way()
    if events := [*held.release(), *decoder.flush()]:
        yield events


class _Held:
    """Events of a body that wait for the next ones: see `FAST_SECONDS`."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts
        # A generator would end if waiting for its next value were abandoned.
        self._may_hold = not isasyncgen(parts)
        self._began = self._last = time.monotonic()
        self._gap = self._since = 0.0
        self._events: list[str] = []

    async def next_part(self) -> bytes | None:
        """The next part of the body: empty if the events have waited long enough, None at its end.

        Raises network errors.
        """
        if not self._events:
            return await anext(self._parts, None)
        left = self._since + HOLD_SECONDS - time.monotonic()
        try:
            async with asyncio.timeout(left) as timer:
                return await anext(self._parts, None)
        except TimeoutError:
            if not timer.expired():
                raise
            return b""

    def add(self, events: list[str]) -> bool:
        """Hold events. Returns whether to release all; adding none means that they have waited
        enough."""
        if not events:
            return True
        now = time.monotonic()
        self._gap += (now - self._last - self._gap) / GAPS
        self._last = now
        if not self._events:
            self._since = now
        self._events += events
        is_fast = self._gap < FAST_SECONDS and now - self._began > HOLD_AFTER_SECONDS
        may_wait = self._may_hold and is_fast and events[-1] != DONE
        is_enough = now - self._since >= HELD_ENOUGH_SECONDS or len(self._events) > MANY_EVENTS
        return is_enough or not may_wait

    def release(self) -> list[str]:
        """The events that were held."""
        events, self._events = self._events, []
        return events


async def _drain(batches: AsyncIterator[Sequence[str]], reader: "ReplyReader") -> None:
    """Read on briefly after the last event: for the usage of a failed call, and for the end of the
    body, after which the connection can be reused."""
    with suppress(TimeoutError, *NETWORK_ERRORS):
        async with asyncio.timeout(LINGER_SECONDS):
            async for batch in batches:
                for data in batch:
                    reader.read_usage(data)


def _events(reader: "ReplyReader", batch: Sequence[str]) -> Iterator[Event]:
    """The events of data that arrived together: text, then the end. An error in it is raised
    last."""
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
        self._half = ""
        self._finish_reason = ""
        self._meaning: Meaning = "unfinished"
        self._usage = Usage()
        self._chars = 0
        self._has_text = False
        self._reasoned = False
        self._declined = False
        self.done = False
        """Whether "[DONE]" was read."""

    @property
    def finished(self) -> bool:
        """Whether the finish reason was read; the usage may come later. An unknown reason counts
        only if nothing follows."""
        return self._meaning in _FINISHED

    def feed(self, data: str) -> None:
        """Read a chunk; ignore what follows "[DONE]". Raises `UpstreamError` for an error in it."""
        data = data.strip()
        if self.done or not data:
            return
        if data == DONE:
            self.done = True
            return
        try:
            chunk = _parse(data)
        except UpstreamError:
            if self._feed_several(data):
                return
            raise
        self._read(chunk)

    def _read(self, chunk: Mapping[str, Any]) -> None:
        if "usage" in chunk or "timings" in chunk or "x_groq" in chunk:
            self._add_usage(chunk)
        choices = chunk.get("choices")
        if chunk.get("error") or (not choices and is_error(chunk)):
            raise UpstreamError(from_error(chunk, 200))
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                self._read_choice(choice, chunk)

    def _feed_several(self, data: str) -> bool:
        """Read data that may be several JSON objects; returns whether it was."""
        found, rest = documents(data)
        if len(found) == 1 and not rest:
            return False
        for document in found:
            self.done = self.done or document.text == DONE
            if not self.done:
                self._read(_an_object(document.value))
        return not rest

    def read_usage(self, data: str) -> None:
        """Read only the usage in a chunk, and ignore anything else."""
        if not self.done:
            with suppress(UpstreamError):
                self._add_usage(_parse(data))

    def note_usage(self, error: Any) -> None:
        """Read only the usage in the parsed body of an error."""
        with suppress(UpstreamError):
            self._add_usage(_an_object(error))

    def _add_usage(self, chunk: Mapping[str, Any]) -> None:
        usage = reported_usage(chunk)
        if not usage and not isinstance(chunk.get("timings"), dict):
            return
        reported = {
            "prompt_tokens": count(usage.get("prompt_tokens")),
            "completion_tokens": count(usage.get("completion_tokens")),
            "cost_usd": amount(usage.get("cost")),
            "cached_tokens": cached_tokens(chunk),
        }
        # A later chunk may omit what an earlier one reported.
        known: dict[str, Any] = {
            name: number for name, number in reported.items() if number is not None
        }
        self._usage = _without_excess(replace(self._usage, **known))
        self._on_usage(self._usage)

    def take(self) -> str | None:
        """The text since the last call; empty if only reasoning came, None if nothing did."""
        if not self._pieces:
            return None
        pieces, self._pieces = self._pieces, []
        text = self._half + "".join(pieces)
        return text if text.isascii() else self._without_halves(text)

    def _without_halves(self, text: str) -> str:
        """Join characters that came in two parts, and hold back one whose second part is missing.
        Invalid text remains: U+FFFD for bytes, or a lone surrogate."""
        self._half = ""
        if not _SURROGATE.search(text):
            return text
        text = _PAIR.sub(_joined, text)
        if half := _HALF.search(text):
            self._half = half[0]
            text = text[: half.start()]
        return _ESCAPED_BYTES.sub(_decoded, text)

    def take_reasoning(self) -> str:
        """The reasoning since the last call."""
        if not self._thoughts:
            return ""
        thoughts, self._thoughts = self._thoughts, []
        return "".join(thoughts)

    def _read_choice(self, choice: Mapping[str, Any], chunk: Mapping[str, Any]) -> None:
        if error := choice.get("error"):
            raise UpstreamError(from_error(error, 200, provider=chunk.get("provider")))
        message = choice.get("delta")
        if message is None:
            message = choice.get("message")
        if isinstance(message, dict):
            self._read_message(message)
        if reason := choice.get("finish_reason"):
            self._read_finish_reason(reason)
        if self._chars > MAX_REPLY_CHARS:
            raise failed("cut_off", why="the reply is too long")

    def _read_message(self, message: Mapping[str, Any]) -> None:
        content = message.get("content")
        if (
            type(content) is str
            and self._has_text
            and self._chars + len(content) <= MAX_REPLY_CHARS
            and not message.get("refusal")
            and REASONING.isdisjoint(message)
        ):  # The usual case.
            if content:
                self._chars += len(content)
                self._pieces.append(content)
            return
        thought: Any = None
        if message.get("refusal"):
            self._declined = True
        if isinstance(content, Mapping):
            content = [content]
        if isinstance(content, list):
            self._declined = self._declined or any(map(_is_refusal, content))
            content, thought = _split_parts(content)
        text = content[: MAX_REPLY_CHARS + 1 - self._chars] if isinstance(content, str) else ""
        has_text = bool(text) and not text.isspace()
        if not thought and not REASONING.isdisjoint(message):
            thought = next(
                filter(None, (message[name] for name in message if name in REASONING)), None
            )
        if thought:
            self._thoughts.append(_text_of(thought))
        reasoned = not has_text and bool(thought)
        self._chars += len(text)
        self._has_text = self._has_text or has_text
        self._reasoned = self._reasoned or reasoned
        if text or reasoned:
            self._pieces.append(text)

    def _read_finish_reason(self, reason: object) -> None:
        if isinstance(reason, Mapping):
            reason = reason.get("type")
        if not isinstance(reason, str):
            return
        reason = reason[:MAX_REASON_CHARS]
        meaning = meaning_of(reason)
        if meaning == "failed":
            raise failed("overloaded", why="finish_reason error")
        if meaning != "unfinished":
            self._meaning, self._finish_reason = meaning, NO_TEXT.sub("\ufffd", reason)

    def end(self) -> End:
        """The end of the reply. Raises `UpstreamError` if it did not end properly."""
        reason = self._finish_reason
        if self._declined and self._meaning in ("whole", "unfinished"):
            raise failed("refused_by_model", finish_reason=reason or None)
        match self._meaning:
            case "whole":
                return End(reason if reason in OWN_WORDS else "stop", self._usage)
            case "length" if self._has_text:
                return End("length", self._usage)
            case "length":
                raise failed("all_reasoning")
            case "refused":
                raise failed("moderated", finish_reason=reason)
            case "unfinished":
                if self._has_text or self._reasoned:
                    raise failed("cut_off")
                raise failed("unreadable", why="no choices")
        why = f"finish_reason {reason}" if _IDENTIFIER.fullmatch(reason) else "finish_reason"
        raise failed("cut_off", finish_reason=reason, why=why)


def _without_excess(usage: Usage) -> Usage:
    """The usage with at most as many cached tokens as the prompt has."""
    if usage.cached_tokens is None or usage.prompt_tokens is None:
        return usage
    return replace(usage, cached_tokens=min(usage.cached_tokens, usage.prompt_tokens))


def _parse(data: str) -> Mapping[str, Any]:
    try:
        chunk = loads_bounded(data)
    except (ValueError, RecursionError) as error:
        raise _failure_of(data) from error
    return _an_object(chunk)


def _an_object(chunk: Any) -> Mapping[str, Any]:
    if isinstance(chunk, list) and chunk:
        chunk = chunk[0]  # An error in a list, as Gemini's gateway sends it.
    if not isinstance(chunk, dict):
        raise failed("unreadable", why="not a JSON object")
    return chunk


def _failure_of(data: str) -> UpstreamError:
    """The error for data that is not JSON, classified by its sentence if it has one."""
    kind = _kind_of(data)
    if kind == "not JSON" and data.lstrip()[:1] not in ("{", "["):
        failure = from_error(data, 200)
        if failure.policy.name != "overloaded":
            return UpstreamError(failure)
    return failed("unreadable", why=kind)


def _kind_of(data: str) -> str:
    """The kind of data that came instead of JSON, for the log."""
    if not data.strip():
        return "nothing"
    return "a web page" if data.lstrip()[:1] == "<" else "not JSON"


def _split_parts(parts: Sequence[Any]) -> tuple[str, list[Any]]:
    """The text in content that is a list of parts, and its parts of reasoning."""
    texts: list[str] = []
    thoughts: list[Any] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        if not isinstance(part, Mapping):
            continue
        if part.get("thought") is True or _REASONING_TYPE.search(str(part.get("type"))):
            thoughts.append(part)
        elif isinstance(text := part.get("text"), str):
            texts.append(text)
    return "".join(texts), thoughts


def _is_refusal(part: Any) -> bool:
    return isinstance(part, Mapping) and bool(part.get("refusal"))


def _text_of(thought: Any, depth: int = 4) -> str:
    """The text of reasoning: a string, or parts with text, in lists or not."""
    if isinstance(thought, str):
        return thought
    if isinstance(thought, Mapping):
        thought = [thought.get(name) for name in _TEXTS]
    if depth and isinstance(thought, list):
        return "".join(_text_of(part, depth - 1) for part in thought)
    return ""


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _decoded(escaped: re.Match[str]) -> str:
    return escaped[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
