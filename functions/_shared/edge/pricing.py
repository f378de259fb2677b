"""What a model costs, from `api_models.pricing`: USD per 1,000 tokens. None is unknown."""

from collections.abc import Mapping
from typing import Any

from edge.json_values import number

PROMPT, COMPLETION = PRICES = ("prompt_usd_per_1k", "completion_usd_per_1k")
"""Names of the prices in a row."""
MOST_USD_PER_1K = 1_000_000
"""Above it a price is a mistake."""
FREE_SUFFIX = ":free"
"""Of the key of a variant that costs nothing, as OpenRouter names them."""


def price(value: object) -> float | None:
    """A price that can be one."""
    return number(value, least=0, most=MOST_USD_PER_1K)


def is_free(model_key: str, pricing: Mapping[str, Any]) -> bool:
    """Whether it costs nothing: both prices are 0. A free variant's may be missing, too."""
    named = [pricing.get(name) for name in PRICES]
    may_lack = model_key.endswith(FREE_SUFFIX)
    return all(price(said) == 0 or (may_lack and said is None) for said in named)
