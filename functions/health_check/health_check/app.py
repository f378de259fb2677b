"""One run of the health check: who asks, which workers, what they say, where it is kept."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.clients import Clients
from edge.errors import ApiError, internal_error
from edge.logs import configure
from edge.worker_health import WorkerHealth
from health_check.caller import Caller
from health_check.probe import Worker, probe
from health_check.settings import Settings


class App:
    """The function's state and its one answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients = Clients(settings)
        self._caller = Caller(settings, self._clients.http)
        self._log = configure("health_check", settings.log_level)
        self.aclose = self._clients.aclose

    async def respond(self, request: Request) -> Response:
        """Answer one call of the scheduler."""
        request_id = uuid4().hex
        try:
            await self._admit(request)
            result = {"workers": await self._check(), **await self._tidy()}
            response = JSONResponse({"success": True, **result, "request_id": request_id})
        except ApiError as error:
            self._log.warning("health check refused", extra={"fields": {"code": error.code}})
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

    async def _check(self) -> dict[str, Any]:
        rows = await self._clients.execute(lambda db: db.table("system_config").select("config"))
        workers = configured_workers(rows[0]["config"])
        records = await asyncio.gather(*(self._check_one(worker) for worker in workers))
        return {worker.name: record for worker, record in zip(workers, records, strict=True)}

    async def _tidy(self) -> dict[str, int]:
        """What turns left behind: those whose process died, and rests that have passed."""
        return {
            "turns_closed": await self._clients.rpc("close_abandoned_turns"),
            "cooldowns_cleared": await self._clients.rpc("clear_passed_cooldowns"),
        }

    async def _check_one(self, worker: Worker) -> dict[str, Any]:
        key = self._settings.chat_worker_api_key
        finding = await probe(
            self._clients.http(),
            worker,
            timeout_seconds=self._settings.probe_timeout_seconds,
            # The key belongs to the team's own worker and goes nowhere else.
            key=key.get_secret_value() if key and worker.name == "chatWorker" else None,
            allow_local=self._settings.allow_local_upstreams,
        )
        record = WorkerHealth(
            is_healthy=finding.error is None,
            checked_at=datetime.now(UTC),
            response_ms=finding.response_ms,
            error=finding.error,
            url=worker.url,
        ).to_json()
        parameters = {"p_worker": worker.name, "p_record": record}
        await self._clients.rpc("record_worker_health", parameters)
        self._log.info(
            "worker probed",
            extra={
                "fields": {"worker": worker.name, "ms": finding.response_ms, "error": finding.error}
            },
        )
        return record


def configured_workers(config: Mapping[str, Any]) -> list[Worker]:
    """The workers that the settings row names; entries without an address are passed over."""
    chat_worker = {
        "url": config.get("chatWorkerUrl"),
        "protocol": _mapping(config.get("chatWorker")).get("protocol", "chat_worker"),
    }
    entries = {**_mapping(config.get("workers")), "chatWorker": chat_worker}
    return [
        Worker(name, entry["url"].rstrip("/"), str(entry.get("protocol", "chat_worker")))
        for name, entry in entries.items()
        if isinstance(entry, Mapping) and isinstance(entry.get("url"), str) and entry["url"]
    ]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
