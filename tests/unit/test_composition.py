"""What a prompt was made of is described from what its builder knows, at hardly any cost."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import field

from roleplay_chat.messages import ROLES, Roles
from roleplay_chat.prompt.composition import MAX_ENTRIES, MAX_ID_CHARS, MAX_LISTED
from roleplay_chat.rows import FactRow, MemoryRow, MessageRow, RecalledRow
from roleplay_chat.tokens import UNCALIBRATED, Tokens
from tests.support.composition import composed, largest, prompt
from tests.support.prompts import MARA


class Counting(Tokens, frozen=True):
    """Counts the characters that are counted."""

    chars: list[int] = field(default_factory=list)

    def count(self, text: str) -> int:
        self.chars.append(len(text))
        return super().count(text)


def history(length: int) -> list[MessageRow]:
    said = "The gulls are loud today, and the fog is thick. " * 4
    return [
        MessageRow(sender="character" if n % 2 else "user", content=said, position=n)
        for n in range(length)
    ]


def part(composition: dict[str, Any], name: str) -> int:
    return int(next(one["tokens"] for one in composition["parts"] if one["part"] == name))


def test_only_the_persons_message_is_counted_again() -> None:
    work = []
    for length in (10, 100, 1000):
        tokens = Counting()
        facts = [FactRow(id=uuid4(), content="Ada has a dog. " * 5)] * (length // 10)
        built = prompt(tokens, 1_000_000, history=history(length), facts=facts)
        tokens.chars.clear()
        composed(built)
        work.append(sum(tokens.chars))
    assert work == [len("Hello")] * 3


@pytest.mark.parametrize("roles", ROLES)
@pytest.mark.parametrize("context", [1024, 4096, 32_768])
@pytest.mark.parametrize("rule", ["", "Be kind to everybody. " * 20])
def test_parts_add_up_to_the_whole(roles: Roles, context: int, rule: str) -> None:
    recalled = [RecalledRow(sender="user", content="My boat is red.", position=-5, score=1)]
    found = composed(
        prompt(
            *(UNCALIBRATED, context),
            history=history(100),
            recalled=recalled,
            rule=rule,
            roles=roles,
            memory=MemoryRow(summary="They met in the fog. " * 40, covers_position=-1),
        )
    )
    parts = [one["tokens"] for one in found["parts"]]
    assert sum(parts) == pytest.approx(found["tokens"], abs=len(parts) + 4)
    assert found["history"]["messages"] + found["history"]["left_out"] == 100
    assert part(found, "history") > 0
    assert ("rule" in [one["part"] for one in found["parts"]]) == bool(rule)


def test_history_with_a_message_that_was_cut_is_named_as_cut() -> None:
    said = "The gulls are loud today, and the fog is thick. " * 400
    rows = [*history(3), MessageRow(sender="character", content=said, position=9)]
    built = prompt(history=rows)
    found = composed(built)
    assert found["history"] == {"messages": 4, "left_out": 0, "from": 0}
    cut = next(one for one in found["parts"] if one["part"] == "history")
    sent = sum(UNCALIBRATED.count(message["content"]) + 4 for message in built[1:-1])
    shown = UNCALIBRATED.count(built[-2]["content"])
    assert cut["tokens"] == pytest.approx(sent, abs=4)
    assert cut["of"] == cut["tokens"] + UNCALIBRATED.count(said) - shown
    whole = composed(prompt(history=history(4)))
    assert not [one for one in whole["parts"] if "of" in one]


@pytest.mark.parametrize("context", [1024, 2048, 2500, 8192])
@pytest.mark.parametrize("facts", [0, 6])
def test_summary_is_named_as_cut_if_its_end_was_not_sent(context: int, facts: int) -> None:
    summary = "".join(f"On day {day} they met. " for day in range(20)) + "Then she left."
    built = prompt(
        context=context,
        character=MARA.model_copy(update={"description": "She keeps the light. " * 900}),
        memory=MemoryRow(summary=summary, covers_position=7),
        facts=[
            FactRow(id=uuid4(), content=f"{n} boats are out", importance=5) for n in range(facts)
        ],
        request={"scene_description": "A stormy night. " * 500},
    )
    left_out = composed(built)["left_out"]
    assert left_out.get("summary", False) == (summary not in built[0]["content"])


def test_every_section_that_was_sent_is_named() -> None:
    request = {
        "scene_description": "A pier.",
        "scene_system_prompt": "Be slow.",
        "user_role": "A sailor.",
    }
    character = MARA.model_copy(update={"post_history_instructions": "Stay calm."})
    persona = MARA.model_copy(update={"name": "Ada"})
    found = composed(prompt(character=character, persona=persona, request=request))
    assert [one["part"] for one in found["parts"]] == [
        *("template", "description", "vitals", "persona", "role", "scene", "directions"),
        *("instructions", "message"),
    ]


NONE = st.none()
BOOK = st.lists(
    st.one_of(
        st.integers(),
        st.fixed_dictionaries(
            {"keys": st.one_of(st.none(), st.text(max_size=9), st.lists(st.text(max_size=9)))},
            optional={
                "id": st.one_of(
                    st.none(), st.integers(), st.text(), st.floats(), st.lists(st.none())
                ),
                "content": st.text(max_size=50),
                "constant": st.booleans(),
                "secondary_keys": st.lists(st.text(max_size=5)),
                "selective": st.booleans(),
            },
        ),
    ),
    max_size=20,
)


@pytest.mark.parametrize(
    ("given_id", "told"),
    [
        (7, 7),
        ("7", "7"),
        ("entry_7-a", "entry_7-a"),
        ("1f0c9a52-6f2e-4a54-9d3c-0e4d9f1f7a10", "1f0c9a52-6f2e-4a54-9d3c-0e4d9f1f7a10"),
        ("x" * MAX_ID_CHARS, "x" * MAX_ID_CHARS),
        ("x" * (MAX_ID_CHARS + 1), None),
        ("Mara is the murderer.", None),
        ("käse", None),
        ("a\n", None),
        ("", None),
        (2**53, None),
    ],
)
def test_id_that_may_say_something_is_left_out(given_id: Any, told: Any) -> None:
    book = [{"id": given_id, "keys": [], "constant": True, "content": "Fog."}]
    character = MARA.model_copy(update={"character_book": {"entries": book}})
    (entry,) = composed(prompt(character=character))["entries"]
    assert entry.get("id") == told


@settings(max_examples=200, deadline=None)
@given(book=BOOK, said=st.text(max_size=40))
def test_book_of_any_shape_is_described(book: list[Any], said: str) -> None:
    character = MARA.model_copy(update={"character_book": {"entries": book}})
    found = composed(prompt(character=character, history=[MessageRow(sender="user", content=said)]))
    for entry in [*found["entries"], *found["left_out"]["entries"]]:
        row = book[entry["place"]]
        assert isinstance(row, dict)
        assert entry.get("id") in (None, row.get("id"))
        if "key" not in entry:
            assert row["constant"] or row["content"].startswith("@@")
        elif isinstance(row["keys"], list):
            assert row["keys"][entry["key"]].strip()
    json.dumps(found, allow_nan=False).encode()


def test_lists_end() -> None:
    found = largest()
    listed = {"entries": found["entries"], "left_out_entries": found["left_out"]["entries"]}
    assert {name: len(rows) for name, rows in listed.items()} == dict.fromkeys(listed, MAX_ENTRIES)
    assert len(found["facts"]) == len(found["left_out"]["facts"]) == MAX_LISTED
    assert sum(found["more"].values()) >= 1_000 + 400 - 2 * MAX_ENTRIES - 2 * MAX_LISTED - 8


class TestOutlets:
    """Entries that stand where a text of the character names their outlet."""

    def listed(self, context: int = 4096, **texts: Any) -> tuple[bool, bool]:
        """Whether the entry is in the list, and whether it is in the prompt."""
        entry = {
            **{"id": 1, "keys": [], "constant": True, "content": "The harbour is frozen."},
            "extensions": {"position": 7, "outlet_name": "one"},
        }
        character = MARA.model_copy(update={"character_book": {"entries": [entry]}, **texts})
        built = prompt(context=context, character=character)
        is_listed = bool(composed(built)["entries"])
        return is_listed, any("harbour is frozen" in message["content"] for message in built)

    def test_entry_is_listed_if_its_text_was_sent(self) -> None:
        assert self.listed(description="It is cold. {{outlet::one}}") == (True, True)
        assert self.listed(post_history_instructions="{{outlet::one}}") == (True, True)

    def test_entry_whose_outlet_no_text_asks_for_is_not(self) -> None:
        assert self.listed(description="Cold.", example_messages="{{// {{outlet::one}} }}") == (
            False,
            False,
        )

    @pytest.mark.parametrize("text", ["Cold.", "{{// {{outlet::one}} }}"])
    def test_entry_whose_outlet_no_text_asks_for_is_not_without_room(self, text: str) -> None:
        entry = {
            **{"id": 1, "keys": [], "constant": True, "content": "The harbour is frozen."},
            "extensions": {"position": 7, "outlet_name": "one"},
        }
        book = {"character_book": {"entries": [entry]}, "example_messages": text}
        built = prompt(character=MARA.model_copy(update=book))
        assert composed(built)["left_out"]["entries"] == []

    @pytest.mark.parametrize("long", ["content", "description"])
    def test_entry_that_a_text_asks_for_is_without_room(self, long: str) -> None:
        fog = "The fog is thick. " * 1500
        entry = {
            **{"id": 1, "keys": [], "constant": True},
            "content": fog if long == "content" else "The harbour is frozen.",
            "extensions": {"position": 7, "outlet_name": "one"},
        }
        texts = {"description": f"{fog if long == 'description' else ''}{{{{outlet::one}}}}"}
        book = {"character_book": {"entries": [entry]}, **texts}
        built = prompt(character=MARA.model_copy(update=book))
        assert [one["id"] for one in composed(built)["left_out"]["entries"]] == [1]

    def test_entry_that_was_cut_away_is_not(self) -> None:
        far_behind = "The fog is thick. " * 1500 + "{{outlet::one}}"
        assert self.listed(8192, description=far_behind) == (False, False)
        near = "{{outlet::one}} " + "The fog is thick. " * 1500
        assert self.listed(8192, description=near) == (True, True)
