"""Sends events and large answers as the client reads them, and gives up on a client that does not
read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from logging import getLogger
from types import TracebackType

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

_log = getLogger("roleplay_chat")

LARGE_ANSWER_SECONDS = 120
"""The time limit for a client to receive a large answer."""
PIECE_BYTES = 65_536
"""The bytes sent at once, because the server buffers whatever a client has not received yet."""


_STREAM_HEADERS = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"content-type", b"text/event-stream; charset=utf-8"),
)


class EventStream(Response):
    """Sends server-sent events."""

    media_type = "text/event-stream"

    def __init__(
        self, chunks: AsyncIterator[str], send_seconds: float, *, ends_when_left: bool = False
    ) -> None:
        """With `ends_when_left`, ends as soon as the client leaves. This takes another task, and
        only matters where a reader has a place: without it, the stream ends with the turn, and the
        server drops data for a client that has left."""
        # Not the base class's constructor, which would set the length of an empty body.
        self.status_code, self.background, self.body = 200, None, b""
        self.raw_headers = list(_STREAM_HEADERS)
        self._chunks = chunks
        self._send_seconds = send_seconds
        self._ends_when_left = ends_when_left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = _SendTimeout(send, self._send_seconds)
        watcher = None
        if self._ends_when_left:
            watcher = asyncio.create_task(call_when_left(receive, sending.give_up))
        try:
            async with sending as timed_send:
                start = {"status": self.status_code, "headers": self.raw_headers}
                await timed_send({"type": "http.response.start"} | start)
                async for chunk in self._chunks:
                    piece = {"body": chunk.encode(), "more_body": True}
                    await timed_send({"type": "http.response.body"} | piece)
                await timed_send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if watcher:
                watcher.cancel()


async def call_when_left(receive: Receive, function: Callable[[], None]) -> None:
    """Call the function when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    function()


class InPieces(Response):
    """A JSON answer that may be large, sent as the client reads it."""

    media_type = "application/json"

    def __init__(self, body: bytes, send_seconds: float) -> None:
        super().__init__(body)
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seconds = self._send_seconds
        async with _SendTimeout(send, seconds, max_seconds=LARGE_ANSWER_SECONDS) as timed_send:
            start = {"status": self.status_code, "headers": self.raw_headers}
            await timed_send({"type": "http.response.start"} | start)
            body = memoryview(self.body)
            for at in range(0, len(body), PIECE_BYTES):
                end = at + PIECE_BYTES
                piece = {"body": bytes(body[at:end]), "more_body": end < len(body)}
                await timed_send({"type": "http.response.body"} | piece)


class _SendTimeout:
    """Sends a response, and gives up when the client has received nothing for `seconds`.

    One timer per response is cheaper than one per piece, so it may take up to twice as long.
    """

    def __init__(self, send: Send, seconds: float, *, max_seconds: float | None = None) -> None:
        self._send = send
        self._seconds = seconds
        self._since: float | None = None
        self._limit = asyncio.timeout(max_seconds)

    async def __aenter__(self) -> Send:
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._seconds, self._check)
        await self._limit.__aenter__()
        return self._timed_send

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """End quietly after a timeout. The server closes the connection, since the body is cut."""
        self._timer.cancel()
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            _log.info("client stopped receiving")
            return True
        return False

    def give_up(self) -> None:
        """End now."""
        self._limit.reschedule(self._loop.time())

    async def _timed_send(self, message: Message) -> None:
        self._since = self._loop.time()
        await self._send(message)
        self._since = None

    def _check(self) -> None:
        now = self._loop.time()
        if self._since is not None and now - self._since >= self._seconds:
            self.give_up()
        else:
            self._timer = self._loop.call_later(self._seconds, self._check)
