"""One accepted turn, from its rows to its saved reply."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from logging import ERROR, INFO, getLogger
from typing import Any
from uuid import UUID

from edge.clients import Clients
from edge.errors import ApiError, internal_error
from roleplay_chat import prompt, turns
from roleplay_chat.api import Answer, ChatRequest, Chosen, Tier, Tried, Usage
from roleplay_chat.failures import Failure
from roleplay_chat.generation import Attempt, Generation, Shape
from roleplay_chat.policy import content_tier
from roleplay_chat.reply import joined
from roleplay_chat.routing import Target, plan
from roleplay_chat.rows import BegunTurn
from roleplay_chat.settings import Settings
from roleplay_chat.situations import TRY_AGAIN

_log = getLogger("roleplay_chat")


@dataclass(frozen=True)
class Start:
    """The first words are there, and whose they are."""

    turn_id: str
    chosen: Chosen


@dataclass(frozen=True)
class Delta:
    """More of the reply."""

    text: str


@dataclass(frozen=True)
class Done:
    """The turn is over and saved; the reply is whole unless the answer says `incomplete`."""

    answer: Answer


@dataclass(frozen=True)
class Failed:
    """There is no reply."""

    error: ApiError


TurnEvent = Start | Delta | Done | Failed


class Turn:
    """Runs a turn and emits its events; the last is always `Done` or `Failed`."""

    def __init__(
        self,
        clients: Clients,
        settings: Settings,
        begun: BegunTurn,
        request: ChatRequest,
        user_id: UUID,
        request_id: str,
        emit: Callable[[TurnEvent], None],
    ) -> None:
        self._clients = clients
        self._begun = begun
        self._request = request
        self._user_id = user_id
        self._request_id = request_id
        self._emit = emit
        self._started = time.monotonic()
        self._tier: Tier = content_tier(
            request.content_tier,
            user=begun.user,
            conversation=begun.conversation,
            character=begun.character,
            persona=begun.persona,
        )
        self._plan = plan(
            request.model_provider,
            models=begun.models,
            worker=begun.worker,
            cooldowns=begun.cooldowns,
            tier=self._tier,
            now=begun.now,
        )
        self._generation = Generation(
            http=clients.http(),
            settings=settings,
            tier=self._tier,
            messages_for=self._messages_for,
            extras=_openrouter_extras(user_id, request.conversation_id),
            on_text=self._on_text,
        )
        self._generating: asyncio.Task[None] | None = None
        self._stopped = False

    async def run(self) -> None:
        """Generate, save, tell. Raises nothing: nobody is there to catch it."""
        try:
            await self._generate()
            event = await self._end()
        except Exception:
            _log.exception("turn failed", extra={"fields": self._ids()})
            event = Failed(internal_error())
        self._emit(event)

    def stop(self) -> None:
        """End the reply where it stands and save it as stopped."""
        self._stopped = True
        if self._generating:
            self._generating.cancel()

    async def _generate(self) -> None:
        if self._stopped:
            return
        self._generating = asyncio.create_task(self._generation.run(self._plan))
        try:
            await self._generating
        except asyncio.CancelledError:
            if not self._stopped:
                raise

    def _messages_for(self, target: Target, shape: Shape) -> list[prompt.Message]:
        return prompt.build(
            self._begun,
            self._request,
            self._tier,
            family=target.family,
            context_tokens=shape.context_tokens,
            max_tokens=shape.max_tokens,
        )

    def _on_text(self, target: Target, text: str) -> None:
        if self._generation.text == text:
            self._emit(Start(str(self._begun.turn.id), self._chosen(target)))
        self._emit(Delta(text))

    async def _end(self) -> TurnEvent:
        target = self._generation.target
        answer = self._answer(target) if target else None
        saved = await turns.finish(self._clients, self._turn_end(answer))
        self._log_line(saved is not None)
        if answer is None:
            return Failed(self._no_answer())
        if saved is None:
            return Done(replace(answer, saved=False))
        return Done(
            replace(answer, message_id=saved.message_id, memory_updated=saved.memory_updated)
        )

    def _answer(self, target: Target) -> Answer:
        last = self._generation.attempts[-1]
        text = self._generation.text
        if self._begun.turn.continues is not None:
            text = joined(self._begun.turn.continues, text)
        return Answer(
            response=text,
            turn_id=str(self._begun.turn.id),
            request_id=self._request_id,
            processing_time=self._elapsed_ms(),
            content_tier=self._tier,
            finish_reason=last.end.finish_reason if last.end else None,
            incomplete=last.failure is not None,
            user_message_id=_text(self._begun.turn.user_message_id),
            usage=Usage(
                prompt_tokens=last.end.prompt_tokens if last.end else None,
                completion_tokens=last.end.completion_tokens if last.end else None,
                cost_usd=last.cost_usd(),
            ),
            route=[Tried(a.target.name, a.outcome, a.duration_ms) for a in self._attempts],
            chosen=self._chosen(target),
        )

    @property
    def _attempts(self) -> list[Attempt]:
        return self._generation.attempts

    def _status(self, answer: Answer | None) -> str:
        if answer is None:
            return "failed"
        if answer.incomplete:
            return "stopped" if self._stopped else "incomplete"
        return "complete"

    def _turn_end(self, answer: Answer | None) -> turns.TurnEnd:
        failure = self._generation.failure
        usage = answer.usage if answer else Usage()
        return turns.TurnEnd(
            turn_id=self._begun.turn.id,
            status=self._status(answer),
            reply=answer.response if answer else None,
            columns={
                "content_tier": self._tier,
                "model_used": answer.chosen.model_used if answer else None,
                "finish_reason": answer.finish_reason if answer else None,
                "error_code": "stopped" if self._stopped else failure and failure.situation.name,
                "duration_ms": self._elapsed_ms(),
                **asdict(usage),
            },
            result=answer.metadata() if answer else {},
            memory_tier=self._request.memory_tier or "conversation",
            usage=[_usage_row(attempt) for attempt in self._attempts],
            cooldowns=[row.model_dump(mode="json") for row in self._generation.cooldowns],
        )

    def _chosen(self, target: Target) -> Chosen:
        used_fallback = self._plan.used_fallback(target)
        return Chosen(
            model_used=target.name,
            used_fallback=used_fallback,
            fallback_model=target.picker_key if used_fallback else None,
            notice=self._plan.notice(target),
        )

    def _no_answer(self) -> ApiError:
        failures = [a.failure for a in self._attempts if a.failure]
        rests = [row.until for row in (*self._begun.cooldowns, *self._generation.cooldowns)]
        now = datetime.now(UTC)
        return no_answer(failures, min(rests, default=now + timedelta(minutes=1)), now)

    def _log_line(self, saved: bool) -> None:
        for attempt in self._attempts:
            if attempt.failure and attempt.failure.situation.alert:
                self._alert(attempt.target, attempt.failure)
        fields = self._ids() | {
            "task": self._request.task,
            "action": self._request.action,
            "tier": self._tier,
            "targets": [_log_entry(attempt) for attempt in self._attempts],
            "ms": self._elapsed_ms(),
            "saved": saved,
        }
        level = INFO if saved and (self._generation.target or self._stopped) else ERROR
        _log.log(level, "turn finished", extra={"fields": fields})

    def _alert(self, target: Target, failure: Failure) -> None:
        """Somebody has to act, and this line says what to do."""
        situation = failure.situation
        fields = {"severity": "ALERT", "situation": situation.name, "target": target.name}
        _log.critical(situation.operator, extra={"fields": self._ids() | fields})

    def _ids(self) -> dict[str, Any]:
        return {
            "request_id": self._request_id,
            "turn_id": str(self._begun.turn.id),
            "user_id": str(self._user_id),
        }

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)


def no_answer(failures: list[Failure], next_chance: datetime, now: datetime) -> ApiError:
    """What the person is told when nobody answered: the failure that matters most to them."""
    situations = [failure.situation for failure in failures]
    refused = next((s for s in situations if s.action == "stop"), None)
    if refused:
        return ApiError(403, "content_refused", refused.user)
    capped = next((f for f in failures if f.situation.name == "free_daily_cap"), None)
    same = situations[0] if len({s.name for s in situations}) == 1 else None
    if capped:
        next_chance = capped.rests_until(now) or next_chance
    sentence = capped.situation.user if capped else same.user if same else TRY_AGAIN
    if same and same.kind == "context_too_long":
        return ApiError(422, "conversation_too_long", sentence)
    wait = max((next_chance - now).total_seconds(), 1)
    code = "free_limit_reached" if capped else "no_model_available"
    return ApiError(503, code, sentence.format(when=_when(next_chance, wait)), retry_after=wait)


def _when(moment: datetime, seconds: float) -> str:
    if seconds > 3600:
        return f"at {moment:%H:%M} UTC"
    minutes = -(-seconds // 60)
    return "in a minute" if minutes <= 1 else f"in {minutes:.0f} minutes"


def _openrouter_extras(user_id: UUID, conversation_id: UUID | None) -> dict[str, Any]:
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


def _usage_row(attempt: Attempt) -> dict[str, Any]:
    return {
        "provider": attempt.target.provider,
        "model_key": attempt.target.model_key,
        "outcome": attempt.outcome,
        "prompt_tokens": attempt.end.prompt_tokens if attempt.end else None,
        "completion_tokens": attempt.end.completion_tokens if attempt.end else None,
        "cost_usd": attempt.cost_usd(),
        "first_token_ms": attempt.first_token_ms,
        "duration_ms": attempt.duration_ms,
    }


def _log_entry(attempt: Attempt) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": attempt.target.name, "ms": attempt.duration_ms}
    if attempt.failure is None:
        return entry | {"outcome": "ok", "first_token_ms": attempt.first_token_ms}
    failure = attempt.failure
    return entry | {
        "outcome": failure.situation.name,
        "status": failure.status,
        "why": failure.why,
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
