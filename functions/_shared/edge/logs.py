"""One JSON object per line on standard output, in the form Cloud Logging reads.

Log ids, sizes, timings and outcomes. Never prompts, replies, keys or tokens.
"""

import json
import logging
import sys
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """Formats a record, and the `fields` mapping given in its `extra`, as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON without its newline."""
        line: dict[str, object] = {
            "severity": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            # The place, not the message: an exception's text may quote what a person wrote.
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
    """The logger of one function, writing JSON lines; called again it changes the level."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(level.upper())
    return logger
