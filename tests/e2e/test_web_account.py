"""What is left of limits, the download of everything and the deletion of an account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Route, expect

from tests.support.person import Person
from tests.support.timers import HOLD, PASS
from tests.support.widths import fits

PHRASE = "delete my account"
LATER = "2099-01-01T12:00:00Z"


def limits(person: Person, left: int) -> None:
    """The answer about what is left."""
    day = {"name": "turns_per_day", "limit": 50, "used": 50 - left, "left": left}
    answer = {
        **{"now": "2026-01-01T00:00:00Z", "limits": [day | {"resets_at": LATER}]},
        **{"free_only": False, "tokens_today": {"prompt": 41000, "completion": 3800}},
    }
    person.page.route("**/rpc/read_limits", lambda route: route.fulfill(json=answer))


def account(person: Person) -> Locator:
    person.press("Account")
    return person.page.get_by_role("dialog", name="Your account")


def test_limits_are_in_the_account_and_near_the_message_box(person: Person) -> None:
    limits(person, 6)
    person.begin()
    line = person.page.locator(".composer").get_by_text("left today")
    expect(line).to_have_count(0)
    dialog = account(person)
    expect(dialog).to_contain_text("6 of 50 left")
    expect(dialog.get_by_role("meter", name="Messages today")).to_be_visible()
    expect(dialog).to_contain_text("41,000")
    fits(person.page)
    limits(person, 2)
    person.page.keyboard.press("Escape")
    account(person)
    person.page.keyboard.press("Escape")
    expect(line).to_have_text("You have 2 messages left today.")


def test_what_is_left_is_read_again_after_a_turn(person: Person) -> None:
    limits(person, 6)
    person.begin()
    limits(person, 0)
    person.page.locator(".talk li").last.get_by_role("button", name="Delete").click()
    person.press("Delete this message")
    person.press("Let Mara Voss begin")
    expect(person.page.locator(".composer")).to_contain_text("You have no messages left today.")


def test_limits_of_the_server_are_shown(person: Person) -> None:
    person.join()
    dialog = account(person)
    expect(dialog.get_by_role("heading", name="What is left")).to_be_visible()
    expect(dialog).to_contain_text("Models read 0 tokens for you today")


class TestDownload:
    def test_has_everything_in_one_file(self, person: Person, tmp_path: Path) -> None:
        person.begin()
        person.character("Vera", description="A smith.")
        dialog = account(person)
        with person.page.expect_download() as saved:
            dialog.get_by_role("button", name="Download everything").click()
        assert saved.value.suggested_filename.endswith(".json")
        saved.value.save_as(tmp_path / "all.json")
        found = json.loads((tmp_path / "all.json").read_text())
        assert found["profile"][0]["email"] == person.email
        assert [row["name"] for row in found["characters"]] == ["Vera"]
        assert len(found["messages"]) == 1
        assert found["portraits"] == {}
        expect(dialog.get_by_role("button", name="Download everything")).to_be_enabled()

    def test_long_one_shows_its_progress_and_can_be_stopped(self, person: Person) -> None:
        person.join()
        held: list[Route] = []
        page = person.page

        def answer(route: Route) -> None:
            asked = route.request.post_data_json or {}
            if asked.get("p_section") == "messages" and asked["p_after"] is None:
                route.fulfill(json={"section": "messages", "rows": [{}, {}, {}], "next": ["x"]})
            elif asked.get("p_section") == "messages":
                held.append(route)
            else:
                route.continue_()

        page.route("**/rpc/download_account", answer)
        page.evaluate(HOLD, 2_000)
        dialog = account(person)
        with page.expect_request(lambda request: '["x"]' in (request.post_data or "")):
            dialog.get_by_role("button", name="Download everything").click()
        expect(dialog.get_by_role("button", name="Downloading")).to_be_disabled()
        page.evaluate(PASS)
        expect(dialog.get_by_role("progressbar", name="Download")).to_be_visible()
        expect(dialog).to_contain_text("4 rows so far")
        fits(page)
        dialog.get_by_role("button", name="Cancel").click()
        held[0].fulfill(json={"section": "messages", "rows": [], "next": None})
        expect(dialog.get_by_role("button", name="Download everything")).to_be_enabled()

    def test_lost_connection_is_said_and_it_can_begin_again(self, person: Person) -> None:
        person.join()
        person.expected.append("ERR_FAILED")
        dialog = account(person)
        person.page.route("**/rpc/download_account", lambda route: route.abort())
        dialog.get_by_role("button", name="Download everything").click()
        expect(dialog.get_by_role("alert")).to_contain_text("cannot be reached")
        expect(dialog.get_by_role("button", name="Download everything")).to_be_enabled()


class TestDeletion:
    def ask(self, person: Person) -> Locator:
        account(person).get_by_role("button", name="Delete the account").click()
        return person.page.get_by_role("dialog", name="Delete the account")

    def test_account_and_what_the_device_keeps_go(self, person: Person) -> None:
        person.begin()
        person.character("Vera")
        page = person.page
        page.get_by_label("Message to").fill("A secret draft")
        sent: list[Any] = []

        def answer(route: Route) -> None:
            sent.append(route.request.post_data_json)
            route.fulfill(json={"success": True, "deleted": {}, "request_id": "x"})

        page.route("**/roleplay_chat", answer)
        dialog = self.ask(person)
        expect(dialog).to_contain_text("1 character")
        expect(dialog).to_contain_text("1 conversation")
        fits(page)
        confirm = dialog.get_by_role("button", name="Delete the account")
        typed = dialog.get_by_label("To confirm, type")
        typed.fill("delete")
        confirm.click()
        expect(typed).to_have_accessible_description(f"Type exactly: {PHRASE}")
        assert sent == []
        typed.fill(f" {PHRASE.title()} ")
        confirm.click()
        expect(page.get_by_role("status")).to_contain_text("Your account was deleted")
        expect(page.get_by_label("Password")).to_be_visible()
        assert [body["action"] for body in sent] == ["delete_account"]
        kept = page.evaluate("JSON.stringify([...Object.entries(localStorage)])")
        assert "secret" not in kept
        assert "auth" not in kept

    def test_refusal_is_said_and_everything_stays(self, person: Person) -> None:
        person.join()
        person.expected.append("409")
        refusal = {"error": "Your account could not be deleted.", "code": "account_not_deleted"}
        person.page.route("**/roleplay_chat", lambda route: route.fulfill(status=409, json=refusal))
        dialog = self.ask(person)
        dialog.get_by_label("To confirm, type").fill(PHRASE)
        dialog.get_by_role("button", name="Delete the account").click()
        expect(dialog.get_by_role("alert")).to_contain_text("could not be deleted")
        person.page.reload()
        expect(person.page.locator(".who")).to_have_text("Ada")

    def test_repeated_after_a_lost_answer_it_is_done(self, person: Person) -> None:
        person.join()
        person.expected += ["ERR_FAILED", "401"]
        page = person.page
        page.route("**/roleplay_chat", lambda route: route.abort())
        dialog = self.ask(person)
        dialog.get_by_label("To confirm, type").fill(PHRASE)
        dialog.get_by_role("button", name="Delete the account").click()
        expect(dialog.get_by_role("alert")).to_contain_text("cannot be reached")
        page.unroute("**/roleplay_chat")
        gone = {"error": "This account no longer exists.", "code": "unauthorized"}
        page.route("**/roleplay_chat", lambda route: route.fulfill(status=401, json=gone))
        dialog.get_by_role("button", name="Delete the account").click()
        expect(page.get_by_role("status")).to_contain_text("Your account was deleted")
