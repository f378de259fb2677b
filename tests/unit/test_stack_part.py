"""Whether a part of the local stack is well."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from dev.stack.part import Part

Answer = Callable[[], httpx.Response]


def well() -> httpx.Response:
    return httpx.Response(200)


def overloaded() -> httpx.Response:
    return httpx.Response(503)


def cut_off() -> httpx.Response:
    raise httpx.RemoteProtocolError("Server disconnected without sending a response.")


def answers(log: Path, *given: Answer, seconds: float = 10) -> bool:
    """Whether a part that gives these answers, the last one again and again, answers in time."""
    left = list(given)

    async def answer(_: httpx.Request) -> httpx.Response:
        return left.pop(0)() if len(left) > 1 else left[0]()

    async def ask() -> bool:
        part = Part("functions", [], {}, 1, "PORT", "/", log, essential=True)
        sleeping = "import time; time.sleep(60)"
        part.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", sleeping, start_new_session=True
        )
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            try:
                return await part.answers(client, seconds)
            finally:
                await part.stop()

    return asyncio.run(ask())


@pytest.mark.parametrize("trouble", [overloaded, cut_off])
def test_part_that_fails_once_is_well(tmp_path: Path, trouble: Answer) -> None:
    assert answers(tmp_path / "log", trouble, well)


@pytest.mark.parametrize("trouble", [overloaded, cut_off])
def test_part_that_goes_on_failing_is_not(tmp_path: Path, trouble: Answer) -> None:
    assert not answers(tmp_path / "log", trouble, seconds=0.3)
