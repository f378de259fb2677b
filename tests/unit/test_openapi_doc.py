"""docs/openapi.json is up to date."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import jsonschema_rs
import pytest
from msgspec.structs import replace
from openapi_spec_validator import OpenAPIV31SpecValidator

from dev.docs.openapi.actions import ACTIONS
from dev.docs.openapi.document import FILE, document, written
from dev.docs.openapi.errors import error_answers
from edge.worker_health import WorkerHealth
from health_check.steps import Outcome
from roleplay_chat import message_actions, turn_store
from roleplay_chat.admin import actions as admin
from roleplay_chat.api import Answer, AttemptSummary, ChatRequest, ModelChoice, Usage
from roleplay_chat.endpoints import ACTIONS_OF_MODULES
from roleplay_chat.turn_errors import no_answer
from roleplay_chat.turn_events import CUT_OFF
from roleplay_chat.turn_store import spend_limit_reached

ANSWER = Answer(
    response="Hello.",
    chosen=ModelChoice("chat_worker", used_fallback=True, fallback_model="qwen", notice="Another."),
    turn_id="turn",
    request_id="request",
    processing_time=12,
    content_tier="sfw",
    usage=Usage(1, 2, 0.5),
    route=[AttemptSummary("chat_worker", "ok", 12)],
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENT = document()


def of_component(name: str) -> jsonschema_rs.Validator:
    """A validator that rejects properties that are not described."""
    components = copy.deepcopy(DOCUMENT["components"])
    components["schemas"][name]["additionalProperties"] = False
    return jsonschema_rs.validator_for(
        {"$ref": f"#/components/schemas/{name}", "components": components}
    )


def test_file_is_up_to_date() -> None:
    assert FILE.read_text() == written(), "run: python -m dev.docs.openapi"


def test_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(json.loads(FILE.read_text())).validate()


def test_every_action_is_described() -> None:
    assert set(ACTIONS) == {
        *chain.from_iterable(ACTIONS_OF_MODULES.values()),
        *admin.ACTIONS,
        *message_actions.actions(1),
        "stop",
    }


@pytest.mark.parametrize(
    ("name", "body"),
    [
        pytest.param("Answer", ANSWER.to_json(), id="saved"),
        pytest.param("Answer", replace(ANSWER, saved=False).to_json(), id="unsaved"),
        pytest.param(
            "StartEvent",
            {"turn_id": "turn", "character_id": None, **ANSWER.chosen.to_json()},
            id="start",
        ),
        pytest.param("CutOff", ANSWER.to_json() | CUT_OFF, id="cut-off"),
        pytest.param("Error", spend_limit_reached(NOW).envelope("request"), id="error"),
        pytest.param(
            "WorkerHealth", WorkerHealth(False, NOW, 12, "it is down", "url").to_json(), id="health"
        ),
        pytest.param("StepOutcome", vars(Outcome("failed", 12, "away", {"days": 0})), id="step"),
    ],
)
def test_schema_is_of_what_is_answered(name: str, body: dict[str, Any]) -> None:
    validator = of_component(name)
    validator.validate(body)
    for missing in body.keys() - {"code"}:
        rest = {key: value for key, value in body.items() if key != missing}
        assert not validator.is_valid(rest), missing


def test_request_has_the_names_that_clients_send() -> None:
    described = DOCUMENT["components"]["schemas"]["ChatRequest"]["properties"]
    fields = ChatRequest.model_fields
    assert set(described) == {field.alias or name for name, field in fields.items()}


def test_every_error_is_described() -> None:
    known = {(answer.code, answer.status) for answer in error_answers("_shared", "roleplay_chat")}
    raised = [no_answer([], NOW, NOW), spend_limit_reached(NOW)]
    assert {(error.code, error.status) for error in raised} <= known
    assert {(code, status) for code, (status, _) in turn_store._BLOCKED.items()} <= known
    responses = DOCUMENT["paths"]["/roleplay_chat"]["post"]["responses"]
    for code, status in known - {("method_not_allowed", 405)}:
        schema = responses[str(status)]["content"]["application/json"]["schema"]
        assert code in schema["allOf"][1]["properties"]["code"]["enum"]
