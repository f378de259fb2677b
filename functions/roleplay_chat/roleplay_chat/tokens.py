"""Estimates how many tokens a text has, without the model's tokenizer.

Characters are counted by class with a weight each, too high rather than too low. Latin text with
its spaces, digits and punctuation ("latin"), where tokenizers are similar, is counted separately
from everything else ("other"), where they differ by a factor of three. For each model, the database
learns a ratio for both from the usage that providers report (`private.calibrate`). So a model that
has only been used in English is not assumed to be efficient in Japanese.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from edge.json_values import clamped

TOKENS_PER_MESSAGE = 4
"""The tokens that chat templates add to each message."""
MIN_RATIO, MAX_RATIO = 0.5, 2.0
"""Bounds for the ratio of real to estimated tokens, whatever providers report."""

# By the first byte of a character in UTF-8; continuation bytes weigh nothing. A tokenizer with a
# small vocabulary (SmolLM2's, 49,000) was measured at up to twice these weights.
_LETTER = 1 / 3
_WEIGHTS: tuple[tuple[Iterable[int], float], ...] = (
    (range(0x00, 0x20), 1.0),  # many tokenizers have a token for a line break
    (range(0x20, 0x80), _LETTER),
    (b"0123456789", 1.0),  # many tokenizers split numbers into digits
    (b'!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~', 2 / 3),  # often joined, such as `."`
    (range(0xC2, 0xCB), 2 / 3),  # Latin letters with diacritics: they split words
    (range(0xCB, 0xD0), 1.0),  # Greek
    (range(0xD0, 0xD4), 2 / 3),  # Cyrillic
    (range(0xD4, 0xE0), 1.0),  # Armenian, Hebrew, Arabic
    (range(0xE0, 0xE2), 1.75),  # Indic, Thai, Georgian: single bytes in older tokenizers
    (b"\xe2", 1.0),  # typographic marks and symbols
    (b"\xe3", 1.25),  # Kana
    (range(0xE4, 0xEA), 1.5),  # Han: about one token in newer tokenizers, two in older ones
    (range(0xEA, 0xEF), 2.0),  # Hangul
    (b"\xef", 1.25),  # full-width marks
    (range(0xF0, 0xF5), 3.0),  # emoji: two or three tokens, four bytes in older tokenizers
)


def _classes() -> list[tuple[bool, float, bytes]]:
    """The classes as (is latin, weight, all bytes outside the class)."""
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
"""The extra weight of ASCII characters other than letters, and all bytes outside each class."""
_ASCII_LETTERS = bytes(range(0x80)).translate(
    None, b"".join(bytes(set(range(0x80)) - set(others)) for _, others in _ASCII_MORE)
)
"""The ASCII characters without extra weight: most of a text, so they are deleted first."""


class Estimate(Struct, frozen=True):
    """Uncalibrated tokens of a text, by script."""

    latin: float = 0.0
    other: float = 0.0

    def to_json(self) -> dict[str, float]:
        """The estimate in the format of `private.calibrate`."""
        return {"latin": self.latin, "other": self.other}

    def __add__(self, more: "Estimate") -> "Estimate":
        return Estimate(self.latin + more.latin, self.other + more.other)


def estimate(text: str) -> Estimate:
    """Estimate a text. Counts each class by deleting all other bytes: about 2 ms for 200 kB."""
    return Estimate(*_estimate(text))


def _estimate(text: str) -> tuple[float, float]:
    if text.isascii():
        data = text.encode()
        rest = data.translate(None, _ASCII_LETTERS)
        more = sum([more * len(rest.translate(None, others)) for more, others in _ASCII_MORE])
        return len(data) * _LETTER + more, 0.0
    # Lone surrogates cannot be encoded as UTF-8, but are only counted here.
    data = text.encode(errors="surrogatepass")
    sums = [0.0, 0.0]
    for is_latin, weight, others in _CLASSES:
        sums[is_latin] += weight * len(data.translate(None, others))
    return sums[True], sums[False]


def estimate_messages(contents: Sequence[str]) -> Estimate:
    """Estimate a whole prompt."""
    return estimate("".join(contents)) + Estimate(latin=TOKENS_PER_MESSAGE * len(contents))


class Tokens(Struct, frozen=True):
    """Counts tokens for one model: the estimate times the model's ratios."""

    latin: float = 1.0
    other: float = 1.0

    @classmethod
    def from_ratios(cls, ratios: Mapping[str, Any]) -> "Tokens":
        """From a model's row: {"latin": ratio, "other": ratio}; either may be missing."""
        return cls(_ratio(ratios.get("latin")), _ratio(ratios.get("other")))

    def count(self, text: str) -> int:
        """The tokens of a text, too many rather than too few. Monotonic in the text's length."""
        latin, other = _estimate(text)
        # Without the tolerance, rounding errors in sums of thirds would add a token.
        return math.ceil(latin * self.latin + other * self.other - 1e-6)

    def message_cost(self, text: str) -> int:
        """The tokens of a message with this text, with those that chat templates add."""
        return self.count(text) + TOKENS_PER_MESSAGE

    def total(self, estimated: Estimate) -> int:
        """The tokens of an estimate."""
        return math.ceil(estimated.latin * self.latin + estimated.other * self.other)

    def beginning(self, text: str, tokens: int) -> str:
        """The longest beginning of the text with at most `tokens` tokens."""
        if self.count(text) <= tokens:
            return text
        lengths = range(len(text))
        return text[: max(bisect_right(lengths, tokens, key=lambda n: self.count(text[:n])) - 1, 0)]

    def end(self, text: str, tokens: int) -> str:
        """The longest end of the text with at most `tokens` tokens."""
        return self.beginning(text[::-1], tokens)[::-1]

    def both_ends(self, text: str, tokens: int) -> tuple[str, str, str] | None:
        """Beginning, gap and end of a text with more than `tokens` tokens; None if it fits."""
        if self.count(text) <= tokens:
            return None
        half = (tokens - self.count(_GAP)) // 2
        return self.beginning(text, half).rstrip(), _GAP, self.end(text, half).lstrip()


UNCALIBRATED = Tokens()
"""For a model without calibration."""
_GAP = " [...] "


def _ratio(value: object) -> float:
    ratio = clamped(value, MIN_RATIO, MAX_RATIO)
    return 1.0 if ratio is None else ratio
