"""Any body gets a response in the documented format, and never a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.answers import text
from tests.support.stack import DEMO_CHARACTER, Stack, User
from tests.support.waiting import PATIENCE

WITHIN = {"no_model_available", "free_limit_reached"}
"""Codes of a 503 that are not faults."""

ACTIONS = ["send", "regenerate", "continue", "impersonate", "choose", "edit", "delete", "branch"]

_words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
_odd_words = _words | st.sampled_from(["", " ", "\x00", "\ud800", "{{char}}", "x" * 9000])

_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _odd_words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_odd_words, inner, max_size=4),
    max_leaves=8,
)
_good: dict[str, st.SearchStrategy[Any]] = {
    "kickoff": st.booleans(),
    "character_id": st.sampled_from(["character", ""]),
    "user_character_id": st.sampled_from(["character", ""]),
    "model_provider": st.sampled_from(["", "chat_worker", "qwen-local", "no/such-model"]),
    "memory_tier": st.sampled_from(["conversation", "character", "profile"]),
    "content_tier": st.sampled_from(["sfw", "nsfw"]),
    "scene_context": _words,
    "scene_system_prompt": _words,
    "scene_name": _words,
    "scene_description": _words,
    "scene_starters": st.lists(_words | st.none(), max_size=3),
    "user_role": _words,
    "task": st.sampled_from(["roleplay", "storytelling", "prompt_enhancement"]),
    "action": st.sampled_from(ACTIONS),
    "message_id": st.uuids().map(str),
    "onwards": st.booleans(),
    "on_disconnect": st.sampled_from(["finish", "stop"]),
    "stream": st.booleans(),
    "client_message_id": _words,
}
_names = st.sampled_from(["conversation_id", "message", *_good]) | _odd_words
_bodies_to_answer = st.fixed_dictionaries(
    {"conversation_id": st.just("conversation"), "message": _words}, optional=_good
)
_bodies_with_a_fault = st.builds(
    lambda body, name, value: body | {name: value}, _bodies_to_answer, _names, _anything
)
_bodies = st.one_of(
    st.one_of(_bodies_to_answer, _bodies_with_a_fault, _anything).map(json.dumps).map(str.encode),
    st.binary(max_size=200),
)


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.function_url("roleplay_chat"), timeout=PATIENCE) as client:
        yield client


def check(answer: httpx.Response) -> None:
    """Checks that the response is a documented one."""
    assert answer.status_code < 500 or answer.json()["code"] in WITHIN, answer.text
    assert "Traceback" not in answer.text
    assert "internal_error" not in answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.text.startswith("event: ")
        return
    body = answer.json()
    assert body["request_id"]
    assert body["success"] is answer.is_success
    if answer.is_error:
        assert set(body) == {"success", "error", "code", "request_id"}
        assert body["error"].endswith((".", "!", "?"))


class Fuzz:
    """Sends bodies, with the words "conversation" and "character" replaced by real ids."""

    def __init__(self, stack: Stack, client: httpx.Client) -> None:
        stack.upstream.always(text("Yes."))
        stack.configure(limits={})
        self.user: User = stack.user("Ann", age_verified=True)
        self.ids = {
            b'"conversation"': f'"{stack.conversation(self.user, "Hello", "Hi.")}"'.encode(),
            b'"character"': f'"{DEMO_CHARACTER}"'.encode(),
        }
        self.client = client

    def send(self, body: bytes) -> httpx.Response:
        for name, value in self.ids.items():
            body = body.replace(b": " + name, b": " + value)
        return self.client.post("/", content=body, headers=self.user.headers)


def test_no_body_is_too_odd(stack: Stack, client: httpx.Client) -> None:
    fuzz = Fuzz(stack, client)

    @settings(
        max_examples=400,
        database=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(_bodies)
    def send(body: bytes) -> None:
        check(fuzz.send(body))

    send()


def test_no_header_is_too_odd(stack: Stack, client: httpx.Client) -> None:
    @settings(max_examples=100, database=None, derandomize=True)
    @given(st.binary(min_size=1, max_size=60).filter(lambda value: not {0, 10, 13} & set(value)))
    def send(value: bytes) -> None:
        for name in (b"Authorization", b"Accept", b"Content-Type", b"Origin", b"X-Client-Info"):
            try:
                answer = client.post("/", content=b"{}", headers=[(name, value.strip())])
            except httpx.LocalProtocolError:
                return
            assert answer.status_code in (400, 401), answer.text

    send()
