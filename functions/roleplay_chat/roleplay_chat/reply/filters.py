"""The model's text becomes the character's words, piece by piece as it comes.

Filters, each a small state machine that holds back only what it cannot judge yet:

    ReasoningFilter     drops what the model thinks
    SpeakerLabelFilter  drops "Mara:" before her own words, and lines before them that speak for
                        the person
    StopFilter          ends the reply where the model begins to speak for the person (in a draft
                        of the person's words, for the character)
    WhitespaceFilter    trims the text
    RefusalFilter       drops a reply that is nothing but a model's refusal (`model_refusals`)
    ReplyScreen         refuses what breaks the hard limit (`screening`)

What streams is what is stored, whatever the pieces were; only a reply that hit its length limit
is trimmed once more at its end (`trimmed`), which the last event then tells.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from roleplay_chat.api import NO_TEXT
from roleplay_chat.messages import Cast
from roleplay_chat.reply.model_refusals import is_model_refusal, may_become_model_refusal
from roleplay_chat.screening.decision import ReplyScreen

_OPEN = ("<think>", "<thinking>", "<reasoning>", "<thought>")
_CLOSE = tuple(tag.replace("<", "</") for tag in _OPEN)
_TOKENS = ("<|im_end|>", "<|im_start|>", "<|eot_id|>", "<|endoftext|>", "</s>", "[INST]")
"""What chat templates put around messages; a model that says one is past its end."""

Thinking = Literal["tagged", "leading"]
"""Where reasoning is: between tags, or (families whose chat template writes the opening tag
itself) from the start to the closing tag."""


REMEMBERED_CASTS = 512
"""Who speaks stays the same from turn to turn."""


class Reply:
    """One reply as it comes. The pieces given out, joined, are its text."""

    def __init__(
        self,
        cast: Cast | None = None,
        *,
        thinking: Thinking = "tagged",
        screen: ReplyScreen | None = None,
    ) -> None:
        """What `screen` refuses it raises, from `feed` and from `flush`."""
        cast = cast or Cast()
        self._stop = StopFilter(cast)
        self._model_refusal = RefusalFilter()
        stages = (
            ReasoningFilter(thinking),
            SpeakerLabelFilter(cast),
            self._stop,
            WhitespaceFilter(),
            self._model_refusal,
        )
        self._filters = (*stages, screen) if screen else stages

    @property
    def ended(self) -> bool:
        """The reply is over although the model goes on: nothing more will be shown."""
        return self._stop.found

    @property
    def is_model_refusal(self) -> bool:
        """The model did not want to: there is no text, and the words for it were dropped."""
        return self._model_refusal.was_dropped

    def feed(self, piece: str) -> str:
        """The text that can be shown now that `piece` has come; may be empty."""
        piece = NO_TEXT.sub("", piece)
        for one in self._filters:
            piece = one.feed(piece)
        return piece

    def flush(self) -> str:
        """The text that was still held back when the model ended."""
        piece = ""
        for one in self._filters:
            piece = one.feed(piece) + one.flush()
        return piece


class Markers:
    """Texts to look for without regard to case, and what may turn out to be one."""

    def __init__(self, markers: Iterable[str]) -> None:
        self._markers = tuple(map(_lower, markers))
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
    """In lower case, each character in its place."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


_TAGS = Markers((*_OPEN, *_CLOSE))
_TAG = re.compile("|".join(map(re.escape, (*_OPEN, *_CLOSE))))


class ReasoningFilter:
    """Drops what stands between thinking tags, also when the closing one never comes."""

    def __init__(self, thinking: Thinking) -> None:
        self._held = ""
        self._inside = False
        self._leading = thinking == "leading"
        self._thought: list[str] = []
        """What was thought, or if no tag comes, said: of models that begin to think without one."""

    def feed(self, piece: str) -> str:
        text = self._held + piece
        shown: list[str] = []
        end = 0
        for tag in _TAG.finditer(_lower(text)) if "<" in text else ():
            closes = tag[0] in _CLOSE
            if self._inside and not closes:
                continue
            if not self._inside and not (closes and self._leading):
                shown += [*self._thought, text[end : tag.start()]]
            self._thought.clear()
            self._inside = not closes
            self._leading = False
            end = tag.end()
        kept = len(text) - _TAGS.partial(text[end:])
        self._held = text[kept:]
        if self._leading:
            self._thought.append(text[end:kept])
        elif not self._inside:
            shown.append(text[end:kept])
        return "".join(shown)

    def flush(self) -> str:
        held, self._held = "".join([*self._thought, self._held]), ""
        self._thought.clear()
        return "" if self._inside else held


_BLANK = re.compile(r"\s*")


class SpeakerLabelFilter:
    """Drops the name that some models write before the character's words."""

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
    """Ends the reply at a line that speaks for others, or at a token of a chat template."""

    def __init__(self, cast: Cast) -> None:
        self._markers = _ends(tuple(cast.not_own))
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

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


class WhitespaceFilter:
    """Drops the space around the text; paragraphs and markdown stay as they are."""

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
    """Holds the beginning back while the reply may turn out to be nothing but a refusal."""

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
    """Where a provider may end a reply by itself: the commonest lines of `StopFilter`."""
    return [f"\n{name}:" for name in dict.fromkeys(cast.not_own) if name and "\n" not in name]


@lru_cache(maxsize=REMEMBERED_CASTS)
def _ends(names: tuple[str, ...]) -> Markers:
    """What a reply ends at: lines of these people, and tokens of templates."""
    return Markers((*(f"\n{label}" for label in _labels(names)), *_TOKENS))


@lru_cache(maxsize=REMEMBERED_CASTS)
def _labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """How models write who speaks, in lower case."""
    return tuple(
        _lower(label)
        for name in dict.fromkeys(filter(None, names))
        for label in (f"{name}:", f"**{name}:**", f"**{name}**:", f"*{name}:*", f"[{name}]:")
    )


def _starts(text: str, labels: tuple[str, ...]) -> str:
    """The label that the text begins with, or nothing. Labels are in lower case."""
    lower = _lower(text)
    if not lower.startswith(labels):
        return ""
    return next(text[: len(label)] for label in labels if lower.startswith(label))


def _may_start(text: str, labels: tuple[str, ...]) -> bool:
    """Whether the text, if it went on, could begin with a label."""
    lower = _lower(text)
    return any(label.startswith(lower) for label in labels)


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
