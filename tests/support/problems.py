"""What went wrong in a long run, counted by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

KINDS = ("lost", "doubled", "foreign")
"""A problem is a sentence; of these, it begins with the kind."""


def tally(problems: Iterable[str]) -> str:
    """How many there are of each kind: "0 lost, 0 doubled, 0 foreign", and others if any."""
    found = Counter(next(filter(problem.startswith, KINDS), "other") for problem in problems)
    kinds = KINDS if not found["other"] else (*KINDS, "other")
    return ", ".join(f"{found[kind]} {kind}" for kind in kinds)
