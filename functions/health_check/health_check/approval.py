"""Whether a provider waits for somebody with the secret key to approve it."""

from datetime import datetime, timedelta

from edge.json_values import timestamp
from health_check.steps import Found, Run

REMIND_AFTER = timedelta(hours=1)
"""How often the same providers are alerted of."""
MOST = 100
"""Providers that are told of at a time."""


async def check_approval(run: Run, found: Found, last: Found, now: datetime) -> None:
    """Report the addresses that were added and not approved yet."""
    providers = await run.clients.rpc("read_providers")
    waiting = [row for row in providers if not row["is_approved"]][:MOST]
    found |= report({row["name"]: row["base_url"] for row in waiting}, last, now)


def report(waiting: dict[str, str], last: Found, now: datetime) -> Found:
    """What is kept: the addresses by provider, and when they were last alerted of.

    An alert for each that is new since then; for all of them after `REMIND_AFTER`.
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
