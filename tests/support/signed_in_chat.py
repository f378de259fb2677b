"""The terminal's chat of a user who already has a token: a class, and a program for a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import httpx

from dev.terminal.chat import converse
from dev.terminal.client import Chat
from dev.terminal.output import keeping_typed_text
from tests.support.gateway import PUBLISHABLE_KEY
from tests.support.stack import DEMO_CHARACTER, Stack, User
from tests.support.waiting import PATIENCE


class SignedIn(Chat):
    """Has no need for Auth."""

    def __init__(self, http: httpx.Client, env: Mapping[str, str]) -> None:
        super().__init__(http, env, "")
        self._user_id, self._user = env["USER_ID"], json.loads(env["USER_HEADERS"])

    def sign_in(self) -> None:
        pass


def addresses(stack: Stack, user: User, conversation: UUID) -> dict[str, str]:
    """What the chat needs of the test's stack."""
    return {
        "SUPABASE_URL": stack.gateway.url,
        "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "FUNCTIONS_URL": stack.function_url("roleplay_chat"),
        "DEMO_CHARACTER_ID": str(DEMO_CHARACTER),
        "DEMO_CONVERSATION_ID": str(conversation),
        "USER_ID": str(user.id),
        "USER_HEADERS": json.dumps(user.headers),
    }


if __name__ == "__main__":
    with httpx.Client(timeout=PATIENCE) as client, keeping_typed_text():
        converse(SignedIn(client, os.environ), Path(os.environ["CHAT_HISTORY"]))
