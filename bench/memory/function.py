"""The function in this process: a real database, scripted models, and no socket."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import httpx
from psycopg.types.json import Jsonb

from bench.memory.prompts import Prompt
from edge.clients import Clients
from roleplay_chat import endpoints
from roleplay_chat.app import App
from roleplay_chat.memory.request import INSTRUCTIONS
from roleplay_chat.settings import Settings
from tests.support.keys import Keys
from tests.support.postgres import Connection

URL = "http://127.0.0.1/supabase"
MODEL = "cognitivecomputations/dolphin-mistral-24b-venice-edition:free"
"""The model of the seed that answers and takes the notes."""
MAX_TOKENS = 400
"""The tokens of its replies."""

Begun = dict[str, Any]
"""The result of begin_turn."""
TakeNotes = Callable[[Mapping[str, Any]], str]
"""A note-taker: the JSON object that it is sent, to its answer."""


class RequestRefused(RuntimeError):
    """The function refused a request: its body, or by the content policy."""


def no_notes(_: Mapping[str, Any]) -> str:
    """A note-taker whose answers are unusable."""
    return ""


@dataclass
class Function:
    """The function, and what it did in its last request. Use it in one event loop."""

    db: Connection
    keys: Keys = field(default_factory=lambda: Keys(f"{URL}/auth/v1"))
    reply: str = ""
    """The model's next reply."""
    take_notes: TakeNotes = no_notes
    shown: Callable[[Begun], Begun] = lambda begun: begun
    """What a turn is shown of the result of begin_turn, to measure without some of it."""
    prompt: Prompt | None = None
    """The prompt of the last request; None if no model was asked for a reply."""
    calls: list[str] = field(default_factory=list)
    """The database functions that the last request called."""
    steps: int = 0
    """How often notes were taken."""
    embeddings: str = ""
    """The address of an embeddings model; "" for none."""
    embedded: int = 0
    """How many turns began with the embedding of their message."""

    def __post_init__(self) -> None:
        settings = Settings(
            supabase_url=URL,
            supabase_secret_key=self.keys.secret,
            supabase_jwt_secret=self.keys.secret,
            log_level="error",
        )
        # The app sets it for the whole process.
        self._log_level = getLogger("roleplay_chat").level
        with patch.object(endpoints, "Clients", lambda settings: _Clients(settings, self)):
            self._app = App(settings, endpoints.Endpoints(settings))
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self._app.asgi), base_url="http://function"
        )

    async def ask(self, user_id: UUID, **body: Any) -> dict[str, Any]:
        """One request, until nothing of it is left to do. Raises `RequestRefused` for a body that
        the function refuses, and `RuntimeError` if it fails otherwise."""
        self.prompt, self.calls = None, []
        others = asyncio.all_tasks()
        token = self.keys.token(user_id, "HS256")
        answer = await self._http.post(
            "/", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=None
        )
        if late := asyncio.all_tasks() - others:  # Notes that were not ready with the reply.
            await asyncio.wait(late)
        said = f"{answer.status_code}: {answer.text[:300]}"
        if answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.FORBIDDEN):
            raise RequestRefused(said)
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(said)
        return dict(answer.json())

    async def say(self, user_id: UUID, conversation_id: UUID, message: str, reply: str) -> Prompt:
        """One turn. Returns the prompt that the model received."""
        self.reply = reply
        await self.ask(
            user_id,
            conversation_id=str(conversation_id),
            message=message,
            client_message_id=str(uuid4()),
        )
        assert self.prompt is not None
        return self.prompt

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()
        await self._app.aclose()
        getLogger("roleplay_chat").setLevel(self._log_level)

    def call(self, function: str, parameters: Mapping[str, Any]) -> Any:
        """Call a database function, as PostgREST does."""
        self.calls.append(function)
        if function == "begin_turn":
            # All of the history: what is measured may be shown only a part of it.
            parameters = {name: value for name, value in parameters.items() if name != "p_known"}
        self.embedded += parameters.get("p_embedding") is not None
        given = ", ".join(f"{name} => %({name})s" for name in parameters)
        values = {
            name: Jsonb(value) if isinstance(value, dict | list) else value
            for name, value in parameters.items()
        }
        query = f"select public.{function}({given}) as result"
        result = self.db.execute(query.encode(), values).fetchall()[0]["result"]
        return self.shown(result) if function == "begin_turn" else result

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The response of the model."""
        body = json.loads(request.content)
        if str(body["messages"][0]["content"]).startswith(INSTRUCTIONS):
            self.steps += 1
            text = self.take_notes(json.loads(body["messages"][1]["content"]))
        else:
            self.prompt = body["messages"]
            text = self.reply
        return _stream(text) if body.get("stream") else _whole(text)


class _Clients(Clients):
    """Calls the database and the models directly."""

    def __init__(self, settings: Settings, function: Function) -> None:
        super().__init__(settings)
        self._function = function
        self._models = httpx.AsyncClient(transport=_Models(function))

    def http(self) -> httpx.AsyncClient:
        """The client for the models."""
        return self._models

    async def rpc(
        self,
        function: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        person: UUID | None = None,
    ) -> Any:
        """Call a database function."""
        return self._function.call(function, parameters or {})


class _Models(httpx.AsyncBaseTransport):
    def __init__(self, function: Function) -> None:
        self._function = function

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if request.url.path.endswith("/embeddings"):
            async with httpx.AsyncClient(timeout=60) as real:
                answer = await real.post(self._function.embeddings, content=request.content)
            return httpx.Response(answer.status_code, content=answer.content)
        return self._function.answer(request)


def _stream(text: str) -> httpx.Response:
    parts = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]},
        {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]},
    ]
    events = [f"data: {json.dumps(part)}\n\n" for part in parts]
    return httpx.Response(
        200,
        headers={"Content-Type": "text/event-stream"},
        content="".join([*events, "data: [DONE]\n\n"]).encode(),
    )


def _whole(text: str) -> httpx.Response:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return httpx.Response(200, json={"object": "chat.completion", "choices": [choice]})


# --- rows ------------------------------------------------------------------------------------


def prepare(db: Connection, context_tokens: int) -> None:
    """One model with this context for replies and notes, and no limits."""
    db.execute(
        "update api_models set is_active = model_key = %s, is_default = false,"
        " capabilities = capabilities || %s where task = 'roleplay'",
        [MODEL, Jsonb({"context_tokens": context_tokens})],
    )
    db.execute("update api_providers set auth_scheme = 'none'")
    db.execute("update private.system_settings set config = config || '{\"limits\": {}}'")


def prepare_embeddings(db: Connection) -> None:
    """The table of embeddings, and a row for an embeddings model."""
    db.execute("select private.install_embeddings()")
    db.execute(
        "insert into api_models (provider_id, model_key, display_name, modality, task, is_active)"
        " select m.provider_id, 'embedder', 'Embedder', 'embedding', 'embedding', true"
        " from api_models m where m.model_key = %s limit 1",
        [MODEL],
    )


def make_person(db: Connection, name: str) -> UUID:
    """A new user with this name."""
    user_id = uuid4()
    db.execute("insert into auth.users (id, email) values (%s, %s)", [user_id, f"{user_id}@a.b"])
    db.execute("insert into profiles (id, display_name) values (%s, %s)", [user_id, name])
    return user_id


def make_character(db: Connection, like: UUID, book: Mapping[str, Any] | None) -> UUID:
    """A new character that differs from another one in its book alone."""
    character_id = uuid4()
    own = Jsonb({"id": str(character_id), "character_book": book})
    db.execute(
        "insert into characters select (jsonb_populate_record(c, %s)).* from characters c"
        " where c.id = %s",
        [own, like],
    )
    return character_id


def make_conversation(db: Connection, user_id: UUID, character_id: UUID) -> UUID:
    """A new conversation."""
    row = db.execute(
        "insert into conversations (user_id, character_id) values (%s, %s) returning id",
        [user_id, character_id],
    ).fetchall()[0]
    return UUID(str(row["id"]))


def let_a_minute_pass(db: Connection) -> None:
    """A minute between two turns, as far as the wait after failed notes is concerned."""
    db.execute("update conversation_summaries set not_before = not_before - interval '1 minute'")


@contextmanager
def undone(function: Function) -> Iterator[None]:
    """Undo what happens in the block, in which no notes are taken either."""
    shown = function.shown

    def without_notes(begun: Begun) -> Begun:
        memory = begun.get("memory")
        return shown(begun | {"memory": memory and memory | {"may_write": False}})

    function.shown = without_notes
    try:
        with function.db.transaction(force_rollback=True):
            yield
    finally:
        function.shown = shown
