"""Imports what is needed later than a cold start."""

import asyncio
import gc
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def load(imported: Callable[[], T]) -> T:
    """The result of a function that imports modules, in a thread, so that others are answered
    meanwhile."""
    return await asyncio.to_thread(_without_collections, imported)


def _without_collections(imported: Callable[[], T]) -> T:
    """Imported modules are never freed, so the collector need not scan them, now or later."""
    gc.disable()
    try:
        return imported()
    finally:
        gc.freeze()
        gc.enable()
