"""What the terminal says when the database or the function refuses something."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from dev.terminal.client import (
    FAILED,
    OUTDATED,
    SENTENCES,
    WRONG_VALUE,
    Chat,
    CommandFailed,
    database_error,
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
