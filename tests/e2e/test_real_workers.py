"""Turns on three real llama.cpp servers with a small model, which register themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from secrets import token_urlsafe
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest

from roleplay_chat.generation.workers import affinity
from tests.support import patient
from tests.support.real_model import Server, running_worker
from tests.support.stack import HEALTH_CHECK_SECRET, WORKER_KEY, Stack, User
from tests.support.waiting import wait_until
from tests.support.working_copy import UNHURRIED

NAMES = ("gpu-1", "gpu-2", "gpu-3")
TURNS = 15
"""In each of three conversations, after the first two."""


def make(stack: Stack, name: str) -> str:
    """Makes a worker like `make worker`, with the key that is sent to it. Returns its own key."""
    key = token_urlsafe(32)
    stack.db.execute("select make_worker(%s, %s)", (name, sha256(key.encode()).hexdigest()))
    stack.db.execute(
        "update private.workers set secret_name = 'Gpu_API_KEY' where name = %s", (name,)
    )
    return key


@pytest.fixture
def health_check(stack: Stack) -> Iterator[str]:
    """The address of health_check, which a scheduler calls."""
    ended = Event()

    def schedule(url: str) -> None:
        while not ended.wait(20):
            patient.post(url, headers={"X-Health-Check-Secret": HEALTH_CHECK_SECRET})

    with stack.serving("health_check", **UNHURRIED, Gpu_API_KEY=WORKER_KEY) as url:
        scheduler = Thread(target=schedule, args=[url])
        scheduler.start()
        try:
            yield url
        finally:
            ended.set()
            scheduler.join()


@pytest.fixture
def servers(stack: Stack, health_check: str) -> Iterator[dict[str, Server]]:
    """Three servers that are registered and healthy."""
    keys = {name: make(stack, name) for name in NAMES}
    with ExitStack() as running:
        found = {
            name: running.enter_context(running_worker(name, health_check, key))
            for name, key in keys.items()
        }

        def are_ready() -> bool:
            assert {server.process.poll() for server in found.values()} == {None}
            return healthy(stack) == set(NAMES)

        wait_until(are_ready, "the models to load and register", seconds=300)
        yield found


def healthy(stack: Stack) -> set[str]:
    return {row["name"] for row in stack.all("select * from chat_worker_health where is_healthy")}


def living_at(stack: Stack, user: User, name: str) -> UUID:
    """A conversation, with a character of few words, that prefers this worker."""
    while home(conversation := uuid4()) != name:
        pass
    character = stack.insert("characters", user_id=user.id, name="Vera", description="A baker.")
    return stack.conversation(user, id=conversation, character_id=character)


def home(conversation: UUID) -> str:
    return max(NAMES, key=lambda name: affinity(name, str(conversation)))


def say(stack: Stack, user: User, conversation: UUID, url: str, message: str) -> dict[str, Any]:
    ask = {"conversation_id": str(conversation), "message": message}
    answer = stack.chat(user, url=url, model_provider="chat_worker", **ask)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_conversations_are_spread_and_warm_and_survive_the_end_of_a_worker(
    stack: Stack, servers: dict[str, Server]
) -> None:
    stack.configure(limits={"default": {}})
    user = stack.user()
    conversations = {name: living_at(stack, user, name) for name in NAMES}
    with stack.serving(**UNHURRIED, Gpu_API_KEY=WORKER_KEY) as url:
        for name, conversation in conversations.items():
            first = say(stack, user, conversation, url, "Good evening. Who are you?")
            cold = servers[name].stats()["prompt_tokens_evaluated"]
            say(stack, user, conversation, url, "And the lamp?")
            warm = servers[name].stats()["prompt_tokens_evaluated"] - cold
            assert first["model_used"] == f"chat_worker:{name}"
            assert 0 < warm < cold / 2
        spread = {name: server.stats()["requests"] for name, server in servers.items()}
        assert spread == dict.fromkeys(NAMES, 2)

        answers: list[dict[str, Any]] = []

        def talk(conversation: UUID) -> None:
            for number in range(TURNS):
                answers.append(say(stack, user, conversation, url, f"Turn {number}."))

        with ThreadPoolExecutor(len(NAMES)) as pool:
            running = [pool.submit(talk, conversation) for conversation in conversations.values()]
            half = TURNS * len(NAMES) // 2
            wait_until(lambda: len(answers) >= half, "half of the turns", seconds=1500)
            servers["gpu-1"].process.kill()
            for future in running:
                future.result()

    assert len(answers) == TURNS * len(NAMES)
    assert {(reply["success"], reply["saved"]) for reply in answers} == {(True, True)}
    for conversation in conversations.values():
        found = stack.said(conversation)
        assert [sender for sender, _ in found] == ["user", "character"] * (TURNS + 2)
    statuses = Counter(row["status"] for row in stack.all("select status from turns"))
    # A turn whose reply had begun when its worker died is saved as far as it came.
    assert statuses["complete"] + statuses["incomplete"] == (TURNS + 2) * len(NAMES)
    assert statuses["incomplete"] <= 1
    used = Counter(row["model_used"] for row in stack.all("select model_used from turns"))
    assert set(used) == {f"chat_worker:{name}" for name in NAMES}
    assert stack.upstream.calls == []
