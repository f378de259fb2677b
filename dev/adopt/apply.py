"""Applying the steps of an adoption, and taking it back.

What is done is written down in private.adoption_steps, so a run that was interrupted goes on where
it ended. What a step made in the schema public is written down in private.adopted_objects, so that
undoing drops exactly that.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from dev.adopt.steps import UNDO, Step, steps

LOCK_TIMEOUT = "2s"
"""How long a step waits for a lock on a table that others use; then it lets them go first."""
TRIES = 10

Database = psycopg.Connection[dict[str, Any]]
Tell = Callable[[str], None]


class AdoptionError(Exception):
    """A sentence that says why a step was not done, and what to do."""


BOOKS = """
create table private.adoption_steps (
  name text primary key,
  digest text not null,
  done_at timestamptz not null default clock_timestamp()
);
create table private.adopted_objects (
  number bigint generated always as identity primary key,
  kind text not null,
  name text not null
);
alter table private.adoption_steps enable row level security;
alter table private.adopted_objects enable row level security;
revoke all on private.adoption_steps, private.adopted_objects from public, anon, authenticated;
"""

OBJECTS = """
select case c.relkind when 'v' then 'view' else 'table' end as kind, c.oid::regclass::text as name
from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
union all
select 'function', p.oid::regprocedure::text from pg_proc p
where p.pronamespace = 'public'::regnamespace
"""


def done(database: Database) -> dict[str, str]:
    """The digests of the steps that are done, by name; empty where nothing was adopted."""
    if not _there(database, "private.adoption_steps"):
        return {}
    rows = database.execute("select name, digest from private.adoption_steps")
    return {row["name"]: row["digest"] for row in rows}


def apply(database: Database, tell: Tell, todo: Sequence[Step] | None = None) -> None:
    """Does what is not done yet. Raises `AdoptionError`; what was done stays done."""
    database.autocommit = True
    _steady(database)
    _claim(database)
    before = done(database)
    for step in todo if todo is not None else steps():
        if step.name in before:
            if before[step.name] != step.digest:
                raise AdoptionError(
                    f"{step.name} is not what it was when it was done. Undo the adoption and do it"
                    " again, or write a migration that changes what is there."
                )
            continue
        tell(step.name)
        _do(database, step, tell)
    database.execute("notify pgrst, 'reload schema'")


def _do(database: Database, step: Step, tell: Tell) -> None:
    if step.kind == "transaction":
        _patiently(lambda: _in_transaction(database, step), step, tell)
        return
    if step.kind == "batches":
        total = 0
        while changed := _patiently(lambda: _changed(database, step), step, tell):
            total += changed
            tell(f"  {total} so far")
    else:
        name = step.name.removeprefix("index ")
        # One that was interrupted is there, and of no use.
        if not _is_valid(database, name):
            drop = sql.SQL("drop index concurrently if exists public.{}")
            database.execute(drop.format(sql.Identifier(name)))
            database.execute(step.sql.encode())
    _write_down(database, step)


def _in_transaction(database: Database, step: Step) -> None:
    with database.transaction():
        database.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'".encode())
        before = _objects(database)
        database.execute(step.sql.encode())
        if not _there(database, "private.adoption_steps"):
            database.execute(BOOKS.encode())
        for kind, name in sorted(_objects(database) - before, key=lambda made: made[0] != "table"):
            database.execute(
                "insert into private.adopted_objects (kind, name) values (%s, %s)", [kind, name]
            )
        _write_down(database, step)


def _changed(database: Database, step: Step) -> int:
    with database.transaction():
        database.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'".encode())
        row = database.execute(step.sql.encode()).fetchone()
    return int(row["changed"]) if row else 0


def _patiently(do: Callable[[], Any], step: Step, tell: Tell) -> Any:
    for tried in range(1, TRIES + 1):
        try:
            return do()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            tell(f"  others hold the table; try {tried} of {TRIES}")
            time.sleep(min(tried, 5))
        except psycopg.Error as error:
            said = error.diag.message_primary or str(error)
            raise AdoptionError(
                f"{step.name}: {said}. Nothing of this step was done; those before it stay. Run the"
                " command again when it is mended, or undo them with ARGS=--undo."
            ) from error
    raise AdoptionError(
        f"{step.name}: others held the table all the time. Run the command again when less is going"
        " on; it continues here."
    )


def undo(database: Database, tell: Tell) -> None:
    """Takes away everything that `apply` added. Raises `AdoptionError`, then nothing is changed.

    Rows of ours go with their tables: summaries, facts, turns, versions of replies. Replies that
    people were shown are rows of the product's and stay.
    """
    database.autocommit = True
    _steady(database)
    _claim(database)
    if not _there(database, "private.adopted_objects"):
        raise AdoptionError("Nothing was adopted here: there is no record of it.")
    rows = database.execute("select kind, name from private.adopted_objects").fetchall()
    ours = {(row["kind"], row["name"]) for row in rows}
    try:
        with database.transaction():
            database.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'".encode())
            theirs = _objects(database) - ours
            database.execute(UNDO.read_bytes())
            for kind in ("view", "table", "function"):
                for name in sorted(name for made, name in ours if made == kind):
                    tell(f"drop {kind} {name}")
                    database.execute(f"drop {kind} if exists {name} cascade".encode())
            if gone := theirs - _objects(database):
                names = ", ".join(name for _, name in sorted(gone))
                raise AdoptionError(
                    f"Nothing was undone: {names} would go too. It was made on top of ours; drop it"
                    " first, or make it without ours."
                )
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error)
        raise AdoptionError(f"Nothing was undone: {said}. Run the command again.") from error
    database.execute("notify pgrst, 'reload schema'")


def _write_down(database: Database, step: Step) -> None:
    database.execute(
        "insert into private.adoption_steps (name, digest) values (%s, %s)",
        [step.name, step.digest],
    )


def _objects(database: Database) -> set[tuple[str, str]]:
    return {(row["kind"], row["name"]) for row in database.execute(OBJECTS)}


def _there(database: Database, name: str) -> bool:
    row = database.execute("select to_regclass(%s) is not null as there", [name]).fetchone()
    return bool(row and row["there"])


def _is_valid(database: Database, index: str) -> bool:
    row = database.execute(
        "select i.indisvalid from pg_index i where i.indexrelid = to_regclass(%s)",
        [f"public.{index}"],
    ).fetchone()
    return bool(row and row["indisvalid"])


def _claim(database: Database) -> None:
    """One run at a time, until the connection ends. Raises `AdoptionError`."""
    key = "select pg_try_advisory_lock(hashtextextended('adoption', 0)) as is_ours"
    row = database.execute(key.encode()).fetchone()
    if not (row and row["is_ours"]):
        raise AdoptionError(
            "Another run is at work on this database. Run the command again when it has ended."
        )


def _steady(database: Database) -> None:
    """The names of objects are written with their schema."""
    database.execute("set search_path = ''")
    database.execute("set statement_timeout = 0")
