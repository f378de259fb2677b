"""What entries of lorebooks ask for besides keys: chance, groups, timing, recursion and places."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from roleplay_chat.cards.lorebooks import read_lorebook
from roleplay_chat.lorebook.chance import Moment
from roleplay_chat.lorebook.entries import Book, Entry
from roleplay_chat.lorebook.inflection import forms
from roleplay_chat.lorebook.keys import MAX_SCANNED_CHARS, Scope
from roleplay_chat.lorebook.matching import Conversation, match_entries, select_entries
from roleplay_chat.lorebook.timing import MAX_REPLAYED_KEYS
from tests.support.work import is_linear, work


def entry(content: str, *keys: str, **extensions: Any) -> dict[str, Any]:
    return {
        "keys": list(keys),
        "content": content,
        "enabled": True,
        "constant": not keys,
        "extensions": extensions,
    }


def found(
    *texts: str, entries: Sequence[dict[str, Any]], conversation: str = "", **book: Any
) -> list[str]:
    """The contents that are activated by messages of the person and the character in turn."""
    replies = range(1, len(texts), 2)
    now = Moment(conversation, len(texts), len(replies), len(texts))
    said = Conversation(texts, now, replies)
    return [one.content for one in match_entries({"entries": list(entries)} | book, said)]


def often(*entries: dict[str, Any]) -> dict[str, int]:
    """How often each entry is activated in a thousand conversations."""
    times = dict.fromkeys((one["content"] for one in entries), 0)
    for number in range(1000):
        for content in found("sea", entries=entries, conversation=str(number)):
            times[content] += 1
    return times


class TestInflection:
    @pytest.mark.parametrize(
        ("word", "others", "unrelated"),
        [
            ("маяк", "маяка маяку маяком маяке маяки маяков маяками", "маяковский маячить мая"),
            ("кот", "кота коту котом коты котов", "который котёл котлета скот"),
            ("башня", "башни башню башней башнями", "башмак башка"),
            ("море", "моря морю морем морей", "мороз моряк морковь"),
            ("лампа", "лампы лампу лампой ламп", "лампада лампочка"),
            ("гавань", "гавани гаванью гаваней", "гаванна"),
            ("мария", "марии марию марией", "мара марс марка"),
            ("мара", "мары маре мару марой", "мария марс март"),
            ("дмитрий", "дмитрия дмитрию дмитрием", "дмитров"),
            ("красный", "красного красная красные красных", "краснеть краска"),
            ("замок", "замка замке замков", "замочить замыкать"),
            ("отец", "отца отцу отцом", "отечество"),
            ("драконы", "дракон дракона драконов", "драконить"),
            ("лес", "леса лесом лесах", "лестница лесть"),
            ("день", "дня дни дней днями", "денди деньги"),
            ("камень", "камня камни камней", "каменный"),
            ("павел", "павла павлу павлом", "павлин"),
            ("время", "времени временем времена", "временный"),
            ("имя", "имени именем имена имен", "именно"),
            ("девушка", "девушки девушек девушкой", "девушкин"),
            ("окно", "окна окон окнами", "оконный"),
            ("письмо", "письма письмом", "письменный"),
            ("анна", "анны анну анной", "анон"),
            ("сок", "сока соком", "ска"),
            ("дім", "дім", "дім'я"),
            ("ёж", "ёж", "ежи"),
            ("lamp", "lamp", "lamps lampe"),
        ],
    )
    def test_forms_of_a_word_are_its_own(self, word: str, others: str, unrelated: str) -> None:
        known = forms(word)
        assert {word, *others.split()} <= known
        assert known.isdisjoint(unrelated.split())

    @pytest.mark.parametrize(
        ("text", "key", "expected"),
        [
            pytest.param("Стоит у старого маяка.", "Старый маяк", True, id="both-words"),
            pytest.param("Он стар. Маяк далеко.", "старый маяк", False, id="sign-between"),
            pytest.param("старый дом у маяка", "старый маяк", False, id="word-between"),
            pytest.param("Тёмного леса", "темный лес", True, id="with-dots-or-without"),
            pytest.param("the dragon eggs", "dragon egg", True, id="plural-of-several-words"),
            pytest.param("dragon\n egg", "dragon egg", True, id="any-space-between"),
            pytest.param("dragon eggshell", "dragon egg", False, id="another-word"),
            pytest.param("snapdragon egg", "dragon egg", False, id="inside-at-the-beginning"),
            pytest.param("the old light house", "lighthouse", False, id="two-words"),
            pytest.param("Don’t go", "don't", True, id="typographic-apostrophe"),
            pytest.param("a ❤️ here", "❤", True, id="emoji-in-colour"),
        ],
    )
    def test_keys_of_several_words_are_found_as_words(
        self, text: str, key: str, expected: bool
    ) -> None:
        assert bool(found(text, entries=[entry("Found.", key)])) is expected


class TestChance:
    def test_follows_the_probability(self) -> None:
        times = often(
            entry("never", "sea", probability=0),
            entry("often", "sea", probability=70),
            entry("text", "sea", probability="30"),
            entry("always", "sea", probability=100),
            entry("off", "sea", probability=0, useProbability=False),
            entry("null", "sea", probability=None),
            entry("risu", "sea", risu_activationPercent=0),
            entry("@@probability 0\ndecorator", "sea") | {"content": "@@probability 0\nnever"},
        )
        assert (times["never"], times["always"], times["off"], times["null"]) == (
            0,
            1000,
            1000,
            1000,
        )
        assert times["risu"] == 0
        assert 640 < times["often"] < 760
        assert 240 < times["text"] < 360

    def test_constant_entries_have_it_as_well(self) -> None:
        assert 400 < often(entry("x", probability=50))["x"] < 600

    def test_can_be_repeated_and_changes_as_the_conversation_goes_on(self) -> None:
        entries = [entry("x", probability=50)]
        texts = ["sea"] * 100
        runs = [[bool(found(*texts[:n], entries=entries)) for n in range(100)] for _ in range(2)]
        assert runs[0] == runs[1]
        assert 20 < sum(runs[0]) < 80

    def test_entries_have_their_own(self) -> None:
        entries = [entry(str(number), probability=50) for number in range(100)]
        assert 20 < len(found("sea", entries=entries)) < 80

    def test_id_keeps_it_where_entries_move(self) -> None:
        one = entry("x", probability=50) | {"id": 7}
        alone = [found("sea", entries=[one], conversation=str(n)) for n in range(50)]
        moved = [
            found("sea", entries=[entry("y", "z"), one], conversation=str(n)) for n in range(50)
        ]
        assert alone == moved


class TestGroups:
    def test_one_of_a_group_is_chosen_by_weight(self) -> None:
        times = often(
            entry("a", "sea", group="g", group_weight=300),
            entry("b", "sea", group="g"),
            entry("none", "sea", group="g", group_weight=0),
            entry("other", "sea", group="h"),
            entry("free", "sea", group=""),
        )
        assert times["a"] + times["b"] == times["other"] == times["free"] == 1000
        assert 690 < times["a"] < 810
        assert times["none"] == 0

    def test_override_wins_by_order(self) -> None:
        entries = [
            entry("a", "sea", group="g", group_weight=10_000),
            entry("low", "sea", group="g", group_override=True) | {"insertion_order": 1},
            entry("high", "sea", group="g", group_override=True) | {"insertion_order": 2},
        ]
        assert found("sea", entries=entries) == ["high"]

    def test_entry_may_be_in_several(self) -> None:
        entries = [
            entry("both", "sea", group="g, h", group_override=True) | {"insertion_order": 9},
            entry("g", "sea", group="g"),
            entry("h", "sea", group="h"),
        ]
        assert found("sea", entries=entries) == ["both"]

    def test_scoring_prefers_more_keys(self) -> None:
        entries = [
            entry("one", "sea", group="g", use_group_scoring=True, group_weight=10_000),
            entry("two", "sea", "storm", group="g", use_group_scoring=True),
        ]
        assert found("sea and storm", entries=entries) == ["two"]

    def test_group_is_taken_once_something_of_it_is_active(self) -> None:
        entries = [
            entry("the storm", "sea", group="g"),
            entry("later", "storm", group="g"),
        ]
        assert found("sea", entries=entries, recursive_scanning=True) == ["the storm"]


class TestTiming:
    def test_delay_waits_for_messages(self) -> None:
        entries = [entry("x", "sea", delay=3)]
        assert [len(found(*["sea"] * n, entries=entries)) for n in range(1, 5)] == [0, 0, 1, 1]

    def test_sticky_stays_for_some_messages(self) -> None:
        entries = [entry("x", "sea", sticky=4)]
        texts = ["sea", "a", "b", "c", "d", "e", "f"]
        shown = [bool(found(*texts[:n], entries=entries, scan_depth=1)) for n in (1, 3, 5, 7)]
        assert shown == [True, True, False, False]

    def test_cooldown_waits_after_it(self) -> None:
        texts = ["sea"] * 11
        only = [entry("x", "sea", cooldown=4)]
        both = [entry("x", "sea", sticky=3, cooldown=4)]
        at = (1, 3, 5, 7, 9, 11)
        assert [bool(found(*texts[:n], entries=only)) for n in at] == [
            *(True, False, True, False, True, False),
        ]
        assert [bool(found(*texts[:n], entries=both)) for n in at] == [
            *(True, True, False, False, True, True),
        ]

    def test_decorators_keep_or_end_an_entry_after_its_first_match(self) -> None:
        keeps = entry("@@keep_activate_after_match\nkeeps", "sea")
        stops = entry("@@dont_activate_after_match\nstops", "sea")
        texts = ["sea", "a", "b", "c", "sea"]
        shown = [found(*texts[:n], entries=[keeps, stops], scan_depth=1) for n in (1, 3, 5)]
        assert shown == [["keeps", "stops"], ["keeps"], ["keeps"]]

    def test_decorators_count_replies(self) -> None:
        after = entry("@@activate_only_after 2\nafter", "sea")
        every = entry("@@activate_only_every 2\nevery", "sea")
        zero = entry("@@activate_only_every 0\nzero", "sea")
        shown = [found(*["sea"] * n, entries=[after, every, zero]) for n in (1, 3, 5, 7)]
        assert shown == [["every", "zero"], ["zero"], ["after", "every", "zero"], ["after", "zero"]]

    def test_deleted_message_takes_its_effects_with_it(self) -> None:
        entries = [entry("x", "sea", sticky=9)]
        assert found("sea", "a", "b", entries=entries, scan_depth=1) == ["x"]
        assert found("b", entries=entries, scan_depth=1) == []

    def test_rolls_of_earlier_replies_are_repeated(self) -> None:
        entries = [entry("x", "sea", sticky=3, probability=50) | {"id": 1}]
        for number in range(40):
            chat = str(number)
            first = found("sea", entries=entries, scan_depth=1, conversation=chat)
            then = found("sea", "a", "b", entries=entries, scan_depth=1, conversation=chat)
            assert first == then

    def test_rolls_are_those_of_the_positions(self) -> None:
        """However many messages are loaded, or others write in between."""
        entries = [entry("x", "sea", sticky=3, probability=50) | {"id": 1}]

        def shown(texts: list[str], now: Moment, *positions: int) -> list[str]:
            replies = [number for number, text in enumerate(texts) if text == "reply"]
            said = Conversation(texts, now, replies, positions)
            book = {"entries": entries, "scan_depth": 1}
            return [one.content for one in match_entries(book, said)]

        seen = set()
        for place in range(1000, 1040):
            first = shown(["sea"], Moment("c", 1, 0, place), place)
            then = shown(
                ["sea", "reply", "b"], Moment("c", 3, 1, place + 70), place, place + 9, place + 70
            )
            later = shown(
                ["b", "reply", "sea"], Moment("c", 900, 80, place), place - 7, place - 3, place
            )
            assert first == then == later
            seen.add(bool(first))
        assert seen == {True, False}

    def test_continuation_is_at_the_moment_of_its_reply(self) -> None:
        entries = [entry("x", "sea", cooldown=9), entry("y", "sea", sticky=1)]
        said = Conversation(["sea", "Well"], Moment("c", 1, 0, 5), (), (5, 6), continues=True)
        assert [one.content for one in match_entries({"entries": entries}, said)] == ["x", "y"]
        earlier = Conversation(
            ["sea", "a", "b", "Well"], Moment("c", 3, 1, 7), (1,), (5, 6, 7, 8), continues=True
        )
        found_later = match_entries({"entries": entries, "scan_depth": 2}, earlier)
        assert [one.content for one in found_later] == []

    def test_sticky_entry_wins_in_its_group(self) -> None:
        stays = entry("stays", "sea", group="g", sticky=9)
        other = entry("other", "land", group="g", group_override=True)
        assert found("sea", "a", "land", entries=[stays, other], scan_depth=1) == ["stays"]


class TestRecursionLevels:
    def test_delayed_entry_waits_for_other_entries(self) -> None:
        delayed = entry("late", "sea", delay_until_recursion=True)
        assert found("sea", entries=[delayed], recursive_scanning=True) == []
        both = [entry("a sea", "ship"), delayed]
        assert found("ship", entries=both, recursive_scanning=True) == ["a sea", "late"]

    def test_levels_open_one_after_the_other(self) -> None:
        entries = [
            entry("one", "sea", delay_until_recursion=1),
            entry("three", "storm", delay_until_recursion=3),
            entry("two: storm", "sea", delay_until_recursion=2),
            entry("base", "sea"),
        ]
        shown = found("sea", entries=entries, recursive_scanning=True)
        assert shown == ["one", "three", "two: storm", "base"]

    def test_number_of_rounds_is_bounded(self) -> None:
        entries = [entry(f"w{n}", "sea", delay_until_recursion=n) for n in range(1, 2000)]
        assert len(found("sea", entries=entries, recursive_scanning=True)) <= 1999


class TestLookingBack:
    """A book that wants some entries at least is searched in older messages until it has them."""

    ENTRIES: ClassVar[list[dict[str, Any]]] = [
        entry("sea", "sea"),
        entry("lamp", "lamp"),
        entry("fog", "fog"),
        entry("rain", "rain"),
    ]
    TEXTS: ClassVar[list[str]] = ["rain", "fog", "sea", "lamp", *"abcd", "x sea"]

    def seen(self, **settings: Any) -> list[str]:
        return found(*self.TEXTS, entries=self.ENTRIES, scan_depth=1, **settings)

    @pytest.mark.parametrize(
        ("least", "contents"),
        [
            (0, ["sea"]),
            (1, ["sea"]),
            (2, ["sea", "lamp"]),
            (3, ["sea", "lamp", "fog"]),
            (9, ["sea", "lamp", "fog", "rain"]),
        ],
    )
    def test_stops_when_there_are_enough(self, least: int, contents: list[str]) -> None:
        assert self.seen(min_activations=least) == contents

    def test_goes_no_further_than_the_book_says(self) -> None:
        assert self.seen(min_activations=9, min_activations_depth_max=6) == ["sea", "lamp"]
        assert self.seen(min_activations=9, min_activations_depth_max=0) == [
            one["content"] for one in self.ENTRIES
        ]

    def test_settings_may_be_extensions(self) -> None:
        extensions = {"min_activations": 2}
        book: dict[str, Any] = {"scan_depth": 1, "extensions": extensions}
        assert found(*self.TEXTS, entries=self.ENTRIES, **book) == ["sea", "lamp"]

    @pytest.mark.parametrize("value", [None, "two", -3, [], {}, True, float("inf")])
    def test_settings_of_any_type_do_no_harm(self, value: Any) -> None:
        assert found(*self.TEXTS, entries=self.ENTRIES, scan_depth=1, min_activations=value)[:1]

    def test_constant_entries_count(self) -> None:
        entries = [entry("always"), *self.ENTRIES]
        book: dict[str, Any] = {"scan_depth": 1, "min_activations": 2}
        assert found(*self.TEXTS, entries=entries, **book) == ["always", "sea"]

    def test_entry_with_a_depth_of_its_own_keeps_it(self) -> None:
        entries = [entry("lamp", "lamp", scan_depth=2), entry("rain", "rain")]
        book: dict[str, Any] = {"scan_depth": 1, "min_activations": 2}
        assert found(*self.TEXTS, entries=entries, **book) == ["rain"]

    def test_secondary_keys_are_looked_for_as_far(self) -> None:
        both = entry("both", "fog") | {"secondary_keys": ["rain"], "selective": True}
        without = entry("without", "fog", selectiveLogic=2)
        without |= {"secondary_keys": ["lamp"], "selective": True}
        book: dict[str, Any] = {"scan_depth": 1, "min_activations": 1}
        assert found(*self.TEXTS, entries=[both], **book) == ["both"]
        assert found(*self.TEXTS, entries=[without], **book) == []

    def test_what_is_found_may_activate_others(self) -> None:
        entries = [entry("a storm", "rain"), entry("wind", "storm")]
        book: dict[str, Any] = {"scan_depth": 1, "min_activations": 1, "recursive_scanning": True}
        assert found(*self.TEXTS, entries=entries, **book) == ["a storm", "wind"]

    def test_one_of_a_group_is_enough_for_it(self) -> None:
        entries = [entry("sea", "sea", group="w"), entry("lamp", "lamp", group="w")]
        assert found(*self.TEXTS, entries=entries, scan_depth=1, min_activations=2) == ["sea"]

    def test_each_book_has_its_own(self) -> None:
        first = Book({"entries": self.ENTRIES, "scan_depth": 1, "min_activations": 2})
        second = Book({"entries": [entry("old", "rain")], "scan_depth": 1})
        read = match_entries([first, second], self.TEXTS)
        assert [one.content for one in read] == ["sea", "lamp"]

    def test_delayed_levels_stay_closed(self) -> None:
        entries = [entry("rain", "rain", delay_until_recursion=1)]
        assert found(*self.TEXTS, entries=entries, scan_depth=1, min_activations=1) == []


class TestFilters:
    def said(self, one: dict[str, Any], *character: str, generation: str = "normal") -> list[str]:
        said = Conversation(
            ["sea"], Moment(), character=character, generations=frozenset({generation})
        )
        return [one.content for one in match_entries({"entries": [one]}, said)]

    @pytest.mark.parametrize("generation", ["normal", "continue", "impersonate", "swipe"])
    def test_entry_fires_in_the_turns_that_it_names(self, generation: str) -> None:
        assert self.said(entry("x", "sea", triggers=[generation]), generation=generation) == ["x"]
        assert self.said(entry("x", triggers=[generation]), generation=generation) == ["x"]
        others = ["normal", "continue", "impersonate", "swipe"]
        others.remove(generation)
        assert self.said(entry("x", "sea", triggers=others), generation=generation) == []
        assert self.said(entry("x", triggers=others), generation=generation) == []

    @pytest.mark.parametrize("triggers", [[], None, "", {}, 5, [None, 3]])
    def test_entry_without_triggers_fires_always(self, triggers: Any) -> None:
        assert self.said(entry("x", "sea", triggers=triggers), generation="continue") == ["x"]

    def test_entry_of_rewritten_replies_has_no_effect_on_later_ones(self) -> None:
        one = entry("x", "sea", triggers=["swipe"], sticky=9)
        said = Conversation(["sea", "Yes", "a", "b"], Moment("", 4, 2), [1, 3])
        assert match_entries({"entries": [one], "scan_depth": 1}, said) == []

    @pytest.mark.parametrize(
        ("chosen", "character", "fires"),
        [
            ({"names": ["Wren"]}, ("Wren",), True),
            ({"names": ["wren.png"]}, ("Wren",), True),
            ({"names": ["default_Wren"]}, ("Wren",), True),
            ({"names": ["Wren of the Sea"]}, ("Wren", "Wren of: the Sea"), True),
            ({"names": ["Mara", "Wren"]}, ("Wren",), True),
            ({"names": ["Mara"]}, ("Wren",), False),
            ({"names": ["Mara"]}, (), False),
            ({"names": ["Mara"], "isExclude": True}, ("Wren",), True),
            ({"names": ["Mara"], "isExclude": True}, (), True),
            ({"names": ["Wren"], "isExclude": True}, ("Wren",), False),
            ({"names": ["Wren"], "is_exclude": True}, ("Wren",), False),
            ({"names": [], "isExclude": True}, ("Wren",), True),
            ({"names": None, "tags": ["x"]}, ("Wren",), True),
            (["Mara"], ("Wren",), True),
            ("Mara", ("Wren",), True),
        ],
    )
    def test_entry_is_for_the_characters_that_it_names(
        self, chosen: Any, character: tuple[str, ...], fires: bool
    ) -> None:
        assert self.said(entry("x", "sea", character_filter=chosen), *character) == ["x"] * fires

    def test_book_of_sillytavern_has_both(self) -> None:
        row = {"uid": 0, "key": ["sea"], "content": "x", "triggers": ["continue"]}
        row |= {"characterFilter": {"isExclude": True, "names": ["Wren"], "tags": []}}
        read = read_lorebook({"entries": {"0": row}})
        assert read is not None
        (one,) = read.book["entries"]
        assert self.said(one, "Mara", generation="continue") == ["x"]
        assert self.said(one, "Wren", generation="continue") == []
        assert self.said(one, "Mara") == []


class TestSearchedTexts:
    TEXTS: ClassVar[dict[str, str]] = {
        "match_persona_description": "persona",
        "match_character_description": "description",
        "match_character_personality": "personality",
        "match_character_depth_prompt": "depth_prompt",
        "match_scenario": "scenario",
    }

    @pytest.mark.parametrize("field", TEXTS)
    @pytest.mark.parametrize("key", ["lantern", "/lan.ern/", "lantern room"])
    def test_entry_finds_its_key_there(self, field: str, key: str) -> None:
        texts = {name: f"about {name}" for name in self.TEXTS.values()}
        texts[self.TEXTS[field]] += ", in the lantern rooms"
        said = Conversation(["Hello"], Moment(), describe=texts.__getitem__)
        for name in self.TEXTS:
            read = match_entries({"entries": [entry("x", key, **{name: True})]}, said)
            assert len(read) == (name == field)

    def test_none_is_asked_for_without_need(self) -> None:
        def describe(name: str) -> str:
            raise AssertionError(name)

        said = Conversation(["sea"], Moment(), describe=describe)
        assert match_entries({"entries": [entry("x", "sea", match_scenario=False)]}, said)


class TestBudget:
    def kept(self, *entries: dict[str, Any], budget: int = 10, **book: Any) -> list[str]:
        content = {"entries": list(entries)} | book
        read = match_entries(content, ["sea"])
        chosen = select_entries(read, content, budget_tokens=budget, count=len)
        return [one.content for one in chosen]

    def test_entry_that_ignores_it_counts_not_for_its_book(self) -> None:
        entries = entry("a" * 5), entry("b" * 8, "sea", ignore_budget=True)
        assert self.kept(*entries, budget=20, token_budget=5) == ["a" * 5, "b" * 8]
        assert self.kept(*entries, budget=10, token_budget=5) == ["b" * 8]

    def test_no_entry_exceeds_what_the_prompt_has(self) -> None:
        assert self.kept(entry("a" * 11, ignore_budget=True), budget=10) == []


class TestPlaces:
    def one(self, content: str = "x", **extensions: Any) -> Entry:
        (only,) = match_entries({"entries": [entry(content, **extensions)]}, [])
        return only

    def test_positions_of_sillytavern(self) -> None:
        names = {2: "note_top", 3: "note_bottom", 5: "examples_top", 6: "examples_bottom"}
        assert {number: self.one(position=number).position for number in names} == names
        assert self.one(position=2).depth == 4
        placed = self.one(position=7, outlet_name=" weather ")
        assert (placed.position, placed.outlet) == ("outlet", "weather")

    def test_outlet_without_a_name_is_nowhere(self) -> None:
        assert self.one(position=7).outlet == ""

    def test_positions_of_decorators(self) -> None:
        assert self.one("@@position personality\nx").position == "personality"
        assert self.one("@@position scenario\nx").position == "scenario"

    def test_null_settings_are_those_of_the_book(self) -> None:
        read = self.one(case_sensitive=None, match_whole_words=None, scan_depth=None, role=None)
        assert (read.case_sensitive, read.whole_words, read.scan_depth) == (False, True, None)

    def test_entry_that_gives_way_is_dropped_first(self) -> None:
        book = {"entries": [entry("@@ignore_on_max_context\na"), entry("b", "sea")]}
        shown = match_entries(book, ["sea"])
        (kept,) = select_entries(shown, book, budget_tokens=1, count=len)
        assert kept.content == "b"

    def test_decorators_may_be_repeated(self) -> None:
        one = entry(
            "@@additional_keys a,b\n@@additional_keys c\n@@exclude_keys x\n@@exclude_keys y\nz"
        )
        assert found("b c", entries=[one]) == ["z"]
        assert found("a b", entries=[one]) == []
        assert found("b c y", entries=[one]) == []

    @pytest.mark.parametrize(
        "decorator",
        [
            *("instruct_depth 4", "reverse_depth 2", "instruct_scan_depth 9", "is_greeting 1"),
            *("is_user_icon a", "disable_ui_prompt system_prompt", "made_up"),
        ],
    )
    def test_other_decorators_are_not_in_the_text(self, decorator: str) -> None:
        assert self.one(f"@@{decorator}\nx").content == "x"


class TestSeveralBooks:
    def test_share_the_budget_in_their_order(self) -> None:
        books = [
            Book({"entries": [entry("chat", "sea")]}, "scene", "1"),
            Book({"entries": [entry("card", "sea") | {"insertion_order": 9}]}),
            Book({"entries": [entry("all!", "sea")], "token_budget": 100}, "scene", "2"),
        ]
        shown = match_entries(books, ["sea"])
        assert [(one.content, one.part, one.source) for one in shown] == [
            ("chat", "scene", 0),
            ("card", "character", 1),
            ("all!", "scene", 2),
        ]
        for budget, kept in ((4, {"chat"}), (8, {"chat", "card"}), (12, {"chat", "card", "all!"})):
            fitting = select_entries(shown, books, budget_tokens=budget, count=len)
            assert {one.content for one in fitting} == kept

    def test_each_keeps_its_own_budget_and_depth(self) -> None:
        books = [
            Book({"entries": [entry("a1", "sea"), entry("a2", "sea")], "token_budget": 2}),
            Book({"entries": [entry("b1", "sea")], "scan_depth": 1}, "scene", "2"),
        ]
        shown = match_entries(books, ["sea"])
        fitting = select_entries(shown, books, budget_tokens=99, count=len)
        assert [one.content for one in fitting] == ["a1", "b1"]
        assert [one.content for one in match_entries(books, ["sea", "x"])] == ["a1", "a2"]

    def test_entry_of_one_may_activate_another_of_another(self) -> None:
        books = [
            Book({"entries": [entry("a storm", "sea")], "recursive_scanning": True}),
            Book({"entries": [entry("b", "storm")], "recursive_scanning": True}, "scene", "2"),
            Book({"entries": [entry("c", "storm")]}, "scene", "3"),
        ]
        assert [one.content for one in match_entries(books, ["sea"])] == ["a storm", "b"]


class TestWork:
    """Hostile books: the work grows with the book and the conversation, not with their product."""

    BOOKS: ClassVar[dict[str, Callable[[int], list[dict[str, Any]]]]] = {
        "inflected": lambda n: [entry("x", f"слово{k} маяка") for k in range(n)],
        "same-word": lambda n: [entry("x", "маяк маяк маяк") for _ in range(n)],
        "groups": lambda n: [entry("x", "sea", group=f"g{k % 9}, h") for k in range(n)],
        "timed": lambda n: [entry("x", "sea", sticky=5, cooldown=5) for _ in range(n)],
        "levels": lambda n: [entry("x", "sea", delay_until_recursion=k) for k in range(n)],
        "filters": lambda n: [
            entry("x", "sea", character_filter={"names": [f"w{k}"]}) for k in range(n)
        ],
        "chance": lambda n: [entry("x", "sea", probability=50) for _ in range(n)],
    }  # fmt: skip

    @pytest.mark.parametrize("kind", BOOKS)
    def test_grows_with_the_entries(self, kind: str) -> None:
        texts = ["sea маяк маяка"] * 6

        def matched(entries: list[dict[str, Any]]) -> None:
            match_entries({"entries": entries, "recursive_scanning": True}, texts)

        assert is_linear(matched, self.BOOKS[kind], 40)

    def test_looking_back_grows_with_the_book_and_with_the_messages(self) -> None:
        def matched(size: tuple[int, int]) -> None:
            entries = [entry("x", f"k{number}") for number in range(size[0])]
            texts = [f"k{number}" for number in range(size[1])]
            match_entries({"entries": entries, "min_activations": 100}, texts)

        assert is_linear(matched, lambda n: (n, 40), 40)
        assert is_linear(matched, lambda n: (40, n), 40)

    def test_timed_entries_are_searched_for_a_limited_number_of_keys(self) -> None:
        def matched(keys: int) -> None:
            entries = [entry("x", f"k{number}", sticky=5) for number in range(keys)]
            match_entries({"entries": entries}, ["some words"] * 40)

        assert work(matched, 4 * MAX_REPLAYED_KEYS) < 6 * work(matched, MAX_REPLAYED_KEYS)

    def test_inflected_key_is_looked_for_at_a_limited_number_of_places(self) -> None:
        def searched(text: str) -> None:
            Scope([text]).has(
                "маяк маяк дом",
                depth=1,
                case_sensitive=False,
                whole_words=True,
                as_pattern=False,
            )

        assert is_linear(searched, lambda n: "маяка " * (n // 6), MAX_SCANNED_CHARS // 40)
