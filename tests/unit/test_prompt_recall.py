"""Which earlier messages stand before the person's message, and how they are written down."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.prompt import builder, recall
from roleplay_chat.prompt.builder import Prompt
from roleplay_chat.rows import BegunTurn, FactRow, MessageRow, RecalledRow, TurnRow, UserRow
from roleplay_chat.screening.decision import Passage
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED
from tests.support.prompts import spec

NAMES = {"user": "Ada", "character": "Mara"}
MAY = datetime(2026, 5, 3, 9, tzinfo=UTC)


def found(position: int, score: float = 5, content: str = "", **more: Any) -> RecalledRow:
    fields: dict[str, Any] = {
        "sender": "character",
        "said_at": MAY,
        "content": content or f"Aye, {position}.",
    }
    return RecalledRow(position=position, score=score, **fields | more)


def choose(rows: list[RecalledRow], **more: Any) -> list[int]:
    fields: dict[str, Any] = {"before": 100, "said": "Where is the lamp?", "budget": 1000}
    fields |= {"tier": "sfw"} | more
    chosen = recall.choose(rows, names=NAMES, tokens=UNCALIBRATED, **fields)
    return [row.position for row in chosen]


def built(
    history: list[MessageRow],
    recalled: list[RecalledRow],
    known: Sequence[FactRow] = (),
    said: str = "Where is the lamp?",
    **more: Any,
) -> Prompt:
    begun = BegunTurn(
        now=MAY,
        turn=TurnRow(id=UUID(int=1), message=said),
        user=UserRow(name="Ada"),
        history=history,
        recalled=recalled,
        facts=list(known),
    )
    return builder.build(spec(begun, **({"context_tokens": 2048} | more)))


class TestChoice:
    def test_they_stand_in_the_order_in_which_they_were_said(self) -> None:
        assert choose([found(7), found(3), found(5)]) == [3, 5, 7]

    def test_the_best_are_taken_where_not_all_fit(self) -> None:
        rows = [found(1, 1, "x" * 899), found(2, 9, "x" * 900), found(3, 5, "x" * 901)]
        assert choose(rows, budget=700) == [2, 3]

    def test_the_same_words_again_take_no_room(self) -> None:
        rows = [found(1, 5, "The sea is loud."), found(2, 9, "The sea is loud."), found(3, 1)]
        assert choose(rows) == [2, 3]

    def test_the_same_words_of_somebody_else_are_shown(self) -> None:
        assert choose([found(1, 5, "Aye."), found(2, 9, "Aye.", sender="user")]) == [1, 2]

    @pytest.mark.parametrize("speaker", ["the user", "Lady of the Lake"])
    def test_whoever_has_an_article_in_the_name_is_not_named_by_it(self, speaker: str) -> None:
        rows = [found(1, 5, "x" * 900), found(2, 4, "y" * 900, speaker=speaker)]
        assert choose(rows, said="Where is the key of the old gate?", budget=400) == [1]

    @pytest.mark.parametrize("said", ["What did Zoë say?", "What did ZOE say?"])
    @pytest.mark.parametrize("speaker", ["Zoë", "Zoe", "Zoe\u0308"])
    def test_whoever_is_named_counts_more_with_accents_or_without(
        self, said: str, speaker: str
    ) -> None:
        rows = [found(1, 5, "x" * 900), found(2, 4, "y" * 900, speaker=speaker)]
        assert choose(rows, said=said, budget=400) == [2]

    def test_a_short_one_takes_the_room_that_a_long_one_does_not_fit_in(self) -> None:
        assert choose([found(1, 9, "x" * 9000), found(2, 1)], budget=200) == [2]

    def test_of_a_long_one_the_sentences_that_share_words_are_taken(self) -> None:
        letter = " ".join(f"Sentence {n} of the letter is about nothing much." for n in range(90))
        told = f"{letter} The lamp is in the cellar. Mind the step! {letter} A lamp, said Tom."
        rows = [found(1, 9, told), found(2, 1)]
        limits: dict[str, Any] = {
            "before": 100,
            "tier": "sfw",
            "names": NAMES,
            "tokens": UNCALIBRATED,
        }
        first, second = recall.choose(rows, said="Where is the lamp?", budget=200, **limits)
        assert first.content == "… The lamp is in the cellar. … A lamp, said Tom."
        assert second.content == "Aye, 2."

    def test_sentence_that_several_long_ones_begin_with_is_shown_once(self) -> None:
        begin, rest = "My brother likes the harbour. ", "We walked for hours and hours. " * 60
        answer = f"{rest}{begin}At the harbour his name is Torvald."
        rows = [
            *[found(place, 9 - place, f"{begin}{rest}{place}") for place in range(1, 5)],
            found(5, 1, answer),
            found(6, 0.5, "My brother likes the harbour."),
        ]
        limits: dict[str, Any] = {
            "before": 100,
            "tier": "sfw",
            "names": NAMES,
            "tokens": UNCALIBRATED,
        }
        said = "What is my brother at the harbour called?"
        chosen = recall.choose(rows, said=said, budget=300, **limits)
        assert [row.content for row in chosen] == [
            begin.strip(),
            "… At the harbour his name is Torvald.",
        ]

    def test_sentence_of_somebody_else_is_shown(self) -> None:
        long = "My brother likes the harbour. " + "We walked for hours and hours. " * 60
        rows = [found(1, 9, long), found(2, 8, f"{long}2", sender="user")]
        assert choose(rows, said="What does my brother like?", budget=300) == [1, 2]

    @pytest.mark.parametrize("sentence", ["1. ", "1\n", "Жук. ", "中。"])
    def test_of_very_many_sentences_few_are_read(
        self, sentence: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[str] = []
        stems = recall._stems

        def noted(text: str) -> set[str]:
            read.append(text)
            return stems(text)

        monkeypatch.setattr(recall, "_stems", noted)
        rows = [found(place, 9, f"zebra {place} " + sentence * 4_000) for place in range(1, 9)]
        choose(rows, said=f"zebra {sentence}", budget=600)
        assert 0 < len(read) <= 6 * recall.MAX_SENTENCES
        read.clear()
        many = "".join(f"{number}. " for number in range(4_000))
        choose([found(1, 9, many)], said="3999 zebras", budget=600)
        assert 0 < len(read) <= recall.MAX_SENTENCES + 1
        assert "3999." in "".join(read)

    def test_of_a_long_one_in_which_nothing_is_about_it_nothing_is_taken(self) -> None:
        rows = [found(1, 9, "Nothing of the kind. " * 400), found(2, 1)]
        assert choose(rows, budget=200) == [2]

    def test_what_is_in_the_history_is_not_said_twice(self) -> None:
        assert choose([found(99), found(100), found(101)]) == [99]

    def test_a_turn_for_everybody_leaves_out_what_is_sexual_and_takes_the_next(self) -> None:
        rows = [found(1, 9, "A sexual scene." * 40), found(2, 4, "x" * 600)]
        assert choose(rows, budget=400) == [2]
        assert choose(rows, budget=400, tier="nsfw") == [1]

    def test_messages_of_somebody_who_is_named_count_more(self) -> None:
        rows = [found(1, 5, "x" * 900), found(2, 4, "x" * 900, sender="user")]
        assert choose(rows, budget=400) == [1]
        assert choose(rows, budget=400, said="What was lost, Ada?") == [2]

    def test_in_a_group_the_speaker_is_named(self) -> None:
        rows = [found(1, 5, "x" * 900), found(2, 4, "x" * 900, speaker="Old Tom")]
        assert choose(rows, budget=400, said="What is Tom's boat called?") == [2]

    @given(
        st.lists(st.tuples(st.integers(0, 200), st.floats(0, 90), st.text(max_size=300))),
        st.integers(0, 600),
    )
    def test_they_never_take_more_than_their_budget(
        self, rows: list[tuple[int, float, str]], budget: int
    ) -> None:
        chosen = recall.choose(
            [found(*row) for row in rows],
            before=None,
            said="",
            names=NAMES,
            budget=budget,
            tokens=UNCALIBRATED,
            tier="sfw",
        )
        assert UNCALIBRATED.count(recall.written(chosen, NAMES).text) <= budget


def facts(*contents: str, **more: Any) -> list[FactRow]:
    return [FactRow(content=content, **more) for content in contents]


PLAIN = facts(*(f"Ada has seen the {number}th lighthouse of the coast." for number in range(60)))


def choose_facts(rows: list[FactRow], said: str, **more: Any) -> list[str]:
    fields: dict[str, Any] = {"budget": 400} | more
    chosen = recall.choose_facts(rows, PLAIN + rows, said=said, tokens=UNCALIBRATED, **fields)
    return [row.content for row in chosen]


def test_the_longer_a_prompt_the_smaller_is_the_share_that_no_cache_knows() -> None:
    sizes = [2_000, 4_000, 8_192, 16_384, 32_768, 131_072, 1_000_000]
    shares = [recall.budget(size) / size for size in sizes]
    assert shares == sorted(shares, reverse=True)
    assert recall.budget(1_000_000) == recall.LONG_TOKENS


class TestFacts:
    ROWS: ClassVar = facts("Ada's sister is called Ruth.", "Ada has a cat.", "The pier is closed.")

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("What is my sister's name?", ["Ada's sister is called Ruth."]),
            ("Do you remember RUTH", ["Ada's sister is called Ruth."]),
            ("I miss my cats.", ["Ada has a cat."]),
            ("My sister took the cat.", ["Ada's sister is called Ruth.", "Ada has a cat."]),
            ("Thank you for everything, it was good of you.", []),
            ("The lighthouse, Ada!", []),  # in most facts
            ("", []),
            ("?!", []),
        ],
    )
    def test_those_that_share_rare_words_are_found(self, said: str, expected: list[str]) -> None:
        assert choose_facts(self.ROWS, said) == expected

    def test_a_long_message_may_ask_at_its_end(self) -> None:
        rows = facts("Ruth paints boats.")
        said = "I walked on and on. " * 100
        assert choose_facts(rows, said + "Who is Ruth?") == ["Ruth paints boats."]
        assert choose_facts(rows, "Who is Ruth? " + said) == ["Ruth paints boats."]

    def test_scripts_without_spaces_share_pairs_of_letters(self) -> None:
        rows = facts("アダの妹はルツという。", "桟橋は閉まっている。")
        assert choose_facts(rows, "私の妹はだれ？") == ["アダの妹はルツという。"]

    @pytest.mark.parametrize("said", ["Who is Zoe?", "Who is Zoë?", "Who is Zoe\u0308?"])
    def test_accents_make_no_difference(self, said: str) -> None:
        for name in ("Zoë", "Zoe"):
            assert choose_facts(facts(f"{name} paints boats."), said) == [f"{name} paints boats."]

    @pytest.mark.parametrize(
        ("said", "name"), [("Łukasz", "Lukasz"), ("Kjær", "Kjaer"), ("Strauß", "Strauss")]
    )
    def test_letters_without_an_accent_are_plain_letters(self, said: str, name: str) -> None:
        for asked, known in ((said, name), (name, said)):
            fact = f"{known} paints boats."
            assert choose_facts(facts(fact), f"Who is {asked}?") == [fact]

    def test_whom_a_fact_is_about_counts(self) -> None:
        rows = facts("She is a nurse.", subject="Berta", topic="work")
        assert choose_facts(rows, "What does Berta do?") == ["She is a nurse."]

    def test_each_is_read_once_and_not_all_of_a_long_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A person may write 120 of 2,000 characters, and every turn reads them."""
        texts: list[str] = []

        def noting(text: str) -> set[str]:
            texts.append(text)
            return stems(text)

        stems = recall._stems
        monkeypatch.setattr(recall, "_stems", noting)
        rows = facts(f"{'word ' * 200}Ruth{' word' * 200}", "Ruth paints boats.")
        assert choose_facts(rows, "Who is Ruth?") == ["Ruth paints boats."]
        assert len(texts) == len(set(texts)) == 1 + len(PLAIN) + len(rows)
        assert max(map(len, texts)) <= recall.MAX_SAID_CHARS + 3

    def test_the_best_are_taken_where_not_all_fit(self) -> None:
        rows = facts(f"Ada's sister {'x' * 300}", "Ada's sister Ruth paints boats.")
        assert choose_facts(rows, "Does sister Ruth paint?", budget=60) == [rows[1].content]

    def test_hardly_fitting_ones_are_left_out_beside_a_good_one(self) -> None:
        rows = facts("Ruth paints red boats in Oslo.", "Boats are slow.", "Boats are dear.")
        said = "Does Ruth paint red boats in Oslo?"
        assert choose_facts(rows, said) == [rows[0].content]

    def test_they_are_few(self) -> None:
        rows = facts(*(f"The pier of island {number} is closed." for number in range(12)))
        assert len(choose_facts(rows, "Is the pier closed?")) == recall.MAX_FACTS

    @given(st.lists(st.text(max_size=300), max_size=20), st.text(max_size=300), st.integers(0, 300))
    def test_they_never_take_more_than_their_budget(
        self, contents: list[str], said: str, budget: int
    ) -> None:
        rows = facts(*contents)
        chosen = recall.choose_facts(rows, rows, said=said, budget=budget, tokens=UNCALIBRATED)
        assert UNCALIBRATED.count(recall.written_facts(chosen).text) <= budget


class TestText:
    def test_facts_say_since_when(self) -> None:
        rows = [*facts("Ada lives in Oslo.", since=MAY), *facts("Ada has a cat.")]
        assert recall.written_facts(rows).text == (
            "[Also known, as far as it bears on the next message:]\n"
            "- Ada lives in Oslo. (since 3 May 2026)\n"
            "- Ada has a cat."
        )
        assert recall.written_facts([]).text == ""

    def test_each_says_who_said_it_and_when(self) -> None:
        june = MAY.replace(month=6)
        rows = [
            found(1, content="The lamp is in the cellar."),
            found(2, content="Why there?", sender="user"),
            found(3, content="Rats.", speaker="Old Tom", said_at=june),
            found(4, content="And damp.", said_at=None),
        ]
        assert recall.written(rows, NAMES).text == (
            "[Earlier in this story, as far as it bears on the next message:]\n"
            "(3 May 2026)\n"
            "Mara: The lamp is in the cellar.\n"
            "Ada: Why there?\n"
            "(3 June 2026)\n"
            "Old Tom: Rats.\n"
            "Mara: And damp."
        )

    def test_nothing_is_written_for_none(self) -> None:
        assert recall.written([], NAMES).text == ""


class TestPrompt:
    HISTORY: ClassVar = [
        MessageRow(sender="user", content="x" * 290, position=n) for n in range(100, 140)
    ]

    def test_they_stand_just_before_the_message(self) -> None:
        *_, before, last = built(self.HISTORY, [found(5, content="It is in the cellar.")])
        assert before["role"] == "system"
        assert before["content"].endswith("the narrator: It is in the cellar.")
        assert last == {"role": "user", "content": "Where is the lamp?"}

    def test_the_prompt_begins_as_without_them(self) -> None:
        with_them = built(self.HISTORY, [found(5)])
        without = built(self.HISTORY, [])
        assert with_them[: len(without) - 1] == without[:-1]

    def test_they_are_screened_as_what_was_said(self) -> None:
        prompt = built([], [found(5, content="It is in the cellar.")])
        assert Passage("history", "the narrator: It is in the cellar.") in prompt.passages

    FACTS: ClassVar = facts(
        *(f"Ada has seen the {number}th lighthouse of the coast." for number in range(100)),
        "Ada's lamp is made of brass.",
    )

    def test_a_fact_without_room_is_recalled_where_it_bears_on_the_message(self) -> None:
        *_, before, last = built(self.HISTORY, [found(5, content="In the cellar.")], self.FACTS)
        assert before["role"] == "system"
        assert before["content"] == (
            f"{recall.FACTS_TITLE}\n- Ada's lamp is made of brass.\n\n"
            f"{recall.TITLE}\n(3 May 2026)\nthe narrator: In the cellar."
        )
        assert last["content"] == "Where is the lamp?"

    def test_a_fact_is_recalled_where_no_message_is(self) -> None:
        *_, before, _ = built(self.HISTORY, [], self.FACTS)
        assert before["content"] == f"{recall.FACTS_TITLE}\n- Ada's lamp is made of brass."

    def test_a_fact_that_the_system_message_has_is_not_said_twice(self) -> None:
        prompt = built(self.HISTORY, [], [self.FACTS[-1], *self.FACTS[:-1]])
        assert "brass" in prompt[0]["content"]
        assert sum("brass" in message["content"] for message in prompt) == 1

    def test_the_system_message_is_the_same_whatever_facts_are_recalled(self) -> None:
        one, other = (built(self.HISTORY, [], self.FACTS, said) for said in ("The lamp!", "Hm."))
        assert one[0] == other[0]
        assert [any("brass" in said["content"] for said in prompt) for prompt in (one, other)] == [
            True,
            False,
        ]

    def test_recalled_facts_are_screened_as_memory(self) -> None:
        prompt = built(self.HISTORY, [], self.FACTS)
        assert Passage("memory", "- Ada's lamp is made of brass.") in prompt.passages

    @given(st.integers(600, 5000), st.lists(st.integers(0, 300), max_size=120))
    def test_recalled_facts_do_not_outgrow_the_budget(
        self, context: int, lengths: list[int]
    ) -> None:
        known = facts(*(f"lamp {number} {'x' * size}" for number, size in enumerate(lengths)))
        prompt = built(self.HISTORY, [found(5)], known, context_tokens=context)
        spent = sum(UNCALIBRATED.count(one["content"]) + TOKENS_PER_MESSAGE for one in prompt)
        assert spent <= max(context - 400, 600)

    @given(st.integers(600, 9000), st.lists(st.integers(0, 2000), max_size=60))
    def test_the_prompt_never_outgrows_its_budget(self, context: int, lengths: list[int]) -> None:
        rows = [found(n, content="x" * length) for n, length in enumerate(lengths)]
        prompt = built(self.HISTORY, rows, context_tokens=context)
        spent = sum(UNCALIBRATED.count(one["content"]) + TOKENS_PER_MESSAGE for one in prompt)
        assert spent <= max(context - 400, 600)
