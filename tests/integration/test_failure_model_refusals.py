"""A reply that is only a model's refusal."""

import pytest

from tests.support.answers import Part, chunk, error, hang_up, stream, text
from tests.support.talk import DOLPHIN, DOLPHIN_R1, VENICE, WORKER, Talk
from tests.support.waiting import Gate

REFUSAL = "I'm sorry, but I can't help with that request."
IN_CHARACTER = "I must decline your invitation."
SENTENCE = "The model declined to write this. Please try different words."


def laxer(talk: Talk, *models: str) -> None:
    """Allows only these models for the adult tier."""
    for model in (VENICE, DOLPHIN_R1, DOLPHIN):
        talk.describe(model, nsfw=model in models)


def test_another_model_answers_and_nothing_of_it_is_seen(talk: Talk) -> None:
    talk.stack.upstream.enqueue(text(REFUSAL), text("Sit."))

    events = talk.stream()

    assert [event.name for event in events] == ["start", "delta", "done"]
    assert talk.asked() == [VENICE, DOLPHIN_R1]
    assert events[-1].data["response"] == "Sit."
    assert events[-1].data["usedFallback"] is True
    assert [tried["outcome"] for tried in events[-1].data["route"]] == ["refused_by_model", "ok"]
    assert talk.said() == ["Hello", "> Sit."]
    assert talk.cooldowns() == {}


def test_second_refusal_is_the_last(talk: Talk) -> None:
    talk.have_worker()
    talk.stack.upstream.enqueue(text(REFUSAL), text("As an AI language model, I cannot do this."))

    answer = talk.say()

    assert talk.asked() == [VENICE, DOLPHIN_R1]
    assert (answer.status_code, answer.json()["code"]) == (403, "content_refused")
    assert answer.json()["error"] == SENTENCE
    assert talk.said() == ["Hello"]
    assert talk.turn() == ("failed", "refused_by_model")


def test_one_further_model_is_asked_whatever_comes_of_it(talk: Talk) -> None:
    talk.stack.upstream.enqueue(text(REFUSAL), error(404))

    answer = talk.say()

    assert talk.asked() == [VENICE, DOLPHIN_R1]
    assert answer.json()["error"] == SENTENCE


def test_laxer_model_is_never_asked_instead(talk: Talk) -> None:
    talk.have_worker()
    laxer(talk, DOLPHIN_R1, DOLPHIN)
    talk.stack.upstream.enqueue(text(REFUSAL))

    answer = talk.say()

    assert talk.asked() == [VENICE]
    assert answer.json()["error"] == SENTENCE


def test_model_that_is_as_strict_may_be_asked(talk: Talk) -> None:
    laxer(talk, DOLPHIN_R1)
    talk.stack.upstream.enqueue(text(REFUSAL), text("Sit."))

    talk.reply()

    assert talk.asked() == [VENICE, DOLPHIN]


def test_lax_model_is_followed_by_any(talk: Talk) -> None:
    talk.have_only(VENICE)
    talk.have_worker()
    talk.stack.upstream.enqueue(text(REFUSAL))
    talk.stack.upstream.enqueue(text(""), to=WORKER)

    talk.say()

    assert talk.asked() == [VENICE, WORKER]


def test_provider_that_refused_is_followed_by_nobody(talk: Talk) -> None:
    talk.stack.upstream.enqueue(text(REFUSAL), stream([], finish="content_filter"))

    answer = talk.say()

    assert talk.asked() == [VENICE, DOLPHIN_R1]
    assert answer.status_code == 403


@pytest.mark.parametrize("words", ["I can't.", "I'm sorry."])
def test_words_that_were_held_back_are_whole_when_the_connection_breaks_after_them(
    talk: Talk, words: str
) -> None:
    talk.stack.upstream.enqueue(stream([words, chunk(VENICE, {"content": ""}, "stop"), hang_up()]))
    assert talk.reply()["response"] == words
    assert talk.asked() == [VENICE]


def test_refusal_is_one_when_the_connection_breaks_after_it(talk: Talk) -> None:
    end = chunk(VENICE, {"content": ""}, "stop")
    talk.stack.upstream.enqueue(stream([REFUSAL, end, hang_up()]), text("Sit."))
    assert talk.reply()["route"][0]["outcome"] == "refused_by_model"
    assert talk.cooldowns() == {}


def test_words_that_only_begin_like_it_are_shown_as_soon_as_that_is_clear(talk: Talk) -> None:
    gate = Gate()
    said: list[Part] = ["I'm sorry, but ", "I can't help ", "you, traveller.", gate, " Sit."]
    talk.stack.upstream.enqueue(stream(said))

    with talk.streaming() as events:
        first = events.until("delta")[-1]
        gate.open()
        last = events.until("done")[-1]

    assert first.data["text"].startswith("I'm sorry, but I can't help you")
    assert last.data["response"] == "I'm sorry, but I can't help you, traveller. Sit."
    assert talk.asked() == [VENICE]


class TestInCharacter:
    """A short refusal that the character may have spoken."""

    def test_second_model_that_says_the_same_is_heard(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text(IN_CHARACTER), text("I have to decline your invitation."))

        body = talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert body["response"] == "I have to decline your invitation."
        assert [tried["outcome"] for tried in body["route"]] == ["refused_by_model", "ok"]
        assert talk.said() == ["Hello", "> I have to decline your invitation."]
        assert talk.turn() == ("complete", None)

    def test_second_model_that_writes_is_heard(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text(IN_CHARACTER), text("Sit."))
        assert talk.reply()["response"] == "Sit."
        assert talk.asked() == [VENICE, DOLPHIN_R1]

    def test_second_model_that_refuses_otherwise_is_the_last(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text(IN_CHARACTER), text(REFUSAL))
        assert talk.say().json()["error"] == SENTENCE
        assert talk.said() == ["Hello"]

    def test_first_model_that_refused_otherwise_counts(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text(REFUSAL), text(IN_CHARACTER))
        assert talk.say().json()["error"] == SENTENCE
        assert talk.asked() == [VENICE, DOLPHIN_R1]

    def test_provider_that_refused_is_the_last(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text(IN_CHARACTER), stream([], finish="content_filter"))
        assert talk.say().status_code == 403
        assert talk.said() == ["Hello"]

    def test_is_the_reply_where_the_second_model_does_not_answer(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text(IN_CHARACTER), error(404))

        events = talk.stream()

        assert [event.name for event in events] == ["start", "delta", "done"]
        assert events[-1].data["response"] == IN_CHARACTER
        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert talk.turn() == ("complete", None)

    def test_is_the_reply_where_no_other_model_may_be_asked(self, talk: Talk) -> None:
        laxer(talk, DOLPHIN_R1, DOLPHIN)
        talk.stack.upstream.enqueue(text(IN_CHARACTER))
        assert talk.reply()["response"] == IN_CHARACTER
        assert talk.asked() == [VENICE]
