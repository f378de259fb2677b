"""Pages on narrow and wide screens."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.support.axe import serious

WIDTHS = (320, 390, 768, 1280)
NARROWEST_AND_WIDEST = (WIDTHS[0], WIDTHS[-1])
"""Where axe looks, because it takes a second each time."""
TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Resolves when everything is drawn."""
WIDER = "document.documentElement.scrollWidth > innerWidth"
DIALOG_WIDER = """() => { const each = document.querySelector("dialog");
  return each.scrollWidth > each.clientWidth; }"""

BROKEN_WORDS = """() => [...document.querySelectorAll("button")].filter((each) => {
  if (!/^\\S+$/.test(each.innerText.trim()) || !each.checkVisibility()) return false;
  const words = document.createRange();
  words.selectNodeContents(each);
  return new Set([...words.getClientRects()].map(({ top }) => Math.round(top))).size > 1;
}).map((each) => each.innerText)"""
"""The buttons of one word that is broken over two lines."""


def fits(page: Page) -> None:
    """At no width does the page or its dialog scroll sideways, or a button break its word, and axe
    finds nothing serious."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        assert not page.evaluate(WIDER), width
        assert not page.evaluate(DIALOG_WIDER), width
        assert page.evaluate(BROKEN_WORDS) == [], width
    assert serious(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
