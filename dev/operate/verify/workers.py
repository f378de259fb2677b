"""Checks of the workers."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from dev.operate.verify.check import Check, Facts
from dev.operate.verify.providers import has_key, unbound
from edge.worker_health import WorkerHealth, why_unavailable
from health_check.probe import ProbeResult


def worker_checks(
    facts: Facts,
    environment: Mapping[str, str],
    is_local: bool,
    probes: Mapping[str, ProbeResult] | None,
) -> Iterator[Check]:
    """The stored health of each worker, and what it answers just now if it was asked."""
    if not facts["workers"]:
        yield Check("worker", "ok", "no worker is registered; providers answer")
    now = datetime.fromisoformat(facts["now"])
    for worker in facts["workers"]:
        name, secret = f"worker {worker['health_key']}", worker["secret_name"]
        if worker["is_expired"]:
            found = f"its registration ended at {worker['lease_expires_at']}"
            yield Check(name, "problem", found, "start it; it registers itself")
            continue
        if secret and not has_key(secret, environment):
            yield Check(name, "problem", f"{secret} is not set", f"set {secret} for both functions")
        elif secret and (wanted := unbound(secret, worker["url"], environment)):
            found = f"{secret} may not be sent to {worker['url']}"
            yield Check(name, "problem", found, f"if it is intended, set {wanted}")
        check = _worker(name, worker["url"].rstrip("/"), worker["health"], now, is_local)
        if probes is not None:
            check = _probed(check, probes.get(worker["health_key"]), worker["url"], is_local)
        yield replace(check, found=f"{check.found}; draining") if worker["is_draining"] else check


def _worker(name: str, url: str, record: object, now: datetime, is_local: bool) -> Check:
    why = why_unavailable(url, record, now)
    stored = record if isinstance(record, Mapping) else {}
    known = WorkerHealth.parse({"workerUrl": url, **stored})
    scheduler = "see the scheduler, below"
    if known is None or known.url != url:
        return Check(name, "problem", why or "its health is not known yet", scheduler)
    # A single failed probe does not make a worker unhealthy, but it is worth reporting.
    if known.is_healthy and not known.failures:
        if why:
            return Check(name, "problem", why, scheduler)
        age = (now - known.checked_at).total_seconds()
        return Check(name, "ok", f"healthy, checked {age:.0f} s ago")
    state = "its last probe failed" if known.is_healthy else "it is unhealthy"
    found = f"{state}: {known.error or known.probe_error}"
    remedy = _restart(name, url, is_local)
    if not known.is_fresh(now):
        found, remedy = f"{found}; {why} since", f"{remedy}; {scheduler}"
    return Check(name, "problem", found, remedy)


def _restart(name: str, url: str, is_local: bool) -> str:
    """What to do about a worker that is down: it may be a part of the local stack."""
    is_part = is_local and name.startswith(("worker chatWorker", "worker worker-"))
    return "make up restarts it" if is_part else f"check the machine at {url}"


def _probed(stored: Check, result: ProbeResult | None, url: str, is_local: bool) -> Check:
    """What a worker answered just now, beside what health_check stored about it."""
    if result is None:
        found = f"{stored.found}; not asked now, because its key is in Secret Manager"
        return replace(stored, found=found)
    if result.error and not result.busy:
        found = f"it does not answer as it should: {result.error}"
        if stored.state != "problem":
            found += f"; health_check found it {stored.found}"
        remedy = _restart(stored.name, url, is_local)
        return replace(stored, state="problem", found=found, remedy=remedy)
    now = result.error or f"answered in {result.response_ms} ms"
    if stored.state == "problem":
        return replace(stored, found=f"{stored.found}; but now: {now}")
    return replace(stored, found=f"{stored.found}; now: {now}")
