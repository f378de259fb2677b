"""Restoring a backup into a database without rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import psycopg
from psycopg import sql

from dev.adopt import inspect
from dev.adopt.steps import steps
from dev.backup.archive import BackupError, Manifest, Reader, digest
from dev.backup.contents import (
    VERSIONS,
    Database,
    OwnTable,
    kind_of,
    orphans,
    own_tables,
    rows_of_people,
)
from dev.backup.people import Accounts
from dev.backup.pictures import Pictures
from dev.operate.foreign import WHAT_TO_DO
from dev.operate.migrate import Migration, applied, apply

Tell = Callable[[str], None]
NO_RIGHT = (
    "This role may not load rows without triggers. Use the connection string of the role postgres"
    " of a Supabase database. Nothing was restored."
)


def restore(
    database: Database,
    reader: Reader,
    migrations: Sequence[Migration],
    pictures: Pictures | None,
    accounts: Accounts | None,
    tell: Tell,
) -> None:
    """Restore everything, or change no rows at all. Raises `BackupError`.

    A database without a schema first gets the migrations that the backup was made with.
    """
    manifest = reader.manifest
    _check_versions(manifest, migrations)
    tell("Reading the backup ...")
    reader.check()
    _prepare(database, manifest, migrations, tell)
    tables = _match(own_tables(database), manifest)
    _refuse_rows(database, tables)
    _make_people(database, manifest, accounts, tell)
    _upload(reader, pictures, tell)
    try:
        with database.transaction():
            _load(database, reader, tables, tell)
    except psycopg.errors.InsufficientPrivilege as error:
        raise BackupError(NO_RIGHT) from error
    database.execute("notify pgrst, 'reload schema'")


def _check_versions(manifest: Manifest, migrations: Sequence[Migration]) -> None:
    """Raise `BackupError` unless this copy has all migrations of the backup's schema."""
    here = {one.version: digest(one.sql) for one in migrations}
    if manifest.kind == "adopted":
        here = {step.name: step.digest for step in steps()}
    if missing := [name for name in manifest.migrations if name not in here]:
        raise BackupError(
            f"This copy lacks {_some(missing)}, which the backup has. It was made by version"
            f" {manifest.version}: use that version or a newer one (git checkout of its tag)."
        )
    if other := [name for name, was in manifest.migrations.items() if here[name] != was]:
        raise BackupError(
            f"This copy has another version of {_some(other)} than the backup was made with. Use"
            f" the copy that made it, version {manifest.version} (git checkout of its tag)."
        )


def _prepare(
    database: Database, manifest: Manifest, migrations: Sequence[Migration], tell: Tell
) -> None:
    """Create the schema if it is missing; otherwise check that it matches the backup."""
    kind = kind_of(database)
    if kind is None and manifest.kind == "own":
        if inspect.read_columns(database):
            raise BackupError(WHAT_TO_DO)
        apply(database, [one for one in migrations if one.version in manifest.migrations], tell)
        return
    if kind != manifest.kind:
        wanted = "an adopted installation" if manifest.kind == "adopted" else "a new installation"
        found = {"adopted": "adopted", "own": "a new installation", None: "without one"}[kind]
        raise BackupError(
            f"The backup is of {wanted}, and the database is {found}. "
            + (
                "Restore the product's own backup first, then run make adopt, then this."
                if manifest.kind == "adopted"
                else "Restore it into a database of its own."
            )
        )
    if kind == "adopted":
        rows = database.execute("select name, digest from private.adoption_steps")
        there = {row["name"] for row in rows}
    else:
        there = set(applied(database))
    if there != set(manifest.migrations):
        more, less = there - set(manifest.migrations), set(manifest.migrations) - there
        found = f"has {_some(more)} besides" if more else f"lacks {_some(less)}"
        raise BackupError(
            f"The schema is not the backup's: the database {found}. Restore into a database without"
            " a schema, which gets the backup's; make deploy-db APPLY=1 brings it up to date"
            " afterwards."
        )


def _match(there: Sequence[OwnTable], manifest: Manifest) -> list[OwnTable]:
    """The tables to load, with the backup's columns."""
    columns = {table.name: set(table.columns) for table in there}
    for name, table in manifest.tables.items():
        if set(table.columns) != columns.get(name):
            raise BackupError(
                f"{name} has other columns than in the backup. The schema was changed by hand:"
                " restore into a database without a schema, which gets the backup's."
            )
    return [OwnTable(name, table.columns) for name, table in manifest.tables.items()]


def _refuse_rows(database: Database, tables: Sequence[OwnTable]) -> None:
    if found := rows_of_people(database, tables):
        listed = ", ".join(f"{name} ({rows:,})" for name, rows in list(found.items())[:5])
        raise BackupError(
            f"The database has rows, which would be lost: {listed}. Restore into a new project or"
            " an empty database, and point SUPABASE_URL of the functions there. Nothing was"
            " changed."
        )


def _make_people(
    database: Database, manifest: Manifest, accounts: Accounts | None, tell: Tell
) -> None:
    """Make the accounts that Auth does not have. They have no password."""
    rows = database.execute("select id::text as id from auth.users").fetchall()
    there = {row["id"] for row in rows}
    missing = [person for person in manifest.people if person.id not in there]
    if not missing:
        return
    if nameless := [person.id for person in missing if not person.email]:
        raise BackupError(
            f"{len(nameless)} people have no email address, so their accounts cannot be made. Move"
            " the accounts first, with Supabase's own backup of the schema auth."
        )
    if accounts is None:
        raise BackupError(
            f"{len(missing)} people have no account in this project. Set SUPABASE_URL and"
            " SUPABASE_SECRET_KEY, with which their accounts are made."
        )
    for number, person in enumerate(missing, 1):
        accounts.make(person)
        if number % 100 == 0 or number == len(missing):
            tell(f"accounts: {number:,} of {len(missing):,}")
    tell("Passwords are not in a backup: people set a new one with “Forgotten password”.")


def _upload(reader: Reader, pictures: Pictures | None, tell: Tell) -> None:
    paths = reader.manifest.files
    if paths and pictures is None:
        raise BackupError(
            f"The backup has {len(paths)} pictures. Set SUPABASE_URL and SUPABASE_SECRET_KEY, with"
            " which they are stored."
        )
    for number, path in enumerate(paths, 1):
        if pictures:
            pictures.upload(path, b"".join(reader.blocks(f"files/{path}")))
        if number % 100 == 0 or number == len(paths):
            tell(f"pictures: {number:,} of {len(paths):,}")


def _load(database: Database, reader: Reader, tables: Sequence[OwnTable], tell: Tell) -> None:
    """Replace all rows, within a transaction."""
    # Triggers have already run for these rows. Foreign keys are checked below.
    database.execute("set local session_replication_role = replica")
    for table in tables:
        database.execute(sql.SQL("delete from {}").format(table.identifier))
    for number, table in enumerate(tables, 1):
        rows = _copy(database, reader, table)
        wanted = reader.manifest.tables[table.name].rows
        if rows != wanted:
            raise BackupError(f"{table.name} has {rows:,} rows in place of {wanted:,}.")
        tell(f"[{number}/{len(tables)}] {table.name}: {rows:,} rows")
    # Changes of messages are noted even so. No instance may take what it has for these messages.
    database.execute(sql.SQL("delete from {}").format(OwnTable(VERSIONS, ()).identifier))
    _continue_sequences(database, reader.manifest.sequences)
    database.execute("set local session_replication_role = origin")
    if found := orphans(database, tables):
        listed = ", ".join(f"{keys} ({rows:,})" for keys, rows in found.items())
        raise BackupError(
            f"Rows refer to others that are not there: {listed}. Restore those first (people with"
            " the Auth server, an adopted product's rows from its own backup). Nothing was changed."
        )


def _copy(database: Database, reader: Reader, table: OwnTable) -> int:
    copy = sql.SQL("copy {} ({}) from stdin").format(table.identifier, table.column_list)
    with database.cursor() as cursor:
        with cursor.copy(copy) as rows:
            for block in reader.blocks(f"tables/{table.name}"):
                rows.write(block)
        return cursor.rowcount


def _continue_sequences(database: Database, sequences: Mapping[str, int]) -> None:
    for name, value in sequences.items():
        database.execute("select setval(%s::regclass, %s)", [name, value])


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
