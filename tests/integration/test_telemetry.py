"""Traces and metrics arrive at a collector; without one, nothing is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support import patient
from tests.support.answers import error, reply, text
from tests.support.stack import Stack
from tests.support.upstream import Upstream, running_upstream

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
USAGE = {
    "prompt_tokens": 150,
    "completion_tokens": 200,
    "cost": 0,
    "prompt_tokens_details": {"cached_tokens": 90},
}


@pytest.fixture
def collector() -> Iterator[Upstream]:
    with running_upstream() as collector:
        collector.always(reply(200, ""), to="/v1/traces")
        collector.always(reply(200, ""), to="/v1/metrics")
        yield collector


def attributes(thing: Any) -> dict[str, Any]:
    found = {}
    for pair in thing.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


def spans(collector: Upstream) -> list[Any]:
    requests = [call.body for call in collector.calls if call.path.endswith("/v1/traces")]
    return [
        span
        for body in requests
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def metrics(collector: Upstream) -> dict[str, list[Any]]:
    requests = [call.body for call in collector.calls if call.path.endswith("/v1/metrics")]
    return {
        metric.name: list(metric.histogram.data_points)
        for body in requests
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_turn_arrives_with_its_calls_and_without_words(stack: Stack, collector: Upstream) -> None:
    user = stack.user("Name-canary")
    body = {"conversation_id": str(stack.conversation(user)), "message": "Message-canary"}
    headers = user.headers | {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    stack.upstream.enqueue(error(404), text("Reply-canary.", usage=USAGE))

    with stack.serving(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as url:
        answer = patient.post(url, headers=headers, json=body)
    assert answer.status_code == 200, answer.text

    (turn,) = (span for span in spans(collector) if span.name == "turn")
    failed, answered = (span for span in spans(collector) if span.name != "turn")
    assert (turn.trace_id.hex(), turn.parent_span_id.hex()) == (TRACE, SPAN)
    assert attributes(turn)["app.turn_id"] == answer.json()["turn_id"]
    assert failed.parent_span_id == answered.parent_span_id == turn.span_id
    assert failed.status.code == 2
    assert attributes(failed)["error.type"]
    key = answer.json()["model_used"].partition(":")[2]
    assert answered.name == f"chat {key}"
    assert attributes(answered) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.model": key,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 150,
        "gen_ai.usage.output_tokens": 200,
        "gen_ai.usage.cache_read.input_tokens": 90,
    }
    starts = [span.start_time_unix_nano for span in (turn, failed, answered)]
    ends = [span.end_time_unix_nano for span in (failed, answered, turn)]
    assert ends == sorted(ends)
    assert starts[1] < starts[2]

    measured = metrics(collector)
    tokens = {
        attributes(point)["gen_ai.token.type"]: point.sum
        for point in measured["gen_ai.client.token.usage"]
    }
    assert tokens == {"input": 150, "output": 200}
    assert sum(point.count for point in measured["gen_ai.client.operation.duration"]) == 2
    assert sum(p.count for p in measured["gen_ai.client.operation.time_to_first_chunk"]) == 1
    everything = b"".join(call.body for call in collector.calls)
    assert b"canary" not in everything
    assert str(user.id).encode() not in everything


def test_collector_that_is_away_disturbs_no_turn(stack: Stack, collector: Upstream) -> None:
    collector.always(error(400), to="/v1/traces")
    collector.always(error(400), to="/v1/metrics")
    user = stack.user()
    stack.upstream.enqueue(text("Yes."))
    with stack.serving(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as url:
        conversation = str(stack.conversation(user))
        answer = stack.chat(user, url=url, conversation_id=conversation, message="Hello")
    assert (answer.status_code, answer.json()["response"]) == (200, "Yes.")
    assert collector.calls


PROGRAM = """
import sys
import roleplay_chat.app, roleplay_chat.settings
{hide}
settings = roleplay_chat.settings.Settings()
app = roleplay_chat.app.App(settings)
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def start(stack: Stack, hide: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
    """The output of a process that creates the function's App."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(hide=hide)],
        env=os.environ | stack.env(**changes),
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_imported_without_a_collector(stack: Stack) -> None:
    done = start(stack)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_packages_that_are_missing_are_named(stack: Stack) -> None:
    hide = "sys.modules['opentelemetry'] = None"
    done = start(stack, hide, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert done.returncode == 1
    assert "make build OTEL=1" in done.stderr
