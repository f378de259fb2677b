"""Pure modules of the pages: emphasis beside Chinese punctuation, and pages of long tables."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node import evaluate


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("**重要：**请看", "**重要x**请看"),
        ("他说**“你好。”**然后", "他说**x你好xx**然后"),
        ("**abc(x)**是", "**abc(xx**是"),
        ("**a(b)** c, d.", "**a(b)** c, d."),
        ("a 🦉 *b*", "a 🦉 *b*"),
    ],
)
def test_marks_beside_such_scripts_count_as_letters(text: str, letters: str) -> None:
    assert evaluate("emphasis.js", "module.withLetters(given)", text) == letters


def test_pages_follow_the_last_row() -> None:
    row = {"id": "7", "name": 'Ann "the\\cat", (x)'}
    found = evaluate("paging.js", "module.after(given, 'name', true)", row)
    name = '"Ann \\"the\\\\cat\\", (x)"'
    assert found == f'name.gt.{name},and(name.eq.{name},id.gt."7")'
    found = evaluate("paging.js", "module.after(given, 'at', false)", {"id": "7", "at": 3})
    assert found == 'at.lt."3",and(at.eq."3",id.lt."7")'


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([9, 8, 8], ([9], True)),
        ([9, 8, 7], ([9, 8], True)),
        ([8, 8, 8], ([8, 8, 8], True)),
        ([9, 8], ([9, 8], False)),
        ([], ([], False)),
    ],
)
def test_page_has_whole_positions(positions: list[int], expected: Any) -> None:
    rows = [{"position": position} for position in positions]
    page = evaluate("paging.js", "module.wholePositions(given, 3)", rows)
    assert ([row["position"] for row in page["rows"]], page["more"]) == expected


def test_list_takes_in_its_first_page_as_it_is_now() -> None:
    given = {
        "list": [{"id": name, "at": at} for name, at in (("a", 9), ("b", 8), ("c", 5), ("d", 4))],
        "page": [{"id": "c", "at": 10}, {"id": "a", "at": 9}, {"id": "e", "at": 7}],
    }
    merged = "module.withFirstPage(given.list, given.page, whole, (row, last) => row.at > last.at)"
    ids = f"{merged}.map(({{ id }}) => id)"
    # b was deleted: it would be on the page. d is on a later one.
    found = evaluate("paging.js", f"((whole) => {ids})(false)", given)
    assert found == ["c", "a", "e", "d"]
    found = evaluate("paging.js", f"((whole) => {ids})(true)", given)
    assert found == ["c", "a", "e"]
