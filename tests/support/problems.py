"""Counts the problems of a long run by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

KINDS = ("lost", "doubled", "foreign")
"""A problem is a sentence that starts with its kind, if it is one of these."""


def tally(problems: Iterable[str]) -> str:
    """The number of problems of each kind: "0 lost, 0 doubled, 0 foreign", and others if any."""
    found = Counter(next(filter(problem.startswith, KINDS), "other") for problem in problems)
    kinds = KINDS if not found["other"] else (*KINDS, "other")
    return ", ".join(f"{found[kind]} {kind}" for kind in kinds)
