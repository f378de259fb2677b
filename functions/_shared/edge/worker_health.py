"""The record that health_check writes and roleplay_chat and the web client read.

Two spellings of the same facts are in use: the specification's (`lastCheck`, `responseTime`)
and the shipped client's (`lastChecked`, `responseTimeMs`). Both are written, either is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.json_values import integer, text, timestamp

DEFAULT_MODEL = "qwen_instruct"
"""Of a worker that names none, in `begin_turn` too."""
MAX_AGE = timedelta(minutes=2)
"""A record older than this says nothing about now."""


@dataclass(frozen=True)
class WorkerHealth:
    """What is known of one worker after its last probe. People can read it."""

    is_healthy: bool
    checked_at: datetime
    response_ms: int
    error: str | None
    """Why it is not healthy; None while it is."""
    url: str
    probe_error: str | None = None
    """What the last probe alone found: a worker that fails once is still taken for healthy."""
    failures: int = 0
    """Probes that failed in a row."""
    since: datetime | None = None
    """When it last became healthy or stopped to be."""
    history: tuple[int | None, ...] = ()
    """Milliseconds of the last probes, the newest last; None for one that failed."""
    probes_since_deep: int = 0
    deep_checked_at: datetime | None = None
    """When it was last made to write something."""
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
        """What a stored record says, in whatever shape it is; None when it says too little."""
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
        """Whether it says something about now."""
        return _is_fresh(self.checked_at, now)


def why_unavailable(url: object, record: object, now: datetime) -> str | None:
    """Why the worker at `url` is not to be asked now; None when it is.

    `record` is what the database holds under the worker's name, in whatever shape.
    """
    if not isinstance(url, str) or not url:
        return "no worker is registered"
    if not isinstance(record, Mapping):
        return "its health is not known yet"
    if record.get("workerUrl", url) != url:
        return "its health is not known at its new address"
    checked_at = timestamp(record.get("lastChecked", record.get("lastCheck")))
    if checked_at is None or not _is_fresh(checked_at, now):
        return "its last health check is too old"
    if record.get("isHealthy") is not True:
        return "it is unhealthy"
    return None


def _is_fresh(checked_at: datetime, now: datetime) -> bool:
    """A record from the future says as little as an old one: a clock is wrong."""
    return abs(now - checked_at) <= MAX_AGE


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _count(value: object) -> int:
    return integer(value, least=0, most=2**31 - 1) or 0
