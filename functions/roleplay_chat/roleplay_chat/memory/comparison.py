"""Compares sentences by their words: whether they say the same, contradict, or differ in a value.

Where words cannot tell, the answer is no.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from itertools import dropwhile
from typing import Literal

from msgspec import Struct

from edge.patterns import compiled_later
from roleplay_chat.memory.kinds import is_rule
from roleplay_chat.memory.topics import FAMILY, SEVERAL, relative, tells_topic, times_of, value_of
from roleplay_chat.memory.wording import one_wording
from roleplay_chat.memory.words import (
    COMMON,
    JOINING,
    MOVABLE,
    NAMES_TOO,
    NEGATIONS,
    NO_NAMES,
    NUMBERS,
    bare,
    is_negation,
    is_sign,
    letter_pairs,
    read,
    stemmed,
    word_set,
    words_in,
)

MAX_ADDED_WORDS = 8
"""A fact that continues for longer than this says something else."""

_WEAKENING = compiled_later(
    r"(?:or|if|until|as (?:long|soon|far)|in (?:law|chief))\b|and\b.* (?:is|are|was|were)\b"
)
"""Continuations that do not simply add to a fact: they limit it ("if her father agrees"), turn a
sister into a sister-in-law, or begin another statement ("knows Tom and Jon are lying")."""

_BEING = word_set("is are was were")

_MANY_VALUED = _BEING | word_set(
    """like love hate dislike fear know want see saw meet met have has had own need can speak enjoy
    trust"""
)
"""Verbs, as `Words.stems` has them, that can be true of many things at once."""

_FOND = word_set("like love enjoy adore")
_AVERSE = word_set("hate dislike detest loathe")

_NONE_OF = {
    **dict.fromkeys(("child", "children", "kid"), word_set("son daughter child children kid")),
    "sibling": word_set("brother sister sibling twin"),
    "pet": word_set("cat dog pet kitten puppy hamster rabbit parrot"),
}
"""By the word in "has no children": the words that tell of one after all."""

_PLACES = word_set("first second third half both twice once")
"""Numbers that do not say how many somebody has in all."""

_OF_SUCH = NUMBERS | word_set("new old older elder young younger little small big grown")
"""Words that may stand before those of `_NONE_OF`."""

_PRESENT = {"lived": "live", "worked": "work", "had": "have", "was": "is", "were": "are"}

_PAST = compiled_later(r".*\w\w(?<!e)ed$")

_ADDING_UP = word_set(
    """take owe remember wear collect carry teach lost broke gave took found bought sold won wrote
    told made ate drank stole left went came caught taught spent slept fought"""
)
"""Verbs that are true of one thing after another, and past forms, which stay true."""


class Words(Struct, frozen=True, dict=True):
    """The words of a text that distinguish facts."""

    text: str

    @cached_property
    def _all(self) -> list[str]:
        return words_in(self.text)

    @cached_property
    def _read(self) -> tuple[list[str], list[str]]:
        return read(self._all)

    @property
    def stems(self) -> list[str]:
        """In order, without articles and negations."""
        return self._read[0]

    @property
    def denied(self) -> list[str]:
        """The stem after each negation: "meat" in "no meat but fish"."""
        return self._read[1]

    @cached_property
    def told(self) -> list[str]:
        """The stems in the wording that stands for all that say the same."""
        return one_wording(self.stems, self.capitals)

    @cached_property
    def canonical(self) -> list[str]:
        """The stems in an order that ignores the places of some adverbs, of the two things in
        "likes tea and coffee", and of the words in "gulls Ada saw"."""
        core = [stem for stem in self.told if stem not in MOVABLE]
        follows = len(core) == 5 or JOINING.intersection(core[-4:-3])
        if core[-2:-1] == ["and"] and follows:
            core[-3::2] = sorted(core[-3::2])
        if len(core) == 3 and any(stem.upper() != stem for stem in core):
            first = core.index(min(core))
            core = core[first:] + core[:first]
        return core + sorted(stem for stem in self.told if stem in MOVABLE)

    @cached_property
    def content(self) -> set[str]:
        """The words that carry meaning; pairs of letters of those in scripts without spaces."""
        common = COMMON - (self.capitals & NAMES_TOO)
        words = (stem for stem in self.stems if not is_sign(stem))
        kept = (stem for stem in words if stem not in common)
        return {part for stem in kept for part in letter_pairs(stem)}

    @cached_property
    def is_negated(self) -> bool:
        """Not if there are two negations of each other: "never has no dog"."""
        words = [word.casefold() for word in self._all]
        found = [word if word in NEGATIONS else "not" for word in words if is_negation(word)]
        return len(found) % 2 == 1 or len(set(found)) == 1

    @cached_property
    def numbers(self) -> list[str]:
        return [stem for stem in self.stems if stem in NUMBERS or any(map(str.isdigit, stem))]

    @cached_property
    def capitals(self) -> set[str]:
        """Words that may be names."""
        return {stemmed(word) for word in self._all if word[:1].isupper()}

    @cached_property
    def bare(self) -> set[str]:
        """The words, "tom" for "Tom's"."""
        return bare(self.stems)

    @property
    def owner(self) -> set[str]:
        """The name with which "Tom's dog is old" begins."""
        return {stem.removesuffix("'s") for stem in self.stems[:1] if stem.endswith("'s")}

    @property
    def names(self) -> set[str]:
        """Words that may be names and carry meaning, "tom" for "Tom's"."""
        return {stem.removesuffix("'s") for stem in self.capitals & self.content}

    @property
    def relative(self) -> set[str]:
        """The family word with which "Ada's brother is old" or "Her older brother" begins."""
        return relative(self.stems)

    @cached_property
    def named_relation(self) -> list[str]:
        """In a fact about the name of a relative or an animal, whose name it is: "ada's sister" in
        "Imke is Ada's sister"."""
        place = next((n for n, stem in enumerate(self.told) if stem in _BEING), 0)
        whose, value = self.told[:place], self.told[place + 1 :]
        is_name = bool(value) and self.capitals.issuperset(value)
        is_relation = bool(whose) and whose[0].endswith("'s") and not FAMILY.isdisjoint(whose)
        return whose if is_name and is_relation else []

    @cached_property
    def tells_topic(self) -> bool:
        """Whether the words alone tell whom the fact is about, and in what respect."""
        return tells_topic(self.text)

    @cached_property
    def value(self) -> list[str]:
        """The name of the home, the spouse and so on: "Oslo" in "lives in Oslo"."""
        return value_of(self.text)

    @cached_property
    def times(self) -> set[str]:
        """The recurring times at which the fact holds."""
        return times_of(self.text)

    @property
    def gist(self) -> str:
        """A hash that is equal for texts that say the same (`likeness`)."""
        told = [self.canonical, self.denied]
        return hashlib.md5(json.dumps(told).encode(), usedforsecurity=False).hexdigest()


Likeness = Literal["same", "more", "less"]


def likeness(new: Words, old: Words) -> Likeness | None:
    """Whether the new fact says the same as the old one, more or less of it; None: something else.

    Articles, inflections and the most common synonyms (`wording`) make no difference; the order
    must be the same except for adverbs, and what is denied must agree.
    """
    if new.denied != old.denied:
        return None
    if new.canonical == old.canonical:
        return "same"
    if new.denied:
        # "Not touched in public" is less than "not touched".
        return None
    if _goes_on(new, old):
        return "more"
    return "less" if _goes_on(old, new) else None


def _goes_on(longer: Words, shorter: Words) -> bool:
    """Whether `longer` begins like `shorter` and adds a clause without another number, or more of
    the name of a home, a spouse and so on: "Oslo, Norway"."""
    size = len(shorter.told)
    added = longer.told[size:]
    is_longer = size > 1 and longer.told[:size] == shorter.told
    if not is_longer or not 0 < len(added) <= MAX_ADDED_WORDS or longer.numbers != shorter.numbers:
        return False
    if added[0] in JOINING:
        return not _WEAKENING.match(" ".join(added))
    return longer.capitals.issuperset(added) and _has_same_value(longer, shorter)


def _has_same_value(one: Words, other: Words) -> bool:
    """Whether both tell the same name, one of them perhaps a longer form."""
    size = min(len(one.value), len(other.value))
    return size > 0 and one.value[:size] == other.value[:size]


def may_share_slot(one: Words, other: Words) -> bool:
    """Whether facts with the same subject and topic may both hold: they have the same value, or
    different recurring times."""
    is_other_time = bool(one.times and other.times) and one.times != other.times
    return is_other_time or _has_same_value(one, other)


def contradicts(new: Words, old: Words) -> bool:
    """Whether one fact denies the other in the same words, or the new one denies the beginning of
    the old one. Somebody who has no dog may still have the cat of "a dog and a cat"."""
    if _feel_otherwise(new, old) or _has_one_after_all(new, old):
        return True
    if new.is_negated == old.is_negated:
        return False
    denying, told = (new, old) if new.is_negated else (old, new)
    # "Eats meat again" means "eats meat"; "never met Tom again" is not "never met Tom".
    said = [stem for stem in told.canonical if stem != "again" or "again" in denying.canonical]
    if denying.canonical == said or _was_never(denying, told):
        return True
    is_part = new.is_negated and not old.denied and _goes_on(old, new)
    return is_part and old.told[len(new.told)] not in ("and", "but")


def _feel_otherwise(new: Words, old: Words) -> bool:
    """Whether one fact says that somebody likes something and the other that they hate it. Somebody
    who does not love it may still like it. Rules are ended in other words."""
    (ours, what), (theirs, same) = _feeling(new), _feeling(old)
    return ours * theirs < 0 and what == same and not is_rule(old.text)


def _feeling(words: Words) -> tuple[int, list[str]]:
    """1 for "Ada likes tea", -1 for "Ada hates tea" or "does not like tea", else 0; and the
    words for whom and what."""
    verb, rest = words.told[1:2], words.told[:1] + words.told[2:]
    if not words.denied:
        return _FOND.issuperset(verb) - _AVERSE.issuperset(verb), rest
    return -(words.denied == verb and verb in (["like"], ["enjoy"])), rest


def _has_one_after_all(new: Words, old: Words) -> bool:
    """Whether the old fact says that somebody has no children, for example, and the new one tells
    of a son."""
    none = _NONE_OF.get(" ".join(old.told[2:]))
    whom = old.told[0]
    if none is None or old.told[1] != "have" or old.denied != old.told[2:] or new.denied:
        return False
    begins = next((b for b in ([whom, "have"], [f"{whom}'s"]) if new.told[: len(b)] == b), None)
    if begins is None:
        return False
    told = list(dropwhile(_OF_SUCH.__contains__, new.told[len(begins) :]))
    after = list(dropwhile(none.__contains__, told))
    # Not if the new fact is about a cat allergy, or a brother-in-law.
    is_whole = not after or after[0] in _BEING | {"called"} | new.capitals
    goes_on = is_whole or (after[0] in JOINING and not _WEAKENING.match(" ".join(after)))
    return len(after) < len(told) and goes_on


def _was_never(denying: Words, told: Words) -> bool:
    """Whether one fact says that something never was so, and the other that it is. "Never works"
    does not count: somebody may have worked before."""
    is_past = not {*_PRESENT, "been"}.isdisjoint(denying.stems)
    is_never = is_past and "never" in denying.text.casefold()
    return is_never and _in_the_present(denying) == _in_the_present(told)


def _in_the_present(words: Words) -> list[str]:
    stems = [
        _PRESENT.get(stem, stem)
        for stem, following in zip(words.stems, [*words.stems[1:], ""], strict=True)
        if stem != "have" or following not in {*_PRESENT, "been"}
    ]
    return one_wording(["is" if stem == "been" else stem for stem in stems], words.capitals)


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
    is_value = shortest > 0 and differing <= 2 and not values & JOINING
    return is_value and begins >= 2 and begins + ends >= least


def has_other_number(new: Words, old: Words) -> bool:
    """Whether the facts say that somebody has different numbers of the same thing: three dogs, not
    two."""
    are_counted = all(words.stems[1:3] == ["have", *words.numbers] for words in (new, old))
    is_other = new.numbers != old.numbers and _PLACES.isdisjoint(new.numbers + old.numbers)
    return are_counted and is_other and new.stems[3:] == old.stems[3:]


def may_both_hold(new: Words, old: Words) -> bool:
    """Whether twins may both be true, because there can be several of the kind: sisters, limits,
    promises, fears, traits of a mother, friendships, things somebody did once."""
    shared = new.bare & old.bare
    is_past = not shared & _BEING and any(map(_PAST.match, shared))
    is_trait = bool((new.bare | old.bare) & FAMILY and shared & _BEING)
    several = SEVERAL | _ADDING_UP | _MANY_VALUED - _BEING - {"want"}
    are_rules = is_limit(new) and is_limit(old)
    return new.is_negated or are_rules or bool(shared & several) or is_trait or is_past


def is_limit(fact: Words) -> bool:
    """Whether a fact says what somebody must not do, does not want or has promised: there may be
    several such facts."""
    return fact.is_negated or is_rule(fact.text)


def _without_end(stems: list[str]) -> list[str]:
    """The words without an empty phrase at the end, such as "as was said"."""
    length = len(stems)
    while length and stems[length - 1] in COMMON:
        length -= 1
    return stems[:length]


def _common_length(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def are_of_others(one: Words, whom_one: set[str], other: Words, whom_other: set[str]) -> bool:
    """Whether two facts are about different people (or things), and neither names the other's."""
    whom_one, whom_other = whom_one or one.owner, whom_other or other.owner
    if not whom_one or not whom_other:
        return _differ_in_name(one, other)
    return whom_one.isdisjoint(whom_other | other.bare) and whom_other.isdisjoint(one.bare)


def _differ_in_name(one: Words, other: Words) -> bool:
    """Whether two facts begin with different names and are otherwise equal."""
    names = {*one.stems[:1], *other.stems[:1]}
    are_names = names <= one.capitals | other.capitals and not names & NO_NAMES
    return len(names) == 2 and are_names and one.stems[1:] == other.stems[1:] != []
