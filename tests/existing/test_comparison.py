"""`make usage` on an adopted database: the old function beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from dev.operate.usage import Side, comparison
from tests.existing.database import STATES
from tests.existing.installation import adopted_database
from tests.existing.turns import PERSON, take_turn
from tests.support.plans import explained, scanned
from tests.support.postgres import OWNER, Connection, Postgres


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


def sides(connection: Connection, most: int) -> list[dict[str, Any]]:
    return connection.execute("select * from public.compare_functions(2, %s)", [most]).fetchall()


def compared(connection: Connection, most: int = 100) -> dict[str, dict[str, Any]]:
    rows = sides(connection, most)
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


def test_only_the_newest_of_many_messages_are_compared(adopted: Connection) -> None:
    converse_with_the_old_function(adopted, 3)
    assert compared(adopted, 6)["old"]["since"] is None
    old = compared(adopted, 3)["old"]
    times = adopted.execute("select created_at from messages order by created_at").fetchall()
    assert old["since"] == times[2]["created_at"]
    assert (old["said"], old["replies"]) == (1, 2)


def test_older_messages_than_those_that_are_compared_are_not_read(
    postgres: Postgres, adopted: Connection
) -> None:
    adopted.execute(
        "insert into public.messages (conversation_id, sender, content, message_type, created_at)"
        " select %s, 'user', 'Words.', 'text', now() - n * interval '1 minute'"
        " from generate_series(1, 5000) n",
        [converse_with_the_old_function(adopted, 0)],
    )
    adopted.execute("analyze messages")
    with postgres.connect(adopted.info.dbname, OWNER) as db, explained(db) as plans:
        assert sum(row["said"] for row in sides(db, 50)) == 50
    assert 100 <= scanned(plans) <= 200


def test_nothing_said_is_no_row(adopted: Connection) -> None:
    assert compared(adopted) == {}


def test_table_shows_both() -> None:
    numbers = {"conversations": 2, "said": 4, "replies": 5, "failed": 1, "fallbacks": None}
    side = Side(day="2026-01-03", side="old", duration_ms_p50=1500, cost_usd=0.25, **numbers)
    output = StringIO()
    Console(file=output, width=120).print(comparison([side], 14))
    assert "2026-01-03 old" in output.getvalue()
    assert "all messages of 14 days" in output.getvalue()
    assert output.getvalue().split()[-7:] == ["2", "4", "1.25", "25.0%", "-", "1.5", "0.2500"]


def test_table_says_since_when_messages_were_compared() -> None:
    numbers = {"conversations": 2, "said": 4, "replies": 5, "failed": 1, "fallbacks": None}
    since = datetime(2026, 1, 3, 10, 30, tzinfo=UTC)
    times = {"since": since, "duration_ms_p50": 1500, "cost_usd": 0.25}
    table = comparison([Side(day=since.date(), side="old", **numbers, **times)], 14)
    assert table.title.endswith("only the newest messages, since 2026-01-03 10:30 UTC")
