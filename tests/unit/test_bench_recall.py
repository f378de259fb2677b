"""What recall costs the database, in the document."""

from __future__ import annotations

import pytest

from bench.growth import Calls
from bench.recall import Cost, Recall
from bench.report import document, tables
from bench.results import Results

FOUND = Recall(
    rows=1_000_000,
    nothing={100: Cost(Calls(1.5, 0.5), 1.9), 10_000: Cost(Calls(2, 0.6), 2.5)},
    words={100: Cost(Calls(2, 0.5), 2.4), 10_000: Cost(Calls(3.5, 0.6), 4.1)},
    meaning={},
)


def test_table_has_a_row_for_each_size_and_kind() -> None:
    (table,) = (table for table in tables(Results(recall=FOUND)) if table.title == "Recall")
    assert table.rows == [
        ["100", "nothing", "1.50", "0.50", "2", "1.90"],
        ["10,000", "nothing", "2", "0.60", "2.60", "2.50"],
        ["100", "by words", "2", "0.50", "2.50", "2.40"],
        ["10,000", "by words", "3.50", "0.60", "4.10", "4.10"],
    ]
    assert "1,000,000 messages" in table.words


@pytest.mark.parametrize(
    "row",
    [
        "| both calls among a million messages, nothing recalled | ≤ 2.80 ms | 2.50 ms | met |",
        "| both calls among a million messages, with recall | ≤ 4 ms | 4.10 ms | **missed** |",
    ],
)
def test_the_costliest_conversation_is_held_against_the_target(row: str) -> None:
    assert row in document(Results(recall=FOUND))
