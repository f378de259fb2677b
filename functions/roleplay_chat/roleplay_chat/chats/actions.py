"""The chat actions, by the request's `action`.

Their handlers are imported on first use, because turns do not need them.
"""

from uuid import UUID

from edge.clients import Clients
from roleplay_chat.api import Handler, Object

ACTIONS = ("import_chat", "export_chat")


def actions() -> dict[str, Handler]:
    """The handler of each action."""
    return {action: _handler(action) for action in ACTIONS}


def _handler(action: str) -> Handler:
    async def answer(clients: Clients, user_id: UUID, body: Object) -> Object:
        from roleplay_chat.chats.handlers import HANDLERS

        return await HANDLERS[action](clients, user_id, body)

    return answer
