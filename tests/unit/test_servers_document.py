"""docs/servers.md is up to date."""

from __future__ import annotations

from tests.support import servers_document
from tests.support.servers import ERRORS


def test_tables_are_those_of_the_facts() -> None:
    assert servers_document.DOCUMENT.read_text() == servers_document.current(), (
        "run: python -m tests.support.servers_document"
    )


def test_every_server_with_errors_has_a_row() -> None:
    rows = [line for line in servers_document.lines() if line.startswith("| ")]
    assert all(any(row.startswith(f"| {error.server} |") for row in rows) for error in ERRORS)
