"""The stack of `make up` in its own working copy, controlled by its commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from dotenv import dotenv_values

from tests.support import patient
from tests.support.functions import ENVIRONMENT
from tests.support.postgres import ROOT
from tests.support.real_model import MODEL_ENV
from tests.support.waiting import free_port, wait_until

PORTS = ("DATABASE_PORT", "FUNCTIONS_PORT", "WORKER_PORT", "STAND_IN_PORT")
# Results of other commands in a working copy, and settings of this machine.
LEFT_OUT = (".*cache", ".env", ".git", ".hypothesis", ".local", ".venv", "dist", "node_modules")
# A busy machine may need long for a turn or a probe.
UNHURRIED = {
    "TURN_BUDGET_SECONDS": "1500",
    "CONNECT_TIMEOUT_SECONDS": "60",
    "FIRST_TOKEN_TIMEOUT_SECONDS": "1200",
    "IDLE_TIMEOUT_SECONDS": "600",
    "SAVE_PATIENCE_SECONDS": "60",
    "BODY_TIMEOUT_SECONDS": "60",
    "PROBE_TIMEOUT_SECONDS": "60",
    "RUN_BUDGET_SECONDS": "90",
    "DEEP_PROBE_EVERY": "0",
}
# The packages are shared with this working copy. Without this, a newer lock file would make `make`
# reinstall them while other tests are running.
SETUP_IS_DONE = [f"--old-file=.venv/ready/{stamp}" for stamp in ("python", "stack")]


@dataclass(frozen=True)
class WorkingCopy:
    """A copy of the project with its own ports."""

    folder: Path
    env: dict[str, str]

    def make(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Runs make and returns its result, successful or not."""
        return subprocess.run(
            ["make", "--no-print-directory", *SETUP_IS_DONE, *arguments],  # noqa: S607
            cwd=self.folder,
            env=self.env,
            input=typed,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )

    def succeed(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Runs make, which must succeed."""
        done = self.make(*arguments, typed=typed)
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done

    def status(self) -> dict[str, dict[str, str]]:
        """State and process id of each part, from `make status`."""
        report = json.loads(self.make("status", "ARGS=--json").stdout)
        return {row["part"]: row for row in report["parts"]}

    def processes(self) -> list[psutil.Process]:
        """The stack's process and all its descendants."""
        state = json.loads((self.folder / ".local/stack.json").read_text())
        stack = psutil.Process(state["pid"])
        return [stack, *stack.children(recursive=True)]

    def check_health(self) -> dict[str, Any]:
        """Runs the health check like the scheduler and returns the worker's result."""
        env = self.stack_env
        secret = {"Authorization": f"Bearer {env['HEALTH_CHECK_SECRET']}"}
        answer = patient.post(f"{env['FUNCTIONS_URL']}/health_check", headers=secret)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["workers"]["chatWorker"])

    def kill_worker(self) -> None:
        """Kills the chat worker's process."""
        os.kill(int(self.status()["worker"]["process"]), signal.SIGKILL)

    def recover(self) -> None:
        """Restarts dead parts and clears their cooldowns."""
        self.succeed("up")
        self.write("DELETE", "model_cooldowns?scope=not.is.null")
        wait_until(lambda: self.check_health()["isHealthy"], "the worker to be known as healthy")

    @property
    def stack_env(self) -> dict[str, str]:
        values = dotenv_values(self.folder / ".local/stack.env")
        return {name: value for name, value in values.items() if value is not None}

    def rows(self, path: str) -> list[dict[str, Any]]:
        """Rows of the Data API, read with the secret key."""
        env = self.stack_env
        answer = patient.get(
            f"{env['SUPABASE_URL']}/rest/v1/{path}", headers={"apikey": env["SUPABASE_SECRET_KEY"]}
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json())

    def write(self, method: str, path: str, body: Any = None) -> None:
        """A request to the Data API with the secret key. It must succeed."""
        env = self.stack_env
        url = f"{env['SUPABASE_URL']}/rest/v1/{path}"
        answer = patient.request(
            method, url, headers={"apikey": env["SUPABASE_SECRET_KEY"]}, json=body
        )
        assert answer.is_success, answer.text

    def said(self) -> list[tuple[str, str]]:
        """The messages of the demo conversation."""
        path = f"messages?conversation_id=eq.{self.stack_env['DEMO_CONVERSATION_ID']}"
        rows = self.rows(f"{path}&order=position&select=sender,content")
        return [(row["sender"], row["content"]) for row in rows]

    def logs(self) -> str:
        """The ends of all logs, for failure messages."""
        logs = sorted((self.folder / ".local/logs").glob("*.log"))
        return "".join(f"\n--- {log.name}\n{log.read_text()[-2000:]}" for log in logs)


@contextmanager
def running_copy(folder: Path) -> Iterator[WorkingCopy]:
    """A clean working copy in a new folder with a running stack, stopped at the end."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT, "__pycache__"))
    for packages in (".venv", "node_modules"):
        (folder / packages).symlink_to(ROOT / packages)
    theirs = (
        "args",
        "make",
        "pytest",
        "openrouter",
        "local_dir",
        "message",
        "model",
        "mflags",
        "supabase",
    )
    env = {k: v for k, v in ENVIRONMENT.items() if not k.lower().startswith(theirs)}
    ports = {name: str(free_port()) for name in PORTS}
    copy = WorkingCopy(folder, env | ports | UNHURRIED | MODEL_ENV)
    try:
        copy.succeed("up")
        yield copy
    finally:
        copy.make("down")
