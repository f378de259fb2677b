"""Reports providers that nobody with the secret key has approved yet."""

from datetime import datetime, timedelta

from edge.json_values import timestamp
from health_check.steps import Found, Run

REMIND_AFTER = timedelta(hours=1)
"""How often the alert for the same providers is repeated."""
MAX_REPORTED = 100
"""Providers reported at a time."""


async def check_approval(run: Run, found: Found, last: Found, now: datetime) -> None:
    """Report the addresses of providers that are not approved."""
    providers = await run.clients.rpc("read_providers")
    waiting = [row for row in providers if not row["is_approved"]][:MAX_REPORTED]
    found |= report({row["name"]: row["base_url"] for row in waiting}, last, now)


def report(waiting: dict[str, str], last: Found, now: datetime) -> Found:
    """The step's report: the waiting addresses by provider, the time of the last reminder, alerts.

    Alerts for each address that is new since the last run, and for all after `REMIND_AFTER`.
    """
    known = last.get("waiting")
    known = known if isinstance(known, dict) else {}
    alerted_at = timestamp(last.get("alerted_at"))
    again = alerted_at is None or now - alerted_at >= REMIND_AFTER
    new = {name: url for name, url in waiting.items() if again or known.get(name) != url}
    return {
        "waiting": waiting,
        "alerted_at": now.isoformat() if again else last.get("alerted_at"),
        "alerts": [
            f"Provider {name} was added with the address {url[:200]!a} and gets no requests:"
            " approve it if it is intended (docs/configuration.md), otherwise delete it."
            for name, url in new.items()
        ],
    }
