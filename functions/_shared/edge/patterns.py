"""Patterns that are compiled when they are first used.

Compiling one takes up to milliseconds, and an instance's first turn would wait for all of them.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

Pattern = TypeVar("Pattern")
_METHODS = ("search", "match", "fullmatch", "finditer", "findall", "sub", "split")


def compiled_later(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """As `re.compile`, for a pattern that most turns do not need. Only a pattern's methods work."""
    return made_later(lambda: re.compile(pattern, flags))


def made_later(make: Callable[[], Pattern]) -> Pattern:
    """As `compiled_later`, for a pattern that `make` compiles, such as one of another library."""
    return cast(Pattern, _Later(make))


class _Later:
    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        """Compile the pattern: called when an attribute is missing, so before the first use."""
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = self._make()
        vars(self).update({method: getattr(compiled, method) for method in _METHODS})
        return getattr(compiled, name)
