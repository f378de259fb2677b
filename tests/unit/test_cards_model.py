"""A card becomes columns, and the columns become the card again."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ApiError
from roleplay_chat.cards import files, json_file, png_file
from roleplay_chat.cards.model import COLUMNS, Card, exported
from roleplay_chat.cards.versions import as_v2, as_v3, is_newer
from tests.support.cards import card

CARDS = ["keeper_v1", "detective_v2", "cook_v3"]


def exported_after(original: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The export of an imported card after changes of its columns."""
    return exported({**Card.parse(original).columns(), **changes}, original)


def v2(**fields: Any) -> dict[str, Any]:
    data = {"name": "Inès", "first_mes": "Yes?"} | fields
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}


def refused(original: dict[str, Any], code: str = "invalid_card") -> str:
    with pytest.raises(ApiError) as caught:
        Card.parse(original)
    status = {"invalid_card": 400, "card_too_large": 413}[code]
    assert (caught.value.status, caught.value.code) == (status, code)
    return caught.value.message


class TestColumns:
    def test_v1_card_becomes_columns(self) -> None:
        read = Card.parse(card("keeper_v1"))
        columns = read.columns()
        assert (read.version, read.greetings(), read.book_entries()) == (1, 1, 0)
        assert columns["name"] == "Tobias Wren"
        assert columns["first_message"].startswith("*He takes the mailbag")
        assert columns["example_messages"].startswith("<START>")
        assert columns["system_prompt"] == ""
        assert (columns["age"], columns["pronouns"], columns["character_book"]) == (None,) * 3

    def test_v2_card_becomes_columns(self) -> None:
        original = card("detective_v2")
        read = Card.parse(original)
        columns = read.columns()
        assert (read.version, read.greetings(), read.book_entries()) == (2, 3, 4)
        assert set(columns) == set(COLUMNS)
        assert columns["system_prompt"].startswith("{{original}}")
        assert columns["post_history_instructions"].startswith("{{original}}")
        assert columns["alternate_greetings"] == original["data"]["alternate_greetings"]
        assert columns["character_book"] == original["data"]["character_book"]
        assert (columns["age"], columns["pronouns"]) == (44, "she/her")

    def test_v3_card_becomes_columns(self) -> None:
        read = Card.parse(card("cook_v3"))
        assert (read.version, read.greetings(), read.book_entries()) == (3, 2, 2)
        assert read.fields.nickname == "Bram"

    def test_null_fields_are_empty(self) -> None:
        fields = [
            "description", "creator", "tags", "alternate_greetings", "character_book", "extensions",
            "nickname", "post_history_instructions",
        ]  # fmt: skip
        columns = Card.parse(v2(**dict.fromkeys(fields))).columns()
        assert columns["description"] == ""
        assert columns["alternate_greetings"] == []
        assert columns["character_book"] is None

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"description": "Inès is 25 years old."}, id="in-text"),
            pytest.param({"age": 25}, id="beside"),
            pytest.param({"extensions": {"age": 25}}, id="elsewhere-in-extensions"),
            pytest.param({"tags": ["25"]}, id="in-tags"),
        ],
    )
    def test_age_is_never_guessed(self, fields: dict[str, Any]) -> None:
        assert Card.parse(v2(**fields)).columns()["age"] is None

    def test_card_cannot_set_what_is_not_a_cards_business(self) -> None:
        sly = v2(content_rating="nsfw", is_public=True, user_id="x", id="y")
        assert set(Card.parse(sly).columns()) == set(COLUMNS)


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            pytest.param({"name": 5}, "`name`", id="number-for-a-name"),
            pytest.param({"name": ""}, "blank", id="no-name"),
            pytest.param({"name": " \n"}, "blank", id="blank-name"),
            pytest.param({"description": 5}, "`description`", id="number-for-a-text"),
            pytest.param({"first_mes": ["Hi"]}, "`first_mes`", id="list-for-a-text"),
            pytest.param(
                {"extensions": {"roleplay_backend": {"age": "44"}}}, "age", id="age-as-text"
            ),
            pytest.param({"extensions": {"roleplay_backend": {"age": -1}}}, "age", id="age"),
            pytest.param({"extensions": {"roleplay_backend": {"age": True}}}, "age", id="yes"),
        ],
    )
    def test_card_with_wrong_types_is_refused(self, fields: dict[str, Any], named: str) -> None:
        assert named in refused(v2(**fields))

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"name": "x" * 121}, id="name"),
            pytest.param({"description": "x" * 20_001}, id="text"),
            pytest.param({"post_history_instructions": "x" * 8_001}, id="instructions"),
            pytest.param({"alternate_greetings": ["Hi"] * 65}, id="greetings"),
            pytest.param({"group_only_greetings": ["Hi"] * 65}, id="group-greetings"),
            pytest.param({"group_only_greetings": ["x" * 19_000] * 10}, id="long-group-greetings"),
            pytest.param({"nickname": "x" * 121}, id="nickname"),
            pytest.param(
                {"extensions": {"depth_prompt": {"prompt": "x" * 8_001}}}, id="depth-prompt"
            ),
            pytest.param({"alternate_greetings": ["x" * 19_000] * 10}, id="long-greetings"),
            pytest.param({"character_book": {"entries": [{}] * 2_001}}, id="entries"),
            pytest.param(
                {"character_book": {"entries": [], "extensions": {"x": "x" * 600_000}}}, id="book"
            ),
        ],
    )
    def test_card_with_too_long_fields_is_refused(self, fields: dict[str, Any]) -> None:
        refused(v2(**fields), "card_too_large")

    @pytest.mark.parametrize(
        ("original", "named"),
        [
            pytest.param({}, "`name`", id="empty"),
            pytest.param({"spec": "lorebook_v3", "data": {"entries": []}}, "another", id="book"),
            pytest.param({"spec": 2, "data": {"name": "x"}}, "another", id="spec-number"),
            pytest.param({"spec": "chara_card_v2"}, "`data`", id="no-data"),
            pytest.param({"data": None}, "`data`", id="null-data"),
        ],
    )
    def test_json_that_is_no_card_is_refused(self, original: dict[str, Any], named: str) -> None:
        assert named in refused(original)


class TestVersions:
    @pytest.mark.parametrize(
        ("original", "newer"),
        [
            pytest.param(v2(), False, id="v2"),
            pytest.param({"name": "x", "personality": "Dry."}, False, id="v1"),
            pytest.param({**v2(), "spec": "chara_card_v3", "spec_version": "3.0"}, False, id="v3"),
            pytest.param({**v2(), "spec": "chara_card_v3", "spec_version": "3.1"}, True, id="3.1"),
            pytest.param({**v2(), "spec": "chara_card_v4", "spec_version": "4.0"}, True, id="v4"),
            pytest.param({**v2(), "spec_version": "soon"}, False, id="odd-number"),
            pytest.param({**v2(), "spec_version": [2]}, False, id="odd-type"),
        ],
    )
    def test_newer_ones_are_read_and_said_to_be(
        self, original: dict[str, Any], newer: bool
    ) -> None:
        assert Card.parse(original).fields.name
        assert is_newer(original) is newer

    def test_older_card_becomes_v3(self) -> None:
        original = card("detective_v2")
        newer = as_v3(original)
        assert (newer["spec"], newer["spec_version"]) == ("chara_card_v3", "3.0")
        assert newer["data"] == {**original["data"], "group_only_greetings": []}

    def test_flat_card_as_v2_keeps_what_is_unknown(self) -> None:
        newer = as_v2(card("keeper_v1"))
        assert newer["spec"] == "chara_card_v2"
        assert newer["data"]["metadata"] == card("keeper_v1")["metadata"]
        assert newer["data"]["extensions"] == {}

    def test_v3_as_v2_has_no_decorators(self) -> None:
        original = card("cook_v3")
        before = copy.deepcopy(original)
        entries = as_v2(original)["data"]["character_book"]["entries"]
        assert entries[0]["content"] == "In a storm {{char}} lashes the pots and sings."
        assert original == before

    @pytest.mark.parametrize("name", CARDS)
    def test_same_version_stays_as_it_is(self, name: str) -> None:
        original = card(name)
        assert as_v3(as_v3(original)) == as_v3(original)
        assert as_v2(as_v2(original)) == as_v2(original)


class TestExport:
    @pytest.mark.parametrize("name", CARDS)
    def test_export_equals_the_imported_card(self, name: str) -> None:
        assert exported_after(card(name)) == card(name)

    @pytest.mark.parametrize("name", CARDS)
    def test_export_has_what_was_changed_since(self, name: str) -> None:
        changes = {
            "name": "Renamed",
            "nickname": "Ren",
            "first_message": "Changed.",
            "alternate_greetings": ["Another."],
            "character_book": {"entries": [{"keys": ["sea"], "content": "Wide."}]},
            "age": 70,
            "pronouns": None,
            "group_only_greetings": ["All of you."],
            "depth_prompt": "Short sentences.",
            "depth_prompt_depth": 2,
            "depth_prompt_role": "user",
            "talkativeness": 0.25,
        }
        after = exported_after(card(name), **changes)
        columns = Card.parse(after).columns()
        assert columns == Card.parse(card(name)).columns() | changes
        fields = after.get("data", after)
        assert (fields["name"], fields["first_mes"]) == ("Renamed", "Changed.")
        assert fields["extensions"]["roleplay_backend"] == {"age": 70}
        note = {"prompt": "Short sentences.", "depth": 2, "role": "user"}
        assert fields["extensions"]["depth_prompt"] == note
        assert fields["extensions"]["talkativeness"] == 0.25

    def test_changes_copies_of_a_text_beside_the_data_too(self) -> None:
        after = exported_after(card("detective_v2"), first_message="Changed.")
        assert after["first_mes"] == "Changed."
        assert "description" not in after

    def test_book_that_was_taken_out_is_gone(self) -> None:
        after = exported_after(card("detective_v2"), character_book=None)
        assert "character_book" not in after["data"]

    def test_nickname_that_was_taken_away_is_gone(self) -> None:
        assert Card.parse(card("cook_v3")).columns()["nickname"] == "Bram"
        assert "nickname" not in exported_after(card("cook_v3"), nickname=None)["data"]

    @pytest.mark.parametrize("nickname", ["", " ", None])
    def test_blank_nickname_is_none_and_stays_as_it_came(self, nickname: str | None) -> None:
        original = v2(nickname=nickname)
        assert Card.parse(original).columns()["nickname"] is None
        assert exported_after(original) == original

    def test_export_does_not_change_the_row(self) -> None:
        original = card("detective_v2")
        row = Card.parse(original).columns() | {"age": 70}
        before = copy.deepcopy((row, original))
        exported(row, original)
        assert (row, original) == before

    def test_character_without_a_card_is_exported_as_v3(self) -> None:
        row: dict[str, Any] = {
            **dict.fromkeys(COLUMNS, ""),
            "name": "Mara",
            "first_message": "Sit.",
            "alternate_greetings": [],
            "character_book": None,
            "age": 52,
            "pronouns": None,
            "nickname": None,
            "group_only_greetings": [],
            "depth_prompt_depth": 4,
            "depth_prompt_role": "system",
            "talkativeness": None,
        }
        after = exported(row, None)
        assert after["spec"] == "chara_card_v3"
        assert (after["data"]["name"], after["data"]["first_mes"]) == ("Mara", "Sit.")
        assert after["data"]["extensions"] == {"roleplay_backend": {"age": 52}}
        assert Card.parse(after).columns() == {name: row[name] for name in COLUMNS}
        assert exported(row | {"first_message": ""}, None)["data"]["name"] == "Mara"


# Texts and numbers that Postgres and JSON represent in the same way.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
known = st.fixed_dictionaries(
    {"name": texts.filter(lambda name: bool(name.strip()))},
    optional={
        "description": texts | st.none(),
        "first_mes": texts,
        "alternate_greetings": st.lists(texts, max_size=3) | st.none(),
        "nickname": texts | st.none(),
        "tags": st.lists(texts, max_size=3),
        "character_book": st.none()
        | st.fixed_dictionaries(
            {"entries": st.lists(st.fixed_dictionaries({"content": texts, "more": anything}))},
            optional={"extensions": anything, "scan_depth": anything},
        ),
        "extensions": st.dictionaries(texts, anything, max_size=4) | st.none(),
        "assets": anything,
        "of_tomorrow": anything,
    },
)
cards = st.one_of(
    known.map(lambda fields: fields | {"personality": "Dry."}),
    st.fixed_dictionaries(
        {
            "spec": st.sampled_from(["chara_card_v2", "chara_card_v3"]),
            "data": known.map(lambda fields: {"scenario": "A quay."} | fields),
        },
        optional={"spec_version": texts, "more": anything},
    ),
)


@given(cards)
def test_round_trip_loses_nothing(original: dict[str, Any]) -> None:
    read = Card.parse(files.read(json_file.write(original)).card)
    columns, stored = json.loads(json.dumps([read.columns(), read.original]))
    assert exported(columns, stored) == original


@given(cards)
def test_round_trip_by_picture_loses_nothing_of_the_fields(original: dict[str, Any]) -> None:
    picture = png_file.write(
        v2=json_file.write(as_v2(original)), v3=json_file.write(as_v3(original))
    )
    fields = original.get("data", original)
    found = files.read(picture).card["data"]
    assert {name: found[name] for name in fields} == fields
