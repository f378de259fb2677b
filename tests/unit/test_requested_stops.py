"""A reply ends before a text that the request names, however the reply was split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.reply.filters import Reply
from roleplay_chat.reply.stop_strings import StopStringFilter

LETTERS = st.text("ab\n", min_size=1, max_size=3)


def filtered(one: StopStringFilter, pieces: list[str]) -> str:
    return "".join([*(one.feed(piece) for piece in pieces), one.flush()])


@given(st.lists(LETTERS, max_size=8), st.lists(LETTERS, min_size=1, max_size=3))
def test_splitting_changes_nothing(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    complete = [(at + len(stop), at) for stop in stops if (at := whole.find(stop)) >= 0]
    _, start = min(complete, default=(len(whole), len(whole)))
    found = StopStringFilter(stops)
    assert filtered(found, pieces) == whole[:start]
    assert found.found == bool(complete)


def test_stop_string_that_is_complete_first_ends_the_reply() -> None:
    for pieces in (["a, b, c"], ["a, b", ", c"], list("a, b, c")):
        assert filtered(StopStringFilter([", b, c", "b"]), pieces) == "a, "


def test_what_cannot_begin_a_stop_string_is_shown_at_once() -> None:
    one = StopStringFilter(["###"])
    assert [one.feed(piece) for piece in ("Sit", " #", "1", "##", "#")] == [
        "Sit",
        " ",
        "#1",
        "",
        "",
    ]


@pytest.mark.parametrize("pieces", [["Sit. \nUser: Go"], ["Sit.", " ", "\n", "User:", " Go"]])
def test_reply_is_over_and_has_no_space_at_its_end(pieces: list[str]) -> None:
    reply = Reply(stops=["\nUser:"])
    text = "".join([*(reply.feed(piece) for piece in pieces), reply.flush()])
    assert (text, reply.is_over) == ("Sit.", True)
