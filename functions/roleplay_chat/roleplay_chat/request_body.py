"""Reads the body of a request, within limits of size, time and memory."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from starlette.requests import Request

from edge.bounded import Bounded
from edge.clients import Clients
from edge.errors import ApiError
from edge.json_text import value_count_bound
from roleplay_chat.api import parse_body
from roleplay_chat.settings import Settings

LARGE_AT_ONCE = 4
"""How many requests beyond MAX_BODY_BYTES, and separately how many exports, may run at once.
Each holds megabytes for as long as a slow client takes to send or receive it."""
LARGE_EACH = 2
"""How many of them one person may run, so that nobody can block all others."""
LARGE_WAIT_SECONDS = 10
MAX_VALUES = 120_000
"""The limit for a large request, counted by `value_count_bound`. Each value becomes an object of
about a hundred bytes. Cards with the largest books have half as many."""
MAX_NON_ASCII_BYTES = 4 * 2**20
"""The limit for a large request with non-ASCII text: with one emoji in it, Python stores each
character in four bytes. Larger requests carry files in base64; a card's text is half this size."""

_TOO_LARGE = {
    "import_card": "card_too_large",
    "import_chat": "chat_too_large",
    "set_portrait": "picture_too_large",
}
"""The actions with files, and the code of the error for one that is too large."""


def places_for_large() -> Bounded:
    """The places for large requests, or for large answers."""
    return Bounded(LARGE_AT_ONCE, wait_seconds=LARGE_WAIT_SECONDS, each=LARGE_EACH)


class BodyReader:
    """Reads bodies. Few of the large ones are in memory at once."""

    def __init__(self, clients: Clients, settings: Settings) -> None:
        self._clients = clients
        self._settings = settings
        self._large = places_for_large()

    async def read(self, request: Request, user_id: UUID, held: AsyncExitStack) -> dict[str, Any]:
        """Parse the request's body, whose bytes are freed when this returns. `held` keeps the place
        of a large one. Raises `ApiError`."""
        largest = max(self._settings.max_body_bytes, self._settings.max_card_bytes)
        body = await self._read(request, user_id, held, largest=largest)
        if len(body) <= self._settings.max_body_bytes:
            data = parse_body(body)
        else:
            # Looking through megabytes takes as long as parsing them.
            data = await self._clients.in_thread(_parse_large, body)
        _check_size(len(body), str(data.get("action")), self._settings)
        return data

    async def read_small(
        self, request: Request, user_id: UUID, held: AsyncExitStack
    ) -> dict[str, Any]:
        """Parse a body of ordinary size. Raises `ApiError`."""
        largest = self._settings.max_body_bytes
        return parse_body(await self._read(request, user_id, held, largest=largest))

    async def _read(
        self, request: Request, user_id: UUID, held: AsyncExitStack, *, largest: int
    ) -> bytearray:
        """Read the body. Raises `ApiError` if it is too large or too slow."""
        settings, loop = self._settings, asyncio.get_running_loop()
        small = settings.max_body_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > largest:
            raise _too_large("body_too_large", largest)
        body, is_large = bytearray(), False
        try:
            async with asyncio.timeout(settings.body_timeout_seconds) as limit:
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > largest:
                        raise _too_large("body_too_large", largest)
                    if len(body) > small and not is_large:
                        is_large = True
                        # Waiting for a place does not count against the client's time.
                        left = (limit.when() or 0) - loop.time()
                        limit.reschedule(None)
                        await held.enter_async_context(self._large.place(user_id))
                        limit.reschedule(loop.time() + left)
        except TimeoutError as error:
            raise _too_slow(settings.body_timeout_seconds) from error
        return body


def _parse_large(body: bytearray) -> dict[str, Any]:
    if len(body) > MAX_NON_ASCII_BYTES and _may_have_non_ascii(body):
        raise _too_large("card_too_large", MAX_NON_ASCII_BYTES)
    if value_count_bound(body) > MAX_VALUES:
        raise ApiError(413, "card_too_large", f"The card has more than {MAX_VALUES:,} values.")
    return parse_body(body)


def _may_have_non_ascii(body: bytearray) -> bool:
    return not body.isascii() or b"\\u" in body


def _check_size(size: int, action: str, settings: Settings) -> None:
    """Check the limit of the action, which is only known once the body is parsed."""
    if action in _TOO_LARGE:
        limit, code = settings.max_card_bytes, _TOO_LARGE[action]
    else:
        limit, code = settings.max_body_bytes, "body_too_large"
    if size > limit:
        raise _too_large(code, limit)


def _too_large(code: str, limit: int) -> ApiError:
    return ApiError(413, code, f"The request is too large: at most {limit:,} bytes.")


def _too_slow(seconds: float) -> ApiError:
    return ApiError(408, "body_too_slow", f"The request took longer than {seconds:g} s to arrive.")
