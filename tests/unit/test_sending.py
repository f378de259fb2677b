"""A response is sent as fast as its client reads, and aborted if it stops reading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Message

from roleplay_chat import sending
from roleplay_chat.sending import PIECE_BYTES, EventStream, InPieces


class Client:
    """A client that reads this many messages of a response and then stops."""

    def __init__(self, takes: int = 10_000) -> None:
        self.got: list[Message] = []
        self._takes = takes

    async def send(self, message: Message) -> None:
        if len(self.got) >= self._takes:
            await asyncio.get_running_loop().create_future()
        self.got.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.got)


async def _nothing() -> Any:
    raise AssertionError("nobody listens")


def answered(response: Response, client: Client) -> None:
    asyncio.run(response({"type": "http"}, _nothing, client.send))


async def _lines(number: int) -> AsyncIterator[str]:
    for _ in range(number):
        yield "data: a\n\n"


@pytest.mark.parametrize("size", [2, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 1_000_000])
def test_large_answer_comes_in_pieces(size: int) -> None:
    client, body = Client(), bytes(size)
    answered(InPieces(body, 10), client)
    start, *pieces = client.got
    assert dict(start["headers"])[b"content-length"] == str(size).encode()
    assert client.body == body
    assert all(len(piece["body"]) <= PIECE_BYTES for piece in pieces)
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]


@pytest.mark.parametrize("takes", [0, 1, 3])
def test_client_that_takes_nothing_more_is_given_up(takes: int) -> None:
    client = Client(takes)
    answered(InPieces(bytes(1_000_000), 0.01), client)
    assert len(client.got) == takes
    client = Client(takes)
    answered(EventStream(_lines(10), 0.01), client)
    assert len(client.got) == takes


def test_client_that_takes_it_slowly_has_so_much_time_for_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "LARGE_ANSWER_SECONDS", 0.01)
    client = Client(2)
    answered(InPieces(bytes(1_000_000), 60), client)
    assert len(client.got) == 2


def test_stream_may_be_silent_for_longer_than_a_client() -> None:
    async def slow() -> AsyncIterator[str]:
        yield "data: a\n\n"
        # With a limit of no time at all, each round of the loop is a check.
        for _ in range(10):
            await asyncio.sleep(0)
        yield "data: b\n\n"

    client = Client()
    answered(EventStream(slow(), 0), client)
    assert client.body == b"data: a\n\ndata: b\n\n"


def test_fault_of_a_stream_stays_one() -> None:
    async def broken() -> AsyncIterator[str]:
        yield "data: a\n\n"
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        answered(EventStream(broken(), 10), Client())
