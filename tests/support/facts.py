"""Ada's story, the notes that are taken of it, and the facts that turns read."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from roleplay_chat.memory.answer import parse
from roleplay_chat.memory.batches import Batch
from roleplay_chat.memory.result import to_save
from roleplay_chat.prompt.macros import Macros
from roleplay_chat.rows import BegunTurn, MessageRow
from tests.support.notes import prompts
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import Talk

STORY = (
    "Hello.",
    "Who are you?",
    "I am Ada. I live in Paris.",
    "Sit down.",
    "I have a dog.",
    "Aye.",
)

PARIS, OSLO, LONDON = "Ada lives in Paris.", "Ada lives in Oslo.", "Ada lives in London."
MOVED = "I have moved to Oslo."
LATER = ("And then?", "We wait.", "For whom?", "For the ferry.")
FLUTE, HARP = "Ada practises the flute at dawn.", "Ada practises the harp at dawn."
"""Facts of which no word tells the topic."""
SAID_FLUTE, SAID_HARP = "I practise the flute at dawn.", "I practise the harp at dawn instead."
DAY = "2026-05-03 10:00+00"
BLANK = (" ", "\n\n", "\u200b", "\u00a0\ufeff", "\u3000\u2060", "\u200d\u200c\ufe0f", "\u00ad\x07")


def say(talk: Talk, *contents: str, **columns: Any) -> None:
    """Inserts messages; every second one is a reply."""
    conversation = columns.pop("conversation", talk.conversation)
    for number, content in enumerate(contents):
        talk.stack.insert(
            "messages",
            conversation_id=conversation,
            sender="character" if number % 2 else "user",
            content=content,
            **columns,
        )


def message(talk: Talk, content: str, conversation: object = None) -> dict[str, Any]:
    return talk.stack.one(
        "select * from messages where conversation_id = %s and content = %s and is_active",
        *(conversation or talk.conversation, content),
    )


def current(
    talk: Talk,
    conversation: object = None,
    tier: str = "profile",
    speaker: object = DEMO_CHARACTER,
) -> list[dict[str, Any]]:
    """The facts that a turn reads."""
    row = talk.stack.one(
        "select private.remembered(%s, %s, %s, %s) as facts",
        *(talk.user.id, tier, conversation or talk.conversation, speaker),
    )
    return list(row["facts"])


def texts(talk: Talk, conversation: object = None, *, speaker: object = DEMO_CHARACTER) -> set[str]:
    return {fact["content"] for fact in current(talk, conversation, speaker=speaker)}


def summary(talk: Talk, conversation: object = None) -> tuple[str, int]:
    rows = talk.stack.all(
        "select content, covers_position from conversation_summaries where conversation_id = %s",
        conversation or talk.conversation,
    )
    return (rows[0]["content"], rows[0]["covers_position"]) if rows else ("", 0)


def noted_by_model(
    talk: Talk,
    *noted: dict[str, Any],
    upto: str | None = None,
    retold: str = "They met.",
    conversation: object = None,
    reach: Any = "profile",
    person: str = "Ada",
    speaker: object = DEMO_CHARACTER,
    memory: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What is saved of the messages that no summary covers, up to one with this content, in the
    format of private.remember.

    In a fact, `said` is the content of its message, and `of` that of the known fact that it names.
    `memory` is what the model was told of the summary.
    """
    conversation = conversation or talk.conversation
    _, covered = summary(talk, conversation)
    rows = [
        MessageRow(**row)
        for row in talk.stack.all(
            "select position, sender, content from messages where conversation_id = %s"
            " and is_active and position > %s order by position",
            *(conversation, covered),
        )
    ]
    if upto is not None:
        rows = rows[: [row.content for row in rows].index(upto) + 1]
    known = current(talk, conversation, reach, speaker)
    for fact in noted:
        if (said := fact.pop("said", None)) is not None:
            fact["message"] = [row.content for row in rows].index(said) + 1
        if (of := fact.pop("of", None)) is not None:
            fact["fact"] = [row["content"] for row in known].index(of) + 1
    begun = BegunTurn.model_validate(
        {"now": datetime.now(UTC), "turn": {"id": UUID(int=1)}, "user": {}}
        | {"facts": known, "memory": memory}
    )
    answer = parse(json.dumps({"summary": retold, "facts": noted}), reach=reach)
    assert answer is not None
    return to_save(Batch(rows, covered), answer, begun, Macros({"user": person, "char": "Mara"}))


def step(
    talk: Talk,
    *noted: dict[str, Any],
    conversation: object = None,
    speaker: object = DEMO_CHARACTER,
    **more: Any,
) -> bool:
    """Saves what a model noted, as `noted_by_model` has it; whether anything changed."""
    saved = noted_by_model(talk, *noted, conversation=conversation, speaker=speaker, **more)
    return remember(talk, saved, conversation, speaker)


def saved_by_hand(
    talk: Talk, facts: list[dict[str, Any]], conversation: object = None
) -> dict[str, Any]:
    """A summary of the story with these facts, in the format of private.remember."""
    rows = talk.stack.all(
        "select position, content from messages where conversation_id = %s and is_active"
        " order by position",
        conversation or talk.conversation,
    )
    told = "\n".join(row["content"] for row in rows)
    digest = hashlib.sha256(told.encode()).hexdigest()
    covered = {"from": 0, "to": rows[-1]["position"], "digest": digest}
    return {"summary": "S.", "facts": facts, **covered}


def remember(
    talk: Talk,
    saved: dict[str, Any],
    conversation: object = None,
    speaker: object = DEMO_CHARACTER,
) -> bool:
    turn = talk.stack.insert(
        "turns",
        user_id=talk.user.id,
        conversation_id=conversation or talk.conversation,
        character_id=speaker,
        task="roleplay",
        action="send",
        status="complete",
        lease_expires_at=datetime.now(UTC),
        finished_at=datetime.now(UTC),
    )
    row = talk.stack.one(
        "select public.remember(%s, %s::jsonb, '[]') as changed", turn, json.dumps(saved)
    )
    return bool(row["changed"])


def told_thrice(talk: Talk) -> list[UUID]:
    """Facts of three messages of the story."""
    step(
        talk,
        {"text": "Ada says hello.", "said": STORY[0], "tier": "profile"},
        {"text": PARIS, "said": STORY[2], "tier": "profile"},
        {"text": "Ada has a dog.", "said": STORY[4], "tier": "profile"},
    )
    rows = talk.stack.all("select id from memory_facts order by source_from")
    return [row["id"] for row in rows]


def use(talk: Talk, conversation: object, *facts: UUID) -> bool:
    """Takes notes of a whole conversation, once more, whose messages speak of these facts."""
    again = "update conversation_summaries set covers_position = 0 where conversation_id = %s"
    talk.stack.db.execute(again, (conversation,))
    saved = saved_by_hand(talk, [], conversation) | {"used": [str(fact) for fact in facts]}
    return remember(talk, saved, conversation)


def move(talk: Talk, fact: str, tier: str) -> None:
    """Moves a fact to another tier, as the page does."""
    row = {"user_id": str(talk.user.id), "tier": tier}
    if tier == "conversation":
        row["conversation_id"] = str(talk.conversation)
    with talk.stack.data_api(talk.user) as api:
        api.post("/memories", json=row)  # There may be one.
        memory = talk.stack.one(
            "select id from memories where user_id = %s and tier = %s"
            " and conversation_id is not distinct from %s",
            *(talk.user.id, tier, talk.conversation if tier == "conversation" else None),
        )["id"]
        its = {"content": f"eq.{fact}"}
        moved = api.patch("/memory_facts", params=its, json={"memory_id": str(memory)})
    assert moved.is_success, moved.text


def act(talk: Talk, action: str, content: str, **body: Any) -> dict[str, Any]:
    """An action on the message with this content, which must succeed."""
    message_id = str(message(talk, content, body.pop("within", None))["id"])
    answer = talk.stack.chat(talk.user, action=action, message_id=message_id, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def live_in_oslo(talk: Talk) -> None:
    """Ada lived in Paris, and says later that she has moved."""
    step(talk, {"text": PARIS, "said": STORY[2]})
    say(talk, MOVED, "Far away.")
    step(talk, {"text": OSLO, "said": MOVED})
    assert texts(talk) == {OSLO}


def write_summary(talk: Talk, words: str | None) -> None:
    """Writes a summary as the page does."""
    whose, row = {"conversation_id": str(talk.conversation)}, {"person_content": words}
    with talk.stack.data_api(talk.user) as api:
        api.headers["Prefer"] = "return=representation"
        mine = {"conversation_id": f"eq.{talk.conversation}"}
        answer = api.patch("/conversation_summaries", params=mine, json=row)
        if answer.json() == []:
            answer = api.post("/conversation_summaries", json=whose | row)
    assert answer.is_success, answer.text


def shown(talk: Talk, conversation: object = None) -> tuple[str, str]:
    row = talk.stack.one(
        "select person_content, content from conversation_summaries where conversation_id = %s",
        conversation or talk.conversation,
    )
    return row["person_content"], row["content"]


MERGE = {"Prefer": "resolution=merge-duplicates,return=representation"}


def memory_of(talk: Talk, tier: str = "conversation") -> str:
    """The id of a memory of the user's, which is created if there is none."""
    row = {"user_id": talk.user.id, "tier": tier}
    if tier == "conversation":
        row["conversation_id"] = talk.conversation
    found = talk.stack.all(
        "select id from memories where user_id = %s and tier = %s"
        " and conversation_id is not distinct from %s",
        *(talk.user.id, tier, row.get("conversation_id")),
    )
    return str(found[0]["id"] if found else talk.stack.insert("memories", **row))


def add(talk: Talk, content: str, tier: str = "conversation", **columns: Any) -> None:
    """Adds a fact, as the page does."""
    row = {"memory_id": memory_of(talk, tier), "content": content, **columns}
    with talk.stack.data_api(talk.user) as api:
        answer = api.post("/memory_facts", json=row)
    assert answer.status_code == 201, answer.text


def patch(talk: Talk, fact: str = PARIS, **columns: Any) -> None:
    """Changes a fact, as the page does."""
    with talk.stack.data_api(talk.user) as api:
        answer = api.patch("/memory_facts", params={"content": f"eq.{fact}"}, json=columns)
    assert answer.status_code == 204, answer.text


def forget(talk: Talk, fact: str) -> None:
    """Deletes a fact, as the page does."""
    with talk.stack.data_api(talk.user) as api:
        answer = api.delete("/memory_facts", params={"content": f"eq.{fact}"})
    assert answer.status_code == 204, answer.text


def prompted(talk: Talk, said: str = "Hm?", **request: Any) -> str:
    """The prompt of the next turn."""
    talk.reply(said, **request)
    return str(prompts(talk.stack.upstream)[-1])
