"""Encodes a text as a short string: one character per word, which stands for the word's class.

The classes are the same in all languages, so one pattern finds "she is 12 years old" and "elle a
douze ans". `lexicon` has the words, `normalize` undoes disguises. Linear in the text.
"""

import html
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import filterfalse, groupby, takewhile
from string import ascii_letters
from typing import NamedTuple

from edge.patterns import compiled_later
from roleplay_chat.screening import lexicon
from roleplay_chat.screening.normalize import fold, is_drawn_out, readings

_NUMBERS = ["ONES", "SMALL", "TEENS", "EIGHTEEN", "ADULT", "WEAK", "FRACTION", "ORDINAL"]
_NAMES = dict.fromkeys(
    [
        *("OTHER", "STOP", "COMMA", "LETTER", *_NUMBERS),
        *(*lexicon.WORDS, *lexicon.STEMS, *lexicon.WRITTEN_TOGETHER),
    ]
)
_SIGNS = ascii_letters + "".join(map(chr, range(0xA1, 0x100)))
"""Characters of one byte without a special meaning in patterns."""
CODE = dict(zip(_NAMES, _SIGNS[: len(_NAMES)], strict=True))
"""The character for each class."""
OTHER, COMMA, LETTER = CODE["OTHER"], CODE["COMMA"], CODE["LETTER"]
STOP = CODE["STOP"] * 3
"""The end of a sentence, which counts as a distance of three words."""

REMEMBERED_WORDS = 50_000
"""The number of cached words; when full, the cache is cleared."""
REMEMBERED_CHARS = 64
"""Longer words are not cached."""
LONGEST_TERM = 16
"""The longest term that is searched inside words."""
QUESTION_CHARS = 20
"""The end of a text in which a question is recognised: two words."""
MIN_BASE = 5
"""The shortest word of which forms of verbs are read."""


def encode(text: str) -> str:
    """The text as one character per word, plus some for punctuation."""
    words = _apart(_without_markup(text))
    codes = "".join(map(_codes.__getitem__, words))
    # They are rare, and joining them takes longer than everything else here.
    if codes.count(_ALONE) >= 2 * IN_A_ROW and _may_be_spelled_out(codes):
        codes = "".join(_spelled_out(words))
    return codes.replace(_ALONE, "")


def new_chars(text: str) -> int:
    """The number of characters in words that were not encoded lately: they take most of the
    time."""
    return sum(map(len, filterfalse(_codes.__contains__, _without_markup(text).split())))


def ends_as_question(text: str) -> bool:
    """Whether a text without punctuation at its end ends like "are you"."""
    return bool(_QUESTION.search(encode(last_words(text, QUESTION_CHARS))))


def _may_be_spelled_out(codes: str) -> bool:
    neighbours = codes.replace(COMMA, "").replace(CODE["STOP"], "").count(2 * _ALONE)
    return neighbours >= IN_A_ROW - 1 and bool(_IN_A_ROW.search(codes))


def without_endings(text: str) -> str:
    """The text with the words of the lexicon for "blowjobs" and the like, where it has those
    without the ending of a plural or an English verb."""
    return _INFLECTED.sub(lambda word: _without_ending(word[0]), text)


def _without_ending(word: str) -> str:
    folded = fold(word)
    if _known(folded):
        return word
    for ending in _ENDINGS:
        base = folded.removesuffix(ending)
        # A shorter one has other words in its forms, such as "cocked".
        if base == folded or (ending != "s" and len(base) < MIN_BASE):
            continue
        for written in (base, base + "e"):
            if _WORDS.get(written, OTHER) in _INFLECTED_CLASSES:
                return written
    return word


def _without_markup(text: str) -> str:
    """The text that HTML would show."""
    return _MARKUP.sub(_shown, text) if "<" in text or "&" in text else text


def _shown(markup: re.Match[str]) -> str:
    if reference := markup["reference"]:
        sign = html.unescape(f"&{reference}")
        # Separated, so that a resolved character is not read as the beginning of markup again.
        return f" {sign} " if sign in ("<", "&") else " " if sign.isspace() else sign
    return "" if markup["inline"] else " "


def _apart(text: str) -> list[str]:
    """The words. A line break counts as the end of a sentence."""
    return text.replace("\n", " .\n").split()


# --- one word with the punctuation around it -------------------------------------------------

_INNER = re.compile(r"[^\W_](?:.*[^\W_])?", re.DOTALL)
_CAPITAL_I = re.compile(r"(?<=[a-z])I")
"""A capital I inside a word, which looks like an l."""
_BETWEEN = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"(\d{1,3})([^\W\d_]*)")
_FIGURES = re.compile(r"\d+(?:[.,:/]\d+)+")
_FRACTION = re.compile(r"(?:\d|1[0-7])[.,]\d")
"""A number below 18 with one decimal."""
_FRACTION_AND_UNIT = re.compile(rf"{_FRACTION.pattern}-?(?=[^\W\d_])")
"""The beginning of 12.5yo and 12.5-year-old."""
_FRACTION_SIGNS = str.maketrans({"½": ".5", "¼": ".2", "¾": ".7"})
_ELISION = re.compile(r"([dljmtsnc]|qu)['’](.+)")
_SHORTENED = ("'ll", "’ll", "'d", "’d")
_APOSTROPHES = str.maketrans("", "", "'’")
_MARKUP = re.compile(
    r"(?:<|&lt;)/?(?:(?P<inline>abbr|bdi|big|b|code|del|em|font|ins|i|kbd|mark|q|small|span|strike"
    r"|strong|sub|sup|s|tt|u)|br|center|dd|details|div|dl|dt|h[1-6]|hr|li|ol|p|pre|summary|table"
    r"|tbody|td|th|thead|tr|ul)\s?/?(?:>|&gt;)"
    r"|&(?:amp;){0,3}(?P<reference>#\d{1,20};?|#x[\da-f]{1,20};?|(?:nbsp|shy);?|[a-z]{2,31}\d{0,2};)",
    re.IGNORECASE,
)
"""Tags without attributes and character references of HTML, which cards contain. Attributes are
read like other words, because a model reads them."""
_QUESTION = re.compile(f"[{CODE['IS']}{CODE['WAS']}]{CODE['SUBJECT']}$")
_WHOLE_NUMBER = re.compile(
    "[{ONES}{WEAK}]?{TENS}{AND}?[{TENS}{ONES}{SMALL}{TEENS}{WEAK}{EIGHTEEN}{ADULT}]*".format(**CODE)
)
"""twenty-five, quatre-vingt-douze"""


_ALONE = "\x01"
"""Marks the beginning and the end of the codes of a single letter."""
_LETTER_ALONE = re.compile(r"\w[^\w\s]?")


class _Codes(dict[str, str]):
    """A cache of the codes of each word."""

    def __missing__(self, word: str) -> str:
        if len(word) > REMEMBERED_CHARS:
            return _long(word)
        if len(self) >= REMEMBERED_WORDS:
            self.clear()
        code = _code(word)
        self[word] = code = f"{_ALONE}{code}{_ALONE}" if _LETTER_ALONE.fullmatch(word) else code
        return code


_codes = _Codes()


def _code(word: str) -> str:
    if _is_plain(word):
        return _lookup(word)
    folded = fold(_CAPITAL_I.sub("l", word.translate(_FRACTION_SIGNS)))
    if known := _WORDS.get(folded):
        return known
    if _is_together(folded):
        return _together(folded)
    inner = _INNER.search(folded)
    if inner is None:
        return _punctuation(folded)
    before = COMMA if "(" in folded[: inner.start()] else ""
    return before + _inner(folded, inner[0]) + _punctuation(folded[inner.end() :])


def _is_plain(word: str) -> bool:
    """Whether a word has only lower-case letters from a to z, like most words: such a word has no
    disguise."""
    return word.isascii() and word.isalpha() and word.islower()


def _punctuation(signs: str) -> str:
    if not signs:
        return ""
    if any(sign in signs for sign in ".!?…"):
        return STOP
    return COMMA if any(sign in signs for sign in ",;:()[]/|—–") else ""


def _inner(word: str, inner: str) -> str:
    """The codes of a word without the punctuation around it. Symbols may stand for letters."""
    signs = [sign for sign in "$€£%@!|" if sign in word]
    disguised = _signal(word.strip(".,;:?\"'*()-")) if signs else ""
    if disguised:
        return disguised
    return OTHER if any(sign in "$€£%" for sign in signs) else _core(inner)


def _core(core: str) -> str:
    if core.isalpha():
        return _lookup(core)
    if _FIGURES.fullmatch(core):
        return CODE["FRACTION"] if _FRACTION.fullmatch(core) else OTHER
    if match := _DIGITS.fullmatch(core):
        return _with_digits(int(match[1]), match[2]) or _lookup(core)
    if match := _FRACTION_AND_UNIT.match(core):
        unit = _core(core[match.end() :])
        if unit[:1] in _UNITS:
            return CODE["FRACTION"] + unit
    if match := _ELISION.fullmatch(core):
        return _lookup(match[1]) + _core(match[2])
    contracted = core.translate(_APOSTROPHES)
    if contracted in _WORDS and not core.endswith(_SHORTENED):
        return _WORDS[contracted]
    if core.endswith(("'d", "’d")):
        return _core(core[:-2])
    parts = _BETWEEN.split(core)
    return _compound(core, parts) if len(parts) > 1 else _lookup(core)


def _compound(core: str, parts: Sequence[str]) -> str:
    """The codes of words with punctuation between them: several words, or one with inserted
    punctuation."""
    joined = "".join(parts)
    if not joined.isdigit() and (aged := _age(joined)):
        return aged
    if joined in _WORDS or (_signal(joined) and not all(map(_plain, parts))):
        return _lookup(joined)
    if max(map(len, parts)) == 1 and (inside := _inside(joined, _SPELLED_OUT)):
        return inside
    if "*" in core and (hidden := _signal(core)):
        return hidden
    between = COMMA if "(" in core else ""
    return _WHOLE_NUMBER.sub(CODE["ADULT"], between.join(map(_core, parts)))


def _plain(part: str) -> bool:
    """Whether a part of a compound has a class by itself."""
    return part.isdigit() or bool(_known(part))


def _with_digits(years: int, unit: str) -> str:
    """The codes of a number with an attached unit: 15yo, 8th; "" for anything else."""
    if not unit or unit == "ish":
        return _number(years)
    if unit == "y":
        return _number(years) + CODE["YEAR"]
    if unit in _ORDINAL_ENDS:
        return CODE["ORDINAL"] if years < 18 else OTHER
    code = _known(unit)
    if code and code[0] in _UNITS:
        return _number(years) + code
    if unit.startswith(("year", "yo")):
        return _number(years) + CODE["YO"] + _inside(unit, _INSIDE)
    return ""


def _number(years: int) -> str:
    if years < 2:
        return CODE["WEAK"]
    if years < 13:
        return CODE["ONES" if years < 10 else "SMALL"]
    if years < 18:
        return CODE["TEENS"]
    return CODE["EIGHTEEN" if years == 18 else "ADULT"]


# --- one word without punctuation ------------------------------------------------------------


def _words() -> dict[str, str]:
    words = {fold(w): CODE[name] for name, line in lexicon.WORDS.items() for w in line.split()}
    words |= {fold(w): CODE["ORDINAL"] for w in lexicon.ORDINALS.split()}
    words |= {fold(w): CODE["WEAK"] for w in lexicon.WEAK_NUMBERS.split()}
    for years, line in lexicon.NUMBERS.items():
        words |= {fold(w): _number(years) for w in line.split()}
    return words


def _named(*names: str) -> frozenset[str]:
    return frozenset(CODE[name] for name in names)


_WORDS = _words()
_STEMS = {fold(w): CODE[name] for name, line in lexicon.STEMS.items() for w in line.split()}
_STEM_LENGTHS = sorted({len(stem) for stem in _STEMS}, reverse=True)
_STEM_BEGINNINGS = frozenset(stem[: _STEM_LENGTHS[-1]] for stem in _STEMS)
"""Few words begin like a stem."""
_INFLECTED = re.compile(r"[^\W\d_]{4,24}(?:s|ed|er|ing)\b", re.IGNORECASE)
_ENDINGS = ("s", "es", "ed", "ing", "er", "ers")
_INFLECTED_CLASSES = _named("EXPLICIT", "SOFT", "PORN")
_FRONTS = frozenset(map(fold, lexicon.NUMBER_FRONTS.split()))
_AGED = tuple(map(fold, lexicon.STEMS["AGED"].split()))
_ADULT_ENDS = tuple(map(fold, lexicon.ADULT_ENDS.split()))
_ADULT_FRONTS = tuple(map(fold, lexicon.ADULT_FRONTS.split()))
_ADVERB_ENDS = tuple(lexicon.ADVERB_ENDS.split())
_ORDINAL_ENDS = frozenset(["st", "nd", "rd", "th", "o", "a", "er", "eme", "e", "и", "м"])
_UNITS = _named(
    *("YEAR", "YO", "MONTH", "ANOS", "ANS", "ANNI", "JAHRE", "LET", "AGED", "GENDER", "OLD"),
    *("GRADER", "AGE_UNIT"),
)
_SIGNALS = _named(
    *("SEX", "EXPLICIT", "PORN", "SOFT", "FUCK", "NAKED", "STATED", "ABSOLUTE", "TEEN", "CHILD"),
    *("CHILDREN", "KIN", "YO", "TEENS", "SMALL", "ONES"),
)
_INSIDE = {fold(w): _WORDS.get(fold(w)) or _STEMS[fold(w)] for w in lexicon.INSIDE.split()}
_SPELLED_OUT = _INSIDE | {
    word: code
    for word, code in (_STEMS | _WORDS).items()
    if code in _named("SEX", "EXPLICIT", "PORN", "STATED", "ABSOLUTE")
}
_NEARLY_DIGITS = re.compile(r"([\dlio]{1,2})([^\W\d_]*)")
_DIGIT_LETTERS = str.maketrans("lio", "110")


def _lookup(word: str) -> str:
    return _known(word) or _disguised(word) or (LETTER if len(word) == 1 else OTHER)


def _known(word: str) -> str:
    if code := _WORDS.get(word):
        return code
    if word[: _STEM_LENGTHS[-1]] in _STEM_BEGINNINGS:
        for length in _STEM_LENGTHS:
            if code := _STEMS.get(word[:length]):
                return code
    for aged in _AGED:
        front, found, _ = word.partition(aged)
        if found and front in _FRONTS:
            return CODE["STATED"]
    if word.endswith(_ADULT_ENDS) or word.startswith(_ADULT_FRONTS):
        return CODE["ADULT"]
    if len(word) > 9 and (inside := _inside(word, _INSIDE)):
        return inside
    return CODE["JUST"] if len(word) > 4 and word.endswith(_ADVERB_ENDS) else ""


def _disguised(word: str) -> str:
    """The codes of a word with look-alikes replaced by what they look like."""
    if _is_plain(word) and not is_drawn_out(word):
        return ""
    for reading in readings(word):
        if code := _known(reading) or _age(reading):
            return code
    if "ñ" in word:
        return _known(word.replace("ñ", "n"))
    if (match := _NEARLY_DIGITS.fullmatch(word)) and not match[1].isalpha():
        return _age(match[1].translate(_DIGIT_LETTERS) + match[2])
    return ""


def _age(word: str) -> str:
    match = _DIGITS.fullmatch(word)
    return _with_digits(int(match[1]), match[2]) if match else ""


def _signal(word: str) -> str:
    """The codes of a word if it is a signal, else ""."""
    code = _known(word) or _disguised(word)
    return code if code[:1] in _SIGNALS else ""


def _inside(word: str, terms: dict[str, str]) -> str:
    """The codes of the terms inside a word written without spaces."""
    return "".join(code for term, code in terms.items() if term in word)


def _long(word: str) -> str:
    """The codes of a very long word: text without spaces, or with punctuation between words."""
    folded = fold(word)
    if _is_together(folded):
        return _together(folded)
    if len(folded) <= REMEMBERED_CHARS:  # It had invisible characters.
        return _codes[folded]
    return "".join(map(_part, filter(None, _BETWEEN.split(folded))))


def _part(part: str) -> str:
    """The codes of the beginning of a part as a word, and of the terms in its rest."""
    rest = part[REMEMBERED_CHARS - LONGEST_TERM :] if len(part) > REMEMBERED_CHARS else ""
    return _codes[part[:REMEMBERED_CHARS]] + _inside(rest, _INSIDE)


# --- letters that stand alone ----------------------------------------------------------------

IN_A_ROW = 3
_IN_A_ROW = re.compile(f"(?:{_ALONE}[^{_ALONE}]*{_ALONE}[{CODE['STOP']}{COMMA}]*){{{IN_A_ROW}}}")
"""The codes of at least `IN_A_ROW` single letters or digits with only punctuation between them."""
_SPELLED_AGE = re.compile(r"(?<!\d)\d{1,2}y(?:o|earsold)")


def _spelled_out(words: Sequence[str]) -> Iterator[str]:
    """The codes of words. Rows of single letters are followed by the codes of the joined word."""
    for alone, group in groupby(words, key=_stands_alone):
        row = list(group)
        codes = "".join(map(_codes.__getitem__, row))
        yield codes
        if alone and _IN_A_ROW.search(codes):
            joined = _BETWEEN.sub("", fold("".join(row)))
            yield _together(joined) if _is_together(joined) else _spelled(joined)


def _spelled(joined: str) -> str:
    ages = "".join(_age(found[0]) for found in _SPELLED_AGE.finditer(joined))
    return ages + (_inside(joined, _SPELLED_OUT) or _core(joined))


def _stands_alone(word: str) -> bool:
    return len(word) == 1 or (len(word) == 2 and not word.isalnum())


# --- languages that are written without spaces -----------------------------------------------

SCRIPT = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
"""The scripts of the lexicon that are written without spaces."""
_STREWN = r"-·・*_~/\\|"
"""Punctuation that is ignored between two characters of these scripts."""
_TERMS = {
    fold(w): CODE[name] for name, line in lexicon.WRITTEN_TOGETHER.items() for w in line.split()
}
_APART = {fold(w): CODE[name] for name, line in lexicon.WRITTEN_APART.items() for w in line.split()}
_NUMERAL = f"[{''.join(lexicon.NUMERALS)}]"
_NATIVE = "|".join(
    sorted(
        {
            tens + ones
            for tens in ["", *lexicon.NATIVE_TENS]
            for ones in ["", *lexicon.NATIVE_ONES]
            if tens + ones
        },
        key=len,
        reverse=True,
    )
)


class _Patterns(NamedTuple):
    together: re.Pattern[str]
    runs: re.Pattern[str]
    strewn: re.Pattern[str]
    found: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    """The patterns, compiled on first use."""
    return _Patterns(
        together=re.compile(f"[{SCRIPT}]"),
        runs=re.compile(rf"[{SCRIPT}]+|[^\W_{SCRIPT}]+|\W|_"),
        strewn=re.compile(rf"(?<=[{SCRIPT}])[{_STREWN}]+(?=[{SCRIPT}])"),
        found=re.compile(
            "|".join(
                [
                    rf"(?P<school>(?:小学校?|中学校?|高校|高中|初中?)[\d一二三四五六]"
                    rf"(?:年|女生|男生|的?学生)|[上读讀念](?:小学|初中|高中|中学|{_NUMERAL}年级))",
                    rf"(?P<numeral>{_NUMERAL}{{1,3}})(?=[歳岁歲才세])",
                    rf"(?P<native>{_NATIVE})(?=살|$)",
                    f"(?P<apart>(?<![\u3400-\u9fff\uac00-\ud7a3])(?:{'|'.join(_APART)}))",
                    f"(?P<term>{'|'.join(sorted(_TERMS, key=len, reverse=True))})",
                ]
            )
        ),
    )


def _is_together(text: str) -> bool:
    """Whether the text contains a script without spaces."""
    return bool(text) and max(text) >= "\u3040" and bool(_patterns().together.search(text))


def _together(text: str) -> str:
    """The codes of text without spaces, including other scripts in it."""
    return "".join(map(_run, _patterns().runs.findall(_patterns().strewn.sub("", text))))


def _run(run: str) -> str:
    if not _is_together(run):
        return _core(run) if run[0].isalnum() else _wide_punctuation(run)
    if len(run) == 1:
        years = lexicon.NATIVE_TENS.get(run, 0)
        return _number(years) if years else _TERMS.get(run, LETTER)
    codes, end = [], 0
    for match in _patterns().found.finditer(run):
        codes.append(_unknown(match.start() - end))
        codes.append(_term(match))
        end = match.end()
    return "".join([*codes, _unknown(len(run) - end)])


def _unknown(chars: int) -> str:
    """The codes of unknown characters; two of them count as a word."""
    return OTHER * ((chars + 1) // 2)


def _wide_punctuation(sign: str) -> str:
    if sign == "。":
        return STOP
    return COMMA if sign in "、「」" else _punctuation(sign)


def _term(match: re.Match[str]) -> str:
    if match["school"]:
        return CODE["STATED"]
    if match["numeral"]:
        return _number(_numeral(match["numeral"]))
    if match["native"]:
        return _number(_native(match["native"]))
    return _APART[match["apart"]] if match["apart"] else _TERMS[match["term"]]


def _numeral(text: str) -> int:
    """The value of a numeral: 十五, 二十, 십오."""
    total = ones = 0
    for char in text:
        value = lexicon.NUMERALS[char]
        total, ones = (total + 10 * (ones or 1), 0) if value == 10 else (total, value)
    return total + ones


def _native(text: str) -> int:
    tens = next((word for word in lexicon.NATIVE_TENS if text.startswith(word)), "")
    return lexicon.NATIVE_TENS.get(tens, 0) + lexicon.NATIVE_ONES.get(text[len(tens) :], 0)


# --- parts of a text, and one that grows at its end -------------------------------------------

_WORD_CHAR = rf"[^\W{SCRIPT}]|[{''.join(lexicon.NUMERALS)}]"
_IN_WORD = compiled_later(_WORD_CHAR)
_REST_OF_WORD = compiled_later(rf"(?:{_WORD_CHAR})*")
NEAR_CHARS = 40
"""How far from a cut a space is searched; if there is none, the end of a word, by characters."""


def first_words(text: str, max_chars: int) -> str:
    """At most the first `max_chars` characters. Drops a word cut in half: `sex` of `sextant`."""
    if len(text) <= max_chars:
        return text
    space = text.rfind(" ", max(max_chars - NEAR_CHARS, 0), max_chars + 1)
    if space >= 0:
        return text[:space]
    end = max_chars
    while end and _IN_WORD.match(text, end - 1):
        end -= 1
    return text[:end]


def last_words(text: str, max_chars: int) -> str:
    """At most the last `max_chars` characters. Drops a word cut in half: `12` of `112`."""
    if len(text) <= max_chars:
        return text
    start = len(text) - max_chars
    space = text.find(" ", start - 1, start + NEAR_CHARS)
    if space >= 0:
        return text[space:]
    return _REST_OF_WORD.sub("", text[start:], count=1)


_SETTLED = re.compile(r".*[^\s<]{3}(?=\s)", re.DOTALL)
"""Up to a complete word that cannot be part of a row of single letters, nor begin the tag `<br />`.
"""
_SPACE = re.compile(r".*(?=\s)", re.DOTALL)
_ONE_SIGN = re.compile(rf"([{_STREWN}])[{_STREWN}]*$")
"""Punctuation at the end, which may be ignored depending on the next character."""
MAX_UNSETTLED_CHARS = 400
"""The limit for the text that is read again, if it has no spaces or only single letters."""
AHEAD_CHARS = 100
"""Longer than any term of the lexicon."""
_LONG = "-" * (REMEMBERED_CHARS + 1)
"""A prefix without meaning that makes what follows count as a long word."""


def settle(text: str) -> tuple[str, str]:
    """Split a growing text into final codes, and the rest, which must be read again.

    The codes of both parts together equal those of the whole text.
    """
    text = _without_markup(text)
    found = _SETTLED.match(text)
    end = found.end() if found else 0
    return encode(text[:end]), text[end:]


def settle_unspaced(text: str) -> tuple[str, str]:
    """As `settle`, for a text in which that finds no place to split. Does not split within a term,
    except in a long row of single letters."""
    text = _without_markup(text)
    space = _SPACE.match(text)
    start = space.end() if space else 0
    last = text[start:].lstrip()
    if len(last) > AHEAD_CHARS:
        codes, rest = _settle_word(last)
        return encode(text[:start] + " ") + codes, rest
    return _settle_row(_apart(text[:start]), text[start:])


def _settle_row(words: Sequence[str], rest: str) -> tuple[str, str]:
    """Keep a row of single letters at the end for reading again, without the punctuation between
    them."""
    length = sum(1 for _ in takewhile(_stands_alone, reversed(words)))
    row = words[len(words) - length :]
    letters = [word for word in row if not _BETWEEN.fullmatch(word)]
    settled = [*words[: len(words) - length], *filter(_BETWEEN.fullmatch, row)]
    kept = letters[-AHEAD_CHARS // 2 :]
    settled += letters[: len(letters) - len(kept)]
    return encode(" ".join(settled)), " ".join(kept) + rest


def _settle_word(word: str) -> tuple[str, str]:
    folded = fold(word)
    if _is_together(folded):
        joined = _ONE_SIGN.sub(r"\1", _patterns().strewn.sub("", folded))
        place = _place_to_split(joined, max(len(joined) - AHEAD_CHARS, 0))
        return _together(joined[:place]), joined[place:]
    if len(folded) <= REMEMBERED_CHARS:  # It had invisible characters.
        return "", folded
    *parts, last = _BETWEEN.split(folded)
    codes = "".join(map(_part, filter(None, parts)))
    return codes.replace(_ALONE, ""), _LONG + _shortened(last)


def _shortened(part: str) -> str:
    """A shorter word that `_part` encodes the same way, however the long word continues: its
    beginning, the terms in the rest, and an end that may be part of a term."""
    if len(part) <= REMEMBERED_CHARS + LONGEST_TERM:
        return part
    rest = part[REMEMBERED_CHARS - LONGEST_TERM :]
    terms = (term for term in _INSIDE if term in rest)
    return "".join([part[:REMEMBERED_CHARS], *terms, part[-LONGEST_TERM:]])


def _place_to_split(text: str, limit: int) -> int:
    """The last position up to `limit` at which text without spaces may be split."""
    for run in _patterns().runs.finditer(text):
        if run.end() > limit:
            inside = _place_in_run(run[0], limit - run.start()) if _is_together(run[0]) else 0
            return run.start() + inside or limit
    return limit


def _place_in_run(run: str, limit: int) -> int:
    place = end = 0
    for match in [*_patterns().found.finditer(run), None]:
        # After whole pairs of unknown characters, but before the last one: lookbehinds may need it.
        pairs = (min(limit, (match.start() if match else len(run)) - 1) - end) // 2
        place = end + 2 * pairs if pairs > 0 else place
        if match is None or match.end() > limit:
            break
        end = match.end()
    return place or end
