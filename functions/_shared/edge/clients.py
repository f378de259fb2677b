"""What the requests of a process share: HTTP clients, made at first use, and threads."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from edge.addresses import PublicResolver
from edge.bounded import Bounded
from edge.errors import database_unavailable
from edge.json_text import dumps, loads
from edge.settings import EdgeSettings

if TYPE_CHECKING:
    from postgrest import AsyncPostgrestClient

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
    """The database refused a call. Says why without the details, which may quote a row."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later. No SQLSTATE at all: the server went away in
        the middle of it."""
        return not self.sqlstate or self.sqlstate.startswith(_PASSING)


class SecretKeyRefused(Exception):
    """Supabase does not know SUPABASE_SECRET_KEY: it is wrong, or was deleted there."""


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
        self._threads: Bounded
        self._http: httpx.AsyncClient
        self._supabase_http: httpx.AsyncClient
        self._rest_url = f"{settings.supabase_url}/rest/v1"
        key = settings.supabase_secret_key.get_secret_value()
        self._database_headers = httpx.Headers(
            {
                "apikey": key,
                "Authorization": f"Bearer {key}",
                "Content-Type": "application/json",
            }
        )

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
        """Call a function of the database; otherwise as `execute`.

        Sent as it is: building a query around it costs the Supabase client as much as sending it,
        and every turn is two of these calls.
        """
        self._open()
        request = httpx.Request(
            "POST",
            address(f"{self._rest_url}/rpc/{function}"),
            content=dumps(parameters or {}),
            headers=self._database_headers,
            extensions={"timeout": _DATABASE_TIMEOUT.as_dict()},
        )
        try:
            response = await self._supabase_http.send(request)
        except NETWORK_ERRORS as error:
            raise database_unavailable() from error
        if response.is_success:
            return loads(response.content) if response.content else None
        raise _refused(_refusal(response))

    async def execute(self, query: "Callable[[AsyncPostgrestClient], Executable]") -> Any:
        """Run one database query with the secret key; its result as parsed JSON.

        Raises `ApiError` 503 when the database does not answer, or only that it cannot now, and
        `DatabaseError` when it refuses.
        """
        # The part of the Supabase client that speaks to the database. The others (Auth, Storage,
        # Realtime) are never used, and importing them would be a part of every cold start.
        from postgrest import AsyncPostgrestClient
        from postgrest.exceptions import APIError

        self._open()
        database = AsyncPostgrestClient(
            self._rest_url, headers=dict(self._database_headers), http_client=self._supabase_http
        )
        try:
            data = (await query(database).execute()).data
        except NETWORK_ERRORS as error:
            raise database_unavailable() from error
        except APIError as error:
            refusal = DatabaseError(error.code or "", error.message or "")
        else:
            # Text is what its own parser does not take: one row has a number of 5,000 digits, say.
            return loads(data) if isinstance(data, str) else data
        raise _refused(refusal)

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
        self._http = _Client(httpx.Timeout(10), public_only=public_only)
        self._supabase_http = _Client(_DATABASE_TIMEOUT, public_only=False, check=_raise_trouble)


address = lru_cache(maxsize=256)(httpx.URL)
"""A parsed address. There are few, and parsing one is a good part of making a request."""


def _refusal(response: httpx.Response) -> DatabaseError:
    """PostgREST's own errors, and the pages of what may stand before it."""
    try:
        said = loads(response.content)
    except ValueError:
        said = None
    if not isinstance(said, Mapping):
        return DatabaseError(f"HTTP {response.status_code}", "no answer of the database")
    return DatabaseError(str(said.get("code") or ""), str(said.get("message") or ""))


def _refused(error: DatabaseError) -> Exception:
    return database_unavailable() if error.passes else error


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
    # It would make a TLS context of its own; this one knows no authority and is never used.
    transport = AiohttpTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    # The transport's own session would keep cookies, and connect to whatever a name resolves to.
    transport.client = lambda: aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=_MAX_CONNECTIONS,
            keepalive_timeout=_IDLE_SECONDS,
            ssl=True,  # aiohttp's context, which is there already: the system's authorities
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
    if response.status_code == 401 and "/rest/v1/" in response.request.url.path:
        raise SecretKeyRefused
