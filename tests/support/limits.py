"""A person's limits, and the turns and costs that count towards them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.support.stack import Stack, User

PAID = "meta-llama/llama-3.1-8b-instruct"


def limit(stack: Stack, role: str = "default", **limits: float | None) -> None:
    """Sets the limits of a role and removes all others."""
    stack.configure(limits={"default": {}, role: limits})


def add_turn(stack: Stack, user: User, when: str, **columns: Any) -> None:
    """Inserts a turn of this user that started at a time, given in SQL."""
    ended = {"status": "failed", "finished_at": datetime.now(UTC)}
    row = {"user_id": user.id, "task": "roleplay", "action": "send"} | ended | columns
    turn = stack.insert("turns", **row, lease_expires_at=datetime.now(UTC))
    query = f"update turns set created_at = {when} where id = %s"  # noqa: S608
    stack.db.execute(query.encode(), (turn,))


def pay(stack: Stack, user: User | None, usd: float | None, when: str = "now()") -> None:
    """Inserts a model call of this user at a time, given in SQL."""
    at = stack.one(f"select {when} as at")["at"]
    row = {
        "user_id": user and user.id,
        "provider": "openrouter",
        "model_key": PAID,
        "cost_usd": usd,
    }
    tokens = {"prompt_tokens": 70, "completion_tokens": 7}
    stack.insert("usage_events", **row, **tokens, outcome="ok", duration_ms=1, created_at=at)
