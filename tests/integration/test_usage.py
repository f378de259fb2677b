"""Usage roll-ups by hour and day, retention of old rows, and recorded costs."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from dev.operate.usage import Usage, totals
from roleplay_chat.tokens import UNCALIBRATED
from tests.support.answers import (
    DONE,
    KEEP_ALIVE,
    Part,
    abort,
    chunk,
    error,
    hang_up,
    held,
    raw,
    reasoning,
    reply,
    stall,
    stream,
    text,
    worker_chat,
)
from tests.support.answers import event as sse_event
from tests.support.gateway import SECRET_KEY
from tests.support.notes import either
from tests.support.plans import explained, nodes, scanned
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import Stack, User
from tests.support.talk import VENICE, Talk
from tests.support.upstream import Answer
from tests.support.waiting import Gate, listener_url, listening_socket, wait_until

Event = Callable[..., UUID]
TIMES = ("first_token", "duration")

pytestmark = pytest.mark.usefixtures("one_day")


def noon(days_ago: int = 0) -> datetime:
    """Noon (UTC) of today or an earlier day."""
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days_ago)


@pytest.fixture
def event(stack: Stack) -> Event:
    """Inserts a usage event at a time."""

    def make(at: datetime, **columns: Any) -> UUID:
        row = {"provider": "openrouter", "model_key": "m", "outcome": "ok", "duration_ms": 1_000}
        return stack.insert("usage_events", **(row | columns), created_at=at)

    return make


def sums(stack: Stack, table: str, **bucket: Any) -> dict[str, Any]:
    """The only row of a roll-up in this bucket, without the bucket."""
    ((column, value),) = bucket.items()
    row = stack.one(f"select * from {table} where {column} = %s", value)  # noqa: S608
    return {name: row[name] for name in row if name not in ("hour", "day", "provider", "model_key")}


def due(stack: Stack) -> dict[str, Any]:
    """The steps of a run in which all are due."""
    stack.db.execute("delete from health_check_steps")
    return dict(stack.health_check().json()["steps"])


def turn(stack: Stack, user: User, **columns: Any) -> UUID:
    row = {"user_id": user.id, "task": "roleplay", "action": "send", "status": "complete"}
    row |= {"lease_expires_at": noon(), "finished_at": noon(), "result": {"response": "Words."}}
    return stack.insert("turns", **(row | columns))


@pytest.mark.installations
class TestRollUps:
    def test_roll_ups_are_what_was_computed_by_hand(self, stack: Stack, event: Event) -> None:
        first, second = (turn(stack, stack.user()) for _ in range(2))
        at = [noon(1) + timedelta(minutes=minutes) for minutes in (0, 10, 59, 60, 130)]
        paid = {"prompt_tokens": 100, "completion_tokens": 20}
        warm = paid | {"cached_tokens": 70}
        event(at[0], turn_id=first, duration_ms=1_000, first_token_ms=100, cost_usd=0.25, **paid)
        event(at[1], turn_id=first, duration_ms=3_000, first_token_ms=300, cost_usd=None, **warm)
        event(at[2], turn_id=second, duration_ms=2_000, first_token_ms=None, cost_usd=0.5)
        event(at[3], turn_id=None, duration_ms=9_000, first_token_ms=500, cost_usd=0)
        event(at[4], outcome="rate_limited", duration_ms=50)

        due(stack)

        hour = {
            "outcome": "ok",
            "calls": 3,
            "turns": 2,
            "turns_of_model": 2,
            "turns_of_all": 2,
            "prompt_tokens": 200,
            "cached_tokens": 70,
            "completion_tokens": 40,
            "cost_usd": Decimal("0.75"),
            "cost_unknown": 1,
            "estimated": 0,
            "first_token_p50_ms": 100,
            "first_token_p95_ms": 300,
            "duration_p50_ms": 2_000,
            "duration_p95_ms": 3_000,
        }
        assert sums(stack, "usage_hourly", hour=noon(1)) == hour
        late = {"calls": 1, "turns": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost_usd": 0}
        late |= dict.fromkeys(
            ("cached_tokens", "turns_of_model", "turns_of_all", "cost_unknown", "estimated"), 0
        )
        late |= dict.fromkeys(("first_token_p50_ms", "first_token_p95_ms"), 500)
        late |= dict.fromkeys(("duration_p50_ms", "duration_p95_ms"), 9_000)
        next_hour = noon(1) + timedelta(hours=1)
        assert sums(stack, "usage_hourly", hour=next_hour) == {"outcome": "ok"} | late
        assert len(stack.all("select from usage_hourly")) == 3
        whole = hour | {"calls": 4, "first_token_p50_ms": 300, "first_token_p95_ms": 500}
        rows = stack.all("select * from usage_daily order by outcome")
        assert [(row["day"], row["outcome"], row["calls"]) for row in rows] == [
            (noon(1).date(), "ok", 4),
            (noon(1).date(), "rate_limited", 1),
        ]
        assert {name: rows[0][name] for name in whole} == whole | {"duration_p95_ms": 9_000}
        assert (rows[1]["cost_usd"], rows[1]["first_token_p50_ms"]) == (None, None)

    def test_roll_ups_have_percentiles_over_many_calls(self, stack: Stack, event: Event) -> None:
        for number in range(1, 101):
            event(noon(1), duration_ms=number * 10, first_token_ms=number)
        due(stack)
        row = sums(stack, "usage_daily", day=noon(1).date())
        assert (row["first_token_p50_ms"], row["first_token_p95_ms"]) == (50, 95)
        assert (row["duration_p50_ms"], row["duration_p95_ms"]) == (500, 950)

    def test_roll_ups_are_by_provider_model_and_outcome(self, stack: Stack, event: Event) -> None:
        for columns in ({}, {"model_key": "n"}, {"provider": "chat_worker"}, {"outcome": "empty"}):
            event(noon(1), **columns)
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
        event(noon(1))
        due(stack)
        before = stack.all("select * from usage_daily, usage_hourly")
        due(stack)
        assert stack.all("select * from usage_daily, usage_hourly") == before
        event(noon(1), model_key="late")
        due(stack)
        keys = {row["model_key"] for row in stack.all("select model_key from usage_daily")}
        assert keys == {"m", "late"}

    def test_done_at_the_same_time_they_are_the_same(self, stack: Stack, event: Event) -> None:
        for hours in range(20):
            event(noon(1) - timedelta(hours=hours))
        days = [noon(1).date(), noon(2).date()] * 4

        def roll_up(day: date) -> int:
            with stack.data_api(key=SECRET_KEY) as service:
                call = {"p_day": day.isoformat()}
                return service.post("/rpc/roll_up_usage", json=call).status_code

        with ThreadPoolExecutor(len(days)) as pool:
            assert set(pool.map(roll_up, days)) == {200}
        assert stack.one("select sum(calls) as n from usage_daily") == {"n": 20}
        assert stack.one("select sum(calls) as n from usage_hourly") == {"n": 20}

    def test_make_up_for_a_pause_day_by_day(self, stack: Stack, event: Event) -> None:
        assert due(stack)["roll_up"]["found"] == {"parts": 1}
        for days in (40, 39, 7, 1):
            event(noon(days))
        assert due(stack)["roll_up"]["found"] == {"parts": 4}
        stored = [row["day"] for row in stack.all("select day from usage_daily order by day")]
        assert stored == [noon(number).date() for number in (40, 39, 7, 1)]
        # From then on only the last day, and later ones.
        assert due(stack)["roll_up"]["found"] == {"parts": 1}

    @pytest.mark.parametrize(
        ("zone", "first"),
        [
            ("Asia/Tokyo", date(2026, 1, 1)),
            # Where these days have 23 and 25 hours.
            ("America/New_York", date(2026, 3, 8)),
            ("America/New_York", date(2026, 11, 1)),
        ],
    )
    def test_days_begin_at_midnight_utc(
        self, stack: Stack, event: Event, zone: str, first: date
    ) -> None:
        stack.db.execute("select set_config('timezone', %s, false)", (zone,))
        second = first + timedelta(days=1)
        midnight = datetime(second.year, second.month, second.day, tzinfo=UTC)
        try:
            event(midnight - timedelta(microseconds=1))
            event(midnight)
            for day in (first, second):
                stack.db.execute("select roll_up_usage(%s)", (day,))
            rows = stack.all("select day, calls from usage_daily order by day")
        finally:
            stack.db.execute("reset time zone")
        assert rows == [{"day": first, "calls": 1}, {"day": second, "calls": 1}]

    def test_turns_of_people_who_are_gone_still_count(self, stack: Stack, event: Event) -> None:
        gone, stays = stack.user(), stack.user()
        for user in (gone, gone, stays):
            of = turn(stack, user)
            for _ in range(2):
                event(noon(1), turn_id=of, user_id=user.id)
        running = turn(stack, gone)
        stack.db.execute("delete from auth.users where id = %s", (gone.id,))
        call = {"provider": "openrouter", "model_key": "m", "outcome": "ok", "duration_ms": 1}
        stack.db.execute(
            "select finish_turn(%s, 'complete', p_usage => %s)", (running, Jsonb([call, call]))
        )
        stack.db.execute("update usage_events set created_at = %s", (noon(1),))

        due(stack)

        for table in ("usage_hourly", "usage_daily"):
            assert stack.one(f"select calls, turns from {table}") == {"calls": 8, "turns": 4}  # noqa: S608
        (row,) = stack.all("select calls, turns from usage_by_day(14)")
        assert row == {"calls": 8, "turns": 4}

    def test_turn_counts_in_the_hour_of_its_first_call(self, stack: Stack, event: Event) -> None:
        of = turn(stack, stack.user())
        for later in (0, 1, 2):
            event(noon(1) + timedelta(hours=later), turn_id=of)
        due(stack)
        hours = stack.all("select turns from usage_hourly order by hour")
        assert [row["turns"] for row in hours] == [1, 0, 0]
        assert stack.one("select turns from usage_daily") == {"turns": 1}

    @pytest.mark.parametrize(
        ("ms", "rounded"),
        [
            (0, 0),
            (7, 7),
            (99, 99),
            (994, 990),
            (995, 1_000),
            (12_345, 12_000),
            (2**31 - 1, 21 * 10**8),
        ],
    )
    def test_percentiles_have_two_digits(
        self, stack: Stack, event: Event, ms: int, rounded: int
    ) -> None:
        event(noon(1), duration_ms=ms, first_token_ms=ms)
        due(stack)
        for table in ("usage_hourly", "usage_daily"):
            row = stack.one(f"select * from {table}")  # noqa: S608
            found = {row[f"{time}_{part}_ms"] for time in TIMES for part in ("p50", "p95")}
            assert found == {rounded}

    def test_turn_is_rolled_up_within_the_run(self, stack: Stack) -> None:
        user = stack.user()
        stack.upstream.enqueue(text("Yes."))
        said = {"conversation_id": str(stack.conversation(user)), "message": "Hello"}
        assert stack.chat(user, **said).status_code == 200
        due(stack)
        (row,) = stack.all("select calls, turns, outcome, cost_usd from usage_hourly")
        assert row == {"calls": 1, "turns": 1, "outcome": "ok", "cost_usd": 0}


def part(stack: Stack, days_ago: int | None = None, limit: int = 100_000) -> date | None:
    """One call of roll_up_usage; returns the day to go on with."""
    day = None if days_ago is None else noon(days_ago).date()
    found: date | None = stack.one("select roll_up_usage(%s, %s) as day", day, limit)["day"]
    return found


def rolled_up(stack: Stack) -> list[dict[str, Any]]:
    """All rows of both tables."""
    hours = "select * from usage_hourly order by hour, provider, model_key, outcome"
    return stack.all(hours) + stack.all("select * from usage_daily order by 1, 2, 3, 4")


@pytest.mark.installations
class TestRollUpsInParts:
    @pytest.mark.parametrize("seed", range(3))
    def test_parts_of_a_day_are_the_sums_of_the_whole(
        self, stack: Stack, event: Event, seed: int
    ) -> None:
        some = random.Random(seed)  # noqa: S311
        for _ in range(60):
            columns: dict[str, Any] = {
                "model_key": some.choice("mn"),
                "outcome": some.choice(["ok", "timeout"]),
                "turn_id": some.choice([None, UUID(int=some.getrandbits(128))]),
                "prompt_tokens": some.choice([None, 10]),
                "cost_usd": some.choice([None, Decimal("0.01")]),
                "first_token_ms": some.choice([None, some.randrange(3_000)]),
                "duration_ms": some.randrange(90_000),
            }
            # Many at the same time.
            minutes = some.choice([0, *(some.randrange(-700, 700) for _ in range(3))])
            for _ in range(some.randrange(1, 3)):
                event(noon(1) + timedelta(minutes=minutes), **columns)

        days = [part(stack, limit=7)]
        while days[-1]:
            days.append(part(stack, 1, limit=7))
        in_parts = rolled_up(stack)
        for table in ("usage_daily", "usage_hourly", "private.rolled_up", "private.rolled_up_days"):
            stack.db.execute(f"delete from {table}".encode())  # noqa: S608
        assert part(stack) is None

        assert len(days) > 5
        assert set(days[:-1]) == {noon(1).date()}
        assert in_parts == rolled_up(stack)

    def test_calls_read_no_more_rows_of_a_longer_day(
        self, stack: Stack, postgres: Postgres
    ) -> None:
        """Also when all of its events are of one hour."""
        with postgres.connect("app", OWNER) as db:
            for days_ago, rows in ((2, 2_000), (1, 8_000)):
                db.execute(
                    "insert into usage_events"
                    " (provider, model_key, outcome, duration_ms, created_at)"
                    " select 'p', 'm', 'ok', 1, %s + interval '1 hour' * n / %s"
                    " from generate_series(0, %s - 1) n",
                    (noon(days_ago), rows, rows),
                )
                db.execute("vacuum analyze usage_events")
                day: date | None = noon(days_ago).date()
                read = []
                while day == noon(days_ago).date():
                    with explained(db) as plans:
                        (row,) = db.execute("select roll_up_usage(%s, 100) as day", (day,))
                    day = row["day"]
                    read.append(scanned(plans))
                assert len(read) == rows / 100
                # Events are counted, and added up. A row found by a bitmap counts twice.
                assert 100 < max(read) < 400
        sums = stack.all("select calls from usage_hourly union all select calls from usage_daily")
        assert sorted(row["calls"] for row in sums) == [2_000, 2_000, 8_000, 8_000]

    def test_events_are_added_up_once_however_many_models_there_are(
        self, stack: Stack, postgres: Postgres
    ) -> None:
        with postgres.connect("app", OWNER) as db:
            db.execute(
                "insert into usage_events"
                " (provider, model_key, outcome, duration_ms, first_token_ms, created_at)"
                " select 'p', n % 51, 'ok', n, n, %s - interval '1 hour' * (n % 12)"
                " from generate_series(1, 5000) n".replace("n % ", "n %% "),
                (noon(1),),
            )
            db.execute("vacuum analyze usage_events")
            with explained(db) as plans:
                db.execute("select roll_up_usage(%s)", (noon(1).date(),))
        (sums,) = (plan for plan in plans if "as is_first_of_all" in plan["Query Text"])
        assert {node["Actual Loops"] for node in nodes(sums["Plan"])} == {1}
        assert len(stack.all("select from usage_hourly")) == 51 * 12 / 3

    def test_a_run_that_was_cut_off_is_continued(self, stack: Stack, event: Event) -> None:
        for minutes in range(6):
            event(noon(3) + timedelta(minutes=minutes))
        event(noon(1))
        assert part(stack, limit=4) == noon(3).date()
        assert [row["calls"] for row in stack.all("select calls from usage_daily")] == [4]
        assert part(stack, limit=4) == noon(1).date()
        assert part(stack, 1) is None
        assert stack.all("select day, calls from usage_daily order by day") == [
            {"day": noon(3).date(), "calls": 6},
            {"day": noon(1).date(), "calls": 1},
        ]
        assert len(stack.all("select from private.rolled_up")) == 0

    def test_parts_rolled_up_at_the_same_time_count_once(self, stack: Stack, event: Event) -> None:
        for minutes in range(20):
            event(noon(1) + timedelta(minutes=minutes))

        def roll_up(_: int) -> int:
            with stack.data_api(key=SECRET_KEY) as service:
                return service.post("/rpc/roll_up_usage", json={"p_limit": 3}).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(roll_up, range(10))) == {200}
        for table in ("usage_hourly", "usage_daily"):
            assert stack.one(f"select calls from {table}") == {"calls": 20}  # noqa: S608

    def test_more_events_at_one_time_than_a_part_has_are_one_part(
        self, stack: Stack, event: Event
    ) -> None:
        for _ in range(5):
            event(noon(1))
        event(noon(1) + timedelta(minutes=1))
        # None of those before noon, then all of noon.
        assert [part(stack, 1, limit=2) for _ in range(3)] == [noon(1).date()] * 2 + [None]
        assert stack.one("select calls from usage_daily") == {"calls": 6}

    def test_event_that_came_late_counts_while_its_part_may_change(
        self, stack: Stack, event: Event
    ) -> None:
        for minutes in range(5):
            event(noon(1) + timedelta(minutes=minutes))
        assert part(stack, limit=4) == noon(1).date()
        assert part(stack, limit=4) is None
        event(noon(1) + timedelta(minutes=5))
        assert part(stack, limit=4) is None
        assert stack.one("select calls from usage_daily") == {"calls": 6}

    def test_newest_events_wait_for_those_that_may_come_late(
        self, stack: Stack, event: Event
    ) -> None:
        """They are more than a call adds up, and others of their time may still be missing."""
        now = stack.one("select now() as now")["now"]
        for seconds in range(3):
            event(now + timedelta(seconds=seconds))
        day = now.astimezone(UTC).date()
        roll_up = "select roll_up_usage(%s, 2) as day"
        assert stack.one(roll_up, day) == {"day": None}
        assert stack.one("select calls from usage_daily") == {"calls": 2}
        event(now)
        assert stack.one(roll_up, day) == {"day": None}
        assert stack.all("select from private.rolled_up") == []
        assert part(stack, 0) is None
        assert stack.one("select calls from usage_daily") == {"calls": 4}


class TestRetention:
    def keep(self, stack: Stack, **days: Any) -> None:
        stack.configure(retention=days)

    def test_old_events_go_and_their_sums_stay(self, stack: Stack, event: Event) -> None:
        self.keep(stack, usage_days=10, result_days=10)
        old, new = noon(12), noon(8)
        event(old)
        event(new)
        found = due(stack)["retention"]["found"]
        assert found == {"usage_events": 1, "turn_results": 0}
        assert [row["created_at"] for row in stack.all("select * from usage_events")] == [new]
        due(stack)
        days = {row["day"] for row in stack.all("select day from usage_daily")}
        assert days == {old.date(), new.date()}

    @pytest.mark.parametrize("gone", [1, 2])
    def test_sums_of_a_day_stay_when_it_is_rolled_up_again(
        self, stack: Stack, event: Event, gone: int
    ) -> None:
        """Also while a batch of the retention has deleted a part of the day."""
        for _ in range(2):
            event(noon(12), cost_usd=1)
        event(noon(8))
        due(stack)
        self.keep(stack, usage_days=10)
        deleted = stack.one("select apply_retention(%s) as n", gone)["n"]
        assert deleted["usage_events"] == gone
        before = stack.all("select * from usage_daily join usage_hourly using (calls, cost_usd)")

        next_day = stack.one("select roll_up_usage(%s) as day", noon(12).date())

        assert next_day == {"day": noon(8).date()}
        again = stack.all("select * from usage_daily join usage_hourly using (calls, cost_usd)")
        assert again == before
        assert [row["calls"] for row in before] == [2]

    def test_events_that_are_not_rolled_up_stay(self, stack: Stack, event: Event) -> None:
        self.keep(stack, usage_days=10)
        event(noon(12))
        stack.gateway.fail("/rpc/roll_up_usage")
        steps = due(stack)
        assert steps["roll_up"]["outcome"] == "failed"
        assert steps["retention"]["found"]["usage_events"] == 0

    def test_results_go_and_turns_and_messages_stay(self, stack: Stack) -> None:
        self.keep(stack, usage_days=10, result_days=10)
        user = stack.user()
        conversation = stack.conversation(user, "Hello", "Good evening.")
        stack.db.execute("update messages set created_at = now() - interval '1 year'")
        old = turn(stack, user, finished_at=noon(12), conversation_id=conversation)
        new = turn(stack, user, finished_at=noon(8), conversation_id=conversation)
        running = {"status": "running", "finished_at": None}
        lease = {"lease_expires_at": noon() + timedelta(days=2)}
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

    @pytest.mark.parametrize(
        "avoided",
        [
            pytest.param((), id="hash-join"),
            pytest.param(("hashjoin", "mergejoin"), id="nested-loop"),
            pytest.param(
                ("hashjoin", "mergejoin", "hashagg", "sort", "material", "indexscan", "bitmapscan"),
                id="nested-loop-over-all-rows",
            ),
        ],
    )
    def test_batch_is_no_larger_whatever_the_plan(
        self, stack: Stack, event: Event, avoided: tuple[str, ...]
    ) -> None:
        self.keep(stack, usage_days=10, result_days=10)
        event(noon())
        due(stack)  # the days before today are rolled up
        user = stack.user()
        for _ in range(10):
            event(noon(50))
            turn(stack, user, finished_at=noon(50))
            turn(stack, user, finished_at=noon(50), result=None, is_orphaned=True)
        add = "insert into private.counters (user_id, kind, day) select %s, n::text, '2020-01-01' "
        stack.db.execute(f"{add} from generate_series(1, 10) n".encode(), [user.id])
        with stack.db.transaction():
            for kind in avoided:
                stack.db.execute(f"set local enable_{kind} = off".encode())
            gone = stack.one("select apply_retention(3) as gone")["gone"]
        assert gone == {"usage_events": 3, "turn_results": 3}
        assert stack.one("select count(*) from turns where result is null and not is_orphaned") == {
            "count": 3
        }
        assert stack.one("select count(*) from private.counters where day = '2020-01-01'") == {
            "count": 7
        }

    def test_what_there_was_no_time_for_is_done_by_a_later_run(
        self, stack: Stack, event: Event
    ) -> None:
        event(noon(100))
        event(noon())
        stack.gateway.hold("/rpc/apply_retention")
        with stack.serving("health_check", RUN_BUDGET_SECONDS="4") as url:
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
        event(noon(5_000))
        event(noon())
        turn(stack, stack.user(), finished_at=noon(5_000))
        assert due(stack)["retention"]["found"] == {"usage_events": 0, "turn_results": 0}

    def test_retention_is_bounded_when_nobody_set_it(self, stack: Stack) -> None:
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


PRICES = {"prompt_usd_per_1k": 1, "completion_usd_per_1k": 2}
WORDS = "The lamp hisses and the rain comes down on the glass of the gallery."
TOKENS = UNCALIBRATED.count(WORDS)


def priced(talk: Talk, **prices: float) -> None:
    """One paid model."""
    talk.have_only(VENICE)
    price = (
        "update api_models set pricing = %s, is_default = model_key = %s where task = 'roleplay'"
    )
    talk.stack.db.execute(price, (Jsonb(prices or PRICES), VENICE))


def spent(talk: Talk, purpose: str = "reply") -> dict[str, Any]:
    """Waits for the only event of this purpose."""
    query = "select * from usage_events where purpose = %s"
    wait_until(lambda: talk.stack.all(query, purpose), "the event")
    return talk.stack.one(query, purpose)


def costs_what_its_tokens_do(event: dict[str, Any]) -> bool:
    usd = event["prompt_tokens"] / 1000 + event["completion_tokens"] * 2 / 1000
    return float(event["cost_usd"]) == pytest.approx(usd)


class TestEstimates:
    """Calls that cost something although the provider did not report it."""

    def check(self, event: dict[str, Any], *, completion: int) -> None:
        assert event["is_estimated"] is True
        assert event["prompt_tokens"] > 100  # the template and the character
        assert event["completion_tokens"] == pytest.approx(completion, abs=2)
        assert costs_what_its_tokens_do(event)

    def test_reply_without_usage_is_estimated(self, talk: Talk) -> None:
        priced(talk)
        talk.stack.upstream.enqueue(text(WORDS, usage=None))
        assert set(talk.reply()["usage"].values()) == {None}
        self.check(spent(talk), completion=TOKENS)

    def test_reply_that_the_person_stops_is_estimated(self, talk: Talk) -> None:
        priced(talk)
        talk.stack.upstream.enqueue(stream([WORDS, stall()]))
        with talk.streaming(on_disconnect="stop") as events:
            events.until("delta")
        event = spent(talk)
        assert event["outcome"] == "cut_off"
        self.check(event, completion=TOKENS)

    def test_reply_stopped_before_its_first_word_is_estimated(self, talk: Talk) -> None:
        priced(talk)
        gate = Gate()
        talk.stack.upstream.enqueue(held(gate, stall()))
        with talk.asking(on_disconnect="stop"):
            gate.wait_reached()
        self.check(spent(talk), completion=0)

    def test_reply_that_ends_at_a_stop_line_is_estimated(self, talk: Talk) -> None:
        priced(talk)
        talk.stack.db.execute("update profiles set display_name = 'Ada'")
        parts: list[Part] = [
            reasoning(WORDS),
            f"<think>{WORDS}</think>",
            WORDS,
            "\nAda: Thanks.",
            stall(),
        ]
        talk.stack.upstream.enqueue(stream(parts))
        assert talk.reply()["response"] == WORDS
        heard = f"{WORDS}<think>{WORDS}</think>{WORDS}\nAda: Thanks."
        self.check(spent(talk), completion=UNCALIBRATED.count(heard))

    @pytest.mark.parametrize("end", [abort(), hang_up(), stream([], finish=None, usage=None)])
    def test_stream_that_is_cut_off_is_estimated(self, talk: Talk, end: Answer) -> None:
        priced(talk)
        gate = Gate()
        talk.stack.upstream.enqueue(stream([WORDS, gate, end], finish=None, usage=None))
        with talk.streaming() as events:
            events.until("delta")
            gate.open()
            assert events.until("error")[-1].data["incomplete"] is True
        self.check(spent(talk), completion=TOKENS)

    def test_reasoning_without_a_reply_is_estimated(self, talk: Talk) -> None:
        priced(talk)
        details = {"delta": {"reasoning_details": [{"text": WORDS}, {"summary": WORDS}, 7]}}
        thoughts = [reasoning(WORDS), {"delta": {"reasoning_content": WORDS}}, details]
        talk.limit(VENICE, idle=1)
        talk.stack.upstream.always(stream([*thoughts, stall()]))
        assert talk.say().status_code == 503
        events = talk.stack.all("select * from usage_events")
        assert [event["outcome"] for event in events] == ["timeout"] * len(events)
        self.check(events[0], completion=4 * TOKENS)

    def test_attempts_ended_by_a_deadline_are_estimated(self, talk: Talk) -> None:
        priced(talk)
        talk.limit(VENICE, first_token=0.2)
        talk.stack.upstream.always(stall())
        assert talk.say().status_code == 503
        for event in talk.stack.all("select * from usage_events"):
            self.check(event, completion=0)

    def test_reply_that_was_taken_back_is_estimated(self, talk: Talk) -> None:
        priced(talk)
        talk.limit(VENICE, idle=1)
        taken_back = "She is 12 years old. A sexual scene."
        talk.stack.upstream.enqueue(stream([taken_back, stall()]))
        assert talk.say().status_code == 403
        assert spent(talk)["completion_tokens"] >= UNCALIBRATED.count(taken_back)

    def test_dropped_summary_is_estimated(self, talk: Talk) -> None:
        priced(talk)
        talk.describe(VENICE, context_tokens=4096, memory=True)
        talk.conversation = talk.stack.conversation(talk.user, *[f"{WORDS} {WORDS}" * 4] * 27)
        gate, asked = Gate(), Gate()
        notes = held(asked, stall())
        talk.stack.upstream.always(either(held(gate, error(404)), notes))
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(talk.say, "Go on")
            asked.wait_reached()
            gate.open()
            assert answer.result().status_code == 503
        self.check(spent(talk, "memory"), completion=0)

    def test_uncounted_call_of_a_classifier_is_estimated(self, talk: Talk) -> None:
        priced(talk)
        provider = talk.stack.one("select distinct provider_id from api_models")
        row = {"modality": "text", "task": "moderation", "model_key": "guard", "display_name": "G"}
        talk.stack.insert("api_models", **provider, **row, pricing=PRICES)
        talk.stack.upstream.enqueue(text("safe", usage=None), text("Yes."))
        talk.reply()
        event = spent(talk, "moderation")
        assert (event["is_estimated"], event["prompt_tokens"] > 20) == (True, True)
        assert costs_what_its_tokens_do(event)

    @pytest.mark.parametrize(
        "usage", [{"prompt_tokens": 1000}, {"completion_tokens": 1000}, {"total_tokens": 9}]
    )
    def test_partly_reported_usage_is_completed_by_an_estimate(
        self, talk: Talk, usage: dict[str, Any]
    ) -> None:
        priced(talk)
        talk.stack.upstream.enqueue(text(WORDS, usage=usage))
        talk.reply()
        event = spent(talk)
        assert event["is_estimated"] is True
        assert {name: event[name] for name in usage if name in event}.items() <= usage.items()
        assert costs_what_its_tokens_do(event)

    def test_estimates_are_none_where_the_provider_says_all(self, talk: Talk) -> None:
        priced(talk)
        usage = {"prompt_tokens": 1000, "completion_tokens": 500}
        talk.stack.upstream.enqueue(text(WORDS, usage=usage))
        talk.reply()
        event = spent(talk)
        assert (event["is_estimated"], event["cost_usd"]) == (False, 2)

    def test_estimates_for_free_models_cost_nothing(self, talk: Talk) -> None:
        priced(talk, prompt_usd_per_1k=0, completion_usd_per_1k=0)
        talk.stack.upstream.enqueue(text(WORDS, usage=None))
        talk.reply()
        event = spent(talk)
        assert (event["cost_usd"], event["completion_tokens"]) == (0, TOKENS)

    @pytest.mark.parametrize("trouble", [error(401), error(404), error(500), abort(), hang_up()])
    def test_unanswered_calls_are_not_estimated(self, talk: Talk, trouble: Answer) -> None:
        priced(talk)
        talk.stack.upstream.always(trouble)
        assert talk.say().status_code == 503
        for event in talk.stack.all("select * from usage_events"):
            assert (event["prompt_tokens"], event["cost_usd"]) == (None, None)
            assert event["is_estimated"] is False

    @pytest.mark.parametrize(
        "cut",
        [
            raw(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"choices": [{"mess'),
            raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"),
            hang_up(KEEP_ALIVE),
        ],
        ids=["json", "json-before-its-first-byte", "stream-before-its-first-word"],
    )
    def test_answer_cut_off_before_its_first_event_is_estimated(
        self, talk: Talk, cut: Answer
    ) -> None:
        priced(talk)
        talk.stack.upstream.always(cut)
        assert talk.say().status_code == 503
        for event in talk.stack.all("select * from usage_events"):
            self.check(event, completion=0)

    @pytest.mark.parametrize(
        "answer",
        [
            reply(500, {"success": False, "error": "oops", "tokens_generated": 40}),
            reply(200, {"success": False, "tokens_generated": 40}),
            reply(200, {"success": True, "response": " ", "tokens_generated": 40}),
        ],
        ids=["status", "failure", "empty"],
    )
    def test_worker_that_failed_after_writing_is_estimated(
        self, talk: Talk, answer: Answer
    ) -> None:
        talk.have_only()
        talk.have_worker()
        talk.stack.upstream.always(answer)
        assert talk.say(model_provider="chat_worker").status_code == 503
        for event in talk.stack.all("select * from usage_events"):
            assert (event["completion_tokens"], event["cost_usd"]) == (40, 0)

    @pytest.mark.parametrize("last", ["{}", '{"prompt_tokens": null, "cost": "?"}', "null"])
    def test_estimates_are_none_where_a_later_chunk_says_nothing_of_it(
        self, talk: Talk, last: str
    ) -> None:
        priced(talk)
        usage = '{"prompt_tokens": 1000, "completion_tokens": 500, "cost": 0.5}'
        parts = [f'data: {{"choices": [], "usage": {said}}}\n\n'.encode() for said in (usage, last)]
        failed = sse_event({"error": {"code": 502, "message": "Provider returned error"}})
        talk.stack.upstream.always(stream(["Yes.", *parts, failed], finish=None, usage=None))
        assert talk.say().status_code == 200
        event = spent(talk)
        assert (event["is_estimated"], float(event["cost_usd"])) == (False, 0.5)

    def test_calls_that_reached_nobody_are_not_estimated(self, talk: Talk) -> None:
        priced(talk)
        talk.stack.db.execute("update api_providers set base_url = 'http://127.0.0.1:1/v1'")
        assert talk.say().status_code == 503
        events = talk.stack.all("select * from usage_events")
        assert {event["cost_usd"] for event in events} == {None}

    @pytest.mark.parametrize("ends", ["stopped", "deadline"])
    @pytest.mark.parametrize("path", ["json", "stream"])
    @pytest.mark.parametrize("protocol", ["openai", "chat_worker"])
    def test_calls_that_end_while_connecting_are_not_estimated(
        self, talk: Talk, ends: str, path: str, protocol: str
    ) -> None:
        """A server that accepts connections and never starts TLS."""
        priced(talk)
        listener = listening_socket()
        url = listener_url(listener).replace("http", "https")
        talk.stack.db.execute("update api_providers set base_url = %s", (f"{url}/v1",))
        body: dict[str, Any] = {"on_disconnect": "stop", "stream": path == "stream"}
        if protocol == "chat_worker":
            talk.have_only()
            talk.have_worker(timeouts={"first_token": 0.2} if ends == "deadline" else {})
            talk.stack.configure(chatWorkerUrl=url)
            talk.stack.worker_health(workerUrl=url)
            body["model_provider"] = "chat_worker"
        elif ends == "deadline":
            talk.limit(VENICE, first_token=0.2)
        with listener:
            if ends == "deadline":
                assert talk.say(**body).status_code == 503
            else:
                with talk.asking(**body):
                    connection, _ = listener.accept()
                wait_until(lambda: talk.turn() == ("failed", "stopped"), "the turn to end")
                connection.close()
        for event in talk.stack.all("select * from usage_events"):
            assert (event["prompt_tokens"], event["cost_usd"]) == (None, None)
            assert event["is_estimated"] is False

    def test_estimates_do_not_change_the_calibration(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Yes.", usage=None), text("Yes.", usage={"cost": 0}))
        for _ in range(2):
            talk.reply(f"{WORDS} " * 40)
        assert talk.stack.all("select from token_calibrations") == []

    def test_count_to_the_spend_limit(self, talk: Talk) -> None:
        priced(talk)
        talk.stack.configure(limits={"default": {"usd_per_day": 0.01}})
        talk.stack.upstream.enqueue(stream([WORDS, stall()]))
        with talk.streaming(on_disconnect="stop") as events:
            events.until("delta")
        spent(talk)
        assert talk.say().json()["code"] == "spend_limit_reached"

    def test_estimates_are_told_in_the_report(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Yes.", usage=None), text("Yes."))
        for _ in range(2):
            talk.reply()
        due(talk.stack)
        (day,) = talk.stack.all("select * from usage_by_day(1)")
        assert (day["calls"], day["estimated"]) == (2, 1)
        row = Usage.model_validate(day)
        assert totals([row]).endswith("The tokens of 1 calls are estimated.")


class TestNumbersOfOthers:
    """A reply is shown and saved, whatever numbers come with it."""

    def check(
        self, talk: Talk, body: dict[str, Any], *, status: str = "complete"
    ) -> dict[str, Any]:
        assert body["saved"] is True
        assert talk.said()[-1] == f"> {body['response']}"
        assert talk.stack.one("select status from turns") == {"status": status}
        return talk.stack.one("select * from usage_events")

    @pytest.mark.parametrize(
        ("cost", "recorded"),
        [
            ("1e6", Decimal("999999.99")),
            ("1e300", Decimal("999999.99")),
            ("1e9", Decimal("999999.99")),
            ('"1e300"', Decimal("999999.99")),
            ("999999.999999999999", Decimal("999999.99")),
            ("1" + "0" * 400, None),
            ("1" + "0" * 5000, None),
            ('"1' + "0" * 5000 + '"', None),
            ("1e-300", 0),
            ("-1", None),
            ("-1e300", None),
            ("NaN", None),
            ("Infinity", None),
            ("-Infinity", None),
            ('"NaN"', None),
            ('"Infinity"', None),
            ('"nonsense"', None),
            ("true", None),
            ("[1]", None),
            ("{}", None),
            ('"0.25"', Decimal("0.25")),
        ],
    )
    def test_impossible_cost_is_cut(self, talk: Talk, cost: str, recorded: Decimal | None) -> None:
        talk.stack.db.execute("update api_models set pricing = '{}'")
        usage = f'{{"choices": [], "usage": {{"prompt_tokens": 1, "cost": {cost}}}}}'
        end = f"data: {usage}\n\n".encode()
        talk.stack.upstream.enqueue(
            stream(["Yes.", last_chunk("stop"), end, DONE], usage=None, finish=None, done=False)
        )
        event = self.check(talk, talk.reply())
        assert event["cost_usd"] == recorded

    @pytest.mark.parametrize(
        ("tokens", "recorded"),
        [
            ("1e12", 2**31 - 1),
            ("99999999999", 2**31 - 1),
            ("1.9", 1),
            ('"12"', 12),
            ("true", None),
            ("false", None),
            ("-5", None),
            ("1e999", None),
            ("NaN", None),
            ("[]", None),
            ('"\\u0000"', None),
        ],
    )
    @pytest.mark.parametrize("by", ["provider", "worker"])
    def test_impossible_token_count_is_cut(
        self, talk: Talk, tokens: str, recorded: int | None, by: str
    ) -> None:
        if by == "worker":
            talk.have_worker()
            answer = f'{{"success": true, "response": "Yes.", "tokens_generated": {tokens}}}'
            talk.stack.upstream.enqueue(reply(200, answer.encode()))
            body = talk.reply(model_provider="chat_worker")
        else:
            usage = f'"usage": {{"prompt_tokens": {tokens}, "completion_tokens": {tokens}}}'
            end = f'data: {{"choices": [], {usage}}}\n\n'.encode()
            talk.stack.upstream.enqueue(
                stream(["Yes.", last_chunk("stop"), end, DONE], usage=None, finish=None, done=False)
            )
            body = talk.reply()
        event = self.check(talk, body)
        said = recorded is not None
        assert body["usage"]["completion_tokens"] == recorded
        assert event["completion_tokens"] == (recorded if said else UNCALIBRATED.count("Yes."))

    @pytest.mark.parametrize(
        ("tokens", "recorded"),
        [
            ("7", 7),
            ("0", 0),
            ("1e12", 10),
            ('"12"', 10),
            ("-5", None),
            ("true", None),
            ('"?"', None),
        ],
    )
    def test_cached_tokens_are_part_of_the_prompt(
        self, talk: Talk, tokens: str, recorded: int | None
    ) -> None:
        details = f'"prompt_tokens_details": {{"cached_tokens": {tokens}}}'
        end = f'data: {{"choices": [], "usage": {{"prompt_tokens": 10, {details}}}}}\n\n'.encode()
        talk.stack.upstream.enqueue(
            stream(["Yes.", last_chunk("stop"), end, DONE], usage=None, finish=None, done=False)
        )
        body = talk.reply()
        event = self.check(talk, body)
        assert (event["cached_tokens"], body["usage"].get("cached_tokens")) == (recorded,) * 2

    def test_cached_tokens_of_a_prompt_that_nobody_counted_are_bounded(self, talk: Talk) -> None:
        talk.have_worker()
        answer = {"success": True, "response": "Yes.", "timings": {"cache_n": 10**9}}
        talk.stack.upstream.enqueue(reply(200, answer))
        event = self.check(talk, talk.reply(model_provider="chat_worker"))
        assert event["cached_tokens"] == event["prompt_tokens"] > 0

    @pytest.mark.parametrize(
        "reason",
        ["x" * 100_000, "sto\x00p", "\x00", "\ud800", "ä" * 65, "stop\n", "🙂" * 1000],
        ids=range(7),
    )
    def test_long_finish_reason_is_cut(self, talk: Talk, reason: str) -> None:
        talk.stack.upstream.enqueue(text("Yes.", finish=reason))
        body = talk.reply()
        is_whole = re.sub("[^a-z]", "", reason) == "stop"
        self.check(talk, body, status="complete" if is_whole else "incomplete")
        assert 0 < len(body["finish_reason"]) <= 64
        row = talk.stack.one("select finish_reason from turns")
        assert row["finish_reason"] == body["finish_reason"]

    @pytest.mark.parametrize("model", ["m" * 5_000, 7, ["a"], {"a": 1}, True, "", "a\nb"], ids=str)
    def test_odd_model_name_of_the_worker_fails_no_turn(self, talk: Talk, model: object) -> None:
        talk.have_worker(model=model)
        talk.stack.upstream.enqueue(worker_chat("Yes."))
        self.check(talk, talk.reply(model_provider="chat_worker"))

    def test_database_cuts_numbers_that_the_functions_write(self, talk: Talk) -> None:
        """The database cuts values as well."""
        odd: list[Any] = [True, "1", -1, 1e300, 1e18, 2.5, [], {}, None, "NaN", 10**50]
        names = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd", "duration_ms")
        for number in odd:
            turn = talk.stack.insert(
                "turns",
                **{"user_id": talk.user.id, "conversation_id": talk.conversation},
                **{"task": "roleplay", "action": "kickoff", "lease_expires_at": noon()},
            )
            columns = dict.fromkeys(names, number)
            call: dict[str, Any] = {
                "provider": "p" * 500,
                "model_key": "m" * 500,
                "outcome": "o" * 500,
            }
            call |= columns | {"first_token_ms": number, "is_estimated": number}
            call |= {"estimate": {"latin": 1000, "other": number}}
            columns |= dict.fromkeys(("model_used", "finish_reason", "error_code"), "x" * 5_000)
            done = talk.stack.one(
                "select finish_turn(%s, 'complete', 'Yes.', %s, '{}', 'conversation', %s) as f",
                *(turn, Jsonb(columns), Jsonb([call])),
            )
            assert done["f"]["outcome"] == "saved"
            assert talk.stack.one("select status from turns where id = %s", turn) == {
                "status": "complete"
            }
        kept = talk.stack.all("select * from usage_events")
        assert len(kept) == len(odd)
        assert all((row["cached_tokens"] or 0) <= (row["prompt_tokens"] or 0) for row in kept)

    @pytest.mark.parametrize(("sent", "recorded"), [(10, 10), (None, 0), (50, 20), (0, 0)])
    def test_database_cuts_cached_tokens_to_the_prompt(
        self, talk: Talk, sent: int | None, recorded: int
    ) -> None:
        call = {"provider": "p", "model_key": "m", "outcome": "ok", "prompt_tokens": sent}
        talk.stack.db.execute(
            "select private.record_usage(%s, null, %s)",
            (UUID(int=1), Jsonb([call | {"cached_tokens": 20}])),
        )
        assert talk.stack.one("select cached_tokens from usage_events") == {
            "cached_tokens": recorded
        }

    def test_add_up_in_the_roll_ups(self, talk: Talk, event: Event) -> None:
        for _ in range(500):
            event(noon(1), cost_usd=Decimal("999999.99999999"), prompt_tokens=2**31 - 1)
        talk.stack.db.execute("select roll_up_usage(%s)", (noon(1).date(),))
        row = talk.stack.one("select cost_usd, prompt_tokens from usage_daily")
        assert (row["cost_usd"] > 499_999_999, row["prompt_tokens"]) == (True, 500 * (2**31 - 1))


def last_chunk(finish: str) -> bytes:
    """The last chunk of a stream, with its finish reason."""
    return sse_event(chunk(VENICE, {"content": ""}, finish))


class TestTurnsWithoutTheirConversation:
    def test_turns_without_a_conversation_are_deleted_with_their_usage(
        self, stack: Stack, event: Event
    ) -> None:
        stack.configure(retention={"usage_days": 10, "result_days": 2})
        user = stack.user()
        old, new, kept = (stack.conversation(user) for _ in range(3))
        ages = {old: 12, new: 8, kept: 12}
        for conversation, days in ages.items():
            ended = noon(days)
            turn(stack, user, conversation_id=conversation, finished_at=ended, result=None)
        stack.db.execute("delete from conversations where id = any(%s)", ([old, new],))
        event(noon())

        assert due(stack)["retention"]["found"] == {"usage_events": 0, "turn_results": 1}

        rows = stack.all("select conversation_id, is_orphaned from turns order by finished_at")
        assert [tuple(row.values()) for row in rows] == [(kept, False), (None, True)]

    def test_stay_while_they_are_not_rolled_up(self, stack: Stack) -> None:
        stack.configure(retention={"usage_days": 10})
        user = stack.user()
        conversation = stack.conversation(user)
        turn(stack, user, conversation_id=conversation, finished_at=noon(12))
        stack.db.execute("delete from conversations")
        stack.db.execute("select apply_retention()")
        assert len(stack.all("select from turns")) == 1

    def test_counts_of_other_days_go(self, stack: Stack) -> None:
        user = stack.user()
        for days in (0, 1, 2):
            stack.db.execute(
                "insert into private.counters (user_id, kind, day) values (%s, %s, %s)",
                (user.id, f"kind {days}", noon(days).date()),
            )
        stack.db.execute("select apply_retention()")
        kinds = {row["kind"] for row in stack.all("select kind from private.counters")}
        assert kinds == {"kind 0", "kind 1"}


def test_admins_read_the_sums_and_nobody_else(stack: Stack, event: Event) -> None:
    event(noon(1))
    due(stack)
    admin, other = stack.user(), stack.user()
    stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (admin.id,))
    with stack.data_api(admin) as theirs, stack.data_api(other) as others:
        for table in ("usage_hourly", "usage_daily", "health_check_steps"):
            assert theirs.get(f"/{table}").json(), table
            assert others.get(f"/{table}").json() == [], table
