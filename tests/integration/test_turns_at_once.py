"""Turns of different people do not wait for each other, however many instances there are.

The database is all that instances share. Here one person's calls have done their work and their
transaction stays open, which is the longest that they could hold anything; another person's whole
turn must pass meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.installations import connect
from tests.support.postgres import Connection, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack, User, waits
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.installations, pytest.mark.usefixtures("one_day")]

PAID: dict[str, Any] = {
    "provider": "openrouter",
    "model_key": "m",
    "outcome": "ok",
    "prompt_tokens": 1000,
    "completion_tokens": 10,
    "cost_usd": 0.01,
    "duration_ms": 1,
    "estimate": {"latin": 1000, "other": 0},
}


class Turn:
    """The two calls of a turn of one person, on a connection of their own."""

    def __init__(self, db: Connection, user: User, conversation: UUID) -> None:
        self._db, self._user, self._conversation = db, user, conversation
        self._id = uuid4()

    def begin(self) -> None:
        begun = self._one(
            "select public.begin_turn(p_turn_id => %s, p_user_id => %s, p_task => 'roleplay',"
            " p_action => 'send', p_conversation_id => %s, p_character_id => %s,"
            " p_message => 'Where does the lamplighter live?', p_client_message_id => %s) as row",
            *(self._id, self._user.id, self._conversation, DEMO_CHARACTER, str(self._id)),
        )
        assert begun["outcome"] == "started"

    def finish(self, *cooldowns: dict[str, str]) -> None:
        finished = self._one(
            "select public.finish_turn(p_turn_id => %s, p_status => 'complete', p_reply => 'Here.',"
            " p_usage => %s, p_cooldowns => %s) as row",
            *(self._id, Jsonb([PAID]), Jsonb(cooldowns)),
        )
        assert finished["outcome"] == "saved"

    def _one(self, query: str, *values: Any) -> dict[str, Any]:
        (found,) = self._db.execute(query.encode(), values).fetchall()
        return dict(found["row"])


@pytest.fixture
def two(stack: Stack, postgres: Postgres) -> Iterator[tuple[Connection, Connection]]:
    """Two connections. The second gives up where it would have to wait for the first."""
    with ExitStack() as opened:
        first = opened.enter_context(connect(postgres, "app"))
        second = opened.enter_context(connect(postgres, "app"))
        # What the project has spent is added up in 32 rows. These two begin at the same one.
        while (first.info.backend_pid - second.info.backend_pid) % 32:
            second.close()
            second = opened.enter_context(connect(postgres, "app"))
        second.execute("set lock_timeout = '1s'")
        yield first, second


@pytest.fixture
def people(stack: Stack) -> list[tuple[User, UUID]]:
    """Two people in the middle of talking, with the same character."""
    users = [stack.user(), stack.user()]
    return [(user, stack.conversation(user, "Good evening.", "Aye.")) for user in users]


def whole(db: Connection, person: tuple[User, UUID], *cooldowns: dict[str, str]) -> None:
    turn = Turn(db, *person)
    turn.begin()
    turn.finish(*cooldowns)


def cooldown(key: str, **lasts: float) -> dict[str, str]:
    until = datetime.now(UTC) + timedelta(**lasts)
    return {"scope": "model", "key": key, "until": until.isoformat(), "reason": "a test"}


def test_turn_passes_while_turns_of_others_are_saved(
    two: tuple[Connection, Connection], people: list[tuple[User, UUID]]
) -> None:
    (first, second), (ada, ben) = two, people
    whole(first, ada)  # A model's first turn makes rows that later ones share.
    with first.transaction():
        turn = Turn(first, *ada)
        turn.begin()
        whole(second, ben)
        turn.finish()
        whole(second, ben)


def test_first_paid_turns_of_a_day_pass_each_other(
    two: tuple[Connection, Connection], people: list[tuple[User, UUID]], stack: Stack
) -> None:
    (first, second), (ada, ben) = two, people
    whole(first, ada)
    stack.db.execute("delete from private.spent_daily")
    with first.transaction():
        whole(first, ada)
        whole(second, ben)
    assert spent(stack) == pytest.approx(2 * PAID["cost_usd"])


def test_spending_waits_for_nobody_however_many_pay_at_once(
    stack: Stack, postgres: Postgres
) -> None:
    """More transactions than there are rows. Each pays twice, as a turn with two calls does."""
    pay = (
        "insert into public.usage_events (provider, model_key, outcome, duration_ms, cost_usd)"
        " values ('x', 'x', 'ok', 1, 0.25)"
    )
    with ExitStack() as opened:
        for _ in range(40):
            paying = opened.enter_context(connect(postgres, "app"))
            paying.execute("set lock_timeout = '1s'")
            opened.enter_context(paying.transaction())
            paying.execute(pay)
            paying.execute(pay)
        assert spent(stack) == 0  # None has committed.
    assert spent(stack) == 40 * 2 * 0.25


def test_payments_of_one_person_wait_for_each_other_neither(
    stack: Stack, postgres: Postgres
) -> None:
    """Embeddings of a message are paid while another turn of its writer ends."""
    user = stack.user()
    with ExitStack() as opened:
        for _ in range(40):
            paying = opened.enter_context(connect(postgres, "app"))
            paying.execute("set lock_timeout = '1s'")
            opened.enter_context(paying.transaction())
            paying.execute(
                "select record_query(gen_random_uuid(), %s, %s)", (user.id, Jsonb([PAID]))
            )
    spent_by = stack.one("select private.spent_by(%s, now()) as usd", user.id)
    assert float(spent_by["usd"]) == pytest.approx(40 * PAID["cost_usd"])


def spent(stack: Stack) -> float:
    return float(stack.one("select private.spent_by_all(now()) as usd")["usd"])


class TestCooldowns:
    """Those of a target are one row, which turns of all people write."""

    def test_turns_that_report_a_known_one_pass_each_other(
        self, two: tuple[Connection, Connection], people: list[tuple[User, UUID]]
    ) -> None:
        (first, second), (ada, ben) = two, people
        known = cooldown("m", minutes=10)
        whole(first, ada, known)
        with first.transaction():
            whole(first, ada, known, cooldown("m", minutes=5))
            whole(second, ben, known, cooldown("m", minutes=5))

    def test_longer_one_waits_for_a_shorter_one_and_is_not_lost(
        self, two: tuple[Connection, Connection], people: list[tuple[User, UUID]], stack: Stack
    ) -> None:
        (first, second), (ada, ben) = two, people
        second.execute("set lock_timeout = 0")
        longer = cooldown("m", minutes=50)
        with ThreadPoolExecutor() as pool, first.transaction():
            whole(first, ada, cooldown("m", minutes=10))
            saved = pool.submit(whole, second, ben, longer)
            wait_until(lambda: waits(stack, second), "the other turn to wait")
            # It has written all else.
            held = "select from pg_locks where pid = %s and relation = 'public.memories'::regclass"
            assert stack.all(held, second.info.backend_pid)
        saved.result()
        assert until(stack, "m") == longer["until"]

    def test_several_are_written_in_the_same_order(
        self, two: tuple[Connection, Connection], stack: Stack
    ) -> None:
        """Or two turns that have written one each would wait for the other's."""
        first, second = two
        second.execute("set lock_timeout = 0")
        keys = "abcdefgh"
        with ThreadPoolExecutor() as pool, first.transaction():
            cool(first, cooldown("a", minutes=10))
            written = pool.submit(
                cool, second, *(cooldown(key, minutes=20) for key in reversed(keys))
            )
            wait_until(lambda: waits(stack, second), "the other turn to wait")
            first.execute("set local lock_timeout = '1s'")
            cool(first, *(cooldown(key, minutes=10) for key in keys))
        written.result()
        assert len(stack.all("select from model_cooldowns")) == len(keys)

    def test_one_that_is_being_written_is_not_cleared(
        self, two: tuple[Connection, Connection], stack: Stack
    ) -> None:
        first, second = two
        cool(first, cooldown("a", minutes=10), cooldown("b", minutes=10))
        stack.db.execute("update model_cooldowns set until = now() - interval '11 minutes'")
        clear = "select public.clear_passed_cooldowns() as n"
        with first.transaction():
            cool(first, cooldown("a", minutes=10))
            assert second.execute(clear.encode()).fetchall() == [{"n": 1}]
        assert [row["key"] for row in stack.all("select key from model_cooldowns")] == ["a"]


class TestRepairs:
    """Those of a model are one row, which turns of all people write."""

    def test_turns_that_report_known_ones_pass_each_other(
        self, two: tuple[Connection, Connection], stack: Stack
    ) -> None:
        first, second = two
        report(first, {"roles": "alternate", "max_completion_tokens": True})
        with first.transaction():
            for db in two:
                report(db, {"roles": "alternate"})
        with first.transaction():
            report(first, {"roles": "no_system"})
            with pytest.raises(psycopg.errors.LockNotAvailable):
                report(second, {"roles": "alternate", "x": 1})
        assert repairs(stack) == {"roles": "no_system", "max_completion_tokens": True}

    def test_ones_in_use_do_not_expire(
        self, two: tuple[Connection, Connection], stack: Stack
    ) -> None:
        known = {"roles": "alternate"}
        report(two[0], known)
        age = "update private.model_repairs set updated_at = now() - %s::interval"
        is_new = (
            "select updated_at > now() - interval '1 hour' as is_new from private.model_repairs"
        )
        for hours, is_written in ((23, False), (25, True)):
            stack.db.execute(age, (f"{hours} hours",))
            report(two[0], known)
            assert stack.one(is_new) == {"is_new": is_written}


def report(db: Connection, repairs: dict[str, Any]) -> None:
    row = PAID | {"repairs": repairs}
    db.execute("select private.remember_repairs(%s)", [Jsonb([row])])


def repairs(stack: Stack) -> Any:
    return stack.one("select repairs from private.model_repairs")["repairs"]


def cool(db: Connection, *cooldowns: dict[str, str]) -> None:
    db.execute("select private.cool_down(%s)", [Jsonb(cooldowns)])


def until(stack: Stack, key: str) -> str:
    row = stack.one("select until from model_cooldowns where key = %s", key)
    return str(row["until"].isoformat())


def test_persons_own_turns_wait(
    two: tuple[Connection, Connection], people: list[tuple[User, UUID]]
) -> None:
    """So the test above would notice it if others had to."""
    (first, second), (ada, _) = two, people
    with first.transaction():
        Turn(first, *ada).begin()
        with pytest.raises(psycopg.Error) as refused:
            Turn(second, *ada).begin()
    assert refused.value.sqlstate == "PT429"
