"""Checks of OpenRouter's key and catalog, with a scripted OpenRouter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.answers import error, held, html, models, raw, reply, stall, text
from tests.support.odd_rows import ODD
from tests.support.provider_checks import CONFIGURED, LLAMA, ON, Checks, catalog, key, listed
from tests.support.stack import OPENROUTER_KEY, Stack
from tests.support.talk import DOLPHIN, DOLPHIN_R1, VENICE, Talk
from tests.support.upstream import Answer, refusing
from tests.support.waiting import Gate

CUT = raw(b'HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{"data": [{"id": "a/m"}')
"""A connection that ends in the middle of the body."""


@pytest.fixture
def checks(stack: Stack) -> Iterator[Checks]:
    with stack.serving("health_check", **ON) as url:
        yield Checks(stack, url)


class TestOneOddRow:
    """One odd row prevents no step."""

    def check(self, checks: Checks) -> None:
        steps = checks.run()
        assert {step["outcome"] for step in steps.values()} == {"done"}, steps

    @pytest.mark.parametrize("value", [*ODD, "1e130000", '"x"', "null", "[]"])
    @pytest.mark.parametrize("key", ["limits", "chatWorker", "workers", "chatWorkerUrl", "more"])
    def test_odd_settings_do_not_stop_the_run(self, checks: Checks, key: str, value: str) -> None:
        if key == "limits" and value in ("1e130000", "1e5000", "1e400"):
            value = f'{{"default": {{"turns_per_day": {value}}}}}'
        elif key == "limits":
            value = "{}"
        checks.stack.db.execute(
            "update private.system_settings set config = jsonb_set(config, %s, %s)", ([key], value)
        )
        self.check(checks)

    @pytest.mark.parametrize("value", ODD)
    @pytest.mark.parametrize("column", ["pricing", "capabilities", "input_defaults", "catalog"])
    def test_odd_row_of_a_model_does_not_stop_the_run(
        self, checks: Checks, column: str, value: str
    ) -> None:
        value = value.replace("1e5000", "1e3000") if column in ("pricing", "catalog") else value
        name = {"capabilities": "context_tokens", "input_defaults": "max_tokens"}.get(column)
        odd = f'"{name or "prompt_usd_per_1k"}": {value}'
        checks.stack.db.execute(
            f"update api_models set {column} = %s where model_key = %s".encode(),  # noqa: S608
            (f"{{{odd}}}", DOLPHIN),
        )
        self.check(checks)
        checks.stack.upstream.always(catalog(without=(DOLPHIN,)), to="/api/v1/models")
        assert checks.again()["catalog"]["outcome"] == "done"


class TestKey:
    def test_status_is_reported_and_kept_without_the_label(self, checks: Checks) -> None:
        outcome = checks.run()["key"]

        assert (outcome["outcome"], outcome["error"]) == ("done", None)
        assert outcome["found"] == {
            "limit_usd": None,
            "remaining_usd": None,
            "used_usd": 1.5,
            "free_requests_limit": 50,
            "free_requests_remaining": 38,
            "expires_at": None,
            "balance_usd": None,
            "alerts": [],
        }
        kept = checks.stack.one("select found from health_check_steps where step = 'key'")
        assert kept["found"] == outcome["found"]
        asked = {
            call.path: call.headers.get("authorization") for call in checks.stack.upstream.calls
        }
        ours = f"Bearer {OPENROUTER_KEY}"
        assert asked == {"/api/v1/key": ours, "/api/v1/credits": ours, "/api/v1/models": None}

    def test_balance_is_told_where_the_key_may_ask(self, checks: Checks) -> None:
        account = {"data": {"total_credits": 10, "total_usage": 10.5}}
        checks.stack.upstream.enqueue(reply(200, account), to="/api/v1/credits")
        found = checks.run()["key"]["found"]
        assert (found["balance_usd"], len(found["alerts"])) == (-0.5, 1)

    def test_somebody_is_called_when_it_is_exhausted(
        self, checks: Checks, log: list[dict[str, Any]]
    ) -> None:
        free = {"used": 50, "limit": 50, "remaining": 0}
        answer = key(limit=10, limit_remaining=0, free_model_daily_requests=free)
        checks.stack.upstream.enqueue(answer, to="/api/v1/key")
        found = checks.run()["key"]["found"]
        assert (found["remaining_usd"], found["free_requests_remaining"]) == (0, 0)
        assert len(found["alerts"]) == 2
        (line,) = [line for line in log if line.get("step") == "key"]
        assert (line["severity"], line["found"]["alerts"]) == ("ALERT", found["alerts"])
        assert "canary" not in str(log)

    def test_key_that_is_refused_calls_somebody(
        self, checks: Checks, log: list[dict[str, Any]]
    ) -> None:
        answer = error(401, {"error": {"message": "User not found."}})
        checks.stack.upstream.enqueue(answer, to="/api/v1/key")
        checks.run()
        lines = {line["step"]: line["severity"] for line in log if line["message"] == "step ended"}
        assert (lines["key"], lines["catalog"]) == ("ALERT", "INFO")

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            pytest.param(html(200), "without a key's status", id="page"),
            pytest.param(stall(), "did not answer in time", id="slow"),
            pytest.param(CUT, "cannot be reached", id="cut-off"),
            pytest.param(reply(307, "", {"Location": "/elsewhere"}), "answered 307", id="redirect"),
        ],
    )
    def test_status_that_cannot_be_had_is_an_outcome(
        self, checks: Checks, answer: Answer, why: str
    ) -> None:
        checks.stack.upstream.enqueue(answer, to="/api/v1/key")
        steps = checks.run()
        assert steps["key"]["outcome"] == "failed"
        assert why in steps["key"]["error"]
        assert steps["catalog"]["outcome"] == "done"

    def test_each_is_asked_now_and_then(self, checks: Checks) -> None:
        checks.run()
        assert {checks.run()[name]["outcome"] for name in ("key", "catalog")} == {"not_due"}
        later = checks.again(minutes=15)
        assert (later["key"]["outcome"], later["catalog"]["outcome"]) == ("done", "not_due")

    @pytest.mark.parametrize(
        "settings",
        [{"OpenRouter_Roleplay_API_KEY": ""}, {"ALLOW_LOCAL_UPSTREAMS": "false"}],
        ids=["no-key", "not-https"],
    )
    def test_provider_that_may_not_be_called_is_not(
        self, stack: Stack, settings: dict[str, str]
    ) -> None:
        stack.upstream.always(catalog(), to="/api/v1/models")
        with stack.serving("health_check", **ON, **settings) as url:
            steps = Checks(stack, url).run()
        assert steps["key"]["outcome"] == "failed"
        assert {call.path for call in stack.upstream.calls} <= {"/api/v1/models"}

    def test_inactive_provider_is_not_asked(self, checks: Checks) -> None:
        checks.stack.db.execute("update api_providers set is_active = false")
        assert checks.run()["key"] == {"outcome": "done", "error": None, "found": {}} | {
            "ms": pytest.approx(0, abs=10_000)
        }
        assert checks.stack.upstream.calls == []


class TestCatalog:
    def test_catalog_that_agrees_with_the_rows_changes_nothing(self, checks: Checks) -> None:
        outcome = checks.run()["catalog"]
        assert outcome["found"] == {"listed": 25, "alerts": []}
        assert set(checks.statuses().values()) == {"listed"}
        row = checks.stack.one(
            "select distinct catalog, catalog_checked_at <= now() as checked, pricing"
            " from api_models where model_key = %s",
            LLAMA,
        )
        assert row["checked"] is True
        assert row["catalog"] == {
            "context_length": 131072,
            "prompt_usd_per_1k": 0.0002,
            "completion_usd_per_1k": 0.0002,
        }

    def test_dead_model_is_skipped_before_its_first_404_and_comes_back(
        self, checks: Checks, talk: Talk
    ) -> None:
        found = checks.catalog(catalog(without=(VENICE,)))["found"]
        assert found["gone"] == [VENICE]
        assert checks.statuses()[VENICE] == "gone"

        talk.stack.upstream.enqueue(text("Yes."), to=DOLPHIN_R1)
        assert talk.reply()["model_used"] == f"openrouter:{DOLPHIN_R1}"
        assert talk.asked() == [DOLPHIN_R1]

        assert "gone" not in checks.catalog(catalog())["found"]
        talk.stack.upstream.enqueue(text("Yes."), to=VENICE)
        assert talk.reply()["model_used"] == f"openrouter:{VENICE}"

    @pytest.mark.own_tables("there classifiers are in a table of their own")
    def test_classifier_is_never_left_out(self, checks: Checks) -> None:
        checks.stack.db.execute(
            "update api_models set task = 'moderation', is_default = false where model_key = %s "
            "and task = 'roleplay'",
            (VENICE,),
        )
        checks.catalog(catalog(without=(VENICE, DOLPHIN)))
        query = "select jsonb_path_query_array(private.models_for(%s), '$[*].model_key') as keys"
        assert checks.stack.one(query, "moderation")["keys"] == [VENICE]
        assert checks.stack.one(query, "storytelling")["keys"] == []

    def test_renamed_model_is_called_by_its_old_name_and_reported(self, checks: Checks) -> None:
        renamed = listed("venice/uncensored:free", canonical_slug=VENICE)
        found = checks.catalog(catalog(renamed, without=(VENICE,)))["found"]
        assert found["renamed"] == {VENICE: "venice/uncensored:free"}
        assert checks.statuses()[VENICE] == "renamed"
        models_for = checks.stack.one("select private.models_for('roleplay')::text as models")
        assert VENICE in models_for["models"]

    def test_expiring_model_is_reported(self, checks: Checks, log: list[dict[str, Any]]) -> None:
        expiring = listed(VENICE, expiration_date="2027-01-31")
        found = checks.catalog(catalog(expiring))["found"]
        assert found["expiring"] == {VENICE: "2027-01-31"}
        assert checks.statuses()[VENICE] == "expiring"
        assert [line["severity"] for line in log if line.get("step") == "catalog"] == ["ALERT"]

    def test_smaller_context_is_reported(self, checks: Checks) -> None:
        found = checks.catalog(catalog(listed(VENICE, context_length=8192)))["found"]
        assert found["changed"] == {VENICE: ["context"]}

    @pytest.mark.parametrize("updates", ["false", "true"])
    def test_other_price_is_reported_and_adopted_if_the_setting_says_so(
        self, stack: Stack, updates: str
    ) -> None:
        stack.db.execute("update api_models set is_active = true where model_key = %s", (LLAMA,))
        dearer = listed(LLAMA, "0.0000003", "0.0000004")
        with stack.serving("health_check", **ON, CATALOG_UPDATES_PRICES=updates) as url:
            found = Checks(stack, url).catalog(catalog(dearer))["found"]
        assert found["changed"] == {LLAMA: ["price"]}
        query = "select distinct pricing from api_models where model_key = %s"
        pricing = stack.one(query, LLAMA)["pricing"]
        now = (0.0003, 0.0004) if updates == "true" else (0.0002, 0.0002)
        assert (pricing["prompt_usd_per_1k"], pricing["completion_usd_per_1k"]) == now

    def test_model_that_is_not_free_any_more_stands_in_for_none(
        self, checks: Checks, talk: Talk
    ) -> None:
        paid = listed(DOLPHIN_R1, "0.000001", "0.000002")
        found = checks.catalog(catalog(paid))["found"]
        assert (found["not_free"], checks.statuses()[DOLPHIN_R1]) == ([DOLPHIN_R1], "not_free")
        talk.stack.upstream.enqueue(error(404), to=VENICE)
        talk.stack.upstream.enqueue(text("Yes."), to=DOLPHIN)
        assert talk.reply()["model_used"] == f"openrouter:{DOLPHIN}"
        assert talk.asked() == [VENICE, DOLPHIN]

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(reply(200, {"data": []}), id="empty"),
            pytest.param(reply(200, {}), id="nothing"),
            pytest.param(html(200), id="page"),
            pytest.param(html(503), id="503"),
            pytest.param(reply(200, {"error": {"code": 502, "message": "x"}}), id="error-in-200"),
            pytest.param(models(*(f"m{n}" for n in range(50))), id="another-servers"),
            pytest.param(reply(200, {"data": [listed("a/m")]}), id="too-few"),
            pytest.param(reply(200, b'{"data": [{"id": "a'), id="cut-off"),
            pytest.param(reply(200, b"[" * 100_000), id="deep"),
            pytest.param(stall(), id="slow"),
            pytest.param(CUT, id="connection-lost"),
        ],
    )
    def test_garbage_changes_nothing(self, checks: Checks, answer: Answer) -> None:
        checks.catalog(catalog(without=(DOLPHIN,)))
        before = checks.stack.all("select * from api_models order by id")
        for _ in range(2):
            outcome = checks.catalog(answer)
            assert outcome["outcome"] == "failed"
            assert outcome["found"] == {}
        assert checks.stack.all("select * from api_models order by id") == before

    def test_one_page_of_several_takes_nobody_out(self, checks: Checks) -> None:
        for _ in range(2):
            page = catalog(without=(VENICE,), links={"next": "/models?offset=500"})
            assert checks.catalog(page)["outcome"] == "done"
        assert checks.statuses()[VENICE] is None
        assert checks.statuses()[DOLPHIN] == "listed"

    def test_all_models_at_once_have_to_be_confirmed(self, checks: Checks) -> None:
        def outcome(minutes: int, answer: Answer) -> str:
            checks.stack.upstream.enqueue(answer, to="/api/v1/models")
            return str(checks.again(minutes)["catalog"]["outcome"])

        nobody = catalog(without=tuple(CONFIGURED))
        assert outcome(0, nobody) == "failed"
        assert set(checks.statuses().values()) == {"missing"}
        assert VENICE in str(checks.stack.one("select private.models_for('roleplay')"))
        # Repeated at once, the list does not confirm itself; five minutes later it does.
        assert checks.run()["catalog"]["outcome"] == "not_due"
        assert outcome(5, nobody) == "done"
        assert set(checks.statuses().values()) == {"gone"}
        assert checks.catalog(catalog())["outcome"] == "done"
        assert set(checks.statuses().values()) == {"listed"}

    def test_catalog_that_has_shrunk_has_to_be_confirmed(self, checks: Checks) -> None:
        checks.run()
        half = reply(200, {"data": [listed(VENICE), *(listed(f"x/{n}") for n in range(10))]})
        assert checks.catalog(half)["outcome"] == "failed"
        assert checks.statuses()[DOLPHIN] == "missing"
        assert checks.catalog(catalog())["outcome"] == "done"
        assert checks.statuses()[DOLPHIN] == "listed"

    def test_runs_that_overlap_ask_once(self, checks: Checks) -> None:
        gate = Gate()
        checks.stack.upstream.enqueue(held(gate, catalog()), to="/api/v1/models")
        with checks.stack.serving(
            "health_check", **ON | {"PROVIDER_TIMEOUT_SECONDS": "300"}
        ) as url:
            first = threading.Thread(target=checks.run, args=(url,))
            first.start()
            gate.wait_reached()
            assert checks.run()["catalog"]["outcome"] == "not_due"
            gate.open()
            first.join()
        paths = [call.path for call in checks.stack.upstream.calls]
        assert paths.count("/api/v1/models") == 1

    def test_provider_that_is_away_is_an_outcome(self, checks: Checks) -> None:
        with refusing() as url:
            checks.stack.db.execute("update api_providers set base_url = %s", (url,))
            steps = checks.run()
        assert {steps[name]["outcome"] for name in ("key", "catalog")} == {"failed"}
        assert "cannot be reached" in steps["catalog"]["error"]
