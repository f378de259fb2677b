"""HTTP: answers status requests, and hands everything else to `endpoints`.

The modules that only `endpoints` needs are imported with the first request: otherwise most of a
cold start would be spent on them before the instance could answer at all.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from edge.errors import ApiError, internal_error
from edge.loading import load
from edge.logs import configure, follow_trace
from roleplay_chat.settings import Settings

if TYPE_CHECKING:
    from roleplay_chat.endpoints import Endpoints
    from roleplay_chat.telemetry import Telemetry

METHODS = "GET, HEAD, OPTIONS, POST"


class App:
    """The function's ASGI application."""

    def __init__(self, settings: Settings, endpoints: "Endpoints | None" = None) -> None:
        """`endpoints` answers turns and actions; if omitted, it is created at the first request."""
        self._settings = settings
        self._endpoints = endpoints
        self._loading: asyncio.Task[Endpoints] | None = None
        self._log = configure("roleplay_chat", settings.log_level)
        self._telemetry = _telemetry(settings)
        self._cors = CORSMiddleware(
            self._answer,
            allow_origins=settings.cors_origins,
            allow_origin_regex=settings.cors_origin_pattern,
            allow_methods=["GET", "POST", "OPTIONS"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "Server-Timing", "X-Request-Id"],
            max_age=86_400,
        )

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application. After its first response it imports what the first turn needs."""
        await self._cors(scope, receive, send)
        if self._endpoints is None and self._loading is None:
            self._loading = asyncio.create_task(self._load())

    async def aclose(self) -> None:
        """Wait for the running turns, for a bounded time, then close the clients."""
        if self._endpoints:
            await self._endpoints.aclose()
        if self._telemetry:
            await asyncio.to_thread(self._telemetry.shutdown)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = uuid4().hex
        request = Request(scope, receive)
        follow_trace(request.headers, self._settings.google_cloud_project)
        async with AsyncExitStack() as held:
            response = await self._response(request, request_id, held)
            if response is not None:
                response.headers["X-Request-Id"] = request_id
                await response(scope, receive, send)

    async def _response(
        self, request: Request, request_id: str, held: AsyncExitStack
    ) -> Response | None:
        """The response; None if the client has disconnected."""
        try:
            return await self._respond(request, request_id, held)
        except ApiError as error:
            fields = error.log_fields(request_id)
            self._log.log(error.log_level, "request rejected", extra={"fields": fields})
            return _error_response(request, error, request_id)
        except ClientDisconnect:
            return None
        except Exception:
            self._log.exception("request failed", extra={"fields": {"request_id": request_id}})
            return _error_response(request, internal_error(), request_id)

    async def _respond(self, request: Request, request_id: str, held: AsyncExitStack) -> Response:
        """`held` keeps the request's places in the limits until the response is sent."""
        if _is_for_openai(request):
            endpoints = self._endpoints or await self._load()
            return await endpoints.respond_to_openai(request, request_id, held)
        if "last-event-id" in request.headers and request.method in ("GET", "POST"):
            endpoints = self._endpoints or await self._load()
            if (rest := await endpoints.resume(request, request_id, held)) is not None:
                return rest
        if request.method in ("GET", "HEAD"):
            return JSONResponse({"status": "ok", "function": "roleplay_chat"})
        if request.method == "OPTIONS":  # Not a preflight, which the middleware answers.
            return PlainTextResponse("OK", headers={"Allow": METHODS})
        if request.method != "POST":
            raise ApiError(405, "method_not_allowed", "Send a turn with POST.", allow=METHODS)
        endpoints = self._endpoints or await self._load()
        return await endpoints.respond(request, request_id, held)

    async def _load(self) -> "Endpoints":
        """Import what answers turns in a thread, so that other requests are answered meanwhile."""
        made = await load(_import_endpoints)
        if self._endpoints is None:
            self._endpoints = made(self._settings, self._telemetry)
        return self._endpoints


def _is_for_openai(request: Request) -> bool:
    """Whether the path is one of the OpenAI-compatible API, wherever the function is served."""
    return "/v1/" in request.scope["path"]


def _error_response(request: Request, error: ApiError, request_id: str) -> Response:
    if not _is_for_openai(request):
        return error.response(request_id)
    from roleplay_chat.openai_api.answers import error_response

    return error_response(error)


def _import_endpoints() -> "type[Endpoints]":
    from roleplay_chat.endpoints import Endpoints

    return Endpoints


def _telemetry(settings: Settings) -> "Telemetry | None":
    """Import telemetry only if a collector is configured: its packages are slow to import."""
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    try:
        from roleplay_chat.telemetry import Telemetry
    except ModuleNotFoundError as error:
        sys.exit(f"OTEL_EXPORTER_OTLP_ENDPOINT needs a package ({error.name}): make build OTEL=1")
    return Telemetry()
