"""A turn of a person of the running product, in the database alone."""

from __future__ import annotations

from uuid import uuid4

from tests.support.postgres import Connection

PERSON = "11111111-1111-4111-8111-111111111111"
OURS = "bbbbbbbb-0000-4000-8000-000000000001"


def take_turn(connection: Connection, message: str, result: str = "{}") -> None:
    turn = uuid4()
    begun = connection.execute(
        "select public.begin_turn(%s, %s, 'roleplay', 'send', %s, p_message => %s) as begun",
        [turn, PERSON, OURS, message],
    ).fetchone()
    assert begun
    assert begun["begun"]["outcome"] == "started", begun
    connection.execute(
        "select public.finish_turn(%s, 'complete', 'A reply.', %s::jsonb, %s::jsonb)",
        [turn, '{"duration_ms": 1500, "cost_usd": 0.25}', result],
    )
