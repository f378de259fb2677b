"""An account is deleted with all that belongs to it, or not at all, and nothing of others goes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.integration.test_download_account import everything, lived
from tests.integration.test_requests import refused
from tests.support.answers import held, text
from tests.support.stack import Stack, User
from tests.support.waiting import Gate

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
def test_ones_own_rows_go_when_the_product_keeps_the_conversation(stack: Stack) -> None:
    user = stack.user()
    conversation = deletable(stack, user, "quince")
    tables = ("conversation_settings", "conversation_summaries", "private.message_variables")
    assert leave(stack, user).status_code == 200
    for table in tables:
        query = f"select from {table} where conversation_id = %s"
        assert stack.all(query, conversation) == []
