"""What the requests of a process share: HTTP clients, made at first use, and threads."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from http.cookiejar import CookieJar
from json import JSONDecodeError
from typing import Any, TypeVar

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

# The part of the Supabase client that speaks to the database. The others (Auth, Storage, Realtime)
# are never used, and importing them would be a part of every cold start.
from postgrest import AsyncPostgrestClient
from postgrest.exceptions import APIError

from edge.addresses import PublicResolver
from edge.bounded import Bounded
from edge.errors import database_unavailable
from edge.json_text import loads
from edge.settings import EdgeSettings

_DATABASE_TIMEOUT = httpx.Timeout(10, connect=5)
_MAX_CONNECTIONS = 1000
_THREADS = 2
"""For work that would keep the event loop: more would only share the processor, and hold more."""
_WAIT_SECONDS = 10
"""For one of them."""
_IDLE_SECONDS = 5
"""How long a connection that nobody uses is kept."""

T = TypeVar("T")

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


class DatabaseError(Exception):
    """The database rejected a call. Says why without the details, which may quote a row."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later. No SQLSTATE at all: the server went away in
        the middle of it."""
        return not self.sqlstate or self.sqlstate.startswith(_PASSING)


class SecretKeyRejected(Exception):
    """Supabase does not know SUPABASE_SECRET_KEY: it is wrong, or was deleted there."""


class Clients:
    """Lazily made, shared by all requests of one event loop.

    The framework has no start-up hook, so nothing may be opened before the first request.
    """

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: Bounded
        self._http: httpx.AsyncClient
        self._supabase_http: httpx.AsyncClient
        self._database: AsyncPostgrestClient
        self._rest_url = f"{settings.supabase_url}/rest/v1"
        key = settings.supabase_secret_key.get_secret_value()
        self._database_headers = {"apikey": key, "Authorization": f"Bearer {key}"}

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

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """The result of a function that takes long. `ApiError` 503 where too many are waiting."""
        self._open()
        return await self._threads.run(function, *arguments)

    async def rpc(self, function: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Call a function of the database with the secret key; its result as parsed JSON.

        None where it returns nothing. Raises `ApiError` 503 when the database does not answer, or
        only that it cannot now, and `DatabaseError` when it rejects the call; ValueError or
        RecursionError for a result that is no JSON or is nested too deep.
        """
        # Typed as if every parameter were text; they are sent as JSON.
        given: dict[str, Any] = dict(parameters or {})
        self._open()
        try:
            return (await self._database.rpc(function, given).execute()).data
        except NETWORK_ERRORS as error:
            raise database_unavailable() from error
        except APIError as error:
            failed = _database_error(error)
        raise database_unavailable() if failed.passes else failed

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
        self._loop = loop
        self._threads = Bounded(_THREADS, wait_seconds=_WAIT_SECONDS)
        public_only = not self._settings.allow_local_upstreams
        self._http = httpx.AsyncClient(
            transport=_transport(public_only=public_only),
            timeout=httpx.Timeout(10),
            cookies=_NoCookies(),
            event_hooks={"response": [_stay]},
        )
        self._supabase_http = httpx.AsyncClient(
            transport=_SupabaseTransport(),
            timeout=_DATABASE_TIMEOUT,
            cookies=_NoCookies(),
            event_hooks={"response": [_raise_trouble, _stay]},
        )
        self._database = AsyncPostgrestClient(
            self._rest_url, headers=self._database_headers, http_client=self._supabase_http
        )


address = lru_cache(maxsize=256)(httpx.URL)
"""A parsed address. There are few, and parsing one is a good part of making a request."""


def _database_error(error: APIError) -> DatabaseError:
    """PostgREST's own errors. For the pages of what may stand before it, the client has made one of
    the HTTP status, which is no SQLSTATE though it may look like the beginning of one."""
    code = error.code or ""
    return DatabaseError(f"HTTP {code}" if len(code) == 3 else code, error.message or "")


class _NoCookies(CookieJar):
    """Takes none, and does not read what servers send as cookies."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Leave them."""


async def _stay(response: httpx.Response) -> None:
    """Redirects are not followed; without this, the client would still read where they lead."""
    response.headers.pop("Location", None)


class _Answer(httpx.Response):
    """An answer of Supabase. Its JSON is read as all JSON here: ten times as fast, and a row with a
    number of 5,000 digits can be read."""

    def json(self, **_: Any) -> Any:
        """The value, None for an empty body. Raises ValueError or RecursionError."""
        if not self.content:
            return None
        try:
            return loads(self.content)
        except JSONDecodeError as error:
            # The client takes what raises that for a text.
            raise ValueError("no JSON") from error


class _SupabaseTransport(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self._transport = _transport(public_only=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        return _Answer(
            response.status_code,
            headers=response.headers,
            stream=response.stream,
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._transport.aclose()


def _transport(*, public_only: bool) -> AiohttpTransport:
    def session() -> aiohttp.ClientSession:
        # The transport's own would keep cookies, and connect to whatever a name resolves to.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=_MAX_CONNECTIONS,
                keepalive_timeout=_IDLE_SECONDS,
                ssl=True,  # aiohttp's context, which is there already: the system's authorities
                resolver=PublicResolver(aiohttp.DefaultResolver()) if public_only else None,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    # It would make a TLS context of its own; this one knows no authority and is never used.
    return AiohttpTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), client=session)


async def _raise_trouble(response: httpx.Response) -> None:
    """What PostgREST and the gateways before it answer: the database is away, or the key wrong.

    520 and more are those of Cloudflare, which stands before hosted Supabase.
    """
    if response.status_code in (502, 503, 504) or response.status_code >= 520:
        raise httpx.HTTPStatusError("database away", request=response.request, response=response)
    if response.status_code == 401 and "/rest/v1/" in response.request.url.path:
        raise SecretKeyRejected
