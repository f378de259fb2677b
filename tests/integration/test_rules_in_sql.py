"""Rules that exist in SQL and in Python: both copies agree."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import regex

from edge.worker_health import DEFAULT_MODEL
from roleplay_chat.api import DEFAULT_MEMORY_TIER
from roleplay_chat.generation.error_policies import MAX_COOLDOWN
from roleplay_chat.lorebook.keys import UNSPACED
from roleplay_chat.tokens import MAX_RATIO, MIN_RATIO
from tests.support.stack import Stack


def test_ceiling_of_a_cooldown_is_the_same_in_python(stack: Stack) -> None:
    far = datetime.now(UTC) + 3 * MAX_COOLDOWN
    row = {"scope": "model", "key": "a:b", "until": far.isoformat(), "reason": "rate_limited"}
    stack.db.execute("select private.cool_down(%s)", [json.dumps([row])])
    found = stack.one("select until - updated_at as lasts from model_cooldowns")
    assert abs(found["lasts"] - MAX_COOLDOWN) < timedelta(minutes=1)


@pytest.mark.parametrize(("reported", "bound"), [(10**6, MAX_RATIO), (1, MIN_RATIO)])
def test_bounds_of_token_ratios_are_the_same_in_python(
    stack: Stack, reported: int, bound: float
) -> None:
    call = {
        "provider": "openrouter",
        "model_key": "a/b",
        "outcome": "ok",
        "is_estimated": False,
        "prompt_tokens": reported,
        "estimate": {"latin": 1000, "other": 0},
    }
    for _ in range(60):
        stack.db.execute("select private.calibrate(%s)", [json.dumps([call])])
    (row,) = stack.all("select ratio from token_calibrations where script = 'latin'")
    assert row["ratio"] == pytest.approx(bound, rel=0.05)
    assert MIN_RATIO <= row["ratio"] <= MAX_RATIO


@pytest.mark.parametrize("function", ["begin_turn", "finish_turn"])
def test_memory_tier_where_none_is_named(stack: Stack, function: str) -> None:
    arguments = stack.one(
        "select pg_get_function_arguments(oid) as said from pg_proc where proname = %s", function
    )
    assert f"p_memory_tier text DEFAULT '{DEFAULT_MEMORY_TIER}'::text" in arguments["said"]


def test_model_of_a_worker_that_names_none(stack: Stack) -> None:
    stack.register_worker(protocol="openai")
    stack.db.execute("update private.system_settings set config = config #- '{chatWorker,model}'")
    stack.db.execute(
        "insert into token_calibrations (provider, model_key, script, ratio, samples)"
        " values ('chat_worker', %s, 'latin', 1.25, 1)",
        [DEFAULT_MODEL],
    )
    user = stack.user()
    begun = stack.one(
        "select begin_turn(p_turn_id => %s, p_user_id => %s, p_task => 'roleplay',"
        " p_action => 'send', p_conversation_id => %s, p_message => 'Hello.') as said",
        uuid4(),
        user.id,
        stack.conversation(user),
    )
    assert begun["said"]["worker"]["token_ratios"] == {"latin": 1.25}


def test_scripts_that_put_no_space_between_words(stack: Stack) -> None:
    """A name of such letters is found inside a run of them, as a key of a lorebook is."""
    unspaced = regex.compile(f"[{UNSPACED}]")
    letters = [
        letter
        for letter in map(chr, range(0x0E00, 0xD800))
        if unicodedata.category(letter) in ("Lo", "Ll") and unspaced.match(letter)
    ]
    assert len(letters) > 30_000
    found = stack.all(
        "select c from unnest(%s::text[]) c"
        " where private.named_at(c || c || c, c) is distinct from 1",
        letters,
    )
    assert "".join(row["c"] for row in found) == ""
