"""GET /v1/models, GET /v1/models/<id> and POST /v1/chat/completions."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from uuid import UUID

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from edge.clients import Clients
from edge.errors import ApiError
from edge.json_values import id_text
from edge.timing import Timing
from roleplay_chat import turn_store
from roleplay_chat.api import ChatRequest, Done, Failed
from roleplay_chat.memory.embedder import Query
from roleplay_chat.openai_api.answers import Answers, model, model_list, told
from roleplay_chat.openai_api.completions import (
    Completion,
    is_long,
    model_not_found,
    parse_completion,
)
from roleplay_chat.openai_api.keys import Credential, Keys
from roleplay_chat.openai_api.model_ids import character_of
from roleplay_chat.rows import BegunTurn
from roleplay_chat.settings import Settings
from roleplay_chat.turn_cache import TurnCache
from roleplay_chat.turn_events import BEGINNING, Reader, TurnEvents

_ROUTE = re.compile(r"/v1/(?:(chat/completions)|models(?:/(.+))?)/?\Z", re.S)


class Server(Struct, frozen=True):
    """The parts of the function that the API uses."""

    clients: Clients
    settings: Settings
    cache: TurnCache
    query: Callable[[ChatRequest, UUID], Awaitable[Query | None]]
    """Embeds the message of a request: `TurnTasks.query`."""
    drop: Callable[[Query | None], None]
    """Records a query whose request began no turn: `TurnTasks.drop`."""
    read_body: Callable[[Request, UUID, AsyncExitStack], Awaitable[dict[str, Any]]]
    start: Callable[..., TurnEvents]
    """Runs a turn: `TurnTasks.start`."""
    event_stream: Callable[[AsyncGenerator[str, None]], Response]


class OpenAiApi:
    """Answers requests whose path contains /v1/. Raises `ApiError`."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys

    async def respond(self, request: Request, request_id: str, held: AsyncExitStack) -> Response:
        """The response. `held` keeps the request's places in limits until it is sent."""
        if (route := _ROUTE.search(request.scope["path"])) is None:
            sentence = "There is no such address. Use /v1/models and /v1/chat/completions."
            raise ApiError(404, "unknown_url", sentence)
        is_completion, model_id = route.groups()
        methods = "OPTIONS, POST" if is_completion else "GET, HEAD, OPTIONS"
        if request.method not in methods.split(", "):
            raise ApiError(405, "method_not_allowed", f"Allowed here: {methods}.", allow=methods)
        if request.method == "OPTIONS":  # Not a preflight, which the middleware answers.
            return PlainTextResponse("OK", headers={"Allow": methods})
        credential = await self._keys.credential(request.headers.get("authorization"))
        if is_completion:
            return await self._complete(request, credential, request_id, held)
        return await self._models(credential, model_id)

    async def _models(self, credential: Credential, model_id: str | None) -> Response:
        character_id = character_of(model_id) if model_id else None
        if model_id and character_id is None:
            raise model_not_found()
        found = await self._server.clients.rpc(
            "list_chat_characters",
            {
                "p_user_id": id_text(credential.user_id),
                "p_key_hash": credential.key_hash,
                "p_character_id": id_text(character_id),
            },
            person=credential.whose,
        )
        self._keys.note(credential, is_known=found["outcome"] != "unknown_api_key")
        if found["outcome"] != "listed":
            raise turn_store.blocked(found)
        if model_id is None:
            return JSONResponse(model_list(found["characters"]))
        if not found["characters"]:
            raise model_not_found()
        return JSONResponse(model(found["characters"][0]))

    async def _complete(
        self, request: Request, credential: Credential, request_id: str, held: AsyncExitStack
    ) -> Response:
        server = self._server
        data = await server.read_body(request, credential.whose, held)
        parse = partial(parse_completion, max_message_chars=server.settings.max_message_chars)
        completion = await server.clients.in_thread_unless(
            not is_long(data), parse, data, request.headers
        )
        timing = Timing()
        query = await server.query(completion.chat, credential.whose)
        begun: BegunTurn | turn_store.Replay | None = None
        try:
            with timing.measure("begin"):
                user_id, begun = await self._begin(credential, completion.chat, query)
        finally:
            if not isinstance(begun, BegunTurn):
                server.drop(query)
        if isinstance(begun, turn_store.Replay):
            return self._replay(completion, begun, request_id)
        try:
            events = server.start(
                completion.applied_to(begun),
                completion.chat,
                user_id,
                request,
                request_id,
                timing,
                completion.stream,
                query,
                keeps_text=begun.conversation is not None,
                caller=credential.whose,
            )
        except Exception:
            await turn_store.abandon(server.clients, begun.turn.id)
            raise
        answers = Answers(completion, str(begun.turn.id))
        if completion.stream:
            return await self._stream(answers, events)
        response = await _json(answers, events)
        response.headers["Server-Timing"] = timing.header()
        return response

    async def _begin(
        self, credential: Credential, chat: ChatRequest, query: Query | None
    ) -> tuple[UUID, BegunTurn | turn_store.Replay]:
        clients, seconds = self._server.clients, self._server.settings.lease_seconds
        cache = self._server.cache
        embedding = query.embedding if query else None
        if user_id := credential.user_id:
            return user_id, await turn_store.begin(
                clients, user_id, chat, lease_seconds=seconds, cache=cache, embedding=embedding
            )
        try:
            begun = await turn_store.begin_with_key(
                clients,
                credential.key_hash or "",
                credential.whose,
                chat,
                lease_seconds=seconds,
                embedding=embedding,
            )
        except ApiError as error:
            self._keys.note(credential, is_known=error.status != 401)
            raise
        self._keys.note(credential, is_known=True)
        return begun

    def _replay(
        self, completion: Completion, replay: turn_store.Replay, request_id: str
    ) -> Response:
        answer = replay.to_json(request_id)
        answers = Answers(completion, answer["turn_id"])
        if completion.stream:
            return self._server.event_stream(answers.replayed(answer))
        return JSONResponse(answers.whole(answer))

    async def _stream(self, answers: Answers, events: TurnEvents) -> Response:
        """Stream the chunks. A failure before the first heartbeat keeps its HTTP status."""
        reader = Reader(events, BEGINNING, self._server.settings.heartbeat_seconds)
        first = await reader.next()
        if first and isinstance(failed := first[0][1], Failed):
            reader.close()
            raise failed.error
        return self._server.event_stream(answers.streamed(reader, first))


async def _json(answers: Answers, events: TurnEvents) -> Response:
    match await events.end():
        case Done(answer):
            return JSONResponse(answers.whole(told(answer)))
        case Failed(error):
            raise error
