"""deploy/worker/register.py, with health_check and a server that is scripted."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from types import ModuleType
from typing import Any

import pytest

from tests.hosting.files import DEPLOY
from tests.support.answers import models, reply, text
from tests.support.stack import Stack
from tests.support.waiting import PATIENCE, wait_until

SCRIPT = DEPLOY / "worker/register.py"
KEY = "a-key-of-gpu-1"
SERVER = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("register", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["register"] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def started(stack: Stack, *command: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
    stack.db.execute("select make_worker('gpu-1', %s)", (sha256(KEY.encode()).hexdigest(),))
    env = {
        "PATH": os.environ["PATH"],
        "HEALTH_CHECK_URL": stack.function_url("health_check"),
        "WORKER_NAME": "gpu-1",
        "WORKER_KEY": KEY,
        "WORKER_URL": stack.worker.url,
        "LOCAL_URL": stack.worker.url,
        "DRAIN_SECONDS": "60",
    } | changes
    run = [sys.executable, "-I", str(SCRIPT), "--", *(command or SERVER)]
    process = subprocess.Popen(
        run, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        # Not killed: the server that it started would stay, and keep the pipe open.
        process.terminate()
        process.communicate(timeout=PATIENCE)


def llama(stack: Stack, *busy: bool) -> None:
    """The server answers as llama.cpp, with these slots."""
    stack.worker.always(reply(200, {"status": "ok"}), to="/health")
    stack.worker.always(models("qwen"), to="/v1/models")
    props = {"default_generation_settings": {"n_ctx": 8192}, "total_slots": len(busy)}
    stack.worker.always(reply(200, props), to="/props")
    slots(stack, *busy)


def slots(stack: Stack, *busy: bool) -> None:
    stack.worker.always(reply(200, [{"is_processing": one} for one in busy]), to="/slots")


def row(stack: Stack) -> dict[str, Any]:
    return stack.one("select * from private.workers where name = 'gpu-1'")


def is_healthy(stack: Stack) -> bool:
    """Whether turns would ask the worker: it is probed after its row is there."""
    return bool(stack.all("select from chat_worker_health where name = 'gpu-1' and is_healthy"))


def test_server_registers_itself_answers_and_leaves_in_order(stack: Stack) -> None:
    llama(stack, True, False)
    with started(stack) as process:
        wait_until(lambda: is_healthy(stack), "the worker to register and be probed")
        found = row(stack)
        assert (found["model"], found["context_tokens"], found["slots"]) == ("qwen", 8192, 2)
        assert (found["protocol"], found["reported_running"]) == ("openai", 1)
        stack.worker.always(text("I am gpu-1."), to="/chat/completions")
        user = stack.user()
        ask = {"conversation_id": str(stack.conversation(user)), "message": "Hello"}
        answer = stack.chat(user, model_provider="chat_worker", **ask).json()
        assert answer["model_used"] == "chat_worker:gpu-1"

        process.send_signal(signal.SIGTERM)
        wait_until(lambda: row(stack)["wants_to_drain"], "the worker to drain")
        assert process.poll() is None  # a turn still runs
        slots(stack, False, False)
        assert process.wait(timeout=PATIENCE) == 0


def test_server_that_ends_takes_no_more_turns(stack: Stack) -> None:
    llama(stack, False)
    ends = [sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(3)"]
    with started(stack, *ends) as process:
        wait_until(lambda: row(stack)["url"], "the worker to register")
        assert not row(stack)["wants_to_drain"]
        assert process.stdin
        process.stdin.write("end\n")
        process.stdin.flush()
        assert process.wait(timeout=PATIENCE) == 3
    assert row(stack)["wants_to_drain"]


def test_wrong_key_is_told_and_tried_again(stack: Stack) -> None:
    llama(stack, False)
    with started(stack, WORKER_KEY="wrong") as process:
        assert process.stderr
        lines = [process.stderr.readline() for _ in range(2)]
        assert "not registered: 401" in lines[-1]
        assert "wrong" not in "".join(lines)
        assert process.poll() is None


def test_key_is_not_passed_on_to_the_server(stack: Stack) -> None:
    llama(stack, False)
    prints = "import os, sys; sys.exit(7 if 'WORKER_KEY' in os.environ else 8)"
    with started(stack, sys.executable, "-c", prints) as process:
        assert process.wait(timeout=PATIENCE) == 8


@pytest.mark.parametrize("missing", ["HEALTH_CHECK_URL", "WORKER_NAME", "WORKER_URL", "WORKER_KEY"])
def test_missing_variable_is_named(stack: Stack, missing: str) -> None:
    with started(stack, **{missing: ""}) as process:
        assert process.wait(timeout=PATIENCE) == 1
        assert process.stderr
        assert process.stderr.read() == f"Set {missing}.\n"


@pytest.mark.parametrize(
    ("command", "given", "sentence"),
    [
        ("no-such-program", {}, "no-such-program cannot be started (No such file or directory)."),
        ("true", {"DRAIN_SECONDS": "soon"}, "DRAIN_SECONDS: 'soon' is not a number."),
        ("true", {"SLOTS": "-1"}, "SLOTS: '-1' is not a number."),
        ("true", {"WORKER_KEY": "", "WORKER_KEY_FILE": "/nope"}, "WORKER_KEY_FILE: /nope cannot"),
    ],
)
def test_mistake_is_a_sentence(
    stack: Stack, command: str, given: dict[str, str], sentence: str
) -> None:
    with started(stack, command, **given) as process:
        assert process.wait(timeout=PATIENCE) == 1
        assert process.stderr
        assert process.stderr.read().startswith(sentence)


@pytest.mark.parametrize("command", ["true", "false"])
def test_empty_variable_counts_as_none(stack: Stack, command: str) -> None:
    llama(stack, False)
    with started(stack, command, DRAIN_SECONDS="") as process:
        assert process.wait(timeout=PATIENCE) == 1


class TestDescription:
    """What servers say of themselves, from their own pages."""

    def described(self, script: ModuleType, stack: Stack, **changes: str) -> dict[str, Any]:
        given = {"HEALTH_CHECK_URL": "x", "WORKER_NAME": "x", "WORKER_URL": "x", "WORKER_KEY": "x"}
        given |= {"LOCAL_URL": stack.worker.url} | changes
        return dict(script.describe(script.Worker.from_environment(given)))

    def test_vllm(self, script: ModuleType, stack: Stack) -> None:
        entry = {"id": "Qwen/Qwen3-8B", "max_model_len": 16384}
        stack.worker.always(reply(200, {"data": [entry]}), to="/v1/models")
        stack.worker.always(reply(404, {}), to="/props")
        stack.worker.always(reply(404, {}), to="/slots")
        metrics = '# TYPE x gauge\nvllm:num_requests_running{engine="0"} 2.0\n'
        stack.worker.always(reply(200, metrics), to="/metrics")
        found = self.described(script, stack, SLOTS="8")
        assert found == {
            "protocol": "openai",
            "model": "Qwen/Qwen3-8B",
            "context_tokens": 16384,
            "slots": 8,
        }
        assert script.count_running(stack.worker.url) == 2

    def test_ollama_says_neither_context_nor_slots(self, script: ModuleType, stack: Stack) -> None:
        stack.worker.always(models("qwen3:8b"), to="/v1/models")
        for path in ("/props", "/slots", "/metrics", "/health"):
            stack.worker.always(reply(404, "not found"), to=path)
        found = self.described(script, stack, CONTEXT_TOKENS="8192")
        assert found == {"protocol": "openai", "model": "qwen3:8b", "context_tokens": 8192}
        assert script.count_running(stack.worker.url) is None
        assert script.is_ready(stack.worker.url)

    def test_of_a_key_in_a_file(self, script: ModuleType, tmp_path: Any) -> None:
        path = tmp_path / "key"
        path.write_text("secret\n")
        given = {"HEALTH_CHECK_URL": "x", "WORKER_NAME": "x", "WORKER_URL": "x"}
        worker = script.Worker.from_environment(given | {"WORKER_KEY_FILE": str(path)})
        assert worker.key == "secret"
        assert "secret" not in repr(worker)

    def test_what_is_sent_is_what_health_check_takes(
        self, script: ModuleType, stack: Stack
    ) -> None:
        from health_check.registration import parse

        llama(stack, False)
        said = self.described(script, stack)
        assert parse(json.dumps({"url": "https://a.example", "running": 0, **said}).encode())
