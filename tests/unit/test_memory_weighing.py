"""The facts of a turn: which are shown, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from roleplay_chat.memory.weighing import weighed
from roleplay_chat.rows import FactRow
from tests.support.memory_rows import known


class TestWeighed:
    """The facts of a turn, before the next notes."""

    NOW = datetime(2026, 5, 3, tzinfo=UTC)

    def own(self, content: str, **columns: Any) -> FactRow:
        columns = {"written_by": "person", "is_unread": True, "said_at": self.NOW} | columns
        return FactRow(id=UUID(int=99), content=content, **columns)

    def shown(self, *rows: FactRow) -> list[tuple[str, int]]:
        return [(row.content, row.importance) for row in weighed(rows, "Ada") if row.is_shown]

    def noted(self, *contents: str, **columns: Any) -> list[FactRow]:
        return known(*contents, said_at=self.NOW - timedelta(days=1), **columns)

    @pytest.mark.parametrize(
        ("fact", "columns", "importance"),
        [
            ("Ada is allergic to nuts.", {}, 5),
            ("Ada likes nuts.", {}, 3),
            ("Ada likes nuts.", {"importance": 4}, 4),
            ("Ada is allergic to nuts.", {"is_rated": True, "importance": 1}, 1),
            ("Ada is allergic to nuts.", {"is_unread": False, "importance": 3}, 3),
        ],
    )
    def test_words_tell_the_importance_of_what_nobody_rated(
        self, fact: str, columns: dict[str, Any], importance: int
    ) -> None:
        assert self.shown(self.own(fact, **columns)) == [(fact, importance)]

    def test_order_is_that_of_importance_with_the_persons_first(self) -> None:
        rows = [
            *self.noted("Pinned.", pinned=True, importance=1),
            *self.noted("Four.", importance=4),
            *self.noted("Three.", importance=3),
            self.own("Mine."),
            self.own("Ada is allergic to nuts."),
        ]
        assert [content for content, _ in self.shown(*rows)] == [
            *("Pinned.", "Ada is allergic to nuts.", "Four.", "Mine.", "Three."),
        ]

    @pytest.mark.parametrize(
        ("old", "new", "columns", "is_shown"),
        [
            ("Ada lives in Paris.", "Ada lives in Oslo.", {}, False),
            ("Ada has a dog.", "Ada has no dog.", {}, False),
            ("Ada lives in Paris.", "Ada lives in Oslo.", {"pinned": True}, True),
            ("Ada lives in Paris.", "Ada lives in Oslo.", {"written_by": "person"}, True),
            ("Ada lives in Paris.", "Tom lives in Oslo.", {}, True),
            ("Ada likes Paris.", "Ada likes Oslo.", {}, True),
        ],
    )
    @pytest.mark.parametrize("is_unread", [True, False])
    def test_fact_that_does_not_agree_with_a_later_one_of_the_person_is_not_shown(
        self, old: str, new: str, columns: dict[str, Any], is_unread: bool, is_shown: bool
    ) -> None:
        rows = [*self.noted(old, **columns), self.own(new, is_unread=is_unread)]
        assert ((old, 3) in self.shown(*rows)) == is_shown
        assert [row.content for row in weighed(rows, "Ada")].count(old) == 1

    def test_fact_that_was_said_later_is_shown(self) -> None:
        later = known("Ada lives in Paris.", said_at=self.NOW + timedelta(days=1))
        assert len(self.shown(*later, self.own("Ada lives in Oslo."))) == 2

    def test_what_the_text_before_hid_is_not_shown(self) -> None:
        rows = [*self.noted("Ada plays the flute."), self.own("Ada is here.", hides=[UUID(int=1)])]
        assert self.shown(*rows) == [("Ada is here.", 3)]

    def test_same_sentence_is_shown_once_as_it_matters_most(self) -> None:
        rows = [
            *self.noted("Ada has a dog.", pinned=True, importance=4),
            self.own("ada has  a dog!", is_unread=False, importance=2),
        ]
        (row,) = (row for row in weighed(rows, "Ada") if row.is_shown)
        assert (row.content, row.pinned, row.importance) == ("ada has  a dog!", True, 4)

    def test_signs_make_another_sentence(self) -> None:
        rows = self.noted("Ada knows C++.", "Ada knows C#.")
        assert len(self.shown(*rows)) == 2
