"""One bounded call to another server."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from edge.bodies import IDENTITY, first_bytes
from edge.json_text import loads, value_count_bound

MAX_BYTES = 1_000_000
MAX_VALUES = 20_000
"""The limits for a response. Values are counted by `value_count_bound`: a list of 100 models has
500 to 2,000."""
MAX_VALUES_AT_ONCE = 2_000
"""A response with more values is parsed in a thread: twenty workers may answer at once."""
SHOWN_BYTES = 1_000
"""The limit for a body that is not JSON; the rest is cut."""


@dataclass(frozen=True)
class Fetched:
    """A response: its status, and its body as JSON, as text if it is not JSON, None if empty."""

    status: int
    body: Any

    @classmethod
    def parse(
        cls,
        status: int,
        content: bytes,
        *,
        max_bytes: int = MAX_BYTES,
        max_values: int = MAX_VALUES,
    ) -> "Fetched":
        """A body beyond the limits becomes the text "too long"."""
        if len(content) > max_bytes or value_count_bound(content) > max_values:
            return cls(status, "too long")
        try:
            return cls(status, loads(content))
        except (ValueError, RecursionError):
            return cls(status, content[:SHOWN_BYTES].decode(errors="replace") or None)


async def fetch(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None = None,
) -> Fetched:
    """Send a request and parse the response. Raises `NETWORK_ERRORS`."""
    status, content = await fetch_bytes(http, method, url, headers=headers, body=body)
    if value_count_bound(content) <= MAX_VALUES_AT_ONCE:
        return Fetched.parse(status, content)
    return await asyncio.to_thread(Fetched.parse, status, content)


async def fetch_bytes(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None = None,
    max_bytes: int = MAX_BYTES,
) -> tuple[int, bytes]:
    """Send a request and read the response: its status, and the bytes of its body, one more than
    `max_bytes` if it is longer. Raises `NETWORK_ERRORS`."""
    try:
        request = http.build_request(method, url, headers={**headers, **IDENTITY}, json=body)
    except httpx.InvalidURL as error:
        raise httpx.UnsupportedProtocol("not a URL") from error
    response = await http.send(request, stream=True)
    async with aclosing(response):
        return response.status_code, await first_bytes(response, max_bytes + 1)
