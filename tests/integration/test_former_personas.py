"""Who the user played when they wrote a message, after they play somebody else."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.integration.test_memory import MESSAGES, fill, shorten_prompts
from tests.support.answers import reply, text
from tests.support.notes import asked_for_notes, either, prompts, written
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import VENICE, Talk

pytestmark = pytest.mark.installations


@pytest.fixture
def spoken(talk: Talk) -> Talk:
    talk.have_only(VENICE)
    talk.stack.upstream.always(text("Aye."))
    return talk


def persona(talk: Talk, name: str) -> str:
    return str(talk.stack.insert("characters", user_id=talk.user.id, name=name, description=""))


def history(talk: Talk) -> list[str]:
    """What the user wrote, as it stands in the last prompt."""
    return [one["content"] for one in prompts(talk.stack.upstream)[-1] if one["role"] == "user"]


def test_what_somebody_else_said_stands_after_their_name(spoken: Talk) -> None:
    ada, ben = persona(spoken, "Ada"), persona(spoken, "Ben")
    spoken.reply("I am the baker.", user_character_id=ada)
    spoken.reply("I still am.", user_character_id=ada)
    assert history(spoken) == ["I am the baker.", "I still am."]
    spoken.reply("I am the smith.", user_character_id=ben)
    before = ["Ada: I am the baker.", "Ada: I still am."]
    assert history(spoken) == [*before, "I am the smith."]
    spoken.reply("And now?", user_character_id=ada)
    assert history(spoken) == [
        *("I am the baker.", "I still am."),
        *("Ben: I am the smith.", "And now?"),
    ]


def test_what_they_said_as_themselves_has_their_own_name(spoken: Talk) -> None:
    spoken.stack.db.execute(
        "update profiles set display_name = 'Kim' where id = %s", (spoken.user.id,)
    )
    spoken.reply("It is me.")
    spoken.reply("And now?", user_character_id=persona(spoken, "Ada"))
    assert history(spoken) == ["Kim: It is me.", "And now?"]


def test_name_of_a_deleted_persona_is_not_given_to_somebody_else(spoken: Talk) -> None:
    ada, ben = persona(spoken, "Ada"), persona(spoken, "Ben")
    spoken.reply("I am the baker.", user_character_id=ada)
    spoken.reply("I am the smith.", user_character_id=ben)
    spoken.stack.db.execute("delete from characters where id = %s", (ben,))
    spoken.reply("And now?", user_character_id=persona(spoken, "Cleo"))
    assert history(spoken) == ["Ada: I am the baker.", "I am the smith.", "And now?"]


def test_message_that_is_sent_again_is_of_the_persona_of_its_answer(spoken: Talk) -> None:
    ada, ben, cleo = (persona(spoken, name) for name in ("Ada", "Ben", "Cleo"))
    spoken.reply("I am the baker.", user_character_id=ada)
    spoken.stack.upstream.always(reply(500))
    again = {"message": "Hello there.", "client_message_id": "once"}
    assert spoken.say(**again, user_character_id=ben).status_code != 200
    spoken.stack.upstream.always(text("Aye."))
    spoken.stack.db.execute("delete from model_cooldowns")
    spoken.reply(**again, user_character_id=cleo)
    spoken.reply("And now?", user_character_id=ada)
    assert history(spoken) == ["I am the baker.", "Cleo: Hello there.", "And now?"]


def test_branch_knows_who_spoke(spoken: Talk) -> None:
    ada, ben = persona(spoken, "Ada"), persona(spoken, "Ben")
    spoken.reply("I am the baker.", user_character_id=ada)
    said = spoken.reply("I am the smith.", user_character_id=ben)
    answer = spoken.stack.chat(spoken.user, action="branch", message_id=said["message_id"])
    branch = answer.json()["conversation_id"]
    spoken.reply("And now?", user_character_id=persona(spoken, "Cleo"), conversation_id=branch)
    assert history(spoken) == ["Ada: I am the baker.", "Ben: I am the smith.", "And now?"]


def test_recalled_message_and_notes_have_the_name_of_who_spoke(spoken: Talk) -> None:
    upstream = spoken.stack.upstream
    upstream.always(either(text("Aye."), written("They met.")))
    shorten_prompts(spoken)
    spoken.reply("My sister Imke repairs violins.", user_character_id=persona(spoken, "Ada"))
    fill(spoken, MESSAGES)
    spoken.reply("Tell me about Imke.", user_character_id=persona(spoken, "Ben"))
    blocks = [one["content"] for one in prompts(upstream)[-1]]
    assert any("Ada: My sister Imke repairs violins." in block for block in blocks)
    asked = upstream.wait_for(asked_for_notes)[0]
    assert asked["person"] == "Ben"
    assert {one["by"] for one in asked["messages"]} == {"Ada", "Mara Voss"}


def test_history_that_an_instance_kept_has_the_names_too(spoken: Talk) -> None:
    ada, ben = persona(spoken, "Ada"), persona(spoken, "Ben")
    for number in range(3):
        spoken.reply(f"Number {number}.", user_character_id=ada)
    spoken.reply("I am the smith.", user_character_id=ben)
    spoken.reply("I still am.", user_character_id=ben)
    before = [f"Ada: Number {number}." for number in range(3)]
    assert history(spoken) == [*before, "I am the smith.", "I still am."]


def test_conversation_before_the_first_record_is_of_the_first_persona(spoken: Talk) -> None:
    ada = persona(spoken, "Ada")
    conversation = spoken.stack.conversation(
        spoken.user, character_id=DEMO_CHARACTER, user_character_id=UUID(ada)
    )
    for number, content in enumerate(("I am the baker.", "Aye.")):
        spoken.stack.insert(
            "messages",
            conversation_id=conversation,
            sender="character" if number else "user",
            content=content,
        )
    spoken.reply("I still am.", conversation_id=str(conversation))
    spoken.reply(
        "And now?", conversation_id=str(conversation), user_character_id=persona(spoken, "Ben")
    )
    assert history(spoken) == ["Ada: I am the baker.", "Ada: I still am.", "And now?"]
