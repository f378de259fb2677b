"""Reports the addresses of providers and of a worker that nobody with the secret key has
approved."""

from datetime import datetime, timedelta

from edge.json_values import timestamp
from health_check.steps import Found, Run

REMIND_AFTER = timedelta(hours=1)
"""How often the alert for the same providers is repeated."""
MAX_REPORTED = 100
"""Providers reported at a time."""
REGISTERED = "registered worker"
"""The name under which a worker is reported; no provider has a space in its name."""


async def check_approval(
    run: Run, found: Found, last: Found, refused_worker: object, now: datetime
) -> None:
    """Report the providers that have an address and are not approved.

    Also reports `refused_worker` (`workerRefused` in the settings): the address of a worker that
    registered with an adopted product and is not allowed, or None.
    """
    providers = await run.clients.rpc("read_providers")
    named = [row for row in providers if row["base_url"] and not row["is_approved"]]
    waiting = {row["name"]: row["base_url"] for row in named[:MAX_REPORTED]}
    if isinstance(refused_worker, str):
        waiting[REGISTERED] = refused_worker
    found |= report(waiting, last, now)


def report(waiting: dict[str, str], last: Found, now: datetime) -> Found:
    """The step's report: the waiting addresses by name, the time of the last reminder, alerts.

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
        "alerts": [_alert(name, url[:200]) for name, url in new.items()],
    }


def _alert(name: str, url: str) -> str:
    if name == REGISTERED:
        return (
            f"A worker registered with the address {url!a} and gets no requests: add its host to"
            " workerHosts in private.system_settings if it is yours (docs/adopting.md)."
        )
    return (
        f"Provider {name} was added with the address {url!a} and gets no requests:"
        " approve it if it is intended (docs/configuration.md), otherwise delete it."
    )
