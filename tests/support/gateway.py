"""Supabase's API gateway for tests: it turns API keys into roles, and can make calls fail."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from anyio.from_thread import start_blocking_portal
from yarl import URL

from tests.support.keys import Keys
from tests.support.storage import Storage
from tests.support.waiting import Gate, listener_url, listening_socket

PUBLISHABLE_KEY = "sb_publishable_test"
SECRET_KEY = "sb_secret_test"
USERS_PATH = "/auth/v1/admin/users/"
JWKS_PATH = "/auth/v1/.well-known/jwks.json"

Answer = Callable[[], Awaitable[web.Response]]
_HOP_BY_HOP = {"connection", "content-encoding", "content-length", "date", "transfer-encoding"}


@dataclass
class Trouble:
    """What happens to the next `times` calls whose path ends with `path`."""

    path: str
    times: int
    befall: Callable[[web.Request, Answer], Awaitable[web.Response]]


class Gateway:
    """Serves /rest/v1 (PostgREST), /storage/v1 where there is one, the JWKS at `url`, and makes
    and deletes users."""

    def __init__(self, url: str, postgrest_url: str, keys: Keys) -> None:
        self.url = url
        self.keys = keys
        self.jwks = keys.jwks()  # replace to rotate the published keys
        self.storage: Storage | None = None
        self.secret_keys = [SECRET_KEY]  # replace to rotate the secret keys
        self.calls: list[str] = []  # such as "POST /rest/v1/rpc/begin_turn", in order
        # Deletes a user; the HTTP status. What the Auth server does is given by who has a database.
        self.delete_user: Callable[[str], int] = lambda user_id: 501
        # Makes an account; the HTTP status.
        self.create_user: Callable[[dict[str, Any]], int] = lambda account: 501
        self.jwks_requests = 0
        self.in_progress = 0
        self._postgrest_url = postgrest_url
        self._anon, self._service = keys.role_token("anon"), keys.role_token("service_role")
        self._troubles: list[Trouble] = []
        self._gates: list[Gate] = []
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Forgets calls, troubles and rotated keys, and releases held calls."""
        with self._lock:
            self._troubles.clear()
        while self._gates:
            self._gates.pop().open()
        self.calls.clear()
        self.jwks_requests = 0
        self.jwks = self.keys.jwks()
        self.secret_keys = [SECRET_KEY]
        if self.storage:
            self.storage.files.clear()

    def fail(self, path: str, times: int = 1, status: int = 503) -> None:
        """Answers the next calls with a status, like Supabase's edge when it is overloaded."""

        async def answer(request: web.Request, forward: Answer) -> web.Response:
            return web.json_response({"message": "service unavailable"}, status=status)

        self._add(Trouble(path, times, answer))

    def outdate(self, path: str, times: int = 1) -> None:
        """Answers the next calls like PostgREST that has not read a changed schema yet."""

        async def answer(request: web.Request, forward: Answer) -> web.Response:
            message = f"Could not find the function {request.path} in the schema cache"
            return web.json_response({"code": "PGRST202", "message": message}, status=404)

        self._add(Trouble(path, times, answer))

    def drop(self, path: str, times: int = 1, *, after: bool = False) -> None:
        """Cuts the connection. With `after`, the call takes effect, but its response is lost."""

        async def cut(request: web.Request, forward: Answer) -> web.Response:
            if after:
                await forward()
            if request.transport:
                request.transport.abort()
            return web.Response()

        self._add(Trouble(path, times, cut))

    def delay(self, path: str, seconds: float, times: int = 1) -> None:
        """Delays the next calls."""

        async def wait(request: web.Request, forward: Answer) -> web.Response:
            await asyncio.sleep(seconds)
            return await forward()

        self._add(Trouble(path, times, wait))

    def hold(self, path: str, times: int = 1) -> Gate:
        """Holds the next calls until the gate is opened, before they take effect."""
        gate = Gate()
        self._gates.append(gate)

        async def wait(request: web.Request, forward: Answer) -> web.Response:
            await gate.passage()
            return await forward()

        self._add(Trouble(path, times, wait))
        return gate

    def _add(self, trouble: Trouble) -> None:
        with self._lock:
            self._troubles.append(trouble)

    def _trouble_for(self, path: str) -> Trouble | None:
        with self._lock:
            for trouble in self._troubles:
                if trouble.times > 0 and path.endswith(trouble.path):
                    trouble.times -= 1
                    return trouble
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == JWKS_PATH:
            self.jwks_requests += 1
        else:
            self.calls.append(f"{request.method} {request.path}")
        self.in_progress += 1
        try:
            body = await request.read()

            async def answer() -> web.Response:
                return await self._answer(request, body)

            trouble = self._trouble_for(request.path)
            return await (trouble.befall(request, answer) if trouble else answer())
        finally:
            self.in_progress -= 1

    async def _answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.path == JWKS_PATH:
            return web.json_response(self.jwks)
        is_storage = self.storage is not None and request.path.startswith("/storage/v1/")
        if not request.path.startswith("/rest/v1/") and not is_storage:
            return await self._answer_auth(request, body)
        roles = {PUBLISHABLE_KEY: self._anon, **dict.fromkeys(self.secret_keys, self._service)}
        role = roles.get(request.headers.get("apikey", ""))
        if role is None:
            return web.json_response({"message": "Invalid API key"}, status=401)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            token = self.keys.for_postgrest(bearer) if bearer.count(".") == 2 else role
        except jwt.PyJWTError as error:
            return web.json_response({"code": "PGRST301", "message": str(error)}, status=401)
        if is_storage and self.storage:
            return await self.storage.answer(request, body, self.keys.claims(token))
        return await self._forward(request, body, token)

    async def _answer_auth(self, request: web.Request, body: bytes) -> web.Response:
        if request.method == "POST" and request.path == USERS_PATH.rstrip("/"):
            if request.headers.get("apikey") not in self.secret_keys:
                return web.json_response({"message": "Invalid API key"}, status=401)
            status = await asyncio.to_thread(self.create_user, json.loads(body))
            return web.json_response({}, status=status)
        if request.method != "DELETE" or not request.path.startswith(USERS_PATH):
            return web.json_response({"message": "no Route matched with those values"}, status=404)
        if request.headers.get("apikey") not in self.secret_keys:
            return web.json_response({"message": "Invalid API key"}, status=401)
        deleted = self.delete_user
        status = await asyncio.to_thread(deleted, request.path.removeprefix(USERS_PATH))
        return web.json_response({}, status=status)

    async def _forward(self, request: web.Request, body: bytes, token: str) -> web.Response:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in {*_HOP_BY_HOP, "apikey", "authorization", "host"}
        }
        async with request.app[_CLIENT].request(
            request.method,
            URL(self._postgrest_url + request.raw_path.removeprefix("/rest/v1"), encoded=True),
            headers={**headers, "Authorization": f"Bearer {token}"},
            data=body or None,
        ) as answer:
            kept = [
                (name, value)
                for name, value in answer.headers.items()
                if name.lower() not in _HOP_BY_HOP
            ]
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    @asynccontextmanager
    async def _serving(self, listener: object) -> AsyncIterator[None]:
        app = web.Application(client_max_size=32 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        async with aiohttp.ClientSession(auto_decompress=True) as client:
            app[_CLIENT] = client
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.SockSite(runner, listener).start()  # type: ignore[arg-type]
            try:
                yield
            finally:
                await runner.cleanup()


_CLIENT: web.AppKey[aiohttp.ClientSession] = web.AppKey("client", aiohttp.ClientSession)


@contextmanager
def running_gateway(postgrest_url: str, keys: Keys) -> Iterator[Gateway]:
    """A gateway in its own thread. While it runs, the issuer of the keys is its Auth address."""
    listener, issuer = listening_socket(), keys.issuer
    keys.issuer = f"{listener_url(listener)}/auth/v1"
    gateway = Gateway(listener_url(listener), postgrest_url, keys)
    try:
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(gateway._serving(listener)),
        ):
            yield gateway
    finally:
        keys.issuer = issuer
