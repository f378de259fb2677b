"""What a turn records: its answer, status, rows, log line and alerts."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from edge.errors import ApiError
from roleplay_chat.api import Answer, AttemptSummary, Usage
from roleplay_chat.generation.attempts import Spent
from roleplay_chat.generation.providers import End
from roleplay_chat.rows import CooldownRow
from roleplay_chat.screening.decision import Finding
from roleplay_chat.tokens import Estimate
from roleplay_chat.turn_plan import Accepted, plan_turn
from roleplay_chat.turn_record import (
    Outcome,
    alerts,
    build_answer,
    log_fields,
    turn_end,
    usage_row,
)
from roleplay_chat.turn_store import TurnEnd
from tests.support.turns import (
    ADULT,
    CHARACTER,
    MESSAGE,
    NOW,
    SECOND,
    TARGET,
    TURN,
    accepted,
    answered,
    attempt,
)

ERROR = ApiError(403, "age_verification_required", "Please verify your age first.")
MINOR, SCENE = Finding("sexual", "message"), Finding("scene", "reply")


def whole(text: str = "The lamp is lit.", reason: str = "stop", **outcome: Any) -> Outcome:
    """A complete reply."""
    return Outcome(text=text, target=TARGET, replies=[answered(reason)], **outcome)


def broken_off(text: str = "The lamp is", **outcome: Any) -> Outcome:
    """A reply that was cut off."""
    return Outcome(text=text, target=TARGET, replies=[attempt("cut_off")], **outcome)


GREETED = Outcome(greeting="Come in, it is raining.")
SILENT = Outcome(replies=[attempt("overloaded"), attempt("timed_out", SECOND)])


def answer_to(outcome: Outcome, turn: Accepted | None = None) -> Answer | None:
    turn = turn or accepted()
    return build_answer(turn, plan_turn(turn), outcome)


def generated(outcome: Outcome, turn: Accepted | None = None) -> Answer:
    answer = answer_to(outcome, turn)
    assert answer is not None
    return answer


def record_end(outcome: Outcome, turn: Accepted | None = None, **more: Any) -> TurnEnd:
    turn = turn or accepted()
    more = {"memory_attempts": [], "memory": None} | more
    return turn_end(turn, plan_turn(turn), outcome, answer_to(outcome, turn), **more)


# --- status and error code ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status", "error_code", "is_as_wished"),
    [
        pytest.param(whole(), "complete", None, True, id="whole"),
        pytest.param(whole(reason="length"), "complete", None, True, id="as-long-as-allowed"),
        pytest.param(GREETED, "complete", None, True, id="greeting"),
        pytest.param(
            Outcome(
                text="The lamp is lit.",
                target=SECOND,
                replies=[attempt("timed_out"), answered(target=SECOND)],
            ),
            "complete",
            None,
            True,
            id="whole-from-the-second",
        ),
        pytest.param(broken_off(), "incomplete", "cut_off", True, id="broken-off"),
        pytest.param(broken_off(is_stopped=True), "stopped", "stopped", True, id="stopped"),
        pytest.param(whole(is_stopped=True), "complete", None, True, id="stopped-as-it-ended"),
        pytest.param(
            replace(GREETED, is_stopped=True), "complete", None, True, id="greeting-and-stopped"
        ),
        pytest.param(
            Outcome(is_stopped=True, replies=[attempt("cut_off")]),
            "failed",
            "stopped",
            True,
            id="stopped-before-the-first-word",
        ),
        pytest.param(
            Outcome(is_stopped=True),
            "failed",
            "stopped",
            True,
            id="stopped-before-anybody-was-asked",
        ),
        pytest.param(SILENT, "failed", "timed_out", False, id="last-failure-of-several"),
        pytest.param(Outcome(), "failed", None, False, id="nobody-to-ask"),
        pytest.param(
            Outcome(error=ERROR), "failed", "age_verification_required", True, id="ended-before"
        ),
        pytest.param(
            Outcome(error=ERROR, is_stopped=True), "failed", "stopped", True, id="ended-and-stopped"
        ),
        pytest.param(
            Outcome(finding=MINOR, error=ERROR), "failed", "policy_minor", True, id="hard-limit"
        ),
        pytest.param(
            Outcome(finding=Finding("classifier", "message"), moderation=[answered()]),
            "failed",
            "policy_minor",
            True,
            id="classifier",
        ),
        pytest.param(
            Outcome(finding=SCENE, replies=[attempt("policy_scene")]),
            "failed",
            "policy_scene",
            True,
            id="scene",
        ),
        pytest.param(
            Outcome(finding=MINOR, is_stopped=True),
            "failed",
            "policy_minor",
            True,
            id="hard-limit-and-stopped",
        ),
    ],
)
def test_status_and_error_code(
    outcome: Outcome, status: str, error_code: str | None, is_as_wished: bool
) -> None:
    end = record_end(outcome)
    assert (end.status, end.columns["error_code"]) == (status, error_code)
    assert outcome.is_as_wished is is_as_wished


# --- the answer -----------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [SILENT, Outcome(), Outcome(error=ERROR)])
def test_without_a_reply_there_is_no_answer(outcome: Outcome) -> None:
    assert answer_to(outcome) is None


LONG = "She looks at the sea. It is calm tonight. Then she tur"


@pytest.mark.parametrize(
    ("outcome", "continues", "response"),
    [
        pytest.param(whole(), None, "The lamp is lit.", id="whole"),
        pytest.param(
            whole(LONG, "length"),
            None,
            "She looks at the sea. It is calm tonight.",
            id="sentence-that-the-limit-cut-is-left-out",
        ),
        pytest.param(whole(LONG), None, LONG, id="model-that-ends-in-mid-sentence-has-its-way"),
        pytest.param(broken_off(LONG), None, LONG, id="what-was-shown-stands"),
        pytest.param(
            whole(" It is lit."),
            "Look at the lamp.",
            "Look at the lamp. It is lit.",
            id="continued",
        ),
        pytest.param(whole(", and lit."), "The lamp", "The lamp, and lit.", id="no-space-too-much"),
        pytest.param(
            whole(f" {LONG}", "length"),
            "Wait.",
            "Wait. She looks at the sea. It is calm tonight.",
            id="continued-as-far-as-allowed",
        ),
        pytest.param(broken_off(" It is"), "Wait.", "Wait. It is", id="continued-and-broken-off"),
        pytest.param(whole("p is lit."), "The lam", "The lamp is lit.", id="inside-a-word"),
    ],
)
def test_response_has_the_whole_reply(
    outcome: Outcome, continues: str | None, response: str
) -> None:
    turn = accepted({"action": "continue"}, turn={"continues": continues}) if continues else None
    assert generated(outcome, turn).response == response


@pytest.mark.parametrize("closing", ["", '"'])
@pytest.mark.parametrize("reason", ["stop", "length"])
def test_reply_is_cut_to_what_can_be_stored(closing: str, reason: str) -> None:
    turn = accepted({"action": "continue"}, turn={"continues": f"{closing}{'a ' * 32_000}"})
    answer = generated(whole("b" * 3_000, reason), turn)
    assert len(answer.response) == 65_536
    assert (answer.finish_reason, answer.incomplete) == ("length", False)


@pytest.mark.parametrize(
    ("outcome", "finish_reason", "incomplete"),
    [
        pytest.param(whole(), "stop", False, id="whole"),
        pytest.param(whole(LONG, "length"), "length", False, id="length"),
        pytest.param(GREETED, "stop", False, id="greeting"),
        pytest.param(broken_off(), None, True, id="broken-off"),
        pytest.param(broken_off(is_stopped=True), None, True, id="stopped"),
        pytest.param(
            Outcome(
                text="The lamp",
                target=TARGET,
                replies=[attempt("cut_off", end=End("content_filter"))],
            ),
            "content_filter",
            True,
            id="ended-and-failed",
        ),
    ],
)
def test_how_the_reply_ended(outcome: Outcome, finish_reason: str | None, incomplete: bool) -> None:
    answer = generated(outcome)
    assert (answer.finish_reason, answer.incomplete) == (finish_reason, incomplete)


def test_answer_says_whose_it_is_and_who_was_asked() -> None:
    tried = [attempt("timed_out"), answered(target=SECOND)]
    answer = generated(Outcome(text="The lamp is lit.", target=SECOND, replies=tried))
    assert answer.chosen.model_used == "openrouter:second:free"
    assert (answer.chosen.used_fallback, answer.chosen.fallback_model) == (True, "second:free")
    assert answer.route == [
        AttemptSummary("openrouter:main:free", "timeout", 70),
        AttemptSummary("openrouter:second:free", "ok", 70),
    ]
    assert answer.usage == Usage(100, 20, 0.25)
    assert (answer.turn_id, answer.user_message_id) == (str(TURN), str(MESSAGE))
    assert (answer.character_id, answer.request_id) == (str(CHARACTER), "a-request")


def test_greeting_is_the_authors_and_costs_nothing() -> None:
    answer = generated(GREETED)
    assert answer.response == "Come in, it is raining."
    assert answer.chosen.model_used == "card:greeting"
    assert not answer.chosen.used_fallback
    assert (answer.usage, answer.route, answer.user_message_id) == (Usage(), (), None)


def test_what_the_model_wrote_comes_before_a_greeting() -> None:
    assert generated(whole(greeting="Come in.")).response == "The lamp is lit."


# --- what is saved --------------------------------------------------------------------------


def test_columns_of_a_reply() -> None:
    end = record_end(whole())
    assert (end.turn_id, end.reply, end.memory_tier) == (TURN, "The lamp is lit.", "conversation")
    assert isinstance(end.columns.pop("duration_ms"), int)
    assert end.columns == {
        "content_tier": "sfw",
        "model_used": "openrouter:main:free",
        "finish_reason": "stop",
        "error_code": None,
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cost_usd": 0.25,
        "request_id": "a-request",
    }


def test_columns_without_a_reply() -> None:
    end = record_end(SILENT)
    assert end.reply is None
    empty = ("model_used", "finish_reason", "prompt_tokens", "completion_tokens", "cost_usd")
    assert [end.columns[name] for name in empty] == [None] * 5


def test_repeated_request_gets_the_same_answer() -> None:
    turn = accepted()
    outcome = whole()
    answer = generated(outcome, turn)
    end = turn_end(turn, plan_turn(turn), outcome, answer, [], None)
    assert {"response": end.reply, **end.result} == answer.to_json()


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome(finding=MINOR), {"refused": {"category": "sexual", "part": "message"}}),
        (Outcome(finding=SCENE), {"refused": {"category": "scene", "part": "reply"}}),
        (SILENT, {}),
    ],
)
def test_refusal_is_kept_without_the_words(outcome: Outcome, result: dict[str, Any]) -> None:
    assert record_end(outcome).result == result


def test_tier_is_the_one_the_turn_had_and_not_the_one_asked_for() -> None:
    turn = accepted({"content_tier": "nsfw", "memory_tier": "profile"})  # no model is open to it
    end = record_end(whole(), turn)
    assert (end.columns["content_tier"], end.memory_tier) == ("sfw", "profile")


def test_every_call_to_a_model_is_a_row_of_usage() -> None:
    outcome = whole(moderation=[attempt("overloaded")])
    end = record_end(
        outcome, memory_attempts=[answered(target=SECOND)], memory={"summary": "Rain."}
    )
    assert [(row["purpose"], row["model_key"], row["outcome"]) for row in end.usage] == [
        ("moderation", "main:free", "overloaded"),
        ("reply", "main:free", "ok"),
        ("memory", "second:free", "ok"),
    ]
    assert end.memory == {"summary": "Rain."}


@pytest.mark.parametrize(
    ("spent", "columns"),
    [
        pytest.param(
            Spent(90, 10, 0.5, is_estimated=True),
            {
                "prompt_tokens": 90,
                "completion_tokens": 10,
                "cost_usd": 0.5,
                "is_estimated": True,
            },
            id="estimated",
        ),
        pytest.param(
            Spent(90, 10, None, is_estimated=False),
            {
                "prompt_tokens": 90,
                "completion_tokens": 10,
                "cost_usd": None,
                "is_estimated": False,
            },
            id="price-unknown",
        ),
        pytest.param(
            Spent(90, 10, None, is_estimated=False, cached_tokens=0),
            {
                "prompt_tokens": 90,
                "completion_tokens": 10,
                "cost_usd": None,
                "is_estimated": False,
                "cached_tokens": 0,
            },
            id="cache-reported",
        ),
        pytest.param(None, {}, id="nothing-spent"),
    ],
)
def test_usage_row(spent: Spent | None, columns: dict[str, Any]) -> None:
    call = attempt("server_error", first_token_ms=30, spent=spent, estimate=Estimate(80, 4))
    assert usage_row(call, "reply") == {
        "purpose": "reply",
        "provider": "openrouter",
        "model_key": "main:free",
        "outcome": "failed",
        "first_token_ms": 30,
        "duration_ms": 70,
        "estimate": {"latin": 80, "other": 4},
        **columns,
    }


def test_cooldowns_are_saved_as_json() -> None:
    until = NOW + timedelta(minutes=1)
    row = CooldownRow(scope="model", key="openrouter:main:free", until=until, reason="timed_out")
    end = record_end(Outcome(replies=[attempt("timed_out")], cooldowns=[row]))
    assert json.loads(json.dumps(end.cooldowns)) == [
        {
            "scope": "model",
            "key": "openrouter:main:free",
            "until": "2026-01-03T12:01:00Z",
            "reason": "timed_out",
        }
    ]


# --- the log --------------------------------------------------------------------------------


def test_log_line_of_a_turn() -> None:
    outcome = Outcome(
        text="The lamp is lit.",
        target=SECOND,
        moderation=[answered()],
        replies=[
            attempt("server_error"),
            answered(target=SECOND),
        ],
        first_text_ms=40,
    )
    turn = accepted()
    fields = log_fields(turn, plan_turn(turn), outcome, saved=True)
    assert isinstance(fields.pop("ms"), int)
    assert fields == {
        **turn.ids,
        "task": "roleplay",
        "action": "send",
        "tier": "sfw",
        "targets": [
            {"name": "openrouter:main:free", "ms": 70, "outcome": "ok", "first_token_ms": 30},
            {
                "name": "openrouter:main:free",
                "ms": 70,
                "outcome": "server_error",
                "status": None,
                "why": "",
            },
            {"name": "openrouter:second:free", "ms": 70, "outcome": "ok", "first_token_ms": 30},
        ],
        "first_text_ms": 40,
        "saved": True,
        "prompt_tokens": 200,
        "completion_tokens": 40,
        "cost_usd": 0.5,
    }


@pytest.mark.parametrize(
    ("spent", "cost"),
    [
        pytest.param([], None, id="nothing-spent"),
        pytest.param([Spent(1, 1, None, is_estimated=True)], None, id="price-unknown"),
        pytest.param([Spent(1, 1, 0.0, is_estimated=True)], 0.0, id="free"),
        pytest.param(
            [Spent(1, 1, None, is_estimated=True), Spent(1, 1, 0.5, is_estimated=True)],
            0.5,
            id="as-far-as-it-is-known",
        ),
    ],
)
def test_cost_in_the_log(spent: list[Spent], cost: float | None) -> None:
    turn = accepted()
    outcome = Outcome(replies=[attempt("cut_off", spent=one) for one in spent])
    fields = log_fields(turn, plan_turn(turn), outcome, saved=False)
    assert (fields["cost_usd"], fields["saved"]) == (cost, False)


@pytest.mark.parametrize(
    "outcome",
    [
        whole("Zephyr is lit."),
        broken_off("Zephyr is"),
        Outcome(greeting="Zephyr greets."),
        Outcome(error=ApiError(403, "content_refused", "Zephyr.")),
        Outcome(finding=MINOR),
        Outcome(replies=[attempt("bad_key")]),
    ],
)
def test_no_words_are_in_the_log(outcome: Outcome) -> None:
    said = {"sender": "user", "content": "Zephyr."}
    turn = accepted(
        {"message": "Zephyr?", "scene_context": "Zephyr.", "user_role": "Zephyr"},
        user={"name": "Zephyr", "age_verified": True},
        turn={"message": "Zephyr?"},
        character=ADULT | {"name": "Zephyr", "description": "Zephyr."},
        persona=ADULT | {"name": "Zephyr"},
        history=[said],
        facts=[{"content": "Zephyr."}],
        memory={"summary": "Zephyr."},
    )
    lines = [log_fields(turn, plan_turn(turn), outcome, saved=True), *alerts(turn, outcome)]
    assert "Zephyr" not in json.dumps(lines)


@pytest.mark.parametrize(
    ("outcome", "names"),
    [
        pytest.param(whole(), [], id="whole"),
        pytest.param(SILENT, [], id="nobody-has-to-act"),
        pytest.param(
            Outcome(replies=[attempt("bad_key"), attempt("timed_out", SECOND)]),
            [("bad_key", "openrouter:main:free")],
            id="key-not-accepted",
        ),
        pytest.param(
            whole(moderation=[attempt("no_credit", SECOND)]),
            [("no_credit", "openrouter:second:free")],
            id="of-a-classifier-though-the-reply-is-whole",
        ),
        pytest.param(
            Outcome(replies=[attempt("model_gone"), attempt("misconfigured", SECOND)]),
            [
                ("model_gone", "openrouter:main:free"),
                ("misconfigured", "openrouter:second:free"),
            ],
            id="one-for-each",
        ),
    ],
)
def test_alerts_of_a_turn(outcome: Outcome, names: list[tuple[str, str]]) -> None:
    turn = accepted()
    raised = alerts(turn, outcome)
    assert [(fields["error_policy"], fields["target"]) for _, fields in raised] == names
    for line, fields in raised:
        assert line
        assert fields["severity"] == "ALERT"
        assert turn.ids.items() <= fields.items()
