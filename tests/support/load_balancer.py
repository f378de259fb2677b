"""A load balancer in front of the instances of a function, like the platform's."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Protocol
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal

from tests.support.connection_proxy import reset
from tests.support.waiting import listener_url, listening_socket


class Instance(Protocol):
    """An instance of the function. Its address changes when it is restarted."""

    @property
    def url(self) -> str: ...


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LoadBalancer:
    """Sends each request to the next instance, and a repeated request to another one than before.

    Instances that accept no connection are skipped. Bytes are forwarded as they arrive, both ways.
    A connection that breaks on one side is broken on the other.
    """

    def __init__(self, instances: Sequence[Instance], listener: socket.socket) -> None:
        self.url = listener_url(listener)
        self.requests: Counter[int] = Counter()  # by index of the instance
        self.moved = 0  # repeated requests that went to another instance
        self._instances = instances
        self._listener = listener
        self._next = 0
        self._last: dict[str, int] = {}  # by client_message_id
        self._tasks: set[asyncio.Task[None]] = set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head, body = await _request(reader)
                await self._serve(head, body, (reader, writer))
        finally:
            writer.close()

    async def _serve(self, head: bytes, body: bytes, client: Streams) -> None:
        reader, writer = client
        chosen = await self._connect(_client_message_id(body))
        if not chosen:
            reset(writer)
            return
        there, back = chosen
        back.write(head + body)
        asking = asyncio.create_task(_pass(reader, back))
        try:
            await _pass(there, writer)
        finally:
            asking.cancel()
            back.close()

    async def _connect(self, client_message_id: str | None) -> Streams | None:
        """A connection to the next instance; None if no instance accepts one."""
        count = len(self._instances)
        before = self._last.get(client_message_id) if client_message_id else None
        first = self._next if before is None else before + 1
        if before is None:
            self._next = (self._next + 1) % count
        for place in ((first + step) % count for step in range(count)):
            if client_message_id:
                self._last[client_message_id] = place
            address = urlsplit(self._instances[place].url)
            with suppress(OSError):
                streams = await asyncio.open_connection(address.hostname, address.port)
                self.requests[place] += 1
                self.moved += before not in (None, place)
                return streams
        return None

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, sock=self._listener)
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()


async def _request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of a request. The head requests closing the connection after the response."""
    lines = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n").split(b"\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
    body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*kept, b"Connection: close", b"", b""]), body


def _client_message_id(body: bytes) -> str | None:
    """The client_message_id, which a request and its repetitions share."""
    if not body:
        return None
    said = json.loads(body)
    return str(said["client_message_id"]) if said.get("client_message_id") else None


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except OSError:
        reset(sink)


@contextmanager
def balanced(instances: Sequence[Instance]) -> Iterator[LoadBalancer]:
    """A load balancer in front of these instances, in its own thread."""
    balancer = LoadBalancer(instances, listening_socket())
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(balancer._serving()),
    ):
        yield balancer
