"""How many tokens a text has, as far as one can tell without the model's tokenizer.

Two things are told apart: text in the Latin alphabet with its spaces, digits and marks
("latin"), where all tokenizers are much alike, and everything else ("other"), where they differ
by a factor of three. Each has a weight by class of character, rather too high than too low, and
a ratio for each model that the database learns from the usage which providers report
(`private.calibrate`). So a model that was only ever spoken to in English is not taken to be good
at Japanese.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.json_values import clamped

TOKENS_PER_MESSAGE = 4
"""What chat templates add to each message."""
LEAST_RATIO, MOST_RATIO = 0.5, 2.0
"""Of real tokens to estimated ones, whatever providers say."""

# By first byte of a character in UTF-8; bytes that continue one weigh nothing. Measured against
# a tokenizer with a small vocabulary (SmolLM2's, 49,000): at most twice this.
_LETTER = 1 / 3
_WEIGHTS: tuple[tuple[Iterable[int], float], ...] = (
    (range(0x00, 0x20), 1.0),  # a line break is a token with many
    (range(0x20, 0x80), _LETTER),
    (b"0123456789", 1.0),  # many take digits one by one
    (b'!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~', 2 / 3),  # often joined, such as `."`
    (range(0xC2, 0xCB), 2 / 3),  # Latin letters with marks: they break words
    (range(0xCB, 0xD0), 1.0),  # Greek
    (range(0xD0, 0xD4), 2 / 3),  # Cyrillic
    (range(0xD4, 0xE0), 1.0),  # Armenian, Hebrew, Arabic
    (range(0xE0, 0xE2), 1.75),  # India, Thai, Georgian: bytes with older models
    (b"\xe2", 1.0),  # typographic marks and symbols
    (b"\xe3", 1.25),  # Kana
    (range(0xE4, 0xEA), 1.5),  # Han: about one token with newer models, two with older ones
    (range(0xEA, 0xEF), 2.0),  # Hangul
    (b"\xef", 1.25),  # full-width marks
    (range(0xF0, 0xF5), 3.0),  # emoji: two or three tokens, four bytes with older models
)


def _classes() -> list[tuple[bool, float, bytes]]:
    """(latin?, weight, all bytes that are not of the class)."""
    weights = {byte: weight for range_, weight in _WEIGHTS for byte in range_}
    latin = {byte for byte in weights if byte < 0xCB or byte == 0xE2}
    kinds = sorted({(byte in latin, weight) for byte, weight in weights.items()})
    return [
        (is_latin, weight, bytes(set(range(256)) - {
            byte for byte, own in weights.items() if (byte in latin, own) == (is_latin, weight)
        }))
        for is_latin, weight in kinds
    ]  # fmt: skip


_CLASSES = _classes()
_ASCII_MORE = [
    (weight - _LETTER, others)
    for _, weight, others in _CLASSES
    if weight > _LETTER and bytes(range(0x80)).translate(None, others)
]
"""What the other ASCII characters weigh more than letters."""
_ASCII_LETTERS = bytes(range(0x80)).translate(
    None, b"".join(bytes(set(range(0x80)) - set(others)) for _, others in _ASCII_MORE)
)
"""Those that weigh no more: most of a text, so they are taken out first."""


@dataclass(frozen=True)
class Estimate:
    """Tokens of a text before any calibration, by kind of script."""

    latin: float = 0.0
    other: float = 0.0

    def to_json(self) -> dict[str, float]:
        """As `private.calibrate` takes it."""
        return {"latin": self.latin, "other": self.other}

    def __add__(self, more: "Estimate") -> "Estimate":
        return Estimate(self.latin + more.latin, self.other + more.other)


def estimate(text: str) -> Estimate:
    """About 2 ms for 200 kB: each class is counted by deleting all other bytes."""
    return Estimate(*_estimate(text))


def _estimate(text: str) -> tuple[float, float]:
    if text.isascii():
        data = text.encode()
        rest = data.translate(None, _ASCII_LETTERS)
        more = sum([more * len(rest.translate(None, others)) for more, others in _ASCII_MORE])
        return len(data) * _LETTER + more, 0.0
    # Lone surrogates have no UTF-8; here they are only counted.
    data = text.encode(errors="surrogatepass")
    sums = [0.0, 0.0]
    for is_latin, weight, others in _CLASSES:
        sums[is_latin] += weight * len(data.translate(None, others))
    return sums[True], sums[False]


def estimate_messages(contents: Sequence[str]) -> Estimate:
    """The same of a whole prompt."""
    return estimate("".join(contents)) + Estimate(latin=TOKENS_PER_MESSAGE * len(contents))


@dataclass(frozen=True)
class Tokens:
    """Counts tokens for one model: the estimate times what was learnt of the model."""

    latin: float = 1.0
    other: float = 1.0

    @classmethod
    def from_ratios(cls, ratios: Mapping[str, Any]) -> "Tokens":
        """From what the database has of a model: {"latin": ratio, "other": ratio}, or less."""
        return cls(_ratio(ratios.get("latin")), _ratio(ratios.get("other")))

    def count(self, text: str) -> int:
        """The text's tokens, rather too many than too few. Never less for a longer text."""
        latin, other = _estimate(text)
        # Sums of thirds: what is a whole number but for its last digits stays one.
        return math.ceil(latin * self.latin + other * self.other - 1e-6)

    def total(self, estimated: Estimate) -> int:
        """The tokens of what was estimated before."""
        return math.ceil(estimated.latin * self.latin + estimated.other * self.other)

    def beginning(self, text: str, tokens: int) -> str:
        """As much of the text as has at most so many tokens."""
        if self.count(text) <= tokens:
            return text
        lengths = range(len(text))
        return text[: max(bisect_right(lengths, tokens, key=lambda n: self.count(text[:n])) - 1, 0)]

    def end(self, text: str, tokens: int) -> str:
        """The same from the text's end."""
        return self.beginning(text[::-1], tokens)[::-1]

    def both_ends(self, text: str, tokens: int) -> tuple[str, str, str] | None:
        """Beginning, gap and end of a text that has more than so many tokens; else None."""
        if self.count(text) <= tokens:
            return None
        half = (tokens - self.count(_GAP)) // 2
        return self.beginning(text, half).rstrip(), _GAP, self.end(text, half).lstrip()


UNCALIBRATED = Tokens()
"""For a model that nothing is known of."""
_GAP = " [...] "


def _ratio(value: object) -> float:
    ratio = clamped(value, LEAST_RATIO, MOST_RATIO)
    return 1.0 if ratio is None else ratio
