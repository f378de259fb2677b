"""HTTP: parses requests, runs turns in tasks, and sends their events as JSON or as a stream."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from functools import cached_property
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
    Caller,
    ChatRequest,
    Done,
    Failed,
    on_first_use,
    parse_body,
    parse_request,
)
from roleplay_chat.cards import actions as card_actions
from roleplay_chat.chats import actions as chat_actions
from roleplay_chat.memory.embedder import Embedder, Query
from roleplay_chat.portraits import actions as portrait_actions
from roleplay_chat.resume import awaited, saved_answer
from roleplay_chat.rows import BegunTurn
from roleplay_chat.settings import Settings
from roleplay_chat.stops import Stops
from roleplay_chat.turn import Context, RunningTurn, run_turn
from roleplay_chat.turn_events import (
    BEGINNING,
    EventId,
    Place,
    Reader,
    TurnEvents,
    replayed,
    written,
)
from roleplay_chat.turn_plan import Accepted

if TYPE_CHECKING:
    from roleplay_chat.openai_api.handlers import OpenAiApi
    from roleplay_chat.telemetry import Telemetry

_log = getLogger("roleplay_chat")

SHUTDOWN_SECONDS = 10
"""The time that the platform gives a process between SIGTERM and SIGKILL."""

LARGE_AT_ONCE = 4
"""How many requests beyond MAX_BODY_BYTES, and separately how many exports, may run at once.
Each holds megabytes for as long as a slow client takes to send or receive it."""
LARGE_EACH = 2
"""How many of them one person may run, so that nobody can block all others."""
LARGE_WAIT_SECONDS = 10
LARGE_ANSWER_SECONDS = 120
"""The time limit for a client to receive a large answer."""
RETURNING_AT_ONCE = 200
"""How many readers may come back to running turns at once."""
RETURNING_EACH = 5
"""How many of them one person may have."""
RETURNING_WAIT_SECONDS = 5
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
        self._returning = Bounded(
            RETURNING_AT_ONCE, wait_seconds=RETURNING_WAIT_SECONDS, each=RETURNING_EACH
        )
        self._embedder = Embedder(self._clients, settings)
        self._turns: dict[UUID, TurnEvents] = {}
        """The events of the turns that run here."""
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
            return self._error_response(request, error, request_id)
        except ClientDisconnect:
            return None
        except Exception:
            self._log.exception("request failed", extra={"fields": {"request_id": request_id}})
            return self._error_response(request, internal_error(), request_id)

    def _error_response(self, request: Request, error: ApiError, request_id: str) -> Response:
        if not _is_for_openai(request):
            return error.response(request_id)
        from roleplay_chat.openai_api.answers import error_response

        return error_response(error)

    async def _respond(self, request: Request, request_id: str, held: AsyncExitStack) -> Response:
        """`held` keeps the request's places in the limits until the response is sent."""
        if _is_for_openai(request):
            return await self._openai.respond(request, request_id, held)
        event_id = EventId.parse(request.headers.get("last-event-id", ""))
        if event_id and request.method in ("GET", "POST"):
            return await self._resume(event_id, request, request_id, held)
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
            return self._event_stream(replayed(answer)) if streamed else JSONResponse(answer)
        try:
            events = self._start(
                begun, chat, user_id, request, request_id, timing, bool(streamed), query
            )
        except Exception:
            await turn_store.abandon(self._clients, begun.turn.id)
            raise
        if streamed:
            return await self._stream(events, request_id)
        response = await self._json(events, request_id)
        response.headers["Server-Timing"] = timing.header()
        return response

    @cached_property
    def _openai(self) -> "OpenAiApi":
        """Imported by the first request for it: turns do not need it."""
        from roleplay_chat.openai_api.handlers import OpenAiApi, Server
        from roleplay_chat.openai_api.keys import Keys

        server = Server(
            self._clients,
            self._settings,
            self._embedder,
            self._small_data,
            self._start,
            self._event_stream,
        )
        return OpenAiApi(server, Keys(self._tokens))

    async def _resume(
        self, event_id: EventId, request: Request, request_id: str, held: AsyncExitStack
    ) -> Response:
        """The rest of a turn's stream, for a reader who has read it up to an event."""
        user_id = await self._tokens.user_id(bearer_token(request.headers.get("authorization")))
        await held.enter_async_context(self._returning.place(user_id))
        events = self._turns.get(event_id.turn_id)
        if events and events.user_id == user_id:
            return await self._stream(events, request_id, event_id.place)
        asked = self._clients, user_id, event_id.turn_id, request_id
        if (answer := await saved_answer(*asked)) is not None:
            return self._event_stream(replayed(answer))
        return self._event_stream(awaited(*asked, seconds=self._settings.follow_check_seconds))

    async def _small_data(
        self, request: Request, user_id: UUID, held: AsyncExitStack
    ) -> dict[str, Any]:
        """Parse a body of ordinary size."""
        largest = self._settings.max_body_bytes
        return parse_body(await self._read(request, user_id, held, largest=largest))

    async def _data(self, request: Request, user_id: UUID, held: AsyncExitStack) -> dict[str, Any]:
        """Parse the request's body. Its bytes are freed when this returns."""
        largest = max(self._settings.max_body_bytes, self._settings.max_card_bytes)
        body = await self._read(request, user_id, held, largest=largest)
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

    async def _read(
        self, request: Request, user_id: UUID, held: AsyncExitStack, *, largest: int
    ) -> bytearray:
        """Read the body. Raises `ApiError` if it is too large or too slow."""
        settings, loop = self._settings, asyncio.get_running_loop()
        small = settings.max_body_bytes
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
        *,
        keeps_text: bool = True,
    ) -> TurnEvents:
        """Run the turn in its own task, which continues when the client disconnects."""
        turn_id = begun.turn.id
        events = self._turns[turn_id] = TurnEvents(turn_id, user_id, shows_text=streamed)
        accepted = Accepted(begun, chat, user_id, request_id, streamed, keeps_text, query)
        context = Context(self._clients, self._settings, timing, events.emit, self._embedder)
        turn = RunningTurn(on_end=lambda: self._stops.forget(turn_id))
        task = asyncio.create_task(run_turn(context, accepted, turn))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: self._turns.pop(turn_id, None))
        self._stops.watch(turn_id, user_id, turn.stop)
        if telemetry := self._telemetry:
            began, ids = time.monotonic(), {"turn_id": str(turn_id), "request_id": request_id}
            task.add_done_callback(
                lambda _: telemetry.record(turn.attempts, request.headers, began, **ids)
            )
        if chat.on_disconnect == "stop":
            watcher = asyncio.create_task(_stop_when_gone(request, turn))
            task.add_done_callback(lambda _: watcher.cancel())
        return events

    async def _json(self, events: TurnEvents, request_id: str) -> Response:
        match await events.end():
            case Done(answer):
                return JSONResponse(answer.to_json())
            case Failed(error):
                return error.response(request_id)

    async def _stream(
        self, events: TurnEvents, request_id: str, place: Place = BEGINNING
    ) -> Response:
        """Stream the events. A failure before the first heartbeat keeps its HTTP status."""
        reader = Reader(events, place, self._settings.heartbeat_seconds)
        first = await reader.next()
        if first and isinstance(failed := first[0][1], Failed):
            return failed.error.response(request_id)
        return self._event_stream(written(reader, first, request_id))

    def _event_stream(self, chunks: AsyncGenerator[str, None]) -> Response:
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


def _is_for_openai(request: Request) -> bool:
    """Whether the path is one of the OpenAI-compatible API, wherever the function is served."""
    return "/v1/" in request.scope["path"]


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
