"""The console on an adopted database: the product's own pages have its models, ours the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import time
from typing import Any

import pytest
import uvicorn
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Browser, Page, expect

from dev import web
from tests.existing.installation import create_adopted
from tests.existing.requests import PEOPLE
from tests.support.browser import running_browser
from tests.support.console_pages import PAGES, issues, open_page
from tests.support.gateway import PUBLISHABLE_KEY, running_gateway
from tests.support.keys import Keys
from tests.support.postgres import Connection, Postgres
from tests.support.postgrest import running_postgrest
from tests.support.waiting import PATIENCE, listener_url, listening_socket

MARA = "aaaaaaaa-0000-4000-8000-000000000001"
HIDDEN = "aaaaaaaa-0000-4000-8000-000000000015"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def adopted(postgres: Postgres, state: str) -> Iterator[Connection]:
    database = f"console_{state}"
    create_adopted(postgres, database, state)
    with postgres.connect(database) as connection:
        yield connection


@pytest.fixture(scope="module")
def origin(postgres: Postgres, adopted: Connection, keys: Keys) -> Iterator[str]:
    """The address of the pages."""
    database = adopted.info.dbname
    with (
        running_postgrest(postgres, database, keys.secret) as rest,
        running_gateway(rest.url, keys) as gateway,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_pages(gateway.url)) as url,
    ):
        yield url


@asynccontextmanager
async def _pages(database_url: str) -> AsyncIterator[str]:
    app = web.application(web.Config(publishable_key=PUBLISHABLE_KEY), database_url)
    listener = listening_socket()
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve([listener]))
    yield listener_url(listener)
    server.should_exit = True
    await serving


def signed_in(browser: Browser, origin: str, keys: Keys, person: str, name: str) -> Page:
    """A page of the console, opened by somebody whose session the browser has."""
    context = browser.new_context(locale="en-GB")
    context.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    session: dict[str, Any] = {"access_token": keys.token(person), "token_type": "bearer"}
    session |= {"expires_at": int(time()) + 3000, "expires_in": 3000, "refresh_token": "none"}
    session |= {"user": {"id": person, "email": "somebody@example.com"}}
    stored = json.dumps(json.dumps(session))
    context.add_init_script(f"localStorage.setItem('sb-127-auth-token', {stored})")
    page = context.new_page()
    page.goto(f"{origin}/console.html?page={name}")
    return page


def age(adopted: Connection, character: str) -> int | None:
    row = adopted.execute("select age from shared.characters where id = %s", [character]).fetchone()
    assert row
    return row["age"]  # type: ignore[no-any-return]


def test_an_admin_declares_an_age(
    browser: Browser, origin: str, keys: Keys, adopted: Connection
) -> None:
    """Also of a private character: the product's admins see all."""
    page = signed_in(browser, origin, keys, PEOPLE["admin"], "characters")
    expect(page.get_by_role("heading", name="Characters")).to_be_visible()
    row = adopted.execute("select name from public.characters where id = %s", [HIDDEN]).fetchone()
    assert row
    page.get_by_label("Name of a character").fill(row["name"])
    page.get_by_role("button", name="Search").click()
    # Until it is found, all characters are there, and the button moves with its row.
    expect(page.locator("#ages tbody tr")).to_have_count(1)
    page.get_by_role("button", name=f"Declare the age of {row['name']}").click()
    page.get_by_label("Years").fill("34")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("is declared to be 34 now.")
    expect(page.locator("#ages tbody tr").first).to_contain_text("34")
    assert age(adopted, HIDDEN) == 34
    page.get_by_role("button", name=f"Declare the age of {row['name']}").click()
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_role("status")).to_contain_text("has no declared age now.")
    assert age(adopted, HIDDEN) is None
    page.context.close()


def test_what_the_product_has_is_hidden_with_a_sentence(
    browser: Browser, origin: str, keys: Keys, adopted: Connection
) -> None:
    page = signed_in(browser, origin, keys, PEOPLE["admin"], "overview")
    expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    expect(page.get_by_text("the product’s own pages have them")).to_be_visible()
    for name in ("Models", "Templates"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
        page.goto(f"{origin}/console.html?page={name.lower()}")
        expect(page.get_by_text("its own pages change them")).to_be_visible()
    page.context.close()


def test_switch_and_both_functions_are_shown(
    browser: Browser, origin: str, keys: Keys, adopted: Connection
) -> None:
    adopted.execute("select public.set_traffic(true, 25, array[%s]::uuid[])", [PEOPLE["person"]])
    page = signed_in(browser, origin, keys, PEOPLE["admin"], "overview")
    page.get_by_role("link", name="Switch", exact=True).click()
    expect(page.get_by_text("answers those who are moved")).to_be_visible()
    expect(page.get_by_text("25 %")).to_be_visible()
    page.context.close()


def test_pages_fit_and_have_no_serious_issue(
    browser: Browser, origin: str, keys: Keys, adopted: Connection
) -> None:
    page = signed_in(browser, origin, keys, PEOPLE["admin"], "overview")
    found = []
    for name in PAGES:
        open_page(page, origin, name)
        found += issues(page)
    page.context.close()
    assert "\n".join(found) == ""


def test_nobody_else_does(browser: Browser, origin: str, keys: Keys, adopted: Connection) -> None:
    page = signed_in(browser, origin, keys, PEOPLE["person"], "overview")
    expect(page.get_by_role("heading", name="This page is for admins")).to_be_visible()
    page.context.close()
    claims = json.dumps({"sub": PEOPLE["person"], "role": "authenticated"})
    with adopted.transaction(force_rollback=True):
        adopted.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        adopted.execute("set local role authenticated")
        assert adopted.execute("select from public.declared_ages").fetchall() == []
        changed = adopted.execute("update public.declared_ages set age = 34")
        assert changed.rowcount == 0
