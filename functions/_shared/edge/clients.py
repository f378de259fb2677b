"""The HTTP client and the Supabase client of a process, made at first use."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from edge.addresses import PublicResolver
from edge.errors import database_unavailable
from edge.settings import EdgeSettings

if TYPE_CHECKING:
    from postgrest import AsyncPostgrestClient

_DATABASE_TIMEOUT = httpx.Timeout(10, connect=5)
_MAX_CONNECTIONS = 1000
_IDLE_SECONDS = 5
"""How long a connection that nobody uses is kept."""

NETWORK_ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)
"""What a call can fail with: the transport lets some of aiohttp's own errors through."""

_PASSING = ("08", "40", "53", "55", "57")
"""SQLSTATE classes of what passes: connections lost, deadlocks, too little of something, locks
not had in time, and the server starting, stopping or cancelling."""


def timed_out(error: Exception) -> bool:
    """Whether a network error means that time ran out.

    The transport reports refused and closed connections as httpx.ConnectTimeout too; its cause
    tells them apart.
    """
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)


class Executable(Protocol):
    """A query of the Supabase client, built and not yet sent."""

    async def execute(self) -> Any:
        """Send it."""


class Clients:
    """Lazily made, shared by all requests of one event loop.

    The framework has no start-up hook, so nothing may be opened before the first request.
    """

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx.AsyncClient
        self._supabase_http: httpx.AsyncClient
        self._database: AsyncPostgrestClient

    def http(self) -> httpx.AsyncClient:
        """The client for everything but Supabase. Follows no redirects, keeps no cookies.

        Without `ALLOW_LOCAL_UPSTREAMS` it connects to public addresses only.
        """
        self._open()
        return self._http

    def supabase_http(self) -> httpx.AsyncClient:
        """The client for Supabase, wherever it is."""
        self._open()
        return self._supabase_http

    async def rpc(self, function: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Call a function of the database; otherwise as `execute`."""
        given: dict[str, Any] = dict(parameters or {})
        return await self.execute(lambda db: db.rpc(function, given))

    async def execute(self, query: "Callable[[AsyncPostgrestClient], Executable]") -> Any:
        """Run one database query with the secret key; its result as parsed JSON.

        Raises `ApiError` 503 when the database does not answer, or only that it cannot now.
        """
        from postgrest.exceptions import APIError

        self._open()
        try:
            return (await query(self._database).execute()).data
        except NETWORK_ERRORS as error:
            raise database_unavailable() from error
        except APIError as error:
            # No SQLSTATE at all: the server went away in the middle of the query.
            if error.code == "" or (error.code or "").startswith(_PASSING):
                raise database_unavailable() from error
            raise

    async def aclose(self) -> None:
        """Close what was opened."""
        if self._loop is not None:
            self._loop = None
            await self._http.aclose()
            await self._supabase_http.aclose()

    def _open(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        # The part of the Supabase client that speaks to the database. The others (Auth, Storage,
        # Realtime) are never used, and importing them is a part of every cold start.
        from postgrest import AsyncPostgrestClient

        self._loop = loop
        public_only = not self._settings.allow_local_upstreams
        self._http = _Client(httpx.Timeout(10), public_only=public_only)
        self._supabase_http = _Client(_DATABASE_TIMEOUT, public_only=False, check=_raise_trouble)
        key = self._settings.supabase_secret_key.get_secret_value()
        self._database = AsyncPostgrestClient(
            f"{self._settings.supabase_url}/rest/v1",
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            http_client=self._supabase_http,
        )


class SecretKeyRefused(Exception):
    """Supabase does not know SUPABASE_SECRET_KEY: it is wrong, or was deleted there."""


class _Client(httpx.AsyncClient):
    """Follows no redirects, keeps no cookies, signs in nowhere: `send` leaves out what httpx does
    for those."""

    def __init__(
        self,
        timeout: httpx.Timeout,
        *,
        public_only: bool,
        check: Callable[[httpx.Response], None] = lambda _: None,
    ) -> None:
        """`check` may raise for an answer before it is read."""
        self._aiohttp = _transport(public_only=public_only)
        self._check = check
        super().__init__(transport=self._aiohttp, timeout=timeout)

    async def send(
        self, request: httpx.Request, *, stream: bool = False, **_: Any
    ) -> httpx.Response:
        response = await self._aiohttp.handle_async_request(request)
        try:
            self._check(response)
            if not stream:
                await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response


def _transport(*, public_only: bool) -> AiohttpTransport:
    transport = AiohttpTransport()
    # The transport's own session would keep cookies, and connect to whatever a name resolves to.
    transport.client = lambda: aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=_MAX_CONNECTIONS,
            keepalive_timeout=_IDLE_SECONDS,
            ssl=transport.ssl_context,
            resolver=PublicResolver(aiohttp.DefaultResolver()) if public_only else None,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    return transport


def _raise_trouble(response: httpx.Response) -> None:
    """What PostgREST and the gateways before it answer: the database is away, or the key wrong.

    520 and more are those of Cloudflare, which stands before hosted Supabase.
    """
    if response.status_code in (502, 503, 504) or response.status_code >= 520:
        raise httpx.HTTPStatusError("database away", request=response.request, response=response)
    if response.status_code == 401:
        raise SecretKeyRefused
