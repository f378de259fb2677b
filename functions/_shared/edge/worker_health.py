"""A worker's health record: health_check writes it, roleplay_chat and the web client read it.

Two spellings are in use: the specification's (`lastCheck`, `responseTime`) and the shipped
client's (`lastChecked`, `responseTimeMs`). Both are written, either is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.json_values import integer, text, timestamp

DEFAULT_MODEL = "qwen_instruct"
"""The model of a worker that names none. `begin_turn` has the same default."""
MAX_AGE = timedelta(minutes=2)
"""An older record is stale."""


@dataclass(frozen=True)
class WorkerHealth:
    """The state of one worker after its last probe. Users can read it."""

    is_healthy: bool
    checked_at: datetime
    response_ms: int
    error: str | None
    """Why it is not healthy; None while it is."""
    url: str
    probe_error: str | None = None
    """The error of the last probe alone: a worker that fails once still counts as healthy."""
    failures: int = 0
    """Consecutive failed probes."""
    since: datetime | None = None
    """When `is_healthy` last changed."""
    history: tuple[int | None, ...] = ()
    """Response times of the last probes in milliseconds, newest last; None for a failed one."""
    probes_since_deep: int = 0
    deep_checked_at: datetime | None = None
    """When it was last asked to generate text."""
    deep_error: str | None = None
    woken_at: datetime | None = None
    """When its wake hook was last called."""

    def to_json(self) -> dict[str, Any]:
        """The record as stored in `workerHealthCache`."""
        checked_at = self.checked_at.isoformat()
        return {
            "isHealthy": self.is_healthy,
            "lastCheck": checked_at,
            "lastChecked": checked_at,
            "responseTime": self.response_ms,
            "responseTimeMs": self.response_ms,
            "healthError": self.error,
            "workerUrl": self.url,
            "probeError": self.probe_error,
            "failures": self.failures,
            "since": _written(self.since),
            "history": list(self.history),
            "probesSinceDeep": self.probes_since_deep,
            "deepCheckedAt": _written(self.deep_checked_at),
            "deepError": self.deep_error,
            "wokenAt": _written(self.woken_at),
        }

    @classmethod
    def parse(cls, record: object) -> "WorkerHealth | None":
        """Read a stored record of any shape; None if it has no worker URL or no check time."""
        if not isinstance(record, Mapping) or not isinstance(record.get("workerUrl"), str):
            return None
        checked_at = timestamp(record.get("lastChecked", record.get("lastCheck")))
        if checked_at is None:
            return None
        history = record.get("history")
        return cls(
            is_healthy=record.get("isHealthy") is True,
            checked_at=checked_at,
            response_ms=_count(record.get("responseTimeMs", record.get("responseTime"))),
            error=text(record.get("healthError")),
            url=record["workerUrl"],
            probe_error=text(record.get("probeError")),
            failures=_count(record.get("failures")),
            since=timestamp(record.get("since")),
            history=tuple(None if ms is None else _count(ms) for ms in history)
            if isinstance(history, list)
            else (),
            probes_since_deep=_count(record.get("probesSinceDeep")),
            deep_checked_at=timestamp(record.get("deepCheckedAt")),
            deep_error=text(record.get("deepError")),
            woken_at=timestamp(record.get("wokenAt")),
        )

    def is_fresh(self, now: datetime) -> bool:
        """Whether the record is recent enough to use."""
        return _is_fresh(self.checked_at, now)


def why_unavailable(url: object, record: object, now: datetime) -> str | None:
    """Why the worker at `url` cannot be used now; None if it can.

    `record` is the stored record under the worker's name, of any shape.
    """
    if not isinstance(url, str) or not url:
        return "no worker is registered"
    if not isinstance(record, Mapping):
        return "its health is not known yet"
    if str(record.get("workerUrl", url)).rstrip("/") != url.rstrip("/"):
        return "its health is not known at its new address"
    checked_at = timestamp(record.get("lastChecked", record.get("lastCheck")))
    if checked_at is None or not _is_fresh(checked_at, now):
        return "its last health check is too old"
    if record.get("isHealthy") is not True:
        return "it is unhealthy"
    return None


def unavailable_since(record: object) -> datetime | None:
    """Since when a worker that cannot be used is away, by its stored record: since it became
    unhealthy, else since its last check. None if the record does not say."""
    health = WorkerHealth.parse(record)
    if health is None:
        return None
    return health.checked_at if health.is_healthy else health.since


def _is_fresh(checked_at: datetime, now: datetime) -> bool:
    """A record from the future is as useless as an old one: some clock is wrong."""
    return abs(now - checked_at) <= MAX_AGE


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _count(value: object) -> int:
    return integer(value, minimum=0, maximum=2**31 - 1) or 0
