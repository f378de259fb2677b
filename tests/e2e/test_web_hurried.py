"""Answers that come late, and presses that come twice, undo nothing that somebody did meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import APIResponse, Download, Page, Route, expect

from tests.support.answers import text
from tests.support.browser import drawn, wait_on
from tests.support.conversation_lists import begin, conversations, listed, messages, own_id, people
from tests.support.person import MARA, Person, operator
from tests.support.upstream import Upstream


class Late:
    """Keeps the answer to the next fitting request until the test delivers it."""

    def __init__(self, page: Page, path: str, method: str = "GET", body: str = "") -> None:
        self._page, self._method, self._body = page, method, body
        self._kept: tuple[Route, APIResponse] | None = None
        page.route(path, self._keep)

    def _keep(self, route: Route) -> None:
        fits = self._body in (route.request.post_data or "")
        if self._kept or route.request.method != self._method or not fits:
            route.fallback()
        else:
            self._kept = (route, route.fetch())

    def wait(self) -> None:
        """Returns when the service has answered, of which the page does not know."""
        wait_on(self._page, lambda: self._kept, "the request whose answer comes late")

    def deliver(self) -> None:
        """Returns when the page has had the answer, and time to draw it."""
        self.wait()
        assert self._kept is not None
        route, answer = self._kept
        with self._page.expect_event("requestfinished", lambda request: request == route.request):
            route.fulfill(response=answer)
        drawn(self._page)


@pytest.fixture
def two(person: Person) -> Person:
    """A person in "Talk 0", who has "Talk 1" too; each with messages."""
    person.join()
    talks = conversations(person, 2)
    for number, talk in enumerate(talks):
        rows = [
            {"conversation_id": talk, "sender": sender, "content": f"{sender} {number}"}
            for sender in ("user", "character")
        ]
        operator(person.copy, "POST", "/rest/v1/messages", rows)
    # A page that starts here opens it once: nothing is loaded again after it is shown.
    person.page.goto("about:blank")
    person.open(f"/#{talks[0]}")
    is_at(person, 0)
    return person


def go(person: Person, number: int) -> None:
    """Opens one of the two conversations."""
    listed(person).filter(has_text=f"Talk {number}").click()
    drawn(person.page)  # not what was shown before
    expect(person.said.last).to_have_text(f"character {number}")
    expect(person.page.get_by_role("heading", level=1)).to_have_text(f"Talk {number}")


def is_at(person: Person, number: int) -> None:
    expect(person.page.get_by_role("heading", level=1)).to_have_text(f"Talk {number}")
    expect(person.said).to_have_text([f"user {number}", f"character {number}"])


class TestDialogs:
    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("Memory", "**/rest/v1/memory_facts*"),
            ("Settings", "**/rest/v1/conversation_settings*"),
            ("Details", "**/rest/v1/turns*reply_message_id*"),
        ],
    )
    def test_one_about_a_conversation_that_was_left_stays_shut(
        self, two: Person, name: str, path: str
    ) -> None:
        late = Late(two.page, path)
        two.page.locator("main").get_by_role("button", name=name, exact=True).last.click()
        late.wait()
        go(two, 1)
        late.deliver()
        expect(two.page.get_by_role("dialog")).to_have_count(0)
        is_at(two, 1)

    def test_the_one_that_was_asked_for_last_is_shown(self, two: Person) -> None:
        late = Late(two.page, "**/rest/v1/memory_facts*")
        two.press("Memory")
        late.wait()
        two.press("Settings")
        dialog = two.page.get_by_role("dialog")
        expect(dialog).to_have_accessible_name("Settings")
        dialog.get_by_label("Text about the story").fill("It rains.")
        late.deliver()
        expect(dialog).to_have_accessible_name("Settings")
        expect(dialog.get_by_label("Text about the story")).to_have_value("It rains.")

    def test_note_that_is_written_while_one_goes_back_is_kept_where_it_belongs(
        self, two: Person
    ) -> None:
        first = two.conversation_id
        go(two, 1)
        second = two.conversation_id
        two.press("Settings")
        note = two.page.get_by_label("Text about the story")
        note.press_sequentially("It rains.")
        two.page.go_back()
        is_at(two, 0)
        path = f"conversation_settings?conversation_id=in.({first},{second})"
        [row] = wait_on(two.page, lambda: two.copy.rows(path), "the note to be saved")
        assert (row["conversation_id"], row["note"]) == (second, "It rains.")

    def test_form_that_is_open_stays_when_something_else_was_saved(self, two: Person) -> None:
        two.press("Memory")
        dialog = two.page.get_by_role("dialog")
        for fact in ("Likes tea", "Fears storms"):
            dialog.get_by_label("A fact to remember").fill(fact)
            dialog.get_by_role("button", name="Add", exact=True).click()
            expect(dialog.get_by_role("button", name=f"Change: {fact}")).to_be_visible()
        late = Late(two.page, "**/rest/v1/memory_facts*")
        dialog.get_by_role("button", name="Turn off: Likes tea").click()
        late.wait()
        dialog.get_by_role("button", name="Change: Fears storms").click()
        dialog.get_by_label("The fact").fill("Fears thunder")
        late.deliver()
        expect(dialog.get_by_role("button", name="Turn on: Likes tea")).to_be_visible()
        expect(dialog.get_by_label("The fact")).to_have_value("Fears thunder")

    def test_one_that_was_closed_is_not_opened_again(self, two: Person) -> None:
        two.press("Your personas", exact=False)
        two.press("Create a persona")
        dialog = two.page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("Grace")
        late = Late(two.page, "**/rest/v1/my_characters*", "POST")
        dialog.get_by_role("button", name="Save").click()
        late.wait()
        two.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        late.deliver()
        expect(two.page.get_by_role("status").filter(has_text="Saved.")).to_be_attached()
        expect(dialog).to_have_count(0)

    def test_author_who_is_blocked_while_the_dialog_is_closed(self, two: Person) -> None:
        page = two.page
        author = operator_person(two)
        row = {
            "user_id": author,
            "name": "Rival Nine",
            "is_public": True,
            "description": "A rival.",
        }
        operator(two.copy, "POST", "/rest/v1/characters", row)
        two.press("Public characters", exact=False)
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Words to search for").fill("Rival Nine")
        dialog.get_by_role("button", name="Search").click()
        dialog.get_by_role("button", name="Details of Rival Nine").click()
        late = Late(page, "**/rpc/block_author", "POST")
        dialog.get_by_role("button", name="Block the author").click()
        late.wait()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        late.deliver()
        two.press("Keys")
        expect(dialog).to_have_accessible_name("Keyboard shortcuts")


def operator_person(person: Person) -> str:
    """The id of somebody else."""
    account = {"email": f"other-{person.email}", "password": "a long enough password"}
    return str(person.copy_call("POST", "/auth/v1/signup", account).json()["user"]["id"])


class TestConversations:
    def test_one_that_was_chosen_later_stays_open(self, two: Person) -> None:
        late = Late(two.page, "**/rest/v1/conversations*", "POST")
        people(two).filter(has_text=MARA).click()
        late.wait()
        go(two, 1)
        late.deliver()
        is_at(two, 1)

    def test_one_that_is_chosen_while_the_page_starts_stays_open(self, two: Person) -> None:
        page = two.page
        late = Late(page, "**/rest/v1/conversations*id=eq.*")
        page.reload()
        late.wait()
        listed(two).filter(has_text="Talk 1").click()
        expect(two.said.last).to_have_text("character 1")
        late.deliver()
        is_at(two, 1)

    def test_deleting_one_does_not_close_another(self, two: Person) -> None:
        page = two.page
        late = Late(page, "**/rest/v1/conversation_entries*", "POST")
        page.get_by_role("button", name="Options for Talk 0").click()
        page.get_by_role("menuitem", name="Delete").click()
        late.wait()
        listed(two).filter(has_text="Talk 1").click()
        late.deliver()
        expect(page.get_by_role("region", name="Undo")).to_be_visible()
        is_at(two, 1)

    def test_older_answer_does_not_replace_the_list(self, two: Person) -> None:
        page = two.page
        late = Late(page, "**/rpc/list_conversations", "POST")
        page.evaluate("dispatchEvent(new Event('focus'))")
        late.wait()
        page.get_by_role("button", name="Options for Talk 1").click()
        page.get_by_role("menuitem", name="Pin").click()
        expect(listed(two).first).to_contain_text("Pinned")
        late.deliver()
        expect(listed(two).first).to_contain_text("Pinned")

    def test_deleted_message_takes_none_from_another(self, two: Person) -> None:
        page = two.page
        late = Late(page, "**/roleplay_chat", "POST", '"delete"')
        page.locator(".talk > li").first.get_by_role("button", name="Delete", exact=True).click()
        two.press("Delete it and all later messages")
        late.wait()
        page.keyboard.press("Escape")
        go(two, 1)
        late.deliver()
        is_at(two, 1)

    def test_edited_message_is_answered_in_its_own(
        self, person: Person, scripted: Upstream
    ) -> None:
        begin(person, scripted)
        scripted.enqueue(text("The first answer."))
        person.say("The first question.")
        person.answered(3)
        here = person.conversation_id
        [other] = conversations(person, 1)
        messages(person, 2, other)
        person.page.reload()
        expect(person.said).to_have_count(3)
        late = Late(person.page, "**/roleplay_chat", "POST", '"edit"')
        scripted.enqueue(text("The second answer."))
        mine = person.page.locator(".talk > li.mine")
        mine.get_by_role("button", name="Edit", exact=True).click()
        person.page.get_by_label("New text").fill("The second question.")
        person.press("Save and regenerate")
        late.wait()
        listed(person).filter(has_text="Talk 0").click()
        expect(person.said.last).to_have_text("Message 2")
        late.deliver()
        path = f"messages?conversation_id=eq.{here}&is_active=is.true&order=position"
        wait_on(
            person.page,
            lambda: person.copy.rows(path)[-1]["content"] == "The second answer.",
            "the reply in the conversation of the edited message",
        )
        assert [row["content"] for row in person.copy.rows(path)][1] == "The second question."
        assert [row["content"] for row in person.stored()] == ["Message 1", "Message 2"]
        assert person.said.all_inner_texts() == ["Message 1", "Message 2"]


class TestSettings:
    def test_what_was_chosen_last_is_saved_last(self, two: Person) -> None:
        kept: list[Route] = []

        def keep_first(route: Route) -> None:
            if kept:
                route.fallback()
            else:
                kept.append(route)

        two.press("Settings")
        note = two.page.get_by_label("Text about the story")
        expect(note).to_be_visible()
        two.page.route("**/rest/v1/conversation_settings*", keep_first)
        for words in ("It rains.", "It snows."):
            note.fill(words)
            note.blur()
            drawn(two.page)
        wait_on(two.page, lambda: kept, "the first change is on its way")
        first = kept[0].request
        with two.page.expect_event("requestfinished", lambda request: request == first):
            kept[0].continue_()
        path = f"conversation_settings?conversation_id=eq.{two.conversation_id}&select=note"
        wait_on(
            two.page,
            lambda: two.copy.rows(path) == [{"note": "It snows."}],
            "the last change is saved",
        )


class TestMessages:
    def test_deleted_one_does_not_come_back(self, person: Person) -> None:
        person.join()
        [talk] = conversations(person, 1)
        messages(person, 4, talk)
        person.page.reload()
        expect(person.said).to_have_count(4)
        second = Late(person.page, "**/rest/v1/messages?*")
        first = Late(person.page, "**/rest/v1/messages?*")
        person.delete(0)
        first.wait()
        person.delete(0)
        second.wait()
        first.deliver()
        assert person.said.all_inner_texts() == ["Message 3", "Message 4"]
        second.deliver()
        assert person.said.all_inner_texts() == ["Message 3", "Message 4"]

    def test_earlier_ones_stay_that_were_loaded_meanwhile(self, person: Person) -> None:
        person.join()
        [talk] = conversations(person, 1)
        messages(person, 250, talk)
        person.page.reload()
        expect(person.said.last).to_have_text("Message 250")
        late = Late(person.page, "**/rest/v1/messages?*")
        last = person.page.locator(".talk > li").last
        last.hover()
        last.get_by_role("button", name="Hide from the model").click()
        late.wait()
        person.press("Show earlier messages")
        expect(person.said).to_have_count(250)
        late.deliver()
        assert person.said.all_inner_texts() == [f"Message {number}" for number in range(1, 251)]


class TestDeletedCharacter:
    def test_is_in_no_list_that_is_loaded_meanwhile(self, two: Person) -> None:
        operator(two.copy, "POST", "/rest/v1/characters", {"user_id": own_id(two), "name": "Grace"})
        page = two.page
        page.reload()
        expect(people(two).filter(has_text="Grace")).to_have_count(1)
        two.press("Your characters", exact=False)
        two.press("Details of Grace")
        two.press("Delete this character")
        two.press("Delete the character")
        expect(page.get_by_role("dialog").get_by_role("button", name="Undo")).to_be_visible()
        page.keyboard.press("Escape")
        page.locator(".talk > li").last.get_by_role("button", name="Branch").click()
        expect(page.get_by_text("This is a branch")).to_be_visible()
        expect(people(two).filter(has_text="Grace")).to_have_count(0)


class TestTwice:
    def test_branch(self, two: Person) -> None:
        page = two.page
        page.locator(".talk > li").last.get_by_role("button", name="Branch").dblclick()
        expect(page.get_by_text("This is a branch")).to_be_visible()
        rows = two.copy.rows(f"conversations?user_id=eq.{own_id(two)}")
        assert len(rows) == 3

    def test_persona(self, two: Person) -> None:
        two.press("Your personas", exact=False)
        two.press("Create a persona")
        dialog = two.page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("Grace")
        dialog.get_by_role("button", name="Save").dblclick()
        expect(dialog).to_have_accessible_name("Your personas")
        assert len(two.copy.rows(f"characters?user_id=eq.{own_id(two)}")) == 1

    def test_deletion_of_a_character_can_still_be_undone(self, two: Person) -> None:
        row: dict[str, Any] = {"user_id": own_id(two), "name": "Grace Twice"}
        operator(two.copy, "POST", "/rest/v1/characters", row)
        two.press("Your characters", exact=False)
        dialog = two.page.get_by_role("dialog")
        dialog.get_by_role("button", name="Details of Grace Twice").click()
        dialog.get_by_role("button", name="Delete this character").click()
        dialog.get_by_role("button", name="Delete the character").dblclick()
        dialog.get_by_role("button", name="Undo").click()
        expect(dialog.get_by_role("button", name="Details of Grace Twice")).to_be_visible()
        assert len(two.copy.rows(f"characters?user_id=eq.{own_id(two)}")) == 1


def test_session_that_ends_while_the_page_starts_shows_nobody(person: Person) -> None:
    person.join()
    expect(person.page.locator(".who")).to_be_visible()
    late = Late(person.page, "**/rest/v1/account*")
    person.page.reload()
    late.wait()
    other = person.page.context.new_page()
    other.goto(person.url)
    other.get_by_role("button", name="Sign out").click()
    expect(person.page.get_by_label("Email")).to_be_visible()
    late.deliver()
    expect(person.page.get_by_label("Email")).to_be_visible()
    expect(person.page.get_by_role("alert")).to_have_count(0)


def change_to(person: Person, email: str) -> None:
    """Signs out, and somebody in on the same page."""
    person.press("Sign out")
    person.enter(email)


def leave_to(person: Person, other: str) -> None:
    """Signs out, and somebody else in, for whom the page is loaded again."""
    page = person.page
    page.evaluate("window.isOfThePersonBefore = true")
    change_to(person, other)
    expect(page.locator(".who")).to_have_attribute("title", other)
    assert not page.evaluate("window.isOfThePersonBefore")
    assert "#" not in page.url


class TestNextPerson:
    @pytest.fixture
    def other(self, person: Person) -> str:
        """The email of somebody else with an account."""
        mine, person.email = person.email, f"next-{uuid4().hex[:8]}@example.com"
        person.make_account()
        other, person.email = person.email, mine
        return other

    def test_does_not_get_a_download_that_runs(
        self, person: Person, other: str, tmp_path: Path
    ) -> None:
        person.join()
        page = person.page
        saved: list[Download] = []
        page.on("download", lambda download: saved.append(download))
        late = Late(page, "**/rpc/download_account", "POST", "p_section")
        person.press("Account")
        person.press("Download everything")
        late.wait()
        page.keyboard.press("Escape")
        leave_to(person, other)
        person.press("Account")
        with page.expect_download() as theirs:
            person.press("Download everything")
        theirs.value.save_as(tmp_path / "all.json")
        assert other in (tmp_path / "all.json").read_text()
        assert len(saved) == 1

    def test_sees_no_list_that_was_asked_for_before(self, person: Person, other: str) -> None:
        person.begin()
        person.character("My secret")
        page = person.page
        late = Late(page, "**/rest/v1/characters*")
        page.locator(".talk > li").last.get_by_role("button", name="Branch").click()
        late.wait()
        leave_to(person, other)
        expect(people(person).filter(has_text=MARA)).to_have_count(1)
        expect(people(person).filter(has_text="My secret")).to_have_count(0)

    def test_is_not_held_by_the_limit_of_the_one_before(self, person: Person, other: str) -> None:
        person.begin()
        page = person.page
        person.expected.append("429")
        told = {"error": "Too many.", "code": "rate_limited"}
        later = {"Retry-After": "600"}
        page.route(
            "**/roleplay_chat", lambda route: route.fulfill(status=429, headers=later, json=told)
        )
        person.say("Hello")
        expect(page.locator(".held")).to_be_visible()
        leave_to(person, other)
        page.locator(".person", has_text=MARA).click()
        expect(page.get_by_label("Message to")).to_be_visible()
        expect(page.locator(".held")).to_have_count(0)

    def test_same_person_finds_the_list_of_a_phone_shut(self, person: Person) -> None:
        person.begin()
        page = person.page
        page.set_viewport_size({"width": 390, "height": 740})
        page.get_by_role("button", name="Conversations and characters").click()
        change_to(person, person.email)
        page.get_by_label("Message to").click()
        expect(page.locator("#side")).not_to_be_visible()


class TestConsole:
    def test_page_that_was_asked_for_later_is_shown(self, admin: Person) -> None:
        page = admin.page
        admin.open("/console.html?page=turns")
        expect(page.get_by_label("Status")).to_be_visible()
        rows = page.locator("#turns tbody tr")
        expect(rows).not_to_have_count(0)
        late = Late(page, "**/rest/v1/turn_reports*")
        page.get_by_label("Status").select_option("failed")
        page.get_by_role("button", name="Filter").click()
        late.wait()
        later = Late(page, "**/rest/v1/turn_reports*")
        page.go_back()
        later.wait()
        late.deliver()
        expect(rows).not_to_have_count(0)
        later.deliver()
        expect(rows).not_to_have_count(0)
