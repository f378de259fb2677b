"""Several instances on one database, in the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.instances import Instances, count_waits
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


@pytest.mark.parametrize(
    ("lock", "waits"),
    [
        ("ShareLock on transaction 744", 1),
        ("ExclusiveLock on tuple (0,7) of relation 16390 of database 16384", 1),
        ("ExclusiveLock on advisory lock [16384,1,2,1]", 1),
        ("ShareLock on speculative token 1 of transaction 744", 1),
        ("ExclusiveLock on extension of relation 16390 of database 16384", 0),
        ("AccessExclusiveLock on relation 16390 of database 16384", 0),
    ],
)
def test_waits_are_those_for_other_turns(tmp_path: Path, lock: str, waits: int) -> None:
    log = tmp_path / "log"
    before = "LOG:  process 7 still waiting for ShareLock on transaction 7 after 1.1 ms\n"
    log.write_text(f"{before}LOG:  process 8 still waiting for {lock} after 1.101 ms\n")
    assert count_waits(log, len(before)) == waits
