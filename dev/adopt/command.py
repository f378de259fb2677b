"""The command: prints what was found and what would be done, and does it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from dev.adopt.apply import (
    AdoptionError,
    Database,
    done,
    steady,
    without_position,
)
from dev.adopt.apply import apply as apply_steps
from dev.adopt.apply import undo as undo_steps
from dev.adopt.inspect import assess, read
from dev.adopt.plan import Plan
from dev.adopt.rehearse import rehearse as rehearse_turns
from dev.adopt.rehearse import sentences
from dev.adopt.steps import steps
from dev.adopt.write import write as write_steps
from dev.operate.report import complain, show, tell


def main(database_url: str, command: Callable[[Database], int], *, as_json: bool = False) -> int:
    """Run one of the commands below on a database; returns its exit code. With `as_json`, errors
    are JSON, too."""
    try:
        _check_address(database_url)
        with _connect(database_url) as database:
            _check_session(database, database_url)
            return command(database)
    except AdoptionError as error:
        wrong = str(error)
    except psycopg.errors.LockNotAvailable:
        wrong = "Somebody has locked a table for long. Run the command again when it is free."
    except psycopg.Error as error:
        said = error.diag.message_primary
        wrong = (
            f"The database answered: {said}. Nothing of this was done."
            if said and error.sqlstate
            else " ".join(f"The database cannot be reached: {error}".split())
        )
    if as_json:
        complain(wrong, as_json=True)
    else:
        tell(*wrong.splitlines(), err=True)
    return 1


def _check_address(url: str) -> None:
    """Raise `AdoptionError` for a password with an address's special characters: it would end up in
    messages."""
    scheme, _, rest = url.partition("://")
    login, sign, _ = rest.rpartition("@")
    try:
        conninfo_to_dict(url)
        is_understood = scheme not in ("postgres", "postgresql") or not (
            sign and set("@/?#[] ") & set(login)
        )
    except psycopg.Error:
        is_understood = False
    if not is_understood:
        raise AdoptionError(
            "DATABASE_URL is not understood. It is written as postgresql://name:password@host:5432/"
            "database. In its name and password, write each character that is"
            " no letter and no digit as % and its code: @ as %40, : as %3A, / as %2F, # as %23,"
            " % as %25."
        )


def _connect(url: str) -> Database:
    database = psycopg.connect(
        url, row_factory=dict_row, connect_timeout=10, autocommit=True, prepare_threshold=None
    )
    steady(database)
    return database


def _check_session(database: Database, url: str) -> None:
    """A pooler that gives each transaction another session loses a run's lock and settings.

    Raises `AdoptionError`.
    """
    mark = uuid4().hex
    database.execute("select set_config('adoption.session', %s, false)", [mark])
    with _connect(url) as other:
        row = other.execute("select current_setting('adoption.session', true) as mark").fetchone()
    if row and row["mark"] == mark:
        raise AdoptionError(
            "The address is that of a pooler which shares sessions (transaction mode, on Supabase"
            " port 6543). Use the direct connection, or the session pooler on port 5432."
        )


def adopt(database: Database, *, apply: bool, as_json: bool = False) -> int:
    """Print what was found and what there is to do, and apply it if requested."""
    plan = _plan(database)
    show(plan.report(), plan.data(), as_json=as_json)
    if plan.is_refused:
        return 1
    if not plan.has_work:
        return 0
    if apply:
        apply_steps(database, lambda line: click.echo(f"  {line}", err=as_json))
        tell(
            "",
            "Done. `make verify` checks the installation; docs/adopting.md has what is next.",
            err=as_json,
        )
    else:
        tell("", "Nothing was changed. `make adopt APPLY=1` does it.", err=as_json)
    return 0


def _plan(database: Database) -> Plan:
    before = done(database)
    assessment = assess(read(database, is_adopted=bool(before)))
    todo = [step.name for step in steps() if step.name not in before]
    waiting = 0 if todo or assessment.refusals else without_position(database)
    return Plan(assessment, todo, len(before), waiting)


def undo(database: Database, *, apply: bool) -> int:
    """Say what would be dropped, or drop it."""
    if not apply:
        tell(
            "This drops what was added, with the rows in it: summaries, facts, turns, usage, and"
            " versions of replies that are not shown. Messages that people see stay.",
            "",
            "Nothing was changed. `make adopt ARGS=--undo APPLY=1` does it.",
        )
        return 0
    undo_steps(database, lambda line: click.echo(f"  {line}"))
    click.echo("\nUndone.")
    return 0


def rehearse(database: Database) -> int:
    """Build the next prompt of every conversation. Returns 1 if a turn would fail."""
    _check_adopted(database)
    rehearsal = rehearse_turns(database, tell)
    tell(*sentences(rehearsal))
    return 1 if rehearsal.errors else 0


def write(database: Database, folder: Path) -> int:
    """Write the steps as migrations into a folder."""
    newest = read(database).get("newest_migration")
    written = write_steps(folder, steps(), newest)
    for path in written:
        click.echo(str(path))
    click.echo(f"{len(written)} migrations written. They do nothing where their step is done.")
    return 0


def declare(database: Database, ages: Sequence[tuple[UUID, int]], people: Sequence[UUID]) -> int:
    """Declare ages of characters and record verified people: all of them, or none."""
    _check_adopted(database)
    with database.transaction():
        for character, age in ages:
            _declare_age(database, character, age)
        for person in people:
            _record_verification(database, person)
    click.echo(f"Ages declared: {len(ages)}. People recorded as verified: {len(people)}.")
    return 0


def _declare_age(database: Database, character: UUID, age: int) -> None:
    query = "select public.declare_age(%s, %s) as is_there"
    row = database.execute(query, [character, age]).fetchone()
    if not row or not row["is_there"]:
        raise AdoptionError(f"There is no character {character}. Nothing was declared.")


def _record_verification(database: Database, person: UUID) -> None:
    try:
        database.execute("select public.record_age_verification(%s, true)", [person])
    except psycopg.errors.ForeignKeyViolation as error:
        raise AdoptionError(f"There is no person {person}. Nothing was declared.") from error


def _check_adopted(database: Database) -> None:
    if not done(database):
        raise AdoptionError("Nothing is adopted yet: `make adopt APPLY=1` comes first.")
