"""Databases for suites that run on a new installation and on adopted ones."""

from __future__ import annotations

from tests.existing.database import STATES
from tests.existing.installation import make_adopted
from tests.support.postgres import Connection, Postgres

NEW = "new"
INSTALLATIONS = (NEW, *STATES)
"""A new one, and adopted ones by the state of the existing product."""


def install(server: Postgres, database: str, installation: str) -> None:
    """Makes a database that is ready to be used, with the seed."""
    if installation != NEW:
        make_adopted(server, database, installation)
        return
    server.create(database)
    server.migrate(database)
    server.seed(database)


def connect(server: Postgres, database: str) -> Connection:
    """Names of tables are those of the schema shared where it has them, as in our functions."""
    connection = server.connect(database)
    connection.execute("set search_path = shared, public, extensions")
    return connection
