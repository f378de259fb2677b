"""`make adopt ARGS=--rehearse`: build the next prompt of every active conversation.

Each is begun in a transaction that is rolled back, and no model is called. Only counts are kept.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
from pydantic import ValidationError

from edge.clients import Clients
from roleplay_chat.api import ChatRequest
from roleplay_chat.rows import BegunTurn
from roleplay_chat.screening.decision import ContentRefused
from roleplay_chat.turn_cache import CachedTurn, complete
from roleplay_chat.turn_plan import Accepted, plan_turn
from roleplay_chat.turn_screen import PromptScreen

MESSAGE = "Hello."
"""What the person says in each rehearsed turn."""

Database = psycopg.Connection[dict[str, Any]]
T = TypeVar("T")

_CONVERSATIONS = """
select c.id, c.user_id, c.character_id from public.conversations c
where c.status = 'active' and c.character_id is not null order by c.updated_at desc, c.id
"""

_BEGIN = """
select public.begin_turn(p_turn_id => %(turn)s, p_user_id => %(user)s, p_task => 'roleplay',
                         p_action => 'send', p_conversation_id => %(conversation)s,
                         p_message => %(message)s) as begun
"""


@dataclass
class Rehearsal:
    """The results of the rehearsed turns."""

    ready: int = 0
    """Turns whose prompt was built."""
    not_begun: Counter[str] = field(default_factory=Counter)
    """By the outcome of begin_turn."""
    failed: Counter[str] = field(default_factory=Counter)
    """Calls of begin_turn that raised, by SQLSTATE."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Rows that the function cannot read, by the field."""
    refused: Counter[str] = field(default_factory=Counter)
    """By the content policy's category and the part."""
    without_model: int = 0
    tiers: Counter[str] = field(default_factory=Counter)
    """Given, where the adult tier was asked for."""
    tokens: list[int] = field(default_factory=list)
    """Of each prompt."""
    cut_histories: int = 0
    """Prompts without the oldest messages that were read for them."""

    @property
    def errors(self) -> int:
        """Turns that would fail with a fault, not with a decision."""
        return sum(self.failed.values()) + sum(self.unreadable.values())


class _Threads(Clients):
    """Clients with threads only, which is what screening uses."""

    def __init__(self) -> None:
        """Needs no settings, because nothing is connected to."""

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.to_thread(function, *arguments)


def rehearse(database: Database, tell: Callable[[str], None]) -> Rehearsal:
    """Rehearse all turns. Reports progress every hundred conversations."""
    rehearsal = Rehearsal()
    conversations = database.execute(_CONVERSATIONS).fetchall()
    for number, conversation in enumerate(conversations, 1):
        begun = _begun(database, conversation, rehearsal)
        if begun is not None:
            asyncio.run(_build(begun, conversation, rehearsal))
        if number % 100 == 0:
            tell(f"{number} of {len(conversations)} conversations")
    return rehearsal


def _begun(
    database: Database, conversation: dict[str, Any], rehearsal: Rehearsal
) -> BegunTurn | None:
    parameters = {
        "turn": uuid4(),
        "user": conversation["user_id"],
        "conversation": conversation["id"],
        "message": MESSAGE,
    }
    try:
        with database.transaction(force_rollback=True):
            row = database.execute(_BEGIN, parameters).fetchone()
    except psycopg.Error as error:
        rehearsal.failed[str(error.sqlstate)] += 1
        return None
    begun = row["begun"] if row else {}
    if begun.get("outcome") != "started":
        rehearsal.not_begun[str(begun.get("outcome"))] += 1
        return None
    try:
        complete(begun, CachedTurn())
        return BegunTurn.model_validate(begun)
    except ValidationError as error:
        for problem in error.errors(include_input=False):
            rehearsal.unreadable[".".join(map(str, problem["loc"]))] += 1
        return None


async def _build(begun: BegunTurn, conversation: dict[str, Any], rehearsal: Rehearsal) -> None:
    request = ChatRequest(
        message=MESSAGE,
        conversation_id=conversation["id"],
        character_id=conversation["character_id"],
        content_tier="nsfw",
    )
    planned = plan_turn(Accepted(begun, request, UUID(str(conversation["user_id"])), "rehearsal"))
    rehearsal.tiers[planned.tier] += 1
    try:
        prompt = await PromptScreen(_Threads(), request, planned).open()
    except ContentRefused as refused:
        finding = refused.finding
        rehearsal.refused[f"{finding.category} in {finding.part}"] += 1
        return
    if planned.first is None:
        rehearsal.without_model += 1
        return
    rehearsal.ready += 1
    rehearsal.tokens.append(
        sum(planned.first.tokens.count(message["content"]) for message in prompt)
    )
    shown = " ".join(message["content"] for message in prompt)
    oldest = begun.history[0].content if begun.history else ""
    rehearsal.cut_histories += oldest not in shown


def sentences(rehearsal: Rehearsal) -> Iterator[str]:
    """The rehearsal for a person."""
    yield f"Prompts built: {rehearsal.ready}. No model was called and nothing was written."
    yield from _counts("Turns that would not begin", rehearsal.not_begun)
    yield from _counts("Errors of begin_turn, by SQLSTATE", rehearsal.failed)
    yield from _counts("Rows that cannot be read", rehearsal.unreadable)
    yield from _counts("Refused by the content policy", rehearsal.refused)
    if rehearsal.without_model:
        yield f"Conversations for which there is no model: {rehearsal.without_model}."
    yield from _counts("Tier given, where the adult tier was asked for", rehearsal.tiers)
    if rehearsal.tokens:
        yield (
            f"Tokens of a prompt: {round(median(rehearsal.tokens))} in the median, at most"
            f" {max(rehearsal.tokens)}."
        )
    if rehearsal.cut_histories:
        yield f"Prompts without the oldest messages of the history: {rehearsal.cut_histories}."


def _counts(title: str, counts: Counter[str]) -> Iterator[str]:
    if counts:
        parts = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        yield f"{title}: {parts}."
