"""The name that somebody gives at the sign-up, also where they confirm their email first."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import text
from tests.support.stack import Stack, User

pytestmark = pytest.mark.installations


def sign_up(stack: Stack, data: Any) -> UUID:
    """An account as Auth makes it, before its email is confirmed."""
    person = uuid4()
    stack.db.execute(
        "insert into auth.users (id, email, raw_user_meta_data) values (%s, %s, %s)",
        (person, f"{person}@example.com", None if data is None else Jsonb(data)),
    )
    return person


def name(stack: Stack, person: UUID) -> str | None:
    rows = stack.all("select display_name from shared.profiles where id = %s", person)
    return rows[0]["display_name"] if rows else None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("Ada", "Ada", id="as it is"),
        pytest.param("  Ada\tLove\nlace ", "Ada Love lace", id="one line"),
        pytest.param("阿达 🦉", "阿达 🦉", id="any script"),
        pytest.param("a" * 5_000, "a" * 80, id="cut"),
        pytest.param("Ada" + " " * 77 + "x", "Ada x", id="one space"),
    ],
)
def test_name_of_the_sign_up_is_the_persons_name(stack: Stack, given: str, expected: str) -> None:
    person = sign_up(stack, {"display_name": given})
    assert name(stack, person) == expected


@pytest.mark.parametrize(
    "data",
    [None, {}, [], "Ada", {"display_name": None}, {"display_name": ""}, {"display_name": " \n"}]
    + [{"display_name": value} for value in (7, True, ["Ada"], {"first": "Ada"})],
)
def test_sign_up_without_a_name_is_as_before(stack: Stack, data: Any) -> None:
    assert name(stack, sign_up(stack, data)) is None


def test_characters_call_the_person_by_it(stack: Stack) -> None:
    person = sign_up(stack, {"display_name": "Ada Lovelace"})
    user = User(person, f"{person}@example.com", stack.keys.token(person))
    stack.upstream.enqueue(text("Good evening."))
    answer = stack.chat(user, conversation_id=str(stack.conversation(user)), message="Hello")
    assert answer.status_code == 200, answer.text
    assert "Ada Lovelace" in str(stack.upstream.calls[-1].json)


@pytest.mark.own_tables("an existing product makes its profiles itself")
def test_profile_can_be_written_before_and_is_kept(stack: Stack) -> None:
    person = sign_up(stack, {"display_name": "Ada"})
    stack.db.execute(
        "insert into profiles (id, display_name) values (%s, 'Eve') on conflict do nothing",
        (person,),
    )
    assert name(stack, person) == "Ada"
