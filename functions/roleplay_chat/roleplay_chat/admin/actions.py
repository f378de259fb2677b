"""The actions of admins, by the request's `action`."""

from importlib import import_module

from edge.clients import Clients
from roleplay_chat.api import Caller, Handler, Object
from roleplay_chat.settings import Settings

ACTIONS = ("test_model", "list_provider_models", "preview_prompt")


def actions(settings: Settings) -> dict[str, Handler]:
    """The handler of each action. They are imported on first use, because turns need none of
    them."""

    def handler(action: str) -> Handler:
        async def answer(clients: Clients, caller: Caller, body: Object) -> Object:
            handlers = import_module("roleplay_chat.admin.handlers").HANDLERS
            done: Object = await handlers[action](clients, settings, caller, body)
            return done

        return answer

    return {action: handler(action) for action in ACTIONS}
