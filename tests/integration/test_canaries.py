"""Every secret and text is a canary, and all output is searched for them.

The functions run as deployed processes, so their output includes what libraries print past our
logging, and what a crash leaves.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support import patient
from tests.support.answers import (
    abort,
    error,
    raw_sse,
    reply,
    stream,
    text,
    worker_chat,
    worker_error,
    worker_healthy,
)
from tests.support.functions import FUNCTIONS, Process, serve_process
from tests.support.gateway import SECRET_KEY
from tests.support.postgres import ROOT, Postgres
from tests.support.stack import Stack, User
from tests.support.upstream import Call
from tests.support.waiting import PATIENCE

PROVIDER_KEY = "sk-or-canary-provider-key"
WORKER_KEY = "canary-worker-key"
SCHEDULER_SECRET = "canary-scheduler-secret"
WORDS = {
    place: f"canarywords{place}"
    for place in (
        *("name", "persona", "card", "fact", "scene", "said", "message", "draft"),
        *("reply", "partial", "page", "echo", "malformed"),
    )
}
KEPT = {"public.messages", "public.characters", "public.memory_facts", "public.profiles"}
"""The tables that hold what people write, and with turn_replies what they asked for outside of any
conversation: a request that comes twice is answered with it."""


@dataclass
class House:
    """Both functions as processes, and all of their output."""

    stack: Stack
    secrets: dict[str, str]
    chat: Process
    health_check: Process
    user: User
    conversation: UUID
    answers: list[httpx.Response] = field(default_factory=list)

    def post(self, path: str = "", content: bytes | None = None, **body: Any) -> httpx.Response:
        headers = {**self.user.headers, "Content-Type": "application/json"}
        data = json.dumps(body).encode() if content is None else content
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            answer = client.post(self.chat.url + path, content=data, headers=headers)
        self.answers.append(answer)
        return answer

    def say(self, **more: Any) -> httpx.Response:
        scene = {"scene_context": f"A pier. {WORDS['scene']}", "user_role": WORDS["scene"]}
        body = {"conversation_id": str(self.conversation), "message": WORDS["message"]}
        return self.post(**(body | scene | more))

    def check(self, secret: str = SCHEDULER_SECRET) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}"}
        answer = patient.post(self.health_check.url, headers=headers, trust_env=False)
        self.answers.append(answer)
        return answer

    def output(self) -> str:
        return self.chat.output() + self.health_check.output()


@pytest.fixture
def house(stack: Stack) -> Iterator[House]:
    user = stack.user(WORDS["name"])
    secrets = {
        "OpenRouter_Roleplay_API_KEY": PROVIDER_KEY,
        "CHAT_WORKER_API_KEY": WORKER_KEY,
        "HEALTH_CHECK_SECRET": SCHEDULER_SECRET,
    }
    checks = {"KEY_CHECK_MINUTES": "15", "CATALOG_HOURS": "6", "DEEP_PROBE_EVERY": "1"}
    env = stack.env(**secrets, **checks, LOG_LEVEL="debug", SAVE_PATIENCE_SECONDS="0.3")
    secrets |= {name: env[name] for name in ("SUPABASE_SECRET_KEY", "SUPABASE_JWT_SECRET")}
    assert secrets["SUPABASE_SECRET_KEY"] == SECRET_KEY
    character = stack.insert(
        "characters",
        user_id=user.id,
        name="Mara",
        description=f"A lighthouse keeper of 41. {WORDS['card']}",
        character_book={"entries": [{"keys": ["("], "use_regex": True, "content": WORDS["card"]}]},
    )
    persona = stack.insert(
        "characters", user_id=user.id, name="Jon", description=WORDS["persona"], age=30
    )
    conversation = stack.conversation(
        user, WORDS["said"], WORDS["said"], character_id=character, user_character_id=persona
    )
    memory = stack.insert(
        "memories", user_id=user.id, tier="conversation", conversation_id=conversation
    )
    stack.insert("memory_facts", memory_id=memory, content=WORDS["fact"])
    with ExitStack() as served:
        chat = served.enter_context(serve_process("roleplay_chat", env))
        checker = served.enter_context(serve_process("health_check", env))
        secrets["the person's token"] = user.token
        yield House(stack, secrets, chat, checker, user, conversation)


def live(house: House) -> None:
    """Causes everything that writes output to write it."""
    stack = house.stack
    stack.register_worker()
    stack.worker_health()
    echo = {"error": {"code": 400, "message": f"{PROVIDER_KEY}: {WORDS['echo']}"}}
    stack.worker.enqueue(worker_healthy(), to="/health")
    stack.worker.enqueue(worker_chat(WORDS["reply"]), worker_error(500, WORDS["echo"]), to="/chat")
    stack.worker.enqueue(worker_error(500, f"{WORDS['echo']} {WORKER_KEY}"), to="/chat")
    label = {"label": PROVIDER_KEY, "usage": 1, "limit": WORDS["echo"]}
    stack.upstream.enqueue(reply(200, {"data": label}), to="/api/v1/key")
    stack.upstream.enqueue(error(403, echo), to="/api/v1/credits")
    page = f"<html>{WORDS['page']} {PROVIDER_KEY}</html>"
    stack.upstream.enqueue(reply(200, page), to="/api/v1/models")
    stack.upstream.enqueue(
        error(400, echo),
        error(502, f"<html>{WORDS['page']} {PROVIDER_KEY}</html>", {"Content-Type": "text/html"}),
        stream([f"The lamp turns. {WORDS['reply']} "]),
        stream([f"The sea is {WORDS['partial']} tonight. ", abort()]),
        raw_sse(f"data: {{{WORDS['malformed']} {PROVIDER_KEY}\n\n".encode()),
        text(WORDS["reply"]),
        text(WORDS["draft"]),
    )
    ours = {"model_provider": "chat_worker"}
    assert house.say(**ours).json()["model_used"] == "chat_worker"
    assert house.say(**ours).json()["usedFallback"]
    assert "event: error" in house.say(stream=True).text  # after its first words
    assert house.say(action="regenerate").status_code == 200
    assert house.post(task="prompt_enhancement", message=WORDS["draft"]).status_code == 200

    # Rejected bodies, which libraries quote in their errors.
    assert house.post(content=f'{{"message": "{WORDS["malformed"]}'.encode()).status_code == 400
    assert house.say(content_tier=WORDS["malformed"]).status_code == 400
    assert house.say(greeting=WORDS["malformed"]).status_code == 400
    assert house.post(action="import_card", card={"spec": WORDS["card"]}).status_code == 400
    assert house.check().status_code == 200
    assert house.check(f"not-{SCHEDULER_SECRET}").status_code == 401

    # Faults of ours: rows of an unexpected shape, which errors quote.
    stack.configure(chatWorker=[WORKER_KEY, WORDS["fact"]])
    stack.upstream.enqueue(text(WORDS["reply"]))
    assert house.say().status_code == 200
    stack.configure(chatWorker={})

    # The database is unreachable, then the process is killed in the middle of a turn.
    stack.gateway.fail("/rpc/begin_turn", times=2)
    assert house.say().status_code == 503
    stack.gateway.drop("/rpc/finish_turn", times=50)
    stack.upstream.enqueue(text(WORDS["reply"]))
    assert house.say().json()["saved"] is False
    house.chat.stop()


@pytest.mark.own_tables("there the same words are in tables of other names")
def test_no_secret_and_no_text_is_written_where_it_does_not_belong(
    house: House, postgres: Postgres
) -> None:
    live(house)
    stack, output = house.stack, house.output()
    words = WORDS.values()

    # All of this happened and was logged.
    assert output.count("turn finished") >= 6
    assert '"exception": "ValidationError"' in output
    assert stack.all("select from usage_events where outcome <> 'ok'")

    log = (postgres.folder / "log").read_text(errors="replace")
    assert [name for name, secret in house.secrets.items() if secret in output + log] == []
    assert [word for word in words if word in output + log] == []

    tables = stack.all(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables "
        "where schemaname in ('public', 'private')"
    )
    rows = {
        str(table["name"]): str(stack.all(f"select t::text from {table['name']} t"))  # noqa: S608
        for table in tables
    }
    everything = "".join(rows.values())
    assert [name for name, secret in house.secrets.items() if secret in everything] == []
    assert {name for name, row in rows.items() if any(word in row for word in words)} == {
        *KEPT,
        "private.turn_replies",
    }
    assert [word for word in words if word in rows["private.turn_replies"]] == [WORDS["draft"]]

    # No response contains a secret, or a text that is not the user's or their character's.
    told = "".join(f"{answer.headers} {answer.text}" for answer in house.answers)
    assert [name for name, secret in house.secrets.items() if secret in told] == []
    never = ("card", "persona", "fact", "scene", "page", "echo", "malformed", "said")
    assert [place for place in never if WORDS[place] in told] == []

    # The other parties get only their own secret.
    assert sent(house, stack.upstream.calls) == {"OpenRouter_Roleplay_API_KEY"}
    assert sent(house, stack.worker.calls) == {"CHAT_WORKER_API_KEY"}


def sent(house: House, calls: list[Call]) -> set[str]:
    everything = "".join(f"{call.headers} {call.body!r} {call.path}" for call in calls)
    return {name for name, secret in house.secrets.items() if secret in everything}


@pytest.mark.parametrize("function", ["roleplay_chat", "health_check"])
def test_start_that_fails_names_settings_and_not_their_values(
    stack: Stack, function: str, tmp_path: Any
) -> None:
    wrong = {
        "SUPABASE_URL": "",
        "SUPABASE_SECRET_KEY": "",
        "LOG_LEVEL": "canary-level",
        "HEALTH_CHECK_SECRET": "canary-short",
        "TURN_BUDGET_SECONDS": "canary-seconds",
    }
    command = [sys.executable, "-m", "functions_framework", "--asgi", "--target", function]
    command += ["--source", str(FUNCTIONS / function / "main.py"), "--port", "0"]
    ended = subprocess.run(
        command,
        env={
            **stack.env(**wrong),
            "PATH": str(ROOT / ".venv/bin"),
        },
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    written = (ended.stdout + ended.stderr).decode()
    assert ended.returncode != 0
    assert "SUPABASE_SECRET_KEY" in written
    assert "canary" not in written
    assert not [value for value in stack.env().values() if len(value) > 8 and value in written]
