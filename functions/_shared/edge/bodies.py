"""Response bodies of upstreams, read in pieces and never beyond the reader's limit.

Servers are asked not to compress (`IDENTITY`). What they compress all the same is unpacked piece by
piece, for a few kilobytes may stand for gigabytes.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx

IDENTITY = {"Accept-Encoding": "identity"}
"""The header that asks for a body as it is."""
PIECE_BYTES = 16_384
"""The most that is unpacked at once."""


def pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body, unpacked, in pieces of at most `PIECE_BYTES`; close it with `aclosing`.

    Raises `NETWORK_ERRORS`, also for a compression that is unknown or damaged.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError(f"unsupported compression: {encoding[:20]!r}")
    return _unpacked(response)


async def first_bytes(response: httpx.Response, most: int) -> bytes:
    """The body, or as much of it as is worth reading: at most `most` bytes, unpacked."""
    body = bytearray()
    async with aclosing(pieces(response)) as parts:  # type: ignore[type-var]
        async for part in parts:
            body += part
            if len(body) >= most:
                break
    return bytes(body[:most])


async def _unpacked(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its first bytes say
    async with aclosing(response.aiter_raw()) as parts:  # type: ignore[type-var]
        async for part in parts:
            while part and not unpacking.eof:
                try:
                    piece = unpacking.decompress(part, PIECE_BYTES)
                except zlib.error as error:
                    raise httpx.DecodingError("damaged: cannot be decompressed") from error
                part = unpacking.unconsumed_tail
                if piece:
                    yield piece
                    await asyncio.sleep(0)  # one part from the network may be a thousand pieces
