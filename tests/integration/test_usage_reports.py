"""Usage reports of the database, and `make usage`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import ceil
from typing import Any
from uuid import UUID

import pytest

from dev.operate import usage as command
from dev.operate.project import Project, Unreachable
from dev.operate.report import Line, Table
from dev.operate.usage import Usage, main, read, totals, without_gaps
from dev.settings import Settings
from tests.support.answers import error, text
from tests.support.data_api import is_refused
from tests.support.gateway import SECRET_KEY
from tests.support.plans import explained, scanned
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import Stack

REPORTS = ["usage_by_day", "usage_by_model", "usage_by_user"]

pytestmark = pytest.mark.usefixtures("one_day")


def day(days_ago: int) -> str:
    """The name of a UTC day in reports, counted back from today."""
    return str(datetime.now(UTC).date() - timedelta(days=days_ago))


def report(stack: Stack, name: str, days: int = 14) -> dict[str, dict[str, Any]]:
    """The rows by their key, in their order."""
    with stack.data_api(key=SECRET_KEY) as api:
        parameters: dict[str, Any] = {}
        while day := api.post("/rpc/roll_up_usage", json=parameters).json():
            parameters["p_day"] = day
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

    assert (day["turns"], day["calls"], day["errors"]) == (1, 2, 1)
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


SHORTEST = timedelta(microseconds=1)


def midnight(days_ago: int = 0) -> datetime:
    """The first moment of today, or of an earlier day."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days_ago)


def some_events(stack: Stack, some: random.Random, days_ago: int, number: int) -> None:
    """Calls of one day, in turns that ask several models, some at the ends of the day."""
    first = midnight(days_ago)
    ends = (first, first + timedelta(days=1) - SHORTEST)
    for _ in range(number):
        at = some.choice([*ends, first + some.random() * timedelta(days=0.9)])
        turn_id = some.choice([None, UUID(int=some.getrandbits(128))])
        for _ in range(some.randrange(1, 5)):
            stack.insert(
                "usage_events",
                provider="p",
                model_key=some.choice("mn"),
                outcome=some.choice(["ok", "ok", "ok", "timeout", "empty"]),
                turn_id=turn_id,
                prompt_tokens=some.choice([None, 100]),
                cached_tokens=some.choice([None, 70]),
                completion_tokens=some.choice([None, 20]),
                is_estimated=some.random() < 0.3,
                cost_usd=some.choice([None, 0, Decimal("0.01")]),
                first_token_ms=some.choice([None, some.randrange(3_000)]),
                duration_ms=some.randrange(90_000),
                created_at=at,
            )


def of_events(
    stack: Stack, key: Callable[[dict[str, Any]], str], days: int
) -> dict[str, dict[str, Any]]:
    """The figures of a report, from all events of its days."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in stack.all("select * from usage_events where created_at >= %s", midnight(days - 1)):
        found.setdefault(key(event), []).append(event)
    return {name: figures(events) for name, events in found.items()}


def figures(events: list[dict[str, Any]]) -> dict[str, Any]:
    good = [event for event in events if event["outcome"] == "ok"]
    failed = Counter(event["outcome"] for event in events if event["outcome"] != "ok")
    turns = {(event["turn_id"], day_of(event)) for event in events if event["turn_id"]}
    found: dict[str, Any] = {"turns": len(turns), "calls": len(events), "errors": failed.total()}
    found |= {"outcomes": failed, "estimated": sum(event["is_estimated"] for event in events)}
    for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd"):
        found[name] = sum(event[name] or 0 for event in events)
    found["cost_unknown"] = sum(event["cost_usd"] is None for event in good)
    for name in ("first_token_ms", "duration_ms"):
        times = sorted(two_digits(event[name]) for event in good if event[name] is not None)
        for percent in (50, 95):
            place = ceil(len(times) * percent / 100) - 1
            found[f"{name}_p{percent}"] = times[place] if times else None
    return found


def day_of(event: dict[str, Any]) -> str:
    return str(event["created_at"].astimezone(UTC).date())


def two_digits(ms: int) -> int:
    unit = Decimal(10) ** max(0, len(str(ms)) - 2)
    return int((Decimal(ms) / unit).quantize(Decimal(1), ROUND_HALF_UP) * unit)


def roll_up(stack: Stack, limit: int = 100_000) -> None:
    day = stack.one("select roll_up_usage(p_limit => %s) as day", limit)["day"]
    while day:
        day = stack.one("select roll_up_usage(%s, %s) as day", day, limit)["day"]


@pytest.mark.installations
class TestFiguresAreThoseOfTheEvents:
    def check(self, stack: Stack, days: int) -> None:
        """Both reports that read sums."""
        for name, key in (
            ("usage_by_day", day_of),
            ("usage_by_model", lambda event: f"p:{event['model_key']}"),
        ):
            rows = stack.all(f"select * from {name}(%s)", days)  # noqa: S608
            expected = of_events(stack, key, days)
            assert {row.pop("key"): row for row in rows} == {
                key: figures | {"since": None} for key, figures in expected.items()
            }
            assert expected

    @pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
    def test_of_days_and_models(self, stack: Stack, zone: str) -> None:
        some = random.Random(zone)  # noqa: S311
        for days_ago in (4, 3, 1, 0):
            some_events(stack, some, days_ago, 12)
        stack.db.execute("select set_config('timezone', %s, false)", (zone,))
        try:
            roll_up(stack)
            for days in (1, 2, 4, 14):
                self.check(stack, days)
        finally:
            stack.db.execute("reset time zone")

    def test_where_the_roll_up_was_behind_and_an_event_came_late(self, stack: Stack) -> None:
        some = random.Random(1)  # noqa: S311
        for days_ago in (3, 2):
            some_events(stack, some, days_ago, 12)
        roll_up(stack)
        some_events(stack, some, 2, 3)
        for days_ago in (1, 0):
            some_events(stack, some, days_ago, 12)
        roll_up(stack)
        self.check(stack, 14)

    def test_of_a_day_that_is_rolled_up_in_parts(self, stack: Stack) -> None:
        """Turns are in one part: one with calls in two counts twice."""
        for minutes in range(40):
            at = midnight(1) - timedelta(minutes=minutes)  # long enough ago to be rolled up
            row = {"provider": "p", "model_key": "mn"[minutes % 2], "created_at": at}
            row |= {"outcome": "ok", "duration_ms": minutes * 37, "turn_id": UUID(int=minutes)}
            stack.insert("usage_events", **row)
        roll_up(stack, limit=7)
        self.check(stack, 14)


def test_reports_do_not_read_the_events_of_days_that_are_rolled_up(
    stack: Stack, postgres: Postgres
) -> None:
    with postgres.connect("app", OWNER) as db:
        read = []
        for rows in (100, 10_000):
            db.execute("delete from usage_events")
            db.execute(
                "insert into usage_events (provider, model_key, outcome, duration_ms, created_at)"
                " select 'p', 'm', 'ok', n %% 90, %s - interval '5 days' * n / %s"
                " from generate_series(1, %s) n",
                (midnight(1), rows, rows),
            )
            db.execute("delete from usage_daily")
            db.execute("delete from private.rolled_up_days")
            roll_up(stack)
            db.execute("vacuum analyze usage_events, usage_daily")
            with explained(db) as plans:
                db.execute("select usage_by_day(), usage_by_model()")
            read.append(scanned(plans))
            assert "usage_events" not in str(plans)
    assert 0 < read[1] <= read[0]
    assert sum(row["calls"] for row in stack.all("select * from usage_by_day()")) == 10_000


class TestNewestCallsOfPeople:
    def rows(self, stack: Stack, most: int) -> list[tuple[Any, ...]]:
        rows = stack.all("select * from usage_by_user(14, %s)", most)
        return [(row["calls"], row["since"]) for row in rows]

    def test_are_all_calls_where_they_are_few(self, stack: Stack) -> None:
        user = stack.user()
        for days_ago in (0, 1, 2, 20):
            used(stack, user.id, days_ago=days_ago)
        assert self.rows(stack, 3) == [(3, None)]

    def test_say_since_when_where_they_are_more(self, stack: Stack) -> None:
        user = stack.user()
        for days_ago in (0, 1, 2):
            used(stack, user.id, days_ago=days_ago)
        oldest = stack.one("select min(created_at) as at from usage_events")["at"]
        assert self.rows(stack, 2) == [(2, oldest + SHORTEST)]

    def test_are_as_many_rows_of_many_calls(self, stack: Stack, postgres: Postgres) -> None:
        user = stack.user()
        with postgres.connect("app", OWNER) as db:
            db.execute(
                "insert into usage_events"
                " (user_id, provider, model_key, outcome, duration_ms, created_at)"
                " select %s, 'p', 'm', 'ok', 1, now() - interval '1 day' * n / 10000"
                " from generate_series(1, 10000) n",
                (user.id,),
            )
            db.execute("vacuum analyze usage_events")
            with explained(db) as plans:
                db.execute("select usage_by_user(14, 200)")
        # The time of the last one is looked up, then they are read.
        assert 400 <= scanned(plans) <= 410


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

    def test_adds_up_what_happened_since_the_last_roll_up(
        self, stack: Stack, capsys: pytest.CaptureFixture[str]
    ) -> None:
        user = stack.user()
        for days_ago in (3, 1):
            used(stack, user.id, days_ago=days_ago)
        roll_up(stack)
        for days_ago in (1, 0):
            used(stack, user.id, days_ago=days_ago)
        assert main(Settings(), 14) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith("Total: 4 calls, 0 failed")

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


def test_heading_says_since_when_calls_of_people_are_counted() -> None:
    since = "2026-01-02T12:00:00.000001+02:00"
    found = {"usage_by_day": read([{"key": "2026-01-03", "calls": 9}])}
    found["usage_by_user"] = read([{"key": "deleted", "calls": 2, "since": since}])
    titles = [part.title for part in command.report(found, [], 14) if isinstance(part, Table)]
    assert titles == [
        "By day (UTC)",
        "By user, highest cost first, only calls since 2026-01-02 10:00 UTC",
    ]


class Overloaded(Project):
    """Its database gives up on one function."""

    def call(self, function: str, **parameters: Any) -> Any:
        raise Unreachable(f"canceling statement due to statement timeout: {function}")


def test_usage_is_reported_where_the_comparison_takes_too_long() -> None:
    sides = command.read_sides(Overloaded("", "", {}, None, is_local=True), 14)
    found = {"usage_by_day": read([{"key": "2026-01-03", "calls": 9}])}
    first, *_, last = command.report(found, sides, 14)
    assert isinstance(first, Line)
    assert "not compared: it took too long" in first.text
    assert last == Line(totals(found["usage_by_day"]))
    assert command.data(found, sides, 14)["compare_functions"] is None


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
