"""What admins try from the console: a model, a provider's list of models, a prompt template."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.answers import error, reply, text
from tests.support.stack import OPENROUTER_KEY, Stack, User

pytestmark = pytest.mark.installations

PROBES: list[dict[str, Any]] = [
    {"action": "test_model", "model_id": str(uuid4())},
    {"action": "test_model", "provider_id": str(uuid4())},
    {"action": "list_provider_models", "provider_id": str(uuid4())},
    {"action": "preview_prompt", "system_prompt": "You are {{char}}."},
]


@pytest.fixture
def admin(stack: Stack) -> User:
    admin = stack.user()
    stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (admin.id,))
    return admin


def model(stack: Stack) -> dict[str, Any]:
    """The model that roleplay turns ask first."""
    return stack.one(
        "select id, provider_id, model_key from shared.api_models"
        " where task = 'roleplay' and is_active order by is_default desc, priority limit 1"
    )


def tried(stack: Stack, admin: User, **ids: Any) -> dict[str, Any]:
    answer = stack.chat(admin, action="test_model", **{k: str(v) for k, v in ids.items()})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class TestModel:
    def test_is_asked_for_one_token_with_its_key(self, stack: Stack, admin: User) -> None:
        stack.upstream.always(text("Hi"))
        row = model(stack)
        told = tried(stack, admin, model_id=row["id"])
        assert (told["is_ok"], told["code"], told["calls"]) == (True, "ok", 1)
        assert told["duration_ms"] >= told["first_token_ms"] >= 0
        (call,) = stack.upstream.calls
        assert call.json["model"] == row["model_key"]
        assert call.json["max_tokens"] == 1
        assert call.headers["authorization"] == f"Bearer {OPENROUTER_KEY}"
        assert stack.all("select from turns") == stack.all("select from usage_events") == []

    def test_of_a_provider_is_its_first(self, stack: Stack, admin: User) -> None:
        stack.upstream.always(text("Hi"))
        row = model(stack)
        assert tried(stack, admin, provider_id=row["provider_id"])["is_ok"]
        assert stack.upstream.calls[0].json["model"] == row["model_key"]

    @pytest.mark.parametrize(
        ("status", "words", "code"),
        [
            (401, "Invalid API key", "bad_key"),
            (404, "No endpoints found for this model", "model_gone"),
            (402, "Insufficient credits", "no_credit"),
        ],
    )
    def test_that_fails_says_why_and_rests_nobody(
        self, stack: Stack, admin: User, status: int, words: str, code: str
    ) -> None:
        stack.upstream.always(error(status, words))
        told = tried(stack, admin, model_id=model(stack)["id"])
        assert (told["is_ok"], told["code"], told["status"]) == (False, code, status)
        assert told["explanation"]
        assert words not in str(told)
        assert stack.all("select from model_cooldowns") == []

    def test_that_is_not_there_is_not_found(self, stack: Stack, admin: User) -> None:
        answer = stack.chat(admin, **PROBES[0])
        assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")

    @pytest.mark.parametrize(
        "ids", [{}, {"model_id": str(uuid4()), "provider_id": str(uuid4())}, {"model_id": "x"}]
    )
    def test_is_named_by_one_id(self, stack: Stack, admin: User, ids: dict[str, str]) -> None:
        assert stack.chat(admin, action="test_model", **ids).status_code == 400


class TestProviderModels:
    def test_are_listed_once_in_order(self, stack: Stack, admin: User) -> None:
        listed = [{"id": "b/two"}, {"id": "a/one:free"}, {"id": "b/two"}, {"id": 5}, "x"]
        stack.upstream.always(reply(200, {"data": listed}))
        provider = str(model(stack)["provider_id"])
        told = stack.chat(admin, action="list_provider_models", provider_id=provider).json()
        assert (told["is_ok"], told["models"]) == (True, ["a/one:free", "b/two"])
        (call,) = stack.upstream.calls
        assert call.path.endswith("/models")
        assert call.headers["authorization"] == f"Bearer {OPENROUTER_KEY}"

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            (error(401, "no"), "bad_key"),
            (reply(200, {"data": "none"}), "unreadable"),
            (reply(200, []), "unreadable"),
        ],
    )
    def test_that_are_not_listed_say_why(
        self, stack: Stack, admin: User, answer: Any, code: str
    ) -> None:
        stack.upstream.always(answer)
        provider = str(model(stack)["provider_id"])
        told = stack.chat(admin, action="list_provider_models", provider_id=provider).json()
        assert (told["is_ok"], told["code"], told["models"]) == (False, code, [])

    def test_of_nobody_are_not_found(self, stack: Stack, admin: User) -> None:
        answer = stack.chat(admin, **PROBES[2])
        assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_found")


@pytest.mark.own_tables("only there admins add providers")
def test_provider_that_waits_for_approval_gets_no_request_and_no_key(
    stack: Stack, admin: User
) -> None:
    row = model(stack)
    stack.db.execute(
        "update api_providers set is_approved = false where id = %s", (row["provider_id"],)
    )
    provider = str(row["provider_id"])
    for body in (
        {"action": "test_model", "model_id": str(row["id"])},
        {"action": "test_model", "provider_id": provider},
        {"action": "list_provider_models", "provider_id": provider},
    ):
        answer = stack.chat(admin, **body)
        assert (answer.status_code, answer.json()["code"]) == (409, "provider_not_approved")
    assert stack.upstream.calls == []


class TestPreview:
    def test_is_the_prompt_with_the_template_in_it(self, stack: Stack, admin: User) -> None:
        body = {"system_prompt": "You are {{char}}, and this is {{user}}.", "content_tier": "sfw"}
        told = stack.chat(admin, action="preview_prompt", **body).json()
        system, *spoken = told["messages"]
        assert system["role"] == "system"
        assert "You are Mara Voss, and this is Ada." in system["content"]
        assert spoken[-1]["content"] == "Which coast is it?"
        assert {part["part"] for part in told["parts"]} >= {"template", "history", "message"}
        assert sum(part["tokens"] for part in told["parts"]) == told["tokens"]
        assert stack.upstream.calls == []

    @pytest.mark.parametrize(
        "body",
        [{}, {"system_prompt": "x" * 20_001}, {"system_prompt": "x", "content_tier": "all"}],
    )
    def test_of_another_shape_is_refused(
        self, stack: Stack, admin: User, body: dict[str, Any]
    ) -> None:
        assert stack.chat(admin, action="preview_prompt", **body).status_code == 400


@pytest.mark.parametrize("body", PROBES, ids=lambda body: str(body["action"]))
def test_actions_are_for_admins(stack: Stack, admin: User, body: dict[str, Any]) -> None:
    answer = stack.chat(stack.user(), **body)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_admin")
    ban = "update auth.users set banned_until = 'infinity' where id = %s"
    stack.db.execute(ban, (admin.id,))
    assert stack.chat(admin, **body).json()["code"] == "banned_user"
    assert stack.chat(None, **body).status_code == 401
    assert stack.upstream.calls == []


def test_many_of_them_have_to_wait(stack: Stack, admin: User) -> None:
    """All of them count together."""
    codes = [stack.chat(admin, **PROBES[number % 4]).status_code for number in range(21)]
    assert 429 not in codes[:20]
    assert codes[20] == 429
