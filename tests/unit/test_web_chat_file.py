"""The page tells chats from cards by what is in a file. The module runs in Node.js."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import chat_files as chats
from tests.support.node import evaluate
from tests.support.postgres import ROOT

CARDS = ROOT / "tests/data/cards"
ROLES = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Sit."}]
CHATS: list[Any] = [
    chats.AGNAI,
    chats.WEBUI,
    chats.RISUAI,
    chats.RISUAI["data"],
    {"type": "risuAllChats", "data": [chats.RISUAI["data"]]},
    chats.CAI_TOOLS,
    chats.CAI_TOOLS["histories"],
    chats.KOBOLD,
    [chats.HELLO, chats.REPLY],
    [chats.HEADER, chats.HELLO],
    {"chat": [chats.HELLO]},
    {"messages": ROLES},
    ROLES,
    [["Hello", "Sit."], [None, "Up."]],
    {"history": [["Hello", "Sit."]]},
]
OTHERS: list[Any] = [
    {"spec": "chara_card_v2", "data": {"name": "Mara", "description": "Keeper."}},
    {"name": "Mara", "description": "Keeper.", "first_mes": "Hello", "mes_example": "Sit."},
    {"entries": {"0": {"key": ["lamp"], "content": "It is lit."}}},
    {"name": "Book", "entries": [{"keys": ["lamp"], "content": "It is lit."}]},
    {"kind": "character", "name": "Mara", "persona": {"kind": "text", "attributes": {}}},
    {"type": "risu", "data": [{"key": "lamp", "content": "It is lit."}]},
    [],
    {},
    7,
    None,
]


def told(*texts: str | None) -> list[bool]:
    return list(evaluate("chat-file.js", "given.map(module.isChat)", texts))


def written(value: Any) -> list[str]:
    return [json.dumps(value, indent=indent) for indent in (None, 2)]


@pytest.mark.parametrize("value", CHATS)
def test_chat_of_any_program_is_recognised(value: Any) -> None:
    assert chats.said(value)  # as the service reads it
    assert told(*written(value)) == [True, True]


@pytest.mark.parametrize("value", OTHERS)
def test_anything_else_is_not(value: Any) -> None:
    assert told(*written(value)) == [False, False]


@pytest.mark.parametrize(
    "raw",
    [
        chats.lines(chats.HEADER, chats.HELLO, chats.COME_IN),
        chats.lines(chats.HELLO, chats.COME_IN),
        chats.lines(chats.HELLO),
        chats.lines(chats.HEADER, chats.HELLO).replace(b"\n", b"\r\n\r\n"),
        b"damaged\n\n" + chats.lines(chats.HEADER, chats.HELLO),
        chats.lines({"chat_metadata": {}}, {"broken": 1}, chats.HELLO),
    ],
)
def test_lines_of_messages_are_recognised(raw: bytes) -> None:
    assert told(raw.decode()) == [True]


@pytest.mark.parametrize("name", ["cook_v3.json", "detective_v2.json", "keeper_v1.json"])
def test_cards_are_cards(name: str) -> None:
    assert told((CARDS / name).read_text()) == [False]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name: Mara\ndescription: Keeper.\n",
        "Hello there.",
        "{" * 100_000,
        "[" * 100_000,
        "{\n" * 50_000,
        '{"mes"',
        None,
    ],
)
def test_text_that_is_no_json_is_not(text: str | None) -> None:
    assert told(text) == [False]
