"""A message can be hidden from models and shown to them again; people see it all the time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.support.answers import text
from tests.support.chat_errors import refused
from tests.support.dialog import Dialog
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import Stack
from tests.support.talk import Talk

SAID = ("One", "Two", "Three", "Four")
SUMMARY = "They counted."


@pytest.fixture
def dialog(stack: Stack) -> Dialog:
    return Dialog(stack, *SAID)


def next_prompt(dialog: Dialog, message: str = "Five", **body: Any) -> list[str]:
    dialog.stack.upstream.enqueue(text("Six"))
    dialog.turn(**({"message": message} | body))
    return dialog.prompt()


def position(dialog: Dialog, content: str) -> int:
    return int(
        dialog.stack.one(
            "select position from messages where content = %s and conversation_id = %s",
            *(content, dialog.id),
        )["position"]
    )


def summary(dialog: Dialog) -> tuple[str, int]:
    row = dialog.stack.one(
        "select content, covers_position from conversation_summaries where conversation_id = %s",
        dialog.id,
    )
    return row["content"], row["covers_position"]


def with_summary(dialog: Dialog, upto: str) -> None:
    dialog.stack.db.execute(
        "insert into conversation_summaries (conversation_id, content, covers_position)"
        " values (%s, %s, %s) on conflict (conversation_id) do update"
        " set content = excluded.content, covers_position = excluded.covers_position",
        (dialog.id, SUMMARY, position(dialog, upto)),
    )


class TestHiding:
    def test_next_prompt_is_without_it_and_people_see_it(self, dialog: Dialog) -> None:
        body = dialog.do("hide", "Two")
        assert (body["conversation_id"], body["hidden"]) == (str(dialog.id), True)
        assert next_prompt(dialog) == ["One\n\nThree", "Four", "Five"]
        assert dialog.said() == ["One", "Two", "Three", "Four", "Five", "Six"]

    def test_it_is_shown_again(self, dialog: Dialog) -> None:
        dialog.do("hide", "Two")
        assert dialog.do("hide", "Two", hidden=False)["hidden"] is False
        assert next_prompt(dialog) == ["One", "Two", "Three", "Four", "Five"]

    @pytest.mark.parametrize("hidden", [True, False])
    def test_repeating_it_changes_nothing(self, dialog: Dialog, hidden: bool) -> None:
        dialog.do("hide", "Two", hidden=hidden)
        with_summary(dialog, "Four")
        dialog.do("hide", "Two", hidden=hidden)
        assert summary(dialog)[0] == SUMMARY

    def test_all_versions_are_hidden_together(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again")
        dialog.do("hide", "Two again")
        dialog.do("choose", "Two")
        assert next_prompt(dialog) == ["One\n\nThree", "Four", "Five"]

    def test_deleted_message_leaves_no_row(self, dialog: Dialog) -> None:
        for content in ("Two", "Four"):
            dialog.do("hide", content)
        dialog.do("delete", "Two", onwards=True)
        assert dialog.stack.all("select from hidden_messages") == []

    def test_branch_hides_the_same(self, dialog: Dialog) -> None:
        dialog.do("hide", "Two")
        dialog.id = dialog.do("branch", "Four")["conversation_id"]
        assert next_prompt(dialog) == ["One\n\nThree", "Four", "Five"]

    def test_everything_may_be_hidden(self, dialog: Dialog) -> None:
        for content in SAID:
            dialog.do("hide", content)
        assert next_prompt(dialog) == ["Five"]

    def test_owner_reads_which_are_hidden(self, dialog: Dialog) -> None:
        dialog.do("hide", "Two")
        with dialog.stack.data_api(dialog.user) as api:
            rows = api.get("/hidden_messages").json()
        assert [(row["conversation_id"], row["position"]) for row in rows] == [
            (str(dialog.id), position(dialog, "Two"))
        ]
        with dialog.stack.data_api(dialog.stack.user("Bob")) as api:
            assert api.get("/hidden_messages").json() == []

    def test_message_of_somebody_else_is_not_found(self, dialog: Dialog) -> None:
        other = dialog.stack.user("Bob")
        answer = dialog.request(other, action="hide", message_id=dialog.message("Two"))
        refused(answer, 404, "message_not_found")

    def test_running_turn_blocks_it(self, dialog: Dialog) -> None:
        with dialog.running():
            answer = dialog.request(action="hide", message_id=dialog.message("Two"))
        refused(answer, 409, "turn_in_progress")

    def test_message_that_was_refused_cannot_be_shown(self, dialog: Dialog) -> None:
        words = "She is 12 years old. A sexual scene."
        assert dialog.request(conversation_id=str(dialog.id), message=words).status_code == 403
        answer = dialog.request(action="hide", message_id=dialog.message(words), hidden=False)
        refused(answer, 404, "message_not_found")


class TestTurns:
    def test_newest_reply_that_is_not_hidden_is_regenerated(self, dialog: Dialog) -> None:
        dialog.do("hide", "Three")
        dialog.do("hide", "Four")
        assert next_prompt(dialog, message="", action="regenerate") == ["One"]

    def test_hidden_reply_may_be_regenerated_in_its_place(self, dialog: Dialog) -> None:
        dialog.do("hide", "Two")
        dialog.again("Two", "Two again")
        assert dialog.prompt() == ["One"]
        assert next_prompt(dialog) == ["One\n\nThree", "Four", "Five"]

    def test_reply_to_a_hidden_message_is_regenerated_without_it(self, dialog: Dialog) -> None:
        dialog.do("hide", "Three")
        dialog.again("Four", "Four again")
        assert "Three" not in str(dialog.prompt())

    def test_hidden_reply_is_not_continued(self, dialog: Dialog) -> None:
        dialog.do("hide", "Four")
        body: dict[str, Any] = {"action": "continue", "message_id": dialog.message("Four")}
        answer = dialog.request(conversation_id=str(dialog.id), **body)
        refused(answer, 409, "nothing_to_continue")

    def test_reply_before_hidden_messages_is_continued(self, dialog: Dialog) -> None:
        dialog.do("hide", "Three")
        dialog.do("hide", "Four")
        dialog.stack.upstream.enqueue(text(" and more"))
        assert dialog.turn(action="continue")["response"].startswith("Two")

    def test_same_words_as_a_hidden_message_are_a_new_one(self, dialog: Dialog) -> None:
        stack = dialog.stack
        stack.insert("messages", conversation_id=dialog.id, sender="user", content="Again?")
        dialog.do("hide", "Again?")
        assert next_prompt(dialog, "Again?")[-1] == "Again?"
        assert dialog.said().count("Again?") == 2


class TestMemory:
    def test_hidden_message_is_forgotten_like_a_changed_one(self, dialog: Dialog) -> None:
        with_summary(dialog, "Four")
        dialog.do("hide", "Two")
        assert summary(dialog) == ("", 0)

    def test_later_message_leaves_the_summary(self, dialog: Dialog) -> None:
        with_summary(dialog, "Two")
        for content in ("Five", "Six", "Seven"):  # The newest four are in no summary.
            row = {"conversation_id": dialog.id, "sender": "user", "content": content}
            dialog.stack.insert("messages", **row)
        dialog.do("hide", "Four")
        assert summary(dialog)[0] == SUMMARY

    def test_message_that_is_shown_again_is_retold(self, dialog: Dialog) -> None:
        dialog.do("hide", "Two")
        with_summary(dialog, "Four")
        dialog.do("hide", "Two", hidden=False)
        assert summary(dialog) == ("", 0)

    @pytest.mark.parametrize(("written_by", "left"), [("model", 0), ("person", 1)])
    def test_facts_that_models_noted_from_it_go(
        self, dialog: Dialog, written_by: str, left: int
    ) -> None:
        memory = dialog.stack.one(
            "select id from memories where conversation_id = %s and tier = 'conversation'",
            dialog.id,
        )
        place = position(dialog, "Two")
        dialog.stack.insert(
            "memory_facts",
            memory_id=memory["id"],
            content="She counts.",
            written_by=written_by,
            source_conversation_id=dialog.id,
            source_from=place,
            source_to=place,
        )
        dialog.do("hide", "Two")
        assert len(dialog.stack.all("select from memory_facts")) == left

    def test_backlog_of_the_summary_is_without_it(self, dialog: Dialog) -> None:
        dialog.do("hide", "Two")
        backlog = "select messages from private.backlog(%s, null, 0, private.hidden_ranges(%s))"
        found = dialog.stack.one(backlog, dialog.id, dialog.id)["messages"]
        assert [row["content"] for row in found] == ["One", "Three", "Four"]


class TestRecall:
    WORDS = "The quarantine flag was striped yellow and black."

    def recalled(self, talk: Talk) -> list[str]:
        found = talk.stack.one(
            "select r.messages from private.recall(%s, null, 9223372036854775807, null,"
            " 'Which colours had the striped quarantine flag?', private.hidden_ranges(%s)) r",
            talk.conversation,
            talk.conversation,
        )["messages"]
        return list(found["content"]) if found else []

    def test_hidden_message_is_not_found_nor_its_neighbours_by_it(self, talk: Talk) -> None:
        for content in ("Fog came.", self.WORDS, "Nobody answered."):
            sender = "user" if content == self.WORDS else "character"
            talk.stack.insert(
                "messages", conversation_id=talk.conversation, sender=sender, content=content
            )
        assert self.WORDS in self.recalled(talk)
        message = talk.stack.one("select id from messages where content = %s", self.WORDS)["id"]
        hide = {"action": "hide", "message_id": str(message)}
        assert talk.stack.chat(talk.user, **hide).status_code == 200
        assert self.recalled(talk) == []
        assert talk.stack.chat(talk.user, **hide, hidden=False).status_code == 200
        assert self.WORDS in self.recalled(talk)

    def test_hidden_neighbour_is_not_told(self, talk: Talk) -> None:
        for content in ("Fog came.", self.WORDS, "Nobody answered."):
            talk.stack.insert(
                "messages", conversation_id=talk.conversation, sender="user", content=content
            )
        for content in ("Fog came.", "Nobody answered."):
            message = talk.stack.one("select id from messages where content = %s", content)["id"]
            hide = {"action": "hide", "message_id": str(message)}
            assert talk.stack.chat(talk.user, **hide).status_code == 200
        assert self.recalled(talk) == [self.WORDS]


@pytest.mark.installations
class TestThousandsOfThem:
    """People hide the old part of a long story. What is read is looked up among them."""

    def test_ranges_are_of_the_same_positions(self, stack: Stack) -> None:
        conversation = stack.conversation(stack.user())
        assert found_hidden(stack, conversation) == ([], "{}")
        hidden = [position for position in range(1, 200) if position % 7 in (1, 2, 5)]
        for position in hidden:
            stack.db.execute(
                "insert into hidden_messages (conversation_id, position) values (%s, %s)",
                (conversation, position),
            )
        positions, ranges = found_hidden(stack, conversation)
        assert sorted(positions) == hidden
        among = "select array_agg(n order by n) as found from generate_series(0::bigint, 250) n"
        in_ranges = stack.one(f"{among} where n <@ %s::int8multirange", ranges)["found"]
        assert in_ranges == hidden

    def test_no_turn_compares_a_message_with_each_of_them(self, stack: Stack) -> None:
        rows = stack.all(
            "select oid::regproc::text as name from pg_proc"
            " where prosrc like '%%hidden_positions(%%'"
        )
        assert [row["name"] for row in rows] == ["private.account_rows"]

    def test_they_are_read_once_for_all_messages(self, stack: Stack, postgres: Postgres) -> None:
        said = [str(number) for number in range(20)]
        conversation = stack.conversation(stack.user(), *said)
        stack.db.execute(
            "insert into hidden_messages (conversation_id, position)"
            " select conversation_id, position from shared.messages where conversation_id = %s"
            " and content <> '0'",
            (conversation,),
        )
        with postgres.connect("app", OWNER) as db:
            db.execute("set track_functions = 'all'")
            with db.transaction():
                found = db.execute(
                    "select (private.reply_at(%s, null)).content", (conversation,)
                ).fetchone()
                calls = db.execute(
                    "select pg_stat_get_xact_function_calls("
                    "'private.hidden_ranges(uuid)'::regprocedure) as n"
                ).fetchone()
        assert (found, calls) == ({"content": "0"}, {"n": 1})


def found_hidden(stack: Stack, conversation: UUID) -> tuple[list[int], str]:
    row = stack.one(
        "select private.hidden_positions(%s) as positions,"
        " private.hidden_ranges(%s)::text as ranges",
        *(conversation, conversation),
    )
    return row["positions"], row["ranges"]
