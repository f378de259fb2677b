"""`make adopt`: what it says, refuses and does, on the databases of tests/existing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from psycopg import sql

from dev.__main__ import cli
from dev.adopt import command, inspect
from dev.adopt.steps import steps
from dev.operate import project
from tests.existing.database import STATES, contents, signature
from tests.existing.installation import drop, existing_database
from tests.support.postgres import OWNER, Postgres, run_file


@pytest.fixture(params=STATES)
def database(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the product, with rows of every kind."""
    with existing_database(postgres, request.param, ("rows", "more_rows")) as name:
        yield name


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    name = f"empty_{uuid4().hex}"
    postgres.create(name)
    yield name
    drop(postgres, name)


def adopt(postgres: Postgres, database: str, *arguments: str) -> Result:
    options = ["adopt", "--database-url", postgres.dsn(database), *arguments]
    return CliRunner().invoke(cli, options, catch_exceptions=False)


def refusals(result: Result) -> list[str]:
    assert result.exit_code == 1
    _, _, refused = result.output.partition("Refused:\n")
    return [line.removeprefix("- ") for line in refused.splitlines() if line.startswith("- ")]


def change(postgres: Postgres, database: str, statement: str) -> None:
    with postgres.connect(database) as connection:
        connection.execute(statement.encode())


def test_a_dry_run_changes_nothing_and_says_what_would_be(
    postgres: Postgres, database: str
) -> None:
    with postgres.connect(database) as connection:
        before = signature(connection), contents(connection)
    result = adopt(postgres, database)
    assert result.exit_code == 0
    assert "Nothing was changed. `make adopt APPLY=1` does it." in result.output
    assert f"{len(steps())} steps to do, 0 done." in result.output
    assert "The adult tier. Today every conversation has it." in result.output
    with postgres.connect(database) as connection:
        assert (signature(connection), contents(connection)) == before


def test_plan_is_json_for_programs(postgres: Postgres, database: str) -> None:
    plan = json.loads(adopt(postgres, database, "--json").stdout)
    assert (plan["todo"], plan["done"]) == ([step.name for step in steps()], 0)
    assert plan["refusals"] == []
    applied = adopt(postgres, database, "--json", "--apply")
    assert json.loads(applied.stdout) == plan
    assert "Done." in applied.stderr
    after = json.loads(adopt(postgres, database, "--json").stdout)
    assert (after["todo"], after["done"]) == ([], len(steps()))


def test_the_report_repeats_nobodys_words(postgres: Postgres, database: str) -> None:
    with postgres.connect(database) as connection:
        said = connection.execute("""
            select content as text from messages union all select name from characters
            union all select description from characters union all select title from conversations
            union all select username from profiles""").fetchall()
    words = {row["text"] for row in said if row["text"] and len(row["text"]) > 8}
    output = adopt(postgres, database).output
    assert words
    assert not [text for text in words if text in output]


def test_applied_twice_the_second_time_does_nothing(postgres: Postgres, database: str) -> None:
    assert adopt(postgres, database, "--apply").exit_code == 0
    with postgres.connect(database) as connection:
        before = signature(connection), contents(connection)
    again = adopt(postgres, database, "--apply")
    assert again.exit_code == 0
    assert "Everything is adopted." in again.output
    with postgres.connect(database) as connection:
        assert (signature(connection), contents(connection)) == before


def test_undone_nothing_is_left(postgres: Postgres, database: str) -> None:
    with postgres.connect(database) as connection:
        before = signature(connection), contents(connection)
    assert adopt(postgres, database, "--apply").exit_code == 0
    asked = adopt(postgres, database, "--undo")
    assert "`make adopt ARGS=--undo APPLY=1` does it." in asked.output
    assert adopt(postgres, database, "--undo", "--apply").exit_code == 0
    with postgres.connect(database) as connection:
        assert (signature(connection), contents(connection)) == before


def test_what_was_made_on_top_of_ours_is_not_dropped(postgres: Postgres, database: str) -> None:
    assert adopt(postgres, database, "--apply").exit_code == 0
    change(postgres, database, "create view public.their_view as select count(*) from public.turns")
    with postgres.connect(database) as connection:
        before = signature(connection)
    result = adopt(postgres, database, "--undo", "--apply")
    assert result.exit_code == 1
    assert "Nothing was undone: their_view would go too." in result.output.replace("public.", "")
    with postgres.connect(database) as connection:
        assert signature(connection) == before


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("update system_config set id = 2", "The row of public.system_config has not the id 1"),
        ("alter table messages rename column message_type to kind", "public.messages has no"),
        ("drop table system_config cascade", "public.system_config is missing."),
        ("create table turns (id bigint)", "public.turns exists and is not ours."),
        ("create schema private", "A schema called private exists and is not ours."),
        ("delete from system_config", "public.system_config has 0 rows"),
    ],
)
def test_what_it_does_not_understand_is_refused(
    postgres: Postgres, database: str, statement: str, refused: str
) -> None:
    change(postgres, database, statement)
    with postgres.connect(database) as connection:
        before = signature(connection)
    found = refusals(adopt(postgres, database, "--apply"))
    assert [line for line in found if line.startswith(refused)]
    with postgres.connect(database) as connection:
        assert signature(connection) == before


def test_a_new_database_is_sent_to_the_other_way(postgres: Postgres, empty: str) -> None:
    assert refusals(adopt(postgres, empty)) == [
        "There are no tables to take over. Use `make deploy-db`."
    ]


def test_a_database_of_this_project_is_sent_to_the_other_way(
    postgres: Postgres, empty: str
) -> None:
    postgres.migrate(empty)
    assert refusals(adopt(postgres, empty, "--apply")) == [
        "The tables are this project's own. Use `make deploy-db`."
    ]


def test_a_role_that_sets_its_search_path_and_time_is_understood(
    postgres: Postgres, database: str
) -> None:
    change(
        postgres,
        database,
        "create function public.count(jsonb) returns integer language sql as 'select 7';"
        "create table public.pg_trigger (tgname text);"
        f"alter database {database} set search_path = public, pg_catalog",
    )
    change(postgres, database, f"alter database {database} set statement_timeout = '50ms'")
    assert adopt(postgres, database, "--apply").exit_code == 0


def test_a_table_that_is_locked_for_long_is_a_sentence(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "PATIENCE", "50ms")
    with postgres.connect(database) as connection, connection.transaction():
        connection.execute(b"lock table public.messages")
        result = adopt(postgres, database)
    assert result.exit_code == 1
    assert "Somebody has locked a table for long." in result.output


def test_without_an_address_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "find_environment", lambda settings: ({}, "environment"))
    result = CliRunner().invoke(cli, ["adopt"], env={"DATABASE_URL": ""}, catch_exceptions=False)
    assert result.exit_code == 1
    assert result.output.startswith("Set DATABASE_URL to the connection string")


@pytest.mark.parametrize(
    "password", ["a@b", "a/b@c", "a#b", "a?b", "a%b"], ids=["at", "slash", "hash", "question", "%"]
)
def test_a_password_that_is_not_written_as_in_an_address_is_not_shown(password: str) -> None:
    url = f"postgresql://postgres:{password}@127.0.0.1:1/nowhere"
    result = CliRunner().invoke(cli, ["adopt", "--database-url", url], catch_exceptions=False)
    assert result.exit_code == 1
    assert result.output.startswith("DATABASE_URL is not understood.")
    assert password not in result.output


def test_names_that_need_quoting_are_understood(postgres: Postgres) -> None:
    name = f'their app/50% "{uuid4().hex}"'
    rename = sql.SQL("alter database {} rename to {}")
    with existing_database(postgres, "april", ("rows",)) as plain:
        with postgres.connect("template1", OWNER) as connection:
            connection.execute(rename.format(sql.Identifier(plain), sql.Identifier(name)))
        try:
            assert adopt(postgres, quote(name, safe=""), "--apply").exit_code == 0
        finally:
            drop(postgres, name)


def test_a_pooler_that_shares_sessions_is_refused(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with command._connect(postgres.dsn(database)) as session:
        monkeypatch.setattr(command, "_connect", lambda url: nullcontext(session))
        result = adopt(postgres, database, "--apply")
    assert result.exit_code == 1
    assert "a pooler which shares sessions" in result.output


def test_nothing_to_undo_is_a_sentence(postgres: Postgres, database: str) -> None:
    result = adopt(postgres, database, "--undo", "--apply")
    assert result.exit_code == 1
    assert "Nothing was adopted here" in result.output


def test_no_database_is_a_sentence(postgres: Postgres) -> None:
    result = adopt(postgres, "nowhere")
    assert result.exit_code == 1
    assert "The database cannot be reached" in result.output


class TestWritten:
    """The steps as migrations of the owner's repository."""

    def test_a_database_built_with_them_is_an_adopted_one(
        self, postgres: Postgres, database: str, tmp_path: Path
    ) -> None:
        written = adopt(postgres, database, "--write", str(tmp_path))
        assert written.exit_code == 0
        files = sorted(tmp_path.glob("*.sql"))
        assert len(files) == len(steps())
        with postgres.connect(database) as connection:
            before = signature(connection), contents(connection)
            for path in files:
                run_file(connection, path)
            by_files = signature(connection)
        assert "Everything is adopted." in adopt(postgres, database).output
        assert adopt(postgres, database, "--undo", "--apply").exit_code == 0
        with postgres.connect(database) as connection:
            assert (signature(connection), contents(connection)) == before
        assert adopt(postgres, database, "--apply").exit_code == 0
        with postgres.connect(database) as connection:
            assert signature(connection) == by_files

    def test_on_an_adopted_database_they_do_nothing(
        self, postgres: Postgres, database: str, tmp_path: Path
    ) -> None:
        assert adopt(postgres, database, "--apply").exit_code == 0
        adopt(postgres, database, "--write", str(tmp_path))
        with postgres.connect(database) as connection:
            before = signature(connection), contents(connection)
            for path in sorted(tmp_path.glob("*.sql")):
                run_file(connection, path)
            assert (signature(connection), contents(connection)) == before

    def test_versions_are_later_than_all_there_are(
        self, postgres: Postgres, database: str, tmp_path: Path
    ) -> None:
        (tmp_path / "29990101000000_theirs.sql").write_text("select 1;")
        adopt(postgres, database, "--write", str(tmp_path))
        versions = sorted(path.name.partition("_")[0] for path in tmp_path.glob("*adopt*.sql"))
        assert versions[0] == "29990101000001"
        assert len(set(versions)) == len(steps())

    def test_written_again_nothing_is_added(
        self, postgres: Postgres, database: str, tmp_path: Path
    ) -> None:
        adopt(postgres, database, "--write", str(tmp_path))
        before = sorted(tmp_path.iterdir())
        assert "0 migrations written." in adopt(postgres, database, "--write", str(tmp_path)).output
        assert sorted(tmp_path.iterdir()) == before


class TestDeclared:
    """Ages and verified people, which open the adult tier."""

    CHARACTER = "aaaaaaaa-0000-4000-8000-000000000011"
    PERSON = "66666666-6666-4666-8666-666666666666"

    def declared(self, postgres: Postgres, database: str) -> list[object]:
        with postgres.connect(database) as connection:
            ages = connection.execute("select age from private.character_details").fetchall()
            people = connection.execute("select user_id::text from private.person_details")
            return [row["age"] for row in ages] + [row["user_id"] for row in people]

    def test_are_recorded(self, postgres: Postgres, database: str) -> None:
        adopt(postgres, database, "--apply")
        options = ["--age", self.CHARACTER, "52", "--verified", self.PERSON]
        result = adopt(postgres, database, *options)
        assert result.output == "Ages declared: 1. People recorded as verified: 1.\n"
        assert self.declared(postgres, database) == [52, self.PERSON]

    def test_are_counted_in_what_is_left_to_decide(self, postgres: Postgres, database: str) -> None:
        assert "(none of " in adopt(postgres, database, "--apply").output
        adopt(postgres, database, "--age", self.CHARACTER, "52", "--verified", self.PERSON)
        decisions = adopt(postgres, database).output
        assert "(1 of 13 have one;" in decisions
        assert "(2 of 7 are)" in decisions

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (["--age", PERSON, "52"], f"There is no character {PERSON}."),
            (["--verified", CHARACTER], f"There is no person {CHARACTER}."),
        ],
    )
    def test_of_nobody_are_refused_together_with_the_others(
        self, postgres: Postgres, database: str, options: list[str], sentence: str
    ) -> None:
        adopt(postgres, database, "--apply")
        result = adopt(postgres, database, "--age", self.CHARACTER, "52", *options)
        assert result.exit_code == 1
        assert sentence in result.output
        assert self.declared(postgres, database) == []

    def test_before_an_adoption_are_refused(self, postgres: Postgres, database: str) -> None:
        result = adopt(postgres, database, "--age", self.CHARACTER, "52")
        assert result.exit_code == 1
        assert "`make adopt APPLY=1` comes first." in result.output
