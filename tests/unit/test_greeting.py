"""When a greeting opens a conversation, and which one."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from edge.errors import ApiError
from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.greeting import greeting_for
from roleplay_chat.prompt.macro_variables import Variables
from roleplay_chat.rows import BegunTurn, CharacterRow, MessageRow, TurnRow, UserRow

GREETINGS = ["Come in, {{user}}. I am {{char}}.", "The lamp is lit.", "  "]


def greeting(greetings: list[str] = GREETINGS, **request: Any) -> str | None:
    begun: dict[str, Any] = {
        "turn": TurnRow(id=uuid4(), message=request.pop("message", None)),
        "history": [MessageRow(sender="user", content=text) for text in request.pop("said", [])],
    }
    return greeting_for(
        BegunTurn(
            now=datetime(2026, 1, 3, tzinfo=UTC),
            user=UserRow(name="Ada {{char}}"),
            character=CharacterRow(id=uuid4(), name="Mara", greetings=greetings),
            **begun,
        ),
        ChatRequest.model_validate({"kickoff": True} | request),
        Variables(),
    )


def test_first_message_opens_with_its_macros_expanded_once() -> None:
    assert greeting() == "Come in, Ada {{char}}. I am Mara."
    assert greeting(greeting=0) == greeting()


def test_request_may_choose_another_greeting() -> None:
    assert greeting(greeting=1) == "The lamp is lit."


@pytest.mark.parametrize(
    ("greetings", "number", "sentence"),
    [
        (GREETINGS, 2, "There is no greeting 2; the character has these: 0, 1."),
        (GREETINGS, 3, "There is no greeting 3; the character has these: 0, 1."),
        ([], 0, "There is no greeting 0; the character has none."),
    ],
)
def test_one_that_is_not_there_is_refused(greetings: list[str], number: int, sentence: str) -> None:
    with pytest.raises(ApiError) as caught:
        greeting(greetings, greeting=number)
    assert (caught.value.status, caught.value.code) == (400, "greeting_not_found")
    assert caught.value.message == sentence


@pytest.mark.parametrize(
    "case",
    [
        pytest.param({"greetings": []}, id="no-greeting"),
        pytest.param({"greetings": [" \n", "Second."]}, id="blank-first-message"),
        pytest.param({"said": ["Hello."]}, id="begun-already"),
        pytest.param({"kickoff": False, "message": "Hello."}, id="somebody-speaks"),
        pytest.param({"kickoff": False, "action": "regenerate"}, id="regenerate"),
        pytest.param({"kickoff": False, "action": "continue", "greeting": 1}, id="continue"),
        pytest.param({"scene_name": "The market"}, id="scene"),
        pytest.param({"scene_description": "A market at noon."}, id="scene-described"),
        pytest.param({"scene_starters": [None, "What do you sell?"]}, id="scene-starter"),
    ],
)
def test_model_begins_without_a_suitable_greeting(case: dict[str, Any]) -> None:
    assert greeting(**case) is None


def test_one_that_was_asked_for_opens_any_scene_and_replaces_an_opening() -> None:
    assert greeting(greeting=1, scene_name="The market") == "The lamp is lit."
    assert greeting(greeting=1, kickoff=False, action="regenerate") == "The lamp is lit."


def for_groups(*greetings: str, others: int = 1, **request: Any) -> str | None:
    begun = BegunTurn(
        now=datetime(2026, 1, 3, tzinfo=UTC),
        turn=TurnRow(id=uuid4()),
        user=UserRow(name="Ada"),
        character=CharacterRow(
            id=uuid4(), name="Mara", greetings=["Alone."], group_only_greetings=list(greetings)
        ),
        others=[CharacterRow(id=uuid4(), name="Tomas")] * others,
    )
    return greeting_for(begun, ChatRequest.model_validate({"kickoff": True} | request), Variables())


class TestGroup:
    def test_opens_with_the_first_greeting_for_groups(self) -> None:
        assert for_groups("All of you, {{user}}?", "Both.") == "All of you, Ada?"
        assert for_groups(" ", "Both.") == "Both."

    def test_without_one_opens_as_the_character_alone_does(self) -> None:
        assert for_groups() == for_groups(" ") == "Alone."

    def test_numbers_go_on_after_the_characters_own(self) -> None:
        assert for_groups("All?", "Both.", greeting=0) == "Alone."
        assert for_groups("All?", "Both.", greeting=2) == "Both."

    def test_character_alone_has_none_of_them(self) -> None:
        assert for_groups("All?", others=0) == "Alone."
        with pytest.raises(ApiError, match="greeting_not_found"):
            for_groups("All?", others=0, greeting=1)


def test_without_a_character_there_is_none() -> None:
    begun = BegunTurn(
        now=datetime(2026, 1, 3, tzinfo=UTC), turn=TurnRow(id=uuid4()), user=UserRow()
    )
    assert greeting_for(begun, ChatRequest(kickoff=True), Variables()) is None
