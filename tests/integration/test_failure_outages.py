"""Failing servers, broken networks and unusable replies: which target is asked instead."""

import gzip
import json
from typing import Any

import pytest

from tests.support.answers import (
    abort,
    chunk,
    event,
    hang_up,
    html,
    raw,
    raw_sse,
    reasoning,
    reply,
    stream,
    text,
    whitespace,
    worker_chat,
    worker_error,
)
from tests.support.talk import DOLPHIN, DOLPHIN_R1, LAG, VENICE, WORKER, Talk, failing, lasting
from tests.support.upstream import Answer, refusing

GZIP = {"Content-Encoding": "gzip"}


def worked(words: str, **more: Any) -> bytes:
    """What the worker answers, as bytes."""
    return json.dumps({"success": True, "response": words, **more}).encode()


PAID = {"prompt_tokens": 100, "completion_tokens": 7, "cost": 0.25}
THIS_MODEL = f"model openrouter:{VENICE}"
PROVIDER = "provider openrouter"
PAGE = "<!DOCTYPE html><title>Temporarily unavailable | CANARY | Cloudflare</title>"

OUTAGES = [
    pytest.param(failing(500, "Internal Server Error"), THIS_MODEL, 15, id="500"),
    pytest.param(failing(502), THIS_MODEL, 30, id="502"),
    pytest.param(failing(502, error_type="provider_unavailable"), THIS_MODEL, 30, id="502-by-type"),
    pytest.param(failing(503, "No backends available"), THIS_MODEL, 30, id="503"),
    pytest.param(
        failing(503, availability={"code": "temporarily_unavailable", "retry_after": 90}),
        THIS_MODEL,
        90,
        id="503-with-a-hint",
    ),
    pytest.param(failing(529), THIS_MODEL, 30, id="529"),
    pytest.param(failing(524, "Infrastructure Timeout"), THIS_MODEL, 30, id="524"),
    pytest.param(failing(504, "Operation timed out"), THIS_MODEL, 30, id="504"),
    pytest.param(failing(408, "Operation timed out"), THIS_MODEL, 30, id="408"),
    pytest.param(reply(599, "CANARY"), THIS_MODEL, 30, id="599"),
]
OUTAGES_OF_ALL = [
    pytest.param(reply(503, PAGE, {"Content-Type": "text/html"}), id="page"),
    pytest.param(html(522), id="522-page"),
    pytest.param(failing(502, raw="error code: 1015"), id="1015"),
    pytest.param(abort(), id="reset"),
    pytest.param(hang_up(), id="hang-up"),
    pytest.param(raw(b"CANARY\r\n\r\n"), id="no-http"),
    pytest.param(
        raw_sse(b"CANARY", headers={"Content-Encoding": "gzip"}), id="compressed-in-some-other-way"
    ),
]


class TestModel:
    @pytest.mark.parametrize(("outage", "on_cooldown", "seconds"), OUTAGES)
    def test_failing_model_is_replaced_by_the_worker_where_that_is_healthy(
        self, talk: Talk, outage: Answer, on_cooldown: str, seconds: float
    ) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(outage, worker_chat("Sit."))

        body = talk.reply()

        assert talk.asked() == [VENICE, WORKER]
        assert (body["model_used"], body["fallbackModel"]) == ("chat_worker", "chat_worker")
        assert talk.said() == ["Hello", "> Sit."]
        assert talk.turn() == ("complete", None)
        assert talk.cooldowns() == {on_cooldown: lasting(seconds=seconds)}

    @pytest.mark.parametrize(("outage", "on_cooldown", "seconds"), OUTAGES)
    def test_failing_model_is_replaced_by_the_next(
        self, talk: Talk, outage: Answer, on_cooldown: str, seconds: float
    ) -> None:
        talk.stack.upstream.enqueue(outage, text("Good evening."))

        body = talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert (body["usedFallback"], body["fallbackModel"]) == (True, DOLPHIN_R1)
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.cooldowns() == {on_cooldown: lasting(seconds=seconds)}

    def test_only_model_that_fails_is_asked_again_once(self, talk: Talk) -> None:
        talk.have_only(VENICE)
        talk.stack.upstream.enqueue(failing(502), text("Good evening."))

        body = talk.reply()

        assert talk.asked() == [VENICE] * 2
        assert [tried["outcome"] for tried in body["route"]] == ["overloaded", "ok"]
        assert talk.cooldowns() == {}

    def test_only_model_that_fails_twice_is_reported(self, talk: Talk) -> None:
        talk.have_only(VENICE)
        talk.stack.upstream.always(failing(502))

        answer = talk.say()

        assert talk.asked() == [VENICE] * 2
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model_available")
        assert int(answer.headers["retry-after"]) == pytest.approx(30, abs=LAG)
        assert talk.turn() == ("failed", "overloaded")
        assert talk.cooldowns() == {THIS_MODEL: lasting(seconds=30)}

    def test_after_model_is_asked_and_the_last_one_again(self, talk: Talk) -> None:
        talk.stack.upstream.always(failing(500))

        answer = talk.say()

        assert talk.asked() == [VENICE, DOLPHIN_R1, DOLPHIN, DOLPHIN]
        assert answer.status_code == 503
        assert talk.said() == ["Hello"]
        assert talk.turn() == ("failed", "server_error")
        assert len(talk.cooldowns()) == 3

    def test_failing_model_is_asked_again_when_the_worker_fails_too(self, talk: Talk) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(failing(500), worker_error(503), text("Good evening."))

        body = talk.reply()

        assert talk.asked() == [VENICE, WORKER, DOLPHIN_R1]
        assert [(tried["target"], tried["outcome"]) for tried in body["route"]] == [
            (f"openrouter:{VENICE}", "failed"),
            ("chat_worker", "failed"),
            (f"openrouter:{DOLPHIN_R1}", "ok"),
        ]
        assert all(tried.keys() == {"target", "outcome", "ms"} for tried in body["route"])
        assert sum(tried["ms"] for tried in body["route"]) <= body["processing_time"] + 3

    def test_worker_that_is_not_healthy_comes_last(self, talk: Talk) -> None:
        talk.have_worker()
        talk.stack.worker_health(healthy=False, workerUrl=f"{talk.stack.upstream.url}/worker")
        talk.stack.upstream.enqueue(*[failing(500)] * 3, worker_chat("Sit."))

        talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1, DOLPHIN, WORKER]

    def test_redirection_is_not_followed(self, talk: Talk) -> None:
        elsewhere = f"{talk.stack.upstream.url}/elsewhere"
        talk.stack.upstream.enqueue(reply(307, "", {"Location": elsewhere}), text("Good evening."))

        talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert {call.path for call in talk.stack.upstream.calls} == {"/api/v1/chat/completions"}


@pytest.mark.installations
class TestProvider:
    @pytest.mark.parametrize("outage", OUTAGES_OF_ALL)
    def test_failing_provider_is_replaced_by_the_worker_where_that_is_healthy(
        self, talk: Talk, outage: Answer
    ) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(outage, worker_chat("Sit."))

        talk.reply()

        assert talk.asked() == [VENICE, WORKER]
        assert talk.cooldowns() == {PROVIDER: lasting(seconds=30)}

    @pytest.mark.parametrize("outage", OUTAGES_OF_ALL)
    def test_failing_provider_without_another_is_asked_again_once(
        self, talk: Talk, outage: Answer
    ) -> None:
        talk.stack.upstream.enqueue(outage, text("Good evening."))

        body = talk.reply()

        assert talk.asked() == [VENICE] * 2
        assert body["usedFallback"] is False
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.cooldowns() == {}

    def test_provider_that_fails_again_is_not_asked_for_its_other_models(self, talk: Talk) -> None:
        talk.stack.upstream.always(html())

        answer = talk.say()

        assert talk.asked() == [VENICE] * 2
        assert answer.status_code == 503
        assert talk.turn() == ("failed", "edge_error")
        assert talk.cooldowns() == {PROVIDER: lasting(seconds=30)}

    def test_provider_that_refuses_connections_is_replaced_by_the_worker(self, talk: Talk) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(worker_chat("Sit."))
        with refusing() as url:
            talk.stack.db.execute("update api_providers set base_url = %s", (url,))

            talk.reply()

        assert talk.asked() == [WORKER]
        assert talk.cooldowns() == {PROVIDER: lasting(seconds=30)}


def in_json(error: Any, **more: Any) -> Answer:
    return reply(200, {"error": error} | more)


ERROR = {"code": 502, "message": "Upstream error from CANARY", "metadata": {}}
NO_REPLIES = [
    pytest.param(whitespace(), "unreadable", None, id="blank-lines"),
    pytest.param(html(200), "unreadable", None, id="page"),
    pytest.param(reply(200, '{"choices": [{"mess'), "unreadable", None, id="json-broken-off"),
    pytest.param(reply(200, ""), "unreadable", None, id="nothing"),
    pytest.param(raw_sse(b": OPENROUTER PROCESSING\n\n"), "unreadable", None, id="comments-alone"),
    pytest.param(raw_sse(b"data: [DONE]\n\n"), "unreadable", None, id="done-alone"),
    pytest.param(raw_sse(b"data: CANARY\n\n"), "unreadable", None, id="event-that-is-no-json"),
    pytest.param(
        in_json({"code": 500, "message": "CANARY"}, user_id="org_CANARY"),
        "server_error",
        15,
        id="error-alone",
    ),
    pytest.param(in_json(ERROR, choices=[]), "overloaded", 30, id="error-beside-empty-choices"),
    pytest.param(
        reply(
            200,
            {
                "choices": [
                    {
                        "message": {"content": "partial CANARY"},
                        "finish_reason": "error",
                        "error": ERROR,
                    }
                ]
            },
        ),
        "overloaded",
        30,
        id="error-inside-the-choice",
    ),
    pytest.param(
        stream([chunk("x", {"content": ""}, "error", error=ERROR)], finish=None),
        "overloaded",
        30,
        id="streamed-error-beside-finish-reason",
    ),
    pytest.param(
        raw_sse(event({"choices": [], "error": ERROR})),
        "overloaded",
        30,
        id="streamed-error-beside-empty-choices",
    ),
    pytest.param(
        raw_sse(event({"choices": [{"delta": {}, "finish_reason": "error", "error": ERROR}]})),
        "overloaded",
        30,
        id="streamed-error-inside-the-choice",
    ),
    pytest.param(
        raw_sse(event({"error": {"code": "server_error"}, "user_id": "CANARY"})),
        "overloaded",
        30,
        id="streamed-error-alone",
    ),
    pytest.param(
        stream([reasoning("CANARY")], finish=None, usage=None, done=False),
        "cut_off",
        None,
        id="end-after-reasoning",
    ),
]


class TestReplyThatIsNone:
    @pytest.mark.parametrize(("answer", "policy", "seconds"), NO_REPLIES)
    def test_unusable_reply_with_status_200_leads_to_the_next_model(
        self, talk: Talk, answer: Answer, policy: str, seconds: float | None
    ) -> None:
        talk.stack.upstream.enqueue(answer, text("Good evening."))

        talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.turn() == ("complete", None)
        assert talk.cooldowns() == ({THIS_MODEL: lasting(seconds=seconds)} if seconds else {})

    @pytest.mark.parametrize(("answer", "policy", "seconds"), NO_REPLIES)
    def test_unusable_replies_of_all_models_are_told(
        self, talk: Talk, answer: Answer, policy: str, seconds: float | None
    ) -> None:
        talk.have_only(VENICE)
        talk.stack.upstream.always(answer)

        told = talk.say()

        assert talk.asked() == [VENICE] * 2
        assert (told.status_code, told.json()["code"]) == (503, "no_model_available")
        assert talk.said() == ["Hello"]
        assert talk.turn() == ("failed", policy)

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(text(""), id="nothing"),
            pytest.param(text(" \n "), id="blank"),
            pytest.param(stream([reasoning("CANARY")]), id="reasoning-alone"),
            pytest.param(stream([], finish="tool_calls"), id="tool-calls"),
        ],
    )
    def test_empty_reply_is_asked_for_again_once(self, talk: Talk, answer: Answer) -> None:
        talk.stack.upstream.enqueue(answer, answer, text("Good evening."))

        body = talk.reply()

        assert talk.asked() == [VENICE, VENICE, DOLPHIN_R1]
        assert [tried["outcome"] for tried in body["route"]] == ["empty", "empty", "ok"]
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.cooldowns() == {}

    def test_reply_spent_on_reasoning_is_asked_for_with_more_tokens_once(self, talk: Talk) -> None:
        spent = stream([reasoning("CANARY")], finish="length")
        talk.stack.upstream.enqueue(spent, spent, text("Good evening."))

        talk.reply()

        sent = [(call.model, call.json["max_tokens"]) for call in talk.stack.upstream.calls]
        assert sent == [(VENICE, 400), (VENICE, 800), (DOLPHIN_R1, 400)]

    def test_reply_that_reached_the_token_limit_is_complete(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening. Sit.", finish="length"))

        body = talk.reply()

        assert (body["finish_reason"], body["incomplete"]) == ("length", False)
        assert talk.turn() == ("complete", None)


class TestWhatFailedCost:
    """Tokens and cost of failed calls are counted like those of others."""

    def failing_stream(self, *last: dict[str, Any]) -> Answer:
        said = [chunk(VENICE, {"content": ""}), *last]
        return raw_sse(b"".join(map(event, said)))

    @pytest.mark.parametrize("place", ["before", "in", "after"])
    def test_cost_of_failed_calls_is_recorded(self, talk: Talk, place: str) -> None:
        error: dict[str, Any] = {"choices": [], "error": {"code": 502, "message": "gone"}}
        usage = {"choices": [], "usage": PAID}
        last = {"before": [usage, error], "in": [error | usage], "after": [error, usage]}[place]
        talk.stack.upstream.enqueue(self.failing_stream(*last), text("Good evening."))

        talk.reply()

        rows = talk.stack.all(
            "select outcome, prompt_tokens, completion_tokens, cost_usd::float as cost"
            " from usage_events order by created_at, outcome desc"
        )
        failed = next(row for row in rows if row["outcome"] != "ok")
        assert len(rows) == 2
        assert failed == {
            "outcome": "overloaded",
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "cost": 0.25,
        }

    def test_cost_of_failed_calls_counts_for_the_limits(self, talk: Talk) -> None:
        talk.stack.configure(limits={"default": {"usd_per_day": 0.2}})
        error = {"choices": [], "error": {"code": 502, "message": "gone"}, "usage": PAID}
        talk.stack.upstream.enqueue(self.failing_stream(error), text("Good evening."))
        talk.reply()
        spent = talk.stack.one("select private.is_spent(%s, now()) as spent", talk.user.id)
        assert spent == {"spent": True}


class TestWorker:
    @pytest.mark.parametrize(
        ("failure", "on_cooldown", "alerts"),
        [
            pytest.param(worker_error(), {}, [], id="tensor-error"),
            pytest.param(
                worker_error(500, "CUDA out of memory. Tried to allocate CANARY"),
                {"model chat_worker:chat_worker": lasting(minutes=1)},
                ["worker_out_of_memory"],
                id="out-of-memory",
            ),
            pytest.param(
                worker_error(503, "CANARY"),
                {"model chat_worker:chat_worker": lasting(seconds=30)},
                [],
                id="503",
            ),
            pytest.param(
                worker_error(200, "CANARY"),
                {"model chat_worker:chat_worker": lasting(seconds=30)},
                [],
                id="failure-inside-200",
            ),
            pytest.param(
                html(502), {"model chat_worker:chat_worker": lasting(seconds=30)}, [], id="page"
            ),
            pytest.param(
                whitespace(),
                {"model chat_worker:chat_worker": lasting(seconds=30)},
                [],
                id="blank-lines",
            ),
            pytest.param(
                abort(), {"model chat_worker:chat_worker": lasting(seconds=30)}, [], id="reset"
            ),
            pytest.param(
                failing(401, "CANARY"),
                {"model chat_worker:chat_worker": lasting(minutes=5)},
                ["bad_key"],
                id="key-refused",
            ),
        ],
    )
    def test_failing_worker_is_replaced_in_the_same_request(
        self, talk: Talk, failure: Answer, on_cooldown: dict[str, Any], alerts: list[str]
    ) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(failure, text("Good evening."))

        body = talk.reply(model_provider="chat_worker")

        assert talk.asked() == [WORKER, VENICE]
        assert (body["usedFallback"], body["fallbackModel"]) == (True, VENICE)
        assert body["notice"] == (
            "The local model could not answer this time;"
            " Venice Dolphin Mistral 24B answered instead."
        )
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.cooldowns() == on_cooldown
        assert talk.alerts() == alerts

    def test_worker_that_cannot_be_reached_is_not_called_overloaded(self, talk: Talk) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(abort(), text("Good evening."))

        body = talk.reply(model_provider="chat_worker")

        assert [tried["outcome"] for tried in body["route"]] == ["unreachable", "ok"]
        rows = talk.stack.all("select outcome from usage_events where outcome <> 'ok'")
        assert rows == [{"outcome": "unreachable"}]

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            pytest.param(gzip.compress(worked("a" * 50_000_000), 1), GZIP, id="bomb"),
            pytest.param(gzip.compress(gzip.compress(worked("Hi."))), GZIP, id="packed-twice"),
            pytest.param(
                gzip.compress(gzip.compress(worked("Hi."))),
                {"Content-Encoding": "gzip, gzip"},
                id="said-to-be-packed-twice",
            ),
            pytest.param(worked("Hi."), {"Content-Encoding": "br"}, id="unknown-compression"),
            pytest.param(gzip.compress(worked("Hi."))[:20], GZIP, id="broken-off"),
            pytest.param(worked("Hi.", x=[{}] * 60_000), {}, id="many-values"),
            pytest.param(worked("Hi.")[:-1] + b',"x":' + b"[" * 100_000, {}, id="deep"),
            pytest.param(worked("\n" * 600_000), {}, id="endless-lines"),
            pytest.param(b'{"success":"true","response":"Hi."}', {}, id="text-for-a-truth"),
            pytest.param(b'{"success":false,"error":1e308}', {}, id="number-for-an-error"),
            pytest.param(b'{"success":true,"response":"caf\xe9"}', {}, id="another-charset"),
            pytest.param(b"[]", {}, id="list"),
            pytest.param(b"1e999", {}, id="infinite"),
            pytest.param(b"", {}, id="nothing"),
        ],
    )
    def test_that_answers_with_anything_is_replaced_in_the_same_request(
        self, talk: Talk, body: bytes, headers: dict[str, str]
    ) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(reply(200, body, headers), text("Good evening."))
        assert talk.reply(model_provider="chat_worker")["response"] == "Good evening."
        assert talk.asked()[-1] == VENICE
        assert talk.turn() == ("complete", None)

    @pytest.mark.parametrize(
        ("said", "kept"),
        [
            ('"Hi \\ud800there\\u0000."', "Hi there."),
            ('"Hi.","tokens_generated":1e308', "Hi."),
            ('"Hi.","tokens_generated":1e999', "Hi."),
            ('"Hi.","tokens_generated":' + "9" * 5_000, "Hi."),
            ('"No.","response":"Hi."', "Hi."),
        ],
    )
    def test_with_odd_values_beside_a_reply_is_believed(
        self, talk: Talk, said: str, kept: str
    ) -> None:
        talk.have_worker()
        body = f'{{"success":true,"response":{said}}}'.encode()
        talk.stack.upstream.enqueue(reply(200, body))
        answer = talk.reply(model_provider="chat_worker")
        assert (answer["response"], answer["saved"]) == (kept, True)
        assert talk.turn() == ("complete", None)

    def test_worker_with_an_empty_reply_is_asked_again_once(self, talk: Talk) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(worker_chat(" "), worker_chat(""), text("Good evening."))

        talk.reply(model_provider="chat_worker")

        assert talk.asked() == [WORKER, WORKER, VENICE]

    def test_worker_that_refuses_connections_is_replaced_in_the_same_request(
        self, talk: Talk
    ) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(text("Good evening."))
        with refusing() as url:
            talk.stack.db.execute(
                "update private.system_settings"
                " set config = jsonb_set(config, '{chatWorkerUrl}', to_jsonb(%s::text))",
                (url,),
            )
            talk.stack.worker_health(workerUrl=url)

            body = talk.reply(model_provider="chat_worker")

        assert talk.asked() == [VENICE]
        assert [tried["target"] for tried in body["route"]] == [
            "chat_worker",
            f"openrouter:{VENICE}",
        ]
        assert talk.cooldowns() == {"model chat_worker:chat_worker": lasting(seconds=30)}

    def test_failure_of_worker_and_all_models_is_told(self, talk: Talk) -> None:
        talk.have_worker()
        talk.have_only(VENICE)
        talk.stack.upstream.enqueue(worker_error(500, "CANARY"))
        talk.stack.upstream.always(failing(502))

        answer = talk.say(model_provider="chat_worker")

        assert talk.asked() == [WORKER, VENICE, VENICE]
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model_available")
        assert talk.said() == ["Hello"]
