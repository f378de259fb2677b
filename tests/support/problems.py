"""The numbers of a long run, and its problems by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

KINDS = ("lost", "doubled", "foreign")
"""A problem is a sentence that starts with its kind, if it is one of these."""


def tally(problems: Iterable[str]) -> str:
    """The number of problems of each kind: "0 lost, 0 doubled, 0 foreign", and others if any."""
    found = Counter(next(filter(problem.startswith, KINDS), "other") for problem in problems)
    kinds = KINDS if not found["other"] else (*KINDS, "other")
    return ", ".join(f"{found[kind]} {kind}" for kind in kinds)


def by_name(numbers: Any) -> dict[str, Any]:
    """The fields of a dataclass. Unlike `dataclasses.asdict`, it leaves a Counter as it is."""
    return {each.name: getattr(numbers, each.name) for each in fields(numbers)}
