"""Databases of the existing product, in each state that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from psycopg import Rollback

from tests.existing.database import STATES, create
from tests.existing.requests import DataApi, running_data_api
from tests.support.keys import Keys
from tests.support.postgres import Connection, Postgres


@pytest.fixture(scope="session", params=STATES)
def state(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Callable[[str], str]:
    """The database in a state, made at the first request: states alternate from file to file."""

    @cache
    def database(state: str) -> str:
        create(postgres, f"existing_{state}", state, ("rows", "more_rows"))
        return f"existing_{state}"

    return database


@pytest.fixture(scope="session")
def database(databases: Callable[[str], str], state: str) -> str:
    return databases(state)


@pytest.fixture(scope="session")
def api(postgres: Postgres, keys: Keys, database: str) -> Iterator[DataApi]:
    with running_data_api(postgres, database, keys) as api:
        yield api


@pytest.fixture
def db(postgres: Postgres, database: str) -> Iterator[Connection]:
    """As postgres, in a transaction that is rolled back."""
    with postgres.connect(database) as connection, connection.transaction():
        yield connection
        raise Rollback
