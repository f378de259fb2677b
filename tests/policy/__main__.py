"""`make policy-report`: prints misses, false refusals and the speed of the screening.

Fails if a bound of docs/content-policy.md is exceeded. Prints ids, never texts.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from dev.operate.report import Line, Part, Table, show
from dev.options import json_option
from roleplay_chat.screening.decision import Passage, read
from roleplay_chat.screening.rules import detect
from tests.policy.corpus import Case, Score, cases, lines
from tests.policy.corpus import Line as Text

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


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@json_option
def main(*, as_json: bool) -> None:
    """Print misses, false refusals and the speed of the screening. Fails beyond a bound."""
    measured = measure()
    show(report(measured), measured, as_json=as_json)
    sys.exit(0 if measured["within_bounds"] else 1)


def measure() -> dict[str, Any]:
    """What the report tells, as JSON: ids of texts, never the texts."""
    corpus, held_out = (
        Score.from_cases(cases("corpus.jsonl")),
        Score.from_cases(cases("held_out.jsonl")),
    )
    ordinary, scenes = lines("ordinary.jsonl"), lines("scenes.jsonl")
    holds = CORPUS.holds(corpus) and HELD_OUT.holds(held_out) and scenes_hold(ordinary, scenes)
    return {
        "corpus": _score(corpus),
        "held_out": _score(held_out) | {"first_run": FIRST_RUN},
        "scenes": _scenes(ordinary, scenes),
        "speed": dict(_speeds([*corpus.cases, *held_out.cases])),
        "within_bounds": holds,
    }


def _score(score: Score) -> dict[str, Any]:
    parts = {lang: score.only(lang) for lang in score.languages} | {"all": score}
    return {
        "texts": len(score.cases),
        "languages": {
            lang: {
                "to_refuse": part.to_refuse,
                "missed": len(part.misses),
                "to_pass": part.to_pass,
                "refused": len(part.false_refusals),
            }
            for lang, part in parts.items()
        },
        "missed": score.misses,
        "falsely_refused": score.false_refusals,
    }


def report(measured: Mapping[str, Any]) -> Iterator[Part]:
    """The result of `measure` for people."""
    corpus, held_out, scenes = (measured[name] for name in ("corpus", "held_out", "scenes"))
    first = held_out["first_run"]
    for found, title in (
        (corpus, f"Corpus, {corpus['texts']} texts"),
        (held_out, f"Held out, {held_out['texts']} texts (first run: {first})"),
        (scenes, f"Explicit scenes in the tier for everybody ({SCENES_FIRST_RUN})"),
    ):
        headings = [heading.replace("_", " ") for heading in found["languages"]["all"]]
        rows = [[lang, *map(str, row.values())] for lang, row in found["languages"].items()]
        yield Table(["language", *headings], rows, title, right=headings)
        for name in ("missed", "falsely_refused", "touched"):
            if found.get(name):
                yield Line(f"{name.replace('_', ' ').capitalize()}: {' '.join(found[name])}")
                yield Line("")
    rows = [
        [text, f"{ms:.1f}", f"{LONG_PROMPT_CHARS / ms:,.0f}"]
        for text, ms in measured["speed"].items()
    ]
    title = f"Speed, {LONG_PROMPT_CHARS:,} characters, best of {RUNS}"
    yield Table(["text", "ms", "characters a ms"], rows, title, right=["ms", "characters a ms"])
    yield Line("Within the bounds." if measured["within_bounds"] else "BEYOND THE BOUNDS.")


def scenes_hold(ordinary: Sequence[Text], scenes: Sequence[Text]) -> bool:
    """Whether the rule for scenes is within its bounds."""
    return len(touched(ordinary)) <= ORDINARY_TOUCHED * len(ordinary) and len(
        missed(scenes)
    ) <= SCENES_MISSED * len(scenes)


def touched(ordinary: Sequence[Text]) -> list[str]:
    """The ids of ordinary texts that count as scenes."""
    return [line.id for line in ordinary if line.is_scene]


def missed(scenes: Sequence[Text]) -> list[str]:
    """The ids of scenes that are not found."""
    return [line.id for line in scenes if not line.is_scene]


def _scenes(ordinary: Sequence[Text], scenes: Sequence[Text]) -> dict[str, Any]:
    languages = {}
    for lang in [*sorted({line.lang for line in ordinary}), "all"]:
        harmless = [line for line in ordinary if lang in (line.lang, "all")]
        told = [line for line in scenes if lang in (line.lang, "all")]
        languages[lang] = {
            "scenes": len(told),
            "missed": len(missed(told)),
            "ordinary": len(harmless),
            "explicit": sum(detect(line.text).explicit for line in harmless),
            "touched": len(touched(harmless)),
        }
    return {"languages": languages, "missed": missed(scenes), "touched": touched(ordinary)}


def _speeds(known: Sequence[Case]) -> Iterator[tuple[str, float]]:
    """The milliseconds that a long text takes."""
    benign = [case for case in known if case.expect == "pass"]
    english = " ".join(case.text for case in benign if case.lang == "en")
    texts = (
        ("English", english),
        ("ten languages", " ".join(case.text for case in benign)),
        ("nothing but ages", "12 years "),
    )
    for name, text in texts:
        repeated = text * (LONG_PROMPT_CHARS // len(text) + 1)
        passage = Passage("history", repeated[:LONG_PROMPT_CHARS])
        yield name, min(_milliseconds(passage) for _ in range(RUNS))


def _milliseconds(passage: Passage) -> float:
    started = time.process_time()
    read([passage])
    return (time.process_time() - started) * 1000


if __name__ == "__main__":
    main(prog_name="make policy-report")
