"""`make deploy-db` looks at the database before it runs migrations."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from dev.adopt.apply import apply
from dev.adopt.steps import steps
from dev.operate.foreign import WHAT_TO_DO, CannotTell, has_foreign_tables
from tests.existing.database import STATES, create
from tests.existing.installation import adopt, drop
from tests.support.gateway import SECRET_KEY, running_gateway
from tests.support.keys import Keys
from tests.support.postgres import MIGRATIONS, ROOT, Postgres
from tests.support.postgrest import running_postgrest

NPX = """#!/bin/sh
echo "$*" >> "$CALLS"
"""


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The name of a database that a test makes."""
    name = f"deployed_{uuid4().hex}"
    yield name
    drop(postgres, name)


def deploy(url: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """`make deploy-db APPLY=1` with a scripted CLI, and how that was called."""
    npx, calls = folder / "bin/npx", folder / "calls"
    npx.parent.mkdir()
    npx.write_text(NPX)
    npx.chmod(npx.stat().st_mode | stat.S_IXUSR)
    calls.touch()
    env = {
        "PATH": f"{npx.parent}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "LOCAL_DIR": str(folder),
        "SUPABASE_URL": "https://abcdefghijklmnopqrst.supabase.co",
        "DATABASE_URL": url,
        "APPLY": "1",
    }
    command = [sys.executable, "-m", "dev", "deploy", "db"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return done, calls.read_text().splitlines()


def test_a_new_database_is_migrated(postgres: Postgres, database: str, tmp_path: Path) -> None:
    postgres.create(database)
    done, calls = deploy(postgres.dsn(database), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert ["--dry-run" in call for call in calls] == [True, False]


def test_an_installation_of_ours_is_migrated_on(
    postgres: Postgres, database: str, tmp_path: Path
) -> None:
    postgres.create(database)
    postgres.migrate(database)
    assert len(deploy(postgres.dsn(database), tmp_path)[1]) == 2


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("is_adopted", [False, True])
def test_a_products_database_is_refused_before_the_cli_is_called(
    postgres: Postgres, database: str, tmp_path: Path, state: str, is_adopted: bool
) -> None:
    create(postgres, database, state)
    if is_adopted:
        adopt(postgres, database)
    done, calls = deploy(postgres.dsn(database), tmp_path)
    assert (done.returncode, done.stderr, calls) == (1, f"{WHAT_TO_DO}\n", [])


def test_the_data_api_tells_the_same(postgres: Postgres, database: str) -> None:
    created: dict[str, Callable[[], object]] = {"new": partial(postgres.create, database)}
    created |= {state: partial(create, postgres, database, state) for state in STATES}
    expected = {"new": False, **dict.fromkeys(STATES, True)}
    for name, make in created.items():
        make()
        assert behind_data_api(postgres, database) is expected[name], name
        drop(postgres, database)


def behind_data_api(postgres: Postgres, database: str) -> bool:
    keys = Keys()  # of this gateway alone: it changes them
    with (
        running_postgrest(postgres, database, keys.secret) as postgrest,
        running_gateway(postgrest.url, keys) as gateway,
    ):
        environment = {"SUPABASE_URL": gateway.url, "SUPABASE_SECRET_KEY": SECRET_KEY}
        return has_foreign_tables(environment)


def deploy_own(url: str, folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """`make deploy-db` for a Supabase of one's own, without its command."""
    env = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(folder), "DATABASE_URL": url} | changes
    command = [sys.executable, "-m", "dev", "deploy", "db"]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_connection_string_is_enough_for_a_supabase_of_ones_own(
    postgres: Postgres, database: str, tmp_path: Path
) -> None:
    postgres.create(database)
    url, own = postgres.dsn(database), {"SUPABASE_URL": "http://kong:8000"}
    shown = deploy_own(url, tmp_path, **own)
    count = len(list(MIGRATIONS.glob("*.sql")))
    assert shown.stdout.count("# would apply") == count
    assert "Nothing was run" in shown.stdout
    for expected in (count, 0):
        done = deploy_own(url, tmp_path, APPLY="1", **own)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("] 2026") == expected
    with postgres.connect(database) as connection:
        row = connection.execute("select verify_installation() -> 'migrations' as found").fetchone()
        assert row
        assert len(row["found"]) == count
        seeded = connection.execute("select from api_models").rowcount
        assert seeded > 0


@pytest.mark.parametrize("state", STATES)
def test_connection_string_of_a_product_is_refused(
    postgres: Postgres, database: str, tmp_path: Path, state: str
) -> None:
    create(postgres, database, state)
    for apply_them in ("0", "1"):
        done = deploy_own(postgres.dsn(database), tmp_path, APPLY=apply_them)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{WHAT_TO_DO}\n")


def test_without_an_address_both_ways_are_named(tmp_path: Path) -> None:
    done = deploy_own("", tmp_path)
    assert done.returncode == 1
    assert "SUPABASE_URL" in done.stderr
    assert "DATABASE_URL" in done.stderr


@pytest.mark.parametrize("begun", [0, 20])
def test_before_it_is_adopted_other_commands_name_the_way_too(
    postgres: Postgres, database: str, keys: Keys, begun: int, tmp_path: Path
) -> None:
    create(postgres, database, "april")
    with postgres.connect(database) as connection:
        apply(connection, lambda line: None, steps()[:begun])
    with (
        running_postgrest(postgres, database, keys.secret) as postgrest,
        running_gateway(postgrest.url, keys) as gateway,
    ):
        env = {"SUPABASE_URL": gateway.url, "SUPABASE_SECRET_KEY": SECRET_KEY}
        env |= {"LOCAL_DIR": str(tmp_path), "COLUMNS": "200", "PATH": os.environ["PATH"]}
        for command in ("verify", "usage"):
            run = [sys.executable, "-m", "dev", command]
            done = subprocess.run(
                run, cwd=ROOT, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 1
            assert "make adopt" in done.stdout.replace("`", "")
            assert "deploy-db" not in done.stdout


def test_without_a_key_nothing_is_run() -> None:
    with pytest.raises(CannotTell, match="Set SUPABASE_SECRET_KEY or DATABASE_URL"):
        has_foreign_tables({"SUPABASE_URL": "https://abcdefghijklmnopqrst.supabase.co"})
