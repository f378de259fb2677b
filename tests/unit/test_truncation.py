"""A reply that hit its length limit ends with a whole sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.reply.truncation import trim_unfinished_sentence


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("She calls Dr. Voss. She turns to Dr.", "She calls Dr. Voss."),
        ("She nods slowly. She meets Mr. and Mrs.", "She nods slowly."),
        ("She nods. It is J. R. R.", "She nods."),
        ("She nods. They live in St.", "She nods."),
        ("She nods. She likes tea, e.g.", "She nods."),
        ("She came at 5 p.m. He went and", "She came at 5 p.m."),
        ("Tea, bread, etc. Then she", "Tea, bread, etc."),
        ("She has 3.5 lamps. And th", "She has 3.5 lamps."),
        ("It was 1990. Then th", "It was 1990."),
        ("Sie nickt. Sie sieht Hr.", "Sie nickt."),
        ("Sie nickt. Er sagt z. B.", "Sie nickt."),
        ("Sie kommt am 3. Mai. Dann geht", "Sie kommt am 3. Mai."),
        ("Elle sourit. Elle voit M.", "Elle sourit."),
        ("La Sra. Voss sonríe. El Sr.", "La Sra. Voss sonríe."),
        ("Ela sorri. O Sr. e a Sra.", "Ela sorri."),
        ("Lei sorride. Vede il sig.", "Lei sorride."),
        ("Zij knikt. Zij ziet dhr.", "Zij knikt."),
        ("Она кивает. Это ул.", "Она кивает."),
        ("Ona kiwa. Mieszka na ul.", "Ona kiwa."),
        ("她点头。然后她", "她点头。"),
    ],
)
def test_abbreviation_ends_no_sentence(text: str, kept: str) -> None:
    assert trim_unfinished_sentence(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("1. Tea.\n2. Bread.\n3.", "1. Tea.\n2. Bread."),
        ("1. Tea.\n2. Bread.\n3. and mil", "1. Tea.\n2. Bread."),
        ("1. Tea\n2. Bread\n3.", "1. Tea\n2. Bread"),
        ("1. Tea\n2. Bread\n3. mil", "1. Tea\n2. Bread"),
        ("1) One.\n2) Two. And", "1) One.\n2) Two."),
        ("a) Tea.\nb)", "a) Tea."),
        ("Take:\n- Tea.\n- Bread.\n-", "Take:\n- Tea.\n- Bread."),
        ("* Tea.\n* Bread. And m", "* Tea.\n* Bread."),
        ("Take:\n- Tea\n- Bread\n- mil", "Take:\n- Tea\n- Bread"),
    ],
)
def test_list_ends_with_a_whole_item(text: str, kept: str) -> None:
    assert trim_unfinished_sentence(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Run it.\n```py\nx = 1.\ny = ", "Run it.\n```py\nx = 1.\n```"),
        ("Run it.\n```py\nx = 1", "Run it.\n```py\nx = 1\n```"),
        ("Run it. And\n```py", "Run it."),
        ("Run.\n```\na\n```\nSo. And th", "Run.\n```\na\n```\nSo."),
        ("Run.\n~~~\nx\ny", "Run.\n~~~\nx\n~~~"),
        ("Run.\n````\n```\nx\ny", "Run.\n````\n```\nx\n````"),
        ("Say ```x``` so. And", "Say ```x``` so."),
        ('Run.\n```\nsay "a\nb', 'Run.\n```\nsay "a\n```'),
    ],
)
def test_code_block_is_closed(text: str, kept: str) -> None:
    assert trim_unfinished_sentence(text) == kept


@pytest.mark.parametrize(
    ("beginning", "more", "whole"),
    [
        ("Wait. She", " nods and t", "Wait. She nods and t"),
        ("Wait. She", " nods. Then t", "Wait. She nods."),
        ("Run:\n```\nx", "\ny\nz", "Run:\n```\nx\ny\n```"),
        ("*She nods.", " She sits. Then", "*She nods. She sits.*"),
    ],
)
def test_what_stood_before_a_continuation_stays(beginning: str, more: str, whole: str) -> None:
    assert trim_unfinished_sentence(beginning + more, kept_chars=len(beginning)) == whole


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "She nods.\n\n*She leans on the railing*\n\n*She t",
            "She nods.\n\n*She leans on the railing*",
        ),
        ("Come in 🌊\n\nShe t", "Come in 🌊"),
        ("「お茶をどうぞ」\n\n彼女は", "「お茶をどうぞ」"),
        ("# Tea\n\nShe t", "# Tea\n\nShe t"),
        ("She nods. She says:\n\nI kn", "She nods."),
        ('She nods. *She says,*\n\n"I kn', "She nods."),
        ("She nods. She turns\nto the d", "She nods."),
        ("She sits down\nShe p", "She sits down"),
        ("Hm\n\nShe turns to the window, and", "Hm\n\nShe turns to the window, and"),
        ("She nods\n\n```\nx\n```\nAnd", "She nods\n\n```\nx\n```"),
    ],
)
def test_finished_paragraph_needs_no_full_stop(text: str, kept: str) -> None:
    assert trim_unfinished_sentence(text) == kept


@pytest.mark.parametrize("end", [*["۔", "։", "።", "။", "॥", "।", "؟", "។", "៕"], "…」", "．"])
def test_sentences_end_in_every_script(end: str) -> None:
    assert trim_unfinished_sentence(f"aaa bbb{end} ccc") == f"aaa bbb{end}"


def test_halfwidth_full_stop_needs_no_space() -> None:
    assert trim_unfinished_sentence("ｱｱｱ｡ｲｲ") == "ｱｱｱ｡"


@pytest.mark.parametrize("text", ["```python\n", " ```python\n ", "\n```", "1.", "\n\nShe"])
def test_something_is_left(text: str) -> None:
    assert trim_unfinished_sentence(text) == text


@given(st.text(st.sampled_from('ab 1.!。`~*"\n-)A'), max_size=60), st.integers(0, 60))
def test_nothing_new_but_closing_signs(text: str, kept: int) -> None:
    kept = min(kept, len(text))
    trimmed = trim_unfinished_sentence(text, kept_chars=kept)
    assert trimmed.rstrip('*"`~\n ').startswith(text[:kept].rstrip('*"`~\n '))
    assert text.startswith(trimmed.rstrip('*"`~\n '))
