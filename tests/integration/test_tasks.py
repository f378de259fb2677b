"""Storytelling and prompt enhancement have their own templates and parameters."""

from typing import Any

import pytest

from tests.support.answers import error, stream, text
from tests.support.stack import Stack
from tests.support.talk import DOLPHIN, VENICE

STORY = "The pier was empty.\n\nAda: Is anybody there?\n\nNobody answered."
TASKS = [
    pytest.param("storytelling", [VENICE, DOLPHIN], "You are a storyteller", id="storytelling"),
    pytest.param(
        "prompt_enhancement", [DOLPHIN, VENICE], "Rewrite the user's words", id="enhancement"
    ),
]
PARAMETERS = {"storytelling": (0.9, 800, 0.95), "prompt_enhancement": (0.5, 200, 0.9)}


def sent(stack: Stack) -> dict[str, Any]:
    return dict(stack.upstream.calls[-1].json)


@pytest.mark.parametrize(("task", "models", "template"), TASKS)
class TestTask:
    @pytest.mark.own_tables("there a model has the same parameters for every task")
    @pytest.mark.parametrize("streamed", [False, True], ids=["json", "streamed"])
    def test_task_has_its_own_template_and_parameters(
        self, stack: Stack, task: str, models: list[str], template: str, streamed: bool
    ) -> None:
        user = stack.user("Ada")
        stack.upstream.enqueue(text(STORY))

        if streamed:
            events = stack.stream(user, task=task, message="a pier {{user}}")
            assert "".join(e.data["text"] for e in events if e.name == "delta") == STORY
            assert [events[0].name, events[-1].name] == ["start", "done"]
            body = events[-1].data
        else:
            body = stack.chat(user, task=task, message="a pier {{user}}").json()

        assert (body["success"], body["response"], body["message_id"]) == (True, STORY, None)
        assert (body["character_id"], body["memory_updated"]) == (None, False)
        call = sent(stack)
        assert call["model"] == models[0]
        assert (call["temperature"], call["max_tokens"], call["top_p"]) == PARAMETERS[task]
        (system, said) = call["messages"]
        assert system["content"].startswith(template)
        assert "general audience" in system["content"]
        assert "{{" not in system["content"]
        assert said == {"role": "user", "content": "a pier {{user}}"}
        assert stack.all("select id from messages") == []
        assert stack.all("select id from memories") == []
        turn = stack.one("select task, status, conversation_id from turns")
        assert turn == {"task": task, "status": "complete", "conversation_id": None}

    @pytest.mark.own_tables("there a model has the same parameters for every task")
    def test_second_model_of_the_task_stands_in(
        self, stack: Stack, task: str, models: list[str], template: str
    ) -> None:
        stack.upstream.enqueue(error(404), text("A pier."))

        body = stack.chat(stack.user(), task=task, message="a pier").json()

        assert stack.upstream.models_called() == models
        assert (body["usedFallback"], body["fallbackModel"]) == (True, models[1])
        assert sent(stack)["max_tokens"] == PARAMETERS[task][1]

    @pytest.mark.parametrize("verified", [False, True])
    def test_task_is_for_adults_when_the_person_is_one(
        self, stack: Stack, task: str, models: list[str], template: str, verified: bool
    ) -> None:
        user = stack.user(age_verified=verified)
        stack.upstream.enqueue(text("A pier."))

        body = stack.chat(user, task=task, message="a pier", content_tier="nsfw").json()

        assert body["content_tier"] == ("nsfw" if verified else "sfw")
        system = sent(stack)["messages"][0]["content"]
        assert ("general audience" in system) is not verified

    def test_interrupted_task_says_so(
        self, stack: Stack, task: str, models: list[str], template: str
    ) -> None:
        stack.upstream.enqueue(stream(["A pier "], finish=None, usage=None, done=False))

        body = stack.chat(stack.user(), task=task, message="a pier").json()

        assert (body["response"], body["incomplete"]) == ("A pier", True)

    def test_kickoff_of_a_task_begins_by_itself(
        self, stack: Stack, task: str, models: list[str], template: str
    ) -> None:
        stack.upstream.enqueue(text("A pier."))

        answer = stack.chat(stack.user(), task=task, kickoff=True)

        assert answer.json()["response"] == "A pier."
        assert [message["role"] for message in sent(stack)["messages"]] == ["system", "user"]


def test_story_in_a_conversation_goes_on_from_what_was_said(stack: Stack) -> None:
    user = stack.user("Ada")
    conversation = stack.conversation(user, "A pier.", "The pier was empty.")
    stack.upstream.enqueue(text("Then a bell rang."))

    body = stack.chat(
        user, task="storytelling", conversation_id=str(conversation), message="And then?"
    ).json()

    said = [(message["role"], message["content"]) for message in sent(stack)["messages"][1:]]
    assert said == [
        ("user", "A pier."),
        ("assistant", "The pier was empty."),
        ("user", "And then?"),
    ]
    assert body["message_id"] is not None
    assert stack.said(conversation)[-1] == ("character", "Then a bell rang.")


@pytest.mark.parametrize("streamed", [False, True], ids=["json", "streamed"])
def test_enhanced_prompt_is_no_part_of_the_conversation(stack: Stack, streamed: bool) -> None:
    user = stack.user("Ada")
    conversation = stack.conversation(user, "A pier.", "The pier was empty.")
    body = {
        "task": "prompt_enhancement",
        "conversation_id": str(conversation),
        "message": "a harbour",
        "client_message_id": "one",
    }
    stack.upstream.enqueue(text("A harbour at dusk."))

    first = stack.stream(user, **body)[-1].data if streamed else stack.chat(user, **body).json()
    again = stack.chat(user, **body).json()

    assert (first["response"], first["message_id"]) == ("A harbour at dusk.", None)
    assert (first["saved"], again["response"]) == (True, "A harbour at dusk.")
    assert sent(stack)["messages"][-1] == {"role": "user", "content": "a harbour"}
    assert stack.said(conversation) == [("user", "A pier."), ("character", "The pier was empty.")]
    stack.upstream.enqueue(text("Then a bell rang."))
    stack.chat(user, conversation_id=str(conversation), message="And then?")
    assert "arbour" not in str(sent(stack)["messages"])


def test_enhanced_prompt_that_fails_leaves_nothing_behind(stack: Stack) -> None:
    user = stack.user("Ada")
    conversation = stack.conversation(user, "A pier.", "The pier was empty.")
    stack.upstream.always(error(500))

    body = {"task": "prompt_enhancement", "conversation_id": str(conversation)}
    stack.chat(user, message="a harbour", **body)

    assert stack.said(conversation) == [("user", "A pier."), ("character", "The pier was empty.")]


def test_enhancing_a_prompt_summarises_nothing(stack: Stack) -> None:
    user = stack.user("Ada")
    conversation = stack.conversation(user, *["A long evening on the pier. " * 60] * 60)
    stack.upstream.always(text("A harbour at dusk."))

    body = {"task": "prompt_enhancement", "conversation_id": str(conversation)}
    stack.chat(user, message="a harbour", **body)
    stack.settle()

    assert stack.all("select from conversation_summaries") == []
    assert stack.all("select from usage_events where purpose = 'memory'") == []
