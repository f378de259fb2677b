"""Normalises words to what a reader sees, whatever characters they were written with.

Handles case, compatibility forms, accents, invisible characters, look-alikes from other alphabets,
digits and signs in place of letters, and repeated letters. Works on one word at a time.
"""

import re
import unicodedata
from collections.abc import Iterator

import regex

MAX_MARKS = 30
"""Combining marks on one letter, as in Unicode's stream-safe text format. No language needs ten,
and sorting them takes quadratic time."""
_MARKS = regex.compile(rf"[\p{{M}}\uff9e\uff9f]{{{MAX_MARKS + 1},}}")
_KEPT_MARKS = ("\u3099", "\u309a")
"""They turn a Japanese syllable into another one."""
_TILDE = "\u0303"
"""Kept on an n, because ñ is another letter in Spanish: `nina` is a name."""
_DRAWN_OUT = re.compile(r"(.)\1\1")
_BLANKS = {"\u2800", "\u3164", "\uffa0", "\u115f", "\u1160"}
"""Letters by Unicode category, but invisible."""
_WHOLE_PHRASES = {0xFDFA: "\u0635", 0xFDFB: "\u062c"}
"""Characters that decompose into 18 and 8 others; each is replaced by its first letter."""


def stream_safe(text: str) -> str:
    """The text with at most `MAX_MARKS` marks in a row, plus those that change the letter.

    Call it before every Unicode normalisation, which is quadratic in runs of marks.
    """
    return text if text.isascii() else _MARKS.sub(_first_marks, text)


def _first_marks(run: regex.Match[str]) -> str:
    first, others = run[0][:MAX_MARKS], run[0][MAX_MARKS:]
    return first + "".join(mark for mark in (*_KEPT_MARKS, _TILDE) if mark in others)


def fold(word: str) -> str:
    """The word in lower case, without accents, invisible characters and compatibility forms."""
    if word.isascii():
        return word.casefold()
    word = stream_safe(word).translate(_WHOLE_PHRASES)
    kept: list[str] = []
    for char in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", word).casefold()):
        again = char in _KEPT_MARKS and kept[-1:] == [char]
        if not (_invisible(char) or again) or (char == _TILDE and kept[-1:] == ["n"]):
            kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept).translate(_DRAWN))


def _invisible(char: str) -> bool:
    category = unicodedata.category(char)
    mark = category in ("Mn", "Me") and char not in _KEPT_MARKS
    return mark or category == "Cf" or char in _BLANKS


def readings(word: str) -> Iterator[str]:
    """Alternative readings of a folded word that is not in the lexicon."""
    latin = word.translate(_LATIN)
    if latin != word:
        yield latin
        yield word.translate(_CYRILLIC)
    elif not word.isascii():
        yield word.translate(_CYRILLIC)
    if not latin.isalpha():
        for one in "il":
            spelled = latin.translate(_SPELLED | {ord(sign): one for sign in "1!|"})
            yield spelled
            yield _drawn_in(spelled, 1)
    if is_drawn_out(latin):
        yield _drawn_in(latin, 1)
        yield _drawn_in(latin, 2)
    if "*" in word:
        for vowel in "aeiou":
            yield latin.replace("*", vowel)


def is_drawn_out(word: str) -> bool:
    """Whether a letter occurs three times in a row."""
    return _DRAWN_OUT.search(word) is not None


def _drawn_in(word: str, limit: int) -> str:
    """The word with each run of a letter cut to `limit`."""
    kept = ""
    for char in word:
        if kept[-limit:] != char * limit:
            kept += char
    return kept


def _pairs(look_alikes: str) -> dict[int, str]:
    return {ord(pair[0]): pair[1] for pair in look_alikes.split()}


# Look-alikes that compatibility normalisation does not resolve, from Unicode's confusables.
_LATIN = _pairs(
    "аa вb еe зz иu іi јj кk мm нh оo пn рp сc тt уy хx ѕs һh ԁd ԛq ԝw ѵv ьb гr ӏl яr "
    "αa βb γy εe ηn ιi κk νv οo ρp σo τt υu χx ωw "
    "օo սu ոn հh ɑa ɡg ıi łl øo đd ħh ŧt "
    "Ꭺa Ᏼb Ꮯc Ꭰd Ꭼe Ᏻg Ꮋh Ꭵi Ꭻj Ꮶk Ꮮl Ꮇm Ꮲp Ꭱr Ꮪs Ꭲt Ꮩv Ꮃw Ꮍy Ꮓz "
    "ꓮa ꓐb ꓚc ꓓd ꓰe ꓝf ꓖg ꓧh ꓲi ꓙj ꓗk ꓡl ꓟm ꓠn ꓳo ꓑp ꓣr ꓢs ꓔt ꓴu ꓦv ꓪw ꓫx ꓬy ꓜz "
    "ǝe əe әe ɘe ҽe ꙅs ƨs տs "
    "ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ɢg ʜh ɪi ᴊj ᴋk ʟl ᴍm ɴn ᴏo ᴘp ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz"
)
_CYRILLIC = _pairs("aа bв cс eе hн iі kк mм oо pр tт xх yу 0о 3з 6б")
_SPELLED = _pairs("0o 3e 4a 5s 6g 7t 8b 9g @a $s €e £l +t")
_DRAWN = {
    first + offset: chr(ord("a") + offset)
    for first in (0x1F150, 0x1F170, 0x1F1E6)  # letters in circles, in squares, of flags
    for offset in range(26)
}
