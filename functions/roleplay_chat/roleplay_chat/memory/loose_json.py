"""JSON as models write it: with the slips that a strict parser refuses. Pure; reads a text once.

It understands commas that are missing or too many, quotation marks that are not escaped, texts in
single quotes or none, keys without quotes, `None` and `True`, `+3`, comments, and brackets that are
missing or close the wrong thing.
"""

import json
import re
from collections.abc import Set
from typing import Any

from edge.patterns import compiled_later

MAX_DEPTH = 8
"""The deepest nesting of containers. No note is nested deeper."""

_TOKEN = compiled_later(
    r"""(?P<space>\s+|//[^\n]*|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z))
    |(?P<sign>[{}\[\],;:])|(?P<quote>["'])|(?P<word>[^\s{}\[\],;:"'/]+)|/""",
    re.VERBOSE,
)
_GAP = r"\s{0,99}(?://[^\n]{0,200}\n\s{0,99}){0,2}"
_NEXT_KEY = r"""["']\w{1,40}["']\s{0,99}[:\[{]"""
_AFTER_VALUE = compiled_later(
    rf"""{_GAP}(?:[}}\]]|\Z|{_NEXT_KEY}
    |[,;](?:\s{{0,9}}[,;])?{_GAP}(?:[{{\[}}\]]|\Z|["']\w{{0,40}}(?:\Z|["']\s{{0,99}}(?:[:\[{{]|\Z))))""",
    re.VERBOSE,
)
_AFTER_ITEM = compiled_later(rf"""{_GAP}(?:[,;]{_GAP}["'{{\[\]]|[}}\]]|\Z)""")
_AFTER_KEY = compiled_later(r"\s{0,99}[:\[{]")
_KEY = compiled_later(r"\w{1,40}")
_BARE_KEY = compiled_later(r"(\w{1,40})\s{0,99}:")
_BARE_KEY_NEXT = compiled_later(rf"""{_GAP}[,;]{_GAP}(\w{{1,40}})\s{{0,99}}:(\s{{0,99}}[\[{{])?""")
_QUOTES = {'"': re.compile(r'\\.|"', re.DOTALL), "'": re.compile(r"\\.|'", re.DOTALL)}
_ESCAPE = compiled_later(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})|\\')
_NUMBER = compiled_later(r"[+-]?[0-9]{1,9}")
_BARE = compiled_later(
    r"""[^{}\[\]"\n]{1,500}?(?=\s{0,9}(?:[}\]\n]|,\s{0,9}["']?\w{1,40}["']?\s{0,9}:|,\s{0,9}[}\]]))"""
)
"""A text without quotes. It ends where the object goes on or ends."""
_WORDS = {"null": None, "none": None, "true": True, "false": False}


def read(text: str, place: int, names: Set[str] = frozenset()) -> Any:
    """The object or list that begins at `place`; None if none does.

    At an unfinished end, the object in a list that it cuts through is left out, and so is a value.
    `names` are keys that may have no quotes where they follow a text in quotes. Others may be words
    of that text, which has quotation marks of its own.
    """
    reader = _Reader(names)
    while place < len(text) and (token := _TOKEN.match(text, place)):
        begin, place = place, token.end()
        if token["quote"]:
            place = _end_of_text(text, begin, reader)
            if place < 0:
                break
            reader.take(_unquoted(text[begin + 1 : place - 1]))
        elif token["word"] and reader.may_begin_key and (key := _BARE_KEY.match(text, begin)):
            reader.take_bare_key(key[1])
            place = key.end()
        elif token["word"] and place < len(text):
            bare = _BARE.match(text, begin) if reader.needs_value else None
            reader.take_word(bare[0] if bare else token["word"])
            place = bare.end() if bare else place
        elif token["sign"]:
            reader.take_sign(token["sign"])
        if not 0 < len(reader.open) <= MAX_DEPTH:
            return reader.root
    return reader.unfinished()


class _Reader:
    """The containers that are open at a place of the text, the innermost last."""

    def __init__(self, names: Set[str]) -> None:
        self.root: Any = None
        self.open: list[Any] = []
        self.key: str | None = None
        self.names = names
        self.has_bare_keys = False
        self.may_begin_key = False
        """Whether an object has just begun or goes on."""

    @property
    def is_in_list(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1], list)

    @property
    def needs_value(self) -> bool:
        """Whether a key waits for its value."""
        return self.key is not None and not self.is_in_list

    def take_bare_key(self, key: str) -> None:
        self.key, self.has_bare_keys, self.may_begin_key = key, True, False

    def take(self, value: Any) -> None:
        """A text, number, word or container: a key where one is due, else a value."""
        self.may_begin_key = False
        if not self.open:
            self.root = value
        elif self.is_in_list:
            self.open[-1].append(value)
        elif self.key is not None:
            self.open[-1][self.key] = value
            self.key = None
        elif isinstance(value, str):
            self.key = value

    def take_word(self, word: str) -> None:
        if _NUMBER.fullmatch(word):
            self.take(int(word))
        elif word.casefold() in _WORDS:
            self.take(_WORDS[word.casefold()])
        elif self.needs_value:
            self.take(word)

    def take_sign(self, sign: str) -> None:
        if sign in "{[":
            self._begin({} if sign == "{" else [])
        elif sign in "}]":
            self._end(dict if sign == "}" else list)
        elif sign != ":":
            self.key = None
        elif self.is_in_list and self.open[-1] and isinstance(self.open[-1][-1], str):
            # An object in the list has lost its beginning.
            key = self.open[-1].pop()
            self._begin({})
            self.key = key
        is_object = bool(self.open) and not self.is_in_list
        self.may_begin_key = is_object and self.key is None and sign in "{,;"

    def _begin(self, container: Any) -> None:
        if len(self.open) > 1 and not self.is_in_list and self.key is None:
            # An object that expects a key has lost its end.
            self.open.pop()
        self.take(container)
        self.open.append(container)
        self.key = None

    def _end(self, kind: type) -> None:
        """Close the innermost container of this kind, with those in it."""
        if any(isinstance(container, kind) for container in self.open):
            while not isinstance(self.open.pop(), kind):
                pass
            self.key = None

    def unfinished(self) -> Any:
        if len(self.open) > 1 and isinstance(self.open[-2], list):
            self.open[-2].pop()
        return self.root


def _end_of_text(text: str, begin: int, reader: _Reader) -> int:
    """Where the text in quotation marks at `begin` ends; -1: nowhere.

    A quotation mark ends it only if the object goes on, or ends, after it: models forget to escape
    those inside.
    """
    after = _AFTER_ITEM if reader.is_in_list else _AFTER_VALUE
    for found in _QUOTES[text[begin]].finditer(text, begin + 1):
        if found[0][0] != "\\" and (
            after.match(text, found.end())
            or _is_bare_key_next(text, found.end(), reader)
            or (
                _KEY.fullmatch(text, begin + 1, found.start())
                and _AFTER_KEY.match(text, found.end())
            )
        ):
            return found.end()
    return -1


def _is_bare_key_next(text: str, place: int, reader: _Reader) -> bool:
    """Whether the object goes on with a key without quotes. In one whose other keys have quotes,
    only before a container."""
    found = None if reader.is_in_list else _BARE_KEY_NEXT.match(text, place)
    if found is None or found[1] not in reader.names:
        return False
    return reader.has_bare_keys or found[2] is not None


def _unquoted(text: str) -> str:
    """The text without escapes, and without backslashes that escape nothing: "Ada\\'s"."""
    text = _ESCAPE.sub(lambda found: found[0] if found[1] else "", text)
    text = _QUOTES['"'].sub(lambda found: '\\"' if found[0] == '"' else found[0], text)
    return str(json.loads(f'"{text}"', strict=False))
