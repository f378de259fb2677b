"""Requests to OpenRouter are valid and contain no more than necessary."""

from typing import Any

from psycopg.types.json import Jsonb

from tests.support.answers import text, worker_chat
from tests.support.talk import VENICE, Talk, failing

LEAST = {"model", "messages", "max_tokens", "stream"}
FOR_OPENROUTER = {"user", "session_id", "plugins"}


def sent(talk: Talk, number: int = -1) -> dict[str, Any]:
    """The body of a call."""
    return dict(talk.stack.upstream.calls[number].json)


def defaults(talk: Talk, **parameters: Any) -> None:
    """Sets the request defaults of the first model."""
    talk.stack.db.execute(
        "update api_models set input_defaults = %s where model_key = %s",
        (Jsonb(parameters), VENICE),
    )


class TestParameters:
    def test_parameters_are_the_rows_and_what_openrouter_wants(self, talk: Talk) -> None:
        defaults(talk, temperature=0.7, min_p=0.05, max_tokens=123)
        talk.stack.upstream.enqueue(text("Good evening."))

        talk.reply()

        body = sent(talk)
        assert set(body) == LEAST | FOR_OPENROUTER | {"stop", "temperature", "min_p"}
        assert (body["temperature"], body["min_p"], body["max_tokens"]) == (0.7, 0.05, 123)
        assert body["stream"] is True

    def test_parameters_have_a_longest_reply_also_where_the_row_has_none(self, talk: Talk) -> None:
        defaults(talk)
        talk.stack.upstream.enqueue(text("Good evening."))

        talk.reply()

        assert set(sent(talk)) == LEAST | FOR_OPENROUTER | {"stop"}
        assert sent(talk)["max_tokens"] == 400

    def test_parameters_have_at_most_four_stop_strings(self, talk: Talk) -> None:
        defaults(talk, stop=["a", "b", "c", "d", "e", "f"])
        talk.stack.upstream.enqueue(text("Good evening."))

        talk.reply()

        assert sent(talk)["stop"] == ["a", "b", "c", "d"]

    def test_parameters_have_the_reasoning_that_the_row_describes(self, talk: Talk) -> None:
        talk.describe(VENICE, reasoning={"effort": "low", "exclude": True})
        talk.stack.upstream.enqueue(text("Good evening."))

        talk.reply()

        assert sent(talk)["reasoning"] == {"effort": "low", "exclude": True}

    def test_parameters_have_no_reasoning_where_the_row_only_says_that_it_can(
        self, talk: Talk
    ) -> None:
        talk.describe(VENICE, reasoning=True)
        talk.stack.upstream.enqueue(text("Good evening."))

        talk.reply()

        assert "reasoning" not in sent(talk)

    def test_leave_the_history_to_us(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))

        talk.reply()

        assert sent(talk)["plugins"] == [{"id": "context-compression", "enabled": False}]
        assert "transforms" not in sent(talk)

    def test_other_provider_gets_only_the_parameters_of_its_row(self, talk: Talk) -> None:
        talk.stack.db.execute("update api_providers set name = 'another'")
        defaults(talk, temperature=0.7)
        talk.stack.upstream.enqueue(text("Good evening."))

        talk.reply()

        assert set(sent(talk)) == LEAST | {"stop", "temperature"}

    def test_worker_gets_its_own_parameters(self, talk: Talk) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(worker_chat("Sit."))

        talk.reply(model_provider="chat_worker")

        assert not set(sent(talk)) & FOR_OPENROUTER


class TestWhoAsks:
    def test_user_is_distinguished_but_not_identified(self, talk: Talk) -> None:
        stranger = talk.stack.user()
        theirs = talk.stack.conversation(stranger)
        mine = talk.stack.conversation(talk.user)
        talk.stack.upstream.always(text("Good evening."))

        talk.reply()
        talk.reply(conversation_id=str(mine))
        talk.stack.chat(stranger, conversation_id=str(theirs), message="Hello")

        first, second, third = (sent(talk, number)["user"] for number in range(3))
        assert first == second != third
        for call in talk.stack.upstream.calls:
            told = call.body.decode() + str(call.headers)
            for secret in (talk.user.id, stranger.id, talk.user.email, stranger.email):
                assert str(secret) not in told
                assert str(secret).replace("-", "") not in told

    def test_user_stays_with_one_provider_for_a_conversation(self, talk: Talk) -> None:
        other = talk.stack.conversation(talk.user)
        talk.stack.upstream.enqueue(failing(503))
        talk.stack.upstream.always(text("Good evening."))

        talk.reply("One")
        talk.reply("Two")
        talk.reply("Three", conversation_id=str(other))

        *mine, theirs = (call.json["session_id"] for call in talk.stack.upstream.calls)
        assert len(mine) == 3
        assert len(set(mine)) == 1
        assert theirs not in mine
        assert len(theirs) <= 256
        assert str(talk.conversation) not in str([call.body for call in talk.stack.upstream.calls])

    def test_user_is_in_no_session_without_a_conversation(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("A pier at dawn."))

        talk.stack.chat(talk.user, task="storytelling", message="A pier")

        assert set(sent(talk)) & FOR_OPENROUTER == {"user", "plugins"}
