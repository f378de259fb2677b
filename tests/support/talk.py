"""A person talks with a character while models fail: who was asked, what is said and cools down."""

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

# The seed's models for roleplay, in the order in which they are asked.
VENICE = "cognitivecomputations/dolphin-mistral-24b-venice-edition:free"
DOLPHIN_R1 = "cognitivecomputations/dolphin-3.0-r1-mistral-24b:free"
DOLPHIN = "cognitivecomputations/dolphin-3.0-mistral-24b:free"
WORKER = "qwen_instruct"

CANARY = "CANARY"
"""In every failure that an upstream words: it must not get further than our function."""


def failing(
    status: int,
    message: str = "Provider returned error",
    *,
    headers: Headers | None = None,
    mirrored: Headers | None = None,
    availability: dict[str, Any] | None = None,
    **metadata: Any,
) -> Answer:
    """An error as OpenRouter words it, with an account's id and links in it.

    `mirrored` are headers that only the body repeats.
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
"""Seconds that a busy machine may let pass before a test looks at what is left of a wait."""


def lasting(**time: float) -> Any:
    """Equal to what `Talk.cooldowns` says of a cooldown that has just begun and lasts this long."""
    return pytest.approx(timedelta(**time).total_seconds(), abs=LAG)


@dataclass
class Talk:
    """One person, one conversation, and the failures on the way."""

    stack: Stack
    user: User
    conversation: UUID
    log: list[dict[str, Any]] = field(default_factory=list)
    url: str | None = None  # of a function with other settings

    # What is there

    def have_worker(self, **config: Any) -> None:
        """A worker that is healthy, as a path of the same upstream: its calls are in order."""
        url = f"{self.stack.upstream.url}/worker"
        self.stack.db.execute(
            "update private.system_settings set config = config || %s",
            (Jsonb({"chatWorkerUrl": url, "chatWorker": {"model": WORKER, **config}}),),
        )
        self.stack.worker_health(workerUrl=url)

    def have_only(self, *models: str) -> None:
        """No other models."""
        self.stack.db.execute(
            "update api_models set is_active = model_key = any(%s), is_default = false"
            " where task = 'roleplay'",
            (list(models),),
        )

    def describe(self, model: str, **capabilities: Any) -> None:
        """Adds to a model's capabilities."""
        self.stack.db.execute(
            "update api_models set capabilities = capabilities || %s where model_key = %s",
            (Jsonb(capabilities), model),
        )

    def limit(self, *models: str, **seconds: float) -> None:
        """How long calls to these models may take."""
        for model in models:
            self.describe(model, timeouts=seconds)

    # What is said

    def say(self, message: str = "Hello", *, url: str | None = None, **body: Any) -> httpx.Response:
        """One turn as JSON."""
        answer = self.stack.chat(self.user, url=url or self.url, **self._body(message, body))
        assert CANARY not in answer.text
        return answer

    def reply(self, message: str = "Hello", **body: Any) -> dict[str, Any]:
        """One turn that is answered."""
        answer = self.say(message, **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def stream(self, message: str = "Hello", *, url: str | None = None, **body: Any) -> list[Event]:
        """One turn as events, read to their end."""
        events = self.stack.stream(self.user, url=url or self.url, **self._body(message, body))
        assert CANARY not in str(events)
        return events

    @contextmanager
    def streaming(self, message: str = "Hello", **body: Any) -> Iterator[Stream]:
        """One turn as events; leave early to go away."""
        with self.stack.streaming(self.user, url=self.url, **self._body(message, body)) as events:
            yield events

    @contextmanager
    def asking(self, message: str = "Hello", **body: Any) -> Iterator[None]:
        """One turn as JSON by somebody who goes away without waiting for the answer."""
        url = urlsplit(self.url or self.stack.function_url("roleplay_chat"))
        content = json.dumps(self._body(message, body)).encode()
        head = [f"POST {url.path or '/'} HTTP/1.1", f"Host: {url.netloc}"]
        head += [f"{name}: {value}" for name, value in self.user.headers.items()]
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}", "", ""]
        with socket.create_connection((url.hostname or "", url.port or 80)) as client:
            client.sendall("\r\n".join(head).encode() + content)
            yield

    # What came of it

    def asked(self) -> list[str]:
        """The models called, in order."""
        return self.stack.upstream.models_called()

    def said(self) -> list[str]:
        """What stands in the conversation: "Hello", "> Good evening." """
        said = self.stack.said(self.conversation)
        return [f"> {words}" if sender == "character" else words for sender, words in said]

    def turn(self) -> tuple[str, str | None]:
        """Status and error code of the newest turn."""
        query = "select status, error_code from turns order by created_at desc limit 1"
        row = self.stack.one(query)
        return row["status"], row["error_code"]

    def cooldowns(self) -> dict[str, float]:
        """What is not to be asked, and for how many seconds more."""
        rows = self.stack.all(
            "select scope, key, extract(epoch from until - now())::float as seconds"
            " from model_cooldowns where until > now() order by scope, key"
        )
        return {f"{row['scope']} {row['key']}": row["seconds"] for row in rows}

    def alerts(self) -> list[str]:
        """The error policies of the log lines that call somebody."""
        return [line["error_policy"] for line in self.log if line["severity"] == "ALERT"]

    def _body(self, message: str, body: dict[str, Any]) -> dict[str, Any]:
        said = {} if body.get("action") else {"message": message}
        return {"conversation_id": str(self.conversation)} | said | body
