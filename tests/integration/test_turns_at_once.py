"""Turns of different people do not wait for each other, however many instances there are.

The database is all that instances share. Here one person's calls have done their work and their
transaction stays open, which is the longest that they could hold anything; another person's whole
turn must pass meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.installations import connect
from tests.support.postgres import Connection, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack, User

pytestmark = [pytest.mark.installations, pytest.mark.usefixtures("one_day")]

PAID = {
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

    def finish(self) -> None:
        finished = self._one(
            "select public.finish_turn(p_turn_id => %s, p_status => 'complete', p_reply => 'Here.',"
            " p_usage => %s) as row",
            *(self._id, Jsonb([PAID])),
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


def whole(db: Connection, person: tuple[User, UUID]) -> None:
    turn = Turn(db, *person)
    turn.begin()
    turn.finish()


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


def spent(stack: Stack) -> float:
    return float(stack.one("select private.spent_by_all(now()) as usd")["usd"])


def test_persons_own_turns_wait(
    two: tuple[Connection, Connection], people: list[tuple[User, UUID]]
) -> None:
    """So the test above would notice it if others had to."""
    (first, second), (ada, _) = two, people
    with first.transaction():
        Turn(first, *ada).begin()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            Turn(second, *ada).begin()
