"""Finds literal text in scripts' lit-html templates."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SHOWN = frozenset({"alt", "aria-label", "label", "placeholder", "title"})
"""Attributes that people see or hear."""

_LETTER = re.compile(r"[^\W\d_]")
_ENTITY = re.compile(r"&#?\w+;")
_ATTRIBUTE = re.compile(r"""(?<=\s)([^\s"'>/=]+)=(["'])""")
_BEFORE_PATTERN = "(,=:[!&|?{};>"
_PATTERN = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/")
_STRING = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z]|<!")


@dataclass(frozen=True)
class Text:
    """Text in a template that is neither markup nor an expression."""

    start: int
    end: int
    """Its place in the source."""
    text: str
    """Words as they stand there, with spaces and line breaks as one space."""


def texts(source: str) -> Iterator[Text]:
    """The texts of all templates of a script, in the order in which they end."""
    yield from _Scanner(source).found()


class _Scanner:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._found: list[Text] = []

    def found(self) -> list[Text]:
        while self._at < len(self._source):
            self._script()
            self._at += 1
        return self._found

    def _script(self) -> None:
        """Go to the end of the script, or to the brace that ends an expression."""
        depth = 0
        while self._at < len(self._source):
            if self._skipped():
                continue
            char = self._source[self._at]
            if char == "`":
                self._template(is_html=self._source.endswith("html", 0, self._at))
                continue
            depth += {"{": 1, "}": -1}.get(char, 0)
            if depth < 0:
                return
            self._at += 1

    def _skipped(self) -> bool:
        """Skip a comment, a string or a pattern. Returns whether there was one."""
        kinds = [_COMMENT, _STRING, *([_PATTERN] if self._may_be_pattern() else [])]
        for kind in kinds:
            if found := kind.match(self._source, self._at):
                self._at = found.end()
                return True
        return False

    def _may_be_pattern(self) -> bool:
        before = self._source[: self._at].rstrip()[-1:]
        return before == "" or before in _BEFORE_PATTERN

    def _template(self, *, is_html: bool) -> None:
        self._at += 1
        start = self._at
        while self._source[self._at] != "`":
            if self._source.startswith("${", self._at):
                self._note(start, is_html)
                self._expression()
                start = self._at
            elif is_html and _TAG.match(self._source, self._at):
                self._note(start, is_html)
                self._tag()
                start = self._at
            else:
                self._at += 2 if self._source[self._at] == "\\" else 1
        self._note(start, is_html)
        self._at += 1

    def _expression(self) -> None:
        self._at += 2
        self._script()
        self._at += 1

    def _tag(self) -> None:
        """Go to the end of a tag, and note the attributes that are shown."""
        while self._source[self._at] != ">":
            if found := _ATTRIBUTE.match(self._source, self._at):
                self._at = found.end()
                self._value(found[2], is_shown=found[1].lower() in SHOWN)
            elif self._source.startswith("${", self._at):
                self._expression()
            else:
                self._at += 1
        self._at += 1

    def _value(self, quote: str, *, is_shown: bool) -> None:
        """Go to the end of an attribute's value."""
        start = self._at
        while self._source[self._at] != quote:
            if self._source.startswith("${", self._at):
                self._note(start, is_shown)
                self._expression()
                start = self._at
            else:
                self._at += 1
        self._note(start, is_shown)
        self._at += 1

    def _note(self, start: int, is_shown: bool) -> None:
        """Note the text between `start` and here, if it is shown and has letters."""
        text = " ".join(self._source[start : self._at].split())
        if is_shown and _LETTER.search(_ENTITY.sub("", text)):
            self._found.append(Text(start, self._at, text))
