"""What the console finds in the database. The module runs in Node.js."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node import evaluate

NOW = 1_800_000_000_000
"""In milliseconds."""
FRESH, OLD = "2027-01-15T07:59:50Z", "2027-01-15T06:00:00Z"
TASKS = ("roleplay", "storytelling", "prompt_enhancement")
FREE = {"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}


def model(task: str = "roleplay", **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"id": task, "provider_id": "p", "task": task, "model_key": "author/vera"}
    row |= {"display_name": "Vera", "is_active": True, "is_default": True, "pricing": FREE}
    return row | {"provider": "openrouter", "catalog_status": "listed"} | more


def step(**more: Any) -> dict[str, Any]:
    row = {"step": "key", "begun_at": FRESH, "done_at": FRESH, "error": None, "found": {"a": 1}}
    return row | more


def known(**changes: Any) -> dict[str, Any]:
    """The rows of an installation that is well, with these changes."""
    provider: dict[str, Any] = {
        "id": "p",
        "display_name": "OpenRouter",
        "base_url": "https://p.example/v1",
    }
    provider |= {"is_active": True, "is_approved": True}
    models = changes.pop("models", [model(task) for task in TASKS])
    rows = {"models": models, "catalog": changes.pop("catalog", models or []), "workers": []}
    rows |= {"providers": [provider | changes.pop("provider", {})], "steps": [step()]}
    return rows | {"overdueTurns": 0, "overdueCooldowns": 0} | changes


def problems(rows: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = evaluate("console-findings.js", f"module.findings(given, {NOW})", rows)
    assert [one["state"] for one in found] == sorted(
        (one["state"] for one in found), key=["problem", "warning", "ok"].index
    )
    return [(one["state"], one["what"], one["found"]) for one in found if one["state"] != "ok"]


def test_installation_that_is_well_has_no_problem() -> None:
    assert problems(known()) == []


@pytest.mark.parametrize(
    ("columns", "state", "says"),
    [
        ({"catalog_status": "gone"}, "problem", "is no longer offered"),
        ({"catalog_status": "renamed", "listed_as": "a/new"}, "problem", "was renamed to a/new"),
        ({"catalog_status": "expiring", "expires_on": "2027-02-01"}, "problem", "on 2027-02-01"),
        ({"catalog_status": "not_free"}, "problem", "now costs money"),
        ({"catalog_status": "missing"}, "warning", "last catalog"),
        ({"catalog_status": "changed"}, "warning", "another price"),
    ],
)
def test_model_of_which_the_catalog_says_something(
    columns: dict[str, Any], state: str, says: str
) -> None:
    models = [model(task, **columns) for task in TASKS]
    ((found_state, what, found),) = problems(known(models=models))
    assert (found_state, what) == (state, "author/vera")
    assert says in found


def test_models_that_are_off_are_not_looked_at() -> None:
    off = model("roleplay", id="off", is_active=False, is_default=False, catalog_status="gone")
    assert problems(known(models=[*(model(task) for task in TASKS), off])) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"models": [model(task) for task in TASKS[1:]]}, "Models for roleplay"),
        ({"models": [model(task, is_default=False) for task in TASKS]}, "Default for roleplay"),
        ({"provider": {"is_approved": False}}, "Provider OpenRouter"),
        ({"provider": {"base_url": "http://p.example"}}, "Provider OpenRouter"),
        ({"models": [model(task, pricing={}) for task in TASKS]}, "author/vera"),
        ({"steps": []}, "Scheduler"),
        ({"steps": [step(begun_at=OLD, done_at=OLD)]}, "Scheduler"),
        ({"steps": [step(error="the key is rejected")]}, "Provider key"),
        ({"steps": [step(), step(step="catalog", error="no answer")]}, "Step catalog"),
        ({"steps": [step(), step(step="catalog", begun_at=OLD, done_at=None)]}, "Step catalog"),
        ({"steps": [step(found={"alerts": ["The key has expired: create one."]})]}, "Provider key"),
        ({"overdueTurns": 2}, "Housekeeping"),
        ({"overdueCooldowns": 1}, "Housekeeping"),
    ],
)
def test_what_is_wrong_is_found(changes: dict[str, Any], what: str) -> None:
    assert what in {found[1] for found in problems(known(**changes))}


@pytest.mark.parametrize(
    ("columns", "is_well"),
    [
        ({"health": {"isHealthy": True, "lastChecked": FRESH, "failures": 0}}, True),
        ({"health": {"isHealthy": True, "lastChecked": FRESH, "failures": 1}}, False),
        ({"health": {"isHealthy": False, "lastChecked": FRESH}}, False),
        ({"health": {"isHealthy": True, "lastChecked": OLD}}, False),
        ({"health": None}, False),
        ({"health": {"isHealthy": True, "lastCheck": FRESH}, "lease_expires_at": OLD}, False),
        ({"url": None, "health": None}, True),
    ],
)
def test_worker(columns: dict[str, Any], is_well: bool) -> None:
    worker = {"name": "gpu-1", "health_key": "gpu-1", "url": "https://gpu.example"} | columns
    assert (problems(known(workers=[worker])) == []) is is_well


def test_adopted_installation_has_only_a_catalog() -> None:
    """Its providers, and which models are the default, are the product's."""
    rows = known(models=None, providers=None, catalog=[model(task) for task in TASKS])
    assert problems(rows) == []
    rows = known(models=None, providers=None, catalog=[model(catalog_status="gone")])
    assert {what for _, what, _ in problems(rows)} == {
        *("author/vera", "Models for storytelling", "Models for prompt_enhancement"),
    }
