"""Which of several workers answers a conversation."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.generation.workers import ANY, Ranking, rank, requested_worker
from roleplay_chat.rows import WorkerRow

NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True), min_size=1, max_size=8)
CONVERSATIONS = [f"conversation {number}" for number in range(600)]


def workers(*names: str, **columns: Any) -> list[WorkerRow]:
    return [WorkerRow(name=name, url=f"https://{name}.example", **columns) for name in names]


def ranked(
    rows: list[WorkerRow], key: str = "a conversation", *, asked: str = ANY, away: str = ""
) -> Ranking:
    return rank(rows, key, asked=asked, is_away=lambda worker: worker.name in away.split())


def names(rows: tuple[WorkerRow, ...]) -> list[str]:
    return [row.name for row in rows]


def home(rows: list[WorkerRow], key: str, *, away: str = "") -> str:
    return ranked(rows, key, away=away).free[0].name


class TestAffinity:
    @given(NAMES, st.text())
    def test_order_of_the_rows_does_not_matter(self, found: list[str], key: str) -> None:
        rows = workers(*dict.fromkeys(found))
        assert ranked(rows, key) == ranked(rows[::-1], key)

    @given(NAMES, st.text(), st.data())
    def test_only_the_conversations_of_a_worker_that_goes_move(
        self, found: list[str], key: str, data: st.DataObject
    ) -> None:
        rows = workers(*dict.fromkeys([*found, "one-more"]))
        gone = data.draw(st.sampled_from(rows))
        left = [row for row in rows if row is not gone]
        before = names(ranked(rows, key).free)
        assert names(ranked(left, key).free) == [name for name in before if name != gone.name]
        away = ranked(rows, key, away=gone.name)
        assert (names(away.free), names(away.away)) == (
            [name for name in before if name != gone.name],
            [gone.name],
        )

    @pytest.mark.parametrize("count", [2, 3, 5])
    def test_conversations_are_spread_over_all(self, count: int) -> None:
        rows = workers(*(f"gpu-{number}" for number in range(count)))
        shares = Counter(home(rows, key) for key in CONVERSATIONS)
        fair = len(CONVERSATIONS) / count
        assert len(shares) == count
        assert all(0.7 * fair < share < 1.3 * fair for share in shares.values())

    def test_few_conversations_move_to_a_new_worker(self) -> None:
        three, four = workers("a", "b", "c"), workers("a", "b", "c", "d")
        moved = [key for key in CONVERSATIONS if home(three, key) != home(four, key)]
        assert {home(four, key) for key in moved} == {"d"}
        assert len(moved) < len(CONVERSATIONS) / 3


class TestPriority:
    def test_lowest_number_is_first_whatever_the_conversation(self) -> None:
        rows = [*workers("slow", priority=200), *workers("fast", "quick", priority=10)]
        for key in CONVERSATIONS[:50]:
            order = names(ranked(rows, key).free)
            assert (set(order[:2]), order[2]) == ({"fast", "quick"}, "slow")

    def test_next_priority_answers_when_the_first_is_full_or_away(self) -> None:
        first = workers("fast", priority=1, slots=1, running=1)
        rows = [*first, *workers("quick", priority=1), *workers("slow", priority=2)]
        assert names(ranked(rows, away="quick").free) == ["slow"]


class TestLoad:
    @given(st.text(), st.lists(st.integers(0, 3), min_size=3, max_size=3))
    def test_load_decides_nothing_while_the_preferred_one_has_a_slot(
        self, key: str, running: list[int]
    ) -> None:
        rows = workers("a", "b", "c")
        preferred = home(rows, key)
        busy = [
            row.model_copy(update={"slots": 4, "running": count})
            for row, count in zip(rows, running, strict=True)
        ]
        assert home(busy, key) == preferred

    @given(st.text(), st.lists(st.integers(0, 4), min_size=3, max_size=3))
    def test_least_busy_is_next_when_the_preferred_one_is_full(
        self, key: str, running: list[int]
    ) -> None:
        rows = workers("a", "b", "c", "d")
        preferred = home(rows, key)
        others = dict(
            zip([row.name for row in rows if row.name != preferred], running, strict=True)
        )
        busy = [
            row.model_copy(update={"slots": 4, "running": others.get(row.name, 4)}) for row in rows
        ]
        found = ranked(busy, key)
        free = [others[name] for name in names(found.free)]
        assert free == sorted(count for count in running if count < 4)
        assert preferred in names(found.full)

    @pytest.mark.parametrize(
        ("slots", "running", "is_full"),
        [(None, None, False), (None, 9, False), (1, 0, False), (1, 1, True), (2, 5, True)],
    )
    def test_full(self, slots: int | None, running: int | None, is_full: bool) -> None:
        found = ranked(workers("a", slots=slots, running=running))
        assert (names(found.full) == ["a"]) is is_full


class TestByName:
    def test_named_one_is_first(self) -> None:
        rows = workers("a", "b", "c")
        for name in ("a", "b", "c"):
            assert names(ranked(rows, asked=name).free)[0] == name

    def test_named_one_that_is_full_is_passed_over(self) -> None:
        rows = [*workers("a", slots=1, running=1), *workers("b")]
        found = ranked(rows, asked="a")
        assert (names(found.free), names(found.full)) == (["b"], ["a"])

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ("chat_worker", ANY),
            ("qwen-local", ANY),
            ("chat_worker:gpu-2", "gpu-2"),
            ("chat_worker:chat_worker", "chat_worker"),
            ("chat_worker:", None),
            ("chat_workers", None),
            ("author/model:free", None),
            ("", None),
            (None, None),
        ],
    )
    def test_what_a_request_asks_for(self, asked: str | None, expected: str | None) -> None:
        assert requested_worker(asked) == expected
