"""Finds what a fact is about, in plain English: whom, in what respect, and with which value.

Where words cannot tell, there is no answer.
"""

import re
from collections.abc import Sequence

from edge.patterns import compiled_later
from roleplay_chat.memory.kinds import OTHER_RELATIVES, SEVERAL_RELATIVES, is_limit_of_many
from roleplay_chat.memory.words import (
    PERSON,
    POSSESSIVES,
    PRONOUNS,
    THEIR,
    bare,
    is_negation,
    read,
    stemmed,
    word_set,
    words_in,
)

MAX_SUBJECT_WORDS = 4

MAX_NAME_CHARS = 80
"""Of a subject and of a topic: `memory_facts` takes no more."""

MAX_FACT_CHARS = 300

_PRONOUN = compiled_later(r"(?:he|she|they|(?P<whose>his|her|their))(?= )", re.IGNORECASE)

_SUBJECT = r"(?P<subject>[^\s,.;:!?][^,.;:!?]{0,59}?)(?: now| currently| still)*"

_CAPITAL = r"(?-i:[^\W\d_a-zß-ÿ])"
"""A capital letter, or one of a script without capitals."""

_NAME = (
    r"(?!\w+['’]|(?:\w+(?:ian|ean|can|ban|ish|ese|ic)|german|french|dutch|welsh|greek|swiss|czech"
    r"|thai|arab|afghan|roman|jew|muslim|hindu|sikh|israeli|pakistani|protestant|lutheran)\b)"
    rf"{_CAPITAL}"
)
"""The beginning of a name. Matches neither "Norwegian", nor names that look like it, nor "Tom's
sister"."""

_PLACE = (
    r"(?!\w+(?: \w+){0,3}['’]|(?:january|february|march|april|may|june|july|august|september"
    rf"|october|november|december|spring|summer|autumn|winter)\b){_CAPITAL}"
)
"""The beginning of a place's name. Matches neither "Tom's house", which may be in that place, nor a
month."""

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
        ("home", rf" (?:has (?:moved|relocated)|is moving)(?: back)?{_FROM} to {_PLACE}"),
        ("home", rf" (?:moved|relocated)(?: back)?{_FROM} to {_PLACE}(?!.*\band\b)"),
        ("kind of home", rf" (?:lives|resides|is living) (?:now )?(?:in|at|on) {_KIND}"),
        ("job", r" (?:works|is working|has started working|is employed) as (?:an?|the) "),
        ("workplace", rf" (?:works|is working|is employed) at {_PLACE}"),
        ("kind of workplace", rf" (?:works|is working|is employed) (?:at|in) {_KIND}"),
        ("employer", rf" (?:works|is working) for {_PLACE}"),
        ("age", rf" is {_AGE}(?: years? old\b|(?: now| today)?\W*$)"),
        ("age", rf" (?:has turned|turned) {_AGE}(?: years? old\b|{_WHEN}\W*$)"),
        ("name", rf"(?:['’]s name is| is called| is named) (?:the )?{_CAPITAL}"),
        ("pronouns", r"(?:['’]s pronouns are| uses) (?=\w+/\w+\b)"),
        ("spouse", rf" is married to {_CAPITAL}"),
        ("spouse", rf"['’]s (?:husband|wife|spouse) is {_NAME}"),
        ("birthday", r"['’]s birthday is (?!in )(?=[^.;]*\d)"),
        (r"favourite", r"['’]s favou?rite (?P<what>\w+(?: \w+)?) (?:is|are|has become)\b"),
    )
)
"""Things of which somebody has one at a time, in the words of plain English facts. Only unambiguous
words: "settled in the armchair" and "lives in fear" do not tell a home."""

_MOVED = compiled_later(r"\b(?:mov(?:ed|ing)|relocated)\b", re.IGNORECASE)

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
"""Pairs of patterns, the second after the first, for a home of long ago or a planned one, and for a
name that only some people use."""

_LASTING_STATES = word_set("home job workplace employer school spouse age")
"""Topics of lasting states: a wish, a plan or a memory with another value does not end one."""

_NOT_NOW = compiled_later(
    r"^(?!.{0,60}\b(?:has|have) (?:\w+ )?(?:lived|worked|stayed)\b)"
    rf"{_SUBJECT} (?:(?:once|always|never|only|often|had|really|sometimes) )*"
    r"(?:would(?! like (?!to\b))|could|might|may|will|wish(?:es|ed)?|hop(?:es|ed)"
    r"|(?:wants?|wanted|plans|planned|intends|longs|needs?|hates?|loves?|likes?) to"
    r"|dream(?:s|ed|t)?|imagin(?:es|ed)|consider(?:s|ed)|won['’]t|pretend(?:s|ed)?"
    r"|is (?:considering|thinking|planning|hoping|dreaming|saving|going to|about to|pretending"
    r"|visiting|staying|travell?ing)"
    r"|used to|lived|worked|grew up|was (?:an?|the|once|born|raised|married|engaged|employed)"
    r"|visited|stayed)\b"
    r"|^(?i:früher|autrefois|раньше)\b"
    r"|^(?:[^\s,;]+ ){0,4}(?:möchte|würde|hätte|wäre|träumt|wünscht|hofft|früher|wohnte|lebte|wuchs"
    r"|geboren|voudrait|aimerait|rêve|espère|vivait|habitait|autrefois|né|née|quisiera|quiere|gustaría"
    r"|sueña|espera|vivía|vivió|nació|vorrebbe|sogna|spera|viveva|gostaria|sonha|morava|nasceu"
    r"|хочет|хотела?|мечтает|надеется|раньше|жила?|родил(?:ся|ась)|zou|droomt|woonde)\b"
    r"|^[^、，,]*(?:たい(?:と|。|$)|たがって|夢|かつて|昔|以前|希望|梦想|夢想|曾经|曾在|曾住|过去|過去|出生|싶어|예전|태어)"
)
"""What somebody wishes, plans or was, in the most common languages. Does not match if such words
only follow a present state: "lebt in Rom und möchte bleiben"."""

_TIMES = compiled_later(
    r"\b(?:in (?:the )?(?:spring|summer|autumn|fall|winter|mornings?|afternoons?|evenings?)"
    r"|at (?:night|noon)|(?:at|on) (?:the )?weekends?|during the week"
    r"|on (?:week|mon|tues|wednes|thurs|fri|satur|sun)days?)\b",
    re.IGNORECASE,
)
"""Recurring times: somebody who lives in Oslo in summer may live in Rome in winter."""

_VALUE = compiled_later(
    rf"{_CAPITAL}[\w'’.-]*(?: (?:(?:of|de|del|la|van|von|der|da) ){{0,2}}{_CAPITAL}[\w'’.-]*)*"
)
"""A name of any number of words."""

_POSSESSION = compiled_later(
    rf"^(?P<subject>[^\W\d_]\w*)['’]s (?P<what>(?-i:[a-z]+(?: [a-z]+)?)) is (?:called )?"
    rf"(?P<kind>an? )?{_NAME}",
    re.IGNORECASE,
)
"""The same for "Ada's doctor is Tom", unless there may be several. A name and a kind ("is a Koga")
differ."""

SEVERAL = SEVERAL_RELATIVES | word_set(
    """friend neighbour neighbor colleague worker teacher student pupil guest roommate cat dog pet
    horse bird kitten puppy kid baby ex rival enemy coworker classmate client customer hamster
    rabbit parrot girl boy man woman"""
)
"""Also with "step" in front, and the stepsister or sister-in-law, whom one has beside a sister."""

_ANYBODY = THEIR | word_set("a an one another some someone somebody")
"""First words of a subject that may be several people."""

_TOPICS = {
    "home": word_set(
        "residence city place address lives living lives_in current_home domicile wohnort"
    ),
    "job": word_set("occupation profession work career role"),
    "spouse": word_set("partner marriage"),
    "pronouns": word_set("pronoun"),
}

_SAME_TOPIC = {name: topic for topic, names in _TOPICS.items() for name in names}

FAMILY = SEVERAL | OTHER_RELATIVES | word_set("family relative")

_MANY = FAMILY | word_set(
    """like dislike preference hobby interest friendship promise vow event fear phobia skill
    memory other misc general fact relationship limit boundary rule trigger taboo
    allergy allergen intolerance medication scar tattoo language nickname alias
    aliase habit talent history background trait possession food drink secret story plot wish
    dream goal belief opinion feeling mood injury health condition illness disease appearance
    personality ability power belonging inventory member plan debt visit restriction quirk
    past"""
)
"""Stems of topics that can have several values at a time: a new one replaces none."""

_ONE_OF_MANY = word_set("favourite favorite current best oldest first last next main native")
"""Before one of these there is one answer: "native language"."""

Slot = tuple[str, str]
"""A subject and a topic."""


def slot_of(text: str, subject: str = "", topic: str = "", person: str = "") -> Slot | None:
    """The subject and topic of a fact, if it can be true of one thing at a time only.

    Plain words count more than what a model named, unless a pronoun stands there. `person` is the
    name of the user.
    """
    subject = "" if subject.casefold() in PRONOUNS else subject
    if (plain := plain_slot(text, subject, person)) is not None:
        return plain
    topic = topic.casefold().strip()
    topic = "" if _is_many(topic) else _SAME_TOPIC.get(topic, topic)
    topic = "" if _is_beside(topic, text) else topic
    if not topic or is_limit_of_many(text):
        return _possession(text, person)
    is_relatives = relative(read(words_in(text))[0]) - _bare_words(subject)
    if not subject or _is_of_several(subject, topic) or is_relatives:
        return None
    return _slot(_about(subject, person), topic)


def _possession(text: str, person: str) -> Slot | None:
    found = _POSSESSION.match(text)
    if not found or _is_many(found["what"]):
        return None
    is_one = found["what"].startswith("best ")
    if _names_several(found["what"]) and not is_one:
        return None
    what = f"kind of {found['what']}" if found["kind"] else found["what"]
    return _slot(_about(found["subject"], person), what)


def _is_many(topic: str) -> bool:
    """Whether somebody has any number of what a topic names: "allergies", "house rule"."""
    words = [stemmed(word.removesuffix("'s")) for word in words_in(topic)]
    if not words or words[0] in _ONE_OF_MANY:
        return False
    return words[-1] in _MANY or (words[-1] == "name" and _names_several(topic))


def _names_several(text: str) -> bool:
    """Whether it names somebody or something of which there may be several."""
    return any(word.removeprefix("step") in SEVERAL for word in _bare_words(text))


def plain_slot(text: str, subject: str, person: str) -> Slot | None:
    """The slot in plain words; `subject` is whom a pronoun means, if it is known."""
    if (plain := _plain(text)) is None:
        return None
    name, found = plain
    what = f"{name} {found['what']}" if name == "favourite" else name
    what = what.casefold().replace("color", "colour")
    about = subject if found["subject"].casefold() in PRONOUNS else found["subject"]
    is_none = not about or _is_of_several(about, what)
    return None if is_none else _slot(_about(about, person), what)


def _plain(text: str) -> tuple[str, re.Match[str]] | None:
    """The topic that plain words tell, and where they do."""
    for name, pattern in _SLOTS:
        found = pattern.match(text)
        words = found["subject"].casefold().split() if found else []
        is_one = len(words) <= MAX_SUBJECT_WORDS and not _ANYBODY.intersection(words[:1])
        if found and is_one and not any(map(is_negation, words)):
            return None if _is_beside(name, text) else (name, found)
    return None


def _is_beside(topic: str, text: str) -> bool:
    """Whether a text tells a value that can hold beside the topic's current one."""
    if is_lasting_state(topic) and is_not_now(text):
        return True
    first, second = _BESIDE.get(topic, (None, None))
    begins = first.search(text) if first else None
    return bool(begins and second and second.search(text, begins.end()))


def is_lasting_state(topic: str) -> bool:
    """Whether a topic is a lasting state, such as a home or a job."""
    return topic.removeprefix("kind of ") in _LASTING_STATES


def is_not_now(text: str) -> bool:
    """Whether a text tells what somebody wishes, plans or was."""
    found = _NOT_NOW.search(text)
    return found is not None and len((found["subject"] or "").split()) <= MAX_SUBJECT_WORDS


def slot_key(slot: Slot | None) -> Slot | None:
    """The key by which slots are compared: in lower case."""
    return (slot[0].casefold(), slot[1].casefold()) if slot else None


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
    return person if subject.casefold() in PERSON and person else subject


def has_pronoun(text: str) -> bool:
    """Whether a text begins with a pronoun for somebody."""
    return _PRONOUN.match(text) is not None


def by_name(text: str, subject: str) -> str:
    """The text with the name of its subject in place of a pronoun at the beginning, so that it can
    be understood alone. For "Her brother", the subject "brother" does not tell who she is."""
    found = _PRONOUN.match(text)
    if not found or subject[:1].islower() or not subject[:1].isalpha():
        return text
    names = whom(subject, "")
    if not names or names & _bare_words(text):
        return text
    whose = "'s" if found["whose"] else ""
    told = f"{subject}{whose}{text[found.end() :]}"
    return told if len(told) <= MAX_FACT_CHARS else text


def whom(subject: str, person: str) -> set[str]:
    """The words of a subject that a model named, if it names somebody."""
    name = _about(subject, person)
    return set() if name.casefold() in PRONOUNS | PERSON else _bare_words(name)


def _bare_words(text: str) -> set[str]:
    return bare(read(words_in(text))[0])


def relative(stems: Sequence[str]) -> set[str]:
    """The family word with which "Ada's brother is old" or "Her older brother" begins."""
    is_owned = stems[:1] and (stems[0].endswith("'s") or stems[0] in POSSESSIVES)
    return set(FAMILY.intersection(stems[1:3])) if is_owned else set()


def tells_topic(text: str) -> bool:
    """Whether the words alone tell whom a fact is about, and in what respect."""
    return (plain_slot(text, "", "") or _possession(text, "")) is not None


def value_of(text: str) -> list[str]:
    """The name of the home, the spouse and so on in a text: "Oslo" in "lives in Oslo"."""
    plain = _plain(text)
    found = plain[1] if plain else _POSSESSION.match(text)
    value = _VALUE.match(text, found.end() - 1) if found else None
    return read(words_in(value[0]))[0] if value else []


def times_of(text: str) -> set[str]:
    """The recurring times in a text. "Moved in winter" means one winter."""
    times = [] if _MOVED.search(text) else _TIMES.findall(text)
    return {time.casefold() for time in times}
