"""Runs each accepted turn in its own task, which goes on when the client disconnects."""

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.requests import Request

from edge.clients import Clients
from edge.timing import Timing
from roleplay_chat.api import ChatRequest
from roleplay_chat.memory.embedder import Embedder, Query
from roleplay_chat.rows import BegunTurn
from roleplay_chat.sending import call_when_left
from roleplay_chat.settings import Settings
from roleplay_chat.stops import Stops
from roleplay_chat.turn import Context, RunningTurn, run_turn
from roleplay_chat.turn_cache import TurnCache
from roleplay_chat.turn_events import TurnEvents
from roleplay_chat.turn_plan import Accepted
from roleplay_chat.turn_record import usage_row

if TYPE_CHECKING:
    from roleplay_chat.telemetry import Telemetry


class TurnTasks:
    """The turns that run on this instance."""

    def __init__(
        self,
        clients: Clients,
        settings: Settings,
        stops: Stops,
        cache: TurnCache,
        telemetry: "Telemetry | None",
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._stops = stops
        self._cache = cache
        self._telemetry = telemetry
        self._embedder = Embedder(clients, settings, partial(usage_row, purpose="embedding"))
        self._events: dict[UUID, TurnEvents] = {}
        """The events of the turns that run here."""
        self._running: set[asyncio.Task[None]] = set()

    async def query(self, chat: ChatRequest, caller: UUID) -> Query | None:
        """Embed the message of a request (`Embedder.query`), unless its whole conversation will be
        in the prompt."""
        if self._cache.has_room(caller, chat):
            return None
        return await self._embedder.query(chat, caller)

    def drop(self, query: Query | None) -> None:
        """Record the call of a query whose request began no turn, beside the answer."""
        if query:
            task = asyncio.create_task(self._embedder.record(query))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def find(self, turn_id: UUID, user_id: UUID) -> TurnEvents | None:
        """The events of a person's turn, if it runs on this instance."""
        events = self._events.get(turn_id)
        return events if events and events.user_id == user_id else None

    def start(
        self,
        begun: BegunTurn,
        chat: ChatRequest,
        user_id: UUID,
        request: Request,
        request_id: str,
        timing: Timing,
        streamed: bool,
        query: Query | None,
        *,
        keeps_text: bool = True,
        caller: UUID | None = None,
    ) -> TurnEvents:
        """Run the turn, and return its events as they come. `caller` is the one of `query`, if that
        is not the user."""
        turn_id = begun.turn.id
        self._embedder.learn(begun, user_id, caller)
        events = self._events[turn_id] = TurnEvents(turn_id, user_id, shows_text=streamed)
        accepted = Accepted(begun, chat, user_id, request_id, streamed, keeps_text, query)
        context = Context(
            self._clients, self._settings, timing, events.emit, self._cache, self._embedder
        )
        turn = RunningTurn(on_end=lambda: self._stops.forget(turn_id))
        task = asyncio.create_task(run_turn(context, accepted, turn))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: self._events.pop(turn_id, None))
        self._stops.watch(turn_id, user_id, turn.stop)
        if telemetry := self._telemetry:
            began, ids = time.monotonic(), {"turn_id": str(turn_id), "request_id": request_id}
            task.add_done_callback(
                lambda _: telemetry.record(turn.attempts, request.headers, began, **ids)
            )
        if chat.on_disconnect == "stop":
            watcher = asyncio.create_task(call_when_left(request.receive, turn.stop))
            task.add_done_callback(lambda _: watcher.cancel())
        return events

    async def aclose(self) -> None:
        """Wait for the running turns, for a bounded time."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._settings.shutdown_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
