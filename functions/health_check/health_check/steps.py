"""Runs the steps of a health check, each on its own, within the run's time budget."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from edge.clients import Clients
from edge.errors import ApiError
from health_check.records import Records
from health_check.settings import Settings

Found = dict[str, Any]
"""A step's report, as JSON. When time runs out, the part that is there is reported."""

RETRY_SECONDS = 300
"""The longest wait before a failed step is tried again."""


class StepFailed(Exception):
    """A step failed; the message says why and quotes nothing from outside.

    `alert` means that the operator has to act.
    """

    def __init__(self, why: str, *, alert: bool = False) -> None:
        super().__init__(why)
        self.alert = alert


@dataclass(frozen=True)
class Run:
    """The shared state of one run. `deadline` is on the event loop's clock."""

    clients: Clients
    settings: Settings
    environ: Mapping[str, str]
    log: logging.Logger
    request_id: str
    deadline: float
    records: Records

    async def begin(self, step: str, every: float, retry: float) -> Found | None:
        """Begin a step and return its last report; None if it is not due. Times in seconds."""
        parameters = {"p_step": step, "p_every_seconds": every, "p_retry_seconds": retry}
        found: Found | None = await self.clients.rpc("begin_step", parameters)
        return found

    async def end(self, step: str, found: Found) -> None:
        """Store a step's report. It is due again after its interval."""
        parameters = {"p_step": step, "p_found": found}
        await self.clients.rpc("end_step", parameters)

    async def fail(self, step: str, error: str) -> None:
        """Store why a step failed."""
        await self.clients.rpc("fail_step", {"p_step": step, "p_error": error})


@dataclass(frozen=True)
class Step:
    """A named task. `do` fills the first mapping with its report and gets its last report.

    `every` is in seconds; 0 means in every run; None means in every run, without storing a report.
    `found["alerts"]` are sentences for the operator: "What is wrong: what to do."
    """

    name: str
    do: Callable[[Found, Found], Awaitable[None]]
    every: float | None = None


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step. `ms` is its duration."""

    outcome: Literal["done", "not_due", "failed", "out_of_time"]
    ms: int
    error: str | None
    found: Found

    def to_json(self) -> dict[str, Any]:
        """The outcome as returned and logged."""
        return {"outcome": self.outcome, "ms": self.ms, "error": self.error, "found": self.found}


async def run_step(step: Step, run: Run) -> Outcome:
    """Run a step if it is due. Raises nothing."""
    found: Found = {}
    outcome: Literal["done", "not_due", "failed", "out_of_time"] = "done"
    error = None
    started = time.monotonic()
    clock = asyncio.timeout_at(run.deadline)
    try:
        async with clock:
            if not await _do(step, run, found):
                outcome = "not_due"
    except StepFailed as failed:
        outcome, error = "failed", str(failed)
        if failed.alert:
            found["alerts"] = [error]
    except ApiError as failed:
        outcome, error = "failed", failed.code
    except Exception:
        if clock.expired():
            outcome = "out_of_time"
        else:
            outcome, error = "failed", "internal_error"
            fields = {"request_id": run.request_id, "step": step.name}
            run.log.exception("step failed", extra={"fields": fields})
    if error and step.every is not None:
        await _record_failure(error, step, run)
    ended = Outcome(outcome, round((time.monotonic() - started) * 1000), error, found)
    if outcome != "not_due":
        fields = {"request_id": run.request_id, "step": step.name, **ended.to_json()}
        if found.get("alerts"):
            fields["severity"] = "ALERT"
        level = logging.INFO if outcome == "done" else logging.WARNING
        run.log.log(level, "step ended", extra={"fields": fields})
    return ended


async def _record_failure(error: str, step: Step, run: Run) -> None:
    """Store the failure in the database as well. If the database failed, the log is enough."""
    with suppress(Exception):
        async with asyncio.timeout_at(run.deadline):
            await run.fail(step.name, error)


async def _do(step: Step, run: Run, found: Found) -> bool:
    if step.every is None:
        await step.do(found, {})
        return True
    last = await run.begin(step.name, step.every, min(step.every, RETRY_SECONDS))
    if last is None:
        return False
    await step.do(found, last)
    await run.end(step.name, found)
    return True
