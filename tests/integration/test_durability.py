"""An accepted turn is neither lost nor duplicated, whatever breaks or is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from psycopg.types.json import Jsonb

from roleplay_chat.rows import BegunTurn
from tests.support.answers import error, held, stall, stream, text
from tests.support.functions import Process, serve_process
from tests.support.stack import Stack, User
from tests.support.waiting import PATIENCE, Gate, wait_until


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def conversing(stack: Stack, *said: str) -> tuple[User, UUID]:
    """A user and a conversation."""
    user = stack.user()
    return user, stack.conversation(user, *said)


def request(conversation: UUID, message: str = "Hello", **body: Any) -> dict[str, Any]:
    """A turn with its own client_message_id."""
    return {
        "conversation_id": str(conversation),
        "message": message,
        "client_message_id": str(uuid4()),
    } | body


def said(stack: Stack, conversation: UUID) -> list[str]:
    """The messages of the conversation: "Hello", "> Good evening." """
    return [
        f"> {words}" if who == "character" else words for who, words in stack.said(conversation)
    ]


def write(stack: Stack, user: User, conversation: UUID, content: str) -> None:
    """Inserts the user's message, like a client."""
    row = {"conversation_id": str(conversation), "sender": "user", "content": content}
    with stack.data_api(user) as api:
        assert api.post("/messages", json=row).status_code == 201


def turns(stack: Stack) -> list[tuple[str, str | None]]:
    """Status and error code of all turns, oldest first."""
    rows = stack.all("select status, error_code from turns order by created_at")
    return [(row["status"], row["error_code"]) for row in rows]


def expire(stack: Stack) -> None:
    """Lets the leases of the running turns expire."""
    stack.db.execute("update turns set lease_expires_at = now() where status = 'running'")


def in_progress(answer: httpx.Response) -> bool:
    """Whether a response says when to come back."""
    if answer.status_code != 409:
        return False
    assert answer.json()["code"] == "turn_in_progress"
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    return True


class TestSameRequestTwice:
    async def test_fifty_at_once_are_one_turn_with_one_call_to_a_model(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        body, gate, saved = request(conversation), Gate(), asyncio.Event()
        stack.upstream.enqueue(held(gate, text("Once.")))
        url = stack.function_url("roleplay_chat")

        async with httpx.AsyncClient(headers=user.headers, timeout=PATIENCE) as client:

            async def until_answered() -> tuple[int, dict[str, Any]]:
                tries, answer = 1, await client.post(url, json=body)
                if in_progress(answer):
                    gate.open()  # this one was told to wait, so another one is running
                    await saved.wait()
                    tries, answer = 2, await client.post(url, json=body)
                assert answer.status_code == 200, answer.text
                saved.set()
                return tries, answer.json()

            answers = await asyncio.gather(*(until_answered() for _ in range(50)))

        assert len(stack.upstream.calls) == 1
        assert {(body["response"], body["message_id"]) for _, body in answers} == {
            ("Once.", answers[0][1]["message_id"])
        }
        assert max(tries for tries, _ in answers) > 1
        assert said(stack, conversation) == ["Hello", "> Once."]
        assert turns(stack) == [("complete", None)]

    @pytest.mark.parametrize("streamed", [False, True], ids=["json", "stream"])
    def test_afterwards_gets_the_same_reply(self, stack: Stack, streamed: bool) -> None:
        user, conversation = conversing(stack)
        body = request(conversation)
        stack.upstream.enqueue(text("Once."))
        first = stack.chat(user, **body).json()

        if streamed:
            events = stack.stream(user, **body)
            assert [event.name for event in events] == ["start", "delta", "done"]
            again = events[-1].data
        else:
            again = stack.chat(user, **body).json()

        assert again | {"request_id": ""} == first | {"request_id": ""}
        assert len(stack.upstream.calls) == 1
        assert said(stack, conversation) == ["Hello", "> Once."]

    def test_without_a_conversation_too(self, stack: Stack, pool: ThreadPoolExecutor) -> None:
        user, gate = stack.user(), Gate()
        body = {"task": "prompt_enhancement", "message": "pier", "client_message_id": "one"}
        stack.upstream.enqueue(held(gate, text("A pier at dawn.")))

        first = pool.submit(stack.chat, user, **body)
        gate.wait_reached()
        assert in_progress(stack.chat(user, **body))
        gate.open()

        assert first.result().json()["response"] == "A pier at dawn."
        assert stack.chat(user, **body).json()["response"] == "A pier at dawn."

    def test_id_of_a_request_for_another_conversation_is_refused(
        self, stack: Stack, pool: ThreadPoolExecutor
    ) -> None:
        user, first = conversing(stack)
        second = stack.conversation(user)
        gate = Gate()
        stack.upstream.enqueue(held(gate, text("A secret.")))

        running = pool.submit(stack.chat, user, **request(first, client_message_id="one"))
        gate.wait_reached()
        others = [stack.chat(user, **request(second, client_message_id="one"))]
        gate.open()
        running.result()
        others += [
            stack.chat(user, **request(second, client_message_id="one")),
            stack.chat(user, task="storytelling", message="A pier.", client_message_id="one"),
        ]

        for answer in others:
            assert (answer.status_code, answer.json()["code"]) == (409, "client_message_id_used")
        assert said(stack, second) == []
        again = stack.chat(user, **request(first, client_message_id="one"))
        assert again.json()["response"] == "A secret."
        stack.upstream.enqueue(text("Another story."))
        assert stack.chat(user, **request(second)).json()["response"] == "Another story."

    def test_id_of_a_request_that_failed_elsewhere_may_be_used(self, stack: Stack) -> None:
        user, first = conversing(stack)
        second = stack.conversation(user)
        stack.upstream.always(error(500))
        stack.chat(user, **request(first, client_message_id="one"))
        stack.upstream.always(text("Sit."))

        answer = stack.chat(user, **request(second, client_message_id="one"))

        assert answer.json()["response"] == "Sit."
        assert said(stack, second) == ["Hello", "> Sit."]

    @pytest.mark.parametrize("first", ["Hello", "She is 12 years old. A sexual scene."])
    def test_words_that_are_others_after_a_failure_are_answered(
        self, stack: Stack, first: str
    ) -> None:
        user, conversation = conversing(stack)
        stack.upstream.always(error(500))
        one = request(conversation, client_message_id="one")
        assert stack.chat(user, **one | {"message": first}).status_code != 200
        stack.upstream.always(text("Sit."))

        answer = stack.chat(user, **one | {"message": "I come in."})

        assert answer.json().get("response") == "Sit."
        assert said(stack, conversation)[-2:] == ["I come in.", "> Sit."]

    def test_same_id_of_somebody_else_is_another_request(self, stack: Stack) -> None:
        ann, hers = conversing(stack)
        bob, his = conversing(stack)
        body = request(hers)
        stack.upstream.enqueue(text("Ann."), text("Bob."))

        first = stack.chat(ann, **body).json()
        second = stack.chat(bob, **body | {"conversation_id": str(his)}).json()

        assert (first["response"], second["response"]) == ("Ann.", "Bob.")


@pytest.mark.installations
class TestTwoDevices:
    def test_second_waits_its_turn(self, stack: Stack, pool: ThreadPoolExecutor) -> None:
        user, conversation = conversing(stack)
        gate = Gate()
        stack.upstream.enqueue(held(gate, text("To the phone.")), text("To the laptop."))

        phone = pool.submit(stack.chat, user, **request(conversation, "Phone"))
        gate.wait_reached()
        body = request(conversation, "Laptop")
        assert in_progress(stack.chat(user, **body))
        gate.open()
        assert phone.result().status_code == 200
        assert stack.chat(user, **body).status_code == 200

        assert said(stack, conversation) == [
            "Phone",
            "> To the phone.",
            "Laptop",
            "> To the laptop.",
        ]

    def test_many_at_once_are_never_interleaved(
        self, stack: Stack, pool: ThreadPoolExecutor
    ) -> None:
        user, conversation = conversing(stack)
        stack.configure(limits={})
        stack.upstream.always(text("Yes."))

        def device(number: int) -> None:
            for message in range(3):
                body = request(conversation, f"{number}.{message}")
                wait_until(lambda body=body: not in_progress(stack.chat(user, **body)), "a reply")  # type: ignore[misc]

        list(pool.map(device, range(4)))

        words = said(stack, conversation)
        assert words[1::2] == ["> Yes."] * 12
        assert sorted(words[0::2]) == [f"{n}.{m}" for n in range(4) for m in range(3)]
        assert len(stack.upstream.calls) == 12
        by_time = stack.all("select position from messages order by created_at")
        assert by_time == sorted(by_time, key=lambda row: row["position"])

    def test_other_conversations_do_not_wait(self, stack: Stack, pool: ThreadPoolExecutor) -> None:
        user, conversation = conversing(stack)
        other, gate = stack.conversation(user), Gate()
        stack.upstream.enqueue(held(gate, text("One.")), text("Two."))

        first = pool.submit(stack.chat, user, **request(conversation))
        gate.wait_reached()
        assert stack.chat(user, **request(other)).json()["response"] == "Two."
        gate.open()
        assert first.result().json()["response"] == "One."


@pytest.mark.installations
class TestMessageWrittenByTheClient:
    def test_clients_message_is_adopted_after_several_turns(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        stack.upstream.always(text("Yes."))
        for message in ("One", "Two", "Two", "Three"):
            write(stack, user, conversation, message)
            assert stack.chat(user, **request(conversation, message)).status_code == 200

        assert said(stack, conversation) == [
            *("One", "> Yes.", "Two", "> Yes.", "Two", "> Yes.", "Three", "> Yes.")
        ]

    def test_clients_message_is_adopted_where_the_client_sends_no_id(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        stack.upstream.always(text("Yes."))
        for message in ("One", "One"):
            write(stack, user, conversation, message)
            stack.chat(user, conversation_id=str(conversation), message=f"{message} ")

        assert said(stack, conversation) == ["One", "> Yes.", "One", "> Yes."]

    def test_clients_message_is_not_adopted_when_it_was_answered(self, stack: Stack) -> None:
        user, conversation = conversing(stack, "Hello", "Welcome.")
        stack.upstream.enqueue(text("Again?"), text("Really?"))

        stack.chat(user, **request(conversation))
        stack.chat(user, **request(conversation))

        assert said(stack, conversation) == [
            *("Hello", "> Welcome.", "Hello", "> Again?", "Hello", "> Really?")
        ]

    def test_clients_message_is_not_adopted_when_it_says_something_else(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        write(stack, user, conversation, "Hello.")
        stack.upstream.enqueue(text("Yes."))

        stack.chat(user, **request(conversation, "Hello?"))

        assert said(stack, conversation) == ["Hello.", "Hello?", "> Yes."]

    def test_messages_inserted_by_two_devices_are_each_adopted(
        self, stack: Stack, pool: ThreadPoolExecutor
    ) -> None:
        user, conversation = conversing(stack)
        write(stack, user, conversation, "Phone")
        write(stack, user, conversation, "Laptop")
        gate = Gate()
        stack.upstream.enqueue(held(gate, text("To the phone.")), text("To the laptop."))

        phone = pool.submit(stack.chat, user, **request(conversation, "Phone"))
        gate.wait_reached()
        laptop = request(conversation, "Laptop")
        assert in_progress(stack.chat(user, **laptop))
        gate.open()
        phone.result()
        stack.chat(user, **laptop)

        assert said(stack, conversation) == [
            *("Phone", "Laptop", "> To the phone.", "> To the laptop.")
        ]
        answered = stack.all(
            "select message.content as message, reply.content as reply "
            "from messages reply join messages message on message.id = reply.parent_id"
        )
        assert {(row["message"], row["reply"]) for row in answered} == {
            ("Phone", "To the phone."),
            ("Laptop", "To the laptop."),
        }

    def test_clients_message_is_adopted_though_many_others_were_written_since(
        self, stack: Stack
    ) -> None:
        user, conversation = conversing(stack)
        stack.configure(limits={})
        stack.upstream.always(text("Yes."))
        words = ["Hello", *(f"{number}" for number in range(120))]
        for word in words:
            write(stack, user, conversation, word)

        stack.chat(user, **request(conversation))

        assert said(stack, conversation) == [*words, "> Yes."]

    @pytest.mark.parametrize("later", [8, 58])
    def test_message_after_it_tells_whether_it_was_answered_however_many_are_read_at_once(
        self, stack: Stack, later: int
    ) -> None:
        user, conversation = conversing(stack, "Hello", "Welcome.")
        stack.configure(limits={})
        stack.upstream.always(text("Yes."))
        words = [f"{number}" for number in range(later - 1)]
        for word in words:
            write(stack, user, conversation, word)

        stack.chat(user, **request(conversation))

        assert said(stack, conversation) == ["Hello", "> Welcome.", *words, "Hello", "> Yes."]

    def test_after_a_failure_is_there_once_and_answered_once(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        first, second = request(conversation), request(conversation)
        stack.upstream.enqueue(*[error(404)] * 3, text("Yes."))
        assert stack.chat(user, **first).status_code == 503

        # The client sent the same text with a new id, and later returns with the old one.
        answer = stack.chat(user, **second).json()
        again = stack.chat(user, **first).json()

        assert (answer["response"], again["response"]) == ("Yes.", "Yes.")
        assert said(stack, conversation) == ["Hello", "> Yes."]


class TestAnswerLostOnTheWay:
    """The call took effect, but its response was lost."""

    def test_begun_turn_is_taken_up_again(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        stack.gateway.drop("begin_turn", after=True)
        stack.upstream.enqueue(text("Yes."))

        answer = stack.chat(user, **request(conversation))

        assert answer.json()["response"] == "Yes."
        assert said(stack, conversation) == ["Hello", "> Yes."]
        assert turns(stack) == [("complete", None)]

    def test_begun_turn_is_taken_up_again_without_an_id(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        stack.gateway.drop("begin_turn", after=True)
        stack.upstream.enqueue(text("Yes."))

        stack.chat(user, conversation_id=str(conversation), message="Hello")

        assert said(stack, conversation) == ["Hello", "> Yes."]
        assert turns(stack) == [("complete", None)]

    @pytest.mark.parametrize("is_reached_again", [False, True])
    def test_turn_that_nobody_heard_of_is_closed_so_that_the_next_request_is_answered(
        self, stack: Stack, is_reached_again: bool
    ) -> None:
        user, conversation = conversing(stack)
        body = request(conversation)
        stack.gateway.drop("begin_turn", times=1 if is_reached_again else 2, after=True)
        stack.gateway.fail("begin_turn", times=1 if is_reached_again else 0)

        lost = stack.chat(user, **body)

        assert (lost.status_code, lost.json()["code"]) == (503, "database_unavailable")
        closed = [("failed", "database_unavailable")]
        wait_until(lambda: turns(stack) == closed, "the turn to be closed")
        stack.upstream.enqueue(text("Yes."))
        assert stack.chat(user, **body).json()["response"] == "Yes."
        assert said(stack, conversation) == ["Hello", "> Yes."]

    def test_call_that_comes_after_the_turn_ended_changes_nothing(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        stack.upstream.enqueue(text("Yes."))
        answer = stack.chat(user, conversation_id=str(conversation), message="Hello").json()

        straggler = stack.one(
            "select begin_turn(%s, %s, 'roleplay', 'send', %s, p_message => 'Hello') as result",
            *(answer["turn_id"], user.id, conversation),
        )["result"]

        assert (straggler["outcome"], straggler["reply"]) == ("replayed", "Yes.")
        assert said(stack, conversation) == ["Hello", "> Yes."]

    def test_finished_turn_is_not_doubled(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        stack.gateway.drop("finish_turn", times=2, after=True)
        stack.upstream.enqueue(error(404), text("Yes."))

        body = stack.chat(user, **request(conversation)).json()

        assert (body["saved"], body["memory_updated"]) == (True, False)
        assert body["message_id"] == str(
            stack.one("select id from messages where sender = 'character'")["id"]
        )
        assert said(stack, conversation) == ["Hello", "> Yes."]
        assert len(stack.all("select from usage_events")) == 2
        assert stack.one("select interaction_count as n from memories")["n"] == 1
        assert stack.gateway.calls.count("POST /rest/v1/rpc/finish_turn") == 3

    def test_usage_of_a_lost_turn_is_not_doubled(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        turn = stack.insert(
            "turns",
            **{"user_id": user.id, "conversation_id": conversation, "task": "roleplay"},
            **{"action": "send", "status": "failed", "error_code": "lease_expired"},
            **{"lease_expires_at": "2026-01-01", "finished_at": "2026-01-01"},
        )
        stack.upstream.enqueue(text("Yes."))
        stack.chat(user, **request(conversation))
        usage = [{"provider": "p", "model_key": "m", "outcome": "ok", "duration_ms": 1}]

        for _ in range(2):
            row = stack.one(
                "select finish_turn(%s, 'complete', 'Late.', p_usage => %s) as result",
                *(turn, Jsonb(usage)),
            )
            assert row["result"] == {"outcome": "lost"}

        assert said(stack, conversation) == ["Hello", "> Yes."]
        assert len(stack.all("select from usage_events where turn_id = %s", turn)) == 1


class TestDatabaseAwayAtTheEnd:
    def test_person_gets_the_text_and_it_is_saved_later(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        body = request(conversation)
        stack.gateway.fail("finish_turn", times=99)
        stack.upstream.enqueue(text("Listen."))

        with stack.serving(SAVE_PATIENCE_SECONDS="0.3") as url:
            answer = stack.chat(user, url=url, **body).json()
            assert (answer["response"], answer["saved"]) == ("Listen.", False)
            assert (answer["code"], answer["message_id"]) == ("not_saved", None)
            assert in_progress(stack.chat(user, url=url, **body))
            stack.gateway.reset()
            wait_until(lambda: turns(stack) == [("complete", None)], "the turn to be saved")

        assert stack.chat(user, **body).json()["response"] == "Listen."
        assert said(stack, conversation) == ["Hello", "> Listen."]
        assert len(stack.upstream.calls) == 1

    def test_schema_that_changed_a_moment_ago_costs_no_reply(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        stack.gateway.outdate("begin_turn")
        stack.gateway.outdate("finish_turn", times=2)
        stack.upstream.enqueue(text("Listen."))

        answer = stack.chat(user, **request(conversation)).json()

        assert (answer["response"], answer["saved"]) == ("Listen.", True)
        assert turns(stack) == [("complete", None)]
        assert said(stack, conversation) == ["Hello", "> Listen."]

    def test_schema_that_stays_outdated_is_told_and_the_reply_is_saved_later(
        self, stack: Stack
    ) -> None:
        user, conversation = conversing(stack)
        stack.gateway.outdate("finish_turn", times=99)
        stack.upstream.enqueue(text("Listen."))

        with stack.serving(SAVE_PATIENCE_SECONDS="0.3") as url:
            answer = stack.chat(user, url=url, **request(conversation)).json()
            assert (answer["response"], answer["saved"]) == ("Listen.", False)
            stack.gateway.reset()
            wait_until(lambda: turns(stack) == [("complete", None)], "the turn to be saved")

        assert said(stack, conversation) == ["Hello", "> Listen."]

    def test_stream_says_so_in_its_last_event(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        stack.gateway.fail("finish_turn", times=99)
        stack.upstream.enqueue(stream(["Lis", "ten."]))

        with stack.serving(SAVE_PATIENCE_SECONDS="0.3") as url:
            events = stack.stream(user, url=url, **request(conversation))
            stack.gateway.reset()

        assert (events[-1].name, events[-1].data["saved"]) == ("done", False)
        assert "".join(event.data["text"] for event in events if event.name == "delta") == "Listen."

    def test_database_that_does_not_answer_holds_nobody_up(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        gate = stack.gateway.hold("finish_turn")
        stack.upstream.enqueue(text("Listen."))

        with stack.serving(SAVE_PATIENCE_SECONDS="0.3") as url:
            answer = stack.chat(user, url=url, **request(conversation)).json()
            assert (answer["response"], answer["saved"]) == ("Listen.", False)
            gate.open()
            wait_until(lambda: turns(stack) == [("complete", None)], "the turn to be saved")

    def test_reply_that_the_database_refuses_is_given_unsaved(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        body = request(conversation)
        stack.db.execute(
            "alter table public.messages add constraint refused check (content <> 'No.')"
        )
        stack.upstream.enqueue(text("No."))
        try:
            answer = stack.chat(user, **body).json()
        finally:
            stack.db.execute("alter table public.messages drop constraint refused")

        assert (answer["response"], answer["saved"]) == ("No.", False)
        assert turns(stack) == [("failed", "not_saved")]
        stack.upstream.enqueue(text("Yes."))
        assert stack.chat(user, **body).json()["response"] == "Yes."
        assert said(stack, conversation) == ["Hello", "> Yes."]

    @pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
    def test_call_that_the_database_breaks_off_is_made_again(
        self, stack: Stack, pool: ThreadPoolExecutor, how: str
    ) -> None:
        user, conversation = conversing(stack)
        gate = Gate()
        stack.upstream.enqueue(held(gate, text("Listen.")))
        asked = pool.submit(stack.chat, user, **request(conversation))
        gate.wait_reached()

        with stack.db.transaction():
            stack.db.execute("select from turns for update")
            gate.open()
            waiting = "from pg_stat_activity where wait_event_type = 'Lock'"
            broken_off = f"select {how}(pid) {waiting}"
            wait_until(lambda: stack.all(f"select {waiting}"), "the call to wait for the lock")
            assert stack.one(broken_off)[how]

        assert asked.result().json()["saved"] is True
        assert said(stack, conversation) == ["Hello", "> Listen."]

    def test_late_save_is_taken_when_nothing_has_happened_since(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        body = request(conversation)
        gate = stack.gateway.hold("finish_turn")
        stack.upstream.enqueue(text("Late."))

        with stack.serving(SAVE_PATIENCE_SECONDS="0.3") as url:
            assert stack.chat(user, url=url, **body).json()["saved"] is False
            expire(stack)
            assert stack.health_check().json()["turns_closed"] == 1
            assert turns(stack) == [("failed", "lease_expired")]
            gate.open()
            wait_until(lambda: turns(stack) == [("complete", None)], "the turn to be saved")

        assert stack.chat(user, **body).json()["response"] == "Late."
        assert said(stack, conversation) == ["Hello", "> Late."]
        assert len(stack.upstream.calls) == 1

    def test_late_save_is_lost_when_another_turn_took_over(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        body = request(conversation)
        gate = stack.gateway.hold("finish_turn")
        stack.upstream.enqueue(text("Late."), text("Instead."))

        with (
            ThreadPoolExecutor() as pool,
            stack.serving(SAVE_PATIENCE_SECONDS="30") as url,
        ):
            late = pool.submit(stack.chat, user, url=url, **body)
            gate.wait_reached()
            expire(stack)
            instead = stack.chat(user, **body).json()
            gate.open()
            answer = late.result().json()

        assert (instead["response"], instead["saved"]) == ("Instead.", True)
        assert (answer["response"], answer["saved"], answer["code"]) == (
            "Late.",
            False,
            "not_saved",
        )
        assert said(stack, conversation) == ["Hello", "> Instead."]
        assert turns(stack) == [("failed", "lease_expired"), ("complete", None)]
        assert len(stack.all("select from usage_events")) == 2  # both cost something


class TestDeadProcess:
    @pytest.fixture
    def process(self, stack: Stack) -> Iterator[Process]:
        with serve_process("roleplay_chat", stack.env()) as process:
            yield process

    @contextmanager
    def dying(self, stack: Stack, process: Process, user: User, **body: Any) -> Iterator[None]:
        """A request whose process is killed while a model answers."""
        with ThreadPoolExecutor() as pool:
            asked: Future[httpx.Response] = pool.submit(stack.chat, user, url=process.url, **body)
            stack.upstream.wait_for(lambda upstream: upstream.in_progress)
            process.kill()
            with pytest.raises(httpx.TransportError):
                asked.result()
            yield

    def test_same_request_is_answered_once_the_lease_is_over(
        self, stack: Stack, process: Process
    ) -> None:
        user, conversation = conversing(stack)
        body = request(conversation)
        stack.upstream.enqueue(stall(), text("Now."))

        with self.dying(stack, process, user, **body):
            assert said(stack, conversation) == ["Hello"]
            assert in_progress(stack.chat(user, **body))
            expire(stack)
            assert stack.chat(user, **body).json()["response"] == "Now."

        assert said(stack, conversation) == ["Hello", "> Now."]
        assert turns(stack) == [("failed", "lease_expired"), ("complete", None)]

    def test_another_message_is_answered_once_the_lease_is_over(
        self, stack: Stack, process: Process
    ) -> None:
        user, conversation = conversing(stack)
        stack.upstream.enqueue(stall(), text("Here."))
        with self.dying(stack, process, user, **request(conversation)):
            body = request(conversation, "Are you there?")
            assert in_progress(stack.chat(user, **body))
            expire(stack)
            assert stack.chat(user, **body).json()["response"] == "Here."

        assert said(stack, conversation) == ["Hello", "Are you there?", "> Here."]

    def test_health_check_closes_the_turn(self, stack: Stack, process: Process) -> None:
        user, conversation = conversing(stack)
        body = request(conversation)
        stack.upstream.enqueue(stall(), text("Now."))

        with self.dying(stack, process, user, **body):
            expire(stack)
            assert stack.health_check().json()["turns_closed"] == 1
            assert turns(stack) == [("failed", "lease_expired")]
            assert stack.chat(user, **body).json()["response"] == "Now."

        assert said(stack, conversation) == ["Hello", "> Now."]

    def test_half_a_stream_leaves_nothing_behind(self, stack: Stack, process: Process) -> None:
        user, conversation = conversing(stack)
        body = request(conversation)
        gate = Gate()
        stack.upstream.enqueue(stream(["Half ", gate]), text("Whole."))

        with stack.streaming(user, url=process.url, **body) as events:
            events.until("delta")
            process.kill()
            with pytest.raises(httpx.TransportError):
                list(events)
        expire(stack)
        assert stack.chat(user, **body).json()["response"] == "Whole."

        assert said(stack, conversation) == ["Hello", "> Whole."]


@pytest.mark.installations
class TestVariants:
    def test_regenerated_replies_are_kept(self, stack: Stack) -> None:
        user, conversation = conversing(stack)
        stack.upstream.enqueue(text("One."), text("Two."), text("Three."))
        first = stack.chat(user, **request(conversation)).json()["message_id"]

        for _ in range(2):
            stack.chat(user, conversation_id=str(conversation), action="regenerate")

        rows = stack.all(
            "select content, is_active, variant_of::text, parent_id from messages "
            "where sender = 'character' order by is_active, variant_of nulls first"
        )
        assert [(row["content"], row["is_active"]) for row in rows] == [
            *(("One.", False), ("Two.", False), ("Three.", True))
        ]
        assert [row["variant_of"] and str(row["variant_of"]) for row in rows] == [
            None,
            first,
            first,
        ]
        assert len({row["parent_id"] for row in rows}) == 1

    def test_regenerating_twice_with_one_id_makes_one_variant(self, stack: Stack) -> None:
        user, conversation = conversing(stack, "Hello", "One.")
        stack.upstream.enqueue(text("Two."))
        body = {"conversation_id": str(conversation), "action": "regenerate"}

        for _ in range(2):
            answer = stack.chat(user, **body, client_message_id="again").json()
            assert answer["response"] == "Two."

        assert said(stack, conversation) == ["Hello", "> Two."]
        assert len(stack.all("select from messages")) == 3

    def test_reply_is_kept_when_writing_it_again_fails(self, stack: Stack) -> None:
        user, conversation = conversing(stack, "Hello", "One.")
        stack.upstream.enqueue(*[error(404)] * 3)

        stack.chat(user, conversation_id=str(conversation), action="regenerate")

        assert said(stack, conversation) == ["Hello", "> One."]


def test_conversation_deleted_meanwhile_takes_its_turn_with_it(
    stack: Stack, pool: ThreadPoolExecutor
) -> None:
    user, conversation = conversing(stack)
    gate = Gate()
    stack.upstream.enqueue(held(gate, text("To nobody.")))

    asked = pool.submit(stack.chat, user, **request(conversation))
    gate.wait_reached()
    stack.db.execute("delete from conversations where id = %s", (conversation,))
    gate.open()

    assert asked.result().json()["saved"] is False
    assert stack.all("select from messages") == []


@pytest.mark.parametrize("odd", ["\x00", "\ud800", "\udc00\ud800"], ids=ascii)
def test_what_no_database_can_hold_is_left_out_of_a_reply(stack: Stack, odd: str) -> None:
    user, conversation = conversing(stack)
    stack.upstream.enqueue(text(f"Yes{odd}."))

    answer = stack.chat(user, **request(conversation)).json()

    assert (answer["response"], answer["saved"]) == ("Yes.", True)
    assert said(stack, conversation) == ["Hello", "> Yes."]


class OfAnotherVersion(BegunTurn):
    """Rows that cannot be read, whatever is left out: the database does not give one of them."""

    of_another_version: dict[str, str]


def test_rows_that_are_not_as_they_should_be_leave_the_conversation_free(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, conversation = conversing(stack)
    stack.function_url("roleplay_chat")

    with monkeypatch.context() as broken:
        broken.setattr("roleplay_chat.turn_store.BegunTurn", OfAnotherVersion)
        answer = stack.chat(user, **request(conversation))

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert turns(stack) == [("failed", "internal_error")]
    stack.upstream.enqueue(text("Good evening."))
    assert stack.chat(user, **request(conversation)).status_code == 200


def test_turn_that_cannot_be_begun_leaves_the_conversation_free(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, conversation = conversing(stack)
    stack.function_url("roleplay_chat")

    with monkeypatch.context() as broken:
        broken.setattr("roleplay_chat.turn_plan.build_cast", None)
        answer = stack.chat(user, **request(conversation))

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert turns(stack) == [("failed", "internal_error")]
    stack.upstream.enqueue(text("Good evening."))
    assert stack.chat(user, **request(conversation)).status_code == 200


@pytest.fixture(params=["user", "reply"])
def refusing(stack: Stack, request: pytest.FixtureRequest) -> Iterator[str]:
    """A trigger of the installation that refuses messages of this sender; whose they are."""
    sender = "new.sender = 'user'" if request.param == "user" else "new.sender <> 'user'"
    stack.db.execute(
        f"""
        create function public.refuse() returns trigger language plpgsql as $$
        begin
          if {sender} then raise exception 'no more messages today'; end if;
          return new;
        end $$;
        create trigger z_refuse before insert on public.messages
          for each row execute function public.refuse()""".encode()
    )
    stack.function_url("roleplay_chat")  # started, it has set up its log
    yield request.param
    stack.db.execute("drop function public.refuse() cascade")


@pytest.mark.installations
def test_a_trigger_that_refuses_a_message_leaves_nothing_half_done(
    stack: Stack, refusing: str, caplog: pytest.LogCaptureFixture
) -> None:
    user, conversation = conversing(stack)
    if refusing == "reply":
        stack.upstream.enqueue(text("Good evening."))
    with caplog.at_level("ERROR", "roleplay_chat"):
        answer = stack.chat(user, **request(conversation))
    body = answer.json()
    turns = stack.all("select status, error_code from turns")
    if refusing == "user":
        assert (answer.status_code, body["code"]) == (409, "not_stored")
        assert "nothing was saved" in body["error"]
        assert (turns, said(stack, conversation)) == ([], [])
        assert "a trigger refuses the turn" in caplog.messages
    else:
        assert (answer.status_code, body["response"]) == (200, "Good evening.")
        assert (body["saved"], body["message_id"]) == (False, None)
        assert turns == [{"status": "failed", "error_code": "not_saved"}]
        assert said(stack, conversation) == ["Hello"]
        assert "turn cannot be saved" in caplog.messages
