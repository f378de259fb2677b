"""Formats the results as tables, and puts them into docs/memory.md."""

import re
from collections.abc import Iterator, Mapping, Sequence

from bench.memory import book
from bench.memory.locomo import Found
from bench.memory.prefix import Beginnings
from bench.memory.results import Results
from bench.memory.world import CHECKS, MEMORY, Life
from bench.report import NOTHING, Table

BEFORE, NOW = "before", "now"
LAST = CHECKS[-1]

PLAIN_TARGETS = {4_096: 0.85, 8_192: 0.90, 32_768: 0.95}
"""The least common beginning where nothing is recalled."""
RECALLED_TARGETS = {4_096: 0.65, 8_192: 0.70, 32_768: 0.93}
BOOK_TARGETS = {4_096: 0.58, 8_192: 0.67, 32_768: 0.90}
"""The least common beginning with a book whose entries have no position."""
KEPT_TARGET = 0.5
"""The least share of the history that fits which is kept, on average."""
IMPORTANT_TARGETS = {8_192: 0.95}
"""The least share of important facts at the end."""
EVIDENCE_TARGETS = {4_096: 0.68, 8_192: 0.80, 32_768: 0.97}
"""The least share of a question's evidence, without an embeddings model."""


def tables(results: Results, before: Results) -> dict[str, Table]:
    """The tables of what was measured, by part."""
    found: dict[str, Table] = {}
    if results.prefix:
        found["prefix"] = _prefix(results.prefix, before.prefix)
    if results.book:
        found["book"] = _book(results.book)
    if results.world:
        found["world"] = _world(results.world, before.world)
    if results.locomo:
        found["locomo"] = _locomo(results, before)
    return found


def with_tables(document: str, found: Mapping[str, Table]) -> str:
    """The document with the tables between the markers of their parts. Others stay as they are.

    Raises ValueError if a marker is missing.
    """
    for part, table in found.items():
        begin, end = f"<!-- memory-report: {part} -->", "<!-- to here -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        rows = table.markdown().partition("\n\n")[2].strip()
        block = f"{begin}\n{rows}\n{end}"
        place = pattern.search(document)
        if place is None:
            raise ValueError(f"the document has no place for {part}: {begin} ... {end}")
        document = document[: place.start()] + block + document[place.end() :]
    return document


def _prefix(now: Mapping[int, Beginnings], before: Mapping[int, Beginnings]) -> Table:
    rows = []
    for context, found in now.items():
        if context in before:
            rows.append([_context(context, BEFORE), *_beginnings(before[context])])
        rows.append([_context(context, NOW), *_beginnings(found, context)])
    return Table(
        "How much of a prompt stays the same",
        "",
        [
            "context",
            "nothing recalled",
            "something recalled",
            "turns that recall",
            "turns with another beginning",
            "history kept of what fits (least)",
            "tokens a turn",
        ],
        rows,
    )


def _beginnings(found: Beginnings, context: int | None = None) -> list[str]:
    return [
        _share(found.plain, PLAIN_TARGETS.get(context or 0)),
        _share(found.recalled, RECALLED_TARGETS.get(context or 0)),
        f"{found.recalling} of {found.turns}",
        f"{found.cold}",
        f"{_share(found.kept, KEPT_TARGET if context else None)} ({_share(found.least_kept)})",
        f"{found.tokens:,.0f}",
    ]


def _book(found: Mapping[str, Mapping[int, book.Cost]]) -> Table:
    rows = [
        [
            _context(context, position),
            _share(
                cost.common, BOOK_TARGETS.get(context) if position == book.NO_POSITION else None
            ),
            f"{cost.reads_all_again} of {cost.turns}",
            _share(cost.kept),
            f"{cost.tokens:,.0f}",
        ]
        for context in next(iter(found.values()))
        for position, cost in ((name, costs[context]) for name, costs in found.items())
    ]
    return Table(
        "What a book costs",
        "",
        [
            "context, entries",
            "common beginning",
            "turns that read the whole history again",
            "history kept of what fits",
            "tokens a turn",
        ],
        rows,
    )


def _world(
    now: Mapping[str, Mapping[int, Life]], before: Mapping[str, Mapping[int, Life]]
) -> Table:
    rows = []
    for context in now[MEMORY]:
        lives = [(name, lives[context]) for name, lives in now.items() if name != MEMORY]
        if context in before.get(MEMORY, {}):
            lives.append((BEFORE, before[MEMORY][context]))
        rows += [[_context(context, name), *_life(life)] for name, life in lives]
        rows.append([_context(context, NOW), *_life(now[MEMORY][context], context)])
    return Table(
        "What is still known",
        "",
        [
            "context",
            *(f"important, turn {turn}" for turn in CHECKS),
            f"others, turn {LAST}",
            "important, unasked",
            "superseded, shown as current",
            "the same, where the notes do not say so",
            "deleted, still shown",
            "tokens a turn",
            "common beginning",
        ],
        rows,
    )


def _life(life: Life, context: int | None = None) -> list[str]:
    last = life.checks[LAST]
    known, asked = last.important
    target = IMPORTANT_TARGETS.get(context or 0)
    return [
        *(_of(life.checks[turn].important) for turn in CHECKS[:-1]),
        f"{_of(last.important)}{_verdict(known / asked, target)}",
        _of(last.others),
        _of(last.unasked),
        f"{_of(last.superseded)}{_verdict(-last.superseded[0], 0 if context else None, '0')}",
        _of(last.unsaid),
        _of(last.deleted),
        f"{life.tokens:,.0f}",
        _share(life.common),
    ]


def _locomo(results: Results, before: Results) -> Table:
    rows = []
    for name, found in (("", results.locomo), (", with notes", results.noted)):
        earlier = before.noted if name else before.locomo
        for context, one in found.items():
            if context in earlier:
                rows.append([_context(context, f"{BEFORE}{name}"), *_found(earlier[context])])
            target = None if name else EVIDENCE_TARGETS.get(context)
            rows.append([_context(context, f"{NOW}{name}"), *_found(one, target)])
    columns = ["context", "of a question's evidence", "of all evidence", "tokens of a prompt"]
    return Table("Questions about long conversations", "", columns, rows)


def _found(found: Found, target: float | None = None) -> list[str]:
    return [
        _share(found.by_question, target),
        _share(found.by_evidence),
        f"{found.tokens:,.0f}",
    ]


def _context(context: int, name: str) -> str:
    return f"{context:,}, {name}"


def _of(counted: Sequence[int]) -> str:
    found, of = counted
    return f"{found} of {of}"


def _share(value: float | None, target: float | None = None) -> str:
    if value is None:
        return NOTHING
    return f"{value * 100:.1f} %{_verdict(value, target)}"


def _verdict(value: float, target: float | None, shown: str = "") -> str:
    """Whether a target is met, and the target."""
    if target is None:
        return ""
    shown = shown or f"{target * 100:.0f} %"
    return f", target {shown}: met" if value >= target else f", target {shown}: **missed**"


def missed(found: Mapping[str, Table]) -> Iterator[str]:
    """The figures whose target is missed, each with its row and column."""
    for table in found.values():
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                if "**missed**" in cell:
                    yield f"{row[0]}, {column}: {cell.replace('*', '')}"
