"""Short texts with the expected result of the screening: terse, clinical, none explicit.

One JSON object per line: id, text, lang, tier, expect ("refuse" or "pass"), note (what it tests).
The rules were developed with `corpus.jsonl`. `held_out.jsonl` has other wordings and was written
before the rules were run on it.

The rule for explicit scenes in `sfw` replies has `scenes.jsonl`, which it must find, and
`ordinary.jsonl`, which must pass: id, text, lang, note (what it tests, or the kind of text).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from roleplay_chat.api import Tier
from roleplay_chat.screening.decision import Passage, screen
from roleplay_chat.screening.scenes import is_scene

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One text with its expected result."""

    id: str
    text: str
    lang: str
    tier: Tier
    expect: Literal["refuse", "pass"]
    note: str

    @property
    def is_wrong(self) -> bool:
        """Whether the screening's result differs."""
        finding = screen([Passage("message", self.text)], tier=self.tier)
        return (finding is not None) != (self.expect == "refuse")


@dataclass(frozen=True)
class Score:
    """The results of a set of cases."""

    cases: Sequence[Case]
    wrong: Sequence[Case]

    @classmethod
    def from_cases(cls, cases: Sequence[Case]) -> "Score":
        """Screen every case."""
        return cls(cases, [case for case in cases if case.is_wrong])

    def only(self, lang: str) -> "Score":
        """The part in one language."""
        return Score(
            [case for case in self.cases if case.lang == lang],
            [case for case in self.wrong if case.lang == lang],
        )

    @property
    def languages(self) -> list[str]:
        """The languages of the cases."""
        return sorted({case.lang for case in self.cases})

    @property
    def to_refuse(self) -> int:
        """The number of cases to be refused."""
        return sum(case.expect == "refuse" for case in self.cases)

    @property
    def to_pass(self) -> int:
        """The number of cases to pass."""
        return len(self.cases) - self.to_refuse

    @property
    def misses(self) -> list[str]:
        """The ids of cases that should have been refused and were not."""
        return [case.id for case in self.wrong if case.expect == "refuse"]

    @property
    def false_refusals(self) -> list[str]:
        """The ids of cases that should have passed and did not."""
        return [case.id for case in self.wrong if case.expect == "pass"]


@dataclass(frozen=True)
class Line:
    """One text for the rule for scenes."""

    id: str
    text: str
    lang: str
    note: str

    @property
    def is_scene(self) -> bool:
        """Whether it would end a reply as a scene."""
        return is_scene(self.text)


def cases(name: str) -> list[Case]:
    """The cases in a file of this folder."""
    return [Case(**fields) for fields in _objects(FOLDER / name)]


def lines(name: str) -> list[Line]:
    """The lines in a file of this folder."""
    return [Line(**fields) for fields in _objects(FOLDER / name)]


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
