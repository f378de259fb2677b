"""What the prompt of a reply was made of, for the person it was written to."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from roleplay_chat.prompt.composition import MAX_ENTRIES
from roleplay_chat.tokens import UNCALIBRATED, estimate_messages
from tests.support.answers import error, stall, stream, text
from tests.support.composition import largest
from tests.support.stack import DEMO_CHARACTER, User
from tests.support.talk import DOLPHIN, VENICE, Talk
from tests.support.waiting import wait_until

pytestmark = pytest.mark.installations

HARBOUR = {"id": 8, "keys": ["anchor", "Harbour"], "content": "The harbour is frozen."}
WINTER = {"id": "winter", "keys": [], "constant": True, "content": "It is winter."}
GULLS = {"id": 7, "keys": ["gull"], "content": "Gulls steal bread."}


@pytest.fixture
def told(talk: Talk) -> Talk:
    """A conversation with one model that always answers."""
    talk.have_only(VENICE)
    talk.stack.upstream.always(text("Aye."))
    return talk


def give_book(talk: Talk, *entries: Any, **book: Any) -> None:
    talk.stack.db.execute(
        "update shared.characters set character_book = %s where id = %s",
        (Jsonb({"entries": list(entries), **book}), DEMO_CHARACTER),
    )


def add_fact(talk: Talk, content: str, **columns: Any) -> str:
    memory = talk.stack.one(
        "insert into memories as m (user_id, tier, conversation_id)"
        " values (%s, 'conversation', %s)"
        " on conflict (user_id, tier, conversation_id, character_id) do update set tier = m.tier"
        " returning id",
        *(talk.user.id, talk.conversation),
    )
    row = {"memory_id": memory["id"], "content": content} | columns
    return str(talk.stack.insert("memory_facts", **row))


def compositions(talk: Talk, user: User | None = None) -> list[dict[str, Any]]:
    """All that a person may read, the newest first."""
    with talk.stack.data_api(user or talk.user) as theirs:
        rows = theirs.get("/turn_prompts", params={"order": "created_at.desc"}).json()
    return [row["composition"] for row in rows]


def composition(talk: Talk) -> dict[str, Any]:
    """That of the newest reply."""
    return compositions(talk)[0]


def parts(composed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {part["part"]: part for part in composed["parts"]}


def stored(talk: Talk) -> int:
    return int(talk.stack.one("select count(*) as rows from turn_prompts")["rows"])


# What it says --------------------------------------------------------------------------------


def test_reply_can_name_what_its_prompt_was_made_of(told: Talk) -> None:
    give_book(told, GULLS, HARBOUR, WINTER)
    fact = add_fact(told, "Ada has a dog.")
    told.reply("Hello")
    told.reply("Is the harbour open?")

    composed = composition(told)
    assert composed["entries"] == [{"place": 1, "id": 8, "key": 1}, {"place": 2, "id": "winter"}]
    assert composed["facts"] == [fact]
    assert composed["history"]["messages"] == 2
    assert composed["left_out"] == {"entries": [], "facts": []}
    assert list(parts(composed)) == [
        *("template", "description", "vitals", "personality", "scenario", "examples"),
        *("memory", "lore", "history", "message"),
    ]
    # Each part is rounded up.
    tokens = sum(part["tokens"] for part in composed["parts"])
    assert tokens == pytest.approx(composed["tokens"], abs=len(composed["parts"]) + 1)


def test_tokens_are_those_of_the_prompt_that_was_sent(told: Talk) -> None:
    told.conversation = told.stack.conversation(told.user, "Who is there?", "Mara.")
    told.reply("Hello")
    sent = [message["content"] for message in told.stack.upstream.calls[-1].json["messages"]]
    assert composition(told)["tokens"] == UNCALIBRATED.total(estimate_messages(sent))


def test_what_was_recalled_is_named(told: Talk) -> None:
    told.describe(VENICE, context_tokens=2048)
    said = "My sister Imke repairs violins in Bremen."
    rows = [said, *(f"Round {n} of dominoes, and the kettle sings." * 4 for n in range(40))]
    for number, content in enumerate(rows):
        sender = "character" if number % 2 else "user"
        told.stack.insert(
            "messages", conversation_id=told.conversation, sender=sender, content=content
        )
    told.reply("Tell me about the violin repair.")

    composed = composition(told)
    position = told.stack.one("select position from messages where content = %s", said)["position"]
    assert position in composed["recalled"]["messages"]
    assert "recalled" in parts(composed)
    history = composed["history"]
    assert history["left_out"] > 0
    newer = told.stack.one(
        "select count(*) as n from messages where conversation_id = %s and position >= %s",
        *(told.conversation, history["from"]),
    )
    # Without the newest question and its reply.
    assert history["messages"] == newer["n"] - 2


def test_facts_that_were_recalled_are_named(told: Talk) -> None:
    told.describe(VENICE, context_tokens=2048)
    # As long as the others, so that it does not fit beside them.
    said = f"Imke repairs violins in Bremen. {'There she has a shop. ' * 10}"
    violin = add_fact(told, said, importance=1)
    others = {
        add_fact(told, f"Fact {number}: {'the tide is high ' * 12}", importance=3)
        for number in range(12)
    }
    told.reply("Tell me about the violins.")

    composed = composition(told)
    assert composed["recalled"]["facts"] == [violin]
    assert violin not in composed["facts"]
    assert {*composed["facts"], *composed["left_out"]["facts"]} == others
    assert "recalled" in parts(composed)


def test_what_had_no_room_is_named(told: Talk) -> None:
    told.describe(VENICE, context_tokens=2048)
    told.stack.db.execute(
        "update shared.characters set description = %s where id = %s",
        ("She keeps the light of the harbour. " * 300, DEMO_CHARACTER),
    )
    give_book(told, WINTER | {"content": "It is winter. " * 200})
    facts = {add_fact(told, f"Fact {number}: {'the tide is high ' * 30}") for number in range(9)}
    told.reply("Where is it? " + "The fog is thick. " * 300)

    composed = composition(told)
    named = parts(composed)
    assert named["description"]["of"] > named["description"]["tokens"] > 0
    assert named["examples"]["tokens"] == 0 < named["examples"]["of"]
    assert named["message"]["of"] > named["message"]["tokens"] > 0
    assert [entry["place"] for entry in composed["left_out"]["entries"]] == [0]
    assert composed["left_out"]["facts"]
    assert {*composed["facts"], *composed["left_out"]["facts"]} == facts
    assert composed["tokens"] <= 2048


@pytest.mark.parametrize("max_tokens", [16, 800])
def test_prompt_is_no_longer_than_its_row_says(told: Talk, max_tokens: int) -> None:
    told.describe(VENICE, context_tokens=32_768, prompt_tokens=1500)
    told.stack.db.execute("update conversations set remembers = false")
    told.stack.db.execute(
        "insert into conversation_settings (conversation_id, sampling) values (%s, %s)",
        (told.conversation, Jsonb({"max_tokens": max_tokens})),
    )
    for n in range(10):
        told.reply(f"{n} The gulls are loud today, and the fog is thick. " * 12)
    assert told.stack.upstream.calls[-1].json["max_tokens"] == max_tokens
    composed = composition(told)
    assert 1200 < composed["tokens"] <= 1500
    assert composed["history"]["left_out"] > 0


def test_summary_that_was_cut_is_named(told: Talk) -> None:
    told.describe(VENICE, context_tokens=1024)
    told.stack.db.execute(
        "insert into conversation_summaries (conversation_id, person_content) values (%s, %s)",
        (told.conversation, "They met in the fog. " * 150),
    )
    told.reply("Hello")
    composed = composition(told)
    assert composed["left_out"]["summary"] is True
    assert composed["summary"] == 0


def test_summary_that_was_left_out_is_not_named_as_sent(told: Talk) -> None:
    told.describe(VENICE, context_tokens=600)
    told.stack.db.execute(
        "insert into conversation_summaries (conversation_id, person_content) values (%s, %s)",
        (told.conversation, "They met in the fog. " * 150),
    )
    told.reply("Hello " + "there " * 400)
    composed = composition(told)
    assert composed["left_out"]["summary"] is True
    assert "summary" not in composed
    assert parts(composed)["memory"]["tokens"] == 0


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        pytest.param({"keys": ["fog", "hello"]}, {"key": 1}, id="second-key"),
        pytest.param({"keys": ["", 5, " Hello "]}, {"key": 2}, id="keys-that-are-ignored"),
        pytest.param({"keys": "fog, hello"}, {"key": 1}, id="keys-as-text"),
        pytest.param({"keys": ["/h.l+o/i"], "use_regex": True}, {"key": 0}, id="pattern"),
        pytest.param(
            {"keys": ["hello"], "secondary_keys": ["fog", "there"], "selective": True},
            {"key": 0, "secondary": 1},
            id="secondary",
        ),
        pytest.param({"keys": ["fog"], "constant": True}, {}, id="constant"),
        pytest.param({"content": "@@activate\nIt is late."}, {}, id="decorator"),
        pytest.param({"keys": ["hello"], "id": "x" * 41}, {"key": 0}, id="long-id"),
        pytest.param({"keys": ["hello"], "id": "\n\x1b[31m"}, {"key": 0}, id="id-of-controls"),
        pytest.param({"keys": ["hello"], "id": 10**40}, {"key": 0}, id="huge-id"),
        pytest.param({"keys": ["hello"], "id": True}, {"key": 0}, id="id-that-is-none"),
        pytest.param({"keys": ["hello"], "id": {"a": 1}}, {"key": 0}, id="id-of-any-shape"),
        pytest.param({"keys": ["hello"], "id": 0}, {"key": 0, "id": 0}, id="id-zero"),
    ],
)
def test_entry_says_why_it_is_there(told: Talk, entry: Any, why: Any) -> None:
    give_book(told, "no entry", {"content": "It is late."} | entry)
    told.reply("Hello there")
    assert composition(told)["entries"] == [{"place": 1} | why]


def test_entry_that_another_one_called_for(told: Talk) -> None:
    fog = {"keys": ["frozen"], "content": "Ice lies on the fog bell."}
    give_book(told, HARBOUR, fog, recursive_scanning=True)
    told.reply("The harbour?")
    assert composition(told)["entries"] == [
        {"place": 0, "id": 8, "key": 1},
        {"place": 1, "key": 0, "indirect": True},
    ]


def test_prompt_is_that_of_the_model_that_answered(talk: Talk) -> None:
    talk.have_only(VENICE, DOLPHIN)
    talk.describe(DOLPHIN, context_tokens=1024)
    talk.stack.upstream.enqueue(error(503), text("Aye."))
    talk.reply("Hello " + "there " * 1200)
    assert talk.asked() == [VENICE, DOLPHIN]
    assert composition(talk)["tokens"] <= 1024


def test_reply_that_is_shown_though_another_model_was_asked_since_has_its_own(talk: Talk) -> None:
    talk.have_only(VENICE, DOLPHIN)
    talk.describe(DOLPHIN, context_tokens=1024)
    talk.stack.upstream.enqueue(text("I must decline your invitation."), error(404))
    talk.reply("Hello " + "there " * 1200)
    assert talk.asked() == [VENICE, DOLPHIN]
    assert sum(part["tokens"] for part in composition(talk)["parts"]) > 1024


# Whose it is, and for how long ---------------------------------------------------------------


def test_each_version_has_its_own(told: Talk) -> None:
    told.reply("Hello")
    told.reply(action="regenerate")
    fact = add_fact(told, "Ada has a dog.")
    told.reply(action="regenerate")
    found = [[*one["facts"], *one["recalled"]["facts"]] for one in compositions(told)]
    assert found == [[fact], [], []]
    with told.stack.data_api(told.user) as theirs:
        columns = {"select": "reply_message_id,turn_prompts(composition)"}
        rows = theirs.get("/turns", params=columns).json()
    assert len({row["reply_message_id"] for row in rows if row["turn_prompts"]}) == 3


def test_it_is_for_nobody_else(told: Talk) -> None:
    told.reply("Hello")
    other = told.stack.user()
    assert len(compositions(told)) == 1
    assert compositions(told, other) == []
    told.stack.db.execute(
        "insert into user_roles (user_id, role) values (%s, 'admin')", (other.id,)
    )
    assert compositions(told, other) == []


def test_no_text_is_stored_twice(told: Talk) -> None:
    words = ["quince", "vellum", "marl", "sorrel"]
    give_book(told, {"keys": [words[0]], "name": words[1], "content": f"On {words[1]}."})
    add_fact(told, f"Ada likes {words[2]}.")
    told.reply(f"I say {words[0]} and {words[3]}.")
    composed = json.dumps(composition(told))
    assert composition(told)["entries"]
    assert [word for word in words if word in composed] == []


def test_greeting_and_draft_have_none(told: Talk) -> None:
    told.reply(kickoff=True, message=None)
    told.reply(action="impersonate")
    assert stored(told) == 0


def test_branch_leaves_it_with_the_original(told: Talk) -> None:
    told.reply("Hello")
    reply = told.stack.one("select id from messages where content = 'Aye.'")["id"]
    answer = told.stack.chat(told.user, action="branch", message_id=str(reply))
    assert answer.status_code == 200
    with told.stack.data_api(told.user) as api:
        asked = {"select": "reply_message_id,turn_prompts(composition)"}
        (turn,) = api.get("/turns", params=asked).json()
    assert turn["reply_message_id"] == str(reply)
    assert turn["turn_prompts"]


def test_reply_that_was_stopped_has_one(talk: Talk) -> None:
    talk.have_only(VENICE)
    talk.stack.upstream.enqueue(stream(["Once there was ", stall()]))
    with talk.streaming(on_disconnect="stop") as events:
        events.until("delta")
    wait_until(lambda: talk.turn()[0] != "running", "the turn to end")
    assert talk.turn()[0] == "stopped"
    assert composition(talk)["parts"]


def test_reply_that_failed_has_none(talk: Talk) -> None:
    talk.have_only(VENICE)
    talk.stack.upstream.always(error(400, "No."))
    assert talk.say("Hello").is_error
    assert stored(talk) == 0


def test_it_goes_with_the_reply(told: Talk) -> None:
    told.reply("Hello")
    kept = told.reply("And you?")["message_id"]
    first = told.stack.one(
        "select id from messages where conversation_id = %s and sender <> 'user'"
        " order by position limit 1",
        told.conversation,
    )
    told.reply(action="delete", message_id=str(first["id"]))
    (left,) = told.stack.all(
        "select t.reply_message_id from turn_prompts p join turns t on t.id = p.turn_id"
    )
    assert str(left["reply_message_id"]) == kept


def test_it_goes_with_the_conversation_and_the_account(told: Talk) -> None:
    told.reply("Hello")
    told.stack.db.execute("delete from conversations where id = %s", (told.conversation,))
    assert stored(told) == 0
    assert told.stack.one("select is_orphaned from turns")["is_orphaned"]

    told.conversation = told.stack.conversation(told.user)
    told.reply("Hello")
    assert stored(told) == 1
    told.stack.db.execute("delete from auth.users where id = %s", (told.user.id,))
    assert stored(told) == 0


def age(talk: Talk, days: float) -> None:
    talk.stack.db.execute(
        "update turn_prompts set created_at = now() - make_interval(secs => %s)", (days * 86400,)
    )


@pytest.mark.parametrize(
    ("retention", "days", "left"),
    [
        (None, 6.9, 1),
        (None, 7.1, 0),
        ({"usage_days": 90}, 7.1, 0),
        ({"prompt_days": 3}, 2.9, 1),
        ({"prompt_days": 3}, 3.1, 0),
        ({"prompt_days": None}, 4000, 1),
    ],
)
def test_it_is_kept_for_a_few_days(told: Talk, retention: Any, days: float, left: int) -> None:
    if retention is not None:
        told.stack.configure(retention=retention)
    told.reply("Hello")
    age(told, days)
    found = told.stack.health_check().json()["steps"]["retention"]["found"]
    assert found["turn_results"] == 1 - left
    assert stored(told) == left
    assert told.said()[-1] == "> Aye."


@pytest.mark.parametrize("days", [0, 1, -1, "7", [], True])
def test_nonsense_is_no_number_of_days(told: Talk, days: Any) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        told.stack.configure(retention={"prompt_days": days})


def test_batch_has_no_more_than_was_asked_for(told: Talk) -> None:
    for _ in range(4):
        told.reply("Hello")
    age(told, 8)
    told.stack.db.execute("update turns set finished_at = now() - interval '31 days'")
    gone = [told.stack.one("select apply_retention(5) as gone")["gone"] for _ in range(2)]
    assert [found["turn_results"] for found in gone] == [5, 3]
    assert stored(told) == 0


# Hostile -------------------------------------------------------------------------------------


def begin(talk: Talk) -> UUID:
    turn_id = uuid4()
    talk.stack.db.execute(
        "select begin_turn(%s, %s, 'roleplay', 'send', %s, p_message => 'Hello')",
        (turn_id, talk.user.id, talk.conversation),
    )
    return turn_id


@pytest.mark.parametrize("composed", [{"parts": ["x" * 40_000]}, [], "x", 5, None])
def test_reply_is_saved_whatever_its_prompt_was_made_of(told: Talk, composed: Any) -> None:
    row = told.stack.one(
        "select finish_turn(%s, 'complete', 'Aye.', p_prompt => %s) ->> 'outcome' as outcome",
        *(begin(told), Jsonb(composed)),
    )
    assert row["outcome"] == "saved"
    assert stored(told) == 0


def test_largest_one_is_stored(told: Talk) -> None:
    told.stack.one(
        "select finish_turn(%s, 'complete', 'Aye.', p_prompt => %s)", begin(told), Jsonb(largest())
    )
    assert stored(told) == 1


def test_saving_it_again_changes_nothing(told: Talk) -> None:
    turn_id = begin(told)
    for tokens in (1, 2):
        told.stack.one(
            "select finish_turn(%s, 'complete', 'Aye.', p_prompt => %s)",
            *(turn_id, Jsonb({"tokens": tokens})),
        )
    assert compositions(told) == [{"tokens": 1}]


def test_huge_book_is_named_in_part(told: Talk) -> None:
    told.describe(VENICE, context_tokens=1_000_000)
    keys = ['"\\' * 20, *(f"k{number}" for number in range(5))]
    entry = {"keys": [*keys, "hello"], "secondary_keys": keys, "content": "Oh."}
    give_book(told, *(entry | {"id": f"{number:04}{'|' * 36}"} for number in range(800)))
    told.reply("Hello")
    composed = composition(told)
    assert len(composed["entries"]) == MAX_ENTRIES
    assert composed["entries"][0]["key"] == len(keys)
    named = len(composed["entries"]) + len(composed["left_out"]["entries"])
    assert named + sum(composed["more"].values()) == 800
