"""Decides which targets a turn asks, in which order. Pure: same rows and time, same plan."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from edge.worker_health import why_unavailable
from roleplay_chat.api import Tier
from roleplay_chat.rows import CooldownRow, ModelRow, WorkerRow

WORKER = "chat_worker"
WORKER_ALIASES = frozenset({WORKER, "qwen-local"})
DEFAULT_CONTEXT_TOKENS = 8192
DEFAULT_MAX_TOKENS = 400


@dataclass(frozen=True)
class Target:
    """One model at one address that a prompt can be sent to."""

    provider: str
    model_key: str
    display_name: str
    protocol: Literal["openai", "chat_worker"]
    url: str
    parameters: dict[str, Any] = field(default_factory=dict)
    """Sent with the prompt: max_tokens always, samplers as the row says."""
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    family: str | None = None
    auth_scheme: Literal["bearer", "header", "none"] = "bearer"
    auth_header_name: str = "Authorization"
    secret_name: str | None = None
    prompt_usd_per_1k: float | None = None
    completion_usd_per_1k: float | None = None

    @property
    def name(self) -> str:
        """As the client knows it: "chat_worker" or "<provider>:<model_key>"."""
        return WORKER if self.provider == WORKER else f"{self.provider}:{self.model_key}"

    @property
    def picker_key(self) -> str:
        """What the client's model picker calls it."""
        return WORKER if self.provider == WORKER else self.model_key

    @property
    def max_tokens(self) -> int:
        """The longest reply asked for, in tokens."""
        return int(self.parameters["max_tokens"])


@dataclass(frozen=True)
class Plan:
    """The targets in order, and what the person had asked for."""

    targets: tuple[Target, ...]
    requested: str | None
    """Name of the target that an answer is expected from; None when it does not exist."""
    why_not: str | None = None
    """Why the requested target is not the first; a clause for the person."""

    def used_fallback(self, target: Target) -> bool:
        """Whether an answer from `target` is not what was asked for."""
        return target.name != self.requested

    def notice(self, target: Target) -> str | None:
        """A sentence for the person when another model answered than the one asked for."""
        if not self.used_fallback(target):
            return None
        why = self.why_not or "The model you chose could not answer this time"
        who = "the local model" if target.provider == WORKER else target.display_name
        return f"{why}; {who} answered instead."


def plan(
    model_provider: str | None,
    *,
    models: Sequence[ModelRow],
    worker: WorkerRow,
    cooldowns: Sequence[CooldownRow],
    tier: Tier,
    now: datetime,
) -> Plan:
    """The order in which to ask: what was requested, the default, the rest, the worker.

    `models` come in their order of preference, the default first. Models that cost money are
    never a substitute unless they are the default or their row says `fallback_allowed`. What is
    cooling down is left out, unless everything is.
    """
    allowed = [model for model in models if tier == "sfw" or model.capabilities.get("nsfw") is True]
    rows = {model.model_key: model for model in allowed}
    local = _worker_target(worker)
    unavailable = why_unavailable(worker.url, worker.health, now)
    substitutes = [_model_target(model) for model in allowed if _may_substitute(model)]
    last = [local] if local and unavailable is None else []
    requested: str | None
    why_not: str | None

    if model_provider in WORKER_ALIASES:
        requested, why_not = WORKER, f"The local model is not available right now ({unavailable})"
        first = last
    elif not model_provider:
        first = [_model_target(allowed[0])] if allowed else []
        requested, why_not = (first[0].name if first else None), None
    elif model_provider in rows:
        first = [_model_target(rows[model_provider])]
        requested, why_not = first[0].name, None
    else:
        first, requested = [], None
        why_not = "The model you chose is not available"

    targets = tuple(dict.fromkeys(target.name for target in (*first, *substitutes, *last)))
    by_name = {target.name: target for target in (*first, *substitutes, *last)}
    ordered = tuple(by_name[name] for name in targets)
    ready = tuple(target for target in ordered if not _cooling(target, cooldowns, now))
    return Plan(ready or ordered, requested, why_not if requested not in targets[:1] else None)


def _model_target(model: ModelRow) -> Target:
    provider = model.provider
    prices = model.pricing
    return Target(
        provider=provider.name,
        model_key=model.model_key,
        display_name=model.display_name,
        protocol="openai",
        url=provider.base_url.rstrip("/") + (model.endpoint_path or "/chat/completions"),
        parameters={"max_tokens": DEFAULT_MAX_TOKENS, **model.input_defaults},
        context_tokens=_tokens(model.capabilities.get("context_tokens")),
        family=model.model_family,
        auth_scheme=provider.auth_scheme,
        auth_header_name=provider.auth_header_name,
        secret_name=provider.secret_name,
        prompt_usd_per_1k=_price(prices.get("prompt_usd_per_1k")),
        completion_usd_per_1k=_price(prices.get("completion_usd_per_1k")),
    )


def _worker_target(worker: WorkerRow) -> Target | None:
    if not worker.url:
        return None
    protocol: Literal["openai", "chat_worker"] = (
        "openai" if worker.config.get("protocol") == "openai" else "chat_worker"
    )
    path = "/v1/chat/completions" if protocol == "openai" else "/chat"
    defaults = worker.config.get("input_defaults")
    return Target(
        provider=WORKER,
        model_key=str(worker.config.get("model", "qwen_instruct")),
        display_name="The local model",
        protocol=protocol,
        url=worker.url.rstrip("/") + path,
        parameters={
            "max_tokens": DEFAULT_MAX_TOKENS,
            **(defaults if isinstance(defaults, dict) else {}),
        },
        context_tokens=_tokens(worker.config.get("context_tokens"), default=4096),
        prompt_usd_per_1k=0,
        completion_usd_per_1k=0,
    )


def _may_substitute(model: ModelRow) -> bool:
    free = _model_target(model).prompt_usd_per_1k == 0 == _model_target(model).completion_usd_per_1k
    allowed = model.capabilities.get("fallback_allowed")
    return model.is_default or free or model.model_key.endswith(":free") or allowed is True


def _cooling(target: Target, cooldowns: Sequence[CooldownRow], now: datetime) -> bool:
    accounts = {target.provider}
    if target.model_key.endswith(":free"):
        accounts.add(f"{target.provider}:free")
    keys = {"model": {target.name}, "provider": {target.provider}, "account": accounts}
    return any(row.until > now and row.key in keys[row.scope] for row in cooldowns)


def _tokens(value: object, default: int = DEFAULT_CONTEXT_TOKENS) -> int:
    return value if isinstance(value, int) and value > 0 else default


def _price(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value >= 0 else None
