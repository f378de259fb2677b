"""Measures many streams open at the same time in one instance, at the pace of a model."""

from dataclasses import dataclass

from bench import load
from bench.plan import Plan
from bench.surroundings import Surroundings
from bench.systems import DIRECT, System
from bench.turns import check_saved


@dataclass(frozen=True)
class Streams:
    """The results of one system. Delays from the provider to the client, in milliseconds."""

    complete: int
    opened: int
    delay_p50: float
    delay_p99: float
    delay_max: float
    cpu_ms: float
    """Processor time per turn."""
    busy: float
    """The system's share of one core during the run."""
    peak: int
    """Peak memory in bytes."""

    @property
    def lost(self) -> int:
        """Streams that did not complete."""
        return self.opened - self.complete


def keep_open(system: System, around: Surroundings, plan: Plan) -> Streams:
    """Open one stream per connection, the last when the first is half done."""
    around.use_upstream(plan.stream_tokens, plan.token_gap_ms)
    around.forget()
    used = system.program.usage().cpu_seconds
    found = load.run(
        system.program.port,
        _requests(system, around, plan),
        concurrency=plan.streams,
        tokens=plan.stream_tokens,
        stagger=plan.stream_tokens * plan.token_gap_ms / 2000,
        once=True,
        times=f"{around.upstream.url}/times",
    )
    usage = system.program.usage()
    if system.has_database:
        check_saved(system.name, [found], around)
    return Streams(
        complete=found.turns,
        opened=plan.streams,
        delay_p50=found.delay.p50,
        delay_p99=found.delay.p99,
        delay_max=found.delay.max,
        cpu_ms=(usage.cpu_seconds - used) * 1000 / max(found.turns, 1),
        busy=(usage.cpu_seconds - used) / found.seconds,
        peak=usage.peak,
    )


def _requests(system: System, around: Surroundings, plan: Plan) -> list[dict[str, object]]:
    """The requests of a system. Only the provider itself takes the pace from the path."""
    if system.name != DIRECT:
        return [dict(request) for request in system.streamed]
    url = around.upstream_url(plan.stream_tokens, plan.token_gap_ms)
    path = url.removeprefix(around.upstream.url) + "/chat/completions"
    return [{**request, "path": path} for request in system.streamed]
