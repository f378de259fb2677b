"""Asks the registered workers, from this machine, whether they are healthy now."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import ValidationError

from dev.operate.project import Project, secrets_managed
from edge.credentials import Misconfigured
from edge.settings import EdgeSettings
from edge.worker_health import WorkerHealth
from health_check.probe import ProbeResult, Worker, probe
from health_check.settings import Settings as HealthCheck
from health_check.workers import CHAT_WORKER, registered_workers, worker_key

READ = ("CHAT_WORKER_API_KEY", "ALLOW_LOCAL_UPSTREAMS", "PRIVATE_ORIGINS", "KEY_ORIGINS")
SECONDS = HealthCheck.model_fields["probe_timeout_seconds"].default
DEEP_SECONDS = HealthCheck.model_fields["deep_probe_timeout_seconds"].default


def probe_workers(project: Project) -> dict[str, ProbeResult]:
    """What each worker answers now, by the name of its health record.

    Leaves out workers whose key only the Secret Manager has. Raises `Unreachable`.
    """
    rows = project.call("read_workers")
    return asyncio.run(_probe_all(rows, project))


async def _probe_all(rows: Sequence[Mapping[str, Any]], project: Project) -> dict[str, ProbeResult]:
    is_deep = {row["health_key"]: _failed_to_write(row["health"]) for row in rows}
    workers = [one for one in registered_workers(rows) if not _is_key_elsewhere(one, project)]
    async with httpx.AsyncClient(trust_env=not project.is_local, follow_redirects=False) as http:
        found = await asyncio.gather(
            *(_probe(http, one, project, deep=is_deep[one.name]) for one in workers)
        )
    return {worker.name: result for worker, result in zip(workers, found, strict=True)}


async def _probe(
    http: httpx.AsyncClient, worker: Worker, project: Project, *, deep: bool
) -> ProbeResult:
    environment = project.environment
    given = {name.lower(): environment[name] for name in READ if environment.get(name)}
    given |= {"supabase_url": project.url, "supabase_secret_key": project.secret_key}
    try:
        settings = EdgeSettings.model_validate(given)
        key = worker_key(worker, settings, environment)
    except ValidationError:
        return ProbeResult("it was not asked: `make settings` shows which setting is wrong", 0)
    except Misconfigured as error:
        return ProbeResult(f"it was not asked: {error}", 0)
    return await probe(
        http,
        worker,
        timeout_seconds=_seconds(environment, "PROBE_TIMEOUT_SECONDS", SECONDS),
        key=key,
        allow_local=settings.allow_local_upstreams,
        private_origins=settings.private_origins,
        deep_seconds=_seconds(environment, "DEEP_PROBE_TIMEOUT_SECONDS", DEEP_SECONDS)
        if deep
        else None,
    )


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(environment.get(name) or default)
    except ValueError:
        return default


def _is_key_elsewhere(worker: Worker, project: Project) -> bool:
    name = "CHAT_WORKER_API_KEY" if worker.name == CHAT_WORKER else worker.secret_name
    is_here = bool(name and project.environment.get(name, "").strip())
    return not is_here and name in secrets_managed(project.environment)


def _failed_to_write(record: object) -> bool:
    """Whether it reported healthy but could not generate text when it was last asked to."""
    known = WorkerHealth.parse(record)
    return known is not None and known.deep_error is not None
