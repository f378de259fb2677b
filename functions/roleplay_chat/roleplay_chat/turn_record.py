"""Builds what a turn leaves behind: answer, columns, usage rows, log line and alerts. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from edge.errors import ApiError
from edge.json_values import id_text
from roleplay_chat.api import MAX_CONTENT_CHARS, Answer, AttemptSummary, ModelChoice, Usage
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.targets import Target
from roleplay_chat.prompt.composition import Ingredients, compose
from roleplay_chat.reply.truncation import trim_unfinished_sentence
from roleplay_chat.rows import CooldownRow
from roleplay_chat.screening.decision import Finding
from roleplay_chat.turn_plan import Accepted, Planned
from roleplay_chat.turn_store import TurnEnd


class Outcome(Struct, frozen=True):
    """The result of a turn: a greeting, a model's text, or the reason why there is neither."""

    greeting: str | None = None
    text: str = ""
    target: Target | None = None
    """The target that wrote the text; None if there is no text."""
    error: ApiError | None = None
    """Why the turn ended before any model was tried."""
    finding: Finding | None = None
    """Why the content policy refused the turn or the reply."""
    is_stopped: bool = False
    """Whether the person stopped the reply."""
    replies: Sequence[Attempt] = ()
    """The calls to models for the reply."""
    moderation: Sequence[Attempt] = ()
    """The calls to classifiers."""
    cooldowns: Sequence[CooldownRow] = ()
    first_text_ms: int | None = None
    ingredients: Ingredients | None = None
    """The ingredients of the last call's prompt."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The variables of the conversation after the reply."""

    @property
    def attempts(self) -> list[Attempt]:
        """All calls except those for the memory."""
        return [*self.moderation, *self.replies]

    @property
    def content_refused(self) -> dict[str, Any]:
        """The record of refused content: the rule and the part, never the text."""
        return {"refused": self.finding.to_json()} if self.finding else {}

    @property
    def error_code(self) -> str | None:
        """The error code for the turn's row; None if the reply is complete."""
        if self.finding:
            return "policy_scene" if self.finding.category == "scene" else "policy_minor"
        if self.is_whole:
            return None
        if self.is_stopped:
            return "stopped"
        if self.error is not None:
            return self.error.code
        failure = self.replies[-1].failure if self.replies else None
        return failure.policy.name if failure else None

    @property
    def is_whole(self) -> bool:
        """Whether the reply is complete, even if the person stopped it just after its end."""
        is_generated = self.target is not None and self.replies[-1].failure is None
        return self.greeting is not None or is_generated

    @property
    def is_as_wished(self) -> bool:
        """Whether there is a reply, or we or the person decided that there is none."""
        return bool(self.target or self.greeting or self.error or self.finding or self.is_stopped)


def build_answer(accepted: Accepted, planned: Planned, outcome: Outcome) -> Answer | None:
    """The answer to a turn; None if there is no reply."""
    if outcome.target:
        return _generated(accepted, planned, outcome, outcome.target)
    if outcome.greeting is not None:
        return _answer(accepted, planned, outcome.greeting, planned.greeted, "stop")
    return None


def _generated(accepted: Accepted, planned: Planned, outcome: Outcome, target: Target) -> Answer:
    beginning = accepted.begun.turn.continues or ""
    last, text = outcome.replies[-1], beginning + outcome.text
    reason = last.finish_reason
    if len(text) > MAX_CONTENT_CHARS:
        text, reason = text[:MAX_CONTENT_CHARS], "length"
    if reason == "length":
        # Closing an open quotation mark makes it longer.
        trimmed = trim_unfinished_sentence(text, kept_chars=len(beginning))
        text = trimmed[:MAX_CONTENT_CHARS]
    return _answer(
        accepted,
        planned,
        text,
        planned.chosen(target),
        reason,
        incomplete=last.failure is not None,
        stopped=outcome.error_code == "stopped",
        continued_chars=len(beginning),
        user_message_id=id_text(accepted.begun.turn.user_message_id),
        usage=last.used,
        spent=_counted(last),
        route=[
            AttemptSummary(one.target.name, one.outcome, one.duration_ms) for one in outcome.replies
        ],
    )


def _counted(attempt: Attempt) -> Usage | None:
    if (spent := attempt.spent) is None:
        return None
    tokens = spent.prompt_tokens, spent.completion_tokens
    return Usage(*tokens, spent.cost_usd, spent.cached_tokens)


def _answer(
    accepted: Accepted,
    planned: Planned,
    text: str,
    chosen: ModelChoice,
    finish_reason: str | None,
    **more: Any,
) -> Answer:
    return Answer(
        response=text,
        chosen=chosen,
        finish_reason=finish_reason,
        turn_id=str(accepted.begun.turn.id),
        request_id=accepted.request_id,
        processing_time=accepted.elapsed_ms(),
        content_tier=planned.tier,
        character_id=accepted.character_id,
        **more,
    )


def turn_end(
    accepted: Accepted,
    planned: Planned,
    outcome: Outcome,
    answer: Answer | None,
    memory_attempts: Sequence[Attempt],
    memory: dict[str, Any] | None,
) -> TurnEnd:
    """The end of the turn in the format of finish_turn. `memory` is saved with it."""
    return TurnEnd(
        turn_id=accepted.begun.turn.id,
        status=_status(outcome, answer),
        reply=answer.response if answer and accepted.keeps_text else None,
        columns={
            "content_tier": planned.tier,
            "model_used": answer.chosen.model_used if answer else None,
            "finish_reason": answer.finish_reason if answer else None,
            "error_code": outcome.error_code,
            "duration_ms": accepted.elapsed_ms(),
            "request_id": accepted.request_id,
            **_variables(accepted, outcome),
            **(answer.usage if answer else Usage()).to_json(),
        },
        result=answer.metadata() if answer else outcome.content_refused,
        memory_tier=accepted.request.chosen_memory_tier,
        usage=[
            *(usage_row(attempt, "moderation") for attempt in outcome.moderation),
            *(usage_row(attempt, "reply") for attempt in outcome.replies),
            *(usage_row(attempt, "memory") for attempt in memory_attempts),
        ],
        cooldowns=[row.model_dump(mode="json") for row in outcome.cooldowns],
        memory=memory,
        prompt=_composition(outcome),
        user_id=accepted.user_id,
    )


def _variables(accepted: Accepted, outcome: Outcome) -> dict[str, Any]:
    """The variables of the conversation, if it has or had any."""
    known = outcome.variables or accepted.begun.variables
    return {"variables": dict(outcome.variables)} if known else {}


def _composition(outcome: Outcome) -> dict[str, Any] | None:
    """The composition of the reply's prompt; None if no model wrote the reply."""
    if outcome.target is None or outcome.ingredients is None:
        return None
    total = outcome.target.tokens.total(outcome.replies[-1].estimate)
    return compose(outcome.ingredients, total)


def _status(outcome: Outcome, answer: Answer | None) -> str:
    if answer is None:
        return "failed"
    if answer.incomplete:
        return "stopped" if outcome.is_stopped else "incomplete"
    return "complete"


def usage_row(
    attempt: Attempt, purpose: Literal["reply", "memory", "moderation", "embedding"]
) -> dict[str, Any]:
    """A row of `usage_events`."""
    return {
        "purpose": purpose,
        "provider": attempt.target.provider,
        "model_key": attempt.target.model_key,
        "outcome": attempt.outcome,
        **(attempt.spent.columns() if attempt.spent else {}),
        "first_token_ms": attempt.first_token_ms,
        "duration_ms": attempt.duration_ms,
        # private.calibrate compares it with the reported tokens.
        "estimate": attempt.estimate.to_json(),
        # private.remember_repairs keeps them for the model.
        **({"repairs": attempt.repairs} if attempt.repairs else {}),
    }


def log_fields(
    accepted: Accepted, planned: Planned, outcome: Outcome, *, saved: bool
) -> dict[str, Any]:
    """The fields of the log line "turn finished": ids, sizes, times and outcomes, never texts."""
    return {
        **accepted.ids,
        "task": accepted.request.task,
        "action": accepted.request.action,
        "tier": planned.tier,
        "targets": [_log_entry(attempt) for attempt in outcome.attempts],
        "ms": accepted.elapsed_ms(),
        "first_text_ms": outcome.first_text_ms,
        "saved": saved,
        **_spent(outcome.attempts),
    }


def alerts(accepted: Accepted, outcome: Outcome) -> list[tuple[str, dict[str, Any]]]:
    """Log lines for failures that the operator has to act on: (what to do, fields)."""
    return [
        (
            failure.policy.operator,
            accepted.ids
            | {
                "severity": "ALERT",
                "error_policy": failure.policy.name,
                "target": attempt.target.name,
            },
        )
        for attempt in outcome.attempts
        if (failure := attempt.failure) and failure.policy.alert
    ]


def _spent(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """The sums of tokens and known costs, and of cached tokens if any call reports them."""
    spent = [attempt.spent for attempt in attempts if attempt.spent]
    costs = [one.cost_usd for one in spent if one.cost_usd is not None]
    cached = [one.cached_tokens for one in spent if one.cached_tokens is not None]
    return {
        "prompt_tokens": sum(one.prompt_tokens for one in spent),
        "completion_tokens": sum(one.completion_tokens for one in spent),
        "cost_usd": sum(costs) if costs else None,
        **({"cached_tokens": sum(cached)} if cached else {}),
    }


def _log_entry(attempt: Attempt) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": attempt.target.name, "ms": attempt.duration_ms}
    if attempt.failure is None:
        return entry | {"outcome": "ok", "first_token_ms": attempt.first_token_ms}
    failure = attempt.failure
    return entry | {
        "outcome": failure.policy.name,
        "status": failure.status,
        "why": failure.why,
    }
