"""Counts the work of a function instead of timing it: the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

_FROM_A_PLACE = {"find", "rfind", "startswith", "endswith"}
"""Methods of a text that do not read all of it."""
_OF_ITS_LENGTH = {"pop", "insert", "index", "remove", "reverse", "sort", "copy", "count"}
"""Methods of a list that may read all of it."""


def work(function: Callable[..., object], *arguments: object) -> int:
    """Executed lines, plus the lengths that built-in methods of texts and lists read."""
    done = 0

    def count_lines(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal done
        done += event == "line"
        return count_lines

    def count_calls(frame: FrameType, event: str, called: Any) -> None:
        nonlocal done
        if event == "c_call":
            owner = getattr(called, "__self__", None)
            name = getattr(called, "__name__", "")
            if (isinstance(owner, str | bytes) and name not in _FROM_A_PLACE) or (
                isinstance(owner, list) and name in _OF_ITS_LENGTH
            ):
                done += len(owner)

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(count_lines)
    sys.setprofile(count_calls)
    try:
        function(*arguments)
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return done


def is_linear(
    function: Callable[[Any], object], make: Callable[[int], object], n: int, most: float = 15
) -> bool:
    """Whether ten times the input takes at most `most` times the work, after a warm-up."""
    function(make(10 * n))
    return work(function, make(10 * n)) < most * work(function, make(n))
