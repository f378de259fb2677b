"""Sampler settings of a conversation reach a model within the bounds that its row sets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from roleplay_chat.generation.request_shape import RequestShape
from roleplay_chat.generation.routing import Candidates, memory_targets, plan
from roleplay_chat.generation.sampling import BOUNDS, within_bounds
from roleplay_chat.generation.targets import Target, invalid_numbers
from roleplay_chat.rows import ModelRow, ProviderRow, WorkerRow

NOW = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)
PROVIDER = ProviderRow(name="openrouter", base_url="https://up.example/v1")
ROW = {"temperature": 0.8, "max_tokens": 400}


def model(**columns: Any) -> ModelRow:
    row = {"input_defaults": ROW} | columns
    return ModelRow(model_key="main:free", display_name="M", provider=PROVIDER, **row)


def candidates(row: ModelRow, *workers: WorkerRow, **sampling: Any) -> Candidates:
    return Candidates([row], workers, [], "sfw", NOW, sampling=sampling)


def target(row: ModelRow, **sampling: Any) -> Target:
    return plan(None, candidates(row, **sampling)).targets[0]


def test_settings_take_the_place_of_the_rows() -> None:
    sent = target(model(), temperature=1.2, top_k=40).parameters
    assert sent == {"temperature": 1.2, "max_tokens": 400, "top_k": 40}


def test_without_settings_the_row_is_sent() -> None:
    assert target(model()).parameters == ROW


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("value", [-1e6, 1e6, 1e300, -1e300])
def test_value_beyond_the_usual_bounds_is_clamped(name: str, value: float) -> None:
    sent = target(model(), **{name: value}).parameters[name]
    assert sent == BOUNDS[name][value > 0]


def test_row_narrows_and_widens_the_bounds() -> None:
    row = model(capabilities={"limits": {"temperature": [0.5, 1], "max_tokens": [100, 4000]}})
    sent = target(row, temperature=2, max_tokens=9000).parameters
    assert (sent["temperature"], sent["max_tokens"]) == (1, 4000)
    assert target(row, temperature=0).parameters["temperature"] == 0.5


def test_row_keeps_a_parameter_to_itself() -> None:
    row = model(capabilities={"limits": {"temperature": False, "top_k": False}})
    assert target(row, temperature=2, top_k=4).parameters == ROW


@pytest.mark.parametrize("limits", [3, [], "x", {"temperature": 3}, {"temperature": [2, 1]}])
def test_invalid_limits_are_reported_and_the_usual_bounds_hold(limits: Any) -> None:
    row = model(capabilities={"limits": limits})
    assert target(row, temperature=9).parameters["temperature"] == 2
    assert invalid_numbers([row]) == ["openrouter:main:free: limits"]


@pytest.mark.parametrize("value", [None, "1", True, [], float("nan"), {}])
def test_value_that_is_no_number_is_not_sent(value: Any) -> None:
    assert within_bounds({"temperature": value, "elsewhere": 1}, None, {}) == {}


def test_person_may_ask_for_as_long_a_reply_as_the_row() -> None:
    row = model(input_defaults={"max_tokens": 3000})
    assert target(row, max_tokens=3000).max_tokens == 3000


def test_whole_numbers_are_sent_as_such() -> None:
    sent = target(model(), top_k=39.6, max_tokens=99.9).parameters
    assert (sent["top_k"], sent["max_tokens"]) == (40, 100)
    assert isinstance(sent["top_k"], int)


def test_workers_take_them_too() -> None:
    worker = WorkerRow(url="https://worker.example", config={"limits": {"temperature": [0, 1]}})
    chosen = plan("chat_worker", candidates(model(), worker, temperature=2))
    found = next(one for one in [*chosen.targets, *chosen.last_resort] if one.worker)
    assert found.parameters["temperature"] == 1


def test_memory_is_written_with_the_rows_own() -> None:
    [writer] = memory_targets(candidates(model(), temperature=2))
    assert writer.parameters == ROW


def learned(first: Target, *names: str) -> dict[str, Any]:
    """What is remembered after the target rejected these parameters."""
    shape = RequestShape.for_target(first)
    return RequestShape(shape.context_tokens, shape.max_tokens, without=frozenset(names)).repairs(
        first
    )


def test_parameter_that_a_target_rejects_is_not_sent_whatever_its_value() -> None:
    repairs = learned(target(model(), min_p=0.1), "min_p")
    again = target(model(repairs=repairs), min_p=0.3)
    assert "min_p" in RequestShape.for_target(again).without


def test_value_that_a_target_rejects_costs_nobody_elses_value() -> None:
    repairs = learned(target(model(), temperature=1.9), "temperature")
    again = target(model(repairs=repairs), temperature=1.9)
    assert again.parameters["temperature"] == ROW["temperature"]
    other = target(model(repairs=repairs), temperature=1.1)
    assert other.parameters["temperature"] == 1.1
    assert "temperature" not in RequestShape.for_target(other).without
