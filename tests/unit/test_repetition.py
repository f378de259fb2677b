"""Replies that run in a circle, and those that people like to hear twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.messages import Cast
from roleplay_chat.reply.filters import Reply
from roleplay_chat.reply.repetition import LEAST_REPEATED_CHARS, LoopFilter, RepeatFilter
from tests.support.pieces import SIZES
from tests.support.work import is_linear

PROSE = "She looks at the lamp, then at the sea. The tide is late tonight, and so are you. "


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def shown(text: str) -> tuple[str, bool]:
    """What is shown of a text, and whether it was taken for a loop, the same in any pieces."""
    results = set()
    for size in (*SIZES, len(text)):
        one = LoopFilter()
        parts = [one.feed(piece) for piece in pieces(text, size)]
        results.add(("".join(parts) + one.flush(), one.found))
    assert len(results) == 1
    return results.pop()


LOOPS = {
    "sentence": "I wait. " * 60,
    "words": "I wait " * 80,
    "lines": "I wait.\n" * 60,
    "paragraphs": "She waits for the tide.\n\n" * 30,
    "two-sentences": "I wait. You wait. " * 40,
    "cycle-of-lines": "The sea rises.\nThe lamp burns.\nI wait for you.\n" * 20,
    "cycle-with-a-line-twice": "I wait.\nI wait.\nThe sea rises, as it does.\n" * 30,
    "cycle-of-paragraphs": f"{PROSE}\n\n{PROSE[:40]}\n\nThe lamp hisses.\n\n" * 10,
    "long-cycle": (PROSE + "".join(f"Wave {n} comes. " for n in range(30))) * 8,
    "actions": "*She nods slowly and smiles.* " * 20,
    "chinese": "我等。" * 60,
    "chinese-without-marks": "我一直在等你回来" * 40,
    "chinese-short": "我等你" * 100,
    "japanese": "灯台で待っている。" * 40,
    "thai": "ฉันรอเธอ" * 60,
    "russian": "Я жду тебя. " * 40,
    "arabic": "أنا أنتظر. " * 60,
    "korean": "나는 기다린다. " * 40,
    "laughter-without-end": "ha " * 1_000,
    "chinese-laughter-without-end": "哈" * 500,
    "chinese-laughter-in-pairs-without-end": "哈哈，" * 200,
    "korean-laughter-without-end": "ㅋ" * 500,
    "japanese-two-signs": "ねえ" * 200,
    "japanese-two-signs-with-a-mark": "ねえ、" * 150,
    "chinese-two-signs": "我等" * 200,
    "divider-without-end": "-" * 5_000,
    "table-without-end": "| 0 | 0 |\n" * 200,
}


@pytest.mark.parametrize("name", LOOPS)
def test_loop_is_cut(name: str) -> None:
    loop = LOOPS[name]
    text, found = shown(PROSE + loop + "And then the tide came in.")
    assert found
    assert text.startswith(PROSE)
    assert len(text) < len(PROSE) + max(len(loop) * 0.6, 400)


@pytest.mark.parametrize("name", LOOPS)
def test_loop_from_the_first_word_is_cut(name: str) -> None:
    assert shown(LOOPS[name])[1]


def test_of_a_loop_little_is_shown() -> None:
    text, found = shown("I wait. " * 60)
    assert found
    assert len(text) < len("I wait. " * 11)
    assert text.rstrip().endswith("I wait.")


@pytest.mark.parametrize(
    "unit", ["哈", "哈哈", "ねえ", "ねえ、", "我等", "アハ", "ㅋ", "啊", "嗯…"]
)
def test_of_a_loop_of_one_or_two_signs_little_is_shown(unit: str) -> None:
    text, found = shown(PROSE + unit * 500)
    assert found
    assert len(text) < len(PROSE) + 200


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("哈" * 100, id="long-chinese-laughter"),
        pytest.param("哈哈哈！" * 6, id="chinese-laughter-in-turns"),
        pytest.param("ㅋ" * 100, id="korean-laughter"),
        pytest.param("ねえ" * 15, id="japanese-call"),
        pytest.param("草" * 60, id="japanese-laughter"),
        pytest.param("ha ha ha " * 10, id="laughter"),
        pytest.param("haha " * 200, id="longer-laughter"),
        pytest.param("very " * 200, id="one-word"),
        pytest.param("哈哈哈哈哈哈哈哈哈哈哈哈", id="chinese-laughter"),
        pytest.param("No, no, no, no, no, no! " * 2, id="no"),
        pytest.param("no no no no " * 5, id="no-again"),
        pytest.param("A" * 200 + "h!", id="cry"),
        pytest.param("Nevermore. " * 8, id="refrain"),
        pytest.param("La la la, sing with me,\nthe sea is wide,\n" * 3, id="chorus"),
        pytest.param(
            "".join(f"Verse {n} of the song.\nSing with me, the sea is wide.\n" for n in range(20)),
            id="song",
        ),
        pytest.param("Tick. Tock. " * 8, id="clock"),
        pytest.param("na " * 60, id="na-na"),
        pytest.param(f"{'-' * 70}\nTea\n{'-' * 70}\nBread\n{'-' * 70}\n", id="dividers"),
        pytest.param("* * *\n" * 5, id="stars"),
        pytest.param("=== === === " * 10, id="signs"),
        pytest.param("| a | b |\n|---|---|\n" + "| 0 | 0 |\n" * 20, id="table"),
        pytest.param("0 0 0 0\n" * 30, id="numbers"),
        pytest.param(". . . " * 10, id="dots"),
        pytest.param("I will not lie. " * 10, id="lines-to-write"),
        pytest.param(PROSE * 3, id="prose-three-times"),
        pytest.param("".join(f"{n}. I count the waves.\n" for n in range(100)), id="numbered"),
        pytest.param("🌊" * 60, id="emoji"),
        pytest.param("Burn it! Burn it! Burn it! Burn it!", id="chant"),
    ],
)
def test_repetition_that_is_meant_stays(text: str) -> None:
    assert shown(PROSE + text + PROSE) == (PROSE + text + PROSE, False)


def test_reply_ends_where_it_runs_in_a_circle() -> None:
    reply = Reply(Cast("Mara", ["Ada"]))
    text = "".join(reply.feed(piece) for piece in pieces("Sit. " + "I wait. " * 60, 3))
    assert reply.ended
    assert reply.is_loop
    assert text.startswith("Sit. I wait.")


UNITS = st.sampled_from(
    ["I wait. ", "no ", "\n", "灯", "a", "The sea rises, Ada. ", "- ", "|", ".", "é"]
)


@given(st.lists(st.tuples(UNITS, st.integers(1, 40)), max_size=6))
def test_result_does_not_depend_on_the_pieces(units: list[tuple[str, int]]) -> None:
    text = "".join(unit * times for unit, times in units)
    if text:
        shown(text)


SAID = "The tide is late tonight, and the lamp burns low."


def given_again(text: str, last: str, size: int) -> tuple[str, bool]:
    reply = Reply(Cast("Mara", ["Ada"]), last=last)
    shown = "".join(reply.feed(piece) for piece in pieces(text, size)) + reply.flush()
    return shown, reply.is_repeat


@pytest.mark.parametrize("size", [*SIZES, 1_000])
class TestLastReply:
    def test_same_reply_is_dropped(self, size: int) -> None:
        assert given_again(f" Mara: {SAID}\n", SAID, size) == ("", True)

    def test_reply_that_goes_on_stays(self, size: int) -> None:
        assert given_again(f"{SAID} Sit.", SAID, size) == (f"{SAID} Sit.", False)

    def test_reply_that_ends_earlier_stays(self, size: int) -> None:
        assert given_again(SAID[:29], SAID, size) == (SAID[:29], False)

    def test_reply_that_is_different_is_shown_at_once(self, size: int) -> None:
        assert given_again("The sea. " + SAID, SAID, size) == ("The sea. " + SAID, False)

    def test_short_reply_may_be_given_twice(self, size: int) -> None:
        said = "Yes."
        assert len(said) < LEAST_REPEATED_CHARS
        assert given_again(said, said, size) == (said, False)

    def test_reply_can_be_accepted(self, size: int) -> None:
        reply = Reply(Cast("Mara", ["Ada"]), last=SAID)
        reply.accept_repeat()
        assert "".join(map(reply.feed, pieces(SAID, size))) + reply.flush() == SAID
        assert not reply.is_repeat


@pytest.mark.parametrize(
    "unit", ["a", ". ", "I wait. ", "\n", "ab. ", "aaaaaaaaaaaaaaaaaaaaaaab. ", "灯", "| a |\n"]
)
def test_takes_work_in_the_length_of_the_text(unit: str) -> None:
    def read(chars: int) -> None:
        text = "".join(unit * (n * n % 4 + 1) + "abc."[n * n % 7 % 4] for n in range(chars))
        for size in (7, len(text)):
            one, two = LoopFilter(), RepeatFilter(text)
            for piece in pieces(text, size):
                two.feed(one.feed(piece))
            one.flush()
            two.flush()

    assert is_linear(read, lambda chars: chars, 300)
