"""Turns of a long conversation that write a summary, for the tests of the memory."""

from __future__ import annotations

from typing import Any

from tests.support.answers import stream
from tests.support.notes import either
from tests.support.talk import VENICE, Talk
from tests.support.upstream import Answer
from tests.support.waiting import Gate, wait_until

PARAGRAPH = " the fog lies on the water and the bell rings once a minute" * 5
MESSAGES = 26
"""Enough messages for a summary in a small context, while all of them still fit."""
SUMMARY = "Ada came to the lighthouse in a storm and Mara gave her tea."


def shorten_prompts(talk: Talk) -> None:
    """Leaves prompts little room, in a context that can read a whole batch."""
    talk.describe(VENICE, context_tokens=6144)
    talk.stack.db.execute(
        "update api_models set input_defaults = input_defaults || '{\"max_tokens\": 2800}'"
        " where model_key = %s",
        (VENICE,),
    )


def fill(talk: Talk, count: int) -> None:
    """Inserts messages "0 the fog ...", "1 the fog ...", the first by the user."""
    for number in range(count):
        talk.stack.insert(
            "messages",
            conversation_id=talk.conversation,
            sender="character" if number % 2 else "user",
            content=f"{number}{PARAGRAPH}",
        )


def take_turn(
    talk: Talk, notes: Answer, *, logged: str = "memory written", **body: Any
) -> dict[str, Any]:
    """One turn whose reply ends after its summary; returns the response. `logged` is how the line
    about the summary begins."""
    gate = Gate()
    talk.stack.upstream.always(either(stream(["Yes", gate, "."], usage=None), notes))
    already = len(talk.log)
    with talk.streaming("Go on", **body) as events:
        events.until("delta")
        wait_until(
            lambda: any(line.startswith(logged) for line in log_messages(talk)[already:]), logged
        )
        gate.open()
        return dict(events.until("done")[-1].data)


def log_messages(talk: Talk) -> list[str]:
    return [line["message"] for line in talk.log]


def summary(talk: Talk) -> dict[str, Any]:
    query = "select * from conversation_summaries where conversation_id = %s"
    rows = talk.stack.all(query, talk.conversation)
    return rows[0] if rows else {"content": "", "covers_position": 0}
