"""Responses for scripted upstreams."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.upstream import JSON, Answer, Exchange, Headers
from tests.support.waiting import Gate

Part = str | bytes | JSON | Gate | Answer

# Responses of any server


def reply(status: int, body: object = "", headers: Headers | None = None) -> Answer:
    """A complete response. Bytes and text are sent unchanged, anything else as JSON."""
    if isinstance(body, bytes):
        content, kind = body, "application/octet-stream"
    elif isinstance(body, str):
        content, kind = body.encode(), "text/plain; charset=utf-8"
    else:
        content, kind = json.dumps(body).encode(), "application/json"

    async def answer(exchange: Exchange) -> None:
        await exchange.whole(status, {"Content-Type": kind, **(headers or {})}, content)

    return answer


error = reply  # a name for tests in which the response is an error


def html(status: int = 503, title: str = "Temporarily unavailable") -> Answer:
    """An error page of a proxy in front of the server."""
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body></body></html>"
    return reply(status, page, {"Content-Type": "text/html; charset=UTF-8"})


def whitespace(lines: int = 60) -> Answer:
    """A 200 with the content type JSON and only blank lines."""
    return reply(200, "\n \n" * lines, {"Content-Type": "application/json"})


def raw(data: bytes) -> Answer:
    """Exactly these bytes, including the status line. Then the connection is closed."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.hang_up()

    return answer


def stall(after: bytes = b"", *, comment_every: float = 0) -> Answer:
    """Sends `after` of an event stream, if given, and then nothing until the client closes.

    With comment_every (seconds), comments keep the connection alive.
    """

    async def answer(exchange: Exchange) -> None:
        if after or comment_every:
            await exchange.stream_head()
        if after:
            await exchange.chunk(after)
        while comment_every:
            await exchange.chunk(KEEP_ALIVE)
            await asyncio.sleep(comment_every)
        await asyncio.Event().wait()

    return answer


def abort(after: bytes = b"") -> Answer:
    """A TCP reset before any response, or after these bytes of an event stream.

    HTTP clients may drop bytes that are followed by a reset. If the client must see them, let the
    test open a gate in between, as in `stream(["Hel", gate, abort()])`.
    """
    return _cut(after, Exchange.reset)


def hang_up(after: bytes = b"") -> Answer:
    """Closes the connection normally, without a response or in the middle of its body."""
    return _cut(after, Exchange.hang_up)


def half_close(after: bytes = b"") -> Answer:
    """Like hang_up, but only this side closes; the client has to close the other."""

    async def answer(exchange: Exchange) -> None:
        await _cut(after, lambda this: this.writer.write_eof())(exchange)
        await asyncio.Event().wait()

    return answer


def _cut(after: bytes, how: Callable[[Exchange], None]) -> Answer:
    async def answer(exchange: Exchange) -> None:
        if after:
            await exchange.stream_head()
            await exchange.chunk(after)
        how(exchange)

    return answer


def held(gate: Gate, then: Answer) -> Answer:
    """Another response, sent when the gate is open."""

    async def answer(exchange: Exchange) -> None:
        await gate.passage()
        await then(exchange)

    return answer


# Responses of OpenRouter and similar servers

KEEP_ALIVE = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"
USAGE: JSON = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "cost": 0}


def event(data: JSON) -> bytes:
    """A server-sent event."""
    return f"data: {json.dumps(data)}\n\n".encode()


def chunk(model: str, delta: JSON, finish: str | None = None, **more: Any) -> JSON:
    """A chat.completion.chunk with one choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": finish}
    return {
        "id": "gen-scripted",
        "provider": "Scripted",
        "model": model,
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "choices": [choice],
    } | more


def reasoning(words: str) -> JSON:
    """A part of a stream: a delta with reasoning and no text."""
    return {"delta": {"role": "assistant", "content": "", "reasoning": words}}


def completion(model: str, content: object, usage: JSON | None, finish: str | None) -> JSON:
    """A complete chat.completion."""
    message = {"role": "assistant", "content": content, "refusal": None, "reasoning": None}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {
        "id": "gen-scripted",
        "provider": "Scripted",
        "model": model,
        "object": "chat.completion",
        "created": 1767225600,
        "choices": [{**choice, "native_finish_reason": finish}],
    } | ({"usage": usage} if usage else {})


def text(words: str, *, usage: JSON | None = USAGE, finish: str | None = "stop") -> Answer:
    """A successful reply: an event stream or JSON, depending on the request's "stream"."""

    async def answer(exchange: Exchange) -> None:
        if exchange.call.json.get("stream"):
            deltas = re.findall(r"\s*\S+\s*", words) or [words]
            await stream(deltas, usage=usage, finish=finish)(exchange)
        else:
            await reply(200, completion(exchange.call.model, words, usage, finish))(exchange)

    return answer


def stream(
    parts: Sequence[Part],
    *,
    usage: JSON | None = USAGE,
    finish: str | None = "stop",
    done: bool = True,
    gap: float = 0,
) -> Answer:
    """An event stream, part by part, with `gap` seconds between the parts.

    A part is text (a content delta), bytes (sent unchanged), a dict (an event; one with only a
    "delta" becomes a chunk), a gate to wait for, or another response (stall, abort, hang_up).
    finish=None omits the finish reason, usage=None the usage chunk, done=False the [DONE].
    """

    async def answer(exchange: Exchange) -> None:
        model = exchange.call.model
        await exchange.stream_head()
        for part in parts:
            if isinstance(part, Gate):
                await part.passage()
            elif callable(part):
                await part(exchange)
            else:
                await exchange.chunk(_encoded(part, model))
                await asyncio.sleep(gap)
        if not exchange.keep_alive:
            return
        if finish:
            await exchange.chunk(event(chunk(model, {"content": ""}, finish)))
        if usage:
            await exchange.chunk(event(chunk(model, {"content": ""}, finish, usage=usage)))
        if done:
            await exchange.chunk(DONE)
        await exchange.chunk(b"")

    return answer


def _encoded(part: str | bytes | JSON, model: str) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        return event(chunk(model, {"role": "assistant", "content": part}))
    return event(chunk(model, part["delta"]) if part.keys() == {"delta"} else part)


def raw_sse(data: bytes, *, split: int | None = None, headers: Headers | None = None) -> Answer:
    """Exactly these bytes as an event stream, in pieces of `split` bytes, ended normally."""

    async def answer(exchange: Exchange) -> None:
        await exchange.stream_head(200, headers)
        size = split or len(data)
        for start in range(0, len(data), size):
            await exchange.chunk(data[start : start + size])
            await asyncio.sleep(0)
        await exchange.chunk(b"")

    return answer


def models(*names: str) -> Answer:
    """The response of an OpenAI-compatible server to GET /v1/models."""
    listed = [{"id": name, "object": "model", "created": 0, "owned_by": "me"} for name in names]
    return reply(200, {"object": "list", "data": listed})


# Responses of the chat worker


def worker_healthy() -> Answer:
    """The response of a ready worker to GET /health."""
    return reply(200, {"status": "healthy", "model_loaded": True, "uptime": 3600.5, "stats": {}})


def worker_loading() -> Answer:
    """The response of a loading worker to GET /health: a 200 that is not healthy."""
    return reply(200, {"status": "healthy", "model_loaded": False, "uptime": 2.5, "stats": {}})


def worker_chat(words: str) -> Answer:
    """A successful response to POST /chat."""
    good = {"success": True, "response": words, "generation_time": 4.2, "tokens_generated": 4}
    return reply(200, good)


def worker_error(status: int = 500, message: str = "probability tensor contains inf") -> Answer:
    """An error response to POST /chat, in the worker's format."""
    return reply(status, {"success": False, "error": message})
