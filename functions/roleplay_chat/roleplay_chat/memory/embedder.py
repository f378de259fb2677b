"""Embeds messages, so that they can be found by meaning.

A person's message is embedded before the turn begins, in a fraction of a second or not at all. It
has not been screened by then, so only messages without any signal are embedded, in conversations
that the instance knows to be remembered. Stored messages are embedded after the turn, a few at a
time; failures are retried after a later turn, except for a text that the model refuses.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from logging import WARNING, getLogger
from typing import Any
from uuid import UUID

from cachetools import LRUCache
from msgspec import Struct

from edge.clients import Clients
from edge.errors import ApiError
from edge.json_text import dumps
from edge.json_values import fields
from edge.pricing import is_free
from roleplay_chat import turn_store
from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.embeddings import Vector, embed, embedding_target
from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.routing import on_cooldown
from roleplay_chat.generation.targets import Target
from roleplay_chat.rows import BegunTurn, CooldownRow, ModelRow
from roleplay_chat.screening.rules import NEW_AT_ONCE_CHARS, NOTHING, detect
from roleplay_chat.settings import Settings
from roleplay_chat.uuid7 import uuid7

QUERY_SECONDS = 0.3
"""How long a turn waits for the embedding of the person's message."""
MAX_QUERIES_A_MINUTE = 30
"""For one user. The database counts turns, but only after the message was embedded."""
BATCH_SECONDS = 20.0
"""The time limit for a batch of stored messages."""
BATCH_SIZE = 16
MAX_BATCHES = 4
MAX_CALLS = 16
"""Of one turn. A batch with a text that is refused is divided until that text is alone."""
COOLDOWN_SECONDS = 60.0
"""How long a model is not called after an outage, or while it refuses everything."""
PROBE = "Hello."
"""A text that every working model embeds."""
KNOWN_SECONDS = 900.0
"""How long a conversation counts as remembered after a turn that said so."""
MAX_KNOWN = 10_000
"""How many conversations, and how many callers, an instance remembers from their last turns."""

BuildUsageRow = Callable[[Attempt], dict[str, Any]]

_log = getLogger("roleplay_chat")


class Query(Struct, frozen=True):
    """The call for a person's message, and its embedding for begin_turn, if it succeeded."""

    attempt: Attempt
    embedding: Mapping[str, Any] | None
    user_id: UUID
    """Who pays for it."""


class _Model(Struct, frozen=True):
    target: Target
    parameters: Mapping[str, Any]
    is_free: bool
    space: str
    """What its embeddings are saved under: `ModelRow.vector_space`."""


class _Known(Struct, frozen=True):
    """What the last turn of a conversation told the instance."""

    user_id: UUID
    remembers: bool
    at: float
    """On the monotonic clock, in seconds."""


class Embedder:
    """Embeds with the instance's embeddings model, which it knows from earlier turns."""

    def __init__(
        self, clients: Clients, settings: Settings, build_usage_row: BuildUsageRow
    ) -> None:
        """`build_usage_row` makes a row of usage_events of a call."""
        self._clients = clients
        self._settings = settings
        self._build_usage_row = build_usage_row
        self._rows: Sequence[ModelRow] = ()
        self._model: _Model | None = None
        self._cools_until = 0.0
        """After an outage here. `_cooldowns` are those that all instances share."""
        self._cooldowns: tuple[Sequence[CooldownRow], datetime] = (), datetime.now(UTC)
        """The cooldowns of the last turn, and when it began by the database's clock."""
        self._told_at = 0.0
        """When that was here."""
        self._known = LRUCache[tuple[UUID, UUID], _Known](MAX_KNOWN)
        """By caller and conversation."""
        self._free_only = LRUCache[UUID, bool](MAX_KNOWN)
        """Whether a caller's budget was spent at the last turn."""
        self._minute = 0
        self._queries = Counter[UUID]()
        """How many queries each user had in this minute."""

    def learn(self, begun: BegunTurn, user_id: UUID, caller: UUID | None = None) -> None:
        """Take over what the rows of a user's turn say: the model, its cooldowns, whether the
        conversation is remembered, and whether the budget is spent. `caller` is as in `query`."""
        caller, now = caller or user_id, time.monotonic()
        self._cooldowns, self._told_at = (begun.cooldowns, begun.now), now
        if begun.embedding_models != self._rows:
            self._rows, self._model = begun.embedding_models, _first(begun.embedding_models)
        if self._model is None:
            return
        self._free_only[caller] = begun.free_only
        if begun.conversation:
            known = _Known(user_id, begun.conversation.remembers, now)
            self._known[caller, begun.conversation.id] = known

    async def query(self, request: ChatRequest, caller: UUID) -> Query | None:
        """Embed the message of a request; None if there is no model, nothing to embed, or no
        certainty that the model may read it. `caller` is the user, or distinguishes an API key."""
        model, message = self._ready(), request.message or ""
        if model is None or request.action != "send" or not message.strip():
            return None
        known = self._of_remembered(request.conversation_id, caller)
        if known is None or (self._free_only.get(caller, False) and not model.is_free):
            return None
        if self._has_had_enough(caller) or not await self._is_harmless(message):
            return None
        vectors, attempt = await self._embed(model, [message], QUERY_SECONDS)
        if not vectors:
            return Query(attempt, None, known.user_id)
        # As text: the database would parse a list number by number.
        embedding = {"model": model.space, "embedding": dumps(vectors[0]).decode()}
        return Query(attempt, embedding, known.user_id)

    async def index(self, begun: BegunTurn, query: Query | None, tier: Tier) -> None:
        """Embed messages of a turn's conversation that have no embedding yet. `tier` is the one
        that the content policy allows the turn. Raises nothing."""
        if begun.conversation is None or self._model is None:
            await self.record(query)
            return
        attempts = [query.attempt] if query else []
        try:
            await self._index(begun, self._model, tier, attempts)
        except ApiError:
            _log.log(WARNING, "embeddings not saved", extra={"fields": _ids(begun)})
        except Exception:
            _log.exception("messages cannot be embedded", extra={"fields": _ids(begun)})

    async def record(self, query: Query | None) -> None:
        """Record the call of a query without a turn. Raises nothing."""
        if query is None:
            return
        try:
            usage = [self._build_usage_row(query.attempt)]
            await turn_store.record_query(self._clients, uuid7(), query.user_id, usage)
        except Exception:
            _log.exception("a call for an embedding is not recorded")

    async def _index(
        self, begun: BegunTurn, model: _Model, tier: Tier, attempts: list[Attempt]
    ) -> None:
        turn_id, embedded = begun.turn.id, list[dict[str, Any]]()
        may_ask = self._ready() is not None and (model.is_free or not begun.free_only)
        for batch in range(MAX_BATCHES + 1):
            is_last = batch == MAX_BATCHES or not may_ask
            rows = await turn_store.embed_messages(
                self._clients,
                turn_id,
                model.space,
                embedded,
                [self._build_usage_row(attempt) for attempt in attempts],
                limit=0 if is_last else BATCH_SIZE,
            )
            if is_last or not rows:
                return
            texts = [f"{row['speaker']}: {row['content']}" for row in rows]
            readable = await self._readable(model, texts, tier)
            asked = {place: text for place, text in enumerate(texts) if readable[place]}
            vectors, may_ask = await self._embed_each(model, asked, attempts)
            embedded = list(_embedded(rows, readable, vectors))

    async def _embed_each(
        self, model: _Model, texts: Mapping[int, str], attempts: list[Attempt]
    ) -> tuple[Mapping[int, Vector | None], bool]:
        """The vectors of texts by their places, None for those that the model refuses; and whether
        it may be asked for more. Missing texts should be tried later. A refusal concerns one text:
        the others are embedded without it, and it is tried once more alone, with half of its
        length. Before a lone text, or texts after a bare 500, count as refused, the model has to
        embed something harmless.
        """
        found: dict[int, Vector | None] = {}
        parts = [list(texts)] if texts else []
        works = False
        while parts and len(attempts) < MAX_CALLS:
            part = parts.pop(0)
            vectors, failure = await self._ask(model, [texts[place] for place in part], attempts)
            is_blamed = failure is not None and _may_be_of_a_text(failure)
            if is_blamed and not works and (len(part) == 1 or _is_bare(failure)):
                works = await self._reads_anything(model, attempts)
                if not works:
                    self._cool_down()
                    return found, False
            if is_blamed and len(part) > 1:
                middle = len(part) // 2
                parts[:0] = [part[:middle], part[middle:]]
                continue
            if is_blamed and (half := _first_half(model.target, texts[part[0]])):
                vectors, failure = await self._ask(model, [half], attempts)
            if failure and not _may_be_of_a_text(failure):
                return found, False
            works = works or vectors is not None
            given: Sequence[Vector | None] = vectors or [None]
            found.update(zip(part, given, strict=True))
        return found, len(attempts) < MAX_CALLS

    async def _ask(
        self, model: _Model, texts: Sequence[str], attempts: list[Attempt]
    ) -> tuple[list[Vector] | None, Failure | None]:
        vectors, attempt = await self._embed(model, texts, BATCH_SECONDS)
        attempts.append(attempt)
        return vectors, attempt.failure

    async def _reads_anything(self, model: _Model, attempts: list[Attempt]) -> bool:
        """Whether the model reads a harmless text. If not, its row may be wrong, and no text is to
        blame."""
        vectors, _ = await self._ask(model, [PROBE], attempts)
        return vectors is not None

    async def _readable(self, model: _Model, texts: Sequence[str], tier: Tier) -> list[bool]:
        """Which of the texts the model may read. Long ones are screened in a thread."""

        def readable() -> list[bool]:
            return [may_read(model.target, text, tier) for text in texts]

        is_quick = sum(map(len, texts)) <= NEW_AT_ONCE_CHARS
        return await self._clients.in_thread_unless(is_quick, readable)

    async def _is_harmless(self, message: str) -> bool:
        """As `is_harmless`; false if the thread that screens a long message takes too long."""
        is_quick = len(message) <= NEW_AT_ONCE_CHARS
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                return await self._clients.in_thread_unless(is_quick, is_harmless, message)
        except (TimeoutError, ApiError):
            return False

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
            if not _may_be_of_a_text(attempt.failure):
                self._cool_down()
            failure = {"target": model.target.name, "outcome": attempt.failure.policy.name}
            _log.warning("no embedding", extra={"fields": failure | {"why": attempt.failure.why}})
        return vectors, attempt

    def _cool_down(self) -> None:
        self._cools_until = time.monotonic() + COOLDOWN_SECONDS

    def _has_had_enough(self, user_id: UUID) -> bool:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._queries = minute, Counter()
        self._queries[user_id] += 1
        return self._queries[user_id] > MAX_QUERIES_A_MINUTE

    def _of_remembered(self, conversation_id: UUID | None, caller: UUID) -> _Known | None:
        """What is known of a conversation, if that includes that it is remembered."""
        known = conversation_id and self._known.get((caller, conversation_id))
        if not known or not known.remembers or time.monotonic() - known.at > KNOWN_SECONDS:
            return None
        return known

    def _ready(self) -> _Model | None:
        """The model, if it may be called now."""
        now = time.monotonic()
        if self._model is None or now < self._cools_until:
            return None
        cooldowns, told = self._cooldowns
        is_cooling = on_cooldown(
            self._model.target, cooldowns, told + timedelta(seconds=now - self._told_at)
        )
        return None if is_cooling else self._model


def is_harmless(text: str) -> bool:
    """Whether the rules of the content policy find nothing at all in a text."""
    return detect(text) == NOTHING


def may_read(target: Target, text: str, tier: Tier) -> bool:
    """Whether a model may read a text of a turn of this tier: never one that no model may read, and
    a sexual one only if both the model and the turn are for the adult tier."""
    found = detect(text)
    if found.absolute or found.together:
        return False
    return (target.adult and tier == "nsfw") or not (found.explicit or found.soft)


def _first(rows: Sequence[ModelRow]) -> _Model | None:
    """The first active model. Never another one while it is on cooldown: their embeddings cannot be
    compared, so all messages would have to be embedded again, and back."""
    row = next((row for row in rows if row.is_active), None)
    if row is None:
        return None
    target = embedding_target(row)
    free = is_free(row.model_key, row.pricing)
    return _Model(target, fields(row.input_defaults), free, row.vector_space or target.name)


def _first_half(target: Target, text: str) -> str:
    """What is left of a text that the model refused: the number of tokens is an estimate, so it may
    still have been too long."""
    tokens = target.tokens
    return tokens.beginning(text, min(tokens.count(text), target.context_tokens) // 2).strip()


def _may_be_of_a_text(failure: Failure) -> bool:
    """Whether the text may be to blame, so that others may still be embedded. This includes an
    answer without a vector for each text: some texts make numbers overflow."""
    return failure.policy.kind in _OF_A_TEXT or failure.policy.name in (
        "worker_broken_context",
        *_BARE,
    )


_OF_A_TEXT = frozenset({"bad_request", "context_too_long", "moderated", "unreadable"})
_BARE = frozenset({"server_error", "worker_failed"})
"""A 500 without an explanation: the server is down, or cannot embed this text."""


def _is_bare(failure: Failure | None) -> bool:
    return failure is not None and failure.policy.name in _BARE


def _embedded(
    rows: Sequence[Mapping[str, Any]],
    readable: Sequence[bool],
    vectors: Mapping[int, Vector | None],
) -> Iterator[dict[str, Any]]:
    """The rows to save: with a vector, or without one where the model must not or cannot read the
    text."""
    for place, row in enumerate(rows):
        if place in vectors or not readable[place]:
            vector = vectors.get(place)
            yield {"message_id": row["id"], "digest": row["digest"], "embedding": vector}


def _ids(begun: BegunTurn) -> dict[str, str]:
    return {"turn_id": str(begun.turn.id)}
