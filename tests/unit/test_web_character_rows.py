"""A character's row, as pages show it and as its form changes it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node import evaluate

ROW = {
    **{"id": "1", "name": "Vera", "nickname": None, "pronouns": None, "description": "A\r\nsmith."},
    **{"personality": "", "scenario": "", "first_message": "Mind the sparks."},
    **{"alternate_greetings": ["Come in."], "group_only_greetings": [], "example_messages": ""},
    **{"system_prompt": "", "post_history_instructions": "", "depth_prompt": ""},
    **{"depth_prompt_depth": 2, "depth_prompt_role": "user", "talkativeness": 0.25, "age": 41},
    **{"content_rating": "sfw", "is_public": True},
}


def changed(row: dict[str, Any] | None, **fields: Any) -> Any:
    call = "module.changes(given[0], {...module.formOf(given[0]), ...given[1]})"
    return evaluate("character-rows.js", call, [row, fields])


def problem(**fields: str) -> Any:
    call = "module.problem({...module.formOf(null), name: 'Vera', ...given})"
    return (evaluate("character-rows.js", call, fields) or {"field": None})["field"]


@pytest.mark.parametrize("row", [ROW, None])
def test_form_that_nobody_changed_changes_nothing(row: dict[str, Any] | None) -> None:
    assert changed(row) == {}


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        ({"name": " Wera "}, {"name": "Wera"}),
        ({"description": ""}, {"description": ""}),
        ({"nickname": "V"}, {"nickname": "V"}),
        ({"nickname": "  "}, {}),
        ({"age": ""}, {"age": None}),
        ({"age": " 41 "}, {}),
        ({"talkativeness": "0"}, {"talkativeness": 0}),
        ({"depth_prompt_depth": ""}, {"depth_prompt_depth": 4}),
        ({"alternate_greetings": ["", "  ", "Come in."]}, {}),
        ({"alternate_greetings": []}, {"alternate_greetings": []}),
        ({"is_public": False}, {"is_public": False}),
    ],
)
def test_only_what_differs_is_written(fields: dict[str, Any], columns: dict[str, Any]) -> None:
    assert changed(ROW, **fields) == columns


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, None),
        ({"name": "  "}, "name"),
        *(({"age": age}, "age") for age in ("-1", "4.5", "old", "1000001", "١٢")),
        *(({"age": age}, None) for age in ("", "0", "41", "1000000")),
        *(({"talkativeness": value}, "talkativeness") for value in ("-0.1", "1.1", "often")),
        ({"talkativeness": "0.5"}, None),
        ({"depth_prompt_depth": "1001"}, "depth_prompt_depth"),
        ({"tags": ",".join(map(str, range(21)))}, "tags"),
        ({"tags": ",".join(map(str, range(20)))}, None),
        ({"tags": "x" * 41}, "tags"),
        ({"tags": "🐟" * 40}, None),
        ({"tags": "\ufdfa" * 3}, "tags"),  # one letter that stands for eighteen
    ],
)
def test_problem_names_its_field(fields: dict[str, str], field: str | None) -> None:
    assert problem(**fields) == field


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", []),
        (" , ,", []),
        ("Sea,sea, SEA", ["sea"]),
        ("Big   ship，海、風", ["big ship", "海", "風"]),
        ("Ｓｅａ", ["sea"]),
    ],
)
def test_tags_have_one_spelling(text: str, tags: list[str]) -> None:
    assert evaluate("character-rows.js", "module.tagsIn(given)", text) == tags


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({}, {"description": "", "first_message": "", "alternate_greetings": [], "age": None}),
        ({}, {"content_rating": "sfw", "is_public": False}),
        ({"name": None}, {"name": "Somebody"}),
        ({"description": None}, {"description": ""}),
        ({"content_rating": "SFW"}, {"content_rating": "sfw"}),
        ({"content_rating": "explicit"}, {"content_rating": "nsfw"}),
        ({"alternate_greetings": "Hello"}, {"alternate_greetings": []}),
        ({"alternate_greetings": ["Hello", 5, None]}, {"alternate_greetings": ["Hello"]}),
    ],
)
def test_row_of_any_installation_is_shown(row: dict[str, Any], shown: dict[str, Any]) -> None:
    found = evaluate("character-rows.js", "module.readable(given)", row)
    assert {name: found[name] for name in shown} == shown


def test_character_has_its_place_by_name() -> None:
    rows = [{"id": "1", "name": "Ada"}, {"id": "2", "name": "Mina"}, {"id": "3", "name": "Vera"}]
    call = "module.placed(given[0], given[1]).map(({ name }) => name)"
    for name, order in (("Zoe", ["Ada", "Vera", "Zoe"]), ("Abe", ["Abe", "Ada", "Vera"])):
        given = [rows, {"id": "2", "name": name}]
        assert evaluate("character-rows.js", call, given) == order


def test_name_that_is_searched_for_is_no_pattern() -> None:
    pattern = evaluate("character-rows.js", "module.pattern(given)", " 100%_\\ ")
    assert pattern == "%100\\%\\_\\\\%"
