"""Reads upstream response bodies in pieces, never beyond the caller's limit.

Requests ask servers not to compress (`IDENTITY`). If they do, the body is decompressed piece by
piece, because a few kilobytes can expand to gigabytes.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx

IDENTITY = {"Accept-Encoding": "identity"}
"""Asks for an uncompressed body."""
PIECE_BYTES = 16_384
"""The most that is decompressed at once."""
MAX_ERROR_BYTES = 65_536
"""The limit for an error's body. A sentence and a few codes take a thousand bytes; pages are not
read whole."""


def pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    """The decompressed body in pieces; close it with `aclosing`.

    Raises `NETWORK_ERRORS`, also when the compression is unknown or the data is corrupt.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        if response.is_stream_consumed or not isinstance(response.stream, httpx.AsyncByteStream):
            return response.aiter_bytes()
        # Not `aiter_raw`, which would pass each piece through two more generators.
        return aiter(response.stream)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError(f"unsupported compression: {encoding[:20]!r}")
    return _unpacked(response)


async def first_bytes(response: httpx.Response, max_bytes: int) -> bytes:
    """At most the first `max_bytes` bytes of the decompressed body, and of an error at most
    `MAX_ERROR_BYTES`."""
    if not response.is_success:
        max_bytes = min(max_bytes, MAX_ERROR_BYTES)
    body = bytearray()
    async with aclosing(pieces(response)) as parts:  # type: ignore[type-var]
        async for part in parts:
            body += part
            if len(body) >= max_bytes:
                break
    return bytes(body[:max_bytes])


async def _unpacked(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # detects gzip or zlib by the header
    async with aclosing(response.aiter_raw()) as parts:  # type: ignore[type-var]
        async for part in parts:
            while part and not unpacking.eof:
                try:
                    piece = unpacking.decompress(part, PIECE_BYTES)
                except zlib.error as error:
                    raise httpx.DecodingError("corrupt compressed data") from error
                part = unpacking.unconsumed_tail
                if piece:
                    yield piece
                    await asyncio.sleep(0)  # One network read may expand to a thousand pieces.
