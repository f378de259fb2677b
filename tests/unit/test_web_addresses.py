"""Addresses of the console's pages, and limits in its forms. The modules run in Node.js."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node import evaluate

ID = "c0ffee00-0000-4000-8000-000000000001"
OVERVIEW = {"page": "overview", "params": {}}


def parsed(search: str) -> dict[str, Any]:
    return dict(evaluate("console-address.js", "module.parse(given)", search))


@pytest.mark.parametrize(
    "search",
    [
        *("", "?", "?page=", "?page=constructor", "?page=__proto__", "?page=nowhere", "?x=1"),
        *("?page=overview&period=constructor", "?page=overview&from=yesterday&to=<b>"),
    ],
)
def test_address_that_names_nothing_is_the_first_page(search: str) -> None:
    assert parsed(search) == OVERVIEW


@pytest.mark.parametrize(
    ("page", "params"),
    [
        ("overview", {"period": "7 days"}),
        ("overview", {"from": "2026-05-01T00:00:00.000Z", "to": "2026-05-02T00:00:00.000Z"}),
        ("turns", {"status": "failed", "error": "timeout", "model": "a:b/c:free", "user": ID}),
        ("turns", {"request": "0123456789abcdef", "after": f"2026-05-01T00:00:00+00:00,{ID}"}),
        ("turns", {"after": f"2026-05-01 00:00:00.123456+00,{ID}"}),
        ("turn", {"id": ID}),
        ("characters", {"name": "100 % & more?"}),
        ("health", {}),
    ],
)
def test_address_leads_back_to_what_it_was_made_of(page: str, params: dict[str, str]) -> None:
    given = {"page": page, "params": params}
    made = evaluate("console-address.js", "module.address(given.page, given.params)", given)
    assert parsed(made) == given


@pytest.mark.parametrize(
    "search",
    [
        "?page=turns&status=lost",
        "?page=turns&user=1",
        "?page=turns&model=" + "x" * 201,
        "?page=turns&after=2026-05-01",
        "?page=turns&after=" + f'2026-05-01 (",id.gt.0),{ID}',
        "?page=turns&from=2026-05-01%20(x)",
        "?page=turns&id=" + ID,
    ],
)
def test_what_an_address_says_wrongly_is_left_out(search: str) -> None:
    assert parsed(search) == {"page": "turns", "params": {}}


def test_time_of_a_field_is_that_of_the_address() -> None:
    there = "module.utcTime(module.localTime(given))"
    assert evaluate("console-address.js", there, "2026-05-01T08:30:00.000Z") == (
        "2026-05-01T08:30:00.000Z"
    )
    assert evaluate("console-address.js", there, "") == ""


def limits(role: str, **fields: str) -> Any:
    return evaluate("console-limit.js", f"module.limitsIn({role!r}, given)", fields)


@pytest.mark.parametrize(
    ("fields", "stored"),
    [
        ({}, {}),
        ({"running": " 5 ", "usd_per_day": "0.5"}, {"running": 5, "usd_per_day": 0.5}),
        ({"running": "None", "turns_per_day": "0"}, {"running": None, "turns_per_day": 0}),
        ({"nonsense": "5"}, {}),
    ],
)
def test_limits_are_numbers_or_none(fields: dict[str, str], stored: dict[str, Any]) -> None:
    assert limits("default", **fields) == {"limits": stored}
    back = evaluate("console-limit.js", "Object.keys(given).map((name) => "
                    "[name, module.fieldOf(given, name)])", stored)  # fmt: skip
    assert limits("default", **dict(back)) == {"limits": stored}


@pytest.mark.parametrize("text", ["-1", "five", "1e3", "1,5", "Infinity", "0x5"])
def test_limit_of_another_form_names_its_field(text: str) -> None:
    assert limits("guest", running=text)["field"] == "running"


def test_project_has_only_a_budget() -> None:
    assert limits("project", running="5", usd_per_day="9") == {"limits": {"usd_per_day": 9}}
