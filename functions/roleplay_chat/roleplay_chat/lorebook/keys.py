"""Searches texts for lorebook keys.

Only a key written as "/pattern/flags" is a pattern; any other is found as it is written, including
punctuation. In scripts with spaces it matches whole words ("sea" is not in "search", nor "A.I." in
"acid") and their inflected forms (see `inflection`); in others, such as Chinese, Japanese or Thai,
it matches anywhere.

Patterns are untrusted, so their time is limited and only JavaScript's syntax is allowed, which is
what authors write: the `regex` package's extensions (recursion, fuzzy matching) could take too
long.
"""

import time
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from sys import getsizeof
from threading import Lock
from typing import Literal

import regex
from cachetools import LRUCache, cached

from roleplay_chat.lorebook.inflection import forms, plural
from roleplay_chat.patterns import regex_compiled_later
from roleplay_chat.screening.normalize import stream_safe
from roleplay_chat.scripts import ATTACHING

SEARCH_SECONDS = 0.2
"""CPU time for all keys of one turn. Three thousand ordinary keys need a quarter of it."""
MAX_KEY_CHARS = 500
MAX_SCANNED_CHARS = 16_384
"""Characters searched in the newest messages, and as many in entries that may activate others."""
MAX_EXPANDED = 2_000
"""The size of a pattern with its repetitions written out, as compiling does: "((a{9}){9}){9}" has
more than 729 parts. Authors' patterns have tens."""
PATTERN_BYTES = 8 * 2**20
"""The memory of the cached patterns. One may take 200 kB."""
FORMS_BYTES = 8 * 2**20
"""The memory of the cached forms of keys. Those of a Russian word take 4 kB."""
SHORT_CHARS = 64
"""The number of cached keys, which take three megabytes."""
MAX_JOINED = 16
"""Joined texts that are cached: one for each depth and form. As many lists of other texts that
keys name."""
MAX_INFLECTED_PARTS = 16
"""The words, punctuation and spaces of a key that is also found inflected."""
MAX_PLACES = 100
"""The places of a key's rarest word where an inflected key is looked for."""

_IN_WORD = rf"[\w--[{ATTACHING}]]"
_EDGE = regex_compiled_later(rf"(?V1)(?<!{_IN_WORD})|(?!{_IN_WORD})")
_MARK = "\x00"
"""Marks every place where a word may begin or end. Stored text never contains it."""
_BEGINS = "\x01"
"""Begins each text for patterns, as in SillyTavern, so that a pattern can name its speaker."""
_PATTERN = regex_compiled_later(r"/((?:\\.|[^/\\])+)/([a-z]*)", regex.DOTALL)
_SPECIAL = regex_compiled_later(r"[\\^$.|?*+()\[\]{}/]")
_FLAGS = {"i": regex.I, "m": regex.M, "s": regex.S, "u": 0, "g": 0, "y": 0, "v": 0, "d": 0}
_NOT_JAVASCRIPT = regex_compiled_later(
    r"\(\?(?![:=!<]|[ims]+[:)])|\(\*|(?<!\\[pP](?=\{[\w=]+\}))\{[^}]*[a-z<>=]|\\[LRXKG]"
)
"""Syntax of `regex` alone, in a pattern whose classes and escapes were replaced."""
_SPACE = regex_compiled_later(r"\s+")
_INFLECTED = regex_compiled_later(r"[\u0400-\u04ff]|\S\s.*[a-zA-Z]$", regex.DOTALL)
"""Keys that may be found in other forms: with Cyrillic words, or of several words."""
_SAME_SIGNS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "\ufe0f": None})
"""Characters that programs substitute for typed ones, and the selector for emoji in colour."""

Also = tuple[str, ...]
"""The names of other texts that a key searches."""
Form = Literal["pattern", "plain", "folded", "plain_words", "folded_words"]
"""How a text is prepared: for patterns, or for other keys, with case as it is or folded, and with
the ends of words marked."""

Describe = Callable[[str], str]
"""The text of a name, such as a character's description."""


class _Index:
    """The words, punctuation and spaces of texts, each text split once.

    A search may be confined to the first texts, so all depths of a book share one index.
    """

    def __init__(self) -> None:
        self._tokens: list[str] = []
        self._known: set[str] = set()
        """The same as a set. Two sets are compared by the smaller one, which a dictionary is
        not."""
        self._places: dict[str, list[int]] = {}
        self._ends = [0]
        """For each number of texts, how many tokens they have."""

    @property
    def count(self) -> int:
        """The number of texts."""
        return len(self._ends) - 1

    def add(self, marked: str) -> None:
        """Add a text in which the ends of words are marked."""
        # No key contains a line break, so none is found across two texts.
        for place, token in enumerate([*_tokens(marked), "\n"], start=len(self._tokens)):
            self._tokens.append(token)
            self._places.setdefault(token, []).append(place)
            self._known.add(token)
        self._ends.append(len(self._tokens))

    def has(self, parts: Sequence[frozenset[str]], count: int) -> bool:
        """Whether adjacent tokens of one of the `count` first texts have one of the forms each."""
        if any(part.isdisjoint(self._known) for part in parts):
            return False
        end = self._ends[count]
        # Counted first: a common word is at thousands of places.
        numbers = [sum(self._count(one, end) for one in part) for part in parts]
        first = min(range(len(parts)), key=numbers.__getitem__)
        places = chain.from_iterable(
            islice(self._places.get(one, ()), self._count(one, end)) for one in parts[first]
        )
        return any(
            place >= first and self._is_at(place - first, parts)
            for place in islice(places, MAX_PLACES)
        )

    def _count(self, token: str, end: int) -> int:
        """How often the token occurs before a place."""
        places = self._places.get(token)
        return bisect_left(places, end) if places else 0

    def _is_at(self, place: int, parts: Sequence[frozenset[str]]) -> bool:
        tokens = self._tokens[place : place + len(parts)]
        return len(tokens) == len(parts) and all(
            token in part for token, part in zip(tokens, parts, strict=True)
        )


class Scope:
    """The texts in which keys are searched, newest first, each normalised once, and only if a key
    looks back that far."""

    def __init__(
        self,
        texts: Iterable[str],
        *,
        seconds: float = SEARCH_SECONDS,
        chars: int = MAX_SCANNED_CHARS,
        describe: Describe = lambda _: "",
    ) -> None:
        """`describe` gives the texts that only some keys search, by name."""
        self._texts = _beginning(texts, chars)
        self._revealed: list[str] = []
        self._ready: dict[Form, list[str]] = {}
        """Of the messages, as far back as they were searched."""
        self._ready_revealed: dict[Form, list[str]] = {}
        self._joined: dict[tuple[int, Form, Also], str] = {}
        self._indexes: dict[Form, _Index] = {}
        """Of the messages, as far back as they were searched."""
        self._others: dict[tuple[Form, Also], _Index] = {}
        """Of what is searched at any depth."""
        self._describe = describe
        self._described: dict[str, str] = {}
        self.seconds = seconds
        """The CPU time that is left."""

    def reveal(self, texts: Iterable[str]) -> None:
        """Add texts (of activated entries) that are searched at any depth."""
        self._revealed = _beginning([*self._revealed, *texts], MAX_SCANNED_CHARS)
        self._ready_revealed.clear()
        self._joined.clear()
        self._others.clear()

    def has(
        self,
        key: str,
        *,
        depth: int,
        case_sensitive: bool,
        whole_words: bool,
        as_pattern: bool,
        also: Also = (),
    ) -> bool:
        """Whether the key is in one of the `depth` newest texts, or in the texts named in `also`.
        False once the time is used up. `as_pattern` says whether the author wrote a pattern: names
        that replace its macros decide nothing.
        """
        if len(key) > MAX_KEY_CHARS or self.seconds <= 0:
            return False
        started = time.thread_time()
        try:
            if as_pattern:
                return self._matches(key, depth, also)
            return self._contains(key, depth, also, not case_sensitive, whole_words)
        finally:
            self.seconds -= time.thread_time() - started

    def _matches(self, key: str, depth: int, also: Also) -> bool:
        pattern = compiled(key)
        text = self._text(depth, "pattern", also)
        try:
            return pattern is not None and bool(pattern.search(text, timeout=self.seconds))
        except (TimeoutError, MemoryError):
            return False

    def _contains(self, key: str, depth: int, also: Also, fold: bool, whole_words: bool) -> bool:
        plain: Form = "folded" if fold else "plain"
        words: Form = "folded_words" if fold else "plain_words"
        # Most keys do not occur at all, which is cheapest to detect without the marks.
        if _ready_key(key, plain) in self._text(depth, plain, also) and (
            not whole_words or _ready_key(key, words) in self._text(depth, words, also)
        ):
            return True
        return bool(
            whole_words
            and _INFLECTED.search(key)
            and self._has_form(_forms(key, words), depth, words, also)
        )

    def _has_form(
        self, parts: Sequence[frozenset[str]], depth: int, form: Form, also: Also
    ) -> bool:
        """Whether adjacent words have one of the forms each."""
        if not parts:
            return False
        depth = min(depth, len(self._texts))
        others = self._index_of_others(form, also)
        return self._index(depth, form).has(parts, depth) or others.has(parts, others.count)

    def _index(self, depth: int, form: Form) -> _Index:
        """The words, punctuation and spaces of at least the `depth` newest messages."""
        index = self._indexes.setdefault(form, _Index())
        for text in self._newest(depth, form)[index.count :]:
            index.add(text)
        return index

    def _index_of_others(self, form: Form, also: Also) -> _Index:
        """The same for texts that are searched at any depth."""
        if (form, also) not in self._others:
            if len(self._others) >= MAX_JOINED:
                self._others.clear()
            index = self._others[form, also] = _Index()
            for text in self._at_any_depth(form, also):
                index.add(text)
        return self._others[form, also]

    def _text(self, depth: int, form: Form, also: Also) -> str:
        """The newest texts and the others, joined."""
        depth = min(depth, len(self._texts))
        if (depth, form, also) not in self._joined:
            if len(self._joined) >= MAX_JOINED:
                self._joined.clear()
            texts = [*self._newest(depth, form), *self._at_any_depth(form, also)]
            self._joined[depth, form, also] = "\n".join(texts)
        return self._joined[depth, form, also]

    def _description(self, name: str) -> str:
        if name not in self._described:
            self._described[name] = self._describe(name)[:MAX_SCANNED_CHARS]
        return self._described[name]

    def _newest(self, depth: int, form: Form) -> Sequence[str]:
        ready = self._ready.setdefault(form, [])
        ready += [_ready(text, form) for text in self._texts[len(ready) : depth]]
        return ready[:depth]

    def _at_any_depth(self, form: Form, also: Also) -> Sequence[str]:
        if form not in self._ready_revealed:
            self._ready_revealed[form] = [_ready(text, form) for text in self._revealed]
        described = [_ready(self._description(name), form) for name in also]
        return [*self._ready_revealed[form], *described]


def is_pattern(key: str) -> bool:
    """Whether a key is a pattern: "/like this/i". SillyTavern reads keys the same way, whatever the
    entry's `use_regex` says, which it sets on all entries."""
    return key[:1] == "/" and _parsed(key) is not None


def _parsed(key: str) -> tuple[str, str] | None:
    """The source and the flags of a pattern; None for a key that is not a pattern."""
    found = _PATTERN.fullmatch(key)
    if found is None or not set(found[2]) <= _FLAGS.keys() or len(set(found[2])) < len(found[2]):
        return None
    return found[1], found[2]


def escaped(text: str) -> str:
    """The text, escaped so that it stands for itself in a pattern."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def _pattern_memory(pattern: "regex.Pattern[str] | None") -> int:
    """The approximate memory of a compiled pattern in bytes: each part takes some 250."""
    return 1_000 + 250 * (expanded(pattern.pattern) if pattern else 0)


@cached(LRUCache(PATTERN_BYTES, getsizeof=_pattern_memory), lock=Lock())
def compiled(key: str) -> "regex.Pattern[str] | None":
    """The compiled pattern of a key; None if it is no pattern, or an invalid or too large one."""
    parsed = _parsed(key) if len(key) <= MAX_KEY_CHARS else None
    if parsed is None:
        return None
    source, letters = _translated(parsed[0]), parsed[1]
    if _is_not_javascript(source) or expanded(source) > MAX_EXPANDED:
        return None
    flags = 0
    for letter in letters:
        flags |= _FLAGS[letter]
    try:
        # The library would keep some, however large.
        return regex.compile(source, flags, cache_pattern=False)
    except (regex.error, RecursionError, ValueError, OverflowError):
        return None


_TRANSLATED = regex_compiled_later(
    r"\\u\{(?P<code>[0-9a-fA-F]{1,6})\}|\\.|\[(?P<not>\^?)(?P<class>(?:\\.|[^\]\\])*+)\]|(?P<begins>\^)",
    regex.DOTALL,
)
"""Syntax that JavaScript writes differently, and the escapes in which it must not be replaced."""
_BEGINNING = rf"(?:^|(?<=^{_BEGINS}))"
"""The beginning of a text, before or after its mark."""
_CODE = regex_compiled_later(r"\\u\{([0-9a-fA-F]{1,6})\}|\\.|\[", regex.DOTALL)
MAX_CODE = 0x10FFFF


def _translated(source: str) -> str:
    """The source of a pattern in the syntax of `regex`."""
    return _TRANSLATED.sub(_translated_part, source)


def _translated_part(found: "regex.Match[str]") -> str:
    if found["begins"]:
        return _BEGINNING
    if found["class"] is None:
        return _sign(found["code"], found[0])
    if not found["class"]:
        # Anything or nothing; `regex` would read the closing bracket as the first member.
        return r"[\s\S]" if found["not"] else "(?!)"
    # In JavaScript, a bracket inside a class is a character; for `regex` it opens a nested class.
    signs = _CODE.sub(lambda one: r"\[" if one[0] == "[" else _sign(one[1], one[0]), found["class"])
    return f"[{found['not']}{signs}]"


def _sign(code: str | None, written: str) -> str:
    """A character that was written as a number in braces, now with eight digits."""
    number = int(code, 16) if code else MAX_CODE + 1
    return rf"\U{number:08x}" if number <= MAX_CODE else written


def _is_not_javascript(source: str) -> bool:
    """Whether a translated pattern has syntax that JavaScript lacks. Braces that are escaped or in
    a class are only characters."""
    return bool(_NOT_JAVASCRIPT.search(_TOKEN.sub(_without_signs, source)))


def _without_signs(token: "regex.Match[str]") -> str:
    written: str = token[0]
    return written if token["one"] is None or _SPECIAL_ESCAPE.fullmatch(written) else "_"


_SPECIAL_ESCAPE = regex_compiled_later(r"\\[pPLRXKG]")


_TOKEN = regex_compiled_later(
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


def _beginning(texts: Iterable[str], chars: int) -> list[str]:
    """The first texts, with at most `chars` characters in total."""
    left = chars
    kept = []
    for text in texts:
        kept.append(text[-left:] if left > 0 else "")
        left -= len(text)
    return kept


def _ready(text: str, form: Form) -> str:
    text = unicodedata.normalize("NFC", stream_safe(text))
    if form == "pattern":
        return _BEGINS + text.replace(_BEGINS, "")
    text = _SPACE.sub(" ", text.translate(_SAME_SIGNS))
    if form.startswith("folded"):
        text = text.casefold().replace("ё", "е")
    return _EDGE.sub(_MARK, text) if form.endswith("words") else text


_ready_short = lru_cache(maxsize=4096)(_ready)


def _ready_key(key: str, form: Form) -> str:
    return _ready_short(key, form) if len(key) <= SHORT_CHARS else _ready(key, form)


def _tokens(marked: str) -> list[str]:
    return [token for token in marked.split(_MARK) if token]


def _forms_memory(parts: Sequence[frozenset[str]]) -> int:
    return 200 + sum(getsizeof(part) + sum(map(getsizeof, part)) for part in parts)


@cached(LRUCache(FORMS_BYTES, getsizeof=_forms_memory), lock=Lock())
def _forms(key: str, form: Form) -> Sequence[frozenset[str]]:
    """The forms of each part of a key; empty if it has too many parts, or no other forms."""
    tokens = _tokens(_ready(key, form))
    if len(tokens) > MAX_INFLECTED_PARTS:
        return ()
    parts = list(_each_form(tokens))
    return parts if any(len(part) > 1 for part in parts) else ()


def _each_form(tokens: Sequence[str]) -> Iterator[frozenset[str]]:
    for place, token in enumerate(tokens):
        is_last_of_several = 0 < place == len(tokens) - 1 and token.isascii()
        yield plural(token) if is_last_of_several else forms(token)
