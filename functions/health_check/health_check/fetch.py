"""One bounded call to somebody else's server."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from edge.bodies import IDENTITY, first_bytes
from edge.json_text import loads, most_values

MAX_BYTES = 1_000_000
MAX_VALUES = 500_000
"""In a body, counted as `most_values` does: each becomes an object. The catalog has 100,000."""


@dataclass(frozen=True)
class Fetched:
    """The status, and the body as JSON; as text when it is not JSON, None when it is empty."""

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
    """Call and read the answer. Raises `NETWORK_ERRORS`; of a longer body it is no JSON."""
    try:
        request = http.build_request(method, url, headers={**headers, **IDENTITY}, json=body)
    except httpx.InvalidURL as error:
        raise httpx.UnsupportedProtocol("not a URL") from error
    response = await http.send(request, stream=True)
    async with aclosing(response):
        content = await first_bytes(response, max_bytes + 1)
    if len(content) > max_bytes or most_values(content) > MAX_VALUES:
        return Fetched(response.status_code, "too long")
    try:
        parsed = loads(content)
    except (ValueError, RecursionError):
        parsed = content.decode(errors="replace") or None
    return Fetched(response.status_code, parsed)
