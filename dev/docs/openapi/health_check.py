"""The function health_check in the API description."""

import json
import logging
from dataclasses import fields
from datetime import UTC, datetime

from pydantic import SecretStr

from dev.docs.openapi.errors import but_for_other_methods, failure_responses
from dev.docs.openapi.parts import ANYWHERE, REQUEST_ID, Schema, answered, generated, ref
from edge.clients import Clients
from edge.worker_health import WorkerHealth
from health_check.app import steps_of_run
from health_check.records import Records
from health_check.registration import Registration
from health_check.settings import Settings as HealthCheckSettings
from health_check.steps import Outcome, Run

_HEALTH = WorkerHealth(
    is_healthy=True,
    checked_at=datetime(2026, 1, 1, tzinfo=UTC),
    response_ms=1,
    error="error",
    url=ANYWHERE,
    probe_error="probe error",
    failures=2,
    since=datetime(2026, 1, 2, tzinfo=UTC),
    history=(3,),
    probes_since_deep=4,
    deep_checked_at=datetime(2026, 1, 3, tzinfo=UTC),
    deep_error="deep error",
    woken_at=datetime(2026, 1, 4, tzinfo=UTC),
)
"""No two fields have the same value, so a value shows which field it was written from."""


def _health_record() -> dict[str, Schema]:
    """The properties of a stored health record, each described as its field of `WorkerHealth`."""

    def as_json(value: object) -> str:
        return json.dumps(value, default=datetime.isoformat)

    described = generated([WorkerHealth], "serialization")["WorkerHealth"]["properties"]
    of_value = {as_json(getattr(_HEALTH, one.name)): one.name for one in fields(WorkerHealth)}
    record = {name: described[of_value[as_json(v)]] for name, v in _HEALTH.to_json().items()}
    # Records always contain the fields that have defaults.
    return {name: {k: v for k, v in one.items() if k != "default"} for name, one in record.items()}


def _step_names() -> list[str]:
    """The steps of a run with the default settings."""
    settings = HealthCheckSettings.model_construct(
        supabase_url=ANYWHERE, supabase_secret_key=SecretStr("")
    )
    clients, log = Clients(settings), logging.getLogger(__name__)
    run = Run(clients, settings, {}, log, REQUEST_ID, 0, Records(clients))
    worker = {
        "health_key": "<name>",
        "url": ANYWHERE,
        "is_expired": False,
        "config": {},
        "secret_name": None,
        "health": None,
    }
    chains = steps_of_run({}, [worker], run, {})
    return [step.name for chain in chains for step in chain]


def schemas() -> dict[str, Schema]:
    """The schemas of answers, and of registrations, by name."""
    record = _health_record()
    count = {"type": ["integer", "null"], "minimum": 0}
    answer: Schema = {
        "success": {"const": True},
        "workers": {"type": "object", "additionalProperties": ref("WorkerHealth")},
        "turns_closed": count
        | {"description": "Turns closed because their process died; null: not done."},
        "cooldowns_cleared": count
        | {"description": "Expired cooldowns that were deleted; null: not done."},
        "steps": {
            "type": "object",
            "description": "The result of each step of the run: "
            + ", ".join(f"`{name}`" for name in _step_names())
            + ".",
            "additionalProperties": ref("StepOutcome"),
        },
        "request_id": {"type": "string"},
    }
    registered: Schema = {
        "success": {"const": True},
        "lease_expires_at": {"type": "string", "format": "date-time"},
        "lease_seconds": {"type": "integer", "minimum": 20},
        "draining": {
            "type": "boolean",
            "description": "Whether it gets no new turns, at its own or an operator's request.",
        },
        "healthy": {
            "type": ["boolean", "null"],
            "description": "The result of the probe at a new address; null: it was not probed.",
        },
        "request_id": {"type": "string"},
    }
    return {
        "WorkerHealth": {
            "type": "object",
            "description": "The health of one worker; times in milliseconds.",
            "properties": record,
            "required": list(record),
        },
        "StepOutcome": generated([Outcome], "serialization")["Outcome"],
        "HealthAnswer": {"type": "object", "properties": answer, "required": list(answer)},
        "Registration": generated([Registration], "validation")["Registration"],
        "Registered": {"type": "object", "properties": registered, "required": list(registered)},
    }


def path() -> Schema:
    """What can be done at the function's address."""
    failures = failure_responses("_shared", "health_check", without="registration")
    operation: Schema = {
        "summary": "Probe the workers, check the provider's key and models, clean up",
        "security": [{"scheduler": []}, {"secret": []}],
        "responses": {
            "200": answered(
                "The run is done; `steps` has the result of each step.",
                {"application/json": {"schema": ref("HealthAnswer")}},
            ),
            **but_for_other_methods(failures),
        },
    }
    return {
        "get": {"operationId": "health_check_get", **operation},
        "post": {"operationId": "health_check", **operation},
    }


def registration_path() -> Schema:
    """What can be done at the address of a worker."""
    failures = failure_responses("_shared", "health_check")
    name = {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,39}$"}
    body = {"application/json": {"schema": ref("Registration")}}
    return {
        "post": {
            "operationId": "register_worker",
            "summary": "Register a worker, or renew its registration",
            "security": [{"worker": []}],
            "parameters": [{"name": "name", "in": "path", "required": True, "schema": name}],
            "requestBody": {"required": True, "content": body},
            "responses": {
                "200": answered(
                    "The worker is registered until `lease_expires_at`.",
                    {"application/json": {"schema": ref("Registered")}},
                ),
                **but_for_other_methods(failures),
            },
        }
    }
