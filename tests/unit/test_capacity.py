"""The estimate of what a number of turns a day needs."""

from __future__ import annotations

import pytest

from bench.capacity import TURNS_A_DAY, Assumed, Measured, measured, need
from bench.report import document, tables
from bench.results import Results
from bench.streams import Streams
from bench.systems import FUNCTION
from bench.turns import STREAM, Comparison, Figures

FIGURES = Measured(cpu_ms=35, database_ms=40)


def test_estimate_equals_one_made_by_hand() -> None:
    # 8,640,000 a day are 100 a second, 500 at the peak.
    found = need(8_640_000, FIGURES, Assumed())
    assert found.turns_per_second == pytest.approx(500)
    assert found.in_progress == pytest.approx(7_500)
    assert found.by_slots == pytest.approx(93.75)
    assert found.by_processor == pytest.approx(25)
    assert (found.instances, found.outage_instances) == (95, 564)
    assert found.busy_connections == pytest.approx(20)
    assert found.pool == 40
    assert found.megabytes_a_day == pytest.approx(34_560)
    assert found.models_usd_a_day == pytest.approx(5_702.4)
    assert found.instances_usd_a_month == pytest.approx(19 * 50)


def test_processor_decides_where_turns_are_heavy() -> None:
    found = need(8_640_000, Measured(cpu_ms=350, database_ms=40), Assumed())
    assert found.by_processor == pytest.approx(250)
    assert found.instances == 251


def test_few_turns_need_one_instance_and_a_spare_one() -> None:
    found = need(1_000, FIGURES, Assumed())
    assert (found.instances, found.outage_instances, found.pool) == (2, 2, 10)


def results() -> Results:
    figures = Figures(1, 0, 1, 1, 1, 1, 7, 2, 1, 1, database_ms=40)
    paced = Streams(200, 200, 1, 1, 1, cpu_ms=35, busy=0.9, peak=1)
    comparison = Comparison({(FUNCTION, STREAM, 32): figures}, {FUNCTION: 1})
    return Results(comparison=comparison, streams={FUNCTION: paced})


def test_table_of_capacity_is_in_the_document() -> None:
    assert measured(results()) == FIGURES
    *_, table = tables(results())
    assert [row[0] for row in table.rows][:1] == ["turns begun in a second"]
    assert table.columns == ["turns a day", *(f"{turns:,}" for turns in TURNS_A_DAY)]
    assert "| instances with a spare one | 2 | 3 | 110 |" in document(results())
    assert "35 ms of processor time" in table.words


def test_what_was_not_measured_is_not_computed() -> None:
    assert measured(Results()) is None
    assert not any(table.title == "Capacity" for table in tables(Results()))
