"""The chat actions, by the request's `action`."""

from roleplay_chat.api import Handler, on_first_use

ACTIONS = ("import_chat", "export_chat")


def actions() -> dict[str, Handler]:
    """The handler of each action."""
    return on_first_use(ACTIONS, "roleplay_chat.chats.handlers")
