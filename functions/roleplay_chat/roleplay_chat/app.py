"""One request from its bytes to its answer."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from edge.clients import Clients
from edge.errors import ApiError, internal_error
from edge.identity import UserTokens, bearer_token
from edge.logs import configure, follow_trace
from edge.timing import Timing
from roleplay_chat import cards, course, turns
from roleplay_chat.api import HEARTBEAT, ChatRequest, parse_body, parse_request, sse
from roleplay_chat.rows import BegunTurn
from roleplay_chat.settings import Settings
from roleplay_chat.turn import Delta, Done, Failed, Start, Turn, TurnEvent

if TYPE_CHECKING:
    from roleplay_chat.telemetry import Telemetry

Events = asyncio.Queue[TurnEvent | None]
"""Of a turn as they come; None when a heartbeat is due."""
SHUTDOWN_SECONDS = 10
"""What the platform leaves a process between SIGTERM and SIGKILL."""

CUT_OFF = {
    "success": False,
    "error": "The reply was cut off. What came is kept; you can have it continued.",
    "code": "reply_incomplete",
}


class App:
    """The function's state and its one answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients = Clients(settings)
        self._log = configure("roleplay_chat", settings.log_level)
        secret = settings.supabase_jwt_secret
        self._tokens = UserTokens(
            self._clients.supabase_http,
            issuer=settings.issuer,
            keys_url=f"{settings.supabase_url}/auth/v1/.well-known/jwks.json",
            secret=secret.get_secret_value() if secret else None,
        )
        self._handlers = {**cards.actions(), **course.actions(settings.max_message_chars)}
        self._running: set[asyncio.Task[None]] = set()
        self._telemetry = _telemetry(settings)
        self.asgi = CORSMiddleware(
            self._answer,
            allow_origins=[origin.strip() for origin in settings.cors_allow_origins.split(",")],
            allow_methods=["GET", "POST", "OPTIONS"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "Server-Timing", "X-Request-Id"],
            max_age=86_400,
        )

    async def aclose(self) -> None:
        """Let the running turns end, as far as there is time, then close the clients."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=SHUTDOWN_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._clients.aclose()
        if self._telemetry:
            await asyncio.to_thread(self._telemetry.shutdown)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = uuid4().hex
        request = Request(scope, receive)
        follow_trace(request.headers, self._settings.google_cloud_project)
        try:
            response = await self._respond(request, request_id)
        except ApiError as error:
            self._log.info(
                "refused",
                extra={"fields": {"request_id": request_id, "code": error.code}},
            )
            response = error.response(request_id)
        except ClientDisconnect:
            return
        except Exception:
            self._log.exception("failed", extra={"fields": {"request_id": request_id}})
            response = internal_error().response(request_id)
        response.headers["X-Request-Id"] = request_id
        await response(scope, receive, send)

    async def _respond(self, request: Request, request_id: str) -> Response:
        if request.method in ("GET", "HEAD"):
            return JSONResponse({"status": "ok", "function": "roleplay_chat"})
        if request.method != "POST":
            methods = "GET, HEAD, OPTIONS, POST"
            raise ApiError(405, "method_not_allowed", "Send a turn with POST.", allow=methods)
        token = bearer_token(request.headers.get("authorization"))
        user_id = await self._tokens.user_id(token)
        settings = self._settings
        body = await _read(
            request,
            max_bytes=max(settings.max_body_bytes, settings.max_card_bytes),
            seconds=settings.body_timeout_seconds,
        )
        data = parse_body(body)
        _check_size(len(body), data.get("action"), settings)
        if handler := self._handlers.get(str(data.get("action"))):
            answer = await handler(self._clients, user_id, data)
            return JSONResponse(answer | {"request_id": request_id})
        chat = parse_request(data, max_message_chars=settings.max_message_chars)
        streamed = chat.stream or "text/event-stream" in request.headers.get("accept", "")

        timing = Timing()
        with timing.measure("begin"):
            begun = await turns.begin(
                self._clients,
                user_id,
                chat,
                lease_seconds=self._settings.lease_seconds,
                history_messages=self._settings.history_messages,
            )
        if isinstance(begun, turns.Replay):
            answer = begun.result | {"response": begun.reply, "request_id": request_id}
            return _replay(answer) if streamed else JSONResponse(answer)
        try:
            events = self._start(begun, chat, user_id, request, request_id, timing, streamed)
        except Exception:
            await turns.abandon(self._clients, begun.turn.id)
            raise
        if streamed:
            return await self._stream(events, request_id)
        response = await self._json(events, request_id)
        response.headers["Server-Timing"] = timing.header()
        return response

    def _start(
        self,
        begun: BegunTurn,
        chat: ChatRequest,
        user_id: UUID,
        request: Request,
        request_id: str,
        timing: Timing,
        streamed: bool,
    ) -> Events:
        """Run the turn in a task of its own: it outlives a client that goes away."""
        events: Events = asyncio.Queue()
        turn = Turn(
            self._clients,
            self._settings,
            begun,
            chat,
            user_id,
            request_id,
            events.put_nowait,
            timing,
            shows_at_once=streamed,
        )
        task = asyncio.create_task(turn.run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        beats = _Beats(events, self._settings.heartbeat_seconds)
        task.add_done_callback(lambda _: beats.stop())
        if telemetry := self._telemetry:
            began, ids = time.monotonic(), {"turn_id": str(begun.turn.id), "request_id": request_id}
            task.add_done_callback(
                lambda _: telemetry.record(turn.attempts, request.headers, began, **ids)
            )
        if chat.on_disconnect == "stop":
            watcher = asyncio.create_task(_stop_when_gone(request, turn))
            task.add_done_callback(lambda _: watcher.cancel())
        return events

    async def _json(self, events: Events, request_id: str) -> Response:
        while True:
            event = await events.get()
            if isinstance(event, Done):
                return JSONResponse(event.answer.to_json())
            if isinstance(event, Failed):
                return event.error.response(request_id)

    async def _stream(self, events: Events, request_id: str) -> Response:
        """Events as they come. What fails before the first heartbeat keeps its true status."""
        first = await events.get()
        if isinstance(first, Failed):
            return first.error.response(request_id)
        return _event_stream(_lines(first, events, request_id))


def _telemetry(settings: Settings) -> "Telemetry | None":
    """Only where somebody collects it: its packages are many, and slow to import."""
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    try:
        from roleplay_chat.telemetry import Telemetry
    except ModuleNotFoundError as error:
        sys.exit(f"OTEL_EXPORTER_OTLP_ENDPOINT needs a package ({error.name}): make build OTEL=1")
    return Telemetry()


async def _stop_when_gone(request: Request, turn: Turn) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    turn.stop()


class _Beats:
    """Puts a None among the events every so many seconds, so that no proxy takes the line for
    dead. One timer for a stream, and not one for each event."""

    def __init__(self, events: Events, seconds: float) -> None:
        self._events = events
        self._seconds = seconds
        self._wait()

    def stop(self) -> None:
        self._timer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._beat)

    def _beat(self) -> None:
        self._events.put_nowait(None)
        self._wait()


async def _lines(event: TurnEvent | None, events: Events, request_id: str) -> AsyncIterator[str]:
    while True:
        lines = _line(event, request_id)
        # What is there already goes out in one piece.
        while not (isinstance(event, Done | Failed) or events.empty()):
            event = events.get_nowait()
            lines += _line(event, request_id)
        yield lines
        if isinstance(event, Done | Failed):
            return
        event = await events.get()


def _line(event: TurnEvent | None, request_id: str) -> str:
    match event:
        case None:
            return HEARTBEAT
        case Start(turn_id, route, character_id):
            start = {"turn_id": turn_id, "character_id": character_id}
            return sse("start", start | route.to_json())
        case Delta(text):
            return sse("delta", {"text": text})
        case Done(answer) if answer.incomplete:
            return sse("error", answer.to_json() | CUT_OFF)
        case Done(answer):
            return sse("done", answer.to_json())
        case Failed(error):
            return sse("error", error.envelope(request_id))


def _replay(answer: dict[str, Any]) -> Response:
    async def lines() -> AsyncIterator[str]:
        names = ("turn_id", "character_id", "model_used", "usedFallback", "fallbackModel", "notice")
        yield sse("start", {name: answer.get(name) for name in names})
        yield sse("delta", {"text": answer["response"]})
        yield sse("error", answer | CUT_OFF) if answer.get("incomplete") else sse("done", answer)

    return _event_stream(lines())


class _EventStream(StreamingResponse):
    """Goes on when the client is gone: the turn ends by itself, and what is sent to nobody is
    dropped by the server. Without a task that waits for that."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream_response(send)


def _event_stream(lines: AsyncIterator[str]) -> Response:
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return _EventStream(lines, media_type="text/event-stream", headers=headers)


def _check_size(size: int, action: object, settings: Settings) -> None:
    """Which limit holds is only known once the request was read."""
    if action == "import_card":
        limit, code = settings.max_card_bytes, "card_too_large"
    else:
        limit, code = settings.max_body_bytes, "body_too_large"
    if size > limit:
        raise _too_large(code, limit)


def _too_large(code: str, limit: int) -> ApiError:
    return ApiError(413, code, f"The request is too large: at most {limit:,} bytes.")


async def _read(request: Request, *, max_bytes: int, seconds: float) -> bytes:
    """The body of a client that sends no more than it may, in time."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large("body_too_large", max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise _too_large("body_too_large", max_bytes)
    except TimeoutError as error:
        raise ApiError(
            408, "body_too_slow", f"The request took longer than {seconds:g} s to arrive."
        ) from error
    return bytes(body)
