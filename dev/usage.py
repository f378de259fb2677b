"""`make usage`: what was used, by day, model and person, from the reports of the database."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from dev.project import NoSuchFunction, Unreachable, find
from dev.settings import Settings
from dev.verify import plain

REPORTS = {
    "usage_by_day": "By day (UTC)",
    "usage_by_model": "By model",
    "usage_by_user": "By person, those who cost most",
}
BAR_WIDTH = 24

Row = Mapping[str, Any]


def main(settings: Settings, days: int) -> int:
    """Print the reports. The exit code is 1 when they cannot be had."""
    console = Console(highlight=False)
    try:
        project = find(settings)
        found = {name: project.call(name, p_days=days) for name in REPORTS}
    except Unreachable as error:
        console.print(plain(error), style="red")
        return 1
    except NoSuchFunction as error:
        console.print(f"The database lacks {error}. `make deploy-db` shows how to migrate it.")
        return 1
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


def without_gaps(rows: Sequence[Row]) -> list[Row]:
    """The days from first to last; one without calls has nothing but its name."""
    by_day = {date.fromisoformat(row["key"]): row for row in rows}
    first, last = min(by_day), max(by_day)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [by_day.get(day, {"key": day.isoformat()}) for day in days]


def _charted(rows: Sequence[Row]) -> str:
    """What the bars show: money, and calls where nothing costs any."""
    return "cost_usd" if any(row["cost_usd"] for row in rows) else "calls"


def report(title: str, rows: Sequence[Row], *, share: str) -> Table:
    """One report as a table, with a bar of what is charted in each row."""
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("", overflow="fold")
    for heading in COLUMNS:
        table.add_column(heading, justify="right")
    table.add_column("cost" if share == "cost_usd" else "calls", min_width=BAR_WIDTH)
    most = max((row.get(share) or 0 for row in rows), default=0)
    for row in rows:
        cells = [cell(row) for cell in COLUMNS.values()] if "calls" in row else [""] * len(COLUMNS)
        bar = Bar(most or 1, 0, row.get(share) or 0, width=BAR_WIDTH, color="cyan")
        table.add_row(plain(row["key"]), *map(plain, cells), bar)
    return table


def totals(rows: Sequence[Row]) -> str:
    """All days together, in one line."""
    summed = {name: sum(row[name] for row in rows) for name in ("calls", "errors", "cost_usd")}
    unknown = sum(row["cost_unknown"] for row in rows)
    line = (
        f"Together {summed['calls']:,} calls, {summed['errors']:,} of them failed, "
        f"{summed['cost_usd']:.4f} USD."
    )
    return f"{line} The cost of {unknown:,} calls is not known." if unknown else line


def _errors(row: Row) -> str:
    """The share of failed calls and the most frequent kind."""
    if not row["errors"]:
        return "-"
    kind, _ = max(row["outcomes"].items(), key=lambda outcome: outcome[1])
    return f"{row['errors'] / row['calls']:.0%} {kind}"


def _times(name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        times = [row[f"{name}_p50"], row[f"{name}_p95"]]
        return " / ".join("-" if ms is None else f"{ms / 1000:.1f}" for ms in times)

    return cell


COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "turns": lambda row: f"{row['turns']:,}",
    "calls": lambda row: f"{row['calls']:,}",
    "errors": _errors,
    "tokens in": lambda row: f"{row['prompt_tokens']:,}",
    "out": lambda row: f"{row['completion_tokens']:,}",
    "USD": lambda row: f"{row['cost_usd']:.4f}",
    "first token, s": _times("first_token_ms"),
    "whole, s": _times("duration_ms"),
}
"""Cells by heading; times are the median and the 95th percentile of answered calls."""
