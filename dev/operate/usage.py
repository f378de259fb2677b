"""`make usage`: cost, tokens, errors and latency by day, model and user."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from typing import Any

from pydantic import BaseModel, TypeAdapter
from rich.bar import END_BLOCK_ELEMENTS, FULL_BLOCK

from dev.operate.foreign import is_foreign
from dev.operate.project import NoSuchFunction, Project, Unreachable, find
from dev.operate.report import Block, Line, Part, Table, complain, short_names, show
from dev.settings import Settings

REPORTS = {
    "usage_by_day": "By day (UTC)",
    "usage_by_model": "By model",
    "usage_by_user": "By user, highest cost first",
}
BAR_WIDTH = 24


class Usage(BaseModel):
    """Usage of one day, model or user: a private.usage_row.

    Some Data APIs return large numbers as text. Both forms are accepted.
    """

    key: str
    turns: int = 0
    calls: int = 0
    errors: int = 0
    outcomes: dict[str, int] = {}
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0
    cost_unknown: int = 0
    estimated: int = 0
    first_token_ms_p50: int | None = None
    first_token_ms_p95: int | None = None
    duration_ms_p50: int | None = None
    duration_ms_p95: int | None = None
    since: datetime | None = None


class Side(BaseModel):
    """A day of one function: ours ("new"), or the one it replaces; see compare_functions."""

    day: date
    side: str
    conversations: int
    said: int
    replies: int
    failed: int | None
    fallbacks: int | None
    duration_ms_p50: int | None
    cost_usd: float | None


_ROWS = TypeAdapter(list[Usage])
_SIDES = TypeAdapter(list[Side])


def main(settings: Settings, days: int, *, as_json: bool = False) -> int:
    """Print the reports. The exit code is 1 if they are not available."""
    try:
        project = find(settings)
        roll_up(project)
        found = {name: read(project.call(name, p_days=days)) for name in REPORTS}
        sides = read_sides(project, days)
    except Unreachable as error:
        complain(str(error), as_json=as_json)
        return 1
    except NoSuchFunction as error:
        is_theirs = not project.is_local and is_foreign(project.url, project.secret_key)
        target = "adopt" if is_theirs else "deploy-db"
        sentence = f"The database lacks {error}. `make {target}` shows how to update it."
        complain(sentence, as_json=as_json)
        return 1
    show(report(found, sides, days), data(found, sides, days), as_json=as_json)
    return 0


def roll_up(project: Project) -> None:
    """Add what happened since the last run of health_check to the sums that the reports read."""
    day = project.call("roll_up_usage")
    while day is not None:
        day = project.call("roll_up_usage", p_day=day)


def data(
    found: Mapping[str, Sequence[Usage]], sides: Sequence[Side] | None, days: int
) -> dict[str, Any]:
    """The reports as JSON, with everything that the database counts for each day, model and
    user."""
    reports = {name: [row.model_dump(mode="json") for row in rows] for name, rows in found.items()}
    functions = None if sides is None else [side.model_dump(mode="json") for side in sides]
    return {"days": days, **reports, "compare_functions": functions}


def report(
    found: Mapping[str, Sequence[Usage]], sides: Sequence[Side] | None, days: int
) -> Iterator[Part]:
    """The tables, and the sum of all days."""
    if sides is None:
        yield Line("The old and the new function are not compared: it took too long. Try DAYS=1.")
    elif sides:
        yield comparison(sides)
    by_day = found["usage_by_day"]
    if not by_day:
        yield Line(f"No model was called in the last {days} days.")
        return
    share = _charted(by_day)
    for name, rows in {**found, "usage_by_day": without_gaps(by_day)}.items():
        yield table(_title(name, rows), rows, share=share)
    yield Line(totals(by_day))


def _title(name: str, rows: Sequence[Usage]) -> str:
    since = next((row.since for row in rows if row.since), None)
    if since is None:
        return REPORTS[name]
    return f"{REPORTS[name]}, only calls since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def read(rows: object) -> list[Usage]:
    """Parse the rows of a report from the Data API."""
    return _ROWS.validate_python(rows)


def read_sides(project: Project, days: int) -> list[Side] | None:
    """Old and new, day by day; empty if nothing was adopted. None if the database gave up: the
    product's messages may be many and have no index by time."""
    try:
        return read_sides_of(project.call("compare_functions", p_days=days))
    except NoSuchFunction:
        return []
    except Unreachable:
        return None


def read_sides_of(rows: object) -> list[Side]:
    """Parse the rows of `compare_functions` from the Data API."""
    return _SIDES.validate_python(rows)


def comparison(sides: Sequence[Side]) -> Table:
    """Both functions as a table."""
    names = [f"{side.day} {side.side}" for side in sides]
    cells = [[cell(side) for cell in SIDE_COLUMNS.values()] for side in sides]
    return Table(
        ("", *SIDE_COLUMNS),
        [(name, *row) for name, row in zip(names, cells, strict=True)],
        "The function that is replaced (old) and ours (new), by day (UTC)",
        blocks_of_numbers(names, SIDE_COLUMNS, cells),
        right=SIDE_COLUMNS,
    )


def _share(part: int | None, whole: int) -> str:
    return "-" if part is None or not whole else f"{part / whole:.1%}"


SIDE_COLUMNS: Mapping[str, Callable[[Side], str]] = {
    "conversations": lambda side: f"{side.conversations:,}",
    "messages": lambda side: f"{side.said:,}",
    "replies a message": lambda side: f"{side.replies / side.said:.2f}" if side.said else "-",
    "errors": lambda side: _share(side.failed, side.said),
    "fallbacks": lambda side: _share(side.fallbacks, side.said),
    "time, s": lambda side: _seconds(side.duration_ms_p50),
    "USD": lambda side: "-" if side.cost_usd is None else f"{side.cost_usd:.4f}",
}
"""Cells by heading; the time is the median."""


def _seconds(ms: int | None) -> str:
    return "-" if ms is None else f"{ms / 1000:.1f}"


def without_gaps(rows: Sequence[Usage]) -> list[Usage]:
    """All days from the first to the last. Days without calls have empty rows."""
    by_day = {date.fromisoformat(row.key): row for row in rows}
    first, last = min(by_day), max(by_day)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [by_day.get(day, Usage(key=day.isoformat())) for day in days]


def _charted(rows: Sequence[Usage]) -> str:
    """The column that the bars show: cost, or calls if nothing has a cost."""
    return "cost_usd" if any(row.cost_usd for row in rows) else "calls"


def table(title: str, rows: Sequence[Usage], *, share: str) -> Table:
    """One report as a table, with a bar for `share` in each row."""
    shares = [getattr(row, share) for row in rows]
    bars = [bar(part, max(shares)) for part in shares]
    cells = [_cells(COLUMNS, row) for row in rows]
    short = short_names(row.key for row in rows)
    names = [
        "  ".join(filter(None, (short[row.key], one))) for row, one in zip(rows, bars, strict=True)
    ]
    numbers = [_cells(SHORT_COLUMNS, row) for row in rows]
    failed = [f"failed: {_errors(row)}" if row.errors else "" for row in rows]
    return Table(
        ("", *COLUMNS, "cost" if share == "cost_usd" else "calls"),
        [(row.key, *cell, one) for row, cell, one in zip(rows, cells, bars, strict=True)],
        title,
        blocks_of_numbers(names, SHORT_COLUMNS, numbers, failed),
        right=COLUMNS,
    )


def _cells(columns: "Columns", row: Usage) -> list[str]:
    return [cell(row) if row.calls else "" for cell in columns.values()]


def bar(part: float, whole: float) -> str:
    """A bar of block characters, `BAR_WIDTH` long for the whole."""
    eighths = round(BAR_WIDTH * 8 * part / whole) if whole else 0
    return FULL_BLOCK * (eighths // 8) + END_BLOCK_ELEMENTS[eighths % 8].strip()


def blocks_of_numbers(
    names: Sequence[str],
    headings: Iterable[str],
    rows: Sequence[Sequence[str]],
    notes: Iterable[str] = repeat(""),
) -> list[Block]:
    """Each name on its own line, with its numbers in columns and its note below."""
    lines = [list(headings), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [" ".join(map(str.rjust, line, widths)).rstrip() for line in lines]
    named = zip(names, shown[1:], notes)  # noqa: B905 - there may be notes without end
    return [Block("", shown[:1]), *(Block(name, lines, "bold") for name, *lines in named)]


def totals(rows: Sequence[Usage]) -> str:
    """The sum of all days in one line."""
    calls, errors = sum(row.calls for row in rows), sum(row.errors for row in rows)
    unknown = sum(row.cost_unknown for row in rows)
    estimated = sum(row.estimated for row in rows)
    cost = sum(row.cost_usd for row in rows)
    line = f"Total: {calls:,} calls, {errors:,} failed, {cost:.4f} USD."
    line += f" The cost of {unknown:,} calls is unknown." if unknown else ""
    return f"{line} The tokens of {estimated:,} calls are estimated." if estimated else line


def _errors(row: Usage) -> str:
    """The share of failed calls, and the most frequent kind of failure."""
    if not row.errors:
        return "-"
    kind, _ = max(row.outcomes.items(), key=lambda outcome: outcome[1])
    return f"{row.errors / row.calls:.0%} {kind}"


def _cached(row: Usage) -> str:
    """The share of the prompts that came from providers' caches, if they report it."""
    return (
        f"{row.cached_tokens / row.prompt_tokens:.0%}"
        if row.cached_tokens and row.prompt_tokens
        else "-"
    )


def _times(name: str) -> Callable[[Usage], str]:
    def cell(row: Usage) -> str:
        times = [getattr(row, f"{name}_p50"), getattr(row, f"{name}_p95")]
        return " / ".join(map(_seconds, times))

    return cell


Columns = Mapping[str, Callable[[Usage], str]]
COLUMNS: Columns = {
    "turns": lambda row: f"{row.turns:,}",
    "calls": lambda row: f"{row.calls:,}",
    "errors": _errors,
    "tokens in": lambda row: f"{row.prompt_tokens:,}",
    "cached": _cached,
    "out": lambda row: f"{row.completion_tokens:,}",
    "USD": lambda row: f"{row.cost_usd:.4f}",
    "first token, s": _times("first_token_ms"),
    "whole, s": _times("duration_ms"),
}
"""Cells by heading. Times are median and 95th percentile of successful calls."""


UNITS = ("k", "M", "G", "T")


def short(number: float) -> str:
    """A number below a quadrillion in at most six characters: 999, 12.3k, 4.5M."""
    if number < 999.5:
        return f"{number:.0f}"
    for unit in UNITS:
        number /= 1000
        if number < 999.95 or unit == UNITS[-1]:
            break
    return f"{number:.1f}{unit}"


def _short_usd(row: Usage) -> str:
    return f"{row.cost_usd:.4f}" if row.cost_usd < 1000 else short(row.cost_usd)


def _short_times(name: str) -> Callable[[Usage], str]:
    def cell(row: Usage) -> str:
        times = [getattr(row, f"{name}_p50"), getattr(row, f"{name}_p95")]
        return "/".join("-" if ms is None else short_seconds(ms) for ms in times)

    return cell


def short_seconds(ms: int) -> str:
    """Seconds in at most five characters."""
    return f"{ms / 1000:.1f}" if ms < 999_000 else f"{short(ms / 1000)}"


SHORT_COLUMNS: Columns = {
    "turns": lambda row: short(row.turns),
    "calls": lambda row: short(row.calls),
    "in": lambda row: short(row.prompt_tokens),
    "cached": _cached,
    "out": lambda row: short(row.completion_tokens),
    "USD": _short_usd,
    "first, s": _short_times("first_token_ms"),
    "whole, s": _short_times("duration_ms"),
}
"""The same within the width of a terminal."""
