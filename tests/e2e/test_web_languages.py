"""The page in the languages of its dictionaries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from dev.languages import DICTIONARIES
from tests.support.axe import serious
from tests.support.person import PASSWORD, Person


def words(language: str) -> dict[str, Any]:
    return dict(json.loads((DICTIONARIES / f"{language}.json").read_text()))


@pytest.mark.parametrize(
    ("locale", "language"), [("de-AT", "de"), ("es-MX", "es"), ("fr-FR", "en"), ("en-US", "en")]
)
def test_language_is_the_browsers(person: Person, locale: str, language: str) -> None:
    browser = person.page.context.browser
    assert browser is not None
    page = browser.new_context(locale=locale).new_page()
    page.goto(person.url)
    expected = "Sign in" if language == "en" else words(language)["Sign in"]
    expect(page.get_by_role("button", name=expected, exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == language
    page.context.close()


def test_language_is_chosen_and_kept(person: Person) -> None:
    person.begin()
    page = person.page
    person.press("Appearance")
    page.get_by_label("Language").select_option("Deutsch")
    german = words("de")
    expect(page.get_by_role("button", name=german["Sign out"])).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "de"
    page.reload()
    expect(page.get_by_role("button", name=german["Appearance"])).to_be_visible()
    for name in ("Characters", "Memory", "Settings"):
        page.get_by_role("button", name=german[name], exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert serious(page) == []
        page.keyboard.press("Escape")
    page.get_by_role("button", name=german["Appearance"]).click()
    page.get_by_label(german["Language"]).select_option("English")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@pytest.mark.parametrize("language", ["de", "es"])
@pytest.mark.parametrize("width", [320, 768])
def test_longer_words_have_room(person: Person, language: str, width: int) -> None:
    person.begin()
    page = person.page
    page.set_viewport_size({"width": width, "height": 740})
    page.evaluate("(language) => localStorage.setItem('language', language)", language)
    page.reload()
    known = words(language)
    expect(person.said).to_have_count(1)
    assert wide(page) == []
    for name in ("Characters", "Memory", "Settings"):
        tools = page.get_by_role("button", name=known["Tools"], exact=True)
        if tools.is_visible():
            tools.click()
        page.locator("#tools").get_by_role("button", name=known[name], exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert wide(page) == []
        page.keyboard.press("Escape")


def wide(page: Page) -> list[str]:
    """What is wider than the window."""
    script = """() => [document.documentElement,
        ...document.querySelectorAll("dialog, .bar, .lists")]
      .filter((each) => each.scrollWidth > each.clientWidth + 1)
      .map((each) => each.outerHTML.slice(0, 100))"""
    return list(page.evaluate(script))


def test_dictionary_that_cannot_be_loaded_leaves_english(browser: Browser, person: Person) -> None:
    page = browser.new_context(locale="de-DE").new_page()
    page.route("**/languages/*.json", lambda route: route.abort())
    page.goto(person.url)
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    page.context.close()


def test_words_of_a_session_are_in_the_language(browser: Browser, person: Person) -> None:
    person.make_account()
    page = browser.new_context(locale="es-ES").new_page()
    spanish = words("es")
    page.goto(person.url)
    page.get_by_label(spanish["Email"]).fill(person.email)
    page.get_by_label(spanish["Password"]).fill(PASSWORD)
    page.get_by_role("button", name=spanish["Sign in"], exact=True).click()
    expect(page.get_by_role("heading", name=spanish["Conversations"])).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "es"
    page.context.close()
