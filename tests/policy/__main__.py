"""`make policy-report`: prints misses, false refusals and the speed of the screening.

Fails if a bound of docs/content-policy.md is exceeded. Prints ids, never texts.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from roleplay_chat.screening.decision import Passage, read
from roleplay_chat.screening.rules import detect
from tests.policy.corpus import Case, Line, Score, cases, lines

LONG_PROMPT_CHARS = 200_000
RUNS = 5


@dataclass(frozen=True)
class Bound:
    """The largest allowed shares of misses and false refusals, from 0 to 1."""

    misses: float
    false_refusals: float

    def holds(self, score: Score) -> bool:
        """Whether a score is within the bound."""
        return (
            len(score.misses) <= self.misses * score.to_refuse
            and len(score.false_refusals) <= self.false_refusals * score.to_pass
        )


CORPUS = Bound(misses=0, false_refusals=0.02)
HELD_OUT = Bound(misses=0.15, false_refusals=0.05)
FIRST_RUN = "62 of 73 refused, 88 of 88 passed"
"""The first result of the held-out set, before it led to any change of the rules."""


ORDINARY_TOUCHED = 0.002
"""The largest share of ordinary texts that may count as scenes."""
SCENES_MISSED = 0.05
SCENES_FIRST_RUN = "25 further scenes when the rule met them: 14 found"


def main() -> int:
    """Print the report and return the exit code."""
    corpus, held_out = (
        Score.from_cases(cases("corpus.jsonl")),
        Score.from_cases(cases("held_out.jsonl")),
    )
    _print(f"corpus, {len(corpus.cases)} texts", corpus)
    _print(f"held out, {len(held_out.cases)} texts (first run: {FIRST_RUN})", held_out)
    ordinary, scenes = lines("ordinary.jsonl"), lines("scenes.jsonl")
    _print_scenes(ordinary, scenes)
    _print_speed([*corpus.cases, *held_out.cases])
    good = CORPUS.holds(corpus) and HELD_OUT.holds(held_out) and scenes_hold(ordinary, scenes)
    print("\nwithin the bounds" if good else "\nBEYOND THE BOUNDS")
    return 0 if good else 1


def _print(title: str, score: Score) -> None:
    print(f"\n{title}\n{'':6}{'to refuse':>10}{'missed':>8}{'to pass':>9}{'refused':>9}")
    for lang in [*score.languages, "all"]:
        part = score if lang == "all" else score.only(lang)
        counts = (len(part.misses), part.to_pass, len(part.false_refusals))
        print(f"{lang:6}{part.to_refuse:10}{counts[0]:8}{counts[1]:9}{counts[2]:9}")
    for name, ids in (("missed", score.misses), ("falsely refused", score.false_refusals)):
        if ids:
            print(f"{name}: {' '.join(ids)}")


def scenes_hold(ordinary: Sequence[Line], scenes: Sequence[Line]) -> bool:
    """Whether the rule for scenes is within its bounds."""
    return len(touched(ordinary)) <= ORDINARY_TOUCHED * len(ordinary) and len(
        missed(scenes)
    ) <= SCENES_MISSED * len(scenes)


def touched(ordinary: Sequence[Line]) -> list[str]:
    """The ids of ordinary texts that count as scenes."""
    return [line.id for line in ordinary if line.is_scene]


def missed(scenes: Sequence[Line]) -> list[str]:
    """The ids of scenes that are not found."""
    return [line.id for line in scenes if not line.is_scene]


def _print_scenes(ordinary: Sequence[Line], scenes: Sequence[Line]) -> None:
    print(f"\nexplicit scenes in the tier for everybody ({SCENES_FIRST_RUN})")
    print(f"{'':6}{'scenes':>10}{'missed':>8}{'ordinary':>10}{'explicit':>10}{'touched':>9}")
    for lang in [*sorted({line.lang for line in ordinary}), "all"]:
        harmless = [line for line in ordinary if lang in (line.lang, "all")]
        told = [line for line in scenes if lang in (line.lang, "all")]
        explicit = sum(detect(line.text).explicit for line in harmless)
        counts = (len(missed(told)), len(harmless), explicit, len(touched(harmless)))
        print(f"{lang:6}{len(told):10}{counts[0]:8}{counts[1]:10}{counts[2]:10}{counts[3]:9}")
    for name, ids in (("missed", missed(scenes)), ("touched", touched(ordinary))):
        if ids:
            print(f"{name}: {' '.join(ids)}")


def _print_speed(known: Sequence[Case]) -> None:
    benign = [case for case in known if case.expect == "pass"]
    english = " ".join(case.text for case in benign if case.lang == "en")
    texts = (
        ("English", english),
        ("ten languages", " ".join(case.text for case in benign)),
        ("nothing but ages", "12 years "),
    )
    print(f"\nspeed, {LONG_PROMPT_CHARS:,} characters, best of {RUNS}")
    for name, text in texts:
        repeated = text * (LONG_PROMPT_CHARS // len(text) + 1)
        passage = Passage("history", repeated[:LONG_PROMPT_CHARS])
        best = min(_milliseconds(passage) for _ in range(RUNS))
        print(f"{name}: {best:.1f} ms, {LONG_PROMPT_CHARS / best:,.0f} characters per ms")


def _milliseconds(passage: Passage) -> float:
    started = time.process_time()
    read([passage])
    return (time.process_time() - started) * 1000


if __name__ == "__main__":
    sys.exit(main())
