"""The variables of a conversation, which its author's macros set and read."""

import math
from collections.abc import Mapping
from types import MappingProxyType

MAX_VARIABLES = 100
MAX_NAME = 64
MAX_VALUE = 1_000
MAX_CHARS = 10_000
"""The limit for all names and values together."""

FALSE = ("", "0", "false", "off", "no")
"""The texts that count as false, in lower case."""
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


class Variables(dict[str, str]):
    """Values by name. Values beyond the limits are dropped."""

    @classmethod
    def from_json(cls, saved: object) -> "Variables":
        """The saved variables of a conversation; values that are not texts are dropped."""
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

    def operate(self, name: str, sign: str, value: str) -> str:
        """Change or compare a variable with one of SillyTavern's operators. Returns the text to
        show."""
        before = self.read(name)
        if sign in ("++", "--"):
            self.add(name, f"{sign[0]}1")
            return self.read(name)
        if sign in ("=", "+="):
            (self.put if sign == "=" else self.add)(name, value)
        elif sign == "-=":
            if (number := _number(value)) is not None:
                self.add(name, _text(-number))
        elif sign[:2] in ("||", "??"):
            has = name in self if sign[0] == "?" else before.strip().lower() not in FALSE
            if not has and sign[-1] == "=":
                self.put(name, value)
            return before if has else value
        else:
            return "true" if _holds(before, sign, value) else "false"
        return ""

    def add(self, name: str, value: str) -> None:
        """Add a number to a number, or append a text to a text."""
        before = self.read(name)
        terms = _number(before or "0"), _number(value)
        if terms[0] is None or terms[1] is None:
            self.put(name, before + value)
        else:
            self.put(name, _text(terms[0] + terms[1]))


def _holds(left: str, sign: str, right: str) -> bool:
    """Compare two numbers, or two texts for equality."""
    a, b = _number(left), _number(right)
    if a is None or b is None:
        return (left == right) is (sign == "==") if sign in ("==", "!=") else False
    return {
        "==": a == b,
        "!=": a != b,
        "<": a < b,
        ">": a > b,
        "<=": a <= b,
        ">=": a >= b,
    }[sign]


def _number(text: str) -> float | None:
    """A text as a number; None if it is not one, or too large."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e15 else None


def _text(number: float) -> str:
    return str(int(number)) if number.is_integer() else str(round(number, 10))
