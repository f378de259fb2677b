"""The console's pages, and what each of them must not do."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.support.axe import serious_in_both_schemes
from tests.support.widths import NARROWEST_AND_WIDEST, TWO_FRAMES, WIDTHS

PAGES = {
    "overview": "Activity",
    "turns": "Turns",
    "turn": "Turn",
    "health": "Health",
    "workers": "Workers",
    "models": "Models",
    "templates": "Templates",
    "characters": "Characters",
    "reports": "Reports",
    "people": "People",
    "limits": "Limits",
    "switch": "Switch",
}
"""By their names in addresses: the titles of the window."""
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
BEYOND = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility()
    && !each.closest(".scroll, rp-chart") && !each.matches(".unseen, .skip, option")
    && each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.outerHTML.slice(0, 200))"""


def open_page(page: Page, origin: str, name: str) -> None:
    page.goto(f"{origin}/console.html?page={name}")
    expect(page).to_have_title(f"{PAGES[name]} · Console · Roleplay")
    expect(page.get_by_text("Loading …")).to_have_count(0)
    expect(page.locator("main h2").first).to_be_visible()


def issues(page: Page) -> list[str]:
    """What is wrong on the open page at any width: sideways scrolling, and serious issues in light
    and dark colours."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(TWO_FRAMES)
        name = re.sub(r".*\?", "", page.url)
        if page.evaluate(WIDE):
            found.append(f"{name} scrolls sideways at {width} px")
        found += [f"{name} at {width} px: {one}" for one in page.evaluate(BEYOND)]
        # A phone's table does not scroll sideways either.
        inside = (
            "[...document.querySelectorAll('.scroll')].some((e) => e.scrollWidth > e.clientWidth)"
        )
        if width < 800 and page.evaluate(inside):
            found.append(f"a table of {name} scrolls sideways at {width} px")
        if width in NARROWEST_AND_WIDEST:
            found += [f"{name} at {width} px, {one}" for one in serious_in_both_schemes(page)]
    return found
