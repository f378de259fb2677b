"""Makes databases of the existing product, and says what is in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from psycopg import sql

from tests.support.postgres import OWNER, Connection, Postgres, run_file

FOLDER = Path(__file__).parent
STATES = {"january": ("january.sql",), "april": ("january.sql", "april.sql")}
# The tables whose names both products use.
SHARED = (
    "api_models",
    "api_providers",
    "characters",
    "conversations",
    "messages",
    "profiles",
    "prompt_templates",
    "system_config",
    "user_roles",
)


def create(server: Postgres, database: str, state: str, rows: Iterable[str] = ("rows",)) -> None:
    """Makes the database in a state of `STATES`, as postgres.

    `rows` names the files of rows, in this order: "rows" for those that requests.json counts,
    "more_rows" for every other kind that there is; () for none.
    """
    files = (*STATES[state], *(f"{name}.sql" for name in rows))

    def make(name: str) -> None:
        server.create(name)
        with server.connect(name) as connection:
            for file in files:
                run_file(connection, FOLDER / file)

    copy(server, database, "_".join(("of", *files)), make)


def copy(server: Postgres, database: str, original: str, make: Callable[[str], None]) -> None:
    """Copies a database that is made when it is needed first: making it takes much longer."""
    with server.connect(user=OWNER) as connection:
        there = connection.execute("select from pg_database where datname = %s", [original])
    if not there.rowcount:
        make(original)
    server.copy(original, database)


def signature(connection: Connection, tables: Iterable[str] = ()) -> list[str]:
    """The catalog as sorted lines, each beginning with its kind and the object's name.

    All schemas but Postgres's own and what a statement's temporary objects live in. With `tables`
    only what belongs to these tables of public.
    """
    lines = [(row["relation"], row["line"]) for row in connection.execute(_CATALOG)]
    names = {f"public.{table}" for table in tables}
    return sorted(line for relation, line in lines if not names or relation in names)


def contents(connection: Connection) -> dict[str, list[str]]:
    """All rows of every table of public, auth, storage and supabase_migrations as text, sorted."""
    rows = {}
    for table in connection.execute(_TABLES).fetchall():
        name = sql.Identifier(table["schemaname"], table["tablename"])
        query = sql.SQL("select t::text as line from {} t order by 1").format(name)
        lines = [row["line"] for row in connection.execute(query)]
        rows[f"{table['schemaname']}.{table['tablename']}"] = lines
    return rows


_TABLES = """
select schemaname, tablename from pg_tables
where schemaname in ('public', 'auth', 'storage', 'supabase_migrations') order by 1, 2
"""

_CATALOG = (FOLDER / "signature.sql").read_text().encode()
