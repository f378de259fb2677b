"""From the first release to the working copy and back, with a conversation that goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from dev.backup.archive import Reader
from dev.backup.restore import restore
from dev.backup.save import save
from dev.operate import migrate
from tests.support.copies import Upstreams, ask, contents, database, deploy, running
from tests.support.postgres import ROOT, Postgres
from tests.support.releases import SCRATCH, Release, first_and_next, unpack
from tests.support.stack import Stack, User
from tests.support.upstream import Upstream


@pytest.fixture
def upstreams(openrouter: Upstream, chat_worker: Upstream) -> Iterator[Upstreams]:
    yield Upstreams(openrouter, chat_worker)
    openrouter.reset()
    chat_worker.reset()


def again(stack: Stack, user: User) -> User:
    """The same person, with a token of another gateway."""
    return User(user.id, user.email, stack.keys.token(user.id))


def talk(stack: Stack, user: User, conversation: UUID, message: str, reply: str) -> None:
    assert ask(stack, again(stack, user), conversation, message, reply) == reply


def copy(postgres: Postgres, name: str, path: Path, release: Release) -> None:
    with migrate.connect(postgres.dsn(name)) as connection:
        save(connection, path, release.migrations, {}, None, lambda line: None)


def go_back(postgres: Postgres, name: str, path: Path, release: Release, accounts: Any) -> None:
    with migrate.connect(postgres.dsn(name)) as connection:
        told = lambda line: None  # noqa: E731
        restore(connection, Reader(path), release.migrations, None, accounts, told)


class Accounts:
    """An Auth server that has no account yet."""

    def __init__(self, postgres: Postgres, name: str) -> None:
        self._postgres, self._name = postgres, name

    def make(self, person: Any) -> None:
        with self._postgres.connect(self._name) as db:
            query = "insert into auth.users (id, email) values (%s, %s)"
            db.execute(query, [person.id, person.email])


def test_conversation_goes_on_after_an_upgrade_and_after_going_back(
    postgres: Postgres, upstreams: Upstreams, tmp_path: Path
) -> None:
    first, later = first_and_next(tmp_path / "first")
    path = tmp_path / "before.zip"
    with database(postgres, empty=True) as name:
        deploy(postgres, name, first.migrations, first.seed)
        with running(postgres, name, upstreams, first.functions) as stack:
            user = stack.user("Ann")
            conversation = stack.conversation(user)
            talk(stack, user, conversation, "Hello", "Good evening.")
            copy(postgres, name, path, first)
            before = contents(stack.db)

        told = deploy(postgres, name, later.migrations, later.seed)
        assert len(told) == len(later.migrations) - len(first.migrations) > 0
        with running(postgres, name, upstreams, later.functions) as stack:
            talk(stack, user, conversation, "And now?", "The lamp is lit.")
            assert "Good evening." in str(upstreams.openrouter.calls[-1].json["messages"])
            assert len(stack.said(conversation)) == 4
        assert deploy(postgres, name, later.migrations, later.seed) == []

    with database(postgres, empty=True) as name:
        go_back(postgres, name, path, later, Accounts(postgres, name))
        with postgres.connect(name) as db:
            assert contents(db) == before
        with running(postgres, name, upstreams, first.functions) as stack:
            talk(stack, user, conversation, "Where were we?", "At the beginning.")
            assert [said for _, said in stack.said(conversation)] == [
                *("Hello", "Good evening.", "Where were we?", "At the beginning.")
            ]
        # The copy of the older version is brought up to date as any other database.
        assert deploy(postgres, name, later.migrations, later.seed) == told


def test_functions_of_the_first_release_work_on_the_next_schema(
    postgres: Postgres, upstreams: Upstreams, tmp_path: Path
) -> None:
    """Migrations come first, and only add: the functions are replaced, or rolled back, later."""
    first, later = first_and_next(tmp_path / "first")
    with database(postgres, empty=True) as name:
        deploy(postgres, name, later.migrations, later.seed)
        with running(postgres, name, upstreams, first.functions) as stack:
            user = stack.user()
            talk(stack, user, stack.conversation(user), "Hello", "Good evening.")


def test_release_is_read_from_its_tag(tmp_path: Path) -> None:
    """What the tests above do from the first tag on."""
    release = unpack("HEAD", tmp_path)
    tracked = subprocess.check_output(
        ["/usr/bin/env", "git", "ls-tree", "--name-only", "HEAD:supabase/migrations"],
        cwd=ROOT,
        text=True,
    )
    assert [f"{one.version}_{one.name}.sql" for one in release.migrations] == tracked.split()
    assert (release.functions / "roleplay_chat/main.py").is_file()
    assert release.seed.read_text()


def test_tag_that_is_there_is_the_first_release(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "supabase/migrations").mkdir(parents=True)
    (root / "functions").mkdir()
    (root / "functions/main.py").write_text("")
    (root / "supabase/seed.sql").write_text("select 1")
    (root / "supabase/migrations/20260101000000_a.sql").write_text("select 1")
    name = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "."], [*name, "commit", "-qm", "one"], ["tag", "v1.0.0"]):
        subprocess.run(["/usr/bin/env", "git", *words], cwd=root, check=True)
    first, later = first_and_next(tmp_path / "first", root)
    assert [one.version for one in first.migrations] == ["20260101000000"]
    assert SCRATCH not in later.migrations


class TestMigrating:
    @pytest.fixture
    def name(self, postgres: Postgres) -> Iterator[str]:
        with database(postgres, empty=True) as name:
            yield name

    def test_one_that_fails_leaves_those_before_it(self, postgres: Postgres, name: str) -> None:
        good = migrate.Migration("1", "good", "create table public.good (id int)")
        bad = migrate.Migration("2", "bad", "create table public.bad (id int); select 1 / 0")
        with pytest.raises(migrate.MigrationError, match="2_bad: division by zero"):
            deploy(postgres, name, [good, bad])
        with postgres.connect(name) as db:
            row = db.execute("select to_regclass('good') as good, to_regclass('bad') as bad")
            assert row.fetchone() == {"good": "good", "bad": None}
            assert migrate.applied(db) == ["1"]

    def test_database_ahead_of_the_copy_is_refused(self, postgres: Postgres, name: str) -> None:
        one, two = (migrate.Migration(str(n), "x", "select 1") for n in (1, 2))
        deploy_only(postgres, name, [one, two])
        with pytest.raises(migrate.MigrationError, match="newer version"):
            deploy_only(postgres, name, [one])

    def test_tables_without_a_record_are_refused(self, postgres: Postgres, name: str) -> None:
        postgres.migrate(name)
        with pytest.raises(migrate.MigrationError, match="no record"):
            deploy_only(postgres, name, migrate.read())

    def test_two_at_once_do_not_both_run(self, postgres: Postgres, name: str) -> None:
        with migrate.connect(postgres.dsn(name)) as holder:
            migrate.apply(holder, [], print)
            with pytest.raises(migrate.MigrationError, match="Another run"):
                deploy_only(postgres, name, [migrate.Migration("1", "x", "select 1")])


def deploy_only(postgres: Postgres, name: str, wanted: list[migrate.Migration]) -> None:
    with migrate.connect(postgres.dsn(name)) as connection:
        migrate.apply(connection, migrate.missing(connection, wanted), lambda line: None)
