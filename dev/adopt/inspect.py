"""Inspects a product's database, and decides whether it can be adopted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from dev.adopt import structure
from dev.adopt.steps import ADOPTION
from dev.adopt.structure import NEEDED

REPORT = ADOPTION / "report.sql"
OLDEST_SERVER = 150000
"""Postgres 15: our constraints treat nulls as equal."""

PATIENCE = "10s"
"""How long reading waits for a table that somebody has locked."""

OUR_COLUMN = "always_sfw"
"""A column of conversations that only this project's own tables have."""

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Assessment:
    """What was found. With `refusals` nothing is done."""

    state: str
    refusals: list[str]
    remarks: list[str]
    decisions: list[str]


def read(database: psycopg.Connection[dict[str, Any]], *, is_adopted: bool = False) -> Facts:
    """The report, in a transaction that can change nothing.

    Only "columns", by table, and "structure", the refusals of `structure`, where the report could
    not be read. `is_adopted`: an adoption was begun or done before.
    """
    with database.transaction():
        database.execute("set transaction read only")
        database.execute(f"set local lock_timeout = '{PATIENCE}'".encode())
        columns = read_columns(database)
        if lacking({"columns": columns}) or is_ours({"columns": columns}):
            return {"columns": columns, "structure": []}
        if refusals := structure.refusals(database, is_adopted=is_adopted):
            return {"columns": columns, "structure": refusals}
        report = database.execute(REPORT.read_bytes()).fetchone()
        return {
            **(report["report"] if report else {}),
            "columns": columns,
            "structure": [],
            "declared": _declared(database),
            "newest_migration": _newest_migration(database),
        }


def read_columns(database: psycopg.Connection[dict[str, Any]]) -> dict[str, list[str]]:
    """The columns of the shared tables, by table; empty for a new database."""
    columns: dict[str, list[str]] = {}
    for row in database.execute(_COLUMNS, [list(NEEDED)]):
        columns.setdefault(row["name"], []).append(row["column"])
    return columns


_COLUMNS = """
select c.relname as name, a.attname as column
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relname = any (%s) and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
"""


def _newest_migration(database: psycopg.Connection[dict[str, Any]]) -> str | None:
    there = "select to_regclass('supabase_migrations.schema_migrations') is not null as there"
    row = database.execute(there).fetchone()
    if not row or not row["there"]:
        return None
    query = "select max(version) as version from supabase_migrations.schema_migrations"
    newest = database.execute(query).fetchone()
    return newest["version"] if newest else None


def _declared(database: psycopg.Connection[dict[str, Any]]) -> Mapping[str, int]:
    """How many ages and verified people were recorded with us."""
    tables = ("private.person_details", "private.character_details")
    there = "select to_regclass(%s) is not null and to_regclass(%s) is not null as there"
    row = database.execute(there, tables).fetchone()
    if not row or not row["there"]:
        return {"ages": 0, "people": 0}
    return database.execute(_DECLARED).fetchone() or {}


_DECLARED = """
select (select count(*) from private.character_details d where d.age is not null) as ages,
       (select count(*) from private.person_details d
        where d.age_verified and not exists (
          select from public.profiles p where p.id = d.user_id and p.age_verified)) as people
"""


def lacking(facts: Facts) -> dict[str, list[str]]:
    """The columns that we read but that are missing, by table."""
    found = facts["columns"]
    missing = {
        table: [name for name in names if name not in found.get(table, ())]
        for table, names in NEEDED.items()
    }
    return {table: names for table, names in missing.items() if names}


def is_ours(facts: Facts) -> bool:
    """Whether the tables are those of a new installation."""
    return OUR_COLUMN in facts["columns"].get("conversations", ())


def assess(facts: Facts) -> Assessment:
    """Judge what the facts mean for an adoption."""
    if refusals := list(_unreadable(facts)):
        return Assessment(_state(facts), refusals, [], [])
    return Assessment(
        _state(facts), list(_refusals(facts)), list(_remarks(facts)), list(_decisions(facts))
    )


def _state(facts: Facts) -> str:
    models = facts["columns"].get("api_models", ())
    if is_ours(facts):
        return "a database of this project"
    if "tasks" in models and "default_for_tasks" in models and "task" not in models:
        return "a product's tables, models with several tasks (the state of April)"
    if "task" in models and "tasks" not in models:
        return "a product's tables, models with one task (the state of January)"
    return "tables that are not known" if facts["columns"] else "a new database"


def _unreadable(facts: Facts) -> Iterator[str]:
    if not facts["columns"]:
        yield "There are no tables to take over. Use `make deploy-db`."
        return
    if is_ours(facts):
        yield "The tables are this project's own. Use `make deploy-db`."
        return
    for table, names in lacking(facts).items():
        if table not in facts["columns"]:
            yield f"public.{table} is missing. Write its view in supabase/adoption over yours."
        else:
            yield f"public.{table} has no {', '.join(names)}. Change its view in supabase/adoption."
    if _state(facts).startswith("tables"):
        yield (
            "public.api_models has neither one task nor tasks with default_for_tasks. Change"
            " shared.api_models in supabase/adoption."
        )
    yield from facts["structure"]


def _refusals(facts: Facts) -> Iterator[str]:
    if facts["server_version"] < OLDEST_SERVER:
        yield "Postgres is older than 15. Upgrade the project first."
    if facts["not_owned"]:
        yield (
            f"{facts['role']} does not own {', '.join(facts['not_owned'])}. Connect as their owner,"
            " on Supabase the role postgres."
        )
    if facts["settings_rows"] != 1:
        yield (
            f"public.system_config has {facts['settings_rows']} rows, and the product's programs"
            " read one. Leave the row with id 1."
        )
    elif not facts["settings_are_first"]:
        yield "The row of public.system_config has not the id 1, by which programs read it."


def _remarks(facts: Facts) -> Iterator[str]:
    conversations, characters = facts["conversations"], facts["characters"]
    yield (
        f"People: {facts['people']}. Characters: {sum(row['characters'] for row in characters)}."
        f" Conversations: {conversations['all']}."
        f" Messages: {sum(row['messages'] for row in facts['messages'])},"
        f" in the longest conversation {facts['most_messages']}."
    )
    if facts["people_without_profile"]:
        yield (
            f"People without a profile: {facts['people_without_profile']}. They chat all the same"
            " and count as not verified."
        )
    if conversations["of_nobody"]:
        yield f"Conversations of nobody: {conversations['of_nobody']}. They stay as they are."
    if facts["equal_times"]:
        yield (
            "Messages with the time of another one in their conversation:"
            f" {facts['equal_times']}. The person's comes first, then they go by id."
        )
    if conversations["with_key_facts"]:
        yield (
            f"Conversations with key_facts: {conversations['with_key_facts']}. These become pinned"
            " facts."
        )
    if facts["long_conversations"]:
        yield (
            f"Conversations of more than 100 messages: {facts['long_conversations']}. Their first"
            " summaries are spread over three days."
        )
    if long := sum(row["too_long"] for row in characters):
        yield f"Characters with a text above 20,000 characters: {long}. The rest of it is not read."
    if not {"pg_net", "pg_cron"} <= set(facts["extensions"]):
        yield (
            "pg_cron or pg_net is missing. Let another scheduler call health_check"
            " (`make deploy-scheduler`)."
        )
    if facts["triggers_on_users"]:
        yield f"Triggers on auth.users: {', '.join(facts['triggers_on_users'])}. None is changed."
    if facts["newest_migration"]:
        yield (
            f"Newest recorded migration: {facts['newest_migration']}. None of ours is recorded"
            " there, so your own deployments go on as before."
        )


def _decisions(facts: Facts) -> Iterator[str]:
    nsfw = sum(row["characters"] for row in facts["characters"] if row["content_rating"] == "nsfw")
    characters = sum(row["characters"] for row in facts["characters"])
    verified = facts["people_verified"] + facts["declared"]["people"]
    yield (
        "The adult tier. Today every conversation has it. Ours asks for a verified person"
        f" ({verified} of {facts['people']} are) and for a declared age of 18 or more of every"
        f" character ({facts['declared']['ages'] or 'none'} of {characters} have one; {nsfw} are"
        f" rated nsfw, in {facts['conversations']['with_nsfw_character']} conversations). Until"
        ' then a conversation is sfw, and each answer says why. ARGS="--age <character> <years>"'
        ' declares an age, ARGS="--verified <person>" records a verified person.'
    )
    if facts["worker_host"]:
        yield (
            f"The worker. {facts['worker_host']} is registered, which anybody with the public key"
            " may do. It is called only if workerHosts in private.system_settings names it."
        )
    chat = {row["provider"] for row in facts["models"] if row["modality"] in ("chat", "roleplay")}
    uncalled = sorted(
        row["name"]
        for row in facts["providers"]
        if row["is_active"] and row["name"] in chat and row["name"] != "openrouter"
    )
    if uncalled:
        yield (
            f"Providers. {', '.join(uncalled)}: no requests go there until private.provider_keys"
            " has the address and the name of the key."
        )
    tiers = sorted(row["content_tier"] for row in facts["templates"] if row["is_general"])
    if tiers:
        yield (
            f"Templates. Yours are used for {' and '.join(tiers)}, ours for the rest. Deactivate"
            " yours to use ours."
        )
    yield "Limits of turns and money: private.system_settings (docs/configuration.md)."
