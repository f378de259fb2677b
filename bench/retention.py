"""`make retention-bench`: what it costs to delete old usage, and what partitions would save.

Of all tables, `usage_events` loses the most rows: each call of a model is deleted after some time.
`apply_retention` deletes them in batches. A copy of the table that is partitioned by day has the
same rows and indexes, and drops a whole day.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import click

from bench import progress
from bench.growth import PEOPLE, add_people, without_indexes
from bench.machine import cpu_seconds, describe, load_average
from dev.operate.report import Line, Part, Table, show
from dev.options import json_option
from health_check.housekeeping import BATCH
from roleplay_chat.uuid7 import uuid7
from tests.support.installations import NEW, install
from tests.support.postgres import OWNER, Connection, Postgres, running_postgres

SIZES = (100_000, 10_000_000)
DAYS = 10
ADDED = 2_000
"""Rows that are added to each table, one by one."""


@dataclass(frozen=True)
class Costs:
    """Postgres' processor time in microseconds for one row."""

    rows: int
    """The rows of the table before one is added or deleted."""
    added: float
    added_to_partition: float
    deleted: float
    """By `apply_retention`."""
    vacuumed: float
    """By the vacuum after it."""
    dropped: float
    """With its partition."""


def measure(postgres: Postgres, rows: int, say: Callable[[str], None]) -> Costs:
    """Fill both tables with the rows of ten days, add some, and remove the oldest day."""
    database = f"retention_{rows}"
    install(postgres, database, NEW)
    with postgres.connect(database, OWNER) as db:
        say(f"filling two tables with {rows:,} rows")
        _fill(db, rows)
        say("adding rows")
        added = _spent(db, partial(_add, db, "usage_events")) / ADDED
        added_to_partition = _spent(db, partial(_add, db, "usage_by_day")) / ADDED
        old = rows // DAYS
        say(f"deleting {old:,} rows")
        deleted = _spent(db, partial(_delete, db, old))
        say("vacuuming, and dropping a partition")
        vacuumed = _spent(db, partial(db.execute, "vacuum (parallel 0) public.usage_events"))
        dropped = _spent(db, partial(db.execute, "drop table public.usage_of_day_0"))
    return Costs(rows, added, added_to_partition, deleted / old, vacuumed / old, dropped / old)


def report(costs: Sequence[Costs], machine: Mapping[str, str]) -> list[Part]:
    """The costs as a table."""
    headings = ("rows", "added", "to a partition", "deleted", "vacuumed", "dropped")
    rows = [
        (f"{one.rows:,}", *(f"{cost:.1f}" for name, cost in asdict(one).items() if name != "rows"))
        for one in costs
    ]
    title = "Postgres' processor time for one row, in microseconds"
    told = [Line(f"{name}: {value}") for name, value in machine.items()]
    return [Table(headings, rows, title, right=headings), *told]


def _fill(db: Connection, rows: int) -> None:
    given = {"rows": rows, "days": DAYS, "people": PEOPLE}
    add_people(db)
    for statement in (_SUMMED, _RETENTION):
        db.execute(statement, given)
    with without_indexes(db, ["usage_events"]):
        db.execute(_EVENTS, given)
    db.execute(_PARTITIONED)
    for day in range(DAYS + 1):  # One more, in case midnight passes.
        db.execute(_PARTITION.format(day=day, days=DAYS).encode())
    db.execute("insert into public.usage_by_day select * from public.usage_events order by id")
    db.execute(_INDEXES)
    db.execute("vacuum (analyze)")


def _add(db: Connection, table: str) -> None:
    person = db.execute("select id from auth.users limit 1").fetchone()
    assert person
    for _ in range(ADDED):
        given = {"id": uuid7(), "turn": uuid7(), "person": person["id"]}
        db.execute(_ADD.format(table=table).encode(), given)


def _delete(db: Connection, rows: int) -> None:
    """Delete the oldest rows as health_check does."""
    while rows > 0:
        found = db.execute("select public.apply_retention(%s) as gone", [BATCH]).fetchone()
        assert found
        assert found["gone"]["usage_events"]
        rows -= found["gone"]["usage_events"]


def _spent(db: Connection, work: Callable[[], object]) -> float:
    """The processor time in microseconds that Postgres spends on it."""
    before = cpu_seconds(db.info.backend_pid)
    work()
    return (cpu_seconds(db.info.backend_pid) - before) * 1e6


_SUMMED = """
insert into public.usage_daily
  (day, provider, model_key, outcome, calls, turns, prompt_tokens, completion_tokens, cost_usd,
   duration_p50_ms, duration_p95_ms)
values (current_date, 'bench', 'bench', 'ok', 1, 1, 0, 0, 0, 0, 0)
"""
"""A day is deleted only if a later one is summed."""
_RETENTION = """
update private.system_settings
set config = config || jsonb_build_object(
  'retention', jsonb_build_object('usage_days', %(days)s - 2))
"""
_EVENTS = """
insert into public.usage_events
  (id, turn_id, user_id, provider, model_key, outcome, duration_ms, created_at)
select made.id, made.id, md5('user' || 1 + n %% %(people)s)::uuid, 'bench', 'bench', 'ok', 1000,
       made.created_at
from (
  select n, at as created_at,
         -- As uuid7() makes them.
         (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7'
          || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid as id
  from generate_series(0, %(rows)s - 1) n
  cross join lateral (
    select current_date - %(days)s + 1 + n::float / %(rows)s * %(days)s * interval '1 day' as at) t
  ) made
"""
_PARTITIONED = """
create table public.usage_by_day (like public.usage_events including defaults)
partition by range (created_at)
"""
_PARTITION = """
create table public.usage_of_day_{day} partition of public.usage_by_day
for values from (current_date - {days} + 1 + {day}) to (current_date - {days} + 2 + {day})
"""
_INDEXES = """
-- A key of a partitioned table has to contain the time.
alter table public.usage_by_day add primary key (id, created_at);
alter table public.usage_by_day
  add foreign key (user_id) references auth.users (id) on delete set null;
create index on public.usage_by_day (user_id, created_at desc);
create index on public.usage_by_day (turn_id);
create index on public.usage_by_day (created_at);
"""
_ADD = """
insert into public.{table} (id, turn_id, user_id, provider, model_key, outcome, duration_ms)
values (%(id)s, %(turn)s, %(person)s, 'bench', 'bench', 'ok', 1000)
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--rows", "sizes", type=int, multiple=True, default=SIZES, show_default=True,
    help="The rows of the table. Repeat it for several sizes.",
)  # fmt: skip
@json_option
def main(sizes: tuple[int, ...], *, as_json: bool) -> None:
    """Measure what it costs to delete old usage, and what partitions would save."""
    with running_postgres() as postgres:
        costs = [measure(postgres, rows, progress.say("retention")) for rows in sizes]
    machine = dict(describe()) | {"load": f"{load_average():.1f} at the end"}
    found = {"costs": [asdict(one) for one in costs], "machine": machine}
    show(report(costs, machine), found, as_json=as_json)


if __name__ == "__main__":
    main()
