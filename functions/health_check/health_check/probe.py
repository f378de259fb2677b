"""Asks one worker how it is."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx

from edge.addresses import AddressRefused, check_address
from edge.clients import NETWORK_ERRORS, timed_out


@dataclass(frozen=True)
class Worker:
    """A configured worker: its name in the health record and where it listens."""

    name: str
    url: str
    protocol: str = "chat_worker"


@dataclass(frozen=True)
class Finding:
    """What a probe found. `error` is a short sentence for the operator, None when healthy."""

    error: str | None
    response_ms: int


async def probe(
    http: httpx.AsyncClient,
    worker: Worker,
    *,
    timeout_seconds: float,
    key: str | None,
    allow_local: bool,
) -> Finding:
    """Probe a worker once. Never raises for anything the worker does."""
    started = time.monotonic()
    try:
        check_address(worker.url, allow_local=allow_local)
        async with asyncio.timeout(timeout_seconds):
            error = await _ask(http, worker, key)
    except AddressRefused as refused:
        error = f"its address is not allowed: {refused}"
    except NETWORK_ERRORS as failed:
        error = (
            f"no answer within {timeout_seconds:g} s"
            if timed_out(failed)
            else f"cannot be reached ({type(failed.__cause__ or failed).__name__})"
        )
    return Finding(error, round((time.monotonic() - started) * 1000))


async def _ask(http: httpx.AsyncClient, worker: Worker, key: str | None) -> str | None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    response = await http.get(f"{worker.url}/health", headers=headers)
    if worker.protocol != "openai":
        return read_health(response.status_code, _json(response))
    if response.status_code == 404:  # Some servers have no /health; all list their models.
        response = await http.get(f"{worker.url}/v1/models", headers=headers)
        return read_models(response.status_code, _json(response))
    return read_openai_health(response.status_code, _json(response))


def _json(response: httpx.Response) -> Any:
    """The body as JSON; as text when it is not JSON, None when it is empty."""
    try:
        return response.json()
    except ValueError:
        return response.text or None


def read_health(status: int, body: Any) -> str | None:
    """Why a chat worker's /health does not say that it is well; None when it does."""
    if status != 200:
        return f"/health answered {status}"
    if not isinstance(body, dict):
        return "/health did not answer with a JSON object"
    if body.get("status") != "healthy":
        return "it does not say that it is healthy"
    if body.get("model_loaded") is not True:
        return "its model is still loading"
    return None


def read_openai_health(status: int, body: Any) -> str | None:
    """Why an OpenAI-compatible worker's /health does not say that it is well.

    llama.cpp answers {"status": "ok"} and 503 while it loads; vLLM answers 200 with no body.
    """
    if status == 503:
        return "its model is still loading"
    if status != 200:
        return f"/health answered {status}"
    if body is None:
        return None
    if not isinstance(body, dict) or body.get("status") not in ("ok", "healthy"):
        return "it does not say that it is healthy"
    return None if body.get("model_loaded", True) is True else "its model is still loading"


def read_models(status: int, body: Any) -> str | None:
    """Why /v1/models does not show an OpenAI-compatible server with a model; None when it does."""
    if status != 200:
        return f"/v1/models answered {status}"
    models = body.get("data") if isinstance(body, dict) else None
    if not isinstance(models, list) or not models:
        return "it lists no model"
    return None
