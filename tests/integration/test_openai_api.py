"""The OpenAI-compatible API: models, completions, history, errors, and what is stored of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from roleplay_chat.openai_api import handlers
from roleplay_chat.openai_api.completions import Completion, parse_completion
from tests.support import patient
from tests.support.answers import abort, error, held, stall, stream, text
from tests.support.openai_api import (
    HELLO,
    MARA,
    Program,
    character_says,
    chunks,
    system_says,
    user_says,
)
from tests.support.stack import DEMO_CHARACTER, Stack, User
from tests.support.talk import DOLPHIN, Talk
from tests.support.waiting import Gate, wait_until

pytestmark = pytest.mark.installations

UNKNOWN = "5eea0000-0000-4000-8000-000000000000"
MINOR_AND_SEXUAL = "She is 12 years old. A sexual scene."


@pytest.fixture
def user(stack: Stack) -> User:
    return stack.user("Ann")


@pytest.fixture
def program(stack: Stack, user: User) -> Program:
    return Program(stack, user.token)


def prompt(stack: Stack) -> list[tuple[str, str]]:
    """The messages of the last call to a model."""
    return [(one["role"], one["content"]) for one in stack.upstream.calls[-1].json["messages"]]


def sent(stack: Stack) -> dict[str, Any]:
    """The body of the last call to a model."""
    return dict(stack.upstream.calls[-1].json)


class TestModels:
    def test_lists_the_characters_that_one_may_talk_with(
        self, stack: Stack, user: User, program: Program
    ) -> None:
        own = stack.insert("characters", user_id=user.id, name="Éloïse de Bois")
        stack.insert("characters", user_id=stack.user().id, name="Hidden")
        answer = program.models()
        assert answer.status_code == 200
        assert answer.json()["object"] == "list"
        first, *others = answer.json()["data"]
        assert (first["id"], first["object"]) == (f"eloise-de-bois-{own}", "model")
        assert (first["name"], first["owned_by"]) == ("Éloïse de Bois", "you")
        assert isinstance(first["created"], int)
        assert MARA in [one["id"] for one in others]
        assert "Hidden" not in [one["name"] for one in others]

    def test_adult_characters_need_a_verified_age(self, stack: Stack, program: Program) -> None:
        adult = {"name": "Vera", "is_public": True, "content_rating": "nsfw", "age": 30}
        vera = stack.insert("characters", user_id=stack.user().id, **adult)
        verified = Program(stack, stack.user(age_verified=True).token)
        assert program.models(str(vera)).status_code == 404
        assert verified.models(str(vera)).json()["name"] == "Vera"

    @pytest.mark.parametrize("model", [MARA, str(DEMO_CHARACTER), f"old-name-{DEMO_CHARACTER}"])
    def test_id_stays_valid_whatever_name_precedes_it(
        self, stack: Stack, program: Program, model: str
    ) -> None:
        stack.upstream.enqueue(text("Sit."))
        assert program.models(model).json()["id"] == MARA
        answer = program.complete(model=model)
        assert (answer.status_code, answer.json()["model"]) == (200, model)

    @pytest.mark.parametrize("model", ["gpt-4o", f"mara-{UNKNOWN}", "mara-voss", "../x"])
    def test_what_is_no_character_of_theirs_is_not_found(
        self, stack: Stack, program: Program, model: str
    ) -> None:
        for answer in (program.models(model), program.complete(model=model)):
            assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "model_not_found"
        assert stack.upstream.calls == []

    def test_private_character_of_somebody_else_is_not_found(
        self, stack: Stack, program: Program
    ) -> None:
        theirs = stack.insert("characters", user_id=stack.user().id, name="Hidden")
        assert program.complete(model=str(theirs)).json()["error"]["code"] == "model_not_found"

    def test_author_whom_the_person_blocked_is_left_out(
        self, stack: Stack, user: User, program: Program
    ) -> None:
        author = stack.user()
        vera = stack.insert("characters", user_id=author.id, name="Vera", is_public=True)
        stack.db.execute(
            "insert into blocked_authors (user_id, author_id, character_name)"
            " values (%s, %s, 'Vera')",
            (user.id, author.id),
        )
        assert program.models(str(vera)).status_code == 404


class TestCompletion:
    def test_answer_has_the_form_that_programs_expect(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Good evening."))
        answer = program.complete().json()
        assert (answer["object"], answer["model"]) == ("chat.completion", MARA)
        assert answer["id"].startswith("chatcmpl-")
        (choice,) = answer["choices"]
        assert choice["message"]["role"] == "assistant"
        assert choice["message"]["content"] == "Good evening."
        assert (choice["index"], choice["finish_reason"]) == (0, "stop")
        used = answer["usage"]
        assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"] > 0
        assert answer["roleplay_chat"]["character_id"] == str(DEMO_CHARACTER)

    def test_stream_is_of_chunks_and_ends_with_done(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(stream(["Good ", "evening."]))
        answer = program.complete(stream=True)
        assert answer.headers["content-type"].startswith("text/event-stream")
        first, *middle, last, done = chunks(answer)
        assert {one["object"] for one in (first, *middle, last)} == {"chat.completion.chunk"}
        assert len({one["id"] for one in (first, *middle, last)}) == 1
        assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        said = "".join(one["choices"][0]["delta"]["content"] for one in middle)
        assert said == "Good evening."
        assert last["choices"][0] | {"delta": {}} == last["choices"][0]
        assert (last["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")
        assert not any("usage" in one for one in (first, *middle, last))

    def test_stream_tells_the_usage_where_asked(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Good evening."))
        answer = program.complete(stream=True, stream_options={"include_usage": True})
        *others, last, _ = chunks(answer)
        assert {one["usage"] for one in others} == {None}
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] > 0

    def test_reply_at_its_length_limit_says_so(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Good evening. And", finish="length"))
        assert program.complete().json()["choices"][0]["finish_reason"] == "length"

    def test_silence_is_filled_with_comments(self, stack: Stack, user: User) -> None:
        gate = Gate()
        stack.upstream.enqueue(held(gate, text("Good evening.")))
        with stack.serving(HEARTBEAT_SECONDS="0.05") as url:
            program = Program(stack, user.token, url)
            headers = {"Authorization": f"Bearer {program.key}"}
            body = {"model": MARA, "messages": HELLO, "stream": True}
            address = f"{program.base_url}/chat/completions"
            with patient.stream("POST", address, headers=headers, json=body) as response:
                lines = response.iter_lines()
                first = next(lines)
                gate.open()
                rest = list(lines)
        assert first == ": heartbeat"
        assert rest[-2:] == ["data: [DONE]", ""]

    def test_other_models_answer_where_one_fails(self, stack: Stack, program: Program) -> None:
        stack.upstream.always(error(500))
        stack.upstream.always(text("Good evening."), to=DOLPHIN)
        answer = program.complete().json()
        assert answer["choices"][0]["message"]["content"] == "Good evening."
        assert answer["roleplay_chat"]["model_used"].endswith(DOLPHIN)

    @pytest.mark.parametrize(
        "said", ["Hello", [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]]
    )
    def test_content_is_text_or_parts(self, stack: Stack, program: Program, said: Any) -> None:
        stack.upstream.enqueue(text("Good evening."))
        assert program.complete([{"role": "user", "content": said}]).status_code == 200
        role, words = prompt(stack)[-1]
        assert (role, words.replace("\n", "")) == ("user", "Hello")

    def test_program_that_leaves_stops_the_reply(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(stream(["Good ", "evening", stall(comment_every=0.02)]))
        headers = {"Authorization": f"Bearer {program.key}"}
        body = {"model": MARA, "messages": HELLO, "stream": True}
        address = f"{program.base_url}/chat/completions"
        with patient.stream("POST", address, headers=headers, json=body) as response:
            next(response.iter_lines())
        wait_until(
            lambda: stack.all("select from turns where status = 'stopped'"), "the turn to stop"
        )

    def test_characters_greeting_opens_where_the_person_says_nothing(
        self, stack: Stack, program: Program
    ) -> None:
        answer = program.complete([system_says("It is night.")]).json()
        assert answer["roleplay_chat"]["model_used"] == "card:greeting"
        assert answer["choices"][0]["message"]["content"]
        assert stack.upstream.calls == []

    def test_reply_goes_on_where_the_characters_words_are_the_last(
        self, stack: Stack, program: Program
    ) -> None:
        stack.upstream.enqueue(text("The lamp flickers."))
        said = [user_says("Hello"), character_says("Good evening.")]
        assert program.complete(said).status_code == 200
        assert ("assistant", "Good evening.") in prompt(stack)


class TestHistory:
    SAID = (
        user_says("Who are you?"),
        character_says("The keeper."),
        user_says("Of what?"),
        character_says("Of the lamp."),
        user_says("Show me."),
    )

    def test_is_what_the_request_says(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Follow me."))
        program.complete(self.SAID)
        assert prompt(stack)[-5:] == [(one["role"], one["content"]) for one in self.SAID]

    def test_long_one_loses_its_beginning(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Follow me."))
        said = [
            say(f"Number {number}. " + "It was a long night. " * 40)
            for number in range(120)
            for say in (user_says, character_says)
        ]
        assert program.complete([*said, user_says("Show me.")]).status_code == 200
        words = [content for _, content in prompt(stack)]
        assert words[-1] == "Show me."
        assert any("Number 119." in one for one in words)
        assert not any("Number 0." in one for one in words)

    @pytest.mark.parametrize(
        "said",
        [
            pytest.param([user_says("a")] * 1_001, id="messages"),
            pytest.param([user_says("a") | {"content": [{"text": "a"}] * 1_001}], id="parts"),
        ],
    )
    def test_very_long_one_is_read_in_a_thread(
        self,
        stack: Stack,
        program: Program,
        monkeypatch: pytest.MonkeyPatch,
        said: list[dict[str, Any]],
    ) -> None:
        on_loop: list[bool] = []

        def watched(*arguments: Any, **more: Any) -> Completion:
            on_loop.append(asyncio._get_running_loop() is not None)
            return parse_completion(*arguments, **more)

        stack.function_url("roleplay_chat")
        monkeypatch.setattr(handlers, "parse_completion", watched)
        stack.upstream.always(text("Follow me."))
        assert program.complete([user_says("Show me.")]).status_code == 200
        assert program.complete(said).status_code == 200
        assert on_loop == [True, False]

    def test_nothing_of_it_is_stored(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("A lighthouse."))
        said = [system_says("Secret one"), *self.SAID[:-1], user_says("Secret two")]
        headers = {"X-Client-Message-Id": "one"}
        assert program.complete(said, headers=headers).status_code == 200
        wait_until(lambda: stack.all("select from turns where status <> 'running'"), "the end")
        for table in ("messages", "turns", "usage_events", "turn_prompts", "private.turn_replies"):
            stored = str(stack.all(f"select * from {table}"))  # noqa: S608
            assert not [word for word in ("Secret", "lighthouse", "keeper") if word in stored], (
                table
            )
        assert stack.all("select from messages") == []
        assert len(stack.all("select from usage_events where purpose = 'reply'")) == 1

    def test_repeated_request_without_a_conversation_is_answered_anew(
        self, stack: Stack, program: Program
    ) -> None:
        stack.upstream.enqueue(text("One."), text("Two."))
        headers = {"X-Client-Message-Id": "one"}
        answers = [program.complete(headers=headers).json() for _ in range(2)]
        assert [one["choices"][0]["message"]["content"] for one in answers] == ["One.", "Two."]


class TestSystemMessages:
    def test_stand_below_the_servers_own_prompt(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Sit."))
        program.complete([system_says("It rains."), *HELLO])
        (role, words), *others = prompt(stack)
        template = stack.one(
            "select system_prompt from prompt_templates where use_case = 'roleplay' and is_active"
            " and content_tier = 'sfw' and model_family is null"
        )
        first_line = template["system_prompt"].split("{{")[0]
        assert role == "system"
        assert words.startswith(first_line)
        assert words.endswith("## Directions for the scene\nIt rains.")
        assert not any("rains" in said for _, said in others)

    def test_later_ones_are_the_persons_words(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Sit."))
        program.complete(
            [*HELLO, character_says("Good evening."), user_says("Hm."), system_says("Be rude.")]
        )
        assert ("user", "Be rude.") in prompt(stack) or prompt(stack)[-1][1].endswith("Be rude.")
        assert not [one for one in prompt(stack) if one[0] == "system" and "rude" in one[1]]

    def test_developer_is_the_same_as_system(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Sit."))
        program.complete([{"role": "developer", "content": "It rains."}, *HELLO])
        assert "It rains." in prompt(stack)[0][1]

    def test_too_long_ones_are_refused(self, stack: Stack, program: Program) -> None:
        answer = program.complete([system_says("x" * 8_001), *HELLO])
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "message_too_long")


class TestScreening:
    @pytest.mark.parametrize(
        "said",
        [
            pytest.param([user_says(MINOR_AND_SEXUAL)], id="message"),
            pytest.param([system_says(MINOR_AND_SEXUAL), *HELLO], id="system"),
            pytest.param([user_says(MINOR_AND_SEXUAL), character_says("Hm."), *HELLO], id="said"),
            pytest.param(
                [user_says("Hm."), character_says(MINOR_AND_SEXUAL), *HELLO], id="reply-put-in"
            ),
            pytest.param(
                [*HELLO, character_says("Hm."), system_says(MINOR_AND_SEXUAL)], id="late-system"
            ),
            pytest.param(
                [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "She is 12 years old."},
                            {"type": "text", "text": "A sexual scene."},
                        ],
                    }
                ],
                id="parts",
            ),
            pytest.param(
                [
                    system_says("She is 12 years old."),
                    user_says("Hm."),
                    character_says("Hm."),
                    user_says("A sexual scene."),
                ],
                id="spread",
            ),
        ],
    )
    def test_everything_in_a_request_is_screened(
        self, stack: Stack, program: Program, said: list[dict[str, Any]]
    ) -> None:
        for streamed in (False, True):
            answer = program.complete(said, stream=streamed)
            assert answer.status_code == 403
            assert answer.json()["error"]["code"] == "content_refused"
        assert stack.upstream.calls == []

    def test_reply_is_screened(self, stack: Stack, program: Program) -> None:
        stack.upstream.always(text(MINOR_AND_SEXUAL))
        answer = program.complete()
        assert answer.status_code == 403
        assert "12" not in answer.text


class TestParameters:
    def test_known_ones_are_sent_within_the_models_bounds(
        self, stack: Stack, program: Program
    ) -> None:
        stack.upstream.enqueue(text("Sit."))
        program.complete(
            temperature=0.3,
            top_p=0.5,
            presence_penalty=0.1,
            max_tokens=1_000_000,
            seed=7,
            stop=["###"],
        )
        body = sent(stack)
        assert (body["temperature"], body["top_p"], body["presence_penalty"]) == (0.3, 0.5, 0.1)
        assert (body["seed"], body["stop"][0]) == (7, "###")
        assert body["max_tokens"] <= 1_024

    def test_newer_name_of_the_limit_counts(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Sit."))
        program.complete(max_completion_tokens=100)
        assert sent(stack)["max_tokens"] == 100

    @pytest.mark.parametrize(
        "pieces", [["Sit. ### Go."], ["Sit. #", "## Go."], ["Sit.", " #", "#", "# Go."]]
    )
    def test_reply_ends_before_a_stop_string_that_the_model_ignores(
        self, stack: Stack, program: Program, pieces: list[str]
    ) -> None:
        stack.upstream.enqueue(stream(pieces), stream(pieces))
        answer = program.complete(stop="###").json()
        assert answer["choices"][0]["message"]["content"] == "Sit."
        said = [one for one in chunks(program.complete(stop="###", stream=True)) if one != "[DONE]"]
        words = [one["choices"][0]["delta"].get("content", "") for one in said]
        assert "".join(words) == "Sit."

    def test_unknown_ones_are_ignored(self, stack: Stack, program: Program) -> None:
        stack.upstream.enqueue(text("Sit."))
        more: dict[str, Any] = {
            "user": "u",
            "store": True,
            "foo": [1],
            "parallel_tool_calls": False,
        }
        assert program.complete(**more, tools=[], n=1, logprobs=False).status_code == 200
        assert not {"foo", "user_", "store", "tools"} & sent(stack).keys()

    @pytest.mark.parametrize(
        "parameter",
        [
            {"n": 2},
            {"n": 0},
            {"tools": [{"type": "function"}]},
            {"functions": [{"name": "f"}]},
            {"response_format": {"type": "json_object"}},
            {"logprobs": True},
            {"modalities": ["text", "audio"]},
            {"temperature": 2.1},
            {"temperature": "hot"},
            {"top_p": -1},
            {"max_tokens": 0},
            {"stop": ["x"] * 17},
            {"stop": [""]},
            {"seed": "one"},
            {"stream_options": 1},
        ],
        ids=str,
    )
    def test_what_cannot_be_done_is_refused_by_name(
        self, stack: Stack, program: Program, parameter: dict[str, Any]
    ) -> None:
        answer = program.complete(**parameter)
        assert answer.status_code == 400
        told = answer.json()["error"]
        assert told["type"] == "invalid_request_error"
        assert told["param"].split(".")[0] == next(iter(parameter))
        assert stack.upstream.calls == []

    @pytest.mark.parametrize(
        "messages",
        [
            [],
            [user_says("")],
            [user_says(" ")],
            [{"role": "tool", "content": "x", "tool_call_id": "1"}],
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            [user_says("x" * 8_001)],
            [user_says("x" * 8_001), character_says("Hm."), *HELLO],
            [user_says("\0")],
            ["Hello"],
            [{"content": "Hello"}],
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_messages_that_are_none_are_refused(
        self, stack: Stack, program: Program, messages: list[Any]
    ) -> None:
        answer = program.complete(messages)
        assert (answer.status_code, stack.upstream.calls) == (400, [])
        assert answer.json()["error"]["message"]


class TestErrors:
    def test_missing_or_wrong_key(self, stack: Stack) -> None:
        for key in ("nonsense", "sk-0123", "rpk_0", f"rpk_{'0' * 64}"):
            for answer in (Program(stack, key).complete(), Program(stack, key).models()):
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                told = answer.json()["error"]
                assert (told["code"], told["type"]) == ("invalid_api_key", "authentication_error")

    def test_no_key_at_all(self, stack: Stack) -> None:
        answer = patient.get(f"{stack.function_url('roleplay_chat')}/v1/models")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")

    def test_limit_says_when_to_come_back(self, stack: Stack, program: Program) -> None:
        stack.configure(limits={"default": {"turns_per_minute": 0}})
        answer = program.complete()
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        told = answer.json()["error"]
        assert (told["code"], told["type"]) == ("rate_limit_exceeded", "rate_limit_error")

    @pytest.mark.parametrize("streamed", [False, True])
    def test_no_model_answers(self, stack: Stack, program: Program, streamed: bool) -> None:
        stack.upstream.always(error(500))
        answer = program.complete(stream=streamed)
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
        assert "retry-after" in answer.headers

    def test_reply_that_breaks_off_is_an_error_in_the_stream(
        self, stack: Stack, program: Program
    ) -> None:
        stack.upstream.enqueue(stream(["Good evening. ", abort()]))
        *_, last = chunks(program.complete(stream=True))
        assert last["error"]["code"] == "reply_incomplete"

    def test_reply_that_breaks_off_is_not_whole(self, stack: Stack, program: Program) -> None:
        stack.upstream.always(stream(["Good evening. ", abort()]))
        answer = program.complete().json()
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["roleplay_chat"]["incomplete"] is True

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("POST", "embeddings", 404),
            ("GET", "unknown", 404),
            ("GET", "chat/completions", 405),
            ("POST", "models", 405),
            ("DELETE", "chat/completions", 405),
        ],
    )
    def test_other_addresses_and_methods(
        self, program: Program, method: str, path: str, status: int
    ) -> None:
        headers = {"Authorization": f"Bearer {program.key}"}
        answer = patient.request(method, f"{program.base_url}/{path}", headers=headers)
        assert (answer.status_code, "allow" in answer.headers) == (status, status == 405)
        assert answer.json()["error"]["message"]

    @pytest.mark.parametrize(
        ("path", "allowed"),
        [("chat/completions", "OPTIONS, POST"), ("models", "GET, HEAD, OPTIONS")],
    )
    def test_options_begin_no_turn(self, program: Program, path: str, allowed: str) -> None:
        headers = {"Authorization": f"Bearer {program.key}"}
        body = {"model": MARA, "messages": [{"role": "user", "content": "Hello"}]}
        for given in ({}, headers):
            answer = patient.request(
                "OPTIONS", f"{program.base_url}/{path}", headers=given, json=body
            )
            assert (answer.status_code, answer.headers["allow"]) == (200, allowed)
        assert program.stack.all("select id from turns") == []

    def test_system_messages_count_as_they_are_joined(self, program: Program) -> None:
        directions = [{"role": "system", "content": "x" * size} for size in (7_999, 1)]
        said = [*directions, {"role": "user", "content": "Hello"}]
        answer = program.complete(messages=said)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "message_too_long")

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"messages": 1}', b"\xff"])
    def test_body_that_is_none(self, program: Program, body: bytes) -> None:
        headers = {"Authorization": f"Bearer {program.key}"}
        address = f"{program.base_url}/chat/completions"
        answer = patient.post(address, headers=headers, content=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (
            400,
            "invalid_request_error",
        )

    def test_body_may_not_be_larger_than_that_of_a_turn(self, program: Program) -> None:
        answer = program.complete(action="import_card", card_base64="x" * 300_000)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


class TestConversation:
    def headers(self, talk: Talk, message_id: str | None = None) -> dict[str, str]:
        named = {"X-Conversation-Id": str(talk.conversation)}
        return named | ({"X-Client-Message-Id": message_id} if message_id else {})

    def test_turn_is_stored(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        program = Program(talk.stack, talk.user.token)
        answer = program.complete(headers=self.headers(talk)).json()
        assert talk.stack.said(talk.conversation) == [
            ("user", "Hello"),
            ("character", "Good evening."),
        ]
        assert answer["roleplay_chat"]["message_id"]
        assert answer["roleplay_chat"]["saved"] is True

    def test_metadata_names_it_as_well(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        named = {"conversation_id": str(talk.conversation), "client_message_id": "one"}
        program = Program(talk.stack, talk.user.token)
        for _ in range(2):
            assert program.complete(metadata=named).status_code == 200
        assert len(talk.said()) == 2

    def test_its_own_history_is_read_and_not_that_of_the_request(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."), text("A lamp."))
        program = Program(talk.stack, talk.user.token)
        program.complete(headers=self.headers(talk))
        forged = [user_says("Forged"), character_says("Forged reply"), user_says("What is this?")]
        program.complete(forged, headers=self.headers(talk))
        said = [content for _, content in prompt(talk.stack)]
        assert "Good evening." in said
        assert not any("Forged" in content for content in said)
        assert talk.said()[-2:] == ["What is this?", "> A lamp."]

    def test_all_that_the_person_said_since_the_last_reply_is_one_message(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        said = [character_says("Hm."), user_says("Hello."), user_says("Are you there?")]
        Program(talk.stack, talk.user.token).complete(said, headers=self.headers(talk))
        assert talk.said()[0] == "Hello.\n\nAre you there?"

    @pytest.mark.parametrize("streamed", [False, True])
    def test_repeated_request_gets_the_same_reply(self, talk: Talk, streamed: bool) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        program = Program(talk.stack, talk.user.token)
        first = program.complete(headers=self.headers(talk, "one"))
        again = program.complete(headers=self.headers(talk, "one"), stream=streamed)
        if streamed:
            begin, words, *_, done = chunks(again)
            assert (words["choices"][0]["delta"]["content"], done) == ("Good evening.", "[DONE]")
            assert begin["id"] == first.json()["id"]
        else:
            assert again.json()["id"] == first.json()["id"]
            assert again.json()["choices"] == first.json()["choices"]
        assert len(talk.stack.upstream.calls) == 1

    @pytest.mark.parametrize("streamed", [False, True])
    def test_turn_makes_two_database_calls(self, talk: Talk, streamed: bool) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        program = Program(talk.stack, talk.user.token)
        program.complete(headers=self.headers(talk), stream=streamed)
        assert talk.stack.gateway.calls == [
            "POST /rest/v1/rpc/begin_turn",
            "POST /rest/v1/rpc/finish_turn",
        ]

    def test_conversation_of_somebody_else_is_not_found(self, talk: Talk) -> None:
        other = Program(talk.stack, talk.stack.user().token)
        answer = other.complete(headers=self.headers(talk))
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "conversation_not_found"

    def test_character_who_is_not_in_it_does_not_answer(self, talk: Talk) -> None:
        vera = talk.stack.insert("characters", user_id=talk.user.id, name="Vera")
        program = Program(talk.stack, talk.user.token)
        answer = program.complete(model=str(vera), headers=self.headers(talk))
        assert (answer.status_code, talk.said()) == (404, [])
        assert answer.json()["error"]["code"] == "model_not_found"

    def test_running_turn_is_waited_for(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        program = Program(talk.stack, talk.user.token)
        with talk.streaming() as events:
            events.until("delta")
            answer = program.complete([user_says("And?")], headers=self.headers(talk))
            gate.open()
            list(events)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "turn_in_progress")
        assert "retry-after" in answer.headers

    @pytest.mark.parametrize("name", ["X-Conversation-Id", "X-Client-Message-Id"])
    def test_header_that_names_nothing_is_refused(self, talk: Talk, name: str) -> None:
        program = Program(talk.stack, talk.user.token)
        headers = self.headers(talk) | {name: "x" * 129}
        assert program.complete(headers=headers).status_code == 400
        assert talk.said() == []

    def test_persons_settings_of_it_hold_where_the_request_has_none(self, talk: Talk) -> None:
        talk.stack.db.execute(
            "insert into conversation_settings (conversation_id, sampling)"
            """ values (%s, '{"temperature": 0.9, "top_p": 0.8}')""",
            (talk.conversation,),
        )
        talk.stack.upstream.enqueue(text("Good evening."))
        program = Program(talk.stack, talk.user.token)
        program.complete(headers=self.headers(talk), temperature=0.1)
        assert (sent(talk.stack)["temperature"], sent(talk.stack)["top_p"]) == (0.1, 0.8)
