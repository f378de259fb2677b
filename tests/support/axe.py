"""Accessibility of the pages, as axe-core finds it."""

from __future__ import annotations

from typing import Literal

from playwright.sync_api import Page

from tests.support.postgres import ROOT

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

_AXE = (ROOT / "node_modules/axe-core/axe.min.js").read_text()
# What passes is not collected, and no rule that is on needs style sheets loaded once more.
_SERIOUS = """axe.run({ resultTypes: ["violations"], preload: false })
  .then(({ violations }) => violations
  .filter(({ impact }) => ["serious", "critical"].includes(impact))
  .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`)))"""


def serious(page: Page) -> list[str]:
    """The serious issues of what the page shows, each with its element."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE)
    return list(page.evaluate(_SERIOUS))


def serious_in_both_schemes(page: Page) -> list[str]:
    """The serious issues in light and in dark colours."""
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{scheme}: {issue}" for issue in serious(page)]
    return found
