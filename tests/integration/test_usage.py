"""Usage summed up by hour and day, and rows that are forgotten when they are old."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.answers import text
from tests.support.gateway import SECRET_KEY
from tests.support.stack import Stack, User

Event = Callable[..., UUID]
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
TODAY = NOON.date()
YESTERDAY = NOON - timedelta(days=1)


@pytest.fixture
def event(stack: Stack) -> Event:
    """Makes a usage event at a time."""

    def make(at: datetime, **columns: Any) -> UUID:
        row = {"provider": "openrouter", "model_key": "m", "outcome": "ok", "duration_ms": 1_000}
        return stack.insert("usage_events", **(row | columns), created_at=at)

    return make


def sums(stack: Stack, table: str, **bucket: Any) -> dict[str, Any]:
    """The one row of a roll-up in that bucket, without its name."""
    ((column, value),) = bucket.items()
    row = stack.one(f"select * from {table} where {column} = %s", value)  # noqa: S608
    return {name: row[name] for name in row if name not in ("hour", "day", "provider", "model_key")}


def due(stack: Stack) -> dict[str, Any]:
    """The steps of a run in which all of them are due."""
    stack.db.execute("delete from health_check_steps")
    return dict(stack.health_check().json()["steps"])


def turn(stack: Stack, user: User, **columns: Any) -> UUID:
    row = {"user_id": user.id, "task": "roleplay", "action": "send", "status": "complete"}
    row |= {"lease_expires_at": NOON, "finished_at": NOON, "result": {"response": "Words."}}
    return stack.insert("turns", **(row | columns))


class TestRollUps:
    def test_are_what_was_computed_by_hand(self, stack: Stack, event: Event) -> None:
        first, second = (turn(stack, stack.user()) for _ in range(2))
        at = [YESTERDAY + timedelta(minutes=minutes) for minutes in (0, 10, 59, 60, 130)]
        paid = {"prompt_tokens": 100, "completion_tokens": 20}
        event(at[0], turn_id=first, duration_ms=1_000, first_token_ms=100, cost_usd=0.25, **paid)
        event(at[1], turn_id=first, duration_ms=3_000, first_token_ms=300, cost_usd=None, **paid)
        event(at[2], turn_id=second, duration_ms=2_000, first_token_ms=None, cost_usd=0.5)
        event(at[3], turn_id=None, duration_ms=9_000, first_token_ms=500, cost_usd=0)
        event(at[4], outcome="rate_limited", duration_ms=50)

        due(stack)

        hour = {
            "outcome": "ok",
            "calls": 3,
            "turns": 2,
            "prompt_tokens": 200,
            "completion_tokens": 40,
            "cost_usd": Decimal("0.75"),
            "first_token_p50_ms": 100,
            "first_token_p95_ms": 300,
            "duration_p50_ms": 2_000,
            "duration_p95_ms": 3_000,
        }
        assert sums(stack, "usage_hourly", hour=YESTERDAY) == hour
        late = {"calls": 1, "turns": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost_usd": 0}
        late |= dict.fromkeys(("first_token_p50_ms", "first_token_p95_ms"), 500)
        late |= dict.fromkeys(("duration_p50_ms", "duration_p95_ms"), 9_000)
        next_hour = YESTERDAY + timedelta(hours=1)
        assert sums(stack, "usage_hourly", hour=next_hour) == {"outcome": "ok"} | late
        assert len(stack.all("select from usage_hourly")) == 3
        whole = hour | {"calls": 4, "first_token_p50_ms": 300, "first_token_p95_ms": 500}
        rows = stack.all("select * from usage_daily order by outcome")
        assert [(row["day"], row["outcome"], row["calls"]) for row in rows] == [
            (YESTERDAY.date(), "ok", 4),
            (YESTERDAY.date(), "rate_limited", 1),
        ]
        assert {name: rows[0][name] for name in whole} == whole | {"duration_p95_ms": 9_000}
        assert (rows[1]["cost_usd"], rows[1]["first_token_p50_ms"]) == (None, None)

    def test_of_percentiles_over_many_calls(self, stack: Stack, event: Event) -> None:
        for number in range(1, 101):
            event(YESTERDAY, duration_ms=number * 10, first_token_ms=number)
        due(stack)
        row = sums(stack, "usage_daily", day=YESTERDAY.date())
        assert (row["first_token_p50_ms"], row["first_token_p95_ms"]) == (50, 95)
        assert (row["duration_p50_ms"], row["duration_p95_ms"]) == (500, 950)

    def test_are_by_provider_model_and_outcome(self, stack: Stack, event: Event) -> None:
        for columns in ({}, {"model_key": "n"}, {"provider": "chat_worker"}, {"outcome": "empty"}):
            event(YESTERDAY, **columns)
        due(stack)
        for table in ("usage_hourly", "usage_daily"):
            rows = stack.all(f"select provider, model_key, outcome, calls from {table}")  # noqa: S608
            assert {tuple(row.values()) for row in rows} == {
                ("openrouter", "m", "ok", 1),
                ("openrouter", "n", "ok", 1),
                ("chat_worker", "m", "ok", 1),
                ("openrouter", "m", "empty", 1),
            }

    def test_done_again_they_are_the_same_and_with_what_came_late(
        self, stack: Stack, event: Event
    ) -> None:
        event(YESTERDAY)
        due(stack)
        before = stack.all("select * from usage_daily, usage_hourly")
        due(stack)
        assert stack.all("select * from usage_daily, usage_hourly") == before
        event(YESTERDAY, model_key="late")
        due(stack)
        keys = {row["model_key"] for row in stack.all("select model_key from usage_daily")}
        assert keys == {"m", "late"}

    def test_done_at_the_same_time_they_are_the_same(self, stack: Stack, event: Event) -> None:
        for hours in range(20):
            event(YESTERDAY - timedelta(hours=hours))
        days = [YESTERDAY.date(), YESTERDAY.date() - timedelta(days=1)] * 4

        def roll_up(day: date) -> int:
            with stack.data_api(key=SECRET_KEY) as service:
                call = {"p_day": day.isoformat()}
                return service.post("/rpc/roll_up_usage", json=call).status_code

        with ThreadPoolExecutor(len(days)) as pool:
            assert set(pool.map(roll_up, days)) == {200}
        assert stack.one("select sum(calls) as n from usage_daily") == {"n": 20}
        assert stack.one("select sum(calls) as n from usage_hourly") == {"n": 20}

    def test_make_up_for_a_pause_day_by_day(self, stack: Stack, event: Event) -> None:
        assert due(stack)["roll_up"]["found"] == {"days": 1}
        for days in (40, 39, 7, 1):
            event(NOON - timedelta(days=days))
        assert due(stack)["roll_up"]["found"] == {"days": 4}
        days = [row["day"] for row in stack.all("select day from usage_daily order by day")]
        assert days == [TODAY - timedelta(days=number) for number in (40, 39, 7, 1)]
        # From then on only the last one, and what comes after it.
        assert due(stack)["roll_up"]["found"] == {"days": 1}

    def test_days_begin_at_midnight_utc(self, stack: Stack, event: Event) -> None:
        stack.db.execute("set time zone 'Asia/Tokyo'")
        midnight = datetime(2026, 1, 2, tzinfo=UTC)
        try:
            event(midnight - timedelta(microseconds=1))
            event(midnight)
            stack.db.execute("select roll_up_usage('2026-01-01')")
            stack.db.execute("select roll_up_usage('2026-01-02')")
            rows = stack.all("select day, calls from usage_daily order by day")
        finally:
            stack.db.execute("reset time zone")
        assert rows == [
            {"day": date(2026, 1, 1), "calls": 1},
            {"day": date(2026, 1, 2), "calls": 1},
        ]

    def test_of_a_turn_are_there_within_the_run(self, stack: Stack) -> None:
        user = stack.user()
        stack.upstream.enqueue(text("Yes."))
        said = {"conversation_id": str(stack.conversation(user)), "message": "Hello"}
        assert stack.chat(user, **said).status_code == 200
        due(stack)
        (row,) = stack.all("select calls, turns, outcome, cost_usd from usage_hourly")
        assert row == {"calls": 1, "turns": 1, "outcome": "ok", "cost_usd": 0}


class TestRetention:
    def keep(self, stack: Stack, **days: Any) -> None:
        stack.configure(retention=days)

    def test_old_events_go_and_their_sums_stay(self, stack: Stack, event: Event) -> None:
        self.keep(stack, usage_days=10, result_days=10)
        old, new = NOON - timedelta(days=12), NOON - timedelta(days=8)
        event(old)
        event(new)
        found = due(stack)["retention"]["found"]
        assert found == {"usage_events": 1, "turn_results": 0}
        assert [row["created_at"] for row in stack.all("select * from usage_events")] == [new]
        due(stack)
        days = {row["day"] for row in stack.all("select day from usage_daily")}
        assert days == {old.date(), new.date()}

    def test_events_that_are_not_rolled_up_stay(self, stack: Stack, event: Event) -> None:
        self.keep(stack, usage_days=10)
        event(NOON - timedelta(days=12))
        stack.gateway.fail("/rpc/roll_up_usage")
        steps = due(stack)
        assert steps["roll_up"]["outcome"] == "failed"
        assert steps["retention"]["found"]["usage_events"] == 0

    def test_results_go_and_turns_and_messages_stay(self, stack: Stack) -> None:
        self.keep(stack, usage_days=10, result_days=10)
        user = stack.user()
        conversation = stack.conversation(user, "Hello", "Good evening.")
        stack.db.execute("update messages set created_at = now() - interval '1 year'")
        old = turn(stack, user, finished_at=NOON - timedelta(days=12), conversation_id=conversation)
        new = turn(stack, user, finished_at=NOON - timedelta(days=8), conversation_id=conversation)
        running = {"status": "running", "finished_at": None}
        lease = {"lease_expires_at": NOON + timedelta(days=2)}
        runs = turn(stack, user, conversation_id=conversation, **running, **lease)
        found = due(stack)["retention"]["found"]
        assert found == {"usage_events": 0, "turn_results": 1}
        rows = {row["id"]: row["result"] for row in stack.all("select id, result from turns")}
        assert rows == {old: None, new: {"response": "Words."}, runs: {"response": "Words."}}
        assert stack.said(conversation) == [("user", "Hello"), ("character", "Good evening.")]

    def test_request_whose_result_is_gone_is_not_answered_twice(self, stack: Stack) -> None:
        user = stack.user()
        said = {"conversation_id": str(stack.conversation(user)), "message": "Hello"}
        stack.upstream.enqueue(text("Yes."))
        assert stack.chat(user, **said, client_message_id="once").status_code == 200
        stack.db.execute("update turns set finished_at = now() - interval '31 days'")
        due(stack)
        answer = stack.chat(user, **said, client_message_id="once")
        assert (answer.status_code, answer.json()["code"]) == (410, "reply_deleted")
        assert len(stack.upstream.calls) == 1

    def test_many_rows_go_in_batches(self, stack: Stack) -> None:
        stack.db.execute(
            "insert into usage_events (provider, model_key, outcome, duration_ms, created_at) "
            "select 'p', 'm', 'ok', 1, now() - interval '100 days' from generate_series(1, 2500)"
        )
        stack.db.execute(
            "insert into usage_events (provider, model_key, outcome, duration_ms) "
            "values ('p', 'm', 'ok', 1)"
        )
        found = due(stack)["retention"]["found"]
        assert found == {"usage_events": 2500, "turn_results": 0}
        assert stack.gateway.calls.count("POST /rest/v1/rpc/apply_retention") == 3
        assert len(stack.all("select from usage_events")) == 1

    def test_what_there_was_no_time_for_is_done_by_a_later_run(
        self, stack: Stack, event: Event
    ) -> None:
        event(NOON - timedelta(days=100))
        event(NOON)
        stack.gateway.hold("/rpc/apply_retention")
        with stack.serving("health_check", RUN_BUDGET_SECONDS="1") as url:
            ordinary, stack.function_url = stack.function_url, lambda _: url
            assert due(stack)["retention"]["outcome"] == "out_of_time"
            stack.function_url = ordinary
        assert due(stack)["retention"]["found"]["usage_events"] == 1

    @pytest.mark.parametrize("retention", [None, {}, {"usage_days": None, "result_days": None}])
    def test_rows_are_kept_for_ever_where_the_settings_say_nothing(
        self, stack: Stack, event: Event, retention: dict[str, Any] | None
    ) -> None:
        stack.db.execute("update private.system_settings set config = config - 'retention'")
        if retention is not None:
            self.keep(stack, **retention)
        event(NOON - timedelta(days=5_000))
        event(NOON)
        turn(stack, stack.user(), finished_at=NOON - timedelta(days=5_000))
        assert due(stack)["retention"]["found"] == {"usage_events": 0, "turn_results": 0}

    def test_is_bounded_when_nobody_set_it(self, stack: Stack) -> None:
        query = "select config -> 'retention' as days from private.system_settings"
        assert stack.one(query)["days"] == {"usage_days": 90, "result_days": 30}

    @pytest.mark.parametrize("days", [0, 1, -1, "90", [], True, {}, 1e9])
    def test_nonsense_is_refused(self, stack: Stack, days: Any) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            self.keep(stack, usage_days=days)

    @pytest.mark.parametrize("retention", [5, [90], "90", True])
    def test_retention_is_an_object(self, stack: Stack, retention: Any) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            stack.configure(retention=retention)


def test_admins_read_the_sums_and_nobody_else(stack: Stack, event: Event) -> None:
    event(YESTERDAY)
    due(stack)
    admin, other = stack.user(), stack.user()
    stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (admin.id,))
    with stack.data_api(admin) as theirs, stack.data_api(other) as others:
        for table in ("usage_hourly", "usage_daily", "health_check_steps"):
            assert theirs.get(f"/{table}").json(), table
            assert others.get(f"/{table}").json() == [], table
