"""The measurement of the pages measures what it says, whatever the figures are."""

from __future__ import annotations

from playwright.sync_api import Browser

from bench.pages import LETTERS, OPENINGS, first_load, measure
from tests.support.working_copy import WorkingCopy


def test_a_long_conversation_is_opened_and_written_in(browser: Browser, copy: WorkingCopy) -> None:
    assert OPENINGS > 1
    assert LETTERS > 1
    figures = measure(browser, copy, 300, everything=True)
    opened, first, last = [each.name for each in figures]
    assert opened == "open"
    assert first != last == "a letter, 300 messages shown"
    assert all(0 < each.typical <= each.longest for each in figures)


def test_first_load_has_all_files(browser: Browser, copy: WorkingCopy) -> None:
    sizes = first_load(browser, copy.stack_env["FUNCTIONS_URL"])
    assert len(sizes) > 5  # The page, two style sheets, three scripts, and perhaps an icon.
    assert sum(sizes) > 100_000
