"""Probes one worker."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from edge.addresses import AddressRejected, check_address, endpoint
from edge.clients import NETWORK_ERRORS, timed_out
from edge.worker_health import DEFAULT_MODEL
from health_check.fetch import Fetched, fetch

_BUSY = (408, 429)
"""Statuses of a worker that is healthy but busy."""
_DEEP: Mapping[str, Any] = {
    "messages": [{"role": "user", "content": "Say yes."}],
    "max_tokens": 1,
    "temperature": 0,
}


@dataclass(frozen=True)
class Hook:
    """A URL to call to wake a worker, and the environment variable with its key."""

    url: str
    secret_name: str | None = None


@dataclass(frozen=True)
class Worker:
    """A configured worker: its name in the health record, its address and its protocol."""

    name: str
    url: str
    protocol: str = "chat_worker"
    model: str | None = None
    secret_name: str | None = None
    """The environment variable with its key. The team's own chat worker uses another setting."""
    wake: Hook | None = None
    takes_completion_tokens: bool = False
    """Whether it takes max_completion_tokens in the place of max_tokens."""

    @property
    def can_generate(self) -> bool:
        """Whether it can be asked for text: an OpenAI-compatible server needs a model name."""
        return self.protocol != "openai" or self.model is not None


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe. `error` is a clause for the operator, None if healthy."""

    error: str | None
    response_ms: int
    busy: bool = False
    """The worker answered that it is busy, which does not affect its health."""
    deep: bool = False
    """The worker was asked to generate text."""


class _Busy(Exception):
    """The worker is busy."""


async def probe(
    http: httpx.AsyncClient,
    worker: Worker,
    *,
    timeout_seconds: float,
    key: str | None,
    allow_local: bool,
    private_origins: str,
    deep_seconds: float | None = None,
) -> ProbeResult:
    """Probe a worker once. Never raises for anything the worker does.

    With `deep_seconds`, a worker that reports healthy must also generate a token within that time.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    started = time.monotonic()
    response_ms: int | None = None
    seconds, busy, deep = timeout_seconds, False, False
    try:
        check_address(worker.url, allow_local=allow_local, private_origins=private_origins)
        async with asyncio.timeout(seconds):
            error = await _check_health(http, worker, headers)
        response_ms = _since(started)
        if error is None and deep_seconds:
            seconds, deep = deep_seconds, True
            async with asyncio.timeout(seconds):
                error = await _check_generation(http, worker, headers)
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
    if _has_no_health(found):  # All list their models.
        found = await _call(http, "GET", worker, "/v1/models", headers)
        return read_models(found.status, found.body)
    return read_openai_health(found.status, found.body)


def _has_no_health(found: Fetched) -> bool:
    """Whether an OpenAI-compatible server has no /health. Some report that with status 200."""
    is_error = isinstance(found.body, dict) and "error" in found.body and "status" not in found.body
    return found.status == 404 or (found.status == 200 and is_error)


async def _check_generation(
    http: httpx.AsyncClient, worker: Worker, headers: Mapping[str, str]
) -> str | None:
    if worker.protocol == "openai":
        body = {**_DEEP, "model": worker.model}
        if worker.takes_completion_tokens:
            body["max_completion_tokens"] = body.pop("max_tokens")
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
    protocol: Literal["openai", "chat_worker"] = (
        "openai" if worker.protocol == "openai" else "chat_worker"
    )
    url = endpoint(worker.url, path, protocol=protocol)
    found = await fetch(http, method, url, headers=headers, body=body)
    if found.status in _BUSY:
        raise _Busy(f"{path} answered {found.status}")
    return found


def read_health(status: int, body: Any) -> str | None:
    """What is wrong with a chat worker's /health response; None if it reports healthy."""
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
    """What is wrong with an OpenAI-compatible worker's /health response; None if it is healthy.

    llama.cpp answers {"status": "ok"}, and 503 while loading; vLLM answers 200 without a body.
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
    """What is wrong with a response to /v1/models; None if it lists a model."""
    if status != 200:
        return f"/v1/models answered {status}"
    models = body.get("data") if isinstance(body, dict) else None
    if not isinstance(models, list) or not models:
        return "it lists no model"
    return None


def read_chat(status: int, body: Any) -> str | None:
    """What is wrong with a chat worker's response to /chat; None if it is a reply.

    The reply may be blank, because one token can be.
    """
    if status != 200:
        return f"/chat answered {status}"
    if not isinstance(body, dict) or body.get("success") is not True:
        return "it reports healthy but cannot generate text"
    return None if isinstance(body.get("response"), str) else "its reply has no text"


def read_completion(status: int, body: Any) -> str | None:
    """What is wrong with a response to /v1/chat/completions; None if it is a reply."""
    if status != 200:
        return f"/v1/chat/completions answered {status}"
    choices = body.get("choices") if isinstance(body, dict) and not body.get("error") else None
    if not isinstance(choices, list) or not choices:
        return "it reports healthy but cannot generate text"
    message = choices[0].get("message") if isinstance(choices[0], dict) else None
    return None if isinstance(message, dict) else "its reply has no text"
