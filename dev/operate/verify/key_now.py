"""Asks OpenRouter, from this machine, about the key that the functions have."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from dev.operate.project import Project
from edge.clients import Clients
from health_check.keys import check_key
from health_check.providers import OPENROUTER, Provider
from health_check.records import Records
from health_check.settings import Settings as HealthCheck
from health_check.steps import Found, Run, StepFailed

READ = (
    *("ALLOW_LOCAL_UPSTREAMS", "PRIVATE_ORIGINS", "KEY_ORIGINS"),
    *("KEY_CHECK_MINUTES", "PROVIDER_TIMEOUT_SECONDS"),
)
CALLER = {"health_check_secret": "x" * 16}
"""Needed by the settings, and not used here."""


def ask_about_key(project: Project) -> Found | None:
    """What health_check would find about the key now; `error` if the key is rejected. None if it
    would not ask, if the key is not on this machine, or if this machine gets no answer. Raises
    `Unreachable`.
    """
    provider, settings = _provider(project.call("read_providers")), _settings(project)
    if not provider or not settings or not settings.key_check_minutes:
        return None
    if not project.environment.get(provider.secret_name or "", "").strip():
        return None
    return asyncio.run(_ask(provider, settings, project.environment))


def _provider(rows: list[Mapping[str, Any]]) -> Provider | None:
    usable = (row for row in rows if row["is_active"] and row["is_approved"])
    return next((Provider.model_validate(row) for row in usable if row["name"] == OPENROUTER), None)


def _settings(project: Project) -> HealthCheck | None:
    given = {name.lower(): project.environment.get(name, "") for name in READ}
    given |= CALLER | {"supabase_url": project.url, "supabase_secret_key": project.secret_key}
    try:
        return HealthCheck.model_validate({name: v for name, v in given.items() if v.strip()})
    except ValidationError:  # `make settings` says what is wrong.
        return None


async def _ask(
    provider: Provider, settings: HealthCheck, environ: Mapping[str, str]
) -> Found | None:
    clients, found = Clients(settings), Found()
    log = logging.getLogger("verify")
    deadline = asyncio.get_running_loop().time() + 2 * settings.provider_timeout_seconds
    try:
        run = Run(clients, settings, environ, log, "verify", deadline, Records(clients))
        await check_key(provider, run, found, datetime.now(UTC))
    except StepFailed as failed:
        return {"error": str(failed)} if failed.alert else None
    finally:
        await clients.aclose()
    return found
