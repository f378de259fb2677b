"""HTTP clients, the database client and threads that all requests of a process share."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from copy import copy
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
import httpx

# Only the PostgREST part of the Supabase client: importing Auth, Storage and Realtime, which are
# never used, would slow down every cold start.
from postgrest import AsyncPostgrestClient, AsyncRPCFilterRequestBuilder
from postgrest.exceptions import APIError

from edge.bounded import Bounded, busy
from edge.connections import Client, SecretKeyRejected, SupabaseClient, address
from edge.errors import ApiError, database_unavailable
from edge.json_text import dumps, loads
from edge.logs import configure
from edge.settings import EdgeSettings

_THREADS = 2
"""For CPU-bound work that would block the event loop. More would only compete for the CPU and use
more memory."""
_WAIT_SECONDS = 10
"""How long a request waits for a free thread."""

_CALLS_EACH = 3
"""The most calls for one person that may wait for each other in the database. Each occupies one of
PostgREST's connections, which everybody shares, so further calls wait here."""
_CALLS_WAIT_SECONDS = 5
"""How long such a call waits here for a place."""
_BUSY = "PT429"
"""What the database raises when another call of the person's, or the deletion of something, has
not ended in time: private.raise_busy."""

T = TypeVar("T")

_NO_PLACE: AbstractAsyncContextManager[None] = nullcontext()

__all__ = [
    "NETWORK_ERRORS",
    "Clients",
    "DatabaseError",
    "SecretKeyRejected",
    "address",
    "is_lost",
    "timed_out",
]

NETWORK_ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)
"""Everything a call can raise: the transport does not wrap all of aiohttp's errors."""

_TRANSIENT = ("08", "25006", "40", "53", "55", "57")
"""SQLSTATE classes of transient errors: connection lost, deadlock, out of resources, lock not
available, and the server starting, stopping or cancelling. 25006: the server only reads, because
another has just replaced it."""
_OUTDATED = {"PGRST200", "PGRST202", "PGRST203", "PGRST204", "PGRST205"}
"""PostgREST's errors while its copy of the schema is older than the database, for seconds after a
migration."""
_OUTDATED_MESSAGE = re.compile(r"cached plan must not change|cache lookup failed for", re.ASCII)
"""The same for PostgREST's connection to the database."""


def timed_out(error: Exception) -> bool:
    """Whether a network error is a timeout.

    The transport reports refused and closed connections as httpx.ConnectTimeout too, so the type
    alone is not enough; the cause tells them apart.
    """
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)


def is_lost(error: ApiError) -> bool:
    """Whether a call of the database had no answer at all, so that it may have taken effect."""
    cause = error.__cause__
    return isinstance(cause, NETWORK_ERRORS) and not isinstance(cause, httpx.HTTPStatusError)


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


class Clients:
    """Clients shared by all requests of one event loop, opened by the first request.

    The framework has no start-up hook, so nothing can be opened earlier.
    """

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._log = configure("edge", settings.log_level)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: Bounded
        self._persons: Bounded
        self._http: httpx.AsyncClient
        self._supabase_http: httpx.AsyncClient
        self._database: AsyncPostgrestClient
        self._calls: dict[str, AsyncRPCFilterRequestBuilder] = {}
        self._beside: set[asyncio.Task[None]] = set()
        self._rest_url = f"{settings.supabase_url}/rest/v1"
        key = settings.supabase_secret_key.get_secret_value()
        self._database_headers = {"apikey": key, "Authorization": f"Bearer {key}"}

    def http(self) -> httpx.AsyncClient:
        """The client for everything except Supabase. Ignores redirects and cookies.

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
        """The headers of a call to Supabase with a person's `token`, or without one, with the
        secret key."""
        if token is None:
            return dict(self._database_headers)
        return self._database_headers | {"Authorization": f"Bearer {token}"}

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a slow function in a thread. Raises `ApiError` 503 if none becomes free in time."""
        self._open()
        return await self._threads.run(function, *arguments)

    async def in_thread_unless(
        self, is_quick: bool, function: Callable[..., T], *arguments: object
    ) -> T:
        """Run a function at once if it is quick, else as `in_thread`."""
        return function(*arguments) if is_quick else await self.in_thread(function, *arguments)

    async def rpc(
        self,
        function: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        person: UUID | None = None,
    ) -> Any:
        """Call a database function with the secret key and return its result as parsed JSON.

        `person` is given for a function that waits until no other call for them runs
        (private.hold_person). None if it returns nothing. Raises `ApiError` 503 when the database
        is unavailable or something is in the way for too long, `DatabaseError` when it rejects the
        call, and ValueError or RecursionError when the result is not JSON or nested too deep.
        """
        # The library's types want every parameter as text; they are sent as JSON.
        given: dict[str, Any] = dict(parameters or {})
        self._open()
        try:
            async with self._place(person):
                return (await self._call(function, given).execute()).data
        except NETWORK_ERRORS as error:
            raise _unreachable(error) from error
        except APIError as error:
            failed = _database_error(error)
        raise self._refused(function, failed)

    async def large_rpc(
        self, function: str, parameters: Mapping[str, Any], *, person: UUID | None = None
    ) -> Any:
        """As `rpc`, for parameters or a result of megabytes, whose JSON is written and parsed in a
        thread."""
        content = await self.in_thread(dumps, dict(parameters))
        call = self._call(function, {}).request
        headers = httpx.Headers({**call.headers, "Content-Type": "application/json"})
        try:
            async with self._place(person):
                response = await self._supabase_http.request(
                    "POST", str(call.path), content=content, headers=headers
                )
        except NETWORK_ERRORS as error:
            raise _unreachable(error) from error
        if response.is_success:
            return await self.in_thread(response.json)
        raise self._refused(function, _refusal(response))

    def _place(self, person: UUID | None) -> AbstractAsyncContextManager[None]:
        """One of the person's places, if one is given. Raises `ApiError` 503 `busy` if none becomes
        free in time."""
        return _NO_PLACE if person is None else self._persons.place(person)

    def _refused(self, function: str, failed: DatabaseError) -> Exception:
        """What to raise when the database rejects a call."""
        if failed.is_outdated:
            # This usually lasts a few seconds. If it persists, a migration was not applied.
            fields = {"function": function, "sqlstate": failed.sqlstate}
            self._log.warning("PostgREST has another schema", extra={"fields": fields})
        if failed.sqlstate == _BUSY:
            return busy()
        return (
            database_unavailable(failed.sqlstate or "connection lost")
            if failed.is_transient
            else failed
        )

    def _call(self, function: str, given: dict[str, Any]) -> AsyncRPCFilterRequestBuilder:
        """The Supabase client's call of a function. Its address and headers are built once."""
        made = self._calls.get(function)
        if made is None:
            made = self._calls[function] = self._database.rpc(function, {})
        request = copy(made.request)
        request.json = given
        return type(made)(request)

    async def delete_user(self, user_id: UUID) -> bool:
        """Delete a user with the secret key. True: the user is gone; False: the server refused.

        Raises `ApiError` 503 when it is unavailable, and `SecretKeyRejected`.
        """
        http, url = self.supabase_http(), self.supabase_url(f"auth/v1/admin/users/{user_id}")
        try:
            # The Auth server's own connections wait where the account is deleted already.
            async with self._persons.place(user_id):
                answer = await http.delete(url, headers=self.supabase_headers())
        except NETWORK_ERRORS as error:
            raise _unreachable(error) from error
        if answer.status_code in (401, 403):
            raise SecretKeyRejected
        if answer.status_code == 429:
            raise database_unavailable("HTTP 429")
        return answer.is_success or answer.status_code == 404

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that no request waits for. Whatever is unfinished when the clients close is
        given up."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def aclose(self) -> None:
        """Close the clients that were opened."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
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
        self._persons = Bounded(None, wait_seconds=_CALLS_WAIT_SECONDS, each=_CALLS_EACH)
        settings = self._settings
        private_origins = None if settings.allow_local_upstreams else settings.private_origins
        self._http = Client(private_origins, timeout=httpx.Timeout(10))
        self._supabase_http = SupabaseClient()
        self._calls = {}
        self._database = AsyncPostgrestClient(
            self._rest_url, headers=self._database_headers, http_client=self._supabase_http
        )


def _unreachable(error: Exception) -> ApiError:
    """The error when a call of Supabase has no answer, or that of a proxy in front of it."""
    if isinstance(error, httpx.HTTPStatusError):
        return database_unavailable(f"HTTP {error.response.status_code}")
    return database_unavailable(type(error).__name__)


def _refusal(response: httpx.Response) -> DatabaseError:
    """The error in PostgREST's response, or in that of a proxy in front of it."""
    try:
        return _database_error(APIError(loads(response.content)))
    except (AttributeError, TypeError, ValueError, RecursionError):
        return DatabaseError(f"HTTP {response.status_code}", "")


def _database_error(error: APIError) -> DatabaseError:
    """Convert PostgREST's error. When a proxy in front of it answers with a page, the client puts
    the HTTP status in place of the SQLSTATE; three digits tell them apart."""
    code = error.code or ""
    return DatabaseError(f"HTTP {code}" if len(code) == 3 else code, error.message or "")
