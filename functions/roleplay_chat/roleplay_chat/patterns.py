"""Patterns of `regex` that are compiled when they are first used, as in `edge.patterns`."""

import regex

from edge.patterns import made_later


def regex_compiled_later(pattern: str, flags: int = 0) -> regex.Pattern[str]:
    """As `regex.compile`, for a pattern that most turns do not need. Only its methods work."""
    return made_later(lambda: regex.compile(pattern, flags))
