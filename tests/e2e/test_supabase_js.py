"""supabase-js calls the function like the existing web client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from httpx_sse import EventSource

from tests.support import patient
from tests.support.answers import error, stream, text
from tests.support.gateway import PUBLISHABLE_KEY, Gateway
from tests.support.keys import Keys
from tests.support.postgres import ROOT, Connection
from tests.support.stack import DEMO_CHARACTER, Stack, User
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, free_port, wait_until

NODE = ROOT / ".venv/bin/node"
SCRIPT = Path(__file__).with_name("supabase_js.mjs")


@pytest.fixture(scope="module")
def functions_url(
    connection: Connection,
    gateway: Gateway,
    openrouter: Upstream,
    chat_worker: Upstream,
    keys: Keys,
    function_url: Callable[[str], str],
) -> Iterator[str]:
    """Both functions at one origin, as served by `make dev`."""
    env = Stack(connection, gateway, openrouter, chat_worker, keys, function_url).env()
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "dev.stack.functions"],
        cwd=ROOT,
        env={
            **os.environ,
            **env,
            "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
            "FUNCTIONS_PORT": str(port),
            "FUNCTION_USE_ASGI": "1",
        },
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, "the functions did not start"
        with suppress(httpx.TransportError):
            return patient.get(url).is_success
        return False

    try:
        wait_until(answers, "the functions to answer")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def shipped(conversation: UUID | str, message: str | None, **fields: Any) -> dict[str, Any]:
    """A request body of the existing client, with every field that it sends."""
    return {
        "message": message,
        "conversation_id": str(conversation),
        "character_id": str(DEMO_CHARACTER),
        "model_provider": "",
        "memory_tier": "conversation",
        "content_tier": "sfw",
        "user_id": str(uuid4()),
        "scene_context": "The storm has not let up.",
        "scene_system_prompt": None,
        "scene_name": "The lamp room",
        "scene_description": None,
        "scene_starters": ["Knock at the door.", "Call her name."],
        "user_role": "",
        "user_character_id": None,
        "prompt_template_id": None,
        "prompt_template_name": None,
        "kickoff": False,
        "scene_generation": True,
        "scene_only": False,
        "selected_image_model": "sdxl",
        "selected_i2i_model": None,
        "scene_style": "character_only",
        "consistency_settings": {"method": "hybrid", "reference_strength": 0.35},
        "scene_continuity_enabled": True,
        "previous_scene_id": None,
        "previous_scene_image_url": None,
        "scene_preview_image_url": "https://images.example/a.png",
        "user_character_reference_url": None,
        "scene_prompt_override": None,
        "current_scene_image_url": None,
        "scene_default_clothing": "oilskin",
        "scene_clothing_overrides": {"hat": None},
    } | fields


def invoked(
    stack: Stack, functions_url: str, user: User, body: dict[str, Any], said: str | None = None
) -> dict[str, Any]:
    """The output of the script for one call by this user."""
    given = {
        "supabaseUrl": stack.gateway.url,
        "publishableKey": PUBLISHABLE_KEY,
        "functionsUrl": functions_url,
        "token": user.token,
        "said": said,
        "body": body,
    }
    done = subprocess.run(
        [NODE, SCRIPT], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_reply_is_in_the_data_of_invoke(stack: Stack, functions_url: str) -> None:
    user = stack.user("Ada")
    conversation = stack.conversation(user)
    stack.upstream.enqueue(text("Come in.\n\nSit down."))

    answer = invoked(stack, functions_url, user, shipped(conversation, "Hello"), said="Hello")

    data, messages = answer["data"], answer["messages"]
    assert data["success"] is True
    assert data["response"] == "Come in.\n\nSit down."
    assert data["model_used"].startswith("openrouter:")
    assert data["message_id"] == messages[-1]["id"]
    assert (data["usedFallback"], data["fallbackModel"]) == (False, None)
    assert (data["scene_generated"], data["consistency_score"]) == (False, 0)
    assert data["memory_updated"] is False
    assert isinstance(data["processing_time"], int)
    # Inserted by the client and adopted by the function.
    assert [(message["sender"], message["content"]) for message in messages] == [
        ("user", "Hello"),
        ("character", "Come in.\n\nSit down."),
    ]


def test_client_may_leave_the_message_to_the_function(stack: Stack, functions_url: str) -> None:
    user = stack.user()
    conversation = stack.conversation(user)
    stack.upstream.enqueue(text("Come in."))

    answer = invoked(stack, functions_url, user, shipped(conversation, "Hello"))

    assert [message["content"] for message in answer["messages"]] == ["Hello", "Come in."]


def test_stream_comes_as_a_response(stack: Stack, functions_url: str) -> None:
    user = stack.user()
    conversation = stack.conversation(user)
    stack.upstream.enqueue(stream(["Good ", "day, ", "灯台守 🌊."]))

    answer = invoked(stack, functions_url, user, shipped(conversation, "Hello", stream=True))

    events = received(answer["stream"])
    names = [name for name, _ in events]
    assert (names[0], set(names[1:-1]), names[-1]) == ("start", {"delta"}, "done")
    assert "".join(data["text"] for name, data in events if name == "delta") == (
        "Good day, 灯台守 🌊."
    )
    done = events[-1][1]
    assert (done["success"], done["response"]) == (True, "Good day, 灯台守 🌊.")
    assert done["message_id"] == answer["messages"][-1]["id"]


def test_kickoff_without_a_message_is_answered(stack: Stack, functions_url: str) -> None:
    user = stack.user()
    conversation = stack.conversation(user)
    stack.upstream.enqueue(text("Who is there?"))

    answer = invoked(stack, functions_url, user, shipped(conversation, None, kickoff=True))

    assert answer["data"]["response"] == "Who is there?"
    assert [message["sender"] for message in answer["messages"]] == ["character"]


@pytest.mark.parametrize("streamed", [False, True], ids=["json", "stream"])
class TestRefusal:
    """A FunctionsHttpError with the response, which contains the error envelope."""

    def refused(
        self, stack: Stack, functions_url: str, user: User, body: dict[str, Any]
    ) -> tuple[int, str]:
        refusal = invoked(stack, functions_url, user, body)["error"]
        envelope = refusal["envelope"]
        assert set(envelope) == {"success", "error", "code", "request_id"}
        assert envelope["success"] is False
        assert envelope["error"].endswith(".")
        assert envelope["request_id"] == refusal["requestId"]
        return refusal["status"], envelope["code"]

    def test_conversation_that_does_not_exist(
        self, stack: Stack, functions_url: str, streamed: bool
    ) -> None:
        body = shipped(uuid4(), "Hello", stream=streamed)
        assert self.refused(stack, functions_url, stack.user(), body) == (
            404,
            "conversation_not_found",
        )

    def test_models_that_do_not_answer(
        self, stack: Stack, functions_url: str, streamed: bool
    ) -> None:
        user = stack.user()
        stack.upstream.always(error(503, headers={"Retry-After": "300"}))
        body = shipped(stack.conversation(user), "Hello", stream=streamed)
        assert self.refused(stack, functions_url, user, body) == (503, "no_model_available")


def received(written: str) -> list[tuple[str, Any]]:
    """The events of a completely read stream."""
    headers = {"Content-Type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, content=written.encode())
    return [(event.event, event.json()) for event in EventSource(response).iter_sse()]
