"""Requests, responses and events: the formats that clients use."""

from __future__ import annotations

import json
from importlib import import_module
from inspect import isclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from edge.errors import ApiError
from roleplay_chat.admin.handlers import ModelTestRequest
from roleplay_chat.api import (
    HEARTBEAT,
    Answer,
    AttemptSummary,
    Caller,
    ChatRequest,
    ModelChoice,
    Usage,
    parse_body,
    parse_request,
    sse,
    validated,
)
from roleplay_chat.cards.handlers import LorebookPlace
from roleplay_chat.openai_api.completions import MAX_PARTS, CompletionBody, parse_completion

CONVERSATION = "c0ffee00-0000-4000-8000-0000000000cc"
MAX_CHARS = 100


def parse(**fields: Any) -> ChatRequest:
    """A request for a roleplay turn, with `fields` changed."""
    body = {"message": "Hello", "conversation_id": CONVERSATION} | fields
    return parse_request(body, max_message_chars=MAX_CHARS)


def refused(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse(**fields)
    assert caught.value.status == 400
    return caught.value


class TestRequest:
    def test_missing_fields_have_their_defaults(self) -> None:
        request = parse()
        assert request.conversation_id == UUID(CONVERSATION)
        assert (request.message, request.action, request.task) == ("Hello", "send", "roleplay")
        assert (request.model_provider, request.stream, request.content_tier) == (None, None, None)

    @pytest.mark.parametrize(
        "field",
        [
            "character_id",
            "model_provider",
            "memory_tier",
            "content_tier",
            "scene_context",
            "scene_system_prompt",
            "scene_name",
            "scene_description",
            "scene_starters",
            "user_role",
            "user_character_id",
            "client_message_id",
            "message_id",
            "kickoff",
            "stream",
            "on_disconnect",
        ],
    )
    def test_empty_text_and_null_mean_not_given(self, field: str) -> None:
        assert getattr(parse(**{field: ""}), field) is None
        assert getattr(parse(**{field: None}), field) is None

    def test_empty_action_and_task_mean_the_defaults(self) -> None:
        request = parse(action="", task="")
        assert (request.action, request.task) == ("send", "roleplay")

    @pytest.mark.parametrize(
        ("fields", "action"),
        [
            ({}, "send"),
            ({"action": "send"}, "send"),
            ({"action": None}, "send"),
            ({"action": "regenerate", "message": None}, "regenerate"),
            ({"action": "continue", "message": None}, "continue"),
            ({"action": "impersonate", "message": None}, "impersonate"),
            ({"kickoff": True, "message": None}, "kickoff"),
            ({"kickoff": True, "message": ""}, "kickoff"),
            ({"kickoff": True, "action": "regenerate", "message": None}, "kickoff"),
            ({"kickoff": False}, "send"),
            ({"kickoff": None}, "send"),
        ],
    )
    def test_action_is_parsed(self, fields: dict[str, Any], action: str) -> None:
        assert parse(**fields).action == action

    @pytest.mark.parametrize("task", ["roleplay", "storytelling", "prompt_enhancement"])
    @pytest.mark.parametrize(
        "more", [{}, {"action": "send"}, {"action": "continue"}, {"greeting": 1}]
    )
    def test_kickoff_takes_no_message(self, task: str, more: dict[str, Any]) -> None:
        with pytest.raises(ApiError, match="invalid_request") as caught:
            parse(task=task, kickoff=True, **more)
        assert "`message`" in caught.value.message
        for blank in (None, "", " \n"):
            assert parse(task=task, kickoff=True, message=blank, **more).action == "kickoff"

    @pytest.mark.parametrize("task", ["storytelling", "prompt_enhancement"])
    def test_other_tasks_need_no_conversation(self, task: str) -> None:
        request = parse(task=task, conversation_id=None)
        assert (request.task, request.conversation_id) == (task, None)

    def test_user_of_the_body_is_not_kept(self) -> None:
        request = parse(user_id="c0ffee00-0000-4000-8000-0000000000aa")
        assert "user_id" not in request.model_dump()
        assert not hasattr(request, "user_id")

    def test_message_keeps_its_spaces_and_lines(self) -> None:
        assert parse(message=" a\n\n b ").message == " a\n\n b "

    def test_message_may_be_as_long_as_the_limit_in_characters(self) -> None:
        assert parse(message="🌊" * MAX_CHARS).message == "🌊" * MAX_CHARS

    @pytest.mark.parametrize(
        ("fields", "code", "named"),
        [
            pytest.param({"message": None}, "message_required", "message", id="no-message"),
            pytest.param({"message": " \n"}, "message_required", "message", id="blank-message"),
            pytest.param(
                {"message": "a" * (MAX_CHARS + 1)}, "message_too_long", "101", id="long-message"
            ),
            pytest.param(
                {"task": "prompt_enhancement", "message": "a" * (MAX_CHARS + 1)},
                "message_too_long",
                "101",
                id="long-message-of-another-task",
            ),
            pytest.param(
                {"conversation_id": None}, "invalid_request", "`conversation_id`", id="nowhere"
            ),
            pytest.param(
                {"conversation_id": ""}, "invalid_request", "`conversation_id`", id="empty-id"
            ),
            pytest.param(
                {"conversation_id": None, "kickoff": True},
                "invalid_request",
                "`conversation_id`",
                id="kickoff-nowhere",
            ),
            pytest.param(
                {"conversation_id": None, "action": "regenerate", "task": "storytelling"},
                "invalid_request",
                "`conversation_id`",
                id="regenerate-nowhere",
            ),
            pytest.param(
                {"conversation_id": None, "action": "continue", "task": "storytelling"},
                "invalid_request",
                "`conversation_id`",
                id="continue-nowhere",
            ),
            pytest.param(
                {"conversation_id": None, "action": "impersonate", "task": "storytelling"},
                "invalid_request",
                "`conversation_id`",
                id="impersonate-nowhere",
            ),
            pytest.param({"message_id": "newest"}, "invalid_request", "`message_id`", id="no-uuid"),
            pytest.param(
                {"action": "kickoff"}, "invalid_request", "`action`", id="kickoff-is-no-action"
            ),
            pytest.param({"task": "poem"}, "invalid_request", "`task`", id="unknown-task"),
            pytest.param(
                {"memory_tier": "all"}, "invalid_request", "`memory_tier`", id="unknown-memory"
            ),
            pytest.param({"stream": "often"}, "invalid_request", "`stream`", id="stream-no-bool"),
            pytest.param(
                {"scene_starters": "Hi"}, "invalid_request", "`scene_starters`", id="no-list"
            ),
            pytest.param(
                {"scene_starters": ["a", 5]},
                "invalid_request",
                "`scene_starters.1`",
                id="number-in-a-list",
            ),
            pytest.param(
                {"scene_starters": ["a"] * 51},
                "invalid_request",
                "`scene_starters`",
                id="list-too-long",
            ),
            pytest.param(
                {"scene_context": "a" * 8001},
                "invalid_request",
                "`scene_context`",
                id="scene-too-long",
            ),
            pytest.param(
                {"model_provider": "a" * 201},
                "invalid_request",
                "`model_provider`",
                id="model-too-long",
            ),
            pytest.param(
                {"client_message_id": "a" * 129},
                "invalid_request",
                "`client_message_id`",
                id="client-id-too-long",
            ),
            pytest.param(
                {"user_role": "a\0b"}, "invalid_request", "`user_role`", id="nul-in-any-text"
            ),
        ],
    )
    def test_refusal_names_the_field(self, fields: dict[str, Any], code: str, named: str) -> None:
        error = refused(**fields)
        assert error.code == code
        assert named in error.message

    @pytest.mark.parametrize(
        ("model", "body", "sentence"),
        [
            pytest.param(
                ChatRequest,
                {"message": "a\0b"},
                "`message`: contains characters that are not text.",
                id="field",
            ),
            pytest.param(
                ModelTestRequest, {}, "Send either `model_id` or `provider_id`.", id="body"
            ),
            pytest.param(
                LorebookPlace,
                {"conversation_id": str(uuid4()), "persona_id": str(uuid4())},
                "Send `conversation_id` or `persona_id`, not both.",
                id="sentence",
            ),
            pytest.param(
                CompletionBody,
                {"model": "mara", "messages": [5]},
                "`messages.0`: Input should be an object.",
                id="object",
            ),
        ],
    )
    def test_refusal_is_in_the_terms_of_json(
        self, model: type[BaseModel], body: dict[str, Any], sentence: str
    ) -> None:
        with pytest.raises(ApiError) as caught:
            validated(model, body)
        assert caught.value.message == sentence

    def test_refusal_does_not_repeat_what_was_sent(self) -> None:
        secret = "canary" * 2000
        error = refused(scene_context=secret, content_tier="canary", memory_tier="canary")
        assert "canary" not in error.message

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff\xfe\xff", b"{'a': 1}"],
        ids=["empty", "unfinished", "not-text", "python"],
    )
    def test_body_that_is_no_json_is_rejected(self, body: bytes) -> None:
        with pytest.raises(ApiError) as caught:
            parse_request(parse_body(body), max_message_chars=MAX_CHARS)
        assert (caught.value.status, caught.value.code) == (400, "malformed_json")

    def test_number_of_thousands_of_digits_is_rejected(self) -> None:
        body = b'{"message": "Hi", "conversation_id": "%s", "greeting": %s}'
        with pytest.raises(ApiError, match="invalid_request") as caught:
            parse_request(
                parse_body(body % (str(uuid4()).encode(), b"9" * 5000)), max_message_chars=MAX_CHARS
            )
        assert "greeting" in caught.value.message

    @pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"5", b"NaN"])
    def test_json_that_is_no_object(self, body: bytes) -> None:
        with pytest.raises(ApiError) as caught:
            parse_request(parse_body(body), max_message_chars=MAX_CHARS)
        assert (caught.value.status, caught.value.code) == (400, "invalid_request")


MODULES = [
    *("api", "account", "message_actions", "stops", "openai_api.completions"),
    *(f"{folder}.handlers" for folder in ("admin", "cards", "chats", "portraits")),
    "cards.model",
]


def models_of(name: str) -> list[type[BaseModel]]:
    module = import_module(f"roleplay_chat.{name}")
    found = [one for one in vars(module).values() if isclass(one) and issubclass(one, BaseModel)]
    return [one for one in found if one.__module__ == module.__name__]


FOR_DOCUMENTS = "json_schema_input_schema"


def schemas_of(schema: Any, kind: str) -> list[dict[str, Any]]:
    """The parts of a validator's schema that are of this kind."""
    inner = schema
    if isinstance(schema, dict):
        inner = [part for name, part in schema.items() if name != FOR_DOCUMENTS]
    if not isinstance(schema, dict | list | tuple):
        return []
    own = [schema] if isinstance(schema, dict) and schema.get("type") == kind else []
    return [*own, *(found for part in inner for found in schemas_of(part, kind))]


class TestListsOfRequests:
    """A hundred thousand faults of one list would take a second to describe."""

    @pytest.mark.parametrize("module", MODULES)
    def test_are_read_up_to_the_first_fault(self, module: str) -> None:
        models = models_of(module)
        assert models
        for model in models:
            model.model_rebuild()
            schema = model.__pydantic_core_schema__
            assert not schemas_of(schema, "dict")
            for found in schemas_of(schema, "list"):
                is_unchecked = found.get("items_schema", {}).get("type") == "any"
                assert is_unchecked or found.get("fail_fast"), (model, found)

    @pytest.mark.parametrize(
        ("faulty", "named"),
        [
            ({"stop": [0] * 9_000}, "`stop.0`"),
            ({"modalities": [0] * 9_000}, "`modalities.0`"),
            ({"messages": [{}] * 9_000}, "`messages.0.role`"),
            ({"messages": [{"role": "user", "content": [0] * 9_000}]}, "`messages.0.content.0`"),
        ],
        ids=str,
    )
    def test_one_fault_of_many_is_told(self, faulty: dict[str, Any], named: str) -> None:
        body = {"model": str(uuid4()), "messages": [{"role": "user", "content": "Hi"}]} | faulty
        with pytest.raises(ApiError, match="invalid_request") as caught:
            parse_completion(body, {}, max_message_chars=MAX_CHARS)
        assert named in caught.value.message
        assert isinstance(caught.value.__cause__, ValidationError)
        assert caught.value.__cause__.error_count() == 1

    @pytest.mark.parametrize(
        "messages",
        [
            [{"role": "user", "content": "a"}] * (MAX_PARTS + 1),
            [{"role": "user", "content": [{}] * MAX_PARTS}],
            [{"role": "user", "content": [{}] * 99}] * (MAX_PARTS // 100) + [{}],
            [0] * (MAX_PARTS + 1),
        ],
        ids=["messages", "parts", "parts-of-many", "numbers"],
    )
    def test_too_many_messages_are_refused_unread(self, messages: list[Any]) -> None:
        body = {"model": str(uuid4()), "messages": messages}
        with pytest.raises(ApiError, match="invalid_request") as caught:
            parse_completion(body, {}, max_message_chars=MAX_CHARS)
        assert "leave out the oldest" in caught.value.message
        assert caught.value.__cause__ is None

    def test_as_many_messages_as_a_body_has_room_for_are_read(self) -> None:
        messages = [{"role": "user", "content": "a"}] * MAX_PARTS
        body = {"model": str(uuid4()), "messages": messages}
        read = parse_completion(body, {}, max_message_chars=MAX_CHARS)
        assert len(read.history or ()) == MAX_PARTS - 1


# Any text, including lone surrogates, which JSON can contain.
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from([*ChatRequest.model_fields, "action", "user_id", "new_field"])


@given(st.dictionaries(fields, anything))
def test_any_object_is_understood_or_refused_with_a_sentence(body: dict[str, Any]) -> None:
    try:
        answer = parse_request(body, max_message_chars=MAX_CHARS)
    except ApiError as error:
        refusal = error.response("id")
        answered = (refusal.status_code, json.loads(bytes(refusal.body))["success"])
    else:
        answered = (200, bool(answer.model_dump_json()))
    assert answered in [(200, True), (400, False)]


ANSWER = Answer(
    response="Sit down.\n\nTea?",
    chosen=ModelChoice("openrouter:a/b:free"),
    turn_id="turn",
    request_id="request",
    processing_time=1200,
    content_tier="sfw",
    finish_reason="stop",
    message_id="reply",
    user_message_id="said",
    memory_updated=True,
    usage=Usage(150, 200, 0.0004),
    route=[
        AttemptSummary("chat_worker", "overloaded", 80),
        AttemptSummary("openrouter:a/b:free", "ok", 1100),
    ],
)


class TestAnswer:
    def test_fields_that_the_shipped_client_reads(self) -> None:
        body = ANSWER.to_json()
        types = {
            "success": bool,
            "response": str,
            "model_used": str,
            "message_id": str,
            "processing_time": int,
            "memory_updated": bool,
            "usedFallback": bool,
            "fallbackModel": type(None),
            "scene_generated": bool,
            "consistency_score": int,
        }
        assert {name: type(body[name]) for name in types} == types

    def test_body_of_a_response_has_all_fields(self) -> None:
        assert json.loads(json.dumps(ANSWER.to_json())) == {
            "success": True,
            "response": "Sit down.\n\nTea?",
            "model_used": "openrouter:a/b:free",
            "message_id": "reply",
            "processing_time": 1200,
            "memory_updated": True,
            "usedFallback": False,
            "fallbackModel": None,
            "scene_generated": False,
            "consistency_score": 0,
            "turn_id": "turn",
            "user_message_id": "said",
            "character_id": None,
            "content_tier": "sfw",
            "finish_reason": "stop",
            "incomplete": False,
            "notice": None,
            "saved": True,
            "usage": {"prompt_tokens": 150, "completion_tokens": 200, "cost_usd": 0.0004},
            "route": [
                {"target": "chat_worker", "outcome": "overloaded", "ms": 80},
                {"target": "openrouter:a/b:free", "outcome": "ok", "ms": 1100},
            ],
            "request_id": "request",
        }

    def test_fallback_names_the_model_for_the_picker(self) -> None:
        chosen = ModelChoice(
            "openrouter:a/b:free", True, "a/b:free", "It is down; B answered instead."
        )
        assert chosen.to_json() == {
            "model_used": "openrouter:a/b:free",
            "usedFallback": True,
            "fallbackModel": "a/b:free",
            "notice": "It is down; B answered instead.",
        }

    def test_metadata_is_everything_but_the_reply(self) -> None:
        assert ANSWER.metadata() | {"response": ANSWER.response} == ANSWER.to_json()
        assert "response" not in ANSWER.metadata()

    def test_reply_that_was_not_saved_has_a_code(self) -> None:
        lost = Answer("Hm.", ModelChoice("chat_worker"), "turn", "request", 5, "sfw", saved=False)
        body = lost.to_json()
        assert (body["saved"], body["code"], body["message_id"]) == (False, "not_saved", None)


class TestEvents:
    def test_event_is_framed_as_a_server_sent_event(self) -> None:
        assert sse("delta", {"text": "a\nb"}) == 'event: delta\ndata: {"text":"a\\nb"}\n\n'

    def test_text_is_sent_as_it_is_and_not_escaped(self) -> None:
        assert "灯台守 🌊" in sse("delta", {"text": "灯台守 🌊"})

    def test_heartbeat_is_a_comment(self) -> None:
        assert HEARTBEAT.startswith(":")
        assert received(HEARTBEAT * 2) == []

    @given(st.lists(st.text()))
    def test_any_text_arrives_as_it_was_sent(self, texts: list[str]) -> None:
        sent = HEARTBEAT.join(sse("delta", {"text": text}) for text in texts)
        assert received(sent) == [("delta", {"text": text}) for text in texts]


def test_token_of_a_caller_is_not_shown() -> None:
    caller = Caller(UUID(int=7), "a.secret.token")
    assert str(UUID(int=7)) in repr(caller)
    assert "secret" not in f"{caller} {caller!r}"


def received(stream: str) -> list[tuple[str, Any]]:
    """The events that a client parses from a stream."""
    headers = {"Content-Type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, content=stream.encode())
    return [(event.event, event.json()) for event in EventSource(response).iter_sse()]
