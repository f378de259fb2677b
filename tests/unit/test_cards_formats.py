"""Characters of other programs become cards; files that hold none are named for what they are."""

import json
import os
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ApiError
from roleplay_chat.cards import files, yaml_file
from roleplay_chat.cards.formats import lorebook_of
from roleplay_chat.cards.lorebooks import read_lorebook
from roleplay_chat.cards.model import Card, exported
from roleplay_chat.lorebook.entries import parse_entries
from tests.support.cards import archive, card, picture
from tests.support.work import is_linear


def of_file(raw: bytes) -> Card:
    return Card.parse(files.read(raw).card)


def refused(value: dict[str, Any]) -> str:
    with pytest.raises(ApiError, match="invalid_card") as caught:
        Card.parse(value)
    assert caught.value.message.endswith(".")
    return caught.value.message


def refused_file(raw: bytes, code: str = "invalid_card") -> str:
    with pytest.raises(ApiError, match=code) as caught:
        of_file(raw)
    return caught.value.message


V2_ALONE = {"spec": "chara_card_v2", "data": {"name": "Ina", "description": "Rows."}}


def agnai(kind: str = "text", **attributes: list[str]) -> dict[str, Any]:
    return {
        "_id": "c0ffee",
        "kind": "character",
        "name": "Ina",
        "description": "For long evenings.",
        "persona": {"kind": kind, "attributes": attributes or {"text": ["Ina rows the ferry."]}},
        "greeting": "Step in, {{user}}.",
        "sampleChat": "{{char}}: Mind the oar.",
        "scenario": "On the quay.",
        "alternateGreetings": ["Late again?"],
        "systemPrompt": "",
        "postHistoryInstructions": "Brief.",
        "insert": {"depth": 3, "prompt": "She is tired."},
        "tags": ["sea"],
        "creator": "harbour-tales",
        "characterVersion": "2",
        "voice": {"service": "none"},
        "avatar": "a.png",
        "characterBook": {
            "name": "Harbour",
            "entries": [
                {"name": "Tide", "entry": "The tide is out.", "keywords": ["tide"], "weight": 4}
                | {"priority": 9, "enabled": True}
            ],
        },
    }


class TestAgnai:
    def test_character_becomes_a_card(self) -> None:
        read = Card.parse(agnai())
        columns = read.columns()
        assert columns["name"] == "Ina"
        assert columns["description"] == "Ina rows the ferry."
        assert columns["first_message"] == "Step in, {{user}}."
        assert columns["example_messages"] == "{{char}}: Mind the oar."
        assert columns["scenario"] == "On the quay."
        assert columns["alternate_greetings"] == ["Late again?"]
        assert columns["post_history_instructions"] == "Brief."
        assert (columns["depth_prompt"], columns["depth_prompt_depth"]) == ("She is tired.", 3)
        assert read.fields.creator_notes == "For long evenings."
        (entry,) = parse_entries(columns["character_book"])
        assert (entry.content, entry.keys, entry.order) == ("The tide is out.", ("tide",), 4)
        assert read.warnings == ("The character was converted from the format of Agnai.",)

    @pytest.mark.parametrize(
        ("kind", "description"),
        [
            ("attributes", "mind: calm, dry\nage: forty"),
            ("wpp", '[character("Ina") {\nmind("calm" + "dry")\nage("forty")\n}]'),
            ("sbf", '[ character: "Ina"; mind: "calm", "dry"; age: "forty" ]'),
            ("boostyle", "Ina + calm + dry + forty"),
            ("text", "mind: calm, dry\nage: forty"),
            ("of-tomorrow", "mind: calm, dry\nage: forty"),
        ],
    )
    def test_persona_is_the_description_in_its_notation(self, kind: str, description: str) -> None:
        read = Card.parse(agnai(kind, mind=["calm", "dry"], age=["forty"], none=[]))
        assert read.columns()["description"] == description

    @pytest.mark.parametrize("persona", ["Ina rows.", {"attributes": "Ina rows."}])
    def test_persona_as_plain_text(self, persona: Any) -> None:
        assert Card.parse(agnai() | {"persona": persona}).columns()["description"] == "Ina rows."

    @pytest.mark.parametrize("persona", [None, 5, [], {"kind": 5, "attributes": {"a": [5, None]}}])
    def test_odd_persona_is_refused_or_none(self, persona: Any) -> None:
        try:
            assert Card.parse(agnai() | {"persona": persona}).columns()["description"] == ""
        except ApiError as error:
            assert error.message == "`description` must be text."  # noqa: PT017

    def test_without_its_kind(self) -> None:
        whole = agnai()
        del whole["kind"]
        assert Card.parse(whole).columns()["description"] == "Ina rows the ferry."
        plain = {"name": "Ina", "greeting": "Hi.", "sampleChat": "", "persona": "Rows."}
        assert Card.parse(plain).columns()["first_message"] == "Hi."

    def test_what_has_no_field_in_a_card_is_kept(self) -> None:
        stored = Card.parse(agnai()).original
        assert stored["data"]["extensions"]["agnai"]["voice"] == {"service": "none"}
        assert Card.parse(stored).columns() == Card.parse(agnai()).columns()
        assert exported(Card.parse(stored).columns(), stored) == stored

    def test_character_that_says_nothing_is_none(self) -> None:
        empty = {"kind": "character", "name": "Ina", "persona": {"kind": "wpp", "attributes": {}}}
        assert "none of" in refused(empty | {"description": "For long evenings."})


PYGMALION = {
    "char_name": "Ina",
    "char_persona": "Ina rows the ferry.",
    "char_greeting": "Step in.",
    "example_dialogue": "You: Hello\nIna: Mind the oar.",
    "world_scenario": "On the quay.",
}
WEBUI = """\
name: Ina
greeting: |-
  Step in, {{user}}.
  Mind the oar.
context: "{{char}} rows the ferry."
your_name: Ada
"""


class TestPygmalion:
    def test_character_becomes_a_card(self) -> None:
        columns = Card.parse(PYGMALION).columns()
        assert columns["name"] == "Ina"
        assert columns["description"] == "Ina rows the ferry."
        assert columns["first_message"] == "Step in."
        assert columns["example_messages"].startswith("You: Hello")
        assert columns["scenario"] == "On the quay."

    @pytest.mark.parametrize("start", [b"", b"---\n", b"\xef\xbb\xbf", b"# mine\n"])
    def test_yaml_of_the_webui_becomes_a_card(self, start: bytes) -> None:
        read = of_file(start + WEBUI.encode())
        columns = read.columns()
        assert columns["name"] == "Ina"
        assert columns["first_message"] == "Step in, {{user}}.\nMind the oar."
        assert columns["description"] == "{{char}} rows the ferry."
        assert read.original["data"]["your_name"] == "Ada"
        assert "text-generation-webui" in read.warnings[0]

    def test_json_of_the_webui_becomes_a_card(self) -> None:
        read = Card.parse({"name": "Ina", "context": "Rows.", "greeting": ""})
        assert read.columns()["description"] == "Rows."

    @pytest.mark.parametrize(
        ("site", "read"),
        [
            pytest.param(
                {"first_message": "Step in.", "example_dialogs": "{{user}}: Hello"},
                {"first_message": "Step in.", "example_messages": "{{user}}: Hello"},
                id="janitor-ai",
            ),
            pytest.param(
                {"first_messages": ["Step in.", "Late again?"], "example_dialogues": ""},
                {"first_message": "Step in.", "alternate_greetings": ["Late again?"]},
                id="several-greetings",
            ),
            pytest.param(
                {"first_message": "Hm.", "first_messages": ["Hm.", "Ho."], "example_dialogs": ""},
                {"first_message": "Hm.", "alternate_greetings": ["Ho."]},
                id="first-greeting-twice",
            ),
            pytest.param(
                {"first_message": "Hm.", "tavern_personality": "Dry.", "system_prompt": "Row."},
                {"first_message": "Hm.", "personality": "Dry.", "system_prompt": "Row."},
                id="chub",
            ),
        ],
    )
    def test_character_as_sites_have_it_becomes_a_card(
        self, site: dict[str, Any], read: dict[str, Any]
    ) -> None:
        own = {"name": "Ina", "personality": "Ina rows the ferry.", "description": "<p>New!</p>"}
        found = Card.parse(own | site)
        assert found.columns() | read == found.columns()
        assert found.columns()["description"] == "Ina rows the ferry."
        assert found.original["data"]["creator_notes"] == "<p>New!</p>"
        assert "Chub or JanitorAI" in found.warnings[0]

    def test_file_with_the_names_of_all_programs_is_a_card_of_v1(self) -> None:
        both = PYGMALION | card("keeper_v1")
        assert Card.parse(both).columns()["name"] == "Tobias Wren"
        blank = dict.fromkeys(("description", "personality", "first_mes", "mes_example"), "")
        assert Card.parse(PYGMALION | {"name": "Ina"} | blank).columns()["first_message"]

    def test_numbers_and_dates_in_yaml_are_the_texts_that_they_are(self) -> None:
        read = of_file(b"name: 1984\ncontext: 2024-01-01\ngreeting: no\n")
        columns = read.columns()
        assert (columns["name"], columns["description"]) == ("1984", "2024-01-01")
        assert columns["first_message"] == "no"

    def test_blank_yaml_fields_are_none(self) -> None:
        columns = of_file(b"name: Ina\ncontext: ~\ngreeting: Hi\n").columns()
        assert columns["description"] == ""


def backyard(**files_: Any) -> bytes:
    """An archive of Backyard AI."""
    manifest = {
        "schemaVersion": 1,
        "characters": ["characters/ina/character.json"],
        "scenarios": ["scenarios/quay.json", "scenarios/night.json"],
        "author": {"name": "harbour-tales"},
    }
    ina = {
        "name": "Ina",
        "displayName": "Ina of the ferry",
        "persona": "{character} rows {user} over.",
        "loreItems": [{"key": "tide, ebb", "value": "The tide is out."}],
        "images": [{"path": "images/ina.png", "label": ""}],
    }
    quay = {
        "narrative": "On the quay.",
        "formattingInstructions": "Brief.",
        "firstMessages": [{"characterID": "x", "text": "Step in, {user}."}],
        "exampleMessages": [{"characterID": "x", "text": "#{user}: Hello\n#{character}: {{no}}"}],
    }
    night = {"firstMessages": [{"text": "Late again?"}], "messages": [{"type": "human"}]}
    parts = {
        "manifest.json": manifest,
        "characters/ina/character.json": ina,
        "scenarios/quay.json": quay,
        "scenarios/night.json": night,
    }
    packed = {name: json.dumps(part).encode() for name, part in (parts | files_).items()}
    return archive(packed | {"characters/ina/images/ina.png": picture()})


class TestBackyard:
    def test_archive_becomes_a_card(self) -> None:
        found = files.read(backyard())
        columns = Card.parse(found.card).columns()
        assert columns["name"] == "Ina"
        assert columns["description"] == "{{char}} rows {{user}} over."
        assert columns["scenario"] == "On the quay."
        assert columns["first_message"] == "Step in, {{user}}."
        assert columns["alternate_greetings"] == ["Late again?"]
        assert columns["example_messages"] == "<START>\n{{user}}: Hello\n{{char}}: {{no}}"
        assert columns["system_prompt"] == "Brief."
        (entry,) = parse_entries(columns["character_book"])
        assert (entry.keys, entry.content) == (("tide", "ebb"), "The tide is out.")
        assert found.card["data"]["creator"] == "harbour-tales"
        assert found.picture == picture()
        assert [warning.split()[0] for warning in found.warnings] == ["The", "Chats"]

    @pytest.mark.parametrize(
        ("odd", "named"),
        [
            ({"manifest.json": {}}, "neither a card.json nor a character"),
            ({"manifest.json": {"characters": "x"}}, "neither a card.json nor a character"),
            ({"manifest.json": {"characters": ["missing.json"]}}, "`name`"),
            ({"characters/ina/character.json": {"name": 5}}, "`name`"),
            ({"characters/ina/character.json": {"name": "I", "persona": [1]}}, "`description`"),
            ({"characters/ina/character.json": [1]}, "a JSON object"),
        ],
    )
    def test_odd_archive_is_refused(self, odd: dict[str, Any], named: str) -> None:
        assert named in refused_file(backyard(**odd))

    def test_odd_parts_are_left_out(self) -> None:
        odd = {
            "scenarios/quay.json": {"firstMessages": "Hi", "exampleMessages": [1, {"text": 5}]},
            "scenarios/night.json": {"firstMessages": [{"text": " "}], "messages": None},
            "characters/ina/character.json": {"name": "Ina", "persona": "Rows.", "images": [1]},
        }
        found = files.read(backyard(**odd))
        columns = Card.parse(found.card).columns()
        assert (columns["first_message"], columns["alternate_greetings"]) == ("", [])
        assert (columns["example_messages"], columns["character_book"]) == ("", None)
        assert found.picture is None

    def test_archive_with_long_chats_is_refused(self) -> None:
        noise = os.urandom(4 * 2**20).hex()
        raw = backyard(**{"scenarios/quay.json": {"messages": [{"text": noise}]}})
        assert "too large" in refused_file(raw, "card_too_large")


class TestHostileYaml:
    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("name: &a x\ncontext: *a", "anchors"),
            ("a: &a [x]\nb: &b [*a,*a]\nname: x", "anchors"),
            ("name: x\ncontext: {<<: *a}", "anchors"),
            ("name: [", "not valid YAML"),
            ("name: x\n\tcontext: y", "not valid YAML"),
            ("name: x\ncontext: 'y", "not valid YAML"),
            ("name: x\n? [a]\n: y", "a key that is not text"),
            ("name: x\n--- \nname: y", "a JSON object"),
            ("- x\nname: y", "not valid YAML"),
            ("name: x\ncontext: " + "[" * 100 + "]" * 100, "64 levels"),
            ("name: x\ncontext: " + "[" * 5_000, "levels"),
        ],
    )
    def test_is_refused_with_a_sentence(self, text: str, named: str) -> None:
        assert named in refused_file(text.encode())

    def test_tags_make_no_objects(self) -> None:
        raw = b"name: !!python/object/apply:os.getcwd []\ncontext: !!python/name:os.system x\n"
        assert "`name` must be text" in refused_file(raw)
        assert of_file(b"name: !!binary aGk=\ncontext: !x y\n").columns()["name"] == "aGk="

    @pytest.mark.parametrize(
        "raw",
        [
            b"name: x\ncontext: [" + b"a," * 11_000 + b"a]",
            b"name: x\n" + b"".join(b"k%d: v\n" % number for number in range(6_000)),
        ],
    )
    def test_of_too_many_parts_is_refused(self, raw: bytes) -> None:
        assert "10,000 parts" in refused_file(raw, "card_too_large")

    def test_larger_than_any_character_is_not_parsed(self) -> None:
        raw = b"name: x\ncontext: " + b"x" * yaml_file.MAX_YAML_BYTES
        assert "neither JSON, PNG nor CHARX" in refused_file(raw)

    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_or_refused(self, rest: bytes) -> None:
        try:
            of_file(b"name: x\ngreeting: y\n" + rest)
        except ApiError as error:
            assert error.status in (400, 413)  # noqa: PT017

    def test_work_grows_with_the_file(self) -> None:
        def made(number: int) -> bytes:
            return b"name: x\ncontext: |\n" + b"  A line: [of] 'text'.\n" * number

        assert is_linear(files.read, made, 200)


RISUAI: dict[str, Any] = {
    "type": "character",
    "name": "Ina",
    "desc": "Ina rows the ferry.",
    "firstMessage": "Step in.",
    "exampleMessage": "Ina: Mind the oar.",
    "personality": "Dry.",
    "scenario": "",
    "systemPrompt": "",
    "replaceGlobalNote": "Brief.",
    "alternateGreetings": ["Late?"],
    "depth_prompt": {"depth": 2, "prompt": "She is tired."},
    "additionalData": {"creator": "harbour-tales", "character_version": "2"},
    "chats": [{"message": []}],
    "customscript": [{"comment": "x"}],
    "globalLore": [
        {"key": "tide, ebb", "secondkey": "", "insertorder": 4, "comment": "Tide"}
        | {"content": "The tide is out.", "mode": "normal", "alwaysActive": True},
    ],
}


class TestRisuai:
    def test_character_becomes_a_card(self) -> None:
        read = Card.parse(RISUAI)
        columns = read.columns()
        assert (columns["name"], columns["description"]) == ("Ina", "Ina rows the ferry.")
        assert (columns["first_message"], columns["alternate_greetings"]) == ("Step in.", ["Late?"])
        assert columns["post_history_instructions"] == "Brief."
        assert (columns["depth_prompt"], columns["depth_prompt_depth"]) == ("She is tired.", 2)
        assert read.fields.creator == "harbour-tales"
        (entry,) = parse_entries(columns["character_book"])
        assert (entry.keys, entry.always, entry.order) == (("tide", "ebb"), True, 4)
        assert "chats" not in json.dumps(read.original)

    def test_card_in_an_archive_after_a_picture_is_read(self) -> None:
        raw = b"\xff\xd8\xff\xe0" + b"\0" * 100
        raw += archive({"card.json": json.dumps(card("cook_v3")).encode(), "module.risum": b"o"})
        found = files.read(raw)
        assert found.card == card("cook_v3")
        assert "module.risum" in found.warnings[1]
        assert "lorebook" not in found.warnings[1]

    def test_lorebook_that_is_only_in_the_module_is_named(self) -> None:
        files_of = {"card.json": json.dumps(V2_ALONE).encode(), "module.risum": b"o"}
        assert "lorebook" in files.read(archive(files_of)).warnings[1]

    def test_module_alone_is_named_with_what_to_do(self) -> None:
        sentence = refused_file(b"o\0\x10\0\0\0" + bytes(range(64)))
        assert "a module of RisuAI" in sentence
        assert "lorebook" in sentence

    def test_lorebook_cut_out_of_a_card_is_one(self) -> None:
        book = {"name": "Coast", "entries": [{"keys": ["tide"], "content": "It is high."}]}
        found = lorebook_of({"character_book": book})
        assert found is not None
        assert found["data"]["name"] == "Coast"
        assert lorebook_of({"name": "Ina", "character_book": book}) is None

    @pytest.mark.parametrize("nested", [True, False])
    def test_lorebook_of_a_module_in_json_is_one(self, nested: bool) -> None:
        lore = {"key": "tide, ebb", "content": "It is high.", "insertorder": 4}
        module = {"name": "Coast", "lorebook": [lore], "regex": []}
        file = (
            {"type": "risuModule", "module": module} if nested else {"type": "risuModule"} | module
        )
        found = lorebook_of(file)
        assert found is not None
        assert found["data"]["name"] == "Coast"
        (entry,) = parse_entries(Card.parse(found).columns()["character_book"])
        assert (entry.keys, entry.order) == (("tide", "ebb"), 4)


SILLYTAVERN_BOOK = {
    "entries": {
        "0": {
            "uid": 0,
            "key": ["tide"],
            "keysecondary": ["ebb"],
            "comment": "Tide",
            "content": "The tide is out.",
            "constant": False,
            "selective": True,
            "selectiveLogic": 3,
            "order": 90,
            "position": 4,
            "depth": 2,
            "disable": False,
            "excludeRecursion": True,
            "probability": 50,
            "useProbability": True,
            "caseSensitive": True,
            "matchWholeWords": False,
            "scanDepth": 2,
            "role": 1,
        },
        "1": {"uid": 1, "key": [], "content": "Off.", "disable": True, "order": 1, "position": 0},
    }
}
CHUB_ENTRY: dict[str, Any] = {
    **{"uid": 1, "key": ["dragon"], "keys": ["dragon"]},
    **{"keysecondary": ["tame"], "secondary_keys": ["tame"], "content": "Wild dragons attack."},
    **{"selective": True, "selectiveLogic": 2, "order": 7, "insertion_order": 7},
    **{"position": 4, "depth": 2, "disable": False, "enabled": True, "excludeRecursion": True},
    **{"probability": 100, "useProbability": True},
    "extensions": {"depth": 2, "excludeRecursion": True, "useProbability": True},
}
NOVELAI_BOOK = {
    "lorebookVersion": 5,
    "entries": [
        {"text": "The tide is out.", "keys": ["tide"], "displayName": "Tide", "enabled": True}
        | {"forceActivation": True, "contextConfig": {"budgetPriority": 400}}
    ],
}
AI_DUNGEON_BOOK = {
    "entries": [{"keys": "tide, ebb", "value": "The tide is out.", "title": "Tide"}],
}
PLAIN_BOOK = {"name": "Harbour", "entries": [{"keys": ["tide"], "content": "The tide is out."}]}
AGNAI_BOOK = {"kind": "memory", "name": "Harbour", "description": "Of a harbour."} | {
    "entries": agnai()["characterBook"]["entries"]
}
RISUAI_BOOK = {"type": "risu", "ver": 1, "data": RISUAI["globalLore"]}


class TestLorebooks:
    @pytest.mark.parametrize(
        ("file", "program", "entries"),
        [
            pytest.param(SILLYTAVERN_BOOK, "SillyTavern", 2, id="sillytavern"),
            pytest.param(SILLYTAVERN_BOOK | {"name": "H"}, "SillyTavern", 2, id="with-a-name"),
            pytest.param(AGNAI_BOOK, "Agnai", 1, id="agnai"),
            pytest.param(RISUAI_BOOK, "RisuAI", 1, id="risuai"),
            pytest.param(NOVELAI_BOOK, "NovelAI", 1, id="novelai"),
            pytest.param(AI_DUNGEON_BOOK, "AI Dungeon", 1, id="ai-dungeon"),
            pytest.param(PLAIN_BOOK, None, 1, id="of-a-card"),
            pytest.param(
                {"spec": "lorebook_v3", "data": PLAIN_BOOK, "name": "H"}, None, 1, id="v3"
            ),
            pytest.param({"spec": "lorebook_v3", "data": None}, None, 0, id="v3-without-data"),
            pytest.param({"name": "H", "entries": {}}, None, 0, id="empty"),
        ],
    )
    def test_one_alone_is_named_and_said_where_it_belongs(
        self, file: dict[str, Any], program: str | None, entries: int
    ) -> None:
        sentence = refused(file)
        of = f" of {program}" if program else ""
        count = "1 entry" if entries == 1 else f"{entries} entries"
        assert f"is a lorebook{of} with {count}" in sentence
        assert "as its lorebook" in sentence

    @pytest.mark.parametrize(
        "file",
        [SILLYTAVERN_BOOK, AGNAI_BOOK, RISUAI_BOOK, NOVELAI_BOOK, AI_DUNGEON_BOOK, PLAIN_BOOK],
    )
    def test_of_any_program_works_in_a_card(self, file: dict[str, Any]) -> None:
        found = read_lorebook(file)
        assert found is not None
        v2 = {"name": "Ina", "personality": "Dry.", "character_book": found.book}
        (entry,) = parse_entries(Card.parse(v2).columns()["character_book"])
        assert entry.content == "The tide is out."
        assert entry.keys[:1] == ("tide",)

    @pytest.mark.parametrize(
        "entries",
        [
            list(SILLYTAVERN_BOOK["entries"].values()),
            AGNAI_BOOK["entries"],
            RISUAI_BOOK["data"],
            NOVELAI_BOOK["entries"],
            AI_DUNGEON_BOOK["entries"],
            [{"keys": ["tide"], "entry": "The tide is out.", "type": "place", "name": "Tide"}],
            PLAIN_BOOK["entries"],
            [None, 5, *PLAIN_BOOK["entries"]],
        ],
    )
    def test_bare_list_of_entries_is_one(self, entries: list[Any]) -> None:
        raw = b"\xef\xbb\xbf\n" + json.dumps(entries).encode()
        wrapped: list[dict[str, Any]] = [
            {name: entries} for name in ("character_book", "data", "lorebook", "world_info")
        ]
        wrapped += [{"spec": "lorebook_v3", "data": entries}, {"data": {"entries": entries}}]
        found = (files.read(raw).card, files.with_picture(entries).card, *wrapped)
        for book in map(lorebook_of, found):
            assert book is not None
            read = Card.read(book)
            (entry, *_) = parse_entries(read.columns()["character_book"])
            assert (read.fields.name, entry.content) == ("Lorebook", "The tide is out.")

    @pytest.mark.parametrize(
        "listed",
        [
            [],
            [{"key": "a", "value": "b"}],
            [{"text": "Hi", "name": "Ina"}],
            [{"comment": "x", "in": "a", "out": "b", "type": "editdisplay"}],
            [["keys", "content"]],
        ],
    )
    def test_other_list_is_none(self, listed: list[Any]) -> None:
        assert "neither JSON" in refused_file(json.dumps(listed).encode())

    def test_list_beyond_a_limit_says_so(self) -> None:
        entry = {"keys": ["x"], "content": "y"}
        for entries in ([entry] * 40_000, [entry | {"content": "y" * 2**21}]):
            sentence = refused_file(json.dumps(entries).encode(), "card_too_large")
            assert "more than" in sentence or "too large" in sentence

    def test_entry_of_sillytavern_keeps_all_that_it_says(self) -> None:
        found = read_lorebook(SILLYTAVERN_BOOK)
        assert found is not None
        entry, off = found.book["entries"]
        assert found.book["recursive_scanning"] is True
        assert entry["extensions"] == {
            "selectiveLogic": 3,
            "position": 4,
            "depth": 2,
            "exclude_recursion": True,
            "probability": 50,
            "useProbability": True,
            "case_sensitive": True,
            "match_whole_words": False,
            "scan_depth": 2,
            "role": 1,
        }
        assert (off["enabled"], off["position"]) == (False, "before_char")
        (parsed,) = parse_entries(found.book)
        assert (parsed.position, parsed.depth, parsed.role) == ("in_chat", 2, "user")
        assert (parsed.logic, parsed.secondary, parsed.order) == ("and_all", ("ebb",), 90)

    @pytest.mark.parametrize("empty", ["", None])
    def test_empty_field_of_ai_dungeon_does_not_replace_its_text(self, empty: Any) -> None:
        row = {"keys": "tide", "entry": "The tide is out.", "value": empty}
        found = read_lorebook({"entries": [row]})
        assert found is not None
        (parsed,) = parse_entries(found.book)
        assert (parsed.keys, parsed.content) == (("tide",), "The tide is out.")

    @pytest.mark.parametrize(
        ("fields", "position"),
        [
            ({}, "after_history"),
            ({"position": None}, "after_history"),
            ({"position": 0}, "before_char"),
            ({"position": 1}, "after_char"),
            ({"constant": True}, "after_char"),
        ],
    )
    def test_entry_of_sillytavern_without_a_position_has_no_chosen_one(
        self, fields: dict[str, Any], position: str
    ) -> None:
        row = {"key": ["fog"], "content": "Thick.", "disable": False}
        found = read_lorebook({"entries": {"0": row | fields}})
        assert found is not None
        (parsed,) = parse_entries(found.book)
        assert parsed.position == position

    @pytest.mark.parametrize("entries", [[CHUB_ENTRY], {"1": CHUB_ENTRY}])
    def test_entry_with_the_names_of_both_is_sillytaverns(self, entries: Any) -> None:
        in_cards = ("keys", "secondary_keys", "insertion_order", "enabled", "extensions")
        own = {name: value for name, value in CHUB_ENTRY.items() if name not in in_cards}
        chub = lorebook_of({"name": "L", "entries": entries})
        plain = lorebook_of({"name": "L", "entries": {"1": own}})
        assert chub is not None
        assert plain is not None
        read, expected = (Card.read(book).columns()["character_book"] for book in (chub, plain))
        assert read == expected
        (entry,) = parse_entries(read)
        assert (entry.keys, entry.secondary, entry.logic) == (("dragon",), ("tame",), "not_any")
        assert (entry.position, entry.depth, entry.waits_for_chat) == ("in_chat", 2, True)
        again = lorebook_of(read)
        assert again is not None
        assert Card.read(again).columns()["character_book"] == read

    @pytest.mark.parametrize(
        ("fields", "read"),
        [
            ({"key": [], "keys": ["wyrm"]}, {"keys": ["wyrm"]}),
            ({"keysecondary": None}, {"secondary_keys": ["tame"]}),
            ({"order": 0, "insertion_order": 9}, {"insertion_order": 0}),
            ({"order": None, "insertion_order": 9}, {"insertion_order": 9}),
            ({"enabled": False}, {"enabled": False}),
            ({"disable": True}, {"enabled": False}),
            ({"widisabled": True}, {"enabled": False}),
            ({"widisabled": False}, {"enabled": True}),
            ({"priority": 3, "name": "Wyrm"}, {"priority": 3, "name": "Wyrm"}),
            ({"case_sensitive": True}, {"case_sensitive": True}),
            ({"position": "before_char"}, {"position": "before_char"}),
            ({"secondkey": "", "insertorder": 3}, {"insertion_order": 3}),
        ],
    )
    def test_names_of_a_card_count_where_sillytaverns_are_missing(
        self, fields: dict[str, Any], read: dict[str, Any]
    ) -> None:
        found = read_lorebook({"name": "L", "entries": [CHUB_ENTRY | fields]})
        assert found is not None
        (entry,) = found.book["entries"]
        assert entry | read == entry

    @pytest.mark.parametrize(
        ("own", "beside", "read"),
        [
            ({"depth": 2, "excludeRecursion": True}, {}, {"depth": 2, "exclude_recursion": True}),
            ({"depth": 2}, {"depth": 3}, {"depth": 3}),
            ({"scan_depth": 2}, {"scanDepth": None}, {"scan_depth": 2}),
            ({"position": 4}, {"position": "before_char"}, {"position": 4}),
            ({"position": 4}, {"position": 1}, {"position": 1}),
            ({"risu_activationPercent": 5, "myTool": 1}, {}, {"myTool": 1}),
        ],
    )
    def test_extensions_of_an_entry_are_among_what_it_says(
        self, own: Any, beside: dict[str, Any], read: dict[str, Any]
    ) -> None:
        row = {"key": ["dragon"], "content": "Wild."} | beside
        found = read_lorebook({"entries": [row | {"extensions": own}]})
        assert found is not None
        extensions = found.book["entries"][0]["extensions"]
        assert extensions | read == extensions
        assert "extensions" not in extensions

    def test_extensions_beside_a_cards_own_are_read(self) -> None:
        row = {"keys": ["dragon"], "secondary_keys": ["tame"], "content": "Wild.", "depth": 9}
        row |= {"selective": True, "selectiveLogic": 2, "excludeRecursion": True, "role": None}
        row |= {"extensions": {"depth": 2, "position": 4}, "position": "before_char", "case": 1}
        v2 = {"name": "Ina", "personality": "Dry.", "character_book": {"entries": [row]}}
        read = Card.parse(v2)
        (entry,) = parse_entries(read.columns()["character_book"])
        assert (entry.logic, entry.waits_for_chat, entry.depth) == ("not_any", True, 2)
        assert exported(read.columns(), read.original) == v2
        assert Card.parse(read.original).columns() == read.columns()
        assert read.warnings == ()

    def test_character_with_entries_beside_it_is_a_character(self) -> None:
        assert Card.parse(card("keeper_v1") | {"entries": [{"keys": ["x"]}]}).fields.name


@pytest.mark.parametrize(
    ("file", "named"),
    [
        pytest.param({"kind": "user", "username": "ada"}, "account of Agnai", id="agnai-user"),
        pytest.param({"kind": "chat", "messages": []}, "a chat of Agnai", id="agnai-chat"),
        pytest.param({"kind": "scenario", "text": "x"}, "a scenario of Agnai", id="agnai-scenario"),
        pytest.param({"user": {}, "profile": {}}, "a whole account", id="account"),
        pytest.param({"user_name": "A", "character_name": "B"}, "a chat of", id="chat-header"),
        pytest.param({"type": "risuChat", "data": {}}, "a chat of RisuAI", id="risu-chat"),
        pytest.param({"messages": [{"role": "user"}]}, "a chat", id="messages"),
        pytest.param({"temperature": 1, "top_p": 1}, "a model's settings", id="preset"),
        pytest.param({"prompts": [], "prompt_order": []}, "a preset of", id="chat-preset"),
        pytest.param({"input_sequence": "", "output_sequence": ""}, "instruct", id="instruct"),
        pytest.param({"story_string": "{{char}}"}, "a context template", id="context"),
        pytest.param({"main_text_color": "#fff"}, "a theme", id="theme"),
        pytest.param({"power_user": {}}, "a settings file", id="settings"),
        pytest.param({"personas": {}, "persona_descriptions": {}}, "personas", id="personas"),
        pytest.param({"personaPrompt": "x"}, "a persona of RisuAI", id="persona"),
        pytest.param({"type": "risuModule", "module": {}}, "a module of RisuAI", id="module"),
        pytest.param({"type": "regex", "data": []}, "scripts", id="scripts"),
        pytest.param({"mainPrompt": "", "jailbreak": ""}, "a preset of RisuAI", id="risu-preset"),
        pytest.param({"scriptName": "x", "findRegex": "x"}, "a script of", id="script"),
        pytest.param({"qrList": []}, "quick replies", id="quick-replies"),
        pytest.param({"version": "1", "scripts": {}}, "JavaScript package", id="package"),
        pytest.param({"version": "1", "license": "MIT"}, "JavaScript package", id="small-package"),
        pytest.param({"manifest_version": 3}, "the manifest of an app", id="manifest"),
        pytest.param({"members": [], "activation_strategy": 0}, "a group of", id="group"),
        pytest.param({"characters": []}, "a list of characters", id="several"),
    ],
)
@pytest.mark.parametrize("beside", [{}, {"name": "x"}, {"name": "x", "description": "Of a kind."}])
def test_file_that_is_no_character_is_named(
    file: dict[str, Any], named: str, beside: dict[str, Any]
) -> None:
    sentence = refused(beside | file)
    assert re.match(r"This is (a|an|the) ", sentence)
    assert named in sentence
    assert "not a character" in sentence


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "Ina"}, "none of `description`"),
        ({"name": "Ina", "description": " ", "scenario": "A quay."}, "none of"),
        ({"name": "Ina", "description": 5}, "none of"),
        ({"name": 5}, "its `name`"),
        ({"description": "x"}, "no `name`"),
        ({"data": {"name": "Ina"}}, "none of"),
    ],
)
def test_name_alone_is_no_character(fields: dict[str, Any], named: str) -> None:
    assert named in refused(fields)


@pytest.mark.parametrize("name", ["description", "personality", "first_mes", "mes_example"])
def test_one_text_and_a_name_are_a_character(name: str) -> None:
    assert Card.parse({"name": "Ina", name: "Rows."}).fields.name == "Ina"
    assert Card.parse({"data": {"name": "Ina", name: "Rows."}}).fields.name == "Ina"


EMPTY_FIELDS: list[dict[str, Any]] = [
    {},
    dict.fromkeys(("description", "personality", "scenario", "first_mes", "mes_example"), " \n"),
    {"alternate_greetings": ["", " "], "group_only_greetings": []},
    {"character_book": {"entries": []}},
    {"character_book": {"entries": [{"keys": ["tide"], "content": ""}]}},
    {"creator_notes": "By Jo.", "tags": ["sea"], "creator": "Jo", "nickname": "I."},
    {"extensions": {"depth_prompt": {"prompt": "", "depth": 4}, "fav": True}},
    {"description": None, "alternate_greetings": None},
]
SAYING_FIELDS: list[dict[str, Any]] = [
    {"description": "Rows."},
    {"scenario": "A quay."},
    {"system_prompt": "Write as {{char}}."},
    {"post_history_instructions": "Be brief."},
    {"alternate_greetings": ["Ahoy."]},
    {"group_only_greetings": ["Ahoy, all."]},
    {"character_book": {"entries": [{"keys": ["tide"], "content": "It is high."}]}},
    {"extensions": {"depth_prompt": {"prompt": "She is tired."}}},
]


@pytest.mark.parametrize(
    "raw",
    [
        b'[{"mes":"Hi","is_user":true}]',
        b'{"mes":"Hi","is_user":true}\n{"mes":"Ho"}',
        b'{"kind":"chat","messages":[]}',
        b'{"type":"risuChat","data":{"message":[]}}',
        b'{"savedsettings":{},"actions":[]}',
    ],
)
def test_chat_is_said_where_it_belongs(raw: bytes) -> None:
    assert "Import it as a chat" in refused_file(raw)


@pytest.mark.parametrize("spec", ["chara_card_v2", "chara_card_v3", "chara_card_v9"])
@pytest.mark.parametrize("fields", EMPTY_FIELDS)
def test_card_with_only_a_name_is_refused(spec: str, fields: dict[str, Any]) -> None:
    assert "at least one text" in refused({"spec": spec, "data": {"name": "Ina"} | fields})


@pytest.mark.parametrize("spec", ["chara_card_v2", "chara_card_v3"])
@pytest.mark.parametrize("fields", SAYING_FIELDS)
def test_any_text_for_a_model_makes_a_card(spec: str, fields: dict[str, Any]) -> None:
    read = Card.parse({"spec": spec, "data": {"name": "Ina"} | fields})
    assert read.fields.name == "Ina"


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b'{"user_name":"A","character_name":"B"}\n{"mes":"Hi","is_user":true}', "a chat of"),
        (b'{"a":1}\r\n{"a":2}', "a list of objects"),
        (b'[{"scriptName":"x"}]', "it is a script of SillyTavern"),
        (b'[{"mes":"Hi","is_user":true}]', "it is a chat"),
        (b'[{"spec":"chara_card_v2","data":{"name":"x"}}]', "it is a list of characters"),
        (b"\xff\xd8\xff\xe0 a picture", "only as the original PNG"),
        (b"RIFF....WEBP", "only as the original PNG"),
        (b"just words", "nor a character in YAML"),
        (b"[" * 100_000, "neither JSON"),
        (picture(), "contains no character card"),
    ],
)
def test_file_without_a_character_is_named(raw: bytes, named: str) -> None:
    assert named in refused_file(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"user_name":"A","character_name":"B"}\n{"mes":"Hi","is_user":true}',
        b'{"mes":"Hi","is_user":true}\r\n{"mes":"Ho","is_user":false}',
        b'\xef\xbb\xbf{"name":"B","mes":"Hi","is_user":false}\n',
        b'{"user_name":"A","character_name":"B","chat_metadata":{}}',
    ],
)
def test_chat_is_told_where_it_is_imported(raw: bytes) -> None:
    sentence = refused_file(raw)
    assert sentence.startswith(
        "This is a chat of SillyTavern, not a character. Import it as a chat"
    )
    assert all(door in sentence for door in (".jsonl", "/import", "`import_chat`"))


@given(
    st.dictionaries(
        st.sampled_from([*agnai(), *PYGMALION, *RISUAI, "entries", "context", "data", "type"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text("ab", max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["kind", "attributes", "text", "key", "keywords", "entries"]),
                    inner,
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_any_character_of_another_program_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        read = Card.parse({"name": "Ina"} | value)
    except ApiError as error:
        assert error.status in (400, 413)  # noqa: PT017
    else:
        assert Card.parse(read.original).columns() == read.columns()
