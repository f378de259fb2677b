"""Limits and credit: four kinds of 429, five kinds of 402, and rejected keys."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.answers import event, raw_sse, text, worker_chat
from tests.support.talk import DOLPHIN, DOLPHIN_R1, LAG, VENICE, WORKER, Talk, failing, lasting
from tests.support.upstream import Answer

PAID = "meta-llama/llama-3.1-8b-instruct"
FREE = "account openrouter:free"
ACCOUNT = "account openrouter"
THIS_MODEL = f"model openrouter:{VENICE}"
AT_ONCE = {"Retry-After": "0"}


def daily_cap(lifted: datetime, told: str = "in-a-header") -> Answer:
    """The free requests of the day are used up; Retry-After says something else.

    The reset is in a header, or in the body, where OpenRouter repeats its headers.
    """
    message = "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000"
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{lifted.timestamp() * 1000:.0f}"}
    misleading = {"Retry-After": "25"}
    if told == "in-a-header":
        return failing(429, message, headers=misleading | reset, provider_name="Google AI Studio")
    if told == "in-the-body":
        return failing(429, message, headers=misleading, mirrored=reset)
    error = {"code": 429, "message": message, "metadata": {"headers": reset | misleading}}
    return raw_sse(event({"error": error, "user_id": "user_CANARY"}))


def minute_cap(seconds: int = 0) -> Answer:
    message = "Rate limit exceeded: free-models-per-min."
    return failing(429, message, headers={"Retry-After": str(seconds)})


def pool_limited(**headers: str) -> Answer:
    return failing(
        429,
        headers=headers,
        raw="x:free is temporarily rate-limited upstream. Please retry shortly",
        provider_name="Venice",
        limit_source="upstream_provider_shared_pool",
    )


def affordable(tokens: int) -> Answer:
    return failing(
        402,
        "This request requires more credits, or fewer max_tokens. You requested up to 400 tokens,"
        f" but can only afford {tokens}. To increase, visit https://openrouter.ai/CANARY",
        provider_name=None,
    )


class TestDailyCap:
    def lifted(self, **delta: float) -> datetime:
        return datetime.now(UTC) + timedelta(**delta)

    @pytest.mark.parametrize("told", ["in-a-header", "in-the-body", "in-a-stream"])
    def test_daily_cap_ends_the_turn_and_names_the_reset_not_the_retry_after(
        self, talk: Talk, told: str
    ) -> None:
        lifted = self.lifted(hours=3)
        talk.stack.upstream.enqueue(daily_cap(lifted, told))

        answer = talk.say()

        assert talk.asked() == [VENICE]
        assert (answer.status_code, answer.json()["code"]) == (503, "free_limit_reached")
        assert answer.json()["error"] == (
            f"Today's free replies are used up. They are back at {lifted:%H:%M} UTC."
        )
        assert int(answer.headers["retry-after"]) == pytest.approx(3 * 3600, abs=LAG)
        assert talk.said() == ["Hello"]
        assert talk.turn() == ("failed", "free_daily_cap")
        assert talk.cooldowns() == {FREE: lasting(hours=3)}
        assert talk.alerts() == ["free_daily_cap"]

    def test_cap_that_lifts_within_an_hour_is_told_in_minutes(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(daily_cap(self.lifted(minutes=20)))

        assert talk.say().json()["error"].endswith("They are back in 20 minutes.")

    def test_daily_cap_has_its_status_for_a_stream_too(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(daily_cap(self.lifted(hours=3)))

        with talk.streaming() as events:
            body = json.loads(events.response.read())

        assert events.response.status_code == 503
        assert int(events.response.headers["retry-after"]) == pytest.approx(3 * 3600, abs=LAG)
        assert body["code"] == "free_limit_reached"

    def test_worker_answers_after_the_daily_cap(self, talk: Talk) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(daily_cap(self.lifted(hours=3)), worker_chat("Sit."))

        body = talk.reply()

        assert talk.asked() == [VENICE, WORKER]
        assert (body["model_used"], body["usedFallback"]) == ("chat_worker", True)
        assert talk.said() == ["Hello", "> Sit."]
        assert talk.turn() == ("complete", None)
        assert talk.cooldowns() == {FREE: lasting(hours=3)}

    def test_leaves_models_that_are_not_free(self, talk: Talk) -> None:
        talk.have_only(VENICE, DOLPHIN, PAID)
        talk.describe(PAID, fallback_allowed=True)
        talk.stack.upstream.enqueue(daily_cap(self.lifted(hours=3)), text("Sit."))

        talk.reply()

        assert talk.asked() == [VENICE, PAID]


class TestMinuteCap:
    def test_minute_cap_that_passes_soon_is_waited_for(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(*[minute_cap()] * 3, text("Good evening."))

        body = talk.reply()

        assert talk.asked() == [VENICE] * 4
        assert (body["usedFallback"], body["notice"]) == (False, None)
        assert [tried["outcome"] for tried in body["route"]] == ["rate_limited"] * 3 + ["ok"]
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.turn() == ("complete", None)
        assert talk.cooldowns() == {}

    def test_minute_cap_is_waited_for_three_times(self, talk: Talk) -> None:
        talk.stack.upstream.always(minute_cap())

        answer = talk.say()

        assert talk.asked() == [VENICE] * 4
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model_available")
        assert answer.json()["error"] == (
            "No model can answer right now. Please try again in a minute."
        )
        assert int(answer.headers["retry-after"]) == pytest.approx(60, abs=LAG)
        assert talk.turn() == ("failed", "free_minute_cap")
        assert talk.cooldowns() == {FREE: lasting(minutes=1)}

    def test_minute_cap_is_not_waited_for_where_the_worker_can_answer(self, talk: Talk) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(minute_cap(30), worker_chat("Sit."))

        talk.reply()

        assert talk.asked() == [VENICE, WORKER]
        assert talk.cooldowns() == {FREE: lasting(minutes=1)}

    def test_minute_cap_that_outlasts_the_budget_is_told(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(minute_cap(1200))

        answer = talk.say()

        assert talk.asked() == [VENICE]
        assert answer.json()["error"].endswith("Please try again in 20 minutes.")
        assert int(answer.headers["retry-after"]) == pytest.approx(1200, abs=LAG)
        assert talk.cooldowns() == {FREE: lasting(minutes=20)}


class TestOtherRateLimits:
    @pytest.mark.parametrize(
        ("answer", "cooldown"),
        [
            pytest.param(pool_limited(), lasting(minutes=1), id="pool-without-a-hint"),
            pytest.param(pool_limited(**AT_ONCE), lasting(minutes=1), id="pool-with-a-short-hint"),
            pytest.param(
                failing(429, raw="temporarily rate-limited upstream", retry_after_seconds=150),
                lasting(seconds=150),
                id="pool-with-a-hint-in-the-body",
            ),
            pytest.param(
                failing(
                    429,
                    "All providers for x are at capacity. Retry after 90 seconds.",
                    availability={"code": "capacity_exhausted", "retry_after": 90},
                ),
                lasting(seconds=90),
                id="capacity-exhausted",
            ),
        ],
    )
    def test_rate_limit_of_one_model_leads_to_the_next_at_once(
        self, talk: Talk, answer: Answer, cooldown: Any
    ) -> None:
        talk.stack.upstream.enqueue(answer, text("Good evening."))

        body = talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert (body["usedFallback"], body["fallbackModel"]) == (True, DOLPHIN_R1)
        assert body["notice"] == (
            "The default model could not answer this time;"
            " Dolphin 3.0 R1 Mistral 24B answered instead."
        )
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.cooldowns() == {THIS_MODEL: cooldown}
        assert talk.alerts() == []

    def test_rate_limit_of_the_only_model_is_waited_for(self, talk: Talk) -> None:
        talk.have_only(VENICE)
        talk.stack.upstream.enqueue(*[pool_limited(**AT_ONCE)] * 3, text("Good evening."))

        talk.reply()

        assert talk.asked() == [VENICE] * 4
        assert talk.cooldowns() == {}

    def test_short_rate_limit_without_a_source_is_waited_for(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(
            failing(429, "Rate limit exceeded", headers=AT_ONCE),
            failing(429, "Rate limit exceeded", headers={"Retry-After": "60"}),
            text("Good evening."),
        )

        talk.reply()

        assert talk.asked() == [VENICE, VENICE, DOLPHIN_R1]
        assert talk.cooldowns() == {THIS_MODEL: lasting(minutes=1)}


class TestCredit:
    def tokens_asked_for(self, talk: Talk) -> list[tuple[str, int]]:
        return [(call.model, call.json["max_tokens"]) for call in talk.stack.upstream.calls]

    def test_for_a_shorter_reply_buys_a_shorter_reply(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(affordable(100), text("Good evening."))

        body = talk.reply()

        assert self.tokens_asked_for(talk) == [(VENICE, 400), (VENICE, 99)]
        assert body["usedFallback"] is False
        assert talk.cooldowns() == {}
        assert talk.alerts() == ["credit_for_fewer_tokens"]

    def test_shrinking_credit_is_tried_only_once(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(affordable(100), affordable(80), text("Good evening."))

        talk.reply()

        assert self.tokens_asked_for(talk) == [(VENICE, 400), (VENICE, 99), (DOLPHIN_R1, 400)]

    def test_for_a_few_words_is_not_used(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(affordable(12), text("Good evening."))

        talk.reply()

        assert self.tokens_asked_for(talk) == [(VENICE, 400), (DOLPHIN_R1, 400)]
        assert talk.cooldowns() == {f"model openrouter:{VENICE}": lasting(minutes=10)}

    def test_credit_for_fewer_tokens_buys_a_shorter_reply(self, talk: Talk) -> None:
        refusal = failing(402, reason="weight_exceeds_budget", limit_source="openrouter_credits")
        talk.stack.upstream.enqueue(refusal, text("Good evening."))

        talk.reply()

        assert self.tokens_asked_for(talk) == [(VENICE, 400), (VENICE, 200)]

    def test_credit_in_flight_is_waited_for(self, talk: Talk) -> None:
        refusal = failing(402, headers=AT_ONCE, limit_source="openrouter_in_flight_budget")
        talk.stack.upstream.enqueue(refusal, refusal, text("Good evening."))

        talk.reply()

        assert talk.asked() == [VENICE] * 3
        assert talk.cooldowns() == {}
        assert talk.alerts() == []

    def test_missing_credit_of_the_models_provider_is_not_ours(self, talk: Talk) -> None:
        refusal = failing(402, raw="API key USD spend limit exceeded", provider_name="Venice")
        talk.stack.upstream.enqueue(refusal, text("Good evening."))

        talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert talk.cooldowns() == {THIS_MODEL: lasting(minutes=10)}
        assert talk.alerts() == []


OURS = [
    pytest.param(failing(401, "User not found."), "bad_key", lasting(minutes=5), id="key-revoked"),
    pytest.param(
        failing(401, "Missing Authentication header"),
        "bad_key",
        lasting(minutes=5),
        id="key-missing",
    ),
    pytest.param(
        failing(402, "Insufficient credits"), "no_credit", lasting(minutes=10), id="credit-spent"
    ),
    pytest.param(
        failing(403, "Key limit exceeded (total limit). Manage it using https://CANARY"),
        "key_limit",
        lasting(hours=1),
        id="key-limit",
    ),
    pytest.param(
        failing(402, "Key limit exceeded (monthly limit)."),
        "key_limit",
        lasting(hours=1),
        id="key-limit-as-402",
    ),
    pytest.param(
        failing(403, "Budget exceeded", limit_source="openrouter_workspace_budget"),
        "key_limit",
        lasting(hours=1),
        id="workspace-budget",
    ),
]


@pytest.mark.parametrize(("refusal", "policy", "cooldown"), OURS)
class TestAccountThatIsRefused:
    def test_refused_account_is_an_outage_for_the_person_and_an_alert_for_the_operator(
        self, talk: Talk, refusal: Answer, policy: str, cooldown: Any
    ) -> None:
        talk.stack.upstream.enqueue(refusal)

        answer = talk.say()

        assert talk.asked() == [VENICE]
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model_available")
        assert "retry-after" in answer.headers
        assert talk.said() == ["Hello"]
        assert talk.turn() == ("failed", policy)
        assert talk.cooldowns() == {ACCOUNT: cooldown}
        assert talk.alerts() == [policy]

    def test_worker_answers_while_the_account_is_refused(
        self, talk: Talk, refusal: Answer, policy: str, cooldown: Any
    ) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(refusal, worker_chat("Sit."))

        talk.reply()

        assert talk.asked() == [VENICE, WORKER]
        assert talk.said() == ["Hello", "> Sit."]
        assert talk.alerts() == [policy]
        assert talk.cooldowns() == {ACCOUNT: cooldown}


def test_budget_that_names_its_reset_is_on_cooldown_until_then(talk: Talk) -> None:
    lifted = datetime.now(UTC) + timedelta(hours=2)
    talk.stack.upstream.enqueue(
        failing(403, limit_source="openrouter_key_limit", resets_at=lifted.isoformat())
    )

    answer = talk.say()

    assert answer.json()["error"].endswith(f"Please try again at {lifted:%H:%M} UTC.")
    assert talk.cooldowns() == {ACCOUNT: lasting(hours=2)}


@pytest.mark.parametrize("key", ["", "  \n", "clé"], ids=["empty", "blank", "not-ascii"])
def test_key_that_cannot_be_sent_leaves_the_worker(talk: Talk, key: str) -> None:
    talk.have_worker()
    talk.stack.upstream.enqueue(worker_chat("Sit."))

    with talk.stack.serving(OpenRouter_Roleplay_API_KEY=key) as url:
        answer = talk.say(url=url)

    assert talk.asked() == [WORKER]
    assert answer.json()["response"] == "Sit."
    assert set(talk.alerts()) == {"misconfigured"}
    assert talk.cooldowns() == {}


def test_key_that_is_not_bound_to_the_address_of_its_row(talk: Talk) -> None:
    """The log says what to set, and there is no alert."""
    talk.stack.db.execute("update api_providers set base_url = 'https://elsewhere.invalid/v1'")

    assert talk.say().status_code == 503

    whys = {target["why"] for line in talk.log for target in line.get("targets", ())}
    assert whys == {
        "OpenRouter_Roleplay_API_KEY may not be sent there: set"
        " KEY_ORIGINS=OpenRouter_Roleplay_API_KEY=https://openrouter.ai,"
        "OpenRouter_Roleplay_API_KEY=https://elsewhere.invalid"
    }
    assert set(talk.alerts()) == {"misconfigured"}
    assert talk.stack.upstream.calls == []


@pytest.mark.parametrize("address", ["ftp://models.example", "http://a..b", "http://models:port"])
def test_address_that_cannot_be_called_leaves_the_worker(talk: Talk, address: str) -> None:
    talk.have_worker()
    talk.stack.db.execute("update api_providers set base_url = %s", (address,))
    talk.stack.upstream.enqueue(worker_chat("Sit."))

    body = talk.reply()

    assert talk.asked() == [WORKER]
    assert body["response"] == "Sit."
    assert set(talk.alerts()) == {"misconfigured"}


def test_key_with_a_line_end_after_it_is_sent_without(talk: Talk) -> None:
    talk.stack.upstream.enqueue(text("Good evening."))

    with talk.stack.serving(OpenRouter_Roleplay_API_KEY="sk-or-test\n") as url:
        talk.say(url=url)

    assert talk.stack.upstream.calls[0].headers["authorization"] == "Bearer sk-or-test"
