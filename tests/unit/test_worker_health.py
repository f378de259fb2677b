"""Writing health records, and reading any record."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.worker_health import MAX_AGE, WorkerHealth, why_unavailable

NOW = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)
URL = "https://worker.example"


def record(**fields: Any) -> dict[str, Any]:
    """The record of a worker that was healthy a second ago, with `fields` changed."""
    health = WorkerHealth(True, NOW - timedelta(seconds=1), 12, None, URL)
    return health.to_json() | fields


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in record().items() if name not in names}


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


def test_record_has_both_spellings() -> None:
    health = WorkerHealth(False, NOW, 5000, "no answer within 5 s", URL)
    assert json.loads(json.dumps(health.to_json())) == {
        "isHealthy": False,
        "lastCheck": "2026-01-03T12:00:00+00:00",
        "lastChecked": "2026-01-03T12:00:00+00:00",
        "responseTime": 5000,
        "responseTimeMs": 5000,
        "healthError": "no answer within 5 s",
        "workerUrl": URL,
        "probeError": None,
        "failures": 0,
        "since": None,
        "history": [],
        "probesSinceDeep": 0,
        "deepCheckedAt": None,
        "deepError": None,
        "wokenAt": None,
    }


FULL = WorkerHealth(
    is_healthy=True,
    checked_at=NOW,
    response_ms=12,
    error=None,
    url=URL,
    probe_error="/health answered 500",
    failures=1,
    since=NOW - timedelta(days=1),
    history=(12, None, 0),
    probes_since_deep=3,
    deep_checked_at=NOW - timedelta(minutes=3),
    deep_error="/chat answered 500",
    woken_at=NOW - timedelta(minutes=9),
)


def test_stored_record_says_what_was_written() -> None:
    assert WorkerHealth.parse(json.loads(json.dumps(FULL.to_json()))) == FULL


def test_stored_record_may_be_of_an_older_writer() -> None:
    stored = without("lastChecked", "responseTimeMs", "history", "failures", "since")
    assert WorkerHealth.parse(stored) == WorkerHealth(
        True, NOW - timedelta(seconds=1), 12, None, URL
    )


@pytest.mark.parametrize(
    "stored",
    [None, [], "healthy", {}, without("workerUrl"), record(workerUrl=5), record(lastChecked="x")],
)
def test_stored_record_may_say_too_little(stored: object) -> None:
    assert WorkerHealth.parse(stored) is None


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(record(), id="both-spellings"),
        pytest.param(without("lastCheck", "responseTime"), id="shipped-clients-spelling"),
        pytest.param(without("lastChecked", "responseTimeMs"), id="specifications-spelling"),
        pytest.param(without("workerUrl"), id="address-not-named"),
        pytest.param(record(lastChecked=ago(MAX_AGE.total_seconds())), id="just-fresh"),
        pytest.param(record(lastChecked="2026-01-03T11:59:30Z"), id="javascript-time"),
        pytest.param(
            record(lastChecked=NOW.astimezone(timezone(timedelta(hours=9))).isoformat()),
            id="another-time-zone",
        ),
    ],
)
def test_worker_may_be_asked(stored: dict[str, Any]) -> None:
    assert why_unavailable(URL, stored, NOW) is None
    assert why_unavailable(f"{URL}/", stored, NOW) is None


@pytest.mark.parametrize(
    ("url", "stored", "why"),
    [
        pytest.param(None, record(), "no worker is registered", id="no-worker"),
        pytest.param("", record(), "no worker is registered", id="empty-address"),
        pytest.param(5, record(), "no worker is registered", id="address-is-a-number"),
        pytest.param(URL, None, "not known yet", id="no-record"),
        pytest.param(URL, [], "not known yet", id="record-is-a-list"),
        pytest.param(URL, "healthy", "not known yet", id="record-is-text"),
        pytest.param(URL, record(workerUrl="https://b.example"), "new address", id="moved"),
        pytest.param(URL, record(workerUrl=None), "new address", id="address-null"),
        pytest.param(
            URL, record(lastChecked=ago(120.001)), "health check is too old", id="too-old"
        ),
        pytest.param(URL, {"isHealthy": True}, "health check is too old", id="no-time"),
        pytest.param(URL, record(lastChecked=None), "health check is too old", id="time-null"),
        pytest.param(URL, record(lastChecked=1e9), "health check is too old", id="time-a-number"),
        pytest.param(URL, record(lastChecked="soon"), "health check is too old", id="time-no-time"),
        pytest.param(
            URL, record(lastChecked="2026-01-03T12:00:00"), "health check is too old", id="no-zone"
        ),
        pytest.param(URL, record(isHealthy=False), "unhealthy", id="unhealthy"),
        pytest.param(URL, record(isHealthy="true"), "unhealthy", id="healthy-as-text"),
        pytest.param(URL, record(isHealthy=1), "unhealthy", id="healthy-as-a-number"),
        pytest.param(URL, without("isHealthy"), "unhealthy", id="nothing-said"),
    ],
)
def test_worker_is_not_asked(url: object, stored: object, why: str) -> None:
    assert why in (why_unavailable(url, stored, NOW) or "")


json_values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
)
names = st.sampled_from([*record(), "other"])


@given(url=json_values, stored=json_values | st.dictionaries(names, json_values))
def test_no_record_is_too_odd(url: object, stored: object) -> None:
    assert isinstance(why_unavailable(url, stored, NOW), str)
    if parsed := WorkerHealth.parse(stored):
        assert WorkerHealth.parse(json.loads(json.dumps(parsed.to_json()))) == parsed
