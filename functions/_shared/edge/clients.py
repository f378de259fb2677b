"""The HTTP client and the Supabase client of a process, made at first use."""

import asyncio
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from edge.addresses import PublicResolver
from edge.errors import database_unavailable
from edge.settings import EdgeSettings

if TYPE_CHECKING:
    from supabase import AsyncClient

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
        self._database: AsyncClient

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

    async def execute(self, query: "Callable[[AsyncClient], Executable]") -> Any:
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
        from supabase import AsyncClient, AsyncClientOptions

        self._loop = loop
        public_only = not self._settings.allow_local_upstreams
        self._http = _http_client(httpx.Timeout(10), public_only=public_only)
        self._supabase_http = _http_client(_DATABASE_TIMEOUT, public_only=False)
        self._supabase_http.event_hooks = {"request": [], "response": [_raise_outage]}
        self._database = AsyncClient(
            self._settings.supabase_url,
            self._settings.supabase_secret_key.get_secret_value(),
            AsyncClientOptions(
                httpx_client=self._supabase_http,
                auto_refresh_token=False,
                persist_session=False,
            ),
        )


def _http_client(timeout: httpx.Timeout, *, public_only: bool) -> httpx.AsyncClient:
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
    client = httpx.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False)
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


async def _raise_outage(response: httpx.Response) -> None:
    """What PostgREST and the gateways before it answer while the database is away.

    520 and more are those of Cloudflare, which stands before hosted Supabase.
    """
    if response.status_code in (502, 503, 504) or response.status_code >= 520:
        raise httpx.HTTPStatusError("database away", request=response.request, response=response)
