"""Detects a reply that loops, and one that is the same as the last.

People repeat themselves, too: refrains, laughter, spells, dividers. So short units may repeat more
often than long ones, and those with hardly any letters most often.
"""

import re
from math import ceil

WINDOW_CHARS = 4_096
"""The end of the text that is compared with itself."""
PROBE_CHARS = 24
"""The number of last characters whose previous position gives the length of a unit."""
MOST_TRIES = 3
"""How many previous positions are tried."""
LEAST_CHECK_CHARS, SPACE_CHECK_CHARS, MOST_CHECK_CHARS = 64, 128, 256
"""The text is checked after a sentence once it has this many more characters; without one, after a
word; without spaces, anywhere."""
WIDE_CHECK_CHARS = 96
"""The same in scripts without an alphabet, whose characters say more."""
MOST_REPEATS = ((40, 12), (120, 8), (300, 6), (WINDOW_CHARS + 1, 4))
"""For units of fewer characters than the first number: how many repetitions are a loop."""
LEAST_LOOP_CHARS = 48
LEAST_LETTERS = 4
FIRST_WITHOUT_ALPHABET = "\u2e80"
"""Units with fewer letters are laughter and dividers. A letter of these scripts counts as two."""
MOST_PLAIN_CHARS = 600
"""The total length at which such repetitions are a loop as well."""
MOST_PLAIN_WIDE_CHARS = 160
"""The same in scripts without an alphabet."""
MOST_ROWS = 40
"""Rows of a table may be equal."""
LEAST_REPEATED_CHARS = 48
"""A shorter reply may be given twice."""

_SENTENCE_END = re.compile(r"[.!?…。！？।؟\n]")
_SPACE = re.compile(r"\s")
_ONE_WORD = re.compile(r"[^\W\d_]*\s[^\W\d_]*")
"""One word with a space: people stammer, sing and laugh, and `max_tokens` ends it."""
_LETTER = re.compile(r"[^\W\d_]")


class LoopFilter:
    """Ends a reply that repeats the same words again and again. From the third time on, they are
    held back until it is clear whether they are a loop."""

    def __init__(self) -> None:
        self._window = ""
        self._unread: list[str] = []
        self._unread_chars = 0
        self._held: list[str] | None = None
        self.found = False

    def feed(self, piece: str) -> str:
        if self.found:
            return ""
        chars = self._unread_chars + len(piece)
        if chars < LEAST_CHECK_CHARS and self._held is None:
            self._unread.append(piece)
            self._unread_chars = chars
            return piece
        shown: list[str] = []
        at = 0
        while not self.found and (end := self._next_check(piece, at)):
            self._take(piece[at:end], shown)
            self._check(shown)
            at = end
        if not self.found and at < len(piece):
            self._take(piece[at:], shown)
        return "".join(shown)

    def flush(self) -> str:
        held, self._held = self._held, None
        return "" if self.found else "".join(held or [])

    def _next_check(self, piece: str, at: int) -> int:
        """Where to check the text next; 0 if not in this piece."""
        start = at - self._unread_chars
        if len(piece) < start + LEAST_CHECK_CHARS:
            return 0
        sentence = _SENTENCE_END.search(piece, max(start + LEAST_CHECK_CHARS - 1, at))
        end = sentence.end() if sentence else 0
        wide = start + WIDE_CHECK_CHARS
        if at < wide <= len(piece) and _is_wide(piece[wide - 1]):
            return min(end or wide, wide)
        if 0 < end <= start + SPACE_CHECK_CHARS or len(piece) < start + SPACE_CHECK_CHARS:
            return end
        space = _SPACE.search(piece, max(start + SPACE_CHECK_CHARS - 1, at))
        ends = [end, space.end() if space else 0, start + MOST_CHECK_CHARS]
        return min((one for one in ends if 0 < one <= len(piece)), default=0)

    def _take(self, text: str, shown: list[str]) -> None:
        self._unread.append(text)
        self._unread_chars += len(text)
        (shown if self._held is None else self._held).append(text)

    def _check(self, shown: list[str]) -> None:
        self._window = (self._window + "".join(self._unread))[-WINDOW_CHARS:]
        self._unread.clear()
        self._unread_chars = 0
        repeats = is_repeating(self._window)
        self.found = repeats == "loop"
        if repeats is None and self._held is not None:
            shown += self._held
            self._held = None
        elif repeats and self._held is None:
            self._held = []


def is_repeating(text: str) -> str | None:
    """Whether the text ends with repetitions: "loop" if they are too many, else "maybe"."""
    probe = text[-PROBE_CHARS:]
    end = len(text) - 1
    for _ in range(MOST_TRIES):
        at = text.rfind(probe, 0, end)
        if at < 0 or len(text) <= PROBE_CHARS:
            return None
        size = len(text) - PROBE_CHARS - at
        unit = text[-size:]
        most = _most_repeats(unit)
        if _repeats(text, size, max(most // 3, 3)):
            return "loop" if _repeats(text, size, most) else "maybe"
        if (_is_plain(unit) or _ONE_WORD.fullmatch(unit)) and _repeats(text, size, 2):
            return None  # Longer units are the same, with more letters.
        end = at + PROBE_CHARS - 1
    return None


def _repeats(text: str, size: int, times: int) -> bool:
    """Whether the text ends with its last `size` characters this many times."""
    length = size * times
    return length <= len(text) and text[-length:-size] == text[size - length :]


def _most_repeats(unit: str) -> int:
    if _is_plain(unit):
        most = MOST_PLAIN_WIDE_CHARS if any(map(_is_wide, unit)) else MOST_PLAIN_CHARS
        return ceil(most / len(unit))
    if "|" in unit and "\n" in unit:
        return MOST_ROWS
    if _ONE_WORD.fullmatch(unit):
        return WINDOW_CHARS
    times = next(times for chars, times in MOST_REPEATS if len(unit) < chars)
    return max(times, ceil(LEAST_LOOP_CHARS / len(unit)))


def _is_wide(sign: str) -> bool:
    return sign >= FIRST_WITHOUT_ALPHABET


def _is_plain(unit: str) -> bool:
    """Whether the unit has hardly any letters."""
    weight = 0
    for letter in _LETTER.finditer(unit):
        weight += 2 if _is_wide(letter[0]) else 1
        if weight >= LEAST_LETTERS:
            return False
    return True


class RepeatFilter:
    """Holds back the reply while it is the same as the last one, and drops it if it stays the
    same."""

    def __init__(self, last: str) -> None:
        self._last = last.strip()
        self._held: list[str] | None = [] if len(self._last) >= LEAST_REPEATED_CHARS else None
        self._length = 0
        self.accepts = False
        """Whether the same reply is taken nevertheless."""
        self.was_dropped = False

    @property
    def is_decided(self) -> bool:
        """Whether everything is passed on from now on."""
        return self._held is None

    def feed(self, piece: str) -> str:
        if self._held is None:
            return piece
        self._held.append(piece)
        is_same = self._last.startswith(piece, self._length)
        self._length += len(piece)
        return "" if is_same else self._release()

    def flush(self) -> str:
        is_same = self._held is not None and self._length == len(self._last)
        self.was_dropped = is_same and not self.accepts
        return "" if self.was_dropped else self._release()

    def _release(self) -> str:
        held, self._held = "".join(self._held or []), None
        return held
