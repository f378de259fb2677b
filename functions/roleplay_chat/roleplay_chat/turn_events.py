"""The events of a running turn. They are kept until it ends, for all readers: the sender of the
request, and readers who come back after their connection was lost."""

import asyncio
import re
from collections.abc import AsyncGenerator
from io import StringIO
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from roleplay_chat.api import (
    HEARTBEAT,
    Delta,
    Done,
    Failed,
    Start,
    TurnEvent,
    sse,
)

CUT_OFF: dict[str, Any] = {
    "success": False,
    "error": "The reply was cut off. The text so far is saved; you can continue it.",
    "code": "reply_incomplete",
}
COMMENT = HEARTBEAT.removesuffix("\n")
"""A heartbeat after events with ids. At a blank line, some readers take the id, which stays, for an
event without data."""
_ID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(\d{1,6})\.(\d{1,9})", re.ASCII)


class Place(NamedTuple):
    """How far somebody has read: how many `Start` events, and how many characters since."""

    starts: int = 0
    chars: int = 0


BEGINNING = Place()
Placed = tuple[Place, TurnEvent]
"""An event, and the place after it."""


class EventId(Struct, frozen=True):
    """The id of an event in a stream, which readers send back as Last-Event-ID."""

    turn_id: UUID
    place: Place

    @classmethod
    def parse(cls, text: str) -> "EventId | None":
        """The id in a header; None if it is not one of ours."""
        if (found := _ID.fullmatch(text.strip())) is None:
            return None
        turn_id, starts, chars = found.groups()
        return cls(UUID(turn_id), Place(int(starts), int(chars)))


class TurnEvents:
    """The events of one turn. Its size is bounded by the length of a reply: it keeps the last
    `Start`, the text since then, and the end."""

    def __init__(self, turn_id: UUID, user_id: UUID, *, shows_text: bool) -> None:
        """With `shows_text`, readers get text as it arrives, otherwise all of it at the end, when
        nothing can be taken back any more."""
        self.turn_id = turn_id
        self.user_id = user_id
        self._shows_text = shows_text
        self._here = BEGINNING
        self._start: Start | None = None
        self._text = StringIO()
        self._end: Done | Failed | None = None
        self._readers: set[Reader] = set()

    def emit(self, event: TurnEvent) -> None:
        """Add an event, and tell the readers."""
        match event:
            case Start():
                self._here, self._start = Place(self._here.starts + 1), event
                self._text = StringIO()
            case Delta(text):
                if not self._shows_text:
                    return
                self._write(text)
            case Done(answer):
                if not self._shows_text:
                    self._write(answer.response[answer.continued_chars :])
                self._end = event
            case Failed():
                self._end = event
        for reader in self._readers:
            reader.wake()
        if self._end is not None:
            for reader in list(self._readers):
                reader.close()

    def since(self, place: Place) -> list[Placed]:
        """The events after a place, each with the place after it. The text since then is one event.
        A place that the turn has not reached counts as the beginning."""
        here = self._here
        if place == here:
            return [(here, self._end)] if self._end else []
        starts, chars = place if place <= here else BEGINNING
        found: list[Placed] = []
        if starts < here.starts and self._start:
            chars = 0
            found.append((Place(here.starts), self._start))
        if chars < here.chars:
            self._text.seek(chars)
            found.append((here, Delta(self._text.read())))
        return [*found, (here, self._end)] if self._end else found

    async def end(self) -> Done | Failed:
        """The last event, once it is there."""
        reader = Reader(self, BEGINNING, None)
        while self._end is None:
            await reader.next()
        return self._end

    @property
    def is_running(self) -> bool:
        """Whether more events follow."""
        return self._end is None

    def add(self, reader: "Reader") -> None:
        """Wake this reader at each event, until the last."""
        if self.is_running:
            self._readers.add(reader)

    def remove(self, reader: "Reader") -> None:
        """Wake this reader no more."""
        self._readers.discard(reader)

    def _write(self, text: str) -> None:
        starts, chars = self._here
        self._text.seek(chars)
        self._text.write(text)
        self._here = Place(starts, chars + len(text))


class Reader:
    """Reads the events of a turn from a place on, to their end."""

    def __init__(self, events: TurnEvents, place: Place, heartbeat_seconds: float | None) -> None:
        """With None, no heartbeats are due."""
        self.turn_id = events.turn_id
        self._events = events
        self._place = place
        self._seconds = heartbeat_seconds
        self._woken: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        events.add(self)
        if events.is_running:
            self._wait_for_heartbeat()

    async def next(self) -> list[Placed]:
        """Wait for events since the last call and return them; empty when a heartbeat is due, so
        that no proxy closes a silent connection."""
        if not (found := self._events.since(self._place)):
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
            found = self._events.since(self._place)
        if found:
            self._place = found[-1][0]
        return found

    def wake(self) -> None:
        """Let `next` return."""
        if self._woken and not self._woken.done():
            self._woken.set_result(None)

    def close(self) -> None:
        """Stop reading."""
        self._events.remove(self)
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _wait_for_heartbeat(self) -> None:
        # One timer per reader is cheaper than one per event.
        if self._seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._beat)

    def _beat(self) -> None:
        self.wake()
        self._wait_for_heartbeat()


async def written(
    reader: Reader, events: list[Placed], request_id: str
) -> AsyncGenerator[str, None]:
    """These events and all that follow, as server-sent events. Events that arrive together are sent
    together."""
    event_ids, heartbeat = f"{reader.turn_id}/", HEARTBEAT
    try:
        while True:
            texts = [
                sse(*describe(event, request_id), f"{event_ids}{starts}.{chars}")
                for (starts, chars), event in events
            ]
            yield "".join(texts) or heartbeat
            if texts:
                heartbeat = COMMENT
            if events and isinstance(events[-1][1], Done | Failed):
                return
            events = await reader.next()
    finally:
        reader.close()


def describe(event: TurnEvent, request_id: str) -> tuple[str, dict[str, Any]]:
    """An event's name and data."""
    match event:
        case Start(turn_id, route, character_id):
            start = {"turn_id": turn_id, "character_id": character_id}
            return "start", start | route.to_json()
        case Delta(text):
            return "delta", {"text": text}
        case Done(answer) if answer.is_cut_off:
            return "error", answer.to_json() | CUT_OFF
        case Done(answer):
            return "done", answer.to_json()
        case Failed(error):
            return "error", error.envelope(request_id)


async def replayed(answer: dict[str, Any]) -> AsyncGenerator[str, None]:
    """The stream of a reply that was saved before. `answer` has its text and its result."""
    event_ids = f"{answer['turn_id']}/1."
    text = answer["response"][answer.get("continued_chars", 0) :]
    names = ("turn_id", "character_id", "model_used", "usedFallback", "fallbackModel", "notice")
    end = f"{event_ids}{len(text)}"
    yield sse("start", {name: answer.get(name) for name in names}, f"{event_ids}0")
    yield sse("delta", {"text": text}, end)
    is_cut_off = answer.get("incomplete") and not answer.get("stopped")
    yield sse("error", answer | CUT_OFF, end) if is_cut_off else sse("done", answer, end)
