"""A fact as a model noted it: what it says, and which known fact it changes. Pure."""

import re
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from edge.patterns import compiled_later
from roleplay_chat.api import MemoryTier
from roleplay_chat.memory.foreign_kinds import FOREIGN, lowered
from roleplay_chat.memory.importance import LASTING
from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.topics import by_name

_CONFIDED = compiled_later(
    r"\b(?:secrets?|secretly|confid(?:e[sd]?|ing|ential)\w*|tell(?:s|ing)?|told"
    r"|mention(?:s|ed|ing)?|reveal(?:s|ed|ing)?|disclos(?:e[sd]?|ing)|betray(?:s|ed|ing)?"
    r"|whisper(?:s|ed|ing)?|confess(?:es|ed|ing)?|admit(?:s|ted|ting)?"
    r"|know(?:s|n|ing)?|knew|finds? out|learns? (?:of|about|that)|hid(?:e|es|den)|hiding)\b",
    re.IGNORECASE,
)
"""Words of something told to one character alone, which perhaps nobody else may know."""


class Fact(Struct, frozen=True):
    """A change to the memory that a model noted, cleaned.

    `known` is the number of the known fact that it replaces or withdraws, `message` the number of
    the message that says so; both may be wrong.
    """

    tier: MemoryTier
    text: str
    action: Literal["add", "replace", "withdraw"] = "add"
    known: int | None = None
    importance: int = 3
    subject: str = ""
    topic: str = ""
    message: int | None = None

    @property
    def named(self) -> "Fact":
        """With the name that the model gave in place of a pronoun."""
        return replace(self, text=by_name(self.text, self.subject))


def is_for_all(fact: Fact) -> bool:
    """Whether all characters present must know a fact: a limit that somebody set, but not a promise
    or a secret."""
    kinds = kinds_of(fact.text)
    is_limit = fact.importance == LASTING and not kinds.isdisjoint(("limit", "safe word"))
    return is_limit and "promise" not in kinds and not _is_confided(fact.text)


def _is_confided(text: str) -> bool:
    return bool(_CONFIDED.search(text) or FOREIGN["confided"].search(lowered(text)))
