"""Plans which targets a turn tries, in which order. Skips those on cooldown or unhealthy. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from edge.pricing import is_free
from roleplay_chat.api import Tier
from roleplay_chat.generation.targets import NOTHING, Target, model_target, worker_target
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
from roleplay_chat.rows import BegunTurn, CooldownRow, ModelRow, WorkerRow


class Plan(Struct, frozen=True):
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
    """The requested target, or the worker that the conversation usually has, even while it is away
    for a short time; None if it is gone for longer."""

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
        if self.any_worker:
            which = "The local model"  # Perhaps the client asked for it, not the person.
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
    targets = {worker.name: worker_target(worker, wanted) for worker in present}

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
    return worker_target(worker, candidates.sampling) if worker else None


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
