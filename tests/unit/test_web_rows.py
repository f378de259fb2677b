"""Tables of the console are sorted, filtered and exported. The module runs in Node.js."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any

import pytest

from tests.support.node import evaluate

COLUMNS = '[{ title: "Value", value: (row) => row.value }, { title: "Actions" }]'


def exported(*values: Any) -> list[str]:
    """The values in the file, as a program that knows CSV reads them."""
    rows = [{"value": value} for value in values]
    text = evaluate("console-rows.js", f"module.csv(given, {COLUMNS})", rows)
    assert text.startswith("\ufeff")
    assert text.endswith("\r\n")
    header, *lines = csv.reader(StringIO(text.removeprefix("\ufeff"), newline=""))
    assert header == ["Value"]
    return [line[0] if line else "" for line in lines]


@pytest.mark.parametrize(
    "formula",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1", "\ufeff=1"),
        *("＝1", "＋1", "－1", "＠A", '=HYPERLINK("x","y")', "=1,2", "-", "\x00=1"),
    ],
)
def test_text_that_a_spreadsheet_could_run_is_text(formula: str) -> None:
    assert exported(formula) == [f"'{formula}"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        *((5, "5"), (-5, "-5"), (0.25, "0.25"), (True, "true"), (None, ""), ("", "")),
        *(("a,b", "a,b"), ('say "x"', 'say "x"'), ("two\nlines", "two\nlines"), ("a;b", "a;b")),
        *(("a=b", "a=b"), ("it's", "it's"), ("naïve 林", "naïve 林")),
    ],
)
def test_other_values_stay_as_they_are(value: Any, told: str) -> None:
    assert exported(value) == [told]


def values(expression: str, *given: Any) -> list[Any]:
    rows = [{"value": value} for value in given]
    found = evaluate("console-rows.js", expression, rows)
    return [row["value"] for row in found]


@pytest.mark.parametrize(
    ("given", "order"),
    [
        ([10, 9, None, 1], [1, 9, 10, None]),
        (["b", "", "a10", "a9"], ["a9", "a10", "b", ""]),
        ([None, None], [None, None]),
    ],
)
def test_rows_without_a_value_are_last_in_both_directions(
    given: list[Any], order: list[Any]
) -> None:
    column = "{ value: (row) => row.value }"
    assert values(f"module.sorted(given, {column}, false)", *given) == order
    known = [value for value in order if value not in (None, "")]
    turned = [*reversed(known), *order[len(known) :]]
    assert values(f"module.sorted(given, {column}, true)", *given) == turned


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", ["Mara Voss", "Ada", None]),
        ("  mara ", ["Mara Voss"]),
        ("voss mara", ["Mara Voss"]),
        ("mara ada", []),
        ("(", []),
    ],
)
def test_all_words_have_to_be_in_a_row(words: str, found: list[Any]) -> None:
    expression = f"module.matching(given, {COLUMNS}, {words!r})"
    assert values(expression, "Mara Voss", "Ada", None) == found
