"""The time limits of a call to a target, from the settings and its row. Pure."""

from msgspec import Struct
from msgspec.structs import replace

from edge.json_values import number
from roleplay_chat.generation.targets import Target
from roleplay_chat.settings import Settings


class Limits(Struct, frozen=True):
    """The time limits of a call, in seconds."""

    connect: float
    first_token: float
    idle: float
    total: float

    @classmethod
    def from_settings(cls, target: Target, settings: Settings) -> "Limits":
        """The limits of the settings, with the overrides of the target's row."""
        named = {
            name: seconds
            for name, value in target.timeouts.items()
            if (seconds := number(value, minimum=0, maximum=settings.turn_budget_seconds))
        }
        return cls(
            connect=named.get("connect", settings.connect_timeout_seconds),
            first_token=named.get("first_token", settings.first_token_timeout_seconds),
            idle=named.get("idle", settings.idle_timeout_seconds),
            total=named.get("total", settings.turn_budget_seconds),
        )

    def within(self, patience: float) -> "Limits":
        """The same, but with at most `patience` seconds until the first token."""
        return replace(self, first_token=min(self.first_token, patience))
