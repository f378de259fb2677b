"""The view of models on cooldown agrees with what turns do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from roleplay_chat.generation.routing import on_cooldown
from roleplay_chat.generation.targets import Target
from roleplay_chat.rows import CooldownRow
from tests.support.stack import Stack

KEYS = ["author/one:free", "author/two", "author/three:free"]
COOLDOWNS = [
    ("model", "openrouter:author/one:free"),
    ("model", "openrouter:author"),
    ("model", "chat_worker"),
    ("model", "chat_worker:chat_worker"),
    ("model", "chat_worker:second"),
    ("model", "chat_worker:third"),
    ("provider", "openrouter"),
    ("provider", "openrouter:free"),
    ("provider", "chat_worker"),
    ("provider", "elsewhere"),
    ("account", "openrouter"),
    ("account", "openrouter:free"),
    ("account", "openrouter:author/two"),
]


@pytest.fixture
def models(stack: Stack) -> dict[str, str]:
    """The ids of the models."""
    stack.db.execute("delete from api_models")
    provider = stack.one("select id from api_providers where name = 'openrouter'")["id"]
    row = {"provider_id": str(provider), "display_name": "M"}
    row |= {"modality": "roleplay", "task": "roleplay"}
    return {str(stack.insert("api_models", **row, model_key=key)): key for key in KEYS}


def put_on_cooldown(stack: Stack, scope: str, key: str, seconds: int) -> CooldownRow:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    stack.db.execute(
        "insert into model_cooldowns (scope, key, until, reason) values (%s, %s, %s, 'r')",
        (scope, key, until),
    )
    return CooldownRow.model_validate({"scope": scope, "key": key, "until": until})


def target(provider: str, key: str) -> Target:
    return Target(provider, key, "M", "openai", "https://openrouter.example")


def shown(stack: Stack) -> dict[str, str]:
    """When the cooldowns end, by the model's id or the worker's name."""
    with stack.data_api(stack.user()) as api:
        rows = api.get("/models_on_cooldown").json()
    return {row["model_id"] or row["worker"]: row["until"] for row in rows}


@pytest.mark.parametrize(("scope", "key"), COOLDOWNS)
def test_what_is_on_cooldown(stack: Stack, models: dict[str, str], scope: str, key: str) -> None:
    stack.register_worker()
    stack.add_worker("second")
    row = put_on_cooldown(stack, scope, key, 600)
    now = datetime.now(UTC)
    targets = {id_: target("openrouter", key) for id_, key in models.items()}
    for name in ("chat_worker", "second"):
        targets[name] = replace(target("chat_worker", "any"), worker=name)
    expected = {id_ for id_, each in targets.items() if on_cooldown(each, [row], now)}
    assert set(shown(stack)) == expected


def test_the_longest_cooldown_counts_and_one_that_passed_does_not(
    stack: Stack, models: dict[str, str]
) -> None:
    put_on_cooldown(stack, "model", "openrouter:author/one:free", -1)
    assert shown(stack) == {}
    put_on_cooldown(stack, "account", "openrouter:free", 600)
    longest = put_on_cooldown(stack, "provider", "openrouter", 900)
    found = shown(stack)
    assert set(found) == set(models)
    assert {datetime.fromisoformat(until) for until in found.values()} == {longest.until}


def test_models_that_nobody_may_choose_are_not_told(stack: Stack, models: dict[str, str]) -> None:
    put_on_cooldown(stack, "provider", "openrouter", 600)
    stack.db.execute("update api_models set is_active = false where model_key = 'author/two'")
    assert {models[str(id_)] for id_ in shown(stack)} == {"author/one:free", "author/three:free"}
    stack.db.execute("update api_providers set is_active = false")
    assert shown(stack) == {}
