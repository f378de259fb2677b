"""Starts what a turn needs: Postgres, PostgREST, Supabase's address, a provider, users."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from bench.programs import BENCH, Program, Programs
from bench.prose import question, sentence
from tests.support.keys import Keys
from tests.support.postgres import OWNER, Connection, Postgres, running_postgres
from tests.support.postgrest import running_postgrest
from tests.support.stack import DEMO_CHARACTER
from tests.support.waiting import free_port

DATABASE = "bench"
PEOPLE = 1024
"""Number of users. Each has one conversation, so that no two running turns share one."""
HISTORY = 20
"""Messages in each conversation at the start of a measurement; every second one is a reply."""
PAST = datetime(2026, 1, 1, tzinfo=UTC)
"""The times of the stored turns. Without these rows, tables would be too small to use indexes."""


@dataclass(frozen=True)
class Person:
    """A signed-in user and their conversation."""

    user_id: str
    conversation_id: str
    token: str
    words: str
    """Their next message, different from everybody else's."""


@dataclass(frozen=True)
class Traffic:
    """Traffic between a function and the database, in bytes including headers."""

    calls: int
    to_database: int
    from_database: int
    milliseconds: float

    def since(self, before: "Traffic") -> "Traffic":
        """The traffic after `before`."""
        return Traffic(
            self.calls - before.calls,
            self.to_database - before.to_database,
            self.from_database - before.from_database,
            self.milliseconds - before.milliseconds,
        )


@dataclass(frozen=True)
class Surroundings:
    """Everything except the measured system."""

    postgres: Postgres
    db: Connection
    gateway: Program
    upstream: Program
    counters: int
    """Port of the gateway's counters."""
    key: str
    people: list[Person]

    def environment(self) -> dict[str, str]:
        """The environment of a deployed function."""
        return {
            "FUNCTION_USE_ASGI": "1",
            "SUPABASE_URL": self.gateway.url,
            "SUPABASE_SECRET_KEY": self.key,
            "ALLOW_LOCAL_UPSTREAMS": "true",
            "OpenRouter_Roleplay_API_KEY": "sk-bench",
        }

    def upstream_url(self, tokens: int, gap_ms: int) -> str:
        """The address of a provider that sends `tokens` tokens, `gap_ms` milliseconds apart."""
        return f"{self.upstream.url}/{tokens}/{gap_ms}/v1"

    def use_upstream(self, tokens: int, gap_ms: int) -> None:
        """Set the address of the database's provider to it."""
        self.db.execute(
            "update api_providers set base_url = %s", [self.upstream_url(tokens, gap_ms)]
        )

    def forget(self) -> None:
        """Reset the database to its state before the first turn."""
        self.db.execute("truncate memories, model_cooldowns cascade")
        self.db.execute("truncate private.spent_daily, private.spent_by_person")
        self.db.execute("delete from turns where created_at > %s", [PAST])
        self.db.execute("delete from usage_events where created_at > %s", [PAST])
        self.db.execute("delete from messages where position > %s", [PEOPLE * HISTORY])
        self.db.execute("vacuum (analyze) messages, turns, usage_events, conversations, memories")

    def turns(self) -> int:
        """The number of complete, saved turns since the reset."""
        found = self.db.execute(
            "select count(*) as n from turns where status = 'complete' and created_at > %s", [PAST]
        )
        return int(found.fetchall()[0]["n"])

    def traffic(self) -> Traffic:
        """The traffic through the gateway so far."""
        address = f"http://127.0.0.1:{self.counters}/"
        count = httpx.get(address, trust_env=False).raise_for_status().json()
        calls = sum(count.pop("calls").values())
        return Traffic(calls=calls, **count)

    def turn(self, person: Person, *, stream: bool, path: str = "/") -> dict[str, Any]:
        """The request of a person's turn for the load generator."""
        body = {
            "message": person.words,
            "conversation_id": person.conversation_id,
            "character_id": str(DEMO_CHARACTER),
            "client_message_id": "$ID",
            "user_id": person.user_id,
            "stream": stream,
        }
        headers = {"Authorization": f"Bearer {person.token}", "Content-Type": "application/json"}
        return {
            "path": path,
            "headers": headers,
            "body": json.dumps(body),
            "words": person.words,
        }


@contextmanager
def surroundings(programs: Programs) -> Iterator[Surroundings]:
    """Start everything, and stop it at the end of the block."""
    keys = Keys()
    with (
        running_postgres() as postgres,
        _prepared(postgres) as db,
        running_postgrest(postgres, DATABASE, keys.secret) as postgrest,
    ):
        counters = free_port()
        gateway = programs.start(
            "gateway",
            lambda port: ["node", BENCH / "node/gateway.mjs", port, postgrest.port, counters],
            ready="/auth/v1/",
            given=json.dumps(keys.jwks()).encode(),
        )
        upstream = programs.start(
            "upstream", lambda port: ["node", BENCH / "node/upstream.mjs", port]
        )
        keys.issuer = f"{gateway.url}/auth/v1"
        yield Surroundings(
            postgres,
            db,
            gateway,
            upstream,
            counters,
            keys.role_token("service_role"),
            _people(db, keys),
        )


@contextmanager
def _prepared(postgres: Postgres) -> Iterator[Connection]:
    postgres.create(DATABASE)
    postgres.migrate(DATABASE)
    postgres.seed(DATABASE)
    with postgres.connect(DATABASE, OWNER) as db:
        # No limits, because few users run many turns here.
        db.execute("update private.system_settings set config = config || '{\"limits\": {}}'")
        yield db


def _people(db: Connection, keys: Keys) -> list[Person]:
    rows = db.execute(_PEOPLE, {"people": PEOPLE, "character": DEMO_CHARACTER}).fetchall()
    db.execute(_MESSAGES, {"said": [sentence(number) for number in range(HISTORY)]})
    db.execute(_TURNS, {"past": PAST})
    db.execute("analyze")
    return [
        Person(str(row["user_id"]), str(row["id"]), keys.token(row["user_id"]), question(number))
        for number, row in enumerate(rows)
    ]


_PEOPLE = """
with people as (
  insert into auth.users (id, email)
  select id, id || '@example.com'
  from (select gen_random_uuid() as id from generate_series(1, %(people)s)) new
  returning id),
profiles as (
  insert into public.profiles (id, display_name) select id, 'Ada' from people)
insert into public.conversations (user_id, character_id) select id, %(character)s from people
returning user_id, id
"""
_MESSAGES = """
insert into public.messages (conversation_id, sender, content)
select c.id, case n %% 2 when 1 then 'user' else 'character' end, words
from public.conversations c cross join unnest(%(said)s::text[]) with ordinality said (words, n)
order by n
"""
_TURNS = """
with past as (
  insert into public.turns (user_id, conversation_id, task, action, client_message_id, status,
    lease_expires_at, character_id, reply_message_id, created_at, finished_at)
  select c.user_id, c.id, 'roleplay', 'send', m.id, 'complete', %(past)s, c.character_id, m.id,
    %(past)s, %(past)s
  from public.messages m join public.conversations c on c.id = m.conversation_id
  where m.sender = 'character'
  returning id, user_id)
insert into public.usage_events
  (turn_id, user_id, provider, model_key, purpose, outcome, duration_ms, created_at)
select id, user_id, 'openrouter', 'bench', 'reply', 'ok', 1, %(past)s from past
"""
