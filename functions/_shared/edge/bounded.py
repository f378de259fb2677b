"""Limits how many requests use a scarce resource at once; the others wait for a bounded time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from edge.errors import ApiError

T = TypeVar("T")


class Bounded:
    """A semaphore with `at_once` places and a bounded wait.

    Raises `ApiError` 503 after waiting `wait_seconds` for a place. Belongs to one event loop.
    """

    def __init__(self, at_once: int, *, wait_seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._wait_seconds = wait_seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one of the places. Raises `ApiError` 503 if none becomes free in time."""
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
        """Run a function in a thread while holding a place, and return its result."""
        async with self.place():
            return await _run_to_completion(function, *arguments)


async def _run_to_completion(function: Callable[..., T], *arguments: object) -> T:
    """Run a function in a thread. A thread cannot be stopped, so a cancelled caller waits for it:
    otherwise its place would be free while it still works."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def busy() -> ApiError:
    """The error when no place became free in time."""
    return ApiError(
        503, "busy", "The service is busy right now. Please try again in a moment.", retry_after=5
    )
