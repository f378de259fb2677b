"""A model's row and the fields of its form. The module runs in Node.js."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node import evaluate

ROW = {
    "display_name": "Vera",
    "model_key": "author/vera",
    "priority": 5,
    "is_active": True,
    "description": None,
    "model_family": "mistral",
    "endpoint_path": None,
    "input_defaults": {"temperature": 0.9, "max_tokens": 400, "seed": 7},
    "capabilities": {"context_tokens": 8192, "nsfw": True, "strengths": ["prose"]},
    "pricing": {"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0.002},
}
PLAIN = ("display_name", "model_key", "priority", "is_active", "model_family")


def fields(row: dict[str, Any] | None) -> dict[str, Any]:
    return dict(evaluate("console-model.js", "module.fieldsOf(given)", row))


def columns(row: dict[str, Any] | None, **changed: Any) -> dict[str, Any]:
    """What is saved of the form for a row after these changes."""
    plain = {name: (row or ROW)[name] for name in PLAIN}
    shown = {**plain, **fields(row), **changed}
    expression = "module.columnsOf(given.fields, given.row)"
    return dict(evaluate("console-model.js", expression, {"fields": shown, "row": row}))


def test_row_that_is_only_saved_stays_as_it_is() -> None:
    assert columns(ROW)["changes"] == ROW


@pytest.mark.parametrize(
    "changed",
    [
        {"input_defaults": {}, "capabilities": {}, "pricing": {}},
        {"capabilities": {"nsfw": False}},
        {"input_defaults": {"temperature": "0.9", "max_tokens": None}},
        {"pricing": {"prompt_usd_per_1k": 0, "image": 1}},
    ],
)
def test_odd_values_stay_as_they_are(changed: dict[str, Any]) -> None:
    row = ROW | changed
    assert columns(row)["changes"] == row


def test_what_has_a_name_has_a_field() -> None:
    shown = fields(ROW)
    assert (shown["temperature"], shown["max_tokens"], shown["context_tokens"]) == (
        *("0.9", "400", "8192"),
    )
    assert (shown["adult"], shown["prompt_usd_per_1k"]) == (True, "0")
    assert "temperature" not in shown["input_defaults"]
    assert "seed" in shown["input_defaults"]
    assert shown["pricing"] == ""


def test_fields_are_written_into_their_objects() -> None:
    after = columns(
        ROW, temperature="", top_p="0.5", context_tokens="4096", adult=False, input_defaults=""
    )["changes"]
    assert after["input_defaults"] == {"max_tokens": 400, "top_p": 0.5}
    assert after["capabilities"] == {"context_tokens": 4096, "nsfw": False, "strengths": ["prose"]}


def test_new_model_has_the_modality_of_its_task() -> None:
    new = columns(None, provider_id="p", task="storytelling", max_tokens="300")["changes"]
    assert (new["modality"], new["task"], new["provider_id"]) == ("chat", "storytelling", "p")
    assert (new["input_defaults"], new["capabilities"]) == ({"max_tokens": 300}, {})


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("input_defaults", "nonsense"),
        ("input_defaults", "[1]"),
        ("capabilities", "null"),
        ("pricing", '{"a": 1'),
        ("pricing", "5"),
        ("input_defaults", '{"temperature": 1}'),
        ("capabilities", '{"nsfw": true}'),
    ],
)
def test_json_that_is_wrong_names_its_field(column: str, text: str) -> None:
    told = columns(ROW, **{column: text})
    assert told["field"] == column
    assert told["problem"]


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"seed": 1}', '{"temperature": 1}'])
def test_json_that_is_right_has_no_problem(text: str) -> None:
    assert "changes" in columns(ROW, input_defaults=text, temperature="")
