"""Finds out from words of which kind a fact is that outlives everything. Pure.

A limit or a name that is lost does more harm than trivia that are kept, so where words leave a
doubt, they count.
"""

import re
from typing import Literal

from edge.patterns import compiled_later
from roleplay_chat.memory.words import word_set

Kind = Literal["limit", "promise", "name", "family", "safe word"]

SEVERAL_RELATIVES = word_set(
    """sister brother sibling son daughter child children cousin twin aunt uncle niece nephew
    grandmother grandfather grandparent grandchild grandson granddaughter godmother godfather"""
)
"""Of which somebody may have several."""

OTHER_RELATIVES = word_set("mother father mum mom dad parent husband wife")

_FAMILY = (
    r"(?:step|half[- ]?|god|foster[- ]?|(?:great[- ]?)?grand)?"
    rf"(?:{'|'.join(sorted(SEVERAL_RELATIVES | OTHER_RELATIVES))})s?(?:-in-law|s-in-law)?"
    r"|in-laws|m[ou]mmy|daddy|mama|papa|gran(?:ny|d?ma|d?pa|dad|dpop)s?|kids|triplets?|auntie"
    r"|aunty|relatives|orphan(?:ed|s)?|adopted|family|wives|spouses?|married|marriage"
    r"|engaged(?! in\b)|betrothed|divorced|fianc[eé]{1,2}s?|bride(?:groom)?|widow(?:ed|er)?s?"
    r"|(?:boy|girl)friends?"
)
_NAMES = (
    r"(?:is|are|was|were) (?:called|named)|(?:wants?|likes?|prefers?) to be called|goes by"
    r"|names? (?:is|are|was)|(?:nick|sur)names?|pronouns"
    r"|(?:real|true|full|first|second|middle|last|maiden|birth) name"
)
_PROMISES = (
    r"promis(?:e[sd]?|ing)|pledge[sd]?|vow(?:s|ed)?|swore|sworn|oaths?"
    r"|swears? (?:to|that|never|not)"
    r"|(?:gives?|gave|given|kept|keeps?|broke) (?:her|his|their|your|my) word|word of honou?r"
    r"|agree[sd]? (?:never|not)"
)
_LIMITS = (
    r"(?<!speed )(?<!time )limits?|boundar(?:y|ies)|off[- ]limits|no[- ]go(?:e?s)?"
    r"|taboos?|consent(?:s|ed)?|triggered by"
    r"|must(?: not| never|n['’]t)|should(?: not| never|n['’]t) be"
    r"|(?:is|are) (?:not allowed|forbidden)"
    r"|(?:does not|doesn['’]t|do not|don['’]t|never) (?:wants?|consents?|allows?)"
    r"|(?:does not|doesn['’]t|do not|don['’]t) like (?:being|to be)|wants? (?:no|nobody|nothing)"
    r"|refuses|hates? (?:being|to be)|uncomfortable (?:with|being|when)|not comfortable with"
    r"|ask(?:s|ed) (?:\w+ ){0,2}(?:not|never) to"
    r"|allerg\w+|intoleran\w+|cannot (?:eat|drink)|can['’]t (?:eat|drink)|\w*phobias?"
    r"|(?:claustro|arachno|agora)phobic|medications?|pregnan(?:t|cy)|diabet(?:es|ic)"
    r"|epilep(?:sy|tic)|asthma(?:tic)?|co?eliac"
)
"""Also allergies and illnesses. "Never" alone sets no limit: "Ada has never seen snow"."""

_SAFE_WORDS = r"safe[- ]?words?"
"""A limit of which there is one."""

_WORDS: dict[Kind, str] = {
    "limit": _LIMITS,
    "promise": _PROMISES,
    "name": _NAMES,
    "family": _FAMILY,
    "safe word": _SAFE_WORDS,
}
_KINDS = {
    kind: compiled_later(rf"\b(?:{words})\b", re.IGNORECASE) for kind, words in _WORDS.items()
}
_RULES = compiled_later(r"\b(?:must|never|agreed|swears?)\b", re.IGNORECASE)
"""What there may be several of, as of limits and promises, also where it hardly matters."""


def kinds_of(text: str) -> frozenset[Kind]:
    """The kinds of a fact that outlives everything; none: it does not."""
    return frozenset(kind for kind, words in _KINDS.items() if words.search(text))


def is_rule(text: str) -> bool:
    """Whether it says what somebody must not do, does not want or has promised: there may be
    several such."""
    return not kinds_of(text).isdisjoint(("limit", "promise")) or bool(_RULES.search(text))
