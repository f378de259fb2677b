"""What a prompt is made of: a character, templates, and the rows of a turn."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from roleplay_chat.rows import (
    BegunTurn,
    CharacterRow,
    TemplateRow,
    TurnRow,
    UserRow,
)

MARA = CharacterRow(id=uuid4(), name="Mara", description="{{char}} keeps the light.", age=52)
TEMPLATES = [
    TemplateRow(content_tier="sfw", system_prompt="You are {{char}}, talking with {{user}}."),
    TemplateRow(content_tier="sfw", model_family="llama", system_prompt="Llama, be {{char}}."),
    TemplateRow(content_tier="nsfw", system_prompt="Adults only."),
]


def begun(**fields: Any) -> BegunTurn:
    defaults: dict[str, Any] = {
        "now": datetime(2026, 1, 3, tzinfo=UTC),
        "turn": TurnRow(id=uuid4(), message="Hello"),
        "user": UserRow(name="Ada"),
        "character": MARA,
        "templates": TEMPLATES,
    }
    return BegunTurn(**(defaults | fields))
