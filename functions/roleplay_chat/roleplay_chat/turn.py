"""One accepted turn, from its rows to its saved reply."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from logging import ERROR, INFO, getLogger
from typing import Any
from uuid import UUID

from edge.clients import Clients
from edge.errors import ApiError, internal_error
from roleplay_chat import prompt, turns
from roleplay_chat.api import Answer, ChatRequest, Route, Tier, Usage
from roleplay_chat.generation import Attempt, Generated, Generation
from roleplay_chat.policy import content_tier
from roleplay_chat.routing import Target, plan
from roleplay_chat.rows import BegunTurn
from roleplay_chat.settings import Settings

_log = getLogger("roleplay_chat")


@dataclass(frozen=True)
class Start:
    """The first words are there, and whose they are."""

    turn_id: str
    route: Route


@dataclass(frozen=True)
class Delta:
    """More of the reply."""

    text: str


@dataclass(frozen=True)
class Done:
    """The reply is whole and saved."""

    answer: Answer


@dataclass(frozen=True)
class Failed:
    """There is no reply, or no more of it."""

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
        self._settings = settings
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
        self._committed = False

    async def run(self) -> None:
        """Generate, save, tell. Raises nothing: nobody is there to catch it."""
        try:
            generated = await self._generation().run(self._plan)
            event = await self._end(generated)
        except Exception:
            _log.exception("turn failed", extra={"fields": self._ids()})
            event = Failed(internal_error())
        self._emit(event)

    def _generation(self) -> Generation:
        return Generation(
            http=self._clients.http(),
            settings=self._settings,
            tier=self._tier,
            messages_for=self._messages_for,
            on_text=self._on_text,
        )

    def _messages_for(self, target: Target) -> list[prompt.Message]:
        return prompt.build(
            self._begun,
            self._request,
            self._tier,
            family=target.family,
            context_tokens=target.context_tokens,
            max_tokens=target.max_tokens,
        )

    def _on_text(self, target: Target, text: str) -> None:
        if not self._committed:
            self._committed = True
            self._emit(Start(str(self._begun.turn.id), self._route(target)))
        self._emit(Delta(text))

    async def _end(self, generated: Generated) -> TurnEvent:
        answer = self._answer(generated) if generated.target else None
        saved = await turns.finish(self._clients, self._turn_end(generated, answer))
        self._log_line(generated, saved is not None)
        if answer is None:
            return Failed(_no_answer())
        if saved is None:
            return Done(replace(answer, saved=False))
        return Done(
            replace(answer, message_id=saved.message_id, memory_updated=saved.memory_updated)
        )

    def _answer(self, generated: Generated) -> Answer:
        end = generated.attempts[-1].end
        return Answer(
            response=generated.text,
            turn_id=str(self._begun.turn.id),
            request_id=self._request_id,
            processing_time=self._elapsed_ms(),
            content_tier=self._tier,
            finish_reason=end.finish_reason if end else None,
            incomplete=generated.failure is not None,
            user_message_id=_text(self._begun.turn.user_message_id),
            usage=Usage(
                prompt_tokens=end.prompt_tokens if end else None,
                completion_tokens=end.completion_tokens if end else None,
                cost_usd=generated.attempts[-1].cost_usd(),
            ),
            route=self._route(generated.attempts[-1].target),
        )

    def _turn_end(self, generated: Generated, answer: Answer | None) -> turns.TurnEnd:
        status = "failed"
        if answer is not None:
            status = "incomplete" if answer.incomplete else "complete"
        usage = answer.usage if answer else Usage()
        return turns.TurnEnd(
            turn_id=self._begun.turn.id,
            status=status,
            reply=answer.response if answer else None,
            columns={
                "content_tier": self._tier,
                "model_used": answer.route.model_used if answer else None,
                "finish_reason": answer.finish_reason if answer else None,
                "error_code": generated.failure.kind if generated.failure else None,
                "duration_ms": self._elapsed_ms(),
                **asdict(usage),
            },
            result=answer.metadata() if answer else {},
            memory_tier=self._request.memory_tier or "conversation",
            usage=[_usage_row(attempt) for attempt in generated.attempts],
        )

    def _route(self, target: Target) -> Route:
        used_fallback = self._plan.used_fallback(target)
        return Route(
            model_used=target.name,
            used_fallback=used_fallback,
            fallback_model=target.picker_key if used_fallback else None,
            notice=self._plan.notice(target),
        )

    def _log_line(self, generated: Generated, saved: bool) -> None:
        fields = {
            **self._ids(),
            "task": self._request.task,
            "action": self._request.action,
            "tier": self._tier,
            "targets": [
                {"name": a.target.name, "outcome": a.outcome, "ms": a.duration_ms, "why": a.detail}
                for a in generated.attempts
            ],
            "ms": self._elapsed_ms(),
            "saved": saved,
        }
        level = INFO if saved and generated.target else ERROR
        _log.log(level, "turn finished", extra={"fields": fields})

    def _ids(self) -> dict[str, str]:
        return {
            "request_id": self._request_id,
            "turn_id": str(self._begun.turn.id),
            "user_id": str(self._user_id),
        }

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)


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


def _no_answer() -> ApiError:
    return ApiError(
        503,
        "no_model_available",
        "No model can answer right now. Please try again in a minute.",
        retry_after=60,
    )


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
