"""The test infrastructure itself: every feature that other tests rely on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any

import httpx
import psycopg
import pytest

from tests.support import patient
from tests.support.answers import (
    DONE,
    KEEP_ALIVE,
    Part,
    abort,
    error,
    half_close,
    hang_up,
    held,
    html,
    models,
    raw,
    raw_sse,
    reasoning,
    stall,
    stream,
    text,
    whitespace,
    worker_chat,
    worker_error,
    worker_healthy,
    worker_loading,
)
from tests.support.functions import serve, serve_process
from tests.support.gateway import JWKS_PATH, SECRET_KEY
from tests.support.keys import Algorithm, Keys
from tests.support.postgres import OWNER, Postgres, Snapshot, run_file, running_postgres
from tests.support.postgrest import PostgREST
from tests.support.stack import Stack
from tests.support.upstream import Exchange, Upstream, never_accepting, refusing, running_upstream
from tests.support.waiting import PATIENCE, Gate

COMPLETIONS = "/api/v1/chat/completions"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as server:
        yield server


@pytest.fixture
def client(upstream: Upstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=upstream.url, timeout=PATIENCE) as client:
        yield client


def complete(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post(COMPLETIONS, json={"model": "a/b:free", "messages": []} | body)


class TestUpstream:
    def test_text_follows_the_requests_stream_flag(
        self, upstream: Upstream, client: httpx.Client
    ) -> None:
        upstream.enqueue(text("Hello there."), text("Hello there."))
        whole = complete(client).json()
        assert whole["choices"][0]["message"]["content"] == "Hello there."
        assert whole["model"] == "a/b:free"
        streamed = complete(client, stream=True)
        assert streamed.headers["content-type"] == "text/event-stream"
        assert '"Hello "' in streamed.text
        assert '"there."' in streamed.text
        assert streamed.text.endswith("data: [DONE]\n\n")

    def test_answers_are_taken_by_model_then_path_then_anything(
        self, upstream: Upstream, client: httpx.Client
    ) -> None:
        upstream.enqueue(text("anything"))
        upstream.enqueue(text("model"), to="x/y")
        upstream.always(text("standing"), to="/chat/completions")
        upstream.always(worker_healthy(), to="/health")
        words = [
            complete(client, model=model).json()["choices"][0]["message"]["content"]
            for model in ("x/y", "x/y", "a/b")
        ]
        assert words == ["model", "anything", "standing"]
        assert client.get("/health").json()["model_loaded"] is True
        assert upstream.models_called() == ["x/y", "x/y", "a/b"]
        assert upstream.unexpected == []

    def test_unscripted_request_fails_the_test(
        self, upstream: Upstream, client: httpx.Client
    ) -> None:
        assert complete(client).status_code == 500
        assert upstream.unexpected == upstream.calls

    def test_calls_are_recorded(self, upstream: Upstream, client: httpx.Client) -> None:
        upstream.always(text("Hello."))
        complete(client, user="u1")
        complete(client, user="u2")
        first, second = upstream.calls
        assert (first.method, first.path, first.json["user"]) == ("POST", COMPLETIONS, "u1")
        assert first.headers["content-type"] == "application/json"
        assert first.connection == second.connection
        upstream.wait_for(lambda u: not u.in_progress)
        assert [call.answered for call in upstream.calls] == [True, True]
        assert upstream.connections == 1

    @pytest.mark.parametrize("split", [1, 7, None])
    def test_raw_events_keep_their_bytes(
        self, upstream: Upstream, client: httpx.Client, split: int | None
    ) -> None:
        events = KEEP_ALIVE + 'data: {"a": "嗯"}\r\n\r\n'.encode() + DONE
        upstream.enqueue(raw_sse(events, split=split, headers={"X-Generation-Id": "gen-1"}))
        answer = complete(client)
        assert answer.content == events
        assert answer.headers["x-generation-id"] == "gen-1"

    def test_a_stream_is_made_of_parts(self, upstream: Upstream, client: httpx.Client) -> None:
        parts: list[Part] = [
            KEEP_ALIVE,
            reasoning("hm"),
            "Hi",
            {"error": {"code": 502}, "choices": []},
        ]
        upstream.enqueue(stream(parts, finish=None, usage=None, done=False))
        lines = complete(client).text.split("\n\n")
        assert lines[0] == KEEP_ALIVE.decode().strip()
        assert '"reasoning": "hm"' in lines[1]
        assert '"content": "Hi"' in lines[2]
        assert lines[3:] == ['data: {"error": {"code": 502}, "choices": []}', ""]

    @pytest.mark.parametrize(
        ("answer", "status", "content"),
        [
            pytest.param(error(429, {"error": 1}, {"Retry-After": "2"}), 429, '{"error": 1}'),
            pytest.param(error(524, "timeout"), 524, "timeout"),
            pytest.param(html(), 503, "<!DOCTYPE html>"),
            pytest.param(whitespace(), 200, "\n \n" * 60),
            pytest.param(models("qwen"), 200, '{"object": "list"'),
            pytest.param(worker_healthy(), 200, '{"status": "healthy", "model_loaded": true'),
            pytest.param(worker_loading(), 200, '{"status": "healthy", "model_loaded": false'),
            pytest.param(worker_chat("Hi."), 200, '{"success": true, "response": "Hi."'),
            pytest.param(worker_error(), 500, '{"success": false, "error": "probability tensor'),
            pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), 200, "hi"),
        ],
    )
    def test_whole_answers(
        self, upstream: Upstream, client: httpx.Client, answer: Any, status: int, content: str
    ) -> None:
        upstream.enqueue(answer)
        response = complete(client)
        assert response.status_code == status
        assert response.text.startswith(content)

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(abort(), id="reset"),
            pytest.param(abort(b"data: 1\n\n"), id="reset-in-body"),
            pytest.param(hang_up(), id="closed"),
            pytest.param(hang_up(b"data: 1\n\n"), id="closed-in-body"),
            pytest.param(half_close(b"data: 1\n\n"), id="half-closed-in-body"),
            pytest.param(stream(["Hi", hang_up()]), id="closed-in-stream"),
            pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"), id="too-short"),
            pytest.param(raw(b"garbage\r\n\r\n"), id="not-http"),
        ],
    )
    def test_broken_connections(
        self, upstream: Upstream, client: httpx.Client, answer: Any
    ) -> None:
        upstream.enqueue(answer)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            complete(client)
        assert upstream.wait_for(lambda u: not u.connections)

    def test_what_was_sent_before_a_reset_can_be_seen(
        self, upstream: Upstream, client: httpx.Client
    ) -> None:
        gate = Gate()
        upstream.enqueue(stream(["Hel", gate, abort()]))
        with client.stream("POST", COMPLETIONS, json={}) as response:
            pieces = response.iter_text()
            assert '"Hel"' in next(pieces)
            gate.open()
            with pytest.raises(httpx.ReadError):
                next(pieces)

    @pytest.mark.parametrize(
        "answer", [stall(), stall(KEEP_ALIVE), stall(comment_every=0.01)], ids=["", "1", "many"]
    )
    def test_a_client_that_gives_up_is_noticed(
        self, upstream: Upstream, client: httpx.Client, answer: Any
    ) -> None:
        upstream.enqueue(answer)
        request = client.build_request("POST", COMPLETIONS, json={}, timeout=0.2)
        with suppress(httpx.ReadTimeout):
            client.send(request, stream=True).close()
        upstream.wait_for(lambda u: u.calls and not u.connections)
        assert upstream.calls[0].closed_early

    def test_a_gate_holds_an_answer(self, upstream: Upstream, client: httpx.Client) -> None:
        gate = Gate()
        upstream.enqueue(held(gate, worker_chat("late")))
        with ThreadPoolExecutor() as pool:
            late = pool.submit(complete, client)
            gate.wait_reached()
            assert upstream.in_progress == 1
            assert not late.done()
            gate.open()
            assert late.result().json()["response"] == "late"

    def test_reset_ends_a_stall(self, upstream: Upstream, client: httpx.Client) -> None:
        upstream.enqueue(stall())
        with ThreadPoolExecutor() as pool:
            stalled = pool.submit(complete, client)
            upstream.wait_for(lambda u: u.in_progress)
            upstream.reset()
            assert isinstance(stalled.exception(), httpx.RemoteProtocolError)
        assert upstream.calls == []

    def test_a_straggler_is_told_from_the_next_tests_requests(
        self, upstream: Upstream, client: httpx.Client
    ) -> None:
        upstream.reset()
        upstream.always(text("Hello."))
        assert complete(client).status_code == 500
        assert (upstream.calls, upstream.unexpected) == ([], [])
        client.base_url = httpx.URL(upstream.url)
        assert complete(client).is_success

    def test_a_tests_own_answer_and_its_mistakes(
        self, upstream: Upstream, client: httpx.Client
    ) -> None:
        async def mistaken(exchange: Exchange) -> None:
            await exchange.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            raise ValueError(exchange.call.json["model"])

        upstream.enqueue(mistaken)
        with pytest.raises(httpx.RemoteProtocolError):
            complete(client)
        upstream.wait_for(lambda u: not u.connections)
        assert [str(fault) for fault in upstream.faults] == ["a/b:free"]

    def test_hosts_that_cannot_be_reached(self) -> None:
        with never_accepting() as url, pytest.raises(httpx.ConnectTimeout):
            httpx.get(url, timeout=0.2)
        with refusing() as url, pytest.raises(httpx.ConnectError):
            patient.get(url)


class TestGateway:
    def test_keys_and_tokens_become_roles(self, stack: Stack) -> None:
        anybody, operator = stack.data_api(), stack.data_api(key=SECRET_KEY)
        with anybody, operator, stack.data_api(key="nonsense") as nobody:
            assert anybody.get("/system_config").status_code == 401
            assert operator.get("/system_config").json()[0]["id"] == 1
            assert nobody.get("/system_config").status_code == 401

    @pytest.mark.parametrize("algorithm", ["HS256", "ES256", "RS256"])
    def test_a_users_token_is_the_user(self, stack: Stack, algorithm: Algorithm) -> None:
        user, other = stack.user(algorithm=algorithm), stack.user()
        mine = stack.conversation(user)
        stack.conversation(other)
        with stack.data_api(user) as api:
            assert [row["id"] for row in api.get("/conversations").json()] == [str(mine)]

    def test_a_strangers_token_is_refused(self, stack: Stack) -> None:
        user = stack.user()
        with stack.data_api(user) as api:
            api.headers["Authorization"] = f"Bearer {Keys().token(user.id)}"
            assert api.get("/conversations").status_code == 401
            api.headers["Authorization"] = f"Bearer {stack.keys.token(user.id, exp=1)}"
            assert api.get("/conversations").status_code == 401

    def test_calls_are_counted_and_keys_can_be_rotated(self, stack: Stack) -> None:
        stack.gateway.jwks = {"keys": []}
        assert patient.get(stack.gateway.url + JWKS_PATH).json() == {"keys": []}
        assert stack.gateway.jwks_requests == 1
        with stack.data_api(key=SECRET_KEY) as api:
            api.get("/messages", params={"limit": "1"})
        assert stack.gateway.calls == ["GET /rest/v1/messages"]

    def test_scripted_troubles_happen_in_order(self, stack: Stack) -> None:
        gateway = stack.gateway

        def record(url: str) -> httpx.Response:
            with stack.data_api(key=SECRET_KEY) as api:
                arguments = {"p_records": {"w": {"url": url}}}
                return api.post("/rpc/record_worker_health", json=arguments)

        def recorded() -> Any:
            config = stack.one("select config from system_config")["config"]
            return config["workerHealthCache"].get("w", {}).get("url")

        gateway.fail("/rpc/record_worker_health", times=2, status=503)
        assert [record("a").status_code for _ in range(3)] == [503, 503, 204]
        gateway.drop("/rpc/record_worker_health")
        with pytest.raises(httpx.RemoteProtocolError):
            record("b")
        assert recorded() == "a"
        gateway.drop("/rpc/record_worker_health", after=True)
        with pytest.raises(httpx.RemoteProtocolError):
            record("c")
        assert recorded() == "c"
        gateway.delay("/rpc/record_worker_health", 0.01)
        assert record("d").is_success
        gate = gateway.hold("/rpc/record_worker_health")
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(record, "e")
            gate.wait_reached()
            assert recorded() == "d"
            gate.open()
            assert waiting.result().is_success
        assert recorded() == "e"


class TestPostgres:
    @pytest.mark.parametrize(
        ("script", "message"),
        [
            pytest.param("select 1;\nselect\n  nonsense;", r"bad\.sql:3: .*nonsense", id="name"),
            pytest.param("select 1;\nselct 2;", r"bad\.sql:2: syntax error", id="syntax"),
            pytest.param(
                "select ';'; -- ;\ndo $$ begin null; end $$;\n\n-- here\nselect 1/0;\nselect 2;",
                r"bad\.sql:5: division by zero",
                id="while-running",
            ),
        ],
    )
    def test_a_failing_file_is_named_with_its_line(
        self, postgres: Postgres, tmp_path: Path, script: str, message: str
    ) -> None:
        path = tmp_path / "bad.sql"
        path.write_text(script)
        with postgres.connect("app") as connection, pytest.raises(RuntimeError, match=message):
            run_file(connection, path)

    def test_a_failing_file_leaves_nothing(self, postgres: Postgres, tmp_path: Path) -> None:
        path = tmp_path / "bad.sql"
        path.write_text("create table public.half (id int);\nselect 1/0;")
        with postgres.connect("app") as connection:
            with pytest.raises(RuntimeError):
                run_file(connection, path)
            found = connection.execute("select to_regclass('public.half') as half").fetchone()
            assert found == {"half": None}

    def test_migrations_do_not_run_as_superuser(self, stack: Stack) -> None:
        role = stack.one("select rolsuper, rolbypassrls from pg_roles where rolname = current_user")
        assert role == {"rolsuper": False, "rolbypassrls": True}

    def test_the_snapshot_brings_everything_back(self, stack: Stack, snapshot: Snapshot) -> None:
        user = stack.user("Ann")
        stack.conversation(user, "Hello.", "Welcome.")
        stack.db.execute("delete from api_models")
        stack.db.execute("delete from api_providers")
        stack.register_worker("http://127.0.0.1:1")
        snapshot.restore()
        assert stack.all("select from auth.users") == []
        assert stack.all("select from messages") == []
        assert stack.one("select config from system_config")["config"]["chatWorkerUrl"] is None
        assert len(stack.all("select from api_providers")) == 1

    def test_a_durable_server_survives_a_crash(self) -> None:
        with running_postgres(durable=True) as server:
            with server.connect("template1", OWNER) as connection:
                connection.execute("create table kept (id int)")
                connection.execute("insert into kept values (1)")
                server.stop(SIGKILL)
                with pytest.raises(psycopg.OperationalError):
                    connection.execute("select from kept")
            server.start()
            with server.connect("template1", OWNER) as connection:
                assert connection.execute("select id from kept").fetchall() == [{"id": 1}]

    def test_postgrest_reads_a_new_schema(
        self, stack: Stack, postgres: Postgres, postgrest: PostgREST
    ) -> None:
        with stack.data_api(key=SECRET_KEY) as api:
            try:
                stack.db.execute("create table public.novelty (id int)")
                postgrest.reload(postgres, "app")
                assert api.get("/novelty").json() == []
            finally:
                stack.db.execute("drop table public.novelty")
                postgrest.reload(postgres, "app")


FUNCTION = """
import asyncio, os, threading
import functions_framework.aio
from starlette.responses import JSONResponse

SETTING = os.environ["SETTING"]

@functions_framework.aio.http
async def echo(request):
    global loop
    loop = asyncio.get_running_loop()
    return JSONResponse({"setting": SETTING, "thread": threading.get_ident()})

async def aclose():
    assert asyncio.get_running_loop() is loop
    open(os.environ["CLOSED"], "w").close()
"""


class TestFunctions:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "echo").mkdir()
        (tmp_path / "echo" / "main.py").write_text(FUNCTION)
        return tmp_path

    def test_a_function_is_served_and_closed(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLOSED", str(folder / "closed"))
        threads = threading.active_count()
        with serve("echo", {"SETTING": "1"}, folder) as one:
            with serve("echo", {"SETTING": "2"}, folder) as two:
                assert [patient.get(url).json()["setting"] for url in (one, two)] == ["1", "2"]
            (folder / "closed").unlink()
            assert patient.post(one).json()["thread"] != threading.get_ident()
        assert (folder / "closed").exists()
        assert threading.active_count() == threads

    def test_a_real_function_with_other_settings(self, stack: Stack) -> None:
        with stack.serving(
            "health_check", HEALTH_CHECK_SECRET="another-secret-of-the-scheduler"
        ) as url:
            headers = {"Authorization": "Bearer another-secret-of-the-scheduler"}
            assert patient.get(url, headers=headers).json()["success"] is True
            assert stack.health_check().json()["success"] is True
            assert stack.health_check("another-secret-of-the-scheduler").status_code == 401

    def test_a_process_can_be_killed(self, folder: Path) -> None:
        with serve_process("echo", {"SETTING": "3"}, folder) as process:
            assert patient.get(process.url).json()["setting"] == "3"
            process.kill()
            with pytest.raises(httpx.NetworkError):  # refused, or reset while it dies
                patient.get(process.url)

    def test_a_process_has_none_of_the_settings_of_a_thread(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLOSED", str(folder / "closed"))
        with serve("echo", {"SETTING": "3"}, folder) as url:
            assert patient.get(url).json()["setting"] == "3"
            with (
                pytest.raises(RuntimeError, match="KeyError: 'SETTING'"),
                serve_process("echo", {}, folder),
            ):
                pass

    def test_a_process_that_does_not_start_says_why(self, folder: Path) -> None:
        with (
            pytest.raises(RuntimeError, match="KeyError: 'SETTING'"),
            serve_process("echo", {}, folder),
        ):
            pass
