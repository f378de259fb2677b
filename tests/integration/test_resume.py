"""A reader whose connection was lost comes back to a turn's stream with Last-Event-ID."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from roleplay_chat import endpoints
from tests.support import patient
from tests.support.answers import error, held, stream, text
from tests.support.stack import Stream, User
from tests.support.talk import Talk
from tests.support.waiting import Gate, wait_until

UNKNOWN = "5eea0000-0000-4000-8000-000000000000"
HURRIED = {"HEARTBEAT_SECONDS": "0.05"}
"""Of an instance that soon begins its answer, though there is nothing to tell yet."""

pytestmark = pytest.mark.installations


@contextmanager
def asking(talk: Talk, **body: Any) -> Iterator[Iterator[ServerSentEvent]]:
    """A streamed turn, with the ids of its events. Leaving it is like a lost connection."""
    asked = {"conversation_id": str(talk.conversation), "message": "Hello", "stream": True}
    url = talk.url or talk.stack.function_url("roleplay_chat")
    with patient.stream("POST", url, headers=talk.user.headers, json=asked | body) as response:
        yield EventSource(response).iter_sse()


@contextmanager
def coming_back(
    talk: Talk,
    event_id: str,
    user: User | None = None,
    method: str = "GET",
    url: str | None = None,
) -> Iterator[httpx.Response]:
    """The same reader again, at this instance or at the one that has the ordinary settings."""
    headers = {**(user or talk.user).headers, "Last-Event-ID": event_id}
    url = url or talk.stack.function_url("roleplay_chat")
    with patient.stream(method, url, headers=headers) as response:
        yield response


def rest(response: httpx.Response) -> list[tuple[str, Any]]:
    return [(one.event, json.loads(one.data)) for one in EventSource(response).iter_sse()]


def until(events: Iterator[ServerSentEvent], name: str) -> ServerSentEvent:
    return next(one for one in events if one.event == name)


def texts(events: list[tuple[str, Any]]) -> str:
    return "".join(data["text"] for name, data in events if name == "delta")


class TestHere:
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_rest_of_the_reply_comes_and_nothing_twice(self, talk: Talk, method: str) -> None:
        missed, later = Gate(), Gate()
        talk.stack.upstream.enqueue(stream(["Good ", missed, "evening ", later, "to you."]))
        with asking(talk) as events:
            until(events, "start")
            first = until(events, "delta")
        missed.open()
        with coming_back(talk, first.id, method=method) as response:
            later.open()
            events_of_rest = rest(response)
        names = [name for name, _ in events_of_rest]
        assert names[0] == "delta"
        assert names[-1] == "done"
        assert "start" not in names
        assert json.loads(first.data)["text"] + texts(events_of_rest) == "Good evening to you."
        assert events_of_rest[-1][1]["response"] == "Good evening to you."
        assert len(talk.stack.upstream.calls) == 1

    def test_every_event_has_an_id_to_come_back_with(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        with asking(talk) as events:
            start = until(events, "start")
            first = until(events, "delta")
            gate.open()
            others = list(events)
        ids = [one.id for one in (start, first, *others)]
        turn_id = json.loads(start.data)["turn_id"]
        assert all(one.startswith(f"{turn_id}/") for one in ids)
        assert len(set(ids[:3])) == 3

    def test_somebody_who_read_only_the_start_gets_all_of_the_text(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        with asking(talk) as events:
            start = until(events, "start")
        with coming_back(talk, start.id) as response:
            gate.open()
            assert texts(rest(response)) == "Good evening."

    def test_reader_who_is_ahead_of_the_turn_begins_anew(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        with asking(talk) as events:
            start = until(events, "start")
            until(events, "delta")
        turn_id = json.loads(start.data)["turn_id"]
        with coming_back(talk, f"{turn_id}/7.9000") as response:
            gate.open()
            (name, _), *others = rest(response)
        assert name == "start"
        assert texts(others) == "Good evening."

    def test_heartbeats_between_events_are_no_events(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        with talk.stack.serving(**HURRIED) as url:
            talk.url = url
            asked = {"conversation_id": str(talk.conversation), "message": "Hello", "stream": True}
            with patient.stream("POST", url, headers=talk.user.headers, json=asked) as response:
                lines = []
                for line in response.iter_lines():
                    lines.append(line)
                    if line == ": heartbeat" and "event: delta" in lines:
                        gate.open()
        headers = {"Content-Type": "text/event-stream"}
        heard = httpx.Response(200, headers=headers, text="\n".join([*lines, ""]))
        assert all(one.data for one in EventSource(heard).iter_sse())

    def test_several_readers_read_along(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        with asking(talk) as events:
            start = until(events, "start")
            with coming_back(talk, start.id) as one, coming_back(talk, start.id) as two:
                gate.open()
                assert texts(rest(one)) == texts(rest(two)) == "Good evening."
            assert until(events, "done")

    def test_reply_that_was_not_asked_for_as_a_stream_comes_at_its_end(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(held(gate, text("Good evening.")))
        with talk.stack.serving(**HURRIED) as talk.url, talk.asking():
            wait_until(lambda: talk.stack.upstream.calls, "the call")
            turn_id = talk.stack.one("select id from turns")["id"]
            with coming_back(talk, f"{turn_id}/0.0", url=talk.url) as response:
                gate.open()
                events = rest(response)
        assert [name for name, _ in events] == ["start", "delta", "done"]
        assert texts(events) == "Good evening."

    def test_failure_reaches_who_came_back(self, talk: Talk) -> None:
        gate = Gate()
        talk.stack.upstream.always(held(gate, error(500)))
        with talk.asking():
            wait_until(lambda: talk.stack.upstream.calls, "the call")
            turn_id = talk.stack.one("select id from turns")["id"]
            gate.open()
            with coming_back(talk, f"{turn_id}/0.0") as response:
                response.read()
        # As a status, or on a slow machine as an event after a heartbeat; or the turn has ended.
        assert "no_model_available" in response.text or "turn_failed" in response.text


class TestElsewhere:
    """The instance that the reader reaches does not run the turn."""

    @pytest.fixture
    def another(self, talk: Talk) -> Iterator[str]:
        with (
            talk.stack.serving(**HURRIED) as talk.url,
            talk.stack.serving(**HURRIED) as another,
        ):
            yield another
            talk.stack.settle()

    def test_heartbeats_come_and_then_the_saved_reply(self, talk: Talk, another: str) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        with asking(talk) as events:
            first = until(events, "delta")
        with coming_back(talk, first.id, url=another) as response:
            lines = response.iter_lines()
            assert next(lines) == ": heartbeat"
            gate.open()
            names = [event.name for event in _events(lines)]
        assert names == ["start", "delta", "done"]
        assert talk.said()[-1] == "> Good evening."

    def test_failure_is_told_as_an_event(self, talk: Talk, another: str) -> None:
        gate = Gate()
        talk.stack.upstream.always(held(gate, error(500)))
        with asking(talk):
            turn_id = talk.stack.one("select id from turns")["id"]
            with coming_back(talk, f"{turn_id}/0.0", url=another) as response:
                lines = response.iter_lines()
                assert next(lines) == ": heartbeat"
                gate.open()
                (failed,) = _events(lines)
        assert (failed.name, failed.data["code"]) == ("error", "turn_failed")


class TestAfterwards:
    def test_saved_reply_is_told_again(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        done = talk.stream()[-1]
        wait_until(talk.stack._is_quiet, "the function to be idle")
        with coming_back(talk, f"{done.data['turn_id']}/1.4") as response:
            events = rest(response)
        assert [name for name, _ in events] == ["start", "delta", "done"]
        assert events[-1][1]["message_id"] == done.data["message_id"]

    def test_of_a_continued_reply_only_what_was_added_is_told_again(self, talk: Talk) -> None:
        talk.stack.upstream.always(text("Once there was a king"))
        talk.reply("Tell me a story.")
        talk.stack.upstream.always(text(" who had a dog."))
        asked: dict[str, Any] = {
            "action": "continue",
            "message": None,
            "client_message_id": "again",
        }
        told = [talk.stream(**asked) for _ in range(2)]
        wait_until(talk.stack._is_quiet, "the function to be idle")
        with coming_back(talk, f"{told[0][-1].data['turn_id']}/1.4") as response:
            events = rest(response)
        assert texts(events) == " who had a dog."
        assert events[-1][1]["response"] == "Once there was a king who had a dog."
        assert events[-1][1]["continued_chars"] == len("Once there was a king")
        for stream_of_it in told:
            added = "".join(one.data["text"] for one in stream_of_it if one.name == "delta")
            assert added == " who had a dog."

    def test_reply_that_was_deleted_is_gone(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Good evening."))
        done = talk.stream()[-1]
        wait_until(talk.stack._is_quiet, "the function to be idle")
        talk.stack.chat(talk.user, action="delete", message_id=done.data["message_id"])
        with coming_back(talk, f"{done.data['turn_id']}/1.4") as response:
            response.read()
        assert (response.status_code, response.json()["code"]) == (410, "reply_deleted")

    def test_refused_message_is_not_to_be_sent_again(self, talk: Talk) -> None:
        refused = talk.say("She is 12 years old. A sexual scene.")
        answer = self.told_again(talk)
        assert (answer.status_code, answer.json()["code"]) == (403, "content_refused")
        assert answer.json()["error"] == refused.json()["error"]

    @pytest.mark.parametrize("is_expired", [False, True])
    def test_refused_reply_is_told_as_such(self, talk: Talk, is_expired: bool) -> None:
        talk.stack.upstream.enqueue(stream([], finish="content_filter"))
        refused = talk.say()
        talk.stack.settle()
        if is_expired:
            talk.stack.db.execute("update turns set result = null")
        answer = self.told_again(talk)
        assert refused.json()["code"] == "content_refused"
        assert (answer.status_code, answer.json()["error"]) == (403, refused.json()["error"])

    def test_who_has_spent_all_is_told_when_to_come_back(self, talk: Talk) -> None:
        talk.stack.upstream.always(error(500))
        talk.say()
        talk.stack.settle()
        talk.stack.db.execute("update turns set error_code = 'spend_limit_reached'")
        answer = self.told_again(talk)
        assert (answer.status_code, answer.json()["code"]) == (429, "spend_limit_reached")
        assert "Retry-After" in answer.headers

    def told_again(self, talk: Talk) -> httpx.Response:
        wait_until(talk.stack._is_quiet, "the function to be idle")
        turn_id = talk.stack.one("select id from turns")["id"]
        with coming_back(talk, f"{turn_id}/0.0") as response:
            response.read()
        return response


class TestOthers:
    @pytest.mark.parametrize("is_over", [False, True])
    def test_only_the_turns_owner_comes_back(self, talk: Talk, is_over: bool) -> None:
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        with asking(talk) as events:
            first = until(events, "delta")
            if is_over:
                gate.open()
                list(events)
            with coming_back(talk, first.id, talk.stack.user()) as response:
                response.read()
            gate.open()
        assert (response.status_code, response.json()["code"]) == (404, "turn_not_found")

    def test_token_is_needed(self, talk: Talk) -> None:
        answer = patient.get(
            talk.stack.function_url("roleplay_chat"),
            headers={"Last-Event-ID": f"{uuid4()}/1.0"},
        )
        assert answer.status_code == 401

    def test_turn_that_never_was_is_not_found(self, talk: Talk) -> None:
        with coming_back(talk, f"{uuid4()}/1.0") as response:
            response.read()
        assert response.status_code == 404

    @pytest.mark.parametrize("event_id", ["7", "x/1.0", UNKNOWN, f"{UNKNOWN}/1", "é"])
    def test_id_of_something_else_is_ignored(self, talk: Talk, event_id: str) -> None:
        sent = talk.user.headers | {"Last-Event-ID": event_id}
        headers = {name.encode(): value.encode() for name, value in sent.items()}
        answer = patient.get(talk.stack.function_url("roleplay_chat"), headers=headers)
        assert answer.json()["status"] == "ok"

    def test_readers_of_one_person_are_limited(
        self, talk: Talk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(endpoints, "RETURNING_EACH", 1)
        monkeypatch.setattr(endpoints, "RETURNING_WAIT_SECONDS", 0.01)
        gate = Gate()
        talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
        with talk.stack.serving(**HURRIED) as url:
            talk.url = url
            with asking(talk) as events:
                first = until(events, "delta")
                headers = {**talk.user.headers, "Last-Event-ID": first.id}
                with patient.stream("GET", url, headers=headers) as one:
                    assert one.status_code == 200
                    assert patient.get(url, headers=headers).json()["code"] == "busy"
                wait_until(lambda: self.is_admitted(url, headers), "the place of who left")
                gate.open()

    def is_admitted(self, url: str, headers: dict[str, str]) -> bool:
        with patient.stream("GET", url, headers=headers) as response:
            return response.status_code == 200


def _events(lines: Iterator[str]) -> list[Any]:
    """The events in the lines of a stream, without its comments."""
    text = "\n".join(line for line in lines if not line.startswith(":")).strip()
    headers = {"Content-Type": "text/event-stream"}
    return list(Stream(httpx.Response(200, headers=headers, text=f"{text}\n\n")))
