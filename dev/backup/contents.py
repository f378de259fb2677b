"""Finds our own tables, columns and sequences in a database, for a backup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import sql

Database = psycopg.Connection[dict[str, Any]]
Kind = Literal["own", "adopted"]

SECRET = {"private.workers": ("key_hash",)}
"""Columns that are left out, because keys depend on them."""
BOOKKEEPING = (
    "private.adoption_steps",
    "private.adopted_objects",
    "private.adopted_signature",
)
"""What an adoption writes down about itself. It is written anew where one is restored."""
KEYS = "private.api_keys"
"""People's keys for programs. A key that was revoked since the backup must not be valid again."""
VERSIONS = "private.conversation_versions"
"""What instances rely on to know which messages they may keep. A version must not come back."""
LEFT_OUT = (*BOOKKEEPING, KEYS, VERSIONS)
NEW = {
    "public.characters": "user_id is not null",
    "public.api_providers": "false",
    "public.api_models": "false",
    "public.prompt_templates": "false",
    "private.prompt_templates": "false",
    "private.provider_keys": "false",
    "private.system_settings": "false",
    "private.given_secrets": "false",
    "public.health_check_steps": "false",
}
"""Tables in which a new installation has rows, and the condition for those of people. Restoring
replaces all of them."""
ADOPTED = {
    "private.traffic": "false",
    "public.conversation_summaries": "false",
    "public.memories": "false",
    "public.memory_facts": "false",
}
"""The same for tables that an adoption fills, from the product's memory."""


@dataclass(frozen=True)
class OwnTable:
    """A table, as schema.name, with the columns that are copied."""

    name: str
    columns: Sequence[str]

    @property
    def identifier(self) -> sql.Identifier:
        """Its name in a statement."""
        return sql.Identifier(*self.name.split(".", 1))

    @property
    def column_list(self) -> sql.Composed:
        """Its columns in a statement."""
        return sql.SQL(", ").join(map(sql.Identifier, self.columns))


def kind_of(database: Database) -> Kind | None:
    """The kind of installation, or None if nothing is installed."""
    row = database.execute("select to_regprocedure('shared.installation()') is not null as there")
    if not _first(row)["there"]:
        return None
    found = database.execute("select shared.installation() ->> 'kind' as kind")
    return "adopted" if _first(found)["kind"] == "adopted" else "own"


def own_tables(database: Database) -> list[OwnTable]:
    """All tables of ours with their columns."""
    return [
        OwnTable(row["name"], [c for c in row["columns"] if c not in SECRET.get(row["name"], ())])
        for row in database.execute(_TABLES, [list(LEFT_OUT)])
    ]


_TABLES = """
select n.nspname || '.' || c.relname as name,
       array_agg(a.attname::text order by a.attnum) as columns
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  and a.attgenerated = ''
where n.nspname in ('public', 'private') and c.relkind = 'r' and shared.is_ours(c.oid)
  and n.nspname || '.' || c.relname <> all (%s)
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
group by 1 order by 1
"""


def sequences(database: Database) -> dict[str, int]:
    """The last value of each sequence of our tables that was used, by schema.name."""
    rows = database.execute(
        """
        select s.schemaname || '.' || s.sequencename as name, s.last_value
        from pg_sequences s
        where s.schemaname in ('public', 'private') and s.last_value is not null
          and coalesce((
            select shared.is_ours(d.refobjid) from pg_depend d
            where d.objid = format('%I.%I', s.schemaname, s.sequencename)::regclass
              and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
            limit 1), shared.installation() ->> 'kind' = 'own' or s.schemaname = 'private')
        """
    )
    return {row["name"]: row["last_value"] for row in rows}


def rows_of_people(database: Database, tables: Sequence[OwnTable]) -> Mapping[str, int]:
    """The numbers of rows that a new installation does not have, by table."""
    new = NEW | (ADOPTED if kind_of(database) == "adopted" else {})
    counts = {}
    for table in tables:
        where = new.get(table.name, "true")
        query = sql.SQL("select count(*) as rows from {} where {}").format(
            table.identifier,
            sql.SQL(where),
        )
        if rows := _first(database.execute(query))["rows"]:
            counts[table.name] = int(rows)
    return counts


def orphans(database: Database, tables: Sequence[OwnTable]) -> dict[str, int]:
    """The numbers of rows that refer to missing rows, by "table to other table"."""
    names = [table.name for table in tables]
    found = {}
    for key in database.execute(_FOREIGN_KEYS, [names]).fetchall():
        pairs = list(zip(key["columns"], key["referred"], strict=True))
        query = sql.SQL(
            "select count(*) as rows from {} c where {} and not exists (select from {} p where {})"
        ).format(
            sql.Identifier(*key["child"].split(".", 1)),
            sql.SQL(" and ").join(
                sql.SQL("c.{} is not null").format(sql.Identifier(column)) for column, _ in pairs
            ),
            sql.Identifier(*key["parent"].split(".", 1)),
            sql.SQL(" and ").join(
                sql.SQL("p.{} = c.{}").format(sql.Identifier(there), sql.Identifier(here))
                for here, there in pairs
            ),
        )
        if rows := _first(database.execute(query))["rows"]:
            found[f"{key['child']} to {key['parent']}"] = int(rows)
    return found


_FOREIGN_KEYS = """
select cn.nspname || '.' || c.relname as child, pn.nspname || '.' || p.relname as parent,
       (select array_agg(a.attname::text order by k.n)
        from unnest(f.conkey) with ordinality k (number, n)
        join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.number) as columns,
       (select array_agg(a.attname::text order by k.n)
        from unnest(f.confkey) with ordinality k (number, n)
        join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.number) as referred
from pg_constraint f
join pg_class c on c.oid = f.conrelid join pg_namespace cn on cn.oid = c.relnamespace
join pg_class p on p.oid = f.confrelid join pg_namespace pn on pn.oid = p.relnamespace
where f.contype = 'f' and cn.nspname || '.' || c.relname = any (%s)
order by 1, 2
"""


def _first(rows: psycopg.Cursor[dict[str, Any]]) -> dict[str, Any]:
    row = rows.fetchone()
    if row is None:
        raise ValueError("the query returned no row")
    return row
