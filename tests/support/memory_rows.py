"""Builds turns, messages, batches and facts for the unit tests of the memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from roleplay_chat.memory.batches import Batch
from roleplay_chat.memory.request import build_request
from roleplay_chat.prompt.macros import Macros
from roleplay_chat.rows import BegunTurn, FactRow, MessageRow

NAMES = Macros({"user": "Ada", "char": "Mara"})
MESSAGES = [
    (10, "I have moved at last. Oslo is my home now."),
    (12, "And the dog?"),
    (14, "I gave the dog away, and I am not afraid of gulls any more."),
]


def rows(count: int, *, chars: int = 296, first: int = 8) -> list[MessageRow]:
    """Messages of 103 tokens or other lengths."""
    return [
        MessageRow(
            sender="character" if position % 2 else "user",
            content="x" * chars,
            position=position,
        )
        for position in range(first, first + count)
    ]


def places(batches: list[Batch]) -> list[list[int]]:
    """The positions of the messages of each batch."""
    return [[row.position for row in batch.rows] for batch in batches]


def begun(**fields: Any) -> BegunTurn:
    """A turn that has begun, with these rows."""
    defaults = {"now": datetime.now(UTC), "turn": {"id": UUID(int=1)}, "user": {}}
    return BegunTurn.model_validate(defaults | fields)


def read_request(turn: BegunTurn, taken: Batch, tokens: int) -> dict[str, Any]:
    """What a model gets of a batch, within `tokens`."""
    system, user = build_request(taken, turn, NAMES, budget=tokens)
    assert system["role"] == "system"
    return dict(json.loads(user["content"]))


def answer(summary: Any = "They met.", facts: Any = ()) -> str:
    """A model's answer in the requested format."""
    return json.dumps({"summary": summary, "facts": facts})


def known(*contents: str, **columns: Any) -> list[FactRow]:
    """Facts that a model wrote, with ids 1, 2, ..."""
    defaults = {"written_by": "model"} | columns
    return [
        FactRow(id=UUID(int=number), content=content, **defaults)
        for number, content in enumerate(contents, 1)
    ]


def ids(*numbers: int) -> list[str]:
    """The ids of these of the `known` facts."""
    return [str(UUID(int=number)) for number in numbers]
