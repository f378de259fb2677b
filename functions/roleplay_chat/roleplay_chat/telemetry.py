"""Traces and metrics of turns, following OpenTelemetry's conventions for generative AI.

Imported only if OTEL_EXPORTER_OTLP_ENDPOINT is set; only `make build OTEL=1` includes the packages.
The SDK reads its other OTEL_ variables itself. Exports names, sizes, times and outcomes, never what
people wrote.
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from roleplay_chat.generation.attempts import Attempt


class Telemetry:
    """Exports in its own threads, so that no turn waits for a collector."""

    def __init__(self) -> None:
        resource = Resource.create({"service.name": "roleplay_chat"})
        self._spans = TracerProvider(resource=resource)
        self._spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        self._metrics = MeterProvider([reader], resource=resource)
        self._tracer = self._spans.get_tracer("roleplay_chat")
        meter = self._metrics.get_meter("roleplay_chat")
        self._duration = meter.create_histogram("gen_ai.client.operation.duration", "s")
        self._first = meter.create_histogram("gen_ai.client.operation.time_to_first_chunk", "s")
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}")

    def record(
        self,
        attempts: Sequence[Attempt],
        headers: Mapping[str, str],
        started: float,
        **ids: str,
    ) -> None:
        """Record a finished turn: a span below the caller's, with a child span for each call.

        `started` and the attempts' times are on the monotonic clock.
        """
        # Converts the monotonic clock to Unix time.
        offset = time.time() - time.monotonic()
        parent = TraceContextTextMapPropagator().extract(dict(headers))
        turn = self._tracer.start_span(
            "turn",
            parent,
            SpanKind.SERVER,
            {f"app.{name}": value for name, value in ids.items()},
            start_time=_nanoseconds(started + offset),
        )
        for attempt in attempts:
            self._record_attempt(attempt, set_span_in_context(turn), offset)
        turn.end()

    def _record_attempt(self, attempt: Attempt, parent: Any, offset: float) -> None:
        seconds = attempt.duration_ms / 1000
        ended = attempt.ended_at + offset
        common = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": attempt.target.provider,
            "gen_ai.request.model": attempt.target.model_key,
        }
        failed = {"error.type": attempt.failure.policy.name} if attempt.failure else {}
        span = self._tracer.start_span(
            f"chat {attempt.target.model_key}",
            parent,
            SpanKind.CLIENT,
            common | failed,
            start_time=_nanoseconds(ended - seconds),
        )
        self._duration.record(seconds, common | failed)
        if attempt.first_token_ms is not None:
            self._first.record(attempt.first_token_ms / 1000, common)
        if attempt.finish_reason:
            span.set_attribute("gen_ai.response.finish_reasons", [attempt.finish_reason])
        if spent := attempt.spent:
            for kind, tokens in (
                ("input", spent.prompt_tokens),
                ("output", spent.completion_tokens),
            ):
                span.set_attribute(f"gen_ai.usage.{kind}_tokens", tokens)
                self._tokens.record(tokens, common | {"gen_ai.token.type": kind})
            if spent.cached_tokens is not None:
                span.set_attribute("gen_ai.usage.cache_read.input_tokens", spent.cached_tokens)
        if attempt.failure:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(ended))

    def shutdown(self) -> None:
        """Export the remaining data. Blocks for a few seconds at most."""
        self._spans.shutdown()
        self._metrics.shutdown(timeout_millis=3000)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
