"""Texts that know whose words they are made of, so that the screening reads what a model reads."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from roleplay_chat.api import ChatRequest
from roleplay_chat.lorebook_entries import Entry
from roleplay_chat.rows import BegunTurn, CharacterRow
from roleplay_chat.screening import Part, Passage

Run = tuple[Part | None, str]
"""Words and the part they come from; None: the house's own, which are not screened."""


@dataclass(frozen=True)
class Piece:
    """A text in runs. Nothing of it is lost or doubled in cutting and joining."""

    runs: Sequence[Run]

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        object.__setattr__(self, "runs", tuple(run for run in runs if run[1]))

    @classmethod
    def of(cls, part: Part | None, text: str) -> "Piece":
        """A text that comes from one part."""
        return cls([(part, text)])

    @cached_property
    def text(self) -> str:
        """What a model reads."""
        return self.runs[0][1] if len(self.runs) == 1 else "".join(text for _, text in self.runs)

    def between(self, start: int, end: int) -> "Piece":
        """The text from `start` to `end`."""
        return Piece(_between(self.runs, start, end))

    def beginning(self, chars: int) -> "Piece":
        """The first characters."""
        return self if chars >= len(self.text) else self.between(0, chars)

    def stripped(self) -> "Piece":
        """The text without the space around it."""
        start = len(self.text) - len(self.text.lstrip())
        return self.between(start, max(len(self.text.rstrip()), start))


def _between(runs: Sequence[Run], start: int, end: int) -> Iterator[Run]:
    for part, text in runs:
        yield part, text[max(start, 0) : max(end, 0)]
        start, end = start - len(text), end - len(text)


def joined(separator: str, pieces: Iterable[Piece]) -> Piece:
    """The pieces that have words, with the separator between them."""
    runs: list[Run] = []
    for piece in pieces:
        if runs and piece.runs:
            runs.append((None, separator))
        runs += piece.runs
    return Piece(runs)


def passages_of(messages: Iterable[Piece]) -> list[Passage]:
    """The words of the messages but for the house's own, in order.

    What is of one part and has no word of the house's between it is one passage; the end of a
    message is read as that of a line.
    """
    passages: list[tuple[Part, list[str]]] = []
    space: str | None = ""  # since the last passage; None: there were words
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
        space = None if space is None else f"{space}\n"
    return [Passage(part, "".join(texts)) for part, texts in passages]


def written_for(begun: BegunTurn, request: ChatRequest, lore: Sequence[Entry]) -> list[Passage]:
    """What is written for a turn, whatever of it a prompt has room for: of everybody who is there,
    with their ages, the entries of the book that are called for (`lore`), and of the scene."""
    scene = [
        *(request.scene_name, request.scene_description, request.scene_context),
        *(request.scene_system_prompt, *(request.scene_starters or [])),
    ]
    opens = begun.turn.message is None and not begun.history
    written = [
        *(written_of("character", row, greetings=opens, book=False) for row in _present(begun)),
        Passage("character", _lines(entry.content for entry in lore)),
        Passage("persona", request.user_role or ""),
        Passage("scene", _lines(scene)),
    ]
    if begun.persona:
        written.append(written_of("persona", begun.persona, greetings=False, book=False))
    return [passage for passage in written if passage.text]


def _present(begun: BegunTurn) -> list[CharacterRow]:
    return [*([begun.character] if begun.character else []), *begun.others]


def written_of(
    part: Part, row: CharacterRow, *, greetings: bool = True, book: bool = True
) -> Passage:
    """All that is written of a character, or of the persona that the person plays."""
    return Passage(part, _lines(row.texts(greetings=greetings, book=book)), row.age)


def _lines(texts: Iterable[str | None]) -> str:
    return "\n".join(text for text in texts if text)
