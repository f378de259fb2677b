"""Texts that know which part of the turn each run comes from. So the screening reads exactly what a
model reads, and can name the part that is to blame.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from roleplay_chat.api import ChatRequest
from roleplay_chat.content_tier import ADULT_AGE
from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.rows import BegunTurn, CharacterRow
from roleplay_chat.screening.decision import Part, Passage

Run = tuple[Part | None, str]
"""The part that a text comes from, and the text. None: our own, which is not screened."""


class Piece(Struct, frozen=True):
    """A text and the runs that it consists of, none of them empty."""

    text: str
    runs: tuple[Run, ...]

    @classmethod
    def from_text(cls, part: Part | None, text: str) -> "Piece":
        """A text from one part."""
        return cls(text, ((part, text),)) if text else NO_WORDS

    @classmethod
    def from_runs(cls, runs: Iterable[Run]) -> "Piece":
        """A text from several parts."""
        kept = tuple(run for run in runs if run[1])
        return cls("".join([text for _, text in kept]), kept)

    def between(self, start: int, end: int) -> "Piece":
        """The text from `start` to `end`."""
        return Piece.from_runs(_between(self.runs, start, end))

    def stripped(self) -> "Piece":
        """The text without white space at both ends."""
        if self.text == (text := self.text.strip()):
            return self
        start = self.text.find(text) if text else 0
        return self.between(start, start + len(text))

    def beginning(self, chars: int) -> "Piece":
        """The first `chars` characters."""
        return self if chars >= len(self.text) else self.between(0, chars)


NO_WORDS = Piece("", ())


def _between(runs: Sequence[Run], start: int, end: int) -> Iterator[Run]:
    for part, text in runs:
        yield part, text[max(start, 0) : max(end, 0)]
        start, end = start - len(text), end - len(text)


def joined(separator: str, pieces: Iterable[Piece]) -> Piece:
    """The pieces that are not empty, joined by the separator."""
    worded = [piece for piece in pieces if piece.runs]
    if len(worded) == 1:
        return worded[0]
    runs: list[Run] = []
    for piece in worded:
        if runs:
            runs.append((None, separator))
        runs += piece.runs
    return Piece(separator.join([piece.text for piece in worded]), tuple(runs))


def build_passages(messages: Iterable[Piece]) -> list[Passage]:
    """The texts of the messages without our own words, in order.

    Adjacent runs of one part make one passage; the end of a message counts as a line break. Each
    message of the history is its own passage, because later turns send it again and the signals of
    each are cached.
    """
    passages: list[tuple[Part, list[str]]] = []
    space: str | None = ""  # Whitespace since the last passage; None after our own words.
    for message in messages:
        for part, text in message.runs:
            if part is None:
                space = space + text if space is not None and text.isspace() else None
                continue
            if space is not None and passages and passages[-1][0] == part:
                passages[-1][1].extend((space, text))
            else:
                passages.append((part, [text]))
            space = ""
        is_said = bool(message.runs) and message.runs[-1][0] == "history"
        space = None if space is None or is_said else f"{space}\n"
    return [Passage(part, "".join(texts)) for part, texts in passages]


def written_for(begun: BegunTurn, request: ChatRequest, lore: Sequence[Entry]) -> list[Passage]:
    """All texts written for a turn, even if a prompt has no room for them: those of everybody
    present, with their ages, the activated book entries (`lore`), and the scene."""
    scene = [
        *(request.scene_name, request.scene_description, request.scene_context),
        *(request.scene_system_prompt, *(request.scene_starters or [])),
        begun.settings.note if begun.settings else None,
    ]
    opens = begun.turn.message is None and not begun.has_past
    written = [
        *(
            character_passage("character", row, greetings=opens, book=False)
            for row in _present(begun)
        ),
        *_lore(lore),
        Passage("persona", request.user_role or ""),
        Passage("scene", _lines(scene)),
    ]
    if begun.persona:
        written.append(character_passage("persona", begun.persona, greetings=False, book=False))
    return [*(passage for passage in written if passage.text), *_minors(begun)]


def _lore(entries: Sequence[Entry]) -> list[Passage]:
    texts: dict[Part, list[str]] = {}
    for entry in entries:
        texts.setdefault(entry.part, []).append(entry.content)
    return [Passage(part, _lines(contents)) for part, contents in texts.items()]


def _minors(begun: BegunTurn) -> list[Passage]:
    """The declared ages of minors whose texts are in no prompt: they spoke earlier, or a story is
    about them."""
    ages = [row.age for row in begun.cast if row.age is not None and row.age < ADULT_AGE]
    return [Passage("character", "", age) for age in ages]


def _present(begun: BegunTurn) -> list[CharacterRow]:
    return [*([begun.character] if begun.character else []), *begun.others]


def character_passage(
    part: Part, row: CharacterRow, *, greetings: bool = True, book: bool = True
) -> Passage:
    """All texts of a character, or of the persona that the person plays."""
    return Passage(part, _lines(row.texts(greetings=greetings, book=book)), row.age)


def _lines(texts: Iterable[str | None]) -> str:
    return "\n".join(text for text in texts if text)
