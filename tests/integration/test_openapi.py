"""The running functions behave as described in docs/openapi.json for any request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import httpx
import jsonschema_rs
import pytest
import requests
import schemathesis
from httpx_sse import EventSource
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from dev.docs.openapi.document import FILE
from roleplay_chat.admin import actions as admin
from tests.support.answers import text, worker_healthy
from tests.support.stack import DEMO_CHARACTER, HEALTH_CHECK_SECRET, Stack, User
from tests.support.upstream import Exchange

DOCUMENT = json.loads(FILE.read_text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHAT, HEALTH = "/roleplay_chat", "/health_check"
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
EXAMPLES = DOCUMENT["paths"][CHAT]["post"]["requestBody"]["content"]["application/json"]["examples"]
STREAM = DOCUMENT["paths"][CHAT]["post"]["responses"]["200"]["content"]["text/event-stream"]
EVENTS = {
    event["properties"]["event"]["const"]: event["properties"]["data"]["contentSchema"]
    for event in STREAM["schema"]["oneOf"]
}
"""The schemas of the events' data."""


@dataclass(frozen=True)
class Fuzz:
    """Sends requests generated from the description to a function, over its socket."""

    url: str
    session: requests.Session
    headers: Mapping[str, str] = field(default_factory=dict)
    real: st.SearchStrategy[dict[str, Any]] = field(default_factory=lambda: st.just({}))
    """Real values for fields, so that some requests get past a 404."""

    def run(self, path: str, method: str, *modes: GenerationMode, examples: int) -> Counter[int]:
        """The number of responses by status."""
        statuses: Counter[int] = Counter()

        @settings(
            max_examples=examples,
            database=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.one_of(*(SCHEMA[path][method].as_strategy(mode) for mode in modes)), self.real)
        def send(case: schemathesis.Case[Any], real: dict[str, Any]) -> None:
            if isinstance(case.body, dict):
                case.body = case.body | real
            statuses[self.send(case).status_code] += 1

        send()
        return statuses

    def send(self, case: schemathesis.Case[Any]) -> schemathesis.Response:
        """The response, which must be a described one."""
        answer = case.call(self.url, self.session, headers=dict(self.headers))
        case.validate_response(answer, checks=CHECKS)
        if answer.headers["content-type"][0].startswith("text/event-stream"):
            check_events(answer.text)
        return answer


def chat(body: Mapping[str, Any]) -> schemathesis.Case[Any]:
    """A request with this body and without credentials."""
    return SCHEMA[CHAT]["post"].Case(body=dict(body), media_type="application/json")


def check_events(stream: str) -> None:
    """Checks that each event of a stream is described, and their order."""
    headers = {"Content-Type": "text/event-stream"}
    events = list(EventSource(httpx.Response(200, headers=headers, text=stream)).iter_sse())
    for event in events:
        validator(EVENTS[event.event]).validate(event.json())
    names = [event.event for event in events]
    assert names[0] == "start"
    assert set(names[1:-1]) <= {"delta"}
    assert names[-1] in ("done", "error")


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def nobody(stack: Stack, session: requests.Session) -> Fuzz:
    """Requests without an Authorization header or with an invented one."""
    return Fuzz(stack.function_url("roleplay_chat"), session)


@pytest.fixture
def person(stack: Stack, nobody: Fuzz) -> Fuzz:
    """A signed-in user with two conversations and no limits, while all models answer."""
    numbers = count(1)

    async def answer(exchange: Exchange) -> None:
        # Never the same: a continuation that only repeats the reply is none.
        await text(f"{next(numbers)} lamps are lit.")(exchange)

    stack.upstream.always(answer)
    stack.configure(limits={})
    stack.gateway.delete_user = lambda user_id: 200  # the person stays to ask for more
    user = stack.user("Ann", age_verified=True)
    conversations = [str(stack.conversation(user, *said)) for said in ((), ("Hello", "Hi."))]
    messages = [str(row["id"]) for row in stack.all("select id from messages")]
    there = {
        "conversation_id": st.sampled_from(conversations),
        "message_id": st.sampled_from(messages),
        "character_id": st.just(str(DEMO_CHARACTER)),
        "user_character_id": st.none(),
        "message": st.sampled_from(["Hello", "Who is there?"]),
    }
    optional = {"client_message_id": st.sampled_from(["a", "b"]), "greeting": st.integers(0, 2)}
    real = st.fixed_dictionaries({}, optional=there) | st.fixed_dictionaries(
        there, optional=optional
    )
    return replace(nobody, headers=user.headers, real=real)


@pytest.fixture
def scheduler(stack: Stack, session: requests.Session) -> Fuzz:
    """The scheduler, while the worker is healthy."""
    stack.register_worker()
    stack.worker.always(worker_healthy())
    secret = {"X-Health-Check-Secret": HEALTH_CHECK_SECRET}
    return Fuzz(stack.function_url("health_check"), session, secret)


def test_requests_as_described_are_answered_as_described(person: Fuzz) -> None:
    statuses = person.run(CHAT, "post", POSITIVE, examples=400)
    assert {200, 400, 404} <= statuses.keys()
    assert statuses[200] >= 40


def test_requests_not_as_described_are_rejected_as_described(person: Fuzz) -> None:
    statuses = person.run(CHAT, "post", NEGATIVE, examples=200)
    assert statuses[200]  # thanks to the real fields
    assert statuses[401]  # a request that is not as described may lack a token
    assert statuses[400] >= 20


def test_request_without_a_valid_token_is_401(nobody: Fuzz) -> None:
    assert nobody.run(CHAT, "post", POSITIVE, NEGATIVE, examples=50).keys() == {401}
    for example in EXAMPLES.values():
        assert nobody.send(chat(example["value"])).status_code == 401


@pytest.mark.parametrize("method", ["get", "options"])
def test_anybody_may_ask_whether_it_lives_and_what_browsers_may(nobody: Fuzz, method: str) -> None:
    assert nobody.run(CHAT, method, POSITIVE, examples=100).keys() <= {200, 400, 405}


def test_preflight_is_answered_as_described(nobody: Fuzz) -> None:
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    case = SCHEMA[CHAT]["options"].Case(headers=headers)
    assert nobody.send(case).status_code == 200


@pytest.mark.parametrize("method", ["get", "post"])
def test_health_check_answers_as_described(scheduler: Fuzz, method: str) -> None:
    assert scheduler.run(HEALTH, method, POSITIVE, examples=20).keys() == {200}
    assert replace(scheduler, headers={}).run(HEALTH, method, POSITIVE, examples=20).keys() == {401}


def ended_turn(user: User, conversation_id: UUID) -> dict[str, Any]:
    now = datetime.now(UTC)
    ids = {"user_id": user.id, "conversation_id": conversation_id}
    what = {"task": "roleplay", "action": "send", "status": "complete"}
    return ids | what | {"lease_expires_at": now, "finished_at": now}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_work(stack: Stack, person: Fuzz, name: str) -> None:
    user = stack.user()
    said = () if name == "kickoff" else ("Hello", "Hi.")
    conversation = stack.conversation(user, *said)
    newest = stack.all(
        "select id from messages where conversation_id = %s order by position desc", conversation
    )
    message_id = newest[0]["id"] if newest else None
    there = {"conversation_id": conversation, "message_id": message_id}
    if name == "stop":
        there["turn_id"] = stack.insert("turns", **ended_turn(user, conversation))
    if name == "set_portrait":
        there["character_id"] = stack.insert("characters", name="Ada", user_id=user.id)
    if name in admin.ACTIONS:
        stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (user.id,))
        row = stack.all("select id, provider_id from api_models where task = 'roleplay'")[0]
        there |= {"model_id": row["id"], "provider_id": row["provider_id"]}
    body = EXAMPLES[name]["value"]
    body = body | {key: str(value) for key, value in there.items() if key in body}
    assert replace(person, headers=user.headers).send(chat(body)).status_code == 200
