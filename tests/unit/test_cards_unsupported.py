"""An import names what will not work as its author meant, and nothing that does."""

from typing import Any

import pytest

from roleplay_chat.cards.model import Card
from roleplay_chat.cards.unsupported import unsupported
from roleplay_chat.lorebook import entries
from roleplay_chat.prompt import macro_expansion
from tests.support.cards import card
from tests.support.work import is_linear


def told(**fields: Any) -> list[str]:
    whole = {"name": "Ina", "description": "A rower.", "first_mes": "Hello."} | fields
    return unsupported(Card.parse({"spec": "chara_card_v3", "spec_version": "3.0", "data": whole}))


def of_entry(**fields: Any) -> list[str]:
    entry = {"keys": ["sea"], "content": "Wide.", "enabled": True} | fields
    return told(character_book={"entries": [entry, entry]})


@pytest.mark.parametrize("name", ["keeper_v1", "detective_v2", "cook_v3"])
def test_card_that_works_needs_no_word(name: str) -> None:
    assert unsupported(Card.parse(card(name))) == []


class TestMacros:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("{{of_tomorrow}}", "{{of_tomorrow}}"),
            ("{{of_tomorrow::a::{{user}}}}", "{{of_tomorrow}}"),
            ("{{ Of_Tomorrow:1d6 }} and {{of_other 5}}", "{{Of_Tomorrow}}, {{of_other}}"),
            ("{{#of_block x}}y{{/of_block}}", "{{#of_block}}"),
            ("{{original}}", "{{original}}"),
        ],
    )
    def test_those_that_are_left_out_are_named(self, text: str, names: str) -> None:
        assert told(first_mes=text) == [f"Macros that are not supported: {names}."]

    @pytest.mark.parametrize(
        "text",
        [
            "{{char}} <USER> {{ user }} {{persona}} {{scenario}} {{// a remark }}",
            "{{character_age}} {{user_pronoun_them}} {{scene_mood}}",
            "{ {{ }} {{}} {{-}}",
        ],
    )
    def test_those_that_are_expanded_are_not(self, text: str) -> None:
        assert told(first_mes=text) == []

    def test_original_is_known_in_instructions(self) -> None:
        instructions = {
            "system_prompt": "{{original}}",
            "post_history_instructions": "{{original}}",
        }
        assert told(**instructions) == []

    @pytest.mark.parametrize(
        "fields",
        [
            {"alternate_greetings": ["{{of_tomorrow}}"]},
            {"group_only_greetings": ["{{of_tomorrow}}"]},
            {"mes_example": "{{of_tomorrow}}"},
            {"extensions": {"depth_prompt": {"prompt": "{{of_tomorrow}}"}}},
            {"character_book": {"entries": [{"keys": ["x"], "content": "{{of_tomorrow}}"}]}},
            {"character_book": {"entries": [{"keys": ["{{of_tomorrow}}"], "content": "x"}]}},
        ],
    )
    def test_of_all_texts(self, fields: dict[str, Any]) -> None:
        assert "{{of_tomorrow}}" in told(**fields)[0]

    def test_name_vanishes_when_the_macro_is_expanded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        functions = {**macro_expansion.FUNCTIONS, "of_tomorrow": macro_expansion.FUNCTIONS["noop"]}
        monkeypatch.setattr(macro_expansion, "FUNCTIONS", functions)
        assert told(first_mes="{{of_tomorrow}}") == []

    def test_many_are_counted(self) -> None:
        text = "".join(f"{{{{macro{number}}}}}" for number in range(100))
        assert told(first_mes=text)[0].endswith("{{macro11}}, and 88 more.")


class TestEntries:
    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"extensions": {"vectorized": True}}, "vectorized"),
            ({"extensions": {"automation_id": "7"}}, "automation_id"),
            ({"extensions": {"match_creator_notes": True}}, "match_creator_notes"),
            ({"extensions": {"character_filter": {"tags": ["sea"]}}}, "character_filter.tags"),
            ({"extensions": {"position": 7}}, "position 7"),
            ({"extensions": {"position": 9}}, "position 9"),
            ({"content": "@@is_greeting 1\nWide."}, "@@is_greeting"),
            ({"extensions": {"triggers": ["quiet"]}}, "triggers"),
            ({"content": "@@of_tomorrow 3\nWide."}, "@@of_tomorrow"),
            ({"content": "@@of_tomorrow 3\n@@@of_later 2\nWide."}, "@@of_tomorrow"),
            ({"content": "@@depth x\nWide."}, "@@depth"),
        ],
    )
    def test_what_has_no_effect_is_named(self, fields: dict[str, Any], named: str) -> None:
        (sentence,) = of_entry(**fields)
        assert sentence.startswith("In lorebook entries this has no effect: ")
        assert f"{named} (2 entries)" in sentence

    @pytest.mark.parametrize(
        "fields",
        [
            {"extensions": {"sticky": 0, "cooldown": None, "group": "", "triggers": []}},
            {"extensions": {"probability": 100, "useProbability": True}},
            {"extensions": {"probability": 20, "useProbability": False}},
            {"extensions": {"position": 4, "depth": 2, "role": 1, "scan_depth": 3}},
            {"extensions": {"exclude_recursion": True, "prevent_recursion": True}},
            {"extensions": {"display_index": 5, "group_weight": 100}},
            {"extensions": {"sticky": 2, "cooldown": 2, "delay": 2}},
            {"extensions": {"delay_until_recursion": True, "risu_activationPercent": 20}},
            {"extensions": {"probability": 50, "useProbability": True}},
            {"extensions": {"group": "weather", "group_override": True, "use_group_scoring": True}},
            {"extensions": {"position": 7, "outlet_name": "x"}},
            {"extensions": {"position": 2}},
            {"content": "@@of_tomorrow 3\n@@@depth 2\nWide."},
            {"content": "@@depth 3\n@@role user\n\nWide."},
            {"enabled": False, "extensions": {"sticky": 2}},
            {"content": "@@dont_activate\nWide.", "extensions": {"sticky": 2}},
        ],
    )
    def test_what_has_an_effect_or_none_anywhere_is_not(self, fields: dict[str, Any]) -> None:
        assert of_entry(**fields) == []

    def test_name_vanishes_when_the_field_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read = entries._entry

        def reads_more(place: int, row: Any) -> Any:
            row["extensions"].get("sticky")
            return read(place, row)

        monkeypatch.setattr(entries, "_entry", reads_more)
        assert of_entry(extensions={"sticky": 2}) == []

    def test_invalid_patterns_are_counted(self) -> None:
        assert "never match: 2." in of_entry(keys=["/[/"], use_regex=True)[0]


class TestOthers:
    def test_linked_lorebook_that_is_not_in_the_file(self) -> None:
        (sentence,) = told(extensions={"world": "Harbour"})
        assert "“Harbour”" in sentence
        book = {"name": "Quay", "entries": [{"keys": ["x"], "content": "y"}]}
        assert told(extensions={"world": "Harbour"}, character_book=book) == [sentence]

    @pytest.mark.parametrize("name", ["Harbour", None])
    def test_linked_lorebook_that_is_in_the_file(self, name: str | None) -> None:
        book = {"name": name, "entries": [{"keys": ["x"], "content": "y"}]}
        assert told(extensions={"world": "Harbour"}, character_book=book) == []

    def test_pictures_besides_the_portrait(self) -> None:
        portrait = {"type": "icon", "name": "main", "uri": "embeded://a.png", "ext": "png"}
        smile = {"type": "emotion", "name": "smile", "uri": "embeded://b.png", "ext": "png"}
        assert told(assets=[portrait, {"type": "icon", "uri": "ccdefault:", "name": "x"}]) == []
        assert told(assets=[portrait, smile])[0].endswith("not stored: 1.")
        risuai = {"emotions": [["smile", "__asset:0"]], "additionalAssets": [["a", "b"]]}
        assert told(extensions={"risuai": risuai})[0].endswith("not stored: 2.")

    @pytest.mark.parametrize("text", ["![a](https://example.com/a.png)", "<IMG src='a'>"])
    def test_pictures_in_texts(self, text: str) -> None:
        (sentence,) = told(first_mes=text, alternate_greetings=["x", text])
        assert sentence == "Pictures in its texts are not shown; they are in 2 of them."

    @pytest.mark.parametrize(
        ("extensions", "named"),
        [
            ({"regex_scripts": [{"findRegex": "x"}]}, "regex_scripts"),
            ({"risuai": {"triggerscript": [{}]}}, "risuai.triggerscript"),
            ({"risuai": {"customScripts": [{}]}}, "risuai.customScripts"),
            ({"risuai": {"virtualscript": "x"}}, "risuai.virtualscript"),
            ({"TavernHelper_scripts": [{}]}, "TavernHelper_scripts"),
        ],
    )
    def test_scripts(self, extensions: dict[str, Any], named: str) -> None:
        assert told(extensions=extensions) == [f"Scripts of the card do not run: {named}."]
        assert told(extensions={"regex_scripts": [], "risuai": {"triggerscript": []}}) == []

    def test_names_from_a_card_are_short_and_printable(self) -> None:
        (sentence,) = told(extensions={"world": "\x1b[31m\u202e" + "x" * 500})
        assert len(sentence) < 150
        assert sentence.isprintable()


def made(number: int) -> Card:
    texts = "{{of_tomorrow}} {{char}} ![a](b) " * number
    entry = {"keys": ["a"], "content": "@@of_tomorrow\n{{x}}", "extensions": {"sticky": 1}}
    book = {"entries": [entry] * number}
    return Card.parse({"name": "Ina", "first_mes": texts, "character_book": book})


def test_work_grows_with_the_card() -> None:
    assert is_linear(unsupported, made, 40)
