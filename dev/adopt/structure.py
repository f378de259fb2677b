"""Checks whether our views and functions can use the product's tables. Everything is read from the
catalog, before any row.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from dev.adopt.steps import INDEXES, WAITING, public_names

Database = psycopg.Connection[dict[str, Any]]

_UUID, _TEXT, _JSON, _FLAG, _TIME, _NUMBER, _ANY = (
    "uuid",
    "text",
    "jsonb",
    "boolean",
    "timestamp with time zone",
    "number",
    "",
)


def _columns(
    uuid: str = "",
    text: str = "",
    json: str = "",
    flag: str = "",
    time: str = "",
    number: str = "",
    any_type: str = "",
) -> dict[str, str]:
    """The type of each column, from the names of each type's columns."""
    of_types = [
        (_UUID, uuid),
        (_TEXT, text),
        (_JSON, json),
        (_FLAG, flag),
        (_TIME, time),
        (_NUMBER, number),
        (_ANY, any_type),
    ]
    return {name: kind for kind, names in of_types for name in names.split()}


NEEDED = {
    "api_models": _columns(
        uuid="id provider_id",
        text="model_key display_name modality model_family",
        json="input_defaults capabilities pricing",
        flag="is_active is_default",
        number="priority",
        time="created_at updated_at",
    ),
    "api_providers": _columns(uuid="id", text="name display_name base_url", flag="is_active"),
    "characters": _columns(
        uuid="id user_id",
        text="name description traits persona system_prompt base_prompt voice_tone mood gender"
        " content_rating",
        flag="is_public",
        time="created_at updated_at",
    ),
    "conversations": _columns(
        uuid="id user_id character_id user_character_id project_id",
        text="title conversation_type status memory_tier",
        json="memory_data",
        time="created_at updated_at",
    ),
    "messages": _columns(
        uuid="id conversation_id", text="sender content message_type", time="created_at"
    ),
    "profiles": _columns(uuid="id", flag="age_verified"),
    "prompt_templates": _columns(
        uuid="id",
        text="template_name use_case content_mode target_model system_prompt",
        flag="is_active",
        number="version",
        time="created_at",
    ),
    "system_config": _columns(number="id", json="config"),
    "user_roles": _columns(uuid="user_id", any_type="role"),
}
"""The columns that the views of supabase/adoption read by name, and their types."""

WRITTEN = {
    "messages": (*NEEDED["messages"], "position", "edited_at"),
    "conversations": tuple(NEEDED["conversations"]),
}
"""The columns that a row of ours has; its other columns keep their defaults."""

_LENGTHS = {
    ("messages", "sender"): 9,
    ("messages", "message_type"): 13,
    ("messages", "content"): 20000,
    ("conversations", "title"): 200,
}
"""How long a text of ours may be."""

_REFERRED_TO = ("api_models", "api_providers", "characters", "conversations", "messages")
ADDED_COLUMNS = ("position", "edited_at")
ADDED_TRIGGERS = (
    ("messages", "a_place_message"),
    ("messages", "a_forget_deleted"),
    ("messages", "a_forget_edited"),
    ("messages", "a_forget_versions"),
    ("conversations", "a_account_first"),
    ("conversations", "a_account_of_row"),
    ("conversations", "a_forget_conversation"),
    ("system_config", "a_keep_health"),
)
_ROWS = (
    {"sender": "user", "message_type": "text"},
    {"sender": "assistant", "message_type": "roleplay_chat"},
    {"sender": "assistant", "message_type": "scene_kickoff"},
)
"""What a message of ours may be."""


def refusals(database: Database, *, is_adopted: bool) -> list[str]:
    """Sentences that say why nothing can be adopted. Expects the columns of `NEEDED`."""
    tables = {row["name"]: row for row in database.execute(_TABLES, [list(NEEDED)])}
    columns = database.execute(_COLUMNS, [list(NEEDED)]).fetchall()
    found = [
        *_rights(database),
        *_of_tables(tables),
        *(sentence for column in columns for sentence in _of_column(column)),
        *_checks(database),
    ]
    if not is_adopted:
        found += [*_clashes(database, columns), *_filling(database)]
    return found


def _rights(database: Database) -> Iterator[str]:
    row = database.execute(_RIGHTS).fetchone() or {}
    for right, is_given in row.items():
        if not is_given:
            yield f"The role has no right to {right}. Connect as the role postgres."


def _of_tables(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, table in tables.items():
        if table["is_partitioned"] and name in ("messages", "conversations"):
            yield (
                f"public.{name} is partitioned: an index on it cannot be built while others write,"
                " and nothing can refer to a row by its id alone."
            )
        elif name in _REFERRED_TO and not table["has_key"]:
            yield (
                f"public.{name} has no primary key or unique constraint on id alone, which tables"
                " of ours refer to."
            )
        if table["hides_rows"]:
            yield (
                f"Row level security of public.{name} is forced for this role too, so functions of"
                " ours would see no rows. Connect as a role with bypassrls, or take the force back"
                f" (alter table public.{name} no force row level security)."
            )


def _of_column(column: Mapping[str, Any]) -> Iterator[str]:
    table, name, kind = column["table"], column["name"], column["type"]
    wanted = NEEDED[table].get(name)
    if wanted and kind != wanted:
        yield (
            f"public.{table}.{name} is of the type {column['declared']}, not {wanted}. Change its"
            " view in supabase/adoption."
        )
    at_most, needs = column["at_most"], _LENGTHS.get((table, name), 0)
    if at_most is not None and at_most < needs:
        yield (
            f"public.{table}.{name} holds {at_most} characters; ours may have {needs}. Make it"
            " longer."
        )
    written = WRITTEN.get(table, ())
    if name in written and column["is_generated"]:
        yield f"public.{table}.{name} is generated, and functions of ours write it."
    if written and name not in written and column["must_be_given"]:
        yield (
            f"public.{table}.{name} may not be null and has no default, and functions of ours do"
            " not know it. Give it a default."
        )


def _checks(database: Database) -> Iterator[str]:
    """Check constraints of messages that would refuse our rows."""
    for check in database.execute(_CHECKS).fetchall():
        if not all(_allows(database, check["expression"], row) for row in _ROWS):
            yield (
                f"The constraint {check['name']} of public.messages refuses messages of ours"
                " (sender user or assistant; message_type text, roleplay_chat or scene_kickoff)."
                " Widen it."
            )


def _allows(database: Database, expression: str, row: Mapping[str, str]) -> bool:
    sample = {**row, "content": "Hello.", "created_at": "2026-01-01T00:00:00Z"}
    query = sql.SQL(
        "select ({}) is not false as holds"
        " from jsonb_populate_record(null::public.messages, {}) messages"
    ).format(_as_written(expression), sql.Literal(Jsonb(sample)))
    try:
        with database.transaction():
            return bool((database.execute(query).fetchone() or {}).get("holds"))
    except psycopg.Error:
        return False


def _as_written(expression: str) -> sql.SQL:
    """An expression as the server prints it."""
    return sql.SQL(expression.replace("{", "{{").replace("}", "}}"))


def _clashes(database: Database, columns: list[dict[str, Any]]) -> Iterator[str]:
    there = {(column["table"], column["name"]) for column in columns}
    for name in ADDED_COLUMNS:
        if ("messages", name) in there:
            yield f"public.messages has a column {name}, which is not ours. Rename it."
    triggers = database.execute(_TRIGGERS).fetchall()
    for table, name in ADDED_TRIGGERS:
        if any((row["table"], row["name"]) == (table, name) for row in triggers):
            yield f"public.{table} has a trigger {name}, which is not ours. Rename it."
    names = {row["name"] for row in database.execute(_NAMES)} & {*public_names(), *INDEXES, WAITING}
    if names:
        yield f"public.{', public.'.join(sorted(names))} exists and is not ours. Rename it."
    schemas = [row["name"] for row in database.execute(_SCHEMAS)]
    if schemas:
        yield f"A schema called {' and '.join(schemas)} exists and is not ours. Rename it."


def _filling(database: Database) -> Iterator[str]:
    """Whatever would refuse or notice that old messages get their positions."""
    for row in database.execute(_TRIGGERS).fetchall():
        if row["table"] == "messages" and row["is_on_update"]:
            yield (
                f"The trigger {row['name']} of public.messages runs on every update, so also for"
                " each old message that gets its position. Let it run for your columns only (before"
                " update of content), or disable it until everything is adopted."
            )
    for check in database.execute(_CHECKS).fetchall():
        if not check["is_validated"] and _is_violated(database, check["expression"]):
            yield (
                f"Messages violate the constraint {check['name']} of public.messages, which was"
                " never validated, so they cannot get their positions. Correct them or drop it."
            )


def _is_violated(database: Database, expression: str) -> bool:
    query = sql.SQL("select exists (select from public.messages where not ({})) as is_violated")
    row = database.execute(query.format(_as_written(expression))).fetchone()
    return bool(row and row["is_violated"])


_RIGHTS = """
select has_database_privilege(current_database(), 'create') as "create schemas in the database",
       has_schema_privilege('public', 'create') as "create tables in the schema public",
       has_table_privilege('auth.users', 'select') as "read auth.users",
       has_table_privilege('auth.users', 'references') as "refer to auth.users",
       has_table_privilege('auth.users', 'update') as "lock rows of auth.users (update)"
"""

_TABLES = """
select c.relname as name, c.relkind = 'p' as is_partitioned,
       exists (
         select from pg_index i
         join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0] and a.attname = 'id'
         where i.indrelid = c.oid and i.indnatts = 1 and i.indisunique and i.indisvalid
           and i.indimmediate and i.indpred is null) as has_key,
       c.relrowsecurity and (c.relforcerowsecurity or c.relowner <> r.oid)
         and not (r.rolbypassrls or r.rolsuper) as hides_rows
from pg_class c cross join pg_roles r
where r.rolname = current_user and c.relname = any (%s) and c.relnamespace = 'public'::regnamespace
  and c.relkind in ('r', 'p')
"""

_COLUMNS = """
select c.relname as table, a.attname as name, format_type(a.atttypid, a.atttypmod) as declared,
       case when b.typname in ('text', 'varchar', 'bpchar') then 'text'
            when b.typname in ('int2', 'int4', 'int8', 'numeric') then 'number'
            else format_type(b.oid, null) end as type,
       case when b.typname in ('varchar', 'bpchar') and m.typmod > 4
         then m.typmod - 4 end as at_most,
       a.attgenerated <> '' or a.attidentity = 'a' as is_generated,
       a.attnotnull and not a.atthasdef and a.attidentity = '' as must_be_given
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = case t.typtype when 'd' then t.typbasetype else t.oid end
cross join lateral (
  select case t.typtype when 'd' then t.typtypmod else a.atttypmod end as typmod) m
where c.relname = any (%s) and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
order by c.relname, a.attnum
"""

_CHECKS = """
select conname as name, pg_get_expr(conbin, conrelid) as expression, convalidated as is_validated
from pg_constraint where conrelid = 'public.messages'::regclass and contype = 'c' order by conname
"""

_TRIGGERS = """
select c.relname as table, t.tgname as name,
       t.tgtype & 16 <> 0 and t.tgattr = ''::int2vector and t.tgenabled <> 'D' as is_on_update
from pg_trigger t join pg_class c on c.oid = t.tgrelid
where c.relnamespace = 'public'::regnamespace and c.relname in ('messages', 'system_config')
  and not t.tgisinternal
order by 1, 2
"""

_NAMES = """
select c.relname as name from pg_class c where c.relnamespace = 'public'::regnamespace
union
select p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace
union
select t.typname from pg_type t
where t.typnamespace = 'public'::regnamespace and t.typrelid = 0 and t.typcategory <> 'A'
"""

_SCHEMAS = (
    "select nspname as name from pg_namespace where nspname in ('private', 'shared') order by 1"
)
