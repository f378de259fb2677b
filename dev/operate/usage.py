"""`make usage`: cost, tokens, errors and latency by day, model and user."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

from pydantic import BaseModel, TypeAdapter
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from dev.operate.foreign import is_foreign
from dev.operate.project import NoSuchFunction, Project, Unreachable, find
from dev.operate.verify import plain
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


def main(settings: Settings, days: int) -> int:
    """Print the reports. The exit code is 1 if they are not available."""
    console = Console(highlight=False)
    try:
        project = find(settings)
        found = {name: read(project.call(name, p_days=days)) for name in REPORTS}
        sides = read_sides(project, days)
    except Unreachable as error:
        console.print(plain(error), style="red")
        return 1
    except NoSuchFunction as error:
        is_theirs = not project.is_local and is_foreign(project.url, project.secret_key)
        target = "adopt" if is_theirs else "deploy-db"
        console.print(f"The database lacks {error}. `make {target}` shows how to update it.")
        return 1
    if sides:
        console.print(comparison(sides))
        console.print()
    by_day = found["usage_by_day"]
    if not by_day:
        console.print(f"No model was called in the last {days} days.")
        return 0
    found["usage_by_day"] = without_gaps(by_day)
    for name, rows in found.items():
        console.print(report(REPORTS[name], rows, share=_charted(by_day)))
        console.print()
    console.print(plain(totals(by_day)))
    return 0


def read(rows: object) -> list[Usage]:
    """Parse the rows of a report from the Data API."""
    return _ROWS.validate_python(rows)


def read_sides(project: Project, days: int) -> list[Side]:
    """Old and new, day by day; empty where nothing was adopted."""
    try:
        return _SIDES.validate_python(project.call("compare_functions", p_days=days))
    except NoSuchFunction:
        return []


def comparison(sides: Sequence[Side]) -> Table:
    """Both functions as a table."""
    title = "The function that is replaced (old) and ours (new), by day (UTC)"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("")
    for heading in SIDE_COLUMNS:
        table.add_column(heading, justify="right")
    for side in sides:
        cells = [cell(side) for cell in SIDE_COLUMNS.values()]
        table.add_row(f"{side.day} {side.side}", *cells)
    return table


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


def report(title: str, rows: Sequence[Usage], *, share: str) -> Table:
    """One report as a table, with a bar for `share` in each row."""
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("", overflow="fold")
    for heading in COLUMNS:
        table.add_column(heading, justify="right")
    table.add_column("cost" if share == "cost_usd" else "calls", min_width=BAR_WIDTH)
    shares = [getattr(row, share) for row in rows]
    for row, its_share in zip(rows, shares, strict=True):
        cells = [cell(row) if row.calls else "" for cell in COLUMNS.values()]
        bar = Bar(max(shares) or 1, 0, its_share, width=BAR_WIDTH, color="cyan")
        table.add_row(plain(row.key), *map(plain, cells), bar)
    return table


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
    """The share of the prompts that came from providers' caches, as far as they say."""
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


COLUMNS: Mapping[str, Callable[[Usage], str]] = {
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
