"""Decides by its words whether a fact outlives all others: a limit, a promise, a name, family.
Pure.

Losing a limit or a name does more harm than keeping trivia, so a doubtful fact counts as one.
"""

import re
from functools import lru_cache

from edge.patterns import compiled_later
from roleplay_chat.memory.foreign_kinds import CASED, FOREIGN, ORDERS, PLEASE, Kind, lowered
from roleplay_chat.memory.words import word_set

SEVERAL_RELATIVES = word_set(
    """sister brother sibling son daughter child children cousin twin aunt uncle niece nephew
    grandmother grandfather grandparent grandchild grandson granddaughter godmother godfather"""
)
"""Relatives of whom a person may have several."""

OTHER_RELATIVES = word_set("mother father mum mom dad parent husband wife")

_FAMILY = (
    r"(?:step|half[- ]?|god|foster[- ]?|(?:great[- ]?)?grand)?"
    rf"(?:{'|'.join(sorted(SEVERAL_RELATIVES | OTHER_RELATIVES))})s?(?:-in-law|s-in-law)?"
    r"|in-laws|m[ou]mmy|daddy|mama|papa|gran(?:ny|d?ma|d?pa|dad|dpop)s?|kids|triplets?|auntie"
    r"|aunty|relatives|orphan(?:ed|s)?|adopted|family|wives|spouses?|married|marriage"
    r"|engaged(?! in\b)|betrothed|divorced|fianc[eé]{1,2}s?|bride(?:groom)?|widow(?:ed|er)?s?"
    r"|(?:boy|girl)friends?|(?<=['’]s )ex|(?:has|have|expects?) (?:a|two) (?:bab(?:y|ies)|newborn)"
    r"|(?<!business )(?<!dance )(?<!dancing )(?<!sparring )(?<!training )partners?"
)
_NAMES = (
    r"(?:is|are|was|were) (?:called|named)|(?:wants?|likes?|prefers?) to be called|goes by"
    r"|names? (?:is|are|was)|(?:nick|sur)names?|pronouns"
    r"|(?:real|true|full|first|second|middle|last|maiden|birth) name"
    r"|name['’]s|['’]s name|prefers? the name|introduces? (?:her|him|them)sel(?:f|ves) as|known as"
    r"|addressed as|non-?binary|genderfluid|agender|transgender|trans (?:wo)?man"
)
_PROMISES = (
    r"promis(?:e[sd]?|ing)|pledge[sd]?|vow(?:s|ed)?|swore|sworn|oaths?"
    r"|swears? (?:to|that|never|not)"
    r"|(?:gives?|gave|given|kept|keeps?|broke) (?:(?-i:[A-Z])\w+ |you |me )?"
    r"(?:her|his|their|your|my) word|word of honou?r"
    r"|agree[sd]? (?:never|not|to|that)|assure[sd]?|guarantee[sd]?|will always|owes? (?-i:[A-Z])\w+"
    r"|committed to"
)
_LIMITS = (
    r"(?<!speed )(?<!time )limits?|boundar(?:y|ies)|off[- ]limits|no[- ]go(?:e?s)?"
    r"|taboos?|consent(?:s|ed)?|triggered by"
    r"|must(?: not| never|n['’]t)|should(?: not| never|n['’]t) be"
    r"|(?:is|are) (?:not allowed|forbidden)"
    r"|(?:does not|doesn['’]t|do not|don['’]t|never) (?:wants?|consents?|allows?)"
    r"|(?:does not|doesn['’]t|do not|don['’]t) like (?:being|to be)|wants? (?:no|nobody|nothing)"
    r"|refuses|hates? (?:being|to be)|uncomfortable (?:with|being|when)|not comfortable with"
    r"|ask(?:s|ed) (?:\w+ ){0,2}(?:(?:not|never) to|to (?:skip|avoid|leave out))"
    r"|allerg\w+|intoleran\w+|cannot (?:eat|drink)|can['’]t (?:eat|drink)|\w*phobias?"
    r"|(?:claustro|arachno|agora)phobic|medications?|pregnan(?:t|cy)|diabet(?:es|ic)"
    r"|epilep(?:sy|tic)|asthma(?:tic)?|co?eliac"
    r"|hard no|red lines?|deal[- ]?breakers?|(?:stop|no) means (?:stop|no)|draws? the line"
    r"|not (?:okay|ok|fine|all right|into)(?: with)?|as far as \w+ goes|stops at \w+ing"
    r"|(?:cannot|can['’]t|can not) (?:handle|stand|bear|tolerate|cope with|deal with)"
    r"|prefers? not|dislikes? (?:being|to be|when)|hates? (?:it )?when|avoids?|to be avoided"
    r"|(?:scared|afraid|terrified) of being|wants? [\w ]{1,30} (?:left|kept) out"
    r"|(?:does not|doesn['’]t|will not|won['’]t) (?:do|tolerate|accept|permit)|is a trigger"
    r"|(?:nobody|no one) (?:may|is allowed)|without (?:asking|permission)|forbids?|forbade|insists"
    r"|no [\w ]{1,30} in (?:the|this|our) (?:story|scene|game|roleplay)"
    r"|vegan|vegetarian|teetotal\w*|is (?:deaf|blind|mute)|hard of hearing|wheelchair|ptsd"
    r"|autis(?:m|tic)|adhd|dyslexi[ac]|disab(?:led|ility)"
)
"""Also allergies, illnesses and what somebody cannot do. "Never" alone sets no limit: "Ada has
never seen snow"."""

_SAFE_WORDS = r"(?:safe|stop)[- ]?words?"
"""A safe word is a limit, and there is only one."""

_WORDS: dict[Kind, str] = {
    "limit": _LIMITS,
    "promise": _PROMISES,
    "name": _NAMES,
    "family": _FAMILY,
    "safe word": _SAFE_WORDS,
}
_ORDERS: dict[Kind, str] = {
    "limit": (
        r"(?:please )?(?:do not|don['’]t|never|avoid)\b"
        rf"|(?:please,? )?no (?:more )?[\w ]{{1,30}},? please|please,? no \w"
        rf"|(?:{PLEASE},? )?(?:{ORDERS})(?:,? {PLEASE})?[.!]*$"
    ),
    "name": r"(?:please )?call (?:her|him|them|(?-i:[A-Z])\w+) (?-i:[A-Z])",
}
"""The beginnings of facts that are written as orders."""


def _pattern(kind: Kind, words: str) -> re.Pattern[str]:
    cased, orders = (table.get(kind, "(?!)") for table in (CASED, _ORDERS))
    return compiled_later(rf"\b(?:{words}|(?-i:{cased}))\b|^(?:{orders})", re.IGNORECASE)


_KINDS = {kind: _pattern(kind, words) for kind, words in _WORDS.items()}
_ALWAYS = compiled_later(r"\b(?:must|never)\b", re.IGNORECASE)
_RULES = compiled_later(r"\b(?:must|never|agreed|swears?)\b", re.IGNORECASE)
"""Words of rules, even unimportant ones: like limits and promises, there may be several of them."""


@lru_cache(maxsize=1_000)
def kinds_of(text: str) -> frozenset[Kind]:
    """The kinds of a fact. One with any kind outlives all facts that have none."""
    # Cached: each turn asks again for what a person wrote, until notes are taken.
    lower = lowered(text)
    return frozenset(
        kind for kind, words in _KINDS.items() if words.search(text) or FOREIGN[kind].search(lower)
    )


def is_limit_of_many(text: str) -> bool:
    """Whether a fact says what somebody must not do, cannot do or does not want: there may be
    several such facts, whatever topic a model names. For a promise, the topic decides."""
    return "limit" in kinds_of(text) or _ALWAYS.search(text) is not None


def is_rule(text: str) -> bool:
    """Whether a fact says what somebody must not do, does not want or has promised: there may be
    several such facts."""
    return not kinds_of(text).isdisjoint(("limit", "promise")) or bool(_RULES.search(text))
