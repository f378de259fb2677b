"""The error that a person sees when a turn has no reply. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from edge.errors import ApiError
from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.error_policies import TRY_AGAIN
from roleplay_chat.screening.decision import content_refused
from roleplay_chat.turn_plan import Accepted
from roleplay_chat.turn_record import Outcome
from roleplay_chat.turn_store import stopped_early


def why_no_answer(accepted: Accepted, outcome: Outcome, now: datetime) -> ApiError:
    """The error for a turn without a reply."""
    if outcome.error is not None:
        return outcome.error
    if outcome.finding is not None:
        return content_refused(outcome.finding)
    if outcome.is_stopped:
        return stopped_early()
    failures = [attempt.failure for attempt in outcome.replies if attempt.failure]
    ends = [row.until for row in (*accepted.begun.cooldowns, *outcome.cooldowns)]
    return no_answer(failures, min(ends, default=now + timedelta(minutes=1)), now)


def no_answer(failures: Sequence[Failure], next_chance: datetime, now: datetime) -> ApiError:
    """The error when no model answered, for the failure that matters most to the person."""
    policies = [failure.policy for failure in failures]
    stopped = next((s for s in policies if s.action in ("stop", "one_more", "firmer")), None)
    if stopped:
        return ApiError(403, "content_refused", stopped.user)
    capped = next((f for f in failures if f.policy.name == "free_daily_cap"), None)
    same = policies[0] if len({s.name for s in policies}) == 1 else None
    if capped:
        next_chance = capped.cools_until(now) or next_chance
    sentence = capped.policy.user if capped else same.user if same else TRY_AGAIN
    if same and same.kind == "context_too_long":
        return ApiError(422, "conversation_too_long", sentence)
    wait = max((next_chance - now).total_seconds(), 1)
    code = "free_limit_reached" if capped else "no_model_available"
    return ApiError(503, code, sentence.format(when=_when(next_chance, wait)), retry_after=wait)


def _when(moment: datetime, seconds: float) -> str:
    if seconds > 3600:
        return f"at {moment.astimezone(UTC):%H:%M} UTC"
    minutes = -(-seconds // 60)
    return "in a minute" if minutes <= 1 else f"in {minutes:.0f} minutes"
