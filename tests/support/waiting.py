"""Waits for conditions instead of durations; free ports and sockets."""

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
"""Timeout in seconds for things that are immediate on an idle machine."""


def wait_until(condition: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """Polls until the condition is true and returns its value. TimeoutError names `what`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)
    return value


class Gate:
    """A point at which a scripted response waits until the test opens it.

    >>> gate = Gate()
    >>> upstream.enqueue(stream(["Hel", gate, "lo"]))
    >>> gate.wait_reached()  # "Hel" was sent
    >>> gate.open()
    """

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened: Future[None] = Future()

    async def passage(self) -> None:
        """Called by the scripted response: returns when the gate is open."""
        self._reached.set()
        await asyncio.shield(asyncio.wrap_future(self._opened))

    def wait_reached(self, seconds: float = PATIENCE) -> None:
        """Returns when a scripted response has reached the gate."""
        if not self._reached.wait(seconds):
            raise TimeoutError(f"nothing came to the gate in {seconds} s")

    def open(self) -> None:
        """Lets everything through, now and later."""
        if not self._opened.done():
            self._opened.set_result(None)


def listening_socket() -> socket.socket:
    """A socket on a free port of 127.0.0.1 that already accepts connections into its queue."""
    # asyncio disables Nagle's algorithm only on sockets with an explicit protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def listener_url(listener: socket.socket) -> str:
    """http://127.0.0.1:<port> of a bound socket."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def free_port() -> int:
    """A free port of 127.0.0.1 for servers that bind it themselves.

    It is below the range for outgoing connections, which could take it in the meantime.
    """
    for port in random.sample(range(10_000, 32_000), 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("a hundred ports were tried, and all are taken")
