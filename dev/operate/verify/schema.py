"""Checks whether the database has what this copy of the code expects."""

import re
from collections.abc import Iterator, Mapping, Sequence

from dev.adopt.steps import AdoptionStep, steps
from dev.operate.verify.check import Check, Facts, counted

POLICY = re.compile(r"^create policy (\w+) on ([\w.]+)", re.MULTILINE)


def schema_checks(facts: Facts, migrations: Mapping[str, str], is_local: bool) -> Iterator[Check]:
    """Migrations or the steps of the adoption, policies, and triggers."""
    installation = facts["installation"]
    if installation["kind"] == "adopted":
        wanted = steps()
        yield _adoption(installation["steps"], wanted)
        yield _product(installation["changed"])
        yield _positions(installation["without_position"])
        ours = "".join(step.sql for step in wanted)
    else:
        yield _migrations(facts["migrations"], sorted(migrations), is_local)
        ours = "".join(migrations.values())
    yield _row_level_security(facts["open_tables"])
    yield _policies(set(facts["policies"]), ours)
    yield _watched(is_watched=facts["is_watched"])


def _adoption(done: Mapping[str, str], wanted: Sequence[AdoptionStep]) -> Check:
    if missing := [step.name for step in wanted if step.name not in done]:
        return Check("adoption", "problem", f"not done: {', '.join(missing)}", "make adopt APPLY=1")
    if other := [step.name for step in wanted if done[step.name] != step.digest]:
        found = f"done in another version than this copy has: {', '.join(other)}"
        return Check("adoption", "problem", found, "use the version that adopted the database")
    return Check("adoption", "ok", f"all {len(wanted)} steps are done")


def _positions(missing: int) -> Check:
    """Messages that were loaded while triggers were off."""
    if missing:
        found = f"{counted(range(missing), 'message')} without a position, in no prompt"
        return Check("messages", "problem", found, "make adopt APPLY=1")
    return Check("messages", "ok", "all have a position")


def _product(changed: Sequence[str]) -> Check:
    """Changes to the product's own tables, which are for the product to decide."""
    if changed:
        return Check(
            "the product's tables",
            "problem",
            f"changed since the adoption: {'; '.join(changed)}",
            "look whether supabase/adoption still fits (docs/adopting.md)",
        )
    return Check("the product's tables", "ok", "as they were when they were adopted")


def _migrations(applied: list[str] | None, wanted: Sequence[str], is_local: bool) -> Check:
    if applied is None:
        return Check(
            "migrations", "unknown", "the database has no record of them", "make deploy-db"
        )
    apply = "make down && make up" if is_local else "make deploy-db APPLY=1"
    if missing := [version for version in wanted if version not in applied]:
        return Check("migrations", "problem", f"not applied: {', '.join(missing)}", apply)
    if strange := [version for version in applied if version not in wanted]:
        found = f"the database has unknown migrations: {', '.join(strange)}"
        return Check("migrations", "problem", found, "git pull: the database is ahead of this copy")
    return Check("migrations", "ok", f"all {len(wanted)} are applied")


def _row_level_security(open_tables: list[str]) -> Check:
    if open_tables:
        return Check(
            "row level security",
            "problem",
            f"off for {', '.join(open_tables)}",
            "; ".join(f"alter table {table} enable row level security" for table in open_tables),
        )
    return Check("row level security", "ok", "on for all tables")


def _watched(*, is_watched: bool) -> Check:
    """Whether instances may keep messages that they have read."""
    if not is_watched:
        return Check(
            "changes of messages",
            "problem",
            "not always noticed, because triggers were turned off; so every turn reads its whole"
            " history",
            "select private.watch_messages()",
        )
    return Check("changes of messages", "ok", "always noticed")


def _policies(there: set[str], migrations: str) -> Check:
    """Whether the policies in the database are exactly those of the migrations."""
    wanted = {f"{table} {name}" for name, table in POLICY.findall(migrations)}
    if strange := sorted(there - wanted):
        split = [policy.partition(" ") for policy in strange]
        return Check(
            "policies",
            "problem",
            f"not from a migration: {', '.join(strange)}",
            "; ".join(f'drop policy "{name}" on {table}' for table, _, name in split),
        )
    if missing := sorted(wanted - there):
        found = f"missing: {', '.join(missing)}"
        return Check("policies", "problem", found, "create it again as in its migration")
    return Check("policies", "ok", f"exactly the expected {len(wanted)}")
