"""Calls of one person that wait for each other leave PostgREST's connections to everybody else.

A person's calls wait for the one that runs, inside Postgres, and each keeps one of PostgREST's
connections meanwhile. Here that call never ends until the test ends it, and no server cancels one
that waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from edge import clients
from tests.support.answers import stream, text
from tests.support.chat_errors import refused
from tests.support.data_api import is_refused
from tests.support.gateway import SECRET_KEY, running_gateway
from tests.support.installations import connect
from tests.support.keys import Keys
from tests.support.openai_api import Program, make_key
from tests.support.postgres import Postgres
from tests.support.postgrest import running_postgrest
from tests.support.stack import DEMO_CHARACTER, Stack, User
from tests.support.waiting import Gate, wait_until

pytestmark = [pytest.mark.installations, pytest.mark.usefixtures("one_day")]

DATABASE = "app"
MANY = 20
"""More than the connections of PostgREST here."""


@pytest.fixture
def waiting(stack: Stack, postgres: Postgres, keys: Keys) -> Iterator[Stack]:
    """A stack on a PostgREST of its own, whose calls may wait for ever."""
    role = f"alter role authenticator in database {DATABASE}"
    for name in ("statement_timeout", "lock_timeout"):
        stack.db.execute(f"{role} set {name} = 0".encode())
    # PostgREST sets it for each call.
    stack.db.execute("alter role authenticated set statement_timeout = 0")
    try:
        with (
            running_postgrest(postgres, DATABASE, keys.secret) as rest,
            running_gateway(rest.url, keys) as gateway,
        ):
            stack.upstream.always(text("Aye."))
            stack.configure(limits={"default": {}})
            yield replace(stack, gateway=gateway)
    finally:
        stack.db.execute(f"{role} reset all".encode())
        stack.db.execute("alter role authenticated set statement_timeout = '8s'")


@contextmanager
def held(postgres: Postgres, statement: str, *values: Any) -> Iterator[None]:
    """Another call, which goes on until the end and then changes nothing."""
    with connect(postgres, DATABASE) as other, other.transaction(force_rollback=True):
        other.execute(statement.encode(), values)
        yield


def person_held(postgres: Postgres, user: User) -> AbstractContextManager[None]:
    return held(postgres, "select private.hold_person(%s)", user.id)


def count_waiting(stack: Stack) -> int:
    return int(stack.one(
        "select count(*) as n from pg_stat_activity a"
        " where a.usename = 'authenticator' and cardinality(pg_blocking_pids(a.pid)) > 0"
    )["n"])  # fmt: skip


def some_wait(stack: Stack) -> None:
    wait_until(lambda: count_waiting(stack) >= 3, "calls to wait")


def talks(stack: Stack, user: User, url: str, conversation: UUID, **body: Any) -> httpx.Response:
    hello = {"message": "Hello", "conversation_id": str(conversation)}
    return stack.chat(user, url=url, **hello, **body)


def test_call_that_others_wait_for_counts_its_first_use(stack: Stack, postgres: Postgres) -> None:
    """Those who wait for it take all places of the person."""
    ada = stack.user()
    hold = b"select private.hold_person(%s)"

    counted = Event()

    def wait() -> None:
        with connect(postgres, DATABASE) as db:
            while not counted.is_set():
                with suppress(psycopg.Error):  # It waits for seconds only.
                    db.execute(hold, (ada.id,))

    waits_for = "select pid from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
    with connect(postgres, DATABASE) as first, ThreadPoolExecutor(4) as pool:
        with first.transaction():
            first.execute(hold, (ada.id,))
            pid = first.info.backend_pid
            waiting = [pool.submit(wait) for _ in range(4)]
            try:
                wait_until(lambda: len(stack.all(waits_for, pid)) == 4, "four calls to wait")
                (answer,) = first.execute(
                    "select private.count_use(%s, 'api_turns', '{}', 'api_turns') as refused",
                    (ada.id,),
                ).fetchall()
            finally:
                counted.set()
        assert answer["refused"] is None
        for call in waiting:
            call.result()


def test_turns_that_begin_leave_connections_to_others(waiting: Stack, postgres: Postgres) -> None:
    ada, ben = waiting.user(), waiting.user()
    conversations = [waiting.conversation(ada) for _ in range(MANY)]
    with waiting.serving() as url, ThreadPoolExecutor(MANY) as pool:
        with person_held(postgres, ada):
            turns = [pool.submit(talks, waiting, ada, url, place) for place in conversations]
            some_wait(waiting)
            for _ in range(3):
                assert talks(waiting, ben, url, waiting.conversation(ben)).status_code == 200
            # To stop a reply, nobody waits for a place.
            stop = waiting.chat(ada, url=url, action="stop", turn_id=str(uuid4()))
            refused(stop, 404, "turn_not_found")
        answers = [turn.result() for turn in turns]
        for place, answer in zip(conversations, answers, strict=True):
            if answer.is_success:
                assert waiting.said(place) == [("user", "Hello"), ("character", "Aye.")]
            else:
                refused(answer, 503, "busy")
                assert answer.headers["retry-after"] == "5"
                assert waiting.said(place) == []
                # It was as if nobody had asked.
                assert talks(waiting, ada, url, place).status_code == 200


def test_turns_that_end_leave_connections_to_others_and_are_all_saved(
    waiting: Stack, postgres: Postgres
) -> None:
    ada, ben = waiting.user(), waiting.user()
    conversations = [waiting.conversation(ada) for _ in range(MANY)]
    gate = Gate()
    for _ in conversations:
        waiting.upstream.enqueue(stream(["A", gate, "ye."]))
    running = "select from turns where status = 'running' and user_id = %s"
    with (
        waiting.serving(SAVE_PATIENCE_SECONDS="90") as url,
        ThreadPoolExecutor(MANY) as pool,
    ):
        turns = [pool.submit(talks, waiting, ada, url, place) for place in conversations]
        wait_until(lambda: len(waiting.upstream.calls) >= MANY, "the model to be asked for all")
        assert len(waiting.all(running, ada.id)) == MANY
        with person_held(postgres, ada):
            gate.open()
            some_wait(waiting)
            for _ in range(3):
                assert talks(waiting, ben, url, waiting.conversation(ben)).status_code == 200
        for place, turn in zip(conversations, turns, strict=True):
            answer = turn.result().json()
            assert answer["saved"] is True
            assert waiting.said(place) == [("user", "Hello"), ("character", "Aye.")]


def test_instance_sends_few_calls_of_a_person_at_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_CALLS_EACH", 2)
    stack.upstream.always(text("Aye."))
    stack.configure(limits={"default": {}})
    ada, ben = stack.user(), stack.user()
    conversations = [stack.conversation(ada) for _ in range(5)]
    begins = "POST /rest/v1/rpc/begin_turn"
    with stack.serving() as url, ThreadPoolExecutor() as pool:
        gate = stack.gateway.hold("begin_turn", times=2)
        turns = [pool.submit(talks, stack, ada, url, place) for place in conversations]
        wait_until(lambda: stack.gateway.calls.count(begins) == 2, "the first calls")
        assert talks(stack, ben, url, stack.conversation(ben)).is_success
        assert stack.gateway.calls.count(begins) == 3
        gate.open()
        assert {turn.result().status_code for turn in turns} == {200}


def test_call_without_a_place_is_busy(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_CALLS_EACH", 0)
    monkeypatch.setattr(clients, "_CALLS_WAIT_SECONDS", 0.01)
    ada = stack.user()
    message = {"message_id": str(uuid4())}
    with stack.serving() as url:
        refused(talks(stack, ada, url, stack.conversation(ada)), 503, "busy")
        for action in ("choose", "delete", "hide", "branch"):
            refused(stack.chat(ada, url=url, action=action, **message), 503, "busy")
        edit = {"action": "edit", "message": "Hi"}
        refused(stack.chat(ada, url=url, **edit, **message), 503, "busy")
        card = {"action": "import_card", "card": {"name": "Ann"}}
        refused(stack.chat(ada, url=url, **card), 503, "busy")
        stop = stack.chat(ada, url=url, action="stop", turn_id=str(uuid4()))
        refused(stop, 404, "turn_not_found")
    assert not [call for call in stack.gateway.calls if not call.endswith("stop_turn")]


Call = Callable[[httpx.Client], httpx.Response]
OWN = pytest.mark.own_tables("the triggers of a product's tables are its own")

Written = tuple[str, dict[str, Any] | None, str]
"""A row of somebody as a path of the Data API, a change of it (None: it is deleted), and the row
that this waits for."""


def a_setting(stack: Stack, ada: User) -> Written:
    here = stack.conversation(ada)
    add = "insert into conversation_settings (conversation_id, note) values (%s, 'Rain.')"
    stack.db.execute(add.encode(), (here,))
    row = f"conversation_settings where conversation_id = '{here}'"
    return f"conversation_settings?conversation_id=eq.{here}", {"note": "Snow."}, row


def a_member(stack: Stack, ada: User) -> Written:
    here = stack.conversation(ada)
    add = "insert into conversation_characters values (%s, %s, 1)"
    stack.db.execute(add.encode(), (here, DEMO_CHARACTER))
    row = f"conversation_characters where conversation_id = '{here}'"
    return f"conversation_characters?conversation_id=eq.{here}", None, row


def a_lorebook(stack: Stack, ada: User) -> Written:
    content = Jsonb({"entries": []})
    book = stack.insert("lorebooks", user_id=ada.id, content=content)
    return f"lorebooks?id=eq.{book}", None, f"lorebooks where id = '{book}'"


def a_memory(stack: Stack, ada: User) -> Written:
    memory = stack.insert("memories", user_id=ada.id, tier="profile")
    return f"memories?id=eq.{memory}", None, f"memories where id = '{memory}'"


def what_is_remembered(stack: Stack, ada: User) -> Written:
    """A view."""
    here = stack.conversation(ada)
    row = f"public.conversations where id = '{here}'"
    return f"conversation_memory?conversation_id=eq.{here}", {"remembers": False}, row


def a_conversation(stack: Stack, ada: User) -> Written:
    here = stack.conversation(ada)
    return f"conversations?id=eq.{here}", None, f"conversations where id = '{here}'"


def a_character(stack: Stack, ada: User) -> Written:
    vera = stack.insert("characters", user_id=ada.id, name="Vera")
    return f"characters?id=eq.{vera}", {"name": "Mara"}, f"characters where id = '{vera}'"


class TestManyInstances:
    """None of which knows of the calls of the others."""

    @pytest.fixture
    def ada(self, waiting: Stack) -> User:
        return waiting.user()

    def test_turns(self, waiting: Stack, postgres: Postgres, ada: User) -> None:
        self.others_pass(waiting, person_held(postgres, ada), [begin(ada)] * MANY)

    def test_turns_with_an_api_key(self, waiting: Stack, postgres: Postgres, ada: User) -> None:
        key = sha256(make_key(waiting, ada)["key"].encode()).hexdigest()
        turns = [begin_with_key(key)] * MANY
        self.others_pass(waiting, person_held(postgres, ada), turns)

    def test_actions_while_one_is_counted(
        self, waiting: Stack, postgres: Postgres, ada: User
    ) -> None:
        counted = held(postgres, "select public.count_action(%s, 'import_card')", ada.id)
        self.others_pass(waiting, counted, [count(ada)] * MANY)

    def test_actions_while_the_account_is_deleted(
        self, waiting: Stack, postgres: Postgres, ada: User
    ) -> None:
        deleted = held(postgres, "delete from auth.users where id = %s", ada.id)
        self.others_pass(waiting, deleted, [count(ada)] * MANY)

    def test_turns_of_all_while_their_character_is_deleted(
        self, waiting: Stack, postgres: Postgres, ada: User
    ) -> None:
        mara = {"user_id": ada.id, "name": "Mara", "is_public": True}
        character = waiting.insert("characters", **mara)
        deleted = held(postgres, "delete from characters where id = %s", character)
        turns = [begin(waiting.user(), character) for _ in range(MANY)]
        self.others_pass(waiting, deleted, turns)

    def others_pass(
        self, stack: Stack, lock: AbstractContextManager[None], calls: Sequence[Call]
    ) -> None:
        ben = stack.user()
        with stack.data_api(key=SECRET_KEY) as api, ThreadPoolExecutor(MANY) as pool:
            with lock:
                answers = [pool.submit(call, api) for call in calls]
                some_wait(stack)
                assert begin(ben)(api).json()["outcome"] == "started"
            for answer in answers:
                if not answer.result().is_success:
                    is_busy(answer.result())

    @pytest.mark.parametrize(
        "make",
        [
            *(a_setting, a_member, a_lorebook, a_memory, what_is_remembered),
            pytest.param(a_conversation, marks=OWN),
            pytest.param(a_character, marks=OWN),
        ],
    )
    def test_rows_written_through_the_data_api_while_another_call_has_them(
        self,
        waiting: Stack,
        postgres: Postgres,
        ada: User,
        make: Callable[[Stack, User], Written],
    ) -> None:
        path, change, row = make(waiting, ada)
        method = "DELETE" if change is None else "PATCH"

        def write(api: httpx.Client) -> httpx.Response:
            return api.request(method, f"/{path}", json=change, headers=ada.headers)

        locked = held(postgres, f"select from {row} for update")
        self.others_pass(waiting, locked, [write] * MANY)
        with waiting.data_api(ada) as api:
            assert write(api).is_success


def begin(user: User, character: UUID = DEMO_CHARACTER) -> Call:
    def call(api: httpx.Client) -> httpx.Response:
        return api.post("/rpc/begin_turn", json=turn(character) | {"p_user_id": str(user.id)})

    return call


def begin_with_key(key_hash: str) -> Call:
    def call(api: httpx.Client) -> httpx.Response:
        body = {"p_key_hash": key_hash, "p_turn": turn() | {"p_lease_seconds": 100}}
        return api.post("/rpc/begin_turn_with_key", json=body)

    return call


def turn(character: UUID = DEMO_CHARACTER) -> dict[str, Any]:
    return {
        "p_turn_id": str(uuid4()),
        "p_task": "roleplay",
        "p_action": "send",
        "p_character_id": str(character),
        "p_message": "Hello",
    }


def count(user: User) -> Call:
    body = {"p_user_id": str(user.id), "p_action": "import_card"}
    return lambda api: api.post("/rpc/count_action", json=body)


def is_busy(answer: httpx.Response) -> None:
    body = answer.json()
    assert (answer.status_code, body["code"]) == (429, "PT429"), body
    assert (
        body["message"] == "Another request is still changing this. Please try again in a moment."
    )
    assert body["hint"] == "Try again in 5 seconds."


def test_data_api_says_when_to_try_again(stack: Stack, postgres: Postgres) -> None:
    ada = stack.user()
    memory = stack.insert("memories", user_id=ada.id, tier="profile")
    fact = {"memory_id": str(memory), "content": "Ada likes tea."}
    with stack.data_api(ada) as api:
        with person_held(postgres, ada):
            is_busy(api.post("/memory_facts", json=fact))
        assert api.post("/memory_facts", json=fact).is_success


def test_openai_api_says_when_to_try_again(stack: Stack, postgres: Postgres) -> None:
    stack.upstream.always(text("Aye."))
    ada = stack.user()
    for key in (ada.token, make_key(stack, ada)["key"]):
        program = Program(stack, key)
        with person_held(postgres, ada):
            answer = program.complete()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
        assert answer.headers["retry-after"] == "5"
        assert program.complete().is_success


def test_turn_is_stopped_while_another_action_goes_on(stack: Stack, postgres: Postgres) -> None:
    """From another instance."""
    ada = stack.user()
    count_branch = "select public.count_action(%s, 'branch')"
    with held(postgres, count_branch, ada.id), connect(postgres, DATABASE) as db:
        db.execute("set lock_timeout = '1s'")
        stopped = db.execute("select public.stop_turn(%s, %s) as row", [ada.id, uuid4()])
        assert stopped.fetchall() == [{"row": {"outcome": "turn_not_found"}}]


@pytest.mark.parametrize("wait", ["person", "account"])
def test_other_waits_keep_their_time_limit(stack: Stack, postgres: Postgres, wait: str) -> None:
    ada = stack.user()
    with connect(postgres, DATABASE) as db, db.transaction():
        db.execute("set local lock_timeout = '7s'")
        db.execute(f"select private.wait_for_{wait}(%s)".encode(), [ada.id])
        assert db.execute("show lock_timeout").fetchall() == [{"lock_timeout": "7s"}]


def test_tag_of_a_stranger_takes_no_lock_of_the_author(stack: Stack, postgres: Postgres) -> None:
    """Or its author's would wait for the stranger's transaction."""
    ada = stack.user()
    character = stack.insert("characters", user_id=ada.id, name="Mara", is_public=True)
    lock = "select pg_advisory_xact_lock(hashtextextended(%s::text, 5))"
    row = {"character_id": str(character), "tag": "sea"}
    with held(postgres, lock, character), stack.data_api(stack.user()) as api:
        assert is_refused(api.post("/character_tags", json=row))


def test_call_has_one_place_for_all_that_it_writes(stack: Stack, postgres: Postgres) -> None:
    """Also if another place has become free in between, and again in its next transaction."""
    ada = stack.user()

    def write(db: psycopg.Connection[Any]) -> int:
        db.execute("select private.take_writing_place(%s)", [ada.id])
        mine = "select 1 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        return len(db.execute(mine.encode()).fetchall())

    with connect(postgres, DATABASE) as one, connect(postgres, DATABASE) as other:
        for _ in range(2):
            with other.transaction():
                with one.transaction():
                    assert (write(one), write(other)) == (1, 1)
                assert write(other) == 1
