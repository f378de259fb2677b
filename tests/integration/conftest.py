"""Fixtures of the integration tests: a conversation, the Data API, the log."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from edge.logs import JsonFormatter
from tests.support.answers import text
from tests.support.facts import STORY, say
from tests.support.stack import Stack, User
from tests.support.talk import CANARY, Talk
from tests.support.waiting import wait_until


@pytest.fixture
def talk(stack: Stack) -> Iterator[Talk]:
    """A new conversation. At the end, no text of an upstream error may be stored or logged."""
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
def told(talk: Talk) -> Talk:
    """A conversation of six messages, with no memory yet."""
    say(talk, *STORY)
    talk.stack.upstream.always(text("Yes."))
    return talk


@pytest.fixture
def ann(stack: Stack) -> User:
    return stack.user("Ann")


@pytest.fixture
def api(stack: Stack, ann: User) -> Iterator[httpx.Client]:
    """The Data API as Ann sees it."""
    with stack.data_api(ann) as api:
        yield api


@pytest.fixture
def one_day() -> None:
    """Makes the test start and end on the same UTC day, because limits and reports count by day."""
    wait_until(lambda: _left_of_the_day() > timedelta(minutes=1), "midnight to pass")


def _left_of_the_day() -> timedelta:
    now = datetime.now(UTC)
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now


@pytest.fixture
def log() -> Iterator[list[dict[str, Any]]]:
    """The log lines of health_check."""
    lines: list[dict[str, Any]] = []
    handler = _Lines(lines)
    logger = logging.getLogger("health_check")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


class _Lines(logging.Handler):
    """A handler that parses log lines as they are written."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(json.loads(self.format(record)))
