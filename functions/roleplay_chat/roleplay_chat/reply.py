"""The model's text becomes the character's words, piece by piece as it comes.

Stages, each a small state machine that holds back only what it cannot judge yet:

    Reasoning   what is thought is not said
    Speaker     "Mara:" before her own words goes; lines before them that speak for the person too
    Stop        ends the reply where the model begins to speak for the person (in a draft of the
                person's words it is the other way round)
    Space       no space around the text
    Whole       a reply that is nothing but a model's refusal is none (`boilerplate`)
    ReplyScreen refuses what breaks the hard limit (`screening`)

What streams is what is stored, whatever the pieces were; only a reply that hit its length limit
is trimmed once more at its end (`trimmed`), which the last event then tells.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from roleplay_chat.api import NO_TEXT
from roleplay_chat.boilerplate import is_refusal, may_become_refusal
from roleplay_chat.screening import ReplyScreen

_OPEN = ("<think>", "<thinking>", "<reasoning>", "<thought>")
_CLOSE = tuple(tag.replace("<", "</") for tag in _OPEN)
_TOKENS = ("<|im_end|>", "<|im_start|>", "<|eot_id|>", "<|endoftext|>", "</s>", "[INST]")
"""What chat templates put around messages; a model that says one is past its end."""

Thinking = Literal["tagged", "leading"]
"""Where reasoning is: between tags, or (families whose chat template writes the opening tag
itself) from the start to the closing tag."""


@dataclass(frozen=True)
class Cast:
    """Who speaks: the character, and the names that the person goes by."""

    character: str = ""
    person: Sequence[str] = ()
    others: Sequence[str] = ()
    """The names of other characters who are there."""
    impersonates: bool = False
    """The person's words are written, not the character's."""

    @property
    def own(self) -> Sequence[str]:
        """The names of who is to speak."""
        return [*self.person, "User"] if self.impersonates else self._character

    @property
    def not_own(self) -> Sequence[str]:
        """The names under which whoever is to speak does not, the likeliest first."""
        if self.impersonates:
            return [*self._character, *self.others]
        return [*self.person, *self.others, "User"]

    @property
    def _character(self) -> Sequence[str]:
        return [self.character, *self.character.split()[:1]]


class Reply:
    """One reply as it comes. The pieces given out, joined, are its text."""

    def __init__(
        self,
        cast: Cast = Cast(),
        *,
        thinking: Thinking = "tagged",
        screen: ReplyScreen | None = None,
    ) -> None:
        """What `screen` refuses it raises, from `feed` and from `rest`."""
        self._stop = Stop(cast)
        self._whole = Whole()
        stages = (Reasoning(thinking), Speaker(cast), self._stop, Space(), self._whole)
        self._stages = (*stages, screen) if screen else stages

    @property
    def ended(self) -> bool:
        """The reply is over although the model goes on: nothing more will be shown."""
        return self._stop.found

    @property
    def refused(self) -> bool:
        """The model did not want to: there is no text, and the words for it were dropped."""
        return self._whole.refused

    def feed(self, piece: str) -> str:
        """The text that can be shown now that `piece` has come; may be empty."""
        piece = NO_TEXT.sub("", piece)
        for stage in self._stages:
            piece = stage.feed(piece)
        return piece

    def rest(self) -> str:
        """The text that was still held back when the model ended."""
        piece = ""
        for stage in self._stages:
            piece = stage.feed(piece) + stage.rest()
        return piece


class Markers:
    """Texts to look for without regard to case, and what may turn out to be one."""

    def __init__(self, markers: Iterable[str]) -> None:
        self._markers = tuple(marker.lower() for marker in markers)
        self._begin_with = frozenset(marker[0] for marker in self._markers)
        self._longest = max(map(len, self._markers))

    def first(self, text: str) -> tuple[int, str] | None:
        """Where the first one is, and which, in lower case."""
        lower = _lower(text)
        if self._begin_with.isdisjoint(lower):
            return None
        found = ((lower.find(marker), marker) for marker in self._markers)
        return min((one for one in found if one[0] >= 0), key=lambda one: one[0], default=None)

    def partial(self, text: str) -> int:
        """The length of the longest end of the text with which one begins."""
        end = _lower(text)[1 - self._longest :] if self._longest > 1 else ""
        if self._begin_with.isdisjoint(end):
            return 0
        for place, char in enumerate(end):
            if char in self._begin_with:
                rest = end[place:]
                if any(marker.startswith(rest) for marker in self._markers):
                    return len(rest)
        return 0


def _lower(text: str) -> str:
    """In lower case, each character in its place."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


_TAGS, _CLOSING_TAGS = Markers((*_OPEN, *_CLOSE)), Markers(_CLOSE)


class Reasoning:
    """Drops what stands between thinking tags, also when the closing one never comes."""

    def __init__(self, thinking: Thinking) -> None:
        self._held = ""
        self._inside = False
        self._leading = thinking == "leading"

    def feed(self, piece: str) -> str:
        text, shown = self._held + piece, ""
        while found := (_CLOSING_TAGS if self._inside else _TAGS).first(text):
            start, tag = found
            before, text = text[:start], text[start + len(tag) :]
            orphan = not self._inside and tag in _CLOSE
            if not self._inside and not (orphan and self._leading):
                shown += before
            self._inside = not self._inside and not orphan
            self._leading = False
        keep = len(text) if self._leading else _TAGS.partial(text)
        self._held = text[len(text) - keep :]
        return shown if self._inside else shown + text[: len(text) - keep]

    def rest(self) -> str:
        held, self._held = self._held, ""
        return "" if self._inside else held


class Speaker:
    """Drops the name that some models write before the character's words."""

    def __init__(self, cast: Cast) -> None:
        self._own = _labels(cast.own)
        self._others = _labels(cast.not_own)
        self._held: str | None = ""

    def feed(self, piece: str) -> str:
        if self._held is None:
            return piece
        text = (self._held + piece).lstrip()
        while _starts(text, self._others):
            _, newline, after = text.partition("\n")
            if not newline:
                self._held = text
                return ""
            text = after.lstrip()
        if own := _starts(text, self._own):
            self._held = None
            return text[len(own) :].lstrip(" ")
        if _may_start(text, self._own + self._others):
            self._held = text
            return ""
        self._held = None
        return text

    def rest(self) -> str:
        held, self._held = self._held or "", None
        return "" if _starts(held, self._others) else held


class Stop:
    """Ends the reply at a line that speaks for others, or at a token of a chat template."""

    def __init__(self, cast: Cast) -> None:
        lines = tuple(f"\n{label}" for label in _labels(cast.not_own))
        self._markers = Markers((*lines, *_TOKENS))
        self._held = ""
        self.found = False

    def feed(self, piece: str) -> str:
        if self.found:
            return ""
        text = self._held + piece
        if found := self._markers.first(text):
            self.found = True
            self._held = ""
            return text[: found[0]]
        keep = self._markers.partial(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        held, self._held = self._held, ""
        return held


class Space:
    """Drops the space around the text; paragraphs and markdown stay as they are."""

    def __init__(self) -> None:
        self._begun = False
        self._held = ""

    def feed(self, piece: str) -> str:
        text = self._held + piece
        if not self._begun:
            text = text.lstrip()
        shown = text.rstrip()
        self._held = text[len(shown) :]
        self._begun = self._begun or bool(shown)
        return shown

    def rest(self) -> str:
        return ""


class Whole:
    """Holds the beginning back while the reply may turn out to be nothing but a refusal."""

    def __init__(self) -> None:
        self._held: str | None = ""
        self.refused = False

    def feed(self, piece: str) -> str:
        if self._held is None:
            return piece
        self._held += piece
        return "" if may_become_refusal(self._held) else self._release()

    def rest(self) -> str:
        self.refused = is_refusal(self._held or "")
        return "" if self.refused else self._release()

    def _release(self) -> str:
        held, self._held = self._held or "", None
        return held


def stop_strings(cast: Cast) -> list[str]:
    """Where a provider may end a reply by itself: the commonest of the lines `Stop` looks for."""
    return [f"\n{name}:" for name in dict.fromkeys(cast.not_own) if name and "\n" not in name]


def _labels(names: Iterable[str]) -> tuple[str, ...]:
    """How models write who speaks."""
    return tuple(
        label
        for name in dict.fromkeys(filter(None, names))
        for label in (f"{name}:", f"**{name}:**", f"**{name}**:", f"*{name}:*", f"[{name}]:")
    )


def _starts(text: str, labels: Sequence[str]) -> str:
    """The label that the text begins with, or nothing."""
    lower = text.lower()
    return next((text[: len(label)] for label in labels if lower.startswith(label.lower())), "")


def _may_start(text: str, labels: Sequence[str]) -> bool:
    """Whether the text, if it went on, could begin with a label."""
    lower = text.lower()
    return any(label.lower().startswith(lower) for label in labels)


_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»*_)\]]*(?=\s|$)|[。！？][\"'”’»」』*_)\]]*")
LEAST_KEPT = 0.3
"""Of a reply that is trimmed: better an unfinished sentence than half the reply gone."""


def trimmed(text: str) -> str:
    """A reply that hit its length limit, without the sentence it stopped in; marks closed."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    if ends and ends[-1] >= len(text) * LEAST_KEPT:
        text = text[: ends[-1]]
    paragraph = text.rpartition("\n")[2]
    if paragraph.replace("**", "").count("*") % 2:
        text += "*"
    if paragraph.count('"') % 2:
        text += '"'
    return text


def joined(beginning: str, continuation: str) -> str:
    """A reply and what continues it, with a space between them where one is missing."""
    glued = (
        beginning[-1:].isspace()
        or continuation[:1].isspace()
        or continuation[:1] in ".,;:!?…)”’"
        or beginning[-1:] in "-–—(“‘"
    )
    return beginning + ("" if glued else " ") + continuation
