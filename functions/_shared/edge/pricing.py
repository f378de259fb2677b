"""Model prices from `api_models.pricing`, in USD per 1,000 tokens. None means unknown."""

from collections.abc import Mapping
from typing import Any

from edge.json_values import number

PROMPT, COMPLETION = PRICES = ("prompt_usd_per_1k", "completion_usd_per_1k")
"""The keys of `pricing`."""
MAX_USD_PER_1K = 1_000_000
"""A higher price is a mistake."""
FREE_SUFFIX = ":free"
"""The suffix that OpenRouter gives to the keys of free variants."""


def price(value: object) -> float | None:
    """A valid price, else None."""
    return number(value, minimum=0, maximum=MAX_USD_PER_1K)


def is_free(model_key: str, pricing: Mapping[str, Any]) -> bool:
    """Whether the model is free: both prices are 0, or missing for a `:free` variant."""
    named = [pricing.get(name) for name in PRICES]
    may_lack = model_key.endswith(FREE_SUFFIX)
    return all(price(said) == 0 or (may_lack and said is None) for said in named)
