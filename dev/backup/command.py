"""The commands: their addresses, and what they print."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
import psycopg

from dev.backup.archive import BackupError, Reader
from dev.backup.people import Accounts
from dev.backup.pictures import Pictures
from dev.backup.restore import restore
from dev.backup.save import public_settings, save
from dev.operate.migrate import MigrationError, connect, read
from dev.settings import ENV_FILE, read_env_file

NO_DATABASE = (
    "Set DATABASE_URL in the environment or in .env to the connection string of the database, of"
    " its role postgres: postgresql://postgres:password@host:5432/postgres. (The local stack keeps"
    " its data in the folder .local: stop it with make down and copy that.)"
)
T = TypeVar("T", Pictures, Accounts)


def backup(path: Path | None) -> int:
    """Write a backup to a file, and print its contents. Returns the exit code."""
    path = path or Path(f"backup-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip")

    def run(environment: Mapping[str, str], url: str) -> None:
        with connect(url) as database:
            pictures = _client(Pictures, environment)
            made = save(database, path, read(), environment, pictures, _tell)
        rows = sum(table.rows for table in made.tables.values())
        size = path.stat().st_size / 1e6
        click.echo(f"{path}: {rows:,} rows, {len(made.files):,} pictures, {size:,.1f} MB.")
        _tell("It has what people wrote. Keep it as you keep the database. It has no keys.")

    return _report(run)


def restore_from(path: Path) -> int:
    """Restore a backup, and print what is left to do. Returns the exit code."""

    def run(environment: Mapping[str, str], url: str) -> None:
        reader = Reader(path)
        with connect(url) as database:
            clients = _client(Pictures, environment), _client(Accounts, environment)
            restore(database, reader, read(), *clients, _tell)
        made = reader.manifest
        click.echo(f"Restored what {path.name} has, as of {made.made_at}.")
        if made.workers_without_key:
            names = ", ".join(made.workers_without_key)
            click.echo(f"Workers need new keys (make worker NAME=...): {names}")
        here = public_settings(environment)
        other = {name: value for name, value in made.settings.items() if here.get(name) != value}
        if other:
            click.echo("Settings of the functions that were other when it was made:")
            click.echo("\n".join(f"  {name}={value}" for name, value in other.items()))
        click.echo("make deploy-db APPLY=1 applies what is newer; make verify checks the rest.")

    return _report(run)


def _report(run: Callable[[Mapping[str, str], str], None]) -> int:
    environment = {**read_env_file(ENV_FILE), **os.environ}
    url = environment.get("DATABASE_URL", "").strip()
    if not url:
        click.echo(NO_DATABASE, err=True)
        return 1
    try:
        run(environment, url)
    except (BackupError, MigrationError) as error:
        click.echo(str(error), err=True)
        return 1
    except psycopg.Error as error:
        said = error.diag.message_primary or type(error).__name__
        click.echo(f"The database answered: {said}. Nothing was changed.", err=True)
        return 1
    return 0


def _client(kind: type[T], environment: Mapping[str, str]) -> T | None:
    url, key = (environment.get(n, "").strip() for n in ("SUPABASE_URL", "SUPABASE_SECRET_KEY"))
    return kind(url, key) if url and key else None


def _tell(line: str) -> None:
    click.echo(line, err=True)
