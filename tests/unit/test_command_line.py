"""What commands say about arguments that are missing or wrong: in make's names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def dev(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = dev(tmp_path / "file", "dev", "status")
    assert done.returncode == 1
    assert done.stderr.startswith(f"LOCAL_DIR: {tmp_path / 'file'} cannot be used (File exists)")


def test_damaged_keys_are_named(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    (tmp_path / "stack.env").write_text("A=b\n")
    done = dev(tmp_path, "dev", "settings")
    assert done.returncode == 1
    assert "keys.json is damaged. Delete it" in done.stderr


@pytest.mark.parametrize("command", ["chat", "import-card"])
def test_damaged_environment_of_the_stack_is_named(tmp_path: Path, command: str) -> None:
    (tmp_path / "stack.env").write_text("A=b\n")
    card = tmp_path / "card.json"
    card.touch()
    arguments = [card] if command == "import-card" else []
    done = dev(tmp_path, "dev", command, *map(str, arguments))
    assert done.returncode == 1
    assert "stack.env has no DEMO_CHARACTER_ID" in done.stderr
    assert "Traceback" not in done.stderr


def test_part_to_deploy_is_asked_for(tmp_path: Path) -> None:
    done = dev(tmp_path, "dev", "deploy")
    assert done.returncode == 2
    assert "roleplay_chat" in done.stderr
    assert "=..." not in done.stderr


def test_failed_adoption_is_json_too(tmp_path: Path) -> None:
    url = "postgresql://postgres@127.0.0.1:1/postgres"
    done = dev(tmp_path, "dev", "adopt", "--database-url", url, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"].startswith("The database cannot be reached")


def test_json_of_something_else_than_the_plan_is_refused(tmp_path: Path) -> None:
    done = dev(tmp_path, "dev", "adopt", "--database-url", "x", "--json", "--undo")
    assert done.returncode == 2
    assert "--json prints the plan" in done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "build",
        "web",
        "languages",
        "migrations",
        "docs.failures",
        "docs.openapi",
        "docs.client_types",
    ],
)
def test_help_does_nothing_else(tmp_path: Path, module: str) -> None:
    done = dev(tmp_path, f"dev.{module}", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m dev.{module} [-h]")
    assert dev(tmp_path, f"dev.{module}", "more").returncode == 2


def test_wrong_option_has_the_usage(tmp_path: Path) -> None:
    done = make(tmp_path, "usage", "ARGS=--many")
    assert done.returncode == 2
    assert "Usage: python -m dev usage" in done.stderr
