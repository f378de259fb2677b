"""All results of a report, and their file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bench.memory.book import Cost
from bench.memory.locomo import Found
from bench.memory.prefix import Beginnings
from bench.memory.world import Life


@dataclass
class Results:
    """The results by context; parts that were not measured are empty."""

    commit: str = ""
    prefix: dict[int, Beginnings] = field(default_factory=dict)
    book: dict[str, dict[int, Cost]] = field(default_factory=dict)
    """By the position of its entries, then by context."""
    world: dict[str, dict[int, Life]] = field(default_factory=dict)
    locomo: dict[int, Found] = field(default_factory=dict)
    noted: dict[int, Found] = field(default_factory=dict)
    """The same questions, after notes were taken of the conversation."""


_JSON = TypeAdapter(Results)


def read(path: Path) -> Results:
    """The results of a file."""
    return _JSON.validate_json(path.read_text())


def to_json(results: Results) -> Any:
    """The results as JSON has them."""
    return _JSON.dump_python(results, mode="json")


def write(results: Results, path: Path) -> None:
    """Write the results to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_JSON.dump_json(results, indent=1).decode() + "\n")
