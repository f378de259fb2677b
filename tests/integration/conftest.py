"""What the tests of failures begin with."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge.logs import JsonFormatter
from tests.support.stack import Stack
from tests.support.talk import CANARY, Talk
from tests.support.waiting import wait_until


@pytest.fixture
def talk(stack: Stack) -> Iterator[Talk]:
    """A conversation that has just begun. In the end no words of an upstream's are kept."""
    user = stack.user()
    talk = Talk(stack, user, stack.conversation(user))
    lines = _Lines(talk.log)
    logger = logging.getLogger("roleplay_chat")
    logger.addHandler(lines)
    yield talk
    logger.removeHandler(lines)
    stored = [stack.all(f"select * from {table}") for table in ("messages", "turns")]  # noqa: S608
    assert CANARY not in str(stored)
    assert CANARY not in str(talk.log)


@pytest.fixture
def one_day() -> None:
    """The test begins and ends on the same day in UTC, by which limits and reports count."""
    wait_until(lambda: _left_of_the_day() > timedelta(minutes=1), "midnight to pass")


def _left_of_the_day() -> timedelta:
    now = datetime.now(UTC)
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now


@pytest.fixture
def log() -> Iterator[list[dict[str, Any]]]:
    """What health_check logs."""
    lines: list[dict[str, Any]] = []
    handler = _Lines(lines)
    logger = logging.getLogger("health_check")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


class _Lines(logging.Handler):
    """The log as it is written."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(json.loads(self.format(record)))
