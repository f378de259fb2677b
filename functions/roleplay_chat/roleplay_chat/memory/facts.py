"""Compares facts that a model noted with known ones. Pure.

The same facts are merged, contradicted ones replaced, and wrong numbers of a model ignored. If the
words do not decide, both facts stay: a fact that is noted twice does less harm than one that is
lost.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal
from uuid import uuid4

from edge.patterns import compiled_later
from roleplay_chat.api import MEMORY_TIERS, MemoryTier
from roleplay_chat.memory.comparison import (
    Likeness,
    Words,
    are_of_others,
    contradicts,
    is_limit,
    is_twin,
    likeness,
    may_both_hold,
    may_share_slot,
)
from roleplay_chat.memory.endings import (
    clauses,
    has_ended,
    has_other_name,
    has_other_value,
    is_lifted,
    is_over,
    says_so_too,
)
from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.languages import (
    are_foreign,
    bearing,
    in_common,
    is_name_of,
    is_other_script,
    meaning,
)
from roleplay_chat.memory.topics import (
    FAMILY,
    MAX_NAME_CHARS,
    Slot,
    by_name,
    has_pronoun,
    plain_slot,
    slot_of,
    whom,
)
from roleplay_chat.memory.words import COMMON, bare
from roleplay_chat.rows import FactRow

MAX_USED = 50

_INSTEAD = re.compile(r"\b(?:instead|rather than)\b", re.IGNORECASE)
_NO_LONGER = re.compile(r"\b(?:no longer|any ?more)\b", re.IGNORECASE)
_CHANGED = re.compile(r"\b(?:changed|moved|g[ai]ven? up)\b", re.IGNORECASE)
"""These may be about something else, unless the old value is named."""
_NOW = re.compile(r"\b(?:now|nowadays|these days|from now on)\b", re.IGNORECASE)
_IS_NEW = compiled_later(r"\b(?:new|now|changed|renamed|replaced|instead)\b", re.IGNORECASE)
_CHANGES = (_INSTEAD, _NO_LONGER, _CHANGED, _NOW)
"""Words by which people say that something is no longer as it was."""
_TOO = re.compile(r"\b(?:too|also|as well|another|besides|in addition)\b", re.IGNORECASE)
"""Words by which they say that it still is."""
_ALSO = re.compile(r"(?<=\w )also\b|\btoo(?=[,.;!?]|$)|\bas well\b", re.IGNORECASE)
"""The same within a sentence. "Also, I live in Oslo" only goes on."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_CONFIDED = compiled_later(
    r"\b(?:secrets?|secretly|confid(?:e[sd]?|ing|ential)\w*|tell(?:s|ing)?|told"
    r"|mention(?:s|ed|ing)?|reveal(?:s|ed|ing)?|disclos(?:e[sd]?|ing)|betray(?:s|ed|ing)?"
    r"|whisper(?:s|ed|ing)?|confess(?:es|ed|ing)?|admit(?:s|ted|ting)?"
    r"|know(?:s|n|ing)?|knew|finds? out|learns? (?:of|about|that)|hid(?:e|es|den)|hiding)\b",
    re.IGNORECASE,
)
"""What somebody told one character alone, and must perhaps not be known to others."""
LASTING, USUAL = 5, 3
"""The importance of these, and of other facts, if nobody rated them."""
MOST_RATED = 4
"""The most that a model's rating of an English fact counts: one that rates everything 5 would push
out what lasts. In other languages, whose words `kinds` knows in part or not at all, it may say
more than the words."""


def importance_of(text: str, rating: int | None = None) -> int:
    """The importance of a fact that a model rated, or nobody: English facts that last are known by
    their words alone."""
    if kinds_of(text):
        return LASTING
    if rating is None:
        return USUAL
    return min(rating, LASTING if are_foreign(text) else MOST_RATED)


def weighed(known: Sequence[FactRow], person: str) -> list[FactRow]:
    """The facts of a turn in the order of their importance, the person's before a model's.

    What the person wrote since the last notes, and did not rate, has the importance that its words
    tell. A model's fact is not shown if it does not agree with what the person wrote later; neither
    is the same sentence twice.
    """
    rows = list(known)
    if any(row.is_unread for row in rows):
        rows = [_by_its_words(row) for row in rows]
        rows.sort(key=lambda row: (not row.pinned, -row.importance, row.written_by != "person"))
    return _each_once(_without_overruled(rows, person))


def chars_to_weigh(known: Sequence[FactRow]) -> int:
    """How many characters `weighed` reads, if the instance has read none of them before."""
    if any(row.written_by == "person" for row in known):
        return sum(len(row.content) for row in known)
    return 0


def _by_its_words(row: FactRow) -> FactRow:
    if not row.is_unread or row.is_rated:
        return row
    return row.model_copy(update={"importance": max(row.importance, _told_by(row.content))})


@lru_cache(maxsize=1_000)
def _told_by(text: str) -> int:
    # Each turn asks it again, until notes are taken.
    return importance_of(text)


def _without_overruled(rows: Sequence[FactRow], person: str) -> list[FactRow]:
    """The facts, of which those are not shown that do not agree with what the person wrote later,
    or did not agree with the text that this replaced: the next notes compare them."""
    written = [row for row in rows if row.written_by == "person" and row.said_at is not None]
    if not written:
        return list(rows)
    hidden = {one for row in written for one in row.hides}
    latest = max(row.said_at for row in written if row.said_at is not None)
    by_slot: dict[Slot | None, list[_Known]] = {}
    by_negation: dict[bool, list[_Known]] = {True: [], False: []}
    for own in (_parts(row, person) for row in written):
        by_slot.setdefault(_key(own.slot), []).append(own)
        by_negation[own.words.is_negated].append(own)

    def is_overruled(row: FactRow) -> bool:
        if row.is_fixed or row.id in hidden:
            return not row.is_fixed
        if row.said_at is None or row.said_at >= latest:
            return False
        old = _parts(row, person)
        same_slot = by_slot.get(_key(old.slot), []) if old.slot else []
        rivals = [*same_slot, *by_negation[not old.words.is_negated]]
        return any(_overrules(own, old) for own in rivals)

    return [
        row.model_copy(update={"is_shown": False}) if is_overruled(row) else row for row in rows
    ]


def _each_once(rows: Sequence[FactRow]) -> list[FactRow]:
    """The facts, of which each text is shown once: the person's, else the first one."""
    by_text: dict[str, list[FactRow]] = {}
    for row in rows:
        if row.is_shown:
            by_text.setdefault(_plain(row.content), []).append(row)
    if len(by_text) == len(rows):
        return list(rows)
    kept: dict[int, FactRow] = {}
    for same in by_text.values():
        first = min(same, key=lambda row: row.written_by != "person")
        most = {
            "pinned": any(row.pinned for row in same),
            "importance": max(row.importance for row in same),
        }
        kept[id(first)] = first if len(same) == 1 else first.model_copy(update=most)
    return [kept.get(id(row)) or row.model_copy(update={"is_shown": False}) for row in rows]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .!?…")


def is_for_all(fact: "Fact") -> bool:
    """Whether all who are present must know it: a limit that somebody set. Not a promise, and
    nothing that must not be told."""
    kinds = kinds_of(fact.text)
    is_limit = fact.importance == LASTING and not kinds.isdisjoint(("limit", "safe word"))
    return is_limit and "promise" not in kinds and not _CONFIDED.search(fact.text)


def _lasts(text: str, importance: int) -> bool:
    """Whether a fact outlives everything, as the person rated it or as its words tell."""
    return importance == LASTING or importance_of(text) == LASTING


@dataclass(frozen=True)
class Fact:
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


@dataclass(frozen=True)
class Material:
    """The messages from which the facts were noted."""

    known: Sequence[FactRow]
    """In the order of their numbers, from 1."""
    messages: Sequence[tuple[int, str]]
    """Positions and texts, in the order of their numbers, from 1."""
    person: str
    """The names of the two who talk."""
    character: str
    names: set[str] = field(init=False, default_factory=set)
    """The words of their names."""

    def __post_init__(self) -> None:
        both = f"{self.person} {self.character}"
        names = Words(f"{both} {both.title()}")
        self.names.update(names.stems, (f"{name}'s" for name in names.stems))
        # In scripts without spaces a name is part of a longer word.
        self.names.update(names.content)

    @cached_property
    def _capitals(self) -> set[str]:
        """The words that may be names in the messages and the known facts."""
        texts = [*(row.content for row in self.known), *(text for _, text in self.messages)]
        return bare(word for text in texts for word in Words(text).capitals)

    def by_name(self, text: str, subject: str) -> str:
        """The text with the name of its subject in place of a pronoun, if that is a name which
        somebody used: "Ada's sister", and not "Preferences"."""
        words = whom(subject, self.person) - FAMILY - COMMON if has_pronoun(text) else set()
        return by_name(text, subject) if words and words <= self.names | self._capitals else text

    @cached_property
    def _said(self) -> list[set[str]]:
        """The words of each message."""
        return [Words(text).content for _, text in self.messages]

    @cached_property
    def said(self) -> set[str]:
        """The words of all messages."""
        return set().union(*self._said)

    def is_later(self, row: FactRow) -> bool:
        """Whether a fact was said after these messages."""
        return _is_later(row, self.messages[-1][0])

    def source(self, words: Words, message: int | None) -> tuple[int, int]:
        """The positions of the message that a fact was drawn from: the one that the model named,
        unless another has half of the fact's words and it has fewer. If the model named none, the
        message with most of the words; if none has half, all messages.
        """
        bearing, place = self.bearing(words), self._place(message)
        if place < 0 or 2 * len(bearing & self._said[place]) < len(bearing):
            shares = [len(bearing & said) for said in self._said]
            best = max(range(len(shares)), key=lambda place: (shares[place], place))
            if bearing and 2 * shares[best] >= len(bearing):
                place = best
        if place < 0:
            return self.messages[0][0], self.messages[-1][0]
        return self.messages[place][0], self.messages[place][0]

    def said_at(self, fact: Fact) -> int:
        """The position of the message that a note was drawn from, or the last one."""
        return self.source(Words(fact.text), fact.message)[1]

    def has_all(self, words: Words, position: int) -> bool:
        """Whether the message at a position has all of the words."""
        bearing = self.bearing(words)
        places = (place for place, (at, _) in enumerate(self.messages) if at == position)
        return bool(bearing) and any(bearing <= self._said[place] for place in places)

    def tells_value(self, new: Words, old: Words) -> bool:
        """Whether the messages have what one fact says otherwise than another: at least half of
        these words, because a note may use more words for a value than the person did."""
        values = self.bearing(new) - self.bearing(old)
        return 2 * len(values & self.said) >= len(values)

    def has_half(self, words: Words) -> bool:
        """Whether one message has half of the words."""
        bearing = self.bearing(words)
        return any(2 * len(bearing & said) >= len(bearing) for said in self._said)

    def is_said(self, bearing: set[str], message: int | None, *, at_least: int) -> bool:
        """Whether the named message has this many of the words."""
        place = self._place(message)
        return place >= 0 and len(bearing & self._said[place]) >= at_least

    def _place(self, message: int | None) -> int:
        return message - 1 if message is not None and 0 < message <= len(self.messages) else -1

    @cached_property
    def _marked(self) -> list[tuple[int, str, set[str]]]:
        """The sentences about a change or an addition and their words, with the places of their
        messages."""
        marks = (*_CHANGES, _ALSO)
        return [
            (place, sentence, set(Words(sentence).stems))
            for place, (_, text) in enumerate(self.messages)
            if any(words.search(text) for words in marks)
            for sentence in _SENTENCE_END.split(text)
            if any(words.search(sentence) for words in marks)
        ]

    @cached_property
    def _changes(self) -> list[tuple[int, str, set[str]]]:
        """Those about a change alone."""
        return [
            (place, sentence, said)
            for place, sentence, said in self._marked
            if not _TOO.search(sentence) and any(words.search(sentence) for words in _CHANGES)
        ]

    @cached_property
    def _additions(self) -> list[tuple[int, set[str]]]:
        """The words of those about an addition alone."""
        return [
            (place, said)
            for place, sentence, said in self._marked
            if _ALSO.search(sentence) and not any(words.search(sentence) for words in _CHANGES)
        ]

    def tells_addition(self, new: Words, message: int | None) -> bool:
        """Whether the message, or any if none is named, says that a fact comes in addition, as in
        "I also work as a baker"."""
        bearing, named = self.bearing(new), self._place(message)
        return bool(bearing) and any(
            bearing <= said for place, said in self._additions if named in (-1, place)
        )

    def tells_change(self, new: Words, old: Words, message: int | None) -> bool:
        """Whether the message, or any if none is named, says that the new value is a change.

        Of what there may be several, "now" and "no longer" do not say that the new one takes the
        place of the old one, and neither does "now" where the old one is named, too. "I moved here
        and play the harp" says nothing of the flute.
        """
        values, gone = set(new.stems) - set(old.stems), set(old.stems) - set(new.stems)
        both_hold, named = may_both_hold(new, old), self._place(message)
        for place, sentence, said in self._changes:
            if named not in (-1, place) or not values <= said:
                continue
            if _INSTEAD.search(sentence):
                return True
            has_ended = _NO_LONGER.search(sentence) or (_CHANGED.search(sentence) and gone & said)
            is_instead = _NOW.search(sentence) and not gone <= said
            if not both_hold and (has_ended or is_instead):
                return True
        return False

    @cached_property
    def _endings(self) -> list[tuple[int, Words]]:
        """The clauses that may say that something has ended, with the places of their messages."""
        return [
            (place, clause)
            for place, (_, text) in enumerate(self.messages)
            for clause in clauses(text)
        ]

    def tells_end(self, old: Words, message: int | None) -> bool:
        """Whether the message, or any if none is named, says that a fact no longer holds."""
        named = self._place(message)
        is_ended = any(
            is_over(clause, old, self.names)
            for place, clause in self._endings
            if named in (-1, place)
        )
        return is_ended or any(
            is_lifted(text, old, self.names)
            for place, (_, text) in enumerate(self.messages)
            if named in (-1, place)
        )

    def speaks_of(self, old: Words, message: int | None) -> bool:
        """Whether the named message speaks of what an old fact is about, as far as beginnings of
        words tell in other languages than English; or says of a name in it that something ended."""
        place = self._place(message)
        if place < 0:
            return False
        told = Words(self.messages[place][1])
        if are_foreign(told.text, old.text):
            return bool(in_common(bearing(old, self.names), meaning(told, self.names)))
        gone = (clause for at, clause in self._endings if at == place and has_ended(clause))
        named = old.names - self.names - old.owner - {*old.stems[:1]}
        return any(not named.isdisjoint(clause.bare) for clause in gone)

    def bearing(self, words: Words) -> set[str]:
        """The words of a fact other than the names of the two."""
        return words.content - self.names

    def words_of(self, message: int | None) -> set[str]:
        """The words of the named message."""
        place = self._place(message)
        return Words(self.messages[place][1]).bare if place >= 0 else set()


@dataclass(eq=False)
class _Known:
    """A current fact, and the parts of it that are compared."""

    row: FactRow
    words: Words
    """With the name of the subject in place of a pronoun."""
    slot: Slot | None
    is_current: bool
    gone_at: int | None = None
    """Where this answer replaced it: the last position that the new fact was drawn from."""

    @property
    def lasts(self) -> bool:
        """Whether it outlives everything."""
        return _lasts(self.row.content, self.row.importance)

    def go(self, at: int) -> str:
        """Mark it as replaced by what was said at a position, unless it was said later: then the
        other fact does not hold. Returns its id."""
        if not _is_later(self.row, at):
            self.is_current, self.gone_at = False, at
        return str(self.row.id)


def _is_later(row: FactRow, position: int) -> bool:
    return row.position is not None and row.position > position


def _differs_in_value(words: Words, old: Words) -> bool:
    """Whether a fact has another value than a known one and the same form. "Tom's mother is a
    nurse" has not the form of "Tom's mother is Ingrid": only one of them tells a topic."""
    return is_twin(words, old) and words.tells_topic == old.tells_topic


class _Note:
    """A noted fact, to be compared with the known ones."""

    def __init__(self, fact: Fact, known: Sequence[_Known], material: Material) -> None:
        self.fact, self.material = fact, material
        self.words = Words(fact.text)
        self.known = [old for old in known if old.is_current and not self._means_another(old)]
        self.by_number = known
        self.likeness = {old: likeness(self.words, old.words) for old in self.known}
        self.is_addition = material.tells_addition(self.words, fact.message)
        self.slot = None if self.is_addition else self._slot()

    def _means_another(self, old: _Known) -> bool:
        """Whether a pronoun that no name could take the place of means two in the two facts."""
        if not (has_pronoun(self.words.text) or has_pronoun(old.words.text)):
            return False
        person = self.material.person
        ours, theirs = whom(self.fact.subject, person), whom(old.row.subject or "", person)
        return bool(ours and theirs) and ours.isdisjoint(theirs)

    def _slot(self) -> Slot | None:
        """Its own slot, else that of a known fact that differs in one value."""
        fact, person = self.fact, self.material.person
        named = slot_of(fact.text, fact.subject, fact.topic, person)
        if fact.topic or plain_slot(fact.text, fact.subject, person):
            return named
        twins = (old.slot for old in self.known if _differs_in_value(self.words, old.words))
        return next(filter(None, twins), named)

    def change(self) -> dict[str, Any]:
        """The note in the format of private.note_fact."""
        change, meant = self._columns(), None
        if self.fact.action == "replace":
            meant = meant_by(self.fact, self.by_number, self.material, self.slot)
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
            change["extends"] = extended[0].go(change["to"])
        if replaced:
            change["replaces"] = sorted(old.go(change["to"]) for old in replaced)
        opposed = self._written_after(repeated) if repeated else self._fixed()
        if any(self._denies(old) for old in opposed):
            change["is_change"] = True
        stay = [old for old in self._changeable() if old not in [*kept, *replaced]]
        if self.slot and any(_key(self.slot) == _key(old.slot) for old in stay):
            # The database replaces all facts with this subject and topic.
            del change["topic"]
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

    def _changeable(self) -> list[_Known]:
        return [old for old in self.known if not old.row.is_fixed]

    def _fixed(self) -> list[_Known]:
        return [old for old in self.known if old.row.is_fixed]

    def _written_after(self, old: _Known) -> Iterator[_Known]:
        """The person's own facts that were written after a model's fact."""
        said_at = old.row.said_at
        if old.row.is_fixed or said_at is None:
            return
        for own in self.known:
            if own.row.written_by == "person" and own.row.said_at and own.row.said_at > said_at:
                yield own

    def _repeated(self, meant: _Known | None) -> _Known | None:
        """The known fact that already says all of it, in the same or a wider tier, or fixed in
        any. Not one that says more and is `meant` to be replaced."""
        for old, how in self.likeness.items():
            is_wider = MEMORY_TIERS.index(self.fact.tier) > MEMORY_TIERS.index(old.row.tier)
            is_meant = old is meant and how == "less"
            if not is_meant and self._says_no_more(how, old) and (old.row.is_fixed or not is_wider):
                return old
        return None

    def _says_no_more(self, how: Likeness | None, old: _Known) -> bool:
        adds = self.material.bearing(self.words) - self.material.bearing(old.words)
        return how in ("same", "less") or (how == "more" and not adds & self.material.said)

    def _is_said(self, old: _Known) -> bool:
        """Whether somebody said the value that takes the place of what lasts. A model that does not
        even name what it replaces may have made it up."""
        return not old.lasts or self.material.tells_value(self.words, old.words)

    def _denies(self, old: _Known) -> bool:
        if contradicts(self.words, old.words):
            return True
        return not self.is_addition and _excludes(
            self.words, self.slot, old, self.fact.message, self.material
        )


def resolve(
    noted: Sequence[Fact], material: Material, sentences: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The changes in the format of private.note_fact. Changes that cannot be right are left out.
    Each note is compared with the known facts and with those of earlier messages, in their order.

    `sentences` are new in the summary. They change facts that they contradict in nearly the same
    words, as a model may mention a change there alone, if the messages bear them out.
    """
    known, changes = _all_known(material), []
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
            and _bears_out(words, old, material)
        ]
        if (row := _contradicted(sentence, told, material)) is not None:
            fact = Fact(row.tier, sentence, importance=row.importance)
            if (change := _note(fact, known, material)) is not None:
                changes.append(change)
    changes += _replaced_by_person(before, material)
    _keep_side_by_side(changes)
    noted_now = {str(new.row.id): new for new in known[len(before) :]}
    return [_by_gist(change, noted_now) for change in changes]


def _bears_out(words: Words, old: _Known, material: Material) -> bool:
    """Whether the messages have the value that a sentence of the summary gives in place of a known
    one; and one of them half of the sentence, where the known one outlives everything."""
    return material.tells_value(words, old.words) and (not old.lasts or material.has_half(words))


def _newly_known(change: dict[str, Any], material: Material) -> list[_Known]:
    """What a change adds to the known facts, so that the next notes are compared with it."""
    if "same_as" in change or "is_withdrawal" in change:
        return []
    about = {name: change.get(name) for name in ("subject", "topic")}
    row = FactRow(
        **{"id": uuid4(), "content": change["content"], "tier": change["tier"]},
        **{"importance": change["importance"], "position": change["to"], "written_by": "model"},
        **about,
    )
    return [_as_known(row, material)]


def _by_gist(change: dict[str, Any], noted: Mapping[str, _Known]) -> dict[str, Any]:
    """The change with the gists of facts of the same answer, which have no ids yet: `noted`, by the
    ids that they have here."""
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
    """Leaves out the topic of a new fact that may hold beside another new one with the same."""
    told: list[tuple[Slot | None, Words]] = []
    for change in (change for change in changes if "topic" in change):
        slot, words = _key((change["subject"], change["topic"])), Words(change["content"])
        if any(slot == key and may_share_slot(words, other) for key, other in told):
            del change["topic"]
        told.append((slot, words))


def _replaced_by_person(known: Sequence[_Known], material: Material) -> Iterator[dict[str, Any]]:
    """The changes for models' facts that do not agree with what the person wrote later."""
    for own in known:
        if own.row.written_by != "person" or own.row.said_at is None:
            continue
        first, last = material.messages[0][0], material.messages[-1][0]
        replaced = [
            old.go(last)
            for old in known
            if old.is_current and not old.row.is_fixed and _overrules(own, old)
        ]
        if replaced:
            yield {
                **{"tier": own.row.tier, "content": own.row.content, "replaces": replaced},
                **{"importance": own.row.importance, "same_as": str(own.row.id)},
                **{"from": first, "to": last},
            }


def _overrules(own: _Known, old: _Known) -> bool:
    """Whether a fact of the person was said later than another, and does not agree with it."""
    if own.row.said_at is None or old.row.said_at is None or old.row.said_at >= own.row.said_at:
        return False
    return contradicts(own.words, old.words) or _answers_otherwise(own.words, own.slot, old)


def _parts(row: FactRow, person: str) -> _Known:
    """What is compared of a fact where no messages are known."""
    words, slot = _read(row.content, row.subject or "", row.topic or "", person)
    return _Known(row, words, slot, is_current=True)


@lru_cache(maxsize=1_000)
def _read(content: str, subject: str, topic: str, person: str) -> tuple[Words, Slot | None]:
    # Turns of a conversation compare the same facts again.
    text = by_name(content, subject)
    return Words(text), slot_of(text, subject, topic, person)


def read_since(known: Sequence[FactRow]) -> list[dict[str, Any]]:
    """What the person wrote since the last notes, in the format of private.read_own_facts."""
    return [
        {"id": str(row.id), "content": row.content, "importance": row.importance}
        for row in known
        if row.is_unread
    ]


def seen(
    known: Sequence[FactRow], changes: Sequence[Mapping[str, Any]], used: Sequence[str]
) -> dict[str, str]:
    """The texts of the known facts that changes name, or that are used, by their ids."""
    named = {
        str(one)
        for change in changes
        for one in (change.get("same_as"), change.get("extends"), *change.get("replaces", ()))
    }.union(used)
    return {str(row.id): row.content for row in known if str(row.id) in named}


def _all_known(material: Material) -> list[_Known]:
    return [_as_known(row, material) for row in material.known]


def _as_known(row: FactRow, material: Material) -> _Known:
    text = material.by_name(row.content, row.subject or "")
    slot = slot_of(text, row.subject or "", row.topic or "", material.person)
    return _Known(row, Words(text), slot, is_current=row.id is not None)


def _note(fact: Fact, known: Sequence[_Known], material: Material) -> dict[str, Any] | None:
    """The change for a new fact; None if this answer has just replaced it and no later message says
    it again. What is left of a longer fact is noted."""
    words = Words(fact.text)
    alike = [old for old in known if likeness(words, old.words) in ("same", "more")]
    gone = [old.gone_at for old in alike if old.gone_at is not None]
    if gone and not any(old.is_current for old in alike):
        first, last = material.source(words, fact.message)
        if first != last or last <= max(gone):
            return None
    return _Note(fact, known, material).change()


def _withdraw(fact: Fact, known: Sequence[_Known], material: Material) -> dict[str, Any] | None:
    old = meant_by(fact, known, material)
    if old is None:
        return None
    first, last = material.source(old.words, fact.message)
    return {
        **{"tier": old.row.tier, "content": old.row.content, "is_withdrawal": True},
        **{"replaces": [old.go(last)], "from": first, "to": last},
    }


def meant_by(
    fact: Fact, known: Sequence[_Known], material: Material, slot: Slot | None = None
) -> _Known | None:
    """The known fact that a note replaces or withdraws; None if it must stay, or the number is
    wrong. Models often number wrongly. So the new fact, or the message that it names, must have
    half of the words of the old one, or the messages together all of them. That is not enough for
    what outlives everything: the new fact must be the same with another value, or somebody must say
    that the old one is over.
    """
    if fact.known is None or not 0 < fact.known <= len(material.known):
        return None
    old, words = known[fact.known - 1], Words(fact.text)
    if not old.is_current or old.row.is_fixed:
        return None
    if slot and old.slot and (_key(slot) == _key(old.slot) or is_twin(words, old.words)):
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
            or material.tells_end(old.words, fact.message)
        )
        return old if is_meant else None
    bearing, new = material.bearing(old.words), material.bearing(words)
    if bearing and bearing <= material.said:
        return old
    shares_half = 2 * len(bearing & new) >= len(bearing) > 0
    is_said = material.is_said(bearing, fact.message, at_least=max((len(bearing) + 1) // 2, 1))
    is_meant = shares_half or is_said or material.speaks_of(old.words, fact.message)
    return old if is_meant else None


def _says_other_value(fact: Fact, old: Words, material: Material) -> bool:
    """Whether a replacement says the same of another value. There may be several limits and
    promises: of these, only if a message says that it is a change. Of whom somebody is a relative,
    only another name of the same relative says."""
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


_NEAR_TOPICS = (
    {"home", "kind of home"},
    {"job", "workplace", "kind of workplace", "employer"},
)
"""Topics that models confuse."""


def _plainly(
    one: tuple[str, str], other: tuple[str, str], person: str
) -> Literal["alike", "apart"] | None:
    """Whether plain words say that both are about somebody's home, say, or one of them about the
    age, or the home of somebody else. Of texts with their subjects."""
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


def _names_whom(fact: Fact, old: _Known, material: Material) -> bool:
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
    """Whether a note may change one of an earlier request that is not saved yet, as `meant_by`
    decides it. `said` is what the note was drawn from; who talks is not known here."""
    # Which of the messages it was is not known, either; a note without words names them all.
    fact = replace(fact.named, known=1, message=None if fact.text else 1)
    row = FactRow(
        **{"id": uuid4(), "content": earlier.named.text, "importance": earlier.importance},
        **{"subject": earlier.subject, "topic": earlier.topic, "written_by": "model"},
    )
    material = Material([row], [(1, "\n".join(said))], person="", character="")
    slot = slot_of(fact.text, fact.subject, fact.topic)
    return meant_by(fact, _all_known(material), material, slot) is not None


def outdated(
    sentences: Sequence[str], material: Material, changes: Sequence[Any], *, is_new: bool
) -> set[str]:
    """The sentences of a summary that no longer hold.

    A known fact contradicts them that stays; or, of old ones, a fact that is new or that the person
    wrote, or they say what is replaced or withdrawn. New sentences that the messages bear out are
    outdated only by facts of later messages: when a message is edited, the summary goes back behind
    it, and the facts after it stay, whatever the changes say that they replace.
    """
    everything = _all_known(material)
    rows = {str(old.row.id): old.row for old in everything}
    gone = {
        one
        for change in changes
        for one in change.get("replaces", ())
        if one in rows and not _is_later(rows[one], change["to"])
    }
    known = [old for old in everything if material.is_later(old.row)]
    if not is_new:
        known += [
            old for old in everything if old.row.since is not None and str(old.row.id) not in gone
        ]
    stale = {one for one in sentences if known and _contradicted(one, known, material) is not None}
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
            if own and _contradicted(one, own, material) and not _is_known(one, everything)
        }
    return stale


def _is_made_up(sentence: str, kept: Sequence[_Known], material: Material) -> bool:
    """Whether a sentence contradicts what is kept, and no message bears it out."""
    words = Words(sentence)
    against = [old for old in kept if not _bears_out(words, old, material)]
    return _contradicted(sentence, against, material) is not None


def _is_known(sentence: str, known: Sequence[_Known]) -> bool:
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
        _key(slot) == _key(_slot_of(change, material))
        and likeness(words, Words(change["content"])) is None
        and not may_share_slot(words, Words(change["content"]))
        for change in changes
        if change.get("content")
    )


def _slot_of(change: Any, material: Material) -> Slot | None:
    subject, topic = change.get("subject") or "", change.get("topic") or ""
    return slot_of(change["content"], subject, topic, material.person)


def _contradicted(sentence: str, known: Sequence[_Known], material: Material) -> FactRow | None:
    """A current fact that a sentence contradicts."""
    words, slot = Words(sentence), slot_of(sentence, person=material.person)
    for old in known:
        is_other = old.is_current and likeness(words, old.words) is None
        if is_other and _excludes(words, slot, old, None, material):
            return old.row
    return None


def _excludes(
    words: Words, slot: Slot | None, old: _Known, message: int | None, material: Material
) -> bool:
    """Whether only one of the two can hold: the same subject and topic, or a value that changed."""
    if _answers_otherwise(words, slot, old):
        return True
    if not _differs_in_value(words, old.words):
        return False
    is_of_known_topic = slot is None and old.slot is not None
    return is_of_known_topic or material.tells_change(words, old.words, message)


def _answers_otherwise(words: Words, slot: Slot | None, old: _Known) -> bool:
    """Whether a known fact has the same subject and topic, and another value."""
    is_about_same = slot is not None and _key(slot) == _key(old.slot)
    return is_about_same and not may_share_slot(words, old.words)


def _key(slot: Slot | None) -> Slot | None:
    return (slot[0].casefold(), slot[1].casefold()) if slot else None


def used_ids(material: Material) -> list[str]:
    """The ids of known facts that the messages mention: those with most of their words in them."""
    found = []
    for row in material.known:
        bearing = material.bearing(Words(row.content))
        if row.id is not None and bearing and 2 * len(bearing & material.said) > len(bearing):
            found.append(str(row.id))
    return found[:MAX_USED]


def most_relevant(known: Sequence[FactRow], texts: Iterable[str]) -> list[int]:
    """The places of the known facts; those that share most with the texts come first."""
    said = {stem for text in texts for stem in Words(text).content}
    shared = [len(Words(row.content).content & said) for row in known]
    return sorted(range(len(known)), key=lambda place: -shared[place])
