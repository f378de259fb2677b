"""Both pages on a phone, by keyboard, for screen readers; light and dark.

SCREENSHOTS is a folder for screenshots.
"""

from __future__ import annotations

import os
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.answers import stream, text
from tests.support.axe import SCHEMES, serious, serious_in_both_schemes
from tests.support.browser import drawn
from tests.support.person import GREETING, MARA, PASSWORD, SCRIPTED, Person, operator
from tests.support.postgres import ROOT
from tests.support.upstream import Upstream
from tests.support.waiting import Gate
from tests.support.widths import TWO_FRAMES

WIDE = [
    ("user", "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk" * 4),
    ("character", f"```\n{'return await the_lamp(); ' * 12}\n```\n\n`{'x' * 200}`"),
    ("user", "https://harbour.example/" + "a" * 300),
    ("character", "| tide | " + "high water | " * 9 + "\n|" + "---|" * 10 + "\n|" + "12:40|" * 10),
    ("user", "> > > > > > > > quoted\n\n1. one\n   1. two\n      1. three\n         1. four"),
]
"""Messages that are wider than a phone."""


class TestForEverybody:
    def test_axe_finds_no_serious_issue(self, admin: Person) -> None:
        page = admin.page
        issues = serious_in_both_schemes(page)
        for name in ("Characters", "Memory", "Settings", "Delete"):
            admin.press(name)
            expect(page.get_by_role("dialog")).to_be_visible()
            issues += serious_in_both_schemes(page)
            page.keyboard.press("Escape")
        admin.open("/console.html")
        expect(page.locator("#activity rp-chart canvas")).to_have_count(4)
        issues += serious_in_both_schemes(page)
        admin.open("/console.html?page=models")
        for name in ("Add a model", "Add a provider", "Edit OpenRouter"):
            page.get_by_role("button", name=name).first.click()
            expect(page.get_by_role("dialog")).to_be_visible()
            issues += serious_in_both_schemes(page)
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
        admin.press("Sign out")
        expect(page.get_by_label("Email")).to_be_visible()
        issues += serious_in_both_schemes(page)
        assert issues == []

    def test_dark_scheme_has_dark_colours(self, person: Person) -> None:
        brightness = """() => {
          const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g);
          return (Number(red) + Number(green) + Number(blue)) / 3;
        }"""
        for path in ("/", "/console.html"):
            person.open(path)
            person.page.emulate_media(color_scheme="dark")
            assert person.page.evaluate(brightness) < 50
            person.page.emulate_media(color_scheme="light")
            assert person.page.evaluate(brightness) > 230

    @pytest.mark.parametrize("width", [320, 375])
    def test_phone_scrolls_one_way_only(self, admin: Person, width: int) -> None:
        page = admin.page
        page.set_viewport_size({"width": width, "height": 740})
        admin.character("Bartholomew" * 10)
        admin.insert_messages(*WIDE)

        def too_wide() -> list[str]:
            """Elements beyond the edge of the screen that cannot be scrolled into view."""
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            return list(
                page.evaluate("""() => [...document.querySelectorAll("body *")]
                  .filter((each) => each.checkVisibility()
                    && !each.closest("pre, rp-prose table, .scroll, rp-chart")
                    && !each.matches(".unseen, .skip, option")
                    && each.getBoundingClientRect().right > innerWidth + 1)
                  .map((each) => each.outerHTML.slice(0, 200))""")
            )

        assert too_wide() == []
        for name in ("Characters", "Memory", "Settings"):
            admin.use(name)
            expect(page.get_by_role("dialog")).to_be_visible()
            assert too_wide() == []
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
        page.get_by_role("button", name="Conversations and characters").press("Enter")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        assert too_wide() == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Sign out")).not_to_be_visible()
        admin.open("/console.html")
        expect(page.locator("#activity rp-chart canvas")).to_have_count(4)
        assert too_wide() == []
        admin.open("/console.html?page=models")
        admin.press("Add a model")
        assert too_wide() == []

    def test_what_a_model_read_is_for_everybody(self, person: Person, scripted: Upstream) -> None:
        page, word = person.page, "Donaudampfschifffahrt" * 12
        person.begin()
        keys = [f"harbour{word}", "harbour"]
        entries = [{"keys": keys, "name": word}, {"keys": keys[1:], "content": word}]
        book = {"entries": [entry | {"content": "W" * 300} for entry in entries]}
        person.character(word[:100], character_book=book, description="W" * 3000)
        page.reload()
        person.press("Donau", exact=False)
        expect(page.get_by_label("Message to Donau")).to_be_visible()
        person.ask_the_scripted_model()
        person.press("Memory")
        page.get_by_label("A fact to remember").fill(word)
        person.press("Add")
        expect(page.get_by_role("dialog").get_by_role("listitem")).to_have_count(1)
        page.keyboard.press("Escape")
        page.set_viewport_size({"width": 320, "height": 740})
        scripted.enqueue(text("Ice."))
        person.say(f"What is in the harbour{word}?")
        person.answered(2)

        page.get_by_role("button", name="Why?").press("Enter")
        dialog = page.get_by_role("dialog", name="Why this reply?")
        expect(dialog.get_by_text("The lorebook")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert dialog.evaluate("each => each.scrollWidth <= each.clientWidth")
        assert serious(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Why?")).to_be_focused()

    def test_facts_fit_a_small_phone(self, person: Person) -> None:
        page = person.page
        person.begin()
        page.set_viewport_size({"width": 320, "height": 740})
        person.use("Memory")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("A fact to remember").fill("Fears storms and the sea at night")
        dialog.get_by_role("button", name="Add", exact=True).click()
        change = dialog.get_by_role("button", name="Change: Fears storms")
        expect(change).to_be_visible()
        assert dialog.evaluate("each => each.scrollWidth <= each.clientWidth")
        change.click()
        expect(dialog.get_by_label("The fact")).to_be_visible()
        assert dialog.evaluate("each => each.scrollWidth <= each.clientWidth")

    def test_lorebooks_are_for_everybody(self, person: Person) -> None:
        """On a phone, by keyboard, with long words."""
        page, word = person.page, "Donaudampfschifffahrt" * 5
        person.begin()
        page.set_viewport_size({"width": 320, "height": 740})
        entry = {"keys": [word * 3], "name": word * 2, "content": word * 9, "enabled": False}
        row = {"user_id": person.user_id, "name": word, "content": {"entries": [entry, entry]}}
        operator(person.copy, "POST", "/rest/v1/lorebooks", row)
        issues: list[str] = []

        def check(name: str) -> Locator:
            dialog = page.get_by_role("dialog", name=name, exact=True)
            expect(dialog).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
            assert dialog.evaluate("each => each.scrollWidth <= each.clientWidth")
            issues.extend(serious_in_both_schemes(page))
            return dialog

        page.get_by_role("button", name="Conversations and characters").press("Enter")
        page.get_by_role("button", name="Your lorebooks").press("Enter")
        check("Lorebooks").get_by_role("button", name=f"Open: {word}").press("Enter")
        check(word).get_by_role("button", name="Change:").first.press("Enter")
        expect(page.get_by_label("Primary keys")).to_be_focused()
        page.get_by_label("Position").select_option("Among the messages")
        check(word)
        page.get_by_label("Primary keys").press("Enter")
        expect(page.get_by_role("button", name="Change:").first).to_be_focused()
        page.get_by_role("button", name="Delete:").first.press("Enter")
        check("Delete the entry").get_by_role("button", name="Keep it").press("Enter")
        expect(page.get_by_role("button", name="Add an entry")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Primary keys")).to_be_focused()
        check(word)
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Your lorebooks")).to_be_focused()
        assert issues == []


class TestKeyboard:
    def go_to(self, page: Page, target: Locator) -> None:
        """Presses Tab until the target has the focus."""
        for _ in range(60):
            if target.evaluate("each => each === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{target} is not reached by Tab")

    def test_whole_turn_is_taken_by_keyboard(self, person: Person, scripted: Upstream) -> None:
        """From signing in to another version of the reply, without a mouse."""
        page, keys = person.page, person.page.keyboard
        person.make_account()
        person.open()
        self.go_to(page, page.get_by_label("Email"))
        keys.type(person.email)
        self.go_to(page, page.get_by_label("Password"))
        keys.type(PASSWORD)
        keys.press("Enter")

        mara = page.locator(".person", has_text=MARA)
        expect(mara).to_be_visible()
        self.go_to(page, mara)
        keys.press("Enter")
        expect(page.get_by_label("Message to")).to_be_focused()
        begin = page.get_by_role("button", name=f"Let {MARA} begin")
        expect(begin).to_be_visible()
        self.go_back_to(page, begin)
        keys.press("Enter")
        expect(page.get_by_role("status")).to_contain_text(GREETING)
        person.answered(1)
        # The pressed button is gone; the focus is nearby, not at the start of the page.
        expect(page.locator(".column")).to_be_focused()

        page.reload()
        expect(person.said).to_have_count(1)
        self.go_to(page, page.get_by_label("Who answers"))
        keys.type("Script")
        expect(page.get_by_label("Who answers")).to_have_value(SCRIPTED)
        self.go_to(page, page.get_by_label("Message to"))
        scripted.enqueue(text("Two ships."), text("Three ships."))
        keys.type("How many ships?")
        keys.press("Tab")
        keys.press("Tab")
        expect(page.get_by_role("button", name="Send")).to_be_focused()
        keys.press("Enter")
        expect(person.said.last).to_have_text("Two ships.")
        person.answered(3)
        expect(page.get_by_label("Message to")).to_be_focused()

        self.go_back_to(page, page.get_by_role("button", name="Regenerate").last)
        keys.press("Enter")
        expect(person.said.last).to_have_text("Three ships.")
        person.answered(3)
        self.go_to(page, page.get_by_role("button", name="Earlier version"))
        keys.press("Enter")
        expect(person.said.last).to_have_text("Two ships.")

        self.go_back_to(page, page.get_by_role("button", name="Edit").last)
        keys.press("Enter")
        expect(page.get_by_label("New text")).to_be_focused()
        keys.press("Escape")
        expect(page.get_by_label("New text")).to_have_count(0)
        self.go_back_to(page, page.get_by_role("button", name="Memory"))
        keys.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        keys.press("Escape")
        expect(page.get_by_role("button", name="Memory")).to_be_focused()

        gate = Gate()
        scripted.enqueue(stream(["The first one is ", gate]))
        self.go_to(page, page.get_by_label("Message to"))
        keys.type("Name them.")
        keys.press("Enter")
        expect(person.said.last).to_contain_text("The first one is")
        keys.press("Escape")
        expect(page.get_by_role("status")).to_have_text("Stopped. The text so far is saved.")
        gate.open()

    def go_back_to(self, page: Page, target: Locator) -> None:
        for _ in range(60):
            if target.evaluate("each => each === document.activeElement"):
                return
            page.keyboard.press("Shift+Tab")
        raise AssertionError(f"{target} is not reached by Shift+Tab")

    def test_skip_link_leads_to_the_message_box(self, admin: Person) -> None:
        page = admin.page
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the message box")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Message to")).to_be_focused()
        admin.open("/console.html")
        expect(page.get_by_role("heading", name="Activity")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#content")).to_be_focused()


COMPOSING = """box => box.dispatchEvent(
  new KeyboardEvent("keydown", { key: "Escape", isComposing: true, bubbles: true }))"""
"""Escape as it ends what somebody composes with an input method."""


class TestFocus:
    """Nobody who uses a keyboard is sent to the start of the page."""

    def test_next_dialog_has_it_at_its_heading(self, person: Person) -> None:
        page = person.page
        person.begin()
        person.press("Characters")
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name=f"Details of {MARA}").press("Enter")
        expect(page.get_by_role("dialog", name=MARA).get_by_role("heading").first).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Characters", exact=True)).to_be_focused()

    def test_form_has_it_and_gives_it_back(self, person: Person) -> None:
        page = person.page
        person.begin()
        person.press("Memory")
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Write a summary").press("Enter")
        expect(dialog.get_by_label("What happened so far")).to_be_focused()
        dialog.get_by_role("button", name="Cancel").press("Enter")
        expect(dialog.get_by_role("button", name="Write a summary")).to_be_focused()
        dialog.get_by_label("A fact to remember").fill("Likes tea")
        dialog.get_by_role("button", name="Add", exact=True).click()
        dialog.get_by_role("button", name="Change: Likes tea").press("Enter")
        expect(dialog.get_by_label("The fact")).to_be_focused()
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("button", name="Change: Likes tea")).to_be_focused()
        dialog.get_by_role("button", name="Forget: Likes tea").press("Enter")
        expect(dialog.get_by_role("heading", name="Memory")).to_be_focused()

    def test_row_that_moves_in_its_list_keeps_it(self, person: Person) -> None:
        person.begin()
        person.press("Memory")
        dialog = person.page.get_by_role("dialog")
        for fact in ("Likes tea", "Likes fog", "Likes rain"):
            dialog.get_by_label("A fact to remember").fill(fact)
            dialog.get_by_role("button", name="Add", exact=True).click()
            expect(dialog.get_by_role("button", name=f"Change: {fact}")).to_be_visible()
        rain = dialog.get_by_role("listitem").filter(has_text="Likes rain")
        rain.get_by_role("button", name="Pin", exact=True).press("Enter")
        expect(dialog.get_by_role("listitem").first).to_contain_text("Likes rain")
        expect(rain.get_by_role("button", name="Pinned")).to_be_focused()

    def test_phone_gives_it_back_to_what_opened_the_list_or_the_tools(self, person: Person) -> None:
        page = person.page
        person.begin()
        page.set_viewport_size({"width": 390, "height": 740})
        opener = page.get_by_role("button", name="Conversations and characters")
        opener.press("Enter")
        expect(page.locator("#side button").first).to_be_focused()
        page.keyboard.press("Escape")
        expect(opener).to_be_focused()
        tools = page.get_by_role("button", name="Tools", exact=True)
        tools.press("Enter")
        page.locator("#tools").get_by_role("button", name="Settings").press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(tools).to_be_focused()

    def test_escape_that_ends_a_composition_ends_no_more(self, person: Person) -> None:
        page = person.page
        person.begin()
        page.locator(".talk > li").last.get_by_role("button", name="Edit", exact=True).click()
        editor = page.get_by_label("New text")
        editor.fill("A careful correction")
        editor.evaluate(COMPOSING)
        drawn(page)
        expect(editor).to_have_value("A careful correction")
        editor.press("Escape")
        expect(editor).to_have_count(0)

    def test_letters_are_a_menus_own(self, person: Person) -> None:
        page = person.page
        person.begin()
        page.get_by_role("button", name="Options for").first.press("Enter")
        rename = page.get_by_role("menuitem", name="Rename")
        expect(rename).to_be_focused()
        for key in ("n", "m", "/", "?"):
            page.keyboard.press(key)
        drawn(page)
        expect(rename).to_be_focused()
        expect(person.said).to_have_count(1)


LISTEN = """() => {
  window.announced = [];
  window.live = new Set();
  const spoken = "[aria-live]:not([aria-live=off]), [role=status], [role=alert]";
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const region = (target.closest ? target : target.parentElement)?.closest(spoken);
      if (!region?.textContent) continue;
      live.add(region.outerHTML.split(">")[0]);
      if (announced.at(-1) !== region.textContent) announced.push(region.textContent);
    }
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""
"""Collects what a screen reader announces from now on: changes of regions that were there."""


class TestScreenReader:
    def test_reply_is_announced_once_and_whole(self, person: Person, scripted: Upstream) -> None:
        page = person.page
        person.begin()
        person.ask_the_scripted_model()
        page.evaluate(LISTEN)
        words = "The lamp turns once in every twelve seconds, and so do I, more or less."
        gate = Gate()
        scripted.enqueue(stream([*re.findall(r"\S+ ", words), gate, "less."]))
        person.say("How often does it turn?")
        expect(person.said.last).to_contain_text("more or")
        article = page.get_by_role("article", name=f"{MARA} is answering")
        expect(article).to_have_attribute("aria-busy", "true")
        gate.open()
        person.answered(3)

        expect(page.get_by_role("status")).to_have_text(words)
        assert page.evaluate("announced") == ["Writing a reply.", words]
        assert page.evaluate("live.size") == 1

    def test_what_a_dialog_says_is_heard_in_it_and_once(self, person: Person) -> None:
        page = person.page
        person.join()
        person.meet()
        person.hears(GREETING)
        page.evaluate(LISTEN)
        person.press("Memory")
        dialog = page.get_by_role("dialog")
        expect(dialog.locator("p.unseen")).to_have_text("")
        dialog.get_by_label("A fact to remember").fill("Likes tea")
        dialog.get_by_role("button", name="Add", exact=True).click()
        # All that is outside is inert.
        expect(dialog.locator("p.unseen")).to_have_text("The fact was added.")
        expect(page.get_by_role("status")).to_have_text(["The fact was added."])
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(page.get_by_role("status")).to_have_text("")
        assert page.evaluate("announced") == ["The fact was added."]


REPLIES = [
    (
        "user",
        "*I shake the rain from my sleeves.* Something is behind me: the weather. May I stay?",
    ),
    (
        "character",
        "*Mara pours without asking how strong.* The weather and I have an agreement. It keeps to "
        "the outside of the glass, and I keep the lamp lit so it can see where that is.\n\n"
        "Stay. The bunk by the chart room is dry, and the kettle forgives **all** but haste.",
    ),
    ("user", "What do you draw on all these charts?"),
    (
        "character",
        "*She unrolls one and weighs it down with a mug.* Coasts nobody has visited. You begin "
        "with a current that ought to bend and does not, and ask what it is being polite to.\n\n"
        "*Her finger stops at a small inked cross.* There. An island, I should say. Or a whale "
        "with very regular habits.",
    ),
]


def furnish(person: Person) -> None:
    """Inserts a conversation and a day of traffic as rows, without asking a model."""
    said = [
        {"conversation_id": person.conversation_id, "sender": sender, "content": content}
        for sender, content in REPLIES
    ]
    operator(person.copy, "POST", "/rest/v1/messages", said)
    chance = random.Random(7)  # noqa: S311 - a picture, no secret
    now = datetime.now(UTC)
    models = [
        row["model_key"]
        for row in person.copy.rows("api_models?task=eq.roleplay&is_active=is.true")
    ]
    turns, calls = [], []
    for minutes in range(5, 24 * 60, 9):
        at = (now - timedelta(minutes=minutes)).isoformat()
        took = int(chance.gammavariate(4, 1100))
        end = chance.choices(["complete", "stopped", "failed"], [92, 5, 3])[0]
        row = {"user_id": person.user_id, "created_at": at, "duration_ms": took}
        failed = {"error_code": "no_model_available" if end == "failed" else None}
        more = {"task": "roleplay", "action": "send", "lease_expires_at": at, "finished_at": at}
        turns.append(row | more | failed | {"status": end})
        spent = {"prompt_tokens": chance.randint(600, 2400), "cost_usd": chance.random() / 900}
        spent["cached_tokens"] = int(spent["prompt_tokens"] * 0.9)
        calls.append(
            row
            | spent
            | {
                "provider": "openrouter",
                "model_key": chance.choices(models, range(len(models), 0, -1))[0],
                "outcome": "rate_limited" if end == "failed" else "ok",
                "completion_tokens": chance.randint(80, 380),
                "first_token_ms": took // 3,
            }
        )
    operator(person.copy, "POST", "/rest/v1/turns", turns)
    operator(person.copy, "POST", "/rest/v1/usage_events", calls)


def test_screenshots(admin: Person, tmp_path: Path) -> None:
    folder = ROOT / os.environ.get("SCREENSHOTS", tmp_path)
    furnish(admin)
    page = admin.page
    shapes = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
    for name, path in {"chat": "/", "console": "/console.html"}.items():
        admin.open(path)
        if name == "chat":
            expect(admin.said).to_have_count(5)
        else:
            admin.press("24 hours")
            expect(page.get_by_role("link", name="no_model_available")).to_be_visible()
        for shape, size in shapes.items():
            for scheme in SCHEMES:
                page.set_viewport_size(size)  # type: ignore[arg-type]
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                page.evaluate(TWO_FRAMES)
                page.evaluate("document.querySelector('.column')?.scrollTo(0, 1e6)")
                picture = folder / f"{name}-{shape}-{scheme}.png"
                page.screenshot(path=picture)
                assert picture.stat().st_size > 10_000
