"""The model's text becomes the reply, in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.reply.filters import Reply


def shown(*pieces: str) -> str:
    reply = Reply()
    return "".join(reply.feed(piece) for piece in pieces) + reply.flush()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("She nods.\n\nThe door closes.", id="paragraphs"),
        pytest.param("One\n\n\n\nTwo", id="many-blank-lines"),
        pytest.param("*smiles*  **Sit.**\n\n- tea\n  - black\n\n> Yes.", id="markdown"),
        pytest.param("```\nif tide:\n    wait()\n```", id="indentation"),
        pytest.param("A  B\tC", id="spaces-and-tabs"),
        pytest.param('"Well," she said... "teen years, thirty years ago."', id="quotation"),
        pytest.param("🌊👩‍✈️ 灯台守\u200b\u00a0é", id="beyond-ascii"),
        pytest.param("word " * 3000 + "end.", id="long"),
        pytest.param("A thought without an", id="unfinished"),
    ],
)
def test_text_stays_as_it_is(text: str) -> None:
    assert shown(text) == text
    assert shown(*text) == text


@pytest.mark.parametrize(
    ("pieces", "reply"),
    [
        ([], ""),
        ([""], ""),
        ([" \n", "\t", ""], ""),
        (["\n\n Good", " ", "evening.", " \n"], "Good evening."),
        (["Good ", "", "evening."], "Good evening."),
        (["Good.\n", "\n", "\nSit."], "Good.\n\n\nSit."),
    ],
)
def test_space_around_it_goes(pieces: list[str], reply: str) -> None:
    assert shown(*pieces) == reply


def test_space_waits_for_what_follows_it() -> None:
    reply = Reply()
    assert [reply.feed(piece) for piece in ("  Good ", "\n", "evening", ".")] == [
        "Good",
        "",
        " \nevening",
        ".",
    ]


spaced = st.text(st.sampled_from(" \n\t.aé🌊*"))


@given(st.lists(spaced | st.text()))
def test_any_split_gives_what_the_whole_gives(pieces: list[str]) -> None:
    assert shown(*pieces) == shown("".join(pieces))
