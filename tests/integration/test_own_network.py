"""Servers of one's own network, over http, that the environment allows by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dev.operate import server
from dev.operate.project import Project
from dev.operate.verify.providers import why_rejected
from dev.settings import Settings
from edge.addresses import origin
from tests.support import patient
from tests.support.answers import error, models, reply, text, worker_healthy
from tests.support.stack import HEALTH_CHECK_SECRET, OPENROUTER_KEY, Stack
from tests.support.upstream import running_upstream

KEY = "a-key-of-gpu-1"
SCHEDULER = {"Authorization": f"Bearer {HEALTH_CHECK_SECRET}"}


@contextmanager
def serving(stack: Stack, function: str, *origins: str, **changes: str) -> Iterator[str]:
    """A function that calls public addresses and these origins only."""
    stack.configure(allowLocalWorkers=False)
    listed = ",".join(map(origin, origins))
    settings = {"ALLOW_LOCAL_UPSTREAMS": "false", "PRIVATE_ORIGINS": listed}
    with stack.serving(function, **settings, **changes) as url:
        yield url


def ask(stack: Stack, url: str, **more: Any) -> httpx.Response:
    user = stack.user()
    conversation = str(stack.conversation(user))
    return stack.chat(user, url=url, conversation_id=conversation, message="Hello", **more)


def bind(url: str) -> dict[str, str]:
    return {"KEY_ORIGINS": f"OpenRouter_Roleplay_API_KEY={origin(url)}"}


class TestProvider:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_at_a_listed_origin_answers_and_gets_its_key(self, stack: Stack, host: str) -> None:
        there = stack.upstream.url.replace("127.0.0.1", host)
        stack.db.execute("update api_providers set base_url = %s", (f"{there}/api/v1",))
        stack.upstream.enqueue(text("Here."))
        with serving(stack, "roleplay_chat", there, **bind(there)) as url:
            answer = ask(stack, url)
        assert (answer.status_code, answer.json()["response"]) == (200, "Here.")
        (call,) = stack.upstream.calls
        assert call.headers["authorization"] == f"Bearer {OPENROUTER_KEY}"

    def test_lists_its_models_on_the_console(self, stack: Stack) -> None:
        there, admin = stack.upstream.url, stack.user()
        stack.db.execute("update api_providers set base_url = %s", (f"{there}/api/v1",))
        stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (admin.id,))
        stack.upstream.always(models("qwen"), to="/models")
        row = stack.one("select id from api_providers where name = 'openrouter'")
        listed = {"action": "list_provider_models", "provider_id": str(row["id"])}
        with serving(stack, "roleplay_chat", there, **bind(there)) as url:
            told = stack.chat(admin, url=url, **listed).json()
        assert (told["is_ok"], told["models"]) == (True, ["qwen"])

    def test_without_a_bound_key_is_not_called(self, stack: Stack) -> None:
        with serving(stack, "roleplay_chat", stack.upstream.url) as url:
            assert ask(stack, url).status_code == 503
        assert stack.upstream.calls == []

    def test_at_another_port_is_not_called(self, stack: Stack) -> None:
        there, port = origin(stack.upstream.url).rpartition(":")[::2]
        listed = f"{there}:{int(port) - 1}"
        with serving(stack, "roleplay_chat", listed, **bind(stack.upstream.url)) as url:
            assert ask(stack, url).status_code == 503
        assert stack.upstream.calls == []

    def test_redirect_to_another_host_is_not_followed(self, stack: Stack) -> None:
        with running_upstream() as elsewhere:
            to = {"Location": f"{elsewhere.url}/api/v1/chat/completions"}
            stack.upstream.always(error(307, "", to))
            origins = (stack.upstream.url, elsewhere.url)
            with serving(stack, "roleplay_chat", *origins, **bind(stack.upstream.url)) as url:
                assert ask(stack, url).status_code == 503
            assert elsewhere.calls == []


class TestWorker:
    @pytest.fixture(autouse=True)
    def made(self, stack: Stack) -> None:
        stack.db.execute("select make_worker('gpu-1', %s)", (sha256(KEY.encode()).hexdigest(),))
        stack.worker.always(worker_healthy(), to="/health")

    def register(self, at: str, url: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        body = {"url": url, "protocol": "openai", "model": "qwen"}
        return patient.post(f"{at}/workers/gpu-1", headers=headers, json=body)

    def test_registers_is_probed_and_answers(self, stack: Stack) -> None:
        there = stack.worker.url
        with serving(stack, "health_check", there, WORKER_HOSTS="127.0.0.1") as at:
            registered = self.register(at, there)
            again = patient.post(at, headers=SCHEDULER).json()
        assert (registered.status_code, registered.json()["healthy"]) == (200, True)
        assert again["workers"]["gpu-1"]["isHealthy"] is True
        stack.worker.enqueue(text("I am gpu-1."))
        with serving(stack, "roleplay_chat", there) as url:
            answer = ask(stack, url, model_provider="chat_worker").json()
        assert (answer["response"], answer["model_used"]) == ("I am gpu-1.", "chat_worker:gpu-1")

    def test_needs_both_settings(self, stack: Stack) -> None:
        there = stack.worker.url
        with serving(stack, "health_check", there) as at:
            assert "WORKER_HOSTS" in self.register(at, there).json()["error"]
        with serving(stack, "health_check", WORKER_HOSTS="127.0.0.1") as at:
            assert "PRIVATE_ORIGINS" in self.register(at, there).json()["error"]
        assert stack.one("select url from private.workers")["url"] is None
        assert stack.worker.calls == []

    def test_that_is_not_listed_any_more_is_not_called(self, stack: Stack) -> None:
        there = stack.worker.url
        with serving(stack, "health_check", there, WORKER_HOSTS="127.0.0.1") as at:
            self.register(at, there)
        stack.worker.reset()
        with serving(stack, "health_check") as at:
            record = patient.post(at, headers=SCHEDULER).json()["workers"]["gpu-1"]
        assert "its address is not allowed" in record["probeError"]
        with serving(stack, "roleplay_chat") as url:
            stack.upstream.always(text("Somebody else."))
            ask(stack, url, model_provider="chat_worker")
        assert stack.worker.calls == []

    def test_database_alone_allows_none(self, stack: Stack) -> None:
        stack.configure(allowLocalWorkers=True)
        there = {"ALLOW_LOCAL_UPSTREAMS": "false", "WORKER_HOSTS": "127.0.0.1"}
        with stack.serving("health_check", **there) as at:
            assert self.register(at, stack.worker.url).json()["code"] == "address_rejected"


def project(stack: Stack, **environment: str) -> Project:
    return Project(stack.gateway.url, "sb_secret_test", environment, None, is_local=True)


class TestOperator:
    @pytest.mark.parametrize(
        ("listed", "code"), [("{}", 0), ("", 1), ("http://gpu.lan", 1), ("gpu", 1)]
    )
    def test_adds_a_server_that_the_environment_names(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch, listed: str, code: int
    ) -> None:
        stack.configure(allowLocalWorkers=False)
        name, there = f"own-{uuid4().hex[:8]}", stack.worker.url
        environment = {"PRIVATE_ORIGINS": listed.format(origin(there))}
        monkeypatch.setattr(server, "find", lambda _: project(stack, **environment))
        models = {"object": "list", "data": [{"id": "qwen", "max_model_len": 8192}]}
        stack.worker.always(reply(200, models), to="/v1/models")
        assert server.main(Settings(), server.Server(name, there)) == (code, False)
        found = stack.all("select url from private.workers where name = %s", name)
        assert [row["url"] for row in found] == ([there] if code == 0 else [])

    def test_is_told_why_an_address_is_not_called(self) -> None:
        listed = {"PRIVATE_ORIGINS": "http://gpu.lan:8000"}
        assert why_rejected("http://gpu.lan:8000/v1", listed) is None
        assert "PRIVATE_ORIGINS" in str(why_rejected("http://gpu.lan/v1", listed))
        assert "entry 1" in str(why_rejected("http://gpu.lan/v1", {"PRIVATE_ORIGINS": "gpu"}))
