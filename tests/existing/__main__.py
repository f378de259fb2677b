"""Keeps a database of the existing product until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress

from tests.existing.database import STATES, create
from tests.support.postgres import running_postgres


def main() -> None:
    """Exits with a message if the state is unknown."""
    state = sys.argv[1] if len(sys.argv) > 1 else "april"
    if state not in STATES:
        sys.exit(f"There is no state {state!r}. Choose one of: {', '.join(STATES)}.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running_postgres() as server:
        create(server, state, state, ("rows", "more_rows"))
        print(f"{server.dsn(state)}\nCtrl-C stops it.", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


main()
