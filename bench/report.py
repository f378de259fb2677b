"""Formats the results as tables for the terminal and for docs/benchmarks.md."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.capacity import TURNS_A_DAY, Assumed, measured, need
from bench.cold_start import HELLO
from bench.growth import Adoption
from bench.history import HISTORY_TOKENS
from bench.hostile import Hostile
from bench.instances import CONCURRENCY, WAIT_MS
from bench.machine import MEGABYTE
from bench.programs import BENCH
from bench.prompts import CONTEXTS
from bench.recall import Recall
from bench.results import Results
from bench.surroundings import HISTORY
from bench.systems import DIRECT, FLOOR, FUNCTION, LITELLM, PORTKEY, TOKENS
from bench.targets import TARGETS, Verdict
from bench.turns import PLAIN, STREAM, Comparison, Figures
from dev.operate import report as operate

NOTES = BENCH / "notes.md"
"""Comments on the figures, written by hand and included in the document unchanged."""
LISTED_IMPORTS = 20
NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A table with a heading and an explanation."""

    title: str
    words: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table as a section of a Markdown document."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = ["| " + " | ".join(row) + " |" for row in (self.columns, rule, *self.rows)]
        return "\n".join([f"## {self.title}", "", self.words, "", *lines])

    def part(self) -> operate.Table:
        """The table for a terminal."""
        return operate.Table(self.columns, self.rows, self.title, right=self.columns[1:])


def document(results: Results) -> str:
    """The text of docs/benchmarks.md."""
    machine = "\n".join(f"| {name} | {value} |" for name, value in results.machine)
    commands = "\n".join(f"# {name}\n{command}" for name, command in results.commands.items())
    first, *others = (table.markdown() for table in tables(results))
    sections = [
        _INTRODUCTION,
        first,
        NOTES.read_text().strip(),
        *others,
        f"## The machine\n\n| | |\n|---|---|\n{machine}",
        f"## Commands\n\n```\n{commands}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def tables(results: Results) -> Iterator[Table]:
    """The tables of everything that was measured."""
    yield _targets(results)
    if results.comparison:
        for mode in (STREAM, PLAIN):
            yield _turns(results.comparison, mode)
        yield _costs(results.comparison)
    if results.streams:
        yield _streams(results)
    if results.instances:
        yield _instances(results)
    if results.instructions:
        yield _instructions(results)
    if results.histories:
        yield _histories(results)
    if results.starts:
        yield _starts(results)
    if results.imports:
        yield _imports(results)
    if results.soak:
        yield _soak(results)
    if results.hostile:
        yield _waits(results.hostile)
        yield _memory(results.hostile)
    if results.growth:
        yield _growth(results)
        yield _plans(results)
        if results.growth.adoption:
            yield _adopted(results.growth.adoption)
    if results.recall:
        yield _recall(results.recall)
    if results.prompts:
        yield _prompts(results)
    if measured(results):
        yield _capacity(results)


def _targets(results: Results) -> Table:
    rows = []
    for target in TARGETS:
        verdict = target.verdict(results)
        bound = f"{'≥' if target.at_least else '≤'} {_number(target.bound)} {target.unit}".strip()
        rows.append([target.name, bound, _measured(verdict), _said(verdict)])
    return Table("Targets", _TARGETS, ["figure", "target", "measured", ""], rows)


def _measured(verdict: Verdict) -> str:
    return f"{_number(verdict.value)} {verdict.target.unit}".strip()


def _said(verdict: Verdict) -> str:
    return NOTHING if verdict.met is None else "met" if verdict.met else "**missed**"


def _turns(comparison: Comparison, mode: str) -> Table:
    rows = []
    for (system, found_mode, concurrency), figures in sorted(
        comparison.figures.items(), key=lambda item: (item[0][2], _ORDER.index(item[0][0]))
    ):
        if found_mode == mode:
            rows.append(_turns_row(comparison, system, mode, concurrency, figures))
    first = "first token" if mode == STREAM else "answer"
    columns = ["system", "concurrency", "turns/s", "× floor", f"added to the {first}, p50 ms"]
    columns += ["p99 ms", "CPU ms/turn", "× floor", "failed"]
    title = "Streamed turns" if mode == STREAM else "Plain turns"
    words = _WORDS[mode].format(tokens=TOKENS, base=_number(_base(comparison, mode)))
    return Table(title, words, columns, rows)


def _turns_row(
    comparison: Comparison, system: str, mode: str, concurrency: int, figures: Figures
) -> list[str]:
    base = _base(comparison, mode)
    rate = comparison.ratio(system, FLOOR, mode, concurrency, "turns_per_second")
    cpu = comparison.ratio(system, FLOOR, mode, concurrency, "cpu_ms")
    return [
        _named(system),
        str(concurrency),
        _number(figures.turns_per_second),
        _number(rate),
        _number(figures.first_p50_ms - base),
        _number(figures.first_p99_ms - base),
        _number(figures.cpu_ms),
        _number(cpu),
        _number(figures.failed),
    ]


def _base(comparison: Comparison, mode: str) -> float:
    """The time that the provider and the load generator take without a system between them."""
    alone = comparison.find(DIRECT, mode, 1)
    return alone.first_p50_ms if alone else 0


def _costs(comparison: Comparison) -> Table:
    rows = []
    for system in _ORDER[:4]:
        figures = comparison.find(system, STREAM, 32) or comparison.find(system, PLAIN, 32)
        if figures is None:
            continue
        database = [figures.calls, figures.to_database, figures.from_database, figures.database_ms]
        shown = [_number(value) if figures.calls else NOTHING for value in database]
        rows.append([_named(system), *shown, _megabytes(comparison.peaks[system])])
    columns = ["system", "database calls/turn", "bytes to it", "bytes from it", "ms in it"]
    return Table("Database and memory", _COSTS, [*columns, "peak memory, MB"], rows)


def _streams(results: Results) -> Table:
    rows = [
        [
            _named(name),
            f"{found.complete} of {found.opened}",
            _number(found.delay_p50),
            _number(found.delay_p99),
            _number(found.delay_max),
            _number(found.cpu_ms),
            f"{found.busy:.0%}",
        ]
        for name, found in results.streams.items()
    ]
    columns = ["system", "complete", "delay of a token, p50 ms", "p99 ms", "longest ms"]
    columns += ["CPU ms/turn", "share of a core"]
    return Table("Open streams", _STREAMS, columns, rows)


def _instances(results: Results) -> Table:
    one = results.instances[1]
    rows = [
        [
            str(count),
            _number(found.turns_per_second),
            _number(found.turns_per_second / one.turns_per_second),
            _number(found.function_ms),
            _number(found.database_ms),
            str(found.waits),
        ]
        for count, found in results.instances.items()
    ]
    columns = ["instances", "turns/s", "× one", "CPU ms/turn", "Postgres' CPU ms/turn"]
    words = _INSTANCES.format(concurrency=CONCURRENCY, wait=WAIT_MS)
    return Table("Several instances", words, [*columns, "waits for another turn"], rows)


def _instructions(results: Results) -> Table:
    floor = results.instructions[FLOOR]
    rows = [
        [
            name,
            _number(found.at_once),
            _number(found.at_once / floor.at_once),
            _number(found.paced),
            _number(found.paced / floor.paced),
        ]
        for name, found in results.instructions.items()
    ]
    columns = ["system", "at once, million", "× floor", "token by token, million", "× floor"]
    return Table("Instructions", _INSTRUCTIONS.format(tokens=TOKENS), columns, rows)


def _histories(results: Results) -> Table:
    rows = [
        [name, _number(found.first), _number(found.following)]
        for name, found in results.histories.items()
    ]
    words = _HISTORIES.format(tokens=HISTORY_TOKENS)
    return Table("Long histories", words, ["system", "first turn, ms", "next turn, ms"], rows)


def _starts(results: Results) -> Table:
    hello = results.starts[HELLO].first_byte_ms
    floor = results.starts[FLOOR].first_turn_ms or 0
    rows = [
        [
            _named(name),
            _number(found.first_byte_ms),
            _number(found.first_byte_ms / hello),
            _number(found.first_turn_ms),
            _number(found.first_turn_ms / floor if found.first_turn_ms else None),
            _megabytes(found.idle),
            _megabytes(found.idle_largest),
        ]
        for name, found in results.starts.items()
    ]
    columns = [
        "function",
        "to the first byte, ms",
        "× hello",
        "to the first turn's first token, ms",
        "× floor",
    ]
    columns += ["idle after it, MB", "largest process, MB"]
    return Table("Cold start", _STARTS, columns, rows)


def _imports(results: Results) -> Table:
    assert results.imports
    function, hello = results.imports.function, results.imports.hello
    rows = [
        [package, _number(milliseconds), _number(hello.get(package))]
        for package, milliseconds in list(function.items())[:LISTED_IMPORTS]
    ]
    rest = list(function.values())[LISTED_IMPORTS:]
    rows.append([f"{len(rest)} others", _number(sum(rest)), ""])
    rows.append(["all", _number(sum(function.values())), _number(sum(hello.values()))])
    return Table("Imports", _IMPORTS, ["package", FUNCTION + ", ms", "hello, ms"], rows)


def _soak(results: Results) -> Table:
    assert results.soak
    rows = [[f"{turns:,}", _megabytes(memory)] for turns, memory in results.soak.memory.items()]
    return Table("Memory over time", _SOAK, ["turns answered", "memory, MB"], rows)


def _waits(hostile: Hostile) -> Table:
    rows = [
        [name, str(wait.count), _number(wait.typical), _number(wait.longest)]
        for name, wait in hostile.waits.items()
    ]
    columns = ["one request, over and over", "answers to others", "p50 ms", "longest ms"]
    return Table("Waiting caused by hostile requests", _WAITS, columns, rows)


def _memory(hostile: Hostile) -> Table:
    rows = [[name, _megabytes(peak)] for name, peak in hostile.memory.items()]
    return Table("Memory under attack", _MEMORY, ["what is sent", "most memory, MB"], rows)


def _growth(results: Results) -> Table:
    growth = results.growth
    assert growth
    fewest = growth.calls[min(growth.calls)]
    rows = [
        [
            f"{messages:,}",
            _number(calls.begin_turn),
            _number(calls.begin_turn / fewest.begin_turn),
            _number(calls.finish_turn),
            _number(calls.finish_turn / fewest.finish_turn),
        ]
        for messages, calls in growth.calls.items()
    ]
    counts = ", ".join(f"{count:,} {table}" for table, count in growth.rows.items())
    columns = ["messages in the conversation", "begin_turn, ms", "×", "finish_turn, ms", "×"]
    return Table("Growth", _GROWTH.format(counts=counts), columns, rows)


def _plans(results: Results) -> Table:
    assert results.growth
    rows = [
        [table, ", ".join(sorted(reach.how)), ", ".join(sorted(reach.indexes)), f"{reach.rows:,}"]
        for table, reach in results.growth.plans.items()
    ]
    return Table("Plans", _PLANS, ["table", "read by", "indexes", "most rows read"], rows)


def _recall(recall: Recall) -> Table:
    rows = [
        [
            f"{messages:,}",
            f"{kind}{where}",
            *map(_number, (cost.calls.begin_turn, cost.calls.finish_turn)),
            _number(cost.both),
            _number(cost.processor),
            f"{cost.size:,.0f}",
        ]
        for where, turns in (
            ("", recall.first),
            (", on the same instance", recall.again),
            (", in another conversation each time", recall.elsewhere),
        )
        for kind, costs in turns.items()
        for messages, cost in costs.items()
    ]
    columns = ["messages in the conversation", "recalled", "begin_turn, ms", "finish_turn, ms"]
    columns += ["both, ms", "Postgres' processor time, ms", "bytes"]
    return Table("Recall", _RECALL.format(rows=recall.rows), columns, rows)


def _adopted(adoption: Adoption) -> Table:
    rows = [
        [
            f"{messages:,}",
            _number(adoption.new[messages].begin_turn),
            _number(adoption.adopted[messages].begin_turn),
            _number(ratio.begin_turn),
            _number(adoption.new[messages].finish_turn),
            _number(adoption.adopted[messages].finish_turn),
            _number(ratio.finish_turn),
        ]
        for messages, ratio in adoption.ratios().items()
    ]
    counts = ", ".join(f"{count:,} {table}" for table, count in adoption.rows.items())
    columns = ["messages in the conversation", "begin_turn, ms", "adopted, ms", "adopted, × new"]
    columns += ["finish_turn, ms", "adopted, ms", "adopted, × new"]
    return Table("An adopted database", _ADOPTED.format(counts=counts), columns, rows)


def _prompts(results: Results) -> Table:
    rows = [
        [str(messages), *(_number(times[context]) for context in CONTEXTS)]
        for messages, times in results.prompts.items()
    ]
    columns = ["messages", *(f"{context:,} tokens, ms" for context in CONTEXTS)]
    return Table("Building the prompt", _PROMPTS, columns, rows)


def _capacity(results: Results) -> Table:
    figures, given = measured(results), Assumed()
    assert figures
    needs = [need(turns, figures, given) for turns in TURNS_A_DAY]
    rows = [
        ["turns begun in a second", *(_number(n.turns_per_second) for n in needs)],
        ["turns in progress", *(_number(n.in_progress) for n in needs)],
        ["instances, by turns in progress", *(_number(n.by_slots) for n in needs)],
        ["instances, by processor", *(_number(n.by_processor) for n in needs)],
        ["instances with a spare one", *(f"{n.instances:,}" for n in needs)],
        ["the same while models fail", *(f"{n.outage_instances:,}" for n in needs)],
        ["busy connections of PostgREST", *(_number(n.busy_connections) for n in needs)],
        ["its pool", *(f"{n.pool:,}" for n in needs)],
        ["connections through the pooler", *("0" for _ in needs)],
        ["rows, MB a day", *(_number(n.megabytes_a_day) for n in needs)],
        ["a small paid model, $ a day", *(_number(n.models_usd_a_day) for n in needs)],
        ["instances, $ a month", *(_number(n.instances_usd_a_month) for n in needs)],
    ]
    words = _CAPACITY.format(**vars(figures), **vars(given))
    columns = ["turns a day", *(f"{turns:,}" for turns in TURNS_A_DAY)]
    return Table("Capacity", words, columns, rows)


def _named(system: str) -> str:
    return f"{system} (forwards only)" if system in (LITELLM, PORTKEY) else system


def _number(value: float | None) -> str:
    """Format a number with three significant digits."""
    if value is None or value != value:
        return NOTHING
    if value == int(value):
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _megabytes(value: int) -> str:
    return _number(value / MEGABYTE)


_ORDER = (FUNCTION, FLOOR, LITELLM, PORTKEY, DIRECT)
_INTRODUCTION = f"""# Benchmarks

Written by `make bench`. All figures are from one run on one machine, which also runs everything
else: the measured system, Postgres, PostgREST, the provider and the load generator share its
cores. Figures of different runs cannot be compared; ratios within a run can.

- **{FUNCTION}** is this function as it is deployed: `functions-framework`, one process, an
  environment made from its `requirements.txt`. It checks the user's token (ES256), begins the
  turn, chooses a model, builds the prompt ({HISTORY} messages of history), reads the provider's
  stream, saves the reply and then ends. It always streams from the provider, even for plain turns.
- **{FLOOR}** is a bare handler on the same framework: the same two database calls by the same
  Supabase client, and the provider's bytes forwarded unread. A turn cannot cost less. For plain
  turns it requests plain responses.
- **{LITELLM}** (one worker) and **{PORTKEY}** only forward requests: no database, no conversation.
  {PORTKEY} answers streams from this provider with a 500, so it is in the plain table only.
- **{DIRECT}** is the provider called by the load generator directly.

The provider is a small Node.js server that responds at once, or at the pace of a model, with
ordinary prose, each token in its own chunk. Supabase's address is a Node.js program that removes
`/rest/v1` from the path and forwards all bytes to PostgREST. Postgres does not wait for the disk.
The load comes from `bench/node/load.mjs`, also Node.js, over raw sockets, in a closed loop. A turn
counts if its status is 200 and its text is complete; the run fails if the database does not have
every turn as complete."""
_TARGETS = "Medians of the rounds. A dash means not measured."
_WORDS = {
    STREAM: (
        "{tokens} tokens from the instant provider. Added time is the time beyond the {base} ms of "
        "the provider alone at concurrency 1. It includes the database's time."
    ),
    PLAIN: (
        "One JSON object with {tokens} tokens. Added time is the time beyond the {base} ms of the "
        "provider alone at concurrency 1."
    ),
}
_COSTS = (
    "Per streamed turn at concurrency 32. Bytes include headers. Memory is the peak of the largest "
    "process in all rounds."
)
_STREAMS = (
    "All streams are open at once: the last starts when the first is half done. A token's delay is "
    "the time from the provider's write to the client's read."
)
_STARTS = (
    "Medians. The first byte is that of the response to a GET. Memory that the processes of an "
    "instance share counts once."
)
_INSTANCES = (
    "{concurrency} streamed turns at once on one database, divided among the instances, in "
    "alternating rounds. They share this machine's cores with all else, so three cannot answer "
    "three times as much; what they would wait for is counted: rows and advisory locks of another "
    "turn, held for {wait} ms or longer. Locks for the growth of a table's file are left out: they "
    "are not held until a turn ends, and files grow here because the tables are emptied between "
    "rounds."
)
_INSTRUCTIONS = (
    "Of the process, by valgrind, for a streamed turn of {tokens} tokens: all at once, and each by "
    "itself, 0.2 s apart. System calls are not in it."
)
_HISTORIES = (
    "Processor time of a streamed turn with a history of {tokens:,} tokens: the first of its "
    "conversation, whose words and texts the instance has not read before, and the next. Medians, "
    "each of a new instance."
)
_IMPORTS = (
    "Until the first turn is answered, measured with `-X importtime`, which itself slows down "
    "imports."
)
_SOAK = "One instance, 32 turns at once, half of them streamed. Shared memory counts once."
_WAITS = (
    "Another client requests the smallest response of the same instance every two milliseconds "
    "while the request on the left is sent repeatedly. The first row is for comparison. Longest is "
    "the median, over the requests, of the longest wait during each."
)
_MEMORY = "The largest process's peak, in a new instance for each row."
_GROWTH = (
    "Called over one connection to Postgres, each in a transaction that is rolled back. The tables "
    "have {counts}; a conversation of n messages has n/2 turns. begin_turn reads as many "
    "messages as the model with the longest prompt takes, and looks for old ones that bear on what "
    "is said."
)
_PLANS = (
    "How the statements inside begin_turn and finish_turn read growing tables, in the conversation "
    "with the most messages, and the most rows that one of them reads."
)
_RECALL = (
    "Called as above in a table of {rows:,} messages of ordinary conversations that go on at the "
    "same time. The processor time is that of the connection's process, for both calls; the other "
    "times are the client's. Bytes are those of both results, without headers. The same instance "
    "is the one that answered the conversation's last turn."
)
_ADOPTED = (
    "The same calls in a new database and in one of an existing product (its state of April) into "
    "which we moved, alternating. Both have the same rows: {counts}."
)
_CAPACITY = (
    "Computed, not measured, by the formulas of [operations.md](operations.md#how-much-is-needed): "
    "from {cpu_ms:.3g} ms of processor time a turn (open streams) and {database_ms:.3g} ms in the "
    "database (at concurrency 32, with everything on one machine: an upper bound). Assumed: a peak "
    "of {peak:g} times the average, {turn_seconds:g} s a turn ({outage_seconds:g} s while models "
    "fail), {concurrency} turns an instance, a core {core_share:.0%} busy, {prompt_tokens:,} and "
    "{completion_tokens} tokens a turn at ${usd_per_1k:g} for 1,000, {turn_bytes:,} bytes of rows "
    "a turn, ${instance_usd:g} a month for an instance."
)
_PROMPTS = (
    "Only `prompt.builder.build`, by the model's context. Not everything fits into the first one."
)
