"""Facts compared with those that are known: what is merged, what is replaced, and what stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from roleplay_chat.memory.changes import resolve
from roleplay_chat.memory.comparison import Words
from roleplay_chat.memory.material import Material
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.outdated import outdated
from roleplay_chat.rows import FactRow
from tests.support.memory_rows import MESSAGES, ids, known


def changes(
    noted: list[Fact], rows: list[FactRow], messages: list[tuple[int, str]] = MESSAGES
) -> list[dict[str, Any]]:
    material = Material(known=rows, messages=messages, person="Ada", character="Mara")
    return resolve(noted, material)


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

    @pytest.mark.parametrize(
        ("text", "topic"),
        [("Ada works as a cook.", "job"), ("Ada owns a bakery near the pier.", "shop")],
    )
    def test_fact_that_says_less_does_not_name_what_all_of_the_longer_one_is_about(
        self, text: str, topic: str
    ) -> None:
        """Or the next one with this topic would replace the rest as well."""
        rows = known(f"{text[:-1]} and plays the flute.")
        noted = Fact("conversation", text, subject="Ada", topic=topic)
        (change,) = changes([noted], rows, [(10, text)])
        assert (change["same_as"], change.get("topic")) == (ids(1)[0], None)

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
            ("I have changed my mind: I will play the harp.", True),
            ("Change of plans! I'm going to play the harp.", True),
            ("I changed my mind about tea. I play the harp.", False),
            ("I changed my mind on tea. I play the harp.", False),
            ("I haven't changed my mind. I play the harp.", False),
            ("I won't change my mind. I play the harp.", False),
            ("I might change my mind. I play the harp.", False),
            ("I changed my mind. It is late. I play the harp.", False),
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

    def test_plan_replaces_another_where_somebody_says_that_it_changed(self) -> None:
        rows = known("Ada wants to walk to Santiago next year.", subject="Ada")
        noted = [Fact("conversation", "Ada wants to walk to Nidaros next year.", topic="plan")]
        said = "I have changed my plan: next year I will walk to Nidaros."
        (change,) = changes(noted, rows, [(1, said)])
        assert change["replaces"] == ids(1)
        (change,) = changes(noted, rows, [(1, "Next year I also want to walk to Nidaros.")])
        assert "replaces" not in change

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

    @pytest.mark.parametrize(
        ("topic", "old", "new"),
        [
            ("home", "Ada lives in Oslo.", "Ada would live in Rome if she could."),
            ("home", "Ada lives in Oslo.", "Ada wants to live in Rome."),
            ("home", "Ada lives in Oslo.", "Ada used to live in Rome."),
            ("home", "Ada lives in Oslo.", "Ada once lived in Rome."),
            ("home", "Ada lives in Oslo.", "Ada grew up in Rome."),
            ("home", "Ada lives in Oslo.", "Ada is visiting Rome."),
            ("domicile", "Ada habite à Oslo.", "Ada rêve de vivre à Rome."),
            ("home", "Ada wohnt in Oslo.", "Ada möchte in Rom wohnen."),
            ("job", "Ada ist Bäckerin.", "Früher war Ada Lehrerin."),
            ("home", "Ada lives in Oslo.", "Ada won't live in Rome."),
            ("home", "アダはオスロに住んでいる。", "アダはローマに住みたいと思っている。"),
            ("home", "艾达住在奥斯陆。", "艾达希望住在罗马。"),
            ("job", "Ada is a baker.", "Ada was a nurse once."),
            ("job", "Ada is a baker.", "Ada hopes to become a pilot."),
            ("spouse", "Ada is married to Jon.", "Ada would have married Tom."),
            ("age", "Ada is 30 years old.", "Ada will be 31 in May."),
        ],
    )
    def test_what_somebody_wishes_or_was_does_not_end_what_is(
        self, topic: str, old: str, new: str
    ) -> None:
        noted = Fact("profile", new, subject="Ada", topic=topic, message=1)
        rows = known(old, subject="Ada", topic=topic)
        (change,) = changes([noted], rows, [(1, new)])
        assert "replaces" not in change
        assert "topic" not in change
        (change,) = changes([replace(noted, action="replace", known=1)], rows, [(1, new)])
        assert "replaces" not in change

    @pytest.mark.parametrize("action", ["add", "replace"])
    @pytest.mark.parametrize(
        ("said", "is_so"),
        [
            ("If I lived in Rome, I would learn Italian.", False),
            ("I would learn Italian if I lived in Rome.", False),
            ("I wish I lived in Rome.", False),
            ("I'd love to live in Rome one day.", False),
            ("One day I will live in Rome.", False),
            ("I dream of a house in Rome.", False),
            ("One day I packed up and moved to Rome.", True),
            ("My dream came true and I live in Rome.", True),
            ("I'd like to tell you that I live in Rome.", True),
            ("If I remember right I told you that I live in Rome.", True),
            ("If you ask me: I live in Rome.", True),
            ("If I had known that, I would not live in Rome.", True),
            ("I wish I lived in Rome. Wait, I do live in Rome!", True),
            ("I live in Rome.", True),
        ],
    )
    def test_note_of_what_is_only_supposed_ends_nothing(
        self, action: Any, said: str, *, is_so: bool
    ) -> None:
        noted = Fact(
            "profile", "Ada lives in Rome.", action, 1, subject="Ada", topic="home", message=1
        )
        (change,) = changes([noted], known("Ada lives in Oslo."), [(1, said)])
        assert ("replaces" in change) == is_so
        assert ("topic" in change) == is_so

    @pytest.mark.parametrize("number", [None, 2])
    def test_note_of_what_another_message_says_ends_what_was(self, number: int | None) -> None:
        said = [(1, "If I lived in Rome, I would learn Italian."), (2, "I live in Rome now.")]
        noted = Fact("profile", "Ada lives in Rome.", message=number)
        (change,) = changes([noted], known("Ada lives in Oslo."), said)
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("topic", "old", "new"),
        [
            ("home", "Ada lives in Oslo.", "Ada has always lived in Rome."),
            ("home", "Ada has moved to Oslo.", "Ada has moved back to Rome."),
            ("home", "Ada lives in Oslo.", "Ada relocated to Rome."),
            ("home", "Ada lives in Oslo.", "Ada moved to Rome hoping for work."),
            ("domicile", "Ada vit à Oslo.", "Ada vit à Rome, où elle est née."),
            ("home", "Ada wohnt in Oslo.", "Ada wohnt in Rom und möchte dort bleiben."),
            ("home", "艾达住在奥斯陆。", "艾达住在罗马，希望留下。"),
            ("job", "Ada is a baker.", "Ada is a plant manager."),
            ("name", "Ada's name is Ada.", "Ada wants to be called Lena."),
        ],
    )
    def test_what_is_ends_what_was(self, topic: str, old: str, new: str) -> None:
        noted = Fact("profile", new, subject="Ada", topic=topic, message=1)
        (change,) = changes([noted], known(old, subject="Ada", topic=topic), [(1, new)])
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("said", "new", "is_over"),
        [
            ("I live in Oslo and want to live in Rome.", "Ada wants to live in Rome.", False),
            ("I quit, I no longer live in Oslo.", "Ada used to live up there.", True),
        ],
    )
    def test_wish_replaces_a_home_only_where_that_has_ended(
        self, said: str, new: str, *, is_over: bool
    ) -> None:
        noted = Fact("profile", new, "replace", 1, message=1)
        (change,) = changes([noted], known("Ada lives in Oslo."), [(1, said)])
        assert ("replaces" in change) == is_over

    def test_plan_that_came_true_is_replaced(self) -> None:
        noted = Fact("profile", "Ada lives in Rome.", "replace", 1, subject="Ada", topic="home")
        (change,) = changes([noted], known("Ada plans to move to Rome."), [(1, "I am in Rome!")])
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ("Ada hates coffee.", "Ada likes coffee."),
            ("Ada dislikes coffee.", "Ada loves coffee."),
            ("Ada loves coffee.", "Ada hates coffee."),
            ("Ada no longer likes coffee.", "Ada loves coffee."),
            ("Ada likes coffee.", "Ada does not enjoy coffee."),
            ("Ada never lived in Paris.", "Ada lives in Paris."),
            ("Ada has never lived in Paris.", "Ada lives in Paris."),
            ("Ada never had a dog.", "Ada has a dog."),
            ("Ada was never married to Jon.", "Ada is married to Jon."),
            ("Ada has never been a nurse.", "Ada is a nurse."),
            ("Ada has a daughter called Mia.", "Ada has no children."),
            ("Ada has two sons.", "Ada has no kids."),
            ("Ada has two children.", "Ada has no children."),
            ("Ada's brother is called Tom.", "Ada has no siblings."),
            ("Ada's son Tom is ill.", "Ada has no children."),
            ("Ada's older twin brother is called Tom.", "Ada has no siblings."),
            ("Ada has a dog at home.", "Ada has no pets."),
            ("Ada eats meat again.", "Ada does not eat meat."),
            ("Ada has three dogs.", "Ada has two dogs."),
            ("Ada's best friend is Lea.", "Ada's best friend is Tom."),
        ],
    )
    def test_opposite_is_a_contradiction(self, new: str, old: str) -> None:
        (change,) = changes([Fact("profile", new)], known(old), [(1, new)])
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ("Ada hates tea.", "Ada likes coffee."),
            ("Tom hates coffee.", "Ada likes coffee."),
            ("Ada likes coffee.", "Ada does not love coffee."),
            ("Ada does not hate coffee.", "Ada likes coffee."),
            ("Ada never lived in Rome.", "Ada lives in Paris."),
            ("Ada's kid sister is called Mia.", "Ada has no children."),
            ("Tom has a son.", "Ada has no children."),
            ("Ada has a cat.", "Ada has no children."),
            ("Ada likes being kissed.", "Ada does not want to be kissed."),
            ("Ada has three dogs.", "Ada has two cats."),
            ("Ada has a brother-in-law.", "Ada has no siblings."),
            ("Ada's pet peeve is noise.", "Ada has no pets."),
            ("Ada's cat allergy is bad.", "Ada has no pets."),
            ("Ada has Tom's dog today.", "Ada has no pets."),
            ("Ada has a hot dog stand.", "Ada has no pets."),
            ("Ada has a second dog.", "Ada has one dog."),
            ("Ada has a third key.", "Ada has a second key."),
            ("Ada has seen a dog.", "Ada has no pets."),
            ("Ada's mother has a son.", "Ada has no children."),
            ("Ada never met Tom again.", "Ada met Tom."),
            ("Ada will never go to Rome again.", "Ada will go to Rome."),
            ("Ada never works on Sundays.", "Ada worked on Sundays."),
            ("Ada bought three dogs.", "Ada bought two dogs."),
            ("Tom has three dogs.", "Ada has two dogs."),
            ("Ada's friend is Lea.", "Ada's friend is Tom."),
        ],
    )
    def test_what_only_resembles_the_opposite_is_none(self, new: str, old: str) -> None:
        (change,) = changes([Fact("profile", new)], known(old), [(1, new)])
        assert "replaces" not in change

    def test_promise_of_which_somebody_is_released_is_withdrawn(self) -> None:
        noted = Fact("profile", "", "withdraw", 1, message=1)
        rows = known("Mara promised to wait at the pier.", importance=5)
        said = "You need not wait at the pier, I release you from your promise."
        (change,) = changes([noted], rows, [(1, said)])
        assert change["is_withdrawal"]

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

    @pytest.mark.parametrize(
        ("later", "holds_again"),
        [
            ("They say a bitter archive works wonders.", False),
            ("Go on.", False),
            ("No, I work as a cartographer after all.", True),
            ("I am a cartographer again.", True),
        ],
    )
    def test_fact_that_was_just_replaced_returns_if_a_later_message_has_its_value(
        self, later: str, *, holds_again: bool
    ) -> None:
        bookbinder = Fact("conversation", "Ada works as a bookbinder.", message=1)
        repeated = Fact("conversation", "Ada works as a cartographer.")
        noted = [replace(fact, subject="Ada", topic="job") for fact in (bookbinder, repeated)]
        messages = [(1, "I have left my work. I work as a bookbinder now."), (2, later)]
        made = changes(noted, known("Ada works as a cartographer."), messages)
        assert made[0]["replaces"] == ids(1)
        assert [change["content"] for change in made[1:]] == (
            ["Ada works as a cartographer."] if holds_again else []
        )

    @pytest.mark.parametrize("number", [None, 0, 1, 3, 99])
    def test_replacement_by_a_wrong_number_only_adds(self, number: int | None) -> None:
        rows = known("Mara keeps bees.", "Ada fears gulls.")
        noted = [Fact("conversation", "Ada is brave.", "replace", known=number, message=3)]
        (change,) = changes(noted, rows)
        assert change["content"] == "Ada is brave."
        assert "replaces" not in change

    @pytest.mark.parametrize("message", [None, 1, 2])
    @pytest.mark.parametrize("position", [1, None])
    @pytest.mark.parametrize(
        ("told", "said"),
        [
            # One of the family outlives everything: somebody must say that it has ended.
            ("Ada's husband teaches algebra.", "My husband no longer teaches that, but algebra."),
            ("Ada likes rowing at dawn.", "I like rowing at dawn."),
        ],
    )
    def test_message_that_says_a_fact_is_no_reason_to_replace_it(
        self, told: str, said: str, position: int | None, message: int | None
    ) -> None:
        rows = [row.model_copy(update={"position": position}) for row in known(told)]
        messages = [(1, said), (2, "I sit on the council.")]
        noted = Fact("conversation", "Ada sits on the council.", "replace", 1, message=message)
        (change,) = changes([noted], rows, messages)
        is_of_other = message == 2 and told == "Ada's husband teaches algebra."
        assert ("replaces" in change) == (position is None and not is_of_other)

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

    @pytest.mark.parametrize(
        "later", ["I want to call on Mara. I want to call it a day.", "I want to walk to Santiago."]
    )
    def test_source_of_several_that_share_as_many_words_has_the_rarest_ones(
        self, later: str
    ) -> None:
        noted = [Fact("conversation", "Ada does not want to be called duckling.")]
        (change,) = changes(noted, [], [(1, "Do not call me duckling."), (2, later), (3, later)])
        assert (change["from"], change["to"]) == (1, 1)

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
        ("Ada is allergic to nuts.", "I have no nuts."),
        ("Ada is allergic to nuts.", "I don't have any nuts."),
        ("Ada has a twin.", "I don't have time for my twin."),
        ("Ada's sister is a pirate.", "I don't have my sister with me today."),
        ("Ada does not want spiders in the story.", "Spiders are fine if they are small."),
        ("Ada does not want spiders in the story.", "Spiders are fine weavers."),
        ("Ada does not want Tom in the story.", "Tom is fine now."),
        ("Ada does not want to talk about her mother.", "My mother is fine."),
        ("Mara promised to wait at the pier.", "I'll never release you from your promise to wait."),
        ("Mara promised to wait at the pier.", "Must I release you from your promise to wait?"),
        ("Ada wants no spiders.", "Spiders! That limit is not lifted."),
        ("Ada is allergic to nuts.", "I don't have any nuts since I am allergic to nuts."),
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
            ("Ada will nicht geküsst werden.", "", "Du darfst mich wieder küssen."),
            (
                "Ada will nicht geküsst werden.",
                "Ada darf geküsst werden.",
                "Ja, du darfst mich küssen.",
            ),
            (
                "Ada no quiere arañas.",
                "Ya no tiene nada contra ellas.",
                "Ya no me molestan las arañas.",
            ),
            ("Ada hat einen Hund.", "", "Mein Hund ist letzte Woche gestorben."),
            ("У Ады есть собака.", "", "Моя собака умерла."),
            ("アダは犬を飼っている。", "", "犬が死んでしまった。"),
            ("Ada'nın bir köpeği var.", "", "Köpeğim öldü."),
            ("لدى آدا كلب.", "", "مات كلبي."),
            ("एडा के पास कुत्ता है।", "", "मेरा कुत्ता मर गया।"),
            ("Adas Katze ist krank.", "", "Adas Katze ist nicht mehr krank."),
            ("Ada's cat is called Rex.", "", "My cat Rex ran away today."),
            ("艾达对坚果过敏。", "", "我对坚果不再过敏了。"),
            ("Ada's brother is called Tom.", "", "Tom is not my brother, I lied."),
            ("Ada has a twin.", "", "That was a joke. I don't have a twin."),
            ("Ada has a twin.", "", "I never had any twin."),
            ("Ada's sister is a pirate.", "", "My sister is no pirate."),
            ("Ada is married to Jon.", "", "Jon and I got divorced."),
            ("Ada does not want spiders in the story.", "", "Spiders are fine now."),
        ],
    )
    def test_go_where_they_are_withdrawn_in_words(self, old: str, text: str, said: str) -> None:
        noted = [Fact("profile", text, "withdraw", 1, message=1)]
        (change,) = changes(noted, known(old, importance=5), [(1, said)])
        assert change["replaces"] == ids(1)

    @pytest.mark.parametrize(
        ("old", "said", "only_by_person"),
        [
            ("Ada hates being tickled.", "You may tickle me again.", True),
            ("Ada must not be touched.", "Touch me. That rule is gone.", True),
            ("Ada no quiere arañas.", "Ya no me molestan las arañas.", True),
            ("Mara hates being tickled.", "You may tickle me again.", False),
            ("Ada promised to wait.", "You no longer promised to wait.", False),
            ("Ada has a cat.", "The cat is dead.", False),
        ],
    )
    @pytest.mark.parametrize("is_persons", [True, False])
    def test_limit_of_the_person_goes_only_by_their_own_words(
        self, old: str, said: str, *, only_by_person: bool, is_persons: bool
    ) -> None:
        rows = known(old, importance=5)
        noted = [Fact("profile", "", "withdraw", 1, message=1)]
        material = Material(rows, [(1, said)], "Ada", "Mara", of_person={1} if is_persons else ())
        made = resolve(noted, material)
        assert bool(made) == (is_persons or not only_by_person)

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
