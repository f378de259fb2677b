"""What a person has used of a day, which turns read from a few rows instead of adding it up."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import text
from tests.support.limits import add_turn, limit, pay
from tests.support.plans import explained, scanned
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack, User

pytestmark = [pytest.mark.installations, pytest.mark.usefixtures("one_day")]

FIRST = "date_trunc('day', now(), 'UTC')"
"""The first moment of today."""


def call(random_one: random.Random, purpose: str = "reply") -> dict[str, Any]:
    """A model call: free, paid, or of unknown cost."""
    cost = random_one.choice([None, 0, 0.00000001, 0.01, 1.5])
    tokens = random_one.choice([(None, None), (0, 0), (900, None), (900, 70)])
    made = {"provider": "p", "model_key": "m", "outcome": "ok", "duration_ms": 1}
    made |= {"purpose": purpose, "cost_usd": cost}
    return made | dict(zip(("prompt_tokens", "completion_tokens"), tokens, strict=True))


class Life:
    """Turns of one person, in the ways in which turns begin, end and cost something."""

    def __init__(self, stack: Stack, user: User, seed: int) -> None:
        self._stack, self._user, self._random = stack, user, random.Random(seed)  # noqa: S311

    def go_on(self) -> None:
        self._random.choice([self.turn, self.turn, self.turn, self.repeat, self.query])()

    def turn(self) -> None:
        conversation = self._stack.conversation(self._user)
        turn = self.begin(conversation)
        if self._random.random() < 0.2:
            self._stack.db.execute("delete from conversations where id = %s", (conversation,))
        calls = [call(self._random) for _ in range(self._random.randrange(4))]
        if self._random.random() < 0.3:
            self._ask("embed_messages(%s, 'm', '[]', %s, 1)", turn, self._calls("embedding"))
        status = self._random.choice(["complete", "failed", "stopped", "incomplete", None])
        if status is None:
            return  # Its process died.
        reply = "Aye." if status != "failed" else None
        finish = (turn, status, reply, Jsonb(calls))
        for _ in range(self._random.choice([1, 2])):  # The answer may be lost.
            self._ask("finish_turn(%s, %s, %s, p_usage => %s)", *finish)
        if self._random.random() < 0.3:
            self._ask("remember(%s, '{}', %s)", turn, self._calls("memory"))

    def begin(self, conversation: UUID) -> UUID:
        turn = uuid4()
        for _ in range(self._random.choice([1, 2])):
            found = self._ask(
                "begin_turn(p_turn_id => %s, p_user_id => %s, p_task => 'roleplay',"
                " p_action => 'send', p_conversation_id => %s, p_character_id => %s,"
                " p_message => 'Hello.', p_client_message_id => %s)",
                *(turn, self._user.id, conversation, DEMO_CHARACTER, str(turn)),
            )
            assert found["outcome"] == "started"
        return turn

    def repeat(self) -> None:
        """A second request in a conversation whose turn is still running: it is refused."""
        conversation = self._stack.conversation(self._user)
        self.begin(conversation)
        found = self._ask(
            "begin_turn(gen_random_uuid(), %s, 'roleplay', 'send', %s, p_message => 'Hello.')",
            *(self._user.id, conversation),
        )
        assert found["outcome"] == "in_progress"

    def query(self) -> None:
        """The embedding of a message that begins no turn; recorded twice, it counts once."""
        asked = (uuid4(), self._user.id, self._calls("embedding"))
        for _ in range(2):
            self._ask("record_query(%s, %s, %s)", *asked)

    def _calls(self, purpose: str) -> Jsonb:
        return Jsonb([call(self._random, purpose)])

    def _ask(self, function: str, *values: Any) -> Any:
        return self._stack.one(f"select public.{function} as found", *values)["found"]


def people(stack: Stack, count: int) -> list[User]:
    return [stack.user() for _ in range(count)]


def counted(stack: Stack, user: User) -> dict[str, Any]:
    """What turns and read_limits read."""
    return stack.one(
        "select private.turns_begun(u.id, now()) as turns, private.spent_by(u.id, now()) as usd,"
        " private.turns_running(u.id, now()) as running, private.tokens_of(u.id, now()) as tokens"
        " from (select %s::uuid as id) u",
        user.id,
    )


def added_up(stack: Stack, user: User) -> dict[str, Any]:
    """The same from all rows."""
    return stack.one(
        "select (select count(*) from turns where user_id = u.id) as turns,"
        " (select coalesce(sum(cost_usd), 0) from usage_events where user_id = u.id) as usd,"
        " (select count(*) from turns where user_id = u.id and status = 'running') as running,"
        " (select jsonb_build_object('prompt', coalesce(sum(prompt_tokens), 0),"
        "   'completion', coalesce(sum(completion_tokens), 0))"
        "  from usage_events where user_id = u.id) as tokens"
        " from (select %s::uuid as id) u",
        user.id,
    )


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_the_sums_of_the_rows(stack: Stack, seed: int) -> None:
    limit(stack)
    lives = {user: Life(stack, user, seed * 2 + n) for n, user in enumerate(people(stack, 2))}
    for _ in range(25):
        for life in lives.values():
            life.go_on()
    found = [counted(stack, user) for user in lives]
    assert found == [added_up(stack, user) for user in lives]
    assert all(one["turns"] and one["usd"] and one["running"] for one in found)
    assert all(one["tokens"]["prompt"] and one["tokens"]["completion"] for one in found)


def test_every_action_that_begins_a_turn_counts(stack: Stack) -> None:
    stack.upstream.always(text("Yes."))
    user = stack.user()
    conversation = {"conversation_id": str(stack.conversation(user))}
    for body in (
        {"message": "Hello"},
        {"action": "regenerate"},
        {"action": "continue"},
        {"action": "impersonate"},
    ):
        assert stack.chat(user, **conversation, **body).status_code == 200
    assert stack.chat(user, task="prompt_enhancement", message="A pier").status_code == 200
    assert counted(stack, user)["turns"] == 5 == added_up(stack, user)["turns"]


class TestMidnight:
    """A day begins in UTC."""

    def test_number_of_turns_begins_again(self, stack: Stack) -> None:
        stack.upstream.always(text("Yes."))
        user = stack.user()
        add_turn(stack, user, f"{FIRST} - interval '1 microsecond'", number_of_day=7)
        assert self.turns(stack, user) == [7, 0, 0]
        stack.chat(user, conversation_id=str(stack.conversation(user)), message="Hello")
        assert self.turns(stack, user) == [7, 1, 0]
        add_turn(stack, user, f"{FIRST} + interval '1 day'", number_of_day=1)
        assert self.turns(stack, user) == [7, 1, 1]

    def test_spending_is_of_the_day_of_the_call(self, stack: Stack) -> None:
        user = stack.user()
        for usd, after in ((0.1, 0), (0.2, 5), (0.4, -1), (None, 6), (0, 7)):
            pay(stack, user, usd, f"{FIRST} + interval '{after} microseconds'")
        query = (
            "select private.spent_by(u.id, at)::float as usd, private.tokens_of(u.id, at) as tokens"
            " from (select %s::uuid as id, now() + %s * interval '1 day' as at) u"
        )
        spent = [stack.one(query, user.id, day) for day in (-1, 0, 1)]
        assert [one["usd"] for one in spent] == [0.4, 0.3, 0]
        # A free call has tokens, too.
        assert [one["tokens"]["prompt"] for one in spent] == [70, 280, 0]

    def test_day_has_24_hours_in_every_time_zone(self, stack: Stack) -> None:
        """On this one the clocks of New York go forward."""
        user = stack.user()
        limit(stack, turns_per_day=2)
        for number in (1, 2):
            add_turn(stack, user, f"'2026-03-08 23:{number}0Z'", number_of_day=number)
        stack.db.execute("set time zone 'America/New_York'")
        try:
            found = stack.one(
                "select begun, private.reached_limit(%s, now, begun) as blocked,"
                " (select resets_at from private.used_turns(%s, '{}', now)"
                "  where name = 'turns_per_day') as resets_at"
                " from (values ('2026-03-08 23:30Z'::timestamptz)) moment (now)"
                " cross join lateral private.turns_begun(%s, now) begun",
                *(user.id, user.id, user.id),
            )
        finally:
            stack.db.execute("reset time zone")
        assert found["begun"] == 2
        assert found["blocked"] == {"limit": "turns_per_day", "retry_after_seconds": 1800}
        assert found["resets_at"] == datetime(2026, 3, 9, tzinfo=UTC)

    def turns(self, stack: Stack, user: User) -> list[int]:
        """Those of yesterday, today and tomorrow."""
        query = "select private.turns_begun(%s, now() + %s * interval '1 day') as n"
        return [stack.one(query, user.id, day)["n"] for day in (-1, 0, 1)]


def test_turns_that_were_stored_without_a_number_count(stack: Stack) -> None:
    """Those from before an upgrade."""
    stack.upstream.always(text("Yes."))
    user = stack.user()
    for _ in range(3):
        add_turn(stack, user, FIRST)
    assert counted(stack, user)["turns"] == 3
    for expected in (4, 5):
        stack.chat(user, conversation_id=str(stack.conversation(user)), message="Hello")
        assert counted(stack, user)["turns"] == expected


def test_rows_that_a_turn_reads_do_not_become_more(stack: Stack, postgres: Postgres) -> None:
    user = stack.user()
    limit(stack, turns_per_minute=20, turns_per_day=100_000, running=3, usd_per_day=100_000)
    with postgres.connect("app", OWNER) as db:
        read = []
        for rows in (30, 3_000):
            db.execute("delete from turns")
            add(db, user, rows)
            db.execute("vacuum analyze turns, usage_events, private.spent_by_person")
            with explained(db) as plans:
                db.execute(
                    "select private.reached_limit(u.id, now(), private.turns_begun(u.id, now())),"
                    " private.is_spent(u.id, now()) from (values (%s)) u (id)",
                    (user.id,),
                )
                db.execute(
                    "select private.used_turns(%s, '{}', now() + interval '2 minutes'),"
                    " private.tokens_of(%s, now())",
                    (user.id, user.id),
                )
            read.append(scanned(plans))
            assert "usage_events" not in str(plans)
    assert counted(stack, user)["turns"] == 3_000
    assert 0 < read[1] <= read[0]


def add(db: Any, user: User, rows: int) -> None:
    """Turns since the day began, each with a paid call."""
    db.execute(
        "insert into turns (user_id, task, action, status, finished_at, lease_expires_at,"
        " created_at, number_of_day)"
        " select %s, 'roleplay', 'send', 'complete', now(), now(),"
        "   day + greatest(now() - interval '2 minutes' - day, '0') * (n::float / %s), n"
        " from generate_series(1, %s) n, date_trunc('day', now(), 'UTC') day",
        (user.id, rows, rows),
    )
    db.execute(
        "insert into usage_events (user_id, provider, model_key, outcome, duration_ms, cost_usd)"
        " select %s, 'x', 'x', 'ok', 1, 0.01 from generate_series(1, %s)",
        (user.id, rows),
    )


def test_sums_of_past_days_are_deleted_in_batches(stack: Stack) -> None:
    users = people(stack, 3)
    for user in users:
        stack.db.execute(
            "insert into private.spent_by_person (user_id, day, part, cost_usd)"
            " select %s, (now() at time zone 'utc')::date - n, 0, 1 from generate_series(0, 4) n",
            (user.id,),
        )
    deleted = [stack.one("select apply_retention(4) as n")["n"]["turn_results"] for _ in range(4)]
    assert deleted == [4, 4, 1, 0]
    days = stack.all(
        "select (now() at time zone 'utc')::date - day as ago from"
        " private.spent_by_person order by 1"
    )
    assert [row["ago"] for row in days] == [0, 0, 0, 1, 1, 1]


def test_sums_of_a_person_go_with_the_account(stack: Stack) -> None:
    user, other = people(stack, 2)
    for one in (user, other):
        pay(stack, one, 0.5)
    stack.db.execute("delete from auth.users where id = %s", (user.id,))
    assert {row["user_id"] for row in stack.all("select user_id from private.spent_by_person")} == {
        other.id
    }
