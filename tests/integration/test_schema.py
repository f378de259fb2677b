"""The schema as users, operators and the specification see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import Rollback

from tests.support.data_api import is_refused
from tests.support.gateway import SECRET_KEY
from tests.support.postgres import Connection, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack

# From the specification.
INSERT_PROVIDER = """
-- OpenRouter provider
INSERT INTO api_providers (
  name, display_name, base_url,
  auth_scheme, auth_header_name, secret_name, is_active
) VALUES (
  'openrouter', 'OpenRouter', 'https://openrouter.ai/api/v1',
  'bearer', 'Authorization', 'OpenRouter_Roleplay_API_KEY', true
);
"""
INSERT_MODELS = """
-- NSFW Roleplay Models (all free tier)
INSERT INTO api_models (
  provider_id, model_key, display_name,
  modality, task, model_family, is_active, is_default, priority
) VALUES
-- Venice Dolphin (primary NSFW model)
((SELECT id FROM api_providers WHERE name = 'openrouter'),
 'cognitivecomputations/dolphin-mistral-24b-venice-edition:free',
 'Venice Dolphin Mistral 24B',
 'roleplay', 'roleplay', 'mistral', true, true, 1),

-- Dolphin 3.0 R1 (advanced reasoning)
((SELECT id FROM api_providers WHERE name = 'openrouter'),
 'cognitivecomputations/dolphin-3.0-r1-mistral-24b:free',
 'Dolphin 3.0 R1 Mistral 24B',
 'roleplay', 'roleplay', 'mistral', true, false, 2),

-- Dolphin 3.0 (general purpose)
((SELECT id FROM api_providers WHERE name = 'openrouter'),
 'cognitivecomputations/dolphin-3.0-mistral-24b:free',
 'Dolphin 3.0 Mistral 24B',
 'roleplay', 'roleplay', 'mistral', true, false, 3);
"""
VERIFY_MODELS = """
-- Check active OpenRouter models
SELECT display_name, model_key, is_default, priority
FROM api_models
WHERE modality = 'roleplay'
  AND is_active = true
  AND provider_id = (SELECT id FROM api_providers WHERE name = 'openrouter')
ORDER BY priority ASC;
"""
THREE_MODELS = [
    ("Venice Dolphin Mistral 24B", True, 1),
    ("Dolphin 3.0 R1 Mistral 24B", False, 2),
    ("Dolphin 3.0 Mistral 24B", False, 3),
]
MODEL_PICKER = (
    "id,model_key,display_name,modality,task,model_family,is_active,is_default,priority,"
    "capabilities,api_providers(name,display_name)"
)
SERVICE_FUNCTIONS = [
    "apply_retention",
    "begin_step",
    "begin_turn",
    "end_step",
    "fail_step",
    "finish_turn",
    "record_catalog",
    "record_worker_health",
    "remember",
    "roll_up_usage",
    "set_chat_worker_url",
]


@pytest.fixture(scope="module")
def fresh_connection(postgres: Postgres) -> Iterator[Connection]:
    """A database with the migrations and nothing else."""
    postgres.create("fresh")
    postgres.migrate("fresh")
    with postgres.connect("fresh") as connection:
        yield connection


@pytest.fixture
def fresh(fresh_connection: Connection) -> Iterator[Connection]:
    """The same database; changes are undone at the end."""
    with fresh_connection.transaction():
        yield fresh_connection
        raise Rollback


def verified_models(connection: Connection) -> list[tuple[str, bool, int]]:
    rows = connection.execute(VERIFY_MODELS).fetchall()
    return [(row["display_name"], row["is_default"], row["priority"]) for row in rows]


class TestSpecification:
    def test_its_statements_are_accepted_as_they_are(self, fresh: Connection) -> None:
        fresh.execute(INSERT_PROVIDER)
        fresh.execute(INSERT_MODELS)
        assert verified_models(fresh) == THREE_MODELS

    def test_the_seed_has_its_models(self, stack: Stack) -> None:
        assert verified_models(stack.db) == THREE_MODELS

    def test_a_second_default_is_refused(self, fresh: Connection) -> None:
        fresh.execute(INSERT_PROVIDER)
        fresh.execute(INSERT_MODELS)
        with pytest.raises(psycopg.errors.UniqueViolation):
            fresh.execute("update api_models set is_default = true where priority = 2")

    def test_another_task_has_a_default_of_its_own(self, fresh: Connection) -> None:
        fresh.execute(INSERT_PROVIDER)
        fresh.execute(INSERT_MODELS)
        fresh.execute("update api_models set is_default = true, task = 'other' where priority = 2")


class TestSeed:
    def test_run_twice_it_changes_nothing(self, postgres: Postgres) -> None:
        postgres.create("seeded")
        postgres.migrate("seeded")
        postgres.seed("seeded")
        first = self.contents(postgres)
        postgres.seed("seeded")
        assert self.contents(postgres) == first
        assert first["public.api_models"]

    @staticmethod
    def contents(postgres: Postgres) -> dict[str, Any]:
        with postgres.connect("seeded") as connection:
            names = connection.execute(
                "select format('%I.%I', schemaname, tablename) as name from pg_tables "
                "where schemaname in ('public', 'private', 'shared')"
            ).fetchall()
            return {
                row["name"]: connection.execute(
                    f"select to_jsonb(t) as row from {row['name']} t order by 1".encode()  # noqa: S608
                ).fetchall()
                for row in names
            }


class TestCatalog:
    def test_every_table_has_row_level_security(self, fresh: Connection) -> None:
        unprotected = fresh.execute("""
            select oid::regclass from pg_class
            where relnamespace::regnamespace::text in ('public', 'private', 'shared')
              and relkind in ('r', 'p') and not relrowsecurity""")
        assert unprotected.fetchall() == []

    def test_every_function_pins_its_search_path(self, fresh: Connection) -> None:
        loose = fresh.execute("""
            select oid::regprocedure from pg_proc
            where pronamespace::regnamespace::text in ('public', 'private', 'shared')
              and not coalesce(proconfig @> array['search_path=""'], false)""")
        assert loose.fetchall() == []

    def test_nobody_unknown_may_do_anything(self, fresh: Connection) -> None:
        granted = fresh.execute("""
            select c.oid::regclass, a.privilege_type from pg_class c, aclexplode(c.relacl) a
            where c.relnamespace::regnamespace::text in ('public', 'private', 'shared')
              and c.relkind <> 'S' and a.grantee in (0, 'anon'::regrole)""")
        assert granted.fetchall() == []
        executable = fresh.execute("""
            select oid::regprocedure from pg_proc
            where pronamespace::regnamespace::text in ('public', 'private', 'shared')
              and has_function_privilege('anon', oid, 'execute')""")
        assert executable.fetchall() == []

    def test_people_cannot_empty_tables_or_attach_to_them(self, fresh: Connection) -> None:
        granted = fresh.execute("""
            select c.oid::regclass, a.privilege_type from pg_class c, aclexplode(c.relacl) a
            where c.relnamespace::regnamespace::text in ('public', 'private', 'shared')
              and a.grantee = 'authenticated'::regrole
              and a.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN')""")
        assert granted.fetchall() == []

    @pytest.mark.parametrize("name", SERVICE_FUNCTIONS)
    def test_service_functions_are_for_the_service_key_alone(
        self, fresh: Connection, name: str
    ) -> None:
        roles = fresh.execute(
            "select role from pg_proc, unnest(array['anon', 'authenticated', 'service_role']) role "
            "where proname = %s and has_function_privilege(role, oid, 'execute')",
            (name,),
        ).fetchall()
        assert roles == [{"role": "service_role"}]


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """The Data API as Ann, a signed-in user."""
    with stack.data_api(stack.user("Ann")) as client:
        yield client


class TestModels:
    def test_a_person_sees_the_picker(self, api: httpx.Client) -> None:
        query = {"select": MODEL_PICKER, "is_active": "eq.true", "modality": "eq.roleplay"}
        rows = api.get("/api_models", params={**query, "order": "priority"}).json()
        assert [row["display_name"] for row in rows] == [name for name, *_ in THREE_MODELS]
        assert rows[0]["api_providers"] == {"name": "openrouter", "display_name": "OpenRouter"}
        assert set(rows[0]) == {*MODEL_PICKER.split(",")[:10], "api_providers"}

    def test_a_person_does_not_see_inactive_models(self, stack: Stack, api: httpx.Client) -> None:
        assert stack.all("select from api_models where not is_active")
        rows = api.get("/api_models", params={"select": "is_active"}).json()
        assert rows
        assert all(row["is_active"] for row in rows)

    @pytest.mark.parametrize(
        ("path", "params"),
        [
            ("/api_providers", {"select": "secret_name"}),
            ("/api_providers", {"select": "rate_limits"}),
            ("/api_providers", {"select": "base_url"}),
            ("/api_providers", {"select": "*"}),
            ("/api_providers", {"select": "id", "secret_name": "like.Open*"}),
            ("/api_providers", {"select": "id", "order": "secret_name"}),
            ("/api_models", {"select": "id,api_providers(secret_name)"}),
        ],
    )
    def test_a_person_does_not_see_how_providers_are_reached(
        self, api: httpx.Client, path: str, params: dict[str, str]
    ) -> None:
        assert is_refused(api.get(path, params=params))

    @pytest.mark.parametrize("table", ["api_models", "api_providers"])
    def test_a_person_changes_neither_models_nor_providers(
        self, stack: Stack, api: httpx.Client, table: str
    ) -> None:
        # Admins may; for others, row level security hides the rows.
        every = {"is_active": "eq.true"}
        before = stack.all(f"select * from {table} order by id")  # noqa: S608
        api.patch(f"/{table}", params=every, json={"display_name": "x"})
        api.delete(f"/{table}", params=every)
        assert stack.all(f"select * from {table} order by id") == before  # noqa: S608

    def test_nobody_unknown_sees_models(self, stack: Stack) -> None:
        with stack.data_api() as anybody:
            assert is_refused(anybody.get("/api_models", params={"select": "id"}))


class TestNesting:
    @pytest.mark.parametrize("column", ["input_defaults", "capabilities", "pricing", "catalog"])
    def test_nesting_of_a_model_is_limited(self, stack: Stack, column: str) -> None:
        self.check(stack, f"update api_models set {column} = %s")  # noqa: S608

    def test_nesting_of_the_settings_is_limited(self, stack: Stack) -> None:
        self.check(stack, "update private.system_settings set config = config || %s")

    def test_nesting_of_a_book_is_limited(self, stack: Stack) -> None:
        stack.conversation(stack.user())
        self.check(stack, "update characters set character_book = %s", most=60)

    def check(self, stack: Stack, query: str, *, most: int = 30) -> None:
        stack.db.execute(query.encode(), (nested(most),))
        for levels in (most + 10, 1_000):
            with pytest.raises(psycopg.errors.CheckViolation):
                stack.db.execute(query.encode(), (nested(levels),))


def nested(levels: int) -> str:
    return '{"a":' + "[" * levels + "]" * levels + "}"


class TestSystemConfig:
    def test_a_person_sees_how_the_worker_is_and_not_where(
        self, stack: Stack, api: httpx.Client
    ) -> None:
        stack.register_worker("https://worker.example.com")
        assert api.get("/chat_worker_health").json() == []
        stack.worker_health(healthy=False, healthError="https://worker.example.com is away")
        assert api.get("/system_config").json() == []
        (row,) = api.get("/chat_worker_health").json()
        assert list(row) == ["name", "display_name", "is_healthy", "checked_at", "response_ms"]
        assert (row["name"], row["display_name"]) == ("chat_worker", "Local model")
        assert (row["is_healthy"], row["response_ms"]) == (False, 12)
        assert "worker.example" not in str(row)

    @pytest.mark.parametrize(
        "record", [[], "well", None, {"isHealthy": "yes"}, {"lastCheck": 5}, {"isHealthy": [True]}]
    )
    def test_record_of_any_shape_is_no_sign_of_health(
        self, stack: Stack, api: httpx.Client, record: object
    ) -> None:
        stack.register_worker("https://worker.example.com")
        stack.configure(workerHealthCache={"chatWorker": record})
        answer = api.get("/chat_worker_health")
        assert answer.status_code == 200
        assert not any(row["is_healthy"] for row in answer.json())

    def test_the_service_key_sees_all(self, stack: Stack) -> None:
        stack.register_worker("https://worker.example.com/")
        with stack.data_api(key=SECRET_KEY) as operator:
            (row,) = operator.get("/system_config").json()
        assert row["config"]["chatWorkerUrl"] == "https://worker.example.com"

    @pytest.mark.parametrize("gone", ["delete from", "truncate"])
    def test_nobody_removes_it(self, stack: Stack, gone: str) -> None:
        with pytest.raises(psycopg.errors.RaiseException, match="cannot be deleted"):
            stack.db.execute(f"{gone} private.system_settings".encode())

    @pytest.mark.parametrize(
        "long",
        [
            "api_models set display_name = repeat('x', 201)",
            "api_models set model_family = repeat('x', 201)",
            "api_models set description = repeat('x', 4001)",
            "api_models set task = repeat('x', 101)",
            "api_models set modality = repeat('x', 101)",
            """api_models set catalog = jsonb_build_object('x', repeat('x', 4000))""",
            "api_providers set display_name = repeat('x', 201)",
            "prompt_templates set model_family = repeat('x', 201)",
            "private.system_settings set config = jsonb_build_object('x', repeat('x', 1048576))",
        ],
    )
    def test_nothing_that_every_turn_reads_is_long(self, stack: Stack, long: str) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            stack.db.execute(f"update {long}".encode())

    def test_a_person_does_not_change_it(self, stack: Stack, api: httpx.Client) -> None:
        change = {"config": {"chatWorkerUrl": "https://elsewhere.example.com"}}
        assert api.patch("/system_config", params={"id": "eq.1"}, json=change).is_error
        call = {"p_url": "https://elsewhere.example.com"}
        assert is_refused(api.post("/rpc/set_chat_worker_url", json=call))
        with stack.data_api() as anybody:
            assert is_refused(anybody.post("/rpc/set_chat_worker_url", json=call))
            assert is_refused(anybody.get("/system_config"))
        assert stack.one("select config from system_config")["config"]["chatWorkerUrl"] is None

    @pytest.mark.parametrize("name", ["begin_turn", "finish_turn", "record_worker_health"])
    def test_a_person_does_not_call_what_functions_call(self, api: httpx.Client, name: str) -> None:
        arguments = {
            "begin_turn": {
                "p_turn_id": str(uuid4()),
                "p_user_id": str(uuid4()),
                "p_task": "roleplay",
                "p_action": "send",
            },
            "finish_turn": {"p_turn_id": str(uuid4()), "p_status": "complete"},
            "record_worker_health": {"p_records": {}},
        }
        assert is_refused(api.post(f"/rpc/{name}", json=arguments[name]))


class TestConversations:
    def test_a_person_writes_and_reads_their_own(self, stack: Stack) -> None:
        user = stack.user()
        with stack.data_api(user) as api:
            api.headers["Prefer"] = "return=representation"
            row = {"user_id": str(user.id), "character_id": str(DEMO_CHARACTER), "title": "Fog"}
            (conversation,) = api.post("/conversations", json=row).json()
            message = {
                "conversation_id": conversation["id"],
                "sender": "user",
                "content": "Hello.",
                "message_type": "text",
            }
            assert api.post("/messages", json=message).status_code == 201
        assert stack.said(UUID(conversation["id"])) == [("user", "Hello.")]

    def test_a_person_sees_nothing_of_others(self, stack: Stack, api: httpx.Client) -> None:
        stack.conversation(stack.user(), "Mine.", "Yours.")
        assert api.get("/conversations").json() == []
        assert api.get("/messages").json() == []
        assert api.get("/profiles", params={"display_name": "is.null"}).json() == []

    def test_a_person_writes_nothing_for_others(self, stack: Stack, api: httpx.Client) -> None:
        other = stack.user()
        conversation = stack.conversation(other)
        assert is_refused(api.post("/conversations", json={"user_id": str(other.id)}))
        words = {"conversation_id": str(conversation), "sender": "user", "content": "Hello."}
        assert is_refused(api.post("/messages", json=words))
        assert stack.said(conversation) == []

    def test_a_person_does_not_speak_for_the_character(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        words = {"conversation_id": str(conversation), "sender": "character", "content": "Hello."}
        with stack.data_api(user) as api:
            assert is_refused(api.post("/messages", json=words))
        assert stack.said(conversation) == []

    def test_a_person_does_not_rewrite_or_hand_over(self, stack: Stack) -> None:
        user, other = stack.user(), stack.user()
        conversation = stack.conversation(user, "Hello.", "Welcome.")
        its_messages = {"conversation_id": f"eq.{conversation}"}
        with stack.data_api(user) as api:
            assert is_refused(api.patch("/messages", params=its_messages, json={"content": "x"}))
            assert is_refused(
                api.patch(
                    "/conversations",
                    params={"id": f"eq.{conversation}"},
                    json={"user_id": str(other.id)},
                )
            )

    def test_a_person_does_not_vouch_for_their_age(self, stack: Stack) -> None:
        user = stack.user()
        with stack.data_api(user) as api:
            own = {"id": f"eq.{user.id}"}
            assert is_refused(api.patch("/profiles", params=own, json={"age_verified": True}))
            role = {"user_id": str(user.id), "role": "admin"}
            assert is_refused(api.post("/user_roles", json=role))
