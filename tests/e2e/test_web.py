"""The pages in a real browser, on the whole stack. SCREENSHOTS names a folder to keep pictures in.

Whatever a test does, the browser's console stays empty: no error, no breach of the
Content-Security-Policy.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Route, expect

from tests.support.browser import running_browser
from tests.support.cards import CARDS, card
from tests.support.postgres import ROOT
from tests.support.working_copy import WorkingCopy

PASSWORD = "a long enough password"
MARA = "Mara Voss"
GREETING = "The lamp hisses"
FIRST_LOAD_BYTES = 300_000
PHONE = {"width": 360, "height": 740}
REPLY_MS = 240_000
"""A busy machine may need long for a reply of the real model."""
_numbers = count(1)


@dataclass
class Person:
    """Somebody with a browser of their own."""

    page: Page
    copy: WorkingCopy
    url: str
    email: str
    expected: list[str] = field(default_factory=list)
    """What a test makes the browser complain of: parts of the messages."""
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def unexpected(self) -> list[str]:
        return [text for text in self.complaints if not any(part in text for part in self.expected)]

    def open(self, path: str = "/") -> None:
        self.page.goto(f"{self.url}{path}")

    def press(self, name: str, *, exact: bool = True) -> None:
        self.page.get_by_role("button", name=name, exact=exact).first.click()

    def sign_up(self) -> None:
        self.open()
        self.press("Create an account")
        self.page.get_by_label("What characters call you").fill("Ada")
        self.page.get_by_label("Email").fill(self.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.press("Create the account")

    def sign_in(self, path: str = "/") -> None:
        self.open(path)
        self.page.get_by_label("Email").fill(self.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.press("Sign in")

    def join(self) -> None:
        """Gets an account without the page, and signs in."""
        account = {"email": self.email, "password": PASSWORD}
        made = self.copy_call("POST", "/auth/v1/signup", account).json()
        profile = {"id": made["user"]["id"], "display_name": "Ada"}
        operator(self.copy, "POST", "/rest/v1/profiles", profile)
        self.sign_in()

    def meet(self) -> None:
        """A conversation that Mara has opened with her greeting; no model is asked for it."""
        self.page.locator(".person", has_text=MARA).click()
        self.press(f"Let {MARA} begin")
        expect(self.said.last).to_contain_text(GREETING)
        expect(self.page.get_by_role("button", name="Regenerate")).to_be_visible()

    def say(self, words: str) -> None:
        self.page.get_by_label(f"Message to {MARA}").fill(words)
        self.page.keyboard.press("Enter")

    def answered(self, messages: int) -> None:
        """Waits until there are so many messages and none is being written."""
        expect(self.said).to_have_count(messages, timeout=REPLY_MS)
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0, timeout=REPLY_MS)

    @property
    def said(self) -> Locator:
        return self.page.locator(".talk rp-prose")

    @property
    def conversation_id(self) -> str:
        return self.page.url.partition("#")[2]

    @property
    def token(self) -> str:
        stored = self.page.evaluate("Object.entries(localStorage).find(([k]) => /auth/.test(k))[1]")
        return str(json.loads(stored)["access_token"])

    @property
    def user_id(self) -> str:
        path = "conversations?select=user_id&limit=1"
        return str(self.copy_call("GET", f"/rest/v1/{path}").json()[0]["user_id"])

    def copy_call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A call of theirs past the page; without a token before they are signed in."""
        env = self.copy.stack_env
        headers = {"apikey": env["SUPABASE_PUBLISHABLE_KEY"]}
        if self.page.url.startswith(self.url):
            headers["Authorization"] = f"Bearer {self.token}"
        return httpx.request(method, f"{env['SUPABASE_URL']}{path}", headers=headers, json=body)

    def stored(self) -> list[dict[str, Any]]:
        """The open conversation as the database has it."""
        path = f"messages?conversation_id=eq.{self.conversation_id}&order=position,created_at"
        return self.copy.rows(path)

    def turns(self) -> list[dict[str, Any]]:
        path = f"turns?conversation_id=eq.{self.conversation_id}&order=created_at"
        return self.copy.rows(path)


def operator(copy: WorkingCopy, method: str, path: str, body: Any) -> None:
    """What only the secret key may do."""
    env = copy.stack_env
    headers = {"apikey": env["SUPABASE_SECRET_KEY"]}
    answer = httpx.request(method, f"{env['SUPABASE_URL']}{path}", headers=headers, json=body)
    assert answer.is_success, answer.text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module", autouse=True)
def short_replies(copy: WorkingCopy) -> None:
    """The real model is slow; forty tokens stream as four hundred do."""
    short = {"input_defaults": {"max_tokens": 40}}
    operator(copy, "PATCH", "/rest/v1/api_models?task=eq.roleplay", short)


@pytest.fixture
def person(browser: Browser, copy: WorkingCopy) -> Iterator[Person]:
    url = copy.stack_env["FUNCTIONS_URL"]
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    page = context.new_page()
    person = Person(page, copy, url, f"ada{next(_numbers)}@example.com")
    page.on("console", person.hear)
    page.on("pageerror", lambda error: person.complaints.append(str(error)))
    yield person
    unexpected = person.unexpected()
    context.close()
    assert unexpected == []


@pytest.fixture
def admin(person: Person) -> Person:
    """Somebody whose role is admin, with a conversation, signed in."""
    person.join()
    person.meet()
    row = {"user_id": person.user_id, "role": "admin"}
    operator(person.copy, "POST", "/rest/v1/user_roles", row)
    person.page.reload()
    expect(person.page.get_by_role("link", name="Console")).to_be_visible()
    expect(person.said).to_have_count(1)
    return person


@pytest.mark.parametrize("path", ["/", "/console.html"])
def test_first_load_is_small_and_strict(person: Person, path: str) -> None:
    loaded: list[int] = []
    person.page.on(
        "requestfinished", lambda request: loaded.append(request.sizes()["responseBodySize"])
    )
    answer = person.page.goto(f"{person.url}{path}", wait_until="networkidle")
    assert answer is not None

    expect(person.page.get_by_label("Email")).to_be_visible()
    assert len(loaded) > 8
    assert 20_000 < sum(loaded) < FIRST_LOAD_BYTES
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert person.page.locator("script:not([src]), style, [style]").count() == 0


class TestTalking:
    def test_whole_way(self, person: Person) -> None:
        person.sign_up()
        person.meet()
        person.page.evaluate("""() => {
          window.lengths = new Set();
          new MutationObserver(() => {
            const written = document.querySelector("[aria-label$=answering] rp-prose");
            if (written) lengths.add(written.textContent.length);
          }).observe(document.body, { childList: true, subtree: true, characterData: true });
        }""")

        person.say("Good evening. Who are you?")
        person.answered(3)
        # It grew before the eyes: a reply that came at once would have had one length.
        assert person.page.evaluate("lengths.size") > 3

        first = person.said.last.inner_text()
        person.page.get_by_role("button", name="Regenerate").last.click()
        expect(person.page.get_by_text("2 of 2")).to_be_visible(timeout=REPLY_MS)
        person.page.get_by_role("button", name="Earlier version").click()
        expect(person.page.get_by_text("1 of 2")).to_be_visible()
        expect(person.said.last).to_have_text(first, use_inner_text=True)

        person.say("Tell me a long story about the sea, with many ships in it.")
        writing = person.page.locator("[aria-label$=answering] rp-prose")
        expect(writing).to_have_text(re.compile(r"\w+ \w+"), timeout=REPLY_MS)
        person.press("Stop")
        person.answered(5)
        assert person.turns()[-1]["status"] in ("stopped", "complete")

        before = person.said.all_inner_texts()
        person.page.reload()
        expect(person.said).to_have_count(5)
        assert person.said.all_inner_texts() == before
        active = [row["content"] for row in person.stored() if row["is_active"]]
        assert len(active) == 5
        assert active[1] == "Good evening. Who are you?"

    def test_worker_that_died_is_told_and_another_model_answers(self, person: Person) -> None:
        person.join()
        person.meet()
        expect(person.page.get_by_text("Worker is ready")).to_be_visible()
        person.page.get_by_label("Who answers").select_option("chat_worker")
        os.kill(int(person.copy.status()["worker"]["process"]), signal.SIGKILL)
        try:
            person.say("Hi.")
            expect(person.page.locator(".column").get_by_text("answered instead")).to_be_visible(
                timeout=REPLY_MS
            )
            person.answered(3)
            env = person.copy.stack_env
            secret = {"Authorization": f"Bearer {env['HEALTH_CHECK_SECRET']}"}
            for _ in range(3):  # one failure may be forgiven
                httpx.post(f"{env['FUNCTIONS_URL']}/health_check", headers=secret, timeout=30)
            person.page.reload()
            expect(person.page.get_by_text("Worker is away")).to_be_visible()
            # It is still told which model wrote it, and why.
            expect(person.page.locator(".column").get_by_text("answered instead")).to_be_visible()
        finally:
            person.copy.succeed("up")

    def test_reply_that_was_lost_on_the_way_is_fetched(self, person: Person) -> None:
        person.expected = ["net::ERR_"]
        person.join()
        person.page.locator(".person", has_text=MARA).click()
        sent: list[dict[str, Any]] = []

        def lose_the_first(route: Route) -> None:
            sent.append(route.request.post_data_json)
            if len(sent) > 1:
                route.continue_()
                return
            route.fetch()  # It was answered, and saved ...
            route.abort("connectionreset")  # ... and never came.

        person.page.route("**/roleplay_chat", lose_the_first)
        person.press(f"Let {MARA} begin")

        expect(person.said.last).to_contain_text(GREETING)
        person.answered(1)
        assert [body["client_message_id"] for body in sent] == [sent[0]["client_message_id"]] * 2
        assert len(person.stored()) == 1

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
        person.join()
        person.meet()
        envelope = {"success": False, "error": "That was a lot. Rest a bit.", "code": "limited"}
        person.page.route(
            "**/roleplay_chat", lambda route: route.fulfill(status=429, json=envelope), times=1
        )
        person.say("My words.")

        expect(person.page.get_by_role("alert")).to_contain_text("Rest a bit.")
        expect(person.page.get_by_label(f"Message to {MARA}")).to_have_value("My words.")

    def test_markup_in_messages_is_only_words(self, person: Person) -> None:
        person.join()
        person.meet()
        hostile = (
            '<img src=x onerror="window.hit=1"> <script>window.hit=1</script>\n\n'
            "![pixel](https://evil.example/a.png) [click](javascript:window.hit=1) **bold**"
        )
        row = {"conversation_id": person.conversation_id, "sender": "user", "content": hostile}
        person.copy_call("POST", "/rest/v1/messages", row)
        person.page.reload()

        expect(person.said.last.locator("strong")).to_have_text("bold")
        expect(person.said.last).to_contain_text('<img src=x onerror="window.hit=1">')
        assert person.said.locator("img, a, script, [onerror]").count() == 0
        assert person.page.evaluate("window.hit") is None


class TestActions:
    def test_edit_branch_and_delete(self, person: Person) -> None:
        person.join()
        person.meet()
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
        person.join()
        person.meet()
        person.press("Memory")
        dialog = person.page.get_by_role("dialog")
        dialog.get_by_label("A fact to remember").fill("Ada likes tea.")
        dialog.get_by_role("button", name="Add").click()
        dialog.get_by_role("button", name="Pin", exact=True).click()
        expect(dialog.get_by_role("button", name="Pinned")).to_have_attribute(
            "aria-pressed", "true"
        )
        dialog.get_by_role("button", name="Forget: Ada likes tea.").click()
        expect(dialog.get_by_text("No facts are noted.")).to_be_visible()
        person.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)

    def test_adult_tier_says_what_is_missing(self, person: Person) -> None:
        person.join()
        person.meet()
        person.press("Settings")
        dialog = person.page.get_by_role("dialog")
        expect(dialog.get_by_role("combobox", name=re.compile("^Written for"))).to_be_disabled()
        expect(dialog.get_by_text("Missing: Your age is verified.")).to_be_visible()

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
        person.press("Opening 2")
        person.answered(1)
        assert person.turns()[0]["model_used"] == "card:greeting"

    def test_file_that_is_no_card_is_refused_with_a_sentence(self, person: Person) -> None:
        person.expected = ["400"]
        person.join()
        file = {"name": "a.json", "mimeType": "application/json", "buffer": b"[]"}
        person.page.locator("input[type=file]").set_input_files([file])  # type: ignore[list-item]
        expect(person.page.get_by_role("alert")).to_contain_text(".")


class TestConsole:
    def test_admin_switches_the_default_and_the_next_turn_uses_it(self, admin: Person) -> None:
        admin.page.get_by_role("link", name="Console").click()
        expect(admin.page.get_by_role("heading", name="Activity")).to_be_visible()
        admin.press("Make default for roleplay: Dolphin 3.0 Mistral 24B")
        row = admin.page.get_by_role("row").filter(has_text="dolphin-3.0-mistral-24b:free")
        expect(row.filter(has_text="Default").first).to_be_visible()
        admin.page.get_by_role("link", name="Roleplay").click()
        expect(admin.said).to_have_count(1)
        assert admin.conversation_id
        admin.say("Hi.")
        admin.answered(3)
        assert admin.turns()[-1]["model_used"].endswith("/dolphin-3.0-mistral-24b:free")

    def test_admin_is_not_offered_the_characters_of_others(self, admin: Person) -> None:
        [demo] = admin.copy.rows("profiles?display_name=eq.Sam&select=id")
        row = {"user_id": demo["id"], "name": "Somebody Private"}
        operator(admin.copy, "POST", "/rest/v1/characters", row)
        admin.page.reload()
        expect(admin.page.locator(".lists").get_by_text(MARA).first).to_be_visible()
        assert admin.page.get_by_text("Somebody Private").count() == 0

    def test_models_and_providers_are_changed(self, admin: Person) -> None:
        admin.open("/console.html")
        admin.press("Add a provider")
        dialog = admin.page.get_by_role("dialog")
        dialog.get_by_label("Name", exact=True).fill("Elsewhere")
        dialog.get_by_label("Short name").fill("elsewhere")
        dialog.get_by_label("Address").fill("https://elsewhere.example/v1")
        dialog.get_by_label("Variable that holds the key").fill("ELSEWHERE_API_KEY")
        dialog.get_by_role("button", name="Save").click()
        expect(admin.page.get_by_text("ELSEWHERE_API_KEY")).to_be_visible()

        admin.press("Add a model")
        dialog.get_by_label("Name", exact=True).fill("New One")
        dialog.get_by_label("What the provider calls it").fill("author/new-one")
        dialog.get_by_role("combobox", name=re.compile("^Provider")).select_option(
            label="Elsewhere"
        )
        dialog.get_by_label("What it can do").fill("nonsense")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_contain_text("has to be a JSON object")
        dialog.get_by_label("What it can do").fill('{"context_tokens": 4096}')
        dialog.get_by_role("button", name="Save").click()
        admin.press("Switch off New One")
        admin.press("New One: earlier")
        expect(admin.page.get_by_role("button", name="Switch on New One")).to_be_visible()

        [model] = admin.copy.rows("api_models?model_key=eq.author/new-one")
        assert (model["is_active"], model["capabilities"]) == (False, {"context_tokens": 4096})
        admin.press("Edit New One")
        admin.press("Delete this model")
        expect(admin.page.get_by_text("author/new-one")).to_have_count(0)

    def test_figures_are_right(self, person: Person) -> None:
        person.open("/console.html")
        shown = person.page.evaluate("""async () => {
          const { byModel, percentile, tokens, totals, turnsByEnd } =
            await import("/js/figures.js");
          const at = (seconds) => new Date(seconds * 1000).toISOString();
          const period = { span: 300, step: 100 };
          const turns = [
            [950, "complete"], [1049, "failed"], [1050, "running"], [600, "complete"],
          ].map(([seconds, status]) => ({ created_at: at(seconds), status }));
          const call = { provider: "p", model_key: "m", purpose: "reply", outcome: "ok" };
          const calls = [
            { ...call, created_at: at(1001), prompt_tokens: 5, completion_tokens: 2,
              duration_ms: 10, first_token_ms: null, cost_usd: "0.5" },
            { ...call, created_at: at(1002), outcome: "timeout", prompt_tokens: null,
              completion_tokens: null, duration_ms: 90, first_token_ms: null, cost_usd: null },
          ];
          return {
            percentiles: [[[3, 1, 2, null], 0.5], [[1, 2, 3, 4], 0.95], [[], 0.5]]
              .map(([values, share]) => percentile(values, share)),
            ends: turnsByEnd(turns, period, 1050),
            tokens: tokens(calls, period, 1050),
            lines: byModel(calls),
            totals: totals(turns, calls),
          };
        }""")
        assert shown["percentiles"] == [2, 4, None]
        assert shown["ends"] == [[800, 900, 1000], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
        assert shown["tokens"] == [[800, 900, 1000], [0, 0, 5], [0, 0, 2]]
        [line] = shown["lines"]
        assert (line["name"], line["calls"], line["well"], line["most"]) == ("p:m", 2, 0.5, 10)
        assert shown["totals"]["answered"] == 2 / 3
        assert (shown["totals"]["tokens"], shown["totals"]["cost"]) == (7, 0.5)

    def test_others_neither_open_nor_query_it(self, person: Person) -> None:
        person.join()
        person.meet()
        person.open("/console.html")
        expect(person.page.get_by_role("heading", name="This is for admins")).to_be_visible()
        assert person.page.locator("main.console").count() == 0

        for table in ("provider_settings", "model_cooldowns"):
            assert person.copy_call("GET", f"/rest/v1/{table}").json() == []
        for table in ("turns", "usage_events"):
            rows = person.copy_call("GET", f"/rest/v1/{table}?select=user_id").json()
            assert {row["user_id"] for row in rows} <= {person.user_id}
        [system] = person.copy_call("GET", "/rest/v1/system_config?select=config").json()
        assert set(system["config"]) == {"workerHealthCache"}
        model = person.copy.rows("api_models?task=eq.roleplay&is_default=is.false&limit=1")[0]
        call = person.copy_call(
            "POST", "/rest/v1/rpc/set_default_model", {"p_model_id": model["id"]}
        )
        assert call.status_code == 403
        person.copy_call("PATCH", f"/rest/v1/api_models?id=eq.{model['id']}", {"is_active": False})
        assert person.copy.rows(f"api_models?id=eq.{model['id']}") == [model]


AXE = (ROOT / "node_modules/axe-core/axe.min.js").read_text()


class TestForEverybody:
    def serious(self, page: Page) -> list[str]:
        """What axe-core finds on the page as it is."""
        page.evaluate(AXE)
        found = page.evaluate("axe.run().then(({ violations }) => violations)")
        return [
            f"{each['id']}: {node['html'][:200]}"
            for each in found
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_no_serious_issue(self, admin: Person, scheme: Any) -> None:
        page = admin.page
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        issues = self.serious(page)
        for name in ("Memory", "Settings", "Delete"):
            admin.press(name)
            expect(page.get_by_role("dialog")).to_be_visible()
            issues += self.serious(page)
            page.keyboard.press("Escape")
        admin.open("/console.html")
        expect(page.locator("rp-chart canvas")).to_have_count(4)
        issues += self.serious(page)
        admin.press("Add a model")
        issues += self.serious(page)
        page.keyboard.press("Escape")
        admin.press("Sign out")
        expect(page.get_by_label("Email")).to_be_visible()
        issues += self.serious(page)
        assert issues == []

    def test_phone_scrolls_one_way_only(self, admin: Person) -> None:
        page = admin.page
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]

        def wide() -> bool:
            return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))

        assert not wide()
        page.get_by_role("button", name="Conversations and characters").press("Enter")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        assert not wide()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Sign out")).not_to_be_visible()
        admin.open("/console.html")
        expect(page.locator("rp-chart canvas")).to_have_count(4)
        assert not wide()

    def test_everything_is_reached_by_keyboard(self, person: Person) -> None:
        person.join()
        person.page.locator(".person", has_text=MARA).press("Enter")
        expect(person.page.get_by_label(f"Message to {MARA}")).to_be_focused()
        person.page.get_by_role("button", name=f"Let {MARA} begin").press("Enter")
        person.answered(1)
        expect(person.page.get_by_role("status")).to_contain_text(GREETING)
        person.page.reload()
        expect(person.said).to_have_count(1)
        person.page.keyboard.press("Tab")
        expect(person.page.get_by_role("link", name="Skip to the message box")).to_be_focused()
        person.page.keyboard.press("Enter")
        expect(person.page.get_by_label(f"Message to {MARA}")).to_be_focused()


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
    """A conversation to look at, and a day of traffic: rows alone, no model is asked."""
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
            expect(page.get_by_text("no_model_available")).to_be_visible()
        for shape, size in shapes.items():
            for scheme in ("light", "dark"):
                page.set_viewport_size(size)  # type: ignore[arg-type]
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
                page.evaluate(
                    "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))"
                )
                picture = folder / f"{name}-{shape}-{scheme}.png"
                page.screenshot(path=picture)
                assert picture.stat().st_size > 10_000
