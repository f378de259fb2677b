"""The known faults of the system that this one replaces, with their numbers.

A test here or elsewhere shows that each is fixed. `test_x.py::Class::test` is in this folder.

 1  newest messages never reached the model     here
 2  the newest message was in the prompt twice  test_turn.py::TestPrompt::
                                                test_prompt_has_history_in_order_and_the_message_once,
                                                test_adopts_the_message_that_the_client_wrote_itself
 3  anybody could read and write anyone's chat  here; test_requests.py::
                                                test_user_in_the_body_is_not_believed
 4  health writer and registration overwrote    here; test_health_check.py::
    each other                                  test_overlapping_runs_and_a_registration_...
 5  any /health body counted as healthy         here; test_health_check.py::
                                                test_worker_that_does_not_say_that_it_is_well_is_down
 6  a reply that was not saved was a success    here; test_turn.py::TestFailure::
                                                test_reply_that_cannot_be_saved_is_given_and_...
 7  providers' rows were ignored                here; test_turn.py::TestRouting::
                                                test_model_key_goes_to_that_model_as_its_rows_say
 8  failures surfaced as 500 with raw text,     here; ../unit/test_failures.py (which failure is
    429 was never retried                       which, and what is done about it)
 9  clean-up destroyed paragraphs, cut replies  here; ../unit/test_reply.py
10  ten round trips a turn                      test_turn.py::TestReply::
                                                test_turn_takes_two_round_trips
11  prompts and replies in logs and usage rows  here; test_canaries.py; test_turn.py::
                                                test_log_line_tells_the_outcome_and_no_words
12  anybody could register a worker; a new      test_schema.py::TestCatalog::
    worker's health record lacked workerUrl     test_service_functions_are_for_the_service_...,
                                                TestSystemConfig::
                                                test_a_person_does_not_call_what_functions_call;
                                                test_health_check.py::
                                                test_next_turn_uses_what_the_check_found
13  only browser tabs refreshed the health      test_health_check.py (the scheduler's call);
                                                ../e2e/test_local_stack.py (the scheduler itself)
14  a worker that failed gave 500               here; test_turn.py::TestRouting::
                                                test_worker_that_fails_is_replaced_...,
                                                test_worker_that_is_gone_is_replaced_...
15  error text became the character's words     test_turn.py::TestFailure::
                                                test_failure_is_a_sentence_and_never_the_characters_words
16  cost was guessed                            here; test_turn.py::TestReply::
                                                test_records_usage_with_the_cost_...,
                                                test_costs_what_the_row_says_when_...
17  errors were told apart by substrings        here
18  ages were rewritten instead of refused      here: nothing is rewritten;
                                                test_content_policy.py: it is refused
"""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from edge.logs import JsonFormatter
from tests.support.answers import (
    error,
    held,
    html,
    models,
    stall,
    stream,
    text,
    worker_error,
    worker_healthy,
)
from tests.support.stack import Stack, User
from tests.support.waiting import Gate


def conversing(stack: Stack, *said: str, **columns: Any) -> tuple[User, UUID]:
    """A user and a conversation."""
    user = stack.user()
    return user, stack.conversation(user, *said, **columns)


def say(stack: Stack, user: User, conversation: UUID, message: str, **body: Any) -> dict[str, Any]:
    """One turn that must be answered."""
    answer = stack.chat(user, conversation_id=str(conversation), message=message, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def healthy_worker(stack: Stack) -> None:
    stack.register_worker()
    stack.worker_health()


@contextmanager
def logged(name: str) -> Iterator[io.StringIO]:
    """The log lines of a function during the block."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        yield written
    finally:
        logger.removeHandler(handler)


def test_fault_01_newest_messages_are_in_the_prompt_after_fifty(stack: Stack) -> None:
    said = [f"Message {number}." for number in range(130)]
    user, conversation = conversing(stack, *said, remembers=False)
    stack.upstream.enqueue(text("Yes."))

    say(stack, user, conversation, "And now?")

    prompt = [message["content"] for message in stack.upstream.calls[-1].json["messages"][1:]]
    assert prompt[-1] == "And now?"
    assert prompt[:-1] == said[-len(prompt) + 1 :]
    assert len(prompt) > 50


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"message": "Hello"}, id="send"),
        pytest.param({"message": "Hello", "stream": True}, id="stream"),
        pytest.param({"kickoff": True}, id="kickoff"),
        pytest.param({"action": "regenerate"}, id="regenerate"),
        pytest.param({"action": "impersonate"}, id="impersonate"),
        pytest.param({"message": "Hello", "task": "storytelling"}, id="storytelling"),
        pytest.param({"message": "Hello", "task": "prompt_enhancement"}, id="prompt-enhancement"),
    ],
)
def test_fault_03_nobody_else_reads_or_writes_a_conversation(
    stack: Stack, body: dict[str, Any]
) -> None:
    owner, conversation = conversing(stack, "Secret.", "I keep it.")
    stranger = stack.user()

    answer = stack.chat(stranger, user_id=str(owner.id), conversation_id=str(conversation), **body)

    assert (answer.status_code, answer.json()["code"]) == (404, "conversation_not_found")
    assert stack.said(conversation) == [("user", "Secret."), ("character", "I keep it.")]
    assert stack.all("select id from turns") == []
    assert stack.upstream.calls == []


def test_fault_04_registration_during_a_health_check_is_kept(stack: Stack) -> None:
    stack.register_worker()
    moved = f"{stack.worker.url}/moved"
    gate = Gate()
    stack.worker.enqueue(held(gate, worker_healthy()), to="/health")
    check = threading.Thread(target=stack.health_check)
    check.start()
    gate.wait_reached()

    stack.register_worker(moved)
    gate.open()
    check.join()
    user, conversation = conversing(stack)
    stack.upstream.enqueue(text("From OpenRouter."))
    body = say(stack, user, conversation, "Hello", model_provider="chat_worker")

    config = stack.one("select config from system_config")["config"]
    assert config["chatWorkerUrl"] == moved
    assert config["workerHealthCache"]["chatWorker"]["workerUrl"] == stack.worker.url
    # A health record of the old address says nothing about the new one.
    assert body["usedFallback"] is True
    assert [call.path for call in stack.worker.calls] == ["/health"]


def test_fault_05_page_of_a_proxy_is_no_healthy_worker_of_any_protocol(stack: Stack) -> None:
    stack.register_worker(protocol="openai")
    stack.worker.enqueue(html(200), to="/health")
    stack.worker.always(models("qwen"), to="/v1/models")

    [record] = stack.health_check().json()["workers"].values()

    assert record["isHealthy"] is False


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(["Good \ud83d", "\ude00 evening."], id="surrogate-pair-in-two-deltas"),
        pytest.param(["Good \ud83d evening."], id="half-a-surrogate-pair"),
        pytest.param(["Good \0 evening."], id="nul"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["json", "stream"])
def test_fault_06_reply_that_the_database_cannot_hold_as_it_is_is_saved_all_the_same(
    stack: Stack, parts: list[str], streamed: bool
) -> None:
    user, conversation = conversing(stack)
    stack.upstream.enqueue(stream(parts))

    if streamed:
        body = stack.stream(user, conversation_id=str(conversation), message="Hello")[-1].data
    else:
        body = say(stack, user, conversation, "Hello")

    assert body["response"].startswith("Good ")
    assert body["response"].endswith(" evening.")
    assert stack.said(conversation)[-1] == ("character", body["response"])


@pytest.mark.parametrize(
    ("scheme", "header", "sent"),
    [
        ("bearer", "Authorization", {"authorization": "Bearer key-of-the-house"}),
        ("header", "X-House-Key", {"x-house-key": "key-of-the-house"}),
        ("bearer", "X-House-Key", {"x-house-key": "Bearer key-of-the-house"}),
        ("none", "Authorization", {}),
    ],
    ids=["bearer", "header", "bearer-in-another-header", "none"],
)
def test_fault_07_provider_is_called_as_its_row_says(
    stack: Stack, scheme: str, header: str, sent: dict[str, str]
) -> None:
    provider = stack.insert(
        "api_providers",
        name="house",
        display_name="House",
        base_url=f"{stack.worker.url}/deep/v7",
        auth_scheme=scheme,
        auth_header_name=header,
        secret_name="House_API_KEY",
    )
    stack.insert(
        "api_models",
        provider_id=provider,
        model_key="house/model",
        display_name="House model",
        modality="roleplay",
        task="roleplay",
    )
    user, conversation = conversing(stack)
    stack.worker.enqueue(text("From the house."))

    with stack.serving(House_API_KEY="key-of-the-house") as url:
        body = say(stack, user, conversation, "Hello", url=url, model_provider="house/model")

    [call] = stack.worker.calls
    assert call.path == "/deep/v7/chat/completions"
    keys = {n: v for n, v in call.headers.items() if "key" in n or n == "authorization"}
    assert keys == sent
    assert body["model_used"] == "house:house/model"
    assert stack.upstream.calls == []


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 429, 500, 502, 503])
def test_fault_08_failure_of_every_model_is_no_500_with_raw_text(stack: Stack, status: int) -> None:
    user, conversation = conversing(stack)
    raw = {"error": {"code": status, "message": "raw-text of upstream", "metadata": {"raw": "raw"}}}
    # Too long to wait: the turn ends at once.
    stack.upstream.always(error(status, raw, {"Retry-After": "300"}))

    answer = stack.chat(user, conversation_id=str(conversation), message="Hello")

    body = answer.json()
    assert 400 <= answer.status_code <= 599
    assert answer.status_code != 500
    assert set(body) >= {"success", "error", "code", "request_id"}
    assert (body["success"], body["code"] != "internal_error") == (False, True)
    assert "raw" not in answer.text
    assert body["error"].endswith(".")
    assert stack.said(conversation) == [("user", "Hello")]


def test_fault_08_rate_limit_is_waited_out_where_waiting_is_short(stack: Stack) -> None:
    user, conversation = conversing(stack)
    limited = {"error": {"code": 429, "message": "Slow down"}}
    stack.upstream.enqueue(error(429, limited, {"Retry-After": "0"}), text("Now."))

    body = say(stack, user, conversation, "Hello")

    first, second = stack.upstream.models_called()
    assert first == second
    assert (body["response"], body["usedFallback"]) == ("Now.", False)


def test_fault_09_paragraphs_markdown_and_length_survive(stack: Stack) -> None:
    words = "".join(f"The tide turns  {hour} times. " for hour in range(80))
    whole = f"*She nods.*\n\n{words.strip()}\n\n- one\n  - two\n\n\n> Listen:\tand she does not"
    user, conversation = conversing(stack)
    stack.upstream.enqueue(text(whole), text("Well."), text(whole))

    body = say(stack, user, conversation, "Tell me.")
    say(stack, user, conversation, "And?")
    events = stack.stream(user, conversation_id=str(conversation), message="Once more.")

    assert body["response"] == whole
    assert "".join(event.data["text"] for event in events if event.name == "delta") == whole
    assert [said for sender, said in stack.said(conversation) if sender == "character"] == [
        whole,
        "Well.",
        whole,
    ]


def test_fault_11_words_are_in_messages_and_nowhere_else(stack: Stack) -> None:
    healthy_worker(stack)
    user, conversation = conversing(stack, "canary one", "canary two")
    echo = {"error": {"code": 400, "message": "canary: your prompt was 'canary three'"}}
    stack.worker.always(worker_error(500, "canary in the worker's words"))
    stack.upstream.enqueue(error(500, echo), stream(["canary ", "four"]))
    stack.upstream.always(error(500, echo))
    body = {"conversation_id": str(conversation), "model_provider": "chat_worker"}

    with logged("roleplay_chat") as log:
        stack.chat(user, message="canary three", scene_context="canary five", **body)
        stack.chat(user, message="canary six", **body)

    tables = stack.all(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables "
        "where schemaname in ('public', 'private')"
    )
    telling = {
        table["name"]
        for table in tables
        if stack.all(f"select from {table['name']} t where t::text like '%%canary%%'")
    }
    assert len(stack.all("select id from usage_events")) > 2
    assert telling == {"public.messages"}
    assert log.getvalue().count("turn finished") == 2
    assert "canary" not in log.getvalue()


@pytest.mark.parametrize("protocol", ["chat_worker", "openai"])
def test_fault_14_worker_that_never_answers_is_replaced(stack: Stack, protocol: str) -> None:
    stack.register_worker(protocol=protocol)
    stack.worker_health()
    user, conversation = conversing(stack)
    stack.worker.enqueue(stall())
    stack.upstream.enqueue(text("From OpenRouter."))

    with stack.serving(FIRST_TOKEN_TIMEOUT_SECONDS="2") as url:
        body = say(stack, user, conversation, "Hello", url=url, model_provider="chat_worker")

    assert (body["response"], body["usedFallback"]) == ("From OpenRouter.", True)
    assert stack.said(conversation)[-1] == ("character", "From OpenRouter.")


def test_fault_16_cost_that_nobody_names_is_not_known(stack: Stack) -> None:
    stack.db.execute("update api_models set pricing = '{}'")
    user, conversation = conversing(stack)
    stack.upstream.enqueue(text("Yes.", usage={"prompt_tokens": 150, "completion_tokens": 200}))

    body = say(stack, user, conversation, "Hello")

    usage = stack.one("select * from usage_events")
    assert body["usage"] == {"prompt_tokens": 150, "completion_tokens": 200, "cost_usd": None}
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (150, 200)
    assert usage["cost_usd"] is None


def test_fault_16_nothing_is_made_up_where_no_usage_is_sent(stack: Stack) -> None:
    stack.db.execute("""update api_models set pricing = '{"prompt_usd_per_1k": 1}'""")
    user, conversation = conversing(stack)
    stack.upstream.enqueue(text("Yes.", usage=None))

    body = say(stack, user, conversation, "Hello")

    assert set(body["usage"].values()) == {None}


def test_fault_17_words_of_a_failure_do_not_change_what_a_person_is_told(stack: Stack) -> None:
    told = set()
    for words in (
        "inference backend is restarting",
        "information missing",
        "CUDA out of memory",
        "unknown",
    ):
        healthy_worker(stack)
        user, conversation = conversing(stack)
        stack.worker.always(worker_error(500, words))
        stack.upstream.always(error(500, {"error": {"code": 500, "message": words}}))
        answer = stack.chat(
            user, conversation_id=str(conversation), message="Hello", model_provider="chat_worker"
        )
        told.add((answer.status_code, answer.json()["code"], answer.json()["error"]))
        stack.db.execute("delete from model_cooldowns")
    assert len(told) == 1
    assert "new conversation" not in str(told)


def test_fault_17_broken_numbers_in_the_worker_are_answered_by_another_model(stack: Stack) -> None:
    healthy_worker(stack)
    user, conversation = conversing(stack)
    stack.worker.enqueue(worker_error(500, "probability tensor contains inf"))
    stack.upstream.enqueue(text("From OpenRouter."))

    body = say(stack, user, conversation, "Hello", model_provider="chat_worker")

    assert body["response"] == "From OpenRouter."
    assert "new conversation" not in json.dumps(body)


@pytest.mark.parametrize(
    ("tier", "message", "answer"),
    [
        pytest.param(
            "sfw",
            "We met as teenagers, forty years ago, at a school for young girls and boys.",
            "I was a teen of 16 then, and you were a child of 12.",
            id="sfw",
        ),
        pytest.param(
            "nsfw",
            "That canteen was built in nineteen-sixteen.",
            "The velveteen is older than both of us.",
            id="nsfw",
        ),
    ],
)
def test_fault_18_words_about_age_are_neither_rewritten_nor_dropped(
    stack: Stack, tier: str, message: str, answer: str
) -> None:
    user = stack.user(age_verified=True)
    character = stack.insert(
        "characters", user_id=user.id, name="Vera", age=61, content_rating="nsfw"
    )
    conversation = stack.conversation(user, character_id=character)
    stack.upstream.enqueue(text(answer))

    body = say(stack, user, conversation, message, content_tier=tier)

    assert body["content_tier"] == tier
    assert stack.upstream.calls[-1].json["messages"][-1]["content"] == message
    assert stack.said(conversation) == [("user", message), ("character", answer)]
