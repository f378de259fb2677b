"""Log lines are one JSON object each, without texts of users."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any, NoReturn
from uuid import UUID, uuid4

import pytest

from edge.logs import JsonFormatter, configure, follow_trace, trace_fields
from edge.timing import Timing


def formatted(message: str = "turn finished", *args: object, **extra: Any) -> str:
    record = logging.LogRecord("chat", logging.INFO, __file__, 1, message, args, None)
    record.__dict__ |= extra
    return JsonFormatter().format(record)


def fail(error: BaseException) -> NoReturn:
    raise error


def raised(error: BaseException) -> dict[str, Any]:
    """The log line of a caught exception."""
    try:
        fail(error)
    except BaseException:
        return dict(json.loads(JsonFormatter().format(caught())))


def caught() -> logging.LogRecord:
    return logging.LogRecord("chat", logging.ERROR, "", 1, "failed", (), sys.exc_info())


def test_line_is_what_cloud_logging_reads() -> None:
    line = json.loads(formatted("%d models", 3))
    assert (line["severity"], line["message"], line["logger"]) == ("INFO", "3 models", "chat")
    assert line["time"].endswith("+00:00")


def test_fields_stand_beside_the_message() -> None:
    line = json.loads(formatted(fields={"turn_id": UUID(int=1), "ms": 12, "targets": [{"a": 1}]}))
    assert (line["turn_id"], line["ms"], line["targets"]) == (str(UUID(int=1)), 12, [{"a": 1}])


def test_record_is_one_line_whatever_is_in_it() -> None:
    text = "a\nb\r\n\u2028\x85\0\udc80 灯台"
    written = formatted(text, fields={"why": text})
    assert len(written.splitlines()) == 1
    written.encode("ascii")
    assert json.loads(written)["message"] == json.loads(written)["why"] == text


def test_exception_is_named_without_its_text() -> None:
    error = ValueError("canary: what a person wrote")
    error.__cause__ = KeyError("canary")
    error.add_note("canary")
    line = raised(error)
    assert line["exception"] == "ValueError"
    assert "canary" not in json.dumps(line)


def test_exception_has_its_place() -> None:
    outer, inner = raised(RuntimeError("canary"))["at"]
    assert re.fullmatch(r"test_logs.py:\d+ raised", outer)
    assert re.fullmatch(r"test_logs.py:\d+ fail", inner)


def test_innermost_places_of_a_deep_exception_are_kept() -> None:
    def deep(levels: int) -> None:
        if not levels:
            fail(ZeroDivisionError())
        deep(levels - 1)

    try:
        deep(30)
    except ZeroDivisionError:
        places = json.loads(JsonFormatter().format(caught()))["at"]
    assert [place.partition(" ")[2] for place in places] == ["deep"] * 7 + ["fail"]


def test_exception_logged_where_there_is_none() -> None:
    record = logging.LogRecord("chat", logging.ERROR, "", 1, "failed", (), (None, None, None))
    assert "exception" not in json.loads(JsonFormatter().format(record))


class TestConfigure:
    @pytest.fixture
    def name(self) -> Iterator[str]:
        """The lines of a logger that nothing else uses."""
        name = f"test-{uuid4()}"
        yield name
        logging.getLogger(name).handlers.clear()

    def test_lines_go_to_standard_output_once(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(name, "info")
        configure(name, "info").info("hello", extra={"fields": {"ms": 5}})
        output, errors = capsys.readouterr()
        assert errors == ""
        [line] = output.splitlines()
        assert (json.loads(line)["message"], json.loads(line)["ms"]) == ("hello", 5)

    def test_level_is_that_of_the_last_call(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(name, "debug")
        configure(name, "warning").info("hidden")
        configure(name, "info").info("shown")
        output = capsys.readouterr().out
        assert "shown" in output
        assert "hidden" not in output


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


class TestTrace:
    @pytest.mark.parametrize(
        ("headers", "span", "sampled"),
        [
            pytest.param({"traceparent": f"00-{TRACE}-{SPAN}-01"}, SPAN, True, id="w3c"),
            pytest.param({"traceparent": f"00-{TRACE}-{SPAN}-00"}, SPAN, False, id="not-sampled"),
            pytest.param({"traceparent": f"01-{TRACE}-{SPAN}-03-more"}, SPAN, True, id="later"),
            pytest.param(
                {"x-cloud-trace-context": f"{TRACE.upper()}/{int(SPAN, 16)};o=1"},
                SPAN,
                True,
                id="cloud",
            ),
            pytest.param({"x-cloud-trace-context": TRACE}, None, False, id="cloud-without-span"),
            pytest.param(
                {"traceparent": f"00-{TRACE}-{SPAN}-01", "x-cloud-trace-context": "0" * 32},
                SPAN,
                True,
                id="both",
            ),
        ],
    )
    def test_is_named_as_cloud_logging_joins_lines(
        self, headers: dict[str, str], span: str | None, sampled: bool
    ) -> None:
        fields = trace_fields(headers, "tales")
        assert fields["logging.googleapis.com/trace"] == f"projects/tales/traces/{TRACE}"
        assert fields["logging.googleapis.com/trace_sampled"] is sampled
        assert fields.get("logging.googleapis.com/spanId") == span

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"traceparent": ""},
            {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
            {"traceparent": f"00-{TRACE}-{SPAN}"},
            {"traceparent": f"00-{TRACE.upper()}-{SPAN}-01"},
            {"traceparent": f"00-{TRACE}-{SPAN}-01\n"},
            {"x-cloud-trace-context": "canary"},
            {"x-cloud-trace-context": f"{TRACE}/9999999999999999999999"},
        ],
    )
    def test_header_without_a_trace_is_ignored(self, headers: dict[str, str]) -> None:
        assert trace_fields(headers, "tales") == {}

    def test_is_in_every_line_of_the_request(self) -> None:
        headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
        follow_trace(headers, "tales")
        assert TRACE in formatted()
        follow_trace(headers, None)
        assert TRACE not in formatted()


def test_durations_are_a_server_timing_header() -> None:
    timing = Timing()
    with timing.measure("begin"):
        pass
    with pytest.raises(ValueError, match="no"), timing.measure("model"):
        raise ValueError("no")
    assert re.fullmatch(r"begin;dur=\d+\.\d, model;dur=\d+\.\d", timing.header())
