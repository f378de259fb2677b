"""Facts compared with those that are known: what is merged, what is replaced, and what stays."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.memory.answer import MAX_FACTS, parse
from roleplay_chat.memory.changes import resolve
from roleplay_chat.memory.comparison import Words, contradicts, likeness
from roleplay_chat.memory.importance import importance_of
from roleplay_chat.memory.material import Material
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.outdated import outdated
from roleplay_chat.memory.request import most_relevant
from roleplay_chat.memory.result import used_ids
from roleplay_chat.memory.target_fact import may_change
from roleplay_chat.memory.topics import MAX_NAME_CHARS, slot_of
from roleplay_chat.memory.weighing import weighed
from roleplay_chat.rows import FactRow

MESSAGES = [
    (10, "I have moved at last. Oslo is my home now."),
    (12, "And the dog?"),
    (14, "I gave the dog away, and I am not afraid of gulls any more."),
]


def known(*contents: str, **columns: Any) -> list[FactRow]:
    """Facts that a model wrote, with ids 1, 2, ..."""
    defaults = {"written_by": "model"} | columns
    return [
        FactRow(id=UUID(int=number), content=content, **defaults)
        for number, content in enumerate(contents, 1)
    ]


def changes(
    noted: list[Fact], rows: list[FactRow], messages: list[tuple[int, str]] = MESSAGES
) -> list[dict[str, Any]]:
    material = Material(known=rows, messages=messages, person="Ada", character="Mara")
    return resolve(noted, material)


def ids(*numbers: int) -> list[str]:
    return [str(UUID(int=number)) for number in numbers]


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


class TestLikeness:
    @pytest.mark.parametrize(
        ("new", "old", "how"),
        [
            ("Ada has two cats.", "ADA has two  cats", "same"),
            ("Ada has a boat", "Ada has the boat.", "same"),
            ("Yesterday Ada saw gulls", "Yesterday gulls Ada saw", "same"),
            ("Ada often walks alone", "Ada walks alone often", "same"),
            ("Ada likes tea with milk", "Ada likes tea.", "more"),
            ("Ada likes tea", "Ada likes tea with milk.", "less"),
            ("Ada likes tea and coffee", "Ada likes tea", "more"),
            ("Ada likes tea", "Ada likes coffee", None),
            # More of the value of which there is one.
            ("Ada lives in Oslo, Norway", "Ada lives in Oslo", "more"),
            ("Ada's name is Mara", "Ada's name is Mara Voss", "less"),
            ("Ada is married to Jon", "Ada is married to Jon Smith", "less"),
            ("Ada's name is Mara Voss", "Ada's name is Mara Lind", None),
            ("Ada likes Paris Hilton", "Ada likes Paris", None),
            # Names in another order, other numbers, and the contrary.
            ("Tom owes Ada money", "Ada owes Tom money", None),
            ("Mara says Tom owes Ada money", "Mara says Ada owes Tom money", None),
            ("Ada has three cats", "Ada has two cats", None),
            ("Ada is 31 years old", "Ada is 13 years old", None),
            ("Ada has no boat", "Ada has a boat", None),
            ("Ada doesn't like tea", "Ada likes tea", None),
            # What must not happen at night may still happen at noon.
            ("Ada does not want to be touched in public", "Ada does not want to be touched", None),
            ("Ada does not want to be touched", "Ada does not want to be touched at night", None),
            ("Ada must never eat nuts", "Ada must never eat nuts at sea", None),
            ("Ada cannot swim in the sea", "Ada cannot swim", None),
            # A clause that limits the fact.
            ("Ada wants to move to Rome", "Ada wants to move to Rome or Paris", None),
            ("Ada will marry Tom", "Ada will marry Tom if her father agrees", None),
            ("Ada may stay", "Ada may stay until spring", None),
            ("Ada trusts Tom", "Ada trusts Tom as long as he stays sober", None),
            ("Ada has a sister-in-law", "Ada has a sister", None),
            ("Mara is the editor-in-chief", "Mara is the editor", None),
            ("Ada knows Tom and Jon are lying", "Ada knows Tom", None),
            ("Ada knows Tom and Jon", "Ada knows Tom", "more"),
            # The order tells what is done to what.
            ("Ada prefers tea to coffee", "Ada prefers coffee to tea", None),
            ("Ada loves cats and hates dogs", "Ada loves dogs and hates cats", None),
            ("Ada likes dogs more than cats", "Ada likes cats more than dogs", None),
            ("Mara said the dog bit the cat", "Mara said the cat bit the dog", None),
            (
                "Ada keeps the blue key in the red box",
                "Ada keeps the red key in the blue box",
                None,
            ),
            ("Ada has red wine and beer", "Ada has red beer and wine", None),
            ("Ада не любит чай, но любит кофе", "Ада не любит кофе, но любит чай", None),
            ("Ada only likes tea", "Only Ada likes tea", None),
            ("Ada has a dog and a cat", "Ada has a cat and a dog", "same"),
            ("Ada is allergic to nuts and milk", "Ada is allergic to milk and nuts", "same"),
            ("Ada always helps Tom today", "Today Ada helps Tom always", "same"),
            # What is added makes it something else.
            ("Ada has a dog allergy", "Ada has a dog", None),
            ("Ada likes Tom's sister", "Ada likes Tom", None),
            ("Ada likes tea for two", "Ada likes tea", None),
            ("灯台守は犬を飼っている", "灯台守は猫を飼っている", None),
            ("灯台守は犬を飼っている。", "灯台守は犬を飼っている", "same"),
            # Two negations are not none, and each has its place.
            ("Ada eats no meat and no fish", "Ada eats meat and fish", None),
            ("Ada eats no meat but fish", "Ada eats meat but no fish", None),
            ("Ada eats no fish and no meat", "Ada eats no meat and no fish", "same"),
            ("Ada does not like tea", "Ada doesn't like the tea", "same"),
            # Numbers are in order, too.
            ("Ada's birthday is 5/3", "Ada's birthday is 3/5", None),
            ("Ada works from nine to five", "Ada works from five to nine", None),
            # Scripts without capitals.
            ("ضرب محمد أحمد", "ضرب أحمد محمد", None),
            ("कल राम ने श्याम को मारा", "कल श्याम ने राम को मारा", None),
            ("어제 민수 지호 때렸다", "어제 지호 민수 때렸다", None),
            ("ada owes tom tea", "tom owes ada tea", None),
            # Vowel and tone signs, currencies and emoji tell words apart.
            ("उसका नाम मोना है", "उसका नाम मीना है", None),
            ("เขากลัวเสื้อ", "เขากลัวเสือ", None),
            ("அவள் பெயர் மீனா", "அவள் பெயர் மேனா", None),
            ("Ada owes Tom €50", "Ada owes Tom $50", None),
            ("Ada writes code in C++", "Ada writes code in C#", None),
            ("Ada writes code in C", "Ada writes code in C#", None),
            ("It is -5 degrees", "It is 5 degrees", None),
            ("It is -5 degrees", "It is \u22125 degrees.", "same"),
            ("Ada works 5-7 hours", "Ada works 5 7 hours", "same"),
            ("Ada pays 5%", "Ada pays 5", None),
            ("Ada is at Tom & Jerry", "Ada is at Tom Jerry", None),
            # The commonest other words for one thing.
            ("Ada resides in Paris", "Ada lives in Paris", "same"),
            ("Ada is living in Paris", "Ada has settled in Paris.", "same"),
            ("Ada has moved to Paris", "Ada lives at Paris", "same"),
            ("Ada's home is Paris", "Ada resides at Paris", "same"),
            ("Ada resides in Oslo with Tom", "Ada is living in Oslo", "more"),
            ("Ada works for Tom Reed", "Ada is working for Tom", "more"),
            ("Ada has a brother named Tom", "Ada has a brother called Tom", "same"),
            ("Tom is Ada's brother", "Ada has a brother called Tom", "same"),
            ("Ada's brother is named Tom", "Ada's brother is Tom", "same"),
            ("Ada's name is Tilda Voss", "Ada is called Tilda Voss", "same"),
            ("Ada is the user's name", "The user is called Ada", "same"),
            ("Ada's husband is Jon", "Ada is married to Jon", "same"),
            ("Ada has 2 cats", "Ada has two cats", "same"),
            ("Ada has 12 cats", "Ada has twelve cats", "same"),
            ("Ada is 31", "Ada is 31 years old", "same"),
            ("Ada works as a nurse", "Ada is a nurse", "same"),
            ("Ada's job is nurse", "Ada works as a nurse", "same"),
            ("Ada works as a nurse, as was said", "Ada is a nurse", "more"),
            ("Ada's sister is called Eva, as was said", "Ada has a sister called Eva", "more"),
            ("Ada's sister is called Eva and sails", "Eva is Ada's sister", "more"),
            ("Ada is 31 years old, as was said", "Ada is 31", "more"),
            ("Tom and Ada are siblings", "Ada and Tom are siblings", "same"),
            ("Pasta is Ada's favourite food", "Ada's favorite food is pasta", "same"),
            ("Ada fears spiders", "Ada is afraid of spiders", "same"),
            ("Ada has a nut allergy", "Ada is allergic to nuts", "same"),
            ("Ada lebt in Paris", "Ada wohnt in Paris", "same"),
            ("灯台守は犬を飼っています。", "灯台守は犬を飼っている", "same"),
            ("彼女は看護師です。", "彼女は看護師である。", "same"),
            # The same words for something else, of others, and what is denied.
            ("Ada has moved to the window", "Ada lives in the window", None),
            ("Ada has moved to Oslo as a child", "Ada lives in Oslo as a child", None),
            ("Ada has moved to Tom's house", "Ada lives in Tom's house", None),
            ("Ada has no brother called Tom", "Ada has a brother called Tom", None),
            ("Ada's sister is called Tilda", "Ada's brother is called Tilda", None),
            ("Ada's brother is called Tim", "Ada has a brother called Tom", None),
            ("Eva's brother is called Tom", "Ada has a brother called Tom", None),
            ("Ada has a friend called Tom", "Ada has a brother called Tom", None),
            ("Ada is called a liar", "Ada is a liar", None),
            ("Ada is called Addie at home", "Ada is Addie", None),
            ("Ada works as hard as Tom", "Ada is hard as Tom", None),
            ("Ada wants to work as a nurse", "Ada is a nurse", None),
            ("Ada does not reside in Paris", "Ada lives in Paris", None),
            ("Tom and Ada's mother are ill", "Ada and Tom's mother are ill", None),
            ("Tom and Ada love gulls", "Tom and Eva love gulls", None),
            ("Ada has 2 cats", "Ada has three cats", None),
            ("Mara is Ada's captain at sea", "Ada's captain is Mara", None),
            ("灯台守は犬を飼っていません", "灯台守は犬を飼っている", None),
            ("The sign is 🔴", "The sign is 🟢", None),
        ],
    )
    def test_same_more_less_or_something_else(self, new: str, old: str, how: str | None) -> None:
        assert likeness(Words(new), Words(old)) == how

    @pytest.mark.parametrize(
        ("new", "old", "is_denied"),
        [
            ("Ada has no dog", "Ada has a dog", True),
            ("Ada no longer has a dog", "Ada has a dog", True),
            ("Ada does not have a dog any more", "Ada has a dog", True),
            ("Ada doesn't love Tom anymore", "Ada loves Tom", True),
            ("Ada does not love Tom any longer", "Ada loves Tom", True),
            ("Ada doesn't want any more tea", "Ada wants tea", False),
            ("Ada doesn't go to school", "Ada goes to school", True),
            ("Ada doesn't watch birds", "Ada watches birds", True),
            ("Ada does not carry a knife", "Ada carries a knife", True),
            ("Ada has no headache", "Ada has headaches", True),
            ("Ada does not know Mary", "Ada knows Marie", False),
            # What is denied is the beginning of the other fact.
            ("Ada no longer lives in Paris", "Ada lives in Paris with her sister", True),
            ("Ada wants to be touched by Tom", "Ada does not want to be touched", False),
            ("Ada has no dog", "Ada has a dog and a cat", False),
            ("Ada does not live in Paris with Tom", "Ada lives in Paris", False),
            ("Ada doesn't like gulls", "Ada likes gulls", True),
            ("Ada isn't a nurse", "Ada is a nurse", True),
            ("Ada cannot swim", "Ada can swim", True),
            ("Ada can swim", "Ada can’t swim", True),
            ("Ada won't marry Tom", "Ada will marry Tom", True),
            ("Ada won't marry Tom", "Ada can marry Tom", False),
            ("Ada has no cat", "Ada has a dog", False),
            ("Ada never has no dog", "Ada has a dog", False),
            ("Ada eats no meat and no fish", "Ada eats meat and fish", True),
            ("Ада не любит чай", "Ада любит чай", True),
            ("Ada n’aime pas Tom", "Ada n’aime Tom", True),
            ("Ada nunca come carne", "Ada come carne", True),
            ("У Ады нет ни кошки", "У Ады нет кошки", False),
            ("Ada prefers no tea to coffee", "Ada prefers coffee to tea", False),
            ("Tom does not love Ada", "Ada loves Tom", False),
            ("Ada no longer resides in Paris", "Ada has moved to Paris", True),
            ("Ada has no brother named Tom", "Ada's brother is called Tom", True),
            ("Ada is not married to Jon", "Ada's husband is Jon", True),
            ("Ada has no brother named Tim", "Ada's brother is called Tom", False),
        ],
    )
    def test_same_words_denied_are_a_contradiction(
        self, new: str, old: str, is_denied: bool
    ) -> None:
        assert contradicts(Words(new), Words(old)) is is_denied


class TestGist:
    """By it the database knows a fact that a person turned off or deleted, whose text it may not
    have any more."""

    @pytest.mark.parametrize(
        ("one", "other", "is_same"),
        [
            ("Ada lives in Paris.", "ada now lives in the PARIS", True),
            ("Ada often walks alone", "Ada walks alone often", True),
            ("Ada has a boat", "Ada has no boat", False),
            ("Ada has two boats", "Ada has three boats", False),
            ("Ada loves Tom", "Tom loves Ada", False),
            ("Mara says Ada loves Tom", "Mara says Tom loves Ada", False),
            ("灯台守は犬を飼っている。", "灯台守は犬を飼っている", True),
            ("灯台守は犬を飼っている", "灯台守は猫を飼っている", False),
            ("Ada prefers tea to coffee", "Ada prefers coffee to tea", False),
            ("Ada has a dog and a cat", "Ada has a cat and a dog", True),
            ("Ada eats no meat and no fish", "Ada eats meat and fish", False),
            ("Ada's birthday is 5/3", "Ada's birthday is 3/5", False),
            ("Ada resides in Paris", "Ada's home is Paris", True),
            ("Ada has a brother named Tom", "Ada's brother is called Tom", True),
            ("Ada has no brother named Tom", "Ada's brother is called Tom", False),
            ("ضرب محمد أحمد", "ضرب أحمد محمد", False),
            ("เขากลัวเสื้อ", "เขากลัวเสือ", False),
        ],
    )
    def test_is_that_of_texts_that_say_the_same(self, one: str, other: str, is_same: bool) -> None:
        assert (Words(one).gist == Words(other).gist) is is_same

    @given(st.text(), st.text())
    def test_texts_that_share_it_say_the_same(self, one: str, other: str) -> None:
        first, second = Words(one), Words(other)
        assert first.gist != second.gist or likeness(first, second) == "same"


class TestSlot:
    @pytest.mark.parametrize(
        ("text", "slot"),
        [
            ("Ada lives in Paris.", ("Ada", "home")),
            ("Ada now lives in Holland", ("Ada", "home")),
            ("Ada lives in Örebro", ("Ada", "home")),
            ("Ada has settled in Oslo", ("Ada", "home")),
            ("Ada settled in the armchair", None),
            ("Ada settled in May", None),
            ("Ada lives in fear of the sea", None),
            ("Ada lives on tea and toast", None),
            ("Ada lives near the harbour", None),
            ("Ada now lives in the old mill", ("Ada", "kind of home")),
            ("Ada works at the bakery", ("Ada", "kind of workplace")),
            ("Ada lives in the past", None),
            ("Ada lives in a yellow house", ("Ada", "kind of home")),
            ("Ada lives in Captain Tom's house", None),
            ("Ada lives in the North Tower", ("Ada", "kind of home")),
            ("Ada no longer lives in Paris", None),
            ("Ada has moved to Oslo", ("Ada", "home")),
            ("Ada has moved from Paris to Oslo", ("Ada", "home")),
            ("Ada moved to Oslo as a child", None),
            ("Ada moved to Oslo when she was five", None),
            ("Ada is moving to Oslo next year", None),
            ("Ada is moving to Oslo", ("Ada", "home")),
            ("Ada moved to the window", None),
            ("Ada moved to Mara and took her hand", None),
            ("Ada moved from bed to the window", None),
            ("Ada lives for music", None),
            ("Ada works as a baker", ("Ada", "job")),
            ("Ada works as hard as Tom", None),
            ("Ada works at Lund Castle", ("Ada", "workplace")),
            ("Ada works for Tom", ("Ada", "employer")),
            ("Ada works at the window", None),
            ("Ada works in silence", None),
            ("Ada works in Oslo", None),
            ("Ada is 31 years old", ("Ada", "age")),
            ("Ada turned thirty-one.", ("Ada", "age")),
            ("Ada turned 32 on the third of May.", ("Ada", "age")),
            ("Ada is 32 now", ("Ada", "age")),
            ("Ada turned 32 pages", None),
            ("Ada is sixty-one", ("Ada", "age")),
            ("Ada is one of the crew", None),
            ("Ada is one in a million", None),
            ("Ada is 3 years older than Tom", None),
            ("Ada is half asleep", None),
            ("Ada is second in command", None),
            ("Ada is first mate", None),
            ("Ada is twice divorced", None),
            ("Ada is six feet tall", None),
            ("Ada's favourite colour is green", ("Ada", "favourite colour")),
            ("Ada's favorite sea bird is the tern", ("Ada", "favourite sea bird")),
            ("Ada's favorite color is green", ("Ada", "favourite colour")),
            ("Ada's mother is called Tilda", ("Ada's mother", "name")),
            ("Ada's sister is called Tilda", None),
            ("One of Ada's cats is called Rex", None),
            ("Ada's sister-in-law is called Tilda", None),
            ("Ada's stepsister is called Tilda", None),
            ("Ada's half-brother is called Tom", None),
            ("A girl at school is called Eva", None),
            ("The girl at school is called Eva", None),
            ("Someone is called Eva", None),
            ("Ada is called Addie at home", None),
            ("Ada's ex is Jon", None),
            ("Ada's rival is Jon", None),
            ("Ada's stepson is Jon", None),
            ("Ada's hamster is Rex", None),
            ("The boat's name is Petrel", ("boat", "name")),
            ("Ada is called away by the bell", None),
            ("Ada is called Captain by the crew", None),
            ("Ada is married to Jon", ("Ada", "spouse")),
            ("Ada's wife is Eva", ("Ada", "spouse")),
            ("Ada's wife is ill", None),
            ("Ada's wife is Norwegian", None),
            ("Ada's wife is Catholic", None),
            ("Ada's birthday is 3 May", ("Ada", "birthday")),
            ("Ada's birthday is near", None),
            ("Ada's birthday is in 3 days", None),
            ("The user lives in Paris", ("Ada", "home")),
            ("Ada's doctor is Lindqvist", ("Ada", "doctor")),
            ("O’Brien lives in Oslo", ("O'Brien", "home")),
            ("Ada’s mother is called Tilda", ("Ada's mother", "name")),
            ("Ada's bicycle is a Koga", ("Ada", "kind of bicycle")),
            ("Ada's doctor is a sailor", None),
            ("Ada's doctor is Dutch", None),
            ("Ada's doctor is Tom's brother", None),
            ("Ada's grandmother is Astrid", None),
            ("Ada's doctor is ill", None),
            ("Ada's sister is Tilda", None),
            ("Ada's oldest friend is Jon", None),
            ("Long ago in another life Ada lives in Paris", None),
            # Words do not tell who.
            ("She lives in Paris", None),
            ("He now works as a baker", None),
            ("She is called Tilda", None),
            ("Her brother lives in Oslo", None),
            ("It is two now", None),
        ],
    )
    def test_plain_words_for_what_somebody_has_one_of(
        self, text: str, slot: tuple[str, str] | None
    ) -> None:
        assert slot_of(text, person="Ada") == slot

    @pytest.mark.parametrize(
        ("subject", "topic", "slot"),
        [
            ("Ada", "Residence", ("Ada", "home")),
            ("Ada", "plan for tomorrow", ("Ada", "plan for tomorrow")),
            ("user", "profession", ("Ada", "job")),
            ("Ada", "likes", None),
            ("Ada", "Family", None),
            ("Ada", "allergy", None),
            ("Ada", "food allergies", None),
            ("Ada", "sister", None),
            ("Ada", "siblings", None),
            ("Ada", "child", None),
            ("Ada", "husband", None),
            ("Ada", "boundary", None),
            ("Ada", "House rules", None),
            ("Ada", "languages", None),
            ("Ada", "nickname", None),
            ("Ada", "pet name", None),
            ("Ada", "sister's name", None),
            ("Ada", "dog’s name", None),
            ("Ada", "cat name", None),
            ("Ada", "children's names", None),
            ("Ada", "stage name", ("Ada", "stage name")),
            ("Ada", "injuries", None),
            ("Ada", "families", None),
            ("Ada", "memories", None),
            ("Ada", "family members", None),
            ("Ada", "illnesses", None),
            ("Ada", "enemy", None),
            ("Ada", "plans", None),
            ("Ada", "native language", ("Ada", "native language")),
            ("Ada", "safe word", ("Ada", "safe word")),
            ("Ada", "", None),
            ("", "home", None),
        ],
    )
    def test_what_a_model_named(self, subject: str, topic: str, slot: object) -> None:
        assert slot_of("Something.", subject, topic, "Ada") == slot

    @pytest.mark.parametrize(
        ("text", "topic"),
        [("Ada's dog is called Rex", "name"), ("Ada's parents live in Rome.", "home")],
    )
    def test_topic_of_a_relative_is_not_that_of_the_subject(self, text: str, topic: str) -> None:
        assert slot_of(text, "Ada", topic, "Ada") is None
        assert slot_of("My parents are there.", "Ada's parents", "home") == (
            "Ada's parents",
            "home",
        )

    def test_plain_words_count_more_than_what_a_model_named(self) -> None:
        assert slot_of("Ada lives in Oslo", "Oslo", "town", "Ada") == ("Ada", "home")

    @pytest.mark.parametrize("topic", ["home", "town", ""])
    def test_model_names_whom_a_pronoun_means(self, topic: str) -> None:
        assert slot_of("She lives in Oslo", "Ada", topic, "Ada") == ("Ada", "home")

    @pytest.mark.parametrize(
        ("text", "subject", "topic", "slot"),
        [
            ("They live there.", "user", "home", ("A" * 80, "home")),
            ("They live there.", "Ada", "x" * 90, ("Ada", "x" * 80)),
            (f"Ada's {'x' * 90} is Tom.", "", "", ("Ada", "x" * 80)),
            (f"Ada's favourite {'x' * 90} is red.", "", "", ("Ada", f"favourite {'x' * 70}")),
            # What is left of the name is nothing.
            ("They live there.", "the", "home", None),
        ],
    )
    def test_names_are_cut_to_what_the_table_takes(
        self, text: str, subject: str, topic: str, slot: object
    ) -> None:
        assert slot_of(text, subject, topic, "A" * 100) == slot


class TestResolve:
    def test_new_fact_names_its_source(self) -> None:
        noted = [
            Fact("profile", "Ada likes fog.", subject="Ada", topic="likes", message=2),
            Fact("conversation", "It rained."),
            Fact("conversation", "It snowed.", message=99),
        ]
        assert changes(noted, []) == [
            {
                **{"tier": "profile", "content": "Ada likes fog.", "importance": 3},
                **{"subject": "Ada", "from": 12, "to": 12},
            },
            {
                **{"tier": "conversation", "content": "It rained.", "importance": 3},
                **{"from": 10, "to": 14},
            },
            {
                **{"tier": "conversation", "content": "It snowed.", "importance": 3},
                **{"from": 10, "to": 14},
            },
        ]

    def test_repeated_fact_takes_the_newest_wording(self) -> None:
        (change,) = changes([Fact("conversation", "Ada has a boat")], known("ADA has the boat."))
        assert (change["same_as"], change["content"]) == (ids(1)[0], "Ada has a boat")

    def test_fact_that_says_less_changes_nothing(self) -> None:
        (change,) = changes(
            [Fact("conversation", "Ada likes tea")], known("Ada likes tea with milk.")
        )
        assert (change["same_as"], change["content"]) == (ids(1)[0], "Ada likes tea with milk.")

    def test_fact_that_says_more_takes_its_place(self) -> None:
        (change,) = changes(
            [Fact("conversation", "Ada likes tea with milk")],
            known("Ada likes tea."),
            [(1, "A drop of milk in it, please.")],
        )
        assert change["extends"] == ids(1)[0]
        assert "replaces" not in change

    @pytest.mark.parametrize("more", ["as was said", "with milk"])
    def test_what_nobody_said_is_not_added_to_a_fact(self, more: str) -> None:
        rows = known("Ada likes tea.")
        (change,) = changes([Fact("conversation", f"Ada likes tea, {more}.")], rows)
        assert (change["same_as"], change["content"]) == (ids(1)[0], "Ada likes tea.")

    @pytest.mark.parametrize("topic", ["", "home"])
    def test_same_home_in_other_words_is_one_fact(self, topic: str) -> None:
        ways = ("lives in", "resides in", "is living in", "lives at", "has settled in")
        for old in (f"Ada {way} Paris." for way in ways):
            noted = Fact("conversation", "Ada has moved to Paris.", subject="Ada", topic=topic)
            (change,) = changes([noted], known(old, subject="Ada", topic=topic or None))
            assert (change["same_as"], change["topic"]) == (ids(1)[0], "home")

    def test_fact_in_a_wider_tier_takes_its_place(self) -> None:
        (change,) = changes([Fact("profile", "Ada likes tea")], known("Ada likes tea."))
        assert (change["tier"], change["extends"]) == ("profile", ids(1)[0])

    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ("Ada lives in Oslo.", "Ada lives in Paris."),
            ("Ada has moved to Oslo.", "Ada lives in Paris."),
            ("Ada moved to Oslo in winter.", "Ada moved to Paris in spring."),
            ("Ada is 32 years old", "Ada is thirty-one years old"),
            ("Ada no longer has a dog", "Ada has a dog"),
            ("Ada's favourite tea is green tea", "Ada's favourite tea is black tea"),
        ],
    )
    def test_contradiction_is_replaced_without_being_asked(self, new: str, old: str) -> None:
        (change,) = changes([Fact("conversation", new)], known("It rained.", old))
        assert change["replaces"] == ids(2)

    def test_contradiction_of_somebody_whom_only_the_model_names(self) -> None:
        new = Fact("conversation", "She lives in Oslo.", subject="Ada", topic="home")
        (change,) = changes([new], known("Ada lives in Paris."))
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize("action", ["replace", "withdraw"])
    def test_name_that_no_word_of_the_messages_is_about_stays(self, action: Any) -> None:
        rows = known("She is called Ada.")
        text = "Mara keeps the lamp." if action == "replace" else ""
        for change in changes([Fact("conversation", text, action, known=1)], rows):
            assert "replaces" not in change

    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ("Tom lives in Oslo.", "Ada lives in Paris."),
            ("He works as a baker.", "He works as a smith."),
            ("Ada likes Oslo.", "Ada likes Paris."),
            ("Ada's sister is called Ruth.", "Ada's sister is called Tilda."),
            ("Tom's mother is a nurse.", "Tom's mother is Ingrid."),
            ("Ada's husband is Norwegian.", "Ada is married to Jon."),
            ("Ada's boat is a ketch.", "Ada's boat is Petrel."),
            ("Ada no longer lives in Rome.", "Ada no longer lives in Paris."),
            ("Ada's cat is named Miso.", "Ada's cat is named Rex."),
            ("Ada works as a baker", "Ada works at the bakery"),
            ("Ada saw two gulls", "Ada saw three gulls"),
        ],
    )
    def test_facts_that_may_both_be_true_stay(self, new: str, old: str) -> None:
        (change,) = changes([Fact("conversation", new)], known(old))
        assert not {"replaces", "extends", "same_as"} & set(change)

    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ("Ada is allergic to nuts.", "Ada is allergic to shellfish."),
            ("Ada must never eat nuts.", "Ada must not be woken at night."),
            ("Ada does not want to be woken.", "Ada doesn't want to be called duckling."),
            ("Ada is uncomfortable with gore.", "Ada is uncomfortable with snakes."),
        ],
    )
    def test_limits_stay_whatever_a_model_calls_their_topic(self, new: str, old: str) -> None:
        rows = known(old, subject="Ada", topic="health")
        (change,) = changes([Fact("profile", new, subject="Ada", topic="health")], rows)
        assert not {"replaces", "topic"} & set(change)

    def test_promise_of_the_same_topic_takes_the_place_of_one(self) -> None:
        rows = known("Ada promised to bring marzipan.", subject="Ada", topic="present")
        noted = Fact("profile", "Ada promised quinces.", subject="Ada", topic="present")
        (change,) = changes([noted], rows, [(1, "I promise to bring quinces.")])
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("new", "old", "is_replaced"),
        [
            ("Ada plays the theremin.", "Ada plays the bassoon.", True),
            ("Ada wants to walk to Rome next year", "Ada wants to walk to Nidaros next year", True),
            ("Ada's doctor is Okonkwo", "Ada's doctor is Lindqvist", True),
            ("Ada likes dogs", "Ada likes tea", False),
            ("Ada is tall", "Ada is ill", False),
            ("Tom plays the theremin", "Ada plays the bassoon", False),
            ("Ada plays cards with Tom on Sundays", "Ada plays the bassoon", False),
        ],
    )
    def test_fact_that_differs_in_one_value_takes_the_topic_of_the_known_one(
        self, new: str, old: str, is_replaced: bool
    ) -> None:
        (row,) = known(old, subject="Ada", topic="what it is")
        (change,) = changes([Fact("conversation", new)], [row])
        assert change.get("replaces") == (ids(1) if is_replaced else None)
        assert change.get("topic") == ("what it is" if is_replaced else None)

    @pytest.mark.parametrize(
        ("said", "is_replaced"),
        [
            ("I have given it up and play the harp instead.", True),
            ("Fine. I play the harp now. And you?", True),
            ("I play the harp.", False),
            ("It is late now. I play the harp.", False),
            ("I moved here and play the harp.", False),
            ("I gave up the flute and play the harp.", True),
            ("I moved here. Now I play the harp.", True),
        ],
    )
    @pytest.mark.parametrize("message", [None, 1])
    def test_fact_that_differs_in_one_value_replaces_where_somebody_says_it_changed(
        self, said: str, message: int | None, is_replaced: bool
    ) -> None:
        rows = known("Ada plays the flute.")
        noted = [Fact("conversation", "Ada plays the harp.", message=message)]
        (change,) = changes(noted, rows, [(1, said)])
        assert change.get("replaces") == (ids(1) if is_replaced else None)

    @pytest.mark.parametrize(
        ("new", "old", "said", "is_replaced"),
        [
            ("nuts", "shellfish", "Another thing I must never eat is nuts.", False),
            ("nuts", "shellfish", "From now on I must never eat nuts.", False),
            ("nuts", "shellfish", "I must not eat nuts any more.", False),
            ("nuts", "shellfish", "I may eat anything but nuts; those instead.", True),
        ],
    )
    def test_another_limit_leaves_the_first_one(
        self, new: str, old: str, said: str, is_replaced: bool
    ) -> None:
        rows = known(f"Ada must never eat {old}.")
        (change,) = changes([Fact("profile", f"Ada must never eat {new}.")], rows, [(1, said)])
        assert change.get("replaces") == (ids(1) if is_replaced else None)

    @pytest.mark.parametrize(
        ("new", "old", "said"),
        [
            ("Ada's sister is called Tilda.", "Ada's sister is called Ruth.", "Another: Tilda!"),
            ("Ada's son is called Max.", "Ada's son is called Leo.", "I have sons now: Leo, Max."),
            ("Ada's son is called Max.", "Ada's son is called Leo.", "I have a son now, Max."),
            ("Ada will feed the goat.", "Ada will feed the cat.", "Now I feed the goat, too."),
            ("Ada will feed the goat.", "Ada will feed the cat.", "I now feed goat and cat."),
            ("Ada fears geese at night.", "Ada fears gulls at night.", "I fear geese now."),
            ("Tom's mother is a nurse.", "Tom's mother is Ingrid.", "She is a nurse now."),
            ("Mara is Ada's captain.", "Mara is Ada's friend.", "You are my captain now."),
            ("Ada works as a cook.", "Ada works as a nurse.", "I also work as a cook."),
            ("Ada lives in Bergen.", "Ada lives in Oslo.", "In June I live in Bergen, too."),
            ("Tom's mother is ill.", "Tom's mother is Norwegian.", "She is ill now."),
            ("Ada visited Oslo.", "Ada visited Rome.", "I have visited Oslo now."),
            ("Ada broke the cup.", "Ada broke the jug.", "Now I broke the cup."),
            ("Ada gave Tom a ring.", "Ada gave Tom a watch.", "I gave Tom a ring now."),
            ("Ada takes aspirin.", "Ada takes insulin.", "I take aspirin now."),
            ("Ada carries a lamp.", "Ada carries a knife.", "I carry a lamp now."),
            ("Ada teaches chess.", "Ada teaches maths.", "I teach chess these days."),
        ],
    )
    def test_what_comes_in_addition_replaces_nothing(self, new: str, old: str, said: str) -> None:
        (change,) = changes([Fact("profile", new)], known(old), [(1, said)])
        assert "replaces" not in change

    @pytest.mark.parametrize("said", ["Also, I live in Oslo.", "I too live in Oslo, it is late."])
    def test_also_that_only_goes_on_is_no_addition(self, said: str) -> None:
        (change,) = changes(
            [Fact("profile", "Ada lives in Oslo.")], known("Ada lives in Paris."), [(1, said)]
        )
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ("Ada lives in Oslo near the harbour.", "Ada lives in Oslo with Tom."),
            ("Ada moved to Oslo.", "Ada lives in Oslo."),
            ("Ada lives in Rome in winter.", "Ada lives in Oslo in summer."),
        ],
    )
    def test_same_value_in_other_words_stays_until_there_is_another(
        self, new: str, old: str
    ) -> None:
        for rows in (known(old), known(old, subject="Ada", topic="home")):
            noted = Fact("conversation", new, subject="Ada", topic="home")
            (change,) = changes([noted], rows)
            assert not {"replaces", "extends", "same_as", "topic"} & set(change)
        made = changes([Fact("conversation", old), Fact("conversation", new)], [])
        assert ["topic" in change for change in made] == [True, False]
        later = Fact("conversation", new.split(" in ")[0] + " in Bergen.")
        if " in " in new:
            assert changes([later], known(old, new))[0]["replaces"] == ids(1, 2)
        material = Material(known(new), MESSAGES, "Ada", "Mara")
        assert outdated([old], material, [{"content": new, "to": 14}], is_new=False) == set()

    def test_name_that_only_some_use_stays_beside_the_full_one(self) -> None:
        rows = known("Ada's name is Ada Lovelace.", subject="Ada", topic="name")
        noted = Fact("profile", "Ada is called Addie at home.", subject="Ada", topic="name")
        assert not {"replaces", "topic"} & set(changes([noted], rows)[0])

    @pytest.mark.parametrize("text", ["Ada moved to Oslo as a child.", "Ada is moving soon."])
    def test_home_of_another_time_replaces_none(self, text: str) -> None:
        noted = Fact("conversation", text, subject="Ada", topic="home")
        assert "replaces" not in changes([noted], known("Ada lives in Paris."))[0]

    @pytest.mark.parametrize(
        ("text", "subject", "saved"),
        [
            ("She likes tea.", "Mara", "Mara likes tea."),
            ("Her brother lives in Oslo.", "James", "James's brother lives in Oslo."),
            ("their brother is Jon.", "Ada and Tom", "Ada and Tom's brother is Jon."),
            ("She likes tea.", "Preferences", "She likes tea."),
            ("She likes tea.", "user", "She likes tea."),
            ("She likes tea.", "The user", "She likes tea."),
            ("She likes tea.", "She", "She likes tea."),
            ("She is ill.", "cat", "She is ill."),
            ("She is ill.", "{{char}}", "She is ill."),
            ("She loves Ada.", "Ada", "She loves Ada."),
            ("Her brother is ill.", "Ada's brother", "Her brother is ill."),
            ("Hers is the boat.", "Ada", "Hers is the boat."),
            ("She's ill.", "Ada", "She's ill."),
            (f"She {'x' * 295}", "Ada Lovelace", f"She {'x' * 295}"),
        ],
    )
    def test_name_takes_the_place_of_a_pronoun(self, text: str, subject: str, saved: str) -> None:
        noted, said = Fact("conversation", text, subject=subject), [(1, "James and Tom came.")]
        assert changes([noted], [], said)[0]["content"] == saved
        (change,) = changes([noted], known(text, subject=subject), said)
        assert (change["content"], change["same_as"]) == (saved, ids(1)[0])

    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ("She likes tea.", "She likes tea."),
            ("She has no dog.", "She has a dog."),
            ("Her brother lives in Rome.", "Her brother lives in Oslo."),
        ],
    )
    @pytest.mark.parametrize("subjects", [("Ada", "Mara"), ("aunt", "uncle")])
    def test_pronouns_for_two_people_are_not_compared(
        self, new: str, old: str, subjects: tuple[str, str]
    ) -> None:
        noted = Fact("conversation", new, subject=subjects[0])
        (change,) = changes([noted], known(old, subject=subjects[1]))
        assert not {"replaces", "same_as"} & set(change)

    def test_kind_of_a_possession_does_not_take_the_topic_of_its_name(self) -> None:
        rows = known("Tom's mother is Ingrid.", subject="Tom", topic="mother")
        (change,) = changes([Fact("profile", "Tom's mother is kind.")], rows)
        assert not {"replaces", "topic"} & set(change)

    def test_facts_that_differ_in_one_value_both_stay_without_a_topic(self) -> None:
        noted = [Fact("conversation", "Ada met Tom in Rome.")]
        assert "replaces" not in changes(noted, known("Ada met Tom in Oslo."))[0]

    def test_topic_has_one_current_fact(self) -> None:
        rows = known("Ada wants to sail north.", subject="Ada", topic="course")
        noted = [Fact("conversation", "Ada will stay.", subject="ada", topic="Course")]
        assert changes(noted, rows)[0]["replaces"] == ids(1)

    def test_replacement_by_number(self) -> None:
        rows = known("It rained.", "Ada fears gulls.")
        noted = [Fact("conversation", "Ada is brave.", "replace", known=2, message=3)]
        (change,) = changes(noted, rows)
        assert (change["content"], change["replaces"]) == ("Ada is brave.", ids(2))

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            (
                "アレクサンダー",
                "アレクサンダーは猫が好きだ。",
                "アレクサンダーは大阪に住んでいる。",
            ),
            ("田中太郎", "田中太郎は猫が好き。", "田中太郎は大阪に住む。"),
            ("李小明", "李小明怕狗。", "李小明住在上海。"),
            ("Ada", "Ada likes cats.", "Ada lives in Oslo."),
        ],
    )
    def test_name_that_both_facts_have_makes_no_wrong_number_right(
        self, name: str, old: str, new: str
    ) -> None:
        material = Material(known(old), [(9, new)], person=name, character="Mara")
        noted = Fact("conversation", new, "replace", known=1, message=1)
        (change,) = resolve([noted], material)
        assert "replaces" not in change

    @pytest.mark.parametrize(
        ("new", "old", "said"),
        [
            ("Ada lives in Oslo.", "Ada lives in Oslo with Tom.", "Tom moved out."),
            ("Ada has a dog.", "Ada has a dog and a cat.", "The cat ran away."),
        ],
    )
    @pytest.mark.parametrize("is_withdrawn", [True, False])
    def test_what_is_left_of_a_longer_fact_takes_its_place(
        self, new: str, old: str, said: str, is_withdrawn: bool
    ) -> None:
        noted = [Fact("profile", new, "replace", known=1, message=1)]
        if is_withdrawn:
            noted = [Fact("profile", old, "withdraw", 1, message=1), Fact("profile", new)]
        made = changes(noted, known(old), [(1, f"{said} {new}")])
        assert made[0]["replaces"] == ids(1)
        assert (made[-1]["content"], made[-1].get("same_as")) == (new, None)

    @pytest.mark.parametrize("number", [None, 2])
    def test_fact_that_holds_again_replaces_what_took_its_place(self, number: int | None) -> None:
        noted = Fact("conversation", "Ada plays the harp.", "replace", number, message=1)
        rows = known("Ada plays the harp.", "Ada plays the flute.")
        (change,) = changes([noted], rows, [(1, "I play the harp again, not the flute.")])
        assert (change["same_as"], change.get("replaces")) == (
            ids(1)[0],
            ids(2) if number else None,
        )
        rows = known("Ada lives in Oslo.", "Ada lives in Paris.")
        rows[0] = rows[0].model_copy(update={"pinned": True})
        noted = Fact("conversation", "Ada moved back to Oslo.", topic="home", subject="Ada")
        (change,) = changes([replace(noted, text="Ada lives in Oslo.")], rows)
        assert (change["same_as"], change["replaces"]) == (ids(1)[0], ids(2))

    @pytest.mark.parametrize("number", [None, 0, 1, 3, 99])
    def test_replacement_by_a_wrong_number_only_adds(self, number: int | None) -> None:
        rows = known("Mara keeps bees.", "Ada fears gulls.")
        noted = [Fact("conversation", "Ada is brave.", "replace", known=number, message=3)]
        (change,) = changes(noted, rows)
        assert change["content"] == "Ada is brave."
        assert "replaces" not in change

    def test_withdrawal_by_number(self) -> None:
        noted = [Fact("conversation", "", "withdraw", known=1, message=3)]
        (change,) = changes(noted, known("Ada has a dog.", tier="profile"))
        assert change == {
            **{"tier": "profile", "content": "Ada has a dog.", "is_withdrawal": True},
            **{"replaces": ids(1), "from": 14, "to": 14},
        }

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("Ада живёт в Париже.", "Ада живёт в Осло.", "Я переехала."),
            ("エイダはパリに住んでいる。", "エイダはオスロに住んでいる。", "引っ越した。"),
            ("Ada wohnt in Paris.", "Ada wohnt jetzt in Oslo.", "Ich bin umgezogen."),
        ],
    )
    def test_replacement_by_number_in_other_languages(self, old: str, new: str, said: str) -> None:
        noted = [Fact("conversation", new, "replace", known=1, message=1)]
        assert changes(noted, known(old), [(1, said)])[0]["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("old", "said"),
        [
            ("エイダは犬を飼っている。", "犬を飼っているのはもう昔のことだ。"),
            ("У Ады есть собака.", "Моя собака умерла, больше её нет, а была у меня."),
        ],
    )
    def test_withdrawal_in_other_languages(self, old: str, said: str) -> None:
        noted = [Fact("conversation", "", "withdraw", known=1, message=1)]
        assert len(changes(noted, known(old), [(1, said)])) == 1
        assert changes(noted, known(old), [(1, "Да. はい。")]) == []

    @pytest.mark.parametrize(
        ("old", "said", "is_withdrawn"),
        [
            ("У Ады есть собака.", "Собаку мы отдали соседям.", True),
            ("У Тома есть собака.", "Собаку мы отдали соседям.", True),
            ("アダは犬を飼っている。", "犬はもういない。", True),
            ("Ada'nın bir köpeği var.", "Köpeğimi komşuya verdik.", True),
            ("لدى آدا كلب.", "أعطيت كلبي لجارتي.", True),
            ("एडा के पास कुत्ता है।", "कुत्ता अब पड़ोसी का है।", True),
            ("Ada hat zwei Katzen und ein Pferd.", "Die Katzen sind beim Nachbarn.", True),
            ("Ada plans to sail to Rome.", "I have given up the voyage to Rome.", True),
            # A wrong number.
            ("У Ады есть собака.", "Мы живём в Осло.", False),
            ("アダは犬を飼っている。", "猫はもういない。", False),
            ("Ada hat zwei Katzen und ein Pferd.", "Wir wohnen in Oslo.", False),
            ("Tom hat einen Hund.", "Mein Hund ist beim Nachbarn.", False),
            ("Ada plans to sail to Rome.", "I gave up the harp.", False),
            ("Ada fears gulls at night.", "The gulls are gone.", False),
        ],
    )
    def test_withdrawal_by_a_word_that_both_have(
        self, old: str, said: str, is_withdrawn: bool
    ) -> None:
        noted = [Fact("conversation", "", "withdraw", known=1, message=1)]
        assert bool(changes(noted, known(old), [(1, said)])) is is_withdrawn

    @pytest.mark.parametrize("number", [None, 1])
    def test_pronouns_are_replaced(self, number: int | None) -> None:
        noted = Fact("profile", "Ada uses they/them pronouns.", "replace", number)
        rows = known("Ada's pronouns are she/her.", subject="Ada")
        (change,) = changes([noted], rows, [(1, "Please use they/them for me.")])
        assert (change["replaces"], change["topic"]) == (ids(1), "pronouns")

    def test_replacement_whose_topic_has_another_name(self) -> None:
        rows = known("Ada's doctor is Lindqvist.", subject="Ada", topic="physician")
        noted = Fact("conversation", "Ada's doctor is Okonkwo.", "replace", 1, topic="medic")
        assert changes([replace(noted, subject="Ada")], rows)[0]["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("new", "old", "said"),
        [
            (
                Fact("profile", "Jon and Ada are divorced.", subject="Ada", topic="marital status"),
                "Ada is married to Jon.",
                "Jon and I are divorced.",
            ),
            (
                Fact("profile", "Ada Lovelace lives in Rome."),
                "Ada lives in Oslo.",
                "I live in Rome.",
            ),
            (
                Fact("profile", "Ada works as a nurse."),
                "Ada works for Lindqvist.",
                "I work as a nurse.",
            ),
            (
                Fact("profile", "Ada's cat is dead.", subject="cat", topic="state"),
                "Ada's cat is called Rex.",
                "My cat is dead.",
            ),
        ],
    )
    def test_replacement_whose_subject_or_topic_is_worded_differently(
        self, new: Fact, old: str, said: str
    ) -> None:
        noted = replace(new, action="replace", known=1, message=1)
        rows = known(old, subject="Ada", topic="what it is")
        assert changes([noted], rows, [(1, said)])[0]["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("new", "old", "said"),
        [
            (
                Fact("profile", "Ada's sister is called Tilda.", subject="Ada"),
                "Tom's sister is called Ruth.",
                "My sister is called Tilda.",
            ),
            (
                Fact("profile", "Ada's sister is called Tilda."),
                "Tom's sister is called Ruth.",
                "My sister is called Tilda.",
            ),
            (
                Fact("profile", "Ada lives in Oslo.", subject="user"),
                "Ada is 31 years old.",
                "I am 31 years old and live in Oslo.",
            ),
            (Fact("profile", "", "withdraw"), "Tom has a dog.", "My dog ran away."),
            (Fact("profile", "My dog ran away.", "withdraw"), "Tom has a dog.", "It ran away."),
            (Fact("profile", "", "withdraw"), "Will has a dog.", "My dog ran away."),
            (Fact("profile", "", "withdraw"), "Ada's brother has a dog.", "My dog ran away."),
            (Fact("profile", "", "withdraw"), "Her brother has a dog.", "My dog ran away."),
            (Fact("profile", "", "withdraw"), "Ada's mother is ill.", "I am ill no longer."),
            (Fact("profile", "Ada has a dog."), "Tom has a dog.", "I have a dog."),
            (Fact("profile", "Jon lives in Oslo."), "Tom lives in Oslo.", "I live in Oslo."),
            (Fact("profile", "Jon lives in Rome, Italy."), "Tom lives in Oslo.", "I live there."),
        ],
    )
    @pytest.mark.parametrize("is_named", [True, False])
    def test_wrong_number_of_a_fact_about_somebody_or_something_else(
        self, new: Fact, old: str, said: str, is_named: bool
    ) -> None:
        subject = old.split()[0].removesuffix("'s") if is_named else None
        action: Any = "withdraw" if new.action == "withdraw" else "replace"
        noted = replace(new, action=action, known=1, message=1)
        made = changes([noted], known(old, subject=subject), [(1, said)])
        assert not any("replaces" in change for change in made)

    def test_withdrawal_of_a_fact_about_another_by_name(self) -> None:
        noted = [Fact("profile", "", "withdraw", known=1, message=1)]
        (change,) = changes(noted, known("Tom has a dog."), [(1, "Tom's dog ran away.")])
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("old", "said"),
        [
            ("Will has a dog.", "Will's dog ran away."),
            ("James has a dog.", "James's dog ran away."),
            ("Ada's brother has a dog.", "My brother's dog ran away."),
            ("Ada's mother is ill.", "My mother is no longer ill."),
        ],
    )
    def test_withdrawal_of_a_fact_about_a_relative(self, old: str, said: str) -> None:
        noted = [Fact("profile", "", "withdraw", known=1, message=1)]
        assert changes(noted, known(old), [(1, said)])[0]["replaces"] == ids(1)

    @pytest.mark.parametrize("number", [0, 2, 3, 99])
    def test_withdrawal_by_a_wrong_number_is_ignored(self, number: int) -> None:
        noted = [Fact("conversation", "", "withdraw", known=number, message=3)]
        assert changes(noted, known("Ada has a dog.", "Mara keeps bees.")) == []

    @pytest.mark.parametrize("fixed", [{"pinned": True}, {"written_by": "person"}])
    def test_pinned_facts_and_those_of_a_person_stay(self, fixed: dict[str, Any]) -> None:
        rows = known("Ada lives in Paris.", "Ada has a dog.", **fixed)
        noted = [
            Fact("conversation", "Ada lives in Oslo.", "replace", known=1),
            Fact("conversation", "", "withdraw", known=2),
            Fact("conversation", "Ada has no dog."),
            Fact("conversation", "Ada has a dog with three legs."),
        ]
        made = changes(noted, rows)
        assert [change["content"] for change in made] == [
            *("Ada lives in Oslo.", "Ada has no dog.", "Ada has a dog with three legs.")
        ]
        assert not any({"replaces", "extends", "is_withdrawal"} & set(change) for change in made)

    def test_what_a_person_wrote_later_replaces_what_models_noted(self) -> None:
        noon = datetime(2026, 5, 3, 12, tzinfo=UTC)
        rows = known("Ada lives in Paris.", "Ada lives in Oslo.", "Ada has a dog.", said_at=noon)
        own = {"written_by": "person", "said_at": noon + timedelta(hours=1)}
        rows[1] = rows[1].model_copy(update={"said_at": noon + timedelta(hours=2)})
        rows += [
            FactRow(id=UUID(int=4), content="Ada lives in Rome.", **own),
            FactRow(id=UUID(int=5), content="Ada has no dog.", **own),
        ]
        made = changes([], rows)
        assert [(change["same_as"], change["replaces"]) for change in made] == [
            (ids(4)[0], ids(1)),
            (ids(5)[0], ids(3)),
        ]

    def test_change_of_what_a_person_wrote_says_that_it_is_one(self) -> None:
        rows = known("Ada lives in Rome.", written_by="person")
        (change,) = changes([Fact("conversation", "Ada lives in Oslo.")], rows)
        assert change["is_change"] is True
        (change,) = changes([Fact("conversation", "Ada likes Oslo.")], rows)
        assert "is_change" not in change

    def test_one_fact_is_replaced_once(self) -> None:
        noted = [
            Fact("conversation", "Ada lives in Oslo.", "replace", known=1),
            Fact("conversation", "", "withdraw", known=1),
            Fact("conversation", "Ada lives in Bergen.", "replace", known=1),
        ]
        made = changes(noted, known("Ada lives in Paris."))
        assert [change.get("replaces") for change in made] == [ids(1), None]

    def test_notes_of_one_answer_are_compared_with_each_other(self) -> None:
        said = [(1, "I live in Paris."), (2, "I like tea."), (3, "Oslo is where I live now.")]
        noted = [
            Fact("conversation", "Ada lives in Oslo.", message=3),
            Fact("profile", "Ada lives in Paris.", message=1),
            Fact("profile", "Ada likes tea.", message=2),
            Fact("conversation", "Ada likes the tea."),
        ]
        paris, tea, likes, oslo = changes(noted, known("Ada lives in Rome."), said)
        assert (paris["content"], paris["replaces"]) == ("Ada lives in Paris.", ids(1))
        assert (oslo["content"], oslo.get("replaces")) == ("Ada lives in Oslo.", None)
        assert oslo["replaces_noted"] == [Words("Ada lives in Paris.").gist]
        assert (tea["tier"], tea["content"]) == ("profile", "Ada likes tea.")
        assert (likes["tier"], likes["content"]) == ("profile", "Ada likes the tea.")
        assert not {"same_as", "extends"} & {*tea, *likes}

    def test_same_fact_once_per_tier_is_one_of_the_widest(self) -> None:
        tiers: tuple[Any, ...] = ("conversation", "character", "profile")
        noted = [Fact(tier, f"Ada likes tea{end}") for tier, end in zip(tiers, ".,!", strict=True)]
        first, second, third = changes(noted, [])
        assert "extends_noted" not in first
        assert (second["extends_noted"], third["extends_noted"]) == (
            Words("Ada likes tea").gist,
        ) * 2
        assert changes(noted[::-1], [])[-1]["tier"] == "profile"

    def test_number_beyond_the_known_facts_is_of_none_of_the_same_answer(self) -> None:
        noted = [Fact("profile", "Ada has a dog."), Fact("profile", "", "withdraw", known=2)]
        (change,) = changes(noted, known("It rained."), [(1, "I have a dog.")])
        assert change["content"] == "Ada has a dog."

    def test_what_the_answer_replaced_is_not_noted_once_more(self) -> None:
        noted = [
            Fact("conversation", "Ada lives in Oslo."),
            Fact("conversation", "Ada lives in Paris, as was said."),
        ]
        (change,) = changes(noted, known("Ada lives in Paris."))
        assert change["content"] == "Ada lives in Oslo."

    @pytest.mark.parametrize(
        ("text", "message", "span"),
        [
            ("Ada has moved to Oslo.", 1, (10, 10)),
            ("Ada gave her dog away.", None, (14, 14)),
            ("Ada gave her dog away.", 1, (14, 14)),
            ("Ada is content.", 2, (12, 12)),
            ("Ada is content.", None, (10, 14)),
            ("灯台守", 3, (14, 14)),
            # It shares a word with the message that the model named, and most with another.
            ("Ada is no longer afraid of gulls at home.", 1, (14, 14)),
        ],
    )
    def test_source_is_the_message_that_bears_it_out(
        self, text: str, message: int | None, span: tuple[int, int]
    ) -> None:
        (change,) = changes([Fact("conversation", text, message=message)], [])
        assert (change["from"], change["to"]) == span

    def test_sentence_of_the_summary_changes_a_fact_that_it_contradicts(self) -> None:
        rows = known("Ada lives in Paris.", "Ada plays the flute.", importance=4)
        rows[1] = rows[1].model_copy(update={"subject": "Ada", "topic": "instrument"})
        sentences = ["Ada lives in Oslo.", "Ada plays the harp.", "Ada fears gulls."]
        said = [*MESSAGES, (16, "And I play the harp.")]
        material = Material(known=rows, messages=said, person="Ada", character="Mara")
        made = resolve([], material, sentences)
        assert [(change["content"], change["replaces"]) for change in made] == [
            ("Ada lives in Oslo.", ids(1)),
            ("Ada plays the harp.", ids(2)),
        ]
        assert {change["importance"] for change in made} == {4}

    def test_sentence_of_the_summary_changes_nothing_that_it_repeats_or_that_is_fixed(self) -> None:
        rows = [*known("Ada lives in Paris.", "Mara keeps bees.")]
        rows += known("Mara lives in Oslo.", pinned=True)
        material = Material(known=rows, messages=MESSAGES, person="Ada", character="Mara")
        sentences = ["Ada lives in the Paris.", "Mara lives in Rome.", "Ada came."]
        sentences += ["Ada settled in the armchair.", "Ada moved to Mara and took her hand."]
        assert resolve([], material, sentences) == []
        # The notes themselves come first.
        noted = [Fact("conversation", "Ada lives in Oslo.")]
        (change,) = resolve(noted, material, ["Ada lives in Oslo now."])
        assert change["replaces"] == ids(1)

    words = st.sampled_from(
        [
            "Ada",
            "Tom",
            "lives",
            "in",
            "Oslo",
            "Paris",
            "no",
            "not",
            "two",
            "3",
            "with",
            "tea",
            "has",
        ]
    )
    sentences = st.lists(words, min_size=1, max_size=8).map(" ".join)

    @given(
        noted=st.lists(
            st.builds(
                Fact,
                st.sampled_from(["conversation", "profile"]),
                sentences | st.text(max_size=80),
                st.sampled_from(["add", "replace", "withdraw"]),
                known=st.none() | st.integers(-5, 20),
                subject=st.sampled_from(["", "Ada", "x"]),
                topic=st.sampled_from(["", "home", "y"]),
                message=st.none() | st.integers(-5, 20),
            ),
            max_size=12,
        ),
        rows=st.lists(st.tuples(sentences, st.booleans(), st.booleans()), max_size=10),
    )
    def test_changes_only_what_may_be_changed_and_that_once(
        self, noted: list[Fact], rows: list[tuple[str, bool, bool]]
    ) -> None:
        facts = [
            FactRow(
                id=UUID(int=number),
                content=content,
                pinned=pinned,
                written_by="model" if by_model else "person",
            )
            for number, (content, pinned, by_model) in enumerate(rows, 1)
        ]
        made = changes(noted, facts)
        gone = [one for change in made for one in change.get("replaces", [])]
        gone += [change["extends"] for change in made if "extends" in change]
        assert len(gone) == len(set(gone))
        assert set(gone) <= {str(fact.id) for fact in facts if not fact.is_fixed}
        assert all(10 <= change["from"] <= change["to"] <= 14 for change in made)


class TestLasting:
    """Facts that outlive everything, and notes that name their number."""

    WRONG = (
        ("Ada is allergic to nuts.", "Ada bought nuts for the squirrels."),
        ("Ada is allergic to nuts.", "Ada no longer buys nuts."),
        ("Ada is allergic to red nuts.", "Ada bought red nuts."),
        ("Ada does not want her scar touched.", "Ada's scar is from a knife."),
        ("Ada does not want her scar touched.", "Ada's scar was touched by Tom."),
        ("Ada's safe word is Marigold.", "Ada planted a marigold."),
        ("Mara promised to wait for Ada at the pier.", "The pier is icy."),
        ("Mara promised to wait for Ada at the pier.", "Mara waits at the pier."),
        ("Ada's sister is called Imke.", "Imke repairs violins."),
        ("Ada's sister is called Imke.", "Imke no longer repairs violins."),
        ("Ada's sister is called Imke.", "Imke's dog died."),
        ("Ada's sister is Imke Berg.", "Ada's sister Imke repairs violins."),
        ("Ada's older sister is called Imke.", "Ada's older sister repairs violins now."),
        ("Ada's older sister is called Imke.", "Ada's older sister has changed."),
        ("Ada's husband is Jon.", "Jon lied."),
        ("Ada's sister is called Imke.", "Ada's brother is called Tom."),
        ("Ada's sister is called Imke.", "Ada's sister has a dog called Rex."),
        ("Ada's sister is called Imke.", "Ada's sister is ill."),
        ("Ada has a sister called Imke.", "Ada's aunt is called Inga."),
        ("Imke is Ada's sister.", "Imke is Ada's friend."),
        ("Ada does not want her scar touched.", "You can touch my arm now."),
        ("Ada does not want to be kissed.", "You can kiss me if Tom agrees."),
        ("Ada does not want to be kissed.", "You can kiss my hand."),
        ("Ada does not want to be kissed.", "You may not kiss me."),
        ("Ada does not want to be kissed.", "I do not mind the rain."),
        ("У Ады есть брат Пётр.", "Моя собака умерла."),
        ("Ada hat eine Hundeallergie.", "Mein Hund ist gestern gestorben."),
        ("アダは犬アレルギーだ。", "猫が死んでしまった。"),
        ("Ada is pregnant.", "Ada is tired now."),
        ("Ada's name is Ada Berg.", "Ada climbed the berg."),
        ("Ada must not be called Adelheid.", "Ada's grandmother was Adelheid Berg."),
        ("Adas Schwester heißt Imke.", "Imke repariert Geigen."),
        ("艾达对坚果过敏。", "艾达买了坚果。"),
    )

    @pytest.mark.parametrize(("old", "new"), WRONG)
    @pytest.mark.parametrize("message", [None, 1])
    def test_stay_where_a_wrong_number_is_replaced(
        self, old: str, new: str, message: int | None
    ) -> None:
        noted = [Fact("profile", new, "replace", 1, subject="Ada", message=message)]
        rows = known(old, subject="Ada", importance=5)
        (change,) = changes(noted, rows, [(1, "Hm."), (2, new)])
        assert not {"replaces", "extends"} & set(change)

    @pytest.mark.parametrize(("old", "said"), WRONG)
    @pytest.mark.parametrize("text", ["", "as it was said"])
    @pytest.mark.parametrize("message", [None, 2])
    def test_stay_where_a_wrong_number_is_withdrawn(
        self, old: str, said: str, text: str, message: int | None
    ) -> None:
        noted = [Fact("profile", text and said, "withdraw", 1, message=message)]
        rows = known(old, subject="Ada", importance=5)
        assert changes(noted, rows, [(1, "Hm."), (2, said)]) == []

    def test_stay_where_a_message_tells_them_again_beside_something_that_ended(self) -> None:
        rows = known("Ada is allergic to nuts.")
        said = [(1, "No, I am allergic to nuts, so I stopped baking.")]
        noted = [
            Fact("profile", "Ada stopped baking.", "replace", 1, message=1),
            Fact("profile", "", "withdraw", 1, message=1),
        ]
        (change,) = changes(noted, rows, said)
        assert "replaces" not in change

    def test_another_promise_takes_the_place_of_one_only_where_it_is_said_to(self) -> None:
        rows = known("Ada promised to bring Mara marzipan.")
        noted = Fact("profile", "Ada promised to bring Mara quinces.", "replace", 1)
        (change,) = changes([noted], rows, [(1, "I promise to bring you quinces.")])
        assert "replaces" not in change
        (change,) = changes([noted], rows, [(1, "I promise to bring you quinces instead.")])
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("Ada lives in Oslo.", "Ada Lovelace lives in Rome.", "I live in Rome."),
            ("Ada lives in Oslo.", "Ada lives in the old mill.", "I sleep in the mill."),
            ("Ada is 31 years old.", "Ada turned 32.", "It is my birthday."),
            ("Ada's favourite colour is red.", "Ada's favourite colour is blue.", "Blue!"),
            ("Ada works as a baker.", "Ada works for Tom.", "Tom has hired me."),
            ("Ada's safe word is Marigold.", "Ada's safe word is now Thunder.", "Thunder."),
            ("Ada's safe word is Marigold.", "Ada changed her safe word to Thunder.", "Thunder."),
            ("Ada's safe word is Marigold.", "Ada's new safe word is Thunder.", "Thunder."),
            ("Ada's safe word is Marigold.", "The safe word is Thunder.", "It is Thunder now."),
            ("Ada is allergic to nuts.", "Ada has outgrown her nut allergy.", "I had tests."),
            ("Ada is engaged to Jon.", "Ada is no longer engaged to Jon.", "It ended."),
            ("Ada's cat is called Rex.", "Ada's cat is called Miso.", "Miso is her name."),
            ("Ada's cat is called Rex.", "Ada's cat is dead.", "My cat is dead."),
            ("Ada is married to Jon.", "Ada and Jon are divorced.", "It is over with Jon."),
            ("Ada is allergic to nuts.", "Ada may eat them.", "I am no longer allergic to nuts."),
            ("Ada is allergic to nuts.", "Ada is cured.", "I am not allergic to nuts any more."),
            ("Adas Katze heißt Rex.", "Adas Katze heißt Miso.", "Sie heißt Miso."),
            ("Ada wohnt in Paris.", "Ada wohnt jetzt in Oslo.", "Ich bin umgezogen."),
            ("艾达的安全词是金盏花。", "艾达的安全词是雷声。", "雷声。"),
            ("艾达住在北京。", "艾达现在住在上海。", "我搬家了。"),
            ("Ada does not want to be kissed.", "Ada is fine with being kissed.", "Kiss me!"),
            ("Ada's sister is called Imke.", "Ada has a sister named Inga.", "Inga, not Imke."),
        ],
    )
    def test_go_where_their_value_changed_or_somebody_says_that_they_are_over(
        self, old: str, new: str, said: str
    ) -> None:
        noted = [Fact("profile", new, "replace", 1, message=1)]
        rows = known(old, importance=5)
        assert changes(noted, rows, [(1, said)])[0]["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("old", "text", "said"),
        [
            ("Ada is allergic to nuts.", "", "I am no longer allergic to nuts."),
            ("Ada is allergic to nuts.", "Ada is not allergic to nuts.", "Bring me nuts!"),
            ("Ada is allergic to nuts.", "Ada is allergic to nuts.", "Bring me nuts!"),
            ("Ada's mother is ill.", "", "My mother is no longer ill, you know."),
            ("Mara promised to wait.", "Mara kept her promise to wait.", "There you are."),
            ("Ada does not want to be kissed.", "", "You can kiss me now, I no longer mind."),
            ("Ada hates being tickled.", "", "You may tickle me again."),
            ("Ada must not be touched.", "", "Touch me. That rule is gone."),
            ("Ada hat einen Hund.", "", "Mein Hund ist letzte Woche gestorben."),
            ("У Ады есть собака.", "", "Моя собака умерла."),
            ("アダは犬を飼っている。", "", "犬が死んでしまった。"),
            ("Ada'nın bir köpeği var.", "", "Köpeğim öldü."),
            ("لدى آدا كلب.", "", "مات كلبي."),
            ("एडा के पास कुत्ता है।", "", "मेरा कुत्ता मर गया।"),
            ("Adas Katze ist krank.", "", "Adas Katze ist nicht mehr krank."),
            ("Ada's cat is called Rex.", "", "My cat Rex ran away today."),
            ("艾达对坚果过敏。", "", "我对坚果不再过敏了。"),
        ],
    )
    def test_go_where_they_are_withdrawn_in_words(self, old: str, text: str, said: str) -> None:
        noted = [Fact("profile", text, "withdraw", 1, message=1)]
        (change,) = changes(noted, known(old, importance=5), [(1, said)])
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("said", "is_replaced"),
        [("The sea is calm.", False), ("Make it Thunder.", True), ("Ich nehme Thunder.", True)],
    )
    @pytest.mark.parametrize("topic", ["safe word", ""])
    def test_go_for_a_note_without_their_number_only_where_somebody_said_the_new_value(
        self, said: str, is_replaced: bool, topic: str
    ) -> None:
        rows = known("Ada's safe word is Marigold.", subject="Ada", topic="safe word")
        noted = Fact("profile", "Ada's safe word is Thunder.", subject="Ada", topic=topic)
        (change,) = changes([noted], rows, [(1, said)])
        assert change.get("replaces") == (ids(1) if is_replaced else None)
        # By the topic, the database would replace it, too.
        assert ("topic" in change) is is_replaced

    def test_long_fact_stays_where_a_short_one_shares_a_word(self) -> None:
        noted = [Fact("profile", "The boat leaks.", "replace", 1)]
        (change,) = changes(noted, known("Ada keeps a red boat at the old pier."))
        assert "replaces" not in change


@pytest.mark.parametrize(
    ("new", "old", "may"),
    [
        ("Ada lives in Oslo.", "Ada lives in Rome.", True),
        ("Ada Lovelace lives in Oslo.", "Ada lives in Rome.", True),
        ("Ada bought nuts.", "Ada is allergic to nuts.", False),
        ("Ada is allergic to milk.", "Ada is allergic to nuts.", False),
        ("Ada is not allergic to nuts.", "Ada is allergic to nuts.", True),
        ("Ada's cat is called Miso.", "Ada's cat is called Rex.", True),
        ("The user lives in Oslo.", "Ada lives in Oslo.", True),
        ("Jon lives in Oslo.", "Tom lives in Oslo.", False),
        ("Ada has a dog.", "Tom has a dog.", False),
        ("She has no dog.", "She has a dog.", True),
        ("Ada hates being tied.", "Ada hates being woken.", False),
        ("Ada has a sister called Eva.", "Ada's brother is called Tom.", False),
    ],
)
def test_note_that_is_not_saved_is_changed_only_by_one_about_the_same(
    new: str, old: str, may: bool
) -> None:
    assert may_change(Fact("profile", new), Fact("profile", old), ["I live there."]) is may


def test_facts_are_of_use_when_most_of_their_words_are_spoken_of() -> None:
    rows = known("Ada has a dog.", "Ada fears gulls at night.", "Ada fears thunder.", "Ada.")
    material = Material(known=rows, messages=MESSAGES, person="Ada", character="Mara")
    assert used_ids(material) == ids(1)


def test_facts_that_share_most_with_the_messages_are_told_first() -> None:
    rows = known("It rained.", "The dog barks.", "Ada gave the dog to Tom.")
    assert most_relevant(rows, ["I gave the dog away."]) == [2, 1, 0]


@pytest.mark.parametrize(
    ("text", "importance"),
    [
        ("Ada's sister is called Tilda.", 5),
        ("Mara promised to wait for Ada.", 5),
        ("Ada does not want to be touched.", 5),
        ("Ada is allergic to nuts.", 5),
        ("The boat is named Petrel.", 5),
        ("Ada's limits are blood and knives.", 5),
        ("Knives are a hard limit of Ada's.", 5),
        ("Ada has two boundaries.", 5),
        ("Ada has three nephews.", 5),
        ("Ada's uncles sail.", 5),
        ("Ada has a grandson, Max.", 5),
        ("Ada's granddaughter paints.", 5),
        ("Ada's grandma bakes.", 5),
        ("Tom is Ada's grandpa.", 5),
        ("Ada's stepfather drinks.", 5),
        ("Tom is Ada's half-brother.", 5),
        ("Ada's sister-in-law sails.", 5),
        ("Ada has two brothers-in-law.", 5),
        ("Ada's in-laws are rich.", 5),
        ("Ada and Tom are twins.", 5),
        ("Jon is Ada's fiancé.", 5),
        ("Eva is Ada's fiancée.", 5),
        ("Ada's spouse is a sailor.", 5),
        ("Ada's ex-wife left.", 5),
        ("Ada is a widow.", 5),
        ("Ada was widowed.", 5),
        ("Ada's nickname is Addie.", 5),
        ("Ada goes by Addie.", 5),
        ("Ada wants to be called Captain.", 5),
        ("Ada's real name is Adelheid.", 5),
        ("Ada's mother was named Tilda.", 5),
        ("Mara pledged to wait.", 5),
        ("Mara vowed to wait.", 5),
        ("Mara swore to wait.", 5),
        ("Mara gave her word to wait.", 5),
        ("Mara agreed never to sell it.", 5),
        ("Ada does not consent to that.", 5),
        ("Ada never wants to be woken.", 5),
        ("Ada refuses to be tied.", 5),
        ("Ada hates being tickled.", 5),
        ("Ada must not be woken.", 5),
        ("Ada should never be woken.", 5),
        ("Knives are a no-go for Ada.", 5),
        ("Her room is off limits.", 5),
        ("Ada wants no stories with spiders.", 5),
        ("Ada asked Mara not to mention Odessa.", 5),
        ("Ada has a phobia of gulls.", 5),
        ("Ada has arachnophobia.", 5),
        ("Ada has an allergy.", 5),
        ("Ada is lactose intolerant.", 5),
        ("Ada takes medication.", 5),
        ("Ada is pregnant.", 5),
        ("Ada is diabetic.", 5),
        ("Ada is the user's name.", 5),
        ("Her name's Ada.", 5),
        ("Call her Captain.", 5),
        ("Ada prefers the name Addie.", 5),
        ("Ada introduces herself as Addie.", 5),
        ("Ada is known as the Heron.", 5),
        ("Ada is nonbinary.", 5),
        ("Tom is Ada's ex.", 5),
        ("Ada's partner is Kim.", 5),
        ("Ada has a baby.", 5),
        ("Mara will always wait for Ada.", 5),
        ("Mara assured Ada that she would come back.", 5),
        ("Mara guaranteed to return.", 5),
        ("Mara owes Ada a dance.", 5),
        ("Ada and Mara agreed to meet on Sunday.", 5),
        ("Ada has a hard no on knives.", 5),
        ("Ada does not do knife play.", 5),
        ("Ada is not okay with blood.", 5),
        ("Ada prefers not to talk about the war.", 5),
        ("No spiders in the story, Ada asked.", 5),
        ("Ada wants spiders left out.", 5),
        ("Ada can't handle spiders in the story.", 5),
        ("Ada dislikes being touched.", 5),
        ("Ada hates when people touch her neck.", 5),
        ("Do not mention the war to Ada.", 5),
        ("Avoid gore with Ada.", 5),
        ("Never call Ada by her last name.", 5),
        ("Ada's red line is gore.", 5),
        ("Violence is a dealbreaker for Ada.", 5),
        ("Ada is vegan.", 5),
        ("Ada is deaf.", 5),
        ("Ada uses a wheelchair.", 5),
        ("Ada has PTSD from the war.", 5),
        ("Ada stops at kissing.", 5),
        ("Kissing is as far as Ada goes.", 5),
        ("Ada is scared of being tied up.", 5),
        ("Ada said stop means stop.", 5),
        ("Ada's stop word is red.", 5),
        ("Adas Schwester heißt Tilda.", 5),
        ("Ada will nicht geweckt werden.", 5),
        ("Mara hat versprochen zu warten.", 5),
        ("Adas Sicherheitswort ist Donner.", 5),
        ("La sœur d'Ada s'appelle Tilda.", 5),
        ("Ada ne veut pas être réveillée.", 5),
        ("La hermana de Ada vive en Roma.", 5),
        ("Ada no quiere hablar de la guerra.", 5),
        ("Mara prometió esperar.", 5),
        ("O irmão de Ada mora em Roma.", 5),
        ("Ada não quer ser acordada.", 5),
        ("La sorella di Ada vive a Roma.", 5),
        ("Ada non vuole essere svegliata.", 5),
        ("Сестру Ады зовут Тильда.", 5),
        ("Ада не хочет говорить о войне.", 5),
        ("Мара обещала ждать.", 5),
        ("アダの妹は医者だ。", 5),
        ("マラは待つと約束した。", 5),
        ("アダは起こされたくない。", 5),
        ("Ada is kind.", 3),
        ("The boat passed Prometheus Point.", 3),
        ("Mari likes tea.", 3),
        ("Tom is Ada's business partner.", 3),
        ("Ada is off to the market.", 3),
        ("Ada is fine with blood.", 3),
        ("Ada handles knives well.", 3),
        ("Ada calls her boat often.", 3),
        ("Ada wohnt in Paris.", 3),
        ("Ada has never seen snow.", 3),
        ("Ada never eats breakfast.", 3),
        ("The speed limit is 50.", 3),
        ("Ada limited her wine.", 3),
        ("Ada refused the tea.", 3),
        ("Ada swears like a sailor.", 3),
        ("Ada hates rain.", 3),
        ("Ada wants tea.", 3),
        ("Ada calls Tom often.", 3),
        ("Ada agreed with Tom.", 3),
        ("Ada is engaged in her work.", 3),
        ("Ada lost her word list.", 3),
        ("Ada may come.", 3),
        ("It may not rain.", 3),
        ("Ada asked Mara to come.", 3),
        ("Ada likes tea.", 3),
        ("The sun set late.", 3),
    ],
)
def test_names_family_promises_and_limits_last_where_a_model_says_nothing(
    text: str, importance: int
) -> None:
    assert importance_of(text) == importance
    answer = json.dumps({"summary": "S.", "facts": [{"tier": "profile", "text": text}]})
    written = parse(answer, reach="profile")
    assert written is not None
    assert written.facts[0].importance == importance


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("Ada's safe word is Marigold.", True),
        ("Ada does not want to be tied up.", True),
        ("Ada is allergic to nuts.", True),
        ("Ada must never be called Addie.", True),
        ("Ada's limits are blood and fire.", True),
        ("Ada lives in Paris.", False),
        ("Ada's brother is called Jon.", False),
        ("Mara promised never to speak of her limits.", False),
        ("Mara must not tell Tomas about the letter.", False),
        ("Nobody must know that Ada is pregnant.", False),
        ("Ada confided that she is diabetic.", False),
    ],
)
def test_limits_are_for_all_who_are_present(text: str, is_told: bool) -> None:
    material = Material(known=[], messages=[(1, text)], person="Ada", character="Mara")
    (change,) = resolve([Fact("character", text, importance=5)], material)
    assert change.get("is_for_all", False) is is_told


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

    @pytest.mark.parametrize("value", [3, 3.0, "3", " 3 ", "#3", "# 3", "3.0", "03"])
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
