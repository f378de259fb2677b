"""Stopping a turn by a request: on the instance that runs it, and through its row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from tests.support.answers import stall, stream, text
from tests.support.stack import User
from tests.support.talk import Talk
from tests.support.upstream import Answer
from tests.support.waiting import Gate, wait_until

pytestmark = pytest.mark.installations

LOOKS = "POST /rest/v1/rpc/is_stop_requested"
REQUESTS = "POST /rest/v1/rpc/stop_turn"


def ended(talk: Talk) -> bool:
    return not talk.stack.all("select from turns where status = 'running'")


def running_turn(talk: Talk) -> str:
    return str(talk.stack.one("select id from turns where status = 'running'")["id"])


def stop(talk: Talk, turn_id: str, user: User | None = None, **more: Any) -> Any:
    return talk.stack.chat(user or talk.user, action="stop", turn_id=turn_id, **more)


@contextmanager
def elsewhere(talk: Talk) -> Iterator[None]:
    """Another instance, which takes the turns but not the requests to stop them."""
    with talk.stack.serving(STOP_CHECK_SECONDS="0.05") as url:
        talk.url = url
        yield
        talk.stack.settle()


class TestOnTheInstanceThatRunsIt:
    def test_reply_ends_at_once_and_is_kept(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(stream(["Good ", "evening", stall(comment_every=0.02)]))

        with talk.streaming() as events:
            start, *_ = events.until("start")
            events.until("delta")
            answer = stop(talk, start.data["turn_id"])
            last = list(events)[-1]

        assert (answer.status_code, answer.json()["running"]) == (200, True)
        assert last.name == "done"
        assert last.data["stopped"] is True
        assert last.data["incomplete"] is True
        assert last.data["response"] == talk.said()[-1].removeprefix("> ")
        assert talk.turn() == ("stopped", "stopped")
        assert not {LOOKS, REQUESTS} & set(talk.stack.gateway.calls)

    def test_request_for_json_is_answered_with_what_came(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", "evening", gate]))
        with talk.asking():
            gate.wait_reached()
            stop(talk, running_turn(talk))
            wait_until(lambda: ended(talk), "the turn to end")
        gate.open()
        assert talk.said() == ["Hello", "> Good evening"]

    @pytest.mark.parametrize("slow", [stall(), stall(comment_every=0.02)], ids=["silent", "alive"])
    def test_before_the_first_word_says_so(self, talk: Talk, slow: Answer) -> None:
        talk.stack.upstream.enqueue(slow)
        with (
            talk.stack.serving(HEARTBEAT_SECONDS="0.05") as talk.url,
            talk.streaming(client_message_id="one") as events,
        ):
            talk.stack.upstream.wait_for(lambda upstream: upstream.calls)
            stop(talk, running_turn(talk), url=talk.url)
            said = events.response.read().decode()
        talk.url = None
        assert '"code":"stopped"' in said
        assert talk.said() == ["Hello"]
        talk.stack.upstream.enqueue(text("Good evening."))
        assert talk.reply(client_message_id="one")["response"] == "Good evening."
        assert talk.said() == ["Hello", "> Good evening."]

    def test_repeated_request_is_answered_with_what_was_kept(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(stream(["Good ", "evening", stall(comment_every=0.02)]))
        with talk.streaming(client_message_id="one") as events:
            start, *_ = events.until("start")
            events.until("delta")
            stop(talk, start.data["turn_id"])
            first = list(events)[-1]
        again = talk.stream(client_message_id="one")[-1]
        assert (again.name, again.data["stopped"]) == ("done", True)
        assert again.data["response"] == first.data["response"]


class TestOnAnotherInstance:
    def test_turn_ends_when_its_instance_looks(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(stream(["Good ", "evening", stall(comment_every=0.02)]))
        with elsewhere(talk), talk.streaming() as events:
            start, *_ = events.until("start")
            events.until("delta")
            answer = stop(talk, start.data["turn_id"])
            last = list(events)[-1]
            calls = list(talk.stack.gateway.calls)
        assert (answer.status_code, answer.json()["running"]) == (200, True)
        assert (last.name, last.data["stopped"]) == ("done", True)
        assert talk.turn() == ("stopped", "stopped")
        assert calls.index(REQUESTS) < len(calls) - calls[::-1].index(LOOKS)

    def test_look_that_fails_is_repeated_and_harms_nothing(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        talk.stack.gateway.fail("is_stop_requested", times=2)
        with elsewhere(talk), talk.streaming() as events:
            events.until("delta")
            wait_until(lambda: talk.stack.gateway.calls.count(LOOKS) > 2, "a third look")
            gate.open()
            last = list(events)[-1]
        assert last.name == "done"
        assert talk.said() == ["Hello", "> Good evening."]

    def test_turn_that_is_shorter_makes_two_calls(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        talk.reply()
        calls = [call for call in talk.stack.gateway.calls if "/rpc/" in call]
        assert calls == ["POST /rest/v1/rpc/begin_turn", "POST /rest/v1/rpc/finish_turn"]

    def test_nothing_is_looked_for_once_the_reply_is_there(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        with elsewhere(talk):
            talk.reply()
            calls = [call for call in talk.stack.gateway.calls if call != LOOKS]
            assert len(calls) == 2
            looks = talk.stack.gateway.calls.count(LOOKS)
            talk.stack.upstream.enqueue(text("Good night."))
            talk.stack.chat(talk.user, conversation_id=str(talk.conversation), message="Bye")
            assert talk.stack.gateway.calls.count(LOOKS) == looks


class TestWhoMayStop:
    def test_others_may_not_and_do_not_learn_of_it(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        other = talk.stack.user()
        with talk.streaming() as events:
            start, *_ = events.until("start")
            mine = stop(talk, start.data["turn_id"], other)
            unknown = stop(talk, str(uuid4()), other)
            gate.open()
            assert list(events)[-1].name == "done"
        for answer in (mine, unknown):
            assert (answer.status_code, answer.json()["code"]) == (404, "turn_not_found")
        assert mine.json()["error"] == unknown.json()["error"]
        assert talk.said() == ["Hello", "> Good evening."]

    def test_turn_that_ended_stays_as_it_is(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        body = talk.reply()
        for _ in range(2):
            answer = stop(talk, body["turn_id"])
            assert (answer.status_code, answer.json()["running"]) == (200, False)
        assert talk.turn() == ("complete", None)

    @pytest.mark.parametrize("turn_id", [None, "", "all", 7, ["x"]])
    def test_request_without_an_id_is_refused(self, talk: Talk, turn_id: Any) -> None:
        answer = talk.stack.chat(talk.user, action="stop", turn_id=turn_id)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")

    def test_requests_are_counted(self, talk: Talk) -> None:
        talk.stack.configure(limits={"default": {"actions_per_minute": 1}})
        answers = [stop(talk, str(uuid4())) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [404, 429]

    def test_deleted_account_is_told_so(self, talk: Talk) -> None:
        talk.stack.db.execute("delete from auth.users where id = %s", (talk.user.id,))
        assert stop(talk, str(uuid4())).status_code == 401
