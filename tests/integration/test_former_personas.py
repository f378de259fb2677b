"""Who the user played when they wrote a message, after they play somebody else."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest

from tests.support.answers import reply, text
from tests.support.memory import MESSAGES, fill, shorten_prompts
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
    assert history(spoken) == ["Ada: I am the baker.", "Somebody: I am the smith.", "And now?"]


def test_who_has_no_name_is_the_user(spoken: Talk) -> None:
    spoken.reply("It is me.")
    spoken.reply("And now?", user_character_id=persona(spoken, "Ada"))
    assert history(spoken) == ["the user: It is me.", "And now?"]


def test_name_is_one_line(spoken: Talk) -> None:
    spoken.reply("I am the baker.", user_character_id=persona(spoken, "Ada\n\nLind"))
    spoken.reply("And now?", user_character_id=persona(spoken, "Ben"))
    assert history(spoken) == ["Ada Lind: I am the baker.", "And now?"]


@pytest.mark.parametrize("action", ["regenerate", "continue", "impersonate"])
def test_every_action_knows_who_spoke(spoken: Talk, action: str) -> None:
    ada, ben = persona(spoken, "Ada"), persona(spoken, "Ben")
    spoken.reply("I am the baker.", user_character_id=ada)
    spoken.reply("I still am.", user_character_id=ada)
    spoken.reply(action=action, user_character_id=ben)
    said = " ".join(one["content"] for one in prompts(spoken.stack.upstream)[-1])
    assert "Ada: I am the baker." in said
    assert "Ada: I still am." in said


def test_older_message_that_is_answered_again_is_of_who_wrote_it(spoken: Talk) -> None:
    ada, ben = persona(spoken, "Ada"), persona(spoken, "Ben")
    first = spoken.reply("I am the baker.", user_character_id=ada)
    spoken.reply("I am the smith.", user_character_id=ben)
    spoken.reply(action="regenerate", message_id=first["message_id"], user_character_id=ben)
    assert history(spoken) == ["Ada: I am the baker."]


def test_message_that_a_client_stored_is_of_the_persona_of_its_answer(spoken: Talk) -> None:
    ada, ben = persona(spoken, "Ada"), persona(spoken, "Ben")
    spoken.reply("I am the baker.", user_character_id=ada)
    spoken.stack.insert(
        "messages", conversation_id=spoken.conversation, sender="user", content="I am the smith."
    )
    spoken.reply(action="regenerate", user_character_id=ben)
    spoken.reply("And now?", user_character_id=persona(spoken, "Cleo"))
    assert history(spoken) == ["Ada: I am the baker.", "Ben: I am the smith.", "And now?"]


def test_very_many_changes_are_bounded_and_nobody_gets_anothers_words(spoken: Talk) -> None:
    ids = [persona(spoken, name) for name in ("Ada", "Ben")]
    for number in range(4):
        spoken.stack.insert(
            "messages",
            conversation_id=spoken.conversation,
            sender="user",
            content=f"Number {number}.",
        )
    insert = "insert into private.conversation_personas select %s, position, %s from "
    later = "select max(position) + n from messages, generate_series(1, 999) n group by n"
    rows = (
        (ids[0], "(values (0)) oldest (position)"),
        (ids[1], "messages where content = 'Number 3.'"),
        (ids[0], f"({later}) later (position)"),
    )
    for played, those in rows:
        spoken.stack.db.execute(f"{insert}{those}".encode(), (spoken.conversation, played))
    spoken.reply("And now?", user_character_id=persona(spoken, "Cleo"))
    said = [*(f"Somebody: Number {number}." for number in range(3)), "Ben: Number 3.", "And now?"]
    assert history(spoken) == ["\n\n".join(said)]


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


@pytest.mark.parametrize("who", ["Ada", "Ben"])
def test_message_that_is_sent_again_leaves_later_ones_as_they_are(spoken: Talk, who: str) -> None:
    ids = {name: persona(spoken, name) for name in ("Ada", "Ben")}
    spoken.reply("I am the baker.", user_character_id=ids["Ada"])
    spoken.stack.upstream.always(reply(500))
    again = {"message": "Hello there.", "client_message_id": "once"}
    assert spoken.say(**again, user_character_id=ids["Ada"]).status_code != 200
    spoken.stack.upstream.always(text("Aye."))
    spoken.stack.db.execute("delete from model_cooldowns")
    spoken.reply("I bake bread.", user_character_id=ids["Ada"])
    spoken.reply("I am the smith.", user_character_id=ids["Ben"])
    spoken.reply(**again, user_character_id=ids[who])
    spoken.reply("And now?", user_character_id=persona(spoken, "Cleo"))
    assert history(spoken) == [
        *("Ada: I am the baker.", f"{who}: Hello there.\n\nAda: I bake bread."),
        *("Ben: I am the smith.", "And now?"),
    ]


def test_chat_file_has_the_names(spoken: Talk) -> None:
    spoken.reply("I am the baker.", user_character_id=persona(spoken, "Ada"))
    spoken.reply("I am the smith.", user_character_id=persona(spoken, "Ben"))
    answer = spoken.stack.chat(
        spoken.user, action="export_chat", conversation_id=str(spoken.conversation)
    )
    lines = [json.loads(line) for line in answer.json()["chat"].splitlines()]
    assert [line["name"] for line in lines[1:] if line["is_user"]] == ["Ada", "Ben"]


def imported(talk: Talk, *names: str, persona_id: str | None = None) -> Talk:
    """A conversation from a file in which the user wrote as each of these."""
    rows = [{"name": name, "is_user": True, "mes": f"I am {name}."} for name in names]
    answer = talk.stack.chat(
        talk.user,
        action="import_chat",
        character_id=str(DEMO_CHARACTER),
        user_character_id=persona_id,
        chat="\n".join(map(json.dumps, rows)),
    )
    assert answer.status_code == 200, answer.text
    return replace(talk, conversation=UUID(answer.json()["conversation_id"]))


def test_imported_messages_are_of_the_personas_of_their_names(spoken: Talk) -> None:
    ada, ben, cleo = (persona(spoken, name) for name in ("Ada", "Ben", "Cleo"))
    talk = imported(spoken, "Ada", "ben", "Ada", persona_id=ada)
    talk.reply("And now?", user_character_id=ada)
    assert history(talk) == ["I am Ada.\n\nBen: I am ben.\n\nI am Ada.\n\nAnd now?"]
    talk = imported(spoken, "Ada", "Ben", persona_id=cleo)
    talk.reply("And now?", user_character_id=ben)
    assert history(talk) == ["Ada: I am Ada.\n\nCleo: I am Ben.\n\nAnd now?"]


def test_name_of_nobody_stays_in_front_of_an_imported_message(spoken: Talk) -> None:
    talk = imported(spoken, "Ada", "Ben")
    talk.reply("And now?")
    assert history(talk) == ["Ada: I am Ada.\n\nI am Ben.\n\nAnd now?"]


def test_own_name_in_a_file_is_the_user(spoken: Talk) -> None:
    spoken.stack.db.execute(
        "update profiles set display_name = 'Kim' where id = %s", (spoken.user.id,)
    )
    persona(spoken, "Ada")
    talk = imported(spoken, "Kim", "Ada")
    talk.reply("And now?")
    assert history(talk) == ["I am Kim.\n\nAda: I am Ada.\n\nAnd now?"]


def test_chat_file_that_is_imported_again_has_the_same_names(spoken: Talk) -> None:
    ada, ben = persona(spoken, "Ada"), persona(spoken, "Ben")
    spoken.reply("I am the baker.", user_character_id=ada)
    spoken.reply("I am the smith.", user_character_id=ben)
    export = {"action": "export_chat", "conversation_id": str(spoken.conversation)}
    chat = spoken.stack.chat(spoken.user, **export).json()["chat"]
    bring = {"action": "import_chat", "character_id": str(DEMO_CHARACTER), "user_character_id": ben}
    again = spoken.stack.chat(spoken.user, **bring, chat=chat).json()["conversation_id"]
    second = spoken.stack.chat(spoken.user, **export | {"conversation_id": again}).json()["chat"]
    names = [
        [json.loads(line).get("name") for line in text.splitlines()] for text in (chat, second)
    ]
    assert names[0] == names[1]
    assert names[0][1::2] == ["Ada", "Ben"]


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


@pytest.mark.parametrize("known", ["from its turns", "from the conversation"])
def test_messages_before_the_first_record_are_of_who_was_played_until_then(
    spoken: Talk, known: str
) -> None:
    ada, ben = persona(spoken, "Ada"), persona(spoken, "Ben")
    if known == "from its turns":
        spoken.reply("I am the baker.", user_character_id=ada)
        spoken.stack.db.execute("delete from private.conversation_personas")
    else:
        spoken.stack.db.execute("update conversations set user_character_id = %s", (ada,))
        for number, content in enumerate(("I am the baker.", "Aye.")):
            spoken.stack.insert(
                "messages",
                conversation_id=spoken.conversation,
                sender="character" if number else "user",
                content=content,
            )
    spoken.reply("I am the smith.", user_character_id=ben)
    assert history(spoken) == ["Ada: I am the baker.", "I am the smith."]
