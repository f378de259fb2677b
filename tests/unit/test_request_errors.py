"""Errors that say in which form a request is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roleplay_chat.generation.error_classifier import from_error, from_response, from_worker
from roleplay_chat.messages import Message, Roles
from tests.support.templates import FAMILIES, Family

WRONG: dict[str, list[Message]] = {
    "greeting": [
        {"role": "system", "content": "Rules."},
        {"role": "assistant", "content": "There is tea."},
        {"role": "user", "content": "Hello."},
    ],
    "late-system": [
        {"role": "system", "content": "Rules."},
        {"role": "user", "content": "Hello."},
        {"role": "system", "content": "Two paragraphs."},
        {"role": "user", "content": "And now?"},
    ],
    "two-of-one": [
        {"role": "system", "content": "Rules."},
        {"role": "user", "content": "Hello."},
        {"role": "user", "content": "Hello?"},
    ],
    "assistant-last": [
        {"role": "system", "content": "Rules."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Well"},
    ],
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_refusal_of_roles_is_recognised(family: Family, wrong: str) -> None:
    if sentence := family.refusal(WRONG[wrong]):
        body = json.dumps(family.body(sentence)).encode()
        found = from_response(family.status, {}, body)
        assert found.policy.name == "roles_rejected"
        assert found.roles in ("alternate", family.roles)


# More sentences, without a family in tests/support/templates.py.
SENTENCES: dict[str, Roles] = {
    "System role not supported": "no_system",
    "System messages are not supported by this model.": "no_system",
    "The system role isn't supported": "no_system",
    "Prompting with images is incompatible with system messages.": "no_system",
    "This model doesn't support system messages. Try again without a system message.": "no_system",
    "Unsupported value: 'messages[0].role' does not support 'developer' with this model.":
        "no_system",
    "Please use a valid role: user, model.": "no_system",
    "messages.0.role: Input should be 'user' or 'assistant'": "no_system",
    "Invalid role: system": "no_system",
    "'system' is not one of ['user', 'assistant']": "no_system",
    "Role must be 'user' or 'assistant'": "no_system",
    "Role must be in [user, assistant]": "no_system",
    "Content with system role is not supported.": "no_system",
    "Unexpected role RoleEnum.system": "no_system",
    "System messages are not allowed after the first message": "alternate",
    "Only user, assistant and tool roles are supported, got system.": "alternate",
    "Only one system message is allowed": "alternate",
    "Cannot put system message after user": "alternate",
    "Role 'system' must come first": "alternate",
    "Messages with role 'system' must be the first message": "alternate",
    "The first non-system message must be from user": "alternate",
    "messages[0].role must be user": "alternate",
    "Invalid role: expected user but got assistant at position 1": "alternate",
    "Unexpected role assistant at index 1, expected user": "alternate",
    "* GenerateContentRequest.contents: contents is not specified": "alternate",
    "messages 参数非法。请检查文档。": "alternate",
    "'system' role is only allowed for the first message": "alternate",
    "Only the first message can have the role system": "alternate",
    "System prompt should always be the first message in `messages`.": "alternate",
    "Last message should be from either `user` or `tool`.": "alternate",
    "Consecutive messages with the same role are not allowed": "alternate",
    "The role of message with even index in the messages must be user or function": "alternate",
    "Chat message input roles must alternate between 'user' and 'assistant'": "alternate",
    "Messages must start with user role": "alternate",
    "Only user and assistant roles are supported!": "alternate",
    "Only user, system and assistant roles are supported!": "alternate",
    "After the (optional) system message(s), user or tool message(s) should alternate with"
    " assistant message(s).": "alternate",
    "Roles must alternate between 'user' and 'assistant'": "alternate",
    "System messages must be at the beginning of the conversation": "alternate",
    "The system message can only be the first message": "alternate",
    "Conversations must start with a user prompt": "alternate",
    "The conversation must end with a user message.": "alternate",
    "The model that you are using requires the last turn in the conversation to be a user"
    " message.": "alternate",
    "Invalid first message. Should always start with 'role'='user' for this model.": "alternate",
    "The last message of deepseek-reasoner must be a user message, or an assistant message with"
    " prefix mode on": "alternate",
    "Cannot set `add_generation_prompt` to True when the last message is from the assistant.":
        "alternate",
    "Assistant response prefill is incompatible with enable_thinking.": "alternate",
    "This model does not support assistant message prefill.": "alternate",
    "Cannot have 2 or more assistant messages at the end of the list.": "alternate",
    "Role system not supported": "no_system",
    "System role is not available": "no_system",
    "Unrecognized role: system": "no_system",
    "Roles must be either user or assistant": "no_system",
    "Only user, assistant and tool roles are supported!": "alternate",
    "Only 'user' and 'model' roles are supported": "alternate",
    "Only user and assistant roles are allowed": "alternate",
    "Unknown role in conversation": "alternate",
    "Unexpected message role.": "alternate",
    "Cannot continue from an assistant message.": "alternate",
    "Expected role 'user' but got 'assistant'": "alternate",
    "Expecting user role": "alternate",
    "Expected first message to be from user": "alternate",
    "First role must be user": "alternate",
    "Message at index 0 must be a user message": "alternate",
    "messages[1].role must be user": "alternate",
    "Assistant message must be followed by a user message": "alternate",
    "Messages with role 'user' must not follow role 'user'": "alternate",
    "Cannot have two user messages in a row": "alternate",
    "Non-leading system message": "alternate",
    "System message found at non-first position": "alternate",
    "System message in the middle of the conversation is not supported": "alternate",
    "Invalid message role order": "alternate",
}  # fmt: skip


@pytest.mark.parametrize("status", [400, 404, 422, 500])
@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentence_about_roles_is_recognised(sentence: str, status: int) -> None:
    found = from_error({"message": sentence}, status)
    assert (found.policy.name, found.roles) == ("roles_rejected", SENTENCES[sentence])


def test_refusal_of_roles_is_recognised_in_a_stream_and_of_a_worker() -> None:
    sentence = "System role not supported"
    assert from_error({"message": sentence}, 200).roles == "no_system"
    body = json.dumps({"success": False, "error": sentence}).encode()
    assert from_worker(500, body).roles == "no_system"


@pytest.mark.parametrize(
    "message",
    [
        "The system is not available. Please try another model.",
        "The system is not supported at the moment",
        "The last message was too long for the user",
        "The user must be a string",
        "Rate limit exceeded. Messages may be sent to an alternate provider.",
        "Requests for this model go to an alternate model now.",
        "The user role has no access to this model",
        "No endpoints found that support the system you asked for",
        "Your account does not support this model",
        "This model does not support image input",
        "The system prompt is too long",
        "Out of memory in the system allocator",
        "must start with a letter",
        "The first message is too long for the user",
    ],
)
@pytest.mark.parametrize("status", [400, 404, 500])
def test_other_sentences_are_not_about_roles(message: str, status: int) -> None:
    assert from_error({"message": message}, status).policy.name != "roles_rejected"


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_keys_credit_and_limits_are_not_about_roles(status: int) -> None:
    found = from_error({"message": "System role not supported"}, status)
    assert found.policy.name not in ("roles_rejected", "bad_request")


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
        " 'max_completion_tokens' instead.",
        "litellm.BadRequestError: OpenAIException - Unsupported parameter: 'max_tokens' is not"
        " supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens is deprecated, use `max_completion_tokens`",
        "Unsupported parameter: 'max_tokens'",
        "The parameter max_tokens is not allowed. Please use max_completion_tokens instead.",
    ],
)
def test_refusal_of_max_tokens_is_recognised(message: str) -> None:
    assert from_error({"message": message}, 400).policy.name == "max_tokens_rejected"


@pytest.mark.parametrize(
    ("message", "policy"),
    [
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum"
            " context length is 4096 tokens and your request has 100 input tokens",
            "context_too_long",
        ),
        ("max_tokens must be at least 1", "bad_request"),
        (
            "Unsupported value: 'temperature' does not support 0.9 with this model. Only the"
            " default (1) value is supported.",
            "bad_parameters",
        ),
    ],
)
def test_other_sentences_are_not_about_the_name_of_max_tokens(message: str, policy: str) -> None:
    assert from_error({"message": message}, 400).policy.name == policy


def test_searching_is_linear() -> None:
    """Hostile texts of the greatest length take no time to speak of (a backtracking pattern would
    never end)."""
    for unit in ("system role ", "messages ", "role must be user, ", "user or ", "first message "):
        hostile: dict[str, Any] = {"message": unit * 1000}
        assert from_error(hostile, 400).policy
