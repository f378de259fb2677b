"""Public characters, and what people and admins do about them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx

from tests.support.stack import Stack, User


def public(stack: Stack, author: User | None, name: str = "Vera", **columns: Any) -> UUID:
    owner = {"user_id": author.id} if author else {}
    return stack.insert("characters", **owner, name=name, is_public=True, **columns)


def call(stack: Stack, user: User | None, function: str, **parameters: Any) -> httpx.Response:
    with stack.data_api(user) as api:
        return api.post(f"/rpc/{function}", json=parameters)


def admin(stack: Stack) -> User:
    user = stack.user()
    stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (user.id,))
    return user


def take_down(stack: Stack, user: User, character: UUID, reason: str = "Spam.") -> httpx.Response:
    return call(stack, user, "take_down_character", p_character_id=str(character), p_reason=reason)


def report(
    stack: Stack, user: User, character: UUID, reason: str = "spam", **more: Any
) -> httpx.Response:
    asked = {"p_character_id": str(character), "p_reason": reason} | more
    return call(stack, user, "report_character", **asked)


def block(stack: Stack, user: User, character: UUID) -> httpx.Response:
    return call(stack, user, "block_author", p_character_id=str(character))
