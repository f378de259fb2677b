"""Embeds texts with a model: POST /v1/embeddings of the OpenAI dialect."""

import asyncio
import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from msgspec.structs import replace

from edge.addresses import endpoint
from edge.bodies import IDENTITY, first_bytes
from edge.clients import address
from edge.json_text import dumps, loads_bounded
from edge.json_values import whole
from roleplay_chat.api import Usage
from roleplay_chat.generation.attempts import Attempt, Spent
from roleplay_chat.generation.call_errors import CALL_ERRORS, call_failure
from roleplay_chat.generation.error_classifier import (
    Failure,
    UpstreamError,
    failed,
    from_response,
)
from roleplay_chat.generation.providers import MAX_COUNT, amount, cached_tokens, count
from roleplay_chat.generation.target_credentials import target_credentials
from roleplay_chat.generation.targets import Target, model_target
from roleplay_chat.rows import ModelRow
from roleplay_chat.settings import Settings
from roleplay_chat.tokens import estimate_messages

EMBEDDED_TOKENS = 512
"""The length that small models read. Longer texts are cut, because servers refuse them."""
MAX_DIMENSIONS = 4_000
"""The most dimensions that pgvector can index at half precision."""
MAX_BODY_BYTES = 4_000_000
MAX_NUMBERS = 50_000
"""In one answer."""
DIGITS = 5
"""The decimal places of numbers that are kept: more than half precision has."""

LEAST_LENGTH = 1e-6
"""A shorter vector is zero but for rounding, and has no direction."""

Vector = list[float]


def embedding_target(model: ModelRow) -> Target:
    """The target of a row with the task `embedding`."""
    path = model.endpoint_path
    url = endpoint(model.provider.base_url, path or "/embeddings", is_own_path=bool(path))
    limit = whole(model.capabilities.get("context_tokens"), minimum=1, maximum=MAX_COUNT)
    return replace(model_target(model), url=url, context_tokens=limit or EMBEDDED_TOKENS)


async def embed(
    http: httpx.AsyncClient,
    settings: Settings,
    target: Target,
    texts: Sequence[str],
    *,
    seconds: float,
    extra: Mapping[str, Any],
) -> tuple[list[Vector] | None, Attempt]:
    """The vectors of the texts, of length 1, or None; and the call, for the record. `extra` are the
    row's own parameters. No upstream can make it raise.
    """
    inputs = [target.tokens.beginning(text, target.context_tokens) for text in texts]
    estimate = estimate_messages(inputs)
    began, usage = time.monotonic(), Usage()
    vectors: list[Vector] | None = None
    failure: Failure | None = None
    try:
        async with asyncio.timeout(seconds):
            answer = await _post(http, settings, target, inputs, extra)
        usage = _usage(answer)
        vectors = parse_vectors(answer, len(inputs))
        if vectors is None:
            raise failed("unreadable", why="no embeddings")
    except CALL_ERRORS as error:
        failure = call_failure(error)
    is_spent = vectors is not None or usage != Usage()
    spent = Spent.from_usage(target, replace(usage, completion_tokens=0), estimate, lambda: 0)
    attempt = Attempt(
        target,
        round((time.monotonic() - began) * 1000),
        failure=failure,
        estimate=estimate,
        reported=usage,
        spent=spent if is_spent else None,
    )
    return vectors, attempt


async def _post(
    http: httpx.AsyncClient,
    settings: Settings,
    target: Target,
    inputs: Sequence[str],
    extra: Mapping[str, Any],
) -> Mapping[str, Any]:
    headers = target_credentials(target.url, target, settings, os.environ)
    body = {**extra, "model": target.model_key, "input": inputs, "encoding_format": "float"}
    request = httpx.Request(
        "POST",
        address(target.url),
        content=dumps(body),
        headers={**headers, "Content-Type": "application/json", **IDENTITY},
    )
    response = await http.send(request, stream=True)
    try:
        content = await first_bytes(response, MAX_BODY_BYTES)
    finally:
        await response.aclose()
    if not response.is_success:
        raise UpstreamError(from_response(response.status_code, response.headers, content))
    try:
        answer = loads_bounded(content, MAX_NUMBERS)
    except (ValueError, RecursionError) as error:
        raise failed("unreadable", why="not JSON") from error
    if not isinstance(answer, Mapping):
        raise failed("unreadable", why="not a JSON object")
    return answer


def _usage(answer: Mapping[str, Any]) -> Usage:
    usage = answer.get("usage")
    if not isinstance(usage, Mapping):
        return Usage()
    sent = count(usage.get("prompt_tokens"))
    sent = count(usage.get("total_tokens")) if sent is None else sent
    return Usage(sent, None, amount(usage.get("cost")), cached_tokens(answer))


def parse_vectors(answer: Mapping[str, Any], expected: int) -> list[Vector] | None:
    """The vectors in the order of the texts; None unless each text has one and all have the same
    size."""
    rows = answer.get("data")
    if not isinstance(rows, list) or len(rows) != expected:
        return None
    found: dict[int, Vector] = {}
    for place, row in enumerate(rows):
        index = row.get("index", place) if isinstance(row, Mapping) else None
        vector = unit(row.get("embedding")) if isinstance(row, Mapping) else None
        if vector is None or isinstance(index, bool) or not isinstance(index, int):
            return None
        found[index] = vector
    if sorted(found) != list(range(expected)) or len({len(one) for one in found.values()}) != 1:
        return None
    return [found[index] for index in range(expected)]


def unit(value: object) -> Vector | None:
    """A list of numbers as a vector of length 1; None for anything else."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_DIMENSIONS:
        return None
    if not all(type(number) in (int, float) and abs(number) < 1e6 for number in value):
        return None
    length = math.hypot(*value)
    if length < LEAST_LENGTH:
        return None
    return [round(number / length, DIGITS) for number in value]
