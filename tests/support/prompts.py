"""Builds prompts for a turn with one character, for tests of what prompts have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.builder import Prompt, PromptSpec, build
from roleplay_chat.rows import BegunTurn, CharacterRow, TemplateRow, TurnRow, UserRow
from roleplay_chat.tokens import UNCALIBRATED, Tokens

MARA = CharacterRow(id=uuid4(), name="Mara", description="{{char}} keeps the light.", age=52)
TEMPLATES = [
    TemplateRow(content_tier="sfw", system_prompt="You are {{char}}, talking with {{user}}."),
    TemplateRow(content_tier="sfw", model_family="llama", system_prompt="Llama, be {{char}}."),
    TemplateRow(content_tier="nsfw", system_prompt="Adults only."),
]


def begun(**fields: Any) -> BegunTurn:
    """A turn in which Ada says "Hello" to Mara."""
    defaults: dict[str, Any] = {
        "now": datetime(2026, 1, 3, tzinfo=UTC),
        "turn": TurnRow(id=uuid4(), message="Hello"),
        "user": UserRow(name="Ada"),
        "character": MARA,
        "templates": TEMPLATES,
    }
    return BegunTurn(**(defaults | fields))


def spec(turn: BegunTurn, **more: Any) -> PromptSpec:
    """What the prompt of a turn is built from. `more` are fields of the spec."""
    usual: dict[str, Any] = {"request": ChatRequest(), "tier": "sfw", "family": None}
    usual |= {"context_tokens": 4096, "max_tokens": 400}
    return PromptSpec(turn, **(usual | more))


def built(
    turn: BegunTurn,
    *,
    family: str | None = None,
    context_tokens: int = 4096,
    max_tokens: int = 400,
    tokens: Tokens = UNCALIBRATED,
    **request: Any,
) -> Prompt:
    """The prompt of a turn. `request` are fields of the request."""
    limits = {"context_tokens": context_tokens, "max_tokens": max_tokens, "tokens": tokens}
    asked = ChatRequest.model_validate(request)
    return build(spec(turn, request=asked, family=family, **limits))
