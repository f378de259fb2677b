"""The team's own GPU worker: one JSON request, one JSON answer, no streaming."""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx

from roleplay_chat.api import Usage
from roleplay_chat.failures import UpstreamError, failed, from_worker
from roleplay_chat.providers import Call, End, Event, Text, count, first_bytes, post


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
        text, tokens = read_answer(response.status_code, await first_bytes(response))
    yield Text(text)
    yield End("stop", Usage(completion_tokens=tokens))


def read_answer(status: int, body: bytes) -> tuple[str, int | None]:
    """The reply and its length in tokens; raises `UpstreamError` when there is none."""
    if status != 200:
        raise UpstreamError(from_worker(status, body))
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise failed("worker_failed", why="not JSON") from error
    if not isinstance(answer, Mapping) or answer.get("success") is not True:
        raise UpstreamError(from_worker(status, body))
    text, tokens = answer.get("response"), answer.get("tokens_generated")
    if not isinstance(text, str) or not text.strip():
        raise failed("empty")
    return text, count(tokens)
