"""Several characters: one speaks, and the prompt introduces the others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import pytest

from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.content_tier import content_tier
from roleplay_chat.memory.batches import next_batches
from roleplay_chat.prompt.builder import build, history_room
from roleplay_chat.prompt.group_chat import (
    SHORT_CHARS,
    as_heard,
    build_cast,
    introduction,
    is_group_chat,
)
from roleplay_chat.prompt.macros import Macros, build_macros, user_name
from roleplay_chat.prompt.passages import written_for
from roleplay_chat.reply.filters import Reply, stop_strings
from roleplay_chat.rows import BegunTurn, CharacterRow, UserRow
from roleplay_chat.screening.decision import Passage, in_context, screen
from tests.support.prompts import spec

MARA = {"id": UUID(int=1), "name": "Mara Voss", "age": 52}
TOMAS = {
    "id": UUID(int=2),
    "name": "Tomas Lind",
    "nickname": "Tom",
    "description": "{{char}} rows for {{user}}.",
    "age": 34,
}
SAID: list[dict[str, Any]] = [
    {"sender": "character", "content": "Sit.", "character_id": UUID(int=1), "speaker": "Mara Voss"},
    {"sender": "user", "content": "Thanks."},
    {"sender": "character", "content": "Hm.", "character_id": UUID(int=2), "speaker": "Tomas Lind"},
]


def begun(**rows: Any) -> BegunTurn:
    ordinary = {
        "now": datetime(2026, 1, 3, tzinfo=UTC),
        "turn": {"id": UUID(int=9), "message": "Hello"},
        "user": {"name": "Ada"},
        "character": MARA,
        "others": [TOMAS],
        "history": SAID,
    }
    return BegunTurn.model_validate(ordinary | rows)


def written(turn: BegunTurn) -> list[Passage]:
    """The screened passages of the turn."""
    sent = build(spec(turn, context_tokens=8192))
    return [*written_for(turn, ChatRequest(), []), *in_context(sent.passages)]


def heard(turn: BegunTurn) -> list[tuple[str, str]]:
    turn = as_heard(turn, "Ada")
    return [*((row.sender, row.content) for row in turn.history), ("user", turn.turn.message or "")]


class TestHistory:
    def test_has_names_and_only_the_speakers_words_are_the_models(self) -> None:
        assert heard(begun()) == [
            ("character", "Mara Voss: Sit."),
            ("user", "Ada: Thanks."),
            ("user", "Tomas Lind: Hm."),
            ("user", "Ada: Hello"),
        ]

    def test_is_the_other_way_round_for_the_other(self) -> None:
        assert [sender for sender, _ in heard(begun(character=TOMAS, others=[MARA]))] == [
            "user",
            "user",
            "character",
            "user",
        ]

    def test_keeps_the_names_of_who_has_left(self) -> None:
        gone = begun(others=[])
        assert is_group_chat(gone)
        assert ("user", "Tomas Lind: Hm.") in heard(gone)

    def test_history_of_a_single_character_is_unchanged(self) -> None:
        alone = begun(others=[], history=SAID[:2])
        assert not is_group_chat(alone)
        assert as_heard(alone, "Ada") is alone

    def test_history_of_a_task_without_characters_is_unchanged(self) -> None:
        story = begun(character=None, others=[])
        assert as_heard(story, "Ada") is story

    PLAYED: ClassVar = {"sender": "user", "content": "I bake.", "speaker": "Ben"}

    def test_what_the_person_said_as_somebody_else_has_that_name(self) -> None:
        assert heard(begun(history=[*SAID[:2], self.PLAYED]))[1:3] == [
            ("user", "Ada: Thanks."),
            ("user", "Ben: I bake."),
        ]
        alone = begun(others=[], history=[*SAID[:2], self.PLAYED])
        assert heard(alone)[:3] == [
            ("character", "Sit."),
            ("user", "Thanks."),
            ("user", "Ben: I bake."),
        ]

    def test_without_a_message_has_none(self) -> None:
        silent = begun(turn={"id": UUID(int=9), "message": None})
        assert as_heard(silent, "Ada").turn.message is None


class TestIntroduction:
    def test_introduction_says_who_is_there(self) -> None:
        macros = build_macros(begun(), ChatRequest())
        assert introduction(begun(), macros) == (
            "- Tomas Lind (34 years old): Tom rows for Ada.\n"
            "Write Mara Voss's next words and actions alone, and no name in front of them."
        )

    @pytest.mark.parametrize("text", ["word " * 1000, "灯" * 1000, "a\n\nb " * 300])
    def test_introduction_is_short(self, text: str) -> None:
        long = begun(others=[TOMAS | {"description": text}])
        line = introduction(long, Macros()).splitlines()[0]
        assert len(line) < SHORT_CHARS + 40
        assert line.endswith(" ...")

    def test_introduction_is_empty_for_one_alone(self) -> None:
        assert introduction(begun(others=[]), Macros()) == ""


class TestReply:
    def shown(self, text: str, **rows: Any) -> str:
        reply = Reply(build_cast(begun(**rows)))
        return "".join(reply.feed(letter) for letter in text) + reply.flush()

    @pytest.mark.parametrize("label", ["Tomas Lind:", "Tom:", "Tomas:", "**Tomas Lind:**", "Ada:"])
    def test_ends_where_somebody_else_begins(self, label: str) -> None:
        assert self.shown(f"Mara Voss: Sit.\n{label} No.") == "Sit."

    def test_reply_of_another_member_keeps_its_text(self) -> None:
        assert self.shown("Tomas: No.\nMara: Sit.", character=TOMAS, others=[MARA]) == "No."

    def test_ends_where_one_begins_whom_the_person_played_before(self) -> None:
        history = [{"sender": "user", "content": "I bake.", "speaker": "Ben"}]
        assert self.shown("Sit.\nBen: No.", others=[], history=history) == "Sit."

    def test_reply_may_mention_others(self) -> None:
        assert self.shown("*Tomas nods.*\nTomas says nothing.") == (
            "*Tomas nods.*\nTomas says nothing."
        )

    def test_reply_of_a_namesake_is_not_cut_at_the_shared_name(self) -> None:
        namesake = MARA | {"id": UUID(int=3), "name": "Mara Lind"}
        said = "Mara: Sit.\nMara: There is tea.\nMara Lind: No."
        assert self.shown(said, others=[namesake]) == "Sit.\nMara: There is tea."

    def test_upstream_is_told_the_commonest_of_them(self) -> None:
        assert stop_strings(build_cast(begun())) == [
            "\nAda:",
            "\nTomas Lind:",
            "\nTom:",
            "\nTomas:",
            "\nUser:",
        ]


class TestPolicy:
    @pytest.mark.parametrize(
        ("other", "tier"),
        [
            ({"age": 34, "content_rating": "nsfw"}, "nsfw"),
            ({"age": 34, "content_rating": "sfw"}, "sfw"),
            ({"age": 17, "content_rating": "nsfw"}, "sfw"),
            ({"age": None, "content_rating": "nsfw"}, "sfw"),
        ],
    )
    def test_one_member_decides_for_all(self, other: dict[str, Any], tier: Tier) -> None:
        adult = {"age": 40, "content_rating": "nsfw"}
        given, _ = content_tier(
            "nsfw",
            user=UserRow(age_verified=True),
            conversation=None,
            character=CharacterRow.model_validate(MARA | adult),
            persona=None,
            others=[
                CharacterRow.model_validate(MARA | adult),
                CharacterRow.model_validate(TOMAS | other),
            ],
        )
        assert given == tier

    @pytest.mark.parametrize(
        "column",
        [
            *("name", "nickname", "description", "personality", "scenario", "example_messages"),
            "pronouns",
        ],
    )
    def test_all_that_is_written_of_a_member_is_screened(self, column: str) -> None:
        turn = begun(
            others=[TOMAS | {"age": None, column: "A 12 year old."}],
            turn={"id": UUID(int=9), "message": "A sexual scene."},
        )
        finding = screen(written(turn), tier="sfw")
        assert finding is not None

    def test_declared_age_of_a_member_is_screened(self) -> None:
        turn = begun(
            others=[TOMAS | {"age": 12}],
            turn={"id": UUID(int=9), "message": "A sexual scene."},
        )
        assert screen(written(turn), tier="sfw")

    def test_names_in_the_history_are_screened(self) -> None:
        gone = {"sender": "character", "content": "Hm.", "character_id": UUID(int=5)}
        turn = begun(others=[], history=[gone | {"speaker": "The 12 year old girl"}])
        history = next(passage for passage in written(turn) if passage.part == "history")
        assert "12 year old" in history.text


def test_end_of_a_long_message_has_its_speakers_name() -> None:
    long = {**SAID[2], "content": "The tide is high in the harbour. " * 200}
    turn = begun(history=[*SAID, long], turn={"id": UUID(int=9), "continues": long["content"]})
    *_, sent = build(spec(turn, context_tokens=1500))
    said = "Tomas Lind: The tide is high in the harbour. The tide"
    assert f"\n\n{said}" in sent["content"]
    assert sent["role"] == "user"


class TestSummary:
    """It is due before a message has no room in the prompt, whatever stands in front of it."""

    @pytest.mark.parametrize("chars", [8, 60])
    @pytest.mark.parametrize("kind", ["group", "former persona", "plain"])
    def test_no_message_leaves_the_prompt_before_it_is_due(self, kind: str, chars: int) -> None:
        played = {"speaker": "Ada Catharina Lovelace"} if kind == "former persona" else {}
        for count in range(20, 1000, 20):
            said = [
                {"sender": "character", "speaker": "Mara Voss", "character_id": UUID(int=1)}
                if place % 2
                else {"sender": "user", **played}
                for place in range(count)
            ]
            history = [
                one | {"content": "x" * chars, "position": place + 1}
                for place, one in enumerate(said)
            ]
            others = [TOMAS] if kind == "group" else []
            turn = begun(others=others, history=history, memory={"may_write": True})
            batches = next_batches(
                turn.memory,
                turn.history,
                heard=as_heard(turn, user_name(turn)).history,
                room=history_room(spec(turn)),
                capacity=10**6,
            )
            if batches:
                return
            ingredients = build(spec(turn)).ingredients
            assert ingredients is not None
            assert len(ingredients.kept) == count
        pytest.fail("It was never due.")
