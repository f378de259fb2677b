"""An account is deleted with all that belongs to it, or not at all, and nothing of others goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.accounts import everything, lived
from tests.support.answers import held, text
from tests.support.chat_errors import refused
from tests.support.installations import connect
from tests.support.openai_api import make_key
from tests.support.postgres import Connection, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack, User, waits
from tests.support.waiting import Gate, wait_until

PHRASE = "delete my account"


def leave(stack: Stack, user: User, confirmation: Any = PHRASE) -> httpx.Response:
    return stack.chat(user, action="delete_account", confirmation=confirmation)


def kept(stack: Stack) -> dict[str, str]:
    """All rows of all tables, as text."""
    tables = stack.all("""
        select c.oid::regclass::text as name from pg_class c
        where c.relnamespace::regnamespace::text in ('public', 'private', 'auth')
          and c.relkind = 'r' order by 1""")
    return {
        row["name"]: json.dumps(stack.all(f"select * from {row['name']}"), default=str)  # noqa: S608
        for row in tables
    }


def deletable(stack: Stack, user: User, word: str) -> UUID:
    """As `lived`; on a product's tables a character in a conversation keeps its author there."""
    conversation = lived(stack, user, word)
    if stack.is_adopted:
        stack.db.execute(
            "update public.conversations set character_id = null where user_id = %s", (user.id,)
        )
    return conversation


@pytest.mark.installations
class TestDeletion:
    def test_nothing_of_ours_about_the_person_is_left(self, stack: Stack) -> None:
        ann, bob = stack.user("Ann quince"), stack.user("Bob vellum")
        deletable(stack, ann, "quince")
        deletable(stack, bob, "vellum")
        answer = leave(stack, ann)
        assert answer.status_code == 200, answer.text
        assert answer.json()["deleted"]["characters"] == 2

        of_the_product = {"public.conversations", "public.messages", "user_activity_log"}
        left = {
            name for name, rows in kept(stack).items() if "quince" in rows or str(ann.id) in rows
        }
        assert left <= (of_the_product if stack.is_adopted else set())
        found = json.dumps(everything(stack, bob))
        for word in ("Vera", "Message", "Version", "Summary", "Fact", "Note"):
            assert f"{word} vellum" in found, word

    def test_account_cannot_be_used_afterwards(self, stack: Stack) -> None:
        user = stack.user()
        assert leave(stack, user).status_code == 200
        refused(leave(stack, user), 401, "unauthorized")

    @pytest.mark.parametrize("typed", [PHRASE, "  Delete  MY\naccount "])
    def test_confirmation_may_be_typed_in_any_case(self, stack: Stack, typed: str) -> None:
        assert leave(stack, stack.user(), typed).status_code == 200

    @pytest.mark.parametrize("typed", ["", None, "delete", "delete my accounts", "x" * 5_000, 5])
    def test_without_it_nothing_is_deleted(self, stack: Stack, typed: Any) -> None:
        user = stack.user()
        answer = leave(stack, user, typed)
        assert answer.status_code == 400
        assert "DELETE /auth" not in str(stack.gateway.calls)
        assert stack.all("select from auth.users where id = %s", user.id)

    def test_what_goes_is_said_before(self, stack: Stack) -> None:
        user = stack.user()
        deletable(stack, user, "quince")
        with stack.data_api(user) as api, stack.data_api() as nobody:
            told = api.post("/rpc/account_contents", json={}).json()
            assert nobody.post("/rpc/account_contents", json={}).status_code == 401
        assert told["messages"] == 3
        assert (told["characters"], told["public_characters"]) == (2, 1)
        assert leave(stack, user).json()["deleted"] == told

    @pytest.mark.parametrize("status", [400, 500])
    def test_refused_by_the_auth_server_everything_stays(self, stack: Stack, status: int) -> None:
        user = stack.user()
        lived(stack, user, "quince")
        before = everything(stack, user)
        stack.gateway.delete_user = lambda user_id: status
        refused(leave(stack, user), 409, "account_not_deleted")
        after = everything(stack, user)
        for found in (before, after):
            del found["counters"], found["profile"][0]["deletion_asked_at"]
        assert after == before

    @pytest.mark.parametrize("status", [429, 502, 503])
    def test_unavailable_auth_server_is_asked_later(self, stack: Stack, status: int) -> None:
        user = stack.user()
        stack.gateway.fail(str(user.id), status=status)
        answer = leave(stack, user)
        assert answer.status_code == 503
        assert leave(stack, user).status_code == 200

    def test_lost_answer_of_the_auth_server_is_a_deletion(self, stack: Stack) -> None:
        user = stack.user()
        stack.gateway.drop(str(user.id), after=True)
        leave(stack, user)
        refused(leave(stack, user), 401, "unauthorized")

    def test_banned_account_stays(self, stack: Stack) -> None:
        user = stack.user()
        stack.db.execute(
            "update auth.users set banned_until = 'infinity' where id = %s", (user.id,)
        )
        refused(leave(stack, user), 403, "banned_user")
        assert stack.all("select from auth.users where id = %s", user.id)

    def test_turn_that_runs_ends_without_a_trace(self, stack: Stack) -> None:
        user, gate = stack.user(), Gate()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(held(gate, text("Late quince.")))
        with ThreadPoolExecutor() as pool:
            asked = {"conversation_id": str(conversation), "message": "Hello"}
            running = pool.submit(stack.chat, user, **asked)
            gate.wait_reached()
            assert leave(stack, user).status_code == 200
            gate.open()
            assert running.result().json()["response"] == "Late quince."
        assert not [name for name, rows in kept(stack).items() if "quince" in rows]

    def test_conversations_of_others_with_ones_characters_stay(self, stack: Stack) -> None:
        author, user = stack.user(), stack.user()
        vera = stack.insert("characters", user_id=author.id, name="Vera", is_public=True)
        conversation = stack.conversation(user, "Hello", "Good evening.", character_id=vera)
        answer = leave(stack, author)
        if stack.is_adopted:  # the product's key does not let the character go
            refused(answer, 409, "account_not_deleted")
        else:
            assert answer.status_code == 200
        assert len(stack.said(conversation)) == 2


@pytest.mark.installations
@pytest.mark.parametrize("by_operator", [False, True])
def test_ones_own_rows_go_when_the_product_keeps_the_conversation(
    stack: Stack, by_operator: bool
) -> None:
    user = stack.user()
    conversation = deletable(stack, user, "quince")
    tables = ["conversation_settings", "conversation_summaries", "private.message_variables"]
    if stack.is_adopted:
        tables.append("private.set_aside_messages")
    if by_operator:
        # Whoever took part in a conversation that is remembered.
        said = stack.all("select id from messages where conversation_id = %s", conversation)
        answer = stack.chat(user, action="edit", message_id=str(said[0]["id"]), message="Hm.")
        assert answer.status_code == 200, answer.text
        assert stack.delete_user(str(user.id)) == 200
    else:
        assert leave(stack, user).status_code == 200
    for table in tables:
        query = f"select from {table} where conversation_id = %s"
        assert stack.all(query, conversation) == []


class At:
    """One transaction that has begun, and another call that waits for it."""

    def __init__(self, stack: Stack, postgres: Postgres, opened: ExitStack) -> None:
        self._stack = stack
        self.first = opened.enter_context(connect(postgres, "app"))
        self.second = opened.enter_context(connect(postgres, "app"))
        self._pool = opened.enter_context(ThreadPoolExecutor())

    def waiting(self, db: Connection, query: str, *values: Any) -> Future[list[dict[str, Any]]]:
        """The rows of a query on this connection, which waits for a lock now."""

        def run() -> list[dict[str, Any]]:
            return list(db.execute(query.encode(), values).fetchall())

        asked = self._pool.submit(run)
        wait_until(lambda: waits(self._stack, db), "the query to wait")
        return asked


@pytest.fixture
def at(stack: Stack, postgres: Postgres) -> Iterator[At]:
    with ExitStack() as opened:
        yield At(stack, postgres, opened)


BEGIN = """
    select public.begin_turn(
      p_turn_id => %s, p_user_id => %s, p_conversation_id => %s, p_character_id => %s,
      p_task => 'roleplay', p_action => 'send', p_message => 'Hello') as row"""
FINISH = """
    select public.finish_turn(
      p_turn_id => %s, p_status => 'complete', p_reply => 'Aye.',
      p_usage => '[{"provider": "p", "model_key": "m", "outcome": "ok", "duration_ms": 1}]'
    ) as row"""
LOCK_TURN = "select from turns where id = %s for update"
LOCK_ACCOUNT = "select from auth.users where id = %s for update"
DELETE = "delete from auth.users where id = %s returning id"


def begun(stack: Stack, user: User, conversation: UUID, character: UUID = DEMO_CHARACTER) -> UUID:
    turn = uuid4()
    (row,) = stack.all(BEGIN, turn, user.id, conversation, character)
    assert row["row"]["outcome"] == "started"
    return turn


@pytest.mark.installations
class TestAtOnce:
    """A deletion and what else is done for the person wait for each other, and neither fails."""

    def test_deletion_waits_for_a_turn_that_ends(self, stack: Stack, at: At) -> None:
        user, third = stack.user(), stack.db
        turn = begun(stack, user, stack.conversation(user))
        with third.transaction():
            third.execute(LOCK_TURN, (turn,))
            ends = at.waiting(at.first, FINISH, turn)
            deleted = at.waiting(at.second, DELETE, user.id)
        assert ends.result()[0]["row"]["outcome"] == "saved"
        assert deleted.result() == [{"id": user.id}]

    def test_turn_that_ends_waits_for_a_deletion(self, stack: Stack, at: At) -> None:
        user = stack.user()
        turn = begun(stack, user, stack.conversation(user))
        with at.first.transaction():
            at.first.execute(LOCK_ACCOUNT, (user.id,))
            ends = at.waiting(at.second, FINISH, turn)
            at.first.execute(DELETE, (user.id,))
        assert ends.result() == [{"row": {"outcome": "lost"}}]
        assert stack.all("select user_id from usage_events") == [{"user_id": None}]

    def test_deletion_of_a_character_waits_for_a_turn_that_ends(self, stack: Stack, at: At) -> None:
        user, third = stack.user(), stack.db
        vera = stack.insert("characters", user_id=user.id, name="Vera")
        conversation = stack.conversation(user)
        join = "insert into conversation_characters values (%s, %s, 0)"
        stack.db.execute(join, (conversation, vera))
        turn = begun(stack, user, conversation, vera)
        with third.transaction():
            third.execute(LOCK_TURN, (turn,))
            ends = at.waiting(at.first, FINISH, turn)
            delete = "delete from public.characters where id = %s returning id"
            deleted = at.waiting(at.second, delete, vera)
        assert ends.result()[0]["row"]["outcome"] == "saved"
        assert deleted.result() == [{"id": vera}]

    def test_second_deletion_finds_no_account(self, stack: Stack, at: At) -> None:
        """As after a double click. The first one has the account, and the counter not yet."""
        user = stack.user()
        stack.db.execute("select count_action(%s, 'edit')", (user.id,))
        with at.first.transaction():
            at.first.execute(LOCK_ACCOUNT, (user.id,))
            again = at.waiting(at.second, "select begin_account_deletion(%s) as row", user.id)
            at.first.execute(DELETE, (user.id,))
        assert again.result() == [{"row": {"outcome": "unknown_user"}}]

    def test_action_finds_no_account_after_a_deletion(self, stack: Stack, at: At) -> None:
        """The deletion has the account and the conversation, and the counter not yet."""
        user = stack.user()
        conversation = stack.conversation(user, "Hello")
        message = stack.one("select id from messages")["id"]
        stack.db.execute("select count_action(%s, 'edit')", (user.id,))
        with at.first.transaction():
            at.first.execute(LOCK_ACCOUNT, (user.id,))
            hold = "select from public.conversations where id = %s for update"
            at.first.execute(hold, (conversation,))
            edit = "select edit_message(%s, %s, 'Hi', 100) as row"
            edited = at.waiting(at.second, edit, user.id, message)
            at.first.execute(DELETE, (user.id,))
        assert edited.result() == [{"row": {"outcome": "unknown_user"}}]

    def test_turn_finds_no_account_after_a_deletion(self, stack: Stack, at: At) -> None:
        user = stack.user()
        with at.first.transaction():
            at.first.execute(DELETE, (user.id,))
            turn = at.waiting(at.second, BEGIN, uuid4(), user.id, None, DEMO_CHARACTER)
        assert turn.result() == [{"row": {"outcome": "unknown_user"}}]

    def test_turn_finds_no_key_after_a_deletion(self, stack: Stack, at: At) -> None:
        user = stack.user()
        key = sha256(make_key(stack, user)["key"].encode()).hexdigest()
        with at.first.transaction():
            at.first.execute(LOCK_ACCOUNT, (user.id,))
            begin = "select begin_turn_with_key(%s, %s) as row"
            turn = at.waiting(at.second, begin, key, Jsonb({"p_turn_id": str(uuid4())}))
            at.first.execute(DELETE, (user.id,))
        assert turn.result() == [{"row": {"outcome": "unknown_api_key"}}]

    def test_turn_finds_no_character_after_its_deletion(self, stack: Stack, at: At) -> None:
        user = stack.user()
        conversation = stack.conversation(user, character_id=None)
        vera = stack.insert("characters", user_id=user.id, name="Vera")
        with at.first.transaction():
            at.first.execute("delete from public.characters where id = %s", (vera,))
            turn = at.waiting(at.second, BEGIN, uuid4(), user.id, conversation, vera)
        assert turn.result() == [{"row": {"outcome": "character_not_found"}}]

    def test_turn_finds_no_persona_after_its_deletion(self, stack: Stack, at: At) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        vera = stack.insert("characters", user_id=user.id, name="Vera")
        begin = BEGIN.replace("p_character_id => %s", "p_user_character_id => %s")
        with at.first.transaction():
            at.first.execute("delete from public.characters where id = %s", (vera,))
            turn = at.waiting(at.second, begin, uuid4(), user.id, conversation, vera)
        assert turn.result() == [{"row": {"outcome": "persona_not_found"}}]

    def test_client_that_writes_finds_no_account_after_a_deletion(
        self, stack: Stack, at: At
    ) -> None:
        user = stack.user()
        stack.insert("lorebooks", user_id=user.id, content=Jsonb({"entries": []}))
        as_client(at.second, user)
        with at.first.transaction():
            at.first.execute(LOCK_ACCOUNT, (user.id,))
            write = """update lorebooks set content = '{"entries": [{}]}' returning id"""
            written = at.waiting(at.second, write)
            at.first.execute(DELETE, (user.id,))
        with pytest.raises(psycopg.Error, match="account no longer exists"):
            written.result()

    def test_client_deletes_a_conversation_after_the_account(self, stack: Stack, at: At) -> None:
        """On a product's tables the conversation does not go with the account, but its turns do."""
        user = stack.user()
        conversation = stack.conversation(user)
        for _ in range(2):
            stack.db.execute(FINISH, (begun(stack, user, conversation),))
        (_, turn) = stack.all("select id from turns order by created_at")
        as_client(at.second, user)
        with at.first.transaction():
            at.first.execute(LOCK_ACCOUNT, (user.id,))
            delete = "delete from public.conversations returning id"
            deleted = at.waiting(at.second, delete)
            if stack.is_adopted:
                # As the keys of turns and characters do.
                at.first.execute(LOCK_TURN, (turn["id"],))
                hold = "select from public.conversations where id = %s for key share"
                at.first.execute(hold, (conversation,))
            at.first.execute(DELETE, (user.id,))
        with pytest.raises(psycopg.Error, match="account no longer exists"):
            deleted.result()

    def test_purge_passes_over_an_account_that_is_being_deleted(self, stack: Stack, at: At) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.db.execute(
            "insert into conversation_entries (conversation_id, is_deleted, deleted_at)"
            " values (%s, true, now() - interval '1 year')",
            (conversation,),
        )
        with at.first.transaction():
            at.first.execute(LOCK_ACCOUNT, (user.id,))
            assert stack.one("select purge_conversations() as number") == {"number": 0}
        assert stack.one("select purge_conversations() as number") == {"number": 1}


def as_client(db: Connection, user: User) -> None:
    """From now on the connection is one of the Data API for this user."""
    claims = json.dumps({"sub": str(user.id), "role": "authenticated"})
    db.execute("select set_config('request.jwt.claims', %s, false)", (claims,))
    db.execute("select set_config('request.jwt.claim.sub', %s, false)", (str(user.id),))
    db.execute("set role authenticated")
