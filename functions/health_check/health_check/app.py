"""One run of the health check: admit the caller, run the steps, report their outcomes."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.clients import Clients
from edge.errors import ApiError, database_unavailable, internal_error
from edge.logs import configure, follow_trace
from health_check.approval import check_approval
from health_check.caller import Caller
from health_check.catalog import check_catalog
from health_check.housekeeping import (
    apply_retention,
    clear_cooldowns,
    close_turns,
    purge_conversations,
    remove_portraits,
    roll_up_usage,
)
from health_check.keys import check_key
from health_check.probe import Worker
from health_check.providers import openrouter
from health_check.records import Records
from health_check.registration import Registrar, registering
from health_check.settings import Settings
from health_check.steps import Found, Outcome, Run, Step, run_step
from health_check.workers import check_worker, registered_workers

TURNS, COOLDOWNS, PORTRAITS = "turns", "cooldowns", "portraits"


class App:
    """The function's shared state, and its request handler."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients = Clients(settings)
        self._caller = Caller(settings, self._clients.http)
        self._registrar = Registrar(settings, self._clients)
        self._log = configure("health_check", settings.log_level)
        self.aclose = self._clients.aclose

    async def respond(self, request: Request) -> Response:
        """Answer one call of the scheduler, or of a worker that registers."""
        request_id = uuid4().hex
        follow_trace(request.headers, self._settings.google_cloud_project)
        try:
            if name := registering(request.url.path):
                result = await self._register(name, request, request_id)
            else:
                await self._admit(request)
                result = await self._run(request_id)
            response = JSONResponse({"success": True, **result, "request_id": request_id})
        except ApiError as error:
            fields = error.log_fields(request_id)
            self._log.warning("health check rejected", extra={"fields": fields})
            response = error.response(request_id)
        except Exception:
            self._log.exception("health check failed", extra={"fields": {"request_id": request_id}})
            response = internal_error().response(request_id)
        response.headers["X-Request-Id"] = request_id
        return response

    async def _admit(self, request: Request) -> None:
        if request.method not in ("GET", "POST"):
            sentence = "Call the health check with GET or POST."
            raise ApiError(405, "method_not_allowed", sentence, allow="GET, POST")
        await self._caller.admit(request.headers)

    async def _register(self, name: str, request: Request, request_id: str) -> dict[str, Any]:
        """Register a worker. A new address is probed immediately, so that it gets turns without
        delay."""
        stored = await self._registrar.register(name, request)
        run, healthy = self._begin(request_id), None
        if stored["is_moved"]:
            rows = [row for row in await self._clients.rpc("read_workers") if row["name"] == name]
            outcomes = [await run_step(step, run) for [step] in _worker_steps(rows, run, {})]
            await run.records.finish()
            healthy = next((outcome.found.get("healthy") for outcome in outcomes), None)
            fields = {"request_id": request_id, "worker": name, "healthy": healthy}
            self._log.info("worker registered", extra={"fields": fields})
        return {
            "lease_expires_at": stored["lease_expires_at"],
            "lease_seconds": self._settings.worker_lease_seconds,
            "draining": stored["is_draining"],
            "healthy": healthy,
        }

    def _begin(self, request_id: str) -> Run:
        return Run(
            self._clients,
            self._settings,
            os.environ,
            self._log,
            request_id,
            asyncio.get_running_loop().time() + self._settings.run_budget_seconds,
            Records(self._clients),
        )

    async def _run(self, request_id: str) -> dict[str, Any]:
        """Run all steps and return the response body."""
        run = self._begin(request_id)
        config, workers = await self._read(run)
        records: dict[str, Any] = {}
        chains = steps_of_run(config, workers, run, records)
        try:
            ended = await asyncio.gather(*(_run_in_order(chain, run) for chain in chains))
        finally:
            await run.records.finish()
        outcomes = {name: outcome for chain in ended for name, outcome in chain.items()}
        return {
            "workers": records,
            "turns_closed": outcomes[TURNS].found.get("closed"),
            "cooldowns_cleared": outcomes[COOLDOWNS].found.get("cleared"),
            "steps": {name: outcome.to_json() for name, outcome in outcomes.items()},
        }

    async def _read(self, run: Run) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
        """The settings and the workers."""
        try:
            async with asyncio.timeout_at(run.deadline):
                config = await self._clients.rpc("read_settings")
                return config, await self._clients.rpc("read_workers")
        except TimeoutError as error:
            raise database_unavailable("RUN_BUDGET_SECONDS") from error


def steps_of_run(
    config: Mapping[str, Any],
    workers: Sequence[Mapping[str, Any]],
    run: Run,
    records: dict[str, Any],
) -> list[list[Step]]:
    """All steps of a run. Those of one list run in its order, the lists at the same time.

    The steps of workers fill `records` with their health by name.
    """
    return [
        *_worker_steps(workers, run, records),
        *_provider_steps(config, run),
        *_database_steps(run),
    ]


def _worker_steps(
    workers: Sequence[Mapping[str, Any]], run: Run, records: dict[str, Any]
) -> list[list[Step]]:
    known = {row["health_key"]: row["health"] for row in workers}

    def step(worker: Worker) -> Step:
        async def do(found: Found, _: Found) -> None:
            record = await check_worker(worker, known[worker.name], run, found)
            records[worker.name] = record.to_json()

        return Step(f"worker:{worker.name}", do)

    return [[step(worker)] for worker in registered_workers(workers)]


def _provider_steps(config: Mapping[str, Any], run: Run) -> list[list[Step]]:
    async def key(found: Found, _: Found) -> None:
        if provider := await openrouter(run):
            await check_key(provider, run, found, datetime.now(UTC))

    async def catalog(found: Found, last: Found) -> None:
        if provider := await openrouter(run):
            await check_catalog(provider, run, found, last)

    async def approval(found: Found, last: Found) -> None:
        await check_approval(run, found, last, config.get("workerRefused"), datetime.now(UTC))

    steps = (
        Step("key", key, run.settings.key_check_minutes * 60),
        Step("catalog", catalog, run.settings.catalog_hours * 3600),
    )
    return [[Step("approval", approval, 0)], *([step] for step in steps if step.every)]


def _database_steps(run: Run) -> list[list[Step]]:
    def step(name: str, do: Callable[[Run, Found], Awaitable[None]], every: float | None) -> Step:
        return Step(name, lambda found, _: do(run, found), every)

    settings = run.settings
    # In this order: retention deletes events that were rolled up.
    usage = [
        step("roll_up", roll_up_usage, settings.roll_up_minutes * 60),
        step("retention", apply_retention, settings.retention_minutes * 60),
        step("purge", purge_conversations, settings.retention_minutes * 60),
    ]
    return [
        # Recorded on every run, which shows whether the scheduler still calls.
        [step(TURNS, close_turns, 0)],
        [step(COOLDOWNS, clear_cooldowns, None)],
        [step(PORTRAITS, remove_portraits, None)],
        [step for step in usage if step.every],
    ]


async def _run_in_order(steps: Iterable[Step], run: Run) -> dict[str, Outcome]:
    return {step.name: await run_step(step, run) for step in steps}
