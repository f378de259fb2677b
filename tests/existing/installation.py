"""An adopted database of the existing product, for the suites that run on all installations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from dev.adopt.apply import apply, undo
from tests.existing.database import FOLDER, copy, create
from tests.support.postgres import OWNER, SEED, Connection, Postgres, run_file

_TABLES = "api_providers|api_models|characters"


def adopt(server: Postgres, database: str) -> None:
    """Moves into the database, as `make adopt` does."""
    with psycopg.connect(server.dsn(database), row_factory=dict_row) as connection:
        apply(connection, lambda line: None)


def create_adopted(
    server: Postgres, database: str, state: str, rows: Iterable[str] = ("rows", "more_rows")
) -> None:
    """As `create` and `adopt`, for tests of what is there afterwards."""
    rows = tuple(rows)

    def make(name: str) -> None:
        create(server, name, state, rows)
        adopt(server, name)

    copy(server, database, "_".join(("original", state, *rows)), make)


@contextmanager
def adopted_database(
    server: Postgres, state: str, rows: Iterable[str] = ("rows", "more_rows")
) -> Iterator[Connection]:
    """A connection to an adopted database of its own, which is dropped at the end."""
    with _dropped_at_the_end(server) as name:
        create_adopted(server, name, state, rows)
        with server.connect(name) as connection:
            yield connection


@contextmanager
def existing_database(server: Postgres, state: str, rows: Iterable[str]) -> Iterator[str]:
    """The name of a database of the product, which is dropped at the end."""
    with _dropped_at_the_end(server) as name:
        create(server, name, state, rows)
        yield name


@contextmanager
def _dropped_at_the_end(server: Postgres) -> Iterator[str]:
    """The name of a database that is to be created."""
    name = f"existing_{uuid4().hex}"
    try:
        yield name
    finally:
        drop(server, name)


def drop(server: Postgres, database: str) -> None:
    """Drops a database, also one that others are connected to."""
    with server.connect("template1", OWNER) as connection:
        statement = sql.SQL("drop database if exists {} with (force)")
        connection.execute(statement.format(sql.Identifier(database)))


def move_out(server: Postgres, database: str) -> None:
    """Takes the adoption back."""
    with psycopg.connect(server.dsn(database), row_factory=dict_row) as connection:
        undo(connection, lambda line: None)


def move_in_and_out(server: Postgres, database: str) -> None:
    adopt(server, database)
    move_out(server, database)


def make_adopted(server: Postgres, database: str, state: str) -> None:
    """An adopted database in a state of `STATES`, with the rows that a new installation has.

    What tests write into the views of `shared` is written: writable.sql.
    """
    create(server, database, state, rows=())
    adopt(server, database)
    with server.connect(database) as connection:
        run_file(connection, FOLDER / "writable.sql")
        _seed(connection)


def _seed(connection: Connection) -> None:
    """The rows of supabase/seed.sql, but for the templates, which are steps of the adoption."""
    for statement in SEED.read_text().split("on conflict do nothing;"):
        if "insert into public.prompt_templates" not in statement and statement.strip():
            through_views = re.sub(rf"\bpublic\.({_TABLES})\b", r"shared.\1", statement)
            connection.execute(through_views.encode())
