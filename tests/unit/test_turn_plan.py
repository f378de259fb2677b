"""The tier of a turn, and the target that is asked first."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from edge.worker_health import WorkerHealth
from roleplay_chat.generation.request_shape import RequestShape
from roleplay_chat.prompt.builder import build
from roleplay_chat.turn_plan import plan_turn
from tests.support.prompts import spec
from tests.support.turns import ADULT, CHARACTER, NOW, TURN, USER, accepted, model

ADULTS_TOO = {"nsfw": True}
OPEN = [model("main:free", capabilities=ADULTS_TOO), model("second:free")]
FOR_EVERYBODY = [model("main:free"), model("second:free")]
WORKER = {"url": "https://worker.example"}
HOURS = timedelta(hours=2)
ASKS = {"content_tier": "nsfw"}


def cooldown(key: str) -> dict[str, Any]:
    until = NOW + timedelta(minutes=5)
    return {"scope": "model", "key": f"openrouter:{key}", "until": until}


def test_turn_is_named_by_its_ids() -> None:
    ids = {"request_id": "a-request", "turn_id": str(TURN), "user_id": str(USER)}
    assert accepted().ids == ids


def test_speaker_is_the_character_if_there_is_one() -> None:
    assert accepted().character_id == str(CHARACTER)
    assert accepted(character=None).character_id is None


def test_time_counts_from_the_turns_beginning() -> None:
    earlier = replace(accepted(), started=time.monotonic() - 5)
    assert earlier.elapsed_ms() >= 5_000


# --- the tier -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asks", "rows", "tier", "allowed"),
    [
        pytest.param({}, {}, "sfw", "sfw", id="not-asked-for"),
        pytest.param({"content_tier": "sfw"}, {}, "sfw", "sfw", id="asked-for-everybody"),
        pytest.param(ASKS, {}, "nsfw", "nsfw", id="all-agree"),
        pytest.param(ASKS, {"user": {}}, "sfw", "sfw", id="person-not-verified"),
        pytest.param(
            ASKS, {"character": ADULT | {"age": 17}}, "sfw", "sfw", id="character-not-adult"
        ),
        pytest.param(
            ASKS, {"persona": ADULT | {"age": None}}, "sfw", "sfw", id="age-of-the-persona-unknown"
        ),
        pytest.param(
            ASKS,
            {"others": [ADULT | {"content_rating": "sfw"}]},
            "sfw",
            "sfw",
            id="another-is-for-everybody",
        ),
        pytest.param(
            ASKS, {"cast": [{"age": 17}]}, "sfw", "sfw", id="somebody-who-has-spoken-is-not-adult"
        ),
        pytest.param(ASKS, {"models": FOR_EVERYBODY}, "sfw", "nsfw", id="no-model-is-open-to-it"),
        pytest.param(
            ASKS,
            {"models": [], "workers": [WORKER]},
            "nsfw",
            "nsfw",
            id="only-the-worker-is-open-to-it",
        ),
        pytest.param(
            ASKS,
            {"cooldowns": [cooldown("main:free")]},
            "nsfw",
            "nsfw",
            id="only-open-model-is-on-cooldown",
        ),
        pytest.param(ASKS, {"models": []}, "sfw", "nsfw", id="no-model-at-all"),
    ],
)
def test_tier_is_what_is_allowed_and_what_a_model_is_open_to(
    asks: dict[str, Any], rows: dict[str, Any], tier: str, allowed: str
) -> None:
    planned = plan_turn(accepted(asks, **{"models": OPEN} | rows))
    assert (planned.tier, planned.allowed) == (tier, allowed)


def test_adult_turn_is_sent_only_to_models_that_are_open_to_it() -> None:
    planned = plan_turn(accepted(ASKS, models=OPEN))
    assert [target.name for target in planned.plan.targets] == ["openrouter:main:free"]


@pytest.mark.parametrize(
    ("models", "remembered"),
    [
        pytest.param(OPEN, ["Ada lives in Oslo.", "Asked for sexual stories."], id="adult-turn"),
        pytest.param(FOR_EVERYBODY, ["Ada lives in Oslo."], id="adult-turn-without-a-model-for-it"),
    ],
)
def test_turn_is_planned_with_what_its_tier_may_know(
    models: list[Any], remembered: list[str]
) -> None:
    facts = [
        {"content": "Ada lives in Oslo.", "content_tier": "nsfw"},
        {"content": "Asked for sexual stories.", "content_tier": "nsfw"},
    ]
    planned = plan_turn(accepted(ASKS, models=models, facts=facts))
    assert [fact.content for fact in planned.begun.facts] == remembered


# --- the targets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asks", "rows", "first"),
    [
        pytest.param({}, {}, "openrouter:main:free", id="default"),
        pytest.param({"model_provider": "second:free"}, {}, "openrouter:second:free", id="chosen"),
        pytest.param(
            {}, {"cooldowns": [cooldown("main:free")]}, "openrouter:second:free", id="on-cooldown"
        ),
        pytest.param(
            {},
            {"cooldowns": [cooldown("main:free"), cooldown("second:free")]},
            "openrouter:main:free",
            id="all-on-cooldown",
        ),
        pytest.param({}, {"models": []}, None, id="nobody-to-ask"),
        pytest.param({}, {"models": [model("paid")], "free_only": True}, None, id="money-is-spent"),
        pytest.param(
            {},
            {"models": [model("paid"), model("second:free")], "free_only": True},
            "openrouter:second:free",
            id="money-is-spent-and-a-free-model-is-there",
        ),
    ],
)
def test_who_is_asked_first(asks: dict[str, Any], rows: dict[str, Any], first: str | None) -> None:
    planned = plan_turn(accepted(asks, **rows))
    assert (planned.first.name if planned.first else None) == first


def test_client_is_told_when_another_model_answers_than_the_one_asked_for() -> None:
    planned = plan_turn(accepted({"model_provider": "main:free"}))
    main, second = planned.plan.targets

    as_asked = planned.chosen(main)
    assert as_asked.model_used == "openrouter:main:free"
    assert (as_asked.used_fallback, as_asked.fallback_model, as_asked.notice) == (False, None, None)

    instead = planned.chosen(second)
    assert instead.model_used == "openrouter:second:free"
    assert (instead.used_fallback, instead.fallback_model) == (True, "second:free")
    assert instead.notice is not None
    assert instead.notice.endswith("SECOND:FREE answered instead.")


@pytest.mark.parametrize(("action", "impersonates"), [("send", False), ("impersonate", True)])
def test_whose_words_are_written(action: str, impersonates: bool) -> None:
    cast = plan_turn(accepted({"action": action})).cast
    assert (cast.character, list(cast.person)) == ("Mara Voss", ["Ada"])
    assert cast.impersonates is impersonates


# --- days -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_zone", "hour", "day"), [(None, 20, 31), ("Asia/Tokyo", 20, 1), ("-11:00", 6, 30)]
)
def test_days_are_those_of_the_persons_time_zone(
    time_zone: str | None, hour: int, day: int
) -> None:
    moment = datetime(2026, 5, 31, hour, tzinfo=UTC)
    said = {"sender": "user", "content": "Hello.", "position": 1}
    begun = plan_turn(
        accepted(
            {"time_zone": time_zone},
            recalled=[said | {"said_at": moment}, said | {"said_at": None}],
            facts=[{"content": "Ada lives in Oslo.", "since": moment}, {"content": "Ada sings."}],
        )
    ).begun
    assert [row.said_at.day if row.said_at else None for row in begun.recalled] == [day, None]
    assert [fact.since.day if fact.since else None for fact in begun.facts] == [day, None]


LARGE = model("large:free", capabilities={"context_tokens": 32_768})
SMALL = model("small:free", capabilities={"context_tokens": 4_096})


def away(key: str, **time: float) -> dict[str, Any]:
    return cooldown(key) | {"until": NOW + timedelta(**time)}


@pytest.mark.parametrize(
    ("asks", "rows", "first", "measure"),
    [
        pytest.param({}, {}, "large:free", "large:free", id="nobody-is-away"),
        pytest.param(
            {},
            {"cooldowns": [away("large:free", minutes=50)]},
            "small:free",
            "large:free",
            id="small-one-stands-in-for-minutes",
        ),
        pytest.param(
            {},
            {"cooldowns": [away("large:free", hours=6)]},
            "small:free",
            "small:free",
            id="small-one-answers-for-hours",
        ),
        pytest.param(
            {"model_provider": "small:free"},
            {},
            "small:free",
            "small:free",
            id="small-one-is-chosen",
        ),
        pytest.param(
            {"model_provider": "small:free"},
            {"cooldowns": [away("small:free", minutes=5)]},
            "large:free",
            "large:free",
            id="large-one-stands-in",
        ),
        pytest.param({}, {"models": []}, None, None, id="nobody-to-ask"),
    ],
)
def test_notes_are_due_by_the_longer_prompts_of_the_first_and_the_usual_model(
    asks: dict[str, Any], rows: dict[str, Any], first: str | None, measure: str | None
) -> None:
    planned = plan_turn(accepted(asks, **{"models": [LARGE, SMALL]} | rows))
    found = [target and target.model_key for target in (planned.first, planned.measure)]
    assert found == [first, measure]


def worker(*, healthy: bool = True, minutes: float = 0, **columns: Any) -> dict[str, Any]:
    """A large worker whose health changed some minutes ago."""
    since = NOW - timedelta(minutes=minutes)
    health = WorkerHealth(healthy, NOW, 5, None, WORKER["url"], since=since).to_json()
    return WORKER | {"health": health, "config": {"context_tokens": 32_768}} | columns


@pytest.mark.parametrize(
    ("row", "is_usual"),
    [
        pytest.param(worker(), True, id="healthy"),
        pytest.param(worker(healthy=False, minutes=30), True, id="down-for-minutes"),
        pytest.param(worker(slots=1, running=1), True, id="full"),
        pytest.param(worker(healthy=False, minutes=90), False, id="down-for-hours"),
        pytest.param(worker(health=None), False, id="never-checked"),
        pytest.param(
            worker(health={**worker()["health"], "lastChecked": (NOW - HOURS).isoformat()}),
            False,
            id="not-checked-for-hours",
        ),
    ],
)
@pytest.mark.parametrize("asked", ["chat_worker", "chat_worker:big"])
def test_worker_that_is_down_for_a_while_is_still_the_usual_one(
    row: dict[str, Any], is_usual: bool, asked: str
) -> None:
    name = "big" if ":" in asked else "chat_worker"
    asks = {"model_provider": asked}
    planned = plan_turn(accepted(asks, models=[SMALL], workers=[row | {"name": name}]))
    assert planned.measure is not None
    assert planned.measure.name == (asked if is_usual else "openrouter:small:free")


# --- the room for the history ---------------------------------------------------------------

SAID = [{"sender": "user", "content": "The kettle sings. " * 20, "position": n} for n in range(9)]
NOTHING_SUMMARISED: dict[str, Any] = {"history": SAID, "memory": {}}


def spare(**rows: Any) -> int:
    """How much the history may grow in prompts for these rows."""
    planned = plan_turn(accepted(**{"models": [SMALL]} | NOTHING_SUMMARISED | rows))
    (first, *_) = planned.plan.targets
    shape = RequestShape.for_target(first)
    built = build(spec(planned.begun, context_tokens=shape.budget + 400, max_tokens=400))
    assert built.ingredients
    return planned.spare(built.ingredients)


def test_history_may_grow_to_half_of_the_shortest_prompt() -> None:
    shortest = RequestShape.for_target(plan_turn(accepted(models=[SMALL])).plan.targets[0]).budget
    longer = [*SAID, {**SAID[0], "position": 9}]
    assert 0 < spare() < shortest // 2
    assert 0 < spare(history=longer) < spare()
    assert spare(models=[LARGE]) > shortest // 2
    # The small one may have to answer, too.
    assert spare(models=[LARGE, SMALL]) <= spare()


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({"is_cut": True}, id="older-ones-left-out"),
        pytest.param({"memory": {"covers_position": 3}}, id="older-ones-summarised"),
        pytest.param({"memory": None}, id="no-conversation"),
        pytest.param({"history": [{**SAID[0], "content": "Oh. " * 20_000}]}, id="too-long"),
    ],
)
def test_history_that_is_not_whole_has_no_room(rows: dict[str, Any]) -> None:
    assert spare(**rows) == 0
