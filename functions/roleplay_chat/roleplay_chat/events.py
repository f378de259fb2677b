"""A turn's events as a stream of server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from roleplay_chat.api import HEARTBEAT, Delta, Done, Failed, Start, TurnEvent, sse

Events = asyncio.Queue[TurnEvent | None]
"""A turn's events; None when a heartbeat is due."""
CUT_OFF = {
    "success": False,
    "error": "The reply was cut off. The text so far is saved; you can continue it.",
    "code": "reply_incomplete",
}


class Heartbeat:
    """Puts None into the queue every `seconds`, so that no proxy closes a silent connection. One
    timer per stream is cheaper than one per event."""

    def __init__(self, events: Events, seconds: float) -> None:
        self._events = events
        self._seconds = seconds
        self._wait()

    def stop(self) -> None:
        self._timer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._beat)

    def _beat(self) -> None:
        self._events.put_nowait(None)
        self._wait()


async def serialized(
    event: TurnEvent | None, events: Events, request_id: str
) -> AsyncIterator[str]:
    while True:
        chunk = _serialize(event, request_id)
        # Events that are already waiting are sent together.
        while not (isinstance(event, Done | Failed) or events.empty()):
            event = events.get_nowait()
            chunk += _serialize(event, request_id)
        yield chunk
        if isinstance(event, Done | Failed):
            return
        event = await events.get()


def _serialize(event: TurnEvent | None, request_id: str) -> str:
    match event:
        case None:
            return HEARTBEAT
        case Start(turn_id, route, character_id):
            start = {"turn_id": turn_id, "character_id": character_id}
            return sse("start", start | route.to_json())
        case Delta(text):
            return sse("delta", {"text": text})
        case Done(answer) if answer.is_cut_off:
            return sse("error", answer.to_json() | CUT_OFF)
        case Done(answer):
            return sse("done", answer.to_json())
        case Failed(error):
            return sse("error", error.envelope(request_id))


async def replayed(answer: dict[str, Any]) -> AsyncIterator[str]:
    names = ("turn_id", "character_id", "model_used", "usedFallback", "fallbackModel", "notice")
    yield sse("start", {name: answer.get(name) for name in names})
    yield sse("delta", {"text": answer["response"]})
    is_cut_off = answer.get("incomplete") and not answer.get("stopped")
    yield sse("error", answer | CUT_OFF) if is_cut_off else sse("done", answer)
