"""What turns do not need is imported on first use, in a thread."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from starlette.requests import Request

from edge.clients import Clients
from roleplay_chat.api import Caller, on_first_use
from roleplay_chat.endpoints import ACTIONS_OF_MODULES, Endpoints
from roleplay_chat.settings import Settings

MODULE = """
import threading

IMPORTED = [threading.get_ident()]

async def tell(clients, caller, body):
    return {"threads": IMPORTED}

HANDLERS = {"tell": tell}
"""
CLIENTS, CALLER = cast(Clients, None), Caller(UUID(int=1), "token")


@pytest.mark.parametrize("module", ACTIONS_OF_MODULES)
def test_every_action_of_a_module_has_its_handler(module: str) -> None:
    assert set(import_module(module).HANDLERS) == set(ACTIONS_OF_MODULES[module])


async def test_actions_are_imported_once_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "later_actions.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    tell = on_first_use(["tell"], "later_actions")["tell"]
    first, second = await asyncio.gather(*(tell(CLIENTS, CALLER, {}) for _ in range(2)))
    assert first == second == await tell(CLIENTS, CALLER, {})
    assert len(first["threads"]) == 1
    assert threading.get_ident() not in first["threads"]


async def test_two_first_requests_share_what_keeps_the_api_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(supabase_url="http://127.0.0.1", supabase_secret_key="s")
    endpoints = Endpoints(settings)
    made: list[Any] = []

    class Api:
        def __init__(self, *_: object) -> None:
            made.append(self)

        async def respond(self, *_: object) -> Any:
            return self

    async def turns() -> None:
        pass

    monkeypatch.setattr(endpoints, "_load_turns", lambda: asyncio.ensure_future(turns()))
    monkeypatch.setattr(endpoints, "_make_openai", Api)
    request = Request({"type": "http", "headers": []})
    async with AsyncExitStack() as held:
        answers = await asyncio.gather(
            *(endpoints.respond_to_openai(request, "id", held) for _ in range(2))
        )
    assert made == [answers[0]]
    assert answers[0] is answers[1]
