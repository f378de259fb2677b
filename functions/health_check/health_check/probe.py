"""Asks one worker how it is."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from edge.addresses import AddressRejected, check_address
from edge.clients import NETWORK_ERRORS, timed_out
from edge.worker_health import DEFAULT_MODEL
from health_check.fetch import Fetched, fetch

_BUSY = (408, 429)
"""What a worker answers that is well and has no time."""
_DEEP: Mapping[str, Any] = {
    "messages": [{"role": "user", "content": "Say yes."}],
    "max_tokens": 1,
    "temperature": 0,
}


@dataclass(frozen=True)
class Hook:
    """An address that is called to wake a worker, and the variable with the key for it."""

    url: str
    secret_name: str | None = None


@dataclass(frozen=True)
class Worker:
    """A configured worker: its name in the health record, and where and how it listens."""

    name: str
    url: str
    protocol: str = "chat_worker"
    model: str | None = None
    secret_name: str | None = None
    """The variable with its key; the chat worker has its own."""
    wake: Hook | None = None

    @property
    def can_be_made_to_write(self) -> bool:
        """An OpenAI-compatible server has to be told which model."""
        return self.protocol != "openai" or self.model is not None


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found. `error` is a short sentence for the operator, None when healthy."""

    error: str | None
    response_ms: int
    busy: bool = False
    """The worker is there and had no time: that says nothing about its health."""
    deep: bool = False
    """It was made to write something."""


class _Busy(Exception):
    """The worker has no time."""


async def probe(
    http: httpx.AsyncClient,
    worker: Worker,
    *,
    timeout_seconds: float,
    key: str | None,
    allow_local: bool,
    deep_seconds: float | None = None,
) -> ProbeResult:
    """Probe a worker once. Never raises for anything the worker does.

    With `deep_seconds` a worker that says that it is well has to write a token within them.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    started = time.monotonic()
    response_ms: int | None = None
    seconds, busy, deep = timeout_seconds, False, False
    try:
        check_address(worker.url, allow_local=allow_local)
        async with asyncio.timeout(seconds):
            error = await _check_health(http, worker, headers)
        response_ms = _since(started)
        if error is None and deep_seconds:
            seconds, deep = deep_seconds, True
            async with asyncio.timeout(seconds):
                error = await _make_write(http, worker, headers)
    except AddressRejected as rejected:
        error = f"its address is not allowed: {rejected}"
    except _Busy as answered:
        error, busy = f"it is busy: {answered}", True
    except NETWORK_ERRORS as failed:
        error = (
            f"no answer within {seconds:g} s"
            if timed_out(failed)
            else f"cannot be reached ({type(failed.__cause__ or failed).__name__})"
        )
    return ProbeResult(error, _since(started) if response_ms is None else response_ms, busy, deep)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


async def _check_health(
    http: httpx.AsyncClient, worker: Worker, headers: Mapping[str, str]
) -> str | None:
    found = await _call(http, "GET", worker, "/health", headers)
    if worker.protocol != "openai":
        return read_health(found.status, found.body)
    if found.status == 404:  # Some servers have no /health; all list their models.
        found = await _call(http, "GET", worker, "/v1/models", headers)
        return read_models(found.status, found.body)
    return read_openai_health(found.status, found.body)


async def _make_write(
    http: httpx.AsyncClient, worker: Worker, headers: Mapping[str, str]
) -> str | None:
    if worker.protocol == "openai":
        body = {**_DEEP, "model": worker.model}
        found = await _call(http, "POST", worker, "/v1/chat/completions", headers, body)
        return read_completion(found.status, found.body)
    model = worker.model or DEFAULT_MODEL
    body = {**_DEEP, "model": model, "sfw_mode": True, "content_tier": "sfw"}
    found = await _call(http, "POST", worker, "/chat", headers, body)
    return read_chat(found.status, found.body)


async def _call(
    http: httpx.AsyncClient,
    method: str,
    worker: Worker,
    path: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None = None,
) -> Fetched:
    found = await fetch(http, method, worker.url + path, headers=headers, body=body)
    if found.status in _BUSY:
        raise _Busy(f"{path} answered {found.status}")
    return found


def read_health(status: int, body: Any) -> str | None:
    """Why a chat worker's /health does not say that it is well; None when it does."""
    if status != 200:
        return f"/health answered {status}"
    if not isinstance(body, dict):
        return "/health did not return a JSON object"
    if body.get("status") != "healthy":
        return "it does not report healthy"
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
        return "it does not report healthy"
    return None if body.get("model_loaded", True) is True else "its model is still loading"


def read_models(status: int, body: Any) -> str | None:
    """Why /v1/models does not show an OpenAI-compatible server with a model; None when it does."""
    if status != 200:
        return f"/v1/models answered {status}"
    models = body.get("data") if isinstance(body, dict) else None
    if not isinstance(models, list) or not models:
        return "it lists no model"
    return None


def read_chat(status: int, body: Any) -> str | None:
    """Why a chat worker's answer to /chat is no reply; None when it is. One token may be blank."""
    if status != 200:
        return f"/chat answered {status}"
    if not isinstance(body, dict) or body.get("success") is not True:
        return "it reports healthy but cannot generate text"
    return None if isinstance(body.get("response"), str) else "its reply has no text"


def read_completion(status: int, body: Any) -> str | None:
    """The same of an OpenAI-compatible worker's /v1/chat/completions."""
    if status != 200:
        return f"/v1/chat/completions answered {status}"
    choices = body.get("choices") if isinstance(body, dict) and not body.get("error") else None
    if not isinstance(choices, list) or not choices:
        return "it reports healthy but cannot generate text"
    message = choices[0].get("message") if isinstance(choices[0], dict) else None
    return None if isinstance(message, dict) else "its reply has no text"
