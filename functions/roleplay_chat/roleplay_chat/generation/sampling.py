"""The sampler settings of a conversation, within the bounds of a model. Pure."""

from collections.abc import Mapping
from typing import Any

from edge.json_values import clamped

Bounds = tuple[float, float]

BOUNDS: Mapping[str, Bounds] = {
    "temperature": (0, 2),
    "top_p": (0.01, 1),
    "top_k": (0, 500),
    "min_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (0.5, 2),
    "max_tokens": (16, 1_024),
    "seed": (0, 1_000_000),
}
"""The settings that a person may change, and their bounds if the model's row does not say. The
database has the same names: private.check_sampling."""
WHOLE = ("top_k", "max_tokens", "seed")


def within_bounds(
    wanted: Mapping[str, Any], limits: object, own: Mapping[str, Any]
) -> dict[str, float]:
    """The settings that may be sent, clamped to the bounds.

    `limits` is that of the row: [least, most] by name, and false for a parameter that nobody may
    set. `own` are the row's parameters: a person may request a reply as long as the row does.
    """
    bounds = _bounds(limits, own)
    clamps = {
        name: clamped(value, *bounds[name]) for name, value in wanted.items() if name in bounds
    }
    return {
        name: round(value) if name in WHOLE else value
        for name, value in clamps.items()
        if value is not None
    }


def read_limits(value: object) -> Mapping[str, Bounds | None] | None:
    """The row's limits by name, None for what nobody may set; None if they are invalid."""
    if not isinstance(value, Mapping):
        return None
    limits = {name: _limit(value[name]) for name in BOUNDS if name in value}
    if not all(limit or value[name] is False for name, limit in limits.items()):
        return None
    return limits


def _bounds(limits: object, own: Mapping[str, Any]) -> dict[str, Bounds]:
    least, most = BOUNDS["max_tokens"]
    longest = max(most, clamped(own.get("max_tokens"), 0, 1e9) or 0)
    usual = {**BOUNDS, "max_tokens": (least, longest)}
    said = read_limits(limits) or {}
    return {name: limit for name, limit in {**usual, **said}.items() if limit}


def _limit(value: object) -> Bounds | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    least, most = (clamped(end, -1e9, 1e9) for end in value)
    return (least, most) if least is not None and most is not None and least <= most else None
