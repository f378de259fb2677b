"""Serves cloud functions on functions-framework, in a thread or as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any
from unittest.mock import patch

import httpx
import psutil  # type: ignore[import-untyped]
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from functions_framework.aio import create_asgi_app

from tests.support import patient
from tests.support.postgres import ROOT
from tests.support.waiting import PATIENCE, free_port, listener_url, listening_socket, wait_until

FUNCTIONS = ROOT / "functions"
ENVIRONMENT = dict(os.environ)
"""Of this process, before a function that is served in a thread adds its settings."""

_idle: dict[BlockingPortal, set[asyncio.Task[Any]]] = {}
"""The functions served in threads, and the tasks of each while it has nothing to do."""
_processes: list[subprocess.Popen[bytes]] = []
"""The functions served in processes."""


@contextmanager
def serve(function: str, env: Mapping[str, str], folder: Path = FUNCTIONS) -> Iterator[str]:
    """Serves `folder/<function>/main.py` in a thread of this process and yields its URL.

    The environment applies while the function is served. At the end, `aclose()` of its main.py, if
    any, runs on the function's event loop.
    """
    source = folder / function / "main.py"
    with patch.dict(os.environ, env), patch.object(sys, "path", list(sys.path)):
        app = create_asgi_app(function, str(source), "http")  # type: ignore[no-untyped-call]
        module = sys.modules.pop("main")
        listener = listening_socket()
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(_serving(app, module, listener)),
        ):
            _idle[portal] = portal.call(_tasks)
            try:
                yield listener_url(listener)
            finally:
                del _idle[portal]


def are_idle() -> bool:
    """Whether no function that is served in a thread does anything, not even after its answer."""
    return all(portal.call(_tasks) <= tasks for portal, tasks in _idle.items())


def have_ended() -> bool:
    """Whether no function is served in a process, where nobody sees what it does."""
    return all(popen.poll() is not None for popen in _processes)


def _tasks() -> set[asyncio.Task[Any]]:
    """Those of the running loop, but for the one that asks."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


@asynccontextmanager
async def _serving(app: Any, module: ModuleType, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        if aclose := getattr(module, "aclose", None):
            await aclose()


@dataclass
class Process:
    """A function in its own process group, run by `functions-framework` as when deployed."""

    url: str
    popen: subprocess.Popen[bytes]
    log: IO[bytes]

    def output(self) -> str:
        """Its output so far."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def kill(self) -> None:
        """kill -9 of all its processes: no clean-up runs, no response is completed."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(timeout=PATIENCE)

    def stop(self) -> None:
        """SIGTERM, as sent by the platform; then kills the remaining processes."""
        self.popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout=PATIENCE)
        self.kill()


@contextmanager
def serve_process(
    function: str,
    env: Mapping[str, str],
    folder: Path = FUNCTIONS,
    python: str | Path = sys.executable,
) -> Iterator[Process]:
    """Serves `folder/<function>/main.py` in a process with this Python; ready when yielded."""
    port = free_port()
    source = folder / function / "main.py"
    command = [str(python), "-m", "functions_framework", "--asgi", "--host", "127.0.0.1"]
    command += ["--target", function, "--source", str(source), "--port", str(port)]
    with tempfile.TemporaryFile() as output:
        popen = subprocess.Popen(
            command,
            env={**ENVIRONMENT, **env},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        _processes.append(popen)
        process = Process(f"http://127.0.0.1:{port}", popen, output)

        def answers() -> bool:
            if popen.poll() is not None:
                raise RuntimeError(f"{function} did not start:\n{process.output()}")
            if not _listens(popen.pid, port):  # Another process may have taken the port.
                return False
            with suppress(httpx.TransportError):
                patient.get(process.url)
                return True
            return False

        try:
            wait_until(answers, f"{function} to answer")
            yield process
        finally:
            process.stop()
            _processes.remove(popen)


def _listens(pid: int, port: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any(
            connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
            for connection in psutil.Process(pid).net_connections("tcp")
        )
    return False
