"""Turns with several workers: who is asked, and what happens when one cannot answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from roleplay_chat.generation.workers import affinity
from tests.support.answers import error, held, stall, text
from tests.support.stack import Stack, User
from tests.support.upstream import Upstream, refusing, running_upstream
from tests.support.waiting import Gate, wait_until

NAMES = ("gpu-1", "gpu-2", "gpu-3")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Upstream]]:
    with ExitStack() as running:
        yield {name: running.enter_context(running_upstream()) for name in NAMES}


@pytest.fixture
def workers(stack: Stack, servers: dict[str, Upstream]) -> Iterator[dict[str, Upstream]]:
    """Three healthy workers, each of which says its name."""
    for name, server in servers.items():
        server.reset()
        server.always(text(f"I am {name}."))
        stack.add_worker(name, server.url)
    yield servers
    stack.settle()
    for server in servers.values():
        server.reset()


@pytest.fixture
def user(stack: Stack) -> User:
    return stack.user()


def home(conversation: UUID, *names: str) -> str:
    """The worker that a conversation prefers."""
    return max(names or NAMES, key=lambda name: affinity(name, str(conversation)))


def living_at(stack: Stack, user: User, name: str, *names: str) -> UUID:
    """A conversation that prefers this worker."""
    while home(conversation := uuid4(), *names) != name:
        pass
    stack.conversation(user, id=conversation)
    return conversation


def say(stack: Stack, user: User, conversation: UUID, **body: Any) -> dict[str, Any]:
    ask = {
        "conversation_id": str(conversation),
        "message": "Hello",
        "model_provider": "chat_worker",
    }
    answer = stack.chat(user, **ask | body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def cooldowns(stack: Stack) -> set[str]:
    return {f"{row['scope']} {row['key']}" for row in stack.all("select * from model_cooldowns")}


@pytest.mark.installations
def test_conversation_stays_at_its_worker(
    stack: Stack, workers: dict[str, Upstream], user: User
) -> None:
    for name in NAMES:
        conversation = living_at(stack, user, name)
        for _ in range(2):
            body = say(stack, user, conversation)
            assert body["response"] == f"I am {name}."
            assert (body["model_used"], body["usedFallback"]) == (f"chat_worker:{name}", False)
    assert {name: len(server.calls) for name, server in workers.items()} == dict.fromkeys(NAMES, 2)


@pytest.mark.parametrize("status", [429, 503, 500, 401])
def test_worker_that_fails_is_passed_over_before_openrouter(
    stack: Stack, workers: dict[str, Upstream], user: User, status: int
) -> None:
    conversation = living_at(stack, user, "gpu-1")
    workers["gpu-1"].always(error(status))

    body = say(stack, user, conversation)

    other = home(conversation, "gpu-2", "gpu-3")
    assert body["response"] == f"I am {other}."
    assert body["usedFallback"] is False
    assert stack.upstream.calls == []
    assert len(workers["gpu-1"].calls) == 1
    assert cooldowns(stack) <= {"model chat_worker:gpu-1"}


def test_slow_worker_leaves_time_for_the_next(
    stack: Stack, workers: dict[str, Upstream], user: User
) -> None:
    conversation = living_at(stack, user, "gpu-1")
    workers["gpu-1"].always(stall())
    with stack.serving(TURN_BUDGET_SECONDS="6", FIRST_TOKEN_TIMEOUT_SECONDS="6") as url:
        ask = {"conversation_id": str(conversation), "message": "Hello"}
        body = stack.chat(user, url=url, model_provider="chat_worker", **ask).json()
    assert body["response"] == f"I am {home(conversation, 'gpu-2', 'gpu-3')}."
    assert cooldowns(stack) == {"model chat_worker:gpu-1"}


def test_model_answers_before_a_worker_that_is_full(
    stack: Stack, workers: dict[str, Upstream], user: User
) -> None:
    query = "update private.workers set slots = 1, reported_running = 1, reported_at = now()"
    stack.db.execute(f"{query} where name <> 'gpu-1'".encode())
    workers["gpu-1"].always(error(503))
    stack.upstream.enqueue(text("From OpenRouter."))
    body = say(stack, user, stack.conversation(user))
    assert body["response"] == "From OpenRouter."
    assert [len(workers[name].calls) for name in NAMES] == [1, 0, 0]


def test_cooldown_is_one_workers(stack: Stack, workers: dict[str, Upstream], user: User) -> None:
    conversation = living_at(stack, user, "gpu-1")
    with refusing() as url:
        stack.db.execute("update private.workers set url = %s where name = 'gpu-1'", (url,))
        stack.worker_health("gpu-1", workerUrl=url)
        say(stack, user, conversation)
        assert cooldowns(stack) == {"model chat_worker:gpu-1"}
        say(stack, user, conversation)
    other = home(conversation, "gpu-2", "gpu-3")
    assert len(workers[other].calls) == 2
    assert say(stack, user, living_at(stack, user, "gpu-2"))["response"] == "I am gpu-2."


def test_cooldown_of_all_workers_leads_to_a_model(
    stack: Stack, workers: dict[str, Upstream], user: User
) -> None:
    stack.db.execute(
        "insert into model_cooldowns (scope, key, until, reason)"
        " values ('provider', 'chat_worker', now() + interval '1 minute', 'a test')"
    )
    stack.upstream.enqueue(text("From OpenRouter."))
    body = say(stack, user, stack.conversation(user))
    assert (body["response"], body["usedFallback"]) == ("From OpenRouter.", True)


def test_unhealthy_or_draining_or_expired_worker_is_not_asked(
    stack: Stack, workers: dict[str, Upstream], user: User
) -> None:
    conversation = living_at(stack, user, "gpu-1")
    stack.worker_health("gpu-1", healthy=False, workerUrl=workers["gpu-1"].url)
    other = home(conversation, "gpu-2", "gpu-3")
    left = next(name for name in ("gpu-2", "gpu-3") if name != other)
    assert say(stack, user, conversation)["response"] == f"I am {other}."
    stack.db.execute("update private.workers set is_draining = true where name = %s", (other,))
    assert say(stack, user, conversation)["response"] == f"I am {left}."
    stack.db.execute("update private.workers set lease_expires_at = now() where name = %s", (left,))
    stack.upstream.enqueue(text("From OpenRouter."))
    assert say(stack, user, conversation)["response"] == "From OpenRouter."


@pytest.mark.parametrize("end", ["is_draining = true", "lease_expires_at = now()"])
def test_turn_that_is_running_ends_at_a_worker_that_takes_no_more(
    stack: Stack, workers: dict[str, Upstream], user: User, end: str
) -> None:
    conversation, gate = living_at(stack, user, "gpu-1"), Gate()
    workers["gpu-1"].always(held(gate, text("I am gpu-1.")))
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(say, stack, user, conversation)
        wait_until(lambda: len(workers["gpu-1"].calls) == 1, "the turn to reach its worker")
        query = f"update private.workers set {end} where name = 'gpu-1'"  # noqa: S608
        stack.db.execute(query.encode())
        gate.open()
        assert turn.result()["response"] == "I am gpu-1."
    assert say(stack, user, conversation)["response"] != "I am gpu-1."


def test_model_that_fails_is_replaced_by_any_worker(
    stack: Stack, workers: dict[str, Upstream], user: User
) -> None:
    stack.db.execute("update api_models set is_active = is_default")
    stack.upstream.always(error(503))
    conversation = living_at(stack, user, "gpu-3")
    body = say(stack, user, conversation, model_provider="")
    assert (body["model_used"], body["fallbackModel"]) == ("chat_worker:gpu-3", "chat_worker:gpu-3")
    assert body["notice"].endswith("; the local model gpu-3 answered instead.")


class TestByName:
    def test_named_worker_answers(
        self, stack: Stack, workers: dict[str, Upstream], user: User
    ) -> None:
        conversation = living_at(stack, user, "gpu-1")
        body = say(stack, user, conversation, model_provider="chat_worker:gpu-2")
        assert (body["response"], body["usedFallback"]) == ("I am gpu-2.", False)

    def test_named_worker_that_fails_is_replaced_by_another(
        self, stack: Stack, workers: dict[str, Upstream], user: User
    ) -> None:
        workers["gpu-2"].always(error(503))
        conversation = living_at(stack, user, "gpu-3")
        body = say(stack, user, conversation, model_provider="chat_worker:gpu-2")
        assert (body["response"], body["usedFallback"]) == ("I am gpu-3.", True)
        assert body["fallbackModel"] == "chat_worker:gpu-3"
        assert "the local model gpu-3 answered instead" in body["notice"]

    def test_name_that_nobody_has_is_told(
        self, stack: Stack, workers: dict[str, Upstream], user: User
    ) -> None:
        conversation = living_at(stack, user, "gpu-3")
        body = say(stack, user, conversation, model_provider="chat_worker:gpu-9")
        assert (body["response"], body["usedFallback"]) == ("I am gpu-3.", True)

    def test_worker_of_the_settings_has_a_name_too(
        self, stack: Stack, workers: dict[str, Upstream], user: User
    ) -> None:
        stack.register_worker(protocol="openai")
        stack.worker_health()
        stack.worker.enqueue(text("I am the first."))
        conversation = stack.conversation(user)
        body = say(stack, user, conversation, model_provider="chat_worker:chat_worker")
        assert (body["response"], body["model_used"]) == ("I am the first.", "chat_worker")


class TestKeys:
    def test_each_worker_gets_its_own_key_and_no_other(
        self, stack: Stack, workers: dict[str, Upstream], user: User
    ) -> None:
        stack.db.execute(
            "update private.workers set secret_name = 'Gpu_One_API_KEY' where name = 'gpu-1'"
        )
        with stack.serving(Gpu_One_API_KEY="canary") as url:
            for name in ("gpu-1", "gpu-2"):
                ask = {"conversation_id": str(living_at(stack, user, name)), "message": "Hello"}
                assert stack.chat(user, url=url, model_provider="chat_worker", **ask).is_success
        keys = {name: workers[name].calls[0].headers.get("authorization") for name in NAMES[:2]}
        assert keys == {"gpu-1": "Bearer canary", "gpu-2": None}

    def test_key_that_is_not_bound_to_the_address_is_not_sent(
        self, stack: Stack, workers: dict[str, Upstream], user: User
    ) -> None:
        conversation = living_at(stack, user, "gpu-1")
        public = "https://gpu.invalid"
        stack.db.execute(
            "update private.workers set secret_name = 'Gpu_One_API_KEY', url = %s"
            " where name = 'gpu-1'",
            (public,),
        )
        stack.worker_health("gpu-1", workerUrl=public)
        with stack.serving(Gpu_One_API_KEY="canary") as url:
            ask = {"conversation_id": str(conversation), "message": "Hello"}
            body = stack.chat(user, url=url, model_provider="chat_worker", **ask).json()
        assert body["response"] == f"I am {home(conversation, 'gpu-2', 'gpu-3')}."


class TestLoad:
    @pytest.fixture
    def one_slot_each(self, stack: Stack, workers: dict[str, Upstream]) -> dict[str, Upstream]:
        stack.db.execute("update private.workers set slots = 1")
        return workers

    def test_turns_at_once_go_to_workers_with_a_free_slot(
        self, stack: Stack, one_slot_each: dict[str, Upstream], user: User
    ) -> None:
        gates = {name: Gate() for name in NAMES}
        for name, server in one_slot_each.items():
            server.always(held(gates[name], text(f"I am {name}.")))
        stack.upstream.always(text("From OpenRouter."))

        def reached(number: int) -> bool:
            return sum(len(s.calls) for s in one_slot_each.values()) == number + 1

        answers: list[dict[str, Any]] = []
        threads = []
        for number in range(3):  # All prefer the same worker.
            conversation = living_at(stack, user, "gpu-1")
            thread = Thread(target=lambda c=conversation: answers.append(say(stack, user, c)))
            thread.start()
            threads.append(thread)
            wait_until(
                partial(reached, number),
                "the turn to reach a worker",
            )
        another = stack.user()
        last = say(stack, another, living_at(stack, another, "gpu-1"))
        for gate in gates.values():
            gate.open()
        for thread in threads:
            thread.join()
        assert {name: len(server.calls) for name, server in one_slot_each.items()} == dict.fromkeys(
            NAMES, 1
        )
        assert last["response"] == "From OpenRouter."
        assert "(it is busy)" in last["notice"]

    def test_count_costs_no_round_trip(
        self, stack: Stack, one_slot_each: dict[str, Upstream], user: User
    ) -> None:
        conversation = stack.conversation(user)
        stack.gateway.calls.clear()
        say(stack, user, conversation)
        assert stack.gateway.calls == [
            "POST /rest/v1/rpc/begin_turn",
            "POST /rest/v1/rpc/finish_turn",
        ]

    def test_slot_is_free_again_after_the_turn(
        self, stack: Stack, one_slot_each: dict[str, Upstream], user: User
    ) -> None:
        conversation = living_at(stack, user, "gpu-2")
        for _ in range(3):
            assert say(stack, user, conversation)["response"] == "I am gpu-2."

    def test_what_a_worker_says_counts(
        self, stack: Stack, one_slot_each: dict[str, Upstream], user: User
    ) -> None:
        conversation = living_at(stack, user, "gpu-1")
        query = (
            "update private.workers set reported_running = 1, reported_at = {} where name = 'gpu-1'"
        )
        stack.db.execute(query.format("now()").encode())
        assert say(stack, user, conversation)["model_used"] != "chat_worker:gpu-1"
        stack.db.execute(query.format("now() - interval '61 seconds'").encode())
        assert say(stack, user, conversation)["model_used"] == "chat_worker:gpu-1"

    def test_turn_for_a_model_counts_for_no_worker(
        self, stack: Stack, one_slot_each: dict[str, Upstream], user: User
    ) -> None:
        stack.upstream.enqueue(text("From OpenRouter."))
        say(stack, user, stack.conversation(user), model_provider="")
        assert stack.one("select worker from turns") == {"worker": None}

    def test_full_worker_answers_when_nothing_else_can(
        self, stack: Stack, one_slot_each: dict[str, Upstream], user: User
    ) -> None:
        stack.db.execute("update private.workers set reported_running = 1, reported_at = now()")
        stack.db.execute("update api_models set is_active = false")
        body = say(stack, user, stack.conversation(user))
        assert body["model_used"].startswith("chat_worker:")


@pytest.mark.own_tables("there a provider gets no requests until operators approve it")
def test_no_provider_has_the_name_of_the_workers(stack: Stack) -> None:
    row = {"name": "chat_worker", "display_name": "X", "base_url": "https://x.example/v1"}
    with pytest.raises(psycopg.errors.CheckViolation):
        stack.insert("api_providers", **row, auth_scheme="none")
