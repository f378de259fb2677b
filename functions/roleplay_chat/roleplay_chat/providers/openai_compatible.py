"""OpenRouter, and any other server that speaks /chat/completions.

Always streams: tokens are the sign of life that deadlines are set by. A 200 is not yet
success; an error may be the first thing in the stream, the last, or the whole body.
"""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import httpx
from httpx_sse import EventSource

from roleplay_chat.failures import UpstreamError, failed, from_error, from_response
from roleplay_chat.providers import Call, End, Event, Text, first_bytes

MAX_REPLY_CHARS = 60_000
"""A reply that does not end is ended here."""
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
    async with http.stream(
        "POST", call.target.url, json=body, headers=call.headers, timeout=call.timeout
    ) as response:
        if response.status_code != 200:
            raise UpstreamError(
                from_response(response.status_code, response.headers, await first_bytes(response))
            )
        reading = Reading()
        if "text/event-stream" in response.headers.get("content-type", ""):
            # Whatever charset the header claims: event streams are UTF-8, a mark in front or not.
            response.encoding = "utf-8-sig"
            async with aclosing(EventSource(response).aiter_sse()) as events:
                async for event in events:
                    if event.data == "[DONE]":
                        break
                    finished = reading.finished
                    for text in reading.feed(event.data):
                        yield text
                    if reading.finished and not finished:
                        yield reading.end()
        else:
            for text in reading.feed((await first_bytes(response)).decode(errors="replace")):
                yield text
        yield reading.end()


class Reading:
    """What was read of one reply so far. Feed it each chunk, then ask for the end."""

    def __init__(self) -> None:
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._chars = 0
        self._spoke = False
        self._reasoned = False

    @property
    def finished(self) -> bool:
        """Whether the finish reason was seen; what it cost may come later."""
        return self._finish_reason is not None

    def feed(self, data: str) -> Iterator[Text]:
        """The pieces of text in a chunk; raises `UpstreamError` for an error in it.

        Reasoning is a sign of life and nothing else: it comes as an empty text.
        """
        if not data.strip():
            return
        chunk = _parse(data)
        _raise_error(chunk.get("error"))
        if isinstance(chunk.get("usage"), Mapping):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, Mapping):
                yield from self._choice(choice)

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Text]:
        _raise_error(choice.get("error"))
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, Mapping):
            text = _content(said.get("content"))
            reasoned = any(said.get(name) for name in REASONING)
            self._chars += len(text)
            self._spoke = self._spoke or bool(text.strip())
            self._reasoned = self._reasoned or reasoned
            if text or reasoned:
                yield Text(text)
        reason = choice.get("finish_reason")
        if reason == "error":
            raise failed("overloaded", why="finish_reason error")
        if isinstance(reason, str) and reason:
            self._finish_reason = reason
        if self._chars > MAX_REPLY_CHARS:
            raise failed("cut_off", why="the reply does not end")

    def end(self) -> End:
        """The end of the reply; raises `UpstreamError` when it is not one."""
        if self._finish_reason is None:
            raise failed("cut_off" if self._spoke or self._reasoned else "unreadable")
        if not self._spoke and self._finish_reason == "length":
            raise failed("all_reasoning")
        if not self._spoke and self._finish_reason == "content_filter":
            raise failed("moderated")
        return End(
            finish_reason=self._finish_reason,
            prompt_tokens=_count(self._usage.get("prompt_tokens")),
            completion_tokens=_count(self._usage.get("completion_tokens")),
            cost_usd=_amount(self._usage.get("cost")),
        )


def _parse(data: str) -> Mapping[str, Any]:
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise failed("unreadable", why="not JSON") from error
    if not isinstance(chunk, Mapping):
        raise failed("unreadable", why="not a JSON object")
    return chunk


def _raise_error(error: Any) -> None:
    if error:
        raise UpstreamError(from_error(error, 200))


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
