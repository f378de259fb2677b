"""What the page makes of a composition and of the rows that it refers to. It runs in Node.js."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node import evaluate

COMPOSITION: dict[str, Any] = {
    "tokens": 900,
    "parts": [
        {"part": "template", "tokens": 100},
        {"part": "description", "tokens": 40, "of": 400},
        {"part": "examples", "tokens": 0, "of": 50},
        {"part": "of_a_later_version", "tokens": 7},
    ],
    "history": {"messages": 3, "left_out": 2, "from": 4},
    "entries": [],
    "facts": [],
    "recalled": {"facts": [], "messages": []},
    "left_out": {"entries": [], "facts": []},
    "more": {},
}
ROWS: dict[str, Any] = {"facts": [], "messages": [], "book": None}


def explained(composition: dict[str, Any], rows: dict[str, Any] | None = None) -> dict[str, Any]:
    given = {"composition": COMPOSITION | composition, "rows": ROWS | (rows or {})}
    found = evaluate("composition.js", "module.explained(given.composition, given.rows)", given)
    return dict(found)


def entry(meant: dict[str, Any], *entries: Any) -> tuple[str | None, str]:
    """Text and reason of an entry of a book."""
    (found,) = explained({"entries": [meant]}, {"book": {"entries": list(entries)}})["entries"]
    return found["text"], found["why"]


def test_parts_are_named_and_what_was_cut_is_said() -> None:
    assert explained({})["parts"] == [
        {"name": "Instructions of this site", "tokens": 100, "cut": ""},
        {"name": "The character's description", "tokens": 40, "cut": "shortened from 400"},
        {"name": "Example dialogue", "tokens": 0, "cut": "left out, 50 long"},
        {"name": "of_a_later_version", "tokens": 7, "cut": ""},
    ]


def test_texts_are_those_of_today_and_what_is_gone_is_null() -> None:
    found = explained(
        {
            "facts": ["a", "b"],
            "recalled": {"facts": ["c"], "messages": [4, 9]},
            "left_out": {"entries": [], "facts": ["c"], "summary": True},
        },
        {
            "facts": [{"id": "a", "content": "Tea."}, {"id": "c", "content": "Milk."}],
            "messages": [{"position": 4, "content": "Oh.", "who": "You"}],
        },
    )
    assert found["facts"] == ["Tea.", None]
    said = {"text": "Oh.", "who": "You"}
    assert found["recalled"] == {"facts": ["Milk."], "messages": [said, None]}
    assert found["left"] == {"messages": 2, "entries": [], "facts": ["Milk."], "summary": True}


@pytest.mark.parametrize(
    ("meant", "why"),
    [
        ({"key": 1}, "because of “harbour”"),
        ({"key": 1, "secondary": 0}, "because of “harbour” and “ice”"),
        ({"key": 0, "indirect": True}, "because of “fog”, here or in another entry"),
        ({"stays": True}, "stays from an earlier reply"),
        ({}, "always active"),
        ({"key": 7}, "its keys were changed since"),
    ],
)
def test_entry_says_why_it_was_there(meant: dict[str, Any], why: str) -> None:
    row = {"keys": ["fog", " harbour "], "secondary_keys": "ice, snow", "content": "It is shut."}
    assert entry({"place": 0} | meant, row) == ("It is shut.", why)


def test_entry_of_another_book_is_found_there() -> None:
    meant = {"place": 0, "book": "b1"}
    book = {"entries": [{"content": "Own."}]}
    books = {"b1": {"entries": [{"content": "Another's."}]}}
    entries = [meant, meant | {"book": "gone"}, {"place": 0}]
    found = explained({"entries": entries}, {"book": book, "books": books})
    assert [one["text"] for one in found["entries"]] == ["Another's.", None, "Own."]


def test_entry_is_found_by_its_id_where_the_book_was_edited() -> None:
    meant = {"place": 0, "id": 5, "key": 0}
    gulls, fog = (
        {"id": number, "keys": [text], "content": text}
        for number, text in ((4, "Gulls"), (5, "Fog"))
    )
    assert entry(meant, gulls, fog) == ("Fog", "because of “Fog”")
    assert entry(meant, fog | {"content": "Here"}, fog) == ("Here", "because of “Fog”")
    assert entry(meant, gulls) == (None, "")
    assert entry({"place": 3}, gulls) == (None, "")


@pytest.mark.parametrize("book", [None, [], {}, {"entries": None}, {"entries": [None, 5, "x"]}])
def test_book_of_any_shape(book: Any) -> None:
    listed = [{"place": place, "key": 0} for place in range(4)] + [{"place": 0, "id": 1}]
    found = explained({"entries": listed}, {"book": book})
    assert {one["text"] for one in found["entries"]} == {None}


@pytest.mark.parametrize("keys", [None, 5, {}, [None], [{}], ""])
def test_keys_of_any_shape(keys: Any) -> None:
    text, why = entry({"place": 0, "key": 0}, {"keys": keys, "content": keys, "name": keys})
    assert text == "(nothing visible)"
    assert why in ("its keys were changed since", "because of “(nothing visible)”")


def test_hostile_texts_are_made_legible() -> None:
    hostile = "\u202eevil\n" + "e" + "\u0301" * 50 + "x" * 500
    row = {"keys": [hostile], "content": f"@@depth 4\n@@role user\n{hostile}"}
    for text in entry({"place": 0, "key": 0}, row):
        assert text is not None
        assert "\u202e" not in text
        assert "\n" not in text
        assert text.count("\u0301") <= 4
        assert len(text) < 300
        assert "evil" in text
    assert "@@" not in str(entry({"place": 0, "key": 0}, row)[0])
