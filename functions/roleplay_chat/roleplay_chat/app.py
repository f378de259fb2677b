"""HTTP: parses requests, runs turns in tasks, and sends their events as JSON or as a stream."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from logging import getLogger
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from edge.bounded import Bounded
from edge.clients import Clients
from edge.errors import ApiError, internal_error
from edge.identity import UserTokens, bearer_token
from edge.json_text import dumps, value_count_bound
from edge.logs import configure, follow_trace
from edge.timing import Timing
from roleplay_chat import message_actions, turn_store
from roleplay_chat.api import (
    HEARTBEAT,
    Caller,
    ChatRequest,
    Delta,
    Done,
    Failed,
    Start,
    TurnEvent,
    on_first_use,
    parse_body,
    parse_request,
    sse,
)
from roleplay_chat.cards import actions as card_actions
from roleplay_chat.chats import actions as chat_actions
from roleplay_chat.memory.embedder import Embedder, Query
from roleplay_chat.portraits import actions as portrait_actions
from roleplay_chat.rows import BegunTurn
from roleplay_chat.settings import Settings
from roleplay_chat.stops import Stops
from roleplay_chat.turn import Context, RunningTurn, run_turn
from roleplay_chat.turn_plan import Accepted

if TYPE_CHECKING:
    from roleplay_chat.telemetry import Telemetry

_log = getLogger("roleplay_chat")

Events = asyncio.Queue[TurnEvent | None]
"""A turn's events; None when a heartbeat is due."""

LARGE_AT_ONCE = 4
"""How many requests beyond MAX_BODY_BYTES, and separately how many exports, may run at once.
Each holds megabytes for as long as a slow client takes to send or receive it."""
LARGE_EACH = 2
"""How many of them one person may run, so that nobody can block all others."""
LARGE_WAIT_SECONDS = 10
LARGE_ANSWER_SECONDS = 120
"""The time limit for a client to receive a large answer."""
MAX_VALUES = 120_000
"""The limit for a large request, counted by `value_count_bound`. Each value becomes an object of
about a hundred bytes. Cards with the largest books have half as many."""
MAX_NON_ASCII_BYTES = 4 * 2**20
"""The limit for a large request with non-ASCII text: with one emoji in it, Python stores each
character in four bytes. Larger requests carry files in base64; a card's text is half this size."""
PIECE_BYTES = 65_536
"""How much is sent at once, because the server buffers what a client has not received yet."""

_TOO_LARGE = {
    "import_card": "card_too_large",
    "import_chat": "chat_too_large",
    "set_portrait": "picture_too_large",
}
"""The actions with files, and the code of the error for one that is too large."""

CUT_OFF = {
    "success": False,
    "error": "The reply was cut off. The text so far is saved; you can continue it.",
    "code": "reply_incomplete",
}


class App:
    """The function's shared state, and its ASGI application."""

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
        self._stops = Stops(self._clients, settings.stop_check_seconds)
        self._handlers = {
            **on_first_use(["delete_account"], "roleplay_chat.account"),
            **card_actions.actions(),
            **chat_actions.actions(),
            **portrait_actions.actions(),
            **message_actions.actions(settings.max_message_chars),
            "stop": self._stops.handle,
        }
        self._large_requests, self._large_answers = (
            Bounded(LARGE_AT_ONCE, wait_seconds=LARGE_WAIT_SECONDS, each=LARGE_EACH)
            for _ in range(2)
        )
        self._embedder = Embedder(self._clients, settings)
        self._running: set[asyncio.Task[None]] = set()
        self._telemetry = _telemetry(settings)
        self.asgi = CORSMiddleware(
            self._answer,
            allow_origins=settings.cors_origins,
            allow_origin_regex=settings.cors_origin_pattern,
            allow_methods=["GET", "POST", "OPTIONS"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "Server-Timing", "X-Request-Id"],
            max_age=86_400,
        )

    async def aclose(self) -> None:
        """Wait for the running turns, for a bounded time, then close the clients."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._settings.shutdown_seconds)
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
            self._log.info(
                "request rejected",
                extra={"fields": {"request_id": request_id, "code": error.code}},
            )
            return error.response(request_id)
        except ClientDisconnect:
            return None
        except Exception:
            self._log.exception("request failed", extra={"fields": {"request_id": request_id}})
            return internal_error().response(request_id)

    async def _respond(self, request: Request, request_id: str, held: AsyncExitStack) -> Response:
        """`held` keeps the request's places in the limits until the response is sent."""
        if request.method in ("GET", "HEAD"):
            return JSONResponse({"status": "ok", "function": "roleplay_chat"})
        if request.method != "POST":
            methods = "GET, HEAD, OPTIONS, POST"
            raise ApiError(405, "method_not_allowed", "Send a turn with POST.", allow=methods)
        token = bearer_token(request.headers.get("authorization"))
        user_id = await self._tokens.user_id(token)
        settings = self._settings
        data = await self._data(request, user_id, held)
        if handler := self._handlers.get(str(data.get("action"))):
            if data["action"] in ("export_card", "export_chat"):
                await held.enter_async_context(self._large_answers.place(user_id))
            answer = await handler(self._clients, Caller(user_id, token), data)
            body = dumps(answer | {"request_id": request_id})
            return _InPieces(body, settings.send_timeout_seconds)
        chat = parse_request(data, max_message_chars=settings.max_message_chars)
        streamed = chat.stream or "text/event-stream" in request.headers.get("accept", "")

        timing = Timing()
        query = await self._embedder.query(chat, user_id)
        with timing.measure("begin"):
            begun = await turn_store.begin(
                self._clients,
                user_id,
                chat,
                lease_seconds=self._settings.lease_seconds,
                embedding=query.embedding if query else None,
            )
        if isinstance(begun, turn_store.Replay):
            answer = begun.result | {"response": begun.reply, "request_id": request_id}
            return self._replay(answer) if streamed else JSONResponse(answer)
        try:
            events = self._start(begun, chat, user_id, request, request_id, timing, streamed, query)
        except Exception:
            await turn_store.abandon(self._clients, begun.turn.id)
            raise
        if streamed:
            return await self._stream(events, request_id)
        response = await self._json(events, request_id)
        response.headers["Server-Timing"] = timing.header()
        return response

    async def _data(self, request: Request, user_id: UUID, held: AsyncExitStack) -> dict[str, Any]:
        """Parse the request's body. Its bytes are freed when this returns."""
        body = await self._read(request, user_id, held)
        if len(body) <= self._settings.max_body_bytes:
            data = parse_body(body)
        elif len(body) > MAX_NON_ASCII_BYTES and _may_have_non_ascii(body):
            raise _too_large("card_too_large", MAX_NON_ASCII_BYTES)
        elif value_count_bound(body) <= MAX_VALUES:
            data = await self._clients.in_thread(parse_body, body)
        else:
            raise ApiError(413, "card_too_large", f"The card has more than {MAX_VALUES:,} values.")
        _check_size(len(body), str(data.get("action")), self._settings)
        return data

    async def _read(self, request: Request, user_id: UUID, held: AsyncExitStack) -> bytearray:
        """Read the body. Raises `ApiError` if it is too large or too slow."""
        settings, loop = self._settings, asyncio.get_running_loop()
        small = settings.max_body_bytes
        largest = max(small, settings.max_card_bytes)
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > largest:
            raise _too_large("body_too_large", largest)
        body, is_large = bytearray(), False
        try:
            async with asyncio.timeout(settings.body_timeout_seconds) as limit:
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > largest:
                        raise _too_large("body_too_large", largest)
                    if len(body) > small and not is_large:
                        is_large = True
                        # Waiting for a place does not count against the client's time.
                        left = (limit.when() or 0) - loop.time()
                        limit.reschedule(None)
                        await held.enter_async_context(self._large_requests.place(user_id))
                        limit.reschedule(loop.time() + left)
        except TimeoutError as error:
            raise _too_slow(settings.body_timeout_seconds) from error
        return body

    def _start(
        self,
        begun: BegunTurn,
        chat: ChatRequest,
        user_id: UUID,
        request: Request,
        request_id: str,
        timing: Timing,
        streamed: bool,
        query: Query | None,
    ) -> Events:
        """Run the turn in its own task, which continues when the client disconnects."""
        events: Events = asyncio.Queue()
        accepted = Accepted(begun, chat, user_id, request_id, shows_at_once=streamed, query=query)
        context = Context(self._clients, self._settings, timing, events.put_nowait, self._embedder)
        turn = RunningTurn(on_end=lambda: self._stops.forget(begun.turn.id))
        task = asyncio.create_task(run_turn(context, accepted, turn))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        heartbeat = _Heartbeat(events, self._settings.heartbeat_seconds)
        task.add_done_callback(lambda _: heartbeat.stop())
        self._stops.watch(begun.turn.id, user_id, turn.stop)
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
        """Stream the events. A failure before the first heartbeat keeps its HTTP status."""
        first = await events.get()
        if isinstance(first, Failed):
            return first.error.response(request_id)
        return self._event_stream(_serialized(first, events, request_id))

    def _replay(self, answer: dict[str, Any]) -> Response:
        return self._event_stream(_replayed(answer))

    def _event_stream(self, chunks: AsyncIterator[str]) -> Response:
        return _EventStream(chunks, self._settings.send_timeout_seconds)


def _telemetry(settings: Settings) -> "Telemetry | None":
    """Import telemetry only if a collector is configured: its packages are slow to import."""
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    try:
        from roleplay_chat.telemetry import Telemetry
    except ModuleNotFoundError as error:
        sys.exit(f"OTEL_EXPORTER_OTLP_ENDPOINT needs a package ({error.name}): make build OTEL=1")
    return Telemetry()


async def _stop_when_gone(request: Request, turn: RunningTurn) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    turn.stop()


class _Heartbeat:
    """Puts None into the queue every `seconds`, so that no proxy closes a silent connection. One
    timer per stream is cheaper than one per event."""

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


async def _serialized(
    event: TurnEvent | None, events: Events, request_id: str
) -> AsyncIterator[str]:
    while True:
        chunk = _serialize(event, request_id)
        # Events that are already waiting are sent together.
        while not (isinstance(event, Done | Failed) or events.empty()):
            event = events.get_nowait()
            chunk += _serialize(event, request_id)
        yield chunk
        if isinstance(event, Done | Failed):
            return
        event = await events.get()


def _serialize(event: TurnEvent | None, request_id: str) -> str:
    match event:
        case None:
            return HEARTBEAT
        case Start(turn_id, route, character_id):
            start = {"turn_id": turn_id, "character_id": character_id}
            return sse("start", start | route.to_json())
        case Delta(text):
            return sse("delta", {"text": text})
        case Done(answer) if answer.is_cut_off:
            return sse("error", answer.to_json() | CUT_OFF)
        case Done(answer):
            return sse("done", answer.to_json())
        case Failed(error):
            return sse("error", error.envelope(request_id))


async def _replayed(answer: dict[str, Any]) -> AsyncIterator[str]:
    names = ("turn_id", "character_id", "model_used", "usedFallback", "fallbackModel", "notice")
    yield sse("start", {name: answer.get(name) for name in names})
    yield sse("delta", {"text": answer["response"]})
    is_cut_off = answer.get("incomplete") and not answer.get("stopped")
    yield sse("error", answer | CUT_OFF) if is_cut_off else sse("done", answer)


class _EventStream(Response):
    """Sends server-sent events. It does not watch for a disconnect, which would need another task:
    the turn ends by itself, and the server drops what is sent to nobody."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncIterator[str], send_seconds: float) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]  # The base class counts an empty body.
        self._chunks = chunks
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with _SendTimeout(send, self._send_seconds) as timed_send:
            start = {"status": self.status_code, "headers": self.raw_headers}
            await timed_send({"type": "http.response.start"} | start)
            async for chunk in self._chunks:
                piece = {"body": chunk.encode(), "more_body": True}
                await timed_send({"type": "http.response.body"} | piece)
            await timed_send({"type": "http.response.body", "body": b"", "more_body": False})


class _InPieces(Response):
    """A JSON answer that may be large, sent as the client takes it."""

    media_type = "application/json"

    def __init__(self, body: bytes, send_seconds: float) -> None:
        super().__init__(body)
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seconds = self._send_seconds
        async with _SendTimeout(send, seconds, max_seconds=LARGE_ANSWER_SECONDS) as timed_send:
            start = {"status": self.status_code, "headers": self.raw_headers}
            await timed_send({"type": "http.response.start"} | start)
            body = memoryview(self.body)
            for at in range(0, len(body), PIECE_BYTES):
                end = at + PIECE_BYTES
                piece = {"body": bytes(body[at:end]), "more_body": end < len(body)}
                await timed_send({"type": "http.response.body"} | piece)


class _SendTimeout:
    """Sends a response, and gives up when the client has received nothing for `seconds`.

    One timer per response is cheaper than one per piece, so it may take up to twice as long.
    """

    def __init__(self, send: Send, seconds: float, *, max_seconds: float | None = None) -> None:
        self._send = send
        self._seconds = seconds
        self._since: float | None = None
        self._limit = asyncio.timeout(max_seconds)

    async def __aenter__(self) -> Send:
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._seconds, self._check)
        await self._limit.__aenter__()
        return self._timed_send

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """End quietly after a timeout. The server closes the connection, since the body is cut."""
        self._timer.cancel()
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            _log.info("client stopped receiving")
            return True
        return False

    async def _timed_send(self, message: Message) -> None:
        self._since = self._loop.time()
        await self._send(message)
        self._since = None

    def _check(self) -> None:
        now = self._loop.time()
        if self._since is not None and now - self._since >= self._seconds:
            self._limit.reschedule(now)
        else:
            self._timer = self._loop.call_later(self._seconds, self._check)


def _may_have_non_ascii(body: bytearray) -> bool:
    return not body.isascii() or b"\\u" in body


def _check_size(size: int, action: str, settings: Settings) -> None:
    """Check the limit of the action, which is only known once the body is parsed."""
    if action in _TOO_LARGE:
        limit, code = settings.max_card_bytes, _TOO_LARGE[action]
    else:
        limit, code = settings.max_body_bytes, "body_too_large"
    if size > limit:
        raise _too_large(code, limit)


def _too_large(code: str, limit: int) -> ApiError:
    return ApiError(413, code, f"The request is too large: at most {limit:,} bytes.")


def _too_slow(seconds: float) -> ApiError:
    return ApiError(408, "body_too_slow", f"The request took longer than {seconds:g} s to arrive.")
