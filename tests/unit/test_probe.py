"""Which workers are probed, and which responses count as healthy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_check.probe import (
    Hook,
    Worker,
    read_chat,
    read_completion,
    read_health,
    read_models,
    read_openai_health,
)
from health_check.workers import registered_workers

URL = "https://worker.example"
LOADING = {"status": "healthy", "model_loaded": False, "uptime": 2.5, "stats": {}}


class TestChatWorker:
    @pytest.mark.parametrize(
        "body",
        [
            {"status": "healthy", "model_loaded": True},
            {"status": "healthy", "model_loaded": True, "uptime": 3600.5, "stats": {}},
        ],
        ids=["short", "whole"],
    )
    def test_is_healthy_when_it_says_so_with_its_model_loaded(self, body: Any) -> None:
        assert read_health(200, body) is None

    @pytest.mark.parametrize(
        ("status", "body", "why"),
        [
            pytest.param(200, None, "JSON object", id="no-json"),
            pytest.param(200, "healthy", "JSON object", id="text"),
            pytest.param(200, ["healthy"], "JSON object", id="list"),
            pytest.param(200, True, "JSON object", id="true"),
            pytest.param(200, {}, "healthy", id="empty"),
            pytest.param(200, {"status": "ok", "model_loaded": True}, "healthy", id="ok"),
            pytest.param(200, {"status": True, "model_loaded": True}, "healthy", id="status-true"),
            pytest.param(200, {"model_loaded": True}, "healthy", id="no-status"),
            pytest.param(200, {"status": "healthy"}, "loading", id="nothing-of-a-model"),
            pytest.param(200, LOADING, "loading", id="loading"),
            pytest.param(200, LOADING | {"model_loaded": "yes"}, "loading", id="loaded-as-text"),
            pytest.param(200, LOADING | {"model_loaded": 1}, "loading", id="loaded-as-a-number"),
            pytest.param(503, LOADING | {"model_loaded": True}, "answered 503", id="503"),
            pytest.param(204, None, "answered 204", id="204"),
        ],
    )
    def test_is_down_otherwise(self, status: int, body: Any, why: str) -> None:
        assert why in (read_health(status, body) or "")


class TestOpenAICompatible:
    @pytest.mark.parametrize(
        "body",
        [{"status": "ok"}, {"status": "healthy"}, {"status": "ok", "slots_idle": 2}],
        ids=["llama-cpp", "healthy", "more"],
    )
    def test_health_that_says_so(self, body: Any) -> None:
        assert read_openai_health(200, body) is None

    @pytest.mark.parametrize(
        ("status", "body", "why"),
        [
            pytest.param(503, {"error": {"message": "Loading model"}}, "loading", id="llama-cpp"),
            pytest.param(500, None, "answered 500", id="500"),
            pytest.param(401, None, "answered 401", id="401"),
            pytest.param(302, None, "answered 302", id="redirect"),
            pytest.param(200, {"status": "error"}, "healthy", id="error"),
            pytest.param(200, {"status": "loading model"}, "healthy", id="loading"),
            pytest.param(200, {"status": None}, "healthy", id="null"),
        ],
    )
    def test_health_that_does_not(self, status: int, body: Any, why: str) -> None:
        assert why in (read_openai_health(status, body) or "")

    @pytest.mark.parametrize(
        "body",
        [LOADING, LOADING | {"status": "ok"}, {"error": "no such tunnel"}, ["x"], "OK"],
        ids=["loading", "ok-and-loading", "another-servers", "list", "text"],
    )
    def test_any_other_json_is_not_healthy(self, body: Any) -> None:
        assert read_openai_health(200, body) is not None

    def test_listed_model_is_enough(self) -> None:
        assert read_models(200, {"object": "list", "data": [{"id": "qwen"}]}) is None

    @pytest.mark.parametrize(
        ("status", "body", "why"),
        [
            pytest.param(200, {"object": "list", "data": []}, "no model", id="empty-list"),
            pytest.param(200, {"data": {"id": "qwen"}}, "no model", id="no-list"),
            pytest.param(200, {"data": "qwen"}, "no model", id="text"),
            pytest.param(200, {}, "no model", id="no-data"),
            pytest.param(200, ["qwen"], "no model", id="list"),
            pytest.param(200, None, "no model", id="no-json"),
            pytest.param(404, None, "answered 404", id="404"),
        ],
    )
    def test_no_listed_model_is_not(self, status: int, body: Any, why: str) -> None:
        assert why in (read_models(status, body) or "")


class TestWriting:
    """Responses of workers that are asked to generate one token."""

    @pytest.mark.parametrize("words", ["Yes", ""])
    def test_one_token_is_enough(self, words: str) -> None:
        assert read_chat(200, {"success": True, "response": words}) is None
        message = {"role": "assistant", "content": words}
        assert read_completion(200, {"choices": [{"message": message}]}) is None

    @pytest.mark.parametrize(
        ("status", "body", "why"),
        [
            pytest.param(500, {"success": True, "response": "Yes"}, "answered 500", id="500"),
            pytest.param(
                200, {"success": False, "error": "CUDA"}, "cannot generate text", id="failed"
            ),
            pytest.param(
                200, {"success": 1, "response": "Yes"}, "cannot generate text", id="number"
            ),
            pytest.param(200, {"success": True}, "no text", id="no-text"),
            pytest.param(200, {"success": True, "response": None}, "no text", id="null"),
            pytest.param(200, "<html>", "cannot generate text", id="page"),
            pytest.param(200, None, "cannot generate text", id="nothing"),
        ],
    )
    def test_chat_worker_that_cannot(self, status: int, body: Any, why: str) -> None:
        assert why in (read_chat(status, body) or "")

    @pytest.mark.parametrize(
        ("status", "body", "why"),
        [
            pytest.param(404, {"error": "no such model"}, "answered 404", id="no-such-model"),
            pytest.param(
                200, {"error": {}, "choices": []}, "cannot generate text", id="no-choices"
            ),
            pytest.param(
                200,
                {"error": {"code": 1}, "choices": [{}]},
                "cannot generate text",
                id="error-in-200",
            ),
            pytest.param(200, {"choices": ["Yes"]}, "no text", id="choice-is-text"),
            pytest.param(200, {"choices": [{"text": "Yes"}]}, "no text", id="no-message"),
            pytest.param(200, [], "cannot generate text", id="list"),
        ],
    )
    def test_openai_compatible_worker_that_cannot(self, status: int, body: Any, why: str) -> None:
        assert why in (read_completion(status, body) or "")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
said = anything | st.dictionaries(
    st.sampled_from(["status", "model_loaded", "data", "success", "response", "choices"]),
    anything | st.just("healthy"),
)


@given(status=st.integers(100, 599), body=said)
def test_no_answer_is_too_odd(status: int, body: object) -> None:
    for read in (read_health, read_openai_health, read_models, read_chat, read_completion):
        why = read(status, body)
        assert why is None or (status, bool(why)) == (status, True)
    if status != 200:
        assert read_health(status, body)


def row(**columns: Any) -> dict[str, Any]:
    """A row of `read_workers`."""
    return {
        "name": "second",
        "health_key": "second",
        "url": URL,
        "config": {},
        "secret_name": None,
        "is_expired": False,
    } | columns


class TestRegisteredWorkers:
    def test_chat_worker_and_others(self) -> None:
        config = {"protocol": "openai", "model": "qwen"}
        rows = [
            row(name="chat_worker", health_key="chatWorker", url=f"{URL}/", config=config),
            row(url="https://b.example/x/", secret_name="Second_API_KEY"),
        ]
        assert registered_workers(rows) == [
            Worker("chatWorker", URL, "openai", "qwen"),
            Worker("second", "https://b.example/x", "chat_worker", None, "Second_API_KEY"),
        ]

    def test_hook_of_a_worker(self) -> None:
        wake = {"url": "https://pods.example/start", "secret_name": "Pods_API_KEY"}
        (worker,) = registered_workers([row(config={"wake": wake})])
        assert worker.wake == Hook("https://pods.example/start", "Pods_API_KEY")

    @pytest.mark.parametrize(
        "wake", [None, "https://pods.example", {}, {"url": 5}, [], {"url": ""}]
    )
    def test_hook_without_an_address_is_none(self, wake: object) -> None:
        (worker,) = registered_workers([row(config={"wake": wake})])
        assert worker.wake is None

    @pytest.mark.parametrize(
        ("worker", "can"),
        [
            (Worker("a", URL), True),
            (Worker("a", URL, "openai", "qwen"), True),
            (Worker("a", URL, "openai"), False),
        ],
    )
    def test_openai_compatible_worker_is_made_to_write_by_its_models_name(
        self, worker: Worker, can: bool
    ) -> None:
        assert worker.can_generate is can

    @pytest.mark.parametrize("columns", [{"url": ""}, {"url": "/"}, {"is_expired": True}], ids=str)
    def test_worker_without_an_address_or_a_lease_is_passed_over(
        self, columns: dict[str, Any]
    ) -> None:
        assert registered_workers([row(**columns)]) == []

    @pytest.mark.parametrize("config", [None, [], "openai", 5, {}])
    def test_protocol_is_the_workers_own_when_none_is_named(self, config: object) -> None:
        assert registered_workers([row(config=config)]) == [Worker("second", URL, "chat_worker")]

    @given(anything | st.dictionaries(st.sampled_from(["protocol", "model", "wake"]), anything))
    def test_no_configuration_is_too_odd(self, config: object) -> None:
        (worker,) = registered_workers([row(config=config)])
        assert isinstance(worker.protocol, str)
