"""Whether the configured models are still what OpenRouter's catalog says.

A catalog is not believed easily: what is no whole list of models with prices is refused, and one
that lacks all configured models, or half of what was listed before, needs a second one to say so
before any model is taken out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from pydantic import BaseModel

from edge.json_values import integer, text
from edge.pricing import COMPLETION, PROMPT, is_free, price
from health_check.fetch import Fetched
from health_check.providers import Provider, get
from health_check.steps import Found, Run, StepFailed

MIN_MODELS = 10
"""Fewer are not OpenRouter's catalog, which has hundreds."""
MIN_READABLE = 0.9
"""The share of entries that have to have the shape of a model."""

Status = Literal["listed", "changed", "expiring", "not_free", "renamed", "missing", "gone"]


@dataclass(frozen=True)
class CatalogModel:
    """A model in the catalog. Prices are in USD per 1,000 tokens; None is unknown."""

    id: str
    canonical: str | None = None
    context_length: int | None = None
    prompt_usd_per_1k: float | None = None
    completion_usd_per_1k: float | None = None
    expires_on: date | None = None
    """After which it may be removed."""

    @property
    def prices(self) -> dict[str, float]:
        """Those that are known, under the names of `api_models.pricing`."""
        both = {
            PROMPT: self.prompt_usd_per_1k,
            COMPLETION: self.completion_usd_per_1k,
        }
        return {name: price for name, price in both.items() if price is not None}


@dataclass(frozen=True)
class Catalog:
    """The models by id. What is not in a part of the catalog may be in the rest."""

    entries: Mapping[str, CatalogModel]
    whole: bool = True

    def find(self, model_key: str) -> CatalogModel | None:
        """The model's entry, also when it is listed under another name now."""
        if model_key in self.entries:
            return self.entries[model_key]
        for entry in self.entries.values():
            # A variant such as ":free" is a model of its own; the canonical name may lack it.
            if entry.canonical == model_key and (":" in entry.id) == (":" in model_key):
                return entry
        return None


class ModelRow(BaseModel):
    """A configured model: columns of `api_models`."""

    id: str
    model_key: str
    is_active: bool
    pricing: dict[str, Any]
    capabilities: dict[str, Any]
    catalog_status: str | None
    catalog: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What the catalog says of a row, as `record_catalog` takes it."""

    row: ModelRow
    status: Status
    catalog: Mapping[str, Any]
    changes: tuple[str, ...] = ()
    """What differs from the row: "price", "context"."""
    pricing: Mapping[str, float] | None = None
    """Prices that are to replace the row's."""

    def to_json(self) -> dict[str, Any]:
        """As `record_catalog` takes it."""
        return {
            "id": self.row.id,
            "status": self.status,
            "catalog": self.catalog,
            "pricing": self.pricing,
        }


def read_catalog(answer: Fetched) -> Catalog:
    """The catalog in an answer to GET /models; `StepFailed` when it is none."""
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


def is_believed(catalog: Catalog, rows: Sequence[ModelRow], listed_before: object) -> bool:
    """Whether a model that is not listed may be taken out at once."""
    if isinstance(listed_before, int) and len(catalog.entries) < listed_before / 2:
        return False
    return any(catalog.find(row.model_key) for row in rows)


def compare(
    row: ModelRow, catalog: Catalog, *, believed: bool, update_prices: bool
) -> Verdict | None:
    """What becomes of a row; None when the catalog says nothing about it."""
    entry = catalog.find(row.model_key)
    if entry is None:
        if not catalog.whole:
            return None
        confirmed = believed or row.catalog_status in ("missing", "gone")
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
    """What is worth telling of the active models, by what is the matter with them."""
    told: Found = {"gone": [], "missing": [], "not_free": [], "expiring": {}, "renamed": {}}
    told["changed"] = {}
    for verdict in verdicts:
        key, status = verdict.row.model_key, verdict.status
        if not verdict.row.is_active:
            continue
        if status in ("gone", "missing", "not_free") and key not in told[status]:
            told[status].append(key)
        elif status == "expiring":
            told["expiring"][key] = verdict.catalog["expires_on"]
        elif status == "renamed":
            told["renamed"][key] = verdict.catalog["listed_as"]
        if verdict.changes:
            told["changed"][key] = list(verdict.changes)
    return {name: value for name, value in told.items() if value}


_ALERTS = {
    "gone": "Models are no longer listed and are not used: replace them.",
    "not_free": "Models configured as free now cost money: check their prices.",
    "expiring": "Models will be removed: replace them in time.",
}


async def check_catalog(provider: Provider, run: Run, found: Found, last: Found) -> None:
    """Compare the provider's models with its catalog and record what is found.

    `StepFailed` when the catalog is refused or has to be confirmed by another one.
    """
    models = await run.clients.rpc("read_models", {"p_provider_id": provider.id})
    rows = [ModelRow.model_validate(row) for row in models]
    if not rows:
        return
    # Anybody may read the catalog: it is asked for without the key.
    headers = provider.credentials(run, scheme="none")
    catalog = read_catalog(await get(provider, "/models", run, headers))
    believed = is_believed(catalog, rows, last.get("listed"))
    update = run.settings.catalog_updates_prices
    judged = [compare(row, catalog, believed=believed, update_prices=update) for row in rows]
    verdicts = [verdict for verdict in judged if verdict]
    parameters = {"p_models": [verdict.to_json() for verdict in verdicts]}
    await run.clients.rpc("record_catalog", parameters)
    told = report(verdicts)
    found |= {"listed": len(catalog.entries), **told}
    found["alerts"] = [sentence for name, sentence in _ALERTS.items() if name in told]
    if any(verdict.status == "missing" for verdict in verdicts):
        raise StepFailed("models are missing in an odd catalog: a second one has to confirm it")


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
        context_length=integer(context, least=1, most=2**31 - 1),
        prompt_usd_per_1k=_per_1k(pricing["prompt"]),
        completion_usd_per_1k=_per_1k(pricing["completion"]),
        expires_on=_day(value.get("expiration_date")),
    )


def _per_1k(per_token: Any) -> float | None:
    """USD per 1,000 tokens. Negative prices stand for "it depends", on routers."""
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
