"""Types for chat messages and for the speakers in a conversation."""

from collections.abc import Sequence
from typing import Literal, TypedDict

from msgspec import Struct

Role = Literal["system", "user", "assistant"]
Roles = Literal["as_is", "alternate", "no_system"]
"""The form of messages that a model accepts, stricter forms last. as_is: any order. alternate: at
most one system message, the first, then user and assistant in turn, from user to user. no_system:
the same without the system message."""
ROLES: tuple[Roles, ...] = ("as_is", "alternate", "no_system")


class Message(TypedDict):
    """A chat message in the format of model APIs."""

    role: Role
    content: str


class Cast(Struct, frozen=True):
    """The names in a conversation: the character's, the person's and everybody else's."""

    character: str = ""
    person: Sequence[str] = ()
    others: Sequence[str] = ()
    """The names of the other characters present."""
    impersonates: bool = False
    """Whether the model writes the person's words instead of the character's."""
    nickname: str = ""
    """The names of the character."""

    @property
    def own(self) -> Sequence[str]:
        """The names of the one who speaks in the reply."""
        return [*self.person, "User"] if self.impersonates else self._character

    @property
    def not_own(self) -> Sequence[str]:
        """The names of everyone else, the likeliest first."""
        if self.impersonates:
            return [*self._character, *self.others]
        return [*self.person, *self.others, "User"]

    @property
    def _character(self) -> Sequence[str]:
        names = (self.character, self.nickname, *self.character.split()[:1])
        return [name for name in names if name]
