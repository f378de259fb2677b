"""The benchmark of retention."""

from __future__ import annotations

from dataclasses import asdict

from psycopg import sql

from bench.retention import ADDED, measure
from tests.support.postgres import OWNER, Postgres


def test_oldest_day_is_removed_from_both_tables(postgres: Postgres) -> None:
    costs = measure(postgres, 10_000, lambda _: None)
    assert all(cost > 0 for cost in asdict(costs).values())
    with postgres.connect("retention_10000", OWNER) as db:
        counted = sql.SQL("select count(*) as rows, min(created_at) as oldest from public.{}")
        plain, partitioned = (
            db.execute(counted.format(sql.Identifier(table))).fetchone()
            for table in ("usage_events", "usage_by_day")
        )
    assert plain == partitioned
    assert plain
    assert plain["rows"] == 9_000 + ADDED
