"""Reading the verdict of a moderation model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.generation.moderation_model import verdict


@pytest.mark.parametrize(
    ("answer", "flagged"),
    [
        ("safe", False),
        ("\n\nsafe", False),
        ("Safe.", False),
        ("unsafe\nS4", True),
        ("\n\nunsafe\nS1,S4,S12", True),
        ("unsafe\ns4", True),
        ("unsafe\nS12", False),
        ("unsafe\nS14", False),
        ("unsafe\nS40", False),
        ("unsafe", False),
        ("", None),
        ("I cannot help with that.", None),
        ("safely", None),
        ("The text is unsafe\nS4", None),
    ],
)
def test_verdict_of_a_classifier_is_read(answer: str, flagged: bool | None) -> None:
    assert verdict(answer) is flagged


@given(st.text(max_size=40))
def test_any_answer_is_read(answer: str) -> None:
    assert verdict(answer) in (True, False, None)
