"""The targets, and whether they are met."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.machine import MEGABYTE
from bench.results import Results
from bench.systems import FLOOR, FUNCTION, LITELLM
from bench.turns import PLAIN, STREAM

UNUSED = frozenset(
    {"storage3", "realtime", "supabase_auth", "supabase_functions", "websockets", "httpcore", "h2"}
)
"""Packages among the dependencies that no turn uses."""


Figure = Callable[[Results], float | None]
"""Selects one figure of the results; None if it was not measured."""


@dataclass(frozen=True)
class Target:
    """A limit for one figure."""

    name: str
    bound: float
    figure: Figure
    unit: str = ""
    at_least: bool = False

    def verdict(self, results: Results) -> "Verdict":
        """Compare the figure with its limit."""
        value = self.figure(results)
        met = None
        if value is not None:
            met = value >= self.bound if self.at_least else value <= self.bound
        return Verdict(self, value, met)


@dataclass(frozen=True)
class Verdict:
    """Whether a target is met; None if it was not measured."""

    target: Target
    value: float | None
    met: bool | None


def _turns(system: str, mode: str, concurrency: int, figure: str) -> Figure:
    def find(results: Results) -> float | None:
        comparison = results.comparison
        figures = comparison.find(system, mode, concurrency) if comparison else None
        return float(getattr(figures, figure)) if figures else None

    return find


def _streams(system: str, figure: str) -> Figure:
    def find(results: Results) -> float | None:
        found = results.streams.get(system)
        return float(getattr(found, figure)) if found else None

    return find


def _start(system: str, figure: str) -> Figure:
    def find(results: Results) -> float | None:
        found = results.starts.get(system)
        return float(getattr(found, figure)) if found else None

    return find


def _history(system: str, figure: str) -> Figure:
    def find(results: Results) -> float | None:
        found = results.histories.get(system)
        return float(getattr(found, figure)) if found else None

    return find


def _instructions(system: str, figure: str) -> Figure:
    def find(results: Results) -> float | None:
        found = results.instructions.get(system)
        return float(getattr(found, figure)) if found else None

    return find


def _ratio(of: Figure, to: Figure) -> Figure:
    def find(results: Results) -> float | None:
        this, that = of(results), to(results)
        return None if this is None or not that else this / that

    return find


def _more(of: Figure, than: Figure) -> Figure:
    def find(results: Results) -> float | None:
        this, that = of(results), than(results)
        return None if this is None or that is None else this - that

    return find


def _unused_imports(results: Results) -> float | None:
    if results.imports is None:
        return None
    # The framework's server imports websockets if they are installed.
    ours = results.imports.function.keys() - results.imports.hello.keys()
    return float(len(UNUSED & ours))


def _soaked_memory(results: Results) -> float | None:
    return results.soak.growth() if results.soak else None


def _longest_wait(results: Results) -> float | None:
    return results.hostile.longest_ms() if results.hostile else None


def _hostile_memory(results: Results) -> float | None:
    return results.hostile.most_memory() / MEGABYTE if results.hostile else None


def _begin_growth(results: Results) -> float | None:
    if results.growth is None:
        return None
    calls = results.growth.calls
    return calls[max(calls)].begin_turn / calls[min(calls)].begin_turn


def _adoption(call: str) -> Figure:
    """How many times longer a call takes in an adopted database, where it is worst."""

    def find(results: Results) -> float | None:
        adoption = results.growth.adoption if results.growth else None
        ratios = adoption.ratios().values() if adoption else ()
        return max((float(getattr(ratio, call)) for ratio in ratios), default=None)

    return find


def _most(recalled: str, figure: str = "processor", *, is_again: bool = False) -> Figure:
    """A figure of both calls in turns that recall this, in the costliest conversation."""

    def find(results: Results) -> float | None:
        recall = results.recall
        turns = (recall.again if is_again else recall.first) if recall else {}
        costs = turns.get(recalled, {}).values()
        return max((float(getattr(cost, figure)) for cost in costs), default=None)

    return find


def _instances(count: int, figure: str) -> Figure:
    def find(results: Results) -> float | None:
        found = results.instances.get(count)
        return float(getattr(found, figure)) if found else None

    return find


def _costly_reads(results: Results) -> float | None:
    return float(len(results.growth.costly_reads())) if results.growth else None


_STREAM_CPU = _ratio(_turns(FUNCTION, STREAM, 32, "cpu_ms"), _turns(FLOOR, STREAM, 32, "cpu_ms"))
_PACED_CPU = _ratio(_streams(FUNCTION, "cpu_ms"), _streams(FLOOR, "cpu_ms"))
_FIRST_TOKEN = _more(
    _turns(FUNCTION, STREAM, 1, "first_p50_ms"), _turns(FLOOR, STREAM, 1, "first_p50_ms")
)
_AGAINST_LITELLM = _ratio(
    _turns(FUNCTION, STREAM, 32, "turns_per_second"),
    _turns(LITELLM, STREAM, 32, "turns_per_second"),
)
_PLAIN_RATE = _turns(FUNCTION, PLAIN, 32, "turns_per_second")
_COLD_START = _ratio(_start(FUNCTION, "first_byte_ms"), _start(FLOOR, "first_byte_ms"))
_FIRST_TURN = _ratio(_start(FUNCTION, "first_turn_ms"), _start(FLOOR, "first_turn_ms"))
_LATER_TOKENS = _more(_streams(FUNCTION, "delay_p99"), _streams(FLOOR, "delay_p99"))
_COUNTED = _ratio(_instructions(FUNCTION, "at_once"), _instructions(FLOOR, "at_once"))
_COUNTED_PACED = _ratio(_instructions(FUNCTION, "paced"), _instructions(FLOOR, "paced"))
_IDLE = _start(FUNCTION, "idle_mb")

TARGETS = (
    Target("CPU per streamed turn at concurrency 32, against the floor", 1.2, _STREAM_CPU, "×"),
    Target(
        "CPU per turn with 200 streams at a model's pace, against the floor", 1.2, _PACED_CPU, "×"
    ),
    Target("instructions per streamed turn, against the floor", 1.3, _COUNTED, "×"),
    Target("the same, each token by itself", 1.5, _COUNTED_PACED, "×"),
    Target("CPU of a first turn with 32,000 tokens", 30, _history(FUNCTION, "first"), "ms"),
    Target("CPU of the turn after it", 8, _history(FUNCTION, "following"), "ms"),
    Target("first token at concurrency 1, later than the floor's by", 3, _FIRST_TOKEN, "ms"),
    Target("streamed turns/s at concurrency 32, against LiteLLM", 10, _AGAINST_LITELLM, "×", True),
    Target("plain turns/s at concurrency 32", 180, _PLAIN_RATE, "/s", True),
    Target("CPU per plain turn", 4, _turns(FUNCTION, PLAIN, 32, "cpu_ms"), "ms"),
    Target("database round trips per turn", 2, _turns(FUNCTION, STREAM, 32, "calls")),
    Target("open streams that did not complete", 0, _streams(FUNCTION, "lost")),
    Target("delay of a token in open streams, p99", 20, _streams(FUNCTION, "delay_p99"), "ms"),
    Target("the same, later than the floor's by", 16, _LATER_TOKENS, "ms"),
    Target(
        "turns/s of three instances on one database, against one",
        1,
        _ratio(_instances(3, "turns_per_second"), _instances(1, "turns_per_second")),
        "×",
        True,
    ),
    Target("waits for locks of another turn, three instances", 0, _instances(3, "waits")),
    Target("cold start to the first byte, against the floor", 1.1, _COLD_START, "×"),
    Target("cold start to the first turn's first token, against the floor", 1.15, _FIRST_TURN, "×"),
    Target("packages imported that no turn uses", 0, _unused_imports),
    Target("memory of an idle instance after its first turn", 100, _IDLE, "MB"),
    Target(
        "memory after all turns, against memory after the first ones", 1.05, _soaked_memory, "×"
    ),
    Target("longest wait caused by one request", 50, _longest_wait, "ms"),
    Target("peak memory with many imports or exports at once", 350, _hostile_memory, "MB"),
    Target("begin_turn, most messages against fewest", 1.5, _begin_growth, "×"),
    Target("both calls among a million messages, nothing recalled", 2.8, _most("nothing"), "ms"),
    Target(
        "both calls among a million messages, on the same instance",
        1.5,
        _most("nothing", is_again=True),
        "ms",
    ),
    Target("both calls among a million messages, with recall", 4, _most("by words"), "ms"),
    Target("both calls among a million messages, by meaning", 4, _most("by meaning"), "ms"),
    Target(
        "bytes of a turn on the same instance", 4000, _most("nothing", "size", is_again=True), "B"
    ),
    Target(
        "begin_turn in an adopted database, against a new one", 1.5, _adoption("begin_turn"), "×"
    ),
    Target(
        "finish_turn in an adopted database, against a new one", 1.5, _adoption("finish_turn"), "×"
    ),
    Target("growing tables of which a turn reads many rows", 0, _costly_reads),
)
