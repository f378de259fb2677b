"""Nothing that somebody does on the page is lost, and everything stays in reach."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.support.answers import held, stream, text
from tests.support.axe import SCHEMES, serious
from tests.support.conversation_lists import begin, conversations, listed, messages, own_id, people
from tests.support.person import GREETING, MARA, PASSWORD, Person, operator
from tests.support.upstream import Upstream
from tests.support.waiting import Gate, wait_until
from tests.support.widths import TWO_FRAMES, WIDTHS

ARABIC = "مرحبا، أنا حارسة المنارة."
CHINESE = "他说**“你好。”**然后走进了灯塔里，海风很大，浪花拍打着礁石。" * 4


def box(person: Person) -> Any:
    return person.page.get_by_label("Message to")


def begin_story(person: Person, scripted: Upstream) -> Gate:
    """Asks for a reply, of which the page shows the first half until the gate opens."""
    gate = Gate()
    scripted.enqueue(stream(["Once there was ", gate, "a ship."]))
    person.say("Tell me.")
    expect(person.said.last).to_have_text("Once there was")
    return gate


class TestDocument:
    """It is as large as the window, and only its parts scroll."""

    def overflow(self, page: Page) -> list[int]:
        page.evaluate(TWO_FRAMES)
        return list(
            page.evaluate("""() => {
              const { scrollWidth, scrollHeight } = document.documentElement;
              return [scrollWidth - innerWidth, scrollHeight - innerHeight,
                      document.body.scrollWidth - innerWidth, scrollX, scrollY];
            }""")
        )

    def test_document_never_scrolls(self, admin: Person) -> None:
        page = admin.page
        conversations(admin, 30)
        messages(admin, 596)
        operator(
            admin.copy,
            "POST",
            "/rest/v1/messages",
            [
                {"conversation_id": admin.conversation_id, "sender": sender, "content": content}
                for sender, content in (
                    ("user", ARABIC * 10),
                    ("character", CHINESE),
                    ("user", "漢" * 600),
                    ("character", f"```\n{'x ' * 400}\n```"),
                )
            ],
        )
        page.reload()
        expect(admin.said.last).to_be_visible()
        expect(listed(admin)).to_have_count(31)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 740})
            self.check_parts(admin, is_phone=width < 800)
        admin.open("/console.html")
        expect(page.locator("#activity rp-chart canvas")).to_have_count(4)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 740})
            page.evaluate(TWO_FRAMES)
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wide) == 0, width

    def check_parts(self, admin: Person, *, is_phone: bool) -> None:
        """Opens what there is, at the width that the window has."""
        page = admin.page
        assert self.overflow(page)[:3] == [0, 0, 0]
        for name in ("Characters", "Memory", "Settings"):
            admin.use(name)
            expect(page.get_by_role("dialog")).to_be_visible()
            assert self.overflow(page)[:3] == [0, 0, 0]
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
        opener = page.get_by_role("button", name="Conversations and characters")
        if is_phone:
            opener.press("Enter")
            expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.locator(".drop input").focus()
        assert self.overflow(page) == [0, 0, 0, 0, 0]
        if is_phone:
            page.keyboard.press("Escape")
            expect(page.get_by_role("button", name="Sign out")).to_be_hidden()

    def test_tab_goes_through_the_list_to_the_message_box(self, person: Person) -> None:
        person.begin()
        conversations(person, 30)
        page = person.page
        page.reload()
        expect(listed(person)).to_have_count(31)
        page.locator(".brand").focus()
        focus = """() => {
          const { tagName, type, id, className, textContent } = document.activeElement;
          return [tagName, type ?? "", id, className].join(" ") + "|" + textContent.trim();
        }"""
        seen = []
        for _ in range(140):
            page.keyboard.press("Tab")
            seen.append(str(page.evaluate(focus)))
            assert self.overflow(page)[3:] == [0, 0]
            if " message " in seen[-1]:
                break
        kinds = [
            next((i for i, one in enumerate(seen) if part in one), -1)
            for part in ("Talk 0", "Talk 29", "INPUT file", "Sign out", "SELECT", "TEXTAREA")
        ]
        assert -1 not in kinds
        assert kinds == sorted(kinds)


class TestDraft:
    def test_each_conversation_keeps_its_own(self, person: Person) -> None:
        person.join()
        first, _ = conversations(person, 2)
        person.open(f"/#{first}")
        person.page.reload()
        box(person).fill("For the first")
        listed(person).filter(has_text="Talk 1").click()
        expect(box(person)).to_have_value("")
        box(person).fill("For the second")
        listed(person).filter(has_text="Talk 0").click()
        expect(box(person)).to_have_value("For the first")
        person.page.reload()
        expect(box(person)).to_have_value("For the first")
        listed(person).filter(has_text="Talk 1").click()
        expect(box(person)).to_have_value("For the second")

    def test_sent_message_leaves_no_draft(self, person: Person, scripted: Upstream) -> None:
        begin(person, scripted)
        scripted.always(text("Aye."))
        person.say("Hello")
        person.answered(3)
        person.page.reload()
        expect(person.said).to_have_count(3)
        expect(box(person)).to_have_value("")

    def test_change_of_a_message_is_kept_until_it_is_saved(
        self, person: Person, scripted: Upstream
    ) -> None:
        begin(person, scripted)
        conversations(person, 1)
        page = person.page
        page.reload()
        editor = page.get_by_label("New text")
        page.get_by_role("button", name="Edit", exact=True).last.click()
        editor.fill("She opens the door.")
        listed(person).filter(has_text="Talk 0").click()
        expect(editor).to_have_count(0)
        listed(person).first.click()
        expect(editor).to_have_value("She opens the door.")
        page.reload()
        expect(editor).to_have_value("She opens the door.")
        gate = Gate()
        scripted.enqueue(held(gate, text("Aye.")))
        person.say("Hello")
        expect(editor).to_have_count(0)
        gate.open()
        expect(person.said.last).to_have_text("Aye.")
        expect(editor).to_have_value("She opens the door.")
        person.press("Save")
        expect(editor).to_have_count(0)
        expect(person.said.first).to_have_text("She opens the door.")
        page.reload()
        expect(person.said.first).to_have_text("She opens the door.")
        expect(editor).to_have_count(0)

    def test_change_of_a_message_is_forgotten_when_it_is_cancelled(self, person: Person) -> None:
        person.begin()
        page = person.page
        editor = page.get_by_label("New text")
        edit = page.get_by_role("button", name="Edit", exact=True).last
        for cancel in (partial(person.press, "Cancel"), partial(editor.press, "Escape")):
            edit.click()
            editor.fill("Something else")
            cancel()
            expect(editor).to_have_count(0)
            edit.click()
            expect(editor).to_have_value(re.compile(GREETING))
            editor.press("Escape")

    def test_what_a_model_drafts_can_be_undone(self, person: Person, scripted: Upstream) -> None:
        begin(person, scripted)
        scripted.enqueue(text("A model's words."), text("Other words."))
        box(person).fill("My own words")
        person.press("Draft")
        expect(box(person)).to_have_value("A model's words.")
        person.press("Undo the draft")
        expect(box(person)).to_have_value("My own words")
        person.press("Draft")
        expect(box(person)).to_have_value("Other words.")
        box(person).fill("Other words, changed")
        person.page.reload()
        person.press("Undo the draft")
        expect(box(person)).to_have_value("My own words")
        expect(person.page.get_by_role("button", name="Undo the draft")).to_have_count(0)

    def test_draft_that_is_sent_cannot_be_undone(self, person: Person, scripted: Upstream) -> None:
        begin(person, scripted)
        scripted.enqueue(text("A model's words."), text("Aye."))
        person.press("Draft")
        expect(box(person)).to_have_value("A model's words.")
        person.press("Send")
        expect(person.said.last).to_have_text("Aye.")
        expect(person.page.get_by_role("button", name="Undo the draft")).to_have_count(0)

    def test_draft_is_the_same_in_two_tabs(self, person: Person) -> None:
        person.begin()
        tab = person.page.context.new_page()
        tab.goto(person.page.url)
        other = tab.get_by_label("Message to")
        expect(other).to_be_visible()
        box(person).fill("A long letter")
        expect(other).to_have_value("A long letter")
        other.press("End")
        other.press_sequentially("!")
        expect(box(person)).to_have_value("A long letter!")
        person.page.reload()
        expect(box(person)).to_have_value("A long letter!")

    def test_change_of_another_message_keeps_the_first(self, person: Person) -> None:
        person.begin()
        person.insert_messages(("user", "Who is there?"), ("character", "The sea."))
        editor = person.page.get_by_label("New text")
        person.page.get_by_role("button", name="Edit", exact=True).last.click()
        editor.fill("The sea, and a gull.")
        box(person).press("ArrowUp")
        expect(editor).to_have_value("Who is there?")
        editor.fill("Who calls?")
        person.press("Cancel")
        expect(editor).to_have_value("The sea, and a gull.")
        person.press("Cancel")
        expect(editor).to_have_count(0)

    def test_what_was_rewritten_is_not_sent_when_the_connection_is_back(
        self, person: Person, scripted: Upstream
    ) -> None:
        begin(person, scripted)
        page = person.page
        person.expected.append("ERR_")
        page.route("**/roleplay_chat", lambda route: route.abort())
        person.say("The first thought")
        expect(page.get_by_role("alert").first).to_be_visible()
        expect(box(person)).to_have_value("The first thought")
        box(person).fill("A better thought")
        page.unroute("**/roleplay_chat")
        scripted.enqueue(text("Aye."))
        for is_offline in (True, False):
            page.context.set_offline(is_offline)
            expect(page.get_by_text("You are offline.")).to_have_count(int(is_offline))
        expect(box(person)).to_have_value("A better thought")
        person.press("Send")
        expect(person.said.last).to_have_text("Aye.")
        assert "The first thought" not in str(person.said.all_inner_texts())

    def test_draft_of_another_conversation_stays_there(
        self, person: Person, scripted: Upstream
    ) -> None:
        begin(person, scripted)
        conversations(person, 1)
        person.page.reload()
        gate = Gate()
        scripted.enqueue(held(gate, text("A model's words.")))
        listed(person).first.click()
        box(person).fill("Mine")
        person.press("Draft")
        gate.wait_reached()
        listed(person).filter(has_text="Talk 0").click()
        box(person).fill("Elsewhere")
        gate.open()
        wait_until(lambda: drafted(person), "the draft to be there")
        expect(box(person)).to_have_value("Elsewhere")
        listed(person).filter(has_not_text="Talk 0").click()
        expect(box(person)).to_have_value("A model's words.")
        person.press("Undo the draft")
        expect(box(person)).to_have_value("Mine")

    def test_forms_of_the_memory_stay_until_they_are_saved(self, person: Person) -> None:
        person.begin()
        page = person.page
        dialog = page.get_by_role("dialog")
        place = dialog.locator("#changing").get_by_role("combobox")
        person.press("Memory")
        dialog.get_by_label("A fact to remember").fill("Likes tea")
        dialog.get_by_role("button", name="Add", exact=True).click()
        dialog.get_by_role("button", name="Write a summary").click()
        dialog.get_by_label("What happened so far").fill("Much happened.")
        dialog.get_by_role("button", name="Change: Likes tea").click()
        dialog.get_by_label("The fact").fill("Likes black tea")
        place.select_option("all my conversations")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        page.reload()
        person.press("Memory")
        dialog.get_by_role("button", name="Change: Likes tea").click()
        person.hears("This is what you did not save last time.")
        expect(dialog.get_by_label("The fact")).to_have_value("Likes black tea")
        expect(place).to_have_value("profile")
        dialog.get_by_role("button", name="Discard it").click()
        expect(dialog.get_by_label("The fact")).to_have_value("Likes tea")
        expect(place).to_have_value("conversation")
        dialog.get_by_role("button", name="Cancel").click()
        dialog.get_by_role("button", name="Write a summary").click()
        expect(dialog.get_by_label("What happened so far")).to_have_value("Much happened.")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("Much happened.")).to_be_visible()
        dialog.get_by_role("button", name="Change this summary").click()
        expect(dialog.get_by_role("button", name="Discard it")).to_have_count(0)

    def test_fact_that_is_added_late_does_not_take_the_focus_from_a_field(
        self, person: Person
    ) -> None:
        person.begin()
        page = person.page
        held: list[Route] = []

        def hold_additions(route: Route) -> None:
            if route.request.method == "POST":
                held.append(route)
            else:
                route.fallback()

        dialog = page.get_by_role("dialog")
        person.press("Memory")
        dialog.get_by_label("A fact to remember").fill("Likes tea")
        page.route("**/memory_facts*", hold_additions)
        with page.expect_request("**/memory_facts*"):
            dialog.get_by_role("button", name="Add", exact=True).click()
        dialog.get_by_role("button", name="Write a summary").click()
        summary = dialog.get_by_label("What happened so far")
        summary.fill("Much ")
        held[0].continue_()
        expect(dialog.get_by_text("Likes tea")).to_be_visible()
        expect(dialog.get_by_label("A fact to remember")).to_have_value("")
        expect(summary).to_be_focused()
        page.keyboard.type("happened.")
        expect(summary).to_have_value("Much happened.")

    def test_draft_of_a_summary_leaves_what_a_model_wrote_since(self, person: Person) -> None:
        """The messages that it retold are summarised again, after the person's words."""
        person.begin()
        page, dialog = person.page, person.page.get_by_role("dialog")
        whose = f"conversation_id=eq.{person.conversation_id}"
        person.press("Memory")
        dialog.get_by_role("button", name="Write a summary").click()
        dialog.get_by_label("What happened so far").fill("Much happened.")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        row = {"conversation_id": person.conversation_id, "content": "More.", "covers_position": 1}
        operator(person.copy, "POST", "/rest/v1/conversation_summaries", row)
        page.reload()
        person.press("Memory")
        expect(dialog.get_by_text("More.")).to_be_visible()
        dialog.get_by_role("button", name="Change this summary").click()
        person.hears("This is what you did not save last time.")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("Much happened.")).to_be_visible()
        columns = "person_content,content,covers_position,person_covers"
        [saved] = person.copy.rows(f"conversation_summaries?select={columns}&{whose}")
        assert saved == {
            **{"person_content": "Much happened.", "content": ""},
            **{"covers_position": 0, "person_covers": 0},
        }

    def test_what_another_tab_saved_is_not_replaced_unseen(self, person: Person) -> None:
        person.begin()
        page, dialog = person.page, person.page.get_by_role("dialog")
        person.press("Memory")
        dialog.get_by_label("A fact to remember").fill("Likes tea")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog.get_by_role("button", name="Change: Likes tea")).to_be_visible()
        tab = page.context.new_page()
        tab.goto(page.url)
        there = tab.get_by_role("dialog")
        tab.get_by_role("button", name="Memory", exact=True).click()
        forms = (
            ("Change: Likes tea", "The fact", "Likes black tea", "Likes green tea"),
            ("Write a summary", "What happened so far", "It rained.", "It snowed."),
        )
        for button, field, elsewhere, here in forms:
            dialog.get_by_role("button", name=button).click()
            dialog.get_by_label(field, exact=True).fill(here)
            there.get_by_role("button", name=button).click()
            there.get_by_label(field, exact=True).fill(elsewhere)
            there.get_by_role("button", name="Save").click()
            expect(there.locator("#changing")).to_have_count(0)

            save = dialog.locator("#changing").get_by_role("button", name="Save")
            save.click()
            expect(dialog.get_by_text("This was changed elsewhere.")).to_be_visible()
            expect(dialog.locator("#changing").get_by_text(elsewhere)).to_be_visible()
            expect(dialog.get_by_label(field, exact=True)).to_have_value(here)
            save.click()
            expect(dialog.locator("#changing")).to_have_count(0)
            expect(dialog.get_by_text(here)).to_be_visible()

    def test_what_another_tab_saved_is_not_deleted_unseen(self, person: Person) -> None:
        person.begin()
        dialog = person.page.get_by_role("dialog")
        row = {"conversation_id": person.conversation_id, "person_content": "It rained."}
        operator(person.copy, "POST", "/rest/v1/conversation_summaries", row)
        person.press("Memory")
        dialog.get_by_label("A fact to remember").fill("Likes tea")
        dialog.get_by_role("button", name="Add", exact=True).click()
        delete = dialog.get_by_role("button", name="Forget: Likes tea")
        expect(delete).to_be_visible()
        mine = f"conversation_id=eq.{person.conversation_id}"
        its = f"memory_facts?select=id,memories!inner()&memories.{mine}"
        [fact] = person.copy.rows(its)
        texts = (
            (f"memory_facts?id=eq.{fact['id']}", "Forget: Likes tea", "content", "Likes TEA"),
            (
                f"conversation_summaries?{mine}",
                *("Delete this summary", "person_content", "It RAINED."),
            ),
        )
        for path, button, column, newer in texts:
            delete = dialog.get_by_role("button", name=button)
            operator(person.copy, "PATCH", f"/rest/v1/{path}", {column: newer})
            delete.click()
            expect(dialog.get_by_text("so it was not deleted.")).to_be_visible()
            shown = dialog.get_by_text(re.compile(newer))  # A string would match in any case.
            expect(shown).to_be_visible()
            delete.click()
            expect(shown).to_have_count(0)
        assert not person.copy.rows(its)

    def test_summary_is_saved_as_it_is_shown(self, person: Person) -> None:
        person.begin()
        dialog = person.page.get_by_role("dialog")
        row = {"conversation_id": person.conversation_id, "covers_position": 1}
        row |= {"person_content": "x " * 1_999 + "xx", "content": "y " * 1_200}
        operator(person.copy, "POST", "/rest/v1/conversation_summaries", row)
        person.press("Memory")
        change = dialog.get_by_role("button", name="Change this summary")
        stored = f"conversation_summaries?conversation_id=eq.{person.conversation_id}"
        for more, kept in (("", row["content"]), (" The end.", "")):
            change.click()
            field = dialog.get_by_label("What happened so far")
            field.press("ControlOrMeta+End")
            field.press_sequentially(more)
            dialog.get_by_role("button", name="Save").click()
            expect(change).to_be_visible()
            [saved] = person.copy.rows(f"{stored}&select=person_content,content")
            assert saved["content"] == kept
        assert saved["person_content"] == f"{row['person_content']}\n{row['content']} The end."

    def test_fact_that_is_gone_is_not_changed(self, person: Person) -> None:
        person.begin()
        page, dialog = person.page, person.page.get_by_role("dialog")
        person.press("Memory")
        dialog.get_by_label("A fact to remember").fill("Likes tea")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog.get_by_label("Importance: Likes tea")).to_have_value("")
        dialog.get_by_role("button", name="Change: Likes tea").click()
        dialog.locator("#changing").get_by_role("button", name="Save").click()
        expect(dialog.locator("#changing")).to_have_count(0)
        expect(page.get_by_role("status").filter(has_text="The fact was changed.")).to_have_count(0)
        dialog.get_by_role("button", name="Change: Likes tea").click()
        dialog.get_by_label("The fact").fill("Likes black tea")
        operator(person.copy, "DELETE", "/rest/v1/memory_facts?content=eq.Likes%20tea", None)
        dialog.locator("#changing").get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("This fact is gone. Copy what you need")).to_be_visible()
        expect(dialog.get_by_label("The fact")).to_have_value("Likes black tea")
        dialog.get_by_role("button", name="Cancel").click()
        dialog.get_by_role("button", name="Pin", exact=True).click()
        expect(dialog.get_by_text("This fact is gone.")).to_be_visible()
        expect(dialog.get_by_text("There are no facts.")).to_be_visible()

    def test_change_that_an_older_page_kept_is_saved(self, person: Person) -> None:
        """It did not keep which version somebody saw."""
        person.begin()
        page, dialog = person.page, person.page.get_by_role("dialog")
        person.press("Memory")
        dialog.get_by_label("A fact to remember").fill("Likes tea")
        dialog.get_by_role("button", name="Add", exact=True).click()
        dialog.get_by_role("button", name="Change: Likes tea").click()
        dialog.get_by_label("The fact", exact=True).fill("Likes rum")
        page.evaluate(
            """() => {
              const key = Object.keys(localStorage).find((name) => name.startsWith("form:"));
              const kept = JSON.parse(localStorage.getItem(key));
              localStorage.setItem(key, JSON.stringify({ ...kept, since: null }));
            }"""
        )
        page.reload()
        person.press("Memory")
        dialog.get_by_role("button", name="Change: Likes tea").click()
        expect(dialog.get_by_label("The fact", exact=True)).to_have_value("Likes rum")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("button", name="Change: Likes rum")).to_be_visible()

    def test_fact_that_holds_only_elsewhere_is_marked(self, person: Person) -> None:
        person.begin()
        dialog = person.page.get_by_role("dialog")
        person.press("Memory")
        for fact, place in (("Lives in Paris", "profile"), ("Lives in Oslo", "conversation")):
            dialog.get_by_label("A fact to remember").fill(fact)
            dialog.locator("form.add").get_by_role("combobox").select_option(place)
            dialog.get_by_role("button", name="Add", exact=True).click()
            expect(dialog.get_by_role("button", name=f"Change: {fact}")).to_be_visible()
        [paris] = person.copy.rows("memory_facts?select=id&content=eq.Lives%20in%20Paris")
        changes = {"Paris": {"written_by": "model"}, "Oslo": {"hides": [paris["id"]]}}
        for place, change in changes.items():
            path = f"/rest/v1/memory_facts?content=eq.Lives%20in%20{place}"
            operator(person.copy, "PATCH", path, change)
        person.page.reload()
        person.press("Memory")
        old = dialog.get_by_role("listitem").filter(has_text="all my conversations")
        expect(old).to_contain_text("not here: replaced by “Lives in Oslo”")

    def test_fact_of_more_than_the_settings_say_is_marked(self, person: Person) -> None:
        person.begin()
        page, dialog = person.page, person.page.get_by_role("dialog")
        fact = dialog.get_by_role("listitem").filter(has_text="Likes tea")
        person.press("Memory")
        dialog.get_by_label("A fact to remember").fill("Likes tea")
        dialog.locator("form.add").get_by_role("combobox").select_option("profile")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(fact).to_contain_text("not used: in the settings you chose “this conversation”")
        page.keyboard.press("Escape")
        person.press("Settings")
        dialog.get_by_label("Facts are noted and used for").select_option("profile")
        page.keyboard.press("Escape")
        person.press("Memory")
        expect(fact).to_be_visible()
        expect(fact).not_to_contain_text("not used")

    def test_fact_is_shown_however_many_it_replaced(self, person: Person) -> None:
        person.begin()
        memory, fact = str(uuid4()), str(uuid4())
        row = {"id": memory, "user_id": person.user_id, "tier": "profile"}
        operator(person.copy, "POST", "/rest/v1/memories", row)
        now = {"id": fact, "memory_id": memory, "content": "Likes tea", "importance": 1}
        operator(person.copy, "POST", "/rest/v1/memory_facts", now)
        before = [
            {"memory_id": memory, "content": f"Likes {number}", "importance": 5}
            | {"replaced_by": fact}
            for number in range(1_000)
        ]
        operator(person.copy, "POST", "/rest/v1/memory_facts", before)
        person.press("Memory")
        dialog = person.page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Change: Likes tea")).to_be_visible()


def drafted(person: Person) -> bool:
    return "A model's words." in person.page.evaluate("Object.values(localStorage)")


class TestLeaving:
    def test_reply_is_written_while_another_conversation_is_open(
        self, person: Person, scripted: Upstream
    ) -> None:
        begin(person, scripted)
        conversations(person, 1)
        person.page.reload()
        listed(person).first.click()
        gate = begin_story(person, scripted)
        listed(person).filter(has_text="Talk 0").click()
        expect(person.page.locator("[aria-busy=true]")).to_have_count(0)
        listed(person).filter(has_not_text="Talk 0").click()
        expect(person.said.last).to_have_text("Once there was")
        listed(person).filter(has_text="Talk 0").click()
        gate.open()
        listed(person).filter(has_not_text="Talk 0").click()
        person.answered(3)
        expect(person.said.last).to_have_text("Once there was a ship.")
        assert person.turns()[-1]["status"] == "complete"

    def test_reply_is_written_while_the_page_is_reloaded(
        self, person: Person, scripted: Upstream
    ) -> None:
        begin(person, scripted)
        gate = begin_story(person, scripted)
        person.page.reload()
        expect(person.page.get_by_text("Waiting for the reply")).to_be_visible()
        gate.open()
        person.answered(3)
        expect(person.said.last).to_have_text("Once there was a ship.")
        assert person.turns()[-1]["status"] == "complete"

    def test_reply_that_began_before_a_reload_is_stopped(
        self, person: Person, scripted: Upstream
    ) -> None:
        begin(person, scripted)
        gate = begin_story(person, scripted)
        person.page.reload()
        expect(person.page.get_by_text("Waiting for the reply")).to_be_visible()
        person.press("Stop")
        person.answered(3)
        gate.open()
        expect(person.said.last).to_have_text("Once there was")
        assert person.turns()[-1]["status"] == "stopped"

    def test_reply_goes_on_where_stopping_it_failed(
        self, person: Person, scripted: Upstream
    ) -> None:
        begin(person, scripted)
        page = person.page
        person.expected.append("500")
        page.route(
            "**/roleplay_chat",
            lambda route: (
                route.fulfill(status=500, json={"error": "No.", "code": "internal"})
                if '"stop"' in (route.request.post_data or "")
                else route.fallback()
            ),
        )
        gate = begin_story(person, scripted)
        person.press("Stop")
        expect(page.get_by_role("alert").first).to_be_visible()
        expect(page.get_by_text("Stopping")).to_have_count(0)
        gate.open()
        person.answered(3)

    def test_stopped_reply_is_not_called_cut_off(self, person: Person, scripted: Upstream) -> None:
        begin(person, scripted)
        gate = begin_story(person, scripted)
        person.press("Stop")
        person.answered(3)
        gate.open()
        for _ in range(2):
            expect(person.page.get_by_text("cut off")).to_have_count(0)
            expect(person.page.get_by_role("alert")).to_have_count(0)
            person.page.reload()
            expect(person.said).to_have_count(3)

    def test_reply_is_stopped_before_its_first_word(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.expected = ["409"]
        begin(person, scripted)
        gate = Gate()
        scripted.enqueue(held(gate, text("Too late.")))
        person.say("Tell me.")
        gate.wait_reached()
        person.press("Stop")
        person.answered(2)
        gate.open()
        expect(person.page.get_by_role("alert")).to_have_count(0)
        expect(person.said.last).to_have_text("Tell me.")
        assert [row["content"] for row in person.stored()][1:] == ["Tell me."]


class TestThreeStates:
    def test_conversation_that_loads_does_not_look_new(self, person: Person) -> None:
        person.begin()
        waiting: list[Route] = []
        person.page.route("**/rest/v1/messages*", lambda route: waiting.append(route))
        person.page.reload()
        expect(person.page.get_by_text("Loading the messages")).to_be_visible()
        expect(person.page.get_by_role("button", name=f"Let {MARA} begin")).to_have_count(0)
        for route in waiting:
            route.continue_()
        expect(person.said.last).to_contain_text(GREETING)
        expect(person.page.get_by_text("Loading the messages")).to_have_count(0)

    @pytest.mark.parametrize(
        ("width", "button"),
        [(1280, "Your characters"), (1280, "Appearance"), (390, "Conversations and characters")],
    )
    def test_what_is_opened_before_the_conversation_stays_open(
        self, person: Person, width: int, button: str
    ) -> None:
        person.begin()
        page = person.page
        page.set_viewport_size({"width": width, "height": 740})
        waiting: list[Route] = []
        path = re.compile(r"/rest/v1/conversations\?.*id=eq")
        page.route(path, lambda route: waiting.append(route))
        with page.expect_request(path):
            page.reload()
        person.press(button, exact=False)
        opened = page.get_by_role("dialog") if width > 800 else page.get_by_role("searchbox")
        expect(opened).to_be_visible()
        for route in waiting:
            route.continue_()
        expect(page.locator(".talk rp-prose", has_text=GREETING)).to_have_count(1)
        expect(opened).to_be_visible()

    @pytest.mark.parametrize("table", ["messages", "hidden_messages"])
    def test_conversation_that_failed_to_load_is_tried_again(
        self, person: Person, table: str
    ) -> None:
        person.expected = ["500"]
        person.begin()
        path = f"**/rest/v1/{table}*"
        person.page.route(path, lambda route: route.fulfill(status=500, json={"message": "no"}))
        person.page.reload()
        failed = person.page.get_by_role("group", name="Messages that could not be loaded")
        expect(failed).to_be_visible()
        expect(person.page.get_by_role("button", name=f"Let {MARA} begin")).to_have_count(0)
        box(person).fill("Hello")
        expect(person.page.get_by_role("button", name="Send")).to_be_disabled()
        person.page.unroute(path)
        failed.get_by_role("button", name="Try again").click()
        expect(person.said.last).to_contain_text(GREETING)
        expect(failed).to_have_count(0)
        expect(box(person)).to_have_value("Hello")

    def test_empty_conversation_can_be_begun(self, person: Person) -> None:
        person.join()
        conversations(person, 1)
        person.page.reload()
        expect(person.page.get_by_role("button", name=f"Let {MARA} begin")).to_be_visible()


class TestReach:
    def test_every_message_is_reached_and_the_place_is_kept(self, person: Person) -> None:
        person.join()
        [talk] = conversations(person, 1)
        messages(person, 1_250, talk)
        page = person.page
        page.reload()
        expect(person.said.last).to_have_text("Message 1250")
        # Playwright needs seconds to look up a role among so many messages.
        earlier = page.locator("button.link", has_text="Show earlier messages")
        while earlier.count():
            first = person.said.first.inner_text()
            page.locator(".column").evaluate("(column) => { column.scrollTop = 0 }")
            place = page.get_by_text(first, exact=True)
            before = place.bounding_box()
            earlier.click()
            expect(person.said.first).not_to_have_text(first)
            page.evaluate(TWO_FRAMES)
            after = place.bounding_box()
            assert before is not None
            assert after is not None
            assert abs(before["y"] - after["y"]) < 60
        texts = person.said.all_inner_texts()
        assert texts == [f"Message {number}" for number in range(1, 1_251)]

    def test_message_that_is_sent_from_far_above_is_shown(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.join()
        [talk] = conversations(person, 1)
        messages(person, 60, talk)
        person.page.reload()
        expect(person.said.last).to_have_text("Message 60")
        person.ask_the_scripted_model()
        scripted.always(text("Aye."))
        person.page.locator(".column").evaluate("(column) => { column.scrollTop = 0 }")
        expect(person.page.get_by_role("button", name="Newest messages")).to_be_visible()
        person.say("Do you hear me?")
        expect(person.page.get_by_text("Do you hear me?")).to_be_in_viewport()
        person.answered(62)
        expect(person.said.last).to_be_in_viewport()

    def test_new_messages_are_marked_and_a_button_leads_to_them(self, person: Person) -> None:
        person.join()
        [talk] = conversations(person, 1)
        messages(person, 60, talk)
        page = person.page
        page.reload()
        expect(person.said.last).to_have_text("Message 60")
        page.locator(".column").evaluate("(column) => { column.scrollTop = 0 }")
        expect(page.get_by_role("button", name="Newest messages")).to_be_visible()
        row = {"conversation_id": talk, "sender": "character", "content": "From afar"}
        operator(person.copy, "POST", "/rest/v1/messages", row)
        page.evaluate("dispatchEvent(new Event('focus'))")
        expect(person.said.last).to_have_text("From afar")
        expect(person.said.last).not_to_be_in_viewport()
        page.get_by_role("button", name="New messages").click()
        expect(person.said.last).to_be_in_viewport()
        expect(page.locator(".new")).to_have_count(1)
        expect(page.get_by_role("button", name="ew messages")).to_have_count(0)

    def test_all_conversations_and_characters_are_reached(self, person: Person) -> None:
        person.join()
        conversations(person, 230)
        owner = own_id(person)
        rows = [{"user_id": owner, "name": f"Zoe, (the) {number:03}"} for number in range(420)]
        operator(person.copy, "POST", "/rest/v1/characters", rows)
        page = person.page
        page.reload()
        expect(listed(person)).to_have_count(100)
        # Playwright needs a second to look up a role among so many buttons.
        more = page.locator("button.more", has_text="Show more conversations")
        for count in (200, 230):
            more.click()
            expect(listed(person)).to_have_count(count)
        expect(more).to_have_count(0)
        expect(people(person)).to_have_count(200)
        more = page.locator("button.more", has_text="Show more characters")
        for _ in range(2):
            before = people(person).count()
            more.click()
            expect(people(person)).not_to_have_count(before)
        expect(more).to_have_count(0)
        names = people(person).locator("> span:last-child")
        zoes = [name for name in names.all_inner_texts() if name.startswith("Zoe")]
        assert len(zoes) == len(set(zoes)) == 420

    def test_old_conversation_with_a_late_character_is_opened_by_its_address(
        self, person: Person
    ) -> None:
        person.join()
        *_, last = conversations(person, 120)
        person.open(f"/#{last}")
        person.page.reload()
        expect(person.page.get_by_role("heading", name="Talk 119")).to_be_visible()


class TestEmptyConversation:
    def test_it_is_used_again(self, person: Person) -> None:
        person.join()
        for _ in range(3):
            people(person).filter(has_text=MARA).click()
            expect(box(person)).to_be_focused()
        expect(listed(person)).to_have_count(1)
        person.press(f"Let {MARA} begin")
        person.answered(1)
        people(person).filter(has_text=MARA).click()
        expect(listed(person)).to_have_count(2)
        person.page.reload()
        expect(listed(person)).to_have_count(2)
        people(person).filter(has_text=MARA).dblclick()
        expect(box(person)).to_be_focused()
        assert len(person.copy.rows(f"conversations?user_id=eq.{own_id(person)}")) == 2


class TestSignUp:
    def test_name_is_kept_where_emails_are_confirmed(self, person: Person) -> None:
        sent: list[Any] = []

        def confirm_first(route: Route) -> None:
            sent.append(route.request.post_data_json)
            body = route.fetch().json()
            user = body.get("user", body)
            route.fulfill(status=200, json=user)  # no session

        person.page.route("**/auth/v1/signup*", confirm_first)
        person.sign_up()
        expect(person.page.get_by_role("alert")).to_contain_text("open the link in the email")
        assert sent[0]["data"] == {"display_name": "Ada"}
        person.sign_in()
        expect(person.page.locator(".who")).to_have_text("Ada")
        [profile] = person.copy.rows(f"profiles?id=eq.{own_id(person)}")
        assert profile["display_name"] == "Ada"


class TestText:
    def shown(self, person: Person, *contents: str) -> list[str]:
        person.begin()
        person.insert_messages(*(("user", content) for content in contents))
        prose = person.page.locator(".talk rp-prose")
        return [prose.nth(at + 1).inner_html() for at in range(len(contents))]

    def test_what_people_write_is_not_taken_for_markup(self, person: Person) -> None:
        label, tilde, indented = self.shown(
            person, "[Mara]: Hello.", "~x~ ~~y~~", "    Aye.\n    No."
        )
        assert "[Mara]: Hello." in label
        assert "~x~ <del>y</del>" in tilde
        assert "<pre>" not in indented
        assert "<code>" not in indented

    def test_emphasis_stands_beside_chinese_punctuation(self, person: Person) -> None:
        shown = self.shown(person, "**重要：**请看", "他说**“你好。”**然后", "他*（笑）*说")
        assert [re.sub("</?(div|p)[^>]*>|\n", "", one) for one in shown] == [
            "<strong>重要：</strong>请看",
            "他说<strong>“你好。”</strong>然后",
            "他<em>（笑）</em>说",
        ]

    def test_text_reads_in_its_own_direction(self, person: Person) -> None:
        person.begin()
        page = person.page
        person.character("مارة فوس", description=ARABIC)
        person.insert_messages(("user", ARABIC), ("user", f"Hello.\n\n{ARABIC}"))
        direction = "(each) => getComputedStyle(each).direction"
        assert person.said.nth(1).evaluate(direction) == "rtl"
        assert person.said.nth(2).evaluate(direction) == "ltr"
        second = person.said.nth(2).locator("p").nth(1)
        assert second.evaluate("(each) => getComputedStyle(each).unicodeBidi") == "plaintext"
        box(person).fill(ARABIC)
        assert box(person).evaluate(direction) == "rtl"
        name = page.locator(".lists").get_by_text("مارة فوس")
        assert name.first.evaluate(direction) == "rtl"
        person.press("Memory")
        page.get_by_label("A fact to remember").fill(ARABIC)
        person.press("Add")
        fact = page.locator("dialog .rows li > span", has_text="المنارة")
        assert fact.evaluate(direction) == "rtl"
        without = page.evaluate("""() => [...document.querySelectorAll(
            "rp-prose, textarea, input[maxlength], .talk h3, .bar h1, .who")]
          .filter((each) => each.dir !== "auto").map((each) => each.outerHTML.slice(0, 120))""")
        assert without == []


class TestElsewhere:
    def device(self, person: Person, setup: Callable[[Page], None] = lambda page: None) -> Page:
        """Another device of the same person, with the newest conversation open."""
        browser = person.page.context.browser
        assert browser is not None
        page = browser.new_context().new_page()
        setup(page)
        page.goto(person.url)
        page.get_by_label("Email").fill(person.email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.locator(".talk rp-prose")).to_have_count(1)
        return page

    def test_another_tab_is_noticed_at_once(self, person: Person, scripted: Upstream) -> None:
        begin(person, scripted)
        tab = person.page.context.new_page()
        tab.goto(person.page.url)
        expect(tab.locator(".talk rp-prose")).to_have_count(1)
        gate = Gate()
        scripted.enqueue(stream(["Good ", gate, "evening."]))
        person.say("Hello")
        expect(tab.get_by_text("Waiting for the reply")).to_be_visible()
        gate.open()
        expect(tab.locator(".talk rp-prose").last).to_have_text("Good evening.")
        expect(tab.locator("[aria-busy=true]")).to_have_count(0)
        person.delete(2)
        expect(tab.locator(".talk rp-prose")).to_have_count(2)

    def test_another_device_is_noticed_with_the_focus(
        self, person: Person, scripted: Upstream
    ) -> None:
        begin(person, scripted)
        device = self.device(person)
        scripted.always(text("Good evening."))
        person.say("Hello")
        person.answered(3)
        device.evaluate("dispatchEvent(new Event('focus'))")
        expect(device.locator(".talk rp-prose").last).to_have_text("Good evening.")
        person.press("Settings")
        person.press("Delete this conversation")
        person.press("Delete the conversation")
        expect(person.page.get_by_text("Who would you like to meet?")).to_be_visible()
        device.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(device.locator(".notice")).to_have_text("This conversation was deleted.")
        device.context.close()

    def test_another_device_is_noticed_by_realtime(
        self, person: Person, scripted: Upstream
    ) -> None:
        """The socket is scripted: the local stack has no realtime."""
        begin(person, scripted)
        sockets: list[tuple[WebSocketRoute, list[Any]]] = []

        def answer(socket: WebSocketRoute) -> None:
            def hear(message: str | bytes) -> None:
                join_ref, ref, topic, event, payload = json.loads(message)
                changes = payload.get("config", {}).get("postgres_changes", [])
                reply = {"postgres_changes": [one | {"id": 1} for one in changes]}
                if event == "phx_join":
                    sockets.append((socket, [join_ref, topic, changes]))
                back = {"status": "ok", "response": reply}
                socket.send(json.dumps([join_ref, ref, topic, "phx_reply", back]))

            socket.on_message(hear)

        def setup(page: Page) -> None:
            def with_realtime(route: Route) -> None:
                body = route.fetch().text()
                route.fulfill(
                    body=re.sub(r'"?realtime"?: false', "realtime: true", body),
                    content_type="text/javascript",
                )

            page.route("**/config.js", with_realtime)
            page.route_web_socket(re.compile("/realtime/v1/websocket"), answer)

        device = self.device(person, setup)
        # Playwright calls `answer` only while it is asked for something.
        wait_until(lambda: device.title() and sockets, "the page to join", seconds=60)
        scripted.always(text("Good evening."))
        person.say("Hello")
        person.answered(3)
        socket, (join_ref, topic, changes) = sockets[0]
        assert [(one["table"], one["filter"]) for one in changes] == [
            ("turns", f"user_id=eq.{person.user_id}")
        ]
        record = {"conversation_id": person.conversation_id, "status": "complete"}
        data: dict[str, Any] = {
            "type": "UPDATE",
            "schema": "public",
            "table": "turns",
            "record": record,
        }
        data |= {"columns": [], "commit_timestamp": "2026-01-01T00:00:00Z", "errors": None}
        change = {"ids": [1], "data": data}
        socket.send(json.dumps([join_ref, None, topic, "postgres_changes", change]))
        expect(device.locator(".talk rp-prose").last).to_have_text("Good evening.")
        device.context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_new_on_the_page_is_for_everybody(
    person: Person, scripted: Upstream, scheme: Any
) -> None:
    page = person.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": 320, "height": 700})
    person.join()
    [talk] = conversations(person, 1)
    messages(person, 40, talk)
    page.reload()
    expect(person.said.last).to_have_text("Message 40")
    person.ask_the_scripted_model()
    scripted.always(text("A model's words."))
    person.press("Draft")
    expect(page.get_by_role("button", name="Undo the draft")).to_be_visible()
    page.locator(".column").evaluate("(column) => { column.scrollTop = 0 }")
    expect(page.get_by_role("button", name="Newest messages")).to_be_visible()
    row = {"conversation_id": talk, "sender": "character", "content": "From afar"}
    operator(person.copy, "POST", "/rest/v1/messages", row)
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("button", name="New messages")).to_be_visible()
    assert serious(page) == []
