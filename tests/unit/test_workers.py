"""How successive probes change a worker's record."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.worker_health import MAX_AGE, WorkerHealth, why_unavailable
from health_check.probe import ProbeResult, Worker
from health_check.workers import HISTORY, is_deep_due, next_record

NOW = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WORKER = Worker("chatWorker", "https://worker.example")
PROBES = {
    "+": ProbeResult(None, 10),
    "-": ProbeResult("/health answered 500", 20),
    "~": ProbeResult("it is busy: /health answered 429", 30, busy=True),
    "D": ProbeResult(None, 10, deep=True),
    "d": ProbeResult("/chat answered 500", 10, deep=True),
    "b": ProbeResult("it is busy: /chat answered 429", 10, busy=True, deep=True),
}


def probed(findings: str, apart: timedelta = MINUTE) -> list[WorkerHealth]:
    """The records after each of these probes. The last probe is now."""
    stored: Any = None
    records = []
    for left, finding in zip(range(len(findings) - 1, -1, -1), findings, strict=True):
        record = next_record(stored, WORKER, PROBES[finding], NOW - left * apart)
        stored = json.loads(json.dumps(record.to_json()))
        records.append(record)
    return records


@pytest.mark.parametrize(
    ("findings", "healthy"),
    [
        pytest.param("+", "+", id="begins-well"),
        pytest.param("-", "-", id="begins-down"),
        pytest.param("~", "-", id="busy-and-never-known-to-be-well"),
        pytest.param("+-+-+-", "++++++", id="one-failure-alone-is-none"),
        pytest.param("+--", "++-", id="two-in-a-row"),
        pytest.param("+---+", "++--+", id="one-good-one-is-enough"),
        pytest.param("+--+-", "++-++", id="counts-anew"),
        pytest.param("-+-", "-++", id="up-at-once"),
        pytest.param("+~~~~", "+++++", id="busy-is-not-down"),
        pytest.param("--~~", "----", id="busy-is-not-up-either"),
        pytest.param("+-~-", "+++-", id="busy-in-between-does-not-count"),
        pytest.param("+d", "++", id="cannot-write-once"),
        pytest.param("+dd", "++-", id="cannot-write-twice"),
        pytest.param("+db", "+++", id="busy-when-it-is-to-write"),
        pytest.param("+ddD", "++-+", id="can-write-again"),
    ],
)
def test_worker_is_down_after_two_failures_and_up_after_one_success(
    findings: str, healthy: str
) -> None:
    records = probed(findings)
    assert "".join("+" if record.is_healthy else "-" for record in records) == healthy
    for record in records:
        assert (record.error is None) == record.is_healthy
    last = PROBES[findings[-1]]
    assert (records[-1].probe_error, records[-1].response_ms) == (last.error, last.response_ms)


def test_what_was_known_too_long_ago_does_not_count() -> None:
    records = probed("+-", apart=MAX_AGE + MINUTE)
    assert [record.is_healthy for record in records] == [True, False]


def test_what_is_known_of_another_address_does_not_count() -> None:
    (before,) = probed("+")
    moved = Worker("chatWorker", "https://moved.example")
    record = next_record(before.to_json(), moved, PROBES["-"], NOW)
    assert (record.is_healthy, record.history, record.url) == (False, (None,), moved.url)


def test_time_of_the_last_change_is_kept() -> None:
    times = [record.since for record in probed("++--+")]
    minutes = [NOW - left * MINUTE for left in (4, 4, 4, 1, 0)]
    assert times == minutes


def test_history_is_short() -> None:
    assert probed("+-~")[-1].history == (10, None, 30)
    history = probed("-" + "+" * HISTORY)[-1].history
    assert (len(history), None in history) == (HISTORY, False)


def test_roleplay_chat_reads_the_record_as_before() -> None:
    for findings, reason in (("+-", None), ("+--", "it is unhealthy")):
        stored = probed(findings)[-1].to_json()
        assert why_unavailable(WORKER.url, stored, NOW) == reason


class TestDeep:
    @pytest.mark.parametrize(
        ("findings", "every", "due"),
        [
            pytest.param("", 1, False, id="not-the-first"),
            pytest.param("+", 0, False, id="never"),
            pytest.param("+", 3, False, id="not-yet"),
            pytest.param("++", 3, True, id="third"),
            pytest.param("+--", 3, True, id="overdue"),
            pytest.param("++D", 3, False, id="just-done"),
            pytest.param("++D++", 3, True, id="third-after"),
            pytest.param("++d", 3, True, id="again-because-it-failed"),
            pytest.param("++db", 3, True, id="again-because-it-was-busy"),
            pytest.param("++d-+", 3, True, id="again-once-it-is-there"),
            pytest.param("++dD", 3, False, id="mended"),
        ],
    )
    def test_deep_probe_is_due_every_nth_time(self, findings: str, every: int, due: bool) -> None:
        stored = probed(findings)[-1].to_json() if findings else None
        assert is_deep_due(stored, WORKER, every) is due

    def test_is_not_for_a_server_whose_model_is_unknown(self) -> None:
        stored = probed("++d")[-1].to_json()
        assert not is_deep_due(stored, Worker("chatWorker", WORKER.url, "openai"), 1)

    def test_deep_probe_is_recorded(self) -> None:
        record = probed("+d-")[-1]
        assert record.deep_checked_at == NOW - MINUTE
        assert record.deep_error == "/chat answered 500"


json_values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())
names = st.sampled_from([*next_record(None, WORKER, PROBES["+"], NOW).to_json()])


@given(st.dictionaries(names, json_values), st.sampled_from([*PROBES.values()]))
def test_no_stored_record_is_too_odd(stored: dict[str, Any], result: ProbeResult) -> None:
    known = {"workerUrl": WORKER.url, "lastChecked": NOW.isoformat()} | stored
    for record in (stored, known):
        following = next_record(record, WORKER, result, NOW)
        assert WorkerHealth.parse(following.to_json()) == following
        assert len(following.history) <= HISTORY
        is_deep_due(record, WORKER, 3)


@given(st.text("+-~Ddb", min_size=1, max_size=40))
def test_worker_is_healthy_when_its_last_words_were_good(findings: str) -> None:
    record = probed(findings)[-1]
    spoken = findings.replace("~", "").replace("b", "")
    if spoken.endswith(("+", "D")):
        assert record.is_healthy
    if spoken.endswith(("--", "dd", "-d", "d-")) or not spoken:
        assert not record.is_healthy
