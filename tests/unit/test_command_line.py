"""What commands say about arguments that are missing or wrong: in make's names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.postgres import ROOT
from tests.support.working_copy import SETUP_IS_DONE


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs make without a project or a stack."""
    env = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["make", "--no-print-directory", *SETUP_IS_DONE, *arguments],  # noqa: S607
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("given", [None, "", " "])
@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("import-card", "FILE"),
        ("restore", "FILE"),
        ("add-server", "URL"),
        ("worker", "NAME"),
        ("admin", "EMAIL"),
        ("verify-age", "EMAIL"),
    ],
)
def test_missing_argument_is_named(
    tmp_path: Path, target: str, name: str, given: str | None
) -> None:
    done = make(tmp_path, target, *([] if given is None else [f"{name}={given}"]))
    assert done.returncode == 2
    assert done.stderr.startswith(f"Add {name}=... to the command.\nmake: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("import-card", "FILE=no.png"), "FILE: File 'no.png' does not exist."),
        (("import-card", "FILE=it's; $x,y.png"), """FILE: File "it's; $x,y.png" does not exist."""),
        (("usage", "DAYS=many"), "DAYS: 'many' is not a valid integer range."),
        (("worker", "NAME=gpu-1", "DRAIN=maybe"), "DRAIN: 'maybe' is not a valid boolean"),
        (("add-server", "URL=http://a", "CONTEXT=1"), "CONTEXT: 1 is not in the range x>=1024."),
        (("verify-age", "EMAIL=a@b.example", "REMOVE=x"), "REMOVE: 'x' is not a valid boolean"),
    ],
)
def test_wrong_value_is_named(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = make(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert "Usage" not in done.stderr


def test_wrong_option_has_the_usage(tmp_path: Path) -> None:
    done = make(tmp_path, "usage", "ARGS=--many")
    assert done.returncode == 2
    assert "Usage: python -m dev usage" in done.stderr
