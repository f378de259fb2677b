"""The team's own GPU worker: one JSON request, one JSON answer, no streaming."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from roleplay_chat.api import Tier
from roleplay_chat.failures import Failure, UpstreamError, from_status
from roleplay_chat.prompt import Message
from roleplay_chat.providers import End, Event, Text
from roleplay_chat.routing import Target


async def generate(
    http: httpx.AsyncClient,
    target: Target,
    messages: Sequence[Message],
    headers: Mapping[str, str],
    tier: Tier,
) -> AsyncIterator[Event]:
    """Send the prompt and yield the answer in one piece. Raises `UpstreamError`."""
    body = {
        **target.parameters,
        "model": target.model_key,
        "messages": messages,
        "sfw_mode": tier == "sfw",
        "content_tier": tier,
    }
    response = await http.post(target.url, json=body, headers=dict(headers))
    if response.status_code != 200:
        raise UpstreamError(from_status(response.status_code))
    text, tokens = read_answer(response)
    yield Text(text)
    yield End("stop", completion_tokens=tokens)


def read_answer(response: httpx.Response) -> tuple[str, int | None]:
    """The reply and its length in tokens; raises `UpstreamError` when there is none."""
    try:
        body: Any = response.json()
    except ValueError as error:
        raise UpstreamError(Failure("overloaded", "not JSON")) from error
    if not isinstance(body, Mapping) or body.get("success") is not True:
        raise UpstreamError(Failure("overloaded", "the worker says that it failed"))
    text, tokens = body.get("response"), body.get("tokens_generated")
    if not isinstance(text, str):
        raise UpstreamError(Failure("empty", "the worker sent no text"))
    return text, tokens if isinstance(tokens, int) else None
