"""The steps of an adoption, in order, read from supabase/migrations and supabase/adoption.

Migrations named `own` create the tables that a product already has; the files of the same number in
supabase/adoption replace them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from dev.settings import ROOT

MIGRATIONS = ROOT / "supabase" / "migrations"
ADOPTION = ROOT / "supabase" / "adoption"
SEED = ROOT / "supabase" / "seed.sql"

Kind = Literal["transaction", "batches", "concurrently"]


@dataclass(frozen=True)
class AdoptionStep:
    """Something that is done once.

    transaction: the file in one short transaction. batches: a statement that returns how many rows
    it changed, again until it changes none. concurrently: one statement outside of a transaction.
    """

    name: str
    sql: str
    kind: Kind = "transaction"

    @property
    def digest(self) -> str:
        """What it was when it was done."""
        return sha256(self.sql.encode()).hexdigest()


INDEXES = {
    "messages_by_position": "public.messages (conversation_id, position desc)",
    "conversations_by_person": "public.conversations (user_id, updated_at desc, id desc)",
    # Without a pending list, which every search would have to read: turns wait for it. The
    # expression is the view's.
    "messages_by_term": "public.messages using gin ("
    "private.search_terms(conversation_id, position, coalesce(content, '')))"
    " with (fastupdate = off)",
}
"""The indexes on the product's own tables."""

MESSAGES_AT_A_TIME = 2_000
WAITING = "messages_without_position"
"""An index that is there while old messages get their positions: each batch would else read all."""


def steps() -> list[AdoptionStep]:
    """All steps: the schema, then indexes, old messages, our templates and the signature."""
    return [*_schema(), *_afterwards()]


def _schema() -> Iterator[AdoptionStep]:
    common = [path for path in MIGRATIONS.glob("*.sql") if "_own_" not in path.name]
    theirs = [path for path in ADOPTION.glob("*.sql") if path.name[0].isdigit()]
    for path in sorted([*common, *theirs], key=lambda path: path.name):
        yield AdoptionStep(path.stem, path.read_text())


def placing() -> tuple[AdoptionStep, AdoptionStep, AdoptionStep]:
    """The steps that give positions to messages without one: an index, the batches, and its
    removal."""
    order = "(conversation_id, created_at, (sender = 'assistant'), id) where position is null"
    return (
        _index(WAITING, f"public.messages {order}"),
        AdoptionStep(
            "positions of old messages",
            f"select private.place_old_messages({MESSAGES_AT_A_TIME}) as changed",
            "batches",
        ),
        AdoptionStep(f"{WAITING} is not needed any more", f"drop index public.{WAITING}"),
    )


def _index(name: str, columns: str) -> AdoptionStep:
    create = f"create index concurrently if not exists {name} on {columns}"
    return AdoptionStep(f"index {name}", create, "concurrently")


def _afterwards() -> Iterator[AdoptionStep]:
    for name, columns in INDEXES.items():
        yield _index(name, columns)
    yield from placing()
    yield AdoptionStep("templates", templates())
    signature = "insert into private.adopted_signature select * from private.shared_signature()"
    yield AdoptionStep("signature of the product's tables", signature)


def public_names() -> set[str]:
    """The names of the objects that the steps create in the schema public: tables, views,
    functions, indexes."""
    made = r"create (?:table|view|function) public\.(\w+)"
    indexes = r"create (?:unique )?index (\w+)\s+on public\."
    found = [pair for step in steps() for pair in re.findall(f"{made}|{indexes}", step.sql)]
    return {name for pair in found for name in pair if name}


def templates() -> str:
    """The seed's statement for our templates, rewritten for the table that holds them here."""
    seed = SEED.read_text()
    statement = re.search(
        r"insert into public\.prompt_templates .*?\non conflict do nothing;", seed, re.DOTALL
    )
    if statement is None:
        raise ValueError(f"{SEED} writes no templates")
    return statement.group().replace("public.prompt_templates", "private.prompt_templates")
