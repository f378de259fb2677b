"""Rows become messages within a token budget."""

import re
from itertools import pairwise
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.builder import (
    CUT_SHARE,
    CUT_TOKENS,
    HOUSE_RULES,
    MEMORY_SHARE,
    SHARES,
    Message,
    PromptSpec,
    _first_kept,
    build,
    history_room,
    longest_shown,
)
from roleplay_chat.prompt.composition import compose
from roleplay_chat.rows import (
    BegunTurn,
    CharacterRow,
    FactRow,
    MemoryRow,
    MessageRow,
    RecalledRow,
    TurnRow,
)
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED, Tokens
from tests.support.prompts import MARA, begun


def built(
    turn: BegunTurn,
    *,
    family: str | None = None,
    context_tokens: int = 4096,
    max_tokens: int = 400,
    tokens: Tokens = UNCALIBRATED,
    **request: Any,
) -> list[Message]:
    spec = PromptSpec(
        turn,
        ChatRequest.model_validate(request),
        "sfw",
        family=family,
        context_tokens=context_tokens,
        max_tokens=max_tokens,
        tokens=tokens,
    )
    return build(spec)


def test_prompt_has_all_parts_in_order() -> None:
    turn = begun(
        character=MARA.model_copy(
            update={
                "personality": "Dry.",
                "scenario": "A storm.",
                "pronouns": "she/her",
                "example_messages": "{{user}}: Hi.\n{{char}}: Sit.",
                "post_history_instructions": "Stay {{char}}.",
            }
        ),
        persona=CharacterRow(id=uuid4(), name="Reyes", description="A captain."),
        history=[
            MessageRow(sender="character", content="Come in."),
            MessageRow(sender="user", content="Thanks."),
        ],
        facts=[FactRow(content="Reyes lost a ship.")],
    )
    scene = {"scene_name": "Lamp room", "scene_context": "Night.", "user_role": "A guest."}
    assert built(turn, **scene) == [
        {
            "role": "system",
            "content": "You are Mara, talking with Reyes.\n\n"
            "## About Mara\nMara keeps the light.\n\n"
            "Mara is 52 years old. Mara's pronouns: she/her.\n\n"
            "## Mara's personality\nDry.\n\n"
            "## Scenario\nA storm.\n\n"
            "## How Mara speaks\nReyes: Hi.\nMara: Sit.\n\n"
            "## About Reyes, played by the user\nA captain.\n\n"
            "## The user plays\nA guest.\n\n"
            "## The scene: Lamp room\nNight.\n\n"
            "## What is remembered\n- Reyes lost a ship.",
        },
        {"role": "assistant", "content": "Come in."},
        {"role": "user", "content": "Thanks."},
        {"role": "system", "content": "Stay Mara."},
        {"role": "user", "content": "Hello"},
    ]


def test_template_of_the_models_family_wins() -> None:
    assert built(begun(), family="llama")[0]["content"].startswith("Llama, be Mara.")
    assert built(begun(), family="mistral")[0]["content"].startswith("You are Mara")


def test_character_may_frame_the_template() -> None:
    framed = MARA.model_copy(update={"system_prompt": "First. {{original}} Last."})
    content = built(begun(character=framed))[0]["content"]
    assert content.startswith("First. You are Mara, talking with Ada. Last.")


def test_macros_expand_once_and_unknown_ones_are_left_out() -> None:
    tricky = MARA.model_copy(update={"name": "{{user}}", "description": "{{char}} {{nonsense}}"})
    content = built(begun(character=tricky))[0]["content"]
    assert "About {{user}}\n{{user}}\n\n" in f"{content}\n\n"


def test_draft_of_the_persons_words_ends_with_who_is_to_speak() -> None:
    turn = begun(
        turn=TurnRow(id=uuid4()),
        character=MARA.model_copy(update={"post_history_instructions": "Stay {{char}}."}),
        persona=CharacterRow(id=uuid4(), name="Reyes"),
        history=[MessageRow(sender="character", content="Come in.")],
    )
    *_, said, closing = built(turn, action="impersonate")
    assert said == {"role": "assistant", "content": "Come in."}
    assert closing["role"] == "user"
    assert closing["content"].startswith("[Write what Reyes says and does next")
    assert closing["content"].endswith("Write nothing for Mara.]")


def test_neighbours_of_the_same_role_are_joined() -> None:
    turn = begun(history=[MessageRow(sender="user", content="Are you there?")])
    assert built(turn)[1:] == [{"role": "user", "content": "Are you there?\n\nHello"}]


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
        history[_first_kept(history, room, 100, room, UNCALIBRATED, is_cut=True) :]
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
    turn, limits = begun(history=history), {"context_tokens": 4096, "max_tokens": 400}
    room = history_room(PromptSpec(turn, ChatRequest(), "sfw", family=None, **limits))
    cost = {row.position: UNCALIBRATED.count(row.content) + 4 for row in history}
    kept = history[_first_kept(history, room, 500, room, UNCALIBRATED) :] if history else []
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
        turn = begun(history=self.rows(story, 5))
        spec = PromptSpec(
            turn, ChatRequest(), "sfw", family=None, context_tokens=context, max_tokens=400
        )
        prompt = build(spec)
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
        limits: Any = {"family": None, "context_tokens": 4096, "max_tokens": 400}
        rooms = [
            history_room(
                PromptSpec(
                    begun(history=self.rows(before, 0), turn=TurnRow(id=uuid4(), message=said)),
                    ChatRequest(),
                    "sfw",
                    **limits,
                )
            )
            for before in ("Short.", "I walked on. " * 600)
            for said in ("Short.", "I walked on. " * 600)
        ]
        assert rooms[0] == rooms[2]
        assert rooms[1] > rooms[0] * 0.6
        assert rooms[3] < rooms[0] / 2


class TestChanceBeforeTheHistory:
    """It changes with the step of the history, because prompts that begin alike are cached."""

    TALK: ClassVar[Any] = {"conversation": {"id": UUID(int=7)}}
    CHANCE = "{{random::red::green::blue::white::grey}} {{roll:d100000}}"

    def systems(self, said: int, context: int, **row: Any) -> list[str]:
        """The system messages of turns after 20 messages, 22 and so on."""
        rows = [
            MessageRow(sender="user", content=f"{n} The gulls are loud. " * 4, position=n + 1)
            for n in range(said)
        ]
        who = MARA.model_copy(update={"description": self.CHANCE})
        return [
            built(
                begun(character=who, history=rows[:end], **self.TALK, **row),
                context_tokens=context,
            )[0]["content"]
            for end in range(20, said, 2)
        ]

    def test_stands_still_while_the_history_begins_at_the_same_message(self) -> None:
        assert len(set(self.systems(60, 8192))) == 1

    def test_changes_with_each_summary(self) -> None:
        found = {
            self.systems(22, 8192, memory=MemoryRow(summary="Hm.", covers_position=covered))[0]
            for covered in range(0, 40, 4)
        }
        assert len(found) == 10

    def test_changes_with_each_cut_where_there_is_no_summary(self) -> None:
        systems = self.systems(300, 4096)
        changes = sum(before != after for before, after in pairwise(systems))
        assert 3 <= changes <= len(systems) / 4

    @pytest.mark.parametrize("column", ["post_history_instructions", "depth_prompt"])
    def test_changes_in_each_turn_near_the_end(self, column: str) -> None:
        rows = [MessageRow(sender="user", content="Hm.", position=n + 1) for n in range(40)]
        who = MARA.model_copy(update={column: self.CHANCE})
        found = {
            message["content"]
            for end in (38, 39, 40)
            for message in built(begun(character=who, history=rows[:end], **self.TALK))[1:]
            if message["role"] == "system"
        }
        assert len(found) == 3


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
        prompt = build(
            PromptSpec(
                *(begun(history=history, facts=[*new, old]), ChatRequest(), "sfw"),
                **{"family": None, "context_tokens": 2048, "max_tokens": 400},
            )
        )
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
    limits = {"context_tokens": 2600, "max_tokens": 400}
    prompt = build(PromptSpec(turn, ChatRequest(), "sfw", family=None, **limits))
    memory = prompt[0]["content"].partition("## What is remembered\n")[2]
    assert [fact.content for fact in kept if fact.content not in memory] == []
    assert UNCALIBRATED.count(memory) <= 2200 * MEMORY_SHARE
    assert prompt.ingredients is not None
    shown = [fact for fact in turn.facts if f"- {fact.line}" in memory]
    left_out = [fact for fact in turn.facts if fact not in shown]
    assert prompt.ingredients.facts_left_out == left_out
    assert long in left_out


def test_room_for_the_history_is_what_is_built_with() -> None:
    def kept(count: int) -> int:
        history = [MessageRow(sender="character", content="x" * 296)] * count
        turn = begun(history=history, memory=MemoryRow(summary="They met."))
        return sum(message["content"].count("x" * 296) for message in built(turn))

    turn = begun(memory=MemoryRow(summary="They met."))
    limits = {"context_tokens": 4096, "max_tokens": 400}
    most = history_room(PromptSpec(turn, ChatRequest(), "sfw", family=None, **limits)) // 104
    assert kept(most) == most
    assert kept(most + 2) < most


def test_message_survives_a_character_that_is_too_long() -> None:
    huge = MARA.model_copy(update={"description": "long " * 4000})
    messages = built(begun(character=huge, history=[MessageRow(sender="character", content="Hm.")]))
    assert messages[0]["content"].startswith("You are Mara")
    assert [message["content"] for message in messages[1:]] == ["Hm.", "Hello"]


def sections(system: str) -> dict[str, str]:
    """The titled parts of a system message."""
    parts = (part.partition("\n") for part in system.split("## ")[1:])
    return {title: text.strip() for title, _, text in parts}


class TestWhatIsDroppedFirst:
    """The same card with a growing description, in a context of 2,048 tokens."""

    BOOK: ClassVar = {
        "entries": [
            {"keys": [], "constant": True, "content": f"Entry {rank}. " + "l" * 300,
             "priority": rank, "position": "before_char"}
            for rank in (1, 2, 3)
        ]
    }  # fmt: skip

    def parts(
        self, description: str = "Brief.", message: str = "Hello", **more: Any
    ) -> dict[str, str]:
        character = MARA.model_copy(
            update={
                "description": description,
                "personality": "Dry. " * 20,
                "scenario": "A storm. " * 20,
                "example_messages": "Ada: Hi.\nMara: Sit.\n" * 20,
                "character_book": self.BOOK,
            }
            | more
        )
        turn = begun(
            turn=TurnRow(id=uuid4(), message=message),
            character=character,
            persona=CharacterRow(id=uuid4(), name="Reyes", description="A captain. " * 20),
            memory=MemoryRow(summary="They met. " * 20),
            facts=[FactRow(content="Reyes lost a ship.", pinned=True)],
        )
        scene = {"scene_name": "Lamp room", "scene_context": "Night. " * 20}
        return sections(built(turn, context_tokens=2048, **scene)[0]["content"])

    def entries(self, parts: dict[str, str]) -> list[str]:
        return re.findall(r"Entry \d", parts.get("The world", ""))

    def test_nothing_of_a_short_card(self) -> None:
        parts = self.parts("short " * 20)
        assert self.entries(parts) == ["Entry 1", "Entry 2", "Entry 3"]
        assert parts["How Mara speaks"].count("Sit.") == 20
        assert parts["About Mara"].count("short") == 20

    def test_examples_then_the_book_by_priority_then_the_ends_of_texts(self) -> None:
        seen = []
        for words in range(20, 600, 4):
            parts = self.parts("long " * words)
            examples = parts.get("How Mara speaks", "").count("Sit.")
            described = parts["About Mara"].count("long")
            entries = self.entries(parts)
            seen.append((examples, len(entries), described < words))
            assert entries == ["Entry 1", "Entry 2", "Entry 3"][3 - len(entries) :]
            # At most the room that an entry leaves that no longer fits.
            assert len(entries) == 3 or len(parts.get("How Mara speaks", "")) < 320
            assert described == words or not entries
        assert seen[0] == (20, 3, False)
        assert {0 < examples < 20 for examples, *_ in seen} == {True, False}
        assert {entries for _, entries, _ in seen} == {0, 1, 2, 3}
        assert seen[-1] == (0, 0, True)

    @pytest.mark.parametrize("column", ["description", "personality", "scenario"])
    def test_all_else_stays_beside_a_text_that_is_too_long(self, column: str) -> None:
        short, long = self.parts("Brief."), self.parts(**{column: "long " * 3900})
        kept = {"About Reyes, played by the user", "The scene: Lamp room", "What is remembered"}
        assert {title: long[title] for title in kept} == {title: short[title] for title in kept}
        assert str(long).count("long") > 100
        assert len(long) == 6

    @pytest.mark.parametrize("message", ["Hello", "word " * 2000])
    def test_nobody_takes_it_all(self, message: str) -> None:
        """Each part keeps something, however long the others are."""
        huge = "long " * 3900
        character = MARA.model_copy(
            update=dict.fromkeys(("description", "personality", "system_prompt"), huge)
        )
        turn = begun(
            turn=TurnRow(id=uuid4(), message=message),
            character=character,
            persona=CharacterRow(id=uuid4(), name="Reyes", description=huge),
            memory=MemoryRow(summary=huge),
            facts=[FactRow(content="Reyes lost a ship.", pinned=True)],
        )
        system = built(turn, scene_context=huge[:7000], scene_system_prompt=huge[:7000])[0]
        parts = sections(system["content"])
        assert system["content"].startswith(HOUSE_RULES["sfw"])
        assert list(parts) == [
            "About Mara",
            "Mara's personality",
            "About Reyes, played by the user",
            "The scene",
            "Directions for the scene",
            "What is remembered",
        ]
        assert "Mara is 52 years old." in parts["About Mara"]
        assert "- Reyes lost a ship." in parts["What is remembered"]

    def test_template_that_an_author_puts_last_is_not_cut_off_unsaid(self) -> None:
        character = MARA.model_copy(update={"system_prompt": "long " * 3900 + "{{original}}"})
        system = built(begun(character=character))[0]["content"]
        assert system.startswith(HOUSE_RULES["sfw"])

    def test_examples_are_whole_lines(self) -> None:
        lines = "<START>\nAda: How far is it?\nMara: Far enough, in this weather.\n"
        for words in range(200, 500, 3):
            spoken = self.parts("long " * words, example_messages=lines * 9).get("How Mara speaks")
            assert spoken is None or spoken.endswith(("far is it?", "in this weather."))

    def test_messages_of_any_usual_length_leave_the_system_message_as_it_was(self) -> None:
        """Otherwise prompt caches would miss."""
        systems = [self.parts("long " * 3900, "x" * length) for length in range(1, 250, 7)]
        assert all(parts == systems[0] for parts in systems)


# Texts that requests and rows can contain: no NUL, no lone surrogates.
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3000)
ratios = st.floats(0.5, 2)


def test_shares_leave_nothing_over() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)


@given(
    description=words,
    examples=words,
    scene=words,
    instructions=words,
    said=words,
    history=st.lists(words, max_size=20),
    remembered=st.lists(words, max_size=20),
    context_tokens=st.integers(1024, 8192),
    max_tokens=st.integers(1, 512),
    tokens=st.builds(Tokens, ratios, ratios),
)
def test_prompt_never_exceeds_its_budget(
    description: str,
    examples: str,
    scene: str,
    instructions: str,
    said: str,
    history: list[str],
    remembered: list[str],
    context_tokens: int,
    max_tokens: int,
    tokens: Tokens,
) -> None:
    texts = {
        "description": description,
        "example_messages": examples,
        "system_prompt": examples,
        "post_history_instructions": instructions,
    }
    turn = begun(
        character=MARA.model_copy(update=texts),
        persona=CharacterRow(id=uuid4(), name="Reyes", description=scene),
        history=[MessageRow(sender="user", content=text) for text in history],
        turn=TurnRow(id=uuid4(), message=said),
        memory=MemoryRow(summary="".join(remembered[:1])),
        facts=[FactRow(content=text, pinned=number < 9) for number, text in enumerate(remembered)],
    )
    limits = {"context_tokens": context_tokens, "max_tokens": max_tokens}
    messages = built(turn, **limits, tokens=tokens, scene_context=scene)
    spent = sum(tokens.count(message["content"]) + TOKENS_PER_MESSAGE for message in messages)
    assert spent <= context_tokens - max_tokens


@pytest.mark.parametrize("letter", ["a", "灯", "🌊", "я"])
def test_the_longest_message_fits_the_worker_without_its_middle(letter: str) -> None:
    said = f"First. {letter * 8_000} Last."
    turn = begun(
        turn=TurnRow(id=uuid4(), message=said),
        history=[MessageRow(sender="character", content="Come in.")],
    )
    messages = built(turn)
    assert messages[0]["content"].startswith("You are Mara")
    assert messages[-1]["content"].startswith("First.")
    assert messages[-1]["content"].endswith("Last.")
    assert [message["role"] for message in messages] == ["system", "assistant", "user"]
    assert sum(UNCALIBRATED.count(m["content"]) + TOKENS_PER_MESSAGE for m in messages) <= 3696


def test_prompt_is_longer_for_a_model_whose_tokens_are_known_to_be_longer() -> None:
    history = [MessageRow(sender="user", content=f"{n} " + "word " * 60) for n in range(100)]
    sizes = [
        len(str(built(begun(history=history), tokens=Tokens(latin=ratio))))
        for ratio in (0.5, 1.0, 2.0)
    ]
    assert sizes[0] > 1.7 * sizes[1] > 2.8 * sizes[2]
