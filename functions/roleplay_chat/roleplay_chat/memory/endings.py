"""Decides by words whether a lasting fact no longer holds. Pure.

Models often give wrong numbers, and losing a limit or a name does more harm than showing it for too
long. So it is not enough that a note shares some words with such a fact.
"""

import re
from collections.abc import Iterable, Iterator

from edge.patterns import compiled_later
from roleplay_chat.memory.comparison import Words, is_limit, is_twin, likeness
from roleplay_chat.memory.languages import are_foreign, bearing, in_common, meaning
from roleplay_chat.memory.permissions import is_permitted
from roleplay_chat.memory.words import POSSESSIVES, is_negation, word_set, words_in
from roleplay_chat.scripts import has_unspaced

_GONE = (
    r"\b(?:no longer|no more|any ?more|any longer|dead|die[sd]?|dying|deceased|killed|passed away"
    r"|divorced|separated|split up|broken? (?:up|off)|gone|sold|(?:ran|run) (?:away|off)|ended"
    r"|is over|g[ai]ven? (?:\w+ ){0,3}away|cured|outgrew|outgrown|healed|recovered|released|revoked"
    r"|cancell?ed|called off"
    r"|nicht mehr|kein\w* \w+ mehr|tot|gestorben|geschieden|getrennt|verkauft|vorbei|aufgehoben"
    r"|geheilt|больше не\w*|умер(?:ла|ло|ли)?|развел(?:ась|ся|ись)|ne \w+ plus|n['’]\w+ plus"
    r"|mort|morte|divorcée?s?|ya no|murió|muert[oa]|divorciad[oa]s?|morreu|mort[oi]|non \w+ più"
    r"|öldü|artık|dood|overleden|مات|ماتت|لم يعد|لم تعد)\b"
    r"|不再|死了|去世|离婚|離婚|もう|死んだ|死んで|死にまし|亡くな"
    r"|죽었|더 이상|मर ग[^\s।]*|नहीं रह[^\s।]*"
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
"""Also weaker words, which count only if the clause names all of the fact: "Jon lied" does not end
the marriage."""

_FINE = r"\b(?:is|are) (?:now )?(?:fine|okay|ok|all right)(?: (?:now|again|by me))*(?=\W*$)"
_IS_FINE = compiled_later(_FINE, re.IGNORECASE)
"""Allows something ("hugs are fine"). After a person, or a part of one, it says how they are."""
_ALLOWED = compiled_later(
    r"\b(?:you (?:can|may)"
    r"|(?:is|am|are|i['’]m) (?:now )?(?:fine|okay|ok|all right|comfortable) with"
    rf"|{_FINE}"
    r"|(?:do not|don['’]t|does not|doesn['’]t|no longer) mind|feel free to)\b",
    re.IGNORECASE,
)
"""Words by which people take a limit back; `permissions` has those of other languages."""
_CONDITIONS = word_set("if when unless until only once after before with as except provided though")
_LIMITING = _CONDITIONS | {"but", "not", "never"}
"""How a clause begins that limits the one before it."""
_LIFTED = compiled_later(
    r"\b(?:that|this|the|my) (?:limit|boundary|rule|ban)\b[^.!?]{0,200}?"
    r"\b(?:lifted|off|gone|over|withdrawn|no longer)\b"
    r"|\b(?:releas|fre|absolv)(?:e[sd]?|ing) (?:you|me|him|her|them) (?:from|of)"
    r" (?:your|my|his|her|their|that|this|the) (?:promise|word|vow|oath|pledge)\b",
    re.IGNORECASE,
)
"""The same for a limit that other clauses of the message tell, or for a promise."""

_NO_LONGER = compiled_later(r"\bno longer\b", re.IGNORECASE)
_SENTENCE_END = compiled_later(r"[.!?]")
_NEAR = 200
"""How many characters on each side of a match are read, because a message may be long."""

_CLAUSE_END = compiled_later(
    r"[.!?;:,。！？；，、]+\s*|\s(?:but|so|because|although|while|aber|weil|denn)\s", re.IGNORECASE
)

_NOW = compiled_later(
    r"\b(?:jetzt|nun|inzwischen|теперь|сейчас|maintenant|désormais|ahora)\b|现在|現在|目前|今は",
    re.IGNORECASE,
)
"""The word "now" in other languages. `Words.stems` leaves out the English one."""

_CHANGING = word_set("changed renamed replaced")

_HAVING = compiled_later(
    r"(?:(?<=n['’]t )|(?<=\bnot )|(?<=\bnever ))(?:have|had|got)\b(?! (?:my|our|his|her|their)\b)"
    r"|\b(?:my|your|our|his|her|their|any)\b",
    re.IGNORECASE,
)
"""What may stand between a negation and what it denies. Somebody who does not have her sister with
her still has one."""

_INFLECTION = compiled_later(r"(?<=\w\w\w)(?:ing|ed|es|e|y|ies|ic)$")


def _roots(words: Iterable[str]) -> set[str]:
    """The words without their endings: "promise" and "promised" have the same."""
    return {_INFLECTION.sub("", word.removesuffix("'s")) for word in words}


_PARTICLES = _roots(
    word_set(
        """up away off back out down again being any more longer finally today yesterday new long
        ago got just i my me am you your we our last week month year night morning day ich bin habe
        mein meine meinen letzte letzten letztes woche monat jahr gestern heute leider мой моя моё
        мои моего меня вчера сегодня недавно mon ma mes hier mi mis ayer mio mia ieri meu minha
        ontem bu dün मेरा मेरी मेरे कल"""
    )
)
"""Words without meaning of their own beside those of a fact and of its end."""

_WANTING = _roots(word_set("want hate like dislike refuse must allow consent being fear"))
"""Words by which people set a limit."""


def clauses(text: str) -> Iterator[Words]:
    """The parts of a text that may say that a fact has ended."""
    starts = [0, *(end.end() for end in _CLAUSE_END.finditer(text))]
    for place, start in enumerate(starts):
        until, after = [*starts[place + 1 : place + 3], len(text), len(text)][:2]
        clause = _CLAUSE_END.split(text[start:until])[0]
        is_denied = any(is_negation(word.casefold()) for word in words_in(clause))
        if _ALLOWED.search(clause):
            # "You may kiss me, if Tom agrees" is one clause with its condition. Questions do not
            # count.
            if "?" in text[start:until]:
                continue
            following = text[until:after]
            is_limited = {word.casefold() for word in words_in(following)[:1]} <= _LIMITING
            yield Words(f"{clause} {following}" if is_limited else clause)
        elif is_denied or _ENDED.search(clause):
            yield Words(clause)


def has_ended(told: Words) -> bool:
    """Whether a clause says that anything has ended."""
    return _ENDED.search(told.text) is not None


def is_over(told: Words, old: Words, names: set[str]) -> bool:
    """Whether a clause says that a fact no longer holds: with all of its words, or with half of
    them and no others, as in "the cat is dead". `names` are those of the two who talk.
    """
    if are_foreign(told.text, old.text):
        return _is_over_abroad(told, old, names)
    if _allows(told, old, names):
        return True
    known, said = (_roots(words.content - names) for words in (old, told))
    shared, is_denied = known & said, _denies_what_is(told, old)
    if known and shared == known:
        return is_denied or _ENDED.search(told.text) is not None
    if not shared or 2 * len(shared) < len(known):
        return False
    if has_unspaced(old.text):
        return _ENDED.search(told.text) is not None
    rest = _roots(Words(_IS_GONE.sub(" ", told.text)).content - names)
    # Somebody who has no nuts may still be allergic to them.
    is_denied = is_denied and not is_limit(old)
    is_gone = is_denied or _IS_GONE.search(told.text) is not None
    return is_gone and rest <= known | _PARTICLES


def _denies_what_is(told: Words, old: Words) -> bool:
    """Whether a clause denies a word of a fact: "is not my brother", "don't have a twin". Somebody
    without nuts at hand may still be allergic to them."""
    if old.is_negated:
        return False
    plain = told if is_limit(old) else Words(_HAVING.sub(" ", told.text))
    return not old.content.isdisjoint({*told.denied, *plain.denied})


def _is_over_abroad(told: Words, old: Words, names: set[str]) -> bool:
    """The same in another language, in which a word may have another ending."""
    told_of = bearing(old, names)
    shared = in_common(told_of, meaning(told, names))
    if not shared or 2 * len(shared) < len(told_of):
        return False
    is_ended = _ENDED.search(told.text) is not None
    if shared == told_of or has_unspaced(old.text):
        is_denied = not old.is_negated and in_common(told_of, {*told.denied}) != set()
        return is_ended or (is_denied and shared == told_of)
    rest = meaning(Words(_IS_GONE.sub(" ", told.text)), names)
    rest = {word for word in rest if not _roots({word}) <= _PARTICLES}
    return _IS_GONE.search(told.text) is not None and in_common(rest, told_of) == rest


def _allows(told: Words, old: Words, names: set[str]) -> bool:
    """Whether a clause takes back a limit: with half of its words and no others, and without a
    condition."""
    if not _ALLOWED.search(told.text) or not is_limit(old):
        return False
    rest = Words(_ALLOWED.sub(" ", told.text))
    calling = {"call"} if "called" in old.stems else set()
    limit, said = _forbidden(old, names), _roots(rest.content - names) - calling
    is_limited = rest.is_negated or not _CONDITIONS.isdisjoint(rest.stems)
    whose = old.names | POSSESSIVES - {"your"}
    if _IS_FINE.search(told.text) and not whose.isdisjoint(rest.stems[:1]):
        return False
    has_half = 2 * len(limit & said) >= len(limit) > 0
    return has_half and not is_limited and said <= limit | _PARTICLES


def is_lifted(text: str, old: Words, names: set[str]) -> bool:
    """Whether a message with half of the words of a limit says that "that limit is lifted"."""
    if not is_limit(old) or not any(map(_is_meant, _LIFTED.finditer(text))):
        return False
    limit = _forbidden(old, names)
    return 2 * len(limit & _roots(Words(text).content)) >= len(limit) > 0


def _is_meant(lifted: re.Match[str]) -> bool:
    """Whether a message states that a limit is lifted, instead of denying it or asking."""
    text, start, end = lifted.string, *lifted.span()
    before = _CLAUSE_END.split(text[max(start - _NEAR, 0) : start])[-1]
    said = _NO_LONGER.sub(" ", f"{before}{lifted[0]}")
    closing = _SENTENCE_END.search(text, end, end + _NEAR)
    is_asked = closing is not None and closing[0] == "?"
    return not is_asked and not any(is_negation(word.casefold()) for word in words_in(said))


def beside_wanting(words: set[str]) -> set[str]:
    """The words without those by which people set a limit; all of them if nothing else is left."""
    return {word for word in words if not _roots({word}) <= _WANTING} or words


def _forbidden(limit: Words, names: set[str]) -> set[str]:
    """The words for what somebody does not want."""
    return _roots(limit.content - names) - _WANTING


def says_so_too(new: Words, old: Words, names: set[str]) -> bool:
    """Whether a note itself says that the fact which it names is over, or repeats that fact."""
    is_ended = any(is_over(clause, old, names) for clause in clauses(new.text))
    is_ended = is_ended or is_permitted(new.text, old, names)
    return is_ended or likeness(new, old) is not None


def has_other_value(new: Words, old: Words, names: set[str]) -> bool:
    """Whether a fact is the old one with another value, so that replacing it loses nothing else."""
    plain, before = (Words(_NOW.sub("", words.text)) for words in (new, old))
    return is_twin(plain, before) or _share_most_letters(plain, before, names)


def has_other_name(new: Words, old: Words, names: set[str]) -> bool:
    """Whether a fact has everything of an old one except the name at its end, and one or two other
    names instead, as in "the safe word is Thunder". At least two words must come before the name:
    her sister has a home as well as a name."""
    order = [stem for stem in old.stems if stem in old.content - names]
    added = new.content - old.content - names - _PARTICLES - _CHANGING
    is_only_name = len(order) > 2 and {*order} - new.content == {order[-1]}
    are_names = order[-1:] != [] and order[-1] in old.capitals and added <= new.capitals
    return is_only_name and are_names and 0 < len(added) <= 2 and new.is_negated == old.is_negated


def _share_most_letters(new: Words, old: Words, names: set[str]) -> bool:
    """Whether the facts share half of their pairs of letters, in a script without spaces, where a
    value is not a separate word."""
    ours, theirs = new.content - names, old.content - names
    return has_unspaced(old.text) and 2 * len(ours & theirs) >= max(len(ours), len(theirs)) > 0
