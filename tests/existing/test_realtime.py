"""What our functions write is published as the product's own writes are, to those who subscribe."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.existing.database import create
from tests.existing.installation import adopt
from tests.existing.requests import PEOPLE
from tests.support.postgres import OWNER, Connection, running_postgres

TALK = "bbbbbbbb-0000-4000-8000-000000000001"
COLUMNS = ("conversation_id", "sender", "content", "message_type")
"""What the product's client reads of a message, beside its id and time."""

CHANGES = """
select data from pg_logical_slot_get_binary_changes(
  'watch', null, null, 'proto_version', '1', 'publication_names', 'supabase_realtime')
"""


@dataclass(frozen=True)
class Change:
    """A change as a subscriber gets it."""

    kind: str
    table: str
    row: dict[str, str | None]

    @property
    def read(self) -> tuple[str, ...]:
        """What the client makes of it."""
        return (self.kind, *(str(self.row[name]) for name in COLUMNS))


class Message:
    """A message of the protocol of logical replication, read from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self, size: str) -> int:
        value, length = struct.unpack_from(f">{size}", self._data)[0], struct.calcsize(f">{size}")
        self._data = self._data[length:]
        return int(value)

    def text(self) -> str:
        text, _, self._data = self._data.partition(b"\0")
        return text.decode()

    def letter(self) -> str:
        return chr(self.number("B"))

    def values(self) -> list[str | None]:
        values: list[str | None] = []
        for _ in range(self.number("h")):
            length = self.number("i") if self.letter() == "t" else -1
            values.append(self._data[:length].decode() if length >= 0 else None)
            self._data = self._data[max(length, 0) :]
        return values


def decoded(rows: list[dict[str, Any]]) -> Iterator[Change]:
    tables: dict[int, tuple[str, list[str]]] = {}
    kinds = {"I": "INSERT", "U": "UPDATE"}
    for message in (Message(row["data"]) for row in rows):
        letter = message.letter()
        if letter == "R":
            table = message.number("I")
            message.text()
            name, _ = message.text(), message.letter()
            columns = []
            for _ in range(message.number("h")):
                message.letter()
                columns.append(message.text())
                message.number("I")
                message.number("i")
            tables[table] = (name, columns)
        elif letter in kinds:
            name, columns = tables[message.number("I")]
            assert message.letter() == "N"
            yield Change(kinds[letter], name, dict(zip(columns, message.values(), strict=True)))


@pytest.fixture(scope="module")
def watched(state: str) -> Iterator[Connection]:
    """An adopted database whose messages the product publishes, with a subscriber."""
    with running_postgres(publishes=True) as server:
        create(server, "watched", state, ("rows",))
        with server.connect("watched") as theirs:
            theirs.execute("alter publication supabase_realtime add table public.messages")
        adopt(server, "watched")
        with server.connect("watched", OWNER) as owner:
            owner.execute("set synchronous_commit = on")  # a subscriber reads what is flushed
            owner.execute("select pg_create_logical_replication_slot('watch', 'pgoutput')")
            yield owner


def changes(watched: Connection) -> list[Change]:
    """Of messages, since the last call."""
    rows = watched.execute(CHANGES).fetchall()
    return [change for change in decoded(rows) if change.table == "messages"]


def turn(watched: Connection, action: str, message: str | None, reply: str) -> str:
    turn_id = uuid4()
    watched.execute(
        "select public.begin_turn(%s, %s, 'roleplay', %s, %s, p_message => %s)",
        [turn_id, PEOPLE["person"], action, TALK, message],
    )
    row = watched.execute(
        "select public.finish_turn(%s, 'complete', %s) ->> 'message_id' as id", [turn_id, reply]
    ).fetchone()
    assert row
    return str(row["id"])


def test_a_turn_is_published_as_messages_of_the_product(watched: Connection) -> None:
    changes(watched)
    reply = turn(watched, "send", "Which coast?", "The northern one.")
    told = changes(watched)
    assert [change.read for change in told] == [
        ("INSERT", TALK, "user", "Which coast?", "text"),
        ("INSERT", TALK, "assistant", "The northern one.", "roleplay_chat"),
    ]
    assert told[1].row["id"] == reply
    assert all(change.row["created_at"] for change in told)


def test_changes_of_a_message_are_published(watched: Connection) -> None:
    reply = turn(watched, "send", "And the harbour?", "It silted up.")
    changes(watched)
    watched.execute(
        "select public.edit_message(%s, %s, 'It froze.', 100)", [PEOPLE["person"], reply]
    )
    assert [change.read for change in changes(watched)] == [
        ("UPDATE", TALK, "assistant", "It froze.", "roleplay_chat")
    ]
    turn(watched, "regenerate", None, "It was never one.")
    assert [change.read for change in changes(watched)] == [
        ("INSERT", TALK, "assistant", "It was never one.", "roleplay_chat")
    ]
