"""Compares what is said with the facts that are known: whether both can hold. Pure.

If the words do not decide, both can: noting a fact twice does less harm than losing one.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Self

from msgspec import Struct

from roleplay_chat.memory.comparison import (
    Words,
    contradicts,
    has_other_number,
    is_twin,
    likeness,
    may_share_slot,
)
from roleplay_chat.memory.importance import lasts
from roleplay_chat.memory.material import Material, was_said_after
from roleplay_chat.memory.topics import Slot, by_name, slot_key, slot_of
from roleplay_chat.rows import FactRow


class KnownFact(Struct, eq=False):
    """A current fact, and the parts of it that are compared."""

    row: FactRow
    words: Words
    """With the name of the subject in place of a pronoun."""
    slot: Slot | None
    is_current: bool
    replaced_at: int | None = None
    """If this answer replaced it: the last position that the new fact was drawn from."""
    replaced_by: Words | None = None
    """The new fact; None if it was only withdrawn."""

    @classmethod
    def from_row(cls, row: FactRow, material: Material) -> Self:
        """A fact that is compared with the material."""
        text = material.by_name(row.content, row.subject or "")
        words, slot = _read(text, row.subject or "", row.topic or "", material.person)
        return cls(row, words, slot, is_current=row.id is not None)

    @classmethod
    def without_messages(cls, row: FactRow, person: str) -> Self:
        """A fact, when no messages are known. `person` is the name of the person."""
        text = by_name(row.content, row.subject or "")
        words, slot = _read(text, row.subject or "", row.topic or "", person)
        return cls(row, words, slot, is_current=True)

    @property
    def lasts(self) -> bool:
        """Whether it is kept longer than all others."""
        return lasts(self.row.content, self.row.importance)

    def mark_replaced(self, at: int, by: Words | None = None) -> str:
        """Mark it as replaced by what was said at a position, unless it was itself said later and
        so still holds. Returns its id."""
        if not was_said_after(self.row, at):
            self.is_current, self.replaced_at, self.replaced_by = False, at, by
        return str(self.row.id)


def all_known(material: Material) -> list[KnownFact]:
    """The known facts of the material, in the order of their numbers."""
    return [KnownFact.from_row(row, material) for row in material.known]


def differs_in_value(words: Words, old: Words) -> bool:
    """Whether a fact has the same form as a known one and another value. "Tom's mother is a nurse"
    and "Tom's mother is Ingrid" differ in form: only one of them tells a topic."""
    return is_twin(words, old) and words.tells_topic == old.tells_topic


def answers_otherwise(words: Words, slot: Slot | None, old: KnownFact) -> bool:
    """Whether a known fact has the same subject and topic, and another value."""
    is_about_same = slot is not None and slot_key(slot) == slot_key(old.slot)
    return is_about_same and not may_share_slot(words, old.words)


def excludes(
    words: Words, slot: Slot | None, old: KnownFact, message: int | None, material: Material
) -> bool:
    """Whether only one of the two can hold: the same subject and topic, or a value that changed."""
    if answers_otherwise(words, slot, old):
        return True
    if not differs_in_value(words, old.words):
        return False
    if has_other_number(words, old.words):
        return True
    is_of_known_topic = slot is None and old.slot is not None
    return is_of_known_topic or material.tells_change(words, old.words, message)


def contradicted(sentence: str, known: Sequence[KnownFact], material: Material) -> FactRow | None:
    """A current fact that a sentence contradicts."""
    words, slot = Words(sentence), slot_of(sentence, person=material.person)
    for old in known:
        is_other = old.is_current and likeness(words, old.words) is None
        if is_other and excludes(words, slot, old, None, material):
            return old.row
    return None


def overrules(own: KnownFact, old: KnownFact) -> bool:
    """Whether a fact of the person was said later than another, and does not agree with it."""
    if own.row.said_at is None or old.row.said_at is None or old.row.said_at >= own.row.said_at:
        return False
    return contradicts(own.words, old.words) or answers_otherwise(own.words, own.slot, old)


def bears_out(words: Words, old: KnownFact, material: Material) -> bool:
    """Whether the messages contain the value that a sentence of the summary gives in place of a
    known fact's. For a fact that lasts, one message must also have half of the sentence's words."""
    return material.tells_value(words, old.words) and (not old.lasts or material.has_half(words))


@lru_cache(maxsize=1_000)
def _read(text: str, subject: str, topic: str, person: str) -> tuple[Words, Slot | None]:
    # Turns of a conversation, and the steps of its notes, compare the same facts again.
    return Words(text), slot_of(text, subject, topic, person)
