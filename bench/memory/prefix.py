"""How much of each prompt begins like the one before it, over a long conversation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any
from uuid import UUID

from bench.memory.function import (
    MAX_TOKENS,
    Function,
    let_a_minute_pass,
    make_conversation,
    make_person,
    prepare,
)
from bench.memory.note_taker import write
from bench.memory.prompts import (
    Prompt,
    common_beginning,
    message_tokens,
    prompt_tokens,
    recalls,
)
from bench.memory.prose import SmallTalk, seeded
from tests.support.stack import DEMO_CHARACTER

CONTEXTS = (4_096, 8_192, 32_768)
TURNS = 150
CONVERSATIONS = 3


@dataclass(frozen=True)
class Beginnings:
    """The results with one context. Shares are averages over turns; None if there was none."""

    turns: int
    plain: float | None
    """The common beginning where nothing was recalled."""
    recalling: int
    """Turns that recall something."""
    recalled: float | None
    """The common beginning on those."""
    cold: int
    """Turns whose history begins with another message than in the turn before."""
    kept: float
    """The share of the history that fits which the prompt has."""
    least_kept: float
    tokens: float
    """Tokens of a prompt."""
    steps: int
    """How often notes were taken."""


@dataclass(frozen=True)
class Turn:
    """What a turn's prompt shows."""

    common: float
    recalls: bool
    is_cold: bool
    kept: float
    tokens: int
    reads_all_again: bool = False
    """Whether its first message is another one than in the turn before, so that no cache has the
    history."""


async def compare(
    function: Function, say: Callable[[str], None], seed: int = 0
) -> dict[int, Beginnings]:
    """Measure a conversation with each context."""
    results = {}
    for context in CONTEXTS:
        turns: list[Turn] = []
        steps = 0
        for number in range(CONVERSATIONS):
            turns += await converse(function, context, seed + number)
            steps += function.steps
        results[context] = sum_up(turns, steps)
        plain = results[context].plain or 0
        say(f"context {context:,}: {plain:.1%} of a prompt stays the same")
    return results


async def converse(
    function: Function,
    context: int,
    seed: int = 0,
    *,
    turns: int = TURNS,
    character: UUID = DEMO_CHARACTER,
) -> list[Turn]:
    """The turns of a new conversation, but for the first."""
    prepare(function.db, context)
    user = make_person(function.db, "Ada")
    conversation = make_conversation(function.db, user, character)
    talk = SmallTalk(seed)
    said: list[str] = []
    function.take_notes, function.steps = take_notes, 0
    found: list[Turn] = []
    before: Prompt = []
    for number in range(turns):
        message, reply = talk.person(number), talk.character(number)
        prompt = await function.say(user, conversation, message, reply)
        if before:
            found.append(_turn(before, prompt, said, context))
        said += [message, reply]
        before = prompt
        let_a_minute_pass(function.db)
    return found


def sum_up(turns: Sequence[Turn], steps: int) -> Beginnings:
    """The averages over turns."""
    recalled = [turn.common for turn in turns if turn.recalls]
    plain = [turn.common for turn in turns if not turn.recalls]
    return Beginnings(
        turns=len(turns),
        plain=fmean(plain) if plain else None,
        recalling=len(recalled),
        recalled=fmean(recalled) if recalled else None,
        cold=sum(turn.is_cold for turn in turns),
        kept=fmean(turn.kept for turn in turns),
        least_kept=min(turn.kept for turn in turns),
        tokens=fmean(turn.tokens for turn in turns),
        steps=steps,
    )


def _turn(before: Prompt, prompt: Prompt, said: Sequence[str], context: int) -> Turn:
    return Turn(
        common=common_beginning(before, prompt),
        recalls=recalls(prompt),
        is_cold=prompt[1] != before[1],
        kept=kept_share(prompt, said, context - MAX_TOKENS),
        tokens=prompt_tokens(prompt),
        reads_all_again=prompt[0] != before[0],
    )


def kept_share(prompt: Prompt, said: Sequence[str], budget: int) -> float:
    """How much of the history that fits is in the prompt, in tokens.

    What fits are the newest of the messages `said` in what all else in the prompt leaves of
    `budget`.
    """
    spoken = [m["content"] for m in prompt[1:-1] if m["role"] != "system"]
    history = sum(map(message_tokens, spoken))
    room = budget - (prompt_tokens(prompt) - history)
    fits = 0
    for text in reversed(said):
        if fits + message_tokens(text) > room:
            break
        fits += message_tokens(text)
    return history / fits if fits else 1.0


def take_notes(material: Mapping[str, Any]) -> str:
    """A summary of constant length, and three facts about the messages."""
    chance = seeded(material["messages"][-1]["text"])
    said = [message["text"] for message in material["messages"]]
    picked = sorted(chance.sample(range(len(said)), min(3, len(said))))
    facts = [
        {
            "action": "add",
            "tier": "conversation",
            "text": f"They spoke of this: {' '.join(said[place].split()[:14])}",
            "importance": chance.randint(1, 5),
            "subject": "talk",
            "message": place + 1,
        }
        for place in picked
    ]
    return write(_summary(str(material["summary"]), said), facts)


def _summary(old: str, said: Sequence[str]) -> str:
    """The end of the old summary and the beginnings of the messages, in at most 250 words."""
    new = [" ".join(text.split()[:8]) for text in said]
    return " ".join(" ".join([old, *new]).split()[-250:])
