"""Set-up installs the project, and no other code changes the import path."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.postgres import ROOT

MODULES = ["edge.settings", "roleplay_chat.app", "health_check.app", "dev.build"]
EDIT = re.compile(r"sys\.path(\.append|\.insert|\.extend| *\+=)")


def test_packages_are_found_from_any_folder(tmp_path: Path) -> None:
    program = "import importlib, json, sys; print(json.dumps([importlib.import_module(name)"
    program += ".__file__ for name in sys.argv[1:]]))"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", program, *MODULES]
    found = json.loads(subprocess.check_output(command, cwd=tmp_path, env=env))
    strange = [path for path in found if not Path(path).is_relative_to(ROOT)]
    assert strange == [], "the .venv is another working copy's: `make` sets up one of its own"


def test_wheel_holds_the_packages_and_nothing_of_the_tests(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.replace(".", "/") + ".py" for name in MODULES} <= set(names)
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "dev",
        "edge",
        "health_check",
        "roleplay_chat",
    }


def test_nobody_edits_the_path() -> None:
    folders = [ROOT / name for name in ("bench", "dev", "functions", "tests")]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(files) > 100
    assert [str(path) for path in files if EDIT.search(path.read_text())] == []
