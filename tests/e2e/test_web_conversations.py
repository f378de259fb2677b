"""The list of conversations, search, details, personas and greetings, on the page."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.support.answers import text
from tests.support.axe import serious
from tests.support.browser import drawn, wait_on
from tests.support.conversation_lists import conversations, listed, messages, own_id
from tests.support.person import MARA, Person, operator
from tests.support.upstream import Upstream
from tests.support.widths import BROKEN_WORDS, NARROWEST_AND_WIDEST, TWO_FRAMES, WIDTHS


def titles(person: Person) -> list[str]:
    """The first line of each listed conversation."""
    shown = listed(person).locator("> span:last-child")
    return [name.split("\n")[0].strip() for name in shown.all_inner_texts()]


def menu(person: Person, title: str) -> Locator:
    """Opens the menu of a listed conversation."""
    person.page.get_by_role("button", name=f"Options for {title}", exact=True).first.click()
    found = person.page.get_by_role("menu")
    expect(found).to_be_visible()
    return found


def choose(person: Person, title: str, item: str) -> None:
    menu(person, title).get_by_role("menuitem", name=item, exact=True).click()


def another_tab(person: Person) -> Page:
    tab = person.page.context.new_page()
    tab.goto(person.page.url)
    expect(tab.locator(".lists .entry").first).to_be_visible()
    return tab


class TestList:
    def test_entry_shows_what_was_said_first_and_last(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.begin()
        person.ask_the_scripted_model()
        scripted.always(text("*She nods.* The northern one."))
        person.say("Which coast is it?")
        person.answered(3)
        expect(listed(person)).to_have_count(1)
        expect(listed(person)).to_contain_text("Which coast is it?")
        expect(listed(person)).to_contain_text(MARA)
        expect(listed(person)).to_contain_text("She nods. The northern one.")

    def test_menu_renames_and_pins_and_other_tabs_see_it(self, person: Person) -> None:
        person.join()
        conversations(person, 3)
        person.page.reload()
        expect(listed(person)).to_have_count(3)
        tab = another_tab(person)
        choose(person, "Talk 2", "Pin")
        expect(listed(person).first).to_contain_text("Pinned")
        assert titles(person) == ["Talk 2", "Talk 0", "Talk 1"]
        expect(tab.locator(".lists .entry").first).to_contain_text("Talk 2")
        choose(person, "Talk 1", "Rename")
        dialog = person.page.get_by_role("dialog")
        expect(dialog.get_by_label("Title")).to_be_focused()
        dialog.get_by_label("Title").fill("The storm <b>")
        dialog.get_by_label("Title").press("Enter")
        expect(dialog).to_have_count(0)
        expect(tab.locator(".lists .entry").nth(2)).to_contain_text("The storm <b>")
        choose(person, "Talk 2", "Unpin")
        expect(listed(person).first).to_contain_text("Talk 0")
        choose(person, "The storm <b>", "Rename")
        dialog.get_by_label("Title").fill("")
        dialog.get_by_role("button", name="Save").click()
        expect(listed(person).nth(1)).to_contain_text("Talk 1")

    def test_menu_is_used_by_keyboard(self, person: Person) -> None:
        person.join()
        conversations(person, 1)
        person.page.reload()
        page, keys = person.page, person.page.keyboard
        button = page.get_by_role("button", name="Options for Talk 0")
        button.focus()
        keys.press("Enter")
        items = page.get_by_role("menuitem")
        expect(items.first).to_be_focused()
        keys.press("ArrowUp")
        expect(items.last).to_be_focused()
        keys.press("ArrowDown")
        expect(items.first).to_be_focused()
        keys.press("Escape")
        expect(items).to_have_count(0)
        expect(button).to_be_focused()

    def test_deletion_is_undone_by_keyboard(self, person: Person) -> None:
        person.begin()
        page = person.page
        page.get_by_label("Message to").fill("Half a sent")
        choose(person, MARA, "Delete")
        expect(listed(person)).to_have_count(0)
        expect(page.get_by_text("Who would you like to meet?")).to_be_visible()
        undo = page.get_by_role("button", name="Undo", exact=True)
        expect(undo).to_be_focused()
        page.keyboard.press("Enter")
        expect(listed(person)).to_have_count(1)
        expect(person.said).to_have_count(1)
        expect(page.get_by_label("Message to")).to_have_value("Half a sent")
        expect(undo).to_have_count(0)

    @pytest.mark.parametrize("width", [390, 1280])
    def test_undo_of_a_deletion_leaves_the_message_box_free(
        self, person: Person, width: int
    ) -> None:
        person.join()
        conversations(person, 2)
        page = person.page
        page.set_viewport_size({"width": width, "height": 740})
        page.reload()
        expect(page.get_by_label("Message to")).to_be_visible()
        opened = page.get_by_role("heading", level=1).inner_text()
        other = {"Talk 0": "Talk 1", "Talk 1": "Talk 0"}[opened]
        if width == 390:
            page.get_by_role("button", name="Conversations and characters").click()
        choose(person, other, "Delete")
        expect(page.get_by_role("button", name="Undo", exact=True)).to_be_visible()
        if width == 390:
            page.get_by_role("button", name="Close the list").click(position={"x": 380, "y": 300})
        page.get_by_label("Message to").click()
        assert page.evaluate("document.scrollingElement.scrollHeight") == 740

    def test_link_to_a_deleted_conversation_says_so(self, person: Person) -> None:
        person.join()
        conversations(person, 2)
        page = person.page
        page.reload()
        expect(page.get_by_label("Message to")).to_be_visible()
        gone, title = page.url, page.get_by_role("heading", level=1).inner_text()
        choose(person, title, "Delete")
        expect(page.get_by_role("button", name="Undo", exact=True)).to_be_visible()
        page.goto("about:blank")
        page.goto(gone)
        expect(page.get_by_text("This conversation was deleted.").first).to_be_visible()
        expect(page.get_by_label("Message to")).to_have_count(0)
        assert "#" not in page.url

    def test_title_cannot_turn_the_text_around(self, person: Person) -> None:
        person.join()
        [talk] = conversations(person, 1)
        path = f"/rest/v1/conversations?id=eq.{talk}"
        operator(person.copy, "PATCH", path, {"title": "\u202eevil\u2066"})
        person.page.reload()
        expect(person.page.get_by_role("heading", level=1)).to_have_text("evil")
        assert person.page.title().startswith("evil ·")

    def test_deleted_conversation_is_restored_from_its_list(self, person: Person) -> None:
        person.join()
        first, second = conversations(person, 2)
        person.page.reload()
        expect(listed(person)).to_have_count(2)
        tab = another_tab(person)
        choose(person, "Talk 1", "Delete")
        expect(listed(person)).to_have_count(1)
        expect(tab.locator(".lists .entry")).to_have_count(1)
        assert person.conversation_id == first
        # From another page. On this one the address would change to that of the open conversation.
        person.page.goto("about:blank")
        person.open(f"/#{second}")
        expect(person.page.get_by_text("This conversation was deleted.").first).to_be_visible()
        person.press("Deleted conversations")
        dialog = person.page.get_by_role("dialog")
        expect(dialog).to_contain_text("Talk 1")
        person.press("Restore Talk 1")
        expect(dialog).to_contain_text("There are no deleted conversations.")
        person.page.keyboard.press("Escape")
        expect(listed(person)).to_have_count(2)
        expect(tab.locator(".lists .entry")).to_have_count(2)

    def test_deleted_empty_conversation_is_not_used_again(self, person: Person) -> None:
        person.join()
        person.page.locator(".person", has_text=MARA).click()
        expect(listed(person)).to_have_count(1)
        deleted = person.conversation_id
        choose(person, MARA, "Delete")
        expect(listed(person)).to_have_count(0)
        person.page.locator(".person", has_text=MARA).click()
        expect(listed(person)).to_have_count(1)
        assert person.conversation_id != deleted

    def test_newest_opens_although_another_is_pinned(self, person: Person) -> None:
        person.join()
        conversations(person, 3)
        person.page.reload()
        expect(listed(person)).to_have_count(3)
        choose(person, "Talk 2", "Pin")
        expect(listed(person).first).to_contain_text("Talk 2")
        person.open("/")
        expect(person.page.get_by_role("heading", level=1)).to_have_text("Talk 0")

    def test_chat_is_exported_from_the_menu(self, person: Person) -> None:
        person.join()
        conversations(person, 2)
        person.page.reload()
        with person.page.expect_download() as download:
            choose(person, "Talk 1", "Export the chat")
        assert download.value.suggested_filename == "Talk 1.jsonl"


class TestImport:
    ROWS = ({"role": "user", "content": "Is it lit?"}, {"role": "assistant", "content": "It is."})

    @pytest.mark.parametrize("name", ["Storm.json", "Storm.txt", "Storm.jsonl", "Storm"])
    def test_chat_is_told_by_what_is_in_it(self, person: Person, name: str) -> None:
        person.begin()
        raw = json.dumps({"messages": self.ROWS}).encode()
        file: Any = {"name": name, "mimeType": "application/json", "buffer": raw}
        person.page.locator(".drop input").set_input_files(file)
        person.press(f"Import {name}")
        person.press("Read it")
        expect(person.page.get_by_role("heading", name="Storm", exact=True)).to_be_visible()
        expect(person.said).to_have_text(["Is it lit?", "It is."])

    def test_card_is_a_card_whatever_its_name(self, person: Person) -> None:
        person.join()
        raw = json.dumps({"name": "Ina", "description": "Dry.", "first_mes": "Yes?"}).encode()
        file: Any = {"name": "chat.jsonl", "mimeType": "application/jsonl", "buffer": raw}
        person.page.locator(".drop input").set_input_files(file)
        expect(person.page.get_by_role("dialog", name="Ina was imported")).to_be_visible()


SEARCH = "**/rpc/search_conversations"


class TestSearch:
    def look_for(self, person: Person, words: str) -> Locator:
        person.page.get_by_role("searchbox").fill(words)
        return person.page.locator(".results li")

    def test_finds_titles_and_messages_and_marks_the_words(self, person: Person) -> None:
        person.join()
        first, _ = conversations(person, 2)
        row = {"conversation_id": first, "sender": "user", "content": "A <b>grey</b> heron stood."}
        operator(person.copy, "POST", "/rest/v1/messages", row)
        page = person.page
        page.reload()
        expect(listed(person)).to_have_count(2)
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("/")
        expect(page.get_by_role("searchbox")).to_be_focused()
        page.keyboard.type("heron")
        expect(page.locator(".results mark")).to_have_text("heron")
        expect(page.locator(".results li")).to_contain_text("<b>grey</b>")
        assert serious(page) == []
        expect(self.look_for(person, "Talk 1")).to_contain_text("Talk 1")
        page.locator(".results button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Talk 1")
        expect(self.look_for(person, "albatross")).to_have_count(0)
        expect(page.get_by_text("Nothing was found.")).to_be_visible()
        page.get_by_role("searchbox").press("Escape")
        expect(listed(person)).to_have_count(2)

    def test_search_that_failed_leaves_no_results_of_other_words(self, person: Person) -> None:
        person.join()
        conversations(person, 2)
        page = person.page
        page.set_viewport_size({"width": 390, "height": 740})
        page.reload()
        page.get_by_role("button", name="Conversations and characters").click()
        expect(self.look_for(person, "Talk")).to_have_count(2)
        held: list[Route] = []
        page.route(SEARCH, lambda route: held.append(route) if len(held) < 2 else route.fallback())
        self.look_for(person, "Talk 1")
        wait_on(page, lambda: len(held) == 1, "the first search")
        self.look_for(person, "Talk 10")
        wait_on(page, lambda: len(held) == 2, "the second search")
        person.expected.append("500")
        earlier, later = held
        later.fulfill(status=500, json={})
        expect(page.locator(".results")).to_have_count(0)
        alert = page.get_by_role("alert")
        # Above what covers the conversation.
        alert.get_by_role("button", name="Dismiss").click()
        # Nobody waits any more for what the earlier search says.
        with page.expect_console_message(lambda message: message.type == "info"):
            earlier.fulfill(status=500, json={})
        drawn(page)
        expect(alert).to_have_count(0)

    def test_more_results_of_other_words_are_nobodys_concern(self, person: Person) -> None:
        person.join()
        conversations(person, 32)
        page = person.page
        page.reload()
        expect(self.look_for(person, "Talk")).to_have_count(30)
        held: list[Route] = []
        page.route(SEARCH, lambda route: held.append(route), times=1)
        page.get_by_role("button", name="Show more results").click()
        wait_on(page, lambda: held, "the next page")
        expect(self.look_for(person, "Talk 31")).to_have_count(1)
        person.expected.append("500")
        with page.expect_console_message(lambda message: message.type == "info"):
            held[0].fulfill(status=500, json={})
        drawn(page)
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator(".results li")).to_have_count(1)

    def test_result_leads_to_a_message_far_back_and_on_from_there(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.begin()
        messages(person, 900)
        row = {"conversation_id": person.conversation_id, "sender": "user", "content": "A heron."}
        operator(person.copy, "POST", "/rest/v1/messages", row)
        messages(person, 1_500)
        page = person.page
        page.reload()
        expect(person.said.last).to_have_text("Message 1500")
        person.ask_the_scripted_model()
        self.look_for(person, "heron").locator("button").click()
        found = page.locator("[data-found]")
        expect(found).to_contain_text("A heron.")
        expect(found).to_be_in_viewport()
        expect(found).to_be_focused()
        assert person.said.count() <= 400
        # Playwright needs a second to look up a role among so many messages.
        later = page.locator("button.later", has_text="Show later messages")
        before = person.said.count()
        top = found.bounding_box()
        later.click()
        expect(person.said).not_to_have_count(before)
        expect(page.get_by_text("Message 1500")).to_have_count(0)
        assert top is not None
        page.evaluate("dispatchEvent(new Event('focus'))")
        expect(found).to_have_count(1)
        page.locator("button.newest", has_text="Newest messages").click()
        expect(person.said.last).to_have_text("Message 1500")
        expect(person.said.last).to_be_in_viewport()
        expect(later).to_have_count(0)
        self.look_for(person, "heron").locator("button").click()
        expect(found).to_be_in_viewport()
        scripted.always(text("Good evening."))
        person.say("Hello")
        expect(person.said.last).to_have_text("Good evening.")
        expect(person.said.nth(-2)).to_have_text("Hello")
        expect(person.said.nth(-3)).to_have_text("Message 1500")

    def test_last_message_of_a_part_is_edited_with_its_own_reply(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.begin()
        messages(person, 600)
        page = person.page
        page.reload()
        expect(person.said.last).to_have_text("Message 600")
        person.ask_the_scripted_model()
        scripted.always(text("Anew."))
        [row] = person.copy.rows(
            f"messages?conversation_id=eq.{person.conversation_id}&content=eq.Message%202"
        )
        place: dict[str, Any] = {
            "conversation_id": person.conversation_id,
            "title": None,
            "character_name": MARA,
        }
        place |= {"message_id": row["id"], "position": row["position"], "said_at": None}
        place |= {"character_id": None, "sender": "user", "snippet": []}
        page.route(
            SEARCH,
            lambda route: route.fulfill(json={"results": [place], "next": None}),
        )
        self.look_for(person, "anything").locator("button").click()
        expect(page.locator("[data-found]")).to_contain_text("Message 2")
        last = page.locator(".talk > li").last
        expect(last).to_have_class("mine")
        said = last.locator("rp-prose").inner_text()
        assert said != "Message 599"
        last.hover()
        last.get_by_role("button", name="Edit").click()
        page.get_by_label("New text").fill("Edited")
        person.press("Save and regenerate")
        expect(person.said.filter(has_text="Anew.")).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        number = int(said.removeprefix("Message ")) + 1
        [answered] = [one for one in person.stored() if one["content"] == "Anew."]
        [replaced] = [one for one in person.stored() if one["content"] == f"Message {number}"]
        assert answered["position"] == replaced["position"]

    def test_message_that_is_gone_is_said(self, person: Person) -> None:
        person.begin()
        row = {"conversation_id": person.conversation_id, "sender": "user", "content": "A heron."}
        operator(person.copy, "POST", "/rest/v1/messages", row)
        person.page.reload()
        expect(person.said).to_have_count(2)
        expect(self.look_for(person, "heron")).to_have_count(1)
        path = (
            f"/rest/v1/messages?content=eq.A%20heron.&conversation_id=eq.{person.conversation_id}"
        )
        operator(person.copy, "DELETE", path, None)
        person.page.locator(".results button").click()
        expect(person.page.get_by_text("This message was changed or deleted.")).to_be_visible()


class TestDetails:
    def test_reply_says_what_it_took_and_why(self, person: Person, scripted: Upstream) -> None:
        person.begin()
        person.ask_the_scripted_model()
        scripted.always(text("The northern one."))
        person.say("Which coast is it?")
        person.answered(3)
        page = person.page
        turn = person.turns()[-1]
        items = page.locator(".talk > li")
        items.last.get_by_role("button", name="Details").click()
        dialog = page.get_by_role("dialog", name="Details of the message")
        expect(dialog.locator("div", has_text="Model").last).to_contain_text("Script")
        expect(dialog).to_contain_text(f"{turn['prompt_tokens']:,}")
        for name in ("Written", "Duration", "Tokens read", "Tokens written"):
            expect(dialog.get_by_text(name, exact=True)).to_be_visible()
        assert serious(page) == []
        dialog.get_by_role("button", name="Why this reply?").click()
        expect(page.get_by_role("dialog", name="Why this reply?")).to_be_visible()
        page.keyboard.press("Escape")
        items.first.hover()
        items.first.get_by_role("button", name="Details").click()
        expect(dialog).to_contain_text("the greeting of the character's author")
        page.keyboard.press("Escape")
        items.nth(1).hover()
        items.nth(1).get_by_role("button", name="Details").click()
        expect(dialog.locator("dt", has_text="Model")).to_have_count(0)


class TestPersonas:
    def test_one_is_created_played_edited_and_deleted(self, person: Person) -> None:
        person.begin()
        page = person.page
        person.press("Your personas", exact=False)
        dialog = page.get_by_role("dialog")
        person.press("Create a persona")
        expect(dialog.get_by_label("Name")).to_be_focused()
        assert serious(page) == []
        dialog.get_by_label("Name").fill("Ada of the Fens")
        dialog.get_by_label("Description").fill("She counts <b>herons</b>.")
        dialog.get_by_label("Age").fill("34")
        dialog.get_by_role("button", name="Save").click()
        row = dialog.locator(".rows li", has_text="Ada of the Fens")
        expect(row).to_contain_text("She counts <b>herons</b>.")
        expect(row.get_by_role("button", name="Play", exact=False)).to_have_attribute(
            "aria-pressed", "true"
        )
        assert serious(page) == []
        [made] = person.copy.rows(f"characters?user_id=eq.{own_id(person)}")
        [here] = person.copy.rows(f"conversations?id=eq.{person.conversation_id}")
        assert (made["age"], here["user_character_id"]) == (34, made["id"])
        row.get_by_role("button", name="Edit").click()
        dialog.get_by_label("Name").fill("Ada")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.locator(".rows li")).to_contain_text("Ada")
        person.press("Play yourself here")
        expect(dialog.get_by_role("button", name="Play yourself here")).to_have_attribute(
            "aria-pressed", "true"
        )
        person.press("Play here: Ada")
        person.press("Delete Ada")
        person.press("Delete for good")
        expect(page.get_by_text("The persona was deleted.")).to_have_count(1)
        expect(dialog.locator(".rows li")).to_have_count(0)
        [here] = person.copy.rows(f"conversations?id=eq.{person.conversation_id}")
        assert here["user_character_id"] is None

    def test_all_of_many_are_reached(self, person: Person) -> None:
        person.join()
        owner = own_id(person)
        rows = [{"user_id": owner, "name": f"Zoe {number:03}"} for number in range(120)]
        operator(person.copy, "POST", "/rest/v1/characters", rows)
        person.press("Your personas", exact=False)
        shown = person.page.locator("dialog .rows li")
        for count in (50, 100, 120):
            expect(shown).to_have_count(count)
            if count < 120:
                person.press("Show more personas")


class TestGreetings:
    def test_they_are_shown_as_they_are_and_the_shown_one_begins(self, person: Person) -> None:
        person.begin()
        greetings = ["", "**Second** {{user}}", "Third"]
        person.character("Ina", first_message="First of {{char}}", alternate_greetings=greetings)
        page = person.page
        page.reload()
        page.locator(".lists li span").filter(has_text=re.compile("^Ina")).click()
        shown = page.get_by_role("article", name="How Ina begins")
        expect(shown).to_have_text("First of Ina")
        expect(page.get_by_text("1 of 3")).to_be_visible()
        assert serious(page) == []
        person.press("Next greeting")
        expect(shown).to_have_text("Second Ada")
        expect(shown.locator("strong")).to_have_text("Second")
        person.press("Let Ina begin")
        person.answered(1)
        expect(person.said).to_have_text("Second Ada")
        assert person.turns()[0]["model_used"] == "card:greeting"


class TestDrafts:
    def test_they_go_with_whoever_signs_out(self, person: Person) -> None:
        person.begin()
        page = person.page
        page.get_by_label("Message to").fill("My secret draft")
        assert "secret" in str(page.evaluate("Object.values(localStorage)"))
        person.press("Sign out")
        expect(page.get_by_label("Password")).to_be_visible()
        assert "secret" not in str(page.evaluate("Object.values(localStorage)"))
        person.sign_in()
        expect(page.get_by_label("Message to")).to_have_value("")

    def test_they_stay_when_a_session_ends_by_itself_and_nobody_else_sees_them(
        self, person: Person
    ) -> None:
        person.begin()
        page, here = person.page, person.conversation_id
        page.get_by_label("Message to").fill("My draft")
        page.evaluate(
            "Object.keys(localStorage).filter((name) => /auth/.test(name))"
            ".forEach((name) => localStorage.removeItem(name))"
        )
        page.reload()
        person.enter(person.email)
        expect(page.get_by_label("Message to")).to_have_value("My draft")
        stored = page.evaluate("Object.keys(localStorage).filter((k) => k.startsWith('draft:'))")
        assert stored == [f"draft:{own_id(person)}:{here}"]


class TestLayout:
    """Nothing scrolls sideways, and axe finds nothing serious, whatever is open."""

    LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk" * 3

    def furnish(self, person: Person) -> None:
        conversations(person, 3)
        title = {"title": self.LONG}
        path = f"/rest/v1/conversations?title=eq.Talk%201&user_id=eq.{own_id(person)}"
        operator(person.copy, "PATCH", path, title)
        row = {"conversation_id": person.conversation_id, "sender": "user"}
        operator(person.copy, "POST", "/rest/v1/messages", row | {"content": self.LONG * 5})
        more = {"description": self.LONG, "alternate_greetings": [self.LONG, "Yes"]}
        person.character(self.LONG[:120], first_message=self.LONG * 3, **more)
        person.page.reload()
        expect(listed(person)).to_have_count(4)

    def check(self, page: Page) -> None:
        page.evaluate(TWO_FRAMES)
        wide = page.evaluate("""() => [document.documentElement, document.body,
            ...document.querySelectorAll("dialog, [popover], .lists, .column")]
          .filter((each) => each.scrollWidth > each.clientWidth + 1
            || each.getBoundingClientRect().right > innerWidth + 1)
          .filter((each) => each.checkVisibility({ visibilityProperty: true }))
          .map((each) => each.outerHTML.slice(0, 100))""")
        assert wide == []
        assert page.evaluate(BROKEN_WORDS) == []
        if page.evaluate("innerWidth") in NARROWEST_AND_WIDEST:
            assert serious(page) == []

    @pytest.mark.parametrize("width", WIDTHS)
    def test_nothing_is_too_wide(self, person: Person, width: int) -> None:
        person.begin()
        page = person.page
        self.furnish(person)
        page.set_viewport_size({"width": width, "height": 740})
        opener = page.get_by_role("button", name="Conversations and characters")

        def list_is_open() -> None:
            if opener.is_visible() and not page.get_by_role("searchbox").is_visible():
                opener.click()

        list_is_open()
        self.check(page)
        opened = menu(person, "Talk 2")
        self.check(page)
        opened.get_by_role("menuitem", name="Rename").click()
        self.check(page)
        page.keyboard.press("Escape")
        for name in ("Deleted conversations", "Your personas"):
            list_is_open()
            person.press(name, exact=False)
            expect(page.get_by_role("dialog")).to_be_visible()
            self.check(page)
            if name == "Your personas":
                page.get_by_role("dialog").get_by_role("button", name="Edit").first.click()
                expect(page.get_by_role("dialog").get_by_label("Name")).to_be_visible()
                self.check(page)
            page.keyboard.press("Escape")
        list_is_open()
        page.get_by_role("searchbox").fill("Talk")
        expect(page.locator(".results li").first).to_be_visible()
        self.check(page)
        page.get_by_role("searchbox").press("Escape")
        list_is_open()
        choose(person, "Talk 2", "Delete")
        expect(page.get_by_role("button", name="Undo", exact=True)).to_be_focused()
        self.check(page)
        person.press("Dismiss")
        list_is_open()
        page.locator(".lists").get_by_text(self.LONG[:120]).last.click()
        expect(page.get_by_role("button", name="Next greeting")).to_be_visible()
        self.check(page)
        person.use("Settings")
        page.get_by_text("Sampler settings").click()
        self.check(page)
