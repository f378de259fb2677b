"""An existing product's programs, which write into the conversations of an adopted database."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.support.gateway import SECRET_KEY
from tests.support.stack import User
from tests.support.waiting import PATIENCE

_OLD_FUNCTION = {"apikey": SECRET_KEY}


@dataclass
class Product:
    """The product's client and its chat function in one conversation, beside our instances.

    The client stores the person's message, the function stores the reply alone. Each repeats a
    row until it is there.
    """

    name: str
    user: User
    conversation: UUID
    dice: random.Random
    gateway: str
    written: dict[UUID, str] = field(default_factory=dict)
    """The texts of its rows."""
    given_up: threading.Event = field(default_factory=threading.Event)

    def talk(self, stop: threading.Event) -> None:
        """Writes until `stop` is set."""
        with httpx.Client(timeout=PATIENCE, trust_env=False) as self._client:
            number = 0
            while not stop.is_set():
                self._write(self.user.headers, "user", f"{self.name} asks {number}")
                self._write(_OLD_FUNCTION, "assistant", f"{self.name} hears {number}")
                number += 1

    def _write(self, headers: Mapping[str, str], sender: str, content: str) -> None:
        row = uuid4()
        body = {"id": str(row), "conversation_id": str(self.conversation)}
        body |= {"sender": sender, "content": content}
        while not insert_message(self._client, self.gateway, body, headers):
            if self.given_up.is_set():
                return
            time.sleep(self.dice.uniform(0.05, 0.3))
        self.written[row] = content
        time.sleep(self.dice.uniform(0.05, 0.5))  # the device has to get a word in

    def problems(self, said: list[dict[str, Any]]) -> Iterator[str]:
        """What is missing or changed among all messages of the conversation."""
        texts = {row["id"]: row["content"] for row in said}
        for row, content in self.written.items():
            if row not in texts:
                yield f"lost message of the product: {content}"
            elif texts[row] != content:
                yield f"foreign, changed message of the product: {content} is {texts[row]}"


def insert_message(
    client: httpx.Client, gateway: str, row: Mapping[str, str], headers: Mapping[str, str]
) -> bool:
    """Inserts a message through the Data API. Returns whether it is there."""
    try:
        answer = client.post(f"{gateway}/rest/v1/messages", json=row, headers=headers)
    except httpx.TransportError:
        return False
    return answer.status_code in (201, 409)  # 409: inserted before, with its response lost
