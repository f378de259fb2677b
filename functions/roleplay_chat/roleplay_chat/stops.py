"""The action `stop`: ends a running turn on this instance at once, elsewhere through its row."""

import asyncio
from collections.abc import Callable
from logging import getLogger
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from edge.clients import Clients
from roleplay_chat.api import Caller, Object, validated
from roleplay_chat.turn_store import blocked

_log = getLogger("roleplay_chat")


class StopRequest(BaseModel):
    """The id of the turn to stop."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    turn_id: UUID


class Stops:
    """The turns that run on this instance, and how each is stopped.

    A request to stop may reach another instance, which notes it in the turn's row. So the row of a
    running turn is read every `seconds`; shorter turns make no such call.
    """

    def __init__(self, clients: Clients, seconds: float) -> None:
        self._clients = clients
        self._seconds = seconds
        self._watches: dict[UUID, _Watch] = {}

    def watch(self, turn_id: UUID, user_id: UUID, stop: Callable[[], None]) -> None:
        """Make the turn stoppable by its user, until `forget`."""
        self._watches[turn_id] = _Watch(self._clients, turn_id, user_id, stop, self._seconds)

    def forget(self, turn_id: UUID) -> None:
        """Stop watching a turn that has ended."""
        if watch := self._watches.pop(turn_id, None):
            watch.end()

    async def handle(self, clients: Clients, caller: Caller, body: Object) -> Object:
        """Stop the user's turn. `running` says whether there was still something to stop.

        Raises `ApiError` 400, 404 or 429.
        """
        turn_id = validated(StopRequest, body).turn_id
        watch = self._watches.get(turn_id)
        if watch and watch.user_id == caller.user_id:
            watch.stop()
            return {"success": True, "turn_id": str(turn_id), "running": True}
        parameters = {"p_user_id": str(caller.user_id), "p_turn_id": str(turn_id)}
        done: Object = await clients.rpc("stop_turn", parameters)
        if done["outcome"] != "done":
            raise blocked(done)
        return {"success": True, "turn_id": str(turn_id), "running": done["running"]}


class _Watch:
    """Reads a running turn's row every `seconds`, and stops the turn if that was requested."""

    def __init__(
        self,
        clients: Clients,
        turn_id: UUID,
        user_id: UUID,
        stop: Callable[[], None],
        seconds: float,
    ) -> None:
        self.user_id = user_id
        self.stop = stop
        self._clients = clients
        self._turn_id = turn_id
        self._seconds = seconds
        self._look: asyncio.Task[None] | None = None
        self._wait()

    def end(self) -> None:
        self._timer.cancel()
        if self._look:
            self._look.cancel()

    def _wait(self) -> None:
        # A timer costs an ordinary turn less than a task that sleeps.
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._due)

    def _due(self) -> None:
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._stop_if_requested())
        self._wait()

    async def _stop_if_requested(self) -> None:
        try:
            requested = await self._clients.rpc(
                "is_stop_requested", {"p_turn_id": str(self._turn_id)}
            )
        except Exception:
            # The next attempt may succeed; the turn does not depend on it.
            _log.warning("stop requests cannot be read", exc_info=True)
            return
        if requested:
            self.stop()
