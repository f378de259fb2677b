"""Rows become messages within a token budget."""

import re
from itertools import pairwise
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.prompt.budget import SHARES
from roleplay_chat.prompt.system_message import HOUSE_RULES
from roleplay_chat.rows import CharacterRow, FactRow, MemoryRow, MessageRow, TurnRow
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED, Tokens
from tests.support.prompts import MARA, begun, built


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
    scene: dict[str, Any] = {
        "scene_name": "Lamp room",
        "scene_context": "Night.",
        "user_role": "A guest.",
    }
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

    BOOK: ClassVar[dict[str, Any]] = {
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
        scene: dict[str, Any] = {"scene_name": "Lamp room", "scene_context": "Night. " * 20}
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
    limits: dict[str, Any] = {"context_tokens": context_tokens, "max_tokens": max_tokens}
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
