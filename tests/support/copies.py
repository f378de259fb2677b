"""Installations with databases of their own, for tests that copy one or bring it up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from dev.backup.contents import own_tables
from dev.operate import migrate
from tests.support.answers import stream
from tests.support.functions import FUNCTIONS, serve, serve_process
from tests.support.gateway import running_gateway
from tests.support.keys import Keys
from tests.support.postgres import SEED, Connection, Postgres
from tests.support.postgrest import running_postgrest
from tests.support.stack import Stack
from tests.support.storage import Storage
from tests.support.upstream import Upstream


@contextmanager
def database(postgres: Postgres, *, empty: bool = False) -> Iterator[str]:
    """The name of a new database, migrated as `make deploy-db` does it unless it is to be empty."""
    name = f"copy_{uuid4().hex}"
    postgres.create(name)
    try:
        if not empty:
            deploy(postgres, name, migrate.read())
        yield name
    finally:
        with postgres.connect("template1", "supabase_admin") as connection:
            connection.execute(f"drop database {name} with (force)")


def deploy(
    postgres: Postgres, name: str, wanted: list[migrate.Migration], seed: Path = SEED
) -> list[str]:
    """Apply what is missing, and the seed. Returns what was told."""
    told: list[str] = []
    with migrate.connect(postgres.dsn(name)) as connection:
        migrate.apply(connection, migrate.missing(connection, wanted), told.append)
        migrate.seed(connection, seed)
    return told


@dataclass
class Upstreams:
    """What an installation calls."""

    openrouter: Upstream
    worker: Upstream


@contextmanager
def running(
    postgres: Postgres, name: str, upstreams: Upstreams, functions: Path = FUNCTIONS
) -> Iterator[Stack]:
    """An installation on a database. Its functions are those of `functions`, in processes if these
    are not the working copy's."""
    keys, storage = Keys(), Storage(lambda: postgres.connect(name))
    urls: dict[str, str] = {}
    with (
        ExitStack() as served,
        running_postgrest(postgres, name, keys.secret) as postgrest,
        running_gateway(postgrest.url, keys) as gateway,
        postgres.connect(name) as connection,
    ):

        def url(function: str) -> str:
            if function not in urls:
                if functions == FUNCTIONS:
                    urls[function] = served.enter_context(serve(function, stack.env()))
                else:
                    path = {"PYTHONPATH": f"{functions / '_shared'}:{functions / function}"}
                    process = serve_process(function, stack.env(**path), functions)
                    urls[function] = served.enter_context(process).url
            return urls[function]

        gateway.storage = storage
        gateway.create_user = lambda account: create_user(connection, account)
        stack = Stack(connection, gateway, upstreams.openrouter, upstreams.worker, keys, url)
        base_url = f"{upstreams.openrouter.url}/api/v1"
        stack.db.execute("update public.api_providers set base_url = %s", [base_url])
        stack.configure(allowLocalWorkers=True)
        yield stack


def create_user(connection: Connection, account: dict[str, Any]) -> int:
    """Makes an account as the Auth server does for its secret key; the HTTP status."""
    assert set(account) == {"id", "email", "email_confirm", "user_metadata"}
    taken = "select from auth.users where id = %(id)s or email = %(email)s"
    if connection.execute(taken, account).rowcount:
        return 422
    connection.execute(
        "insert into auth.users (id, email, raw_user_meta_data) values (%s, %s, %s)",
        [account["id"], account["email"], Jsonb(account["user_metadata"])],
    )
    return 200


Rows = dict[str, list[str]]


def ask(stack: Stack, user: Any, conversation: UUID, message: str, *words: str) -> str:
    stack.upstream.enqueue(stream(list(words)))
    body = {"conversation_id": str(conversation), "message": message}
    answer = stack.chat(user, **body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["response"])


def contents(connection: Connection) -> Rows:
    """All rows of our tables as sorted text, without keys."""
    found = {}
    for table in own_tables(connection):
        columns = ", ".join(f'"{column}"' for column in table.columns)
        query = f"select ({columns})::text as line from {table.name} order by 1"  # noqa: S608
        found[table.name] = [row["line"] for row in connection.execute(query.encode())]
    return found
