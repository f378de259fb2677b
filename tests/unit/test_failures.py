"""Each captured response of OpenRouter, and more, gets the right error policy."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.generation.error_classifier import (
    Failure,
    UpstreamError,
    from_error,
    from_response,
    from_worker,
)
from roleplay_chat.generation.error_policies import ERROR_POLICIES, MAX_COOLDOWN
from roleplay_chat.generation.providers import End
from roleplay_chat.generation.providers.openai_compatible import ReplyReader

SAMPLES: dict[str, dict[str, Any]] = {
    sample["id"]: sample
    for sample in json.loads(
        Path(__file__).parents[1].joinpath("data", "openrouter_samples.json").read_text()
    )
    if sample["endpoint"].endswith("/chat/completions")
}
NOW = datetime(2026, 9, 7, 21, 0, tzinfo=UTC)

# The policy of each failing sample. The samples' own `expect` is for a generic client. Where we
# differ on purpose (a moderated text never goes to a less strict model), this table counts.
EXPECTED = {
    "429_upstream_shared_pool_full": "upstream_pool_limited",
    "429_upstream_glm_baseten": "upstream_pool_limited",
    "429_free_daily_cap": "free_daily_cap",
    "429_free_per_minute": "free_minute_cap",
    "429_documented_platform": "rate_limited",
    "429_capacity_exhausted_availability": "at_capacity",
    "200_error_body_500": "server_error",
    "200_choice_error_partial": "overloaded",
    "sse_midstream_429_doc": "rate_limited",
    "sse_error_only_event_bedrock": "overloaded",
    "sse_pre_stream_error_is_json": "bad_request",
    "401_missing_header": "bad_key",
    "402_max_tokens_too_high": "credit_for_fewer_tokens",
    "402_with_previous_errors": "credit_for_fewer_tokens",
    "403_moderation_bedrock": "moderated",
    "403_guardrail_block": "guardrail",
    "403_key_limit": "key_limit",
    "404_no_endpoints_free_retired": "model_gone",
    "404_dolphin3_no_endpoints": "model_gone",
    "404_data_policy": "data_policy",
    "404_provider_only_excluded": "no_allowed_provider",
    "404_no_allowed_providers_metadata": "no_allowed_provider",
    "404_privacy_restricted_availability": "data_policy",
    "400_models_array_too_long": "bad_parameters",
    "400_bad_provider_name": "bad_parameters",
    "408_timeout": "timed_out",
    "502_provider_error": "overloaded",
    "503_no_backends": "overloaded",
    "529_provider_overloaded": "overloaded",
    "413_payload": "context_too_long",
}


def outcome(sample: dict[str, Any]) -> tuple[str, End | Failure]:
    """The text of a sample, and how it ended."""
    if sample["status"] != 200:
        body = json.dumps(sample["body"]).encode()
        return "", from_response(sample["status"], sample["headers"], body)
    reading, text = ReplyReader(), ""
    try:
        for data in chunks(sample):
            reading.feed(data)
            text += reading.take() or ""
        return text, reading.end()
    except UpstreamError as error:
        return text + (reading.take() or ""), error.failure


def chunks(sample: dict[str, Any]) -> list[str]:
    if "sse_raw" not in sample:
        return [json.dumps(sample["body"])]
    lines = sample["sse_raw"].splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [item for item in data if item != "[DONE]"]


def texts_in(error: Any) -> list[str]:
    """All texts in an error."""
    if isinstance(error, dict):
        return [words for value in error.values() for words in texts_in(value)]
    return [error] if isinstance(error, str) else []


@pytest.mark.parametrize("name", [name for name in SAMPLES if not name.startswith("ok_")])
def test_sample_finds_its_error_policy(name: str) -> None:
    _, end = outcome(SAMPLES[name])
    assert isinstance(end, Failure)
    assert end.policy.name == EXPECTED[name]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("ok_")])
def test_good_sample_is_read(name: str) -> None:
    expect = SAMPLES[name]["expect"]
    text, end = outcome(SAMPLES[name])
    assert text == expect["text"]
    if SAMPLES[name].get("sse_raw", "[DONE]").count("[DONE]"):
        assert isinstance(end, End)
        assert end.usage.cost_usd == expect.get("cost", end.usage.cost_usd)


def test_every_sample_is_covered() -> None:
    assert {name for name in SAMPLES if not name.startswith("ok_")} == set(EXPECTED)


@pytest.mark.parametrize(
    ("name", "retry_after", "until", "tokens"),
    [
        ("429_free_daily_cap", None, datetime(2026, 9, 8, tzinfo=UTC), None),
        ("429_free_per_minute", 1, None, None),
        ("429_documented_platform", 60, None, None),
        ("429_capacity_exhausted_availability", 40, None, None),
        ("402_max_tokens_too_high", None, None, 10114),
        ("402_with_previous_errors", None, None, 3395),
    ],
)
def test_times_and_token_limits_of_errors_are_read(
    name: str, retry_after: float | None, until: datetime | None, tokens: int | None
) -> None:
    _, end = outcome(SAMPLES[name])
    assert isinstance(end, Failure)
    assert (end.retry_after, end.until, end.limit_tokens) == (retry_after, until, tokens)


MORE: list[Any] = [
    (402, {"metadata": {"provider_name": "Venice", "raw": "API key USD spend limit exceeded"}},
     "provider_without_credit"),
    (402, {"metadata": {"limit_source": "openrouter_in_flight_budget"}}, "credit_in_flight"),
    (402, {"metadata": {"reason": "weight_exceeds_budget", "limit_source": "openrouter_credits"}},
     "request_exceeds_budget"),
    (402, {"message": "Insufficient credits"}, "no_credit"),
    (402, {"message": "Key limit exceeded (monthly limit)."}, "key_limit"),
    (403, {"metadata": {"limit_source": "openrouter_workspace_budget"}}, "key_limit"),
    (403, {"message": "x/y:free is only available on agentic harnesses."}, "agents_only"),
    (403, {"availability": {"code": "region_restricted"}}, "region_restricted"),
    (403, {"message": "No"}, "forbidden"),
    (401, {"message": "User not found."}, "bad_key"),
    (400, {"message": "x/y is not a valid model ID"}, "model_gone"),
    (500, {"message": "x/y is not a valid model ID"}, "model_gone"),
    (404, {"message": "This model is unavailable for free. The paid version is available now"},
     "model_gone"),
    (404, {"availability": {"code": "free_variant_ended"}}, "model_gone"),
    (404, {"message": "No endpoints found that can handle the requested parameters"},
     "bad_parameters"),
    (404, None, "not_found"),
    (400, {"message": "This endpoint's maximum context length is 32768 tokens. However, you"
                      " requested about 40000 tokens"}, "context_too_long"),
    (400, {"metadata": {"error_type": "context_length_exceeded"}}, "context_too_long"),
    (400, {"metadata": {"error_type": "max_tokens_exceeded"}}, "reply_too_long"),
    (400, {"message": "Provider returned error", "metadata": {"raw": "Invalid request parameters"}},
     "bad_parameters"),
    (400, {"metadata": {"error_type": "content_policy_violation"}}, "moderated"),
    (422, {"message": "Invalid argument"}, "bad_request"),
    (400, {"message": "Unsupported parameter: 'stop' is not supported with this model."},
     "bad_parameters"),
    (422, {"message": "[{'type': 'extra_forbidden', 'msg': 'Extra inputs are not permitted'}]"},
     "bad_parameters"),
    (400, {"message": "Unrecognized request argument supplied: session_id"}, "bad_parameters"),
    (400, {"message": "stop: must have at most 4 items"}, "bad_parameters"),
    (400, {"message": "Please stop sending requests"}, "bad_request"),
    (500, {"message": "Unsupported parameter: 'stop'"}, "server_error"),
    (429, {"message": "Provider returned error", "metadata": {"provider_name": "Venice",
     "raw": {"error": "x is temporarily rate-limited upstream"}}}, "upstream_pool_limited"),
    (429, {"message": "Rate limit exceeded: free-models-per-day-high-balance",
           "metadata": {"provider_name": "Google AI Studio"}}, "free_daily_cap"),
    (429, {}, "rate_limited"),
    (503, {"metadata": {"error_type": "provider_overloaded"}}, "overloaded"),
    (504, None, "timed_out"),
    (524, {"message": "Infrastructure Timeout"}, "timed_out"),
    (522, None, "edge_error"),
    (502, {"metadata": {"raw": "error code: 1015"}}, "edge_error"),
    (599, None, "overloaded"),
    (418, None, "bad_request"),
]  # fmt: skip


VENICE = {"provider_name": "Venice"}
PAGE = "<!DOCTYPE html><title>Attention Required! | Cloudflare</title> error code: 1015"

PROBLEM = {
    "type": "https://developers.cloudflare.com/support/troubleshooting/",
    "title": "Error 1015: You are being rate limited",
    "status": 429,
    "error_code": 1015,
    "error_name": "rate_limited",
    "cloudflare_error": True,
}
"""The same as JSON."""
WITHIN = {"error": {"message": "x", "metadata": VENICE | {"raw": "error code: 1015"}}}
"""An error that another gateway passed on unchanged."""

# Errors of a model's provider that OpenRouter passes on with the provider's name. They always mean
# that provider: none of our keys, credit or limits, and no other model.
PASSED_ON: list[Any] = [
    (200, {"message": "Provider returned error", "metadata": {"raw": "error code: 1015"}},
     "upstream_pool_limited"),
    (502, {"code": 502, "metadata": {"raw": "error code: 1015"}}, "upstream_pool_limited"),
    (429, {"metadata": {"raw": "error code: 1015"}}, "upstream_pool_limited"),
    (403, {"metadata": {"raw": {"error": "error code: 1015"}}}, "upstream_pool_limited"),
    (502, {"message": "error code: 1015"}, "upstream_pool_limited"),
    (502, {"metadata": {"raw": PROBLEM}}, "upstream_pool_limited"),
    (200, {"metadata": {"raw": json.dumps(PROBLEM)}}, "upstream_pool_limited"),
    (429, {"metadata": {"raw": json.dumps({"error": json.dumps(PROBLEM)})}},
     "upstream_pool_limited"),
    (403, {"metadata": {"raw": "Error 1015 Ray ID: 8f: You are being rate limited"}},
     "upstream_pool_limited"),
    (502, {"message": PAGE}, "overloaded"),
    (502, {"metadata": {"raw": PAGE}}, "overloaded"),
    (403, {"metadata": {"raw": PAGE}}, "overloaded"),
    (429, {"metadata": {"raw": PAGE}}, "rate_limited"),
    (520, {"metadata": {"raw": "unknown"}}, "overloaded"),
    (522, {}, "overloaded"),
    (524, {}, "timed_out"),
    (401, {"message": "Provider returned error", "metadata": {"raw": "Invalid API key"}},
     "provider_refuses_key"),
    (401, {"message": "User not found."}, "provider_refuses_key"),
    (200, {"code": 401, "message": "No auth credentials found"}, "provider_refuses_key"),
    (403, {"metadata": {"error_type": "authentication"}}, "provider_refuses_key"),
    (402, {"message": "Insufficient credits"}, "provider_without_credit"),
    (402, {"metadata": {"raw": "You requested up to 9 tokens, but can only afford 4"}},
     "provider_without_credit"),
    (402, {"metadata": {"raw": "Key limit exceeded (total limit)"}}, "provider_without_credit"),
    (402, {"message": "Key limit exceeded (total limit)",
           "metadata": {"raw": '{"error":{"message":"Key limit exceeded (total limit)"}}'}},
     "provider_without_credit"),
    (403, {"metadata": {"raw": "Key limit exceeded (total limit)"}}, "forbidden"),
    (429, {"metadata": {"raw": "Rate limit exceeded: free-models-per-day"}}, "rate_limited"),
    (429, {"message": "Rate limit exceeded: free-models-per-min.",
           "metadata": {"raw": "429 Rate limit exceeded: free-models-per-min. Try again."}},
     "rate_limited"),
    (404, {"metadata": {"raw": "x/y is not a valid model ID"}}, "model_gone"),
    (400, {"metadata": {"raw": {"error": {"code": "context_length_exceeded"}}}},
     "context_too_long"),
    (400, {"metadata": {"raw": "This model's maximum context length is 8192 tokens"}},
     "context_too_long"),
    (500, {"metadata": {"raw": "oops"}}, "server_error"),
    (503, {"metadata": {"raw": "No backends available"}}, "overloaded"),
]  # fmt: skip

# The same texts from the answering service itself, without a provider's name.
OF_THE_EDGE: list[Any] = [
    (502, {"metadata": {"raw": "error code: 1015"}}, "edge_error"),
    (502, {"message": "error code: 1015", "metadata": {"provider_name": None}}, "edge_error"),
    (429, {"message": "error code: 1015", "metadata": {"provider_name": " "}}, "edge_error"),
    (502, {"message": PAGE}, "edge_error"),
    (429, {"message": "Rate limit exceeded: free-models-per-min."}, "free_minute_cap"),
    (401, {"message": "Invalid API key"}, "bad_key"),
    (402, {"message": "but can only afford 4"}, "credit_for_fewer_tokens"),
    (403, {"message": "Key limit exceeded (total limit)"}, "key_limit"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "error", "name"), PASSED_ON)
@pytest.mark.parametrize("named", ["in-the-error", "beside-it"])
def test_error_of_a_named_provider_concerns_no_more_than_the_model(
    status: int, error: dict[str, Any], name: str, named: str
) -> None:
    body: dict[str, Any] = {"error": error}
    if named == "beside-it":
        body["provider"] = "Venice"
    else:
        body["error"] = error | {"metadata": VENICE | error.get("metadata", {})}
    if status == 200:
        with pytest.raises(UpstreamError) as caught:
            ReplyReader().feed(json.dumps(body))
        failure = caught.value.failure
    else:
        failure = from_response(status, {}, json.dumps(body).encode())
    assert failure.policy.name == name
    assert failure.policy.scope in ("request", "model")


@pytest.mark.parametrize(("status", "error", "name"), OF_THE_EDGE)
def test_error_that_names_nobody_is_of_whoever_answered(
    status: int, error: dict[str, Any], name: str
) -> None:
    assert from_error(error, status).policy.name == name


def test_what_openrouter_says_of_our_account_is_its_own_whoever_is_named() -> None:
    for message, status, name in (
        ("Rate limit exceeded: free-models-per-day-high-balance", 429, "free_daily_cap"),
        ("Key limit exceeded (monthly limit).", 403, "key_limit"),
        (
            "This request requires more credits: you can only afford 4",
            402,
            "credit_for_fewer_tokens",
        ),
    ):
        error = {"message": message, "metadata": VENICE | {"raw": "something else"}}
        assert from_error(error, status).policy.name == name
    error = {"metadata": VENICE | {"limit_source": "openrouter_key_limit", "raw": "x"}}
    assert from_error(error, 403).policy.name == "key_limit"


@pytest.mark.parametrize("where", ["message", "raw"])
@given(
    status=st.sampled_from([200, 400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 520, 524]),
    text=st.sampled_from(
        [words for _, error, _ in (*PASSED_ON, *OF_THE_EDGE) for words in texts_in(error)]
    ),
    before=st.sampled_from(["", " ", "Error: ", "upstream said: "]),
)
def test_no_words_of_a_named_provider_concern_more(
    where: str, status: int, text: str, before: str
) -> None:
    raw = before + text
    error = {"message": raw, "metadata": VENICE | {"raw": raw}}
    if where == "raw":
        error["message"] = "Provider returned error"
    assert from_error(error, status).policy.scope in ("request", "model")


@pytest.mark.parametrize("body", [b"error code: 1015", b"error code: 1015\n", b" error code: 1015"])
@pytest.mark.parametrize("status", [403, 429, 503])
def test_one_line_of_the_edge(status: int, body: bytes) -> None:
    assert from_response(status, {}, body).policy.name == "edge_error"


@pytest.mark.parametrize("body", [PROBLEM, json.dumps(PROBLEM), [PROBLEM], "error code: 1015"])
def test_json_of_the_edge_is_an_edge_error(body: Any) -> None:
    assert from_response(429, {}, json.dumps(body).encode()).policy.name == "edge_error"


def test_json_of_no_known_shape_that_names_a_provider() -> None:
    body = json.dumps(PROBLEM | {"provider": "Venice"}).encode()
    assert from_response(429, {}, body).policy.name == "upstream_pool_limited"


@pytest.mark.parametrize("status", [200, 403, 429, 502])
@pytest.mark.parametrize(
    "error",
    [
        {"metadata": {"raw": WITHIN}},
        {"metadata": {"raw": json.dumps(WITHIN)}},
        {"metadata": {"raw": json.dumps({"detail": json.dumps(WITHIN)})}},
        {"message": json.dumps(WITHIN)},
        json.dumps(WITHIN),
    ],
    ids=["raw", "text", "text-in-text", "message", "error"],
)
def test_provider_that_is_named_within_a_text(status: int, error: Any) -> None:
    failure = from_error(error, status)
    assert failure.policy.name == "upstream_pool_limited"


def test_provider_that_is_named_as_nobody_within_a_text() -> None:
    error = {"metadata": {"raw": '{"provider_name": null, "message": "error code: 1015"}'}}
    assert from_error(error, 502).policy.name == "edge_error"


def test_markup_in_a_sentence_is_no_page() -> None:
    assert from_error({"message": "<b>Internal error</b>"}, 500).policy.name == "server_error"


@pytest.mark.parametrize(("status", "error", "name"), MORE)
def test_error_finds_its_error_policy(status: int, error: Any, name: str) -> None:
    body = json.dumps({"error": error}).encode()
    assert from_response(status, {}, body).policy.name == name


def test_page_of_a_proxy_is_an_edge_error() -> None:
    page = b"<!DOCTYPE html><title>Temporarily unavailable | openrouter.ai | Cloudflare</title>"
    assert from_response(503, {"content-type": "text/html"}, page).policy.name == "edge_error"


def test_error_inside_a_200_goes_by_its_own_code() -> None:
    assert from_error({"code": "429"}, 200).policy.name == "rate_limited"
    assert from_error({"http_status": 404}, 200).policy.name == "not_found"
    assert from_error({"code": "server_error"}, 200).policy.name == "overloaded"
    assert from_error("just text", 200).policy.name == "overloaded"


@pytest.mark.parametrize(
    ("status", "body", "name"),
    [
        (500, b'{"error": "probability tensor contains either `inf`, `nan`"}',
         "worker_broken_context"),
        (500, b"RuntimeError: CUDA out of memory. Tried to allocate", "worker_out_of_memory"),
        (500, b'{"error": "inference failed"}', "worker_failed"),
        (401, b"", "bad_key"),
        (200, b'{"success": false, "error": "busy"}', "worker_failed"),
    ],
)  # fmt: skip
def test_worker_error_finds_its_error_policy(status: int, body: bytes, name: str) -> None:
    assert from_worker(status, body).policy.name == name


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "26"}, 26),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Mon, 99999999999999999999 Jan 2020 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 2020 00:00:00 +99999999999999999999"}, None),
        ({"retry-after": "9" * 5_000}, None),
        ({"retry-after": "1e999999"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1e99"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert from_response(429, headers, b"").retry_after == seconds


@pytest.mark.parametrize("reset", ["4102444800", "4102444800000"])
def test_reset_is_in_seconds_or_milliseconds(reset: str) -> None:
    failure = from_response(429, {"X-RateLimit-Reset": reset}, b"")
    assert failure.until == datetime(2100, 1, 1, tzinfo=UTC)


class TestRest:
    def test_reset_of_the_day_outweighs_a_misleading_retry_after(self) -> None:
        failure = Failure(
            ERROR_POLICIES["free_daily_cap"], retry_after=25, until=NOW + timedelta(hours=3)
        )
        assert failure.cools_until(NOW) == NOW + timedelta(hours=3)

    def test_is_as_long_as_the_upstream_says(self) -> None:
        failure = Failure(ERROR_POLICIES["upstream_pool_limited"], retry_after=100)
        assert failure.cools_until(NOW) == NOW + timedelta(seconds=100)

    def test_is_at_most_a_day(self) -> None:
        failure = Failure(ERROR_POLICIES["free_daily_cap"], until=NOW + timedelta(days=400))
        assert failure.cools_until(NOW) == NOW + MAX_COOLDOWN

    def test_reset_that_has_passed_does_not_count(self) -> None:
        failure = Failure(ERROR_POLICIES["free_daily_cap"], until=NOW - timedelta(hours=1))
        assert failure.cools_until(NOW) == NOW + timedelta(hours=1)

    def test_is_none_for_a_failure_of_this_request_alone(self) -> None:
        assert Failure(ERROR_POLICIES["moderated"]).cools_until(NOW) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
named = st.dictionaries(
    st.sampled_from(
        ["message", "code", "metadata", "availability", "error_type", "raw", "headers", "reasons"]
    ),
    json_values | st.dictionaries(st.sampled_from(["raw", "headers", "code"]), json_values),
)


BODIES = st.binary() | named.map(lambda error: json.dumps({"error": error}).encode())


@given(st.integers(), st.dictionaries(st.text(), st.text()), BODIES)
def test_any_answer_finds_a_row(status: int, headers: dict[str, str], body: bytes) -> None:
    failure = from_response(status, headers, body)
    assert failure.policy in ERROR_POLICIES.values()
    failure.cools_until(NOW)
