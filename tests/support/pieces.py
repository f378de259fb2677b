"""A text in pieces, as models stream it."""

from __future__ import annotations

from collections.abc import Callable

MOST_CUTS = 200
SIZES = (1, 2, 3, 5, 7, 11, 64)


def every_way(text: str) -> list[list[str]]:
    """The text whole, in pieces of several sizes, and in two parts, cut at each place, or at some
    hundred of a long text."""
    step = len(text) // MOST_CUTS + 1
    return [
        [text],
        *([text[at : at + size] for at in range(0, len(text), size)] for size in SIZES),
        *([text[:at], text[at:]] for at in range(1, len(text), step)),
    ]


def shown_in_any_pieces(show: Callable[[list[str]], str], text: str) -> str:
    """What is shown of a text, which must be the same in any pieces."""
    shown = {show(pieces) for pieces in every_way(text)}
    assert len(shown) == 1, shown
    return shown.pop()
