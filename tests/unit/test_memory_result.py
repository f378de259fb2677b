"""What is saved: batches as one, and a summary that agrees with the facts."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from roleplay_chat.memory.answer import Written, parse
from roleplay_chat.memory.batches import Batch
from roleplay_chat.memory.comparison import Words
from roleplay_chat.memory.material import Material
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.result import as_one, retold, to_save, used_ids, without_outdated
from roleplay_chat.rows import FactRow, MessageRow
from tests.support.memory_rows import (
    MESSAGES,
    NAMES,
    answer,
    begun,
    ids,
    known,
    places,
    read_request,
    rows,
)

PARIS, OSLO = "Ada lives in Paris.", "Ada lives in Oslo."
LEFT = "I do not live in Paris any more."


class TestAsOne:
    def test_facts_name_messages_of_the_whole_and_the_last_summary_holds(self) -> None:
        first, second = Batch(rows(3), 7), Batch(rows(2, first=11), 10)
        told = [
            (first, Written("Once.", [Fact("conversation", "A", message=2)])),
            (second, Written("Twice.", [Fact("conversation", "B", message=1)])),
        ]
        batch, written = as_one(told, known=0)
        assert places([batch]) == [[8, 9, 10, 11, 12]]
        assert (batch.covers, batch.upto) == (7, 12)
        assert written.summary == "Twice."
        assert [(fact.text, fact.message) for fact in written.facts] == [("A", 2), ("B", 4)]

    @pytest.mark.parametrize("message", [None, 4])
    def test_number_that_names_no_message_still_names_none(self, message: int | None) -> None:
        wrong = Fact("conversation", "A", message=message)
        told = [
            (Batch(rows(3), 7), Written("Once.", [wrong])),
            (Batch(rows(2, first=11), 10), Written("Twice.", [wrong])),
        ]
        assert [fact.message for fact in as_one(told, known=0)[1].facts] == [None, None]

    @pytest.mark.parametrize(
        ("first", "second", "left"),
        [
            (Fact("conversation", PARIS), ("replace", OSLO), [("add", OSLO, None)]),
            (Fact("conversation", PARIS), ("withdraw", ""), []),
            (Fact("conversation", PARIS, "replace", 1), ("replace", OSLO), [("replace", OSLO, 1)]),
            (Fact("conversation", PARIS, "replace", 1), ("withdraw", ""), [("withdraw", "", 1)]),
            # The number is wrong.
            (
                Fact("conversation", "The lamp burns oil."),
                ("replace", OSLO),
                [("add", "The lamp burns oil.", None), ("replace", OSLO, 3)],
            ),
        ],
    )
    def test_later_batch_changes_what_an_earlier_one_noted(
        self, first: Fact, second: Any, left: list[tuple[str, str, int | None]]
    ) -> None:
        action, text = second
        told = [
            (Batch(rows(3), 7), Written("Once.", [Fact("conversation", "Tea"), first])),
            (
                Batch([MessageRow(sender="user", content=LEFT, position=11)], 10),
                Written("Twice.", [Fact("conversation", text, action, known=1 + 2)]),
            ),
        ]
        tea, *changes = as_one(told, known=1)[1].facts
        assert tea.text == "Tea"
        assert [(fact.action, fact.text, fact.known) for fact in changes] == left

    def test_next_request_knows_what_was_noted(self) -> None:
        turn = begun(facts=[{"content": "Known."}])
        told = Written(
            "Once.", [Fact("conversation", "", "withdraw", 1), Fact("conversation", "New.")]
        )
        material = read_request(retold(turn, told), Batch(rows(1), 7), 4000)
        assert material["facts"] == [
            {"number": 1, "text": "Known."},
            {"number": 2, "text": "New."},
        ]

    def test_next_request_goes_on_from_the_new_summary(self) -> None:
        turn = begun(memory={"summary": "Old.", "person_summary": "By hand."})
        memory = retold(turn, Written("New.", [])).memory
        assert memory is not None
        assert (memory.summary, memory.person_summary) == ("New.", "By hand.")


def test_saved_with_what_tells_whether_it_still_fits() -> None:
    said = [
        MessageRow(sender="user", content="Grüße", position=9),
        MessageRow(sender="character", content="Aye.", position=11),
    ]
    written = parse(answer(facts=["Likes tea."]), reach="profile")
    assert written is not None
    turn = begun(memory={"person_summary": "Grüße"})
    assert to_save(Batch(said, 7), written, turn, NAMES) == {
        "summary": "They met.",
        "from": 7,
        "to": 11,
        "digest": "d140aed6a90f94f6db44a07e16b175eea3e70f550d574d950e3d42291c3df476",
        "person_digest": hashlib.sha256("Grüße".encode()).hexdigest(),
        "facts": [
            {
                "tier": "conversation",
                "content": "Likes tea.",
                "gist": Words("Likes tea.").gist,
                "importance": 3,
                "from": 9,
                "to": 11,
            }
        ],
        "seen": {},
        "read": [],
        "used": [],
    }


class TestSummaryAndFacts:
    """Where they do not agree, what was said later holds."""

    BOOKBINDER = FactRow(
        id=UUID(int=1),
        content="Ada works as a bookbinder.",
        written_by="model",
        since=datetime(2026, 5, 3, tzinfo=UTC),
        position=50,
    )

    def saved(
        self,
        summary: str,
        fact: FactRow,
        *,
        old: str = "",
        upto: int = 60,
        said_now: str = "I do not bind books, I work as a cook.",
    ) -> Any:
        said = [MessageRow(sender="user", content=said_now, position=upto)]
        written = parse(answer(summary), reach="profile")
        assert written is not None
        turn = begun(memory={"summary": old}, facts=[fact.model_dump()])
        batch = Batch(said, 7)
        return to_save(batch, without_outdated(batch, written, turn, NAMES), turn, NAMES)

    @pytest.mark.parametrize("known", [[], [FactRow(content=PARIS, written_by="model")]])
    def test_old_sentence_that_is_changed_now_is_left_out(self, known: list[FactRow]) -> None:
        said = [MessageRow(sender="user", content="I live in Oslo now.", position=60)]
        told = Written(f"They met. {PARIS} It rained.", [Fact("profile", OSLO)])
        turn = begun(memory={"summary": PARIS}, facts=[row.model_dump() for row in known])
        kept = without_outdated(Batch(said, 7), told, turn, NAMES)
        assert kept.summary == "They met. It rained."

    def test_old_sentence_that_a_fact_has_outdated_is_left_out(self) -> None:
        old = "Ada works as a cook."
        saved = self.saved(f"They met. {old} It rained.", self.BOOKBINDER, old=old)
        assert saved["summary"] == "They met. It rained."
        assert saved["facts"] == []

    def test_new_sentence_replaces_an_older_fact(self) -> None:
        saved = self.saved("They met. Ada works as a cook.", self.BOOKBINDER)
        assert saved["summary"] == "They met. Ada works as a cook."
        assert [change["content"] for change in saved["facts"]] == ["Ada works as a cook."]

    @pytest.mark.parametrize(
        ("known", "made_up", "said"),
        [
            ("Ada works as a bookbinder.", "Ada works as a cook.", "I bind books."),
            ("Ada's safe word is Marigold.", "Ada's safe word is Thunder.", "The sea is calm."),
            ("Ada's safe word is Marigold.", "Ada's safe word is Thunder.", "I heard thunder."),
            ("Ada's doctor is Okonkwo.", "Ada's doctor is Lindqvist.", "Okonkwo came."),
        ],
    )
    @pytest.mark.parametrize("importance", [3, 5])
    def test_new_sentence_that_no_message_bears_out_is_left_out(
        self, known: str, made_up: str, said: str, importance: int
    ) -> None:
        fact = self.BOOKBINDER.model_copy(update={"content": known, "importance": importance})
        saved = self.saved(f"They met. {made_up}", fact, said_now=said)
        assert (saved["summary"], saved["facts"]) == ("They met.", [])

    def test_so_many_sentences_that_no_summary_has_them_are_not_all_compared(self) -> None:
        saved = self.saved("Aye. " * 60 + "Ada works as a cook.", self.BOOKBINDER)
        assert saved["facts"] == []

    def test_sentence_of_earlier_messages_is_outdated_by_a_later_fact(self) -> None:
        saved = self.saved("They met. Ada works as a cook.", self.BOOKBINDER, upto=40)
        assert (saved["summary"], saved["facts"]) == ("They met.", [])

    def test_older_fact_that_is_noted_again_does_not_hide_the_later_one(self) -> None:
        said = [MessageRow(sender="user", content="I live in Oslo now.", position=60)]
        oslo = Fact("conversation", OSLO, "replace", 1, subject="Ada", topic="home")
        later = FactRow(id=UUID(int=1), content=PARIS, written_by="model", position=80)
        turn = begun(facts=[later.model_dump()])
        kept = without_outdated(Batch(said, 7), Written(f"They met. {OSLO}", [oslo]), turn, NAMES)
        assert kept.summary == "They met."

    def test_old_sentence_is_outdated_by_a_fact_of_later_messages(self) -> None:
        old, later = "Ada works as a cook.", self.BOOKBINDER.model_copy(update={"since": None})
        assert self.saved(f"They met. {old}", later, old=old, upto=40)["summary"] == "They met."

    def test_old_sentence_gives_way_to_what_the_person_wrote(self) -> None:
        old, own = "Ada works as a cook.", FactRow(id=UUID(int=2), content=self.BOOKBINDER.content)
        assert self.saved(f"They met. {old}", own, old=old)["summary"] == "They met."

    def test_old_sentence_of_a_newer_fact_stays_beside_what_the_person_wrote(self) -> None:
        own = FactRow(id=UUID(int=2), content="Ada works as a cook.")
        turn = begun(
            memory={"summary": self.BOOKBINDER.content},
            facts=[own.model_dump(), self.BOOKBINDER.model_dump()],
        )
        said = [MessageRow(sender="user", content="I bind books.", position=60)]
        told = Written(self.BOOKBINDER.content, [])
        assert without_outdated(Batch(said, 7), told, turn, NAMES) == told

    @pytest.mark.parametrize(
        "summary", ["Ada works as a cook.", "... They met! Ada works as the bookbinder. Tom came."]
    )
    def test_nothing_else_is_touched(self, summary: str) -> None:
        assert self.saved(summary, self.BOOKBINDER, upto=40)["summary"] == summary


def test_facts_are_of_use_when_most_of_their_words_are_spoken_of() -> None:
    rows = known("Ada has a dog.", "Ada fears gulls at night.", "Ada fears thunder.", "Ada.")
    material = Material(known=rows, messages=MESSAGES, person="Ada", character="Mara")
    assert used_ids(material) == ids(1)
