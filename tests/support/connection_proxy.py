"""A TCP proxy between a browser and a server whose connections a test can cut."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.support.waiting import listener_url, listening_socket

RESET = struct.pack("ii", 1, 0)


class ConnectionProxy:
    """Forwards bytes between its own `url` and a server, until it is cut."""

    def __init__(self, url: str, listener: socket.socket) -> None:
        self.url = listener_url(listener)
        self._listener = listener
        self._server = urlsplit(url)
        self._dead = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._portal: BlockingPortal | None = None

    def cut(self, *, dead: bool = False) -> None:
        """Resets all connections. With `dead`, new ones are reset as well until `mend`."""
        assert self._portal
        self._dead = dead
        self._portal.call(self._reset_all)

    def mend(self) -> None:
        """Accepts new connections again."""
        self._dead = False

    def _reset_all(self) -> None:
        for writer in self._ends:
            reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._dead:
            reset(writer)
            return
        host, port = self._server.hostname, self._server.port
        there, back = await asyncio.open_connection(host, port)
        ends = {writer, back}
        self._ends |= ends
        try:
            await asyncio.gather(_pass(reader, back), _pass(there, writer))
        finally:
            self._ends -= ends
            for end in ends:
                end.close()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, sock=self._listener)
        try:
            yield
        finally:
            server.close()
            self._reset_all()
            await asyncio.gather(*self._tasks)
            await server.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with a TCP reset, unless the other side has closed it."""
    if writer.transport.is_closing():
        return
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@contextmanager
def running_proxy(url: str) -> Iterator[ConnectionProxy]:
    """A proxy of the server at `url`, in its own thread."""
    proxy = ConnectionProxy(url, listening_socket())
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(proxy._serving()):
        proxy._portal = portal
        yield proxy
