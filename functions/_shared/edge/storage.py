"""The part of Supabase Storage's HTTP API that we need.

Plain requests: importing the library for Storage takes 0.16 seconds.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from edge.clients import NETWORK_ERRORS, Clients
from edge.json_text import loads_bounded

PORTRAITS = "character-portraits"
"""The bucket for pictures of characters."""
MAX_BYTES = 4 * 2**20
"""The limit for a response. The bucket's own limit for an object is half of it."""
_TIMEOUT = httpx.Timeout(15, connect=5)


class StorageError(Exception):
    """A request to Storage failed. The message has only the status and Storage's code."""


async def upload(clients: Clients, token: str, path: str, picture: bytes) -> None:
    """Store a new WebP picture with a person's token. Raises `StorageError`."""
    headers = {
        "Content-Type": "image/webp",
        # A path is written only once.
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Upsert": "false",
    }
    where = f"object/{PORTRAITS}/{path}"
    await _call(clients, "POST", where, token=token, headers=headers, content=picture)


async def download(clients: Clients, token: str, path: str) -> bytes:
    """The bytes of an object that a person may read. Raises `StorageError`."""
    return await _call(clients, "GET", f"object/{PORTRAITS}/{path}", token=token)


async def remove(clients: Clients, paths: list[str]) -> None:
    """Remove objects with the secret key; those that do not exist count as removed. Raises
    `StorageError`."""
    await _call(clients, "DELETE", f"object/{PORTRAITS}", json={"prefixes": paths})


async def _call(
    clients: Clients,
    method: str,
    path: str,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    **body: Any,
) -> bytes:
    """The body of the response, when the status is 200."""
    sent = {**clients.supabase_headers(token), **(headers or {})}
    url = clients.supabase_url(f"storage/v1/{path}")
    try:
        async with clients.supabase_http().stream(
            method, url, headers=sent, timeout=_TIMEOUT, **body
        ) as response:
            received = await _read(response)
    except NETWORK_ERRORS as error:
        raise StorageError(type(error).__name__) from error
    if response.status_code != httpx.codes.OK:
        raise StorageError(f"HTTP {response.status_code} {_code(received)}".rstrip())
    return received


async def _read(response: httpx.Response) -> bytes:
    received = bytearray()
    async for piece in response.aiter_bytes():
        received += piece
        if len(received) > MAX_BYTES:
            raise StorageError("the response is too large")
    return bytes(received)


def _code(body: bytes) -> str:
    """Storage's own status and code: the HTTP status is 400 for most errors."""
    try:
        error = loads_bounded(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(error, dict):
        return ""
    parts = (error.get("statusCode"), error.get("error"))
    return " ".join(str(part)[:40] for part in parts if isinstance(part, str | int))
