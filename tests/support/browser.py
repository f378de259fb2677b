"""Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

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
            "The browser tests need Chromium. Install it (`apt-get install chromium-headless-shell`"
            " as root on Debian), or set CHROMIUM to the path of one.",
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
