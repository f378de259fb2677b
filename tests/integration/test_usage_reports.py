"""Usage reports of the database, and `make usage`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dev.operate.usage import Usage, main, read, totals, without_gaps
from dev.settings import Settings
from tests.support.answers import error, text
from tests.support.data_api import is_refused
from tests.support.gateway import SECRET_KEY
from tests.support.stack import Stack

REPORTS = ["usage_by_day", "usage_by_model", "usage_by_user"]

pytestmark = pytest.mark.usefixtures("one_day")


def day(days_ago: int) -> str:
    """The name of a UTC day in reports, counted back from today."""
    return str(datetime.now(UTC).date() - timedelta(days=days_ago))


def report(stack: Stack, name: str, days: int = 14) -> dict[str, dict[str, Any]]:
    """The rows by their key, in their order."""
    with stack.data_api(key=SECRET_KEY) as api:
        answer = api.post(f"/rpc/{name}", json={"p_days": days})
    assert answer.status_code == 200, answer.text
    return {row["key"]: row for row in answer.json()}


def used(stack: Stack, user_id: UUID | None, *, days_ago: int = 0, **more: Any) -> None:
    row = {"provider": "p", "model_key": "m", "outcome": "ok", "duration_ms": 1000}
    row |= {"created_at": datetime.now(UTC) - timedelta(days=days_ago), "user_id": user_id}
    stack.insert("usage_events", **row | more)


def test_turn_that_a_second_model_answered_is_reported(stack: Stack) -> None:
    user = stack.user()
    stack.upstream.enqueue(error(500), text("Good evening."))
    answer = stack.chat(user, conversation_id=str(stack.conversation(user)), message="Hello")
    assert answer.status_code == 200, answer.text

    (day,) = report(stack, "usage_by_day").values()
    models = report(stack, "usage_by_model")
    (person,) = report(stack, "usage_by_user").values()

    assert (day["turns"], day["people"], day["calls"], day["errors"]) == (1, 1, 2, 1)
    assert sum(day["outcomes"].values()) == 1
    assert sum(model["calls"] for model in models.values()) == 2
    assert all(key.startswith("openrouter:") for key in models)
    assert person["key"] == str(user.id)
    assert person["completion_tokens"] == answer.json()["usage"]["completion_tokens"]


def test_sums_and_percentiles(stack: Stack) -> None:
    user = stack.user()
    for number in range(1, 101):
        used(
            stack,
            user.id,
            duration_ms=number * 10,
            first_token_ms=number,
            prompt_tokens=10,
            cached_tokens=4 if number % 2 else None,
            completion_tokens=2,
            cost_usd=0.001,
        )
    used(stack, user.id, outcome="timeout", duration_ms=90_000)
    used(stack, user.id, cost_usd=None, duration_ms=500, first_token_ms=50)

    row = report(stack, "usage_by_model")["p:m"]

    assert (row["calls"], row["errors"], row["outcomes"]) == (102, 1, {"timeout": 1})
    assert (row["prompt_tokens"], row["completion_tokens"]) == (1000, 200)
    assert row["cached_tokens"] == 200
    assert (row["cost_usd"], row["cost_unknown"]) == (0.1, 1)
    assert (row["duration_ms_p50"], row["duration_ms_p95"]) == (500, 950)
    assert (row["first_token_ms_p50"], row["first_token_ms_p95"]) == (50, 95)


def test_days_are_whole_and_end_today(stack: Stack) -> None:
    user = stack.user()
    for days_ago in (0, 2, 3):
        used(stack, user.id, days_ago=days_ago)
    days = [day(n) for n in (2, 0)]
    assert list(report(stack, "usage_by_day", days=3)) == days


def test_people_who_cost_most_come_first(stack: Stack) -> None:
    cheap, dear = stack.user(), stack.user()
    used(stack, cheap.id, prompt_tokens=1_000_000)
    used(stack, dear.id, cost_usd=2)
    used(stack, None)
    assert list(report(stack, "usage_by_user")) == [str(dear.id), str(cheap.id), "deleted"]


@pytest.mark.parametrize("name", REPORTS)
def test_reports_are_for_the_service_key_alone(stack: Stack, name: str) -> None:
    admin = stack.user()
    stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", [admin.id])
    for user in (admin, stack.user()):
        with stack.data_api(user) as api:
            assert is_refused(api.post(f"/rpc/{name}", json={}))


class TestCommand:
    @pytest.fixture(autouse=True)
    def project(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in stack.env(COLUMNS="180").items():
            monkeypatch.setenv(name, value)

    def test_prints_every_report_with_bars(
        self, stack: Stack, capsys: pytest.CaptureFixture[str]
    ) -> None:
        user = stack.user()
        used(stack, user.id, cost_usd=1, first_token_ms=700, model_key="[b]a[/b]")
        used(stack, user.id, days_ago=2, cost_usd=0.5, outcome="timeout", model_key="[b]a[/b]")

        assert main(Settings(), 14) == 0

        lines = capsys.readouterr().out.splitlines()
        today, yesterday, before = (
            next(line for line in lines if day(n) in line) for n in range(3)
        )
        assert today.count("█") == 2 * before.count("█") > 0
        assert yesterday.strip() == day(1)
        assert ("100% timeout" in before, "1.0000" in today, "0.7 / 0.7" in today) == (True,) * 3
        assert any("p:[b]a[/b]" in line and "50% timeout" in line for line in lines)
        assert any(str(user.id) in line for line in lines)
        assert lines[-1] == "Total: 2 calls, 1 failed, 1.5000 USD."

    def test_says_how_much_of_the_prompts_was_cached(
        self, stack: Stack, capsys: pytest.CaptureFixture[str]
    ) -> None:
        user = stack.user()
        used(stack, user.id, prompt_tokens=1000, cached_tokens=640, model_key="warm")
        used(stack, user.id, prompt_tokens=1000, model_key="silent")

        assert main(Settings(), 14) == 0

        lines = capsys.readouterr().out.splitlines()
        assert any("cached" in line for line in lines)
        shown = {name: next(line for line in lines if name in line) for name in ("warm", "silent")}
        assert ("64%" in shown["warm"], "%" in shown["silent"]) == (True, False)
        assert "32%" in next(line for line in lines if day(0) in line)

    def test_bars_are_calls_where_nothing_costs(
        self, stack: Stack, capsys: pytest.CaptureFixture[str]
    ) -> None:
        used(stack, stack.user().id, cost_usd=0)
        assert main(Settings(), 14) == 0
        assert "█" in capsys.readouterr().out

    def test_command_says_that_nothing_was_used(
        self, stack: Stack, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(Settings(), 3) == 0
        assert capsys.readouterr().out == "No model was called in the last 3 days.\n"

    def test_command_without_a_database_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("SUPABASE_URL", "http://127.0.0.1:1")
        assert main(Settings(), 14) == 1
        assert "does not answer" in capsys.readouterr().out


def test_unknown_costs_are_reported() -> None:
    # The local stack's Data API returns large numbers as text.
    numbers = {"calls": "2", "errors": "0", "cost_usd": "0.10000000", "cost_unknown": "1"}
    (row,) = read([{"key": "2026-01-01"} | numbers])
    assert totals([row]).endswith("0.1000 USD. The cost of 1 calls is unknown.")
    assert [day.key for day in without_gaps([row, Usage(key="2026-01-03")])] == [
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
    ]
