"""Lorebooks beside that of the character: of a conversation, a persona, a person, everybody."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import text
from tests.support.notes import prompts
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


class TestTiming:
    """Positions come from one sequence for all conversations, so they count nothing."""

    def shown(self, talk: Talk, message: str, **body: Any) -> str:
        talk.reply(message, **body)
        return str(prompts(talk.stack.upstream)[-1])

    def add_timed(self, talk: Talk, *entries: dict[str, Any]) -> None:
        content = Jsonb({"entries": list(entries)})
        talk.stack.insert("lorebooks", user_id=owner(talk.user), content=content)

    def count_all(self, talk: Talk) -> None:
        delays = [{"delay": number} for number in range(1, 80)]
        extensions = [entry(f"DELAY {one['delay']}.", extensions=one) for one in delays]
        after = [entry(f"@@activate_only_after {n}\nAFTER {n}.") for n in range(1, 50)]
        every = [entry(f"@@activate_only_every {n}\nEVERY {n}.") for n in range(1, 50)]
        self.add_timed(talk, *extensions, *after, *every)

    def expected(self, messages: int, replies: int) -> dict[str, list[int]]:
        return {
            "DELAY": [n for n in range(1, 80) if n <= messages],
            "AFTER": [n for n in range(1, 50) if n <= replies],
            "EVERY": [n for n in range(1, 50) if replies % n == 0],
        }

    def counted(self, prompt: str) -> dict[str, list[int]]:
        found = {name: re.findall(rf"{name} (\d+)\.", prompt) for name in self.expected(0, 0)}
        return {name: sorted(map(int, numbers)) for name, numbers in found.items()}

    def test_entries_count_the_messages_of_their_conversation(self, told: Talk) -> None:
        told.stack.conversation(told.user, *["Elsewhere."] * 50)
        self.count_all(told)
        assert self.counted(self.shown(told, "Hello")) == self.expected(1, 0)
        assert self.counted(self.shown(told, "Hello")) == self.expected(3, 1)

    def test_messages_before_those_that_are_loaded_count_too(self, told: Talk) -> None:
        told.conversation = told.stack.conversation(told.user, *["The kettle sings. " * 100] * 60)
        told.describe(VENICE, context_tokens=8192)
        self.count_all(told)
        assert self.counted(self.shown(told, "Hello")) == self.expected(61, 30)
        assert self.counted(self.shown(told, "Hello")) == self.expected(63, 31)
        again = self.shown(told, "", action="regenerate")
        assert self.counted(again) == self.expected(63, 31)

    def test_hidden_ones_do_not_count(self, told: Talk) -> None:
        told.conversation = told.stack.conversation(told.user, *["The kettle sings. " * 100] * 60)
        told.describe(VENICE, context_tokens=8192)
        for message in told.stack.all("select id from messages order by position limit 5"):
            told.stack.one("select hide_message(%s, %s, true)", told.user.id, message["id"])
        self.count_all(told)
        assert self.counted(self.shown(told, "Hello")) == self.expected(56, 28)

    def test_at_most_a_thousand_of_them_are_counted(self, told: Talk) -> None:
        told.conversation = told.stack.conversation(told.user)
        told.stack.db.execute(
            "insert into messages (conversation_id, sender, content)"
            " select %s, 'user', repeat('The kettle sings. ', 50) from generate_series(1, 1200)",
            [told.conversation],
        )
        due = [entry(f"DELAY {n}.", extensions={"delay": n}) for n in (1000, 1150)]
        self.add_timed(told, *due)
        prompt = self.shown(told, "Hello")
        assert ("DELAY 1000." in prompt, "DELAY 1150." in prompt) == (True, False)

    def test_entry_that_was_activated_by_chance_stays(self, told: Talk) -> None:
        told.stack.configure(limits={"default": {"turns_per_minute": 1000}})
        more = {"sticky": 5, "probability": 50, "useProbability": True, "scan_depth": 1}
        sticky = entry("STICKY.", keys=["hello"], constant=False, extensions=more)
        self.add_timed(told, sticky)
        seen = []
        for _ in range(12):
            told.conversation = told.stack.conversation(told.user)
            first = "STICKY." in self.shown(told, "Hello")
            told.stack.conversation(told.user, *["Elsewhere."] * 3)
            seen.append((first, "STICKY." in self.shown(told, "Go on")))
        assert [first for first, _ in seen] == [then for _, then in seen]
        assert {first for first, _ in seen} == {True, False}

    def test_continuation_sees_what_its_reply_saw(self, told: Talk) -> None:
        more = {"cooldown": 9, "scan_depth": 4}
        self.add_timed(told, entry("COOLED.", keys=["hello"], constant=False, extensions=more))
        assert "COOLED." in self.shown(told, "Hello")
        assert "COOLED." in self.shown(told, "", action="continue")
        assert "COOLED." not in self.shown(told, "Hello")


class TestBranch:
    """A conversation of two books, branched at its first reply."""

    def branch(self, told: Talk) -> str:
        told.reply("Hello")
        (reply,) = told.stack.all("select id from messages where sender = 'character'")
        body = {"action": "branch", "message_id": str(reply["id"])}
        answer = told.stack.chat(told.user, **body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["conversation_id"])

    def books(self, told: Talk, conversation: object) -> list[tuple[str, bool, Any]]:
        rows = told.stack.all(
            "select name, is_enabled, content from lorebooks where conversation_id = %s"
            " order by created_at, id",
            conversation,
        )
        return [(row["name"], row["is_enabled"], row["content"]) for row in rows]

    def test_takes_copies_of_the_books_of_its_conversation(self, told: Talk) -> None:
        mine, here = owner(told.user), {"conversation_id": told.conversation}
        first = add_book(told.stack, "It rains.", user_id=mine, name="Weather", **here)
        add_book(told.stack, "Quiet.", user_id=mine, name="Off", is_enabled=False, **here)
        add_book(told.stack, "Ada limps.", user_id=mine)
        elsewhere = told.stack.conversation(told.user)
        add_book(told.stack, "Elsewhere.", user_id=mine, conversation_id=elsewhere)

        branch = self.branch(told)

        copies = self.books(told, branch)
        assert copies == self.books(told, told.conversation)
        assert [name for name, *_ in copies] == ["Weather", "Off"]
        told.stack.db.execute("delete from lorebooks where id = %s", (first,))
        answer = told.stack.chat(told.user, conversation_id=branch, message="Does it rain?")
        assert answer.status_code == 200, answer.text
        assert "It rains." in str(told.stack.upstream.calls[-1].json["messages"])

    @pytest.mark.parametrize(("others", "copied"), [(196, 2), (197, 1), (198, 0), (201, 0)])
    def test_works_without_those_beyond_the_maximum(
        self, told: Talk, others: int, copied: int
    ) -> None:
        for name in ("First", "Second"):
            add_book(
                told.stack, user_id=owner(told.user), name=name, conversation_id=told.conversation
            )
        told.stack.db.execute(
            "insert into lorebooks (user_id, content)"
            """ select %s, '{"entries": []}' from generate_series(1, %s)""",
            (told.user.id, others),
        )
        names = [name for name, *_ in self.books(told, self.branch(told))]
        assert names == ["First", "Second"][:copied]

    def test_counts_their_bytes(self, told: Talk) -> None:
        told.stack.configure(limits={"default": {"branched_bytes_per_day": 100_000}})
        add_book(
            told.stack, "x" * 90_000, user_id=owner(told.user), conversation_id=told.conversation
        )
        self.branch(told)
        (reply,) = told.stack.all(
            "select id from messages where sender = 'character' and conversation_id = %s",
            told.conversation,
        )
        body = {"action": "branch", "message_id": str(reply["id"])}
        assert told.stack.chat(told.user, **body).status_code == 429


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
        row = {"user_id": owner(user), "content": {"entries": []}}
        with stack.data_api(user) as api:
            answer = api.post("/lorebooks", json=row)
        assert (answer.status_code, "maximum number" in answer.text) == (409, True)
        imported = stack.chat(user, action="import_card", card=WORLD)
        assert (imported.status_code, imported.json()["code"]) == (409, "too_many_lorebooks")

    def test_cannot_be_put_into_the_conversation_of_another(self, stack: Stack) -> None:
        mine, theirs = stack.user(), stack.user()
        chat = str(stack.conversation(theirs))
        row = {"user_id": owner(mine), "content": {"entries": []}, "conversation_id": chat}
        with stack.data_api(mine) as api:
            assert api.post("/lorebooks", json=row).status_code == 403
            assert api.post("/lorebooks", json=row | {"conversation_id": None}).status_code == 201
            elsewhere = row | {"conversation_id": None, "persona_id": str(uuid4())}
            assert api.post("/lorebooks", json=elsewhere).status_code in (403, 409)


WORLD = {
    "entries": {
        "0": {
            "uid": 0, "key": ["harbour"], "keysecondary": [], "content": "It is frozen.",
            "constant": False, "selective": True, "order": 100, "position": 0, "disable": False,
            "probability": 100, "useProbability": True, "vectorized": True,
        }
    }
}  # fmt: skip
"""World info as SillyTavern exports it."""
V3 = {"spec": "lorebook_v3", "data": {"name": "Coast", "entries": [entry("It is cold.")]}}
AGNAI = {
    "kind": "memory",
    "name": "Island",
    "entries": [{"name": "gulls", "entry": "Gulls steal.", "keywords": ["gull"], "priority": 1}],
}


def imported(stack: Stack, user: User, file: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = stack.chat(user, action="import_card", card=file, **more)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class TestImport:
    @pytest.mark.parametrize(
        ("file", "name", "content"),
        [
            pytest.param(WORLD, "Lorebook", "It is frozen.", id="sillytavern"),
            pytest.param(V3, "Coast", "It is cold.", id="v3"),
            pytest.param(AGNAI, "Island", "Gulls steal.", id="agnai"),
        ],
    )
    def test_lorebook_alone_becomes_one_of_the_person(
        self, stack: Stack, file: dict[str, Any], name: str, content: str
    ) -> None:
        user = stack.user()
        body = imported(stack, user, file)
        assert (body["name"], body["book_entries"]) == (name, 1)
        assert "character_id" not in body
        row = stack.one("select * from lorebooks where id = %s", body["lorebook_id"])
        assert (row["user_id"], row["scope"], row["name"]) == (user.id, "person", name)
        assert row["content"]["entries"][0]["content"] == content

    def test_says_what_has_no_effect(self, stack: Stack) -> None:
        (warning,) = imported(stack, stack.user(), WORLD)["warnings"]
        assert "vectorized" in warning

    def test_may_be_for_a_conversation_and_works_there(self, told: Talk) -> None:
        place = {"conversation_id": str(told.conversation)}
        body = imported(told.stack, told.user, WORLD, **place)
        row = told.stack.one("select scope from lorebooks where id = %s", body["lorebook_id"])
        assert row["scope"] == "conversation"
        told.reply("To the harbour!")
        assert "It is frozen." in str(told.stack.upstream.calls[-1].json["messages"])

    def test_is_never_for_the_conversation_or_persona_of_another(self, stack: Stack) -> None:
        theirs = stack.user()
        for place in (
            {"conversation_id": str(stack.conversation(theirs))},
            {"persona_id": str(uuid4())},
        ):
            answer = stack.chat(stack.user(), action="import_card", card=WORLD, **place)
            assert answer.status_code == 404
        assert stack.all("select id from lorebooks") == []

    def test_one_that_is_too_large_is_refused_with_what_to_do(self, stack: Stack) -> None:
        numbers = {"extensions": {"x": [1e300] * 3_000}}
        for book in ([entry("x" * 600_000)], [entry("x") | numbers]):
            answer = stack.chat(stack.user(), action="import_card", card={"entries": book})
            assert (answer.status_code, answer.json()["code"]) == (413, "card_too_large")
            assert "shorten entries" in answer.json()["error"]

    def test_is_screened_as_cards_are(self, stack: Stack) -> None:
        said = "She is 12 years old. A sexual scene."
        file = {"spec": "lorebook_v3", "data": {"entries": [entry(said)]}}
        answer = stack.chat(stack.user(), action="import_card", card=file)
        assert answer.status_code == 403
        assert stack.all("select id from lorebooks") == []
