"""Chooses which earlier messages to put before the person's message, and writes them down. Pure.

The database finds the candidates (`private.recall`). Those that are in the history anyway are left
out, and the best of the others are shown within a share of the prompt, in order.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby

from roleplay_chat.prompt.passages import Piece, Run
from roleplay_chat.rows import RecalledRow
from roleplay_chat.tokens import Tokens

SHARE = 0.16
"""The most of a prompt's budget for recalled messages. No cache knows them, and more of them find
little more."""
MAX_TOKENS, SHORT = 1_200, 8_192
"""The most tokens for them, in prompts that are not longer than `SHORT`. In a longer one, which has
more of the history and leaves less to be found, the limit falls with the root of the length."""
NAMED_WEIGHT = 1.5
"""How much more the messages of somebody count whom the person's message names."""
_WORD = re.compile(r"\w+")
TITLE = "[Earlier in this story, as far as it bears on the next message:]"


def budget(prompt: int) -> int:
    """The tokens for recalled messages in a prompt of `prompt` tokens."""
    if prompt <= SHORT:
        return int(min(prompt * SHARE, MAX_TOKENS))
    return int(MAX_TOKENS * math.sqrt(SHORT / prompt))


def choose(
    found: Sequence[RecalledRow],
    *,
    before: int | None,
    said: str,
    names: Mapping[str, str],
    budget: int,
    tokens: Tokens,
) -> list[RecalledRow]:
    """The best of `found` that fit in `budget` tokens, oldest first.

    Only messages before position `before`, where the history begins; None if there is none. `said`
    is the person's message, `names` the name for each `sender` whose rows have no speaker.
    """
    spoken = _words(said)

    def rank(row: RecalledRow) -> float:
        is_named = not spoken.isdisjoint(_words(row.speaker or names[row.sender]))
        return row.score * (NAMED_WEIGHT if is_named else 1)

    earlier = [row for row in found if before is None or row.position < before]
    chosen: list[RecalledRow] = []
    days: set[date | None] = set()
    left = budget - tokens.count(f"{TITLE}\n")
    for row in sorted(earlier, key=rank, reverse=True):
        day = _day(row)
        heading = 0 if day in days else tokens.count(f"{_written_day(day)}\n")
        cost = heading + tokens.count(f"{_line(row, names)}\n")
        if cost <= left:
            left -= cost
            chosen.append(row)
            days.add(day)
    return sorted(chosen, key=lambda row: (_day(row) or date.min, row.position))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def written(rows: Sequence[RecalledRow], names: Mapping[str, str]) -> Piece:
    """The chosen messages as one text, each with who said it, under the day when it was said."""
    return Piece.from_runs([(None, TITLE), *_runs(rows, names)] if rows else [])


def _runs(rows: Iterable[RecalledRow], names: Mapping[str, str]) -> Iterator[Run]:
    for day, said in groupby(rows, _day):
        yield None, f"\n{_written_day(day)}" if day else ""
        for row in said:
            yield None, "\n"
            yield "history", _line(row, names)


def _line(row: RecalledRow, names: Mapping[str, str]) -> str:
    return f"{row.speaker or names[row.sender]}: {row.content}"


def _day(row: RecalledRow) -> date | None:
    return row.said_at.date() if row.said_at else None


def _written_day(day: date | None) -> str:
    return f"({day.day} {day:%B %Y})" if day else ""
