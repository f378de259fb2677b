"""Estimates what a number of turns a day needs, from measurements and assumptions. Pure."""

import math
from dataclasses import dataclass

from bench.results import Results
from bench.systems import FUNCTION
from bench.turns import STREAM

DAY = 86_400
TURNS_A_DAY = (1_000, 100_000, 10_000_000)


@dataclass(frozen=True)
class Measured:
    """Measurements of the function from one run."""

    cpu_ms: float
    """Processor time of a turn whose reply arrives at the pace of a model."""
    database_ms: float
    """Time in both database calls of a turn, with many turns running."""


@dataclass(frozen=True)
class Assumed:
    """Assumptions about traffic and models. Replace them with your own figures."""

    peak: float = 5
    """Turns in the busiest minute divided by turns in an average minute."""
    turn_seconds: float = 15
    outage_seconds: float = 90
    """The same while models fail: TURN_BUDGET_SECONDS."""
    concurrency: int = 80
    """DEPLOY_CONCURRENCY."""
    core_share: float = 0.7
    """The highest load of a core at the peak."""
    prompt_tokens: int = 3_000
    completion_tokens: int = 300
    usd_per_1k: float = 0.0002
    """Price of 1,000 prompt or completion tokens of a small paid model."""
    instance_usd: float = 50
    """Monthly price of an instance with one always allocated virtual processor and 512 MiB."""
    turn_bytes: int = 4_000
    """Size of a turn's rows and indexes; measured with replies of 1,000 characters."""


@dataclass(frozen=True)
class Need:
    """What is needed at the peak, or per day or month where the name says so."""

    turns_per_second: float
    in_progress: float
    by_slots: float
    """Instances needed for the concurrent turns."""
    by_processor: float
    """Instances needed for the processor time."""
    instances: int
    """Instances needed, plus a spare one; the same below."""
    outage_instances: int
    busy_connections: float
    """Average number of busy connections in PostgREST's pool."""
    pool: int
    megabytes_a_day: float
    models_usd_a_day: float
    instances_usd_a_month: float


def measured(results: Results) -> Measured | None:
    """The measurements of a run; None if it did not measure them."""
    paced = results.streams.get(FUNCTION)
    busy = results.comparison.find(FUNCTION, STREAM, 32) if results.comparison else None
    return Measured(paced.cpu_ms, busy.database_ms) if paced and busy else None


def need(turns_a_day: float, of: Measured, given: Assumed) -> Need:
    """Estimate what these turns need."""
    average = turns_a_day / DAY
    rate = average * given.peak
    slots = rate * given.turn_seconds / given.concurrency
    processor = rate * of.cpu_ms / 1000 / given.core_share
    connections = rate * of.database_ms / 1000
    tokens = given.prompt_tokens + given.completion_tokens
    # Instances scale with the load, so the cost is that of the average minute.
    paid = _whole(max(slots, processor) / given.peak)
    return Need(
        turns_per_second=rate,
        in_progress=rate * given.turn_seconds,
        by_slots=slots,
        by_processor=processor,
        instances=_whole(max(slots, processor)) + 1,
        outage_instances=_whole(max(slots * given.outage_seconds / given.turn_seconds, processor))
        + 1,
        busy_connections=connections,
        # Twice the average, because calls arrive unevenly; at least PostgREST's default of 10.
        pool=max(10, _whole(2 * connections)),
        megabytes_a_day=turns_a_day * given.turn_bytes / 1e6,
        models_usd_a_day=turns_a_day * tokens / 1000 * given.usd_per_1k,
        instances_usd_a_month=paid * given.instance_usd,
    )


def _whole(number: float) -> int:
    """Round up, ignoring rounding errors."""
    return math.ceil(round(number, 6))
