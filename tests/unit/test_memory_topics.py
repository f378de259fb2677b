"""What a fact is about: whom, and in what respect."""

from __future__ import annotations

import pytest

from roleplay_chat.memory.topics import slot_of


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
