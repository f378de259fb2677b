"""Compares the configured models with OpenRouter's catalog.

A single bad catalog must not disable models. A response that is not a list of models with prices
is rejected. A catalog that lacks all configured models, or has shrunk by half, must be confirmed by
a second one before a model counts as gone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel

from edge.json_values import integer, text
from edge.pricing import COMPLETION, PROMPT, is_free, price
from health_check.fetch import Fetched
from health_check.providers import Provider, get_bytes
from health_check.steps import Found, Run, StepFailed

MAX_BYTES = 4_000_000
MAX_VALUES = 150_000
"""The limits for the catalog. It has about two megabytes and 100,000 values, as `value_count_bound`
counts them. It is read in a thread, but nobody else goes on while its JSON is parsed."""
MIN_MODELS = 10
"""OpenRouter lists hundreds, so a response with fewer is not its catalog."""
MIN_READABLE = 0.9
"""The minimum share of entries that must have the shape of a model."""

Status = Literal["listed", "changed", "expiring", "not_free", "renamed", "missing", "gone"]


@dataclass(frozen=True)
class CatalogModel:
    """A model in the catalog. Prices are in USD per 1,000 tokens; None means unknown."""

    id: str
    canonical: str | None = None
    context_length: int | None = None
    prompt_usd_per_1k: float | None = None
    completion_usd_per_1k: float | None = None
    expires_on: date | None = None
    """After this day the model may be removed."""

    @property
    def prices(self) -> dict[str, float]:
        """The known prices, under the keys of `api_models.pricing`."""
        both = {
            PROMPT: self.prompt_usd_per_1k,
            COMPLETION: self.completion_usd_per_1k,
        }
        return {name: price for name, price in both.items() if price is not None}


@dataclass(frozen=True)
class Catalog:
    """The models by id. If it is not `whole`, a missing model may be on another page."""

    entries: Mapping[str, CatalogModel]
    whole: bool = True

    def find(self, model_key: str) -> CatalogModel | None:
        """The model's entry, even if it is now listed under another id."""
        entry = self.entries.get(model_key)
        return entry or self._renamed.get((model_key, ":" in model_key))

    @cached_property
    def _renamed(self) -> Mapping[tuple[str | None, bool], CatalogModel]:
        """The first model of each canonical name. A variant such as ":free" is a separate model,
        but may share the canonical name."""
        listed = reversed(list(self.entries.values()))
        return {(entry.canonical, ":" in entry.id): entry for entry in listed}


class ModelRow(BaseModel):
    """A configured model: a row of `api_models`."""

    id: str
    model_key: str
    is_active: bool
    pricing: dict[str, Any]
    capabilities: dict[str, Any]
    catalog_status: str | None
    catalog: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The result of comparing a row with the catalog."""

    row: ModelRow
    status: Status
    catalog: Mapping[str, Any]
    changes: tuple[str, ...] = ()
    """What differs from the row: "price", "context"."""
    pricing: Mapping[str, float] | None = None
    """Prices that replace the row's; None leaves them."""

    def to_json(self) -> dict[str, Any]:
        """The verdict in the format of `record_catalog`."""
        return {
            "id": self.row.id,
            "status": self.status,
            "catalog": self.catalog,
            "pricing": self.pricing,
        }


def read_catalog(answer: Fetched) -> Catalog:
    """The catalog in a response to GET /models. Raises `StepFailed` if it is not one."""
    if answer.status != 200:
        raise StepFailed(f"/models answered {answer.status}")
    body = answer.body if isinstance(answer.body, dict) else {}
    listed = body.get("data")
    if not isinstance(listed, list):
        raise StepFailed("/models did not return a list of models")
    entries = [entry for entry in map(_entry, listed) if entry]
    if len(entries) < max(MIN_MODELS, MIN_READABLE * len(listed)):
        raise StepFailed(
            f"/models lists {len(entries)} models with prices of {len(listed)} entries"
        )
    total, links = body.get("total_count"), body.get("links")
    more = isinstance(links, Mapping) and links.get("next")
    more = more or (isinstance(total, int) and total > len(listed))
    return Catalog({entry.id: entry for entry in entries}, whole=not more)


def is_trusted(catalog: Catalog, rows: Sequence[ModelRow], listed_before: object) -> bool:
    """Whether a model that the catalog lacks counts as gone without confirmation."""
    if isinstance(listed_before, int) and len(catalog.entries) < listed_before / 2:
        return False
    return any(catalog.find(row.model_key) for row in rows)


def compare(
    row: ModelRow, catalog: Catalog, *, trusted: bool, update_prices: bool
) -> Verdict | None:
    """Compare a row with the catalog; None if an incomplete catalog lacks it."""
    entry = catalog.find(row.model_key)
    if entry is None:
        if not catalog.whole:
            return None
        confirmed = trusted or row.catalog_status in ("missing", "gone")
        return Verdict(row, "gone" if confirmed else "missing", row.catalog)

    costs_other = any(
        (known := price(row.pricing.get(name))) is not None
        and not math.isclose(known, now, abs_tol=1e-12)
        for name, now in entry.prices.items()
    )
    context = row.capabilities.get("context_tokens")
    shrunk = isinstance(context, int) and context > (entry.context_length or context)
    changes = ("price",) * costs_other + ("context",) * shrunk
    status: Status
    if is_free(row.model_key, row.pricing) and any(entry.prices.values()):
        status = "not_free"
    elif entry.expires_on:
        status = "expiring"
    elif entry.id != row.model_key:
        status = "renamed"
    else:
        status = "changed" if changes else "listed"
    facts: dict[str, Any] = {**entry.prices}
    facts |= {"context_length": entry.context_length} if entry.context_length else {}
    facts |= {"expires_on": entry.expires_on.isoformat()} if entry.expires_on else {}
    facts |= {"listed_as": entry.id} if entry.id != row.model_key else {}
    return Verdict(row, status, facts, changes, entry.prices if update_prices else None)


def report(verdicts: Sequence[Verdict]) -> Found:
    """The problems of the active models, by kind."""
    problems: Found = {"gone": [], "missing": [], "not_free": [], "expiring": {}, "renamed": {}}
    problems["changed"] = {}
    for verdict in verdicts:
        key, status = verdict.row.model_key, verdict.status
        if not verdict.row.is_active:
            continue
        if status in ("gone", "missing", "not_free") and key not in problems[status]:
            problems[status].append(key)
        elif status == "expiring":
            problems["expiring"][key] = verdict.catalog["expires_on"]
        elif status == "renamed":
            problems["renamed"][key] = verdict.catalog["listed_as"]
        if verdict.changes:
            problems["changed"][key] = list(verdict.changes)
    return {name: value for name, value in problems.items() if value}


_ALERTS = {
    "gone": "Models are no longer listed and are not used: replace them.",
    "not_free": "Models configured as free now cost money: check their prices.",
    "expiring": "Models will be removed: replace them in time.",
}


async def check_catalog(provider: Provider, run: Run, found: Found, last: Found) -> None:
    """Compare the provider's models with its catalog and record the result.

    Raises `StepFailed` if the catalog is rejected or must be confirmed by another one.
    """
    models = await run.clients.rpc("read_models", {"p_provider_id": provider.id})
    rows = [ModelRow.model_validate(row) for row in models]
    if not rows:
        return
    # The catalog is public, so the key is not sent.
    headers = provider.credentials(run, scheme="none")
    status, content = await get_bytes(provider, "/models", run, headers, MAX_BYTES)

    def compared() -> tuple[int, list[Verdict]]:
        answer = Fetched.parse(status, content, max_bytes=MAX_BYTES, max_values=MAX_VALUES)
        catalog = read_catalog(answer)
        trusted = is_trusted(catalog, rows, last.get("listed"))
        update = run.settings.catalog_updates_prices
        found = [compare(row, catalog, trusted=trusted, update_prices=update) for row in rows]
        return len(catalog.entries), [verdict for verdict in found if verdict]

    listed, verdicts = await run.clients.in_thread(compared)
    parameters = {"p_models": [verdict.to_json() for verdict in verdicts]}
    await run.clients.rpc("record_catalog", parameters)
    problems = report(verdicts)
    found |= {"listed": listed, **problems}
    found["alerts"] = [sentence for name, sentence in _ALERTS.items() if name in problems]
    if any(verdict.status == "missing" for verdict in verdicts):
        raise StepFailed("models are missing in an unusual catalog: waiting for a second one")


def _entry(value: Any) -> CatalogModel | None:
    if not isinstance(value, Mapping):
        return None
    key, pricing = value.get("id"), value.get("pricing")
    if not isinstance(key, str) or not 0 < len(key) <= 200 or not isinstance(pricing, Mapping):
        return None
    if not {"prompt", "completion"} <= pricing.keys():
        return None
    context, canonical = value.get("context_length"), value.get("canonical_slug")
    return CatalogModel(
        id=key,
        canonical=text(canonical),
        context_length=integer(context, minimum=1, maximum=2**31 - 1),
        prompt_usd_per_1k=_per_1k(pricing["prompt"]),
        completion_usd_per_1k=_per_1k(pricing["completion"]),
        expires_on=_day(value.get("expiration_date")),
    )


def _per_1k(per_token: Any) -> float | None:
    """USD per 1,000 tokens. Routers have negative prices, which mean "it depends": None."""
    if isinstance(per_token, bool):
        return None
    try:
        usd = Decimal(per_token) if isinstance(per_token, str) else Decimal(str(float(per_token)))
    except (InvalidOperation, TypeError, ValueError, OverflowError):
        return None
    return float(usd * 1000) if usd.is_finite() and 0 <= usd < 1000 else None


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None
