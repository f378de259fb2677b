"""Requests that a model rejects: for the text, a parameter, the length, or because it is gone."""

from typing import Any

import pytest

from tests.support.answers import reply, stream, text, worker_chat
from tests.support.talk import DOLPHIN, DOLPHIN_R1, VENICE, WORKER, Talk, failing, lasting
from tests.support.upstream import Answer

THIS_MODEL = f"model openrouter:{VENICE}"
SMALLEST = {"model", "messages", "max_tokens", "stream"}


class TestText:
    @pytest.mark.parametrize(
        ("refusal", "policy"),
        [
            pytest.param(
                failing(
                    403,
                    'x requires moderation on Y. Your input was flagged for "violence".',
                    reasons=["violence"],
                    flagged_input="CANARY",
                ),
                "moderated",
                id="moderation",
            ),
            pytest.param(
                failing(400, error_type="content_policy_violation"), "moderated", id="policy"
            ),
            pytest.param(stream([], finish="content_filter"), "moderated", id="filtered-reply"),
            pytest.param(
                failing(403, "Request blocked: prompt injection patterns", patterns=["CANARY"]),
                "guardrail",
                id="guardrail",
            ),
        ],
    )
    def test_refused_text_is_sent_to_no_other_model(
        self, talk: Talk, refusal: Answer, policy: str
    ) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(refusal)

        answer = talk.say()

        assert talk.asked() == [VENICE]
        assert (answer.status_code, answer.json()["code"]) == (403, "content_refused")
        assert answer.json()["error"] == (
            "The model's provider refused this message because of its content rules."
        )
        assert talk.said() == ["Hello"]
        assert talk.turn() == ("failed", policy)
        assert talk.cooldowns() == {}
        assert talk.alerts() == []


GONE = [
    pytest.param(
        failing(404, f"No endpoints found for {VENICE}."), "model_gone", 6, id="no-endpoints"
    ),
    pytest.param(
        failing(400, f"{VENICE} is not a valid model ID"), "model_gone", 6, id="no-such-model"
    ),
    pytest.param(
        failing(500, f"{VENICE} is not a valid model ID"), "model_gone", 6, id="no-such-model-500"
    ),
    pytest.param(
        failing(
            404,
            "This model is unavailable for free. The paid version is available now -"
            " use this slug instead: some/paid-model",
        ),
        "model_gone",
        6,
        id="free-no-more",
    ),
    pytest.param(
        failing(404, availability={"code": "free_variant_ended", "fallback_models": ["some/paid"]}),
        "model_gone",
        6,
        id="free-no-more-by-code",
    ),
    pytest.param(
        failing(403, f"{VENICE} is only available on agentic harnesses."),
        "agents_only",
        24,
        id="agents-only",
    ),
    pytest.param(
        failing(403, availability={"code": "region_restricted"}),
        "region_restricted",
        6,
        id="region",
    ),
    pytest.param(
        failing(404, "No endpoints found matching your data policy (Free model training)."),
        "data_policy",
        1,
        id="data-policy",
    ),
    pytest.param(
        failing(404, "No endpoints available matching your guardrail restrictions and data policy"),
        "data_policy",
        1,
        id="data-policy-and-guardrail",
    ),
    pytest.param(
        failing(404, availability={"code": "privacy_restricted"}), "data_policy", 1, id="privacy"
    ),
    pytest.param(failing(403, "Forbidden"), "forbidden", 1 / 6, id="forbidden"),
    pytest.param(reply(404, "CANARY"), "not_found", 1 / 6, id="wrong-address"),
]


@pytest.mark.parametrize(("refusal", "policy", "hours"), GONE)
def test_model_that_is_gone_is_replaced_and_on_cooldown_and_somebody_is_called(
    talk: Talk, refusal: Answer, policy: str, hours: float
) -> None:
    talk.stack.upstream.enqueue(refusal, text("Good evening."))

    body = talk.reply()

    assert talk.asked() == [VENICE, DOLPHIN_R1]
    assert (body["model_used"], body["usedFallback"]) == (f"openrouter:{DOLPHIN_R1}", True)
    assert talk.said() == ["Hello", "> Good evening."]
    assert talk.turn() == ("complete", None)
    assert talk.cooldowns() == {THIS_MODEL: lasting(hours=hours)}
    assert talk.alerts() == [policy]


class TestParameters:
    def sent(self, talk: Talk) -> list[tuple[str, set[str]]]:
        """The model of each call, with the parameters beyond the required ones."""
        return [(call.model, set(call.json) - SMALLEST) for call in talk.stack.upstream.calls]

    @pytest.mark.parametrize(
        "refusal",
        [
            pytest.param(failing(400, raw="Invalid request parameters"), id="provider-says-so"),
            pytest.param(failing(400, "Invalid enum value. Expected 'OpenAI'"), id="retired-name"),
            pytest.param(
                failing(404, "No endpoints found that can handle the requested parameters"),
                id="nobody-takes-them",
            ),
            pytest.param(
                failing(404, "No allowed providers are available for the selected model."),
                id="no-allowed-provider",
            ),
            pytest.param(
                failing(404, availability={"code": "constraint_filtered"}),
                id="no-allowed-provider-by-code",
            ),
        ],
    )
    def test_rejected_parameters_are_left_out_once(self, talk: Talk, refusal: Answer) -> None:
        talk.stack.upstream.enqueue(refusal, text("Good evening."))

        body = talk.reply()

        all_of_them = {"temperature", "top_p", "stop", "user", "session_id", "plugins"}
        assert self.sent(talk) == [(VENICE, all_of_them), (VENICE, set())]
        assert body["usedFallback"] is False
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.cooldowns() == {}

    @pytest.mark.parametrize(
        "refusal",
        [
            pytest.param(failing(400, "Unsupported parameter: 'stop'"), id="unsupported"),
            pytest.param(failing(422, "`stop` is not supported by this model"), id="no-stop"),
        ],
    )
    def test_one_that_is_named_is_left_out_alone(self, talk: Talk, refusal: Answer) -> None:
        talk.stack.upstream.enqueue(refusal, text("Good evening."))

        body = talk.reply()

        others = {"temperature", "top_p", "user", "session_id", "plugins"}
        assert self.sent(talk) == [(VENICE, others | {"stop"}), (VENICE, others)]
        assert body["usedFallback"] is False

    def test_next_model_gets_the_parameters_again(self, talk: Talk) -> None:
        refusal = failing(400, raw="Invalid request parameters")
        talk.stack.upstream.enqueue(refusal, refusal, text("Good evening."))

        talk.reply()

        sent = self.sent(talk)
        assert [model for model, _ in sent] == [VENICE, VENICE, DOLPHIN_R1]
        # The next model reasons, so it gets no stop strings.
        assert sent[2][1] == sent[0][1] - {"stop"}

    def test_longest_reply_that_is_too_long_is_halved_once(self, talk: Talk) -> None:
        refusal = failing(400, error_type="max_tokens_exceeded")
        talk.stack.upstream.enqueue(refusal, refusal, text("Good evening."))

        talk.reply()

        sent = [(call.model, call.json["max_tokens"]) for call in talk.stack.upstream.calls]
        assert sent == [(VENICE, 400), (VENICE, 200), (DOLPHIN_R1, 400)]


class TestBadRequest:
    def test_bad_request_goes_to_the_next_model_as_it_is(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(failing(422, "Invalid argument"), text("Good evening."))

        talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert talk.cooldowns() == {}

    def test_bad_request_of_every_model_is_told(self, talk: Talk) -> None:
        talk.stack.upstream.always(failing(400, "Bad request"))

        answer = talk.say()

        assert talk.asked() == [VENICE, DOLPHIN_R1, DOLPHIN]
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model_available")
        assert answer.json()["error"] == (
            "The model could not answer. Please try again, or choose another model."
        )
        assert talk.turn() == ("failed", "bad_request")


class TestLength:
    @pytest.fixture
    def long(self, talk: Talk) -> Talk:
        """A conversation that fills a context of 3,000 tokens, as the row declares."""
        for model in (VENICE, DOLPHIN_R1, DOLPHIN):
            talk.describe(model, context_tokens=3000)
        said = [f"{number:02} " + "word " * 120 for number in range(30)]
        talk.conversation = talk.stack.conversation(talk.user, *said, remembers=False)
        return talk

    def sizes(self, talk: Talk) -> list[int]:
        """The size of each prompt in bytes."""
        return [
            sum(len(message["content"]) for message in call.json["messages"])
            for call in talk.stack.upstream.calls
        ]

    def too_long(self, tokens: int) -> Answer:
        return failing(
            400,
            f"This endpoint's maximum context length is {tokens} tokens. However, you requested"
            " about 3000 tokens (2600 of text input, 400 in the output).",
        )

    @pytest.mark.parametrize(
        ("tokens", "refusal"),
        [
            pytest.param(2000, None, id="400-with-the-length"),
            pytest.param(
                2700, failing(400, error_type="context_length_exceeded"), id="400-by-type"
            ),
            pytest.param(2700, failing(413, "Request payload too large"), id="413"),
        ],
    )
    def test_prompt_that_is_too_long_is_trimmed_once(
        self, long: Talk, tokens: int, refusal: Answer | None
    ) -> None:
        long.stack.upstream.enqueue(refusal or self.too_long(tokens), text("Good evening."))

        body = long.reply("And now?")

        first, second = self.sizes(long)
        messages: list[dict[str, Any]] = long.stack.upstream.calls[1].json["messages"]
        assert long.asked() == [VENICE] * 2
        assert second < first
        assert second <= (tokens - 400) * 3
        assert messages[0]["role"] == "system"
        assert messages[-1] == {"role": "user", "content": "And now?"}
        assert body["usedFallback"] is False
        assert long.turn() == ("complete", None)
        assert long.cooldowns() == {}

    def test_trimmed_prompt_that_is_still_too_long_goes_to_a_larger_context(
        self, long: Talk
    ) -> None:
        long.describe(DOLPHIN, context_tokens=8000)
        long.stack.upstream.enqueue(*[self.too_long(2000)] * 2, text("Good evening."))

        long.reply("And now?")

        assert long.asked() == [VENICE, VENICE, DOLPHIN]
        assert self.sizes(long)[2] > self.sizes(long)[0]

    def test_prompt_too_long_for_every_model_is_told(self, long: Talk) -> None:
        long.stack.upstream.always(self.too_long(2000))

        answer = long.say("And now?")

        assert long.asked() == [VENICE, VENICE, DOLPHIN_R1, DOLPHIN_R1, DOLPHIN, DOLPHIN]
        assert (answer.status_code, answer.json()["code"]) == (422, "conversation_too_long")
        assert answer.json()["error"] == (
            "The conversation is too long for the available models. Please start a new one."
        )
        assert long.said()[-1] == "And now?"
        assert long.turn() == ("failed", "context_too_long")

    def test_prompt_that_is_too_long_may_fit_the_worker(self, long: Talk) -> None:
        long.have_only(VENICE)
        long.have_worker(context_tokens=4000)
        long.stack.upstream.enqueue(*[self.too_long(2000)] * 2, worker_chat("Sit."))

        long.reply("And now?")

        assert long.asked() == [VENICE, VENICE, WORKER]
