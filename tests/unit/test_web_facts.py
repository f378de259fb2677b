"""What the page makes of the rows of a memory. The module runs in Node.js."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node import evaluate


def row(number: int, content: str, **columns: Any) -> dict[str, Any]:
    return {"id": number, "content": content, "replaced_by": None, "is_withdrawal": False} | columns


def shown(*rows: dict[str, Any]) -> list[tuple[str, list[str]]]:
    found = evaluate("facts.js", "module.sorted(given).facts", rows)
    return [(fact["content"], fact["earlier"]) for fact in found]


def test_facts_that_hold_are_shown_with_what_they_replaced() -> None:
    assert shown(
        row(1, "Paris.", replaced_by=2),
        row(2, "Oslo.", replaced_by=3),
        row(3, "Rome."),
        row(4, "Tea."),
    ) == [("Rome.", ["Oslo.", "Paris."]), ("Tea.", [])]


def test_withdrawn_facts_are_not_shown() -> None:
    gone = row(2, "A dog.", is_withdrawal=True)
    assert shown(row(1, "A dog.", replaced_by=2), gone) == []
    assert shown(row(1, "A dog.", replaced_by=2), gone | {"replaced_by": 3}, row(3, "A cat.")) == [
        ("A cat.", ["A dog."])
    ]


def test_same_text_is_not_shown_as_earlier() -> None:
    rows = [row(1, "Paris.", replaced_by=2), row(2, "Oslo.", replaced_by=3), row(3, "Paris.")]
    assert shown(*rows) == [("Paris.", ["Oslo."])]


@pytest.mark.parametrize(
    ("hidden", "hiding", "members", "by"),
    [
        ({}, {}, 1, "Oslo."),
        ({"pinned": True}, {}, 1, None),
        ({"written_by": "person"}, {}, 1, None),
        ({}, {"is_active": False}, 1, None),
        ({}, {"replaced_by": 3}, 1, None),
        ({}, {"memories": {"tier": "character"}}, 1, "Oslo."),
        ({}, {"memories": {"tier": "character"}}, 2, None),
    ],
)
def test_fact_that_holds_only_elsewhere_says_what_takes_its_place(
    hidden: dict[str, Any], hiding: dict[str, Any], members: int, by: str | None
) -> None:
    columns = {"is_active": True, "hides": [], "memories": {"tier": "conversation"}}
    rows = [
        row(1, "Paris.", **columns | hidden),
        row(2, "Oslo.", **columns | {"hides": [1]} | hiding),
    ]
    found = evaluate("facts.js", f"module.sorted(given, {members}).facts", rows)
    assert found[0]["hiddenBy"] == by


@pytest.mark.parametrize("newer", [1, 2, 9])
def test_rows_that_point_anywhere_end(newer: int) -> None:
    rows = [row(1, "One.", replaced_by=newer), row(2, "Two.", replaced_by=1), row(3, "Three.")]
    assert shown(*rows) == [("Three.", [])]


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (None, ""),
        ({"person_content": "", "content": "It."}, "It."),
        ({"person_content": "Mine.", "content": ""}, "Mine."),
        ({"person_content": "Mine.", "content": "It."}, "Mine.\nIt."),
    ],
)
def test_summary_is_the_persons_part_then_the_models(summary: Any, text: str) -> None:
    assert evaluate("facts.js", "module.joined(given)", summary) == text


def test_day_is_written_out() -> None:
    time = "2026-05-03T23:30:00+00:00"
    assert evaluate("facts.js", "module.day(given)", time) == "May 3, 2026"
