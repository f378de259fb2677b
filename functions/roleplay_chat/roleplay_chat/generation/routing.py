"""Plans which targets a turn tries, in which order. Skips those on cooldown or unhealthy. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from edge.addresses import endpoint
from edge.json_values import fields, text, whole
from edge.pricing import COMPLETION, PROMPT, is_free, price
from edge.worker_health import DEFAULT_MODEL
from roleplay_chat.api import Tier
from roleplay_chat.generation.workers import ANY, WORKER, rank, requested_worker, why_away
from roleplay_chat.messages import ROLES, Roles
from roleplay_chat.rows import CooldownRow, ModelRow, WorkerRow
from roleplay_chat.tokens import UNCALIBRATED, Tokens

DEFAULT_CONTEXT_TOKENS = 8192
DEFAULT_MAX_TOKENS = 400
MAX_TOKENS = 10_000_000
"""The limit for a context or a reply; a larger number in a row is a mistake."""
LIMIT, NEWER_LIMIT = "max_tokens", "max_completion_tokens"
"""The names of the longest reply; some models take only the newer one."""
REJECTED = "rejected"
"""The entry of what was learned with the parameters that the model rejects."""
MOST_REJECTED = 10
"""How many are remembered: the row that keeps them is small."""
RENAME = "rename"
"""The entry of `input_defaults` with other names for parameters."""

_PARAMETER = re.compile(r"[\w.-]{1,40}", re.ASCII)


@dataclass(frozen=True)
class Target:
    """One model at one address."""

    provider: str
    model_key: str
    display_name: str
    protocol: Literal["openai", "chat_worker"]
    url: str
    parameters: dict[str, Any] = field(default_factory=dict)
    """Sent with the prompt: always max_tokens, and the row's sampling parameters."""
    names: Mapping[str, str | None] = field(default_factory=dict)
    """The names that parameters are sent under, where they differ. None: not sent."""
    rejected: frozenset[str] = frozenset()
    """Parameters that it was found to reject: not sent."""
    roles: Roles = "as_is"
    """The form of the messages that it takes."""
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    tokens: Tokens = UNCALIBRATED
    worker: str | None = None
    """The name of the team's worker that this is; None for a provider's model."""
    takes_stop: bool = True
    """Whether it supports stop strings."""
    adult: bool = False
    """Whether it may be used for the adult tier, so is laxer than one that may not."""
    family: str | None = None
    thinks_first: bool = False
    """Whether its chat template writes the opening reasoning tag, so only the closing one comes."""
    json_mode: bool = False
    """Whether it can be forced to answer in JSON."""
    auth_scheme: Literal["bearer", "header", "none"] = "bearer"
    auth_header_name: str = "Authorization"
    secret_name: str | None = None
    timeouts: Mapping[str, Any] = field(default_factory=dict)
    """Seconds by name (connect, first_token, idle, total), where the row overrides the settings."""
    prompt_usd_per_1k: float | None = None
    completion_usd_per_1k: float | None = None

    @property
    def name(self) -> str:
        """Its name for clients: "chat_worker", "chat_worker:<name>" or "<provider>:<model_key>"."""
        return WORKER if self.worker == WORKER else self.cooldown_key

    @property
    def cooldown_key(self) -> str:
        """The key of its own cooldowns: "chat_worker:<name>" or "<provider>:<model_key>"."""
        return f"{self.provider}:{self.worker or self.model_key}"

    @property
    def picker_key(self) -> str:
        """Its key in the client's model picker."""
        return self.name if self.worker else self.model_key

    @property
    def max_tokens(self) -> int:
        """The longest reply to request, in tokens."""
        return int(self.parameters["max_tokens"])


@dataclass(frozen=True)
class Plan:
    """The targets in order, and the one that the person requested."""

    targets: tuple[Target, ...]
    last_resort: tuple[Target, ...]
    """Targets on cooldown or unhealthy: each is tried if no other answered."""
    requested: str | None
    """The name of the target that should answer; None if it does not exist."""
    why_not: str | None = None
    """Why the requested target is not the first: a clause for the person."""
    any_worker: bool = False
    """Whether any of the team's workers is as requested."""
    is_chosen: bool = True
    """Whether the person chose the requested target; False: it is the default."""

    def used_fallback(self, target: Target) -> bool:
        """Whether `target` is not the requested one."""
        if self.any_worker and target.worker:
            return False
        return target.name != self.requested

    def notice(self, target: Target) -> str | None:
        """A sentence for the person if `target` is not the requested one."""
        if not self.used_fallback(target):
            return None
        which = "The model you chose" if self.is_chosen else "The default model"
        why = self.why_not or f"{which} could not answer this time"
        who = target.display_name
        if target.worker:
            who = who.replace("Local model", "the local model", 1)
        return f"{why}; {who} answered instead."


def plan(
    model_provider: str | None,
    *,
    models: Sequence[ModelRow],
    workers: Sequence[WorkerRow],
    cooldowns: Sequence[CooldownRow],
    tier: Tier,
    now: datetime,
    key: str = "",
    free_only: bool = False,
) -> Plan:
    """Plan the order: the requested target, the default, the other models, the workers.

    `models` are in order of preference, the default first. A paid model is a substitute only if it
    is the default or its row says `fallback_allowed`; with `free_only`, paid models are left out.
    The workers are in the order of `generation.workers` for `key`, the conversation. A full one is
    tried after all others, one on cooldown or unhealthy only as the last resort.
    """
    fitting = [
        (model, _model_target(model))
        for model in models
        if tier == "sfw" or model.capabilities.get("nsfw") is True
    ]
    allowed = [(model, own) for model, own in fitting if not free_only or _is_free(model)]
    by_key = {model.model_key: (model, own) for model, own in fitting}
    chosen = by_key.get(model_provider) if model_provider else next(iter(fitting), None)
    asked = requested_worker(model_provider)
    free, full, away = _ranked(workers, key, asked, cooldowns, now)
    substitutes = [own for model, own in allowed if _may_substitute(model)]
    first: list[Target] = []
    requested: str | None = None
    why_not: str | None = None
    any_worker = asked == ANY or (chosen is None and not model_provider)

    if any_worker:
        # The workers are also the default if there are no models.
        first, requested = [*free, *away], WORKER
        why_not = _why_no_worker(workers, full, now) if model_provider else None
    elif asked:
        first = [*free, *away]
        named = [own for own in (*first, *full) if own.worker == asked]
        requested = named[0].name if named else None
        why_not = _why_not_worker(asked, workers, full, now)
    elif chosen is None:
        why_not = "The model you chose is not available"
    elif chosen in allowed:
        first, requested = [chosen[1]], chosen[1].name
    else:
        requested, why_not = chosen[1].name, "Today's budget for paid models is used up"

    ordered = {target.name: target for target in (*first, *substitutes, *free, *away, *full)}
    unusable = {target.name for target in away}
    ready = {
        name
        for name, target in ordered.items()
        if name not in unusable and not on_cooldown(target, cooldowns, now)
    }
    targets = tuple(target for name, target in ordered.items() if name in ready)
    is_first = bool(free) if any_worker else bool(targets) and targets[0].name == requested
    return Plan(
        targets=targets,
        last_resort=tuple(target for name, target in ordered.items() if name not in ready),
        requested=requested,
        why_not=None if is_first else why_not,
        any_worker=any_worker,
        is_chosen=bool(model_provider),
    )


def _ranked(
    workers: Sequence[WorkerRow],
    key: str,
    asked: str | None,
    cooldowns: Sequence[CooldownRow],
    now: datetime,
) -> tuple[list[Target], list[Target], list[Target]]:
    """The workers' targets in order: those with a free slot, the full ones, those not to ask."""
    targets = {worker.name: _worker_target(worker) for worker in workers if worker.url}

    def is_away(worker: WorkerRow) -> bool:
        cools = on_cooldown(targets[worker.name], cooldowns, now)
        return cools or why_away(worker, now) is not None

    ranking = rank([w for w in workers if w.url], key, asked=asked, is_away=is_away)
    groups = (ranking.free, ranking.full, ranking.away)
    free, full, away = ([targets[worker.name] for worker in group] for group in groups)
    return free, full, away


def _why_no_worker(workers: Sequence[WorkerRow], full: Sequence[Target], now: datetime) -> str:
    """Why none of the workers is asked first, although the person wants one."""
    known = [worker for worker in workers if worker.url]
    if full:
        because = "it is busy"
    elif not known:
        because = "no worker is registered"
    else:
        because = why_away(known[0], now) or "it failed a moment ago"
    return f"The local model is not available right now ({because})"


def _why_not_worker(
    asked: str, workers: Sequence[WorkerRow], full: Sequence[Target], now: datetime
) -> str:
    """Why the worker with the name `asked` is not asked first."""
    named = [worker for worker in workers if worker.name == asked]
    busy = any(own.worker == asked for own in full)
    return _why_no_worker(named, full if busy else (), now)


def memory_targets(
    *,
    models: Sequence[ModelRow],
    workers: Sequence[WorkerRow],
    cooldowns: Sequence[CooldownRow],
    tier: Tier,
    now: datetime,
    key: str = "",
    free_only: bool = False,
) -> tuple[Target, ...]:
    """The targets that may write summaries: the cheapest first, the team's workers last.

    Free models unless their row says `"memory": false`, paid ones only if it says
    `"memory": true`. The workers are last because replies need their GPUs.
    """
    fitting = [
        (0.0 if _is_free(model) else _price(_model_target(model)), _model_target(model))
        for model in models
        if (tier == "sfw" or model.capabilities.get("nsfw") is True)
        and _may_write_memory(model, free_only=free_only)
    ]
    ordered = [target for _, target in sorted(fitting, key=lambda priced: priced[0])]
    willing = [worker for worker in workers if worker.config.get("memory") is not False]
    free, full, _ = _ranked(willing, key, None, cooldowns, now)
    ordered += [*free, *full]
    return tuple(target for target in ordered if not on_cooldown(target, cooldowns, now))


def _may_write_memory(model: ModelRow, *, free_only: bool) -> bool:
    allowed = model.capabilities.get("memory")
    return allowed is not False if _is_free(model) else allowed is True and not free_only


def _price(target: Target) -> float:
    """A price for sorting: USD per 1,000 prompt and completion tokens, infinite if unknown."""
    prices = (target.prompt_usd_per_1k, target.completion_usd_per_1k)
    return sum(float("inf") if price is None else price for price in prices)


def invalid_numbers(models: Sequence[ModelRow]) -> list[str]:
    """The invalid numbers in the rows, as "<model>: <field>". They are replaced by defaults; an
    invalid price counts as unknown."""
    return [
        f"{model.provider.name}:{model.model_key}: {name}"
        for model in models
        for name, value, read in (
            (PROMPT, model.pricing.get(PROMPT), price),
            (COMPLETION, model.pricing.get(COMPLETION), price),
            ("context_tokens", model.capabilities.get("context_tokens"), _whole),
            ("max_tokens", model.input_defaults.get("max_tokens"), _whole),
            ("roles", model.capabilities.get("roles"), _roles),
        )
        if value is not None and read(value) is None
    ]


def _model_target(model: ModelRow) -> Target:
    provider = model.provider
    prices, reasoning = model.pricing, model.capabilities.get("reasoning")
    return Target(
        provider=provider.name,
        model_key=model.model_key,
        display_name=model.display_name,
        protocol="openai",
        url=endpoint(provider.base_url, model.endpoint_path or "/chat/completions"),
        parameters=_parameters(model.input_defaults)
        | ({"reasoning": reasoning} if isinstance(reasoning, dict) else {}),
        names=_names(model.input_defaults, model.capabilities, model.repairs),
        rejected=_rejected(model.repairs, model.input_defaults),
        roles=_form(model.capabilities, model.repairs),
        context_tokens=_tokens(model.capabilities.get("context_tokens")),
        tokens=Tokens.from_ratios(model.token_ratios),
        adult=model.capabilities.get("nsfw") is True,
        timeouts=fields(model.capabilities.get("timeouts")),
        family=model.model_family,
        takes_stop=_takes_stop(model.capabilities),
        thinks_first=model.capabilities.get("thinks_first") is True,
        json_mode=model.capabilities.get("json_mode") is True,
        auth_scheme=provider.auth_scheme,
        auth_header_name=provider.auth_header_name,
        secret_name=provider.secret_name,
        prompt_usd_per_1k=price(prices.get(PROMPT)),
        completion_usd_per_1k=price(prices.get(COMPLETION)),
    )


def _worker_target(worker: WorkerRow) -> Target:
    """The target of a registered worker."""
    protocol: Literal["openai", "chat_worker"] = (
        "openai" if worker.config.get("protocol") == "openai" else "chat_worker"
    )
    path = "/v1/chat/completions" if protocol == "openai" else "/chat"
    name = "" if worker.name == WORKER else f" {worker.name}"
    return Target(
        provider=WORKER,
        worker=worker.name,
        model_key=text(worker.config.get("model")) or DEFAULT_MODEL,
        display_name=text(worker.config.get("display_name")) or f"Local model{name}",
        protocol=protocol,
        url=endpoint(worker.url or "", path, protocol=protocol),
        parameters=_parameters(worker.config.get("input_defaults")),
        names=_names(worker.config.get("input_defaults"), worker.config, worker.repairs),
        rejected=_rejected(worker.repairs, worker.config.get("input_defaults")),
        roles=_form(worker.config, worker.repairs),
        context_tokens=_tokens(worker.config.get("context_tokens"), default=4096),
        tokens=Tokens.from_ratios(worker.token_ratios),
        adult=True,
        # The worker's own protocol has no stop strings.
        takes_stop=protocol == "openai" and _takes_stop(worker.config),
        timeouts=fields(worker.config.get("timeouts")),
        auth_scheme="bearer" if worker.secret_name else "none",
        secret_name=worker.secret_name,
        prompt_usd_per_1k=0,
        completion_usd_per_1k=0,
    )


def _may_substitute(model: ModelRow) -> bool:
    allowed = model.capabilities.get("fallback_allowed")
    return model.is_default or _is_free(model) or allowed is True


def _is_free(model: ModelRow) -> bool:
    return is_free(model.model_key, model.pricing)


def on_cooldown(target: Target, cooldowns: Sequence[CooldownRow], now: datetime) -> bool:
    """Whether the target is covered by a cooldown that has not ended."""
    if target.worker:
        keys = (target.cooldown_key, WORKER)
        return any(row.until > now and row.key in keys for row in cooldowns)
    accounts = {target.provider}
    if target.model_key.endswith(":free"):
        accounts.add(f"{target.provider}:free")
    covering = {"model": {target.name}, "provider": {target.provider}, "account": accounts}
    return any(row.until > now and row.key in covering[row.scope] for row in cooldowns)


def _parameters(defaults: object) -> dict[str, Any]:
    """The row's parameters, without those that it leaves out, and always the longest reply."""
    parameters = dict(fields(defaults))
    limit = parameters.get(LIMIT)
    if not _are_plain(parameters):
        if _has_newer_limit(parameters):
            limit = parameters.pop(NEWER_LIMIT)
        parameters.pop(RENAME, None)
        parameters = {name: value for name, value in parameters.items() if value is not None}
    parameters[LIMIT] = _tokens(limit, DEFAULT_MAX_TOKENS)
    return parameters


def _names(
    defaults: object, capabilities: Mapping[str, Any], repairs: Mapping[str, Any]
) -> Mapping[str, str | None]:
    """The names of `Target.names`. The row decides, then what was learned."""
    given = fields(defaults)
    takes_newer = capabilities.get(NEWER_LIMIT, repairs.get(NEWER_LIMIT)) is True
    if not takes_newer and _are_plain(given):
        return {}
    names: dict[str, str | None] = {name: None for name, value in given.items() if value is None}
    if _has_newer_limit(given) or (takes_newer and LIMIT not in names):
        names[LIMIT] = NEWER_LIMIT
    return names | {name: new for name, new in fields(given.get(RENAME)).items() if text(new)}


def _are_plain(given: Mapping[str, Any]) -> bool:
    """Whether parameters are sent as they are, like those of most rows."""
    return None not in given.values() and NEWER_LIMIT not in given and RENAME not in given


def _has_newer_limit(given: Mapping[str, Any]) -> bool:
    """Whether the row has the longest reply under the newer name alone."""
    return given.get(LIMIT) is None and _whole(given.get(NEWER_LIMIT)) is not None


def mark_rejected(names: Iterable[str], parameters: Mapping[str, Any]) -> dict[str, str | None]:
    """What is remembered of rejected parameters: the names, each with a digest of its value in the
    row. Another value is tried again."""
    plain = [name for name in sorted(names) if _PARAMETER.fullmatch(name)]
    return {name: _digest(parameters.get(name)) for name in plain[:MOST_REJECTED]}


def _rejected(repairs: Mapping[str, Any], defaults: object) -> frozenset[str]:
    """The names in what `mark_rejected` made, as far as the row has the same values."""
    marks = repairs.get(REJECTED)
    if not isinstance(marks, dict):
        return frozenset()
    given = fields(defaults)
    return frozenset(name for name, mark in marks.items() if mark == _digest(given.get(name)))


def _digest(value: Any) -> str | None:
    """Eight characters that stand for a value; None for none."""
    if value is None:
        return None
    encoded = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(encoded.encode()).hexdigest()[:8]


def _form(capabilities: Mapping[str, Any], repairs: Mapping[str, Any]) -> Roles:
    said, learned = capabilities.get("roles"), repairs.get("roles")
    if said is None and learned is None:
        return "as_is"
    return _roles(said) or _roles(learned) or "as_is"


def _roles(value: object) -> Roles | None:
    return next((roles for roles in ROLES if roles == value), None)


def _takes_stop(capabilities: dict[str, Any]) -> bool:
    """Not for reasoning models by default: some providers also stop inside the reasoning."""
    thinks = bool(capabilities.get("reasoning")) or capabilities.get("thinks_first") is True
    return bool(capabilities.get("stop", not thinks))


def _tokens(value: object, default: int = DEFAULT_CONTEXT_TOKENS) -> int:
    tokens = _whole(value)
    return default if tokens is None else tokens


def _whole(value: object) -> int | None:
    return whole(value, minimum=1, maximum=MAX_TOKENS)
