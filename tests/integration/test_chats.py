"""Chats are imported, continued and exported, through the real function and database."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from postgrest import base_request_builder
from psycopg.types.json import Jsonb

from edge import clients, connections
from roleplay_chat import endpoints, request_body
from tests.support.answers import text
from tests.support.stack import DEMO_CHARACTER, Stack, User

HEADER: dict[str, Any] = {"user_name": "Ada", "character_name": "Anybody", "chat_metadata": {}}
NOTE = {"note_prompt": "It rains.", "note_depth": 1, "note_role": 0, "note_position": 1}


def said(name: str, mes: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "is_user": name == "Ada", "is_system": False, "mes": mes} | more


TALK = (
    said("Ada", "Hello", send_date="May 1, 2024 10:20pm"),
    said("Anybody", "B", swipes=["A", "B", "C"], swipe_id=1, send_date="2024-05-01T22:21:00Z"),
    said("Anybody", "An aside.", is_system=True),
    said("Ada", "And now?"),
)


def jsonl(*rows: Any) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def bring(stack: Stack, user: User, *rows: Any, **body: Any) -> dict[str, Any]:
    """An import that must succeed."""
    answer = ask(stack, user, *rows, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ask(stack: Stack, user: User, *rows: Any, **body: Any) -> httpx.Response:
    sent = {"character_id": str(DEMO_CHARACTER), "chat": jsonl(*rows)} | body
    return stack.chat(user, action="import_chat", **sent)


def export(stack: Stack, user: User, conversation: str) -> list[dict[str, Any]]:
    answer = stack.chat(user, action="export_chat", conversation_id=conversation)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.json()["chat"].rstrip("\n").split("\n")]


def refused(answer: httpx.Response, status: int, code: str) -> str:
    body = answer.json()
    assert (answer.status_code, body["code"], body["success"]) == (status, code, False), body
    return str(body["error"])


def prompt(stack: Stack) -> list[str]:
    """The messages of the last model call after the system message."""
    sent = stack.upstream.calls[-1].json["messages"]
    return [message["content"] for message in sent][1:]


def go_on(stack: Stack, user: User, conversation: str, **body: Any) -> dict[str, Any]:
    stack.upstream.enqueue(text("Yes."))
    answer = stack.chat(user, conversation_id=conversation, **({"message": "So?"} | body))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class TestImport:
    def test_is_a_conversation_with_the_chosen_character(self, stack: Stack) -> None:
        user = stack.user("Ada")

        body = bring(stack, user, HEADER, *TALK, title="The storm")

        assert (body["messages"], body["versions"], body["hidden"]) == (4, 2, 1)
        assert (body["warnings"], body["joined"]) == ([], [])
        assert stack.said(UUID(body["conversation_id"])) == [
            ("user", "Hello"),
            ("character", "B"),
            ("character", "An aside."),
            ("user", "And now?"),
        ]
        row = stack.one("select * from conversations where id = %s", body["conversation_id"])
        assert (row["user_id"], row["character_id"]) == (user.id, DEMO_CHARACTER)
        assert row["title"] == "The storm"

    def test_times_are_those_of_the_file_and_increase(self, stack: Stack) -> None:
        body = bring(stack, stack.user(), HEADER, *TALK)
        rows = stack.all(
            "select created_at from messages where conversation_id = %s and is_active"
            " order by position",
            body["conversation_id"],
        )
        times = [row["created_at"] for row in rows]
        assert times == sorted(times)
        assert len(set(times)) == 4
        assert {time.year for time in times} == {2024}

    def test_next_prompt_has_what_is_not_hidden(self, stack: Stack) -> None:
        user = stack.user("Ada")
        body = bring(stack, user, HEADER, *TALK)
        go_on(stack, user, body["conversation_id"])
        assert prompt(stack) == ["Hello", "B", "And now?\n\nSo?"]

    def test_versions_can_be_chosen_and_more_be_written(self, stack: Stack) -> None:
        user = stack.user("Ada")
        body = bring(stack, user, HEADER, *TALK[:2])
        versions = stack.all(
            "select id, content, is_active, variant_of from messages"
            " where conversation_id = %s and sender = 'character' order by content",
            body["conversation_id"],
        )
        assert [(row["content"], row["is_active"]) for row in versions] == [
            ("A", False),
            ("B", True),
            ("C", False),
        ]
        assert [row["variant_of"] for row in versions] == [None] + [versions[0]["id"]] * 2
        chosen = {"action": "choose", "message_id": str(versions[2]["id"])}
        assert stack.chat(user, **chosen).status_code == 200
        assert stack.said(UUID(body["conversation_id"]))[-1] == ("character", "C")
        go_on(stack, user, body["conversation_id"], action="regenerate")
        assert prompt(stack) == ["Hello"]

    def test_names_of_a_group_are_its_speakers(self, stack: Stack) -> None:
        user = stack.user("Ada")
        ines = stack.insert("characters", user_id=user.id, name="Inès")
        demo = stack.one("select name from characters where id = %s", DEMO_CHARACTER)["name"]
        header = {"user_name": "unused", "character_name": "unused"}

        body = bring(
            stack,
            user,
            header,
            said("Ada", "Who is there?"),
            said(demo, "Me."),
            said("inès", "And me."),
            said("A stranger", "And me."),
        )

        rows = stack.all(
            "select character_id, content from messages where conversation_id = %s"
            " and sender = 'character' order by position",
            body["conversation_id"],
        )
        assert [(row["character_id"], row["content"]) for row in rows] == [
            (DEMO_CHARACTER, "Me."),
            (ines, "And me."),
            (None, "A stranger: And me."),
        ]
        assert body["joined"] == ["inès"]
        assert body["warnings"] == [
            "You have no characters of these names, so their messages begin with the name:"
            " A stranger."
        ]
        members = stack.all(
            "select character_id, position from conversation_characters where conversation_id = %s",
            body["conversation_id"],
        )
        assert members == [{"character_id": ines, "position": 0}]

    def test_characters_of_others_never_join(self, stack: Stack) -> None:
        user, other = stack.user("Ada"), stack.user("Bob")
        stack.insert("characters", user_id=other.id, name="Inès")
        body = bring(stack, user, {}, said("Vera", "Me."), said("Inès", "And me."))
        assert body["joined"] == []

    def test_author_note_comes_along(self, stack: Stack) -> None:
        user = stack.user("Ada")
        body = bring(stack, user, HEADER | {"chat_metadata": NOTE}, *TALK)
        go_on(stack, user, body["conversation_id"])
        assert prompt(stack)[-2:] == ["It rains.", "So?"]

    def test_file_may_be_sent_in_base64(self, stack: Stack) -> None:
        encoded = base64.b64encode(jsonl(HEADER, *TALK).encode()).decode()
        sent = {"character_id": str(DEMO_CHARACTER), "chat_base64": encoded}
        answer = stack.chat(stack.user(), action="import_chat", **sent)
        assert answer.json()["messages"] == 4

    def test_same_request_twice_is_one_conversation(self, stack: Stack) -> None:
        user, once = stack.user(), str(uuid4())
        first = bring(stack, user, HEADER, *TALK, client_message_id=once)
        again = bring(stack, user, HEADER, *TALK, client_message_id=once)
        assert first["conversation_id"] == again["conversation_id"]
        count = stack.one(
            "select count(*) as rows from messages where conversation_id = %s",
            first["conversation_id"],
        )
        assert count["rows"] == 6
        assert len(stack.all("select from conversations where user_id = %s", user.id)) == 1

    def test_texts_are_data_and_refused_where_a_turn_uses_them(self, stack: Stack) -> None:
        user = stack.user("Ada")
        refused_words = "She is 12 years old. A sexual scene."
        body = bring(stack, user, HEADER, said("Ada", "Hi {{user}}"), said("Anybody", "Hi."))
        assert stack.said(UUID(body["conversation_id"]))[0] == ("user", "Hi {{user}}")
        body = bring(stack, user, HEADER, said("Ada", refused_words), said("Anybody", "Hi."))
        answer = stack.chat(user, conversation_id=body["conversation_id"], message="So?")
        assert answer.status_code == 403
        assert stack.upstream.calls == []

    def test_minor_in_the_group_closes_the_adult_tier(self, stack: Stack) -> None:
        user = stack.user("Ada", age_verified=True)
        stack.insert("characters", user_id=user.id, name="Inès", age=15)
        body = bring(stack, user, {}, said("Vera", "Me."), said("Inès", "And me."))
        answer = go_on(stack, user, body["conversation_id"], content_tier="nsfw")
        assert answer["content_tier"] == "sfw"

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"chat": "nothing"}, 400, "invalid_chat"),
            ({"chat": 3}, 400, "invalid_chat"),
            ({"chat": None}, 400, "invalid_chat"),
            ({"chat_base64": "aGk="}, 400, "invalid_chat"),
            ({"chat": None, "chat_base64": "%"}, 400, "invalid_chat"),
            ({"character_id": str(uuid4())}, 404, "character_not_found"),
            ({"character_id": "x"}, 400, "invalid_request"),
            ({"user_character_id": str(uuid4())}, 404, "persona_not_found"),
        ],
    )
    def test_request_that_is_wrong_gets_a_sentence(
        self, stack: Stack, body: dict[str, Any], status: int, code: str
    ) -> None:
        assert refused(ask(stack, stack.user(), HEADER, *TALK, **body), status, code)

    def test_private_character_of_somebody_else_is_not_found(self, stack: Stack) -> None:
        other = stack.user("Bob")
        theirs = stack.insert("characters", user_id=other.id, name="Inès")
        answer = ask(stack, stack.user(), *TALK, character_id=str(theirs))
        refused(answer, 404, "character_not_found")

    def test_imports_are_limited_like_those_of_cards(self, stack: Stack) -> None:
        stack.configure(limits={"default": {"imports_per_day": 1}})
        user = stack.user()
        bring(stack, user, HEADER, *TALK)
        refused(ask(stack, user, HEADER, *TALK), 429, "rate_limited")

    def test_bytes_of_a_day_are_limited(self, stack: Stack) -> None:
        stack.configure(limits={"default": {"branched_bytes_per_day": 2_000}})
        user = stack.user()
        bring(stack, user, HEADER, *TALK)
        refused(ask(stack, user, HEADER, said("Ada", "x" * 2_000)), 429, "rate_limited")

    def test_large_chat_is_imported_whole(self, stack: Stack) -> None:
        rows = [
            said("Ada" if place % 2 else "Anybody", f"{place} " + "word " * 200)
            for place in range(2_000)
        ]
        encoded = base64.b64encode(jsonl(HEADER, *rows).encode()).decode()
        user = stack.user("Ada")
        sent = {"character_id": str(DEMO_CHARACTER), "chat_base64": encoded}
        answer = stack.chat(user, action="import_chat", **sent)
        assert answer.status_code == 200, answer.text
        said_here = stack.said(UUID(answer.json()["conversation_id"]))
        assert [words.split()[0] for _, words in said_here] == [str(n) for n in range(2_000)]


class TestExport:
    def test_has_hidden_messages_versions_and_the_note(self, stack: Stack) -> None:
        user = stack.user("Ada")
        body = bring(stack, user, HEADER | {"chat_metadata": NOTE}, *TALK)

        header, *messages = export(stack, user, body["conversation_id"])

        assert header["chat_metadata"]["note_prompt"] == "It rains."
        assert [(one["mes"], one["is_user"], one["is_system"]) for one in messages] == [
            ("Hello", True, False),
            ("B", False, False),
            ("An aside.", False, True),
            ("And now?", True, False),
        ]
        assert messages[1]["swipes"][messages[1]["swipe_id"]] == "B"
        assert sorted(messages[1]["swipes"]) == ["A", "B", "C"]

    def test_what_was_exported_is_imported_as_the_same(self, stack: Stack) -> None:
        user = stack.user("Ada")
        once = bring(stack, user, HEADER | {"chat_metadata": NOTE}, *TALK)["conversation_id"]
        first = export(stack, user, once)
        again = bring(stack, user, *first)
        assert again["warnings"] == []
        second = export(stack, user, again["conversation_id"])
        for before, after in zip(first[1:], second[1:], strict=True):
            assert after | {"swipe_info": 0} == before | {"swipe_info": 0}

    def test_message_that_was_refused_is_left_out(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = bring(stack, user, HEADER, *TALK)["conversation_id"]
        words = "She is 12 years old. A sexual scene."
        assert stack.chat(user, conversation_id=conversation, message=words).status_code == 403
        assert words not in str(export(stack, user, conversation))

    def test_conversations_of_others_are_not_found(self, stack: Stack) -> None:
        conversation = str(stack.conversation(stack.user("Ada")))
        sent = {"action": "export_chat", "conversation_id": conversation}
        refused(stack.chat(stack.user("Bob"), **sent), 404, "conversation_not_found")

    def test_exports_are_limited(self, stack: Stack) -> None:
        stack.configure(limits={"default": {"exports_per_day": 1}})
        user = stack.user()
        conversation = str(stack.conversation(user))
        export(stack, user, conversation)
        sent = {"action": "export_chat", "conversation_id": conversation}
        refused(stack.chat(user, **sent), 429, "rate_limited")


@pytest.mark.installations
class TestLongChats:
    def test_row_that_all_messages_share_is_written_once(self, stack: Stack) -> None:
        """Each writing finds the earlier ones again, so with one for each message four times as
        many took sixteen times as long."""
        rows = [
            {"sender": "user", "said_at": "2024-01-01", "versions": [str(number)], "active": 0}
            for number in range(50)
        ]
        with stack.db.transaction():
            before = updated(stack)
            done = stack.one(
                "select import_chat(%s, %s, null, 'T', null, %s, null) as row",
                *(stack.user().id, DEMO_CHARACTER, Jsonb(rows)),
            )["row"]
            assert done["outcome"] == "done"
            assert updated(stack) == before
        assert len(stack.said(done["conversation_id"])) == 50

    def test_deleting_them_writes_it_once_as_well(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user, *map(str, range(12)))
        first = stack.one(
            "select id from shared.messages where conversation_id = %s and content = '2'",
            conversation,
        )["id"]
        with stack.db.transaction():
            before = updated(stack)
            query = "select delete_messages(%s, %s, true) as row"
            assert stack.one(query, user.id, first)["row"] == {"outcome": "done", "deleted": 10}
            assert updated(stack) == before + 1
        assert len(stack.said(conversation)) == 2

    def test_versions_and_speakers_are_those_of_the_file(self, stack: Stack) -> None:
        user = stack.user("Ada")
        ben = stack.insert("characters", user_id=user.id, name="Ben")
        made = bring(
            *(stack, user, HEADER, said("Anybody", "Hi.")),
            *(said("Ada", "One"), said("Ben", "B", swipes=["A", "B"], swipe_id=1)),
            *(said("Cid", "C"), said("Ada", "Two", is_system=True), said("Ben", "D")),
        )
        rows = stack.all(
            "select m.content, m.is_active, m.character_id, p.content as answers, v.content as of"
            " from messages m left join messages p on p.id = m.parent_id"
            " left join messages v on v.id = m.variant_of where m.conversation_id = %s"
            " order by m.position, m.content",
            made["conversation_id"],
        )
        (hi, one, a, b, c, two, d) = [tuple(row.values()) for row in rows]
        assert [row[0] for row in (hi, one, two)] == ["Hi.", "One", "Two"]
        assert [row[3:] for row in (hi, one, two)] == [(None, None)] * 3
        assert a == ("A", False, ben, "One", None)
        assert b == ("B", True, ben, "One", "A")
        assert c[:2] == ("Cid: C", True)
        assert d == ("D", True, ben, "Two", None)
        assert len(stack.all("select from hidden_messages")) == 1

    def test_deleting_a_speaker_closes_the_adult_tier(self, stack: Stack) -> None:
        """The age of a deleted character can no longer be checked."""
        user = stack.user("Ada")
        ben = stack.insert("characters", user_id=user.id, name="Ben")
        lines = [said("Anybody", "Hi."), said("Ada", "One"), said("Ben", "Two")]
        made = bring(stack, user, HEADER, *lines)
        closed = "select always_sfw from conversations where id = %s"
        assert stack.one(closed, made["conversation_id"]) == {"always_sfw": False}
        stack.db.execute("delete from public.characters where id = %s", [ben])
        assert stack.one(closed, made["conversation_id"]) == {"always_sfw": True}

    def test_more_than_can_be_imported_are_refused(self, stack: Stack) -> None:
        user = stack.user()
        lines = [said("Ada", str(number)) for number in range(3_001)]
        answer = ask(stack, user, *lines)
        if stack.is_adopted:
            assert "at most 3,000" in refused(answer, 413, "chat_too_large")
            assert stack.all("select from conversations where user_id = %s", user.id) == []
        else:
            assert answer.json()["messages"] == 3_001


def updated(stack: Stack) -> int:
    """The rows of versions that this transaction has updated."""
    query = "select pg_stat_get_xact_tuples_updated(%s::regclass) as number"
    return int(stack.one(query, "private.conversation_versions")["number"])


class TestOthersGoOn:
    """While a chat of megabytes is read or written, others are answered: no JSON of it is handled
    on the event loop."""

    @pytest.fixture
    def handled(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
        """The function that handled large JSON, and whether that was on the event loop."""
        found: list[tuple[str, bool]] = []

        def watch(module: Any, name: str) -> None:
            original = getattr(module, name)

            def watched(value: Any) -> Any:
                result = original(value)
                texts = [one for one in (value, result) if isinstance(one, str | bytes | bytearray)]
                size = max(map(len, texts))
                if size > 100_000:
                    found.append((name, asyncio._get_running_loop() is not None))
                return result

            monkeypatch.setattr(module, name, watched)

        watch(request_body, "value_count_bound")
        watch(base_request_builder, "_encode_json_body")
        watch(clients, "dumps")
        watch(connections, "loads")
        watch(endpoints, "dumps")
        return found

    def test_while_one_is_imported_and_exported(
        self, stack: Stack, handled: list[tuple[str, bool]]
    ) -> None:
        user = stack.user("Ada")
        rows = [said("Ada" if n % 2 else "Anybody", f"{n} {'word ' * 99}") for n in range(600)]
        conversation = bring(stack, user, HEADER, *rows)["conversation_id"]
        assert len(export(stack, user, conversation)) == 601
        names = ("value_count_bound", "dumps", "loads", "dumps")
        assert handled == [(name, False) for name in names]

    @pytest.mark.parametrize("action", ["import_chat", "export_chat"])
    def test_database_may_be_away_as_in_other_calls(self, stack: Stack, action: str) -> None:
        user = stack.user("Ada")
        conversation = str(stack.conversation(user))
        asked = {"conversation_id": conversation} if action == "export_chat" else {}
        for trouble in (stack.gateway.fail, stack.gateway.outdate, stack.gateway.drop):
            trouble(f"/rpc/{action}")
            answer = stack.chat(user, action=action, **asked) if asked else ask(stack, user, *TALK)
            refused(answer, 503, "database_unavailable")
