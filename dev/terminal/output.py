"""What the terminal shows: streamed replies on stdout, everything else on stderr.

So scripts can read the reply. Texts come from models and other people: no control character of
theirs reaches the terminal.
"""

import contextlib
import os
import sys
import termios
from collections.abc import Callable, Iterator

from rich.cells import cell_len
from rich.console import Console

notes = Console(
    stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty(), emoji=False, markup=False
)


_KEPT = "\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


def tell(text: str, style: str = "", end: str = "\n") -> None:
    """Print a note."""
    notes.print(printable(text), style=style or None, end=end)


def complain(sentence: str) -> bool:
    """Print an error. Returns False."""
    tell(sentence, "red")
    return False


def printable(text: str) -> str:
    """Text without control characters, other than line breaks and tabs."""
    return "".join(char for char in text if char.isprintable() or char in _KEPT)


class WordWriter:
    """Writes text that arrives in pieces, and breaks lines between words.

    A word is held back until it is complete. `width` is the number of columns; None: the lines
    are not broken.
    """

    def __init__(self, write: Callable[[str], object], width: int | None) -> None:
        self._write = write
        self._width = width
        self._column = 0
        self._space = ""
        self._word = ""
        self._word_cells = 0

    def skip(self, columns: int) -> None:
        """Count columns that were written by others."""
        self._column += columns

    def feed(self, text: str) -> None:
        """Write the words that are complete now."""
        text = printable(text)
        if self._width is None:
            self._write(text)
            return
        for char in text:
            self._take(char, self._width)

    def end(self) -> None:
        """Write the rest and end the line, if there is one."""
        self._finish_word()
        if self._column or self._width is None:
            self._write("\n")
        self._column, self._space = 0, ""

    def _take(self, char: str, width: int) -> None:
        if char == "\n":
            self._finish_word()
            self._break()
        elif char in " \t":
            self._finish_word()
            self._space += " "
        else:
            cells = cell_len(char)
            if cells > 1 or self._word_cells + cells > width:
                self._finish_word()
            self._word += char
            self._word_cells += cells
            if cells > 1:  # Scripts without spaces may be broken after every character.
                self._finish_word()

    def _finish_word(self) -> None:
        if not self._word or self._width is None:
            return
        if self._column + len(self._space) + self._word_cells > self._width:
            if self._column:
                self._break()
            self._space = ""
        self._write(self._space + self._word)
        self._column += len(self._space) + self._word_cells
        self._space, self._word, self._word_cells = "", "", 0

    def _break(self) -> None:
        self._write("\n")
        self._column, self._space = 0, ""


def reply_writer() -> WordWriter:
    """The writer of replies to stdout."""

    def write(text: str) -> None:
        print(text, end="", flush=True)

    width = os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
    return WordWriter(write, width or None)


@contextlib.contextmanager
def keeping_typed_text() -> Iterator[None]:
    """While this holds, what is typed while nobody reads is there for the next prompt: Ctrl-C does
    not discard it, and Ctrl-D waits as well."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    changed = [*before]
    changed[3] |= termios.NOFLSH
    # Otherwise the terminal would take Ctrl-D for itself, and the prompt would never see it.
    changed[6] = [*before[6]]
    changed[6][termios.VEOF] = bytes([os.fpathconf(sys.stdin.fileno(), "PC_VDISABLE")])
    termios.tcsetattr(sys.stdin, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
