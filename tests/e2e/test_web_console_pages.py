"""Each page of the console has an address, fits every screen, and is for everybody."""

from __future__ import annotations

import re
from uuid import uuid4

from playwright.sync_api import expect

from tests.support.console_pages import PAGES, issues, open_page
from tests.support.console_rows import call, turn
from tests.support.person import Person, operator


def test_pages_fit_and_have_no_serious_issue(admin: Person) -> None:
    page = admin.page
    long = "x" * 60
    made = turn(admin, error_code=long, model_used=f"openrouter:author/{long}")
    call(admin, made, model_key=f"author/{long}", prompt_tokens=5)
    [demo] = admin.copy.rows("profiles?display_name=eq.Sam&select=id")
    row = {"id": str(uuid4()), "user_id": demo["id"], "name": "W" * 100, "is_public": True}
    operator(admin.copy, "POST", "/rest/v1/characters", row | {"description": "d" * 300})
    report = {"user_id": admin.user_id, "character_id": row["id"], "reason": "other"}
    operator(admin.copy, "POST", "/rest/v1/character_reports", report | {"details": "e" * 300})
    found = []
    for name in PAGES:
        open_page(page, admin.url, f"{name}")
        found += issues(page)
    page.goto(f"{admin.url}/console.html?page=turn&id={made['id']}")
    expect(page.get_by_role("heading", name="Route")).to_be_visible()
    found += issues(page)
    operator(admin.copy, "DELETE", f"/rest/v1/characters?id=eq.{row['id']}", None)
    operator(admin.copy, "DELETE", f"/rest/v1/turns?id=eq.{made['id']}", None)
    assert "\n".join(found) == ""


def test_dialogs_fit_and_have_no_serious_issue(admin: Person) -> None:
    page = admin.page
    found = []
    for name, button in (
        ("models", "Add a model"),
        ("models", "Edit OpenRouter"),
        ("models", "Add a provider"),
        ("limits", "Edit the limits of default"),
    ):
        open_page(page, admin.url, name)
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        found += issues(page)
    assert "\n".join(found) == ""


def test_pages_are_reached_by_keyboard(admin: Person) -> None:
    page = admin.page
    open_page(page, admin.url, "overview")
    page.locator(".brand").focus()
    for _ in range(4):  # Sign out, then the first pages
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("page=health"))
    expect(page.locator("#content")).to_be_focused()
    expect(page.get_by_role("link", name="Health", exact=True)).to_have_attribute(
        "aria-current", "page"
    )
    page.locator("#findings").get_by_role("button", name="State").press("Enter")
    expect(page.locator("#findings th[aria-sort=ascending]")).to_contain_text("State")


def test_page_that_failed_to_load_can_be_loaded_again(admin: Person) -> None:
    page = admin.page
    admin.expected.append("ERR_")
    page.route("**/rest/v1/prompt_templates*", lambda route: route.abort())
    admin.open("/console.html?page=templates")
    again = page.get_by_role("button", name="Load again")
    expect(again).to_be_visible()
    admin.press("Dismiss")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(again).to_be_visible()
    expect(page.get_by_text("Loading …")).to_have_count(0)
    page.unroute("**/rest/v1/prompt_templates*")
    again.click()
    expect(page.locator("#templates-table")).to_be_visible()


def test_failed_look_is_forgotten_when_the_next_succeeds(admin: Person) -> None:
    page = admin.page
    admin.expected.append("ERR_")
    page.clock.install()
    admin.open("/console.html?page=limits")
    expect(page.locator("#limits-table")).to_be_visible()
    page.route("**/rest/v1/limit_settings*", lambda route: route.abort())
    page.clock.fast_forward(31_000)
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#limits-table")).to_be_visible()
    page.unroute("**/rest/v1/limit_settings*")
    page.clock.fast_forward(31_000)
    expect(page.get_by_role("alert")).to_have_count(0)
