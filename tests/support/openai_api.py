"""Programs of a person that use the OpenAI-compatible API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from tests.support import patient
from tests.support.stack import DEMO_CHARACTER, Stack, User

MARA = f"mara-voss-{DEMO_CHARACTER}"


def user_says(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def character_says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def system_says(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


HELLO = [user_says("Hello")]


@dataclass(frozen=True)
class Program:
    """Sends requests with a person's token, or with an API key."""

    stack: Stack
    key: str
    url: str | None = None

    @property
    def base_url(self) -> str:
        """What programs call the base URL."""
        return f"{self.url or self.stack.function_url('roleplay_chat')}/v1"

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]] = HELLO,
        model: str = MARA,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """One chat completion."""
        return patient.post(
            f"{self.base_url}/chat/completions",
            headers={"Authorization": f"Bearer {self.key}", **(headers or {})},
            json={"model": model, "messages": list(messages), **more},
        )

    def models(self, model: str = "") -> httpx.Response:
        """All models, or one."""
        path = f"/{model}" if model else ""
        headers = {"Authorization": f"Bearer {self.key}"}
        return patient.get(f"{self.base_url}/models{path}", headers=headers)


def chunks(response: httpx.Response) -> list[Any]:
    """The data of a stream; its last line is the text [DONE]."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    kept = [line for line in lines if not line.startswith(":")]
    return [line if line == "[DONE]" else json.loads(line) for line in kept]


def make_key(stack: Stack, user: User, name: str = "Notebook", **more: Any) -> dict[str, Any]:
    """A new API key of a person, as the page gets it."""
    with stack.data_api(user) as api:
        made = api.post("/rpc/create_api_key", json={"p_name": name, **more})
    assert made.status_code == 200, made.text
    return dict(made.json())


def revoke_key(stack: Stack, user: User, key_id: str | UUID) -> bool:
    """Whether the person had such a key."""
    with stack.data_api(user) as api:
        return bool(api.post("/rpc/revoke_api_key", json={"p_id": str(key_id)}).json())
