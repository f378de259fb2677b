"""Every id of a person, in every place where somebody else can send it: nothing is read or changed.

The places are found: the functions of the Data API in the database, the actions and their fields in
docs/openapi.json.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support import patient
from tests.support.answers import text
from tests.support.permissions import FUNCTIONS
from tests.support.pictures import encoded, flag
from tests.support.postgres import ROOT
from tests.support.stack import Stack, User

SECRET = "Skerrywords"
"""In all texts of the owner."""

pytestmark = pytest.mark.installations


@dataclass
class Others:
    """A person with a row of every kind, and somebody else with rows of their own."""

    stack: Stack
    owner: User
    stranger: User
    ids: dict[str, str]
    own: dict[str, str]

    def rows(self) -> dict[str, list[str]]:
        """All rows that name one of the owner's ids, by table."""
        tables = self.stack.all(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname in ('public', 'private') order by 1"
        )
        pattern = "|".join(self.ids.values())
        found = {}
        for table in (row["name"] for row in tables):
            rows = self.stack.all(
                f"select to_jsonb(t)::text as row from {table} t"  # noqa: S608
                " where to_jsonb(t)::text ~ %s order by 1",
                pattern,
            )
            found[table] = [row["row"] for row in rows]
        return {table: rows for table, rows in found.items() if rows}

    def check(self, answer: httpx.Response, what: object) -> None:
        """Checks that neither the answer nor a prompt has the owner's texts."""
        assert answer.status_code < 500, (what, answer.text)
        assert SECRET not in answer.text, what
        assert not [one for one in self.stack.upstream.calls if SECRET.encode() in one.body], what


def belongings(stack: Stack, user: User, words: str) -> dict[str, str]:
    """A row of every kind that has an id, by the name of its kind."""
    vera = stack.insert("characters", user_id=user.id, name=words, description=words)
    conversation = stack.conversation(user, words, words, character_id=vera)
    (said, reply) = stack.all(
        "select id from messages where conversation_id = %s order by position", conversation
    )
    tier = {"user_id": user.id, "tier": "conversation", "conversation_id": conversation}
    memory = stack.insert("memories", **tier)
    turn = {"user_id": user.id, "conversation_id": conversation, "task": "roleplay"}
    turn |= {"action": "send", "status": "failed"}
    turn |= {"lease_expires_at": "2026-01-01", "finished_at": "2026-01-01"}
    book: dict[str, Any] = {"entries": [{"keys": ["sea"], "content": words}]}
    key = {"user_id": user.id, "name": words, "prefix": "rpk_", "key_hash": uuid4().hex}
    made = {
        "person": user.id,
        "character": vera,
        "conversation": conversation,
        "message": said["id"],
        "reply": reply["id"],
        "memory": memory,
        "fact": stack.insert("memory_facts", memory_id=memory, content=words),
        "lorebook": stack.insert("lorebooks", user_id=user.id, name=words, content=book),
        "turn": stack.insert("turns", **turn),
        "api_key": stack.insert("private.api_keys", **key),
    }
    return {name: str(value) for name, value in made.items()}


@pytest.fixture
def others(stack: Stack) -> Iterator[Others]:
    stack.upstream.always(text("Yes."))
    stack.configure(limits={})
    owner, stranger = stack.user(SECRET), stack.user("Ben")
    ids, own = belongings(stack, owner, SECRET), belongings(stack, stranger, "Fog.")
    others = Others(stack, owner, stranger, ids, own)
    before = others.rows()
    assert len(before) >= len(ids)
    yield others
    assert others.rows() == before


SAMPLES: dict[str, Any] = {
    "text": "spam",
    "integer": 10,
    "boolean": True,
    "jsonb": {},
    "text[]": [],
    "timestamp with time zone": "2026-01-01T00:00:00Z",
}


def test_in_every_function_of_the_data_api(others: Others) -> None:
    ours = " ".join(names for roles, names in FUNCTIONS.items() if "authenticated" in roles)
    names = [name for name in ours.split() if name.startswith("public.")]
    functions = others.stack.all(
        "select p.proname as name, array_agg(p.proargnames[o] order by o) as names,"
        " array_agg(format_type(t, null) order by o) as types"
        " from pg_proc p left join lateral unnest(p.proargtypes) with ordinality u (t, o) on true"
        " where p.oid::regproc::text = any (%s) or 'public.' || p.oid::regproc::text = any (%s)"
        " group by p.oid",
        names,
        names,
    )
    assert len(functions) > 10
    with others.stack.data_api(others.stranger) as api:
        for function in functions:
            types = dict(zip(function["names"], function["types"], strict=True))
            types.pop(None, None)
            for given in others.ids.values():
                body = {
                    name: given if kind == "uuid" else SAMPLES[kind] for name, kind in types.items()
                }
                answer = api.post(f"/rpc/{function['name']}", json=body)
                others.check(answer, (function["name"], body))


def test_in_every_cursor_of_the_data_api(others: Others) -> None:
    """Cursors carry ids, and are read by functions that see all rows."""
    person, conversation, message = (others.ids[k] for k in ("person", "conversation", "message"))
    at = "2020-01-01T00:00:00Z"
    cursors: list[Any] = [
        *([person], [conversation], [conversation, at, message], {"id": conversation}),
        *([False, at, conversation], {"updated_at": at, "id": conversation}),
    ]
    with others.stack.data_api(others.stranger) as api:
        for section in api.post("/rpc/download_account", json={}).json()["sections"]:
            for cursor in cursors:
                body = {"p_section": section, "p_after": cursor}
                answer = api.post("/rpc/download_account", json=body)
                others.check(answer, (section, cursor))
        for name, more in (
            ("list_conversations", {"p_after": None}),
            ("search_conversations", {"p_query": SECRET, "p_before": None}),
            ("search_catalogue", {"p_search": SECRET, "p_after": None}),
        ):
            for cursor in (None, *cursors):
                body = {key: cursor if value is None else value for key, value in more.items()}
                answer = api.post(f"/rpc/{name}", json=body)
                others.check(answer, (name, cursor))


WORDS: dict[str, Any] = {
    "message": "Hello.",
    "picture_base64": base64.b64encode(encoded(flag())).decode(),
    "chat": '{"user_name": "Ben"}\n{"name": "Ben", "is_user": true, "mes": "Hi"}',
    "card": {
        "spec": "lorebook_v3",
        "data": {"name": "Sea", "entries": [{"keys": ["sea"], "content": "Wet."}]},
    },
    "system_prompt": "Be kind.",
    "confirmation": "no",
}


def actions() -> list[Any]:
    described = json.loads((ROOT / "docs/openapi.json").read_text())
    body = described["paths"]["/roleplay_chat"]["post"]["requestBody"]["content"]
    kinds = body["application/json"]["schema"]["discriminator"]["mapping"]
    found = []
    for action, reference in kinds.items():
        schema = described["components"]["schemas"][reference.rpartition("/")[2]]
        fields = schema["properties"]
        names = [name for name, field in fields.items() if '"uuid"' in json.dumps(field)]
        for name in names:
            found.append(pytest.param(action, name, names, list(fields), id=f"{action}-{name}"))
    return found


OWN = {
    **{"conversation_id": "conversation", "character_id": "character", "message_id": "reply"},
    **{"user_character_id": "character", "persona_id": "character", "turn_id": "turn"},
}
"""What the stranger sends of their own in the fields that are not tried."""
NEEDED = {
    **{"import_chat": {"character_id"}, "edit": {"message_id"}},
    **{"send": {"conversation_id"}, "regenerate": {"conversation_id"}},
    **{"continue": {"conversation_id"}, "impersonate": {"conversation_id"}},
}
IGNORED = {("send", "message_id"), ("impersonate", "message_id")}
"""Fields without a meaning for their action."""


@pytest.mark.parametrize(("action", "field", "named", "fields"), actions())
def test_in_every_field_of_every_action(
    others: Others, action: str, field: str, named: list[str], fields: list[str]
) -> None:
    needed = NEEDED.get(action, set())
    own = {name: others.own[OWN[name]] for name in named if name in needed and name in OWN}
    words = {name: WORDS[name] for name in fields if name in WORDS}
    if action in ("regenerate", "continue", "impersonate"):
        del words["message"]
    for given in others.ids.values():
        body = {"action": action, **words, **own, field: given}
        answer = others.stack.chat(others.stranger, **body)
        others.check(answer, body)
        is_ignored = (action, field) in IGNORED or answer.json().get("deleted") == 0
        assert is_ignored or answer.status_code in (403, 404, 409), (body, answer.text)


def test_in_the_places_outside_the_body(others: Others) -> None:
    url = others.stack.function_url("roleplay_chat").rstrip("/")
    said = {"messages": [{"role": "user", "content": "Hello."}]}
    for given in others.ids.values():
        for headers, body in (
            ({"X-Conversation-Id": given}, said | {"model": others.own["character"]}),
            ({}, said | {"model": others.own["character"], "metadata": {"conversation_id": given}}),
            ({}, said | {"model": f"vera-{given}"}),
        ):
            answer = patient.post(
                f"{url}/v1/chat/completions", headers=others.stranger.headers | headers, json=body
            )
            others.check(answer, (headers, body))
            assert answer.status_code in (400, 404), (headers, body, answer.text)
        answer = patient.get(f"{url}/v1/models/vera-{given}", headers=others.stranger.headers)
        assert answer.status_code == 404, answer.text
        headers = others.stranger.headers | {"Last-Event-ID": f"{given}/0.0"}
        answer = patient.get(url, headers=headers)
        assert answer.status_code == 404, answer.text
