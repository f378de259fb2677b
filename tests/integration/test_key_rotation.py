"""Keys are rotated as in docs/operations.md without interrupting running chats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from edge import identity
from tests.support import patient
from tests.support.answers import error, text, worker_chat
from tests.support.functions import serve_process
from tests.support.gateway import SECRET_KEY
from tests.support.keys import Keys
from tests.support.stack import OPENROUTER_KEY, WORKER_KEY, Stack
from tests.support.talk import Talk
from tests.support.upstream import Answer, Exchange

NEW = "sk-or-second"


def admitting(answer: Answer, *keys: str) -> Answer:
    """This response for requests with one of the keys, else a 401."""

    async def admit(exchange: Exchange) -> None:
        given = exchange.call.headers.get("authorization", "").removeprefix("Bearer ")
        await (answer if given in keys else error(401))(exchange)

    return admit


@contextmanager
def deployed_with(stack: Stack, **settings: str) -> Iterator[str]:
    """The URL of a new instance. The old one has the environment of this process."""
    with serve_process("roleplay_chat", stack.env(**settings)) as process:
        yield process.url


def test_providers_key_is_rotated_without_a_gap(stack: Stack, talk: Talk) -> None:
    stack.upstream.always(admitting(text("Yes."), OPENROUTER_KEY, NEW))
    with deployed_with(stack, OpenRouter_Roleplay_API_KEY=NEW) as deployed:
        # During the rollout, old and new instances answer in the same conversation.
        for url in (None, deployed, None):
            assert talk.say(url=url).status_code == 200
        stack.upstream.always(admitting(text("Yes."), NEW))
        assert talk.say(url=deployed).status_code == 200
    assert len(stack.said(talk.conversation)) == 8
    used = [call.headers["authorization"] for call in stack.upstream.calls]
    assert used == [f"Bearer {key}" for key in (OPENROUTER_KEY, NEW, OPENROUTER_KEY, NEW)]


def test_providers_key_that_leaked_is_deleted_first(stack: Stack, talk: Talk) -> None:
    stack.upstream.always(admitting(text("Yes."), NEW))
    assert talk.say().status_code == 503
    with deployed_with(stack, OpenRouter_Roleplay_API_KEY=NEW) as deployed:
        # Cooldowns caused by the old key are cleared as in the runbook.
        stack.db.execute("delete from model_cooldowns")
        assert talk.say(url=deployed).status_code == 200


def test_projects_secret_key_is_rotated_without_a_gap(stack: Stack, talk: Talk) -> None:
    new = "sb_secret_second"
    stack.upstream.always(text("Yes."))
    stack.gateway.secret_keys = [SECRET_KEY, new]
    with deployed_with(stack, SUPABASE_SECRET_KEY=new) as deployed:
        for url in (None, deployed, None):
            assert talk.say(url=url).status_code == 200
        stack.gateway.secret_keys = [new]
        assert talk.say(url=deployed).status_code == 200
        assert talk.say().status_code == 500  # an instance with the old key
        assert talk.log[-1]["exception"] == "SecretKeyRejected"
        assert talk.say(url=deployed).status_code == 200
    assert len(stack.said(talk.conversation)) == 10


def test_keys_that_sign_people_in(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "REFETCH_SECONDS", 0)
    stack.upstream.always(text("Yes."))
    person = stack.user(algorithm="ES256")
    old, new = stack.keys, Keys(stack.keys.issuer)

    def status(keys: Keys, url: str) -> int:
        headers = {"Authorization": f"Bearer {keys.token(person.id)}"}
        body: dict[str, Any] = {"conversation_id": conversation, "message": "Hello"}
        return patient.post(url, json=body, headers=headers).status_code

    conversation = str(stack.conversation(person))
    with stack.serving() as url:
        assert [status(keys, url) for keys in (old, new)] == [200, 401]
        stack.gateway.jwks = {"keys": [*old.jwks()["keys"], *new.jwks()["keys"]]}
        assert [status(keys, url) for keys in (old, new)] == [200, 200]
        # Tokens signed with the old keys are valid for an hour; then the keys are removed.
        stack.gateway.jwks = new.jwks()
        monkeypatch.setattr(identity, "KEYS_LIVE_SECONDS", 0)
        assert [status(keys, url) for keys in (new, old)] == [200, 401]


def test_workers_key_is_rotated_without_a_gap(stack: Stack, talk: Talk) -> None:
    new = "worker-second"
    talk.have_worker()
    stack.upstream.always(text("From the provider."))
    stack.upstream.always(admitting(worker_chat("From the worker."), WORKER_KEY), to="/chat")

    def answered(url: str | None = None) -> str:
        return str(talk.reply(url=url, model_provider="chat_worker")["response"])

    assert answered() == "From the worker."
    with deployed_with(stack, CHAT_WORKER_API_KEY=new) as deployed:
        assert answered(deployed) == "From the provider."
        stack.upstream.always(admitting(worker_chat("From the worker."), new), to="/chat")
        stack.db.execute("delete from model_cooldowns")
        assert answered(deployed) == "From the worker."
