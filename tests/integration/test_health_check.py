"""The health check, against scripted workers."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.support.answers import (
    error,
    held,
    html,
    models,
    reply,
    stall,
    worker_healthy,
    worker_loading,
)
from tests.support.functions import serve
from tests.support.gateway import JWKS_PATH
from tests.support.keys import Algorithm, Keys
from tests.support.stack import HEALTH_CHECK_SECRET, WORKER_KEY, Stack
from tests.support.upstream import refusing
from tests.support.waiting import Gate

SCHEDULER = {"X-Health-Check-Secret": HEALTH_CHECK_SECRET}


def cache(stack: Stack) -> dict[str, Any]:
    return dict(
        stack.one("select config -> 'workerHealthCache' as cache from system_config")["cache"]
    )


def test_healthy_worker_is_recorded_in_both_spellings(stack: Stack) -> None:
    stack.register_worker()
    stack.worker.enqueue(worker_healthy(), to="/health")

    answer = stack.health_check()

    record = cache(stack)["chatWorker"]
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["workers"] == {"chatWorker": record}
    assert (record["isHealthy"], record["healthError"]) == (True, None)
    assert record["workerUrl"] == stack.worker.url
    assert record["responseTime"] == record["responseTimeMs"] >= 0
    assert record["lastCheck"] == record["lastChecked"]
    assert (datetime.now(UTC) - datetime.fromisoformat(record["lastCheck"])).total_seconds() < 60
    assert stack.worker.calls[-1].headers["authorization"] == f"Bearer {WORKER_KEY}"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(worker_loading(), "its model is still loading", id="loading"),
        pytest.param(reply(200, "OK"), "JSON", id="any-body"),
        pytest.param(reply(200, {"status": "healthy"}), "loading", id="no-model-loaded"),
        pytest.param(reply(200, {"status": "sick", "model_loaded": True}), "healthy", id="sick"),
        pytest.param(reply(200, []), "JSON object", id="list"),
        pytest.param(html(200), "JSON", id="page-of-a-proxy"),
        pytest.param(error(500), "answered 500", id="500"),
        pytest.param(reply(302, "", {"Location": "/ok"}), "answered 302", id="redirect"),
    ],
)
def test_worker_that_does_not_say_that_it_is_well_is_down(
    stack: Stack, answer: Any, why: str
) -> None:
    stack.register_worker()
    stack.worker.enqueue(answer, to="/health")

    result = stack.health_check()

    record = cache(stack)["chatWorker"]
    assert result.status_code == 200
    assert record["isHealthy"] is False
    assert why in record["healthError"]


def test_worker_that_cannot_be_reached_is_down(stack: Stack) -> None:
    with refusing() as url:
        stack.register_worker(url)
        stack.health_check()
    assert "cannot be reached" in cache(stack)["chatWorker"]["healthError"]


def test_worker_that_is_slow_is_down(stack: Stack) -> None:
    stack.register_worker()
    stack.worker.enqueue(stall(), to="/health")
    with serve("health_check", stack.env(PROBE_TIMEOUT_SECONDS="0.1")) as url:
        httpx.post(url, headers=SCHEDULER)
    assert cache(stack)["chatWorker"]["healthError"] == "no answer within 0.1 s"


@pytest.mark.parametrize(
    ("path", "answer", "healthy"),
    [
        pytest.param("/health", reply(200, {"status": "ok"}), True, id="llama-cpp"),
        pytest.param("/health", reply(200, ""), True, id="vllm"),
        pytest.param("/health", reply(503, {"error": {}}), False, id="llama-cpp-loading"),
        pytest.param("/v1/models", models("qwen"), True, id="lists-its-models"),
        pytest.param("/v1/models", models(), False, id="lists-no-model"),
    ],
)
def test_openai_compatible_worker(stack: Stack, path: str, answer: Any, healthy: bool) -> None:
    stack.register_worker(protocol="openai")
    stack.worker.always(error(404))
    stack.worker.enqueue(answer, to=path)

    stack.health_check()

    assert cache(stack)["chatWorker"]["isHealthy"] is healthy


def test_works_with_no_worker_configured(stack: Stack) -> None:
    answer = stack.health_check()
    assert (answer.status_code, answer.json()["workers"]) == (200, {})


def test_workers_are_probed_at_the_same_time(stack: Stack) -> None:
    stack.register_worker()
    second = f"{stack.worker.url}/second"
    stack.db.execute(
        "update private.system_settings set config = "
        "jsonb_set(config, '{workers}', jsonb_build_object('second', "
        "jsonb_build_object('url', %s::text)))",
        (second,),
    )
    gate = Gate()
    stack.worker.enqueue(*[held(gate, worker_healthy())] * 2, to="/health")
    answers: list[Any] = []
    run = threading.Thread(target=lambda: answers.append(stack.health_check()))

    run.start()
    stack.worker.wait_for(lambda worker: len(worker.calls) == 2)
    gate.open()
    run.join()

    assert {name: record["isHealthy"] for name, record in cache(stack).items()} == {
        "chatWorker": True,
        "second": True,
    }
    keys = {call.path: call.headers.get("authorization") for call in stack.worker.calls}
    assert keys["/second/health"] is None


def test_overlapping_runs_and_a_registration_do_not_undo_each_other(stack: Stack) -> None:
    stack.register_worker()
    gate = Gate()
    stack.worker.always(held(gate, worker_healthy()), to="/health")
    runs = [threading.Thread(target=stack.health_check) for _ in range(4)]
    for run in runs:
        run.start()
    stack.worker.wait_for(lambda worker: len(worker.calls) == 4)

    stack.db.execute("select record_worker_health('other', '{\"isHealthy\": true}')")
    gate.open()
    for run in runs:
        run.join()

    config = stack.one("select config from system_config")["config"]
    assert config["chatWorkerUrl"] == stack.worker.url
    assert set(config["workerHealthCache"]) == {"chatWorker", "other"}
    assert config["workerHealthCache"]["chatWorker"]["isHealthy"] is True


def test_address_that_is_not_allowed_is_not_called(stack: Stack) -> None:
    stack.register_worker()
    with serve("health_check", stack.env(ALLOW_LOCAL_UPSTREAMS="false")) as url:
        httpx.post(url, headers=SCHEDULER)
    assert "address is not allowed" in cache(stack)["chatWorker"]["healthError"]
    assert stack.worker.calls == []


@pytest.mark.parametrize("secret", ["", "wrong", HEALTH_CHECK_SECRET + "x"])
def test_only_the_scheduler_may_run_it(stack: Stack, secret: str) -> None:
    answer = stack.health_check(secret)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert stack.gateway.calls == []


def test_other_methods_are_refused(stack: Stack) -> None:
    answer = httpx.put(stack.function_url("health_check"), headers=SCHEDULER)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


def test_answers_say_what_the_log_calls_them(stack: Stack) -> None:
    for answer in (stack.health_check(), stack.health_check("wrong")):
        assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_secret_may_come_in_its_own_header(stack: Stack) -> None:
    answer = stack.health_check("", **{"X-Health-Check-Secret": HEALTH_CHECK_SECRET})
    assert answer.status_code == 200


SCHEDULER_ACCOUNT = "scheduler@project.iam.gserviceaccount.com"
AUDIENCE = "https://functions.example/health_check"


class TestServiceAccount:
    """The scheduler proves itself with an ID token instead of the secret."""

    @pytest.fixture
    def url(self, stack: Stack) -> Iterator[str]:
        settings = {
            "HEALTH_CHECK_OIDC_AUDIENCE": AUDIENCE,
            "HEALTH_CHECK_OIDC_EMAIL": SCHEDULER_ACCOUNT,
            "HEALTH_CHECK_OIDC_KEYS_URL": stack.gateway.url + JWKS_PATH,
            "HEALTH_CHECK_SECRET": "",
        }
        with stack.serving("health_check", **settings) as url:
            yield url

    def token(self, keys: Keys, algorithm: Algorithm = "RS256", **claims: Any) -> str:
        """An ID token as Google makes it for the scheduler."""
        own: dict[str, Any] = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "email": SCHEDULER_ACCOUNT,
            "email_verified": True,
            "role": None,
        }
        return keys.token("113774264463038321964", algorithm, **(own | claims))

    def run(self, url: str, token: str, **headers: str) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.post(url, headers=bearer | headers)

    def test_is_admitted(self, stack: Stack, url: str) -> None:
        assert self.run(url, self.token(stack.keys)).status_code == 200
        assert self.run(url, self.token(stack.keys)).status_code == 200
        assert stack.gateway.jwks_requests == 1

    @pytest.mark.parametrize(
        "claims",
        [
            pytest.param({"email": "other@project.iam.gserviceaccount.com"}, id="other-account"),
            pytest.param({"email": None}, id="no-account"),
            pytest.param({"email_verified": False}, id="account-not-verified"),
            pytest.param({"email_verified": "true"}, id="verified-is-text"),
            pytest.param({"aud": "https://functions.example/other"}, id="other-audience"),
            pytest.param({"aud": None}, id="no-audience"),
            pytest.param({"iss": "https://accounts.example.com"}, id="other-issuer"),
            pytest.param({"iss": None}, id="no-issuer"),
            pytest.param({"exp": 1_700_000_000}, id="expired"),
            pytest.param({"exp": None}, id="no-expiry"),
            pytest.param({"nbf": 2**33}, id="not-yet-valid"),
        ],
    )
    def test_wrong_claim_is_refused(self, stack: Stack, url: str, claims: dict[str, Any]) -> None:
        answer = self.run(url, self.token(stack.keys, **claims))
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert stack.gateway.calls == []

    def test_token_of_somebody_else_is_refused(self, stack: Stack, url: str) -> None:
        ours = {"kid": stack.keys.kids["RS256"]}
        for token in (
            "",
            "garbage",
            HEALTH_CHECK_SECRET,
            self.token(Keys()),
            self.token(Keys(), headers=ours),
            self.token(stack.keys, "HS256"),
            stack.user().token,
        ):
            answer = self.run(url, token)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert stack.gateway.calls == []

    def test_secret_is_admitted_beside_it_when_it_is_set(self, stack: Stack) -> None:
        settings = {
            "HEALTH_CHECK_OIDC_AUDIENCE": AUDIENCE,
            "HEALTH_CHECK_OIDC_EMAIL": SCHEDULER_ACCOUNT,
            "HEALTH_CHECK_OIDC_KEYS_URL": stack.gateway.url + JWKS_PATH,
        }
        with stack.serving("health_check", **settings) as url:
            assert self.run(url, HEALTH_CHECK_SECRET).status_code == 200
            assert self.run(url, "", **SCHEDULER).status_code == 200
            assert self.run(url, self.token(stack.keys)).status_code == 200
            assert self.run(url, "wrong").status_code == 401

    def test_keys_that_cannot_be_had_are_no_refusal(self, stack: Stack, url: str) -> None:
        stack.gateway.fail(JWKS_PATH)
        answer = self.run(url, self.token(stack.keys))
        assert (answer.status_code, answer.json()["code"]) == (503, "sign_in_unavailable")


def test_next_turn_uses_what_the_check_found(stack: Stack) -> None:
    stack.register_worker()
    stack.worker.enqueue(worker_healthy(), to="/health")
    stack.worker.enqueue(reply(200, {"success": True, "response": "Here."}), to="/chat")
    user = stack.user()
    conversation = str(stack.conversation(user))

    stack.health_check()
    answer = stack.chat(
        user, conversation_id=conversation, message="Hello", model_provider="chat_worker"
    )

    assert answer.json()["model_used"] == "chat_worker"


def test_turns_of_dead_processes_are_closed_and_passed_rests_forgotten(stack: Stack) -> None:
    user = stack.user()
    conversation = stack.conversation(user)
    turn = {"user_id": user.id, "conversation_id": conversation, "task": "roleplay"}
    stack.insert("turns", **turn, action="send", lease_expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    stack.db.execute(
        "insert into model_cooldowns (scope, key, until, reason) values "
        "('model', 'long-passed', now() - interval '1 hour', 'overloaded'), "
        "('model', 'just-passed', now() - interval '1 minute', 'overloaded'), "
        "('model', 'in-force', now() + interval '1 minute', 'overloaded')"
    )

    body = stack.health_check().json()

    assert (body["turns_closed"], body["cooldowns_cleared"]) == (1, 1)
    closed = stack.one("select status, error_code from turns")
    assert closed == {"status": "failed", "error_code": "lease_expired"}
    kept = {row["key"] for row in stack.all("select key from model_cooldowns")}
    assert kept == {"just-passed", "in-force"}
