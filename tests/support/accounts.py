"""Everything that is stored of a person, and a person of whom everything is stored."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx

from tests.support.answers import text
from tests.support.openai_api import make_key
from tests.support.public_characters import admin, block, public, report, take_down
from tests.support.stack import Stack, User


def page(stack: Stack, user: User | None, **asked: Any) -> httpx.Response:
    with stack.data_api(user) as api:
        return api.post("/rpc/download_account", json=asked)


def sections(stack: Stack, user: User) -> list[str]:
    return list(page(stack, user).json()["sections"])


def section(stack: Stack, user: User, name: str) -> list[dict[str, Any]]:
    """All rows of a section, of all its pages."""
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        answer = page(stack, user, p_section=name, p_after=after)
        assert answer.is_success, answer.text
        rows += answer.json()["rows"]
        after = answer.json()["next"]
        if after is None:
            return rows


def everything(stack: Stack, user: User) -> dict[str, list[dict[str, Any]]]:
    return {name: section(stack, user, name) for name in sections(stack, user)}


def lived(stack: Stack, user: User, word: str) -> UUID:
    """Rows of every kind, whose texts have a word; returns the conversation."""
    stack.upstream.enqueue(text(f"Reply {word}."), text(f"Version {word}."), text(f"Draft {word}."))
    vera = public(stack, user, f"Vera {word}")
    stack.db.execute(
        "insert into character_tags (character_id, tag) values (%s, %s)", (vera, f"tag {word}")
    )
    data = {"name": "Mina", "description": f"Card {word}."}
    card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}
    assert stack.chat(user, action="import_card", card=card).status_code == 200
    conversation = stack.conversation(user, character_id=vera)
    here = {"conversation_id": str(conversation)}
    for asked in ({"message": f"Message {word}."}, {"action": "regenerate"}):
        assert stack.chat(user, **here, **asked).status_code == 200
    assert stack.chat(user, **here, action="impersonate").status_code == 200
    stack.insert("lorebooks", user_id=user.id, name=f"Book {word}", content={"entries": []})
    stack.db.execute(
        "insert into conversation_settings (conversation_id, note) values (%s, %s)",
        (conversation, f"Note {word}"),
    )
    stack.db.execute(
        "insert into conversation_summaries (conversation_id, content) values (%s, %s)"
        " on conflict (conversation_id) do update set content = excluded.content",
        (conversation, f"Summary {word}"),
    )
    memory = stack.insert("memories", user_id=user.id, tier="character", character_id=vera)
    stack.insert("memory_facts", memory_id=memory, content=f"Fact {word}.")
    stack.insert("memory_facts", memory_id=memory, content="Gone.")
    stack.db.execute("delete from memory_facts where content = 'Gone.'")
    other = public(stack, stack.user())
    assert report(stack, user, other, p_details=f"Report {word}").is_success
    assert block(stack, user, other).is_success
    make_key(stack, user, f"Key {word}")
    assert take_down(stack, admin(stack), vera, f"Take-down {word}").is_success
    return conversation
