"""`Talk`: one user's conversation with a character while scripted models fail.

It takes turns and reads what came of them: models called, messages, cooldowns, alerts.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import reply
from tests.support.stack import Event, Stack, Stream, User
from tests.support.upstream import Answer, Headers

# The models for roleplay in the seed, in the order in which they are tried.
VENICE = "cognitivecomputations/dolphin-mistral-24b-venice-edition:free"
DOLPHIN_R1 = "cognitivecomputations/dolphin-3.0-r1-mistral-24b:free"
DOLPHIN = "cognitivecomputations/dolphin-3.0-mistral-24b:free"
WORKER = "qwen_instruct"

CANARY = "CANARY"
"""Part of every scripted error text. It must not leave our function."""


def failing(
    status: int,
    message: str = "Provider returned error",
    *,
    headers: Headers | None = None,
    mirrored: Headers | None = None,
    availability: dict[str, Any] | None = None,
    **metadata: Any,
) -> Answer:
    """An error response like OpenRouter's, with an account's id and links.

    `mirrored` are headers that appear only in the body.
    """
    link = f"https://openrouter.ai/{CANARY}"
    error: dict[str, Any] = {
        "code": status,
        "message": message,
        "metadata": {"remedy_hint": f"See {link}", **metadata},
    }
    if mirrored:
        error["metadata"] |= {"headers": mirrored}
    if availability:
        error["availability"] = {"docs_url": link, **availability}
    return reply(status, {"error": error, "user_id": f"user_{CANARY}"}, headers)


LAG = 12
"""Seconds that may pass on a busy machine before a test reads the rest of a waiting time."""


def lasting(**time: float) -> Any:
    """Equal to the seconds in `Talk.cooldowns` of a new cooldown of this length."""
    return pytest.approx(timedelta(**time).total_seconds(), abs=LAG)


@dataclass
class Talk:
    """One user and one conversation, with scripted models."""

    stack: Stack
    user: User
    conversation: UUID
    log: list[dict[str, Any]] = field(default_factory=list)
    url: str | None = None  # URL of a function with other settings

    # Preparing

    def have_worker(self, **config: Any) -> None:
        """Registers a healthy worker on the same upstream, so that all calls are in one order."""
        url = f"{self.stack.upstream.url}/worker"
        self.stack.db.execute(
            "update private.system_settings set config = config || %s",
            (Jsonb({"chatWorkerUrl": url, "chatWorker": {"model": WORKER, **config}}),),
        )
        self.stack.worker_health(workerUrl=url)

    def have_only(self, *models: str) -> None:
        """Deletes all other models."""
        self.stack.db.execute(
            "update api_models set is_active = model_key = any(%s), is_default = false"
            " where task = 'roleplay'",
            (list(models),),
        )

    def describe(self, model: str, **capabilities: Any) -> None:
        """Adds capabilities to a model."""
        self.stack.db.execute(
            "update api_models set capabilities = capabilities || %s where model_key = %s",
            (Jsonb(capabilities), model),
        )

    def limit(self, *models: str, **seconds: float) -> None:
        """Sets time limits of calls to these models."""
        for model in models:
            self.describe(model, timeouts=seconds)

    # Taking turns

    def say(
        self, message: str | None = "Hello", *, url: str | None = None, **body: Any
    ) -> httpx.Response:
        """One turn as JSON."""
        answer = self.stack.chat(self.user, url=url or self.url, **self._body(message, body))
        assert CANARY not in answer.text
        return answer

    def reply(self, message: str | None = "Hello", **body: Any) -> dict[str, Any]:
        """One turn that must be answered."""
        answer = self.say(message, **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def stream(
        self, message: str | None = "Hello", *, url: str | None = None, **body: Any
    ) -> list[Event]:
        """One turn as events, read to the end."""
        events = self.stack.stream(self.user, url=url or self.url, **self._body(message, body))
        assert CANARY not in str(events)
        return events

    @contextmanager
    def streaming(self, message: str | None = "Hello", **body: Any) -> Iterator[Stream]:
        """One turn as events. Leave early to disconnect."""
        with self.stack.streaming(self.user, url=self.url, **self._body(message, body)) as events:
            yield events

    @contextmanager
    def asking(self, message: str | None = "Hello", **body: Any) -> Iterator[None]:
        """One turn as JSON by a client that disconnects without waiting for the response."""
        url = urlsplit(self.url or self.stack.function_url("roleplay_chat"))
        content = json.dumps(self._body(message, body)).encode()
        head = [f"POST {url.path or '/'} HTTP/1.1", f"Host: {url.netloc}"]
        head += [f"{name}: {value}" for name, value in self.user.headers.items()]
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}", "", ""]
        with socket.create_connection((url.hostname or "", url.port or 80)) as client:
            client.sendall("\r\n".join(head).encode() + content)
            yield

    # Results

    def asked(self) -> list[str]:
        """The models called, in order."""
        return self.stack.upstream.models_called()

    def said(self) -> list[str]:
        """The messages of the conversation: "Hello", "> Good evening." """
        said = self.stack.said(self.conversation)
        return [f"> {words}" if sender == "character" else words for sender, words in said]

    def turn(self) -> tuple[str, str | None]:
        """Status and error code of the newest turn."""
        query = "select status, error_code from turns order by created_at desc limit 1"
        row = self.stack.one(query)
        return row["status"], row["error_code"]

    def cooldowns(self) -> dict[str, float]:
        """The cooldowns, with their remaining seconds."""
        rows = self.stack.all(
            "select scope, key, extract(epoch from until - now())::float as seconds"
            " from model_cooldowns where until > now() order by scope, key"
        )
        return {f"{row['scope']} {row['key']}": row["seconds"] for row in rows}

    def alerts(self) -> list[str]:
        """The error policies of alerts in the log."""
        return [line["error_policy"] for line in self.log if line["severity"] == "ALERT"]

    def _body(self, message: str | None, body: dict[str, Any]) -> dict[str, Any]:
        said = {} if body.get("action") else {"message": message}
        return {"conversation_id": str(self.conversation)} | said | body
