"""An adoption adds what is named, goes on where it was interrupted, and can be taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row, tuple_row

from dev.adopt import apply as adoption
from dev.adopt import steps as steps_module
from dev.adopt.apply import AdoptionError, apply, done, steady, undo
from dev.adopt.steps import AdoptionStep, steps
from roleplay_chat.chats import sillytavern
from roleplay_chat.rows import BegunTurn
from roleplay_chat.turn_cache import CachedTurn, complete
from tests.existing.database import contents, signature
from tests.existing.installation import adopted_database, existing_database
from tests.existing.requests import PEOPLE
from tests.support.postgres import OWNER, Connection, Postgres

TALK = "bbbbbbbb-0000-4000-8000-000000000001"
HOUSE = "aaaaaaaa-0000-4000-8000-000000000002"  # a public character
ONE_STATE = pytest.mark.parametrize("state", ["april"], indirect=True)

# What an adoption adds to tables of the product, as kind and name.
ADDED = [
    "column public.messages.edited_at",
    "column public.messages.position",
    "index public.conversations.conversations_by_person",
    "index public.messages.messages_by_position",
    "index public.messages.messages_by_term",
    "trigger public.conversations.a_account_first",
    "trigger public.conversations.a_account_of_row",
    "trigger public.conversations.a_forget_conversation",
    "trigger public.messages.a_forget_deleted",
    "trigger public.messages.a_forget_edited",
    "trigger public.messages.a_forget_versions",
    "trigger public.messages.a_note_added",
    "trigger public.messages.a_note_changed",
    "trigger public.messages.a_note_deleted",
    "trigger public.messages.a_note_moved",
    "trigger public.messages.a_note_truncated",
    "trigger public.messages.a_place_message",
    "trigger public.system_config.a_keep_health",
]

FOR_PEOPLE = {
    *("public.account_contents", "public.block_author", "public.catalogue_tags"),
    *("public.create_api_key", "public.revoke_api_key"),
    *("public.dismiss_reports", "public.download_account", "public.list_conversations"),
    *("public.read_limits", "public.report_character", "public.restore_character"),
    *("public.search_catalogue", "public.search_conversations", "public.take_down_character"),
    *("public.set_limits", "public.switch_report", "public.turn_report", "public.undo_take_down"),
}
"""The functions that people call themselves."""


@pytest.fixture
def theirs(postgres: Postgres, state: str) -> Iterator[Connection]:
    """A database of theirs with every kind of row, that nobody else uses, as postgres."""
    with (
        existing_database(postgres, state, ("rows", "more_rows")) as name,
        psycopg.connect(postgres.dsn(name), row_factory=dict_row, autocommit=True) as theirs,
    ):
        yield theirs


@pytest.fixture
def adopted(postgres: Postgres, state: str) -> Iterator[Connection]:
    """The same as an adoption left it, for tests of what comes afterwards."""
    with (
        adopted_database(postgres, state) as copy,
        psycopg.connect(
            postgres.dsn(copy.info.dbname), row_factory=dict_row, autocommit=True
        ) as adopted,
    ):
        steady(adopted)
        yield adopted


@contextmanager
def another(theirs: Connection, user: str = "postgres") -> Iterator[Connection]:
    """One more connection to the same database."""
    info = theirs.info
    dsn = f"host={info.host} port={info.port} dbname={info.dbname} user={user}"
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        yield connection


def trace(theirs: Connection) -> tuple[list[str], dict[str, list[str]]]:
    """All that is in the catalog, and all rows."""
    with another(theirs) as connection:
        return signature(connection), contents(connection)


def adopt(theirs: Connection, todo: list[AdoptionStep] | None = None) -> list[str]:
    """What the run told."""
    told: list[str] = []
    apply(theirs, told.append, todo)
    return told


def names(lines: set[str]) -> list[str]:
    return sorted(line.partition(":")[0] for line in lines)


# What is added, and what is left of it -------------------------------------------------------


def test_tables_of_theirs_get_what_is_named_and_lose_nothing(theirs: Connection) -> None:
    tables = [name.removeprefix("public.") for name in contents(theirs) if "public." in name]
    with another(theirs) as catalog:
        before = set(signature(catalog, tables))
    adopt(theirs)
    with another(theirs) as catalog:
        after = set(signature(catalog, tables))
    assert names(after - before) == ADDED
    assert before <= after


def test_rows_of_theirs_stay_as_they_are(theirs: Connection) -> None:
    _, before = trace(theirs)
    adopt(theirs)
    theirs.execute("drop schema private cascade")  # with what stands on the two columns
    theirs.execute("alter table public.messages drop column position, drop column edited_at")
    with theirs.transaction():
        theirs.execute("set local storage.allow_delete_query = 'true'")
        theirs.execute("delete from storage.buckets where id = 'character-portraits'")
    _, after = trace(theirs)
    assert {table: after[table] for table in before} == before


def test_undone_it_leaves_no_trace(theirs: Connection) -> None:
    before = trace(theirs)
    adopt(theirs)
    undo(theirs, lambda line: None)
    assert trace(theirs) == before
    with pytest.raises(AdoptionError, match="Nothing was adopted"):
        undo(theirs, lambda line: None)


@pytest.mark.parametrize("is_early", [True, False], ids=["before", "after"])
def test_undone_it_takes_embeddings_away_whenever_the_extension_came(
    theirs: Connection, is_early: bool
) -> None:
    def install() -> None:
        with another(theirs, OWNER) as owner:
            owner.execute("create extension if not exists vector schema extensions")

    if is_early:
        install()
    adopt(theirs)
    install()
    theirs.execute("select private.install_embeddings()")
    assert theirs.execute("select private.has_embeddings() as found").fetchall() == [
        {"found": True}
    ]
    undo(theirs, lambda line: None)
    assert theirs.execute("select to_regnamespace('private') as left").fetchall() == [
        {"left": None}
    ]


THEIR_STORAGE = """
insert into storage.buckets (id, name, public) values ('avatars', 'avatars', true);
insert into storage.objects (bucket_id, name) values ('avatars', 'a.png');
create policy "Avatars are for all" on storage.objects for select using (bucket_id = 'avatars')"""


@ONE_STATE
def test_buckets_and_policies_of_theirs_stay_as_they_are(theirs: Connection) -> None:
    theirs.execute(THEIR_STORAGE.encode())
    before = trace(theirs)
    adopt(theirs)
    catalog, rows = trace(theirs)
    assert set(before[1]["storage.objects"]) == set(rows["storage.objects"])
    assert set(before[1]["storage.buckets"]) < set(rows["storage.buckets"])
    assert len([line for line in catalog if line.startswith("policy storage.")]) == 3
    undo(theirs, lambda line: None)
    assert trace(theirs) == before


@ONE_STATE
def test_bucket_with_pictures_is_left_closed_when_it_is_undone(adopted: Connection) -> None:
    """Deleting rows of Storage would leave the files. It can be adopted again."""
    adopted.execute(
        "insert into storage.objects (bucket_id, name) values ('character-portraits', 'a/b/c.webp')"
    )
    told: list[str] = []
    undo(adopted, told.append)
    assert "The bucket character-portraits has files" in told[-1]
    assert adopted.execute("select from storage.objects").rowcount == 1
    policies = "select from pg_policies where schemaname = 'storage'"
    assert adopted.execute(policies).rowcount == 0
    adopt(adopted)
    assert adopted.execute("select private.has_portraits() as found").fetchone() == {"found": True}


@ONE_STATE
def test_undone_it_takes_the_bucket_away_whenever_storage_came(theirs: Connection) -> None:
    with another(theirs, OWNER) as owner:
        owner.execute("alter schema storage rename to later")
        owner.commit()
    adopt(theirs)
    with another(theirs, OWNER) as owner:
        owner.execute("alter schema later rename to storage")
        owner.commit()
    assert theirs.execute("select private.install_portraits() as done").fetchone() == {"done": True}
    undo(theirs, lambda line: None)
    assert theirs.execute("select from storage.buckets").rowcount == 0
    assert theirs.execute("select from pg_policies where schemaname = 'storage'").rowcount == 0


def test_undone_after_turns_it_keeps_what_people_saw(theirs: Connection) -> None:
    before = trace(theirs)
    adopt(theirs)
    turn(theirs, "send", "Which coast is it?", "One that is set aside.")
    turn(theirs, "regenerate", None, "The northern one.")
    undo(theirs, lambda line: None)
    catalog, rows = trace(theirs)
    assert catalog == before[0]
    changed = {table for table, lines in rows.items() if lines != before[1][table]}
    assert changed == {"public.messages", "public.conversations"}
    newest = theirs.execute(
        "select sender, content, message_type from public.messages"
        " where conversation_id = %s order by created_at desc limit 3",
        [TALK],
    ).fetchall()
    assert [tuple(row.values()) for row in reversed(newest)] == [
        ("assistant", "The one I was born on.", "roleplay_chat"),
        ("user", "Which coast is it?", "text"),
        ("assistant", "The northern one.", "roleplay_chat"),
    ]


def turn(
    theirs: Connection, action: str, message: str | None, reply: str, talk: str = TALK
) -> None:
    """A turn of ours in a conversation of the person's."""
    turn_id = uuid4()
    theirs.execute(
        "select public.begin_turn(%s, %s, 'roleplay', %s, %s, p_message => %s,"
        " p_character_id => %s)",
        [turn_id, PEOPLE["person"], action, talk, message, HOUSE if talk != TALK else None],
    )
    theirs.execute("select public.finish_turn(%s, 'complete', %s)", [turn_id, reply])


def test_it_can_be_done_again(theirs: Connection) -> None:
    before = trace(theirs)
    adopt(theirs)
    once, _ = trace(theirs)
    undo(theirs, lambda line: None)
    adopt(theirs)
    assert trace(theirs)[0] == once
    assert adopt(theirs) == []
    undo(theirs, lambda line: None)
    assert trace(theirs) == before


@ONE_STATE
def test_nobody_can_use_what_is_added(adopted: Connection) -> None:
    """But what has policies of its own, and functions that ask whose the rows are."""
    added = adopted.execute(
        "select kind, name from private.adopted_objects where name like 'public.%'"
    ).fetchall()
    functions = [row["name"] for row in added if row["kind"] == "function"]
    tables = [row["name"] for row in added if row["kind"] == "table"]
    assert functions
    assert tables
    may = (
        "select f from unnest(%s::regprocedure[]) f where has_function_privilege(%s, f, 'execute')"
    )
    assert adopted.execute(may.encode(), [functions, "anon"]).fetchall() == []
    people = adopted.execute(may.encode(), [functions, "authenticated"]).fetchall()
    assert {str(row["f"]).partition("(")[0] for row in people} == FOR_PEOPLE
    unprotected = """
        select c.oid::regclass from pg_class c
        where c.oid = any (%s::regclass[]) and not c.relrowsecurity"""
    assert adopted.execute(unprotected.encode(), [tables]).fetchall() == []
    visible = """
        select c.oid::regclass
        from pg_class c, unnest(array['anon', 'authenticated', 'service_role']) role
        where c.relnamespace in ('private'::regnamespace, 'shared'::regnamespace)
          and c.relkind in ('r', 'v')
          and has_table_privilege(role, c.oid, 'select, insert, update, delete')"""
    assert adopted.execute(visible.encode()).fetchall() == []


def test_messages_get_their_places_while_others_are_written(
    theirs: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of their times; of equal times the person's comes first."""
    monkeypatch.setattr(steps_module, "MESSAGES_AT_A_TIME", 1)
    written = count()
    with another(theirs) as client:
        client.autocommit = True

        def tell(line: str) -> None:
            client.execute(
                "insert into messages (conversation_id, sender, content)"
                " select id, 'user', %s from conversations",
                [f"Written meanwhile, {next(written)}"],
            )

        apply(theirs, tell)
    assert theirs.execute("select from public.messages where position is null").fetchall() == []
    misplaced = """
        select from (
          select row_number() over by_time as should, row_number() over by_place as does
          from public.messages
          window by_time as (partition by conversation_id
                             order by created_at, sender = 'assistant', id),
                 by_place as (partition by conversation_id order by position)) m
        where m.should <> m.does"""
    assert theirs.execute(misplaced.encode()).fetchall() == []


LOADED = """
alter table public.messages disable trigger user;
insert into public.messages (conversation_id, sender, content, created_at) values
  (%(talk)s, 'user', 'Loaded, the oldest.', '2020-01-01'),
  (%(talk)s, 'assistant', 'Loaded, in the middle.', %(middle)s);
alter table public.messages enable trigger user;
alter table public.messages enable always trigger a_place_message"""


def load(adopted: Connection) -> None:
    """Messages that are older than others of a conversation, with triggers off."""
    adopted.execute("insert into public.conversations (id, user_id) values (%s, %s)", [LATE, ADA])
    for number in range(2):
        turn(adopted, "send", f"Question {number}.", f"Answer {number}.", LATE)
    turn(adopted, "regenerate", None, "Another answer.", LATE)
    middle = one(
        adopted,
        "select max(created_at) as at from public.messages"
        " where conversation_id = %s and sender = 'user'",
        LATE,
    )["at"]
    with psycopg.ClientCursor(adopted) as cursor:
        cursor.execute(LOADED, {"talk": LATE, "middle": middle})


LATE, ADA = "bbbbbbbb-0000-4000-8000-0000000000aa", PEOPLE["person"]


def one(theirs: Connection, query: str, *parameters: object) -> dict[str, Any]:
    row = theirs.execute(query.encode(), parameters).fetchone()
    assert row
    return row


def in_prompts(theirs: Connection) -> list[str]:
    """The history of the conversation's next turn."""
    read = "select messages from private.history(%s, null, null, null, 100, 0, null)"
    history = one(theirs, read, LATE)
    return list(history["messages"]["content"])


def test_messages_that_were_loaded_with_triggers_off_get_their_places(adopted: Connection) -> None:
    load(adopted)
    told = one(adopted, "select shared.installation() -> 'without_position' as messages")
    assert told == {"messages": 2}
    assert len(in_prompts(adopted)) == 4
    versions = "select position from shared.messages where conversation_id = %s and not is_active"
    before = one(adopted, versions, LATE)

    assert [line for line in adopt(adopted) if line[0] != " "]
    assert in_prompts(adopted) == [
        "Loaded, the oldest.",
        "Question 0.",
        "Answer 0.",
        "Question 1.",
        "Loaded, in the middle.",
        "Another answer.",
    ]
    # The version that is not shown is still one of the reply that is.
    assert one(adopted, versions, LATE) != before
    reply = one(adopted, "select id from public.messages where content = 'Another answer.'")["id"]
    at = one(adopted, "select position from public.messages where id = %s", reply)
    assert one(adopted, versions, LATE) == at
    assert adopt(adopted) == []
    index = one(adopted, "select to_regclass('public.messages_without_position') as there")
    assert index == {"there": None}


def test_a_dump_that_is_loaded_gets_its_places_at_once(adopted: Connection) -> None:
    with another(adopted, OWNER) as loading:
        loading.execute("set session_replication_role = replica")
        loading.execute(
            "insert into public.messages (conversation_id, sender, content)"
            " values (%s, 'user', 'From a dump.')",
            [TALK],
        )
    told = one(adopted, "select shared.installation() -> 'without_position' as messages")
    assert told == {"messages": 0}


@ONE_STATE
def test_a_summary_does_not_cover_what_was_loaded(adopted: Connection) -> None:
    load(adopted)
    adopted.execute(
        "insert into public.conversation_summaries (conversation_id, content, covers_position)"
        " select %s, 'They met.', max(position) from public.messages",
        [LATE],
    )
    adopt(adopted)
    assert len(in_prompts(adopted)) == 6


KNOWN = """
with
  said as (select * from public.messages where conversation_id = %(talk)s and content = 'Question 1.'),
  before as (select * from public.messages where conversation_id = %(talk)s and content = 'Answer 0.'),
  memory as (insert into public.memories (user_id, tier) values (%(ada)s, 'profile') returning id),
  fact as (
    insert into public.memory_facts (memory_id, content, written_by, source_conversation_id, source_message_id,
                                     source_from, source_to, repeated_to)
    select memory.id, k.content, 'model', m.conversation_id, m.id, k.source_from, k.source_to, k.repeated_to
    from memory, said m, before b, lateral (values
      ('One.', m.position, m.position, null),
      ('Two.', b.position, m.position, null),
      ('Three.', b.position, b.position, m.position)) k (content, source_from, source_to, repeated_to)
    returning id, content),
  repeats as (
    insert into private.fact_repeats (fact_id, conversation_id, position)
    select fact.id, m.conversation_id, m.position from fact, said m where fact.content = 'Three.'),
  hidden as (
    insert into public.hidden_messages (conversation_id, position) select m.conversation_id, m.position from said m),
  personas as (
    insert into private.conversation_personas (conversation_id, position)
    select m.conversation_id, m.position from said m on conflict do nothing),
  variables as (
    insert into private.message_variables (message_id, conversation_id, position, variables)
    select m.id, m.conversation_id, m.position, '{}' from said m),
  words as (
    insert into public.conversation_summaries (conversation_id, person_content, person_covers)
    select m.conversation_id, 'Mine.', m.position from said m)
insert into public.turn_prompts (turn_id, composition)
select t.id, '{}' from public.turns t where t.conversation_id = %(talk)s"""  # noqa: E501

KNOWN_AT = """
select array[f.source_from, f.source_to, f.repeated_to] from public.memory_facts f
where f.source_conversation_id = %(talk)s
union all select array[r.position] from private.fact_repeats r where r.conversation_id = %(talk)s
union all select array[h.position] from public.hidden_messages h where h.conversation_id = %(talk)s
union all select array[c.position] from private.conversation_personas c
where c.conversation_id = %(talk)s and c.position > 0
union all select array[v.position] from private.message_variables v where v.conversation_id = %(talk)s
union all select array[s.person_covers] from public.conversation_summaries s where s.conversation_id = %(talk)s"""  # noqa: E501


@ONE_STATE
def test_what_is_known_of_messages_goes_with_them(adopted: Connection) -> None:
    load(adopted)
    at = "select position from public.messages where conversation_id = %s and content = %s"

    def known() -> list[list[int | None]]:
        with psycopg.ClientCursor(adopted, row_factory=tuple_row) as cursor:
            return sorted(row[0] for row in cursor.execute(KNOWN_AT, {"talk": LATE}).fetchall())

    def expected() -> list[list[int | None]]:
        said, before = (one(adopted, at, LATE, m)["position"] for m in ("Question 1.", "Answer 0."))
        facts = [[said, said, None], [before, said, None], [before, before, said]]
        return sorted([*facts, *[[said]] * 5])

    with psycopg.ClientCursor(adopted) as cursor:
        cursor.execute(KNOWN, {"talk": LATE, "ada": ADA})
    before = known()
    assert before == expected()
    adopt(adopted)
    assert known() == expected()
    assert known() != before
    assert adopted.execute("select from public.turn_prompts").fetchall() == []


@ONE_STATE
def test_no_batch_locks_more_than_its_rows(theirs: Connection) -> None:
    """Also in one large conversation."""
    theirs.execute(
        "insert into public.messages (conversation_id, sender, content, created_at)"
        " select %s, 'user', n::text, '2020-01-01'::timestamptz + n * interval '1 minute'"
        " from generate_series(1, 100) n",
        [TALK],
    )
    todo = steps()
    adopt(theirs, todo[: next(n for n, step in enumerate(todo) if step.kind == "batches")])
    place = "select private.place_old_messages(7) as placed"
    placed = []
    while batch := one(theirs, place)["placed"]:
        placed.append(batch)
    assert set(placed[:-1]) == {7}
    places = """
        select array_agg(position order by created_at) as places from public.messages
        where conversation_id = %s and position < 101"""
    assert one(theirs, places, TALK)["places"] == list(range(1, 101))


ODD = {
    "a message without a text": ("messages", "content", "null"),
    "a message of no type": ("messages", "message_type", "null"),
    "a message of nobody": ("messages", "sender", "null"),
    "a message without a time": ("messages", "created_at", "null"),
    "a message of the end of time": ("messages", "created_at", "'infinity'"),
    "a character without a name": ("characters", "name", "null"),
    "a character without a rating": ("characters", "content_rating", "null"),
    "a rating in capitals": ("characters", "content_rating", "'NSFW'"),
    "a gender in capitals": ("characters", "gender", "'Female'"),
}
"""Values that the columns do not hold where their constraints are as they are known to be."""


@pytest.mark.parametrize("odd", ODD)
@ONE_STATE
def test_odd_values_are_read_all_the_same(theirs: Connection, odd: str) -> None:
    table, column, value = ODD[odd]
    checks = theirs.execute(
        "select conname as name from pg_constraint where contype = 'c' and conrelid = %s::regclass",
        [f"public.{table}"],
    ).fetchall()
    for check in checks:
        theirs.execute(f"alter table public.{table} drop constraint {check['name']}".encode())
    theirs.execute(f"alter table public.{table} alter {column} drop not null".encode())
    theirs.execute(f"update public.{table} set {column} = {value}".encode())  # noqa: S608
    adopt(theirs)
    begun = one(
        theirs,
        "select public.begin_turn(%s, %s, 'roleplay', 'send', %s, p_message => 'Hello.') as begun",
        uuid4(),
        PEOPLE["person"],
        TALK,
    )["begun"]
    assert begun["outcome"] == "started"
    complete(begun, CachedTurn())
    BegunTurn.model_validate(begun)
    assert one(theirs, "select private.messages_without_position() as n") == {"n": 0}
    export = "select public.export_chat(%s, %s) as found"
    sillytavern.write(one(theirs, export, PEOPLE["person"], TALK)["found"])


# Interrupted, in the way, changed, twice ------------------------------------------------------


def broken_at(place: int) -> list[AdoptionStep]:
    """All steps, with one that fails after half of its work."""
    todo = steps()
    half = "create table private.half (); select 1 / 0 as changed"
    todo[place] = replace(todo[place], sql=f"{todo[place].sql}; {half}", kind="transaction")
    return todo


@ONE_STATE
@pytest.mark.parametrize("place", [0, 1, 12, -7, -5, -4, -3, -1])
def test_an_interrupted_run_goes_on_where_it_ended(theirs: Connection, place: int) -> None:
    before = trace(theirs)
    todo = broken_at(place)
    with pytest.raises(AdoptionError, match="Nothing of this step was done"):
        adopt(theirs, todo)
    assert list(done(theirs)) == [step.name for step in steps()[:place]]
    assert [line for line in adopt(theirs) if line[0] != " "] == [
        step.name for step in steps()[place:]
    ]
    undo(theirs, lambda line: None)
    assert trace(theirs) == before


@ONE_STATE
def test_an_interrupted_run_can_be_undone(theirs: Connection) -> None:
    before = trace(theirs)
    with pytest.raises(AdoptionError):
        adopt(theirs, broken_at(-5))
    undo(theirs, lambda line: None)
    assert trace(theirs) == before


@ONE_STATE
def test_an_index_that_was_interrupted_is_made_anew(theirs: Connection) -> None:
    todo = steps()
    place = next(n for n, step in enumerate(todo) if step.name == "index messages_by_position")
    adopt(theirs, todo[:place])
    theirs.execute(todo[place].sql.encode())
    name = todo[place].name.removeprefix("index ")
    valid = "select indisvalid as is_valid from pg_index where indexrelid = %s::regclass"
    with another(theirs, OWNER) as owner:
        broken = "update pg_index set indisvalid = false where indexrelid = %s::regclass"
        owner.execute(broken.encode(), [f"public.{name}"])
    adopt(theirs)
    assert theirs.execute(valid.encode(), [f"public.{name}"]).fetchone() == {"is_valid": True}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(adoption, "TRIES", 2)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@ONE_STATE
@pytest.mark.usefixtures("impatient")
def test_it_lets_others_go_first(theirs: Connection) -> None:
    told: list[str] = []
    with another(theirs) as holder:
        holder.execute("lock table public.messages in row exclusive mode")

        def tell(line: str) -> None:
            told.append(line)
            if "others hold the table" in line:
                holder.rollback()

        apply(theirs, tell)
    assert sum("others hold the table" in line for line in told) == 1
    assert list(done(theirs)) == [step.name for step in steps()]


@ONE_STATE
@pytest.mark.usefixtures("impatient")
def test_where_others_hold_a_table_all_the_time_it_says_so(theirs: Connection) -> None:
    with another(theirs) as holder:
        holder.execute("lock table public.messages in row exclusive mode")
        with pytest.raises(AdoptionError, match="held the table all the time"):
            adopt(theirs)
    adopt(theirs)
    assert list(done(theirs)) == [step.name for step in steps()]


@ONE_STATE
def test_a_step_that_was_changed_since_is_refused(adopted: Connection) -> None:
    todo = steps()
    todo[3] = replace(todo[3], sql=f"{todo[3].sql}\n-- and more")
    with pytest.raises(AdoptionError, match=todo[3].name):
        adopt(adopted, todo)


@ONE_STATE
@pytest.mark.parametrize("run", [apply, undo])
def test_two_runs_at_once_are_one(theirs: Connection, run: Callable[..., Any]) -> None:
    refused: list[str] = []

    def tell(line: str) -> None:
        if not refused:
            with another(theirs) as second, pytest.raises(AdoptionError) as error:
                run(second, lambda line: None)
            refused.append(str(error.value))

    apply(theirs, tell)
    assert refused[0].startswith("Another run is at work")
    assert list(done(theirs)) == [step.name for step in steps()]


# What others made meanwhile -------------------------------------------------------------------


@ONE_STATE
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("create table private.notes (id bigint)", "private.notes would go"),
        ("create schema api; create view api.turns as select id from public.turns", "api.turns"),
        (
            "create policy mine on public.messages for select using (private.is_admin())",
            "policy mine on public.messages",
        ),
        (
            "alter table public.jobs add column turn_id uuid references public.turns",
            "constraint jobs_turn_id_fkey on public.jobs",
        ),
        (
            "create trigger mine before insert on public.jobs"
            " for each row execute function private.touch_updated_at()",
            "trigger mine on public.jobs",
        ),
    ],
)
def test_what_would_go_too_keeps_an_adoption_from_being_undone(
    adopted: Connection, statement: str, named: str
) -> None:
    adopted.execute(statement.encode())
    before = trace(adopted)
    with pytest.raises(AdoptionError, match=named):
        undo(adopted, lambda line: None)
    assert trace(adopted) == before


@ONE_STATE
@pytest.mark.parametrize(
    "statement",
    [
        "alter table messages add column position integer default 7",
        "create index messages_by_position on messages (created_at)",
        "create trigger a_place_message before insert on messages"
        " for each row execute function handle_updated_at()",
    ],
)
def test_an_undo_of_a_run_that_failed_leaves_what_has_the_name_of_ours(
    theirs: Connection, statement: str
) -> None:
    theirs.execute(b"set search_path = public")
    theirs.execute(statement.encode())
    before = trace(theirs)
    with pytest.raises(AdoptionError):
        adopt(theirs)
    undo(theirs, lambda line: None)
    assert trace(theirs) == before
