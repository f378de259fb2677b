"""Compares all systems, plain and streamed, at every concurrency, in alternating rounds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench import load
from bench.plan import Plan
from bench.surroundings import Surroundings, Traffic
from bench.systems import TOKENS, System

PLAIN, STREAM = "plain", "stream"


@dataclass(frozen=True)
class Figures:
    """Medians of the rounds of one system in one mode at one concurrency."""

    turns: float
    failed: float
    turns_per_second: float
    first_p50_ms: float
    first_p99_ms: float
    whole_p50_ms: float
    cpu_ms: float
    """Processor time of the system per turn."""
    calls: float = 0
    """Database calls per turn; the next three are also of the database and per turn."""
    to_database: float = 0
    from_database: float = 0
    database_ms: float = 0


Key = tuple[str, str, int]
"""(system, mode, concurrency)"""


@dataclass(frozen=True)
class Comparison:
    """The results of all rounds."""

    figures: dict[Key, Figures]
    peaks: dict[str, int]
    """Peak memory of each system in bytes."""

    def find(self, system: str, mode: str, concurrency: int) -> Figures | None:
        """The figures; None if they were not measured."""
        return self.figures.get((system, mode, concurrency))

    def ratio(self, of: str, to: str, mode: str, concurrency: int, figure: str) -> float | None:
        """One system's figure divided by another's."""
        this, that = self.find(of, mode, concurrency), self.find(to, mode, concurrency)
        if this is None or that is None or not getattr(that, figure):
            return None
        return float(getattr(this, figure) / getattr(that, figure))


def compare(
    systems: Sequence[System], around: Surroundings, plan: Plan, say: Callable[[str], None]
) -> Comparison:
    """Measure all systems. Raises `RuntimeError` if a turn of ours is not complete and saved."""
    around.use_upstream(TOKENS, 0)
    for system in systems:
        warm_up(system, plan)
    measured: dict[Key, list[Figures]] = {}
    for number in range(plan.rounds):
        for mode, concurrency, system in _order(systems, plan, number):
            figures = _measure(system, mode, concurrency, around, plan)
            measured.setdefault((system.name, mode, concurrency), []).append(figures)
            say(
                f"round {number + 1}, {mode}, {concurrency} at once, {system.name}: "
                f"{figures.turns_per_second:.0f} turns/s, {figures.first_p50_ms:.1f} ms to the "
                f"first token, {figures.cpu_ms:.2f} ms of CPU a turn"
            )
    return Comparison(
        {key: medians(rounds) for key, rounds in measured.items()},
        {system.name: system.program.usage().peak for system in systems},
    )


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure over the rounds."""
    return Figures(
        **{name: median(getattr(f, name) for f in rounds) for name in Figures.__dataclass_fields__}
    )


def warm_up(system: System, plan: Plan) -> None:
    """Run the plan's number of turns in each mode, which no figure is made of."""
    for stream in (False, True):
        if requests := system.requests(stream=stream):
            load.run(
                system.program.port,
                requests,
                concurrency=8,
                tokens=TOKENS,
                turns=plan.warm_up_turns,
            )


def _order(systems: Sequence[System], plan: Plan, number: int) -> Iterator[tuple[str, int, System]]:
    start = number % len(systems)
    for concurrency in plan.concurrencies:
        for mode in (PLAIN, STREAM):
            for system in (*systems[start:], *systems[:start]):
                if system.requests(stream=mode == STREAM):
                    yield mode, concurrency, system


def _measure(
    system: System, mode: str, concurrency: int, around: Surroundings, plan: Plan
) -> Figures:
    if system.has_database:
        around.forget()
    used, traffic = system.program.usage().cpu_seconds, around.traffic()
    found = load.run(
        system.program.port,
        system.requests(stream=mode == STREAM),
        concurrency=concurrency,
        tokens=TOKENS,
        seconds=plan.seconds,
    )
    used, traffic = system.program.usage().cpu_seconds - used, around.traffic().since(traffic)
    if system.has_database:
        check_saved(system.name, [found], around)
    return _figures(found, used, traffic if system.has_database else Traffic(0, 0, 0, 0))


def check_saved(name: str, loads: Sequence[load.Load], around: Surroundings) -> int:
    """The number of turns. Raises `RuntimeError` unless all are complete and saved: wrong results
    do not count."""
    turns, saved = sum(found.turns for found in loads), around.turns()
    failures = [found.failures for found in loads if found.failures]
    if failures or saved != turns:
        raise RuntimeError(f"{name}: {turns} turns answered, {saved} saved, failed: {failures}")
    return turns


def _figures(found: load.Load, cpu_seconds: float, traffic: Traffic) -> Figures:
    turns = max(found.turns, 1)
    return Figures(
        turns=found.turns,
        failed=sum(found.failures.values()),
        turns_per_second=found.turns_per_second,
        first_p50_ms=found.first.p50,
        first_p99_ms=found.first.p99,
        whole_p50_ms=found.whole.p50,
        cpu_ms=cpu_seconds * 1000 / turns,
        calls=traffic.calls / turns,
        to_database=traffic.to_database / turns,
        from_database=traffic.from_database / turns,
        database_ms=traffic.milliseconds / turns,
    )
