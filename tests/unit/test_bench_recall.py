"""What recall costs the database, in the document."""

from __future__ import annotations

import pytest

from bench.report import document, tables
from bench.results import Results
from tests.support.recall_costs import FOUND


def test_table_has_a_row_for_each_size_and_kind() -> None:
    (table,) = (table for table in tables(Results(recall=FOUND)) if table.title == "Recall")
    assert table.rows == [
        ["100", "nothing", "1.50", "0.50", "2", "1.90", "9,000"],
        ["10,000", "nothing", "2", "0.60", "2.60", "2.50", "90,000"],
        ["100", "by words", "2", "0.50", "2.50", "2.40", "9,000"],
        ["10,000", "by words", "3.50", "0.60", "4.10", "4.10", "90,000"],
        ["100", "nothing, on the same instance", "1", "0.50", "1.50", "1.40", "3,000"],
        ["10,000", "nothing, on the same instance", "1", "0.50", "1.50", "1.60", "4,001"],
        ["10,000", "by words, on the same instance", "2", "0.50", "2.50", "2.40", "9,000"],
        ["100", "nothing, in another conversation each time", "2.50", "0.50", "3", "2.90", "9,000"],
    ]
    assert "1,000,000 messages" in table.words


@pytest.mark.parametrize(
    "row",
    [
        "| both calls among a million messages, nothing recalled | ≤ 2.80 ms | 2.50 ms | met |",
        "| both calls among a million messages, with recall | ≤ 4 ms | 4.10 ms | **missed** |",
        "| both calls among a million messages, on the same instance | ≤ 1.50 ms | 1.60 ms"
        " | **missed** |",
        "| bytes of a turn on the same instance | ≤ 4,000 B | 4,001 B | **missed** |",
    ],
)
def test_the_costliest_conversation_is_held_against_the_target(row: str) -> None:
    assert row in document(Results(recall=FOUND))
