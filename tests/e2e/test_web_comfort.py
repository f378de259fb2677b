"""What people expect of a chat: addresses, copying, themes, keys, word of the connection."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.support.axe import serious
from tests.support.person import MARA, PASSWORD, Person, body_of, operator


def titled(person: Person, title: str) -> None:
    operator(
        person.copy,
        "PATCH",
        f"/rest/v1/conversations?id=eq.{person.conversation_id}",
        {"title": title},
    )


class TestAddress:
    def test_back_and_forward_lead_through_conversations_and_the_window_names_them(
        self, person: Person
    ) -> None:
        person.join()
        page = person.page
        expect(page).to_have_title("Talk · Roleplay")
        person.meet()
        first = person.conversation_id
        expect(page).to_have_title(f"{MARA} · Roleplay")
        titled(person, "The storm")
        page.reload()
        expect(page).to_have_title("The storm · Roleplay")
        page.locator(".lists li button", has_text="Start a conversation").first.click()
        expect(page).not_to_have_url(re.compile(first))
        second = person.conversation_id
        assert second != first
        page.go_back()
        expect(page).to_have_title("The storm · Roleplay")
        expect(page.get_by_role("heading", level=1)).to_have_text("The storm")
        expect(person.said).to_have_count(1)
        page.go_forward()
        expect(page).to_have_url(re.compile(second))
        expect(page).not_to_have_title("The storm · Roleplay")
        expect(person.said).to_have_count(0)
        page.goto(f"{person.url}/#{first}")
        expect(page.get_by_role("heading", level=1)).to_have_text("The storm")

    def test_skip_link_keeps_the_address_of_the_conversation(self, person: Person) -> None:
        person.begin()
        address = person.page.url
        person.page.locator(".skip").focus()
        person.page.keyboard.press("Enter")
        expect(person.page.get_by_label("Message to")).to_be_focused()
        expect(person.page).to_have_url(address)


class TestCopy:
    def test_message_and_code_are_copied_and_this_is_announced(self, person: Person) -> None:
        person.begin()
        person.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        text = "Try *this*:\n\n```\nlamp.light()\n```"
        person.insert_messages(("user", text))
        page, last = person.page, person.page.locator(".talk > li").last
        last.get_by_role("button", name="Copy", exact=True).click()
        status = page.locator(".shell + [role=status]")
        expect(status).to_have_text("The message was copied.")
        assert page.evaluate("navigator.clipboard.readText()") == text
        last.get_by_role("button", name="Copy this code").click()
        expect(status).to_have_text("The code was copied.")
        assert page.evaluate("navigator.clipboard.readText()") == "lamp.light()\n"

    def test_browser_that_forbids_it_is_explained(self, person: Person) -> None:
        person.begin()
        person.page.evaluate(
            "() => { navigator.clipboard.writeText = () => Promise.reject(new Error()) }"
        )
        person.press("Copy")
        expect(person.page.get_by_role("alert")).to_contain_text("copy it yourself")


class TestAppearance:
    PAPER = "getComputedStyle(document.body).backgroundColor"
    SIZE = "parseFloat(getComputedStyle(document.body).fontSize)"

    def test_theme_and_text_size_are_kept_and_there_before_the_first_drawing(
        self, person: Person
    ) -> None:
        person.join()
        page = person.page
        page.emulate_media(color_scheme="light")
        light, normal = page.evaluate(self.PAPER), page.evaluate(self.SIZE)
        person.press("Appearance")
        assert serious(page) == []
        page.get_by_label("Theme").select_option("Dark")
        page.get_by_label("Text size").select_option("Larger")
        dark, larger = page.evaluate(self.PAPER), page.evaluate(self.SIZE)
        assert dark != light
        assert larger > normal
        assert serious(page) == []
        # Without the modules, only what runs before the first drawing is left.
        page.route(
            "**/js/*.js", lambda route: route.fulfill(body="", content_type="text/javascript")
        )
        for path in ("/", "/console.html"):
            person.open(path)
            assert page.evaluate(self.PAPER) == dark
            assert page.evaluate(self.SIZE) == larger
        page.unroute("**/js/*.js")
        person.open()
        person.press("Appearance")
        page.get_by_label("Theme").select_option("As the system")
        assert page.evaluate(self.PAPER) == light
        page.emulate_media(color_scheme="dark")
        page.get_by_label("Theme").select_option("Light")
        assert page.evaluate(self.PAPER) == light


CLOSE_AND_PRESS = """() => {
  document.querySelector("dialog").close();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "m", bubbles: true }));
}"""


class TestKeys:
    def test_key_counts_as_soon_as_the_dialog_is_closed(self, person: Person) -> None:
        person.begin()
        person.page.keyboard.press("?")
        expect(person.page.get_by_role("dialog")).to_be_visible()
        person.page.evaluate(CLOSE_AND_PRESS)  # before the page hears of the closing
        expect(person.page.get_by_label("Message to")).to_be_focused()

    def test_keys_list_themselves_begin_a_conversation_and_edit_the_last_message(
        self, person: Person
    ) -> None:
        person.begin()
        person.insert_messages(("user", "Who is there?"), ("character", "The sea."))
        page, box = person.page, person.page.get_by_label("Message to")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        assert serious(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.keyboard.press("m")
        expect(box).to_be_focused()
        page.keyboard.type("n?m")
        expect(box).to_have_value("n?m")
        page.keyboard.press("ArrowUp")
        expect(page.locator(".editor")).to_have_count(0)
        box.fill("")
        page.keyboard.press("ArrowUp")
        expect(page.get_by_label("New text")).to_be_focused()
        expect(page.get_by_label("New text")).to_have_value("Who is there?")
        page.keyboard.press("Escape")
        expect(page.locator(".editor")).to_have_count(0)
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("n")
        expect(page.get_by_role("heading", name="Who would you like to meet?")).to_be_visible()
        page.go_back()
        expect(person.said).to_have_count(3)


class TestConnection:
    def test_offline_is_said_and_nothing_is_sent_until_it_is_back(self, person: Person) -> None:
        person.begin()
        page, box = person.page, person.page.get_by_label("Message to")
        send = page.get_by_role("button", name="Send", exact=True)
        person.expected = ["ERR_INTERNET_DISCONNECTED"]
        page.context.set_offline(True)
        expect(page.get_by_text("You are offline.")).to_be_visible()
        box.fill("Hello?")
        expect(send).to_be_disabled()
        page.keyboard.press("Enter")
        expect(box).to_have_value("Hello?")
        page.context.set_offline(False)
        expect(page.get_by_text("You are offline.")).to_have_count(0)
        expect(send).to_be_enabled()
        expect(box).to_have_value("Hello?")

    def test_too_many_requests_count_down_and_sending_comes_back(self, person: Person) -> None:
        person.begin()
        page = person.page
        page.clock.install()
        person.expected = ["429"]
        page.route(
            "**/roleplay_chat",
            lambda route: route.fulfill(
                status=429,
                headers={"Retry-After": "75"},
                json={"error": "You are sending messages very fast.", "code": "rate_limited"},
            ),
        )
        person.say("Hello?")
        timer = page.get_by_role("timer")
        send = page.get_by_role("button", name="Send", exact=True)
        expect(timer).to_contain_text("1:1")
        expect(send).to_be_disabled()
        expect(page.get_by_label("Message to")).to_have_value("Hello?")
        page.clock.run_for(80_000)
        expect(timer).to_have_count(0)
        expect(send).to_be_enabled()
        expect(page.get_by_role("alert")).to_have_count(0)

    def test_database_that_never_answers_is_not_waited_for_forever(self, person: Person) -> None:
        person.begin()
        page = person.page
        page.clock.install()
        person.expected = ["503", "ERR_FAILED"]
        away = {"error": "The store cannot be reached.", "code": "database_unavailable"}
        page.route("**/roleplay_chat", lambda route: route.fulfill(status=503, json=away))
        page.route("**/rest/v1/**", lambda route: None)  # It never answers.
        with page.expect_request("**/rest/v1/messages?*"):
            person.say("Hello?")
        alert = page.get_by_role("alert").filter(has_text="The store cannot be reached.")
        expect(alert).to_have_count(0)
        page.clock.run_for(21_000)
        expect(alert).to_be_visible()
        expect(page.get_by_label("Message to")).to_have_value("Hello?")


class TestPhone:
    SMALL = """() => [...document.querySelectorAll("button, select, input, textarea, .side a")]
      .filter((each) => each.checkVisibility({ visibilityProperty: true })
        && !each.matches(".unseen, .shade, [type=checkbox], textarea"))
      .map((each) => [each.getBoundingClientRect(), each.outerHTML.slice(0, 120)])
      .filter(([{ width, height }]) => width < 44 || height < 44)
      .map(([, html]) => html)"""

    @pytest.mark.parametrize("width", [320, 390])
    def test_header_is_one_row_and_targets_are_large(self, person: Person, width: int) -> None:
        page = person.page
        page.set_viewport_size({"width": width, "height": 740})
        person.begin()
        assert page.evaluate("document.querySelector('.bar').offsetHeight") < 80
        assert page.evaluate(self.SMALL) == []
        person.press("Tools")
        expect(page.get_by_label("Who answers")).to_be_visible()
        assert page.evaluate(self.SMALL) == []
        assert serious(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_label("Who answers")).not_to_be_visible()
        person.press("Conversations and characters")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        assert page.evaluate(self.SMALL) == []

    def test_page_can_be_installed(self, person: Person) -> None:
        person.open()
        page = person.page
        manifest = page.evaluate("""async () => {
          const { href } = document.querySelector("link[rel=manifest]");
          const found = await (await fetch(href)).json();
          const loaded = await Promise.all(found.icons.map(async ({ src, sizes }) => {
            const image = Object.assign(new Image(), { src: new URL(src, href).href });
            await image.decode();
            return sizes === "any" || `${image.naturalWidth}x${image.naturalHeight}` === sizes;
          }));
          return { ...found, loaded };
        }""")
        assert manifest["display"] == "standalone"
        assert manifest["loaded"] == [True] * 4
        client = page.context.new_cdp_session(page)
        assert client.send("Page.getAppManifest")["errors"] == []


class TestAccount:
    def test_forgotten_password_is_chosen_anew_by_the_link(self, person: Person) -> None:
        person.make_account()
        page = person.page
        asked: list[dict[str, Any]] = []

        def recover(route: Route) -> None:
            asked.append(body_of(route.request))
            route.fulfill(json={})

        login = {"email": person.email, "password": PASSWORD}
        session = person.copy_call("POST", "/auth/v1/token?grant_type=password", login).json()
        page.route("**/auth/v1/recover**", recover)
        page.route("**/auth/v1/token?grant_type=pkce", lambda route: route.fulfill(json=session))
        person.open()
        person.press("Forgotten your password?")
        assert serious(page) == []
        page.get_by_label("Email").fill(person.email)
        person.press("Send the link")
        expect(page.get_by_role("status")).to_contain_text("a link is on its way")
        assert asked[0]["email"] == person.email
        person.open("/?code=of-the-email")
        dialog = page.get_by_role("dialog", name="Your account")
        expect(dialog).to_contain_text("Choose a new password below.")
        assert "code" not in page.url
        assert serious(page) == []
        dialog.get_by_label("New password").fill("another long password")
        with page.expect_request(lambda request: request.method == "PUT") as changed:
            dialog.get_by_role("button", name="Change the password").click()
        assert body_of(changed.value)["password"] == "another long password"

    def test_link_that_is_no_longer_valid_is_explained(self, person: Person) -> None:
        person.open("/?error=access_denied&error_code=otp_expired")
        expect(person.page.get_by_role("alert")).to_contain_text("no longer valid")
        assert "error" not in person.page.url

    def test_name_is_changed(self, person: Person) -> None:
        person.join()
        person.press("Account")
        dialog = person.page.get_by_role("dialog")
        dialog.get_by_label("What characters call you").fill("Grace")
        dialog.get_by_role("button", name="Change the name").click()
        expect(dialog.locator(".notice")).to_have_text("Your name was changed.")
        person.page.reload()
        expect(person.page.locator(".who")).to_have_text("Grace")

    @pytest.mark.parametrize(
        ("waits", "sentence"),
        [
            (False, "Your email was changed."),
            (True, "Open the links in the emails we sent to confirm the new address."),
        ],
    )
    def test_email_is_changed(self, person: Person, waits: bool, sentence: str) -> None:
        person.make_account()
        page, new = person.page, f"new-{person.email}"
        login = {"email": person.email, "password": PASSWORD}
        session = person.copy_call("POST", "/auth/v1/token?grant_type=password", login).json()
        answer = session["user"] | ({"new_email": new} if waits else {"email": new})
        person.sign_in()
        page.route("**/auth/v1/user*", lambda route: route.fulfill(json=answer))
        person.press("Account")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Email").fill(new)
        with page.expect_request(lambda request: request.method == "PUT") as sent:
            dialog.get_by_role("button", name="Change the email").click()
        assert body_of(sent.value)["email"] == new
        expect(dialog.locator(".notice")).to_have_text(sentence)


def test_first_visit_says_what_this_is_and_what_is_kept(person: Person) -> None:
    person.make_account()
    person.open()
    first = person.page.get_by_role("region", name="What this is")
    expect(first).to_contain_text("A language model writes what they say.")
    first.get_by_text("What is kept").click()
    expect(first.get_by_text("stay on this device")).to_be_visible()
    assert serious(person.page) == []
    person.sign_in()
    expect(first).to_be_visible()
    person.meet()
    expect(first).to_have_count(0)
