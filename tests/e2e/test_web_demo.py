"""The demo account on the pages of the local stack."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.support.person import Person


def test_demo_user_signs_in_with_one_press_and_is_an_admin(person: Person) -> None:
    person.open()
    person.press("Use the demo account")
    expect(person.page.get_by_role("link", name="Console")).to_be_visible()
