"""One accepted turn: plan, screen, greet or generate, conclude, save, tell.

Contains the order of the steps, what they need (`Context`) and how others stop a turn
(`RunningTurn`). `turn_record` builds what a turn leaves behind, `turn_errors` the error when there
is no reply.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from logging import ERROR, INFO, getLogger
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from edge.clients import Clients
from edge.errors import ApiError, internal_error
from edge.timing import Timing
from roleplay_chat import turn_errors, turn_store
from roleplay_chat.api import (
    Answer,
    Delta,
    Done,
    Emit,
    Failed,
    ModelChoice,
    Start,
    TurnEvent,
)
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.failover import Callbacks, Generation, openrouter_extras
from roleplay_chat.generation.moderation_model import Moderation
from roleplay_chat.generation.targets import Target
from roleplay_chat.memory.embedder import Embedder
from roleplay_chat.memory.summarizer import Summarizer
from roleplay_chat.prompt.builder import Prompt
from roleplay_chat.reply.filters import Reply, Thinking, stop_strings
from roleplay_chat.settings import Settings
from roleplay_chat.turn_cache import TurnCache
from roleplay_chat.turn_plan import Accepted, Planned, decide
from roleplay_chat.turn_record import (
    Outcome,
    alerts,
    build_answer,
    log_fields,
    turn_end,
    usage_row,
)
from roleplay_chat.turn_screen import PromptScreen, screen_turn

_log = getLogger("roleplay_chat")


class RunningTurn:
    """A handle on a running turn, for code outside it."""

    def __init__(self, on_end: Callable[[], None] = lambda: None) -> None:
        self.is_stopped = False
        self.end = on_end
        """To be called before the turn's last event: from then on nothing can be stopped."""
        self._generating: asyncio.Task[None] | None = None
        self._callers: Sequence[Moderation | Generation] = ()

    @property
    def attempts(self) -> list[Attempt]:
        """Every call to a model so far."""
        return [attempt for caller in self._callers for attempt in caller.attempts]

    def stop(self) -> None:
        """End the reply where it stands and save it as stopped."""
        self.is_stopped = True
        if self._generating:
            self._generating.cancel()

    def watch(self, *callers: Moderation | Generation) -> None:
        """Set the objects whose attempts are this turn's calls."""
        self._callers = callers

    async def generate(self, generating: Coroutine[Any, Any, None]) -> None:
        """Run the generation until it ends or the turn is stopped."""
        self._generating = asyncio.create_task(generating)
        try:
            await self._generating
        except asyncio.CancelledError:
            if not self.is_stopped:
                raise


class Context(Struct, frozen=True):
    """What a turn needs from its surroundings."""

    clients: Clients
    settings: Settings
    timing: Timing
    emit: Emit
    cache: TurnCache
    embedder: Embedder | None = None


async def run_turn(context: Context, accepted: Accepted, running: RunningTurn) -> None:
    """Answer a turn and emit its events; the last is always `Done` or `Failed`.

    Raises nothing, because nobody could catch it.
    """
    try:
        decided = decide(accepted)
        planned = await context.clients.in_thread_unless(decided.is_quick, decided.planned)
        memory = _memory(context, accepted, planned)
        outcome = await _reply(context, accepted, planned, running, memory)
        answer = build_answer(accepted, planned, outcome)
        if outcome.ingredients:
            place = accepted.user_id, accepted.request.conversation_id, accepted.request.task
            context.cache.note_spare(*place, planned.spare(outcome.ingredients))
        if answer is None:
            await memory.drop()
        saving = asyncio.create_task(_save(context, accepted, planned, outcome, answer, memory))
        with context.timing.measure("save"):
            await asyncio.wait({saving}, timeout=context.settings.save_patience_seconds)
        saved = saving.result() if saving.done() else None
        _log_turn(accepted, planned, outcome, saved=saved is not None)
        running.end()
        context.emit(_last_event(accepted, outcome, answer, saved))
    except Exception as error:
        # A bug of ours, or no thread is free: tell the person and unlock the conversation.
        if not isinstance(error, ApiError):
            _log.exception("turn failed", extra={"fields": accepted.ids})
        await turn_store.abandon(context.clients, accepted.begun.turn.id)
        running.end()
        context.emit(Failed(error if isinstance(error, ApiError) else internal_error()))
        if context.embedder:
            await context.embedder.record(accepted.query)
        return
    try:
        if not saving.done():
            await _save_late(accepted, saving)
        await memory.save_late(lambda attempt: usage_row(attempt, "memory"))
        if context.embedder:
            await context.embedder.index(planned.begun, accepted.query, planned.allowed)
    finally:
        await memory.drop()


def _memory(context: Context, accepted: Accepted, planned: Planned) -> Summarizer:
    return Summarizer(
        context.clients,
        context.settings,
        accepted.user_id,
        planned.begun,
        accepted.request,
        planned.tier,
        openrouter_extras(accepted.user_id, None),
        accepted.ids,
    )


# --- screen, greet or generate --------------------------------------------------------------


async def _reply(
    context: Context,
    accepted: Accepted,
    planned: Planned,
    running: RunningTurn,
    memory: Summarizer,
) -> Outcome:
    http, settings = context.clients.http(), context.settings
    moderation = Moderation(http, settings, planned.begun)
    generation = Generation(
        http=http,
        settings=settings,
        tier=planned.tier,
        extras=openrouter_extras(accepted.user_id, accepted.request.conversation_id),
        stop=[*_wanted_stops(planned), *stop_strings(planned.cast)],
        shows_at_once=accepted.shows_at_once,
    )
    running.watch(moderation, generation)
    events = _ReplyEvents(accepted, planned, context.emit)
    prompts = PromptScreen(context.clients, accepted.request, planned)
    screened = await screen_turn(accepted, planned, prompts, moderation, settings)
    error = screened.error
    if screened.greeting is not None:
        events.greet(screened.greeting)
    elif _is_all_spent(planned):
        error = error or turn_store.spend_limit_reached(planned.begun.now)
    elif error is None and not running.is_stopped:
        memory.begin(
            planned.first,
            planned.measure,
            prompts.signals,
            prompts.lore,
            prompts.ingredients,
        )
        callbacks = _callbacks(planned, prompts, generation, events)
        generating = generation.run(planned.plan, callbacks, instead_of=screened.unfit)
        with context.timing.measure("model"):
            await _generate(accepted, running, generating)
        if isinstance(generation.prompt, Prompt):
            prompts.answered = generation.prompt
    return Outcome(
        greeting=screened.greeting,
        text=generation.text,
        target=generation.target,
        error=error,
        finding=screened.finding or generation.finding,
        is_stopped=running.is_stopped,
        replies=generation.attempts,
        moderation=moderation.attempts,
        cooldowns=generation.cooldowns,
        first_text_ms=events.first_text_ms,
        ingredients=prompts.ingredients,
        variables=prompts.variables,
    )


def _wanted_stops(planned: Planned) -> Sequence[str]:
    return planned.begun.settings.stop if planned.begun.settings else ()


def _is_all_spent(planned: Planned) -> bool:
    return planned.begun.free_only and planned.first is None


def _callbacks(
    planned: Planned, prompts: PromptScreen, generation: Generation, events: "_ReplyEvents"
) -> Callbacks:
    def reply_for(target: Target) -> Reply:
        thinking: Thinking = "leading" if target.thinks_first else "tagged"
        return Reply(
            planned.cast,
            thinking=thinking,
            continues=planned.begun.turn.continues,
            last=planned.last_reply,
            said=planned.said_before,
            screen=prompts.reply_screen(),
            stops=_wanted_stops(planned),
        )

    return Callbacks(
        lambda target, shape: prompts.prompt_for(target, shape, firmly=generation.firmly),
        reply_for,
        events.show,
    )


async def _generate(
    accepted: Accepted, running: RunningTurn, generating: Coroutine[Any, Any, None]
) -> None:
    try:
        await running.generate(generating)
    except Exception:
        # A bug of ours. The turn must be closed nevertheless.
        _log.exception("generation failed", extra={"fields": accepted.ids})


class _ReplyEvents:
    """Emits the events of a reply as it arrives."""

    def __init__(self, accepted: Accepted, planned: Planned, emit: Emit) -> None:
        self._accepted = accepted
        self._planned = planned
        self._emit = emit
        self._target: Target | None = None
        self.first_text_ms: int | None = None
        """When the first text arrived, in milliseconds since the turn began."""

    def greet(self, greeting: str) -> None:
        """Emit the author's greeting."""
        self._start(self._planned.greeted)
        self._emit(Delta(greeting))

    def show(self, target: Target, text: str) -> None:
        """Emit a piece of a target's reply."""
        if target is not self._target:
            self._target = target
            self.first_text_ms = self._accepted.elapsed_ms()
            self._start(self._planned.chosen(target))
        self._emit(Delta(text))

    def _start(self, chosen: ModelChoice) -> None:
        turn_id = str(self._accepted.begun.turn.id)
        self._emit(Start(turn_id, chosen, self._accepted.character_id))


# --- save, tell -----------------------------------------------------------------------------


async def _save(
    context: Context,
    accepted: Accepted,
    planned: Planned,
    outcome: Outcome,
    answer: Answer | None,
    memory: Summarizer,
) -> turn_store.Saved | None:
    kept = await memory.to_save()  # First: it decides whether its calls are accounted for here.
    end = turn_end(accepted, planned, outcome, answer, memory.attempts, kept)
    seconds = context.settings.lease_seconds - accepted.elapsed_ms() / 1000
    return await turn_store.save(context.clients, end, seconds=seconds, ids=accepted.ids)


async def _save_late(accepted: Accepted, saving: "asyncio.Task[turn_store.Saved | None]") -> None:
    """Keep saving a turn whose answer was sent as not saved.

    On platforms that give CPU time only during requests this may never run. The turn is then closed
    as abandoned, and a repeated request is answered anew.
    """
    saved = bool(await saving)
    fields = accepted.ids | {"saved": saved}
    _log.log(INFO if saved else ERROR, "turn saved late", extra={"fields": fields})


def _last_event(
    accepted: Accepted, outcome: Outcome, answer: Answer | None, saved: turn_store.Saved | None
) -> TurnEvent:
    """The event that ends the turn."""
    if answer is None:
        return Failed(turn_errors.why_no_answer(accepted, outcome, datetime.now(UTC)))
    if saved is None:
        return Done(replace(answer, saved=False))
    return Done(replace(answer, message_id=saved.message_id, memory_updated=saved.memory_updated))


def _log_turn(accepted: Accepted, planned: Planned, outcome: Outcome, *, saved: bool) -> None:
    for line, fields in alerts(accepted, outcome):
        _log.critical(line, extra={"fields": fields})
    fields = log_fields(accepted, planned, outcome, saved=saved)
    if outcome.finding:
        _log.warning("content refused", extra={"fields": fields | outcome.finding.to_json()})
    level = INFO if saved and outcome.is_as_wished else ERROR
    _log.log(level, "turn finished", extra={"fields": fields})
