"""Reads which models a provider lists: GET /models of the OpenAI dialect."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import Any

import httpx

from edge.addresses import endpoint
from edge.bodies import IDENTITY, first_bytes
from edge.clients import Clients
from edge.json_text import loads, value_count_bound
from roleplay_chat.api import NO_TEXT
from roleplay_chat.generation.call_errors import CALL_ERRORS, call_failure
from roleplay_chat.generation.error_classifier import (
    Failure,
    UpstreamError,
    failed,
    from_response,
)
from roleplay_chat.generation.target_credentials import target_credentials
from roleplay_chat.rows import ProviderRow
from roleplay_chat.settings import Settings

SECONDS = 15.0
MAX_BYTES = 4_000_000
MAX_VALUES = 150_000
"""OpenRouter's list has about two megabytes and 100,000 values, as `value_count_bound` counts them.
It is read in a thread, but nobody else goes on while its JSON is parsed."""
MAX_MODELS = 2_000
MAX_KEY_CHARS = 200
"""As much as a row holds."""


async def list_models(
    clients: Clients, settings: Settings, provider: ProviderRow
) -> dict[str, Any]:
    """The provider's list, or why there is none:

    is_ok           whether it has sent a list
    code            "ok", or the error policy
    explanation     what happened, and what to do
    duration_ms     the time that it took
    models          the ids in order, at most `MAX_MODELS`
    """
    began = time.monotonic()
    models: list[str] = []
    failure: Failure | None = None
    try:
        async with asyncio.timeout(SECONDS):
            content = await _get(clients.http(), settings, provider)
        models = await clients.in_thread(parse_ids, content)
    except CALL_ERRORS as error:
        failure = call_failure(error)
    return {
        "is_ok": failure is None,
        "code": failure.policy.name if failure else "ok",
        "explanation": failure.explanation if failure else "",
        "duration_ms": round((time.monotonic() - began) * 1000),
        "models": models,
    }


async def _get(http: httpx.AsyncClient, settings: Settings, provider: ProviderRow) -> bytes:
    """The body of the list. Raises `UpstreamError` and network errors."""
    headers = target_credentials(provider.base_url, provider, settings, os.environ)
    url = endpoint(provider.base_url, "/models")
    request = httpx.Request("GET", url, headers={**headers, **IDENTITY})
    response = await http.send(request, stream=True)
    try:
        content = await first_bytes(response, MAX_BYTES + 1)
    finally:
        await response.aclose()
    if not response.is_success:
        raise UpstreamError(from_response(response.status_code, response.headers, content))
    if len(content) > MAX_BYTES:
        raise failed("unreadable", why="too long")
    return content


def parse_ids(content: bytes) -> list[str]:
    """The ids in a list of models. Raises `UpstreamError` if the body is not such a list."""
    if value_count_bound(content) > MAX_VALUES:
        raise failed("unreadable", why="too many values")
    try:
        body = loads(content)
    except (ValueError, RecursionError) as error:
        raise failed("unreadable", why="not JSON") from error
    listed = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(listed, list):
        raise failed("unreadable", why="no list of models")
    # Step by step, so that others go on: sorting all would be a single step.
    return nsmallest(MAX_MODELS, set(_ids(listed)))


def _ids(listed: Sequence[Any]) -> Iterator[str]:
    for entry in listed:
        key = entry.get("id") if isinstance(entry, Mapping) else None
        if isinstance(key, str) and _is_key(key):
            yield key


def _is_key(key: str) -> bool:
    return 0 < len(key) <= MAX_KEY_CHARS and key.isprintable() and not NO_TEXT.search(key)
