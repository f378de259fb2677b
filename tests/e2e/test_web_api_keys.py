"""The dialog in which a person makes, copies and revokes API keys; and the page of the API."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.support import patient
from tests.support.axe import serious
from tests.support.person import MARA, Person


def opened(person: Person) -> Locator:
    person.press("Account")
    person.page.get_by_role("dialog", name="Your account").get_by_role(
        "button", name="API keys"
    ).click()
    return person.page.get_by_role("dialog", name="API keys")


def models(person: Person, key: str) -> int:
    address = f"{person.url}/roleplay_chat/v1/models"
    answer = patient.get(address, headers={"Authorization": f"Bearer {key}"})
    if answer.is_success:
        assert MARA in [one["name"] for one in answer.json()["data"]]
    return answer.status_code


def test_key_is_made_copied_once_and_revoked(person: Person) -> None:
    page = person.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    person.join()
    dialog = opened(person)
    expect(dialog).to_contain_text(f"{person.url}/roleplay_chat/v1")
    dialog.get_by_label("Name of the program").fill("<b>Notebook</b>")
    dialog.get_by_role("button", name="Make a key").click()
    expect(dialog.locator(".notice")).to_contain_text("It is not shown again.")
    assert serious(page) == []
    dialog.get_by_role("button", name="Copy the key").click()
    expect(page.get_by_text("The key was copied.")).to_have_count(1)
    key = page.evaluate("navigator.clipboard.readText()")
    assert key.startswith("rpk_")
    assert models(person, key) == 200

    dialog.get_by_role("button", name="Close").click()
    dialog = opened(person)
    expect(dialog).to_contain_text("<b>Notebook</b>")
    expect(dialog).to_contain_text("Last used")
    expect(dialog).not_to_contain_text(key)
    dialog.get_by_role("button", name="Revoke <b>Notebook</b>").click()
    dialog.get_by_role("button", name="Keep it").click()
    assert models(person, key) == 200
    dialog.get_by_role("button", name="Revoke <b>Notebook</b>").click()
    dialog.get_by_role("button", name="Revoke for good").click()
    expect(dialog.get_by_role("listitem")).to_have_count(0)
    assert models(person, key) == 401


def test_dialog_fits_a_small_phone(person: Person) -> None:
    person.join()
    dialog = opened(person)
    person.page.set_viewport_size({"width": 320, "height": 640})
    dialog.get_by_label("Name of the program").fill("W" * 80)
    dialog.get_by_role("button", name="Make a key").click()
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    assert dialog.evaluate("it => it.scrollWidth <= it.clientWidth")


def test_api_is_described_on_a_page_that_loads_nothing_remote(person: Person) -> None:
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    person.open("/api.html")
    expect(
        person.page.get_by_role("heading", name="/roleplay_chat/v1/models").first
    ).to_be_visible()
    assert all(url.startswith(person.url) for url in asked)
    assert serious(person.page) == []
