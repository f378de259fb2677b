"""Decides which of the team's workers a turn asks, in which order. Pure.

The same conversation goes to the same worker, which still has its prompt in the cache. The database
has a copy of the first choice, private.preferred_worker, to count the turns in progress.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import groupby

from msgspec import Struct

from edge.worker_health import unavailable_since, why_unavailable
from roleplay_chat.rows import WorkerRow

WORKER = "chat_worker"
"""In a request: any worker. As a name: the worker of the settings."""
WORKER_ALIASES = frozenset({WORKER, "qwen-local"})
LONG_ABSENCE = timedelta(hours=1)
"""After this time another target does not merely stand in for one that is away."""
ANY = "*"


def requested_worker(model_provider: str | None) -> str | None:
    """The name of the worker that a request asks for, `ANY` for any of them, None for no worker."""
    if model_provider in WORKER_ALIASES:
        return ANY
    prefix, _, name = (model_provider or "").partition(":")
    return name if prefix == WORKER and name else None


def affinity(worker: str, key: str) -> bytes:
    """A worker's score for the conversation `key`; the worker with the highest score gets it.

    Rendezvous hashing: each worker gets the same share, and when one disappears, only its own
    conversations move.
    """
    return sha256(f"{worker} {key}".encode()).digest()


class Ranking(Struct, frozen=True):
    """The workers, in the order to ask them."""

    free: tuple[WorkerRow, ...] = ()
    full: tuple[WorkerRow, ...] = ()
    """All slots are busy; the least busy first."""
    away: tuple[WorkerRow, ...] = ()
    """Unhealthy or on cooldown."""


def rank(
    workers: Sequence[WorkerRow],
    key: str,
    *,
    asked: str | None,
    is_away: Callable[[WorkerRow], bool],
) -> Ranking:
    """Order the workers for the conversation `key`; the one that is `asked` for by name is first.
    By priority, then by affinity. If the preferred worker of a priority is full, load decides
    between the others: the least busy is next.
    """
    ordered = _by_preference(workers, key)
    away: list[WorkerRow] = []
    present: list[WorkerRow] = []
    for worker in ordered:
        (away if is_away(worker) else present).append(worker)
    free: list[WorkerRow] = []
    for _, group in groupby(present, key=lambda worker: worker.priority):
        equals = list(group)
        if load(equals[0]) >= 1:
            equals.sort(key=load)
        free += [worker for worker in equals if load(worker) < 1]
    free.sort(key=lambda worker: worker.name != asked)
    full = sorted((worker for worker in present if load(worker) >= 1), key=load)
    return Ranking(tuple(free), tuple(full), tuple(away))


def preferred(workers: Sequence[WorkerRow], key: str, *, asked: str | None) -> WorkerRow | None:
    """The worker that the conversation `key` has as long as none is full or away."""
    ordered = _by_preference(workers, key)
    return min(ordered, key=lambda worker: worker.name != asked, default=None)


def _by_preference(workers: Iterable[WorkerRow], key: str) -> list[WorkerRow]:
    """By priority, then by affinity to the conversation `key`."""
    ordered = sorted(workers, key=lambda worker: affinity(worker.name, key), reverse=True)
    ordered.sort(key=lambda worker: worker.priority)
    return ordered


def is_gone(worker: WorkerRow, now: datetime) -> bool:
    """Whether a worker has been unavailable for longer than `LONG_ABSENCE`, or nobody knows for how
    long."""
    if why_away(worker, now) is None:
        return False
    since = unavailable_since(worker.health)
    return since is None or now - since > LONG_ABSENCE


def load(worker: WorkerRow) -> float:
    """The share of busy slots: 1 or more means full; 0 if there is no limit."""
    return (worker.running or 0) / worker.slots if worker.slots else 0.0


def why_away(worker: WorkerRow, now: datetime) -> str | None:
    """Why a worker cannot be asked now; None if it can."""
    return why_unavailable(worker.url, worker.health, now)
