"""Builds turns as values for tests of pure modules: rows, targets, attempts, failures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from roleplay_chat.api import ChatRequest, Usage
from roleplay_chat.generation.attempts import Attempt, Spent
from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.error_policies import ERROR_POLICIES
from roleplay_chat.generation.providers import End
from roleplay_chat.generation.targets import Target
from roleplay_chat.rows import BegunTurn, ModelRow
from roleplay_chat.turn_plan import Accepted

NOW = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)
TURN, USER, CONVERSATION, CHARACTER, MESSAGE = (UUID(int=place) for place in range(1, 6))

PROVIDER = {"name": "openrouter", "base_url": "https://up.example/v1", "secret_name": "A_API_KEY"}
VERIFIED = {"name": "Ada", "age_verified": True}
ADULT = {"id": CHARACTER, "name": "Mara Voss", "age": 30, "content_rating": "nsfw"}


def model(key: str, **columns: Any) -> ModelRow:
    """A row of api_models, with the database's defaults."""
    return ModelRow.model_validate(
        {"model_key": key, "display_name": key.upper(), "provider": PROVIDER} | columns
    )


def accepted(asks: dict[str, Any] | None = None, **rows: Any) -> Accepted:
    """An accepted turn with these rows. `asks` are fields of the request."""
    turn = {"id": TURN, "user_message_id": MESSAGE, "message": "Hello."} | rows.pop("turn", {})
    begun = BegunTurn.model_validate(
        {
            "now": NOW,
            "turn": turn,
            "user": VERIFIED,
            "conversation": {"id": CONVERSATION},
            "character": ADULT,
            "models": [model("main:free"), model("second:free")],
            **rows,
        }
    )
    request = ChatRequest.model_validate(
        {"message": "Hello.", "conversation_id": CONVERSATION} | (asks or {})
    )
    return Accepted(begun, request, USER, "a-request")


TARGET = Target(
    provider="openrouter",
    model_key="main:free",
    display_name="MAIN:FREE",
    protocol="openai",
    url="https://up.example/v1/chat/completions",
    parameters={"max_tokens": 400},
    prompt_usd_per_1k=0,
    completion_usd_per_1k=0,
)
SECOND = replace(TARGET, model_key="second:free", display_name="SECOND:FREE")


def failure(name: str, **details: Any) -> Failure:
    """A failure by the name of its row in docs/failures.md."""
    return Failure(ERROR_POLICIES[name], **details)


def attempt(failed: str | None = None, target: Target = TARGET, **columns: Any) -> Attempt:
    """A call of 70 ms that was answered, or that failed with the policy `failed`."""
    return Attempt(
        target, 70, **{"failure": failure(failed) if failed else None, "end": None} | columns
    )


def answered(reason: str = "stop", target: Target = TARGET) -> Attempt:
    """A call that was answered completely, with usage from the provider."""
    usage = Usage(100, 20, 0.25)
    spent = Spent(100, 20, 0.25, is_estimated=False)
    return attempt(
        target=target, first_token_ms=30, end=End(reason, usage), reported=usage, spent=spent
    )
