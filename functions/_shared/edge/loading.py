"""Imports modules after the cold start."""

import asyncio
import gc
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


async def load(imported: Callable[[], T]) -> T:
    """Run a function that imports modules in a thread, so that other requests are answered
    meanwhile, and return its result."""
    return await asyncio.to_thread(_without_collections, imported)


class Later(Generic[T]):
    """What a function imports, on first use, in a thread."""

    def __init__(self, imported: Callable[[], T]) -> None:
        self._imported = imported
        self._found: T | None = None

    async def get(self) -> T:
        """Import it, or return it if it was imported before.

        Python imports a module once, so the threads of two first uses wait for each other.
        """
        if self._found is None:
            self._found = await load(self._imported)
        return self._found


def _without_collections(imported: Callable[[], T]) -> T:
    """Imported modules are never freed, so the collector need not scan them, now or later."""
    gc.disable()
    try:
        return imported()
    finally:
        gc.freeze()
        gc.enable()
