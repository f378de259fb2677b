"""Several instances on one database, in the document."""

from __future__ import annotations

import pytest

from bench.instances import Instances
from bench.report import document, tables
from bench.results import Results

FOUND = {1: Instances(100, 3, 4, 0), 3: Instances(125, 3.3, 4.2, 2)}


def test_table_compares_with_one_instance() -> None:
    (_, table) = tables(Results(instances=FOUND))
    assert table.rows == [
        ["1", "100", "1", "3", "4", "0"],
        ["3", "125", "1.25", "3.30", "4.20", "2"],
    ]


@pytest.mark.parametrize(
    "row",
    [
        "| turns/s of three instances on one database, against one | ≥ 1 × | 1.25 × | met |",
        "| waits for locks of another turn, three instances | ≤ 0 | 2 | **missed** |",
    ],
)
def test_three_are_held_against_the_targets(row: str) -> None:
    assert row in document(Results(instances=FOUND))
