"""Servers whose chat templates take only some orders of roles: their rules and what they say.

Facts from chat templates and public reports (repository#number); `refusal` is what a server of the
family says of messages, None if it takes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from roleplay_chat.messages import Message, Roles
from tests.support.answers import reply, text
from tests.support.upstream import Answer, Exchange

Rule = Callable[[Sequence[Message]], str | None]


def _alternates(messages: Sequence[Message]) -> bool:
    """Whether these are user, assistant, user, ..."""
    return all((one["role"] == "user") == (n % 2 == 0) for n, one in enumerate(messages)) and all(
        one["role"] != "system" for one in messages
    )


def _spoken(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages without a system message at the beginning."""
    return messages[1:] if messages and messages[0]["role"] == "system" else messages


def _no_system_and_alternating(no_system: str, alternating: str) -> Rule:
    def refusal(messages: Sequence[Message]) -> str | None:
        if messages[0]["role"] == "system":
            return no_system
        return None if _alternates(messages) else alternating

    return refusal


def _alternating(sentence: str) -> Rule:
    return lambda messages: None if _alternates(_spoken(messages)) else sentence


def _system_first(sentence: str) -> Rule:
    def refusal(messages: Sequence[Message]) -> str | None:
        late = any(message["role"] == "system" for message in messages[1:])
        return sentence if late else None

    return refusal


def _mistral(messages: Sequence[Message]) -> str | None:
    for before, after in pairwise(messages):
        if after["role"] == "system" and before["role"] != "system":
            return f"Unexpected role 'system' after role '{before['role']}'"
    if messages[-1]["role"] == "assistant":
        return (
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got"
            " assistant"
        )
    if _spoken(messages)[0]["role"] == "assistant":
        return "Unexpected role 'assistant' after role 'system'"
    return None


def _perplexity(messages: Sequence[Message]) -> str | None:
    if messages[-1]["role"] != "user":
        return "Last message must have role `user`."
    if _alternates(_spoken(messages)):
        return None
    return "After the (optional) system message(s), user and assistant roles should be alternating."


def _deepseek(messages: Sequence[Message]) -> str | None:
    for n, (before, after) in enumerate(pairwise(messages)):
        if before["role"] == after["role"]:
            return (
                "deepseek-reasoner does not support successive user or assistant messages"
                f" (messages[{n}] and messages[{n + 1}] in your input). You should interleave the"
                " user/assistant messages in the message sequence."
            )
    return None


def _bedrock(messages: Sequence[Message]) -> str | None:
    said = [message for message in messages if message["role"] != "system"]
    if said[0]["role"] != "user":
        return (
            "A conversation must start with a user message. Try again with a conversation that"
            " starts with a user message."
        )
    if not _alternates(said):
        return (
            "A conversation must alternate between user and assistant roles. Make sure the"
            " conversation alternates between user and assistant roles and try again."
        )
    return None


def _claude(messages: Sequence[Message]) -> str | None:
    if any(message["role"] == "system" for message in messages):
        return (
            'messages: Unexpected role "system". The Messages API accepts a top-level `system`'
            ' parameter, not "system" as an input message role.'
        )
    if messages[0]["role"] != "user":
        return 'messages: first message must use the "user" role'
    if not _alternates(messages):
        return (
            'messages: roles must alternate between "user" and "assistant", but found multiple'
            ' "user" roles in a row'
        )
    return None


def _gemini(messages: Sequence[Message]) -> str | None:
    said = _spoken(messages)
    if said[-1]["role"] != "user":
        return "Please ensure that multiturn requests ends with a user role or a function response."
    if not _alternates(said):
        return "Please ensure that multiturn requests alternate between user and model."
    return None


def _qwen(messages: Sequence[Message]) -> str | None:
    if any(message["role"] == "system" for message in messages[1:]):
        return "System message must be at the beginning."
    if not any(message["role"] == "user" for message in messages):
        return "No user query found in messages."
    return None


def _of_vllm(sentence: str) -> Any:
    return {"object": "error", "message": sentence, "type": "BadRequestError", "code": 400}


def _error(sentence: str) -> Any:
    return {"error": {"message": sentence, "type": "invalid_request_error", "code": None}}


def _of_llama_cpp(sentence: str) -> Any:
    """It quotes the line of the template, which may be near another sentence."""
    message = (
        "\n------------\nWhile executing CallExpression at line 3, column 28 in source:\n"
        "...raise_exception('System role not supp...\n                 ^\n"
        f"Error: Jinja Exception: {sentence}"
    )
    return {"error": {"code": 500, "message": message, "type": "server_error"}}


def _of_lm_studio(sentence: str) -> Any:
    return {
        "error": f'Error rendering prompt with jinja template: "{sentence}".\n\nThis is usually an'
        " issue with the model's prompt template. If you are using a popular model, you can try to"
        " search the model under lmstudio-community, which will have fixed prompt templates."
    }


def _of_google(sentence: str) -> Any:
    return [{"error": {"code": 400, "message": sentence, "status": "INVALID_ARGUMENT"}}]


def _of_litellm(sentence: str) -> Any:
    inner = json.dumps({"message": sentence})
    message = f"litellm.BadRequestError: BedrockException - {inner}. Received Model Group=story"
    return {"error": {"message": message, "type": None, "param": None, "code": "400"}}


def _of_tgi(sentence: str) -> Any:
    message = f"Template error: invalid operation: {sentence} (in <string>:1)"
    return {"error": message, "error_type": "template_error"}


def _of_openrouter(sentence: str) -> Any:
    raw = json.dumps(_of_vllm(f"{sentence} {sentence}"))
    metadata = {"raw": raw, "provider_name": "Somebody"}
    return {"error": {"code": 400, "message": "Provider returned error", "metadata": metadata}}


ALTERNATE = "Conversation roles must alternate user/assistant/user/assistant/..."


@dataclass(frozen=True)
class Family:
    """A model family at a server: what it refuses, and how it says so."""

    name: str
    refusal: Rule
    roles: Roles
    """The mildest form that it always takes."""
    status: int
    body: Callable[[str], Any]

    def answer(self, words: str) -> Answer:
        """Answers in these words, or refuses the messages."""

        async def answer(exchange: Exchange) -> None:
            sentence = self.refusal(exchange.call.json["messages"])
            refused = sentence and reply(self.status, self.body(sentence))
            await (refused or text(words))(exchange)

        return answer


FAMILIES = (
    # Template of Gemma 1 and 2.
    Family(
        "gemma2-llamacpp",
        _no_system_and_alternating("System role not supported", ALTERNATE),
        "no_system",
        500,
        _of_llama_cpp,
    ),
    # mistral.rs#45, ragflow#11021: one sentence for both, also of a system message.
    Family(
        "mixtral-vllm",
        lambda messages: None if _alternates(messages) else f"{ALTERNATE} {ALTERNATE}",
        "no_system",
        400,
        _of_vllm,
    ),
    # suitenumerique/conversations#197: the template puts the system message into the first one.
    Family("gemma3-vllm", _alternating(ALTERNATE), "alternate", 400, _error),
    # vllm#6862.
    Family(
        "mistral-v3-openrouter",
        _alternating(
            "After the optional system message, conversation roles must alternate"
            " user/assistant/user/assistant/..."
        ),
        "alternate",
        400,
        _of_openrouter,
    ),
    # Template of Mistral Small 3: the role of a late system message.
    Family(
        "mistral-small-tgi",
        _system_first(
            "Only user and assistant roles are supported, with the exception of an initial optional"
            " system message!"
        ),
        "alternate",
        422,
        _of_tgi,
    ),
    # llama.cpp#20733, lmstudio-bug-tracker#1586.
    Family("qwen3.5-llamacpp", _qwen, "alternate", 400, _of_llama_cpp),
    Family("qwen3.5-lmstudio", _qwen, "alternate", 400, _of_lm_studio),
    # forgecode#3128: a proxy that made it a 404.
    Family("qwen3.6-proxy", _qwen, "alternate", 404, lambda sentence: {"error": sentence}),
    # avante.nvim#2695, AiNiee#641.
    Family(
        "mistral-api",
        _mistral,
        "alternate",
        400,
        lambda sentence: _of_vllm(sentence) | {"type": "invalid_request_message_order"},
    ),
    # OpenManus#580.
    Family("perplexity", _perplexity, "alternate", 400, _error),
    # bolt.diy#1235.
    Family("deepseek-reasoner", _deepseek, "alternate", 400, _error),
    # gateway#748, kibana#246393.
    Family("bedrock-litellm", _bedrock, "alternate", 400, _of_litellm),
    # coai#209.
    Family("claude-gateway", _claude, "no_system", 400, lambda sentence: {"message": sentence}),
    # one-api#836.
    Family("gemini", _gemini, "alternate", 400, _of_google),
    # rig#788.
    Family(
        "gemma3-gemini",
        _no_system_and_alternating(
            "Developer instruction is not enabled for models/gemma-3-27b-it",
            "Please ensure that multiturn requests alternate between user and model.",
        ),
        "no_system",
        400,
        _of_google,
    ),
    # Archon#12.
    Family(
        "o1-mini",
        lambda messages: (
            "Unsupported value: 'messages[0].role' does not support 'system' with this model."
            if any(message["role"] == "system" for message in messages)
            else None
        ),
        "no_system",
        400,
        _error,
    ),
)
