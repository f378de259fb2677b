"""The chat in a real browser, on the whole stack.

In every test of the pages, the browser's console stays empty: no errors, no violations of the
Content-Security-Policy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import FilePayload, Locator, Route, expect

from tests.support.answers import held, stream, text
from tests.support.browser import wait_on
from tests.support.cards import CARDS, card
from tests.support.connection_proxy import ConnectionProxy, running_proxy
from tests.support.person import (
    GREETING,
    MARA,
    PASSWORD,
    REPLY_MS,
    SCRIPTED,
    Person,
    body_of,
    operator,
)
from tests.support.upstream import Upstream
from tests.support.waiting import Gate


class TestTalking:
    def test_person_signs_up_and_talks_with_the_real_model(self, person: Person) -> None:
        """With the real model, for any reply."""
        person.sign_up()
        person.meet()
        person.say("Good evening. Who are you?")
        person.answered(3)
        first = person.said.last.inner_text()
        person.page.get_by_role("button", name="Regenerate").last.click()
        expect(person.page.get_by_text("2 of 2")).to_be_visible(timeout=REPLY_MS)
        person.page.get_by_role("button", name="Earlier version").click()
        expect(person.page.get_by_text("1 of 2")).to_be_visible()
        expect(person.said.last).to_have_text(first, use_inner_text=True)

        before = person.said.all_inner_texts()
        person.page.reload()
        expect(person.said).to_have_count(3)
        assert person.said.all_inner_texts() == before
        active = [row["content"] for row in person.stored() if row["is_active"]]
        assert len(active) == 3
        assert active[1] == "Good evening. Who are you?"

    def test_reply_grows_before_the_eyes(self, person: Person, scripted: Upstream) -> None:
        person.begin()
        person.ask_the_scripted_model()
        gates = [Gate(), Gate()]
        scripted.enqueue(stream(["Two ships ", gates[0], "and a boat ", gates[1], "lie there."]))
        person.say("What do you see?")
        writing = person.page.locator("[aria-label$=answering] rp-prose")
        for gate, words in zip(gates, ("Two ships", "Two ships and a boat"), strict=True):
            expect(writing).to_have_text(words)
            gate.open()
        person.answered(3)
        expect(person.said.last).to_have_text("Two ships and a boat lie there.")

    def test_reply_that_is_stopped_is_kept(self, person: Person, scripted: Upstream) -> None:
        person.begin()
        person.ask_the_scripted_model()
        gate = Gate()
        scripted.enqueue(stream(["Once there was a ship. ", gate, "It sank."]))
        person.say("Tell me a long story.")
        expect(person.said.last).to_have_text("Once there was a ship.")
        person.press("Stop")
        person.answered(3)
        gate.open()
        assert person.turns()[-1]["status"] == "stopped"
        person.page.reload()
        expect(person.said).to_have_count(3)
        expect(person.said.last).to_have_text("Once there was a ship.")

    def test_worker_that_died_is_told_and_another_model_answers(self, person: Person) -> None:
        person.begin()
        expect(person.page.get_by_text("Worker is ready")).to_be_visible()
        person.page.get_by_label("Who answers").select_option("chat_worker")
        person.copy.kill_worker()
        try:
            person.say("Hi.")
            expect(person.page.locator(".column").get_by_text("answered instead")).to_be_visible(
                timeout=REPLY_MS
            )
            person.answered(3)
            for _ in range(3):  # a single failure is tolerated
                person.copy.check_health()
            person.page.reload()
            expect(person.page.get_by_text("Worker is down")).to_be_visible()
            worker = person.page.locator(".picker option[value=chat_worker]")
            expect(worker).to_have_text("Local model (down)")
            # The page still shows which model wrote it, and why.
            expect(person.page.locator(".column").get_by_text("answered instead")).to_be_visible()
        finally:
            person.copy.recover()

    def test_reply_that_was_lost_on_the_way_is_fetched(self, person: Person) -> None:
        person.expected = ["net::ERR_"]
        person.join()
        person.page.locator(".person", has_text=MARA).click()
        sent: list[dict[str, Any]] = []

        def lose_the_first(route: Route) -> None:
            sent.append(body_of(route.request))
            if len(sent) > 1:
                route.continue_()
                return
            route.fetch()  # The request was answered and saved ...
            route.abort("connectionreset")  # ... but the response was lost.

        person.page.route("**/roleplay_chat", lose_the_first)
        person.press(f"Let {MARA} begin")

        expect(person.said.last).to_contain_text(GREETING)
        person.answered(1)
        assert [body["client_message_id"] for body in sent] == [sent[0]["client_message_id"]] * 2
        assert len(person.stored()) == 1


class TestConnectionThatBreaks:
    """The page uses a connection that is really cut."""

    @pytest.fixture
    def proxy(self, person: Person, scripted: Upstream) -> Iterator[ConnectionProxy]:
        person.expected = ["net::ERR_", "409"]
        with running_proxy(person.url) as proxy:
            person.url = proxy.url
            person.begin()
            person.ask_the_scripted_model()
            yield proxy
            person.page.goto("about:blank")

    def test_reply_that_had_begun_is_fetched_whole(
        self, person: Person, scripted: Upstream, proxy: ConnectionProxy
    ) -> None:
        gate = Gate()
        scripted.enqueue(stream(["The fog is coming in over the bay. ", gate, "It is gone."]))
        person.say("What do you see?")
        expect(person.said.last).to_contain_text("over the bay.")
        proxy.cut()

        expect(person.page.locator(".waiting")).to_contain_text("The connection was lost.")
        gate.open()
        person.answered(3)
        whole = "The fog is coming in over the bay. It is gone."
        expect(person.said.last).to_have_text(whole)
        assert [row["content"] for row in person.stored()][1:] == ["What do you see?", whole]
        assert [turn["status"] for turn in person.turns()] == ["complete", "complete"]

    def test_reply_that_had_not_begun_is_written(
        self, person: Person, scripted: Upstream, proxy: ConnectionProxy
    ) -> None:
        gate = Gate()
        scripted.enqueue(held(gate, text("All is well.")))
        person.say("Are you there?")
        gate.wait_reached()
        proxy.cut()
        expect(person.page.locator(".waiting")).to_contain_text("The connection was lost.")

        gate.open()
        person.answered(3)
        expect(person.said.last).to_have_text("All is well.")
        said = [row["content"] for row in person.stored() if row["is_active"]]
        assert said[1:] == ["Are you there?", "All is well."]

    def test_service_that_stays_away_is_a_sentence(
        self, person: Person, scripted: Upstream, proxy: ConnectionProxy
    ) -> None:
        scripted.enqueue(text("Here again."))
        person.page.clock.install()
        proxy.cut(dead=True)
        person.say("Hello?")

        alert = person.page.get_by_role("alert")

        def gave_up() -> bool:
            person.page.clock.fast_forward(20_000)
            return alert.is_visible()

        wait_on(person.page, gave_up, "the page to give up")
        expect(alert).to_contain_text("cannot be reached. Check your connection")
        expect(person.page.get_by_label("Message to")).to_have_value("Hello?")
        proxy.mend()
        person.press("Try again")
        expect(person.said.last).to_have_text("Here again.")
        expect(person.page.get_by_label("Message to")).to_have_value("")
        assert [row["content"] for row in person.stored()][1:] == ["Hello?", "Here again."]


class TestFailures:
    """Each failure is shown as a sentence that says what to do."""

    def test_failure_is_a_sentence_and_can_be_tried_again(self, person: Person) -> None:
        person.expected = ["503"]
        sentence = "No model can answer now. Try again in a minute."
        person.join()
        person.page.locator(".person", has_text=MARA).click()
        envelope = {"success": False, "error": sentence, "code": "no_model_available"}
        person.page.route(
            "**/roleplay_chat", lambda route: route.fulfill(status=503, json=envelope), times=1
        )
        person.press(f"Let {MARA} begin")

        expect(person.page.get_by_role("alert")).to_contain_text(sentence)
        person.press("Try again")
        expect(person.said.last).to_contain_text(GREETING)
        expect(person.page.get_by_role("alert")).to_have_count(0)

    def test_what_was_written_and_refused_is_given_back(self, person: Person) -> None:
        person.expected = ["429"]
        person.begin()
        envelope = {"success": False, "error": "That was a lot. Rest a bit.", "code": "limited"}
        person.page.route(
            "**/roleplay_chat", lambda route: route.fulfill(status=429, json=envelope), times=1
        )
        person.say("My words.")

        expect(person.page.get_by_role("alert")).to_contain_text("Rest a bit.")
        expect(person.page.get_by_label(f"Message to {MARA}")).to_have_value("My words.")

    def test_page_of_a_proxy_is_not_shown(self, person: Person) -> None:
        person.expected = ["502"]
        person.begin()
        person.page.route(
            "**/roleplay_chat",
            lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"),
            times=1,
        )
        person.say("Hello.")
        expect(person.page.get_by_role("alert")).to_contain_text(
            "The service answered 502. Try again in a moment."
        )

    def test_turn_that_still_runs_is_waited_for(self, person: Person, scripted: Upstream) -> None:
        """Like a browser that repeats a request whose connection was cut."""
        person.expected = ["409"]
        person.begin()
        person.ask_the_scripted_model()
        scripted.enqueue(text("Here I am."))
        running = {"success": False, "error": "It runs.", "code": "turn_in_progress"}
        person.page.route(
            "**/roleplay_chat", lambda route: route.fulfill(status=409, json=running), times=1
        )
        person.say("Where are you?")
        expect(person.said.last).to_have_text("Here I am.")
        person.answered(3)
        expect(person.page.get_by_role("alert")).to_have_count(0)

    def test_reached_limit_is_shown_with_what_to_do(self, person: Person) -> None:
        person.expected = ["429"]
        person.begin()
        now = datetime.now(UTC).isoformat()
        turn = {"user_id": person.user_id, "task": "roleplay", "action": "send"}
        turn |= {"status": "complete", "lease_expires_at": now, "finished_at": now}
        # In the future, so that they count for the last minute even on a slow machine.
        turn |= {"created_at": (datetime.now(UTC) + timedelta(minutes=10)).isoformat()}
        operator(person.copy, "POST", "/rest/v1/turns", [turn] * 20)
        person.say("And another thing.")

        alert = person.page.get_by_role("alert")
        expect(alert).to_contain_text("You are sending messages very fast. Please wait a moment.")
        expect(alert.get_by_role("button", name="Try again")).to_be_visible()
        expect(person.page.get_by_label("Message to")).to_have_value("And another thing.")

    def test_session_that_is_over_is_begun_again(self, person: Person) -> None:
        person.expected = ["401", "403"]
        person.begin()
        person.page.evaluate("""() => {
          const [key, value] = Object.entries(localStorage).find(([key]) => /auth/.test(key));
          const session = JSON.parse(value);
          const token = session.access_token.replace(/[^.]+$/, "x".repeat(43));
          localStorage.setItem(key, JSON.stringify({ ...session, access_token: token }));
        }""")
        person.say("Do you hear me?")

        alert = person.page.get_by_role("alert")
        expect(alert).to_contain_text("You are signed out. Sign in again to continue.")
        alert.get_by_role("button", name="Sign in again").click()
        person.page.get_by_label("Email").fill(person.email)
        person.page.get_by_label("Password").fill("wrong password")
        person.expected += ["400"]
        person.press("Sign in")
        expect(person.page.get_by_role("alert")).to_contain_text("Email or password is wrong.")
        person.page.get_by_label("Password").fill(PASSWORD)
        person.press("Sign in")
        # Their text is back in the message box.
        expect(person.page.get_by_label("Message to")).to_have_value("Do you hear me?")

    def test_what_goes_wrong_in_a_dialog_is_told_in_it(self, person: Person) -> None:
        person.expected = ["403"]
        person.begin()
        person.press("Memory")
        person.page.route(
            "**/memory_facts*", lambda route: route.fulfill(status=403, json={"code": "42501"})
        )
        dialog = person.page.get_by_role("dialog")
        dialog.get_by_label("A fact to remember").fill("Ada likes tea.")
        dialog.get_by_role("button", name="Add").click()
        expect(dialog.get_by_role("alert")).to_contain_text(
            "You do not have permission to do this."
        )
        expect(person.page.get_by_role("alert")).to_have_count(1)


class TestModels:
    """The picker shows who can answer now."""

    def option(self, person: Person, name: str) -> Locator:
        return person.page.locator(".picker option", has_text=name).last

    def test_model_on_cooldown_is_named_and_can_be_chosen(
        self, person: Person, scripted: Upstream
    ) -> None:
        until = datetime.now(UTC) + timedelta(hours=2)
        cooldown = {"scope": "model", "key": f"scripted:{SCRIPTED}", "reason": "rate_limited"}
        operator(person.copy, "POST", "/rest/v1/model_cooldowns", cooldown | {"until": str(until)})
        person.begin()

        expect(self.option(person, "Script")).to_have_text(
            re.compile(r"^\s*Script \(on cooldown until \d\d:\d\d\)$")
        )
        expect(self.option(person, "Script")).to_be_enabled()
        person.ask_the_scripted_model()
        expect(person.page.get_by_text("Another model will answer for now.")).to_be_visible()

    @pytest.mark.parametrize(
        ("path", "change", "why"),
        [
            (
                f"api_models?model_key=eq.{SCRIPTED}",
                {"catalog_status": "gone"},
                "no longer offered",
            ),
            ("api_providers?name=eq.scripted", {"is_active": False}, "switched off"),
        ],
    )
    def test_model_that_is_gone_cannot_be_chosen(
        self, person: Person, scripted: Upstream, path: str, change: dict[str, Any], why: str
    ) -> None:
        scripted.enqueue(text("Somebody else."))
        person.begin()
        person.ask_the_scripted_model()
        operator(person.copy, "PATCH", f"/rest/v1/{path}", change)
        person.page.reload()

        expect(self.option(person, "Script")).to_have_text(re.compile(rf"Script \({why}\)$"))
        expect(self.option(person, "Script")).to_be_disabled()
        # It was chosen before, but requests no longer name it.
        expect(person.page.get_by_label("Who answers")).to_have_value("")
        person.page.route(
            "**/roleplay_chat", lambda route: route.fulfill(status=503, json={}), times=1
        )
        person.expected = ["503"]
        with person.page.expect_request("**/roleplay_chat") as request:
            person.say("Hello.")
        assert "model_provider" not in body_of(request.value)


class TestSeveralCharacters:
    def test_they_join_speak_and_leave(self, person: Person, scripted: Upstream) -> None:
        page = person.page
        person.begin()
        tomas = person.character("Tomas Brek", description="A ferryman who counts the gulls.")
        page.reload()
        person.ask_the_scripted_model()
        page.get_by_role("button", name="Characters", exact=True).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Who joins").select_option(label="Tomas Brek")
        dialog.get_by_role("button", name="Add to the conversation").click()
        expect(dialog.get_by_role("button", name="Remove Tomas Brek")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("heading", level=1)).to_have_text(f"{MARA}, Tomas Brek")

        scripted.enqueue(text("Forty gulls, and one is late."), text("Leave the gulls be."))
        page.get_by_label("Who speaks").select_option("Tomas Brek")
        person.say("How many are there?")
        person.answered(3)
        expect(page.get_by_role("article", name="Tomas Brek said")).to_contain_text("Forty gulls")
        page.get_by_label("Who speaks").select_option("The one I name, or in turn")
        person.press("Let them talk")
        person.answered(4)
        expect(page.get_by_role("article", name=f"{MARA} said").last).to_contain_text("Leave the")
        assert [row["character_id"] == tomas for row in person.stored()][2:] == [True, False]

        page.get_by_role("button", name="Characters", exact=True).click()
        dialog.get_by_role("button", name="Remove Tomas Brek").click()
        expect(dialog.get_by_label("Who joins")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_label("Who speaks")).to_have_count(0)
        expect(page.get_by_role("article", name="Tomas Brek said")).to_be_visible()


class TestActions:
    def test_message_is_edited_branched_from_and_deleted(self, person: Person) -> None:
        person.begin()
        person.press("Edit")
        person.page.get_by_label("New text").fill("*She smiles.* Come in.")
        person.press("Save")
        expect(person.said.last).to_have_text("She smiles. Come in.")

        original = person.conversation_id
        person.press("Branch")
        expect(person.page.locator(".column").get_by_text("This is a branch")).to_be_visible()
        assert person.conversation_id != original
        expect(person.said).to_have_text(["She smiles. Come in."])

        person.press("Delete")
        person.press("Delete this message")
        expect(person.page.get_by_role("button", name=f"Let {MARA} begin")).to_be_visible()
        assert person.stored() == []

    def test_memory_is_shown_and_corrected(self, person: Person) -> None:
        person.begin()
        person.press("Memory")
        dialog = person.page.get_by_role("dialog")
        dialog.get_by_label("A fact to remember").fill("Ada likes tea.")
        dialog.get_by_role("button", name="Add").click()
        dialog.get_by_role("button", name="Pin", exact=True).click()
        expect(dialog.get_by_role("button", name="Pinned")).to_have_attribute(
            "aria-pressed", "true"
        )
        dialog.get_by_label("Importance: Ada likes tea.").select_option("Important")
        dialog.get_by_role("button", name="Turn off: Ada likes tea.").click()
        expect(dialog.get_by_role("button", name="Turn on: Ada likes tea.")).to_be_visible()
        [stored] = person.copy.rows(
            "memory_facts?select=importance,is_active,memories!inner()"
            f"&memories.user_id=eq.{person.user_id}"
        )
        assert stored == {"importance": 4, "is_active": False}
        dialog.get_by_role("button", name="Turn on: Ada likes tea.").click()
        expect(dialog.get_by_role("button", name="Turn off: Ada likes tea.")).to_be_visible()
        dialog.get_by_role("button", name="Change: Ada likes tea.").click()
        dialog.get_by_label("The fact", exact=True).fill("Ada likes green tea.")
        form = dialog.locator("li form")
        form.get_by_label("In").select_option("all my conversations")
        form.get_by_role("button", name="Save").click()
        changed = dialog.get_by_role("listitem").filter(has_text="Ada likes green tea.")
        expect(changed).to_contain_text("all my conversations")
        dialog.get_by_role("button", name="Write a summary").click()
        dialog.get_by_label("What happened so far").fill("Ada came by boat.")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("Ada came by boat.")).to_be_visible()
        dialog.get_by_role("button", name="Change this summary").click()
        dialog.get_by_label("What happened so far").fill("Ada came on foot.")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("Ada came on foot.")).to_be_visible()
        dialog.get_by_role("button", name="Delete this summary").click()
        expect(dialog.get_by_text("There is no summary yet.")).to_be_visible()
        dialog.get_by_role("button", name="Forget: Ada likes green tea.").click()
        expect(dialog.get_by_text("There are no facts.")).to_be_visible()
        person.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)

    def test_reply_says_what_its_model_read(self, person: Person, scripted: Upstream) -> None:
        person.begin()
        harbour = {"keys": ["fog", "harbour"], "content": "The harbour is shut."}
        person.character("Lena", character_book={"entries": [harbour]})
        person.page.reload()
        person.press("Lena Start a conversation", exact=False)
        expect(person.page.get_by_label("Message to Lena")).to_be_visible()
        person.ask_the_scripted_model()
        person.press("Memory")
        person.page.get_by_label("A fact to remember").fill("Ada likes tea.")
        person.press("Add")
        expect(person.page.get_by_role("listitem").filter(has_text="likes tea")).to_be_visible()
        person.page.keyboard.press("Escape")
        scripted.enqueue(text("Ice."))
        person.say("What is in the harbour?")
        person.answered(2)

        person.press("Why?")
        dialog = person.page.get_by_role("dialog", name="Why this reply?")
        expect(dialog.get_by_role("listitem").filter(has_text="Your message")).to_be_visible()
        entry = dialog.get_by_role("listitem").filter(has_text="The harbour is shut.")
        expect(entry).to_contain_text("because of “harbour”")
        expect(dialog.get_by_text("Ada likes tea.")).to_be_visible()
        person.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)

        person.press("Memory")
        person.press("Forget: Ada likes tea.")
        expect(person.page.get_by_text("There are no facts.")).to_be_visible()
        person.page.keyboard.press("Escape")
        person.press("Why?")
        expect(dialog.get_by_text("Deleted since")).to_be_visible()
        person.page.keyboard.press("Escape")

        path = f"/rest/v1/turn_prompts?turn_id=eq.{person.turns()[-1]['id']}"
        operator(person.copy, "DELETE", path, None)
        person.press("Why?")
        expect(dialog.get_by_text("kept for only a few days")).to_be_visible()

    def test_reason_is_known_though_books_and_the_character_are_others_now(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.begin()
        book = {"entries": [{"keys": ["harbour"], "content": "The harbour is shut."}]}
        row = {"id": str(uuid4()), "user_id": person.user_id, "content": book}
        operator(person.copy, "POST", "/rest/v1/lorebooks", row)
        lena = person.character("Lena")
        person.page.reload()
        person.press("Lena Start a conversation", exact=False)
        expect(person.page.get_by_label("Message to Lena")).to_be_visible()
        person.ask_the_scripted_model()
        scripted.enqueue(text("Ice."))
        person.say("What is in the harbour?")
        person.answered(2)

        dialog = person.page.get_by_role("dialog", name="Why this reply?")
        note = dialog.get_by_text("has changed since then")
        person.press("Why?")
        expect(dialog.get_by_text("because of “harbour”")).to_be_visible()
        expect(note).to_have_count(0)
        person.page.keyboard.press("Escape")

        changed = {"content": {"entries": [{"keys": ["fog"], "content": "Fog."}, *book["entries"]]}}
        operator(person.copy, "PATCH", f"/rest/v1/lorebooks?id=eq.{row['id']}", changed)
        operator(person.copy, "DELETE", f"/rest/v1/characters?id=eq.{lena}", None)
        person.press("Why?")
        expect(note).to_be_visible()

    def test_greeting_needs_no_reason(self, person: Person) -> None:
        person.begin()
        expect(person.page.get_by_role("button", name="Why?")).to_have_count(0)

    def test_adult_tier_says_what_is_missing(self, person: Person) -> None:
        person.begin()
        person.press("Settings")
        dialog = person.page.get_by_role("dialog")
        expect(dialog.get_by_role("combobox", name=re.compile("^Written for"))).to_be_disabled()
        expect(dialog.get_by_text("Missing: Your age is verified.")).to_be_visible()

    def test_adult_tier_is_open_where_everything_is_met(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.begin()
        person.character("Lena Ostrand", age=41, content_rating="nsfw")
        path = f"/rest/v1/profiles?id=eq.{person.user_id}"
        operator(person.copy, "PATCH", path, {"age_verified": True})
        person.page.reload()
        person.page.locator(".lists").get_by_text("Lena Ostrand").click()
        expect(person.page.get_by_role("heading", level=1)).to_have_text("Lena Ostrand")
        person.press("Settings")
        dialog = person.page.get_by_role("dialog")
        dialog.get_by_role("combobox", name=re.compile("^Written for")).select_option("Adults")
        person.page.keyboard.press("Escape")
        person.ask_the_scripted_model()
        scripted.enqueue(text("Good evening to you."))
        person.say("Good evening.")
        person.answered(2)
        assert person.turns()[-1]["content_tier"] == "nsfw"

    def test_character_for_adults_is_met_by_name_where_a_conversation_runs_and_nowhere_else(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.begin()
        nina = str(uuid4())
        row = {"id": nina, "name": "Nina Falk", "is_public": True, "description": "For adults."}
        adult = {"age": 41, "content_rating": "nsfw"}
        operator(person.copy, "POST", "/rest/v1/characters", row | adult)
        path = f"/rest/v1/conversations?id=eq.{person.conversation_id}"
        operator(person.copy, "PATCH", path, {"character_id": nina})
        person.page.reload()
        expect(person.page.get_by_role("heading", level=1)).to_have_text("Nina Falk")
        person.ask_the_scripted_model()
        scripted.enqueue(text("Good evening to you."))
        person.say("Good evening.")
        person.answered(3)
        expect(person.page.get_by_role("article", name="Nina Falk said")).to_have_count(1)
        expect(person.page.get_by_role("button", name="Nina Falk Start")).to_have_count(0)
        expect(person.page.get_by_text("For adults.")).to_have_count(0)
        operator(person.copy, "DELETE", f"/rest/v1/characters?id=eq.{nina}", None)

    def test_dropped_card_becomes_somebody_to_talk_with(self, person: Person) -> None:
        person.join()
        expect(person.page.locator(".person").first).to_be_visible()
        text = (CARDS / "cook_v3.json").read_text()
        name = card("cook_v3")["data"]["name"]
        dropped = person.page.evaluate_handle(
            """text => {
              const files = new DataTransfer();
              files.items.add(new File([text], "cook.json"));
              return files;
            }""",
            text,
        )
        person.page.dispatch_event("main", "drop", {"dataTransfer": dropped})
        person.press(f"Talk with {name}")
        person.press("Next greeting")
        person.press(f"Let {name} begin")
        person.answered(1)
        assert person.turns()[0]["model_used"] == "card:greeting"

    def test_import_shows_what_was_odd_and_what_will_not_work(self, person: Person) -> None:
        person.join()
        odd = {"name": "Ina", "personality": "Dry {{of_tomorrow}}.", "tags": "sea, noir"}
        raw = json.dumps(odd).encode()
        file: FilePayload = {"name": "a.json", "mimeType": "application/json", "buffer": raw}
        person.page.locator("input[type=file]").set_input_files([file])
        shown = person.page.locator("dialog .needs li")
        expect(shown).to_have_count(2)
        expect(shown.first).to_contain_text("`tags`")
        expect(shown.last).to_contain_text("{{of_tomorrow}}")

    def test_file_that_is_no_card_is_refused_with_a_sentence(self, person: Person) -> None:
        person.expected = ["400"]
        person.join()
        file: FilePayload = {"name": "a.json", "mimeType": "application/json", "buffer": b"[]"}
        person.page.locator("input[type=file]").set_input_files([file])
        expect(person.page.get_by_role("alert")).to_contain_text(".")
