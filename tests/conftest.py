"""Fixtures: real servers for the session; a clean database and empty scripts for each test."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

from tests.support.functions import serve
from tests.support.gateway import Gateway, running_gateway
from tests.support.installations import INSTALLATIONS, NEW, connect, install
from tests.support.keys import Keys
from tests.support.postgres import (
    OWNER,
    ROOT,
    Connection,
    Postgres,
    Snapshot,
    running_postgres,
)
from tests.support.postgrest import PostgREST, running_postgrest
from tests.support.stack import Stack
from tests.support.storage import Storage
from tests.support.upstream import Upstream, running_upstream

DATABASE = "app"
HALVES = ("first", "second")


# The duration of an example depends on how busy the machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--installation",
        choices=INSTALLATIONS,
        default=NEW,
        help="The database of the tests: a new one, or an adopted one of an existing product.",
    )
    parser.addoption(
        "--half",
        choices=HALVES,
        help="Run one of two halves of the tests. A test is always in the same one.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On an adopted database, what is about our own tables is skipped."""
    if half := config.getoption("half"):
        halves: dict[str, list[pytest.Item]] = {name: [] for name in HALVES}
        for item in items:
            halves[HALVES[crc32(item.nodeid.encode()) % 2]].append(item)
        items[:] = halves.pop(half)
        (others,) = halves.values()
        config.hook.pytest_deselected(items=others)
    if config.getoption("installation") == NEW:
        return
    for item in items:
        if marker := item.get_closest_marker("own_tables"):
            item.add_marker(pytest.mark.skip(reason=marker.args[0]))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end. If the garbage collector went through it again and
    again, that would take half of the time, in each process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_configure() -> None:
    found = find_spec("edge")
    if not found or not Path(found.origin or "").is_relative_to(ROOT):
        pytest.exit(
            f"The packages of {ROOT} are not installed in this environment, or those of another"
            " working copy are. `make` sets up a .venv with them.",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )
    # A terminated test run stops its servers, like an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[Postgres]:
    """A server with a database that is ready to be used. Tests may create others in it."""
    with running_postgres() as server:
        install(server, DATABASE, pytestconfig.getoption("installation"))
        yield server


@pytest.fixture(scope="session")
def postgrest(postgres: Postgres, keys: Keys) -> Iterator[PostgREST]:
    with running_postgrest(postgres, DATABASE, keys.secret) as server:
        yield server


@pytest.fixture(scope="session")
def gateway(postgres: Postgres, postgrest: PostgREST, keys: Keys) -> Iterator[Gateway]:
    with running_gateway(postgrest.url, keys) as server:
        server.storage = Storage(lambda: postgres.connect(DATABASE))
        yield server


@pytest.fixture(scope="session")
def openrouter() -> Iterator[Upstream]:
    with running_upstream() as server:
        yield server


@pytest.fixture(scope="session")
def chat_worker() -> Iterator[Upstream]:
    with running_upstream() as server:
        yield server


@pytest.fixture(scope="session")
def connection(postgres: Postgres) -> Iterator[Connection]:
    with connect(postgres, DATABASE) as connection:
        yield connection


@pytest.fixture(scope="session")
def snapshot(postgres: Postgres) -> Iterator[Snapshot]:
    """The migrated and seeded rows."""
    with postgres.connect(DATABASE, OWNER) as connection:
        yield Snapshot(connection)


@pytest.fixture(scope="session")
def function_url(
    gateway: Gateway,
    keys: Keys,
    connection: Connection,
    openrouter: Upstream,
    chat_worker: Upstream,
) -> Iterator[Callable[[str], str]]:
    """The address of a function with the usual settings, served at the first request for it."""
    urls: dict[str, str] = {}
    with ExitStack() as served:

        def url(function: str) -> str:
            if function not in urls:
                env = Stack(connection, gateway, openrouter, chat_worker, keys, url).env()
                urls[function] = served.enter_context(serve(function, env))
            return urls[function]

        yield url


@pytest.fixture
def stack(
    snapshot: Snapshot,
    connection: Connection,
    gateway: Gateway,
    openrouter: Upstream,
    chat_worker: Upstream,
    keys: Keys,
    function_url: Callable[[str], str],
) -> Iterator[Stack]:
    """A clean stack, with OpenRouter's row pointing at `upstream`.

    A request without a scripted response fails the test.
    """
    stack = Stack(connection, gateway, openrouter, chat_worker, keys, function_url)
    snapshot.restore()
    gateway.reset()
    gateway.delete_user = stack.delete_user
    base_url = f"{openrouter.url}/api/v1"
    stack.db.execute("update api_providers set base_url = %s where name = 'openrouter'", [base_url])
    stack.configure(allowLocalWorkers=True)
    yield stack
    unexpected = [*openrouter.unexpected, *chat_worker.unexpected]
    faults = [*openrouter.faults, *chat_worker.faults]
    stack.settle()
    assert not unexpected, f"requests nobody scripted an answer for: {unexpected}"
    assert not faults, f"scripted answers raised: {faults}"
