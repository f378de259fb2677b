"""What is known of the existing database is true of the fixture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg import errors

from tests.conftest import DATABASE
from tests.existing.database import SHARED
from tests.existing.requests import PEOPLE, Answer, DataApi
from tests.support.postgres import Connection, Postgres

PERSON = PEOPLE["person"]
VERIFIED = "55555555-5555-4555-8555-555555555555"
OWN_CONVERSATION = "bbbbbbbb-0000-4000-8000-000000000001"
OTHERS_CONVERSATION = "bbbbbbbb-0000-4000-8000-000000000002"
NO_ROW = Answer(406, error="PGRST116")


# People -------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["person", "admin", "service"])
def test_no_birth_date_can_be_stored(api: DataApi, who: str) -> None:
    body = {"birth_date": "1990-01-01"}
    answer = _write(api, who, "PATCH", f"profiles?id=eq.{PERSON}", body)
    assert answer.summary == Answer(404, error="42883")
    assert answer.body["message"] == "operator does not exist: integer >= interval"


def test_no_profile_can_be_written_while_its_audit_is_on(api: DataApi) -> None:
    new, old = {"id": "44444444-4444-4444-8444-444444444444"}, f"profiles?id=eq.{PERSON}"
    for answer in (
        _write(api, new["id"], "POST", "profiles", new),
        _write(api, "person", "PATCH", old, {"username": "new"}),
    ):
        assert answer.body["message"] == "operator does not exist: jsonb - jsonb"


def test_without_the_audit_a_person_can_choose_a_persona(api: DataApi) -> None:
    body = {"default_user_character_id": "aaaaaaaa-0000-4000-8000-000000000003"}
    with _without_trigger(api, "audit_profile_access"):
        answer = _write(api, "person", "PATCH", f"profiles?id=eq.{PERSON}", body)
    assert answer.status == 204


@pytest.mark.parametrize("who", ["person", "service"])
@pytest.mark.parametrize("column", ["age_verified", "token_balance", "subscription_status"])
def test_only_an_admin_changes_what_is_paid_or_verified(
    api: DataApi, who: str, column: str
) -> None:
    body = {column: {"age_verified": True, "token_balance": 7}.get(column, "pro")}
    with _without_trigger(api, "audit_profile_access"):
        refused = _write(api, who, "PATCH", f"profiles?id=eq.{PERSON}", body)
        done = _write(api, "admin", "PATCH", f"profiles?id=eq.{PERSON}", body)
    assert refused.summary == Answer(400, error="P0001")
    assert done.status == 204


def test_with_a_birth_date_a_person_becomes_verified(db: Connection) -> None:
    db.execute("alter table profiles disable trigger user")
    db.execute("update profiles set birth_date = '1990-01-01' where id = %s", [PERSON])
    db.execute("alter table profiles enable trigger validate_profile_security")
    row = db.execute(
        "update profiles set age_verified = true where id = %s returning age_verified", [PERSON]
    ).fetchone()
    assert row == {"age_verified": True}


def test_a_new_person_has_a_role_and_no_profile(db: Connection) -> None:
    db.execute(
        "create trigger on_new_user after insert on auth.users"
        " for each row execute function handle_new_user()"
    )
    people = db.execute(
        "insert into auth.users (id, email) values (gen_random_uuid(), 'new@example.com')"
        " returning id"
    ).fetchall()
    new = [people[0]["id"]]
    assert not db.execute("select from profiles where id = %s", new).fetchall()
    roles = db.execute("select role::text from user_roles where user_id = %s", new).fetchall()
    assert roles == [{"role": "basic_user"}]


def test_a_name_is_the_local_part_of_the_address(db: Connection) -> None:
    db.execute("alter table profiles disable trigger audit_profile_access")
    db.execute(
        "create trigger on_new_user after insert on auth.users"
        " for each row execute function handle_new_user()"
    )
    db.execute("insert into auth.users (id, email) values (gen_random_uuid(), 'ann@example.com')")
    assert db.execute("select from profiles where username = 'ann'").fetchall()


def test_everybody_may_ask_for_the_roles_of_anybody(api: DataApi) -> None:
    body = {"_user_id": PEOPLE["admin"], "_role": "admin"}
    assert _write(api, "anon", "POST", "rpc/has_role", body).body is True


# Models, providers, settings ----------------------------------------------------------------


def test_only_admins_see_the_settings(api: DataApi) -> None:
    answers = [_read(api, who, "system_config?select=*").rows for who in ("person", "anon")]
    assert answers == [0, 0]
    assert _read(api, "admin", "system_config?select=*").rows == 1


def test_signed_in_people_see_addresses_and_names_of_keys(api: DataApi) -> None:
    path = "api_providers?select=base_url,secret_name&name=eq.replicate"
    row = {"base_url": "https://images.example.com/v1", "secret_name": "REPLICATE_API_TOKEN"}
    assert _read(api, "person", path).body == [row]
    assert _read(api, "anon", path).body == []
    assert _read(api, "person", "api_providers?name=eq.closed").rows == 0


def test_deleting_a_provider_deletes_its_models(db: Connection) -> None:
    db.execute("delete from api_providers where name = 'openrouter'")
    assert not db.execute("select from api_models where model_key = 'm/one'").fetchall()


def test_in_january_a_pair_has_one_default_and_in_april_there_are_many(
    db: Connection, state: str
) -> None:
    if state == "january":
        with pytest.raises(errors.UniqueViolation):
            db.execute("update api_models set is_default = true where model_key = 'm/three:free'")
    else:
        query = "select from api_models where is_default and modality = 'chat' and is_active"
        assert len(db.execute(query).fetchall()) > 1


@pytest.mark.parametrize(("tasks", "defaults"), [("{}", "{}"), ("{tts}", "{}"), ("{t2i}", "{i2i}")])
def test_in_april_tasks_are_known_and_defaults_are_some_of_them(
    db: Connection, state: str, tasks: str, defaults: str
) -> None:
    expected = {"january": errors.UndefinedColumn, "april": errors.CheckViolation}[state]
    with pytest.raises(expected):
        db.execute("update api_models set tasks = %s, default_for_tasks = %s", [tasks, defaults])


def test_two_templates_that_match_are_none(api: DataApi) -> None:
    path = "prompt_templates?target_model=eq.m/two&use_case=eq.character_roleplay&is_active=eq.true"
    assert _read(api, "service", path, single=True).summary == NO_ROW


def test_no_active_roleplay_template_is_sfw(db: Connection) -> None:
    query = (
        "select content_mode from prompt_templates"
        " where use_case = 'character_roleplay' and is_active"
    )
    assert {row["content_mode"] for row in db.execute(query)} == {"nsfw"}


# Characters ---------------------------------------------------------------------------------


def test_who_sees_which_public_character(api: DataApi) -> None:
    path = "characters?select=id&is_public=eq.true&content_rating=eq."
    sfw, nsfw = [
        {who: _read(api, who, path + rating).rows for who in ("anon", "person", VERIFIED, "admin")}
        for rating in ("sfw", "nsfw")
    ]
    assert len(set(sfw.values())) == 1
    assert nsfw == {"anon": 0, "person": 0, VERIFIED: nsfw["admin"], "admin": nsfw["admin"]}
    assert nsfw["admin"]


def test_a_character_with_conversations_cannot_be_deleted(api: DataApi) -> None:
    path = "characters?id=eq.aaaaaaaa-0000-4000-8000-000000000001"
    answer = api.answer({"who": "person", "method": "DELETE", "path": path})
    assert answer.summary == Answer(409, error="23503")


def test_an_author_who_forgets_it_publishes(api: DataApi) -> None:
    body = {"user_id": PERSON, "name": "New", "description": ""}
    answer = _write(api, "person", "POST", "characters?select=is_public", body, back=True)
    assert answer.body == [{"is_public": True}]


# Conversations and messages -----------------------------------------------------------------


def test_a_person_can_write_a_reply(api: DataApi) -> None:
    body = {"conversation_id": OWN_CONVERSATION, "sender": "assistant", "content": "forged"}
    assert _write(api, "person", "POST", "messages", body).status == 201


def test_no_other_sender_can_be_written(api: DataApi) -> None:
    body = {"conversation_id": OWN_CONVERSATION, "sender": "character", "content": "Hello."}
    assert _write(api, "service", "POST", "messages", body).summary == Answer(400, error="23514")


def test_a_person_cannot_write_into_the_conversation_of_another(api: DataApi) -> None:
    body = {"conversation_id": OTHERS_CONVERSATION, "sender": "user", "content": "Hello."}
    assert _write(api, "person", "POST", "messages", body).error == "42501"


def test_nobody_but_the_service_changes_or_deletes_messages(api: DataApi) -> None:
    path = f"messages?conversation_id=eq.{OWN_CONVERSATION}"
    for who, rows in (("person", 0), ("admin", 0), ("service", 3)):
        assert _write(api, who, "PATCH", path, {"content": "x"}, back=True).rows == rows
        delete = {"method": "DELETE", "prefer": "return=representation"}
        assert api.answer({"who": who, "path": path, **delete}).rows == rows


def test_a_new_message_moves_its_conversation_up(db: Connection) -> None:
    db.execute(
        "insert into messages (conversation_id, sender, content) values (%s, 'user', 'Hello.')",
        [OWN_CONVERSATION],
    )
    query = "select from conversations where id = %s and updated_at = now()"
    assert db.execute(query, [OWN_CONVERSATION]).fetchall()


def test_admins_do_not_see_the_conversations_of_others(api: DataApi) -> None:
    assert _read(api, "admin", f"conversations?user_id=eq.{PERSON}").rows == 0


def test_a_conversation_may_point_at_a_character_that_its_person_may_not_see(
    api: DataApi,
) -> None:
    hidden = "aaaaaaaa-0000-4000-8000-000000000015"
    assert _read(api, "person", f"characters?id=eq.{hidden}").rows == 0
    path = f"conversations?id=eq.{OWN_CONVERSATION}"
    answer = _write(api, "person", "PATCH", path, {"character_id": hidden}, back=True)
    assert answer.rows == 1


def test_a_conversation_may_be_nobodys(db: Connection) -> None:
    query = (
        "select c.id from conversations c left join auth.users u on u.id = c.user_id"
        " where u.id is null"
    )
    assert len(db.execute(query).fetchall()) == 1


def test_a_second_key_to_messages_breaks_their_count(api: DataApi) -> None:
    request = {
        "who": "person",
        "method": "GET",
        "path": f"conversations?select=id,messages(count)&id=eq.{OWN_CONVERSATION}",
    }
    assert api.answer(request).body == [{"id": OWN_CONVERSATION, "messages": [{"count": 3}]}]
    api.owner.execute("alter table conversations add column branched_from uuid references messages")
    try:
        api.reload()
        assert api.answer(request).summary == Answer(300, error="PGRST201")
    finally:
        api.owner.execute("alter table conversations drop column branched_from")
        api.reload()


# Rights, realtime, names --------------------------------------------------------------------


def test_every_role_has_all_rights_on_every_table_and_on_columns_added_later(
    db: Connection,
) -> None:
    db.execute("alter table messages add column later text")
    tables = db.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    for role in ("anon", "authenticated", "service_role"):
        for table in tables:
            for right in ("select", "insert", "update", "delete", "truncate", "references"):
                query = "select has_table_privilege(%s, %s, %s) as has"
                assert db.execute(query, [role, table["tablename"], right]).fetchone() == {
                    "has": True
                }
        query = "select has_column_privilege(%s, 'messages', 'later', 'update') as has"
        assert db.execute(query, [role]).fetchone() == {"has": True}


def test_what_realtime_publishes(db: Connection, state: str) -> None:
    rows = db.execute("select tablename from pg_publication_tables order by 1").fetchall()
    published = {"january": [], "april": ["character_scenes", "user_library"]}
    assert [row["tablename"] for row in rows] == published[state]


def test_messages_have_no_index_but_their_key(db: Connection) -> None:
    rows = db.execute("select indexname from pg_indexes where tablename = 'messages'").fetchall()
    assert rows == [{"indexname": "messages_pkey"}]


def test_nine_relations_and_nothing_else_have_a_name_of_ours(
    postgres: Postgres, db: Connection
) -> None:
    with postgres.connect(DATABASE) as ours:
        same = {kind: _names(db, kind) & _names(ours, kind) for kind in _NAMES}
    assert same == {"relations": set(SHARED), "functions": set(), "types": set()}


# --------------------------------------------------------------------------------------------

_NAMES = {
    "relations": "select relname as name from pg_class"
    " where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'S')",
    "functions": "select proname as name from pg_proc where pronamespace = 'public'::regnamespace",
    "types": "select typname as name from pg_type"
    " where typnamespace = 'public'::regnamespace and typtype in ('e', 'd')",
}


def _names(connection: Connection, kind: str) -> set[str]:
    return {row["name"] for row in connection.execute(_NAMES[kind].encode())}


def _read(api: DataApi, who: str, path: str, *, single: bool = False) -> Answer:
    return api.answer({"who": who, "method": "GET", "path": path, "single": single})


def _write(
    api: DataApi, who: str, method: str, path: str, body: object, *, back: bool = False
) -> Answer:
    prefer = "return=representation" if back else "return=minimal"
    return api.answer({"who": who, "method": method, "path": path, "body": body, "prefer": prefer})


@contextmanager
def _without_trigger(api: DataApi, name: str) -> Iterator[None]:
    api.owner.execute(f"alter table profiles disable trigger {name}".encode())
    try:
        yield
    finally:
        api.owner.execute(f"alter table profiles enable trigger {name}".encode())
