"""What the prompt of a reply was made of, for the person it was written to."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import text
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import VENICE, Talk

pytestmark = pytest.mark.installations


@pytest.fixture
def told(talk: Talk) -> Talk:
    """A conversation with one model that always answers."""
    talk.have_only(VENICE)
    talk.stack.upstream.always(text("Aye."))
    return talk


def give_book(talk: Talk, *entries: dict[str, Any], **book: Any) -> None:
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


def compositions(talk: Talk) -> list[dict[str, Any]]:
    """All of the person's, the newest first."""
    with talk.stack.data_api(talk.user) as theirs:
        rows = theirs.get("/turn_prompts", params={"order": "created_at.desc"}).json()
    return [row["composition"] for row in rows]


def composition(talk: Talk) -> dict[str, Any]:
    """That of the newest reply."""
    return compositions(talk)[0]


def parts(composed: dict[str, Any]) -> dict[str, int]:
    return {part["part"]: part["tokens"] for part in composed["parts"]}


def test_reply_can_name_what_its_prompt_was_made_of(told: Talk) -> None:
    give_book(
        told,
        {"id": 7, "keys": ["gull"], "content": "Gulls steal bread."},
        {"id": 8, "keys": ["anchor", "Harbour"], "content": "The harbour is frozen."},
        {"id": 9, "keys": [], "constant": True, "content": "It is winter."},
    )
    fact = add_fact(told, "Ada has a dog.")
    told.reply("Hello")
    told.reply("Is the harbour open?")

    composed = composition(told)
    assert composed["entries"] == [{"place": 1, "id": 8, "key": 1}, {"place": 2, "id": 9}]
    assert composed["facts"] == [fact]
    assert composed["history"]["messages"] == 2
    assert {"template", "description", "lore", "memory", "history", "message"} <= set(
        parts(composed)
    )
    assert sum(parts(composed).values()) == pytest.approx(composed["tokens"], abs=20)
