"""The shortcut that skips rules never skips one that applies."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleplay_chat.screening import rules
from roleplay_chat.screening.rules import NOTHING, Growing, detect
from roleplay_chat.screening.word_classes import CODE, encode
from tests.policy.corpus import cases

RULES = (*rules._SIGNAL_RULES.rules, *rules._BENIGN.rules, rules._ABOVE)
_AROUND = re.compile(r"\(\?<?[=!][^()]*\)")
CLASSES = st.sampled_from(list(CODE.values()))


@pytest.mark.parametrize("number", range(len(RULES)))
@given(data=st.data())
@settings(max_examples=10)
def test_rule_is_looked_for_where_it_matches(number: int, data: st.DataObject) -> None:
    rule = RULES[number]
    # Conditions on the surrounding words narrow a rule further and are hard to generate.
    alone = _AROUND.sub("", rule.coded)
    text = data.draw(st.from_regex(alone, fullmatch=True, alphabet=CLASSES))
    assert rule.may_match(frozenset(text))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.coded)
def test_every_rule_needs_something(rule: rules._Rule) -> None:
    assert rule.needed


@pytest.mark.parametrize("name", ["corpus.jsonl", "held_out.jsonl"])
def test_marks_are_those_of_a_look_at_every_rule(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [case.text for case in cases(name)]
    found = [detect(text) for text in texts]
    quiet = [Growing(text).is_quiet() for text in texts]

    monkeypatch.setattr(rules, "_quiet", lambda present: False)
    monkeypatch.setattr(rules._Rule, "may_match", lambda rule, present: True)
    monkeypatch.setattr(
        rules._Rules,
        "applying",
        lambda rules, present: [rule.pattern for rule in rules.rules],
    )
    assert [detect(text) for text in texts] == found
    assert all(signals == NOTHING for signals, passed in zip(found, quiet, strict=True) if passed)
    assert 0 < sum(quiet) < len(texts)


WORDS = st.sampled_from(
    [
        *("a", "I", "o", "1", "4", "-", "!", "x.", "1,", "thir", "teen", "she", "is", "years"),
        *("old", "twenty", "months", "harbour", "sex", "ual", "kid", "\n", "\n\n", "性交", "歳"),
    ]
)


@given(
    words=st.lists(WORDS, max_size=30),
    gaps=st.lists(st.sampled_from(["", " ", "  "]), min_size=30, max_size=30),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
@settings(max_examples=500)
def test_a_text_that_grows_is_quiet_only_where_the_whole_is(
    words: list[str], gaps: list[str], cuts: list[int]
) -> None:
    text = "".join(gap + word for gap, word in zip(gaps, words, strict=False))
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "RECENT_CHARS", 6)
        growing = Growing("")
        for start, end in pairwise(places):
            if growing.is_quiet(text[start:end]):
                assert rules._quiet(frozenset(encode(text[:end])))
            growing.grow(text[start:end])


@given(parts=st.lists(st.text("aI1x. -\n—é,", max_size=30), max_size=4))
@settings(max_examples=500)
def test_letters_in_a_row_are_read_alike_whatever_stands_elsewhere(parts: list[str]) -> None:
    apart = [encode(f"{part} word") for part in parts]
    assert encode("".join(f"{part} word " for part in parts)) == "".join(apart)
