"""Finds out from words whether a fact that outlives everything no longer holds. Pure.

Models often number wrongly, and a limit or a name that is lost does more harm than one that is told
for too long. So it is not enough that a note shares some words with such a fact.
"""

import re
from collections.abc import Iterator

from edge.patterns import compiled_later
from roleplay_chat.memory.comparison import Words, is_twin, likeness
from roleplay_chat.memory.words import is_negation, lacks_spaces, word_set, words_in

_ENDED = compiled_later(
    r"\b(?:no longer|any ?more|any longer|instead|rather than|not true|untrue|mistaken|lied"
    r"|dead|die[sd]?|dying|deceased|killed|passed away|divorced|separated|split up|broken?|gone"
    r"|lost|sold|gave|given|(?:ran|run) (?:away|off)|ended|is over|finished|quit|stopped|used to"
    r"|former(?:ly)?|cured|outgrew|outgrown|healed|recovered|kept|fulfilled|released|forgave"
    r"|forgiven|withdrew|withdrawn|took back|taken back|lifted|revoked|cancell?ed|called off"
    r"|renamed|changed|replaced|no more"
    r"|nicht mehr|kein\w* \w+ mehr|stattdessen|tot|gestorben|geschieden|getrennt|verkauft"
    r"|verloren|vorbei|geändert|aufgehoben|geheilt"
    r"|больше не\w*|умер(?:ла|ло|ли)?|развел(?:ась|ся|ись)|вместо"
    r"|ne \w+ plus|n['’]\w+ plus|mort|morte|divorcée?s?|à la place"
    r"|ya no|murió|muert[oa]|divorciad[oa]s?|en lugar)\b"
    r"|不再|改成|改为|改為|死了|去世|离婚|離婚|もう|死んだ|亡くな",
    re.IGNORECASE,
)
"""Words by which people say that something has ended or has another value. Weaker ones, such as
"now" or "moved", stand in too many sentences about something else."""

_CLAUSE_END = compiled_later(
    r"[.!?;:,。！？；，、]+\s*|\s(?:but|so|because|although|while|aber|weil|denn)\s", re.IGNORECASE
)

_NOW = compiled_later(
    r"\b(?:jetzt|nun|inzwischen|теперь|сейчас|maintenant|désormais|ahora)\b|现在|現在|目前|今は",
    re.IGNORECASE,
)
"""What English words of a fact do not have, either: `Words.stems` leaves "now" out."""

_PARTICLES = word_set(
    """up away off back out down again any more longer finally today yesterday new long ago just i
    my me am you your we our ich bin habe mein meine"""
)
"""Words beside those of a fact and of its end that say nothing else."""

_INFLECTION = compiled_later(r"(?<=\w\w\w)(?:ing|ed|es|e)$")


def clauses(text: str) -> Iterator[Words]:
    """The parts of a text that may say that a fact has ended."""
    for clause in _CLAUSE_END.split(text):
        if _ENDED.search(clause) or any(is_negation(word.casefold()) for word in words_in(clause)):
            yield Words(clause)


def is_over(told: Words, old: Words, names: set[str]) -> bool:
    """Whether a clause says that a fact no longer holds: with all of its words, or with half of
    them and no others, as in "the cat is dead". `names` are those of the two who talk.
    """
    bearing, said = (_roots(words.content - names) for words in (old, told))
    shared, is_ended = bearing & said, _ENDED.search(told.text) is not None
    if not bearing:
        return False
    if shared == bearing:
        return is_ended or (not old.is_negated and not old.content.isdisjoint(told.denied))
    if not is_ended or 2 * len(shared) < len(bearing):
        return False
    rest = _roots(Words(_ENDED.sub(" ", told.text)).content - names)
    return lacks_spaces(old.text) or rest <= bearing | _PARTICLES


def says_so_too(new: Words, old: Words, names: set[str]) -> bool:
    """Whether a note itself says that the fact which it names is over, or repeats that."""
    is_ended = any(is_over(clause, old, names) for clause in clauses(new.text))
    return is_ended or likeness(new, old) is not None


def has_other_value(new: Words, old: Words, names: set[str]) -> bool:
    """Whether a fact says the same of another value, so that nothing else is lost."""
    plain, before = (Words(_NOW.sub("", words.text)) for words in (new, old))
    return is_twin(plain, before) or _share_most_letters(plain, before, names)


def _share_most_letters(new: Words, old: Words, names: set[str]) -> bool:
    """Whether they share half of their pairs of letters, in a script without spaces, where a value
    is no word of its own."""
    ours, theirs = new.content - names, old.content - names
    return lacks_spaces(old.text) and 2 * len(ours & theirs) >= max(len(ours), len(theirs)) > 0


def _roots(words: set[str]) -> set[str]:
    """The words without their endings: "promise" and "promised" have one."""
    return {_INFLECTION.sub("", word.removesuffix("'s")) for word in words}
