"""Patterns that are compiled when they are first used.

Compiling one takes up to milliseconds, and an instance's first turn would wait for all of them.
"""

import re
from typing import Any, cast

_METHODS = ("search", "match", "fullmatch", "finditer", "findall", "sub", "split")


def compiled_later(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """As `re.compile`, for a pattern that most turns do not need. Only a pattern's methods work."""
    return cast(re.Pattern[str], _Later(pattern, flags))


class _Later:
    def __init__(self, pattern: str, flags: int) -> None:
        self._given = pattern, flags

    def __getattr__(self, name: str) -> Any:
        """Compile the pattern: called when an attribute is missing, so before the first use."""
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(*self._given)
        vars(self).update({method: getattr(compiled, method) for method in _METHODS})
        return getattr(compiled, name)
