"""Whether a text is an explicit scene: a sexual act described in earnest, by people who act.

A mention is none, and neither is sober talk. The rule weighs what stands around a word rather than
matching sentences, so it is the same in ten languages. It ends replies of the tier for everybody;
the hard limit is `decision`'s and does not depend on it. Deterministic, pure, linear in the text.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from roleplay_chat.screening import lexicon, scene_lexicon
from roleplay_chat.screening.normalize import fold, readings
from roleplay_chat.screening.word_classes import CODE, OTHER, SCRIPT, encode

BEFORE, AFTER = 60, 20
"""How many words before and after one that is explicit are looked at."""
IN_EARNEST = 5
"""What the words there must weigh together."""
UNSETTLED_WORDS = 8
"""At the end of a text that grows: how many words may still become others."""
RECENT_CHARS = 400
"""Of a text that grows: how much at least is read again when more has come."""
KEPT_WORDS = 150
"""Of the words before that: more than are looked at around one that is not judged yet."""
AHEAD_CHARS = 100
"""No term of the lexicon is this long."""
REMEMBERED_WORDS = 20_000
"""Looked up once; then all are forgotten."""
REMEMBERED_CHARS = 64
"""Longer words are not remembered, and nothing past this is looked at in words between spaces."""

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
"""The character of each class: those of `word_classes`, and digits, which are none of them."""


def is_scene(text: str) -> bool:
    """Whether the text is or has an explicit scene."""
    words = _encode(text)
    return _any_scene(words, 0, len(words))


class GrowingScene:
    """A text that grows at its end, and whether it is a scene: in any pieces the same as whole.

    A word is judged for good when what stands after it is there, and with what stood before it.
    """

    def __init__(self, text: str = "") -> None:
        self._encoded = ""
        """The words before `_recent`, as many as are looked at."""
        self._recent = ""
        self._judged = 0
        self.grow(text)

    def may_be(self, more: str) -> bool:
        """Whether the text would be one, if it ended with this after it."""
        words = self._words(more)
        return _any_scene(words, self._judged, len(words))

    def surely_is(self, more: str) -> bool:
        """Whether it is one with this after it, whatever comes next."""
        words = self._words(more)
        return _any_scene(words, self._judged, len(words) - AFTER - UNSETTLED_WORDS)

    def grow(self, more: str) -> None:
        """Put this after it."""
        self._recent += more
        if len(self._recent) <= RECENT_CHARS:
            return
        settled, self._recent = _settle(self._recent)
        self._encoded += settled
        if len(self._encoded) > 2 * KEPT_WORDS:
            self._encoded = self._encoded[-KEPT_WORDS:]
            self._judged = max(len(self._words("")) - AFTER - UNSETTLED_WORDS, 0)

    def _words(self, more: str) -> str:
        return self._encoded + _encode(self._recent + more)


def _settle(text: str) -> tuple[str, str]:
    """Split a text that goes on: codes, and the last word while it is not whole. Of a long one only
    the beginning counts, but where words are written together."""
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


@dataclass(frozen=True)
class _Sign:
    """What classes weigh, and how many of them count: a word that is repeated says no more."""

    classes: str
    weight: int
    most: int

    @classmethod
    def parse(cls, names: str, weight: int, most: int) -> "_Sign":
        """Classes by their names."""
        return cls(_encode_names(names), weight, most)


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
    # Courts, clinics and classrooms speak of the same things.
    _Sign.parse("SOBER", -2, 3),
)
_STRONG = re.compile(f"[{_encode_names('SEX ACT ORGAN ENTERS')}]")
"""What `rules` takes for explicit or soft, too: where it is quiet there is no scene."""
_DEEDS = _encode_names("DEED ENTERS")
_PEOPLE = _encode_names("SUBJECT SUBJECT_IS HER THEM POSSESSIVE DATIVE GIRL PERSON WHO")


def _any_scene(words: str, begin: int, end: int) -> bool:
    """Whether a word between these places stands in a scene."""
    return any(
        _is_scene(words[max(place - BEFORE, 0) : place + AFTER])
        for place in (match.start() for match in _STRONG.finditer(words, begin, max(end, 0)))
    )


def _is_scene(words: str) -> bool:
    weight = sum(sign.weight * min(_count(words, sign.classes), sign.most) for sign in _SIGNS)
    people = _count(words, _PEOPLE)
    return weight >= IN_EARNEST and people >= (1 if _count(words, _DEEDS) else 2)


def _count(words: str, classes: str) -> int:
    return sum(map(words.count, classes))


# --- words ----------------------------------------------------------------------------------------

_UNSEEN = "\u00ad\u0300-\u036f\u200b-\u200f\u2060"
"""Within words: accents of their own, and what is invisible."""


class _Tables(NamedTuple):
    word: re.Pattern[str]
    words: dict[str, str]
    stems: dict[str, str]
    stem_lengths: list[int]
    terms: dict[str, str]
    term: re.Pattern[str]


@cache
def _tables() -> _Tables:
    """Made when a text first needs them: most never do."""
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
    """The text as one character for each word; punctuation is left out."""
    return "".join(map(_codes.__getitem__, _tables().word.findall(text)))


class _Codes(dict[str, str]):
    """The characters for each word, or for each run of a script without spaces."""

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
