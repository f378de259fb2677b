"""`make chat` and `make help` in a real terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import stream
from tests.support.person import SCRIPTED
from tests.support.postgres import ROOT
from tests.support.pseudo_terminal import terminal
from tests.support.upstream import Upstream
from tests.support.waiting import Gate, wait_until
from tests.support.working_copy import SETUP_IS_DONE, WorkingCopy

CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\r"
MAKE = ["make", "--no-print-directory", *SETUP_IS_DONE]


@pytest.mark.parametrize("message", ["", "Hello"], ids=["conversation", "one-message"])
def test_ctrl_c_stops_the_reply_without_a_word_from_make(
    copy: WorkingCopy, scripted: Upstream, message: str
) -> None:
    gate = Gate()
    scripted.always(stream(["The lantern is", gate, " lit."]))
    command = [*MAKE, "chat", f"MODEL={SCRIPTED}", f"MESSAGE={message}"]
    with terminal(command, copy.env, copy.folder) as chat:
        if not message:
            chat.wait_for("/help lists the commands.")
            chat.type("/new" + ENTER)
            chat.wait_for("Started a new conversation.")
            chat.type("Hello" + ENTER)
        chat.wait_for("The lantern")
        chat.type(CTRL_C)
        chat.wait_for("(stopped)")
        if not message:
            chat.type(CTRL_D)
        chat.wait_for_end()
        assert "make:" not in chat.shown
        assert "Traceback" not in chat.shown
    gate.open()

    def ended() -> list[dict[str, Any]]:
        newest = "turns?order=created_at.desc&limit=1&select=status,result"
        return [row for row in copy.rows(newest) if row["status"] != "running"]

    [turn] = wait_until(ended, "the end of the turn")
    assert turn["result"]["stopped"] is True


def test_help_fits_a_terminal_and_is_in_groups() -> None:
    with terminal([*MAKE, "help"], {"PATH": "/usr/bin:/bin"}, ROOT) as shown:
        assert shown.wait_for_end() == 0
        lines = shown.shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert {"The local stack", "Your own models", "Operate", "Test"} <= set(lines)


def test_status_names_the_page_and_who_signs_in(copy: WorkingCopy) -> None:
    shown = copy.succeed("status").stdout
    env = copy.stack_env
    for value in (env["FUNCTIONS_URL"], env["DEMO_EMAIL"], env["DEMO_PASSWORD"]):
        assert value in shown
    report = json.loads(copy.succeed("status", "ARGS=--json").stdout)
    assert report["demo_password"] == env["DEMO_PASSWORD"]
    assert {part["state"] for part in report["parts"]} == {"up"}


def test_reports_are_whole_when_they_are_piped(copy: WorkingCopy) -> None:
    (line,) = [
        line
        for line in copy.succeed("settings").stdout.splitlines()
        if "SUPABASE_JWT_SECRET" in line
    ]
    assert line.endswith("verifies HS256 tokens of projects without asymmetric keys")
    for report in ("settings", "verify", "usage"):
        assert json.loads(copy.succeed(report, "ARGS=--json").stdout)


def test_stack_that_is_down_is_named(tmp_path: Path, copy: WorkingCopy) -> None:
    folder = tmp_path / ".local"
    folder.mkdir()
    (folder / "stack.env").write_text((copy.folder / ".local/stack.env").read_text())
    for report in ("verify", "usage", "status"):
        done = copy.make(report, f"LOCAL_DIR={folder}")
        assert done.returncode == 2
        assert "The local stack is not running." in done.stdout + done.stderr
