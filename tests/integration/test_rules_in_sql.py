"""Rules that exist in SQL and in Python: both copies agree."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import regex
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from edge.worker_health import DEFAULT_MODEL, why_unavailable
from roleplay_chat.api import DEFAULT_MEMORY_TIER, ChatRequest
from roleplay_chat.generation.error_policies import MAX_COOLDOWN
from roleplay_chat.generation.request_shape import RequestShape
from roleplay_chat.generation.routing import Candidates, plan
from roleplay_chat.generation.targets import DEFAULT_CONTEXT_TOKENS, DEFAULT_WORKER_TOKENS, Target
from roleplay_chat.generation.workers import ANY, affinity
from roleplay_chat.messages import ROLES
from roleplay_chat.prompt.builder import PromptSpec, build
from roleplay_chat.rows import BegunTurn, CharacterRow, CooldownRow, WorkerRow
from roleplay_chat.scripts import ATTACHING
from roleplay_chat.tokens import MAX_RATIO, MIN_RATIO
from roleplay_chat.turn_screen import FIRMER
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
    assert begun["said"]["worker_states"][0]["token_ratios"] == {"latin": 1.25}


SIZES = (
    st.none() | st.sampled_from([1, 255, 256, 300.9, 2_000, 10**8, "many"]) | st.integers(1, 9_999)
)
RATIOS = st.fixed_dictionaries(
    {}, optional={"latin": st.floats(0.5, 2), "other": st.floats(0.5, 2)}
)
ROWS = st.fixed_dictionaries(
    {
        "sizes": st.fixed_dictionaries(
            {}, optional={"context_tokens": SIZES, "prompt_tokens": SIZES}
        ),
        "ratios": RATIOS,
        "max_tokens": st.none() | st.integers(1, 9_000),
        "roles": st.sampled_from(ROLES),
        "is_worker": st.booleans(),
    }
)
LONG = "The tide is high in the harbour, and nobody is on the pier. " * 400
CROWDED = CharacterRow(
    id=UUID(int=1),
    name="Mara",
    **dict.fromkeys(("description", "scenario", "example_messages", "depth_prompt"), LONG),
    post_history_instructions=LONG,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROWS, min_size=1, max_size=3),
    text=st.sampled_from(["7", "\n", "a", "я", "灯", "한", "🌊"]),
    share=st.floats(0, 1),
    said=st.sampled_from(["Hello", LONG]),
)
def test_short_conversation_is_whole_in_every_prompt(
    stack: Stack, rows: list[dict[str, Any]], text: str, share: float, said: str
) -> None:
    """Those that `begin_turn` does not search because all of them are in the prompt."""
    provider = {"name": "p", "base_url": "https://p.example/v1"}
    models = [
        {
            "model_key": f"m-{number}",
            "display_name": "M",
            "provider": provider,
            "capabilities": {**row["sizes"], "roles": row["roles"]},
            "input_defaults": {"max_tokens": row["max_tokens"]},
            "token_ratios": row["ratios"],
            "pricing": {"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0},
        }
        for number, row in enumerate(rows)
        if not row["is_worker"]
    ]
    workers = [
        {
            "name": f"w-{number}",
            "url": "https://w.example",
            "config": {
                **row["sizes"],
                "roles": row["roles"],
                "input_defaults": {"max_tokens": row["max_tokens"]},
            },
            "token_ratios": row["ratios"],
        }
        for number, row in enumerate(rows)
        if row["is_worker"]
    ]
    short = stack.one(
        "select short from private.history_bytes(%s, %s)", json.dumps(models), json.dumps(workers)
    )["short"]
    messages = max(int(share * short) // (5 + len(text.encode())), 1)
    letters = (short - 5 * messages) // len(text.encode())
    assume(letters >= messages)
    lengths = [letters - messages + 1, *[1] * (messages - 1)]
    begun = BegunTurn.model_validate(
        {
            "now": datetime.now(UTC),
            "turn": {"id": UUID(int=9), "message": said},
            "user": {},
            "settings": {"note": LONG},
            "models": models,
            "workers": workers,
            "history": [
                {"sender": "character", "content": text * length, "position": place}
                for place, length in enumerate(lengths)
            ],
        }
    ).model_copy(update={"character": CROWDED})
    planned = plan(None, Candidates.from_turn(begun, "sfw"))
    targets = [*planned.targets, *planned.last_resort]
    assert len(targets) == len(rows)
    for target in targets:
        shape = RequestShape.for_target(target)
        spec = PromptSpec(
            *(begun, ChatRequest(), "sfw"),
            family=None,
            context_tokens=shape.context_tokens,
            max_tokens=shape.max_tokens,
            prompt_tokens=shape.prompt_tokens,
            tokens=target.tokens,
            roles=shape.roles,
            rule=FIRMER,
        )
        ingredients = build(spec).ingredients
        assert ingredients
        assert ingredients.kept == begun.history


@pytest.mark.parametrize(
    ("sizes", "ratios", "most", "short"),
    [
        ({}, {}, 4 * 8_192, 494),
        ({"context_tokens": 131_072}, {}, 4 * 32_768, 4078),
        ({"context_tokens": 131_072}, {"latin": 0.5}, 6 * 32_768, 4078),
        ({"context_tokens": 131_072}, {"other": 2}, 4 * 32_768, 2039),
        ({"context_tokens": 10**8, "prompt_tokens": 1}, {}, 4 * 8_192, 494),
        ({"context_tokens": 10**7, "prompt_tokens": 10**7}, {}, 2**20, 624_982),
    ],
)
def test_bytes_of_a_history(
    stack: Stack, sizes: dict[str, int], ratios: dict[str, float], most: int, short: int
) -> None:
    models = json.dumps([{"capabilities": sizes, "token_ratios": ratios}])
    found = stack.one("select * from private.history_bytes(%s, '[]')", models)
    assert found == {"most": most, "short": short}


@pytest.mark.parametrize(
    ("sizes", "is_worker", "tokens"),
    [
        pytest.param("capabilities", False, DEFAULT_CONTEXT_TOKENS, id="model"),
        pytest.param("config", True, DEFAULT_WORKER_TOKENS, id="worker"),
    ],
)
def test_context_where_none_is_named(
    stack: Stack, sizes: str, is_worker: bool, tokens: int
) -> None:
    def room(named: dict[str, int]) -> dict[str, Any]:
        rows = json.dumps([{sizes: named}])
        models, workers = ("[]", rows) if is_worker else (rows, "[]")
        return stack.one("select * from private.history_bytes(%s, %s)", models, workers)

    assert room({}) == room({"context_tokens": tokens})
    assert room({})["most"] < room({"context_tokens": tokens + 1})["most"]


WORKERS = st.lists(
    st.fixed_dictionaries(
        {
            "priority": st.sampled_from([10, 100]),
            "slots": st.none() | st.integers(1, 3),
            "reported_running": st.none() | st.integers(0, 3),
            "healthy": st.sampled_from([True, True, False, None]),
            "is_draining": st.sampled_from([False, False, True]),
            "cools": st.sampled_from([False, False, True]),
            "options": st.sampled_from([{}, {}, {"memory": False}]),
        }
    ),
    max_size=5,
) | st.lists(
    st.fixed_dictionaries(
        {
            "priority": st.sampled_from([10, 100, 200]),
            "slots": st.none() | st.just(9),
            "reported_running": st.integers(0, 9),
            "healthy": st.sampled_from([True, True, True, False]),
            "is_draining": st.just(False),
            "cools": st.just(False),
            "options": st.sampled_from([{}, {"memory": False}]),
        }
    ),
    min_size=8,
    max_size=25,
)


ALIKE = {"priority": 10, "slots": 20, "healthy": True, "is_draining": False, "cools": False}
ORDERED = sorted(range(12), key=lambda n: affinity(f"gpu-{n}", str(UUID(int=1))), reverse=True)
"""Workers as that conversation prefers them."""
LOADED = [
    {**ALIKE, "options": {}, "reported_running": 20 - ORDERED.index(number)} for number in range(12)
]
"""The preferred one is full, and of the others the last one is the least busy."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(LOADED, UUID(int=1), ANY)
@given(WORKERS, st.uuids(), st.sampled_from([ANY, "gpu-0", "gpu-1", "gpu-9"]))
def test_first_worker_of_a_turn(
    stack: Stack, rows: list[dict[str, Any]], conversation: UUID, asked: str
) -> None:
    """The worker for which a turn is counted is the one that is asked first, also where not all are
    sent."""
    stack.db.execute("delete from private.workers")
    stack.db.execute("delete from model_cooldowns")
    stack.configure(workerHealthCache={})
    now = datetime.now(UTC)
    for number, row in enumerate(rows):
        columns = dict(row)
        reported_at = None if columns["reported_running"] is None else now
        if columns.pop("cools"):
            stack.db.execute(
                "insert into model_cooldowns (scope, key, until, reason)"
                " values ('model', %s, now() + interval '1 minute', 'r')",
                (f"chat_worker:gpu-{number}",),
            )
        stack.add_worker(
            f"gpu-{number}", f"https://gpu-{number}.example", **columns, reported_at=reported_at
        )
    found = stack.one(
        "select private.preferred_worker(%s, %s, null, now()) as name,"
        " private.workers_for(null, %s, %s, now()) as workers,"
        " (select coalesce(jsonb_agg(c), '[]') from model_cooldowns c) as cooldowns",
        *(asked, str(conversation)) * 2,
    )
    assert len(found["workers"]) <= 8
    candidates = Candidates(
        models=[],
        workers=[WorkerRow.model_validate(row) for row in found["workers"]],
        cooldowns=[CooldownRow.model_validate(row) for row in found["cooldowns"]],
        tier="sfw",
        now=now,
        key=str(conversation),
    )
    planned = plan("chat_worker" if asked == ANY else f"chat_worker:{asked}", candidates)
    free = [target for target in planned.targets if not is_full(target, found["workers"])]
    assert found["name"] == (free[0].worker if free else None)


NOW = datetime(2026, 5, 3, 10, tzinfo=UTC)
AN_HOUR_AGO = (NOW - timedelta(hours=1)).isoformat()
URL, ELSEWHERE = "https://gpu.example", "https://b.example"


@pytest.mark.parametrize(
    "record",
    [
        *(None, "up", [], {}, {"isHealthy": True}),
        {"isHealthy": True, "lastChecked": NOW.isoformat()},
        {"isHealthy": True, "lastCheck": NOW.isoformat(), "workerUrl": URL},
        {"isHealthy": True, "lastChecked": NOW.isoformat(), "workerUrl": f"{URL}/"},
        {"isHealthy": True, "lastChecked": NOW.isoformat(), "workerUrl": ELSEWHERE},
        {"isHealthy": True, "lastChecked": AN_HOUR_AGO, "lastCheck": NOW.isoformat()},
        {"isHealthy": False, "lastChecked": NOW.isoformat(), "workerUrl": URL},
        {"isHealthy": "true", "lastChecked": NOW.isoformat(), "workerUrl": URL},
        {"lastChecked": NOW.isoformat(), "history": [1, 2, 3]},
    ],
)
def test_a_turn_gets_of_a_health_record_what_it_reads(stack: Stack, record: Any) -> None:
    stack.add_worker("gpu", URL, healthy=None)
    stack.configure(workerHealthCache={"gpu": record})
    (row,) = stack.one("select private.workers_for(null, null, '', now()) as found")["found"]
    assert why_unavailable(URL, row["health"], NOW) == why_unavailable(URL, record, NOW)
    assert not row["health"] or set(row["health"]) <= {"isHealthy", "lastChecked", "workerUrl"}


@pytest.mark.installations
def test_of_many_workers_a_turn_gets_those_that_it_may_use(stack: Stack) -> None:
    """The best ones, among them some for summaries, and the one that it asks for."""
    for number in range(20):
        stack.add_worker(f"gpu-{number}", priority=10, options={"memory": False})
    for number in range(20, 30):
        stack.add_worker(f"gpu-{number}", priority=10, healthy=False)
    stack.add_worker("notes", priority=900)
    stack.add_worker("asked", priority=900, healthy=False)
    found = stack.one("select private.workers_for(null, 'asked', 'x', now()) as found")["found"]
    names = {row["name"] for row in found}
    assert {"notes", "asked"} < names
    assert len(names) == 8
    best = sorted(range(20), key=lambda number: affinity(f"gpu-{number}", "x"), reverse=True)
    assert {f"gpu-{number}" for number in best[:4]} < names


def is_full(target: Target, rows: list[dict[str, Any]]) -> bool:
    (row,) = [row for row in rows if row["name"] == target.worker]
    return bool(row["slots"]) and row["running"] >= row["slots"]


def test_scripts_that_put_no_space_between_words(stack: Stack) -> None:
    """A name of such letters is found inside a run of them, as a key of a lorebook is."""
    attaching = regex.compile(f"[{ATTACHING}]")
    letters = [
        letter
        for letter in map(chr, range(0x0E00, 0xD800))
        if unicodedata.category(letter) in ("Lo", "Ll") and attaching.match(letter)
    ]
    assert len(letters) > 30_000
    found = stack.all(
        "select c from unnest(%s::text[]) c"
        " where private.named_at(c || c || c, c, false) is distinct from 1",
        letters,
    )
    assert "".join(row["c"] for row in found) == ""
