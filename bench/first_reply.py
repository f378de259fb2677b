"""`make first-reply`: a stop watch from an empty clone to the first reply, on the page and typed.

Nothing is taken from caches of pip and npm, as on the machine of somebody who tries it for the
first time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from playwright.sync_api import Page, expect

from bench.machine import describe, load_average
from dev.operate.report import Line, Part, Table, show
from dev.options import json_option
from dev.settings import read_env_file
from tests.support.browser import running_browser
from tests.support.postgres import ROOT
from tests.support.waiting import free_port
from tests.support.working_copy import PORTS

KEPT = ("PATH", "HOME", "LANG", "CHROMIUM")
HELLO = "Hello, who are you?"
A_WORD = re.compile(r"\w")
MOST_MS = 900_000


class StopWatch:
    """Says when each thing was there."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._begun = now()
        self.laps: list[tuple[str, float]] = []

    def lap(self, what: str) -> None:
        """Note that something is there now."""
        self.laps.append((what, self._now() - self._begun))


def report(laps: Sequence[tuple[str, float]], machine: Mapping[str, str]) -> list[Part]:
    """The laps as a table: how long each took, and when it was there."""
    before = [0.0, *(seconds for _, seconds in laps)]
    rows = [
        (what, f"{seconds - earlier:.1f}", f"{seconds:.1f}")
        for (what, seconds), earlier in zip(laps, before, strict=False)
    ]
    told = [Line(f"{name}: {value}") for name, value in machine.items()]
    return [Table(("what", "seconds", "in all"), rows, right=("seconds", "in all")), *told]


def surroundings(folder: Path) -> dict[str, str]:
    """An environment with its own ports and nothing that was downloaded before."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    empty = {"PIP_NO_CACHE_DIR": "1", "npm_config_cache": str(folder / "npm")}
    return kept | empty | {name: str(free_port()) for name in PORTS}


def first_reply_on_page(page: Page, url: str, watch: StopWatch) -> None:
    """Sign in as the demo user, say something, and read the reply."""
    page.set_default_timeout(MOST_MS)
    page.goto(url)
    page.get_by_role("button", name="Use the demo account").click()
    box = page.get_by_label("Message to")
    box.wait_for()
    watch.lap("signed in on the page")
    said, busy = page.locator(".talk rp-prose"), page.locator("[aria-busy=true]")
    expect(busy).to_have_count(0, timeout=MOST_MS)
    before = said.count()
    box.fill(HELLO)
    page.keyboard.press("Enter")
    expect(said).to_have_count(before + 2, timeout=MOST_MS)
    expect(said.last).to_have_text(A_WORD, timeout=MOST_MS)
    watch.lap("the first words of a reply on the page")
    expect(busy).to_have_count(0, timeout=MOST_MS)
    watch.lap("the whole reply on the page")


def first_reply_typed(
    folder: Path, environment: Mapping[str, str], watch: StopWatch, options: Sequence[str] = ()
) -> None:
    """Say something in the terminal and read the reply. Raises `CalledProcessError`.

    `options` are those of make.
    """
    command = ["make", "--no-print-directory", *options, "chat", f"MESSAGE={HELLO}"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE) as chat:
        assert chat.stdout
        if chat.stdout.read(1):
            watch.lap("the first words of a reply in the terminal")
        chat.stdout.read()
    if chat.returncode:
        raise subprocess.CalledProcessError(chat.returncode, command)
    watch.lap("the whole reply in the terminal")


@contextmanager
def new_clone(folder: Path, watch: StopWatch) -> Iterator[tuple[Path, dict[str, str]]]:
    """Clone what is committed here, start its stack, and stop it at the end."""
    clone, environment = folder / "project", surroundings(folder)
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    watch.lap("git clone")
    try:
        subprocess.run(["make", "up"], cwd=clone, env=environment, stdout=sys.stderr, check=True)
        watch.lap("make up")
        yield clone, environment
    finally:
        subprocess.run(["make", "down"], cwd=clone, env=environment, stdout=sys.stderr, check=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@json_option
def main(*, as_json: bool) -> None:
    """Measure the time from an empty clone to the first reply, on the page and typed."""
    watch = StopWatch()
    with (
        tempfile.TemporaryDirectory(prefix="first-reply-") as folder,
        new_clone(Path(folder), watch) as (clone, environment),
    ):
        url = read_env_file(clone / ".local/stack.env")["FUNCTIONS_URL"]
        with running_browser() as browser:
            first_reply_on_page(browser.new_page(), url, watch)
        first_reply_typed(clone, environment, watch)
    machine = dict(describe()) | {"load": f"{load_average():.1f} at the end"}
    show(report(watch.laps, machine), {"laps": watch.laps, "machine": machine}, as_json=as_json)


if __name__ == "__main__":
    main()
