"""`make deploy-db` with a connection string: migrations and seed for a self-hosted project.

What was applied is recorded where Supabase's own command records it, so both can be used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg.rows import dict_row

from dev.settings import ROOT

MIGRATIONS = ROOT / "supabase/migrations"
SEED = ROOT / "supabase/seed.sql"
SECONDS = 15
HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
  version text primary key, statements text[], name text)
"""

Database = psycopg.Connection[dict[str, Any]]
Tell = Callable[[str], None]


class MigrationError(Exception):
    """A migration cannot be applied; the sentence says why, and what to do."""


@dataclass(frozen=True)
class Migration:
    """A file of supabase/migrations."""

    version: str
    name: str
    sql: str


def read(folder: Path = MIGRATIONS) -> list[Migration]:
    """All migrations in order."""
    paths = sorted(folder.glob("*.sql"))
    parts = [(path.stem.partition("_"), path) for path in paths]
    return [Migration(version, name, path.read_text()) for (version, _, name), path in parts]


def connect(url: str) -> Database:
    """A connection that outlives the limits of the role. Raises `MigrationError`."""
    try:
        database = psycopg.connect(
            url,
            row_factory=dict_row,
            connect_timeout=SECONDS,
            autocommit=True,
            prepare_threshold=None,
        )
        database.execute("set statement_timeout = 0")
        database.execute("set idle_in_transaction_session_timeout = 0")
    except psycopg.Error as error:
        raise MigrationError(
            "DATABASE_URL does not lead to a database that answers. Write it as postgresql://"
            "postgres:password@host:5432/postgres, with % and a code for each special character of"
            " the password (@ is %40)."
        ) from error
    return database


def applied(database: Database) -> list[str]:
    """The versions that are recorded as applied, in order."""
    there = database.execute(
        "select to_regclass('supabase_migrations.schema_migrations') is not null as there"
    ).fetchone()
    if not (there and there["there"]):
        return []
    rows = database.execute(
        "select version from supabase_migrations.schema_migrations order by version"
    )
    return [row["version"] for row in rows]


def missing(database: Database, wanted: Sequence[Migration]) -> list[Migration]:
    """The migrations that are not applied. Raises `MigrationError` if that cannot be told."""
    done = applied(database)
    versions = {migration.version for migration in wanted}
    if strange := [version for version in done if version not in versions]:
        raise MigrationError(
            f"The database has migrations that this copy lacks: {', '.join(strange)}. It belongs to"
            " a newer version: use that one (git pull, then git checkout of its tag)."
        )
    if not done and _has_tables(database):
        raise MigrationError(
            "The tables are there, but no record of the migrations that made them. If all of this"
            " copy's are applied, record them: make verify says which tables are missing."
        )
    return [migration for migration in wanted if migration.version not in done]


def apply(database: Database, todo: Sequence[Migration], tell: Tell) -> None:
    """Apply migrations, each in a transaction with its record. Raises `MigrationError`; those
    before stay applied."""
    _claim(database)
    database.execute(HISTORY)
    for number, migration in enumerate(todo, 1):
        tell(f"[{number}/{len(todo)}] {migration.version} {migration.name}")
        try:
            with database.transaction():
                database.execute(migration.sql.encode())
                database.execute(
                    "insert into supabase_migrations.schema_migrations (version, name, statements)"
                    " values (%s, %s, %s)",
                    [migration.version, migration.name, [migration.sql]],
                )
        except psycopg.Error as error:
            said = error.diag.message_primary or type(error).__name__
            raise MigrationError(
                f"{migration.version}_{migration.name}: {said}. Nothing of this migration was done;"
                " those before it are applied. Run the command again when it is mended."
            ) from error
    database.execute("notify pgrst, 'reload schema'")


def seed(database: Database, path: Path = SEED) -> None:
    """Add the rows of the seed that are missing."""
    with database.transaction():
        database.execute(path.read_text().encode())


def main(url: str, *, apply_them: bool) -> int:
    """Print what is missing, and apply it if `apply_them`. Returns the exit code."""
    try:
        with connect(url) as database:
            todo = missing(database, read())
            if not apply_them:
                for migration in todo:
                    click.echo(f"# would apply {migration.version} {migration.name}")
                click.echo(
                    f"# {len(todo)} migrations are missing. Nothing was run."
                    " `make deploy-db APPLY=1` applies them, then the seed."
                )
                return 0
            apply(database, todo, click.echo)
            seed(database)
    except MigrationError as error:
        click.echo(str(error), err=True)
        return 1
    except psycopg.Error as error:
        said = error.diag.message_primary or type(error).__name__
        click.echo(f"The database answered: {said}. Run the command again.", err=True)
        return 1
    click.echo("The database is up to date.")
    return 0


def _has_tables(database: Database) -> bool:
    row = database.execute("select to_regclass('public.turns') is not null as there").fetchone()
    return bool(row and row["there"])


def _claim(database: Database) -> None:
    """Allow one run at a time, until the connection ends. Raises `MigrationError`."""
    lock = "select pg_try_advisory_lock(hashtextextended('migrations', 0)) as is_ours"
    row = database.execute(lock).fetchone()
    if not (row and row["is_ours"]):
        raise MigrationError(
            "Another run is at work on this database. Run the command again when it has ended."
        )
