"""The tables of docs/servers.md: `python -m tests.support.servers_document` writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from dev.options import no_options
from tests.support.postgres import ROOT
from tests.support.servers import ERRORS
from tests.support.servers_streams import END_TOKENS, FAILURES, REASONING, SHAPES, SPOKEN
from tests.support.templates import FAMILIES

DOCUMENT: Path = ROOT / "docs" / "servers.md"
BEGIN, END = "<!-- from tests/support -->", "<!-- to here -->"


def lines() -> Iterator[str]:
    """The tables: errors and streams by server, then what models' families bring."""
    errors: dict[str, list[str]] = defaultdict(list)
    for error in ERRORS:
        errors[error.server].append(error.situation)
    streams: dict[str, int] = defaultdict(int)
    for shape in (*SHAPES.values(), *(shape for shape, _ in FAILURES.values())):
        streams[shape.server] += 1
    yield "| server | errors | streams | situations of its errors |"
    yield "|---|---|---|---|"
    for server in sorted({*errors, *streams}, key=str.lower):
        situations = ", ".join(sorted(set(errors[server])))
        yield f"| {server} | {len(errors[server]) or ''} | {streams[server] or ''} | {situations} |"
    yield ""
    yield "| facts of models' families | families |"
    yield "|---|---|"
    yield f"| chat templates and the roles they take | {', '.join(f.name for f in FAMILIES)} |"
    yield f"| reasoning in the text | {', '.join((*REASONING, *SPOKEN))} |"
    yield f"| tokens that end a turn | {', '.join(END_TOKENS)} |"


def current() -> str:
    """The document with its tables as they are now."""
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n" + "\n".join(lines()) + f"\n{END}{after}"


if __name__ == "__main__":
    no_options("tests.support.servers_document", __doc__)
    DOCUMENT.write_text(current())
