"""Measures cold starts and import times."""

import re
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median

from bench.environments import Environments
from bench.machine import MEGABYTE
from bench.plan import Plan
from bench.programs import Program, Programs, log_path
from bench.prose import FIRST_TOKEN
from bench.surroundings import Surroundings
from bench.systems import (
    FLOOR,
    FUNCTION,
    TOKENS,
    Request,
    function_command,
)
from tests.support.waiting import free_port

HELLO = "hello"
SECONDS = 60
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)")


@dataclass(frozen=True)
class Start:
    """Medians of the starts of one function, in milliseconds and bytes."""

    first_byte_ms: float
    """Time to the first byte of the response to a GET."""
    first_turn_ms: float | None
    """Time from the start of the process to the first token of the first turn, if any."""
    idle: int
    """Memory of all its processes after that; shared memory counts once."""
    idle_largest: int
    """Memory of the largest process."""

    @property
    def idle_mb(self) -> float:
        """`idle` in megabytes."""
        return self.idle / MEGABYTE


@dataclass(frozen=True)
class Imports:
    """Import time by top-level package until the first turn is answered, in milliseconds."""

    function: dict[str, float]
    hello: dict[str, float]


def starts(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    plan: Plan,
    say: Callable[[str], None],
) -> dict[str, Start]:
    """Start all functions repeatedly, one after the other."""
    around.use_upstream(TOKENS, 0)
    around.forget()
    found: dict[str, list[Start]] = {}
    for number in range(plan.starts + 1):
        for name in (FUNCTION, FLOOR, HELLO):
            person = around.people[number]
            request = None if name == HELLO else around.turn(person, stream=True)
            start = _start(programs, environments, around, name, request)
            if number > 0:  # The first start fills the disk cache.
                found.setdefault(name, []).append(start)
    for name, measured in found.items():
        say(f"{name}: {median(start.first_byte_ms for start in measured):.0f} ms to the first byte")
    return {name: _medians(measured) for name, measured in found.items()}


def _start(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    name: str,
    request: Request | None,
) -> Start:
    with programs.running(_launch(programs, environments, around, name)) as program:
        first_byte = _until_first_byte(program, b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n", b"HTTP/")
        turn = None if request is None else _send_turn(program, request)
        usage = program.usage()
    launched = program.launched
    return Start(
        first_byte_ms=(first_byte - launched) * 1000,
        first_turn_ms=None if turn is None else (turn - launched) * 1000,
        idle=usage.proportional,
        idle_largest=usage.resident,
    )


def _launch(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    name: str,
    **env: str,
) -> Program:
    port = free_port()
    command = function_command(environments, name, port)
    return programs.launch(name, command, port, env=around.environment() | env)


def imports(programs: Programs, environments: Environments, around: Surroundings) -> Imports:
    """Measure what each process imports until it has answered a turn."""

    def imported(name: str, request: Request | None) -> dict[str, float]:
        launched = _launch(programs, environments, around, name, PYTHONPROFILEIMPORTTIME="1")
        with programs.running(launched) as program:
            _until_first_byte(program, b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n", b"HTTP/")
            if request is not None:
                _send_turn(program, request)
        return import_times(log_path(name).read_text())

    person = around.people[-1]
    return Imports(imported(FUNCTION, around.turn(person, stream=True)), imported(HELLO, None))


def import_times(output: str) -> dict[str, float]:
    """Parse the output of -X importtime: milliseconds by top-level package, longest first."""
    packages: dict[str, float] = {}
    for microseconds, module in _IMPORT.findall(output):
        package = module.partition(".")[0]
        packages[package] = packages.get(package, 0) + int(microseconds) / 1000
    return dict(sorted(packages.items(), key=lambda item: -item[1]))


def _until_first_byte(program: Program, request: bytes, answer: bytes) -> float:
    """Send the request as soon as the port is open; the monotonic time at which `answer` starts."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with closing(socket.socket()) as connection:
            connection.settimeout(SECONDS)
            if connection.connect_ex(("127.0.0.1", program.port)) != 0:
                time.sleep(0.001)
                continue
            connection.sendall(request)
            received = b""
            while answer not in received:
                if not (data := connection.recv(65536)):
                    raise RuntimeError(f"{program.name} hung up: {received[:300]!r}")
                received += data
            return time.monotonic()
    raise TimeoutError(f"{program.name} does not listen")


def _send_turn(program: Program, request: Request) -> float:
    body = request["body"].replace("$ID", f"start-{time.monotonic_ns()}").encode()
    headers = {"Host": "bench", **request["headers"], "Content-Length": len(body)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return _until_first_byte(
        program, f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + body, FIRST_TOKEN
    )


def _medians(measured: Sequence[Start]) -> Start:
    turns = [start.first_turn_ms for start in measured if start.first_turn_ms is not None]
    return Start(
        first_byte_ms=median(start.first_byte_ms for start in measured),
        first_turn_ms=median(turns) if turns else None,
        idle=round(median(start.idle for start in measured)),
        idle_largest=round(median(start.idle_largest for start in measured)),
    )
