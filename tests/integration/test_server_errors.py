"""Each server's errors through a whole turn: who is asked next, what is stored, who is called."""

import json

import pytest
from psycopg.types.json import Jsonb

from roleplay_chat.generation.error_policies import ERROR_POLICIES
from tests.support.answers import chunk, event, raw, reply, stream, text, worker_chat
from tests.support.servers import (
    CONTENT,
    CREDIT,
    ERRORS,
    KEYS,
    LIMITED,
    MACHINES,
    PARAMETERS,
    REPLY_TOO_LONG,
    TOO_LONG,
    ServerError,
)
from tests.support.talk import DOLPHIN_R1, VENICE, WORKER, Talk
from tests.support.upstream import Answer


def response(error: ServerError) -> Answer:
    """The error as the server sends it."""
    page = isinstance(error.body, str) and error.body.startswith("<")
    return reply(error.status, error.body, {"Content-Type": "text/html"} if page else None)


def streamed(error: ServerError, *before: str) -> Answer:
    """The error inside a stream with status 200, after some text."""
    return stream([*before, event(error.body)], finish=None, usage=None, done=False)


IN_A_STREAM = [
    error for error in ERRORS if not error.status_decides and "choices" not in error.body
]
ONE_OF_EACH = [*{(error.server, error.policy): error for error in IN_A_STREAM}.values()]
ASKED_AGAIN = {error.id for error in (*TOO_LONG, *REPLY_TOO_LONG, *LIMITED, *PARAMETERS)}
OF_THE_ACCOUNT = ("account", "provider")


def by_id(error: ServerError) -> str:
    return error.id


@pytest.fixture
def long(talk: Talk) -> Talk:
    """A conversation that fills a context of 3,000 tokens, as the row declares."""
    talk.describe(VENICE, context_tokens=3000)
    said = [f"{number:02} " + "word " * 120 for number in range(30)]
    talk.conversation = talk.stack.conversation(talk.user, *said, remembers=False)
    return talk


def check(talk: Talk, error: ServerError, answer: Answer) -> None:
    """One turn in which the first model answers with the error, and everybody else is well."""
    policy = ERROR_POLICIES[error.policy]
    talk.have_worker()
    talk.stack.upstream.always(text("Good evening."))
    talk.stack.upstream.always(worker_chat("Good evening."), to="/worker/chat")
    talk.stack.upstream.enqueue(answer)

    told = talk.say("And now?")

    tried = next(line for line in talk.log if line["message"] == "turn finished")["targets"]
    assert tried[0]["outcome"] == error.policy
    assert talk.alerts() == [error.policy] * policy.alert
    if error.policy == "moderated":
        assert talk.asked() == [VENICE]
        assert (told.status_code, told.json()["code"]) == (403, "content_refused")
        assert talk.turn() == ("failed", "moderated")
        return
    others = WORKER if policy.scope in OF_THE_ACCOUNT or policy.action == "worker" else DOLPHIN_R1
    assert talk.asked() == [VENICE, VENICE if error.id in ASKED_AGAIN else others]
    assert (told.status_code, told.json()["response"]) == (200, "Good evening.")
    assert talk.turn() == ("complete", None)
    on_cooldown = policy.cooldown is not None and error.id not in ASKED_AGAIN
    scopes = [name.split()[0] for name in talk.cooldowns()]
    assert scopes == [policy.scope] * on_cooldown


@pytest.mark.parametrize("error", ERRORS, ids=by_id)
def test_response_is_handled_as_its_policy_says(long: Talk, error: ServerError) -> None:
    check(long, error, response(error))


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=by_id)
def test_error_that_is_the_first_event_is_handled_the_same(long: Talk, error: ServerError) -> None:
    check(long, error, streamed(error))


@pytest.mark.parametrize("error", [error for error in TOO_LONG if error.limit], ids=by_id)
def test_limit_in_the_error_is_used(long: Talk, error: ServerError) -> None:
    long.stack.upstream.enqueue(response(error), text("Good evening."))

    long.reply("And now?")

    sizes = [
        sum(len(message["content"]) for message in call.json["messages"])
        for call in long.stack.upstream.calls
    ]
    limit = error.limit or 0
    assert sizes[1] < sizes[0]
    assert sizes[1] <= (limit - 400) * 3


@pytest.mark.parametrize("error", REPLY_TOO_LONG, ids=by_id)
def test_limit_of_the_reply_is_used(talk: Talk, error: ServerError) -> None:
    talk.stack.upstream.enqueue(response(error), text("Good evening."))

    talk.reply()

    sent = [call.json["max_tokens"] for call in talk.stack.upstream.calls]
    assert sent == [400, 199]


@pytest.mark.parametrize("error", PARAMETERS, ids=by_id)
def test_rejected_parameter_is_left_out_at_once_in_the_next_turn(
    talk: Talk, error: ServerError
) -> None:
    talk.stack.db.execute(
        "update api_models set input_defaults = %s where model_key = %s",
        (Jsonb({"temperature": 0.9, "top_k": 40}), VENICE),
    )
    talk.stack.upstream.enqueue(response(error), text("Good evening."), text("Good night."))

    talk.reply()
    talk.reply("And now?")

    sent = [{"temperature", "top_k"} & call.json.keys() for call in talk.stack.upstream.calls]
    assert sent == [{"temperature", "top_k"}, {"temperature"}, {"temperature"}]


AFTER_TEXT = [
    error
    for error in (*CONTENT, *CREDIT[:2], *KEYS[:2], *LIMITED[:2], *MACHINES[:2], TOO_LONG[0])
    if error in IN_A_STREAM
]


@pytest.mark.parametrize("error", AFTER_TEXT, ids=by_id)
def test_error_after_text_ends_the_turn_there_and_says_why(talk: Talk, error: ServerError) -> None:
    talk.stack.upstream.enqueue(streamed(error, "Good ", "evening"))

    body = talk.reply()

    assert talk.asked() == [VENICE]
    assert (body["response"], body["incomplete"]) == ("Good evening", True)
    assert talk.turn() == ("incomplete", error.policy)
    assert talk.alerts() == [error.policy] * ERROR_POLICIES[error.policy].alert


REFUSING = [
    "content_filter",
    "CONTENT_FILTER",
    "content_filter: PROHIBITED_CONTENT",
    "SAFETY",
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "RECITATION",
    "sensitive",
    "refusal",
    "guardrail_intervened",
]


@pytest.mark.parametrize("reason", REFUSING)
class TestReplyRefusedByItsFinishReason:
    def test_before_any_text_goes_to_no_other_model(self, talk: Talk, reason: str) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(stream([], finish=reason))

        answer = talk.say()

        assert talk.asked() == [VENICE]
        assert (answer.status_code, answer.json()["code"]) == (403, "content_refused")
        assert talk.turn() == ("failed", "moderated")

    def test_after_text_is_not_whole(self, talk: Talk, reason: str) -> None:
        talk.stack.upstream.enqueue(stream(["Good ", "evening"], finish=reason))

        events = talk.stream()

        assert talk.asked() == [VENICE]
        assert events[-1].data["code"] == "reply_incomplete"
        assert talk.said() == ["Hello", "> Good evening"]
        assert talk.turn() == ("incomplete", "moderated")


class TestStatus:
    @pytest.mark.parametrize("status", [201, 202, 203, 206])
    def test_stream_with_another_status_of_success_is_read(self, talk: Talk, status: int) -> None:
        said = [chunk(VENICE, {"content": "Good evening."}), chunk(VENICE, {}, "stop")]
        body = b"".join(map(event, said)).decode()
        headers = {"Content-Type": "text/event-stream"}
        talk.stack.upstream.enqueue(reply(status, body, headers))

        assert talk.reply()["response"] == "Good evening."
        assert talk.asked() == [VENICE]

    @pytest.mark.parametrize(
        ("status", "body", "why"),
        [
            pytest.param(202, {"status": "queued", "id": "x"}, "no choices", id="queued"),
            pytest.param(204, "", "no choices", id="no-content"),
            pytest.param(200, "<!DOCTYPE html><title>Sign in</title>", "a web page", id="page"),
            pytest.param(200, {"object": "list", "data": []}, "no choices", id="other-json"),
        ],
    )
    def test_answer_that_is_no_reply_says_what_it_is(
        self, talk: Talk, status: int, body: object, why: str
    ) -> None:
        talk.stack.upstream.enqueue(reply(status, body), text("Good evening."))

        assert talk.reply()["route"][0]["outcome"] == "unreadable"

        tried = next(line for line in talk.log if line["message"] == "turn finished")["targets"]
        assert (tried[0]["outcome"], tried[0]["why"]) == ("unreadable", why)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirect_of_the_worker_is_a_wrong_address(self, talk: Talk, status: int) -> None:
        talk.have_worker()
        elsewhere = {"Location": f"{talk.stack.upstream.url}/elsewhere"}
        talk.stack.upstream.enqueue(reply(status, "", elsewhere), text("Good evening."))

        talk.reply(model_provider="chat_worker")

        assert talk.asked() == [WORKER, VENICE]
        assert talk.alerts() == ["redirected"]
        assert not [call for call in talk.stack.upstream.calls if "elsewhere" in call.path]


@pytest.mark.parametrize("size", [8_190, 8_191, 30_000])
def test_long_response_headers_are_read(talk: Talk, size: int) -> None:
    body = json.dumps({"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]})
    head = f"HTTP/1.1 200 OK\r\nX-Policy: {'a' * size}\r\nContent-Length: {len(body)}\r\n\r\n"
    talk.stack.upstream.enqueue(raw((head + body).encode()))

    assert talk.reply()["response"] == "Hi."
    assert talk.asked() == [VENICE]


@pytest.mark.parametrize("protocol", ["openai", "chat_worker"])
@pytest.mark.parametrize(
    ("answer", "policy"),
    [
        pytest.param(reply(500, "CUDA out of memory"), "worker_out_of_memory", id="memory"),
        pytest.param(
            reply(500, {"error": {"message": "probability tensor contains either `inf`, `nan`"}}),
            "worker_broken_context",
            id="nan",
        ),
        pytest.param(reply(401, ""), "bad_key", id="key"),
        pytest.param(reply(308, ""), "redirected", id="redirect"),
        pytest.param(reply(404, {"detail": "Not Found"}), "not_found", id="address"),
    ],
)
def test_worker_means_the_same_in_either_protocol(
    talk: Talk, protocol: str, answer: Answer, policy: str
) -> None:
    talk.have_worker(protocol=protocol)
    talk.stack.upstream.enqueue(answer, text("Good evening."))

    talk.reply(model_provider="chat_worker")

    assert talk.asked() == [WORKER, VENICE]
    tried = next(line for line in talk.log if line["message"] == "turn finished")["targets"]
    assert tried[0]["outcome"] == policy
    assert talk.alerts() == [policy] * ERROR_POLICIES[policy].alert
