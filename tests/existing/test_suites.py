"""A part of the suites runs on adopted databases too, each test in one of their two states.

`make test-existing` runs the whole suites in both.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.postgres import ROOT

LONGEST = 600
"""Seconds. A half of the part takes about one minute on a machine that is not busy."""
HALVES = {"january": "first", "april": "second"}


def test_the_marked_part_of_the_suites_passes(state: str) -> None:
    command = [sys.executable, "-m", "pytest", *_marked_files(), "-q", "-p", "no:cacheprovider"]
    command += ["-m", "installations", "--installation", state, "--half", HALVES[state]]
    run = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if run.returncode != pytest.ExitCode.OK:
        pytest.fail(f"{run.stdout}\n{run.stderr}", pytrace=False)
    assert " passed" in run.stdout


def _marked_files() -> list[str]:
    """Those with the mark: pytest would need seconds to load the others."""
    files = sorted((ROOT / "tests" / "integration").glob("test_*.py"))
    return [str(file) for file in files if "mark.installations" in file.read_text()]
