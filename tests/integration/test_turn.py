"""Turns through the real function, the real database and scripted models."""

import io
import json
import logging
from typing import Any
from uuid import UUID, uuid4

import pytest

from edge.logs import JsonFormatter
from tests.support.answers import error, stall, stream, text, worker_chat, worker_error
from tests.support.odd_rows import ODD, altered
from tests.support.stack import DEMO_CHARACTER, OPENROUTER_KEY, WORKER_KEY, Stack, User
from tests.support.upstream import refusing

VENICE = "cognitivecomputations/dolphin-mistral-24b-venice-edition:free"
DOLPHIN_R1 = "cognitivecomputations/dolphin-3.0-r1-mistral-24b:free"
DOLPHIN = "cognitivecomputations/dolphin-3.0-mistral-24b:free"


def say(stack: Stack, user: User, conversation: UUID, message: str, **body: Any) -> dict[str, Any]:
    """One turn that must be answered."""
    answer = stack.chat(user, conversation_id=str(conversation), message=message, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def prompt(stack: Stack) -> list[tuple[str, str]]:
    """The messages of the last model call without the system message."""
    messages = (stack.upstream.calls or stack.worker.calls)[-1].json["messages"]
    return [(message["role"], message["content"]) for message in messages[1:]]


class TestReply:
    def test_reply_is_saved_and_answered(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("Good evening.\n\nSit down."))

        body = say(stack, user, conversation, "Hello", character_id=str(DEMO_CHARACTER))

        reply = stack.one("select id from messages where sender = 'character'")
        assert body["success"] is True
        assert body["response"] == "Good evening.\n\nSit down."
        assert body["model_used"] == f"openrouter:{VENICE}"
        assert body["message_id"] == str(reply["id"])
        assert (body["usedFallback"], body["fallbackModel"], body["notice"]) == (False, None, None)
        assert (body["scene_generated"], body["consistency_score"]) == (False, 0)
        assert isinstance(body["processing_time"], int)
        assert stack.said(conversation) == [
            ("user", "Hello"),
            ("character", "Good evening.\n\nSit down."),
        ]

    def test_turn_takes_two_round_trips(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("Yes."))

        say(stack, user, conversation, "Hello")

        assert stack.gateway.calls == [
            "POST /rest/v1/rpc/begin_turn",
            "POST /rest/v1/rpc/finish_turn",
        ]

    def test_records_usage_with_the_cost_that_the_provider_names(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        usage = {"prompt_tokens": 150, "completion_tokens": "200", "cost": 0.00036531}
        stack.upstream.enqueue(text("Yes.", usage=usage))

        body = say(stack, user, conversation, "Hello")

        row = stack.one("select * from usage_events")
        turn = stack.one("select * from turns")
        assert body["usage"]["cost_usd"] == pytest.approx(0.00036531)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (150, 200)
        assert (row["outcome"], row["model_key"], row["user_id"]) == ("ok", VENICE, user.id)
        assert float(row["cost_usd"]) == pytest.approx(0.00036531)
        assert row["turn_id"] == turn["id"]
        assert (turn["status"], turn["finish_reason"]) == ("complete", "stop")
        assert turn["model_used"] == body["model_used"]

    def test_costs_what_the_row_says_when_the_provider_names_no_cost(self, stack: Stack) -> None:
        stack.db.execute(
            "update api_models set pricing = "
            """'{"prompt_usd_per_1k": 0.0002, "completion_usd_per_1k": 0.0004}'"""
        )
        user = stack.user()
        conversation = stack.conversation(user)
        usage = {"prompt_tokens": 1000, "completion_tokens": 500}
        stack.upstream.enqueue(text("Yes.", usage=usage))

        body = say(stack, user, conversation, "Hello")

        assert body["usage"]["cost_usd"] == pytest.approx(0.0004)


class TestWords:
    def test_end_where_the_model_begins_to_speak_for_the_person(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = stack.conversation(user)
        stack.upstream.enqueue(
            stream(["Mara Voss: ", "<think>wet</think>", "Sit.", "\nAda: Thanks.", stall()])
        )

        body = say(stack, user, conversation, "Hello")

        assert (body["response"], body["incomplete"]) == ("Sit.", False)
        assert body["usage"]["completion_tokens"] == 2
        assert stack.said(conversation)[-1] == ("character", "Sit.")
        stack.upstream.wait_for(lambda upstream: upstream.calls[-1].closed_early)

    def test_lose_the_sentence_that_the_limit_cut(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("*She nods. She turns and", finish="length"))

        body = say(stack, user, conversation, "Hello")

        assert (body["response"], body["finish_reason"]) == ("*She nods.*", "length")
        assert stack.said(conversation)[-1] == ("character", "*She nods.*")


class TestPrompt:
    def test_prompt_has_history_in_order_and_the_message_once(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user, "One", "Two", "Three", "Four")
        stack.upstream.enqueue(text("Six"))

        say(stack, user, conversation, "Five")

        assert prompt(stack) == [
            ("user", "One"),
            ("assistant", "Two"),
            ("user", "Three"),
            ("assistant", "Four"),
            ("user", "Five"),
        ]

    def test_adopts_the_message_that_the_client_wrote_itself(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user, "One", "Two", "Three")
        stack.upstream.enqueue(text("Four"))

        say(stack, user, conversation, "Three")

        assert prompt(stack)[-1] == ("user", "Three")
        assert [content for _, content in stack.said(conversation)] == [
            "One",
            "Two",
            "Three",
            "Four",
        ]

    def test_describes_character_persona_scene_and_memory(self, stack: Stack) -> None:
        user = stack.user("Ada")
        persona = stack.insert(
            "characters", user_id=user.id, name="Captain Reyes", description="Lost her ship."
        )
        conversation = stack.conversation(user)
        memory = stack.insert(
            "memories", user_id=user.id, tier="character", character_id=DEMO_CHARACTER
        )
        stack.insert("memory_facts", memory_id=memory, content="Reyes is afraid of gulls.")
        stack.upstream.enqueue(text("Aye."))

        say(
            stack,
            user,
            conversation,
            "Hello",
            memory_tier="character",
            user_character_id=str(persona),
            scene_name="The lamp room",
            scene_description="Night. {{user}} drips on the floor.",
            scene_system_prompt="Keep it tense.",
        )

        system = stack.upstream.calls[-1].json["messages"][0]["content"]
        for part in (
            "You are Mara Voss in a fictional conversation with Captain Reyes.",
            "keeper of the lighthouse",
            "Lost her ship.",
            "The scene: The lamp room\nNight. Captain Reyes drips on the floor.",
            "Keep it tense.",
            "- Reyes is afraid of gulls.",
        ):
            assert part in system

    def test_never_expands_macros_in_what_was_said(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("Yes."))

        say(stack, user, conversation, "What is {{char}}?")

        assert prompt(stack) == [("user", "What is {{char}}?")]


class TestMemory:
    @pytest.mark.parametrize("tier", ["conversation", "character", "profile"])
    def test_interaction_is_recorded_in_the_tier_asked_for(self, stack: Stack, tier: str) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("Yes."), text("No."))

        first = say(stack, user, conversation, "Hello", memory_tier=tier)
        say(stack, user, conversation, "Hello again", memory_tier=tier)

        assert first["memory_updated"] is False  # counted, but nothing new is stored
        memory = stack.one("select * from memories where user_id = %s", user.id)
        assert (memory["tier"], memory["interaction_count"]) == (tier, 2)

    def test_narrow_tier_does_not_see_wider_facts(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        memory = stack.insert("memories", user_id=user.id, tier="profile")
        stack.insert("memory_facts", memory_id=memory, content="Has two cats.")
        stack.upstream.enqueue(text("Yes."), text("No."))

        say(stack, user, conversation, "Hello", memory_tier="conversation")
        narrow = stack.upstream.calls[-1].json["messages"][0]["content"]
        say(stack, user, conversation, "Hello again", memory_tier="profile")
        wide = stack.upstream.calls[-1].json["messages"][0]["content"]

        assert "two cats" not in narrow
        assert "two cats" in wide


class TestRouting:
    def test_healthy_worker_answers(self, stack: Stack) -> None:
        stack.register_worker()
        stack.worker_health()
        user = stack.user()
        conversation = stack.conversation(user)
        stack.worker.enqueue(worker_chat("From the worker."))

        body = say(stack, user, conversation, "Hello", model_provider="chat_worker")

        call = stack.worker.calls[-1]
        assert (body["model_used"], body["usedFallback"]) == ("chat_worker", False)
        assert (call.method, call.path) == ("POST", "/chat")
        assert call.headers["authorization"] == f"Bearer {WORKER_KEY}"
        assert call.json["sfw_mode"] is True
        assert call.json["max_tokens"] == 400

    def test_older_name_of_the_worker_is_understood(self, stack: Stack) -> None:
        stack.register_worker()
        stack.worker_health()
        user = stack.user()
        conversation = stack.conversation(user)
        stack.worker.enqueue(worker_chat("From the worker."))

        body = say(stack, user, conversation, "Hello", model_provider="qwen-local")

        assert body["model_used"] == "chat_worker"

    def test_worker_may_speak_the_openai_protocol(self, stack: Stack) -> None:
        stack.register_worker(protocol="openai")
        stack.worker_health()
        user = stack.user()
        conversation = stack.conversation(user)
        stack.worker.enqueue(text("From vLLM."))

        body = say(stack, user, conversation, "Hello", model_provider="chat_worker")

        assert (body["response"], body["model_used"]) == ("From vLLM.", "chat_worker")
        assert stack.worker.calls[-1].path == "/v1/chat/completions"

    @pytest.mark.parametrize(
        "health",
        [
            pytest.param({"healthy": False}, id="unhealthy"),
            pytest.param({"age_seconds": 121}, id="record-too-old"),
            pytest.param({"workerUrl": "https://old.example"}, id="record-of-another-address"),
        ],
    )
    def test_default_model_answers_for_the_worker(
        self, stack: Stack, health: dict[str, Any]
    ) -> None:
        stack.register_worker()
        stack.worker_health(**health)
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("From OpenRouter."))

        body = say(stack, user, conversation, "Hello", model_provider="chat_worker")

        assert body["model_used"] == f"openrouter:{VENICE}"
        assert (body["usedFallback"], body["fallbackModel"]) == (True, VENICE)
        assert "local model is not available" in body["notice"]
        assert stack.worker.calls == []

    @pytest.mark.parametrize(
        "failure",
        [
            pytest.param(worker_error(), id="tensor-error"),
            pytest.param(worker_error(500, "CUDA out of memory"), id="out-of-memory"),
            pytest.param(worker_error(200, "it failed politely"), id="failure-inside-200"),
        ],
    )
    def test_worker_that_fails_is_replaced_in_the_same_request(
        self, stack: Stack, failure: Any
    ) -> None:
        stack.register_worker()
        stack.worker_health()
        user = stack.user()
        conversation = stack.conversation(user)
        stack.worker.enqueue(failure)
        stack.upstream.enqueue(text("From OpenRouter."))

        body = say(stack, user, conversation, "Hello", model_provider="chat_worker")

        assert (body["usedFallback"], body["fallbackModel"]) == (True, VENICE)
        assert stack.said(conversation) == [("user", "Hello"), ("character", "From OpenRouter.")]

    def test_worker_that_is_gone_is_replaced_in_the_same_request(self, stack: Stack) -> None:
        with refusing() as url:
            stack.register_worker(url)
            stack.worker_health(workerUrl=url)
            user = stack.user()
            conversation = stack.conversation(user)
            stack.upstream.enqueue(text("From OpenRouter."))

            body = say(stack, user, conversation, "Hello", model_provider="chat_worker")

        assert body["fallbackModel"] == VENICE

    @pytest.mark.own_tables("there an endpoint_path is an image model's")
    def test_model_key_goes_to_that_model_as_its_rows_say(self, stack: Stack) -> None:
        stack.db.execute(
            "update api_models set endpoint_path = '/other/completions', "
            """input_defaults = '{"temperature": 0.7, "max_tokens": 123}' where model_key = %s""",
            (DOLPHIN_R1,),
        )
        stack.db.execute("update api_providers set auth_scheme='header', auth_header_name='X-Key'")
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("Reasoned."))

        body = say(stack, user, conversation, "Hello", model_provider=DOLPHIN_R1)

        call = stack.upstream.calls[-1]
        assert (body["model_used"], body["usedFallback"]) == (f"openrouter:{DOLPHIN_R1}", False)
        assert call.path == "/api/v1/other/completions"
        assert call.headers["x-key"] == OPENROUTER_KEY
        assert "authorization" not in call.headers
        sent = call.json
        assert (sent["model"], sent["temperature"], sent["max_tokens"]) == (DOLPHIN_R1, 0.7, 123)

    def test_providers_are_told_the_site_where_it_has_a_name(self, stack: Stack) -> None:
        user = stack.user()
        site = {"SITE_URL": "https://play.example", "SITE_NAME": "Play"}
        told = []
        for settings in ({}, site, {"SITE_URL": "", "SITE_NAME": "Play"}):
            stack.upstream.enqueue(text("Aye."))
            with stack.serving(**settings) as url:
                conversation = str(stack.conversation(user))
                answer = stack.chat(user, url=url, conversation_id=conversation, message="Hello")
                assert answer.status_code == 200, answer.text
            headers = stack.upstream.calls[-1].headers
            told.append([headers.get(name) for name in ("http-referer", "x-title")])
        assert told == [[None, None], ["https://play.example", "Play"], [None, "Play"]]

    @pytest.mark.parametrize("key", ["no/such-model", "meta-llama/llama-3.1-8b-instruct"])
    def test_unknown_or_inactive_model_goes_to_the_default_and_says_so(
        self, stack: Stack, key: str
    ) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("Hello."))

        body = say(stack, user, conversation, "Hello", model_provider=key)

        assert (body["usedFallback"], body["fallbackModel"]) == (True, VENICE)
        assert "model you chose is not available" in body["notice"]

    def test_next_model_answers_for_one_that_fails(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(error(404, {"error": {"code": 404, "message": "No endpoints"}}))
        stack.upstream.enqueue(text("Reasoned."))

        body = say(stack, user, conversation, "Hello", model_provider="")

        assert stack.upstream.models_called() == [VENICE, DOLPHIN_R1]
        assert (body["usedFallback"], body["fallbackModel"]) == (True, DOLPHIN_R1)
        outcomes = stack.all("select model_key, outcome from usage_events order by created_at")
        assert {(row["model_key"], row["outcome"]) for row in outcomes} == {
            (VENICE, "model_gone"),
            (DOLPHIN_R1, "ok"),
        }

    def test_model_that_costs_money_is_no_substitute(self, stack: Stack) -> None:
        stack.db.execute("update api_models set is_active = true")
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.always(error(500, {"error": {"code": 500, "message": "down"}}))

        answer = stack.chat(user, conversation_id=str(conversation), message="Hello")

        assert answer.status_code == 503
        assert set(stack.upstream.models_called()) == {VENICE, DOLPHIN_R1, DOLPHIN}


class TestFailure:
    def test_failure_is_a_sentence_and_never_the_characters_words(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.always(error(500, {"error": {"message": "<b>secret upstream text</b>"}}))

        answer = stack.chat(user, conversation_id=str(conversation), message="Hello")

        body = answer.json()
        assert answer.status_code == 503
        assert 1 <= int(answer.headers["retry-after"]) <= 15  # the cooldown that is left
        assert (body["success"], body["code"]) == (False, "no_model_available")
        assert "upstream" not in answer.text
        assert stack.said(conversation) == [("user", "Hello")]
        assert stack.one("select status from turns")["status"] == "failed"

    def test_same_request_is_answered_when_sent_again(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        request_id = str(uuid4())
        stack.upstream.enqueue(*[error(404)] * 3, text("Now."))

        failed = stack.chat(
            user, conversation_id=str(conversation), message="Hello", client_message_id=request_id
        )
        body = say(stack, user, conversation, "Hello", client_message_id=request_id)

        assert failed.status_code == 503
        assert body["response"] == "Now."
        assert stack.said(conversation) == [("user", "Hello"), ("character", "Now.")]

    def test_reply_that_cannot_be_saved_is_given_and_said_to_be_unsaved(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("Listen."))
        stack.gateway.fail("finish_turn", times=99)

        with stack.serving(SAVE_PATIENCE_SECONDS="0.3") as url:
            body = say(stack, user, conversation, "Hello", url=url)
            stack.settle()

        assert (body["response"], body["saved"], body["code"]) == ("Listen.", False, "not_saved")

    def test_short_outage_while_saving_is_ridden_out(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("Listen."))
        stack.gateway.fail("finish_turn", times=2)

        body = say(stack, user, conversation, "Hello")

        assert body["saved"] is True
        assert stack.said(conversation) == [("user", "Hello"), ("character", "Listen.")]


class TestOnce:
    def test_repeated_request_gets_the_same_reply_without_a_second_call(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        request_id = str(uuid4())
        stack.upstream.enqueue(text("Once."))

        first = say(stack, user, conversation, "Hello", client_message_id=request_id)
        again = say(stack, user, conversation, "Hello", client_message_id=request_id)

        assert len(stack.upstream.calls) == 1
        assert {**again, "request_id": ""} == {**first, "request_id": ""}
        assert len(stack.said(conversation)) == 2


@pytest.mark.installations
class TestActions:
    def test_kickoff_opens_the_conversation(self, stack: Stack) -> None:
        user = stack.user()
        character = stack.insert("characters", user_id=user.id, name="Vera")
        conversation = stack.conversation(user, character_id=character)
        stack.upstream.enqueue(text("Come in."))

        body = stack.chat(user, conversation_id=str(conversation), kickoff=True).json()

        assert body["response"] == "Come in."
        assert "Open the scene as Vera" in prompt(stack)[-1][1]
        assert stack.said(conversation) == [("character", "Come in.")]

    def test_kickoff_with_a_message_loses_nothing(self, stack: Stack) -> None:
        """It is rejected before anything happens, so the client still has the text."""
        user = stack.user()
        conversation = stack.conversation(user)
        body: dict[str, Any] = {
            "conversation_id": str(conversation),
            "kickoff": True,
            "message": "Hello",
        }
        answer = stack.chat(user, **body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert (stack.all("select from turns"), stack.said(conversation)) == ([], [])
        assert stack.upstream.calls == []

    @pytest.mark.parametrize("action", ["regenerate", "continue", "impersonate"])
    def test_message_beside_another_action_reaches_nobody(self, stack: Stack, action: str) -> None:
        user = stack.user()
        conversation = stack.conversation(user, "Hello", "Good evening.")
        stack.upstream.enqueue(text("Sit."))
        body = {"conversation_id": str(conversation), "action": action, "message": "quince"}
        assert stack.chat(user, **body).status_code == 200
        [call] = stack.upstream.calls
        assert "quince" not in str(call.body)
        assert "quince" not in str(stack.said(conversation))

    def test_kickoff_continues_a_conversation_that_has_begun(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user, "Hello", "Come in.")
        stack.upstream.enqueue(text("Tea?"))

        stack.chat(user, conversation_id=str(conversation), kickoff=True)

        assert "Continue the scene as Mara Voss" in prompt(stack)[-1][1]

    def test_regenerate_sets_the_earlier_reply_aside(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        stack.upstream.enqueue(text("First."), text("Second."))
        first = say(stack, user, conversation, "Hello")

        body = stack.chat(user, conversation_id=str(conversation), action="regenerate").json()

        assert body["response"] == "Second."
        assert prompt(stack) == [("user", "Hello")]
        assert stack.said(conversation) == [("user", "Hello"), ("character", "Second.")]
        variant = stack.one("select * from messages where content = 'Second.'")
        assert str(variant["variant_of"]) == first["message_id"]
        assert stack.one("select is_active from messages where content = 'First.'") == {
            "is_active": False
        }

    def test_nothing_to_regenerate_is_said(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)

        answer = stack.chat(user, conversation_id=str(conversation), action="regenerate")

        assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_regenerate")

    @pytest.mark.own_tables("there a model has the same parameters for every task")
    @pytest.mark.parametrize(
        ("task", "model", "parameters"),
        [
            ("storytelling", VENICE, (0.9, 800, 0.95)),
            ("prompt_enhancement", DOLPHIN, (0.5, 200, 0.9)),
        ],
    )
    def test_task_without_conversation_uses_its_own_model_and_parameters(
        self, stack: Stack, task: str, model: str, parameters: tuple[float, int, float]
    ) -> None:
        user = stack.user()
        stack.upstream.enqueue(text("A pier at dawn."))

        body = stack.chat(user, task=task, message="pier", client_message_id="one").json()
        again = stack.chat(user, task=task, message="pier", client_message_id="one").json()

        sent = stack.upstream.calls[-1].json
        assert (body["response"], body["message_id"]) == ("A pier at dawn.", None)
        assert again["response"] == "A pier at dawn."
        assert sent["model"] == model
        assert (sent["temperature"], sent["max_tokens"], sent["top_p"]) == parameters
        assert stack.all("select id from messages") == []
        assert stack.one("select task, status from turns") == {"task": task, "status": "complete"}


@pytest.mark.installations
class TestTier:
    def allowing(self, stack: Stack, **changes: Any) -> tuple[User, UUID]:
        """A user and a conversation that may be adult."""
        user = stack.user(age_verified=changes.pop("age_verified", True))
        rated = {"content_rating": "nsfw", "age": 40} | changes
        character = stack.insert("characters", user_id=user.id, name="Vera", **rated)
        return user, stack.conversation(user, character_id=character)

    def test_adult_tier_when_everything_allows_it(self, stack: Stack) -> None:
        user, conversation = self.allowing(stack)
        stack.upstream.enqueue(text("Good evening."))

        body = say(stack, user, conversation, "Hello", content_tier="nsfw")

        assert body["content_tier"] == "nsfw"
        assert "between adults" in stack.upstream.calls[-1].json["messages"][0]["content"]

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"age_verified": False}, id="person-not-verified"),
            pytest.param({"age": None}, id="age-not-declared"),
            pytest.param({"age": 17}, id="age-not-adult"),
            pytest.param({"content_rating": "sfw"}, id="character-not-rated"),
        ],
    )
    def test_otherwise_the_turn_is_for_everybody(
        self, stack: Stack, changes: dict[str, Any]
    ) -> None:
        user, conversation = self.allowing(stack, **changes)
        stack.upstream.enqueue(text("Good evening."))

        body = say(stack, user, conversation, "Hello", content_tier="nsfw")

        assert body["content_tier"] == "sfw"
        assert "general audience" in stack.upstream.calls[-1].json["messages"][0]["content"]


def test_log_line_tells_the_outcome_and_no_words(stack: Stack) -> None:
    user = stack.user("Name-canary")
    conversation = stack.conversation(user, "History-canary", "Reply-canary")
    stack.upstream.enqueue(text("New-canary"))
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("roleplay_chat")
    logger.addHandler(handler)

    say(stack, user, conversation, "Message-canary")

    logger.removeHandler(handler)
    line = json.loads(written.getvalue())
    assert (line["message"], line["severity"], line["saved"]) == ("turn finished", "INFO", True)
    assert [target["outcome"] for target in line["targets"]] == ["ok"]
    assert "canary" not in written.getvalue()


class TestOneBadRow:
    """One bad row affects nothing else."""

    @pytest.fixture
    def other(self, stack: Stack) -> str:
        """A valid model after the bad one."""
        stack.db.execute(
            "update api_models set priority = 1, is_default = model_key = %s, is_active = true"
            " where task = 'roleplay'",
            (VENICE,),
        )
        return VENICE

    def answered(self, stack: Stack, **body: Any) -> dict[str, Any]:
        user = stack.user()
        stack.upstream.enqueue(text("Yes."))
        answer = say(stack, user, stack.conversation(user), "Hello", **body)
        assert answer["response"] == "Yes."
        assert answer["saved"] is True
        return answer

    @pytest.mark.parametrize("value", ODD)
    @pytest.mark.parametrize(
        "field",
        [
            "pricing.prompt_usd_per_1k",
            "pricing.completion_usd_per_1k",
            "capabilities.context_tokens",
            "capabilities.timeouts",
            "capabilities.nsfw",
            "capabilities.memory",
            "capabilities.reasoning",
            "capabilities.stop",
            "capabilities.fallback_allowed",
            "input_defaults.max_tokens",
            "input_defaults.temperature",
            "input_defaults.stop",
        ],
    )
    def test_odd_model_row_fails_no_turn(
        self, stack: Stack, other: str, field: str, value: str
    ) -> None:
        column, _, key = field.partition(".")
        if value == "1e5000" and column == "pricing":
            value = "1e3000"  # a longer number is rejected
        odd = f'{{"{key}": {value}}}'
        stack.db.execute(
            f"update api_models set {column} = %s where model_key <> %s".encode(),  # noqa: S608
            (odd, other),
        )
        self.answered(stack)
        self.answered(stack, model_provider=DOLPHIN)

    @pytest.mark.parametrize("value", ODD)
    def test_odd_row_of_the_default_model_fails_no_turn(self, stack: Stack, value: str) -> None:
        odd = value.replace("1e5000", "1e1500")
        stack.db.execute(
            "update api_models set pricing = %s, capabilities = %s, input_defaults = %s",
            (
                f'{{"prompt_usd_per_1k": {odd}, "completion_usd_per_1k": {odd}}}',
                f'{{"context_tokens": {odd}, "timeouts": {{"first_token": {odd}}}}}',
                f'{{"max_tokens": {odd}}}',
            ),
        )
        self.answered(stack)

    def test_bad_row_is_reported_to_the_operator(
        self, stack: Stack, caplog: pytest.LogCaptureFixture
    ) -> None:
        stack.db.execute(
            """update api_models set pricing = '{"prompt_usd_per_1k": 1e400}' where model_key = %s
            and task = 'roleplay'""",
            (DOLPHIN,),
        )
        with caplog.at_level("ERROR", "roleplay_chat"):
            self.answered(stack)
        (line,) = [line for line in caplog.records if "number" in line.message]
        assert vars(line)["fields"]["where"] == [f"openrouter:{DOLPHIN}: prompt_usd_per_1k"]

    @pytest.mark.parametrize("value", [*ODD, '"x"', "null", "[]", '[["a"]]'])
    @pytest.mark.parametrize("key", ["chatWorker", "chatWorkerUrl", "workerHealthCache", "workers"])
    def test_odd_settings_fail_no_turn(self, stack: Stack, key: str, value: str) -> None:
        if key == "chatWorker":
            stack.register_worker()
            stack.worker_health()
        stack.db.execute(
            "update private.system_settings set config = jsonb_set(config, %s, %s)", ([key], value)
        )
        self.answered(stack)

    @pytest.mark.parametrize("value", ODD)
    @pytest.mark.parametrize("key", ["model", "context_tokens", "input_defaults", "timeouts"])
    def test_odd_settings_of_the_worker_fail_no_turn(
        self, stack: Stack, key: str, value: str
    ) -> None:
        stack.register_worker()
        stack.worker_health()
        stack.db.execute(
            "update private.system_settings set config = jsonb_set(config, %s, %s)",
            (["chatWorker", key], value),
        )
        self.answered(stack)
        user = stack.user()
        stack.worker.enqueue(worker_chat("Yes."))
        body = say(stack, user, stack.conversation(user), "Hello", model_provider="chat_worker")
        assert body["model_used"] == "chat_worker"

    @pytest.mark.parametrize(
        "value", [*ODD, '{"workerUrl": 1}', '{"isHealthy": true, "lastChecked": 1e400}']
    )
    def test_odd_health_record_fails_no_turn(self, stack: Stack, value: str) -> None:
        stack.register_worker()
        stack.db.execute(
            "update private.system_settings"
            " set config = jsonb_set(config, '{workerHealthCache}', %s)",
            (f'{{"chatWorker": {value}}}',),
        )
        self.answered(stack)

    @pytest.mark.parametrize("until", ["infinity", "294276-01-01", "9999-12-31 23:59:59"])
    def test_odd_cooldown_row_fails_no_turn(self, stack: Stack, other: str, until: str) -> None:
        stack.db.execute(
            "insert into model_cooldowns (scope, key, until, reason) values"
            " ('model', %s, %s, 'by hand')",
            (f"openrouter:{DOLPHIN}", until),
        )
        self.answered(stack)

    @pytest.mark.own_tables("takes a check of our own table away")
    def test_odd_template_row_fails_no_turn(self, stack: Stack) -> None:
        with altered(stack, "prompt_templates", "content_tier"):
            stack.db.execute(
                "insert into prompt_templates (name, use_case, content_tier, system_prompt)"
                " values ('odd', 'roleplay', 'odd', 'Be odd.')"
            )
            self.answered(stack)

    @pytest.mark.own_tables("takes a check of our own table away")
    def test_odd_provider_row_fails_no_turn(self, stack: Stack, other: str) -> None:
        with altered(stack, "api_providers", "auth_scheme"):
            provider = stack.insert(
                "api_providers",
                **{"name": "odd", "display_name": "Odd", "base_url": "https://odd.example"},
                **{"auth_scheme": "odd", "secret_name": "Odd_API_KEY"},
            )
            row = {"modality": "roleplay", "task": "roleplay", "display_name": "Odd"}
            stack.insert("api_models", provider_id=provider, model_key="odd", **row)
            self.answered(stack)
            stack.db.execute("delete from api_models where provider_id = %s", (provider,))
            stack.db.execute("delete from api_providers where id = %s", (provider,))
