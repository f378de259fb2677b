"""Programs that use the AI SDK talk with characters."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.answers import abort, error, stream, text
from tests.support.clients import run_node
from tests.support.openai_api import MARA, Program, make_key
from tests.support.postgres import ROOT
from tests.support.stack import Stack
from tests.support.talk import Talk

START = """
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
globalThis.AI_SDK_LOG_WARNINGS = false;
const characters = createOpenAICompatible({
  name: "characters", baseURL: given.url, apiKey: given.key, includeUsage: true,
});
const asked = { model: characters(given.model), prompt: "Hello", maxRetries: 0 };
const told = (value) => console.log(JSON.stringify(value));
"""


@pytest.fixture
def program(stack: Stack) -> Program:
    return Program(stack, make_key(stack, stack.user("Ann"))["key"])


def run(program: Program, script: str, **more: Any) -> Any:
    given = {"url": program.base_url, "key": program.key, "model": MARA}
    return run_node(START + script, given | more)


def test_documents_program_as_it_stands(stack: Stack, program: Program) -> None:
    document = (ROOT / "docs/clients.md").read_text()
    (found,) = re.findall(r"^```javascript\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    for written, ours in (
        ('"https://functions.example/roleplay_chat/v1"', "given.url"),
        ("process.env.CHARACTERS_API_KEY", "given.key"),
    ):
        assert written in found
        found = found.replace(written, ours)
    stack.upstream.enqueue(stream(['"Good ', 'evening."']))
    assert run_node(found, {"url": program.base_url, "key": program.key}) == "Good evening."


def test_whole_reply_and_stream_with_usage(stack: Stack, program: Program) -> None:
    stack.upstream.enqueue(text("Good evening."), stream(["Sit ", "down."]))
    whole, reason, streamed, used = run(
        program,
        """
        const whole = await generateText({ ...asked, maxOutputTokens: 50 });
        const reply = streamText(asked);
        let streamed = "";
        for await (const piece of reply.textStream) streamed += piece;
        told([whole.text, whole.finishReason, streamed, await reply.usage]);
        """,
    )
    assert (whole, reason, streamed) == ("Good evening.", "stop", "Sit down.")
    assert used["totalTokens"] == used["inputTokens"] + used["outputTokens"] > 0


def test_turn_of_a_named_conversation_is_stored(talk: Talk) -> None:
    talk.stack.upstream.enqueue(text("Good evening."))
    program = Program(talk.stack, make_key(talk.stack, talk.user)["key"])
    said = run(
        program,
        """
        const headers = { "X-Conversation-Id": given.id };
        told((await generateText({ ...asked, headers })).text);
        """,
        id=str(talk.conversation),
    )
    assert said == "Good evening."
    assert talk.said() == ["Hello", "> Good evening."]


def test_errors_have_a_status_and_a_sentence(stack: Stack, program: Program) -> None:
    stack.upstream.always(error(500))
    told = run(
        program,
        """
        const failed = (change) => generateText({ ...asked, ...change })
          .then(() => null, (error) => [error.statusCode, error.isRetryable]);
        told([
          await failed({ model: characters("gpt-4o") }),
          await failed({ headers: { Authorization: "Bearer wrong" } }),
          await failed({}),
        ]);
        """,
    )
    assert told == [[404, False], [401, False], [503, True]]


def test_reply_that_breaks_off_is_an_error_in_the_stream(stack: Stack, program: Program) -> None:
    stack.upstream.enqueue(stream(["Good evening. ", abort()]))
    kinds = run(
        program,
        """
        const kinds = [];
        const reply = streamText({ ...asked, onError: () => {} });
        for await (const part of reply.fullStream) kinds.push(part.type);
        told(kinds);
        """,
    )
    assert "text-delta" in kinds
    assert "error" in kinds
