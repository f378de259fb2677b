"""Limits how many requests use a scarce resource at once; the others wait for a bounded time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

from edge.errors import ApiError

T = TypeVar("T")


class Bounded:
    """A semaphore with `at_once` places and a bounded wait.

    If `each` is given, one person holds at most that many places. Raises `ApiError` 503 after
    waiting `wait_seconds` for a place. Belongs to one event loop.
    """

    def __init__(self, at_once: int, *, wait_seconds: float, each: int | None = None) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._wait_seconds = wait_seconds
        self._each = each
        self._own: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()
        """The places of each person who holds one or waits for one."""

    @asynccontextmanager
    async def place(self, whose: Hashable = None) -> AsyncIterator[None]:
        """Hold one of the places; `whose` identifies the person. Raises `ApiError` 503 if none
        becomes free in time."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._wait_seconds):
                    if self._each is not None:
                        await held.enter_async_context(self._of(whose, self._each))
                    await held.enter_async_context(self._free)
            except TimeoutError as error:
                raise busy() from error
            yield

    def _of(self, whose: Hashable, each: int) -> asyncio.Semaphore:
        return self._own.setdefault(whose, asyncio.Semaphore(each))

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
