"""Updates the memory of a conversation during a turn: asks models for a summary, and saves it.

The reply never waits for it and never fails because of it. A summary that is ready when the reply
is saved is saved in the same call, a later one by a call of its own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from logging import INFO, WARNING, getLogger
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from edge.clients import Clients
from edge.errors import ApiError
from roleplay_chat import turn_store
from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.error_policies import Kind
from roleplay_chat.generation.failover import Callbacks, Generation
from roleplay_chat.generation.request_shape import RequestShape
from roleplay_chat.generation.routing import Candidates, Plan, memory_targets
from roleplay_chat.generation.targets import Target
from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.memory.answer import Written, parse
from roleplay_chat.memory.batches import Batch, Fault, may_be_due, next_batches, next_try
from roleplay_chat.memory.request import (
    MAX_ANSWER_TOKENS,
    build_request,
    capacity,
    said_in,
    standing_passages,
)
from roleplay_chat.memory.result import (
    as_one,
    retold,
    to_save,
    unnoted,
    without_outdated,
    without_unfinished,
)
from roleplay_chat.prompt import builder
from roleplay_chat.prompt.budget import min_history_room
from roleplay_chat.prompt.builder import Prompt
from roleplay_chat.prompt.composition import Ingredients
from roleplay_chat.prompt.history import cost_at_most, longest_shown
from roleplay_chat.prompt.macros import build_macros
from roleplay_chat.reply.filters import Reply
from roleplay_chat.rows import BegunTurn, MemoryRow, MessageRow
from roleplay_chat.screening.decision import (
    LEAD_CHARS,
    ContentRefused,
    Finding,
    PartSignals,
    Passage,
    judge,
    read,
    read_in_context,
)
from roleplay_chat.screening.scenes import is_scene
from roleplay_chat.settings import Settings

RETRY_WAIT_SECONDS = 300
"""The wait after a failed summary before the next attempt in the same conversation."""
ALONE_WAIT_SECONDS = 3_600
"""The same if the summary was for a single message, which may still be too long."""
MAX_WAIT_SECONDS = 86_400
"""The maximum wait, which is doubled each time that a single message could not be noted: whatever
is wrong, a conversation costs little."""
TEMPERATURE = 0.2
"""Low, because summaries should not invent anything."""

_BY_TEXT: Set[Kind] = {"moderated", "refused_by_model", "empty", "repeated"}
_BY_SIZE: Set[Kind] = {"timeout", "cut_off", "context_too_long", "bad_request"}
"""After these failures, less text may succeed. An unreachable upstream says nothing about the
text."""

_log = getLogger("roleplay_chat")


class Summarizer:
    """Writes at most one summary for a turn, starting with `begin`."""

    def __init__(
        self,
        clients: Clients,
        settings: Settings,
        user_id: UUID,
        begun: BegunTurn,
        request: ChatRequest,
        tier: Tier,
        extras: Mapping[str, Any],
        ids: Mapping[str, Any],
    ) -> None:
        """`ids` identify the turn in the log."""
        self._clients = clients
        self._settings = settings
        self._user_id = user_id
        self._begun = begun
        self._request = request
        self._tier: Tier = tier
        self._ids = ids
        self._signals: Sequence[PartSignals] = ()
        self._lore: Sequence[Entry] = ()
        self._heard: Sequence[MessageRow] = ()
        """The history as the prompt has it."""
        self._batches: Sequence[Batch] = ()
        self._done = 0
        """How many of them were noted."""
        self._fault: Fault | None = None
        """Of the batch after these."""
        self._generations: list[Generation] = []
        self._decided = asyncio.Event()
        self._reply_is_over = asyncio.Event()
        self._task: asyncio.Task[dict[str, Any] | None] | None = None
        self._is_saved = False
        self._is_dropped = False
        self._extras = extras

    @property
    def attempts(self) -> list[Attempt]:
        """The finished calls, including cancelled ones. They are recorded with the reply."""
        is_over = self._task is not None and self._task.done()
        return self._attempts if is_over else []

    @property
    def _attempts(self) -> list[Attempt]:
        return [attempt for one in self._generations for attempt in one.attempts]

    def begin(
        self,
        reply: Target | None,
        measure: Target | None,
        signals: Sequence[PartSignals],
        lore: Sequence[Entry],
        prompt: Ingredients | None,
    ) -> None:
        """Start a summary if one is due.

        `reply` is the target that is tried first for the reply, `measure` the one whose prompts
        decide what is due, `signals` the signals in the turn's texts, `lore` the book entries that
        the turn activates, `prompt` the ingredients of the reply's prompt.
        """
        if not self._settings.memory_enabled or reply is None or measure is None or prompt is None:
            return
        self._heard = prompt.history
        least = min_history_room(RequestShape.for_target(measure).budget)
        is_same = measure.name == reply.name
        if may_be_due(
            self._begun.memory,
            self._begun.history,
            cost=prompt.history_cost if is_same else cost_at_most(prompt.history, measure.tokens),
            min_room=max(least, prompt.room) if is_same else least,
            most_bytes=self._begun.most_bytes,
        ):
            self._signals, self._lore = signals, lore
            self._task = asyncio.create_task(self._write(reply, measure))

    async def to_save(self) -> dict[str, Any] | None:
        """The result to save with the finished reply; None if there is none."""
        self._reply_is_over.set()
        if self._task is None or self._is_dropped:
            return None
        # Takes milliseconds, and has usually ended long before the reply.
        await self._decided.wait()
        if self._batches and not self._task.done():
            seconds = 2 * self._settings.memory_timeout_seconds * len(self._batches)
            # If no result ever comes, it may have taken too long.
            wait = seconds + self._settings.lease_margin_seconds
            return self._not_noted(next_try(self._memory, self._batches, 0, "size"), wait)
        self._is_saved = True
        return self._outcome(await self._task)

    async def save_late(self, build_usage_row: Callable[[Attempt], dict[str, Any]]) -> None:
        """Wait for a summary that was not ready when the reply was saved, and save it."""
        if self._task is None or self._is_saved or self._is_dropped:
            return
        outcome = self._outcome(await self._task)
        if outcome is None:
            return
        usage = [build_usage_row(attempt) for attempt in self._attempts]
        try:
            turn = self._user_id, self._begun.turn.id
            changed = await turn_store.remember(self._clients, *turn, outcome, usage)
        except ApiError:
            self._log_line(WARNING, "memory not saved")
        except Exception:
            _log.exception("memory cannot be saved", extra={"fields": dict(self._ids)})
        else:
            self._log_line(INFO, "memory saved late", changed=changed)

    async def drop(self) -> None:
        """Cancel the summary."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        self._is_dropped = True

    def _outcome(self, saved: dict[str, Any] | None) -> dict[str, Any] | None:
        if not self._batches:
            return None
        if saved is None:
            after = next_try(self._memory, self._batches, 0, self._fault)
            return self._not_noted(after, _wait_seconds(after, self._memory, self._fault))
        after = next_try(self._memory, self._batches, self._done, self._fault)
        return saved | after

    @property
    def _memory(self) -> MemoryRow:
        return self._begun.memory or MemoryRow()

    def _not_noted(self, after: dict[str, Any], wait_seconds: float) -> dict[str, Any]:
        """The record that these messages could not be noted, if they are still the same."""
        first = self._batches[0]
        tried = {"from": first.covers, "to": first.upto, "digest": first.digest}
        return {"wait_seconds": wait_seconds, **tried, **after}

    async def _write(self, reply: Target, measure: Target) -> dict[str, Any] | None:
        """What to save, in the format of private.remember; None if nothing is due or it failed."""
        try:
            try:
                plan = await self._clients.in_thread(self._plan, measure)
            except ContentRefused as refused:
                # This may not be because of the messages: another turn may lack what was refused.
                self._log_content_refused(refused.finding)
                return None
            finally:
                self._decided.set()
            if plan is None or not self._batches:
                return None
            noted = await self._take_notes(plan, reply)
            saved = await self._clients.in_thread(self._to_save, noted) if noted else None
            event = "memory written" if saved else "memory not written"
            self._log_line(INFO if saved else WARNING, event)
        except Exception:
            _log.exception("memory failed", extra={"fields": dict(self._ids)})
            self._done, self._fault = 0, "text"
            return None
        return saved

    async def _take_notes(self, plan: Plan, reply: Target) -> list[tuple[Batch, Written]]:
        """The batches and what was written about them, up to the first that failed."""
        noted: list[tuple[Batch, Written]] = []
        begun = self._begun
        for batch in self._batches:
            written = await self._note(plan, reply, batch, begun)
            if written is None:
                break
            noted.append((batch, written))
            begun = retold(begun, written)
        noted = without_unfinished(noted)
        self._done = len(noted)
        return noted

    async def _note(
        self, plan: Plan, reply: Target, batch: Batch, begun: BegunTurn
    ) -> Written | None:
        """What was written about a batch; None if nothing may be kept."""
        if not batch.sent:
            return unnoted(begun)
        text, self._fault = await self._generate(plan, reply, batch, begun)
        written = parse(text, reach=self._request.chosen_memory_tier)
        allowed = await self._clients.in_thread(self._allowed, written) if written else None
        if allowed is None:
            return None
        macros = build_macros(begun, self._request)
        return await self._clients.in_thread(without_outdated, batch, allowed, begun, macros)

    def _plan(self, measure: Target) -> Plan | None:
        """Choose the batches and the targets, with the workers as a last resort; None without
        targets."""
        begun = self._begun
        targets = memory_targets(Candidates.from_turn(begun, self._tier))
        if not targets:
            return None
        shape = RequestShape.for_target(measure)
        spec = builder.PromptSpec(
            begun,
            self._request,
            self._tier,
            family=measure.family,
            context_tokens=shape.context_tokens,
            max_tokens=shape.max_tokens,
            prompt_tokens=shape.prompt_tokens,
            tokens=measure.tokens,
            lore=self._lore,
        )
        room = max(builder.history_room(spec), 0)
        context_tokens = _context_tokens(targets[0])
        self._batches = next_batches(
            begun.memory,
            begun.history,
            room=room,
            capacity=capacity(begun, context_tokens),
            longest=longest_shown(spec.budget, room),
            most_bytes=begun.most_bytes,
            heard=self._heard,
            tokens=measure.tokens,
            refuses=lambda rows: self._refused(rows, budget=context_tokens - MAX_ANSWER_TOKENS),
        )
        plain = [replace(target, parameters=_parameters(target)) for target in targets]
        return Plan(
            targets=tuple(target for target in plain if not target.worker),
            last_resort=tuple(target for target in plain if target.worker),
            requested=None,
        )

    def _refused(self, rows: Sequence[MessageRow], *, budget: int) -> frozenset[int]:
        """The positions of the messages that no model may read with the rest of the request, and
        with the messages before them. Raises `ContentRefused` if it is the rest that is refused.
        """
        macros = build_macros(self._begun, self._request)
        standing = standing_passages(rows, self._begun, macros, budget=budget)
        kept = [*self._signals, *read_in_context(standing)]
        said = said_in(rows, macros)
        if finding := judge(kept, self._tier):
            raise ContentRefused(finding)
        # As in a request for all of them, so that it is read once.
        whole = [*standing, Passage("history", "\n".join(said))]
        if not judge([*self._signals, *read_in_context(whole)], self._tier):
            return frozenset()
        refused, before = set[int](), ""
        for row, text in zip(rows, said, strict=True):
            read_with = f"{before}\n{text}"
            with_it = [*kept, *read([Passage("history", read_with)])]
            if finding := judge(with_it, self._tier):
                self._log_content_refused(finding)
                refused.add(row.position)
            else:
                kept, before = with_it, read_with[-LEAD_CHARS:]
        return frozenset(refused)

    async def _generate(
        self, plan: Plan, reply: Target, batch: Batch, begun: BegunTurn
    ) -> tuple[str, Fault | None]:
        """The answer of the models, else of the workers, and whose fault it is if it is of no use.
        Empty if there is none. A worker's reply comes first, because it needs the GPU.
        """
        generation = self._generation()

        async def prompt_for(target: Target, shape: RequestShape) -> Prompt:
            return await self._prompt_for(target, shape, batch, begun)

        callbacks = Callbacks(prompt_for, _reply_for, lambda *_: None)
        await generation.run(replace(plan, last_resort=()), callbacks)
        is_over = generation.text or generation.finding
        if plan.last_resort and not is_over:
            if reply.worker:
                await self._reply_is_over.wait()
            await generation.run(replace(plan, targets=()), callbacks)
        if generation.finding:
            self._log_content_refused(generation.finding)
            return "", "text"
        is_whole = generation.text and generation.failure is None
        return generation.text, "text" if is_whole else _fault(generation.attempts)

    def _generation(self) -> Generation:
        # Nobody waits for it, so the first token may take as long as the whole answer.
        seconds = self._settings.memory_timeout_seconds
        patient = {"turn_budget_seconds": seconds, "first_token_timeout_seconds": seconds}
        self._generations.append(
            Generation(
                http=self._clients.http(),
                settings=self._settings.model_copy(update=patient),
                tier=self._tier,
                extras=self._extras,
            )
        )
        return self._generations[-1]

    async def _prompt_for(
        self, target: Target, shape: RequestShape, batch: Batch, begun: BegunTurn
    ) -> Prompt:
        """The request for a target. Raises `ContentRefused` if no model may read it."""
        built = build_request(
            batch,
            begun,
            build_macros(begun, self._request),
            budget=shape.budget,
            tokens=target.tokens,
            roles=shape.roles,
        )
        read_all = [
            *self._signals,
            *await self._clients.in_thread(read_in_context, built.passages),
        ]
        if finding := judge(read_all, self._tier):
            raise ContentRefused(finding)
        return built

    def _to_save(self, noted: Sequence[tuple[Batch, Written]]) -> dict[str, Any]:
        batch, written = as_one(noted, known=len(self._begun.facts))
        if given_up := [row for row in batch.rows if row.position in batch.given_up]:
            # The messages after them were noted, so the models are not to blame.
            self._log_line(WARNING, "messages never noted", count=len(given_up))
        return to_save(batch, written, self._begun, build_macros(self._begun, self._request))

    def _allowed(self, written: Written) -> Written | None:
        """The parts of the result that may be kept; None if the summary may not."""
        kept = [*self._signals, *read([Passage("memory", written.summary)])]
        if finding := judge(kept, self._tier) or self._scene(written.summary):
            self._log_content_refused(finding)
            return None
        facts = []
        for fact in written.facts:
            said = " ".join(filter(None, [fact.text, fact.subject, fact.topic]))
            with_it = [*kept, *read([Passage("memory", said)])]
            if finding := judge(with_it, self._tier) or self._scene(said):
                self._log_content_refused(finding)
            else:
                kept = with_it
                facts.append(fact)
        return replace(written, facts=facts)

    def _scene(self, text: str) -> Finding | None:
        """The finding if the text is a scene in an `sfw` turn: people can read the memory."""
        return Finding("scene", "memory") if self._tier == "sfw" and is_scene(text) else None

    def _log_content_refused(self, finding: Finding) -> None:
        self._log_line(
            WARNING, "memory content refused", category=finding.category, part=finding.part
        )

    def _log_line(self, level: int, event: str, **more: Any) -> None:
        """Log the calls and their outcomes, never texts."""
        targets = [
            {"name": attempt.target.name, "outcome": attempt.outcome, "ms": attempt.duration_ms}
            for attempt in self._attempts
        ]
        _log.log(level, event, extra={"fields": {**self._ids, "targets": targets, **more}})


def _reply_for(target: Target) -> Reply:
    return Reply(thinking="leading" if target.thinks_first else "tagged")


def _fault(attempts: Sequence[Attempt]) -> Fault | None:
    """What may be wrong with a batch that no model answered."""
    failures = [attempt.failure.policy for attempt in attempts if attempt.failure]
    if any(one.kind in _BY_TEXT or one.name == "worker_broken_context" for one in failures):
        return "text"
    return "size" if any(one.kind in _BY_SIZE for one in failures) else None


def _wait_seconds(after: Mapping[str, Any], before: MemoryRow, fault: Fault | None) -> int:
    if after["failures"] > before.failures:
        doublings = min(before.failures, 10)
        return min(RETRY_WAIT_SECONDS << doublings, MAX_WAIT_SECONDS)
    is_alone = fault == "size" and before.most_messages == 1
    return ALONE_WAIT_SECONDS if is_alone else RETRY_WAIT_SECONDS


def _context_tokens(target: Target) -> int:
    """The tokens of the request and its answer."""
    return min(target.context_tokens, target.prompt_tokens + MAX_ANSWER_TOKENS)


def _parameters(target: Target) -> dict[str, Any]:
    """Parameters for summaries. The row's are for replies; only its `reasoning` is kept."""
    parameters: dict[str, Any] = {"max_tokens": MAX_ANSWER_TOKENS, "temperature": TEMPERATURE}
    if "reasoning" in target.parameters:
        parameters["reasoning"] = target.parameters["reasoning"]
    if target.json_mode:
        parameters["response_format"] = {"type": "json_object"}
    return parameters
