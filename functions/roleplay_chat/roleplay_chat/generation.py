"""Walks the plan's targets under one budget until one of them answers."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import httpx

from edge.addresses import AddressRefused, check_address
from edge.clients import NETWORK_ERRORS, timed_out
from roleplay_chat.api import Tier
from roleplay_chat.failures import Failure, UpstreamError
from roleplay_chat.prompt import Message
from roleplay_chat.providers import End, Event, chat_worker, openai_compatible
from roleplay_chat.reply import Reply
from roleplay_chat.routing import WORKER, Plan, Target
from roleplay_chat.settings import Settings


@dataclass(frozen=True)
class Attempt:
    """One call to a target, as it is recorded. Times in milliseconds."""

    target: Target
    outcome: str
    """"ok", or the kind of failure."""
    duration_ms: int
    first_token_ms: int | None = None
    end: End | None = None
    detail: str = ""

    def cost_usd(self) -> float | None:
        """What the provider says it cost, else tokens times the row's prices, else None."""
        if self.end is None:
            return None
        if self.end.cost_usd is not None:
            return self.end.cost_usd
        return cost_usd(
            (self.end.prompt_tokens, self.target.prompt_usd_per_1k),
            (self.end.completion_tokens, self.target.completion_usd_per_1k),
        )


def cost_usd(*parts: tuple[int | None, float | None]) -> float | None:
    """Tokens times price per thousand, added up; None while a factor is not known."""
    total = 0.0
    for tokens, price in parts:
        if price == 0:
            continue
        if tokens is None or price is None:
            return None
        total += tokens * price / 1000
    return total


@dataclass
class Generated:
    """What came of the walk. `target` is the one that answered, None when none did."""

    target: Target | None = None
    text: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    failure: Failure | None = None
    """Why the text ends early, or why there is none."""


OnText = Callable[[Target, str], None]


@dataclass(frozen=True)
class Generation:
    """One walk. `messages_for` builds the prompt that fits a target."""

    http: httpx.AsyncClient
    settings: Settings
    tier: Tier
    messages_for: Callable[[Target], list[Message]]
    on_text: OnText
    """Called with each piece of text that will be part of the reply, in order."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    async def run(self, plan: Plan) -> Generated:
        """Ask each target in turn. Text that was shown is never followed by another model's."""
        deadline = time.monotonic() + self.settings.turn_budget_seconds
        generated = Generated()
        for target in plan.targets:
            attempt = await self._attempt(target, generated, deadline)
            generated.attempts.append(attempt)
            if attempt.outcome == "ok" or generated.text:
                generated.target = target
                return generated
            if time.monotonic() >= deadline:
                break
        return generated

    async def _attempt(self, target: Target, generated: Generated, deadline: float) -> Attempt:
        started = time.monotonic()
        first_token_ms: int | None = None
        end: End | None = None
        failure: Failure | None = None
        reply = Reply()
        try:
            until = min(started + self.settings.first_token_timeout_seconds, deadline)
            async with (
                asyncio.timeout(until - started) as timer,
                aclosing(self._call(target)) as events,
            ):
                async for event in events:
                    now = time.monotonic()
                    if isinstance(event, End):
                        end = event
                        break
                    until = min(now + self.settings.idle_timeout_seconds, deadline)
                    timer.reschedule(asyncio.get_running_loop().time() + until - now)
                    if shown := reply.feed(event.text):
                        if first_token_ms is None:
                            first_token_ms = round((now - started) * 1000)
                        generated.text += shown
                        self.on_text(target, shown)
            if not generated.text:
                failure = Failure("empty", "no text")
        except UpstreamError as error:
            failure = error.failure
        except NETWORK_ERRORS as error:
            kind = type(error.__cause__ or error).__name__
            failure = Failure("timeout" if timed_out(error) else "overloaded", kind)
        generated.failure = failure
        return Attempt(
            target,
            failure.kind if failure else "ok",
            round((time.monotonic() - started) * 1000),
            first_token_ms,
            end,
            failure.detail if failure else "",
        )

    async def _call(self, target: Target) -> AsyncGenerator[Event, None]:
        headers = self._headers(target)
        if target.protocol == "chat_worker":
            events = chat_worker.generate(
                self.http, target, self.messages_for(target), headers, self.tier
            )
        else:
            events = openai_compatible.generate(
                self.http, target, self.messages_for(target), headers
            )
        async for event in events:
            yield event

    def _headers(self, target: Target) -> dict[str, str]:
        """Credentials and attribution; the URL is checked before a key is put beside it."""
        try:
            check_address(target.url, allow_local=self.settings.allow_local_upstreams)
        except AddressRefused as refused:
            raise UpstreamError(Failure("bad_key", f"address refused: {refused}")) from refused
        if target.provider == WORKER:
            key = self.settings.chat_worker_api_key
            return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        headers = {"HTTP-Referer": self.settings.site_url, "X-Title": self.settings.site_name}
        if target.auth_scheme == "none":
            return headers
        secret = secret_value(target.secret_name, self.environ)
        if secret is None:
            raise UpstreamError(Failure("bad_key", f"{target.secret_name} is not set"))
        value = f"Bearer {secret}" if target.auth_scheme == "bearer" else secret
        return headers | {target.auth_header_name: value}


def secret_value(name: str | None, environ: Mapping[str, str]) -> str | None:
    """The secret that a provider row names, if a row may name it and it is set."""
    if name is None or not name.endswith("_API_KEY") or name.upper().startswith("SUPABASE_"):
        return None
    return environ.get(name) or None
