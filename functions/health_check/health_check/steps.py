"""The steps of a run: each on its own, within the run's time."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from edge.clients import Clients
from edge.errors import ApiError
from health_check.settings import Settings

Found = dict[str, Any]
"""What a step reports, as JSON; what is there when the time is up is reported too."""

RETRY_SECONDS = 300
"""Until a step that is done now and then, and failed, is tried again."""


class StepFailed(Exception):
    """A step could not be done; the message says why and quotes nothing from outside.

    With `alert` somebody has to act.
    """

    def __init__(self, why: str, *, alert: bool = False) -> None:
        super().__init__(why)
        self.alert = alert


@dataclass(frozen=True)
class Run:
    """What the steps of one run share. `deadline` is on the event loop's clock."""

    clients: Clients
    settings: Settings
    environ: Mapping[str, str]
    log: logging.Logger
    request_id: str
    deadline: float

    async def begin(self, step: str, every: float, retry: float) -> Found | None:
        """Begin a step that is due and return what it found last; None when it is not due."""
        parameters = {"p_step": step, "p_every_seconds": every, "p_retry_seconds": retry}
        found: Found | None = await self.clients.rpc("begin_step", parameters)
        return found

    async def end(self, step: str, found: Found) -> None:
        """Keep what a step found; it is due again when its time has passed."""
        parameters = {"p_step": step, "p_found": found}
        await self.clients.rpc("end_step", parameters)

    async def fail(self, step: str, error: str) -> None:
        """Keep why a step could not be done."""
        await self.clients.rpc("fail_step", {"p_step": step, "p_error": error})


@dataclass(frozen=True)
class Step:
    """Something to do: it fills the first mapping, and is given what it found last time.

    `every` is in seconds; 0: each run; None: each run, and nothing is kept of it.
    `found["alerts"]` are for whoever has to act: "What is the matter: what to do."
    """

    name: str
    do: Callable[[Found, Found], Awaitable[None]]
    every: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a step."""

    outcome: Literal["done", "not_due", "failed", "out_of_time"]
    ms: int
    error: str | None
    found: Found

    def to_json(self) -> dict[str, Any]:
        """As it is answered and logged."""
        return {"outcome": self.outcome, "ms": self.ms, "error": self.error, "found": self.found}


async def run_step(step: Step, run: Run) -> Outcome:
    """Do a step if it is due. Nothing that goes wrong in it is raised."""
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
        await _keep(error, step, run)
    ended = Outcome(outcome, round((time.monotonic() - started) * 1000), error, found)
    if outcome != "not_due":
        fields = {"request_id": run.request_id, "step": step.name, **ended.to_json()}
        if found.get("alerts"):
            fields["severity"] = "ALERT"
        level = logging.INFO if outcome == "done" else logging.WARNING
        run.log.log(level, "step ended", extra={"fields": fields})
    return ended


async def _keep(error: str, step: Step, run: Run) -> None:
    """Have the database know, too; where it is the database that failed, the log alone does."""
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
