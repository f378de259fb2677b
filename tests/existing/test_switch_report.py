"""Admins see the switch of an adopted installation, and both functions side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.existing.database import STATES
from tests.existing.installation import adopted_database
from tests.existing.requests import PEOPLE
from tests.existing.turns import take_turn
from tests.support.postgres import Connection, Postgres


@pytest.fixture(params=STATES)
def adopted(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Connection]:
    with adopted_database(postgres, request.param, ("rows",)) as connection:
        yield connection


def report(connection: Connection, person: str, days: int = 14) -> dict[str, Any]:
    """What this person reads through the Data API."""
    claims = json.dumps({"sub": PEOPLE[person], "role": "authenticated"})
    with connection.transaction(force_rollback=True):
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        connection.execute("set local role authenticated")
        row = connection.execute("select public.switch_report(%s) as told", [days]).fetchone()
    assert row
    return dict(row["told"])


def test_admin_sees_who_is_moved_and_what_each_side_did(adopted: Connection) -> None:
    adopted.execute("select public.set_traffic(true, 25, array[%s]::uuid[])", [PEOPLE["person"]])
    take_turn(adopted, "Hello.")
    told = report(adopted, "admin")
    assert (told["is_on"], told["percent"], told["people"]) == (True, 25, 1)
    assert PEOPLE["person"] not in str(told)
    assert [row["conversations"] for row in told["days"] if row["side"] == "new"] == [1]


@pytest.mark.parametrize("days", [-5, 0, 10**6])
def test_days_are_bounded(adopted: Connection, days: int) -> None:
    assert report(adopted, "admin", days)["is_on"] is False


def test_nobody_else_does(adopted: Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        report(adopted, "person")
