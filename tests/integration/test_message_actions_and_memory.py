"""Message actions update the memory."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.answers import text
from tests.support.notes import prompts
from tests.support.plans import explained
from tests.support.postgres import OWNER, Postgres
from tests.support.talk import Talk

SUMMARY = "Ada came to the lighthouse in a storm."
TOLD = ("Hello", "Come in.", "Thank you.", "Sit.")
SAID = (*TOLD, "And now?", "Tea.", "Milk?", "Aye.", "Sugar?", "No.")


@pytest.fixture
def told(talk: Talk) -> Talk:
    """A conversation of ten messages, with a summary of the first four."""
    for number, content in enumerate(SAID):
        sender = "character" if number % 2 else "user"
        talk.stack.insert(
            "messages", conversation_id=talk.conversation, sender=sender, content=content
        )
    talk.stack.db.execute(
        "insert into conversation_summaries (conversation_id, content, covers_position)"
        " values (%s, %s, %s)",
        (talk.conversation, SUMMARY, place(talk, "Sit.")["position"]),
    )
    talk.stack.upstream.always(text("Yes."))
    return talk


def place(talk: Talk, content: str, conversation: object = None) -> dict[str, Any]:
    """The row of a message."""
    return talk.stack.one(
        "select * from messages where conversation_id = %s and content = %s and is_active",
        *(conversation or talk.conversation, content),
    )


def summaries(talk: Talk, conversation: object = None) -> list[tuple[str, str]]:
    """(content, tier) of the summary of a conversation."""
    rows = talk.stack.all(
        "select content, content_tier from conversation_summaries where conversation_id = %s",
        conversation or talk.conversation,
    )
    return [(row["content"], row["content_tier"]) for row in rows]


def act(talk: Talk, action: str, content: str, **body: Any) -> dict[str, Any]:
    """An action on the message with this content, which must succeed."""
    message_id = str(place(talk, content)["id"])
    answer = talk.stack.chat(talk.user, action=action, message_id=message_id, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(
    ("action", "body"),
    [("edit", {"message": "Please come in."}), ("delete", {}), ("delete", {"onwards": True})],
)
@pytest.mark.parametrize(("content", "left"), [("Come in.", ""), ("Sugar?", SUMMARY)])
def test_change_of_what_was_retold_lets_it_be_retold(
    told: Talk, action: str, body: dict[str, Any], content: str, left: str
) -> None:
    act(told, action, content, **body)
    assert summaries(told) == [(left, "sfw")]


def test_all_that_was_noted_from_deleted_messages_goes_with_them(told: Talk) -> None:
    told.stack.db.execute(
        "insert into memories (user_id, tier, conversation_id) values (%s, 'conversation', %s)",
        (told.user.id, told.conversation),
    )
    for first, last in (
        ("Hello", "Hello"),
        ("Hello", "Thank you."),
        ("Thank you.", "Thank you."),
        ("Tea.", "Tea."),
        ("Tea.", "No."),
    ):
        told.stack.db.execute(
            "insert into memory_facts (memory_id, content, written_by, importance,"
            " source_conversation_id, source_from, source_to)"
            " select id, %s, 'model', 3, conversation_id, %s, %s from memories",
            (
                f"From {first} to {last}",
                *(place(told, content)["position"] for content in (first, last)),
            ),
        )
    act(told, "delete", "Thank you.", onwards=True)
    facts = told.stack.all("select content from memory_facts")
    assert [row["content"] for row in facts] == ["From Hello to Hello"]
    assert summaries(told) == [("", "sfw")]


def test_many_deleted_messages_are_looked_up_at_once_in_what_was_noted(
    told: Talk, postgres: Postgres
) -> None:
    """Nothing was noted from any of them."""
    with postgres.connect("app", OWNER) as db:
        asked = []
        for content in ("Milk?", "Hello"):
            position = place(told, content)["position"]
            with explained(db) as plans:
                db.execute(
                    "select shared.delete_messages(%s, %s, true)", (told.conversation, position)
                )
            queries = [plan["Query Text"] for plan in plans]
            asked.append([one for one in queries if "fact" in one or "embeddings" in one])
    assert told.stack.said(told.conversation) == []
    assert asked[0] == asked[1] != []


def test_other_version_of_what_was_retold_lets_it_be_retold(told: Talk) -> None:
    first = place(told, "Come in.")
    conversation = str(told.conversation)

    answer = told.stack.chat(
        told.user, conversation_id=conversation, action="regenerate", message_id=str(first["id"])
    )

    assert answer.status_code == 200
    assert summaries(told) == [("", "sfw")]
    # The model saw only messages before that reply, and no summary of later ones.
    sent = str(prompts(told.stack.upstream)[-1])
    assert "Hello" in sent
    assert not [word for word in (SUMMARY, "Thank you.", "Tea.") if word in sent]


EARLIER = "Somebody knocked."


@pytest.fixture
def told_twice(told: Talk) -> Talk:
    """The same with an earlier summary, of the first two messages."""
    told.stack.db.execute(
        "insert into private.summary_versions (conversation_id, covers_position, content,"
        " content_tier) values (%s, %s, %s, 'sfw')",
        (told.conversation, place(told, "Come in.")["position"], EARLIER),
    )
    return told


def sent_again(talk: Talk, action: str, content: str) -> str:
    """What a model gets when the reply with this content is written again or continued."""
    named = {"action": action, "message_id": str(place(talk, content)["id"])}
    answer = talk.stack.chat(talk.user, conversation_id=str(talk.conversation), **named)
    assert answer.status_code == 200, answer.text
    return str(prompts(talk.stack.upstream)[-1])


@pytest.mark.installations
@pytest.mark.parametrize("action", ["regenerate", "continue"])
@pytest.mark.parametrize("content", ["Sit.", "Tea."])
def test_reply_soon_after_the_summary_is_written_with_an_earlier_one(
    told_twice: Talk, action: str, content: str
) -> None:
    """Else it would have next to no messages beside it."""
    sent = sent_again(told_twice, action, content)
    has_earlier = content == "Tea."
    assert (EARLIER in sent, SUMMARY in sent) == (has_earlier, False)
    assert ("Hello" in sent) is not has_earlier
    assert "Thank you." in sent
    assert "Milk?" not in sent


@pytest.mark.installations
def test_reply_long_after_the_summary_is_written_with_it(told_twice: Talk) -> None:
    sent = sent_again(told_twice, "regenerate", "Aye.")
    assert (EARLIER in sent, SUMMARY in sent, "Thank you." in sent) == (False, True, False)


@pytest.mark.installations
@pytest.mark.parametrize(("upto", "is_used"), [("Hello", True), ("Sit.", False)])
def test_words_of_the_person_are_used_where_they_tell_of_nothing_later(
    told_twice: Talk, upto: str, is_used: bool
) -> None:
    told_twice.stack.db.execute(
        "update conversation_summaries set person_content = 'It was dark.', person_covers = %s",
        (place(told_twice, upto)["position"],),
    )
    sent = sent_again(told_twice, "regenerate", "Tea.")
    assert ("It was dark." in sent, EARLIER in sent) == (is_used, is_used)
    assert ("Hello" in sent, "Thank you." in sent) == (not is_used, True)


def test_choice_of_another_version_lets_it_be_retold(told: Talk) -> None:
    shown = place(told, "Come in.")
    other = uuid4()
    told.stack.db.execute(
        "insert into messages (id, conversation_id, position, sender, content, variant_of,"
        " is_active) overriding system value"
        " values (%s, %s, %s, 'character', 'Go away.', %s, false)",
        (other, told.conversation, shown["position"], shown["id"]),
    )
    answer = told.stack.chat(told.user, action="choose", message_id=str(other))
    assert answer.status_code == 200
    assert summaries(told) == [("", "sfw")]


@pytest.mark.parametrize(("content", "kept"), [("Aye.", SUMMARY), ("Come in.", "")])
def test_branch_has_the_summary_where_it_tells_of_nothing_later(
    told: Talk, content: str, kept: str
) -> None:
    branch = act(told, "branch", content)["conversation_id"]
    assert summaries(told, branch) == [(kept, "sfw")]

    answer = told.stack.chat(told.user, conversation_id=branch, message="And?")

    assert answer.status_code == 200
    assert (SUMMARY in str(prompts(told.stack.upstream)[-1])) is bool(kept)


def test_branch_that_would_end_with_its_summary_goes_on_from_its_messages(told: Talk) -> None:
    branch = act(told, "branch", "Sit.")["conversation_id"]
    assert summaries(told, branch) == [("", "sfw")]
    answer = told.stack.chat(told.user, conversation_id=branch, kickoff=True)
    assert (answer.status_code, answer.json()["response"]) == (200, "Yes.")
    sent = str(prompts(told.stack.upstream)[-1])
    assert not [content for content in TOLD if content not in sent]


@pytest.mark.parametrize(("covered", "again"), [("Thank you.", "Sit."), ("No.", None)])
def test_reply_after_what_the_summary_tells_does_not_open_the_scene(
    told: Talk, covered: str, again: str | None
) -> None:
    told.stack.db.execute(
        "update conversation_summaries set covers_position = %s",
        (place(told, covered)["position"],),
    )
    asked = (
        {"action": "regenerate", "message_id": str(place(told, again)["id"])}
        if again
        else {"kickoff": True}
    )
    answer = told.stack.chat(told.user, conversation_id=str(told.conversation), **asked)
    assert answer.json()["response"] == "Yes."
    assert "[Continue the scene" in prompts(told.stack.upstream)[-1][-1]["content"]


def test_branch_of_an_adult_conversation_is_known_as_one(told: Talk) -> None:
    told.stack.db.execute(
        "insert into turns (user_id, conversation_id, task, action, status, lease_expires_at,"
        " finished_at, content_tier)"
        " values (%s, %s, 'roleplay', 'send', 'complete', now(), now(), 'nsfw')",
        (told.user.id, told.conversation),
    )
    branch = UUID(act(told, "branch", "Come in.")["conversation_id"])
    again = told.stack.chat(
        told.user,
        action="branch",
        message_id=str(place(told, "Come in.", branch)["id"]),
    ).json()["conversation_id"]
    assert summaries(told, branch) == summaries(told, again) == [("", "nsfw")]


def test_older_reply_is_written_again_by_its_author(told: Talk) -> None:
    tomas = told.stack.insert("characters", user_id=told.user.id, name="Tomas")
    told.stack.db.execute(
        "insert into conversation_characters (conversation_id, character_id, position)"
        " values (%s, %s, 1)",
        (told.conversation, tomas),
    )
    told.stack.db.execute(
        "update messages set character_id = %s where id = %s", (tomas, place(told, "Sit.")["id"])
    )
    body = told.reply(action="regenerate", message_id=str(place(told, "Sit.")["id"]))
    assert body["character_id"] == str(tomas)
