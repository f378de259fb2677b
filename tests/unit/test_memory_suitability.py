"""What of the memory an adult turn left is shown, and how much of it is read, and where."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from roleplay_chat.memory import suitability
from roleplay_chat.memory.suitability import MAX_READ_CHARS, for_tier, suitable, unread_chars
from roleplay_chat.rows import FactRow, MemoryRow
from roleplay_chat.screening.rules import is_sexual
from roleplay_chat.turn_plan import UNREAD_AT_ONCE_CHARS, WEIGHED_AT_ONCE_CHARS, decide
from tests.support.memory_rows import begun
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


class TestForTier:
    CLEAN, SEXUAL = "Ada's limit is gore.", "Ada's limit is a sexual scene."

    @pytest.mark.parametrize(
        ("tier", "origin", "content", "stays"),
        [
            ("sfw", "sfw", CLEAN, True),
            ("sfw", "sfw", SEXUAL, True),
            ("sfw", "nsfw", CLEAN, True),
            ("sfw", "nsfw", SEXUAL, False),
            ("nsfw", "nsfw", SEXUAL, True),
        ],
    )
    def test_what_adult_turns_left_stays_when_it_is_clean(
        self, tier: Any, origin: Any, content: str, stays: bool
    ) -> None:
        turn = begun(
            memory=MemoryRow(summary=content, content_tier=origin, may_write=True),
            facts=[FactRow(content=content, content_tier=origin)],
        )
        kept = for_tier(turn, tier)
        assert kept.memory is not None
        assert bool(kept.memory.summary) is stays
        assert kept.memory.may_write is stays
        assert bool(kept.facts) is stays

    @pytest.mark.parametrize(
        ("content", "stays"),
        [
            ("Ada's sister is called Tilda.", True),
            ("Ada lives in Oslo.", True),
            ("She lives in Oslo.", True),
            ("Ada works as a nurse.", True),
            ("Ada is 31 years old.", True),
            ("Ada's pronouns are they/them.", True),
            ("Ada's favourite colour is green.", True),
            ("Ada's safe word is Marigold.", True),
            ("Ada does not want to be tied up.", True),
            ("Mara promised to wait.", True),
            ("Ада не хочет говорить о войне.", True),
            # Words do not tell that it is harmless.
            ("They met on the pier.", False),
            ("Ada is Mara's submissive.", False),
            ("Ada likes it when Mara leads.", False),
            ("Они были вместе на пирсе.", False),
            ("Ada's favourite position is this one.", False),
            # A known kind in other words.
            ("Ada's limits are threesomes.", False),
            ("Mara promised to lick her.", False),
            ("Ada does not want her vulva touched.", False),
        ],
    )
    @pytest.mark.parametrize("columns", [{}, {"pinned": True}, {"written_by": "model"}])
    def test_fact_of_an_adult_turn_stays_when_its_kind_is_harmless(
        self, content: str, stays: bool, columns: dict[str, Any]
    ) -> None:
        turn = begun(facts=[FactRow(content=content, content_tier="nsfw", **columns)])
        assert bool(for_tier(turn, "sfw").facts) is stays
        assert for_tier(turn, "nsfw").facts == turn.facts
