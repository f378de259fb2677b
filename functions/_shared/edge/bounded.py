"""Work and memory that an instance has little of: so many at once, the others wait, for a while."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from edge.errors import ApiError

T = TypeVar("T")


class Bounded:
    """At most `at_once` places; `ApiError` 503 for whoever waits for one longer than
    `wait_seconds`. Belongs to one event loop."""

    def __init__(self, at_once: int, *, wait_seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._wait_seconds = wait_seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Have one of the places."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise busy() from error
        try:
            yield
        finally:
            self._free.release()

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """The function's result; it runs in a thread, in one of the places."""
        async with self.place():
            return await _to_its_end(function, *arguments)


async def _to_its_end(function: Callable[..., T], *arguments: object) -> T:
    """A thread cannot be stopped: whoever is cancelled waits for it, so that its place is taken
    for as long as it works."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def busy() -> ApiError:
    """What a caller hears where too much of the kind is going on."""
    return ApiError(
        503, "busy", "The service is busy right now. Please try again in a moment.", retry_after=5
    )
