"""docs/google-cloud.md: its commands, with its own .env, up to those that reach a service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values

from dev import web
from tests.support.postgres import ROOT

DOCUMENT = (ROOT / "docs/google-cloud.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def env_file() -> dict[str, str]:
    """The .env of the document, with an id and keys where a person fills them in."""
    (written,) = re.findall(r"cat > \.env <<END\n(.*?)^END", DOCUMENT, re.MULTILINE | re.DOTALL)
    filled = written.replace("<ref>", "abcdefghijklmnopqrst").replace("...", "canary")
    assert not set("<>") & set(filled)
    return {name: value or "" for name, value in dotenv_values(stream=StringIO(filled)).items()}


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(folder)} | env_file() | more
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_settings_are_complete(tmp_path: Path) -> None:
    done = run(tmp_path, "dev", "settings")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().splitlines()[-1].strip().startswith("OpenRouter_Roleplay_API_KEY")
    assert "canary" not in done.stdout
    (audience,) = re.findall(r" HEALTH_CHECK_OIDC_AUDIENCE .*", done.stdout)
    assert "https://europe-west3-tales-123456.cloudfunctions.net/health_check" in audience
    assert "make deploy-health_check" in audience


@pytest.mark.parametrize("target", ["db", "health_check", "scheduler", "roleplay_chat"])
def test_deployment_is_printed(tmp_path: Path, target: str) -> None:
    assert re.search(rf"^make deploy-{target}\b", DOCUMENT, re.MULTILINE)
    done = run(tmp_path, "dev", "deploy", target)
    assert (done.returncode, done.stderr) == (0, "")


def test_pages_are_assembled_with_what_env_file_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = re.findall(r"^SUPABASE_PUBLISHABLE_KEY=(\S+) make web$", DOCUMENT, re.MULTILINE)
    for name in ("SUPABASE_URL", "FUNCTIONS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", key)
    monkeypatch.setattr(web, "ENV_FILE", tmp_path / ".env")
    assert web.main(tmp_path / "web") == 1
    lines = [f"{name}={value}\n" for name, value in env_file().items()]
    (tmp_path / ".env").write_text("".join(lines))
    assert web.main(tmp_path / "web") == 0
    made = (tmp_path / "web/config.js").read_text()
    assert env_file()["SUPABASE_URL"] in made
    assert env_file()["FUNCTIONS_URL"] in made
    assert "canary" not in made


def test_secrets_that_are_made_are_those_that_are_read(tmp_path: Path) -> None:
    made = set(re.findall(r"gcloud secrets create (\S+)", DOCUMENT))
    printed = run(tmp_path, "dev", "deploy", "roleplay_chat").stdout
    (mounted,) = re.findall(r"--set-secrets=(\S+)", printed)
    assert made == {one.partition("=")[2].removesuffix(":latest") for one in mounted.split(",")}


def test_what_is_typed_is_the_end_of_what_is_pasted() -> None:
    """`read` would take the next line of the same block as the key."""
    (block,) = [block for block in BLOCKS if re.search(r"^read ", block, re.MULTILINE)]
    assert block.splitlines()[-1].startswith("read -rs ")


def test_enabled_apis_are_those_that_are_used() -> None:
    enabled = set(re.findall(r"\b(\w+)\.googleapis\.com", DOCUMENT))
    assert enabled >= {"cloudfunctions", "run", "cloudbuild", "secretmanager", "cloudscheduler"}
    other = set(re.findall(r"\b(\w+)\.googleapis\.com", (ROOT / "docs/deploying.md").read_text()))
    assert enabled == other


def test_every_step_has_its_time_and_its_chapter() -> None:
    steps = re.findall(r"^\| (\d+) \| .* \| (\d+) \|$", DOCUMENT, re.MULTILINE)
    chapters = re.findall(r"^## (\d+)\. ", DOCUMENT, re.MULTILINE)
    assert [number for number, _ in steps] == chapters
    assert all(int(minutes) > 0 for _, minutes in steps)
