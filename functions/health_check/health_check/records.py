"""Stores the workers' health records, many with one call."""

import asyncio
from contextlib import suppress
from typing import Any

from edge.clients import Clients
from edge.worker_health import WorkerHealth

PAUSE_SECONDS = 1.0
"""The least time between two calls. Each rewrites the row of settings, which every turn reads."""
LAST_SECONDS = 3.0
"""How long the last calls of a run may take."""


class Records:
    """The health records of one run.

    The first one is stored at once. Those that come during the pause after a call are stored
    together, so the number of calls does not grow with the number of workers.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._waiting: dict[str, Any] = {}
        self._next: asyncio.Task[None] | None = None
        """Will store what is waiting."""
        self._calls: set[asyncio.Task[None]] = set()
        self._free_at = 0.0
        self._is_over = asyncio.Event()

    async def store(self, worker: str, record: WorkerHealth) -> None:
        """Store a worker's record. Raises `ApiError` and `DatabaseError`, like all others whose
        records are in the same call.

        It is stored even if the step that waits here runs out of time.
        """
        self._waiting[worker] = record.to_json()
        if self._next is None:
            self._next = asyncio.create_task(self._store())
            self._calls.add(self._next)
            self._next.add_done_callback(self._end)
        await asyncio.shield(self._next)

    async def finish(self) -> None:
        """Store without a pause what is still waiting. Raises nothing."""
        self._is_over.set()
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=LAST_SECONDS)
            for call in late:
                call.cancel()

    async def _store(self) -> None:
        clock = asyncio.get_running_loop().time
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0, self._free_at - clock())):
                await self._is_over.wait()
        records, self._waiting, self._next = self._waiting, {}, None
        self._free_at = clock() + PAUSE_SECONDS
        await self._clients.rpc("record_worker_health", {"p_records": records})

    def _end(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # Nobody may be waiting for it any more.
