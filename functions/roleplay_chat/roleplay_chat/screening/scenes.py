"""Detects explicit scenes: a sexual act that is described as happening between people. Mentions and
factual texts are not scenes. The rule weighs the words around an explicit one instead of matching
sentences, so it works the same way in ten languages. It ends replies in the `sfw` tier; the hard
limit in `decision` does not depend on it. Deterministic, pure, linear.
"""

import re
from functools import cache
from typing import NamedTuple

from msgspec import Struct

from roleplay_chat.screening import lexicon, scene_lexicon
from roleplay_chat.screening.normalize import fold, readings
from roleplay_chat.screening.word_classes import CODE, OTHER, SCRIPT, encode

BEFORE, AFTER = 60, 20
"""How many words before and after an explicit word are weighed."""
MIN_WEIGHT = 5
"""The total weight at which a passage is a scene."""
UNSETTLED_WORDS = 8
"""The number of words at the end of a growing text that may still change."""
RECENT_CHARS = 400
"""The minimum end of a growing text that is encoded again when more arrives."""
UNREAD_CHARS = 4_000
"""How much is appended before it is read."""
LEFT_CHARS = 3_000
"""How much of it is then left for later. New words in disguise take up to seven milliseconds for
1,000 characters."""
KEPT_WORDS = 150
"""The encoded words kept before that: more than are weighed around a word not judged yet."""
AHEAD_CHARS = 100
"""Longer than any term of the lexicon."""
REMEMBERED_WORDS = 20_000
"""The number of cached words; when full, the cache is cleared."""
REMEMBERED_CHARS = 64
"""Longer words are not cached. Of words between spaces, only this many characters are read."""

_CODE = CODE | {
    "ACT": "1",
    "ORGAN": "2",
    "ENTERS": "3",
    "VULGAR": "4",
    "DEED": "5",
    "WHO": "6",
    "SOBER": "7",
    "PART": "8",
}
"""The character for each class: those of `word_classes`, and digits, which it does not use."""


def is_scene(text: str) -> bool:
    """Whether the text contains an explicit scene."""
    words = _encode(text)
    return _any_scene(words, 0, len(words))


def has_word_of_scene(text: str) -> bool:
    """Whether any word of the text may be part of an explicit scene."""
    return not _SUSPICIOUS.isdisjoint(_encode(text))


class GrowingScene:
    """Detects a scene in a text that grows at its end: the same result however it is split.

    A word is judged finally once the words after it have arrived. Few texts are ever checked, so
    appended text is read lazily.
    """

    def __init__(self, text: str = "") -> None:
        self._unread: list[str] = []
        self._unread_chars = 0
        self._encoded = ""
        """The words before `_recent`, as many as may be weighed."""
        self._recent = ""
        self._judged = 0
        self.grow(text)

    def may_be(self, more: str) -> bool:
        """Whether the text contains a scene if it ends with `more`."""
        words = self._words(more)
        return _any_scene(words, self._judged, len(words))

    def surely_is(self, more: str) -> bool:
        """Whether the text with `more` contains a scene, whatever follows."""
        words = self._words(more)
        return _any_scene(words, self._judged, len(words) - AFTER - UNSETTLED_WORDS)

    def grow(self, more: str) -> None:
        """Append text."""
        self._unread.append(more)
        self._unread_chars += len(more)
        if self._unread_chars > UNREAD_CHARS:
            self._read(self._unread_chars - LEFT_CHARS)

    def _read(self, chars: int) -> None:
        """Read the first `chars` of the appended characters."""
        text = "".join(self._unread)
        self._recent += text[:chars]
        self._unread = [text[chars:]]
        self._unread_chars -= chars
        if len(self._recent) <= RECENT_CHARS:
            return
        settled, self._recent = _settle(self._recent)
        self._encoded += settled
        if len(self._encoded) > 2 * KEPT_WORDS:
            self._encoded = self._encoded[-KEPT_WORDS:]
            words = len(self._encoded) + len(_encode(self._recent))
            self._judged = max(words - AFTER - UNSETTLED_WORDS, 0)

    def _words(self, more: str) -> str:
        if self._unread_chars:
            self._read(self._unread_chars)
        return self._encoded + _encode(self._recent + more)


def _settle(text: str) -> tuple[str, str]:
    """Split a growing text into codes and its incomplete last word. Only the beginning of a long
    word is kept, except in scripts without spaces."""
    words = list(_tables().word.finditer(text))
    if not words or words[-1].end() < len(text):
        return _encode(text), ""
    last = words[-1]
    if len(last[0]) <= AHEAD_CHARS:
        return _encode(text[: last.start()]), last[0]
    if last[0] < "\u3040":
        return _encode(text[: last.start()]), last[0][: REMEMBERED_CHARS + 1]
    return _encode(text[:-AHEAD_CHARS]), text[-AHEAD_CHARS:]


# --- the weight of words ------------------------------------------------------------------------


class _Sign(Struct, frozen=True):
    """The weight of some classes. At most `max_count` words count: repetition adds nothing."""

    classes: str
    weight: int
    max_count: int

    @classmethod
    def parse(cls, names: str, weight: int, max_count: int) -> "_Sign":
        """Parse the names of classes."""
        return cls(_encode_names(names), weight, max_count)


def _encode_names(names: str) -> str:
    return "".join(_CODE[name] for name in names.split())


_SIGNS = (
    _Sign.parse("SEX", 2, 1),
    _Sign.parse("ACT", 2, 2),
    _Sign.parse("ORGAN PART", 2, 2),
    _Sign.parse("ENTERS", 2, 1),
    _Sign.parse("EXPLICIT PORN", 1, 1),
    _Sign.parse("SOFT NAKED BREASTS VULGAR FUCK", 1, 2),
    _Sign.parse("DEED", 1, 3),
    # Courts, clinics and classrooms use the same words.
    _Sign.parse("SOBER", -2, 3),
)
_STRONG = re.compile(f"[{_encode_names('SEX ACT ORGAN ENTERS')}]")
"""All of these are explicit or soft in `rules`, too: without those signals there is no scene."""
_DEEDS = _encode_names("DEED ENTERS")
_SUSPICIOUS = frozenset("".join(sign.classes for sign in _SIGNS if sign.weight > 0))
_PEOPLE = _encode_names("SUBJECT SUBJECT_IS HER THEM POSSESSIVE DATIVE GIRL PERSON WHO")


def _any_scene(words: str, begin: int, end: int) -> bool:
    """Whether any strong word between two positions is in a scene."""
    return any(
        _is_scene(words[max(place - BEFORE, 0) : place + AFTER])
        for place in (match.start() for match in _STRONG.finditer(words, begin, max(end, 0)))
    )


def _is_scene(words: str) -> bool:
    weight = sum(sign.weight * min(_count(words, sign.classes), sign.max_count) for sign in _SIGNS)
    people = _count(words, _PEOPLE)
    return weight >= MIN_WEIGHT and people >= (1 if _count(words, _DEEDS) else 2)


def _count(words: str, classes: str) -> int:
    return sum(map(words.count, classes))


# --- words ----------------------------------------------------------------------------------------

_UNSEEN = "\u00ad\u0300-\u036f\u200b-\u200f\u2060"
"""Combining accents and invisible characters, which count as part of a word."""


class _Tables(NamedTuple):
    word: re.Pattern[str]
    words: dict[str, str]
    stems: dict[str, str]
    stem_lengths: list[int]
    terms: dict[str, str]
    term: re.Pattern[str]


@cache
def _tables() -> _Tables:
    """The lookup tables, built on first use: most processes never need them."""
    stems = _coded(scene_lexicon.STEMS)
    terms = dict.fromkeys(lexicon.WRITTEN_TOGETHER["OTHER"].split(), OTHER)
    terms |= _coded(scene_lexicon.WRITTEN_TOGETHER)
    return _Tables(
        word=re.compile(rf"[{SCRIPT}]+|(?:[^\W_{SCRIPT}]|[{_UNSEEN}])+"),
        words=_coded(scene_lexicon.WORDS),
        stems=stems,
        stem_lengths=sorted({len(stem) for stem in stems}, reverse=True),
        terms=terms,
        term=re.compile("|".join(sorted(terms, key=len, reverse=True))),
    )


def _coded(words: dict[str, str]) -> dict[str, str]:
    return {fold(word): _CODE[name] for name, line in words.items() for word in line.split()}


def _encode(text: str) -> str:
    """The text as one character per word, without punctuation."""
    return "".join(map(_codes.__getitem__, _tables().word.findall(text)))


class _Codes(dict[str, str]):
    """A cache of the codes of each word, or of each run of a script without spaces."""

    def __missing__(self, word: str) -> str:
        if len(word) > REMEMBERED_CHARS:
            return _code(word)
        if len(self) >= REMEMBERED_WORDS:
            self.clear()
        self[word] = code = _code(word)
        return code


_codes = _Codes()


def _code(word: str) -> str:
    word = word if word[0] >= "\u3040" else word[:REMEMBERED_CHARS]
    folded = fold(word)
    if "\u3040" <= folded[:1] <= "\ud7a3":
        return _run(folded)
    return _known(folded) or next(filter(None, map(_known, readings(folded))), "") or encode(word)


def _known(word: str) -> str:
    tables = _tables()
    if code := tables.words.get(word):
        return code
    stems = (tables.stems.get(word[:length], "") for length in tables.stem_lengths)
    return next(filter(None, stems), "")


def _run(run: str) -> str:
    tables = _tables()
    codes, end = [], 0
    for match in tables.term.finditer(run):
        codes += [encode(run[end : match.start()]), tables.terms[match[0]]]
        end = match.end()
    return "".join([*codes, encode(run[end:])])
