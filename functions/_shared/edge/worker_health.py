"""The record that health_check writes and roleplay_chat and the web client read.

Two spellings of the same facts are in use: the specification's (`lastCheck`, `responseTime`)
and the shipped client's (`lastChecked`, `responseTimeMs`). Both are written, either is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

MAX_AGE = timedelta(minutes=2)
"""A record older than this says nothing about now."""


@dataclass(frozen=True)
class WorkerHealth:
    """What one probe of one worker found."""

    is_healthy: bool
    checked_at: datetime
    response_ms: int
    error: str | None
    url: str

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
        }


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
    checked_at = _timestamp(record.get("lastChecked", record.get("lastCheck")))
    # A record from the future says as little: a clock is wrong.
    if checked_at is None or abs(now - checked_at) > MAX_AGE:
        return "its health was not checked lately"
    if record.get("isHealthy") is not True:
        return "it is unhealthy"
    return None


def _timestamp(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None
