"""Prompts for conversations with several characters, of whom one speaks in each turn.

The database chooses the speaker (private.speaker): see docs/several-characters.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from uuid import UUID

from roleplay_chat.messages import Cast
from roleplay_chat.prompt.macros import Macros, called, expand
from roleplay_chat.rows import BegunTurn, CharacterRow, MessageRow

SHORT_CHARS = 300
"""The length of another character's description in the prompt."""


def is_group_chat(begun: BegunTurn) -> bool:
    """Whether characters other than the speaker are or were in the conversation."""
    if begun.character is None:
        return False
    speakers = {row.character_id for row in begun.history}
    return bool(begun.others) or not speakers <= {None, begun.character.id}


def build_cast(begun: BegunTurn, *, impersonates: bool = False) -> Cast:
    """The speakers of the conversation, for the reply filters. Empty for a story, where anybody may
    speak."""
    if begun.character is None:
        return Cast()
    people = [row.name for row in (begun.persona, begun.user) if row and row.name]
    own = set(_names(begun.character))
    former = sorted(_former_personas(begun).difference(people))
    others = [*chain.from_iterable(map(_names, begun.others)), *former]
    return Cast(
        character=begun.character.name,
        person=people,
        nickname=begun.character.nickname or "",
        others=[name for name in dict.fromkeys(others) if name not in own],
        impersonates=impersonates,
    )


def _names(character: CharacterRow) -> list[str]:
    names = (character.name, character.nickname, *character.name.split()[:1])
    return [name for name in names if name and name.strip()]


def _former_personas(begun: BegunTurn) -> set[str]:
    """The names of those whom the user played earlier in the history."""
    said = (row.speaker for row in begun.history if row.sender == "user")
    return {name for name in (*said, begun.turn.speaker) if name}


def as_heard(begun: BegunTurn, person: str) -> BegunTurn:
    """The turn from the speaker's point of view: only their own messages have the assistant's role,
    and every message begins with a name. With only one character, the roles stay, and only the
    messages of an earlier persona begin with a name."""
    is_group = is_group_chat(begun)
    if not is_group and not _former_personas(begun):
        return begun
    own = begun.character.id if begun.character and is_group else None
    names = {"user": person, "character": "Somebody"} if is_group else {}
    name = begun.turn.speaker or names.get("user")
    message = begun.turn.message
    if name and message:
        message = f"{name}: {message}"
    return begun.model_copy(
        update={
            "turn": begun.turn.model_copy(update={"message": message}),
            "history": [_heard(row, own, names) for row in begun.history],
        }
    )


def _heard(row: MessageRow, own: UUID | None, names: Mapping[str, str]) -> MessageRow:
    """`own` is the speaker's id, `names` the names of rows without one. Only groups have both."""
    if not names and (row.sender == "character" or not row.speaker):
        return row
    name = row.speaker or names[row.sender]
    sender = row.sender if own is None else "character" if row.character_id == own else "user"
    return replace(row, sender=sender, content=f"{name}: {row.content}")


def introduction(begun: BegunTurn, macros: Macros) -> str:
    """What the speaker knows of the other characters; empty if there are none."""
    if begun.character is None or not begun.others:
        return ""
    known = [f"- {_who(other)}{_short(_about(other, macros))}" for other in begun.others]
    name = macros.find("char") or begun.character.name
    rule = f"Write {name}'s next words and actions alone, and no name in front of them."
    return "\n".join([*known, rule])


def _about(other: CharacterRow, macros: Macros) -> str:
    """Another character's description, in which {{char}} means that character."""
    return expand(other.description, called(macros, other))


def _who(other: CharacterRow) -> str:
    age = f"{other.age} years old" if other.age is not None else None
    facts = ", ".join(fact for fact in (age, other.pronouns) if fact)
    return f"{other.name} ({facts})" if facts else other.name


def _short(text: str) -> str:
    """The beginning of the text as one line."""
    line = " ".join(text.split())
    if len(line) > SHORT_CHARS:
        cut = line[:SHORT_CHARS]
        line = f"{cut.rpartition(' ')[0] or cut} ..."
    return f": {line}" if line else ""
