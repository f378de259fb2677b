"""A chat message as models take it, and whose words a reply may be taken for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

Role = Literal["system", "user", "assistant"]


class Message(TypedDict):
    """A chat message as models take it."""

    role: Role
    content: str


@dataclass(frozen=True)
class Cast:
    """Who speaks: the character, and the names that the person goes by."""

    character: str = ""
    person: Sequence[str] = ()
    others: Sequence[str] = ()
    """The names of other characters who are there."""
    impersonates: bool = False
    """The person's words are written, not the character's."""

    @property
    def own(self) -> Sequence[str]:
        """The names of who is to speak."""
        return [*self.person, "User"] if self.impersonates else self._character

    @property
    def not_own(self) -> Sequence[str]:
        """The names under which whoever is to speak does not, the likeliest first."""
        if self.impersonates:
            return [*self._character, *self.others]
        return [*self.person, *self.others, "User"]

    @property
    def _character(self) -> Sequence[str]:
        return [self.character, *self.character.split()[:1]]
