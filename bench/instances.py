"""Compares three instances on one database with one: whether they hold each other up.

On a machine of few cores three instances cannot answer three times as much, so what a turn costs
and how often one waits for another's lock is counted as well.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Event

from bench import load
from bench.environments import Environments
from bench.machine import cpu_seconds
from bench.plan import Plan
from bench.programs import Programs
from bench.surroundings import DATABASE, Surroundings
from bench.systems import FUNCTION, TOKENS, System, start_function
from bench.turns import check_saved, warm_up

COUNTS = (1, 3)
CONCURRENCY = 30
"""Turns at once, of all instances together."""
WAIT_MS = 1
"""The shortest wait for a lock that is counted: Postgres logs no shorter ones."""
_WAIT = re.compile(
    r"still waiting for \w+ on (?:transaction|tuple|advisory lock|speculative token)\b"
)
"""In the log of Postgres: for rows and advisory locks, which another turn holds until it ends. Not
for the extension of a table's file, which lasts as long as adding pages: between rounds the tables
are emptied, so their files grow again in each."""


@dataclass(frozen=True)
class Instances:
    """Streamed turns of a number of instances together. Medians of the rounds."""

    turns_per_second: float
    function_ms: float
    """Processor time of the instances per turn."""
    database_ms: float
    """Processor time of Postgres per turn."""
    waits: int
    """Waits for a row or an advisory lock of another turn, in all rounds."""


def compare(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    plan: Plan,
    say: Callable[[str], None],
) -> dict[int, Instances]:
    """Results by the number of instances, measured in alternating rounds.

    Raises `RuntimeError` if a turn is not complete and saved.
    """
    around.use_upstream(TOKENS, 0)
    systems = [start_function(programs, environments, around, FUNCTION) for _ in range(max(COUNTS))]
    with _scattered_connections(around):
        for system in systems:
            warm_up(system, plan)
    _log_waits(around, f"'{WAIT_MS}ms'", "on")
    rounds: dict[int, list[Instances]] = {count: [] for count in COUNTS}
    for _ in range(plan.rounds):
        for count, measured in rounds.items():
            measured.append(_measure(systems[:count], around, plan))
    _log_waits(around, "default", "default")
    for system in systems:
        system.program.stop()
    found = {count: _medians(measured) for count, measured in rounds.items()}
    for count, one in found.items():
        say(f"{count}: {one.turns_per_second:.0f} turns/s, {one.waits} waits for another turn")
    return found


def _measure(systems: Sequence[System], around: Surroundings, plan: Plan) -> Instances:
    """One round: each instance has people of its own."""
    around.forget()
    log = around.postgres.folder / "log"
    logged = log.stat().st_size
    used, database = _function_seconds(systems), _database_seconds(around)
    with ThreadPoolExecutor(len(systems)) as threads:
        found = list(threads.map(lambda place: _load(systems, place, plan), range(len(systems))))
    used = _function_seconds(systems) - used
    # Connections that are new since then count as a whole.
    spent = (
        seconds - database.get(process, 0) for process, seconds in _database_seconds(around).items()
    )
    turns = check_saved(FUNCTION, found, around)
    return Instances(
        turns_per_second=sum(one.turns_per_second for one in found),
        function_ms=used * 1000 / turns,
        database_ms=sum(spent) * 1000 / turns,
        waits=count_waits(log, logged),
    )


def _load(systems: Sequence[System], place: int, plan: Plan) -> load.Load:
    return load.run(
        systems[place].program.port,
        systems[place].streamed[place :: len(systems)],
        concurrency=CONCURRENCY // len(systems),
        tokens=TOKENS,
        seconds=plan.seconds,
    )


def _medians(rounds: Sequence[Instances]) -> Instances:
    return Instances(
        turns_per_second=median(one.turns_per_second for one in rounds),
        function_ms=median(one.function_ms for one in rounds),
        database_ms=median(one.database_ms for one in rounds),
        waits=sum(one.waits for one in rounds),
    )


def _function_seconds(systems: Sequence[System]) -> float:
    return sum(system.program.usage().cpu_seconds for system in systems)


def _database_seconds(around: Surroundings) -> dict[int, float]:
    """Processor time so far of each connection's process. PostgREST keeps its connections."""
    rows = around.db.execute(
        "select pid from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
        [DATABASE],
    )
    return {int(row["pid"]): cpu_seconds(int(row["pid"])) for row in rows.fetchall()}


@contextmanager
def _scattered_connections(around: Surroundings) -> Iterator[None]:
    """PostgREST opens its connections again, with others opened in between.

    The process ids of a new pool follow each other, and what connections choose by their process id
    differs. In an old pool, whose connections were replaced one by one, it may be the same.
    """
    around.db.execute("notify pgrst, 'reload schema'")
    is_done = Event()

    def connect() -> None:
        while not is_done.is_set():
            around.postgres.connect(DATABASE).close()

    with ThreadPoolExecutor(1) as thread:
        others = thread.submit(connect)
        try:
            yield
        finally:
            is_done.set()
    others.result()


def _log_waits(around: Surroundings, after: str, whether: str) -> None:
    around.db.execute(f"alter system set deadlock_timeout = {after}".encode())
    around.db.execute(f"alter system set log_lock_waits = {whether}".encode())
    around.db.execute("select pg_reload_conf()")


def count_waits(log: Path, start: int) -> int:
    """Waits for another turn in Postgres' log, after its first `start` bytes."""
    with log.open() as lines:
        lines.seek(start)
        return len(_WAIT.findall(lines.read()))
