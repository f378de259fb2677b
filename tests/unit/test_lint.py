"""The migration rules of `make lint` find changes that are dangerous for a database in use."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.postgres import ROOT

CONFIG = ROOT / ".squawk.toml"


@pytest.mark.parametrize(
    ("migration", "rule"),
    [
        ("alter table public.turns drop column status;", "ban-drop-column"),
        ("drop table public.turns;", "ban-drop-table"),
        ("alter table public.turns add column x text not null;", "adding-required-field"),
        ("alter table public.turns rename column status to state;", "renaming-column"),
        ("alter table public.turns alter column status type integer;", "changing-column-type"),
    ],
)
def test_dangerous_migration_is_found(migration: str, rule: str) -> None:
    command: list[str | Path] = [ROOT / ".venv/bin/squawk", "--config", CONFIG, "--reporter", "gcc"]
    done = subprocess.run(command, input=migration, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert rule in done.stdout
