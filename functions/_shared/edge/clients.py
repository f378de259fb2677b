"""The HTTP client and the Supabase client of a process, made at first use."""

import asyncio
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Protocol

import httpx
from httpx_aiohttp import AiohttpTransport

from edge.errors import database_unavailable
from edge.settings import EdgeSettings

if TYPE_CHECKING:
    from supabase import AsyncClient

_DATABASE_TIMEOUT = httpx.Timeout(10, connect=5)
_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)


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

        Raises `ApiError` 503 when the database does not answer.
        """
        from postgrest.exceptions import APIError

        self._open()
        try:
            return (await query(self._database).execute()).data
        except httpx.HTTPError as error:
            raise database_unavailable() from error
        except APIError as error:
            if _is_outage(error):
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


def _is_outage(error: Any) -> bool:
    """Whether an error of the Data API means that the database behind it is not there.

    PGRST000 to PGRST003 are PostgREST's connection errors; classes 08, 53 and 57P are
    Postgres's own words for a lost connection, exhausted resources and a shutdown. A gateway
    in front answers with a bare HTTP status.
    """
    code = str(error.code or "")
    return code.startswith(("PGRST00", "08", "53", "57P")) or code in {"502", "503", "504"}
