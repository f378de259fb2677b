"""The printed deployment commands. The real programs are not run here."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dev.operate.deploy import commands_for
from edge.server import ALIVE
from tests.support.postgres import ROOT

TARGETS = ["roleplay_chat", "health_check", "scheduler", "db"]
# Migrations are run on a database that is looked at first: tests/existing/test_deploy_db.py.
APPLIED = [target for target in TARGETS if target != "db"]
SNAPSHOTS = ROOT / "tests/data/deploy"
ENVIRONMENT = {
    "SUPABASE_URL": "https://abcdefghijklmnopqrst.supabase.co",
    "GOOGLE_CLOUD_PROJECT": "tales-123456",
    "DEPLOY_REGION": "europe-west3",
    "DEPLOY_SECRETS": "SUPABASE_SECRET_KEY,OpenRouter_Roleplay_API_KEY,CHAT_WORKER_API_KEY",
    "CORS_ALLOW_ORIGINS": "https://a.example,https://b.example",
    "TURN_BUDGET_SECONDS": "60",
    "SUPABASE_SECRET_KEY": "sb_secret_canary",
    "OpenRouter_Roleplay_API_KEY": "sk-canary",
}
# Records how it was called, and fails for commands that a test wants to fail.
GCLOUD = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in *"$FAILS"*) exit 1 ;; esac
"""


@pytest.fixture
def deploy(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in an environment with only these variables."""

    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        env = {**ENVIRONMENT, "PATH": os.environ["PATH"], "LOCAL_DIR": str(tmp_path), **changes}
        return subprocess.run(
            [sys.executable, "-m", "dev", "deploy", *arguments],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def gcloud(tmp_path: Path) -> dict[str, str]:
    """An environment with scripted gcloud and npx; `calls` reads how they were called."""
    for name in ("gcloud", "npx"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(GCLOUD)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    calls = tmp_path / "calls"
    calls.write_text("")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return {"PATH": path, "CALLS": str(calls), "FAILS": "nothing fails"}


def calls(gcloud: dict[str, str]) -> list[str]:
    return Path(gcloud["CALLS"]).read_text().splitlines()


Deploy = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("target", TARGETS)
def test_printed_commands_are_as_stored_and_without_secrets(
    deploy: Deploy, gcloud: dict[str, str], target: str
) -> None:
    done = deploy(target, **gcloud)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (SNAPSHOTS / f"{target}.sh").read_text()
    assert "canary" not in done.stdout
    assert calls(gcloud) == []  # nothing was run


@pytest.mark.parametrize("target", APPLIED)
def test_printed_commands_do_what_applying_does(
    deploy: Deploy, gcloud: dict[str, str], target: str
) -> None:
    # Nothing exists yet, so both commands take the way of a first deployment.
    gcloud["FAILS"] = "service-accounts describe" if target != "scheduler" else " describe "
    applied = deploy(target, APPLY="1", **gcloud)
    assert applied.returncode == 0, applied.stderr
    by_command = calls(gcloud)
    Path(gcloud["CALLS"]).write_text("")

    subprocess.run(
        ["/bin/sh", "-eu", SNAPSHOTS / f"{target}.sh"], env=os.environ | gcloud, check=True
    )

    assert calls(gcloud) == by_command
    assert len(by_command) >= 2


@pytest.mark.parametrize("target", TARGETS)
def test_every_flag_is_explained(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    planned = commands_for(target, ENVIRONMENT)
    told = {flag.partition("=")[0] for one in planned for flag in one.flags}
    commands = [[*one.command, *(one.instead or ())] for one in planned]
    given = {word.partition("=")[0] for words in commands for word in words if word[:2] == "--"}
    assert given - told <= {"--project"}
    assert len(told) >= 2


IMAGES = {
    "DEPLOY_IMAGES": "images.example/tales/roleplay",
    "DEPLOY_TAG": "v1.0.0",
    "DEPLOY_PROJECT_NUMBER": "123456789012",
}
AUDIENCE = "https://health-check-123456789012.europe-west3.run.app"


@pytest.mark.parametrize("target", APPLIED)
def test_commands_for_images_are_as_stored(deploy: Deploy, target: str) -> None:
    done = deploy(target, **IMAGES)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (SNAPSHOTS / f"images-{target}.sh").read_text()
    assert "canary" not in done.stdout


def test_scheduler_and_image_agree_on_the_audience(deploy: Deploy) -> None:
    scheduler, function = (deploy(name, **IMAGES).stdout for name in ("scheduler", "health_check"))
    assert f"--oidc-token-audience={AUDIENCE} " in scheduler
    assert f"--uri={AUDIENCE} " in scheduler
    assert f"HEALTH_CHECK_OIDC_AUDIENCE={AUDIENCE}," in function
    account = "health-check-scheduler@tales-123456.iam.gserviceaccount.com"
    assert f"--oidc-service-account-email={account}" in scheduler
    assert f"HEALTH_CHECK_OIDC_EMAIL={account}" in function


def test_image_is_asked_for_by_the_path_that_its_server_answers(deploy: Deploy) -> None:
    for function in ("roleplay_chat", "health_check"):
        assert f"--startup-probe=httpGet.path={ALIVE}," in deploy(function, **IMAGES).stdout


@pytest.mark.parametrize("target", APPLIED)
def test_applied_again_nothing_is_made_twice(
    deploy: Deploy, gcloud: dict[str, str], target: str
) -> None:
    assert deploy(target, APPLY="1", **gcloud).returncode == 0
    first = calls(gcloud)
    assert deploy(target, APPLY="1", **gcloud).returncode == 0
    assert calls(gcloud) == first * 2
    assert not any(" create " in call for call in first)


def test_job_that_exists_is_changed(deploy: Deploy, gcloud: dict[str, str]) -> None:
    assert deploy("scheduler", APPLY="1", **gcloud).returncode == 0
    assert [call.split()[:4] for call in calls(gcloud)] == [
        ["iam", "service-accounts", "describe", calls(gcloud)[0].split()[3]],
        ["scheduler", "jobs", "describe", "health-check"],
        ["scheduler", "jobs", "update", "http"],
        ["scheduler", "jobs", "run", "health-check"],
    ]


def test_job_that_does_not_exist_is_made(deploy: Deploy, gcloud: dict[str, str]) -> None:
    gcloud["FAILS"] = "jobs describe"
    assert deploy("scheduler", APPLY="1", **gcloud).returncode == 0
    assert any(call.startswith("scheduler jobs create http") for call in calls(gcloud))
    assert not any("jobs update" in call for call in calls(gcloud))


def test_secret_that_is_missing_stops_before_the_function(
    deploy: Deploy, gcloud: dict[str, str]
) -> None:
    gcloud["FAILS"] = "secrets describe openrouter"
    done = deploy("roleplay_chat", APPLY="1", **gcloud)
    assert done.returncode == 1
    assert "gcloud secrets create openrouter-roleplay-api-key --data-file=-" in done.stderr
    assert "sk-canary" not in done.stderr
    assert not any("functions deploy" in call for call in calls(gcloud))


def test_program_that_is_not_there(deploy: Deploy, tmp_path: Path) -> None:
    done = deploy("scheduler", APPLY="1", PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "gcloud is not installed.\n")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"SUPABASE_URL": ""}, "SUPABASE_URL: the project's address", id="no-url"),
        pytest.param({"DEPLOY_REGION": "Europe"}, "DEPLOY_REGION: near the database", id="region"),
        pytest.param({"GOOGLE_CLOUD_PROJECT": "x y"}, "GOOGLE_CLOUD_PROJECT: the", id="project"),
        pytest.param({"DEPLOY_CONCURRENCY": "0"}, "DEPLOY_CONCURRENCY: Input", id="concurrency"),
        pytest.param({"DEPLOY_SECRETS": "A B"}, "DEPLOY_SECRETS: Value error", id="secrets"),
        pytest.param(
            {"DEPLOY_SECRETS": "SUPABASE_SECRET_KEY,A_API_KEY"},
            "set KEY_ORIGINS=OpenRouter_Roleplay_API_KEY=https://openrouter.ai,A_API_KEY=https://",
            id="key-that-goes-nowhere",
        ),
        pytest.param({"KEY_ORIGINS": "A_API_KEY"}, "entry 1 is not", id="wrong-origins"),
        pytest.param({"DEPLOY_SECRETS": "A_API_KEY"}, "lacks SUPABASE_SECRET_KEY", id="no-secret"),
        pytest.param({"SUPABASE_JWT_SECRET": "canary"}, "SUPABASE_JWT_SECRET is a", id="unmanaged"),
        pytest.param({"DEPLOY_IMAGES": "a/b"}, "DEPLOY_PROJECT_NUMBER: the", id="number"),
        pytest.param({"DEPLOY_IMAGES": "A B"}, "DEPLOY_IMAGES: String", id="images"),
        pytest.param({"ALLOW_LOCAL_UPSTREAMS": "true"}, "for local work only", id="local"),
    ],
)
def test_environment_that_is_not_one_to_deploy(
    deploy: Deploy, changes: dict[str, str], sentence: str
) -> None:
    done = deploy("roleplay_chat", **changes)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr
    assert "canary" not in done.stderr


@pytest.mark.parametrize("function", ["roleplay_chat", "health_check"])
def test_both_functions_are_told_where_keys_may_go(deploy: Deploy, function: str) -> None:
    origins = "A_API_KEY=https://a.example,B_API_KEY=https://b.example"
    done = deploy(function, KEY_ORIGINS=origins, DEPLOY_SECRETS="SUPABASE_SECRET_KEY,B_API_KEY")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "--set-env-vars=" in line)
    assert f";KEY_ORIGINS={origins}" in line
    assert "--set-env-vars=^;^" in line
    (line,) = (line for line in done.stdout.splitlines() if "--set-secrets=" in line)
    assert "B_API_KEY=b-api-key:latest" in line


def test_timeout_follows_the_turns_lease(deploy: Deploy) -> None:
    done = deploy("roleplay_chat", TURN_BUDGET_SECONDS="300", LEASE_MARGIN_SECONDS="60")
    assert "--timeout=390s" in done.stdout


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")
def test_flags_are_gclouds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    wanted: dict[tuple[str, ...], set[str]] = {}
    planned = [one for target in APPLIED for one in commands_for(target, ENVIRONMENT)]
    for name, value in IMAGES.items():
        monkeypatch.setenv(name, value)
    planned += [one for target in APPLIED for one in commands_for(target, ENVIRONMENT)]
    assert any(one.command[:3] == ["gcloud", "run", "deploy"] for one in planned)
    for one in planned:
        for command in filter(None, (one.command, one.probe, one.instead)):
            words = [word for word in command if not word.startswith("--")]
            known = 5 if words[1:3] == ["scheduler", "jobs"] and "http" in words else 4
            is_short = words[1] in ("functions", "secrets") or words[1:3] == ["run", "deploy"]
            known = 3 if is_short else known
            flags = {word.partition("=")[0] for word in command if word.startswith("--")}
            wanted.setdefault(tuple(words[:known]), set()).update(flags)
    assert len(wanted) > 8
    for named, flags in wanted.items():
        shown = subprocess.run([*named, "--help"], capture_output=True, text=True, check=True)
        manual = shown.stdout.replace("[no-]", "").replace("\x1b[1m", "").replace("\x1b[m", "")
        assert {f for f in flags if f.replace("--no-cpu", "--cpu") not in manual} == set(), named
