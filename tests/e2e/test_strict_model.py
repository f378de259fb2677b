"""A real llama.cpp server whose chat template takes only alternating roles, as a worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.real_model import running_llama
from tests.support.stack import Stack
from tests.support.waiting import PATIENCE

TEMPLATE = """\
{%- for message in messages if message['role'] != 'system' -%}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
{%- if message['role'] == 'system' and not loop.first -%}
{{ raise_exception('System message must be at the beginning.') }}
{%- endif -%}
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}
"""
"""The rules of Mistral and newer Qwen, in the format of the small model."""


@pytest.fixture(scope="module")
def strict_model() -> Iterator[str]:
    """The address of the server."""
    with running_llama(TEMPLATE) as url:
        yield url


def refusals(stack: Stack) -> int:
    rows = stack.all("select from usage_events where outcome = 'bad_request'")
    return len(rows)


def test_every_turn_is_answered_and_the_form_is_remembered(stack: Stack, strict_model: str) -> None:
    seconds = {"first_token": PATIENCE, "idle": PATIENCE, "total": PATIENCE}
    stack.configure(
        chatWorkerUrl=f"{strict_model}/v1",
        chatWorker={
            "protocol": "openai",
            "model": "SmolLM2",
            "memory": False,
            "timeouts": seconds,
            "input_defaults": {"max_tokens": 12},
        },
    )
    stack.worker_health(workerUrl=f"{strict_model}/v1")
    stack.db.execute(
        "update characters set first_message = 'There is tea.',"
        " post_history_instructions = 'Answer in one sentence.'"
    )
    user = stack.user()
    conversation = stack.conversation(user)

    def turn(**body: Any) -> httpx.Response:
        ids = {"conversation_id": str(conversation), "model_provider": "chat_worker"}
        answer = stack.chat(user, **ids, **body)
        assert answer.status_code == 200, answer.text
        return answer

    turn(kickoff=True)
    assert turn(message="Hello.").json()["usedFallback"] is False
    assert refusals(stack) == 1
    for body in ({"message": "And now?"}, {"action": "regenerate"}, {"action": "impersonate"}):
        assert turn(**body).json()["usedFallback"] is False
    assert refusals(stack) == 1
    row = stack.one("select provider, model_key, repairs from private.model_repairs")
    assert row == {
        "provider": "chat_worker",
        "model_key": "SmolLM2",
        "repairs": {"roles": "alternate"},
    }
