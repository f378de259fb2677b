"""What a page says about limits and budgets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node import evaluate

NOW = 1_800_000_000_000
LATER = "2027-06-01T00:00:00Z"
EARLIER = "2020-01-01T00:00:00Z"


def left(name: str, limit: float, left: float, resets_at: str | None = LATER) -> dict[str, Any]:
    return {
        "name": name,
        "limit": limit,
        "used": limit - left,
        "left": left,
        "resets_at": resets_at,
    }


def warning(*limits: dict[str, Any], free_only: bool = False) -> Any:
    found = {"limits": limits, "free_only": free_only}
    return evaluate("limits.js", f"module.warning(given, {NOW})", found)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ([], ""),
        ([left("turns_per_day", 500, 51)], ""),
        ([left("turns_per_day", 500, 50)], "You have 50 messages left"),
        ([left("turns_per_day", 10, 1)], "You have one message left"),
        ([left("turns_per_day", 10, 0)], "You have no messages left"),
        ([left("turns_per_day", 10, 0, EARLIER)], ""),
        ([left("turns_per_minute", 20, 0)], "many messages"),
        ([left("turns_per_minute", 20, 0, EARLIER)], ""),
        ([left("turns_per_minute", 20, 1)], ""),
        ([left("usd_per_day", 1, 0.05)], "$0.05"),
        ([left("imports_per_day", 10, 0)], ""),
    ],
)
def test_line_appears_when_little_is_left(limits: list[dict[str, Any]], said: str) -> None:
    found = warning(*limits)
    assert found == said if not said else said in found


def test_spent_budget_is_said() -> None:
    assert "free models" in warning(free_only=True)


def test_nothing_is_said_before_it_is_known() -> None:
    assert evaluate("limits.js", "module.warning(null)", None) == ""


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (left("turns_per_day", 500, 12), ("Messages today", "12", "500", "")),
        (left("usd_per_day", 2, 0.5), ("Today's budget", "$0.50", "$2.00", "")),
        (left("branched_bytes_per_day", 5e7, 1.5e6),
         ("Copied into branches today", "1.5 MB", "50 MB", "")),
        (left("running", 3, 0, None), ("Simultaneous replies", "0", "3", "")),
        (left("dreams_per_day", 3, 1), ("dreams per day", "1", "3", "")),
    ],
)  # fmt: skip
def test_limit_is_described(limit: dict[str, Any], shown: tuple[str, ...]) -> None:
    found = evaluate("limits.js", "module.describe(given)", limit)
    assert (found["name"], found["left"], found["of"], found["again"]) == shown


def test_reached_limit_says_when_there_is_more() -> None:
    found = evaluate("limits.js", "module.describe(given)", left("turns_per_day", 3, 0))
    assert found["again"].startswith("More at")
