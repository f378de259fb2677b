"""A reply that repeats the last one, or itself again and again."""

from __future__ import annotations

import pytest

from tests.support.answers import error, stream, text
from tests.support.talk import DOLPHIN_R1, VENICE, Talk

SAID = "The tide is late tonight, and the lamp burns low."
LOOP = "I wait. " * 60


@pytest.fixture
def answered(talk: Talk) -> Talk:
    """A person who got a reply."""
    talk.stack.upstream.enqueue(text(SAID))
    talk.reply()
    talk.stack.upstream.calls.clear()
    return talk


def test_same_reply_is_asked_for_again_and_not_seen(answered: Talk) -> None:
    answered.stack.upstream.enqueue(
        stream(["The tide is late ", "tonight,", SAID[25:]]), text("Sit.")
    )

    events = answered.stream("And now?")

    assert [event.name for event in events] == ["start", "delta", "done"]
    assert events[-1].data["response"] == "Sit."
    assert [tried["outcome"] for tried in events[-1].data["route"]] == ["repeated", "ok"]
    assert answered.asked() == [VENICE, VENICE]
    assert answered.said() == ["Hello", f"> {SAID}", "And now?", "> Sit."]
    assert answered.cooldowns() == {}


def test_same_reply_is_taken_the_second_time(answered: Talk) -> None:
    answered.stack.upstream.enqueue(text(SAID), text(SAID))
    assert answered.reply("And now?")["response"] == SAID
    assert answered.asked() == [VENICE, VENICE]
    assert answered.turn() == ("complete", None)


def test_same_reply_is_taken_from_another_model(answered: Talk) -> None:
    answered.stack.upstream.enqueue(text(SAID), error(404), text(SAID))
    assert answered.reply("And now?")["response"] == SAID
    assert answered.asked() == [VENICE, VENICE, DOLPHIN_R1]


def test_continuation_may_be_like_its_beginning(answered: Talk) -> None:
    answered.stack.upstream.enqueue(text(f"{SAID} Sit."))
    assert answered.reply(action="continue")["response"] == f"{SAID} Sit."
    assert answered.asked() == [VENICE]


def test_loop_that_was_seen_is_cut(talk: Talk) -> None:
    talk.stack.upstream.enqueue(stream(["Sit. ", *(["I wait. "] * 60)]))

    events = talk.stream()

    streamed = "".join(event.data["text"] for event in events if event.name == "delta")
    assert events[-1].data["response"] == streamed
    assert streamed.startswith("Sit. I wait.")
    assert len(streamed) < len(LOOP) / 4
    assert (talk.asked(), talk.turn()) == ([VENICE], ("complete", None))


def test_loop_that_was_not_seen_is_asked_for_again(talk: Talk) -> None:
    talk.stack.upstream.enqueue(text(LOOP), text("Sit."))
    body = talk.reply()
    assert body["response"] == "Sit."
    assert [tried["outcome"] for tried in body["route"]] == ["repeated", "ok"]


def test_loop_is_cut_the_second_time(talk: Talk) -> None:
    talk.stack.upstream.enqueue(text(LOOP), text(LOOP))
    response = talk.reply()["response"]
    assert LOOP.startswith(response)
    assert len(response) < len(LOOP) / 4
    assert talk.asked() == [VENICE, VENICE]
