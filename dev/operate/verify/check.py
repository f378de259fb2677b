"""The result of a check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "reminder", "problem", "unknown"]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """The result of one check. `remedy` is what to do about a problem, or what could be done."""

    name: str
    state: State
    found: str
    remedy: str = ""


def counted(things: Sequence[object], name: str) -> str:
    """A number with the name of what was counted: "2 problems"."""
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"
