"""Finds the known fact that a note replaces or withdraws. Pure.

Models name it by its number, which is often wrong.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal
from uuid import uuid4

from msgspec.structs import replace

from edge.patterns import compiled_later
from roleplay_chat.memory.comparison import Words, are_of_others, is_limit, is_twin, likeness
from roleplay_chat.memory.endings import has_other_name, has_other_value, says_so_too
from roleplay_chat.memory.known_facts import KnownFact, all_known
from roleplay_chat.memory.languages import are_foreign, is_name_of, is_other_script
from roleplay_chat.memory.material import Material
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.topics import (
    Slot,
    is_lasting_state,
    is_not_now,
    plain_slot,
    slot_key,
    slot_of,
    whom,
)
from roleplay_chat.rows import FactRow

_IS_NEW = compiled_later(r"\b(?:new|now|changed|renamed|replaced|instead)\b", re.IGNORECASE)
_NEAR_TOPICS = (
    {"home", "kind of home"},
    {"job", "workplace", "kind of workplace", "employer"},
)
"""Topics that models confuse."""


def target_fact(
    fact: Fact, known: Sequence[KnownFact], material: Material, slot: Slot | None = None
) -> KnownFact | None:
    """The known fact that a note replaces or withdraws; None if it must stay, or the number is
    wrong. Models often give wrong numbers. So the new fact, or the message that it names, must have
    half of the words of the old one, or the messages together all of them. The message that the old
    one was drawn from does not count: it has them in any case. Lasting facts need more: the new
    fact must be the same with another value, or somebody must say that the old one is over."""
    if fact.known is None or not 0 < fact.known <= len(material.known):
        return None
    old, words = known[fact.known - 1], Words(fact.text)
    if not old.is_current or old.row.is_fixed:
        return None
    if slot and old.slot and (slot_key(slot) == slot_key(old.slot) or is_twin(words, old.words)):
        return old
    person, subject = material.person, old.row.subject or ""
    if are_of_others(words, whom(fact.subject, person), old.words, whom(subject, person)):
        return None
    plain = _plainly((fact.text, fact.subject), (old.words.text, subject), person)
    is_of_whom = not material.names or fact.action != "withdraw"
    if plain == "apart" or not (is_of_whom or _names_whom(fact, old, material)):
        return None
    if old.lasts:
        is_meant = (
            plain == "alike"
            or _says_other_value(fact, old.words, material)
            or says_so_too(words, old.words, material.names)
            or material.tells_end(old.words, fact.message, old.row.position)
        )
        return old if is_meant else None
    bearing, new = material.bearing(old.words), material.bearing(words)
    if _is_only_wished(fact, old) and not (
        bearing <= new or material.tells_end(old.words, fact.message, old.row.position)
    ):
        return None
    if bearing and bearing <= material.said_besides(old.row):
        return old
    message = None if material.is_of(old.row, fact.message) else fact.message
    shares_half = 2 * len(bearing & new) >= len(bearing) > 0
    is_said = material.is_said(bearing, message, at_least=max((len(bearing) + 1) // 2, 1))
    has_come_true = is_not_now(old.words.text) and not bearing.isdisjoint(words.value)
    is_meant = shares_half or is_said or has_come_true or material.speaks_of(old.words, message)
    return old if is_meant else None


def _is_only_wished(fact: Fact, old: KnownFact) -> bool:
    """Whether a note tells what somebody wishes or was, and the old fact is about a lasting
    state."""
    is_state = old.slot is not None and is_lasting_state(old.slot[1])
    return is_state and fact.action == "replace" and is_not_now(fact.text)


def _says_other_value(fact: Fact, old: Words, material: Material) -> bool:
    """Whether a replacement is the old fact with another value. For limits and promises, of which
    there may be several, a message must also say that it is a change. For a relative, only another
    name of the same relative counts."""
    new = Words(fact.text)
    if fact.action == "withdraw" or new.named_relation != old.named_relation:
        return False
    if new.named_relation:
        return likeness(new, old) is None
    is_change = material.tells_change(new, old, fact.message)
    if has_other_value(new, old, material.names):
        return is_change or not is_limit(old)
    is_change = is_change or _IS_NEW.search(fact.text) is not None
    return is_change and not is_limit(old) and has_other_name(new, old, material.names)


def _plainly(
    one: tuple[str, str], other: tuple[str, str], person: str
) -> Literal["alike", "apart"] | None:
    """Compares two texts with their subjects. "alike": plain words say that both are about the
    same, such as one person's home; "apart": about different topics or people."""
    slots = [plain_slot(text, subject, person) for text, subject in (one, other)]
    if slots[0] is None or slots[1] is None:
        return None
    ours, theirs = (whom(slot[0], person) for slot in slots if slot)
    topics = {slot[1] for slot in slots if slot}
    if ours and theirs and ours.isdisjoint(theirs):
        return "apart"
    if len(topics) > 1 and not any(topics <= near for near in _NEAR_TOPICS):
        return "apart"
    # "Ada" may be "Ada Lovelace", and is not "Ada's boat".
    is_one = ours <= theirs or theirs <= ours
    are_owners = Words(one[0]).owner == Words(other[0]).owner
    return "alike" if is_one and are_owners and "name" not in topics else None


def _names_whom(fact: Fact, old: KnownFact, material: Material) -> bool:
    """Whether a withdrawal, or the message that it names, names whom the old fact is about, if that
    is neither of the two who talk, and which relative of somebody."""
    named = whom(old.row.subject or "", material.person) or old.words.names
    others = named - material.names
    if are_foreign(old.words.text, *(text for _, text in material.messages)):
        # In German, all nouns have capitals.
        others = {
            name
            for name in others
            if not (is_name_of(name, material.names) or is_other_script(name, material.names))
            and (name in old.words.stems[:1] or not name.isascii())
        }
    told = Words(fact.text).bare | material.words_of(fact.message)
    return old.words.relative <= told and (not others or not others.isdisjoint(told))


def may_change(fact: Fact, earlier: Fact, said: Iterable[str]) -> bool:
    """Whether a note may change one of an earlier request that is not saved yet, as `target_fact`
    decides it. `said` is what the note was drawn from; who talks is not known here."""
    # Nor is it known which of the messages it was; a note without words names them all.
    fact = replace(fact.named, known=1, message=None if fact.text else 1)
    row = FactRow(
        **{"id": uuid4(), "content": earlier.named.text, "importance": earlier.importance},
        **{"subject": earlier.subject, "topic": earlier.topic, "written_by": "model"},
    )
    material = Material([row], [(1, "\n".join(said))], person="", character="")
    slot = slot_of(fact.text, fact.subject, fact.topic)
    return target_fact(fact, all_known(material), material, slot) is not None
