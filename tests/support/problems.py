"""The numbers of a long run, and its problems by kind."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

KINDS = ("lost", "doubled", "foreign")
"""A problem is a sentence that starts with its kind, if it is one of these."""
NAME = 22
"""Columns of a number's name."""


def tally(problems: Iterable[str]) -> str:
    """The number of problems of each kind: "0 lost, 0 doubled, 0 foreign", and others if any."""
    found = Counter(next(filter(problem.startswith, KINDS), "other") for problem in problems)
    kinds = KINDS if not found["other"] else (*KINDS, "other")
    return ", ".join(f"{found[kind]} {kind}" for kind in kinds)


def counts(found: Mapping[str, int]) -> str:
    """How many there are of each: "38 complete, 2 failed", by name."""
    return ", ".join(f"{number} {name}" for name, number in sorted(found.items()))


def shares(instances: Mapping[Any, int], moved: int) -> str:
    """How requests were spread over instances."""
    each = ", ".join(str(number) for _, number in sorted(instances.items()))
    return f"{len(instances)}, with {each} requests; {moved} repeated at another one"


def table(rows: Iterable[tuple[str, str]], problems: Iterable[str]) -> str:
    """A line for each number, with its name before it, and for each problem; at most 80 columns."""
    named = [
        textwrap.fill(value, 80, initial_indent=f"{name:<{NAME}}", subsequent_indent=" " * NAME)
        for name, value in rows
    ]
    told = [
        textwrap.fill(problem, 80, initial_indent="  ", subsequent_indent="    ")
        for problem in problems
    ]
    return "\n".join([*named, *told])


def by_name(numbers: Any) -> dict[str, Any]:
    """The fields of a dataclass. Unlike `dataclasses.asdict`, it leaves a Counter as it is."""
    return {each.name: getattr(numbers, each.name) for each in fields(numbers)}
