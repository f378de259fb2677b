"""What spares a text the look at every rule must never leave one out that applies."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleplay_chat import indications
from roleplay_chat.encoding import CODE
from roleplay_chat.indications import NOTHING, is_quiet, marks
from tests.policy.corpus import cases

RULES = (*indications._INDICATING.rules, *indications._BENIGN.rules, indications._ABOVE)
_AROUND = re.compile(r"\(\?<?[=!][^()]*\)")
CLASSES = st.sampled_from(list(CODE.values()))


@pytest.mark.parametrize("number", range(len(RULES)))
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_rule_is_looked_for_where_it_matches(number: int, data: st.DataObject) -> None:
    rule = RULES[number]
    # What has to stand around it narrows a rule down further, and is hard to come upon.
    alone = _AROUND.sub("", rule.coded)
    text = data.draw(st.from_regex(alone, fullmatch=True, alphabet=CLASSES))
    assert rule.may_match(frozenset(text))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.coded)
def test_every_rule_needs_something(rule: indications._Rule) -> None:
    assert rule.needed


@pytest.mark.parametrize("name", ["corpus.jsonl", "held_out.jsonl"])
def test_marks_are_those_of_a_look_at_every_rule(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [case.text for case in cases(name)]
    found = [marks(text) for text in texts]
    quiet = [is_quiet(text) for text in texts]

    monkeypatch.setattr(indications, "_quiet", lambda present: False)
    monkeypatch.setattr(indications._Rule, "may_match", lambda rule, present: True)
    monkeypatch.setattr(
        indications._Rules,
        "applying",
        lambda rules, present: [rule.pattern for rule in rules.rules],
    )
    assert [marks(text) for text in texts] == found
    assert all(mark == NOTHING for mark, passed in zip(found, quiet, strict=True) if passed)
    assert 0 < sum(quiet) < len(texts)
