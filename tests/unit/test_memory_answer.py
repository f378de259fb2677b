"""What is accepted of a model's answer."""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.memory.answer import (
    MAX_FACTS,
    MAX_SUMMARY_CHARS,
    MAX_TIMES,
    Written,
    clean,
    parse,
)
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.topics import MAX_FACT_CHARS, MAX_NAME_CHARS
from tests.support.memory_rows import answer


class TestParse:
    @pytest.mark.parametrize(
        "text",
        [
            answer(),
            f"```json\n{answer()}\n```",
            f"Here you are: {answer()} I hope this helps.",
            '{"summary": "They met."',
            '{"facts": [], "summary": "They met.", "facts": [{"tier": "conv',
            '{"summary": "They met.", "facts": [{"tier": "profile", "te',
            '{"summary":\n"They met.",}',
            '{"notes": {"summary": "They met."}}',
        ],
    )
    def test_finds_the_summary(self, text: str) -> None:
        written = parse(text, reach="profile")
        assert written is not None
        assert (written.summary, list(written.facts)) == ("They met.", [])

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "I cannot help with that.",
            "null",
            "[]",
            '"summary"',
            "{}",
            '{"summary": null}',
            '{"summary": ["They met."]}',
            '{"summary": " \\u0000\\u200b "}',
            '{"summary": "They met',
            '{"summary": "..."}',
            '{"summary": "She said "aye" and left',
            "{summary:" * 12_000,
            "{a:" * 100_000,
            "{true: null, " * 9_000,
            "{" * 100_000,
            '{"a "' * 12_000,
            '{"' + ' "' * 30_000,
            '{"a":' * 100_000,
            "[" * 100_000,
        ],
    )
    def test_nothing_where_there_is_none(self, text: str) -> None:
        assert parse(text, reach="profile") is None

    @pytest.mark.parametrize(
        ("tier", "reach", "kept"),
        [
            ("profile", "profile", "profile"),
            ("profile", "conversation", "conversation"),
            ("profile", "character", "character"),
            ("conversation", "profile", "conversation"),
            ("everywhere", "profile", "conversation"),
            (None, "profile", "conversation"),
            (["profile"], "profile", "conversation"),
        ],
    )
    def test_tier_is_a_known_one_within_reach(self, tier: Any, reach: Any, kept: str) -> None:
        written = parse(answer(facts=[{"tier": tier, "text": "Likes tea."}]), reach=reach)
        assert written is not None
        assert [fact.tier for fact in written.facts] == [kept]

    def test_facts_may_come_as_texts_and_what_is_none_is_left_out(self) -> None:
        facts = ["One.", 7, None, {"text": 7}, {"fact": "x"}, [], {"text": "Two."}, "", "one."]
        written = parse(answer(facts=facts), reach="conversation")
        assert written is not None
        assert list(written.facts) == [Fact("conversation", "One."), Fact("conversation", "Two.")]

    def test_complete_facts_of_a_truncated_answer_count(self) -> None:
        facts = [{"tier": "profile", "text": 'Says "aye".'}, {"tier": "profile", "text": "Gone"}]
        written = parse(answer(facts=facts)[:-8], reach="profile")
        assert written is not None
        assert list(written.facts) == [Fact("profile", 'Says "aye".')]

    @pytest.mark.parametrize(
        ("text", "summary"),
        [
            ('"She said "come in" and left."', 'She said "come in" and left.'),
            ('""Come in," she said."', '"Come in," she said.'),
            ('"She said "no", "never" and left."', 'She said "no", "never" and left.'),
            ('"One thing, "listen": the sea."', 'One thing, "listen": the sea.'),
            ('"She said "aye"."', 'She said "aye".'),
            ('"She said "aye""', 'She said "aye"'),
            (r'"Ada\'s key, C:\\sea and \"aye\"."', r"""Ada's key, C:\sea and "aye"."""),
        ],
    )
    def test_quotation_marks_that_are_not_escaped_end_no_text(
        self, text: str, summary: str
    ) -> None:
        fact = f'{{"tier": "profile", "text": {text}, "topic": "words"}}'
        written = parse(f'{{"summary": {text}, "facts": [{fact}]}}', reach="profile")
        assert written == Written(summary, [Fact("profile", summary, topic="words")])

    TEA = '{"text": "Ada likes tea.", "importance": 4}'

    @pytest.mark.parametrize(
        "answer",
        [
            '{"summary": "They met.", "facts": [{"text": "Ada likes tea.", "importance": 4,}]}',
            '{"summary": "They met.", "facts": [' + TEA + ",],}",
            '{"summary": "They met.",, "facts": [' + TEA + "]}",
            '{"summary": "They met." "facts": [' + TEA + "]}",
            '{"summary": "They met."\n"facts": [' + TEA + "]}",
            '{"summary": "They met."; "facts": [' + TEA + "]}",
            '{"summary": "They met.", "facts" [' + TEA + "]}",
            '{"summary": "They met.", "facts": [{"text": "Ada likes tea." "importance": 4}]}',
            '{"summary": "They met.", "facts": [{"text": "Ada likes tea.", "importance": +4}]}',
            '{"summary": "They met.", "facts": [' + TEA[:-1] + ', "topic": None, "pinned": True}]}',
            '{"summary": "They met.", // so\n"facts": [/* one */ ' + TEA + " // it\n]}",
            "{'summary': 'They met.', 'facts': [{'text': 'Ada likes tea.', 'importance': 4}]}",
            '{"summary": "They met.", "facts": ' + TEA + "}",
            '{"summary": "They met.", "facts": {"1": ' + TEA + "}}",
            '{"summary": "They met.", "facts": [' + TEA[:-1] + "]}",
            '{"summary": "They met.", "facts": [' + TEA + "}",
            '{"summary": "They met.", "facts": [' + TEA[1:] + "]}",
            '{"summary": "They met."}\n{"facts": [' + TEA + "]}",
            '{"summary": "They met."}, "facts": [' + TEA + "]}",
            '{"facts": [' + TEA + ']}\n{"summary": "They met."}',
            '{"notes": {"summary": "They met.", "facts": [' + TEA + ",]}}",
            '{"summary": They met., "facts": [{"text": Ada likes tea., "importance": 4}]}',
            '{summary: "They met.", facts: [{text: "Ada likes tea.", importance: 4}]}',
            '{\n  summary: "They met.",\n  facts: [\n    {importance: 4, text: "Ada likes tea."},'
            "\n  ],\n}",
            "{summary: 'They met.', facts: [{text: 'Ada likes tea.', importance: 4}]}",
            '{summary : "They met.", facts : [{action : "add", text : "Ada likes tea.",'
            " importance : 4}]}",
            "{summary: They met., facts: [{text: Ada likes tea., importance: 4}]}",
            '{"summary": "They met.", facts: [' + TEA + "]}",
            '{summary: "They met.", "facts": [{"text": "Ada likes tea.", importance: 4}]}',
            '{null: 1, true: "yes", summary: "They met.", facts: [' + TEA + "], false: null}",
            '{summary: "They met.", facts: [{text: "Ada likes tea.", importance: 4, topic: null}]}',
            "```js\n{summary: `They met.`}\n```"
            ' {summary: "They met.", facts: [{text: "Ada likes tea.", importance: 4}]}',
            '{"summary": "...", "facts": []} '
            '{summary: "They met.", facts: [{text: "Ada likes tea.", importance: 4}]}',
        ],
    )
    def test_slips_of_a_model_lose_nothing(self, answer: str) -> None:
        written = parse(answer, reach="profile")
        assert written == Written(
            "They met.", [Fact("conversation", "Ada likes tea.", importance=4)]
        )

    @pytest.mark.parametrize(
        "noted",
        [
            '["Ada likes tea.", "Ada has a dog",]',
            '["Ada likes tea.", "Ada has a dog", "Ada si',
            '[{"text": "Ada likes tea.", {"text": "Ada has a dog"}]',
            '[{"text": "Ada likes tea."} {"text": "Ada has a dog"}]',
            "['Ada likes tea.', \"Ada has a dog\"]",
        ],
    )
    def test_each_of_several_facts_is_read(self, noted: str) -> None:
        written = parse(f'{{"summary": "They met.", "facts": {noted}}}', reach="profile")
        assert written is not None
        assert [fact.text for fact in written.facts] == ["Ada likes tea.", "Ada has a dog"]

    def test_same_text_counts_once_for_each_message(self) -> None:
        said = [("Paris", 1), ("Oslo", 2), ("Paris", 3), ("Paris", 3)]
        noted = [{"text": f"Ada lives in {city}.", "message": number} for city, number in said]
        written = parse(json.dumps({"summary": "They met.", "facts": noted}), reach="profile")
        assert written is not None
        assert {fact.message for fact in written.facts} == {1, 2, 3}

    def test_facts_that_are_noted_twice_take_no_place_of_others(self) -> None:
        noted = [
            {"text": f"Ada has {number} boats.", "message": message}
            for number in range(20)
            for message in range(1, 6)
        ]
        written = parse(json.dumps({"summary": "They met.", "facts": noted}), reach="profile")
        assert written is not None
        assert len(written.facts) == MAX_FACTS * MAX_TIMES
        assert len({fact.text for fact in written.facts}) == MAX_FACTS

    @pytest.mark.parametrize("name", ["text", "content", "fact"])
    def test_fact_has_a_text_by_any_name(self, name: str) -> None:
        noted = {"action": "add", name: "Ada likes tea."}
        written = parse(json.dumps({"summary": "They met.", "facts": [noted]}), reach="profile")
        assert written == Written("They met.", [Fact("conversation", "Ada likes tea.")])

    @pytest.mark.parametrize("noted", [{"fact": "Fact #3"}, {"fact": "the first", "text": ""}])
    def test_fact_that_only_names_another_says_nothing(self, noted: dict[str, str]) -> None:
        written = parse(json.dumps({"summary": "They met.", "facts": [noted]}), reach="profile")
        assert written == Written("They met.", [])

    def test_importance_that_is_no_number_is_left_out(self) -> None:
        noted = '{"text": "Ada likes tea.", "importance": high, "topic": "tea"}'
        written = parse(f'{{"summary": "They met.", "facts": [{noted}]}}', reach="profile")
        assert written == Written(
            "They met.", [Fact("conversation", "Ada likes tea.", topic="tea")]
        )

    @pytest.mark.parametrize(
        "told",
        [
            'He said "no", meaning: never, and left.',
            "Two things: tea, text: a letter.",
            "Her list: true: yes, null: no.",
            "The facts: the sea.",
            "She said: come, and left: gone.",
        ],
    )
    def test_colon_in_a_text_makes_no_key(self, told: str) -> None:
        answer = f'{{summary: "{told}", facts: [{{text: "{told}", importance: 4}}]}}'
        written = parse(answer, reach="profile")
        assert written == Written(told, [Fact("conversation", told, importance=4)])

    def test_apostrophe_ends_no_text_in_single_quotes(self) -> None:
        written = parse("{'summary': 'Ada's boat left, Mara's stayed.'}", reach="profile")
        assert written == Written("Ada's boat left, Mara's stayed.", [])

    @pytest.mark.parametrize(
        "answer",
        [
            '{"summary": "They met.", "facts": [{"text": "Ada likes tea, "importance": 4}]}',
            '{"summary": "They met.", "facts": [' + TEA + ', {"text": "A, "topic": "tea"}]}',
            '{"summary": "They met.", "facts": [' + TEA + ', {"text"; "A", "topic": "tea"}]}',
            '{"summary": "They met.", "facts": [' + TEA + ']], {"text": "Ada has a dog."}]}',
            '{"summary": "They met.", "facts": [Ada likes tea.]}',
            '{"summary": "They met.", "facts": \\[' + TEA + "]}",
            '{"summary": "They met.", "notes": [' + TEA + "]}",
            '{"summary": "They met.", "facts": [[' + TEA + "]]}",
            '{"summary": "They met.", "facts;: [' + TEA + "]}",
            '{"summary": "They met.", "facts": "Ada likes tea."}',
            '{"summary": "They met.", "facts": many}',
            '{summary: "They met.", facts: [{text: "Ada likes tea, importance: 4}]}',
            '{summary: "They met.", facts: [{text: "A.", importance: 4}, {text; "B."}]}',
            '{summary: "They met, facts: [{text: "Ada likes tea."}]}',
            '{"summary": "They met.\\", \\"facts\\": [{\\"text\\": \\"Ada likes tea.\\"}]"}',
        ],
    )
    def test_facts_that_cannot_be_read_are_not_none(self, answer: str) -> None:
        """The messages would count as noted, and what they say would never be a fact."""
        assert parse(answer, reach="profile") is None

    @pytest.mark.parametrize("none", ["[]", "[ ],", "{}", "null", "None", '"none"', '""', "false"])
    def test_answer_may_have_no_facts(self, none: str) -> None:
        written = parse(f'{{"summary": "They met.", "facts": {none}}}', reach="profile")
        assert written == Written("They met.", [])

    def test_word_facts_in_a_summary_is_a_word(self) -> None:
        told = 'She told him the facts: the sea, the "harp".'
        assert parse(f'{{"summary": "{told}", "facts": []}}', reach="profile") == Written(told, [])

    def test_example_that_is_repeated_says_nothing(self) -> None:
        assert parse(answer("...", ["..."]), reach="profile") is None
        written = parse(answer(facts=["...", "One."]), reach="profile")
        assert written == Written("They met.", [Fact("conversation", "One.")])

    anything = st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )

    @given(
        st.text()
        | st.builds(answer, st.text(), st.lists(st.text() | anything))
        | st.builds(answer, st.text(min_size=1), st.lists(st.builds(dict, text=st.text())))
        | st.builds(answer, anything, anything)
    )
    def test_accepts_nothing_hostile(self, text: str) -> None:
        for cut in (len(text), len(text) // 2):
            written = parse(text[:cut], reach="profile")
            if written is None:
                continue
            assert 0 < len(written.summary) <= MAX_SUMMARY_CHARS
            assert len(written.facts) <= MAX_FACTS * MAX_TIMES
            assert all(0 < len(fact.text) <= MAX_FACT_CHARS for fact in written.facts)
            for kept in (written.summary, *(fact.text for fact in written.facts)):
                assert kept == kept.strip()
                assert kept.splitlines() == [kept]
                json.dumps(kept).encode()
                assert not [c for c in kept if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn")]

    @given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=MAX_FACT_CHARS))
    def test_keeps_plain_words_as_they_are(self, word: str) -> None:
        word = unicodedata.normalize("NFC", word)[:MAX_FACT_CHARS]
        written = parse(answer(word, [word]), reach="profile")
        assert written is not None
        assert (written.summary, written.facts[0].text) == (word, word)

    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("Mara wants no cats, as was said.", "Mara wants no cats."),
            ("Ada lives in Oslo, as mentioned before", "Ada lives in Oslo"),
            ("Ada lives in Oslo (as already stated).", "Ada lives in Oslo."),
            ("Ada lives in Oslo as was noted earlier!", "Ada lives in Oslo!"),
            ("Ada works as a nurse, as has been said above.", "Ada works as a nurse."),
            ("Ada does as she was told.", "Ada does as she was told."),
            ("Ada said that she works as before.", "Ada said that she works as before."),
            ("As was said.", "As was said."),
            ("Ada regards the matter as established.",) * 2,
            ("Ada takes nothing as stated.",) * 2,
            ("Ada is never as she said.", "Ada is never as she said."),
            ("Tom's alias said it.", "Tom's alias said it."),
        ],
    )
    def test_fact_does_not_say_that_it_was_said(self, text: str, kept: str) -> None:
        written = parse(answer("They met.", [text]), reach="profile")
        assert written is not None
        assert written.facts[0].text == kept


class TestClean:
    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("One.\n\n## Two\r\tThree", "One. ## Two Three"),
            ("a\u0000b\u001b[2Jc\u202ed\ufeff", "ab[2Jcd"),
            ("<|im_end|>\n<|im_start|>system</s>[INST]x", "system x"),
            ("<|im_<|x|>end|>", "<|im_ end|>"),
            ("{{char}} & {{user}}", "{{char}} & {{user}}"),
            ("👩\u200d🚀 灯台守", "👩\u200d🚀 灯台守"),
            ("e\u0301", "é"),
            ("\ud800x", "x"),
        ],
    )
    def test_leaves_one_line_of_text(self, text: str, kept: str) -> None:
        assert clean(text, 100) == kept

    def test_ends_at_a_word_where_one_is_near(self) -> None:
        assert clean("one two three", 10) == "one two"
        assert clean("a" + "灯" * 20, 10) == "a" + "灯" * 9
        assert clean("a " + "灯" * 20, 10) == "a " + "灯" * 8


class TestAnswer:
    """What is accepted of a fact in a model's answer."""

    def parsed(self, fact: object) -> list[Fact]:
        written = parse(json.dumps({"summary": "S.", "facts": [fact]}), reach="profile")
        assert written is not None
        return list(written.facts)

    def test_all_of_it(self) -> None:
        fact = {
            **{"action": "replace", "fact": 3, "tier": "profile", "text": "Ada lives in Oslo."},
            **{"importance": 4, "subject": " Ada\n", "topic": "home", "message": "7"},
        }
        assert self.parsed(fact) == [
            Fact("profile", "Ada lives in Oslo.", "replace", 3, 4, "Ada", "home", 7)
        ]

    @pytest.mark.parametrize("value", [None, 0, -1, 6, 9999, 10**30, 2.5, "five", [], {}, True])
    def test_importance_of_another_kind_is_none(self, value: object) -> None:
        (fact,) = self.parsed({"text": "Ada likes tea.", "importance": value})
        assert fact.importance == 3

    @pytest.mark.parametrize(
        ("text", "rated", "importance"),
        [
            ("Ada's sister is called Tilda.", 1, 5),
            ("Mara promised to wait.", 4, 5),
            ("Ada likes tea.", 1, 1),
            ("Ada likes tea.", 5, 4),
            ("아다는 땅콩을 먹으면 안 된다.", 5, 5),
            ("Ada fıstık yiyemez.", 5, 5),
        ],
    )
    def test_names_family_promises_and_limits_are_rated_no_lower(
        self, text: str, rated: int, importance: int
    ) -> None:
        (fact,) = self.parsed({"text": text, "importance": rated})
        assert fact.importance == importance

    EXAMPLE: ClassVar = '{"summary": "...", "facts": [{"action": "add", "text": "..."}]}'

    @pytest.mark.parametrize(
        "answer",
        [
            'Here: {"summary": "Ada came.", "facts": [{"text": "A dog."}]}',
            '```json\n{"facts": [{"text": "A dog."}], "summary": "Ada came."}\n``` {done}',
            # It is cut off.
            '{"summary": "Ada came.", "facts": [{"text": "A dog."}, {"text": "A c',
        ],
    )
    def test_answer_counts_and_not_the_example_before_it(self, answer: str) -> None:
        written = parse(f"Format: {self.EXAMPLE}\n{answer}", reach="profile")
        assert written is not None
        assert (written.summary, [fact.text for fact in written.facts]) == ("Ada came.", ["A dog."])

    @pytest.mark.parametrize("value", [None, 0, -1, 10**30, 2.5, "two", "٣", [], {}, True, "9" * 9])
    def test_numbers_of_another_kind_are_none(self, value: object) -> None:
        entry = {"text": "Ada likes tea.", "action": "replace", "fact": value, "message": value}
        (fact,) = self.parsed(entry)
        assert (fact.known, fact.message) == (None, None)
        assert self.parsed({"action": "withdraw", "fact": value}) == []

    @pytest.mark.parametrize("value", [3, 3.0, "3", " 3 ", "#3", "# 3", "3.0", "03", "fact 3"])
    def test_whole_numbers_in_any_form(self, value: object) -> None:
        entry = {"text": "Ada likes tea.", "action": "replace", "importance": value}
        (fact,) = self.parsed(entry | {"fact": value, "message": value})
        assert (fact.known, fact.message, fact.importance) == (3, 3, 3)
        (fact,) = self.parsed({"action": "withdraw", "fact": value})
        assert (fact.action, fact.known) == ("withdraw", 3)

    @pytest.mark.parametrize(
        "value", [3.5, "3.5", "##3", "3 or 4", "-3", "3-", "1e1", math.nan, math.inf, 1e300]
    )
    def test_what_is_nearly_a_number_is_none(self, value: object) -> None:
        (fact,) = self.parsed({"text": "Ada likes tea.", "action": "replace", "fact": value})
        assert fact.known is None
        assert self.parsed({"action": "withdraw", "fact": value}) == []

    @pytest.mark.parametrize("tier", ["Profile", " PROFILE ", "profile"])
    def test_tier_in_any_case(self, tier: str) -> None:
        (fact,) = self.parsed({"text": "Ada likes tea.", "tier": tier})
        assert fact.tier == "profile"

    @pytest.mark.parametrize(
        "value",
        [None, 7, [], {}, "note", "ADD", ["withdraw"], "not withdrawn", "keep", "remover", "gone?"],
    )
    def test_unknown_actions_add(self, value: object) -> None:
        (fact,) = self.parsed({"text": "Ada likes tea.", "action": value})
        assert fact.action == "add"

    @pytest.mark.parametrize(
        ("value", "action"),
        [
            *(("WITHDRAW", "withdraw"), (" delete", "withdraw"), ("remove", "withdraw")),
            *(("Replace", "replace"), ("update", "replace")),
            *(("Withdrawn", "withdraw"), ("withdrawal", "withdraw"), ("removed", "withdraw")),
            *(("Retracted", "withdraw"), ("deleted", "withdraw"), ("forgotten", "withdraw")),
            *(("replaced", "replace"), ("Updated", "replace"), ("changed", "replace")),
        ],
    )
    def test_actions_in_other_words(self, value: str, action: str) -> None:
        (fact,) = self.parsed({"text": "Ada likes tea.", "action": value, "fact": 1})
        assert fact.action == action

    def test_deletion_that_names_no_fact_notes_none(self) -> None:
        assert self.parsed({"text": "Ada likes tea.", "action": "delete"}) == []

    @pytest.mark.parametrize("value", [None, 7, [], {}, "\u0000\u200b"])
    def test_names_of_another_kind_are_none(self, value: object) -> None:
        (fact,) = self.parsed({"text": "Ada likes tea.", "subject": value, "topic": value})
        assert (fact.subject, fact.topic) == ("", "")

    def test_long_names_are_cut(self) -> None:
        (fact,) = self.parsed({"text": "T.", "subject": "x" * 5000, "topic": "y" * 5000})
        assert (len(fact.subject), len(fact.topic)) == (MAX_NAME_CHARS, MAX_NAME_CHARS)

    @pytest.mark.parametrize("end", ["", "]", "]}}}", ', {"action": "add", "te'])
    def test_facts_of_broken_json_count_one_by_one(self, end: str) -> None:
        text = (
            '{"summary": "S.", "facts": [{"action": "withdraw", "fact": 2, "message": 1},'
            ' {"text": unquoted}, {"text": "Brace { in it", "importance": 5}' + end
        )
        written = parse(text, reach="profile")
        assert written is not None
        assert [(fact.action, fact.text) for fact in written.facts] == [
            *(("withdraw", ""), ("add", "unquoted"), ("add", "Brace { in it")),
        ]

    @pytest.mark.parametrize("filler", ["{", '{"a":', '{"\\"', '{"text": "'])
    def test_work_for_broken_answers_is_bounded(
        self, filler: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tries = []
        decoder = json.JSONDecoder()

        class Counting:
            def raw_decode(self, text: str, place: int) -> Any:
                tries.append(place)
                return decoder.raw_decode(text, place)

        monkeypatch.setattr("roleplay_chat.memory.answer._DECODER", Counting())
        parse('{"summary": "S.", "facts": [' + filler * 20_000, reach="profile")
        assert len(tries) <= 100

    def test_number_of_facts_is_bounded(self) -> None:
        facts = [{"text": f"Fact {number}."} for number in range(100)]
        written = parse(json.dumps({"summary": "S.", "facts": facts}), reach="profile")
        assert written is not None
        assert len(written.facts) == MAX_FACTS
