"""Waiting on conditions instead of durations, and the sockets to wait for."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 90.0
"""Seconds that tests wait for what comes at once on an idle machine: a busy one is no failure."""


def wait_until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Polls until the condition is true and returns its value; TimeoutError names `what`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)
    return value


class Gate:
    """Where a scripted part waits until the test opens it.

    >>> gate = Gate()
    >>> upstream.enqueue(stream(["Hel", gate, "lo"]))
    >>> gate.wait_reached()  # "Hel" was sent
    >>> gate.open()
    """

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened: Future[None] = Future()

    async def passage(self) -> None:
        """Called by the scripted part: returns once the gate is open."""
        self._reached.set()
        await asyncio.shield(asyncio.wrap_future(self._opened))

    def wait_reached(self, seconds: float = PATIENCE) -> None:
        """Returns once a scripted part has come to the gate."""
        if not self._reached.wait(seconds):
            raise TimeoutError(f"nothing came to the gate in {seconds} s")

    def open(self) -> None:
        """Lets everything through, now and later."""
        if not self._opened.done():
            self._opened.set_result(None)


def listening_socket() -> socket.socket:
    """A socket on a free port of 127.0.0.1 that already queues connections."""
    # asyncio turns Nagle's delay off only on sockets that name their protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def listener_url(listener: socket.socket) -> str:
    """http://127.0.0.1:<port> of a bound socket."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, for servers that bind it themselves.

    Below those that systems give to outgoing connections: one of these could take it meanwhile.
    """
    for port in random.sample(range(10_000, 32_000), 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("a hundred ports were tried, and all are taken")
