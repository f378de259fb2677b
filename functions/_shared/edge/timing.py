"""Measures the stages of a request."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timing:
    """Durations by name, in the order of measuring."""

    def __init__(self) -> None:
        self._ms: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure the block, also when it fails. Names consist of letters and hyphens."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._ms[name] = (time.monotonic() - began) * 1000

    def header(self) -> str:
        """The value of a `Server-Timing` header (https://www.w3.org/TR/server-timing/)."""
        return ", ".join(f"{name};dur={ms:.1f}" for name, ms in self._ms.items())
