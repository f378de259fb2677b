"""Scripts a model for the tests of the memory: it replies, and writes summaries and facts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from roleplay_chat.memory.request import INSTRUCTIONS
from tests.support.answers import text
from tests.support.upstream import Answer, Call, Exchange, Upstream


def asks_for_notes(call: Call) -> bool:
    """Whether a call is for the memory rather than for a reply."""
    messages = call.json.get("messages") or [{}]
    return str(messages[0].get("content")).startswith(INSTRUCTIONS)


def either(reply: Answer, notes: Answer) -> Answer:
    """One response for replies and another for the memory."""

    async def answer(exchange: Exchange) -> None:
        await (notes if asks_for_notes(exchange.call) else reply)(exchange)

    return answer


def written(summary: str, *facts: str | tuple[str, str], **answered: Any) -> Answer:
    """A summary and facts in the requested format. A fact is a text or (tier, text)."""
    listed = [("conversation", fact) if isinstance(fact, str) else fact for fact in facts]
    notes = {
        "summary": summary,
        "facts": [{"tier": tier, "text": said} for tier, said in listed],
    }
    return text(json.dumps(notes), **answered)


def asked_for_notes(upstream: Upstream) -> list[dict[str, Any]]:
    """The material of each call for the memory, oldest first."""
    calls = [call for call in upstream.calls if asks_for_notes(call)]
    return [json.loads(call.json["messages"][1]["content"]) for call in calls]


def prompts(upstream: Upstream) -> list[Sequence[dict[str, str]]]:
    """The messages of each call for a reply, oldest first."""
    return [call.json["messages"] for call in upstream.calls if not asks_for_notes(call)]
