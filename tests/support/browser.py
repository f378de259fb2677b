"""Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.waiting import wait_until

T = TypeVar("T")

_FRAME = "new Promise(requestAnimationFrame)"
FRAMES = 6
"""In so many frames a page draws what it has, and sends what follows from it."""

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first one has no windows to draw, and takes a third less of the processor's time."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str:
    """The path of Chromium. Fails the test if it is not installed."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.fail(
            "The browser tests need Chromium. Install it as root (`apt-get install"
            " chromium-headless-shell` on Debian, `chromium` elsewhere), or set CHROMIUM to its"
            " path.",
            pytrace=False,
        )
    return found


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A headless browser with a new profile. Each of its contexts is a separate person."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable(), headless=True, args=FLAGS, chromium_sandbox=False
        )
        try:
            yield browser
        finally:
            browser.close()


def drawn(page: Page) -> None:
    """Returns when the page has had time to draw what it knows."""
    for _ in range(FRAMES):
        page.evaluate(_FRAME)


def wait_on(page: Page, condition: Callable[[], T], what: str) -> T:
    """As `wait_until`, while the page's requests go on that a test handles: without a call to
    Playwright they wait."""

    def look() -> T:
        page.evaluate(_FRAME)
        return condition()

    return wait_until(look, what)
