"""Finds the sentences of a summary that no longer hold. Pure."""

from collections.abc import Sequence
from typing import Any

from roleplay_chat.memory.comparison import Words, likeness, may_share_slot
from roleplay_chat.memory.known_facts import KnownFact, all_known, bears_out, contradicted
from roleplay_chat.memory.material import Material, was_said_after
from roleplay_chat.memory.topics import Slot, slot_key, slot_of


def outdated(
    sentences: Sequence[str], material: Material, changes: Sequence[Any], *, is_new: bool
) -> set[str]:
    """The sentences of a summary that no longer hold.

    A known fact contradicts them that stays; or, of old ones, a fact that is new or that the person
    wrote, or they say what is replaced or withdrawn. New sentences that the messages bear out are
    outdated only by facts of later messages: when a message is edited, the summary goes back behind
    it, and the facts after it stay, whatever the changes say that they replace.
    """
    everything = all_known(material)
    rows = {str(old.row.id): old.row for old in everything}
    gone = {
        one
        for change in changes
        for one in change.get("replaces", ())
        if one in rows and not was_said_after(rows[one], change["to"])
    }
    known = [old for old in everything if material.is_later(old.row)]
    if not is_new:
        known += [
            old for old in everything if old.row.since is not None and str(old.row.id) not in gone
        ]
    stale = {one for one in sentences if known and contradicted(one, known, material) is not None}
    if is_new:
        kept = [old for old in everything if str(old.row.id) not in gone]
        stale |= {one for one in sentences if _is_made_up(one, kept, material)}
    else:
        replaced = [old.words for old in everything if str(old.row.id) in gone]
        stale |= {one for one in sentences if _is_changed(one, replaced, changes, material)}
        own = [old for old in everything if old.row.written_by == "person"]
        stale |= {
            one
            for one in sentences
            if own and contradicted(one, own, material) and not _is_known(one, everything)
        }
    return stale


def _is_made_up(sentence: str, kept: Sequence[KnownFact], material: Material) -> bool:
    """Whether a sentence contradicts what is kept, and no message bears it out."""
    words = Words(sentence)
    against = [old for old in kept if not bears_out(words, old, material)]
    return contradicted(sentence, against, material) is not None


def _is_known(sentence: str, known: Sequence[KnownFact]) -> bool:
    """Whether a current fact says the same: a model's newer one stands beside the person's."""
    words = Words(sentence)
    return any(likeness(words, old.words) is not None for old in known)


def _is_changed(
    sentence: str, replaced: Sequence[Words], changes: Sequence[Any], material: Material
) -> bool:
    """Whether a sentence says what is replaced now, or something else about the same topic."""
    words, slot = Words(sentence), slot_of(sentence, person=material.person)
    if any(likeness(words, old) is not None for old in replaced):
        return True
    return slot is not None and any(
        slot_key(slot) == slot_key(_slot_of(change, material))
        and likeness(words, Words(change["content"])) is None
        and not may_share_slot(words, Words(change["content"]))
        for change in changes
        if change.get("content")
    )


def _slot_of(change: Any, material: Material) -> Slot | None:
    subject, topic = change.get("subject") or "", change.get("topic") or ""
    return slot_of(change["content"], subject, topic, material.person)
