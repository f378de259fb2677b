"""Reading leaves of foreign JSON: the result has the right type, or is empty."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import json_values as json
from edge.pricing import MAX_USD_PER_1K, is_free, price

ENDLESS = 10**5_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
READERS: list[Callable[[object], Any]] = [
    json.number,
    json.number_or_text,
    partial(json.clamped, minimum=0, maximum=9),
    partial(json.whole, minimum=0, maximum=9),
    partial(json.integer, minimum=0, maximum=9),
    json.digits,
    json.whole_or_text,
    json.flag_or_text,
    json.text,
    json.fields,
    json.timestamp,
    price,
]


@pytest.mark.parametrize("read", READERS)
@given(value=JSON)
def test_nothing_raises(read: Callable[[object], Any], value: object) -> None:
    read(value)


@pytest.mark.parametrize(
    ("value", "whole", "flag"),
    [
        (1, 1, True),
        (0.0, 0, False),
        (4.0, 4, None),
        (4.5, None, None),
        ("4", 4, None),
        ("4.0", 4, None),
        (" Yes ", None, True),
        ("off", None, False),
        ("", None, None),
        ("1", 1, True),
        (True, None, True),
        (2**53 + 2, None, None),
        ("nan", None, None),
        ([], None, None),
        (None, None, None),
    ],
)
def test_whole_numbers_and_flags_may_be_text(value: object, whole: object, flag: object) -> None:
    found = json.whole_or_text(value), json.flag_or_text(value)
    assert found == (whole, flag)
    assert [type(one) for one in found] == [type(whole), type(flag)]


@pytest.mark.parametrize(
    ("value", "number", "or_text", "clamped", "whole", "integer", "digits"),
    [
        (3, 3, 3, 3, 3, 3, 3),
        (3.7, 3.7, 3.7, 3.7, 3, None, None),
        (3.0, 3, 3, 3, 3, None, None),
        (-1, -1, -1, 0, None, None, None),
        (12, 12, 12, 9, None, None, 12),
        (-0.0, 0, 0, 0, 0, None, None),
        (True, None, None, None, None, None, None),
        (None, None, None, None, None, None, None),
        ("3", None, 3, None, None, None, 3),
        ("3.5", None, 3.5, None, None, None, None),
        (" 3 ", None, 3, None, None, None, None),
        ("-3", None, -3, None, None, None, None),
        ("1" * 17, None, float("1" * 17), None, None, None, None),
        (10**16, 1e16, 1e16, 9, None, None, None),
        ("three", None, None, None, None, None, None),
        ("", None, None, None, None, None, None),
        ("nan", None, None, None, None, None, None),
        ("1e999", None, None, None, None, None, None),
        (math.nan, None, None, None, None, None, None),
        (math.inf, None, None, 9, None, None, None),
        (ENDLESS, None, None, 9, None, None, None),
        ("9" * 5_000, None, None, None, None, None, None),
        ([3], None, None, None, None, None, None),
        ({"a": 3}, None, None, None, None, None, None),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) or value < 1e9 else "large",
)
def test_numbers_are_read_or_none(
    value: object,
    number: float | None,
    or_text: float | None,
    clamped: float | None,
    whole: int | None,
    integer: int | None,
    digits: int | None,
) -> None:
    assert json.number(value) == number
    assert json.number_or_text(value) == or_text
    assert json.clamped(value, 0, 9) == clamped
    assert json.whole(value, minimum=0, maximum=9) == whole
    assert json.integer(value, minimum=0, maximum=9) == integer
    assert json.digits(value) == digits


def test_texts_and_objects_are_read_or_empty() -> None:
    assert [json.text(value) for value in ("a", "", 1, None, ["a"])] == ["a", "", None, None, None]
    values: list[Any] = [{"a": 1}, [], "a", None]
    assert [json.fields(value) for value in values] == [{"a": 1}, {}, {}, {}]


def test_times_are_read_or_none() -> None:
    assert json.timestamp("2026-01-02T03:04:05Z") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    odd = ("2026-01-02T03:04:05", "soon", "", 1, None, "0" * 5_000)
    assert [json.timestamp(value) for value in odd] == [None] * len(odd)


@pytest.mark.parametrize(
    ("key", "prompt", "completion", "free"),
    [
        ("a/b", 0, 0, True),
        ("a/b", 0.0, -0.0, True),
        ("a/b", 0, 0.001, False),
        ("a/b", None, None, False),
        ("a/b", 0, None, False),
        ("a/b:free", None, None, True),
        ("a/b:free", 0, None, True),
        ("a/b:free", 0.001, None, False),
        ("a/b:free", "0", None, False),
        ("a/b:free", False, False, False),
        ("a/b", False, False, False),
        ("a/b", MAX_USD_PER_1K + 1, 0, False),
        ("a/b", math.nan, 0, False),
    ],
)
def test_what_is_free(key: str, prompt: object, completion: object, *, free: bool) -> None:
    pricing = {"prompt_usd_per_1k": prompt, "completion_usd_per_1k": completion}
    assert is_free(key, pricing) is free
    known = {name: value for name, value in pricing.items() if value is not None}
    assert is_free(key, known) is free
