"""What admins are told of a model's test, of a provider's list, and of a template."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from edge.json_text import dumps
from roleplay_chat.admin import provider_models
from roleplay_chat.admin.model_test import describe
from roleplay_chat.admin.prompt_preview import preview
from roleplay_chat.admin.provider_models import MAX_MODELS, MAX_VALUES, parse_ids
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.error_classifier import Failure, UpstreamError
from roleplay_chat.generation.error_policies import ERROR_POLICIES
from roleplay_chat.generation.providers import End
from roleplay_chat.generation.targets import Target

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TARGET = Target("p", "m", "M", "openai", "https://p.example/v1/chat/completions", {"max_tokens": 1})


def attempt(policy: str | None, **more: Any) -> Attempt:
    failure = Failure(ERROR_POLICIES[policy], status=500) if policy else None
    return Attempt(TARGET, 30, failure=failure, **more)


@pytest.mark.parametrize(
    ("attempts", "is_ok", "code"),
    [
        ([attempt(None, end=End("stop"), first_token_ms=20)], True, "ok"),
        ([attempt("all_reasoning")], True, "ok"),
        # A space is a token, and no reply.
        ([attempt("empty", end=End("length"))], True, "ok"),
        ([attempt("rate_limited"), attempt(None, end=End("stop"))], True, "ok"),
        ([attempt("bad_key")], False, "bad_key"),
        ([attempt("empty")], False, "empty"),
        ([], False, "timed_out"),
    ],
)
def test_one_token_is_enough(attempts: list[Attempt], is_ok: bool, code: str) -> None:
    told = describe(attempts, 40)
    assert (told["is_ok"], told["code"], told["calls"]) == (is_ok, code, len(attempts))
    assert bool(told["explanation"]) is not is_ok


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"data": []}, []),
        ({"data": [{"id": "b"}, {"id": "a"}, {"id": "b"}]}, ["a", "b"]),
        ({"data": [{"id": "x" * 201}, {"id": ""}, {"id": "a\nb"}, {"id": None}, {}, 1]}, []),
        ({"data": [{"id": f"m{n:05}"} for n in range(MAX_MODELS + 5)]}, MAX_MODELS),
    ],
)
def test_ids_are_bounded_text(body: Any, ids: list[str] | int) -> None:
    found = parse_ids(dumps(body))
    assert (found if isinstance(ids, list) else len(found)) == ids


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b"{}", b'{"data": {}}', b"[" * 600_000, b"\xff", b"5"]
)
def test_what_is_no_list_is_an_error(content: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse_ids(content)
    assert raised.value.failure.policy.name == "unreadable"


def test_list_of_too_many_values_is_an_error() -> None:
    with pytest.raises(UpstreamError) as raised:
        parse_ids(b'{"data":[' + b"{}," * (MAX_VALUES // 2) + b"{}]}")
    assert raised.value.failure.why == "too many values"


def test_first_ids_are_found_without_sorting_all(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def noted(keys: Iterable[str], **more: Any) -> list[str]:
        found = sorted(keys, **more)
        lengths.append(len(found))
        return found

    for module in (provider_models, heapq):
        monkeypatch.setattr(module, "sorted", noted, raising=False)
    ids = [f"m{n:05}" for n in range(3 * MAX_MODELS)]
    assert parse_ids(dumps({"data": [{"id": key} for key in reversed(ids)]})) == ids[:MAX_MODELS]
    assert max(lengths, default=0) <= MAX_MODELS


def test_template_is_cut_as_in_a_turn() -> None:
    made = preview("The sea is grey. " * 1_100, "sfw", NOW)
    (template,) = [part for part in made["parts"] if part["part"] == "template"]
    assert template["of"] > template["tokens"] > 0


@pytest.mark.parametrize("tier", ["sfw", "nsfw"])
def test_parts_add_up(tier: Any) -> None:
    made = preview("You are {{char}}. {{description}}", tier, NOW)
    assert sum(part["tokens"] for part in made["parts"]) == made["tokens"]
    assert "{{" not in str(made["messages"])
