"""What is remembered: summary and facts in a prompt."""

from typing import Any, ClassVar
from uuid import uuid4

import pytest

from roleplay_chat.messages import Message
from roleplay_chat.prompt.budget import MEMORY_SHARE
from roleplay_chat.prompt.composition import compose
from roleplay_chat.rows import FactRow, MemoryRow, MessageRow, RecalledRow
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED
from tests.support.prompts import begun, built


def test_memory_has_the_summary_then_pinned_facts_then_the_newest() -> None:
    turn = begun(
        memory=MemoryRow(summary="They met. {{char}}"),
        facts=[FactRow(content="Pinned.", pinned=True), FactRow(content="New.")],
    )
    memory = "## What is remembered\nThey met. {{char}}\n- Pinned.\n- New."
    assert built(turn)[0]["content"].endswith(memory)


class TestFactsWrittenBetweenTurns:
    """They stand near the end until the beginning of the prompt changes anyway."""

    HISTORY: ClassVar[Any] = [MessageRow(sender="user", content="Hm.", position=1)]
    OLD: ClassVar[Any] = FactRow(content="Old.", importance=2)

    def prompt(self, *facts: FactRow, **rows: Any) -> list[Message]:
        return built(begun(history=self.HISTORY, facts=[*facts, self.OLD], **rows))

    def test_leave_the_beginning_as_it_is(self) -> None:
        before = self.prompt()
        new = [FactRow(content=f"New {n}.", is_new=True, importance=5) for n in range(2)]
        after = self.prompt(*new)
        assert after[:1] == before[:1]
        said = {"role": "system", "content": "[Also known:]\n- New 0.\n- New 1."}
        assert after[2] == said
        assert after[-1] == {"role": "user", "content": "Hello"}

    def test_stand_before_what_is_recalled(self) -> None:
        fact = FactRow(content="New.", is_new=True)
        row = RecalledRow(sender="user", content="My boat is red.", position=0, score=1)
        prompt = self.prompt(fact, recalled=[row])
        assert prompt[2]["content"].startswith("[Also known:]\n- New.\n\n[Earlier")

    def test_that_have_no_room_there_are_with_the_others(self) -> None:
        new = [FactRow(content=f"New {n}. " * 9, is_new=True) for n in range(12)]
        prompt = self.prompt(*new)
        for place in range(12):
            found = [m["content"].count(f"- New {place}.") for m in (prompt[0], prompt[2])]
            assert sorted(found) == [0, 1]
        assert "- New" in prompt[0]["content"]
        assert "- New" in prompt[2]["content"]

    @pytest.mark.parametrize("number", [1, 3, 30])
    def test_are_described_with_what_was_recalled(self, number: int) -> None:
        new = [FactRow(id=uuid4(), content=f"New {n}.", is_new=True) for n in range(number)]
        old = FactRow(id=uuid4(), content="Old.")
        history = [MessageRow(sender="user", content="Hm. " * 40, position=n) for n in range(99)]
        prompt = built(begun(history=history, facts=[*new, old]), context_tokens=2048)
        assert prompt.ingredients is not None
        total = sum(UNCALIBRATED.count(m["content"]) + TOKENS_PER_MESSAGE for m in prompt)
        assert total <= 1648
        found = compose(prompt.ingredients, total)
        told = {*found["facts"], *found["recalled"]["facts"]}
        assert told == {str(fact.id) for fact in (*new, old)}
        assert found["recalled"]["facts"]
        assert not found["left_out"]["facts"]
        parts = sum(part["tokens"] for part in found["parts"])
        assert parts == pytest.approx(total, abs=len(found["parts"]) + 4)


@pytest.mark.parametrize("blank", [" ", "\n\n", "\u200b", "\ufeff\u00ad"])
def test_blank_memory_is_none(blank: str) -> None:
    blanks = [{"content": blank, "pinned": True}, {"content": blank}]
    memory = MemoryRow(person_summary=blank, summary=blank)
    assert built(begun(memory=memory, facts=blanks)) == built(begun())
    turn = begun(memory=memory, facts=[*blanks, {"content": "New."}])
    assert built(turn)[0]["content"].endswith("## What is remembered\n- New.")


def test_memory_that_is_too_long_keeps_pinned_facts_and_the_summary() -> None:
    turn = begun(
        memory=MemoryRow(summary="They met. " * 100),
        facts=[
            FactRow(content="Pinned.", pinned=True),
            *(FactRow(content=f"{number} " + "y" * 400) for number in range(50)),
        ],
    )
    content = built(turn, context_tokens=2600)[0]["content"]
    memory = content.partition("## What is remembered\n")[2]
    assert "Pinned." in memory
    assert memory.startswith("They met. ")
    assert "49 y" not in memory
    assert UNCALIBRATED.count(memory) <= 2200 * MEMORY_SHARE


def test_a_long_pinned_fact_hides_no_other() -> None:
    long = FactRow(content="x" * 2000, pinned=True)
    plain = FactRow(content="Plain.")
    kept = [FactRow(content="Important.", importance=5), FactRow(content="Pinned.", pinned=True)]
    turn = begun(
        memory=MemoryRow(summary="They met. " * 200), facts=[long, *kept, plain], history=[]
    )
    prompt = built(turn, context_tokens=2600)
    memory = prompt[0]["content"].partition("## What is remembered\n")[2]
    assert [fact.content for fact in kept if fact.content not in memory] == []
    assert UNCALIBRATED.count(memory) <= 2200 * MEMORY_SHARE
    assert prompt.ingredients is not None
    shown = [fact for fact in turn.facts if f"- {fact.line}" in memory]
    left_out = [fact for fact in turn.facts if fact not in shown]
    assert prompt.ingredients.facts_left_out == left_out
    assert long in left_out
