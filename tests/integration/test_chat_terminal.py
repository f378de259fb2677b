"""`make chat` in a real terminal: Ctrl-C, what is typed meanwhile, the history, what is shown."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.answers import error, stream, text
from tests.support.postgres import ROOT
from tests.support.pseudo_terminal import PseudoTerminal, terminal
from tests.support.signed_in_chat import addresses
from tests.support.stack import Stack, User
from tests.support.waiting import Gate

CTRL_C, CTRL_D, ENTER, UP = "\x03", "\x04", "\r", "\x1b[A"
BEGUN = "The lamp is"
"""What arrives of a reply before it is stopped. The terminal holds the last word back."""
READY = "/help lists the commands."


class Room:
    """A person's conversation, and the terminals in which they talk."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.history = folder / "chat_history"
        self.user: User = stack.user("Ada")
        self.conversation: UUID = stack.conversation(self.user, "Is it late?", "It is late.")

    @contextmanager
    def chat(self) -> Iterator[PseudoTerminal]:
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        env |= addresses(self.stack, self.user, self.conversation)
        env |= {"CHAT_HISTORY": str(self.history), "NO_PROXY": "127.0.0.1"}
        program = [sys.executable, "-m", "tests.support.signed_in_chat"]
        with terminal(program, env, ROOT) as shown:
            shown.wait_for(READY)
            yield shown

    @contextmanager
    def waiting(self, message: str) -> Iterator[tuple[PseudoTerminal, Gate]]:
        """A terminal in which a message waits until the turn that was stopped has ended, which it
        does when the gate opens."""
        upstream = Gate()
        self.stack.upstream.enqueue(stream([BEGUN, upstream, " lit."]), text("Second reply."))
        end_of_turn = self.stack.gateway.hold("/rpc/finish_turn")
        with self.chat() as chat:
            chat.type("Hello" + ENTER)
            chat.wait_for("The lamp")
            chat.type(CTRL_C)
            chat.wait_for("(stopped)")
            chat.type(message + ENTER)
            chat.wait_for("Another reply is still being written")
            yield chat, end_of_turn
        upstream.open()

    def said(self) -> list[str]:
        """The messages after the two that are there from the start."""
        rows = self.stack.all(
            "select content from messages where conversation_id = %s and is_active"
            " order by position",
            self.conversation,
        )
        return [row["content"] for row in rows][2:]


@pytest.fixture
def room(stack: Stack, tmp_path: Path) -> Room:
    return Room(stack, tmp_path)


def test_ctrl_c_stops_the_turn_and_the_next_message_waits_for_its_end(room: Room) -> None:
    with room.waiting("And now?") as (chat, end_of_turn):
        end_of_turn.open()
        chat.wait_for("Second reply.")
        chat.type(CTRL_D)
        assert chat.wait_for_end() == 0
    assert room.said() == ["Hello", BEGUN, "And now?", "Second reply."]
    (first, _) = room.stack.all("select status, result from turns order by created_at")
    assert first["result"]["stopped"] is True


def test_message_that_waits_can_be_taken_back(room: Room) -> None:
    with room.waiting("And now") as (chat, end_of_turn):
        chat.type(CTRL_C)
        chat.wait_for("(not sent)")
        end_of_turn.open()
        chat.type("?" + ENTER)
        chat.wait_for("Second reply.")
    assert room.said() == ["Hello", BEGUN, "And now?", "Second reply."]


def test_ctrl_d_that_is_typed_while_a_reply_is_written_ends_the_chat_after_it(room: Room) -> None:
    upstream = Gate()
    room.stack.upstream.enqueue(stream([BEGUN, upstream, " lit."]))
    with room.chat() as chat:
        chat.type("Hello" + ENTER)
        chat.wait_for("The lamp")
        chat.type(CTRL_D)
        chat.wait_for("^D")
        upstream.open()
        assert chat.wait_for_end() == 0
    assert room.said() == ["Hello", BEGUN + " lit."]


@pytest.mark.parametrize("stops", [False, True], ids=["complete", "stopped"])
def test_what_is_typed_while_a_reply_is_written_is_kept(room: Room, stops: bool) -> None:
    upstream = Gate()
    room.stack.upstream.enqueue(stream([BEGUN, upstream, " lit."]), text("Second reply."))
    with room.chat() as chat:
        chat.type("Hello" + ENTER)
        chat.wait_for("The lamp")
        chat.type("And ")
        chat.wait_for("And ")
        if stops:
            chat.type(CTRL_C)
            chat.wait_for("(stopped)")
        chat.type("now?" + ENTER)
        if not stops:  # A reply that was stopped ends without its model, once the function knows.
            upstream.open()
        chat.wait_for("Second reply.")
    upstream.open()
    first = BEGUN if stops else BEGUN + " lit."
    assert room.said() == ["Hello", first, "And now?", "Second reply."]


def test_last_messages_are_shown_and_an_unknown_command_is_named(room: Room) -> None:
    with room.chat() as chat:
        assert "You: Is it late?" in chat.shown
        assert "Mara Voss: It is late." in chat.shown
        chat.type("/agian" + ENTER)
        chat.wait_for("There is no command /agian. Did you mean /again?")
        chat.type("/import " + str(room.history.parent) + ENTER)
        chat.wait_for("There is no file")
    assert room.said() == []


def test_words_are_whole_and_an_error_stands_on_a_line_of_its_own(room: Room) -> None:
    words = " ".join(["unbreakable"] * 30)
    room.stack.upstream.enqueue(text(words))
    with room.chat() as chat:
        chat.type("Hello" + ENTER)
        chat.wait_for("unbreakable", times=30)
        chat.wait_for(" s\n")
        room.stack.upstream.always(error(500))
        chat.type("Again" + ENTER)
        chat.wait_for("Please try again")
        shown = chat.shown
    reply = [line for line in shown.splitlines() if "unbreakable" in line]
    assert len(reply) >= 5
    assert max(map(len, reply)) <= 80
    assert sum(line.count("unbreakable") for line in reply) == 30
    assert "Mara Voss: " in reply[0]
    (line,) = (line for line in shown.splitlines() if "Please try again" in line)
    assert "Mara Voss" not in line


def test_history_is_kept_between_runs_and_private(room: Room) -> None:
    room.stack.upstream.enqueue(text("First reply."), text("Second reply."))
    for reply in ("First reply.", "Second reply."):
        with room.chat() as chat:
            chat.type("Hello" + ENTER if reply == "First reply." else UP + ENTER)
            chat.wait_for(reply)
            chat.type("/quit" + ENTER)
            assert chat.wait_for_end() == 0
        # /quit is the newest entry of the history; the message is the one before.
        if reply == "First reply.":
            room.history.write_text(room.history.read_text().partition("+/quit")[0])
    assert room.said() == ["Hello", "First reply.", "Hello", "Second reply."]
    assert stat.S_IMODE(room.history.stat().st_mode) == 0o600
