"""The screening reads exactly what a model reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.prompt import builder, lore
from roleplay_chat.prompt.macro_variables import Variables
from roleplay_chat.prompt.macros import MAX_GROWTH, Macros, expand, expanded
from roleplay_chat.prompt.passages import Piece, build_passages, joined, written_for
from roleplay_chat.rows import BegunTurn, CharacterRow
from roleplay_chat.screening.decision import LEAD_CHARS, PARTS, Passage, in_context, read, screen
from tests.support.prompts import spec

ID = UUID(int=1)
HOUSE = "HOUSE"
CHARACTER: dict[str, Any] = {
    "id": ID,
    "name": "C-name",
    "nickname": "C-nickname",
    "description": "C-description of {{user}}",
    "personality": "C-personality",
    "scenario": "C-scenario",
    "example_messages": "C-examples",
    "system_prompt": "C-system",
    "post_history_instructions": "C-instructions",
    "depth_prompt": "C-note of {{user}}",
    "pronouns": "C-pronouns",
    "greetings": ["C-greeting"],
    "character_book": {"entries": [{"keys": ["tide"], "content": "C-lore of {{user}}"}]},
    "age": 40,
}
REQUEST: dict[str, Any] = {
    "scene_name": "S-name",
    "scene_description": "S-description",
    "scene_context": "S-context",
    "scene_system_prompt": "S-system",
    "scene_starters": ["S-starter", None],
    "user_role": "P-role",
}
STATED, SEXUAL = "She is 12 years old.", "A sexual scene."


def begun(**rows: Any) -> BegunTurn:
    """A turn with a text in every part. `rows` change the result of begin_turn."""
    ordinary = {
        "now": datetime.now(UTC),
        "turn": {"id": ID, "message": "Said"},
        "user": {"name": "Ada"},
        "character": CHARACTER,
        "persona": CHARACTER | {"name": "P-name", "description": "P-description", "age": 30},
        "history": [
            {"sender": "user", "content": "Before the tide"},
            {"sender": "character", "content": "Then"},
        ],
        "memory": {"summary": "Summary"},
        "facts": [{"content": "Fact"}],
        "templates": [{"content_tier": "sfw", "system_prompt": HOUSE}],
    }
    return BegunTurn.model_validate(ordinary | rows)


def built(turn: BegunTurn, context_tokens: int = 8192, **request: Any) -> builder.Prompt:
    asked = ChatRequest.model_validate(request)
    return builder.build(spec(turn, request=asked, context_tokens=context_tokens))


def sent(turn: BegunTurn, context_tokens: int = 8192, **request: Any) -> list[tuple[str, str]]:
    """The passages of the prompt."""
    return [(one.part, one.text) for one in built(turn, context_tokens, **request).passages]


def is_refused(turn: BegunTurn, *, tier: Tier = "sfw", **request: Any) -> bool:
    """Whether the prompt is refused."""
    return screen(in_context(built(turn, **request).passages), tier=tier) is not None


class TestOfAPrompt:
    def test_say_whose_words_they_are(self) -> None:
        turn = begun(others=[{"id": UUID(int=2), "name": "Tom", "pronouns": "he/him"}])
        texts: dict[str, str] = {}
        for part, text in sent(turn, **REQUEST):
            texts[part] = f"{texts.get(part, '')}\n{text}"
        places = {
            "character": [
                *("C-name", "C-description of P-name", "40 years old", "C-pronouns", "C-system"),
                *("C-personality", "C-scenario", "C-examples", "C-instructions", "C-lore of P-"),
                "C-note of P-name",
                *("Tom (he/him)",),
            ],
            "persona": ["P-name", "P-description", "P-role"],
            "scene": ["S-name", "S-description", "S-context", "S-system"],
            "memory": ["Summary", "Fact"],
            "history": ["P-name: Before the tide", "Then"],
            "message": ["P-name: Said"],
        }
        assert [
            (part, one) for part, said in places.items() for one in said if one not in texts[part]
        ] == []

    def test_leave_out_the_houses_own_words(self) -> None:
        character = {"id": ID, "name": "C-name"}
        turn = begun(
            character=character, persona=None, memory=None, facts=[], history=[],
            templates=[{"content_tier": "sfw", "system_prompt": "Be {{char}} and no other."}],
        )  # fmt: skip
        assert sent(turn) == [("character", "C-name"), ("message", "Said")]

    def test_neighbours_of_one_part_are_read_together_but_for_what_was_said(self) -> None:
        parts = [part for part, _ in sent(begun())]
        said = ["history", "history", "character", "message"]
        assert parts == ["character", "persona", "memory", "character", *said]

    def test_messages_of_before_are_the_same_passages_in_the_next_turn(self) -> None:
        rows = [
            {"sender": sender, "content": f"{sender} {number} " + "words " * 100}
            for number in range(4)
            for sender in ("user", "character")
        ]
        first, second = (
            in_context(built(begun(history=rows[:length])).passages) for length in (6, 8)
        )
        before, now = (
            [one for one in passages if one.part == "history" and not one.is_seam]
            for passages in (first, second)
        )
        assert len(before) == 6
        assert before == now[:6]

    @pytest.mark.parametrize(
        ("template", "part"),
        [
            ("{{character_description}}", "character"),
            ("{{character_pronouns}}", "character"),
            ("{{persona}}", "persona"),
            ("{{user_description}}", "persona"),
            ("{{scenario}}", "scene"),
        ],
    )
    def test_what_macros_put_into_the_houses_words_is_not_the_houses(
        self, template: str, part: str
    ) -> None:
        character = {"id": ID, "name": "C", "description": "BOTH", "pronouns": "BOTH"}
        turn = begun(
            character=character,
            persona={"id": ID, "name": "P", "description": "BOTH"},
            templates=[{"content_tier": "sfw", "system_prompt": f"Mind this: {template}."}],
        )
        assert (part, "BOTH") in sent(turn, scene_description="BOTH")

    def test_original_in_the_instructions_stands_for_nothing_and_cuts_nothing_apart(self) -> None:
        instructions = "A 12 year {{original}}old and a sex{{original}}ual scene."
        turn = begun(character=CHARACTER | {"post_history_instructions": instructions})
        own = [text for part, text in sent(turn) if part == "character"]
        assert own[-1].endswith("\n\nA 12 year old and a sexual scene.")
        assert is_refused(turn)

    def test_original_of_the_template_stands_between_the_authors_words(self) -> None:
        turn = begun(character=CHARACTER | {"system_prompt": "C-first {{original}} C-last"})
        first, second, *_ = sent(turn)
        assert first == ("character", "C-first ")
        assert second[1].startswith(" C-last")

    def test_macro_beyond_the_growth_limit_is_read_as_it_is_sent(self) -> None:
        long = "x" * 20_000
        character = CHARACTER | {"description": long, "scenario": "{{character_description}}" * 3}
        character["personality"] = "A 12 ye{{persona}}ar old, a sex{{persona}}ual scene."
        turn = begun(character=character, persona=None)
        assert is_refused(turn)

    def test_what_is_cut_is_read_as_it_is_cut(self) -> None:
        turn = begun(turn={"id": ID, "message": f"First. {'x' * 8000} Last."})
        *_, first, last = sent(turn, context_tokens=1500)
        assert first == ("message", first[1])
        assert first[1].startswith("First. xxx")
        assert last[1].endswith("xxx Last.")

    def test_message_without_its_middle_is_read_as_it_is_sent(self) -> None:
        said = {"sender": "character", "content": f"First. {'x' * 8000} Last."}
        turn = begun(character=CHARACTER | {"depth_prompt": ""}, history=[said])
        shown = built(turn, context_tokens=1500)[1]["content"]
        assert shown.startswith("First. xxx")
        assert shown.endswith("xxx Last.")
        assert len(shown) < 8000
        passages = sent(turn, context_tokens=1500)
        assert [text for part, text in passages if part == "history"] == [shown]

    def test_opening_has_the_scenes_starter(self) -> None:
        turn = begun(turn={"id": ID}, history=[])
        assert sent(turn, scene_starters=["{{char}} hears it"])[-1] == (
            "scene",
            "C-nickname hears it",
        )


texts = st.text("78 \n{}", max_size=30)
"""Texts of users: only they use these digits."""
words = st.lists(
    texts | st.sampled_from(["{{char}}", "{{user}}", "{{original}}", "{{// x}}"]), max_size=6
).map("".join)
COLUMNS = (
    *("description", "personality", "system_prompt", "post_history_instructions"),
    "depth_prompt",
)


@given(
    template=st.lists(
        st.sampled_from(["House ", "{{character_description}}", "{{user}}", "{{scenario}}"])
    ).map("".join),
    columns=st.fixed_dictionaries(dict.fromkeys(COLUMNS, words)),
    history=st.lists(st.tuples(st.sampled_from(["user", "character"]), texts), max_size=5),
    said=st.none() | texts,
    scene=words,
    context_tokens=st.integers(200, 3000),
)
def test_passages_are_the_messages_without_the_houses_words(
    template: str,
    columns: dict[str, str],
    history: list[tuple[str, str]],
    said: str | None,
    scene: str,
    context_tokens: int,
) -> None:
    turn = begun(
        character=CHARACTER | columns | {"name": "7"},
        persona=CHARACTER | {"name": "8"},
        history=[{"sender": sender, "content": content} for sender, content in history],
        turn={"id": ID, "message": said},
        templates=[{"content_tier": "sfw", "system_prompt": template}],
    )
    messages = built(turn, context_tokens + 400, scene_description=scene)
    rest = "\n".join(message["content"] for message in messages)
    between = []
    for passage in messages.passages:
        house, found, rest = rest.partition(passage.text)
        assert found
        between.append(house)
    assert set("78").isdisjoint("".join([*between, rest]))


class TestPieces:
    pieces = st.lists(
        st.builds(Piece.from_text, st.sampled_from([*PARTS, None]), st.text(max_size=8)), max_size=6
    )

    @given(pieces, st.integers(0, 30), st.integers(0, 30))
    def test_are_cut_like_their_texts(self, parts: list[Piece], start: int, end: int) -> None:
        piece = joined("\n\n", parts)
        assert piece.text == "\n\n".join(part.text for part in parts if part.text)
        assert piece.between(start, end).text == piece.text[start : max(end, start)]

    @given(st.text("{}charx/ <>", max_size=40))
    def test_expand_like_their_texts(self, text: str) -> None:
        macros = Macros({"char": "Mara"})
        piece = expanded(text, macros, lambda name: "character" if name else None)
        assert piece.text == expand(text, macros)

    def test_pieces_of_one_part_with_space_between_are_one_passage(self) -> None:
        one, two = Piece.from_text("scene", "One"), Piece.from_text("scene", "two")
        assert build_passages([joined(" ", [one, two]), one]) == [Passage("scene", "One two\nOne")]
        assert len(build_passages([joined(" and ", [one, two])])) == 2

    def test_grow_only_so_far(self) -> None:
        piece = expanded("{{char}}!{{char}}", Macros({"char": "x" * MAX_GROWTH}), lambda _: "scene")
        assert piece.text == "x" * MAX_GROWTH + "!"


class TestWritten:
    """What is screened even if no prompt has room for it."""

    def of(self, turn: BegunTurn, **request: Any) -> list[Passage]:
        asked = ChatRequest.model_validate(REQUEST | request)
        return written_for(turn, asked, lore.activated_entries(turn, asked, Variables()))

    def test_has_everybody_with_their_ages(self) -> None:
        turn = begun(others=[{"id": UUID(int=2), "name": "Tom", "pronouns": "he", "age": 12}])
        passages = self.of(turn)
        assert [(one.part, one.age) for one in passages] == [
            ("character", 40),
            ("character", 12),
            ("character", None),
            ("persona", None),
            ("scene", None),
            ("persona", 30),
        ]
        assert passages[1].text == "Tom\nhe"
        assert passages[2].text == "C-lore of P-name"
        assert all(one in passages[4].text for one in ("S-name", "S-system", "S-starter"))

    def test_greetings_where_one_may_be_given(self) -> None:
        assert "C-greeting" in self.of(begun(turn={"id": ID}, history=[]))[0].text
        assert "C-greeting" not in self.of(begun())[0].text

    def test_entries_only_where_they_are_called_for(self) -> None:
        assert all("C-lore" not in one.text for one in self.of(begun(history=[])))


def test_every_text_of_a_character_is_in_the_one_list() -> None:
    marked = {
        name: f"M-{name}"
        for name, field in CharacterRow.model_fields.items()
        if field.annotation in (str, str | None)
    }
    row = CharacterRow.model_validate(
        {"id": ID, "greetings": ["M-greeting"]}
        | {"character_book": {"entries": [{"content": "M-entry"}, None, {"content": 3}]}}
        | marked
    )
    assert sorted(row.texts()) == sorted([*marked.values(), "M-greeting", "M-entry"])
    assert row.texts(greetings=False, book=False) == list(marked.values())


class TestInContext:
    CHILD, ACT = Passage("history", "The little girl"), "a sexual scene"

    def test_message_is_read_with_what_was_said_before(self) -> None:
        assert screen(in_context([self.CHILD, Passage("message", self.ACT)]), tier="sfw")

    def test_passages_are_read_together_over_what_stands_between(self) -> None:
        note = Passage("character", "Write well. " * 60)
        assert screen(in_context([self.CHILD, note, Passage("message", self.ACT)]), tier="sfw")

    @pytest.mark.parametrize("first", PARTS[:-1])
    @pytest.mark.parametrize("second", PARTS[:-1])
    def test_any_two_that_meet_are_read_together(self, first: Any, second: Any) -> None:
        passages = [Passage(first, self.CHILD.text), Passage(second, self.ACT)]
        assert screen(in_context(passages), tier="sfw")

    def test_short_words_between_do_not_part_them(self) -> None:
        passages = [Passage("character", self.CHILD.text), Passage("persona", "Kim"),
                    Passage("scene", self.ACT)]  # fmt: skip
        assert screen(in_context(passages), tier="sfw")

    def test_instructions_after_a_teenager_was_mentioned_do_not_make_one_of_the_character(
        self,
    ) -> None:
        said = Passage("history", "A teenager with a skateboard.")
        passages = [said, Passage("character", "Write well."), Passage("message", "Hello.")]
        assert screen(in_context(passages), tier="nsfw") is None

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param(f"{'x ' * 200}1{'12 years old.'.ljust(LEAD_CHARS)}", "Hm.", id="number"),
            pytest.param("好" * 400 + "二十" + "二歳".ljust(LEAD_CHARS, "好"), "好", id="numeral"),
            pytest.param("Hm.", "x" * (LEAD_CHARS - 4) + " sextant", id="word"),
        ],
    )
    def test_half_a_word_says_nothing(self, before: str, after: str) -> None:
        passages = [Passage("scene", before), Passage("memory", after)]
        assert [found for _, found in read(in_context(passages))][2] == read(
            [Passage("memory", "Hm.")]
        )[0][1]
