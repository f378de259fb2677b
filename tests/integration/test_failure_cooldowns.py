"""Cooldowns after failures: for every instance, and exactly as long as they should be."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import html, stall, text, worker_chat
from tests.support.stack import Stack
from tests.support.talk import DOLPHIN, DOLPHIN_R1, LAG, VENICE, WORKER, Talk, failing, lasting

MODELS = [VENICE, DOLPHIN_R1, DOLPHIN]


def put_on_cooldown(talk: Talk, scope: str, key: str, **time: float) -> None:
    """Inserts a cooldown that ends this far from now."""
    talk.stack.db.execute(
        "insert into model_cooldowns (scope, key, until, reason)"
        " values (%s, %s, now() + %s, 'a test')",
        (scope, key, timedelta(**time)),
    )


class TestWhoseLimit:
    """Cloudflare's rate limit page, once passed on by OpenRouter and once about OpenRouter."""

    LIMITED = "error code: 1015"

    @pytest.mark.parametrize("status", [200, 429, 502])
    def test_provider_that_limits_openrouter_concerns_the_model(
        self, talk: Talk, status: int
    ) -> None:
        passed_on = failing(status, raw=self.LIMITED, provider_name="Venice", is_byok=False)
        talk.stack.upstream.enqueue(*[passed_on], text("Good evening."), text("Sit."))

        talk.reply("First")
        talk.reply("Second")

        assert talk.asked() == [VENICE, DOLPHIN_R1, DOLPHIN_R1]
        assert talk.cooldowns() == {f"model openrouter:{VENICE}": lasting(minutes=1)}

    @pytest.mark.parametrize("status", [200, 429, 502])
    def test_edge_that_limits_us_concerns_the_provider(self, talk: Talk, status: int) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(failing(status, raw=self.LIMITED), worker_chat("Sit."))

        talk.reply()

        assert talk.asked() == [VENICE, WORKER]
        assert talk.cooldowns() == {"provider openrouter": lasting(seconds=30)}

    def test_key_that_a_provider_refuses_leaves_the_other_models(self, talk: Talk) -> None:
        refused = failing(401, raw="Incorrect API key provided", provider_name="Venice")
        talk.stack.upstream.enqueue(refused, text("Good evening."))

        talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert talk.cooldowns() == {f"model openrouter:{VENICE}": lasting(minutes=10)}
        assert talk.alerts() == []


@pytest.mark.installations
class TestInForce:
    def test_cooldown_is_honoured_by_another_instance(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(failing(503), text("One."), text("Two."), text("Three."))

        talk.reply("First")
        with talk.stack.serving() as url:
            second = talk.say("Second", url=url).json()
        talk.reply("Third")

        assert talk.asked() == [VENICE, DOLPHIN_R1, DOLPHIN_R1, DOLPHIN_R1]
        assert (second["usedFallback"], second["fallbackModel"]) == (True, DOLPHIN_R1)

    def test_cooldown_is_written_with_the_turn_and_costs_no_round_trip(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(failing(503), text("One."))

        talk.reply()

        assert talk.stack.gateway.calls == [
            "POST /rest/v1/rpc/begin_turn",
            "POST /rest/v1/rpc/finish_turn",
        ]

    def test_cooldown_is_written_when_nobody_answered_too(self, talk: Talk) -> None:
        talk.stack.upstream.always(html())

        assert talk.say().status_code == 503

        assert talk.cooldowns() == {"provider openrouter": lasting(seconds=30)}

    def test_passed_cooldown_is_over(self, talk: Talk) -> None:
        put_on_cooldown(talk, "model", f"openrouter:{VENICE}", seconds=-1)
        talk.stack.upstream.enqueue(text("Good evening."))

        assert talk.reply()["usedFallback"] is False

        assert talk.asked() == [VENICE]

    @pytest.mark.parametrize(
        ("scope", "key"),
        [
            ("provider", "openrouter"),
            ("account", "openrouter"),
            ("account", "openrouter:free"),
        ],
    )
    def test_cooldown_of_the_provider_leads_to_the_worker_at_once(
        self, talk: Talk, scope: str, key: str
    ) -> None:
        talk.have_worker()
        put_on_cooldown(talk, scope, key, minutes=1)
        talk.stack.upstream.enqueue(worker_chat("Sit."))

        talk.reply()

        assert talk.asked() == [WORKER]

    def test_cooldown_of_the_requested_worker_is_in_the_notice(self, talk: Talk) -> None:
        talk.have_worker()
        put_on_cooldown(talk, "model", "chat_worker", minutes=1)
        talk.stack.upstream.enqueue(text("Good evening."))

        body = talk.reply(model_provider="chat_worker")

        assert talk.asked() == [VENICE]
        assert body["notice"] == (
            "The local model is not available right now (it failed a moment ago);"
            " Venice Dolphin Mistral 24B answered instead."
        )

    @pytest.mark.own_tables("there storytelling has the models of roleplay")
    def test_cooldown_of_a_model_holds_for_every_task(self, talk: Talk) -> None:
        put_on_cooldown(talk, "model", f"openrouter:{VENICE}", minutes=1)
        talk.stack.upstream.enqueue(text("A pier at dawn."))

        talk.stack.chat(talk.user, task="storytelling", message="A pier")

        assert talk.asked() == [DOLPHIN]


class TestEverythingOnCooldown:
    @pytest.fixture
    def tired(self, talk: Talk) -> Talk:
        """Puts the worker and every model on cooldown, the first of them longest."""
        talk.have_worker()
        put_on_cooldown(talk, "model", "chat_worker:chat_worker", minutes=1)
        for number, model in enumerate(MODELS):
            put_on_cooldown(talk, "model", f"openrouter:{model}", minutes=50 - 10 * number)
        return talk

    def test_and_they_are_asked_in_order_all_the_same(self, tired: Talk) -> None:
        tired.stack.upstream.enqueue(failing(503), failing(503), text("Good evening."))

        body = tired.reply()

        assert tired.asked() == MODELS
        assert (body["response"], body["usedFallback"]) == ("Good evening.", True)
        assert tired.turn() == ("complete", None)

    def test_and_are_asked_once_before_the_person_is_told_when(self, tired: Talk) -> None:
        tired.stack.upstream.always(failing(503))

        answer = tired.say()

        assert tired.asked() == [*MODELS, WORKER]
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model_available")
        assert int(answer.headers["retry-after"]) == pytest.approx(30, abs=LAG)
        assert answer.json()["error"].endswith("Please try again in a minute.")
        assert tired.said() == ["Hello"]

    def test_and_no_cooldown_becomes_shorter_for_it(self, tired: Talk) -> None:
        before = tired.cooldowns()
        tired.stack.upstream.always(failing(503))

        tired.say()

        assert tired.cooldowns() == {what: pytest.approx(s, abs=LAG) for what, s in before.items()}

    def test_and_the_daily_cap_still_names_its_reset(self, talk: Talk) -> None:
        lifted = datetime.now(UTC) + timedelta(hours=5)
        reset = {"X-RateLimit-Reset": f"{lifted.timestamp() * 1000:.0f}"}
        talk.stack.upstream.always(
            failing(429, "Rate limit exceeded: free-models-per-day.", headers=reset)
        )

        answers = [talk.say("One"), talk.say("Two")]

        assert talk.asked() == [VENICE, VENICE]
        assert {answer.json()["code"] for answer in answers} == {"free_limit_reached"}
        assert {answer.json()["error"] for answer in answers} == {
            f"Today's free replies are used up. They are back at {lifted:%H:%M} UTC."
        }

    def test_and_the_daily_cap_is_lifted_early(self, talk: Talk) -> None:
        put_on_cooldown(talk, "account", "openrouter:free", hours=5)
        talk.stack.upstream.enqueue(text("Good evening."))

        assert talk.reply()["response"] == "Good evening."

    def test_and_the_first_does_not_use_up_the_time(self, tired: Talk) -> None:
        tired.stack.upstream.always(stall())

        with tired.stack.serving(TURN_BUDGET_SECONDS="2") as url:
            answer = tired.say(url=url)

        first, second, *_ = tired.asked()
        assert [first, second] == MODELS[:2]
        assert answer.status_code == 503


def test_cooldown_of_many_days_is_one_day(talk: Talk) -> None:
    talk.stack.upstream.enqueue(
        failing(503, headers={"Retry-After": "864000"}), text("Good evening.")
    )

    talk.reply()

    assert talk.cooldowns() == {f"model openrouter:{VENICE}": lasting(days=1)}


class TestRow:
    """The database's part, private.cool_down."""

    def cool(self, stack: Stack, *seconds: float, key: str = "x") -> None:
        now = datetime.now(UTC)
        rows: list[dict[str, Any]] = [
            {
                "scope": "model",
                "key": key,
                "until": (now + timedelta(seconds=s)).isoformat(),
                "reason": "a test",
            }
            for s in seconds
        ]
        stack.db.execute("select private.cool_down(%s)", (Jsonb(rows),))

    def left(self, stack: Stack, key: str = "x") -> float:
        row = stack.one(
            "select extract(epoch from until - now())::float as s from model_cooldowns"
            " where key = %s",
            key,
        )
        return float(row["s"])

    def pass_by(self, stack: Stack, **time: float) -> None:
        stack.db.execute("update model_cooldowns set until = now() - %s", (timedelta(**time),))

    def test_longer_cooldown_extends_the_row(self, stack: Stack) -> None:
        self.cool(stack, 30)
        self.cool(stack, 60)
        assert self.left(stack) == pytest.approx(60, abs=LAG)

    def test_shorter_cooldown_never_shortens_the_row(self, stack: Stack) -> None:
        self.cool(stack, 600)
        self.cool(stack, 30)
        assert self.left(stack) == pytest.approx(600, abs=LAG)

    def test_cooldown_is_not_prolonged_by_failures_of_the_same_moment(self, stack: Stack) -> None:
        for _ in range(10):
            self.cool(stack, 30)
        assert self.left(stack) == pytest.approx(30, abs=LAG)

    def test_grows_when_it_fails_again_after_it_has_passed(self, stack: Stack) -> None:
        left = []
        for _ in range(7):
            self.cool(stack, 30)
            left.append(self.left(stack))
            self.pass_by(stack, seconds=1)
        expected = [30, 60, 90, 120, 150, 150, 150]
        assert left == [pytest.approx(seconds, abs=LAG) for seconds in expected]

    def test_does_not_grow_where_the_upstream_named_a_time(self, stack: Stack) -> None:
        self.cool(stack, 7200)
        self.pass_by(stack, seconds=1)
        self.cool(stack, 7200)
        assert self.left(stack) == pytest.approx(7200, abs=LAG)

    def test_cooldown_is_at_most_a_day(self, stack: Stack) -> None:
        self.cool(stack, 10 * 86_400)
        self.cool(stack, 20 * 86_400)
        assert self.left(stack) == pytest.approx(86_400, abs=LAG)

    def test_cooldown_that_is_already_over_is_not_written(self, stack: Stack) -> None:
        self.cool(stack, -5)
        assert stack.all("select from model_cooldowns") == []

    def test_takes_the_longest_of_one_turn(self, stack: Stack) -> None:
        self.cool(stack, 30, 90, 60)
        assert self.left(stack) == pytest.approx(90, abs=LAG)

    def test_row_is_written_again_for_a_second_or_more(self, stack: Stack) -> None:
        first = datetime.now(UTC) + timedelta(minutes=10)
        for later, written in ((0, 0), (-300, 0), (0.9, 0), (1.1, 1.1), (1.9, 1.1), (2.1, 2.1)):
            until = first + timedelta(seconds=later)
            row = {"scope": "model", "key": "x", "until": until.isoformat(), "reason": "a test"}
            stack.db.execute("select private.cool_down(%s)", (Jsonb([row]),))
            found = stack.one("select until from model_cooldowns")
            assert found == {"until": first + timedelta(seconds=written)}

    @pytest.mark.parametrize("error_code", ["superseded", "conversation_deleted"])
    def test_turn_that_is_lost_writes_its_cooldowns(self, stack: Stack, error_code: str) -> None:
        turn = stack.insert(
            "turns",
            **{"user_id": stack.user().id, "task": "roleplay", "action": "send"},
            **{"status": "failed", "error_code": error_code, "finished_at": datetime.now(UTC)},
            **{"is_orphaned": error_code == "conversation_deleted"},
            lease_expires_at=datetime.now(UTC),
        )
        until = datetime.now(UTC) + timedelta(minutes=10)
        row = {"scope": "model", "key": "x", "until": until.isoformat(), "reason": "a test"}
        finished = stack.one(
            "select finish_turn(%s, 'complete', 'Late.', p_cooldowns => %s) as result",
            *(turn, Jsonb([row])),
        )
        assert finished["result"] == {"outcome": "lost"}
        assert stack.one("select until from model_cooldowns") == {"until": until}

    def test_cooldown_is_forgotten_when_it_has_passed_for_a_while(self, stack: Stack) -> None:
        self.cool(stack, 30, key="long ago")
        self.pass_by(stack, minutes=11)
        self.cool(stack, 30, key="lately")
        stack.db.execute(
            "update model_cooldowns set until = now() - interval '9 minutes' where key = 'lately'"
        )
        self.cool(stack, 30, key="now")

        forgotten = stack.one("select clear_passed_cooldowns() as n")["n"]

        assert forgotten == 1
        kept = stack.all("select key from model_cooldowns order by key")
        assert [row["key"] for row in kept] == ["lately", "now"]
