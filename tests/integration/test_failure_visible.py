"""After the first visible text, no other model is asked: the text is kept and can be continued."""

import gc
from asyncio import Task
from typing import Any

import pytest

from tests.support.answers import (
    abort,
    chunk,
    event,
    half_close,
    hang_up,
    held,
    stall,
    stream,
    text,
    worker_chat,
)
from tests.support.stack import Stream
from tests.support.talk import DOLPHIN_R1, VENICE, WORKER, Talk, failing
from tests.support.upstream import Answer
from tests.support.waiting import Gate, wait_until

CUT_OFF = "The reply was cut off. The text so far is saved; you can continue it."
ERROR = {"code": 502, "message": "Upstream error from CANARY", "metadata": {}}


def cut(*parts: Any) -> Answer:
    """A reply that ends in mid-sentence."""
    return stream(["Good ", "evening", *parts], finish=None, usage=None, done=False)


CUTS = [
    pytest.param(
        cut(chunk("x", {"content": ""}, "error", error=ERROR)),
        "overloaded",
        id="error-beside-finish-reason",
    ),
    pytest.param(
        cut({"choices": [], "error": ERROR}), "overloaded", id="error-beside-empty-choices"
    ),
    pytest.param(
        cut({"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 429}}]}),
        "rate_limited",
        id="error-inside-the-choice",
    ),
    pytest.param(
        cut({"error": {"code": 401}, "user_id": "user_CANARY"}), "bad_key", id="error-alone"
    ),
    pytest.param(
        cut({"error": {"code": 403, "metadata": {"reasons": ["CANARY"]}}}),
        "moderated",
        id="moderated",
    ),
    pytest.param(cut(), "cut_off", id="end-without-finish-reason"),
    pytest.param(cut(b"data: [DONE]\n\n"), "cut_off", id="done-without-finish-reason"),
    pytest.param(cut(b'data: {"choices": [{"del\n\n'), "unreadable", id="broken-json"),
    pytest.param(cut(hang_up()), "cut_off", id="hang-up"),
    pytest.param(cut(half_close()), "cut_off", id="half-close"),
]


class TestCut:
    @pytest.mark.parametrize(("answer", "policy"), CUTS)
    def test_stream_ends_with_an_error_and_what_came_is_kept(
        self, talk: Talk, answer: Answer, policy: str
    ) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(answer)

        events = talk.stream()

        last = events[-1].data
        kept = talk.stack.one("select id from messages where sender = 'character'")
        assert talk.asked() == [VENICE]
        names = [event.name for event in events]
        assert names in (["start", *["delta"] * count, "error"] for count in (1, 2))
        assert (last["success"], last["code"], last["error"]) == (
            False,
            "reply_incomplete",
            CUT_OFF,
        )
        assert (last["response"], last["incomplete"]) == ("Good evening", True)
        assert last["message_id"] == str(kept["id"])
        assert "".join(event.data["text"] for event in events[1:-1]) == last["response"]
        assert talk.said() == ["Hello", "> Good evening"]
        assert talk.turn() == ("incomplete", policy)

    @pytest.mark.parametrize(("answer", "policy"), CUTS)
    def test_json_says_that_it_is_incomplete(self, talk: Talk, answer: Answer, policy: str) -> None:
        talk.stack.upstream.enqueue(answer)

        body = talk.reply()

        assert talk.asked() == [VENICE]
        assert (body["success"], body["incomplete"], body["finish_reason"]) == (True, True, None)
        assert body["response"] == "Good evening"
        assert [tried["target"] for tried in body["route"]] == [f"openrouter:{VENICE}"]
        assert body["route"][0]["outcome"] != "ok"
        assert talk.said() == ["Hello", "> Good evening"]
        assert talk.turn() == ("incomplete", policy)

    def test_reply_cut_by_a_reset_keeps_its_text(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(cut(gate, abort()))

        with talk.streaming() as events:
            events.until("delta")
            gate.open()
            rest = list(events)

        assert rest[-1].name == "error"
        assert talk.said() == ["Hello", f"> {rest[-1].data['response']}"]
        assert talk.turn() == ("incomplete", "cut_off")

    def test_after_others_failed_keeps_what_came(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(failing(503), cut())

        body = talk.reply()

        assert talk.asked() == [VENICE, DOLPHIN_R1]
        assert (body["incomplete"], body["usedFallback"]) == (True, True)
        assert [tried["outcome"] for tried in body["route"]] == ["overloaded", "cut_off"]

    @pytest.mark.parametrize("end", [hang_up(), {"choices": [], "error": ERROR}, half_close()])
    def test_after_the_finish_reason_cuts_nothing(self, talk: Talk, end: Any) -> None:
        finished = event(chunk("x", {"content": ""}, "stop"))
        talk.stack.upstream.enqueue(cut(".", finished, end))

        body = talk.reply()

        assert (body["response"], body["incomplete"]) == ("Good evening.", False)
        assert talk.turn() == ("complete", None)

    def test_reply_sent_for_again_is_the_same(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(cut())

        first = talk.reply(client_message_id="one")
        again = talk.reply(client_message_id="one")
        streamed = talk.stream(client_message_id="one")

        assert talk.asked() == [VENICE]
        assert {**again, "request_id": ""} == {**first, "request_id": ""}
        assert [event.name for event in streamed] == ["start", "delta", "error"]
        assert streamed[-1].data["code"] == "reply_incomplete"


class TestContinue:
    @pytest.fixture
    def broken(self, talk: Talk) -> Talk:
        """The last reply was cut off."""
        talk.stack.upstream.enqueue(cut())
        talk.reply()
        talk.stack.upstream.calls.clear()
        return talk

    def test_carries_on_with_whoever_answers_as_one_reply(self, broken: Talk) -> None:
        first = broken.stack.one("select id from messages where sender = 'character'")
        broken.stack.upstream.enqueue(failing(503), text("to you."))

        body = broken.reply(action="continue")

        whole = broken.stack.one("select * from messages where sender = 'character' and is_active")
        assert broken.asked() == [VENICE, DOLPHIN_R1]
        assert (body["response"], body["incomplete"]) == ("Good evening to you.", False)
        assert broken.said() == ["Hello", "> Good evening to you."]
        assert (str(whole["id"]), whole["variant_of"]) == (body["message_id"], first["id"])
        assert broken.turn() == ("complete", None)

    def test_shows_the_model_what_stands(self, broken: Talk) -> None:
        broken.stack.upstream.enqueue(text("to you."))

        broken.reply(action="continue")

        spoken = broken.stack.upstream.calls[0].json["messages"][1:]
        assert [(message["role"], message["content"]) for message in spoken[:2]] == [
            ("user", "Hello"),
            ("assistant", "Good evening"),
        ]
        assert spoken[-1]["role"] == "user"
        assert "Go on with your last message exactly where it stops" in spoken[-1]["content"]

    def test_streams_what_is_new_and_ends_with_the_whole(self, broken: Talk) -> None:
        broken.stack.upstream.enqueue(text("to you."))

        events = broken.stream(action="continue")

        assert "".join(e.data["text"] for e in events if e.name == "delta") == " to you."
        assert events[-1].name == "done"
        assert events[-1].data["response"] == "Good evening to you."

    def test_continued_reply_may_be_cut_off_again(self, broken: Talk) -> None:
        more = stream(["to you, ", "my"], finish=None, usage=None, done=False)
        broken.stack.upstream.enqueue(more, text("friend."))

        cut_again = broken.reply(action="continue")
        whole = broken.reply(action="continue")

        assert (cut_again["response"], cut_again["incomplete"]) == ("Good evening to you, my", True)
        assert whole["response"] == "Good evening to you, my friend."
        assert broken.said() == ["Hello", "> Good evening to you, my friend."]

    def test_continue_without_an_answer_keeps_the_reply(self, broken: Talk) -> None:
        broken.stack.upstream.always(failing(503))

        answer = broken.say(action="continue")

        assert answer.status_code == 503
        assert broken.said() == ["Hello", "> Good evening"]
        assert broken.turn() == ("failed", "overloaded")

    def test_before_any_reply_is_refused(self, talk: Talk) -> None:
        answer = talk.say(action="continue")

        assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_continue")
        assert talk.asked() == []

    def test_reply_that_cannot_grow_is_refused(self, talk: Talk) -> None:
        talk.conversation = talk.stack.conversation(talk.user, "Hello", "word " * 13_050)

        answer = talk.say(action="continue")

        assert (answer.status_code, answer.json()["code"]) == (409, "reply_too_long")
        assert talk.asked() == []

    def test_reply_grows_as_far_as_it_can_be_stored(self, talk: Talk) -> None:
        talk.conversation = talk.stack.conversation(talk.user, "Hello", "word " * 12_990)
        talk.stack.upstream.enqueue(text(" ".join(f"{n**9} is her number." for n in range(20, 70))))

        body = talk.reply(action="continue")

        assert (body["saved"], body["finish_reason"]) == (True, "length")
        assert body["response"].endswith(" is her number.")
        assert 65_500 < len(body["response"]) <= 65_536
        assert talk.said()[-1] == f"> {body['response']}"


def ended(talk: Talk) -> bool:
    return not talk.stack.all("select from turns where status = 'running'")


def unfinished() -> list[str]:
    """The tasks of turns in this process that will never end."""
    ours = ("Turn.", "Generation.", "_stop_when_gone", "App.", "RequestResponseCycle.")
    tasks = [thing for thing in gc.get_objects() if isinstance(thing, Task)]
    names = [getattr(task.get_coro(), "__qualname__", "") for task in tasks if not task.done()]
    return [name for name in names if name.startswith(ours)]


def nothing_is_left(talk: Talk) -> None:
    talk.stack.upstream.wait_for(lambda upstream: not upstream.in_progress)
    wait_until(lambda: not unfinished(), "the turn's tasks to end")


class TestClientThatGoesAway:
    def test_client_that_leaves_a_stream_loses_nothing(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))

        with talk.streaming() as events:
            events.until("delta")
        gate.open()

        wait_until(lambda: ended(talk), "the turn to end")
        assert talk.said() == ["Hello", "> Good evening."]
        assert talk.turn() == ("complete", None)
        assert talk.stack.upstream.calls[0].closed_early is False
        nothing_is_left(talk)

    def test_client_that_leaves_a_request_loses_nothing(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(held(gate, text("Good evening.")))

        with talk.asking():
            gate.wait_reached()
        gate.open()

        wait_until(lambda: ended(talk), "the turn to end")
        assert talk.said() == ["Hello", "> Good evening."]
        nothing_is_left(talk)

    def test_before_a_failure_loses_nothing(self, talk: Talk) -> None:
        gate = Gate()
        talk.have_worker()
        talk.stack.upstream.enqueue(held(gate, failing(503)), worker_chat("Sit."))

        with talk.asking():
            gate.wait_reached()
        gate.open()

        wait_until(lambda: ended(talk), "the turn to end")
        assert talk.asked() == [VENICE, WORKER]
        assert talk.said() == ["Hello", "> Sit."]

    def test_finds_the_reply_by_sending_again(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        with talk.streaming(client_message_id="one") as events:
            events.until("delta")
        gate.open()
        wait_until(lambda: ended(talk), "the turn to end")

        body = talk.reply(client_message_id="one")

        assert talk.asked() == [VENICE]
        assert body["response"] == "Good evening."


def until_shown(events: Stream, text: str) -> None:
    """Reads until this text has arrived, in any number of pieces."""
    shown = ""
    while shown != text:
        shown += events.until("delta")[-1].data["text"]


class TestClientThatStops:
    def test_a_stream_keeps_what_came_and_closes_the_connection(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(stream(["Good ", "evening", stall(comment_every=0.02)]))

        with talk.streaming(on_disconnect="stop") as events:
            until_shown(events, "Good evening")

        call = talk.stack.upstream.wait_for(lambda upstream: upstream.calls[0].closed_early)
        wait_until(lambda: ended(talk), "the turn to end")
        assert call is True
        assert talk.said() == ["Hello", "> Good evening"]
        assert talk.turn() == ("stopped", "stopped")
        assert talk.asked() == [VENICE]
        nothing_is_left(talk)

    def test_a_request_keeps_what_came_and_closes_the_connection(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", "evening", gate]))

        with talk.asking(on_disconnect="stop"):
            gate.wait_reached()
            assert unfinished()

        talk.stack.upstream.wait_for(lambda upstream: upstream.calls[0].closed_early)
        wait_until(lambda: ended(talk), "the turn to end")
        gate.open()
        assert talk.said() == ["Hello", "> Good evening"]
        assert talk.turn() == ("stopped", "stopped")
        nothing_is_left(talk)

    @pytest.mark.parametrize("slow", [stall(), stall(comment_every=0.02)], ids=["silent", "alive"])
    def test_before_the_first_word_leaves_the_message_alone(self, talk: Talk, slow: Answer) -> None:
        talk.have_worker()
        talk.stack.upstream.enqueue(slow)

        with talk.asking(on_disconnect="stop"):
            talk.stack.upstream.wait_for(lambda upstream: upstream.calls)

        talk.stack.upstream.wait_for(lambda upstream: upstream.calls[0].closed_early)
        wait_until(lambda: ended(talk), "the turn to end")
        assert talk.asked() == [VENICE]
        assert talk.said() == ["Hello"]
        assert talk.turn() == ("failed", "stopped")
        assert talk.cooldowns() == {}
        nothing_is_left(talk)

    def test_while_waiting_to_ask_again_asks_nobody_any_more(self, talk: Talk) -> None:
        talk.have_only(VENICE)
        gate = Gate()
        limited = failing(429, "Rate limit exceeded", headers={"Retry-After": "20"})
        talk.stack.upstream.enqueue(held(gate, limited))

        with talk.asking(on_disconnect="stop"):
            gate.open()
            talk.stack.upstream.wait_for(lambda up: up.calls and up.calls[0].answered)

        wait_until(lambda: ended(talk), "the turn to end")
        assert talk.asked() == [VENICE]
        assert talk.turn() == ("failed", "stopped")
        nothing_is_left(talk)

    def test_client_that_stopped_may_go_on_at_once(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(stream(["Good ", "evening", stall()]), text("to you."))
        with talk.streaming(on_disconnect="stop") as events:
            until_shown(events, "Good evening")
        wait_until(lambda: ended(talk), "the turn to end")

        body = talk.reply(action="continue")

        assert body["response"] == "Good evening to you."
        assert talk.said() == ["Hello", "> Good evening to you."]
