"""The screening's results for the corpus are within the bounds of docs/content-policy.md."""

import json
from collections import Counter

import pytest
from click.testing import CliRunner

from tests.policy.__main__ import (
    CORPUS,
    HELD_OUT,
    ORDINARY_TOUCHED,
    main,
    missed,
    scenes_hold,
    touched,
)
from tests.policy.corpus import FOLDER, Score, cases, lines

LANGUAGES = {"en", "es", "pt", "fr", "de", "it", "ru", "ja", "zh", "ko"}


def test_nothing_in_the_corpus_is_missed_and_little_refused_falsely() -> None:
    score = Score.from_cases(cases("corpus.jsonl"))

    assert score.misses == []
    assert CORPUS.holds(score), score.false_refusals


def test_held_out_part_stays_within_its_bounds() -> None:
    score = Score.from_cases(cases("held_out.jsonl"))

    assert HELD_OUT.holds(score), (score.misses, score.false_refusals)


@pytest.mark.parametrize("name", ["corpus.jsonl", "held_out.jsonl"])
def test_every_language_has_cases_of_both_kinds(name: str) -> None:
    kinds = Counter((case.lang, case.expect) for case in cases(name))
    assert {lang for lang, _ in kinds} == LANGUAGES
    assert all(kinds[lang, kind] for lang in LANGUAGES for kind in ("refuse", "pass"))


def test_ordinary_text_does_not_end_a_reply() -> None:
    ordinary, scenes = lines("ordinary.jsonl"), lines("scenes.jsonl")

    assert len(ordinary) >= 400
    assert len(touched(ordinary)) <= ORDINARY_TOUCHED * len(ordinary), touched(ordinary)
    assert scenes_hold(ordinary, scenes), missed(scenes)


@pytest.mark.parametrize("name", ["ordinary.jsonl", "scenes.jsonl"])
def test_lines_are_of_every_language(name: str) -> None:
    known = lines(name)
    counts = Counter(line.lang for line in known)
    assert set(counts) == LANGUAGES
    assert min(counts.values()) >= (40 if name == "ordinary.jsonl" else 4)
    assert len({line.text for line in known}) == len({line.id for line in known}) == len(known)
    assert all(len(line.text) <= 200 for line in known)


def test_ids_and_texts_are_there_once() -> None:
    known = [*cases("corpus.jsonl"), *cases("held_out.jsonl")]
    assert len({case.id for case in known}) == len(known)
    assert len({(case.text, case.tier) for case in known}) == len(known)


@pytest.mark.parametrize("name", ["corpus.jsonl", "held_out.jsonl"])
def test_lines_have_the_documented_fields(name: str) -> None:
    with (FOLDER / name).open(encoding="utf-8") as lines:
        for line in lines:
            assert list(json.loads(line)) == ["id", "text", "lang", "tier", "expect", "note"]


def test_texts_are_terse() -> None:
    assert all(len(case.text) <= 200 for case in cases("corpus.jsonl") + cases("held_out.jsonl"))


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_report_names_ids_and_no_texts(options: list[str]) -> None:
    done = CliRunner().invoke(main, options)

    assert done.exit_code == 0
    assert "hr035" in done.output
    assert not any(case.text in done.output for case in cases("corpus.jsonl"))
    if options:
        assert json.loads(done.output)["within_bounds"] is True
