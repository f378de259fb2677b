"""Removes labels, and lines with which a model writes for somebody else."""

import re
from typing import Literal

from roleplay_chat.messages import Cast
from roleplay_chat.reply.labels import UNDECIDED, Label, OtherLabel, names_of
from roleplay_chat.reply.surroundings import Surroundings, is_datum

MOST_HELD_CHARS = 600
"""How far the next line is waited for after a line that speaks for the person."""
OWN_HEADINGS = ("response", "assistant")

_BLANK = re.compile(r"\s*")
_NOT_BLANK = re.compile(r"\S")

Verdict = Literal["keep", "cut"]


class SpeakerFilter:
    """Drops "Mara:" before her own words and lines before them that speak for somebody else, and
    ends the reply where somebody else begins to speak.

    A line that begins with a name and a colon is kept if it belongs to the text: see
    `Surroundings`. It is also kept if the next line has the label of a stranger: then the text is a
    script.
    """

    def __init__(self, cast: Cast) -> None:
        self._names = names_of(cast)
        self._surroundings = Surroundings(self._names)
        self._held = ""
        self._shown: list[str] = []
        self._is_line_start = self._is_beginning = True
        self._is_dropping = self._is_after_own_label = False
        self.is_pending = False
        """Whether somebody else seems to speak now; the next line may show that it is a script."""
        self.found = False

    def feed(self, piece: str) -> str:
        if self.found:
            return ""
        if not self._is_line_start and "\n" not in piece:
            self._surroundings.note(piece)
            return piece
        return self._process(self._held + piece, ends=False)

    def flush(self) -> str:
        return self._process(self._held, ends=True) if self._held and not self.found else ""

    def _process(self, text: str, *, ends: bool) -> str:
        self._held = ""
        at: int | None = 0
        while at is not None and at < len(text) and not self.found:
            start = at
            at = self._step(text, at, ends=ends)
            if at is None:
                self._held = text[start:]
        shown, self._shown = "".join(self._shown), []
        return shown

    def _step(self, text: str, at: int, *, ends: bool) -> int | None:
        """Process the text from `at` and return how far; None if what follows decides."""
        if self._is_dropping:
            end = text.find("\n", at)
            self._is_dropping = end < 0
            return len(text) if end < 0 else end + 1
        if not self._is_line_start:
            return self._show_line(text, at)
        if self._is_beginning and text[at].isspace():
            return self._show(text, at, _end_of_blank(text, at))
        head = _head(text, at, ends=ends)
        label = self._names.label(head, prefers_own=self._is_beginning)
        if label == UNDECIDED and not ends:
            return None
        if isinstance(label, Label) and self._counts(label, len(text) - at):
            return self._step_label(text, at, label, ends=ends)
        self._is_line_start = self._is_beginning = False
        return at

    def _counts(self, label: Label, left: int) -> bool:
        """Whether the label counts: a name at the very end, without a colon, does not."""
        return label.end <= left and (self._is_beginning or label.speaker != "own")

    def _step_label(self, text: str, at: int, label: Label, *, ends: bool) -> int | None:
        is_own = label.speaker == "own" or label.name in OWN_HEADINGS
        if self._is_beginning and is_own:
            self._is_beginning = False
            self._is_line_start = label.is_alone
            self._is_after_own_label = not label.is_alone
            return at + label.end
        verdict = self._verdict(text, at, label, ends=ends)
        self.is_pending = verdict is None and not self._is_beginning
        if verdict is None:
            return None
        if verdict == "keep":
            self._is_line_start = self._is_beginning = False
        elif self._is_beginning:
            self._is_dropping = True
        else:
            self.found = True
        return at

    def _verdict(self, text: str, at: int, label: Label, *, ends: bool) -> Verdict | None:
        """Whether the line at `at` belongs to the text; None if what follows decides."""
        value = _head(text, at, ends=ends)[label.end :]
        keeps = self._surroundings.keeps(label, value)
        if keeps or keeps is None:
            return "keep" if keeps else None
        if label.speaker == "heading":
            return "keep" if self._is_beginning else "cut"
        line_end = text.find("\n", at + label.end, at + MOST_HELD_CHARS)
        if line_end < 0:
            is_long = len(text) >= at + MOST_HELD_CHARS
            if not ends or is_long:
                return "cut" if is_long else None
            line_end = len(text)
        is_value = is_datum(text[at + label.end : line_end])
        if self._surroundings.follows_a_label and is_value:
            return "keep"
        following = self._next_label(text, at, line_end, ends=ends)
        if following == "a stranger's":
            self._surroundings.begin_script()
        elif following is None or not (following == "a field's" and is_value):
            return following and "cut"
        return "keep"

    def _next_label(self, text: str, at: int, line_end: int, *, ends: bool) -> OtherLabel | None:
        """Whose label the next line after the one at `at` has; None if what follows decides."""
        following = _NOT_BLANK.search(text, line_end, at + MOST_HELD_CHARS)
        if following is None:
            is_far = ends or len(text) >= at + MOST_HELD_CHARS
            return "nobody's" if is_far else None
        label = self._names.other_label(_head(text, following.start(), ends=ends))
        return label or ("nobody's" if ends else None)

    def _show_line(self, text: str, at: int) -> int:
        end = text.find("\n", at) + 1
        self._is_line_start = bool(end)
        start = at
        if self._is_after_own_label:
            while start < len(text) and text[start] == " ":
                start += 1
            self._is_after_own_label = start == len(text)
        return self._show(text, start, end or len(text))

    def _show(self, text: str, start: int, end: int) -> int:
        part = text[start:end]
        self._surroundings.note(part)
        self._shown.append(part)
        return end


def _head(text: str, at: int, *, ends: bool) -> str:
    """The beginning of the line at `at`; the end of the text ends its line."""
    return text[at : at + MOST_HELD_CHARS] + ("\n" if ends else "")


def _end_of_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
