"""Turns the facts that a model noted into changes of the known ones. Pure.

The same facts are merged, contradicted ones replaced, and wrong numbers of a model ignored. If the
words do not decide, both facts stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from roleplay_chat.api import MEMORY_TIERS
from roleplay_chat.memory.comparison import (
    Likeness,
    Words,
    contradicts,
    is_twin,
    likeness,
    may_share_slot,
)
from roleplay_chat.memory.known_facts import (
    KnownFact,
    all_known,
    bears_out,
    contradicted,
    differs_in_value,
    excludes,
    overrules,
)
from roleplay_chat.memory.material import Material
from roleplay_chat.memory.noted_facts import Fact, is_for_all
from roleplay_chat.memory.target_fact import target_fact
from roleplay_chat.memory.topics import (
    MAX_NAME_CHARS,
    Slot,
    has_pronoun,
    plain_slot,
    slot_key,
    slot_of,
    whom,
)
from roleplay_chat.rows import FactRow


class _Note:
    """A noted fact, to be compared with the known ones."""

    def __init__(self, fact: Fact, known: Sequence[KnownFact], material: Material) -> None:
        self.fact, self.material = fact, material
        self.words = Words(fact.text)
        self.known = [old for old in known if old.is_current and not self._means_another(old)]
        self.by_number = known
        self.likeness = {old: likeness(self.words, old.words) for old in self.known}
        self.is_supposed = material.only_supposes(self.words, fact.message)
        self.is_addition = self.is_supposed or material.tells_addition(self.words, fact.message)
        self.slot = None if self.is_addition else self._slot()

    def _means_another(self, old: KnownFact) -> bool:
        """Whether a pronoun that could not be replaced by a name means different people in the two
        facts."""
        if not (has_pronoun(self.words.text) or has_pronoun(old.words.text)):
            return False
        person = self.material.person
        ours, theirs = whom(self.fact.subject, person), whom(old.row.subject or "", person)
        return bool(ours and theirs) and ours.isdisjoint(theirs)

    def _slot(self) -> Slot | None:
        """The note's own slot, else that of a known fact that differs in one value."""
        fact, person = self.fact, self.material.person
        named = slot_of(fact.text, fact.subject, fact.topic, person)
        if fact.topic or plain_slot(fact.text, fact.subject, person):
            return named
        twins = (old.slot for old in self.known if differs_in_value(self.words, old.words))
        return next(filter(None, twins), named)

    def change(self) -> dict[str, Any]:
        """The note in the format of private.note_fact."""
        change, meant = self._columns(), None
        if self.fact.action == "replace" and not self.is_supposed:
            meant = target_fact(self.fact, self.by_number, self.material, self.slot)
        repeated = self._repeated(meant)
        extended = [old for old in self._changeable() if self.likeness[old] in ("same", "more")]
        kept = [repeated] if repeated else extended[:1]
        replaced = [
            old
            for old in self._changeable()
            if old not in kept and (old is meant or (self._denies(old) and self._is_said(old)))
        ]
        if repeated:
            is_same = self.likeness[repeated] == "same"
            change["content"] = self.fact.text if is_same else repeated.row.content
            change["same_as"] = str(repeated.row.id)
        elif extended:
            change["extends"] = extended[0].mark_replaced(change["to"], self.words)
        if replaced:
            change["replaces"] = sorted(
                old.mark_replaced(change["to"], self.words) for old in replaced
            )
        opposed = self._written_after(repeated) if repeated else self._fixed()
        if any(self._denies(old) for old in opposed):
            change["is_change"] = True
        stay = [old for old in self._changeable() if old not in [*kept, *replaced]]
        if self.slot and any(slot_key(self.slot) == slot_key(old.slot) for old in stay):
            # The database replaces all facts with this subject and topic.
            del change["topic"]
        if repeated and self.likeness[repeated] != "same":
            # The topic of a part is not that of a longer fact, which would be replaced with it.
            change.pop("topic", None)
        return change

    def _columns(self) -> dict[str, Any]:
        fact = self.fact
        first, last = self.material.source(self.words, fact.message)
        columns: dict[str, Any] = {
            **{"tier": fact.tier, "content": fact.text, "importance": fact.importance},
            **{"from": first, "to": last},
        }
        if first == last and self.material.has_all(self.words, first):
            columns["in_full"] = True
        if is_for_all(fact):
            columns["is_for_all"] = True
        if self.slot:
            columns |= {"subject": self.slot[0], "topic": self.slot[1]}
        elif fact.subject:
            columns["subject"] = fact.subject[:MAX_NAME_CHARS]
        return columns

    def _changeable(self) -> list[KnownFact]:
        return [old for old in self.known if not old.row.is_fixed]

    def _fixed(self) -> list[KnownFact]:
        return [old for old in self.known if old.row.is_fixed]

    def _written_after(self, old: KnownFact) -> Iterator[KnownFact]:
        """The person's own facts that were written after a model's fact."""
        said_at = old.row.said_at
        if old.row.is_fixed or said_at is None:
            return
        for own in self.known:
            if own.row.written_by == "person" and own.row.said_at and own.row.said_at > said_at:
                yield own

    def _repeated(self, meant: KnownFact | None) -> KnownFact | None:
        """The known fact that already says everything in the note: in the same or a wider tier, or
        fixed in any tier. Not one that says more and is `meant` to be replaced."""
        for old, how in self.likeness.items():
            is_wider = MEMORY_TIERS.index(self.fact.tier) > MEMORY_TIERS.index(old.row.tier)
            is_meant = old is meant and how == "less"
            if not is_meant and self._says_no_more(how, old) and (old.row.is_fixed or not is_wider):
                return old
        return None

    def _says_no_more(self, how: Likeness | None, old: KnownFact) -> bool:
        adds = self.material.bearing(self.words) - self.material.bearing(old.words)
        return how in ("same", "less") or (how == "more" and not adds & self.material.said)

    def _is_said(self, old: KnownFact) -> bool:
        """Whether somebody said the value that replaces a lasting fact. A model that does not even
        name the fact that it replaces may have made the value up."""
        return not old.lasts or self.material.tells_value(self.words, old.words)

    def _denies(self, old: KnownFact) -> bool:
        if contradicts(self.words, old.words):
            return True
        return not self.is_addition and excludes(
            self.words, self.slot, old, self.fact.message, self.material
        )


def resolve(
    noted: Sequence[Fact], material: Material, sentences: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The changes in the format of private.note_fact. Changes that cannot be right are left out.
    Each note is compared with the known facts and with those of earlier messages, in their order.

    `sentences` are new in the summary. If the messages bear them out, they change facts that they
    contradict in nearly the same words, because a model may mention a change only there.
    """
    known, changes = all_known(material), []
    before = tuple(known)
    for fact in sorted(noted, key=material.said_at):
        named = replace(fact, text=material.by_name(fact.text, fact.subject))
        change = (_withdraw if fact.action == "withdraw" else _note)(named, known, material)
        if change is not None:
            changes.append(change)
            known += _newly_known(change, material)
    for sentence in sentences:
        words = Words(sentence)
        told = [
            old
            for old in before
            if not (old.row.is_fixed or material.is_later(old.row))
            and is_twin(words, old.words)
            and bears_out(words, old, material)
        ]
        if (row := contradicted(sentence, told, material)) is not None:
            fact = Fact(row.tier, sentence, importance=row.importance)
            if (change := _note(fact, known, material)) is not None:
                changes.append(change)
    changes += _replaced_by_person(before, material)
    _keep_side_by_side(changes)
    noted_now = {str(new.row.id): new for new in known[len(before) :]}
    return [_by_gist(change, noted_now) for change in changes]


def _newly_known(change: dict[str, Any], material: Material) -> list[KnownFact]:
    """What a change adds to the known facts, so that the next notes are compared with it."""
    if "same_as" in change or "is_withdrawal" in change:
        return []
    about = {name: change.get(name) for name in ("subject", "topic")}
    row = FactRow(
        **{"id": uuid4(), "content": change["content"], "tier": change["tier"]},
        **{"importance": change["importance"], "position": change["to"], "written_by": "model"},
        **about,
    )
    return [KnownFact.from_row(row, material)]


def _by_gist(change: dict[str, Any], noted: Mapping[str, KnownFact]) -> dict[str, Any]:
    """The change, naming facts of the same answer, which have no ids yet, by their gists: `noted`,
    by the ids that they have here."""
    if repeated := noted.get(change.get("same_as", "")):
        # The database finds the same fact in the same memory.
        change = change | {"same_as": None, "tier": repeated.row.tier}
    if extended := noted.get(change.get("extends", "")):
        change = change | {"extends": None, "extends_noted": extended.words.gist}
    if new := [noted[one].words.gist for one in change.get("replaces", ()) if one in noted]:
        kept = [one for one in change["replaces"] if one not in noted]
        change = change | {"replaces": kept, "replaces_noted": new}
    return {name: value for name, value in change.items() if value not in (None, [])}


def _keep_side_by_side(changes: Sequence[dict[str, Any]]) -> None:
    """Leaves out the topic of a new fact that may hold beside another new one with the same
    topic."""
    told: list[tuple[Slot | None, Words]] = []
    for change in (change for change in changes if "topic" in change):
        slot, words = slot_key((change["subject"], change["topic"])), Words(change["content"])
        if any(slot == key and may_share_slot(words, other) for key, other in told):
            del change["topic"]
        told.append((slot, words))


def _replaced_by_person(known: Sequence[KnownFact], material: Material) -> Iterator[dict[str, Any]]:
    """The changes for models' facts that do not agree with what the person wrote later."""
    for own in known:
        if own.row.written_by != "person" or own.row.said_at is None:
            continue
        first, last = material.messages[0][0], material.messages[-1][0]
        replaced = [
            old.mark_replaced(last, own.words)
            for old in known
            if old.is_current and not old.row.is_fixed and overrules(own, old)
        ]
        if replaced:
            yield {
                **{"tier": own.row.tier, "content": own.row.content, "replaces": replaced},
                **{"importance": own.row.importance, "same_as": str(own.row.id)},
                **{"from": first, "to": last},
            }


def _note(fact: Fact, known: Sequence[KnownFact], material: Material) -> dict[str, Any] | None:
    """The change for a new fact; None if this answer has just replaced it and no later message says
    it again. The remainder of a longer fact is noted."""
    words = Words(fact.text)
    alike = [old for old in known if likeness(words, old.words) in ("same", "more")]
    gone = [old for old in alike if old.replaced_at is not None]
    if gone and not any(old.is_current for old in alike):
        first, last = material.source(words, fact.message)
        if first != last or not all(_holds_again(words, old, last, material) for old in gone):
            return None
    return _Note(fact, known, material).change()


def _holds_again(words: Words, gone: KnownFact, position: int, material: Material) -> bool:
    """Whether a later message says a replaced fact again: it must have the value; the other words
    may be in any message."""
    if gone.replaced_at is None or position <= gone.replaced_at:
        return False
    return gone.replaced_by is None or material.tells_value(words, gone.replaced_by, position)


def _withdraw(fact: Fact, known: Sequence[KnownFact], material: Material) -> dict[str, Any] | None:
    old = target_fact(fact, known, material)
    if old is None:
        return None
    first, last = material.source(old.words, fact.message)
    return {
        **{"tier": old.row.tier, "content": old.row.content, "is_withdrawal": True},
        **{"replaces": [old.mark_replaced(last)], "from": first, "to": last},
    }
