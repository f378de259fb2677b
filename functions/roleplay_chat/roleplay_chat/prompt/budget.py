"""Divides a prompt's token budget among its parts.

If not everything fits, example dialogue is dropped first, then the lorebook, then the ends of the
character's long texts: see `SHARES`.
"""

import math
from collections.abc import Mapping

from roleplay_chat.prompt.composition import Section
from roleplay_chat.tokens import TOKENS_PER_MESSAGE

HISTORY_SHARE = 0.25
"""The minimum share of the budget for the history; the system message yields to it."""
LORE_SHARE = 0.25
"""The maximum share for the lorebook, which also gets no more than the system message leaves."""
MEMORY_SHARE = 0.25
"""The maximum share for summary and facts together; pinned and important facts get at most half of
it before the summary."""
CLOSING_SHARE = 0.75
"""The maximum share for the closing messages: post-history instructions and the person's message.
The middle of a longer message is cut out, because it would displace everything else."""
INSTRUCTIONS_SHARE = 0.2
"""The maximum share for the post-history instructions."""
NOTE_SHARE = 0.1
"""The maximum share for the character's note, and for the person's. Both are among the closing
messages' costs."""
RECALL_SHARE = 0.25
"""The maximum share of the history's room that is left for recalled messages, if the history is too
long."""
STEP_SHARE = 1 / 16
"""Lengths that change every turn are rounded up to multiples of this share before they decide how
much of a long card is cut. Otherwise prompts would change every turn and never be cached."""
SHARES: Mapping[Section, float] = {
    "template": 0.25,
    "vitals": 0.05,
    "others": 0.05,
    "directions": 0.05,
    "scene": 0.1,
    "role": 0.05,
    "persona": 0.1,
    "memory": 0.15,
    "scenario": 0.04,
    "personality": 0.06,
    "description": 0.1,
    "lore": 0.0,
    "examples": 0.0,
}
"""The guaranteed share of the system message's room for each section. The remainder goes to
sections that need more, in this order, so the last ones are cut first."""


def system_room(budget: int, closing: int) -> int:
    """Tokens for the system message's text and the lorebook entries among the messages."""
    left = max(budget - rounded_up(closing, budget), 0)
    return max(left - int(min(budget * HISTORY_SHARE, left / 2)) - TOKENS_PER_MESSAGE, 0)


def min_history_room(budget: int) -> int:
    """The tokens that the history has at least in a prompt of `budget` tokens."""
    left = budget - int(budget * CLOSING_SHARE)
    return int(min(budget * HISTORY_SHARE, left / 2))


def divide_budget(needs: Mapping[Section, int], room: int) -> dict[Section, int]:
    """Divide `room` tokens among the sections: first each gets what it needs up to its share, then
    the remainder is distributed in order."""
    ordered = [(name, needs.get(name, 0)) for name in SHARES]
    given = {name: min(need, int(room * SHARES[name])) for name, need in ordered}
    left = room - sum(given.values())
    for name, need in ordered:
        more = min(need - given[name], left)
        given[name] += more
        left -= more
    return given


def rounded_up(tokens: int, budget: int) -> int:
    """`tokens` rounded up to a multiple of the step."""
    step = max(int(budget * STEP_SHARE), 1)
    return math.ceil(tokens / step) * step
