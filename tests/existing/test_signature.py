"""The signature of a database shows whatever changes in its catalog, and nothing else."""

from __future__ import annotations

import pytest

from tests.existing.database import SHARED, signature
from tests.support.postgres import Connection


@pytest.mark.parametrize(
    "change",
    [
        "alter table messages add column position bigint",
        "alter table messages alter column content drop not null",
        "alter table messages alter column message_type set default 'x'",
        "alter table messages drop constraint messages_sender_check",
        "alter table messages alter column content set storage external",
        "create index on messages (conversation_id)",
        "alter table messages disable trigger user",
        'drop policy "People update their conversations" on conversations',
        'alter policy "People update their conversations" on conversations to authenticated',
        "revoke update on messages from anon",
        "revoke update (content) on messages from anon; grant select (content) on messages to anon",
        "alter table messages disable row level security",
        "alter table messages force row level security",
        "alter table messages replica identity full",
        "alter publication supabase_realtime add table messages",
        "comment on column messages.content is 'x'",
        "create schema private",
        "create view public.another as select 1 as one",
        "create sequence public.numbers",
        "create or replace function verify_user_age(birth_date date) returns boolean"
        " language sql as 'select true'",
        "revoke execute on function has_role(uuid, app_role) from public",
        "alter type app_role rename value 'guest' to 'visitor'",
        "alter default privileges in schema public revoke all on tables from anon",
    ],
)
def test_the_signature_shows_a_change(db: Connection, change: str) -> None:
    before = signature(db)
    db.execute(change.encode())
    assert signature(db) != before


def test_a_column_that_came_and_went_leaves_no_trace_in_the_signature(db: Connection) -> None:
    before = signature(db)
    db.execute("alter table messages add column position bigint")
    db.execute("alter table messages drop column position")
    assert signature(db) == before


def test_the_signature_of_some_tables_is_about_them_alone(db: Connection) -> None:
    lines = signature(db, SHARED)
    assert "relation public.messages:" in " ".join(lines)
    db.execute("create schema private; alter table jobs add column x text")
    assert signature(db, SHARED) == lines
