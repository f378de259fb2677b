"""Untrusted names and texts in the pages' own sentences. The module runs in Node.js."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node import evaluate

NAMES = {
    "Mara Voss": "Mara Voss",
    "  Mara  ": "Mara",
    "\u202egnisreveR": "gnisreveR",
    "Ma\u2067ra\u200f": "Mara",
    "Two\nlines\x00": "Two lines",
    "": "Somebody",
    " \u00a0": "Somebody",
    "\u200b\u2060": "Somebody",
    "\u0301\u0301": "Somebody",
    "\u3164": "Somebody",
    "e" + "\u0301" * 100: "e" + "\u0301" * 4,
    "x" * 1000: "x" * 240,
    "👩\u200d👩\u200d👧": "👩\u200d👩\u200d👧",
    "می\u200cخواهم": "می\u200cخواهم",
    "…": "…",
}


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    found = evaluate("legible.js", "given.map(module.legible)", list(NAMES))
    return dict(zip(NAMES, found, strict=True))


@pytest.mark.parametrize("name", list(NAMES), ids=ascii)
def test_name_is_made_legible(shown: dict[str, str], name: str) -> None:
    assert shown[name] == NAMES[name]


def excerpt(text: str, length: int) -> Any:
    return evaluate("legible.js", "module.excerpt(...given)", [text, length, "Mara", "Ada"])


def test_excerpt_names_whom_macros_stand_for() -> None:
    assert (
        excerpt("{{char}} waits for {{User}}. <BOT>, <user>", 80) == "Mara waits for Ada. Mara, Ada"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{// for {{user}}}}Hi {{random::{{char}}::b}}{{setvar::a::b}}!", "Hi !"),
        ("{{if a}}{{ char }}{{/if}} {not} {{user", "Mara {not} {{user"),
    ],
)
def test_excerpt_has_no_other_macros(text: str, expected: str) -> None:
    assert excerpt(text, 160) == expected


def test_excerpt_of_a_long_text_ends_in_an_ellipsis() -> None:
    assert excerpt("{{char}} " + "x" * 200, 160).endswith("x…")
    assert excerpt("x" * 160, 160) == "x" * 160
    assert excerpt("x" * 161, 160) == "x" * 160 + "…"


def test_macros_do_not_make_an_excerpt_longer() -> None:
    found = evaluate(
        "legible.js", 'module.excerpt(given, 160, "M".repeat(240), "Ada")', "{{char}}" * 1000
    )
    assert len(found) == 161
