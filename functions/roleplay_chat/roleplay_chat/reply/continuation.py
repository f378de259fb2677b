"""Joins a reply and its continuation: adds a space where one belongs, and drops repeated text.

Whitespace that the model wrote decides. But most models begin without any, whether they continue a
word or begin a new one. Then the language decides: scripts without spaces get none, and words are
put together if the second part cannot be a word.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from edge.patterns import compiled_later
from roleplay_chat.reply import joining_words
from roleplay_chat.scripts import is_unspaced

MOST_OVERLAP_CHARS = 200
"""The end of the reply that a continuation may repeat from anywhere. It may also begin the whole
reply, a paragraph or a sentence again."""
MOST_BEGINNINGS = 8
"""The last paragraphs, and the last sentences, that a continuation may begin again."""
LEAST_OVERLAP_CHARS = 6
"""Shorter runs of several words do not count as a repetition."""
LEAST_WIDE_OVERLAP_CHARS = 4
"""The same in scripts without spaces."""
LEAST_REPEATED_CHARS = 40
"""A continuation that begins with this many characters of the reply has begun it again."""
MOST_WORD_CHARS = 40
"""The end of a longer word is not waited for."""
MOST_SHORT_CHARS = 3
"""The length of words that are all known in English."""
SEEN_CHARS = 4_000
"""The part at the end of the reply whose words count as known."""

_WIDE_MARK = compiled_later("[\u3000-\u303f\ufe30-\ufe4f\uff01-\uffef]")
"""The punctuation of Chinese and Japanese, which no space follows."""
_WORD = compiled_later(r"[^\W\d_]+")
_FIRST = compiled_later(r"[-–—]|['’]?[^\W\d_]*")
_LAST_WORD = compiled_later(r"[^\W\d_]{1,40}\Z")
_SENTENCE = compiled_later(r"[.!?…。！？][\"'”’»」』*_)\]]*\s|[。！？]|\n")
_PARAGRAPH = compiled_later(r"\n\s*")
_NEXT_SENTENCE = compiled_later(r"[.!?…][\"'”’»」』*_)\]]*\s+|[。！？][\"'”’»」』*_)\]]*")
_ENDS_SENTENCE = compiled_later(r"[.!?…:;。！？：；][\"'”’»」』*_)\]]*\Z|[*_\"”»」』)\]]\Z")
_CONTRACTION = compiled_later(r"['’](?:s|t|d|m|ll|re|ve)\b", re.IGNORECASE)
_CONTRACTED = compiled_later(r"\w['’](?:s|t|d|m|ll|re|ve)\Z", re.IGNORECASE)
_ELISION = compiled_later(
    r"\b(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|dell|nell|all|sull|dall|un)['’]\Z", re.I
)
_ADDRESS = compiled_later(r"(?:://|\bwww\.)\S*\Z")
"""The beginning of an address, in which there are no spaces."""
_CLOSES = frozenset(".,;:!?…)]}%”’»›")
_OPENS = frozenset("([{“‘«‹¿¡/$€£#@")
_DASHES = frozenset("-–—")
_PAIRED = frozenset('"*_`~')
_VOWELS = frozenset("aeiouyæøœıаеёиоуыэюяієїαεηιουω")
_INNER = compiled_later(
    "m[bp]|n[cdkt]|l[cdfkpt]|r[bcfgklmnp]|c[kt]|ght|м[бп]|н[гдкт]|л[кт]|р[кмн]|[ьъы]"
)
"""Beginnings that no word has in the languages above, capital letters aside."""
_COMPOUNDS = compiled_later(r"[A-ZÄÖÜ]\w*(?:ung|heit|keit|schaft|ität)s$")
"""First parts of German compounds that are not words on their own."""


@cache
def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


class Continuation:
    """Turns a continuation, as it streams, into the text to add to the reply.

    Drops text that it repeats from the reply, and inserts missing whitespace. Holds text back only
    while it repeats the reply, then until its first word is whole.
    """

    def __init__(self, beginning: str, said: str = "") -> None:
        """`said` is what was said before, which shows the words of the conversation."""
        self._beginning = beginning
        self._said = said[-SEEN_CHARS:]
        self._overlaps: _Overlaps | None = _Overlaps(beginning.rstrip())
        """None once the repetition is known."""
        self._held: list[str] = []
        self._before = ""
        """The whitespace that the model wrote first."""
        self._skips_space = True
        self._is_joined = False
        self.was_dropped = False
        """Whether the continuation was the reply once more, and nothing of it is left."""
        self.accepts = False
        """Whether it then stays: a model that was asked twice has nothing else to say."""

    def feed(self, piece: str) -> str:
        """Process a piece and return what is added to the reply; may be empty."""
        if self._skips_space:
            text = piece.lstrip()
            self._before = (self._before + piece[: len(piece) - len(text)])[:4]
            piece, self._skips_space = text, not text
        if self._is_joined or not piece:
            return piece
        self._held.append(piece)
        return self._decide(piece, ends=False)

    def flush(self) -> str:
        """End the continuation and return the text that was still held back."""
        return self._decide("", ends=True) if self._held else ""

    def _decide(self, piece: str, *, ends: bool) -> str:
        if self._overlaps:
            found = self._overlaps.feed(piece, ends=ends)
            if found is None:
                return ""
            self._overlaps = None
            text = "".join(self._held)
            is_same = ends and found.chars == len(text) == len(self._beginning.rstrip())
            self.was_dropped = is_same and not self.accepts
            if is_same and self.accepts:
                found = _Repeated(0, reaches_the_end=False)
            rest = text[found.chars :]
            if found.reaches_the_end:
                return self._go_on_after(rest)
            self._held = [rest]
            if found.chars:
                self._before, self._held = "", [rest.lstrip()]
        text = "".join(self._held)
        first = _FIRST.match(text)
        if first and first.end() == len(text) <= MOST_WORD_CHARS and not ends:
            return ""
        self._held, self._is_joined = [], True
        return _between(self._beginning, self._before, text, self._said) + text

    def _go_on_after(self, rest: str) -> str:
        self._held, self._is_joined = [], True
        if self._beginning[-1:].isspace():
            rest = rest.lstrip()
            self._skips_space = not rest
        return rest


class _Repeated(NamedTuple):
    """The repeated text at the beginning of a continuation."""

    chars: int
    reaches_the_end: bool
    """Whether the reply ends with it, so that the rest continues exactly there."""


class _Overlaps:
    """Finds what a continuation repeats: the whole reply, its end, or sentences it begins with."""

    def __init__(self, reply: str) -> None:
        self._reply = reply
        self._length = 0
        self._alive: list[int] | None = None
        """Where in the reply the continuation may have begun."""
        self._whole: dict[int, str] = {}
        """Where it did begin, with the character that follows the repetition; "" if none did yet.
        """
        self._begins_alike = 0
        """How many characters it has in common with the reply, if it began like it."""

    def feed(self, piece: str, *, ends: bool) -> _Repeated | None:
        """Read a piece and return what it repeats; None while that depends on what follows."""
        if self._alive is None:
            self._alive = _starts(self._reply, piece[:1])
        for start, after in self._whole.items():
            self._whole[start] = after or piece[:1]
        self._alive = [start for start in self._alive if self._goes_on(start, piece)]
        self._length += len(piece)
        return self._found(ends=ends)

    def _goes_on(self, start: int, piece: str) -> bool:
        at = start + self._length
        left = len(self._reply) - at
        if not self._reply.startswith(piece[:left], at):
            if start == 0:
                self._begins_alike = self._length + _alike(self._reply[at:], piece)
            return False
        if left <= len(piece):
            self._whole[start] = piece[left : left + 1]
        return left > len(piece)

    def _found(self, *, ends: bool) -> _Repeated | None:
        alive = self._alive or []
        for start in sorted([*alive, *self._whole]):
            if start not in self._whole:
                if not ends:
                    return None
                if start == 0 and self._length >= LEAST_REPEATED_CHARS:
                    return _Repeated(self._length, reaches_the_end=True)
                continue
            if not self._whole[start] and not ends:
                return None
            if _is_repetition(self._reply[start:], self._whole[start]):
                return _Repeated(len(self._reply) - start, reaches_the_end=True)
        return _Repeated(self._sentences(), reaches_the_end=False)

    def _sentences(self) -> int:
        """The length of the whole sentences with which both the reply and the continuation begin.
        If they differ in the reply's last sentence, its common words count, too."""
        if self._begins_alike < LEAST_REPEATED_CHARS:
            return 0
        alike = self._reply[: self._begins_alike]
        sentences = max((end.end() for end in _SENTENCE.finditer(alike)), default=0)
        if _SENTENCE.search(self._reply, self._begins_alike):
            return sentences
        return max(sentences, alike.rfind(" ") + 1)


def _starts(reply: str, first: str) -> list[int]:
    """The places in the reply where a repetition that begins with this character may start."""
    least = max(len(reply) - MOST_OVERLAP_CHARS, 0)
    anywhere = range(max(least, 1), len(reply))
    places = [0, *_beginnings(reply, least), *anywhere] if reply else []
    return [
        place
        for place in places
        if reply[place] == first
        and not (place and reply[place - 1].isalnum() and first.isalnum() and not _is_wide(first))
    ]


def _beginnings(reply: str, before: int) -> list[int]:
    """Where the last paragraphs and sentences begin, as far as they begin before this place."""
    sentences = _NEXT_SENTENCE.finditer(reply, max(before - SEEN_CHARS, 0), before)
    found = {
        match.end()
        for matches in (_PARAGRAPH.finditer(reply, 0, before), sentences)
        for match in deque(matches, MOST_BEGINNINGS)
    }
    return sorted(found - {0, before})


def _alike(one: str, other: str) -> int:
    """The length of the common beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)


def _is_repetition(repeated: str, after: str) -> bool:
    """Whether the end of a reply, which the continuation begins with, was meant to be repeated."""
    if _is_wide(repeated[-1]):
        return len(repeated) >= LEAST_WIDE_OVERLAP_CHARS
    if repeated.strip("*_\"'") in ("...", "…"):
        return True
    if not _WORD.search(repeated):
        return False
    word = repeated.lower()
    if after.isalpha() and _WORD.fullmatch(word):  # It completes the last word.
        return len(word) > 1 and word not in _common("")
    if len(repeated) >= LEAST_OVERLAP_CHARS:
        return True
    return word in _common("") and word not in _listed(joining_words.DOUBLED)


def _between(beginning: str, before: str, text: str, said: str) -> str:
    """The whitespace between the two texts. `before` is what the model wrote."""
    last, first = beginning[-1:], text[:1]
    if not last or last.isspace():
        return ""
    if "\n" in before and (_ENDS_SENTENCE.search(beginning[-8:]) or not first.islower()):
        return "\n\n" if before.count("\n") > 1 else "\n"
    if before and "\n" not in before:
        return " "
    return " " if _is_space_missing(beginning, text, said) else ""


def _is_space_missing(beginning: str, text: str, said: str) -> bool:
    last, first = beginning[-1], text[0]
    if _is_wide(last) or _is_wide(first) or first in _CLOSES or last in _OPENS:
        return False
    if _ADDRESS.search(beginning[-SEEN_CHARS:]):
        return False
    if first in _DASHES or last in _DASHES:
        return (text[1:2] if first in _DASHES else beginning[-2:-1]).isspace()
    if first in _PAIRED or last in _PAIRED:
        sign = first if first in _PAIRED else last
        is_open = beginning.rpartition("\n")[2].count(sign) % 2 == 1
        return not is_open
    if first in "'’" and _CONTRACTION.match(text):
        return False
    if last in "'’":
        is_contraction = beginning[-2:-1].isalpha() and _CONTRACTION.match(f"'{text}")
        return not (is_contraction or _ELISION.search(beginning[-12:]))
    if first.isdigit() and (last.isdigit() or (beginning[-2:-1].isdigit() and last in ".,:")):
        return False
    return not (last.isalpha() and first.isalpha()) or _is_new_word(beginning, text, said)


def _is_new_word(beginning: str, text: str, said: str) -> bool:
    """Whether the texts meet between two words, and not inside one."""
    end, start = _LAST_WORD.search(beginning), _WORD.match(text)
    if end is None or start is None or _script(end[0]) != _script(start[0]):
        return True
    if start[0][0].isupper() and not end[0][-1].isupper():
        return True
    if _INNER.match(start[0]) or _COMPOUNDS.search(end[0]):
        return False
    left, right = end[0].lower(), start[0].lower()
    if "\uac00" <= right[0] <= "\ud7a3":
        return right not in _listed(joining_words.PARTICLES)
    seen = beginning[-SEEN_CHARS:]
    common = _common(f"{said}\n{seen}")
    known = _words(f"{said}\n{seen[: end.start() - len(beginning)]}")
    if left + right in known or left + right in _listed(joining_words.COMPOUND):
        return False
    if right in common or right in known:
        return True
    if len(right) == 1 or right in _listed(joining_words.ENDINGS) or not _may_be_word(right):
        return False
    is_english = _may_be_english(f"{said}\n{seen}")
    if is_english and _is_part(right):
        return False
    if is_english and left == end[0] and _is_part(left) and left not in known | _languages()[0]:
        return bool(_CONTRACTED.search(beginning))
    return left in common or left in known or _may_be_word(left)


def _may_be_english(text: str) -> bool:
    """Whether no other language has more of its common words in the text."""
    words = _words(text)
    english, *others = (len(common & words) for common in _languages())
    return 0 < english >= max(others)


def _is_part(word: str) -> bool:
    """Whether these letters, which are not a common English word, are only a part of a word."""
    return len(word) <= MOST_SHORT_CHARS and word not in _listed(joining_words.SHORT)


def _common(text: str) -> frozenset[str]:
    """The common words of the text's language; of all languages if that is unknown."""
    words = _words(text)
    *_, second, likeliest = sorted(_languages(), key=lambda common: len(common & words))
    is_known = len(likeliest & words) > len(second & words)
    return likeliest if is_known else frozenset().union(*_languages())


@cache
def _languages() -> Sequence[frozenset[str]]:
    """The common words of each language; English comes first."""
    return [_listed(paragraph) for paragraph in joining_words.COMMON.split("\n\n")]


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def _may_be_word(word: str) -> bool:
    """Whether a word has a vowel and does not begin with a doubled letter. Always true for scripts
    other than Latin, Cyrillic and Greek."""
    if _script(word) not in ("LATIN", "CYRILLIC", "GREEK"):
        return True
    plain = unicodedata.normalize("NFD", word)
    is_doubled = len(plain) > 1 and plain[0] == plain[1] and plain[0] not in "lo"
    return not _VOWELS.isdisjoint(plain) and not is_doubled


def _script(word: str) -> str:
    return unicodedata.name(word[0], "").partition(" ")[0]


def _is_wide(char: str) -> bool:
    """Whether there are no spaces beside the character."""
    return char >= "\u0e00" and (is_unspaced(char) or bool(_WIDE_MARK.match(char)))
