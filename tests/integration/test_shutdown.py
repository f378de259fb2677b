"""What becomes of running turns when a container is told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
import pytest

from tests.support import patient
from tests.support.answers import stream as streamed
from tests.support.functions import ENVIRONMENT
from tests.support.postgres import ROOT
from tests.support.stack import Stack
from tests.support.waiting import PATIENCE, Gate, free_port, wait_until

Container = tuple[str, "subprocess.Popen[bytes]"]


@contextmanager
def container(stack: Stack, function: str, **changes: str) -> Iterator[Container]:
    """A function as the image serves it: its address and its process."""
    port = free_port()
    env = {
        **ENVIRONMENT,
        **stack.env(**changes),
        "FUNCTION_TARGET": function,
        "FUNCTION_SOURCE": str(ROOT / "functions" / function / "main.py"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "edge.server"]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            wait_until(lambda: answers(url), f"{function} to answer")
            yield url, process
        finally:
            process.kill()
            process.wait(timeout=PATIENCE)


def answers(url: str) -> bool:
    try:
        return patient.get(f"{url}/alive").text == "ok"
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("function", ["roleplay_chat", "health_check"])
def test_probe_does_not_call_the_function(stack: Stack, function: str) -> None:
    with container(stack, function) as (url, process):
        assert patient.get(f"{url}/alive").status_code == 200
        assert stack.gateway.calls == []
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0


def test_turn_that_runs_is_finished_and_no_other_begins(stack: Stack) -> None:
    user, gate = stack.user(), Gate()
    conversation = stack.conversation(user)
    stack.upstream.enqueue(streamed(["I was ", gate, "just saying this."]))
    ask = {"conversation_id": str(conversation), "message": "Hello"}
    with container(stack, "roleplay_chat", SHUTDOWN_SECONDS="60") as (url, process):
        with stack.streaming(user, url=url, **ask) as stream:
            gate.wait_reached()
            process.terminate()
            wait_until(lambda: not answers(url), "new requests to be refused")
            gate.open()
            events = list(stream)
        assert process.wait(timeout=PATIENCE) == 0
    assert events[-1].name == "done"
    assert stack.said(conversation)[-1] == ("character", "I was just saying this.")


def test_turn_whose_client_left_is_finished_too(stack: Stack) -> None:
    user, gate = stack.user(), Gate()
    conversation = stack.conversation(user)
    stack.upstream.enqueue(streamed(["Nobody ", gate, "hears me."]))
    ask = {"conversation_id": str(conversation), "message": "Hello"}
    with container(stack, "roleplay_chat", SHUTDOWN_SECONDS="60") as (url, process):
        with stack.streaming(user, url=url, **ask):
            gate.wait_reached()
        process.terminate()
        wait_until(lambda: not answers(url), "new requests to be refused")
        assert process.poll() is None
        gate.open()
        assert process.wait(timeout=PATIENCE) == 0
    assert stack.said(conversation)[-1] == ("character", "Nobody hears me.")


def test_turn_that_takes_longer_is_ended_and_can_be_repeated(stack: Stack) -> None:
    user, gate = stack.user(), Gate()
    conversation: UUID = stack.conversation(user)
    stack.upstream.enqueue(streamed(["Too ", gate, "late."]))
    ask = {"conversation_id": str(conversation), "message": "Hello"}
    with (
        container(stack, "roleplay_chat", SHUTDOWN_SECONDS="0.1") as (url, process),
        stack.streaming(user, url=url, **ask),
    ):
        gate.wait_reached()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0
    gate.open()
    assert [said for said in stack.said(conversation) if said[0] == "user"] == [("user", "Hello")]
