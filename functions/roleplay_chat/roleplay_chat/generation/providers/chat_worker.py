"""The team's own GPU worker: one JSON request, one JSON answer, no streaming."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx

from edge.bodies import first_bytes
from edge.json_text import loads
from roleplay_chat.api import Usage
from roleplay_chat.generation.error_classifier import UpstreamError, failed, from_worker
from roleplay_chat.generation.providers import (
    MAX_BODY_BYTES,
    MAX_REPLY_CHARS,
    Call,
    End,
    Event,
    count,
    in_pieces,
    is_full,
    post,
)


async def generate(http: httpx.AsyncClient, call: Call) -> AsyncGenerator[Event, None]:
    """Send the prompt and yield the answer in one piece. Raises as all providers do."""
    body = {
        **call.parameters,
        "model": call.target.model_key,
        "messages": call.messages,
        "sfw_mode": call.tier == "sfw",
        "content_tier": call.tier,
    }
    async with post(http, call, body) as response:
        body_bytes = await first_bytes(response, MAX_BODY_BYTES)
    text, tokens = read_answer(response.status_code, body_bytes)
    for piece in in_pieces(text[:MAX_REPLY_CHARS]):
        yield piece
        if is_full(piece):
            await asyncio.sleep(0)
    if len(text) > MAX_REPLY_CHARS:
        raise failed("cut_off", why="the reply does not end")
    yield End("stop", Usage(completion_tokens=tokens))


def read_answer(status: int, body: bytes) -> tuple[str, int | None]:
    """The reply and its length in tokens; raises `UpstreamError` when there is none."""
    if status != 200:
        raise UpstreamError(from_worker(status, body))
    try:
        answer: Any = loads(body)
    except (ValueError, RecursionError) as error:
        raise failed("worker_failed", why="not JSON") from error
    if not isinstance(answer, Mapping) or answer.get("success") is not True:
        raise UpstreamError(from_worker(status, body))
    text, tokens = answer.get("response"), answer.get("tokens_generated")
    if not isinstance(text, str) or not text.strip():
        raise failed("empty")
    return text, count(tokens)
