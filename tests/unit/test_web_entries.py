"""What the page makes of the entries of a lorebook. The module runs in Node.js."""

from __future__ import annotations

from typing import Any

import pytest

from roleplay_chat.lorebook.entries import parse_entries
from tests.support.node import evaluate

IMPORTED: dict[str, Any] = {
    "keys": ["harbour", "/a{1,2}/i", "Rome, the city", 7],
    "content": "It is frozen.",
    "comment": "Harbour",
    "enabled": True,
    "constant": False,
    "selective": True,
    "secondary_keys": ["ice"],
    "insertion_order": 40,
    "position": "after_char",
    "extensions": {"position": 1, "depth": 2, "sticky": 3, "group": "weather"},
    "x_unknown": {"deep": [1, None]},
}
"""An entry with fields that the page does not show."""


def form(entry: dict[str, Any] | None = None) -> dict[str, Any]:
    return dict(evaluate("entries.js", "module.read(given ?? undefined)", entry))


def saved(book: dict[str, Any], place: int | None, filled: dict[str, Any]) -> dict[str, Any]:
    given = {"book": book, "place": place, "form": filled}
    expression = "module.withEntry(given.book, given.place, given.form)"
    return dict(evaluate("entries.js", expression, given))


def changed(entry: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The entry after these fields of its form were changed."""
    book = {"name": "Coast", "scan_depth": 9, "entries": ["not an entry", entry, None]}
    after = saved(book, 1, form(entry) | fields)
    assert {**after, "entries": None} == {**book, "entries": None}
    before, found, last = after["entries"]
    assert (before, last) == ("not an entry", None)
    return dict(found)


def split(text: str, *known: str) -> list[str]:
    expression = "module.splitKeys(given.text, given.known)"
    return list(evaluate("entries.js", expression, {"text": text, "known": known}))


def test_entry_that_was_not_changed_is_the_same() -> None:
    assert changed(IMPORTED) == IMPORTED
    given = {"book": {"entries": [IMPORTED]}, "form": form(IMPORTED)}
    same = "module.withEntry(given.book, 0, given.form) === given.book"
    assert evaluate("entries.js", same, given) is True


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        pytest.param({"content": "It is open."}, {"content": "It is open."}, id="text"),
        pytest.param({"isOn": False}, {"enabled": False}, id="off"),
        pytest.param({"isConstant": True}, {"constant": True}, id="constant"),
        pytest.param({"keys": "ice, port"}, {"keys": ["ice", "port"]}, id="keys"),
    ],
)
def test_change_leaves_all_other_fields(fields: dict[str, Any], column: dict[str, Any]) -> None:
    assert changed(IMPORTED, **fields) == IMPORTED | column


LOGIC = [("any", 0), ("not-all", 1), ("none", 2), ("all", 3)]


@pytest.mark.parametrize(("logic", "number"), LOGIC)
def test_logic_of_further_keys_is_shown_and_changed(logic: str, number: int) -> None:
    more = IMPORTED["extensions"]
    entry = IMPORTED | {"extensions": more | {"selectiveLogic": number}}
    assert form(entry)["logic"] == logic
    assert changed(entry) == entry
    other = changed(IMPORTED | {"extensions": more | {"selectiveLogic": 9}}, logic=logic)
    if logic != "any":
        assert other == entry
    (read,) = parse_entries({"entries": [entry]})
    assert read.logic == {"any": "and_any", "not-all": "not_all", "none": "not_any"}.get(
        logic, "and_all"
    )


def test_further_keys_are_changed_and_switched_off() -> None:
    assert changed(IMPORTED, further="ice, /fro{1,2}st/i") == IMPORTED | {
        "secondary_keys": ["ice", "/fro{1,2}st/i"]
    }
    off = changed(IMPORTED, logic="off")
    assert off == IMPORTED | {"selective": False}
    assert form(off)["logic"] == "off"
    assert changed(off, logic="any") == IMPORTED | {
        "extensions": IMPORTED["extensions"] | {"selectiveLogic": 0}
    }


def test_further_keys_and_a_place_may_be_changed_at_once() -> None:
    after = changed(IMPORTED, logic="all", where="depth", depth=7)
    assert after["extensions"] == IMPORTED["extensions"] | {
        "selectiveLogic": 3,
        "position": 4,
        "depth": 7,
    }


def test_entry_without_further_keys_gets_some() -> None:
    after = changed({"keys": ["fog"], "content": "Thick."}, further="dawn")
    (read,) = parse_entries({"entries": [after]})
    assert (read.secondary, read.logic) == (("dawn",), "and_any")


@pytest.mark.parametrize(
    ("book", "shown"),
    [
        ({}, {"least": 0, "most": 0}),
        ({"min_activations": 3}, {"least": 3, "most": 0}),
        ({"extensions": {"min_activations": "3"}}, {"least": 3, "most": 0}),
        ({"min_activations": "x", "min_activations_depth_max": None}, {"least": 0, "most": 0}),
    ],
)
def test_looking_back_is_shown_as_a_turn_reads_it(
    book: dict[str, Any], shown: dict[str, int]
) -> None:
    assert evaluate("entries.js", "module.lookingBack(given)", book) == shown
    expression = "module.lookingBack(module.withLookingBack(given, { least: 2, most: 9 }))"
    assert evaluate("entries.js", expression, book) == {"least": 2, "most": 9}


def test_keys_with_commas_are_kept_when_another_is_added() -> None:
    keys = form(IMPORTED)["keys"]
    assert keys == "harbour, /a{1,2}/i, Rome, the city"
    after = changed(IMPORTED, keys=f"{keys}, gulls")
    assert after["keys"] == ["harbour", "/a{1,2}/i", "Rome, the city", "gulls"]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", []),
        (" , ,, ", []),
        ("one,two ,  three", ["one", "two", "three"]),
        ("/x{1,2}/i, y", ["/x{1,2}/i", "y"]),
        ("/no end, y", ["/no end", "y"]),
        (r"/a\/,b/, c", [r"/a\/,b/", "c"]),
        ("A.I., C++, *sighs*", ["A.I.", "C++", "*sighs*"]),
        ("東京, 大阪", ["東京", "大阪"]),
    ],
)
def test_keys_are_split_at_commas_outside_of_patterns(text: str, keys: list[str]) -> None:
    assert split(text) == keys


def test_key_that_only_begins_like_one_with_a_comma_is_its_own() -> None:
    assert split("Rome, the cityscape", "Rome, the city") == ["Rome", "the cityscape"]


def position(entry: dict[str, Any]) -> tuple[str, int]:
    """Where a turn puts the entry."""
    (found,) = parse_entries({"entries": [entry]})
    return found.position, found.depth


@pytest.mark.parametrize("extensions", [None, {}, {"position": 0}, {"position": 4, "depth": 9}])
@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("auto", ("after_history", 0)),
        ("before", ("before_char", 0)),
        ("after", ("after_char", 0)),
        ("depth", ("in_chat", 3)),
    ],
)
def test_chosen_position_is_where_a_turn_puts_it(
    extensions: Any, where: str, place: tuple[str, int]
) -> None:
    entry = {"keys": [], "content": "Fog.", "position": "before_char", "extensions": extensions}
    after = changed(entry, where=where, depth=3)
    assert position(after) == place
    assert form(after)["where"] == where


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        pytest.param({"position": "after_char"}, "after", id="after"),
        pytest.param({}, "auto", id="none"),
        pytest.param({"constant": True}, "auto", id="none-of-a-constant-entry"),
        pytest.param({"position": "before_char"}, "before", id="of-a-card"),
        pytest.param({"extensions": {"position": 4}}, "depth", id="depth"),
        pytest.param({"extensions": {"position": 5}}, "kept", id="examples"),
        pytest.param({"extensions": {"position": 7, "outlet_name": "o"}}, "kept", id="outlet"),
        pytest.param({"content": "@@depth 3\nFog."}, "text", id="decorator"),
        pytest.param({"content": "@@role user\n\n@@@position scenario\nFog."}, "text", id="later"),
        pytest.param({"content": "Fog.\n@@depth 3"}, "auto", id="in-the-text"),
        pytest.param({"extensions": [], "position": 4}, "auto", id="wrong-types"),
    ],
)
def test_position_is_shown_as_it_came_and_kept(entry: dict[str, Any], where: str) -> None:
    assert form(entry)["where"] == where
    is_constant = entry.get("constant") is not True
    other = changed({"keys": [], **entry}, isConstant=is_constant)
    assert other == {"keys": [], **entry, "constant": is_constant}


def test_new_entry_has_an_id_of_its_own_and_what_cards_need() -> None:
    filled = form() | {"keys": "gull", "content": "Gulls steal.", "where": "depth", "depth": 0}
    book = {"entries": [{"id": 4}, {"id": "x"}, None]}
    *before, added = saved(book, None, filled)["entries"]
    assert before == book["entries"]
    assert added == {
        "id": 5,
        "keys": ["gull"],
        "content": "Gulls steal.",
        "extensions": {"position": 4, "depth": 0},
        "enabled": True,
        "insertion_order": 100,
        "constant": False,
    }
    assert position(added) == ("in_chat", 0)


@pytest.mark.parametrize("is_constant", [False, True])
def test_new_entry_for_which_nobody_chose_a_position_has_none(is_constant: bool) -> None:
    """One that comes and goes would change the prompt from its beginning."""
    filled = form() | {"keys": "gull", "content": "Gulls steal.", "isConstant": is_constant}
    (added,) = saved({"entries": []}, None, filled)["entries"]
    assert "position" not in added | added["extensions"]
    assert position(added)[0] == ("after_char" if is_constant else "after_history")


HOSTILE: list[Any] = [
    None,
    "text",
    [],
    {},
    {"keys": 7, "content": 8, "name": ["x"], "extensions": {"depth": "deep", "position": True}},
    {"keys": "a, b", "content": None, "enabled": 0, "extensions": None},
]


def test_rows_of_any_kind_are_shown_or_passed_over() -> None:
    shown = evaluate("entries.js", "module.shownEntries(given)", {"entries": HOSTILE})
    assert [(each["place"], each["keys"], each["depth"]) for each in shown] == [
        (3, "", 4),
        (4, "", 4),
        (5, "a, b", 4),
    ]


def test_deleted_entry_leaves_the_others() -> None:
    given = {"name": "Coast", "entries": [1, {"content": "x"}, None]}
    after = evaluate("entries.js", "module.withoutEntry(given, 1)", given)
    assert after == {"name": "Coast", "entries": [1, None]}
