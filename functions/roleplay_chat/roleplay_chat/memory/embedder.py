"""Embeds messages, so that they can be found by meaning.

A person's message is embedded before the turn begins, in a fraction of a second or not at all.
Stored messages are embedded after the turn, a few at a time; failures are retried after a later
turn.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from logging import WARNING, getLogger
from typing import Any
from uuid import UUID

from edge.clients import Clients
from edge.errors import ApiError
from edge.json_text import dumps
from edge.json_values import fields
from edge.pricing import is_free
from roleplay_chat import turn_store
from roleplay_chat.api import ChatRequest
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.embeddings import Vector, embed, embedding_target
from roleplay_chat.generation.routing import Target, on_cooldown
from roleplay_chat.rows import BegunTurn, ModelRow
from roleplay_chat.screening.rules import detect
from roleplay_chat.settings import Settings

QUERY_SECONDS = 0.3
"""How long a turn waits for the embedding of the person's message."""
MAX_QUERIES_A_MINUTE = 30
"""For one user. The database counts turns, but only after the message was embedded."""
BATCH_SECONDS = 20.0
"""The time limit for a batch of stored messages."""
BATCH_SIZE = 16
MAX_BATCHES = 4
"""Of one turn."""
COOLDOWN_SECONDS = 60.0
"""How long a model is not called after a failure."""

_log = getLogger("roleplay_chat")


@dataclass(frozen=True)
class Query:
    """The call for a person's message, and its embedding for begin_turn, if it succeeded."""

    attempt: Attempt
    embedding: Mapping[str, Any] | None


@dataclass(frozen=True)
class _Model:
    target: Target
    parameters: Mapping[str, Any]
    is_free: bool


class Embedder:
    """Embeds with the instance's embeddings model, of which it learns from its turns."""

    def __init__(self, clients: Clients, settings: Settings) -> None:
        self._clients = clients
        self._settings = settings
        self._rows: Sequence[ModelRow] = ()
        self._model: _Model | None = None
        self._cools_until = 0.0
        self._minute = 0
        self._queries = Counter[UUID]()
        """How many queries each user had in this minute."""

    def learn(self, begun: BegunTurn) -> None:
        """Take over the model from the rows of a turn."""
        if begun.embedding_models != self._rows:
            self._rows, self._model = begun.embedding_models, _first(begun)

    async def query(self, request: ChatRequest, user_id: UUID) -> Query | None:
        """Embed the message of a request; None if there is no model or nothing to embed."""
        model = self._ready()
        if model is None or request.action != "send" or not (request.message or "").strip():
            return None
        if not may_read(model.target, request.message or "") or self._has_had_enough(user_id):
            return None
        vectors, attempt = await self._embed(model, [request.message or ""], QUERY_SECONDS)
        if not vectors:
            return Query(attempt, None)
        # As text: the database would take a list of numbers apart one by one.
        known = {"model": model.target.name, "embedding": dumps(vectors[0]).decode()}
        return Query(attempt, known)

    async def index(
        self,
        begun: BegunTurn,
        query: Query | None,
        build_usage_row: Callable[[Attempt], dict[str, Any]],
    ) -> None:
        """Embed messages of a turn's conversation that have no embedding yet. Raises nothing."""
        self.learn(begun)
        attempts = [query.attempt] if query else []
        if begun.conversation is None or self._model is None:
            return
        try:
            await self._index(begun, self._model, attempts, build_usage_row)
        except ApiError:
            _log.log(WARNING, "embeddings not saved", extra={"fields": _ids(begun)})
        except Exception:
            _log.exception("messages cannot be embedded", extra={"fields": _ids(begun)})

    async def _index(
        self,
        begun: BegunTurn,
        model: _Model,
        attempts: list[Attempt],
        build_usage_row: Callable[[Attempt], dict[str, Any]],
    ) -> None:
        turn_id, embedded = begun.turn.id, list[dict[str, Any]]()
        may_ask = self._ready() is not None and (model.is_free or not begun.free_only)
        for batch in range(MAX_BATCHES + 1):
            is_last = batch == MAX_BATCHES or not may_ask
            rows = await turn_store.embed_messages(
                self._clients,
                turn_id,
                model.target.name,
                embedded,
                [build_usage_row(attempt) for attempt in attempts],
                limit=0 if is_last else BATCH_SIZE,
            )
            if is_last or not rows:
                return
            texts = [f"{row['speaker']}: {row['content']}" for row in rows]
            readable = [may_read(model.target, text) for text in texts]
            asked = [text for text, may in zip(texts, readable, strict=True) if may]
            vectors: list[Vector] | None = []
            if asked:
                vectors, attempt = await self._embed(model, asked, BATCH_SECONDS)
                attempts.append(attempt)
            may_ask = vectors is not None
            embedded = list(_embedded(rows, readable, vectors or []))

    async def _embed(
        self, model: _Model, texts: Sequence[str], seconds: float
    ) -> tuple[list[Vector] | None, Attempt]:
        vectors, attempt = await embed(
            self._clients.http(),
            self._settings,
            model.target,
            texts,
            seconds=seconds,
            extra=model.parameters,
        )
        if attempt.failure:
            self._cools_until = time.monotonic() + COOLDOWN_SECONDS
            failure = {"target": model.target.name, "outcome": attempt.failure.policy.name}
            _log.warning("no embedding", extra={"fields": failure | {"why": attempt.failure.why}})
        return vectors, attempt

    def _has_had_enough(self, user_id: UUID) -> bool:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._queries = minute, Counter()
        self._queries[user_id] += 1
        return self._queries[user_id] > MAX_QUERIES_A_MINUTE

    def _ready(self) -> _Model | None:
        return self._model if time.monotonic() >= self._cools_until else None


def may_read(target: Target, text: str) -> bool:
    """Whether a model may read a text: never one that no model may read, and a sexual one only if
    the model is for the adult tier."""
    found = detect(text)
    if found.absolute or found.together:
        return False
    return target.adult or not (found.explicit or found.soft)


def _first(begun: BegunTurn) -> _Model | None:
    """The first active model that is not on cooldown."""
    models = [row for row in begun.embedding_models if row.is_active]
    targets = [(embedding_target(row), row) for row in models]
    ready = [pair for pair in targets if not on_cooldown(pair[0], begun.cooldowns, begun.now)]
    return next(
        (
            _Model(target, fields(row.input_defaults), is_free(row.model_key, row.pricing))
            for target, row in ready
        ),
        None,
    )


def _embedded(
    rows: Sequence[Mapping[str, Any]], readable: Sequence[bool], vectors: Sequence[Vector]
) -> Iterator[dict[str, Any]]:
    """The rows to save: with a vector, or without one where the model must not read the text."""
    left = iter(vectors)
    for row, may in zip(rows, readable, strict=True):
        vector = next(left, None) if may else None
        if vector is not None or not may:
            yield {"message_id": row["id"], "digest": row["digest"], "embedding": vector}


def _ids(begun: BegunTurn) -> dict[str, str]:
    return {"turn_id": str(begun.turn.id)}
