"""Providers get stop strings; the reply ends there even if they ignore them."""

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import text, worker_chat
from tests.support.stack import Stack
from tests.support.talk import VENICE, Talk


def parameters(stack: Stack, **values: Any) -> None:
    stack.db.execute(
        "update api_models set input_defaults = input_defaults || %s where model_key = %s",
        (Jsonb(values), VENICE),
    )


def sent(talk: Talk) -> Any:
    return talk.stack.upstream.calls[-1].json.get("stop")


def played(talk: Talk, name: str) -> dict[str, str]:
    persona = talk.stack.insert("characters", user_id=talk.user.id, name=name)
    return {"user_character_id": str(persona)}


def test_name_the_person_and_the_user(talk: Talk) -> None:
    talk.stack.db.execute("update profiles set display_name = 'Ada'")
    talk.stack.upstream.enqueue(text("Sit."))
    talk.reply(**played(talk, "Captain Reyes"))
    assert sent(talk) == ["\nCaptain Reyes:", "\nAda:", "\nUser:"]


def test_come_after_those_of_the_row_and_are_four_at_most(talk: Talk) -> None:
    parameters(talk.stack, stop=["###", "</s>", "\nUser:"])
    talk.stack.db.execute("update profiles set display_name = 'Ada'")
    talk.stack.upstream.enqueue(text("Sit."))
    talk.reply(**played(talk, "Captain Reyes"))
    assert sent(talk) == ["###", "</s>", "\nUser:", "\nCaptain Reyes:"]


def test_row_may_give_a_single_stop_string(talk: Talk) -> None:
    parameters(talk.stack, stop="###")
    talk.stack.upstream.enqueue(text("Sit."))
    talk.reply()
    assert sent(talk) == ["###", "\nUser:"]


def test_stop_strings_are_left_out_where_the_row_says_so(talk: Talk) -> None:
    talk.describe(VENICE, stop=False)
    talk.stack.upstream.enqueue(text("Sit."))
    talk.reply()
    assert sent(talk) is None


@pytest.mark.parametrize("reasoning", [{"reasoning": True}, {"thinks_first": True}])
def test_stop_strings_are_not_looked_for_in_reasoning(
    talk: Talk, reasoning: dict[str, Any]
) -> None:
    talk.describe(VENICE, **reasoning)
    talk.stack.upstream.enqueue(text("</think>Sit."))
    talk.reply()
    assert sent(talk) is None


def test_stop_strings_are_sent_to_a_model_that_reasons_where_the_row_says_so(talk: Talk) -> None:
    talk.describe(VENICE, reasoning=True, stop=True)
    talk.stack.upstream.enqueue(text("Sit."))
    talk.reply()
    assert sent(talk) == ["\nUser:"]


@pytest.mark.parametrize("odd", [5, {"a": 1}, [None, {}, "", 5], [[]], True])
def test_invalid_stop_strings_are_left_out(talk: Talk, odd: Any) -> None:
    parameters(talk.stack, stop=odd)
    talk.stack.upstream.enqueue(text("Sit."))
    talk.reply()
    assert sent(talk) == ["\nUser:"]


def test_stop_strings_are_unknown_to_the_worker(talk: Talk) -> None:
    talk.have_worker()
    talk.stack.upstream.enqueue(worker_chat("Sit.\nUser: Thanks."))
    assert talk.reply(model_provider="chat_worker")["response"] == "Sit."
    assert sent(talk) is None


def test_stop_strings_are_known_to_a_worker_with_the_other_protocol(talk: Talk) -> None:
    talk.have_worker(protocol="openai")
    talk.stack.upstream.enqueue(text("Sit."))
    talk.reply(model_provider="chat_worker")
    assert sent(talk) == ["\nUser:"]


def test_ignored_stop_strings_end_the_reply_anyway(talk: Talk) -> None:
    talk.stack.upstream.enqueue(text("Sit.\nUser: Thanks."))
    assert talk.reply()["response"] == "Sit."
