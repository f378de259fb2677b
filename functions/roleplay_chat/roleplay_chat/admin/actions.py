"""The actions of admins, by the request's `action`."""

from collections.abc import Awaitable, Callable, Mapping

from edge.clients import Clients
from edge.loading import Later
from roleplay_chat.api import Caller, Handler, Object
from roleplay_chat.settings import Settings

AdminHandler = Callable[[Clients, Settings, Caller, Object], Awaitable[Object]]

ACTIONS = ("test_model", "list_provider_models", "preview_prompt")


def actions(settings: Settings) -> dict[str, Handler]:
    """The handler of each action. They are imported on first use, because turns need none of
    them."""
    handlers = Later(_import_handlers)

    def handler(action: str) -> Handler:
        async def answer(clients: Clients, caller: Caller, body: Object) -> Object:
            return await (await handlers.get())[action](clients, settings, caller, body)

        return answer

    return {action: handler(action) for action in ACTIONS}


def _import_handlers() -> Mapping[str, AdminHandler]:
    from roleplay_chat.admin.handlers import HANDLERS

    return HANDLERS
