"""The HTTP client and the Supabase client of a process, made at first use."""

import asyncio
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from edge.errors import database_unavailable
from edge.settings import EdgeSettings

if TYPE_CHECKING:
    from supabase import AsyncClient

_DATABASE_TIMEOUT = httpx.Timeout(10, connect=5)
_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)

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
        self._database_http: httpx.AsyncClient
        self._database: AsyncClient

    def http(self) -> httpx.AsyncClient:
        """The client for everything but the database. Follows no redirects, keeps no cookies."""
        self._open()
        return self._http

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
            if (error.code or "").startswith(_PASSING):
                raise database_unavailable() from error
            raise

    async def aclose(self) -> None:
        """Close what was opened."""
        if self._loop is not None:
            self._loop = None
            await self._http.aclose()
            await self._database_http.aclose()

    def _open(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        from supabase import AsyncClient, AsyncClientOptions

        self._loop = loop
        self._http = _http_client(httpx.Timeout(10))
        self._database_http = _http_client(_DATABASE_TIMEOUT)
        self._database_http.event_hooks = {"request": [], "response": [_raise_outage]}
        self._database = AsyncClient(
            self._settings.supabase_url,
            self._settings.supabase_secret_key.get_secret_value(),
            AsyncClientOptions(
                httpx_client=self._database_http,
                auto_refresh_token=False,
                persist_session=False,
            ),
        )


def _http_client(timeout: httpx.Timeout) -> httpx.AsyncClient:
    client = httpx.AsyncClient(
        transport=AiohttpTransport(limits=_LIMITS), timeout=timeout, follow_redirects=False
    )
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


async def _raise_outage(response: httpx.Response) -> None:
    """What PostgREST and the gateways before it answer while the database is away."""
    if response.status_code in (502, 503, 504):
        raise httpx.HTTPStatusError("database away", request=response.request, response=response)
