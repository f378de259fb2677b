"""What so many turns a day need, computed from what was measured and what is assumed. Pure."""

import math
from dataclasses import dataclass

from bench.results import Results
from bench.systems import FUNCTION
from bench.turns import STREAM

DAY = 86_400
TURNS_A_DAY = (1_000, 100_000, 10_000_000)


@dataclass(frozen=True)
class Measured:
    """Of the function, from one run of the benchmarks."""

    cpu_ms: float
    """Of a turn whose reply comes at a model's pace."""
    database_ms: float
    """Both calls of a turn together, while many turns are under way."""


@dataclass(frozen=True)
class Assumed:
    """What traffic and models are like; everybody's own figures are better."""

    peak: float = 5
    """The busiest minute over the average one."""
    turn_seconds: float = 15
    outage_seconds: float = 90
    """The same while models fail: TURN_BUDGET_SECONDS."""
    concurrency: int = 80
    """DEPLOY_CONCURRENCY."""
    core_share: float = 0.7
    """How busy a core may be at the peak."""
    prompt_tokens: int = 3_000
    completion_tokens: int = 300
    usd_per_1k: float = 0.0002
    """Of either; what a small paid model costs."""
    instance_usd: float = 50
    """A month of one virtual processor with 512 MiB that is always allocated."""
    turn_bytes: int = 4_000
    """Of a turn's rows and their indexes; measured with replies of 1,000 characters."""


@dataclass(frozen=True)
class Need:
    """At the peak, but for days and months."""

    turns_per_second: float
    in_progress: float
    by_slots: float
    """Instances, so that each turn in progress has its place."""
    by_processor: float
    """Instances, so that their processors suffice."""
    instances: int
    """One of them to spare; so are the next."""
    outage_instances: int
    busy_connections: float
    """Of PostgREST's pool, on average."""
    pool: int
    megabytes_a_day: float
    models_usd_a_day: float
    instances_usd_a_month: float


def measured(results: Results) -> Measured | None:
    """What is needed of a run; None when it did not measure it."""
    paced = results.streams.get(FUNCTION)
    busy = results.comparison.find(FUNCTION, STREAM, 32) if results.comparison else None
    return Measured(paced.cpu_ms, busy.database_ms) if paced and busy else None


def need(turns_a_day: float, of: Measured, given: Assumed) -> Need:
    """What these turns need."""
    average = turns_a_day / DAY
    rate = average * given.peak
    slots = rate * given.turn_seconds / given.concurrency
    processor = rate * of.cpu_ms / 1000 / given.core_share
    connections = rate * of.database_ms / 1000
    tokens = given.prompt_tokens + given.completion_tokens
    # Instances come and go with the load, so those of the average minute are paid for.
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
        # Twice what is busy on average, for calls do not come evenly; PostgREST's own least is 10.
        pool=max(10, _whole(2 * connections)),
        megabytes_a_day=turns_a_day * given.turn_bytes / 1e6,
        models_usd_a_day=turns_a_day * tokens / 1000 * given.usd_per_1k,
        instances_usd_a_month=paid * given.instance_usd,
    )


def _whole(number: float) -> int:
    """Rounded up, but not for the last digit of a computation."""
    return math.ceil(round(number, 6))
