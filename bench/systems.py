"""The compared systems: how to start each one and how to call it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.environments import Environments
from bench.programs import BENCH, FOLDER, Program, Programs
from bench.prose import PARAGRAPH, question, sentence
from bench.surroundings import HISTORY, PEOPLE, Surroundings
from dev.build import DIST

TOKENS = 50
"""Number of tokens in each reply of the instant provider."""
FUNCTION, FLOOR, LITELLM, PORTKEY, DIRECT = (
    "roleplay_chat",
    "floor",
    "LiteLLM",
    "Portkey",
    "provider alone",
)
_MASTER_KEY = "sk-bench-" + "0" * 32

Request = Mapping[str, Any]


@dataclass(frozen=True)
class System:
    """A running system."""

    name: str
    program: Program
    plain: Sequence[Request]
    """Requests for turns that are answered with one JSON object."""
    streamed: Sequence[Request]
    """Requests for turns that are streamed; empty if the system does not support it."""
    has_database: bool

    def requests(self, *, stream: bool) -> Sequence[Request]:
        """The requests of a mode."""
        return self.streamed if stream else self.plain


def function_command(environments: Environments, name: str, port: int) -> list[object]:
    """The command by which the platform runs a deployed folder, with one process."""
    source: Path = {
        FUNCTION: DIST / "roleplay_chat" / "main.py",
        FLOOR: BENCH / "functions" / "floor.py",
        "hello": BENCH / "functions" / "hello.py",
    }[name]
    return [
        environments.function / "functions-framework",
        *("--source", source),
        *("--target", name),
        *("--host", "127.0.0.1"),
        *("--port", port),
    ]


def start_function(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    name: str,
    under: Sequence[object] = (),
) -> System:
    """Start roleplay_chat or the floor, under another command if one is given."""
    program = programs.start(
        name,
        lambda port: [*under, *function_command(environments, name, port)],
        env=around.environment(),
    )
    return System(
        name,
        program,
        plain=[around.turn(person, stream=False) for person in around.people],
        streamed=[around.turn(person, stream=True) for person in around.people],
        has_database=True,
    )


def start_litellm(programs: Programs, environments: Environments, around: Surroundings) -> System:
    """Start LiteLLM's proxy with one worker. It only forwards requests."""
    assert environments.litellm
    model = {
        "model_name": "bench",
        "litellm_params": {
            "model": "openai/bench",
            "api_base": around.upstream_url(TOKENS, 0),
            "api_key": "sk-bench",
        },
    }
    config = FOLDER / "litellm.yaml"
    # JSON is valid YAML.
    config.write_text(json.dumps({"model_list": [model], "litellm_settings": {"telemetry": False}}))
    command = [environments.litellm / "litellm", "--config", config, "--host", "127.0.0.1"]
    program = programs.start(
        LITELLM,
        lambda port: [*command, "--num_workers", 1, "--port", port],
        ready="/health/liveliness",
        env={"LITELLM_MASTER_KEY": _MASTER_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    headers = {"Authorization": f"Bearer {_MASTER_KEY}"}
    return _forwarder(LITELLM, program, "/v1/chat/completions", headers)


def start_portkey(programs: Programs, environments: Environments, around: Surroundings) -> System:
    """Start Portkey's gateway. It only forwards requests, and answers streams with a 500."""
    assert environments.portkey
    script = environments.portkey / "build" / "start-server.js"
    program = programs.start(
        PORTKEY,
        lambda port: ["node", script, f"--port={port}", "--headless"],
        env={"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"},
    )
    headers = {
        "Authorization": "Bearer sk-bench",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": around.upstream_url(TOKENS, 0),
    }
    return _forwarder(PORTKEY, program, "/v1/chat/completions", headers)


def direct(around: Surroundings) -> System:
    """The provider called by the load generator directly: the cost of the measurement itself."""
    path = around.upstream_url(TOKENS, 0).removeprefix(around.upstream.url) + "/chat/completions"
    return _forwarder(DIRECT, around.upstream, path, {})


def _forwarder(name: str, program: Program, path: str, headers: Mapping[str, str]) -> System:
    return System(
        name,
        program,
        plain=_calls(path, headers, stream=False),
        streamed=[] if name == PORTKEY else _calls(path, headers, stream=True),
        has_database=False,
    )


def _calls(path: str, headers: Mapping[str, str], *, stream: bool) -> list[Request]:
    """One request per user, as long as those that the function sends to the provider."""
    return [_call(path, headers, question(person), stream=stream) for person in range(PEOPLE)]


def _call(path: str, headers: Mapping[str, str], words: str, *, stream: bool) -> Request:
    said = [{"role": ("user", "assistant")[n % 2], "content": sentence(n)} for n in range(HISTORY)]
    said.append({"role": "user", "content": words})
    body = {
        "model": "bench",
        "messages": [{"role": "system", "content": PARAGRAPH * 12}, *said],
        "max_tokens": 400,
        "stream": stream,
    }
    return {
        "path": path,
        "headers": {**headers, "Content-Type": "application/json"},
        "body": json.dumps(body),
        "words": words,
    }
