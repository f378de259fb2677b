"""The inflected forms of a word, because an author writes a key in only one of them.

Cyrillic words have the endings of Russian and Ukrainian nouns and adjectives: "маяка" is a form of
"маяк", but "который" is not a form of "кот". Latin words stay unchanged, except that the last of
several may be in the plural.
"""

import re

MIN_STEM = 3
"""Letters before an ending. Shorter words have no forms: they would be found everywhere."""
_CYRILLIC = re.compile(r"[\u0400-\u04ff]+")
_VOWELS = "аеиоуыэюяіїє"
_FLEETING = ("ок", "ек", "ец", "ел", "ень", "ен")
_FOLLOW_FLEETING = "кнлр"
"""The consonants before which some forms insert a vowel."""


def _endings(written: str) -> tuple[str, ...]:
    """The endings; a dash stands for no ending."""
    return tuple(ending.strip("-") for ending in written.split())


_ADJECTIVE = _endings(
    "ый ий ой ая яя ое ее ые ие ого его ому ему ым им ом ем ую юю ых их ыми ими ою ею ей"
    " а я і є у ю ої ій"
)
_BY_LAST_LETTER = {
    "а": _endings("- а ы и і е у ой ей ою ею ам ами ах"),
    "я": _endings("ь й я и і ї е є у ю ей ой ою ею єю ям ями ях"),
    "о": _endings("- о а у е і ом ам ами ах"),
    "е": _endings("е я ю и ем ей ям ями ях а у ам ами ах"),
    "ь": _endings("ь я ю е и і ем ей ью ям ями ях"),
    "й": _endings("й я ю е є и і ї ем єм ев ям ями ях"),
    "ы": _endings("- а у ом е ы ов ев ей ой ам ами ах"),
    "и": _endings("- ь а я у ю ом ем е и ов ев ей й ой ам ям ами ями ах ях"),
}
_LIKE_TIME = _endings("я ени енем ена ен енам енами енах")
"""The endings after "м" of "время", "имя" and some others."""
_AFTER_CONSONANT = _endings("- а у ом ем е ы и і ов ев ів ей ой ым ых ові еві ам ами ах")


def forms(word: str) -> frozenset[str]:
    """The forms of a case-folded word, including itself."""
    if _CYRILLIC.fullmatch(word) is None or len(word) < MIN_STEM:
        return frozenset({word})
    return frozenset({word, *_noun(word), *_adjective(word)})


def plural(word: str) -> frozenset[str]:
    """A word and its regular English plural."""
    return frozenset({word, f"{word}s", f"{word}es"} if word[-1:].isalpha() else {word})


def _noun(word: str) -> list[str]:
    stem, last = word[:-1], word[-1]
    if word.endswith("мя"):
        return [stem + ending for ending in _LIKE_TIME]
    if last not in _BY_LAST_LETTER:
        stems = [word, *(_without_fleeting_vowel(word) if len(word) > MIN_STEM else ())]
        return [
            one + ending for one in stems for ending in _AFTER_CONSONANT if ending or one == word
        ]
    if len(stem) < MIN_STEM:
        return []
    endings = _BY_LAST_LETTER[last]
    shorter = _without_fleeting_vowel(stem) if last == "ь" else []
    return [
        *(stem + ending for ending in endings),
        *(one + ending for one in shorter for ending in endings if ending != last),
        *_with_fleeting_vowel(stem, last),
    ]


def _without_fleeting_vowel(word: str) -> list[str]:
    """The stem of "замок" before an ending is "замк", that of "отец" "отц", of "день" "дн"."""
    ends = word.endswith(_FLEETING) and word[-3:-2] not in _VOWELS
    return [word[:-2] + word[-1]] if ends and len(word) >= MIN_STEM else []


def _with_fleeting_vowel(stem: str, last: str) -> list[str]:
    """The plural of "девушка" after "много" is "девушек", that of "окно" "окон"."""
    before, after = stem[-2], stem[-1]
    if last not in "аоя" or after not in _FOLLOW_FLEETING or before in (*_VOWELS, after):
        return []
    return [f"{stem[:-1].rstrip('ь')}{vowel}{after}" for vowel in "оеі"]


def _adjective(word: str) -> list[str]:
    stem, ending = word[:-2], word[-2:]
    is_one = ending in ("ый", "ий", "ой", "ая", "яя", "ое", "ее", "ые", "ие")
    return [stem + other for other in _ADJECTIVE] if is_one and len(stem) >= MIN_STEM else []
