"""Conversations and messages of a person, as rows and on the page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from playwright.sync_api import expect

from tests.support.person import MARA, Person, operator
from tests.support.upstream import Upstream


def listed(person: Person) -> Any:
    """The conversations in the list at the side."""
    return person.page.locator(".lists h2:text('Conversations') + ul > li > button:first-child")


def people(person: Person) -> Any:
    """The characters in the list at the side."""
    return person.page.locator(".lists h2:text('Characters') + ul button")


def character_id(person: Person) -> str:
    return str(person.copy.rows(f"characters?name=eq.{MARA}")[0]["id"])


USER_ID = "JSON.parse(Object.entries(localStorage).find(([k]) => /auth/.test(k))[1]).user.id"


def own_id(person: Person) -> str:
    """The id of the person who is signed in."""
    expect(person.page.locator(".who")).to_be_attached()
    return str(person.page.evaluate(USER_ID))


def conversations(person: Person, count: int) -> list[str]:
    """Inserts conversations, each older than the one before."""
    now = datetime.now(UTC)
    whose = {"user_id": own_id(person), "character_id": character_id(person)}
    rows = [
        {
            **whose,
            "id": str(uuid4()),
            "title": f"Talk {number}",
            "updated_at": (now - timedelta(minutes=number + 1)).isoformat(),
        }
        for number in range(count)
    ]
    operator(person.copy, "POST", "/rest/v1/conversations", rows)
    return [row["id"] for row in rows]


def messages(person: Person, count: int, conversation_id: str | None = None) -> None:
    """Inserts messages, "Message 1" to "Message <count>"."""
    rows = [
        {
            "conversation_id": conversation_id or person.conversation_id,
            "sender": "user" if number % 2 else "character",
            "content": f"Message {number}",
        }
        for number in range(1, count + 1)
    ]
    for at in range(0, count, 500):
        operator(person.copy, "POST", "/rest/v1/messages", rows[at : at + 500])


def begin(person: Person, scripted: Upstream) -> None:
    person.begin()
    person.ask_the_scripted_model()
