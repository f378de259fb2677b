"""Accessibility of the pages, as axe-core finds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from playwright.sync_api import Page

from tests.support.postgres import ROOT

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

_AXE = (ROOT / "node_modules/axe-core/axe.min.js").read_text()
# What passes is not collected, and no rule that is on needs style sheets loaded once more.
_SERIOUS = """(rules) => axe.run({
    ...(rules && { runOnly: rules }), resultTypes: ["violations"], preload: false })
  .then(({ violations }) => violations
  .filter(({ impact }) => ["serious", "critical"].includes(impact))
  .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`)))"""
_OF_COLOURS = ("color-contrast", "link-in-text-block")
"""The only rules whose results depend on the colours."""


def serious(page: Page, rules: Sequence[str] | None = None) -> list[str]:
    """The serious issues of what the page shows, each with its element; of all rules, or these."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE)
    return list(page.evaluate(_SERIOUS, rules and list(rules)))


def serious_in_both_schemes(page: Page) -> list[str]:
    """The serious issues in light and in dark colours."""
    found = []
    for scheme, rules in zip(SCHEMES, (None, _OF_COLOURS), strict=True):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{scheme}: {issue}" for issue in serious(page, rules)]
    return found
