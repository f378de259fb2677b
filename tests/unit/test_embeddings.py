"""Embeddings: what is made of a server's answer, and which texts a model is given."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.bounded import busy
from edge.clients import Clients
from roleplay_chat import turn_store
from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.embeddings import (
    MAX_DIMENSIONS,
    embedding_target,
    parse_vectors,
    unit,
)
from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.error_policies import ERROR_POLICIES
from roleplay_chat.memory import embedder
from roleplay_chat.memory.embedder import (
    MAX_CALLS,
    MAX_QUERIES_A_MINUTE,
    PROBE,
    Embedder,
    may_read,
)
from roleplay_chat.rows import BegunTurn, ModelRow, ProviderRow
from roleplay_chat.screening.rules import NEW_AT_ONCE_CHARS, Signals, detect
from roleplay_chat.settings import Settings
from roleplay_chat.turn_record import usage_row


def row(**more: Any) -> ModelRow:
    base_url = more.pop("base_url", "https://api.example.com/v1")
    provider = ProviderRow(name="p", base_url=base_url, secret_name="P_API_KEY")
    return ModelRow(model_key="m", display_name="M", provider=provider, **more)


def answer(*vectors: object) -> dict[str, Any]:
    rows = [{"index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    return {"object": "list", "data": rows}


@pytest.mark.parametrize(
    ("base_url", "path", "url"),
    [
        ("https://api.example.com/v1", None, "https://api.example.com/v1/embeddings"),
        (
            "https://api.example.com/v1/chat/completions",
            None,
            "https://api.example.com/v1/embeddings",
        ),
        ("https://api.example.com", None, "https://api.example.com/v1/embeddings"),
        ("https://api.example.com/v1", "/embed", "https://api.example.com/v1/embed"),
    ],
)
def test_address(base_url: str, path: str | None, url: str) -> None:
    assert embedding_target(row(base_url=base_url, endpoint_path=path)).url == url


@pytest.mark.parametrize(
    ("capabilities", "tokens"),
    [({}, 512), ({"context_tokens": 8192}, 8192), ({"context_tokens": "many"}, 512)],
)
def test_how_much_of_a_text_is_sent(capabilities: dict[str, Any], tokens: int) -> None:
    assert embedding_target(row(capabilities=capabilities)).context_tokens == tokens


def test_vectors_stand_in_the_order_of_their_texts() -> None:
    rows = [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [3, 4]}]
    assert parse_vectors({"data": rows}, 2) == [[0.6, 0.8], [0.0, 1.0]]


def test_order_counts_where_there_is_no_index() -> None:
    rows = [{"embedding": [3, 4]}, {"embedding": [0, 2]}]
    assert parse_vectors({"data": rows}, 2) == [[0.6, 0.8], [0.0, 1.0]]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"data": None},
        {"data": {}},
        {"data": []},
        {"data": [[1, 2]]},
        {"data": [{"index": 0}]},
        answer([1, 2], [3, 4]),
        {"data": [{"index": 7, "embedding": [1, 2]}]},
        {"data": [{"index": True, "embedding": [1, 2]}]},
        {"data": [{"index": "0", "embedding": [1, 2]}]},
        answer([]),
        answer("AAAA"),
        answer([0, 0]),
        answer([1, "2"]),
        answer([1, None]),
        answer([True, 1]),
        answer([math.nan, 1]),
        answer([math.inf, 1]),
        answer([10**400, 1]),
        answer([1.0] * (MAX_DIMENSIONS + 1)),
    ],
)
def test_anything_else_is_no_embedding(odd: dict[str, Any]) -> None:
    assert parse_vectors(odd, 1) is None


def test_all_have_the_same_size() -> None:
    assert parse_vectors(answer([1, 2], [1, 2, 3]), 2) is None


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=50))
@example([5e-324, 5e-324])
def test_vectors_have_length_1(numbers: list[float]) -> None:
    vector = unit(numbers)
    assert vector is None or math.hypot(*vector) == pytest.approx(1, abs=1e-3)


class Instance:
    """An embedder whose model answers at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.seconds = 6000.0
        monkeypatch.setattr(embedder, "embed", self._embed)
        monkeypatch.setattr(embedder, "time", SimpleNamespace(monotonic=lambda: self.seconds))
        settings = Settings(supabase_url="http://127.0.0.1", supabase_secret_key="s")
        record = partial(usage_row, purpose="embedding")
        self.embedder = Embedder(Clients(settings), settings, record)
        self.embedder._clients.http = lambda: None  # type: ignore[assignment,method-assign,return-value]

    async def _embed(self, *arguments: Any, **_: Any) -> tuple[list[list[float]], Attempt]:
        self.asked.append(arguments[3][0])
        return [[1.0]], Attempt(arguments[2], 1)


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Instance:
    return Instance(monkeypatch)


def test_queries_of_one_user_are_bounded(instance: Instance) -> None:
    """Also those of requests that the database then refuses."""
    asked, model = instance.asked, instance.embedder
    model.learn(begun_turn(), UUID(int=1))
    model.learn(begun_turn(), UUID(int=2))

    async def ask(message: str, user: int, times: int) -> None:
        request = ChatRequest(message=message, conversation_id=CONVERSATION)
        for _ in range(times):
            await model.query(request, UUID(int=user))

    asyncio.run(ask("often", 1, 40))
    asyncio.run(ask("once", 2, 1))
    assert (asked.count("often"), asked.count("once")) == (MAX_QUERIES_A_MINUTE, 1)
    instance.seconds += 60
    asyncio.run(ask("later", 1, 1))
    assert asked[-1] == "later"


CONVERSATION = UUID(int=7)
NOW = datetime.now(UTC)
FREE = row(pricing={"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0})
KNOWN = {"id": CONVERSATION, "remembers": True}
KEY = UUID(int=3)
"""Stands for an API key of user 1."""


def begun_turn(**columns: Any) -> BegunTurn:
    begun = {"now": NOW, "turn": {"id": UUID(int=1)}, "user": {}, "conversation": KNOWN}
    priced = row(pricing={"prompt_usd_per_1k": 0.01, "completion_usd_per_1k": 0})
    return BegunTurn.model_validate(begun | {"embedding_models": [priced]} | columns)


COOLDOWN = {"scope": "model", "key": "p:m", "until": NOW + timedelta(seconds=60)}


@pytest.mark.parametrize(
    ("told", "later", "caller", "message", "is_asked"),
    [
        pytest.param({}, 0, 1, "A boat", True, id="known"),
        pytest.param({}, 0, KEY.int, "A boat", True, id="key"),
        pytest.param({}, 0, 2, "A boat", False, id="somebody-else"),
        pytest.param({}, 1000, 1, "A boat", False, id="long-ago"),
        pytest.param({"conversation": KNOWN | {"remembers": False}}, 0, 1, "A", False, id="off"),
        pytest.param({"conversation": None}, 0, 1, "A boat", False, id="none"),
        pytest.param({}, 0, 1, "They undressed.", False, id="signal"),
        pytest.param({}, 0, 1, "She is twelve years old.", False, id="minor"),
        pytest.param({"free_only": True}, 0, 1, "A boat", False, id="spent"),
        pytest.param({"embedding_models": [FREE], "free_only": True}, 0, 1, "A", True, id="free"),
        pytest.param({"cooldowns": [COOLDOWN]}, 59, 1, "A boat", False, id="cooling"),
        pytest.param({"cooldowns": [COOLDOWN]}, 61, 1, "A boat", True, id="cooled"),
    ],
)
def test_message_is_embedded_ahead_only_where_its_last_turn_allows_it(
    instance: Instance,
    told: dict[str, Any],
    later: float,
    caller: int,
    message: str,
    is_asked: bool,
) -> None:
    model = instance.embedder
    model.learn(begun_turn(**told), UUID(int=1))
    model.learn(begun_turn(**told), UUID(int=1), KEY)
    instance.seconds += later
    request = ChatRequest(message=message, conversation_id=CONVERSATION)
    query = asyncio.run(model.query(request, UUID(int=caller)))
    assert (query and query.user_id) == (UUID(int=1) if is_asked else None)


class TestThread:
    """Long texts are screened in a thread, because the event loop answers others meanwhile."""

    @pytest.fixture
    def threads(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The threads in which texts were screened."""
        threads: list[int] = []

        def noting(text: str) -> Signals:
            threads.append(threading.get_ident())
            return detect(text)

        monkeypatch.setattr(embedder, "detect", noting)
        return threads

    @pytest.mark.parametrize("chars", [NEW_AT_ONCE_CHARS, NEW_AT_ONCE_CHARS + 1])
    def test_message(self, instance: Instance, threads: list[int], chars: int) -> None:
        message = "a" * chars
        instance.embedder.learn(begun_turn(), UUID(int=1))
        request = ChatRequest(message=message, conversation_id=CONVERSATION)
        assert asyncio.run(instance.embedder.query(request, UUID(int=1)))
        assert instance.asked == [message]
        assert (threads == [threading.get_ident()]) == (chars == NEW_AT_ONCE_CHARS)

    def test_message_is_not_embedded_ahead_where_no_thread_is_free(
        self, instance: Instance, threads: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def none_is_free(*_: object) -> None:
            raise busy()

        instance.embedder.learn(begun_turn(), UUID(int=1))
        monkeypatch.setattr(instance.embedder._clients, "in_thread", none_is_free)
        request = ChatRequest(message="a" * 4_000, conversation_id=CONVERSATION)
        assert asyncio.run(instance.embedder.query(request, UUID(int=1))) is None
        assert (threads, instance.asked) == ([], [])

    @pytest.mark.parametrize("count", [1, 8])
    def test_stored_messages(
        self,
        instance: Instance,
        threads: list[int],
        monkeypatch: pytest.MonkeyPatch,
        count: int,
    ) -> None:
        row = {"id": 1, "speaker": "Ada", "content": "a" * 1_000, "digest": "d"}
        batches = [[row] * count, []]

        async def embed_messages(*_: Any, **__: Any) -> list[dict[str, Any]]:
            return batches.pop(0)

        monkeypatch.setattr(turn_store, "embed_messages", embed_messages)
        begun = begun_turn()
        instance.embedder.learn(begun, UUID(int=1))
        asyncio.run(instance.embedder.index(begun, None, "sfw"))
        assert len(threads) == count
        assert (threading.get_ident() in threads) == (count == 1)


@pytest.mark.parametrize(
    ("text", "tier", "by_any", "by_adult"),
    [
        ("We took a puppy home.", "sfw", True, True),
        ("They had sex, and slept.", "nsfw", False, True),
        ("They had sex, and slept.", "sfw", False, False),
    ],
)
def test_what_is_sexual_is_read_by_models_for_adults_alone(
    text: str, tier: Tier, by_any: bool, by_adult: bool
) -> None:
    adult = embedding_target(row(capabilities={"nsfw": True}))
    assert may_read(embedding_target(row()), text, tier) == by_any
    assert may_read(adult, text, tier) == by_adult


class TestRefusal:
    """A text that the model refuses keeps no other from being embedded."""

    @pytest.fixture
    def server(self, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Server:
        return Server(instance, monkeypatch)

    @pytest.mark.parametrize(
        "policy", ["bad_request", "context_too_long", "unreadable", "server_error", "worker_failed"]
    )
    @pytest.mark.parametrize("place", [0, 7, 15])
    def test_others_of_its_batch_are_embedded(
        self, server: Server, policy: str, place: int
    ) -> None:
        server.refuses("bad ", policy)
        server.index(*["good"] * place, "bad " * 20, *["good"] * (15 - place))
        assert server.saved == [[1.0]] * place + [None] + [[1.0]] * (15 - place)
        assert server.is_asked_by_others()

    def test_one_that_is_too_long_is_embedded_by_its_beginning(self, server: Server) -> None:
        server.refuses_longer_than(100)
        server.index("word " * 30)
        assert server.saved == [[1.0]]
        assert server.is_asked_by_others()

    def test_newest_message_alone(self, server: Server) -> None:
        server.refuses("bad", "bad_request")
        server.index("bad " * 20)
        assert server.saved == [None]
        assert server.is_asked_by_others()

    def test_nothing_is_given_up_where_the_model_refuses_everything(self, server: Server) -> None:
        """Its row may have a wrong parameter."""
        server.refuses("", "bad_parameters")
        server.index(*["good"] * 16)
        assert server.saved == []
        assert len(server.asked) < MAX_CALLS
        assert not server.is_asked_by_others()

    @pytest.mark.parametrize("policy", ["rate_limited", "overloaded", "timed_out", "unreachable"])
    def test_nothing_is_given_up_in_an_outage(self, server: Server, policy: str) -> None:
        server.refuses("", policy)
        server.index("good")
        assert server.saved == []
        assert len(server.asked) == 1
        assert not server.is_asked_by_others()

    @pytest.mark.parametrize("policy", ["server_error", "worker_failed"])
    def test_nothing_is_given_up_where_even_a_harmless_text_fails(
        self, server: Server, policy: str
    ) -> None:
        server.refuses("", policy)
        server.index(*["good"] * 16)
        assert server.saved == []
        assert len(server.asked) == 2
        assert server.asked[1] == [PROBE]
        assert not server.is_asked_by_others()

    def test_a_turn_makes_few_calls(self, server: Server) -> None:
        server.refuses("bad", "bad_request")
        server.index(*["bad " * 20, "good"] * 8)
        assert len(server.asked) == MAX_CALLS
        assert [1.0] in server.saved
        assert None in server.saved

    def test_question_that_is_refused_is_searched_by_words(self, server: Server) -> None:
        server.refuses("bad", "bad_request")
        server.instance.embedder.learn(begun_turn(), UUID(int=1))
        request = ChatRequest(message="bad", conversation_id=CONVERSATION)
        query = asyncio.run(server.instance.embedder.query(request, UUID(int=1)))
        assert query
        assert query.embedding is None
        assert server.is_asked_by_others()


class Server:
    """An embeddings server that refuses some texts, and a conversation that is embedded."""

    def __init__(self, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instance = instance
        self.asked: list[list[str]] = []
        self.saved: list[list[float] | None] = []
        self._rows: list[dict[str, Any]] = []
        self._refuses: Callable[[str], bool] = lambda text: False
        self._policy = ""
        monkeypatch.setattr(embedder, "embed", self._embed)
        monkeypatch.setattr(turn_store, "embed_messages", self._embed_messages)

    def refuses(self, words: str, policy: str) -> None:
        self._refuses, self._policy = (lambda text: words in text), policy

    def refuses_longer_than(self, chars: int) -> None:
        self._refuses, self._policy = (lambda text: len(text) > chars), "context_too_long"

    def index(self, *texts: str) -> None:
        """Index a conversation with these messages."""
        self._rows = [
            {"id": place, "speaker": "Ada", "content": text, "digest": "d"}
            for place, text in enumerate(texts)
        ]
        begun = begun_turn()
        self.instance.embedder.learn(begun, UUID(int=1))
        asyncio.run(self.instance.embedder.index(begun, None, "sfw"))

    def is_asked_by_others(self) -> bool:
        """Whether the model is asked for the next message of another user."""
        self._refuses = lambda text: False
        self.instance.embedder.learn(begun_turn(), UUID(int=2))
        request = ChatRequest(message="Where is my hound?", conversation_id=CONVERSATION)
        query = asyncio.run(self.instance.embedder.query(request, UUID(int=2)))
        return query is not None and query.embedding is not None

    async def _embed(self, *arguments: Any, **_: Any) -> tuple[list[list[float]] | None, Attempt]:
        target, texts = arguments[2], arguments[3]
        self.asked.append(texts)
        if any(map(self._refuses, texts)):
            return None, Attempt(target, 1, failure=Failure(ERROR_POLICIES[self._policy]))
        return [[1.0]] * len(texts), Attempt(target, 1)

    async def _embed_messages(self, *arguments: Any, limit: int) -> list[dict[str, Any]]:
        rows = {row["id"]: row for row in self._rows}
        for one in arguments[3]:
            self.saved.append(one["embedding"])
            del rows[one["message_id"]]
        self._rows = list(rows.values())
        return self._rows[:limit]
