"""Turns as server-sent events."""

from uuid import UUID

from tests.support import patient
from tests.support.answers import error, held, stream, text, worker_chat
from tests.support.functions import serve
from tests.support.stack import Event, Stack, User
from tests.support.waiting import Gate, wait_until


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def begun(stack: Stack) -> tuple[User, UUID]:
    user = stack.user()
    return user, stack.conversation(user)


def test_events_come_in_order_and_the_last_is_the_whole_answer(stack: Stack) -> None:
    user, conversation = begun(stack)
    first, second = Gate(), Gate()
    stack.upstream.enqueue(stream(["\n\nGood ", first, "evening.\n", second, "\nSit."]))

    with stack.streaming(user, conversation_id=str(conversation), message="Hello") as received:
        events = received.until("delta")
        first.open()
        events += received.until("delta")
        second.open()
        events += list(received)

    assert names(events) == ["start", "delta", "delta", "delta", "done"]
    start, done = events[0].data, events[-1].data
    assert start["turn_id"] == done["turn_id"]
    assert start["model_used"] == done["model_used"]
    assert (start["usedFallback"], start["fallbackModel"]) == (False, None)
    assert "".join(event.data["text"] for event in events[1:-1]) == done["response"]
    assert done["response"] == "Good evening.\n\nSit."
    assert (done["success"], done["finish_reason"]) == (True, "stop")


def test_text_comes_before_the_reply_is_whole_and_done_after_it_is_saved(stack: Stack) -> None:
    user, conversation = begun(stack)
    gate = Gate()
    stack.upstream.enqueue(stream(["Good ", gate, "evening."]))

    with stack.streaming(user, conversation_id=str(conversation), message="Hello") as events:
        first = events.until("delta")
        saved_early = stack.said(conversation)
        gate.open()
        events.until("done")
        saved = stack.said(conversation)

    assert first[-1].data == {"text": "Good"}
    assert saved_early == [("user", "Hello")]
    assert saved[-1] == ("character", "Good evening.")


def test_headers_keep_proxies_from_holding_back(stack: Stack) -> None:
    user, conversation = begun(stack)
    stack.upstream.enqueue(text("Hello."))

    answer = patient.post(
        stack.function_url("roleplay_chat"),
        headers={**user.headers, "Origin": "https://app.example"},
        json={"conversation_id": str(conversation), "message": "Hello", "stream": True},
    )
    headers = answer.headers

    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"
    assert headers["access-control-allow-origin"] == "*"


def test_accept_header_asks_for_a_stream(stack: Stack) -> None:
    user, conversation = begun(stack)
    stack.upstream.enqueue(text("Hello."))

    answer = patient.post(
        stack.function_url("roleplay_chat"),
        headers={**user.headers, "Accept": "text/event-stream"},
        json={"conversation_id": str(conversation), "message": "Hello"},
    )

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("event: start\n")


def test_silence_is_filled_with_heartbeats(stack: Stack) -> None:
    user, conversation = begun(stack)
    gate = Gate()
    stack.upstream.enqueue(held(gate, text("Hello.")))
    body = {"conversation_id": str(conversation), "message": "Hello"}

    with (
        serve("roleplay_chat", stack.env(HEARTBEAT_SECONDS="0.05")) as url,
        stack.streaming(user, url=url, **body) as events,
    ):
        lines = events.response.iter_lines()
        first = [next(lines), next(lines), next(lines)]
        gate.open()
        rest = list(lines)

    assert first == [": heartbeat", "", ": heartbeat"]
    assert "event: done" in rest


def test_failure_before_any_text_keeps_its_true_status(stack: Stack) -> None:
    user, conversation = begun(stack)
    stack.upstream.always(error(500))

    with stack.streaming(user, conversation_id=str(conversation), message="Hello") as events:
        response = events.response
        response.read()

    assert response.status_code == 503
    assert response.json()["code"] == "no_model_available"


def test_failure_after_a_heartbeat_is_an_error_event(stack: Stack) -> None:
    user, conversation = begun(stack)
    gate = Gate()
    stack.upstream.always(held(gate, error(500)))
    body = {"conversation_id": str(conversation), "message": "Hello"}

    with (
        serve("roleplay_chat", stack.env(HEARTBEAT_SECONDS="0.05")) as url,
        stack.streaming(user, url=url, **body) as events,
    ):
        assert events.response.status_code == 200
        gate.open()
        received = list(events)

    assert names(received) == ["error"]
    assert received[0].data["code"] == "no_model_available"


def test_fallback_is_told_with_the_first_words(stack: Stack) -> None:
    stack.register_worker()
    stack.worker_health()
    user, conversation = begun(stack)
    stack.worker.enqueue(error(500))
    stack.upstream.enqueue(text("Hello."))

    events = stack.stream(
        user, conversation_id=str(conversation), message="Hello", model_provider="chat_worker"
    )

    assert events[0].name == "start"
    assert events[0].data["usedFallback"] is True
    assert events[0].data["fallbackModel"] == events[-1].data["fallbackModel"]


def test_worker_that_does_not_stream_comes_in_one_piece(stack: Stack) -> None:
    stack.register_worker()
    stack.worker_health()
    user, conversation = begun(stack)
    stack.worker.enqueue(worker_chat("All at once."))

    events = stack.stream(
        user, conversation_id=str(conversation), message="Hello", model_provider="chat_worker"
    )

    assert names(events) == ["start", "delta", "done"]
    assert events[1].data == {"text": "All at once."}


def test_repeated_request_streams_the_saved_reply(stack: Stack) -> None:
    user, conversation = begun(stack)
    body = {"conversation_id": str(conversation), "message": "Hello", "client_message_id": "one"}
    stack.upstream.enqueue(text("Hello there."))

    first = stack.stream(user, **body)
    again = stack.stream(user, **body)

    assert names(again) == ["start", "delta", "done"]
    assert again[-1].data["message_id"] == first[-1].data["message_id"]
    assert again[-1].data["response"] == "Hello there."


def test_prompt_enhancement_is_streamed(stack: Stack) -> None:
    stack.upstream.enqueue(text("A pier at dawn."))

    events = stack.stream(stack.user(), task="prompt_enhancement", message="pier")

    assert names(events)[-1] == "done"
    assert events[-1].data["response"] == "A pier at dawn."


def test_turn_goes_on_without_the_client(stack: Stack) -> None:
    user, conversation = begun(stack)
    gate = Gate()
    stack.upstream.enqueue(stream(["Good ", gate, "evening."]))

    with stack.streaming(user, conversation_id=str(conversation), message="Hello") as events:
        events.until("delta")
    gate.open()

    wait_until(lambda: len(stack.said(conversation)) == 2, "the reply to be saved")
    assert stack.said(conversation)[-1] == ("character", "Good evening.")
