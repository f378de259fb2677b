"""Everything that a function needs, reset for each test, with shortcuts to use it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from httpx_sse import EventSource
from psycopg.errors import ForeignKeyViolation
from psycopg.types.json import Jsonb

from tests.support.functions import are_idle, have_ended, serve
from tests.support.gateway import PUBLISHABLE_KEY, SECRET_KEY, Gateway
from tests.support.keys import Keys
from tests.support.patient import NO_CERTIFICATES
from tests.support.postgres import Connection
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, wait_until

DEMO_CHARACTER = UUID("c0ffee00-0000-4000-8000-000000000001")
OPENROUTER_KEY = "sk-or-test"
WORKER_KEY = "worker-test"
HEALTH_CHECK_SECRET = "health-check-test"


@dataclass(frozen=True)
class User:
    """A signed-in user."""

    id: UUID
    email: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that supabase-js sends for this user."""
        return {"Authorization": f"Bearer {self.token}", "apikey": PUBLISHABLE_KEY}


@dataclass(frozen=True)
class Event:
    """A server-sent event with JSON data."""

    name: str
    data: Any


class Stream:
    """A streamed turn as it arrives. Leaving the `with` early is like a client that disconnects."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._events = EventSource(response).iter_sse()

    def __iter__(self) -> Iterator[Event]:
        for sent in self._events:
            yield Event(sent.event, json.loads(sent.data))

    def until(self, name: str) -> list[Event]:
        """The events up to and including the first with this name."""
        events: list[Event] = []
        for event in self:
            events.append(event)
            if event.name == name:
                return events
        raise AssertionError(f"the stream ended without {name!r}: {events}")


@dataclass
class Stack:
    """The environment of a test of the functions."""

    db: Connection
    gateway: Gateway
    upstream: Upstream  # OpenRouter
    worker: Upstream  # the chat worker
    keys: Keys
    function_url: Callable[[str], str]  # URL of a function with the settings of `env()`

    def env(self, **changes: str) -> dict[str, str]:
        """The functions' environment with changes, for tests that serve one with other settings."""
        return {
            "SUPABASE_URL": self.gateway.url,
            "SUPABASE_SECRET_KEY": SECRET_KEY,
            "SUPABASE_JWT_SECRET": self.keys.secret,
            "ALLOW_LOCAL_UPSTREAMS": "true",
            "OpenRouter_Roleplay_API_KEY": OPENROUTER_KEY,
            "CHAT_WORKER_API_KEY": WORKER_KEY,
            "HEALTH_CHECK_SECRET": HEALTH_CHECK_SECRET,
            "SAVE_PATIENCE_SECONDS": "20",
            "KEY_CHECK_MINUTES": "0",
            "CATALOG_HOURS": "0",
        } | changes

    @property
    def is_adopted(self) -> bool:
        """Whether the database is that of an existing product."""
        row = self.one("select to_regclass('private.adoption_steps') is not null as adopted")
        return bool(row["adopted"])

    @property
    def positions(self) -> str:
        """The sequence that numbers messages."""
        return "private.message_positions" if self.is_adopted else "public.messages_position_seq"

    def user(
        self, name: str | None = None, *, age_verified: bool = False, **token_options: Any
    ) -> User:
        """A new signed-in user. token_options are passed to Keys.token."""
        user_id = uuid4()
        email = f"{user_id}@example.com"
        self.db.execute("insert into auth.users (id, email) values (%s, %s)", (user_id, email))
        self.db.execute(
            "insert into profiles (id, display_name, age_verified) values (%s, %s, %s)",
            (user_id, name, age_verified),
        )
        return User(user_id, email, self.keys.token(user_id, **token_options))

    def delete_user(self, user_id: str) -> int:
        """Deletes a user as the Auth server does, with what refers to them; its HTTP status."""
        try:
            done = self.db.execute("delete from auth.users where id = %s", (user_id,))
        except ForeignKeyViolation:
            return 500
        return 200 if done.rowcount else 404

    def conversation(self, user: User, *said: str, **columns: Any) -> UUID:
        """A conversation of this user with the demo character, or with `character_id`.

        `said` are its messages, oldest first, alternating between user and character.
        """
        row = {"user_id": user.id, "character_id": DEMO_CHARACTER} | columns
        conversation_id = self.insert("conversations", **row)
        for number, content in enumerate(said):
            sender = "character" if number % 2 else "user"
            self.insert("messages", conversation_id=conversation_id, sender=sender, content=content)
        return conversation_id

    def insert(self, table: str, **columns: Any) -> UUID:
        """Inserts a row and returns its id; dicts and lists become JSON."""
        values = [Jsonb(v) if isinstance(v, dict | list) else v for v in columns.values()]
        row = self.one(
            f"insert into {table} ({', '.join(columns)}) "  # noqa: S608
            f"values ({', '.join(['%s'] * len(values))}) returning id",
            *values,
        )
        return UUID(str(row["id"]))

    def one(self, query: str, *values: Any) -> dict[str, Any]:
        """The only row of a query. AssertionError unless there is exactly one."""
        rows = self.all(query, *values)
        assert len(rows) == 1, f"{len(rows)} rows instead of one: {rows}"
        return rows[0]

    def all(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """All rows of a query, as the role `postgres`."""
        return self.db.execute(query.encode(), values or None).fetchall()

    def said(self, conversation_id: UUID) -> list[tuple[str, str]]:
        """(sender, content) of a conversation's active messages, oldest first."""
        rows = self.all(
            "select sender, content from messages "
            "where conversation_id = %s and is_active order by position",
            conversation_id,
        )
        return [(row["sender"], row["content"]) for row in rows]

    def configure(self, **settings: Any) -> None:
        """Changes keys of the operator's settings."""
        self.db.execute(
            "update private.system_settings set config = config || %s", (Jsonb(settings),)
        )

    def register_worker(self, url: str | None = None, *, protocol: str = "chat_worker") -> None:
        """Registers the scripted worker, or another address, as the chat worker."""
        self.db.execute("select set_chat_worker_url(%s, %s)", (url or self.worker.url, protocol))

    def unregister_worker(self) -> None:
        """Removes the chat worker, as in the seed."""
        self.db.execute("select set_chat_worker_url(null)")

    def add_worker(
        self, name: str, url: str | None = None, *, healthy: bool | None = True, **columns: Any
    ) -> None:
        """Adds one of several workers, with its health record unless `healthy` is None."""
        address = url or self.worker.url
        row = {"name": name, "url": address, "protocol": "openai", "model": name} | columns
        values = [Jsonb(v) if isinstance(v, dict) else v for v in row.values()]
        self.db.execute(
            f"insert into private.workers ({', '.join(row)}) "  # noqa: S608
            f"values ({', '.join(['%s'] * len(row))})".encode(),
            values,
        )
        if healthy is not None:
            self.worker_health(name, healthy=healthy, workerUrl=address)

    def worker_health(
        self,
        worker: str = "chatWorker",
        *,
        healthy: bool = True,
        age_seconds: float = 0,
        **more: Any,
    ) -> None:
        """Writes a worker's health record, as of `age_seconds` ago."""
        checked = (datetime.now(UTC) - timedelta(seconds=age_seconds)).isoformat()
        record = {
            "isHealthy": healthy,
            "lastCheck": checked,
            "lastChecked": checked,
            "responseTime": 12,
            "responseTimeMs": 12,
            "healthError": None if healthy else "it is down",
            "workerUrl": self.worker.url,
        } | more
        self.db.execute("select record_worker_health(%s)", (Jsonb({worker: record}),))

    @contextmanager
    def serving(self, function: str = "roleplay_chat", **changes: str) -> Iterator[str]:
        """Serves a function with other settings; its URL is for the `url` of chat and stream."""
        for ordinary in ("roleplay_chat", "health_check"):
            self.function_url(ordinary)  # served first, so that it does not see the changes
        with serve(function, self.env(**changes)) as url:
            yield url

    def chat(self, user: User | None, *, url: str | None = None, **body: Any) -> httpx.Response:
        """One turn as JSON. `url` is that of a function with other settings."""
        target = url or self.function_url("roleplay_chat")
        with _client(user.headers if user else {}) as client:
            return client.post(target, json=body)

    @contextmanager
    def streaming(
        self, user: User | None, *, url: str | None = None, **body: Any
    ) -> Iterator[Stream]:
        """One turn as server-sent events, read as they arrive."""
        target = url or self.function_url("roleplay_chat")
        body = {"stream": True} | body
        with (
            _client(user.headers if user else {}) as client,
            client.stream("POST", target, json=body) as response,
        ):
            yield Stream(response)

    def stream(self, user: User | None, *, url: str | None = None, **body: Any) -> list[Event]:
        """One turn as server-sent events, read to the end."""
        with self.streaming(user, url=url, **body) as events:
            return list(events)

    def health_check(self, secret: str = HEALTH_CHECK_SECRET, **headers: str) -> httpx.Response:
        """Runs the health check as the scheduler does."""
        authorization = {"Authorization": f"Bearer {secret}"} if secret else {}
        with _client(authorization | headers) as client:
            return client.post(self.function_url("health_check"))

    def data_api(self, user: User | None = None, *, key: str = PUBLISHABLE_KEY) -> httpx.Client:
        """A client of the Data API, for a user or with only a key. The caller closes it."""
        headers = {"apikey": key} | (user.headers if user else {})
        return _client(headers, f"{self.gateway.url}/rest/v1")

    def settle(self) -> None:
        """Ends scripted responses and troubles, and waits until the functions are idle."""
        self.upstream.reset()
        self.worker.reset()
        self.gateway.reset()
        wait_until(self._has_no_calls, "the functions to end their calls")
        with suppress(TimeoutError):  # a turn whose process was killed stays running
            wait_until(self._is_quiet, "the functions to fall silent", seconds=6)

    def _has_no_calls(self) -> bool:
        return not (self.gateway.in_progress + self.upstream.in_progress + self.worker.in_progress)

    def _is_quiet(self) -> bool:
        # Memory is written after the answer, between calls that no server sees.
        if not self._has_no_calls() or not are_idle():
            return False
        return have_ended() or not self.all("select from turns where status = 'running'")


def _client(headers: dict[str, str], base_url: str = "") -> httpx.Client:
    return httpx.Client(
        headers=headers,
        base_url=base_url,
        timeout=PATIENCE,
        verify=NO_CERTIFICATES,
        trust_env=False,
    )


def waits(stack: Stack, db: Connection) -> bool:
    """Whether the connection waits for a lock of another."""
    blocked = stack.one("select pg_blocking_pids(%s) as by", db.info.backend_pid)
    return bool(blocked["by"])
