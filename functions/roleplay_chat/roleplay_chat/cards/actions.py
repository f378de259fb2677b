"""The card actions, by the request's `action`."""

from roleplay_chat.api import Handler, on_first_use

ACTIONS = ("import_card", "export_card")


def actions() -> dict[str, Handler]:
    """The handler of each action."""
    return on_first_use(ACTIONS, "roleplay_chat.cards.handlers")
