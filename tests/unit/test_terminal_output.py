"""What the terminal shows of a reply that arrives in pieces."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from dev.terminal.output import WordWriter, printable

TEXT = (
    "I am Mara Voss, keeper of the lighthouse.  It is *late*,\n\nand the fog-horn is"
    " unbelievably-loud-tonight-is-it-not?\n- 灯台守は海を見ている。\nEnd"
)


def written(text: str, width: int | None, piece: int, column: int = 0) -> str:
    pieces: list[str] = []
    writer = WordWriter(pieces.append, width)
    writer.skip(column)
    for start in range(0, len(text), piece):
        writer.feed(text[start : start + piece])
    writer.end()
    return "".join(pieces)


@pytest.mark.parametrize("width", [1, 2, 10, 20, 80])
@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_lines_are_broken_between_words(width: int, piece: int) -> None:
    shown = written(TEXT, width, piece)
    assert shown == written(TEXT, width, 1)
    assert "".join(shown.split()) == "".join(TEXT.split())
    if width >= 10:
        assert max(map(cell_len, shown.split("\n"))) <= width
        short = [word for word in TEXT.split() if cell_len(word) <= width and word.isascii()]
        assert [word for word in short if word not in shown.split()] == []


def test_words_follow_a_name_on_its_line() -> None:
    assert written("one two", 10, 1, column=6) == "one\ntwo\n"
    assert written("onetwo", 10, 1, column=6) == "\nonetwo\n"


def test_line_breaks_and_indents_of_the_text_stay() -> None:
    assert written("a\n\n  b  c", 80, 1) == "a\n\n  b  c\n"


def test_nothing_is_broken_for_other_programs() -> None:
    assert written(TEXT, None, 5) == TEXT + "\n"


def test_word_is_written_when_it_is_complete() -> None:
    pieces: list[str] = []
    writer = WordWriter(pieces.append, 80)
    writer.feed("Hello wor")
    assert "".join(pieces) == "Hello"
    writer.feed("ld ")
    assert "".join(pieces) == "Hello world"


@pytest.mark.parametrize("width", [None, 20])
def test_text_does_not_steer_the_terminal(width: int | None) -> None:
    assert written("\x1b[2Ja\rb\x07\x9bc", width, 3) == "[2Jabc\n"
    assert printable("a\u202eb\tc\u200d\n") == "ab\tc\u200d\n"
