"""Chooses the messages of the history that are sent: the newest ones that fit, of which long ones
lose their middle. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace

from roleplay_chat.prompt import recall
from roleplay_chat.prompt.budget import RECALL_SHARE
from roleplay_chat.rows import BegunTurn, MessageRow
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, Tokens

CUT_SHARE, CUT_TOKENS = 0.3, 3_000
"""How much more than necessary is cut off a history that is too long: a share of its room, and
tokens. See `first_kept`."""
LONG_SHARE, MAX_LONG_SHARE = 0.25, 0.6
"""The share of the budget for a message of a history that is too long, and the most of the
history's room for it: see `longest_shown`."""
_SENTENCE_BEGINNING = re.compile(r"""[.!?…]["'”’»)*_]*\s+|[。！？][”’」』]*\s*|\n\s*""")
_WORD_BEGINNING = re.compile(r"\s+")


def kept_messages(
    begun: BegunTurn,
    history: Sequence[MessageRow],
    *,
    cost: int,
    room: int,
    budget: int,
    tokens: Tokens,
) -> Sequence[MessageRow]:
    """The messages that are sent in `room` tokens, oldest first: at least the newest one. If not
    all of them fit, long ones lose their middle.

    `history` are the messages from the speaker's point of view, which cost at most `cost` tokens;
    `budget` are the tokens of the whole prompt.
    """
    is_cut = begun.is_cut
    if not history or (not is_cut and cost <= room):
        return history
    longest = longest_shown(budget, room)
    reserve = min(recall.budget(budget), int(room * RECALL_SHARE))
    first = first_kept(history, room, reserve, longest, tokens, is_cut=is_cut)
    *others, newest = history[first:]
    shown = [_without_its_middle(row, longest, tokens) for row in others]
    limit = _longest_newest(longest, room)
    if begun.turn.continues is None:
        last = _without_its_middle(newest, limit, tokens)
    else:
        last = _with_its_end(newest, begun.history[-1].content, limit, tokens)
    return [*shown, last] if last.content else shown


def longest_shown(budget: int, room: int) -> int:
    """The tokens that a message has in a history that is too long for `room` tokens. A longer one
    loses its middle, so that it neither pushes out all others nor is pushed out by the next ones.

    A fixed share of the budget, because the prompts of several turns begin with it; if the room is
    small, half of this, a quarter and so on.
    """
    longest = int(budget * LONG_SHARE)
    while longest > max(room, 0) * MAX_LONG_SHARE:
        longest //= 2
    return longest


def _longest_newest(longest: int, room: int) -> int:
    """As `longest_shown`, for the newest message. It may be longer, because no beginning of a
    prompt depends on it."""
    return min(2 * longest, max(room, 0))


def cost_at_most(rows: Sequence[MessageRow], tokens: Tokens) -> int:
    """An upper bound for the sum of `Tokens.message_cost`, in a single count."""
    whole = tokens.count("".join([row.content for row in rows]))
    return whole + (TOKENS_PER_MESSAGE + 1) * len(rows)


def first_kept(
    history: Sequence[MessageRow],
    room: int,
    reserve: int,
    longest: int,
    tokens: Tokens,
    *,
    is_cut: bool = False,
) -> int:
    """Where to cut a history that is too long for `room` tokens; 0 if all of it fits when long
    messages have lost their middle: see `longest_shown`. Otherwise `reserve` tokens are left for
    recalled messages. A history that the database has cut (`is_cut`) begins with another message in
    every turn, so it is cut here even if it fits.

    Of the cuts that keep nearly as much as fits, the one with the highest grade, which stays the
    highest as long as that cut is possible. So most turns only append to the prompt of the turn
    before, which stays cached.
    """
    costs: list[int] = []
    spent = 0
    while len(costs) < len(history) and spent <= room:
        limit = longest if costs else _longest_newest(longest, room)
        costs.append(min(tokens.message_cost(history[-1 - len(costs)].content), limit))
        spent += costs[-1]
    if spent <= room and not is_cut:
        return 0
    room = min(room - reserve, spent)
    least = room - min(CUT_SHARE * room, CUT_TOKENS)
    first = latest = len(history)
    spent = 0
    for cost in costs:
        if (spent := spent + cost) > room:
            break
        first -= 1
        if spent <= least:
            latest = first
    last = len(history) - 1
    places = range(min(first, last), min(latest, last) + 1)
    return max(places, key=lambda place: (_grade(history[place].position), -place))


def _grade(position: int) -> int:
    """How rarely a history may begin at this position: 0 for half of them, 1 for a quarter, ..."""
    mixed = position * 0x9E3779B97F4A7C15 >> 16 & 0xFFFFFFFF
    return (mixed & -mixed).bit_length()


def _without_its_middle(row: MessageRow, limit: int, tokens: Tokens) -> MessageRow:
    """The message within `limit` tokens, with its beginning and its end."""
    limit -= TOKENS_PER_MESSAGE
    if (ends := tokens.both_ends(row.content, limit)) is None:
        return row
    shown = "".join(ends)
    return replace(row, content=shown if tokens.count(shown) <= limit else "")


def _with_its_end(row: MessageRow, said: str, limit: int, tokens: Tokens) -> MessageRow:
    """The message within `limit` tokens with the end of what was `said`, from which a model can go
    on."""
    limit -= TOKENS_PER_MESSAGE
    if tokens.count(row.content) <= limit:
        return row
    # In a group, the speaker's name comes before what was said.
    name = row.content.removesuffix(said)
    end = _end(said, limit - tokens.count(name), tokens)
    return replace(row, content=name + end if end else "")


def _end(text: str, limit: int, tokens: Tokens) -> str:
    """The end of a text within `limit` tokens, from the beginning of a sentence, or of a word if
    half of the end would be lost."""
    start = len(text) - len(tokens.end(text, limit))
    latest = (start + len(text)) // 2
    for beginning in (_SENTENCE_BEGINNING, _WORD_BEGINNING):
        # The mark and the space before the first whole sentence may stand before `start`.
        for match in beginning.finditer(text, max(start - 4, 0)):
            if start <= match.end() <= latest:
                return text[match.end() :]
    return text[start:]
