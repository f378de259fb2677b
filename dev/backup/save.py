"""Makes a backup."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from psycopg import sql

from dev.adopt.steps import steps
from dev.backup.archive import BackupError, Manifest, Person, Table, Writer, digest
from dev.backup.contents import (
    Database,
    Kind,
    OwnTable,
    kind_of,
    own_tables,
    sequences,
)
from dev.backup.pictures import Pictures
from dev.operate.environment import FUNCTIONS, find_variable, is_secret
from dev.operate.migrate import Migration, applied

Tell = Callable[[str], None]
NOT_INSTALLED = (
    "The database has no installation of this project. Is DATABASE_URL right? make deploy-db makes"
    " a new one, make adopt moves into a product's."
)
ONLY_OURS = (
    "This is an adopted installation: the backup has only what is ours. The product's own tables,"
    " among them people, characters, conversations and messages, and its files are in the"
    " product's backups."
)
CREDENTIALS = re.compile(r"://[^/]*@")


def save(
    database: Database,
    path: Path,
    migrations: Sequence[Migration],
    environment: Mapping[str, str],
    pictures: Pictures | None,
    tell: Tell,
) -> Manifest:
    """Write a backup of everything that one moment's transaction sees. Raises `BackupError`."""
    kind = kind_of(database)
    if kind is None:
        raise BackupError(NOT_INSTALLED)
    if kind == "adopted":
        tell(ONLY_OURS)
    made_from = versions(database, kind, migrations)
    with Writer(path) as writer, database.transaction():
        database.execute("set transaction isolation level repeatable read read only")
        tables = own_tables(database)
        rows = {
            table.name: _write_rows(database, writer, table, f"[{number}/{len(tables)}]", tell)
            for number, table in enumerate(tables, 1)
        }
        files = _write_files(database, writer, pictures, tell)
        manifest = Manifest(
            version=version("roleplay-backend"),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            kind=kind,
            migrations=made_from,
            tables=rows,
            sequences=sequences(database),
            people=_people(database) if kind == "own" else [],
            files=files,
            settings=public_settings(environment),
            workers_without_key=_workers(database),
        )
        writer.finish(manifest)
    return manifest


def versions(database: Database, kind: Kind, migrations: Sequence[Migration]) -> dict[str, str]:
    """The migrations of the schema, with this copy's digests. Raises `BackupError`."""
    if kind == "adopted":
        wanted = {step.name: step.digest for step in steps()}
        rows = database.execute("select name, digest from private.adoption_steps")
        done = {row["name"]: row["digest"] for row in rows}
        strange = [name for name, was in done.items() if wanted.get(name) != was]
    else:
        wanted = {one.version: digest(one.sql) for one in migrations}
        done = {name: wanted.get(name, "") for name in applied(database)}
        strange = [name for name in done if name not in wanted]
    if strange or not done:
        found = (
            f"other migrations than this copy: {', '.join(strange)}"
            if strange
            else ("no record of its migrations")
        )
        raise BackupError(
            f"The database has {found}. Use the version of this project that is installed there"
            " (git checkout of its tag), so that the backup can be restored."
        )
    return done


def _write_rows(
    database: Database, writer: Writer, table: OwnTable, number: str, tell: Tell
) -> Table:
    copy = sql.SQL("copy (select {} from {}) to stdout").format(table.column_list, table.identifier)
    with database.cursor() as cursor:
        with cursor.copy(copy) as rows, writer.member(f"tables/{table.name}") as file:
            for block in rows:
                file.write(block)
        count = cursor.rowcount
    tell(f"{number} {table.name}: {count:,} rows")
    return Table(columns=list(table.columns), rows=count)


def _write_files(
    database: Database, writer: Writer, pictures: Pictures | None, tell: Tell
) -> list[str]:
    paths = [row["path"] for row in database.execute("select path from public.character_portraits")]
    if paths and pictures is None:
        raise BackupError(
            f"There are {len(paths)} pictures in Storage. Set SUPABASE_URL and"
            " SUPABASE_SECRET_KEY, with which they are read."
        )
    written = []
    for number, path in enumerate(sorted(paths), 1):
        content = pictures.download(path) if pictures else None
        if content is not None:
            with writer.member(f"files/{path}") as file:
                file.write(content)
            written.append(path)
        if number % 100 == 0 or number == len(paths):
            tell(f"pictures: {number:,} of {len(paths):,}")
    if len(written) < len(paths):
        tell(f"{len(paths) - len(written)} pictures are not in Storage and were left out.")
    return written


def _people(database: Database) -> list[Person]:
    rows = database.execute(
        "select id::text as id, email, raw_user_meta_data ->> 'display_name' as display_name"
        " from auth.users order by id"
    )
    return [
        Person(id=row["id"], email=row["email"] or "", display_name=row["display_name"] or "")
        for row in rows
    ]


def _workers(database: Database) -> list[str]:
    rows = database.execute(
        "select name from private.workers where key_hash is not null order by name"
    )
    return [row["name"] for row in rows]


def public_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of the functions that are set and not secret."""
    found = {}
    for model in FUNCTIONS.values():
        for name, info in model.model_fields.items():
            value = (find_variable(environment, name.upper()) or "").strip()
            if value and not is_secret(info.annotation) and not CREDENTIALS.search(value):
                found[name.upper()] = value
    return dict(sorted(found.items()))
