"""Compares sentences by their words: whether they say the same, contradict, or have one topic.

The rules for single values know plain English. Where words cannot tell, the answer is no.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from edge.patterns import compiled_later
from roleplay_chat.screening.normalize import stream_safe

MAX_ADDED_WORDS = 8
"""A fact that continues for longer than this says something else."""
MAX_SUBJECT_WORDS = 4
MAX_NAME_CHARS = 80
"""Of a subject and of a topic: `memory_facts` takes no more."""

_WORD = compiled_later(r"\w+(?:['’]\w+)*")
_WITHOUT_SPACES = compiled_later(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese letters."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SKIPPED = _set(
    """a an the der die das ein eine einen le la les un une el los las do does did now currently
    still also very really just"""
)
"""Articles, auxiliaries and adverbs that change nothing."""
_NEGATIONS = _set("not no never nobody nothing none without cannot nicht kein keine")
_CONTRACTED = {"cannot": "can", "can't": "can", "won't": "will", "shan't": "shall"}
_PRONOUNS = _set("he she they it")
"""Whom they mean, the words of a fact do not tell."""
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
_FROM = r"(?: from (?-i:[A-Z])[\w ]{0,30}?)?"
_WHEN = r"(?: now| today| yesterday| (?:last|this) \w+| (?:in|on) [\w ]{1,20})?"
_SLOTS = tuple(
    (topic, compiled_later(rf"^{_SUBJECT}{said}", re.IGNORECASE))
    for topic, said in (
        ("home", r" (?:lives|resides|is living|has settled|settled) (?:now )?(?:in|at|on|near)\b"),
        ("home", rf" (?:has moved|moved|is moving){_FROM} to (?-i:[A-Z])"),
        ("job", r" (?:works|is working|has started working|is employed) as\b"),
        ("workplace", r" (?:works|is working|is employed) (?:at|for|in)\b"),
        ("age", rf" (?:is|has turned|turned) {_NUMBER}(?: years? old|{_WHEN}\W*$)"),
        ("name", r"(?:['’]s name is| is called| is named) "),
        ("spouse", r"(?:['’]s (?:husband|wife|spouse) is| is married to) (?-i:[A-Z])"),
        ("birthday", r"['’]s birthday is "),
        (r"favourite", r"['’]s favou?rite (?P<what>\w+(?: \w+)?) (?:is|are|has become)\b"),
    )
)
"""What somebody has one of at a time, in the words of plain English facts."""
_POSSESSION = compiled_later(
    r"^(?P<subject>[^\W\d_]\w*)['’]s (?P<what>[a-z]+(?: [a-z]+)?) is (?:called )?(?:[A-Z]|an? )"
)
"""The same for "Ada's doctor is Tom", where that is not one of `_SEVERAL`."""
_SEVERAL = _set(
    """sister brother son daughter child cousin aunt uncle niece nephew friend neighbour neighbor
    colleague teacher cat dog pet horse"""
)
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


@dataclass(frozen=True)
class Words:
    """The words of a text that distinguish facts."""

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
            _stem(affirmed)
            for before, word in zip(["", *words], words, strict=False)
            if (affirmed := _affirmed(word))
            and affirmed not in _SKIPPED
            and not (word in ("longer", "more") and before in ("no", "any"))
        ]
        return kept or words

    @cached_property
    def sorted_stems(self) -> list[str]:
        return sorted(self.stems)

    @cached_property
    def content(self) -> set[str]:
        """The words that carry meaning; pairs of letters of those in scripts without spaces."""
        kept = (stem for stem in self.stems if stem not in _COMMON)
        return {part for stem in kept for part in _pairs(stem)}

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

    @property
    def gist(self) -> str:
        """A hash that only texts have in common that say the same, as `likeness` has it. Where one
        writes a name without its capital they may differ."""
        told = [self.sorted_stems, _names(self, self), self.is_negated]
        return hashlib.md5(json.dumps(told).encode(), usedforsecurity=False).hexdigest()


def _pairs(stem: str) -> list[str]:
    if not _WITHOUT_SPACES.search(stem):
        return [stem]
    return [stem[place : place + 2] for place in range(max(len(stem) - 1, 1))]


def _is_negation(word: str) -> bool:
    return word in _NEGATIONS or word.endswith("n't")


def _affirmed(word: str) -> str:
    """The word without its negation: "is" for "isn't", and "" for "not"."""
    if word in _CONTRACTED:
        return _CONTRACTED[word]
    return "" if word in _NEGATIONS else word.removesuffix("n't")


def _stem(word: str) -> str:
    return (
        word[:-1]
        if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "'s"))
        else word
    )


Likeness = Literal["same", "more", "less"]
Slot = tuple[str, str]
"""A subject and a topic."""


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
    """The words that either text writes as names, in order, and the first word."""
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

    Not for a verb that can be true of many things, unless more than that verb is the same.
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
    """The words without an empty phrase at the end, such as "as was said"."""
    length = len(stems)
    while length and stems[length - 1] in _COMMON:
        length -= 1
    return stems[:length]


def _common_length(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def slot_of(text: str, subject: str = "", topic: str = "", person: str = "") -> Slot | None:
    """The subject and topic of a fact, if it can be true of one thing at a time only.

    Plain words count more than what a model named, unless a pronoun stands there. `person` is the
    name of the user.
    """
    subject = "" if subject.casefold() in _PRONOUNS else subject
    if (plain := plain_slot(text, subject, person)) is not None:
        return plain
    found = _POSSESSION.match(text)
    if found and not topic and not _SEVERAL & set(found["what"].split()):
        return _slot(_about(found["subject"], person), found["what"])
    topic = topic.casefold().strip()
    topic = _SAME_TOPIC.get(topic, topic)
    if not subject or not topic or topic in _MANY or _is_of_several(subject, topic):
        return None
    return _slot(_about(subject, person), topic)


def plain_slot(text: str, subject: str, person: str) -> Slot | None:
    """The slot in plain words; `subject` is whom a pronoun means, if it is known."""
    for name, pattern in _SLOTS:
        found = pattern.match(text)
        if found and len(found["subject"].split()) <= MAX_SUBJECT_WORDS:
            what = f"{name} {found['what']}" if name == "favourite" else name
            what = what.casefold().replace("color", "colour")
            about = subject if found["subject"].casefold() in _PRONOUNS else found["subject"]
            is_none = not about or _is_of_several(about, what)
            return None if is_none else _slot(_about(about, person), what)
    return None


def _slot(subject: str, topic: str) -> Slot | None:
    subject, topic = subject[:MAX_NAME_CHARS].strip(), topic[:MAX_NAME_CHARS].strip()
    return (subject, topic) if subject and topic else None


def _is_of_several(subject: str, topic: str) -> bool:
    """Whether the name may apply to several people: "Ada's sister"."""
    return topic == "name" and subject.casefold().split()[-1] in _SEVERAL


def _about(subject: str, person: str) -> str:
    subject = " ".join(
        word for word in subject.split() if word.casefold() not in ("the", "a", "an")
    )
    is_person = subject.casefold() in ("user", "person", "{{user}}", "i", "you")
    return person if is_person and person else subject
