"""A token outlives its account, but a deleted or banned user cannot use it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from psycopg import Rollback

from tests.support.answers import held, text
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack, User
from tests.support.waiting import Gate

SENTENCES = {
    401: ("unauthorized", "Please sign in again."),
    403: (
        "banned_user",
        "This account is suspended. Please contact support if you think this is a mistake.",
    ),
}
CARD = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {"name": "Mina", "description": "A smith."},
}


def deleted(stack: Stack, user: User) -> None:
    stack.db.execute("delete from auth.users where id = %s", (user.id,))


def marked_as_deleted(stack: Stack, user: User) -> None:
    stack.db.execute("update auth.users set deleted_at = now() where id = %s", (user.id,))


def banned(stack: Stack, user: User) -> None:
    ban(stack, user, "now() + interval '1 minute'")


def banned_for_ever(stack: Stack, user: User) -> None:
    ban(stack, user, "'infinity'")


def ban(stack: Stack, user: User, until: str) -> None:
    stack.db.execute(
        f"update auth.users set banned_until = {until} where id = %s".encode(),  # noqa: S608
        (user.id,),
    )


@pytest.fixture
def ann(stack: Stack) -> User:
    """A user whose token was verified a moment ago."""
    user = stack.user("Ann")
    stack.upstream.enqueue(text("Good evening."))
    conversation = stack.conversation(user)
    answer = stack.chat(
        user, conversation_id=str(conversation), message="Hello", client_message_id="a"
    )
    assert answer.status_code == 200
    return user


def every_request(stack: Stack, user: User) -> dict[str, dict[str, Any]]:
    """Every kind of request, in a form that would succeed."""
    row = stack.one("select id, conversation_id from messages where sender = 'character'")
    conversation, message = str(row["conversation_id"]), str(row["id"])
    turn = {"conversation_id": conversation}
    return {
        "send": turn | {"message": "Hello again"},
        "the same request again": turn | {"message": "Hello", "client_message_id": "a"},
        "kickoff": turn | {"kickoff": True},
        "regenerate": turn | {"action": "regenerate"},
        "continue": turn | {"action": "continue"},
        "impersonate": turn | {"action": "impersonate"},
        "storytelling": {"task": "storytelling", "message": "A storm."},
        "prompt_enhancement": {"task": "prompt_enhancement", "message": "A storm."},
        "choose": {"action": "choose", "message_id": message},
        "edit": {"action": "edit", "message_id": message, "message": "Good night."},
        "branch": {"action": "branch", "message_id": message},
        "delete what is gone": {"action": "delete", "message_id": str(uuid4())},
        "delete": {"action": "delete", "message_id": message},
        "import_card": {"action": "import_card", "card": CARD},
        "export_card": {"action": "export_card", "character_id": str(DEMO_CHARACTER)},
        "delete_account": {"action": "delete_account", "confirmation": "delete my account"},
    }


@pytest.mark.parametrize(
    ("befall", "status"),
    [(deleted, 401), (marked_as_deleted, 401), (banned, 403), (banned_for_ever, 403)],
)
def test_nothing_is_done_for_an_account_that_is_gone(
    stack: Stack, ann: User, befall: Callable[[Stack, User], None], status: int
) -> None:
    asked = every_request(stack, ann)
    befall(stack, ann)
    before = {
        table: stack.all(f"select * from {table} order by 1")  # noqa: S608
        for table in ("turns", "messages", "conversations", "characters")
    }
    for name, body in asked.items():
        answer = stack.chat(ann, **body).json()
        assert (answer["code"], answer["error"]) == SENTENCES[status], name
    for table, rows in before.items():
        assert stack.all(f"select * from {table} order by 1") == rows  # noqa: S608
    assert len(stack.upstream.calls) == 1


def test_those_that_are_new_are_told_the_same(stack: Stack) -> None:
    """Cached tokens are rejected as well."""
    bob = stack.user()
    conversation = str(stack.conversation(bob))
    banned(stack, bob)
    answer = stack.chat(bob, conversation_id=conversation, message="Hello")
    assert (answer.status_code, answer.json()["code"]) == (403, "banned_user")


@pytest.mark.parametrize("befall", [marked_as_deleted, banned])
def test_rows_are_not_added_through_the_data_api(
    stack: Stack, ann: User, befall: Callable[[Stack, User], None]
) -> None:
    rows = {
        "conversations": {"user_id": str(ann.id), "character_id": str(DEMO_CHARACTER)},
        "characters": {"user_id": str(ann.id), "name": "Mina"},
    }
    befall(stack, ann)
    with stack.data_api(ann) as api:
        answers = {table: api.post(f"/{table}", json=row) for table, row in rows.items()}
    status = 403 if befall is banned else 401
    assert {table: answer.status_code for table, answer in answers.items()} == dict.fromkeys(
        rows, status
    )


GRANTED = """
select c.relname as "table", command,
       array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0
               and has_column_privilege('authenticated', c.oid, a.attnum, 'update')) as columns
from pg_class c, unnest('{insert,update,delete}'::text[]) command
where c.relnamespace = 'public'::regnamespace and case command
  when 'delete' then has_table_privilege('authenticated', c.oid, 'delete')
  else has_any_column_privilege('authenticated', c.oid, command) end
"""
"""What people may write through the Data API."""


@pytest.mark.parametrize("befall", [marked_as_deleted, banned, banned_for_ever])
def test_nothing_is_changed_through_the_data_api(
    stack: Stack, ann: User, befall: Callable[[Stack, User], None]
) -> None:
    """Not by an admin either; what they have they may still read."""
    conversation = stack.one("select id from conversations where user_id = %s", ann.id)["id"]
    mine = {"user_id": ann.id}
    character = stack.insert("characters", **mine, name="Vera")
    member = {"conversation_id": conversation, "character_id": character, "position": 0}
    stack.db.execute(
        "insert into conversation_characters (conversation_id, character_id, position)"
        " values (%(conversation_id)s, %(character_id)s, %(position)s)",
        member,
    )
    stack.db.execute(
        "insert into conversation_summaries (conversation_id) values (%s)", (conversation,)
    )
    stack.db.execute(
        "insert into conversation_settings (conversation_id) values (%s)", (conversation,)
    )
    stack.db.execute(
        "insert into character_portraits (character_id, path) values (%s, 'a/b/c.webp')",
        (character,),
    )
    stack.db.execute(
        "insert into conversation_entries (conversation_id) values (%s)", (conversation,)
    )
    stack.db.execute(
        "insert into character_tags (character_id, tag) values (%s, 'sea')", (character,)
    )
    stack.db.execute(
        "insert into blocked_authors (user_id, author_id, character_name) values (%s, %s, 'Mina')",
        (ann.id, stack.user().id),
    )
    stack.insert("lorebooks", **mine, name="Harbour", content={"entries": []})
    memory = stack.insert("memories", **mine, tier="profile")
    stack.insert("memory_facts", memory_id=memory, content="Cats.")
    stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (ann.id,))
    befall(stack, ann)
    granted = stack.all(GRANTED)
    tables = sorted({row["table"] for row in granted})
    before = {table: stack.all(f"select * from {table} order by 1") for table in tables}  # noqa: S608
    # Views that show ages to admins alone, and the rest to those whose it is.
    empty = [table for table, rows in before.items() if not rows]
    assert empty == ["account", "conversation_memory", "declared_ages", "my_characters"]

    with stack.data_api(ann) as api:
        for row in granted:
            path, change = f"/{row['table']}", dict.fromkeys(row["columns"][:1])
            answer = {
                "insert": partial(api.post, path, json={}),
                "update": partial(api.patch, path, json=change),
                "delete": partial(api.delete, path),
            }[row["command"]]()
            status = 401 if befall is marked_as_deleted else 403
            code = (answer.status_code, answer.json()["code"])
            assert code == (status, f"PT{status}"), row
        default = {
            "p_model_id": str(stack.all("select id from api_models where is_active")[0]["id"])
        }
        assert api.post("/rpc/set_default_model", json=default).status_code == 403
        assert api.get("/messages").json()
    for table, rows in before.items():
        assert stack.all(f"select * from {table} order by 1") == rows  # noqa: S608


@pytest.mark.parametrize("befall", [marked_as_deleted, banned])
def test_admin_reads_nothing_of_others(
    stack: Stack, ann: User, befall: Callable[[Stack, User], None]
) -> None:
    admin = stack.user()
    stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (admin.id,))
    paths = ["/usage_events", "/turns", "/provider_settings", "/system_config", "/user_roles"]
    with stack.data_api(admin) as api:
        assert all(api.get(path).json() for path in paths)
        befall(stack, admin)
        own = [{"user_id": str(admin.id), "role": "admin"}]
        assert [api.get(path).json() for path in paths[:-1]] == [[]] * 4
        assert api.get("/user_roles", params={"select": "user_id,role"}).json() == own


def test_what_a_change_leads_to_is_not_refused(stack: Stack, ann: User) -> None:
    """Rows that go or change with others: the account was asked about, and is good."""
    character = stack.insert("characters", user_id=ann.id, name="Vera", age=30)
    played = stack.conversation(ann, user_character_id=character)
    with stack.data_api(ann) as api:
        its = {"id": f"eq.{character}"}
        assert api.patch("/characters", params=its, json={"age": 15}).is_success
        assert api.delete("/characters", params=its).is_success
        assert api.delete("/conversations", params={"user_id": f"eq.{ann.id}"}).is_success
    assert stack.all("select * from conversations where id = %s", played) == []


def test_account_whose_ban_is_over_may_do_everything(stack: Stack, ann: User) -> None:
    ban(stack, ann, "now() - interval '1 second'")
    stack.upstream.always(text("Good evening."))
    for name, body in every_request(stack, ann).items():
        assert stack.chat(ann, **body).status_code == 200, name


def test_repeated_branch_is_blocked_for_a_banned_account(stack: Stack, ann: User) -> None:
    branch = every_request(stack, ann)["branch"] | {"client_message_id": "b"}
    assert stack.chat(ann, **branch).status_code == 200
    banned(stack, ann)
    assert stack.chat(ann, **branch).status_code == 403


def test_turn_that_runs_is_saved_all_the_same(stack: Stack, ann: User) -> None:
    """The turn was accepted before the ban; its reply is available afterwards."""
    conversation = stack.conversation(ann)
    gate = Gate()
    stack.upstream.enqueue(held(gate, text("Late.")))
    with ThreadPoolExecutor() as pool:
        asked = {"conversation_id": str(conversation), "message": "Hello"}
        answer = pool.submit(stack.chat, ann, **asked)
        gate.wait_reached()
        banned(stack, ann)
        gate.open()
        assert answer.result().json()["response"] == "Late."
    assert stack.said(conversation) == [("user", "Hello"), ("character", "Late.")]


def test_auth_server_without_these_columns(postgres: Postgres) -> None:
    """Some local Auth schemas have neither column: then every existing account is valid."""
    with postgres.connect("app", OWNER) as database, database.transaction():
        database.execute("alter table auth.users drop column banned_until, drop column deleted_at")
        user = uuid4()
        database.execute("insert into auth.users (id) values (%s)", (user,))
        found = [
            database.execute("select private.why_account_blocked(%s) as said", (one,)).fetchone()
            for one in (user, uuid4())
        ]
        assert [row and row["said"] for row in found] == [None, {"outcome": "unknown_user"}]
        raise Rollback
