"""Checks whether health_check runs, and of what it found."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from dev.operate.environment import find_variable
from dev.operate.verify.check import Check, Facts
from edge.worker_health import MAX_AGE

KEY = "OpenRouter's key"
CHANGING = "docs/operations.md, Changing keys"
INTERVALS = {
    "key": "KEY_CHECK_MINUTES",
    "catalog": "CATALOG_HOURS",
    "roll_up": "ROLL_UP_MINUTES",
    "retention": "RETENTION_MINUTES",
    "purge": "RETENTION_MINUTES",
}
"""The settings that turn steps of health_check off where they are 0."""


def step_checks(
    facts: Facts, environment: Mapping[str, str], key_now: Facts | None
) -> Iterator[Check]:
    """The recorded results of health_check's periodic steps."""
    now = datetime.fromisoformat(facts["now"])
    if key_now is not None:
        yield from _key(key_now, key_now.get("error"), "asked now")
    for step, record in sorted(facts["steps"].items()):
        if (step == "key" and key_now is not None) or _is_off(step, environment):
            continue
        name = KEY if step == "key" else f"step {step}"
        remedy = CHANGING if step == "key" else "look at health_check's log"
        begun = datetime.fromisoformat(record["begun_at"])
        done = record["done_at"] and datetime.fromisoformat(record["done_at"])
        minutes = (now - begun).total_seconds() / 60
        if record["error"]:
            yield Check(name, "problem", f"{record['error']}, {minutes:.0f} min ago", remedy)
        elif (done is None or done < begun) and now - begun > MAX_AGE:
            found = f"started {minutes:.0f} min ago and did not finish"
            yield Check(name, "problem", found, remedy)
        elif step == "key":
            yield from _key(record["found"], None, f"{minutes:.0f} min ago")


def _is_off(step: str, environment: Mapping[str, str]) -> bool:
    """Whether a setting turns a step off: then its last result no longer means anything."""
    given = (find_variable(environment, INTERVALS.get(step, "")) or "").strip()
    return given.replace(".", "", 1).isdecimal() and float(given) == 0


def _key(found: Facts, error: str | None, asked: str) -> Iterator[Check]:
    """OpenRouter's last information about the key."""
    if error:
        yield Check(KEY, "problem", f"{error}, {asked}", CHANGING)
        return
    for alert in found.get("alerts", ()):
        matter, _, remedy = alert.removesuffix(".").rpartition(": ")
        yield Check(KEY, "problem", f"{matter}, {asked}", remedy)
    if found and not found.get("alerts"):
        yield Check(KEY, "ok", f"no limit is reached, {asked}")


def scheduler_check(facts: Facts, is_local: bool) -> Check:
    """Whether health_check runs: each run records the start of a step."""
    name = "scheduler"
    remedy = (
        "make down && make up"
        if is_local
        else "gcloud scheduler jobs describe health-check; make deploy-scheduler creates it"
    )
    now = datetime.fromisoformat(facts["now"])
    begun = [datetime.fromisoformat(step["begun_at"]) for step in facts["steps"].values()]
    if not begun:
        return Check(name, "problem", "health_check has not run yet", remedy)
    age = now - max(begun)
    if age > MAX_AGE:
        minutes = age.total_seconds() / 60
        return Check(name, "problem", f"health_check has not run for {minutes:.0f} min", remedy)
    return Check(name, "ok", f"health_check ran {age.total_seconds():.0f} s ago")


def overdue_checks(facts: Facts) -> Iterator[Check]:
    """Turns and cooldowns that health_check should have cleaned up long ago."""
    turns, cooldowns = facts["turns_overdue"], facts["cooldowns_overdue"]
    if turns or cooldowns:
        found = f"health_check did not close {turns} turns and clear {cooldowns} cooldowns"
        yield Check(
            "housekeeping", "problem", found, "check the scheduler, then health_check's log"
        )
