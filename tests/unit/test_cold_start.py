"""An instance answers before it imports what only turns need."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from edge.patterns import compiled_later
from tests.support.postgres import ROOT

SETTINGS = {"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_SECRET_KEY": "a.b.c"}
PROGRAM = """
import asyncio, json, runpy, sys
main = runpy.run_path("functions/roleplay_chat/main.py")
app = main["_app"]
packages = ("aiohttp", "httpx", "jwt", "cryptography", "postgrest", "regex")
found = {"started": [name for name in packages if name in sys.modules]}

async def get():
    sent = []
    async def send(message):
        sent.append(message)
    async def receive():
        return {"type": "http.disconnect"}
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    await app.asgi(scope, receive, send)
    found["answered"] = [name for name in packages if name in sys.modules]
    found["status"] = sent[0]["status"]
    await app._loading
    found["loaded"] = [name for name in packages if name in sys.modules]
    await app.aclose()

asyncio.run(get())
print(json.dumps(found))
"""


def test_first_response_comes_before_the_imports() -> None:
    program = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        program, cwd=ROOT, env=os.environ | SETTINGS, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["started"], found["answered"], found["status"]) == ([], [], 200)
    assert {"aiohttp", "httpx", "jwt", "postgrest"} <= set(found["loaded"])


def test_wrong_settings_end_the_start() -> None:
    program = [sys.executable, "functions/roleplay_chat/main.py"]
    env = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(program, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "SUPABASE_URL" in done.stderr


class TestPatternCompiledLater:
    def test_is_compiled_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compiled: list[str] = []
        real = re.compile

        def counted(pattern: str, flags: int = 0) -> re.Pattern[str]:
            compiled.append(pattern)
            return real(pattern, flags)

        monkeypatch.setattr(re, "compile", counted)
        pattern = compiled_later("a+", re.IGNORECASE)
        assert compiled == []
        for _ in range(2):
            assert pattern.fullmatch("aA")
            assert pattern.sub("b", "xAx") == "xbx"
        assert compiled == ["a+"]

    def test_has_nothing_else(self) -> None:
        with pytest.raises(AttributeError):
            compiled_later("a").groups  # noqa: B018
