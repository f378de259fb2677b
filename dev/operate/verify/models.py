"""Checks of the models: which are active, what the catalog says of them, what they cost."""

from collections.abc import Iterator, Sequence

from dev.operate.verify.check import Check, Facts
from edge.pricing import PRICES, is_free, price

TASKS = ("roleplay", "storytelling", "prompt_enhancement")
TASKS_THERE = {
    "roleplay": "roleplay",
    "storytelling": "roleplay",
    "prompt_enhancement": "enhancement",
}
"""What a product calls our tasks in its own tables."""
CATALOG = {
    "gone": ("is no longer offered", "replace it: docs/configuration.md says how"),
    "expiring": ("will be removed", "replace it in time: docs/configuration.md says how"),
    "renamed": ("was renamed", "set model_key of its row to the new name"),
    "not_free": ("now costs money", "correct the price in its row, or replace it"),
}
"""The values of `catalog_status` that need action: what was found, and the remedy."""


def model_checks(models: Sequence[Facts], task: str, is_adopted: bool) -> Iterator[Check]:
    """Whether a task has active models and one default."""
    usable = [m for m in models if m["task"] == task and m["is_active"] and m["provider_is_active"]]
    name = f"models for {task}"
    if usable:
        yield Check(name, "ok", f"{len(usable)} active")
    else:
        yield Check(
            name,
            "problem",
            "no model is active",
            f"activate a model for {TASKS_THERE[task]}, of a provider in private.provider_keys"
            if is_adopted
            else f"set is_active of a row in api_models with task {task}",
        )
    defaults = [model for model in models if model["task"] == task and model["is_default"]]
    name, keys = f"default for {task}", [model["model_key"] for model in defaults]
    if is_adopted:
        # A product may have several defaults, which its own programs read.
        first = [m["model_key"] for m in usable if m["is_default"]] or [
            m["model_key"] for m in usable
        ]
        marked = f" ({len(defaults)} are marked)" if len(defaults) != 1 else ""
        if first:
            yield Check(name, "ok", f"{first[0]}{marked}")
    elif len(defaults) > 1:
        yield Check(
            name,
            "problem",
            f"there are {len(defaults)}: {', '.join(keys)}",
            "leave is_default set for only one in api_models",
        )
    elif not defaults:
        yield Check(
            name,
            "problem",
            "no default is set",
            f"set is_default of one row in api_models with task {task}",
        )
    elif defaults[0] not in usable:
        found = f"{keys[0]} is switched off, or its provider is"
        yield Check(name, "problem", found, "activate it, or choose another default")
    else:
        yield Check(name, "ok", keys[0])


def catalog_checks(models: Sequence[Facts], is_adopted: bool) -> Iterator[Check]:
    """Differences between active models and their provider's catalog at its last check."""
    # One model may have a row for each of several tasks.
    active = {
        model["model_key"]: model
        for model in models
        if model["is_active"] and model.get("catalog_status")
    }
    told = [check for key, model in active.items() for check in _listed(key, model, is_adopted)]
    yield from told
    if active and not told:
        yield Check("catalog", "ok", f"lists all {len(active)} checked models")


def price_checks(models: Sequence[Facts], is_adopted: bool) -> Iterator[Check]:
    """Models on which money can be spent without any limit counting it."""
    priced = [model for model in models if model["is_active"] and "pricing" in model]
    unknown = {
        model["model_key"]
        for model in priced
        if not is_free(model["model_key"], model["pricing"])
        and any(price(model["pricing"].get(name)) is None for name in PRICES)
    }
    row = "pricing of a row for it in private.model_details" if is_adopted else "its pricing"
    for key in sorted(unknown):
        found = f"{key} has no price: what its provider does not report counts as nothing"
        yield Check("spending limits", "problem", found, f"set {' and '.join(PRICES)} in {row}")


def _listed(key: str, model: Facts, is_adopted: bool) -> Iterator[Check]:
    status, listed = model["catalog_status"], model["catalog"]
    if status in CATALOG:
        found, remedy = CATALOG[status]
        known = {"expiring": listed.get("expires_on"), "renamed": listed.get("listed_as")}
        more = f": {known[status]}" if known.get(status) else ""
        yield Check("catalog", "problem", f"{key} {found}{more}", remedy)
    elif status == "changed":
        found = f"{key} has a different price or less context than its row says"
        row = "a row for it in private.model_details" if is_adopted else "its row"
        remedy = f"correct pricing and context_tokens in {row}, or set CATALOG_UPDATES_PRICES"
        yield Check("catalog", "unknown", found, remedy)
