"""Prints reports: one line per row for other programs, within the width of a terminal for people,
or as JSON."""

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

INDENT = 4


@dataclass(frozen=True)
class Block:
    """A row of a table on a terminal: its name, and wrapped lines below."""

    name: str
    lines: Sequence[str] = ()
    style: str = ""
    """The style of the name."""


@dataclass(frozen=True)
class Table:
    """Rows under headings. A terminal shows `blocks`, or the rows where they fit and none are
    given."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    blocks: Sequence[Block] | None = None
    right: Collection[str] = ()
    """The headings of the columns that are aligned to the right."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Nothing is wider than the terminal, and nothing is cut."""
        if self.title:
            yield Text(plain(self.title), "bold")
        lines = [line[1:] for line in aligned(self)]
        if self.blocks is None and max(map(cell_len, lines)) <= options.max_width:
            yield from map(Text, lines)
        else:
            for block in _blocks(self) if self.blocks is None else self.blocks:
                yield from _shown(block)
        yield Text()


@dataclass(frozen=True)
class Line:
    """A separate line, such as a result."""

    text: str
    style: str = ""

    def __rich__(self) -> Text:
        return Text(plain(self.text), self.style)


Part = Table | Line


def show(parts: Iterable[Part], data: Any, *, as_json: bool) -> None:
    """Print a report. `data` is what it says, as JSON."""
    if as_json:
        click.echo(json.dumps(data, indent=2, default=str))
    else:
        _print(parts, err=False)


def tell(*sentences: str, err: bool = False) -> None:
    """Print sentences, each on its own line; words are not broken at a terminal's edge."""
    _print(map(Line, sentences), err=err)


def _print(parts: Iterable[Part], *, err: bool) -> None:
    output = sys.stderr if err else sys.stdout
    if output.isatty():
        console = Console(file=output, highlight=False, emoji=False)
        for part in parts:
            console.print(part)
    else:
        for line in piped(parts):
            click.echo(line, err=err)


def complain(sentence: str, *, as_json: bool) -> None:
    """Print why there is no report."""
    show([Line(sentence, "red")], {"error": sentence}, as_json=as_json)


def piped(parts: Iterable[Part]) -> Iterator[str]:
    """Every row on one line, however long it is."""
    for part in parts:
        if isinstance(part, Line):
            yield plain(part.text)
            continue
        if part.title:
            yield plain(part.title)
        yield from aligned(part)
        yield ""


def _shown(block: Block) -> Iterator[RenderableType]:
    if block.name:
        yield Text(plain(block.name), block.style)
    for line in filter(None, block.lines):
        yield Padding(Text(plain(line)), (0, 0, 0, INDENT), expand=False)


def _blocks(table: Table) -> Iterator[Block]:
    for name, *cells in table.rows:
        named = zip(table.headings[1:], cells, strict=True)
        yield Block(name, [f"{heading}: {cell}" for heading, cell in named if cell])


def aligned(table: Table) -> list[str]:
    """The headings and the rows as lines of equally wide columns."""
    rows = [table.headings, *(tuple(map(plain, row)) for row in table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    is_right = [heading in table.right for heading in table.headings]
    return [
        (" " + "  ".join(map(_pad, row, widths, is_right))).rstrip() for row in rows if any(row)
    ]


def _pad(cell: str, width: int, is_right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if is_right else cell + space


def plain(value: object) -> str:
    """Untrusted text without terminal control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))


def short_names(names: Iterable[str]) -> Mapping[str, str]:
    """The last part of each model's name, or the whole name if two would be the same."""
    found = dict.fromkeys(names)
    ends = [name.rpartition("/")[2] for name in found]
    return {
        name: end if end and ends.count(end) == 1 else name
        for name, end in zip(found, ends, strict=True)
    }
