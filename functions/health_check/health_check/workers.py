"""Keeps each worker's health record from one probe to the next."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from edge.clients import NETWORK_ERRORS
from edge.credentials import Misconfigured, credentials
from edge.json_values import fields, text
from edge.settings import EdgeSettings
from edge.worker_health import WorkerHealth
from health_check.fetch import fetch
from health_check.probe import Hook, ProbeResult, Worker, probe
from health_check.steps import Found, Run

CHAT_WORKER = "chatWorker"
FAILURES = 2
"""Consecutive failed probes after which a worker counts as down. One success brings it up."""
HISTORY = 30


def registered_workers(rows: Sequence[Mapping[str, Any]]) -> list[Worker]:
    """The workers in the result of `read_workers`, without those whose lease has ended."""
    return [_worker(row) for row in rows if row["url"].rstrip("/") and not row["is_expired"]]


def _worker(row: Mapping[str, Any]) -> Worker:
    config = fields(row["config"])
    return Worker(
        name=row["health_key"],
        url=row["url"].rstrip("/"),
        protocol=str(config.get("protocol", "chat_worker")),
        model=text(config.get("model")) or None,
        secret_name=row["secret_name"],
        wake=_hook(config.get("wake")),
        takes_completion_tokens=config.get("max_completion_tokens") is True,
    )


def next_record(
    previous: object, worker: Worker, result: ProbeResult, now: datetime
) -> WorkerHealth:
    """The worker's new record, from the stored one and the probe's result.

    A stored record of another address, or a stale one, does not make a worker healthy.
    """
    before = _before(previous, worker)
    fresh = before if before and before.is_fresh(now) else None
    was_healthy = fresh is not None and fresh.is_healthy
    failures = fresh.failures if fresh else 0
    if result.busy:
        healthy = was_healthy
    elif result.error is None:
        healthy, failures = True, 0
    else:
        failures += 1
        healthy = was_healthy and failures < FAILURES
    record = WorkerHealth(
        is_healthy=healthy,
        checked_at=now,
        response_ms=result.response_ms,
        error=None if healthy else result.error,
        url=worker.url,
        probe_error=result.error,
        failures=failures,
        since=now,
        history=(result.response_ms if result.error is None or result.busy else None,),
        probes_since_deep=0 if result.deep else 1,
        deep_checked_at=now if result.deep else None,
        deep_error=result.error if result.deep and not result.busy else None,
    )
    if before is None:
        return record
    return replace(
        record,
        since=before.since if before.is_healthy == healthy and before.since else now,
        history=(*before.history, *record.history)[-HISTORY:],
        probes_since_deep=0 if result.deep else before.probes_since_deep + 1,
        deep_checked_at=now if result.deep else before.deep_checked_at,
        deep_error=record.deep_error if result.deep and not result.busy else before.deep_error,
        woken_at=before.woken_at,
    )


def is_deep_due(previous: object, worker: Worker, every: int) -> bool:
    """Whether this probe asks for text: every `every`th one does, and after a failure all of
    them."""
    before = _before(previous, worker)
    if not every or before is None or not worker.can_generate:
        return False
    return before.deep_error is not None or before.probes_since_deep + 1 >= every


def _before(previous: object, worker: Worker) -> WorkerHealth | None:
    before = WorkerHealth.parse(previous)
    return before if before and before.url == worker.url else None


async def check_worker(worker: Worker, previous: object, run: Run, found: Found) -> WorkerHealth:
    """Probe a worker, wake it if it is down, and store its record."""
    deep = is_deep_due(previous, worker, run.settings.deep_probe_every)
    result = await _probe(worker, run, deep=deep)
    now = datetime.now(UTC)
    record = next_record(previous, worker, result, now)
    if not record.is_healthy and not result.busy and worker.wake:
        found["woken"] = await _wake(worker.name, worker.wake, run)
        if found["woken"]:
            record = replace(record, woken_at=now)
    found |= {"healthy": record.is_healthy, "error": result.error, "deep": result.deep}
    await run.records.store(worker.name, record)
    return record


async def _probe(worker: Worker, run: Run, *, deep: bool) -> ProbeResult:
    settings = run.settings
    try:
        key = worker_key(worker, run.settings, run.environ)
    except Misconfigured as error:
        return ProbeResult(f"it is not probed: {error}", 0)
    return await probe(
        run.clients.http(),
        worker,
        timeout_seconds=settings.probe_timeout_seconds,
        key=key,
        allow_local=settings.allow_local_upstreams,
        private_origins=settings.private_origins,
        deep_seconds=settings.deep_probe_timeout_seconds if deep else None,
    )


def worker_key(worker: Worker, settings: EdgeSettings, environ: Mapping[str, str]) -> str | None:
    """The key that a probe sends, if the worker has one. Raises `Misconfigured`."""
    if worker.name == CHAT_WORKER:
        # This key is sent only to the team's own worker, which is registered with the secret key.
        key = settings.chat_worker_api_key
        return key.get_secret_value() if key else None
    if worker.secret_name is None:
        return None
    header = _credentials(worker.url, worker.secret_name, settings, environ)
    return header["Authorization"].removeprefix("Bearer ")


def _credentials(
    url: str, secret_name: str | None, settings: EdgeSettings, environ: Mapping[str, str]
) -> dict[str, str]:
    """The header with the key, if there is one. Raises `Misconfigured`."""
    return credentials(
        url,
        scheme="bearer" if secret_name else "none",
        header="Authorization",
        secret_name=secret_name,
        environ=environ,
        key_origins=settings.key_origins,
        allow_local=settings.allow_local_upstreams,
        private_origins=settings.private_origins,
    )


async def _wake(name: str, hook: Hook, run: Run) -> str | None:
    """Call the hook unless it was called recently. Returns the outcome, None if not called."""
    seconds = run.settings.wake_minutes * 60
    if await run.begin(f"wake:{name}", seconds, seconds) is None:
        return None
    try:
        headers = _credentials(hook.url, hook.secret_name, run.settings, run.environ)
        async with asyncio.timeout(run.settings.probe_timeout_seconds):
            answer = await fetch(run.clients.http(), "POST", hook.url, headers=headers)
    except Misconfigured as error:
        return f"not called: {error}"
    except NETWORK_ERRORS as error:
        return f"no answer ({type(error.__cause__ or error).__name__})"
    return f"answered {answer.status}"


def _hook(value: object) -> Hook | None:
    entry = fields(value)
    url = text(entry.get("url"))
    return Hook(url, text(entry.get("secret_name")) or None) if url else None
