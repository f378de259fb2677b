"""Finds out from words whether a fact that outlives everything no longer holds. Pure.

Models often number wrongly, and a limit or a name that is lost does more harm than one that is told
for too long. So it is not enough that a note shares some words with such a fact.
"""

import re
from collections.abc import Iterator

from edge.patterns import compiled_later
from roleplay_chat.memory.comparison import Words, is_twin, likeness
from roleplay_chat.memory.words import is_negation, lacks_spaces, word_set, words_in

_GONE = (
    r"\b(?:no longer|no more|any ?more|any longer|dead|die[sd]?|dying|deceased|killed|passed away"
    r"|divorced|separated|split up|broken? (?:up|off)|gone|sold|(?:ran|run) (?:away|off)|ended"
    r"|is over|cured|outgrew|outgrown|healed|recovered|released|revoked|cancell?ed|called off"
    r"|nicht mehr|kein\w* \w+ mehr|tot|gestorben|geschieden|getrennt|verkauft|vorbei|aufgehoben"
    r"|geheilt|больше не\w*|умер(?:ла|ло|ли)?|развел(?:ась|ся|ись)|ne \w+ plus|n['’]\w+ plus"
    r"|mort|morte|divorcée?s?|ya no|murió|muert[oa]|divorciad[oa]s?)\b"
    r"|不再|死了|去世|离婚|離婚|もう|死んだ|亡くな"
)
_CHANGED = (
    r"\b(?:instead|rather than|changed|renamed|replaced|used to|former(?:ly)?|not true|untrue"
    r"|mistaken|lied|lost|gave|given|finished|quit|stopped|broken?|kept|fulfilled|forgave|forgiven"
    r"|withdrew|withdrawn|took back|taken back|lifted"
    r"|stattdessen|verloren|geändert|вместо|à la place|en lugar)\b|改成|改为|改為"
)
_IS_GONE = compiled_later(_GONE, re.IGNORECASE)
"""Words by which people say that something is no more. Weaker ones, such as "now" or "moved", stand
in too many sentences about something else."""
_ENDED = compiled_later(f"{_GONE}|{_CHANGED}", re.IGNORECASE)
"""Also those that say so only of what is named in full: "Jon lied" says nothing of the marriage."""

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

_CHANGING = word_set("changed renamed replaced")

_INFLECTION = compiled_later(r"(?<=\w\w\w)(?:ing|ed|es|e|y|ies|ic)$")


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
    shared = bearing & said
    if bearing and shared == bearing:
        is_denied = not old.is_negated and not old.content.isdisjoint(told.denied)
        return is_denied or _ENDED.search(told.text) is not None
    if not shared or 2 * len(shared) < len(bearing):
        return False
    if lacks_spaces(old.text):
        return _ENDED.search(told.text) is not None
    rest = _roots(Words(_IS_GONE.sub(" ", told.text)).content - names)
    return _IS_GONE.search(told.text) is not None and rest <= bearing | _PARTICLES


def says_so_too(new: Words, old: Words, names: set[str]) -> bool:
    """Whether a note itself says that the fact which it names is over, or repeats that."""
    is_ended = any(is_over(clause, old, names) for clause in clauses(new.text))
    return is_ended or likeness(new, old) is not None


def has_other_value(new: Words, old: Words, names: set[str]) -> bool:
    """Whether a fact says the same of another value, so that nothing else is lost."""
    plain, before = (Words(_NOW.sub("", words.text)) for words in (new, old))
    return is_twin(plain, before) or _share_most_letters(plain, before, names)


def has_other_name(new: Words, old: Words, names: set[str]) -> bool:
    """Whether a fact has all but the name at the end of an old one, and another name or two, as in
    "the safe word is Thunder". In front of the name there must be two words or more: her sister
    has a home beside her name."""
    order = [stem for stem in old.stems if stem in old.content - names]
    added = new.content - old.content - names - _PARTICLES - _CHANGING
    is_only_name = len(order) > 2 and {*order} - new.content == {order[-1]}
    are_names = order[-1:] != [] and order[-1] in old.capitals and added <= new.capitals
    return is_only_name and are_names and 0 < len(added) <= 2 and new.is_negated == old.is_negated


def _share_most_letters(new: Words, old: Words, names: set[str]) -> bool:
    """Whether they share half of their pairs of letters, in a script without spaces, where a value
    is no word of its own."""
    ours, theirs = new.content - names, old.content - names
    return lacks_spaces(old.text) and 2 * len(ours & theirs) >= max(len(ours), len(theirs)) > 0


def _roots(words: set[str]) -> set[str]:
    """The words without their endings: "promise" and "promised" have the same."""
    return {_INFLECTION.sub("", word.removesuffix("'s")) for word in words}
