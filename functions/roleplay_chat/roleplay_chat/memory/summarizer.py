"""Has the memory of a conversation written beside a turn: `notes` decides, this calls and saves.

The reply never waits for it and never fails with it. What is ready when the reply is saved is
saved with it, in the same call; what comes later is saved by a call of its own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from logging import INFO, WARNING, getLogger
from typing import Any

from edge.clients import Clients
from edge.errors import ApiError
from roleplay_chat import turn_store
from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.failover import Callbacks, Generation, RequestShape
from roleplay_chat.generation.routing import WORKER, Plan, Target, memory_targets
from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.memory import notes
from roleplay_chat.memory.notes import Batch, Written
from roleplay_chat.prompt import builder
from roleplay_chat.prompt.builder import Prompt
from roleplay_chat.prompt.macros import build_macros
from roleplay_chat.reply.filters import Reply
from roleplay_chat.rows import BegunTurn
from roleplay_chat.screening.decision import (
    ContentRefused,
    Finding,
    PartSignals,
    Passage,
    in_context,
    judge,
    read,
)
from roleplay_chat.screening.scenes import is_scene
from roleplay_chat.settings import Settings

RETRY_WAIT_SECONDS = 300
"""After a summary that did not come about, before the next try in the same conversation."""
TEMPERATURE = 0.2
"""Notes are no place for invention."""

_log = getLogger("roleplay_chat")


class Summarizer:
    """One turn's part in the memory: at most one summary, begun when `begin` is called."""

    def __init__(
        self,
        clients: Clients,
        settings: Settings,
        begun: BegunTurn,
        request: ChatRequest,
        tier: Tier,
        extras: Mapping[str, Any],
        ids: Mapping[str, Any],
    ) -> None:
        """`ids` say in the log whose turn it is."""
        self._clients = clients
        self._settings = settings
        self._begun = begun
        self._request = request
        self._tier: Tier = tier
        self._ids = ids
        self._signals: Sequence[PartSignals] = ()
        self._lore: Sequence[Entry] = ()
        self._batch: Batch | None = None
        self._decided = asyncio.Event()
        self._reply_is_over = asyncio.Event()
        self._task: asyncio.Task[Written | None] | None = None
        self._is_saved = False
        self._is_dropped = False
        self._extras = extras

    @cached_property
    def _generation(self) -> Generation:
        # Nobody waits for it, so silence is no reason to give up before the time is over.
        seconds = self._settings.memory_timeout_seconds
        patient = {"turn_budget_seconds": seconds, "first_token_timeout_seconds": seconds}
        return Generation(
            http=self._clients.http(),
            settings=self._settings.model_copy(update=patient),
            tier=self._tier,
            extras=self._extras,
        )

    @property
    def attempts(self) -> list[Attempt]:
        """The calls that are over and accounted for with the reply; dropped ones are."""
        is_over = self._task is not None and self._task.done()
        return self._generation.attempts if is_over else []

    def begin(
        self, reply: Target | None, signals: Sequence[PartSignals], lore: Sequence[Entry]
    ) -> None:
        """Write down what is due, if anything is.

        `reply` is who is asked first for the reply; `signals` those in the turn's parts,
        `lore` the entries of the book that it calls for.
        """
        if not self._settings.memory_enabled or reply is None:
            return
        if notes.may_be_due(
            self._begun.memory,
            self._begun.history,
            least_room=builder.least_history_room(reply.context_tokens, reply.max_tokens),
            most_messages=self._settings.history_messages,
            tokens=reply.tokens,
        ):
            self._signals, self._lore = signals, lore
            self._task = asyncio.create_task(self._write(reply))

    async def to_save(self) -> dict[str, Any] | None:
        """What is saved together with the reply, which is over."""
        self._reply_is_over.set()
        if self._task is None or self._is_dropped:
            return None
        # Milliseconds, and over long before any reply.
        await self._decided.wait()
        if self._batch is not None and not self._task.done():
            seconds = 2 * self._settings.memory_timeout_seconds
            return {"wait_seconds": seconds + self._settings.lease_margin_seconds}
        self._is_saved = True
        return self._outcome(await self._task)

    async def save_late(self, build_usage_row: Callable[[Attempt], dict[str, Any]]) -> None:
        """Wait for what was not ready when the reply was saved, and save it."""
        if self._task is None or self._is_saved or self._is_dropped:
            return
        outcome = self._outcome(await self._task)
        if outcome is None:
            return
        usage = [build_usage_row(attempt) for attempt in self._generation.attempts]
        try:
            changed = await turn_store.remember(self._clients, self._begun.turn.id, outcome, usage)
        except ApiError:
            self._log_line(WARNING, "memory not saved")
        except Exception:
            _log.exception("memory cannot be saved", extra={"fields": dict(self._ids)})
        else:
            self._log_line(INFO, "memory saved late", changed=changed)

    async def drop(self) -> None:
        """Write nothing after all."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        self._is_dropped = True

    def _outcome(self, written: Written | None) -> dict[str, Any] | None:
        if self._batch is None:
            return None
        if written is None:
            return {"wait_seconds": RETRY_WAIT_SECONDS}
        return notes.to_save(self._batch, written)

    async def _write(self, reply: Target) -> Written | None:
        """What a model wrote down; None when nothing is due or nothing came of it."""
        try:
            try:
                plan = await self._clients.in_thread(self._plan, reply)
            finally:
                self._decided.set()
            if plan is None or self._batch is None:
                return None
            await self._ask(plan, reply)
            if finding := self._generation.finding:
                self._log_content_refused(finding)
                return None
            written = notes.parse(self._generation.text, reach=self._request.chosen_memory_tier)
            if written is not None:
                written = await self._clients.in_thread(self._allowed, written)
            event = "memory written" if written else "memory not written"
            self._log_line(INFO if written else WARNING, event)
        except Exception:
            _log.exception("memory failed", extra={"fields": dict(self._ids)})
            return None
        return written

    def _plan(self, reply: Target) -> Plan | None:
        """Decide on the batch; who is asked for it, the worker apart. None: nobody, or no batch."""
        begun = self._begun
        targets = memory_targets(
            models=begun.models,
            worker=begun.worker,
            cooldowns=begun.cooldowns,
            tier=self._tier,
            now=begun.now,
            free_only=begun.free_only,
        )
        if not targets:
            return None
        room = builder.history_room(
            begun,
            self._request,
            self._tier,
            family=reply.family,
            context_tokens=reply.context_tokens,
            max_tokens=reply.max_tokens,
            tokens=reply.tokens,
            lore=self._lore,
        )
        self._batch = notes.next_batch(
            begun.memory,
            begun.history,
            room=max(room, 0),
            most_messages=self._settings.history_messages,
            capacity=notes.capacity(begun, targets[0].context_tokens),
            tokens=reply.tokens,
        )
        plain = [replace(target, parameters=_parameters(target)) for target in targets]
        return Plan(
            targets=tuple(target for target in plain if target.provider != WORKER),
            last_resort=tuple(target for target in plain if target.provider == WORKER),
            requested=None,
        )

    async def _ask(self, plan: Plan, reply: Target) -> None:
        """The models, and if none of them answers the worker: it has one GPU, for replies."""
        callbacks = Callbacks(self._prompt_for, _reply_for, lambda *_: None)
        await self._generation.run(replace(plan, last_resort=()), callbacks)
        is_over = self._generation.text or self._generation.finding
        if plan.last_resort and not is_over:
            if reply.provider == WORKER:
                await self._reply_is_over.wait()
            await self._generation.run(replace(plan, targets=()), callbacks)

    async def _prompt_for(self, target: Target, shape: RequestShape) -> Prompt:
        """What a model is to retell; raises `ContentRefused` where it is not shown to any."""
        built = self._built_for(target, shape)
        read_all = [
            *self._signals,
            *await self._clients.in_thread(read, in_context(built.passages)),
        ]
        if finding := judge(read_all, self._tier):
            raise ContentRefused(finding)
        return built

    def _built_for(self, target: Target, shape: RequestShape) -> Prompt:
        assert self._batch is not None  # noqa: S101 - nothing is asked before
        return notes.build_request(
            self._batch,
            self._begun,
            build_macros(self._begun, self._request),
            budget=shape.context_tokens - shape.max_tokens,
            tokens=target.tokens,
        )

    def _allowed(self, written: Written) -> Written | None:
        """What may be kept of what a model wrote; None when the summary may not."""
        kept = [*self._signals, *read([Passage("memory", written.summary)])]
        if finding := judge(kept, self._tier) or self._scene(written.summary):
            self._log_content_refused(finding)
            return None
        facts = []
        for fact in written.facts:
            with_it = [*kept, *read([Passage("memory", fact.text)])]
            if finding := judge(with_it, self._tier) or self._scene(fact.text):
                self._log_content_refused(finding)
            else:
                kept = with_it
                facts.append(fact)
        return replace(written, facts=facts)

    def _scene(self, text: str) -> Finding | None:
        """Why a text is not kept: people read what is remembered."""
        return Finding("scene", "memory") if self._tier == "sfw" and is_scene(text) else None

    def _log_content_refused(self, finding: Finding) -> None:
        self._log_line(
            WARNING, "memory content refused", category=finding.category, part=finding.part
        )

    def _log_line(self, level: int, event: str, **more: Any) -> None:
        """For the operator: who was asked and what came of it, never what was said."""
        asked = [
            {"name": attempt.target.name, "outcome": attempt.outcome, "ms": attempt.duration_ms}
            for attempt in self._generation.attempts
        ]
        _log.log(level, event, extra={"fields": {**self._ids, "targets": asked, **more}})


def _reply_for(target: Target) -> Reply:
    return Reply(thinking="leading" if target.thinks_first else "tagged")


def _parameters(target: Target) -> dict[str, Any]:
    """Samplers of the row are for replies; how much a model thinks is its own."""
    parameters: dict[str, Any] = {"max_tokens": notes.MAX_TOKENS, "temperature": TEMPERATURE}
    if "reasoning" in target.parameters:
        parameters["reasoning"] = target.parameters["reasoning"]
    if target.json_mode:
        parameters["response_format"] = {"type": "json_object"}
    return parameters
