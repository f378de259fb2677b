"""One child process of the stack: start, health, and end."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import httpx

STOP_SECONDS = 5


class StackError(Exception):
    """A problem that a person can fix. The text is one line that says how."""


@dataclass
class Part:
    """A program of the stack with its own port and its own process group."""

    name: str
    command: list[str]
    env: Mapping[str, str]
    port: int
    port_setting: str
    health_path: str
    log: Path
    essential: bool
    """Whether the stack ends if this part dies."""
    health_headers: Mapping[str, str] = field(default_factory=dict)
    healthy: Callable[[httpx.Response], bool] = lambda response: response.status_code == 200
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def check_port(self) -> None:
        """Raise `StackError` if another program uses the part's port."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise StackError(
                    f"Port {self.port} for the {self.name} is in use. Stop the program that uses "
                    f"it, or set {self.port_setting} to another port in .env."
                ) from error

    async def start(self) -> None:
        """Start the program with an empty log."""
        self.check_port()
        self.process = await spawn(self.command, self.env, self.log)

    async def wait_ready(self, client: httpx.AsyncClient, seconds: float) -> None:
        """Wait until the part is healthy. Raises `StackError` on a timeout or if it ends."""
        if await self.answers(client, seconds):
            return
        if self.running:
            raise StackError(f"{self.name}: not ready after {seconds:.0f} s. {hint(self.log)}")
        raise StackError(f"{self.name}: {self.ending()} before it was ready. {hint(self.log)}")

    async def is_well(self, client: httpx.AsyncClient) -> bool:
        """Whether the part responds to its health request correctly."""
        url = f"{self.url}{self.health_path}"
        try:
            return self.healthy(await client.get(url, headers=dict(self.health_headers)))
        except (httpx.HTTPError, ValueError, KeyError):
            return False

    async def answers(self, client: httpx.AsyncClient, seconds: float) -> bool:
        """Whether it runs and gets well within this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.running:
                    if await self.is_well(client):
                        return True
                    await asyncio.sleep(0.05)
        return False

    async def stop(self) -> None:
        """End the process group, by SIGKILL if necessary."""
        if self.process is not None and self.running:
            await stop(self.process)

    def ending(self) -> str:
        """How the process ended, as words."""
        code = self.process.returncode if self.process else None
        if code is not None and code < 0:
            return f"killed ({signal.Signals(-code).name})"
        return f"ended with exit code {code}"


async def spawn(
    command: list[str], env: Mapping[str, str], log: Path
) -> asyncio.subprocess.Process:
    """Start a program in its own process group, with its output in `log`."""
    with fresh(log) as output:
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        except OSError as error:
            raise StackError(
                f"{command[0]} cannot be started ({error.strerror}). "
                "Delete .venv; `make dev` creates it again."
            ) from error


def fresh(log: Path) -> BinaryIO:
    """Open an empty log. The previous one is kept as <name>.log.1."""
    log.parent.mkdir(exist_ok=True)
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    return log.open("wb")


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Called in the child process: ends it when its parent dies, even by SIGKILL (prctl(2))."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a program and its whole process group."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
            return


def hint(log: Path) -> str:
    """A sentence with the name of a log and what it says last."""
    text = log.read_text(errors="replace") if log.exists() else ""
    said = last_words(text.splitlines())
    return f"See {os.path.relpath(log)}." + (f' It ends with: "{said}"' if said else "")


_INDENTED = (" ", "\t")
_NO_REASON = ("at ", "}", "^", "Node.js v", "For further information visit")
"""What is no reason: frames and signs of Node.js, its version, and pydantic's addresses."""


def last_words(lines: Sequence[str]) -> str:
    """The last message of a log, with its indented lines: they often have the reason.

    Left out are stack frames, which are indented too.
    """
    message: list[str] = []
    in_traceback = False
    for line in filter(str.strip, lines):
        is_indented = line.startswith(_INDENTED)
        if not is_indented:
            in_traceback = line.startswith("Traceback (most recent call last)")
        if in_traceback or line.strip().startswith(_NO_REASON):
            continue
        message = [*message, line.strip()] if is_indented else [line.strip()]
    return " ".join(message)[:300]
