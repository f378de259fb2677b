"""Calls health_check with HEALTH_CHECK_SECRET, for hosts without a scheduler of their own.

python -m health_check.scheduler http://health-check          once, as a CronJob does
python -m health_check.scheduler http://health-check 60       now and every 60 seconds
"""

import os
import sys
import threading
import urllib.error
import urllib.request

SECONDS = 55
"""Gives up before the next run."""


def call(url: str, secret: str) -> str | None:
    """Run the health check once. Returns why it failed; None if it did not."""
    request = urllib.request.Request(  # noqa: S310  (the address is the operator's)
        url, method="POST", headers={"X-Health-Check-Secret": secret}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        return f"health_check answered {error.code}"
    except (OSError, ValueError) as error:
        return f"health_check does not answer ({type(error).__name__})"


def main(arguments: list[str], stopped: threading.Event) -> int:
    """Call it once or until `stopped`. Returns the exit code."""
    secret = os.environ.get("HEALTH_CHECK_SECRET", "").strip()
    if len(arguments) not in (1, 2) or not secret:
        print(__doc__, file=sys.stderr)
        return 2
    every = float(arguments[1]) if len(arguments) == 2 else None
    while True:
        why = call(arguments[0], secret)
        if why:
            print(why, file=sys.stderr, flush=True)
        if every is None:
            return 1 if why else 0
        if stopped.wait(every):
            return 0


if __name__ == "__main__":
    import signal

    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    sys.exit(main(sys.argv[1:], end))
