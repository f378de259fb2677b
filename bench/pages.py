"""The command `python -m bench.pages`: what a long conversation costs a browser.

It also prints the weight of the first load. Starts a stack of its own and Chromium; changes no
document.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from uuid import uuid4

import click
from playwright.sync_api import Browser, Page

from bench.machine import describe, load_average
from tests.support.browser import running_browser
from tests.support.person import MARA, Person, operator
from tests.support.waiting import wait_until
from tests.support.working_copy import WorkingCopy, running_copy

OPENINGS = 5
LETTERS = 40
WORDS = "The lamp hisses, and the sea is grey. "
AT_ONCE = 500
PATIENCE_MS = 60_000

OPEN = """async () => {
  const entries = [...document.querySelectorAll(".lists li.entry > button:first-child")];
  const entry = entries.find((each) => each.innerText.includes("A long one"));
  const began = performance.now();
  entry.click();
  const last = () => [...document.querySelectorAll(".talk rp-prose")].at(-1)?.innerText ?? "";
  while (!last().includes("the last one")) await new Promise(requestAnimationFrame);
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - began;
}"""
"""Presses the first conversation; resolves when its newest message is drawn, to milliseconds."""

LISTEN = """() => {
  window.waits = [];
  document.getElementById("message").addEventListener("keydown", () => {
    const began = performance.now();
    // The frame after the next: the letter is on the screen.
    requestAnimationFrame(() => requestAnimationFrame(() => waits.push(performance.now() - began)));
  });
}"""


@dataclass(frozen=True)
class Figure:
    """One row of the table, in milliseconds."""

    name: str
    typical: float
    longest: float


def build_figure(name: str, waits: Sequence[float]) -> Figure:
    return Figure(name, median(waits), max(waits))


def fill(person: Person, count: int) -> None:
    """Gives the person one conversation of so many messages, and another one."""
    [mara] = person.copy.rows(f"characters?name=eq.{MARA}")
    talk = {"id": str(uuid4()), "user_id": person.user_id, "character_id": mara["id"]}
    talk["title"] = "A long one"
    operator(person.copy, "POST", "/rest/v1/conversations", talk)
    rows = [
        {
            "conversation_id": talk["id"],
            "sender": "character" if number % 2 else "user",
            "content": f"{WORDS * 4}*{number}*" + (" the last one" if number == count else ""),
        }
        for number in range(1, count + 1)
    ]
    for at in range(0, count, AT_ONCE):
        operator(person.copy, "POST", "/rest/v1/messages", rows[at : at + AT_ONCE])


def open_conversation(page: Page) -> Figure:
    """The time from the press on its entry to its newest message on the screen."""
    waits = []
    for _ in range(OPENINGS):
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        page.locator(".people").wait_for()
        waits.append(float(page.evaluate(OPEN)))
    return build_figure("open", waits)


def write(page: Page) -> Figure:
    """The time from a key to its letter on the screen."""
    box = page.locator("#message")
    box.fill("")
    page.evaluate(LISTEN)
    box.press_sequentially("a" * LETTERS)
    wait_until(lambda: page.evaluate("waits.length") >= LETTERS, "the letters")
    shown = page.locator(".talk > li").count()
    return build_figure(f"a letter, {shown:,} messages shown", page.evaluate("waits"))


def show_all(page: Page) -> None:
    """Loads all earlier messages, a page at a time."""
    earlier = page.get_by_role("button", name="Show earlier messages")
    while earlier.count():
        before = page.locator(".talk > li").count()
        earlier.click()
        wait_until(partial(_grew, page, before), "earlier messages")


def _grew(page: Page, before: int) -> bool:
    return page.locator(".talk > li").count() > before


def first_load(browser: Browser, url: str) -> list[int]:
    """The bytes of each body that a new visitor's browser receives, compressed."""
    context = browser.new_context()
    sizes: list[int] = []
    page = context.new_page()
    page.on("requestfinished", lambda each: sizes.append(each.sizes()["responseBodySize"]))
    page.goto(url, wait_until="networkidle")
    context.close()
    return sizes


def measure(browser: Browser, copy: WorkingCopy, count: int, everything: bool) -> list[Figure]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    url = copy.stack_env["FUNCTIONS_URL"]
    person = Person(context.new_page(), copy, url, f"pages{time.time_ns()}@example.com")
    person.join()
    person.meet()
    fill(person, count)
    person.page.reload()
    person.page.get_by_role("button", name="Options for A long one").wait_for()
    figures = [open_conversation(person.page), write(person.page)]
    if everything:
        show_all(person.page)
        figures.append(write(person.page))
    context.close()
    return figures


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--messages", default=10_000, help="Length of the conversation.")
@click.option("--everything", is_flag=True, help="Also write with all messages shown; slower.")
def main(messages: int, everything: bool) -> None:
    """Measure in Chromium what a long conversation costs, and the weight of the first load."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_browser() as browser,
        running_copy(Path(folder) / "project") as copy,
    ):
        sizes = first_load(browser, copy.stack_env["FUNCTIONS_URL"])
        figures = measure(browser, copy, messages, everything)
    for name, value in describe():
        click.echo(f"{name}: {value}")
    click.echo(f"load average: {load_average():.1f}")
    click.echo(f"first load: {sum(sizes) / 1000:.0f} kB in {len(sizes)} responses, compressed")
    for each in figures:
        line = f"median {each.typical:.0f} ms, longest {each.longest:.0f} ms"
        click.echo(f"{messages:,} messages, {each.name}: {line}")


if __name__ == "__main__":
    main()
