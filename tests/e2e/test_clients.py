"""The programs of docs/clients.md, each run as it stands against the local stack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import ROOT
from tests.support.working_copy import WorkingCopy

DOCUMENT = (ROOT / "docs/clients.md").read_text()
COMMANDS = {
    "bash": ["bash"],
    "typescript": [
        str(ROOT / "node_modules/.bin/deno"),
        "run",
        "--no-config",
        "--allow-net",
        "--allow-env",
    ],
    "python": [sys.executable],
}
NEEDED = (
    "SUPABASE_URL",
    "SUPABASE_PUBLISHABLE_KEY",
    "FUNCTIONS_URL",
    "DEMO_EMAIL",
    "DEMO_PASSWORD",
)


def program(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("language", COMMANDS)
def test_program_goes_from_nothing_to_a_streamed_reply(
    language: str, copy: WorkingCopy, tmp_path: Path
) -> None:
    file = tmp_path / {"bash": "client.sh", "typescript": "client.ts"}.get(language, "client.py")
    file.write_text(program(language))
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env |= {name: copy.stack_env[name] for name in NEEDED}
    env |= {"NO_PROXY": "127.0.0.1", "DENO_NO_UPDATE_CHECK": "1"}

    done = subprocess.run(
        [*COMMANDS[language], str(file)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr + copy.logs()
    assert "The lamp is lit." in done.stdout
    [conversation] = copy.rows("conversations?order=created_at.desc&limit=1&select=id")
    said = copy.rows(f"messages?conversation_id=eq.{conversation['id']}&order=position,created_at")
    users = [row["content"] for row in said if row["sender"] == "user"]
    assert users == ["Hello.", "Go on."]
    # Answered once although it was sent twice, and then once more as another version.
    replies = [row for row in said if row["sender"] == "character"]
    assert [row["is_active"] for row in replies[:2]] == [False, True]
    assert replies[1]["variant_of"] == replies[0]["id"]
