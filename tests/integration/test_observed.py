"""What an operator sees of a turn: its log line and the times of its parts."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from edge.logs import JsonFormatter
from tests.support import patient
from tests.support.answers import error, text
from tests.support.stack import Stack

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
USAGE = {"prompt_tokens": 150, "completion_tokens": 200, "cost": 0.00036531}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """The log lines as Cloud Logging gets them."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("roleplay_chat")
    level = logger.level
    logger.setLevel(logging.INFO)  # whatever another function in this process has set
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(level)


def finished(written: io.StringIO) -> dict[str, Any]:
    """The only log line of the only turn."""
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    (line,) = (line for line in lines if line["message"] == "turn finished")
    return dict(line)


def talk(stack: Stack, url: str | None = None, **headers: str) -> httpx.Response:
    user = stack.user()
    body = {"conversation_id": str(stack.conversation(user)), "message": "Hello-canary"}
    return patient.post(
        url or stack.function_url("roleplay_chat"), headers=user.headers | headers, json=body
    )


def test_line_has_times_tokens_and_cost(stack: Stack, written: io.StringIO) -> None:
    stack.upstream.enqueue(error(500), text("Reply-canary.", usage=USAGE))
    assert talk(stack).status_code == 200
    line = finished(written)
    assert 0 <= line["first_text_ms"] <= line["ms"]
    assert (line["prompt_tokens"], line["completion_tokens"]) == (150, 200)
    assert line["cost_usd"] == pytest.approx(0.00036531)
    assert line["targets"][-1]["first_token_ms"] >= 0
    assert "canary" not in written.getvalue()


def test_line_of_a_turn_that_nobody_answered(stack: Stack, written: io.StringIO) -> None:
    stack.upstream.always(error(401))
    assert talk(stack).status_code == 503
    line = finished(written)
    assert (line["first_text_ms"], line["completion_tokens"], line["cost_usd"]) == (None, 0, None)


@pytest.mark.parametrize("project", ["tales", ""])
def test_lines_name_the_requests_trace(stack: Stack, written: io.StringIO, project: str) -> None:
    stack.upstream.enqueue(text("Yes."))
    traceparent = f"00-{TRACE}-00f067aa0ba902b7-01"
    with stack.serving(GOOGLE_CLOUD_PROJECT=project) as url:
        assert talk(stack, url, traceparent=traceparent).status_code == 200
        patient.post(url, json={})  # rejected, without a trace header
    rejected = json.loads(written.getvalue().splitlines()[-1])
    assert rejected["message"] == "request rejected"
    assert TRACE not in str(rejected)
    if project:
        line = finished(written)
        assert line["logging.googleapis.com/trace"] == f"projects/tales/traces/{TRACE}"
    else:
        assert TRACE not in written.getvalue()


def test_durations_are_in_the_answer(stack: Stack) -> None:
    stack.upstream.enqueue(text("Yes."))
    answer = talk(stack)
    names = re.findall(r"([a-z]+);dur=\d+\.\d(?:, |$)", answer.headers["server-timing"])
    assert names == ["begin", "model", "save"]


def test_durations_of_a_turn_that_nobody_answered(stack: Stack) -> None:
    stack.upstream.always(error(401))
    answer = talk(stack)
    assert answer.status_code == 503
    assert "save;dur=" in answer.headers["server-timing"]
