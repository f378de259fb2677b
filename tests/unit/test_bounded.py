"""Scarce slots of an instance are limited, and always released."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edge.bounded import Bounded
from edge.errors import ApiError


def test_others_wait_for_a_place() -> None:
    async def scenario() -> list[str]:
        bounded, order, free = Bounded(1, wait_seconds=10), list[str](), asyncio.Event()

        async def hold(name: str) -> None:
            async with bounded.place():
                order.append(name)
                await free.wait()

        holders = [asyncio.create_task(hold(name)) for name in "ab"]
        await asyncio.sleep(0)
        assert order == ["a"]
        free.set()
        await asyncio.gather(*holders)
        return order

    assert asyncio.run(scenario()) == ["a", "b"]


def test_one_person_takes_no_more_than_their_share() -> None:
    async def scenario() -> None:
        bounded = Bounded(3, wait_seconds=0.01, each=2)
        async with bounded.place("ann"), bounded.place("ann"):
            with pytest.raises(ApiError):
                async with bounded.place("ann"):
                    pass
            async with bounded.place("bob"):
                # Who waits in vain takes nothing meanwhile.
                with pytest.raises(ApiError):
                    async with bounded.place("eve"):
                        pass
            async with bounded.place("eve"):
                pass
        async with bounded.place("ann"), bounded.place("ann"):
            pass
        await asyncio.sleep(0)  # Until then, the event loop keeps the error of who waited in vain.
        assert not bounded._own

    asyncio.run(scenario())


def test_shares_alone_may_be_limited() -> None:
    async def scenario() -> None:
        bounded = Bounded(None, wait_seconds=0.01, each=1)
        async with bounded.place("ann"), bounded.place("bob"):
            with pytest.raises(ApiError):
                async with bounded.place("bob"):
                    pass

    asyncio.run(scenario())


def test_who_waits_too_long_is_told_when_to_come_back() -> None:
    async def scenario() -> ApiError:
        bounded = Bounded(1, wait_seconds=0.01)
        async with bounded.place():
            with pytest.raises(ApiError) as caught:
                await bounded.run(len, "abc")
        assert await bounded.run(len, "abc") == 3
        return caught.value

    error = asyncio.run(scenario())
    assert (error.status, error.code, error.retry_after) == (503, "busy", 5)


def test_failure_gives_the_place_back() -> None:
    async def scenario() -> None:
        bounded = Bounded(1, wait_seconds=0.01)
        for _ in range(3):
            with pytest.raises(ValueError, match="invalid literal"):
                await bounded.run(int, "x")

    asyncio.run(scenario())


def test_work_of_somebody_who_went_away_keeps_its_place_until_it_is_done() -> None:
    async def scenario() -> None:
        bounded, goes_on = Bounded(1, wait_seconds=0.01), threading.Event()
        working = asyncio.create_task(bounded.run(goes_on.wait, 10))
        await asyncio.sleep(0)
        working.cancel()
        with pytest.raises(ApiError):
            await bounded.run(len, "abc")
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert await bounded.run(len, "abc") == 3

    asyncio.run(scenario())
