"""Programs talk with characters: OpenAI's packages for Python and Node.js, and LiteLLM."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.answers import abort, error, stream, text
from tests.support.clients import run_node
from tests.support.functions import ENVIRONMENT
from tests.support.openai_api import HELLO, MARA, Program, make_key
from tests.support.stack import Stack, User
from tests.support.talk import Talk
from tests.support.waiting import PATIENCE


@pytest.fixture
def user(stack: Stack) -> User:
    return stack.user("Ann")


@pytest.fixture
def program(stack: Stack, user: User) -> Program:
    return Program(stack, make_key(stack, user)["key"])


@pytest.fixture
def client(program: Program) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=program.base_url, api_key=program.key, max_retries=0) as client:
        yield client


@pytest.mark.installations
class TestPython:
    def test_models(self, client: openai.OpenAI) -> None:
        found = {one.id: one for one in client.models.list()}
        assert found[MARA].object == "model"
        assert client.models.retrieve(MARA) == found[MARA]

    def test_completion(self, stack: Stack, client: openai.OpenAI) -> None:
        stack.upstream.enqueue(text("Good evening."))
        answer = client.chat.completions.create(model=MARA, messages=HELLO, temperature=0.5)  # type: ignore[arg-type]
        assert answer.choices[0].message.content == "Good evening."
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage
        assert answer.usage.total_tokens > 0

    def test_stream(self, stack: Stack, client: openai.OpenAI) -> None:
        stack.upstream.enqueue(stream(["Good ", "evening."]))
        chunks = list(
            client.chat.completions.create(  # type: ignore[call-overload]
                model=MARA,
                messages=HELLO,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        said = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
        assert said == "Good evening."
        assert chunks[-1].usage
        assert chunks[-1].usage.completion_tokens > 0

    def test_helper_that_gathers_a_stream(self, stack: Stack, client: openai.OpenAI) -> None:
        stack.upstream.enqueue(stream(["Good ", "evening."]))
        with client.chat.completions.stream(model=MARA, messages=HELLO) as events:  # type: ignore[arg-type]
            gathered = events.get_final_completion()
        assert gathered.choices[0].message.content == "Good evening."

    def test_conversation_by_header(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        program = Program(talk.stack, make_key(talk.stack, talk.user)["key"])
        headers = {"X-Conversation-Id": str(talk.conversation), "X-Client-Message-Id": "one"}
        with openai.OpenAI(base_url=program.base_url, api_key=program.key) as client:
            for _ in range(2):
                client.chat.completions.create(
                    model=MARA,
                    messages=HELLO,  # type: ignore[arg-type]
                    extra_headers=headers,
                )
        assert talk.said() == ["Hello", "> Good evening."]

    def test_errors_are_of_their_kinds(self, stack: Stack, client: openai.OpenAI) -> None:
        def ask(model: str = MARA, **more: Any) -> None:
            client.chat.completions.create(model=model, messages=HELLO, **more)  # type: ignore[arg-type]

        with pytest.raises(openai.NotFoundError) as missing:
            ask("gpt-4o")
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError) as refused:
            ask(n=2)
        assert refused.value.param == "n"
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="wrong").models.list()
        stack.upstream.always(error(500))
        with pytest.raises(openai.InternalServerError):
            ask()
        stack.configure(limits={"default": {"turns_per_minute": 0}})
        with pytest.raises(openai.RateLimitError) as limited:
            ask()
        assert limited.value.response.headers["retry-after"]

    def test_error_within_a_stream_is_raised(self, stack: Stack, client: openai.OpenAI) -> None:
        stack.upstream.enqueue(stream(["Good evening. ", abort()]))
        with pytest.raises(openai.APIError) as cut_off:
            list(client.chat.completions.create(model=MARA, messages=HELLO, stream=True))  # type: ignore[arg-type]
        assert cut_off.value.code == "reply_incomplete"


NODE_START = """
import OpenAI from "openai";
const client = new OpenAI({ baseURL: given.url, apiKey: given.key, maxRetries: 0 });
const model = given.model;
const messages = [{ role: "user", content: "Hello" }];
const told = (value) => console.log(JSON.stringify(value));
"""


class TestNode:
    def run(self, program: Program, script: str) -> Any:
        given = {"url": program.base_url, "key": program.key, "model": MARA}
        return run_node(NODE_START + script, given)

    def test_models_completion_and_stream(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Good evening."), stream(["Sit ", "down."]))
        listed, said, streamed, used = self.run(
            program,
            """
            const listed = [];
            for await (const one of client.models.list()) listed.push(one.id);
            const answer = await client.chat.completions.create({ model, messages });
            let text = "";
            let usage = null;
            const stream = await client.chat.completions.create({
              model, messages, stream: true, stream_options: { include_usage: true },
            });
            for await (const chunk of stream) {
              text += chunk.choices[0]?.delta?.content ?? "";
              usage = chunk.usage ?? usage;
            }
            told([listed, answer.choices[0].message.content, text, usage]);
            """,
        )
        assert MARA in listed
        assert (said, streamed) == ("Good evening.", "Sit down.")
        assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"]

    def test_errors_are_of_their_kinds(self, stack: Stack, program: Program) -> None:
        stack.configure(limits={"default": {"turns_per_minute": 0}})
        told = self.run(
            program,
            """
            const failed = (ask) =>
              ask().then(() => null, (error) => [error.constructor.name, error.code]);
            told([
              await failed(() => client.chat.completions.create({ model: "gpt-4o", messages })),
              await failed(() => client.chat.completions.create({ model, messages })),
              await failed(() => client.withOptions({ apiKey: "wrong" }).models.list()),
            ]);
            """,
        )
        assert told == [
            ["NotFoundError", "model_not_found"],
            ["RateLimitError", "rate_limit_exceeded"],
            ["AuthenticationError", "invalid_api_key"],
        ]


LITELLM = """
import json, sys
import litellm

given = json.load(sys.stdin)


def ask(model=given["model"], **more):
    return litellm.completion(
        model=f"openai/{model}",
        messages=[{"role": "user", "content": "Hello"}],
        api_base=given["url"],
        api_key=given["key"],
        num_retries=0,
        max_retries=0,
        **more,
    )


def failed(*arguments):
    try:
        ask(*arguments)
    except Exception as error:
        return type(error).__name__
"""


class TestLiteLLM:
    def run(self, program: Program, script: str) -> Any:
        """What the script prints. In a process of its own: importing it warns of this and that."""
        given = {"url": program.base_url, "key": program.key, "model": MARA}
        # It would fetch a list of prices when it is imported.
        env = ENVIRONMENT | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
        ran = subprocess.run(
            [sys.executable, "-c", LITELLM + script],
            input=json.dumps(given),
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    def test_completion_and_stream(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Good evening."), stream(["Sit ", "down."]))
        said = self.run(
            program,
            """
whole = ask().choices[0].message.content
pieces = [one.choices[0].delta.content or "" for one in ask(stream=True)]
print(json.dumps([whole, "".join(pieces)]))
""",
        )
        assert said == ["Good evening.", "Sit down."]

    def test_errors_are_of_their_kinds(self, stack: Stack, program: Program) -> None:
        stack.configure(limits={"default": {"turns_per_minute": 0}})
        told = self.run(program, 'print(json.dumps([failed("gpt-4o"), failed()]))')
        assert told == ["NotFoundError", "RateLimitError"]
