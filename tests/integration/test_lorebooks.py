"""Lorebooks beside that of the character: of a conversation, a persona, a person, everybody."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import text
from tests.support.stack import DEMO_CHARACTER, Stack, User
from tests.support.talk import VENICE, Talk

pytestmark = pytest.mark.installations


def entry(content: str, **more: Any) -> dict[str, Any]:
    return {"keys": [], "constant": True, "content": content, "extensions": {}} | more


def add_book(stack: Stack, *contents: str, **columns: Any) -> UUID:
    content = Jsonb({"entries": [entry(content) for content in contents]})
    return stack.insert("lorebooks", content=content, **columns)


@pytest.fixture
def told(talk: Talk) -> Talk:
    """A conversation with one model that always answers."""
    talk.have_only(VENICE)
    talk.stack.upstream.always(text("Aye."))
    return talk


def system(talk: Talk) -> str:
    talk.reply("Hello")
    content: str = talk.stack.upstream.calls[-1].json["messages"][0]["content"]
    return content


def owner(user: User) -> str:
    return str(user.id)


class TestTurn:
    def test_has_the_books_of_its_conversation_its_person_and_everybody(self, told: Talk) -> None:
        mine = owner(told.user)
        add_book(told.stack, "Here it rains.", user_id=mine, conversation_id=told.conversation)
        add_book(told.stack, "Ada limps.", user_id=mine)
        add_book(told.stack, "Magic is real.")
        prompt = system(told)
        assert all(text in prompt for text in ("Here it rains.", "Ada limps.", "Magic is real."))

    def test_has_no_other_books(self, told: Talk) -> None:
        mine, other = owner(told.user), told.stack.user()
        elsewhere = told.stack.conversation(told.user)
        add_book(told.stack, "Elsewhere.", user_id=mine, conversation_id=elsewhere)
        add_book(told.stack, "Switched off.", user_id=mine, is_enabled=False)
        add_book(told.stack, "Another's.", user_id=owner(other))
        prompt = system(told)
        assert not any(text in prompt for text in ("Elsewhere.", "Switched off.", "Another's."))

    def test_says_which_book_an_entry_is_from(self, told: Talk) -> None:
        book = add_book(told.stack, "Ada limps.", user_id=owner(told.user))
        system(told)
        with told.stack.data_api(told.user) as theirs:
            (row,) = theirs.get("/turn_prompts").json()
        assert {"book": str(book), "place": 0} in row["composition"]["entries"]

    def test_reads_at_most_eight_books(self, told: Talk) -> None:
        for number in range(10):
            add_book(told.stack, f"Fact {number}.", user_id=owner(told.user))
        prompt = system(told)
        assert [number for number in range(10) if f"Fact {number}." in prompt] == list(range(8))

    def test_reads_at_most_a_megabyte(self, told: Talk) -> None:
        for number in range(3):
            content = Jsonb({"entries": [entry(f"Fact {number}."), entry("x" * 500_000)]})
            told.stack.insert("lorebooks", content=content, user_id=owner(told.user))
        prompt = system(told)
        assert [number for number in range(3) if f"Fact {number}." in prompt] == [0, 1]


class TestRow:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param([], id="list"),
            pytest.param({}, id="no-entries"),
            pytest.param({"entries": {}}, id="entries-as-an-object"),
            pytest.param({"entries": ["x" * 600_000]}, id="too-long"),
            pytest.param({"entries": [0] * 70_000}, id="too-many-values"),
        ],
    )
    def test_content_is_bounded(self, stack: Stack, content: Any) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            stack.insert("lorebooks", content=Jsonb(content))

    def test_belongs_to_one_place_of_one_person(self, stack: Stack) -> None:
        user = stack.user()
        chat = str(stack.conversation(user))
        persona = str(DEMO_CHARACTER)
        with pytest.raises(psycopg.errors.CheckViolation):
            add_book(stack, user_id=owner(user), conversation_id=chat, persona_id=persona)
        with pytest.raises(psycopg.errors.CheckViolation):
            add_book(stack, conversation_id=chat)

    def test_number_is_bounded(self, stack: Stack) -> None:
        user = stack.user()
        stack.db.execute(
            "insert into lorebooks (user_id, content)"
            """ select %s, '{"entries": []}' from generate_series(1, 200)""",
            (user.id,),
        )
        with pytest.raises(psycopg.errors.CheckViolation, match="limit of 200"):
            add_book(stack, user_id=owner(user))

    def test_cannot_be_put_into_the_conversation_of_another(self, stack: Stack) -> None:
        mine, theirs = stack.user(), stack.user()
        chat = str(stack.conversation(theirs))
        row = {"user_id": owner(mine), "content": {"entries": []}, "conversation_id": chat}
        with stack.data_api(mine) as api:
            assert api.post("/lorebooks", json=row).status_code == 403
            assert api.post("/lorebooks", json=row | {"conversation_id": None}).status_code == 201
            elsewhere = row | {"conversation_id": None, "persona_id": str(uuid4())}
            assert api.post("/lorebooks", json=elsewhere).status_code in (403, 409)
