"""Each server's error finds its error policy, however the server sends it."""

import json
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.generation import error_classifier
from roleplay_chat.generation.error_classifier import (
    Failure,
    UpstreamError,
    from_error,
    from_response,
    from_worker,
)
from roleplay_chat.generation.error_policies import ERROR_POLICIES
from roleplay_chat.generation.error_shapes import MAX_TEXT
from roleplay_chat.generation.error_wordings import CODES, LIMITS, STATUSES, WORDINGS, plain
from roleplay_chat.generation.providers.openai_compatible import ReplyReader
from tests.support.servers import (
    BUSY,
    CONTENT,
    CREDIT,
    ERRORS,
    KEYS,
    MACHINES,
    TOO_LONG,
    ServerError,
)

IN_A_STREAM = [error for error in ERRORS if not error.status_decides]


def encoded(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def in_a_stream(body: Any, before: str = "") -> tuple[str, Failure | None]:
    """The text before an error that is an event, and the failure."""
    reader = ReplyReader()
    text = ""
    try:
        if before:
            reader.feed(json.dumps({"choices": [{"delta": {"content": before}}]}))
            text = reader.take() or ""
        reader.feed(json.dumps(body))
        reader.end()
    except UpstreamError as error:
        return text, error.failure
    return text, None


def ids(errors: list[ServerError]) -> list[str]:
    return [error.id for error in errors]


def test_errors_have_names_of_their_own() -> None:
    assert [name for name, times in Counter(ids([*ERRORS])).items() if times > 1] == []


@pytest.mark.parametrize("error", ERRORS, ids=ids([*ERRORS]))
def test_response_finds_its_policy_and_its_limit(error: ServerError) -> None:
    if error.status == 200:
        failure = from_error(error.body, 200)
    else:
        failure = from_response(error.status, {}, encoded(error.body))
    assert (failure.policy.name, failure.limit_tokens) == (error.policy, error.limit)


@pytest.mark.parametrize("error", IN_A_STREAM, ids=ids(IN_A_STREAM))
@pytest.mark.parametrize("before", ["", "Good evening"], ids=["first", "after-text"])
def test_the_same_inside_a_stream(error: ServerError, before: str) -> None:
    text, failure = in_a_stream(error.body, before)
    assert text == before
    assert failure is not None
    assert (failure.policy.name, failure.limit_tokens) == (error.policy, error.limit)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda body: [body],
        lambda body: {"detail": body},
        lambda body: {"error": {"message": json.dumps(body), "code": 400}},
        lambda body: {"error": {"message": f"Error code: 400 - {body}", "type": None}},
        lambda body: {"errors": [body]},
    ],
    ids=["list", "detail", "json-in-a-text", "python-in-a-text", "errors"],
)
@pytest.mark.parametrize(
    "error",
    [
        error
        for error in (*TOO_LONG, *CONTENT, *CREDIT, *KEYS)
        if error.status != 200 and not error.status_decides and isinstance(error.body, dict)
        and "choices" not in error.body
    ],
    ids=lambda error: error.id,
)  # fmt: skip
def test_gateway_that_wraps_an_error_changes_nothing(error: ServerError, wrap: Any) -> None:
    body = wrap(error.body)
    assert from_response(400, {}, encoded(body)).policy.name == error.policy


@pytest.mark.parametrize("error", [*CREDIT, *KEYS, *MACHINES], ids=lambda error: error.id)
def test_of_a_provider_behind_a_gateway_it_concerns_the_model_alone(error: ServerError) -> None:
    raw = error.body if isinstance(error.body, str) else json.dumps(error.body)
    body = {"error": {"message": "Provider returned error", "code": error.status,
                      "metadata": {"raw": raw, "provider_name": "Venice"}}}  # fmt: skip
    failure = from_response(error.status, {}, encoded(body))
    assert failure.policy.scope in ("request", "model")
    assert not failure.policy.alert or failure.policy.name == "forbidden"


@pytest.mark.parametrize("error", MACHINES, ids=lambda error: error.id)
def test_own_protocol_calls_it_the_same(error: ServerError) -> None:
    assert from_worker(error.status, encoded(error.body)).policy.name == error.policy


@pytest.mark.parametrize(
    ("status", "body", "policy"),
    [
        (301, "", "redirected"),
        (308, "<html>", "redirected"),
        (404, '{"detail":"Not Found"}', "not_found"),
        (405, "", "not_found"),
        (403, "", "forbidden"),
        (400, '{"success": false, "error": "prompt is too long: 9 tokens > 8 maximum"}',
         "context_too_long"),
        (400, '{"success": false, "error": "bad request"}', "bad_request"),
        (503, '{"success": false, "error": "busy"}', "worker_failed"),
        (502, "<html>", "worker_failed"),
        (504, "", "worker_failed"),
    ],
)  # fmt: skip
def test_nothing_of_the_worker_that_is_ours_to_mend_is_called_a_failure_of_it(
    status: int, body: str, policy: str
) -> None:
    assert from_worker(status, body.encode()).policy.name == policy


OURS_TO_MEND = [
    error for error in ERRORS
    if error not in (*BUSY, *MACHINES) and error.policy != "rate_limited"
]  # fmt: skip


@pytest.mark.parametrize("error", OURS_TO_MEND, ids=ids(OURS_TO_MEND))
def test_nothing_that_is_ours_to_mend_is_called_overloaded(error: ServerError) -> None:
    assert ERROR_POLICIES[error.policy].kind not in ("overloaded", "timeout", "unreadable")


@pytest.mark.parametrize("status", [*range(100, 200), *range(201, 210), 0, -1, 999])
def test_status_that_is_no_answer_is_called_that(status: int) -> None:
    assert from_response(status, {}, b"").policy.name in ("unreadable", "overloaded")


@pytest.mark.parametrize("status", range(300, 310))
@pytest.mark.parametrize("body", [b"", b"<html>Moved</html>", b'{"error": "Moved"}'])
def test_redirect_says_that_the_address_is_wrong(status: int, body: bytes) -> None:
    policy = from_response(status, {"Location": "https://a.example/v1"}, body).policy
    assert (policy.name, policy.alert) == ("redirected", True)
    assert "address is wrong" in policy.operator


@pytest.mark.parametrize(
    ("code", "policy"),
    [
        ("rate_limit_exceeded", "rate_limited"),
        ("invalid_api_key", "bad_key"),
        ("insufficient_quota", "no_credit"),
        ("context_length_exceeded", "context_too_long"),
        ("content_filter", "moderated"),
        ("SAFETY", "moderated"),
        ("model_not_found", "model_gone"),
        ("invalid_request_error", "bad_request"),
        ("permission_denied", "forbidden"),
        ("server_error", "overloaded"),
        ("deadline_exceeded", "timed_out"),
    ],
)
@pytest.mark.parametrize("field", ["code", "type", "status"])
def test_code_inside_a_stream_is_read(code: str, policy: str, field: str) -> None:
    _, failure = in_a_stream({"error": {field: code, "message": "no"}})
    assert failure is not None
    assert failure.policy.name == policy


REWORDED = [
    (400, "Input length 9000 exceeds maximum context length 2000", "context_too_long", 2000),
    (400, "This model supports a maximum context of 2,000 tokens, but the request has "
     "9,000.",
     "context_too_long", 2000),
    (400, "The total number of tokens (9000) exceeds the model limit of 2000",
     "context_too_long", 2000),
    (400, "Requested 9000 tokens, max 2000", "context_too_long", 2000),
    (400, "Conversation too long: 9000 tokens, limit 2000", "context_too_long", 2000),
    (400, "Token limit exceeded: 9000/2000", "context_too_long", 2000),
    (500, "context length of 2000 tokens exceeded", "context_too_long", 2000),
    (400, "your request exceeds the model's context window (2000)", "context_too_long", 2000),
    (400, "prompt too large: 9000 > 2000", "context_too_long", 2000),
    (400, "Model context limit exceeded. Your request used 9000 input tokens, which exceeds"
     " this model's limit of 2000.",
     "context_too_long", 2000),
    (400, "inputs must have less than 2000 tokens", "context_too_long", 2000),
    (400, "You requested 9000 tokens but the model has only a 2000 token context window",
     "context_too_long", 2000),
    (400, "Number of input tokens exceeds n_ctx (2000)", "context_too_long", 2000),
    (400, "This endpoint's maximum context length is 2000 tokens. However, you requested "
     "about 9000 tokens (8600 of text input, 400 in the output). Please reduce the "
     "length of either one, or use the \"middle-out\" transform",
     "context_too_long", 2000),
    (400, "max_tokens must be between 1 and 200", "reply_too_long", 200),
    (400, "max_new_tokens cannot be larger than 200", "reply_too_long", 200),
    (400, "max_tokens=400 is greater than the maximum of 200", "reply_too_long", 200),
    (400, "max_tokens: 400 exceeds maximum 200", "reply_too_long", 200),
    (400, "max_tokens (8192) must be less than or equal to max_seq_len (200)",
     "reply_too_long", 200),
    (400, "max_tokens 400 exceeds the model's maximum output of 200 tokens",
     "reply_too_long", 200),
    (400, "This model supports a maximum of 200 output tokens", "reply_too_long", 200),
    (400, "The response was blocked by our moderation system", "moderated", None),
    (400, "Request flagged by content moderation", "moderated", None),
    (403, "Your prompt was flagged as potentially violating our usage policy", "moderated", None),
    (400, "Output blocked by content filtering policy", "moderated", None),
    (451, "blocked due to content policy", "moderated", None),
    (429, "You have no credits left", "no_credit", None),
    (403, "Insufficient credit. Please add credits.", "no_credit", None),
    (429, "Quota exceeded: your account has run out of credit", "no_credit", None),
    (400, "account balance too low", "no_credit", None),
    (400, "The API key is not authorized", "bad_key", None),
    (400, "invalid access token", "bad_key", None),
    (500, "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 512.00 MiB on device 0: "
     "cudaMalloc failed: out of memory",
     "worker_out_of_memory", None),
    (500, "HIP out of memory", "worker_out_of_memory", None),
    (500, "[metal::malloc] Unable to allocate 9 bytes", "worker_out_of_memory", None),
    (200, "torch.OutOfMemoryError: CUDA out of memory.", "worker_out_of_memory", None),
    (400, "CUDA out of memory. Tried to allocate 2 GiB", "worker_out_of_memory", None),
    (500, "logits contain NaN", "worker_broken_context", None),
    (400, "probability tensor contains either `inf`, `nan` or element < 0",
     "worker_broken_context", None),
    (500, "NaN or Inf found in input tensor", "worker_broken_context", None),
    (404, "The model 'x' was not found", "model_gone", None),
    (503, "No available channel for model x under group default", "model_gone", None),
    (400, "Unsupported model: x", "model_gone", None),
    (503, "That model is currently overloaded", "overloaded", None),
]  # fmt: skip
"""Sentences like those of servers: of other servers, or of theirs after a new release."""


@pytest.mark.parametrize(("status", "message", "policy", "limit"), REWORDED)
def test_sentence_in_other_words_is_understood(
    status: int, message: str, policy: str, limit: int | None
) -> None:
    body = {"error": {"message": message}}
    failure = (
        from_error(body, status) if status == 200 else from_response(status, {}, encoded(body))
    )
    assert (failure.policy.name, failure.limit_tokens) == (policy, limit)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached for x. Please try again in 20s.", 20),
        ("Rate limit reached. Please try again in 1m20.5s. Need more?", 80.5),
        ("Rate limit reached. Please try again in 500ms.", 0.5),
        ("You exceeded your current quota. Please retry in 36.4s.", 36.4),
        ("Too many requests, try again in 7 seconds", 7),
        ("Limit reached. Please try again in 1h12m3.5s. Need more?", 4323.5),
        ("Limit reached. Please try again in 6m0s.", 360),
        ("Limit reached. Please try again in 2 hours.", 7200),
        ("Limit reached, retry after 5 minutes", 300),
        ("Limit reached, try again in about 3 minutes.", 180),
        ("Limit reached, try again in 40 milliseconds", 0.04),
        ("Too many requests, try again later", None),
        ("Too many requests, try again in 2 months", None),
        ("Too many requests, try again in a moment", None),
        ("Limit reached, try again in a moment. Please retry after 20s.", 20),
    ],
)
def test_delay_in_the_sentence_of_a_limit_is_read(message: str, seconds: float | None) -> None:
    body = encoded({"error": {"message": message, "type": "rate_limit_error"}})
    assert from_response(429, {}, body).retry_after == seconds
    assert from_response(429, {"Retry-After": "3"}, body).retry_after == 3


INNOCENT = [
    (400, "max_tokens must be at least 1", "bad_request"),
    (400, "max_tokens must be an integer", "bad_request"),
    (
        400,
        "Unsupported value: 'temperature' does not support 0.9 with this model.",
        "bad_parameters",
    ),
    (400, "Please stop sending requests", "bad_request"),
    (400, "tools is not allowed here", "bad_request"),
    (400, "tool_choice must be a string", "bad_request"),
    (400, "messages: at least one message is required", "bad_request"),
    (422, "Field required", "bad_request"),
    (403, "Your account was suspended because of a policy violation", "forbidden"),
    (429, "Rate limit reached: 6000 tokens per minute exceeded, limit 6000", "rate_limited"),
    (500, "Internal server error", "server_error"),
    (500, "information about infinity", "server_error"),
    (503, "The engine is overloaded, try again", "overloaded"),
    (404, "Not found", "not_found"),
    (400, "Request rejected for invalid content type", "bad_request"),
    (400, "Value violates the rules of the schema", "bad_request"),
    (400, "Your request exceeds the rate limit of the model", "rate_limited"),
    (500, "request to the model: context deadline exceeded (timeout exceeded)", "server_error"),
    (500, "context canceled while the model was writing", "server_error"),
]


@pytest.mark.parametrize(("status", "message", "policy"), INNOCENT)
def test_sentence_with_similar_words_is_not_taken_for_more(
    status: int, message: str, policy: str
) -> None:
    body = encoded({"error": {"message": message}})
    assert from_response(status, {}, body).policy.name == policy


def test_what_a_person_wrote_is_not_read_as_the_servers_words() -> None:
    said = "insufficient_quota invalid_api_key content_filter insufficient balance"
    detail = [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": said}]
    assert from_response(422, {}, encoded({"detail": detail})).policy.name == "bad_request"


class TestTables:
    def test_every_name_is_a_policy(self) -> None:
        named = {*CODES, *(wording.policy for wording in WORDINGS)}
        assert named <= set(ERROR_POLICIES)

    def test_no_code_is_listed_twice(self) -> None:
        tables = (*CODES.values(), *STATUSES.values())
        codes = [plain(code) for table in tables for code in table]
        assert [code for code, times in Counter(codes).items() if times > 1] == []

    def test_patterns_are_compiled_once(self) -> None:
        from_response(400, {}, b'{"error": {"message": "a"}}')
        compiled = error_classifier._compiled.cache_info().misses
        for _ in range(5):
            from_response(400, {}, b'{"error": {"message": "b"}}')
        assert error_classifier._compiled.cache_info().misses == compiled

    def test_repetitions_are_bounded(self) -> None:
        """Then the work at each place of a text, which is at most MAX_TEXT long, is bounded."""
        for pattern in (*LIMITS, *(wording.pattern for wording in WORDINGS)):
            assert "*" not in pattern
            assert "+" not in pattern.replace(r"\+", "")

    def test_long_texts_are_cut_before_they_are_searched(self) -> None:
        long = "a" * MAX_TEXT + " maximum context length is 2000 tokens"
        for body in ({"error": {"message": long}}, {"detail": long}, long, {"detail": [long] * 99}):
            failure = from_response(400, {}, encoded(body))
            assert failure.policy.name == "bad_request"


HOSTILE = [
    "max tokens " * 2_000,
    "prompt exceeds " * 2_000,
    "model " * 4_000,
    '"code":"' * 3_000,
    "context length context length " * 1_000,
    "1 > " * 5_000,
    "out of " * 4_000,
]


def steps(call: Any) -> int:
    """Calls of Python functions that a call takes."""
    count = 0

    def profile(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:15].strip() for text in HOSTILE])
def test_length_of_a_hostile_text_does_not_matter(text: str) -> None:
    def classify(times: int) -> int:
        body = encoded({"error": {"message": text * times, "details": [{"reason": text}] * 99}})
        return steps(lambda: from_response(400, {}, body))

    classify(1)
    assert classify(10) <= classify(1) * 1.2


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = ["error", "message", "detail", "errors", "code", "type", "object", "choices", "base_resp",
          "promptFeedback", "metadata", "status", "n_ctx", "innererror", "details"]  # fmt: skip
shaped = st.recursive(
    values,
    lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner) | st.lists(inner),
    max_leaves=20,
)


@given(st.integers(), shaped)
def test_any_shape_finds_a_policy(status: int, body: Any) -> None:
    encoded_body = json.dumps(body).encode()
    assert from_response(status, {}, encoded_body).policy.name in ERROR_POLICIES
    assert from_worker(status, encoded_body).policy.name in ERROR_POLICIES
    with suppress(UpstreamError):
        ReplyReader().feed(json.dumps(body))
