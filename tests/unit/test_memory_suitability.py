"""How much of the facts is read, and where: those that adult turns left, and a person's."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from roleplay_chat.memory import suitability
from roleplay_chat.memory.suitability import MAX_READ_CHARS, suitable, unread_chars
from roleplay_chat.rows import FactRow
from roleplay_chat.turn_plan import UNREAD_AT_ONCE_CHARS, WEIGHED_AT_ONCE_CHARS, decide
from tests.support.turns import accepted

_numbers = count()


def fact(chars: int = 0, tier: str = "nsfw") -> FactRow:
    """A harmless fact that nothing has read before."""
    content = f"Ada promised {next(_numbers)} times to wait.".ljust(chars, "a")
    return FactRow.model_validate({"content": content, "content_tier": tier})


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were read."""
    texts: list[str] = []
    is_sexual = suitability.is_sexual

    def noted(text: str) -> bool:
        texts.append(text)
        return is_sexual(text)

    monkeypatch.setattr(suitability, "is_sexual", noted)
    return texts


def test_fact_is_read_once(read: list[str]) -> None:
    facts = [fact(), fact()]
    for _ in range(3):
        assert suitable(facts) == facts
    assert read == [one.content for one in facts]


def test_more_facts_than_a_turn_reads(read: list[str]) -> None:
    facts = [fact(1_900) for _ in range(120)]
    shown = suitable(facts)
    assert shown == facts[: MAX_READ_CHARS // 1_900]
    assert sum(map(len, read)) <= MAX_READ_CHARS
    # The next turn shows the same ones, and so does another instance.
    assert suitable(facts) == shown


def test_facts_of_other_turns_are_shown_unread(read: list[str]) -> None:
    facts = [fact(1_900, tier="sfw") for _ in range(120)]
    assert suitable(facts) == facts
    assert read == []
    assert unread_chars(facts) == 0


@pytest.mark.parametrize(
    ("written_by", "facts", "is_quick"),
    [("person", 5, True), ("person", 6, False), ("model", 6, True)],
)
def test_many_facts_to_compare_with_the_persons_need_a_thread(
    written_by: str, facts: int, is_quick: bool
) -> None:
    size = WEIGHED_AT_ONCE_CHARS // 5
    rows = [fact(size, tier="sfw").model_dump() | {"written_by": written_by} for _ in range(facts)]
    decided = decide(accepted({}, facts=rows))
    assert decided.is_quick is is_quick
    assert len(decided.planned().begun.facts) == facts


@pytest.mark.parametrize("asks", [{}, {"content_tier": "nsfw"}])
@pytest.mark.parametrize(
    ("memory", "facts", "is_quick"),
    [
        ("", 3, True),
        ("", 120, False),
        ("They met. " * 20, 0, True),
        ("They met. " * (UNREAD_AT_ONCE_CHARS // 10 + 1), 0, False),
    ],
)
def test_much_that_was_not_read_before_needs_a_thread(
    asks: dict[str, Any], memory: str, facts: int, is_quick: bool
) -> None:
    rows = [fact().model_dump() for _ in range(facts)]
    summary = {"summary": f"{memory}{next(_numbers)}", "content_tier": "nsfw"}
    turn = accepted(asks, facts=rows, memory=summary)
    decided = decide(turn)
    assert decided.is_quick is (is_quick or decided.tier == "nsfw")
    decided.planned()
    assert decide(turn).is_quick or decided.tier == "nsfw"
