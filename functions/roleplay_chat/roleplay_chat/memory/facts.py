"""Facts compared with those that are known: duplicates, contradictions, relevance. Pure.

Everything here judges by words. Where it cannot tell, both facts stay: a fact that is noted twice
does less harm than one that is lost.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from roleplay_chat.api import MemoryTier
from roleplay_chat.rows import FactRow
from roleplay_chat.screening.normalize import stream_safe

TIERS: tuple[MemoryTier, ...] = ("conversation", "character", "profile")
"""From the narrowest to the widest."""
MAX_ADDED_WORDS = 8
"""A fact that goes on for longer than this says something else."""
MAX_SUBJECT_WORDS = 4
MAX_USED = 50

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SKIPPED = _set(
    """a an the der die das ein eine einen le la les un une el los las do does did now currently
    still also very really just"""
)
"""Articles, auxiliaries and adverbs that change nothing."""
_NEGATIONS = _set("not no never nobody nothing none without cannot nicht kein keine")
_NUMBERS = _set(
    """one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty
    hundred thousand first second third half both twice once"""
)
_JOINING = _set(
    """with in on at for and or but because from since near of to by as when while after before
    until who which that if so under over into about during where"""
)
"""Words that go on with a fact that was complete before them."""
_COMMON = (
    _SKIPPED
    | _JOINING
    | _set(
        """is are was were be been has have had will would can could may might should her his their
        its she he they it him them this there called named said told mentioned"""
    )
)
_MANY_VALUED = _set(
    """like love hate dislike fear know want see saw meet met have has had own need can speak enjoy
    trust is are was were"""
)
"""Verbs, as `Words.stems` has them, that are true of many things at a time."""

_SUBJECT = r"(?P<subject>[^\s,.;:!?][^,.;:!?]{0,59}?)(?: now| currently| still)*"
_NUMBER = rf"(?:\d{{1,3}}|(?:{'|'.join(sorted(_NUMBERS))})(?:[- ]\w+)?)"
_SLOTS = tuple(
    (topic, re.compile(rf"^{_SUBJECT}{said}", re.IGNORECASE))
    for topic, said in (
        ("home", r" (?:lives|resides|is living|has settled|settled) (?:now )?(?:in|at|on|near)\b"),
        ("home", r" (?:has moved|moved|is moving) to (?-i:[A-Z])"),
        ("job", r" (?:works|is working|has started working|is employed) as\b"),
        ("workplace", r" (?:works|is working|is employed) (?:at|for|in)\b"),
        ("age", rf" (?:is|has turned|turned) {_NUMBER}(?: years? old|\W*$)"),
        ("name", r"(?:['’]s name is| is called| is named) "),
        ("spouse", r"(?:['’]s (?:husband|wife|spouse) is| is married to) (?-i:[A-Z])"),
        ("birthday", r"['’]s birthday is "),
        (r"favourite", r"['’]s favou?rite (?P<what>\w+(?: \w+)?) (?:is|are|has become)\b"),
    )
)
"""What somebody has one of at a time, in the words of plain English facts."""
_POSSESSION = re.compile(
    r"^(?P<subject>[^\W\d_]\w*)['’]s (?P<what>[a-z]+(?: [a-z]+)?) is (?:called )?(?:[A-Z]|an? )"
)
"""The same for "Ada's doctor is Tom", where that is not one of `_SEVERAL`."""
_SEVERAL = _set(
    """sister brother son daughter child cousin aunt uncle niece nephew friend neighbour neighbor
    colleague teacher cat dog pet horse"""
)
_CHANGE = re.compile(
    r"\b(?:now|nowadays|no longer|any ?more|instead|these days|from now on|another|changed|moved"
    r"|g[ai]ven? up)\b",
    re.IGNORECASE,
)
"""Words by which people say that something is no longer as it was."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_TOPICS = {
    "home": _set("residence city place address lives living lives_in current_home"),
    "job": _set("occupation profession work career role"),
    "spouse": _set("husband wife partner marriage"),
}
_SAME_TOPIC = {name: topic for topic, names in _TOPICS.items() for name in names}
_MANY = _set(
    """like likes dislike dislikes preference preferences hobby hobbies interest interests family
    friend friends friendship pet pets promise promises event events fear fears skill skills memory
    memories other misc general fact facts relationship relationships limit limits history
    background trait traits possession possessions food secret secrets story"""
)
"""Topics of which somebody has any number, so that a new fact replaces none."""

_LASTING = re.compile(
    r"\b(?:mother|father|mum|mom|dad|parents?|sisters?|brothers?|siblings?|sons?|daughters?"
    r"|child(?:ren)?|husband|wife|spouse|married|engaged|widow(?:er)?|grand(?:mother|father|parents?)"
    r"|aunt|uncle|cousins?|niece|nephew|family|promise[ds]?|vow(?:s|ed)?|swore|sworn|oath"
    r"|(?:is|are) (?:called|named)|name is|allerg\w+|boundar(?:y|ies)|safe ?words?|off[- ]limits"
    r"|must(?: not|n['’]t| never)|(?:does not|doesn['’]t|do not|don['’]t) want)\b",
    re.IGNORECASE,
)
"""Names, family, promises and limits, in the words of plain English facts."""
LASTING, USUAL = 5, 3
"""Importance of these, and of anything else, where a model says nothing."""


def importance_of(text: str) -> int:
    """The importance of a fact that a model did not rate."""
    return LASTING if _LASTING.search(text) else USUAL


@dataclass(frozen=True)
class Fact:
    """A change of the memory that a model noted, cleaned.

    `known` is the number of the known fact that it replaces or withdraws, `message` that of the
    message that says so; both may be wrong.
    """

    tier: MemoryTier
    text: str
    action: Literal["add", "replace", "withdraw"] = "add"
    known: int | None = None
    importance: int = 3
    subject: str = ""
    topic: str = ""
    message: int | None = None


@dataclass(frozen=True)
class Words:
    """The words of a text, as far as they tell facts apart."""

    text: str

    @cached_property
    def _all(self) -> list[str]:
        text = unicodedata.normalize("NFKC", stream_safe(self.text))
        return _WORD.findall(text.replace("’", "'"))

    @cached_property
    def stems(self) -> list[str]:
        """In order, without articles and negations."""
        words = [word.casefold() for word in self._all]
        kept = [
            _stem(word)
            for before, word in zip(["", *words], words, strict=False)
            if word not in _SKIPPED
            and not _is_negation(word)
            and not (word in ("longer", "more") and before in ("no", "any"))
        ]
        return kept or words

    @cached_property
    def sorted_stems(self) -> list[str]:
        return sorted(self.stems)

    @cached_property
    def content(self) -> set[str]:
        """The words that carry meaning."""
        return {stem for stem in self.stems if stem not in _COMMON}

    @cached_property
    def is_negated(self) -> bool:
        return sum(_is_negation(word.casefold()) for word in self._all) % 2 == 1

    @cached_property
    def numbers(self) -> list[str]:
        return [stem for stem in self.stems if stem in _NUMBERS or any(map(str.isdigit, stem))]

    @cached_property
    def capitals(self) -> set[str]:
        """Words that may be names."""
        return {_stem(word.casefold()) for word in self._all if word[:1].isupper()}


def _is_negation(word: str) -> bool:
    return word in _NEGATIONS or word.endswith("n't")


def _stem(word: str) -> str:
    return (
        word[:-1]
        if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "'s"))
        else word
    )


Likeness = Literal["same", "more", "less"]


def likeness(new: Words, old: Words) -> Likeness | None:
    """Whether the new fact says the same as the old one, more or less of it; None: something else.

    The same words in another order, with other articles or inflections, are the same; names must
    be in the same order, and numbers and negations must agree.
    """
    if new.is_negated != old.is_negated:
        return None
    if new.sorted_stems == old.sorted_stems and _names(new, old) == _names(old, new):
        return "same"
    if _goes_on(new, old):
        return "more"
    return "less" if _goes_on(old, new) else None


def _names(words: Words, other: Words) -> list[str]:
    """Its words that either text writes as names, in order, and the one that it begins with."""
    names = words.capitals | other.capitals
    return [stem for place, stem in enumerate(words.stems) if place == 0 or stem in names]


def _goes_on(longer: Words, shorter: Words) -> bool:
    """Whether `longer` begins like `shorter` and adds a clause without another number."""
    size = len(shorter.stems)
    added = longer.stems[size:]
    return (
        size > 1
        and longer.stems[:size] == shorter.stems
        and 0 < len(added) <= MAX_ADDED_WORDS
        and added[0] in _JOINING
        and longer.numbers == shorter.numbers
    )


def contradicts(new: Words, old: Words) -> bool:
    """Whether one fact denies what the other says in the same words."""
    return new.is_negated != old.is_negated and new.sorted_stems == old.sorted_stems


def is_twin(new: Words, old: Words) -> bool:
    """Whether the facts differ in one value of a word or two: "Ada plays the flute", "the harp".

    Not with a verb that is true of many things, unless more than that verb is the same.
    """
    ours, theirs = _without_end(new.stems), _without_end(old.stems)
    if new.is_negated != old.is_negated or ours == theirs:
        return False
    begins = _common_length(ours, theirs)
    ends = _common_length(ours[begins:][::-1], theirs[begins:][::-1])
    differing = max(len(ours), len(theirs)) - begins - ends
    shortest = min(len(ours), len(theirs)) - begins - ends
    values = {*ours[begins : len(ours) - ends], *theirs[begins : len(theirs) - ends]}
    least = 3 if set(ours[:2]) & _MANY_VALUED else 2
    is_value = shortest > 0 and differing <= 2 and not values & _JOINING
    return is_value and begins >= 2 and begins + ends >= least


def _without_end(stems: list[str]) -> list[str]:
    """Without words at the end that say nothing: "as was said"."""
    length = len(stems)
    while length and stems[length - 1] in _COMMON:
        length -= 1
    return stems[:length]


def _common_length(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def slot_of(
    text: str, subject: str = "", topic: str = "", person: str = ""
) -> tuple[str, str] | None:
    """The subject and topic of a fact, if it can be true of one thing at a time only.

    Plain words count more than what a model named. `person` is the name of the user.
    """
    if (plain := _plain_slot(text, person)) is not None:
        return plain
    found = _POSSESSION.match(text)
    if found and not topic and not _SEVERAL & set(found["what"].split()):
        return _about(found["subject"], person), found["what"]
    topic = topic.casefold().strip()
    topic = _SAME_TOPIC.get(topic, topic)
    if not subject or not topic or topic in _MANY:
        return None
    return _about(subject, person), topic


def _plain_slot(text: str, person: str) -> tuple[str, str] | None:
    for name, pattern in _SLOTS:
        found = pattern.match(text)
        if found and len(found["subject"].split()) <= MAX_SUBJECT_WORDS:
            what = f"{name} {found['what']}" if name == "favourite" else name
            return _about(found["subject"], person), what.casefold()
    return None


def _about(subject: str, person: str) -> str:
    subject = " ".join(
        word for word in subject.split() if word.casefold() not in ("the", "a", "an")
    )
    is_person = subject.casefold() in ("user", "person", "{{user}}", "i", "you")
    return person if is_person and person else subject


@dataclass(eq=False)
class _Known:
    """A current fact, and what is compared of it."""

    row: FactRow
    slot: tuple[str, str] | None
    is_current: bool

    @cached_property
    def words(self) -> Words:
        return Words(self.row.content)


@dataclass(frozen=True)
class Material:
    """What the facts were noted from."""

    known: Sequence[FactRow]
    """In the order of their numbers, from 1."""
    messages: Sequence[tuple[int, str]]
    """Positions and texts, in the order of their numbers, from 1."""
    person: str
    """The names of the two who talk."""
    character: str
    _names: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        names = Words(f"{self.person} {self.character}").stems
        self._names.update(names, (f"{name}'s" for name in names))

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
        return row.position is not None and row.position > self.messages[-1][0]

    def source(self, words: Words, message: int | None) -> tuple[int, int]:
        """The positions of the message that a fact was drawn from.

        That is the one that the model named, unless that has no word of the fact and another has
        half of them; without one the message that has most. All messages, if none has half.
        """
        bearing, place = self.bearing(words), self._place(message)
        if place < 0 or not self.is_said(bearing, message, at_least=1):
            shares = [len(bearing & said) for said in self._said]
            best = max(range(len(shares)), key=lambda place: (shares[place], place))
            if bearing and 2 * shares[best] >= len(bearing):
                place = best
        if place < 0:
            return self.messages[0][0], self.messages[-1][0]
        return self.messages[place][0], self.messages[place][0]

    def is_said(self, bearing: set[str], message: int | None, *, at_least: int) -> bool:
        """Whether the named message has so many of these words."""
        place = self._place(message)
        return place >= 0 and len(bearing & self._said[place]) >= at_least

    def _place(self, message: int | None) -> int:
        return message - 1 if message is not None and 0 < message <= len(self.messages) else -1

    @cached_property
    def _changes(self) -> list[tuple[int, set[str]]]:
        """The words of sentences that tell of a change, with the places of their messages."""
        return [
            (place, set(Words(sentence).stems))
            for place, (_, text) in enumerate(self.messages)
            if _CHANGE.search(text)
            for sentence in _SENTENCE_END.split(text)
            if _CHANGE.search(sentence)
        ]

    def tells_change(self, new: Words, old: Words, message: int | None) -> bool:
        """Whether the message, or any if none is named, says that the new value is a change."""
        values, named = set(new.stems) - set(old.stems), self._place(message)
        return any(values <= said for place, said in self._changes if named in (-1, place))

    def bearing(self, words: Words) -> set[str]:
        """What a fact says beside the names of the two."""
        return words.content - self._names


def resolve(
    noted: Sequence[Fact], material: Material, sentences: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The changes in the format of private.note_fact. What cannot be right is left out.

    `sentences` are new in the summary. They change facts that they contradict, as a model may
    mention a change there alone.
    """
    known = [_Known(row, _slot(row, material), row.id is not None) for row in material.known]
    changes = [
        _withdrawal(fact, known, material)
        if fact.action == "withdraw"
        else _note(fact, known, material)
        for fact in noted
    ]
    for sentence in sentences:
        told = [old for old in known if not material.is_later(old.row) and not old.row.is_fixed]
        if (old := _contradicted(sentence, told, material)) is not None:
            fact = Fact(old.tier, sentence, importance=old.importance)
            changes.append(_note(fact, known, material))
    return [change for change in changes if change is not None]


def outdated(
    sentences: Sequence[str], material: Material, changes: Sequence[Any], *, is_new: bool
) -> set[str]:
    """The sentences of a summary that a known fact contradicts, but for those that changed now.

    Sentences that the messages brought are outdated only by facts of later messages: when a message
    is edited, the summary goes back behind it, and the facts after it stay.
    """
    gone = {one for change in changes for one in change.get("replaces", ())}
    known = [
        _Known(row, _slot(row, material), True)
        for row in material.known
        if str(row.id) not in gone and (material.is_later(row) if is_new else row.since is not None)
    ]
    return {one for one in sentences if known and _contradicted(one, known, material) is not None}


def _contradicted(sentence: str, known: list[_Known], material: Material) -> FactRow | None:
    """A current fact that a sentence contradicts."""
    words = Words(sentence)
    slot = slot_of(sentence, person=material.person)
    for old in known:
        if (
            old.is_current
            and likeness(words, old.words) is None
            and _takes_place(words, slot, old, None, material)
        ):
            return old.row
    return None


def _slot(row: FactRow, material: Material) -> tuple[str, str] | None:
    return slot_of(row.content, row.subject or "", row.topic or "", material.person)


def _takes_place(
    words: Words,
    slot: tuple[str, str] | None,
    old: _Known,
    message: int | None,
    material: Material,
) -> bool:
    """Whether only one of the two can hold: the same subject and topic, or a value that changed."""
    if slot is not None and _key(slot) == _key(old.slot):
        return True
    if not is_twin(words, old.words):
        return False
    return (slot is None and old.slot is not None) or material.tells_change(
        words, old.words, message
    )


def _withdrawal(fact: Fact, known: list[_Known], material: Material) -> dict[str, Any] | None:
    old = _meant(fact, known, material)
    if old is None:
        return None
    old.is_current = False
    first, last = material.source(old.words, fact.message)
    return {
        **{"tier": old.row.tier, "content": old.row.content, "is_withdrawal": True},
        **{"replaces": [str(old.row.id)], "from": first, "to": last},
    }


def _note(fact: Fact, known: list[_Known], material: Material) -> dict[str, Any] | None:
    words = Words(fact.text)
    if any(not old.is_current and likeness(words, old.words) for old in known):
        return None  # It was replaced by the same answer.
    slot = _slot_of_note(fact, words, known, material)
    first, last = material.source(words, fact.message)
    change: dict[str, Any] = {
        **{"tier": fact.tier, "content": fact.text, "importance": fact.importance},
        **{"from": first, "to": last},
    }
    if slot or fact.subject:
        change["subject"] = slot[0] if slot else fact.subject
    if slot:
        change["topic"] = slot[1]
    alike = [(old, likeness(words, old.words)) for old in known if old.is_current]
    for old, how in alike:
        is_wider = TIERS.index(fact.tier) > TIERS.index(old.row.tier)
        adds = material.bearing(words) - material.bearing(old.words)
        says_no_more = how in ("same", "less") or (how == "more" and not adds & material.said)
        if says_no_more and (old.row.is_fixed or not is_wider):
            newest = fact.text if how == "same" else old.row.content
            return {**change, "content": newest, "same_as": str(old.row.id)}
    less = [old for old, how in alike if how is not None and not old.row.is_fixed][:1]
    for old in less:
        change["extends"] = str(old.row.id)
    denied = [
        old
        for old in known
        if old.is_current
        and not old.row.is_fixed
        and old not in less
        and (
            contradicts(words, old.words) or _takes_place(words, slot, old, fact.message, material)
        )
    ]
    meant = _meant(fact, known, material, slot) if fact.action == "replace" else None
    if meant is not None and meant not in [*less, *denied]:
        denied.append(meant)
    for old in [*less, *denied]:
        old.is_current = False
    replaced = sorted(str(old.row.id) for old in denied)
    return {**change, "replaces": replaced} if replaced else change


def _slot_of_note(
    fact: Fact, words: Words, known: list[_Known], material: Material
) -> tuple[str, str] | None:
    """The slot of a note; that of a known fact which differs in one value, if it has none."""
    named = slot_of(fact.text, fact.subject, fact.topic, material.person)
    if fact.topic or _plain_slot(fact.text, material.person):
        return named
    twins = (old.slot for old in known if old.is_current and is_twin(words, old.words))
    return next(filter(None, twins), named)


def _key(slot: tuple[str, str] | None) -> tuple[str, str] | None:
    return (slot[0].casefold(), slot[1].casefold()) if slot else None


def _meant(
    fact: Fact, known: list[_Known], material: Material, slot: tuple[str, str] | None = None
) -> _Known | None:
    """The known fact that a note replaces or withdraws; None if it must stay, or is another one.

    Models number wrongly. So the new fact, or the message that it names, must have half of the
    words of the old one, or the messages together all of them.
    """
    if fact.known is None or not 0 < fact.known <= len(known):
        return None
    old = known[fact.known - 1]
    if not old.is_current or old.row.is_fixed:
        return None
    if slot and old.slot:
        return old if _key(slot) == _key(old.slot) else None
    bearing, new = material.bearing(old.words), material.bearing(Words(fact.text))
    shares_half = bool(new) and 2 * len(bearing & new) >= min(len(bearing), len(new)) > 0
    is_said = material.is_said(bearing, fact.message, at_least=max((len(bearing) + 1) // 2, 1))
    return old if shares_half or is_said or bearing <= material.said else None


def used(material: Material) -> list[str]:
    """The ids of known facts that the messages speak of: most of their words."""
    found = []
    for row in material.known:
        bearing = material.bearing(Words(row.content))
        if row.id is not None and bearing and 2 * len(bearing & material.said) > len(bearing):
            found.append(str(row.id))
    return found[:MAX_USED]


def most_relevant(known: Sequence[FactRow], texts: Iterable[str]) -> list[int]:
    """The places of the known facts, first those that share most with the texts."""
    said = {stem for text in texts for stem in Words(text).content}
    shared = [len(Words(row.content).content & said) for row in known]
    return sorted(range(len(known)), key=lambda place: -shared[place])
