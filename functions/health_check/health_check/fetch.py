"""One bounded call to another server."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from edge.bodies import IDENTITY, first_bytes
from edge.json_text import loads, value_count_bound

MAX_BYTES = 1_000_000
MAX_VALUES = 500_000
"""The limit for a body, counted by `value_count_bound`. OpenRouter's catalog has 100,000."""


@dataclass(frozen=True)
class Fetched:
    """A response: its status, and its body as JSON, as text if it is not JSON, None if empty."""

    status: int
    body: Any


async def fetch(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Fetched:
    """Send a request and read the response. Raises `NETWORK_ERRORS`.

    A body beyond `max_bytes` or `MAX_VALUES` becomes the text "too long".
    """
    try:
        request = http.build_request(method, url, headers={**headers, **IDENTITY}, json=body)
    except httpx.InvalidURL as error:
        raise httpx.UnsupportedProtocol("not a URL") from error
    response = await http.send(request, stream=True)
    async with aclosing(response):
        content = await first_bytes(response, max_bytes + 1)
    if len(content) > max_bytes or value_count_bound(content) > MAX_VALUES:
        return Fetched(response.status_code, "too long")
    try:
        parsed = loads(content)
    except (ValueError, RecursionError):
        parsed = content.decode(errors="replace") or None
    return Fetched(response.status_code, parsed)
