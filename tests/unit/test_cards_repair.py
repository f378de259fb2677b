"""Harmless oddities never cost a character: they are read or left out, and the field is named."""

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ApiError
from roleplay_chat.cards.model import MAX_BOOK_ENTRIES, Card, exported
from roleplay_chat.cards.unsupported import unsupported
from roleplay_chat.cards.versions import as_v2, as_v3
from roleplay_chat.lorebook.entries import parse_entries
from tests.support.work import is_linear

TEXTS = (
    *("description", "personality", "scenario", "first_mes", "mes_example"),
    *("system_prompt", "post_history_instructions"),
)
REMARKS = ("creator_notes", "creator", "character_version", "nickname")
LISTS = ("alternate_greetings", "group_only_greetings", "tags", "source")
DATES = ("creation_date", "modification_date")
OBJECTS = ("extensions", "creator_notes_multilingual", "character_book")
FIELDS = (*TEXTS, *REMARKS, *LISTS, *DATES, *OBJECTS, "assets")
"""All fields of V1, V2 and V3 but the name."""
BOOK = (
    *("name", "description", "scan_depth", "token_budget", "recursive_scanning"),
    *("extensions", "entries"),
)
ENTRY = (
    *("keys", "secondary_keys", "content", "enabled", "constant", "selective", "case_sensitive"),
    *("use_regex", "insertion_order", "priority", "id", "name", "comment", "position"),
    "extensions",
)
NOTE = ("prompt", "depth", "role")
JSON_TYPES: dict[str, Any] = {
    "number": 7,
    "fraction": -1.5,
    "zero": 0,
    "text": "Oars.",
    "empty-text": "",
    "true": True,
    "false": False,
    "null": None,
    "list": ["Oars.", 5, None, [], {}],
    "empty-list": [],
    "object": {"a": "Oars.", "b": 5},
    "empty-object": {},
    "nested": [[{"a": [{}]}]],
}
NO_TEXTS = ("number", "fraction", "zero", "true", "list", "object", "nested")
"""What says something, but is no text."""
RIGHT: dict[str, tuple[type, ...]] = {
    **dict.fromkeys((*TEXTS, *REMARKS, "content", "comment", "name", "position"), (str,)),
    **dict.fromkeys(("creator_notes_multilingual", "extensions", "character_book"), (dict,)),
    **dict.fromkeys((*LISTS, "assets", "keys", "secondary_keys", "entries"), (list,)),
    **dict.fromkeys((*DATES, "insertion_order", "priority"), (int, float)),
    **dict.fromkeys(("scan_depth", "token_budget", "depth"), (int, float)),
    **dict.fromkeys(("enabled", "constant", "selective", "case_sensitive", "use_regex"), (bool,)),
    "recursive_scanning": (bool,),
    "id": (int, float, str),
    "prompt": (str,),
    "role": (),
}
"""The types that need no warning."""
ALREADY = {"name": "Ina", "description": "A rower.", "first_mes": "Hello."}


def of_version(version: int, **fields: Any) -> dict[str, Any]:
    data = ALREADY | fields
    spec = {"spec": f"chara_card_v{version}", "spec_version": f"{version}.0"}
    return data if version == 1 else spec | {"data": data}


def with_entry(**fields: Any) -> dict[str, Any]:
    good = {"keys": ["sea"], "content": "The sea is wide."}
    return {"entries": [good, {"keys": ["oar"], "content": "Ash wood."} | fields, good]}


def told(card: dict[str, Any]) -> list[str]:
    """What the owner of an imported card is told, after its character was used in every way."""
    read = Card.parse(card)
    columns = json.loads(json.dumps(read.columns()))
    assert exported(columns, read.original) == read.original
    parse_entries(columns["character_book"] or {})
    assert json.dumps([as_v2(read.original), as_v3(read.original)])
    return [*read.warnings, *unsupported(read)]


def needs_no_warning(name: str, value: Any) -> bool:
    right = RIGHT[name]
    return value is None or (
        type(value) in right and not (value and isinstance(value, list | dict))
    )


def names_field(sentences: list[str], path: str) -> bool:
    return any(re.search(rf"`{re.escape(path)}[.`\w]", sentence) for sentence in sentences)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("type_", JSON_TYPES)
@pytest.mark.parametrize("field", FIELDS)
def test_any_type_of_any_field_is_read_or_named(field: str, type_: str, version: int) -> None:
    value = JSON_TYPES[type_]
    card = of_version(version, **{field: value})
    if field in TEXTS and type_ in NO_TEXTS:
        with pytest.raises(ApiError, match="invalid_card") as caught:
            told(card)
        assert caught.value.message == f"`{field}` must be text."
        return
    sentences = told(card)
    plain = isinstance(value, list | dict) and type(value) in RIGHT[field]
    assert plain or needs_no_warning(field, value) or names_field(sentences, field)


@pytest.mark.parametrize("type_", JSON_TYPES)
@pytest.mark.parametrize("field", BOOK)
def test_any_type_of_any_field_of_a_book_is_read_or_named(field: str, type_: str) -> None:
    value = JSON_TYPES[type_]
    sentences = told(of_version(2, character_book=with_entry() | {field: value}))
    path = f"character_book.{field}"
    plain = isinstance(value, list | dict) and type(value) in RIGHT[field]
    is_fine = needs_no_warning(field, value) and not (field == "entries" and value is None)
    assert (
        plain
        or is_fine
        or names_field(sentences, path)
        or (field == "entries" and names_field(sentences, "character_book"))
    )


@pytest.mark.parametrize("type_", JSON_TYPES)
@pytest.mark.parametrize("field", ENTRY)
def test_any_type_of_any_field_of_an_entry_costs_that_entry_at_most(field: str, type_: str) -> None:
    value = JSON_TYPES[type_]
    card = of_version(3, character_book=with_entry(**{field: value}))
    sentences = told(card)
    entries = Card.parse(card).columns()["character_book"]["entries"]
    assert [entries[0], entries[-1]] == [with_entry()["entries"][0]] * 2
    assert len(entries) in (2, 3)
    assert all(isinstance(entry.get("content", ""), str) for entry in entries)
    path = f"character_book.entries.1.{field}"
    plain = isinstance(value, list | dict) and type(value) in RIGHT[field]
    assert plain or needs_no_warning(field, value) or names_field(sentences, path)


@pytest.mark.parametrize("type_", JSON_TYPES)
@pytest.mark.parametrize("field", NOTE)
def test_any_type_of_any_field_of_the_depth_prompt_is_read_or_named(field: str, type_: str) -> None:
    value = JSON_TYPES[type_]
    note = {"prompt": "Brief.", field: value}
    sentences = told(of_version(2, extensions={"depth_prompt": note}))
    path = f"extensions.depth_prompt.{field}"
    assert needs_no_warning(field, value) or names_field(sentences, path)


@pytest.mark.parametrize("type_", JSON_TYPES)
@pytest.mark.parametrize("name", ["depth_prompt", "talkativeness", "world", "roleplay_backend"])
def test_any_type_of_an_extension_that_is_read(name: str, type_: str) -> None:
    value = JSON_TYPES[type_]
    sentences = told(of_version(2, extensions={name: value}))
    right = {"talkativeness": 0, "world": "Oars."}.get(name, {})
    is_right = type(value) is type(right) and (name != "talkativeness" or value == 0)
    assert value in (None, "") or is_right or names_field(sentences, f"extensions.{name}")


@pytest.mark.parametrize("type_", sorted(set(JSON_TYPES) - {"null"}))
@pytest.mark.parametrize("version", [1, 2, 3])
def test_name_is_text_and_nothing_else(version: int, type_: str) -> None:
    value = JSON_TYPES[type_]
    if type_ == "text":
        assert Card.parse(of_version(version, name=value)).fields.name == value
        return
    with pytest.raises(ApiError) as caught:
        Card.parse(of_version(version, name=value))
    assert caught.value.message == f"`name` must {'not be blank' if value == '' else 'be text'}."


@pytest.mark.parametrize(
    ("fields", "column", "value"),
    [
        pytest.param({"alternate_greetings": "Hi."}, "alternate_greetings", ["Hi."], id="text"),
        pytest.param(
            {"alternate_greetings": ["Hi.", 5, None, "Ho."]},
            "alternate_greetings",
            ["Hi.", "5", "Ho."],
            id="odd-ones-in-a-list",
        ),
        pytest.param(
            {"alternate_greetings": {"0": "Hi.", "1": "Ho."}},
            "alternate_greetings",
            ["Hi.", "Ho."],
            id="object",
        ),
        pytest.param({"nickname": 7}, "nickname", "7", id="number-for-a-nickname"),
        pytest.param({"character_book": {}}, "character_book", None, id="empty-book"),
        pytest.param({"character_book": []}, "character_book", None, id="empty-list-of-entries"),
        pytest.param({"character_book": ""}, "character_book", None, id="blank-book"),
        pytest.param(
            {"extensions": {"talkativeness": "0.25"}}, "talkativeness", 0.25, id="talkativeness"
        ),
        pytest.param({"extensions": {"talkativeness": 7}}, "talkativeness", None, id="too-much"),
        pytest.param(
            {"extensions": {"depth_prompt": {"prompt": "x", "depth": "2"}}},
            "depth_prompt_depth",
            2,
            id="depth-as-text",
        ),
        pytest.param(
            {"extensions": {"depth_prompt": {"prompt": "x", "role": 1}}},
            "depth_prompt_role",
            "user",
            id="role-as-a-number",
        ),
        pytest.param(
            {"extensions": {"depth_prompt": {"prompt": "x", "role": "User "}}},
            "depth_prompt_role",
            "user",
            id="role-in-capitals",
        ),
        pytest.param(
            {"extensions": {"depth_prompt": {"prompt": "x", "depth": -3}}},
            "depth_prompt_depth",
            0,
            id="depth-below-zero",
        ),
        pytest.param(
            {"extensions": {"depth_prompt": "Brief."}}, "depth_prompt", "Brief.", id="note-as-text"
        ),
    ],
)
def test_what_is_meant_is_what_is_read(fields: dict[str, Any], column: str, value: Any) -> None:
    assert Card.parse(of_version(2, **fields)).columns()[column] == value


def entries_of(book: Any) -> list[dict[str, Any]]:
    columns = Card.parse(of_version(2, character_book=book)).columns()
    entries: list[dict[str, Any]] = columns["character_book"]["entries"]
    return entries


class TestEntries:
    @pytest.mark.parametrize(
        ("odd", "read"),
        [
            ({"enabled": None}, {}),
            ({"enabled": 1}, {"enabled": True}),
            ({"enabled": 0}, {"enabled": False}),
            ({"enabled": "false"}, {"enabled": False}),
            ({"enabled": []}, {}),
            ({"enabled": ""}, {}),
            ({"constant": 1}, {"constant": True}),
            ({"keys": "sea, shore"}, {"keys": ["sea", "shore"]}),
            ({"keys": ["sea", 1954, None, ["x"]]}, {"keys": ["sea", "1954"]}),
            ({"keys": None}, {}),
            ({"keys": {"0": "sea"}}, {"keys": ["sea"]}),
            ({"content": 1954}, {"content": "1954"}),
            ({"insertion_order": "5"}, {"insertion_order": 5}),
            ({"insertion_order": "first"}, {}),
            ({"position": 0}, {"position": "before_char"}),
            ({"extensions": []}, {}),
        ],
    )
    def test_odd_value_is_read_or_left_out(self, odd: dict[str, Any], read: Any) -> None:
        (entry,) = entries_of({"entries": [{"content": "Wide."} | odd]})
        assert entry == {"content": "Wide."} | read

    @pytest.mark.parametrize(
        ("odd", "read"),
        [
            ({"position": 4.0}, {"position": 4}),
            ({"position": "4"}, {"position": 4}),
            ({"position": True}, {}),
            ({"selectiveLogic": 2.0}, {"selectiveLogic": 2}),
            ({"selectiveLogic": "2"}, {"selectiveLogic": 2}),
            ({"selectiveLogic": 4}, {}),
            ({"selectiveLogic": "never"}, {}),
            ({"exclude_recursion": 1}, {"exclude_recursion": True}),
            ({"exclude_recursion": "true"}, {"exclude_recursion": True}),
            ({"useProbability": "no"}, {"useProbability": False}),
            ({"match_scenario": "perhaps"}, {}),
            ({"role": "user"}, {"role": 1}),
            ({"role": 1.0}, {"role": 1}),
            ({"role": "narrator"}, {}),
            ({"role": 3}, {}),
            ({"depth": "2"}, {"depth": 2}),
            ({"depth": "deep"}, {}),
            ({"delay_until_recursion": "true"}, {"delay_until_recursion": True}),
            ({"delay_until_recursion": "2"}, {"delay_until_recursion": 2}),
            ({"group": 5}, {"group": "5"}),
            ({"triggers": "normal, swipe"}, {"triggers": ["normal", "swipe"]}),
            ({"character_filter": []}, {}),
            ({"scan_depth": None, "mine": "4"}, {"scan_depth": None, "mine": "4"}),
        ],
    )
    def test_extension_of_another_type_is_read_or_named(
        self, odd: dict[str, Any], read: dict[str, Any]
    ) -> None:
        book = {"entries": [{"content": "Wide.", "extensions": odd}]}
        card = of_version(2, character_book=book)
        assert entries_of(book) == [{"content": "Wide.", "extensions": read}]
        (name,) = odd.keys() - {"mine"}
        is_fine = odd[name] is None or isinstance(odd[name], float)
        assert is_fine or names_field(told(card), f"character_book.entries.0.extensions.{name}")

    @pytest.mark.parametrize("own", [{"key": ["sea"], "order": 1}, {"keys": ["sea"]}])
    @pytest.mark.parametrize(
        ("odd", "enabled"),
        [
            ({"disable": 1.0}, False),
            ({"disable": 1}, False),
            ({"disable": "true"}, False),
            ({"disable": "1"}, False),
            ({"disable": "false"}, True),
            ({"disable": "perhaps"}, True),
            ({"disable": []}, True),
            ({"disable": "true", "enabled": True}, False),
            ({"disable": "false", "enabled": "no"}, False),
        ],
    )
    def test_entry_is_disabled_in_any_way_to_say_so(
        self, own: dict[str, Any], odd: dict[str, Any], enabled: bool
    ) -> None:
        card = of_version(2, character_book={"entries": [own | {"content": "Wide."} | odd]})
        (entry,) = Card.parse(card).columns()["character_book"]["entries"]
        assert entry.get("enabled", True) is enabled
        assert "disable" not in entry
        assert names_field(told(card), "character_book.entries.0.disable")

    @pytest.mark.parametrize(("place", "known"), [(4, "in_chat"), ("4", "in_chat"), (0.0, None)])
    def test_position_of_sillytavern_beside_the_extensions(self, place: Any, known: Any) -> None:
        (entry,) = parse_entries(
            {"entries": entries_of([{"keys": ["sea"], "content": "Wide.", "position": place}])}
        )
        assert entry.position == (known or "before_char")

    def test_object_of_entries_is_a_list(self) -> None:
        entry = {"keys": ["sea"], "content": "Wide."}
        assert entries_of({"entries": {"0": entry, "7": entry}}) == [entry, entry]
        assert entries_of([entry]) == [entry]

    @pytest.mark.parametrize("bad", [None, 5, "text", [], {"content": {}}, {"content": ["x"]}])
    def test_bad_one_costs_itself_alone(self, bad: Any) -> None:
        good = {"keys": ["sea"], "content": "Wide."}
        assert entries_of({"entries": [good, bad, good]}) == [good, good]

    def test_many_with_one_fault_are_one_warning(self) -> None:
        book = {"entries": [{"keys": None, "content": "x"}] * 500}
        (warning,) = Card.parse(of_version(2, character_book=book)).warnings
        assert "`character_book.entries.0.keys` is null" in warning
        assert "499 more" in warning

    def test_too_many_are_too_many_in_an_object_as_well(self) -> None:
        book: dict[str, Any] = {
            "entries": {str(number): {} for number in range(MAX_BOOK_ENTRIES + 1)}
        }
        with pytest.raises(ApiError) as caught:
            Card.parse(of_version(2, character_book=book))
        assert caught.value.status == 413

    def test_those_of_sillytavern_in_a_card_are_converted(self) -> None:
        own = {"uid": 3, "key": ["sea"], "keysecondary": [], "content": "Wide.", "order": 7}
        own |= {"disable": False, "position": 4, "depth": 2, "excludeRecursion": True}
        card = of_version(2, character_book={"entries": {"3": own}})
        (entry,) = Card.parse(card).columns()["character_book"]["entries"]
        assert (entry["keys"], entry["insertion_order"], entry["enabled"]) == (["sea"], 7, True)
        assert entry["extensions"] == {"position": 4, "depth": 2, "exclude_recursion": True}
        assert names_field(told(card), "character_book.entries.0")


class TestEnvelope:
    @pytest.mark.parametrize("data", [None, [], "", 5, {}])
    def test_fields_of_v1_beside_no_data_are_the_card(self, data: Any) -> None:
        card = ALREADY | {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}
        assert Card.parse(card).fields.name == "Ina"
        assert names_field(told(card), "data")
        assert as_v3(card)["data"] == as_v3(ALREADY)["data"]

    def test_declared_version_needs_no_data_where_the_fields_are_beside_it(self) -> None:
        assert Card.parse(ALREADY | {"spec": "chara_card_v2"}).version == 1

    @pytest.mark.parametrize("stated", [2, 2.0, True, [], {}])
    def test_odd_version_number_is_named(self, stated: Any) -> None:
        card = of_version(2) | {"spec_version": stated}
        assert names_field(told(card), "spec_version")

    @pytest.mark.parametrize("spec", [2, True, [], {}, "", "tavern", "Chara_Card_V2"])
    def test_odd_spec_is_none_where_the_fields_are_a_characters(self, spec: Any) -> None:
        assert names_field(told(of_version(2) | {"spec": spec}), "spec")


@pytest.mark.parametrize(
    "fields",
    [
        {"alternate_greetings": [["Hidden."]]},
        {"group_only_greetings": {"0": {"x": ["Hidden."]}}},
        {"nickname": ["Hidden."]},
        {"extensions": {"depth_prompt": {"prompt": ["Hidden."]}}},
        {"character_book": "Hidden."},
        {"character_book": {"entries": ["Hidden."]}},
        {"character_book": {"entries": [{"content": ["Hidden."]}]}},
    ],
)
def test_what_is_left_out_is_screened_all_the_same(fields: dict[str, Any]) -> None:
    """It is in the export."""
    read = Card.parse(of_version(3, **fields))
    assert "Hidden." not in json.dumps(read.columns())
    assert "Hidden." in read.other_texts()


def test_what_is_read_is_not_screened_twice() -> None:
    assert Card.parse(of_version(3, character_book=with_entry())).other_texts() == []


def test_original_is_kept_as_it_came() -> None:
    odd = of_version(3, tags="sea, noir", character_book=with_entry(enabled=1), creator_notes=5)
    before = copy.deepcopy(odd)
    read = Card.parse(odd)
    assert read.original == odd == before
    changed = read.columns() | {"description": "Retired."}
    assert exported(changed, read.original)["data"] == odd["data"] | {"description": "Retired."}


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ENTRY, *BOOK, *NOTE, "key", "uid", "text"]), inner)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "name", "kind", "persona"]), anything), anything)
def test_any_card_is_read_or_refused_with_a_sentence(fields: dict[str, Any], data: Any) -> None:
    for card in (
        fields,
        ALREADY | fields,
        of_version(3) | {"data": ALREADY | fields},
        {"data": data},
    ):
        try:
            sentences = told(card)
        except ApiError as error:
            sentences = [error.message]
        assert all(sentence.endswith(".") and len(sentence) < 2_000 for sentence in sentences)


def card_with_odd_entries(number: int) -> dict[str, Any]:
    odd = {"keys": [1, None, {}], "content": "{{roll}}", "enabled": 1, "extensions": {"sticky": 1}}
    return of_version(2, character_book={"entries": [odd] * number})


def test_work_grows_with_the_card() -> None:
    assert is_linear(lambda card: Card.parse(card).columns(), card_with_odd_entries, 150)


@pytest.mark.parametrize(
    "book", [{}, {"entries": None}, {"entries": ""}, {"entries": [{"content": []}]}]
)
def test_what_was_left_out_is_said_once(book: dict[str, Any]) -> None:
    card = Card.parse({"name": "Ina", "description": "Rows.", "character_book": book})
    assert len(card.warnings) <= 2
    assert not [warning for warning in card.warnings if "read as null" in warning]
