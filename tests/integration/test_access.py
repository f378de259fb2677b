"""Nobody reads, writes or spends what is not theirs, and these lists are complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg import Rollback

from edge.addresses import _NOT_PUBLIC, AddressRejected, check_address, is_public
from tests.support import addresses, patient
from tests.support.answers import error, reply, text, worker_healthy
from tests.support.data_api import is_refused
from tests.support.gateway import PUBLISHABLE_KEY, SECRET_KEY
from tests.support.owned_rows import (
    BEHIND,
    ROWS,
    VIEWS,
    character,
    memory,
    model,
    promoted,
    provider,
)
from tests.support.permissions import (
    EXPECTED,
    FUNCTIONS,
    GRANTS,
    POLICIES,
    PRIVATE,
    ROLES,
    SHARED,
    STORAGE_POLICIES,
)
from tests.support.postgres import Connection
from tests.support.stack import DEMO_CHARACTER, HEALTH_CHECK_SECRET, Stack, User
from tests.support.upstream import Upstream, running_upstream


class Trial:
    """One role tries all four operations on rows of the owner."""

    def __init__(self, stack: Stack, name: str, role: str) -> None:
        self.stack = stack
        self.table = name.partition(",")[0]
        self.row = ROWS[name]
        self.role = role

    def allowed(self) -> str:
        """The letters of the allowed operations, as in the matrix."""
        tries = {"s": self.select, "i": self.insert, "u": self.update, "d": self.delete}
        return "".join(letter if allowed() else "-" for letter, allowed in tries.items())

    def select(self) -> bool:
        with self._acting() as (owner, api):
            key = self.row.make(self.stack, owner)
            columns = {"select": next(iter(key))}
            answer = api.get(f"/{self.table}", params=columns | self._filter(key))
            return bool(answer.is_success and answer.json()) or self._refused(answer)

    def insert(self) -> bool:
        with self._acting() as (owner, api):
            answer = api.post(f"/{self.table}", json=self.row.body(self.stack, owner))
            return answer.status_code == 201 or self._refused(answer)

    def update(self) -> bool:
        with self._acting() as (owner, api):
            key = self.row.make(self.stack, owner)
            before = self._stored(key)
            answer = api.patch(f"/{self.table}", params=self._filter(key), json=self.row.change)
            return self._stored(key) != before or self._refused(answer)

    def delete(self) -> bool:
        with self._acting() as (owner, api):
            key = self.row.make(self.stack, owner)
            answer = api.delete(f"/{self.table}", params=self._filter(key))
            return not self._stored(key) or self._refused(answer)

    @contextmanager
    def _acting(self) -> Iterator[tuple[User, httpx.Client]]:
        """A new owner, and a client of the Data API with the role."""
        owner = self.stack.user()
        actor = {"owner": owner, "other": self.stack.user(), "admin": self.stack.user()}
        promoted(self.stack, actor["admin"])
        key = SECRET_KEY if self.role == "service" else PUBLISHABLE_KEY
        with self.stack.data_api(actor.get(self.role), key=key) as api:
            yield owner, api

    def _filter(self, key: dict[str, Any]) -> dict[str, str]:
        return {column: f"eq.{value}" for column, value in key.items()}

    def _stored(self, key: dict[str, Any]) -> list[dict[str, Any]]:
        ((column, value),) = key.items()
        table = BEHIND.get(self.table, f"public.{self.table}")
        return self.stack.all(f"select * from {table} where {column} = %s", value)  # noqa: S608

    def _refused(self, answer: httpx.Response) -> bool:
        """False, after checking that only the missing permission was the reason."""
        if answer.is_error and self.table not in VIEWS:
            assert is_refused(answer), answer.text
        elif answer.is_error:  # Not every operation is possible on a view.
            assert answer.status_code in (400, 401, 403, 405, 500), answer.text
        return False


CONSOLE = pytest.mark.own_tables("its admin pages are its own: tests/existing/test_adopted.py")
THEIRS = pytest.mark.own_tables("its policies are its own, and stay: tests/existing/test_facts.py")
OF_A_PRODUCT = {
    *("api_models", "api_providers", "characters", "conversations", "messages", "profiles"),
    *("prompt_templates", "provider_settings", "system_config", "user_roles"),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=THEIRS if name.partition(",")[0] in OF_A_PRODUCT else ())
        for name in EXPECTED
    ],
)
def test_policy_matrix(stack: Stack, name: str) -> None:
    assert {role: Trial(stack, name, role).allowed() for role in ROLES} == EXPECTED[name]


@pytest.mark.own_tables("what is added there: tests/existing/test_adopted.py")
class TestNothingIsLeftOut:
    """New tables, policies, functions and grants have to be added to tests/support/permissions.py,
    and tables to owned_rows.py."""

    def test_every_table_and_view_is_in_the_list(self, stack: Stack) -> None:
        rows = stack.all("""
            select relnamespace::regnamespace::text as schema, relname as name from pg_class
            where relnamespace::regnamespace::text in ('public', 'private', 'shared')
              and relkind in ('r', 'p', 'v', 'm', 'f')""")
        found = {(row["schema"], row["name"]) for row in rows}
        listed = {("public", name.partition(",")[0]) for name in EXPECTED}
        seam = {("shared", name) for name in SHARED.split()}
        assert found == listed | {("private", name) for name in PRIVATE} | seam
        assert set(ROWS) == set(EXPECTED)

    def test_every_grant_is_in_the_list(self, stack: Stack) -> None:
        rows = stack.all("""
            with granted as (
              select c.relname as name, lower(a.privilege_type) as right, null as column, a.grantee
              from pg_class c, aclexplode(c.relacl) a
              where c.relnamespace::regnamespace::text in ('public', 'private', 'shared')
              union all
              select c.relname, lower(a.privilege_type), t.attname, a.grantee
              from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
              where c.relnamespace::regnamespace::text in ('public', 'private', 'shared'))
            select g.name, g.right, coalesce(r.rolname, 'public') as role,
                   string_agg(g.column, ', ' order by g.column) as columns
            from granted g left join pg_roles r on r.oid = g.grantee
            where coalesce(r.rolname, 'public') in ('public', 'anon', 'authenticated')
            group by 1, 2, 3 order by 1, 2""")
        assert {row["role"] for row in rows} == {"authenticated"}
        whole: dict[str, list[str]] = {}
        for row in rows:
            if row["columns"] is None:
                whole.setdefault(row["name"], []).append(row["right"])
        found = {f"{name}: {', '.join(rights)}" for name, rights in whole.items()}
        found |= {f"{r['name']}: {r['right']}({r['columns']})" for r in rows if r["columns"]}
        assert found == set(GRANTS.replace("\n    ", " ").strip().splitlines())

    def test_every_policy_is_in_the_list(self, stack: Stack) -> None:
        found = stack.all("select * from pg_policies where schemaname not in ('auth', 'vault')")
        assert {tuple(row["roles"]) for row in found} == {("authenticated",)}
        stored = {row["policyname"] for row in found if row["schemaname"] == "storage"}
        assert stored == set(STORAGE_POLICIES.split())
        rows = [row for row in found if row["schemaname"] != "storage"]
        assert {row["policyname"] for row in rows} == set(POLICIES.split())
        assert all(row["policyname"] == f"{row['tablename']}_{row['cmd'].lower()}" for row in rows)

    def test_every_function_is_in_the_list(self, stack: Stack) -> None:
        rows = stack.all("""
            select pronamespace::regnamespace || '.' || proname as name,
                   array_to_string(array(
                     select role from unnest(array['anon', 'authenticated', 'service_role']) role
                     where has_function_privilege(role, oid, 'execute')), ' ') as who
            from pg_proc
            where pronamespace::regnamespace::text in ('public', 'private', 'shared')""")
        listed = {name: who for who, names in FUNCTIONS.items() for name in names.split()}
        assert {row["name"]: row["who"] for row in rows} == listed

    def test_every_table_that_people_insert_into_has_a_quota(self, stack: Stack) -> None:
        granted = stack.all("""
            select relname as name from pg_class c
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
              and has_any_column_privilege('authenticated', c.oid, 'insert')""")
        counted = stack.all("""
            select c.relname as name, pg_get_triggerdef(t.oid) as trigger
            from pg_trigger t join pg_class c on c.oid = tgrelid
            where tgfoid = 'private.count_row'::regproc and tgenabled = 'O'""")
        assert {row["name"] for row in counted} == {row["name"] for row in granted}
        for row in counted:
            assert "BEFORE INSERT" in row["trigger"]
            assert "FOR EACH ROW" in row["trigger"]

    def test_every_table_that_people_write_asks_for_their_account(self, stack: Stack) -> None:
        granted = stack.all("""
            select relname as name from pg_class c
            where relnamespace = 'public'::regnamespace
              and (has_any_column_privilege('authenticated', c.oid, 'insert, update')
                   or has_table_privilege('authenticated', c.oid, 'delete'))""")
        asked = stack.all("""
            select c.relname as name, pg_get_triggerdef(t.oid) as trigger
            from pg_trigger t join pg_class c on c.oid = tgrelid
            where tgfoid = 'private.check_account'::regproc and tgenabled = 'O'""")
        assert {row["name"] for row in asked} == {row["name"] for row in granted}
        for row in asked:
            # Of a statement: also one that finds no row says nothing else.
            assert "BEFORE INSERT OR DELETE OR UPDATE ON" in row["trigger"]
            assert "FOR EACH STATEMENT" in row["trigger"]

    def test_no_other_schema_is_open(self, stack: Stack) -> None:
        rows = stack.all("""
            select nspname from pg_namespace
            where has_schema_privilege('authenticated', oid, 'usage')
              and nspname not in (
                'pg_catalog', 'information_schema', 'auth', 'extensions', 'storage')""")
        assert {row["nspname"] for row in rows} == {"public", "private"}


@CONSOLE
class TestDefaultModel:
    """One call changes the default model; only admins may call it."""

    def default(self, stack: Stack) -> UUID:
        row = stack.one("select id from api_models where task = 'roleplay' and is_default")
        return UUID(str(row["id"]))

    def choose(self, stack: Stack, user: User, model_id: UUID) -> httpx.Response:
        with stack.data_api(user) as api:
            return api.post("/rpc/set_default_model", json={"p_model_id": str(model_id)})

    def test_admin_sets_the_default_model(self, stack: Stack) -> None:
        admin = stack.user()
        promoted(stack, admin)
        other = stack.insert("api_models", **model(stack))
        assert self.choose(stack, admin, other).is_success
        assert self.default(stack) == other

    def test_others_cannot_set_the_default_model(self, stack: Stack) -> None:
        before, other = self.default(stack), stack.insert("api_models", **model(stack))
        assert is_refused(self.choose(stack, stack.user(), other))
        assert self.default(stack) == before

    @pytest.mark.parametrize("of", [{"is_active": False}, {"task": "moderation"}])
    def test_what_cannot_answer_is_not_chosen(self, stack: Stack, of: dict[str, Any]) -> None:
        admin = stack.user()
        promoted(stack, admin)
        before, other = self.default(stack), stack.insert("api_models", **model(stack, **of))
        assert self.choose(stack, admin, other).status_code == 400
        assert self.default(stack) == before


@CONSOLE
class TestProvidersThatGo:
    """An admin removes a provider; its key cannot be sent elsewhere."""

    @pytest.fixture
    def api(self, stack: Stack) -> Iterator[httpx.Client]:
        admin = stack.user()
        promoted(stack, admin)
        with stack.data_api(admin) as api:
            yield api

    def test_its_key_is_not_given_again(self, stack: Stack, api: httpx.Client) -> None:
        row = provider()
        assert api.post("/api_providers", json=row).is_success
        assert api.delete("/api_providers", params={"name": f"eq.{row['name']}"}).is_success
        assert stack.all("select from api_providers where name = %s", row["name"]) == []
        again = row | {"base_url": "https://elsewhere.example"}
        assert is_refused(api.post("/api_providers", json=again))

    def test_a_key_that_was_replaced_is_not_given_either(
        self, stack: Stack, api: httpx.Client
    ) -> None:
        row = provider()
        stack.insert("api_providers", **row)
        other = {"secret_name": f"OTHER_{row['secret_name']}"}
        stack.db.execute(
            "update api_providers set secret_name = %s where name = %s",
            (other["secret_name"], row["name"]),
        )
        for name in (row["secret_name"], other["secret_name"]):
            assert is_refused(api.post("/api_providers", json=provider(secret_name=name)))

    def test_one_with_models_stays(self, stack: Stack, api: httpx.Client) -> None:
        answer = api.delete("/api_providers", params={"name": "eq.openrouter"})
        assert answer.status_code == 409
        assert answer.json()["code"] == "23503"
        assert stack.all("select from api_providers where name = 'openrouter'")


@CONSOLE
class TestProvidersFromABrowser:
    """A provider that an admin adds gets no keys and prompts until an operator approves it."""

    @pytest.fixture
    def elsewhere(self) -> Iterator[Upstream]:
        """The admin's own host."""
        with running_upstream() as server:
            server.always(text("From elsewhere."))
            yield server

    @pytest.fixture
    def api(self, stack: Stack) -> Iterator[httpx.Client]:
        admin = stack.user()
        promoted(stack, admin)
        with stack.data_api(admin) as api:
            yield api

    def add(
        self, stack: Stack, api: httpx.Client, url: str, task: str = "roleplay", **more: Any
    ) -> str:
        """Adds a provider with a model, the default for everybody; returns the model's key."""
        row = provider(base_url=url, **more)
        assert api.post("/api_providers", json=row).is_success
        found = stack.one("select id from api_providers where name = %s", row["name"])
        free = {"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}
        capable = {"nsfw": True, "memory": True}
        own = model(stack, provider_id=str(found["id"]), pricing=free, capabilities=capable)
        own |= {"task": task, "priority": 0}
        assert api.post("/api_models", json=own).is_success
        new = stack.one("select id from api_models where model_key = %s", own["model_key"])
        call = {"p_model_id": str(new["id"])}
        assert api.post("/rpc/set_default_model", json=call).is_success
        return str(own["model_key"])

    @pytest.mark.parametrize(
        "more",
        [
            {"auth_scheme": "none", "secret_name": None},
            {"secret_name": "Spare_API_KEY"},
            {"secret_name": "Spare_API_KEY", "auth_scheme": "header", "auth_header_name": "X-Key"},
            {"secret_name": "Second_API_KEY"},
            {"secret_name": "Pods_API_KEY"},
        ],
        ids=["no-key", "unused-key", "in-a-header", "key-of-a-worker", "key-of-a-wake-hook"],
    )
    @pytest.mark.parametrize("task", ["roleplay", "storytelling", "prompt_enhancement"])
    def test_gets_neither_prompts_nor_keys(
        self, stack: Stack, api: httpx.Client, elsewhere: Upstream, task: str, more: dict[str, Any]
    ) -> None:
        hook = {"url": "https://pods.example", "secret_name": "Pods_API_KEY"}
        second: dict[str, Any] = {"secret_name": "Second_API_KEY", "options": {"wake": hook}}
        stack.add_worker("second", "https://second.example", **second)
        own = self.add(stack, api, elsewhere.url, task, **more)
        user = stack.user()
        where = {"conversation_id": str(stack.conversation(user))} if task == "roleplay" else {}
        stack.upstream.always(text("From OpenRouter."))
        keys = dict.fromkeys(("Spare_API_KEY", "Second_API_KEY", "Pods_API_KEY"), "canary")

        with stack.serving(**keys) as url:
            for chosen in (own, None):
                body = {"task": task, "message": "Hello", "model_provider": chosen} | where
                assert stack.chat(user, url=url, **body).json()["response"] == "From OpenRouter."
        with stack.serving("health_check", **keys) as url:
            assert patient.get(
                url, headers={"X-Health-Check-Secret": HEALTH_CHECK_SECRET}
            ).is_success

        assert elsewhere.calls == []
        assert elsewhere.connections == 0

    def test_is_not_offered_and_not_approved_by_an_admin(
        self, stack: Stack, api: httpx.Client, elsewhere: Upstream
    ) -> None:
        self.add(stack, api, elsewhere.url)
        ask = {"select": "base_url,is_approved", "is_approved": "eq.false"}
        assert api.get("/provider_settings", params=ask).json() == [
            {"base_url": elsewhere.url, "is_approved": False}
        ]
        waiting = {"base_url": f"eq.{elsewhere.url}"}
        assert is_refused(api.patch("/api_providers", params=waiting, json={"is_approved": True}))
        assert is_refused(api.post("/api_providers", json=provider(is_approved=True)))
        with stack.data_api(stack.user()) as person:
            listed = person.get("/api_providers", params={"select": "name"}).json()
        assert listed == [{"name": "openrouter"}]

    def test_approved_provider_gets_requests(
        self, stack: Stack, api: httpx.Client, elsewhere: Upstream
    ) -> None:
        self.add(stack, api, elsewhere.url, secret_name="Spare_API_KEY")
        with stack.data_api(key=SECRET_KEY) as operator:
            waiting = {"base_url": f"eq.{elsewhere.url}"}
            change = {"is_approved": True}
            assert operator.patch("/api_providers", params=waiting, json=change).is_success
        user = stack.user()
        body = {"conversation_id": str(stack.conversation(user)), "message": "Hello"}
        with stack.serving(Spare_API_KEY="spare") as url:
            assert stack.chat(user, url=url, **body).json()["response"] == "From elsewhere."
        [call] = elsewhere.calls
        assert call.headers["authorization"] == "Bearer spare"


class TestWordsOfOthers:
    """Admins see turns and their cost, but no texts of users."""

    TABLES = (
        *("turns", "characters", "character_cards", "messages", "conversations", "memories"),
        *("memory_facts", "conversation_summaries", "usage_events", "health_check_steps"),
        *("system_config", "conversation_characters", "token_calibrations", "model_cooldowns"),
        *("turn_prompts", "conversation_settings", "hidden_messages"),
        *("turn_reports", "conversation_entries", "account", "limit_settings"),
    )

    @pytest.mark.own_tables("its admins see all characters")
    def test_texts_of_others_are_in_nothing_that_an_admin_reads(self, stack: Stack) -> None:
        words, ann, admin = "quince-and-vellum", stack.user(), stack.user()
        promoted(stack, admin)
        mine = character(ann, description=words, character_book={"entries": [{"content": words}]})
        vera = str(stack.insert("characters", **mine))
        stack.db.execute(
            "insert into character_cards (character_id, card) values (%s, %s)",
            (vera, f'{{"note": "{words}"}}'),
        )
        memory_id = stack.insert("memories", **memory(stack, ann))
        stack.insert("memory_facts", memory_id=memory_id, content=words)
        conversation = str(stack.conversation(ann, words, character_id=vera, title=words))
        stack.upstream.always(text(f"A reply with {words}."))
        drafts = [
            {"task": "prompt_enhancement", "message": words},
            {"task": "storytelling", "message": words},
            {"conversation_id": conversation, "action": "impersonate"},
        ]
        said = {"conversation_id": conversation, "message": words}
        for number, body in enumerate((*drafts, said)):
            answer = stack.chat(ann, client_message_id=f"{number}", **body).json()
            assert words in answer["response"]
            again = stack.chat(ann, client_message_id=f"{number}", **body).json()
            assert again["response"] == answer["response"]

        with stack.data_api(admin) as api:
            seen = {table: api.get(f"/{table}") for table in self.TABLES}
            ended = api.get("/turns", params={"select": "status,model_used,cost_usd,result"}).json()
        assert [table for table, answer in seen.items() if words in answer.text] == []
        assert len(ended) == 4
        assert {row["status"] for row in ended} == {"complete"}
        assert all(row["result"]["usage"] for row in ended)

    def test_replies_that_are_no_message_go_with_the_results(self, stack: Stack) -> None:
        ann = stack.user()
        stack.upstream.always(text("A quiet harbour."))
        body = {"task": "prompt_enhancement", "message": "A harbour.", "client_message_id": "a"}
        assert stack.chat(ann, **body).status_code == 200
        stack.db.execute("update turns set finished_at = now() - interval '31 days'")
        assert stack.one("select apply_retention() as gone")["gone"]["turn_results"] == 1
        assert stack.all("select from private.turn_replies") == []
        assert stack.chat(ann, **body).json()["code"] == "reply_deleted"


@pytest.mark.installations
class TestPrivateSchema:
    @pytest.fixture
    def database(self, stack: Stack) -> Iterator[Connection]:
        """A block in which a role can be set; it is reset at the end."""
        with stack.db.transaction():
            yield stack.db
            raise Rollback

    @pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
    @pytest.mark.parametrize(
        "query",
        [
            "select * from private.system_settings",
            "update private.system_settings set config = '{}'",
            "select private.models_for('roleplay')",
            "select private.remembered(gen_random_uuid(), 'profile', null, null)",
            "select private.limits_for(gen_random_uuid())",
            "select private.forget_summary_from(gen_random_uuid(), 0)",
            "select * from private.forgotten_facts",
            pytest.param("select * from private.given_secrets", marks=CONSOLE),
            "select * from private.turn_replies",
            "select private.why_account_blocked(gen_random_uuid())",
        ],
    )
    def test_private_schema_is_closed(self, database: Connection, role: str, query: str) -> None:
        database.execute(f"set local role {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.execute(query.encode())

    def test_private_schema_is_not_served(self, stack: Stack) -> None:
        with stack.data_api(stack.user()) as api:
            answer = api.get("/system_settings", headers={"Accept-Profile": "private"})
            assert answer.status_code == 406
            answer = api.post("/rpc/is_admin", headers={"Content-Profile": "private"}, json={})
            assert answer.status_code == 406


@pytest.mark.installations
class TestCharactersOfOthers:
    """A row must not refer to a character that its owner cannot see."""

    @pytest.fixture(params=["other", "admin"])
    def api(self, stack: Stack, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
        """The Data API as another user, who may be an admin and see all characters."""
        self.me = stack.user()
        if request.param == "admin":
            promoted(stack, self.me)
        with stack.data_api(self.me) as api:
            yield api

    @pytest.fixture
    def hidden(self, stack: Stack) -> str:
        return str(stack.insert("characters", user_id=stack.user().id, name="Private"))

    @pytest.fixture(params=["mine", "public"])
    def visible(self, stack: Stack, api: httpx.Client, request: pytest.FixtureRequest) -> str:
        if request.param == "public":
            return str(DEMO_CHARACTER)
        return str(stack.insert("characters", user_id=self.me.id, name="Mine"))

    @THEIRS
    @pytest.mark.parametrize("column", ["character_id", "user_character_id"])
    def test_conversation_with_a_hidden_character_is_rejected(
        self, api: httpx.Client, hidden: str, column: str
    ) -> None:
        assert is_refused(api.post("/conversations", json=self.mine({column: hidden})))

    @pytest.mark.parametrize("column", ["character_id", "user_character_id"])
    def test_visible_ones_may_be(self, api: httpx.Client, visible: str, column: str) -> None:
        assert api.post("/conversations", json=self.mine({column: visible})).status_code == 201

    @THEIRS
    def test_as_a_persona_later(self, stack: Stack, api: httpx.Client, hidden: str) -> None:
        mine = {"id": f"eq.{stack.conversation(self.me)}"}
        change = {"user_character_id": hidden}
        assert is_refused(api.patch("/conversations", params=mine, json=change))
        change = {"user_character_id": str(DEMO_CHARACTER)}
        assert api.patch("/conversations", params=mine, json=change).is_success

    def test_memory_of_a_hidden_character_is_rejected(self, api: httpx.Client, hidden: str) -> None:
        row = self.mine({"tier": "character", "character_id": hidden})
        assert is_refused(api.post("/memories", json=row))

    def test_visible_ones_may_be_remembered(self, api: httpx.Client, visible: str) -> None:
        row = self.mine({"tier": "character", "character_id": visible})
        assert api.post("/memories", json=row).status_code == 201

    def test_conversation_of_somebody_else_is_not_remembered(
        self, stack: Stack, api: httpx.Client
    ) -> None:
        theirs = str(stack.conversation(stack.user()))
        row = self.mine({"tier": "conversation", "conversation_id": theirs})
        assert is_refused(api.post("/memories", json=row))

    def mine(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"user_id": str(self.me.id)} | row


class TestWorkerAddress:
    """The server at the registered address gets the worker's key and the chats."""

    @pytest.fixture(autouse=True)
    def deployed(self, stack: Stack) -> None:
        stack.configure(allowLocalWorkers=False)

    def register(self, stack: Stack, url: str) -> None:
        stack.db.execute("select set_chat_worker_url(%s)", (url,))

    def registered(self, stack: Stack) -> str | None:
        url = stack.one("select config ->> 'chatWorkerUrl' as url from system_config")["url"]
        return None if url is None else str(url)

    @pytest.mark.parametrize("url", addresses.PUBLIC)
    def test_public_https_address_is_taken(self, stack: Stack, url: str) -> None:
        self.register(stack, url)
        assert self.registered(stack) == url

    @pytest.mark.parametrize(
        "url",
        [
            *addresses.LOCAL,
            *addresses.DISGUISED,
            *addresses.NO_ADDRESS,
            "https://worker.example?x=1",
            "https://worker.example#x",
            "https://worker.example/a b",
            "https://worker.example/\\evil.example",
            "https://worker.example:0",
            "https://[2606:4700::1111]evil.example",
            "https://[2606:4700::zzzz]",
            "https://256.1.1.1",
            "https://010.1.1.1",
            "https://worker.example\n",
            f"https://worker.example/{'a' * 2000}",
        ],
    )
    def test_every_other_address_is_refused(self, stack: Stack, url: str) -> None:
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="the worker's address"):
            self.register(stack, url)
        assert self.registered(stack) is None

    @pytest.mark.parametrize("url", addresses.LOCAL)
    def test_local_work_may_allow_local_addresses(self, stack: Stack, url: str) -> None:
        stack.configure(allowLocalWorkers=True)
        self.register(stack, url)
        assert self.registered(stack) == url

    @pytest.mark.parametrize("url", addresses.NO_ADDRESS)
    def test_local_work_does_not_allow_everything(self, stack: Stack, url: str) -> None:
        stack.configure(allowLocalWorkers=True)
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            self.register(stack, url)

    @pytest.mark.parametrize("setting", ["true", 1, None])
    def test_nothing_but_true_allows_local_addresses(self, stack: Stack, setting: object) -> None:
        stack.configure(allowLocalWorkers=setting)
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            self.register(stack, "http://127.0.0.1:8788")

    @pytest.mark.own_tables("there system_config is the product's, and settings are private")
    def test_service_key_cannot_allow_them(self, stack: Stack) -> None:
        with stack.data_api(key=SECRET_KEY) as operator:
            config = {"config": {"allowLocalWorkers": True}}
            assert operator.patch("/system_config", params={"id": "eq.1"}, json=config).is_error
            call = {"p_url": "https://169.254.169.254/latest"}
            answer = operator.post("/rpc/set_chat_worker_url", json=call)
        assert (answer.status_code, answer.json()["code"]) == (400, "22023")

    def test_functions_and_database_know_the_same_addresses(self, stack: Stack) -> None:
        random = Random(5)  # noqa: S311 - the same every time
        edges = [
            ip_address(int(end) + step)
            for network in _NOT_PUBLIC
            for end in (network.network_address, network.broadcast_address)
            for step in (-1, 0, 1)
            if 0 <= int(end) + step < 2**network.max_prefixlen
        ]
        edges = [ip if ip.version == 4 or int(ip) >= 2**32 else ip_address("::1") for ip in edges]
        some: list[IPv4Address | IPv6Address] = [
            IPv4Address(random.getrandbits(32)) for _ in range(500)
        ]
        some += [IPv6Address(random.getrandbits(128)) for _ in range(200)]
        some += [IPv6Address(2**125 + random.getrandbits(125)) for _ in range(500)]
        known = [ip_address(one) for one in (*addresses.NOT_PUBLIC, *addresses.ARE_PUBLIC)]
        asked = {f"[{ip}]" if ip.version == 6 else str(ip) for ip in (*edges, *some, *known)}
        rows = stack.all(
            "select host, private.is_public_host(host) as public"
            " from unnest(%s::text[]) as h (host)",
            sorted(asked),
        )
        assert len(rows) > 1_000
        assert [
            row["host"] for row in rows if row["public"] != is_public(row["host"].strip("[]"))
        ] == []

    def test_functions_and_database_know_the_same_names(self, stack: Stack) -> None:
        label = "a" * 63
        long = ".".join([label] * 3)
        urls = [
            *(addresses.PUBLIC + addresses.LOCAL + addresses.DISGUISED + addresses.NO_ADDRESS),
            *(
                f"https://{label}.example",
                f"https://{label}a.example",
                f"https://{long}.{'a' * 61}",
            ),
            *(f"https://{long}.{'a' * 62}", "https://a_b.example", "https://a.example.."),
            *("https://a.1", "https://a.b1", "https://1.b", "https://a.-b", "https://a.b-"),
        ]
        for url in urls:
            row = stack.one("select private.why_address_rejected(%s, false) is null as taken", url)
            assert row["taken"] == is_taken(url), url

    def test_new_address_begins_without_health(self, stack: Stack) -> None:
        self.register(stack, "https://a.example")
        stack.worker_health(workerUrl="https://a.example")
        self.register(stack, "https://b.example")
        config = stack.one("select config from system_config")["config"]
        assert config["workerHealthCache"] == {}


def is_taken(url: str) -> bool:
    try:
        check_address(url, allow_local=False)
    except AddressRejected:
        return False
    return True


class TestKeysStayWhereTheyBelong:
    @pytest.fixture
    def elsewhere(self) -> Iterator[Upstream]:
        """A host that is not registered."""
        with running_upstream() as server:
            server.always(reply(200, {"success": True, "response": "Gotcha."}))
            yield server

    def talk(self, stack: Stack, **body: Any) -> dict[str, Any]:
        user = stack.user()
        conversation = str(stack.conversation(user))
        answer = stack.chat(user, conversation_id=conversation, message="Hello", **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_worker_that_redirects_is_not_followed(
        self, stack: Stack, elsewhere: Upstream, status: int
    ) -> None:
        stack.register_worker()
        stack.worker_health()
        stack.worker.always(reply(status, "", {"Location": f"{elsewhere.url}/chat"}))
        stack.upstream.enqueue(text("From OpenRouter."))

        body = self.talk(stack, model_provider="chat_worker")
        stack.health_check()

        assert body["response"] == "From OpenRouter."
        assert elsewhere.calls == []

    def test_provider_that_redirects_is_not_followed(
        self, stack: Stack, elsewhere: Upstream
    ) -> None:
        stack.register_worker()
        stack.worker_health()
        stack.upstream.always(reply(307, "", {"Location": f"{elsewhere.url}/chat/completions"}))
        stack.worker.enqueue(reply(200, {"success": True, "response": "From the worker."}))

        assert self.talk(stack)["response"] == "From the worker."
        assert elsewhere.calls == []

    def test_address_that_was_replaced_gets_nothing_more(
        self, stack: Stack, elsewhere: Upstream
    ) -> None:
        stack.register_worker(elsewhere.url)
        stack.register_worker()
        stack.worker.enqueue(worker_healthy(), to="/health")
        stack.worker.enqueue(reply(200, {"success": True, "response": "Here."}), to="/chat")

        stack.health_check()
        assert self.talk(stack, model_provider="chat_worker")["response"] == "Here."

        assert elsewhere.calls == []

    def test_cookies_of_an_upstream_are_not_sent_back(self, stack: Stack) -> None:
        cookie = {"Set-Cookie": "who=me; Path=/"}
        stack.upstream.enqueue(error(404, "", cookie), text("Yes."))
        self.talk(stack)
        assert [call.headers.get("cookie") for call in stack.upstream.calls] == [None, None]

    def test_provider_without_https_gets_no_key(self, stack: Stack) -> None:
        with stack.serving(ALLOW_LOCAL_UPSTREAMS="false") as url:
            user = stack.user()
            conversation = str(stack.conversation(user))
            answer = stack.chat(user, url=url, conversation_id=conversation, message="Hello")
        assert answer.status_code == 503
        assert stack.upstream.connections == 0 or stack.upstream.calls == []

    @pytest.mark.parametrize(
        "name",
        ["SUPABASE_SECRET_KEY", "SUPABASE_JWT_SECRET", "SUPABASE_X_API_KEY", "supabase_API_KEY"],
    )
    def test_row_cannot_name_a_secret_of_the_function(self, stack: Stack, name: str) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            stack.db.execute("update api_providers set secret_name = %s", (name,))

    def test_row_that_names_the_workers_key_is_not_given_it(self, stack: Stack) -> None:
        stack.db.execute("update api_providers set secret_name = 'CHAT_WORKER_API_KEY'")
        user = stack.user()
        conversation = str(stack.conversation(user))
        answer = stack.chat(user, conversation_id=conversation, message="Hello")
        assert answer.status_code == 503
        assert stack.upstream.calls == []


def test_usage_of_others_is_not_readable(stack: Stack) -> None:
    ann, bob = stack.user(), stack.user()
    conversation: UUID = stack.conversation(ann)
    stack.upstream.enqueue(text("Yes."))
    stack.chat(ann, conversation_id=str(conversation), message="Hello")

    with stack.data_api(ann) as hers, stack.data_api(bob) as his:
        for table in (
            "turns",
            "turn_prompts",
            "usage_events",
            "messages",
            "memories",
            "conversations",
        ):
            assert len(hers.get(f"/{table}").json()) >= 1, table
            assert his.get(f"/{table}").json() == [], table
