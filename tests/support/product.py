"""A product that is already running: its front door and its chat function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from anyio.from_thread import start_blocking_portal
from yarl import URL

from tests.support.gateway import Gateway
from tests.support.postgres import Connection
from tests.support.waiting import Gate, listener_url, listening_socket

LEGACY = "/functions/v1/roleplay-chat-legacy"


@dataclass
class OldCall:
    """A request to the old function."""

    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]


class OldFunction:
    """The old chat function as its callers know it.

    It believes what the body says, asks a chat model, stores the reply as an assistant row, and
    makes an image of it. With `knows_scene_only` it makes images of `message` and does nothing
    else for these calls.
    """

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.reset()

    def reset(self) -> None:
        """Forgets what came and what was scripted."""
        self.knows_scene_only = False
        self.calls: list[OldCall] = []
        self.asked: list[str] = []  # of the chat model
        self.images: list[str] = []  # what they are made of
        self.gate: Gate | None = None
        self.scripted: dict[str, Any] = {}  # replaces fields of the next answers
        self.status = 200

    async def answer(self, request: web.Request) -> web.Response:
        """One call."""
        body = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.calls.append(OldCall(headers, body))
        if self.gate:
            await self.gate.passage()
        if self.status != 200:
            return web.json_response({"success": False, "error": "It failed."}, status=self.status)
        if not body.get("conversation_id") or not body.get("character_id"):
            return web.json_response({"success": False, "error": "Missing fields"}, status=400)
        is_image = self.knows_scene_only and body.get("scene_only")
        reply = body["message"] if is_image else self._reply(body.get("message"))
        stored = None if is_image else await asyncio.to_thread(self._store, body, reply)
        if body.get("scene_generation") or is_image:
            self.images.append(body.get("scene_prompt_override") or reply)
        answer = {"success": True, "response": reply, "message_id": stored, "scene_job_id": "job"}
        return web.json_response(answer | self.scripted)

    def _reply(self, message: object) -> str:
        self.asked.append(str(message))
        return f"Old reply {len(self.asked)}."

    def _store(self, body: dict[str, Any], reply: str) -> str:
        row = self._db.execute(
            "insert into messages (conversation_id, sender, content, message_type)"
            " values (%s, 'assistant', %s, 'roleplay_chat') returning id",
            (body["conversation_id"], reply),
        ).fetchone()
        assert row
        return str(row["id"])


class Product:
    """Serves /rest/v1 from a gateway, and the old function, at `url`."""

    def __init__(self, url: str, gateway: Gateway, old: OldFunction) -> None:
        self.url = url
        self.gateway = gateway
        self.old = old

    async def _forward(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        async with (
            aiohttp.ClientSession() as client,
            client.request(
                request.method,
                URL(self.gateway.url + request.raw_path, encoded=True),
                headers=headers,
                data=await request.read() or None,
            ) as answer,
        ):
            kind = answer.headers.get("Content-Type", "application/json")
            body = await answer.read()
            return web.Response(status=answer.status, body=body, headers={"Content-Type": kind})

    @asynccontextmanager
    async def _serving(self, listener: object) -> AsyncIterator[None]:
        app = web.Application(client_max_size=32 * 2**20)
        app.router.add_post(LEGACY, self.old.answer)
        app.router.add_route("*", "/rest/v1/{path:.*}", self._forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.SockSite(runner, listener).start()  # type: ignore[arg-type]
        try:
            yield
        finally:
            await runner.cleanup()


@contextmanager
def running_product(gateway: Gateway, db: Connection) -> Iterator[Product]:
    """A product in a thread of its own."""
    listener = listening_socket()
    product = Product(listener_url(listener), gateway, OldFunction(db))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(product._serving(listener)),
    ):
        yield product
