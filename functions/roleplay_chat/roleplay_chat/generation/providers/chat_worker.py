"""The team's own GPU worker: one JSON request, one JSON answer, no streaming."""

from collections.abc import AsyncGenerator

import httpx

from edge.bodies import first_bytes
from edge.json_values import fields
from roleplay_chat.api import Usage
from roleplay_chat.generation.error_classifier import (
    ResponseBody,
    UpstreamError,
    failed,
    from_worker,
)
from roleplay_chat.generation.providers import (
    MAX_BODY_BYTES,
    MAX_REPLY_CHARS,
    Call,
    End,
    Event,
    cached_tokens,
    count,
    give_way,
    in_pieces,
    is_full,
    post,
)


async def generate(http: httpx.AsyncClient, call: Call) -> AsyncGenerator[Event, None]:
    """Send the prompt and yield the answer. Raises `UpstreamError` and network errors."""
    prompt = {
        **call.parameters,
        "model": call.target.model_key,
        "messages": call.messages,
        "sfw_mode": call.tier == "sfw",
        "content_tier": call.tier,
    }
    async with post(http, call, prompt) as response:
        body = ResponseBody.parse(await first_bytes(response, MAX_BODY_BYTES))
    answer = fields(body.value)
    usage = Usage(
        completion_tokens=count(answer.get("tokens_generated")), cached_tokens=cached_tokens(answer)
    )
    call.on_usage(usage)
    if not response.is_success or answer.get("success") is not True:
        status = 200 if response.is_success else response.status_code
        raise UpstreamError(from_worker(status, body, response.headers))
    text = answer.get("response")
    if not isinstance(text, str) or not text.strip():
        raise failed("empty")
    for piece in in_pieces(text[:MAX_REPLY_CHARS]):
        yield piece
        if is_full(piece):
            await give_way()
    if len(text) > MAX_REPLY_CHARS:
        raise failed("cut_off", why="the reply is too long")
    yield End("stop", usage)
