"""Workers register themselves, each under its own name and with its own key."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
import pytest

from dev.operate import worker as command
from dev.operate.project import Project
from dev.settings import Settings
from health_check import registration
from health_check.registration import is_allowed_host, registering
from tests.support import patient
from tests.support.answers import error, text, worker_healthy
from tests.support.gateway import PUBLISHABLE_KEY, SECRET_KEY
from tests.support.stack import HEALTH_CHECK_SECRET, Stack
from tests.support.waiting import wait_until

KEY = "a-key-of-gpu-1"
OTHER_KEY = "a-key-of-gpu-2"


@pytest.fixture
def made(stack: Stack) -> Stack:
    """Two workers that were made and never registered."""
    for name, key in (("gpu-1", KEY), ("gpu-2", OTHER_KEY)):
        stack.db.execute("select make_worker(%s, %s)", (name, sha256(key.encode()).hexdigest()))
    stack.worker.always(worker_healthy(), to="/health")
    return stack


def register(
    stack: Stack, name: str = "gpu-1", *, key: str = KEY, at: str | None = None, **said: Any
) -> httpx.Response:
    url = at or stack.function_url("health_check")
    body = {"url": stack.worker.url} | said
    headers = {"Authorization": f"Bearer {key}"}
    return patient.post(f"{url}/workers/{name}", headers=headers, json=body)


def row(stack: Stack, name: str = "gpu-1") -> dict[str, Any]:
    return stack.one("select * from private.workers where name = %s", name)


@contextmanager
def strict(stack: Stack, hosts: str = "") -> Iterator[str]:
    """health_check that calls only public addresses."""
    settings = {"ALLOW_LOCAL_UPSTREAMS": "false", "WORKER_HOSTS": hosts}
    with stack.serving("health_check", **settings) as url:
        yield url


@pytest.mark.installations
def test_worker_registers_is_probed_at_once_and_answers(made: Stack) -> None:
    answer = register(made, protocol="openai", model="qwen", slots=4, context_tokens=8192)
    body = answer.json()
    assert (answer.status_code, body["success"]) == (200, True), answer.text
    assert (body["healthy"], body["draining"], body["lease_seconds"]) == (True, False, 120)

    made.worker.enqueue(text("I am gpu-1."))
    user = made.user()
    ask = {"conversation_id": str(made.conversation(user)), "message": "Hello"}
    reply = made.chat(user, model_provider="chat_worker", **ask).json()
    assert (reply["response"], reply["model_used"]) == ("I am gpu-1.", "chat_worker:gpu-1")
    assert made.worker.calls[-1].json["model"] == "qwen"


def test_renewing_extends_the_lease_and_probes_nothing(made: Stack) -> None:
    register(made)
    calls = len(made.worker.calls)
    before = row(made)["lease_expires_at"]
    answer = register(made)
    assert answer.json()["healthy"] is None
    assert row(made)["lease_expires_at"] > before
    assert len(made.worker.calls) == calls


def test_what_is_not_said_again_stays(made: Stack) -> None:
    register(made, protocol="chat_worker", model="qwen", slots=4, context_tokens=8192)
    register(made)
    found = row(made)
    assert (found["protocol"], found["model"], found["slots"]) == ("chat_worker", "qwen", 4)
    assert found["context_tokens"] == 8192


def test_registrations_at_once_are_stored_one_after_another(made: Stack) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda slots: register(made, slots=slots), range(1, 9)))
    assert {answer.status_code for answer in answers} == {200}
    found = row(made)
    assert (len(found["calls"]), found["slots"] in range(1, 9)) == (8, True)


def test_worker_without_a_lease_any_more_gets_no_turns_and_no_probes(made: Stack) -> None:
    register(made)
    made.db.execute("update private.workers set lease_expires_at = now() - interval '1 second'")
    made.worker.reset()
    run = made.health_check().json()
    assert "worker:gpu-1" not in run["steps"]
    made.worker.always(worker_healthy(), to="/health")
    assert register(made).json()["healthy"] is True


class TestKey:
    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("gpu-1", OTHER_KEY),
            ("gpu-1", "x"),
            ("gpu-1", HEALTH_CHECK_SECRET),
            ("gpu-1", SECRET_KEY),
            ("gpu-1", PUBLISHABLE_KEY),
            ("gpu-1", sha256(KEY.encode()).hexdigest()),
            ("gpu-3", KEY),
            ("chat_worker", KEY),
        ],
    )
    def test_only_its_own_key_opens_a_workers_row(self, made: Stack, name: str, key: str) -> None:
        before = made.all("select * from private.workers order by name")
        answer = register(made, name, key=key)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert made.all("select * from private.workers order by name") == before

    def test_one_worker_does_not_change_another(self, made: Stack) -> None:
        before = row(made, "gpu-2")
        register(made)
        assert row(made, "gpu-2") == before

    def test_worker_does_not_decide_what_operators_decide(self, made: Stack) -> None:
        for column in ("priority", "secret_name", "options", "key_hash", "is_draining"):
            answer = register(made, **{column: "x"})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_registration")

    def test_key_of_a_worker_opens_nothing_else(self, made: Stack) -> None:
        assert made.health_check(secret=KEY).status_code == 401
        with made.data_api(key=KEY) as api:
            assert not api.get("/api_models").is_success

    @pytest.mark.parametrize(
        ("given", "status"),
        [(f"bearer {KEY}", 200), (f"BEARER  {KEY}", 200), (KEY, 401), (f"Basic {KEY}", 401)],
    )
    def test_scheme_of_the_key_is_bearer(self, made: Stack, given: str, status: int) -> None:
        url = f"{made.function_url('health_check')}/workers/gpu-1"
        body = {"url": made.worker.url}
        answer = patient.post(url, headers={"Authorization": given}, json=body)
        assert answer.status_code == status

    def test_replaced_key_is_void_at_once(self, made: Stack) -> None:
        assert register(made).is_success
        made.db.execute("select make_worker('gpu-1', %s)", (sha256(b"new").hexdigest(),))
        assert register(made).status_code == 401

    def test_database_has_only_the_hash(self, made: Stack) -> None:
        register(made)
        assert KEY not in str(made.all("select to_jsonb(w)::text as t from private.workers w"))
        assert KEY not in str(made.one("select verify_installation() as facts"))
        with made.data_api(made.user()) as api:
            assert not api.post("/rpc/read_worker_keys", json={}).is_success

    def test_wrong_keys_are_limited_and_keep_no_worker_out(
        self, made: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registration, "REFETCH_SECONDS", 3600.0)
        with made.serving("health_check") as url:
            made.gateway.calls.clear()
            codes = [register(made, at=url, key="wrong").status_code for _ in range(70)]
            assert codes.count(401) == 60
            assert codes[-1] == 429
            assert made.gateway.calls.count("POST /rest/v1/rpc/read_worker_keys") == 1
            assert register(made, at=url).status_code == 200

    def test_worker_that_calls_too_often_is_told_when_to_come_back(self, made: Stack) -> None:
        answers = [register(made) for _ in range(31)]
        assert [answer.status_code for answer in answers] == [200] * 30 + [429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60


class TestAddress:
    @pytest.mark.parametrize(
        "url",
        [
            "http://gpu.example.com",
            "https://127.0.0.1",
            "https://169.254.169.254",
            "https://metadata.google.internal",
            "https://evil.example.net",
            "https://gpu.example.com.evil.net",
            "https://gpu.example.com@evil.net",
            "https://evilexample.com",
            "https://example.com",
            "https://gpu.example.com?x=1",
            "ftp://gpu.example.com",
            "gpu.example.com",
        ],
    )
    def test_only_public_hosts_that_the_environment_allows(self, made: Stack, url: str) -> None:
        with strict(made, "*.example.com, other.example.org") as at:
            answer = register(made, at=at, url=url)
        assert (answer.status_code, answer.json()["code"]) == (400, "address_rejected")
        assert row(made)["url"] is None

    def test_host_that_is_allowed(self, made: Stack) -> None:
        with strict(made, "*.invalid") as at:
            answer = register(made, at=at, url="https://gpu.invalid/")
        assert (answer.status_code, answer.json()["healthy"]) == (200, False)
        assert row(made)["url"] == "https://gpu.invalid"

    def test_no_host_is_allowed_by_default(self, made: Stack) -> None:
        with strict(made) as at:
            answer = register(made, at=at, url="https://gpu.example.com")
        assert "WORKER_HOSTS" in answer.json()["error"]

    @pytest.mark.parametrize(
        ("url", "hosts", "allowed"),
        [
            ("https://gpu.example.com:8443/v1", "gpu.example.com", True),
            ("https://GPU.example.com.", "gpu.example.com", True),
            ("https://a.b.example.com", "*.example.com", True),
            ("https://gpu.example.com", "GPU.Example.com.", True),
            ("https://[2A00:0:0::1]:8443", "[2a00::1]", True),
            ("https://[2a00::2]", "[2a00::1]", False),
            ("https://8.8.8.8", "8.8.8.9", False),
            ("https://example.com", "*.example.com", False),
            ("https://xexample.com", "*.example.com", False),
            ("https://gpu.example.com", "", False),
            ("https://gpu.example.com", "*", False),
            ("https://gpu.example.com", ", ,", False),
        ],
    )
    def test_hosts(self, url: str, hosts: str, allowed: bool) -> None:
        assert is_allowed_host(url, hosts) is allowed


class TestBody:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"[]",
            b"null",
            b"{",
            b"{}",
            b'{"url": 5}',
            b'{"url": ""}',
            b'{"url": "https://a.example", "slots": 0}',
            b'{"url": "https://a.example", "slots": "4"}',
            b'{"url": "https://a.example", "running": -1}',
            b'{"url": "https://a.example", "context_tokens": 1e400}',
            b'{"url": "https://a.example", "protocol": "grpc"}',
            b'{"url": "https://a.example", "model": "   "}',
            b'{"url": "https://a.example", "model": "a\\u0000b"}',
            b'{"url": "https://a.example", "model": "a\\ud800b"}',
            b'{"url": "https://a.example", "draining": null}',
            b"[" * 8000,
        ],
    )
    def test_anything_else_is_refused(self, made: Stack, content: bytes) -> None:
        url = made.function_url("health_check")
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = patient.post(f"{url}/workers/gpu-1", headers=headers, content=content)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_registration")

    def test_long_body_is_not_read(self, made: Stack) -> None:
        assert register(made, model="x" * 9000).status_code == 413

    def test_other_methods_are_refused(self, made: Stack) -> None:
        url = made.function_url("health_check")
        answer = httpx.get(f"{url}/workers/gpu-1", headers={"Authorization": f"Bearer {KEY}"})
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/workers/gpu-1", "gpu-1"),
            ("/health_check/workers/gpu-1/", "gpu-1"),
            ("/", None),
            ("/workers", None),
            ("/workers/", None),
            ("/workers/GPU", None),
            ("/workers/a/b", None),
            ("/workers/gpu-1\n", None),
        ],
    )
    def test_path(self, path: str, name: str | None) -> None:
        assert registering(path) == name


class TestDraining:
    @pytest.fixture
    def conversation(self, made: Stack) -> UUID:
        self.user = made.user()
        return made.conversation(self.user)

    def model_used(self, stack: Stack, conversation: UUID) -> str:
        ask = {"conversation_id": str(conversation), "message": "Hello"}
        return str(stack.chat(self.user, model_provider="chat_worker", **ask).json()["model_used"])

    def test_own_wish_stops_new_turns_until_it_takes_it_back(
        self, made: Stack, conversation: UUID
    ) -> None:
        made.worker.always(text("Hello."))
        made.worker.always(worker_healthy(), to="/health")
        made.upstream.always(text("From OpenRouter."))
        register(made, model="m")
        assert self.model_used(made, conversation) == "chat_worker:gpu-1"
        assert register(made, draining=True).json()["draining"] is True
        assert self.model_used(made, conversation) != "chat_worker:gpu-1"
        register(made)
        assert self.model_used(made, conversation) == "chat_worker:gpu-1"

    def test_operators_wish_is_told_and_kept(self, made: Stack, conversation: UUID) -> None:
        made.upstream.always(text("From OpenRouter."))
        register(made, model="m")
        made.db.execute("select drain_worker('gpu-1', true)")
        assert register(made).json()["draining"] is True
        assert self.model_used(made, conversation) != "chat_worker:gpu-1"

    def test_worker_of_the_settings_is_drained_too(self, made: Stack, conversation: UUID) -> None:
        made.upstream.always(text("From OpenRouter."))
        made.register_worker()
        made.worker_health()
        made.db.execute("select drain_worker('chat_worker', true)")
        assert self.model_used(made, conversation) != "chat_worker"

    def test_removed_worker_is_gone_with_its_key(self, made: Stack) -> None:
        register(made)
        assert made.one("select remove_worker('gpu-1') as gone")["gone"] is True
        assert register(made).status_code == 401
        cache = made.one("select config -> 'workerHealthCache' as c from private.system_settings")
        assert "gpu-1" not in cache["c"]


def test_worker_that_is_down_at_its_start_is_told(made: Stack) -> None:
    made.worker.reset()
    made.worker.always(error(503), to="/health")
    assert register(made).json()["healthy"] is False


class TestCommand:
    """`make worker`."""

    @pytest.fixture(autouse=True)
    def project(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        found = Project(stack.gateway.url, SECRET_KEY, {}, None, is_local=True)
        monkeypatch.setattr(command, "find", lambda _: found)

    def run(self, name: str, *, drain: bool | None = None, remove: bool = False) -> int:
        return command.main(Settings(), name, drain=drain, remove=remove)

    def test_key_is_printed_once_and_opens_the_row(
        self, stack: Stack, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack.worker.always(worker_healthy(), to="/health")
        assert self.run("gpu-1") == 0
        key = capsys.readouterr().out.strip()
        wait_until(lambda: register(stack, key=key).is_success, "the key to be known")
        assert key not in str(row(stack))

    def test_second_key_replaces_the_first(
        self, stack: Stack, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack.worker.always(worker_healthy(), to="/health")
        keys = []
        for _ in range(2):
            self.run("gpu-1")
            keys.append(capsys.readouterr().out.strip())
        wait_until(lambda: register(stack, key=keys[1]).is_success, "the new key to be known")
        assert register(stack, key=keys[0]).status_code == 401

    def test_draining_and_removing(self, made: Stack) -> None:
        assert self.run("gpu-1", drain=True) == 0
        assert row(made)["is_draining"] is True
        assert self.run("gpu-1", drain=False) == 0
        assert row(made)["is_draining"] is False
        assert self.run("gpu-1", remove=True) == 0
        assert made.all("select from private.workers where name = 'gpu-1'") == []

    @pytest.mark.parametrize("name", ["", "GPU", "a b", "-a", "é", "a" * 41, "chat_worker"])
    def test_name_that_cannot_be_is_refused(
        self, stack: Stack, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(name) == 1
        assert capsys.readouterr().out == ""
        assert stack.all("select from private.workers") == []

    def test_unknown_worker_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run("gpu-9", drain=True) == self.run("gpu-9", remove=True) == 1
        assert "There is no worker gpu-9." in capsys.readouterr().err
