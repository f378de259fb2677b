"""A part of the suites runs on adopted databases too; `make test-existing` runs all of it there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.postgres import ROOT

LONGEST = 600
"""Seconds. The part takes about one minute on a machine that is not busy."""


def test_the_marked_part_of_the_suites_passes(state: str) -> None:
    command = [sys.executable, "-m", "pytest", "tests/integration", "-m", "installations"]
    run = subprocess.run(
        [*command, "--installation", state, "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if run.returncode != pytest.ExitCode.OK:
        pytest.fail(f"{run.stdout}\n{run.stderr}", pytrace=False)
    assert " passed" in run.stdout
