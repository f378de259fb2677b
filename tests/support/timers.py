"""Timers of a page that a test sets off."""

from __future__ import annotations

HOLD = """ms => { window.later = []; const real = setTimeout; window.setTimeout =
  (act, wait, ...more) => wait === ms ? (later.push(act), -1) : real(act, wait, ...more); }"""
"""Keeps what should happen after so many milliseconds in `later`."""
PASS = "later.splice(0).forEach((act) => act())"
