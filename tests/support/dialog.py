"""`Dialog`: a conversation of four messages, for actions on them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx

from tests.support.answers import held, text
from tests.support.stack import Stack, User
from tests.support.waiting import Gate


class Dialog:
    """A user and a conversation with four messages: user, character, user, character."""

    def __init__(self, stack: Stack, *said: str) -> None:
        self.stack = stack
        self.user = stack.user("Ada")
        self.id = stack.conversation(self.user)
        for message, reply in zip(said[::2], said[1::2], strict=True):
            stack.upstream.enqueue(text(reply))
            self.turn(message=message)

    def request(self, user: User | None = None, **body: Any) -> httpx.Response:
        """Sends a request unchanged."""
        return self.stack.chat(user or self.user, **body)

    def turn(self, **body: Any) -> dict[str, Any]:
        """A turn that must be answered."""
        answer = self.request(conversation_id=str(self.id), **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def do(self, action: str, content: str, **body: Any) -> dict[str, Any]:
        """An action on the message with this text, which must succeed."""
        answer = self.request(action=action, message_id=self.message(content), **body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["success"] is True
        return dict(answer.json())

    def again(self, content: str, reply: str, **body: Any) -> dict[str, Any]:
        """Another version of a reply."""
        self.stack.upstream.enqueue(text(reply))
        return self.turn(action="regenerate", message_id=self.message(content), **body)

    def message(self, content: str) -> str:
        row = self.stack.one(
            "select id from messages where content = %s and conversation_id = %s", content, self.id
        )
        return str(row["id"])

    def said(self, conversation: UUID | None = None) -> list[str]:
        return [words for _, words in self.stack.said(conversation or self.id)]

    def prompt(self) -> list[str]:
        """The messages of the last model call after the system message."""
        return [message["content"] for message in self.stack.upstream.calls[-1].json["messages"]][
            1:
        ]

    def body(self, action: str, content: str) -> dict[str, Any]:
        """The body of a request for an action."""
        body = {"action": action, "message_id": self.message(content)}
        return body | {"message": "Edited"} if action == "edit" else body

    @contextmanager
    def running(self) -> Iterator[None]:
        """A block in which a turn is running in the conversation."""
        gate = Gate()
        self.stack.upstream.enqueue(held(gate, text("At last.")))
        with ThreadPoolExecutor(1) as pool:
            turn = pool.submit(self.turn, message="Wait")
            gate.wait_reached()
            try:
                yield
            finally:
                gate.open()
            assert turn.result()["response"] == "At last."
