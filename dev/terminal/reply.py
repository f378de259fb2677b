"""One turn in the terminal: the reply as it is written, and what happens while another one runs."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx
from httpx_sse import SSEError
from rich.cells import cell_len

from dev.operate.report import short_names
from dev.terminal.client import Chat, CommandFailed, lost
from dev.terminal.output import complain, notes, printable, reply_writer, tell

POLL_SECONDS = 0.3
IN_PROGRESS = "turn_in_progress"
WAITING = "(Another reply is still being written; this is sent then. Ctrl-C takes it back.)"


class NotSent(Exception):
    """The person withdrew a message that waited to be sent; the text is the message."""


def say(chat: Chat, speaker: str = "", **fields: Any) -> bool:
    """Run a turn and print the reply as it arrives. Returns False if it is not complete.

    While another turn of the conversation runs, this one waits for its end. Raises `NotSent`, and
    KeyboardInterrupt once the turn runs: it is then stopped.
    """
    fields.setdefault("client_message_id", str(uuid4()))
    try:
        if (finished := _try(chat, speaker, fields)) is None:
            tell(WAITING, "dim")
        while finished is None:
            _wait(chat, fields.get("message", ""))
            finished = _try(chat, speaker, fields)
    except CommandFailed as error:
        return complain(str(error))
    except (httpx.HTTPError, SSEError) as error:
        return complain(lost(error))
    return finished


def _try(chat: Chat, speaker: str, fields: dict[str, Any]) -> bool | None:
    """None: another turn is running, so this one was refused."""
    try:
        # Closing the connection stops the turn.
        with closing(chat.turn(**fields)) as events:
            return _Printer(speaker).print(events)
    except CommandFailed as error:
        if error.code != IN_PROGRESS:
            raise
    return None


def _wait(chat: Chat, message: str) -> None:
    try:
        time.sleep(POLL_SECONDS)
        while chat.is_turn_running():
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        raise NotSent(message) from None


class _Printer:
    """Prints the events of one turn. The name of the speaker comes with the first words."""

    def __init__(self, speaker: str) -> None:
        self._speaker = printable(speaker)
        self._writer = reply_writer()
        self._has_text = False
        self._notice = ""

    def print(self, events: Iterator[tuple[str, dict[str, Any]]]) -> bool:
        """Returns False if the reply is not complete."""
        try:
            return self._print(events)
        except BaseException:
            self._end_line()
            raise

    def _print(self, events: Iterator[tuple[str, dict[str, Any]]]) -> bool:
        for name, data in events:
            if name == "delta":
                self._text(str(data["text"]))
            elif name == "error":
                self._end_line()
                return complain(str(data.get("error")))
            elif name == "start":
                self._tell_notice(data)
            elif name == "done":
                self._finish(data)
                return True
        self._end_line()
        return complain("The reply was cut off.")

    def _text(self, text: str) -> None:
        if text and not self._has_text:
            self._has_text = True
            self._name()
        self._writer.feed(text)

    def _name(self) -> None:
        if self._speaker:
            notes.print(f"{self._speaker}: ", style="bold magenta", end="")
            if sys.stderr.isatty():
                self._writer.skip(cell_len(self._speaker) + 2)

    def _end_line(self) -> None:
        if self._has_text:
            self._writer.end()
            self._has_text = False

    def _finish(self, data: dict[str, Any]) -> None:
        if not self._has_text:
            self._text(data["response"])
        self._end_line()
        self._tell_notice(data)
        seconds = data["processing_time"] / 1000
        tell(f"  {_model_name(data['model_used'])}, {seconds:.1f} s", "dim")

    def _tell_notice(self, data: dict[str, Any]) -> None:
        notice = data.get("notice") or _fallback(data)
        if notice and notice != self._notice:
            self._end_line()
            tell(f"! {notice}", "yellow")
            self._notice = notice


def _model_name(model: str) -> str:
    """A short name on a terminal, the whole one for other programs."""
    return short_names([model])[model] if sys.stderr.isatty() else model


def _fallback(data: dict[str, Any]) -> str:
    return f"{data.get('fallbackModel')} answered instead." if data.get("usedFallback") else ""
