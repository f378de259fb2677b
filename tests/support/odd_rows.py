"""Values that are not in our tables, and may be in those of an existing product."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.stack import Stack

ODD = ["1e309", "1e400", "1e5000", "-1", '"abc"', "true", "[[[1]]]", '{"a": 1e400}', "0.5e-400"]


@contextmanager
def altered(stack: Stack, table: str, column: str) -> Iterator[None]:
    """A column without constraints, as another version may have."""
    name = f"{table}_{column}_check"
    query = "select pg_get_constraintdef(oid) as rule from pg_constraint where conname = %s"
    row = stack.one(query, name)
    stack.db.execute(f"alter table public.{table} drop constraint {name}".encode())
    try:
        yield
    finally:
        stack.db.execute(f"delete from {table} where {column} = 'odd'".encode())  # noqa: S608
        stack.db.execute(f"alter table public.{table} add constraint {name} {row['rule']}".encode())
