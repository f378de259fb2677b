"""Tries the plan's targets under one budget until one of them answers.

The only place that retries. Before the first visible text a failure leads to the same target
again, to a changed request, or to the next target, as its `ErrorPolicy` says; the person notices
nothing. After it there is no way back: what was shown stands, and ends there.
"""

import asyncio
import hashlib
import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

from edge.clients import NETWORK_ERRORS, timed_out
from edge.credentials import Misconfigured, credentials
from edge.json_values import number
from roleplay_chat.api import Tier
from roleplay_chat.generation.attempts import Attempt, Hearing
from roleplay_chat.generation.error_classifier import Failure, UpstreamError, failed
from roleplay_chat.generation.error_policies import ERROR_POLICIES, Repair
from roleplay_chat.generation.providers import (
    Call,
    End,
    Event,
    chat_worker,
    openai_compatible,
)
from roleplay_chat.generation.routing import WORKER, Plan, Target, on_cooldown
from roleplay_chat.messages import Message
from roleplay_chat.reply.filters import Reply
from roleplay_chat.rows import CooldownRow
from roleplay_chat.screening.decision import ContentRefused, Finding
from roleplay_chat.settings import Settings
from roleplay_chat.tokens import estimate_messages

PATIENCE_SECONDS = 3.0
"""The longest wait for the same target while another one could be asked at once."""
BACKOFF_SECONDS = 0.4
"""Before the first retry that nobody named a time for; doubled for each further one."""
USAGE_SECONDS = 2.0
"""A reply that is whole waits this long for what it cost."""
EARLY = 0.05
"""By this part of it a limit between tokens may be too short: its timer is not set anew for every
one."""
MAX_STOP = 4
"""Stop strings; more are refused by many providers."""
LEAST_USEFUL_TOKENS = 48
"""A reply shorter than this is not worth asking for."""


@dataclass(frozen=True)
class RequestShape:
    """What a request to a target asks for; repairs change it."""

    context_tokens: int
    max_tokens: int
    bare: bool = False
    """Only what every provider takes: model, messages, max_tokens."""

    @classmethod
    def build(cls, context_tokens: int, max_tokens: int, *, bare: bool = False) -> "RequestShape":
        """Half of the context at least is for the prompt."""
        return cls(context_tokens, min(max_tokens, context_tokens // 2), bare)


@dataclass(frozen=True)
class Callbacks:
    """What the caller supplies: prompt, reply filter, and a sink for text."""

    prompt_for: Callable[[Target, RequestShape], Awaitable[Sequence[Message]]]
    """Builds the prompt that fits a target; raises `ContentRefused` where nobody is to read it."""
    reply_for: Callable[[Target], Reply]
    """Makes what turns a target's text into the character's words."""
    on_text: Callable[[Target, str], None]
    """Called with each piece of text that is part of the reply, in order."""


@dataclass
class Generation:
    """Tries targets, and holds what came of it so far: readable at any time, also after a
    cancellation."""

    http: httpx.AsyncClient
    settings: Settings
    tier: Tier
    extras: Mapping[str, Any]
    """Parameters for OpenRouter alone: who asks (hashed) and in which session."""
    stop: Sequence[str] = ()
    """Where a reply ends, for targets that look out for it themselves."""
    shows_at_once: bool = True
    """Whether text that was given out can be read before the reply is whole."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    text: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    cooldowns: list[CooldownRow] = field(default_factory=list)
    finding: Finding | None = None
    """Why the text was taken back, where it was."""
    firmly: bool = False
    """Whether the target is asked more firmly to keep to what is for everybody."""

    @property
    def target(self) -> Target | None:
        """Whose text it is; None while there is none."""
        return self.attempts[-1].target if self.text else None

    @property
    def failure(self) -> Failure | None:
        """Why the text ends early, or why there is none."""
        return self.attempts[-1].failure if self.attempts else None

    async def run(
        self, plan: Plan, callbacks: Callbacks, *, instead_of: Finding | None = None
    ) -> None:
        """Ask the targets in order until one answers, refuses for all, or time is up.

        `instead_of` is what was found in another text, that this one is to take the place of.
        """
        self._callbacks = callbacks
        self._scene = instead_of
        try:
            await self._try_targets(plan)
        finally:
            if self._scene and not self.text:
                self.finding = self.finding or self._scene
            # Most often these are methods of whoever holds this. Without that circle a turn is gone
            # when it is over, and the garbage collector need not look for it.
            del self._callbacks

    async def _try_targets(self, plan: Plan) -> None:
        self._deadline = time.monotonic() + self.settings.turn_budget_seconds
        waiting, later = list(plan.targets), list(plan.last_resort)
        is_last = self.firmly = self._scene is not None
        if self.firmly:
            waiting, later = _not_adult(waiting), _not_adult(later)
        while (waiting or later) and self._left() > 0:
            target = (waiting or later).pop(0)
            if on_cooldown(target, self.cooldowns, datetime.now(UTC)):
                continue
            failure = await self._ask(target, others=[] if is_last else [*waiting, *later])
            if failure is None or self.text or failure.policy.action == "stop" or is_last:
                return
            if failure.policy.action == "one_more":
                is_last = True
                waiting = [other for other in waiting if target.adult or not other.adult]
                later = [other for other in later if target.adult or not other.adult]
            elif failure.policy.action == "firmer":
                is_last = self.firmly = True
                waiting, later = _not_adult(waiting), _not_adult(later)
            waiting = _reordered(waiting, failure, target)

    async def _ask(self, target: Target, *, others: Sequence[Target]) -> Failure | None:
        """One target. A prompt that is refused for it is refused for all."""
        try:
            return await self._ask_until_done(target, others=others)
        except ContentRefused as refused:
            return self._take_back(refused)

    async def _ask_until_done(self, target: Target, *, others: Sequence[Target]) -> Failure | None:
        """With the retries and repairs that its failures call for."""
        shape = RequestShape.build(target.context_tokens, target.max_tokens)
        repaired: set[Repair] = set()
        retries = 0
        while True:
            messages = await self._callbacks.prompt_for(target, shape)
            failure = await self._attempt(target, shape, messages)
            if failure is None or self.text:
                return failure
            repair = failure.policy.repair
            better = None if repair in repaired else await self._repaired(target, shape, failure)
            if better is None and failure.policy.name == "credit_for_fewer_tokens":
                failure = replace(failure, policy=ERROR_POLICIES["too_little_credit"])
            if repair is not None and better is not None:
                repaired.add(repair)
                shape = better
                continue
            started = _cooldowns(target, failure)
            now = datetime.now(UTC)
            alone = all(on_cooldown(other, [*self.cooldowns, *started], now) for other in others)
            pause = self._pause(failure, retries, alone=alone)
            if pause is None:
                self.cooldowns += started
                return failure
            retries += 1
            await asyncio.sleep(pause)

    async def _repaired(
        self, target: Target, shape: RequestShape, failure: Failure
    ) -> RequestShape | None:
        """The request that may succeed where this one failed; None when there is none.

        A trimmed prompt really is shorter: histories are cut in steps, so a somewhat smaller
        context alone need not change anything.
        """
        better = _repaired(shape, failure)
        if failure.policy.repair == "trim":
            prompt_for = self._callbacks.prompt_for
            length = _length(await prompt_for(target, shape))
            while better and _length(await prompt_for(target, better)) >= length:
                better = _repaired(better, failure)
        return better

    def _pause(self, failure: Failure, retries: int, *, alone: bool) -> float | None:
        """How long to wait before asking the same target again; None: do not.

        With others to ask, only what says "retry" is retried, and only when waiting is short.
        Others that the same cooldown would cover do not count.
        """
        policy = failure.policy
        if retries >= policy.retries or (policy.action != "retry" and not alone):
            return None
        wait = failure.retry_after
        if wait is None:
            wait = BACKOFF_SECONDS * 2**retries * random.uniform(0.75, 1.25)  # noqa: S311
        longest = self._left() / 2 if alone else min(PATIENCE_SECONDS, self._left() / 2)
        return wait if wait <= longest else None

    async def _attempt(
        self, target: Target, shape: RequestShape, messages: Sequence[Message]
    ) -> Failure | None:
        """One call. Text goes out as it comes; the attempt is recorded however it ends."""
        self.finding = None
        hearing = Hearing(target)
        # Stands when the attempt is cancelled half-way.
        failure: Failure | None = Failure(ERROR_POLICIES["cut_off"], why="stopped")
        reply = self._callbacks.reply_for(target)
        try:
            await self._listen(target, shape, messages, reply, hearing)
            failure = Failure(ERROR_POLICIES["empty"])  # unless there is text, below
        except ContentRefused as refused:
            failure = self._take_back(refused)
        except UpstreamError as error:
            failure, hearing.may_be_at_work = error.failure, False
        except NETWORK_ERRORS as error:
            failure = _network_failure(error, shown=bool(self.text))
            # Our own clock, or a connection that broke in the middle of a reply.
            hearing.may_be_at_work = type(error) is TimeoutError or hearing.is_answered
        except (httpx.InvalidURL, ValueError) as error:
            # The row's address or the key cannot be sent as it is.
            failure = Failure(ERROR_POLICIES["misconfigured"], why=type(error).__name__)
            hearing.may_be_at_work = False
        finally:
            if refused_at_last := self._flush(target, reply, hearing):
                failure = refused_at_last
            if hearing.end and self.text:
                failure = None  # Whole, whatever befell the connection after that.
            elif hearing.end and reply.is_model_refusal:
                failure = Failure(ERROR_POLICIES["refused_by_model"])
            self.attempts.append(hearing.attempt(failure))
        return failure

    async def _listen(
        self,
        target: Target,
        shape: RequestShape,
        messages: Sequence[Message],
        reply: Reply,
        hearing: Hearing,
    ) -> None:
        """Send the prompt and pass on what comes, within the target's limits."""
        limits = Limits.from_settings(target, self.settings)
        loop = asyncio.get_running_loop()
        async with (
            asyncio.timeout(min(limits.first_token, limits.total, self._left())) as timer,
            aclosing(self._call(target, shape, messages, limits, hearing)) as events,
        ):
            async for event in events:
                idle = USAGE_SECONDS if isinstance(event, End) else limits.idle
                left = min(idle, limits.total - hearing.elapsed, self._left())
                when = loop.time() + max(left, 0)
                # Not for every token: it may end so much too early.
                if not 0 <= when - (timer.when() or 0) < left * EARLY:
                    timer.reschedule(when)
                if isinstance(event, End):
                    hearing.note_end(event)
                else:
                    hearing.note_text(event)
                    if self._show(target, reply.feed(event.text)):
                        hearing.note_shown()
                if reply.ended:
                    hearing.hang_up(self.text)
                    break

    def _flush(self, target: Target, reply: Reply, hearing: Hearing) -> Failure | None:
        """Show what the reply still held back, unless it is refused.

        Also what came to nothing is read: a reply that breaks the hard limit ends the turn, however
        it broke off.
        """
        if self.finding is not None:
            return None
        try:
            held = reply.flush()
            if self.text or hearing.end:
                self._show(target, held)
        except ContentRefused as refused:
            return self._take_back(refused)
        return None

    def _show(self, target: Target, text: str) -> bool:
        """Add to the reply what there is to add; whether there was something."""
        if text:
            self.text += text
            self._callbacks.on_text(target, text)
        return bool(text)

    def _take_back(self, refused: ContentRefused) -> Failure:
        """Nothing of what is refused stays. Somebody else is asked only instead of a scene of which
        nothing was shown."""
        was_shown, self.text = self.shows_at_once and bool(self.text), ""
        self.finding = refused.finding
        if refused.finding.category != "scene":
            return Failure(ERROR_POLICIES["policy_minor"])
        self._scene = refused.finding
        return Failure(ERROR_POLICIES["policy_scene" if was_shown else "policy_scene_early"])

    def _call(
        self,
        target: Target,
        shape: RequestShape,
        messages: Sequence[Message],
        limits: "Limits",
        hearing: Hearing,
    ) -> AsyncGenerator[Event, None]:
        hearing.estimate = estimate_messages([message["content"] for message in messages])
        call = Call(
            target=target,
            messages=messages,
            parameters=_parameters(target, shape, self.extras, self.stop),
            headers=self._headers(target),
            tier=self.tier,
            timeout=httpx.Timeout(None, connect=limits.connect),  # `_listen` has the others
            on_usage=hearing.note_usage,
            on_sent=hearing.note_sent,
            on_answered=hearing.note_answered,
        )
        if target.protocol == "chat_worker":
            return chat_worker.generate(self.http, call)
        return openai_compatible.generate(self.http, call)

    def _headers(self, target: Target) -> dict[str, str]:
        """Credentials and attribution; the URL is checked before a key is put beside it."""
        ours = target.provider == WORKER
        try:
            own = credentials(
                target.url,
                scheme="none" if ours else target.auth_scheme,
                header=target.auth_header_name,
                secret_name=target.secret_name,
                environ=self.environ,
                key_origins=self.settings.key_origins,
                allow_local=self.settings.allow_local_upstreams,
            )
        except Misconfigured as error:
            raise failed("misconfigured", why=str(error)) from error
        if ours:
            key = self.settings.chat_worker_api_key
            return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        return {
            "HTTP-Referer": self.settings.site_url,
            "X-Title": self.settings.site_name,
            **own,
        }

    def _left(self) -> float:
        return self._deadline - time.monotonic()


@dataclass(frozen=True)
class Limits:
    """How long a call may take, in seconds."""

    connect: float
    first_token: float
    idle: float
    total: float

    @classmethod
    def from_settings(cls, target: Target, settings: Settings) -> "Limits":
        """The settings, where the target's row does not say otherwise."""
        named = {
            name: seconds
            for name, value in target.timeouts.items()
            if (seconds := number(value, least=0, most=settings.turn_budget_seconds))
        }
        return cls(
            connect=named.get("connect", settings.connect_timeout_seconds),
            first_token=named.get("first_token", settings.first_token_timeout_seconds),
            idle=named.get("idle", settings.idle_timeout_seconds),
            total=named.get("total", settings.turn_budget_seconds),
        )


def _cooldowns(target: Target, failure: Failure) -> list[CooldownRow]:
    """The cooldown that follows from this failure: one row or none."""
    until = failure.cools_until(datetime.now(UTC))
    if until is None:
        return []
    scope, key = {
        "model": ("model", target.name),
        "provider": ("provider", target.provider),
        "free": ("account", f"{target.provider}:free"),
        "account": ("account", target.provider),
    }[failure.policy.scope]
    row = {"scope": scope, "key": key, "until": until, "reason": failure.policy.name}
    return [CooldownRow.model_validate(row)]


def _reordered(waiting: list[Target], failure: Failure, target: Target) -> list[Target]:
    """The targets left, with those in front that this failure speaks for."""
    if failure.policy.action == "worker":
        return sorted(waiting, key=lambda other: other.provider != WORKER)
    if failure.policy.kind == "context_too_long":
        return sorted(waiting, key=lambda other: other.context_tokens <= target.context_tokens)
    return waiting


def _not_adult(targets: Sequence[Target]) -> list[Target]:
    return [target for target in targets if not target.adult]


def _repaired(shape: RequestShape, failure: Failure) -> RequestShape | None:
    """The request that may succeed where this one failed; None when there is none."""
    limit = failure.limit_tokens
    match failure.policy.repair:
        case "trim":
            fits = shape.context_tokens * 2 // 3 if limit is None else limit * 9 // 10
            smaller = min(fits, shape.context_tokens * 9 // 10)
            if smaller <= shape.max_tokens:
                return None
            return RequestShape.build(smaller, shape.max_tokens, bare=shape.bare)
        case "fewer_tokens":
            fewer = shape.max_tokens // 2 if limit is None else min(limit - 1, shape.max_tokens)
            return replace(shape, max_tokens=fewer) if fewer >= LEAST_USEFUL_TOKENS else None
        case "more_tokens":
            longer = RequestShape.build(shape.context_tokens, shape.max_tokens * 2, bare=shape.bare)
            return longer if longer != shape else None
        case "fewer_parameters":
            return replace(shape, bare=True)
    return None


def _length(messages: Sequence[Message]) -> int:
    return sum(len(message["content"]) for message in messages)


def _parameters(
    target: Target, shape: RequestShape, extras: Mapping[str, Any], stop: Sequence[str]
) -> dict[str, Any]:
    """What is sent beside the prompt: samplers only as the row says, max_tokens always."""
    if shape.bare:
        return {"max_tokens": shape.max_tokens}
    parameters = {**target.parameters, "max_tokens": shape.max_tokens}
    own = parameters.pop("stop", None) or []
    ends = [*(own if isinstance(own, list) else [own]), *(stop if target.takes_stop else ())]
    strings = list(dict.fromkeys(end for end in ends if isinstance(end, str) and end))
    if strings:
        parameters["stop"] = strings[:MAX_STOP]
    return {**parameters, **extras} if target.provider == "openrouter" else parameters


def _network_failure(error: Exception, *, shown: bool) -> Failure:
    name = "cut_off" if shown else "timed_out" if timed_out(error) else "unreachable"
    return Failure(ERROR_POLICIES[name], why=type(error.__cause__ or error).__name__)


def openrouter_extras(user_id: UUID, conversation_id: UUID | None) -> dict[str, Any]:
    """Who asks, without saying who: or one person's misuse could block the whole account."""
    extras: dict[str, Any] = {
        "user": hashlib.sha256(user_id.bytes).hexdigest()[:32],
        # We trim ourselves; left on, it would drop the middle of the history unasked.
        "plugins": [{"id": "context-compression", "enabled": False}],
    }
    if conversation_id:
        # Turns of one conversation go to the same provider, whose prompt cache is then warm.
        extras["session_id"] = hashlib.sha256(conversation_id.bytes).hexdigest()[:32]
    return extras
