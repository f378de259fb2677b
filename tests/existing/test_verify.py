"""`make verify` on a database that was adopted: our objects are judged, the product's compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dev.adopt.steps import steps
from dev.operate.verify.command import check_facts
from tests.existing.database import STATES
from tests.existing.installation import adopted_database
from tests.support.postgres import Connection, Postgres


@pytest.fixture(scope="module", params=STATES)
def adopted(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Connection]:
    with adopted_database(postgres, request.param, ("rows",)) as connection:
        yield connection


def judged(connection: Connection) -> dict[str, tuple[str, str]]:
    """State and finding of each check of the schema, by its name."""
    row = connection.execute("select public.verify_installation() as facts").fetchone()
    assert row
    facts: dict[str, Any] = row["facts"]
    checks = check_facts(facts, {}, {"20260101000100": ""}, is_local=False)
    names: tuple[str, ...] = (
        "adoption",
        "the product's tables",
        "messages",
        "row level security",
        "policies",
    )
    names += ("changes of messages",)
    return {check.name: (check.state, check.found) for check in checks if check.name in names}


def changed(connection: Connection, statement: str) -> dict[str, tuple[str, str]]:
    """What is judged after a statement that is taken back."""
    with connection.transaction(force_rollback=True):
        connection.execute(statement.encode())
        return judged(connection)


def test_all_is_well(adopted: Connection) -> None:
    found = judged(adopted)
    assert {state for state, _ in found.values()} == {"ok"}
    assert found["adoption"] == ("ok", f"all {len(steps())} steps are done")


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("alter table messages add column metadata jsonb", "+ column messages.metadata: jsonb"),
        ("drop trigger a_place_message on messages", "- trigger messages.a_place_message"),
        ("alter table characters disable row level security", "+ table characters: row level"),
        ("revoke insert on messages from authenticated", "- grant messages: DELETE INSERT"),
        ("alter table conversations add check (title <> '')", "+ constraint conversations."),
        ("alter publication supabase_realtime add table messages", "+ publication messages:"),
    ],
)
def test_a_change_of_the_products_tables_is_told(
    adopted: Connection, statement: str, line: str
) -> None:
    state, found = changed(adopted, statement)["the product's tables"]
    assert state == "problem"
    assert line in found


def test_messages_without_a_position_are_told(adopted: Connection) -> None:
    loaded = """
        alter table public.messages disable trigger user;
        insert into public.messages (conversation_id, sender, content)
        select id, 'user', 'Loaded.' from public.conversations limit 1"""
    found = changed(adopted, loaded)["messages"]
    assert found == ("problem", "1 message without a position, in no prompt")


def test_triggers_that_were_off_are_told(adopted: Connection) -> None:
    off_and_on = """
        alter table public.messages disable trigger user;
        alter table public.messages enable trigger user"""
    state, found = changed(adopted, off_and_on)["changes of messages"]
    assert (state, "not always noticed" in found) == ("problem", True)
    again = changed(adopted, f"{off_and_on}; select private.watch_messages()")
    assert again["changes of messages"] == ("ok", "always noticed")


def test_what_is_not_ours_is_not_judged(adopted: Connection) -> None:
    opened = """
        create table public.notes (id bigint);
        create policy theirs on public.jobs for select using (true);
        alter table public.jobs disable row level security"""
    found = changed(adopted, opened)
    assert {state for state, _ in found.values()} == {"ok"}


def test_what_is_ours_is_judged(adopted: Connection) -> None:
    opened = """
        alter table public.turns disable row level security;
        create policy odd on public.memories for select using (true)"""
    found = changed(adopted, opened)
    assert found["row level security"] == ("problem", "off for public.turns")
    assert found["policies"] == ("problem", "not from a migration: public.memories odd")


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "update private.adoption_steps set digest = 'other' where name = 'templates'",
            "done in another version than this copy has: templates",
        ),
        ("delete from private.adoption_steps where name = 'templates'", "not done: templates"),
    ],
)
def test_a_step_that_is_missing_or_other_is_told(
    adopted: Connection, statement: str, found: str
) -> None:
    assert changed(adopted, statement)["adoption"] == ("problem", found)


def test_nothing_of_the_products_is_to_be_changed_or_deleted(adopted: Connection) -> None:
    with adopted.transaction(force_rollback=True):
        adopted.execute(
            b"update public.api_models set is_default = modality in ('chat', 'roleplay')"
        )
        adopted.execute(
            b"insert into public.api_providers (name, display_name) values ('other', 'Other')"
        )
        adopted.execute(
            b"update public.api_models set provider_id ="
            b" (select id from public.api_providers where name = 'other')"
            b" where model_key = (select min(model_key) from public.api_models"
            b" where modality in ('chat', 'roleplay'))"
        )
        row = adopted.execute("select public.verify_installation() as facts").fetchone()
    assert row
    checks = check_facts(row["facts"], {}, {}, is_local=False)
    other = next(check for check in checks if check.name == "provider other")
    assert (other.state, "private.provider_keys" in other.remedy) == ("unknown", True)
    assert [check.remedy for check in checks if "pricing" in check.remedy and check.state != "ok"]
    for check in checks:
        for words in ("delete", "drop", "is_default", "is_approved", "in its pricing"):
            assert words not in check.remedy, check
