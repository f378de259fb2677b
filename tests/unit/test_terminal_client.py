"""What the terminal says when the database or the function refuses something."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from httpx_sse import SSEError

from dev.stack.stack import NOT_RUNNING
from dev.terminal.client import (
    BROKEN,
    DATABASE_SECONDS,
    FAILED,
    OUTDATED,
    SENTENCES,
    TOO_LATE,
    WRONG_VALUE,
    Chat,
    CommandFailed,
    database_error,
    lost,
)

ENV = {
    "SUPABASE_URL": "http://database",
    "SUPABASE_PUBLISHABLE_KEY": "k",
    "FUNCTIONS_URL": "http://functions",
    "DEMO_CHARACTER_ID": "c",
    "DEMO_CONVERSATION_ID": "v",
    "DEMO_EMAIL": "e",
    "DEMO_PASSWORD": "p",
}
RAW = 'new row for relation "memory_facts" violates check constraint "canary"'


def chat(answer: httpx.Response) -> Chat:
    """The client of a stack that gives this answer to everything but signing in."""

    def respond(request: httpx.Request) -> httpx.Response:
        if "/auth/" in request.url.path:
            return httpx.Response(200, json={"user": {"id": "u"}, "access_token": "t"})
        return answer

    return Chat(httpx.Client(transport=httpx.MockTransport(respond)), ENV, "")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        *(
            pytest.param({"code": code, "message": RAW, "details": RAW}, told, id=code)
            for code, told in SENTENCES.items()
        ),
        *(
            pytest.param({"code": code, "message": RAW}, WRONG_VALUE, id=code)
            for code in ("22P02", "22003", "22007", "22021")
        ),
        *(
            pytest.param({"code": code, "message": RAW}, OUTDATED, id=code)
            for code in ("PGRST100", "PGRST202", "PGRST204", "42883")
        ),
        pytest.param({"code": "PGRST002", "message": RAW}, FAILED, id="no-connection"),
        pytest.param({"code": "XX000", "message": RAW}, FAILED, id="unknown-code"),
        pytest.param({"code": None, "message": RAW}, FAILED, id="no-code"),
        pytest.param([RAW], FAILED, id="list"),
        pytest.param("canary", FAILED, id="text"),
        pytest.param(
            {"code": "PT429", "message": "Too many rows", "hint": "Wait 9 s."},
            "Too many rows. Wait 9 s.",
            id="for-people",
        ),
    ],
)
def test_database_error_is_a_sentence(body: Any, sentence: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        chat(httpx.Response(400, json=body)).data("GET", "memory_facts")
    assert str(failed.value) == sentence
    assert "canary" not in str(failed.value)


def test_page_of_a_proxy_is_a_sentence() -> None:
    assert database_error(httpx.Response(502, text="<html>canary")) == FAILED


def test_functions_sentence_and_code_are_kept() -> None:
    envelope = {"error": "A reply is being written.", "code": "turn_in_progress"}
    with pytest.raises(CommandFailed, match="being written") as failed:
        chat(httpx.Response(409, content=json.dumps(envelope))).act(action="stop")
    assert failed.value.code == "turn_in_progress"


@pytest.mark.parametrize("character", ["x", "1&select=*", "c0ffee00-0000-4000-8000-000000000009"])
def test_character_that_is_not_there_is_named(character: str) -> None:
    with pytest.raises(CommandFailed, match="There is no character"):
        chat(httpx.Response(200, json=[])).meet(character)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        pytest.param(400, "The demo user's password was changed. `make reset`", id="password"),
        pytest.param(429, FAILED, id="too-many"),
        pytest.param(503, FAILED, id="down"),
    ],
)
def test_data_is_to_be_deleted_only_where_that_helps(status: int, sentence: str) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        assert request.extensions["timeout"]["read"] == DATABASE_SECONDS
        return httpx.Response(status, json={})

    http = httpx.Client(transport=httpx.MockTransport(respond), timeout=60)
    with pytest.raises(CommandFailed) as failed:
        Chat(http, ENV, "").sign_in()
    assert str(failed.value).startswith(sentence)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        pytest.param(httpx.ConnectError("[Errno 111] canary"), NOT_RUNNING, id="refused"),
        pytest.param(httpx.ReadTimeout("canary"), TOO_LATE, id="timeout"),
        pytest.param(httpx.ReadError("[Errno 104] canary"), BROKEN, id="reset"),
        pytest.param(SSEError("Expected canary"), BROKEN, id="page-of-a-proxy"),
    ],
)
def test_connection_that_was_lost_is_a_sentence_that_says_what_to_do(
    error: Exception, sentence: str
) -> None:
    assert lost(error) == sentence
    assert "`make " in sentence
