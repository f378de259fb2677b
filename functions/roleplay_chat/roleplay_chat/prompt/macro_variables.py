"""The variables of a conversation, which its author's macros set and read."""

import math
from collections.abc import Mapping
from types import MappingProxyType

MAX_VARIABLES = 100
MAX_NAME = 64
MAX_VALUE = 1_000
MAX_CHARS = 10_000
"""Of all names and values together."""

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


class Variables(dict[str, str]):
    """Values by name. What is beyond the limits is not kept."""

    @classmethod
    def from_json(cls, saved: object) -> "Variables":
        """What a conversation has saved, as far as it is texts."""
        variables = cls()
        for name, value in saved.items() if isinstance(saved, Mapping) else ():
            if isinstance(name, str) and isinstance(value, str):
                variables.put(name, value)
        return variables

    def put(self, name: str, value: str) -> None:
        """Set a variable; a value that is too long is cut."""
        name, value = name.strip(), value[:MAX_VALUE]
        if not name or len(name) > MAX_NAME:
            return
        changed = {**self, name: value}
        chars = sum(map(len, changed)) + sum(map(len, changed.values()))
        if len(changed) <= MAX_VARIABLES and chars <= MAX_CHARS:
            self[name] = value

    def read(self, name: str) -> str:
        """The value, "" if there is none."""
        return self.get(name.strip(), "")

    def add(self, name: str, value: str) -> None:
        """Add a number to a number, or append a text to a text."""
        before = self.read(name)
        terms = _number(before or "0"), _number(value)
        if terms[0] is None or terms[1] is None:
            self.put(name, before + value)
        else:
            self.put(name, _text(terms[0] + terms[1]))


def _number(text: str) -> float | None:
    """The number that a text is, if it is one of usual size."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e15 else None


def _text(number: float) -> str:
    return str(int(number)) if number.is_integer() else str(round(number, 10))
