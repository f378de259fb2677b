"""What is screened of a turn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from roleplay_chat.api import ChatRequest
from roleplay_chat.passages import LEAD_CHARS, passages_of
from roleplay_chat.rows import BegunTurn
from roleplay_chat.screening import PARTS

ID = UUID(int=1)
CHARACTER = {
    "id": ID,
    "name": "C-name",
    "nickname": "C-nickname",
    "description": "C-description of {{user}}",
    "personality": "C-personality",
    "scenario": "C-scenario",
    "example_messages": "C-examples",
    "system_prompt": "C-system",
    "post_history_instructions": "C-instructions",
    "greetings": ["C-greeting"],
    "age": 40,
}
REQUEST = {
    "scene_name": "S-name",
    "scene_description": "S-description",
    "scene_context": "S-context",
    "scene_system_prompt": "S-system",
    "scene_starters": ["S-starter", None],
    "user_role": "P-role",
}


def texts(history_bytes: int = 10_000, **rows: Any) -> dict[str, str]:
    """The passages of a turn by part; `rows` change what begin_turn returned."""
    begun = BegunTurn.model_validate(
        {
            "now": datetime.now(UTC),
            "turn": {"id": ID, "message": "Said"},
            "user": {"name": "Ada"},
            "character": CHARACTER,
            "persona": CHARACTER | {"name": "P-name", "description": "P-description", "age": 30},
            "history": [
                {"sender": "user", "content": "Before"},
                {"sender": "character", "content": "Then"},
            ],
            "memory": {"summary": "Summary"},
            "facts": [{"content": "Fact"}],
        }
        | rows
    )
    request = ChatRequest.model_validate(REQUEST)
    passages = passages_of(begun, request, history_bytes=history_bytes)
    assert [passage.part for passage in passages] == [
        part for part in PARTS if part in {passage.part for passage in passages}
    ]
    return {passage.part: passage.text for passage in passages}


@pytest.mark.parametrize(
    ("part", "written"),
    [
        ("character", ["C-name", "C-nickname", "C-description of P-name", "C-personality"]),
        ("character", ["C-scenario", "C-examples", "C-system", "C-instructions"]),
        ("persona", ["P-name", "P-description", "P-role"]),
        ("scene", ["S-name", "S-description", "S-context", "S-system", "S-starter"]),
        ("memory", ["Summary", "Fact"]),
        ("history", ["Before\nThen"]),
        ("message", ["Then\nSaid"]),
    ],
)
def test_nothing_that_a_model_may_read_is_left_out(part: str, written: list[str]) -> None:
    text = texts()[part]
    assert [one for one in written if one not in text] == []


def test_greetings_are_read_where_one_may_be_given() -> None:
    assert "C-greeting" in texts(turn={"id": ID}, history=[])["character"]
    assert "C-greeting" not in texts()["character"]


def test_person_without_persona_has_a_name_and_a_role() -> None:
    assert texts(persona=None)["persona"] == "Ada\nP-role"


def test_entries_of_the_book_are_read_when_called_for() -> None:
    book = {"entries": [{"keys": ["tide"], "content": "Lore of {{user}}", "enabled": True}]}
    character = CHARACTER | {"character_book": book}
    assert "Lore" not in texts(character=character)["character"]
    called = texts(character=character, turn={"id": ID, "message": "The tide."})["character"]
    assert "Lore of P-name" in called


def test_history_reaches_as_far_back_as_a_prompt_could() -> None:
    history = [{"sender": "user", "content": f"{number:04}"} for number in range(100)]
    kept = texts(20, history=history)["history"].split()
    assert kept == ["0095", "0096", "0097", "0098", "0099"]


def test_newest_message_is_read_however_long() -> None:
    history = [{"sender": "user", "content": "x" * 100}]
    assert texts(10, history=history)["history"] == "x" * 100


def test_message_is_read_with_the_end_of_what_was_said_before() -> None:
    history = [{"sender": "character", "content": "x" * 1000}]
    assert texts(history=history)["message"] == "x" * LEAD_CHARS + "\nSaid"


def test_nothing_said_is_nothing_to_read() -> None:
    assert texts(turn={"id": ID})["message"] == ""
