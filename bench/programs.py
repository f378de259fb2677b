"""The programs that the benchmark runs: started, waited for, measured and ended here."""

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
"""Environments, logs and raw results; deleted, all is made again."""
START_SECONDS = 120


@dataclass(frozen=True)
class Program:
    """A server on `port`, leader of a process group of its own."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    launched: float
    """When, on the monotonic clock, in seconds."""

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def usage(self) -> Usage:
        """What it has used so far."""
        return measure_usage(self.process.pid)

    def stop(self) -> None:
        """End it and what it started."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)


@dataclass
class Programs:
    """Starts programs, stops those still running at the end, and remembers how each was run."""

    commands: dict[str, str] = field(default_factory=dict)
    """By the program's name, as a person would type it."""
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
        """Start a server and wait until GET `ready` is answered.

        `command` makes the command from the port; `given` is its standard input.
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
        """Start a server and do not wait; whoever launches it stops it."""
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
    """Where a program's output goes."""
    return FOLDER / "logs" / f"{name.replace(' ', '-')}.log"


def clean_environment() -> dict[str, str]:
    """Of this process's environment what no program's behaviour should depend on, and no more."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def as_typed(words: Sequence[str], env: Mapping[str, str]) -> str:
    """The command as one line, from the project's folder; keys are left out."""
    shown = [f"{name}={'...' if len(value) > 60 else value}" for name, value in env.items()]
    line = " ".join([*shown, *words])
    return line.replace(f"{ROOT}/", "").replace(sys.executable, "python")
