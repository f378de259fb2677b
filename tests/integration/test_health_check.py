"""The health check, against scripted workers."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb

from health_check import records
from tests.support import patient
from tests.support.answers import (
    error,
    held,
    html,
    models,
    reply,
    stall,
    text,
    worker_chat,
    worker_error,
    worker_healthy,
    worker_loading,
)
from tests.support.functions import serve
from tests.support.gateway import JWKS_PATH
from tests.support.keys import Algorithm, Keys
from tests.support.stack import HEALTH_CHECK_SECRET, WORKER_KEY, Stack
from tests.support.upstream import Answer, refusing
from tests.support.waiting import Gate, wait_until

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
        patient.post(url, headers=SCHEDULER)
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
def test_openai_compatible_worker_is_probed_at_its_models(
    stack: Stack, path: str, answer: Any, healthy: bool
) -> None:
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
    stack.add_worker("second", second, healthy=None, protocol="chat_worker")
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

    stack.db.execute('select record_worker_health(\'{"other": {"isHealthy": true}}\')')
    gate.open()
    for run in runs:
        run.join()

    config = stack.one("select config from system_config")["config"]
    assert config["chatWorkerUrl"] == stack.worker.url
    assert set(config["workerHealthCache"]) == {"chatWorker", "other"}
    assert config["workerHealthCache"]["chatWorker"]["isHealthy"] is True


@pytest.mark.parametrize(
    ("age", "kept"),
    [
        pytest.param(-1, True, id="later-than-this-probe"),
        pytest.param(1, False, id="earlier"),
        pytest.param(-3600, False, id="from-the-future"),
    ],
)
def test_later_health_record_is_not_overwritten(stack: Stack, age: float, kept: bool) -> None:
    stack.register_worker()
    stack.worker_health(age_seconds=5 + age)
    probed = datetime.now(UTC) - timedelta(seconds=5)
    record = {"workerUrl": stack.worker.url, "lastChecked": probed.isoformat(), "late": True}

    stack.db.execute("select record_worker_health(%s)", (Jsonb({"chatWorker": record}),))

    assert ("late" not in cache(stack)["chatWorker"]) is kept


@pytest.mark.installations
def test_of_many_records_each_replaces_only_an_older_one(stack: Stack) -> None:
    """Two runs may overlap, and each stores records of many workers with one call."""
    now = datetime.now(UTC)

    def record(seconds_ago: float, run: str) -> dict[str, Any]:
        checked = (now - timedelta(seconds=seconds_ago)).isoformat()
        return {"workerUrl": "https://w.example", "lastChecked": checked, "run": run}

    def store(**records: dict[str, Any]) -> None:
        stack.db.execute("select record_worker_health(%s)", (Jsonb(records),))

    store(a=record(2, "first"), b=record(4, "first"), c=record(2, "first"))
    store(a=record(3, "second"), b=record(3, "second"), d=record(3, "second"))
    version = "select xmin::text from private.system_settings"
    before = stack.one(version)
    store(a=record(9, "late"), d=record(9, "late"))
    assert stack.one(version) == before  # Nothing is written where nothing is newer.
    config = stack.one("select config from system_config")["config"]
    found = {name: config["workerHealthCache"][name]["run"] for name in "abcd"}
    assert found == {"a": "first", "b": "second", "c": "first", "d": "second"}


@pytest.mark.installations
class TestMany:
    """The row of settings is written a few times in a run, however many workers there are."""

    STORE = "POST /rest/v1/rpc/record_worker_health"

    def add(self, stack: Stack, count: int) -> None:
        for number in range(count):
            url = f"{stack.worker.url}/{number}"
            stack.add_worker(f"w{number}", url, healthy=None, protocol="chat_worker")
            stack.worker.always(worker_healthy(), to=f"/{number}/health")

    def test_calls_do_not_grow_with_the_workers(self, stack: Stack) -> None:
        self.add(stack, 60)
        began = time.monotonic()
        assert stack.health_check().status_code == 200
        took = time.monotonic() - began
        calls = stack.gateway.calls.count(self.STORE)
        assert 1 <= calls <= 2 + took / records.PAUSE_SECONDS
        found = {name: record["isHealthy"] for name, record in cache(stack).items()}
        assert found == {f"w{number}": True for number in range(60)}

    def test_what_is_found_is_known_while_others_are_still_probed(self, stack: Stack) -> None:
        """So a worker that died gets no more turns, and a run that is cut off has not been in
        vain."""
        self.add(stack, 5)
        gate = Gate()
        stack.worker.enqueue(held(gate, worker_healthy()), to="/0/health")
        with refusing() as url, ThreadPoolExecutor() as pool:
            stack.add_worker("dead", url, healthy=None, protocol="chat_worker")
            stack.worker_health("dead", workerUrl=url, failures=1)
            run = pool.submit(stack.health_check)
            known = {f"w{number}" for number in range(1, 5)} | {"dead"}
            wait_until(lambda: cache(stack).keys() == known, "the records of the others")
            wait_until(lambda: not cache(stack)["dead"]["isHealthy"], "the dead worker's record")
            assert not run.done()
            gate.open()
            assert run.result().status_code == 200
        assert cache(stack)["w0"]["isHealthy"] is True


class TestFlapping:
    """A worker that fails now and then."""

    @pytest.fixture(autouse=True)
    def worker(self, stack: Stack) -> None:
        stack.register_worker()

    def states(self, stack: Stack, *answers: Answer) -> list[bool]:
        """The record after each response."""
        found = []
        for answer in answers:
            stack.worker.enqueue(answer, to="/health")
            stack.health_check()
            found.append(cache(stack)["chatWorker"]["isHealthy"])
        return found

    def test_one_failure_is_not_down_and_two_are(self, stack: Stack) -> None:
        well, sick = worker_healthy(), error(500)
        answers = (well, sick, well, sick, sick, sick, well)
        assert self.states(stack, *answers) == [True, True, True, True, False, False, True]
        history = cache(stack)["chatWorker"]["history"]
        assert [ms is None for ms in history] == [False, True, False, True, True, True, False]

    def test_what_the_probe_found_is_kept_beside_it(self, stack: Stack) -> None:
        self.states(stack, worker_healthy(), worker_loading())
        record = cache(stack)["chatWorker"]
        assert (record["isHealthy"], record["healthError"]) == (True, None)
        assert (record["probeError"], record["failures"]) == ("its model is still loading", 1)

    @pytest.mark.parametrize("status", [408, 429])
    def test_busy_is_not_down(self, stack: Stack, status: int) -> None:
        busy = error(status)
        assert self.states(stack, worker_healthy(), busy, busy, busy) == [True] * 4
        assert cache(stack)["chatWorker"]["probeError"] == f"it is busy: /health answered {status}"

    def test_turns_go_on_until_it_is_down(self, stack: Stack) -> None:
        self.states(stack, worker_healthy(), error(500))
        stack.worker.enqueue(worker_chat("Here."), to="/chat")
        user = stack.user()
        said = {"conversation_id": str(stack.conversation(user)), "message": "Hello"}
        answer = stack.chat(user, **said, model_provider="chat_worker")
        assert answer.json()["model_used"] == "chat_worker"


class TestDeepProbe:
    """A healthy worker has to generate a token now and then."""

    @pytest.fixture
    def url(self, stack: Stack) -> Iterator[str]:
        stack.worker.always(worker_healthy(), to="/health")
        limits = {"DEEP_PROBE_EVERY": "2", "DEEP_PROBE_TIMEOUT_SECONDS": "2"}
        with stack.serving("health_check", **limits) as url:
            yield url

    def run(self, stack: Stack, url: str, times: int = 1) -> dict[str, Any]:
        for _ in range(times):
            assert patient.post(url, headers=SCHEDULER).status_code == 200
        return dict(cache(stack)["chatWorker"])

    def test_each_nth_probe_is_one(self, stack: Stack, url: str) -> None:
        stack.register_worker()
        stack.worker.always(worker_chat("Y"), to="/chat")

        record = self.run(stack, url, 5)

        paths = [call.path for call in stack.worker.calls]
        assert paths == [*["/health"] * 2, "/chat", *["/health"] * 2, "/chat", "/health"]
        asked = stack.worker.calls[2]
        assert (asked.json["max_tokens"], asked.json["model"]) == (1, "qwen_instruct")
        assert asked.json["sfw_mode"] is True
        assert asked.headers["authorization"] == f"Bearer {WORKER_KEY}"
        assert (record["isHealthy"], record["deepError"]) == (True, None)
        assert record["deepCheckedAt"] < record["lastChecked"]

    def test_worker_that_cannot_write_is_down_until_it_can(self, stack: Stack, url: str) -> None:
        stack.register_worker()
        stack.worker.enqueue(worker_error(), stall(), worker_chat("Y"), to="/chat")

        assert self.run(stack, url, 2)["isHealthy"] is True
        record = self.run(stack, url)  # repeated at once, because it failed
        assert (record["isHealthy"], record["healthError"]) == (False, "no answer within 2 s")
        assert self.run(stack, url)["isHealthy"] is True
        assert stack.worker.queued() == 0

    def test_worker_that_has_no_time_to_write_is_not_down(self, stack: Stack, url: str) -> None:
        stack.register_worker()
        stack.worker.always(error(429), to="/chat")
        record = self.run(stack, url, 6)
        assert (record["isHealthy"], record["failures"], record["deepError"]) == (True, 0, None)

    def test_openai_compatible_worker_is_asked_for_a_token(self, stack: Stack, url: str) -> None:
        stack.register_worker(protocol="openai")
        stack.worker.enqueue(text("Y"), error(404), to="/v1/chat/completions")

        assert self.run(stack, url, 2)["deepError"] is None
        assert self.run(stack, url, 2)["deepError"] == "/v1/chat/completions answered 404"
        assert stack.worker.models_called() == ["qwen_instruct"] * 2


class TestWakeHook:
    """A sleeping GPU pod is woken by a call."""

    @pytest.fixture(autouse=True)
    def pod(self, stack: Stack) -> None:
        """A worker that is down, with a hook."""
        stack.worker.always(error(502), to="/health")
        self.hook(stack, f"{stack.upstream.url}/pods/start")

    def hook(self, stack: Stack, url: str) -> None:
        wake = {"url": url, "secret_name": "Pods_API_KEY"}
        self.pod_with(stack, wake)

    def pod_with(self, stack: Stack, wake: dict[str, Any]) -> None:
        stack.db.execute("delete from private.workers")
        options = {"wake": wake}
        stack.add_worker("pod", healthy=None, protocol="chat_worker", options=options)

    def run(self, stack: Stack, **settings: str) -> dict[str, Any]:
        with stack.serving("health_check", Pods_API_KEY="pods-key", **settings) as url:
            return dict(patient.post(url, headers=SCHEDULER).json())

    def test_wake_hook_is_called_once_in_a_while(self, stack: Stack) -> None:
        stack.upstream.enqueue(reply(202), to="/pods/start")

        answer = self.run(stack)
        again = self.run(stack)

        assert answer["steps"]["worker:pod"]["found"]["woken"] == "answered 202"
        assert again["steps"]["worker:pod"]["found"]["woken"] is None
        (call,) = stack.upstream.calls
        assert (call.method, call.headers["authorization"]) == ("POST", "Bearer pods-key")
        assert cache(stack)["pod"]["wokenAt"] is not None
        assert "pods-key" not in str(cache(stack))
        assert stack.upstream.url not in str(cache(stack))

    def test_wake_hook_is_called_again_after_its_time(self, stack: Stack) -> None:
        stack.upstream.enqueue(reply(202), reply(500), to="/pods/start")
        self.run(stack)
        stack.db.execute("update health_check_steps set begun_at = begun_at - interval '5 minutes'")
        assert self.run(stack)["steps"]["worker:pod"]["found"]["woken"] == "answered 500"

    def test_wake_hook_is_called_once_by_runs_that_overlap(self, stack: Stack) -> None:
        stack.upstream.enqueue(reply(202), to="/pods/start")
        gate = Gate()
        stack.worker.enqueue(*[held(gate, error(502))] * 2, to="/health")
        runs = [threading.Thread(target=stack.health_check) for _ in range(2)]
        self.pod_with(stack, {"url": f"{stack.upstream.url}/pods/start"})
        for run in runs:
            run.start()
        stack.worker.wait_for(lambda worker: len(worker.calls) == 2)
        gate.open()
        for run in runs:
            run.join()
        assert len(stack.upstream.calls) == 1

    def test_healthy_or_busy_worker_is_let_be(self, stack: Stack) -> None:
        stack.worker.enqueue(worker_healthy(), error(429), error(502), to="/health")
        for _ in range(3):  # only the last failure follows a success
            self.run(stack)
        assert stack.upstream.calls == []

    @pytest.mark.parametrize(
        "name", ["SUPABASE_SECRET_KEY", "CHAT_WORKER_API_KEY", "Unset_API_KEY"]
    )
    def test_no_other_secret_goes_there(self, stack: Stack, name: str) -> None:
        wake = {"url": f"{stack.upstream.url}/pods/start", "secret_name": name}
        self.pod_with(stack, wake)
        woken = self.run(stack)["steps"]["worker:pod"]["found"]["woken"]
        assert woken == f"not called: {name} is not set"
        assert stack.upstream.calls == []

    def test_address_that_is_not_allowed_is_not_called(self, stack: Stack) -> None:
        woken = self.run(stack, ALLOW_LOCAL_UPSTREAMS="false")["steps"]["worker:pod"]["found"]
        assert "not called: its address is rejected" in woken["woken"]
        assert stack.upstream.calls == []

    def test_hook_that_redirects_or_is_away_does_no_harm(self, stack: Stack) -> None:
        elsewhere = {"Location": f"{stack.upstream.url}/elsewhere"}
        stack.upstream.enqueue(reply(307, "", elsewhere), to="/pods/start")
        assert self.run(stack)["steps"]["worker:pod"]["found"]["woken"] == "answered 307"
        with refusing() as url:
            self.hook(stack, url)
            stack.db.execute("delete from health_check_steps")
            assert "no answer" in self.run(stack)["steps"]["worker:pod"]["found"]["woken"]
        assert cache(stack)["pod"]["isHealthy"] is False


def test_worker_of_its_own_key_is_given_it(stack: Stack) -> None:
    stack.worker.always(worker_healthy(), to="/health")
    stack.add_worker("second", healthy=None, secret_name="Second_API_KEY")
    with stack.serving("health_check", Second_API_KEY="second-key") as url:
        patient.post(url, headers=SCHEDULER)
    assert stack.worker.calls[-1].headers["authorization"] == "Bearer second-key"


@pytest.mark.installations
class TestRun:
    """Steps are independent and share the run's time limit."""

    def test_every_step_is_reported(self, stack: Stack) -> None:
        stack.register_worker()
        stack.worker.always(worker_healthy(), to="/health")
        body = stack.health_check().json()
        assert {name: step["outcome"] for name, step in body["steps"].items()} == {
            "worker:chatWorker": "done",
            "approval": "done",
            "turns": "done",
            "cooldowns": "done",
            "portraits": "done",
            "roll_up": "done",
            "retention": "done",
            "purge": "done",
        }
        assert stack.health_check().json()["steps"]["retention"]["outcome"] == "not_due"

    @pytest.mark.parametrize(
        ("path", "failing"),
        [
            ("/rpc/record_worker_health", "worker:chatWorker"),
            ("/rpc/close_abandoned_turns", "turns"),
            ("/rpc/clear_passed_cooldowns", "cooldowns"),
            ("/rpc/portraits_to_remove", "portraits"),
            ("/rpc/roll_up_usage", "roll_up"),
            ("/rpc/apply_retention", "retention"),
            ("/rpc/purge_conversations", "purge"),
            ("/rpc/read_providers", "approval"),
        ],
    )
    def test_one_that_fails_does_not_stop_the_others(
        self, stack: Stack, path: str, failing: str
    ) -> None:
        stack.register_worker()
        stack.worker.always(worker_healthy(), to="/health")
        stack.gateway.fail(path)

        answer = stack.health_check()

        steps = answer.json()["steps"]
        assert answer.status_code == 200
        assert steps[failing]["error"] == "database_unavailable"
        rest = {step["outcome"] for name, step in steps.items() if name != failing}
        assert rest == {"done"}

    def test_step_with_a_fault_of_ours_is_told_without_its_words(self, stack: Stack) -> None:
        stack.db.execute(
            "alter function close_abandoned_turns() rename to close_abandoned_turns_away"
        )
        try:
            body = stack.health_check().json()
        finally:
            stack.db.execute(
                "alter function close_abandoned_turns_away() rename to close_abandoned_turns"
            )
        assert (body["turns_closed"], body["cooldowns_cleared"]) == (None, 0)
        assert body["steps"]["turns"]["error"] == "internal_error"

    def test_failed_step_is_tried_again_soon_and_not_at_once(self, stack: Stack) -> None:
        def outcome() -> str:
            return str(stack.health_check().json()["steps"]["retention"]["outcome"])

        stack.gateway.fail("/rpc/apply_retention")
        assert [outcome(), outcome()] == ["failed", "not_due"]
        stack.db.execute("update health_check_steps set begun_at = begun_at - interval '5 minutes'")
        assert [outcome(), outcome()] == ["done", "not_due"]
        stack.db.execute(
            "update health_check_steps set begun_at = begun_at - interval '59 minutes', "
            "done_at = done_at - interval '59 minutes'"
        )
        assert outcome() == "not_due"
        stack.db.execute("update health_check_steps set done_at = done_at - interval '1 minute'")
        assert outcome() == "done"

    def test_step_is_begun_once_by_runs_that_overlap(self, stack: Stack) -> None:
        gate = stack.gateway.hold("/rpc/apply_retention", times=2)
        first = threading.Thread(target=stack.health_check)
        first.start()
        gate.wait_reached()
        second = stack.health_check().json()
        gate.open()
        first.join()
        assert second["steps"]["retention"]["outcome"] == "not_due"
        assert stack.gateway.calls.count("POST /rest/v1/rpc/apply_retention") == 1

    def test_what_is_not_done_in_time_is_reported_and_the_rest_is_done(self, stack: Stack) -> None:
        stack.register_worker()
        stack.worker.always(worker_healthy(), to="/health")
        stack.worker.enqueue(stall(), to="/second/health")
        stack.add_worker("second", f"{stack.worker.url}/second", healthy=None)
        stack.gateway.hold("/rpc/roll_up_usage")
        with stack.serving("health_check", RUN_BUDGET_SECONDS="4") as url:
            answer = patient.post(url, headers=SCHEDULER)
        outcomes = {name: step["outcome"] for name, step in answer.json()["steps"].items()}
        assert answer.status_code == 200
        assert outcomes == {
            "worker:chatWorker": "done",
            "worker:second": "out_of_time",
            "approval": "done",
            "turns": "done",
            "cooldowns": "done",
            "portraits": "done",
            "roll_up": "out_of_time",
            "retention": "out_of_time",
            "purge": "out_of_time",
        }
        assert set(answer.json()["workers"]) == set(cache(stack)) == {"chatWorker"}

    def test_log_has_the_outcome_of_each_step(
        self, stack: Stack, log: list[dict[str, Any]]
    ) -> None:
        stack.gateway.fail("/rpc/close_abandoned_turns")
        stack.health_check()
        ended = {line["step"]: line for line in log if line["message"] == "step ended"}
        assert (ended["turns"]["severity"], ended["turns"]["outcome"]) == ("WARNING", "failed")
        assert (ended["cooldowns"]["severity"], ended["cooldowns"]["outcome"]) == ("INFO", "done")
        steps = {"approval", "turns", "cooldowns", "portraits", "roll_up", "retention", "purge"}
        assert set(ended) == steps

    def test_settings_that_nobody_can_read_are_an_outage(self, stack: Stack) -> None:
        stack.gateway.fail("/rpc/read_settings")
        answer = stack.health_check()
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


def test_address_that_is_not_allowed_is_not_called(stack: Stack) -> None:
    stack.register_worker()
    with serve("health_check", stack.env(ALLOW_LOCAL_UPSTREAMS="false")) as url:
        patient.post(url, headers=SCHEDULER)
    assert "address is not allowed" in cache(stack)["chatWorker"]["healthError"]
    assert stack.worker.calls == []


@pytest.mark.parametrize("secret", ["", "wrong", HEALTH_CHECK_SECRET + "x"])
def test_only_the_scheduler_may_run_it(stack: Stack, secret: str) -> None:
    answer = stack.health_check(secret)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert stack.gateway.calls == []


def test_other_methods_are_refused(stack: Stack) -> None:
    answer = patient.put(stack.function_url("health_check"), headers=SCHEDULER)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("project", ["tales", ""])
def test_lines_name_the_request_and_its_trace(
    stack: Stack, log: list[dict[str, Any]], project: str
) -> None:
    stack.register_worker()
    stack.worker.always(worker_healthy(), to="/health")
    trace = {"traceparent": f"00-{'4bf92f3577b34da6a3ce929d0e0e4736'}-00f067aa0ba902b7-01"}
    with stack.serving("health_check", GOOGLE_CLOUD_PROJECT=project) as url:
        answer = patient.post(url, headers=SCHEDULER | trace)
        ran = len(log)
        refused = patient.post(url, headers=trace)
        patient.post(url)  # without a trace header

    assert ran == len(answer.json()["steps"])
    assert {line["request_id"] for line in log[:ran]} == {answer.json()["request_id"]}
    named = {line.get("logging.googleapis.com/trace") for line in log[: ran + 1]}
    whole = "projects/tales/traces/4bf92f3577b34da6a3ce929d0e0e4736"
    assert named == {whole if project else None}
    assert log[ran]["request_id"] == refused.json()["request_id"]
    assert "logging.googleapis.com/trace" not in log[ran + 1]


def test_answers_say_what_the_log_calls_them(stack: Stack) -> None:
    for answer in (stack.health_check(), stack.health_check("wrong")):
        assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_secret_may_come_in_its_own_header(stack: Stack) -> None:
    answer = stack.health_check("", **{"X-Health-Check-Secret": HEALTH_CHECK_SECRET})
    assert answer.status_code == 200


SCHEDULER_ACCOUNT = "scheduler@project.iam.gserviceaccount.com"
AUDIENCE = "https://functions.example/health_check"


@pytest.mark.own_tables(
    "there one waits that has a model for chats: tests/existing/test_adopted.py"
)
class TestApproval:
    """Providers added from a browser are reported until somebody decides."""

    @pytest.fixture
    def added(self, stack: Stack) -> str:
        """The address that an admin added."""
        admin = stack.user()
        stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (admin.id,))
        row = {"name": "mine", "display_name": "Mine", "base_url": "https://mine.example/v1"}
        with stack.data_api(admin) as api:
            assert api.post("/api_providers", json=row | {"auth_scheme": "none"}).is_success
        return row["base_url"]

    def lines(self, log: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [line for line in log if line.get("step") == "approval"]

    def pass_time(self, stack: Stack, **time: float) -> None:
        stack.db.execute(
            """update health_check_steps set found = found || jsonb_build_object(
                 'alerted_at', (found ->> 'alerted_at')::timestamptz - %s::interval)
               where step = 'approval'""",
            (timedelta(**time),),
        )

    def test_address_that_is_new_is_an_alert(
        self, stack: Stack, log: list[dict[str, Any]], added: str
    ) -> None:
        stack.health_check()
        [line] = self.lines(log)
        assert line["severity"] == "ALERT"
        [alert] = line["found"]["alerts"]
        assert "Provider mine" in alert
        assert added in alert
        assert line["found"]["waiting"] == {"mine": added}

    def test_alert_for_an_unapproved_provider_repeats_every_hour(
        self, stack: Stack, log: list[dict[str, Any]], added: str
    ) -> None:
        stack.health_check()
        self.pass_time(stack, minutes=59)
        stack.health_check()
        self.pass_time(stack, minutes=2)
        stack.health_check()
        assert [line["severity"] for line in self.lines(log)] == ["ALERT", "INFO", "ALERT"]

    def test_worker_that_registered_and_is_not_allowed_is_an_alert(
        self, stack: Stack, log: list[dict[str, Any]]
    ) -> None:
        stack.configure(workerRefused="https://gpu.example.com")
        stack.health_check()
        [line] = self.lines(log)
        [alert] = line["found"]["alerts"]
        assert "https://gpu.example.com" in alert
        assert "workerHosts" in alert

    def test_second_provider_is_reported_at_once(
        self, stack: Stack, log: list[dict[str, Any]], added: str
    ) -> None:
        stack.health_check()
        new = {"name": "other", "display_name": "O", "base_url": "https://other.example"}
        stack.insert("api_providers", **new, auth_scheme="none", is_approved=False)
        stack.health_check()
        [alert] = self.lines(log)[-1]["found"]["alerts"]
        assert "https://other.example" in alert

    @pytest.mark.parametrize(
        "decide",
        [
            "update api_providers set is_approved = true where name = 'mine'",
            "delete from api_providers where name = 'mine'",
        ],
        ids=["approved", "deleted"],
    )
    def test_alert_ends_once_the_provider_is_approved_or_deleted(
        self, stack: Stack, log: list[dict[str, Any]], added: str, decide: str
    ) -> None:
        stack.health_check()
        stack.db.execute(decide.encode())
        self.pass_time(stack, hours=2)
        stack.health_check()
        assert self.lines(log)[-1]["found"]["alerts"] == []
        assert self.lines(log)[-1]["severity"] == "INFO"

    def test_what_operators_set_is_no_alert(self, stack: Stack, log: list[dict[str, Any]]) -> None:
        new = {"name": "other", "display_name": "O", "base_url": "https://other.example"}
        stack.insert("api_providers", **new, auth_scheme="none")
        stack.health_check()
        assert self.lines(log)[-1]["found"]["alerts"] == []

    def test_openrouter_that_was_replaced_is_asked_about_nothing(self, stack: Stack) -> None:
        """Its key and catalog are not checked before it is approved."""
        stack.db.execute("update api_providers set is_approved = false")
        checks = {"KEY_CHECK_MINUTES": "15", "CATALOG_HOURS": "6"}
        with stack.serving("health_check", **checks) as url:
            assert patient.post(url, headers=SCHEDULER).is_success
        assert stack.upstream.calls == []


class TestKeysOfWorkers:
    """Workers' keys are sent only to the origins in the environment."""

    PUBLIC = "https://second.invalid"

    @pytest.mark.parametrize("what", ["worker", "hook"])
    def test_key_without_a_bound_origin_is_not_sent(self, stack: Stack, what: str) -> None:
        hook = {"url": f"{self.PUBLIC}/start", "secret_name": "Second_API_KEY"}
        if what == "worker":
            stack.add_worker("second", self.PUBLIC, healthy=None, secret_name="Second_API_KEY")
        else:
            stack.add_worker("second", healthy=None, options={"wake": hook})
            stack.worker.always(error(500), to="/health")
        with stack.serving("health_check", Second_API_KEY="second-key") as url:
            body = patient.post(url, headers=SCHEDULER).json()
        found = body["steps"]["worker:second"]["found"]
        said = found["error"] if what == "worker" else found["woken"]
        assert "Second_API_KEY may not be sent there: set KEY_ORIGINS=" in said
        assert said.endswith(f",Second_API_KEY={self.PUBLIC}")


class TestServiceAccount:
    """The scheduler authenticates with an ID token instead of the secret."""

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
        """An ID token like Google's for the scheduler."""
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
        return patient.post(url, headers=bearer | headers)

    def test_token_of_the_service_account_is_accepted(self, stack: Stack, url: str) -> None:
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

    @pytest.mark.parametrize("value", [10**400, 10**20, 1e300, True, [1], {"x": 1}, "soon", -1])
    @pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "aud", "email", "email_verified"])
    def test_claim_of_any_shape_is_no_fault_of_ours(
        self, stack: Stack, url: str, claim: str, value: Any
    ) -> None:
        answer = self.run(url, self.token(stack.keys, **{claim: value}))
        may_be = claim in ("nbf", "iat") or (claim, value) == ("email_verified", True)
        assert answer.status_code == 401 or (may_be and answer.status_code == 200)

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


def test_turns_of_dead_processes_are_closed_and_passed_cooldowns_forgotten(stack: Stack) -> None:
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
