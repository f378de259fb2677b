"""The author's note of a conversation in the prompt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.messages import Message
from roleplay_chat.prompt.budget import NOTE_SHARE, min_history_room
from roleplay_chat.prompt.builder import Prompt, build
from roleplay_chat.prompt.composition import compose
from roleplay_chat.prompt.passages import written_for
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED
from tests.support.prompts import spec
from tests.support.turns import accepted

HISTORY = [
    {"sender": "character" if place % 2 else "user", "content": str(place), "position": place}
    for place in range(6)
]


def built(note: str, context_tokens: int = 8192, **settings: Any) -> Prompt:
    turn = accepted(settings={"note": note, **settings}, history=HISTORY)
    return build(spec(turn.begun, request=turn.request, context_tokens=context_tokens))


def without_system(prompt: Prompt) -> list[Message]:
    return prompt[1:]


@pytest.mark.parametrize(("depth", "place"), [(0, 7), (1, 6), (4, 3), (7, 0), (1000, 0)])
def test_stands_at_its_depth(depth: int, place: int) -> None:
    messages = without_system(built("It rains.", note_depth=depth))
    assert messages[place] == {"role": "system", "content": "It rains."}
    assert len(messages) == 8


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_has_its_role(role: str) -> None:
    said = [
        message
        for message in built("It rains.", note_role=role)
        if "It rains" in message["content"]
    ]
    assert [message["role"] for message in said] == [role]


def test_last_message_is_never_the_assistants() -> None:
    assert built("It rains.", note_depth=0, note_role="assistant")[-1]["role"] != "assistant"


def test_macros_are_expanded_as_in_a_scene() -> None:
    texts = [message["content"] for message in built("{{char}} distrusts {{user}}.")]
    assert "Mara Voss distrusts Ada." in texts


@pytest.mark.parametrize("note", ["", "  \n"])
def test_blank_one_is_no_message(note: str) -> None:
    assert len(without_system(built(note))) == 7


def test_long_one_is_cut_to_its_share_and_the_composition_says_so() -> None:
    prompt = built("word " * 1600, context_tokens=4096)
    [note] = [one for one in prompt if one["content"].startswith("word")]
    spent = UNCALIBRATED.count(note["content"]) + TOKENS_PER_MESSAGE
    assert 0 < spent <= (4096 - 400) * NOTE_SHARE
    assert prompt.ingredients
    parts = {part["part"]: part for part in compose(prompt.ingredients, 3000)["parts"]}
    assert parts["author_note"]["tokens"] == spent
    assert parts["author_note"]["of"] > spent


@given(st.integers(0, 8000), st.integers(0, 12_000), st.integers(600, 9000))
def test_prompt_with_a_note_never_exceeds_its_budget(note: int, said: int, context: int) -> None:
    turn = accepted(
        settings={"note": "a " * (note // 2)},
        history=HISTORY,
        turn={"message": "b " * (said // 2) or "b"},
    )
    limits = {"context_tokens": context, "max_tokens": 300}
    prompt = build(spec(turn.begun, request=turn.request, **limits))
    spent = sum(UNCALIBRATED.count(one["content"]) + TOKENS_PER_MESSAGE for one in prompt)
    assert spent <= context - 300
    assert prompt.ingredients
    # What the memory counts on is there beside the longest note and message.
    assert context - 300 - prompt.ingredients.others >= min_history_room(context - 300) - 1


def test_is_screened_as_the_scenes_text_also_without_room() -> None:
    turn = accepted(settings={"note": "It rains."})
    texts = {(one.part, one.text) for one in written_for(turn.begun, turn.request, [])}
    assert ("scene", "It rains.") in texts
    passages = [(one.part, one.text) for one in built("It rains.").passages]
    assert ("scene", "It rains.") in passages
