"""Which messages of the history a prompt has."""

import re
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.messages import Message
from roleplay_chat.prompt.builder import history_room
from roleplay_chat.prompt.history import CUT_SHARE, CUT_TOKENS, first_kept, longest_shown
from roleplay_chat.rows import MemoryRow, MessageRow, TurnRow
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED
from tests.support.prompts import MARA, begun, built, spec


def test_newest_history_is_kept() -> None:
    history = [MessageRow(sender="user", content=f"{n} " + "x" * 290) for n in range(100)]
    said = built(begun(history=history), context_tokens=2048)[1]["content"]
    assert "99 x" in said
    assert "50 x" not in said
    assert said.endswith("Hello")


def test_history_that_is_too_long_begins_at_the_same_message_for_some_turns() -> None:
    def first_number(newest: int) -> int:
        history = [
            MessageRow(sender="character", content=f"{n} " + "x" * 290, position=n)
            for n in range(newest - 100, newest)
        ]
        return int(built(begun(history=history), context_tokens=4096)[1]["content"].split()[0])

    firsts = [first_number(newest) for newest in range(200, 300)]
    assert firsts == sorted(firsts)
    assert len(set(firsts)) <= 20


@pytest.mark.parametrize("room", [2_000, 1_000_000])
def test_history_that_the_database_cut_begins_at_the_same_message_for_some_turns(room: int) -> None:
    rows = [
        MessageRow(sender="character", content="x" * 285, position=n)  # 99 tokens each
        for n in range(200)
    ]
    read = [rows[newest - 19 : newest] for newest in range(60, 160)]
    kept = [
        history[first_kept(history, room, 100, room, UNCALIBRATED, is_cut=True) :]
        for history in read
    ]
    firsts = [history[0].position for history in kept]
    assert firsts == sorted(firsts)
    assert len(set(firsts)) <= 30
    for history, sent in zip(read, kept, strict=True):
        assert sent == history[-len(sent) :]
        assert len(sent) >= 12


@given(st.integers(0, 2**62), st.lists(st.integers(0, 900), max_size=80))
def test_history_that_is_cut_leaves_at_least_its_share(first: int, lengths: list[int]) -> None:
    history = [
        MessageRow(sender="user", content="x" * length, position=first + n)
        for n, length in enumerate(lengths)
    ]
    room = history_room(spec(begun(history=history)))
    cost = {row.position: UNCALIBRATED.count(row.content) + 4 for row in history}
    kept = history[first_kept(history, room, 500, room, UNCALIBRATED) :] if history else []
    spent = sum(cost[row.position] for row in kept)
    assert kept == history[len(history) - len(kept) :]
    assert spent <= room
    if len(kept) < len(history):
        room -= 500
        assert spent <= room
        assert spent > room - min(CUT_SHARE * room, CUT_TOKENS) - max(cost.values())


LONG_CARD = MARA.model_copy(update={"description": "She keeps the light. " * 900})
FOG = [f"On night {n} the fog rolls in." for n in range(120)]


def test_newest_message_that_fits_is_sent_beside_a_long_card() -> None:
    last = " ".join(FOG[:65])
    history = [
        MessageRow(sender="user", content="Tell me of the fog. " * 100, position=1),
        MessageRow(sender="character", content=last, position=2),
    ]
    said = built(begun(character=LONG_CARD, history=history))
    assert [message["content"] for message in said[1:]] == [last, "Hello"]


def test_long_message_leaves_some_history() -> None:
    history = [
        MessageRow(sender="character", content=f"{n} The gulls are loud today.", position=n)
        for n in range(60)
    ]
    turn = TurnRow(id=uuid4(), message="I walked on and on. " * 400)
    said = built(begun(character=LONG_CARD, history=history, turn=turn))
    assert sum("The gulls" in message["content"] for message in said[1:]) >= 1
    assert "59 The gulls" in said[1]["content"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(" ".join(FOG), r"On night \d+ the fog rolls in\. .*", id="sentences"),
        pytest.param("the fog rolls in, " * 200, r"(the|fog|rolls|in,) .*", id="words"),
        pytest.param("霧" * 4_000, "霧+", id="neither"),
    ],
)
def test_end_of_a_long_message_is_there_to_go_on_from(text: str, expected: str) -> None:
    history = [
        MessageRow(sender="user", content="Tell me a story.", position=1),
        MessageRow(sender="character", content=text, position=2),
    ]
    turn = TurnRow(id=uuid4(), continues=text)
    _, asked, end, request = built(begun(character=LONG_CARD, history=history, turn=turn))
    assert asked["content"] == "Tell me a story."
    assert (end["role"], request["role"]) == ("assistant", "user")
    assert text.endswith(end["content"])
    assert re.fullmatch(expected, end["content"])
    assert UNCALIBRATED.count(end["content"]) > 850


@given(
    st.text(st.sampled_from("a7. 霧\n"), max_size=9_000),
    st.integers(1, 200),
    st.integers(0, 3_000),
    st.integers(1024, 8192),
)
def test_history_ends_with_the_newest_message(
    last: str, times: int, card: int, context_tokens: int
) -> None:
    last = (last * times)[:60_000] + "The end."
    turn = begun(
        character=MARA.model_copy(update={"description": "light " * card}),
        history=[
            MessageRow(sender="user", content="First.", position=1),
            MessageRow(sender="character", content=last, position=2),
        ],
    )
    *_, newest, asked = built(turn, context_tokens=context_tokens, max_tokens=300)
    assert (newest["role"], asked["content"]) == ("assistant", "Hello")
    assert newest["content"].endswith("The end.")
    if newest["content"] != last:
        beginning, end = newest["content"].rsplit(" [...] ", 1)
        assert last.startswith(beginning)
        assert last.endswith(end)


STORIES = [
    pytest.param("I walked to the lighthouse and wrote a letter. " * 170, 4096, id="english"),
    pytest.param("昨日の夜、私は古い灯台へ行って、長い手紙を書いた。" * 100, 4096, id="japanese"),
    pytest.param("เมื่อคืนนี้ฉันไปที่ประภาคารเก่าและเขียนจดหมาย " * 133, 8192, id="thai"),
]


class TestLongMessage:
    """A message of the history that is longer than its room, and what is said after it."""

    def rows(self, story: str, later: int) -> list[MessageRow]:
        said = [f"{n} The kettle sings and the rain falls on the hills." for n in range(200)]
        said[120] = story
        senders: Any = ("user", "character")
        return [
            MessageRow(sender=senders[place % 2], content=text, position=place + 1)
            for place, text in enumerate(said[: 121 + later])
        ]

    def prompts(self, story: str, context: int, **row: Any) -> list[list[Message]]:
        """Those of the turns after the message."""
        return [
            built(begun(history=self.rows(story, later), **row), context_tokens=context)
            for later in range(1, 40, 2)
        ]

    @pytest.mark.parametrize(("story", "context"), STORIES)
    def test_keeps_its_ends_and_the_messages_before_it(self, story: str, context: int) -> None:
        for prompt in self.prompts(story, context):
            said = [message["content"] for message in prompt]
            [shown] = [text for text in said if " [...] " in text]
            beginning, end = shown.split(" [...] ")
            assert story.startswith(beginning)
            assert story.strip().endswith(end.strip())
            assert said.index(shown) > 5
            full = UNCALIBRATED.count("".join(said)) + TOKENS_PER_MESSAGE * len(said)
            assert full > (context - 400) * 0.6

    @pytest.mark.parametrize(("story", "context"), STORIES)
    def test_beginnings_of_the_next_prompts_stay_the_same(self, story: str, context: int) -> None:
        prompts = self.prompts(story, context)
        changed = [prompt[: len(before) - 1] != before[:-1] for before, prompt in pairwise(prompts)]
        assert sum(changed) <= 3

    @pytest.mark.parametrize(("story", "context"), STORIES)
    def test_is_screened_as_it_is_sent(self, story: str, context: int) -> None:
        prompt = built(begun(history=self.rows(story, 5)), context_tokens=context)
        [shown] = [message["content"] for message in prompt if " [...] " in message["content"]]
        assert shown in [passage.text for passage in prompt.passages]

    def test_is_whole_while_everything_fits(self) -> None:
        story = "I walked to the lighthouse and wrote a letter. " * 70
        history = self.rows(story, 3)[110:]
        said = [message["content"] for message in built(begun(history=history))]
        assert story in said
        assert history[0].content in said

    def test_newest_reply_that_fits_is_whole(self) -> None:
        reply = "I walked to the lighthouse and wrote a letter. " * 60
        newest = MessageRow(sender="character", content=reply, position=200)
        history = [*self.rows("A short story.", 78), newest]
        assert UNCALIBRATED.count(reply) > longest_shown(3696, 3000)
        said = [message["content"] for message in built(begun(history=history))]
        assert said[-2] == reply
        assert len(said) > 40

    def test_takes_room_of_the_history_only_once(self) -> None:
        """The notes of the conversation need not be taken for its sake."""
        rooms = [
            history_room(
                spec(begun(history=self.rows(before, 0), turn=TurnRow(id=uuid4(), message=said)))
            )
            for before in ("Short.", "I walked on. " * 600)
            for said in ("Short.", "I walked on. " * 600)
        ]
        assert rooms[0] == rooms[2]
        assert rooms[1] > rooms[0] * 0.6
        assert rooms[3] < rooms[0] / 2


def test_room_for_the_history_is_what_is_built_with() -> None:
    def kept(count: int) -> int:
        history = [MessageRow(sender="character", content="x" * 296)] * count
        turn = begun(history=history, memory=MemoryRow(summary="They met."))
        return sum(message["content"].count("x" * 296) for message in built(turn))

    most = history_room(spec(begun(memory=MemoryRow(summary="They met.")))) // 104
    assert kept(most) == most
    assert kept(most + 2) < most
