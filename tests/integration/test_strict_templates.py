"""Servers that refuse some orders of roles, or max_tokens: asked again once, and remembered."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import abort, error, reply, stream, text, worker_chat, worker_error
from tests.support.functions import serve
from tests.support.memory import MESSAGES, SUMMARY, fill, summary, take_turn
from tests.support.notes import written
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import DOLPHIN, VENICE, Talk, failing
from tests.support.templates import FAMILIES, Family
from tests.support.upstream import Answer, Exchange

GEMMA, MIXTRAL = FAMILIES[:2]
AUTHORED = {
    "post_history_instructions": "Answer in two paragraphs.",
    "character_book": {
        "entries": [
            {
                "keys": ["skerry"],
                "content": f"A note of role {role}.",
                "extensions": {"position": 4, "depth": depth, "role": role},
            }
            for role, depth in ((0, 0), (1, 2), (2, 1))
        ]
    },
}


@pytest.fixture
def authored(talk: Talk) -> Talk:
    """A character with a greeting, instructions and notes, and one model."""
    talk.have_only(VENICE)
    talk.stack.db.execute(
        "update characters set first_message = 'There is tea.',"
        " post_history_instructions = %s, character_book = %s where id = %s",
        (
            AUTHORED["post_history_instructions"],
            Jsonb(AUTHORED["character_book"]),
            DEMO_CHARACTER,
        ),
    )
    return talk


def kickoff(talk: Talk) -> None:
    """The character's first words."""
    answer = talk.stack.chat(talk.user, conversation_id=str(talk.conversation), kickoff=True)
    assert answer.status_code == 200, answer.text


def refused(talk: Talk, family: Family) -> int:
    """How many calls the family refused."""
    calls = talk.stack.upstream.calls
    return sum(family.refusal(call.json["messages"]) is not None for call in calls)


def roles(talk: Talk) -> list[str]:
    """The roles of the last call."""
    return [message["role"] for message in talk.stack.upstream.calls[-1].json["messages"]]


def learned(talk: Talk) -> dict[str, Any]:
    rows = talk.stack.all("select model_key, repairs from private.model_repairs")
    return {row["model_key"]: row["repairs"] for row in rows}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_turn_of_a_strict_family_is_answered(authored: Talk, family: Family) -> None:
    talk, upstream = authored, authored.stack.upstream
    upstream.always(family.answer("Good evening."))

    kickoff(talk)
    for message in ("To the skerry?", "And from the skerry?"):
        talk.reply(message)
    for action in ("regenerate", "continue", "impersonate"):
        assert talk.reply(action=action)["response"]
    talk.reply("Back to the skerry.")
    assert talk.said()[:2] == ["> There is tea.", "To the skerry?"]

    talk.conversation = talk.stack.conversation(talk.user)
    talk.stack.db.execute("update characters set first_message = ''")
    kickoff(talk)
    talk.reply("Hello")

    wrong = [family.refusal(call.json["messages"]) is not None for call in upstream.calls]
    once = wrong.index(True)  # After it was refused it was asked in the right way, at once.
    assert True not in wrong[once + 2 :]
    assert learned(talk) == {VENICE: {"roles": family.roles}}
    assert talk.cooldowns() == {}
    assert talk.alerts() == []


@pytest.mark.installations
class TestMemory:
    def test_of_a_form_is_shared_by_instances(self, authored: Talk) -> None:
        authored.stack.upstream.always(GEMMA.answer("Good evening."))
        authored.reply()
        with serve("roleplay_chat", authored.stack.env()) as url:
            authored.url = url
            authored.reply("And now?")
        assert len(authored.stack.upstream.calls) == 3
        assert roles(authored) == ["user", "assistant", "user"]

    def test_of_a_form_is_the_models(self, talk: Talk) -> None:
        talk.stack.upstream.always(GEMMA.answer("Good evening."), to=VENICE)
        talk.stack.upstream.always(text("Good morning."), to=DOLPHIN)
        talk.reply()
        talk.reply(model_provider=DOLPHIN)
        assert roles(talk)[0] == "system"
        assert learned(talk) == {VENICE: {"roles": "no_system"}}

    def test_of_a_form_costs_no_call_of_the_database(self, authored: Talk) -> None:
        authored.stack.upstream.always(GEMMA.answer("Good evening."))
        for message in ("Hello", "And now?"):
            authored.stack.gateway.calls.clear()
            authored.reply(message)
            assert authored.stack.gateway.calls == [
                "POST /rest/v1/rpc/begin_turn",
                "POST /rest/v1/rpc/finish_turn",
            ]

    def test_of_a_form_ends_after_a_month(self, authored: Talk) -> None:
        authored.stack.upstream.always(GEMMA.answer("Good evening."))
        authored.reply()
        authored.stack.db.execute(
            "update private.model_repairs"
            " set updated_at = now() - interval '31 days', repairs = repairs || '{\"x\": 1}'"
        )
        authored.reply("And now?")
        assert refused(authored, GEMMA) == 2
        assert learned(authored) == {VENICE: {"roles": "no_system"}}
        authored.reply("And then?")
        assert refused(authored, GEMMA) == 2

    def test_of_a_form_is_none_where_it_did_not_help(self, authored: Talk) -> None:
        authored.stack.upstream.always(error(400, GEMMA.body("System role not supported")))
        assert authored.say().status_code == 503
        assert learned(authored) == {}
        assert len(authored.stack.upstream.calls) == 2

    def test_of_a_form_is_kept_of_a_reply_that_broke_off(self, authored: Talk) -> None:
        async def answer(exchange: Exchange) -> None:
            refuses = GEMMA.refusal(exchange.call.json["messages"])
            await (GEMMA.answer("") if refuses else stream(["Good ", abort()]))(exchange)

        authored.stack.upstream.always(answer)
        assert authored.reply()["incomplete"] is True
        assert learned(authored) == {VENICE: {"roles": "no_system"}}

    def test_of_two_repairs_is_of_both(self, authored: Talk) -> None:
        sentence = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        authored.stack.upstream.enqueue(failing(400, sentence))
        authored.stack.upstream.always(GEMMA.answer("Good evening."))
        authored.reply()
        authored.reply("And now?")
        form = {"roles": "no_system", "max_completion_tokens": True}
        assert learned(authored) == {VENICE: form}
        assert len(authored.stack.upstream.calls) == 4


class TestRow:
    @pytest.mark.parametrize("family", [GEMMA, MIXTRAL], ids=lambda family: family.name)
    def test_form_of_the_row_is_sent_at_once(self, authored: Talk, family: Family) -> None:
        authored.describe(VENICE, roles=family.roles)
        authored.stack.upstream.always(family.answer("Good evening."))
        kickoff(authored)
        authored.reply("To the skerry?")
        assert refused(authored, family) == 0
        assert learned(authored) == {}

    def test_form_that_is_too_mild_is_repaired(self, authored: Talk) -> None:
        authored.describe(VENICE, roles="alternate")
        authored.stack.upstream.always(GEMMA.answer("Good evening."))
        authored.reply()
        assert roles(authored) == ["user"]

    def test_form_of_a_worker_is_its_settings(self, talk: Talk) -> None:
        talk.have_worker(protocol="openai", roles="no_system")
        talk.stack.upstream.always(GEMMA.answer("Sit."))
        talk.reply(model_provider="chat_worker")
        assert roles(talk) == ["user"]


class TestWorker:
    @pytest.mark.parametrize("protocol", ["openai", "chat_worker"])
    def test_form_is_repaired_and_remembered_for_its_model(self, talk: Talk, protocol: str) -> None:
        def own(exchange: Exchange) -> Answer:
            sentence = MIXTRAL.refusal(exchange.call.json["messages"])
            return worker_error(message=sentence) if sentence else worker_chat("Sit.")

        async def answer(exchange: Exchange) -> None:
            own_protocol = protocol == "chat_worker"
            await (own(exchange) if own_protocol else MIXTRAL.answer("Sit."))(exchange)

        talk.have_worker(protocol=protocol)
        talk.stack.upstream.always(answer)
        talk.reply(model_provider="chat_worker")
        talk.reply("And now?", model_provider="chat_worker")
        assert len(talk.stack.upstream.calls) == 3
        assert roles(talk) == ["user", "assistant", "user"]

    @pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
    def test_address_may_be_given_in_any_way(self, talk: Talk, path: str) -> None:
        url = f"{talk.stack.upstream.url}{path}"
        talk.stack.register_worker(url, protocol="openai")
        talk.stack.upstream.always(reply(404), to="/health")
        talk.stack.upstream.always(text("Sit."), to="/v1/chat/completions")
        talk.stack.upstream.always(reply(200, {"data": [{"id": "m"}]}), to="/v1/models")
        assert talk.stack.health_check().status_code == 200
        talk.reply(model_provider="chat_worker")
        assert [call.path for call in talk.stack.upstream.calls] == [
            "/health",
            "/v1/models",
            "/v1/chat/completions",
        ]

    @pytest.mark.parametrize("path", ["", "/chat", "/chat/"])
    def test_address_of_the_own_protocol_may_be_given_in_any_way(
        self, talk: Talk, path: str
    ) -> None:
        talk.stack.configure(
            chatWorkerUrl=f"{talk.stack.upstream.url}{path}", chatWorker={"model": "m"}
        )
        healthy = {"status": "healthy", "model_loaded": True}
        talk.stack.upstream.always(reply(200, healthy), to="/health")
        talk.stack.upstream.always(worker_chat("Sit."), to="/chat")
        assert talk.stack.health_check().status_code == 200
        assert talk.reply(model_provider="chat_worker")["usedFallback"] is False


def test_trimmed_prompt_keeps_its_form(talk: Talk) -> None:
    talk.have_only(VENICE)
    fill(talk, MESSAGES)
    too_long = failing(400, "This model's maximum context length is 2000 tokens")
    refusal = error(GEMMA.status, GEMMA.body("System role not supported"))
    talk.stack.upstream.enqueue(refusal, too_long, text("Good evening."))
    talk.reply()
    asked, repaired, trimmed = (call.json["messages"] for call in talk.stack.upstream.calls)
    assert asked[0]["role"] == "system"
    assert repaired[0]["role"] == trimmed[0]["role"] == "user"
    assert len(trimmed) < len(repaired)


def test_form_of_a_group_is_repaired(authored: Talk) -> None:
    tomas = authored.stack.insert("characters", user_id=authored.user.id, name="Tomas Lind")
    authored.stack.db.execute(
        "insert into conversation_characters values (%s, %s, 1)",
        (authored.conversation, tomas),
    )
    authored.stack.upstream.always(GEMMA.answer("Good evening."))
    for speaker in (DEMO_CHARACTER, tomas, tomas, DEMO_CHARACTER):
        authored.reply("To the skerry?", character_id=str(speaker))
    assert refused(authored, GEMMA) == 1


@pytest.mark.parametrize("task", ["storytelling", "prompt_enhancement"])
def test_form_of_a_task_is_repaired(talk: Talk, task: str) -> None:
    talk.stack.upstream.always(GEMMA.answer("A pier at dawn."))
    for _ in range(2):
        answer = talk.stack.chat(talk.user, task=task, message="A pier")
        assert answer.status_code == 200, answer.text
    assert refused(talk, GEMMA) == 1
    assert len(talk.stack.upstream.calls) == 3


def test_form_of_a_summary_is_repaired_and_remembered(talk: Talk) -> None:
    talk.have_only(VENICE)
    talk.describe(VENICE, context_tokens=4096)
    fill(talk, MESSAGES)

    async def notes(exchange: Exchange) -> None:
        sentence = GEMMA.refusal(exchange.call.json["messages"])
        refusal = sentence and reply(GEMMA.status, GEMMA.body(sentence))
        await (refusal or written(SUMMARY))(exchange)

    take_turn(talk, notes)
    assert summary(talk)["content"] == SUMMARY
    assert learned(talk) == {VENICE: {"roles": "no_system"}}


def test_classifier_of_a_strict_family_is_asked_once(talk: Talk) -> None:
    provider = talk.stack.one("select id from api_providers where name = 'openrouter'")["id"]
    talk.stack.insert(
        "api_models",
        **{"provider_id": provider, "model_key": "guard", "display_name": "Guard"},
        **{"modality": "chat", "task": "moderation"},
    )
    talk.stack.upstream.always(GEMMA.answer("safe"), to="guard")
    talk.stack.upstream.always(text("Good evening."), to=VENICE)
    talk.reply()
    assert talk.asked() == ["guard", VENICE]


class TestLimit:
    SENTENCE = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
        " 'max_completion_tokens' instead."
    )

    def answer(self, talk: Talk) -> list[set[str]]:
        """Two turns with a model that takes max_completion_tokens only."""

        async def answer(exchange: Exchange) -> None:
            is_right = "max_tokens" not in exchange.call.json
            await (text("Yes.") if is_right else failing(400, self.SENTENCE))(exchange)

        talk.have_only(VENICE)
        talk.stack.upstream.always(answer)
        for message in ("One", "Two"):
            talk.reply(message)
        limits = {"max_tokens", "max_completion_tokens"}
        return [limits & call.json.keys() for call in talk.stack.upstream.calls]

    def test_newer_name_is_sent_at_once_after_a_repair(self, talk: Talk) -> None:
        newer, older = {"max_completion_tokens"}, {"max_tokens"}
        assert self.answer(talk) == [older, newer, newer]
        assert learned(talk) == {VENICE: {"max_completion_tokens": True}}
        assert talk.stack.upstream.calls[-1].json["max_completion_tokens"] == 400

    def test_newer_name_is_sent_where_the_row_says_so(self, talk: Talk) -> None:
        talk.describe(VENICE, max_completion_tokens=True)
        assert self.answer(talk) == [{"max_completion_tokens"}] * 2

    def test_newer_name_of_the_defaults_is_sent_alone(self, talk: Talk) -> None:
        defaults(talk, max_completion_tokens=300)
        assert self.answer(talk) == [{"max_completion_tokens"}] * 2
        assert talk.stack.upstream.calls[-1].json["max_completion_tokens"] == 300


class TestRejectedParameters:
    """A model that names the first parameter that it does not take, as OpenAI's newer ones do."""

    def ask(self, talk: Talk, *rejected: str, says: str = "Unknown parameter: '{}'.") -> None:
        async def answer(exchange: Exchange) -> None:
            wrong = [name for name in rejected if name in exchange.call.json]
            await (failing(400, says.format(wrong[0])) if wrong else text("Yes."))(exchange)

        talk.have_only(VENICE)
        talk.stack.upstream.always(answer)

    def sent(self, talk: Talk) -> list[set[str]]:
        """The sampling parameters of each call."""
        known = {"temperature", "top_k", "min_p", "stop"}
        return [known & call.json.keys() for call in talk.stack.upstream.calls]

    def test_parameter_is_left_out_at_once_after_a_repair(self, talk: Talk) -> None:
        defaults(talk, temperature=0.9, top_k=40)
        self.ask(talk, "top_k")
        for message in ("One", "Two"):
            talk.reply(message)
        both = {"temperature", "top_k", "stop"}
        assert self.sent(talk) == [both, both - {"top_k"}, both - {"top_k"}]

    def test_several_are_left_out_one_after_the_other(self, talk: Talk) -> None:
        defaults(talk, temperature=0.9, top_k=40, min_p=0.1)
        self.ask(talk, "top_k", "min_p", "stop")
        for message in ("One", "Two"):
            talk.reply(message)
        assert len(talk.stack.upstream.calls) == 5
        assert self.sent(talk)[-2:] == [{"temperature"}] * 2
        assert set(learned(talk)[VENICE]["rejected"]) == {"top_k", "min_p", "stop"}

    def test_another_is_learned_later_beside_the_first(self, talk: Talk) -> None:
        defaults(talk, temperature=0.9, top_k=40)
        self.ask(talk, "top_k")
        talk.reply("One")
        self.ask(talk, "top_k", "temperature")
        for message in ("Two", "Three"):
            talk.reply(message)
        assert len(talk.stack.upstream.calls) == 5
        assert set(learned(talk)[VENICE]["rejected"]) == {"top_k", "temperature"}

    def test_another_value_in_the_row_is_tried(self, talk: Talk) -> None:
        defaults(talk, temperature=3)
        says = "Invalid value: '{}' must be between 0 and 2."
        self.ask(talk, "temperature", says=says)
        talk.reply("One")
        defaults(talk, temperature=1.5)
        talk.stack.upstream.always(text("Yes."))
        talk.reply("Two")
        assert talk.stack.upstream.calls[-1].json["temperature"] == 1.5

    def test_error_that_names_none_is_not_remembered(self, talk: Talk) -> None:
        defaults(talk, temperature=0.9)
        self.ask(talk, "temperature", says="Invalid request parameters")
        for message in ("One", "Two"):
            talk.reply(message)
        assert len(talk.stack.upstream.calls) == 4
        assert learned(talk) == {}

    def test_name_that_the_row_gives_it_is_understood(self, talk: Talk) -> None:
        defaults(talk, top_k=40, rename={"top_k": "k_best"})
        self.ask(talk, "k_best")
        for message in ("One", "Two"):
            talk.reply(message)
        assert len(talk.stack.upstream.calls) == 3
        assert set(learned(talk)[VENICE]["rejected"]) == {"top_k"}

    def test_worker_has_a_memory_of_its_own(self, talk: Talk) -> None:
        given = {"temperature": 0.9, "min_p": 0.1}
        talk.have_worker(protocol="openai", input_defaults=given)
        self.ask(talk, "min_p")
        for message in ("One", "Two"):
            talk.reply(message, model_provider="chat_worker")
        assert len(talk.stack.upstream.calls) == 3
        assert "temperature" in talk.stack.upstream.calls[-1].json

    def test_newer_limit_that_was_learned_is_unlearned(self, talk: Talk) -> None:
        """Another model answers under the same name."""
        self.ask(talk, "max_tokens", says=TestLimit.SENTENCE)
        talk.reply("One")
        self.ask(talk, "max_completion_tokens", says="{}: Extra inputs are not permitted")
        for message in ("Two", "Three"):
            talk.reply(message)
        assert len(talk.stack.upstream.calls) == 5
        assert learned(talk) == {VENICE: {"max_completion_tokens": False}}

    def test_row_without_parameters_is_not_asked_twice(self, talk: Talk) -> None:
        talk.have_worker(protocol="chat_worker")
        talk.stack.upstream.always(text("Yes."))
        talk.stack.upstream.always(failing(400, "Unknown parameter: 'x'"), to="/worker/chat")
        talk.reply(model_provider="chat_worker")
        assert len(talk.stack.upstream.calls) == 2


def defaults(talk: Talk, **parameters: Any) -> None:
    talk.stack.db.execute(
        "update api_models set input_defaults = %s where model_key = %s",
        (Jsonb(parameters), VENICE),
    )


class TestDefaults:
    def test_defaults_leave_out_what_is_null(self, talk: Talk) -> None:
        left_out = ("max_tokens", "temperature", "stop", "user", "plugins", "session_id")
        defaults(talk, top_p=0.9, **dict.fromkeys(left_out))
        talk.stack.upstream.enqueue(text("Good evening."))
        talk.reply()
        assert set(talk.stack.upstream.calls[-1].json) == {"model", "messages", "stream", "top_p"}

    def test_defaults_rename_what_is_sent(self, talk: Talk) -> None:
        defaults(
            talk,
            max_tokens=300,
            repetition_penalty=1.1,
            rename={"max_tokens": "max_new_tokens", "repetition_penalty": "repeat_penalty"},
        )
        talk.stack.upstream.enqueue(text("Good evening."))
        talk.reply()
        body = talk.stack.upstream.calls[-1].json
        assert (body["max_new_tokens"], body["repeat_penalty"]) == (300, 1.1)
        assert not {"max_tokens", "repetition_penalty", "rename"} & set(body)

    def test_defaults_hold_for_a_request_with_fewer_parameters(self, talk: Talk) -> None:
        defaults(talk, temperature=0.5, rename={"max_tokens": "max_new_tokens"})
        talk.stack.upstream.enqueue(failing(400, "Invalid request parameters"), text("Yes."))
        talk.reply()
        assert set(talk.stack.upstream.calls[-1].json) == {
            *("model", "messages", "stream", "max_new_tokens")
        }


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/chat/completions"])
def test_address_of_a_provider_may_be_given_in_any_way(talk: Talk, path: str) -> None:
    talk.stack.db.execute(
        "update api_providers set base_url = %s", (f"{talk.stack.upstream.url}{path}",)
    )
    talk.stack.upstream.enqueue(text("Good evening."))
    talk.reply()
    assert talk.stack.upstream.calls[-1].path == "/api/v1/chat/completions"


def test_conversation_stays_the_same_for_a_prompt_cache(authored: Talk) -> None:
    """What a strict model reads begins with what it read in the turn before."""
    authored.describe(VENICE, roles="no_system")
    authored.stack.upstream.always(text("Good evening."))
    kickoff(authored)
    for number in range(4):
        authored.reply(f"To the skerry? ({number})")
    prompts = [call.json["messages"] for call in authored.stack.upstream.calls]
    for before, after in pairwise(prompts):
        assert after[: len(before) - 1] == before[:-1]
