"""A person with their own browser, using the stack of a working copy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

from tests.support import patient
from tests.support.working_copy import WorkingCopy

PASSWORD = "a long enough password"
MARA = "Mara Voss"
GREETING = "The lamp hisses"
SCRIPTED = "scripted/one:free"
"""The model whose replies are scripted."""
TOOLS = "button[aria-controls=tools]"
"""The button of a phone's menu. To find it by its name, a browser would have to name all buttons,
which are hundreds in a long conversation."""
REPLY_MS = 900_000
"""Timeout for a reply of the real model on a busy machine."""


@dataclass
class Person:
    """A person with their own browser."""

    page: Page
    copy: WorkingCopy
    url: str
    email: str
    expected: list[str] = field(default_factory=list)
    """Parts of console messages that the test expects."""
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

    def use(self, name: str) -> None:
        """Presses a tool of the open conversation, which a phone has in a menu."""
        tools = self.page.locator(TOOLS)
        if tools.is_visible():
            tools.click()
        self.page.locator("#tools").get_by_role("button", name=name, exact=True).click()

    def hears(self, words: str) -> None:
        """Waits until a screen reader is told this, in the dialog that is open or outside."""
        regions = self.page.locator("p.unseen[role=status]")
        expect(regions.filter(has_text=words)).to_have_count(1)

    def sign_up(self) -> None:
        self.open()
        self.press("Create an account")
        self.page.get_by_label("What characters call you").fill("Ada")
        self.page.get_by_label("Email").fill(self.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.press("Create the account")

    def sign_in(self, path: str = "/") -> None:
        self.open(path)
        self.enter(self.email)

    def enter(self, email: str) -> None:
        """Signs somebody in with the form that is shown."""
        self.page.get_by_label("Email").fill(email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.press("Sign in")

    def join(self) -> None:
        """Creates an account through Auth and opens the page, signed in with what Auth answered.

        The form would take a second of the processor's time in each of hundreds of tests.
        """
        self._keep(self.make_account())
        self.open()

    def begin(self, role: str = "") -> None:
        """As `join` and `meet`, for tests of something else: the page opens when all is there."""
        session = self.make_account()
        user_id = session["user"]["id"]
        if role:
            operator(self.copy, "POST", "/rest/v1/user_roles", {"user_id": user_id, "role": role})
        mara = self.copy.stack_env["DEMO_CHARACTER_ID"]
        row = {"id": str(uuid4()), "user_id": user_id, "character_id": mara}
        operator(self.copy, "POST", "/rest/v1/conversations", row)
        turn = {"conversation_id": row["id"], "kickoff": True}
        headers = {"Authorization": f"Bearer {session['access_token']}"}
        answer = patient.post(f"{self.url}/roleplay_chat", headers=headers, json=turn)
        assert answer.is_success, answer.text
        self._keep(session)
        self.open(f"/#{row['id']}")
        self._is_greeted()

    def make_account(self) -> dict[str, Any]:
        """Creates an account through Auth, without the page; its session."""
        account = {"email": self.email, "password": PASSWORD}
        session: dict[str, Any] = self.copy_call("POST", "/auth/v1/signup", account).json()
        profile = {"id": session["user"]["id"], "display_name": "Ada"}
        operator(self.copy, "POST", "/rest/v1/profiles", profile)
        return session

    def _keep(self, session: dict[str, Any]) -> None:
        """Stores a session in the browser, where the client of Supabase keeps it."""
        name = f"sb-{(urlsplit(self.url).hostname or '').partition('.')[0]}-auth-token"
        self.page.context.set_storage_state(
            {
                "origins": [
                    {
                        "origin": self.url,
                        "localStorage": [{"name": name, "value": json.dumps(session)}],
                    }
                ]
            }
        )

    def meet(self) -> None:
        """Starts a conversation with Mara's greeting, which needs no model."""
        self.page.locator(".person", has_text=MARA).click()
        self.press(f"Let {MARA} begin")
        self._is_greeted()

    def _is_greeted(self) -> None:
        expect(self.said.last).to_contain_text(GREETING)
        expect(self.page.get_by_role("button", name="Regenerate")).to_be_visible()

    def ask_the_scripted_model(self) -> None:
        """Selects the scripted model."""
        tools = self.page.locator(TOOLS)
        is_phone = tools.is_visible()
        if is_phone:
            tools.click()
        self.page.get_by_label("Who answers").select_option(SCRIPTED)
        if is_phone:
            tools.click()

    def say(self, words: str) -> None:
        """Sends a message, as soon as the page takes one: not while a reply is written."""
        self.page.get_by_label("Message to").fill(words)
        send = self.page.get_by_role("button", name="Send", exact=True)
        expect(send).to_be_enabled(timeout=REPLY_MS)
        self.page.keyboard.press("Enter")

    def answered(self, messages: int) -> None:
        """Waits until there are this many messages and none is being written."""
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
        """Calls the stack directly as this person; without a token before they sign in."""
        env = self.copy.stack_env
        headers = {"apikey": env["SUPABASE_PUBLISHABLE_KEY"]}
        if self.page.url.startswith(self.url):
            headers["Authorization"] = f"Bearer {self.token}"
        return patient.request(method, f"{env['SUPABASE_URL']}{path}", headers=headers, json=body)

    def character(self, name: str, **more: Any) -> str:
        """Creates a character of this person and returns its id. Reload the page to see it."""
        row = {"id": str(uuid4()), "user_id": self.user_id, "name": name, **more}
        operator(self.copy, "POST", "/rest/v1/characters", row)
        return str(row["id"])

    def insert_messages(self, *messages: tuple[str, str]) -> None:
        """Inserts messages (sender, content) into the open conversation and reloads the page."""
        rows = [
            {"conversation_id": self.conversation_id, "sender": sender, "content": content}
            for sender, content in messages
        ]
        before = self.said.count()
        operator(self.copy, "POST", "/rest/v1/messages", rows)
        self.page.reload()
        expect(self.said).to_have_count(before + len(rows))

    def delete(self, place: int) -> None:
        """Deletes the message at this index of the conversation."""
        messages = self.page.locator(".talk > li")
        before = messages.count()
        messages.nth(place).get_by_role("button", name="Delete", exact=True).click()
        self.press("Delete this message")
        expect(messages).to_have_count(before - 1)

    def stored(self) -> list[dict[str, Any]]:
        """The messages of the open conversation in the database."""
        path = f"messages?conversation_id=eq.{self.conversation_id}&order=position,created_at"
        return self.copy.rows(path)

    def turns(self) -> list[dict[str, Any]]:
        path = f"turns?conversation_id=eq.{self.conversation_id}&order=created_at"
        return self.copy.rows(path)


def operator(copy: WorkingCopy, method: str, path: str, body: Any) -> None:
    """Calls the stack with the secret key."""
    env = copy.stack_env
    headers = {"apikey": env["SUPABASE_SECRET_KEY"]}
    answer = patient.request(method, f"{env['SUPABASE_URL']}{path}", headers=headers, json=body)
    assert answer.is_success, answer.text


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries."""
    body = request.post_data_json
    assert isinstance(body, dict)
    return body
