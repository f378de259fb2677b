"""Limits of turns, actions, rows and spending, and of the size of requests."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import psycopg
import pytest

from edge import clients
from roleplay_chat import message_actions, request_body
from roleplay_chat.cards import handlers as cards
from roleplay_chat.chats import handlers as chats
from tests.support import patient
from tests.support.answers import error, held, reply, text, worker_chat
from tests.support.chat_errors import refused
from tests.support.gateway import SECRET_KEY
from tests.support.limits import PAID, add_turn, limit, pay
from tests.support.plans import explained, nodes
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import Stack, User
from tests.support.talk import LAG
from tests.support.waiting import PATIENCE, Gate

VENICE = "cognitivecomputations/dolphin-mistral-24b-venice-edition:free"


@pytest.fixture
def yes(stack: Stack) -> None:
    """Makes every model answer."""
    stack.upstream.always(text("Yes."))


def say(stack: Stack, user: User, **body: Any) -> httpx.Response:
    """Sends a message in a new conversation."""
    body = {"message": "Hello"} | body
    return stack.chat(user, conversation_id=str(stack.conversation(user)), **body)


def ends_at_midnight(wait: int) -> bool:
    """Whether a wait from now ends at a UTC midnight, the next one or one that just passed."""
    ends = datetime.now(UTC) + timedelta(seconds=wait)
    midnight = ends.replace(hour=0, minute=0, second=0, microsecond=0)
    return min(ends - midnight, midnight + timedelta(days=1) - ends) < timedelta(seconds=LAG)


def limited(answer: httpx.Response, code: str = "rate_limited") -> int:
    """The Retry-After seconds of a 429."""
    assert refused(answer, 429, code).endswith(".")
    return int(answer.headers["retry-after"])


@pytest.mark.installations
@pytest.mark.usefixtures("yes", "one_day")
class TestTurns:
    def test_turns_per_minute_are_limited(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=2)
        user = stack.user()
        conversation = stack.conversation(user)
        answers = [
            stack.chat(user, conversation_id=str(conversation), message=str(number))
            for number in range(3)
        ]

        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 60 - LAG <= limited(answers[-1]) <= 60
        assert len(stack.said(conversation)) == 4
        assert say(stack, stack.user()).status_code == 200

    def test_wait_ends_when_the_minute_does(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=2)
        user = stack.user()
        for age in (70, 30, 10):
            add_turn(stack, user, f"now() - interval '{age} seconds'")
        assert 30 - LAG <= limited(say(stack, user)) <= 30

    def test_turns_per_day_are_limited(self, stack: Stack) -> None:
        limit(stack, turns_per_day=1)
        user, early = stack.user(), stack.user()
        add_turn(stack, user, "now()")
        add_turn(stack, early, "date_trunc('day', now(), 'UTC') - interval '1 second'")

        assert ends_at_midnight(limited(say(stack, user)))
        assert say(stack, early).status_code == 200

    @pytest.mark.parametrize(
        ("when", "reached"),
        [
            pytest.param("2026-01-01T23:59:59Z", None, id="the-day-before"),
            pytest.param("2026-01-02T00:00:00Z", "turns_per_day", id="as-the-day-begins"),
        ],
    )
    def test_day_is_one_in_utc(self, stack: Stack, when: str, reached: str | None) -> None:
        limit(stack, turns_per_day=1)
        user = stack.user()
        add_turn(stack, user, f"timestamptz '{when}'")
        query = (
            "select private.reached_limit(t.id, t.now, private.turns_begun(t.id, t.now))"
            " ->> 'limit' as reached"
            " from (values (%s, timestamptz '2026-01-02T12:00:00Z')) t (id, now)"
        )
        assert stack.one(query, user.id)["reached"] == reached

    def test_turns_at_the_same_time_are_limited(self, stack: Stack) -> None:
        limit(stack, running=2)
        user, gate = stack.user(), Gate()
        stack.upstream.enqueue(*[held(gate, text("Yes."))] * 2)
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(say, stack, user) for _ in range(2)]
            stack.upstream.wait_for(lambda upstream: upstream.in_progress == 2)

            assert limited(say(stack, user)) == 5
            gate.open()
            assert [answer.result().status_code for answer in running] == [200, 200]
        assert say(stack, user).status_code == 200

    def test_turns_of_dead_processes_do_not_count_as_running(self, stack: Stack) -> None:
        limit(stack, running=1)
        user = stack.user()
        row = {"user_id": user.id, "task": "roleplay", "action": "send"}
        stack.insert("turns", **row, lease_expires_at=datetime(2026, 1, 1, tzinfo=UTC))
        assert say(stack, user).status_code == 200

    def test_limits_hold_across_instances(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=2)
        user = stack.user()
        body = {"task": "prompt_enhancement", "message": "pier"}
        with stack.serving() as one, stack.serving() as other:
            statuses = [
                stack.chat(user, url=url, **body).status_code for url in (one, other, one, other)
            ]
        assert statuses == [200, 200, 429, 429]

    def test_failed_turns_count(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=1)
        user = stack.user()
        stack.upstream.enqueue(*[error(404)] * 3)
        assert say(stack, user).status_code == 503
        assert say(stack, user).status_code == 429

    def test_repeated_and_refused_requests_do_not_count(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=2)
        user = stack.user()
        conversation = str(stack.conversation(user))
        body = {"conversation_id": conversation, "message": "Hello", "client_message_id": "one"}
        replies = {stack.chat(user, **body).json()["response"] for _ in range(4)}
        assert replies == {"Yes."}
        assert say(stack, user, message="").status_code == 400
        stack.chat(user, conversation_id=str(user.id), message="Hello")

        assert stack.chat(user, conversation_id=conversation, message="Two").status_code == 200
        assert stack.chat(user, conversation_id=conversation, message="Three").status_code == 429
        assert stack.chat(user, **body).json()["response"] == "Yes."

    def test_message_that_had_to_wait_is_adopted_later(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=0)
        user = stack.user()
        conversation = stack.conversation(user)
        stack.insert("messages", conversation_id=conversation, sender="user", content="Hello")
        body = {"conversation_id": str(conversation), "message": "Hello", "client_message_id": "1"}

        assert limited(stack.chat(user, **body)) == 60
        limit(stack)
        stack.chat(user, **body)

        assert stack.said(conversation) == [("user", "Hello"), ("character", "Yes.")]

    def test_streams_are_refused_with_the_status_too(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=0)
        limited(say(stack, stack.user(), stream=True))

    @pytest.mark.parametrize(
        ("name", "word"),
        [("turns_per_minute", "fast"), ("turns_per_day", "tomorrow"), ("running", "Too many")],
    )
    def test_sentence_says_which_limit_it_is(self, stack: Stack, name: str, word: str) -> None:
        stack.configure(limits={"default": {name: 0}})
        assert word in say(stack, stack.user()).json()["error"]

    def test_role_overrides_the_default_limits(self, stack: Stack) -> None:
        stack.configure(
            limits={
                "default": {"turns_per_minute": 0, "turns_per_day": 0, "running": 1},
                "admin": {"turns_per_minute": 5, "turns_per_day": None},
            }
        )
        admin = stack.user()
        stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (admin.id,))

        assert say(stack, stack.user()).status_code == 429
        assert say(stack, admin).status_code == 200

    @pytest.mark.parametrize("limits", [{}, {"default": {}}, {"admin": {"running": 0}}])
    def test_what_is_not_limited_is_free(self, stack: Stack, limits: dict[str, Any]) -> None:
        stack.configure(limits=limits)
        assert say(stack, stack.user()).status_code == 200

    def test_new_installation_has_limits(self, stack: Stack) -> None:
        limits = stack.one("select config -> 'limits' as limits from system_config")["limits"]
        assert set(limits) == {"default", "admin", "project"}
        assert limits["default"] == {
            "turns_per_minute": 20,
            "turns_per_day": 500,
            "running": 3,
            "usd_per_day": None,
        }

    @pytest.mark.parametrize(
        "limits",
        [
            None,
            [],
            "none",
            {"default": None},
            {"default": []},
            {"default": 5},
            {"default": {"running": "three"}},
            {"default": {"running": -1}},
            {"default": {"running": [1]}},
            {"admin": {"running": True}},
            {"project": {"usd_per_day": "1"}},
        ],
    )
    def test_limits_that_mean_nothing_are_refused(self, stack: Stack, limits: object) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            stack.configure(limits=limits)


@pytest.mark.usefixtures("one_day")
class TestSpending:
    @pytest.fixture
    def user(self, stack: Stack) -> User:
        """A user with a paid model."""
        stack.db.execute("update api_models set is_active = true where model_key = %s", (PAID,))
        return stack.user()

    def asked(self, stack: Stack, user: User) -> str:
        """The model that answered."""
        stack.upstream.enqueue(text("Yes."))
        answer = say(stack, user, model_provider=PAID)
        assert answer.status_code == 200, answer.text
        return stack.upstream.calls[-1].model

    def test_below_the_ceiling_the_chosen_model_answers(self, stack: Stack, user: User) -> None:
        limit(stack, usd_per_day=0.02)
        pay(stack, user, 0.0199)
        pay(stack, user, None)
        pay(stack, user, 5, "date_trunc('day', now(), 'UTC') - interval '1 second'")
        pay(stack, stack.user(), 5)
        assert self.asked(stack, user) == PAID

    def test_free_model_answers_once_the_budget_is_spent(self, stack: Stack, user: User) -> None:
        limit(stack, usd_per_day=0.02)
        pay(stack, user, 0.015)
        pay(stack, user, 0.005)
        stack.upstream.enqueue(text("Yes."))

        body = say(stack, user, model_provider=PAID).json()

        assert (body["usedFallback"], body["fallbackModel"]) == (True, VENICE)
        assert body["notice"].startswith("Today's budget for paid models is used up;")

    def test_what_a_turn_cost_counts_for_the_next(self, stack: Stack, user: User) -> None:
        limit(stack, usd_per_day=0.02)
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "cost": 0.03}
        stack.upstream.enqueue(text("Dear.", usage=usage))
        say(stack, user, model_provider=PAID)
        assert self.asked(stack, user) == VENICE

    def test_ceiling_of_the_project_is_for_everybody(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"project": {"usd_per_day": 1}})
        pay(stack, stack.user(), 0.6)
        assert self.asked(stack, user) == PAID
        pay(stack, stack.user(), 0.4)
        assert self.asked(stack, user) == VENICE

    def test_project_pays_for_deleted_people_and_events_too(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"project": {"usd_per_day": 1}})
        leaving = stack.user()
        pay(stack, leaving, 1)
        stack.db.execute("delete from usage_events")
        stack.db.execute("delete from auth.users where id = %s", (leaving.id,))
        assert self.asked(stack, user) == VENICE

    def test_day_of_the_project_is_that_of_the_call(self, stack: Stack) -> None:
        stack.db.execute(
            "insert into usage_events"
            " (provider, model_key, outcome, duration_ms, cost_usd, created_at) select"
            " 'x', 'x', 'ok', 1, cost, date_trunc('day', now(), 'UTC') + behind * interval '1 s'"
            " from (values (0.1, 0), (0.2, 5), (0.4, -1), (null, 6), (0, 7)) v (cost, behind)"
        )
        spent = "select private.spent_by_all(now() + %s * interval '1 day') as usd"
        assert [float(stack.one(spent, day)["usd"]) for day in (-1, 0, 1)] == [0.4, 0.3, 0]

    def test_spending_of_several_connections_is_added_up(
        self, stack: Stack, postgres: Postgres
    ) -> None:
        insert = (
            "insert into usage_events (provider, model_key, outcome, duration_ms, cost_usd)"
            " values ('x', 'x', 'ok', 1, 0.25)"
        )
        with ExitStack() as held:
            for _ in range(3):
                other = held.enter_context(postgres.connect(stack.db.info.dbname))
                for _ in range(4):
                    other.execute(insert)
        assert float(stack.one("select private.spent_by_all(now()) as usd")["usd"]) == 3

    def test_project_budget_reads_no_events(
        self, stack: Stack, user: User, postgres: Postgres
    ) -> None:
        stack.configure(limits={"default": {}, "project": {"usd_per_day": 1000}})
        stack.db.execute(
            "insert into usage_events"
            " (user_id, provider, model_key, outcome, duration_ms, cost_usd)"
            " select %s, 'x', 'x', 'ok', 1, 0.01 from generate_series(1, 2000)",
            (stack.user().id,),
        )
        with postgres.connect("app", OWNER) as db:
            db.execute("vacuum analyze")
            query = "select private.is_spent(%s, now()) as is_spent"
            with explained(db) as plans:
                assert db.execute(query, (user.id,)).fetchone() == {"is_spent": False}
        read = [node.get("Relation Name") for plan in plans for node in nodes(plan["Plan"])]
        assert "spent_daily" in read
        assert "usage_events" not in read

    def test_spending_of_past_days_is_forgotten(self, stack: Stack) -> None:
        stack.db.execute(
            "insert into private.spent_daily select (now() at time zone 'utc')::date - n, 0, 1"
            " from generate_series(0, 5) n"
        )
        stack.db.execute("select apply_retention()")
        assert stack.one("select count(*) as n from private.spent_daily")["n"] == 2

    def test_role_may_have_another_ceiling(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"usd_per_day": 0}, "admin": {"usd_per_day": None}})
        assert self.asked(stack, user) == VENICE
        stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (user.id,))
        assert self.asked(stack, user) == PAID

    def test_default_that_costs_money_is_replaced_too(self, stack: Stack, user: User) -> None:
        limit(stack, usd_per_day=0)
        stack.db.execute("update api_models set is_default = false where task = 'roleplay'")
        stack.db.execute("update api_models set is_default = true where model_key = %s", (PAID,))
        stack.upstream.enqueue(text("Yes."))

        body = say(stack, user).json()

        assert stack.upstream.models_called() == [VENICE]
        assert (body["usedFallback"], body["fallbackModel"]) == (True, VENICE)

    def test_worker_is_free(self, stack: Stack, user: User) -> None:
        limit(stack, usd_per_day=0)
        stack.db.execute("update api_models set is_active = false where model_key like '%%:free'")
        stack.register_worker()
        stack.worker_health()
        stack.worker.enqueue(worker_chat("From the worker."))

        body = say(stack, user, model_provider=PAID).json()

        assert (body["response"], body["fallbackModel"]) == ("From the worker.", "chat_worker")

    @pytest.mark.parametrize("streamed", [False, True], ids=["json", "stream"])
    def test_without_a_free_model_the_turn_is_refused(
        self, stack: Stack, user: User, streamed: bool
    ) -> None:
        limit(stack, usd_per_day=0.02)
        pay(stack, user, 0.02)
        stack.db.execute("update api_models set is_active = model_key = %s", (PAID,))

        answer = say(stack, user, model_provider=PAID, stream=streamed)

        wait = limited(answer, "spend_limit_reached")
        assert ends_at_midnight(wait)
        assert stack.upstream.calls == []
        ended = {"status": "failed", "error_code": "spend_limit_reached"}
        assert stack.one("select status, error_code from turns") == ended


CHANGES = ("choose", "edit", "delete", "hide", "branch")
USD = {"prompt_tokens": 9, "completion_tokens": 9, "cost": 5}


def forget(stack: Stack, user: User, table: str = "conversations") -> None:
    """Deletes the user's rows of a table through the Data API."""
    with stack.data_api(user) as api:
        assert api.delete(f"/{table}", params={"id": "not.is.null"}).is_success


@pytest.mark.usefixtures("one_day")
class TestWhatWasDeleted:
    """Counts survive deletions."""

    @pytest.mark.usefixtures("yes")
    def test_turns_of_a_minute_count(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=2)
        user = stack.user()
        statuses = []
        for _ in range(8):
            statuses.append(say(stack, user).status_code)
            forget(stack, user)
        assert statuses == [200, 200] + [429] * 6

    @pytest.mark.usefixtures("yes")
    def test_turns_of_a_day_count(self, stack: Stack) -> None:
        limit(stack, turns_per_day=1)
        user = stack.user()
        say(stack, user)
        forget(stack, user)
        assert "tomorrow" in say(stack, user).json()["error"]

    @pytest.mark.own_tables("there a character with conversations cannot be deleted")
    @pytest.mark.usefixtures("yes")
    def test_turns_with_a_deleted_character_count(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=1)
        user = stack.user()
        vera = stack.insert("characters", user_id=user.id, name="Vera")
        body = {"conversation_id": str(stack.conversation(user, character_id=vera))}
        assert stack.chat(user, **body, message="Hello").status_code == 200
        forget(stack, user, "characters")
        forget(stack, user)
        assert say(stack, user).status_code == 429

    def test_running_turns_of_deleted_conversations_count(self, stack: Stack) -> None:
        limit(stack, running=1)
        user, gate = stack.user(), Gate()
        stack.upstream.always(held(gate, text("Yes.")))
        with ThreadPoolExecutor() as pool:
            running = pool.submit(say, stack, user)
            gate.wait_reached()
            for _ in range(3):
                forget(stack, user)
                assert limited(say(stack, user)) == 5
            gate.open()
            assert running.result().json()["saved"] is False
        assert len(stack.upstream.calls) == 1
        assert say(stack, user).status_code == 200

    def test_cost_of_deleted_conversations_counts(self, stack: Stack) -> None:
        limit(stack, usd_per_day=20)
        stack.db.execute("update api_models set is_active = true where model_key = %s", (PAID,))
        user, gate = stack.user(), Gate()
        stack.upstream.always(held(gate, text("Dear.", usage=USD)))
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(say, stack, user, model_provider=PAID) for _ in range(3)]
            stack.upstream.wait_for(lambda upstream: upstream.in_progress == 3)
            forget(stack, user)
            gate.open()
            assert [answer.result().status_code for answer in asked] == [200] * 3
        say(stack, user, model_provider=PAID)
        forget(stack, user)

        spent = stack.one("select sum(cost_usd) as usd, count(distinct turn_id) from usage_events")
        assert (spent["usd"], spent["count"]) == (20, 4)
        assert say(stack, user, model_provider=PAID).json()["model_used"] != f"openrouter:{PAID}"

    def test_money_counts_when_the_account_is_deleted_too(self, stack: Stack) -> None:
        stack.configure(limits={"project": {"usd_per_day": 5}})
        stack.db.execute("update api_models set is_active = true where model_key = %s", (PAID,))
        user, gate = stack.user(), Gate()
        stack.upstream.enqueue(held(gate, text("Dear.", usage=USD)), text("Yes."))
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(say, stack, user, model_provider=PAID)
            gate.wait_reached()
            stack.db.execute("delete from auth.users where id = %s", (user.id,))
            gate.open()
            assert asked.result().json()["saved"] is False

        event = stack.one("select user_id, cost_usd from usage_events")
        assert event == {"user_id": None, "cost_usd": 5}
        body = say(stack, stack.user(), model_provider=PAID).json()
        assert body["model_used"] != f"openrouter:{PAID}"

    def test_deleted_branches_count(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=2)
        user = stack.user()
        conversation = stack.conversation(user, "Hello")
        body = {"action": "branch", "message_id": first_message(stack, conversation)}
        statuses = []
        for _ in range(4):
            answer = stack.chat(user, **body)
            statuses.append(answer.status_code)
            with stack.data_api(user) as api:
                api.delete("/conversations", params={"id": f"neq.{conversation}"})
        assert statuses == [200, 200, 429, 429]
        assert 60 - LAG <= limited(answer) <= 60

    @pytest.mark.usefixtures("yes")
    def test_nothing_but_numbers_is_left(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        body = {"conversation_id": str(conversation), "message": "Hello-canary"}
        stack.chat(user, **body, client_message_id="id-canary")
        stack.chat(user, **{**body, "task": "storytelling"})
        forget(stack, user)
        rows = stack.all("select * from turns")
        assert len(rows) == 2
        assert "canary" not in str(rows)
        assert "Yes." not in str(rows)
        for row in rows:
            assert (row["is_orphaned"], row["conversation_id"], row["result"]) == (True, None, None)

    @pytest.mark.usefixtures("yes")
    def test_person_who_is_gone_leaves_no_counts(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user, "Hello")
        stack.chat(user, action="delete", message_id=first_message(stack, conversation))
        say(stack, user)
        counts = ("turns", "private.counters", "private.spent_by_person")
        pay(stack, user, 0.5)
        assert all(stack.all(f"select from {table}") for table in counts)
        stack.db.execute("delete from auth.users where id = %s", (user.id,))
        for table in counts:
            assert stack.all(f"select from {table}") == []
        assert {row["user_id"] for row in stack.all("select * from usage_events")} == {None}


def first_message(stack: Stack, conversation: UUID) -> str:
    query = "select id from messages where conversation_id = %s order by position limit 1"
    return str(stack.one(query, conversation)["id"])


class TestActions:
    @pytest.fixture
    def user(self, stack: Stack) -> User:
        return stack.user()

    def bodies(self, stack: Stack, user: User) -> dict[str, dict[str, Any]]:
        """A request for each action that can be repeated any number of times."""
        message = first_message(stack, stack.conversation(user, "Hello", "Good evening."))
        changed = {"message_id": message}
        vera = str(stack.insert("characters", user_id=user.id, name="Vera"))
        return {
            "choose": changed,  # not a reply: rejected, but counted
            "edit": changed | {"message": "Hi"},
            "delete": {"message_id": str(user.id)},  # does not exist
            "hide": changed,
            "branch": changed,
            "import_chat": {"character_id": vera, "chat": '{"name": "Vera", "mes": "Hi."}'},
            "export_chat": {"conversation_id": str(stack.conversation(user))},
            "import_card": {"card": {"name": "Vera", "personality": "Dry."}},
            "export_card": {"character_id": vera},
        }

    def test_every_action_is_in_the_list(self, stack: Stack, user: User) -> None:
        known = {*cards.HANDLERS, *chats.HANDLERS, *message_actions.actions(1)}
        assert set(self.bodies(stack, user)) == known

    @pytest.mark.parametrize(
        ("action", "name"),
        [
            *((action, "actions") for action in CHANGES),
            ("import_card", "imports"),
            ("export_card", "exports"),
            ("import_chat", "imports"),
            ("export_chat", "exports"),
        ],
    )
    def test_every_action_has_a_limit_per_minute(
        self, stack: Stack, user: User, action: str, name: str
    ) -> None:
        stack.configure(limits={"default": {f"{name}_per_minute": 2}})
        body = {"action": action} | self.bodies(stack, user)[action]
        answers = [stack.chat(user, **body) for _ in range(4)]

        assert 429 not in [answer.status_code for answer in answers[:2]]
        assert [60 - LAG <= limited(answer) <= 60 for answer in answers[2:]] == [True, True]
        assert "moment" in answers[-1].json()["error"]
        other = stack.user()
        assert stack.chat(other, **body).status_code != 429

    @pytest.mark.parametrize(
        ("action", "name"),
        [("delete", "actions"), ("import_card", "imports"), ("export_card", "exports")],
    )
    @pytest.mark.usefixtures("one_day")
    def test_actions_may_have_a_limit_per_day(
        self, stack: Stack, user: User, action: str, name: str
    ) -> None:
        stack.configure(limits={"default": {f"{name}_per_day": 1}})
        body = {"action": action} | self.bodies(stack, user)[action]
        assert stack.chat(user, **body).status_code == 200
        answer = stack.chat(user, **body)
        assert limited(answer) <= 86_400
        assert "tomorrow" in answer.json()["error"]

    @pytest.mark.parametrize(
        "action", [*CHANGES, "import_card", "export_card", "import_chat", "export_chat"]
    )
    def test_actions_have_a_default_limit(self, stack: Stack, user: User, action: str) -> None:
        stack.configure(limits={"default": {}})
        body = {"action": action} | self.bodies(stack, user)[action]
        statuses = [stack.chat(user, **body).status_code for _ in range(61)]
        assert statuses[0] != 429
        assert statuses[-1] == 429

    @pytest.mark.parametrize("limits", [{}, {"default": {"imports_per_minute": None}}])
    def test_import_without_a_limit_is_unlimited(
        self, stack: Stack, user: User, limits: dict[str, Any]
    ) -> None:
        stack.configure(limits=limits)
        body: dict[str, Any] = {
            "action": "import_card",
            "card": {"name": "Vera", "personality": "Dry."},
        }
        assert {stack.chat(user, **body).status_code for _ in range(12)} == {200}

    @pytest.mark.parametrize(
        ("limits", "action"),
        [
            ({"imports_per_day": 2}, "import_card"),
            ({"exports_per_day": 2}, "export_card"),
            ({"actions_per_day": 2}, "edit"),
        ],
    )
    def test_have_limits_of_a_day(
        self, stack: Stack, user: User, limits: dict[str, Any], action: str
    ) -> None:
        stack.configure(limits={"default": limits})
        body = {"action": action} | self.bodies(stack, user)[action]
        statuses = [stack.chat(user, **body).status_code for _ in range(3)]
        assert statuses.count(429) == 1
        assert statuses[-1] == 429

    def test_none_a_day_is_none(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"imports_per_day": 0}})
        limited(
            stack.chat(user, action="import_card", card={"name": "Vera", "personality": "Dry."})
        )

    def test_days_have_a_limit_where_the_settings_name_none(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"imports_per_minute": None}})
        body: dict[str, Any] = {
            "action": "import_card",
            "card": {"name": "Vera", "personality": "Dry."},
        }
        assert stack.chat(user, **body).status_code == 200
        stack.db.execute("update private.counters set on_day = 200 where kind = 'imports'")
        limited(stack.chat(user, **body))
        stack.db.execute("update private.counters set day = day - 1 where kind = 'imports'")
        assert stack.chat(user, **body).status_code == 200

    def test_branches_of_a_long_conversation(self, stack: Stack, user: User) -> None:
        """What they copy is counted, whatever their number; deleting them gives nothing back."""
        stack.configure(limits={"default": {"branched_bytes_per_day": 50_000}})
        conversation = stack.conversation(user, *["ä" * 5_000, "b"] * 2)
        last = stack.one(
            "select id from messages where conversation_id = %s order by position desc limit 1",
            conversation,
        )["id"]
        body = {"action": "branch", "message_id": str(last)}
        assert [stack.chat(user, **body).status_code for _ in range(2)] == [200, 200]
        stack.db.execute("delete from conversations where id <> %s", (conversation,))
        answer = stack.chat(user, **body)
        limited(answer)
        assert "today's limit" in answer.json()["error"]
        assert stack.one("select count(*) as n from conversations") == {"n": 1}

    def test_branch_of_more_than_a_day_may_have(self, stack: Stack, user: User) -> None:
        conversation = stack.conversation(user, "Hello")
        stack.db.execute(
            "insert into messages (conversation_id, sender, content)"
            " select %s, 'user', repeat('a', 65000) from generate_series(1, 800)",
            (conversation,),
        )
        last = stack.one("select id from messages order by position desc limit 1")["id"]
        limited(stack.chat(user, action="branch", message_id=str(last)))

    def test_a_minute_later_they_may_again(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"actions_per_minute": 2}})
        body = {"action": "edit", "message": "Hi", **self.bodies(stack, user)["edit"]}
        stack.chat(user, **body)
        stack.db.execute(
            "update private.counters set recent = array[now() - interval '30 seconds',"
            " now() - interval '10 seconds'] where kind = 'actions'"
        )
        assert 30 - LAG <= limited(stack.chat(user, **body)) <= 30
        stack.db.execute(
            "update private.counters set recent = array[now() - interval '61 seconds',"
            " now() - interval '20 seconds'] where kind = 'actions'"
        )
        assert stack.chat(user, **body).status_code == 200
        assert stack.chat(user, **body).status_code == 429

    def test_hold_over_all_instances_and_at_once(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"exports_per_minute": 3}})
        body = {"action": "export_card", **self.bodies(stack, user)["export_card"]}
        with stack.serving() as one, stack.serving() as other, ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(stack.chat, user, url=url, **body) for url in (one, other) * 4]
            statuses = sorted(answer.result().status_code for answer in asked)
        assert statuses == [200] * 3 + [429] * 5

    def test_card_is_not_looked_at_before(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"imports_per_minute": 0}})
        answer = stack.chat(
            user, action="import_card", card={"name": "Vera, 12", "personality": "Sexual."}
        )
        assert limited(answer) == 60
        limited(stack.chat(user, action="import_card", card_base64="no base64"))
        assert stack.gateway.calls == ["POST /rest/v1/rpc/count_action"] * 2

    @pytest.mark.parametrize("length", [10, 10_000])
    def test_edits_that_are_refused_count(self, stack: Stack, user: User, length: int) -> None:
        stack.configure(limits={"default": {"actions_per_minute": 2}})
        body = {"action": "edit"} | self.bodies(stack, user)["edit"]
        body["message"] = "She is 12 years old. A sexual scene." + " a" * length
        statuses = [stack.chat(user, **body).status_code for _ in range(3)]
        assert statuses == [403, 403, 429]

    def test_long_text_is_counted_before_it_is_looked_at(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"actions_per_minute": 0}})
        body = {"action": "edit"} | self.bodies(stack, user)["edit"]
        body["message"] = "She is 12 years old. A sexual scene." + " a" * 10_000
        limited(stack.chat(user, **body))

    def test_actions_of_a_deleted_user_are_rejected(self, stack: Stack, user: User) -> None:
        bodies = self.bodies(stack, user)
        stack.db.execute("delete from auth.users where id = %s", (user.id,))
        for action, body in bodies.items():
            assert stack.chat(user, action=action, **body).status_code == 401, action

    def test_a_turn_asks_for_no_other_count(self, stack: Stack, user: User) -> None:
        stack.upstream.enqueue(text("Yes."))
        say(stack, user)
        assert stack.gateway.calls == [
            "POST /rest/v1/rpc/begin_turn",
            "POST /rest/v1/rpc/finish_turn",
        ]


QUOTA = pytest.mark.own_tables("no quota stands on a table of theirs")


class TestRows:
    """Rows that users insert through the Data API."""

    def row(self, stack: Stack, user: User, table: str) -> dict[str, Any]:
        conversation = str(stack.conversation(user))
        rows: dict[str, dict[str, Any]] = {
            "characters": {"user_id": str(user.id), "name": "Vera"},
            "conversations": {"user_id": str(user.id)},
            "messages": {"conversation_id": conversation, "sender": "user", "content": "Hello"},
            "memories": {"user_id": str(user.id), "tier": "profile"},
        }
        if table == "memory_facts":
            memory = stack.insert("memories", user_id=user.id, tier="profile")
            return {"memory_id": str(memory), "content": "Cats."}
        return rows[table]

    def post(self, stack: Stack, user: User, table: str, rows: object) -> httpx.Response:
        with stack.data_api(user) as api:
            return api.post(f"/{table}", json=rows)

    @QUOTA
    @pytest.mark.parametrize("table", ["characters", "conversations", "messages"])
    def test_many_in_one_insert_are_refused(self, stack: Stack, table: str) -> None:
        user = stack.user()
        row = self.row(stack, user, table)
        count = f"select count(*)::integer as n from {table}"  # noqa: S608
        before = stack.one(count)

        answer = self.post(stack, user, table, [row] * 61)

        assert answer.status_code == 429
        refusal = answer.json()
        assert refusal["code"] == "PT429"
        assert refusal["message"].endswith("Please wait a moment.")
        assert refusal["hint"].startswith("Try again in ")
        assert refusal["details"] == "rows_per_minute"
        assert stack.one(count) == before
        assert self.post(stack, user, table, [row] * 60).status_code == 201
        assert self.post(stack, user, table, row).status_code == 429
        assert self.post(stack, stack.user(), "conversations", []).status_code == 201

    @pytest.mark.parametrize(
        "table",
        [
            *(
                pytest.param(own, marks=QUOTA)
                for own in ("characters", "conversations", "messages")
            ),
            "memory_facts",
        ],
    )
    def test_limits_are_in_the_settings(self, stack: Stack, table: str) -> None:
        stack.configure(limits={"default": {"rows_per_minute": 1}})
        user = stack.user()
        row = self.row(stack, user, table)
        assert self.post(stack, user, table, row).status_code == 201
        assert self.post(stack, user, table, row).status_code == 429

    @QUOTA
    def test_deleting_rows_does_not_reset_the_quota(self, stack: Stack) -> None:
        stack.configure(limits={"default": {"rows_per_day": 2, "rows_per_minute": None}})
        user = stack.user()
        statuses = []
        for _ in range(4):
            answer = self.post(stack, user, "characters", self.row(stack, user, "characters"))
            statuses.append(answer.status_code)
            forget(stack, user, "characters")
        assert statuses == [201, 201, 429, 429]
        assert answer.json()["details"] == "rows_per_day"

    @pytest.mark.parametrize("table", [pytest.param("characters", marks=QUOTA), "memory_facts"])
    def test_many_that_are_changed_at_once_are_refused(self, stack: Stack, table: str) -> None:
        stack.configure(limits={"default": {"rows_per_minute": 2}})
        user = stack.user()
        row, text = self.row(stack, user, table), "name" if table == "characters" else "content"
        ids = [str(stack.insert(table, **row | {text: str(n)})) for n in range(3)]
        statuses: list[int] = []
        with stack.data_api(user) as api:
            for changed in (ids, ids[:1], ids[:1], ids[:1]):
                its = {"id": f"in.({','.join(changed)})"}
                change = {text: f"changed {len(statuses)}"}
                statuses.append(api.patch(f"/{table}", params=its, json=change).status_code)
        # Equal facts are merged, so not all can have the same text.
        assert statuses[0] in (409, 429)
        assert statuses[1:] == [204, 204, 429]

    def test_changing_one_fact_again_and_again_leaves_little_behind(self, stack: Stack) -> None:
        user = stack.user()
        fact = stack.insert("memory_facts", **self.row(stack, user, "memory_facts"))
        with stack.data_api(user) as api:
            statuses = [
                api.patch(
                    "/memory_facts", params={"id": f"eq.{fact}"}, json={"content": f"Cat {number}."}
                ).status_code
                for number in range(62)
            ]
            assert api.patch(
                "/memory_facts", params={"id": f"eq.{fact}"}, json={"pinned": True}
            ).is_success
        assert statuses == [204] * 60 + [429] * 2
        # The plain digest of each text, and its gist.
        assert stack.one("select count(*) as n from private.forgotten_facts")["n"] <= 2 * 60

    @QUOTA
    def test_row_quotas_hold_for_simultaneous_inserts(self, stack: Stack) -> None:
        stack.configure(limits={"default": {"rows_per_minute": 5}})
        user = stack.user()
        row = self.row(stack, user, "messages")
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(self.post, stack, user, "messages", [row] * 2) for _ in range(8)]
            statuses = sorted(answer.result().status_code for answer in asked)
        assert statuses == [201] * 2 + [429] * 6

    @QUOTA
    def test_own_message_is_no_longer_than_a_turn_takes(self, stack: Stack) -> None:
        user = stack.user()
        row = self.row(stack, user, "messages")
        long = self.post(stack, user, "messages", row | {"content": "ä" * 8_001})
        assert (long.status_code, "at most 8000" in long.json()["message"]) == (413, True)
        assert self.post(stack, user, "messages", row | {"content": "ä" * 8_000}).is_success

    @QUOTA
    @pytest.mark.parametrize(("entries", "fits"), [(100_000, True), (130_000, False)])
    def test_book_of_small_values_has_an_end(self, stack: Stack, entries: int, fits: bool) -> None:
        """They are read in every turn, while others wait."""
        user = stack.user()
        book: dict[str, Any] = {"character_book": {"entries": [{}] * entries}}
        row = self.row(stack, user, "characters")
        assert self.post(stack, user, "characters", row | book).status_code == (
            201 if fits else 400
        )

    @QUOTA
    def test_characters_of_one_person_have_an_end(self, stack: Stack) -> None:
        user = stack.user()
        stack.db.execute(
            "insert into characters (user_id, name) select %s, 'n' from generate_series(1, 1000)",
            (user.id,),
        )
        answer = self.post(stack, user, "characters", self.row(stack, user, "characters"))
        assert (answer.status_code, answer.json()["code"]) == (409, "PT409")

    @QUOTA
    def test_rows_of_others_take_nothing_from_their_quota(self, stack: Stack) -> None:
        stack.configure(limits={"default": {"rows_per_minute": 1}})
        user, other = stack.user(), stack.user()
        row = self.row(stack, user, "characters")
        assert self.post(stack, other, "characters", row).status_code == 403
        assert self.post(stack, user, "characters", row).status_code == 201

    @QUOTA
    @pytest.mark.usefixtures("yes")
    def test_what_functions_and_operators_write_is_not_counted(self, stack: Stack) -> None:
        stack.configure(limits={"default": {"rows_per_minute": 0, "rows_per_day": 0}})
        user = stack.user()
        assert say(stack, user).status_code == 200
        card: dict[str, Any] = {
            "action": "import_card",
            "card": {"name": "Vera", "personality": "Dry."},
        }
        assert stack.chat(user, **card).status_code == 200
        with stack.data_api(key=SECRET_KEY) as service:
            rows = [{"user_id": str(user.id), "name": "n"}] * 100
            assert service.post("/characters", json=rows).status_code == 201


class Trickle:
    """A client that sends its request in pieces chosen by the test."""

    def __init__(self, url: str, user: User, length: int) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname or "", address.port or 80))
        self._socket.settimeout(PATIENCE)
        head = ["POST / HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {length}"]
        head += [f"{name}: {value}" for name, value in user.headers.items()]
        self.send("\r\n".join([*head, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, str]:
        """Status and code, after the server has responded and closed the connection."""
        received = b""
        while data := self._socket.recv(65536):
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split()[1]), str(json.loads(body)["code"])

    def __enter__(self) -> Trickle:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()


class TestAtOnce:
    """Expensive requests get few slots, and all others are not affected."""

    LARGE = (
        '{"action":"import_card","card":{"name":"Ann","personality":"Dry.","x":"'
        + "x" * 300_000
        + '"}}'
    )

    def send(self, stack: Stack, url: str, body: str) -> httpx.Response:
        return httpx.post(url, content=body, headers=stack.user().headers, timeout=30)

    @pytest.mark.usefixtures("yes")
    def test_large_request_without_a_free_slot_is_busy(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(request_body, "LARGE_AT_ONCE", 1)
        monkeypatch.setattr(request_body, "LARGE_WAIT_SECONDS", 0.2)
        with stack.serving() as url:
            with Trickle(url, stack.user(), len(self.LARGE)) as slow:
                slow.send(self.LARGE[:-1].encode())
                # It takes a slot as soon as the function has read enough of it.
                refusals = (self.send(stack, url, self.LARGE) for _ in range(50))
                answer = next(answer for answer in refusals if answer.status_code != 200)
                assert refused(answer, 503, "busy").endswith(".")
                assert answer.headers["retry-after"] == "5"
                assert stack.chat(stack.user(), url=url, **self.card(300)).status_code == 200
                assert say(stack, stack.user(), url=url).status_code == 200
            assert self.send(stack, url, self.LARGE).status_code == 200

    def card(self, size: int) -> dict[str, Any]:
        return {
            "action": "import_card",
            "card": {"name": "Ann", "personality": "Dry.", "x": "x" * size},
        }

    def test_time_that_a_large_request_waits_is_not_its_own(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(request_body, "LARGE_AT_ONCE", 1)
        with (
            stack.serving(BODY_TIMEOUT_SECONDS="1.5") as url,
            ThreadPoolExecutor() as pool,
            Trickle(url, stack.user(), 400_000) as slow,
        ):
            slow.send(self.LARGE[:-1].encode())
            waiting = pool.submit(self.send, stack, url, self.LARGE)
            assert slow.answer() == (408, "body_too_slow")
            assert waiting.result().status_code == 200

    def test_one_person_takes_no_more_than_their_share(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With requests that they send slowly."""
        monkeypatch.setattr(request_body, "LARGE_AT_ONCE", 3)
        monkeypatch.setattr(request_body, "LARGE_WAIT_SECONDS", 0.2)
        user, half = stack.user(), self.LARGE[:-1].encode()
        with stack.serving() as url, ExitStack() as slow:
            for _ in range(3):
                slow.enter_context(Trickle(url, user, len(self.LARGE))).send(half)
            own = {"url": url, **self.card(300_000)}
            answers = (stack.chat(user, **own) for _ in range(50))
            refused(next(answer for answer in answers if not answer.is_success), 503, "busy")
            assert self.send(stack, url, self.LARGE).status_code == 200

    @pytest.mark.parametrize("places", ["LARGE_AT_ONCE", "LARGE_EACH"])
    def test_export_without_a_free_slot_is_busy(
        self, stack: Stack, places: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(request_body, places, 0)
        monkeypatch.setattr(request_body, "LARGE_WAIT_SECONDS", 0.01)
        user = stack.user()
        character = stack.chat(user, **self.card(10)).json()["character_id"]
        export = {"action": "export_card", "character_id": character}
        assert stack.chat(user, **export).status_code == 200
        with stack.serving() as url:
            refused(stack.chat(user, url=url, **export), 503, "busy")

    @pytest.mark.usefixtures("yes")
    def test_long_work_without_a_free_thread_is_busy(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "_THREADS", 0)
        monkeypatch.setattr(clients, "_WAIT_SECONDS", 0.01)
        user = stack.user()
        edit = {"action": "edit", "message_id": str(user.id)}
        with stack.serving() as url:
            refused(stack.chat(user, url=url, **self.card(10)), 503, "busy")
            refused(stack.chat(user, url=url, **edit, message="a " * 9_000), 503, "busy")
            # Short work does not wait.
            assert stack.chat(user, url=url, **edit, message="a").status_code == 404
            assert say(stack, user, url=url).status_code == 200

    @pytest.mark.usefixtures("yes")
    def test_much_that_adult_turns_left_is_read_in_a_thread(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        hello = {"message": "Hello", "conversation_id": str(conversation)}
        assert stack.chat(user, **hello).status_code == 200
        stack.db.execute(
            "insert into memory_facts (memory_id, content, content_tier)"
            " select m.id, 'Ada promised to wait for ' || n || repeat(' or more', 40) || ' days.',"
            " 'nsfw' from memories m, generate_series(1, 20) n where m.conversation_id = %s",
            [conversation],
        )
        with monkeypatch.context() as none_is_free:
            none_is_free.setattr(clients, "_THREADS", 0)
            none_is_free.setattr(clients, "_WAIT_SECONDS", 0.01)
            with stack.serving() as url:
                refused(stack.chat(user, url=url, **hello), 503, "busy")
        # The conversation is free again.
        assert stack.chat(user, **hello).status_code == 200

    def test_too_many_values_are_not_read(self, stack: Stack) -> None:
        body = '{"action":"import_card","card":{"name":"a","x":[' + "{}," * 200_000 + "{}]}}"
        answer = self.send(stack, stack.function_url("roleplay_chat"), body)
        assert "values" in refused(answer, 413, "card_too_large")

    @pytest.mark.parametrize("emoji", ["\U0001f600", "\\ud83d\\ude00"])
    def test_letters_that_make_all_others_four_times_as_large(
        self, stack: Stack, emoji: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(request_body, "MAX_NON_ASCII_BYTES", 400_000)
        body = self.LARGE.replace("x" * 100_000, emoji + "x" * 200_000, 1)
        with stack.serving() as url:
            answer = self.send(stack, url, body)
            assert "400,000" in refused(answer, 413, "card_too_large")
            assert self.send(stack, url, body.replace(emoji, "a")).status_code == 200


class TestLongHistory:
    """Messages may have 64 KiB each; a turn reads about as much as the longest prompt takes."""

    @pytest.mark.parametrize(
        ("letter", "prompt_tokens", "newest", "oldest"),
        [
            ("a", None, 2, 16),
            ("\U0001f600", None, 1, 4),
            ("a", 2_000, 1, 16),
            ("a", 10_000_000, 16, 16),
            ("\U0001f600", 10_000_000, 4, 4),
        ],
    )
    def test_newest_messages_of_a_long_history_are_read(
        self, stack: Stack, letter: str, prompt_tokens: int | None, newest: int, oldest: int
    ) -> None:
        stack.db.execute(
            "update api_models set capabilities = capabilities || jsonb_strip_nulls("
            " jsonb_build_object('context_tokens', 10000000, 'prompt_tokens', %s::integer))",
            (prompt_tokens,),
        )
        user = stack.user()
        said = [f"{number:02}" + letter * 65_000 for number in range(40)]
        begun = self.begin(stack, user, stack.conversation(user, *said))
        numbers = [content[:2] for content in begun["history"]["content"]]
        assert numbers == [one[:2] for one in said[-newest:]]
        # The others are not lost: they are summarised from the beginning.
        backlog = [row["content"][:2] for row in begun["memory"]["backlog"]]
        assert backlog == [one[:2] for one in said[:oldest]]

    def test_what_is_not_too_long_is_whole(self, stack: Stack) -> None:
        user = stack.user()
        said = ["a" * 1_000] * 120
        begun = self.begin(stack, user, stack.conversation(user, *said))
        assert (len(begun["history"]["content"]), begun["memory"]["backlog"]) == (120, [])

    def begin(self, stack: Stack, user: User, conversation_id: UUID) -> dict[str, Any]:
        begun: dict[str, Any] = stack.one(
            "select begin_turn(p_turn_id => gen_random_uuid(), p_user_id => %s,"
            " p_task => 'roleplay', p_action => 'send', p_conversation_id => %s,"
            " p_message => 'Hi.',"
            " p_client_message_id => 'a',"
            " p_lease_seconds => 60) as begun",
            user.id,
            conversation_id,
        )["begun"]
        return begun


def test_upstreams_are_asked_not_to_compress(stack: Stack) -> None:
    stack.upstream.enqueue(text("Yes."))
    assert say(stack, stack.user()).status_code == 200
    assert stack.upstream.calls[-1].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"data: x\n" * (64 * 2**20 // 8), id="lines"),
        pytest.param(b"data: {}\n\n" * (64 * 2**20 // 10), id="events"),
    ],
)
def test_upstream_that_compresses_gigabytes_is_given_up(stack: Stack, body: bytes) -> None:
    headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
    bomb = reply(200, gzip.compress(body, 1), headers)
    stack.upstream.enqueue(bomb, text("Yes."))
    user = stack.user()
    with stack.serving(FIRST_TOKEN_TIMEOUT_SECONDS="1") as url:
        assert say(stack, user, url=url).json()["response"] == "Yes."


class TestBody:
    @pytest.fixture
    def url(self, stack: Stack) -> Iterator[str]:
        with stack.serving(BODY_TIMEOUT_SECONDS="0.5") as url:
            yield url

    def test_slow_client_is_cut_off(self, stack: Stack, url: str) -> None:
        with Trickle(url, stack.user(), 1000) as client:
            client.send(b'{"message":')
            assert client.answer() == (408, "body_too_slow")

    def test_client_that_sends_nothing_is_cut_off(self, stack: Stack, url: str) -> None:
        with Trickle(url, stack.user(), 1000) as client:
            assert client.answer() == (408, "body_too_slow")

    def test_body_that_declares_too_much_is_not_waited_for(self, stack: Stack, url: str) -> None:
        with Trickle(url, stack.user(), 10**9) as client:
            assert client.answer() == (413, "body_too_large")

    def test_endless_body_is_cut_off(self, stack: Stack) -> None:
        def endless() -> Iterator[bytes]:
            for _ in range(100):
                yield b" " * 10_000

        settings = {"BODY_TIMEOUT_SECONDS": "60", "MAX_CARD_BYTES": "300000"}
        with stack.serving(**settings) as url:
            answer = patient.post(url, content=endless(), headers=stack.user().headers)
        refused(answer, 413, "body_too_large")

    def test_long_lists_are_refused(self, stack: Stack) -> None:
        answer = say(stack, stack.user(), scene_starters=["Knock."] * 51)
        assert "scene_starters" in refused(answer, 400, "invalid_request")

    def test_long_entries_of_lists_are_refused(self, stack: Stack) -> None:
        answer = say(stack, stack.user(), scene_starters=["a" * 8001])
        assert "scene_starters" in refused(answer, 400, "invalid_request")

    @pytest.mark.parametrize("depth", [50, 900])
    @pytest.mark.parametrize("name", ["scene_starters", "field_of_tomorrow"])
    def test_nesting_is_refused_or_ignored(self, stack: Stack, name: str, depth: int) -> None:
        stack.upstream.always(text("Yes."))
        user = stack.user()
        nested: list[Any] = []
        for _ in range(depth):
            nested = [nested]

        answer = say(stack, user, **{name: nested})

        expected = {"scene_starters": 400, "field_of_tomorrow": 200}
        assert answer.status_code == expected[name], answer.text
