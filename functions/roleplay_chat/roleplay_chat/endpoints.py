"""Answers turns (as JSON or as a stream), actions, readers who come back to a stream, and programs
written for OpenAI's API.

A turn's own modules are imported while the database begins the first one.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.bounded import Bounded
from edge.clients import Clients
from edge.identity import UserTokens, bearer_token
from edge.json_text import dumps
from edge.loading import Later, load
from edge.timing import Timing
from roleplay_chat import turn_store
from roleplay_chat.admin import actions as admin_actions
from roleplay_chat.api import Caller, Done, Failed, Handler, Object, on_first_use, parse_request
from roleplay_chat.request_body import BodyReader, places_for_large
from roleplay_chat.resume import awaited, saved_answer
from roleplay_chat.rows import BegunTurn
from roleplay_chat.sending import EventStream, InPieces
from roleplay_chat.settings import Settings
from roleplay_chat.stops import Stops
from roleplay_chat.turn_cache import TurnCache, memory_limit, most_bytes
from roleplay_chat.turn_events import (
    BEGINNING,
    EventId,
    Place,
    Reader,
    TurnEvents,
    replayed,
    written,
)

if TYPE_CHECKING:
    from roleplay_chat.openai_api.handlers import OpenAiApi, Server
    from roleplay_chat.openai_api.keys import Keys
    from roleplay_chat.telemetry import Telemetry
    from roleplay_chat.turn_tasks import TurnTasks

ACTIONS_OF_MODULES: Mapping[str, Sequence[str]] = {
    "roleplay_chat.account": ("delete_account",),
    "roleplay_chat.cards.handlers": ("import_card", "export_card"),
    "roleplay_chat.chats.handlers": ("import_chat", "export_chat"),
    "roleplay_chat.portraits.handlers": ("set_portrait",),
}
"""The actions of modules that turns do not need. Each module is imported with its first action."""
MESSAGE_ACTIONS = ("choose", "edit", "delete", "hide", "branch")
"""The actions of `message_actions`, which turns do not need; imported with the first one."""
RETURNING_AT_ONCE = 200
"""How many readers may come back to running turns at once."""
RETURNING_EACH = 5
"""How many of these readers one person may have."""
RETURNING_WAIT_SECONDS = 5


class Endpoints:
    """The state that all these requests share, and their handlers."""

    def __init__(self, settings: Settings, telemetry: "Telemetry | None" = None) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._clients = Clients(settings)
        self._bodies = BodyReader(self._clients, settings)
        self._large_answers = places_for_large()
        self._returning = Bounded(
            RETURNING_AT_ONCE, wait_seconds=RETURNING_WAIT_SECONDS, each=RETURNING_EACH
        )
        secret = settings.supabase_jwt_secret
        self._tokens = UserTokens(
            self._clients.supabase_http,
            issuer=settings.issuer,
            keys_url=f"{settings.supabase_url}/auth/v1/.well-known/jwks.json",
            secret=secret.get_secret_value() if secret else None,
        )
        self._cache = TurnCache(most_bytes(memory_limit()))
        self._stops = Stops(self._clients, settings.stop_check_seconds)
        self._message_handlers = Later(self._import_message_handlers)
        self._handlers = self._actions()
        self._turns: asyncio.Task[TurnTasks] | None = None
        self._openai: OpenAiApi | None = None
        self._openai_types = Later(_import_openai)

    def _actions(self) -> dict[str, Handler]:
        handlers: dict[str, Handler] = {
            **{name: self._message_action(name) for name in MESSAGE_ACTIONS},
            **admin_actions.actions(self._settings),
            "stop": self._stops.handle,
        }
        for module, actions in ACTIONS_OF_MODULES.items():
            handlers |= on_first_use(actions, module)
        return handlers

    def _message_action(self, name: str) -> Handler:
        async def answer(clients: Clients, caller: Caller, body: Object) -> Object:
            return await (await self._message_handlers.get())[name](clients, caller, body)

        return answer

    def _import_message_handlers(self) -> Mapping[str, Handler]:
        from roleplay_chat.message_actions import actions

        return actions(self._settings.max_message_chars)

    async def respond(self, request: Request, request_id: str, held: AsyncExitStack) -> Response:
        """The response. `held` keeps the request's places in the limits until it is sent.

        Raises `ApiError`.
        """
        settings = self._settings
        turns = self._load_turns()
        token = bearer_token(request.headers.get("authorization"))
        user_id = await self._tokens.user_id(token)
        data = await self._bodies.read(request, user_id, held)
        if handler := self._handlers.get(str(data.get("action"))):
            if is_large := data["action"] in ("export_card", "export_chat"):
                await held.enter_async_context(self._large_answers.place(user_id))
            answer = await handler(self._clients, Caller(user_id, token), data)
            answer = answer | {"request_id": request_id}
            body = await self._clients.in_thread_unless(not is_large, dumps, answer)
            return InPieces(body, settings.send_timeout_seconds)
        chat = parse_request(data, max_message_chars=settings.max_message_chars)
        streamed = chat.stream or "text/event-stream" in request.headers.get("accept", "")

        timing = Timing()
        # Before the first turn, the embeddings model is unknown.
        query = await turns.result().query(chat, user_id) if turns.done() else None
        begun: BegunTurn | turn_store.Replay | None = None
        try:
            with timing.measure("begin"):
                begun = await turn_store.begin(
                    self._clients,
                    user_id,
                    chat,
                    lease_seconds=settings.lease_seconds,
                    cache=self._cache,
                    embedding=query.embedding if query else None,
                )
        finally:
            if query and not isinstance(begun, BegunTurn):
                turns.result().drop(query)
        if isinstance(begun, turn_store.Replay):
            replay = begun.to_json(request_id)
            return self._event_stream(replayed(replay)) if streamed else JSONResponse(replay)
        try:
            running = await asyncio.shield(turns)
            events = running.start(
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

    async def respond_to_openai(
        self, request: Request, request_id: str, held: AsyncExitStack
    ) -> Response:
        """The response to a program written for OpenAI's API. Raises `ApiError`."""
        if self._openai is None:
            turns = await asyncio.shield(self._load_turns())
            types = await self._openai_types.get()
            # Another first request may have made it meanwhile.
            self._openai = self._openai or self._make_openai(turns, *types)
        return await self._openai.respond(request, request_id, held)

    async def resume(
        self, request: Request, request_id: str, held: AsyncExitStack
    ) -> Response | None:
        """The rest of a turn's stream, for a reader who has read it up to an event; None if the id
        of that event is not one of ours. Raises `ApiError`."""
        event_id = EventId.parse(request.headers.get("last-event-id", ""))
        if event_id is None:
            return None
        user_id = await self._tokens.user_id(bearer_token(request.headers.get("authorization")))
        await held.enter_async_context(self._returning.place(user_id))
        turns = await asyncio.shield(self._load_turns())
        if events := turns.find(event_id.turn_id, user_id):
            return await self._stream(events, request_id, event_id.place, ends_when_left=True)
        asked = self._clients, user_id, event_id.turn_id, request_id
        if (answer := await saved_answer(*asked)) is not None:
            return self._event_stream(replayed(answer))
        chunks = awaited(*asked, seconds=self._settings.follow_check_seconds)
        return self._event_stream(chunks, ends_when_left=True)

    def _make_openai(
        self,
        turns: "TurnTasks",
        make_server: "type[Server]",
        make_api: "type[OpenAiApi]",
        make_keys: "type[Keys]",
    ) -> "OpenAiApi":
        server = make_server(
            self._clients,
            self._settings,
            self._cache,
            turns.query,
            turns.drop,
            self._bodies.read_small,
            turns.start,
            self._event_stream,
        )
        return make_api(server, make_keys(self._tokens))

    async def aclose(self) -> None:
        """Wait for the running turns, for a bounded time, then close the clients."""
        if self._turns:
            await (await self._turns).aclose()
        await self._clients.aclose()

    def _load_turns(self) -> "asyncio.Task[TurnTasks]":
        """The task that imports the modules of a turn; the first request starts it."""
        if self._turns is None:
            self._turns = asyncio.create_task(self._make_turns())
        return self._turns

    async def _make_turns(self) -> "TurnTasks":
        made = await load(_import_turns)
        return made(self._clients, self._settings, self._stops, self._cache, self._telemetry)

    async def _json(self, events: TurnEvents, request_id: str) -> Response:
        match await events.end():
            case Done(answer):
                return JSONResponse(answer.to_json())
            case Failed(error):
                return error.response(request_id)

    async def _stream(
        self,
        events: TurnEvents,
        request_id: str,
        place: Place = BEGINNING,
        *,
        ends_when_left: bool = False,
    ) -> Response:
        """Stream the events. A failure before the first heartbeat keeps its HTTP status."""
        reader = Reader(events, place, self._settings.heartbeat_seconds)
        first = await reader.next()
        if first and isinstance(failed := first[0][1], Failed):
            reader.close()
            return failed.error.response(request_id)
        chunks = written(reader, first, request_id)
        return self._event_stream(chunks, ends_when_left=ends_when_left)

    def _event_stream(
        self, chunks: AsyncGenerator[str, None], *, ends_when_left: bool = False
    ) -> Response:
        seconds = self._settings.send_timeout_seconds
        return EventStream(chunks, seconds, ends_when_left=ends_when_left)


def _import_openai() -> "tuple[type[Server], type[OpenAiApi], type[Keys]]":
    from roleplay_chat.openai_api.handlers import OpenAiApi, Server
    from roleplay_chat.openai_api.keys import Keys

    return Server, OpenAiApi, Keys


def _import_turns() -> "type[TurnTasks]":
    from roleplay_chat.turn_tasks import TurnTasks

    return TurnTasks
