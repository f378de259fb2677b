"""What keeps others waiting when a prompt is built or read is done in a thread."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from edge.clients import Clients
from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.builder import build
from roleplay_chat.prompt.greeting import greeting_for
from roleplay_chat.rows import BegunTurn
from roleplay_chat.screening.rules import NEW_AT_ONCE_CHARS, READ_AT_ONCE_CHARS, detect
from roleplay_chat.screening.scenes import is_scene
from roleplay_chat.turn_plan import Accepted, plan_turn
from roleplay_chat.turn_screen import MANY_FACT_CHARS, MANY_MACROS, MANY_MESSAGES, PromptScreen

ID = UUID(int=1)
PROVIDER = {"name": "openrouter", "base_url": "https://openrouter.ai/api/v1"}
MODEL = {"model_key": "a", "display_name": "A", "provider": PROVIDER}
FEW, MANY = "{{user}} " * 20, "{{user}} " * MANY_MACROS
OLD = "<user> " * (MANY_MACROS + 1)


class Threads(Clients):
    """Stands in for the clients; notes what is done in a thread."""

    def __init__(self) -> None:
        self.done: list[Callable[..., Any]] = []

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.done.append(function)
        return function(*arguments)


async def in_threads(request: ChatRequest, **rows: Any) -> list[Callable[..., Any]]:
    """What is built in a thread for the first prompt of a turn and its greeting."""
    done = await all_in_threads(request, **rows)
    return [function for function in done if function in (build, greeting_for)]


async def all_in_threads(request: ChatRequest, **rows: Any) -> list[Callable[..., Any]]:
    """What is done in a thread for the first prompt of a turn and its greeting."""
    begun = BegunTurn.model_validate(
        {
            "now": datetime.now(UTC),
            "turn": {"id": ID},
            "user": {"name": "Ada"},
            "character": {"id": ID, "name": "Mara"},
            "models": [MODEL],
        }
        | rows
    )
    planned = plan_turn(Accepted(begun, request, ID, "request"))
    threads = Threads()
    prompts = PromptScreen(threads, request, planned)
    assert await prompts.open()
    await prompts.greeting()
    return threads.done


def character(**texts: Any) -> dict[str, Any]:
    return {"id": ID, "name": "Mara"} | texts


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({"character": character(description=MANY)}, id="description"),
        pytest.param({"character": character(depth_prompt=OLD)}, id="oldest-form"),
        pytest.param({"character": character(greetings=["Hi.", MANY])}, id="greeting"),
        pytest.param({"persona": character(description=MANY)}, id="persona"),
        pytest.param({"settings": {"note": MANY}}, id="note"),
        pytest.param(
            {"templates": [{"content_tier": "sfw", "system_prompt": MANY}]}, id="template"
        ),
    ],
)
async def test_rows_with_many_macros(rows: dict[str, Any]) -> None:
    assert await in_threads(ChatRequest(kickoff=True), **rows) == [build, greeting_for]


@pytest.mark.parametrize(
    "given",
    [
        {"scene_description": MANY[:8_000]},
        {"scene_context": MANY[:8_000]},
        {"scene_system_prompt": MANY[:8_000]},
        {"scene_starters": [MANY[:8_000]]},
        {"user_role": MANY[:8_000]},
    ],
    ids=lambda given: next(iter(given)),
)
async def test_request_with_many_macros(given: dict[str, Any]) -> None:
    request = ChatRequest(kickoff=True, **given)
    assert await in_threads(request) == [build, greeting_for]


async def test_very_many_messages() -> None:
    history = [{"sender": "user", "content": "a"}] * (MANY_MESSAGES + 1)
    assert await in_threads(ChatRequest(kickoff=True), history=history) == [build, greeting_for]
    assert await in_threads(ChatRequest(kickoff=True), history=history[1:]) == []


async def test_recalled_messages_of_new_words() -> None:
    words = disguised(NEW_AT_ONCE_CHARS * 3 // 2)
    recalled = [{"sender": "user", "content": words, "position": 1}]
    rows = {"recalled": recalled, "history": [{"sender": "user", "content": "a", "position": 2}]}
    assert await in_threads(ChatRequest(kickoff=True), **rows) == [build, greeting_for]
    detect(words)
    assert await in_threads(ChatRequest(kickoff=True), **rows) == []


@pytest.mark.parametrize(
    ("count", "chars", "in_thread"),
    [(3, 8_000, [build, greeting_for]), (1, 8_000, []), (20, 1_000, [])],
)
async def test_recalled_messages_that_are_read_as_a_whole(
    count: int, chars: int, in_thread: list[Any]
) -> None:
    recalled = [
        {"sender": "user", "content": "a " * (chars // 2), "position": place}
        for place in range(1, 1 + count)
    ]
    rows = {"recalled": recalled, "history": [{"sender": "user", "content": "a", "position": 99}]}
    assert await in_threads(ChatRequest(kickoff=True), **rows) == in_thread


async def test_many_long_facts() -> None:
    facts = [{"content": "Ада живёт в Осло. " * 100}] * (MANY_FACT_CHARS // 1_000 + 1)
    assert await in_threads(ChatRequest(kickoff=True), facts=facts) == [build, greeting_for]
    assert await in_threads(ChatRequest(kickoff=True), facts=facts[1:]) == []


async def test_ordinary_card_needs_no_thread() -> None:
    request = ChatRequest(kickoff=True, scene_context=FEW, user_role=FEW)
    assert await in_threads(request, character=character(description=FEW, greetings=[FEW])) == []


_numbers = count(10**6, 10**5)


def disguised(chars: int) -> str:
    """Words in disguise that nothing has read before."""
    begin = next(_numbers)
    return " ".join(f"5@{number:x}|3!*" for number in range(begin, begin + chars))[:chars]


async def times_read_in_a_thread(request: ChatRequest, **rows: Any) -> int:
    done = await all_in_threads(request, **rows)
    return sum(function.__name__ == "signals" for function in done)


async def test_new_words_are_read_in_a_thread() -> None:
    """They take twenty times as long as known ones."""
    role = disguised(NEW_AT_ONCE_CHARS * 3 // 2)
    assert await times_read_in_a_thread(ChatRequest(kickoff=True, user_role=role)) == 1
    assert await times_read_in_a_thread(ChatRequest(kickoff=True, user_role=role)) == 0


async def test_new_words_of_several_texts_are_read_in_a_thread() -> None:
    half = NEW_AT_ONCE_CHARS * 2 // 3
    request = ChatRequest(kickoff=True, user_role=disguised(half))
    turn = {"id": ID, "message": disguised(half)}
    assert await times_read_in_a_thread(request, turn=turn) == 1


async def test_new_text_of_known_words_needs_no_thread() -> None:
    words = disguised(NEW_AT_ONCE_CHARS * 2).split()
    detect(" ".join(words))
    request = ChatRequest(kickoff=True, user_role=" ".join(reversed(words)))
    assert await all_in_threads(request) == []


async def test_long_text_of_known_words_is_read_in_a_thread() -> None:
    rows = {
        "character": character(description=disguised(10) + " a word" * (READ_AT_ONCE_CHARS // 7))
    }
    assert await times_read_in_a_thread(ChatRequest(kickoff=True), **rows) >= 1


@pytest.mark.parametrize("chars", [NEW_AT_ONCE_CHARS, NEW_AT_ONCE_CHARS + 1])
async def test_long_text_that_is_continued_is_weighed_as_a_scene_in_a_thread(chars: int) -> None:
    turn = {"id": ID, "continues": "a" * chars}
    done = await all_in_threads(ChatRequest(action="continue"), turn=turn)
    assert (is_scene in done) == (chars > NEW_AT_ONCE_CHARS)
