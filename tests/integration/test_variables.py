"""Variables that macros set in a conversation, through the real function and database."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.support.answers import text
from tests.support.stack import Stack
from tests.support.talk import Talk

COUNTED = "Count {{incvar::count}}."


def give(talk: Talk, **columns: Any) -> None:
    """Gives the conversation a character of the user."""
    row = {"user_id": talk.user.id, "name": "Vera"} | columns
    character = talk.stack.insert("characters", **row)
    talk.stack.db.execute(
        "update conversations set character_id = %s where id = %s", (character, talk.conversation)
    )


def instructed(talk: Talk) -> str:
    """The author's instructions in the last prompt."""
    messages = talk.stack.upstream.calls[-1].json["messages"]
    return next(str(m["content"]) for m in messages[1:] if m["role"] == "system")


def turn(talk: Talk, **body: Any) -> str:
    talk.stack.upstream.enqueue(text(f"Reply {len(talk.stack.upstream.calls)}"))
    asked = {"conversation_id": str(talk.conversation)} | body
    answer = talk.stack.chat(talk.user, **asked)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["message_id"])


def kept(stack: Stack) -> int:
    return int(stack.one("select count(*) as rows from private.message_variables")["rows"])


@pytest.fixture
def counting(talk: Talk) -> Talk:
    give(talk, post_history_instructions=COUNTED)
    return talk


def test_value_is_kept_from_turn_to_turn(counting: Talk) -> None:
    seen = []
    for message in ("One", "Two", "Three"):
        turn(counting, message=message)
        seen.append(instructed(counting))
    assert seen == ["Count 1.", "Count 2.", "Count 3."]


def test_reply_that_is_written_again_starts_from_before_it(counting: Talk) -> None:
    first = turn(counting, message="One")
    turn(counting, message="Two")
    for action, message_id in (("regenerate", None), ("continue", None), ("regenerate", first)):
        turn(counting, action=action, **({"message_id": message_id} if message_id else {}))
        assert instructed(counting) == ("Count 1." if message_id else "Count 2.")
    turn(counting, message="Three")
    assert instructed(counting) == "Count 3."


def test_version_that_is_chosen_decides(talk: Talk) -> None:
    give(talk, post_history_instructions="{{addvar::seen::{{lastUserMessage}},}}{{getvar::seen}}!")
    turn(talk, message="a")
    first = turn(talk, message="b")
    talk.stack.db.execute(
        'update private.message_variables set variables = \'{"seen": "x,"}\' where message_id = %s',
        (first,),
    )
    turn(talk, action="regenerate")
    assert instructed(talk) == "a,b,!"
    chosen = talk.stack.chat(talk.user, action="choose", message_id=first)
    assert chosen.status_code == 200
    turn(talk, message="c")
    assert instructed(talk) == "x,c,!"


def test_branch_starts_from_its_last_message(counting: Talk) -> None:
    first = turn(counting, message="One")
    turn(counting, message="Two")
    answer = counting.stack.chat(counting.user, action="branch", message_id=first)
    branch = UUID(answer.json()["conversation_id"])
    turn(counting, message="Other", conversation_id=str(branch))
    assert instructed(counting) == "Count 2."
    turn(counting, message="Three")
    assert instructed(counting) == "Count 3."


def test_greeting_sets_them(talk: Talk) -> None:
    give(
        talk,
        first_message="{{setvar::mood::calm}}Hello.",
        post_history_instructions="Be {{getvar::mood}}.",
    )
    answer = talk.stack.chat(talk.user, kickoff=True, conversation_id=str(talk.conversation))
    assert answer.json()["response"] == "Hello."
    turn(talk, message="Hi")
    assert instructed(talk) == "Be calm."


def test_entry_of_the_book_sets_them_once_a_turn(talk: Talk) -> None:
    book = {"entries": [{"keys": [], "constant": True, "content": "Day {{incvar::day}}."}]}
    give(talk, character_book=book, post_history_instructions="Day {{getvar::day}}.")
    for day in (1, 2):
        turn(talk, message="Hi")
        assert instructed(talk) == f"Day {day}."
        assert f"Day {day}." in talk.stack.upstream.calls[-1].json["messages"][0]["content"]


def test_go_with_their_messages(counting: Talk) -> None:
    first = turn(counting, message="One")
    second = turn(counting, action="regenerate")
    assert kept(counting.stack) == 2
    for version in (first, second):
        counting.stack.db.execute("delete from shared.messages where id = %s", (version,))
    assert kept(counting.stack) == 0
    turn(counting, message="Two")
    assert instructed(counting) == "Count 1."


def test_go_with_their_conversation(counting: Talk) -> None:
    turn(counting, message="One")
    counting.stack.db.execute("delete from conversations where id = %s", (counting.conversation,))
    assert kept(counting.stack) == 0


def test_conversation_without_any_keeps_none(talk: Talk) -> None:
    turn(talk, message="One")
    assert kept(talk.stack) == 0


def test_time_since_the_last_message_is_told(talk: Talk) -> None:
    give(talk, post_history_instructions="{{idle_duration}}")
    turn(talk, message="One")
    assert instructed(talk) == "just now"
    talk.stack.db.execute("update messages set created_at = now() - interval '3 hours'")
    turn(talk, message="Two")
    assert instructed(talk) == "3 hours"
