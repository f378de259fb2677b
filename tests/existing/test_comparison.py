"""`make usage` on an adopted database: the old function beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from dev.operate.usage import Side, comparison
from tests.existing.database import STATES
from tests.existing.installation import adopted_database
from tests.existing.turns import PERSON, take_turn
from tests.support.postgres import Connection, Postgres


@pytest.fixture(params=STATES)
def adopted(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Connection]:
    with adopted_database(postgres, request.param, ("rows",)) as connection:
        connection.execute("delete from public.messages")
        yield connection


def converse_with_the_old_function(connection: Connection, said: int) -> str:
    """A conversation in which each message was answered by it."""
    row = connection.execute(
        "insert into public.conversations (user_id) values (%s) returning id", [PERSON]
    ).fetchone()
    assert row
    for _ in range(said):
        for sender, kind in (("user", "text"), ("assistant", "roleplay_chat")):
            connection.execute(
                "insert into public.messages (conversation_id, sender, content, message_type)"
                " values (%s, %s, 'Words.', %s)",
                [row["id"], sender, kind],
            )
    return str(row["id"])


def compared(connection: Connection) -> dict[str, dict[str, Any]]:
    rows = connection.execute("select * from public.compare_functions(2)").fetchall()
    return {row["side"]: row for row in rows}


def test_each_side_has_its_own_conversations(adopted: Connection) -> None:
    converse_with_the_old_function(adopted, 3)
    take_turn(adopted, "Hello.")
    take_turn(adopted, "And?", '{"usedFallback": true}')
    found = compared(adopted)
    old, new = found["old"], found["new"]
    assert (old["conversations"], old["said"], old["replies"]) == (1, 3, 3)
    assert (new["conversations"], new["said"], new["replies"]) == (1, 2, 2)
    assert (new["failed"], new["fallbacks"], new["duration_ms_p50"]) == (0, 1, 1500)
    assert float(new["cost_usd"]) == 0.5
    assert old["fallbacks"] is None


def test_nothing_said_is_no_row(adopted: Connection) -> None:
    assert compared(adopted) == {}


def test_table_shows_both() -> None:
    numbers = {"conversations": 2, "said": 4, "replies": 5, "failed": 1, "fallbacks": None}
    side = Side(day="2026-01-03", side="old", duration_ms_p50=1500, cost_usd=0.25, **numbers)
    output = StringIO()
    Console(file=output, width=120).print(comparison([side]))
    assert "2026-01-03 old" in output.getvalue()
    assert output.getvalue().split()[-7:] == ["2", "4", "1.25", "25.0%", "-", "1.5", "0.2500"]
