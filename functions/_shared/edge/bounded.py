"""Limits how many requests use a scarce resource at once; the others wait for a bounded time."""

import asyncio
from collections.abc import Callable, Hashable
from contextlib import AsyncExitStack
from typing import TypeVar
from weakref import WeakValueDictionary

from edge.errors import ApiError

T = TypeVar("T")


class Bounded:
    """A semaphore with `at_once` places and a bounded wait.

    If `each` is given, one person holds at most that many places. `at_once` None limits only
    these. Raises `ApiError` 503 after waiting `wait_seconds` for a place. Belongs to one event
    loop.
    """

    def __init__(
        self, at_once: int | None, *, wait_seconds: float, each: int | None = None
    ) -> None:
        self._free = None if at_once is None else asyncio.Semaphore(at_once)
        self._wait_seconds = wait_seconds
        self._each = each
        self._own: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()
        """The places of each person who holds one or waits for one."""

    def place(self, whose: Hashable = None) -> "_Place":
        """Hold one of the places; `whose` identifies the person. Raises `ApiError` 503 if none
        becomes free in time."""
        own = None if self._each is None else self._of(whose, self._each)
        return _Place([part for part in (own, self._free) if part], self._wait_seconds)

    def _of(self, whose: Hashable, each: int) -> asyncio.Semaphore:
        own = self._own.get(whose)
        if own is None:
            own = self._own[whose] = asyncio.Semaphore(each)
        return own

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function in a thread while holding a place, and return its result."""
        async with self.place():
            return await _run_to_completion(function, *arguments)


class _Place:
    """A place while it is held. Not a generator, and without a timer where nobody has to wait:
    every turn takes several."""

    __slots__ = ("_parts", "_wait_seconds")

    def __init__(self, parts: list[asyncio.Semaphore], wait_seconds: float) -> None:
        self._parts = parts
        """What it takes one of each of, in this order."""
        self._wait_seconds = wait_seconds

    async def __aenter__(self) -> None:
        if any(part.locked() for part in self._parts):
            await self._wait()
        else:
            for part in self._parts:
                await part.acquire()

    async def __aexit__(self, *exception: object) -> None:
        for part in reversed(self._parts):
            part.release()

    async def _wait(self) -> None:
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._wait_seconds):
                    for part in self._parts:
                        await held.enter_async_context(part)
            except TimeoutError:
                raise busy() from None
            held.pop_all()


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
