"""The progress of a benchmark, on standard error: the report alone can be piped."""

from collections.abc import Callable
from datetime import datetime

from dev.operate.report import tell


def say(part: str) -> Callable[[str], None]:
    """A function that prints a message about a part, with the time."""
    return lambda message: tell(f"{datetime.now():%H:%M:%S} {part}: {message}", err=True)
