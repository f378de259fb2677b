"""Whether a key is in a text.

Words are found as words ("sea" is not in "search"), in scripts that write words apart. In those
that do not, such as Chinese, Japanese or Thai, a key is found anywhere. Patterns come from
strangers, so they get so much time and no more; and only as much of the syntax as JavaScript has,
which is what authors write: the rest (recursion, fuzzy matching) is where the surprises are.
"""

import time
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import regex

SEARCH_SECONDS = 0.2
"""Of the processor, for all keys of one prompt; three thousand ordinary ones need a quarter."""
MAX_KEY_CHARS = 500
MAX_SCANNED_CHARS = 16_384
"""Of the newest messages, and of entries that may lead to others."""

_UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
)
_IN_WORD = rf"[\w--[{_UNSPACED}]]"
_EDGE = regex.compile(rf"(?V1)(?<!{_IN_WORD})|(?!{_IN_WORD})")
_MARK = "\x00"
"""Stands wherever a word may begin or end. No stored text has it."""
_LITERAL = regex.compile(r"/(.+)/([a-z]*)", regex.DOTALL)
_SPECIAL = regex.compile(r"[\\^$.|?*+()\[\]{}]")
_FLAGS = {"i": regex.I, "m": regex.M, "s": regex.S, "u": 0, "g": 0, "y": 0, "v": 0, "d": 0}
_NOT_JAVASCRIPT = regex.compile(
    r"\(\?(?![:=!<]|[ims]+[:)])|\(\*|(?<!\\[pP])\{[^}]*[a-z<>=]|\\[LRXKG]"
)


class Scope:
    """The texts that keys are looked for in, newest first, each made ready once."""

    def __init__(self, texts: Iterable[str], *, seconds: float = SEARCH_SECONDS) -> None:
        self._texts = _beginning(texts)
        self._revealed: list[str] = []
        self._ready: dict[tuple[int, bool, bool], str] = {}
        self._seconds = seconds

    def reveal(self, texts: Iterable[str]) -> None:
        """Add texts that are searched whatever the depth."""
        self._revealed = _beginning([*self._revealed, *texts])
        self._ready.clear()

    def has(
        self, key: str, *, depth: int, case_sensitive: bool, whole_words: bool, use_regex: bool
    ) -> bool:
        """Whether one of the `depth` newest texts has the key; not, once the time is used up."""
        if len(key) > MAX_KEY_CHARS or self._seconds <= 0:
            return False
        started = time.thread_time()
        try:
            if use_regex and is_pattern(key):
                return self._matches(key, depth, case_sensitive)
            return self._contains(key, depth, not case_sensitive, whole_words)
        finally:
            self._seconds -= time.thread_time() - started

    def _matches(self, key: str, depth: int, case_sensitive: bool) -> bool:
        pattern = compiled(key, case_sensitive=case_sensitive)
        text = self._text(depth, False, False)
        try:
            return pattern is not None and bool(pattern.search(text, timeout=self._seconds))
        except (TimeoutError, MemoryError):
            return False

    def _contains(self, key: str, depth: int, fold: bool, whole_words: bool) -> bool:
        # Most keys are nowhere, which shows soonest without the marks.
        return _ready_key(key, fold, False) in self._text(depth, fold, False) and (
            not whole_words or _ready_key(key, fold, True) in self._text(depth, fold, True)
        )

    def _text(self, depth: int, fold: bool, mark: bool) -> str:
        form = (min(depth, len(self._texts)), fold, mark)
        if form not in self._ready:
            text = "\n".join([*self._texts[: form[0]], *self._revealed])
            self._ready[form] = _ready(text, fold, mark)
        return self._ready[form]


def is_pattern(key: str) -> bool:
    """Whether a key that may be a pattern is one: "/like this/i", or with special characters.

    SillyTavern says of all its keys that they may be, most of which are plain words.
    """
    return _SPECIAL.search(key) is not None or _LITERAL.fullmatch(key) is not None


@lru_cache(maxsize=1024)
def compiled(key: str, *, case_sensitive: bool) -> "regex.Pattern[str] | None":
    """The pattern of a key, or None when it is not a valid one."""
    literal = _LITERAL.fullmatch(key)
    source, letters = (literal[1], literal[2]) if literal else (key, "" if case_sensitive else "i")
    if _NOT_JAVASCRIPT.search(source) or not set(letters) <= _FLAGS.keys():
        return None
    flags = 0
    for letter in letters:
        flags |= _FLAGS[letter]
    try:
        return regex.compile(source, flags)
    except (regex.error, RecursionError, ValueError, OverflowError):
        return None


def _beginning(texts: Iterable[str]) -> list[str]:
    """The first texts, as far as they are searched."""
    left = MAX_SCANNED_CHARS
    kept = []
    for text in texts:
        kept.append(text[-left:] if left > 0 else "")
        left -= len(text)
    return kept


def _ready(text: str, fold: bool, mark: bool) -> str:
    text = unicodedata.normalize("NFC", text)
    if fold:
        text = text.casefold()
    return _EDGE.sub(_MARK, text) if mark else text


_ready_key = lru_cache(maxsize=4096)(_ready)
