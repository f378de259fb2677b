"""How much of each prompt begins like the one before it where entries of a lorebook come and go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bench.memory.function import Function, make_character
from bench.memory.prefix import CONTEXTS, CONVERSATIONS, TURNS, Turn, converse
from bench.memory.prose import THINGS, SmallTalk
from tests.support.stack import DEMO_CHARACTER

NO_BOOK, NO_POSITION = "no book", "no position"
POSITIONS: Mapping[str, Mapping[str, Any] | None] = {
    NO_BOOK: None,
    NO_POSITION: {},
    "depth 4": {"extensions": {"position": 4, "depth": 4}},
    "after the character": {"position": "after_char"},
}
"""What an entry says of its position. One before the character costs what one after it does."""
WORDS = 40
"""Of an entry."""
EVERY = 3
"""One of so many things has an entry."""


@dataclass(frozen=True)
class Cost:
    """The averages over turns with one context and position."""

    turns: int
    common: float
    """The common beginning."""
    reads_all_again: int
    """Turns whose first message is another one than in the turn before."""
    kept: float
    """The share of the history that fits which the prompt has."""
    tokens: float
    """Tokens of a prompt."""


async def compare(
    function: Function,
    say: Callable[[str], None],
    seed: int = 0,
    *,
    contexts: Sequence[int] = CONTEXTS,
    turns: int = TURNS,
) -> dict[str, dict[int, Cost]]:
    """Measure the conversations of `prefix` with a book at each position."""
    results: dict[str, dict[int, Cost]] = {}
    for position, columns in POSITIONS.items():
        character = make_character(function.db, DEMO_CHARACTER, make_book(columns, seed))
        results[position] = {}
        for context in contexts:
            found: list[Turn] = []
            for number in range(CONVERSATIONS):
                found += await converse(
                    function, context, seed + number, turns=turns, character=character
                )
            cost = results[position][context] = sum_up(found)
            say(f"{position}, context {context:,}: {cost.common:.1%} of a prompt stays the same")
    return results


def make_book(columns: Mapping[str, Any] | None, seed: int) -> dict[str, Any] | None:
    """A book with entries for things that are spoken of for a while; None without `columns`."""
    if columns is None:
        return None
    talk = SmallTalk(seed)
    return {
        "entries": [
            {"keys": [thing], "content": talk.describe(thing, WORDS), "enabled": True, **columns}
            for thing in THINGS[::EVERY]
        ]
    }


def sum_up(turns: Sequence[Turn]) -> Cost:
    """The averages over turns."""
    return Cost(
        turns=len(turns),
        common=fmean(turn.common for turn in turns),
        reads_all_again=sum(turn.reads_all_again for turn in turns),
        kept=fmean(turn.kept for turn in turns),
        tokens=fmean(turn.tokens for turn in turns),
    )
