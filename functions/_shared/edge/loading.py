"""Imports modules after the cold start."""

import asyncio
import gc
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def load(imported: Callable[[], T]) -> T:
    """Run a function that imports modules in a thread, so that other requests are answered
    meanwhile, and return its result."""
    return await asyncio.to_thread(_without_collections, imported)


def _without_collections(imported: Callable[[], T]) -> T:
    """Imported modules are never freed, so the collector need not scan them, now or later."""
    gc.disable()
    try:
        return imported()
    finally:
        gc.freeze()
        gc.enable()
