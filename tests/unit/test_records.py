"""Health records are stored in groups, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from edge.clients import Clients
from edge.errors import ApiError, database_unavailable
from edge.worker_health import WorkerHealth
from health_check import records
from health_check.records import Records

RECORD = WorkerHealth(
    is_healthy=True, checked_at=datetime(2026, 5, 3, tzinfo=UTC), response_ms=1, error=None, url="u"
)


class Database:
    """What was stored by each call. `answer` is awaited by each."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.answer: Callable[[], Awaitable[None]] | None = None

    async def rpc(self, function: str, parameters: Mapping[str, Any]) -> None:
        assert function == "record_worker_health"
        self.calls.append(sorted(parameters["p_records"]))
        if self.answer:
            await self.answer()


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture(autouse=True)
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause that only the end of the run ends."""
    monkeypatch.setattr(records, "PAUSE_SECONDS", 3600)


def run(database: Database, use: Callable[[Records], Awaitable[None]]) -> None:
    asyncio.run(_use(database, use))


async def _use(database: Database, use: Callable[[Records], Awaitable[None]]) -> None:
    await use(Records(cast(Clients, database)))


async def stored(kept: Records, *workers: str) -> list[asyncio.Task[None]]:
    """Begins to store a record of each."""
    tasks = [asyncio.create_task(kept.store(worker, RECORD)) for worker in workers]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def test_first_one_does_not_wait_for_others(database: Database) -> None:
    async def use(kept: Records) -> None:
        await kept.store("a", RECORD)

    run(database, use)
    assert database.calls == [["a"]]


def test_those_that_come_during_the_pause_are_stored_together(database: Database) -> None:
    async def use(kept: Records) -> None:
        await kept.store("first", RECORD)
        waiting = [task for name in "abc" for task in await stored(kept, name)]
        assert [task.done() for task in waiting] == [False] * 3
        await kept.finish()
        await asyncio.gather(*waiting)

    run(database, use)
    assert database.calls == [["first"], ["a", "b", "c"]]


def test_pause_has_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PAUSE_SECONDS", 0.01)

    async def use(kept: Records) -> None:
        for name in "abc":
            await kept.store(name, RECORD)

    run(database, use)
    assert database.calls == [["a"], ["b"], ["c"]]


def test_those_that_come_while_others_are_stored_are_not_lost(database: Database) -> None:
    async def use(kept: Records) -> None:
        gate = asyncio.Event()
        database.answer = lambda: cast(Awaitable[None], gate.wait())
        (first,) = await stored(kept, "a")
        (second,) = await stored(kept, "b")
        gate.set()
        await kept.finish()
        await asyncio.gather(first, second)

    run(database, use)
    assert database.calls == [["a"], ["b"]]


def test_step_that_is_out_of_time_leaves_its_record(database: Database) -> None:
    async def use(kept: Records) -> None:
        await kept.store("first", RECORD)
        (late,) = await stored(kept, "late")
        late.cancel()
        await kept.finish()

    run(database, use)
    assert database.calls == [["first"], ["late"]]


def test_error_of_a_call_is_that_of_each_record_in_it(database: Database) -> None:
    async def fail() -> None:
        raise database_unavailable("08006")

    async def use(kept: Records) -> None:
        database.answer = fail
        both = await stored(kept, "a", "b")
        for task in both:
            with pytest.raises(ApiError):
                await task
        database.answer = None
        waiting = await stored(kept, "c")
        await kept.finish()
        await asyncio.gather(*waiting)

    run(database, use)
    assert database.calls == [["a", "b"], ["c"]]


def test_call_that_never_ends_does_not_hold_the_run(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LAST_SECONDS", 0.01)

    async def use(kept: Records) -> None:
        database.answer = lambda: cast(Awaitable[None], asyncio.Event().wait())
        (stuck,) = await stored(kept, "a")
        await kept.finish()
        with pytest.raises(asyncio.CancelledError):
            await stuck

    run(database, use)
    assert database.calls == [["a"]]
