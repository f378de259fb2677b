"""HTTP clients, the database client and threads that all requests of a process share."""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from json import JSONDecodeError
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

# Only the PostgREST part of the Supabase client: importing Auth, Storage and Realtime, which are
# never used, would slow down every cold start.
from postgrest import AsyncPostgrestClient
from postgrest.exceptions import APIError

from edge.addresses import PublicResolver
from edge.bounded import Bounded
from edge.errors import database_unavailable
from edge.json_text import loads
from edge.logs import configure
from edge.settings import EdgeSettings

_DATABASE_TIMEOUT = httpx.Timeout(10, connect=5)
_MAX_CONNECTIONS = 1000
_THREADS = 2
"""For CPU-bound work that would block the event loop. More would only compete for the CPU and use
more memory."""
_WAIT_SECONDS = 10
"""How long a request waits for a free thread."""
_IDLE_SECONDS = 5
"""How long an unused connection is kept open."""

T = TypeVar("T")

NETWORK_ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)
"""Everything a call can raise: the transport does not wrap all of aiohttp's errors."""

_TRANSIENT = ("08", "40", "53", "55", "57")
"""SQLSTATE classes of transient errors: connection lost, deadlock, out of resources, lock not
available, and the server starting, stopping or cancelling."""
_OUTDATED = {"PGRST200", "PGRST202", "PGRST203", "PGRST204", "PGRST205"}
"""PostgREST's errors while its copy of the schema is older than the database, for seconds after a
migration."""
_OUTDATED_MESSAGE = re.compile(r"cached plan must not change|cache lookup failed for", re.ASCII)
"""The same of a connection of PostgREST's to the database."""
_HEADER_BYTES = 65_536
"""The limit for a response's header line. aiohttp's own is 8,190, which long policies and cookies
of a CDN exceed."""


def timed_out(error: Exception) -> bool:
    """Whether a network error is a timeout.

    The transport reports refused and closed connections as httpx.ConnectTimeout too, so the type
    alone is not enough; the cause tells them apart.
    """
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)


class DatabaseError(Exception):
    """The database rejected a call. Omits the error's details, which may quote a row."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later. Without a SQLSTATE the connection was lost in
        the middle of the call."""
        return not self.sqlstate or self.sqlstate.startswith(_TRANSIENT) or self.is_outdated

    @property
    def is_outdated(self) -> bool:
        """Whether the schema changed a moment ago and PostgREST has not read it yet."""
        return self.sqlstate in _OUTDATED or bool(_OUTDATED_MESSAGE.search(str(self)[:500]))


class SecretKeyRejected(Exception):
    """Supabase rejects SUPABASE_SECRET_KEY: it is wrong or was deleted there."""


class Clients:
    """Clients shared by all requests of one event loop, opened by the first request.

    The framework has no start-up hook, so nothing can be opened earlier.
    """

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._log = configure("edge", settings.log_level)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: Bounded
        self._http: httpx.AsyncClient
        self._supabase_http: httpx.AsyncClient
        self._database: AsyncPostgrestClient
        self._rest_url = f"{settings.supabase_url}/rest/v1"
        key = settings.supabase_secret_key.get_secret_value()
        self._database_headers = {"apikey": key, "Authorization": f"Bearer {key}"}

    def http(self) -> httpx.AsyncClient:
        """The client for everything but Supabase. Ignores redirects and cookies.

        Connects to public addresses and `PRIVATE_ORIGINS` only, unless `ALLOW_LOCAL_UPSTREAMS` is
        set.
        """
        self._open()
        return self._http

    def supabase_http(self) -> httpx.AsyncClient:
        """The client for Supabase, which may also be at a private address."""
        self._open()
        return self._supabase_http

    def supabase_url(self, path: str) -> str:
        """The address of a path of Supabase, such as `storage/v1/status`."""
        return f"{self._settings.supabase_url}/{path}"

    def supabase_headers(self, token: str | None = None) -> dict[str, str]:
        """The headers of a call to Supabase as the person whose `token` it is, or, without one,
        with the secret key."""
        if token is None:
            return dict(self._database_headers)
        return self._database_headers | {"Authorization": f"Bearer {token}"}

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a slow function in a thread. Raises `ApiError` 503 if none becomes free in time."""
        self._open()
        return await self._threads.run(function, *arguments)

    async def rpc(self, function: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Call a database function with the secret key and return its result as parsed JSON.

        None if it returns nothing. Raises `ApiError` 503 when the database is unavailable,
        `DatabaseError` when it rejects the call, and ValueError or RecursionError when the result
        is not JSON or nested too deep.
        """
        # The library's types want every parameter as text; they are sent as JSON.
        given: dict[str, Any] = dict(parameters or {})
        self._open()
        try:
            return (await self._database.rpc(function, given).execute()).data
        except NETWORK_ERRORS as error:
            raise database_unavailable() from error
        except APIError as error:
            failed = _database_error(error)
        if failed.is_outdated:
            # A few seconds of it are usual. If it lasts, a migration was not applied.
            fields = {"function": function, "sqlstate": failed.sqlstate}
            self._log.warning("PostgREST has another schema", extra={"fields": fields})
        raise database_unavailable() if failed.is_transient else failed

    async def delete_user(self, user_id: UUID) -> bool:
        """Delete a user with the secret key. True: the user is gone; False: the server refused.

        Raises `ApiError` 503 when it is unavailable, and `SecretKeyRejected`.
        """
        try:
            answer = await self.supabase_http().delete(
                self.supabase_url(f"auth/v1/admin/users/{user_id}"),
                headers=self.supabase_headers(),
            )
        except NETWORK_ERRORS as error:
            raise database_unavailable() from error
        if answer.status_code in (401, 403):
            raise SecretKeyRejected
        if answer.status_code == 429:
            raise database_unavailable()
        return answer.is_success or answer.status_code == 404

    async def aclose(self) -> None:
        """Close the clients that were opened."""
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
        settings = self._settings
        private_origins = None if settings.allow_local_upstreams else settings.private_origins
        self._http = _Client(
            transport=_transport(private_origins),
            timeout=httpx.Timeout(10),
            event_hooks={"response": [_ignore_redirect]},
        )
        self._supabase_http = _SupabaseClient(
            transport=_SupabaseTransport(),
            timeout=_DATABASE_TIMEOUT,
            event_hooks={"response": [_raise_unavailable, _ignore_redirect]},
        )
        self._database = AsyncPostgrestClient(
            self._rest_url, headers=self._database_headers, http_client=self._supabase_http
        )


address = lru_cache(maxsize=256)(httpx.URL)
"""Parses a URL, once: there are few, and parsing is a good part of the cost of a request."""


def _database_error(error: APIError) -> DatabaseError:
    """Convert PostgREST's error. When a proxy in front of it answers with a page, the client puts
    the HTTP status in place of the SQLSTATE; three digits tell them apart."""
    code = error.code or ""
    return DatabaseError(f"HTTP {code}" if len(code) == 3 else code, error.message or "")


class _NoCookies(httpx.Cookies):
    """Stores no cookies and does not parse them."""

    def extract_cookies(self, response: object) -> None:
        """Ignore the cookies."""


class _Client(httpx.AsyncClient):
    """Keeps no cookies, and unlike a cookie jar that takes none copies no request for it."""

    cookies = _NoCookies()  # type: ignore[override]


class _SupabaseClient(_Client):
    """Parses the address of each function and table once."""

    def build_request(
        self, method: str, url: httpx.URL | str, *, params: Any = None, **more: Any
    ) -> httpx.Request:
        """Build the request. Empty parameters would make httpx parse the address again."""
        return super().build_request(method, address(str(url)), params=params or None, **more)


async def _ignore_redirect(response: httpx.Response) -> None:
    """Drop the Location header: the client would parse it although it follows no redirects."""
    if response.has_redirect_location:
        del response.headers["Location"]


class _SupabaseResponse(httpx.Response):
    """Parses JSON with our parser: ten times as fast, and it accepts a number of 5,000 digits."""

    def json(self, **_: Any) -> Any:
        """The parsed body; None if it is empty. Raises ValueError or RecursionError."""
        if not self.content:
            return None
        try:
            return loads(self.content)
        except JSONDecodeError as error:
            # The client would take a JSONDecodeError to mean that the body is text.
            raise ValueError("not JSON") from error


class _SupabaseTransport(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self._transport = _transport(None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        return _SupabaseResponse(
            response.status_code,
            headers=response.headers,
            stream=response.stream,
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._transport.aclose()


def _transport(private_origins: str | None) -> AiohttpTransport:
    """Connects to public addresses and these origins; with None, to any address."""

    def resolver() -> PublicResolver | None:
        if private_origins is None:
            return None
        return PublicResolver(aiohttp.DefaultResolver(), private_origins)

    def session() -> aiohttp.ClientSession:
        # The transport's own session would keep cookies and connect to any address.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=_MAX_CONNECTIONS,
                keepalive_timeout=_IDLE_SECONDS,
                ssl=True,  # aiohttp's existing context, with the system's CA certificates
                resolver=resolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )

    # An empty context, never used: otherwise the transport would load CA certificates again.
    return AiohttpTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), client=session)


async def _raise_unavailable(response: httpx.Response) -> None:
    """Raise when a status means that the database is unavailable or the key is wrong.

    520 and above come from Cloudflare, which is in front of hosted Supabase.
    """
    if response.status_code in (502, 503, 504) or response.status_code >= 520:
        raise httpx.HTTPStatusError("database away", request=response.request, response=response)
    if response.status_code == 401 and "/rest/v1/" in response.request.url.path:
        raise SecretKeyRejected
