"""Cleans a model's output, piece by piece as it streams.

Each filter is a small state machine that holds back only what it cannot decide yet:

    SpokenThoughtFilter drops reasoning that begins the reply with words in the place of tags
    ReasoningFilter     drops the model's reasoning, and tokens that begin its turn
    SpeakerFilter       drops "Mara:" before her own words and lines that speak for the person, and
                        ends the reply where the model speaks for somebody else (`speakers`)
    EndTokenFilter      ends the reply at a token that ends a turn
    WhitespaceFilter    trims the text
    Continuation        joins it to the reply that it continues (`continuation`)
    StopStringFilter    ends the reply before a text that the request names (`stop_strings`)
    LoopFilter          ends the reply where it repeats itself again and again (`repetition`)
    RefusalFilter       drops a reply that is only a model's refusal (`model_refusals`)
    RepeatFilter        drops a reply that is the same as the last one
    ReplyScreen         refuses what breaks the content policy (`screening`)

The streamed text is the stored text, however it was split. The one exception is a reply that hit
its length limit: `truncation` removes its unfinished last sentence, and the last event has the
result.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import regex

from roleplay_chat.api import NO_TEXT
from roleplay_chat.messages import Cast
from roleplay_chat.reply.code_spans import CodeSpans
from roleplay_chat.reply.continuation import Continuation
from roleplay_chat.reply.labels import WORDS
from roleplay_chat.reply.model_refusals import (
    is_model_refusal,
    may_be_in_character,
    may_become_model_refusal,
)
from roleplay_chat.reply.repetition import LoopFilter, RepeatFilter
from roleplay_chat.reply.speakers import SpeakerFilter
from roleplay_chat.reply.stop_strings import StopStringFilter
from roleplay_chat.reply.template_tokens import (
    LONGEST_CLOSING,
    SpokenThought,
    end_tokens,
    reasoning_tokens,
    spoken_openings,
)
from roleplay_chat.screening.decision import ReplyScreen

STEP_CHARS = 1_000
"""How much text is read at once. Reasoning that never ends turns out to be the reply, and screening
all of it takes a fifth of a second."""

Thinking = Literal["tagged", "leading"]
"""Where the reasoning is: between tags, or ("leading") from the start to the closing tag, for
models whose chat template writes the opening tag."""


class Reply:
    """Filters one reply. The pieces that it returns, joined, are the reply's text."""

    def __init__(
        self,
        cast: Cast | None = None,
        *,
        thinking: Thinking = "tagged",
        continues: str | None = None,
        last: str = "",
        said: str = "",
        screen: ReplyScreen | None = None,
        stops: Sequence[str] = (),
    ) -> None:
        """With `screen`, `feed` and `flush` raise `ContentRefused` for what it refuses. With
        `continues`, the reply is what has to be added to that text, and `said` was said before it.
        `last` is the reply before. The reply ends before the first of `stops`.
        """
        cast = cast or Cast()
        self._spoken = SpokenThoughtFilter()
        self._reasoning = ReasoningFilter(thinking)
        self._end_token = EndTokenFilter()
        self._speaker = SpeakerFilter(cast)
        self._model_refusal = RefusalFilter(has_character=bool(cast.character))
        self._stop = StopStringFilter(stops) if stops else None
        self._loop = LoopFilter()
        self._repeat = RepeatFilter(last) if continues is None else Continuation(continues, said)
        self._waiting = ""
        """Text that is no reasoning, and that the filters have not read."""
        stages = (
            self._end_token,
            self._speaker,
            WhitespaceFilter(is_trimmed=continues is None),
            self._repeat if continues is not None else None,
            *((self._stop, WhitespaceFilter()) if self._stop else ()),
            self._loop,
            self._model_refusal,
            self._repeat if continues is None and last else None,
            screen,
        )
        self._thinking: list[_Filter] = [self._spoken, self._reasoning]
        self._filters: list[_Filter] = [stage for stage in stages if stage is not None]
        all_stages = (*self._thinking, *self._filters)
        self._deciding = [stage for stage in all_stages if isinstance(stage, _BEGINNINGS)]
        """Those that pass everything on once the beginning of the reply is decided."""

    @property
    def ended(self) -> bool:
        """Whether the text so far has ended the reply, although the model may continue."""
        speaker = self._speaker
        is_pending = speaker.found or speaker.is_pending
        return is_pending or self._ended_early

    @property
    def is_over(self) -> bool:
        """Whether the reply has ended, whatever follows."""
        return self._speaker.found or self._ended_early

    @property
    def _ended_early(self) -> bool:
        is_stopped = self._stop is not None and self._stop.found
        return self._end_token.found or self._loop.found or is_stopped

    @property
    def is_loop(self) -> bool:
        """Whether the reply ended because it repeated itself again and again."""
        return self._loop.found

    @property
    def is_repeat(self) -> bool:
        """Whether the reply was dropped because it repeats the last one, or the text that it
        continues."""
        return self._repeat.was_dropped

    def accept_repeat(self) -> None:
        """Accept a reply that is the same as the last one."""
        self._repeat.accepts = True

    @property
    def is_reasoning(self) -> bool:
        """Whether the text so far ends in reasoning that was not closed."""
        return self._reasoning.is_inside or self._spoken.is_inside

    @property
    def is_model_refusal(self) -> bool:
        """Whether the reply was only a model's refusal, which was dropped."""
        return self._model_refusal.was_dropped

    @property
    def may_be_in_character(self) -> bool:
        """Whether the dropped refusal could be the character's own words."""
        return self._model_refusal.may_be_in_character

    def accept_refusal(self) -> str:
        """Accept a refusal that may be in character as the reply. If one was dropped, returns it as
        `flush` would have."""
        self._model_refusal.accepts_in_character = True
        return self.flush() if self._model_refusal.was_dropped else ""

    @property
    def is_waiting(self) -> bool:
        """Whether text waits for the next call of `feed`."""
        return bool(self._waiting)

    def feed(self, piece: str = "") -> str:
        """Process a piece and return the text that can be shown now; may be empty. Reads at most
        `STEP_CHARS`; then the rest waits."""
        piece = NO_TEXT.sub("", piece)
        for one in self._thinking:
            piece = one.feed(piece)
        if self._waiting or len(piece) > STEP_CHARS:
            waiting = self._waiting + piece
            piece, self._waiting = waiting[:STEP_CHARS], waiting[STEP_CHARS:]
        for one in self._filters:
            piece = one.feed(piece)
        if self._deciding:
            self._leave_out_decided()
        return piece

    def _leave_out_decided(self) -> None:
        decided = [one for one in self._deciding if one.is_decided]
        if decided:
            self._deciding = [one for one in self._deciding if one not in decided]
            self._thinking = [one for one in self._thinking if one not in decided]
            self._filters = [one for one in self._filters if one not in decided]

    def end_thinking(self) -> None:
        """No more comes. What may have been reasoning waits for the next call of `feed`."""
        piece = ""
        for one in self._thinking:
            piece = one.feed(piece) + one.flush()
        self._waiting += piece

    def flush(self) -> str:
        """End the reply and return the text that was still held back."""
        self.end_thinking()
        piece, self._waiting = self._waiting, ""
        for one in self._filters:
            piece = one.feed(piece) + one.flush()
        return piece


class _Filter(Protocol):
    """A stage of the reply."""

    def feed(self, piece: str, /) -> str: ...

    def flush(self) -> str: ...


class SpokenThoughtFilter:
    """Drops reasoning that is marked by words at the very beginning of the reply."""

    def __init__(self) -> None:
        self._held: str | None = ""
        """None once the beginning is decided."""
        self._thought: list[str] = []
        self._kind: SpokenThought | None = None

    @property
    def is_decided(self) -> bool:
        """Whether everything is passed on from now on."""
        return self._held is None

    @property
    def is_inside(self) -> bool:
        """Whether reasoning has certainly begun and not ended."""
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
        """Whether the text begins reasoning, or may do so yet."""
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
        self._code = CodeSpans()
        self._last = ""
        """The last character read."""

    def feed(self, piece: str) -> str:
        text = self._held + piece
        if "<" in text or "[" in text or "◁" in text:
            return self._process(text, ends=False)
        return self._take(text)

    def _process(self, text: str, *, ends: bool) -> str:
        self._held = ""
        shown: list[str] = []
        end = 0
        for token in reasoning_tokens().finditer(text, partial=not ends):
            shown.append(self._take(text[end : token.start()]))
            end = token.end()
            is_mention = None if token.partial else self._is_mention(token, text[end : end + 2])
            if token.partial or (is_mention is None and not ends):
                self._held = text[token.start() :]
                return "".join(shown)
            shown.append(self._take(token[0]) if is_mention else self._read(token))
        shown.append(self._take(text[end:]))
        return "".join(shown)

    def _is_mention(self, token: regex.Match[str], after: str) -> bool | None:
        """Whether the text mentions the token; None if what follows decides."""
        is_closing = token.lastgroup == "closing" or token["slash"]
        if self._inside is None and not (self._leading and is_closing):
            return self._code.is_mention(after)
        # Reasoning must end, however the tag is written.
        if self._last != "`":
            return False
        return after[0] == "`" if after else None

    @property
    def is_inside(self) -> bool:
        """Whether reasoning was opened and not closed."""
        return self._inside is not None

    def _take(self, text: str) -> str:
        """The part of the text that belongs to the reply."""
        if not text:
            return ""
        self._last = text[-1]
        if self._inside is not None:
            return ""
        self._code.note(text)
        self._begun = self._begun or not text.isspace()
        if self._leading:
            self._thought.append(text)
            return ""
        return text

    def _read(self, token: regex.Match[str]) -> str:
        """Process a token and return the text that it releases, or the token itself if it is
        text."""
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
        """Whether this tag surrounds the reply after the reasoning."""
        if token["end"]:
            return self._is_wrapped
        is_first = self._has_reasoned and not self._begun and self._inside is None
        self._is_wrapped = self._is_wrapped or is_first
        return is_first

    def flush(self) -> str:
        released = self._process(self._held, ends=True) if self._held else ""
        held = "".join([*self._thought, released])
        self._thought.clear()
        return "" if self._inside is not None else held


STRIKES = ("<s>", "</s>")
"""Marks around struck-through text, where they are not tokens."""


class EndTokenFilter:
    """Ends the reply at a token that ends a turn, unless the text only mentions it."""

    def __init__(self) -> None:
        self._held = ""
        self._code = CodeSpans()
        self._is_struck = False
        """Whether `<s>` opened a text that is struck through."""
        self.found = False

    def feed(self, piece: str) -> str:
        if self.found:
            return ""
        text = self._held + piece
        if "<" in text or "[" in text:
            return self._process(text, ends=False)
        self._code.note(text)
        return text

    def _process(self, text: str, *, ends: bool) -> str:
        self._held = ""
        at = 0
        while token := end_tokens().search(text, at, partial=not ends):
            self._code.note(text[at : token.start()])
            after = text[token.end() : token.end() + 2]
            is_mention = None if token.partial else self._is_mention(token[0], after)
            if token.partial or (is_mention is None and not ends):
                self._held = text[token.start() :]
                return text[: token.start()]
            if not is_mention:
                self.found = True
                return text[: token.start()]
            self._code.note(token[0])
            at = token.end()
        self._code.note(text[at:])
        return text

    def _is_mention(self, tag: str, after: str) -> bool | None:
        if self._is_struck and tag == STRIKES[1]:
            self._is_struck = False
            return True
        is_mention = self._code.is_mention(after, is_glued=True)
        if is_mention is False and tag == STRIKES[0] and self._code.is_after_space:
            if not after:
                return None
            is_mention = self._is_struck = after[0].isalnum()
        return is_mention

    def flush(self) -> str:
        return self._process(self._held, ends=True) if self._held else ""


class WhitespaceFilter:
    """Trims whitespace around the text; paragraphs and Markdown stay unchanged. Whitespace before a
    continuation stays, too."""

    def __init__(self, *, is_trimmed: bool = True) -> None:
        self._begun = not is_trimmed
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
    """Holds back the beginning while the reply may still be only a model's refusal."""

    def __init__(self, *, has_character: bool) -> None:
        self._held: str | None = ""
        self._has_character = has_character
        self.accepts_in_character = False
        """Whether a refusal that the character may have spoken is the reply."""
        self.was_dropped = False
        self.may_be_in_character = False

    @property
    def is_decided(self) -> bool:
        """Whether everything is passed on from now on."""
        return self._held is None

    def feed(self, piece: str) -> str:
        if self._held is None:
            return piece
        self._held += piece
        return "" if may_become_model_refusal(self._held) else self._release()

    def flush(self) -> str:
        held = self._held or ""
        is_refusal = is_model_refusal(held)
        is_spoken = is_refusal and self._has_character
        self.may_be_in_character = is_spoken and may_be_in_character(held)
        accepts = self.accepts_in_character and self.may_be_in_character
        self.was_dropped = is_refusal and not accepts
        return "" if self.was_dropped else self._release()

    def _release(self) -> str:
        held, self._held = self._held or "", None
        return held


_BEGINNINGS = (SpokenThoughtFilter, RefusalFilter, RepeatFilter)


def stop_strings(cast: Cast) -> list[str]:
    """Stop strings for providers: the most common labels of others. A provider stops wherever it
    finds one. So names that are also words are left out: they may label lists.
    """
    names = [name for name in dict.fromkeys(cast.not_own) if name and "\n" not in name]
    return [f"\n{name}:" for name in names if name.lower() not in WORDS]
