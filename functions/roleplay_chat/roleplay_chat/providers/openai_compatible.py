"""OpenRouter, and any other server that speaks /chat/completions.

Always streams: tokens are the sign of life that deadlines are set by. A 200 is not yet
success; an error may be the first thing in the stream, the last, or the whole body.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx
from httpx_sse import EventSource

from roleplay_chat.failures import Failure, UpstreamError, from_status
from roleplay_chat.prompt import Message
from roleplay_chat.providers import End, Event, Text
from roleplay_chat.routing import Target


async def generate(
    http: httpx.AsyncClient,
    target: Target,
    messages: Sequence[Message],
    headers: Mapping[str, str],
) -> AsyncIterator[Event]:
    """Send the prompt and yield what comes back. Raises `UpstreamError`."""
    body = {
        **target.parameters,
        "model": target.model_key,
        "messages": messages,
        "stream": True,
    }
    async with http.stream("POST", target.url, json=body, headers=dict(headers)) as response:
        if response.status_code != 200:
            raise UpstreamError(from_status(response.status_code))
        reading = Reading()
        if "text/event-stream" in response.headers.get("content-type", ""):
            # Whatever charset the header claims: event streams are UTF-8.
            response.encoding = "utf-8"
            async with aclosing(EventSource(response).aiter_sse()) as events:
                async for event in events:
                    if event.data == "[DONE]":
                        break
                    for text in reading.feed(_parse(event.data)):
                        yield text
        else:
            for text in reading.feed(_parse((await response.aread()).decode(errors="replace"))):
                yield text
        yield reading.end()


class Reading:
    """What was read of one reply so far. Feed it each chunk, then ask for the end."""

    def __init__(self) -> None:
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] = {}

    def feed(self, chunk: Any) -> Iterator[Text]:
        """The pieces of text in a chunk; raises `UpstreamError` for an error in it."""
        if not isinstance(chunk, Mapping):
            raise UpstreamError(Failure("overloaded", "not a JSON object"))
        _raise_error(chunk.get("error"))
        if isinstance(chunk.get("usage"), Mapping):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, Mapping):
                yield from self._choice(choice)

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Text]:
        _raise_error(choice.get("error"))
        if choice.get("finish_reason") == "error":
            raise UpstreamError(Failure("overloaded", "finish_reason error"))
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, Mapping):
            yield Text(_content(said.get("content")))
        if isinstance(choice.get("finish_reason"), str):
            self._finish_reason = choice["finish_reason"]

    def end(self) -> End:
        """The end of the reply; raises `UpstreamError` when no finish reason was seen."""
        if self._finish_reason is None:
            raise UpstreamError(Failure("cut_off", "ended without a finish reason"))
        return End(
            finish_reason=self._finish_reason,
            prompt_tokens=_count(self._usage.get("prompt_tokens")),
            completion_tokens=_count(self._usage.get("completion_tokens")),
            cost_usd=_amount(self._usage.get("cost")),
        )


def _parse(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UpstreamError(Failure("overloaded", "not JSON")) from error


def _raise_error(error: Any) -> None:
    if not error:
        return
    code = error.get("code") if isinstance(error, Mapping) else None
    status = int(code) if isinstance(code, int | str) and str(code).isdigit() else 502
    raise UpstreamError(from_status(status, "inside a 200"))


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _count(value: Any) -> int | None:
    amount = _amount(value)
    return None if amount is None else int(amount)


def _amount(value: Any) -> float | None:
    """A number that may have come as text; None for anything else or below zero."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = float(value)
    except ValueError:
        return None
    return amount if 0 <= amount < 1e9 else None
