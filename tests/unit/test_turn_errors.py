"""What the user is told when a turn has no reply."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from edge.errors import ApiError
from roleplay_chat.generation.error_policies import ERROR_POLICIES
from roleplay_chat.rows import CooldownRow
from roleplay_chat.screening.decision import Finding
from roleplay_chat.turn_errors import no_answer, why_no_answer
from roleplay_chat.turn_record import Outcome
from roleplay_chat.turn_store import spend_limit_reached
from tests.support.turns import NOW, accepted, attempt, failure

SOON = NOW + timedelta(minutes=1)
NOBODY = (503, "no_model_available", "No model can answer right now. Please try again in a minute.")
CANNOT = (
    503,
    "no_model_available",
    "The model could not answer. Please try again, or choose another model.",
)
REFUSED = (
    403,
    "content_refused",
    "The model's provider refused this message because of its content rules.",
)
DECLINED = (
    403,
    "content_refused",
    "The model declined to write this. Please try different words.",
)
NO_SCENES = (
    403,
    "content_refused",
    "The reply was stopped: this conversation does not allow explicit scenes.",
)
NO_MINORS = (
    403,
    "content_refused",
    "The reply was stopped: sexual content that involves anyone under 18 is never allowed.",
)
TOO_LONG = (
    422,
    "conversation_too_long",
    "The conversation is too long for the available models. Please start a new one.",
)
CAPPED = (
    503,
    "free_limit_reached",
    "Today's free replies are used up. They are back in 60 minutes.",
)


def told(error: ApiError) -> tuple[int, str, str]:
    return error.status, error.code, error.message


def cooldown(minutes: float) -> CooldownRow:
    until = NOW + timedelta(minutes=minutes)
    return CooldownRow(scope="model", key="openrouter:main:free", until=until)


# --- by failure -----------------------------------------------------------------------------

BY_ITSELF = {
    "free_daily_cap": CAPPED,
    "moderated": REFUSED,
    "guardrail": REFUSED,
    "context_too_long": TOO_LONG,
    "refused_by_model": DECLINED,
    "policy_minor": NO_MINORS,
    "policy_scene_early": NO_SCENES,
    "policy_scene": NO_SCENES,
    "reply_too_long": CANNOT,
    "bad_parameters": CANNOT,
    "roles_rejected": CANNOT,
    "max_tokens_rejected": CANNOT,
    "bad_request": CANNOT,
    "empty": CANNOT,
    "all_reasoning": CANNOT,
    "cut_off": CANNOT,
}
"""The sentences of failures that have their own; all others say that nobody can answer."""


def test_every_kind_of_failure_is_a_row_of_the_table() -> None:
    assert set(BY_ITSELF) < set(ERROR_POLICIES)


@pytest.mark.parametrize("name", ERROR_POLICIES)
def test_failure_of_one_kind(name: str) -> None:
    error = no_answer([failure(name), failure(name)], SOON, NOW)
    assert told(error) == BY_ITSELF.get(name, NOBODY)
    assert (error.retry_after is None) == (error.status != 503)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param([], NOBODY, id="nobody-was-asked"),
        pytest.param(["timed_out", "overloaded"], NOBODY, id="different-ones"),
        pytest.param(["empty", "timed_out"], NOBODY, id="one-of-them-could-not-answer"),
        pytest.param(["timed_out", "moderated"], REFUSED, id="refused-after-an-outage"),
        pytest.param(["refused_by_model", "timed_out"], DECLINED, id="declined-before-an-outage"),
        pytest.param(
            ["policy_scene_early", "refused_by_model"], NO_SCENES, id="first-refusal-counts"
        ),
        pytest.param(["free_daily_cap", "moderated"], REFUSED, id="refusal-outweighs-a-cap"),
        pytest.param(["context_too_long", "timed_out"], NOBODY, id="not-too-long-for-everybody"),
    ],
)
def test_failures_of_several_kinds(names: list[str], expected: tuple[int, str, str]) -> None:
    assert told(no_answer([failure(name) for name in names], SOON, NOW)) == expected


@pytest.mark.parametrize(
    ("upstream_says", "when"),
    [
        pytest.param({}, "in 60 minutes", id="an-hour-when-nothing-is-said"),
        pytest.param({"until": NOW + timedelta(hours=12)}, "at 00:00 UTC", id="time-of-its-end"),
        pytest.param(
            {"until": (NOW + timedelta(hours=3)).astimezone(timezone(timedelta(hours=2)))},
            "at 15:00 UTC",
            id="time-of-its-end-in-another-zone",
        ),
        pytest.param({"until": NOW - timedelta(hours=1)}, "in 60 minutes", id="time-that-is-over"),
        pytest.param({"retry_after": 7200}, "at 14:00 UTC", id="seconds-to-wait"),
        pytest.param({"until": NOW + timedelta(days=9)}, "at 12:00 UTC", id="no-longer-than-a-day"),
    ],
)
def test_cap_of_the_day_says_when_it_ends(upstream_says: dict[str, Any], when: str) -> None:
    failures = [failure("timed_out"), failure("free_daily_cap", **upstream_says)]
    error = no_answer(failures, SOON, NOW)
    assert error.code == "free_limit_reached"
    assert error.message == f"Today's free replies are used up. They are back {when}."


@pytest.mark.parametrize(
    ("seconds", "when", "retry_after"),
    [
        pytest.param(-5, "in a minute", 1, id="already-over"),
        pytest.param(0, "in a minute", 1, id="now"),
        pytest.param(60, "in a minute", 60, id="a-minute"),
        pytest.param(61, "in 2 minutes", 61, id="begun-minutes-count"),
        pytest.param(3600, "in 60 minutes", 3600, id="an-hour"),
        pytest.param(3601, "at 13:00 UTC", 3601, id="more-than-an-hour"),
    ],
)
def test_person_is_told_when_to_try_again(seconds: int, when: str, retry_after: int) -> None:
    error = no_answer([], NOW + timedelta(seconds=seconds), NOW)
    assert error.message == f"No model can answer right now. Please try again {when}."
    assert error.retry_after == retry_after


@pytest.mark.parametrize("name", ERROR_POLICIES)
@pytest.mark.parametrize("minutes", [1, 90])
def test_sentence_is_whole(name: str, minutes: int) -> None:
    message = no_answer([failure(name)], NOW + timedelta(minutes=minutes), NOW).message
    assert re.fullmatch(r"[A-Z][^{}]*\.", message)


# --- whole turns ----------------------------------------------------------------------------


def test_reason_that_the_turn_ended_before_comes_first() -> None:
    error = ApiError(404, "greeting_not_found", "There is no such greeting.")
    outcome = Outcome(
        error=error, finding=Finding("scene", "reply"), replies=[attempt("moderated")]
    )
    assert why_no_answer(accepted(), outcome, NOW) is error


@pytest.mark.parametrize(
    ("finding", "message"),
    [
        (
            Finding("sexual", "message"),
            "sexual content that involves anyone under 18 is never allowed.",
        ),
        (Finding("scene", "reply"), "this conversation does not allow explicit scenes."),
    ],
)
def test_what_the_policy_refuses_is_told_before_failures(finding: Finding, message: str) -> None:
    outcome = Outcome(finding=finding, replies=[attempt("timed_out")])
    error = why_no_answer(accepted(), outcome, NOW)
    assert (error.status, error.code) == (403, "content_refused")
    assert error.message.endswith(message)


def test_failures_of_the_classifier_are_not_those_of_the_reply() -> None:
    outcome = Outcome(moderation=[attempt("moderated")], replies=[attempt("empty")])
    assert told(why_no_answer(accepted(), outcome, NOW)) == CANNOT


@pytest.mark.parametrize(
    ("before", "since", "minutes"),
    [
        pytest.param([], [], 1, id="none"),
        pytest.param([20, 9], [], 9, id="known-before"),
        pytest.param([], [20, 9], 9, id="of-this-turn"),
        pytest.param([20], [9], 9, id="the-first-of-both"),
    ],
)
def test_next_chance_is_the_first_end_of_a_cooldown(
    before: list[float], since: list[float], minutes: int
) -> None:
    turn = accepted(cooldowns=[cooldown(one).model_dump() for one in before])
    outcome = Outcome(replies=[attempt("timed_out")], cooldowns=[cooldown(one) for one in since])
    assert why_no_answer(turn, outcome, NOW).retry_after == minutes * 60


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        pytest.param(datetime(2026, 1, 3, 23, 59, 30, tzinfo=UTC), 30, id="just-before-midnight"),
        pytest.param(datetime(2026, 1, 3, tzinfo=UTC), 86_400, id="midnight"),
        pytest.param(
            datetime(2026, 1, 4, 1, 0, tzinfo=timezone(timedelta(hours=2))),
            3600,
            id="tomorrow-elsewhere",
        ),
    ],
)
def test_budget_is_there_again_at_midnight_utc(now: datetime, seconds: int) -> None:
    error = spend_limit_reached(now)
    assert (error.status, error.code, error.retry_after) == (429, "spend_limit_reached", seconds)
