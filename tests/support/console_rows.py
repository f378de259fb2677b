"""Turns and calls that the console shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.support.person import Person, operator


def turn(person: Person, **columns: Any) -> dict[str, Any]:
    """A turn of this person's, just now, that failed."""
    began = datetime.now(UTC).isoformat()
    row = {"id": str(uuid4()), "user_id": person.user_id, "task": "roleplay", "action": "send"}
    row |= {"conversation_id": person.conversation_id, "status": "failed", "error_code": "timeout"}
    row |= {"created_at": began, "finished_at": began, "lease_expires_at": began}
    row |= {"request_id": uuid4().hex, "model_used": None, "duration_ms": 1500} | columns
    operator(person.copy, "POST", "/rest/v1/turns", row)
    return row


def call(person: Person, of: dict[str, Any], **columns: Any) -> None:
    row = {"turn_id": of["id"], "user_id": person.user_id, "provider": "openrouter"}
    row |= {"model_key": "author/one", "purpose": "reply", "outcome": "timeout"}
    row |= {"duration_ms": 700, "created_at": of["created_at"]} | columns
    operator(person.copy, "POST", "/rest/v1/usage_events", row)
