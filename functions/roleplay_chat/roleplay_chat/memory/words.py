"""Reads the words of a text: their stems, names, negations, and those that carry no meaning."""

import unicodedata
from collections.abc import Iterable

from roleplay_chat.patterns import regex_compiled_later
from roleplay_chat.screening.normalize import stream_safe
from roleplay_chat.scripts import has_unspaced

_WORD = regex_compiled_later(
    r"(?:(?<!\w)-(?=\d))?[^\W_]+(?:['’][^\W_]+)*|(?![|~])[\p{Sc}\p{So}\p{Sm}#%&]"
)
"""Includes the vowel and tone signs of Indic and Thai scripts, which `re` does not count as
letters, and signs that may be the only difference: currencies, emoji, "C#", 5 %, -5.
`private.plain_words` does the same."""


def word_set(words: str) -> frozenset[str]:
    """The words of a list that is separated by spaces."""
    return frozenset(words.split())


_SKIPPED = word_set(
    """a an the der die das ein eine einen le la les un une el los las do does did now currently
    still also very really just"""
)
"""Articles, auxiliaries and adverbs that change nothing."""

NEGATIONS = word_set(
    """not no never nobody nothing none without cannot nicht kein keine keinen keinem
    keiner"""
)

_DENYING = word_set("не нет ни pas nie nunca jamás")
"""The same in languages in which two negations are still one."""

MOVABLE = word_set(
    """often alway sometime usually yesterday today tomorrow tonight alone again together"""
)
"""Stems of adverbs that mean the same in another place of the sentence. "Only" does not."""

_CONTRACTED = {"cannot": "can", "can't": "can", "won't": "will", "shan't": "shall"}

_SAME = {
    **{"has": "have", "goe": "go", "named": "called", "reside": "live", "residing": "living"},
    **{"favorite": "favourite", "color": "colour", "neighbor": "neighbour"},
    **{"wohnt": "lebt", "habite": "vit"},
    **{"1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six"},
    **{"7": "seven", "8": "eight", "9": "nine", "10": "ten", "11": "eleven", "12": "twelve"},
}
"""Irregular forms, and words that mean the same in any context."""

PRONOUNS = word_set("he she they it")
"""Pronouns whose person the words of a fact do not tell."""

THEIR = word_set("her his their its")
"""The same for owners."""

POSSESSIVES = THEIR | word_set("my our your")

PERSON = word_set("user person {{user}} i you")
"""What models call the user."""

NUMBERS = word_set(
    """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
    hundred thousand first second third half both twice once"""
)

JOINING = word_set(
    """with in on at for and or but because from since near of to by as when while after before
    until who which that if so under over into about during where"""
)
"""Words that continue a fact that was already complete before them."""

COMMON = (
    _SKIPPED
    | JOINING
    | word_set(
        """is are was were be been has have had will would can could may might should her his their
        its she he they it him them this there called named said told mentioned"""
    )
)
"""Words without a meaning of their own."""

NAMES_TOO = word_set("will may")
"""Names that are auxiliaries without a capital letter."""

NO_NAMES = COMMON - NAMES_TOO | PERSON
"""Words that are nobody's name, even with a capital letter."""


def letter_pairs(stem: str) -> list[str]:
    """The pairs of letters of a stem in a script without spaces; any other stem alone."""
    if not has_unspaced(stem):
        return [stem]
    return [stem[place : place + 2] for place in range(max(len(stem) - 1, 1))]


def is_negation(word: str) -> bool:
    """Whether a word in small letters denies what follows."""
    return word in NEGATIONS or word in _DENYING or word.endswith("n't")


def _affirmed(word: str) -> str:
    """The word without its negation: "is" for "isn't", and "" for "not"."""
    if word in _CONTRACTED:
        return _CONTRACTED[word]
    return "" if word in NEGATIONS | _DENYING else word.removesuffix("n't")


def _without_any_more(words: list[str]) -> list[str]:
    """Without "any more" at the end; "any more tea" is not "any tea"."""
    end = [word.casefold() for word in words[-2:]]
    if end[-1:] == ["anymore"]:
        return words[:-1]
    return words[:-2] if end in (["any", "more"], ["any", "longer"]) else words


def stemmed(written: str) -> str:
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
    return _SAME.get(word, word) + owner


def words_in(text: str) -> list[str]:
    """The words of a text as it writes them."""
    text = unicodedata.normalize("NFKC", stream_safe(text))
    return [str(word) for word in _WORD.findall(text.replace("’", "'").replace("\u2212", "-"))]


def is_sign(word: str) -> bool:
    """Whether a word is only a sign, such as "+", "#" or an emoji."""
    return len(word) == 1 and unicodedata.category(word)[0] in "SP"


def read(words: list[str]) -> tuple[list[str], list[str]]:
    """The stems of the words, without articles and negations, and those that follow a negation:
    "meat" in "no meat but fish"."""
    words, kept, denied, negations = _without_any_more(words), [], [], 0
    for before, written in zip(["", *words], words, strict=False):
        word = written.casefold()
        affirmed = _affirmed(word)
        is_empty = word in ("longer", "more") and before.casefold() == "no"
        if affirmed and affirmed not in _SKIPPED and not is_empty:
            kept.append(stemmed(written if affirmed == word else affirmed))
            denied += kept[-1:] * negations
            negations = 0
        negations += is_negation(word)
    return kept or [word.casefold() for word in words], sorted(denied + [""] * negations)


def bare(stems: Iterable[str]) -> set[str]:
    """The stems, "tom" for "tom's"."""
    return {stem.removesuffix("'s") for stem in stems}
