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

import regex

from edge.patterns import compiled_later
from roleplay_chat.screening.normalize import stream_safe

MAX_ADDED_WORDS = 8
"""A fact that continues for longer than this says something else."""
MAX_SUBJECT_WORDS = 4
MAX_NAME_CHARS = 80
"""Of a subject and of a topic: `memory_facts` takes no more."""
MAX_FACT_CHARS = 300

_WORD = regex.compile(r"[^\W_]+(?:['’][^\W_]+)*|[\p{Sc}\p{So}+]")
"""With the vowel and tone signs of Indic and Thai scripts, which are no letters to `re`, and with
currencies and emoji, which may be all that differs."""
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
_NEGATIONS = _set(
    """not no never nobody nothing none without cannot nicht kein keine keinen keinem
    keiner"""
)
_DENYING = _set("не нет ни pas nie nunca jamás")
"""The same in languages in which two of them are still one."""
_MOVABLE = _set(
    """often alway sometime usually yesterday today tomorrow tonight alone again together"""
)
"""Stems of adverbs that mean the same at another place. "Only" does not."""
_CONTRACTED = {"cannot": "can", "can't": "can", "won't": "will", "shan't": "shall"}
_IRREGULAR = {"has": "have", "goe": "go"}
_PRONOUNS = _set("he she they it")
"""Whom they mean, the words of a fact do not tell."""
_THEIR = _set("her his their its")
_POSSESSIVES = _THEIR | _set("my our your")
_PERSON = _set("user person {{user}} i you")
"""What models call the user."""
_NUMBERS = _set(
    """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
    hundred thousand first second third half both twice once"""
)
_JOINING = _set(
    """with in on at for and or but because from since near of to by as when while after before
    until who which that if so under over into about during where"""
)
"""Words that go on with a fact that was complete before them."""
_WEAKENING = compiled_later(
    r"(?:or|if|until|as (?:long|soon|far)|in (?:law|chief))\b|and\b.* (?:is|are|was|were)\b"
)
"""What follows one of these joining words limits the fact ("if her father agrees"), makes a sister
a sister-in-law, or says something of Jon in "knows Tom and Jon are lying"."""
_COMMON = (
    _SKIPPED
    | _JOINING
    | _set(
        """is are was were be been has have had will would can could may might should her his their
        its she he they it him them this there called named said told mentioned"""
    )
)
_NAMES_TOO = _set("will may")
"""Names that are auxiliaries without a capital letter."""
_NO_NAMES = _COMMON - _NAMES_TOO | _PERSON
_PRONOUN = compiled_later(r"(?:he|she|they|(?P<whose>his|her|their))(?= )", re.IGNORECASE)
_BEING = _set("is are was were")
_MANY_VALUED = _BEING | _set(
    """like love hate dislike fear know want see saw meet met have has had own need can speak enjoy
    trust"""
)
"""Verbs, as `Words.stems` has them, that are true of many things at a time."""

_PAST = compiled_later(r".*\w\w(?<!e)ed$")
_ADDING_UP = _set(
    """take owe remember wear collect carry teach lost broke gave took found bought sold won wrote
    told made ate drank stole left went came caught taught spent slept fought"""
)
"""Verbs of which one does not end the other, and the past of others: it stays true."""

_SUBJECT = r"(?P<subject>[^\s,.;:!?][^,.;:!?]{0,59}?)(?: now| currently| still)*"
_CAPITAL = r"(?-i:[^\W\d_a-zß-ÿ])"
"""A capital letter, or one of a script without capitals."""
_NAME = (
    r"(?!\w+['’]|(?:\w+(?:ian|ean|can|ban|ish|ese|ic)|german|french|dutch|welsh|greek|swiss|czech"
    r"|thai|arab|afghan|roman|jew|muslim|hindu|sikh|israeli|pakistani|protestant|lutheran)\b)"
    rf"{_CAPITAL}"
)
"""The beginning of a name. Not of "Norwegian" or a name that looks so, and not "Tom's sister"."""
_PLACE = (
    r"(?!\w+(?: \w+){0,3}['’]|(?:january|february|march|april|may|june|july|august|september"
    rf"|october|november|december|spring|summer|autumn|winter)\b){_CAPITAL}"
)
"""The beginning of a place's name. Not of "Tom's house", which may be in that place, or a month."""
_AGE = (
    r"(?:\d{1,3}|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[- ](?:one|two|three"
    r"|four|five|six|seven|eight|nine))?|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
)
_KIND = (
    r"(?:an?|the) (?!moment\b|past\b|present\b|future\b|shadow|dream|world\b|same\b|hope|fear"
    r"|night|moon|table\b|door\b|window)\w"
)
"""The beginning of what sort of place something is: "the old mill", which may be in Oslo."""
_FROM = rf"(?: from {_CAPITAL}[\w ]{{0,30}}?)?"
_WHEN = r"(?: now| today| yesterday| (?:last|this) \w+| (?:in|on) [\w ]{1,20})?"
_SLOTS = tuple(
    (topic, compiled_later(rf"^{_SUBJECT}{said}", re.IGNORECASE))
    for topic, said in (
        ("home", rf" (?:lives|resides|is living|has settled|settled) (?:now )?(?:in|at) {_PLACE}"),
        ("home", rf" (?:has moved|is moving){_FROM} to {_PLACE}"),
        ("home", rf" moved{_FROM} to {_PLACE}(?!.*\band\b)"),
        ("kind of home", rf" (?:lives|resides|is living) (?:now )?(?:in|at|on) {_KIND}"),
        ("job", r" (?:works|is working|has started working|is employed) as (?:an?|the) "),
        ("workplace", rf" (?:works|is working|is employed) at {_PLACE}"),
        ("kind of workplace", rf" (?:works|is working|is employed) (?:at|in) {_KIND}"),
        ("employer", rf" (?:works|is working) for {_PLACE}"),
        ("age", rf" is {_AGE}(?: years? old\b|(?: now| today)?\W*$)"),
        ("age", rf" (?:has turned|turned) {_AGE}(?: years? old\b|{_WHEN}\W*$)"),
        ("name", rf"(?:['’]s name is| is called| is named) (?:the )?{_CAPITAL}"),
        ("spouse", rf" is married to {_CAPITAL}"),
        ("spouse", rf"['’]s (?:husband|wife|spouse) is {_NAME}"),
        ("birthday", r"['’]s birthday is (?!in )(?=[^.;]*\d)"),
        (r"favourite", r"['’]s favou?rite (?P<what>\w+(?: \w+)?) (?:is|are|has become)\b"),
    )
)
"""What somebody has one of at a time, in the words of plain English facts. Only words that tell of
nothing else: nobody has moved who "settled in the armchair" or "lives in fear"."""
_MOVED = compiled_later(r"\bmov(?:ed|ing)\b", re.IGNORECASE)
_BESIDE = {
    "home": (
        _MOVED,
        compiled_later(r"\b(?:as an?|when|next|soon|tomorrow|later|one day)\b", re.IGNORECASE),
    ),
    "name": (
        compiled_later(r"\b(?:called|named)\b", re.IGNORECASE),
        compiled_later(r"\b(?:by|at|among|when|in)\b", re.IGNORECASE),
    ),
}
"""Words of a home of long ago, or one that is planned, and of a name that only some use: one, and
another after it."""
_TIMES = compiled_later(
    r"\b(?:in (?:the )?(?:spring|summer|autumn|fall|winter|mornings?|afternoons?|evenings?)"
    r"|at (?:night|noon)|(?:at|on) (?:the )?weekends?|during the week"
    r"|on (?:week|mon|tues|wednes|thurs|fri|satur|sun)days?)\b",
    re.IGNORECASE,
)
"""Times that return: who lives in Oslo in summer may live in Rome in winter."""
_VALUE = compiled_later(
    rf"{_CAPITAL}[\w'’.-]*(?: (?:(?:of|de|del|la|van|von|der|da) ){{0,2}}{_CAPITAL}[\w'’.-]*)*"
)
"""A name of any number of words."""
_POSSESSION = compiled_later(
    rf"^(?P<subject>[^\W\d_]\w*)['’]s (?P<what>(?-i:[a-z]+(?: [a-z]+)?)) is (?:called )?"
    rf"(?P<kind>an? )?{_NAME}",
    re.IGNORECASE,
)
"""The same for "Ada's doctor is Tom", where that is not one of several. A name and a kind ("is a
Koga") are two things."""
_SEVERAL = _set(
    """sister brother son daughter child children sibling twin cousin aunt uncle niece nephew
    grandmother grandfather grandparent grandchild grandson granddaughter godmother godfather friend
    neighbour neighbor colleague worker teacher student pupil guest roommate cat dog pet horse bird
    kitten puppy kid baby ex rival enemy coworker classmate client customer hamster rabbit parrot
    girl boy man woman"""
)
"""Also with "step" in front, and the stepsister or sister-in-law, whom one has beside a sister."""
_ANYBODY = _THEIR | _set("a an one another some someone somebody")
"""First words of a subject that may be several people."""
_TOPICS = {
    "home": _set("residence city place address lives living lives_in current_home"),
    "job": _set("occupation profession work career role"),
    "spouse": _set("partner marriage"),
}
_SAME_TOPIC = {name: topic for topic, names in _TOPICS.items() for name in names}
_FAMILY = _SEVERAL | _set("family mother father parent relative husband wife")
_MANY = _FAMILY | _set(
    """like dislike preference hobby interest friendship promise vow event fear phobia skill
    memory other misc general fact relationship limit boundary rule trigger taboo
    allergy allergen intolerance medication scar tattoo language nickname alias
    aliase habit talent history background trait possession food drink secret story plot wish
    dream goal belief opinion feeling mood injury health condition illness disease appearance
    personality ability power belonging inventory member plan debt gift visit restriction quirk
    past"""
)
"""Stems of topics that can have several values at a time: a new one replaces none."""
_ONE_OF_MANY = _set("favourite favorite current best oldest first last next main native")
"""Before one of these there is one answer: "native language"."""
_LIMIT = compiled_later(
    r"\b(?:must|never|allergic|(?:does not|doesn['’]t|do not|don['’]t) want)\b", re.IGNORECASE
)
"""Whatever topic a model names, there may be several of these."""
_LIMITS = _set("must promise promised vow vowed swore sworn allergic")
"""What somebody must not do, has promised, or cannot eat, is no change of the same."""


@dataclass(frozen=True)
class Words:
    """The words of a text that distinguish facts."""

    text: str

    @cached_property
    def _all(self) -> list[str]:
        text = unicodedata.normalize("NFKC", stream_safe(self.text))
        return [str(word) for word in _WORD.findall(text.replace("’", "'"))]

    @cached_property
    def _read(self) -> tuple[list[str], list[str]]:
        """The stems, and those that follow a negation."""
        words, kept, denied, negations = _without_any_more(self._all), [], [], 0
        for before, written in zip(["", *words], words, strict=False):
            word = written.casefold()
            affirmed = _affirmed(word)
            is_empty = word in ("longer", "more") and before.casefold() == "no"
            if affirmed and affirmed not in _SKIPPED and not is_empty:
                kept.append(_stem(written if affirmed == word else affirmed))
                denied += kept[-1:] * negations
                negations = 0
            negations += _is_negation(word)
        return kept or [word.casefold() for word in words], sorted(denied + [""] * negations)

    @property
    def stems(self) -> list[str]:
        """In order, without articles and negations."""
        return self._read[0]

    @property
    def denied(self) -> list[str]:
        """The stem after each negation: "meat" in "no meat but fish"."""
        return self._read[1]

    @cached_property
    def canonical(self) -> list[str]:
        """The stems in the order that counts: not that of some adverbs, of the two things in "likes
        tea and coffee", and of "gulls Ada saw"."""
        core = [stem for stem in self.stems if stem not in _MOVABLE]
        follows = len(core) == 5 or _JOINING.intersection(core[-4:-3])
        if core[-2:-1] == ["and"] and follows:
            core[-3::2] = sorted(core[-3::2])
        if len(core) == 3 and any(stem.upper() != stem for stem in core):
            first = core.index(min(core))
            core = core[first:] + core[:first]
        return core + sorted(stem for stem in self.stems if stem in _MOVABLE)

    @cached_property
    def content(self) -> set[str]:
        """The words that carry meaning; pairs of letters of those in scripts without spaces."""
        common = _COMMON - (self.capitals & _NAMES_TOO)
        words = (stem for stem in self.stems if unicodedata.category(stem[0])[0] != "S")
        kept = (stem for stem in words if stem not in common)
        return {part for stem in kept for part in _pairs(stem)}

    @cached_property
    def is_negated(self) -> bool:
        """Not if there are two negations of each other: "never has no dog"."""
        words = [word.casefold() for word in self._all]
        found = [word if word in _NEGATIONS else "not" for word in words if _is_negation(word)]
        return len(found) % 2 == 1 or len(set(found)) == 1

    @cached_property
    def numbers(self) -> list[str]:
        return [stem for stem in self.stems if stem in _NUMBERS or any(map(str.isdigit, stem))]

    @cached_property
    def capitals(self) -> set[str]:
        """Words that may be names."""
        return {_stem(word) for word in self._all if word[:1].isupper()}

    @cached_property
    def bare(self) -> set[str]:
        """The words, "tom" for "Tom's"."""
        return {stem.removesuffix("'s") for stem in self.stems}

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
        is_owned = self.owner or _POSSESSIVES.intersection(self.stems[:1])
        return set(_FAMILY.intersection(self.stems[1:3])) if is_owned else set()

    @cached_property
    def tells_topic(self) -> bool:
        """Whether the words alone tell whom it is about, and in what respect."""
        return (plain_slot(self.text, "", "") or _possession(self.text, "")) is not None

    @cached_property
    def value(self) -> list[str]:
        """The name of the home, the spouse and so on that it tells: "Oslo" in "lives in Oslo"."""
        plain = _plain(self.text)
        found = plain[1] if plain else _POSSESSION.match(self.text)
        value = _VALUE.match(self.text, found.end() - 1) if found else None
        return Words(value[0]).stems if value else []

    @cached_property
    def times(self) -> set[str]:
        """When it returns. "Moved in winter" tells of one winter."""
        times = [] if _MOVED.search(self.text) else _TIMES.findall(self.text)
        return {time.casefold() for time in times}

    @property
    def gist(self) -> str:
        """A hash that texts have in common that say the same, as `likeness` has it."""
        told = [self.canonical, self.denied]
        return hashlib.md5(json.dumps(told).encode(), usedforsecurity=False).hexdigest()


def _pairs(stem: str) -> list[str]:
    if not _WITHOUT_SPACES.search(stem):
        return [stem]
    return [stem[place : place + 2] for place in range(max(len(stem) - 1, 1))]


def _is_negation(word: str) -> bool:
    return word in _NEGATIONS or word in _DENYING or word.endswith("n't")


def _affirmed(word: str) -> str:
    """The word without its negation: "is" for "isn't", and "" for "not"."""
    if word in _CONTRACTED:
        return _CONTRACTED[word]
    return "" if word in _NEGATIONS | _DENYING else word.removesuffix("n't")


def _without_any_more(words: list[str]) -> list[str]:
    """Without "any more" at the end; "any more tea" is not "any tea"."""
    end = [word.casefold() for word in words[-2:]]
    if end[-1:] == ["anymore"]:
        return words[:-1]
    return words[:-2] if end in (["any", "more"], ["any", "longer"]) else words


def _stem(written: str) -> str:
    """What a word has in common with its plural, or a verb with its form after "she": "allergy",
    "watch". Marie is not Mary."""
    word = written.casefold()
    owner = "'s" if word.endswith("'s") else ""
    word = word.removesuffix("'s")
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if len(word) > 3 and word.endswith(("sse", "she", "che", "xe")):
        word = word[:-1]
    if word.endswith("ie") and not written[:1].isupper():
        word = word[:-2] + "y"
    return _IRREGULAR.get(word, word) + owner


Likeness = Literal["same", "more", "less"]
Slot = tuple[str, str]
"""A subject and a topic."""


def likeness(new: Words, old: Words) -> Likeness | None:
    """Whether the new fact says the same as the old one, more or less of it; None: something else.

    The same words with other articles or inflections are the same; their order must be the same but
    for adverbs, and what is denied must agree.
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
    size = len(shorter.stems)
    added = longer.stems[size:]
    is_longer = size > 1 and longer.stems[:size] == shorter.stems
    if not is_longer or not 0 < len(added) <= MAX_ADDED_WORDS or longer.numbers != shorter.numbers:
        return False
    if added[0] in _JOINING:
        return not _WEAKENING.match(" ".join(added))
    return longer.capitals.issuperset(added) and _has_same_value(longer, shorter)


def _has_same_value(one: Words, other: Words) -> bool:
    """Whether both tell the same name, one perhaps more of it."""
    size = min(len(one.value), len(other.value))
    return size > 0 and one.value[:size] == other.value[:size]


def may_share_slot(one: Words, other: Words) -> bool:
    """Whether facts with one subject and topic may both hold: their value is the same, or they tell
    of two times."""
    is_other_time = bool(one.times and other.times) and one.times != other.times
    return is_other_time or _has_same_value(one, other)


def contradicts(new: Words, old: Words) -> bool:
    """Whether one fact denies what the other says in the same words, or the new one that with which
    the old one begins. Who has no dog may still have the cat of "a dog and a cat"."""
    if new.is_negated == old.is_negated:
        return False
    if new.canonical == old.canonical:
        return True
    is_part = new.is_negated and not old.denied and _goes_on(old, new)
    return is_part and old.stems[len(new.stems)] not in ("and", "but")


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


def may_both_hold(new: Words, old: Words) -> bool:
    """Whether facts that are twins add up, as there may be several such: sisters, limits, promises,
    fears, traits of a mother, being somebody's friend, what somebody did once."""
    shared = new.bare & old.bare
    is_past = not shared & _BEING and any(map(_PAST.match, shared))
    is_trait = bool((new.bare | old.bare) & _FAMILY and shared & _BEING)
    several = _SEVERAL | _LIMITS | _ADDING_UP | _MANY_VALUED - _BEING - {"want"}
    return new.is_negated or bool(shared & several) or is_trait or is_past


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
    topic = topic.casefold().strip()
    topic = "" if _is_many(topic) else _SAME_TOPIC.get(topic, topic)
    topic = "" if _is_beside(topic, text) else topic
    if not topic or _LIMIT.search(text):
        return _possession(text, person)
    is_relatives = Words(text).relative - Words(subject).bare
    if not subject or _is_of_several(subject, topic) or is_relatives:
        return None
    return _slot(_about(subject, person), topic)


def _possession(text: str, person: str) -> Slot | None:
    found = _POSSESSION.match(text)
    if not found or _is_many(found["what"]) or _names_several(found["what"]):
        return None
    what = f"kind of {found['what']}" if found["kind"] else found["what"]
    return _slot(_about(found["subject"], person), what)


def _is_many(topic: str) -> bool:
    """Whether somebody has any number of what a topic names: "allergies", "house rule"."""
    words = [_stem(word.removesuffix("'s")) for word in _WORD.findall(topic)]
    if not words or words[0] in _ONE_OF_MANY:
        return False
    return words[-1] in _MANY or (words[-1] == "name" and _names_several(topic))


def _names_several(text: str) -> bool:
    """Whether it names somebody or something of which there may be several."""
    return any(stem.removeprefix("step") in _SEVERAL for stem in Words(text).bare)


def plain_slot(text: str, subject: str, person: str) -> Slot | None:
    """The slot in plain words; `subject` is whom a pronoun means, if it is known."""
    if (plain := _plain(text)) is None:
        return None
    name, found = plain
    what = f"{name} {found['what']}" if name == "favourite" else name
    what = what.casefold().replace("color", "colour")
    about = subject if found["subject"].casefold() in _PRONOUNS else found["subject"]
    is_none = not about or _is_of_several(about, what)
    return None if is_none else _slot(_about(about, person), what)


def _plain(text: str) -> tuple[str, re.Match[str]] | None:
    """The topic that plain words tell, and where they do."""
    for name, pattern in _SLOTS:
        found = pattern.match(text)
        words = found["subject"].casefold().split() if found else []
        is_one = len(words) <= MAX_SUBJECT_WORDS and not _ANYBODY.intersection(words[:1])
        if found and is_one and not any(map(_is_negation, words)):
            return None if _is_beside(name, text) else (name, found)
    return None


def _is_beside(topic: str, text: str) -> bool:
    """Whether it tells a value that holds beside the one of this topic."""
    first, second = _BESIDE.get(topic, (None, None))
    begins = first.search(text) if first else None
    return bool(begins and second and second.search(text, begins.end()))


def _slot(subject: str, topic: str) -> Slot | None:
    subject, topic = (name.replace("’", "'")[:MAX_NAME_CHARS].strip() for name in (subject, topic))
    return (subject, topic) if subject and topic else None


def _is_of_several(subject: str, topic: str) -> bool:
    """Whether the name may apply to several people: "Ada's sister"."""
    return topic == "name" and _names_several(subject)


def _about(subject: str, person: str) -> str:
    subject = " ".join(
        word for word in subject.split() if word.casefold() not in ("the", "a", "an")
    )
    return person if subject.casefold() in _PERSON and person else subject


def has_pronoun(text: str) -> bool:
    """Whether it begins with a pronoun for somebody."""
    return _PRONOUN.match(text) is not None


def by_name(text: str, subject: str) -> str:
    """The text with the name of its subject in place of a pronoun at the beginning, so that it can
    be understood alone. "Her brother" is of nobody whom the subject "brother" tells."""
    found = _PRONOUN.match(text)
    if not found or subject[:1].islower() or not subject[:1].isalpha():
        return text
    names = whom(subject, "")
    if not names or names & Words(text).bare:
        return text
    whose = "'s" if found["whose"] else ""
    told = f"{subject}{whose}{text[found.end() :]}"
    return told if len(told) <= MAX_FACT_CHARS else text


def whom(subject: str, person: str) -> set[str]:
    """The words of a subject that a model named, if it names somebody."""
    name = _about(subject, person)
    return set() if name.casefold() in _PRONOUNS | _PERSON else Words(name).bare


def are_of_others(one: Words, whom_one: set[str], other: Words, whom_other: set[str]) -> bool:
    """Whether two facts are about two people (or things), and neither names that of the other."""
    whom_one, whom_other = whom_one or one.owner, whom_other or other.owner
    if not whom_one or not whom_other:
        return _differ_in_name(one, other)
    return whom_one.isdisjoint(whom_other | other.bare) and whom_other.isdisjoint(one.bare)


def _differ_in_name(one: Words, other: Words) -> bool:
    """Whether two facts begin with two names, and are equal otherwise."""
    names = {*one.stems[:1], *other.stems[:1]}
    are_names = names <= one.capitals | other.capitals and not names & _NO_NAMES
    return len(names) == 2 and are_names and one.stems[1:] == other.stems[1:] != []
