"""The action on pictures, by the request's `action`."""

from roleplay_chat.api import Handler, on_first_use

ACTIONS = ("set_portrait",)


def actions() -> dict[str, Handler]:
    """The handler of each action."""
    return on_first_use(ACTIONS, "roleplay_chat.portraits.handlers")
