"""`python -m dev.docs.openapi`: writes docs/openapi.json, the API description of both functions.

Requests and responses come from the functions' own models, and error codes from every `raise
ApiError`. A test fails if the file is out of date. A new action needs a row in `ACTIONS`; a raise
whose code is a variable needs one in `_codes_elsewhere`.
"""

import ast
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter
from pydantic.json_schema import SkipJsonSchema

from dev.docs import data_api
from dev.options import no_options
from dev.settings import ROOT
from edge.clients import Clients
from edge.errors import ApiError
from edge.worker_health import WorkerHealth
from health_check.app import steps_of_run
from health_check.records import Records
from health_check.registration import Registration
from health_check.settings import Settings as HealthCheckSettings
from health_check.steps import Outcome, Run
from roleplay_chat import turn_store
from roleplay_chat.account import CONFIRMATION, DeleteAccountRequest
from roleplay_chat.admin.handlers import (
    ModelTestRequest,
    PreviewRequest,
    ProviderModelsRequest,
)
from roleplay_chat.api import (
    HEARTBEAT,
    Answer,
    AttemptSummary,
    ChatRequest,
    ModelChoice,
    Usage,
    sse,
)
from roleplay_chat.cards.handlers import ExportRequest
from roleplay_chat.chats import handlers as chats
from roleplay_chat.message_actions import (
    BranchRequest,
    DeleteRequest,
    EditRequest,
    HideRequest,
    MessageRequest,
)
from roleplay_chat.openai_api.answers import Answers, model
from roleplay_chat.openai_api.completions import Completion, CompletionBody
from roleplay_chat.portraits.handlers import PortraitRequest
from roleplay_chat.settings import Settings
from roleplay_chat.stops import StopRequest
from roleplay_chat.turn_events import CUT_OFF

FILE = ROOT / "docs" / "openapi.json"
FUNCTIONS = ROOT / "functions"

Schema = dict[str, Any]

_ID = "c0ffee00-0000-4000-8000-000000000001"
_REQUEST_ID = "0123456789abcdef0123456789abcdef"
_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAGUlEQVR42mPUsIligIEFFXJwNhMDDjA4JQB7lwIEqLPg9gAA"
    "AABJRU5ErkJggg=="
)
"""A PNG of eight by eight pixels."""
_ANYWHERE = "http://127.0.0.1:8787"


# --- actions that are not turns ----------------------------------------------------------------


class ImportRequest(BaseModel):
    """A character: as JSON in `card`, or as a file (.json, .png, .charx, .yaml) in `card_base64`.

    Cards of V1 to V3, and characters of Agnai, RisuAI and text-generation-webui.
    """

    card: dict[str, Any] | SkipJsonSchema[None] = None
    card_base64: str | SkipJsonSchema[None] = Field(
        default=None, json_schema_extra={"contentEncoding": "base64"}
    )
    conversation_id: UUID | SkipJsonSchema[None] = Field(
        default=None,
        description="Where a lorebook applies; everywhere without it and `persona_id`.",
    )
    persona_id: UUID | SkipJsonSchema[None] = None
    model_config = {
        "json_schema_extra": {"oneOf": [{"required": ["card"]}, {"required": ["card_base64"]}]}
    }


class ImportAnswer(BaseModel):
    """The imported character, or the lorebook if the file was one. `warnings` are sentences: fields
    that were converted or left out, and what will not work as the author meant."""

    character_id: UUID | SkipJsonSchema[None] = None
    lorebook_id: UUID | SkipJsonSchema[None] = None
    name: str
    greetings: int | SkipJsonSchema[None] = None
    book_entries: int
    warnings: list[str]


class DeleteAccountAnswer(BaseModel):
    """The account was deleted: the numbers of its rows, such as `conversations`."""

    deleted: dict[str, int]


class ExportAnswer(BaseModel):
    """The card of a character: `card` for JSON, `card_base64` for files."""

    character_id: UUID
    format: Literal["json", "png", "charx"]
    warnings: list[str]
    card: dict[str, Any] | SkipJsonSchema[None] = None
    card_base64: str | SkipJsonSchema[None] = Field(
        default=None, json_schema_extra={"contentEncoding": "base64"}
    )
    model_config = {
        "json_schema_extra": {"oneOf": [{"required": ["card"]}, {"required": ["card_base64"]}]}
    }


class ImportChatRequest(chats.ImportRequest):
    """A chat of SillyTavern: its text in `chat`, or the file (.jsonl) in `chat_base64`; who the
    conversation is with, and its persona."""

    chat: str | SkipJsonSchema[None] = None
    chat_base64: str | SkipJsonSchema[None] = Field(
        default=None, json_schema_extra={"contentEncoding": "base64"}
    )
    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["chat"]}, {"required": ["chat_base64"]}]}
    )


class ImportChatAnswer(BaseModel):
    """The new conversation: the numbers of messages, of further versions and of hidden messages;
    the names of characters that joined. `warnings` are sentences."""

    conversation_id: UUID
    messages: int
    versions: int
    hidden: int
    joined: list[str]
    warnings: list[str]


class ExportChatRequest(chats.ExportRequest):
    """The conversation."""


class ExportChatAnswer(BaseModel):
    """The text of a SillyTavern chat, with hidden messages and versions."""

    conversation_id: UUID
    chat: str


class ChooseAnswer(BaseModel):
    """The version that is now active."""

    conversation_id: UUID
    message_id: UUID


class EditAnswer(ChooseAnswer):
    """The message, and when it was edited."""

    edited_at: datetime


class SetPortraitRequest(PortraitRequest):
    """A PNG, JPEG, WebP or GIF file in base64."""

    picture_base64: str


class SetPortraitAnswer(BaseModel):
    """The path of the picture in the bucket `character-portraits`."""

    character_id: UUID
    path: str


class HideAnswer(ChooseAnswer):
    """The message, and whether it is hidden from models."""

    hidden: bool


class DeleteAnswer(BaseModel):
    """The number of deleted messages, including versions."""

    deleted: int


class StopAnswer(BaseModel):
    """The turn, and whether it was still running. Its own request gets the text so far."""

    turn_id: UUID
    running: bool


class BranchAnswer(BaseModel):
    """The new conversation."""

    conversation_id: UUID


class ModelTestAnswer(BaseModel):
    """Whether the model generates. `code` is "ok" or an error policy of docs/failures.md, and
    `explanation` says what happened. For admins."""

    is_ok: bool
    code: str
    explanation: str
    status: int | None = Field(description="The HTTP status of an error, if there is one.")
    first_token_ms: int | None
    duration_ms: int
    calls: int = Field(description="How many calls there were, with repairs and retries.")


class ProviderModelsAnswer(BaseModel):
    """The ids of the models that the provider lists, or why there are none. For admins."""

    is_ok: bool
    code: str
    explanation: str
    duration_ms: int
    models: list[str]


class PreviewPart(BaseModel):
    """A part of the prompt; `of` has its tokens before it was cut."""

    part: str
    tokens: int
    of: int | SkipJsonSchema[None] = None


class PreviewMessage(BaseModel):
    """A message as sent to a model."""

    role: Literal["system", "user", "assistant"]
    content: str


class PreviewAnswer(BaseModel):
    """The prompt that the template produces for an invented conversation. For admins."""

    tokens: int
    parts: list[PreviewPart]
    messages: list[PreviewMessage]


@dataclass(frozen=True)
class Action:
    """Request and response of an action, without `action`, `success` and `request_id`."""

    request: type[BaseModel]
    answer: type[BaseModel]
    example: Mapping[str, Any]


ACTIONS: Mapping[str, Action] = {
    "import_card": Action(
        ImportRequest,
        ImportAnswer,
        {
            "card": {
                "spec": "chara_card_v2",
                "spec_version": "2.0",
                "data": {
                    "name": "Mara Voss",
                    "description": "{{char}} keeps the lighthouse on Grey Skerry.",
                    "personality": "Dry, patient, kind.",
                    "scenario": "",
                    "first_mes": "The door is open. Mind the step.",
                    "mes_example": "",
                },
            }
        },
    ),
    "export_card": Action(ExportRequest, ExportAnswer, {"character_id": _ID, "format": "json"}),
    "import_chat": Action(
        ImportChatRequest,
        ImportChatAnswer,
        {
            "character_id": _ID,
            "chat": '{"user_name": "Ada", "character_name": "Mara"}\n'
            '{"name": "Ada", "is_user": true, "mes": "Hello"}\n',
            "client_message_id": "a-new-uuid",
        },
    ),
    "export_chat": Action(ExportChatRequest, ExportChatAnswer, {"conversation_id": _ID}),
    "set_portrait": Action(
        SetPortraitRequest,
        SetPortraitAnswer,
        {"character_id": _ID, "picture_base64": _PICTURE},
    ),
    "delete_account": Action(
        DeleteAccountRequest, DeleteAccountAnswer, {"confirmation": CONFIRMATION}
    ),
    "choose": Action(MessageRequest, ChooseAnswer, {"message_id": _ID}),
    "edit": Action(EditRequest, EditAnswer, {"message_id": _ID, "message": "What I meant."}),
    "delete": Action(DeleteRequest, DeleteAnswer, {"message_id": _ID, "onwards": True}),
    "hide": Action(HideRequest, HideAnswer, {"message_id": _ID, "hidden": True}),
    "stop": Action(StopRequest, StopAnswer, {"turn_id": _ID}),
    "branch": Action(
        BranchRequest, BranchAnswer, {"message_id": _ID, "client_message_id": "a-new-uuid"}
    ),
    "test_model": Action(ModelTestRequest, ModelTestAnswer, {"model_id": _ID}),
    "list_provider_models": Action(
        ProviderModelsRequest, ProviderModelsAnswer, {"provider_id": _ID}
    ),
    "preview_prompt": Action(
        PreviewRequest, PreviewAnswer, {"system_prompt": "You are {{char}}.", "content_tier": "sfw"}
    ),
}
"""By the request's `action`."""

_TURN_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "send": {
        "conversation_id": _ID,
        "message": "Hello, who are you?",
        "client_message_id": "5b3c5e9e-8a55-4f0c-9d5f-0e8e4f8f0d11",
    },
    "send_streamed": {"conversation_id": _ID, "message": "Hello, who are you?", "stream": True},
    "kickoff": {"conversation_id": _ID, "kickoff": True},
    "regenerate": {"conversation_id": _ID, "action": "regenerate"},
    "continue": {"conversation_id": _ID, "action": "continue"},
    "impersonate": {"conversation_id": _ID, "action": "impersonate"},
}

_FIELDS: Mapping[str, str] = {
    "message": "The user's message. Required for `send`, rejected with `kickoff`, otherwise"
    " ignored. At most `MAX_MESSAGE_CHARS`.",
    "kickoff": "The character opens the conversation; send no message.",
    "conversation_id": "Required for roleplay and for actions on a conversation.",
    "message_id": "The reply to `regenerate` or `continue`; default: the newest.",
    "character_id": "One of the characters of the conversation; default: its own.",
    "model_provider": "`chat_worker` (any worker), `chat_worker:<name>` or a model key; default: "
    "the default model.",
    "memory_tier": "The scope of new facts; default: `conversation`.",
    "content_tier": "The requested tier; the response contains the actual one.",
    "user_character_id": "The character that the user plays.",
    "greeting": "Which greeting opens the conversation: 0 is the first message, then come the"
    " alternates, in groups followed by greetings for groups.",
    "action": "What the turn does; default: `send`.",
    "on_disconnect": "Whether a turn goes on after the client disconnects; default: `finish`.",
    "stream": "Answer with server-sent events; so does `Accept: text/event-stream`.",
    "client_message_id": "A request repeated with the same id is answered once.",
}


# --- errors ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ErrorAnswer:
    """One way in which a request can fail."""

    status: int
    code: str
    sentence: str
    """The sentence for the person, with "…" for variable parts; empty if all of it varies."""
    retry_after: bool
    """Whether the response has a Retry-After header."""


def error_answers(*packages: str, without: str = "") -> list[ErrorAnswer]:
    """Every `ApiError` that the modules of these packages raise, by status and code.

    `without` is the name of a module that is left out.
    """
    return sorted(
        (
            error
            for package in packages
            for file in sorted((FUNCTIONS / package).rglob("*.py"))
            if file.stem != without
            for error in _raised_in(file)
        ),
        key=lambda error: (error.status, error.code),
    )


@cache
def _raised_in(file: Path) -> Sequence[ErrorAnswer]:
    return list(_errors_in(file))


def _errors_in(file: Path) -> Iterator[ErrorAnswer]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == ApiError.__name__:
            status, code, sentence = node.args
            retry_after = any(keyword.arg == "retry_after" for keyword in node.keywords)
            known: Mapping[str, tuple[int, str]]
            if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                known = {str(code.value): (int(str(status.value)), _sentence(sentence))}
            else:
                known = _codes_elsewhere(file, ast.unparse(status), ast.unparse(code))
            for name, (number, words) in known.items():
                yield ErrorAnswer(number, name, words, retry_after)


def _codes_elsewhere(file: Path, status: str, code: str) -> Mapping[str, tuple[int, str]]:
    """Status and sentence by code, for a raise whose code is a variable."""
    waiting = "You are sending messages very fast. Please wait a moment."
    known: dict[tuple[str, str, str], Mapping[str, tuple[int, str]]] = {
        ("turn_store.py", "status", "outcome"): turn_store._BLOCKED,
        ("turn_store.py", "429", "outcome"): {"rate_limited": (429, waiting)},
        ("turn_errors.py", "503", "code"): {
            "free_limit_reached": (503, "Today's free replies are used up. They are back …."),
            "no_model_available": (503, "No model can answer right now. Please try again …."),
        },
        ("handlers.py", "409", "outcome"): {
            "too_many_characters": (409, "You have reached the maximum number of characters.")
        },
        ("request_body.py", "413", "code"): dict.fromkeys(
            ("body_too_large", "card_too_large", "chat_too_large"),
            (413, "The request is too large: at most … bytes."),
        ),
    }
    try:
        return known[file.name, status, code]
    except KeyError:
        raise LookupError(
            f"{file.name} raises ApiError({status}, {code}, ...): "
            "say in dev/docs/openapi.py which codes these are"
        ) from None


def _sentence(node: ast.expr) -> str:
    """A literal sentence, with "…" for inserted values; empty if it is not a literal."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    words = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts]
    return "".join(words) if any(" " in word.strip() for word in words) else ""


# --- schemas -----------------------------------------------------------------------------------


def _schemas() -> dict[str, Schema]:
    """The schemas of `components`, by name."""
    shapes: list[type] = [ModelChoice, Usage, AttemptSummary, Answer]
    models = [action.answer for action in ACTIONS.values()]
    requests: list[type] = [ChatRequest, *(action.request for action in ACTIONS.values())]
    # Responses always contain the fields that have defaults.
    found = _generated(requests, "validation") | _generated([*shapes, *models], "serialization")
    for name, action in ACTIONS.items():
        _add(found[action.request.__name__], first={"action": {"const": name}})
        _add(
            found[action.answer.__name__],
            first={"success": {"const": True}},
            last={"request_id": {"type": "string"}},
        )
    request = found["ChatRequest"]
    for field, sentence in _FIELDS.items():
        request["properties"][field]["description"] = sentence
    longest = Settings.model_fields["max_message_chars"].default
    request["properties"]["message"]["anyOf"][0]["maxLength"] = longest
    request["description"] += ' `""` is taken for no value.'
    answer, chosen = _answer(found["Answer"], found.pop("ModelChoice"))
    error: Schema = {
        "type": "object",
        "description": "The body of every error.",
        "properties": {
            "success": {"const": False},
            "error": {"type": "string", "description": "A sentence for the person."},
            "code": {"type": "string", "pattern": "^[a-z_]+$", "description": "For programs."},
            "request_id": {"type": "string"},
        },
        "required": ["success", "error", "code", "request_id"],
    }
    return found | {"Answer": answer, "Error": error} | _events(answer, chosen) | _health()


def _generated(
    types: Iterable[type], mode: Literal["validation", "serialization"]
) -> dict[str, Schema]:
    """The schemas of these models and dataclasses, including nested ones, by name."""
    inputs = [(shape.__name__, mode, TypeAdapter[Any](shape)) for shape in types]
    template = "#/components/schemas/{model}"
    _, schema = TypeAdapter.json_schemas(inputs, ref_template=template)
    definitions: dict[str, Schema] = schema["$defs"]
    for definition in definitions.values():
        definition.pop("title", None)
        for field in definition["properties"].values():
            field.pop("title", None)
            if field.get("default", "") is None:
                del field["default"]
    return definitions


def _add(schema: Schema, first: Schema, last: Schema | None = None) -> None:
    """Add required properties before and after the schema's own."""
    more = last or {}
    schema["properties"] = first | schema["properties"] | more
    schema["required"] = [*first, *schema.get("required", []), *more]


def _answer(of_dataclass: Schema, of_chosen: Schema) -> tuple[Schema, Schema]:
    """The schemas of Answer and ModelChoice as clients see them: names in JSON, and constants."""
    chosen = ModelChoice(**{field.name: field.name for field in fields(ModelChoice)})  # type: ignore[arg-type]
    of_fields: Schema = {field.name: field.name for field in fields(Answer)}
    known = of_fields | {"chosen": chosen, "usage": Usage(), "route": []}
    known |= {"stopped": False, "continued_chars": 0}
    properties = of_dataclass["properties"] | of_chosen["properties"]
    told = _as_told(properties, Answer(**known).to_json())
    told["properties"]["stopped"] = {
        "const": True,
        "description": "Present if the person stopped the reply.",
    }
    told["properties"]["continued_chars"] = {
        "type": "integer",
        "description": "Present if the reply continues another one: how many characters (Unicode"
        " code points) of `response` were there before. A stream only has the others.",
    }
    told["properties"]["code"] = {
        "const": "not_saved",
        "description": "Present if `saved` is false: the conversation may lack this reply.",
    }
    return told | {"description": of_dataclass["description"]}, _as_told(
        properties, chosen.to_json()
    )


def _as_told(properties: Schema, body: Schema) -> Schema:
    """The schema of a JSON body whose values are the names of their source fields."""
    told: dict[str, Schema] = {}
    for key, value in body.items():
        if isinstance(value, bool | int):
            told[key] = {"const": value}
        else:
            told[key] = properties[value if isinstance(value, str) else key]
    told = {key: {k: v for k, v in one.items() if k != "default"} for key, one in told.items()}
    return {"type": "object", "properties": told, "required": list(told)}


def _events(answer: Schema, chosen: Schema) -> dict[str, Schema]:
    cut_off = {name: {"const": value} for name, value in CUT_OFF.items() if name != "error"}
    names = ("turn_id", "character_id")
    started = {name: answer["properties"][name] for name in names} | chosen["properties"]
    incomplete = answer["properties"] | cut_off | {"error": {"type": "string"}}
    return {
        "StartEvent": {
            "type": "object",
            "description": "The first words have arrived: the turn's id and the answering model.",
            "properties": started,
            "required": list(started),
        },
        "DeltaEvent": {
            "type": "object",
            "description": "More of the reply.",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
        },
        "CutOff": {
            "type": "object",
            "description": "The reply was cut off; the text so far is saved and can be continued.",
            "properties": incomplete,
            "required": [*answer["required"], "error", "code"],
        },
        "ErrorEvent": {
            "anyOf": [_ref("Error"), _ref("CutOff")],
            "description": "The turn failed, or its reply was cut off.",
        },
    }


_HEALTH = WorkerHealth(
    is_healthy=True,
    checked_at=datetime(2026, 1, 1, tzinfo=UTC),
    response_ms=1,
    error="error",
    url=_ANYWHERE,
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

    described = _generated([WorkerHealth], "serialization")["WorkerHealth"]["properties"]
    of_value = {as_json(getattr(_HEALTH, one.name)): one.name for one in fields(WorkerHealth)}
    record = {name: described[of_value[as_json(v)]] for name, v in _HEALTH.to_json().items()}
    # Records always contain the fields that have defaults.
    return {name: {k: v for k, v in one.items() if k != "default"} for name, one in record.items()}


def _step_names() -> list[str]:
    """The steps of a run with the default settings."""
    settings = HealthCheckSettings.model_construct(
        supabase_url=_ANYWHERE, supabase_secret_key=SecretStr("")
    )
    clients, log = Clients(settings), logging.getLogger(__name__)
    run = Run(clients, settings, {}, log, _REQUEST_ID, 0, Records(clients))
    worker = {
        "health_key": "<name>",
        "url": _ANYWHERE,
        "is_expired": False,
        "config": {},
        "secret_name": None,
        "health": None,
    }
    chains = steps_of_run({}, [worker], run, {})
    return [step.name for chain in chains for step in chain]


def _health() -> dict[str, Schema]:
    record = _health_record()
    count = {"type": ["integer", "null"], "minimum": 0}
    answer: Schema = {
        "success": {"const": True},
        "workers": {"type": "object", "additionalProperties": _ref("WorkerHealth")},
        "turns_closed": count
        | {"description": "Turns closed because their process died; null: not done."},
        "cooldowns_cleared": count
        | {"description": "Expired cooldowns that were deleted; null: not done."},
        "steps": {
            "type": "object",
            "description": "The result of each step of the run: "
            + ", ".join(f"`{name}`" for name in _step_names())
            + ".",
            "additionalProperties": _ref("StepOutcome"),
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
        "StepOutcome": _generated([Outcome], "serialization")["Outcome"],
        "HealthAnswer": {"type": "object", "properties": answer, "required": list(answer)},
        "Registration": _generated([Registration], "validation")["Registration"],
        "Registered": {"type": "object", "properties": registered, "required": list(registered)},
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


# --- operations --------------------------------------------------------------------------------


_SECURITY_SCHEMES: Schema = {
    "user": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a user signed in with Supabase.",
    },
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key that a user created: `rpk_` and 64 digits.",
    },
    "publishable": {
        "type": "apiKey",
        "in": "header",
        "name": "apikey",
        "description": "The publishable key of the Supabase project.",
    },
    "scheduler": {
        "type": "http",
        "scheme": "bearer",
        "description": "`HEALTH_CHECK_SECRET`, or an ID token of the service account.",
    },
    "secret": {"type": "apiKey", "in": "header", "name": "X-Health-Check-Secret"},
    "worker": {
        "type": "http",
        "scheme": "bearer",
        "description": "The worker's own key: `make worker`.",
    },
}


def document() -> Schema:
    """The OpenAPI description of both functions."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Roleplay backend",
            "version": "1",
            "description": "The backend of a chat with fictional characters. Generated by "
            "`python -m dev.docs.openapi`.",
        },
        "servers": [
            {
                "url": "{functions}",
                "variables": {
                    "functions": {
                        "default": _ANYWHERE,
                        "description": "The base URL of both functions.",
                    }
                },
            }
        ],
        "paths": {
            "/roleplay_chat": _roleplay_chat(),
            "/roleplay_chat/v1/models": _models("Models"),
            "/roleplay_chat/v1/models/{model}": _models("Model"),
            "/roleplay_chat/v1/chat/completions": _completions(),
            "/health_check": _health_check(),
            "/health_check/workers/{name}": _registration(),
            **data_api.paths(),
        },
        "components": {
            "schemas": _schemas() | _completion_schemas() | data_api.schemas(),
            "headers": {
                "X-Request-Id": {
                    "description": "The request's id in the log.",
                    "required": True,
                    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                }
            },
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _roleplay_chat() -> Schema:
    failures = _failures("_shared", "roleplay_chat")
    return {
        "post": _run_action(failures),
        "get": _read_stream(failures),
        "options": _preflight(failures),
    }


def _run_action(failures: Schema) -> Schema:
    actions = {name: {"action": name, **action.example} for name, action in ACTIONS.items()}
    examples = {**_TURN_EXAMPLES, **actions}
    bodies = ["ChatRequest", *(action.request.__name__ for action in ACTIONS.values())]
    answers = ["Answer", *(action.answer.__name__ for action in ACTIONS.values())]
    return {
        "operationId": "roleplay_chat",
        "summary": "Run a turn or another action",
        "security": [{"user": []}],
        "requestBody": {
            "required": True,
            "description": "Unknown fields are ignored.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [_ref(name) for name in bodies],
                        "discriminator": {"propertyName": "action", "mapping": _mapping()},
                    },
                    "examples": {name: {"value": body} for name, body in examples.items()},
                }
            },
        },
        "responses": {
            "200": _answered(
                "The saved reply, or the result of the action.",
                {
                    "application/json": {"schema": {"anyOf": [_ref(a) for a in answers]}},
                    "text/event-stream": _stream(),
                },
            ),
            **_but_for_other_methods(failures),
        },
    }


def _read_stream(failures: Schema) -> Schema:
    alive = {"status": {"const": "ok"}, "function": {"const": "roleplay_chat"}}
    return {
        "operationId": "roleplay_chat_alive",
        "summary": "Check that the function is running, or continue reading a stream",
        "description": "With `Last-Event-ID`, the events of that turn after this one: the rest of"
        " the reply if this instance runs the turn, otherwise heartbeats and then the saved reply,"
        " which begins with another `start`. A POST with this header gets the same.",
        "security": [{}, {"user": []}],
        "parameters": [
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The `id` of the last event that was read; `<turn_id>/0.0` for all"
                " events. Anything else is ignored.",
                "schema": {"type": "string"},
            }
        ],
        "responses": {
            "200": _answered(
                "The function is running; or the events.",
                {**_json(alive), "text/event-stream": _stream()},
            ),
            **{status: failures[status] for status in _ON_READING},
        },
    }


def _preflight(failures: Schema) -> Schema:
    headers = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
    return {
        "operationId": "roleplay_chat_preflight",
        "summary": "CORS preflight",
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "schema": {"type": "string"}} for name in headers
        ],
        "responses": {
            "200": {"description": "Allowed.", "content": _text("OK")},
            "400": {
                "description": "Not allowed: see `CORS_ALLOW_ORIGINS`, or an unknown method.",
                "content": _text("Disallowed CORS method"),
            },
            **{status: failures[status] for status in ("405", "500")},
        },
    }


_ON_READING = ("401", "403", "404", "409", "410", "429", "500", "503")
"""The statuses of errors for a reader who comes back."""


def _mapping() -> dict[str, str]:
    """The schema of a request by its `action`; without one it is a ChatRequest."""
    turns = ("send", "regenerate", "continue", "impersonate")
    others = {name: action.request.__name__ for name, action in ACTIONS.items()}
    named = dict.fromkeys(turns, "ChatRequest") | others
    return {action: f"#/components/schemas/{name}" for action, name in named.items()}


# --- the OpenAI-compatible API -----------------------------------------------------------------


def _completion_schemas() -> dict[str, Schema]:
    """The schemas of requests, answers and errors in OpenAI's form."""
    request = _generated([CompletionBody], "validation")
    body = request["CompletionBody"]
    body["properties"]["messages"]["description"] = (
        "What was said so far. Leading system messages are directions for the scene, later ones are"
        " the person's words. With a conversation, only the person's words since the last reply"
        " count."
    )
    error: Schema = {
        "type": "object",
        "properties": {
            "message": {"type": "string", "description": "A sentence for the person."},
            "type": {"type": "string"},
            "param": _TEXT_OR_NULL,
            "code": {"type": "string", "pattern": "^[a-z_]+$"},
        },
        "required": ["message", "type", "param", "code"],
    }
    failed = _object("The body of every error in OpenAI's form.", {"error": error})
    return request | {"OpenAiError": failed} | _model_schemas() | _reply_schemas()


def _model_schemas() -> dict[str, Schema]:
    return {
        "Model": _object(
            "A character.",
            {
                "id": {"type": "string", "description": "Stays valid when the name changes."},
                "object": {"const": "model"},
                "created": {"type": "integer"},
                "owned_by": {"enum": ["you", "public"]},
                "name": {"type": "string"},
            },
        ),
        "Models": _object(
            "The characters with whom the caller may begin to talk: their own, then public ones.",
            {"object": {"const": "list"}, "data": {"type": "array", "items": _ref("Model")}},
        ),
    }


def _reply_schemas() -> dict[str, Schema]:
    return {
        "CompletionUsage": _object(
            "Tokens of the reply.",
            {
                "prompt_tokens": {"type": "integer"},
                "completion_tokens": {"type": "integer"},
                "total_tokens": {"type": "integer"},
                "prompt_tokens_details": _object("", {"cached_tokens": {"type": "integer"}}),
            },
        ),
        "CompletionTurn": _object(
            "Facts about the turn that OpenAI's form does not have.",
            {
                name: {"type": "boolean"} if isinstance(value, bool) else _TEXT_OR_NULL
                for name, value in _completion_example()["roleplay_chat"].items()
            },
        ),
        "ChatCompletion": _object(
            "A reply.",
            {
                **_completion_common("chat.completion"),
                "choices": {"type": "array", "items": _choice("message", _MESSAGE, _REASON)},
                "usage": _ref("CompletionUsage"),
                "roleplay_chat": _ref("CompletionTurn"),
            },
        ),
        "ChatCompletionChunk": _object(
            "A piece of a streamed reply. With `stream_options.include_usage` every chunk has"
            " `usage`, and the last one has numbers and no choice.",
            {
                **_completion_common("chat.completion.chunk"),
                "choices": {
                    "type": "array",
                    "items": _choice("delta", _DELTA, {"anyOf": [_REASON, {"type": "null"}]}),
                },
            },
            {
                "usage": {"anyOf": [_ref("CompletionUsage"), {"type": "null"}]},
                "roleplay_chat": _ref("CompletionTurn"),
            },
        ),
    }


_TEXT_OR_NULL: Schema = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_REASON: Schema = {"enum": ["stop", "length"]}
_MESSAGE: Schema = {
    "type": "object",
    "properties": {
        "role": {"const": "assistant"},
        "content": {"type": "string"},
        "refusal": {"type": "null"},
    },
    "required": ["role", "content", "refusal"],
}
_DELTA: Schema = {
    "type": "object",
    "properties": {"role": {"const": "assistant"}, "content": {"type": "string"}},
}


def _object(description: str, properties: Schema, optional: Schema | None = None) -> Schema:
    about = {"description": description} if description else {}
    named = {"properties": properties | (optional or {}), "required": list(properties)}
    return {"type": "object", **about, **named}


def _choice(name: str, content: Schema, reason: Schema) -> Schema:
    told = {"index": {"const": 0}, name: content, "logprobs": {"type": "null"}}
    return _object("", told | {"finish_reason": reason})


def _completion_common(kind: str) -> Schema:
    return {
        "id": {"type": "string"},
        "object": {"const": kind},
        "created": {"type": "integer", "description": "In Unix time."},
        "model": {"type": "string"},
    }


def _completion_example() -> Schema:
    chosen = ModelChoice("chat_worker")
    answer = Answer("I am Mara Voss.", chosen, _ID, _REQUEST_ID, 1_200, "sfw", "stop")
    completion = Completion(ChatRequest(), f"mara-voss-{_ID}", stream=False, include_usage=False)
    return Answers(completion, _ID, created=1_767_225_600).whole(answer.to_json())


def _completions() -> Schema:
    example = {
        "model": f"mara-voss-{_ID}",
        "messages": [{"role": "user", "content": "Hello, who are you?"}],
    }
    body = {"schema": _ref("CompletionBody"), "examples": {"hello": {"value": example}}}
    headers = {
        "X-Conversation-Id": "The conversation in which the turn is stored. Without one, nothing is"
        " stored but usage.",
        "X-Client-Message-Id": "A request repeated with the same id is answered once. Only with a"
        " conversation.",
    }
    chunks = {
        "schema": {
            "description": "Chunks as `data:` lines; the last line is `data: [DONE]`, or an error.",
            "type": "string",
            "contentSchema": {"anyOf": [_ref("ChatCompletionChunk"), _ref("OpenAiError")]},
        }
    }
    reply = {"schema": _ref("ChatCompletion"), "example": _completion_example()}
    return {
        "post": {
            "operationId": "create_chat_completion",
            "summary": "Talk with a character, in the form of OpenAI's API",
            "security": [{"user": []}, {"api_key": []}],
            "parameters": [
                {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}
                for name, words in headers.items()
            ],
            "requestBody": {"required": True, "content": {"application/json": body}},
            "responses": {
                "200": _answered(
                    "The reply.", {"application/json": reply, "text/event-stream": chunks}
                ),
                **_completion_failures(),
            },
        }
    }


def _models(schema: str) -> Schema:
    row = {"id": _ID, "name": "Mara Voss", "is_own": False, "created": 1_767_225_600}
    one = model(row)
    example = one if schema == "Model" else {"object": "list", "data": [one]}
    name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "get": {
            "operationId": "read_model" if schema == "Model" else "list_models",
            "summary": "Read one character" if schema == "Model" else "List the characters",
            "security": [{"user": []}, {"api_key": []}],
            **({"parameters": [name]} if schema == "Model" else {}),
            "responses": {
                "200": _answered(
                    "As models.",
                    {"application/json": {"schema": _ref(schema), "example": example}},
                ),
                **_completion_failures(),
            },
        }
    }


def _completion_failures() -> dict[str, Schema]:
    """The errors of a turn in OpenAI's form."""
    failures = _but_for_other_methods(_failures("_shared", "roleplay_chat"))
    for failure in failures.values():
        failure["content"] = {"application/json": {"schema": _ref("OpenAiError")}}
        failure.get("headers", {}).get("Retry-After", {}).pop("required", None)
    return failures


def _health_check() -> Schema:
    failures = _failures("_shared", "health_check", without="registration")
    operation: Schema = {
        "summary": "Probe the workers, check the provider's key and models, clean up",
        "security": [{"scheduler": []}, {"secret": []}],
        "responses": {
            "200": _answered(
                "The run is done; `steps` has the result of each step.",
                {"application/json": {"schema": _ref("HealthAnswer")}},
            ),
            **_but_for_other_methods(failures),
        },
    }
    return {
        "get": {"operationId": "health_check_get", **operation},
        "post": {"operationId": "health_check", **operation},
    }


def _registration() -> Schema:
    failures = _failures("_shared", "health_check")
    name = {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,39}$"}
    body = {"application/json": {"schema": _ref("Registration")}}
    return {
        "post": {
            "operationId": "register_worker",
            "summary": "Register a worker, or renew its registration",
            "security": [{"worker": []}],
            "parameters": [{"name": "name", "in": "path", "required": True, "schema": name}],
            "requestBody": {"required": True, "content": body},
            "responses": {
                "200": _answered(
                    "The worker is registered until `lease_expires_at`.",
                    {"application/json": {"schema": _ref("Registered")}},
                ),
                **_but_for_other_methods(failures),
            },
        }
    }


def _stream() -> Schema:
    chosen = ModelChoice("chat_worker")
    answer = Answer("I am Mara Voss.", chosen, _ID, _REQUEST_ID, 1_200, "sfw", "stop")
    example = (
        sse("start", {"turn_id": _ID} | chosen.to_json(), f"{_ID}/1.0")
        + HEARTBEAT
        + sse("delta", {"text": "I am Mara Voss."}, f"{_ID}/1.15")
        + sse("done", answer.to_json(), f"{_ID}/1.15")
    )
    data = {"start": "StartEvent", "delta": "DeltaEvent", "done": "Answer", "error": "ErrorEvent"}
    events = [
        {
            "type": "object",
            "properties": {
                "event": {"const": event},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": _ref(schema),
                },
                "id": {"type": "string", "description": "Send it as `Last-Event-ID` to continue."},
            },
            "required": ["event", "data", "id"],
        }
        for event, schema in data.items()
    ]
    return {
        "schema": {
            "description": "The events of the stream: `start`, a `delta` for each piece of the "
            "reply, and finally `done` or `error`. A comment, "
            f"`{HEARTBEAT.strip()}`, keeps a silent connection open.",
            "oneOf": events,
        },
        "example": example,
    }


def _failures(*packages: str, without: str = "") -> dict[str, Schema]:
    """The error responses of a function, by status."""
    by_status: dict[int, list[ErrorAnswer]] = {}
    for error in error_answers(*packages, without=without):
        by_status.setdefault(error.status, []).append(error)
    return {str(status): _failure(of_status) for status, of_status in sorted(by_status.items())}


def _but_for_other_methods(failures: dict[str, Schema]) -> dict[str, Schema]:
    """All failures except 405, which only other methods get."""
    return {status: answer for status, answer in failures.items() if status != "405"}


def _failure(of_status: list[ErrorAnswer]) -> Schema:
    # The same code may come from several places. The first sentence represents them.
    sentences: dict[str, str] = {}
    for error in of_status:
        sentences[error.code] = sentences.get(error.code) or error.sentence
    lines = [f"- `{code}`" + (f": {words}" if words else "") for code, words in sentences.items()]
    code = {"type": "object", "properties": {"code": {"enum": list(sentences)}}}
    schema: Schema = {"allOf": [_ref("Error"), code]}
    answer = _answered("\n".join(lines), {"application/json": {"schema": schema}})
    if any(error.retry_after for error in of_status):
        answer["headers"]["Retry-After"] = {
            "description": "When to try again, in seconds.",
            "required": all(error.retry_after for error in of_status),
            "schema": {"type": "integer", "minimum": 1},
        }
    if of_status[0].status == 401:
        answer["headers"]["WWW-Authenticate"] = {
            "description": "The scheme of the token or key.",
            "required": True,
            "schema": {"const": "Bearer"},
        }
    if of_status[0].status == 405:
        answer["headers"]["Allow"] = {
            "description": "The allowed methods.",
            "required": True,
            "schema": {"type": "string"},
        }
    return answer


def _answered(description: str, content: Schema) -> Schema:
    header = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    return {"description": description, "headers": header, "content": content}


def _json(properties: Schema) -> Schema:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"application/json": {"schema": schema}}


def _text(example: str) -> Schema:
    return {"text/plain": {"schema": {"type": "string"}, "example": example}}


def written() -> str:
    """The text of docs/openapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    no_options("dev.docs.openapi", __doc__)
    FILE.write_text(written())
    print(FILE.relative_to(ROOT))
