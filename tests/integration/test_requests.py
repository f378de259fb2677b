"""Rejected requests, the format of errors, and what browsers need."""

import gzip
import zlib
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support import patient
from tests.support.answers import text
from tests.support.chat_errors import refused
from tests.support.functions import serve
from tests.support.stack import Stack


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        pytest.param(b"{not json", "malformed_json", "JSON", id="malformed"),
        pytest.param(b"[" * 100_000, "malformed_json", "JSON", id="nested-too-deep"),
        pytest.param(b"[]", "invalid_request", "object", id="not-an-object"),
        pytest.param(b'{"message": "Hi"}', "invalid_request", "`conversation_id`", id="missing"),
        pytest.param(
            b'{"message": 5, "conversation_id": "%s"}', "invalid_request", "`message`", id="type"
        ),
        pytest.param(
            b'{"message": "Hi", "conversation_id": "x"}',
            "invalid_request",
            "`conversation_id`",
            id="not-a-uuid",
        ),
        pytest.param(
            b'{"message": "Hi", "conversation_id": "%s", "content_tier": "all"}',
            "invalid_request",
            "`content_tier`",
            id="unknown-tier",
        ),
        pytest.param(
            b'{"message": "  ", "conversation_id": "%s"}', "message_required", "message", id="blank"
        ),
        pytest.param(
            b'{"message": "a\\u0000b", "conversation_id": "%s"}',
            "invalid_request",
            "`message`",
            id="nul",
        ),
        pytest.param(
            b'{"message": "\\ud800", "conversation_id": "%s"}',
            "invalid_request",
            "`message`",
            id="half-a-surrogate-pair",
        ),
        pytest.param(
            b'{"message": "%s", "conversation_id": "%s"}' % (b"a" * 8001, b"%s"),
            "message_too_long",
            "8,000",
            id="too-long",
        ),
    ],
)
def test_bad_body_is_refused_with_a_sentence(
    stack: Stack, body: bytes, code: str, named: str
) -> None:
    user = stack.user()
    conversation = str(stack.conversation(user)).encode()
    answer = patient.post(
        stack.function_url("roleplay_chat"),
        content=body.replace(b"%s", conversation),
        headers=user.headers,
    )
    assert named in refused(answer, 400, code)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        pytest.param("gzip", gzip.compress(b'{"message": "Hi"}'), id="gzip"),
        pytest.param("gzip, gzip", gzip.compress(gzip.compress(b"{}")), id="gzip-twice"),
        pytest.param("deflate", zlib.compress(b"0" * 50_000_000), id="bomb"),
        pytest.param("br", b"\x0b\x02\x80Hello\x03", id="br"),
        pytest.param("zstd", b"\x28\xb5\x2f\xfd\x20\x05", id="zstd"),
    ],
)
def test_compressed_body_is_not_unpacked(stack: Stack, encoding: str, packed: bytes) -> None:
    answer = patient.post(
        stack.function_url("roleplay_chat"),
        content=packed,
        headers=stack.user().headers | {"Content-Encoding": encoding},
    )
    refused(answer, 400, "malformed_json")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"Accept", b"\xff\xff;q=1e999")], id="accept"),
        pytest.param([(b"Content-Type", b"\xff;charset=\xfe")], id="content-type"),
        pytest.param([(b"Origin", b'\xff"<script>')], id="origin"),
        pytest.param(
            [
                (b"traceparent", b"00-" + b"f" * 5_000 + b"-\xff-01"),
                (b"X-Cloud-Trace-Context", b"\xff/\xff;o=\xff"),
            ],
            id="traces",
        ),
        pytest.param([(b"X-Forwarded-For", b"1," * 20_000)], id="a-long-one"),
        pytest.param([(b"X-%d" % number, b"a") for number in range(500)], id="many"),
    ],
)
def test_odd_headers_change_nothing(stack: Stack, headers: list[tuple[bytes, bytes]]) -> None:
    user = stack.user()
    stack.upstream.enqueue(text("Hello."))
    body = {"conversation_id": str(stack.conversation(user)), "message": "Hi"}
    own = [(name.encode(), value.encode()) for name, value in user.headers.items()]
    answer = patient.post(stack.function_url("roleplay_chat"), json=body, headers=[*own, *headers])
    assert (answer.status_code, answer.json()["response"]) == (200, "Hello.")


def test_limit_on_the_message_is_a_setting(stack: Stack) -> None:
    user = stack.user()
    body = {"conversation_id": str(stack.conversation(user)), "message": "123456"}
    with serve("roleplay_chat", stack.env(MAX_MESSAGE_CHARS="5")) as url:
        refused(stack.chat(user, url=url, **body), 400, "message_too_long")


def test_huge_body_is_refused(stack: Stack) -> None:
    answer = stack.chat(stack.user(), message="a" * 300_000)
    assert "262,144 bytes" in refused(answer, 413, "body_too_large")


def test_body_of_the_shipped_client_is_understood(stack: Stack) -> None:
    user = stack.user()
    conversation = stack.conversation(user)
    stack.upstream.enqueue(text("Hello."))
    shipped: dict[str, Any] = {
        "message": "Hello",
        "conversation_id": str(conversation),
        "character_id": "c0ffee00-0000-4000-8000-000000000001",
        "model_provider": "",
        "memory_tier": "conversation",
        "content_tier": "sfw",
        "user_id": str(uuid4()),
        "scene_context": None,
        "scene_system_prompt": None,
        "scene_name": None,
        "scene_description": None,
        "scene_starters": ["Knock.", None],
        "user_role": None,
        "user_character_id": None,
        "prompt_template_id": None,
        "prompt_template_name": None,
        "kickoff": False,
        "scene_generation": False,
        "selected_image_model": "sdxl",
        "consistency_settings": {"method": "hybrid"},
        "scene_continuity_enabled": True,
        "scene_clothing_overrides": {"a": ["b"]},
        "some_field_of_tomorrow": [1, {"two": 3}],
    }

    answer = stack.chat(user, **shipped)

    assert answer.status_code == 200, answer.text
    assert answer.json()["scene_generated"] is False


def test_user_in_the_body_is_not_believed(stack: Stack) -> None:
    owner, other = stack.user(), stack.user()
    conversation = stack.conversation(owner)
    answer = stack.chat(
        other, user_id=str(owner.id), conversation_id=str(conversation), message="Hello"
    )
    refused(answer, 404, "conversation_not_found")
    assert stack.said(conversation) == []


def test_conversation_that_does_not_exist(stack: Stack) -> None:
    answer = stack.chat(stack.user(), conversation_id=str(uuid4()), message="Hello")
    refused(answer, 404, "conversation_not_found")


def test_character_of_somebody_else_is_not_found(stack: Stack) -> None:
    owner, other = stack.user(), stack.user()
    character = stack.insert("characters", user_id=owner.id, name="Private")
    conversation = stack.conversation(other, character_id=character)
    answer = stack.chat(other, conversation_id=str(conversation), message="Hello")
    refused(answer, 404, "character_not_found")


def test_persona_of_somebody_else_is_not_found(stack: Stack) -> None:
    owner, other = stack.user(), stack.user()
    persona = stack.insert("characters", user_id=owner.id, name="Private")
    conversation = stack.conversation(other)
    answer = stack.chat(
        other,
        conversation_id=str(conversation),
        message="Hello",
        user_character_id=str(persona),
    )
    refused(answer, 404, "persona_not_found")


def test_request_without_a_token_is_401(stack: Stack) -> None:
    answer = stack.chat(None, message="Hello")
    refused(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_token_of_a_deleted_user_is_rejected(stack: Stack) -> None:
    user = stack.user()
    conversation = stack.conversation(user)
    stack.db.execute("delete from auth.users where id = %s", (user.id,))
    answer = stack.chat(user, conversation_id=str(conversation), message="Hello")
    refused(answer, 401, "unauthorized")


def test_unreachable_database_is_a_503_with_a_sentence(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    user = stack.user()
    conversation = stack.conversation(user)
    stack.function_url("roleplay_chat")  # started, it has set up its log
    stack.gateway.fail("begin_turn", times=2)
    answer = stack.chat(user, conversation_id=str(conversation), message="Hello")
    refused(answer, 503, "database_unavailable")
    assert answer.headers["retry-after"] == "5"
    [line] = [line for line in caplog.records if line.message == "request rejected"]
    assert (line.levelname, vars(line)["fields"]["why"]) == ("WARNING", "HTTP 503")


def test_database_that_only_reads_is_a_503_whose_reason_is_in_the_log(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """As one that another has just replaced."""
    user = stack.user()
    conversation = stack.conversation(user)
    stack.function_url("roleplay_chat")  # started, it has set up its log
    stack.db.execute(
        """
        create function public.only_read() returns trigger language plpgsql as $$
        begin
          perform set_config('transaction_read_only', 'on', true);
          return new;
        end $$;
        create trigger z_only_read before insert on public.messages
          for each row execute function public.only_read()"""
    )
    try:
        answer = stack.chat(user, conversation_id=str(conversation), message="Hello")
    finally:
        stack.db.execute("drop function public.only_read() cascade")
    refused(answer, 503, "database_unavailable")
    [line] = [line for line in caplog.records if line.message == "request rejected"]
    assert (line.levelname, vars(line)["fields"]["why"]) == ("WARNING", "25006")


def test_get_says_that_the_function_lives(stack: Stack) -> None:
    answer = patient.get(stack.function_url("roleplay_chat"))
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_other_methods_are_refused(stack: Stack) -> None:
    answer = patient.put(stack.function_url("roleplay_chat"))
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_options_are_answered_without_a_preflight(stack: Stack) -> None:
    answer = httpx.options(stack.function_url("roleplay_chat"))
    assert (answer.status_code, answer.text) == (200, "OK")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_preflight_allows_the_headers_of_the_client(stack: Stack) -> None:
    answer = httpx.options(
        stack.function_url("roleplay_chat"),
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,x-client-info,apikey,content-type",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    for header in ("authorization", "x-client-info", "apikey", "content-type"):
        assert header in answer.headers["access-control-allow-headers"]


def test_errors_carry_cors_headers_too(stack: Stack) -> None:
    answer = patient.post(
        stack.function_url("roleplay_chat"), headers={"Origin": "https://app.example"}
    )
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("https://a.example", "https://a.example"),
        ("https://a.example/", "https://a.example"),
        ("https://*.a.example", "https://one.a.example"),
        ("https://b.example/,http://localhost:*", "http://localhost:5173"),
    ],
)
def test_origins_may_be_limited(stack: Stack, allowed: str, origin: str) -> None:
    with serve("roleplay_chat", stack.env(CORS_ALLOW_ORIGINS=allowed)) as url:
        ours = patient.get(url, headers={"Origin": origin})
        other = patient.get(url, headers={"Origin": "https://c.example"})
    assert ours.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("action", [{}, [], ["send"], {"send": 1}, 5])
def test_action_that_is_no_text_is_refused(stack: Stack, action: Any) -> None:
    refused(stack.chat(stack.user(), action=action, message="Hello"), 400, "invalid_request")
