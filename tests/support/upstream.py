"""A scripted upstream on a real socket: OpenRouter, the chat worker, or any server like them.

>>> upstream.enqueue(error(429, {"error": {...}}), text("Hello."))  # in order, for any request
>>> upstream.enqueue(stall(), to="some/model:free")  # for this model only
>>> upstream.always(worker_healthy(), to="/health")  # for this path, every time

A request gets the next response queued for its model, for its path, or for anything; else the
standing response (`always`) for its model, its path, or anything. A request with neither gets a 500
and is listed in `unexpected`, which fails the test.

A response is an async function of an `Exchange`. answers.py has them, and tests can write others.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import h11
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.support.waiting import PATIENCE, listener_url, listening_socket

T = TypeVar("T")
JSON = dict[str, Any]
Headers = dict[str, str]


@dataclass
class Call:
    """A received request, and how it ended."""

    method: str
    path: str
    headers: Headers  # names in lower case
    body: bytes
    connection: int  # requests with the same number came over the same connection
    answered: bool = False
    closed_early: bool = False  # the client disconnected before the response was complete

    @property
    def json(self) -> Any:
        """The body as JSON, or {}."""
        return json.loads(self.body) if self.body else {}

    @property
    def model(self) -> str:
        """The model in the body, or ""."""
        with suppress(ValueError, AttributeError):
            return str(self.json.get("model", ""))
        return ""


@dataclass
class Exchange:
    """One request and its raw connection."""

    call: Call
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    streaming: bool = False  # the head of an event stream was sent
    keep_alive: bool = True
    early: bytearray = field(default_factory=bytearray)  # bytes that the client sent meanwhile

    async def send(self, data: bytes) -> None:
        """Sends exactly these bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, headers: Headers) -> None:
        """Sends the status line and the headers."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self.send(f"HTTP/1.1 {status} Scripted\r\n{lines}\r\n".encode())

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Sends a complete response."""
        await self.head(status, {**headers, "Content-Length": str(len(body))})
        await self.send(body)

    async def stream_head(self, status: int = 200, headers: Headers | None = None) -> None:
        """Starts a chunked event stream, once."""
        if self.streaming:
            return
        self.streaming = True
        event_stream = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        await self.head(status, {**event_stream, **(headers or {})})

    async def chunk(self, data: bytes) -> None:
        """Sends one chunk of a chunked body. Empty data ends the body."""
        await self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def reset(self) -> None:
        """Ends the connection with a TCP reset, as a crashed peer does."""
        self.keep_alive = False
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    def hang_up(self) -> None:
        """Closes the connection normally, even if the response is incomplete."""
        self.keep_alive = False

    async def client_closed(self) -> None:
        """Returns when the client has closed its side."""
        with suppress(ConnectionError):
            while data := await self.reader.read(65536):
                self.early += data


Answer = Callable[[Exchange], Awaitable[None]]


class Upstream:
    """A server at `url`. `calls` are the received requests, oldest first.

    The URL changes with every reset, so late requests of an earlier test are recognised by their
    path. They get a 500 and are not recorded.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._round = 0
        self.calls: list[Call] = []
        self.unexpected: list[Call] = []
        self.faults: list[Exception] = []  # exceptions raised by responses
        self.connections = 0  # open now, idle ones included
        self.in_progress = 0  # requests being answered now
        self._accepted = 0
        self._queues: dict[str, deque[Answer]] = defaultdict(deque)
        self._standing: dict[str, Answer] = {}
        self._playing: set[asyncio.Task[None]] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._portal: BlockingPortal | None = None
        self._changed = threading.Condition(threading.RLock())

    @property
    def url(self) -> str:
        """The address until the next reset."""
        return f"{self._host}/{self._round}"

    def enqueue(self, *answers: Answer, to: str = "") -> None:
        """Answers the next requests in order. `to` is a model, or the end of a path."""
        with self._changed:
            self._queues[to].extend(answers)

    def always(self, answer: Answer, to: str = "") -> None:
        """Answers all requests for which nothing is queued."""
        with self._changed:
            self._standing[to] = answer

    def wait_for(self, condition: Callable[[Upstream], T], seconds: float = PATIENCE) -> T:
        """Waits until the condition on this upstream is true and returns its value."""
        with self._changed:
            value = self._changed.wait_for(lambda: condition(self), seconds)
            if not value:
                seen = [f"{call.method} {call.path} {call.model}" for call in self.calls]
                raise TimeoutError(f"waited {seconds} s in vain; calls so far: {seen}")
            return value

    def models_called(self) -> list[str]:
        """The requested models, in order."""
        return [call.model for call in self.calls if call.model]

    def queued(self) -> int:
        """The number of queued responses that are unused."""
        return sum(len(queue) for queue in self._queues.values())

    def reset(self) -> None:
        """Ends running responses and forgets calls and scripts. Idle connections stay open."""
        assert self._portal
        with self._changed:
            self._round += 1
            self.calls.clear()
            self.unexpected.clear()
            self.faults.clear()
            self._queues.clear()
            self._standing.clear()
        self._portal.call(self._end_playing)

    async def _end_playing(self) -> None:
        for task in self._playing:
            task.cancel()
        if self._playing:
            await asyncio.wait(self._playing)

    def _accept(self, call: Call) -> Answer:
        prefix = f"/{self._round}/"
        if not call.path.startswith(prefix):
            return _unscripted
        call.path = call.path[len(prefix) - 1 :]
        self.calls.append(call)
        path = call.path.partition("?")[0]
        known = sorted({*self._queues, *self._standing}, key=len, reverse=True)
        paths = [key for key in known if key.startswith("/") and path.endswith(key)]
        keys = [call.model, *paths, ""] if call.model else [*paths, ""]
        for key in keys:
            if self._queues.get(key):
                return self._queues[key].popleft()
        for key in keys:
            if key in self._standing:
                return self._standing[key]
        self.unexpected.append(call)
        return _unscripted

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._handlers.add(task)
        with self._changed:
            self._accepted += 1
            connection = self._accepted
            self.connections += 1
        try:
            received = b""
            while request := await _read_request(reader, received, connection):
                exchange = Exchange(request[0], reader, writer)
                await self._answer(exchange)
                if not exchange.keep_alive:
                    break
                received = request[1] + bytes(exchange.early)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        except Exception as fault:
            self.faults.append(fault)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            with self._changed:
                self.connections -= 1
                self._changed.notify_all()
            self._handlers.discard(task)

    async def _answer(self, exchange: Exchange) -> None:
        with self._changed:
            answer = self._accept(exchange.call)
            self.in_progress += 1
            self._changed.notify_all()
        playing = asyncio.ensure_future(answer(exchange))
        watching = asyncio.ensure_future(exchange.client_closed())
        self._playing.add(playing)
        try:
            await asyncio.wait({playing, watching}, return_when=asyncio.FIRST_COMPLETED)
            gone = not playing.done() or isinstance(_failure(playing), ConnectionError)
            exchange.call.closed_early = gone
            exchange.call.answered = playing.done() and _failure(playing) is None
            exchange.keep_alive &= exchange.call.answered and not watching.done()
        finally:
            self._playing.discard(playing)
            for task in (playing, watching):
                task.cancel()
            await asyncio.wait({playing, watching})
            with self._changed:
                self.in_progress -= 1
                self._changed.notify_all()
        if not playing.cancelled() and (failure := playing.exception()):
            raise failure

    @asynccontextmanager
    async def _serving(self, listener: socket.socket) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, sock=listener)
        try:
            yield
        finally:
            server.close()
            for task in self._handlers:
                task.cancel()
            if self._handlers:
                await asyncio.wait(self._handlers)
            await server.wait_closed()


def _failure(task: asyncio.Future[None]) -> BaseException | None:
    if not task.done():
        return None
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def _unscripted(exchange: Exchange) -> None:
    await exchange.whole(500, {"Content-Type": "text/plain"}, b"no answer was scripted")


async def _read_request(
    reader: asyncio.StreamReader, received: bytes, number: int
) -> tuple[Call, bytes] | None:
    """The next request and the bytes after it; None if the client closed before."""
    connection = h11.Connection(h11.SERVER)
    if received:  # empty data would mean the end of the stream
        connection.receive_data(received)
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if not (data := await reader.read(65536)):
                return None
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            break
    assert request
    headers = {name.decode(): value.decode() for name, value in request.headers}
    call = Call(request.method.decode(), request.target.decode(), headers, body, number)
    return call, connection.trailing_data[0]


@contextmanager
def running_upstream() -> Iterator[Upstream]:
    """An upstream in its own thread."""
    listener = listening_socket()
    upstream = Upstream(listener_url(listener))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(upstream._serving(listener)),
    ):
        upstream._portal = portal
        yield upstream


@contextmanager
def never_accepting() -> Iterator[str]:
    """The URL of a host that never accepts a connection."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fill the queue of pending connections
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener_url(listener)


@contextmanager
def refusing() -> Iterator[str]:
    """The URL of a reserved port that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield listener_url(bound)
