"""Somebody with a browser of their own, on the stack of a working copy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from playwright.sync_api import ConsoleMessage, Locator, Page, expect

from tests.support import patient
from tests.support.working_copy import WorkingCopy

PASSWORD = "a long enough password"
MARA = "Mara Voss"
GREETING = "The lamp hisses"
SCRIPTED = "scripted/one:free"
"""The model whose words a test writes."""
REPLY_MS = 900_000
"""A busy machine may need long for a reply of the real model."""


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
        self.make_account()
        self.sign_in()

    def make_account(self) -> None:
        """Gets an account, past the page."""
        account = {"email": self.email, "password": PASSWORD}
        made = self.copy_call("POST", "/auth/v1/signup", account).json()
        profile = {"id": made["user"]["id"], "display_name": "Ada"}
        operator(self.copy, "POST", "/rest/v1/profiles", profile)

    def meet(self) -> None:
        """A conversation that Mara has opened with her greeting; no model is asked for it."""
        self.page.locator(".person", has_text=MARA).click()
        self.press(f"Let {MARA} begin")
        expect(self.said.last).to_contain_text(GREETING)
        expect(self.page.get_by_role("button", name="Regenerate")).to_be_visible()

    def ask_the_scripted_model(self) -> None:
        """From now on it is chosen."""
        self.page.get_by_label("Who answers").select_option(SCRIPTED)

    def say(self, words: str) -> None:
        self.page.get_by_label("Message to").fill(words)
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
        return patient.request(method, f"{env['SUPABASE_URL']}{path}", headers=headers, json=body)

    def character(self, name: str, **more: Any) -> str:
        """Makes a character of theirs, whom the page knows when it is loaded again; the id."""
        row = {"id": str(uuid4()), "user_id": self.user_id, "name": name, **more}
        operator(self.copy, "POST", "/rest/v1/characters", row)
        return str(row["id"])

    def insert_messages(self, *messages: tuple[str, str]) -> None:
        """Puts messages (sender, content) into the open conversation; the page shows them."""
        rows = [
            {"conversation_id": self.conversation_id, "sender": sender, "content": content}
            for sender, content in messages
        ]
        before = self.said.count()
        operator(self.copy, "POST", "/rest/v1/messages", rows)
        self.page.reload()
        expect(self.said).to_have_count(before + len(rows))

    def delete(self, place: int) -> None:
        """Deletes the message at this place of the conversation, counted from 0."""
        messages = self.page.locator(".talk > li")
        before = messages.count()
        messages.nth(place).get_by_role("button", name="Delete", exact=True).click()
        self.press("Delete this message")
        expect(messages).to_have_count(before - 1)

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
    answer = patient.request(method, f"{env['SUPABASE_URL']}{path}", headers=headers, json=body)
    assert answer.is_success, answer.text
