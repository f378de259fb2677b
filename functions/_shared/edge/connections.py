"""HTTP clients: httpx's interface over aiohttp's connections, without the features that no call
uses.

A turn makes three requests. Of the processor time of each, httpx's client would take half: for
cookies, redirects, authentication, hooks, and copies of headers and addresses.
"""

import ssl
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache
from json import JSONDecodeError
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import map_aiohttp_exceptions
from multidict import CIMultiDict
from yarl import URL

from edge.addresses import PublicResolver
from edge.json_text import loads

MAX_CONNECTIONS = 1000
IDLE_SECONDS = 5
"""How long an unused connection is kept open."""
HEADER_BYTES = 65_536
"""The limit for a response's header line. aiohttp's own is 8,190, which long policies and cookies
of a CDN exceed."""
READ_BYTES = 16_384
"""The most that is read of a body at once."""
DATABASE_TIMEOUT = httpx.Timeout(10, connect=5)
OK = 200
_NO_HEADERS = httpx.Headers()

_address = lru_cache(maxsize=256)(URL)
address = lru_cache(maxsize=256)(httpx.URL)
"""Parses each URL only once: there are few, and parsing is a good part of a request's cost."""


class SecretKeyRejected(Exception):
    """Supabase rejects SUPABASE_SECRET_KEY: it is wrong or was deleted there."""


class Client(httpx.AsyncClient):
    """Sends requests as they are: no cookies, no redirects, no authentication.

    Connects to public addresses and `private_origins` only; with None, to any address.
    """

    response_class = httpx.Response

    def __init__(self, private_origins: str | None, *, timeout: httpx.Timeout) -> None:
        self._connections = Transport(self.response_class, private_origins)
        super().__init__(transport=self._connections, timeout=timeout)

    async def send(
        self, request: httpx.Request, *, stream: bool = False, **_: Any
    ) -> httpx.Response:
        """Send a request. Raises `NETWORK_ERRORS`."""
        if "timeout" not in request.extensions:
            # The caller made the request without this client.
            request.extensions = {**request.extensions, "timeout": self.timeout.as_dict()}
        response = await self._connections.handle_async_request(request)
        response.request = request
        try:
            self.check(response)
            if not stream:
                await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response

    def check(self, response: httpx.Response) -> None:
        """Raise if no caller should see the response."""


class SupabaseResponse(httpx.Response):
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


class _Result(SupabaseResponse):
    """The parts of a response that the Supabase client reads. Building a whole one takes a third of
    the time of the call."""

    def __init__(self, content: bytes, request: httpx.Request) -> None:
        self.status_code = OK
        self._content = content
        self._request = request
        self.headers = _NO_HEADERS


class SupabaseClient(Client):
    """Raises when Supabase is unavailable or its key is wrong."""

    response_class = SupabaseResponse

    def __init__(self) -> None:
        super().__init__(None, timeout=DATABASE_TIMEOUT)
        self._own_headers = _decoded(self.headers.raw)

    def check(self, response: httpx.Response) -> None:
        raise_unavailable(response)

    async def request(self, method: str, url: httpx.URL | str, **given: Any) -> httpx.Response:
        """Send a request. The Supabase client's calls of functions bypass httpx."""
        content, headers = given.get("content"), given.get("headers")
        if (
            method != "POST"
            or given.get("params")
            or not isinstance(content, bytes)
            or not isinstance(headers, httpx.Headers)
        ):
            return await super().request(method, url, **given)
        sent = CIMultiDict(self._own_headers)
        sent.update(_decoded(headers.raw))
        async with await self._connections.post(str(url), sent, content, self.timeout) as answer:
            body = await answer.read()
        if answer.status == OK and "Content-Encoding" not in answer.headers:
            return _Result(body, _call(str(url)))
        response = SupabaseResponse(
            answer.status, headers=answer.raw_headers, content=body, request=_call(str(url))
        )
        raise_unavailable(response)
        return response


@lru_cache(maxsize=256)
def _call(url: str) -> httpx.Request:
    """The request of a call, as far as the Supabase client reads it: it has no `Prefer` header."""
    return httpx.Request("POST", url)


def raise_unavailable(response: httpx.Response) -> None:
    """Raise when a status means that the database is unavailable or the key is wrong.

    520 and above come from Cloudflare, which is in front of hosted Supabase.
    """
    if response.status_code in (502, 503, 504) or response.status_code >= 520:
        raise httpx.HTTPStatusError("database away", request=response.request, response=response)
    if response.status_code == 401 and "/rest/v1/" in response.request.url.path:
        raise SecretKeyRejected


class Transport(AiohttpTransport):
    """httpx-aiohttp's transport with less work for each request."""

    def __init__(self, response_class: type[httpx.Response], private_origins: str | None) -> None:
        def resolver() -> PublicResolver | None:
            if private_origins is None:
                return None
            return PublicResolver(aiohttp.DefaultResolver(), private_origins)

        def session() -> aiohttp.ClientSession:
            # The transport's own session would keep cookies and connect to any address.
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=MAX_CONNECTIONS,
                    keepalive_timeout=IDLE_SECONDS,
                    ssl=True,  # aiohttp's existing context, with the system's CA certificates
                    resolver=resolver(),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                max_line_size=HEADER_BYTES,
                max_field_size=HEADER_BYTES,
            )

        # An empty context, never used: otherwise the transport would load CA certificates again.
        super().__init__(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), client=session)
        self._response_class = response_class

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the unread response."""
        limits = request.extensions["timeout"]
        with map_aiohttp_exceptions():
            response = await self._session().request(
                request.method,
                _address(str(request.url)),
                headers=CIMultiDict(_decoded(request.headers.raw)),
                data=_body(request),
                timeout=_timeout(limits["connect"], limits["read"], limits["pool"]),
                **_AS_IT_COMES,
            )
        return self._response_class(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response),
            extensions={"reason_phrase": (response.reason or "").encode()},
        )

    async def post(
        self, url: str, headers: CIMultiDict[str], content: bytes, limits: httpx.Timeout
    ) -> aiohttp.ClientResponse:
        """Send a request in aiohttp's terms. Raises aiohttp's errors."""
        return await self._session().post(
            _address(url),
            headers=headers,
            data=content,
            timeout=_timeout(limits.connect, limits.read, limits.pool),
            **_AS_IT_COMES,
        )

    def _session(self) -> aiohttp.ClientSession:
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        return self.client


_AS_IT_COMES: Any = {"allow_redirects": False, "auto_decompress": False, "compress": False}


@lru_cache(maxsize=256)
def _timeout(
    connect: float | None, read: float | None, pool: float | None
) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(sock_connect=connect, sock_read=read, connect=pool)


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in headers]


def _body(request: httpx.Request) -> Any:
    """The body: bytes, an iterator of them, or None."""
    try:
        return request.content or None
    except httpx.RequestNotRead:
        return request.stream


class _Body(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """The body of a response. Not a generator, so that waiting for a piece can be abandoned."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._response.content.read(READ_BYTES)
        except Exception:  # Entering the block for each piece would cost more than reading it.
            with map_aiohttp_exceptions():
                raise
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        with map_aiohttp_exceptions():
            await self._response.__aexit__(None, None, None)
