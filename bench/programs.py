"""Starts, measures and stops the programs that the benchmark runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

import httpx

from bench.machine import Usage, measure_usage
from tests.support.postgres import ROOT
from tests.support.waiting import free_port, wait_until

BENCH = ROOT / "bench"
FOLDER = ROOT / ".local" / "bench"
"""Folder of environments, logs and raw results. It can be deleted at any time."""
START_SECONDS = 120


@dataclass(frozen=True)
class Program:
    """A server on `port` in its own process group."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    launched: float
    """Monotonic time of the start, in seconds."""

    @property
    def url(self) -> str:
        """Its base URL without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def usage(self) -> Usage:
        """Its resource usage so far."""
        return measure_usage(self.process.pid)

    def stop(self) -> None:
        """Stop it and everything that it started."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)


@dataclass
class Programs:
    """Starts programs, stops them at the end, and records their commands."""

    commands: dict[str, str] = field(default_factory=dict)
    """Each program's command as a person would type it, by name."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Programs":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(
        self,
        name: str,
        command: Callable[[int], Sequence[object]],
        *,
        ready: str = "/",
        env: Mapping[str, str] | None = None,
        given: bytes = b"",
    ) -> Program:
        """Start a server and wait until it responds to GET `ready`.

        `command` builds the command from the port; `given` is its standard input.
        """
        port = free_port()
        program = self.launch(name, command(port), port, env=env, given=given)
        self._stack.callback(program.stop)

        def answers() -> bool:
            if program.process.poll() is not None:
                raise RuntimeError(f"{name} ended while it started: see {log_path(name)}")
            with suppress(httpx.TransportError):
                httpx.get(program.url + ready, timeout=5, trust_env=False)
                return True
            return False

        wait_until(answers, f"{name} to answer", START_SECONDS)
        return program

    def launch(
        self,
        name: str,
        command: Sequence[object],
        port: int,
        *,
        env: Mapping[str, str] | None = None,
        given: bytes = b"",
    ) -> Program:
        """Start a server without waiting. The caller must stop it."""
        words = [str(word) for word in command]
        self.commands[name] = as_typed(words, env or {})
        log = log_path(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output, TemporaryFile() as standard_input:
            standard_input.write(given)
            standard_input.seek(0)
            launched = time.monotonic()
            process = subprocess.Popen(
                words,
                cwd=ROOT,
                env=clean_environment() | dict(env or {}),
                stdin=standard_input,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Program(name, port, process, launched)

    @contextmanager
    def running(self, program: Program) -> Iterator[Program]:
        """Stop the program at the end of the block."""
        try:
            yield program
        finally:
            program.stop()


def log_path(name: str) -> Path:
    """The file with a program's output."""
    return FOLDER / "logs" / f"{name.replace(' ', '-')}.log"


def clean_environment() -> dict[str, str]:
    """The part of this process's environment that programs need to run at all."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def as_typed(words: Sequence[str], env: Mapping[str, str]) -> str:
    """The command as one line for the project's folder, without keys."""
    shown = [f"{name}={'...' if len(value) > 60 else value}" for name, value in env.items()]
    line = " ".join([*shown, *words])
    return line.replace(f"{ROOT}/", "").replace(sys.executable, "python")
