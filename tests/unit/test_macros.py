"""What authors write in braces."""

import pytest

from roleplay_chat.prompt.macros import MAX_GROWTH, expand, names_in

MACROS = {"char": "Mara", "user": "Ada", "character_description": "{{user}} x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{char}} and {{user}}", "Mara and Ada"),
        ("{{Char}} {{ USER }}", "Mara Ada"),
        ("<USER>, <BOT>, <char>", "Ada, Mara, Mara"),
        ("<START> <b>", "<START> <b>"),
        ("{{nonsense}} {char} {{char", "{{nonsense}} {char} {{char"),
        ("a{{// to myself }}b{{comment: later}}c", "abc"),
        ("{{character_description}}", "{{user}} x"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, MACROS) == expected


def test_text_grows_only_so_far() -> None:
    long = "x" * 20_000
    text = "{{character_description}}" * 800
    expanded = expand(text, {"character_description": long})
    assert expanded.startswith(long * 2)
    assert len(expanded) <= len(text) + MAX_GROWTH


def test_names_alone() -> None:
    assert names_in(MACROS) == {"char": "Mara", "user": "Ada"}
