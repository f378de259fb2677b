"""Applying the steps of an adoption, and taking it back.

What is done is written down in private.adoption_steps, so a run that was interrupted goes on where
it ended. What a step made is written down in private.adopted_objects, so that undoing drops exactly
that.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from dev.adopt.steps import ADOPTION, WAITING, AdoptionStep, placing, steps

LOCK_TIMEOUT = "2s"
"""How long a step waits for a lock on a table that others use; then it lets them go first."""
TRIES = 10
CLAIM_SECONDS = 5
"""How long a run waits for another one that is at work."""

Database = psycopg.Connection[dict[str, Any]]
Tell = Callable[[str], None]


class AdoptionError(Exception):
    """A step was not done; the sentence says why, and what to do."""


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

OBJECTS = (ADOPTION / "objects.sql").read_text().partition("\n\n")[2].strip()
NAMES = (ADOPTION / "names.sql").read_text().partition("\n\n")[2].strip()

_KEY = "(o.catalog::bigint << 48) + (o.id::bigint << 16) + o.place"
"""An object as one number. Numbers of catalogs are below 2^15, and those of columns below 2^16."""

KEYS = f"select array_agg({_KEY}) as keys from ({OBJECTS}) o"  # noqa: S608 - the project's own
"""What there is before a step, for `MADE`."""

MADE = f"""
with
  listed as materialized (
    select o.* from ({OBJECTS}) o
    where not exists (select from unnest({{before}}) b (key) where b.key = {_KEY})),
  made as ({NAMES})
insert into private.adopted_objects (kind, name)
select m.kind, m.name from made m
where not exists (
  select from made p where p.name = m.parent and p.kind in ('table', 'view', 'materialized view'))
order by m.kind <> 'table', m.kind, m.name
"""  # noqa: S608 - all are the project's own
"""Records the objects that were not there before, except those that go with another one."""


class Made(NamedTuple):
    """An object of a database. `parent` is the relation that it belongs to."""

    kind: str
    name: str
    parent: str | None

    @property
    def described(self) -> str:
        """The object for a sentence: with its kind, and the table that it belongs to."""
        return f"{self.kind} {self.name}" if self.parent else self.name


def steady(database: Database) -> None:
    """Whatever the role or the database has set: names are written with their schema."""
    database.execute("set search_path = ''")
    database.execute("set statement_timeout = 0")


def done(database: Database) -> dict[str, str]:
    """The digests of the steps that are done, by name; empty if nothing was adopted."""
    if not _there(database, "private.adoption_steps"):
        return {}
    rows = database.execute("select name, digest from private.adoption_steps")
    return {row["name"]: row["digest"] for row in rows}


def without_position(database: Database) -> int:
    """How many messages were later loaded with triggers off: they are in no prompt."""
    query = "select private.messages_without_position() as messages"
    row = database.execute(query.encode()).fetchone()
    return int(row["messages"]) if row else 0


def apply(database: Database, tell: Tell, todo: Sequence[AdoptionStep] | None = None) -> None:
    """Apply the steps that are not done yet. Raises `AdoptionError`; completed steps stay done."""
    database.autocommit = True
    steady(database)
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
    if done(database).keys() >= {step.name for step in placing()}:
        _place_loaded(database, tell)
    database.execute("notify pgrst, 'reload schema'")


def _do(database: Database, step: AdoptionStep, tell: Tell) -> None:
    if step.kind == "transaction":
        _patiently(lambda: _in_transaction(database, step), step, tell)
        return
    if step.kind == "batches":
        _in_batches(database, step, tell)
    else:
        _patiently(lambda: _build(database, step), step, tell)
    _write_down(database, step)


def _place_loaded(database: Database, tell: Tell) -> None:
    """Give messages that were loaded with triggers off their positions."""
    # The index: a run that did this was interrupted.
    if not without_position(database) and not _there(database, f"public.{WAITING}"):
        return
    index, place, end = placing()
    tell("positions of messages that were loaded with triggers off")
    _patiently(lambda: _build(database, index), index, tell)
    _in_batches(database, place, tell)
    _patiently(lambda: _locked(database, end), end, tell)


def _in_batches(database: Database, step: AdoptionStep, tell: Tell) -> None:
    total = 0
    while changed := _patiently(lambda: _changed(database, step), step, tell):
        total += changed
        tell(f"  {total} so far")


def _in_transaction(database: Database, step: AdoptionStep) -> None:
    with database.transaction():
        database.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'".encode())
        before = _keys(database)
        database.execute(step.sql.encode())
        if not _there(database, "private.adoption_steps"):
            database.execute(BOOKS.encode())
        database.execute(MADE.format(before=before).encode())
        _write_down(database, step)


def _keys(database: Database) -> str:
    """What there is now, as a literal for `MADE`. It stays text, because nothing here reads it."""
    query = f"select k.keys::text as keys from ({KEYS}) k"  # noqa: S608 - the project's own
    [row] = database.execute(query.encode())
    return f"'{row['keys']}'::bigint[]"


def _build(database: Database, step: AdoptionStep) -> None:
    """Build an index while others write."""
    index = f"public.{step.name.removeprefix('index ')}"
    if not _is_ours(database, "index", index):
        if _is_valid(database, index):
            raise AdoptionError(f"{index} exists and is not ours. Rename it.")
        # Before it is built, for an interrupted build leaves an index too.
        database.execute(
            "insert into private.adopted_objects (kind, name) values ('index', %s)", [index]
        )
    if not _is_valid(database, index):
        database.execute(f"drop index concurrently if exists {index}".encode())
        database.execute(step.sql.encode())


def _changed(database: Database, step: AdoptionStep) -> int:
    row = _locked(database, step).fetchone()
    return int(row["changed"]) if row else 0


def _locked(database: Database, step: AdoptionStep) -> psycopg.Cursor[dict[str, Any]]:
    with database.transaction():
        database.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'".encode())
        return database.execute(step.sql.encode())


def _patiently(do: Callable[[], Any], step: AdoptionStep, tell: Tell) -> Any:
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
    """Remove everything that `apply` added. Raises `AdoptionError`, and then nothing is changed.

    Rows of ours go with their tables: summaries, facts, turns, versions of replies. Replies that
    people were shown are rows of the product's and stay.
    """
    database.autocommit = True
    steady(database)
    _claim(database)
    if not _there(database, "private.adopted_objects"):
        raise AdoptionError("Nothing was adopted here: there is no record of it.")
    rows = database.execute("select kind, name from private.adopted_objects").fetchall()
    ours = {(row["kind"], row["name"]) for row in rows}
    try:
        with database.transaction():
            database.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'".encode())
            theirs = _of_others(_objects(database), ours)
            for statement in _drops(ours):
                tell(statement)
                database.execute(statement.encode())
            for bucket in sorted(name for kind, name in ours if kind == "bucket"):
                _drop_bucket(database, bucket, tell)
            if gone := theirs - set(_objects(database)):
                names = ", ".join(sorted(made.described for made in gone))
                raise AdoptionError(
                    f"Nothing was undone: {names} would go too. It was made on top of ours; drop it"
                    " first, or make it without ours."
                )
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error)
        raise AdoptionError(f"Nothing was undone: {said}. Run the command again.") from error
    database.execute("notify pgrst, 'reload schema'")


def _of_others(objects: Iterable[Made], ours: set[tuple[str, str]]) -> set[Made]:
    """The objects that no step created, and that do not belong to one that a step created."""
    names = {name for kind, name in ours if kind in ("table", "view")}
    return {
        made for made in objects if (made.kind, made.name) not in ours and made.parent not in names
    }


def _drops(ours: set[tuple[str, str]]) -> Iterator[str]:
    """The statements that take it away. What is in a schema of ours goes with the schema."""
    schemas = tuple(f"{name}." for kind, name in ours if kind == "schema")
    for kind in ("policy", "trigger", "schema", "view", "table", "function", "index", "column"):
        for name in sorted(name for made, name in ours if made == kind):
            if name.startswith(schemas) or f" on {name}".rpartition(" on ")[2].startswith(schemas):
                continue
            if kind == "policy":
                yield f"drop policy if exists {name}"
            elif kind == "column":
                table, _, column = name.rpartition(".")
                yield f"alter table {table} drop column if exists {column}"
            else:
                cascade = "" if kind in ("trigger", "index") else " cascade"
                yield f"drop {kind} if exists {name}{cascade}"


def _drop_bucket(database: Database, bucket: str, tell: Tell) -> None:
    """Take away a bucket that is empty. Deleting the rows of files would leave the files."""
    if not _there(database, "storage.buckets"):
        return
    database.execute("select set_config('storage.allow_delete_query', 'true', true)")
    query = sql.SQL(
        "delete from storage.buckets b where b.id = {} and not exists ("
        "select from storage.objects o where o.bucket_id = b.id)"
    ).format(sql.Literal(bucket))
    if database.execute(query).rowcount:
        tell(f"delete the bucket {bucket}")
    else:
        tell(
            f"The bucket {bucket} has files, which nobody can read any more. Delete it in the"
            " dashboard, under Storage."
        )


def _write_down(database: Database, step: AdoptionStep) -> None:
    database.execute(
        "insert into private.adoption_steps (name, digest) values (%s, %s)",
        [step.name, step.digest],
    )


def _objects(database: Database) -> list[Made]:
    query = f"with listed as ({OBJECTS}) select * from ({NAMES}) n"  # noqa: S608 - the project's own
    return [
        Made(row["kind"], row["name"], row["parent"]) for row in database.execute(query.encode())
    ]


def _is_ours(database: Database, kind: str, name: str) -> bool:
    query = "select from private.adopted_objects o where o.kind = %s and o.name = %s"
    return database.execute(query, [kind, name]).rowcount > 0


def _there(database: Database, name: str) -> bool:
    row = database.execute("select to_regclass(%s) is not null as there", [name]).fetchone()
    return bool(row and row["there"])


def _is_valid(database: Database, index: str) -> bool:
    row = database.execute(
        "select i.indisvalid from pg_index i where i.indexrelid = to_regclass(%s)", [index]
    ).fetchone()
    return bool(row and row["indisvalid"])


def _claim(database: Database) -> None:
    """Allow one run at a time, until the connection ends. Raises `AdoptionError`."""
    key = "select pg_try_advisory_lock(hashtextextended('adoption', 0)) as is_ours"
    # The server may notice a moment later that the connection of the last run has ended.
    deadline = time.monotonic() + CLAIM_SECONDS
    while not database.execute(key.encode()).fetchall()[0]["is_ours"]:
        if time.monotonic() > deadline:
            raise AdoptionError(
                "Another run is at work on this database. Run the command again when it has ended."
            )
        time.sleep(0.1)
