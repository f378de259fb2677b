"""Databases that differ from what is known: each is refused with its reason, or is understood."""

from __future__ import annotations

import pytest
from psycopg import sql

from dev.adopt.structure import refusals
from tests.support.postgres import OWNER, Connection, Postgres

PARTITIONED = """
alter table messages rename to old_messages;
create table messages (like old_messages including defaults) partition by range (created_at);
create table messages_rest partition of messages default
"""
ON_UPDATE = "create trigger touch before update{} on messages"
ON_UPDATE += " for each row execute function handle_updated_at()"


def found(db: Connection, statement: str) -> list[str]:
    db.execute(b"set local search_path = public")
    db.execute(statement.encode())
    db.execute(b"set local search_path = ''")
    return refusals(db, is_adopted=False)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("alter table messages add column position integer", "public.messages has a column positi"),
        (
            "alter table messages add column edited_at date",
            "public.messages has a column edited_at",
        ),
        (
            "create trigger a_keep_health after insert on system_config"
            " for each row execute function handle_updated_at()",
            "public.system_config has a trigger a_keep_health",
        ),
        ("create index messages_by_position on jobs (id)", "public.messages_by_position exists"),
        ("create index turns_by_user on jobs (id)", "public.turns_by_user exists"),
        ("create type memories as enum ('a')", "public.memories exists"),
        ("create sequence usage_events", "public.usage_events exists"),
        ("create schema private", "A schema called private exists"),
        (
            "alter table messages add column tenant text not null default 1;"
            " alter table messages alter tenant drop default",
            "public.messages.tenant may not be null",
        ),
        (
            "alter table conversations alter memory_data drop default,"
            " alter memory_data type json using memory_data::json",
            "public.conversations.memory_data is of the type json, not jsonb",
        ),
        (
            "alter table messages alter created_at type timestamp using created_at",
            "public.messages.created_at is of the type timestamp without time zone",
        ),
        (
            "alter table messages alter content type varchar(500) using left(content, 500)",
            "public.messages.content holds 500 characters",
        ),
        (
            "alter table messages add check (message_type <> 'scene_kickoff') not valid",
            "The constraint messages_message_type_check of public.messages refuses",
        ),
        (
            "alter table messages add constraint short check (char_length(content) < 1) not valid",
            "Messages violate the constraint short",
        ),
        (ON_UPDATE.format(""), "The trigger touch of public.messages runs on every update"),
        (PARTITIONED, "public.messages is partitioned"),
        (
            "alter table messages drop constraint messages_pkey cascade",
            "public.messages has no primary key",
        ),
    ],
)
def test_what_is_not_understood_is_refused(db: Connection, statement: str, reason: str) -> None:
    assert [line for line in found(db, statement) if line.startswith(reason)]


@pytest.mark.parametrize(
    "statement",
    [
        "alter table messages add column tenant text not null default 1",
        "alter table messages add column size integer generated always as (length(content)) stored",
        "alter table messages rename constraint messages_pkey to another",
        "alter table messages add check (content <> '50 %s {}')",
        "create domain speech as text; alter table messages alter content type speech",
        ON_UPDATE.format(" of content"),
        ON_UPDATE.format("") + "; alter table messages disable trigger touch",
        "create policy more on messages for all to authenticated using (true) with check (true)",
        "create view talk as select * from messages",
    ],
)
def test_what_makes_no_difference_is_understood(db: Connection, statement: str) -> None:
    assert found(db, statement) == []


def test_forced_row_level_security_is_refused_for_a_role_that_it_holds_for(
    postgres: Postgres, database: str
) -> None:
    with (
        postgres.connect(database, OWNER) as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute(b"alter table messages force row level security")
        connection.execute(b"create role plain in role postgres")
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier("plain")))
        lines = refusals(connection, is_adopted=False)
    assert [line for line in lines if line.startswith("Row level security of public.messages")]
