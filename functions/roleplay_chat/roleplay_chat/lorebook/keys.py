"""Searches texts for lorebook keys.

In scripts with spaces a key matches whole words ("sea" is not in "search"); in others, such as
Chinese, Japanese or Thai, it matches anywhere. Patterns are untrusted, so their time is limited and
only JavaScript's syntax is allowed, which is what authors write: the `regex` package's extensions
(recursion, fuzzy matching) could take too long.
"""

import time
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import regex

from roleplay_chat.screening.normalize import stream_safe

SEARCH_SECONDS = 0.2
"""CPU time for all keys of one turn. Three thousand ordinary keys need a quarter of it."""
MAX_KEY_CHARS = 500
MAX_SCANNED_CHARS = 16_384
"""Characters searched in the newest messages, and as many in entries that may activate others."""
MAX_EXPANDED = 2_000
"""The size of a pattern with its repetitions written out, as compiling does: "((a{9}){9}){9}" has
more than 729 parts. Authors' patterns have tens."""
MAX_JOINED = 16
"""Joined texts that are cached: one for each depth and form."""

UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
)
"""Scripts without spaces between words. private.named_at treats them the same way."""
_IN_WORD = rf"[\w--[{UNSPACED}]]"
_EDGE = regex.compile(rf"(?V1)(?<!{_IN_WORD})|(?!{_IN_WORD})")
_MARK = "\x00"
"""Marks every place where a word may begin or end. Stored text never contains it."""
_LITERAL = regex.compile(r"/(.+)/([a-z]*)", regex.DOTALL)
_SPECIAL = regex.compile(r"[\\^$.|?*+()\[\]{}]")
_FLAGS = {"i": regex.I, "m": regex.M, "s": regex.S, "u": 0, "g": 0, "y": 0, "v": 0, "d": 0}
_NOT_JAVASCRIPT = regex.compile(
    r"\(\?(?![:=!<]|[ims]+[:)])|\(\*|(?<!\\[pP])\{[^}]*[a-z<>=]|\\[LRXKG]"
)


class Scope:
    """The texts in which keys are searched, newest first, each normalised once."""

    def __init__(self, texts: Iterable[str], *, seconds: float = SEARCH_SECONDS) -> None:
        self._texts = _beginning(texts)
        self._revealed: list[str] = []
        self._ready: dict[tuple[bool, bool], list[str]] = {}
        self._joined: dict[tuple[int, bool, bool], str] = {}
        self._seconds = seconds

    def reveal(self, texts: Iterable[str]) -> None:
        """Add texts (of activated entries) that are searched at any depth."""
        self._revealed = _beginning([*self._revealed, *texts])
        self._ready.clear()
        self._joined.clear()

    def has(
        self, key: str, *, depth: int, case_sensitive: bool, whole_words: bool, use_regex: bool
    ) -> bool:
        """Whether the key is in one of the `depth` newest texts. False once the time is used up."""
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
        # Most keys do not occur at all, which is cheapest to see without the marks.
        return _ready_key(key, fold, False) in self._text(depth, fold, False) and (
            not whole_words or _ready_key(key, fold, True) in self._text(depth, fold, True)
        )

    def _text(self, depth: int, fold: bool, mark: bool) -> str:
        """The newest texts, joined."""
        depth = min(depth, len(self._texts))
        form = (depth, fold, mark)
        if form not in self._joined:
            if len(self._joined) >= MAX_JOINED:
                self._joined.clear()
            ready = self._each_ready(fold, mark)
            texts = ready[:depth] + ready[len(self._texts) :]
            self._joined[form] = "\n".join(texts)
        return self._joined[form]

    def _each_ready(self, fold: bool, mark: bool) -> list[str]:
        if (fold, mark) not in self._ready:
            texts = [*self._texts, *self._revealed]
            self._ready[fold, mark] = [_ready(text, fold, mark) for text in texts]
        return self._ready[fold, mark]


def is_pattern(key: str) -> bool:
    """Whether a key of an entry with `use_regex` is a pattern: "/like this/i", or with special
    characters.

    SillyTavern sets `use_regex` on all entries, although most keys are plain words.
    """
    return _SPECIAL.search(key) is not None or _LITERAL.fullmatch(key) is not None


@lru_cache(maxsize=1024)
def compiled(key: str, *, case_sensitive: bool) -> "regex.Pattern[str] | None":
    """The compiled pattern of a key; None if it is invalid or too large."""
    if len(key) > MAX_KEY_CHARS:
        return None
    literal = _LITERAL.fullmatch(key)
    source, letters = (literal[1], literal[2]) if literal else (key, "" if case_sensitive else "i")
    if _NOT_JAVASCRIPT.search(source) or not set(letters) <= _FLAGS.keys():
        return None
    if expanded(source) > MAX_EXPANDED:
        return None
    flags = 0
    for letter in letters:
        flags |= _FLAGS[letter]
    try:
        return regex.compile(source, flags)
    except (regex.error, RecursionError, ValueError, OverflowError):
        return None


_TOKEN = regex.compile(
    r"(?P<one>\\.|\[\^?\]?(?:\\.|[^\]\\])*+\])"
    r"|(?P<open>\()|(?P<close>\))|(?P<bounds>\{(?P<minimum>\d*),?\d*\})|(?P<once>\+)|[*?]|(?P<other>.)",
    regex.DOTALL,
)


def expanded(source: str) -> int:
    """An upper bound for the parts of a pattern with its repetitions written out."""
    sizes, last = [0], 0
    for token in _TOKEN.finditer(source):
        if token["open"]:
            sizes.append(1)
            last = 0
            continue
        if token["close"] and len(sizes) > 1:
            last = part = sizes.pop()
        elif token["bounds"] or token["once"]:
            # "{3,}" is written out three times and then loops; "+" once.
            part = last * min(int(token["minimum"] or 0) if token["bounds"] else 1, MAX_EXPANDED)
            last = min(last + part, MAX_EXPANDED + 1)
        elif token["one"] or token["other"]:
            last = part = 1
        else:
            part = 0
        sizes[-1] = min(sizes[-1] + part, MAX_EXPANDED + 1)
    return sum(sizes)


def _beginning(texts: Iterable[str]) -> list[str]:
    """The texts, cut to `MAX_SCANNED_CHARS` together; the first ones are kept."""
    left = MAX_SCANNED_CHARS
    kept = []
    for text in texts:
        kept.append(text[-left:] if left > 0 else "")
        left -= len(text)
    return kept


def _ready(text: str, fold: bool, mark: bool) -> str:
    text = unicodedata.normalize("NFC", stream_safe(text))
    if fold:
        text = text.casefold()
    return _EDGE.sub(_MARK, text) if mark else text


_ready_key = lru_cache(maxsize=4096)(_ready)
