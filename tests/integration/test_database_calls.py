"""Database calls through the Supabase client: what becomes of each response."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from edge.clients import Clients, DatabaseError, SecretKeyRejected
from edge.errors import ApiError
from edge.settings import EdgeSettings


class _Server(ThreadingHTTPServer):
    status = 200
    body = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.headers: dict[str, str] = {}
        self.connections = 0
        self.requests: list[tuple[str, dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def _serving() -> Iterator[_Server]:
    with _Server() as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[_Server]:
    with _serving() as server:
        yield server


def called(server: _Server, parameters: dict[str, Any] | None = None, times: int = 1) -> Any:
    async def run() -> Any:
        clients = Clients(
            EdgeSettings.model_validate(
                {
                    "supabase_url": f"http://127.0.0.1:{server.server_port}",
                    "supabase_secret_key": "sb_secret_x",
                    "allow_local_upstreams": True,
                }
            )
        )
        try:
            for _ in range(times):
                found = await clients.rpc("do_it", parameters)
            return found
        finally:
            await clients.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"null", None, id="null"),
        pytest.param(b"[]", [], id="no-rows"),
        pytest.param(b'"away"', "away", id="a-text"),
        pytest.param(b'"{}"', "{}", id="a-text-that-looks-like-json"),
        pytest.param(b"0", 0, id="zero"),
        pytest.param(b'{"a": ' + b"9" * 5_000 + b"}", {"a": math.inf}, id="endless-number"),
        pytest.param(b'{"a": 1e999}', {"a": math.inf}, id="infinite-number"),
        pytest.param(b'"\\ud800"', "\ud800", id="half-of-a-pair"),
    ],
)
def test_result_is_the_value_of_its_json(server: _Server, body: bytes, value: object) -> None:
    server.body = body
    assert called(server) == value


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b"<html>", ValueError, id="a-page"),
        pytest.param(b"{", ValueError, id="cut-off"),
        pytest.param(b'"\xff"', ValueError, id="no-utf-8"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, RecursionError, id="nested-too-deep"),
    ],
)
def test_success_without_json_raises(server: _Server, body: bytes, error: type[Exception]) -> None:
    server.body = body
    with pytest.raises(error):
        called(server)


@pytest.mark.parametrize(
    ("status", "body", "sqlstate"),
    [
        pytest.param(400, b'{"code":"22P02","message":"m"}', "22P02", id="sqlstate"),
        pytest.param(400, b'{"code":"PGRST102","message":"m"}', "PGRST102", id="postgrest"),
        pytest.param(400, b"<html>", "HTTP 400", id="page-400"),
        pytest.param(404, b"<html>", "HTTP 404", id="page-404"),
        pytest.param(403, b"", "HTTP 403", id="empty-403"),
        pytest.param(500, b"[1]", "HTTP 500", id="list-500"),
        pytest.param(413, b'{"code": 7}', "HTTP 413", id="code-that-is-a-number"),
        pytest.param(302, b"", "HTTP 302", id="redirect"),
        pytest.param(409, b"[" * 100_000, "HTTP 409", id="nested-too-deep"),
    ],
)
def test_refusal_names_the_sqlstate_or_the_status(
    server: _Server, status: int, body: bytes, sqlstate: str
) -> None:
    server.status, server.body = status, body
    server.headers = {"Location": "http://127.0.0.1:1/"}
    with pytest.raises(DatabaseError) as refused:
        called(server)
    assert refused.value.sqlstate == sqlstate


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(500, b'{"code":"57014","message":"m"}', id="cancelled"),
        pytest.param(500, b'{"code":"40P01","message":"m"}', id="deadlock"),
        pytest.param(500, b"{}", id="server-went-away"),
        pytest.param(502, b"", id="502"),
        pytest.param(503, b'{"code":"PGRST002"}', id="503"),
        pytest.param(404, b'{"code":"PGRST202","message":"m"}', id="function-not-in-the-cache"),
        pytest.param(300, b'{"code":"PGRST203","message":"m"}', id="two-functions-in-the-cache"),
        pytest.param(400, b'{"code":"PGRST204","message":"m"}', id="column-not-in-the-cache"),
        pytest.param(404, b'{"code":"PGRST205","message":"m"}', id="table-not-in-the-cache"),
        pytest.param(
            400,
            b'{"code":"0A000","message":"cached plan must not change result type"}',
            id="plan-of-the-old-schema",
        ),
        pytest.param(
            500,
            b'{"code":"XX000","message":"cache lookup failed for function 1"}',
            id="function-of-the-old-schema",
        ),
        pytest.param(504, b"<html>", id="504"),
        pytest.param(520, b"<html>", id="cloudflare-520"),
        pytest.param(530, b"<html>", id="cloudflare-530"),
    ],
)
def test_what_passes_is_an_outage(server: _Server, status: int, body: bytes) -> None:
    server.status, server.body = status, body
    with pytest.raises(ApiError) as away:
        called(server)
    assert away.value.status == 503
    assert len(server.requests) == 1


def test_unknown_secret_key_is_told_apart(server: _Server) -> None:
    server.status, server.body = 401, b'{"code":"PGRST301","message":"m"}'
    with pytest.raises(SecretKeyRejected):
        called(server)


def test_calls_share_a_connection_and_keep_no_cookies(server: _Server) -> None:
    server.body, server.headers = b"1", {"Set-Cookie": "a=b; Path=/"}
    called(server, {"p_a": "ä", "p_b": [1, None, {"c": 1.5}]}, times=3)
    assert server.connections == 1
    for path, headers, body in server.requests:
        assert path == "/rest/v1/rpc/do_it"
        assert body == '{"p_a":"ä","p_b":[1,null,{"c":1.5}]}'.encode()
        assert "cookie" not in headers
        assert headers["apikey"] == "sb_secret_x"
        assert headers["authorization"] == "Bearer sb_secret_x"
        assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, "\ud800", {"deep": None}], ids=["nan", "infinity", "half", "deep"]
)
def test_what_json_cannot_hold_is_not_sent(server: _Server, value: Any) -> None:
    if isinstance(value, dict):
        for _ in range(100_000):
            value = {"deep": value}
    with pytest.raises((ValueError, RecursionError)):
        called(server, {"p_a": value})
    assert server.requests == []
