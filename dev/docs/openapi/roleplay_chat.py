"""The function roleplay_chat in the API description: turns, other actions, and streams."""

from collections.abc import Mapping
from typing import Any

from dev.docs.openapi.actions import ACTIONS
from dev.docs.openapi.errors import but_for_other_methods, failure_responses
from dev.docs.openapi.parts import (
    ID,
    REQUEST_ID,
    Schema,
    answered,
    generated,
    generated_from_structs,
    json_content,
    ref,
    text_content,
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
from roleplay_chat.settings import Settings
from roleplay_chat.turn_events import CUT_OFF

_TURN_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "send": {
        "conversation_id": ID,
        "message": "Hello, who are you?",
        "client_message_id": "5b3c5e9e-8a55-4f0c-9d5f-0e8e4f8f0d11",
    },
    "send_streamed": {"conversation_id": ID, "message": "Hello, who are you?", "stream": True},
    "kickoff": {"conversation_id": ID, "kickoff": True},
    "regenerate": {"conversation_id": ID, "action": "regenerate"},
    "continue": {"conversation_id": ID, "action": "continue"},
    "impersonate": {"conversation_id": ID, "action": "impersonate"},
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


def schemas() -> dict[str, Schema]:
    """The schemas of `components`, by name."""
    answers = [action.answer for action in ACTIONS.values()]
    requests: list[type] = [ChatRequest, *(action.request for action in ACTIONS.values())]
    # Responses always contain the fields that have defaults.
    responses = generated(answers, "serialization")
    responses |= generated_from_structs([ModelChoice, Usage, AttemptSummary, Answer])
    found = generated(requests, "validation") | dict(sorted(responses.items()))
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
    return found | {"Answer": answer, "Error": error} | _events(answer, chosen)


def _add(schema: Schema, first: Schema, last: Schema | None = None) -> None:
    """Add required properties before and after the schema's own."""
    more = last or {}
    schema["properties"] = first | schema["properties"] | more
    schema["required"] = [*first, *schema.get("required", []), *more]


def _answer(of_struct: Schema, of_chosen: Schema) -> tuple[Schema, Schema]:
    """The schemas of Answer and ModelChoice as clients see them: names in JSON, and constants."""
    chosen = ModelChoice(*ModelChoice.__struct_fields__)  # type: ignore[arg-type]
    of_fields: Schema = {name: name for name in Answer.__struct_fields__}
    known = of_fields | {"chosen": chosen, "usage": Usage(), "route": []}
    known |= {"stopped": False, "continued_chars": 0}
    properties = of_struct["properties"] | of_chosen["properties"]
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
    return told | {"description": of_struct["description"]}, _as_told(properties, chosen.to_json())


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
            "anyOf": [ref("Error"), ref("CutOff")],
            "description": "The turn failed, or its reply was cut off.",
        },
    }


def path() -> Schema:
    """What can be done at the function's address."""
    failures = failure_responses("_shared", "roleplay_chat")
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
                        "anyOf": [ref(name) for name in bodies],
                        "discriminator": {"propertyName": "action", "mapping": _mapping()},
                    },
                    "examples": {name: {"value": body} for name, body in examples.items()},
                }
            },
        },
        "responses": {
            "200": answered(
                "The saved reply, or the result of the action.",
                {
                    "application/json": {"schema": {"anyOf": [ref(a) for a in answers]}},
                    "text/event-stream": _stream(),
                },
            ),
            **but_for_other_methods(failures),
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
            "200": answered(
                "The function is running; or the events.",
                {**json_content(alive), "text/event-stream": _stream()},
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
            "200": {"description": "Allowed.", "content": text_content("OK")},
            "400": {
                "description": "Not allowed: see `CORS_ALLOW_ORIGINS`, or an unknown method.",
                "content": text_content("Disallowed CORS method"),
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


def _stream() -> Schema:
    chosen = ModelChoice("chat_worker")
    answer = Answer("I am Mara Voss.", chosen, ID, REQUEST_ID, 1_200, "sfw", "stop")
    example = (
        sse("start", {"turn_id": ID} | chosen.to_json(), f"{ID}/1.0")
        + HEARTBEAT
        + sse("delta", {"text": "I am Mara Voss."}, f"{ID}/1.15")
        + sse("done", answer.to_json(), f"{ID}/1.15")
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
                    "contentSchema": ref(schema),
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
