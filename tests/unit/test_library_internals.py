"""Undocumented parts of libraries that are used. pyproject.toml limits the versions.

A test that fails here says what to check before a newer version is used.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from functions_framework.aio import create_asgi_app
from httpx_aiohttp import AiohttpTransport
from httpx_sse import _decoders
from postgrest import AsyncPostgrestClient
from starlette.responses import Response

from edge.clients import timed_out
from tests.support.postgres import ROOT
from tests.support.waiting import free_port

BOUNDED = ("functions-framework", "httpx", "httpx-aiohttp", "httpx-sse", "starlette", "supabase")


@pytest.mark.parametrize("name", BOUNDED)
def test_version_of_a_used_library_is_bounded(name: str) -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    wanted = [
        line
        for group in groups.values()
        for line in group
        if isinstance(line, str) and re.fullmatch(rf"{name}(\[.*\])?[<>=].*", line)
    ]
    assert wanted
    assert all(",<" in line for line in wanted), (
        f"pyproject.toml must say below which version of {name} this file was last checked"
    )


def test_httpx_sse_has_the_decoder_that_is_used() -> None:
    decoder = _decoders.SSELineDecoder()
    found = [line for text in ("data: a\r", "\n\r\nda", "ta: b\n") for line in decoder.decode(text)]
    assert [*found, *decoder.decode("data: c"), *decoder.flush()] == [
        "data: a",
        "",
        "data: b",
        "data: c",
    ], (
        "httpx_sse changed its line decoder: check BodyDecoder in event_stream.py, which feeds it"
        " text as it arrives and takes what it returns as lines"
    )


def _failed_get(url: str, seconds: float) -> Exception:
    async def ask() -> None:
        async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=seconds) as http:
            await http.get(url)

    with pytest.raises(httpx.HTTPError) as raised:
        asyncio.run(ask())
    return raised.value


def test_cause_of_a_network_error_of_httpx_aiohttp() -> None:
    async def silent() -> Exception:
        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await asyncio.to_thread(_failed_get, f"http://127.0.0.1:{port}/", 0.05)

    sentence = (
        "httpx_aiohttp raises other errors: check edge.clients.timed_out, which tells a time-out"
        " from a refused connection by the error of aiohttp that is the cause"
    )
    late, refused = asyncio.run(silent()), _failed_get(f"http://127.0.0.1:{free_port()}/", 60)
    assert isinstance(late.__cause__, TimeoutError), sentence
    assert isinstance(refused.__cause__, aiohttp.ClientConnectionError), sentence
    assert (timed_out(late), timed_out(refused)) == (True, False), sentence


def test_transport_of_httpx_aiohttp_makes_its_session_late() -> None:
    made: list[aiohttp.ClientSession] = []

    def session() -> aiohttp.ClientSession:
        made.append(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        return made[-1]

    async def ask() -> int:
        transport = AiohttpTransport(client=session)
        before = len(made)
        async with httpx.AsyncClient(transport=transport) as http:
            for _ in range(2):
                with pytest.raises(httpx.HTTPError):
                    await http.get(f"http://127.0.0.1:{free_port()}/")
        return before

    sentence = (
        "httpx_aiohttp calls `client` otherwise: check edge.connections.Transport, whose session"
        " keeps no cookies and connects to public addresses only, and is made once and closed"
    )
    assert asyncio.run(ask()) == 0, sentence
    assert [session.closed for session in made] == [True], sentence


def test_postgrest_reads_the_result_of_a_function_by_json_of_the_response() -> None:
    class Answer(httpx.Response):
        def json(self, **_: Any) -> Any:
            return "read here"

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return Answer(200, content=b"1")

    async def call() -> Any:
        async with httpx.AsyncClient(transport=Transport()) as http:
            database = AsyncPostgrestClient("http://127.0.0.1", http_client=http)
            return (await database.rpc("f", {}).execute()).data

    assert asyncio.run(call()) == "read here", (
        "postgrest no longer reads results of functions by Response.json: check"
        " _SupabaseResponse in edge/clients.py, which reads numbers of"
        " 5,000 digits and empty bodies"
    )


def test_httpx_sends_by_the_method_that_is_replaced() -> None:
    sent: list[str] = []

    class Client(httpx.AsyncClient):
        async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
            sent.append(request.method)
            return httpx.Response(200, request=request)

    async def ask() -> None:
        async with Client() as http:
            await http.get("http://127.0.0.1/")
            await http.post("http://127.0.0.1/", content=b"1")
            async with http.stream("PUT", "http://127.0.0.1/"):
                pass

    asyncio.run(ask())
    assert sent == ["GET", "POST", "PUT"], (
        "httpx sends requests otherwise: check edge.connections.Client, whose `send` leaves out"
        " cookies, redirects and authentication"
    )


def test_postgrest_calls_a_function_by_the_method_that_is_replaced() -> None:
    given: list[Any] = []

    class Client(httpx.AsyncClient):
        async def request(self, method: str, url: Any, **more: Any) -> httpx.Response:
            given.append((method, str(url), more.pop("content"), bool(more.pop("params"))))
            assert isinstance(more.pop("headers"), httpx.Headers)
            assert more == {"auth": None}
            return httpx.Response(200, content=b"1", request=httpx.Request(method, url))

    async def ask() -> Any:
        async with Client() as http:
            database = AsyncPostgrestClient(
                "http://127.0.0.1", headers={"Authorization": "Bearer a"}, http_client=http
            )
            return (await database.rpc("f", {"p": "1"}).execute()).data

    answer = asyncio.run(ask())
    assert (given, answer) == ([("POST", "http://127.0.0.1/rpc/f", b'{"p":"1"}', False)], 1), (
        "postgrest calls functions otherwise: check edge.connections.SupabaseClient.request, which"
        " sends these calls itself"
    )


def test_starlette_sends_the_headers_that_a_response_has_when_it_is_called() -> None:
    response = Response(headers={"a": "b"})
    sentence = (
        "starlette keeps headers otherwise: check _EventStream and _InPieces in app.py of"
        " roleplay_chat, which send `raw_headers` themselves, a stream's without Content-Length"
    )
    assert "content-length" in response.headers, sentence
    del response.headers["Content-Length"]
    response.headers["X-Request-Id"] = "c"
    assert response.raw_headers == [(b"a", b"b"), (b"x-request-id", b"c")], sentence


MAIN = """
import functions_framework.aio

async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": scope["method"].encode()})

@functions_framework.aio.http
async def serve(request):
    return application
"""


def test_functions_framework_calls_what_a_function_returns(tmp_path: Path) -> None:
    source = tmp_path / "main.py"
    source.write_text(MAIN)
    app: Any = create_asgi_app("serve", str(source), "http")  # type: ignore[no-untyped-call]
    module = sys.modules.pop("main", None)
    assert module is not None, (
        "functions_framework loads a function under another name than `main`: check"
        " tests/support/functions.py, which finds its aclose() there"
    )
    assert inspect.getsourcefile(module) == str(source)

    async def ask(method: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
            return await http.request(method, "http://127.0.0.1/")

    answers = [asyncio.run(ask(method)) for method in ("GET", "OPTIONS")]
    assert [(answer.status_code, answer.text) for answer in answers] == [
        (418, "GET"),
        (418, "OPTIONS"),
    ], (
        "functions_framework does not call what a function returns as an ASGI application: check"
        " functions/roleplay_chat/main.py, which returns one"
    )


def test_postgrest_sends_a_function_call_as_a_post_of_json() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(503)

    async def call() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            database = AsyncPostgrestClient("http://127.0.0.1", http_client=http)
            await database.rpc("f", {"p": "1"}).execute()

    with pytest.raises(Exception, match="503"):
        asyncio.run(call())
    assert [(r.method, json.loads(r.content)) for r in sent] == [("POST", {"p": "1"})], (
        "postgrest sends a call otherwise, or again by itself: check Clients.rpc in"
        " edge/clients.py, whose callers decide what is tried again"
    )
