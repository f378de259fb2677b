"""What the functions and the Data API really answer is what docs/openapi.json says, without a field
more or less."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema_rs
import pytest

from dev.docs.openapi.actions import ACTIONS
from dev.docs.openapi.data_api import CALLS, ROWS
from dev.docs.openapi.document import FILE
from tests.support.answers import abort, error, models, stream, text
from tests.support.openai_api import HELLO, MARA, Program, chunks, make_key
from tests.support.stack import DEMO_CHARACTER, Stack
from tests.support.talk import Talk

DOCUMENT = json.loads(FILE.read_text())
PICTURE = next(
    body["value"]["picture_base64"]
    for body in DOCUMENT["paths"]["/roleplay_chat"]["post"]["requestBody"]["content"][
        "application/json"
    ]["examples"].values()
    if "picture_base64" in body["value"]
)


def closed(schema: Any) -> Any:
    """The schema, in which objects have no other fields than those that are described."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if "properties" in found and "allOf" not in found:
        found.setdefault("additionalProperties", False)
    return found


SCHEMAS = closed(copy.deepcopy(DOCUMENT["components"]["schemas"]))


def check(name: str, body: Any) -> None:
    """Checks a body against a schema, strictly."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
    jsonschema_rs.validator_for(schema).validate(body)


@pytest.fixture
def done(talk: Talk) -> dict[str, Any]:
    """The answer to a turn."""
    talk.stack.upstream.enqueue(text("Good evening."))
    talk.stack.gateway.delete_user = lambda user_id: 200
    answer = talk.say(client_message_id="one")
    assert answer.status_code == 200
    return dict(answer.json())


class TestTurns:
    def test_answers(self, talk: Talk, done: dict[str, Any]) -> None:
        check("Answer", done)
        assert done["route"]
        check("Answer", talk.say(client_message_id="one").json())
        another = str(talk.stack.conversation(talk.user))
        check("Answer", talk.stack.chat(talk.user, conversation_id=another, kickoff=True).json())

    def test_events(self, talk: Talk) -> None:
        named = {"start": "StartEvent", "delta": "DeltaEvent", "done": "Answer"}
        talk.stack.upstream.enqueue(stream(["Good ", "evening."]))
        for event in talk.stream():
            check(named[event.name], event.data)
        talk.stack.upstream.enqueue(stream(["Good evening. ", abort()]))
        check("CutOff", talk.stream()[-1].data)

    def test_errors(self, talk: Talk) -> None:
        talk.stack.upstream.always(error(500))
        check("Error", talk.say().json())
        check("Error", talk.say("").json())
        check("Error", talk.stack.chat(None, message="Hello").json())


def requests(talk: Talk, done: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A request for each action, in an order in which each has what it needs."""
    stack = talk.stack
    own = str(stack.insert("characters", user_id=talk.user.id, name="Ada"))
    reply, said = done["message_id"], done["user_message_id"]
    example = ACTIONS["import_card"].example
    model = stack.one(
        "select id, provider_id from shared.api_models where task = 'roleplay' limit 1"
    )
    exported = stack.chat(
        talk.user, action="export_chat", conversation_id=str(talk.conversation)
    ).json()["chat"]
    return {
        "choose": {"message_id": reply},
        "edit": {"message_id": said, "message": "What I meant."},
        "hide": {"message_id": said, "hidden": True},
        "branch": {"message_id": reply, "client_message_id": "two"},
        "stop": {"turn_id": done["turn_id"]},
        "import_card": dict(example),
        "export_card": {"character_id": str(DEMO_CHARACTER), "format": "json"},
        "export_chat": {"conversation_id": str(talk.conversation)},
        "import_chat": {
            "character_id": str(DEMO_CHARACTER),
            "chat": exported,
            "client_message_id": "three",
        },
        "set_portrait": {"character_id": own, "picture_base64": PICTURE},
        "delete": {"message_id": reply, "onwards": True},
        "test_model": {"model_id": str(model["id"])},
        "list_provider_models": {"provider_id": str(model["provider_id"])},
        "preview_prompt": dict(ACTIONS["preview_prompt"].example),
        "delete_account": {"confirmation": "delete my account"},
    }


def test_every_action_answers_as_described(talk: Talk, done: dict[str, Any]) -> None:
    asked = requests(talk, done)
    make_admin = "insert into user_roles (user_id, role) values (%s, 'admin')"
    talk.stack.db.execute(make_admin, (talk.user.id,))
    assert asked.keys() == ACTIONS.keys()
    talk.stack.upstream.always(text("Hi"))
    talk.stack.upstream.always(models("author/name:free"), to="/models")
    for name, body in asked.items():
        answer = talk.stack.chat(talk.user, action=name, **body)
        assert answer.status_code == 200, (name, answer.text)
        check(ACTIONS[name].answer.__name__, answer.json())
        check(ACTIONS[name].request.__name__, {"action": name, **body})


def test_each_action_has_its_request_by_the_discriminator() -> None:
    body = DOCUMENT["paths"]["/roleplay_chat"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    mapping = schema["discriminator"]["mapping"]
    assert {"$ref": mapping["send"]} in schema["anyOf"]
    for name, action in ACTIONS.items():
        assert mapping[name].endswith(f"/{action.request.__name__}")
        assert {"$ref": mapping[name]} in schema["anyOf"]
        described = DOCUMENT["components"]["schemas"][action.request.__name__]
        assert described["properties"]["action"] == {"const": name}
        needed = {
            field.alias or field_name
            for field_name, field in action.request.model_fields.items()
            if field.is_required()
        }
        assert set(described["required"]) == {"action", *needed}


def test_openai_compatible_api_answers_as_described(stack: Stack) -> None:
    user = stack.user()
    program = Program(stack, make_key(stack, user)["key"])
    stack.upstream.enqueue(text("Good evening."), stream(["Sit ", "down."]))
    check("Models", program.models().json())
    check("Model", program.models(MARA).json())
    check("ChatCompletion", program.complete().json())
    for one in chunks(program.complete(stream=True, stream_options={"include_usage": True})):
        if one != "[DONE]":
            check("ChatCompletionChunk", one)
    check("OpenAiError", program.complete(model="gpt-4o").json())
    check("CompletionBody", {"model": MARA, "messages": HELLO, "temperature": 0.5, "stop": ["x"]})


@pytest.mark.own_tables("compares the columns of our own tables")
@pytest.mark.usefixtures("done")
def test_rows_of_the_data_api_are_as_described(talk: Talk) -> None:
    make_key(talk.stack, talk.user)
    with talk.stack.data_api(talk.user) as api:
        for name, (table, _) in ROWS.items():
            rows = api.get(f"/{table}").json()
            assert rows, table
            for row in rows:
                check(name, row)


@pytest.mark.usefixtures("done")
def test_functions_of_the_data_api_answer_as_described(talk: Talk) -> None:
    given: dict[str, dict[str, Any]] = {
        "list_conversations": {"p_limit": 10},
        "search_catalogue": {"p_search": ""},
        "read_limits": {},
        "create_api_key": {"p_name": "Notebook", "p_days": 30},
    }
    paths = DOCUMENT["paths"]
    with talk.stack.data_api(talk.user) as api:
        for name in CALLS:
            if name == "revoke_api_key":
                given[name] = {"p_id": api.get("/api_keys").json()[0]["id"]}
            answer = api.post(f"/rpc/{name}", json=given[name])
            assert answer.status_code == 200, answer.text
            described = paths[f"/rest/v1/rpc/{name}"]["post"]["responses"]["200"]["content"]
            (shape,) = described.values()
            check(shape["schema"]["$ref"].rpartition("/")[2], answer.json())
        refused = api.post("/rpc/create_api_key", json={"p_name": ""})
        check("DataApiError", refused.json())
