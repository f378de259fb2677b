"""Turns on three real llama.cpp servers, each with a small model."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from roleplay_chat.generation.workers import affinity
from tests.support import patient
from tests.support.postgres import ROOT
from tests.support.stack import HEALTH_CHECK_SECRET, WORKER_KEY, Stack, User
from tests.support.waiting import free_port, wait_until
from tests.support.working_copy import KNOWN_WORDS, UNHURRIED

NAMES = ("gpu-1", "gpu-2", "gpu-3")
TURNS = 50


@dataclass
class Server:
    """A process with llama.cpp and the small model."""

    url: str
    process: subprocess.Popen[bytes]

    def stats(self) -> dict[str, int]:
        """What it did so far: requests, prompt_tokens_evaluated."""
        return dict(patient.get(f"{self.url}/health").json()["stats"])


@contextmanager
def llama() -> Iterator[Server]:
    port = free_port()
    env = {"WORKER_PORT": str(port), "CHAT_WORKER_API_KEY": WORKER_KEY, **KNOWN_WORDS}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dev.stack.worker"],
            cwd=ROOT,
            env={**os.environ, **env},
            stdout=log,
            stderr=log,
        )
        server = Server(f"http://127.0.0.1:{port}", process)

        def is_loaded() -> bool:
            assert process.poll() is None, "the model's process ended"
            with suppress(httpx.TransportError):
                return bool(patient.get(f"{server.url}/health").json()["model_loaded"])
            return False

        try:
            wait_until(is_loaded, "the model to load", seconds=300)
            yield server
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def servers(stack: Stack) -> Iterator[dict[str, Server]]:
    with ExitStack() as running:
        found = {name: running.enter_context(llama()) for name in NAMES}
        for name, server in found.items():
            stack.add_worker(
                name, server.url, model="SmolLM2-135M-Instruct", secret_name="Gpu_API_KEY"
            )
        yield found


@pytest.fixture
def url(stack: Stack, servers: dict[str, Server]) -> Iterator[str]:
    """The address of roleplay_chat, while a scheduler runs the health check."""
    settings = {**UNHURRIED, "Gpu_API_KEY": WORKER_KEY}
    ended = Event()

    def schedule(health_check: str) -> None:
        while not ended.wait(20):
            patient.post(health_check, headers={"X-Health-Check-Secret": HEALTH_CHECK_SECRET})

    with stack.serving("health_check", **settings) as health_check:
        scheduler = Thread(target=schedule, args=[health_check])
        scheduler.start()
        try:
            with stack.serving(**settings) as url:
                yield url
        finally:
            ended.set()
            scheduler.join()


def home(conversation: UUID) -> str:
    return max(NAMES, key=lambda name: affinity(name, str(conversation)))


def living_at(stack: Stack, user: User, name: str) -> UUID:
    """A conversation, with a character of few words, that prefers this worker."""
    while home(conversation := uuid4()) != name:
        pass
    character = stack.insert("characters", user_id=user.id, name="Vera", description="A baker.")
    stack.conversation(user, id=conversation, character_id=character)
    return conversation


def say(stack: Stack, user: User, conversation: UUID, url: str, message: str) -> dict[str, Any]:
    ask = {"conversation_id": str(conversation), "message": message}
    answer = stack.chat(user, url=url, model_provider="chat_worker", **ask)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_conversations_are_spread_and_their_prompts_stay_warm(
    stack: Stack, servers: dict[str, Server], url: str
) -> None:
    user = stack.user()
    for name, server in servers.items():
        conversation = living_at(stack, user, name)
        first = say(stack, user, conversation, url, "Good evening. Who are you?")
        cold = server.stats()["prompt_tokens_evaluated"]
        say(stack, user, conversation, url, "And the lamp?")
        warm = server.stats()["prompt_tokens_evaluated"] - cold
        assert first["model_used"] == f"chat_worker:{name}"
        assert 0 < warm < cold / 2
    assert {name: server.stats()["requests"] for name, server in servers.items()} == dict.fromkeys(
        NAMES, 2
    )


def test_worker_that_is_killed_loses_no_turn(
    stack: Stack, servers: dict[str, Server], url: str
) -> None:
    stack.configure(limits={"default": {}})
    user = stack.user()
    homes = ("gpu-1", "gpu-1", "gpu-2", "gpu-2", "gpu-3")
    conversations = [living_at(stack, user, name) for name in homes]
    messages = [f"Turn {number}." for number in range(TURNS // len(conversations))]
    answers: list[dict[str, Any]] = []

    def talk(conversation: UUID) -> None:
        for message in messages:
            answers.append(say(stack, user, conversation, url, message))

    with ThreadPoolExecutor(len(conversations)) as pool:
        running = [pool.submit(talk, conversation) for conversation in conversations]
        wait_until(lambda: len(answers) >= TURNS // 2, "half of the turns", seconds=1500)
        servers["gpu-1"].process.kill()
        for future in running:
            future.result()

    assert len(answers) == TURNS
    assert {reply["success"] for reply in answers} == {True}
    assert {reply["saved"] for reply in answers} == {True}
    for conversation in conversations:
        found = stack.said(conversation)
        assert [sender for sender, _ in found] == ["user", "character"] * len(messages)
    statuses = Counter(row["status"] for row in stack.all("select status from turns"))
    # A turn whose reply had begun when its worker died is saved as far as it came.
    assert statuses["complete"] + statuses["incomplete"] == TURNS
    assert statuses["incomplete"] <= 2
    used = Counter(row["model_used"] for row in stack.all("select model_used from turns"))
    assert set(used) == {f"chat_worker:{name}" for name in NAMES}
    assert stack.upstream.calls == []
