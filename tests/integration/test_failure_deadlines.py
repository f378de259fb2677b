"""Time limits of a connection, the first token, the time between tokens, a call and a turn."""

from typing import Any

import pytest

from tests.support.answers import (
    KEEP_ALIVE,
    chunk,
    event,
    reasoning,
    stall,
    stream,
    text,
    worker_chat,
)
from tests.support.servers_streams import THINKING
from tests.support.talk import DOLPHIN, DOLPHIN_R1, VENICE, WORKER, Talk, failing, lasting
from tests.support.upstream import Answer, never_accepting

THIS_MODEL = f"model openrouter:{VENICE}"
ROLE = event(chunk("x", {"role": "assistant", "content": ""}))


def closed(talk: Talk) -> list[bool]:
    """For each call, whether we closed its connection before its response was complete."""
    talk.stack.upstream.wait_for(lambda upstream: not upstream.in_progress)
    return [call.closed_early for call in talk.stack.upstream.calls]


class TestFirstToken:
    @pytest.mark.parametrize(
        "slow",
        [
            pytest.param(stall(), id="silence"),
            pytest.param(stall(KEEP_ALIVE), id="headers-alone"),
            pytest.param(stall(comment_every=0.02), id="keep-alive-comments"),
            pytest.param(stall(ROLE), id="role-alone"),
        ],
    )
    def test_model_without_a_first_token_is_replaced_by_the_next(
        self, talk: Talk, slow: Answer
    ) -> None:
        talk.limit(VENICE, first_token=0.2)
        talk.stack.upstream.enqueue(slow, text("Good evening."))

        body = talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert closed(talk) == [True, False]
        assert [tried["outcome"] for tried in body["route"]] == ["timeout", "ok"]
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.cooldowns() == {THIS_MODEL: lasting(seconds=30)}

    def test_model_without_a_first_token_is_replaced_by_a_healthy_worker(self, talk: Talk) -> None:
        talk.have_worker()
        talk.limit(VENICE, first_token=0.2)
        talk.stack.upstream.enqueue(stall(), worker_chat("Sit."))

        talk.reply()

        assert talk.asked() == [VENICE, WORKER]

    def test_worker_without_a_first_token_is_replaced_by_a_model(self, talk: Talk) -> None:
        talk.have_worker(timeouts={"first_token": 0.2})
        talk.stack.upstream.enqueue(stall(), text("Good evening."))

        talk.reply(model_provider="chat_worker")

        assert talk.asked() == [WORKER, VENICE]
        assert closed(talk) == [True, False]
        assert talk.cooldowns() == {"model chat_worker:chat_worker": lasting(seconds=30)}

    @pytest.mark.parametrize(
        "thought",
        [
            pytest.param(reasoning("Hm."), id="in-a-field-of-its-own"),
            pytest.param({"delta": {"content": THINKING}}, id="in-parts"),
        ],
    )
    def test_reasoning_counts_as_the_first_token(self, talk: Talk, thought: Any) -> None:
        talk.limit(VENICE, first_token=3, idle=60)
        talk.stack.upstream.enqueue(stream([*[thought] * 4, "Good evening."], gap=0.9))

        body = talk.reply()

        assert talk.asked() == [VENICE]
        assert body["response"] == "Good evening."

    def test_first_token_is_waited_for_as_long_as_the_models_row_says(self, talk: Talk) -> None:
        talk.limit(DOLPHIN_R1, first_token=20)
        talk.stack.upstream.enqueue(stall(), stream(["Good evening."], gap=0.3))

        with talk.stack.serving(FIRST_TOKEN_TIMEOUT_SECONDS="0.2") as url:
            answer = talk.say(url=url)

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert answer.json()["response"] == "Good evening."


def test_connection_that_does_not_come_about_is_not_waited_for(talk: Talk) -> None:
    talk.have_worker()
    talk.limit(VENICE, DOLPHIN_R1, DOLPHIN, connect=0.2)
    talk.stack.upstream.enqueue(worker_chat("Sit."))

    with never_accepting() as url:
        talk.stack.db.execute("update api_providers set base_url = %s", (url,))
        body = talk.reply()

    assert [tried["outcome"] for tried in body["route"]] == ["timeout", "ok"]
    assert talk.asked() == [WORKER]


class TestIdle:
    def test_stream_is_cut_and_what_came_is_kept(self, talk: Talk) -> None:
        talk.limit(VENICE, idle=1)
        talk.stack.upstream.enqueue(stream(["Good ", "evening", stall(comment_every=0.02)]))

        body = talk.reply()

        assert talk.asked() == [VENICE]
        assert closed(talk) == [True]
        assert (body["response"], body["incomplete"]) == ("Good evening", True)
        assert talk.said() == ["Hello", "> Good evening"]
        assert talk.turn() == ("incomplete", "cut_off")

    def test_thoughts_are_cut_and_the_next_model_is_asked(self, talk: Talk) -> None:
        talk.limit(VENICE, idle=0.2)
        talk.stack.upstream.enqueue(stream([reasoning("Hm."), stall()]), text("Good evening."))

        talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]

    def test_stream_that_has_finished_is_complete(self, talk: Talk) -> None:
        talk.limit(VENICE, idle=60, total=2)
        finished = event(chunk("x", {"content": ""}, "stop"))
        talk.stack.upstream.enqueue(stream(["Good evening.", finished, stall()]))

        body = talk.reply()

        assert (body["finish_reason"], body["incomplete"]) == ("stop", False)
        assert talk.turn() == ("complete", None)


def endless(part: Any) -> Answer:
    """An endless reply with quick tokens."""
    return stream([part] * 10_000, gap=0.02)


class TestWholeCall:
    def test_endless_reasoning_is_given_up(self, talk: Talk) -> None:
        talk.limit(VENICE, total=2)
        talk.stack.upstream.enqueue(endless(reasoning("Hm.")), text("Good evening."))

        talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert closed(talk) == [True, False]

    def test_endless_reply_is_cut_off(self, talk: Talk) -> None:
        talk.limit(VENICE, total=2)
        talk.stack.upstream.enqueue(endless("la "))

        body = talk.reply()

        assert body["incomplete"] is True
        assert body["response"].startswith("la la")
        assert talk.turn() == ("incomplete", "cut_off")
        assert closed(talk) == [True]


class TestBudget:
    def test_budget_is_not_exceeded_by_three_slow_models(self, talk: Talk) -> None:
        talk.limit(VENICE, first_token=2)
        talk.stack.upstream.always(stall(comment_every=0.02))

        with talk.stack.serving(TURN_BUDGET_SECONDS="4") as url:
            answer = talk.say(url=url)

        assert talk.asked() == [VENICE, DOLPHIN_R1, DOLPHIN]
        assert closed(talk) == [True] * 3
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model_available")
        assert "retry-after" in answer.headers
        assert talk.said() == ["Hello"]
        assert talk.turn() == ("failed", "timed_out")
        others = {f"model openrouter:{model}" for model in (DOLPHIN_R1, DOLPHIN)}
        assert set(talk.cooldowns()) == {THIS_MODEL, *others}

    def test_budget_is_shared_by_models_that_are_slow_in_turn(self, talk: Talk) -> None:
        talk.limit(VENICE, DOLPHIN_R1, DOLPHIN, first_token=0.2)
        talk.stack.upstream.always(stall())

        answer = talk.say()

        assert talk.asked() == [VENICE, DOLPHIN_R1, DOLPHIN]
        assert answer.status_code == 503
        assert closed(talk) == [True] * 3

    def test_budget_ends_a_reply_that_is_under_way(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(endless("la "))

        with talk.stack.serving(TURN_BUDGET_SECONDS="3") as url:
            body = talk.say(url=url).json()

        assert (body["success"], body["incomplete"]) == (True, True)
        assert talk.turn() == ("incomplete", "cut_off")
        assert talk.asked() == [VENICE]

    def test_budget_is_not_spent_on_waiting_for_one_model(self, talk: Talk) -> None:
        talk.have_only(VENICE)
        limited = failing(429, "Rate limit exceeded", headers={"Retry-After": "2"})
        talk.stack.upstream.enqueue(limited)

        with talk.stack.serving(TURN_BUDGET_SECONDS="3") as url:
            answer = talk.say(url=url)

        assert talk.asked() == [VENICE]
        assert answer.status_code == 503
