"""Cleans a model's output, piece by piece as it streams.

Each filter is a small state machine that holds back only what it cannot decide yet:

    SpokenThoughtFilter drops reasoning that begins the reply with words in the place of tags
    ReasoningFilter     drops the model's reasoning, and tokens that begin its turn
    SpeakerLabelFilter  drops "Mara:" before her own words, and lines before them that speak for
                        the person
    StopFilter          ends the reply where the model begins to speak for the person (in an
                        impersonation, for the character), and at a token that ends a turn
    WhitespaceFilter    trims the text
    RefusalFilter       drops a reply that is only a model's refusal (`model_refusals`)
    ReplyScreen         refuses what breaks the content policy (`screening`)

The streamed text is the stored text, however it was split. The one exception is a reply that hit
its length limit: `truncation` removes its unfinished last sentence, and the last event has the
result.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

import regex

from roleplay_chat.api import NO_TEXT
from roleplay_chat.messages import Cast
from roleplay_chat.reply.model_refusals import is_model_refusal, may_become_model_refusal
from roleplay_chat.reply.template_tokens import (
    LONGEST_CLOSING,
    TURN_HEADINGS,
    SpokenThought,
    end_tokens,
    reasoning_tokens,
    spoken_openings,
)
from roleplay_chat.screening.decision import ReplyScreen

Thinking = Literal["tagged", "leading"]
"""Where the reasoning is: between tags, or ("leading") from the start to the closing tag, for
models whose chat template writes the opening tag."""


REMEMBERED_CASTS = 512
"""The number of cached casts. A conversation's cast stays the same from turn to turn."""


class Reply:
    """Filters one reply. The pieces that it returns, joined, are the reply's text."""

    def __init__(
        self,
        cast: Cast | None = None,
        *,
        thinking: Thinking = "tagged",
        screen: ReplyScreen | None = None,
    ) -> None:
        """With `screen`, `feed` and `flush` raise `ContentRefused` for what it refuses."""
        cast = cast or Cast()
        self._spoken = SpokenThoughtFilter()
        self._reasoning = ReasoningFilter(thinking)
        self._stop = StopFilter(cast)
        self._model_refusal = RefusalFilter()
        stages = (
            self._spoken,
            self._reasoning,
            SpeakerLabelFilter(cast),
            self._stop,
            WhitespaceFilter(),
            self._model_refusal,
        )
        self._filters = (*stages, screen) if screen else stages

    @property
    def ended(self) -> bool:
        """Whether the reply has ended, although the model may continue."""
        return self._stop.found

    @property
    def is_reasoning(self) -> bool:
        """Whether the text so far ends in reasoning that was not closed."""
        return self._reasoning.is_inside or self._spoken.is_inside

    @property
    def is_model_refusal(self) -> bool:
        """Whether the reply was only a model's refusal, which was dropped."""
        return self._model_refusal.was_dropped

    def feed(self, piece: str) -> str:
        """Process a piece and return the text that can be shown now; may be empty."""
        piece = NO_TEXT.sub("", piece)
        for one in self._filters:
            piece = one.feed(piece)
        return piece

    def flush(self) -> str:
        """End the reply and return the text that was still held back."""
        piece = ""
        for one in self._filters:
            piece = one.feed(piece) + one.flush()
        return piece


class Markers:
    """A set of strings to find case-insensitively in a stream."""

    def __init__(self, markers: Iterable[str]) -> None:
        self._markers = tuple(map(_lower, markers))
        self._begin_with = frozenset(marker[0] for marker in self._markers)
        self._longest = max(map(len, self._markers))

    def first(self, text: str) -> tuple[int, str] | None:
        """The position of the first marker, and the marker in lower case."""
        lower = _lower(text)
        if self._begin_with.isdisjoint(lower):
            return None
        found = ((lower.find(marker), marker) for marker in self._markers)
        return min((one for one in found if one[0] >= 0), key=lambda one: one[0], default=None)

    def partial(self, text: str) -> int:
        """The length of the longest suffix of the text with which a marker may begin."""
        end = _lower(text[1 - self._longest :]) if self._longest > 1 else ""
        if self._begin_with.isdisjoint(end):
            return 0
        for place, char in enumerate(end):
            if char in self._begin_with:
                rest = end[place:]
                if any(marker.startswith(rest) for marker in self._markers):
                    return len(rest)
        return 0


def _lower(text: str) -> str:
    """The text in lower case, of the same length: positions stay valid."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


class SpokenThoughtFilter:
    """Drops reasoning that stands between words at the very beginning of the reply."""

    def __init__(self) -> None:
        self._held: str | None = ""
        """None once the beginning is decided."""
        self._thought: list[str] = []
        self._kind: SpokenThought | None = None

    @property
    def is_inside(self) -> bool:
        """Whether certain reasoning began and did not end."""
        return self._held is not None and self._kind is not None and self._kind.is_certain

    def feed(self, piece: str) -> str:
        if self._held is None:
            return piece
        text = self._held + piece
        if self._kind is None and (not text or text.isspace()):
            return text  # Another filter drops it, and nothing grows here.
        if self._kind is None and not self._begins(text):
            return self._pass(text)
        self._held = text
        if self._kind is None:
            return ""
        if found := regex.search(self._kind.closing, text):
            return self._pass(text[found.end() :])
        self._thought.append(text[:-LONGEST_CLOSING])
        self._held = text[-LONGEST_CLOSING:]
        return ""

    def _begins(self, text: str) -> bool:
        """Whether the text begins reasoning, or may yet."""
        beginning = text.lstrip()
        for pattern, kind in spoken_openings():
            if found := pattern.match(beginning, partial=True):
                self._kind = None if found.partial else kind
                return True
        return False

    def _pass(self, text: str) -> str:
        self._held = None
        self._thought.clear()
        return text

    def flush(self) -> str:
        held = "" if self.is_inside else "".join([*self._thought, self._held or ""])
        if not self.is_inside:
            self._pass("")
        return held


class ReasoningFilter:
    """Drops text between reasoning tags, also if the closing tag never comes, and the tokens that
    begin the model's turn before its first word."""

    def __init__(self, thinking: Thinking) -> None:
        self._held = ""
        self._inside: str | None = None
        """The name of the tag that opened the reasoning; empty if it has none."""
        self._nested: set[str] = set()
        """The names of other tags that the reasoning opened."""
        self._leading = thinking == "leading"
        self._thought: list[str] = []
        """With "leading": the text so far, reasoning if a closing tag comes, else the reply."""
        self._has_reasoned = self._is_wrapped = self._begun = False

    def feed(self, piece: str) -> str:
        text = self._held + piece
        self._held = ""
        if not ("<" in text or "[" in text or "◁" in text):
            return self._take(text)
        shown: list[str] = []
        end = 0
        for token in reasoning_tokens().finditer(text, partial=True):
            shown.append(self._take(text[end : token.start()]))
            end = token.end()
            if token.partial:
                self._held = token[0]
            else:
                shown.append(self._read(token))
        shown.append(self._take(text[end:]))
        return "".join(shown)

    @property
    def is_inside(self) -> bool:
        """Whether reasoning was opened and not closed."""
        return self._inside is not None

    def _take(self, text: str) -> str:
        """The part of the text that belongs to the reply."""
        if self._inside is not None:
            return ""
        self._begun = self._begun or not (not text or text.isspace())
        if self._leading:
            self._thought.append(text)
            return ""
        return text

    def _read(self, token: regex.Match[str]) -> str:
        """Follow a token and return the text that it releases, or that it is."""
        kind = token.lastgroup
        name = (token["name"] or "").lower()
        if kind == "closing" or token["slash"]:
            self._close(name)
        elif kind == "opening" or (kind == "tag" and token[0][-2:] != "/>"):
            return self._open(name)
        elif kind == "header":
            return self._take(token[0]) if self._begun else ""
        elif kind == "wrapper":
            return "" if self._is_wrapper(token) else self._take(token[0])
        return ""

    def _open(self, name: str) -> str:
        if self._inside is None:
            released = "".join(self._thought)
            self._thought.clear()
            self._leading = False
            self._inside = name
            return released
        if name != self._inside:
            self._nested.add(name)
        return ""

    def _close(self, name: str) -> None:
        if name in self._nested:
            self._nested.discard(name)
            return
        if self._leading:
            self._thought.clear()
            self._leading = self._begun = False
        self._nested.clear()
        self._inside = None
        self._has_reasoned = True

    def _is_wrapper(self, token: regex.Match[str]) -> bool:
        """Whether this tag stands around the reply after the reasoning."""
        if token["end"]:
            return self._is_wrapped
        is_first = self._has_reasoned and not self._begun and self._inside is None
        self._is_wrapped = self._is_wrapped or is_first
        return is_first

    def flush(self) -> str:
        held, self._held = "".join([*self._thought, self._held]), ""
        self._thought.clear()
        return "" if self._inside is not None else held


_BLANK = re.compile(r"\s*")


class SpeakerLabelFilter:
    """Drops the speaker's name that some models write before the reply."""

    def __init__(self, cast: Cast) -> None:
        self._own = _labels(tuple(cast.own))
        self._others = _labels(tuple(cast.not_own))
        self._longest = max(map(len, (*self._own, *self._others)))
        self._held: str | None = ""
        self._in_others_line = False

    def feed(self, piece: str) -> str:
        if self._held is None:
            return piece
        text = self._held + piece
        self._held = ""
        start = 0
        while True:
            if self._in_others_line:
                line_end = text.find("\n", start)
                if line_end < 0:
                    return ""
                self._in_others_line, start = False, line_end + 1
            start = _after_blank(text, start)
            beginning = text[start : start + self._longest]
            if not _starts(beginning, self._others):
                break
            self._in_others_line = True
        if own := _starts(beginning, self._own):
            self._held = None
            return text[start + len(own) :].lstrip(" ")
        if _may_start(beginning, self._own + self._others):
            self._held = beginning
            return ""
        self._held = None
        return text[start:]

    def flush(self) -> str:
        held, self._held = self._held or "", None
        return held


def _after_blank(text: str, start: int) -> int:
    blank = _BLANK.match(text, start)
    return blank.end() if blank else start


class StopFilter:
    """Ends the reply at a line that begins with another speaker's name, or at a token that ends a
    turn."""

    def __init__(self, cast: Cast) -> None:
        self._markers = _ends(tuple(cast.not_own))
        self._held = ""
        self.found = False

    def feed(self, piece: str) -> str:
        if self.found:
            return ""
        text = self._held + piece
        end = kept = len(text)
        if "\n" in text:
            if found := self._markers.first(text):
                end = found[0]
            else:
                kept -= self._markers.partial(text)
        if ("<" in text or "[" in text) and (token := end_tokens().search(text, partial=True)):
            if token.partial:
                kept = min(kept, token.start())
            else:
                end = min(end, token.start())
        self.found = end < len(text)
        self._held = "" if self.found else text[kept:]
        return text[: end if self.found else kept]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


class WhitespaceFilter:
    """Trims whitespace around the text; paragraphs and Markdown stay unchanged."""

    def __init__(self) -> None:
        self._begun = False
        self._held: list[str] = []

    def feed(self, piece: str) -> str:
        shown = piece.rstrip()
        after = piece[len(shown) :]
        if not shown:
            if self._begun and after:
                self._held.append(after)
            return ""
        shown = "".join([*self._held, shown]) if self._begun else shown.lstrip()
        self._begun = True
        self._held = [after] if after else []
        return shown

    def flush(self) -> str:
        return ""


class RefusalFilter:
    """Holds the beginning back while the reply may still be only a model's refusal."""

    def __init__(self) -> None:
        self._held: str | None = ""
        self.was_dropped = False

    def feed(self, piece: str) -> str:
        if self._held is None:
            return piece
        self._held += piece
        return "" if may_become_model_refusal(self._held) else self._release()

    def flush(self) -> str:
        self.was_dropped = is_model_refusal(self._held or "")
        return "" if self.was_dropped else self._release()

    def _release(self) -> str:
        held, self._held = self._held or "", None
        return held


def stop_strings(cast: Cast) -> list[str]:
    """Stop strings for providers: the most common markers of `StopFilter`."""
    return [f"\n{name}:" for name in dict.fromkeys(cast.not_own) if name and "\n" not in name]


@lru_cache(maxsize=REMEMBERED_CASTS)
def _ends(names: tuple[str, ...]) -> Markers:
    """The lines that end a reply: of these people, or of a template without tokens."""
    return Markers((*(f"\n{label}" for label in _labels(names)), *TURN_HEADINGS))


@lru_cache(maxsize=REMEMBERED_CASTS)
def _labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """The speaker labels that models write for these names, in lower case."""
    return tuple(
        _lower(label)
        for name in dict.fromkeys(filter(None, names))
        for label in (f"{name}:", f"**{name}:**", f"**{name}**:", f"*{name}:*", f"[{name}]:")
    )


def _starts(text: str, labels: tuple[str, ...]) -> str:
    """The label that the text begins with, or an empty string. Labels are in lower case."""
    lower = _lower(text)
    if not lower.startswith(labels):
        return ""
    return next(text[: len(label)] for label in labels if lower.startswith(label))


def _may_start(text: str, labels: tuple[str, ...]) -> bool:
    """Whether the text could become one that begins with a label."""
    lower = _lower(text)
    return any(label.startswith(lower) for label in labels)
