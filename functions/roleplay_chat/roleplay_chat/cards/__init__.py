"""Character cards: how people carry a character from one service to another.

model      what a card says, checked, and as columns of `characters`
versions   the same card as V2 and as V3
files      which format a file has; json_file, png_file and charx_file read and write one each
handlers   the two actions, import_card and export_card

The formats are documented by their authors as Character Card V1, V2 and V3.
"""

from typing import Literal, get_args
from uuid import UUID

from edge.clients import Clients
from roleplay_chat.api import Handler, Object

Action = Literal["import_card", "export_card"]


def actions() -> dict[str, Handler]:
    """By the request's `action`. What they need is imported when the first of them comes: turns
    have no use for it."""
    return {action: _handler(action) for action in get_args(Action)}


def _handler(action: Action) -> Handler:
    async def answer(clients: Clients, user_id: UUID, body: Object) -> Object:
        from roleplay_chat.cards.handlers import HANDLERS

        return await HANDLERS[action](clients, user_id, body)

    return answer
