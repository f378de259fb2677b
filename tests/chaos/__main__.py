"""`make chaos`: kills Postgres or one of three instances at random, then counts losses."""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import time
from functools import partial

from dev.operate.report import tell
from tests.chaos.storm import storm
from tests.support.installations import INSTALLATIONS, NEW
from tests.support.problems import by_name, table


def main() -> int:
    """Runs a storm and prints the numbers. Returns 1 if anything was lost, doubled or foreign."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="how many kills (200)")
    parser.add_argument("--seed", type=int, help="for the same dice again (random)")
    parser.add_argument("--people", type=int, default=4, help="who talk meanwhile (4)")
    parser.add_argument("--installation", choices=INSTALLATIONS, default=NEW)
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops what it started, too
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    tell(f"{given.rounds} kills, seed {seed}", err=True)
    started = time.monotonic()
    report = storm(
        given.rounds,
        seed,
        given.people,
        partial(tell, err=True),
        installation=given.installation,
    )
    seconds = time.monotonic() - started
    if given.json:
        print(json.dumps(by_name(report) | {"seed": seed, "seconds": seconds}, indent=2))
    else:
        print(report.table())
        print(table([("time", f"{seconds:.0f} s")], []))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
