"""The state of OpenRouter's key, and when it raises an alert."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_check.fetch import Fetched
from health_check.keys import KeyStatus, alerts, read_balance, read_key
from health_check.steps import StepFailed
from tests.support.postgres import ROOT

NOW = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)
SAMPLES = json.loads((ROOT / "tests/data/openrouter_samples.json").read_text())
UNLIMITED = KeyStatus(None, None, 25.5, None, None, None)


def key(**fields: Any) -> KeyStatus:
    return KeyStatus(**(vars(UNLIMITED) | fields))


def test_documented_answer_is_read_without_the_label() -> None:
    (sample,) = [one for one in SAMPLES if one["id"] == "key_info"]
    status = read_key(Fetched(200, sample["body"]))
    assert status.to_json() == {
        "limit_usd": 100,
        "remaining_usd": 74.5,
        "used_usd": 25.5,
        "free_requests_limit": 50,
        "free_requests_remaining": 38,
        "expires_at": "2027-12-31T23:59:59+00:00",
    }


def test_what_is_not_said_is_unknown() -> None:
    odd = {"usage": "much", "limit": True, "limit_remaining": None, "expires_at": "soon"}
    more = {"free_model_daily_requests": [1]}
    assert read_key(Fetched(200, {"data": odd | more})) == key(used_usd=None)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        pytest.param(401, {"error": {"message": "User not found."}}, "rejected", id="refused"),
        pytest.param(403, None, "rejected", id="forbidden"),
        pytest.param(404, "<html>", "answered 404", id="no-such-page"),
        pytest.param(200, "<html>", "without a key", id="page"),
        pytest.param(200, {"data": []}, "without a key", id="list"),
        pytest.param(200, {"data": {}}, "without a key", id="empty"),
    ],
)
def test_other_answers_are_no_status(status: int, body: Any, why: str) -> None:
    with pytest.raises(StepFailed, match=why):
        read_key(Fetched(status, body))


@pytest.mark.parametrize(
    ("status", "body", "balance"),
    [
        (200, {"data": {"total_credits": 10, "total_usage": 2.25}}, 7.75),
        (403, {"error": {"message": "Management key required"}}, None),
        (200, {"data": {"total_credits": 10}}, None),
        (200, "<html>", None),
    ],
)
def test_balance_is_known_where_the_key_may_ask(
    status: int, body: Any, balance: float | None
) -> None:
    assert read_balance(Fetched(status, body)) == balance


@pytest.mark.parametrize(
    ("status", "balance", "said"),
    [
        pytest.param(UNLIMITED, None, [], id="fine"),
        pytest.param(key(remaining_usd=0.01), 3.0, [], id="something-left"),
        pytest.param(key(remaining_usd=0.0), None, ["reached its limit"], id="exhausted"),
        pytest.param(UNLIMITED, -0.5, ["no credits"], id="overdrawn"),
        pytest.param(key(free_requests_remaining=0), None, ["free requests"], id="no-free-ones"),
        pytest.param(key(expires_at=NOW), None, ["has expired"], id="expired"),
        pytest.param(key(expires_at=NOW + timedelta(days=6)), None, ["expires at"], id="soon"),
        pytest.param(key(expires_at=NOW + timedelta(days=8)), None, [], id="in-a-while"),
        pytest.param(
            key(remaining_usd=0.0, free_requests_remaining=-2),
            0.0,
            ["reached its limit", "no credits", "free requests"],
            id="all-at-once",
        ),
    ],
)
def test_alert_is_raised_near_the_limits_of_the_key(
    status: KeyStatus, balance: float | None, said: list[str]
) -> None:
    found = alerts(status, balance, NOW)
    assert len(found) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found, strict=True))


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
names = ["limit", "limit_remaining", "usage", "expires_at", "free_model_daily_requests"]
inner = st.dictionaries(st.sampled_from(["limit", "remaining"]), values)


@given(st.dictionaries(st.sampled_from(names), values | inner))
def test_no_answer_is_too_odd(data: dict[str, Any]) -> None:
    status = read_key(Fetched(200, {"data": {"usage": 1} | data}))
    json.dumps(status.to_json(), allow_nan=False)
    assert isinstance(alerts(status, None, NOW), list)
