"""Tries the plan's targets, within one time budget, until one answers.

The only place that retries. Before the first visible text, a failure leads to a retry, a changed
request or the next target, as its `ErrorPolicy` says, and the person notices nothing. After that,
the shown text stays, and a failure ends the reply.
"""

import asyncio
import hashlib
import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import httpx
from msgspec import Struct
from msgspec.structs import replace

from edge.clients import NETWORK_ERRORS
from roleplay_chat.api import Tier
from roleplay_chat.generation.attempts import Attempt, AttemptRecorder
from roleplay_chat.generation.call_errors import network_failure
from roleplay_chat.generation.error_classifier import Failure, UpstreamError
from roleplay_chat.generation.error_policies import ERROR_POLICIES, Repair
from roleplay_chat.generation.providers import (
    Call,
    End,
    Event,
    chat_worker,
    give_way,
    openai_compatible,
)
from roleplay_chat.generation.request_shape import (
    RequestShape,
    own_parameters,
    renamed_parameters,
    repaired_shape,
    with_fewer_parameters,
)
from roleplay_chat.generation.routing import Plan, on_cooldown
from roleplay_chat.generation.target_credentials import target_credentials
from roleplay_chat.generation.targets import Target
from roleplay_chat.generation.time_limits import Limits
from roleplay_chat.generation.workers import WORKER
from roleplay_chat.messages import Message
from roleplay_chat.reply.filters import Reply
from roleplay_chat.rows import CooldownRow
from roleplay_chat.screening.decision import ContentRefused, Finding
from roleplay_chat.settings import Settings
from roleplay_chat.tokens import estimate_messages

PATIENCE_SECONDS = 3.0
"""The longest wait before a retry while another target could be tried at once."""
BACKOFF_SECONDS = 0.4
"""The wait before the first retry if the upstream gives no time; doubled for each further one."""
USAGE_SECONDS = 2.0
"""How long to wait for the usage after the reply is complete, or seems to be."""
SHARE = 0.5
"""The share of the remaining time in which a target must begin to answer while others are left, so
that one that is slow leaves time for them."""
IDLE_TOLERANCE = 0.05
"""The share by which the idle timeout may fire early: the timer is not reset for every token."""
STEPWISE: tuple[Repair, ...] = ("stricter_roles", "fewer_parameters")
"""Repairs that may be repeated: each time less is left to repair, until nothing is."""


class Callbacks(Struct, frozen=True):
    """What the caller supplies: prompt, reply filter, and a sink for text."""

    prompt_for: Callable[[Target, RequestShape], Awaitable[Sequence[Message]]]
    """Builds the prompt for a target. Raises `ContentRefused` if no model may read it."""
    reply_for: Callable[[Target], Reply]
    """Creates the filter for a target's output."""
    on_text: Callable[[Target, str], None]
    """Called with each piece of the reply, in order."""


class Generation:
    """Tries targets and holds the result so far, which can be read at any time, also after a
    cancellation."""

    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        settings: Settings,
        tier: Tier,
        extras: Mapping[str, Any],
        stop: Sequence[str] = (),
        shows_at_once: bool = True,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`extras` are parameters for OpenRouter only: the hashed user and session. `stop` are stop
        strings, for targets that support them. `shows_at_once`: whether the person sees text before
        the reply is complete."""
        self.http = http
        self.settings = settings
        self.tier = tier
        self.extras = extras
        self.stop = stop
        self.shows_at_once = shows_at_once
        self.environ = environ
        self.text = ""
        self.attempts: list[Attempt] = []
        self.cooldowns: list[CooldownRow] = []
        self.finding: Finding | None = None
        """Why the text was refused, if it was."""
        self.prompt: Sequence[Message] = ()
        """The prompt of the text, or else of the last call."""
        self.firmly = False
        """Whether the prompt gets the firmer rule against explicit scenes."""
        self._has_repeated = False
        """Whether a reply was asked for again because it repeated the last one, or itself."""
        self._declined: _Declined | None = None
        """A reply that was only a refusal, in words that the character may have spoken."""

    @property
    def target(self) -> Target | None:
        """The target that wrote the text; None if there is no text."""
        return self.attempts[-1].target if self.text else None

    @property
    def failure(self) -> Failure | None:
        """Why the text is incomplete or missing; None if it is complete."""
        return self.attempts[-1].failure if self.attempts else None

    async def run(
        self, plan: Plan, callbacks: Callbacks, *, instead_of: Finding | None = None
    ) -> None:
        """Try the targets in order until one answers, a policy says stop, or time is up.

        `instead_of` is the finding in a refused text (a greeting) that this reply replaces.
        """
        self._callbacks = callbacks
        self._scene = instead_of
        try:
            await self._try_targets(plan)
            self._accept_declined()
        finally:
            if self._scene and not self.text:
                self.finding = self.finding or self._scene
            # Usually bound methods of our owner. Without this reference cycle a turn is freed at
            # once, without the garbage collector.
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
            failure = await self._try_target(target, others=[] if is_last else [*waiting, *later])
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

    async def _try_target(self, target: Target, *, others: Sequence[Target]) -> Failure | None:
        """Try one target. If its prompt is refused, so is the turn: no other target is tried."""
        try:
            return await self._try_with_retries(target, others=others)
        except ContentRefused as refused:
            return self._take_back(refused)

    async def _try_with_retries(
        self, target: Target, *, others: Sequence[Target]
    ) -> Failure | None:
        """Try one target with the retries and repairs of its error policies."""
        shape = RequestShape.for_target(target)
        repaired: set[Repair] = set()
        retries = 0
        while True:
            messages = await self._callbacks.prompt_for(target, shape)
            patience = self._left() * (SHARE if others else 1)
            failure = await self._attempt(target, shape, messages, patience)
            if failure is None or self.text:
                return failure
            repair = failure.policy.repair
            better = None if repair in repaired else await self._repaired(target, shape, failure)
            if better is None and failure.policy.name == "credit_for_fewer_tokens":
                failure = replace(failure, policy=ERROR_POLICIES["too_little_credit"])
            if repair is not None and better is not None:
                if repair not in STEPWISE:
                    repaired.add(repair)
                shape = better
                continue
            started = _cooldowns(target, failure)
            now = datetime.now(UTC)
            alone = all(on_cooldown(other, [*self.cooldowns, *started], now) for other in others)
            # Do not wait for a full worker while there is another one.
            passed_over = target.worker and any(other.worker for other in others)
            pause = None if passed_over else self._pause(failure, retries, alone=alone)
            if pause is None:
                self.cooldowns += started
                return failure
            retries += 1
            await asyncio.sleep(pause)

    async def _repaired(
        self, target: Target, shape: RequestShape, failure: Failure
    ) -> RequestShape | None:
        """A changed request that may succeed; None if there is none.

        "trim" repeats until the prompt really gets shorter: histories are cut in steps, so a
        slightly smaller context may change nothing. "stricter_roles" repeats until it changes
        something.
        """
        if failure.policy.repair == "fewer_parameters":
            return with_fewer_parameters(target, shape, failure, self._parameters(target, shape))
        better = repaired_shape(shape, failure)
        prompt_for = self._callbacks.prompt_for
        if failure.policy.repair == "trim":
            length = _length(await prompt_for(target, shape))
            while better and _length(await prompt_for(target, better)) >= length:
                better = repaired_shape(better, failure)
        elif failure.policy.repair == "stricter_roles":
            sent = list(await prompt_for(target, shape))
            while better and list(await prompt_for(target, better)) == sent:
                better = repaired_shape(better, failure)
        return better

    def _pause(self, failure: Failure, retries: int, *, alone: bool) -> float | None:
        """Seconds to wait before a retry; None for no retry.

        `alone` means that no other target could be tried: all are covered by the same cooldown.
        Otherwise only policies with the action "retry" are retried, and only after a short wait.
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
        self, target: Target, shape: RequestShape, messages: Sequence[Message], patience: float
    ) -> Failure | None:
        """Make one call. Shows text as it arrives and records the attempt however it ends.

        `patience` is the longest wait for the first token, in seconds.
        """
        self.finding, self.prompt = None, messages
        recorder = AttemptRecorder(target)
        if shape != RequestShape.for_target(target):
            recorder.repairs = shape.repairs(target)
        # The result if the attempt is cancelled.
        failure: Failure | None = Failure(ERROR_POLICIES["cut_off"], why="stopped")
        reply = self._callbacks.reply_for(target)
        if self._declined:
            reply.accept_refusal()
        if self._has_repeated:
            reply.accept_repeat()
        try:
            limits = Limits.from_settings(target, self.settings).within(patience)
            await self._listen(target, shape, messages, reply, recorder, limits)
            failure = _no_text(reply, recorder)  # Cleared below if there is text.
        except ContentRefused as refused:
            failure = self._take_back(refused)
        except UpstreamError as error:
            failure, recorder.may_be_working = error.failure, False
        except NETWORK_ERRORS as error:
            failure = network_failure(error, shown=bool(self.text))
            # Our own timeout, or a connection lost in the middle of a reply.
            recorder.may_be_working = type(error) is TimeoutError or recorder.is_answered
        except (httpx.InvalidURL, ValueError) as error:
            # The row's URL or the key is not valid in a request.
            failure = Failure(ERROR_POLICIES["misconfigured"], why=type(error).__name__)
            recorder.may_be_working = False
        finally:
            if reply.ended:
                recorder.hang_up(self.text)
            held: list[str] = []
            try:
                failure = await self._read_held(reply, held) or failure
            finally:
                # If the turn is stopped meanwhile, the rest is read and the attempt recorded.
                failure = self._flush(target, reply, recorder, held) or failure
                failure = self._conclude(reply, recorder, messages, failure)
        return failure

    def _conclude(
        self,
        reply: Reply,
        recorder: AttemptRecorder,
        messages: Sequence[Message],
        failure: Failure | None,
    ) -> Failure | None:
        """Record the attempt, and return why it failed."""
        if recorder.end and self._is_repetition(reply):
            self.text, self._has_repeated = "", True
            failure = Failure(ERROR_POLICIES["repeated"])
        elif recorder.end and self.text:
            failure = None  # The reply is complete, whatever happened to the connection later.
        elif recorder.end and reply.is_model_refusal:
            failure = Failure(ERROR_POLICIES["refused_by_model"])
        self.attempts.append(recorder.attempt(failure))
        is_first = [one.outcome for one in self.attempts].count("refused_by_model") == 1
        if failure and is_first and reply.is_model_refusal and reply.may_be_in_character:
            self._declined = _Declined(self.attempts[-1], reply, messages)
        return failure

    def _is_repetition(self, reply: Reply) -> bool:
        """Whether the reply repeats the last one or itself, and may be requested again, once: shown
        text stays."""
        is_hidden = not self.text or not self.shows_at_once
        return not self._has_repeated and is_hidden and (reply.is_repeat or reply.is_loop)

    def _accept_declined(self) -> None:
        """Show a refusal that may be in character, if the model that was asked instead gave no
        answer. If that model was refused or declined, the refusal was not in character."""
        declined, failure = self._declined, self.failure
        if declined is None or self.text or self.finding or self._scene or failure is None:
            return
        is_last = self.attempts[-1] is declined.attempt
        if not is_last and failure.policy.kind in ("moderated", "refused_by_model"):
            return
        try:
            self._show(declined.attempt.target, declined.reply.accept_refusal())
        except ContentRefused as refused:
            self._take_back(refused)
            return
        self.prompt = declined.prompt
        self.attempts.remove(declined.attempt)
        self.attempts.append(replace(declined.attempt, failure=None))

    async def _listen(
        self,
        target: Target,
        shape: RequestShape,
        messages: Sequence[Message],
        reply: Reply,
        recorder: AttemptRecorder,
        limits: Limits,
    ) -> None:
        """Send the prompt and show what arrives, within the target's time limits."""
        loop = asyncio.get_running_loop()
        end = loop.time() + min(limits.total - recorder.elapsed, self._left())
        async with (
            asyncio.timeout(min(limits.first_token, limits.total, self._left())) as timer,
            aclosing(self._call(target, shape, messages, limits, recorder)) as events,
        ):
            async for event in events:
                idle = USAGE_SECONDS if isinstance(event, End) else limits.idle
                when = min(loop.time() + idle, end)
                # Resetting the timer for every token would be slow; see `IDLE_TOLERANCE`.
                if not 0 <= when - (timer.when() or 0) < idle * IDLE_TOLERANCE:
                    timer.reschedule(when)
                if isinstance(event, End):
                    recorder.note_end(event)
                else:
                    recorder.note_text(event)
                    if self._show(target, reply.feed(event.text)):
                        recorder.note_shown()
                    while reply.is_waiting:
                        await give_way()
                        if self._show(target, reply.feed()):
                            recorder.note_shown()
                if reply.ended:
                    if reply.is_over:
                        break
                    # Such text is most likely not shown, so the wait is short.
                    timer.reschedule(min(timer.when() or 0, loop.time() + USAGE_SECONDS))

    async def _read_held(self, reply: Reply, held: list[str]) -> Failure | None:
        """Add the text that was held back in case it is reasoning to `held`, unless it is refused.
        Lets others go on in between."""
        if self.finding is not None:
            return None
        reply.end_thinking()
        try:
            while reply.is_waiting:
                held.append(reply.feed())
                await give_way()
        except ContentRefused as refused:
            return self._take_back(refused)
        return None

    def _flush(
        self, target: Target, reply: Reply, recorder: AttemptRecorder, held: Sequence[str]
    ) -> Failure | None:
        """Show the text that the filters still held back, unless it is refused. Text of a failed
        call is screened too: if it breaks the hard limit, the turn ends.
        """
        if self.finding is not None:
            return None
        try:
            text = "".join([*held, reply.flush()])
            if self.text or recorder.end:
                self._show(target, text)
        except ContentRefused as refused:
            return self._take_back(refused)
        return None

    def _show(self, target: Target, text: str) -> bool:
        """Append text to the reply. Returns whether there was any."""
        if text:
            self.text += text
            self._callbacks.on_text(target, text)
        return bool(text)

    def _take_back(self, refused: ContentRefused) -> Failure:
        """Discard the text and return the failure. Another target may try only after a scene of
        which nothing was shown."""
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
        limits: Limits,
        recorder: AttemptRecorder,
    ) -> AsyncGenerator[Event, None]:
        recorder.estimate = estimate_messages([message["content"] for message in messages])
        call = Call(
            target=target,
            messages=messages,
            parameters=renamed_parameters(target, shape, self._parameters(target, shape)),
            headers=self._headers(target),
            tier=self.tier,
            timeout=httpx.Timeout(None, connect=limits.connect),  # `_listen` applies the others.
            on_usage=recorder.note_usage,
            on_sent=recorder.note_sent,
            on_answered=recorder.note_answered,
        )
        if target.protocol == "chat_worker":
            return chat_worker.generate(self.http, call)
        return openai_compatible.generate(self.http, call)

    def _parameters(self, target: Target, shape: RequestShape) -> dict[str, Any]:
        """The parameters to send, by their usual names."""
        parameters = own_parameters(target, shape, self.extras, self.stop)
        if not shape.without:
            return parameters
        return {name: value for name, value in parameters.items() if name not in shape.without}

    def _headers(self, target: Target) -> dict[str, str]:
        """Credentials and attribution."""
        own = target_credentials(target.url, target, self.settings, self.environ)
        if target.worker == WORKER:
            key = self.settings.chat_worker_api_key
            return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        if target.worker:
            return own
        site = {"HTTP-Referer": self.settings.site_url, "X-Title": self.settings.site_name}
        return {name: value for name, value in site.items() if value} | own

    def _left(self) -> float:
        return self._deadline - time.monotonic()


class _Declined(NamedTuple):
    """A reply that was only a refusal, its attempt and its prompt."""

    attempt: Attempt
    reply: Reply
    prompt: Sequence[Message]


def _cooldowns(target: Target, failure: Failure) -> list[CooldownRow]:
    """The cooldown that this failure starts: one row or none."""
    until = failure.cools_until(datetime.now(UTC))
    if until is None:
        return []
    own = ("model", target.cooldown_key)
    if target.worker:
        scope, key = own  # The other workers are other machines.
    else:
        scope, key = {
            "model": own,
            "provider": ("provider", target.provider),
            "free": ("account", f"{target.provider}:free"),
            "account": ("account", target.provider),
        }[failure.policy.scope]
    row = {"scope": scope, "key": key, "until": until, "reason": failure.policy.name}
    return [CooldownRow.model_validate(row)]


def _reordered(waiting: list[Target], failure: Failure, target: Target) -> list[Target]:
    """The remaining targets; those that are likelier to succeed after this failure come first."""
    if failure.policy.action == "worker":
        return sorted(waiting, key=lambda other: other.worker is None or other.is_full)
    if failure.policy.kind == "context_too_long":
        return sorted(waiting, key=lambda other: other.context_tokens <= target.context_tokens)
    return waiting


def _not_adult(targets: Sequence[Target]) -> list[Target]:
    return [target for target in targets if not target.adult]


def _length(messages: Sequence[Message]) -> int:
    return sum(len(message["content"]) for message in messages)


def _no_text(reply: Reply, recorder: AttemptRecorder) -> Failure:
    """Why a reply that ended has no text."""
    is_long = recorder.end is not None and recorder.end.finish_reason == "length"
    return Failure(ERROR_POLICIES["all_reasoning" if is_long and reply.is_reasoning else "empty"])


def openrouter_extras(user_id: UUID, conversation_id: UUID | None) -> dict[str, Any]:
    """Parameters for OpenRouter. With the hashed user id it can block one user, not our account."""
    extras: dict[str, Any] = {
        "user": hashlib.sha256(user_id.bytes).hexdigest()[:32],
        # We trim the history ourselves; this would silently drop its middle.
        "plugins": [{"id": "context-compression", "enabled": False}],
    }
    if conversation_id:
        # Keeps a conversation at the same provider, which has its prompt cached.
        extras["session_id"] = hashlib.sha256(conversation_id.bytes).hexdigest()[:32]
    return extras
