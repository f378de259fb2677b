"""Counts a function's instructions per turn with valgrind, which no neighbour disturbs."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.environments import Environments
from bench.machine import newest_process
from bench.programs import FOLDER, Program, Programs
from bench.surroundings import Surroundings
from bench.systems import FLOOR, FUNCTION, TOKENS, System, start_function

MILLION = 1e6
COUNTS = FOLDER / "counts"
_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)

WARM_UP_TURNS, TURNS = 60, 30
PACED_TURNS, PACED_GAP_MS = 4, 200
"""The pace is slow enough that each token is handled by itself, although counting is slow."""


@dataclass(frozen=True)
class Instructions:
    """Millions of instructions per streamed turn."""

    at_once: float
    """All tokens arrive at once."""
    paced: float
    """Each token arrives by itself."""


def count(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    say: Callable[[str], None],
) -> dict[str, Instructions]:
    """Count the function's and the floor's; empty if valgrind is not installed."""
    if not shutil.which("valgrind"):
        say("valgrind is not installed")
        return {}
    return {name: _count(programs, environments, around, name, say) for name in (FUNCTION, FLOOR)}


def _count(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    name: str,
    say: Callable[[str], None],
) -> Instructions:
    shutil.rmtree(COUNTS, ignore_errors=True)
    COUNTS.mkdir(parents=True)
    system = start_function(programs, environments, around, name, _VALGRIND)
    around.use_upstream(TOKENS, 0)
    _run(system, WARM_UP_TURNS)
    found = Instructions(
        at_once=_counted(system.program, lambda: _run(system, TURNS)) / TURNS / MILLION,
        paced=_paced(system, around),
    )
    system.program.stop()
    say(f"{name}: {found.at_once:.2f} million a turn, {found.paced:.2f} at a model's pace")
    return found


_VALGRIND = (
    "valgrind",
    "--tool=callgrind",
    "--trace-children=yes",
    "--dump-instr=no",
    f"--callgrind-out-file={COUNTS}/%p",
)


def _paced(system: System, around: Surroundings) -> float:
    around.use_upstream(TOKENS, PACED_GAP_MS)
    counted = _counted(system.program, lambda: _run(system, PACED_TURNS, at_once=True))
    return counted / PACED_TURNS / MILLION


def _run(system: System, turns: int, *, at_once: bool = False) -> None:
    found = load.run(
        system.program.port,
        system.streamed,
        concurrency=turns if at_once else 1,
        tokens=TOKENS,
        turns=turns,
        once=at_once,
    )
    if found.failures or found.turns != turns:
        raise RuntimeError(f"{system.name}: {found.turns} turns, failed: {found.failures}")


def _counted(program: Program, work: Callable[[], None]) -> int:
    """The instructions of the process that answers, while `work` runs."""
    process = newest_process(program.process.pid)
    _control(process, "--zero")
    work()
    known = set(COUNTS.iterdir())
    _control(process, "--dump")
    return sum(map(_total, set(COUNTS.iterdir()) - known))


def _control(process: int, command: str) -> None:
    subprocess.run(
        ["callgrind_control", command, str(process)], check=True, capture_output=True, text=True
    )


def _total(dump: Path) -> int:
    return sum(map(int, _TOTAL.findall(dump.read_text())[:1]))
