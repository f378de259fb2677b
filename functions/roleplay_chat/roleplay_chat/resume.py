"""Serves readers who come back to the stream of a turn that another instance runs or that is
over."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from edge.clients import Clients
from edge.errors import ApiError
from roleplay_chat import turn_store
from roleplay_chat.api import HEARTBEAT, sse
from roleplay_chat.turn_events import replayed


async def saved_answer(
    clients: Clients, user_id: UUID, turn_id: UUID, request_id: str
) -> dict[str, Any] | None:
    """The answer of a turn that has ended; None while it runs. Raises `ApiError`."""
    saved = await turn_store.read(clients, user_id, turn_id)
    return None if saved is None else saved.to_json(request_id)


async def awaited(
    clients: Clients, user_id: UUID, turn_id: UUID, request_id: str, *, seconds: float
) -> AsyncGenerator[str, None]:
    """The stream of a turn that another instance runs: heartbeats, then the saved reply. Looks for
    it every `seconds`, at most until the turn's lease ends."""
    while True:
        yield HEARTBEAT
        await asyncio.sleep(seconds)
        try:
            answer = await saved_answer(clients, user_id, turn_id, request_id)
        except ApiError as error:
            yield sse("error", error.envelope(request_id), f"{turn_id}/0.0")
            return
        if answer is not None:
            async for chunk in replayed(answer):
                yield chunk
            return
