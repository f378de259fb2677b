"""Which targets are tried, in which order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge.worker_health import WorkerHealth
from roleplay_chat.api import Tier
from roleplay_chat.generation.request_shape import RequestShape
from roleplay_chat.generation.routing import Candidates, Plan, memory_targets, plan
from roleplay_chat.generation.targets import (
    MAX_SIZE_TOKENS,
    MIN_SIZE_TOKENS,
    Target,
    invalid_numbers,
    model_target,
)
from roleplay_chat.rows import CooldownRow, ModelRow, ProviderRow, WorkerRow

NOW = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)
WORKER_URL = "https://worker.example"
PROVIDER = ProviderRow(name="openrouter", base_url="https://up.example/v1", secret_name="A_API_KEY")


def model(key: str, **columns: Any) -> ModelRow:
    return ModelRow(model_key=key, display_name=key.upper(), provider=PROVIDER, **columns)


MODELS = [
    model("main:free", is_default=True, capabilities={"nsfw": True}),
    model("second:free"),
    model("paid", pricing={"prompt_usd_per_1k": 1, "completion_usd_per_1k": 1}),
    model("allowed", capabilities={"fallback_allowed": True, "nsfw": True}),
]


def worker(*, healthy: bool = True, age: float = 1) -> WorkerRow:
    checked = NOW - timedelta(seconds=age)
    return WorkerRow(
        url=WORKER_URL, health=WorkerHealth(healthy, checked, 5, None, WORKER_URL).to_json()
    )


def candidates(**values: Any) -> Candidates:
    defaults: dict[str, Any] = {"models": (), "workers": (), "cooldowns": (), "tier": "sfw"}
    return Candidates(**(defaults | values), now=NOW)


def planned(
    asked: str | None,
    *,
    worker: WorkerRow = WorkerRow(),  # noqa: B008
    tier: Tier = "sfw",
    cooldowns: tuple[CooldownRow, ...] = (),
) -> Plan:
    return plan(asked, candidates(models=MODELS, workers=[worker], cooldowns=cooldowns, tier=tier))


def names(of: Plan) -> list[str]:
    return [target.name.removeprefix("openrouter:") for target in of.targets]


@pytest.mark.parametrize(
    ("asked", "workers", "expected"),
    [
        pytest.param(
            "chat_worker",
            worker(),
            ["chat_worker", "main:free", "second:free", "allowed"],
            id="worker-first",
        ),
        pytest.param(
            "qwen-local",
            worker(healthy=False),
            ["main:free", "second:free", "allowed"],
            id="unhealthy-worker-is-not-asked",
        ),
        pytest.param(
            "chat_worker",
            worker(age=121),
            ["main:free", "second:free", "allowed"],
            id="health-record-too-old",
        ),
        pytest.param(
            "", WorkerRow(), ["main:free", "second:free", "allowed"], id="empty-means-default"
        ),
        pytest.param(
            "second:free",
            worker(),
            ["second:free", "main:free", "allowed", "chat_worker"],
            id="worker-last",
        ),
        pytest.param(
            "paid",
            WorkerRow(),
            ["paid", "main:free", "second:free", "allowed"],
            id="paid-model-when-asked-for",
        ),
        pytest.param(
            "unknown",
            WorkerRow(),
            ["main:free", "second:free", "allowed"],
            id="unknown-means-default",
        ),
    ],
)
def test_targets_are_asked_in_this_order(
    asked: str, workers: WorkerRow, expected: list[str]
) -> None:
    assert names(planned(asked, worker=workers)) == expected


def test_adult_tier_asks_only_models_whose_rows_allow_it() -> None:
    assert names(planned("second:free", tier="nsfw")) == ["main:free", "allowed"]


@pytest.mark.parametrize(
    ("scope", "key", "expected"),
    [
        ("model", "openrouter:main:free", ["second:free", "allowed"]),
        ("account", "openrouter:free", ["allowed"]),
        ("provider", "other", ["main:free", "second:free", "allowed"]),
        ("provider", "openrouter", []),
    ],
    ids=["model", "all-free-models", "another-provider", "the-whole-provider"],
)
def test_what_cools_down_is_left_out(scope: Any, key: str, expected: list[str]) -> None:
    row = CooldownRow(scope=scope, key=key, until=NOW + timedelta(minutes=1))
    assert names(planned("", cooldowns=(row,))) == expected


def test_what_is_on_cooldown_or_is_unhealthy_is_the_last_resort() -> None:
    row = CooldownRow(scope="account", key="openrouter:free", until=NOW + timedelta(minutes=1))
    of = planned("chat_worker", worker=worker(healthy=False), cooldowns=(row,))
    assert names(of) == ["allowed"]
    assert [target.picker_key for target in of.last_resort] == [
        "chat_worker",
        "main:free",
        "second:free",
    ]


def test_passed_cooldown_does_not_count() -> None:
    row = CooldownRow(scope="provider", key="openrouter", until=NOW)
    assert names(planned("", cooldowns=(row,)))[0] == "main:free"


@pytest.mark.parametrize(
    ("asked", "workers", "answered_by", "notice"),
    [
        pytest.param("", WorkerRow(), 0, None, id="default-as-asked"),
        pytest.param("second:free", WorkerRow(), 0, None, id="model-as-asked"),
        pytest.param(
            "chat_worker",
            worker(healthy=False),
            0,
            "The local model is not available right now (it is unhealthy); MAIN:FREE answered"
            " instead.",
            id="worker-down",
        ),
        pytest.param(
            "chat_worker",
            worker(),
            1,
            "The local model could not answer this time; MAIN:FREE answered instead.",
            id="worker-failed",
        ),
        pytest.param(
            "gone",
            WorkerRow(),
            0,
            "The model you chose is not available; MAIN:FREE answered instead.",
            id="unknown-model",
        ),
        pytest.param(
            "second:free",
            worker(),
            3,
            "The model you chose could not answer this time; the local model answered instead.",
            id="worker-stands-in",
        ),
    ],
)
def test_notice_says_who_answered_instead(
    asked: str, workers: WorkerRow, answered_by: int, notice: str | None
) -> None:
    of = planned(asked, worker=workers)
    target = of.targets[answered_by]
    assert of.notice(target) == notice
    assert of.used_fallback(target) is (notice is not None)


@pytest.mark.parametrize("asked", ["", None])
def test_notice_of_a_default_that_failed_says_nothing_of_a_choice(asked: str | None) -> None:
    of = planned(asked)
    assert of.notice(of.targets[1]) == (
        "The default model could not answer this time; SECOND:FREE answered instead."
    )


def test_notice_of_a_default_that_is_over_the_budget_says_nothing_of_a_choice() -> None:
    of = plan("", candidates(models=MODELS[::-1], workers=[worker()], free_only=True))
    said = of.notice(of.targets[0])
    assert said
    assert "chose" not in said


def test_worker_is_the_default_where_there_are_no_models() -> None:
    of = plan("", candidates(workers=[worker()]))
    assert names(of) == ["chat_worker"]
    assert of.notice(of.targets[0]) is None
    assert not of.used_fallback(of.targets[0])


def test_no_models_and_no_worker_is_an_empty_plan() -> None:
    nothing = plan("", candidates())
    assert nothing.targets == ()


def test_odd_rows_fall_back_to_sane_values() -> None:
    odd = model("odd", capabilities={"context_tokens": "many"}, pricing={"prompt_usd_per_1k": "x"})
    target = plan("odd", candidates(models=[odd]))
    assert target.targets[0].context_tokens == 8192
    assert target.targets[0].prompt_usd_per_1k is None
    assert target.targets[0].max_tokens == 400


WRITERS = [
    model("dear", capabilities={"memory": True}, pricing={"prompt_usd_per_1k": 2}),
    model("unknown", capabilities={"memory": True}),
    model("free", pricing={"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}),
    model("also:free", capabilities={"nsfw": True}),
    model("out:free", capabilities={"memory": False}),
    model("paid", pricing={"prompt_usd_per_1k": 1, "completion_usd_per_1k": 1}),
    model(
        "cheap",
        capabilities={"memory": True, "nsfw": True},
        pricing={"prompt_usd_per_1k": 0.1, "completion_usd_per_1k": 0.2},
    ),
]


@pytest.mark.parametrize(
    ("tier", "free_only", "expected"),
    [
        ("sfw", False, ["free", "also:free", "cheap", "dear", "unknown", "chat_worker"]),
        ("sfw", True, ["free", "also:free", "chat_worker"]),
        ("nsfw", False, ["also:free", "cheap", "chat_worker"]),
    ],
)
def test_memory_is_written_by_the_cheapest(
    tier: Tier, free_only: bool, expected: list[str]
) -> None:
    targets = memory_targets(
        candidates(models=WRITERS, workers=[worker()], tier=tier, free_only=free_only)
    )
    assert [target.name.removeprefix("openrouter:") for target in targets] == expected


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param(worker(healthy=False), id="unhealthy"),
        pytest.param(worker(age=1000), id="not-checked"),
        pytest.param(worker().model_copy(update={"config": {"memory": False}}), id="kept-out"),
    ],
)
def test_worker_that_cannot_take_it_writes_no_memory(workers: WorkerRow) -> None:
    cooldown = CooldownRow(scope="account", key="openrouter:free", until=NOW + timedelta(minutes=1))
    targets = memory_targets(
        candidates(models=[WRITERS[3]], workers=[workers], cooldowns=[cooldown])
    )
    assert targets == ()


@pytest.mark.parametrize(
    ("pricing", "stands_in"),
    [
        ({}, True),
        ({"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}, True),
        ({"prompt_usd_per_1k": 0.001, "completion_usd_per_1k": 0}, False),
    ],
)
def test_name_of_a_free_model_does_not_make_it_free(
    pricing: dict[str, Any], stands_in: bool
) -> None:
    models = [model("main:free", is_default=True), model("other:free", pricing=pricing)]
    planned = plan(None, candidates(models=models))
    assert ("other:free" in names(planned)) is stands_in


ODD: list[Any] = [
    10**309,
    10**400,
    1e308,
    1e300,
    float("inf"),
    float("nan"),
    -1,
    True,
    False,
    "1",
    [],
    {},
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: str(value)[:9])
def test_odd_numbers_of_a_row_cost_nobody_else_anything(value: Any) -> None:
    odd = model(
        "odd:free",
        is_default=True,
        pricing={"prompt_usd_per_1k": value, "completion_usd_per_1k": value},
        capabilities={"context_tokens": value, "timeouts": value, "nsfw": value},
        input_defaults={"max_tokens": value},
        token_ratios={"latin": value, "other": value},
    )
    config = {"context_tokens": value, "input_defaults": value, "model": value, "stop": value}
    near = worker().model_copy(update={"config": config})
    models = [odd, model("sound:free")]
    planned = plan(None, candidates(models=models, workers=[near]))
    writers = memory_targets(candidates(models=models, workers=[near]))

    assert names(planned) == ["odd:free", "sound:free", "chat_worker"]
    for target in (*planned.targets, *writers):
        assert 1 <= target.context_tokens <= MAX_SIZE_TOKENS
        assert 1 <= target.max_tokens <= MAX_SIZE_TOKENS
        assert target.prompt_usd_per_1k in (None, 0)
        assert 0.5 <= target.tokens.latin <= 2


def test_odd_numbers_are_told_by_name() -> None:
    odd = model(
        "odd",
        pricing={"prompt_usd_per_1k": 10**400, "completion_usd_per_1k": 0.5},
        capabilities={"context_tokens": "many", "prompt_tokens": 12},
        input_defaults={"max_tokens": None},
    )
    near = worker().model_copy(update={"config": {"context_tokens": 1, "prompt_tokens": 4096}})
    assert invalid_numbers([*MODELS, odd], [worker(), near]) == [
        "openrouter:odd: prompt_usd_per_1k",
        "openrouter:odd: context_tokens",
        "openrouter:odd: prompt_tokens",
        "chat_worker:chat_worker: context_tokens",
    ]


@pytest.mark.parametrize("tokens", [1, 12, MIN_SIZE_TOKENS - 1])
def test_context_that_has_no_room_for_a_prompt_counts_as_absent(tokens: int) -> None:
    sizes = {"context_tokens": tokens, "prompt_tokens": tokens}
    near = worker().model_copy(update={"config": sizes})
    rows = [model("odd", capabilities=sizes, is_default=True)]
    remote, local = plan(None, candidates(models=rows, workers=[near])).targets
    assert (remote.context_tokens, remote.prompt_tokens) == (8192, 32_768)
    assert (local.context_tokens, local.prompt_tokens) == (4096, 32_768)


@pytest.mark.parametrize("max_tokens", [16, 400, 1024])
def test_longest_prompt_is_the_rows_whatever_the_reply(max_tokens: int) -> None:
    sizes = {"context_tokens": 32_768, "prompt_tokens": 1000}
    row = model("long", capabilities=sizes, input_defaults={"max_tokens": 4000})
    assert RequestShape.for_target(model_target(row)).budget == 1000
    chosen = RequestShape.for_target(model_target(row, {"max_tokens": max_tokens}))
    assert (chosen.max_tokens, chosen.budget) == (max_tokens, 1000)


@pytest.mark.parametrize("price", [1e-5, -1, True, "0", [], float("nan"), 10**400])
def test_model_whose_price_is_not_zero_is_not_free(price: Any) -> None:
    for key in ("prompt_usd_per_1k", "completion_usd_per_1k"):
        models = [model("main:free", is_default=True), model("other:free", pricing={key: price})]
        planned = plan(None, candidates(models=models))
        assert names(planned) == ["main:free"]


NEWER = {"max_tokens": "max_completion_tokens"}


def only(row: ModelRow) -> Target:
    (target,) = plan(None, candidates(models=[row])).targets
    return target


class TestNames:
    @pytest.mark.parametrize(
        ("columns", "names", "max_tokens"),
        [
            pytest.param({}, {}, 400, id="usual"),
            pytest.param({"input_defaults": {"max_tokens": None}}, {"max_tokens": None}, 400,
                         id="no-limit"),
            pytest.param({"input_defaults": {"stop": None, "user": None}},
                         {"stop": None, "user": None}, 400, id="left-out"),
            pytest.param({"input_defaults": {"rename": {"stop": "stop_sequences"}}},
                         {"stop": "stop_sequences"}, 400, id="renamed"),
            pytest.param({"input_defaults": {"rename": {"stop": 5, "user": ""}}}, {}, 400,
                         id="renamed-to-nothing"),
            pytest.param({"input_defaults": {"max_completion_tokens": 300}}, NEWER, 300,
                         id="newer-limit"),
            pytest.param({"input_defaults": {"max_tokens": None, "max_completion_tokens": 300}},
                         NEWER, 300, id="newer-limit-alone"),
            pytest.param({"input_defaults": {"max_tokens": 200, "max_completion_tokens": 300}}, {},
                         200, id="both-limits"),
            pytest.param({"capabilities": {"max_completion_tokens": True}}, NEWER, 400,
                         id="capability"),
            pytest.param({"repairs": {"max_completion_tokens": True}}, NEWER, 400, id="learned"),
            pytest.param({"capabilities": {"max_completion_tokens": False},
                          "repairs": {"max_completion_tokens": True}}, {}, 400,
                         id="row-before-learned"),
            pytest.param({"input_defaults": {"max_tokens": None},
                          "repairs": {"max_completion_tokens": True}}, {"max_tokens": None}, 400,
                         id="left-out-before-learned"),
        ],
    )  # fmt: skip
    def test_names_are_the_rows(
        self, columns: dict[str, Any], names: dict[str, Any], max_tokens: int
    ) -> None:
        target = only(model("main:free", **columns))
        assert target.names == names
        assert target.max_tokens == max_tokens
        assert None not in target.parameters.values()
        assert "rename" not in target.parameters


class TestRoles:
    @pytest.mark.parametrize(
        ("said", "learned", "roles"),
        [
            (None, None, "as_is"),
            (None, "alternate", "alternate"),
            ("no_system", None, "no_system"),
            ("as_is", "no_system", "as_is"),
            ("alternate", "no_system", "alternate"),
            ("strict", "alternate", "alternate"),
            (["no_system"], 5, "as_is"),
        ],
    )
    def test_roles_are_the_rows_then_what_was_learned(
        self, said: Any, learned: Any, roles: str
    ) -> None:
        given = {"roles": said} if said else {}
        repairs = {"roles": learned} if learned else {}
        assert only(model("main:free", capabilities=given, repairs=repairs)).roles == roles
        near = worker().model_copy(update={"config": given, "repairs": repairs})
        (target,) = plan(None, candidates(workers=[near])).targets
        assert target.roles == roles

    def test_unknown_roles_are_told_by_name(self) -> None:
        odd = model("odd", capabilities={"roles": "strict"})
        assert invalid_numbers([odd]) == ["openrouter:odd: roles"]
