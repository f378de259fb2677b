"""The stop watch of `make first-reply`, on a stack that is there already."""

from __future__ import annotations

from itertools import count
from typing import Any

from playwright.sync_api import Browser

from bench.first_reply import StopWatch, first_reply_on_page, first_reply_typed
from tests.support.waiting import wait_until
from tests.support.working_copy import SETUP_IS_DONE, WorkingCopy


def newest_turns(copy: WorkingCopy) -> list[dict[str, Any]]:
    return copy.rows("turns?select=id,status&order=created_at.desc&limit=2")


def test_demo_user_reads_a_reply_on_the_page_and_in_the_terminal(
    browser: Browser, copy: WorkingCopy
) -> None:
    ticks = count()
    watch = StopWatch(lambda: next(ticks))
    before = {turn["id"] for turn in newest_turns(copy)}
    page = browser.new_page()
    first_reply_on_page(page, copy.stack_env["FUNCTIONS_URL"], watch)
    page.close()
    first_reply_typed(copy.folder, copy.env, watch, SETUP_IS_DONE)

    def both_are_saved() -> bool:
        made = [turn for turn in newest_turns(copy) if turn["id"] not in before]
        return [turn["status"] for turn in made] == ["complete"] * 2

    wait_until(both_are_saved, "both replies to be saved")
    assert watch.laps == [
        ("signed in on the page", 1),
        ("the first words of a reply on the page", 2),
        ("the whole reply on the page", 3),
        ("the first words of a reply in the terminal", 4),
        ("the whole reply in the terminal", 5),
    ]
