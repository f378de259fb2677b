"""Plans which targets a turn tries, in which order. Skips those on cooldown or unhealthy. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic_core import to_json

from edge.addresses import endpoint
from edge.json_values import fields, text, whole
from edge.pricing import COMPLETION, PROMPT, is_free, price
from edge.worker_health import DEFAULT_MODEL
from roleplay_chat.api import Tier
from roleplay_chat.generation.sampling import read_limits, within_bounds
from roleplay_chat.generation.workers import (
    ANY,
    LONG_ABSENCE,
    WORKER,
    is_gone,
    preferred,
    rank,
    requested_worker,
    why_away,
)
from roleplay_chat.messages import ROLES, Roles
from roleplay_chat.rows import BegunTurn, CooldownRow, ModelRow, WorkerRow
from roleplay_chat.tokens import UNCALIBRATED, Tokens

DEFAULT_CONTEXT_TOKENS = 8192
DEFAULT_PROMPT_TOKENS = 32_768
"""The most tokens of a prompt if the row does not say: long prompts cost money and time."""
DEFAULT_WORKER_TOKENS = 4096
"""The context of a worker whose configuration does not say."""
DEFAULT_MAX_TOKENS = 400
MIN_SIZE_TOKENS = 256
"""The least for a context or the longest prompt; a smaller number in a row is a mistake."""
MAX_TOKENS = 10_000_000
"""The limit for a context or a reply; a larger number in a row is a mistake."""
LIMIT, NEWER_LIMIT = "max_tokens", "max_completion_tokens"
"""The names of the longest reply; some models take only the newer one."""
REJECTED = "rejected"
"""The key of the learned repairs that has the parameters which the model rejects."""
MOST_REJECTED = 10
"""How many are remembered: the row that keeps them is small."""
RENAME = "rename"
"""The entry of `input_defaults` with other names for parameters."""

REMEMBERED_TARGETS = 256

NOTHING: Mapping[str, Any] = {}
"""No sampler settings."""

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
    added: frozenset[str] = frozenset()
    """Parameters that only the person set, not the row."""
    roles: Roles = "as_is"
    """The form of the messages that it takes."""
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    """The most tokens of a prompt and its reply together."""
    prompt_tokens: int = DEFAULT_PROMPT_TOKENS
    """The most tokens of a prompt."""
    tokens: Tokens = UNCALIBRATED
    worker: str | None = None
    """The name of the team's worker that this is; None for a provider's model."""
    is_full: bool = False
    """Whether all slots of this worker are busy."""
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
    """The row's overrides of the settings, in seconds by name (connect, first_token, idle,
    total)."""
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
    usual: Target | None = None
    """The requested target, also if it is away for a short time; None if it is gone for longer."""

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


class Candidates(NamedTuple):
    """The models and workers of a turn, and the rows that decide which of them it may use."""

    models: Sequence[ModelRow]
    """In order of preference, the default first."""
    workers: Sequence[WorkerRow]
    cooldowns: Sequence[CooldownRow]
    tier: Tier
    now: datetime
    key: str = ""
    """The conversation's key: the same one goes to the same worker."""
    free_only: bool = False
    """Whether paid models are left out."""
    sampling: Mapping[str, Any] = NOTHING
    """The person's sampler settings, for replies."""

    @classmethod
    def from_turn(cls, begun: BegunTurn, tier: Tier) -> "Candidates":
        """The candidates for the reply or the summary of a turn."""
        return cls(
            begun.models,
            begun.workers,
            begun.cooldowns,
            tier,
            begun.now,
            begun.key,
            begun.free_only,
            begun.settings.sampling if begun.settings else NOTHING,
        )

    def suitable(self) -> list[ModelRow]:
        """The models that may be used for the tier."""
        return [
            model
            for model in self.models
            if self.tier == "sfw" or model.capabilities.get("nsfw") is True
        ]

    def cools(self, target: Target) -> bool:
        """Whether the target is on cooldown."""
        return on_cooldown(target, self.cooldowns, self.now)


class _Workers(NamedTuple):
    """The workers' targets, in the order to ask them."""

    free: list[Target]
    full: list[Target]
    away: list[Target]
    """On cooldown or unhealthy."""


class _Head(NamedTuple):
    """The head of the order: the requested target."""

    targets: Sequence[Target]
    requested: str | None
    why_not: str | None
    """The reason if the requested target is not tried first."""
    usual: Target | None = None
    """The requested target itself, or the worker that the conversation usually has."""


def plan(model_provider: str | None, candidates: Candidates) -> Plan:
    """Plan the order: the requested target, the default, the other models, the workers.

    A paid model is a substitute only if it is the default or its row says `fallback_allowed`. The
    workers are in the order of `generation.workers`. A full one is tried after all others, one on
    cooldown or unhealthy only as the last resort.
    """
    wanted = candidates.sampling
    models = [(model, model_target(model, wanted)) for model in candidates.suitable()]
    asked = requested_worker(model_provider)
    workers = _rank(candidates, candidates.workers, asked)
    # The workers are also the default if there are no models.
    any_worker = asked == ANY or not (models or model_provider)
    if asked:
        head = _worker_head(asked, candidates, workers)
    elif any_worker:
        usual = _usual_worker(candidates, None)
        head = _Head((*workers.free, *workers.away), WORKER, None, usual)
    else:
        head = _model_head(model_provider, models, free_only=candidates.free_only)
    substitutes = [
        own for model, own in models if _may_substitute(model, free_only=candidates.free_only)
    ]
    ready, last_resort = _divide((*head.targets, *substitutes), workers, candidates)
    is_first = workers.free if any_worker else ready and ready[0].name == head.requested
    return Plan(
        targets=ready,
        last_resort=last_resort,
        requested=head.requested,
        why_not=None if is_first else head.why_not,
        any_worker=any_worker,
        is_chosen=bool(model_provider),
        usual=None if head.usual and _is_gone(head.usual, candidates) else head.usual,
    )


def _rank(candidates: Candidates, workers: Sequence[WorkerRow], asked: str | None) -> _Workers:
    """Rank those of `workers` that have an address; the one that is `asked` for is first."""
    present = [worker for worker in workers if worker.url]
    wanted = candidates.sampling
    targets = {worker.name: _worker_target(worker, wanted) for worker in present}

    def is_away(worker: WorkerRow) -> bool:
        cools = candidates.cools(targets[worker.name])
        return cools or why_away(worker, candidates.now) is not None

    ranking = rank(present, candidates.key, asked=asked, is_away=is_away)
    return _Workers(
        free=[targets[worker.name] for worker in ranking.free],
        full=[replace(targets[worker.name], is_full=True) for worker in ranking.full],
        away=[targets[worker.name] for worker in ranking.away],
    )


def _worker_head(asked: str, candidates: Candidates, workers: _Workers) -> _Head:
    """The head of the order for the worker with the name `asked`, or `ANY`."""
    targets = (*workers.free, *workers.away)
    usual = _usual_worker(candidates, asked)
    if asked == ANY:
        why_not = _why_no_worker(candidates.workers, workers.full, candidates.now)
        return _Head(targets, WORKER, why_not, usual)
    named = (own.name for own in (*targets, *workers.full) if own.worker == asked)
    why_not = _why_not_worker(asked, candidates.workers, workers.full, candidates.now)
    return _Head(targets, next(named, None), why_not, usual)


def _usual_worker(candidates: Candidates, asked: str | None) -> Target | None:
    present = [worker for worker in candidates.workers if worker.url]
    worker = preferred(present, candidates.key, asked=asked)
    return _worker_target(worker, candidates.sampling) if worker else None


def _model_head(
    model_key: str | None, models: Sequence[tuple[ModelRow, Target]], *, free_only: bool
) -> _Head:
    """The head of the order for a model, by default the first one."""
    by_key = {model.model_key: (model, own) for model, own in models}
    chosen = by_key.get(model_key) if model_key else models[0]
    if chosen is None:
        return _Head((), None, "The model you chose is not available")
    model, own = chosen
    if free_only and not _is_free(model):
        return _Head((), own.name, "Today's budget for paid models is used up")
    return _Head((own,), own.name, None, own)


def _is_gone(target: Target, candidates: Candidates) -> bool:
    """Whether the target is away for so long that others do not merely stand in for it."""
    later = candidates.now + LONG_ABSENCE
    named = (worker for worker in candidates.workers if worker.name == target.worker)
    return on_cooldown(target, candidates.cooldowns, later) or any(
        is_gone(worker, candidates.now) for worker in named
    )


def _divide(
    wanted: Sequence[Target], workers: _Workers, candidates: Candidates
) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
    """All targets in order, each once: those to try, and those of last resort."""
    everything = (*wanted, *workers.free, *workers.away, *workers.full)
    ordered = {target.name: target for target in everything}
    away = {target.name for target in workers.away}
    ready: list[Target] = []
    last_resort: list[Target] = []
    for name, target in ordered.items():
        is_ready = name not in away and not candidates.cools(target)
        (ready if is_ready else last_resort).append(target)
    return tuple(ready), tuple(last_resort)


def _why_no_worker(workers: Sequence[WorkerRow], full: Sequence[Target], now: datetime) -> str:
    """Why no worker is asked first, although the person asked for one."""
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


def memory_targets(candidates: Candidates) -> tuple[Target, ...]:
    """The targets that may write summaries: the cheapest first, the team's workers last.

    Free models unless their row says `"memory": false`, paid ones only if it says
    `"memory": true`. The workers are last because replies need their GPUs.
    """
    candidates = candidates._replace(sampling=NOTHING)
    priced = [
        (0.0 if _is_free(model) else _price(model_target(model)), model_target(model))
        for model in candidates.suitable()
        if _may_write_memory(model, free_only=candidates.free_only)
    ]
    ordered = [target for _, target in sorted(priced, key=lambda pair: pair[0])]
    willing = [w for w in candidates.workers if w.config.get("memory") is not False]
    workers = _rank(candidates, willing, None)
    ordered += [*workers.free, *workers.full]
    return tuple(target for target in ordered if not candidates.cools(target))


def _may_write_memory(model: ModelRow, *, free_only: bool) -> bool:
    allowed = model.capabilities.get("memory")
    return allowed is not False if _is_free(model) else allowed is True and not free_only


def _price(target: Target) -> float:
    """A price for sorting: USD per 1,000 prompt and completion tokens, infinite if unknown."""
    prices = (target.prompt_usd_per_1k, target.completion_usd_per_1k)
    return sum(float("inf") if price is None else price for price in prices)


def invalid_numbers(models: Sequence[ModelRow], workers: Sequence[WorkerRow] = ()) -> list[str]:
    """The invalid numbers in the rows, as "<model>: <field>" or "<worker>: <field>". They are
    replaced by defaults; an invalid price counts as unknown."""
    sizes = ("context_tokens", "prompt_tokens")
    given = [
        (f"{model.provider.name}:{model.model_key}", *one)
        for model in models
        for one in (
            (PROMPT, model.pricing.get(PROMPT), price),
            (COMPLETION, model.pricing.get(COMPLETION), price),
            *((name, model.capabilities.get(name), _whole_size) for name in sizes),
            ("max_tokens", model.input_defaults.get("max_tokens"), _whole),
            ("roles", model.capabilities.get("roles"), _roles),
            ("limits", model.capabilities.get("limits"), read_limits),
        )
    ]
    given += [
        (f"{WORKER}:{worker.name}", name, worker.config.get(name), _whole_size)
        for worker in workers
        for name in sizes
    ]
    return [
        f"{whose}: {name}"
        for whose, name, value, read in given
        if value is not None and read(value) is None
    ]


def model_target(model: ModelRow, sampling: Mapping[str, Any] = NOTHING) -> Target:
    """The target of a row, with a person's sampler settings."""
    target = _remembered_target(model)
    if not sampling:
        return target
    return _sampled(target, sampling, model.capabilities, model.input_defaults, model.repairs)


_targets: dict[bytes, Target] = {}
"""By the row, which is the same in one turn after the other."""


def _remembered_target(model: ModelRow) -> Target:
    try:
        key = to_json(model)
    except ValueError:  # Nested too deep.
        return _model_target(model)
    if (target := _targets.get(key)) is None:
        if len(_targets) >= REMEMBERED_TARGETS:
            _targets.clear()
        target = _targets[key] = _model_target(model)
    return target


def _model_target(model: ModelRow) -> Target:
    provider = model.provider
    prices, reasoning = model.pricing, model.capabilities.get("reasoning")
    return Target(
        provider=provider.name,
        model_key=model.model_key,
        display_name=model.display_name,
        protocol="openai",
        url=endpoint(
            provider.base_url,
            model.endpoint_path or "/chat/completions",
            is_own_path=bool(model.endpoint_path),
        ),
        parameters=_parameters(model.input_defaults)
        | ({"reasoning": reasoning} if isinstance(reasoning, dict) else {}),
        names=_names(model.input_defaults, model.capabilities, model.repairs),
        rejected=_rejected(model.repairs, model.input_defaults),
        roles=_form(model.capabilities, model.repairs),
        context_tokens=_size(model.capabilities, "context_tokens", DEFAULT_CONTEXT_TOKENS),
        prompt_tokens=_size(model.capabilities, "prompt_tokens", DEFAULT_PROMPT_TOKENS),
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


def _sampled(
    target: Target,
    sampling: Mapping[str, Any],
    sizes: Mapping[str, Any],
    defaults: object,
    repairs: Mapping[str, Any],
) -> Target:
    """The target with the person's sampler settings in place of the row's, without those whose
    value it is known to reject."""
    chosen = within_bounds(sampling, sizes.get("limits"), target.parameters)
    marks = fields(repairs.get(REJECTED))
    taken = {name: value for name, value in chosen.items() if marks.get(name) != _digest(value)}
    added = frozenset(taken) - frozenset(fields(defaults)) - {LIMIT}
    return replace(target, parameters={**target.parameters, **taken}, added=added)


def _worker_target(worker: WorkerRow, sampling: Mapping[str, Any] = NOTHING) -> Target:
    """The target of a registered worker."""
    protocol: Literal["openai", "chat_worker"] = (
        "openai" if worker.config.get("protocol") == "openai" else "chat_worker"
    )
    path = "/v1/chat/completions" if protocol == "openai" else "/chat"
    name = "" if worker.name == WORKER else f" {worker.name}"
    target = Target(
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
        context_tokens=_size(worker.config, "context_tokens", DEFAULT_WORKER_TOKENS),
        prompt_tokens=_size(worker.config, "prompt_tokens", DEFAULT_PROMPT_TOKENS),
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
    if not sampling:
        return target
    own = worker.config
    return _sampled(target, sampling, own, own.get("input_defaults"), worker.repairs)


def _may_substitute(model: ModelRow, *, free_only: bool) -> bool:
    if free_only:
        return _is_free(model)
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
    parameters[LIMIT] = _whole(limit) or DEFAULT_MAX_TOKENS
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
    """Whether parameters are sent unchanged, as for most rows."""
    return None not in given.values() and NEWER_LIMIT not in given and RENAME not in given


def _has_newer_limit(given: Mapping[str, Any]) -> bool:
    """Whether the row has the longest reply only under the newer name."""
    return given.get(LIMIT) is None and _whole(given.get(NEWER_LIMIT)) is not None


def mark_rejected(names: Iterable[str], parameters: Mapping[str, Any]) -> dict[str, str | None]:
    """The record of rejected parameters: the names, each with a digest of its value in the row.
    Another value is tried again."""
    plain = [name for name in sorted(names) if _PARAMETER.fullmatch(name)]
    return {name: _digest(parameters.get(name)) for name in plain[:MOST_REJECTED]}


def _rejected(repairs: Mapping[str, Any], defaults: object) -> frozenset[str]:
    """The names in a record of `mark_rejected` whose values the row still has."""
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
    """Whether to send stop strings. By default not to reasoning models: some providers also stop
    inside the reasoning."""
    thinks = bool(capabilities.get("reasoning")) or capabilities.get("thinks_first") is True
    return bool(capabilities.get("stop", not thinks))


def _size(sizes: Mapping[str, Any], name: str, default: int) -> int:
    """A size in tokens of a row's `capabilities`, or of a worker's configuration."""
    return _whole_size(sizes.get(name)) or default


def _whole_size(value: object) -> int | None:
    return whole(value, minimum=MIN_SIZE_TOKENS, maximum=MAX_TOKENS)


def _whole(value: object) -> int | None:
    return whole(value, minimum=1, maximum=MAX_TOKENS)
