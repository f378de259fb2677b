"""Which messages are summarised, in how many requests, and again after a failure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from roleplay_chat.memory.answer import Written
from roleplay_chat.memory.batches import (
    MAX_BATCH_TOKENS,
    MAX_BATCHES,
    NEWEST_KEPT,
    TRIES,
    Batch,
    _batches,
    may_be_due,
    next_batches,
    next_try,
)
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.request import LEFT_OUT
from roleplay_chat.memory.result import as_one, to_save, without_unfinished
from roleplay_chat.message_columns import MAX_HISTORY_MESSAGES
from roleplay_chat.rows import MemoryRow, MessageRow
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED
from tests.support.memory_rows import NAMES, begun, places, read_request, rows

MAY_WRITE = MemoryRow(may_write=True, covers_position=7)


def due(
    history: list[MessageRow],
    memory: MemoryRow | None = MAY_WRITE,
    *,
    room: int = 3000,
    capacity: int = 10_000,
) -> list[Batch]:
    return next_batches(memory, history, room=room, capacity=capacity)


class TestNextBatches:
    @pytest.mark.parametrize("memory", [None, MemoryRow(may_write=False)])
    def test_none_where_nothing_may_be_written(self, memory: MemoryRow | None) -> None:
        assert due(rows(90), memory) == []

    def test_none_before_the_start(self) -> None:
        assert due(rows(24)) == []

    def test_leaves_a_small_share_of_the_room(self) -> None:
        [batch] = due(rows(25))
        assert places([batch]) == [list(range(8, 29))]
        assert (batch.covers, batch.upto) == (7, 28)

    def test_never_takes_the_newest(self) -> None:
        assert places(due(rows(6, chars=9000))) == [list(range(8, 8 + 6 - NEWEST_KEPT))]
        assert due(rows(NEWEST_KEPT, chars=9000)) == []

    def test_batches_have_no_more_than_can_be_read_and_at_least_one(self) -> None:
        assert places(due(rows(25), capacity=1_000)) == [
            list(range(8, 17)),
            list(range(17, 26)),
            list(range(26, 29)),
        ]
        assert places(due(rows(60), capacity=0)) == [[8], [9], [10]]

    def test_each_batch_goes_on_from_the_one_before(self) -> None:
        batches = due(rows(25), capacity=1_000)
        assert [batch.covers for batch in batches] == [7, 16, 25]

    def test_message_counts_as_the_prompt_shows_it(self) -> None:
        history = rows(12)
        history[9] = replace(history[9], content="x" * 9_000)
        room: dict[str, Any] = {"room": 2_500, "capacity": 10**6}
        assert next_batches(MAY_WRITE, history, **room)
        assert not next_batches(MAY_WRITE, history, longest=900, **room)

    def test_message_too_long_to_be_read_leaves_room_to_others(self) -> None:
        history = [*rows(8), replace(rows(1, first=90)[0], content="x" * 50_000)]
        room: dict[str, Any] = {"room": 8_000, "longest": 2_000, "most_bytes": 40_000}
        assert not next_batches(MAY_WRITE, history, capacity=10**6, **room)
        assert not may_be_due(MAY_WRITE, history, cost=5_000, min_room=8_000, most_bytes=40_000)

    def test_are_few_and_not_large_together(self) -> None:
        assert len(due(rows(500), capacity=1_000)) == MAX_BATCHES
        taken = due(rows(500), capacity=MAX_BATCH_TOKENS)
        assert sum(len(batch.rows) for batch in taken) == MAX_BATCH_TOKENS // 103

    def test_takes_what_no_turn_sees_first(self) -> None:
        memory = MAY_WRITE.model_copy(update={"backlog": rows(64)})
        taken = due(rows(100, first=200), memory, capacity=3_000)
        assert places(taken) == [list(range(8, 37)), list(range(37, 66)), list(range(66, 72))]

    def test_goes_on_from_there_into_the_history(self) -> None:
        memory = MAY_WRITE.model_copy(update={"backlog": rows(64)})
        [positions] = places(due(rows(100, first=10), memory, capacity=30_000))
        assert positions == list(range(8, 8 + len(positions)))
        assert len(positions) > 64

    def test_takes_what_no_turn_sees_as_soon_as_there_is_any(self) -> None:
        """Although the prompt has room for more than the database reads."""
        memory = MAY_WRITE.model_copy(update={"backlog": rows(64)})
        history = rows(100, first=13)
        batches = next_batches(
            memory, history, room=10**6, capacity=10**6, most_bytes=100 * 296 + 100
        )
        [positions] = places(batches)
        assert positions[:6] == [8, 9, 10, 11, 12, 13]
        assert len(positions) == pytest.approx(85, abs=6)

    @pytest.mark.parametrize(
        ("chars", "most_bytes"), [(8, 2**20), (8, 4_000), (300, 30_000), (30_000, 2**20)]
    )
    def test_no_message_is_unread_before_it_is_due(self, chars: int, most_bytes: int) -> None:
        for count in range(8, 2_400, 8 if chars < 1000 else 1):
            history = rows(count, chars=chars)
            room: dict[str, Any] = {"room": 10**7, "capacity": 10**6}
            batches = next_batches(MAY_WRITE, history, most_bytes=most_bytes, **room)
            cost = sum(UNCALIBRATED.count(row.content) + TOKENS_PER_MESSAGE for row in history)
            is_seen = may_be_due(
                MAY_WRITE, history, cost=cost, min_room=10**7, most_bytes=most_bytes
            )
            assert is_seen == bool(batches)
            if batches:
                return
            assert count <= MAX_HISTORY_MESSAGES
            assert count * chars <= most_bytes
        pytest.fail("It was never due.")

    @given(
        lengths=st.lists(st.integers(0, 4000), max_size=120),
        room=st.integers(0, 20_000),
        room_to_read=st.integers(0, 20_000),
    )
    def test_batches_are_always_a_beginning(
        self, lengths: list[int], room: int, room_to_read: int
    ) -> None:
        history = [
            replace(row, content="x" * length)
            for row, length in zip(rows(len(lengths)), lengths, strict=True)
        ]
        batches = due(history, room=room, capacity=room_to_read)
        taken = [row for batch in batches if batch.part == 0 for row in batch.rows]
        assert taken == history[: len(taken)]
        assert all(batch.rows for batch in batches)
        assert len(taken) <= max(len(history) - NEWEST_KEPT, 0)


class TestFailedBatches:
    """The next try, after models failed to note some messages."""

    def batches(self, **memory: Any) -> list[Batch]:
        return due(rows(25), MAY_WRITE.model_copy(update=memory))

    def sent(self, batches: list[Batch]) -> list[list[int]]:
        return [[row.position for row in batch.rows if batch.is_sent(row)] for batch in batches]

    def test_has_as_many_messages_as_may_be_tried(self) -> None:
        assert places(self.batches(most_messages=4)) == [
            [8, 9, 10, 11],
            [12, 13, 14, 15],
            [16, 17, 18, 19],
        ]

    def test_tries_one_message_alone_and_then_the_one_after_it_instead(self) -> None:
        tries = [self.batches(most_messages=1, failures=failures)[0] for failures in range(1, 7)]
        assert self.sent(tries) == [[8], [8], [9], [9], [9], [10]]
        assert [batch.covers for batch in tries] == [7] * 6
        assert places(tries[2:]) == [[8, 9]] * 3 + [[8, 9, 10]]

    def test_gives_up_no_message_unless_another_can_be_noted(self) -> None:
        [batch] = due(rows(5, chars=9000), MAY_WRITE.model_copy(update={"failures": 30}))
        assert (batch.sent, batch.given_up) == (1, frozenset())

    def test_messages_that_may_not_be_sent_take_no_room(self) -> None:
        refused = frozenset({8, 10, 28})
        batches = next_batches(
            MAY_WRITE.model_copy(update={"most_messages": 3}),
            rows(25),
            room=3_000,
            capacity=310,
            refuses=lambda _: refused,
        )
        assert places(batches)[0] == [8, 9, 10, 11, 12]
        assert self.sent(batches)[0] == [9, 11, 12]

    @pytest.mark.parametrize("unsent", ["refused", "given_up"])
    def test_message_that_is_not_sent_is_covered(self, unsent: str) -> None:
        said = [
            MessageRow(sender="user", content=text, position=8 + place)
            for place, text in enumerate(["Never this.", "Ada came.", "Mara waved."])
        ]
        more: dict[str, Any] = {unsent: frozenset({8})}
        batch = structs.replace(Batch(said, 7), **more)
        assert (batch.upto, batch.digest) == (10, Batch(said, 7).digest)
        material = read_request(begun(), batch, 4_000)
        assert [(one["number"], one["text"]) for one in material["messages"]] == [
            (2, "Ada came."),
            (3, "Mara waved."),
        ]
        fact = Fact("conversation", "Never this.", message=3)
        saved = to_save(batch, Written("She came.", [fact]), begun(), NAMES)
        assert saved["facts"][0]["from"] == 10

    @pytest.mark.parametrize(
        ("before", "sizes", "done", "fault", "after"),
        [
            pytest.param((None, 0), [20], 0, "text", (10, 0), id="halved"),
            pytest.param((None, 0), [20], 0, "size", (10, 0), id="perhaps-too-long"),
            pytest.param((None, 0), [20], 0, None, (None, 0), id="models-to-blame"),
            pytest.param((3, 0), [3, 3, 3], 0, "text", (1, 0), id="halved-again"),
            pytest.param((1, 0), [1], 0, "text", (1, 1), id="alone"),
            pytest.param((1, 4), [1], 0, "text", (1, 5), id="alone-again"),
            pytest.param((1, 4), [1], 0, "size", (1, 4), id="alone-perhaps-too-long"),
            pytest.param((1, 4), [1], 0, None, (1, 4), id="alone-models-to-blame"),
            pytest.param((1, 4), [1, 1, 1], 1, "text", (1, 1), id="another-one-alone"),
            pytest.param((None, 0), [9, 9, 3], 1, "text", (4, 0), id="the-second"),
            pytest.param((4, 0), [4, 4, 4], 1, None, (4, 0), id="the-second-models-to-blame"),
            pytest.param((4, 0), [4, 4, 4], 3, None, (8, 0), id="noted-and-doubled"),
            pytest.param((1, 7), [1], 1, None, (2, 0), id="noted-after-failures"),
            pytest.param((64, 0), [20], 1, None, (None, 0), id="all-that-were-due"),
            pytest.param((None, 0), [20], 1, None, (None, 0), id="noted"),
        ],
    )
    def test_size_of_the_next_one(
        self,
        before: tuple[int | None, int],
        sizes: list[int],
        done: int,
        fault: Any,
        after: tuple[int | None, int],
    ) -> None:
        memory = MemoryRow(most_messages=before[0], failures=before[1])
        batches = [Batch(rows(size, first=100 * place), 0) for place, size in enumerate(sizes)]
        tried = next_try(memory, batches, done, fault)
        assert (tried["most_messages"], tried["failures"]) == after
        assert tried["tried_to"] == batches[min(done, len(batches) - 1)].upto

    @pytest.mark.parametrize("count", [1, 2, 40, 64])
    def test_one_bad_message_is_found_in_few_tries(self, count: int) -> None:
        """Wherever it is, and everything else is noted."""
        for bad in range(8, 8 + count):
            memory, left, noted, failed = MAY_WRITE, rows(count + 1), set[int](), 0
            while left:
                taken = _batches(left, memory, 10**6, lambda _: frozenset())
                sent = [set(one) for one in self.sent(taken)]
                done = next((i for i, one in enumerate(sent) if bad in one), len(taken))
                noted.update(*sent[:done])
                failed += done < len(taken)
                after = next_try(memory, taken, done, "text")
                covers = taken[done - 1].upto if done else memory.covers_position
                memory = memory.model_copy(update=after | {"covers_position": covers})
                left = [row for row in left if row.position > covers]
            assert noted == set(range(8, 9 + count)) - {bad}
            assert failed <= 3 * TRIES + 7


class TestLongMessages:
    LIMIT = "My safe word is Marigold."

    def said(self, chars: int) -> MessageRow:
        words = " ".join(f"word{number}" for number in range(chars // 8))
        return MessageRow(sender="user", content=f"{words} {self.LIMIT}", position=8)

    def batches(self, chars: int, capacity: int) -> list[Batch]:
        history = [self.said(chars), *rows(NEWEST_KEPT, first=9)]
        return due(history, room=200, capacity=capacity)

    def test_are_noted_in_parts(self) -> None:
        batches = self.batches(12_000, capacity=1_500)
        assert [(batch.part, batch.parts) for batch in batches] == [(0, 3), (1, 3), (2, 3)]
        shown = [read_request(begun(), batch, 4_000)["messages"] for batch in batches]
        assert [message["part"] for [message] in shown] == ["1 of 3", "2 of 3", "3 of 3"]
        texts = [message["text"] for [message] in shown]
        words = self.said(12_000).content.split()
        assert set(words) <= {word for text in texts for word in text.split()}
        assert texts[-1].endswith(self.LIMIT)

    def test_end_is_kept_where_not_even_the_parts_fit(self) -> None:
        batches = self.batches(60_000, capacity=1_500)
        assert len(batches) == MAX_BATCHES
        (message,) = read_request(begun(), batches[-1], 2_500)["messages"]
        assert LEFT_OUT in message["text"]
        assert message["text"].endswith(self.LIMIT)

    def test_wait_where_too_few_requests_are_left_for_all_parts(self) -> None:
        history = [*rows(2, first=6), self.said(12_000), *rows(NEWEST_KEPT, first=9)]
        batches = due(history, room=200, capacity=1_500)
        assert places(batches) == [[6, 7]]

    def test_are_one_message_whatever_their_parts(self) -> None:
        batches = self.batches(12_000, capacity=1_500)
        told = [
            (batch, Written(f"{place}.", [Fact("conversation", f"Fact {place}.", message=1)]))
            for place, batch in enumerate(batches)
        ]
        before = Batch(rows(2, first=6), 5)
        batch, written = as_one([(before, Written("Before.", [])), *told], known=0)
        assert places([batch]) == [[6, 7, 8]]
        assert batch.texts[-1].endswith(self.LIMIT)
        assert [fact.message for fact in written.facts] == [3, 3, 3]
        assert batch.digest == Batch([*rows(2, first=6), self.said(12_000)], 5).digest

    def test_count_as_noted_only_with_all_their_parts(self) -> None:
        written = Written("So far.", [])
        batches = [Batch(rows(2, first=6), 5), *self.batches(12_000, capacity=1_500)]
        kept = [len(without_unfinished([(one, written) for one in batches[:n]])) for n in range(5)]
        assert kept == [0, 1, 1, 1, 4]

    def test_end_is_told_where_several_messages_do_not_fit(self) -> None:
        batch = Batch([self.said(5_000), *rows(3, first=9)], 7)
        material = read_request(begun(), batch, 1_500)
        assert self.LIMIT[-10:] in material["messages"][0]["text"]
