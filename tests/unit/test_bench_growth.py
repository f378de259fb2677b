"""How much longer the calls of a turn take in an adopted database, in the document."""

from __future__ import annotations

import pytest

from bench.growth import Adoption, Calls, Growth
from bench.report import document, tables
from bench.results import Results
from bench.targets import TARGETS

ADOPTION = Adoption(
    new={100: Calls(2, 0.8), 100_000: Calls(2.5, 1)},
    adopted={100: Calls(2.2, 1), 100_000: Calls(3.5, 1.1)},
    rows={"conversations": 20, "messages": 300_000},
)


def results(adoption: Adoption | None = ADOPTION) -> Results:
    return Results(growth=Growth({100: Calls(2, 0.8)}, {}, {}, 1, adoption))


def figures(results: Results) -> dict[str, float | None]:
    return {
        target.name.partition(" ")[0]: target.verdict(results).value
        for target in TARGETS
        if "adopted" in target.name
    }


def test_ratios_are_of_calls_in_conversations_of_one_size() -> None:
    assert ADOPTION.ratios()[100].begin_turn == pytest.approx(1.1)
    assert ADOPTION.ratios()[100].finish_turn == pytest.approx(1.25)
    assert ADOPTION.ratios()[100_000].begin_turn == pytest.approx(1.4)


def test_table_has_a_row_for_each_size() -> None:
    (table,) = (table for table in tables(results()) if table.title == "An adopted database")
    assert table.rows == [
        ["100", "2", "2.20", "1.10", "0.80", "1", "1.25"],
        ["100,000", "2.50", "3.50", "1.40", "1", "1.10", "1.10"],
    ]
    assert "20 conversations, 300,000 messages" in table.words


def test_the_worst_ratio_is_held_against_the_target() -> None:
    assert figures(results()) == {
        "begin_turn": pytest.approx(1.4),
        "finish_turn": pytest.approx(1.25),
    }
    assert "| begin_turn in an adopted database, against a new one | ≤ 1.50 × | 1.40 × | met |" in (
        document(results())
    )


def test_without_an_adopted_database_nothing_is_said_of_one() -> None:
    assert figures(results(None)) == {"begin_turn": None, "finish_turn": None}
    assert "An adopted database" not in [table.title for table in tables(results(None))]
