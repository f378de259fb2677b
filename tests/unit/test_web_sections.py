"""How the pages split texts so that none is expensive to draw. The module runs in Node.js."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.support.node import evaluate

SECTION_CHARS = 4000
WORK = 4_000_000
MESSAGE_CHARS = 65_536
"""The maximum size of a message."""


def node(expression: str, given: Any) -> Any:
    return evaluate("sections.js", f"(({{ sections }}) => {expression})(module)", given)


def sections(text: str) -> list[dict[str, Any]]:
    return split_texts([text])[0]


def split_texts(texts: list[str]) -> list[list[dict[str, Any]]]:
    return list(node("given.map((text) => sections(text))", texts))


def filled(piece: str) -> str:
    """A message that repeats this up to the maximum size."""
    return (piece * (MESSAGE_CHARS // len(piece) + 1))[:MESSAGE_CHARS]


TOO_COMPLEX = {
    "quotes in quotes": ">" * 2000,
    "quotes with spaces": "> " * 2000,
    "lists in lists": "- " * 500,
    "numbered lists in lists": "1. " * 500,
    "words in underscores": "x_y_" * 1000,
    "emphasis that never closes": "a *b _c " * 500,
    "mixed emphasis": "*_" * 2000,
    "open brackets": "[" * 4000,
    "open links": "[a](" * 1000,
    "pictures": "![" * 2000,
    "tildes": "~" * 4000,
    "backticks": "`" * 4000,
    "open tags": "<" * 4000,
    "comments that never close": "<!--" * 1000,
    "entities": "&amp;" * 800,
    "escapes": "\\*" * 2000,
    "a wide table with short rows": "|a" * 150 + "|\n" + "|-" * 150 + "|\n" + "|\n" * 500,
    "lines of nothing but list markers": "-\n" * 2000 + "*" * 900,
}


@pytest.fixture(scope="module")
def busy() -> dict[str, list[dict[str, Any]]]:
    texts = {what: text[:SECTION_CHARS] for what, text in TOO_COMPLEX.items()}
    return dict(zip(texts, split_texts(list(texts.values())), strict=True))


@pytest.mark.parametrize("what", list(TOO_COMPLEX))
def test_what_would_keep_a_parser_busy_is_plain(
    busy: dict[str, list[dict[str, Any]]], what: str
) -> None:
    assert [section["plain"] for section in busy[what]] == [True]


ORDINARY = {
    "a scene": "*She turns.* “You **came**,” she says. The lamp hisses, and the sea answers.\n\n"
    * 40,
    "a list": "1. Salt\n2. Oil\n   - for the lamp\n   - for the door\n\n3. Rope\n" * 8,
    "a quote": "> What is it?\n>\n> > A light.\n\nShe nods.\n",
    "code": '```js\nconst lamp = { on: true };\n\nlog(lamp["on"] && !lamp.off);\n```\n' * 5,
    "a table": "| Day | Tide |\n|---|---|\n" + "| Monday | 04:12 |\n" * 30,
    "a link": "See https://sea.example/tides_of_may?x=1&y=2 (or <b>ask</b>)\n",
    "rules": "A.\n\n---\n\nB.\n\n* * *\n\n" + "-" * 200 + "\n",
    "one long paragraph": "She looks out at the sea and *waits*. " * 100,
    "no spaces": "灯台の下で彼女は待っている。" * 200,
    "a right-to-left language": "היא מחכה ליד *המגדלור*. " * 80,
    "emoji": "😀👩‍👩‍👧 " * 300,
}


@pytest.fixture(scope="module")
def ordinary() -> dict[str, list[dict[str, Any]]]:
    return dict(zip(ORDINARY, split_texts(list(ORDINARY.values())), strict=True))


@pytest.mark.parametrize("what", list(ORDINARY))
def test_what_people_write_is_formatted(
    ordinary: dict[str, list[dict[str, Any]]], what: str
) -> None:
    assert ordinary[what]
    assert not any(section["plain"] for section in ordinary[what])


def test_only_the_section_that_is_too_complex_is_plain() -> None:
    scene = "*She turns.* " * 60
    found = sections(f"{scene}\n\n{'>' * 2000} {'x' * 600}\n\n{scene}")
    assert [section["plain"] for section in found] == [False, True, False]


def test_code_fence_is_not_split_at_its_blank_lines() -> None:
    code = "```\n" + "light()\n\n" * 200 + "```\n"
    found = sections(f"{code}\nAfter it.")
    assert [section["text"] for section in found] == [code + "\n", "After it."]


def test_rest_of_a_code_fence_that_is_too_long_is_plain() -> None:
    code = "~~~\n" + "light of day\n" * 600 + "~~~\n"
    found = sections(f"{code}\n{'The *sea*. ' * 60}\n\nAfter it.")
    assert [section["plain"] for section in found] == [False, True, False, False]


def test_list_is_not_split_from_what_is_indented_below_it() -> None:
    item = "- " + "oil and salt " * 50
    found = sections(f"{item}\n\n  for the lamp\n\nShe nods.")
    assert [section["text"] for section in found] == [
        f"{item}\n\n  for the lamp\n\n",
        "She nods.",
    ]


def test_characters_are_never_cut() -> None:
    found = sections("x" + "😀" * 5000)
    assert len(found) > 1
    assert all(len(section["text"]) <= SECTION_CHARS for section in found)
    assert "".join(section["text"] for section in found) == "x" + "😀" * 5000


PIECES = [
    "a",
    " ",
    "\n",
    "\n\n",
    "> ",
    "- ",
    "1. ",
    "*",
    "_",
    "`",
    "```\n",
    "~~~",
    "|",
    "[",
    "<",
    "😀",
]
PIECES += [
    "words " * 30,
    "x" * 700,
    "\t",
    "\r\n",
    "\r",
    "   ",
    "\\",
    "&lt;",
    "é",
    "\u0301",
    "\u202e",
]


def random_texts() -> list[str]:
    random = Random(5)  # noqa: S311
    texts = []
    for _ in range(150):
        some = random.sample(PIECES, random.randint(1, 4))
        texts.append("".join(random.choice(some) for _ in range(random.randint(1, 3000))))
    return [text[:MESSAGE_CHARS] for text in texts]


def test_any_text_is_there_in_full_and_bounded() -> None:
    texts = [*random_texts(), *map(filled, PIECES)]
    for text, found in zip(texts, split_texts(texts), strict=True):
        assert "".join(section["text"] for section in found) == text
        assert all(0 < len(section["text"].encode("utf-16-le")) <= 8000 for section in found)
        assert sum(section["work"] for section in found if not section["plain"]) <= WORK


def test_growing_reply_is_split_as_the_whole_one_is() -> None:
    grown = node(
        """given.map((text) => {
          let found = [];
          for (let end = 0; end < text.length; end += 97)
            found = sections(text.slice(0, end), found);
          return JSON.stringify(sections(text, found)) === JSON.stringify(sections(text));
        })""",
        [text[:20_000] for text in random_texts()],
    )
    assert len(grown) == 150
    assert all(grown)


@pytest.mark.parametrize(
    "piece", ["She waits. ", "x", "a\n", "a\n\n", "x_y_", "```\n", "words\n\n- "]
)
def test_work_for_each_piece_of_a_reply_does_not_grow_with_it(piece: str) -> None:
    """Only one section is redrawn, however long the reply is."""
    drawn = node(
        """(() => {
          const drawn = [];
          let found = [];
          for (let end = 50; end <= given.length; end += 50) {
            const kept = Math.max(found.length - 1, 0);
            const before = found;
            found = sections(given.slice(0, end), before);
            if (before.slice(0, kept).some((each, index) => each !== found[index])) return [];
            drawn.push(found.slice(kept).reduce((sum, { text }) => sum + text.length, 0));
          }
          return drawn;
        })()""",
        filled(piece),
    )
    assert len(drawn) == MESSAGE_CHARS // 50
    assert max(drawn) <= SECTION_CHARS + 50
