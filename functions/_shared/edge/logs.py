"""One JSON object per line on standard output, in the form Cloud Logging reads.

Log ids, sizes, timings and outcomes; never prompts, replies, keys or tokens.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_CLOUD_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=([01]))?")

_trace: ContextVar[Mapping[str, object] | None] = ContextVar("trace", default=None)


def follow_trace(headers: Mapping[str, str], project: str | None) -> None:
    """Add the request's trace, in this Google Cloud project, to all log lines of this context."""
    _trace.set(trace_fields(headers, project) if project else None)


def trace_fields(headers: Mapping[str, str], project: str) -> dict[str, object]:
    """The fields by which Cloud Logging joins a line to a trace; empty if the request has none.

    Reads `traceparent` (W3C Trace Context) and the platform's older `X-Cloud-Trace-Context`.
    """
    if found := _TRACEPARENT.fullmatch(headers.get("traceparent", "")):
        trace, span, sampled = found[1], found[2], int(found[3], 16) & 1 == 1
    elif found := _CLOUD_TRACE.fullmatch(headers.get("x-cloud-trace-context", "")):
        number = int(found[2] or 0)
        trace, sampled = found[1].lower(), found[3] == "1"
        span = f"{number:016x}" if 0 < number < 2**64 else ""
    else:
        return {}
    if not int(trace, 16):
        return {}
    fields: dict[str, object] = {
        "logging.googleapis.com/trace": f"projects/{project}/traces/{trace}",
        "logging.googleapis.com/trace_sampled": sampled,
    }
    return fields | ({"logging.googleapis.com/spanId": span} if span.strip("0") else {})


class JsonFormatter(logging.Formatter):
    """Formats a record, with the `fields` mapping of its `extra`, as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON without its newline."""
        line: dict[str, object] = {
            "severity": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _trace.get() or {}
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            # The location, not the message: an exception's text may quote what a person wrote.
            line["exception"] = record.exc_info[0].__qualname__
            line["at"] = _innermost(record)
        return json.dumps(line, default=str)


def _innermost(record: logging.LogRecord) -> list[str]:
    frames = []
    traceback = record.exc_info[2] if record.exc_info else None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return frames[-8:]


def configure(name: str, level: str) -> logging.Logger:
    """The logger of one function, which writes JSON lines. Calling again changes the level."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.propagate = False
        # Lines do not name their place in the code: finding it is half of the cost of a line.
        logger.findCaller = lambda *_, **__: ("", 0, "", None)  # type: ignore[method-assign]
    logger.setLevel(level.upper())
    return logger
